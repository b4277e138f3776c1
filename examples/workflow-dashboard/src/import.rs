//! Turns a recorded event log into commands and sends them to a server.

mod pace;
mod plan;
mod run;
mod send;
pub mod xes;

pub use pace::{Speed, SpeedError};
pub use plan::{CaseEnd, CasePlan, LogSummary, PlannedCommand, Plans, check_log};
pub use run::{Import, ImportError, Observer};
pub use send::{ImportTotals, SendError};
