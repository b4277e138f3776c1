//! The workflow dashboard: every role of an event-sourced service in one process, over the
//! embedded engine.

pub mod client;
pub mod domain;
pub mod import;
pub mod projections;
pub mod roles;
mod time;
