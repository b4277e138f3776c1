//! Turns a recorded event log into commands and sends them to a server.

mod plan;
pub mod xes;

pub use plan::{CaseEnd, CasePlan, LogSummary, PlannedCommand, Plans, check_log};
