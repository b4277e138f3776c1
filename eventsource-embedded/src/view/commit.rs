//! Writing a batch: views, parked streams and the checkpoint in one transaction.

use std::{collections::HashSet, sync::Arc};

use eventsource_core::{
    Checkpoint, Parked, Position, ProjectionId, StoreError, StoredView, StreamId, Version, ViewBatch,
};
use rusqlite::{Connection, types::ValueRef};

use super::{
    field::{self, Field},
    layout::{self, Layout},
    parked,
};
use crate::db::{Fault, execute_sealed};

/// A batch that has been looked over: what can be wrong with it is known before it is written.
pub(super) struct Batch {
    layout: Arc<Layout>,
    views: Vec<ViewRow>,
    checkpoint: Option<Checkpoint>,
    park: Vec<Parked>,
    release: Vec<StreamId>,
}

impl Batch {
    pub(super) fn new(layout: &Arc<Layout>, batch: ViewBatch) -> Result<Self, StoreError> {
        let mut keys = HashSet::with_capacity(batch.views.len());
        if let Some(twice) = batch.views.iter().find(|view| !keys.insert(view.key.as_str())) {
            return Err(StoreError::invalid(format!("view {:?} comes twice in one batch", twice.key)));
        }
        let views = batch.views.into_iter().map(|view| ViewRow::new(layout, view));
        let views = views.collect::<Result<_, _>>().map_err(StoreError::invalid)?;
        let ViewBatch { checkpoint, park, release, .. } = batch;
        Ok(Self { layout: Arc::clone(layout), views, checkpoint, park, release })
    }

    pub(super) fn write(self, connection: &Connection, projection: &ProjectionId) -> Result<(), Fault> {
        let Self { layout, views, checkpoint, park, release } = self;
        // Meanwhile the projection may have been removed, or indexed anew with other columns.
        if layout::load(connection, layout.id)?.is_none() {
            return Err(Fault::invalid(format!("projection {projection} was removed or indexed anew meanwhile")));
        }
        for view in views {
            view.write(connection, &layout)?;
        }
        for stream in release {
            parked::remove(connection, layout.id, &stream)?;
        }
        for parked in park {
            parked::put(connection, layout.id, &parked)?;
        }
        match checkpoint {
            Some(checkpoint) => layout::advance(connection, layout.id, checkpoint),
            None => Ok(()),
        }
    }
}

/// A view with the values of its indexed fields.
pub(super) struct ViewRow {
    view: StoredView,
    fields: Vec<Field>,
}

impl ViewRow {
    /// The row of `view`, or what is wrong with it.
    pub(super) fn new(layout: &Layout, view: StoredView) -> Result<Self, String> {
        counter(view.version.map(Version::value))?;
        counter(view.position.map(Position::value))?;
        let fields = match &view.body {
            None => vec![Field::Removed; layout.fields.len()],
            Some(body) => std::str::from_utf8(body)
                .map_err(|error| error.to_string())
                .and_then(|body| field::extract(&layout.fields, body).map_err(|error| error.to_string()))
                .map_err(|error| format!("view {:?} is not JSON: {error}", view.key))?,
        };
        Ok(Self { view, fields })
    }

    pub(super) fn write(&self, connection: &Connection, layout: &Layout) -> Result<(), Fault> {
        let StoredView { key, version, position, body } = &self.view;
        let mut values = Vec::with_capacity(layout.sealed());
        values.push(ValueRef::Text(key.as_bytes()));
        values.push(counter(version.map(Version::value)).map_err(Fault::invalid)?);
        values.push(counter(position.map(Position::value)).map_err(Fault::invalid)?);
        values.push(body.as_deref().map_or(ValueRef::Null, ValueRef::Text));
        values.extend(self.fields.iter().flat_map(|field| [ValueRef::Integer(field.kind()), field.value()]));
        match self.changed_fields(connection, layout)? {
            None => execute_sealed(connection, &layout.insert, &layout.table, &values)?,
            Some(changed) => execute_sealed(connection, &layout.update(&changed), &layout.table, &values)?,
        };
        Ok(())
    }

    /// Which fields of the row that is there are not the new ones; `None` when there is no row.
    ///
    /// SQLite writes an index anew for every column that an update names, changed or not.
    fn changed_fields(&self, connection: &Connection, layout: &Layout) -> Result<Option<Vec<usize>>, Fault> {
        let mut statement = connection.prepare_cached(&layout.indexed)?;
        let mut rows = statement.query([&self.view.key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let mut changed = Vec::new();
        for (at, field) in self.fields.iter().enumerate() {
            let same = row.get_ref(1 + 2 * at)? == ValueRef::Integer(field.kind())
                && row.get_ref(2 + 2 * at)? == field.value();
            if !same {
                changed.push(at);
            }
        }
        Ok(Some(changed))
    }
}

/// A version or a position as SQLite keeps it.
pub(super) fn counter(value: Option<u64>) -> Result<ValueRef<'static>, String> {
    let Some(value) = value else { return Ok(ValueRef::Null) };
    i64::try_from(value).map(ValueRef::Integer).map_err(|_| format!("{value} is over the limit of 2^63 - 1"))
}
