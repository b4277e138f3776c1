//! Free JSON that travels unread: parameters of a workflow, outputs of its steps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// How deep free JSON may be nested, so that every reader on the way can hold it.
pub const JSON_DEPTH_MAX: usize = 32;

/// A JSON value as text. Numbers keep every digit, and a clone costs one reference count.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// The text of `value`.
    ///
    /// # Errors
    /// When it is nested deeper than [`JSON_DEPTH_MAX`].
    ///
    /// # Panics
    /// Never: a tree of JSON always has a text.
    pub fn new(value: &Value) -> Result<Self, JsonError> {
        if depth(value, JSON_DEPTH_MAX).is_none() {
            return Err(JsonError);
        }
        let text = serde_json::value::to_raw_value(value).expect("a JSON value is valid JSON");
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl From<&Json> for Box<RawValue> {
    fn from(json: &Json) -> Self {
        (*json.0).to_owned()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

/// The depth that is left of `room` inside `value`; `None` when there is not enough.
fn depth(value: &Value, room: usize) -> Option<usize> {
    let deepest = |mut inner: &mut dyn Iterator<Item = &Value>| {
        let room = room.checked_sub(1)?;
        (&mut inner).try_fold(room, |least, value| depth(value, room).map(|left| least.min(left)))
    };
    match value {
        Value::Array(values) => deepest(&mut values.iter()),
        Value::Object(fields) => deepest(&mut fields.values()),
        _ => Some(room),
    }
}

/// JSON that is nested too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JSON is nested deeper than {JSON_DEPTH_MAX} levels")]
pub struct JsonError;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{JSON_DEPTH_MAX, Json, JsonError};

    #[test]
    fn numbers_keep_every_digit() {
        let json = Json::new(&json!({ "big": u64::MAX, "small": i64::MIN, "part": 0.1 })).unwrap();
        assert_eq!(json.as_str(), r#"{"big":18446744073709551615,"part":0.1,"small":-9223372036854775808}"#);
        let back: Json = serde_json::from_str(&serde_json::to_string(&json).unwrap()).unwrap();
        assert_eq!(back, json);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| (0..levels).fold(Value::Null, |inner, _| json!([inner]));
        assert!(Json::new(&nested(JSON_DEPTH_MAX)).is_ok());
        assert_eq!(Json::new(&nested(JSON_DEPTH_MAX + 1)), Err(JsonError));
    }
}
