//! Command execution: load, decide, append.

mod earlier;
mod hot;
mod load;
mod recent;
mod snapshots;

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};

pub use self::{
    hot::CACHED_AGGREGATES_DEFAULT,
    load::{LoadError, Loaded},
    recent::RECENT_COMMANDS_MAX,
};
use self::{hot::Slots, snapshots::Snapshots};
use crate::{
    aggregate::{Aggregate, Context, Rejection},
    backoff::Backoff,
    clock::{Clock, SystemClock},
    codec::{Codec, CodecError},
    command::{Command, CommandEnvelope},
    event::{Event, EventName, NewEvent},
    id::{StreamId, StreamIdError},
    outcome::{Outcome, OutcomeStore},
    position::Position,
    snapshot::SnapshotStore,
    store::{EventStore, StoreError},
    upcast::Upcasters,
    version::{ExpectedVersion, Version},
};

/// The code under which a stale [`CommandEnvelope::expected`] is recorded.
pub const STALE_CODE: &str = "conflict";

/// Carries out the commands of one kind of aggregate. Cheap to clone; clones share the cache.
///
/// - A command takes effect once, however often it is delivered: a redelivery gets the first
///   outcome, a refusal included.
/// - Commands for one aggregate are carried out one at a time, in the order they came.
/// - Recently used aggregates stay in memory: a hit costs the decision and one append, a conflict
///   reads only what is new.
///
/// ```
/// # use eventsource_core::{Aggregate, Command, Context, Event, Rejection};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Debug, Serialize, Deserialize)]
/// # #[serde(rename_all = "kebab-case")]
/// # enum Switched { On }
/// # impl Event for Switched {
/// #     const NAMES: &'static [&'static str] = &["on"];
/// #     fn name(&self) -> &'static str { "on" }
/// # }
/// # #[derive(Debug, Serialize, Deserialize)]
/// # struct TurnOn { lamp: String }
/// # impl Command for TurnOn {
/// #     fn name(&self) -> &'static str { "turn-on" }
/// #     fn aggregate_key(&self) -> &str { &self.lamp }
/// # }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("the lamp is on already")]
/// # struct AlreadyOn;
/// # impl Rejection for AlreadyOn { fn code(&self) -> &'static str { "already-on" } }
/// # #[derive(Clone, Default)]
/// # struct Lamp { on: bool }
/// # impl Aggregate for Lamp {
/// #     const CATEGORY: &'static str = "lamp";
/// #     type Command = TurnOn;
/// #     type Event = Switched;
/// #     type Rejection = AlreadyOn;
/// #     fn decide(&self, _: &TurnOn, _: &Context<'_>) -> Result<Vec<Switched>, AlreadyOn> {
/// #         if self.on { Err(AlreadyOn) } else { Ok(vec![Switched::On]) }
/// #     }
/// #     fn evolve(&mut self, _: &Switched) { self.on = true; }
/// # }
/// use std::sync::Arc;
/// use eventsource_core::{
///     CommandEnvelope, CommandHandler, EventStore, ExecuteError, IdSource, Metadata, OutcomeStore, RandomIds,
/// };
///
/// async fn light(store: Arc<dyn EventStore>, outcomes: Arc<dyn OutcomeStore>) -> Result<(), ExecuteError<AlreadyOn>> {
///     let lamps = CommandHandler::<Lamp>::new(store, outcomes);
///     let turn_on = TurnOn { lamp: "hall".into() };
///     let command = CommandEnvelope::new(RandomIds.command_id(), turn_on, Metadata::default());
///     let first = lamps.execute(&command).await?;
///     let again = lamps.execute(&command).await?;
///     assert_eq!((first.version, again.duplicate), (again.version, true));
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct CommandHandler<A: Aggregate> {
    store: Arc<dyn EventStore>,
    outcomes: Arc<dyn OutcomeStore>,
    snapshots: Option<Snapshots<A>>,
    codec: Codec<A::Event>,
    clock: Arc<dyn Clock>,
    options: ExecuteOptions,
    slots: Arc<Slots<A>>,
}

impl<A: Aggregate> Clone for CommandHandler<A> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            outcomes: Arc::clone(&self.outcomes),
            snapshots: self.snapshots.clone(),
            codec: self.codec.clone(),
            clock: Arc::clone(&self.clock),
            options: self.options,
            slots: Arc::clone(&self.slots),
        }
    }
}

/// Bounds of command execution.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExecuteOptions {
    /// How often a command is decided again after another writer was faster, 0 or more.
    pub conflict_retries_max: u32,
    /// Pauses between those attempts.
    pub backoff: Backoff,
    /// Aggregates kept in memory, 1 or more; up to a quarter more than this, and those in use at the
    /// moment, come on top.
    pub cached_aggregates_max: usize,
}

impl Default for ExecuteOptions {
    /// 10 retries after pauses of 1 to 50 ms, 10,000 aggregates in memory.
    fn default() -> Self {
        Self {
            conflict_retries_max: 10,
            backoff: Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(50) },
            cached_aggregates_max: CACHED_AGGREGATES_DEFAULT,
        }
    }
}

impl ExecuteOptions {
    /// The same with another number of retries after a conflict.
    #[must_use]
    pub const fn conflict_retries_max(self, conflict_retries_max: u32) -> Self {
        Self { conflict_retries_max, ..self }
    }

    /// The same with another number of aggregates kept in memory.
    #[must_use]
    pub const fn cached_aggregates_max(self, cached_aggregates_max: usize) -> Self {
        Self { cached_aggregates_max, ..self }
    }
}

/// What carrying out a command gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed<E> {
    /// The aggregate's stream.
    pub stream: StreamId,
    /// Its version after the command; `None` when it has no events.
    pub version: Option<Version>,
    /// Position of the last event, if the store has given one.
    pub position: Option<Position>,
    /// The events; empty when there was nothing to do.
    pub events: Vec<E>,
    /// Whether the command had been carried out before, and this is its first outcome.
    pub duplicate: bool,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<R: std::error::Error + 'static> {
    /// A business rule said no, now. The refusal is recorded.
    #[error("command rejected")]
    Rejected(#[source] R),
    /// The command was refused when it was delivered first.
    #[error("command rejected before ({code}): {message}")]
    RejectedBefore {
        /// The rejection's code, or [`STALE_CODE`].
        code: String,
        /// The rejection's sentence.
        message: String,
    },
    /// The aggregate is not at the version the caller named. The refusal is recorded.
    #[error("{stream} is at {}, the command expects {expected}", shown(*actual))]
    Stale {
        /// The aggregate's stream.
        stream: StreamId,
        /// What the caller believed.
        expected: ExpectedVersion,
        /// What is there.
        actual: Option<Version>,
    },
    /// The key cannot name a stream.
    #[error("command has no valid key")]
    InvalidKey(#[from] StreamIdError),
    /// The store failed, or other writers were faster each time. Deliver the command again.
    #[error("events not stored")]
    Store(#[from] StoreError),
    /// The aggregate's events cannot be read or its new ones not written.
    #[error("events not readable")]
    Codec(#[from] CodecError),
}

fn shown(actual: Option<Version>) -> String {
    actual.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"))
}

impl<R: std::error::Error + 'static> From<LoadError> for ExecuteError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::InvalidKey(error) => Self::InvalidKey(error),
            LoadError::Store(error) => Self::Store(error),
            LoadError::Codec(error) => Self::Codec(error),
        }
    }
}

impl<A: Aggregate> CommandHandler<A> {
    /// A handler over these stores, with the machine's clock, no upcasters and no snapshots.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, outcomes: Arc<dyn OutcomeStore>) -> Self {
        let options = ExecuteOptions::default();
        Self {
            store,
            outcomes,
            snapshots: None,
            codec: Codec::default(),
            clock: Arc::new(SystemClock),
            options,
            slots: Arc::new(Slots::new(options.cached_aggregates_max)),
        }
    }

    /// The same with another clock for decisions.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same, with old event shapes brought up to date on reading.
    #[must_use]
    pub fn with_upcasters(self, upcasters: Upcasters) -> Self {
        Self { codec: Codec::new(upcasters), ..self }
    }

    /// The same within other bounds, with an empty cache.
    #[must_use]
    pub fn with_options(self, options: ExecuteOptions) -> Self {
        Self { options, slots: Arc::new(Slots::new(options.cached_aggregates_max)), ..self }
    }

    /// The same with a snapshot every `every` events of a stream.
    ///
    /// A snapshot is a cache: one that cannot be read, or whose shape is not that of
    /// [`Aggregate::VERSION`], costs a full replay and nothing else.
    #[must_use]
    pub fn with_snapshots(self, store: Arc<dyn SnapshotStore>, every: NonZeroU64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        Self { snapshots: Some(Snapshots::new(store, every)), ..self }
    }

    /// Carries out `command`: its events are stored when this returns `Ok`.
    ///
    /// # Errors
    /// [`Rejected`](ExecuteError::Rejected), [`RejectedBefore`](ExecuteError::RejectedBefore) and
    /// [`Stale`](ExecuteError::Stale) are final, and recorded as the command's outcome. After
    /// [`Store`](ExecuteError::Store) with a retryable cause the outcome is unknown: deliver the
    /// same command again.
    ///
    /// # Cancel safety
    /// A dropped future may still take effect. Deliver the same command again to learn the outcome.
    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(category = A::CATEGORY, key = command.command.aggregate_key(), command = command.command.name(), id = %command.id)
    )]
    pub async fn execute(
        &self,
        command: &CommandEnvelope<A::Command>,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let started = Instant::now();
        let result = self.execute_in_turn(command).await;
        let outcome = match &result {
            Ok(executed) if executed.duplicate => "duplicate",
            Ok(_) => "committed",
            Err(ExecuteError::Rejected(_)) => "rejected",
            Err(ExecuteError::RejectedBefore { .. }) => "duplicate",
            Err(ExecuteError::Stale { .. }) => "stale",
            Err(_) => "failed",
        };
        metrics::histogram!("eventsource_command_duration_seconds", "category" => A::CATEGORY, "outcome" => outcome)
            .record(started.elapsed());
        result
    }

    async fn execute_in_turn(
        &self,
        command: &CommandEnvelope<A::Command>,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let stream = StreamId::new(A::CATEGORY, command.command.aggregate_key())?;
        let slot = self.slots.slot(&stream);
        let mut hot = slot.lock().await;
        if hot.as_ref().is_some_and(|loaded| loaded.in_doubt) {
            *hot = None;
        }
        if let Some(commit) = hot.as_ref().and_then(|loaded| loaded.recent.find(command.id)) {
            return self.committed_before(&stream, commit).await;
        }
        // An outcome that left no event can only be found here, so it is asked for first.
        if let Some(outcome) = self.outcomes.find(command.id).await? {
            return self.decided_before(command.id, outcome).await;
        }
        let loaded = match &mut *hot {
            Some(loaded) => loaded,
            empty => empty.insert(self.load_newest(&stream).await?),
        };
        if let Some(commit) = loaded.recent.find(command.id) {
            return self.committed_before(&stream, commit).await;
        }
        let mut conflicts = 0;
        loop {
            if !command.expected.allows(loaded.version) {
                // What is in memory may be behind: only what is stored now makes the caller wrong.
                self.catch_up(&stream, loaded).await?;
                if !command.expected.allows(loaded.version) {
                    return self.refuse_stale(command, stream, loaded.version).await;
                }
            }
            let context = Context::new(self.clock.now(), command.id, &command.metadata);
            let events = match loaded.state.decide(&command.command, &context) {
                Ok(events) if events.is_empty() => return self.unchanged(command, stream, loaded.version).await,
                Ok(events) => events,
                Err(rejection) => return self.refuse(command, stream, rejection).await,
            };
            let new_events = self.encode(command, &events)?;
            let count = u64::try_from(new_events.len()).unwrap_or(u64::MAX);
            let first = Version::next_after(loaded.version);
            let last = first.plus(count - 1);
            // Until the store answers, nobody knows which events lie under this state; should the
            // answer never come, the next command reads them again.
            loaded.in_doubt = true;
            let appended = self.store.append(&stream, ExpectedVersion::at(loaded.version), new_events).await;
            loaded.in_doubt = !matches!(&appended, Ok(_) | Err(StoreError::Conflict { .. }));
            match appended {
                Ok(appended) if !appended.repeated && appended.version == last => {
                    for event in &events {
                        loaded.state.evolve(event);
                    }
                    loaded.version = Some(last);
                    loaded.recent.push(command.id, first, last);
                    if let Some(snapshots) = &self.snapshots {
                        snapshots.save_when_due(&stream, loaded, first).await;
                    }
                    let position = appended.position;
                    return Ok(Executed { stream, version: Some(last), position, events, duplicate: false });
                }
                // The store knows these ids from an earlier delivery.
                Ok(_) => return self.find_committed(command.id, &stream).await,
                Err(StoreError::Invalid { reason }) => {
                    if self.store.find_event(command.id.event_id(0)).await?.is_some() {
                        return self.find_committed(command.id, &stream).await;
                    }
                    return Err(StoreError::Invalid { reason }.into());
                }
                Err(conflict @ StoreError::Conflict { .. }) => {
                    metrics::counter!("eventsource_append_conflicts_total", "category" => A::CATEGORY).increment(1);
                    if conflicts == self.options.conflict_retries_max {
                        return Err(conflict.into());
                    }
                    sleep(self.options.backoff.pause(conflicts)).await;
                    conflicts += 1;
                    self.catch_up(&stream, loaded).await?;
                    if let Some(commit) = loaded.recent.find(command.id) {
                        return self.committed_before(&stream, commit).await;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn encode(&self, command: &CommandEnvelope<A::Command>, events: &[A::Event]) -> Result<Vec<NewEvent>, CodecError> {
        let metadata = command.metadata.caused_by(command.id);
        (0_u32..)
            .zip(events)
            .map(|(index, event)| {
                Ok(NewEvent {
                    id: command.id.event_id(index),
                    name: EventName::from_static(event.name()),
                    schema: event.schema(),
                    payload: self.codec.encode(event)?,
                    metadata: metadata.clone(),
                })
            })
            .collect()
    }

    async fn unchanged(
        &self,
        command: &CommandEnvelope<A::Command>,
        stream: StreamId,
        version: Option<Version>,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let outcome = Outcome::Unchanged { stream: stream.clone(), version };
        self.settle(command, &stream, outcome)
            .await?
            .map_or_else(|| Ok(Executed { stream, version, position: None, events: Vec::new(), duplicate: false }), Ok)
    }

    async fn refuse(
        &self,
        command: &CommandEnvelope<A::Command>,
        stream: StreamId,
        rejection: A::Rejection,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let (code, message) = (rejection.code().to_owned(), rejection.to_string());
        let outcome = Outcome::Rejected { stream: stream.clone(), code, message };
        self.settle(command, &stream, outcome).await?.ok_or(ExecuteError::Rejected(rejection))
    }

    async fn refuse_stale(
        &self,
        command: &CommandEnvelope<A::Command>,
        stream: StreamId,
        actual: Option<Version>,
    ) -> Result<Executed<A::Event>, ExecuteError<A::Rejection>> {
        let stale = ExecuteError::Stale { stream: stream.clone(), expected: command.expected, actual };
        let (code, message) = (STALE_CODE.to_owned(), stale.to_string());
        let outcome = Outcome::Rejected { stream: stream.clone(), code, message };
        self.settle(command, &stream, outcome).await?.ok_or(stale)
    }
}
