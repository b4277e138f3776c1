//! One file of the log and its index.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::BytesMut;
use eventsource_core::Position;
use uuid::Uuid;

use super::{
    directory::{index_path, segment_path, sync_directory},
    error::LogError,
    files::Files,
    frame::Seed,
    index::Index,
    index_file::{self, IndexFile},
    memory_index::MemoryIndex,
    scan::{self, Found, Scan},
};

/// A segment as readers see it.
#[derive(Debug)]
pub(crate) struct Segment {
    first: u64,
    path: PathBuf,
    store: Uuid,
    files: Arc<Files>,
    index: RwLock<Index>,
    /// Where the data end that readers may see.
    end: AtomicU64,
}

impl Segment {
    pub(crate) fn new(events: &Path, files: Arc<Files>, store: Uuid, first: u64, index: Index, end: u64) -> Self {
        let path = segment_path(events, first);
        Self { first, path, store, files, index: RwLock::new(index), end: AtomicU64::new(end) }
    }

    /// Position of its first event.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn seed(&self) -> Seed {
        Seed::new(self.store, self.first)
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Lets readers see the data below `end`.
    pub(crate) fn publish(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Exactly `length` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
        self.files.read(&self.path, offset, length)
    }

    /// The same in a buffer that was used before, if there is one.
    pub(crate) fn read_into(&self, buffer: Option<BytesMut>, offset: u64, length: usize) -> Result<BytesMut, LogError> {
        let mut buffer = buffer.unwrap_or_default();
        buffer.resize(length, 0);
        self.files.read_into(&self.path, offset, &mut buffer)?;
        Ok(buffer)
    }

    /// A `Damaged` in this segment.
    pub(crate) fn damaged(&self, offset: u64, position: u64, reason: &'static str) -> LogError {
        LogError::damaged(&self.path, offset, Position::new(position), reason)
    }

    /// Asks the index; one that turns out to be damaged is built again and asked once more.
    pub(crate) fn ask<T>(&self, question: impl Fn(&Index) -> Result<T, LogError>) -> Result<T, LogError> {
        let answer = question(&self.index());
        match answer {
            Err(error) if matches!(&*self.index(), Index::File(_)) => {
                let file = index_path(&self.path);
                tracing::warn!(file = %file.display(), %error, "an index is damaged and is built again");
                self.rebuild()?;
                question(&self.index())
            }
            answer => answer,
        }
    }

    /// Whether its index is on disk.
    pub(crate) fn has_index_file(&self) -> bool {
        matches!(&*self.index(), Index::File(_))
    }

    /// The index to add commits to.
    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the index of this sealed segment to disk and serves from there.
    pub(crate) fn seal_index(&self) -> Result<(), LogError> {
        let bytes = match &*self.index() {
            Index::Memory(memory) => index_file::encode(memory, self.store),
            Index::File(_) => return Ok(()),
        };
        let path = index_path(&self.path);
        write_durably(&path, &bytes)?;
        self.files.forget(&path);
        let file = IndexFile::open(&path, Arc::clone(&self.files), self.store, self.first)?;
        *self.index_mut() = Index::File(file);
        Ok(())
    }

    /// Builds the index from the segment's data.
    fn rebuild(&self) -> Result<(), LogError> {
        let memory = build_index(&self.path, self.store, self.first, self.end())?;
        *self.index_mut() = Index::Memory(memory);
        if let Err(error) = self.seal_index() {
            tracing::warn!(%error, "the index stays in memory until the store is opened again");
        }
        Ok(())
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The index of the segment at `path`, whose data end at `end`.
pub(crate) fn build_index(path: &Path, store: Uuid, first: u64, end: u64) -> Result<MemoryIndex, LogError> {
    let mut memory = MemoryIndex::new(first);
    let mut scan = Scan::open(path, store, first, end)?;
    loop {
        match scan.next()? {
            Found::Commit(commit) => scan::insert(&mut memory, store, &commit),
            Found::End { offset } if offset == end => return Ok(memory),
            Found::End { offset } => {
                return Err(LogError::damaged(
                    path,
                    offset,
                    Position::new(scan.position()),
                    "a sealed segment has a hole",
                ));
            }
            Found::Flaw(flaw) => return Err(flaw.into_error(path)),
        }
    }
}

/// Puts a whole file in place: it is there with all its bytes or not at all.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    use std::io::Write;
    let unfinished = path.with_extension("idx.tmp");
    let written = std::fs::File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(LogError::io("writing", &unfinished))?;
    std::fs::rename(&unfinished, path).map_err(LogError::io("renaming", &unfinished))?;
    path.parent().map_or(Ok(()), sync_directory)
}
