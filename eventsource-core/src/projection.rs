//! Projections: events of the store folded into views, each exactly once and in order.

mod doorbell;
mod engine;
mod error;
mod feed;
mod fold;
mod handle;
mod lifecycle;
mod options;
mod parking;
mod progress;
mod repair;
mod slots;

use std::{fmt, future::Future, pin::pin, sync::Arc};

use tokio::sync::{mpsc, watch};

pub use doorbell::{Doorbell, ViewChange};
pub use error::ProjectionError;
pub use handle::{HandleError, ProjectionHandle, Repaired};
pub use options::ProjectionOptions;
pub use progress::Progress;

use crate::{
    clock::{Clock, SystemClock},
    codec::Codec,
    event::Event,
    store::{EventStore, Query},
    upcast::Upcasters,
    view::{ProjectionId, Projector, ViewStore},
};

/// Requests to repair that may wait for the loop.
const REQUESTS_MAX: usize = 64;

/// Folds the events of a store into the views of one projector, and keeps them up to date.
///
/// - A view and the checkpoint it stands for are written together, so after a crash, a redelivery
///   or a dropped future it goes on from the checkpoint and every view is still the fold of its events.
/// - It reads the events named in [`Event::NAMES`](crate::Event::NAMES), and the old names its
///   upcasters read, in the projector's category. Others never reach it.
/// - An event that cannot be decoded or projected is tried twice, then *parked* with its reason. Only
///   its own stream stands still. [`ProjectionHandle`] lists parked streams, retries and discards.
///   What is retried is folded in after what came in meanwhile from *other* streams, so a view in
///   scope [`Scope::Global`](crate::Scope::Global) should not depend on the order of streams.
/// - Raise [`Projector::VERSION`] to rebuild: the new views are built beside those being served,
///   served in one step once they have caught up, and the old ones are removed. A rebuild that is
///   stopped goes on from its checkpoint at the next start. A projection that has no version yet is
///   served from its first event on.
/// - While a store is unavailable it tries again for ever, with growing pauses, and says so in the
///   log, in [`Progress::failures`] and in the metric `eventsource_projection_failures_total`.
///
/// Run it once for each projector: two that write the same views at the same time are not kept apart.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{
///     Envelope, Event, EventStore, ExpectedVersion, NewEvent, ProjectError, Projection, ProjectionId, Projector,
///     Scope, StreamId, ViewStore, memory::{MemoryEventStore, MemoryViews},
/// };
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// #[serde(rename_all = "kebab-case")]
/// enum Counted { Up { by: u64 } }
/// impl Event for Counted {
///     const NAMES: &'static [&'static str] = &["up"];
///     fn name(&self) -> &'static str { "up" }
/// }
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Count { total: u64 }
///
/// struct Counts;
/// impl Projector for Counts {
///     const NAME: &'static str = "counts";
///     const VERSION: u32 = 1;
///     const SCOPE: Scope = Scope::Stream;
///     const CATEGORY: &'static str = "counter";
///     type Event = Counted;
///     type View = Count;
///     const INDEXES: &'static [&'static str] = &[];
///
///     fn key(&self, event: &Envelope<Counted>) -> Option<String> {
///         Some(event.record.stream.key().to_owned())
///     }
///     fn project(&self, view: Option<Count>, event: &Envelope<Counted>) -> Result<Option<Count>, ProjectError> {
///         let Counted::Up { by } = event.event;
///         let Count { total } = view.unwrap_or_default();
///         let total = total.checked_add(by).ok_or_else(|| ProjectError::new("the total is over 2^64"))?;
///         Ok(Some(Count { total }))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
/// let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
/// # let event = NewEvent {
/// #     id: "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?, name: "up".into(), schema: 1,
/// #     payload: r#"{"by":2}"#.into(), metadata: eventsource_core::Metadata::default(),
/// # };
/// # let at = store.append(&StreamId::new("counter", "a")?, ExpectedVersion::NoStream, vec![event]).await?;
///
/// let projection = Projection::new(Counts, store, views.clone());
/// let handle = projection.handle();
/// let stop = async {
///     handle.reached(at.position.expect("memory gives positions at once")).await.expect("it runs");
/// };
/// projection.run(stop).await?;
///
/// let view = views.load(&ProjectionId::of::<Counts>(), &["a".to_owned()]).await?.remove(0);
/// assert_eq!(view.and_then(|view| view.body).as_deref(), Some(&br#"{"total":2}"#[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Projection<P> {
    projector: P,
    store: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    upcasters: Upcasters,
    doorbell: Option<Arc<dyn Doorbell>>,
    clock: Arc<dyn Clock>,
    options: ProjectionOptions,
    projection: ProjectionId,
    requests: (mpsc::Sender<handle::Request>, mpsc::Receiver<handle::Request>),
    progress: watch::Sender<Progress>,
    running: watch::Sender<bool>,
}

impl<P: Projector> Projection<P> {
    /// A projection of the events in `store` into `views`.
    #[must_use]
    pub fn new(projector: P, store: Arc<dyn EventStore>, views: Arc<dyn ViewStore>) -> Self {
        let projection = ProjectionId::of::<P>();
        Self {
            projector,
            store,
            views,
            upcasters: Upcasters::default(),
            doorbell: None,
            clock: Arc::new(SystemClock),
            options: ProjectionOptions::default(),
            requests: mpsc::channel(REQUESTS_MAX),
            progress: watch::Sender::new(Progress::start(projection.clone())),
            running: watch::Sender::new(false),
            projection,
        }
    }

    /// Brings old events up to date with these.
    #[must_use]
    pub fn with_upcasters(self, upcasters: Upcasters) -> Self {
        Self { upcasters, ..self }
    }

    /// Rings this after every commit while the views are being served, and when they come to be.
    #[must_use]
    pub fn with_doorbell(self, doorbell: Arc<dyn Doorbell>) -> Self {
        Self { doorbell: Some(doorbell), ..self }
    }

    /// Takes the time of day from this clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Works within these bounds.
    #[must_use]
    pub fn with_options(self, options: ProjectionOptions) -> Self {
        Self { options, ..self }
    }

    /// Watches and repairs this projection, before and while it runs.
    #[must_use]
    pub fn handle(&self) -> ProjectionHandle {
        ProjectionHandle {
            projection: self.projection.clone(),
            views: Arc::clone(&self.views),
            requests: self.requests.0.clone(),
            progress: self.progress.subscribe(),
            running: self.running.subscribe(),
        }
    }

    /// Projects until `shutdown` is ready: first what the store holds, then every new event.
    ///
    /// # Errors
    /// When something is wrong that time does not heal: damaged data, a refusal by the view store, a
    /// newer version being served, a view of another shape, too many parked streams.
    ///
    /// # Cancel safety
    /// Dropping it is as good as a shutdown, and both are as good as a crash: the next run goes on
    /// from the checkpoint.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ProjectionError> {
        let running = self.running.clone();
        let mut engine = Box::new(self.into_engine());
        running.send_replace(true);
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            biased;
            () = &mut shutdown => Ok(()),
            stopped = engine.run() => stopped.map(|never| match never {}),
        }
    }

    fn into_engine(self) -> engine::Engine<P> {
        let mut query = Query::default().category(P::CATEGORY).names(P::Event::NAMES);
        query.names.extend(self.upcasters.names().cloned());
        let hot = slots::HotViews::new(self.projection.clone(), Arc::clone(&self.views), self.options.cached_views_max);
        engine::Engine {
            store: self.store,
            lifecycle: lifecycle::Lifecycle { projection: self.projection, views: self.views },
            doorbell: self.doorbell,
            clock: self.clock,
            options: self.options,
            query,
            folder: fold::Folder::new(self.projector, Codec::new(self.upcasters), hot),
            parked: parking::ParkedStreams::none(self.options.parked_streams_max),
            requests: self.requests.1,
            meter: progress::Meter::new(self.progress),
            failures: 0,
        }
    }
}

impl<P> fmt::Debug for Projection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection").field("projection", &self.projection).finish_non_exhaustive()
    }
}
