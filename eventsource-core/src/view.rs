//! The read side's words, and the port to where views live.

use std::{borrow::Cow, fmt, num::NonZeroU32, time::SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    event::{Envelope, Event, EventName},
    id::StreamId,
    position::Position,
    store::{Direction, StoreError},
    version::Version,
};

/// A read model as a pure fold: the engine owns loading, saving, deduplication, order and checkpoints.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projector",
    note = "a projector is a pure fold from events to views: implement `Projector` with `key` and `project`"
)]
pub trait Projector: Send + Sync + 'static {
    /// With [`VERSION`](Self::VERSION): where the views and the checkpoint live. 1 to 64 bytes of
    /// `a-z`, `0-9`, `-` and `_`.
    const NAME: &'static str;
    /// Raise it when `project` or the view changes: the new views are built beside the old ones.
    const VERSION: u32;
    /// How far a view reaches.
    const SCOPE: Scope;
    /// Only events of this category.
    const CATEGORY: &'static str;
    /// The events it reads.
    type Event: Event;
    /// What it builds.
    type View: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// Top-level fields of the view's JSON that can be filtered and sorted by.
    const INDEXES: &'static [&'static str];

    /// The key of the view that `event` changes, or `None` when it changes none.
    fn key(&self, event: &Envelope<Self::Event>) -> Option<String>;

    /// The view after `event`; `None` removes it.
    ///
    /// # Errors
    /// When the event cannot be folded in: it is retried, then parked with this reason.
    fn project(
        &self,
        view: Option<Self::View>,
        event: &Envelope<Self::Event>,
    ) -> Result<Option<Self::View>, ProjectError>;
}

/// Why a projector cannot fold an event in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProjectError(Cow<'static, str>);

impl ProjectError {
    /// A failure with this reason.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

/// How far a view reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One view a stream, its key is the stream's key; runs on any feed.
    Stream,
    /// Any key, fed from many streams; runs on the store feed only.
    Global,
}

/// One set of views: the projector's name and version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProjectionId {
    /// The projector's name.
    pub name: Cow<'static, str>,
    /// The projector's version.
    pub version: u32,
}

impl ProjectionId {
    /// The set of views that `P` builds.
    #[must_use]
    pub const fn of<P: Projector>() -> Self {
        Self { name: Cow::Borrowed(P::NAME), version: P::VERSION }
    }
}

impl fmt::Display for ProjectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Where views live. Every implementation keeps laws 15 and 16 of the conformance suite.
#[async_trait]
pub trait ViewStore: fmt::Debug + Send + Sync + 'static {
    /// Makes room for a projection and its indexed fields. Does nothing when that is done already.
    ///
    /// # Errors
    /// `Invalid` when the name or a field cannot be used.
    async fn prepare(&self, projection: &ProjectionId, indexes: &[&str]) -> Result<(), StoreError>;

    /// The views of these keys, in their order. A removed view is `Some` with no body.
    ///
    /// # Errors
    /// `Corrupt` when a view is damaged.
    async fn load(&self, projection: &ProjectionId, keys: &[String]) -> Result<Vec<Option<StoredView>>, StoreError>;

    /// Writes a batch: views, parked events and the checkpoint together or not at all.
    ///
    /// # Errors
    /// `Unavailable` when the outcome is unknown: commit again, it is the same batch.
    async fn commit(&self, projection: &ProjectionId, batch: ViewBatch) -> Result<(), StoreError>;

    /// How far the projection has come; `None` before its first commit.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Checkpoint>, StoreError>;

    /// Views that match, a page at a time.
    ///
    /// # Errors
    /// `Invalid` for a field that is not indexed or a cursor that is not ours.
    async fn find(&self, projection: &ProjectionId, query: ViewQuery) -> Result<ViewPage, StoreError>;

    /// Views whose position is above `after`, removed ones too, in position order.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn changed(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<StoredView>, StoreError>;

    /// Streams that stand still at an event which could not be projected, in position order.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn parked(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<Parked>, StoreError>;

    /// The version of the named projection that queries read.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn serving(&self, name: &str) -> Result<Option<u32>, StoreError>;

    /// Makes this version the one that queries read.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn serve(&self, projection: &ProjectionId) -> Result<(), StoreError>;

    /// Removes a version's views, parked events and checkpoint.
    ///
    /// # Errors
    /// `Invalid` for the version that is being served.
    async fn remove(&self, projection: &ProjectionId) -> Result<(), StoreError>;
}

/// How far a projection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Everything up to here is folded in or parked; `None` at the very beginning.
    pub position: Option<Position>,
}

/// A view as a store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredView {
    /// Which view.
    pub key: String,
    /// Version of the last event folded in: the guard that makes redelivery harmless
    /// (of the stream for [`Scope::Stream`]; of the last event's stream otherwise).
    pub version: Option<Version>,
    /// Position at which the view last changed.
    pub position: Option<Position>,
    /// The view as JSON; `None` when it was removed.
    pub body: Option<Bytes>,
}

/// What one commit writes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ViewBatch {
    /// New states of views, each key at most once.
    pub views: Vec<StoredView>,
    /// The checkpoint these stand for; `None` leaves it as it is.
    pub checkpoint: Option<Checkpoint>,
    /// Streams that come to a halt, or whose reason or count of attempts changed.
    pub park: Vec<Parked>,
    /// Streams that move again.
    pub release: Vec<StreamId>,
}

/// A stream that stands still at an event which could not be decoded or projected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The stream that stands still; all others go on.
    pub stream: StreamId,
    /// The event it stands at.
    pub version: Version,
    /// Where that event is.
    pub position: Position,
    /// What that event is called.
    pub event: EventName,
    /// Why it could not be projected.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was parked first.
    pub since: SystemTime,
}

/// Which views to find.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ViewQuery {
    /// Indexed fields and the text they must equal; a number or truth value as its JSON text.
    pub equal: Vec<(Cow<'static, str>, String)>,
    /// A text that one of these indexed fields, or the key, must contain; ASCII case is ignored.
    pub search: Option<Search>,
    /// The indexed field to sort by; by key upwards when absent. Ties are broken by key, in the same
    /// direction, so that backward is exactly the reverse of forward. Views without the field come
    /// first upwards; texts sort by code point.
    pub order: Option<(Cow<'static, str>, Direction)>,
    /// The cursor after which the page starts.
    pub after: Option<String>,
    /// Most views in the page, 0 for the count alone; stores cap it at [`PAGE_MAX`].
    pub limit: u32,
}

/// Most views in one page.
pub const PAGE_MAX: u32 = 1_000;

/// A text to look for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Indexed fields to look in, besides the key.
    pub fields: Vec<Cow<'static, str>>,
    /// What they must contain.
    pub text: String,
}

/// One page of views.
#[derive(Clone, Debug, Default)]
pub struct ViewPage {
    /// The views, in order, each with the cursor that continues after it.
    pub views: Vec<FoundView>,
    /// Whether more views follow.
    pub more: bool,
    /// All that match, on this page or not.
    pub total: u64,
}

/// A view on a page.
#[derive(Clone, Debug)]
pub struct FoundView {
    /// Continue after this view with [`ViewQuery::after`].
    pub cursor: String,
    /// The view.
    pub view: StoredView,
}
