//! Stores of snapshots and outcomes that keep the wrong one, or none.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use eventsource_core::{CommandId, Outcome, OutcomeStore, Snapshot, SnapshotStore, StoreError, StreamId};

/// A snapshot store that lets an older snapshot replace a newer one.
#[derive(Debug, Default)]
pub struct LastSnapshotWins {
    snapshots: Mutex<HashMap<(StreamId, u64), Snapshot>>,
}

#[async_trait]
impl SnapshotStore for LastSnapshotWins {
    async fn load(&self, stream: &StreamId, fingerprint: u64) -> Result<Option<Snapshot>, StoreError> {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(snapshots.get(&(stream.clone(), fingerprint)).cloned())
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        snapshots.insert((snapshot.stream.clone(), snapshot.fingerprint), snapshot);
        Ok(())
    }
}

/// An outcome store that lets a later outcome replace the first one. Law 13.
#[derive(Debug, Default)]
pub struct LastOutcomeWins {
    outcomes: Mutex<HashMap<CommandId, Outcome>>,
}

#[async_trait]
impl OutcomeStore for LastOutcomeWins {
    async fn find(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        Ok(self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).get(&command).cloned())
    }

    async fn record(&self, command: CommandId, outcome: Outcome) -> Result<Outcome, StoreError> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(command, outcome.clone());
        Ok(outcome)
    }
}

/// An outcome store that keeps nothing, so that a rejected command is decided on again. Law 13.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForgetfulOutcomes;

#[async_trait]
impl OutcomeStore for ForgetfulOutcomes {
    async fn find(&self, _: CommandId) -> Result<Option<Outcome>, StoreError> {
        Ok(None)
    }

    async fn record(&self, _: CommandId, outcome: Outcome) -> Result<Outcome, StoreError> {
        Ok(outcome)
    }
}
