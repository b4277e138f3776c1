//! The rules, told as stories: given what happened, when a command comes, then this follows.

use std::time::SystemTime;

use eventsource_core::{Aggregate, CommandId, Context, Metadata, Rejection};
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
use serde_json::json;

use super::{
    CommandKind, JSON_BYTES_MAX, JSON_BYTES_PER_WORKFLOW_MAX, Json, STEP_CHARS_MAX, STEPS_MAX, StepStatus,
    TEXT_BYTES_MAX, WORKFLOW_ID_BYTES_MAX, Workflow, WorkflowCommand, WorkflowEvent, WorkflowRejection, WorkflowStatus,
};

const ID: &str = "case-7";

fn decide(state: &Workflow, command: &WorkflowCommand) -> Result<Vec<WorkflowEvent>, WorkflowRejection> {
    let metadata = Metadata::default();
    let context = Context::new(SystemTime::UNIX_EPOCH, CommandId::from_uuid(uuid::Uuid::nil()), &metadata);
    state.decide(command, &context)
}

/// The workflow after these commands, each of which must be accepted.
fn given(commands: impl IntoIterator<Item = WorkflowCommand>) -> Workflow {
    commands.into_iter().fold(Workflow::default(), |mut state, command| {
        for event in decide(&state, &command).unwrap_or_else(|no| panic!("{command:?} was refused: {no}")) {
            state.evolve(&event);
        }
        state
    })
}

#[track_caller]
fn rejected(state: &Workflow, command: &WorkflowCommand, code: &str, words: &[&str]) {
    let rejection = decide(state, command).expect_err("the command must be refused");
    assert_eq!(rejection.code(), code, "{rejection}");
    let sentence = rejection.to_string();
    for word in words {
        assert!(sentence.contains(word), "{sentence:?} does not say {word:?}");
    }
}

fn start() -> WorkflowCommand {
    WorkflowCommand::StartWorkflow {
        workflow_id: ID.into(),
        definition: "order".into(),
        initiator: "ada".into(),
        initial_params: None,
    }
}

fn start_step(step: &str) -> WorkflowCommand {
    WorkflowCommand::StartStep { workflow_id: ID.into(), step: step.into() }
}

fn complete(step: &str) -> WorkflowCommand {
    WorkflowCommand::CompleteStep { workflow_id: ID.into(), step: step.into(), output: None }
}

fn fail(step: &str) -> WorkflowCommand {
    WorkflowCommand::FailStep { workflow_id: ID.into(), step: step.into(), reason: "no stock".into() }
}

fn retry(step: &str) -> WorkflowCommand {
    WorkflowCommand::RetryStep { workflow_id: ID.into(), step: step.into() }
}

fn cancel() -> WorkflowCommand {
    WorkflowCommand::CancelWorkflow { workflow_id: ID.into(), reason: "not needed".into() }
}

fn end() -> WorkflowCommand {
    WorkflowCommand::CompleteWorkflow { workflow_id: ID.into() }
}

#[test]
fn a_workflow_runs_its_steps_and_completes() {
    let state = given([start(), start_step("pick"), complete("pick"), start_step("ship"), complete("ship"), end()]);
    assert_eq!(state.status(), Some(WorkflowStatus::Completed));
}

#[test]
fn an_id_is_started_once() {
    rejected(&given([start()]), &start(), "workflow-exists", &[ID, "another id"]);
    rejected(&given([start(), cancel()]), &start(), "workflow-exists", &[ID]);
}

#[test]
fn nothing_happens_before_the_start_or_after_the_end() {
    let rest = [start_step("a"), complete("a"), fail("a"), retry("a"), cancel(), end()];
    for command in &rest {
        rejected(&Workflow::default(), command, "workflow-not-found", &[ID, "start it first"]);
        rejected(&given([start(), end()]), command, "workflow-ended", &[ID, "COMPLETED"]);
        rejected(&given([start(), cancel()]), command, "workflow-ended", &[ID, "CANCELLED"]);
    }
}

#[test]
fn occurrences_tell_repeated_steps_apart() {
    let state = given([start(), start_step("pick"), complete("pick")]);
    let again = decide(&state, &start_step("pick")).unwrap();
    assert_eq!(again, [WorkflowEvent::StepStarted { step: "pick".into(), occurrence: 2, attempt: 1 }]);
}

#[test]
fn a_running_step_is_not_started_again() {
    let state = given([start(), start_step("pick"), complete("pick"), start_step("pick"), start_step("pack")]);
    rejected(&state, &start_step("pick"), "step-running", &["pick", ID, "occurrence 2"]);
}

#[test]
fn only_a_running_step_is_completed_or_fails() {
    let state = given([start(), start_step("pick"), complete("pick")]);
    for command in [complete("pick"), complete("pack"), fail("pick"), fail("pack")] {
        rejected(&state, &command, "step-not-running", &[ID, "start it first"]);
    }
}

#[test]
fn a_failed_step_fails_the_workflow_until_it_is_retried() {
    let failed = given([start(), start_step("pick"), fail("pick")]);
    assert_eq!(failed.status(), Some(WorkflowStatus::Failed));
    for command in [start_step("pack"), end()] {
        rejected(&failed, &command, "workflow-failed", &[ID, "pick", "retry"]);
    }
    rejected(&failed, &retry("pack"), "step-not-failed", &[ID, "pack"]);
    assert_eq!(
        decide(&failed, &retry("pick")).unwrap(),
        [WorkflowEvent::StepRetried { step: "pick".into(), occurrence: 1, attempt: 2 }]
    );
    let retried = given([start(), start_step("pick"), fail("pick"), retry("pick")]);
    assert_eq!(retried.status(), Some(WorkflowStatus::Running));
    assert_eq!(
        decide(&retried, &complete("pick")).unwrap(),
        [WorkflowEvent::StepCompleted { step: "pick".into(), occurrence: 1, attempt: 2, output: None }]
    );
    rejected(&retried, &retry("pick"), "step-not-failed", &["pick"]);
}

#[test]
fn a_failed_workflow_hears_how_its_other_steps_end() {
    let state = given([start(), start_step("pick"), start_step("bill"), fail("pick"), complete("bill")]);
    assert_eq!(state.status(), Some(WorkflowStatus::Failed));
    assert_eq!(state.step("bill").unwrap().status, StepStatus::Completed);
    let twice = given([start(), start_step("a"), start_step("b"), fail("a"), fail("b"), retry("a")]);
    assert_eq!(twice.status(), Some(WorkflowStatus::Failed), "step b has failed still");
}

#[test]
fn a_workflow_does_not_complete_under_its_steps() {
    rejected(&given([start(), start_step("pick")]), &end(), "steps-unfinished", &[ID, "pick"]);
}

#[test]
fn a_failed_workflow_can_be_cancelled() {
    let state = given([start(), start_step("pick"), fail("pick"), cancel()]);
    assert_eq!(state.status(), Some(WorkflowStatus::Cancelled));
}

#[test]
fn every_field_has_a_limit_that_is_named() {
    let over = |field: &str| {
        let long = |field_here: &str, length: usize| if field == field_here { "x".repeat(length) } else { "x".into() };
        WorkflowCommand::StartWorkflow {
            workflow_id: long("workflowId", WORKFLOW_ID_BYTES_MAX + 1),
            definition: long("definition", TEXT_BYTES_MAX + 1),
            initiator: long("initiator", TEXT_BYTES_MAX + 1),
            initial_params: Some(Json::new(&json!(long("initialParams", JSON_BYTES_MAX - 1))).unwrap()),
        }
    };
    for (field, limit) in
        [("workflowId", "200"), ("definition", "4096"), ("initiator", "4096"), ("initialParams", "262144")]
    {
        rejected(&Workflow::default(), &over(field), "too-long", &[field, limit]);
    }
    let state = given([start()]);
    rejected(&state, &start_step(&"é".repeat(STEP_CHARS_MAX + 1)), "too-long", &["step", "200 are allowed"]);
    assert!(decide(&state, &start_step(&"é".repeat(STEP_CHARS_MAX))).is_ok());
    rejected(&state, &start_step(" "), "empty-field", &["step"]);
    rejected(&state, &start_step("a\nb"), "control-character", &["step"]);
}

#[test]
fn a_workflow_has_a_bounded_size() {
    let mut state = given([start()]);
    for _ in 0..STEPS_MAX {
        for command in [start_step("again"), complete("again")] {
            for event in decide(&state, &command).unwrap() {
                state.evolve(&event);
            }
        }
    }
    rejected(&state, &start_step("again"), "too-many-steps", &[ID, "5000"]);

    let output = Json::new(&json!("x".repeat(JSON_BYTES_MAX - 2))).unwrap();
    let mut state = given([start()]);
    let large = WorkflowCommand::CompleteStep { workflow_id: ID.into(), step: "big".into(), output: Some(output) };
    for _ in 0..JSON_BYTES_PER_WORKFLOW_MAX / u64::try_from(JSON_BYTES_MAX).unwrap() {
        for event in decide(&state, &start_step("big"))
            .unwrap()
            .into_iter()
            .chain(decide(&given([start(), start_step("big")]), &large).unwrap())
        {
            state.evolve(&event);
        }
    }
    state.evolve(&decide(&state, &start_step("big")).unwrap()[0]);
    rejected(&state, &large, "too-much-data", &[ID, "4194304"]);
    assert!(decide(&state, &complete("big")).is_ok());
}

#[test]
fn commands_and_events_keep_their_stored_shape() {
    let command = WorkflowCommand::CompleteStep {
        workflow_id: ID.into(),
        step: "pick".into(),
        output: Some(Json::new(&json!({ "n": u64::MAX })).unwrap()),
    };
    let text = r#"{"complete-step":{"workflow_id":"case-7","step":"pick","output":{"n":18446744073709551615}}}"#;
    assert_eq!(serde_json::to_string(&command).unwrap(), text);
    assert_eq!(serde_json::from_str::<WorkflowCommand>(text).unwrap(), command);

    let codec = eventsource_core::Codec::<WorkflowEvent>::default();
    let event = WorkflowEvent::StepStarted { step: "pick".into(), occurrence: 1, attempt: 1 };
    assert_eq!(&codec.encode(&event).unwrap()[..], br#"{"step":"pick","occurrence":1,"attempt":1}"#);
}

fn any_command() -> impl Strategy<Value = WorkflowCommand> {
    let step = || prop_oneof!["a", "b"].prop_map(String::from);
    prop_oneof![
        1 => any::<()>().prop_map(|()| start()),
        6 => step().prop_map(|step| start_step(&step)),
        6 => step().prop_map(|step| complete(&step)),
        3 => step().prop_map(|step| fail(&step)),
        3 => step().prop_map(|step| retry(&step)),
        1 => any::<()>().prop_map(|()| cancel()),
        1 => any::<()>().prop_map(|()| end()),
    ]
}

proptest! {
    /// A kind of command is legal exactly when some command of that kind would be accepted.
    #[test]
    fn legal_commands_are_those_that_are_accepted(commands in proptest::collection::vec(any_command(), 0..30)) {
        let mut state = given([start()]);
        for command in &commands {
            for event in decide(&state, command).unwrap_or_default() {
                state.evolve(&event);
            }
            let steps = ["a", "b", "c"];
            let accepted = |make: &dyn Fn(&str) -> WorkflowCommand| {
                steps.iter().any(|step| decide(&state, &make(step)).is_ok())
            };
            let legal = state.legal_commands();
            for (kind, is_accepted) in [
                (CommandKind::StartWorkflow, accepted(&|_| start())),
                (CommandKind::StartStep, accepted(&start_step)),
                (CommandKind::CompleteStep, accepted(&complete)),
                (CommandKind::FailStep, accepted(&fail)),
                (CommandKind::RetryStep, accepted(&retry)),
                (CommandKind::CancelWorkflow, accepted(&|_| cancel())),
                (CommandKind::CompleteWorkflow, accepted(&|_| end())),
            ] {
                prop_assert_eq!(legal.contains(&kind), is_accepted, "{:?} in {:?}", kind, &state);
            }
        }
    }
}
