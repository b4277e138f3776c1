//! Time and randomness as inputs, so that a simulation can own them.

use std::{fmt, time::SystemTime};

use crate::id::CommandId;

/// Where the engines read the time of day.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
///
/// ```
/// use eventsource_core::{Clock, SystemClock};
///
/// assert!(SystemClock.now() > std::time::UNIX_EPOCH);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Where new command ids come from.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// An id that was never given before.
    fn command_id(&self) -> CommandId;
}

/// Version 7 UUIDs (RFC 9562): unique, and roughly in the order of their making.
///
/// ```
/// use eventsource_core::{IdSource, RandomIds};
///
/// assert_ne!(RandomIds.command_id(), RandomIds.command_id());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn command_id(&self) -> CommandId {
        CommandId::from_uuid(uuid::Uuid::now_v7())
    }
}
