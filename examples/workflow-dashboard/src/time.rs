//! Times as the dashboard writes them.

use std::time::SystemTime;

/// `time` as RFC 3339 text in UTC with milliseconds, cut and not rounded, so that sorting the texts
/// sorts the times: `2026-01-31T09:30:00.250Z`.
///
/// Times outside the years -9999 to 9999 become the nearest one inside.
pub(crate) fn to_rfc3339(time: SystemTime) -> String {
    let nearest = if time < SystemTime::UNIX_EPOCH { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let timestamp = jiff::Timestamp::try_from(time).unwrap_or(nearest);
    format!("{timestamp:.3}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::to_rfc3339;

    #[test]
    fn milliseconds_are_cut_and_always_written() {
        for (nanos, text) in [(0, "1970-01-01T00:00:01.000Z"), (999_999_999, "1970-01-01T00:00:01.999Z")] {
            assert_eq!(to_rfc3339(SystemTime::UNIX_EPOCH + Duration::new(1, nanos)), text);
        }
    }
}
