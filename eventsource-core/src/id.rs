//! Names of streams, events and commands.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Longest category in bytes.
pub const CATEGORY_BYTES_MAX: usize = 64;
/// Longest stream key in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// The name of one stream: `category/key`, for example `workflow/case-10011`.
///
/// The category says what kind of aggregate lives there, the key which one. Cloning costs one
/// reference count.
///
/// ```
/// use eventsource_core::StreamId;
///
/// let stream = StreamId::new("workflow", "case-10011")?;
/// assert_eq!(stream.to_string(), "workflow/case-10011");
/// assert_eq!((stream.category(), stream.key()), ("workflow", "case-10011"));
/// # Ok::<(), eventsource_core::StreamIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    text: Arc<str>,
    category_bytes: u16,
}

impl StreamId {
    /// The stream of `key` in `category`.
    ///
    /// # Errors
    /// A category is 1 to 64 bytes of `a-z`, `0-9`, `-` and `_`; a key is 1 to 512 bytes of anything
    /// but control characters.
    pub fn new(category: &str, key: &str) -> Result<Self, StreamIdError> {
        let category_bytes = check(category, key)?;
        let mut text = String::with_capacity(category.len() + 1 + key.len());
        text.push_str(category);
        text.push('/');
        text.push_str(key);
        Ok(Self { text: text.into(), category_bytes })
    }

    /// The part before the first `/`: the kind of aggregate.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.text[..usize::from(self.category_bytes)]
    }

    /// The part after the first `/`: which aggregate.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.text[usize::from(self.category_bytes) + 1..]
    }

    /// `category/key` as one string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.text)
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((category, key)) = text.split_once('/') else {
            return Err(StreamIdError { text: shown(text, ""), reason: "a stream is named category/key" });
        };
        Ok(Self { category_bytes: check(category, key)?, text: text.into() })
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that cannot name a stream, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid stream name {text:?}: {reason}")]
pub struct StreamIdError {
    text: String,
    reason: &'static str,
}

/// Checks the two parts of a name and returns the length of the first.
fn check(category: &str, key: &str) -> Result<u16, StreamIdError> {
    let reason = |reason| Err(StreamIdError { text: shown(category, key), reason });
    let (1..=CATEGORY_BYTES_MAX, Ok(category_bytes)) = (category.len(), u16::try_from(category.len())) else {
        return reason("a category has 1 to 64 bytes");
    };
    if !category.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')) {
        return reason("a category holds only a-z, 0-9, - and _");
    }
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return reason("a key has 1 to 512 bytes");
    }
    // Nearly every key is ASCII, and that is told without decoding it.
    let has_control =
        if key.is_ascii() { key.bytes().any(|b| b.is_ascii_control()) } else { key.chars().any(char::is_control) };
    if has_control {
        return reason("a key holds no control characters");
    }
    Ok(category_bytes)
}

/// The offending name, cut to a length that fits a log line.
fn shown(category: &str, key: &str) -> String {
    let whole = if key.is_empty() { category.to_owned() } else { format!("{category}/{key}") };
    match whole.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID made elsewhere.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_newtype! {
    /// Identifies one event in all stores for ever; what makes an append idempotent.
    EventId
}
uuid_newtype! {
    /// Identifies one command, however often it is delivered.
    CommandId
}

impl CommandId {
    /// The id of the `index`-th event this command causes: the same for every attempt.
    ///
    /// It is a version 5 UUID (RFC 9562, name-based) under the command's own id, so a store that
    /// keeps event ids apart also keeps a command from taking effect twice.
    ///
    /// ```
    /// use eventsource_core::CommandId;
    ///
    /// let command: CommandId = "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse()?;
    /// assert_eq!(command.event_id(0), command.event_id(0));
    /// assert_ne!(command.event_id(0), command.event_id(1));
    /// # Ok::<(), uuid::Error>(())
    /// ```
    #[must_use]
    pub fn event_id(&self, index: u32) -> EventId {
        EventId(Uuid::new_v5(&self.0, &index.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES_MAX, StreamId};

    #[test]
    fn keys_may_hold_slashes_and_unicode() {
        let stream: StreamId = "order/eu/Zürich/7".parse().unwrap();
        assert_eq!((stream.category(), stream.key()), ("order", "eu/Zürich/7"));
    }

    #[test]
    fn bad_names_say_what_is_right() {
        for (text, part) in [
            ("order", "category/key"),
            ("/7", "1 to 64 bytes"),
            ("Order/7", "a-z"),
            ("order/", "1 to 512 bytes"),
            ("order/a\nb", "control"),
        ] {
            let error = text.parse::<StreamId>().unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error}");
        }
        assert!(StreamId::new("order", &"x".repeat(KEY_BYTES_MAX + 1)).is_err());
    }
}
