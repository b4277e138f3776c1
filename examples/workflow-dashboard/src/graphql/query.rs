//! What can be asked.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};
use eventsource_core::{Aggregate, Direction, Search, StreamId, Version, ViewQuery};
use eventsource_graphql::{
    EventConnection, EventNode, command_id, history, internal_error, live_error, page_cost, page_size, store_error,
    stream_id_error, wait_time,
};

use super::{
    Services,
    command::CommandOutcome,
    invalid,
    status::{PARKED_MAX, ProjectionStatus, SystemStatus},
    workflow::{Workflow, WorkflowConnection, WorkflowStatus},
};
use crate::{
    domain,
    projections::{FoldError, view_at},
};

/// Longest text to search for, in characters.
const SEARCH_CHARS_MAX: usize = 200;
/// Items in a page when `first` is absent or null.
const FIRST_DEFAULT: i32 = 50;
/// Cost of a field that reads every view, or a whole stream, however little of it is asked for.
const SCAN_COST: usize = 100;

/// In which order workflows are listed. Ties are broken by id.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkflowOrder {
    /// Latest change first.
    UpdatedDesc,
    /// Latest change last.
    UpdatedAsc,
    /// Latest start first.
    StartedDesc,
    /// Latest start last.
    StartedAsc,
    /// By id.
    IdAsc,
    /// By id, backwards.
    IdDesc,
}

/// How many workflows there are.
#[derive(SimpleObject, Clone, Copy, Debug)]
pub(super) struct WorkflowCounts {
    /// All of them.
    total: u64,
    /// Under way.
    running: u64,
    /// Ended as they should.
    completed: u64,
    /// Waiting for a retry.
    failed: u64,
    /// Called off.
    cancelled: u64,
}

/// An event of a workflow.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct WorkflowEvent {
    #[graphql(flatten)]
    event: EventNode,
}

impl From<EventNode> for WorkflowEvent {
    fn from(event: EventNode) -> Self {
        Self { event }
    }
}

/// The root of queries.
#[derive(Clone, Copy, Debug)]
pub struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// One workflow. With `atLeastVersion` the answer waits until the workflow is shown at that version or a
    /// later one, for at most `timeoutMs`; then it is the error NOT_YET_VISIBLE.
    async fn workflow(
        &self,
        context: &Context<'_>,
        id: ID,
        at_least_version: Option<i64>,
        timeout_ms: Option<i64>,
    ) -> Result<Option<Workflow>, Error> {
        let live = &services(context)?.live;
        let found = match at_least_version.map(version).transpose()?.flatten() {
            Some(version) => live.wait_for(&id, version, wait_time(timeout_ms)?).await.map(Some),
            None => live.get(&id).await,
        };
        Ok(found.map_err(|error| live_error(&error))?.and_then(Workflow::of_live))
    }

    /// Workflows, a page at a time. `search` looks in id, definition and initiator, whatever the case.
    #[graphql(complexity = "SCAN_COST + page_cost(first.unwrap_or(FIRST_DEFAULT), child_complexity)")]
    async fn workflows(
        &self,
        context: &Context<'_>,
        status: Option<WorkflowStatus>,
        search: Option<String>,
        #[graphql(default_with = "Some(WorkflowOrder::UpdatedDesc)")] order_by: Option<WorkflowOrder>,
        #[graphql(default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        after: Option<String>,
    ) -> Result<WorkflowConnection, Error> {
        let is_first = after.is_none();
        let mut query = of_status(status.map(Into::into));
        query.search = search.map(search_text).transpose()?.flatten();
        query.order = order(order_by.unwrap_or(WorkflowOrder::UpdatedDesc));
        query.after = after;
        query.limit = page_size(first.unwrap_or(FIRST_DEFAULT));
        let page = services(context)?.live.find(query).await.map_err(|error| live_error(&error))?;
        Ok(WorkflowConnection::new(page, is_first))
    }

    /// How many workflows there are, in all and by status.
    #[graphql(complexity = "10 + child_complexity")]
    async fn workflow_counts(&self, context: &Context<'_>) -> Result<WorkflowCounts, Error> {
        let live = &services(context)?.live;
        let count = async |status| live.find(of_status(Some(status))).await.map(|page| page.total);
        let [running, completed, failed, cancelled] = domain::WorkflowStatus::ALL.map(count);
        let (running, completed, failed, cancelled) =
            futures::try_join!(running, completed, failed, cancelled).map_err(|error| live_error(&error))?;
        Ok(WorkflowCounts { total: running + completed + failed + cancelled, running, completed, failed, cancelled })
    }

    /// The events of a workflow, oldest first. A workflow that does not exist has none.
    #[graphql(complexity = "page_cost(first.unwrap_or(FIRST_DEFAULT), child_complexity)")]
    async fn workflow_history(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        after: Option<String>,
    ) -> Result<EventConnection<WorkflowEvent>, Error> {
        history(&*services(context)?.store, &stream(&id)?, first.unwrap_or(FIRST_DEFAULT), after.as_deref()).await
    }

    /// The workflow as it was at that version; null when it never had it.
    #[graphql(complexity = "SCAN_COST + child_complexity")]
    async fn workflow_at(&self, context: &Context<'_>, id: ID, version: i64) -> Result<Option<Workflow>, Error> {
        let Some(version) = self::version(version)? else { return Ok(None) };
        let events = services(context)?.store.read_stream(&stream(&id)?, None, Direction::Forward);
        let folded = view_at(events, version).await.map_err(|error| match error {
            FoldError::Store(error) => store_error(&error),
            other => internal_error(&other),
        })?;
        let key: Arc<str> = id.as_str().into();
        Ok(folded
            .and_then(|folded| Some(Workflow::new(key, Some(folded.version), folded.position, Arc::new(folded.view?)))))
    }

    /// What became of a command; null while it is not decided, or was never sent.
    async fn command_outcome(&self, context: &Context<'_>, command_id: ID) -> Result<Option<CommandOutcome>, Error> {
        let Some(id) = self::command_id(Some(&command_id))? else { return Ok(None) };
        let outcome = services(context)?.commands.outcome(id).await.map_err(|error| store_error(&error))?;
        Ok(outcome.map(|outcome| CommandOutcome::new(id, &outcome)))
    }

    /// The store and its projections.
    async fn system_status(&self, context: &Context<'_>) -> Result<SystemStatus, Error> {
        let services = services(context)?;
        let head = services.store.head().await.map_err(|error| store_error(&error))?;
        let progress = services.projection.progress();
        let parked = match progress.parked {
            0 => Vec::new(),
            _ => services.projection.parked(None, PARKED_MAX).await.map_err(|error| store_error(&error))?,
        };
        Ok(SystemStatus {
            store_id: ID(services.store_id.to_string()),
            head_position: head.into(),
            projections: vec![ProjectionStatus::new(&progress, head, parked)],
        })
    }
}

pub(super) fn services<'a>(context: &Context<'a>) -> Result<&'a Services, Error> {
    context.data::<Services>()
}

/// The stream of a workflow.
pub(super) fn stream(id: &ID) -> Result<StreamId, Error> {
    StreamId::new(domain::Workflow::CATEGORY, id).map_err(|error| stream_id_error(&error))
}

/// A version, or `None` for 0, which every workflow has had before it was started.
pub(super) fn version(version: i64) -> Result<Option<Version>, Error> {
    u64::try_from(version).map(Version::new).map_err(|_| invalid("a version is 0 or more"))
}

/// Workflows of this status, without a page: the count alone.
fn of_status(status: Option<domain::WorkflowStatus>) -> ViewQuery {
    let mut query = ViewQuery::default();
    query.equal.extend(status.map(|status| (Cow::Borrowed("status"), status.as_str().to_owned())));
    query
}

fn search_text(text: String) -> Result<Option<Search>, Error> {
    if text.chars().count() > SEARCH_CHARS_MAX {
        return Err(invalid(format!("search has at most {SEARCH_CHARS_MAX} characters")));
    }
    let fields = vec![Cow::Borrowed("definition"), Cow::Borrowed("initiator")];
    Ok(if text.is_empty() { None } else { Some(Search { fields, text }) })
}

fn order(order: WorkflowOrder) -> Option<(Cow<'static, str>, Direction)> {
    let (field, direction) = match order {
        WorkflowOrder::UpdatedDesc => ("updatedAt", Direction::Backward),
        WorkflowOrder::UpdatedAsc => ("updatedAt", Direction::Forward),
        WorkflowOrder::StartedDesc => ("startedAt", Direction::Backward),
        WorkflowOrder::StartedAsc => ("startedAt", Direction::Forward),
        WorkflowOrder::IdAsc => return None,
        WorkflowOrder::IdDesc => ("workflowId", Direction::Backward),
    };
    Some((Cow::Borrowed(field), direction))
}
