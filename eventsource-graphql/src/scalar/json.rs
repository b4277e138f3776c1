//! JSON that leaves as it was stored.

use async_graphql::{InputValueError, InputValueResult, Name, Scalar, ScalarType, Value, indexmap::IndexMap};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Under this key `async-graphql` (feature `raw_value`) writes text into the answer as it is.
const RAW: &str = "$serde_json::private::RawValue";

/// Any JSON as the GraphQL scalar `JSON`: the stored text itself, checked but never taken apart.
///
/// So numbers beyond `u64`, digits beyond `f64` and the order of keys reach the client as they were
/// stored, and a large payload costs a copy, not a tree. As input, `async-graphql` has read the
/// value before it comes here: integers to `u64` and floats to `f64` are exact.
///
/// ```
/// use eventsource_graphql::Json;
///
/// let stored = Json::from_slice(br#"{"amount":18446744073709551615,"rate":0.10}"#)?;
/// assert_eq!(stored.as_str(), r#"{"amount":18446744073709551615,"rate":0.10}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON in `bytes`.
    ///
    /// # Errors
    /// When the bytes are not one JSON value.
    pub fn from_slice(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes).map(Self)
    }

    /// The JSON of `value`.
    ///
    /// # Errors
    /// When the value has no JSON form, for example a map whose keys are not text.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The value that the JSON stands for.
    ///
    /// # Errors
    /// When the JSON does not have the shape of a `T`.
    pub fn deserialize<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl From<Json> for Box<RawValue> {
    fn from(json: Json) -> Self {
        json.0
    }
}

impl PartialEq for Json {
    /// Whether the texts are the same.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

/// Any JSON value.
#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Self::from_serialize(&value).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        match self.as_str() {
            "null" => Value::Null,
            text => Value::Object(IndexMap::from([(Name::new(RAW), Value::String(text.to_owned()))])),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{ScalarType, Value};

    use super::{Json, RAW};

    #[test]
    fn stored_text_leaves_unchanged() {
        for text in [
            r#"{"b":1,"a":[18446744073709551615,-9223372036854775808,0.10,1e400,123456789012345678901234567890]}"#,
            r#""text""#,
            "null",
            "[]",
        ] {
            let json = Json::from_slice(text.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&json.to_value()).unwrap(), text);
        }
    }

    #[test]
    fn input_is_exact_to_u64_and_f64() {
        let text = r#"{"z":[18446744073709551615,-9223372036854775808,0.1,true,null],"a":{"$set":"ü"}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Json::parse(value).unwrap().as_str(), text);
    }

    #[test]
    fn floats_come_in_bit_for_bit() {
        // Knuth's generator ("The Art of Computer Programming", volume 2, section 3.3.4), seed 1.
        let mut bits: u64 = 1;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let float = f64::from_bits(bits);
            if !float.is_finite() {
                continue;
            }
            let value: Value = serde_json::from_str(&format!("{float:e}")).unwrap();
            let kept: f64 = Json::parse(value).unwrap().deserialize().unwrap();
            assert_eq!(kept.to_bits(), float.to_bits(), "{float:e}");
        }
    }

    #[test]
    fn the_raw_key_cannot_break_the_answer() {
        // A client that knows the key gets valid JSON in, and valid JSON out.
        for inner in ["{\"a\":1}", "} not json"] {
            let sent = serde_json::json!({ RAW: inner }).to_string();
            let value =
                Value::Object([(async_graphql::Name::new(RAW), Value::String(inner.to_owned()))].into_iter().collect());
            let kept = Json::parse(value).unwrap();
            let answer = serde_json::to_string(&kept.to_value()).unwrap();
            assert!(answer == sent || answer == inner, "{answer}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&answer).is_ok());
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "{} {}", "nul"] {
            assert!(Json::from_slice(text.as_bytes()).is_err(), "{text}");
        }
    }
}
