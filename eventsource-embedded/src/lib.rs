//! Event sourcing on one machine: events in an append-only log of our own, and SQLite for what can
//! be rebuilt or must be queried.

mod db;
mod engine;
mod lock;
mod log;
mod open;
mod outcome;
mod queue;
mod repair;
mod snapshot;
mod store;
mod view;

pub use db::{Damage, ScrubReport};
pub use engine::Embedded;
pub use log::{Damage as LogDamage, Durability, LogReport, Salvage, Salvaged, ScrubProgress};
pub use open::OpenError;
pub use outcome::EmbeddedOutcomes;
pub use queue::{DeadLetter, EmbeddedQueue, QueueDb, QueueDbOptions, QueueOptions, QueueStats};
pub use repair::{salvage, scrub};
pub use snapshot::EmbeddedSnapshots;
pub use store::{EmbeddedEventStore, EmbeddedOptions};
pub use view::{EmbeddedViews, ViewDb, ViewDbOptions};
