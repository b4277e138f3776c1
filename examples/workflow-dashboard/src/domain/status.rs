//! What a workflow and a step can be, and which commands that leaves open.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::command::CommandKind;

/// Where a workflow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkflowStatus {
    /// Under way.
    Running,
    /// Ended as it should; final.
    Completed,
    /// A step failed and was not retried yet.
    Failed,
    /// Called off; final.
    Cancelled,
}

impl WorkflowStatus {
    /// Every status, in the order in which people read them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// The status as it is written everywhere: `RUNNING`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// Whether nothing can happen to the workflow any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

impl fmt::Display for WorkflowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where one occurrence of a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepStatus {
    /// Under way; a workflow that was cancelled meanwhile leaves it so.
    Running,
    /// Done.
    Completed,
    /// Failed at its last attempt.
    Failed,
}

/// The kinds of command that a workflow would accept now, given the right step.
///
/// `None` is a workflow that was never started. It asks for no more than a view knows, so that a
/// page can show the right buttons.
#[must_use]
pub fn legal_commands(status: Option<WorkflowStatus>, is_step_running: bool) -> Vec<CommandKind> {
    let at_a_step = if is_step_running { &[CommandKind::CompleteStep, CommandKind::FailStep][..] } else { &[] };
    match status {
        None => vec![CommandKind::StartWorkflow],
        Some(WorkflowStatus::Completed | WorkflowStatus::Cancelled) => Vec::new(),
        Some(WorkflowStatus::Running) => {
            let end = if is_step_running { None } else { Some(CommandKind::CompleteWorkflow) };
            let first = std::iter::once(CommandKind::StartStep);
            first.chain(at_a_step.iter().copied()).chain(end).chain([CommandKind::CancelWorkflow]).collect()
        }
        Some(WorkflowStatus::Failed) => {
            let first = std::iter::once(CommandKind::RetryStep);
            first.chain(at_a_step.iter().copied()).chain([CommandKind::CancelWorkflow]).collect()
        }
    }
}
