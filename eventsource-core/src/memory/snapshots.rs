//! Snapshots in a map.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::locked;
use crate::{
    id::StreamId,
    snapshot::{Snapshot, SnapshotStore},
    store::StoreError,
};

/// Snapshots in memory: the newest one a stream and fingerprint. A clone is another handle on them.
///
/// ```
/// use eventsource_core::{Snapshot, SnapshotStore, StreamId, Version, memory::MemorySnapshots};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let snapshots = MemorySnapshots::new();
/// let stream = StreamId::new("lamp", "1")?;
/// let snapshot = Snapshot { stream: stream.clone(), version: Version::FIRST, fingerprint: 7, state: "{}".into() };
/// snapshots.save(snapshot.clone()).await?;
/// assert_eq!(snapshots.load(&stream, 7).await?, Some(snapshot));
/// assert_eq!(snapshots.load(&stream, 8).await?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemorySnapshots {
    newest: Arc<Mutex<HashMap<(StreamId, u64), Snapshot>>>,
}

impl MemorySnapshots {
    /// No snapshots yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemorySnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySnapshots").field("count", &locked(&self.newest).len()).finish()
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshots {
    async fn load(&self, stream: &StreamId, fingerprint: u64) -> Result<Option<Snapshot>, StoreError> {
        Ok(locked(&self.newest).get(&(stream.clone(), fingerprint)).cloned())
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        match locked(&self.newest).entry((snapshot.stream.clone(), snapshot.fingerprint)) {
            Entry::Vacant(entry) => {
                entry.insert(snapshot);
            }
            Entry::Occupied(mut entry) if entry.get().version <= snapshot.version => {
                entry.insert(snapshot);
            }
            Entry::Occupied(_) => {}
        }
        Ok(())
    }
}
