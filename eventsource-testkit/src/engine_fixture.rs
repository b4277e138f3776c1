//! Fresh ports for the laws of an engine that runs over several of them.

use std::{any::Any, sync::Arc};

use eventsource_core::{EventStore, OutcomeStore, SnapshotStore, ViewStore};

/// Fresh, empty stores of one process that carries out commands.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::{MemoryEventStore, MemoryOutcomes, MemorySnapshots};
/// use eventsource_testkit::ExecuteFixture;
///
/// async fn memory() -> ExecuteFixture {
///     let (store, outcomes) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryOutcomes::new()));
///     ExecuteFixture::new(store, outcomes, Arc::new(MemorySnapshots::new()))
/// }
/// ```
#[derive(Debug)]
pub struct ExecuteFixture {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) outcomes: Arc<dyn OutcomeStore>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    guards: Vec<Box<dyn Any + Send>>,
}

impl ExecuteFixture {
    /// These stores, all empty.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, outcomes: Arc<dyn OutcomeStore>, snapshots: Arc<dyn SnapshotStore>) -> Self {
        Self { store, outcomes, snapshots, guards: Vec::new() }
    }

    /// Keeps `guard`, such as a temporary folder, until the law has ended.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

/// A fresh, empty event store and a view store to fold its events into.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::{MemoryEventStore, MemoryViews};
/// use eventsource_testkit::ProjectionFixture;
///
/// async fn memory() -> ProjectionFixture {
///     ProjectionFixture::new(Arc::new(MemoryEventStore::new()), Arc::new(MemoryViews::new()))
/// }
/// ```
#[derive(Debug)]
pub struct ProjectionFixture {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) views: Arc<dyn ViewStore>,
    guards: Vec<Box<dyn Any + Send>>,
}

impl ProjectionFixture {
    /// These stores, both empty.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, views: Arc<dyn ViewStore>) -> Self {
        Self { store, views, guards: Vec::new() }
    }

    /// Keeps `guard`, such as a temporary folder, until the law has ended.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}
