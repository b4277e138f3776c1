//! The port to what became of commands.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    id::{CommandId, StreamId},
    store::StoreError,
    version::Version,
};

/// What became of commands that left no event to find them by.
///
/// The first record wins, so a redelivered command gets the first answer, a refusal included.
/// [`find`](Self::find) is asked for every command: an implementation makes a miss cheap.
#[async_trait]
pub trait OutcomeStore: fmt::Debug + Send + Sync + 'static {
    /// The outcome recorded for `command`.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn find(&self, command: CommandId) -> Result<Option<Outcome>, StoreError>;

    /// Records `outcome` durably unless there is one already; returns the one that is there.
    ///
    /// # Errors
    /// When the store cannot be asked; the outcome may be recorded all the same.
    async fn record(&self, command: CommandId, outcome: Outcome) -> Result<Outcome, StoreError>;
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
#[non_exhaustive]
pub enum Outcome {
    /// Its events are stored; the last one has this version.
    Committed {
        /// The aggregate's stream.
        stream: StreamId,
        /// Version of the last event.
        version: Version,
    },
    /// It was accepted, and there was nothing to do.
    Unchanged {
        /// The aggregate's stream.
        stream: StreamId,
        /// The version at which it was decided.
        version: Option<Version>,
    },
    /// A business rule said no.
    Rejected {
        /// The aggregate's stream.
        stream: StreamId,
        /// A stable word for programs.
        code: String,
        /// A sentence for people.
        message: String,
    },
}

impl Outcome {
    /// The aggregate's stream.
    #[must_use]
    pub const fn stream(&self) -> &StreamId {
        match self {
            Self::Committed { stream, .. } | Self::Unchanged { stream, .. } | Self::Rejected { stream, .. } => stream,
        }
    }
}
