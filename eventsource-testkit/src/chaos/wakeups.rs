//! Hints that are lost, repeated, late, or stop.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use eventsource_core::{
    Appended, Direction, EventId, EventStore, ExpectedVersion, NewEvent, Position, Query, RecordedEvent, StoreError,
    StreamId, Version,
};
use futures::{StreamExt, future, stream, stream::BoxStream};
use tokio::time::sleep;

/// What becomes of the hints of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wakeups {
    /// None arrives.
    Lost,
    /// Each arrives this many times.
    Repeated {
        /// How many times.
        times: usize,
    },
    /// Each arrives late.
    Delayed {
        /// By how much.
        by: Duration,
    },
    /// They end after so many.
    EndAfter {
        /// How many arrive.
        hints: usize,
    },
}

/// A store whose hints go wrong; everything else is the store's own.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::MemoryEventStore;
/// use eventsource_testkit::chaos::{FaultyWakeups, Wakeups};
///
/// let store = FaultyWakeups::new(Arc::new(MemoryEventStore::new()), Wakeups::Lost);
/// ```
#[derive(Clone, Debug)]
pub struct FaultyWakeups {
    store: Arc<dyn EventStore>,
    wakeups: Wakeups,
}

impl FaultyWakeups {
    /// The store with its hints going wrong in this way.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, wakeups: Wakeups) -> Self {
        Self { store, wakeups }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for FaultyWakeups {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
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
        let hints = self.store.wakeups();
        match self.wakeups {
            Wakeups::Lost => hints.filter(|()| future::ready(false)).boxed(),
            Wakeups::Repeated { times } => {
                hints.flat_map(move |()| stream::iter(std::iter::repeat_n((), times))).boxed()
            }
            Wakeups::Delayed { by } => hints.then(move |()| sleep(by)).boxed(),
            Wakeups::EndAfter { hints: count } => hints.take(count).boxed(),
        }
    }
}
