//! The workflow dashboard: every role of an event-sourced service in one process, over the
//! embedded engine.

mod causes;
pub mod cli;
pub mod client;
pub mod dead_letters;
pub mod demo;
pub mod domain;
pub mod graphql;
pub mod import;
mod page;
pub mod ports;
pub mod projections;
pub mod repair;
pub mod roles;
pub mod server;
pub mod simulate;
pub mod telemetry;
mod time;
pub mod verify;

pub use causes::with_causes;
