//! Every port in memory, and honest about it: it conflicts, it locks, it redelivers.
//!
//! For tests and demonstrations: what these ports hold is gone with the process. They keep the same
//! laws as the durable ones, so that a test which passes here means something.
//!
//! ```
//! use std::sync::Arc;
//! use eventsource_core::{
//!     EventStore, OutcomeStore, SnapshotStore, ViewStore,
//!     memory::{MemoryEventStore, MemoryOutcomes, MemoryQueue, MemorySnapshots, MemoryViews},
//! };
//!
//! let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
//! let outcomes: Arc<dyn OutcomeStore> = Arc::new(MemoryOutcomes::new());
//! let snapshots: Arc<dyn SnapshotStore> = Arc::new(MemorySnapshots::new());
//! let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
//! let commands = MemoryQueue::new();
//! ```

mod event_store;
mod field;
mod outcomes;
mod queue;
mod queue_state;
mod snapshots;
mod views;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use event_store::{BATCH_EVENTS_MAX, MemoryEventStore, PAYLOAD_BYTES_MAX};
pub use outcomes::MemoryOutcomes;
pub use queue::{MemoryQueue, MemoryQueueOptions};
pub use queue_state::DeadLetter;
pub use snapshots::MemorySnapshots;
pub use views::MemoryViews;

/// Each change below is made whole before anything can panic, so a poisoned lock still guards
/// consistent data.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
