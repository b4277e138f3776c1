//! A view is the fold of its events.

use std::time::{Duration, SystemTime};

use eventsource_core::{
    Aggregate, CommandId, Context, Envelope, Event, EventId, EventName, Metadata, Projector, RecordedEvent, StreamId,
    Version,
};
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{WorkflowView, Workflows};
use crate::domain::{Workflow, WorkflowCommand, WorkflowEvent, WorkflowStatus};

/// The event as the store would hold it, `version` seconds after midnight of 1970-01-01.
fn recorded(version: u64, event: WorkflowEvent) -> Envelope<WorkflowEvent> {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    let record = RecordedEvent {
        id: EventId::from_uuid(uuid::Uuid::from_u128(u128::from(version))),
        stream: StreamId::new("workflow", "case-7").unwrap(),
        version: Version::new(version).unwrap(),
        position: None,
        name: EventName::from_static(event.name()),
        schema: 1,
        payload: bytes::Bytes::new(),
        metadata: Metadata { trace, ..Metadata::default() },
        recorded_at: SystemTime::UNIX_EPOCH + Duration::from_secs(version),
    };
    Envelope { event, record }
}

fn fold(events: impl IntoIterator<Item = WorkflowEvent>) -> Option<WorkflowView> {
    let numbered = (1..).zip(events);
    numbered.fold(None, |view, (version, event)| Workflows.project(view, &recorded(version, event)).unwrap())
}

fn started() -> WorkflowEvent {
    WorkflowEvent::WorkflowStarted { definition: "order".into(), initiator: "ada".into(), initial_params: None }
}

fn step(name: &str, occurrence: u32) -> WorkflowEvent {
    WorkflowEvent::StepStarted { step: name.into(), occurrence, attempt: 1 }
}

fn failed(name: &str) -> WorkflowEvent {
    WorkflowEvent::StepFailed { step: name.into(), occurrence: 1, attempt: 1, reason: format!("no {name}") }
}

#[test]
fn a_view_shows_steps_attempts_and_the_last_trace() {
    let view = fold([
        started(),
        step("pick", 1),
        failed("pick"),
        WorkflowEvent::StepRetried { step: "pick".into(), occurrence: 1, attempt: 2 },
        WorkflowEvent::StepCompleted { step: "pick".into(), occurrence: 1, attempt: 2, output: None },
        step("pick", 2),
        WorkflowEvent::WorkflowCancelled { reason: "enough".into() },
    ]);
    let shown = serde_json::to_value(view.unwrap()).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({
            "workflowId": "case-7", "status": "CANCELLED", "definition": "order", "initiator": "ada",
            "startedAt": "1970-01-01T00:00:01.000Z", "updatedAt": "1970-01-01T00:00:07.000Z",
            "endedAt": "1970-01-01T00:00:07.000Z", "completedSteps": 1, "reason": "enough",
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "steps": [
                { "name": "pick", "occurrence": 1, "attempt": 2, "status": "COMPLETED",
                  "startedAt": "1970-01-01T00:00:02.000Z", "completedAt": "1970-01-01T00:00:05.000Z" },
                { "name": "pick", "occurrence": 2, "attempt": 1, "status": "RUNNING",
                  "startedAt": "1970-01-01T00:00:06.000Z" },
            ],
        })
    );
}

#[test]
fn a_workflow_stays_failed_while_any_step_is() {
    let both = [started(), step("a", 1), step("b", 1), failed("a"), failed("b")];
    let retried = WorkflowEvent::StepRetried { step: "b".into(), occurrence: 1, attempt: 2 };
    let view = fold(both.into_iter().chain([retried])).unwrap();
    assert_eq!((view.status, view.reason.as_deref()), (WorkflowStatus::Failed, Some("no a")));
}

#[test]
fn an_event_that_does_not_fit_is_an_error_that_says_why() {
    for (events, why) in [
        (vec![step("a", 1)], "step-started does not fit: the workflow was never started"),
        (vec![started(), started()], "workflow-started does not fit"),
        (vec![started(), failed("a")], "step a (occurrence 1) was never started"),
    ] {
        let mut view = None;
        let mut result = Ok(());
        for (version, event) in (1..).zip(events) {
            match Workflows.project(view.take(), &recorded(version, event)) {
                Ok(next) => view = next,
                Err(error) => result = Err(error.to_string()),
            }
        }
        let error = result.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

fn any_command() -> impl Strategy<Value = WorkflowCommand> {
    let id = || "case-7".to_owned();
    let step = || prop_oneof!["a", "b"].prop_map(String::from);
    prop_oneof![
        6 => step().prop_map(move |step| WorkflowCommand::StartStep { workflow_id: id(), step }),
        6 => step().prop_map(move |step| WorkflowCommand::CompleteStep { workflow_id: id(), step, output: None }),
        3 => step().prop_map(move |step| WorkflowCommand::FailStep { workflow_id: id(), step, reason: "x".into() }),
        3 => step().prop_map(move |step| WorkflowCommand::RetryStep { workflow_id: id(), step }),
        1 => any::<()>().prop_map(move |()| WorkflowCommand::CancelWorkflow { workflow_id: id(), reason: "x".into() }),
        1 => any::<()>().prop_map(move |()| WorkflowCommand::CompleteWorkflow { workflow_id: id() }),
    ]
}

proptest! {
    /// The view shows what the aggregate knows, after any history the rules allow.
    #[test]
    fn the_view_agrees_with_the_aggregate(commands in proptest::collection::vec(any_command(), 0..40)) {
        let metadata = Metadata::default();
        let context = Context::new(SystemTime::UNIX_EPOCH, CommandId::from_uuid(uuid::Uuid::nil()), &metadata);
        let (mut state, mut events) = (Workflow::default(), vec![started()]);
        state.evolve(&started());
        for command in &commands {
            for event in state.decide(command, &context).unwrap_or_default() {
                state.evolve(&event);
                events.push(event);
            }
        }
        let view = fold(events).unwrap();
        prop_assert_eq!(Some(view.status), state.status());
        prop_assert_eq!(view.legal_commands(), state.legal_commands());
        for shown in &view.steps {
            let known = state.step(&shown.name).unwrap();
            if shown.occurrence == known.occurrence {
                prop_assert_eq!((shown.attempt, shown.status), (known.attempt, known.status));
            }
        }
    }
}
