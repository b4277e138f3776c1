//! The rules.

use eventsource_core::{Aggregate, Context};

use super::{
    command::WorkflowCommand,
    event::WorkflowEvent,
    json::Json,
    limits::{JSON_BYTES_PER_WORKFLOW_MAX, STEPS_MAX},
    rejection::WorkflowRejection,
    state::{StepProgress, Workflow, json_bytes, text_bytes},
    status::StepStatus,
};

impl Aggregate for Workflow {
    const CATEGORY: &'static str = "workflow";
    type Command = WorkflowCommand;
    type Event = WorkflowEvent;
    type Rejection = WorkflowRejection;

    fn decide(&self, command: &WorkflowCommand, _: &Context<'_>) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
        let workflow = command.workflow_id();
        command.check().map_err(|reason| WorkflowRejection::Invalid { workflow: workflow.to_owned(), reason })?;
        let rules = Rules { state: self, workflow };
        let event = match command {
            WorkflowCommand::StartWorkflow { definition, initiator, initial_params, .. } => {
                rules.start(definition, initiator, initial_params.as_ref())
            }
            WorkflowCommand::StartStep { step, .. } => rules.start_step(step),
            WorkflowCommand::CompleteStep { step, output, .. } => rules.complete_step(step, output.as_ref()),
            WorkflowCommand::FailStep { step, reason, .. } => rules.fail_step(step, reason),
            WorkflowCommand::RetryStep { step, .. } => rules.retry_step(step),
            WorkflowCommand::CancelWorkflow { reason, .. } => rules.cancel(reason),
            WorkflowCommand::CompleteWorkflow { .. } => rules.complete(),
        }?;
        Ok(vec![event])
    }

    fn evolve(&mut self, event: &WorkflowEvent) {
        self.apply(event);
    }
}

type Decision = Result<WorkflowEvent, WorkflowRejection>;

/// The rules of one workflow in its present state.
struct Rules<'a> {
    state: &'a Workflow,
    workflow: &'a str,
}

impl Rules<'_> {
    fn start(&self, definition: &str, initiator: &str, initial_params: Option<&Json>) -> Decision {
        if self.state.status().is_some() {
            return Err(WorkflowRejection::AlreadyStarted { workflow: self.workflow() });
        }
        Ok(WorkflowEvent::WorkflowStarted {
            definition: definition.to_owned(),
            initiator: initiator.to_owned(),
            initial_params: initial_params.cloned(),
        })
    }

    fn start_step(&self, step: &str) -> Decision {
        self.running()?;
        let occurrence = match self.state.step(step) {
            Some(StepProgress { status: StepStatus::Running, occurrence, .. }) => {
                let (workflow, step) = (self.workflow(), step.to_owned());
                return Err(WorkflowRejection::StepRunning { workflow, step, occurrence });
            }
            latest => latest.map_or(1, |latest| latest.occurrence + 1),
        };
        if self.state.steps_total >= STEPS_MAX {
            return Err(WorkflowRejection::TooManySteps { workflow: self.workflow() });
        }
        Ok(WorkflowEvent::StepStarted { step: step.to_owned(), occurrence, attempt: 1 })
    }

    fn complete_step(&self, step: &str, output: Option<&Json>) -> Decision {
        let StepProgress { occurrence, attempt, .. } = self.running_step(step)?;
        self.room_for(json_bytes(output))?;
        Ok(WorkflowEvent::StepCompleted { step: step.to_owned(), occurrence, attempt, output: output.cloned() })
    }

    fn fail_step(&self, step: &str, reason: &str) -> Decision {
        let StepProgress { occurrence, attempt, .. } = self.running_step(step)?;
        self.room_for(text_bytes(reason))?;
        Ok(WorkflowEvent::StepFailed { step: step.to_owned(), occurrence, attempt, reason: reason.to_owned() })
    }

    fn retry_step(&self, step: &str) -> Decision {
        self.open()?;
        match self.state.step(step) {
            Some(StepProgress { status: StepStatus::Failed, occurrence, attempt }) => {
                Ok(WorkflowEvent::StepRetried { step: step.to_owned(), occurrence, attempt: attempt + 1 })
            }
            _ => Err(WorkflowRejection::StepNotFailed { workflow: self.workflow(), step: step.to_owned() }),
        }
    }

    fn cancel(&self, reason: &str) -> Decision {
        self.open()?;
        Ok(WorkflowEvent::WorkflowCancelled { reason: reason.to_owned() })
    }

    fn complete(&self) -> Decision {
        self.running()?;
        match self.state.step_that_is(StepStatus::Running) {
            Some(step) => Err(WorkflowRejection::StepsUnfinished { workflow: self.workflow(), step: step.to_owned() }),
            None => Ok(WorkflowEvent::WorkflowCompleted),
        }
    }

    /// It exists and has not ended.
    fn open(&self) -> Result<(), WorkflowRejection> {
        match self.state.status() {
            None => Err(WorkflowRejection::NotStarted { workflow: self.workflow() }),
            Some(status) if status.is_final() => Err(WorkflowRejection::Ended { workflow: self.workflow(), status }),
            Some(_) => Ok(()),
        }
    }

    /// It is open and no step of it has failed.
    fn running(&self) -> Result<(), WorkflowRejection> {
        self.open()?;
        match self.state.step_that_is(StepStatus::Failed) {
            Some(step) => Err(WorkflowRejection::Failed { workflow: self.workflow(), step: step.to_owned() }),
            None => Ok(()),
        }
    }

    /// The running occurrence of `step`. A failed workflow still hears how its other steps end.
    fn running_step(&self, step: &str) -> Result<StepProgress, WorkflowRejection> {
        self.open()?;
        match self.state.step(step) {
            Some(progress @ StepProgress { status: StepStatus::Running, .. }) => Ok(progress),
            _ => Err(WorkflowRejection::StepNotRunning { workflow: self.workflow(), step: step.to_owned() }),
        }
    }

    fn room_for(&self, bytes: u64) -> Result<(), WorkflowRejection> {
        if self.state.data_bytes.saturating_add(bytes) > JSON_BYTES_PER_WORKFLOW_MAX {
            return Err(WorkflowRejection::TooMuchData { workflow: self.workflow() });
        }
        Ok(())
    }

    fn workflow(&self) -> String {
        self.workflow.to_owned()
    }
}
