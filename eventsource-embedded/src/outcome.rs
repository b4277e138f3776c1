//! What became of commands, in the queue's file: durable when recorded, and a miss costs no I/O.

mod filter;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use eventsource_core::{Clock, CommandId, Outcome, OutcomeStore, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};

use crate::db::{Db, Fault, Findings, check, execute_sealed, nanos, nanos_of};
use filter::Filter;

/// The tables, as statements for an empty file.
pub(crate) const SCHEMA: [&str; 1] = [
    "CREATE TABLE outcome(number INTEGER PRIMARY KEY, command BLOB NOT NULL UNIQUE, recorded_at INTEGER NOT NULL, outcome TEXT NOT NULL, seal INTEGER NOT NULL)",
];

const TABLE: &str = "outcome";
/// Sealed columns: command, `recorded_at`, outcome.
const COLUMNS: usize = 3;
/// Outcomes that one pruning removes at most.
const PRUNED_MAX: u32 = 1_000;
/// Outcomes recorded between two prunings. Fewer than one removes, so pruning keeps up.
const PRUNE_EVERY: u64 = 256;

/// Outcomes of commands in the file of the queues. A clone is another handle.
///
/// They are kept for the retention that [`QueueDbOptions`](crate::QueueDbOptions) names, then
/// forgotten, a bounded number at a time. A command that is delivered again after that is decided
/// again; its committed events still stop a second effect, because their ids are the command's.
///
/// The ids of all outcomes are kept in a filter in memory (about 1.5 bytes each), so that
/// [`find`](OutcomeStore::find) answers "none" without I/O, nearly always.
///
/// ```
/// use eventsource_core::{CommandId, Outcome, OutcomeStore, StreamId};
/// use eventsource_embedded::{QueueDb, QueueDbOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let db = QueueDb::open(&dir.path().join("queue.db"), QueueDbOptions::default())?;
/// let (outcomes, command) = (db.outcomes(), "7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10".parse::<CommandId>()?);
/// let first = Outcome::Unchanged { stream: StreamId::new("lamp", "1")?, version: None };
/// outcomes.record(command, first.clone()).await?;
/// assert_eq!(outcomes.find(command).await?, Some(first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EmbeddedOutcomes {
    db: Db,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    retention: Duration,
}

/// What every handle of one file shares.
#[derive(Debug)]
pub(crate) struct Shared {
    filter: Filter,
    recorded: AtomicU64,
}

impl Shared {
    /// The filter of what is stored.
    pub(crate) fn load(connection: &Connection) -> Result<Self, Fault> {
        let filter = Filter::default();
        let mut statement = connection.prepare("SELECT command FROM outcome")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            filter.insert(id(row, 0)?);
        }
        Ok(Self { filter, recorded: AtomicU64::new(0) })
    }
}

impl EmbeddedOutcomes {
    pub(crate) fn new(db: Db, shared: Arc<Shared>, clock: Arc<dyn Clock>, retention: Duration) -> Self {
        Self { db, shared, clock, retention }
    }

    /// Removes outcomes that are older than the retention, at most 1,000 of them; returns how many.
    ///
    /// Recording does this by itself now and then.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn prune(&self) -> Result<usize, StoreError> {
        let before = self.oldest_kept();
        self.db.write(move |connection| Ok(prune(connection, before)?)).await
    }

    fn oldest_kept(&self) -> i64 {
        self.clock.now().checked_sub(self.retention).and_then(nanos).unwrap_or(i64::MIN)
    }
}

impl fmt::Debug for EmbeddedOutcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOutcomes").field("db", &self.db).finish_non_exhaustive()
    }
}

#[async_trait]
impl OutcomeStore for EmbeddedOutcomes {
    async fn find(&self, command: CommandId) -> Result<Option<Outcome>, StoreError> {
        if !self.shared.filter.may_contain(command.as_uuid().as_u128()) {
            return Ok(None);
        }
        self.db.read(move |connection| find(connection, command)).await
    }

    async fn record(&self, command: CommandId, outcome: Outcome) -> Result<Outcome, StoreError> {
        let text = serde_json::to_string(&outcome)
            .map_err(|error| StoreError::invalid(format!("the outcome of {command} cannot be encoded: {error}")))?;
        let now = nanos_of(self.clock.now()).map_err(StoreError::invalid)?;
        let before = self.oldest_kept();
        let shared = Arc::clone(&self.shared);
        let first = move |connection: &Connection| {
            if let Some(first) = find(connection, command)? {
                return Ok(first);
            }
            // Before the commit: a filter that knows too much costs one look, never an outcome.
            shared.filter.insert(command.as_uuid().as_u128());
            insert(connection, command, now, &text)?;
            if shared.recorded.fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE_EVERY) {
                prune(connection, before)?;
            }
            Ok(outcome)
        };
        self.db.write(first).await
    }
}

/// Checks every row.
pub(crate) fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let sql = "SELECT command, recorded_at, outcome, seal, number FROM outcome";
    findings.check_rows(connection, TABLE, sql, COLUMNS, |row| number(row, COLUMNS + 1))
}

fn find(connection: &Connection, command: CommandId) -> Result<Option<Outcome>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT command, recorded_at, outcome, seal FROM outcome WHERE command = ?1")?;
    let found = statement.query_row([command.as_uuid().as_bytes()], |row| Ok(read(row, command)));
    found.optional()?.transpose()
}

fn read(row: &Row<'_>, command: CommandId) -> Result<Outcome, Fault> {
    check(TABLE, row, COLUMNS, command)?;
    let text: String = row.get(2)?;
    serde_json::from_str(&text)
        .map_err(|error| Fault::damaged(format!("table {TABLE}, row {command}"), error.to_string()))
}

fn insert(connection: &Connection, command: CommandId, now: i64, text: &str) -> Result<(), rusqlite::Error> {
    let values =
        [ValueRef::Blob(command.as_uuid().as_bytes()), ValueRef::Integer(now), ValueRef::Text(text.as_bytes())];
    let sql = "INSERT INTO outcome(command, recorded_at, outcome, seal) VALUES(?1, ?2, ?3, ?4)";
    execute_sealed(connection, sql, TABLE, &values)?;
    Ok(())
}

/// The oldest have the lowest numbers; one that is young enough ends the search.
fn prune(connection: &Connection, before: i64) -> Result<usize, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM outcome WHERE recorded_at < ?1 AND number IN (SELECT number FROM outcome ORDER BY number LIMIT ?2)",
    )?;
    statement.execute((before, PRUNED_MAX))
}

fn id(row: &Row<'_>, column: usize) -> Result<u128, Fault> {
    Ok(u128::from_be_bytes(row.get(column)?))
}

fn number(row: &Row<'_>, column: usize) -> String {
    row.get::<_, i64>(column).map_or_else(|_| "unknown".to_owned(), |number| number.to_string())
}
