//! Workflows as clients see them.

use std::sync::Arc;

use async_graphql::{Enum, Error, ID, Object, SimpleObject, connection::PageInfo};
use eventsource_core::{LivePage, LiveView, Position, Version};
use eventsource_graphql::{Json, PositionScalar, Timestamp, internal_error};
use serde_json::value::RawValue;

use super::command::input_field;
use crate::{
    domain,
    projections::{StepView, WorkflowView},
};

/// Where a workflow stands.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::WorkflowStatus")]
pub(super) enum WorkflowStatus {
    /// Under way.
    Running,
    /// Ended as it should; final.
    Completed,
    /// A step failed and was not retried yet.
    Failed,
    /// Called off; final.
    Cancelled,
}

/// Where one occurrence of a step stands.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::StepStatus")]
pub(super) enum StepStatus {
    /// Under way.
    Running,
    /// Done.
    Completed,
    /// Failed at its last attempt.
    Failed,
}

/// One workflow at one version.
#[derive(Clone, Debug)]
pub(super) struct Workflow {
    key: Arc<str>,
    version: Option<Version>,
    position: Option<Position>,
    view: Arc<WorkflowView>,
}

impl Workflow {
    /// The workflow of this view.
    pub(super) fn new(
        key: Arc<str>,
        version: Option<Version>,
        position: Option<Position>,
        view: Arc<WorkflowView>,
    ) -> Self {
        Self { key, version, position, view }
    }

    /// The workflow of a live view; `None` when the view was removed.
    pub(super) fn of_live(live: LiveView<WorkflowView>) -> Option<Self> {
        Some(Self { key: live.key, version: live.version, position: live.position, view: live.view? })
    }
}

/// One workflow.
#[Object]
impl Workflow {
    /// Its id, chosen by whoever started it.
    async fn workflow_id(&self) -> ID {
        ID(self.key.to_string())
    }

    /// What kind of workflow it is.
    async fn definition(&self) -> &str {
        &self.view.definition
    }

    /// Who or what began it.
    async fn initiator(&self) -> &str {
        &self.view.initiator
    }

    /// Where it stands.
    async fn status(&self) -> WorkflowStatus {
        self.view.status.into()
    }

    /// How many events have happened to it.
    async fn version(&self) -> u64 {
        Version::value_of(self.version)
    }

    /// Place of its last event among all events.
    async fn position(&self) -> PositionScalar {
        self.position.into()
    }

    /// When it began.
    async fn started_at(&self) -> Result<Timestamp, Error> {
        timestamp(&self.view.started_at)
    }

    /// When its last event was recorded.
    async fn updated_at(&self) -> Result<Timestamp, Error> {
        timestamp(&self.view.updated_at)
    }

    /// When it was completed or cancelled.
    async fn ended_at(&self) -> Result<Option<Timestamp>, Error> {
        self.view.ended_at.as_deref().map(timestamp).transpose()
    }

    /// How many occurrences of steps are completed.
    async fn completed_steps(&self) -> u32 {
        self.view.completed_steps
    }

    /// What it began with.
    async fn initial_params(&self) -> Option<Json> {
        self.view.initial_params.as_ref().map(json)
    }

    /// Why it was cancelled, or why the step failed that keeps it failed.
    async fn reason(&self) -> Option<&str> {
        self.view.reason.as_deref()
    }

    /// The trace of its last event: 32 hexadecimal digits.
    async fn trace_id(&self) -> Option<&str> {
        self.view.trace_id.as_deref()
    }

    /// Every occurrence of every step, in the order in which they began.
    #[graphql(complexity = "10 + 10 * child_complexity")]
    async fn steps(&self) -> Vec<Step<'_>> {
        self.view.steps.iter().map(Step).collect()
    }

    /// Commands that would be accepted now, as the field names of WorkflowCommandInput.
    async fn legal_commands(&self) -> Vec<&'static str> {
        self.view.legal_commands().into_iter().map(input_field).collect()
    }
}

/// One occurrence of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a>(&'a StepView);

/// One occurrence of a step.
#[Object]
impl Step<'_> {
    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Which time a step of this name began: 1, 2, 3 …
    async fn occurrence(&self) -> u32 {
        self.0.occurrence
    }

    /// Its latest attempt: 1, 2, 3 …
    async fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Where that stands.
    async fn status(&self) -> StepStatus {
        self.0.status.into()
    }

    /// When the first attempt began.
    async fn started_at(&self) -> Result<Timestamp, Error> {
        timestamp(&self.0.started_at)
    }

    /// When it was completed.
    async fn completed_at(&self) -> Result<Option<Timestamp>, Error> {
        self.0.completed_at.as_deref().map(timestamp).transpose()
    }

    /// What came out of it.
    async fn output(&self) -> Option<Json> {
        self.0.output.as_ref().map(json)
    }

    /// Why the latest attempt failed.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }
}

/// A workflow and the cursor that continues after it.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct WorkflowEdge {
    /// Continue after this workflow with `after`.
    cursor: String,
    /// The workflow.
    node: Workflow,
}

/// A page of workflows.
#[derive(Clone, Debug)]
pub(super) struct WorkflowConnection {
    total: u64,
    has_previous_page: bool,
    has_next_page: bool,
    edges: Vec<WorkflowEdge>,
}

impl WorkflowConnection {
    /// The page that was found.
    pub(super) fn new(page: LivePage<WorkflowView>, is_first: bool) -> Self {
        let edges = page
            .views
            .into_iter()
            .filter_map(|found| Some(WorkflowEdge { cursor: found.cursor, node: Workflow::of_live(found.view)? }));
        Self {
            total: page.total,
            has_previous_page: !is_first && page.total > 0,
            has_next_page: page.more,
            edges: edges.collect(),
        }
    }
}

/// A page of workflows.
#[Object]
impl WorkflowConnection {
    /// All workflows that match, on this page or not.
    async fn total_count(&self) -> u64 {
        self.total
    }

    /// The workflows of this page, each with its cursor.
    async fn edges(&self) -> &[WorkflowEdge] {
        &self.edges
    }

    /// The workflows of this page.
    async fn nodes(&self) -> Vec<&Workflow> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// Whether there is more, and where.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous_page,
            has_next_page: self.has_next_page,
            start_cursor: self.edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.clone()),
        }
    }
}

fn timestamp(text: &str) -> Result<Timestamp, Error> {
    text.parse().map_err(|error| internal_error(&error))
}

fn json(json: &domain::Json) -> Json {
    Box::<RawValue>::from(json).into()
}
