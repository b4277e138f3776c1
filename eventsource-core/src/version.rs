//! Place of an event in its stream, and what a writer believes about it.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! counter_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(NonZeroU64);

        impl $name {
            #[doc = concat!("The first ", $what, ": 1.")]
            pub const FIRST: Self = Self(NonZeroU64::MIN);

            #[doc = concat!("The ", $what, " `value`, or `None` for 0, which is no ", $what, ".")]
            #[must_use]
            pub const fn new(value: u64) -> Option<Self> {
                match NonZeroU64::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The number, 1 or more.
            #[must_use]
            pub const fn value(self) -> u64 {
                self.0.get()
            }

            #[doc = concat!("The number of an optional ", $what, ", 0 for `None`.")]
            #[must_use]
            pub fn value_of(this: Option<Self>) -> u64 {
                this.map_or(0, Self::value)
            }

            #[doc = concat!("The ", $what, " after this one.")]
            ///
            /// # Panics
            /// After 2^64 - 1, which no store can reach.
            #[must_use]
            pub fn next(self) -> Self {
                self.plus(1)
            }

            #[doc = concat!("The ", $what, " `count` further on.")]
            ///
            /// # Panics
            /// Beyond 2^64 - 1, which no store can reach.
            #[must_use]
            pub fn plus(self, count: u64) -> Self {
                Self(self.0.checked_add(count).expect("a u64 counter does not run over"))
            }

            #[doc = concat!("The ", $what, " after `this`, or the first one after `None`.")]
            #[must_use]
            pub fn next_after(this: Option<Self>) -> Self {
                this.map_or(Self::FIRST, Self::next)
            }

            #[doc = concat!("The ", $what, " before this one; `None` before the first.")]
            #[must_use]
            pub const fn previous(self) -> Option<Self> {
                Self::new(self.0.get() - 1)
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
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}
pub(crate) use counter_newtype;

counter_newtype! {
    /// Place of an event in its stream: 1, 2, 3 … `Option<Version>` says "no stream" in 8 bytes.
    ///
    /// ```
    /// use eventsource_core::Version;
    ///
    /// assert_eq!(Version::next_after(None), Version::FIRST);
    /// assert_eq!(Version::FIRST.next().value(), 2);
    /// assert_eq!(Version::new(0), None);
    /// ```
    Version, "version"
}

/// What the writer believes about the stream. There is no default: the caller must choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedVersion {
    /// Anything may be there, or nothing.
    Any,
    /// The stream has no events yet.
    NoStream,
    /// The stream has at least one event.
    StreamExists,
    /// The stream's last event has this version.
    Exact(Version),
}

impl ExpectedVersion {
    /// The expectation of a writer that has read the stream up to `loaded`.
    ///
    /// ```
    /// use eventsource_core::{ExpectedVersion, Version};
    ///
    /// assert_eq!(ExpectedVersion::at(None), ExpectedVersion::NoStream);
    /// assert_eq!(ExpectedVersion::at(Some(Version::FIRST)), ExpectedVersion::Exact(Version::FIRST));
    /// ```
    #[must_use]
    pub fn at(loaded: Option<Version>) -> Self {
        loaded.map_or(Self::NoStream, Self::Exact)
    }

    /// Whether a stream whose last version is `actual` is what the writer believed.
    #[must_use]
    pub fn allows(self, actual: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual.is_none(),
            Self::StreamExists => actual.is_some(),
            Self::Exact(version) => actual == Some(version),
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}
