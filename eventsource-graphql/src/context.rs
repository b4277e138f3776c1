//! Who asks, and as part of what: from the first header to the last pixel.

use std::sync::Arc;

use async_graphql::Context;
use eventsource_core::{Metadata, TraceContext};
use http::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

/// Header and connection parameter that carry the W3C trace.
const TRACEPARENT: &str = "traceparent";
/// Header and connection parameter that carry the correlation id, a UUID.
const CORRELATION_ID: &str = "x-correlation-id";

/// Who asks and what the request belongs to; every resolver finds one in its context.
///
/// ```
/// use eventsource_graphql::RequestContext;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?);
/// let request = RequestContext::from_headers(&headers).with_actor(Some("ada".into()));
/// assert_eq!(request.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(request.to_metadata().actor.as_deref(), Some("ada"));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestContext {
    /// Who asks, as the application's `actor` function says.
    pub actor: Option<Arc<str>>,
    /// The whole conversation: the caller's id, or a new one.
    pub correlation_id: Uuid,
    /// The caller's trace, or a new one, under a span of this request's own.
    pub trace: TraceContext,
}

impl RequestContext {
    /// A context that belongs to nothing before it: a new trace and a new correlation id.
    #[must_use]
    pub fn generate() -> Self {
        Self { actor: None, correlation_id: Uuid::now_v7(), trace: new_trace() }
    }

    /// The context that the headers `traceparent` and `x-correlation-id` tell. What is absent or
    /// malformed is made anew: a bad trace never fails a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self::generate().joined(text(TRACEPARENT), text(CORRELATION_ID))
    }

    /// The same, with what the WebSocket's `connection_init` payload tells under the same names:
    /// browsers cannot set headers there.
    #[must_use]
    pub fn with_connection_params(self, params: &Value) -> Self {
        let text = |name| params.get(name).and_then(Value::as_str);
        self.joined(text(TRACEPARENT), text(CORRELATION_ID))
    }

    /// The same, asked by `actor`.
    #[must_use]
    pub fn with_actor(self, actor: Option<Arc<str>>) -> Self {
        Self { actor, ..self }
    }

    /// The same conversation and trace under a new span: for each operation on a shared connection.
    #[must_use]
    pub fn next_span(&self) -> Self {
        Self { trace: under_new_span(self.trace), ..self.clone() }
    }

    /// The context of the request that `context` belongs to; a new one where a schema is executed
    /// without the router, as in tests.
    ///
    /// ```
    /// use async_graphql::{Context, Object};
    /// use eventsource_graphql::RequestContext;
    ///
    /// struct Query;
    ///
    /// #[Object]
    /// impl Query {
    ///     async fn me(&self, context: &Context<'_>) -> Option<String> {
    ///         RequestContext::of(context).actor.as_deref().map(ToOwned::to_owned)
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn of(context: &Context<'_>) -> Self {
        context.data_opt::<Self>().cloned().unwrap_or_else(Self::generate)
    }

    /// The trace id as 32 hexadecimal digits, for results and logs.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace.trace_id()
    }

    /// What a command of this request carries.
    #[must_use]
    pub fn to_metadata(&self) -> Metadata {
        Metadata {
            correlation_id: Some(self.correlation_id),
            trace: Some(self.trace),
            actor: self.actor.clone(),
            ..Metadata::default()
        }
    }

    fn joined(self, traceparent: Option<&str>, correlation_id: Option<&str>) -> Self {
        let trace = traceparent.and_then(|text| text.parse().ok()).map(under_new_span);
        let correlation_id = correlation_id.and_then(|text| text.parse().ok());
        Self {
            trace: trace.unwrap_or(self.trace),
            correlation_id: correlation_id.unwrap_or(self.correlation_id),
            ..self
        }
    }
}

fn new_trace() -> TraceContext {
    // Bit 0: the caller asks for the trace to be recorded.
    TraceContext::new(Uuid::new_v4().into_bytes(), new_span(), 1).expect("a random UUID is not all zeros")
}

fn under_new_span(trace: TraceContext) -> TraceContext {
    trace.with_span(new_span()).expect("a random span is not all zeros")
}

fn new_span() -> [u8; 8] {
    let [a, b, c, d, e, f, _, _, g, h, ..] = Uuid::new_v4().into_bytes();
    // Byte 6 of a random UUID holds its version and byte 8 its variant, which is never zero.
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::{CORRELATION_ID, RequestContext, TRACEPARENT};

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const CORRELATION: &str = "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_callers_trace_goes_on_under_a_span_of_our_own() {
        let request = RequestContext::from_headers(&headers(&[(TRACEPARENT, TRACE), (CORRELATION_ID, CORRELATION)]));
        assert_eq!(request.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(!request.trace.to_string().contains("00f067aa0ba902b7"));
        assert!(request.trace.to_string().ends_with("-01"));
        let metadata = request.to_metadata();
        assert_eq!(metadata.correlation_id.unwrap().to_string(), CORRELATION);
        assert_eq!(metadata.trace, Some(request.trace));
    }

    #[test]
    fn absent_or_malformed_headers_make_a_new_trace() {
        for bad in [headers(&[]), headers(&[(TRACEPARENT, "00-zz"), (CORRELATION_ID, "not a uuid")])] {
            let (one, other) = (RequestContext::from_headers(&bad), RequestContext::from_headers(&bad));
            assert_ne!(one.trace_id(), other.trace_id());
            assert_ne!(one.correlation_id, other.correlation_id);
        }
    }

    #[test]
    fn connection_params_win_over_headers_when_they_are_well_formed() {
        let from_headers = RequestContext::from_headers(&headers(&[(TRACEPARENT, TRACE)]));
        let kept = from_headers.clone().with_connection_params(&json!({ TRACEPARENT: 7, "other": "x" }));
        assert_eq!(kept, from_headers);
        let params = json!({ TRACEPARENT: TRACE.replace("4bf9", "aaaa"), CORRELATION_ID: CORRELATION });
        let joined = from_headers.with_connection_params(&params);
        assert!(joined.trace_id().starts_with("aaaa"));
        assert_eq!(joined.correlation_id.to_string(), CORRELATION);
        assert_eq!(joined.next_span().trace_id(), joined.trace_id());
        assert_ne!(joined.next_span().trace, joined.trace);
    }
}
