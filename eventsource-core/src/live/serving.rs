//! Which version of the projection queries read, remembered for a while.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::lock::locked;
use crate::{
    store::StoreError,
    view::{ProjectionId, ViewStore},
};

/// The version that queries read.
#[derive(Clone, Debug)]
pub(super) struct Served {
    /// `None` while no version was ever served, so there is no view at all.
    pub(super) projection: Option<ProjectionId>,
    /// Rises with every switch to another version.
    pub(super) epoch: u64,
}

/// Asks for the version being served, and remembers it until it is old or known to be wrong.
pub(super) struct Serving {
    name: &'static str,
    views: Arc<dyn ViewStore>,
    fresh_for: Duration,
    known: Mutex<Known>,
}

struct Known {
    served: Served,
    /// Up to when it is good; `None` when it is not.
    until: Option<Instant>,
}

impl Serving {
    pub(super) fn new(name: &'static str, views: Arc<dyn ViewStore>, fresh_for: Duration) -> Self {
        let known = Known { served: Served { projection: None, epoch: 0 }, until: None };
        Self { name, views, fresh_for, known: Mutex::new(known) }
    }

    /// The version being served, as far as is known.
    pub(super) async fn current(&self) -> Result<Served, StoreError> {
        {
            let known = locked(&self.known);
            if known.until.is_some_and(|until| Instant::now() < until) {
                return Ok(known.served.clone());
            }
        }
        self.refresh().await
    }

    /// The version being served, asked for right now.
    pub(super) async fn refresh(&self) -> Result<Served, StoreError> {
        let version = self.views.serving(self.name).await?;
        let mut known = locked(&self.known);
        // The version being served only rises, so a late answer does not lead back.
        if version > known.served.projection.as_ref().map(|projection| projection.version) {
            known.served.projection = version.map(|version| ProjectionId { name: self.name.into(), version });
            known.served.epoch += 1;
        }
        known.until = known.served.projection.is_some().then(|| Instant::now() + self.fresh_for);
        Ok(known.served.clone())
    }

    /// Someone speaks of another version as the one being served: ask again next time.
    pub(super) fn doubt(&self, heard: &ProjectionId) {
        let mut known = locked(&self.known);
        if known.served.projection.as_ref() != Some(heard) {
            known.until = None;
        }
    }
}
