//! An event store that lies in one way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use eventsource_core::{
    Appended, Direction, EventId, EventStore, ExpectedVersion, NewEvent, Position, Query, RecordedEvent, StoreError,
    StreamId, Version, memory::MemoryEventStore,
};
use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::hidden::Hidden;

/// How a [`LyingEventStore`] lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreLie {
    /// An append of nothing is fine. Law 1.
    TakesEmptyAppends,
    /// A reader of a stream can come between the events of a batch. Law 1.
    ShowsHalfBatches,
    /// It appends whatever is expected. Laws 3 and 4.
    IgnoresVersions,
    /// A conflict reports no version, though one is there. Law 3.
    ReportsNoVersion,
    /// It looks at the version, and writes a moment later. Law 4.
    ChecksBeforeItWrites,
    /// It writes the same events again. Law 5.
    ForgetsIds,
    /// Numbers beyond 63 bits are cut. Law 7.
    CutsLargeNumbers,
    /// Headers do not come back. Law 7.
    DropsHeaders,
    /// The bound of a read backward is included. Law 8.
    IncludesTheBound,
    /// Positions are reserved before the commit, so lower ones appear after higher ones. Law 9.
    ReservesPositions,
    /// The last event before the head is lost now and then, in silence. Law 9.
    LosesEvents,
}

/// A store in memory that lies in one way and is honest otherwise.
///
/// ```
/// use eventsource_testkit::liar::{LyingEventStore, StoreLie};
///
/// let store = LyingEventStore::new(StoreLie::IgnoresVersions);
/// ```
#[derive(Clone, Debug)]
pub struct LyingEventStore {
    store: MemoryEventStore,
    lie: StoreLie,
    hidden: Arc<Hidden>,
    calls: Arc<AtomicU64>,
}

impl LyingEventStore {
    /// An empty store that lies in this way.
    #[must_use]
    pub fn new(lie: StoreLie) -> Self {
        Self { store: MemoryEventStore::new(), lie, hidden: Arc::default(), calls: Arc::default() }
    }

    fn every(&self, count: u64) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % count == count - 1
    }

    async fn last_version(&self, stream: &StreamId) -> Result<Option<Version>, StoreError> {
        let last = self.store.read_stream(stream, None, Direction::Backward).try_next().await?;
        Ok(last.map(|last| last.version))
    }

    /// Events that show up a moment after the append took place.
    async fn append_hiding(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
        from: usize,
    ) -> Result<Appended, StoreError> {
        let late: Vec<_> = events.iter().skip(from).map(|event| event.id).collect();
        let (appended, late) = self.hidden.append(&self.store, stream, expected, events, late)?;
        sleep(Duration::from_millis(2)).await;
        drop(late);
        Ok(appended)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for LyingEventStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        mut events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let mut known = false;
        for event in &events {
            known |= self.store.find_event(event.id).await?.is_some();
        }
        match self.lie {
            StoreLie::TakesEmptyAppends if events.is_empty() => {
                let version = self.last_version(stream).await?.unwrap_or(Version::FIRST);
                return Ok(Appended { version, position: None, repeated: false });
            }
            StoreLie::ShowsHalfBatches if !known => return self.append_hiding(stream, expected, events, 1).await,
            StoreLie::IgnoresVersions => return self.store.append(stream, ExpectedVersion::Any, events).await,
            StoreLie::ReportsNoVersion => {
                return self.store.append(stream, expected, events).await.map_err(|error| match error {
                    StoreError::Conflict { stream, expected, .. } => {
                        StoreError::Conflict { stream, expected, actual: None }
                    }
                    other => other,
                });
            }
            StoreLie::ChecksBeforeItWrites if !known && !events.is_empty() => {
                let actual = self.last_version(stream).await?;
                if !expected.allows(actual) {
                    return Err(StoreError::Conflict { stream: stream.clone(), expected, actual });
                }
                tokio::task::yield_now().await;
                return self.store.append(stream, ExpectedVersion::Any, events).await;
            }
            StoreLie::ForgetsIds if known => {
                for event in &mut events {
                    event.id = EventId::from_uuid(Uuid::new_v4());
                }
                return self.store.append(stream, ExpectedVersion::Any, events).await;
            }
            StoreLie::CutsLargeNumbers => events.iter_mut().for_each(cut_numbers),
            StoreLie::DropsHeaders => events.iter_mut().for_each(|event| event.metadata.headers.clear()),
            StoreLie::ReservesPositions if !known && self.every(3) => {
                return self.append_hiding(stream, expected, events, 0).await;
            }
            _ => {}
        }
        self.store.append(stream, expected, events).await
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        match (self.lie, direction) {
            (StoreLie::IncludesTheBound, Direction::Backward) => {
                self.store.read_stream(stream, after.map(Version::next), direction)
            }
            (StoreLie::ShowsHalfBatches, _) => self.hidden.filter(|| self.store.read_stream(stream, after, direction)),
            _ => self.store.read_stream(stream, after, direction),
        }
    }

    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        match self.lie {
            StoreLie::ReservesPositions => self.hidden.filter(|| self.store.read_all(query)),
            StoreLie::LosesEvents if query.limit.is_none() => {
                let lost = |position: Option<Position>| Position::value_of(position) % 1_000 == 999;
                let kept = move |event: &RecordedEvent| future::ready(!lost(event.position));
                self.store.read_all(query).try_filter(kept).boxed()
            }
            _ => self.store.read_all(query),
        }
    }

    async fn head(&self) -> Result<Option<Position>, StoreError> {
        self.store.head().await
    }

    async fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, StoreError> {
        self.store.find_event(id).await
    }

    fn wakeups(&self) -> BoxStream<'static, ()> {
        self.store.wakeups()
    }
}

/// As a store does that keeps every number as an `i64`.
fn cut_numbers(event: &mut NewEvent) {
    fn cut(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_u64() && !number.is_i64() => *value = i64::MAX.into(),
            Value::Array(values) => values.iter_mut().for_each(cut),
            Value::Object(fields) => fields.values_mut().for_each(cut),
            _ => {}
        }
    }
    if event.payload.len() < 10_000
        && let Ok(mut value) = serde_json::from_slice(&event.payload)
    {
        cut(&mut value);
        event.payload = value.to_string().into();
    }
}
