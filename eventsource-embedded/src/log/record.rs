//! One event as bytes: checksum, length, id, name, metadata, payload.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | CRC32C of everything after this field |
//! | 4 | length of the record |
//! | 16 | event id |
//! | 2 | schema |
//! | 1 | bytes of the name |
//! | 1 | which parts of the metadata follow |
//! | … | name, correlation (16), causation (16), trace (25), actor, headers, payload |
//!
//! Numbers are little-endian. A text in the metadata is its length in 4 bytes and its bytes.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use eventsource_core::{EventId, NAME_BYTES_MAX, NewEvent, TraceContext};
use uuid::Uuid;

use super::{
    cursor::Cursor,
    number::{index, narrow},
};

/// Limits that a commit is held to before anything is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) payload_bytes_max: u32,
    pub(crate) commit_bytes_max: u32,
}

/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;
/// Bytes before the id.
const PREFIX_BYTES: usize = 8;
/// The smallest record: no metadata, a name of one byte, no payload.
pub(crate) const RECORD_BYTES_MIN: usize = PREFIX_BYTES + 16 + 2 + 1 + 1 + 1;

const HAS_CORRELATION: u8 = 1;
const HAS_CAUSATION: u8 = 2;
const HAS_TRACE: u8 = 4;
const HAS_ACTOR: u8 = 8;
const HAS_HEADERS: u8 = 16;
const HAS_ALL: u8 = HAS_CORRELATION | HAS_CAUSATION | HAS_TRACE | HAS_ACTOR | HAS_HEADERS;

/// Appends the record of `event` to `out` and returns its checksum.
///
/// # Errors
/// The limit that the event breaks; `out` is then to be thrown away.
pub(crate) fn encode(out: &mut Vec<u8>, event: &NewEvent, limits: Limits) -> Result<u32, Cow<'static, str>> {
    let name = event.name.as_str().as_bytes();
    let name_bytes = match u8::try_from(name.len()) {
        Ok(bytes) if bytes > 0 => bytes,
        _ => return Err(format!("an event name has 1 to {NAME_BYTES_MAX} bytes, this one {}", name.len()).into()),
    };
    let start = out.len();
    let metadata = &event.metadata;
    let (id, payload_bytes, payload_bytes_max) = (event.id, event.payload.len(), index(limits.payload_bytes_max));
    if payload_bytes > payload_bytes_max {
        let reason = format!("the payload of event {id} has {payload_bytes} bytes, the limit is {payload_bytes_max}");
        return Err(reason.into());
    }
    let size = PREFIX_BYTES + 20 + name.len() + payload_bytes + metadata_bytes(event);
    if size > index(limits.commit_bytes_max) {
        let limit = limits.commit_bytes_max;
        return Err(format!("event {id} takes {size} bytes, the limit of a commit is {limit}").into());
    }
    out.extend_from_slice(&[0; CHECKSUM_BYTES]);
    out.extend_from_slice(&narrow(size).to_le_bytes());
    out.extend_from_slice(event.id.as_uuid().as_bytes());
    out.extend_from_slice(&event.schema.to_le_bytes());
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    out.push(name_bytes);
    out.push(
        flag(metadata.correlation_id.is_some(), HAS_CORRELATION)
            | flag(metadata.causation_id.is_some(), HAS_CAUSATION)
            | flag(metadata.trace.is_some(), HAS_TRACE)
            | flag(metadata.actor.is_some(), HAS_ACTOR)
            | flag(!metadata.headers.is_empty(), HAS_HEADERS),
    );
    out.extend_from_slice(name);
    for id in [metadata.correlation_id, metadata.causation_id].into_iter().flatten() {
        out.extend_from_slice(id.as_bytes());
    }
    if let Some(trace) = metadata.trace {
        let (trace, span, flags) = trace.to_parts();
        out.extend_from_slice(&trace);
        out.extend_from_slice(&span);
        out.push(flags);
    }
    if let Some(actor) = &metadata.actor {
        push_text(out, actor);
    }
    if !metadata.headers.is_empty() {
        out.extend_from_slice(&narrow(metadata.headers.len()).to_le_bytes());
        for (key, value) in &metadata.headers {
            push_text(out, key);
            push_text(out, value);
        }
    }
    out.extend_from_slice(&event.payload);
    debug_assert_eq!(out.len() - start, size, "the size is known before a byte is written");
    let checksum = checksum(&out[start..]);
    out[start..start + CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(checksum)
}

fn metadata_bytes(event: &NewEvent) -> usize {
    let metadata = &event.metadata;
    let ids = [metadata.correlation_id, metadata.causation_id].iter().flatten().count() * 16;
    let trace = metadata.trace.map_or(0, |_| 25);
    let actor = metadata.actor.as_ref().map_or(0, |actor| 4 + actor.len());
    let headers: usize = metadata.headers.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    ids + trace + actor + headers + if metadata.headers.is_empty() { 0 } else { 4 }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&narrow(text.len()).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Checksum of a record without the checksum's own field.
fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c(&record[CHECKSUM_BYTES..])
}

/// Length and stored checksum of the record at the front of `bytes`; nothing is checked but the length.
pub(crate) fn measure(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut cursor = Cursor::new(bytes);
    let checksum = cursor.u32()?;
    let length = usize::try_from(cursor.u32()?).ok()?;
    (length >= RECORD_BYTES_MIN && length <= bytes.len()).then_some((length, checksum))
}

/// The event id of a record, unchecked.
pub(crate) fn id(record: &[u8]) -> Option<[u8; 16]> {
    record.get(PREFIX_BYTES..)?.first_chunk().copied()
}

/// Whether a record is as it was written.
pub(crate) fn is_whole(record: &[u8]) -> bool {
    let mut cursor = Cursor::new(record);
    let (Some(stored), Some(length)) = (cursor.u32(), cursor.u32()) else { return false };
    usize::try_from(length).is_ok_and(|length| length == record.len())
        && record.len() >= RECORD_BYTES_MIN
        && checksum(record) == stored
}

/// The fields of a record, borrowed from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) id: EventId,
    pub(crate) schema: u16,
    pub(crate) name: &'a str,
    pub(crate) correlation_id: Option<Uuid>,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) actor: Option<&'a str>,
    pub(crate) headers: BTreeMap<String, String>,
    /// Where the payload is in the record.
    pub(crate) payload: Range<usize>,
}

impl<'a> Record<'a> {
    /// The fields of a record whose checksum was right.
    ///
    /// `None` means it was written by a program that does not keep to the format.
    #[inline(always)]
    pub(crate) fn decode(record: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(record);
        cursor.bytes(PREFIX_BYTES)?;
        let id = EventId::from_uuid(Uuid::from_bytes(cursor.array()?));
        let schema = cursor.u16()?;
        let name_bytes = usize::from(cursor.u8()?);
        let parts = cursor.u8()?;
        if parts & !HAS_ALL != 0 || name_bytes == 0 {
            return None;
        }
        let name = std::str::from_utf8(cursor.bytes(name_bytes)?).ok()?;
        let has = |part: u8| parts & part != 0;
        let correlation_id = if has(HAS_CORRELATION) { Some(Uuid::from_bytes(cursor.array()?)) } else { None };
        let causation_id = if has(HAS_CAUSATION) { Some(Uuid::from_bytes(cursor.array()?)) } else { None };
        let trace = if has(HAS_TRACE) {
            Some(TraceContext::new(cursor.array()?, cursor.array()?, cursor.u8()?).ok()?)
        } else {
            None
        };
        let actor = if has(HAS_ACTOR) { Some(text(&mut cursor)?) } else { None };
        let mut headers = BTreeMap::new();
        if has(HAS_HEADERS) {
            for _ in 0..cursor.u32()? {
                let key = text(&mut cursor)?;
                headers.insert(key.to_owned(), text(&mut cursor)?.to_owned());
            }
        }
        let payload = record.len() - cursor.remaining()..record.len();
        Some(Self { id, schema, name, correlation_id, causation_id, trace, actor, headers, payload })
    }
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let bytes = usize::try_from(cursor.u32()?).ok()?;
    std::str::from_utf8(cursor.bytes(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use eventsource_core::{EventId, EventName, Metadata, NewEvent, TraceContext};
    use proptest::{collection::btree_map, option, prelude::any, prop_assert, prop_assert_eq, proptest};
    use uuid::Uuid;

    use super::{Limits, Record, encode, id, is_whole, measure};

    const LIMITS: Limits = Limits { payload_bytes_max: 1 << 16, commit_bytes_max: 1 << 20 };

    proptest! {
        #[test]
        fn a_record_comes_back(
            event_id: u128, name in ".{1,60}", schema: u16, payload: Vec<u8>,
            correlation in option::of(any::<u128>()), causation in option::of(any::<u128>()),
            trace in option::of((1u128.., 1u64.., any::<u8>())), actor in option::of(".*"),
            headers in btree_map(".*", ".*", 0..4), before: Vec<u8>,
        ) {
            let trace = trace.map(|(trace, span, flags)| {
                TraceContext::new(trace.to_be_bytes(), span.to_be_bytes(), flags).unwrap()
            });
            let event = NewEvent {
                id: EventId::from_uuid(Uuid::from_u128(event_id)),
                name: EventName::from(name),
                schema,
                payload: payload.into(),
                metadata: Metadata {
                    correlation_id: correlation.map(Uuid::from_u128),
                    causation_id: causation.map(Uuid::from_u128),
                    trace,
                    actor: actor.as_deref().map(Into::into),
                    headers,
                },
            };
            let mut bytes = before.clone();
            let checksum = encode(&mut bytes, &event, LIMITS).unwrap();
            let stored = &bytes[before.len()..];
            prop_assert_eq!(measure(stored), Some((stored.len(), checksum)));
            prop_assert_eq!(id(stored), Some(event_id.to_be_bytes()));
            prop_assert!(is_whole(stored));
            let record = Record::decode(stored).unwrap();
            prop_assert_eq!(&stored[record.payload.clone()], &event.payload[..]);
            prop_assert_eq!((record.id, record.name, record.schema), (event.id, event.name.as_str(), schema));
            let metadata = &event.metadata;
            prop_assert_eq!(record.correlation_id, metadata.correlation_id);
            prop_assert_eq!(record.causation_id, metadata.causation_id);
            prop_assert_eq!(record.trace, metadata.trace);
            prop_assert_eq!(record.actor, metadata.actor.as_deref());
            prop_assert_eq!(&record.headers, &metadata.headers);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
            let _ = measure(&bytes);
            prop_assert!(!is_whole(&bytes));
        }
    }

    #[test]
    fn limits_are_named() {
        let event = NewEvent {
            id: EventId::from_uuid(Uuid::nil()),
            name: EventName::from(""),
            schema: 1,
            payload: vec![0; 100].into(),
            metadata: Metadata::default(),
        };
        assert!(encode(&mut Vec::new(), &event, LIMITS).unwrap_err().contains("1 to 255 bytes"));
        let named = NewEvent { name: EventName::from_static("n"), ..event };
        let limits = Limits { payload_bytes_max: 99, ..LIMITS };
        assert!(encode(&mut Vec::new(), &named, limits).unwrap_err().contains("has 100 bytes, the limit is 99"));
        let limits = Limits { commit_bytes_max: 110, ..LIMITS };
        assert!(encode(&mut Vec::new(), &named, limits).unwrap_err().contains("limit of a commit is 110"));
    }
}
