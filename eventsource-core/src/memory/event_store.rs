//! Events in a vector: position `p` is index `p - 1`.

use std::{
    collections::{HashMap, HashSet},
    fmt, iter,
    ops::Range,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::watch;

use crate::{
    clock::{Clock, SystemClock},
    event::{NAME_BYTES_MAX, NewEvent, RecordedEvent},
    id::{EventId, StreamId},
    position::Position,
    store::{Appended, Direction, EventStore, Query, StoreError},
    version::{ExpectedVersion, Version},
};

/// Most events in one append to a [`MemoryEventStore`].
pub const BATCH_EVENTS_MAX: usize = 100_000;
/// Most bytes in one payload of a [`MemoryEventStore`], unless told otherwise: 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// Events that a reader copies while it holds the lock.
const READ_EVENTS: usize = 256;

/// An event store in memory. A clone is another handle on the same events.
///
/// ```
/// use eventsource_core::{
///     CommandId, EventName, EventStore, ExpectedVersion, Metadata, NewEvent, StoreError, StreamId, memory::MemoryEventStore,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryEventStore::new();
/// let lamp = StreamId::new("lamp", "1")?;
/// let command: CommandId = "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?;
/// let on = NewEvent {
///     id: command.event_id(0),
///     name: EventName::from_static("switched-on"),
///     schema: 1,
///     payload: "{}".into(),
///     metadata: Metadata::default(),
/// };
/// let first = store.append(&lamp, ExpectedVersion::NoStream, vec![on.clone()]).await?;
/// // The same ids again are the same append.
/// let again = store.append(&lamp, ExpectedVersion::NoStream, vec![on.clone()]).await?;
/// assert!(again.repeated && again.version == first.version);
/// // Another event at the same place is a conflict.
/// let late = NewEvent { id: command.event_id(1), ..on };
/// let refused = store.append(&lamp, ExpectedVersion::NoStream, vec![late]).await;
/// assert!(matches!(refused, Err(StoreError::Conflict { actual: Some(version), .. }) if version == first.version));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryEventStore {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    payload_bytes_max: usize,
}

struct Shared {
    log: RwLock<Log>,
    head: watch::Sender<Option<Position>>,
}

#[derive(Default)]
struct Log {
    events: Vec<RecordedEvent>,
    /// Indexes of each stream's events; version `v` is at `v - 1`.
    streams: HashMap<StreamId, Vec<usize>>,
    /// The append that each event came in.
    batches: HashMap<EventId, Range<usize>>,
}

impl MemoryEventStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { log: RwLock::default(), head: watch::Sender::new(None) };
        Self { shared: Arc::new(shared), clock: Arc::new(SystemClock), payload_bytes_max: PAYLOAD_BYTES_MAX }
    }

    /// The same store, with another source of `recorded_at`.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same store, with another limit for payloads.
    #[must_use]
    pub fn with_payload_bytes_max(self, payload_bytes_max: usize) -> Self {
        Self { payload_bytes_max, ..self }
    }

    fn check(&self, events: &[NewEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Err(StoreError::invalid("an append holds at least one event"));
        }
        if events.len() > BATCH_EVENTS_MAX {
            let count = events.len();
            return Err(StoreError::invalid(format!("an append holds at most {BATCH_EVENTS_MAX} events, got {count}")));
        }
        let mut ids = HashSet::with_capacity(events.len());
        for event in events {
            let (name, bytes, limit) = (&event.name, event.payload.len(), self.payload_bytes_max);
            if !(1..=NAME_BYTES_MAX).contains(&name.as_str().len()) {
                return Err(StoreError::invalid(format!("an event name has 1 to {NAME_BYTES_MAX} bytes: {name:?}")));
            }
            if bytes > limit {
                let reason = format!("the payload of {name} has {bytes} bytes, at most {limit} are allowed");
                return Err(StoreError::invalid(reason));
            }
            if !ids.insert(event.id) {
                return Err(StoreError::invalid(format!("event id {} comes twice in one append", event.id)));
            }
        }
        Ok(())
    }
}

impl Default for MemoryEventStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryEventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEventStore").field("head", &*self.shared.head.borrow()).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        self.check(&events)?;
        let mut log = self.shared.write();
        if let Some(first) = log.earlier(stream, &events)? {
            return Ok(first);
        }
        let actual = log.version(stream);
        if !expected.allows(actual) {
            return Err(StoreError::Conflict { stream: stream.clone(), expected, actual });
        }
        let appended = log.push(stream, events, self.clock.as_ref());
        self.shared.head.send_replace(appended.position);
        Ok(appended)
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        let mut left = self.shared.read().versions(stream, after, direction);
        let (shared, stream) = (Arc::clone(&self.shared), stream.clone());
        in_batches(move || {
            let count = left.len().min(READ_EVENTS);
            let taken = match direction {
                Direction::Forward => left.start..left.start + count,
                Direction::Backward => left.end - count..left.end,
            };
            let log = shared.read();
            let events = log.streams.get(&stream)?.get(taken)?.iter().map(|index| log.events[*index].clone());
            Some(match direction {
                Direction::Forward => {
                    left.start += count;
                    events.collect()
                }
                Direction::Backward => {
                    left.end -= count;
                    events.rev().collect()
                }
            })
        })
    }

    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        let shared = Arc::clone(&self.shared);
        let end = shared.read().events.len();
        let mut start = index_after(Position::value_of(query.after)).min(end);
        let limit = query.limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
        let events = iter::from_fn(move || {
            let taken = start..end.min(start + READ_EVENTS);
            start = taken.end;
            if taken.is_empty() {
                return None;
            }
            let log = shared.read();
            let wanted = log.events[taken].iter().filter(|event| {
                let event: &RecordedEvent = event;
                query.matches(event.stream.category(), event.name.as_str())
            });
            Some(wanted.cloned().collect::<Vec<_>>())
        });
        stream::iter(events.flatten().take(limit).map(Ok)).boxed()
    }

    async fn head(&self) -> Result<Option<Position>, StoreError> {
        Ok(*self.shared.head.borrow())
    }

    async fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, StoreError> {
        let log = self.shared.read();
        let batch = log.batches.get(&id).cloned();
        Ok(batch.and_then(|batch| log.events[batch].iter().find(|event| event.id == id).cloned()))
    }

    fn wakeups(&self) -> BoxStream<'static, ()> {
        let head = self.shared.head.subscribe();
        stream::unfold(head, |mut head| async move { head.changed().await.ok().map(|()| ((), head)) }).boxed()
    }
}

impl Shared {
    /// A push is the only change and cannot panic halfway, so a poisoned lock guards whole data.
    fn read(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Log> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn version(&self, stream: &StreamId) -> Option<Version> {
        Version::new(counter(self.streams.get(stream).map_or(0, Vec::len)))
    }

    /// The result of an earlier attempt of the same append, known by its ids.
    fn earlier(&self, stream: &StreamId, events: &[NewEvent]) -> Result<Option<Appended>, StoreError> {
        let Some((reused, batch)) = events.iter().find_map(|event| self.batches.get_key_value(&event.id)) else {
            return Ok(None);
        };
        let stored = &self.events[batch.clone()];
        let same_ids = stored.iter().map(|event| event.id).eq(events.iter().map(|event| event.id));
        let last = stored.last().filter(|last| same_ids && last.stream == *stream).ok_or_else(|| {
            StoreError::invalid(format!("event id {reused} belongs to another append, to {}", stored[0].stream))
        })?;
        Ok(Some(Appended { version: last.version, position: last.position, repeated: true }))
    }

    fn push(&mut self, stream: &StreamId, events: Vec<NewEvent>, clock: &dyn Clock) -> Appended {
        let recorded_at = clock.now();
        let batch = self.events.len()..self.events.len() + events.len();
        let indexes = self.streams.entry(stream.clone()).or_default();
        let mut appended = Appended { version: Version::FIRST, position: None, repeated: false };
        for event in events {
            let index = self.events.len();
            appended.version = Version::FIRST.plus(counter(indexes.len()));
            appended.position = Some(Position::FIRST.plus(counter(index)));
            indexes.push(index);
            self.batches.insert(event.id, batch.clone());
            self.events.push(RecordedEvent {
                id: event.id,
                stream: stream.clone(),
                version: appended.version,
                position: appended.position,
                name: event.name,
                schema: event.schema,
                payload: event.payload,
                metadata: event.metadata,
                recorded_at,
            });
        }
        appended
    }

    /// The places in the stream that a read covers.
    fn versions(&self, stream: &StreamId, after: Option<Version>, direction: Direction) -> Range<usize> {
        let count = self.streams.get(stream).map_or(0, Vec::len);
        match (direction, after) {
            (Direction::Forward, _) => index_after(Version::value_of(after)).min(count)..count,
            (Direction::Backward, None) => 0..count,
            (Direction::Backward, Some(version)) => 0..index_after(version.value() - 1).min(count),
        }
    }
}

/// The index of what follows the `value`-th: counters start at 1, indexes at 0.
fn index_after(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn counter(index: usize) -> u64 {
    u64::try_from(index).expect("an index fits 64 bits")
}

/// Batches, one after the other, until an empty one.
fn in_batches(
    mut next: impl FnMut() -> Option<Vec<RecordedEvent>> + Send + 'static,
) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
    let batches = iter::from_fn(move || next().filter(|batch| !batch.is_empty()));
    stream::iter(batches.flatten().map(Ok)).boxed()
}
