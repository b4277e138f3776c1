//! What others may ask of a projection that runs.

use std::{fmt, num::NonZeroU32, sync::Arc};

use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::progress::Progress;
use crate::{
    id::StreamId,
    position::Position,
    store::StoreError,
    view::{Parked, ProjectionId, ViewStore},
};

/// Watches a projection and repairs its parked streams. A clone is another handle on the same one.
///
/// ```
/// use eventsource_core::{HandleError, ProjectionHandle, Repaired, StreamId};
///
/// async fn mend(handle: &ProjectionHandle, stream: StreamId) -> Result<(), HandleError> {
///     if let Repaired::ParkedAgain(parked) = handle.retry(stream.clone()).await? {
///         eprintln!("{} still cannot be projected: {}", parked.event, parked.reason);
///         handle.discard(stream).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ProjectionHandle {
    pub(super) projection: ProjectionId,
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) running: watch::Receiver<bool>,
}

/// Asks the running loop to repair a stream, so that there is never a second writer.
pub(super) struct Request {
    pub(super) stream: StreamId,
    pub(super) repair: Repair,
    pub(super) answer: oneshot::Sender<Result<Repaired, HandleError>>,
}

/// What to do with the event at which a stream stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    Retry,
    Discard,
}

/// What became of a parked stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// It moves again: its views are where they would be had it never stood still.
    Released,
    /// It stands still again, at the same event or at a later one.
    ParkedAgain(Parked),
}

/// Why a request to a projection came to nothing. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The projection is not running in this process.
    #[error("projection {projection} is not running")]
    NotRunning {
        /// The projection.
        projection: ProjectionId,
    },
    /// The stream does not stand still.
    #[error("{stream} is not parked in projection {projection}")]
    NotParked {
        /// The projection.
        projection: ProjectionId,
        /// The stream.
        stream: StreamId,
    },
    /// A store failed or the projection was stopped in the middle. Look at what is parked, then ask again.
    #[error("projection {projection} was interrupted while it repaired {stream}")]
    Interrupted {
        /// The projection.
        projection: ProjectionId,
        /// The stream.
        stream: StreamId,
    },
}

impl ProjectionHandle {
    /// Which projection this is.
    #[must_use]
    pub const fn projection(&self) -> &ProjectionId {
        &self.projection
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// How far it has come, now and after every step that is seen. Ends when the projection does.
    #[must_use]
    pub fn watch(&self) -> BoxStream<'static, Progress> {
        let mut progress = self.progress.clone();
        progress.mark_changed();
        stream::unfold(progress, |mut progress| async move {
            progress.changed().await.ok()?;
            let newest = progress.borrow_and_update().clone();
            Some((newest, progress))
        })
        .boxed()
    }

    /// Returns once everything up to `position` is folded in, parked, or of no interest.
    ///
    /// # Errors
    /// `NotRunning` when the projection ends before that.
    pub async fn reached(&self, position: Position) -> Result<(), HandleError> {
        let mut progress = self.progress.clone();
        let waited = progress.wait_for(|progress| progress.position >= Some(position)).await;
        waited.map(drop).map_err(|_| self.not_running())
    }

    /// Streams that stand still, in the order of the events they stand at.
    ///
    /// # Errors
    /// When the view store cannot be asked.
    pub async fn parked(&self, after: Option<Position>, limit: NonZeroU32) -> Result<Vec<Parked>, StoreError> {
        self.views.parked(&self.projection, after, limit).await
    }

    /// Projects the event at which `stream` stands still again, then all that came after it.
    ///
    /// # Errors
    /// `NotRunning`, `NotParked`, or `Interrupted` when a store failed.
    ///
    /// # Cancel safety
    /// A request that was taken up is carried out even if this future is dropped.
    pub async fn retry(&self, stream: StreamId) -> Result<Repaired, HandleError> {
        self.ask(stream, Repair::Retry).await
    }

    /// Gives up the one event at which `stream` stands still, and projects all that came after it.
    ///
    /// # Errors
    /// `NotRunning`, `NotParked`, or `Interrupted` when a store failed.
    ///
    /// # Cancel safety
    /// A request that was taken up is carried out even if this future is dropped.
    pub async fn discard(&self, stream: StreamId) -> Result<Repaired, HandleError> {
        self.ask(stream, Repair::Discard).await
    }

    async fn ask(&self, stream: StreamId, repair: Repair) -> Result<Repaired, HandleError> {
        if !*self.running.borrow() {
            return Err(self.not_running());
        }
        let (answer, answered) = oneshot::channel();
        let request = Request { stream: stream.clone(), repair, answer };
        self.requests.send(request).await.map_err(|_| self.not_running())?;
        let interrupted = HandleError::Interrupted { projection: self.projection.clone(), stream };
        answered.await.unwrap_or(Err(interrupted))
    }

    fn not_running(&self) -> HandleError {
        HandleError::NotRunning { projection: self.projection.clone() }
    }
}

impl fmt::Debug for ProjectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectionHandle").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}
