//! What the benches share: one domain, rounds in turn, and medians.
//!
//! `cargo bench -p eventsource-benches --bench append` answers one question and prints a table. Each figure
//! stands beside a floor that was measured in the same run, since machines differ and their moods change.

#![expect(clippy::print_stdout, reason = "a bench speaks on its standard output")]

mod account;
mod report;

pub use account::{Account, AccountCommand, AccountError, AccountEvent};
pub use report::{Contender, Figure, rounds, table, timed};

use std::sync::Arc;

use eventsource_core::{EventStore, OutcomeStore};
use eventsource_embedded::{Embedded, EmbeddedOptions};

/// An embedded engine in a folder of its own that goes when this value goes.
#[derive(Debug)]
pub struct Bench {
    /// The engine.
    pub engine: Embedded,
    /// Where it keeps its files.
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// A fresh durable engine.
    ///
    /// # Panics
    /// When the folder cannot be made or the engine not be opened.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let engine = Embedded::open(folder.path(), EmbeddedOptions::default()).expect("a fresh engine opens");
        Self { engine, folder }
    }

    /// Its event store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.engine.events())
    }

    /// Its outcomes.
    #[must_use]
    pub fn outcomes(&self) -> Arc<dyn OutcomeStore> {
        Arc::new(self.engine.outcomes())
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

/// `count` as a float, for rates.
#[must_use]
pub fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
