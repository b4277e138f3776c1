//! What a workflow remembers of its past: just enough to decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    command::CommandKind,
    event::WorkflowEvent,
    json::Json,
    status::{StepStatus, WorkflowStatus, legal_commands},
};

/// A workflow as the fold of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workflow {
    pub(super) stage: Stage,
    pub(super) steps: BTreeMap<String, StepProgress>,
    pub(super) steps_total: u32,
    pub(super) steps_running: u32,
    pub(super) steps_failed: u32,
    pub(super) data_bytes: u64,
}

/// How far the workflow as a whole has come; whether it failed is told by its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    #[default]
    NotStarted,
    Open,
    Completed,
    Cancelled,
}

/// The latest occurrence of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepProgress {
    /// Which occurrence is the latest.
    pub occurrence: u32,
    /// Its latest attempt.
    pub attempt: u32,
    /// Where that stands.
    pub status: StepStatus,
}

impl Workflow {
    /// Where it stands; `None` when it was never started.
    #[must_use]
    pub const fn status(&self) -> Option<WorkflowStatus> {
        match self.stage {
            Stage::NotStarted => None,
            Stage::Open if self.steps_failed > 0 => Some(WorkflowStatus::Failed),
            Stage::Open => Some(WorkflowStatus::Running),
            Stage::Completed => Some(WorkflowStatus::Completed),
            Stage::Cancelled => Some(WorkflowStatus::Cancelled),
        }
    }

    /// The latest occurrence of `step`.
    #[must_use]
    pub fn step(&self, step: &str) -> Option<StepProgress> {
        self.steps.get(step).copied()
    }

    /// How many occurrences of steps have begun.
    #[must_use]
    pub const fn steps_started(&self) -> u32 {
        self.steps_total
    }

    /// The kinds of command it would accept now, given the right step.
    #[must_use]
    pub fn legal_commands(&self) -> Vec<CommandKind> {
        legal_commands(self.status(), self.steps_running > 0)
    }

    /// A step whose latest occurrence stands so; costs a search only when there is one.
    pub(super) fn step_that_is(&self, status: StepStatus) -> Option<&str> {
        let none = match status {
            StepStatus::Running => self.steps_running == 0,
            StepStatus::Failed => self.steps_failed == 0,
            StepStatus::Completed => false,
        };
        if none {
            return None;
        }
        self.steps.iter().find(|(_, progress)| progress.status == status).map(|(step, _)| step.as_str())
    }

    /// Takes in one event.
    pub(super) fn apply(&mut self, event: &WorkflowEvent) {
        match event {
            WorkflowEvent::WorkflowStarted { initial_params, .. } => {
                self.stage = Stage::Open;
                self.data_bytes += json_bytes(initial_params.as_ref());
            }
            WorkflowEvent::StepStarted { step, occurrence, attempt } => {
                self.steps_total += 1;
                self.note(step, *occurrence, *attempt, StepStatus::Running);
            }
            WorkflowEvent::StepRetried { step, occurrence, attempt } => {
                self.note(step, *occurrence, *attempt, StepStatus::Running);
            }
            WorkflowEvent::StepCompleted { step, occurrence, attempt, output } => {
                self.data_bytes += json_bytes(output.as_ref());
                self.note(step, *occurrence, *attempt, StepStatus::Completed);
            }
            WorkflowEvent::StepFailed { step, occurrence, attempt, reason } => {
                self.data_bytes += text_bytes(reason);
                self.note(step, *occurrence, *attempt, StepStatus::Failed);
            }
            WorkflowEvent::WorkflowCancelled { .. } => self.stage = Stage::Cancelled,
            WorkflowEvent::WorkflowCompleted => self.stage = Stage::Completed,
        }
    }

    fn note(&mut self, step: &str, occurrence: u32, attempt: u32, status: StepStatus) {
        let progress = StepProgress { occurrence, attempt, status };
        let before = match self.steps.get_mut(step) {
            Some(known) => Some(std::mem::replace(known, progress).status),
            None => {
                self.steps.insert(step.to_owned(), progress);
                None
            }
        };
        self.count(before, |count| count.saturating_sub(1));
        self.count(Some(status), |count| count + 1);
    }

    fn count(&mut self, status: Option<StepStatus>, change: impl Fn(u32) -> u32) {
        match status {
            Some(StepStatus::Running) => self.steps_running = change(self.steps_running),
            Some(StepStatus::Failed) => self.steps_failed = change(self.steps_failed),
            Some(StepStatus::Completed) | None => {}
        }
    }
}

/// How much room `json` takes.
pub(super) fn json_bytes(json: Option<&Json>) -> u64 {
    json.map_or(0, |json| text_bytes(json.as_str()))
}

/// How much room `text` takes.
pub(super) fn text_bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
