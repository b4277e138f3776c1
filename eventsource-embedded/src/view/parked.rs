//! Streams that stand still at an event which could not be projected.

use std::num::NonZeroU32;

use eventsource_core::{Parked, Position, StreamId};
use rusqlite::{Connection, Row, types::ValueRef};

use super::commit::counter;
use crate::db::{Fault, Findings, check, execute_sealed, nanos_of};

pub(super) const SCHEMA: [&str; 2] = [
    "CREATE TABLE parked(number INTEGER PRIMARY KEY, projection INTEGER NOT NULL, stream TEXT NOT NULL, position INTEGER NOT NULL, since INTEGER NOT NULL, parked TEXT NOT NULL, seal INTEGER NOT NULL, UNIQUE(projection, stream))",
    "CREATE INDEX parked_by_position ON parked(projection, position)",
];

const TABLE: &str = "parked";
/// Sealed columns: projection, stream, position, since, parked.
const COLUMNS: usize = 5;

/// Parks a stream, or says anew why it is parked.
pub(super) fn put(connection: &Connection, projection: i64, parked: &Parked) -> Result<(), Fault> {
    let text = serde_json::to_string(parked).map_err(|error| Fault::invalid(error.to_string()))?;
    let values = [
        ValueRef::Integer(projection),
        ValueRef::Text(parked.stream.as_str().as_bytes()),
        counter(Some(parked.position.value())).map_err(Fault::invalid)?,
        ValueRef::Integer(nanos_of(parked.since).map_err(Fault::invalid)?),
        ValueRef::Text(text.as_bytes()),
    ];
    let sql = "INSERT INTO parked(projection, stream, position, since, parked, seal) VALUES(?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT(projection, stream) DO UPDATE
               SET position = excluded.position, since = excluded.since, parked = excluded.parked, seal = excluded.seal";
    execute_sealed(connection, sql, TABLE, &values)?;
    Ok(())
}

pub(super) fn remove(connection: &Connection, projection: i64, stream: &StreamId) -> Result<(), Fault> {
    let sql = "DELETE FROM parked WHERE projection = ?1 AND stream = ?2";
    connection.prepare_cached(sql)?.execute((projection, stream.as_str()))?;
    Ok(())
}

pub(super) fn remove_all(connection: &Connection, projection: i64) -> Result<(), Fault> {
    connection.execute("DELETE FROM parked WHERE projection = ?1", [projection])?;
    Ok(())
}

/// Gives what is parked under one number to another.
pub(super) fn adopt(connection: &Connection, from: i64, to: i64) -> Result<(), Fault> {
    for parked in list(connection, from, None, NonZeroU32::MAX)? {
        put(connection, to, &parked)?;
    }
    remove_all(connection, from)
}

pub(super) fn list(
    connection: &Connection,
    projection: i64,
    after: Option<Position>,
    limit: NonZeroU32,
) -> Result<Vec<Parked>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT projection, stream, position, since, parked, seal FROM parked
         WHERE projection = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
    )?;
    let after = i64::try_from(Position::value_of(after)).unwrap_or(i64::MAX);
    let rows = statement.query_map((projection, after, limit.get()), |row| Ok(decode(row)))?;
    rows.map(|row| row.map_err(Fault::from).flatten()).collect()
}

pub(super) fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let sql = "SELECT projection, stream, position, since, parked, seal FROM parked";
    findings.check_rows(connection, TABLE, sql, COLUMNS, |row| row.get(1).unwrap_or_default())
}

fn decode(row: &Row<'_>) -> Result<Parked, Fault> {
    let stream: String = row.get(1)?;
    check(TABLE, row, COLUMNS, &stream)?;
    let text: String = row.get(4)?;
    serde_json::from_str(&text)
        .map_err(|error| Fault::damaged(format!("table {TABLE}, row {stream}"), error.to_string()))
}
