//! Looking at a data directory that cannot be opened.

use std::path::Path;

use crate::{
    lock::DirLock,
    log::{LogReport, Salvage, ScrubProgress, scrub_closed},
    open::OpenError,
    store::EVENTS,
};

/// Reads and checks every byte of the event log in a data directory that nobody has open, damaged or
/// not. Nothing is changed.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions, scrub};
///
/// drop(EmbeddedEventStore::open(dir.path(), EmbeddedOptions::default())?);
/// let report = scrub(dir.path(), |progress| println!("{} of {}", progress.bytes_done, progress.bytes_total))?;
/// assert!(report.damage.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the directory is in use or cannot be read. Damage is no error here: the report lists it.
pub fn scrub(directory: impl AsRef<Path>, mut progress: impl FnMut(ScrubProgress)) -> Result<LogReport, OpenError> {
    let lock = DirLock::acquire(directory.as_ref())?;
    Ok(scrub_closed(&lock.directory().join(EVENTS), &mut progress)?)
}

/// Every event in a data directory that is still whole, in position order, and what was skipped.
///
/// It only reads, so it also works on a copy on a read-only disk. Append the events to a new store
/// to go on with them.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions, Salvaged, salvage};
///
/// drop(EmbeddedEventStore::open(dir.path(), EmbeddedOptions::default())?);
/// for item in salvage(dir.path())? {
///     match item {
///         Salvaged::Event(event) => println!("{} {}", event.stream, event.name),
///         Salvaged::Lost { damage, bytes } => eprintln!("{bytes} bytes lost: {damage}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the directory cannot be listed.
pub fn salvage(directory: impl AsRef<Path>) -> Result<Salvage, OpenError> {
    Ok(Salvage::open(&directory.as_ref().join(EVENTS))?)
}
