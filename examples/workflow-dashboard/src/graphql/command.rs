//! Commands as clients give them, and what they are told.

use async_graphql::{Error, ID, InputObject, OneofObject, SimpleObject};
use eventsource_core::{CommandId, Outcome, STALE_CODE};
use eventsource_graphql::{CommandReport, Json, RequestContext, internal_error, live_error, store_error};

use super::invalid;
use crate::{
    domain::{self, CommandKind, JSON_BYTES_MAX, WorkflowCommand},
    roles::{REUSED_CODE, Reached, SendError},
};

/// The code of a command that was not decided in time.
const UNDECIDED_CODE: &str = "undecided";
/// The code of a command whose effect was not visible in time.
const NOT_YET_VISIBLE_CODE: &str = "not-yet-visible";

/// An order to one workflow: exactly one of these.
#[derive(OneofObject, Clone, Debug)]
pub(super) enum WorkflowCommandInput {
    /// Begin a workflow that does not exist yet.
    StartWorkflow(StartWorkflowInput),
    /// Begin a step, or its next occurrence.
    StartStep(StartStepInput),
    /// Report that the running occurrence of a step is done.
    CompleteStep(CompleteStepInput),
    /// Report that the running occurrence of a step failed; the workflow has failed with it.
    FailStep(FailStepInput),
    /// Begin another attempt at a failed step.
    RetryStep(RetryStepInput),
    /// Call the workflow off for good.
    CancelWorkflow(CancelWorkflowInput),
    /// End the workflow as it should end.
    CompleteWorkflow(CompleteWorkflowInput),
}

/// Begin a workflow.
#[derive(InputObject, Clone, Debug)]
pub(super) struct StartWorkflowInput {
    /// Its id: at most 200 bytes, none of them a control character.
    workflow_id: ID,
    /// What kind of workflow it is.
    definition: String,
    /// Who or what begins it.
    initiator: String,
    /// What it begins with, at most 256 KiB.
    initial_params: Option<Json>,
}

/// Begin a step.
#[derive(InputObject, Clone, Debug)]
pub(super) struct StartStepInput {
    /// Which workflow.
    workflow_id: ID,
    /// Which step, at most 200 characters.
    step: String,
}

/// Report that a step is done.
#[derive(InputObject, Clone, Debug)]
pub(super) struct CompleteStepInput {
    /// Which workflow.
    workflow_id: ID,
    /// Which step.
    step: String,
    /// What came out of it, at most 256 KiB.
    output: Option<Json>,
}

/// Report that a step failed.
#[derive(InputObject, Clone, Debug)]
pub(super) struct FailStepInput {
    /// Which workflow.
    workflow_id: ID,
    /// Which step.
    step: String,
    /// Why, for people; at most 4 KiB.
    reason: String,
}

/// Begin another attempt at a failed step.
#[derive(InputObject, Clone, Debug)]
pub(super) struct RetryStepInput {
    /// Which workflow.
    workflow_id: ID,
    /// Which step.
    step: String,
}

/// Call a workflow off.
#[derive(InputObject, Clone, Debug)]
pub(super) struct CancelWorkflowInput {
    /// Which workflow.
    workflow_id: ID,
    /// Why, for people; at most 4 KiB.
    reason: String,
}

/// End a workflow.
#[derive(InputObject, Clone, Debug)]
pub(super) struct CompleteWorkflowInput {
    /// Which workflow.
    workflow_id: ID,
}

/// A command with its id.
#[derive(InputObject, Clone, Debug)]
pub(super) struct WorkflowCommandItem {
    /// The command.
    pub command: WorkflowCommandInput,
    /// A UUID. The same id again is the same command again; a new one is made when it is absent.
    pub command_id: Option<ID>,
}

impl WorkflowCommandInput {
    /// The command that is meant.
    ///
    /// # Errors
    /// When JSON is too long or nested too deep. Everything else is checked with the command.
    pub(super) fn into_command(self) -> Result<WorkflowCommand, Error> {
        Ok(match self {
            Self::StartWorkflow(input) => WorkflowCommand::StartWorkflow {
                workflow_id: input.workflow_id.0,
                definition: input.definition,
                initiator: input.initiator,
                initial_params: input.initial_params.as_ref().map(json).transpose()?.flatten(),
            },
            Self::StartStep(input) => WorkflowCommand::StartStep { workflow_id: input.workflow_id.0, step: input.step },
            Self::CompleteStep(input) => WorkflowCommand::CompleteStep {
                workflow_id: input.workflow_id.0,
                step: input.step,
                output: input.output.as_ref().map(json).transpose()?.flatten(),
            },
            Self::FailStep(input) => {
                WorkflowCommand::FailStep { workflow_id: input.workflow_id.0, step: input.step, reason: input.reason }
            }
            Self::RetryStep(input) => WorkflowCommand::RetryStep { workflow_id: input.workflow_id.0, step: input.step },
            Self::CancelWorkflow(input) => {
                WorkflowCommand::CancelWorkflow { workflow_id: input.workflow_id.0, reason: input.reason }
            }
            Self::CompleteWorkflow(input) => WorkflowCommand::CompleteWorkflow { workflow_id: input.workflow_id.0 },
        })
    }
}

/// The field of `WorkflowCommandInput` for this kind of command.
pub(super) const fn input_field(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::StartWorkflow => "startWorkflow",
        CommandKind::StartStep => "startStep",
        CommandKind::CompleteStep => "completeStep",
        CommandKind::FailStep => "failStep",
        CommandKind::RetryStep => "retryStep",
        CommandKind::CancelWorkflow => "cancelWorkflow",
        CommandKind::CompleteWorkflow => "completeWorkflow",
    }
}

/// `null` is as good as absent.
fn json(json: &Json) -> Result<Option<domain::Json>, Error> {
    let text = json.as_str();
    if text.len() > JSON_BYTES_MAX {
        return Err(invalid(format!("JSON has {} bytes, at most {JSON_BYTES_MAX} are allowed", text.len())));
    }
    match json.deserialize().map_err(|error| invalid(error.to_string()))? {
        serde_json::Value::Null => Ok(None),
        value => domain::Json::new(&value).map(Some).map_err(|error| invalid(error.to_string())),
    }
}

/// What became of a command.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct CommandResult {
    /// The workflow it is for.
    workflow_id: ID,
    #[graphql(flatten)]
    report: CommandReport,
}

impl CommandResult {
    /// What a client is told of how far its command has come.
    pub(super) fn new(workflow_id: String, command: CommandId, reached: &Reached, request: &RequestContext) -> Self {
        let refused = |code: &str, message: String| CommandReport::refused(command, code, message, request);
        let report = match reached {
            Reached::Queued => CommandReport::dispatched(command, request),
            Reached::Undecided => refused(
                UNDECIDED_CODE,
                format!(
                    "not decided in time: the command is queued durably and will be carried out, ask \
                     commandOutcome(commandId: \"{command}\") or send it again with the same commandId"
                ),
            ),
            Reached::Decided(outcome) => CommandReport::of_outcome(command, outcome, request),
            Reached::NotYetVisible(version) => CommandReport::committed(command, Some(*version), request)
                .noting(NOT_YET_VISIBLE_CODE, "committed, not yet visible"),
            Reached::Invalid(invalid) => refused(invalid.code(), invalid.to_string()),
            Reached::IdReused { workflow } => refused(
                REUSED_CODE,
                format!("command id {command} belongs to an earlier command for workflow {workflow}, use a new one"),
            ),
        };
        Self { workflow_id: ID(workflow_id), report }
    }
}

/// What became of a command that is decided.
#[derive(SimpleObject, Clone, Debug)]
pub(super) struct CommandOutcome {
    /// The command's id.
    command_id: ID,
    /// The workflow it was for.
    workflow_id: ID,
    /// Whether it was carried out.
    success: bool,
    /// Version of the workflow after it.
    version: Option<u64>,
    /// A stable word for programs when it was refused.
    code: Option<String>,
    /// A sentence for people when it was refused.
    message: Option<String>,
}

impl CommandOutcome {
    /// The outcome that is recorded.
    pub(super) fn new(command: CommandId, outcome: &Outcome) -> Self {
        let of = |success, version, code, message| Self {
            command_id: ID(command.to_string()),
            workflow_id: ID(outcome.stream().key().to_owned()),
            success,
            version,
            code,
            message,
        };
        match outcome {
            Outcome::Committed { version, .. } => of(true, Some(version.value()), None, None),
            Outcome::Unchanged { version, .. } => of(true, version.map(eventsource_core::Version::value), None, None),
            Outcome::Rejected { code, message, .. } => of(false, None, Some(code.clone()), Some(message.clone())),
            _ => of(false, None, Some(STALE_CODE.to_owned()), None),
        }
    }
}

/// What a client learns when a command could not be sent or followed.
pub(super) fn send_error(error: &SendError) -> Error {
    match error {
        SendError::Store(error) => store_error(error),
        SendError::View(error) => live_error(error),
        SendError::Queue(eventsource_core::BusError::Unavailable { source, .. }) => {
            tracing::warn!(error = %source, "command queue unavailable");
            eventsource_graphql::error_with_code("the command queue cannot be reached, try again", "UNAVAILABLE")
        }
        SendError::Queue(error @ eventsource_core::BusError::Invalid { .. }) => invalid(error.to_string()),
        other => internal_error(other),
    }
}
