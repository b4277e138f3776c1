//! A store in which another writer is always faster.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use eventsource_core::{
    Appended, Direction, EventId, EventName, EventStore, ExpectedVersion, Metadata, NewEvent, Position, Query,
    RecordedEvent, StoreError, StreamId, Version,
};
use futures::stream::BoxStream;
use uuid::Uuid;

/// A store where, for a number of appends, another writer appends to the same stream just before.
///
/// What the other writer appends is a `deposited` event of the [sample](crate::sample).
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::MemoryEventStore;
/// use eventsource_testkit::chaos::ContendedStore;
///
/// let store = ContendedStore::new(Arc::new(MemoryEventStore::new()));
/// store.contend(3);
/// ```
#[derive(Debug)]
pub struct ContendedStore {
    store: Arc<dyn EventStore>,
    appends_left: AtomicU32,
}

impl ContendedStore {
    /// The store, without contention at first.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, appends_left: AtomicU32::new(0) }
    }

    /// Lets another writer be faster at the next `appends` appends.
    pub fn contend(&self, appends: u32) {
        self.appends_left.store(appends, Ordering::Release);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for ContendedStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let contended = self.appends_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if contended.is_ok() {
            let faster = NewEvent {
                id: EventId::from_uuid(Uuid::new_v4()),
                name: EventName::from_static("deposited"),
                schema: 1,
                payload: r#"{"cents":1,"at":0}"#.into(),
                metadata: Metadata::default(),
            };
            self.store.append(stream, ExpectedVersion::Any, vec![faster]).await?;
        }
        self.store.append(stream, expected, events).await
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        self.store.read_stream(stream, after, direction)
    }

    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        self.store.read_all(query)
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
