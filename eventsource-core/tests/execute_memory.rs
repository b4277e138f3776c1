//! What the command handler keeps in memory, and what it asks the store for.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use eventsource_core::{
    Aggregate, Appended, Command, CommandEnvelope, CommandHandler, Context, Direction, Event, EventId, EventStore,
    ExecuteError, ExecuteOptions, ExpectedVersion, IdSource, Metadata, NewEvent, Position, Query, RECENT_COMMANDS_MAX,
    RandomIds, RecordedEvent, Rejection, StoreError, StreamId, Version,
    memory::{MemoryEventStore, MemoryOutcomes, MemorySnapshots},
};
use futures::{StreamExt, future::join_all, stream::BoxStream};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Counted {
    Added { by: u64 },
}

impl Event for Counted {
    const NAMES: &'static [&'static str] = &["added"];
    fn name(&self) -> &'static str {
        "added"
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Add {
    counter: String,
    by: u64,
}

impl Command for Add {
    fn name(&self) -> &'static str {
        "add"
    }
    fn aggregate_key(&self) -> &str {
        &self.counter
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a counter ends at {LIMIT}")]
struct TooMuch;
const LIMIT: u64 = 1_000;

impl Rejection for TooMuch {
    fn code(&self) -> &'static str {
        "too-much"
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Counter {
    sum: u64,
}

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Command = Add;
    type Event = Counted;
    type Rejection = TooMuch;

    fn decide(&self, command: &Add, _: &Context<'_>) -> Result<Vec<Counted>, TooMuch> {
        match command.by {
            0 => Ok(Vec::new()),
            by if self.sum + by > LIMIT => Err(TooMuch),
            by => Ok(vec![Counted::Added { by }]),
        }
    }

    fn evolve(&mut self, event: &Counted) {
        let Counted::Added { by } = event;
        self.sum += by;
    }
}

/// Counts what it is asked for, and can lose the answer to an append.
#[derive(Debug, Default)]
struct Watched {
    store: MemoryEventStore,
    stream_reads: AtomicU64,
    events_read: Arc<AtomicU64>,
    finds: AtomicU64,
    lose_next_answer: AtomicBool,
}

impl Watched {
    fn asked(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.swap(0, Ordering::SeqCst);
        (read(&self.stream_reads), read(&self.events_read), read(&self.finds))
    }
}

#[async_trait]
impl EventStore for Watched {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let appended = self.store.append(stream, expected, events).await?;
        if self.lose_next_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::unavailable("the answer was lost"));
        }
        Ok(appended)
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Option<Version>,
        direction: Direction,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        self.stream_reads.fetch_add(1, Ordering::SeqCst);
        let events_read = Arc::clone(&self.events_read);
        let count = move |_: &Result<RecordedEvent, StoreError>| {
            events_read.fetch_add(1, Ordering::SeqCst);
        };
        self.store.read_stream(stream, after, direction).inspect(count).boxed()
    }

    fn read_all(&self, query: Query) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        self.store.read_all(query)
    }

    async fn head(&self) -> Result<Option<Position>, StoreError> {
        self.store.head().await
    }

    async fn find_event(&self, id: EventId) -> Result<Option<RecordedEvent>, StoreError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        self.store.find_event(id).await
    }

    fn wakeups(&self) -> BoxStream<'static, ()> {
        self.store.wakeups()
    }
}

fn handler(store: &Arc<Watched>) -> CommandHandler<Counter> {
    let store: Arc<dyn EventStore> = store.clone();
    CommandHandler::new(store, Arc::new(MemoryOutcomes::new()))
}

fn add(by: u64) -> CommandEnvelope<Add> {
    CommandEnvelope::new(RandomIds.command_id(), Add { counter: "1".into(), by }, Metadata::default())
}

fn stream() -> StreamId {
    StreamId::new("counter", "1").expect("the name is valid")
}

#[tokio::test]
async fn a_hit_costs_an_append_and_no_read() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    counters.execute(&add(1)).await.unwrap();
    store.asked();
    for _ in 0..10 {
        counters.execute(&add(1)).await.unwrap();
    }
    assert_eq!(store.asked(), (0, 0, 0));
}

#[tokio::test]
async fn a_conflict_reads_only_what_is_new() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    for _ in 0..20 {
        counters.execute(&add(1)).await.unwrap();
    }
    let elsewhere = handler(&store);
    elsewhere.execute(&add(5)).await.unwrap();
    store.asked();
    let executed = counters.execute(&add(1)).await.unwrap();
    assert_eq!((executed.version, counters.load("1").await.unwrap().state.sum), (Version::new(22), 26));
    let (_, events_read, _) = store.asked();
    assert_eq!(events_read, 1 + 22, "one for the conflict, the rest for the load above");
}

#[tokio::test]
async fn after_a_lost_answer_the_same_command_gets_its_first_outcome() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    counters.execute(&add(1)).await.unwrap();
    store.lose_next_answer.store(true, Ordering::SeqCst);
    let command = add(7);
    let lost = counters.execute(&command).await.unwrap_err();
    assert!(matches!(lost, ExecuteError::Store(StoreError::Unavailable { .. })));
    let again = counters.execute(&command).await.unwrap();
    assert_eq!((again.version, again.duplicate), (Version::new(2), true));
    assert_eq!(again.events, [Counted::Added { by: 7 }]);
    assert_eq!(counters.execute(&add(1)).await.unwrap().version, Version::new(3));
    assert_eq!(counters.load("1").await.unwrap().state.sum, 9);
}

#[tokio::test]
async fn a_commit_that_memory_forgot_is_found_in_the_store() {
    let store = Arc::new(Watched::default());
    let snapshots = Arc::new(MemorySnapshots::new());
    let every = NonZeroU64::new(10).unwrap();
    let counters = handler(&store).with_snapshots(snapshots.clone(), every);
    let first = add(LIMIT / 2);
    let executed = counters.execute(&first).await.unwrap();
    for _ in 0..=RECENT_COMMANDS_MAX {
        counters.execute(&add(1)).await.unwrap();
    }
    // Now the rules would refuse it; and a fresh handler starts from a snapshot that lies above it.
    for counters in [counters, handler(&store).with_snapshots(snapshots, every)] {
        let again = counters.execute(&first).await.unwrap();
        assert_eq!((again.version, again.duplicate), (executed.version, true));
        assert_eq!(again.events, executed.events);
    }
    let version = Version::new(u64::try_from(RECENT_COMMANDS_MAX).unwrap() + 2);
    assert_eq!(handler(&store).load("1").await.unwrap().version, version);
}

#[tokio::test]
async fn a_snapshot_shortens_the_replay_and_changes_nothing() {
    let store = Arc::new(Watched::default());
    let snapshots = Arc::new(MemorySnapshots::new());
    let every = NonZeroU64::new(10).unwrap();
    let counters = handler(&store).with_snapshots(snapshots.clone(), every);
    for by in 1..=25 {
        counters.execute(&add(by)).await.unwrap();
    }
    store.asked();
    let restarted = handler(&store).with_snapshots(snapshots, every);
    let loaded = restarted.load("1").await.unwrap();
    let (_, events_read, _) = store.asked();
    assert!(events_read <= 6, "{events_read} events read above the snapshot at 20");
    let replayed = handler(&store).load("1").await.unwrap();
    assert_eq!((loaded.state, loaded.version), (replayed.state, replayed.version));
}

#[tokio::test]
async fn a_stale_belief_is_refused_and_stays_refused() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    counters.execute(&add(1)).await.unwrap();
    let stale = add(1).expecting(ExpectedVersion::NoStream);
    let refused = counters.execute(&stale).await.unwrap_err();
    let told = refused.to_string();
    assert!(matches!(refused, ExecuteError::Stale { actual: Some(Version::FIRST), .. }), "{told}");
    let again = counters.execute(&stale).await.unwrap_err();
    assert!(matches!(again, ExecuteError::RejectedBefore { code, message } if code == "conflict" && message == told));
    let exact = add(1).expecting(ExpectedVersion::Exact(Version::FIRST));
    assert_eq!(counters.execute(&exact).await.unwrap().version, Version::new(2));
    // Its own commit moved the version; the belief was right when it counted.
    assert!(counters.execute(&exact).await.unwrap().duplicate);
}

#[tokio::test]
async fn a_command_without_effect_is_answered_the_same_again() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    let nothing = add(0);
    assert_eq!(counters.execute(&nothing).await.unwrap().version, None);
    counters.execute(&add(1)).await.unwrap();
    let again = counters.execute(&nothing).await.unwrap();
    assert_eq!((again.version, again.duplicate), (None, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hot_aggregate_never_conflicts_inside_a_process() {
    let store = Arc::new(Watched::default());
    let options = ExecuteOptions::default().conflict_retries_max(0);
    let counters = handler(&store).with_options(options);
    let tasks = (0..16).map(|_| {
        let counters = counters.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                counters.execute(&add(1)).await.unwrap();
            }
        })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
    assert_eq!(counters.load("1").await.unwrap().state.sum, 800);
}

#[tokio::test]
async fn a_dropped_command_leaves_nothing_half_done() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    let command = add(3);
    // Polled once or twice and dropped: wherever it stops, delivering it again gives one effect.
    for polls in 0..8 {
        let mut execution = Box::pin(counters.execute(&command));
        for _ in 0..polls {
            if futures::poll!(&mut execution).is_ready() {
                break;
            }
        }
    }
    counters.execute(&command).await.unwrap();
    assert_eq!(counters.load("1").await.unwrap().state.sum, 3);
}

#[tokio::test]
async fn the_outcome_of_a_command_can_be_asked_for() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    let (done, refused) = (add(1), add(LIMIT + 1));
    counters.execute(&done).await.unwrap();
    counters.execute(&refused).await.unwrap_err();
    let outcome = counters.outcome(done.id).await.unwrap().unwrap();
    assert_eq!(outcome, eventsource_core::Outcome::Committed { stream: stream(), version: Version::FIRST });
    let outcome = counters.outcome(refused.id).await.unwrap().unwrap();
    assert!(matches!(outcome, eventsource_core::Outcome::Rejected { code, .. } if code == "too-much"));
    assert_eq!(counters.outcome(RandomIds.command_id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_can_be_seen_as_it_was() {
    let store = Arc::new(Watched::default());
    let counters = handler(&store);
    for by in [1, 10, 100] {
        counters.execute(&add(by)).await.unwrap();
    }
    for (at, sum) in [(1, 1), (2, 11), (3, 111), (9, 111)] {
        assert_eq!(counters.load_at("1", Version::new(at).unwrap()).await.unwrap().state.sum, sum);
    }
}
