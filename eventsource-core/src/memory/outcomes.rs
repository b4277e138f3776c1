//! Outcomes of commands in a map.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::locked;
use crate::{
    id::CommandId,
    outcome::{Outcome, OutcomeStore},
    store::StoreError,
};

/// Outcomes in memory: the first one a command. A clone is another handle on them.
///
/// ```
/// use eventsource_core::{CommandId, Outcome, OutcomeStore, StreamId, memory::MemoryOutcomes};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let outcomes = MemoryOutcomes::new();
/// let command: CommandId = "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?;
/// let first = Outcome::Unchanged { stream: StreamId::new("lamp", "1")?, version: None };
/// let second = Outcome::Rejected { stream: StreamId::new("lamp", "1")?, code: "on".into(), message: "it is on".into() };
/// assert_eq!(outcomes.record(command, first.clone()).await?, first);
/// assert_eq!(outcomes.record(command, second).await?, first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryOutcomes {
    first: Arc<Mutex<HashMap<CommandId, Outcome>>>,
}

impl MemoryOutcomes {
    /// No outcomes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryOutcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutcomes").field("count", &locked(&self.first).len()).finish()
    }
}

#[async_trait]
impl OutcomeStore for MemoryOutcomes {
    async fn find(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        Ok(locked(&self.first).get(&command).cloned())
    }

    async fn record(&self, command: CommandId, outcome: Outcome) -> Result<Outcome, StoreError> {
        Ok(locked(&self.first).entry(command).or_insert(outcome).clone())
    }
}
