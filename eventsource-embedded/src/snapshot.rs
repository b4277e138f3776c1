//! Snapshots in the views' file: a cache that the events can always rebuild.

use std::fmt;

use async_trait::async_trait;
use eventsource_core::{Snapshot, SnapshotStore, StoreError, StreamId, Version};
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};

use crate::db::{Db, Fault, Findings, check, execute_sealed};

pub(crate) const SCHEMA: &str = "CREATE TABLE snapshot(number INTEGER PRIMARY KEY, stream TEXT NOT NULL, fingerprint INTEGER NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL, seal INTEGER NOT NULL, UNIQUE(stream, fingerprint))";

const TABLE: &str = "snapshot";
/// Sealed columns: stream, fingerprint, version, state.
const COLUMNS: usize = 4;
/// Snapshots that a stream keeps, each of another fingerprint; the one saved longest ago goes first.
const FINGERPRINTS_MAX: u32 = 8;

/// Snapshots in a [`ViewDb`](crate::ViewDb): the newest one a stream and fingerprint, for the eight
/// fingerprints saved last. A clone is another handle.
///
/// ```
/// use eventsource_core::{Snapshot, SnapshotStore, StreamId, Version};
/// use eventsource_embedded::{ViewDb, ViewDbOptions};
///
/// # let dir = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let snapshots = ViewDb::open(&dir.path().join("views.db"), ViewDbOptions::default())?.snapshots();
/// let stream = StreamId::new("lamp", "1")?;
/// let snapshot = Snapshot { stream: stream.clone(), version: Version::FIRST, fingerprint: 7, state: "{}".into() };
/// snapshots.save(snapshot.clone()).await?;
/// assert_eq!(snapshots.load(&stream, 7).await?, Some(snapshot));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EmbeddedSnapshots {
    db: Db,
}

impl EmbeddedSnapshots {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }
}

impl fmt::Debug for EmbeddedSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EmbeddedSnapshots").field(&self.db).finish()
    }
}

#[async_trait]
impl SnapshotStore for EmbeddedSnapshots {
    async fn load(&self, stream: &StreamId, fingerprint: u64) -> Result<Option<Snapshot>, StoreError> {
        let stream = stream.clone();
        self.db.read(move |connection| load(connection, &stream, fingerprint)).await
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.db.write(move |connection| save(connection, &snapshot)).await
    }
}

/// Checks every row.
pub(crate) fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let sql = "SELECT stream, fingerprint, version, state, seal FROM snapshot";
    findings.check_rows(connection, TABLE, sql, COLUMNS, |row| row.get(0).unwrap_or_default())
}

fn load(connection: &Connection, stream: &StreamId, fingerprint: u64) -> Result<Option<Snapshot>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT stream, fingerprint, version, state, seal FROM snapshot WHERE stream = ?1 AND fingerprint = ?2",
    )?;
    let bits = fingerprint.cast_signed();
    let decode = |row: &Row<'_>| Ok(decode(row, stream, fingerprint));
    statement.query_row((stream.as_str(), bits), decode).optional()?.transpose()
}

fn decode(row: &Row<'_>, stream: &StreamId, fingerprint: u64) -> Result<Snapshot, Fault> {
    check(TABLE, row, COLUMNS, stream)?;
    let version = u64::try_from(row.get::<_, i64>(2)?).ok().and_then(Version::new);
    let version = version.ok_or_else(|| Fault::damaged(format!("table {TABLE}, row {stream}"), "it has no version"))?;
    Ok(Snapshot { stream: stream.clone(), version, fingerprint, state: row.get::<_, Vec<u8>>(3)?.into() })
}

fn save(connection: &Connection, snapshot: &Snapshot) -> Result<(), Fault> {
    let Snapshot { stream, version, fingerprint, state } = snapshot;
    // A damaged one is replaced: the new one comes from the events.
    if load(connection, stream, *fingerprint).is_ok_and(|old| old.is_some_and(|old| old.version > *version)) {
        return Ok(());
    }
    let version = i64::try_from(version.value())
        .map_err(|_| Fault::invalid(format!("version {version} is over the limit of 2^63 - 1")))?;
    let values = [
        ValueRef::Text(stream.as_str().as_bytes()),
        ValueRef::Integer(fingerprint.cast_signed()),
        ValueRef::Integer(version),
        ValueRef::Blob(state),
    ];
    // A replaced row gets a new number, so numbers follow the order of saving.
    let sql = "INSERT OR REPLACE INTO snapshot(stream, fingerprint, version, state, seal) VALUES(?1, ?2, ?3, ?4, ?5)";
    execute_sealed(connection, sql, TABLE, &values)?;
    let mut forget = connection.prepare_cached(
        "DELETE FROM snapshot WHERE stream = ?1 AND number NOT IN
         (SELECT number FROM snapshot WHERE stream = ?1 ORDER BY number DESC LIMIT ?2)",
    )?;
    forget.execute((stream.as_str(), FINGERPRINTS_MAX))?;
    Ok(())
}
