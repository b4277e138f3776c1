//! Why a projection stops.

use crate::{BoxError, position::Position, store::StoreError, view::ProjectionId};

/// Why a projection stops. It never stops because a store is unavailable, nor because of one event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// Events or views cannot be read, or the view store refuses the projection. Repair it.
    #[error("projection {projection} stopped")]
    Store {
        /// The projection.
        projection: ProjectionId,
        /// What the store said.
        source: StoreError,
    },
    /// Queries read a newer version already, so this program is too old to write views.
    #[error("projection {projection} is superseded: version {serving} is being served")]
    Superseded {
        /// The projection.
        projection: ProjectionId,
        /// The version that queries read.
        serving: u32,
    },
    /// The views stand for events that the store does not hold: it was put back to an earlier copy,
    /// or the views belong to another store. Remove the views; they are built again.
    #[error(
        "views of {projection} stand for position {position}, the store ends at {}; remove them, they are built again",
        Position::value_of(*head)
    )]
    Ahead {
        /// The projection.
        projection: ProjectionId,
        /// What the views stand for.
        position: Position,
        /// Where the store ends.
        head: Option<Position>,
    },
    /// A stored view does not fit the projector's view type, or cannot be written as JSON.
    #[error("view {key:?} of {projection} does not fit; raise the projector's VERSION whenever the view changes shape")]
    View {
        /// The projection.
        projection: ProjectionId,
        /// The view.
        key: String,
        /// What does not fit.
        source: BoxError,
    },
    /// So many streams stand still that the projector itself must be wrong.
    #[error("projection {projection} has more than {allowed} parked streams, the last one because of: {reason}")]
    TooManyParked {
        /// The projection.
        projection: ProjectionId,
        /// Most streams that may stand still.
        allowed: usize,
        /// Why the last one was parked.
        reason: String,
    },
}

impl ProjectionError {
    /// Whether the engine goes on by itself after a pause.
    pub(super) const fn is_retryable(&self) -> bool {
        match self {
            Self::Store { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}
