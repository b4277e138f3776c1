//! Events to stored bytes and back. The tag of an enum is the envelope's name, never in the payload.

mod payload;
mod tagged;

use std::marker::PhantomData;

use bytes::Bytes;

use crate::{
    BoxError,
    event::{Event, EventName, RecordedEvent},
    upcast::{Upcasters, Versioned},
};

/// Turns events of one type into stored payloads and stored payloads into events.
///
/// A payload is the JSON of the variant's fields. Decoding reads straight from the stored bytes
/// into the event, without a tree in between.
///
/// ```
/// use eventsource_core::{Codec, Event};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(rename_all = "kebab-case")]
/// enum DoorEvent {
///     Opened { by: String },
///     Closed,
/// }
///
/// impl Event for DoorEvent {
///     const NAMES: &'static [&'static str] = &["opened", "closed"];
///     fn name(&self) -> &'static str {
///         match self {
///             Self::Opened { .. } => "opened",
///             Self::Closed => "closed",
///         }
///     }
/// }
///
/// let codec = Codec::<DoorEvent>::default();
/// let payload = codec.encode(&DoorEvent::Opened { by: "ada".into() })?;
/// assert_eq!(&payload[..], br#"{"by":"ada"}"#);
/// assert_eq!(&codec.encode(&DoorEvent::Closed)?[..], b"{}");
/// # Ok::<(), eventsource_core::CodecError>(())
/// ```
#[derive(Debug)]
pub struct Codec<E> {
    upcasters: Upcasters,
    event: PhantomData<fn() -> E>,
}

impl<E> Clone for Codec<E> {
    fn clone(&self) -> Self {
        Self { upcasters: self.upcasters.clone(), event: PhantomData }
    }
}

impl<E> Default for Codec<E> {
    fn default() -> Self {
        Self { upcasters: Upcasters::default(), event: PhantomData }
    }
}

impl<E: Event> Codec<E> {
    /// A codec that brings old shapes up to date before decoding.
    #[must_use]
    pub fn new(upcasters: Upcasters) -> Self {
        Self { upcasters, event: PhantomData }
    }

    /// The payload of `event`: its fields as JSON.
    ///
    /// # Errors
    /// When the event's serde variant name is not its [`Event::name`], or its `Serialize` fails.
    pub fn encode(&self, event: &E) -> Result<Bytes, CodecError> {
        let mut payload = Vec::with_capacity(128);
        payload::write(&mut payload, event.name(), event)
            .map_err(|source| CodecError::new(&EventName::from_static(event.name()), event.schema(), source.into()))?;
        Ok(payload.into())
    }

    /// The events that `record` stands for: one, unless an upcaster splits or drops it.
    ///
    /// # Errors
    /// When the name is unknown, the payload does not fit, or an upcaster refuses.
    pub fn decode(&self, record: &RecordedEvent) -> Result<Decoded<E>, CodecError> {
        if self.upcasters.step(record.name.as_str(), record.schema).is_none() {
            return decode_newest(&record.name, record.schema, &record.payload).map(|event| Decoded(Some(event), None));
        }
        let old = Versioned { name: record.name.clone(), schema: record.schema, payload: record.payload.clone() };
        let newest = self.upcasters.newest(old)?;
        let events = newest.iter().map(|event| decode_newest(&event.name, event.schema, &event.payload));
        Ok(Decoded(None, Some(events.collect::<Result<Vec<E>, _>>()?.into_iter())))
    }
}

fn decode_newest<E: Event>(name: &EventName, schema: u16, payload: &[u8]) -> Result<E, CodecError> {
    tagged::read(name.as_str(), payload).map_err(|source| CodecError::new(name, schema, source.into()))
}

/// The events that one stored event stands for. Costs no allocation in the usual case of one.
#[derive(Clone, Debug)]
pub struct Decoded<E>(Option<E>, Option<std::vec::IntoIter<E>>);

impl<E> Iterator for Decoded<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        self.0.take().or_else(|| self.1.as_mut()?.next())
    }
}

/// An event that cannot be read or written, and why.
#[derive(Debug, thiserror::Error)]
#[error("event {name} (schema {schema}) cannot be decoded")]
pub struct CodecError {
    /// What the event is called.
    pub name: String,
    /// Shape of its payload.
    pub schema: u16,
    /// What is wrong with it.
    #[source]
    pub source: BoxError,
}

impl CodecError {
    /// An error about the event `name` at `schema`.
    #[must_use]
    pub fn new(name: &EventName, schema: u16, source: BoxError) -> Self {
        Self { name: name.as_str().to_owned(), schema, source }
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::SystemTime};

    use serde::{Deserialize, Serialize};

    use super::Codec;
    use crate::{
        event::{Event, EventName, RecordedEvent},
        id::{EventId, StreamId},
        metadata::Metadata,
        version::Version,
    };

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Sample {
        Unit,
        Newtype(String),
        Pair(u64, f64),
        Fields { big: u64, text: String, maybe: Option<i8> },
    }

    impl Event for Sample {
        const NAMES: &'static [&'static str] = &["unit", "newtype", "pair", "fields"];
        fn name(&self) -> &'static str {
            match self {
                Self::Unit => "unit",
                Self::Newtype(_) => "newtype",
                Self::Pair(..) => "pair",
                Self::Fields { .. } => "fields",
            }
        }
    }

    fn recorded(name: &str, payload: &[u8]) -> RecordedEvent {
        RecordedEvent {
            id: EventId::from_uuid(uuid::Uuid::nil()),
            stream: StreamId::new("sample", "1").unwrap(),
            version: Version::FIRST,
            position: None,
            name: EventName::from(name),
            schema: 1,
            payload: payload.to_vec().into(),
            metadata: Metadata::default(),
            recorded_at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_kind_of_variant_comes_back() {
        let codec = Codec::<Sample>::default();
        for (event, stored) in [
            (Sample::Unit, "{}"),
            (Sample::Newtype("a\"b".into()), r#""a\"b""#),
            (Sample::Pair(u64::MAX, 0.1), "[18446744073709551615,0.1]"),
            (
                Sample::Fields { big: u64::MAX, text: "ü$.".into(), maybe: None },
                r#"{"big":18446744073709551615,"text":"ü$.","maybe":null}"#,
            ),
        ] {
            let payload = codec.encode(&event).unwrap();
            assert_eq!(std::str::from_utf8(&payload).unwrap(), stored);
            let back: Vec<_> = codec.decode(&recorded(event.name(), &payload)).unwrap().collect();
            assert_eq!(back, [event]);
        }
    }

    #[test]
    fn an_event_that_does_not_fit_says_why() {
        let codec = Codec::<Sample>::default();
        for (name, payload, why) in [
            ("gone", "{}", "unknown variant `gone`"),
            ("fields", r#"{"big":1}"#, "missing field `text`"),
            ("pair", "[1,2", "EOF"),
            ("pair", "[1,2] x", "trailing"),
        ] {
            let error = codec.decode(&recorded(name, payload.as_bytes())).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            let source = error.source().unwrap().to_string();
            assert!(source.contains(why), "{name}: {source}");
        }
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    enum Lie {
        Truth,
    }

    impl Event for Lie {
        const NAMES: &'static [&'static str] = &["lie"];
        fn name(&self) -> &'static str {
            "lie"
        }
    }

    #[test]
    fn a_variant_under_another_name_is_refused_before_it_is_stored() {
        let error = Codec::<Lie>::default().encode(&Lie::Truth).unwrap_err();
        assert!(error.source().unwrap().to_string().contains("`Truth`"), "{error:?}");
    }
}
