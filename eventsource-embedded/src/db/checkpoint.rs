//! When the write-ahead log is moved into the file, and the page sums with it.

use std::{fs::File, path::Path};

use rusqlite::{Connection, wal::CheckpointMode};

use super::{
    beside,
    fault::Fault,
    mark::Marker,
    scrub::PagesReport,
    sums::{self, Sums},
    wal,
};

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
    /// Frames in the log that are not in the file yet.
    waiting: i32,
    /// How many there must be before another attempt.
    enough: i32,
}

impl Checkpoints {
    pub(super) fn new(sums: Sums, file: File, frames_max: i32, marker: Option<Marker>) -> Self {
        Self { sums, file, frames_max, marker, waiting: 0, enough: frames_max }
    }

    /// Notes that a transaction was committed; for the writer, before it answers.
    pub(super) fn committed(&mut self, connection: &Connection) -> Result<(), Fault> {
        let (frames, moved) = connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::NOOP)?;
        self.waiting = frames - moved;
        match (&mut self.marker, u64::try_from(frames)) {
            (Some(marker), Ok(frames)) if frames > 0 => marker.flushed(frames).map_err(Fault::unavailable),
            _ => Ok(()),
        }
    }

    /// Moves the log when it is long enough; for the writer, between two transactions.
    pub(super) fn after_commit(&mut self, connection: &Connection, path: &Path) -> Result<(), Fault> {
        if self.waiting < self.enough {
            return Ok(());
        }
        // One that fails, or that a reader holds up, is not tried again at once.
        self.enough = self.waiting.saturating_add(self.frames_max);
        if self.checkpoint(connection, path, CheckpointMode::PASSIVE)? == Moved::All {
            (self.waiting, self.enough) = (0, self.frames_max);
        }
        Ok(())
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
        if u32::try_from(page).is_ok_and(|page| scan.pages.contains_key(&page)) {
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
