//! What can be watched.

use async_graphql::{Context, Error, ID, SimpleObject};
use eventsource_core::{LiveChanges, LiveError};
use eventsource_graphql::{PositionScalar, live, live_error};
use futures::{Stream, StreamExt, future};

use super::{
    every::every,
    invalid,
    query::{services, version},
    workflow::Workflow,
};
use crate::projections::WorkflowView;

/// Changed views in the order of their positions. `resync: true` means that the server could not keep the list of
/// changes for this client: `workflows` is empty, and the client must query again.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct WorkflowsChanged {
    /// Resume from here.
    position: PositionScalar,
    /// Whether changes were left out.
    resync: bool,
    /// Each in its newest state.
    workflows: Vec<Workflow>,
}

/// The root of subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Subscription;

/// What can be watched.
#[async_graphql::Subscription]
impl Subscription {
    /// The newest state of one workflow, then every newer one; with `afterVersion` nothing at or below it.
    /// Without an id the same of every workflow. Whoever reads slowly gets the newest state only.
    async fn workflow_updated(
        &self,
        context: &Context<'_>,
        id: Option<ID>,
        after_version: Option<i64>,
    ) -> Result<impl Stream<Item = Result<Workflow, Error>> + use<>, Error> {
        let queries = &services(context)?.live;
        let after = after_version.map(version).transpose()?.flatten();
        let states = match (&id, after) {
            (Some(id), after) => queries.watch(id, after),
            (None, None) => every(queries.clone()),
            (None, Some(_)) => return Err(invalid("afterVersion needs the id of the workflow it is about")),
        };
        // Views of workflows are never removed; should one be, there is no state to tell.
        let states = states.filter_map(|state| future::ready(state.map(Workflow::of_live).transpose()));
        Ok(live(states.boxed(), Ok, |error| live_error(&error)))
    }

    /// Workflows that changed, in batches, each in its newest state. The first item comes at once: without `after`
    /// it tells the present position, with the `position` of an earlier item what changed since.
    async fn workflows_changed(
        &self,
        context: &Context<'_>,
        after: Option<PositionScalar>,
    ) -> Result<impl Stream<Item = Result<WorkflowsChanged, Error>> + use<>, Error> {
        let live_queries = &services(context)?.live;
        let changes = match after.map(PositionScalar::position) {
            // Position 0 is a place as well: whoever saw an empty store must hear of the first event.
            Some(None) => live_queries.changes_from_start(),
            Some(after) => live_queries.changes(after),
            None => live_queries.changes(None),
        };
        Ok(live(changes, |changes| Ok(WorkflowsChanged::from(changes)), |error: LiveError| live_error(&error)))
    }
}

impl From<LiveChanges<WorkflowView>> for WorkflowsChanged {
    fn from(changes: LiveChanges<WorkflowView>) -> Self {
        Self {
            position: changes.position.into(),
            resync: changes.resync,
            workflows: changes.views.into_iter().filter_map(Workflow::of_live).collect(),
        }
    }
}
