//! What a queue holds: sessions, locks, delayed messages and dead letters. Pure: time is an argument.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::queue::MemoryQueueOptions;
use crate::bus::{BusError, Message};

/// A message that was given up on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The message.
    pub message: Message,
    /// How often it was delivered.
    pub attempts: u32,
    /// A stable word; `attempts-exhausted` when the queue gave up by itself.
    pub reason: String,
    /// A sentence for people.
    pub description: String,
}

pub(super) struct QueueState {
    options: MemoryQueueOptions,
    sessions: HashMap<Arc<str>, Session>,
    /// Sessions that are not locked, by the number of their first message: the oldest goes first.
    ready: BTreeMap<u64, Arc<str>>,
    locks: BTreeMap<Token, Lock>,
    delayed: BTreeMap<(Instant, u64), Message>,
    dead: Vec<DeadLetter>,
    recent: HashSet<Uuid>,
    recent_order: VecDeque<Uuid>,
    numbers: u64,
}

#[derive(Default)]
struct Session {
    messages: VecDeque<Queued>,
    locked: bool,
}

struct Queued {
    number: u64,
    message: Message,
    attempts: u32,
}

struct Lock {
    session: Arc<str>,
    receiver: u64,
    until: Instant,
}

/// Names one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token(u64);

/// A message that a receiver has just locked.
pub(super) struct Taken {
    pub(super) message: Message,
    pub(super) attempt: u32,
    pub(super) token: Token,
}

/// What a receiver says about a delivery.
#[derive(Clone, Copy)]
pub(super) enum Verdict<'a> {
    Complete,
    Abandon { why: &'a str },
    DeadLetter { reason: &'a str, description: &'a str },
}

impl QueueState {
    pub(super) fn new(options: MemoryQueueOptions) -> Self {
        Self {
            options,
            sessions: HashMap::new(),
            ready: BTreeMap::new(),
            locks: BTreeMap::new(),
            delayed: BTreeMap::new(),
            dead: Vec::new(),
            recent: HashSet::new(),
            recent_order: VecDeque::new(),
            numbers: 0,
        }
    }

    pub(super) const fn options(&self) -> &MemoryQueueOptions {
        &self.options
    }

    /// Takes in messages, each with the time it is due; all of them or none.
    pub(super) fn send(&mut self, messages: Vec<(Message, Option<Instant>)>) -> Result<(), BusError> {
        let limit = self.options.message_bytes_max;
        for (message, _) in &messages {
            if message.body.is_empty() {
                return Err(BusError::invalid(format!("message {} has an empty body", message.id)));
            }
            if message.body.len() > limit {
                let bytes = message.body.len();
                let reason = format!("message {} has {bytes} bytes, at most {limit} are allowed", message.id);
                return Err(BusError::invalid(reason));
            }
        }
        if self.len() + self.dead.len() + messages.len() > self.options.messages_max {
            return Err(BusError::unavailable(format!("the queue is full at {} messages", self.options.messages_max)));
        }
        for (message, due) in messages {
            if !self.is_new(message.id) {
                continue;
            }
            match due {
                Some(due) => {
                    let number = self.number();
                    self.delayed.insert((due, number), message);
                }
                None => self.enqueue(message),
            }
        }
        Ok(())
    }

    /// Locks the oldest message that no receiver holds.
    pub(super) fn take(&mut self, now: Instant, receiver: u64) -> Option<Taken> {
        self.advance(now);
        let (_, name) = self.ready.pop_first()?;
        let token = Token(self.number());
        let session = self.sessions.get_mut(&name)?;
        session.locked = true;
        let queued = session.messages.front_mut()?;
        queued.attempts += 1;
        let taken = Taken { message: queued.message.clone(), attempt: queued.attempts, token };
        self.locks.insert(token, Lock { session: name, receiver, until: now + self.options.lock_time });
        Some(taken)
    }

    /// When something becomes deliverable by the passing of time alone.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let unlocked = self.locks.values().map(|lock| lock.until).min();
        let due = self.delayed.first_key_value().map(|((due, _), _)| *due);
        unlocked.into_iter().chain(due).min()
    }

    pub(super) fn settle(&mut self, now: Instant, token: Token, verdict: Verdict<'_>) -> Result<(), BusError> {
        self.advance(now);
        let lock = self.locks.remove(&token).ok_or(BusError::LockLost)?;
        match verdict {
            Verdict::Complete => {
                self.first(&lock.session);
                self.unlock(lock.session);
            }
            Verdict::Abandon { why } => self.give_back(lock.session, why),
            Verdict::DeadLetter { reason, description } => self.bury(lock.session, reason, description),
        }
        Ok(())
    }

    pub(super) fn renew(&mut self, now: Instant, token: Token) -> Result<(), BusError> {
        self.advance(now);
        let lock = self.locks.get_mut(&token).ok_or(BusError::LockLost)?;
        lock.until = now + self.options.lock_time;
        Ok(())
    }

    /// Gives back what a receiver holds when it goes away.
    pub(super) fn leave(&mut self, receiver: u64) {
        self.give_back_all("the receiver went away", |lock| lock.receiver == receiver);
    }

    pub(super) const fn dead_letters(&self) -> &Vec<DeadLetter> {
        &self.dead
    }

    /// Messages that are waiting, delayed or locked.
    pub(super) fn len(&self) -> usize {
        self.delayed.len() + self.sessions.values().map(|session| session.messages.len()).sum::<usize>()
    }

    /// Lets time have passed: locks run out, delayed messages become due.
    fn advance(&mut self, now: Instant) {
        self.give_back_all("its lock ran out", |lock| lock.until <= now);
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let message = entry.remove();
            self.enqueue(message);
        }
    }

    fn enqueue(&mut self, message: Message) {
        let number = self.number();
        let name = Arc::clone(&message.session);
        let session = self.sessions.entry(Arc::clone(&name)).or_default();
        if session.messages.is_empty() && !session.locked {
            self.ready.insert(number, name);
        }
        session.messages.push_back(Queued { number, message, attempts: 0 });
    }

    fn give_back_all(&mut self, why: &str, ended: impl Fn(&Lock) -> bool) {
        let tokens: Vec<_> = self.locks.iter().filter(|(_, lock)| ended(lock)).map(|(token, _)| *token).collect();
        for token in tokens {
            if let Some(lock) = self.locks.remove(&token) {
                self.give_back(lock.session, why);
            }
        }
    }

    /// Back to its place at the front of the session, or to the dead letters after the last attempt.
    fn give_back(&mut self, session: Arc<str>, why: &str) {
        let attempts = self.sessions.get(&session).and_then(|session| session.messages.front()).map(|m| m.attempts);
        if attempts.is_some_and(|attempts| attempts >= self.options.attempts_max.get()) {
            self.bury(session, "attempts-exhausted", why);
        } else {
            self.unlock(session);
        }
    }

    fn bury(&mut self, session: Arc<str>, reason: &str, description: &str) {
        if let Some(Queued { message, attempts, .. }) = self.first(&session) {
            // It was not done: sent again, it is a new message.
            self.recent.remove(&message.id);
            self.recent_order.retain(|id| *id != message.id);
            let (reason, description) = (reason.to_owned(), description.to_owned());
            self.dead.push(DeadLetter { message, attempts, reason, description });
        }
        self.unlock(session);
    }

    fn first(&mut self, session: &str) -> Option<Queued> {
        self.sessions.get_mut(session)?.messages.pop_front()
    }

    fn unlock(&mut self, name: Arc<str>) {
        let Some(session) = self.sessions.get_mut(&name) else { return };
        session.locked = false;
        match session.messages.front() {
            Some(first) => {
                self.ready.insert(first.number, name);
            }
            None => {
                self.sessions.remove(&name);
            }
        }
    }

    /// Whether the id was not sent lately; remembers it.
    fn is_new(&mut self, id: Uuid) -> bool {
        if !self.recent.insert(id) {
            return false;
        }
        self.recent_order.push_back(id);
        if self.recent_order.len() > self.options.recent_ids_max
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        true
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
