//! The laws, one function each, a module for each port.
//!
//! A law takes a fresh instance and returns [`Verdict`](crate::Verdict), so that it can be run by a
//! test ([`prove`](crate::prove)) and against a liar ([`judge`](crate::judge)).

pub mod bus;
pub mod event_store;
pub mod execute;
pub mod outcome_store;
pub mod projection;
pub mod snapshot_store;
mod support;
pub mod view_store;
