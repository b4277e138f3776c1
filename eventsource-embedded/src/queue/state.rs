//! What a queue keeps in memory: the order of each session, locks, and known ids. Pure: time is an
//! argument, and nothing here touches the file.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use eventsource_core::BusError;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    entry::{Claim, Entry, Now, Token},
    options::QueueOptions,
    session::{Hold, Lock, Phase, Session, Timer},
};

/// What a session rests when the file failed, not its message.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Delays are looked at again after this long, because the wall clock may have been set.
const DELAY_LOOK: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct State {
    sessions: HashMap<Arc<str>, Session>,
    /// Sessions whose first message can be had, the one waiting longest first.
    ready: BTreeMap<(i64, i64), Arc<str>>,
    /// Sessions that something happens to by the passing of time.
    timers: BTreeMap<Timer, Arc<str>>,
    locks: HashMap<Token, Arc<str>>,
    /// Sessions to look at once the time is known.
    dirty: Vec<Arc<str>>,
    /// Ids of all messages, of those being written as well.
    live: HashSet<Uuid>,
    /// Ids of settled messages: when the last of an id was, and its row.
    recent: HashMap<Uuid, (i64, i64)>,
    /// Every settlement that has a row, also those of an id that was settled again.
    recent_order: VecDeque<(i64, i64, Uuid)>,
    pub(super) dead: usize,
    /// Rows that count an attempt which reached nobody, and how many did.
    overcounted: BTreeMap<i64, u32>,
    /// Nothing is handed out any more.
    closed: bool,
    counter: u64,
}

impl State {
    /// A queue of these messages, each session in order of number, as a file had them.
    pub(super) fn load(&mut self, session: &str, entry: Entry) {
        self.live.insert(entry.id);
        self.add(session, entry);
    }

    pub(super) fn load_recent(&mut self, settled_at: i64, number: i64, id: Uuid) {
        let at = self.recent_order.partition_point(|(other, ..)| *other <= settled_at);
        self.recent_order.insert(at, (settled_at, number, id));
        let last = self.recent.entry(id).or_insert((settled_at, number));
        *last = (*last).max((settled_at, number));
    }

    /// Whether the id is new to the queue; from now on it is not.
    pub(super) fn take_id(&mut self, id: Uuid) -> bool {
        !self.recent.contains_key(&id) && self.live.insert(id)
    }

    /// Takes an id that settled messages may have.
    pub(super) fn take_id_again(&mut self, id: Uuid) -> bool {
        self.live.insert(id)
    }

    pub(super) fn return_id(&mut self, id: &Uuid) {
        self.live.remove(id);
    }

    /// Messages, those being written among them, and dead letters.
    pub(super) fn len(&self) -> usize {
        self.live.len() + self.dead
    }

    /// Puts a message into its place. A message that was delivered before stays the first.
    pub(super) fn add(&mut self, session: &str, entry: Entry) {
        let name = match self.sessions.get_key_value(session) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(session),
        };
        let session = self.sessions.entry(Arc::clone(&name)).or_default();
        let at = session.waiting.partition_point(|other| (other.due, other.number) <= (entry.due, entry.number));
        let begun = session.waiting.front().is_some_and(|first| first.attempts > 0);
        let begun = begun || matches!(session.hold, Hold::Locked(_) | Hold::Broken);
        session.waiting.insert(at.max(usize::from(begun && !session.waiting.is_empty())), entry);
        self.dirty.push(name);
    }

    /// Lets time have passed: locks run out, rests end, delayed messages become due.
    pub(super) fn advance(&mut self, now: Now) {
        while let Some(timer) = self.timers.first_entry().filter(|timer| timer.key().0 <= now.instant) {
            let name = timer.remove();
            let Some(session) = self.sessions.get_mut(&name) else { continue };
            match &session.hold {
                Hold::Locked(Lock { phase: Phase::Buffered(_), .. }) => self.unlock(&name, None),
                Hold::Locked(_) => {
                    session.last_failure = Some("its lock ran out".to_owned());
                    self.unlock(&name, None);
                }
                _ => {
                    session.hold = Hold::New;
                    self.dirty.push(name);
                }
            }
        }
        while let Some(name) = self.dirty.pop() {
            self.arrange(&name, now);
        }
    }

    /// Locks the first message of up to `count` sessions, those first that wait longest.
    ///
    /// Many are counted as delivered before the first of them is, and a process that ends meanwhile
    /// leaves them so. That must not be the end of a message: its last attempt is claimed alone.
    pub(super) fn claim(&mut self, receiver: u64, count: usize, options: &QueueOptions) -> Vec<Claim> {
        let mut claims = Vec::new();
        while claims.len() < count
            && !self.closed
            && let Some((_, name)) = self.ready.pop_first()
        {
            let token = Token::new(self.count());
            let Some(session) = self.sessions.get_mut(&name) else { continue };
            let Some(entry) = session.waiting.front().copied() else { continue };
            let left = options.attempts_max.get().saturating_sub(entry.attempts);
            if left == 1 && !claims.is_empty() {
                self.ready.insert((entry.due, entry.number), name);
                break;
            }
            session.hold = Hold::Locked(Lock { token, receiver: Some(receiver), phase: Phase::Loading });
            let exhausted = (left == 0).then(|| {
                session.last_failure.clone().unwrap_or_else(|| "the process ended while it had it".to_owned())
            });
            self.overcounted.remove(&entry.number);
            self.locks.insert(token, name);
            claims.push(Claim { token, entry, exhausted });
            if left == 1 {
                break;
            }
        }
        claims
    }

    /// Whether there is something to do for a receiver: a closed queue tells it so.
    pub(super) fn has_news(&self) -> bool {
        self.closed || !self.ready.is_empty()
    }

    /// When something happens by the passing of time alone.
    pub(super) fn next_change(&self) -> Option<Instant> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// The attempt of a claim is written down: it can be delivered.
    pub(super) fn loaded(&mut self, token: Token, until: Instant) {
        let timer = (until, self.count());
        let Some(name) = self.locks.get(&token).cloned() else { return };
        let Some(session) = self.sessions.get_mut(&name) else { return };
        let Hold::Locked(lock) = &mut session.hold else { return };
        if lock.receiver.is_none() {
            return self.unlock(&name, None);
        }
        lock.phase = Phase::Buffered(timer);
        self.timers.insert(timer, name);
    }

    /// The row of a claim's message is damaged: its session stands still.
    pub(super) fn broken(&mut self, token: Token) {
        if let Some(session) = self.locks.remove(&token).and_then(|name| self.sessions.get_mut(&name)) {
            session.hold = Hold::Broken;
        }
    }

    /// A fetched message goes out; `false` when its lock ran out before.
    pub(super) fn deliver(&mut self, token: Token, until: Instant) -> bool {
        let phase = |timer| Phase::Delivered(timer);
        let delivered = self.restart(token, until, phase, |phase| matches!(phase, Phase::Buffered(_)));
        let session = self.locks.get(&token).filter(|_| delivered).and_then(|name| self.sessions.get_mut(name));
        if let Some(first) = session.and_then(|session| session.waiting.front_mut()) {
            first.attempts = first.attempts.saturating_add(1);
        }
        delivered
    }

    pub(super) fn renew(&mut self, token: Token, now: Now, until: Instant) -> Result<(), BusError> {
        self.advance(now);
        let phase = |timer| Phase::Delivered(timer);
        let renewed = self.restart(token, until, phase, |phase| matches!(phase, Phase::Delivered(_)));
        if renewed { Ok(()) } else { Err(BusError::LockLost) }
    }

    /// Stops the clock for a delivery that is being settled.
    pub(super) fn begin_settling(&mut self, token: Token, now: Now) -> Result<Entry, BusError> {
        self.advance(now);
        let name = self.locks.get(&token).ok_or(BusError::LockLost)?;
        let session = self.sessions.get_mut(name).ok_or(BusError::LockLost)?;
        let Hold::Locked(lock) = &mut session.hold else { return Err(BusError::LockLost) };
        let Phase::Delivered(timer) = lock.phase else { return Err(BusError::LockLost) };
        lock.phase = Phase::Settling;
        self.timers.remove(&timer);
        session.waiting.front().copied().ok_or(BusError::LockLost)
    }

    /// The message of this lock is done; its id is known for a while.
    pub(super) fn settled(&mut self, token: Token, settled_at: i64) {
        if let Some(entry) = self.take_off(token) {
            // A dead letter that was sent again may have the id of a message that was settled before.
            self.recent.insert(entry.id, (settled_at, entry.number));
            self.recent_order.push_back((settled_at, entry.number, entry.id));
        }
    }

    /// The message of this lock is a dead letter. It was not done, so its id is not known any more:
    /// sent again, it is a new message.
    pub(super) fn buried(&mut self, token: Token) {
        self.take_off(token);
        self.dead += 1;
    }

    fn take_off(&mut self, token: Token) -> Option<Entry> {
        let name = self.locks.remove(&token)?;
        let session = self.sessions.get_mut(&name)?;
        (session.hold, session.rests_until, session.last_failure) = (Hold::New, None, None);
        let entry = session.waiting.pop_front();
        if let Some(entry) = &entry {
            self.live.remove(&entry.id);
        }
        self.dirty.push(name);
        entry
    }

    /// The file could not be written: the message stays, and its session rests a moment.
    pub(super) fn failed(&mut self, token: Token, now: Instant) {
        if let Some(name) = self.locks.get(&token).cloned() {
            self.unlock(&name, Some(now + FAILURE_PAUSE));
        }
    }

    /// Gives a delivered message back, to rest for as long as its attempts deserve.
    pub(super) fn give_back(
        &mut self,
        token: Token,
        why: &str,
        options: &QueueOptions,
        now: Now,
    ) -> Result<(), BusError> {
        self.advance(now);
        let name = self.locks.get(&token).cloned().ok_or(BusError::LockLost)?;
        let session = self.sessions.get_mut(&name).ok_or(BusError::LockLost)?;
        let Hold::Locked(Lock { phase: Phase::Delivered(_), .. }) = session.hold else {
            return Err(BusError::LockLost);
        };
        session.last_failure = Some(why.to_owned());
        let attempts = session.waiting.front().map_or(1, |first| first.attempts);
        self.unlock(&name, Some(now.instant + options.pause(attempts)));
        Ok(())
    }

    /// Gives back what a receiver has when it goes away.
    pub(super) fn leave(&mut self, receiver: u64) {
        let names: Vec<_> = self.locks.values().cloned().collect();
        for name in names {
            let Some(session) = self.sessions.get_mut(&name) else { continue };
            let Hold::Locked(lock) = &mut session.hold else { continue };
            if lock.receiver != Some(receiver) {
                continue;
            }
            match lock.phase {
                Phase::Loading => {
                    lock.receiver = None;
                    // Its row will count the attempt: that is to be put right after.
                    if let Some(first) = session.waiting.front() {
                        self.overcounted.insert(first.number, first.attempts);
                    }
                }
                Phase::Buffered(_) => self.unlock(&name, None),
                Phase::Delivered(_) => {
                    session.last_failure = Some("the receiver went away".to_owned());
                    self.unlock(&name, None);
                }
                Phase::Settling => {}
            }
        }
    }

    /// Ends the handing out, so that every row can have the attempts that were used.
    pub(super) fn close(&mut self) {
        self.closed = true;
        let names: Vec<_> = self.locks.values().cloned().collect();
        for name in names {
            if let Some(Session { hold: Hold::Locked(Lock { phase: Phase::Buffered(_), .. }), .. }) =
                self.sessions.get(&name)
            {
                self.unlock(&name, None);
            }
        }
    }

    /// Rows that count an attempt too many, and what they should count.
    pub(super) fn overcounted(&self) -> Vec<(i64, u32)> {
        self.overcounted.iter().map(|(number, attempts)| (*number, *attempts)).collect()
    }

    /// These rows have been put right.
    pub(super) fn recounted(&mut self, rows: &[(i64, u32)]) {
        for (number, _) in rows {
            self.overcounted.remove(number);
        }
    }

    /// Ids of settled messages that are known for too long or too many, at most `count`; their rows.
    pub(super) fn forget(&mut self, before: i64, ids_max: usize, count: usize) -> Vec<i64> {
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(&(settled_at, number, id)) = self.recent_order.front()
            && (settled_at < before || self.recent_order.len() > ids_max)
        {
            self.recent_order.pop_front();
            if self.recent.get(&id) == Some(&(settled_at, number)) {
                self.recent.remove(&id);
            }
            rows.push(number);
        }
        rows
    }

    /// Messages waiting, delayed or locked; how many of them are locked; when the oldest was due.
    pub(super) fn counts(&self) -> (usize, usize, Option<i64>) {
        let firsts = self.sessions.values().filter_map(|session| session.waiting.front());
        (self.live.len(), self.locks.len(), firsts.map(|first| first.due).min())
    }

    fn restart(
        &mut self,
        token: Token,
        until: Instant,
        phase: impl FnOnce(Timer) -> Phase,
        from: impl FnOnce(&Phase) -> bool,
    ) -> bool {
        let timer = (until, self.count());
        let Some(name) = self.locks.get(&token).cloned() else { return false };
        let Some(Session { hold: Hold::Locked(lock), .. }) = self.sessions.get_mut(&name) else { return false };
        let (Phase::Buffered(old) | Phase::Delivered(old)) = lock.phase else { return false };
        if !from(&lock.phase) {
            return false;
        }
        lock.phase = phase(timer);
        self.timers.remove(&old);
        self.timers.insert(timer, name);
        true
    }

    fn unlock(&mut self, name: &Arc<str>, rests_until: Option<Instant>) {
        let Some(session) = self.sessions.get_mut(name) else { return };
        let Hold::Locked(lock) = &session.hold else { return };
        self.locks.remove(&lock.token);
        if let Phase::Buffered(timer) | Phase::Delivered(timer) = lock.phase {
            self.timers.remove(&timer);
        }
        // The attempt may be in the row, and nobody has had it.
        if let (Phase::Loading | Phase::Buffered(_), Some(first)) = (&lock.phase, session.waiting.front()) {
            self.overcounted.insert(first.number, first.attempts);
        }
        session.hold = Hold::New;
        session.rests_until = rests_until;
        self.dirty.push(Arc::clone(name));
    }

    /// Puts a session where its first message belongs.
    fn arrange(&mut self, name: &Arc<str>, now: Now) {
        let number = self.count();
        let Some(session) = self.sessions.get_mut(name) else { return };
        match session.hold {
            Hold::Locked(_) | Hold::Broken => return,
            Hold::New => {}
            Hold::Ready(key) => {
                self.ready.remove(&key);
            }
            Hold::Waiting(timer) => {
                self.timers.remove(&timer);
            }
        }
        let Some(first) = session.waiting.front() else {
            self.sessions.remove(name);
            return;
        };
        let rest = session.rests_until.filter(|until| *until > now.instant);
        let delay = first.not_before.map_or(0, |not_before| not_before.saturating_sub(now.wall));
        let due = u64::try_from(delay).ok().filter(|nanos| *nanos > 0);
        let due = due.map(|nanos| now.instant + Duration::from_nanos(nanos).min(DELAY_LOOK));
        match rest.max(due) {
            Some(until) => {
                session.hold = Hold::Waiting((until, number));
                self.timers.insert((until, number), Arc::clone(name));
            }
            None => {
                let key = (first.due, first.number);
                session.hold = Hold::Ready(key);
                self.ready.insert(key, Arc::clone(name));
            }
        }
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

#[cfg(test)]
mod tests;
