//! What can be wrong with the files of a log.

use std::{
    borrow::Cow,
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use eventsource_core::{Position, StoreError};

/// One damaged place in the files of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, in bytes from its start.
    pub offset: u64,
    /// The first position that is affected, where that is known.
    pub position: Option<Position>,
    /// What is wrong there.
    pub reason: Cow<'static, str>,
}

impl Damage {
    pub(crate) fn new(
        file: &Path,
        offset: u64,
        position: Option<Position>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { file: file.to_path_buf(), offset, position, reason: reason.into() }
    }

    /// The place as one phrase.
    fn place(&self) -> String {
        let file = self.file.display();
        match self.position {
            Some(position) => format!("{file}, byte {}, position {position}", self.offset),
            None => format!("{file}, byte {}", self.offset),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.reason)
    }
}

impl Error for Damage {}

/// Why the log could not do something with its files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("{action} {} failed", file.display())]
    Io { action: &'static str, file: PathBuf, source: io::Error },
    #[error(transparent)]
    Damaged(Damage),
    #[error("{} has format version {found}, this program reads up to {supported}", file.display())]
    NewerFormat { file: PathBuf, found: u32, supported: u32 },
}

impl LogError {
    /// For `map_err`: an I/O error with what was done to which file.
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_path_buf();
        move |source| Self::Io { action, file, source }
    }

    pub(crate) fn damaged(
        file: &Path,
        offset: u64,
        position: Option<Position>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Damaged(Damage::new(file, offset, position, reason))
    }
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { .. } => Self::unavailable(error),
            LogError::Damaged(damage) => Self::corrupt(damage.place(), Reason(damage.reason)),
            LogError::NewerFormat { ref file, .. } => Self::corrupt(file.display().to_string(), error),
        }
    }
}

/// The reason of a damage, where the place is told beside it.
#[derive(Debug)]
struct Reason(Cow<'static, str>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Reason {}
