//! The handler role: takes commands off the queue and carries them out.

use std::{future::Future, num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use eventsource_core::{
    Aggregate, Backoff, BusError, CommandEnvelope, CommandHandler, CommandId, Delivery, ExecuteError, Executed,
    MessageReceiver, Outcome, OutcomeStore, Rejection, STALE_CODE, StoreError, StreamId,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::{message::from_message, outcomes::OutcomeHub};
use crate::{
    domain::{Workflow, WorkflowCommand, WorkflowEvent, WorkflowRejection},
    with_causes,
};

/// The code of a command whose message cannot be read.
pub const UNREADABLE_CODE: &str = "unreadable-command";
/// The code of a command that the stores refuse to carry out.
pub const REFUSED_CODE: &str = "not-storable";

/// Takes commands off the queue, many workflows at a time and each workflow in order.
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
}

/// The queue cannot be read any more.
#[derive(Debug, thiserror::Error)]
#[error("command queue stopped")]
pub struct HandlerError(#[source] BusError);

/// What becomes of a message once its command was tried.
enum Verdict {
    Done(Outcome),
    Again(String),
    Dead { outcome: Outcome, code: &'static str, message: String },
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
                let execution = async { verdict(&command, self.commands.execute(&command).await) };
                renewing(&mut delivery, execution).await
            }
            Err(error) => unreadable(&delivery, &error),
        };
        let settled = match verdict {
            Verdict::Done(outcome) => {
                tracing::debug!(?outcome, "command decided");
                self.hub.tell(id, &outcome);
                delivery.complete().await
            }
            Verdict::Again(why) => {
                tracing::warn!(error = why, attempt = delivery.attempt, "command not decided, it comes back");
                delivery.abandon(&why).await
            }
            Verdict::Dead { outcome, code, message } => self.bury(delivery, id, outcome, code, &message).await,
        };
        if let Err(error) = settled {
            // The message comes back, and its command then gets the outcome it has now.
            tracing::warn!(error = with_causes(&error), "message not settled");
        }
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
            Err(error) => delivery.abandon(&with_causes(&error)).await,
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

fn verdict(
    command: &CommandEnvelope<WorkflowCommand>,
    result: Result<Executed<WorkflowEvent>, ExecuteError<WorkflowRejection>>,
) -> Verdict {
    let workflow = command.command.workflow_id();
    let stream = || StreamId::new(Workflow::CATEGORY, workflow);
    let rejected = |code: &str, message: String| match stream() {
        Ok(stream) => Verdict::Done(Outcome::Rejected { stream, code: code.to_owned(), message }),
        Err(error) => dead(UNREADABLE_CODE, error.to_string(), workflow),
    };
    match result {
        Ok(Executed { stream, version: Some(version), events, .. }) if !events.is_empty() => {
            Verdict::Done(Outcome::Committed { stream, version })
        }
        Ok(Executed { stream, version, .. }) => Verdict::Done(Outcome::Unchanged { stream, version }),
        Err(ExecuteError::Rejected(rejection)) => rejected(rejection.code(), rejection.to_string()),
        Err(ExecuteError::RejectedBefore { code, message }) => rejected(&code, message),
        Err(stale @ ExecuteError::Stale { .. }) => rejected(STALE_CODE, stale.to_string()),
        Err(ExecuteError::Store(error @ (StoreError::Unavailable { .. } | StoreError::Conflict { .. }))) => {
            Verdict::Again(with_causes(&error))
        }
        Err(error) => dead(REFUSED_CODE, with_causes(&error), workflow),
    }
}

fn unreadable(delivery: &Delivery, error: &serde_json::Error) -> Verdict {
    let subject = &delivery.message.subject;
    dead(UNREADABLE_CODE, format!("{subject} is no command this program knows: {error}"), &delivery.message.session)
}

fn dead(code: &'static str, message: String, workflow: &str) -> Verdict {
    let stream = StreamId::new(Workflow::CATEGORY, workflow)
        .or_else(|_| StreamId::new(Workflow::CATEGORY, "unknown"))
        .expect("the word unknown is a valid key");
    let outcome = Outcome::Rejected { stream, code: code.to_owned(), message: message.clone() };
    Verdict::Dead { outcome, code, message }
}
