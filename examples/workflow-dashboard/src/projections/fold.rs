//! A view as it was: the fold of a stream's events up to a version.

use eventsource_core::{
    Codec, CodecError, Envelope, Position, ProjectError, Projector, RecordedEvent, StoreError, Version,
};
use futures::{TryStreamExt, stream::BoxStream};

use super::{projector::Workflows, view::WorkflowView};

/// A view and the event it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldedView {
    /// Version of the last event folded in.
    pub version: Version,
    /// Position of that event.
    pub position: Option<Position>,
    /// The view; `None` when the events leave none.
    pub view: Option<WorkflowView>,
}

/// Why events give no view.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The events cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// An event does not fit what came before.
    #[error("event {version} cannot be projected")]
    Project {
        /// Which event.
        version: Version,
        /// Why not.
        source: ProjectError,
    },
}

/// The view after the event of version `until`; `None` when there is no such event.
///
/// # Errors
/// When the events cannot be read, decoded or projected.
pub async fn view_at(
    mut events: BoxStream<'static, Result<RecordedEvent, StoreError>>,
    until: Version,
) -> Result<Option<FoldedView>, FoldError> {
    let mut fold = Fold::default();
    while let Some(record) = events.try_next().await? {
        fold.take_in(&record)?;
        if record.version == until {
            return Ok(fold.folded);
        }
    }
    Ok(None)
}

/// Folds one event after the other.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    codec: Codec<<Workflows as Projector>::Event>,
    pub(crate) folded: Option<FoldedView>,
}

impl Fold {
    /// Folds in one more event.
    pub(crate) fn take_in(&mut self, record: &RecordedEvent) -> Result<(), FoldError> {
        let mut view = self.folded.take().and_then(|folded| folded.view);
        for event in self.codec.decode(record)? {
            let envelope = Envelope { event, record: record.clone() };
            view = Workflows
                .project(view, &envelope)
                .map_err(|source| FoldError::Project { version: record.version, source })?;
        }
        self.folded = Some(FoldedView { version: record.version, position: record.position, view });
        Ok(())
    }
}
