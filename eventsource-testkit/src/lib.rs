//! The laws of event sourcing as tests: prove a store, a bus, an aggregate, a projector.
//!
//! Published event stores lose events under concurrent writers while their own tests stay green. A
//! law here is a function that takes a fresh instance and says what is broken; a macro turns all
//! laws of a port into tests named after them, so that `cargo test` prints the promises that hold.
//!
//! # Prove a new store
//! Say how to make a fresh one and what it can and cannot do; the macro does the rest. What a backend
//! lacks it lacks for a reason that is written down, and nothing is skipped.
//!
//! ```
//! use std::sync::Arc;
//! use eventsource_core::EventStore;
//! use eventsource_testkit::{Fixture, event_store_laws};
//! # use eventsource_core::memory::MemoryEventStore as MyStore;
//!
//! async fn my_store() -> Fixture<dyn EventStore> {
//!     Fixture::event_store(Arc::new(MyStore::new()))
//!         .cannot_reopen("it lives in memory")
//!         .payload_bytes_max(16 << 20)
//! }
//!
//! event_store_laws!(my_store);
//! ```
//!
//! A store that lives on a disk says how it is opened again, and keeps its folder for as long as the
//! law runs:
//!
//! ```
//! # use std::{path::Path, sync::Arc};
//! # use eventsource_core::{EventStore, memory::MemoryEventStore};
//! # use eventsource_testkit::Fixture;
//! # struct TempDir;
//! # impl TempDir {
//! #     fn new() -> Self { Self }
//! #     fn path(&self) -> &Path { Path::new("") }
//! # }
//! # async fn open(_: &Path) -> Arc<dyn EventStore> { Arc::new(MemoryEventStore::new()) }
//! async fn on_disk() -> Fixture<dyn EventStore> {
//!     let folder = TempDir::new();
//!     let path = folder.path().to_owned();
//!     Fixture::event_store(open(&path).await)
//!         .reopens(move || { let path = path.clone(); async move { open(&path).await } })
//!         .payload_bytes_max(16 << 20)
//!         .keeping(folder)
//! }
//! ```
//!
//! | macro | proves | laws |
//! |---|---|---|
//! | [`event_store_laws!`] | an event store | 1 to 10, and a model test against a plain `Vec` |
//! | [`bus_laws!`] | a queue | 11 and 12 |
//! | [`outcome_store_laws!`] | a store of outcomes | 13 at the port |
//! | [`snapshot_store_laws!`] | a store of snapshots | a cache that never goes back |
//! | [`view_store_laws!`] | a view store | 15 to 18 at the port |
//! | [`execute_laws!`] | commands over stores | 13 and 14 |
//! | [`projection_laws!`] | projections over stores | 15 to 18 |
//!
//! # Tell decisions as stories
//! [`given`] some events, [`when`](Given::when) something is ordered, [`then`](When::then) that
//! happens, or it [is rejected](When::then_rejected). No store and no runtime.
//!
//! # See that the laws can fail
//! The ports in [`liar`] break a law each; [`broken!`] names the laws that a port breaks. [`chaos`]
//! holds faults to put around any port.
//!
//! Random choices come from a seed that a failure prints; the environment variable `TESTKIT_SEED`
//! asks for another one.

pub mod chaos;
pub mod laws;
pub mod liar;
pub mod sample;

mod broken;
mod bus_fixture;
mod conformance;
mod engine_fixture;
mod fixture;
mod prove;
mod scenario;

pub use broken::{LawBroken, Verdict};
pub use bus_fixture::{BusFixture, DeadLettered, LOCK_TIME_MAX};
pub use engine_fixture::{ExecuteFixture, ProjectionFixture};
pub use fixture::{Capability, Fixture};
pub use prove::{LAW_TIME_MAX, broken_laws, judge, prove};
pub use scenario::{Given, When, given};
