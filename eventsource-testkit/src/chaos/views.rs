//! Commits whose outcome is unknown.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use eventsource_core::{
    Checkpoint, Parked, Position, ProjectionId, StoreError, StoredView, ViewBatch, ViewPage, ViewQuery, ViewStore,
};

/// Which commits of a view store go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewFaults {
    /// Every so many-th commit fails and was not done.
    CommitNotDone {
        /// Every how many-th.
        every: u64,
    },
    /// Nothing fails, and every call waits before and after, so that a caller can be dropped there.
    Slow,
    /// Every so many-th commit fails, though it was done.
    CommitDone {
        /// Every how many-th.
        every: u64,
    },
}

/// A view store some of whose commits end in `Unavailable`.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::MemoryViews;
/// use eventsource_testkit::chaos::{FaultyViews, ViewFaults};
///
/// let views = FaultyViews::new(Arc::new(MemoryViews::new()), ViewFaults::CommitDone { every: 3 });
/// ```
#[derive(Debug)]
pub struct FaultyViews {
    views: Arc<dyn ViewStore>,
    faults: ViewFaults,
    commits: AtomicU64,
}

impl FaultyViews {
    /// The store with its commits going wrong in this way.
    #[must_use]
    pub fn new(views: Arc<dyn ViewStore>, faults: ViewFaults) -> Self {
        Self { views, faults, commits: AtomicU64::new(0) }
    }

    async fn wait(&self) {
        if self.faults == ViewFaults::Slow {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ViewStore for FaultyViews {
    async fn prepare(&self, projection: &ProjectionId, indexes: &[&str]) -> Result<(), StoreError> {
        self.views.prepare(projection, indexes).await
    }

    async fn load(&self, projection: &ProjectionId, keys: &[String]) -> Result<Vec<Option<StoredView>>, StoreError> {
        self.wait().await;
        let loaded = self.views.load(projection, keys).await;
        self.wait().await;
        loaded
    }

    async fn commit(&self, projection: &ProjectionId, batch: ViewBatch) -> Result<(), StoreError> {
        let count = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        match self.faults {
            ViewFaults::CommitNotDone { every } if count.is_multiple_of(every) => {
                Err(StoreError::unavailable("the connection was lost before the commit"))
            }
            ViewFaults::CommitDone { every } if count.is_multiple_of(every) => {
                self.views.commit(projection, batch).await?;
                Err(StoreError::unavailable("the connection was lost after the commit"))
            }
            _ => {
                self.wait().await;
                let committed = self.views.commit(projection, batch).await;
                self.wait().await;
                committed
            }
        }
    }

    async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Checkpoint>, StoreError> {
        self.views.checkpoint(projection).await
    }

    async fn find(&self, projection: &ProjectionId, query: ViewQuery) -> Result<ViewPage, StoreError> {
        self.views.find(projection, query).await
    }

    async fn changed(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<StoredView>, StoreError> {
        self.views.changed(projection, after, limit).await
    }

    async fn parked(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<Parked>, StoreError> {
        self.views.parked(projection, after, limit).await
    }

    async fn serving(&self, name: &str) -> Result<Option<u32>, StoreError> {
        self.views.serving(name).await
    }

    async fn serve(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        self.views.serve(projection).await
    }

    async fn remove(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        self.views.remove(projection).await
    }
}
