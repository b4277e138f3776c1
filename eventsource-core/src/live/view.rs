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
    /// Length of the view as it is stored.
    pub(super) bytes: usize,
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
        let bytes = stored.body.as_ref().map_or(0, bytes::Bytes::len);
        let view = stored.body.as_deref().map(serde_json::from_slice).transpose().map_err(|error| Unreadable {
            projection: projection.clone(),
            key: Arc::clone(&key),
            reason: error.to_string().into(),
        })?;
        Ok(Self { key, version: stored.version, position: stored.position, view: view.map(Arc::new), bytes })
    }
}

impl<V> LiveChanges<V> {
    /// The same changes in parts of at most `bytes_max`, one view more than that at the most. Each
    /// part but the last resumes after its own last view.
    pub(super) fn in_parts(mut self, bytes_max: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = std::mem::take(&mut self.views).into_iter().peekable();
        let (mut views, mut bytes) = (Vec::new(), 0_usize);
        while let Some(view) = rest.next() {
            bytes = bytes.saturating_add(view.bytes);
            let position = view.position;
            views.push(view);
            // Views of one position stay together, or a reader that resumes would miss the others.
            if bytes >= bytes_max && rest.peek().is_some_and(|next| next.position > position) {
                let position = position.min(self.position);
                parts.push(Self { position, resync: self.resync, views: std::mem::take(&mut views) });
                bytes = 0;
            }
        }
        parts.push(Self { views, ..self });
        parts
    }
}

impl<V> Clone for LiveView<V> {
    fn clone(&self) -> Self {
        Self { key: Arc::clone(&self.key), view: self.view.clone(), ..*self }
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

#[cfg(test)]
mod tests {
    use super::{LiveChanges, LiveView};
    use crate::position::Position;

    fn view(position: u64, bytes: usize) -> LiveView<()> {
        let key = format!("k{position}").into();
        LiveView { key, version: None, position: Position::new(position), view: None, bytes }
    }

    #[test]
    fn much_at_once_is_told_in_parts_that_can_be_resumed() {
        let views = vec![view(1, 60), view(2, 60), view(2, 60), view(5, 10), view(9, 200), view(12, 1)];
        let changes = LiveChanges { position: Position::new(10), resync: false, views };
        let parts = changes.in_parts(100);
        let told: Vec<_> = parts.iter().map(|part| (Position::value_of(part.position), part.views.len())).collect();
        // 12 was repaired above the place to resume from, so no part may resume after it.
        assert_eq!(told, [(2, 3), (9, 2), (10, 1)]);
    }

    #[test]
    fn nothing_is_one_part() {
        let changes = LiveChanges::<()> { position: Position::new(7), resync: true, views: Vec::new() };
        let parts = changes.in_parts(100);
        assert!(parts.len() == 1 && parts[0].resync && parts[0].position == Position::new(7));
    }
}
