//! When the write-ahead log is moved into the file, and the page sums with it.

use std::{fs::File, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, wal::CheckpointMode};

use super::{
    beside,
    connect::{BUSY_TIMEOUT, PAGE_BYTES},
    fault::Fault,
    mark::Marker,
    scrub::PagesReport,
    sums::{self, Sums},
    wal,
};

/// A log of this many times the frames that are worth moving is moved even if readers have to wait.
const LOG_TIMES_MAX: i32 = 4;
/// How long writes wait for readers then.
const READERS_TIMEOUT: Duration = Duration::from_millis(100);
/// The page at 1 GiB holds SQLite's locks and is never written.
const LOCK_PAGE: usize = (1 << 30) / PAGE_BYTES + 1;

/// Keeps a file's page sums true, and the mark of its log.
///
/// A page's sum holds for every page that is not in the log. It is renewed after the log has been
/// moved into the file and before the writer starts the log anew, so this is true after a crash at
/// any moment. Nobody else moves the log: every connection is told not to.
#[derive(Debug)]
pub(super) struct Checkpoints {
    sums: Sums,
    /// Open as long as SQLite's connections: closing any handle on a file drops the process's locks
    /// on it ("How To Corrupt An SQLite Database File", section 2.2).
    file: File,
    /// Frames in the log that are worth moving.
    frames_max: i32,
    /// Only where commits are flushed is there something to mark.
    marker: Option<Marker>,
    /// Frames in the log, those among them that are in the file as well.
    frames: i32,
    /// How many there must be before another attempt.
    enough: i32,
}

impl Checkpoints {
    pub(super) fn new(sums: Sums, file: File, frames_max: i32, marker: Option<Marker>) -> Self {
        Self { sums, file, frames_max, marker, frames: 0, enough: frames_max }
    }

    /// Notes that a transaction was committed; for the writer, before it answers.
    pub(super) fn committed(&mut self, connection: &Connection) -> Result<(), Fault> {
        let (frames, _) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)?;
        if frames < self.frames {
            // The log was begun anew.
            self.enough = self.frames_max;
        }
        self.frames = frames;
        match (&mut self.marker, u64::try_from(frames)) {
            (Some(marker), Ok(frames)) if frames > 0 => marker.flushed(frames).map_err(Fault::unavailable),
            _ => Ok(()),
        }
    }

    /// Moves the log when it is long enough; for the writer, between two transactions.
    pub(super) fn after_commit(&mut self, connection: &Connection, path: &Path) -> Result<(), Fault> {
        if self.frames < self.enough {
            return Ok(());
        }
        // One that fails, or that a reader holds up, is tried again soon, but not at once: the next
        // commit begins the log anew only if no reader uses it.
        self.enough = self.frames.saturating_add((self.frames_max / 8).max(1));
        self.checkpoint(connection, path, CheckpointMode::PASSIVE)?;
        if self.frames >= self.frames_max.saturating_mul(LOG_TIMES_MAX) {
            self.make_readers_leave(connection, path)?;
        }
        Ok(())
    }

    /// Waits a moment until no reader uses the log, so that the next commit begins it anew.
    fn make_readers_leave(&mut self, connection: &Connection, path: &Path) -> Result<(), Fault> {
        connection.busy_timeout(READERS_TIMEOUT)?;
        let moved = self.checkpoint(connection, path, CheckpointMode::RESTART);
        connection.busy_timeout(BUSY_TIMEOUT)?;
        match moved {
            Err(Fault::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                tracing::warn!(file = %path.display(), frames = self.frames, "a long read lets the write-ahead log grow");
                Ok(())
            }
            moved => moved.map(|_| ()),
        }
    }

    /// Moves the log into the file; a passive one leaves to readers what they still use.
    pub(super) fn checkpoint(
        &mut self,
        connection: &Connection,
        path: &Path,
        mode: CheckpointMode,
    ) -> Result<Moved, Fault> {
        let (frames, moved) = connection.wal_checkpoint_v2(None::<&str>, mode)?;
        if frames != moved {
            return Ok(Moved::Some);
        }
        if frames <= 0 {
            return Ok(Moved::All);
        }
        let log = beside(path, "-wal");
        let scan = wal::scan(&log).map_err(Fault::unavailable)?;
        let (Some(salts), Some(file_pages)) = (scan.salts, scan.file_pages) else {
            return Err(Fault::damaged("-wal", format!("unreadable, {frames} frames were written")));
        };
        if u64::try_from(frames) != Ok(scan.frames) {
            let whole = scan.frames;
            return Err(Fault::damaged("-wal", format!("{whole} frames are whole, {frames} were written")));
        }
        if self.sums.salts != salts || self.sums.frames != scan.frames {
            self.sums.update(&scan.pages, file_pages);
            (self.sums.salts, self.sums.frames) = (salts, scan.frames);
            self.sums.save(&beside(path, "-sums")).map_err(Fault::unavailable)?;
        }
        Ok(Moved::All)
    }

    /// Leaves the file whole, with an empty log.
    pub(super) fn close(&mut self, connection: &Connection, path: &Path) -> Result<(), Fault> {
        if self.checkpoint(connection, path, CheckpointMode::FULL)? == Moved::Some {
            return Err(Fault::unavailable("a reader still uses the write-ahead log"));
        }
        // In this order: an empty log with an old mark would look like a loss.
        if let Some(marker) = &mut self.marker {
            marker.clear().map_err(Fault::unavailable)?;
        }
        connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)?;
        Ok(())
    }

    /// Compares the file's pages with their sums; for the writer, between two transactions.
    pub(super) fn check_pages(&mut self, connection: &Connection, path: &Path) -> PagesReport {
        let mut report = PagesReport::default();
        if let Err(fault) = self.checkpoint(connection, path, CheckpointMode::PASSIVE) {
            report.problems.push(fault.to_string());
        }
        match wal::scan(&beside(path, "-wal")).and_then(|scan| Ok((scan, sums::of_file(&self.file)?))) {
            Ok((scan, (pages, partial))) => {
                report.checked = pages.len();
                report.problems.extend(mismatches(&self.sums, &scan, &pages, partial));
            }
            Err(error) => report.problems.push(format!("cannot be read: {error}")),
        }
        report
    }
}

/// How much of the log is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    All,
    Some,
}

/// Pages that are neither in the log nor what the last checkpoint left.
pub(super) fn mismatches(sums: &Sums, scan: &wal::WalScan, pages: &[u32], partial: bool) -> Vec<String> {
    let file_pages = scan.file_pages.map_or(sums.pages.len(), sums::index);
    let mut problems = Vec::new();
    for page in 1..=file_pages {
        if page == LOCK_PAGE || u32::try_from(page).is_ok_and(|page| scan.pages.contains_key(&page)) {
            continue;
        }
        match (pages.get(page - 1), sums.pages.get(page - 1)) {
            (Some(found), Some(sum)) if found == sum => {}
            (None, _) => problems.push(format!("page {page} is missing")),
            _ => problems.push(format!("page {page} is not what was written")),
        }
    }
    // Pages that the log will add may be there already, in part or whole.
    if scan.frames == 0 && (partial || pages.len() > file_pages) {
        problems.push(format!("it has more than its {file_pages} pages"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::{LOCK_PAGE, Sums, mismatches, wal::WalScan};

    #[test]
    fn the_page_of_locks_is_never_written() {
        let sums = Sums { pages: vec![7; LOCK_PAGE + 3], ..Sums::default() };
        let mut pages = sums.pages.clone();
        // 1 GiB is 262,144 pages of 4 KiB.
        pages[262_144] = 8;
        assert_eq!(mismatches(&sums, &WalScan::default(), &pages, false), [""; 0]);
        (pages[262_143], pages[262_145]) = (8, 8);
        let found = mismatches(&sums, &WalScan::default(), &pages, false);
        assert_eq!(found, ["page 262144 is not what was written", "page 262146 is not what was written"]);
    }
}
