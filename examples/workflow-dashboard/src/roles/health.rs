//! Whether this process can do its work.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use eventsource_core::ProjectionHandle;
use tokio::time::Instant;

/// How long commands may find no store before this process is not ready.
const STORE_AWAY_MAX: Duration = Duration::from_secs(5);

/// Knows what keeps this process from its work. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    ended: Arc<Mutex<Option<String>>>,
    projection: ProjectionHandle,
    watch: StoreWatch,
}

/// Knows whether commands find their stores. Clones share it.
///
/// Only a command that is stored shows that a store works again, so the trouble stays until then: a
/// log that does not write any more is not forgotten because nobody sends.
#[derive(Clone, Debug, Default)]
pub struct StoreWatch {
    away: Arc<Mutex<Option<Away>>>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    since: Instant,
    failures: u64,
}

impl StoreWatch {
    /// A command found a store unavailable.
    pub fn failed(&self) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.get_or_insert(Away { since: Instant::now(), failures: 0 }).failures += 1;
    }

    /// A command was stored.
    pub fn worked(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is wrong; `None` when all is well, or not wrong for long.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let away = *self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let Away { since, failures } = away.filter(|away| away.since.elapsed() > STORE_AWAY_MAX)?;
        let seconds = since.elapsed().as_secs();
        Some(format!("commands find a store unavailable for {seconds} s, {failures} attempts failed"))
    }
}

impl Health {
    /// Nothing has ended yet; `projection` and `watch` are asked how they are doing.
    #[must_use]
    pub fn new(projection: ProjectionHandle, watch: StoreWatch) -> Self {
        Self { ended: Arc::default(), projection, watch }
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
        let ended = ended.or_else(|| self.watch.trouble());
        ended.or_else(|| (failures > 0).then(|| format!("a store is unavailable, {failures} attempts failed")))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use eventsource_core::{
        Projection,
        memory::{MemoryEventStore, MemoryViews},
    };

    use super::{Health, StoreWatch};
    use crate::projections::Workflows;

    #[tokio::test(start_paused = true)]
    async fn a_process_whose_commands_find_no_store_is_not_ready_until_they_do() {
        let projection = Projection::new(Workflows, Arc::new(MemoryEventStore::new()), Arc::new(MemoryViews::new()));
        let watch = StoreWatch::default();
        let health = Health::new(projection.handle(), watch.clone());
        watch.failed();
        assert_eq!(health.trouble(), None);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(health.trouble().unwrap().contains("1 attempts failed"));
        watch.worked();
        assert_eq!(health.trouble(), None);
    }
}
