//! Faults around a port, so that an engine meets them in a test and not in production first.

mod wakeups;

pub use wakeups::{FaultyWakeups, Wakeups};
