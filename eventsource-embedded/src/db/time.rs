//! Times as SQLite keeps them: nanoseconds since 1970 in 64 bits, which reach from 1677 to 2262.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time as a number, `None` when it is out of reach.
pub(crate) fn nanos(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}

/// The time as a number, or what is wrong with it.
pub(crate) fn nanos_of(time: SystemTime) -> Result<i64, &'static str> {
    nanos(time).ok_or("a time lies between the years 1678 and 2262")
}

/// The time that a number stands for.
pub(crate) fn time(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::{nanos, time};

    #[test]
    fn times_come_back_to_the_nanosecond() {
        for number in [0, 1, -1, 1_700_000_000_123_456_789, i64::MAX, -i64::MAX] {
            assert_eq!(nanos(time(number)), Some(number));
        }
    }
}
