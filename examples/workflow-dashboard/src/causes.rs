//! Errors with what led to them.

use std::error::Error;

/// The error and its causes as one line: `events not stored: disk full`.
///
/// ```
/// use workflow_dashboard::with_causes;
///
/// assert_eq!(with_causes(&std::io::Error::other("disk full")), "disk full");
/// ```
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
