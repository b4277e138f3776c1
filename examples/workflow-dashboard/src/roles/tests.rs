//! The handler role over queues and stores that are slow, fail or die.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use eventsource_core::{
    Appended, CommandEnvelope, CommandHandler, CommandId, Direction, EventId, EventName, EventStore, ExpectedVersion,
    LiveQueries, Message, MessageSender, Metadata, NewEvent, Outcome, OutcomeStore, Position, Query, RecordedEvent,
    StoreError, StreamId, Version,
    memory::{MemoryEventStore, MemoryOutcomes, MemoryQueue, MemoryQueueOptions, MemoryViews},
};
use futures::stream::BoxStream;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::{
    Commands, DAMAGED_CODE, EXHAUSTED_CODE, HandlerError, HandlerRole, OutcomeHub, REUSED_CODE, Reached, StoreWatch,
    UNREADABLE_CODE, Wait,
};
use crate::domain::{Workflow, WorkflowCommand};

const PATIENCE: Duration = Duration::from_secs(60);

/// A store that takes its time, and is not there for the first few appends.
#[derive(Debug)]
struct Tired {
    store: MemoryEventStore,
    append_time: Duration,
    failures_left: AtomicU32,
}

#[async_trait]
impl EventStore for Tired {
    async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        sleep(self.append_time).await;
        let failing = self.failures_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if failing.is_ok() {
            return Err(StoreError::unavailable("the disk is full"));
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

/// A handler role at work, and both ends of its queue.
struct Work {
    store: Arc<Tired>,
    outcomes: Arc<MemoryOutcomes>,
    queue: MemoryQueue,
    commands: Commands,
    watch: StoreWatch,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), HandlerError>>,
}

fn work(append_time: Duration, failures: u32, options: MemoryQueueOptions) -> Work {
    let store = Arc::new(Tired { store: MemoryEventStore::new(), append_time, failures_left: failures.into() });
    let (outcomes, queue, hub) =
        (Arc::new(MemoryOutcomes::new()), MemoryQueue::with_options(options), OutcomeHub::default());
    let watch = StoreWatch::default();
    let handler = CommandHandler::<Workflow>::new(store.clone(), outcomes.clone());
    let role = HandlerRole {
        queue: Arc::new(queue.clone()),
        commands: handler.clone(),
        outcomes: outcomes.clone(),
        hub: hub.clone(),
        concurrency: NonZeroUsize::new(64).unwrap(),
        attempts_max: options.attempts_max,
        watch: watch.clone(),
    };
    let live = LiveQueries::new(Arc::new(MemoryViews::new()));
    let commands = Commands::new(Arc::new(queue.clone()), handler, hub, live);
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(role.run(async {
        let _ = stopped.await;
    }));
    Work { store, outcomes, queue, commands, watch, stop, running }
}

impl Work {
    async fn decided(&self, command: CommandEnvelope<WorkflowCommand>) -> Outcome {
        match self.commands.send(command, Wait::Decided(PATIENCE)).await.unwrap() {
            Reached::Decided(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

fn start(id: &str) -> CommandEnvelope<WorkflowCommand> {
    let command = WorkflowCommand::StartWorkflow {
        workflow_id: id.into(),
        definition: "order".into(),
        initiator: "ada".into(),
        initial_params: None,
    };
    CommandEnvelope::new(CommandId::from_uuid(Uuid::new_v4()), command, Metadata::default())
}

fn step(id: &str, step: &str) -> CommandEnvelope<WorkflowCommand> {
    let command = WorkflowCommand::StartStep { workflow_id: id.into(), step: step.into() };
    CommandEnvelope::new(CommandId::from_uuid(Uuid::new_v4()), command, Metadata::default())
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_command_has_its_first_outcome_and_appends_nothing() {
    let work = work(Duration::ZERO, 0, MemoryQueueOptions::default());
    let (taken, refused) = (start("w"), start("w"));
    let (first, no) = (work.decided(taken.clone()).await, work.decided(refused.clone()).await);
    assert!(matches!(no, Outcome::Rejected { .. }), "{no:?}");
    // Past the check for earlier outcomes, as a queue that delivers twice would do it.
    for (command, outcome) in [(taken, first), (refused, no)] {
        let mut waiting = work.commands.hub().wait_for(command.id);
        let again = Message { id: Uuid::new_v4(), ..super::to_message(&command) };
        let delivered = Message { id: *command.id.as_uuid(), ..again };
        let other_queue = MemoryQueue::new();
        other_queue.send(vec![delivered]).await.unwrap();
        let role = HandlerRole {
            queue: Arc::new(other_queue),
            commands: CommandHandler::new(work.store.clone(), work.outcomes.clone()),
            outcomes: work.outcomes.clone(),
            hub: work.commands.hub().clone(),
            concurrency: NonZeroUsize::MIN,
            attempts_max: NonZeroU32::MIN,
            watch: StoreWatch::default(),
        };
        tokio::select! {
            ended = role.run(std::future::pending()) => panic!("{ended:?}"),
            told = waiting.outcome() => assert_eq!(told, outcome),
        }
    }
    assert_eq!(work.store.head().await.unwrap(), Position::new(1));
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_no_command_is_a_dead_letter_with_an_outcome() {
    let work = work(Duration::ZERO, 0, MemoryQueueOptions::default());
    let id = CommandId::from_uuid(Uuid::new_v4());
    let mut waiting = work.commands.hub().wait_for(id);
    let message = Message {
        id: *id.as_uuid(),
        session: "w".into(),
        subject: "explode".into(),
        body: r#"{"command":{"explode":{}}}"#.into(),
        metadata: Metadata::default(),
        not_before: None,
    };
    work.queue.send(vec![message]).await.unwrap();
    let told = timeout(PATIENCE, waiting.outcome()).await.unwrap();
    let Outcome::Rejected { code, message, .. } = &told else { panic!("{told:?}") };
    assert_eq!(code, UNREADABLE_CODE);
    assert!(message.contains("explode"), "{message}");
    assert_eq!(work.outcomes.find(id).await.unwrap(), Some(told), "whoever asks later is told the same");
    assert!(work.decided(start("w")).await.stream().key() == "w", "the session goes on");
    assert_eq!(work.queue.dead_letters().len(), 1);
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_that_finds_no_store_comes_back() {
    let work = work(Duration::ZERO, 3, MemoryQueueOptions::default());
    let outcome = work.decided(start("w")).await;
    assert!(matches!(outcome, Outcome::Committed { version: Version::FIRST, .. }), "{outcome:?}");
    assert_eq!(work.store.failures_left.load(Ordering::SeqCst), 0);
    assert!(work.queue.dead_letters().is_empty());
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn long_work_keeps_its_lock() {
    let options = MemoryQueueOptions::default().lock_time(Duration::from_millis(100));
    let work = work(Duration::from_secs(5), 0, options.attempts_max(NonZeroU32::MIN));
    let outcome = work.decided(start("w")).await;
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    assert!(work.queue.dead_letters().is_empty(), "a lock that ran out would have been the last attempt");
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn begun_work_is_finished_before_the_role_stops() {
    let work = work(Duration::from_secs(1), 0, MemoryQueueOptions::default());
    let command = start("w");
    assert_eq!(work.commands.send(command.clone(), Wait::Dispatched).await.unwrap(), Reached::Queued);
    sleep(Duration::from_millis(500)).await;
    let (store, queue) = (work.store.clone(), work.queue.clone());
    work.stop().await;
    assert_eq!(store.head().await.unwrap(), Position::new(1));
    assert!(queue.is_empty(), "the message was completed");
}

#[tokio::test(start_paused = true)]
async fn workflows_go_side_by_side_and_each_in_order() {
    let work = work(Duration::from_millis(100), 0, MemoryQueueOptions::default());
    let begun = Instant::now();
    let mut commands = Vec::new();
    for number in 0..32 {
        let id = format!("w{number}");
        commands.push(start(&id));
        commands.extend((0..4).map(|number| step(&id, &format!("s{number}"))));
    }
    let last: Vec<_> = commands.iter().skip(4).step_by(5).cloned().collect();
    let sent = work.commands.send_all(commands).await.unwrap();
    assert!(sent.iter().all(|reached| *reached == Reached::Queued));
    for command in last {
        let outcome = work.decided(command).await;
        assert!(matches!(outcome, Outcome::Committed { version, .. } if version.value() == 5), "{outcome:?}");
    }
    let elapsed = begun.elapsed();
    assert!(elapsed < Duration::from_secs(1), "160 appends of 0.1 s, 32 at a time, took {elapsed:?}");
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_nobody_carries_out_is_undecided_and_stays_queued() {
    let work = work(Duration::from_secs(3_600), 0, MemoryQueueOptions::default());
    let command = start("w");
    let wait = Wait::Decided(Duration::from_millis(50));
    assert_eq!(work.commands.send(command.clone(), wait).await.unwrap(), Reached::Undecided);
    assert_eq!(work.commands.outcome(command.id).await.unwrap(), None);
    assert_eq!(work.queue.len(), 1);
    work.running.abort();
}

fn code(outcome: &Outcome) -> &str {
    let Outcome::Rejected { code, .. } = outcome else { panic!("{outcome:?}") };
    code
}

#[tokio::test(start_paused = true)]
async fn a_command_that_meets_damage_is_put_aside_without_an_outcome_and_runs_after_the_repair() {
    let work = work(Duration::ZERO, 0, MemoryQueueOptions::default());
    let broken = NewEvent {
        id: EventId::from_uuid(Uuid::new_v4()),
        name: EventName::from_static("workflow-started"),
        schema: 1,
        payload: "{}".into(),
        metadata: Metadata::default(),
    };
    let stream = StreamId::new("workflow", "w").unwrap();
    work.store.append(&stream, ExpectedVersion::NoStream, vec![broken]).await.unwrap();
    let command = step("w", "s");
    for letters in 1..=2 {
        let told = work.decided(command.clone()).await;
        assert_eq!(code(&told), DAMAGED_CODE);
        let Outcome::Rejected { message, .. } = &told else { panic!("{told:?}") };
        assert!(message.contains("workflow/w") && message.contains("same commandId"), "{message}");
        assert_eq!(work.commands.outcome(command.id).await.unwrap(), None, "it was not refused for good");
        assert_eq!(work.queue.dead_letters().len(), letters, "sent again, it is tried again");
    }
    assert!(matches!(work.decided(start("other")).await, Outcome::Committed { .. }), "other workflows go on");
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_whoever_waits_is_told_and_the_same_command_can_run() {
    let options = MemoryQueueOptions::default().attempts_max(NonZeroU32::new(2).unwrap());
    let work = work(Duration::ZERO, 2, options);
    let command = start("w");
    let told = work.decided(command.clone()).await;
    assert_eq!(code(&told), EXHAUSTED_CODE);
    assert_eq!(work.queue.dead_letters()[0].reason, EXHAUSTED_CODE);
    assert_eq!(work.commands.outcome(command.id).await.unwrap(), None);
    assert!(matches!(work.decided(command).await, Outcome::Committed { .. }), "the store works again");
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_noticed_until_it_works() {
    let work = work(Duration::from_secs(1), 10, MemoryQueueOptions::default());
    assert_eq!(work.commands.send(start("w"), Wait::Dispatched).await.unwrap(), Reached::Queued);
    sleep(Duration::from_millis(5_500)).await;
    assert_eq!(work.watch.trouble(), None, "five seconds are nothing");
    sleep(Duration::from_secs(1)).await;
    let trouble = work.watch.trouble().unwrap();
    assert!(trouble.contains("unavailable for 5 s, 6 attempts"), "{trouble}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(work.queue.dead_letters().len(), 1);
    assert!(work.watch.trouble().is_some(), "nobody sends, nothing is well");
    assert!(matches!(work.decided(start("x")).await, Outcome::Committed { .. }));
    assert_eq!(work.watch.trouble(), None);
    work.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_id_for_two_workflows_at_once_is_told_to_the_second() {
    let work = work(Duration::from_secs(1), 0, MemoryQueueOptions::default());
    let (first, mut second) = (start("a"), start("b"));
    second.id = first.id;
    let send = |command| work.commands.send(command, Wait::Decided(PATIENCE));
    let (one, other) = tokio::join!(send(first), send(second.clone()));
    assert!(matches!(one.unwrap(), Reached::Decided(Outcome::Committed { .. })));
    assert_eq!(other.unwrap(), Reached::IdReused { workflow: "a".into() });
    let refused = start("a");
    assert_eq!(code(&work.decided(refused.clone()).await), "workflow-exists");
    // A queue that has forgotten the id delivers the second command.
    for reused in [second.clone(), CommandEnvelope { id: refused.id, ..second }] {
        let queue = MemoryQueue::new();
        queue.send(vec![super::to_message(&reused)]).await.unwrap();
        let mut waiting = work.commands.hub().wait_for(reused.id);
        let role = HandlerRole {
            queue: Arc::new(queue.clone()),
            commands: CommandHandler::new(work.store.clone(), work.outcomes.clone()),
            outcomes: work.outcomes.clone(),
            hub: work.commands.hub().clone(),
            concurrency: NonZeroUsize::MIN,
            attempts_max: NonZeroU32::MIN,
            watch: StoreWatch::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let told = async {
            let told = waiting.outcome().await;
            stop.send(()).unwrap();
            told
        };
        let (ended, told) = tokio::join!(role.run(async { drop(stopped.await) }), told);
        ended.unwrap();
        assert_eq!(told.stream().key(), "a");
        assert_eq!(queue.dead_letters()[0].reason, REUSED_CODE);
    }
    work.stop().await;
}
