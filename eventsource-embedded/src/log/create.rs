//! Making segment files: full of zeros, so that an append never changes a file's length or extents.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use uuid::Uuid;

use super::{
    directory::{segment_path, sync_directory},
    error::LogError,
    header,
    number::{length, wide},
};

/// Bytes between two syncs while a file is filled, so that appends beside it wait little.
const STEP_BYTES: u64 = 4 << 20;

/// Makes the segment that begins at `first`, durably, and returns its file.
pub(crate) fn segment(events: &Path, store: Uuid, first: u64, bytes: u64) -> Result<File, LogError> {
    adopt(&fill(events, bytes)?, events, store, first)
}

/// Makes a file of zeros for one segment, durably, and returns where it is. When there is no room
/// for it, the room it took is given back.
pub(crate) fn fill(events: &Path, bytes: u64) -> Result<PathBuf, LogError> {
    let unfinished = events.join("new.tmp");
    if let Err(error) = zeros(&unfinished, bytes, &AtomicBool::new(false)) {
        // Should it stay behind, the next opening removes it.
        drop(std::fs::remove_file(&unfinished));
        return Err(LogError::io("filling", &unfinished)(error));
    }
    Ok(unfinished)
}

/// Turns the file at `from`, which holds zeros, into the segment that begins at `first`.
pub(crate) fn adopt(from: &Path, events: &Path, store: Uuid, first: u64) -> Result<File, LogError> {
    let file = OpenOptions::new().read(true).write(true).open(from).map_err(LogError::io("opening", from))?;
    file.write_all_at(&header::encode(store, first), 0).map_err(LogError::io("writing", from))?;
    file.sync_all().map_err(LogError::io("syncing", from))?;
    std::fs::rename(from, segment_path(events, first)).map_err(LogError::io("renaming", from))?;
    sync_directory(events)?;
    Ok(file)
}

/// Where the segment waits that is used next.
pub(crate) fn spare_path(events: &Path) -> PathBuf {
    events.join("spare")
}

/// Makes the segment that is used next, unless one of that length waits already.
///
/// Returns `false` when it was stopped.
pub(crate) fn spare(events: &Path, bytes: u64, stop: &AtomicBool) -> Result<bool, LogError> {
    let path = spare_path(events);
    if std::fs::metadata(&path).is_ok_and(|there| there.len() == bytes) {
        return Ok(true);
    }
    let unfinished = events.join("spare.tmp");
    match zeros(&unfinished, bytes, stop) {
        Ok(true) => {}
        Ok(false) => return Ok(false),
        Err(error) => {
            drop(std::fs::remove_file(&unfinished));
            return Err(LogError::io("filling", &unfinished)(error));
        }
    }
    std::fs::rename(&unfinished, &path).map_err(LogError::io("renaming", &unfinished))?;
    sync_directory(events)?;
    Ok(true)
}

fn zeros(path: &Path, bytes: u64, stop: &AtomicBool) -> io::Result<bool> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    let mut synced = 0;
    while at < bytes {
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let count = (bytes - at).min(wide(zeros.len()));
        file.write_all_at(&zeros[..length(count)], at)?;
        at += count;
        if at - synced >= STEP_BYTES {
            file.sync_data()?;
            synced = at;
        }
    }
    file.sync_all()?;
    Ok(true)
}
