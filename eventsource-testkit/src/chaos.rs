//! Faults around a port, so that an engine meets them in a test and not in production first.

mod contended;
mod views;
mod wakeups;

pub use contended::ContendedStore;
pub use views::{FaultyViews, ViewFaults};
pub use wakeups::{FaultyWakeups, Wakeups};
