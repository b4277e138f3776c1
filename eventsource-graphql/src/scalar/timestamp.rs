//! Times as RFC 3339 text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

const DAY_SECONDS: i64 = 86_400;
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what four digits of a year can say.
const SECONDS_MIN: i64 = -62_167_219_200;
const SECONDS_MAX: i64 = 253_402_300_799;

/// A time as the GraphQL scalar `Timestamp`: RFC 3339 in UTC with milliseconds.
///
/// Finer parts of a second are cut off, times outside the years 0 to 9999 move to the nearest one
/// inside. As input any RFC 3339 offset is taken.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use eventsource_graphql::Timestamp;
///
/// let time = Timestamp::from(UNIX_EPOCH + Duration::from_millis(1_709_210_096_789));
/// assert_eq!(time.to_string(), "2024-02-29T12:34:56.789Z");
/// assert_eq!("2024-02-29T13:34:56.789+01:00".parse(), Ok(time));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(SystemTime);

impl Timestamp {
    /// The time inside.
    #[must_use]
    pub const fn time(self) -> SystemTime {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time)
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, millis) = since_epoch(self.0);
        let (year, month, day) = civil_of_days(seconds.div_euclid(DAY_SECONDS));
        let second = seconds.rem_euclid(DAY_SECONDS);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text).map(Self).ok_or(TimestampError)
    }
}

/// A text that is no RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a timestamp is RFC 3339 text such as 2024-02-29T12:34:56.789Z")]
pub struct TimestampError;

/// RFC 3339 with milliseconds, UTC.
#[Scalar(name = "Timestamp")]
impl ScalarType for Timestamp {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// Whole seconds since 1970, rounded down, and the milliseconds on top.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).map_or(i64::MIN, i64::wrapping_neg);
            match before.subsec_nanos() {
                0 => (whole, 0),
                nanos => (whole.saturating_sub(1), 1_000_000_000 - nanos),
            }
        }
    };
    match seconds {
        ..SECONDS_MIN => (SECONDS_MIN, 0),
        SECONDS_MIN..=SECONDS_MAX => (seconds, nanos / 1_000_000),
        _ => (SECONDS_MAX, 999),
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
const fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// The day counted from 1970-01-01: the inverse of [`civil_of_days`], same source.
const fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.split_at_checked(9)?;
    let ([y, m, d], true) = (fields(date, '-')?, date.len() == 10) else { return None };
    let time = time.strip_prefix(['T', 't', ' '])?;
    let [hour, minute, second] = fields(time, ':')?;
    if (y.len(), m.len(), d.len()) != (4, 2, 2) || [hour, minute, second].iter().any(|field| field.len() != 2) {
        return None;
    }
    let (year, month, day) = (number(y)?, number(m)?, number(d)?);
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let days = days_of_civil(year, month, day);
    // A second 60 is a leap second: the same instant as the next second 0 in Unix time.
    if civil_of_days(days) != (year, month, day)
        || !(1..=12).contains(&month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (nanos, offset) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, offset) = rest.split_at(end);
            (nanos(digits)?, offset)
        }
        None => (0, rest),
    };
    let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset_seconds(offset)?;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    start?.checked_add(Duration::from_nanos(nanos))
}

fn fields(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The fraction of a second; what is finer than a nanosecond is cut off.
fn nanos(digits: &str) -> Option<u64> {
    (!digits.is_empty()).then_some(())?;
    format!("{digits:0<9}").get(..9)?.parse().ok()
}

fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    if (hours.len(), minutes.len()) != (2, 2) {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Timestamp, civil_of_days, days_of_civil};

    #[test]
    fn known_times_print_and_parse() {
        for (seconds, millis, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.001Z"),
            (4_107_542_399, 999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000Z"),
        ] {
            let time = Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis));
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
    }

    #[test]
    fn times_before_1970_round_down_and_come_back() {
        let time = Timestamp::from(UNIX_EPOCH - Duration::from_millis(1));
        assert_eq!(time.to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!("1969-12-31T23:59:59.999Z".parse(), Ok(time));
        assert_eq!("0000-01-01T00:00:00.000Z".parse::<Timestamp>().unwrap().to_string(), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn times_out_of_range_move_to_the_nearest_inside() {
        let late = Timestamp::from(UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert_eq!(late.to_string(), "9999-12-31T23:59:59.999Z");
        let early = Timestamp::from(UNIX_EPOCH - Duration::from_secs(1 << 40));
        assert_eq!(early.to_string(), "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn offsets_and_fractions_are_understood() {
        let utc: Timestamp = "2010-10-08T06:41:05.550Z".parse().unwrap();
        for text in
            ["2010-10-08T08:41:05.55+02:00", "2010-10-08t01:11:05.550000000999-05:30", "2010-10-08 06:41:05.550z"]
        {
            assert_eq!(text.parse(), Ok(utc), "{text}");
        }
        assert_eq!("2016-12-31T23:59:60Z".parse::<Timestamp>(), "2017-01-01T00:00:00Z".parse());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2010-10-08",
            "2010-10-08T06:41Z",
            "2010-10-08T06:41:05",
            "2010-02-29T00:00:00Z",
            "2010-13-01T00:00:00Z",
            "2010-00-10T00:00:00Z",
            "2010-10-00T00:00:00Z",
            "2010-10-08T24:00:00Z",
            "2010-10-08T06:60:00Z",
            "2010-10-08T06:41:05.Z",
            "2010-10-08T06:41:05+2:00",
            "2010-10-08T06:41:05+24:00",
            "2010-10-08T06:41:05ZZ",
            "+010-10-08T06:41:05Z",
            "2010-1-008T06:41:05Z",
            "2010-10-08T+6:41:05Z",
            "2010-10-0äT06:41:05Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_of_the_calendar_comes_back() {
        for day in -719_528..=2_932_896 {
            let (year, month, date) = civil_of_days(day);
            assert_eq!(days_of_civil(year, month, date), day);
        }
    }
}
