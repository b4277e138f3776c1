//! Place of an event among all events of a store.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::version::counter_newtype;

counter_newtype! {
    /// Place of an event among all events of one store: dense, 1, 2, 3 …, so lag is a subtraction.
    ///
    /// ```
    /// use eventsource_core::Position;
    ///
    /// let (seen, head) = (Position::new(40), Position::new(42));
    /// assert_eq!(Position::value_of(head) - Position::value_of(seen), 2);
    /// ```
    Position, "position"
}
