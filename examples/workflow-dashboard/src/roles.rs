//! The roles of the service. Each is a future that runs until it is told to stop; on one machine
//! all of them run in one process, and only the ports they are given know that.

mod api;
mod commands;
mod handler;
mod health;
mod message;
mod outcomes;
mod projector;
#[cfg(test)]
mod tests;

pub use api::ApiRole;
pub use commands::{Commands, REUSED_CODE, Reached, SendError, Wait};
pub use handler::{DAMAGED_CODE, EXHAUSTED_CODE, HandlerError, HandlerRole, REFUSED_CODE, UNREADABLE_CODE};
pub use health::{Health, StoreWatch};
pub use message::{from_message, to_message};
pub use outcomes::{OutcomeHub, Waiting};
pub use projector::{ProjectorError, ProjectorRole};
