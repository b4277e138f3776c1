//! The laws of event sourcing as tests: prove a store, a bus, an aggregate.

pub mod chaos;
pub mod laws;
pub mod liar;

mod broken;
mod bus_fixture;
mod conformance;
mod fixture;
mod prove;

pub use broken::{LawBroken, Verdict};
pub use bus_fixture::{BusFixture, DeadLettered, LOCK_TIME_MAX};
pub use fixture::{Capability, Fixture};
pub use prove::{LAW_TIME_MAX, broken_laws, judge, prove};
