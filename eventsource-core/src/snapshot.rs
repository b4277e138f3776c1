//! The port to saved states: a cache, never the truth.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{id::StreamId, store::StoreError, version::Version};

/// Where snapshots live: at most the newest one a stream and fingerprint.
#[async_trait]
pub trait SnapshotStore: fmt::Debug + Send + Sync + 'static {
    /// The newest snapshot of `stream` with this fingerprint.
    ///
    /// # Errors
    /// When the store cannot be asked. A snapshot that is damaged is `Corrupt`; the caller replays.
    async fn load(&self, stream: &StreamId, fingerprint: u64) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps `snapshot` unless a newer one with the same fingerprint is there already.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn save(&self, snapshot: Snapshot) -> Result<(), StoreError>;
}

/// A state at a version. Another fingerprint means a full replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose state.
    pub stream: StreamId,
    /// The last event folded in.
    pub version: Version,
    /// Shape of the state.
    pub fingerprint: u64,
    /// The state, encoded by the engine.
    pub state: Bytes,
}
