//! Finding views by their indexed fields, a page at a time.

use std::sync::Arc;

use eventsource_core::{Direction, FoundView, PAGE_MAX, ProjectionId, Search, StoreError, ViewPage, ViewQuery};
use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::{
    cursor::Cursor,
    field::Field,
    layout::{self, Layout},
    read,
};
use crate::db::Fault;

/// A query that has been looked over and put into SQL.
pub(super) struct Find {
    projection: ProjectionId,
    layout: Arc<Layout>,
    order: Order,
    limit: u32,
    filter: Clause,
    after: Option<Clause>,
}

/// A condition and its parameters, in their order.
#[derive(Default)]
struct Clause {
    sql: String,
    parameters: Vec<Value>,
}

/// By a field or none, then by key, all in one direction.
struct Order {
    field: Option<(usize, String)>,
    direction: Direction,
}

/// What a projection that was never prepared answers.
pub(super) fn in_nothing(projection: &ProjectionId, query: &ViewQuery) -> Result<ViewPage, StoreError> {
    match named_fields(query).next() {
        Some(field) => Err(not_indexed(projection, field, &[])),
        None => Ok(ViewPage::default()),
    }
}

impl Find {
    pub(super) fn new(projection: &ProjectionId, layout: &Arc<Layout>, query: &ViewQuery) -> Result<Self, StoreError> {
        let column = |field: &str| {
            let at = layout.fields.iter().position(|known| known == field);
            at.ok_or_else(|| not_indexed(projection, field, &layout.fields))
        };
        let mut filter = Clause { sql: "body IS NOT NULL".to_owned(), ..Clause::default() };
        for (field, text) in &query.equal {
            filter.and_equal(column(field)?, field, text);
        }
        if let Some(Search { fields, text }) = &query.search {
            let columns = fields.iter().map(|field| Ok((column(field)?, field.as_ref())));
            filter.and_contains(&columns.collect::<Result<Vec<_>, StoreError>>()?, text);
        }
        let order = match &query.order {
            Some((field, direction)) => {
                Order { field: Some((column(field)?, field.clone().into_owned())), direction: *direction }
            }
            None => Order { field: None, direction: Direction::Forward },
        };
        let after = query.after.as_deref().map(|cursor| order.after(projection, cursor)).transpose()?;
        let (projection, layout) = (projection.clone(), Arc::clone(layout));
        Ok(Self { projection, layout, order, limit: query.limit.min(PAGE_MAX), filter, after })
    }

    /// The page and the total, both of one moment.
    pub(super) fn run(self, connection: &Connection) -> Result<ViewPage, Fault> {
        let transaction = connection.unchecked_transaction()?;
        if layout::load(&transaction, self.layout.id)?.is_none() {
            let projection = &self.projection;
            return Err(Fault::invalid(format!("projection {projection} was removed or indexed anew meanwhile")));
        }
        let Self { layout, order, filter, after, .. } = &self;
        let Layout { table, columns, .. } = layout.as_ref();
        let sql = format!("SELECT count(*) FROM {table} WHERE {}", filter.sql);
        let total: i64 =
            transaction.prepare_cached(&sql)?.query_row(params_from_iter(&filter.parameters), |row| row.get(0))?;
        let (and_after, after_parameters) = match after {
            Some(after) => (format!(" AND {}", after.sql), after.parameters.as_slice()),
            None => (String::new(), [].as_slice()),
        };
        let sql =
            format!("SELECT {columns} FROM {table} WHERE {}{and_after} ORDER BY {} LIMIT ?", filter.sql, order.sql());
        let one_more: Value = (i64::from(self.limit) + 1).into();
        let parameters = filter.parameters.iter().chain(after_parameters).chain([&one_more]);
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(parameters))?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut page = ViewPage { total: u64::try_from(total).unwrap_or_default(), ..ViewPage::default() };
        while let Some(row) = rows.next()? {
            if page.views.len() == limit {
                page.more = true;
                break;
            }
            page.views.push(self.found(row)?);
        }
        Ok(page)
    }

    fn found(&self, row: &Row<'_>) -> Result<FoundView, Fault> {
        let view = read::view(&self.layout, row)?;
        let field = match &self.order.field {
            None => Some(Field::Absent),
            Some((at, _)) => Field::from_columns(row.get(4 + 2 * at)?, row.get_ref(5 + 2 * at)?),
        };
        let at = || format!("table {}, row {:?}", self.layout.table, view.key);
        let field = field.ok_or_else(|| Fault::damaged(at(), "an indexed field has a kind that never existed"))?;
        let cursor = self.order.cursor(&self.projection, field, &view.key).encode();
        Ok(FoundView { cursor, view })
    }
}

impl Clause {
    fn and_equal(&mut self, at: usize, field: &str, text: &str) {
        let mut either = format!("(kind_{at} = {} AND field_{at} = ?)", Field::KIND_TEXT);
        self.parameters.push(Value::Text(text.to_owned()));
        if let Some(named) = Field::named_by(text) {
            either = format!("({either} OR (kind_{at} = {} AND field_{at} = ?", named.kind());
            self.parameters.push(named.to_value());
            // 5 and 5.0 are equal to SQLite and two texts to a filter.
            if let Field::Real(_) = named {
                either.push_str(" AND body -> ? = ?))");
                self.parameters.extend([path(field), Value::Text(text.to_owned())]);
            } else {
                either = format!("{either} AND typeof(field_{at}) = 'integer'))");
            }
        }
        self.sql = format!("{} AND {either}", self.sql);
    }

    fn and_contains(&mut self, columns: &[(usize, &str)], text: &str) {
        let wanted = || Value::Text(text.to_ascii_lowercase());
        let mut either = "instr(lower(key), ?) > 0".to_owned();
        self.parameters.push(wanted());
        for (at, field) in columns {
            // SQLite writes 1e300 as 1.0e+300: such a number's text is taken from the view itself.
            let shown = format!(
                "CASE WHEN kind_{at} = 0 THEN NULL WHEN kind_{at} = 1 THEN iif(field_{at}, 'true', 'false')
                 WHEN typeof(field_{at}) = 'real' THEN lower(body -> ?) ELSE lower(field_{at}) END"
            );
            either = format!("{either} OR instr({shown}, ?) > 0");
            self.parameters.extend([path(field), wanted()]);
        }
        self.sql = format!("{} AND ({either})", self.sql);
    }
}

/// Where a field is in a view, for SQLite's JSON.
fn path(field: &str) -> Value {
    Value::Text(format!("$.\"{field}\""))
}

impl Order {
    fn sql(&self) -> String {
        let down = if self.direction == Direction::Backward { " DESC" } else { "" };
        match &self.field {
            Some((at, _)) => format!("kind_{at}{down}, field_{at}{down}, key{down}"),
            None => format!("key{down}"),
        }
    }

    fn cursor(&self, projection: &ProjectionId, field: Field, key: &str) -> Cursor {
        Cursor {
            projection: projection.clone(),
            order: self.field.as_ref().map(|(_, name)| name.clone()),
            backward: self.direction == Direction::Backward,
            field,
            key: key.to_owned(),
        }
    }

    /// What comes after a cursor of this order.
    fn after(&self, projection: &ProjectionId, text: &str) -> Result<Clause, StoreError> {
        let cursor = Cursor::decode(text).filter(|cursor| {
            let Cursor { field, key, .. } = cursor.clone();
            *cursor == self.cursor(projection, field, &key)
        });
        let Some(Cursor { field, key, .. }) = cursor else {
            return Err(StoreError::invalid(format!("{text:?} is not a cursor of this order of {projection}")));
        };
        let beyond = if self.direction == Direction::Backward { "<" } else { ">" };
        let key = Value::Text(key);
        Ok(match self.field {
            Some((at, _)) => Clause {
                sql: format!("(kind_{at}, field_{at}, key) {beyond} (?, ?, ?)"),
                parameters: vec![field.kind().into(), field.to_value(), key],
            },
            None => Clause { sql: format!("key {beyond} ?"), parameters: vec![key] },
        })
    }
}

fn named_fields(query: &ViewQuery) -> impl Iterator<Item = &str> {
    let searched = query.search.iter().flat_map(|search| &search.fields);
    let named = query.equal.iter().map(|(field, _)| field).chain(searched);
    named.chain(query.order.iter().map(|(field, _)| field)).map(AsRef::as_ref)
}

fn not_indexed(projection: &ProjectionId, field: &str, known: &[String]) -> StoreError {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    StoreError::invalid(format!("projection {projection} has no index on {field:?}; indexed are: {known}"))
}
