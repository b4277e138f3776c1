//! Decisions: pure, synchronous, tested without a runtime.

use std::{error::Error, time::SystemTime};

use crate::{command::Command, event::Event, id::CommandId, metadata::Metadata};

/// A consistency boundary: takes commands, decides on events, and is the fold of its events.
///
/// ```
/// use eventsource_core::{Aggregate, Command, Context, Event, Rejection};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// #[serde(rename_all = "kebab-case")]
/// enum Switched { On, Off }
/// impl Event for Switched {
///     const NAMES: &'static [&'static str] = &["on", "off"];
///     fn name(&self) -> &'static str {
///         match self { Self::On => "on", Self::Off => "off" }
///     }
/// }
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct TurnOn { lamp: String }
/// impl Command for TurnOn {
///     fn name(&self) -> &'static str { "turn-on" }
///     fn aggregate_key(&self) -> &str { &self.lamp }
/// }
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the lamp is on already")]
/// struct AlreadyOn;
/// impl Rejection for AlreadyOn {
///     fn code(&self) -> &'static str { "already-on" }
/// }
///
/// #[derive(Clone, Default)]
/// struct Lamp { on: bool }
/// impl Aggregate for Lamp {
///     const CATEGORY: &'static str = "lamp";
///     type Command = TurnOn;
///     type Event = Switched;
///     type Rejection = AlreadyOn;
///     fn decide(&self, _: &TurnOn, _: &Context<'_>) -> Result<Vec<Switched>, AlreadyOn> {
///         if self.on { Err(AlreadyOn) } else { Ok(vec![Switched::On]) }
///     }
///     fn evolve(&mut self, event: &Switched) {
///         self.on = matches!(event, Switched::On);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "an aggregate is the fold of its events: implement `Aggregate` with `decide` and `evolve`"
)]
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The category of its streams: 1 to 64 bytes of `a-z`, `0-9`, `-` and `_`.
    const CATEGORY: &'static str;
    /// Shape of the state: raise it when the fields or the meaning of `evolve` change, and every
    /// snapshot of an older shape is passed over.
    const VERSION: u32 = 1;
    /// Orders it takes.
    type Command: Command;
    /// Events it is folded from.
    type Event: Event;
    /// What its rules say when they say no.
    type Rejection: Rejection;

    /// The events that carrying out `command` causes; none when there is nothing to do.
    ///
    /// # Errors
    /// When a business rule forbids it.
    fn decide(&self, command: &Self::Command, context: &Context<'_>) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Takes in one event. It cannot fail: it already happened.
    fn evolve(&mut self, event: &Self::Event);
}

/// What a decision may know besides the state: the clock is an input, not a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The time of the decision.
    pub now: SystemTime,
    /// The command that is decided on.
    pub command_id: CommandId,
    /// What travels with the command.
    pub metadata: &'a Metadata,
}

impl<'a> Context<'a> {
    /// The context of a decision made at `now`.
    #[must_use]
    pub const fn new(now: SystemTime, command_id: CommandId, metadata: &'a Metadata) -> Self {
        Self { now, command_id, metadata }
    }
}

/// A business rule said no. `code` is stable and for programs, `Display` is for people.
pub trait Rejection: Error + Send + Sync + 'static {
    /// A stable word such as `step-not-running`.
    fn code(&self) -> &'static str;
}
