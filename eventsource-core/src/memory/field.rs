//! An indexed field of a view: what it equals, and what it sorts by.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// The field's value; anything but a text, a number or a truth value counts as absent.
pub(super) fn scalar(body: &Map<String, Value>, field: &str) -> Value {
    match body.get(field) {
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => value.clone(),
        _ => Value::Null,
    }
}

/// The text that a filter compares with, `None` for an absent field.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Absent first, then false and true, then numbers by size, then texts by code point.
pub(super) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => number_order(a, b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        _ => 0,
    }
}

/// Whole numbers exactly, others as floats.
fn number_order(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use serde_json::{Value, json};

    use super::{order, text};

    #[test]
    fn fields_sort_by_kind_then_value() {
        let sorted = [
            Value::Null,
            json!(false),
            json!(true),
            json!(-3),
            json!(1.5),
            json!(2),
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(""),
            json!("B"),
            json!("a"),
            json!("ä"),
        ];
        for (at, value) in sorted.iter().enumerate() {
            for (other_at, other) in sorted.iter().enumerate() {
                assert_eq!(order(value, other), at.cmp(&other_at), "{value} and {other}");
            }
        }
        assert_eq!(order(&json!(9_007_199_254_740_992_u64), &json!(9_007_199_254_740_993_u64)), Ordering::Less);
    }

    #[test]
    fn a_filter_sees_a_scalar_as_its_json_text() {
        assert_eq!(text(&json!("a b")).as_deref(), Some("a b"));
        assert_eq!(text(&json!(42)).as_deref(), Some("42"));
        assert_eq!(text(&json!(true)).as_deref(), Some("true"));
        assert_eq!(text(&Value::Null), None);
    }
}
