//! Why a live query has no answer.

use std::sync::Arc;

use crate::{BoxError, store::StoreError, version::Version, view::ProjectionId};

/// Why a live query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The view store cannot be read, or refuses the query.
    #[error("views cannot be read")]
    Store(#[from] StoreError),
    /// A view was written by a projector of another version, or is damaged.
    #[error("view {key:?} of {projection} does not fit this program's view type")]
    Unreadable {
        /// The projection being served.
        projection: ProjectionId,
        /// The view.
        key: String,
        /// What does not fit.
        source: BoxError,
    },
    /// The event is stored, the view does not show it yet. Ask again, or go on without.
    #[error("committed, not yet visible: {key:?} is at {}, wanted {wanted}", shown(*seen))]
    NotYetVisible {
        /// The view.
        key: String,
        /// The version asked for.
        wanted: Version,
        /// The version seen last; `None` when there was no view.
        seen: Option<Version>,
    },
    /// Another [`run`](crate::LiveQueries::run) of the same live queries is going on.
    #[error("live queries of {projection} are running already")]
    AlreadyRunning {
        /// The projection's name.
        projection: &'static str,
    },
}

fn shown(seen: Option<Version>) -> String {
    seen.map_or_else(|| "no version".to_owned(), |version| version.to_string())
}

/// A view that cannot be decoded, told to everyone who watches it.
#[derive(Clone, Debug)]
pub(super) struct Unreadable {
    pub(super) projection: ProjectionId,
    pub(super) key: Arc<str>,
    pub(super) reason: Arc<str>,
}

impl From<&Unreadable> for LiveError {
    fn from(unreadable: &Unreadable) -> Self {
        Self::Unreadable {
            projection: unreadable.projection.clone(),
            key: unreadable.key.as_ref().to_owned(),
            source: unreadable.reason.as_ref().into(),
        }
    }
}
