//! Event sourcing on one machine: events in an append-only log of our own, and SQLite for what can
//! be rebuilt or must be queried.

mod lock;
mod log;
mod open;
mod store;

pub use log::{Damage as LogDamage, Durability};
pub use open::OpenError;
pub use store::{EmbeddedEventStore, EmbeddedOptions};
