//! Commands: orders that an aggregate may refuse.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::{id::CommandId, metadata::Metadata, version::ExpectedVersion};

/// An order to one aggregate, in the imperative: `CompleteStep`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    note = "implement `Command`: its name, and the key of the aggregate it is for"
)]
pub trait Command: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// A stable word such as `complete-step`.
    fn name(&self) -> &'static str;
    /// Which aggregate it is for: stream key and bus session in one.
    fn aggregate_key(&self) -> &str;
}

/// A command with its identity and what travels beside it.
#[derive(Clone, Debug)]
pub struct CommandEnvelope<C> {
    /// The same for every delivery of this command.
    pub id: CommandId,
    /// The order.
    pub command: C,
    /// Why it was given.
    pub metadata: Metadata,
    /// What the caller believes about the aggregate. [`ExpectedVersion::Any`] leaves it to the
    /// rules; anything else makes a stale belief a conflict that is not tried again.
    pub expected: ExpectedVersion,
}

impl<C> CommandEnvelope<C> {
    /// A command without belief about the aggregate's version.
    #[must_use]
    pub const fn new(id: CommandId, command: C, metadata: Metadata) -> Self {
        Self { id, command, metadata, expected: ExpectedVersion::Any }
    }

    /// The same command, to be carried out only at this version.
    #[must_use]
    pub fn expecting(self, expected: ExpectedVersion) -> Self {
        Self { expected, ..self }
    }
}
