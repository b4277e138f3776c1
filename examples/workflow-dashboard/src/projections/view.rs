//! The view of one workflow, as it is stored and shown.

use serde::{Deserialize, Serialize};

use crate::domain::{CommandKind, Json, StepStatus, WorkflowStatus, legal_commands};

/// One workflow with all its steps. Times are RFC 3339 texts in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkflowView {
    /// Its id: the view's key once more, so that views can be sorted by it either way.
    pub workflow_id: String,
    /// Where it stands.
    pub status: WorkflowStatus,
    /// What kind of workflow it is.
    pub definition: String,
    /// Who or what began it.
    pub initiator: String,
    /// When it began.
    pub started_at: String,
    /// When its last event was recorded.
    pub updated_at: String,
    /// When it was completed or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// How many occurrences of steps are completed.
    pub completed_steps: u32,
    /// What it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_params: Option<Json>,
    /// Why it was cancelled, or why the step failed that keeps it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The W3C trace id of its last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Every occurrence of every step, in the order in which they began.
    pub steps: Vec<StepView>,
}

/// One occurrence of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepView {
    /// What it is called.
    pub name: String,
    /// Which time a step of this name began, from 1.
    pub occurrence: u32,
    /// Its latest attempt, from 1.
    pub attempt: u32,
    /// Where that stands.
    pub status: StepStatus,
    /// When the first attempt began.
    pub started_at: String,
    /// When it was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// What came out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Why the latest attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl WorkflowView {
    /// The kinds of command the workflow would accept now, given the right step.
    #[must_use]
    pub fn legal_commands(&self) -> Vec<CommandKind> {
        legal_commands(Some(self.status), self.steps_that_are(StepStatus::Running).next().is_some())
    }

    /// Occurrences that stand so, the latest first.
    pub(super) fn steps_that_are(&self, status: StepStatus) -> impl Iterator<Item = &StepView> {
        self.steps.iter().rev().filter(move |step| step.status == status)
    }
}
