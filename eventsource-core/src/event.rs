//! Events: what happened, on its way into a store and as a store holds it.

use std::{borrow::Borrow, fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::{
    id::{EventId, StreamId},
    metadata::Metadata,
    position::Position,
    version::Version,
};

/// Something that happened, told in the past tense: the closed set of events of one aggregate.
///
/// Implement it for an enum whose serde variant names are the event names. The payload that is
/// stored holds the variant's fields only; the name lives in the envelope.
///
/// ```
/// use eventsource_core::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// #[serde(rename_all = "kebab-case")]
/// enum AccountEvent {
///     Opened { owner: String },
///     Deposited { cents: u64 },
/// }
///
/// impl Event for AccountEvent {
///     const NAMES: &'static [&'static str] = &["opened", "deposited"];
///
///     fn name(&self) -> &'static str {
///         match self {
///             Self::Opened { .. } => "opened",
///             Self::Deposited { .. } => "deposited",
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    note = "implement `Event` for an enum whose serde variant names are the event names"
)]
pub trait Event: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// Every name this type can have, so that a store can filter on the server.
    const NAMES: &'static [&'static str];
    /// A stable word that is kept for ever; never the Rust path.
    fn name(&self) -> &'static str;
    /// Shape of the payload, raised together with an upcaster.
    fn schema(&self) -> u16 {
        1
    }
}

/// The name of an event: a stable word such as `step-completed`. Cheap to clone.
///
/// ```
/// use eventsource_core::EventName;
///
/// let known = EventName::from_static("step-completed");
/// let read = EventName::from("step-completed".to_owned());
/// assert_eq!(known, read);
/// ```
#[derive(Clone)]
pub struct EventName(Name);

#[derive(Clone)]
enum Name {
    Known(&'static str),
    Read(Arc<str>),
}

impl EventName {
    /// A name the program knows.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(Name::Known(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Known(name) => name,
            Name::Read(name) => name,
        }
    }
}

impl From<String> for EventName {
    fn from(name: String) -> Self {
        Self(Name::Read(name.into()))
    }
}

impl From<&str> for EventName {
    fn from(name: &str) -> Self {
        Self(Name::Read(name.into()))
    }
}

impl From<Arc<str>> for EventName {
    fn from(name: Arc<str>) -> Self {
        Self(Name::Read(name))
    }
}

impl PartialEq for EventName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for EventName {}

impl std::hash::Hash for EventName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for EventName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for EventName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// An event on its way into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Makes the append idempotent: the same ids again return the first result.
    pub id: EventId,
    /// What happened, 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: EventName,
    /// Shape of the payload.
    pub schema: u16,
    /// The fields, as JSON text.
    pub payload: Bytes,
    /// Why it happened.
    pub metadata: Metadata,
}

/// Longest event name in bytes that every store takes.
pub const NAME_BYTES_MAX: usize = 255;

/// An event as a store holds it. Payload bytes are shared, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// The event's own id.
    pub id: EventId,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the store; `None` while a store has not given one yet.
    pub position: Option<Position>,
    /// What happened.
    pub name: EventName,
    /// Shape of the payload.
    pub schema: u16,
    /// The fields, as JSON text.
    pub payload: Bytes,
    /// Why it happened.
    pub metadata: Metadata,
    /// When the store took it, by the store's clock.
    pub recorded_at: SystemTime,
}

/// A decoded event beside its record.
#[derive(Clone, Debug)]
pub struct Envelope<E> {
    /// The event.
    pub event: E,
    /// How the store holds it.
    pub record: RecordedEvent,
}
