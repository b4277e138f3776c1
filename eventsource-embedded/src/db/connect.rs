//! Connections, and what makes a file ours.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{Kind, fault::Fault};

/// Bytes in a page.
pub(super) const PAGE_BYTES: usize = 4_096;
/// How long to wait for a lock that another process holds, an operator's shell for example.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps ready.
const STATEMENTS_MAX: usize = 128;

/// 32 MiB, so that a large transaction stays in memory until it is committed; 8 MiB a reader.
const WRITER_CACHE: &str = "PRAGMA cache_size=-32768";
const READER_CACHE: &str = "PRAGMA cache_size=-8192";

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// Until the disk has it: what is acknowledged survives a power cut.
    Full,
    /// Until the operating system has it: a power cut may take the last commits, wholly.
    Normal,
}

impl Synchronous {
    pub(super) const fn pragma(self) -> &'static str {
        match self {
            Self::Full => "PRAGMA synchronous=FULL",
            Self::Normal => "PRAGMA synchronous=NORMAL",
        }
    }
}

/// The connection that writes; makes the file ours when it is new.
pub(super) fn writer(path: &Path, kind: &Kind) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.execute_batch(WRITER_CACHE)?;
    let application_id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if objects == 0 && application_id == 0 {
        connection.execute_batch(&format!("PRAGMA page_size={PAGE_BYTES}"))?;
    }
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::unavailable(format!("it cannot have a write-ahead log, only {mode}")));
    }
    connection.execute_batch(kind.synchronous.pragma())?;
    if objects == 0 && application_id == 0 {
        create(&connection, kind)?;
    }
    check_format(&connection, kind)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.execute_batch(READER_CACHE)?;
    connection.execute_batch("PRAGMA query_only=ON")?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // The writer moves the log into the file itself, so that the page sums stay true.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.execute_batch(
        "PRAGMA foreign_keys=OFF;
         PRAGMA trusted_schema=OFF;
         PRAGMA cell_size_check=ON;
         PRAGMA mmap_size=0;
         PRAGMA temp_store=MEMORY;
         PRAGMA wal_autocheckpoint=0;",
    )?;
    Ok(())
}

fn create(connection: &Connection, kind: &Kind) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    for statement in kind.schema {
        transaction.execute_batch(statement)?;
    }
    transaction.execute_batch(&format!(
        "PRAGMA application_id={}; PRAGMA user_version={}",
        kind.application_id, kind.format
    ))?;
    transaction.commit()?;
    Ok(())
}

fn check_format(connection: &Connection, kind: &Kind) -> Result<(), Fault> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let application_id = number("PRAGMA application_id")?;
    if application_id != kind.application_id {
        let what = format!("application id {application_id:#010x}: damaged, or not a {} database", kind.name);
        return Err(Fault::damaged("page 1", what));
    }
    let format = number("PRAGMA user_version")?;
    if format > kind.format {
        let path = connection.path().unwrap_or("the file");
        let known = kind.format;
        return Err(Fault::invalid(format!(
            "{path} has format {format}, this version of the library knows formats up to {known}"
        )));
    }
    if format < 1 {
        return Err(Fault::damaged("page 1", format!("format {format} never existed")));
    }
    check_schema(connection, kind)
}

/// The fixed tables and indexes must read exactly as they were made.
fn check_schema(connection: &Connection, kind: &Kind) -> Result<(), Fault> {
    let mut stored = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let stored = stored.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    match kind.schema.iter().find(|wanted| !stored.iter().any(|sql| sql == *wanted)) {
        Some(missing) => Err(Fault::damaged("table sqlite_schema", format!("does not hold {missing:?}"))),
        None => Ok(()),
    }
}
