//! Why an event exists: carried unchanged from the API to the pixel.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::id::CommandId;

/// What travels beside a command, a message and an event.
///
/// ```
/// use eventsource_core::{CommandId, Metadata};
///
/// let command: CommandId = "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?;
/// let asked = Metadata { actor: Some("ada".into()), ..Metadata::default() };
/// let event = asked.caused_by(command);
/// assert_eq!(event.causation_id.as_ref(), Some(command.as_uuid()));
/// assert_eq!(event.actor, asked.actor);
/// # Ok::<(), uuid::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The whole conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// The command or event just before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The W3C trace this belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Arc<str>>,
    /// Anything else, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl Metadata {
    /// The same conversation, caused by `command`: what an event of that command carries.
    #[must_use]
    pub fn caused_by(&self, command: CommandId) -> Self {
        Self { causation_id: Some(*command.as_uuid()), ..self.clone() }
    }
}

/// A W3C trace context (`traceparent`, version 00) as a value of 25 bytes.
///
/// Source: W3C Recommendation "Trace Context", section 3.2.
///
/// ```
/// use eventsource_core::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceContext = text.parse()?;
/// assert_eq!(trace.to_string(), text);
/// assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// # Ok::<(), eventsource_core::TraceContextError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// A trace of these parts.
    ///
    /// # Errors
    /// The trace id and the span id must not be all zeros.
    pub fn new(trace: [u8; 16], span: [u8; 8], flags: u8) -> Result<Self, TraceContextError> {
        if trace == [0; 16] || span == [0; 8] {
            return Err(TraceContextError("trace id and span id are not all zeros"));
        }
        Ok(Self { trace, span, flags })
    }

    /// The trace id as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hex(&self.trace)
    }

    /// The trace id, the span id and the flags as bytes, for stores.
    #[must_use]
    pub const fn to_parts(self) -> ([u8; 16], [u8; 8], u8) {
        (self.trace, self.span, self.flags)
    }

    /// The same trace under another span: what a hop hands to the next one.
    ///
    /// # Errors
    /// The span id must not be all zeros.
    pub fn with_span(self, span: [u8; 8]) -> Result<Self, TraceContextError> {
        Self::new(self.trace, span, self.flags)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex(&self.trace), hex(&self.span), self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: TraceContextError =
            TraceContextError("a traceparent is 00-<32 hex digits>-<16 hex digits>-<2 hex digits>");
        let mut parts = text.split('-');
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SHAPE);
        };
        let version: [u8; 1] = unhex(version).ok_or(SHAPE)?;
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return Err(SHAPE);
        }
        let [flags] = unhex(flags).ok_or(SHAPE)?;
        Self::new(unhex(trace).ok_or(SHAPE)?, unhex(span).ok_or(SHAPE)?, flags)
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is no W3C `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid traceparent: {0}")]
pub struct TraceContextError(&'static str);

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

/// Lower-case hexadecimal, as the recommendation demands.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    for (slot, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    #[test]
    fn malformed_traceparents_are_refused() {
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(text.parse::<TraceContext>().is_err(), "{text:?}");
        }
    }
}
