//! Reading pieces of segments for a reader, with every bound explicit; all file access of reads is here.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use eventsource_core::Direction;

use super::{
    error::LogError,
    frame::claimed_bytes,
    header::SEGMENT_HEADER_BYTES,
    index::{CommitRef, StreamSpan, Versions},
    key::StreamKey,
    number::{index, length, wide},
    segment::Segment,
    shared::View,
};

/// Bytes of other streams that are read along rather than begin another read.
const GAP_BYTES_MAX: u32 = 4096;

/// A piece of a segment.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: Arc<Segment>,
    /// Where it begins in the segment.
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
    /// The commits to serve, in the order of serving; `None` for all, one behind the other.
    pub(crate) commits: Option<Vec<CommitRef>>,
}

/// Where the chunks of a read come from.
#[derive(Debug)]
pub(crate) enum Fetch {
    All(FetchAll),
    Stream(FetchStream),
}

impl Fetch {
    /// The next chunk of about `budget` bytes, at least one commit; `None` at the end.
    ///
    /// `buffer` is one that was used before, to be used again.
    pub(crate) fn next(&mut self, budget: usize, buffer: Option<BytesMut>) -> Result<Option<Chunk>, LogError> {
        match self {
            Self::All(all) => all.next(budget, buffer),
            Self::Stream(stream) => stream.next(budget, buffer),
        }
    }
}

/// Everything after a position, front to back.
#[derive(Debug)]
pub(crate) struct FetchAll {
    view: View,
    /// The position to begin at, until the place is found.
    begin: Option<u64>,
    segment: usize,
    offset: u64,
}

impl FetchAll {
    pub(crate) const fn new(view: View, after: u64) -> Self {
        Self { view, begin: Some(after.saturating_add(1)), segment: 0, offset: 0 }
    }

    fn next(&mut self, budget: usize, buffer: Option<BytesMut>) -> Result<Option<Chunk>, LogError> {
        if let Some(position) = self.begin.take() {
            self.begin(position)?;
        }
        while let Some(segment) = self.view.segments.get(self.segment) {
            let end = segment.end();
            if self.offset < end {
                let chunk = whole_commits(segment, self.offset, end, budget, buffer)?;
                self.offset += wide(chunk.bytes.len());
                return Ok(Some(chunk));
            }
            self.segment += 1;
            self.offset = wide(SEGMENT_HEADER_BYTES);
        }
        Ok(None)
    }

    fn begin(&mut self, position: u64) -> Result<(), LogError> {
        if position > self.view.head {
            self.segment = self.view.segments.len();
            return Ok(());
        }
        self.segment = self.view.locate(position);
        let segment = &self.view.segments[self.segment];
        let offset = segment.ask(|index| Ok(index.seek(position)))?;
        self.offset = offset.map(u64::from).ok_or_else(|| segment.damaged(0, position, "the position is missing"))?;
        Ok(())
    }
}

/// As many whole commits as fit in `budget`, at least one. Lengths are taken as they are claimed:
/// whoever decodes the chunk checks them in order and so finds the first one that is wrong.
fn whole_commits(
    segment: &Arc<Segment>,
    offset: u64,
    end: u64,
    budget: usize,
    buffer: Option<BytesMut>,
) -> Result<Chunk, LogError> {
    let there = end - offset;
    let mut bytes = segment.read_into(buffer, offset, length(there.min(wide(budget))))?;
    let mut whole = 0;
    while let Some(claimed) = bytes.get(whole..).and_then(claimed_bytes).filter(|claimed| *claimed > 0)
        && claimed <= bytes.len() - whole
    {
        whole += claimed;
    }
    if whole > 0 {
        bytes.truncate(whole);
    } else if let Some(claimed) = claimed_bytes(&bytes).filter(|claimed| wide(*claimed) <= there) {
        let all = claimed.max(bytes.len());
        bytes = segment.read_into(Some(bytes), offset, all)?;
    }
    Ok(Chunk { segment: Arc::clone(segment), offset, bytes: bytes.freeze(), commits: None })
}

/// The commits of one stream.
#[derive(Debug)]
pub(crate) struct FetchStream {
    view: View,
    key: StreamKey,
    direction: Direction,
    /// What is still to be read.
    versions: Versions,
    /// Segments still to be looked at, the next one last.
    segments: Option<Vec<(Arc<Segment>, StreamSpan)>>,
    /// Commits of the next one, in the order of serving.
    commits: std::vec::IntoIter<CommitRef>,
}

impl FetchStream {
    pub(crate) fn new(view: View, key: StreamKey, direction: Direction, versions: Versions) -> Self {
        Self { view, key, direction, versions, segments: None, commits: Vec::new().into_iter() }
    }

    fn next(&mut self, budget: usize, buffer: Option<BytesMut>) -> Result<Option<Chunk>, LogError> {
        if self.segments.is_none() {
            self.segments = Some(self.find_segments()?);
        }
        while let Some((segment, span)) = self.segments.as_ref().and_then(|segments| segments.last().cloned()) {
            let is_read = match self.direction {
                Direction::Forward => self.versions.after >= span.newest,
                Direction::Backward => self.versions.below <= span.oldest,
            };
            if self.commits.as_slice().is_empty() && !is_read {
                self.commits = self.find_commits(&segment, span)?.into_iter();
            }
            if let Some(first) = self.commits.next() {
                return self.read(segment, first, budget, buffer).map(Some);
            }
            self.segments.as_mut().and_then(Vec::pop);
        }
        Ok(None)
    }

    /// Segments that hold something of what is wanted.
    fn find_segments(&self) -> Result<Vec<(Arc<Segment>, StreamSpan)>, LogError> {
        let mut found = Vec::new();
        for segment in self.view.segments.iter().rev() {
            let Some(span) = segment.ask(|index| index.span(&self.key))? else { continue };
            if span.newest <= self.versions.after {
                break;
            }
            if span.oldest < self.versions.below {
                found.push((Arc::clone(segment), span));
            }
            if span.oldest <= self.versions.after.saturating_add(1) {
                break;
            }
        }
        if self.direction == Direction::Backward {
            found.reverse();
        }
        Ok(found)
    }

    /// Commits of a segment that are wanted still, in the order of serving.
    fn find_commits(&mut self, segment: &Segment, span: StreamSpan) -> Result<Vec<CommitRef>, LogError> {
        let (key, wanted, head) = (&self.key, self.versions, self.view.head);
        match self.direction {
            Direction::Forward => {
                let commits = segment.ask(|index| index.oldest(key, span, wanted, head))?;
                self.versions.after = commits.last().map_or(wanted.after, CommitRef::version_last);
                Ok(commits)
            }
            Direction::Backward => {
                let mut commits = segment.ask(|index| index.newest(key, span, wanted, head))?;
                self.versions.below = commits.first().map_or(wanted.below, |commit| commit.version);
                commits.reverse();
                Ok(commits)
            }
        }
    }

    /// Reads `first` and those of the commits after it that lie close by.
    fn read(
        &mut self,
        segment: Arc<Segment>,
        first: CommitRef,
        budget: usize,
        buffer: Option<BytesMut>,
    ) -> Result<Chunk, LogError> {
        let (mut start, mut end) = (first.offset, end_of(first));
        let mut commits = vec![first];
        while let Some(next) = self.commits.as_slice().first() {
            let (low, high) = (start.min(next.offset), end.max(end_of(*next)));
            let gap = next.offset.saturating_sub(end).max(start.saturating_sub(end_of(*next)));
            if gap > GAP_BYTES_MAX || index(high - low) > budget {
                break;
            }
            (start, end) = (low, high);
            commits.extend(self.commits.next());
        }
        let bytes = segment.read_into(buffer, u64::from(start), index(end - start))?.freeze();
        Ok(Chunk { segment, offset: u64::from(start), bytes, commits: Some(commits) })
    }
}

fn end_of(commit: CommitRef) -> u32 {
    commit.offset.saturating_add(commit.bytes)
}
