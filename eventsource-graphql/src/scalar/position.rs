//! Positions as decimal strings.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use eventsource_core::Position;

/// Largest integer that a JavaScript number holds exactly: 2^53 - 1.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// A place in the store as the GraphQL scalar `Position`: a `u64` as a decimal string.
///
/// GraphQL's `Int` has 32 bits and a JavaScript number is exact only to 2^53, so a position is
/// text. `"0"` is the place before the first event. As input an integer is taken as well, as long
/// as it cannot have been rounded on its way.
///
/// ```
/// use eventsource_core::Position;
/// use eventsource_graphql::PositionScalar;
///
/// let place = PositionScalar::from(Position::new(42));
/// assert_eq!(place.to_string(), "42");
/// assert_eq!(place.position(), Position::new(42));
/// assert_eq!(PositionScalar::default().to_string(), "0");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositionScalar(Option<Position>);

impl PositionScalar {
    /// The position, or `None` for the place before the first event.
    #[must_use]
    pub const fn position(self) -> Option<Position> {
        self.0
    }
}

impl From<Position> for PositionScalar {
    fn from(position: Position) -> Self {
        Self(Some(position))
    }
}

impl From<Option<Position>> for PositionScalar {
    fn from(position: Option<Position>) -> Self {
        Self(position)
    }
}

impl std::fmt::Display for PositionScalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&Position::value_of(self.0), f)
    }
}

/// Place of an event among all events of the store: a u64 as a decimal string.
#[Scalar(name = "Position")]
impl ScalarType for PositionScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::String(text) => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                match text.parse::<u64>() {
                    Ok(number) if digits => number,
                    _ => return Err(refused(format!("a position is a decimal string from \"0\" to \"{}\"", u64::MAX))),
                }
            }
            Value::Number(number) => match number.as_u64() {
                Some(number) if number <= EXACT_MAX => number,
                Some(_) => {
                    return Err(refused("a position above 2^53 - 1 is exact only as a decimal string".to_owned()));
                }
                None => return Err(refused("a position is a whole number, 0 or more".to_owned())),
            },
            _ => return Err(InputValueError::expected_type(value)),
        };
        Ok(Self(Position::new(number)))
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }
}

fn refused(message: String) -> InputValueError<PositionScalar> {
    InputValueError::custom(message)
}

#[cfg(test)]
mod tests {
    use async_graphql::{ScalarType, Value};
    use eventsource_core::Position;

    use super::PositionScalar;

    fn parse(json: &str) -> Result<PositionScalar, String> {
        let value: Value = serde_json::from_str(json).unwrap();
        PositionScalar::parse(value).map_err(|error| error.into_server_error(async_graphql::Pos::default()).message)
    }

    #[test]
    fn every_u64_survives_as_text() {
        for number in [0, 1, (1 << 53) + 1, u64::MAX] {
            let place = PositionScalar::from(Position::new(number));
            assert_eq!(place.to_value(), Value::String(number.to_string()));
            assert_eq!(parse(&format!("\"{number}\"")), Ok(place));
        }
    }

    #[test]
    fn integers_are_taken_while_they_are_exact() {
        assert_eq!(parse("9007199254740991"), Ok(PositionScalar::from(Position::new((1 << 53) - 1))));
        assert!(parse("9007199254740992").unwrap_err().contains("decimal string"));
    }

    #[test]
    fn what_is_no_position_is_refused_with_what_would_be_right() {
        for json in ["\"\"", "\"+7\"", "\"-1\"", "\" 7\"", "\"7.0\"", "\"18446744073709551616\"", "\"x\""] {
            assert!(parse(json).unwrap_err().contains("from \"0\" to \"18446744073709551615\""), "{json}");
        }
        for json in ["-1", "1.5"] {
            assert!(parse(json).unwrap_err().contains("whole number"), "{json}");
        }
        assert!(parse("true").is_err());
    }
}
