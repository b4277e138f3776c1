//! Why a data directory cannot be opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use eventsource_core::{BoxError, StoreError};

use crate::log::{Damage, LogError};

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open. Stop that one, or use another directory.
    #[error("{} is in use by {}", directory.display(), process(*holder))]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The process id, if the other process has written it.
        holder: Option<u32>,
    },
    /// A file was written by a newer program. Use that one.
    #[error("{} has format version {found}, this program reads up to {supported}", file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The version it has.
        found: u32,
        /// The newest one this program reads.
        supported: u32,
    },
    /// Acknowledged events are damaged. Nothing was changed: restore a copy of the directory, or
    /// [`scrub`](crate::scrub) it for the extent and [`salvage`](crate::salvage) what is left.
    #[error("the event log is damaged: scrub it to see how far, salvage what is left, or restore a copy")]
    Damaged(#[source] Damage),
    /// An SQLite file cannot be opened.
    #[error("a database of the engine cannot be opened")]
    Database(#[from] StoreError),
    /// An option is out of its range.
    #[error("invalid option: {0}")]
    Invalid(&'static str),
    /// The operating system refused.
    #[error("{} cannot be opened", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: BoxError,
    },
}

impl OpenError {
    /// For `map_err`: an I/O error at `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source: source.into() }
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Damaged(damage) => Self::Damaged(damage),
            LogError::NewerFormat { file, found, supported } => Self::NewerFormat { file, found, supported },
            LogError::Io { ref file, .. } => Self::Io { path: file.clone(), source: error.into() },
        }
    }
}

impl From<OpenError> for StoreError {
    /// For callers that treat opening as one more request to the store.
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged(damage) => LogError::Damaged(damage).into(),
            OpenError::Database(error) => error,
            error => Self::unavailable(error),
        }
    }
}

pub(crate) fn process(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |holder| format!("process {holder}"))
}
