//! The projector role: folds events into views and pushes what changed.

use std::{future::Future, sync::Arc};

use eventsource_core::{EventStore, LiveError, LiveQueries, Projection, ProjectionError, ProjectionHandle, ViewStore};

use crate::projections::Workflows;

/// Folds the store's events into views, and pushes changed views to whoever watches.
#[derive(Debug)]
pub struct ProjectorRole {
    projection: Projection<Workflows>,
    live: LiveQueries<Workflows>,
}

/// Why the projector role stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectorError {
    /// The projection stopped.
    #[error("views are not folded any more")]
    Projection(#[from] ProjectionError),
    /// The live queries stopped.
    #[error("changed views are not pushed any more")]
    Live(#[from] LiveError),
}

impl ProjectorRole {
    /// Folds events of `store` into `views`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, views: Arc<dyn ViewStore>) -> Self {
        let live = LiveQueries::new(Arc::clone(&views));
        let projection = Projection::new(Workflows, store, views).with_doorbell(Arc::new(live.clone()));
        Self { projection, live }
    }

    /// Queries on the views, as they are and as they change.
    #[must_use]
    pub fn live(&self) -> LiveQueries<Workflows> {
        self.live.clone()
    }

    /// Watches and repairs the projection.
    #[must_use]
    pub fn handle(&self) -> ProjectionHandle {
        self.projection.handle()
    }

    /// Works until `shutdown` is done.
    ///
    /// # Errors
    /// When something is wrong that time does not heal.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + Clone) -> Result<(), ProjectorError> {
        let folding = async { Ok(self.projection.run(shutdown.clone()).await?) };
        let pushing = async { Ok(self.live.run(shutdown.clone()).await?) };
        // One without the other is no service: the first error ends both.
        futures::future::try_join(folding, pushing).await.map(drop)
    }
}
