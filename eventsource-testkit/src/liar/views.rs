//! A view store that lies in one way.

use std::num::NonZeroU32;

use async_trait::async_trait;
use eventsource_core::{
    Checkpoint, PAGE_MAX, Parked, Position, ProjectionId, StoreError, StoredView, ViewBatch, ViewPage, ViewQuery,
    ViewStore, memory::MemoryViews,
};

/// How [`LyingViews`] lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewLie {
    /// A cursor is a count of views to skip, so changes shift the pages. Law 15.
    SkipsByCount,
    /// Removed views are not among the changed ones. Law 15.
    HidesRemoved,
    /// The checkpoint is written before the views it stands for. Law 16.
    CheckpointFirst,
    /// The checkpoint is written after the views, in a step of its own. Law 16.
    CheckpointLast,
    /// The version that serves can be removed. Law 18.
    RemovesServing,
}

/// Views in memory that lie in one way and are honest otherwise.
///
/// ```
/// use eventsource_testkit::liar::{LyingViews, ViewLie};
///
/// let views = LyingViews::new(ViewLie::CheckpointFirst);
/// ```
#[derive(Clone, Debug)]
pub struct LyingViews {
    views: MemoryViews,
    lie: ViewLie,
}

impl LyingViews {
    /// An empty store that lies in this way.
    #[must_use]
    pub fn new(lie: ViewLie) -> Self {
        Self { views: MemoryViews::new(), lie }
    }

    async fn skip_by_count(&self, projection: &ProjectionId, mut query: ViewQuery) -> Result<ViewPage, StoreError> {
        let skipped: usize = match query.after.take() {
            Some(cursor) => cursor.parse().map_err(|_| StoreError::invalid("a cursor is a number"))?,
            None => 0,
        };
        let limit = usize::try_from(query.limit.min(PAGE_MAX)).unwrap_or(usize::MAX);
        let mut all = Vec::new();
        query.limit = PAGE_MAX;
        let total = loop {
            let page = self.views.find(projection, query.clone()).await?;
            query.after = page.views.last().map(|last| last.cursor.clone());
            all.extend(page.views);
            if !page.more {
                break page.total;
            }
        };
        let more = all.len() > skipped + limit;
        let mut views: Vec<_> = all.into_iter().skip(skipped).take(limit).collect();
        for (found, place) in views.iter_mut().zip(skipped + 1..) {
            found.cursor = place.to_string();
        }
        Ok(ViewPage { views, more, total })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ViewStore for LyingViews {
    async fn prepare(&self, projection: &ProjectionId, indexes: &[&str]) -> Result<(), StoreError> {
        self.views.prepare(projection, indexes).await
    }

    async fn load(&self, projection: &ProjectionId, keys: &[String]) -> Result<Vec<Option<StoredView>>, StoreError> {
        self.views.load(projection, keys).await
    }

    async fn commit(&self, projection: &ProjectionId, mut batch: ViewBatch) -> Result<(), StoreError> {
        let mut checkpoint = ViewBatch::default();
        match self.lie {
            ViewLie::CheckpointFirst => {
                checkpoint.checkpoint = batch.checkpoint.take();
                self.views.commit(projection, checkpoint).await?;
                tokio::task::yield_now().await;
                self.views.commit(projection, batch).await
            }
            ViewLie::CheckpointLast => {
                checkpoint.checkpoint = batch.checkpoint.take();
                self.views.commit(projection, batch).await?;
                tokio::task::yield_now().await;
                self.views.commit(projection, checkpoint).await
            }
            _ => self.views.commit(projection, batch).await,
        }
    }

    async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Checkpoint>, StoreError> {
        self.views.checkpoint(projection).await
    }

    async fn find(&self, projection: &ProjectionId, query: ViewQuery) -> Result<ViewPage, StoreError> {
        match self.lie {
            ViewLie::SkipsByCount => self.skip_by_count(projection, query).await,
            _ => self.views.find(projection, query).await,
        }
    }

    async fn changed(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<StoredView>, StoreError> {
        let mut changed = self.views.changed(projection, after, limit).await?;
        if self.lie == ViewLie::HidesRemoved {
            changed.retain(|view| view.body.is_some());
        }
        Ok(changed)
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
        match self.views.remove(projection).await {
            Err(StoreError::Invalid { .. }) if self.lie == ViewLie::RemovesServing => Ok(()),
            removed => removed,
        }
    }
}
