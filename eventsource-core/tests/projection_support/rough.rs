//! Stores that stumble: every call waits, and some fail before or after they took effect.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use eventsource_core::{
    Appended, Checkpoint, Direction, EventId, EventStore, ExpectedVersion, NewEvent, Parked, Position, ProjectionId,
    Query, RecordedEvent, StoreError, StoredView, StreamId, Version, ViewBatch, ViewPage, ViewQuery, ViewStore,
};
use futures::{StreamExt, stream::BoxStream};

use super::Dice;

/// A store that stumbles over the one inside.
pub(crate) struct Rough<S: ?Sized> {
    dice: Arc<Mutex<Dice>>,
    /// One call in this many fails before it takes effect, and as many after; 0 for none.
    one_in: u64,
    inner: Arc<S>,
}

impl<S: ?Sized> Rough<S> {
    pub(crate) fn new(inner: Arc<S>, seed: u64, one_in: u64) -> Self {
        Self { dice: Arc::new(Mutex::new(Dice(seed))), one_in, inner }
    }

    async fn stumble(&self) -> Result<(), StoreError> {
        stumble(&self.dice, self.one_in).await
    }
}

async fn stumble(dice: &Mutex<Dice>, one_in: u64) -> Result<(), StoreError> {
    tokio::task::yield_now().await;
    if one_in > 0 && dice.lock().unwrap().one_in(one_in) {
        return Err(StoreError::unavailable("it stumbled"));
    }
    Ok(())
}

fn stumbling(
    dice: Arc<Mutex<Dice>>,
    one_in: u64,
    events: BoxStream<'static, Result<RecordedEvent, StoreError>>,
) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
    let mut ended = false;
    events
        .then(move |event| {
            let dice = Arc::clone(&dice);
            async move {
                if dice.lock().unwrap().one_in(3) {
                    stumble(&dice, one_in).await?;
                }
                event
            }
        })
        .take_while(move |event| {
            let go_on = !ended;
            ended = event.is_err();
            futures::future::ready(go_on)
        })
        .boxed()
}

impl<S: ?Sized> fmt::Debug for Rough<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rough").field("one_in", &self.one_in).finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: EventStore + ?Sized> EventStore for Rough<S> {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        self.inner.append(stream, expected, events).await
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        stumbling(Arc::clone(&self.dice), self.one_in, self.inner.read_stream(stream, after, direction))
    }

    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        stumbling(Arc::clone(&self.dice), self.one_in, self.inner.read_all(query))
    }

    async fn head(&self) -> Result<Option<Position>, StoreError> {
        self.stumble().await?;
        self.inner.head().await
    }

    async fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, StoreError> {
        self.inner.find_event(id).await
    }

    fn wakeups(&self) -> BoxStream<'static, ()> {
        self.inner.wakeups()
    }
}

macro_rules! stumbling_call {
    ($self:ident, $call:expr) => {{
        $self.stumble().await?;
        let answer = $call.await;
        $self.stumble().await?;
        answer
    }};
}

#[async_trait]
impl<S: ViewStore + ?Sized> ViewStore for Rough<S> {
    async fn prepare(&self, projection: &ProjectionId, indexes: &[&str]) -> Result<(), StoreError> {
        stumbling_call!(self, self.inner.prepare(projection, indexes))
    }

    async fn load(&self, projection: &ProjectionId, keys: &[String]) -> Result<Vec<Option<StoredView>>, StoreError> {
        stumbling_call!(self, self.inner.load(projection, keys))
    }

    async fn commit(&self, projection: &ProjectionId, batch: ViewBatch) -> Result<(), StoreError> {
        stumbling_call!(self, self.inner.commit(projection, batch))
    }

    async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Checkpoint>, StoreError> {
        stumbling_call!(self, self.inner.checkpoint(projection))
    }

    async fn find(&self, projection: &ProjectionId, query: ViewQuery) -> Result<ViewPage, StoreError> {
        stumbling_call!(self, self.inner.find(projection, query))
    }

    async fn changed(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<StoredView>, StoreError> {
        stumbling_call!(self, self.inner.changed(projection, after, limit))
    }

    async fn parked(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<Parked>, StoreError> {
        stumbling_call!(self, self.inner.parked(projection, after, limit))
    }

    async fn serving(&self, name: &str) -> Result<Option<u32>, StoreError> {
        stumbling_call!(self, self.inner.serving(name))
    }

    async fn serve(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        stumbling_call!(self, self.inner.serve(projection))
    }

    async fn remove(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        stumbling_call!(self, self.inner.remove(projection))
    }
}
