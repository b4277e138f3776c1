//! How much a workflow takes: every text, number and size has a bound.

use super::{command::WorkflowCommand, json::Json};

/// Longest workflow id in bytes.
pub const WORKFLOW_ID_BYTES_MAX: usize = 200;
/// Longest step name in characters.
pub const STEP_CHARS_MAX: usize = 200;
/// Longest other text in bytes: 4 KiB.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Longest initial parameters or output in bytes of JSON text: 256 KiB.
pub const JSON_BYTES_MAX: usize = 256 * 1024;
/// Most occurrences of steps in one workflow: its view holds them all.
pub const STEPS_MAX: u32 = 5_000;
/// Most bytes of JSON and reasons in one workflow: 4 MiB. Its view holds them all.
pub const JSON_BYTES_PER_WORKFLOW_MAX: u64 = 4 * 1024 * 1024;

/// A command that no workflow could take, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// A text that must say something is empty.
    #[error("{field} is empty, it must have at least one character")]
    Empty {
        /// Which field.
        field: &'static str,
    },
    /// A text or JSON is over its limit.
    #[error("{field} has {actual} {unit}, at most {limit} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How long it is.
        actual: usize,
        /// How long it may be.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A name holds characters that cannot be shown.
    #[error("{field} holds a control character, only characters that can be shown are allowed")]
    ControlCharacter {
        /// Which field.
        field: &'static str,
    },
}

impl InvalidCommand {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty-field",
            Self::TooLong { .. } => "too-long",
            Self::ControlCharacter { .. } => "control-character",
        }
    }
}

impl WorkflowCommand {
    /// Checks what can be checked without knowing the workflow.
    ///
    /// # Errors
    /// When a field is empty, over its limit or holds control characters where a name is wanted.
    pub fn check(&self) -> Result<(), InvalidCommand> {
        workflow_id(self.workflow_id())?;
        match self {
            Self::StartWorkflow { definition, initiator, initial_params, .. } => {
                text("definition", definition)?;
                text("initiator", initiator)?;
                json("initialParams", initial_params.as_ref())
            }
            Self::StartStep { step, .. } | Self::RetryStep { step, .. } => step_name(step),
            Self::CompleteStep { step, output, .. } => {
                step_name(step)?;
                json("output", output.as_ref())
            }
            Self::FailStep { step, reason, .. } => {
                step_name(step)?;
                text("reason", reason)
            }
            Self::CancelWorkflow { reason, .. } => text("reason", reason),
            Self::CompleteWorkflow { .. } => Ok(()),
        }
    }
}

fn workflow_id(id: &str) -> Result<(), InvalidCommand> {
    const FIELD: &str = "workflowId";
    at_most(FIELD, id.len(), WORKFLOW_ID_BYTES_MAX, "bytes")?;
    name(FIELD, id)
}

fn step_name(step: &str) -> Result<(), InvalidCommand> {
    const FIELD: &str = "step";
    at_most(FIELD, step.chars().count(), STEP_CHARS_MAX, "characters")?;
    name(FIELD, step)
}

fn name(field: &'static str, text: &str) -> Result<(), InvalidCommand> {
    if text.trim().is_empty() {
        return Err(InvalidCommand::Empty { field });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidCommand::ControlCharacter { field });
    }
    Ok(())
}

fn text(field: &'static str, text: &str) -> Result<(), InvalidCommand> {
    if text.trim().is_empty() {
        return Err(InvalidCommand::Empty { field });
    }
    at_most(field, text.len(), TEXT_BYTES_MAX, "bytes")
}

fn json(field: &'static str, json: Option<&Json>) -> Result<(), InvalidCommand> {
    at_most(field, json.map_or(0, |json| json.as_str().len()), JSON_BYTES_MAX, "bytes of JSON")
}

fn at_most(field: &'static str, actual: usize, limit: usize, unit: &'static str) -> Result<(), InvalidCommand> {
    if actual > limit { Err(InvalidCommand::TooLong { field, actual, limit, unit }) } else { Ok(()) }
}
