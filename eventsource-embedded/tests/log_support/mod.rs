//! What the tests of the log share.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{num::NonZeroU32, path::Path};

use eventsource_core::{
    Direction, EventId, EventName, EventStore, Metadata, NewEvent, Query, RecordedEvent, StoreError, StreamId, Version,
};
use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions};
use futures::TryStreamExt;
use uuid::Uuid;

pub(crate) fn stream(key: &str) -> StreamId {
    StreamId::new("thing", key).unwrap()
}

/// The `n`-th event of a test, with a payload that `n` alone decides.
pub(crate) fn event(n: u64) -> NewEvent {
    sized(n, 20 + usize::try_from(n % 50).unwrap())
}

pub(crate) fn sized(n: u64, payload_bytes: usize) -> NewEvent {
    NewEvent {
        id: id(n),
        name: EventName::from_static(["opened", "changed", "closed"][usize::try_from(n % 3).unwrap()]),
        schema: 1,
        payload: payload(n, payload_bytes).into(),
        metadata: Metadata {
            causation_id: Some(Uuid::from_u128(n.into())),
            actor: (n.is_multiple_of(2)).then(|| "ada".into()),
            headers: if n.is_multiple_of(5) { [("n".to_owned(), n.to_string())].into() } else { [].into() },
            ..Metadata::default()
        },
    }
}

pub(crate) fn id(n: u64) -> EventId {
    EventId::from_uuid(Uuid::from_u128(u128::from(n) + 1))
}

pub(crate) fn payload(n: u64, bytes: usize) -> Vec<u8> {
    format!("{{\"n\":{n}}}").bytes().chain(std::iter::repeat(b' ')).take(bytes.max(1)).collect()
}

/// Files so short that a few dozen events fill one.
pub(crate) fn small() -> EmbeddedOptions {
    EmbeddedOptions::default().segment_bytes(NonZeroU32::new(4096).unwrap())
}

pub(crate) fn open(dir: &Path) -> EmbeddedEventStore {
    EmbeddedEventStore::open(dir, small()).unwrap()
}

pub(crate) async fn all(store: &EmbeddedEventStore) -> Result<Vec<RecordedEvent>, StoreError> {
    store.read_all(Query::default()).try_collect().await
}

pub(crate) async fn of_stream(
    store: &EmbeddedEventStore,
    stream: &StreamId,
    after: Option<Version>,
    direction: Direction,
) -> Result<Vec<RecordedEvent>, StoreError> {
    store.read_stream(stream, after, direction).try_collect().await
}

/// Fails unless a recorded event is, value for value, the new one.
pub(crate) fn assert_same(recorded: &RecordedEvent, new: &NewEvent) {
    let back = NewEvent {
        id: recorded.id,
        name: recorded.name.clone(),
        schema: recorded.schema,
        payload: recorded.payload.clone(),
        metadata: recorded.metadata.clone(),
    };
    assert_eq!(&back, new);
}
