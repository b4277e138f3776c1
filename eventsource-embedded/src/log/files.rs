//! Files open for reading, at most so many at once, so that a large log fits the process's limit.

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

use super::error::LogError;

const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("256 is not zero");

/// Opens files when they are read and closes the ones that were not read for longest.
pub(crate) struct Files {
    open: Mutex<LruCache<PathBuf, Arc<File>>>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::new(LruCache::new(OPEN_MAX)) }
    }

    /// Exactly `length` bytes of the file from `offset` on.
    pub(crate) fn read(&self, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
        let mut bytes = vec![0; length];
        self.read_into(path, offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills `bytes` from `offset` on.
    pub(crate) fn read_into(&self, path: &Path, offset: u64, bytes: &mut [u8]) -> Result<(), LogError> {
        match self.file(path)?.read_exact_at(bytes, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(LogError::damaged(path, offset, None, "the file ends before its data do"))
            }
            Err(error) => Err(LogError::io("reading", path)(error)),
        }
    }

    /// Forgets a file that was replaced by another of the same name.
    pub(crate) fn forget(&self, path: &Path) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).pop(path);
    }

    fn file(&self, path: &Path) -> Result<Arc<File>, LogError> {
        if let Some(file) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Arc::clone(file));
        }
        let file = match File::open(path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LogError::damaged(path, 0, None, "the file is missing"));
            }
            Err(error) => return Err(LogError::io("opening", path)(error)),
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).put(path.to_path_buf(), Arc::clone(&file));
        Ok(file)
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}
