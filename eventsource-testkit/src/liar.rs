//! Ports that break a law each, to show that the laws can fail.
//!
//! Every lie is one that was found in the field. A test that stays green for a liar proves nothing,
//! so each liar is shown to break exactly the laws it lies about.

mod event_store;
mod hidden;
mod queue;
mod small;
mod views;

pub use event_store::{LyingEventStore, StoreLie};
pub use queue::{LyingQueue, QueueLie};
pub use small::{ForgetfulOutcomes, LastOutcomeWins, LastSnapshotWins};
pub use views::{LyingViews, ViewLie};
