//! Decoded views, shared among all who asked for them.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;

use super::error::Unreadable;
use crate::{
    position::Position,
    version::Version,
    view::{ProjectionId, StoredView},
};

/// A decoded view. Clones share it.
#[non_exhaustive]
pub struct LiveView<V> {
    /// Which view.
    pub key: Arc<str>,
    /// Version of the last event folded in.
    pub version: Option<Version>,
    /// Position at which the view last changed; rises with every change.
    pub position: Option<Position>,
    /// The view; `None` when it was removed.
    pub view: Option<Arc<V>>,
}

/// Views that changed, each in its newest state and at most once.
#[non_exhaustive]
pub struct LiveChanges<V> {
    /// Everything up to here has been told: the place to resume from. `None` before the first event.
    pub position: Option<Position>,
    /// Changes were left out. Whoever shows views reads them again, then goes on from here.
    pub resync: bool,
    /// The views, in the order of their positions.
    pub views: Vec<LiveView<V>>,
}

/// One page of views.
#[non_exhaustive]
pub struct LivePage<V> {
    /// Everything up to here is in what was found: the place from which to follow changes.
    pub position: Option<Position>,
    /// The views, in order.
    pub views: Vec<FoundLiveView<V>>,
    /// Whether more views follow.
    pub more: bool,
    /// All that match, on this page or not.
    pub total: u64,
}

/// A view on a page.
#[non_exhaustive]
pub struct FoundLiveView<V> {
    /// Continue after this view with [`ViewQuery::after`](crate::ViewQuery::after).
    pub cursor: String,
    /// The view.
    pub view: LiveView<V>,
}

impl<V: DeserializeOwned> LiveView<V> {
    /// Decodes a view of `projection`.
    pub(super) fn decode(projection: &ProjectionId, stored: StoredView) -> Result<Self, Unreadable> {
        let key: Arc<str> = stored.key.into();
        let view = stored.body.as_deref().map(serde_json::from_slice).transpose().map_err(|error| Unreadable {
            projection: projection.clone(),
            key: Arc::clone(&key),
            reason: error.to_string().into(),
        })?;
        Ok(Self { key, version: stored.version, position: stored.position, view: view.map(Arc::new) })
    }
}

impl<V> Clone for LiveView<V> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), version: self.version, position: self.position, view: self.view.clone() }
    }
}

impl<V> Clone for LiveChanges<V> {
    fn clone(&self) -> Self {
        Self { position: self.position, resync: self.resync, views: self.views.clone() }
    }
}

impl<V> Clone for LivePage<V> {
    fn clone(&self) -> Self {
        Self { position: self.position, views: self.views.clone(), more: self.more, total: self.total }
    }
}

impl<V> Clone for FoundLiveView<V> {
    fn clone(&self) -> Self {
        Self { cursor: self.cursor.clone(), view: self.view.clone() }
    }
}

impl<V> fmt::Debug for LiveView<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveView")
            .field("key", &self.key)
            .field("version", &self.version)
            .field("position", &self.position)
            .field("removed", &self.view.is_none())
            .finish()
    }
}

impl<V> fmt::Debug for LiveChanges<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveChanges")
            .field("position", &self.position)
            .field("resync", &self.resync)
            .field("views", &self.views)
            .finish()
    }
}

impl<V> fmt::Debug for LivePage<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LivePage")
            .field("position", &self.position)
            .field("views", &self.views)
            .field("more", &self.more)
            .field("total", &self.total)
            .finish()
    }
}

impl<V> fmt::Debug for FoundLiveView<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundLiveView").field("cursor", &self.cursor).field("view", &self.view).finish()
    }
}
