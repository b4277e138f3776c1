//! From events to a state.

use futures::TryStreamExt;

use super::{CommandHandler, hot::Hot};
use crate::{
    aggregate::Aggregate,
    codec::CodecError,
    event::RecordedEvent,
    id::{StreamId, StreamIdError},
    store::{Direction, StoreError},
    version::Version,
};

/// An aggregate's state at a version.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The state: the fold of all events up to the version.
    pub state: A,
    /// Version of the last event; `None` when there are none.
    pub version: Option<Version>,
}

/// Why a state could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The key cannot name a stream.
    #[error("aggregate has no valid key")]
    InvalidKey(#[from] StreamIdError),
    /// The store failed.
    #[error("events not loaded")]
    Store(#[from] StoreError),
    /// An event cannot be decoded.
    #[error("events not readable")]
    Codec(#[from] CodecError),
}

impl<A: Aggregate> CommandHandler<A> {
    /// The aggregate as stored now, at version `None` when it has no events.
    ///
    /// # Errors
    /// When the key is invalid, the store fails or an event cannot be decoded.
    pub async fn load(&self, key: &str) -> Result<Loaded<A>, LoadError> {
        let Hot { state, version, .. } = self.load_newest(&StreamId::new(A::CATEGORY, key)?).await?;
        Ok(Loaded { state, version })
    }

    /// The aggregate as it was at version `at`, or as it is now when it has not come that far.
    ///
    /// # Errors
    /// When the key is invalid, the store fails or an event cannot be decoded.
    pub async fn load_at(&self, key: &str, at: Version) -> Result<Loaded<A>, LoadError> {
        let mut hot = Hot::new();
        let mut events = self.store.read_stream(&StreamId::new(A::CATEGORY, key)?, None, Direction::Forward);
        while hot.version < Some(at) {
            let Some(record) = events.try_next().await? else { break };
            self.take(&mut hot, &record)?;
        }
        Ok(Loaded { state: hot.state, version: hot.version })
    }

    pub(super) async fn load_newest(&self, stream: &StreamId) -> Result<Hot<A>, LoadError> {
        if let Some(snapshots) = &self.snapshots
            && let Some(mut hot) = snapshots.load(stream).await
            && self.stands_on_events(stream, &mut hot).await?
        {
            return Ok(hot);
        }
        let mut hot = Hot::new();
        self.replay_after(stream, &mut hot).await?;
        Ok(hot)
    }

    /// Brings a snapshot up to date; false when the store does not hold the event it stands on.
    async fn stands_on_events(&self, stream: &StreamId, hot: &mut Hot<A>) -> Result<bool, LoadError> {
        let Some(version) = hot.version else { return Ok(false) };
        let mut events = self.store.read_stream(stream, version.previous(), Direction::Forward);
        let Some(_) = events.try_next().await? else {
            tracing::warn!(%stream, %version, "snapshot is ahead of its stream, replaying all events");
            return Ok(false);
        };
        while let Some(record) = events.try_next().await? {
            self.take(hot, &record)?;
        }
        Ok(true)
    }

    /// Folds in what was stored after `hot`. When there is nothing new, what is in memory and what
    /// is stored have parted, and all is read again.
    pub(super) async fn catch_up(&self, stream: &StreamId, hot: &mut Hot<A>) -> Result<(), LoadError> {
        if self.replay_after(stream, hot).await? == 0 {
            *hot = self.load_newest(stream).await?;
        }
        Ok(())
    }

    /// Each event moves state and version together, so a dropped future leaves a true prefix.
    async fn replay_after(&self, stream: &StreamId, hot: &mut Hot<A>) -> Result<u32, LoadError> {
        let mut events = self.store.read_stream(stream, hot.version, Direction::Forward);
        let mut replayed = 0_u32;
        while let Some(record) = events.try_next().await? {
            self.take(hot, &record)?;
            replayed = replayed.saturating_add(1);
        }
        metrics::histogram!("eventsource_replayed_events", "category" => A::CATEGORY).record(f64::from(replayed));
        Ok(replayed)
    }

    fn take(&self, hot: &mut Hot<A>, record: &RecordedEvent) -> Result<(), LoadError> {
        if record.version != Version::next_after(hot.version) {
            return Err(LoadError::Store(StoreError::corrupt(
                format!("{} version {}", record.stream, record.version),
                format!("it was read after version {}", Version::value_of(hot.version)),
            )));
        }
        for event in self.codec.decode(record)? {
            hot.state.evolve(&event);
        }
        hot.version = Some(record.version);
        hot.recent.note(record);
        Ok(())
    }
}
