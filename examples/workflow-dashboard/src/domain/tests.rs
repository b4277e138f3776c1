//! The rules, told as stories: given what happened, when a command comes, then this follows.

use eventsource_core::{Aggregate, Codec, CommandId, Context, Metadata};
use eventsource_testkit::given;
use proptest::prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest};
use serde_json::json;

use super::{
    CommandKind, JSON_BYTES_MAX, JSON_BYTES_PER_WORKFLOW_MAX, Json, STEP_CHARS_MAX, STEPS_MAX, StepStatus,
    TEXT_BYTES_MAX, WORKFLOW_ID_BYTES_MAX, Workflow, WorkflowCommand, WorkflowEvent, WorkflowRejection, WorkflowStatus,
};

const ID: &str = "case-7";

// What happened.

fn started() -> WorkflowEvent {
    WorkflowEvent::WorkflowStarted { definition: "order".into(), initiator: "ada".into(), initial_params: None }
}

fn step_started(step: &str, occurrence: u32) -> WorkflowEvent {
    WorkflowEvent::StepStarted { step: step.into(), occurrence, attempt: 1 }
}

fn completed(step: &str, occurrence: u32, attempt: u32) -> WorkflowEvent {
    WorkflowEvent::StepCompleted { step: step.into(), occurrence, attempt, output: None }
}

fn failed(step: &str, attempt: u32) -> WorkflowEvent {
    WorkflowEvent::StepFailed { step: step.into(), occurrence: 1, attempt, reason: "no stock".into() }
}

fn retried(step: &str, attempt: u32) -> WorkflowEvent {
    WorkflowEvent::StepRetried { step: step.into(), occurrence: 1, attempt }
}

fn cancelled() -> WorkflowEvent {
    WorkflowEvent::WorkflowCancelled { reason: "not needed".into() }
}

// What is asked.

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

/// The sentence names what it is about and says what would be right.
#[track_caller]
fn says(rejection: &WorkflowRejection, words: &[&str]) {
    let sentence = rejection.to_string();
    for word in words {
        assert!(sentence.contains(word), "{sentence:?} does not say {word:?}");
    }
}

#[test]
fn a_workflow_starts_runs_its_steps_and_completes() {
    given::<Workflow>([]).when(start()).then([started()]);
    given::<Workflow>([started()]).when(start_step("pick")).then([step_started("pick", 1)]);
    given::<Workflow>([started(), step_started("pick", 1)]).when(complete("pick")).then([completed("pick", 1, 1)]);
    let ended = given::<Workflow>([started(), step_started("pick", 1), completed("pick", 1, 1)])
        .when(end())
        .then([WorkflowEvent::WorkflowCompleted]);
    assert_eq!(ended.status(), Some(WorkflowStatus::Completed));
}

#[test]
fn an_id_is_started_once() {
    let no = given::<Workflow>([started()]).when(start()).then_rejected("workflow-exists");
    says(&no, &[ID, "another id"]);
    given::<Workflow>([started(), cancelled()]).when(start()).then_rejected("workflow-exists");
}

#[test]
fn nothing_happens_before_the_start_or_after_the_end() {
    for command in [start_step("a"), complete("a"), fail("a"), retry("a"), cancel(), end()] {
        let no = given::<Workflow>([]).when(command.clone()).then_rejected("workflow-not-found");
        says(&no, &[ID, "start it first"]);
        let completed = [started(), WorkflowEvent::WorkflowCompleted];
        says(&given::<Workflow>(completed).when(command.clone()).then_rejected("workflow-ended"), &[ID, "COMPLETED"]);
        let cancelled = [started(), cancelled()];
        says(&given::<Workflow>(cancelled).when(command).then_rejected("workflow-ended"), &[ID, "CANCELLED"]);
    }
}

#[test]
fn occurrences_tell_repeated_steps_apart() {
    given::<Workflow>([started(), step_started("pick", 1), completed("pick", 1, 1)])
        .when(start_step("pick"))
        .then([step_started("pick", 2)]);
}

#[test]
fn a_running_step_is_not_started_again() {
    let history = [started(), step_started("pick", 1), completed("pick", 1, 1), step_started("pick", 2)];
    let no = given::<Workflow>(history).when(start_step("pick")).then_rejected("step-running");
    says(&no, &["pick", ID, "occurrence 2", "complete or fail it first"]);
}

#[test]
fn steps_of_different_names_run_side_by_side() {
    given::<Workflow>([started(), step_started("pick", 1)]).when(start_step("bill")).then([step_started("bill", 1)]);
}

#[test]
fn only_a_running_step_is_completed_or_fails() {
    for command in [complete("pick"), complete("pack"), fail("pick"), fail("pack")] {
        let history = [started(), step_started("pick", 1), completed("pick", 1, 1)];
        let no = given::<Workflow>(history).when(command).then_rejected("step-not-running");
        says(&no, &[ID, "start it first"]);
    }
}

#[test]
fn a_failed_step_fails_the_workflow_until_it_is_retried() {
    let broken = || [started(), step_started("pick", 1), failed("pick", 1)];
    let state = given::<Workflow>([started(), step_started("pick", 1)]).when(fail("pick")).then([failed("pick", 1)]);
    assert_eq!(state.status(), Some(WorkflowStatus::Failed));
    for command in [start_step("pack"), end()] {
        says(&given::<Workflow>(broken()).when(command).then_rejected("workflow-failed"), &[ID, "pick", "retry"]);
    }
    says(&given::<Workflow>(broken()).when(retry("pack")).then_rejected("step-not-failed"), &[ID, "pack"]);

    let state = given::<Workflow>(broken()).when(retry("pick")).then([retried("pick", 2)]);
    assert_eq!(state.status(), Some(WorkflowStatus::Running));
    let again = || broken().into_iter().chain([retried("pick", 2)]);
    given::<Workflow>(again()).when(retry("pick")).then_rejected("step-not-failed");
    given::<Workflow>(again()).when(complete("pick")).then([completed("pick", 1, 2)]);
    given::<Workflow>(again()).when(fail("pick")).then([failed("pick", 2)]);
}

#[test]
fn a_failed_workflow_hears_how_its_other_steps_end() {
    let both = || [started(), step_started("pick", 1), step_started("bill", 1), failed("pick", 1)];
    let state = given::<Workflow>(both()).when(complete("bill")).then([completed("bill", 1, 1)]);
    assert_eq!(state.status(), Some(WorkflowStatus::Failed));
    assert_eq!(state.step("bill").unwrap().status, StepStatus::Completed);
    let two = both().into_iter().chain([failed("bill", 1)]);
    let state = given::<Workflow>(two).when(retry("pick")).then([retried("pick", 2)]);
    assert_eq!(state.status(), Some(WorkflowStatus::Failed), "step bill has failed still");
}

#[test]
fn a_workflow_does_not_complete_under_its_steps() {
    let no = given::<Workflow>([started(), step_started("pick", 1)]).when(end()).then_rejected("steps-unfinished");
    says(&no, &[ID, "pick", "complete that step first"]);
}

#[test]
fn a_running_and_a_failed_workflow_can_be_cancelled() {
    given::<Workflow>([started(), step_started("pick", 1)]).when(cancel()).then([cancelled()]);
    given::<Workflow>([started(), step_started("pick", 1), failed("pick", 1)]).when(cancel()).then([cancelled()]);
}

#[test]
fn every_field_has_a_limit_that_is_named() {
    let over = |wanted: &str| {
        let long = |field: &str, length: usize| if field == wanted { "x".repeat(length) } else { "x".into() };
        WorkflowCommand::StartWorkflow {
            workflow_id: long("workflowId", WORKFLOW_ID_BYTES_MAX + 1),
            definition: long("definition", TEXT_BYTES_MAX + 1),
            initiator: long("initiator", TEXT_BYTES_MAX + 1),
            initial_params: Some(Json::new(&json!(long("initialParams", JSON_BYTES_MAX - 1))).unwrap()),
        }
    };
    let limits = [("workflowId", "200"), ("definition", "4096"), ("initiator", "4096"), ("initialParams", "262144")];
    for (field, limit) in limits {
        says(&given::<Workflow>([]).when(over(field)).then_rejected("too-long"), &[field, limit]);
    }
    let no = given::<Workflow>([started()]).when(start_step(&"é".repeat(STEP_CHARS_MAX + 1))).then_rejected("too-long");
    says(&no, &["step", "200 are allowed"]);
    let longest = "é".repeat(STEP_CHARS_MAX);
    given::<Workflow>([started()]).when(start_step(&longest)).then([step_started(&longest, 1)]);
    says(&given::<Workflow>([started()]).when(start_step(" ")).then_rejected("empty-field"), &["step"]);
    says(&given::<Workflow>([started()]).when(start_step("a\nb")).then_rejected("control-character"), &["step"]);
}

#[test]
fn a_workflow_has_a_bounded_number_of_steps() {
    let steps = (1..=STEPS_MAX).flat_map(|number| [step_started("again", number), completed("again", number, 1)]);
    let history = std::iter::once(started()).chain(steps);
    let no = given::<Workflow>(history).when(start_step("again")).then_rejected("too-many-steps");
    says(&no, &[ID, "5000", "another workflow"]);
}

#[test]
fn a_workflow_holds_a_bounded_amount_of_data() {
    let output = Json::new(&json!("x".repeat(JSON_BYTES_MAX - 2))).unwrap();
    let fits = u32::try_from(JSON_BYTES_PER_WORKFLOW_MAX).unwrap() / u32::try_from(JSON_BYTES_MAX).unwrap();
    let steps = (1..=fits).flat_map(|occurrence| {
        let output = Some(output.clone());
        [
            step_started("big", occurrence),
            WorkflowEvent::StepCompleted { step: "big".into(), occurrence, attempt: 1, output },
        ]
    });
    let last = step_started("big", fits + 1);
    let history: Vec<_> = std::iter::once(started()).chain(steps).chain([last]).collect();
    let large = |output: Json| WorkflowCommand::CompleteStep {
        workflow_id: ID.into(),
        step: "big".into(),
        output: Some(output),
    };
    let no = given::<Workflow>(history.clone()).when(large(output)).then_rejected("too-much-data");
    says(&no, &[ID, "4194304", "store a link"]);
    given::<Workflow>(history).when(complete("big")).then([completed("big", fits + 1, 1)]);
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

    let codec = Codec::<WorkflowEvent>::default();
    for (event, stored) in [
        (started(), r#"{"definition":"order","initiator":"ada"}"#),
        (step_started("pick", 1), r#"{"step":"pick","occurrence":1,"attempt":1}"#),
        (completed("pick", 1, 2), r#"{"step":"pick","occurrence":1,"attempt":2}"#),
        (failed("pick", 1), r#"{"step":"pick","occurrence":1,"attempt":1,"reason":"no stock"}"#),
        (retried("pick", 2), r#"{"step":"pick","occurrence":1,"attempt":2}"#),
        (cancelled(), r#"{"reason":"not needed"}"#),
        (WorkflowEvent::WorkflowCompleted, "{}"),
    ] {
        assert_eq!(std::str::from_utf8(&codec.encode(&event).unwrap()).unwrap(), stored);
    }
}

fn any_command() -> impl Strategy<Value = WorkflowCommand> {
    let step = || prop_oneof!["a", "b"];
    prop_oneof![
        1 => Just(start()),
        6 => step().prop_map(|step| start_step(&step)),
        6 => step().prop_map(|step| complete(&step)),
        3 => step().prop_map(|step| fail(&step)),
        3 => step().prop_map(|step| retry(&step)),
        1 => Just(cancel()),
        1 => Just(end()),
    ]
}

proptest! {
    /// A kind of command is legal exactly when some command of that kind would be accepted.
    #[test]
    fn legal_commands_are_those_that_are_accepted(commands in proptest::collection::vec(any_command(), 0..30)) {
        let metadata = Metadata::default();
        let id = CommandId::from_uuid(uuid::Uuid::nil());
        let context = Context::new(std::time::SystemTime::UNIX_EPOCH, id, &metadata);
        let mut state = Workflow::default();
        for command in &commands {
            for event in state.decide(command, &context).unwrap_or_default() {
                state.evolve(&event);
            }
            let accepted = |make: &dyn Fn(&str) -> WorkflowCommand| {
                ["a", "b", "c"].iter().any(|step| state.decide(&make(step), &context).is_ok())
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
