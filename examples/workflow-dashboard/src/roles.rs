//! The roles of the service. Each is a future that runs until it is told to stop; on one machine
//! all of them run in one process, and only the ports they are given know that.

mod handler;
mod message;
mod outcomes;

pub use handler::{HandlerError, HandlerRole, REFUSED_CODE, UNREADABLE_CODE};
pub use message::{from_message, to_message};
pub use outcomes::{OutcomeHub, Waiting};
