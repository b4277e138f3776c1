//! An indexed field of a view: how it is stored, so that it filters and sorts as the port says.

use std::fmt;

use rusqlite::types::{Value as SqlValue, ValueRef};
use serde::{
    Deserialize, Serialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

/// What a field sorts by: its kind first, then its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Field {
    /// Of a removed view: such rows stay out of every query.
    Removed,
    Absent,
    Truth(bool),
    Whole(i64),
    /// The bits of a finite number, so that a cursor gives it back exactly.
    Real(u64),
    Text(String),
}

impl Field {
    pub(super) const KIND_TEXT: i64 = 3;

    fn of(value: Value) -> Self {
        match value {
            Value::Bool(truth) => Self::Truth(truth),
            Value::String(text) => Self::Text(text),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Whole(whole),
                // Adding zero makes a negative zero positive: both are the same number.
                (None, Some(real)) => Self::Real((real + 0.0).to_bits()),
                (None, None) => Self::Absent,
            },
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Absent,
        }
    }

    pub(super) const fn kind(&self) -> i64 {
        match self {
            Self::Removed => -1,
            Self::Absent => 0,
            Self::Truth(_) => 1,
            Self::Whole(_) | Self::Real(_) => 2,
            Self::Text(_) => Self::KIND_TEXT,
        }
    }

    /// What [`to_value`](Self::to_value) gives, borrowed. Never NULL, so that pairs of kind and value compare.
    pub(super) fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Removed | Self::Absent => ValueRef::Integer(0),
            Self::Truth(truth) => ValueRef::Integer((*truth).into()),
            Self::Whole(whole) => ValueRef::Integer(*whole),
            Self::Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }
    }

    pub(super) fn to_value(&self) -> SqlValue {
        match self {
            Self::Removed | Self::Absent => SqlValue::Integer(0),
            Self::Truth(truth) => SqlValue::Integer((*truth).into()),
            Self::Whole(whole) => SqlValue::Integer(*whole),
            Self::Real(bits) => SqlValue::Real(f64::from_bits(*bits)),
            Self::Text(text) => SqlValue::Text(text.clone()),
        }
    }

    /// The field in the columns of a row.
    pub(super) fn from_columns(kind: i64, value: ValueRef<'_>) -> Option<Self> {
        match (kind, value) {
            (-1, _) => Some(Self::Removed),
            (0, _) => Some(Self::Absent),
            (1, ValueRef::Integer(truth)) => Some(Self::Truth(truth != 0)),
            (2, ValueRef::Integer(whole)) => Some(Self::Whole(whole)),
            (2, ValueRef::Real(real)) => Some(Self::Real(real.to_bits())),
            (Self::KIND_TEXT, ValueRef::Text(text)) => Some(Self::Text(String::from_utf8(text.to_vec()).ok()?)),
            _ => None,
        }
    }

    /// The value, other than a text, that a filter's text names.
    pub(super) fn named_by(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let json = value.to_string();
        (matches!(value, Value::Bool(_) | Value::Number(_)) && json == text).then(|| Self::of(value))
    }
}

/// The values of `fields` in a view, in their order.
///
/// # Errors
/// When the body is not JSON.
pub(super) fn extract(fields: &[String], body: &str) -> Result<Vec<Field>, serde_json::Error> {
    if !body.trim_ascii_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(body)?;
        return Ok(vec![Field::Absent; fields.len()]);
    }
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let values = deserializer.deserialize_map(Wanted(fields))?;
    deserializer.end()?;
    Ok(values)
}

struct Wanted<'a>(&'a [String]);

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Vec<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a view as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Field>, A::Error> {
        let mut values = vec![Field::Absent; self.0.len()];
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // The fields are in order, see `layout::fields`.
            match self.0.binary_search_by(|field| field.as_str().cmp(&name)) {
                Ok(at) => values[at] = Field::of(map.next_value()?),
                Err(_) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, extract};

    #[test]
    fn fields_are_taken_from_the_top_level_only() {
        let fields = ["a", "b", "c", "d", "e"].map(str::to_owned);
        let body = r#"{"x":{"a":1},"b":-0.0,"d":[1],"c":"é\n","a":true,"z":null,"e":18446744073709551615}"#;
        let whole = 18_446_744_073_709_551_615_f64;
        let expected = [
            Field::Truth(true),
            Field::Real(0),
            Field::Text("é\n".into()),
            Field::Absent,
            Field::Real(whole.to_bits()),
        ];
        assert_eq!(extract(&fields, body).unwrap(), expected);
        assert_eq!(extract(&fields, " [1]").unwrap(), vec![Field::Absent; 5]);
        for broken in ["", "{", "{}{}", "[1", r#"{"a":}"#, "nope"] {
            assert!(extract(&fields, broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_filter_names_a_number_only_by_its_own_text() {
        assert_eq!(Field::named_by("42"), Some(Field::Whole(42)));
        assert_eq!(Field::named_by("1.5"), Some(Field::Real(1.5_f64.to_bits())));
        assert_eq!(Field::named_by("true"), Some(Field::Truth(true)));
        for other in ["042", "1.50", " 1", "null", "\"a\"", "running", "[]"] {
            assert_eq!(Field::named_by(other), None, "{other:?}");
        }
    }
}
