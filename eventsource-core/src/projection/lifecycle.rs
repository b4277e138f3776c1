//! Versions of a projection: which one is served, which one is built, which ones go.

use std::sync::Arc;

use super::error::ProjectionError;
use crate::{
    store::StoreError,
    view::{Checkpoint, ProjectionId, ViewBatch, ViewStore},
};

/// How many of the versions just below the served one are looked at for remains of a build that was
/// given up or of a removal that was cut short.
const REMAINS_MAX: u32 = 16;

/// One version of a projection, and the store it lives in.
pub(super) struct Lifecycle {
    pub(super) projection: ProjectionId,
    pub(super) views: Arc<dyn ViewStore>,
}

/// How a version was found when it was opened.
pub(super) struct Opened {
    pub(super) checkpoint: Checkpoint,
    pub(super) serving: bool,
}

impl Lifecycle {
    /// Makes this version ready to be written. A projection without any version is served at once.
    pub(super) async fn open(&self, indexes: &[&str]) -> Result<Opened, ProjectionError> {
        let serving = self.check().await?;
        let checkpoint = self.prepare(indexes).await.map_err(|source| self.store_error(source))?;
        match serving {
            Some(version) if version == self.projection.version => {
                self.remove_older(None).await;
                Ok(Opened { checkpoint, serving: true })
            }
            Some(older) => {
                tracing::info!(projection = %self.projection, serving = older, "building views beside the serving version");
                Ok(Opened { checkpoint, serving: false })
            }
            None => {
                self.views.serve(&self.projection).await.map_err(|source| self.store_error(source))?;
                Ok(Opened { checkpoint, serving: true })
            }
        }
    }

    /// The version being served, which must not be newer than this one.
    pub(super) async fn check(&self) -> Result<Option<u32>, ProjectionError> {
        let serving = self.views.serving(&self.projection.name).await.map_err(|source| self.store_error(source))?;
        match serving {
            Some(serving) if serving > self.projection.version => {
                Err(ProjectionError::Superseded { projection: self.projection.clone(), serving })
            }
            other => Ok(other),
        }
    }

    /// Switches queries over to this version unless the one being served has come further. Says
    /// whether this version is served now, and which one was before.
    pub(super) async fn switch(&self, checkpoint: Checkpoint) -> Result<Switch, ProjectionError> {
        let Some(older) = self.check().await?.filter(|serving| *serving < self.projection.version) else {
            return Ok(Switch::Done { older: None });
        };
        let older_id = ProjectionId { name: self.projection.name.clone(), version: older };
        let older_at = self.views.checkpoint(&older_id).await.map_err(|source| self.store_error(source))?;
        if older_at.is_some_and(|older_at| older_at.position > checkpoint.position) {
            return Ok(Switch::Behind);
        }
        self.views.serve(&self.projection).await.map_err(|source| self.store_error(source))?;
        tracing::info!(projection = %self.projection, older, position = ?checkpoint.position, "views switched over");
        Ok(Switch::Done { older: Some(older) })
    }

    /// Removes the version that was served before, and remains of others. A failure is no harm: what
    /// is left is removed at the next start.
    pub(super) async fn remove_older(&self, served_before: Option<u32>) {
        let own = self.projection.version;
        let near = (own.saturating_sub(REMAINS_MAX)..own).filter(|version| Some(*version) != served_before);
        for version in served_before.into_iter().chain(near) {
            let older = ProjectionId { name: self.projection.name.clone(), version };
            let removed = match self.views.checkpoint(&older).await {
                Ok(Some(_)) => self.views.remove(&older).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(projection = %older, error = %error, "old views not removed, will try at the next start");
                return;
            }
        }
    }

    /// The checkpoint is written before the first event, so that a crash early on starts again here.
    async fn prepare(&self, indexes: &[&str]) -> Result<Checkpoint, StoreError> {
        self.views.prepare(&self.projection, indexes).await?;
        if let Some(checkpoint) = self.views.checkpoint(&self.projection).await? {
            return Ok(checkpoint);
        }
        let checkpoint = Checkpoint { position: None };
        let batch = ViewBatch { checkpoint: Some(checkpoint), ..ViewBatch::default() };
        self.views.commit(&self.projection, batch).await?;
        Ok(checkpoint)
    }

    pub(super) fn store_error(&self, source: StoreError) -> ProjectionError {
        ProjectionError::Store { projection: self.projection.clone(), source }
    }
}

/// What became of an attempt to switch over.
pub(super) enum Switch {
    /// This version is served.
    Done { older: Option<u32> },
    /// The version being served has come further; it would be a step back.
    Behind,
}
