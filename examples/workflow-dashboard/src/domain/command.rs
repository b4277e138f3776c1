//! What a workflow can be told.

use eventsource_core::Command;
use serde::{Deserialize, Serialize};

use super::json::Json;

/// An order to one workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkflowCommand {
    /// Begin a workflow that does not exist yet.
    StartWorkflow {
        /// Its id, chosen by the caller.
        workflow_id: String,
        /// What kind of workflow it is.
        definition: String,
        /// Who or what began it.
        initiator: String,
        /// What it begins with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initial_params: Option<Json>,
    },
    /// Begin a step, or its next occurrence.
    StartStep {
        /// Which workflow.
        workflow_id: String,
        /// Which step.
        step: String,
    },
    /// Report that the running occurrence of a step is done.
    CompleteStep {
        /// Which workflow.
        workflow_id: String,
        /// Which step.
        step: String,
        /// What came out of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
    },
    /// Report that the running occurrence of a step failed; the workflow has failed with it.
    FailStep {
        /// Which workflow.
        workflow_id: String,
        /// Which step.
        step: String,
        /// Why, for people.
        reason: String,
    },
    /// Begin another attempt at a failed step.
    RetryStep {
        /// Which workflow.
        workflow_id: String,
        /// Which step.
        step: String,
    },
    /// Call the workflow off for good.
    CancelWorkflow {
        /// Which workflow.
        workflow_id: String,
        /// Why, for people.
        reason: String,
    },
    /// End the workflow as it should end.
    CompleteWorkflow {
        /// Which workflow.
        workflow_id: String,
    },
}

impl WorkflowCommand {
    /// The workflow it is for.
    #[must_use]
    pub fn workflow_id(&self) -> &str {
        match self {
            Self::StartWorkflow { workflow_id, .. }
            | Self::StartStep { workflow_id, .. }
            | Self::CompleteStep { workflow_id, .. }
            | Self::FailStep { workflow_id, .. }
            | Self::RetryStep { workflow_id, .. }
            | Self::CancelWorkflow { workflow_id, .. }
            | Self::CompleteWorkflow { workflow_id } => workflow_id,
        }
    }

    /// Which kind of order it is.
    #[must_use]
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::StartWorkflow { .. } => CommandKind::StartWorkflow,
            Self::StartStep { .. } => CommandKind::StartStep,
            Self::CompleteStep { .. } => CommandKind::CompleteStep,
            Self::FailStep { .. } => CommandKind::FailStep,
            Self::RetryStep { .. } => CommandKind::RetryStep,
            Self::CancelWorkflow { .. } => CommandKind::CancelWorkflow,
            Self::CompleteWorkflow { .. } => CommandKind::CompleteWorkflow,
        }
    }
}

impl Command for WorkflowCommand {
    fn name(&self) -> &'static str {
        self.kind().as_str()
    }

    fn aggregate_key(&self) -> &str {
        self.workflow_id()
    }
}

/// The kinds of order a workflow knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// See [`WorkflowCommand::StartWorkflow`].
    StartWorkflow,
    /// See [`WorkflowCommand::StartStep`].
    StartStep,
    /// See [`WorkflowCommand::CompleteStep`].
    CompleteStep,
    /// See [`WorkflowCommand::FailStep`].
    FailStep,
    /// See [`WorkflowCommand::RetryStep`].
    RetryStep,
    /// See [`WorkflowCommand::CancelWorkflow`].
    CancelWorkflow,
    /// See [`WorkflowCommand::CompleteWorkflow`].
    CompleteWorkflow,
}

impl CommandKind {
    /// The command's name: `complete-step`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartWorkflow => "start-workflow",
            Self::StartStep => "start-step",
            Self::CompleteStep => "complete-step",
            Self::FailStep => "fail-step",
            Self::RetryStep => "retry-step",
            Self::CancelWorkflow => "cancel-workflow",
            Self::CompleteWorkflow => "complete-workflow",
        }
    }
}
