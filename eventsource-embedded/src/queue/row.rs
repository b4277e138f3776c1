//! Messages as rows.

use std::{collections::HashMap, sync::Arc};

use eventsource_core::Message;
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};
use uuid::Uuid;

use super::{Shared, entry::Entry, state::State};
use crate::db::{Fault, Findings, check, execute_sealed, seal, time};

/// `message` holds what waits, `dead_letter` what was given up on, `settled` ids not to take again.
///
/// A message's own columns never change and have their seal; its attempts have another, so that
/// counting one does not read the body.
pub(super) const SCHEMA: [&str; 3] = [
    "CREATE TABLE message(number INTEGER PRIMARY KEY, queue TEXT NOT NULL, id BLOB NOT NULL, session TEXT NOT NULL, subject TEXT NOT NULL, metadata TEXT NOT NULL, body BLOB NOT NULL, sent_at INTEGER NOT NULL, not_before INTEGER, seal INTEGER NOT NULL, attempts INTEGER NOT NULL, attempts_seal INTEGER NOT NULL)",
    "CREATE TABLE dead_letter(number INTEGER PRIMARY KEY, queue TEXT NOT NULL, id BLOB NOT NULL, session TEXT NOT NULL, subject TEXT NOT NULL, metadata TEXT NOT NULL, body BLOB NOT NULL, sent_at INTEGER NOT NULL, not_before INTEGER, seal INTEGER NOT NULL, attempts INTEGER NOT NULL, reason TEXT NOT NULL, description TEXT NOT NULL, dead_at INTEGER NOT NULL, dead_seal INTEGER NOT NULL)",
    "CREATE TABLE settled(number INTEGER PRIMARY KEY, queue TEXT NOT NULL, id BLOB NOT NULL, settled_at INTEGER NOT NULL, seal INTEGER NOT NULL)",
];

/// The sealed columns of a message, and their seal.
pub(super) const COLUMNS: &str = "number, queue, id, session, subject, metadata, body, sent_at, not_before, seal";
/// How many of them are sealed.
pub(super) const SEALED: usize = 9;
/// Both tables that hold messages seal them alike, so that they move without a new seal.
pub(super) const TABLE: &str = "message";
const ATTEMPTS: &str = "attempts";
const SETTLED: &str = "settled";

/// What a file holds for each queue.
#[derive(Default)]
pub(super) struct Found {
    pub(super) queues: HashMap<Arc<str>, State>,
    pub(super) number_max: i64,
    pub(super) stamp_max: i64,
}

/// Reads every message, so that damage is found before anything is delivered.
pub(super) fn load_all(connection: &Connection) -> Result<Found, Fault> {
    let mut found = Found::default();
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS}, attempts, attempts_seal FROM message ORDER BY number"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (message, sent_at, attempts) = read(row)?;
        let (number, queue): (i64, String) = (row.get(0)?, row.get(1)?);
        let entry = Entry { attempts, ..Entry::new(number, message.id, sent_at, row.get(8)?) };
        found.state(&queue, number).load(&message.session, entry);
        found.stamp_max = found.stamp_max.max(sent_at);
    }
    let mut statement =
        connection.prepare("SELECT number, queue, id, settled_at, seal FROM settled ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        check(SETTLED, row, 4, number)?;
        let (queue, id, settled_at): (String, [u8; 16], i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
        found.state(&queue, number).load_recent(settled_at, number, Uuid::from_bytes(id));
    }
    let mut statement = connection.prepare("SELECT number, queue FROM dead_letter")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, queue): (i64, String) = (row.get(0)?, row.get(1)?);
        found.state(&queue, number).dead += 1;
    }
    Ok(found)
}

impl Found {
    fn state(&mut self, queue: &str, number: i64) -> &mut State {
        self.number_max = self.number_max.max(number);
        if !self.queues.contains_key(queue) {
            self.queues.insert(queue.into(), State::default());
        }
        self.queues.get_mut(queue).expect("it was inserted if it was missing")
    }
}

/// A message on its way into the file, with its metadata and times as the file has them.
pub(super) struct NewRow {
    pub(super) message: Message,
    pub(super) metadata: String,
    pub(super) not_before: Option<i64>,
}

pub(super) fn insert(
    connection: &Connection,
    queue: &str,
    number: i64,
    sent_at: i64,
    row: &NewRow,
) -> Result<(), rusqlite::Error> {
    let Message { id, session, subject, body, .. } = &row.message;
    let values = [
        ValueRef::Integer(number),
        ValueRef::Text(queue.as_bytes()),
        ValueRef::Blob(id.as_bytes()),
        ValueRef::Text(session.as_bytes()),
        ValueRef::Text(subject.as_bytes()),
        ValueRef::Text(row.metadata.as_bytes()),
        ValueRef::Blob(body),
        ValueRef::Integer(sent_at),
        row.not_before.map_or(ValueRef::Null, ValueRef::Integer),
    ];
    // No attempts need no seal: a flip makes either of the two zeros something else.
    let sql = "INSERT INTO message(number, queue, id, session, subject, metadata, body, sent_at, not_before, seal, attempts, attempts_seal)
               VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0)";
    execute_sealed(connection, sql, TABLE, &values)?;
    Ok(())
}

/// Writes down how often a message has been delivered.
pub(super) fn count_attempt(connection: &Connection, number: i64, attempts: u32) -> Result<(), Fault> {
    let mut statement =
        connection.prepare_cached("UPDATE message SET attempts = ?2, attempts_seal = ?3 WHERE number = ?1")?;
    let changed = statement.execute((number, attempts, attempts_seal(number, attempts)))?;
    expect_one(changed, number)
}

/// Writes down the attempts of messages whose last one reached nobody; returns them.
///
/// What was claimed again meanwhile is not among them, and a claim's job comes after this one.
pub(super) fn recount(connection: &Connection, shared: &Shared) -> Result<Vec<(i64, u32)>, Fault> {
    let rows = shared.state().overcounted();
    rows.iter().try_for_each(|(number, attempts)| count_attempt(connection, *number, *attempts))?;
    Ok(rows)
}

/// The message in this row.
pub(super) fn load(connection: &Connection, number: i64) -> Result<Message, Fault> {
    let sql =
        "SELECT number, queue, id, session, subject, metadata, body, sent_at, not_before, seal, attempts, attempts_seal
               FROM message WHERE number = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([number], |row| Ok(read(row))).optional()?.transpose()?;
    found.map(|(message, ..)| message).ok_or_else(|| missing(number))
}

/// Takes a message off the queue and remembers its id.
pub(super) fn settle(connection: &Connection, queue: &str, entry: &Entry, settled_at: i64) -> Result<(), Fault> {
    remove(connection, entry.number)?;
    let values = [
        ValueRef::Integer(entry.number),
        ValueRef::Text(queue.as_bytes()),
        ValueRef::Blob(entry.id.as_bytes()),
        ValueRef::Integer(settled_at),
    ];
    let sql = "INSERT OR REPLACE INTO settled(number, queue, id, settled_at, seal) VALUES(?1, ?2, ?3, ?4, ?5)";
    execute_sealed(connection, sql, SETTLED, &values)?;
    Ok(())
}

/// Takes a message off the queue.
pub(super) fn remove(connection: &Connection, number: i64) -> Result<(), Fault> {
    let changed = connection.prepare_cached("DELETE FROM message WHERE number = ?1")?.execute([number])?;
    expect_one(changed, number)
}

/// Forgets ids of settled messages.
pub(super) fn forget(connection: &Connection, numbers: &[i64]) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached("DELETE FROM settled WHERE number = ?1")?;
    for number in numbers {
        statement.execute([number])?;
    }
    Ok(())
}

/// The message of a row whose first columns are [`COLUMNS`], and when it was sent.
pub(super) fn message(row: &Row<'_>) -> Result<(Message, i64), Fault> {
    let number: i64 = row.get(0)?;
    check(TABLE, row, SEALED, number)?;
    let metadata: String = row.get(5)?;
    let metadata = serde_json::from_str(&metadata)
        .map_err(|error| Fault::damaged(format!("table {TABLE}, row {number}"), error.to_string()))?;
    let message = Message {
        id: Uuid::from_bytes(row.get(2)?),
        session: row.get::<_, String>(3)?.into(),
        subject: row.get::<_, String>(4)?.into(),
        body: row.get::<_, Vec<u8>>(6)?.into(),
        metadata,
        not_before: row.get::<_, Option<i64>>(8)?.map(time),
    };
    Ok((message, row.get(7)?))
}

pub(super) fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let number =
        |row: &Row<'_>| row.get::<_, i64>(0).map_or_else(|_| "unknown".to_owned(), |number| number.to_string());
    findings.check_rows(connection, TABLE, &format!("SELECT {COLUMNS} FROM message"), SEALED, number)?;
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS}, attempts, attempts_seal FROM message"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(fault) = attempts(row) {
            findings.add_fault(fault);
        }
    }
    findings.check_rows(connection, SETTLED, "SELECT number, queue, id, settled_at, seal FROM settled", 4, number)?;
    super::dead::verify(connection, findings)
}

fn read(row: &Row<'_>) -> Result<(Message, i64, u32), Fault> {
    let (message, sent_at) = message(row)?;
    Ok((message, sent_at, attempts(row)?))
}

fn attempts(row: &Row<'_>) -> Result<u32, Fault> {
    let (number, attempts, stored): (i64, u32, i64) = (row.get(0)?, row.get(SEALED + 1)?, row.get(SEALED + 2)?);
    // A message that was never delivered has no seal for that: its row is written once.
    let whole = stored == attempts_seal(number, attempts);
    if whole { Ok(attempts) } else { Err(Fault::damaged(format!("table {TABLE}, row {number}"), "attempts changed")) }
}

fn attempts_seal(number: i64, attempts: u32) -> i64 {
    if attempts == 0 { 0 } else { seal(ATTEMPTS, &[ValueRef::Integer(number), ValueRef::Integer(attempts.into())]) }
}

pub(super) fn expect_one(changed: usize, number: i64) -> Result<(), Fault> {
    if changed == 1 { Ok(()) } else { Err(missing(number)) }
}

fn missing(number: i64) -> Fault {
    Fault::damaged(format!("table {TABLE}, row {number}"), "the row is missing")
}
