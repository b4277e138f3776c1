//! Streams that stand still at an event which could not be decoded or projected.

use std::{collections::HashMap, error::Error, num::NonZeroU32, time::SystemTime};

use super::error::ProjectionError;
use crate::{
    event::RecordedEvent,
    id::StreamId,
    store::StoreError,
    view::{PAGE_MAX, Parked, ProjectionId, ViewStore},
};

/// How often an event is tried before its stream is parked. Both decoding and projecting are pure,
/// so the second attempt is there for a cause outside of them, such as memory that ran short.
pub(super) const ATTEMPTS: u32 = 2;

/// Longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// All parked streams of one projection, as its view store has them.
pub(super) struct ParkedStreams {
    streams: HashMap<StreamId, Parked>,
    allowed: usize,
    oldest: Option<SystemTime>,
}

impl ParkedStreams {
    pub(super) fn none(allowed: usize) -> Self {
        Self { streams: HashMap::new(), allowed, oldest: None }
    }

    pub(super) async fn load(
        views: &dyn ViewStore,
        projection: &ProjectionId,
        allowed: usize,
    ) -> Result<Self, StoreError> {
        let limit = NonZeroU32::new(PAGE_MAX).expect("PAGE_MAX is not 0");
        let mut this = Self::none(allowed);
        let mut after = None;
        loop {
            let page = views.parked(projection, after, limit).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.position);
            this.streams.extend(page.into_iter().map(|parked| (parked.stream.clone(), parked)));
        }
        this.look_for_oldest();
        Ok(this)
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// When the oldest one was parked.
    pub(super) const fn oldest(&self) -> Option<SystemTime> {
        self.oldest
    }

    pub(super) fn contains(&self, stream: &StreamId) -> bool {
        !self.streams.is_empty() && self.streams.contains_key(stream)
    }

    pub(super) fn get(&self, stream: &StreamId) -> Option<&Parked> {
        self.streams.get(stream)
    }

    /// Whether there is room for these, which are about to be parked.
    pub(super) fn check(&self, projection: &ProjectionId, more: &[Parked]) -> Result<(), ProjectionError> {
        let new = more.iter().filter(|parked| !self.contains(&parked.stream)).count();
        match more.last() {
            Some(last) if self.streams.len() + new > self.allowed => Err(ProjectionError::TooManyParked {
                projection: projection.clone(),
                allowed: self.allowed,
                reason: last.reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Takes in what was committed.
    pub(super) fn committed(&mut self, park: Vec<Parked>, release: &[StreamId]) {
        if park.is_empty() && release.is_empty() {
            return;
        }
        for stream in release {
            self.streams.remove(stream);
        }
        self.streams.extend(park.into_iter().map(|parked| (parked.stream.clone(), parked)));
        self.look_for_oldest();
    }

    fn look_for_oldest(&mut self) {
        self.oldest = self.streams.values().map(|parked| parked.since).min();
    }
}

/// The note that `record` could not be projected because of `reason`.
///
/// # Errors
/// A record out of `read_all` without a position is the store's fault.
pub(super) fn parked(record: &RecordedEvent, reason: String, since: SystemTime) -> Result<Parked, StoreError> {
    let position = record.position.ok_or_else(|| {
        StoreError::corrupt(format!("{} version {}", record.stream, record.version), "the event has no position")
    })?;
    Ok(Parked {
        stream: record.stream.clone(),
        version: record.version,
        position,
        event: record.name.clone(),
        reason,
        attempts: ATTEMPTS,
        since,
    })
}

/// An error and its causes in one line of bounded length.
pub(super) fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if let Some((end, _)) = text.char_indices().nth(REASON_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}
