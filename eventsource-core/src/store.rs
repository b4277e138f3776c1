//! The port to where events live.

use std::{borrow::Cow, fmt, num::NonZeroU64, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    BoxError,
    event::{EventName, NewEvent, RecordedEvent},
    id::{EventId, StreamId},
    position::Position,
    version::{ExpectedVersion, Version},
};

/// Where events live. Every implementation keeps laws 1 to 10 of the conformance suite.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync + 'static {
    /// Appends events to one stream: all of them or none.
    ///
    /// The same event ids again return the first result, whatever `expected` says.
    ///
    /// # Errors
    /// `Conflict` when the stream is not as expected; `Invalid` for an empty batch, a batch over a
    /// limit (named in the message) or one that reuses the id of another event; `Unavailable` when
    /// the outcome is unknown: append again with the same ids.
    ///
    /// # Cancel safety
    /// A dropped future may still append. Append again with the same ids to learn the result.
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError>;

    /// Events of one stream in version order, `after` excluded: upwards from it, or downwards from
    /// the one below it. A stream that does not exist has no events.
    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>>;

    /// Every event that matches, in position order, up to the head at the time of the call.
    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>>;

    /// The position of the last event that readers may see.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn head(&self) -> Result<Option<Position>, StoreError>;

    /// The event with this id, if the store ever took it.
    ///
    /// # Errors
    /// When the store cannot be asked, or the event cannot be read.
    async fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, StoreError>;

    /// Hints that there may be more to read. A lost hint costs time, never an event.
    fn wakeups(&self) -> BoxStream<'static, ()>;
}

/// Which way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From old to new.
    Forward,
    /// From new to old.
    Backward,
}

/// Where the last event of an append is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the store, if the store has given one already.
    pub position: Option<Position>,
    /// Whether the store knew these event ids: this is the result of an earlier append, whose events
    /// may differ from those that were sent now.
    pub repeated: bool,
}

/// Which events to read.
///
/// ```
/// use eventsource_core::{Position, Query};
///
/// let query = Query::default().after(Position::new(41)).category("workflow");
/// assert_eq!(query.after, Position::new(41));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Query {
    /// Only events after this position.
    pub after: Option<Position>,
    /// Only these categories; empty means all.
    pub categories: Vec<Arc<str>>,
    /// Only events with these names; empty means all.
    pub names: Vec<EventName>,
    /// At most this many events.
    pub limit: Option<NonZeroU64>,
}

impl Query {
    /// Only events after `position`.
    #[must_use]
    pub fn after(self, position: Option<Position>) -> Self {
        Self { after: position, ..self }
    }

    /// Also events of this category.
    #[must_use]
    pub fn category(mut self, category: &str) -> Self {
        self.categories.push(category.into());
        self
    }

    /// Also events with these names.
    #[must_use]
    pub fn names(mut self, names: &[&'static str]) -> Self {
        self.names.extend(names.iter().copied().map(EventName::from_static));
        self
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(self, limit: NonZeroU64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Whether an event of this stream and name is asked for.
    #[must_use]
    pub fn matches(&self, category: &str, name: &str) -> bool {
        (self.categories.is_empty() || self.categories.iter().any(|wanted| &**wanted == category))
            && (self.names.is_empty() || self.names.iter().any(|wanted| wanted.as_str() == name))
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The stream is not as the writer believed; nothing was written. Load again and decide again.
    #[error("{stream} is at {}, expected {expected}", shown(*actual))]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the writer believed.
        expected: ExpectedVersion,
        /// What is really there; `None` when there is no stream.
        actual: Option<Version>,
    },
    /// The store cannot be reached or is overloaded; the outcome is unknown. Try again.
    #[error("event store unavailable")]
    Unavailable {
        /// What the store or the network said.
        source: BoxError,
        /// The pause the store asked for.
        retry_after: Option<Duration>,
    },
    /// Stored data cannot be read. Stop, and repair.
    #[error("stored data unreadable at {at}")]
    Corrupt {
        /// Which file, document or row, and where in it.
        at: String,
        /// What is wrong there.
        source: BoxError,
    },
    /// The request breaks a rule of the store; nothing was sent.
    #[error("invalid request: {reason}")]
    Invalid {
        /// What was wrong and what would be right.
        reason: Cow<'static, str>,
    },
}

impl StoreError {
    /// An `Invalid` with this reason.
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { reason: reason.into() }
    }

    /// An `Unavailable` without a pause asked for.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable { source: source.into(), retry_after: None }
    }

    /// A `Corrupt` at this place.
    pub fn corrupt(at: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Corrupt { at: at.into(), source: source.into() }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

fn shown(actual: Option<Version>) -> String {
    actual.map_or_else(|| "no version".to_owned(), |version| version.to_string())
}
