//! Live queries: views as they are now, and as they change, shared by all who watch.

mod bell;
mod changes;
mod error;
mod fanout;
mod keys;
mod lock;
mod log;
mod options;
mod reader;
mod serving;
mod view;
mod watch;

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use error::LiveError;
pub use options::LiveOptions;
pub use view::{FoundLiveView, LiveChanges, LivePage, LiveView};

use crate::{
    position::Position,
    projection::{Doorbell, ViewChange},
    store::StoreError,
    version::Version,
    view::{ProjectionId, Projector, Scope, ViewQuery, ViewStore},
};

/// The views of one projection, as they are and as they change. A clone is another handle on the same.
///
/// One per process and projection: hand it to the [`Projection`](crate::Projection) as its doorbell
/// (or to whatever hears the doorbells of other processes), run it, and give clones to whoever asks.
/// Each changed view is read and decoded once and shared among all who watch. A reader that is slow
/// holds up nobody: of each view it gets the newest state, or a resync.
///
/// A doorbell that is lost costs time: every [`LiveOptions::reconcile_interval`] the views are looked
/// at anyway. Queries read the version being served, whichever it is, and everyone who follows
/// changes gets a resync when that is switched.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use eventsource_core::{
///     Envelope, Event, EventStore, ExpectedVersion, LiveQueries, NewEvent, ProjectError, Projection, Projector,
///     Scope, StreamId, ViewStore, memory::{MemoryEventStore, MemoryViews},
/// };
/// use futures::StreamExt;
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Clone, Debug, Serialize, Deserialize)]
/// # #[serde(rename_all = "kebab-case")]
/// # enum Lamp { On, Off }
/// # impl Event for Lamp {
/// #     const NAMES: &'static [&'static str] = &["on", "off"];
/// #     fn name(&self) -> &'static str { match self { Self::On => "on", Self::Off => "off" } }
/// # }
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct LampView { lit: bool }
///
/// struct Lamps;
/// impl Projector for Lamps {
///     const NAME: &'static str = "lamps";
///     // …
/// #   const VERSION: u32 = 1;
/// #   const SCOPE: Scope = Scope::Stream;
/// #   const CATEGORY: &'static str = "lamp";
/// #   type Event = Lamp;
/// #   type View = LampView;
/// #   const INDEXES: &'static [&'static str] = &[];
/// #   fn key(&self, event: &Envelope<Lamp>) -> Option<String> { Some(event.record.stream.key().to_owned()) }
///     fn project(&self, _: Option<LampView>, event: &Envelope<Lamp>) -> Result<Option<LampView>, ProjectError> {
///         Ok(Some(LampView { lit: matches!(event.event, Lamp::On) }))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
/// let views: Arc<dyn ViewStore> = Arc::new(MemoryViews::new());
/// let live = LiveQueries::<Lamps>::new(views.clone());
/// let projection = Projection::new(Lamps, store.clone(), views).with_doorbell(Arc::new(live.clone()));
///
/// let mut lamp = live.watch("hall", None);
/// let (projecting, pushing) = (projection.run(std::future::pending()), live.run(std::future::pending()));
/// let using = async {
///     # let event = |name: &str, id: u128| NewEvent {
///     #     id: eventsource_core::EventId::from_uuid(uuid::Uuid::from_u128(id)), name: name.into(), schema: 1,
///     #     payload: "{}".into(), metadata: eventsource_core::Metadata::default(),
///     # };
///     let hall = StreamId::new("lamp", "hall")?;
///     let on = store.append(&hall, ExpectedVersion::NoStream, vec![event("on", 1)]).await?;
///     let seen = live.wait_for("hall", on.version, Duration::from_secs(5)).await?;
///     assert!(seen.view.is_some_and(|lamp| lamp.lit));
///     assert_eq!(lamp.next().await.expect("it never ends")?.version, Some(on.version));
///
///     let off = store.append(&hall, ExpectedVersion::Exact(on.version), vec![event("off", 2)]).await?;
///     assert_eq!(lamp.next().await.expect("it never ends")?.version, Some(off.version));
///     Ok::<(), Box<dyn std::error::Error>>(())
/// };
/// tokio::select! {
///     used = using => used,
///     stopped = projecting => Err(format!("{stopped:?}").into()),
///     stopped = pushing => Err(format!("{stopped:?}").into()),
/// }
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LiveQueries<P: Projector> {
    shared: Arc<fanout::Shared<P::View>>,
}

impl<P: Projector> LiveQueries<P> {
    /// Live queries on the projection called `P::NAME` in `views`.
    #[must_use]
    pub fn new(views: Arc<dyn ViewStore>) -> Self {
        Self { shared: shared::<P>(views, LiveOptions::default()) }
    }

    /// The same within these bounds. To be called before it is cloned or run.
    #[must_use]
    pub fn with_options(self, options: LiveOptions) -> Self {
        Self { shared: shared::<P>(Arc::clone(&self.shared.views), options) }
    }

    /// Pushes changes to all who watch until `shutdown` is ready. Without it they get what there is
    /// when they ask, and nothing after that.
    ///
    /// # Errors
    /// When the view store refuses or is damaged, or another run is going on. While the store is
    /// unavailable it tries again for ever.
    ///
    /// # Cancel safety
    /// Dropping it is as good as a shutdown. Run again, and those who watch miss nothing.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), LiveError> {
        let Ok(mut fanout) = self.shared.fanout.try_lock() else {
            return Err(LiveError::AlreadyRunning { projection: P::NAME });
        };
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            biased;
            () = &mut shutdown => Ok(()),
            stopped = self.shared.run(&mut fanout) => stopped.map_err(LiveError::from),
        }
    }

    /// The view of `key` as it is now; `None` when there is none or it was removed.
    ///
    /// # Errors
    /// When it cannot be read or decoded.
    pub async fn get(&self, key: &str) -> Result<Option<LiveView<P::View>>, LiveError> {
        Ok(self.shared.load_one(key).await?.1.filter(|view| view.view.is_some()))
    }

    /// Views that match, a page at a time.
    ///
    /// # Errors
    /// When the query names a field that is not indexed or a cursor that is not ours, or views cannot
    /// be read or decoded.
    pub async fn find(&self, query: ViewQuery) -> Result<LivePage<P::View>, LiveError> {
        let mut served = self.shared.serving.current().await?;
        loop {
            let Some(projection) = &served.projection else {
                return Ok(LivePage { position: None, views: Vec::new(), more: false, total: 0 });
            };
            // First the position: the page that is read next holds everything committed up to it.
            let position = self.shared.checkpoint(projection).await?;
            let found = self.shared.views.find(projection, query.clone()).await;
            // Nothing found may mean that the version is gone because another one is served by now.
            if !found.as_ref().is_ok_and(|page| page.total > 0) {
                let newest = self.shared.serving.refresh().await?;
                if newest.epoch != served.epoch {
                    served = newest;
                    continue;
                }
            }
            let found = found?;
            let decoded = found.views.into_iter().map(|found| {
                let view = LiveView::decode(projection, found.view).map_err(|error| LiveError::from(&error))?;
                Ok(FoundLiveView { cursor: found.cursor, view })
            });
            let views = decoded.collect::<Result<_, LiveError>>()?;
            return Ok(LivePage { position, views, more: found.more, total: found.total });
        }
    }

    /// The view of `key` once it has come as far as `version`: a reader sees what it wrote.
    ///
    /// The version is that of an event which changes the view: an event that the projector has no
    /// key for moves no view, and nobody should wait for it.
    ///
    /// # Errors
    /// [`LiveError::NotYetVisible`] when it has not come that far after `timeout`; an invalid request
    /// when the projector's scope is not [`Scope::Stream`], where views have no version of their own.
    pub async fn wait_for(
        &self,
        key: &str,
        version: Version,
        timeout: Duration,
    ) -> Result<LiveView<P::View>, LiveError> {
        if P::SCOPE != Scope::Stream {
            let reason = format!("views of {} are fed from many streams, there is no version to wait for", P::NAME);
            return Err(StoreError::invalid(reason).into());
        }
        watch::wait_for(&self.shared, key, version, timeout).await
    }

    /// The newest state of the view of `key`, then every newer one: none twice and none that leads back.
    ///
    /// Whoever reads slowly gets the newest state only. With `after` nothing at or below that version
    /// is told (in scope [`Scope::Stream`]; elsewhere `after` means nothing). A view that was removed
    /// is told once, as a state without a view; one that is not there yet is waited for. An error is
    /// the last item.
    #[must_use]
    pub fn watch(&self, key: &str, after: Option<Version>) -> BoxStream<'static, Result<LiveView<P::View>, LiveError>> {
        watch::watch::<P>(Arc::clone(&self.shared), key, after)
    }

    /// Every view that changes, from `after` on, without a gap.
    ///
    /// The first item comes at once. Without `after` it tells the present position and no views. With
    /// `after`, the position of an earlier item or page, first comes what has changed since, then
    /// every change. A page or item whose position is `None` was there before the first event:
    /// whoever has that follows with [`changes_from_start`](Self::changes_from_start).
    ///
    /// An item with [`resync`](LiveChanges::resync) says that changes are left out, so whoever shows
    /// views reads them again: the reader was slow or away for too long, or another version is being
    /// served. An error is the last item.
    ///
    /// ```
    /// use eventsource_core::{LiveError, LiveQueries, Projector, ViewQuery};
    /// use futures::TryStreamExt;
    ///
    /// async fn page<P: Projector>(live: &LiveQueries<P>, query: ViewQuery) -> Result<(), LiveError> {
    ///     // Read first, follow from the position of what was read: nothing is missed in between.
    ///     let shown = live.find(query.clone()).await?;
    ///     let mut changes = match shown.position {
    ///         None => live.changes_from_start(),
    ///         position => live.changes(position),
    ///     };
    ///     while let Some(item) = changes.try_next().await? {
    ///         if item.resync {
    ///             let shown_again = live.find(query.clone()).await?;
    ///             println!("{} views, read again", shown_again.total);
    ///         }
    ///         for view in item.views {
    ///             println!("{} is at {:?}", view.key, view.version);
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn changes(&self, after: Option<Position>) -> BoxStream<'static, Result<LiveChanges<P::View>, LiveError>> {
        let from = after.map_or(changes::Origin::Now, |after| changes::Origin::After(Some(after)));
        changes::changes(Arc::clone(&self.shared), from)
    }

    /// Every view there is, then every view that changes: [`changes`](Self::changes) for whoever has
    /// seen nothing yet, or has read an empty page that had no position.
    #[must_use]
    pub fn changes_from_start(&self) -> BoxStream<'static, Result<LiveChanges<P::View>, LiveError>> {
        changes::changes(Arc::clone(&self.shared), changes::Origin::After(None))
    }
}

/// What all clones share.
fn shared<P: Projector>(views: Arc<dyn ViewStore>, options: LiveOptions) -> Arc<fanout::Shared<P::View>> {
    let subscribers =
        |kind: &'static str| metrics::gauge!("eventsource_live_subscribers", "projection" => P::NAME, "kind" => kind);
    Arc::new(fanout::Shared {
        serving: serving::Serving::new(P::NAME, Arc::clone(&views), options.reconcile_interval),
        views,
        options,
        bell: bell::Bell::new(options.rung_keys_max),
        keys: Arc::new(keys::Keys::new(subscribers("watch"))),
        log: Arc::new(log::Log::new(options.kept_views_max, subscribers("changes"))),
        resyncs: metrics::counter!("eventsource_live_resyncs_total", "projection" => P::NAME),
        fanout: tokio::sync::Mutex::default(),
    })
}

#[async_trait]
impl<P: Projector> Doorbell for LiveQueries<P> {
    async fn ring(&self, projection: &ProjectionId, changes: &[ViewChange]) {
        if projection.name == P::NAME {
            self.shared.serving.doubt(projection);
            let watched = self.shared.keys.watched(changes.iter().map(|change| change.key.as_str()));
            self.shared.bell.ring(watched.into_iter());
        }
    }

    async fn ring_all(&self, projection: &ProjectionId) {
        if projection.name == P::NAME {
            self.shared.serving.doubt(projection);
            self.shared.bell.ring_all();
        }
    }
}

impl<P: Projector> Clone for LiveQueries<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<P: Projector> fmt::Debug for LiveQueries<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveQueries").field("projection", &P::NAME).finish_non_exhaustive()
    }
}
