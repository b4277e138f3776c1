//! Folds the events of a workflow into its view.

use eventsource_core::{Aggregate, Envelope, ProjectError, Projector, Scope};

use super::view::{StepView, WorkflowView};
use crate::{
    domain::{Json, StepStatus, Workflow, WorkflowEvent, WorkflowStatus},
    time::to_rfc3339,
};

/// One view a workflow, under the workflow's id.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workflows;

impl Projector for Workflows {
    const NAME: &'static str = "workflows";
    const VERSION: u32 = 1;
    const SCOPE: Scope = Scope::Stream;
    const CATEGORY: &'static str = Workflow::CATEGORY;
    type Event = WorkflowEvent;
    type View = WorkflowView;
    const INDEXES: &'static [&'static str] =
        &["workflowId", "status", "definition", "initiator", "startedAt", "updatedAt"];

    fn key(&self, event: &Envelope<WorkflowEvent>) -> Option<String> {
        Some(event.record.stream.key().to_owned())
    }

    fn project(
        &self,
        view: Option<WorkflowView>,
        event: &Envelope<WorkflowEvent>,
    ) -> Result<Option<WorkflowView>, ProjectError> {
        let at = to_rfc3339(event.record.recorded_at);
        let mut view = match (view, &event.event) {
            (None, WorkflowEvent::WorkflowStarted { definition, initiator, initial_params }) => {
                started(event.record.stream.key(), definition, initiator, initial_params.as_ref(), &at)
            }
            (None, other) => return Err(unexpected(other, "the workflow was never started")),
            (Some(_), other @ WorkflowEvent::WorkflowStarted { .. }) => {
                return Err(unexpected(other, "the workflow was started before"));
            }
            (Some(mut view), event) => {
                take_in(&mut view, event, &at)?;
                view
            }
        };
        view.trace_id = event.record.metadata.trace.map(|trace| trace.trace_id());
        view.updated_at = at;
        Ok(Some(view))
    }
}

fn started(
    workflow_id: &str,
    definition: &str,
    initiator: &str,
    initial_params: Option<&Json>,
    at: &str,
) -> WorkflowView {
    WorkflowView {
        workflow_id: workflow_id.to_owned(),
        status: WorkflowStatus::Running,
        definition: definition.to_owned(),
        initiator: initiator.to_owned(),
        started_at: at.to_owned(),
        updated_at: at.to_owned(),
        ended_at: None,
        completed_steps: 0,
        initial_params: initial_params.cloned(),
        reason: None,
        trace_id: None,
        steps: Vec::new(),
    }
}

fn take_in(view: &mut WorkflowView, event: &WorkflowEvent, at: &str) -> Result<(), ProjectError> {
    match event {
        WorkflowEvent::WorkflowStarted { .. } => {}
        WorkflowEvent::StepStarted { step, occurrence, attempt } => view.steps.push(StepView {
            name: step.clone(),
            occurrence: *occurrence,
            attempt: *attempt,
            status: StepStatus::Running,
            started_at: at.to_owned(),
            completed_at: None,
            output: None,
            reason: None,
        }),
        WorkflowEvent::StepCompleted { step, occurrence, output, .. } => {
            let step = known(view, event, step, *occurrence)?;
            step.status = StepStatus::Completed;
            step.completed_at = Some(at.to_owned());
            step.output.clone_from(output);
            step.reason = None;
            view.completed_steps += 1;
        }
        WorkflowEvent::StepFailed { step, occurrence, reason, .. } => {
            let step = known(view, event, step, *occurrence)?;
            step.status = StepStatus::Failed;
            step.reason = Some(reason.clone());
        }
        WorkflowEvent::StepRetried { step, occurrence, attempt } => {
            let step = known(view, event, step, *occurrence)?;
            step.status = StepStatus::Running;
            step.attempt = *attempt;
            step.reason = None;
        }
        WorkflowEvent::WorkflowCancelled { reason } => return end(view, WorkflowStatus::Cancelled, Some(reason), at),
        WorkflowEvent::WorkflowCompleted => return end(view, WorkflowStatus::Completed, None, at),
    }
    let failed = view.steps_that_are(StepStatus::Failed).next().map(|step| step.reason.clone());
    view.status = if failed.is_some() { WorkflowStatus::Failed } else { WorkflowStatus::Running };
    view.reason = failed.flatten();
    Ok(())
}

fn end(view: &mut WorkflowView, status: WorkflowStatus, reason: Option<&String>, at: &str) -> Result<(), ProjectError> {
    view.status = status;
    view.ended_at = Some(at.to_owned());
    view.reason = reason.cloned();
    Ok(())
}

/// The occurrence the event speaks of; looked for from the end, where it nearly always is.
fn known<'a>(
    view: &'a mut WorkflowView,
    event: &WorkflowEvent,
    step: &str,
    occurrence: u32,
) -> Result<&'a mut StepView, ProjectError> {
    let mut from_the_end = view.steps.iter_mut().rev();
    from_the_end
        .find(|known| known.occurrence == occurrence && known.name == step)
        .ok_or_else(|| unexpected(event, &format!("step {step} (occurrence {occurrence}) was never started")))
}

fn unexpected(event: &WorkflowEvent, why: &str) -> ProjectError {
    ProjectError::new(format!("{} does not fit: {why}", eventsource_core::Event::name(event)))
}
