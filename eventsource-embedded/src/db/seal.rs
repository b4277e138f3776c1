//! A checksum in every row: SQLite has none, and would serve a flipped bit in silence.

use std::fmt;

use crc32c::crc32c_append;
use rusqlite::{
    Connection, Row,
    types::{ToSqlOutput, ValueRef},
};

use super::fault::Fault;

/// CRC32C over the table's name and every value, with its type and length.
pub(crate) fn seal(table: &str, values: &[ValueRef<'_>]) -> i64 {
    let crc = values.iter().fold(crc32c_append(0, table.as_bytes()), |crc, value| value_seal(crc, *value));
    i64::from(crc)
}

/// Runs a statement whose parameters are `values` and then their seal.
pub(crate) fn execute_sealed(
    connection: &Connection,
    sql: &str,
    table: &str,
    values: &[ValueRef<'_>],
) -> Result<usize, rusqlite::Error> {
    let mut statement = connection.prepare_cached(sql)?;
    for (at, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(*value))?;
    }
    statement.raw_bind_parameter(values.len() + 1, seal(table, values))?;
    statement.raw_execute()
}

/// Checks that the row's first `columns` values are those that were sealed in the column after them.
pub(crate) fn check(table: &str, row: &Row<'_>, columns: usize, name: impl fmt::Display) -> Result<(), Fault> {
    let mut crc = crc32c_append(0, table.as_bytes());
    for column in 0..columns {
        crc = value_seal(crc, row.get_ref(column)?);
    }
    match row.get_ref(columns)? {
        ValueRef::Integer(sealed) if sealed == i64::from(crc) => Ok(()),
        sealed => {
            let what = format!("checksum mismatch: {crc:08x} computed, {} stored", shown(sealed));
            Err(Fault::damaged(format!("table {table}, row {name}"), what))
        }
    }
}

fn value_seal(crc: u32, value: ValueRef<'_>) -> u32 {
    let (tag, number, bytes): (u8, [u8; 8], &[u8]) = match value {
        ValueRef::Null => (0, [0; 8], &[]),
        ValueRef::Integer(number) => (1, number.to_le_bytes(), &[]),
        ValueRef::Real(number) => (2, number.to_le_bytes(), &[]),
        ValueRef::Text(text) => (3, length(text), text),
        ValueRef::Blob(blob) => (4, length(blob), blob),
    };
    let mut head = [tag; 9];
    head[1..].copy_from_slice(&number);
    crc32c_append(crc32c_append(crc, &head), bytes)
}

fn length(bytes: &[u8]) -> [u8; 8] {
    u64::try_from(bytes.len()).expect("a length fits 64 bits").to_le_bytes()
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Integer(number) => format!("{number:08x}"),
        other => format!("a {}", other.data_type()),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::ValueRef::{Blob, Integer, Null, Real, Text};

    use super::seal;

    #[test]
    fn a_seal_tells_type_length_place_and_table() {
        let seals = [
            seal("a", &[]),
            seal("b", &[]),
            seal("a", &[Null]),
            seal("a", &[Null, Null]),
            seal("a", &[Integer(0)]),
            seal("a", &[Real(0.0)]),
            seal("a", &[Text(b"")]),
            seal("a", &[Blob(b"")]),
            seal("a", &[Text(b"ab"), Text(b"c")]),
            seal("a", &[Text(b"a"), Text(b"bc")]),
        ];
        for (at, one) in seals.iter().enumerate() {
            assert!(!seals[at + 1..].contains(one), "seal {at} comes twice");
        }
    }
}
