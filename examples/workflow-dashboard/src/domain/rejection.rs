//! What the rules say when they say no.

use eventsource_core::Rejection;

use super::{
    limits::{InvalidCommand, JSON_BYTES_PER_WORKFLOW_MAX, STEPS_MAX},
    status::WorkflowStatus,
};

/// Why a workflow does not carry out a command, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowRejection {
    /// There is no such workflow.
    #[error("workflow {workflow} does not exist, start it first")]
    NotStarted {
        /// Which workflow.
        workflow: String,
    },
    /// The id is taken.
    #[error("workflow {workflow} exists already, start it under another id")]
    AlreadyStarted {
        /// Which workflow.
        workflow: String,
    },
    /// Nothing can happen to it any more.
    #[error("workflow {workflow} is {status}, which is final")]
    Ended {
        /// Which workflow.
        workflow: String,
        /// How it ended.
        status: WorkflowStatus,
    },
    /// A failed workflow waits for a retry.
    #[error("workflow {workflow} failed at step {step}, retry that step or cancel the workflow")]
    Failed {
        /// Which workflow.
        workflow: String,
        /// The step that failed.
        step: String,
    },
    /// One occurrence of a step at a time.
    #[error(
        "step {step} of workflow {workflow} is running already (occurrence {occurrence}), complete or fail it first"
    )]
    StepRunning {
        /// Which workflow.
        workflow: String,
        /// Which step.
        step: String,
        /// The occurrence that is running.
        occurrence: u32,
    },
    /// Only a running step can be completed or fail.
    #[error("step {step} of workflow {workflow} is not running, start it first")]
    StepNotRunning {
        /// Which workflow.
        workflow: String,
        /// Which step.
        step: String,
    },
    /// Only a failed step can be retried.
    #[error("step {step} of workflow {workflow} has not failed, only a failed step can be retried")]
    StepNotFailed {
        /// Which workflow.
        workflow: String,
        /// Which step.
        step: String,
    },
    /// A workflow does not end under its steps.
    #[error("workflow {workflow} cannot be completed while step {step} is running, complete that step first")]
    StepsUnfinished {
        /// Which workflow.
        workflow: String,
        /// A step that is running.
        step: String,
    },
    /// The workflow holds as many steps as it may.
    #[error("workflow {workflow} has {STEPS_MAX} steps, which is the most it may have; continue in another workflow")]
    TooManySteps {
        /// Which workflow.
        workflow: String,
    },
    /// The workflow holds as much JSON as it may.
    #[error(
        "workflow {workflow} would hold more than {JSON_BYTES_PER_WORKFLOW_MAX} bytes of parameters, outputs and \
         reasons; keep large results elsewhere and store a link"
    )]
    TooMuchData {
        /// Which workflow.
        workflow: String,
    },
    /// No workflow could take this command.
    #[error("command for workflow {workflow} is invalid: {reason}")]
    Invalid {
        /// Which workflow.
        workflow: String,
        /// What is wrong with it.
        reason: InvalidCommand,
    },
}

impl Rejection for WorkflowRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "workflow-not-found",
            Self::AlreadyStarted { .. } => "workflow-exists",
            Self::Ended { .. } => "workflow-ended",
            Self::Failed { .. } => "workflow-failed",
            Self::StepRunning { .. } => "step-running",
            Self::StepNotRunning { .. } => "step-not-running",
            Self::StepNotFailed { .. } => "step-not-failed",
            Self::StepsUnfinished { .. } => "steps-unfinished",
            Self::TooManySteps { .. } => "too-many-steps",
            Self::TooMuchData { .. } => "too-much-data",
            Self::Invalid { reason, .. } => reason.code(),
        }
    }
}
