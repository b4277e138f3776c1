//! The handler role: takes commands off the queue and carries them out.

use std::{
    future::Future,
    num::{NonZeroU32, NonZeroUsize},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use eventsource_core::{
    Aggregate, Backoff, BusError, CommandEnvelope, CommandHandler, CommandId, Delivery, ExecuteError, Executed,
    MessageReceiver, Outcome, OutcomeStore, Rejection, STALE_CODE, StoreError, StreamId,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::{commands::REUSED_CODE, health::StoreWatch, message::from_message, outcomes::OutcomeHub};
use crate::{
    domain::{Workflow, WorkflowCommand, WorkflowEvent, WorkflowRejection},
    with_causes,
};

type Tried = Result<Executed<WorkflowEvent>, ExecuteError<WorkflowRejection>>;

/// The code of a command whose message cannot be read.
pub const UNREADABLE_CODE: &str = "unreadable-command";
/// The code of a command that the stores refuse to carry out.
pub const REFUSED_CODE: &str = "not-storable";
/// The code of a command that cannot be decided before stored data is repaired. It is not recorded.
pub const DAMAGED_CODE: &str = "unreadable";
/// The code of a command that was tried as often as its queue allows. It is not recorded.
pub const EXHAUSTED_CODE: &str = "exhausted";

/// Takes commands off the queue, many workflows at a time and each workflow in order.
///
/// - A decision and a refusal that is final are recorded: the same command again gets the same answer.
/// - While a store is unavailable a command comes back. After its last attempt it is a dead letter.
/// - A command that meets damaged data is a dead letter at once: trying again does not help, and
///   other workflows go on.
///
/// A dead letter of the last two kinds leaves no outcome, because it was not decided. Whoever waits is
/// told, and the same command sent again (or its dead letter resubmitted) is tried anew.
#[derive(Debug)]
pub struct HandlerRole {
    /// Where commands come from.
    pub queue: Arc<dyn MessageReceiver>,
    /// What carries them out.
    pub commands: CommandHandler<Workflow>,
    /// Where the outcome of a command is kept that never reached a workflow.
    pub outcomes: Arc<dyn OutcomeStore>,
    /// Who waits for outcomes in this process.
    pub hub: OutcomeHub,
    /// Most commands carried out at the same time. Commits of different workflows share one write
    /// to the disk, so a larger number is faster until the disk is busy.
    pub concurrency: NonZeroUsize,
    /// Deliveries of a message before the queue makes it a dead letter.
    pub attempts_max: NonZeroU32,
    /// Learns whether the stores work.
    pub watch: StoreWatch,
}

/// The queue cannot be read any more.
#[derive(Debug, thiserror::Error)]
#[error("command queue stopped")]
pub struct HandlerError(#[source] BusError);

/// What becomes of a message once its command was tried.
enum Verdict {
    Done(Outcome),
    Again(String),
    /// Refused for good.
    Dead {
        outcome: Outcome,
        code: &'static str,
        message: String,
    },
    /// Not decided, and another attempt would not help.
    Aside {
        code: &'static str,
        message: String,
    },
}

impl HandlerRole {
    /// Works until `shutdown` is done, then finishes what it has begun.
    ///
    /// # Errors
    /// When the queue fails for good. While it is only unavailable the role waits and goes on.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), HandlerError> {
        let mut shutdown = pin!(shutdown);
        let mut deliveries = self.queue.deliveries();
        let mut working: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        let (backoff, mut failures) = (Backoff::default(), 0);
        let stopped = loop {
            let next = tokio::select! {
                biased;
                () = &mut shutdown => break Ok(()),
                Some(()) = working.next(), if !working.is_empty() => continue,
                next = deliveries.next(), if working.len() < self.concurrency.get() => next,
            };
            match next {
                Some(Ok(delivery)) => {
                    failures = 0;
                    working.push(self.handle(delivery).boxed());
                }
                Some(Err(BusError::Unavailable { source, retry_after })) => {
                    tracing::warn!(error = %source, "command queue unavailable");
                    let pause = retry_after.unwrap_or_else(|| backoff.pause(failures));
                    failures = failures.saturating_add(1);
                    // The pause is one more thing to wait for, so that begun work goes on meanwhile.
                    let mut pause = pin!(sleep(pause));
                    loop {
                        tokio::select! {
                            () = &mut shutdown => break,
                            () = &mut pause => break,
                            Some(()) = working.next(), if !working.is_empty() => {}
                        }
                    }
                }
                Some(Err(error)) => break Err(HandlerError(error)),
                None => break Err(HandlerError(BusError::unavailable("the queue ended"))),
            }
        };
        // Messages are given back when `deliveries` is dropped, so that comes after the last one.
        while working.next().await.is_some() {}
        drop(deliveries);
        stopped
    }

    async fn handle(&self, delivery: Delivery) {
        let message = &delivery.message;
        let trace = message.metadata.trace.map(|trace| trace.to_string()).unwrap_or_default();
        let span = tracing::info_span!(
            "process command",
            messaging.operation.type = "process",
            messaging.message.id = %message.id,
            messaging.message.conversation_id = &*message.session,
            messaging.message.delivery_attempt = delivery.attempt,
            command = &*message.subject,
            traceparent = trace,
        );
        self.try_command(delivery).instrument(span).await;
    }

    async fn try_command(&self, mut delivery: Delivery) {
        let id = CommandId::from_uuid(delivery.message.id);
        let verdict = match from_message(&delivery.message) {
            Ok(command) => {
                let again = delivery.attempt > 1;
                let execution = async {
                    let tried = self.commands.execute(&command).await;
                    self.watch_store(&tried, again);
                    self.verdict(&command, tried).await
                };
                renewing(&mut delivery, execution).await
            }
            Err(error) => unreadable(&delivery, &error),
        };
        let settled = match verdict {
            Verdict::Done(outcome) => self.finish(delivery, id, &outcome).await,
            Verdict::Again(why) => self.again(delivery, id, why).await,
            Verdict::Dead { outcome, code, message } => self.bury(delivery, id, outcome, code, &message).await,
            Verdict::Aside { code, message } => self.put_aside(delivery, id, code, message).await,
        };
        if let Err(error) = settled {
            // The message comes back, and its command then gets the outcome it has now.
            tracing::warn!(error = with_causes(&error), "message not settled");
        }
    }

    /// What was not there is there again once it takes events, or decides what it could not before.
    fn watch_store(&self, tried: &Tried, again: bool) {
        match tried {
            Err(ExecuteError::Store(StoreError::Unavailable { .. })) => self.watch.failed(),
            Ok(executed) if again || (!executed.duplicate && !executed.events.is_empty()) => self.watch.worked(),
            Err(ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. } | ExecuteError::Stale { .. })
                if again =>
            {
                self.watch.worked();
            }
            _ => {}
        }
    }

    async fn verdict(&self, command: &CommandEnvelope<WorkflowCommand>, tried: Tried) -> Verdict {
        let Err(ExecuteError::RejectedBefore { .. }) = &tried else { return verdict(command, tried) };
        // The record tells which workflow refused it: the id may be that of another command.
        match self.commands.outcome(command.id).await {
            Ok(Some(outcome)) => Verdict::Done(outcome),
            Ok(None) => verdict(command, tried),
            Err(error) => unstored(&error, command.command.workflow_id()),
        }
    }

    /// Everyone who waits for this id is told its outcome; whether it is that of their own command they
    /// see by the workflow.
    async fn finish(&self, delivery: Delivery, id: CommandId, outcome: &Outcome) -> Result<(), BusError> {
        self.hub.tell(id, outcome);
        let (theirs, ours) = (outcome.stream().key(), &*delivery.message.session);
        if theirs != ours {
            let message = format!("command id {id} belongs to an earlier command for workflow {theirs}");
            tracing::error!(code = REUSED_CODE, message, "command not carried out, its message is a dead letter");
            return delivery.dead_letter(REUSED_CODE, &message).await;
        }
        tracing::debug!(?outcome, "command decided");
        delivery.complete().await
    }

    /// Gives the message back, as long as the queue would deliver it once more.
    async fn again(&self, delivery: Delivery, id: CommandId, why: String) -> Result<(), BusError> {
        let attempt = delivery.attempt;
        if attempt < self.attempts_max.get() {
            tracing::warn!(error = why, attempt, "command not decided, it comes back");
            return delivery.abandon(&why).await;
        }
        let message = format!(
            "not decided in {attempt} attempts, the last one ended with: {why}; once that is mended, \
             send the command again with the same commandId"
        );
        self.put_aside(delivery, id, EXHAUSTED_CODE, message).await
    }

    /// Makes the message a dead letter and tells whoever waits, without a recorded outcome.
    async fn put_aside(
        &self,
        delivery: Delivery,
        id: CommandId,
        code: &'static str,
        message: String,
    ) -> Result<(), BusError> {
        tracing::error!(code, message, "command not decided, its message is a dead letter");
        let stream = stream_of(&delivery.message.session);
        delivery.dead_letter(code, &message).await?;
        // After that, so that whoever sends it again at once sends a new message.
        self.hub.tell(id, &Outcome::Rejected { stream, code: code.to_owned(), message });
        Ok(())
    }

    /// Records the refusal before the message leaves the queue, so that whoever asks learns of it.
    async fn bury(
        &self,
        delivery: Delivery,
        id: CommandId,
        outcome: Outcome,
        code: &str,
        message: &str,
    ) -> Result<(), BusError> {
        let recorded = async {
            match self.commands.outcome(id).await? {
                Some(first) => Ok::<_, StoreError>(first),
                None => self.outcomes.record(id, outcome).await,
            }
        };
        match recorded.await {
            Ok(outcome) => {
                tracing::error!(code, message, "command refused, its message is a dead letter");
                self.hub.tell(id, &outcome);
                delivery.dead_letter(code, message).await
            }
            Err(error) => self.again(delivery, id, with_causes(&error)).await,
        }
    }
}

/// Holds the lock while `work` takes its time: renewed whenever half of it has gone by.
async fn renewing<T>(delivery: &mut Delivery, work: impl Future<Output = T>) -> T {
    let half = (delivery.lock_time() / 2).max(Duration::from_millis(1));
    let mut work = pin!(work);
    let mut renew_at = Instant::now() + half;
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = tokio::time::sleep_until(renew_at) => {
                if let Err(error) = delivery.renew().await {
                    // Another handler may try the same command: the store takes it once.
                    tracing::warn!(error = with_causes(&error), "lock not renewed");
                }
                renew_at = Instant::now() + half;
            }
        }
    }
}

fn verdict(command: &CommandEnvelope<WorkflowCommand>, tried: Tried) -> Verdict {
    let workflow = command.command.workflow_id();
    let stream = || StreamId::new(Workflow::CATEGORY, workflow);
    let rejected = |code: &str, message: String| match stream() {
        Ok(stream) => Verdict::Done(Outcome::Rejected { stream, code: code.to_owned(), message }),
        Err(error) => dead(UNREADABLE_CODE, error.to_string(), workflow),
    };
    match tried {
        Ok(Executed { stream, version: Some(version), events, .. }) if !events.is_empty() => {
            Verdict::Done(Outcome::Committed { stream, version })
        }
        Ok(Executed { stream, version, .. }) => Verdict::Done(Outcome::Unchanged { stream, version }),
        Err(ExecuteError::Rejected(rejection)) => rejected(rejection.code(), rejection.to_string()),
        Err(ExecuteError::RejectedBefore { code, message }) => rejected(&code, message),
        Err(stale @ ExecuteError::Stale { .. }) => rejected(STALE_CODE, stale.to_string()),
        Err(ExecuteError::Store(error)) => unstored(&error, workflow),
        Err(error @ ExecuteError::InvalidKey(_)) => dead(REFUSED_CODE, with_causes(&error), workflow),
        // What cannot be read today may be read after a repair: no refusal that stands for ever.
        Err(error) => damaged(&error, workflow),
    }
}

fn unstored(error: &StoreError, workflow: &str) -> Verdict {
    match error {
        StoreError::Unavailable { .. } | StoreError::Conflict { .. } => Verdict::Again(with_causes(error)),
        StoreError::Invalid { .. } => dead(REFUSED_CODE, with_causes(error), workflow),
        _ => damaged(error, workflow),
    }
}

fn damaged(error: &(dyn std::error::Error + 'static), workflow: &str) -> Verdict {
    let (stream, what) = (stream_of(workflow), with_causes(error));
    let message = format!(
        "{stream} cannot be worked on: {what}; once that is repaired, send the command again with the same commandId"
    );
    Verdict::Aside { code: DAMAGED_CODE, message }
}

fn unreadable(delivery: &Delivery, error: &serde_json::Error) -> Verdict {
    let subject = &delivery.message.subject;
    dead(UNREADABLE_CODE, format!("{subject} is no command this program knows: {error}"), &delivery.message.session)
}

fn dead(code: &'static str, message: String, workflow: &str) -> Verdict {
    let outcome = Outcome::Rejected { stream: stream_of(workflow), code: code.to_owned(), message: message.clone() };
    Verdict::Dead { outcome, code, message }
}

fn stream_of(workflow: &str) -> StreamId {
    StreamId::new(Workflow::CATEGORY, workflow)
        .or_else(|_| StreamId::new(Workflow::CATEGORY, "unknown"))
        .expect("the word unknown is a valid key")
}
