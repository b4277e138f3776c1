//! What the writer shows to readers: the segments and the head.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use uuid::Uuid;

use super::{
    error::LogError,
    index::StreamSpan,
    key::{IdBytes, StreamKey},
    segment::Segment,
};

/// The log as readers see it at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// By position; the last one is written to.
    pub(crate) segments: Arc<[Arc<Segment>]>,
    /// The last position that readers may see, 0 for none.
    pub(crate) head: u64,
}

/// The place where the writer publishes and readers look.
#[derive(Debug)]
pub(crate) struct Shared {
    store: Uuid,
    view: RwLock<View>,
    head: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(store: Uuid, segments: Vec<Arc<Segment>>, head: u64) -> Self {
        let view = RwLock::new(View { segments: segments.into(), head });
        Self { store, view, head: watch::Sender::new(head) }
    }

    pub(crate) const fn store(&self) -> Uuid {
        self.store
    }

    pub(crate) fn view(&self) -> View {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn head(&self) -> u64 {
        self.view.read().unwrap_or_else(PoisonError::into_inner).head
    }

    /// Hears of every new head from now on, or of the newest one.
    pub(crate) fn heads(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Moves the head; the segment's end was published before.
    pub(crate) fn publish(&self, head: u64) {
        self.view.write().unwrap_or_else(PoisonError::into_inner).head = head;
        self.head.send_replace(head);
    }

    /// Adds the segment that is written to from now on.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        view.segments = view.segments.iter().cloned().chain([segment]).collect();
    }
}

impl View {
    /// The segment that holds this position, and its place among the segments.
    pub(crate) fn locate(&self, position: u64) -> usize {
        self.segments.partition_point(|segment| segment.first() <= position).saturating_sub(1)
    }
}

/// The newest of these segments that knows the stream, asked from the last one backwards.
pub(crate) fn newest_span(segments: &[Arc<Segment>], key: &StreamKey) -> Result<Option<StreamSpan>, LogError> {
    for segment in segments.iter().rev() {
        if let Some(span) = segment.ask(|index| index.span(key))? {
            return Ok(Some(span));
        }
    }
    Ok(None)
}

/// Which of these segments holds the event with this id, and offset and length of its commit.
pub(crate) fn find_id(segments: &[Arc<Segment>], id: &IdBytes) -> Result<Option<(Arc<Segment>, u32, u32)>, LogError> {
    for segment in segments.iter().rev() {
        if let Some((offset, bytes)) = segment.ask(|index| index.find(id))? {
            return Ok(Some((Arc::clone(segment), offset, bytes)));
        }
    }
    Ok(None)
}
