//! Where each projection's views are: a table of their own, with two columns and an index a field.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use eventsource_core::{Checkpoint, Position, ProjectionId};
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};

use super::{commit, parked, read};
use crate::db::{Fault, Findings, check, execute_sealed};

pub(super) const SCHEMA: &str = "CREATE TABLE projection(number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, version INTEGER NOT NULL, fields TEXT NOT NULL, started INTEGER NOT NULL, position INTEGER, seal INTEGER NOT NULL, UNIQUE(name, version))";

const TABLE: &str = "projection";
/// Sealed columns of `projection`, all but its number.
const COLUMNS: usize = 5;
/// Longest name of a projection in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most fields that one projection may index.
const FIELDS_MAX: usize = 64;

/// The table of one projection's views.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) id: i64,
    /// Its name, made from the number alone: nothing a caller says becomes SQL.
    pub(super) table: String,
    /// Field `n` is in the columns `kind_n` and `field_n`.
    pub(super) fields: Vec<String>,
    /// Every sealed column and the seal, as a list for SELECT.
    pub(super) columns: String,
    pub(super) insert: String,
    /// The number and the indexed fields of the row with key `?1`.
    pub(super) indexed: String,
}

/// One row of `projection`.
pub(super) struct ProjectionRow {
    pub(super) id: i64,
    pub(super) projection: ProjectionId,
    pub(super) fields: Vec<String>,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// The layouts of all projections, as last committed.
#[derive(Debug)]
pub(super) struct Layouts {
    known: RwLock<HashMap<ProjectionId, Arc<Layout>>>,
}

impl Layouts {
    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let rows = all(connection)?;
        let known = rows.into_iter().map(|row| (row.projection, Arc::new(Layout::new(row.id, row.fields)))).collect();
        Ok(Self { known: RwLock::new(known) })
    }

    pub(super) fn of(&self, projection: &ProjectionId) -> Option<Arc<Layout>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(projection).cloned()
    }

    pub(super) fn put(&self, projection: ProjectionId, layout: Arc<Layout>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(projection, layout);
    }

    pub(super) fn forget(&self, projection: &ProjectionId) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(projection);
    }
}

impl Layout {
    fn new(id: i64, fields: Vec<String>) -> Self {
        let table = format!("view_{id}");
        let names: Vec<_> = ["key", "version", "position", "body"]
            .into_iter()
            .map(str::to_owned)
            .chain((0..fields.len()).flat_map(|at| [format!("kind_{at}"), format!("field_{at}")]))
            .chain(["seal".to_owned()])
            .collect();
        let columns = names.join(", ");
        let values = (1..=names.len()).map(|at| format!("?{at}")).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO {table}({columns}) VALUES({values})");
        let indexed = (0..fields.len()).map(|at| format!(", kind_{at}, field_{at}")).collect::<String>();
        let indexed = format!("SELECT number{indexed} FROM {table} WHERE key = ?1");
        Self { id, table, fields, columns, insert, indexed }
    }

    /// How many columns of a view are sealed.
    pub(super) fn sealed(&self) -> usize {
        4 + 2 * self.fields.len()
    }

    /// An update of the row with key `?1` that leaves alone the fields that stay; its parameters are
    /// those of `insert`.
    pub(super) fn update(&self, changed: &[usize]) -> String {
        let fields = changed.iter().map(|at| format!(", kind_{at} = ?{}, field_{at} = ?{}", 5 + 2 * at, 6 + 2 * at));
        let fields: String = fields.collect();
        let (table, seal) = (&self.table, self.sealed() + 1);
        format!("UPDATE {table} SET version = ?2, position = ?3, body = ?4{fields}, seal = ?{seal} WHERE key = ?1")
    }

    pub(super) fn has_exactly(&self, fields: &[String]) -> bool {
        self.fields == fields
    }

    fn create(&self, connection: &Connection) -> Result<(), Fault> {
        let Self { table, fields, .. } = self;
        let columns: String = (0..fields.len()).map(|at| format!("kind_{at} INTEGER NOT NULL, field_{at}, ")).collect();
        connection.execute_batch(&format!(
            "CREATE TABLE {table}(number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, version INTEGER, position INTEGER, body TEXT, {columns}seal INTEGER NOT NULL);
             CREATE INDEX {table}_changed ON {table}(position, key);"
        ))?;
        for at in 0..fields.len() {
            connection
                .execute_batch(&format!("CREATE INDEX {table}_by_{at} ON {table}(kind_{at}, field_{at}, key)"))?;
        }
        Ok(())
    }
}

/// The fields to index, each once and in a fixed order.
pub(super) fn fields(projection: &ProjectionId, indexes: &[&str]) -> Result<Vec<String>, String> {
    let name = &projection.name;
    let word = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(word) {
        return Err(format!("a projection's name has 1 to {NAME_BYTES_MAX} bytes of a-z, 0-9, - and _: {name:?}"));
    }
    // SQLite's JSON paths have no escapes.
    let unfit = |letter: char| letter.is_control() || matches!(letter, '"' | '\\');
    if let Some(field) = indexes.iter().find(|field| field.is_empty() || field.contains(unfit)) {
        return Err(format!(
            "a field's name is not empty and has no control characters, quotation marks and backslashes: {field:?}"
        ));
    }
    let fields: BTreeSet<_> = indexes.iter().map(|&field| field.to_owned()).collect();
    if fields.len() > FIELDS_MAX {
        return Err(format!("a projection indexes at most {FIELDS_MAX} fields, got {}", fields.len()));
    }
    Ok(fields.into_iter().collect())
}

/// Makes the table, or one with other fields in its place.
pub(super) fn prepare(
    connection: &Connection,
    projection: &ProjectionId,
    fields: Vec<String>,
) -> Result<Arc<Layout>, Fault> {
    let old = by_name(connection, projection)?;
    if let Some(old) = &old
        && old.fields == fields
    {
        return Ok(Arc::new(Layout::new(old.id, fields)));
    }
    let checkpoint = old.as_ref().and_then(|old| old.checkpoint);
    if old.is_some() {
        connection.execute(
            "DELETE FROM projection WHERE name = ?1 AND version = ?2",
            (projection.name.as_ref(), projection.version),
        )?;
    }
    write(connection, projection, &fields, checkpoint)?;
    let layout = Layout::new(connection.last_insert_rowid(), fields);
    layout.create(connection)?;
    if let Some(old) = old {
        let (old_id, old) = (old.id, Layout::new(old.id, old.fields));
        read::each(connection, &old, |view| {
            let row =
                commit::ViewRow::new(&layout, view).map_err(|reason| Fault::damaged(old.table.as_str(), reason))?;
            row.write(connection, &layout)
        })?;
        connection.execute_batch(&format!("DROP TABLE {}", old.table))?;
        parked::adopt(connection, old_id, layout.id)?;
        tracing::info!(%projection, fields = ?layout.fields, "views indexed anew");
    }
    Ok(Arc::new(layout))
}

/// Removes the table and what belongs to it.
pub(super) fn remove(connection: &Connection, projection: &ProjectionId) -> Result<(), Fault> {
    let Some(row) = by_name(connection, projection)? else { return Ok(()) };
    parked::remove_all(connection, row.id)?;
    connection.execute_batch(&format!("DROP TABLE view_{}", row.id))?;
    connection.execute("DELETE FROM projection WHERE number = ?1", [row.id])?;
    Ok(())
}

/// Moves the checkpoint; never back.
pub(super) fn advance(connection: &Connection, id: i64, checkpoint: Checkpoint) -> Result<(), Fault> {
    let Some(row) = load(connection, id)? else {
        return Err(Fault::invalid("the projection was removed or indexed anew meanwhile"));
    };
    let to = checkpoint.position;
    if let Some(Checkpoint { position: from }) = row.checkpoint
        && to < from
    {
        let (from, to, projection) = (Position::value_of(from), Position::value_of(to), row.projection);
        return Err(Fault::invalid(format!(
            "the checkpoint of {projection} is at {from} and does not go back to {to}"
        )));
    }
    let fields = encode_fields(&row.fields)?;
    let values = values(&row.projection, &fields, Some(checkpoint))?;
    let sql = format!(
        "UPDATE projection SET name = ?1, version = ?2, fields = ?3, started = ?4, position = ?5, seal = ?6
         WHERE number = {id}"
    );
    execute_sealed(connection, &sql, TABLE, &values)?;
    Ok(())
}

/// The row of the projection with this number.
pub(super) fn load(connection: &Connection, id: i64) -> Result<Option<ProjectionRow>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT name, version, fields, started, position, seal, number FROM projection WHERE number = ?1",
    )?;
    statement.query_row([id], |row| Ok(decode(row))).optional()?.transpose()
}

/// Checks the projections' rows and every view.
pub(super) fn verify(connection: &Connection, findings: &mut Findings) -> Result<(), Fault> {
    let sql = "SELECT name, version, fields, started, position, seal FROM projection";
    findings.check_rows(connection, TABLE, sql, COLUMNS, |row| row.get(0).unwrap_or_default())?;
    for row in all(connection)? {
        let layout = Layout::new(row.id, row.fields);
        let sql = format!("SELECT {} FROM {}", layout.columns, layout.table);
        let key =
            |row: &Row<'_>| row.get::<_, String>(0).map_or_else(|_| "unreadable".to_owned(), |key| format!("{key:?}"));
        findings.check_rows(connection, &layout.table, &sql, layout.sealed(), key)?;
    }
    Ok(())
}

fn all(connection: &Connection) -> Result<Vec<ProjectionRow>, Fault> {
    let mut statement =
        connection.prepare("SELECT name, version, fields, started, position, seal, number FROM projection")?;
    let rows = statement.query_map([], |row| Ok(decode(row)))?;
    rows.map(|row| row.map_err(Fault::from).flatten()).collect()
}

fn by_name(connection: &Connection, projection: &ProjectionId) -> Result<Option<ProjectionRow>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT name, version, fields, started, position, seal, number FROM projection WHERE name = ?1 AND version = ?2",
    )?;
    let found = statement.query_row((projection.name.as_ref(), projection.version), |row| Ok(decode(row)));
    found.optional()?.transpose()
}

fn decode(row: &Row<'_>) -> Result<ProjectionRow, Fault> {
    let id = row.get(COLUMNS + 1)?;
    check(TABLE, row, COLUMNS, id)?;
    let fields: String = row.get(2)?;
    let fields = serde_json::from_str(&fields)
        .map_err(|error| Fault::damaged(format!("table {TABLE}, row {id}"), error.to_string()))?;
    let (started, position): (bool, Option<i64>) = (row.get(3)?, row.get(4)?);
    let checkpoint = started.then(|| Checkpoint { position: position.and_then(read::position) });
    let projection = ProjectionId { name: row.get::<_, String>(0)?.into(), version: row.get(1)? };
    Ok(ProjectionRow { id, projection, fields, checkpoint })
}

fn write(
    connection: &Connection,
    projection: &ProjectionId,
    fields: &[String],
    checkpoint: Option<Checkpoint>,
) -> Result<(), Fault> {
    let fields = encode_fields(fields)?;
    let values = values(projection, &fields, checkpoint)?;
    let sql = "INSERT INTO projection(name, version, fields, started, position, seal) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
    execute_sealed(connection, sql, TABLE, &values)?;
    Ok(())
}

fn values<'a>(
    projection: &'a ProjectionId,
    fields: &'a str,
    checkpoint: Option<Checkpoint>,
) -> Result<[ValueRef<'a>; COLUMNS], Fault> {
    let position = checkpoint.and_then(|checkpoint| checkpoint.position).map(Position::value);
    Ok([
        ValueRef::Text(projection.name.as_bytes()),
        ValueRef::Integer(projection.version.into()),
        ValueRef::Text(fields.as_bytes()),
        ValueRef::Integer(checkpoint.is_some().into()),
        commit::counter(position).map_err(Fault::invalid)?,
    ])
}

fn encode_fields(fields: &[String]) -> Result<String, Fault> {
    serde_json::to_string(fields).map_err(|error| Fault::invalid(error.to_string()))
}
