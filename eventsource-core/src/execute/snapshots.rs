//! States saved now and then, so that a replay is short.

use std::{fmt, num::NonZeroU64, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{hot::Hot, recent::Recent};
use crate::{
    aggregate::Aggregate,
    id::StreamId,
    snapshot::{Snapshot, SnapshotStore},
    version::Version,
};

type Encode<A> = fn(&Hot<A>) -> Result<Bytes, serde_json::Error>;
type Decode<A> = fn(&Snapshot) -> Result<Hot<A>, serde_json::Error>;

/// When and how to save states. The functions are taken where the state's serde is known, so that
/// aggregates without snapshots need none.
pub(super) struct Snapshots<A> {
    store: Arc<dyn SnapshotStore>,
    every: NonZeroU64,
    encode: Encode<A>,
    decode: Decode<A>,
}

#[derive(Serialize)]
struct SavedRef<'a, A> {
    state: &'a A,
    recent: &'a Recent,
}

#[derive(Deserialize)]
struct Saved<A> {
    state: A,
    recent: Recent,
}

impl<A: Aggregate> Snapshots<A> {
    pub(super) fn new(store: Arc<dyn SnapshotStore>, every: NonZeroU64) -> Self
    where
        A: Serialize + DeserializeOwned,
    {
        Self {
            store,
            every,
            encode: |hot| serde_json::to_vec(&SavedRef { state: &hot.state, recent: &hot.recent }).map(Bytes::from),
            decode: |snapshot| {
                let Saved { state, recent } = serde_json::from_slice(&snapshot.state)?;
                Ok(Hot { state, version: Some(snapshot.version), recent, in_doubt: false })
            },
        }
    }

    /// The newest saved state that can be read; anything else is a full replay.
    pub(super) async fn load(&self, stream: &StreamId) -> Option<Hot<A>> {
        let snapshot = match self.store.load(stream, fingerprint::<A>()).await {
            Ok(snapshot) => snapshot?,
            Err(error) => return passed_over(stream, &error),
        };
        match (self.decode)(&snapshot) {
            Ok(hot) => Some(hot),
            Err(error) => passed_over(stream, &error),
        }
    }

    /// Saves `hot` when the events from `first` to its version crossed a multiple of `every`.
    pub(super) async fn save_when_due(&self, stream: &StreamId, hot: &Hot<A>, first: Version) {
        let Some(version) = hot.version else { return };
        if (first.value() - 1) / self.every == version.value() / self.every {
            return;
        }
        let saved = match (self.encode)(hot) {
            Ok(state) => {
                let snapshot = Snapshot { stream: stream.clone(), version, fingerprint: fingerprint::<A>(), state };
                self.store.save(snapshot).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = saved {
            metrics::counter!("eventsource_snapshot_failures_total", "category" => A::CATEGORY).increment(1);
            tracing::warn!(%stream, %version, error, "snapshot not saved, the events are");
        }
    }
}

fn passed_over<A: Aggregate>(stream: &StreamId, error: &dyn std::error::Error) -> Option<Hot<A>> {
    metrics::counter!("eventsource_snapshot_failures_total", "category" => A::CATEGORY).increment(1);
    tracing::warn!(%stream, error = %error, "snapshot passed over, replaying all events");
    None
}

/// FNV-1a over category and version: a name for the shape of the state that is the same in every
/// process. Source: Fowler, Noll, Vo, "FNV hash", 64-bit variant 1a.
fn fingerprint<A: Aggregate>() -> u64 {
    let version = A::VERSION.to_le_bytes();
    A::CATEGORY
        .bytes()
        .chain(version)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), every: self.every, encode: self.encode, decode: self.decode }
    }
}

impl<A> fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("store", &self.store).field("every", &self.every).finish_non_exhaustive()
    }
}
