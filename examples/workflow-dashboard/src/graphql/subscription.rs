//! What can be watched.

use async_graphql::{Context, Error, ID, SimpleObject};
use eventsource_core::{LiveChanges, LiveError, LiveView};
use eventsource_graphql::{PositionScalar, error_with_code, live};
use futures::{Stream, StreamExt, future, stream, stream::BoxStream};

use super::{
    invalid, live_error,
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
    /// Without an id every workflow that changes from now on. Whoever reads slowly gets the newest state only.
    async fn workflow_updated(
        &self,
        context: &Context<'_>,
        id: Option<ID>,
        after_version: Option<i64>,
    ) -> Result<impl Stream<Item = Result<Workflow, Error>> + use<>, Error> {
        let queries = &services(context)?.live;
        let after = after_version.map(version).transpose()?.flatten();
        let states = match (&id, after) {
            (Some(id), after) => {
                queries.watch(id, after).map(|state| state.map_err(|error| live_error(&error))).boxed()
            }
            (None, None) => each(queries.changes(None)),
            (None, Some(_)) => return Err(invalid("afterVersion needs the id of the workflow it is about")),
        };
        // Views of workflows are never removed; should one be, there is no state to tell.
        let states = states.filter_map(|state| future::ready(state.map(Workflow::of_live).transpose()));
        Ok(live(states.boxed(), Ok, |error| error))
    }

    /// Workflows that changed, in batches, each in its newest state. The first item comes at once: without `after`
    /// it tells the present position, with the `position` of an earlier item what changed since.
    async fn workflows_changed(
        &self,
        context: &Context<'_>,
        after: Option<PositionScalar>,
    ) -> Result<impl Stream<Item = Result<WorkflowsChanged, Error>> + use<>, Error> {
        let changes = services(context)?.live.changes(after.and_then(PositionScalar::position));
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

/// Changes one by one. Where some were left out the stream ends with an error that says so: a single state cannot.
fn each(
    changes: BoxStream<'static, Result<LiveChanges<WorkflowView>, LiveError>>,
) -> BoxStream<'static, Result<LiveView<WorkflowView>, Error>> {
    let states = changes.flat_map(|changes| {
        let states = match changes {
            Ok(changes) if changes.resync => {
                let message = "changes were left out: query the workflows, then subscribe again";
                vec![Err(error_with_code(message, "RESYNC"))]
            }
            Ok(changes) => changes.views.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(live_error(&error))],
        };
        stream::iter(states)
    });
    states.boxed()
}
