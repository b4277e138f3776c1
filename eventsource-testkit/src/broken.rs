//! What a law says when it is broken.

use std::{error::Error, fmt, panic::Location};

use eventsource_core::BoxError;

/// A law that does not hold: what was seen, what would be right, and where the law says so.
#[derive(Debug)]
pub struct LawBroken {
    what: String,
    at: &'static Location<'static>,
    source: Option<BoxError>,
}

/// What a law returns.
pub type Verdict = Result<(), LawBroken>;

impl LawBroken {
    /// A law broken in this way.
    #[track_caller]
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: Location::caller(), source: None }
    }

    /// A law broken in this way, for this cause.
    #[track_caller]
    pub fn caused(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..Self::new(what) }
    }

    /// What was seen, followed by every cause, one a line.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            report.push_str("\n  because: ");
            report.push_str(&cause.to_string());
            source = cause.source();
        }
        report
    }
}

impl fmt::Display for LawBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (law at {}:{})", self.what, self.at.file(), self.at.line())
    }
}

impl Error for LawBroken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = self.source.as_deref()?;
        Some(source)
    }
}

macro_rules! broken_by {
    ($($error:ty => $what:literal),* $(,)?) => {
        $(impl From<$error> for LawBroken {
            #[track_caller]
            fn from(error: $error) -> Self {
                Self::caused($what, error)
            }
        })*
    };
}

broken_by! {
    eventsource_core::StoreError => "a store failed where it must not",
    eventsource_core::BusError => "a bus failed where it must not",
    eventsource_core::CodecError => "an event cannot be decoded",
    eventsource_core::ProjectionError => "a projection stopped where it must not",
    eventsource_core::HandleError => "a projection did not do what it was asked",
    eventsource_core::StreamIdError => "a stream name is refused",
    serde_json::Error => "a body is not JSON",
    tokio::task::JoinError => "a task of the law panicked",
}

/// Returns with [`LawBroken`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::LawBroken::new(format!($($what)+)));
        }
    };
}

/// Returns with [`LawBroken`] unless both are equal; shows them both.
macro_rules! ensure_eq {
    ($seen:expr, $right:expr, $($what:tt)+) => {
        match (&$seen, &$right) {
            (seen, right) => {
                if seen != right {
                    let what = format!($($what)+);
                    return Err($crate::LawBroken::new(format!("{what}\n  seen:  {seen:?}\n  right: {right:?}\n")));
                }
            }
        }
    };
}

/// Returns with [`LawBroken`] unless the value matches the pattern; shows it.
macro_rules! ensure_matches {
    ($seen:expr, $pattern:pat $(if $guard:expr)?, $($what:tt)+) => {
        match $seen {
            $pattern $(if $guard)? => {}
            seen => {
                let (what, right) = (format!($($what)+), stringify!($pattern));
                return Err($crate::LawBroken::new(format!("{what}\n  seen:  {seen:?}\n  right: {right}\n")));
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq, ensure_matches};
