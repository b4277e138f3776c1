//! Looks at the files of a store: all of them, or what is left of them.

use std::{
    io::{self, Write},
    path::Path,
};

use eventsource_embedded::{Embedded, EmbeddedOptions, OpenError, Salvaged, salvage, scrub};
use serde_json::{json, value::RawValue};

use crate::{causes::with_causes, time::to_rfc3339};

/// What reading every byte of a store has shown.
#[derive(Clone, Debug, Default)]
pub struct Scrubbed {
    /// What was read, a line for each file.
    pub read: Vec<String>,
    /// What is damaged, and where.
    pub damage: Vec<String>,
}

/// Reads and checks every byte of the store in `directory`: the event log first, then the files of
/// queues and views when the log is sound enough to be opened.
///
/// # Errors
/// When the directory is in use or cannot be read. Damage is no error here: it is what is looked for.
pub async fn scrub_store(directory: &Path) -> Result<Scrubbed, OpenError> {
    let mut scrubbed = Scrubbed::default();
    let folder = directory.to_owned();
    let log = on_a_thread(move || scrub(&folder, |_| {})).await?;
    scrubbed.read.push(format!("events: {} events, {} bytes in {} files", log.events, log.bytes, log.segments));
    scrubbed.damage.extend(log.damage.iter().map(ToString::to_string));
    if log.damage_count > 0 {
        return Ok(scrubbed);
    }
    let folder = directory.to_owned();
    let engine = match on_a_thread(move || Embedded::open(&folder, EmbeddedOptions::default())).await {
        Ok(engine) => engine,
        Err(error @ OpenError::Locked { .. }) => return Err(error),
        Err(error) => {
            scrubbed.damage.push(with_causes(&error));
            return Ok(scrubbed);
        }
    };
    for report in [engine.queue_db().scrub().await, engine.view_db().scrub().await] {
        match report {
            Ok(report) => {
                let file = report.file.display();
                scrubbed.read.push(format!("{file}: {} rows, {} pages", report.rows, report.pages));
                scrubbed.damage.extend(report.damage.iter().map(|damage| format!("{file}: {damage}")));
            }
            Err(error) => scrubbed.damage.push(with_causes(&error)),
        }
    }
    if let Err(error) = engine.close().await {
        scrubbed.damage.push(with_causes(&error));
    }
    Ok(scrubbed)
}

/// Writes every event in `directory` that is still whole to `out`, one JSON object a line, and gives
/// what had to be skipped. Nothing in the directory is changed.
///
/// # Errors
/// When the directory cannot be read or `out` not written.
pub fn salvage_store(directory: &Path, mut out: impl Write) -> Result<Vec<String>, SalvageError> {
    let mut lost = Vec::new();
    for item in salvage(directory)? {
        let event = match item {
            Salvaged::Event(event) => event,
            Salvaged::Lost { damage, bytes } => {
                lost.push(format!("{bytes} bytes lost: {damage}"));
                continue;
            }
        };
        let payload: Option<&RawValue> = serde_json::from_slice(&event.payload).ok();
        let line = json!({
            "position": event.position, "stream": event.stream, "version": event.version, "id": event.id,
            "name": event.name, "schema": event.schema, "recordedAt": to_rfc3339(event.recorded_at),
            "metadata": event.metadata, "payload": payload,
        });
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(lost)
}

/// Events could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// The directory cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The output cannot be written.
    #[error("output cannot be written")]
    Output(#[from] io::Error),
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work neither panics nor is cancelled")
}
