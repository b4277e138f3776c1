//! The workflow: what it can be told, what can happen to it, and the rules between the two.
//!
//! Nothing here knows of time, I/O or other crates than the core: every rule is tested by saying
//! what happened before, what is asked, and what must follow.

mod command;
mod decide;
mod event;
mod json;
mod limits;
mod rejection;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use command::{CommandKind, WorkflowCommand};
pub use event::WorkflowEvent;
pub use json::{JSON_DEPTH_MAX, Json, JsonError};
pub use limits::{
    InvalidCommand, JSON_BYTES_MAX, JSON_BYTES_PER_WORKFLOW_MAX, STEP_CHARS_MAX, STEPS_MAX, TEXT_BYTES_MAX,
    WORKFLOW_ID_BYTES_MAX,
};
pub use rejection::WorkflowRejection;
pub use state::{StepProgress, Workflow};
pub use status::{StepStatus, WorkflowStatus, legal_commands};
