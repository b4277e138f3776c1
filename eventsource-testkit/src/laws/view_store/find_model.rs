//! What a page should hold: a plain filter and sort over a `Vec`.

use std::cmp::Ordering;

use eventsource_core::{Direction, Search, ViewQuery};
use serde_json::{Map, Value};

/// The views that a store should hold: key and body, removed ones left out.
pub(super) type Model = Vec<(String, Map<String, Value>)>;

/// The keys of all that match, in order.
pub(super) fn matching(model: &Model, query: &ViewQuery) -> Vec<String> {
    let mut found: Vec<_> = model.iter().filter(|(key, body)| matches(key, body, query)).collect();
    found.sort_by(|(key, body), (other_key, other)| match &query.order {
        None => key.cmp(other_key),
        Some((field, direction)) => {
            let up = order(body.get(&**field), other.get(&**field)).then_with(|| key.cmp(other_key));
            if *direction == Direction::Backward { up.reverse() } else { up }
        }
    });
    found.into_iter().map(|(key, _)| key.clone()).collect()
}

fn matches(key: &str, body: &Map<String, Value>, query: &ViewQuery) -> bool {
    let text = |field: &str| body.get(field).and_then(text);
    let equal = query.equal.iter().all(|(field, wanted)| text(field).as_ref() == Some(wanted));
    let found = |search: &Search| {
        let contains = |text: &str| text.to_ascii_lowercase().contains(&search.text.to_ascii_lowercase());
        contains(key) || search.fields.iter().any(|field| text(field).is_some_and(|text| contains(&text)))
    };
    equal && query.search.as_ref().is_none_or(found)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Absent first, then numbers by size or texts by code point. No field of the law mixes kinds.
fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let known = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            let number = |value: &serde_json::Number| value.as_f64().unwrap_or(f64::NAN);
            number(a).total_cmp(&number(b))
        }
        (a, b) => known(a).cmp(&known(b)),
    }
}
