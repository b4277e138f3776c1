//! Tells whoever waits what became of a command.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use eventsource_core::{CommandId, Outcome};
use tokio::sync::oneshot;

/// Passes outcomes from the handler role to requests that wait for them, inside this process.
///
/// It is a shortcut: the outcome is stored, so whoever missed it here asks for it there.
#[derive(Clone, Debug, Default)]
pub struct OutcomeHub {
    waiting: Arc<Mutex<HashMap<CommandId, Waiters>>>,
}

#[derive(Debug, Default)]
struct Waiters {
    next: u64,
    senders: Vec<(u64, oneshot::Sender<Outcome>)>,
}

/// A place in the queue for one outcome. Dropping it gives the place up.
#[derive(Debug)]
pub struct Waiting {
    hub: OutcomeHub,
    command: CommandId,
    number: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl OutcomeHub {
    /// Waits for the outcome of `command`, from this moment on.
    #[must_use]
    pub fn wait_for(&self, command: CommandId) -> Waiting {
        let (sender, outcome) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = waiting.entry(command).or_default();
        let number = waiters.next;
        waiters.next += 1;
        waiters.senders.push((number, sender));
        Waiting { hub: self.clone(), command, number, outcome }
    }

    /// Tells everyone who waits.
    pub fn tell(&self, command: CommandId, outcome: &Outcome) {
        let waiters = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&command);
        for (_, sender) in waiters.into_iter().flat_map(|waiters| waiters.senders) {
            // Whoever stopped waiting does not want to know.
            let _ = sender.send(outcome.clone());
        }
    }
}

impl Waiting {
    /// The outcome, once there is one.
    pub async fn outcome(&mut self) -> Outcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            // The sender lives in the hub until it is used, and the hub lives in this.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.hub.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiters) = waiting.get_mut(&self.command) {
            waiters.senders.retain(|(number, _)| *number != self.number);
            if waiters.senders.is_empty() {
                waiting.remove(&self.command);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use eventsource_core::{CommandId, Outcome, StreamId, Version};

    use super::OutcomeHub;

    fn committed() -> Outcome {
        Outcome::Committed { stream: StreamId::new("workflow", "case-7").unwrap(), version: Version::FIRST }
    }

    #[tokio::test]
    async fn everyone_who_waits_is_told_once() {
        let (hub, id) = (OutcomeHub::default(), CommandId::from_uuid(uuid::Uuid::nil()));
        let (mut one, mut other) = (hub.wait_for(id), hub.wait_for(id));
        hub.tell(id, &committed());
        assert_eq!((one.outcome().await, other.outcome().await), (committed(), committed()));
        assert!(hub.waiting.lock().unwrap().is_empty());
    }

    #[test]
    fn whoever_stops_waiting_leaves_nothing_behind() {
        let (hub, id) = (OutcomeHub::default(), CommandId::from_uuid(uuid::Uuid::nil()));
        let (one, other) = (hub.wait_for(id), hub.wait_for(id));
        drop(one);
        assert_eq!(hub.waiting.lock().unwrap()[&id].senders.len(), 1);
        drop(other);
        assert!(hub.waiting.lock().unwrap().is_empty());
    }
}
