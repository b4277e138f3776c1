//! Reading views: every row is checked before it is served.

use std::num::NonZeroU32;

use eventsource_core::{Position, StoredView, Version};
use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};

use super::layout::Layout;
use crate::db::{Fault, check};

/// The views of these keys, all of one moment.
pub(super) fn load(
    connection: &Connection,
    layout: &Layout,
    keys: &[String],
) -> Result<Vec<Option<StoredView>>, Fault> {
    let transaction = connection.unchecked_transaction()?;
    if super::layout::load(&transaction, layout.id)?.is_none() {
        // Removed after the caller looked: it has no views.
        return Ok(vec![None; keys.len()]);
    }
    let sql = format!("SELECT {} FROM {} WHERE key = ?1", layout.columns, layout.table);
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut load = |key: &String| statement.query_row([key], |row| Ok(view(layout, row))).optional()?.transpose();
    keys.iter().map(&mut load).collect()
}

/// Views whose position is above `after`, in position order.
pub(super) fn changed(
    connection: &Connection,
    layout: &Layout,
    after: Option<Position>,
    limit: NonZeroU32,
) -> Result<Vec<StoredView>, Fault> {
    let transaction = connection.unchecked_transaction()?;
    if super::layout::load(&transaction, layout.id)?.is_none() {
        return Ok(Vec::new());
    }
    let sql =
        format!("SELECT {} FROM {} WHERE position > ?1 ORDER BY position, key LIMIT ?2", layout.columns, layout.table);
    let mut statement = transaction.prepare_cached(&sql)?;
    let after = i64::try_from(Position::value_of(after)).unwrap_or(i64::MAX);
    let rows = statement.query_map((after, limit.get()), |row| Ok(view(layout, row)))?;
    rows.map(|row| row.map_err(Fault::from).flatten()).collect()
}

/// Gives every view to `with`, removed ones too.
pub(super) fn each(
    connection: &Connection,
    layout: &Layout,
    mut with: impl FnMut(StoredView) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("SELECT {} FROM {}", layout.columns, layout.table))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        with(view(layout, row)?)?;
    }
    Ok(())
}

/// The view in a row of [`Layout::columns`].
pub(super) fn view(layout: &Layout, row: &Row<'_>) -> Result<StoredView, Fault> {
    let key = match row.get_ref(0)? {
        ValueRef::Text(key) => String::from_utf8_lossy(key).into_owned(),
        _ => "unreadable".to_owned(),
    };
    check(&layout.table, row, layout.sealed(), format_args!("{key:?}"))?;
    let version = row.get::<_, Option<i64>>(1)?.and_then(|value| Version::new(u64::try_from(value).ok()?));
    let position = row.get::<_, Option<i64>>(2)?.and_then(position);
    let body = match row.get_ref(3)? {
        ValueRef::Text(body) => Some(body.to_vec().into()),
        _ => None,
    };
    Ok(StoredView { key, version, position, body })
}

pub(super) fn position(value: i64) -> Option<Position> {
    Position::new(u64::try_from(value).ok()?)
}
