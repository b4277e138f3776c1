//! What can go wrong in a job, before the file is named, and how callers see it.

use std::{borrow::Cow, fmt, path::Path, time::Duration};

use eventsource_core::{BoxError, BusError, StoreError};
use rusqlite::ErrorCode;

/// Why a job failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite said so.
    Sqlite(rusqlite::Error),
    /// A row, a page or a file is not what was written.
    Damaged {
        /// Where in the file: "table message, row 7".
        at: String,
        /// What is wrong there.
        what: String,
    },
    /// The request breaks a rule.
    Invalid(Cow<'static, str>),
    /// Not now.
    Unavailable { source: BoxError, retry_after: Option<Duration> },
}

impl Fault {
    pub(crate) fn damaged(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { at: at.into(), what: what.into() }
    }

    pub(crate) fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(reason.into())
    }

    pub(crate) fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable { source: source.into(), retry_after: None }
    }

    /// What a caller of the file at `path` gets to see.
    pub(crate) fn into_store_error(self, path: &Path) -> StoreError {
        let file = path.display();
        match self {
            Self::Damaged { at, what } if at.is_empty() => StoreError::corrupt(file.to_string(), what),
            Self::Damaged { at, what } => StoreError::corrupt(format!("{file}, {at}"), what),
            Self::Invalid(reason) => StoreError::Invalid { reason },
            Self::Unavailable { source, retry_after } => {
                StoreError::Unavailable { source: Box::new(InFile { file: file.to_string(), source }), retry_after }
            }
            Self::Sqlite(error) => match meaning(&error) {
                Meaning::Corrupt => StoreError::corrupt(file.to_string(), error),
                Meaning::Invalid => StoreError::invalid(error.to_string()),
                Meaning::Unavailable => {
                    StoreError::unavailable(InFile { file: file.to_string(), source: error.into() })
                }
            },
        }
    }

    /// A copy for the others in the same transaction.
    pub(crate) fn for_others(&self) -> Self {
        match self {
            Self::Damaged { at, what } => Self::damaged(at.as_str(), what.as_str()),
            Self::Invalid(reason) => Self::unavailable(reason.to_string()),
            Self::Unavailable { source, retry_after } => {
                Self::Unavailable { source: source.to_string().into(), retry_after: *retry_after }
            }
            Self::Sqlite(error) => match meaning(error) {
                Meaning::Corrupt => Self::damaged("", error.to_string()),
                Meaning::Invalid | Meaning::Unavailable => Self::unavailable(error.to_string()),
            },
        }
    }

    /// Whether stored data is damaged.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Sqlite(error) => matches!(meaning(error), Meaning::Corrupt),
            Self::Invalid(_) | Self::Unavailable { .. } => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Damaged { at, what } if at.is_empty() => f.write_str(what),
            Self::Damaged { at, what } => write!(f, "{at}: {what}"),
            Self::Invalid(reason) => f.write_str(reason),
            Self::Unavailable { source, .. } => source.fmt(f),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The same failure as a bus reports it.
pub(crate) fn bus_error(error: StoreError) -> BusError {
    match error {
        StoreError::Unavailable { source, retry_after } => BusError::Unavailable { source, retry_after },
        StoreError::Invalid { reason } => BusError::Invalid { reason },
        // A bus has no word for damage: the source says what is damaged, and trying again does no harm.
        other => BusError::unavailable(other),
    }
}

/// What cannot be done now, and in which file.
#[derive(Debug, thiserror::Error)]
#[error("{file} cannot be used now")]
struct InFile {
    file: String,
    source: BoxError,
}

enum Meaning {
    Corrupt,
    Unavailable,
    Invalid,
}

/// `SQLITE_FORMAT` and `SQLITE_IOERR_DATA`, which have no word in [`ErrorCode`].
const FORMAT: i32 = 24;
const IOERR_DATA: i32 = 10 | 32 << 8;

fn meaning(error: &rusqlite::Error) -> Meaning {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
            (_, IOERR_DATA | FORMAT) => Meaning::Corrupt,
            (
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OperationAborted
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged,
                _,
            ) => Meaning::Unavailable,
            (ErrorCode::TooBig, _) => Meaning::Invalid,
            // What is left is a table that is not as we made it: our statements are fixed.
            _ => Meaning::Corrupt,
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::InvalidColumnIndex(..)
        | rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::QueryReturnedNoRows => Meaning::Corrupt,
        _ => Meaning::Unavailable,
    }
}
