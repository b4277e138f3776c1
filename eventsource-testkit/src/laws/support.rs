//! What many laws need: events to append, streams to append to, and reads to the end.

use std::{future::Future, sync::Arc, time::Duration};

use eventsource_core::{
    Direction, EventId, EventName, EventStore, Metadata, NewEvent, Position, Query, RecordedEvent, StoreError,
    StreamId, Version,
};
use futures::{StreamExt, TryStreamExt, poll, stream::BoxStream};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::broken::LawBroken;

/// Longest wait for a store that gives positions after it has acknowledged.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) fn stream(key: &str) -> StreamId {
    StreamId::new("law", key).expect("laws use valid keys")
}

pub(crate) fn event_id() -> EventId {
    EventId::from_uuid(Uuid::new_v4())
}

/// An event with an id of its own.
pub(crate) fn event(payload: impl Into<String>) -> NewEvent {
    NewEvent {
        id: event_id(),
        name: EventName::from_static("happened"),
        schema: 1,
        payload: payload.into().into(),
        metadata: Metadata::default(),
    }
}

/// Events whose payloads tell them apart.
pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (1..=count).map(|n| event(format!(r#"{{"n":{n}}}"#))).collect()
}

pub(crate) fn ids(events: &[NewEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

pub(crate) fn recorded_ids(events: &[RecordedEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

pub(crate) fn version(value: u64) -> Version {
    Version::new(value).expect("laws count from 1")
}

pub(crate) fn position(value: u64) -> Position {
    Position::new(value).expect("laws count from 1")
}

pub(crate) fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).expect("a count fits 64 bits")
}

pub(crate) async fn read_to_end(
    events: BoxStream<'static, Result<RecordedEvent, StoreError>>,
) -> Result<Vec<RecordedEvent>, StoreError> {
    events.try_collect().await
}

pub(crate) async fn read_stream(store: &dyn EventStore, stream: &StreamId) -> Result<Vec<RecordedEvent>, StoreError> {
    read_to_end(store.read_stream(stream, None, Direction::Forward)).await
}

/// Every event of a store that holds `count`, once they all have their positions.
pub(crate) async fn read_all(store: &dyn EventStore, count: u64) -> Result<Vec<RecordedEvent>, LawBroken> {
    settled(store, count).await?;
    Ok(read_to_end(store.read_all(Query::default())).await?)
}

/// Waits until readers may see `count` events: a store may give positions later than it appends.
pub(crate) async fn settled(store: &dyn EventStore, count: u64) -> Result<(), LawBroken> {
    let deadline = Instant::now() + SETTLE_TIME_MAX;
    loop {
        let head = Position::value_of(store.head().await?);
        if head == count {
            return Ok(());
        }
        if head > count || Instant::now() > deadline {
            return Err(LawBroken::new(format!("the head is {head} in a store of {count} events")));
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Polls `future` a few times and drops it, as a caller does that loses patience. `true` when it
/// came to an end all the same.
pub(crate) async fn dropped_after_polls<F: Future>(future: F, polls: u32) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if poll!(&mut future).is_ready() {
            return true;
        }
        sleep(Duration::from_micros(50)).await;
    }
    false
}

/// The next item of a stream that must not end, within the time that a law may take.
pub(crate) async fn next<T, E>(items: &mut BoxStream<'static, Result<T, E>>) -> Result<T, LawBroken>
where
    LawBroken: From<E>,
{
    match items.next().await {
        Some(item) => Ok(item?),
        None => Err(LawBroken::new("a stream that goes on for ever has ended")),
    }
}

/// Runs tasks at the same time; the first broken law ends them all.
#[derive(Debug)]
pub(crate) struct Race<T> {
    tasks: tokio::task::JoinSet<Result<T, LawBroken>>,
}

impl<T: Send + 'static> Race<T> {
    pub(crate) fn new() -> Self {
        Self { tasks: tokio::task::JoinSet::new() }
    }

    pub(crate) fn enter(&mut self, task: impl Future<Output = Result<T, LawBroken>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub(crate) async fn results(mut self) -> Result<Vec<T>, LawBroken> {
        let mut results = Vec::new();
        while let Some(result) = self.tasks.join_next().await {
            results.push(result??);
        }
        Ok(results)
    }
}

/// A start line: everybody who waits there goes at once.
pub(crate) fn start_line(runners: usize) -> Arc<tokio::sync::Barrier> {
    Arc::new(tokio::sync::Barrier::new(runners))
}

/// The seed of a law's random choices: fixed, unless `TESTKIT_SEED` asks for another one.
pub(crate) fn seed(default: u64) -> u64 {
    std::env::var("TESTKIT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
