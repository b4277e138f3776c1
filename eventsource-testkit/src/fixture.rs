//! A fresh port for one law, and what it can and cannot do.

use std::{any::Any, fmt, future::Future, sync::Arc};

use eventsource_core::{EventStore, OutcomeStore, SnapshotStore, ViewStore};
use futures::future::BoxFuture;

use crate::broken::LawBroken;

/// Something that not every backend has: it has it, or says why not.
#[derive(Clone, Debug)]
pub enum Capability<T> {
    /// The backend has it.
    Has(T),
    /// The backend lacks it.
    Lacks {
        /// Why.
        reason: &'static str,
    },
}

/// A fresh, empty instance of a port for one law, with what must outlive it.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{EventStore, memory::MemoryEventStore};
/// use eventsource_testkit::Fixture;
///
/// async fn memory() -> Fixture<dyn EventStore> {
///     Fixture::event_store(Arc::new(MemoryEventStore::new()))
///         .cannot_reopen("it lives in memory")
///         .payload_bytes_max(16 << 20)
/// }
/// ```
pub struct Fixture<P: ?Sized> {
    port: Arc<P>,
    reopen: Option<Capability<Reopen<P>>>,
    payload_bytes_max: Option<Capability<usize>>,
    guards: Vec<Box<dyn Any + Send>>,
}

type Reopen<P> = Box<dyn Fn() -> BoxFuture<'static, Arc<P>> + Send + Sync>;

impl Fixture<dyn EventStore> {
    /// A fresh event store.
    #[must_use]
    pub fn event_store(port: Arc<dyn EventStore>) -> Self {
        Self::new(port)
    }

    /// The most bytes that the store takes in one payload; one more is refused.
    #[must_use]
    pub fn payload_bytes_max(self, bytes: usize) -> Self {
        Self { payload_bytes_max: Some(Capability::Has(bytes)), ..self }
    }

    /// The store takes payloads of any size, for this reason.
    #[must_use]
    pub fn no_payload_limit(self, reason: &'static str) -> Self {
        Self { payload_bytes_max: Some(Capability::Lacks { reason }), ..self }
    }

    pub(crate) fn payload_limit(&self) -> Result<&Capability<usize>, LawBroken> {
        self.payload_bytes_max.as_ref().ok_or_else(|| {
            LawBroken::new("the fixture does not say what it can: call `payload_bytes_max` or `no_payload_limit`")
        })
    }
}

impl Fixture<dyn ViewStore> {
    /// A fresh view store.
    #[must_use]
    pub fn view_store(port: Arc<dyn ViewStore>) -> Self {
        Self::new(port)
    }
}

impl Fixture<dyn SnapshotStore> {
    /// A fresh snapshot store.
    #[must_use]
    pub fn snapshot_store(port: Arc<dyn SnapshotStore>) -> Self {
        Self::new(port)
    }
}

impl Fixture<dyn OutcomeStore> {
    /// A fresh outcome store.
    #[must_use]
    pub fn outcome_store(port: Arc<dyn OutcomeStore>) -> Self {
        Self::new(port)
    }
}

impl<P: ?Sized> Fixture<P> {
    fn new(port: Arc<P>) -> Self {
        Self { port, reopen: None, payload_bytes_max: None, guards: Vec::new() }
    }

    /// How to open the same data again after the instance before was dropped.
    #[must_use]
    pub fn reopens<F>(self, reopen: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Arc<P>> + Send + 'static,
    {
        Self { reopen: Some(Capability::Has(Box::new(move || Box::pin(reopen())))), ..self }
    }

    /// The data is gone with the instance, for this reason.
    #[must_use]
    pub fn cannot_reopen(self, reason: &'static str) -> Self {
        Self { reopen: Some(Capability::Lacks { reason }), ..self }
    }

    /// Keeps `guard`, such as a temporary folder, until the law has ended.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Arc<P> {
        Arc::clone(&self.port)
    }

    /// The instance that sees the same data after this one was dropped; `None` when the backend has
    /// said why there is none.
    pub(crate) async fn reopened(self) -> Result<Option<Self>, LawBroken> {
        let Self { port, reopen, payload_bytes_max, guards } = self;
        let Some(reopen) = reopen else {
            return Err(LawBroken::new("the fixture does not say what it can: call `reopens` or `cannot_reopen`"));
        };
        if Arc::strong_count(&port) > 1 {
            return Err(LawBroken::new("something still holds the port, so it cannot be opened again"));
        }
        drop(port);
        match reopen {
            Capability::Lacks { reason: "" } => {
                Err(LawBroken::new("a store that cannot be opened again gives no reason"))
            }
            Capability::Lacks { .. } => Ok(None),
            Capability::Has(open) => {
                let port = open().await;
                Ok(Some(Self { port, reopen: Some(Capability::Has(open)), payload_bytes_max, guards }))
            }
        }
    }
}

impl<P: ?Sized + fmt::Debug> fmt::Debug for Fixture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("port", &self.port).finish_non_exhaustive()
    }
}
