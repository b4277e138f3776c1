//! Errors as a client may see them: a sentence, a stable code, and no inside of the machine.

use async_graphql::{Error, ErrorExtensions};
use eventsource_core::{LiveError, StoreError, StreamIdError};

/// A GraphQL error with a sentence for people and a stable `extensions.code` for programs.
///
/// ```
/// use eventsource_graphql::error_with_code;
///
/// let error = error_with_code("timeoutMs is 0 or more", "INVALID_ARGUMENT");
/// assert_eq!(error.message, "timeoutMs is 0 or more");
/// ```
#[must_use]
pub fn error_with_code(message: impl Into<String>, code: &'static str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// What a client learns of a store's failure; the whole of it goes to the log.
///
/// Codes: `CONFLICT` (load again and decide again), `UNAVAILABLE` (try the same again later),
/// `INVALID_ARGUMENT` (the request is wrong), `INTERNAL` (an operator must look).
///
/// ```
/// use eventsource_core::StoreError;
/// use eventsource_graphql::store_error;
///
/// let error = store_error(&StoreError::invalid("a page holds at most 1,000 views"));
/// assert_eq!(error.message, "invalid request: a page holds at most 1,000 views");
/// ```
#[must_use]
pub fn store_error(error: &StoreError) -> Error {
    match error {
        StoreError::Conflict { .. } => error_with_code(error.to_string(), "CONFLICT"),
        StoreError::Invalid { .. } => error_with_code(error.to_string(), "INVALID_ARGUMENT"),
        StoreError::Unavailable { source, .. } => {
            tracing::warn!(error = %source, "store unavailable");
            error_with_code("the store cannot be reached, try again", "UNAVAILABLE")
        }
        _ => internal_error(error),
    }
}

/// What a client learns of a live query's failure: `NOT_YET_VISIBLE` when its own write is stored and
/// the view does not show it yet, else as in [`store_error`].
///
/// ```
/// use eventsource_core::{LiveError, Version};
/// use eventsource_graphql::live_error;
///
/// let wanted = Version::FIRST;
/// let error = live_error(&LiveError::NotYetVisible { key: "hall".into(), wanted, seen: None });
/// assert!(error.message.starts_with("committed, not yet visible"));
/// ```
#[must_use]
pub fn live_error(error: &LiveError) -> Error {
    match error {
        LiveError::Store(error) => store_error(error),
        LiveError::NotYetVisible { .. } => error_with_code(error.to_string(), "NOT_YET_VISIBLE"),
        other => internal_error(other),
    }
}

/// `INTERNAL`, with the error and its causes in the log and none of it in the answer.
///
/// ```
/// let error = eventsource_graphql::internal_error(&std::io::Error::other("/var/lib/secret"));
/// assert!(!error.message.contains("secret"));
/// ```
#[must_use]
pub fn internal_error(error: &(dyn std::error::Error + 'static)) -> Error {
    let causes: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    tracing::error!(error = causes.join(": "), "request failed");
    error_with_code("something is wrong on the server, see its log", "INTERNAL")
}

/// `INVALID_ARGUMENT` for an id that cannot name a stream.
///
/// ```
/// use eventsource_core::StreamId;
///
/// let error = StreamId::new("workflow", "").map_err(|error| eventsource_graphql::stream_id_error(&error)).unwrap_err();
/// assert!(error.message.ends_with("a key has 1 to 512 bytes"));
/// ```
#[must_use]
pub fn stream_id_error(error: &StreamIdError) -> Error {
    error_with_code(error.to_string(), "INVALID_ARGUMENT")
}
