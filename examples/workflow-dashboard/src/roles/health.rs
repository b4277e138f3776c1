//! Whether this process can do its work.

use std::sync::{Arc, Mutex, PoisonError};

use eventsource_core::ProjectionHandle;

/// Knows what keeps this process from its work. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    ended: Arc<Mutex<Option<String>>>,
    projection: ProjectionHandle,
}

impl Health {
    /// Nothing has ended yet; `projection` is asked how it is doing.
    #[must_use]
    pub fn new(projection: ProjectionHandle) -> Self {
        Self { ended: Arc::default(), projection }
    }

    /// Remembers that a role has ended. The first one is the one that is told.
    pub fn role_ended(&self, why: String) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    /// What is wrong; `None` when all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failures = self.projection.progress().failures;
        ended.or_else(|| (failures > 0).then(|| format!("a store is unavailable, {failures} attempts failed")))
    }
}
