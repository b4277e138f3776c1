//! What can happen to a workflow.

use eventsource_core::Event;
use serde::{Deserialize, Serialize};

use super::json::Json;

/// Something that happened to a workflow; the stream says to which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkflowEvent {
    /// It began.
    WorkflowStarted {
        /// What kind of workflow it is.
        definition: String,
        /// Who or what began it.
        initiator: String,
        /// What it began with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initial_params: Option<Json>,
    },
    /// An occurrence of a step began, at its first attempt.
    StepStarted {
        /// Which step.
        step: String,
        /// 1 for the first time a step of this name began, then 2, 3 …
        occurrence: u32,
        /// 1.
        attempt: u32,
    },
    /// The occurrence is done.
    StepCompleted {
        /// Which step.
        step: String,
        /// Which time.
        occurrence: u32,
        /// The attempt that succeeded.
        attempt: u32,
        /// What came out of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Json>,
    },
    /// The occurrence failed, and the workflow with it.
    StepFailed {
        /// Which step.
        step: String,
        /// Which time.
        occurrence: u32,
        /// The attempt that failed.
        attempt: u32,
        /// Why, for people.
        reason: String,
    },
    /// Another attempt at a failed occurrence began.
    StepRetried {
        /// Which step.
        step: String,
        /// Which time.
        occurrence: u32,
        /// The attempt that began: 2, 3 …
        attempt: u32,
    },
    /// It was called off.
    WorkflowCancelled {
        /// Why, for people.
        reason: String,
    },
    /// It ended as it should.
    WorkflowCompleted,
}

impl Event for WorkflowEvent {
    const NAMES: &'static [&'static str] = &[
        "workflow-started",
        "step-started",
        "step-completed",
        "step-failed",
        "step-retried",
        "workflow-cancelled",
        "workflow-completed",
    ];

    fn name(&self) -> &'static str {
        match self {
            Self::WorkflowStarted { .. } => "workflow-started",
            Self::StepStarted { .. } => "step-started",
            Self::StepCompleted { .. } => "step-completed",
            Self::StepFailed { .. } => "step-failed",
            Self::StepRetried { .. } => "step-retried",
            Self::WorkflowCancelled { .. } => "workflow-cancelled",
            Self::WorkflowCompleted => "workflow-completed",
        }
    }
}
