//! The sending side: puts commands on the queue and waits as long as the caller wants.

use std::{sync::Arc, time::Duration};

use eventsource_core::{
    BusError, CommandEnvelope, CommandHandler, CommandId, LiveError, LiveQueries, MessageSender, Outcome, StoreError,
    Version,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{message::to_message, outcomes::OutcomeHub};
use crate::{
    domain::{InvalidCommand, Workflow, WorkflowCommand},
    projections::Workflows,
};

/// The code of a command id that was given to two different commands.
pub const REUSED_CODE: &str = "command-id-reused";
/// Earlier outcomes that are looked up at the same time.
const LOOKUPS_AT_A_TIME: usize = 16;

/// Sends commands to the handler role, and tells what became of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Commands {
    queue: Arc<dyn MessageSender>,
    handler: CommandHandler<Workflow>,
    hub: OutcomeHub,
    live: LiveQueries<Workflows>,
}

/// How long to wait for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until it is queued durably.
    Dispatched,
    /// Until it is decided, for at most this long.
    Decided(Duration),
    /// Until queries show its effect, for at most this long altogether.
    Visible(Duration),
}

/// How far a command has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It is queued durably, and nobody asked for more.
    Queued,
    /// It is queued durably, and was not decided in the time that was given.
    Undecided,
    /// It was decided.
    Decided(Outcome),
    /// Its events are stored, and were not visible in the time that was given.
    NotYetVisible(Version),
    /// No workflow could take it: it was not sent.
    Invalid(InvalidCommand),
    /// Its id belongs to an earlier command for another workflow: it is not carried out.
    IdReused {
        /// The other workflow.
        workflow: String,
    },
}

/// Why a command was not sent, or what became of it cannot be told. Send it again with the same id.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The queue did not take it.
    #[error("command not queued")]
    Queue(#[from] BusError),
    /// What became of it cannot be looked up.
    #[error("outcome unknown")]
    Store(#[from] StoreError),
    /// Views cannot be read.
    #[error("view unknown")]
    View(#[source] LiveError),
}

impl Commands {
    /// Sends to `queue`; `handler` looks up outcomes, `hub` hears them first, `live` knows the views.
    #[must_use]
    pub fn new(
        queue: Arc<dyn MessageSender>,
        handler: CommandHandler<Workflow>,
        hub: OutcomeHub,
        live: LiveQueries<Workflows>,
    ) -> Self {
        Self { queue, handler, hub, live }
    }

    /// Where outcomes are heard first.
    #[cfg(test)]
    pub(super) const fn hub(&self) -> &OutcomeHub {
        &self.hub
    }

    /// What became of a command; `None` while it is not decided.
    ///
    /// # Errors
    /// When the stores cannot be asked.
    pub async fn outcome(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        self.handler.outcome(command).await
    }

    /// Sends one command and waits for as long as `wait` says.
    ///
    /// # Errors
    /// When the outcome cannot be known. Sending the same command again is always right.
    pub async fn send(&self, command: CommandEnvelope<WorkflowCommand>, wait: Wait) -> Result<Reached, SendError> {
        let started = Instant::now();
        // Waiting begins before looking, so that an outcome is either found or heard.
        let mut waiting = self.hub.wait_for(command.id);
        if let Some(reached) = self.reached_before(&command).await? {
            return self.until_visible(reached, wait, started).await;
        }
        self.queue.send(vec![to_message(&command)]).await?;
        hop("queued", started);
        let (Wait::Decided(time) | Wait::Visible(time)) = wait else { return Ok(Reached::Queued) };
        let reached = match timeout_at(started + time, waiting.outcome()).await {
            Ok(outcome) => {
                hop("decided", started);
                reached(&command, outcome)
            }
            // The handler may be in another process, or may have told before the wait began.
            Err(_) => {
                let outcome = self.outcome(command.id).await?;
                outcome.map_or(Reached::Undecided, |outcome| reached(&command, outcome))
            }
        };
        self.until_visible(reached, wait, started).await
    }

    /// Sends commands in their order with one durable write. Those that are decided already, or that
    /// no workflow could take, are answered and not sent.
    ///
    /// # Errors
    /// When the queue takes none of them, or earlier outcomes cannot be looked up.
    pub async fn send_all(&self, commands: Vec<CommandEnvelope<WorkflowCommand>>) -> Result<Vec<Reached>, SendError> {
        let lookups: Vec<_> = commands.iter().map(|command| self.reached_before(command)).collect();
        let before: Vec<Option<Reached>> = stream::iter(lookups).buffered(LOOKUPS_AT_A_TIME).try_collect().await?;
        let new = commands.iter().zip(&before).filter(|(_, before)| before.is_none());
        let messages: Vec<_> = new.map(|(command, _)| to_message(command)).collect();
        if !messages.is_empty() {
            self.queue.send(messages).await?;
        }
        Ok(before.into_iter().map(|before| before.unwrap_or(Reached::Queued)).collect())
    }

    /// How far the command has come without being sent.
    async fn reached_before(&self, command: &CommandEnvelope<WorkflowCommand>) -> Result<Option<Reached>, SendError> {
        if let Err(invalid) = command.command.check() {
            return Ok(Some(Reached::Invalid(invalid)));
        }
        Ok(self.outcome(command.id).await?.map(|outcome| reached(command, outcome)))
    }

    async fn until_visible(&self, reached: Reached, wait: Wait, started: Instant) -> Result<Reached, SendError> {
        let (Wait::Visible(time), Reached::Decided(Outcome::Committed { stream, version })) = (wait, &reached) else {
            return Ok(reached);
        };
        let left = time.saturating_sub(started.elapsed());
        match self.live.wait_for(stream.key(), *version, left).await {
            Ok(_) => {
                hop("visible", started);
                Ok(reached)
            }
            Err(LiveError::NotYetVisible { .. }) => Ok(Reached::NotYetVisible(*version)),
            Err(error) => Err(SendError::View(error)),
        }
    }
}

/// The outcome of this id, which may be that of a command for another workflow.
fn reached(command: &CommandEnvelope<WorkflowCommand>, outcome: Outcome) -> Reached {
    let workflow = outcome.stream().key();
    if workflow == command.command.workflow_id() {
        Reached::Decided(outcome)
    } else {
        Reached::IdReused { workflow: workflow.to_owned() }
    }
}

/// The time from a command's arrival to one of its hops.
fn hop(hop: &'static str, started: Instant) {
    metrics::histogram!("workflow_dashboard_hop_seconds", "hop" => hop).record(started.elapsed());
}
