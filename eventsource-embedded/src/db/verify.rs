//! Opening with care: what the disk holds is checked before SQLite sees it.

use std::{fs::File, io, path::Path};

use rusqlite::{Connection, wal::CheckpointMode};

use super::{
    Kind, beside,
    checkpoint::{Checkpoints, mismatches},
    connect,
    connect::Synchronous,
    fault::Fault,
    mark::{Mark, Marker},
    scrub::Findings,
    sums::{self, Sums},
    wal,
};

/// Room in the log for what is written until it is moved, beyond the frames that are worth it.
const LOG_FRAMES_MORE: u32 = 512;

/// Opens the writer's connection on a file whose every page is accounted for.
///
/// The pages are compared with their sums, at the speed of the disk. Where they differ, or the sums
/// are missing, every tree and every row is checked: a file that passes is used, and the sums are
/// made anew; one that fails is `Damaged`.
pub(super) fn open_verified(path: &Path, kind: &Kind) -> Result<(Connection, Checkpoints), Fault> {
    let sums_path = beside(path, "-sums");
    let known = Sums::load(&sums_path).map_err(Fault::unavailable)?;
    let scan = wal::scan(&beside(path, "-wal")).map_err(Fault::unavailable)?;
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Fault::unavailable(error)),
    };
    let (pages, partial) =
        file.as_ref().map(sums::of_file).transpose().map_err(Fault::unavailable)?.unwrap_or_default();
    let mut doubts = check_log(kind, &scan, known.as_ref())?;
    doubts.extend(check_mark(path, kind, &scan, known.as_ref())?);
    let fresh = pages.is_empty() && !partial && scan.frames == 0;
    match &known {
        Some(known) => doubts.extend(mismatches(known, &scan, &pages, partial)),
        None if fresh => {}
        None => doubts.push("its page sums are missing".to_owned()),
    }
    if let (true, Some(known)) = (fresh, &known)
        && !known.pages.is_empty()
    {
        let lost = known.pages.len();
        return Err(Fault::damaged("", format!("the file is missing or empty, it had {lost} pages")));
    }
    let connection = connect::writer(path, kind).map_err(|fault| with_doubts(fault, &doubts))?;
    if !doubts.is_empty() {
        check_all(&connection, kind, &doubts)?;
        tracing::warn!(
            file = %path.display(), doubts = doubts.len(), first = %doubts[0],
            "checked row by row: nothing that is stored is damaged"
        );
    }
    let file = file.map_or_else(|| File::open(path), Ok).map_err(Fault::unavailable)?;
    let flushed = kind.synchronous == Synchronous::Full;
    if flushed {
        let room = u32::from(kind.log_frames_max) + LOG_FRAMES_MORE;
        wal::make_room(&beside(path, "-wal"), room).map_err(Fault::unavailable)?;
    }
    let marker = flushed.then(|| Marker::new(path)).transpose().map_err(Fault::unavailable)?;
    let checkpoints = |sums| Checkpoints::new(sums, file, kind.log_frames_max.into(), marker);
    let mut checkpoints = match known {
        Some(known) if doubts.is_empty() => return Ok((connection, checkpoints(known))),
        // Pages in the log get their sum when it is moved into the file.
        _ => checkpoints(Sums { pages, ..Sums::default() }),
    };
    checkpoints.checkpoint(&connection, path, CheckpointMode::PASSIVE)?;
    checkpoints.committed(&connection)?;
    Ok((connection, checkpoints))
}

/// What is odd about the mark; an error when the log is shorter than it says.
fn check_mark(path: &Path, kind: &Kind, scan: &wal::WalScan, known: Option<&Sums>) -> Result<Option<String>, Fault> {
    if kind.synchronous != Synchronous::Full {
        return Ok(None);
    }
    let Some(Mark { salts, frames }) = Mark::load(path).map_err(Fault::unavailable)? else {
        return Ok((scan.frames > 0).then(|| "the mark of its log is missing or damaged".to_owned()));
    };
    // A log of another generation was begun after all of the marked one had been moved.
    let marked = scan.salts.is_none_or(|actual| actual == salts);
    let moved = known.is_some_and(|known| known.salts == salts && known.frames >= frames);
    if marked && !moved && scan.frames < frames {
        let whole = scan.frames;
        let mark = beside(path, "-mark");
        return Err(Fault::damaged(
            "-wal",
            format!(
                "{whole} frames are whole, {frames} had been flushed: if another program, such as the sqlite3 shell, \
                 has moved the log into the file, remove {} to have every row checked instead",
                mark.display()
            ),
        ));
    }
    Ok(None)
}

/// What is odd about the log; an error when it has lost what had been flushed.
fn check_log(kind: &Kind, scan: &wal::WalScan, known: Option<&Sums>) -> Result<Vec<String>, Fault> {
    if let Some(known) = known
        && (scan.salts == Some(known.salts) || scan.broken.is_some_and(|broken| broken.frame == 0))
        && scan.frames < known.frames
    {
        let (whole, had) = (scan.frames, known.frames);
        return Err(Fault::damaged("-wal", format!("{whole} frames are whole, it had {had}")));
    }
    match scan.broken {
        Some(broken) if broken.proven && kind.synchronous == Synchronous::Full => {
            let frame = broken.frame;
            Err(Fault::damaged(
                format!("-wal, frame {frame}"),
                "unreadable, and commits follow that were flushed after it",
            ))
        }
        Some(broken) => Ok(vec![format!("its log breaks off at frame {}", broken.frame)]),
        None => Ok(Vec::new()),
    }
}

fn check_all(connection: &Connection, kind: &Kind, doubts: &[String]) -> Result<(), Fault> {
    let mut findings = Findings::default();
    findings.check_everything(connection, kind);
    match findings.damage.first() {
        None => Ok(()),
        Some(first) => {
            let fault = Fault::damaged(first.at.as_str(), first.what.as_str());
            let more = findings.damage.len() - 1;
            Err(with_doubts(fault, &[doubts, &[format!("{more} more findings")]].concat()))
        }
    }
}

/// A failure to open says what was seen before.
fn with_doubts(fault: Fault, doubts: &[String]) -> Fault {
    let Some(first) = doubts.first() else { return fault };
    if !fault.is_damage() {
        return fault;
    }
    let (at, what) = match fault {
        Fault::Damaged { at, what } => (at, what),
        other => (String::new(), other.to_string()),
    };
    Fault::damaged(at, format!("{what} ({first}; {} doubts in all)", doubts.len()))
}
