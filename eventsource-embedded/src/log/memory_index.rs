//! The index of a segment that is still being written, or whose index file is not there yet.

use std::collections::HashMap;

use super::{
    index::{CommitRef, StreamSpan, Versions},
    key::{IdBytes, StreamKey},
    number::{index, narrow},
};

/// Marks the first commit of a stream in this segment.
const NONE: u32 = u32::MAX;

/// Everything an index answers, from memory: about 30 bytes a commit, 20 a stream and 20 an event.
#[derive(Debug)]
pub(crate) struct MemoryIndex {
    /// Position of the segment's first event.
    first: u64,
    /// In the order of their positions.
    commits: Vec<Commit>,
    streams: HashMap<StreamKey, Chain>,
    /// Which commit an event is in.
    ids: HashMap<IdBytes, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Commit {
    version: u64,
    /// Distance from the segment's first position.
    position: u32,
    count: u32,
    offset: u32,
    bytes: u32,
    /// The commit of the same stream before this one.
    previous: u32,
}

/// The commits of one stream, linked from new to old.
#[derive(Clone, Copy, Debug)]
struct Chain {
    oldest: u32,
    newest: u32,
}

impl MemoryIndex {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, commits: Vec::new(), streams: HashMap::new(), ids: HashMap::new() }
    }

    /// Adds the commit that follows all others; its first event has `position`.
    pub(crate) fn insert(
        &mut self,
        key: StreamKey,
        commit: CommitRef,
        position: u64,
        ids: impl IntoIterator<Item = IdBytes>,
    ) {
        let number = narrow(self.commits.len());
        let chain = self.streams.entry(key).or_insert(Chain { oldest: number, newest: NONE });
        let previous = std::mem::replace(&mut chain.newest, number);
        self.commits.push(Commit {
            version: commit.version,
            position: u32::try_from(position - self.first).expect("a segment holds fewer events than bytes"),
            count: commit.count,
            offset: commit.offset,
            bytes: commit.bytes,
            previous,
        });
        self.ids.extend(ids.into_iter().map(|id| (id, number)));
    }

    pub(crate) fn span(&self, key: &StreamKey) -> Option<StreamSpan> {
        let chain = self.streams.get(key)?;
        let newest = self.commit(chain.newest);
        Some(StreamSpan {
            oldest: self.commit(chain.oldest).version,
            newest: newest.version + u64::from(newest.count) - 1,
            place: None,
        })
    }

    /// Commits with versions in `wanted` and positions up to `head`, from old to new; with `limit`
    /// only so many of the newest.
    pub(crate) fn commits(&self, key: &StreamKey, wanted: Versions, head: u64, limit: Option<usize>) -> Vec<CommitRef> {
        let mut found = Vec::new();
        let mut next = self.streams.get(key).map_or(NONE, |chain| chain.newest);
        while next != NONE && limit.is_none_or(|limit| found.len() < limit) {
            let commit = self.commit(next);
            if commit.version + u64::from(commit.count) - 1 <= wanted.after {
                break;
            }
            if commit.version < wanted.below && self.first + u64::from(commit.position) <= head {
                found.push(commit.reference());
            }
            next = commit.previous;
        }
        found.reverse();
        found
    }

    /// The commit that holds the event with this id, and the commit's first position.
    pub(crate) fn find(&self, id: &IdBytes) -> Option<(CommitRef, u64)> {
        let commit = self.commit(*self.ids.get(id)?);
        Some((commit.reference(), self.first + u64::from(commit.position)))
    }

    /// Where the commit begins that holds this position; `None` when it lies behind all commits.
    pub(crate) fn seek(&self, position: u64) -> Option<u32> {
        let following = self.commits.partition_point(|commit| self.first + u64::from(commit.position) <= position);
        let commit = self.commits.get(following.checked_sub(1)?)?;
        let end = self.first + u64::from(commit.position) + u64::from(commit.count);
        (position < end).then_some(commit.offset)
    }

    /// First position and offset of every commit.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        self.commits.iter().map(|commit| (commit.position, commit.offset))
    }

    /// Every stream with its commits from old to new, by key.
    pub(crate) fn streams(&self) -> Vec<(StreamKey, Vec<CommitRef>)> {
        let all = Versions { after: 0, below: u64::MAX };
        let mut keys: Vec<_> = self.streams.keys().copied().collect();
        keys.sort_unstable();
        keys.into_iter().map(|key| (key, self.commits(&key, all, u64::MAX, None))).collect()
    }

    /// Every event id with its commit, by id.
    pub(crate) fn ids(&self) -> Vec<(IdBytes, CommitRef)> {
        let mut ids: Vec<_> = self.ids.iter().map(|(id, commit)| (*id, self.commit(*commit).reference())).collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        ids
    }

    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn commit_count(&self) -> usize {
        self.commits.len()
    }

    /// Where the last commit ends: its last position and the offset behind it.
    pub(crate) fn end(&self) -> Option<(u64, u64)> {
        let last = self.commits.last()?;
        let position = self.first + u64::from(last.position) + u64::from(last.count) - 1;
        Some((position, u64::from(last.offset) + u64::from(last.bytes)))
    }

    fn commit(&self, number: u32) -> Commit {
        self.commits[index(number)]
    }
}

impl Commit {
    const fn reference(self) -> CommitRef {
        CommitRef { version: self.version, count: self.count, offset: self.offset, bytes: self.bytes }
    }
}
