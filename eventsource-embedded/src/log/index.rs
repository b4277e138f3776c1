//! What is asked of a segment's index, whichever form it has.

use super::{
    error::LogError,
    index_file::IndexFile,
    key::{IdBytes, StreamKey},
    memory_index::MemoryIndex,
};

/// A commit of one stream in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitRef {
    /// Version of its first event.
    pub(crate) version: u64,
    pub(crate) count: u32,
    /// Where its frame is in the segment.
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

impl CommitRef {
    pub(crate) fn version_last(&self) -> u64 {
        self.version + u64::from(self.count) - 1
    }
}

/// First and last version of one stream in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamSpan {
    pub(crate) oldest: u64,
    pub(crate) newest: u64,
    /// Where its commits are in an index file, and how many.
    pub(crate) place: Option<(u32, u32)>,
}

/// Versions between two bounds, both excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) after: u64,
    pub(crate) below: u64,
}

/// The index of one segment.
#[derive(Debug)]
pub(crate) enum Index {
    /// Of the segment that is written to, or one whose file is not there yet.
    Memory(MemoryIndex),
    /// Of a sealed segment.
    File(IndexFile),
}

/// How many commits of a stream an index file gives at once.
const COMMITS_MAX: usize = 1024;

impl Index {
    /// First and last version of a stream in this segment, commits in flight included.
    pub(crate) fn span(&self, key: &StreamKey) -> Result<Option<StreamSpan>, LogError> {
        match self {
            Self::Memory(memory) => Ok(memory.span(key)),
            Self::File(file) => file.span(key),
        }
    }

    /// The oldest commits with versions in `wanted` and positions up to `head`, from old to new.
    /// There may be more; there are none when the result is empty.
    ///
    /// `span` is what [`span`](Self::span) gave, perhaps while the index was still in memory.
    pub(crate) fn oldest(
        &self,
        key: &StreamKey,
        span: StreamSpan,
        wanted: Versions,
        head: u64,
    ) -> Result<Vec<CommitRef>, LogError> {
        match self {
            Self::Memory(memory) => Ok(memory.commits(key, wanted, head, None)),
            Self::File(file) => file.commits(key, span, wanted, COMMITS_MAX, false),
        }
    }

    /// The newest commits with versions in `wanted` and positions up to `head`, from old to new.
    /// There may be more; there are none when the result is empty.
    pub(crate) fn newest(
        &self,
        key: &StreamKey,
        span: StreamSpan,
        wanted: Versions,
        head: u64,
    ) -> Result<Vec<CommitRef>, LogError> {
        match self {
            Self::Memory(memory) => Ok(memory.commits(key, wanted, head, Some(COMMITS_MAX))),
            Self::File(file) => file.commits(key, span, wanted, COMMITS_MAX, true),
        }
    }

    /// Offset and length of the commit that holds the event with this id, commits in flight included.
    pub(crate) fn find(&self, id: &IdBytes) -> Result<Option<(u32, u32)>, LogError> {
        match self {
            Self::Memory(memory) => Ok(memory.find(id).map(|(commit, _)| (commit.offset, commit.bytes))),
            Self::File(file) => file.find(id),
        }
    }

    /// Where to begin to read for this position; `None` when it lies behind the segment.
    pub(crate) fn seek(&self, position: u64) -> Option<u32> {
        match self {
            Self::Memory(memory) => memory.seek(position),
            Self::File(file) => file.seek(position),
        }
    }
}
