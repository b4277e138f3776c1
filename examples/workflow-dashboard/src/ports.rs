//! The ports that all roles share, on one machine.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use eventsource_core::{
    EventStore, MessageReceiver, MessageSender, OutcomeStore, SnapshotStore, StoreError, ViewStore,
    memory::{MemoryEventStore, MemoryOutcomes, MemoryQueue, MemoryQueueOptions, MemorySnapshots, MemoryViews},
};
use eventsource_embedded::{Embedded, EmbeddedOptions, OpenError, QueueOptions};
use uuid::Uuid;

use crate::dead_letters::DeadLetters;

/// The queue that commands wait in.
const COMMANDS: &str = "commands";

/// Everything that roles read from and write to.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Names the store: made anew, it has another id.
    pub store_id: Arc<str>,
    /// Where events live.
    pub store: Arc<dyn EventStore>,
    /// Where outcomes live that left no event.
    pub outcomes: Arc<dyn OutcomeStore>,
    /// Where states live that save a replay.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Where views live.
    pub views: Arc<dyn ViewStore>,
    /// Where commands are sent to.
    pub sender: Arc<dyn MessageSender>,
    /// Where commands come from.
    pub receiver: Arc<dyn MessageReceiver>,
    /// Commands that were given up on.
    pub dead_letters: DeadLetters,
    /// Deliveries of a command before it is a dead letter.
    pub attempts_max: NonZeroU32,
    /// What has to be closed.
    engine: Option<Embedded>,
}

/// A data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortsError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its queue of commands cannot be used.
    #[error("queue {COMMANDS} cannot be used")]
    Queue(#[from] StoreError),
}

impl Ports {
    /// Everything in memory: gone when the process ends.
    #[must_use]
    pub fn memory() -> Self {
        let options = MemoryQueueOptions::default();
        let queue = MemoryQueue::with_options(options);
        Self {
            store_id: Uuid::new_v4().to_string().into(),
            store: Arc::new(MemoryEventStore::new()),
            outcomes: Arc::new(MemoryOutcomes::new()),
            snapshots: Arc::new(MemorySnapshots::new()),
            views: Arc::new(MemoryViews::new()),
            sender: Arc::new(queue.clone()),
            receiver: Arc::new(queue.clone()),
            dead_letters: queue.into(),
            attempts_max: options.attempts_max,
            engine: None,
        }
    }

    /// Everything in `directory`, which is made when it is not there. Reads files, so it blocks.
    ///
    /// # Errors
    /// When another process uses the directory, or a file is damaged or cannot be opened.
    pub fn embedded(directory: &Path) -> Result<Self, PortsError> {
        let engine = Embedded::open(directory, EmbeddedOptions::default())?;
        let options = queue_options();
        let commands = engine.queue(COMMANDS, options)?;
        Ok(Self {
            store_id: engine.events().store_id().to_string().into(),
            store: Arc::new(engine.events()),
            outcomes: Arc::new(engine.outcomes()),
            snapshots: Arc::new(engine.snapshots()),
            views: Arc::new(engine.views()),
            sender: Arc::new(commands.clone()),
            receiver: Arc::new(commands.clone()),
            dead_letters: commands.into(),
            attempts_max: options.attempts_max,
            engine: Some(engine),
        })
    }

    /// Finishes what was asked, leaves every file whole and gives the directory free.
    ///
    /// # Errors
    /// When a file could not be closed cleanly; it is mended at the next opening.
    pub async fn close(&self) -> Result<(), StoreError> {
        match &self.engine {
            Some(engine) => engine.close().await,
            None => Ok(()),
        }
    }
}

/// A full disk may take a person some time: commands wait for about 45 minutes before they become
/// dead letters.
fn queue_options() -> QueueOptions {
    let mut options = QueueOptions::default();
    options.attempts_max = NonZeroU32::new(100).expect("100 is not zero");
    options.pause_max = Duration::from_secs(30);
    options
}
