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

/// Most fields that one query may compare, and most that it may search: more may be too deep for SQLite.
const FIELDS_MAX: usize = 64;

/// A query that has been looked over, as conditions.
pub(super) struct Find {
    projection: ProjectionId,
    layout: Arc<Layout>,
    order: Order,
    limit: u32,
    conditions: Vec<Condition>,
    /// Whether a field equals a text, so that an index may name the few that match.
    selective: bool,
    after: Option<Condition>,
}

/// A condition in SQL and its parameters, in their order.
struct Condition {
    sql: String,
    parameters: Vec<Value>,
    /// Whether an index of a field could answer it.
    indexed: bool,
}

/// Which index a page is read by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    /// All that match are looked up and sorted: for few matches.
    Filter,
    /// All views are walked in order until the page is full: for many matches.
    Order,
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
        let searched = query.search.as_ref().map_or(0, |search| search.fields.len());
        if query.equal.len() > FIELDS_MAX || searched > FIELDS_MAX {
            let compared = query.equal.len();
            return Err(StoreError::invalid(format!(
                "a query compares and searches at most {FIELDS_MAX} fields each, not {compared} and {searched}"
            )));
        }
        let mut conditions = Vec::new();
        for (field, text) in &query.equal {
            conditions.push(equal(column(field)?, field, text));
        }
        if let Some(Search { fields, text }) = &query.search {
            let columns = fields.iter().map(|field| Ok((column(field)?, field.as_ref())));
            conditions.push(contains(&columns.collect::<Result<Vec<_>, StoreError>>()?, text));
        }
        let order = match &query.order {
            Some((field, direction)) => {
                Order { field: Some((column(field)?, field.clone().into_owned())), direction: *direction }
            }
            None => Order { field: None, direction: Direction::Forward },
        };
        let after = query.after.as_deref().map(|cursor| order.after(projection, cursor)).transpose()?;
        conditions.push(alive(query, layout));
        let selective = !query.equal.is_empty();
        let (projection, layout) = (projection.clone(), Arc::clone(layout));
        Ok(Self { projection, layout, order, limit: query.limit.min(PAGE_MAX), conditions, selective, after })
    }

    /// The page and the total, both of one moment.
    pub(super) fn run(self, connection: &Connection) -> Result<ViewPage, Fault> {
        let transaction = connection.unchecked_transaction()?;
        if layout::load(&transaction, self.layout.id)?.is_none() {
            let projection = &self.projection;
            return Err(Fault::invalid(format!("projection {projection} was removed or indexed anew meanwhile")));
        }
        let Layout { table, columns, .. } = self.layout.as_ref();
        let (filter, parameters) = self.filter(Path::Filter, None);
        let sql = format!("SELECT count(*) FROM {table} WHERE {filter}");
        let total: i64 =
            transaction.prepare_cached(&sql)?.query_row(params_from_iter(&parameters), |row| row.get(0))?;
        let path = self.path(&transaction, total)?;
        let (filter, mut parameters) = self.filter(path, self.after.as_ref());
        let order = self.order.sql(path);
        let sql = format!("SELECT {columns} FROM {table} WHERE {filter} ORDER BY {order} LIMIT ?");
        parameters.push((i64::from(self.limit) + 1).into());
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

    /// All conditions in one, kept away from the indexes that the path does not go by.
    fn filter(&self, path: Path, after: Option<&Condition>) -> (String, Vec<Value>) {
        let (mut all, mut parameters) = (Vec::new(), Vec::new());
        for condition in self.conditions.iter().chain(after) {
            // A unary plus is SQLite's way of saying: not by an index.
            let plus = if path == Path::Order && condition.indexed { "+" } else { "" };
            all.push(format!("{plus}{}", condition.sql));
            parameters.extend(condition.parameters.iter().cloned());
        }
        (all.join(" AND "), parameters)
    }

    /// The path that looks at fewer views, if matches are spread evenly over the order.
    fn path(&self, connection: &Connection, total: i64) -> Result<Path, Fault> {
        match (self.selective, &self.order.field) {
            (false, _) => return Ok(Path::Order),
            // An index of a field goes on in the order of keys.
            (true, None) => return Ok(Path::Filter),
            (true, Some(_)) => {}
        }
        let sql = format!("SELECT ifnull(max(number), 0) FROM {}", self.layout.table);
        let all: i64 = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        let walked = i128::from(self.limit + 1) * i128::from(all);
        Ok(if i128::from(total) * i128::from(total) > walked { Path::Order } else { Path::Filter })
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

/// A field that equals a text.
fn equal(at: usize, field: &str, text: &str) -> Condition {
    let mut sql = format!("(kind_{at} = {} AND field_{at} = ?)", Field::KIND_TEXT);
    let mut parameters = vec![Value::Text(text.to_owned())];
    if let Some(named) = Field::named_by(text) {
        sql = format!("({sql} OR (kind_{at} = {} AND field_{at} = ?", named.kind());
        parameters.push(named.to_value());
        // 5 and 5.0 are equal to SQLite and two texts to a filter.
        if let Field::Real(_) = named {
            sql.push_str(" AND body -> ? = ?))");
            parameters.extend([path(field), Value::Text(text.to_owned())]);
        } else {
            sql = format!("{sql} AND typeof(field_{at}) = 'integer'))");
        }
    }
    Condition { sql, parameters, indexed: true }
}

/// The key or one of these fields contains a text.
fn contains(columns: &[(usize, &str)], text: &str) -> Condition {
    let wanted = || Value::Text(text.to_ascii_lowercase());
    let (mut sql, mut parameters) = ("instr(lower(key), ?) > 0".to_owned(), vec![wanted()]);
    for (at, field) in columns {
        // SQLite writes 1e300 as 1.0e+300: such a number's text is taken from the view itself.
        let shown = format!(
            "CASE WHEN kind_{at} <= 0 THEN NULL WHEN kind_{at} = 1 THEN iif(field_{at}, 'true', 'false')
             WHEN typeof(field_{at}) = 'real' THEN lower(body -> ?) ELSE lower(field_{at}) END"
        );
        sql = format!("{sql} OR instr({shown}, ?) > 0");
        parameters.extend([path(field), wanted()]);
    }
    Condition { sql: format!("({sql})"), parameters, indexed: false }
}

/// The view was not removed: said by a field that the query names, so that its index knows.
fn alive(query: &ViewQuery, layout: &Layout) -> Condition {
    let named = named_fields(query).next();
    let at = named.and_then(|field| layout.fields.iter().position(|known| known == field));
    let sql = match at {
        Some(at) => format!("kind_{at} >= 0"),
        None if layout.fields.is_empty() => "body IS NOT NULL".to_owned(),
        None => "kind_0 >= 0".to_owned(),
    };
    Condition { sql, parameters: Vec::new(), indexed: true }
}

/// Where a field is in a view, for SQLite's JSON.
fn path(field: &str) -> Value {
    Value::Text(format!("$.\"{field}\""))
}

impl Order {
    fn sql(&self, path: Path) -> String {
        let down = if self.direction == Direction::Backward { " DESC" } else { "" };
        let plus = if path == Path::Filter { "+" } else { "" };
        match &self.field {
            Some((at, _)) => format!("{plus}kind_{at}{down}, {plus}field_{at}{down}, {plus}key{down}"),
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
    fn after(&self, projection: &ProjectionId, text: &str) -> Result<Condition, StoreError> {
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
            Some((at, _)) => Condition {
                sql: format!("(kind_{at}, field_{at}, key) {beyond} (?, ?, ?)"),
                parameters: vec![field.kind().into(), field.to_value(), key],
                indexed: false,
            },
            None => Condition { sql: format!("key {beyond} ?"), parameters: vec![key], indexed: false },
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
