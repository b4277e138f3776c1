//! The ports that all roles share, on one machine.

use std::sync::Arc;

use eventsource_core::{
    EventStore, MessageReceiver, MessageSender, OutcomeStore, SnapshotStore, ViewStore,
    memory::{MemoryEventStore, MemoryOutcomes, MemoryQueue, MemorySnapshots, MemoryViews},
};
use uuid::Uuid;

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
}

impl Ports {
    /// Everything in memory: gone when the process ends.
    #[must_use]
    pub fn memory() -> Self {
        let queue = MemoryQueue::new();
        Self {
            store_id: Uuid::new_v4().to_string().into(),
            store: Arc::new(MemoryEventStore::new()),
            outcomes: Arc::new(MemoryOutcomes::new()),
            snapshots: Arc::new(MemorySnapshots::new()),
            views: Arc::new(MemoryViews::new()),
            sender: Arc::new(queue.clone()),
            receiver: Arc::new(queue),
        }
    }
}
