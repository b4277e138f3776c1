//! Messages that were given up on.

use std::{sync::Arc, time::SystemTime};

use eventsource_core::Message;
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};
use uuid::Uuid;

use super::{
    Shared,
    entry::Entry,
    row::{self, COLUMNS, NewRow, SEALED},
};
use crate::db::{Fault, Findings, nanos, seal, time};

/// Why the queue gives up by itself.
pub(super) const EXHAUSTED: &str = "attempts-exhausted";
/// Label of metrics for what a receiver gave up on; its own reason may be anything.
pub(super) const EXPLICIT: &str = "by-receiver";
const DEAD: &str = "dead_letter";

/// A message that was given up on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Names it for [`resubmit`](crate::EmbeddedQueue::resubmit) and
    /// [`discard`](crate::EmbeddedQueue::discard).
    pub number: u64,
    /// The message.
    pub message: Message,
    /// How often it was delivered.
    pub attempts: u32,
    /// A stable word; `attempts-exhausted` when the queue gave up by itself.
    pub reason: String,
    /// A sentence for people.
    pub description: String,
    /// When it was given up on.
    pub dead_at: SystemTime,
}

pub(super) fn count(shared: &Shared, reason: &'static str) {
    tracing::warn!(queue = %shared.name, reason, "a message is a dead letter");
    let queue = shared.name.to_string();
    metrics::counter!("eventsource_queue_dead_letters_total", "queue" => queue, "reason" => reason).increment(1);
}

/// Moves a message to the dead letters. Its id is not remembered: sent again, it is a new message.
pub(super) fn bury(
    connection: &Connection,
    entry: &Entry,
    reason: &str,
    description: &str,
    now: i64,
) -> Result<(), Fault> {
    let Entry { number, attempts, .. } = *entry;
    let sealed = [
        ValueRef::Integer(number),
        ValueRef::Integer(attempts.into()),
        ValueRef::Text(reason.as_bytes()),
        ValueRef::Text(description.as_bytes()),
        ValueRef::Integer(now),
    ];
    let mut statement = connection.prepare_cached(
        "INSERT INTO dead_letter SELECT number, queue, id, session, subject, metadata, body, sent_at, not_before, seal,
         ?2, ?3, ?4, ?5, ?6 FROM message WHERE number = ?1",
    )?;
    let moved = statement.execute((number, attempts, reason, description, now, seal(DEAD, &sealed)))?;
    row::expect_one(moved, number)?;
    row::remove(connection, number)
}

pub(super) fn list(
    connection: &Connection,
    queue: &str,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<DeadLetter>, Fault> {
    let after = after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, attempts, reason, description, dead_at, dead_seal FROM dead_letter
         WHERE number > ?2 AND queue = ?1 ORDER BY number LIMIT ?3"
    ))?;
    let rows = statement.query_map((queue, after, limit), |row| Ok(decode(row)))?;
    rows.map(|row| row.map_err(Fault::from).flatten()).collect()
}

/// Makes a dead letter a new message; `taken` is told the id it takes.
pub(super) fn resubmit(
    connection: &Connection,
    shared: &Shared,
    number: u64,
    taken: impl FnOnce(Uuid),
) -> Result<Option<(Arc<str>, Entry)>, Fault> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, attempts, reason, description, dead_at, dead_seal FROM dead_letter
         WHERE number = ?2 AND queue = ?1"
    ))?;
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let name = shared.name.as_ref();
    let Some(dead) = statement.query_row((name, number), |row| Ok(decode(row))).optional()?.transpose()? else {
        return Ok(None);
    };
    let message = Message { not_before: None, ..dead.message };
    let id = message.id;
    if !shared.state().take_id_again(id) {
        return Err(Fault::invalid(format!("a message of the id {id} is in the queue")));
    }
    taken(id);
    discard(connection, name, dead.number)?;
    let metadata = serde_json::to_string(&message.metadata).map_err(|error| Fault::invalid(error.to_string()))?;
    let sent_at = shared.numbers.stamp(nanos(shared.clock.now()).unwrap_or(i64::MAX));
    let (number, session) = (shared.numbers.next(), Arc::clone(&message.session));
    row::insert(connection, name, number, sent_at, &NewRow { message, metadata, not_before: None })?;
    Ok(Some((session, Entry::new(number, id, sent_at, None))))
}

pub(super) fn discard(connection: &Connection, queue: &str, number: u64) -> Result<bool, Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached("DELETE FROM dead_letter WHERE number = ?2 AND queue = ?1")?;
    Ok(statement.execute((queue, number))? > 0)
}

pub(super) fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let mut statement = connection
        .prepare(&format!("SELECT {COLUMNS}, attempts, reason, description, dead_at, dead_seal FROM dead_letter"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        findings.count_row();
        if let Err(fault) = decode(row) {
            findings.add_fault(fault);
        }
    }
    Ok(())
}

fn decode(row: &Row<'_>) -> Result<DeadLetter, Fault> {
    let (message, _) = row::message(row)?;
    let number: i64 = row.get(0)?;
    let sealed = [
        row.get_ref(0)?,
        row.get_ref(SEALED + 1)?,
        row.get_ref(SEALED + 2)?,
        row.get_ref(SEALED + 3)?,
        row.get_ref(SEALED + 4)?,
    ];
    let at = || format!("table {DEAD}, row {number}");
    if row.get_ref(SEALED + 5)? != ValueRef::Integer(seal(DEAD, &sealed)) {
        return Err(Fault::damaged(at(), "checksum mismatch"));
    }
    Ok(DeadLetter {
        number: u64::try_from(number).map_err(|_| Fault::damaged(at(), "a number below zero"))?,
        message,
        attempts: row.get(SEALED + 1)?,
        reason: row.get(SEALED + 2)?,
        description: row.get(SEALED + 3)?,
        dead_at: time(row.get(SEALED + 4)?),
    })
}
