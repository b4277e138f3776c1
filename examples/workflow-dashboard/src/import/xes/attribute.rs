//! One attribute's value, by the type its element names.

use serde_json::{Number, Value};

use super::{Attributes, error::XesProblem};

/// The types of XES. `List` and `Container` hold other attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Date,
    Int,
    Float,
    Boolean,
    List,
    Container,
}

impl Kind {
    /// The type that `element` stands for.
    pub(super) fn of(element: &str) -> Option<Self> {
        Some(match element {
            "string" | "id" => Self::Text,
            "date" => Self::Date,
            "int" => Self::Int,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "list" => Self::List,
            "container" => Self::Container,
            _ => return None,
        })
    }

    /// Whether the element has a value of its own.
    pub(super) const fn has_value(self) -> bool {
        !matches!(self, Self::List | Self::Container)
    }

    /// The value written as `text`. A date stays the text it is, with its offset.
    pub(super) fn parse(self, key: &str, text: &str) -> Result<Value, XesProblem> {
        let bad = |expected| XesProblem::BadValue { key: key.to_owned(), value: cut(text), expected };
        match self {
            Self::Text | Self::List | Self::Container => Ok(Value::String(text.to_owned())),
            Self::Date => match text.trim().parse::<jiff::Timestamp>() {
                Ok(_) => Ok(Value::String(text.trim().to_owned())),
                Err(_) => Err(bad("date with time and offset, such as 2011-10-11T13:45:40.276+02:00")),
            },
            Self::Int => text.trim().parse::<i64>().map(Value::from).map_err(|_| bad("whole number of 64 bits")),
            Self::Float => float(text.trim()).ok_or_else(|| bad("number")),
            Self::Boolean => match text.trim() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(bad("boolean, true or false")),
            },
        }
    }

    /// The value together with the attributes inside it.
    ///
    /// A list becomes an array of objects with one field each, since its keys may repeat; a container
    /// becomes an object; any other value with attributes becomes `{"value": …, "attributes": {…}}`.
    pub(super) fn with_inner(self, value: Value, inner: Vec<(String, Value)>) -> Result<Value, XesProblem> {
        match self {
            Self::List => Ok(inner.into_iter().map(|(key, value)| Value::from_iter([(key, value)])).collect()),
            Self::Container => unique(inner).map(Value::Object),
            _ if inner.is_empty() => Ok(value),
            _ => Ok(Value::from_iter([
                ("value".to_owned(), value),
                ("attributes".to_owned(), Value::Object(unique(inner)?)),
            ])),
        }
    }
}

/// The attributes as an object; keys do not repeat outside of lists.
pub(super) fn unique(attributes: Vec<(String, Value)>) -> Result<Attributes, XesProblem> {
    let mut object = Attributes::new();
    for (key, value) in attributes {
        if object.contains_key(&key) {
            return Err(XesProblem::AttributeTwice { key });
        }
        object.insert(key, value);
    }
    Ok(object)
}

/// JSON has no infinities and no NaN: they stay the text that XML Schema writes.
fn float(text: &str) -> Option<Value> {
    if matches!(text, "INF" | "+INF" | "-INF" | "NaN") {
        return Some(Value::String(text.to_owned()));
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
