//! Views in ordered maps.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{field, locked};
use crate::{
    id::{CATEGORY_BYTES_MAX, StreamId},
    position::Position,
    store::{Direction, StoreError},
    view::{
        Checkpoint, FoundView, PAGE_MAX, Parked, ProjectionId, Search, StoredView, ViewBatch, ViewPage, ViewQuery,
        ViewStore,
    },
};

/// Views in memory. A clone is another handle on the same views.
///
/// A filter sees a field that is a number or a truth value as its JSON text. A sort puts absent
/// fields first, then false, true, numbers by size and texts by code point.
///
/// ```
/// use eventsource_core::{
///     Checkpoint, Position, ProjectionId, StoredView, ViewBatch, ViewQuery, ViewStore, memory::MemoryViews,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let views = MemoryViews::new();
/// let lamps = ProjectionId { name: "lamps".into(), version: 1 };
/// views.prepare(&lamps, &["state"]).await?;
///
/// let mut batch = ViewBatch::default();
/// let body = Some(r#"{"state":"on"}"#.into());
/// batch.views.push(StoredView { key: "1".into(), version: None, position: Position::new(1), body });
/// batch.checkpoint = Some(Checkpoint { position: Position::new(1) });
/// views.commit(&lamps, batch).await?;
///
/// let mut query = ViewQuery::default();
/// query.equal.push(("state".into(), "on".into()));
/// query.limit = 10;
/// assert_eq!(views.find(&lamps, query).await?.total, 1);
/// # Ok::<(), eventsource_core::StoreError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryViews {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sets: HashMap<ProjectionId, Set>,
    serving: HashMap<String, u32>,
}

/// The views of one version of one projection.
#[derive(Default)]
struct Set {
    indexes: BTreeSet<String>,
    views: BTreeMap<String, Entry>,
    changed: BTreeSet<(Position, String)>,
    parked: HashMap<StreamId, Parked>,
    checkpoint: Option<Checkpoint>,
}

struct Entry {
    view: StoredView,
    fields: Map<String, Value>,
}

impl MemoryViews {
    /// No views yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What `read` finds in the set, or in an empty one when it was never prepared.
    fn with_set<T>(&self, projection: &ProjectionId, read: impl FnOnce(&Set) -> T) -> T {
        let state = locked(&self.state);
        match state.sets.get(projection) {
            Some(set) => read(set),
            None => read(&Set::default()),
        }
    }
}

impl fmt::Debug for MemoryViews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = locked(&self.state);
        f.debug_map().entries(state.sets.iter().map(|(id, set)| (id.to_string(), set.views.len()))).finish()
    }
}

#[async_trait]
impl ViewStore for MemoryViews {
    async fn prepare(&self, projection: &ProjectionId, indexes: &[&str]) -> Result<(), StoreError> {
        let name = &projection.name;
        let word = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if !(1..=CATEGORY_BYTES_MAX).contains(&name.len()) || !name.bytes().all(word) {
            let reason =
                format!("a projection's name has 1 to {CATEGORY_BYTES_MAX} bytes of a-z, 0-9, - and _: {name:?}");
            return Err(StoreError::invalid(reason));
        }
        if let Some(field) = indexes.iter().find(|field| field.is_empty() || field.contains(char::is_control)) {
            return Err(StoreError::invalid(format!(
                "a field's name is not empty and has no control characters: {field:?}"
            )));
        }
        let mut state = locked(&self.state);
        let set = state.sets.entry(projection.clone()).or_default();
        set.indexes.extend(indexes.iter().map(|&field| field.to_owned()));
        Ok(())
    }

    async fn load(&self, projection: &ProjectionId, keys: &[String]) -> Result<Vec<Option<StoredView>>, StoreError> {
        let view = |set: &Set, key| set.views.get(key).map(|entry: &Entry| entry.view.clone());
        Ok(self.with_set(projection, |set| keys.iter().map(|key| view(set, key)).collect()))
    }

    async fn commit(&self, projection: &ProjectionId, batch: ViewBatch) -> Result<(), StoreError> {
        let mut state = locked(&self.state);
        let Some(set) = state.sets.get_mut(projection) else {
            return Err(StoreError::invalid(format!("projection {projection} is not prepared")));
        };
        // Everything that can fail comes before the first change.
        let entries = entries(batch.views)?;
        for entry in entries {
            set.put(entry);
        }
        for stream in &batch.release {
            set.parked.remove(stream);
        }
        set.parked.extend(batch.park.into_iter().map(|parked| (parked.stream.clone(), parked)));
        set.checkpoint = batch.checkpoint.or(set.checkpoint);
        Ok(())
    }

    async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.with_set(projection, |set| set.checkpoint))
    }

    async fn find(&self, projection: &ProjectionId, query: ViewQuery) -> Result<ViewPage, StoreError> {
        self.with_set(projection, |set| set.find(projection, &query))
    }

    async fn changed(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<StoredView>, StoreError> {
        Ok(self.with_set(projection, |set| {
            let from = (Position::next_after(after), String::new());
            let keys = set.changed.range(from..).take(size(limit.get()));
            keys.map(|(_, key)| set.views[key].view.clone()).collect()
        }))
    }

    async fn parked(
        &self,
        projection: &ProjectionId,
        after: Option<Position>,
        limit: NonZeroU32,
    ) -> Result<Vec<Parked>, StoreError> {
        Ok(self.with_set(projection, |set| {
            let mut parked: Vec<_> =
                set.parked.values().filter(|parked| Some(parked.position) > after).cloned().collect();
            parked.sort_unstable_by_key(|parked| parked.position);
            parked.truncate(size(limit.get()));
            parked
        }))
    }

    async fn serving(&self, name: &str) -> Result<Option<u32>, StoreError> {
        Ok(locked(&self.state).serving.get(name).copied())
    }

    async fn serve(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        locked(&self.state).serving.insert(projection.name.clone().into_owned(), projection.version);
        Ok(())
    }

    async fn remove(&self, projection: &ProjectionId) -> Result<(), StoreError> {
        let mut state = locked(&self.state);
        if state.serving.get(projection.name.as_ref()) == Some(&projection.version) {
            return Err(StoreError::invalid(format!("projection {projection} is being served")));
        }
        state.sets.remove(projection);
        Ok(())
    }
}

/// The batch's views with their fields, if it can be written.
fn entries(views: Vec<StoredView>) -> Result<Vec<Entry>, StoreError> {
    let mut keys = HashSet::with_capacity(views.len());
    if let Some(twice) = views.iter().find(|view| !keys.insert(view.key.as_str())) {
        return Err(StoreError::invalid(format!("view {:?} comes twice in one batch", twice.key)));
    }
    let entry = |view: StoredView| match view.body.as_deref().map(serde_json::from_slice::<Value>) {
        Some(Err(error)) => Err(StoreError::invalid(format!("view {:?} is not JSON: {error}", view.key))),
        Some(Ok(Value::Object(fields))) => Ok(Entry { view, fields }),
        None | Some(Ok(_)) => Ok(Entry { view, fields: Map::new() }),
    };
    views.into_iter().map(entry).collect()
}

impl Set {
    fn put(&mut self, entry: Entry) {
        let key = entry.view.key.clone();
        if let Some(position) = entry.view.position {
            self.changed.insert((position, key.clone()));
        }
        let new_position = entry.view.position;
        let old = self.views.insert(key.clone(), entry);
        if let Some(position) = old.and_then(|old| old.view.position).filter(|old| Some(*old) != new_position) {
            self.changed.remove(&(position, key));
        }
    }

    fn find(&self, projection: &ProjectionId, query: &ViewQuery) -> Result<ViewPage, StoreError> {
        let named = query.equal.iter().map(|(field, _)| field);
        let named = named.chain(query.search.iter().flat_map(|search| &search.fields));
        for field in named.chain(query.order.iter().map(|(field, _)| field)) {
            if !self.indexes.contains(field.as_ref()) {
                return Err(StoreError::invalid(format!("projection {projection} has no index on {field:?}")));
            }
        }
        let order = Order::of(query);
        let after = query.after.as_deref().map(|cursor| order.place(cursor)).transpose()?;
        let mut found: Vec<_> = self
            .views
            .values()
            .filter(|entry| entry.view.body.is_some() && matches(query, entry))
            .map(|entry| (order.value(entry), entry))
            .collect();
        found.sort_by(|a, b| order.compare((&a.0, &a.1.view.key), (&b.0, &b.1.view.key)));
        let start = after.map_or(0, |(value, key)| {
            found.partition_point(|(other, entry)| {
                order.compare((other, &entry.view.key), (&value, &key)) != Ordering::Greater
            })
        });
        let page = &found[start..];
        let taken = page.len().min(size(query.limit.min(PAGE_MAX)));
        let views = page[..taken]
            .iter()
            .map(|(value, entry)| FoundView { cursor: order.cursor(value, &entry.view.key), view: entry.view.clone() });
        let total = u64::try_from(found.len()).expect("a count fits 64 bits");
        Ok(ViewPage { views: views.collect(), more: taken < page.len(), total })
    }
}

fn matches(query: &ViewQuery, entry: &Entry) -> bool {
    let text = |name: &str| field::text(&field::scalar(&entry.fields, name));
    query.equal.iter().all(|(name, wanted)| text(name).as_ref() == Some(wanted))
        && query.search.as_ref().is_none_or(|Search { fields, text: wanted }| {
            let wanted = wanted.to_ascii_lowercase();
            let contains = |text: &str| text.to_ascii_lowercase().contains(&wanted);
            contains(&entry.view.key) || fields.iter().any(|name| text(name).is_some_and(|text| contains(&text)))
        })
}

/// The order of a page: by a field or none, then by key, all in one direction.
#[derive(Clone, Copy)]
struct Order<'a> {
    field: Option<&'a str>,
    direction: Direction,
}

impl<'a> Order<'a> {
    fn of(query: &'a ViewQuery) -> Self {
        match &query.order {
            Some((field, direction)) => Self { field: Some(field), direction: *direction },
            None => Self { field: None, direction: Direction::Forward },
        }
    }

    fn value(self, entry: &Entry) -> Value {
        self.field.map_or(Value::Null, |name| field::scalar(&entry.fields, name))
    }

    fn compare(self, a: (&Value, &str), b: (&Value, &str)) -> Ordering {
        let forward = field::order(a.0, b.0).then_with(|| a.1.cmp(b.1));
        match self.direction {
            Direction::Forward => forward,
            Direction::Backward => forward.reverse(),
        }
    }

    /// A place in this order, so that a page goes on where the last one ended whatever changed since.
    fn cursor(self, value: &Value, key: &str) -> String {
        serde_json::json!([self.field, self.direction == Direction::Backward, value, key]).to_string()
    }

    fn place(self, cursor: &str) -> Result<(Value, String), StoreError> {
        match serde_json::from_str::<(Option<String>, bool, Value, String)>(cursor) {
            Ok((field, backward, value, key))
                if field.as_deref() == self.field && backward == (self.direction == Direction::Backward) =>
            {
                Ok((value, key))
            }
            _ => Err(StoreError::invalid(format!("{cursor:?} is not a cursor of this order"))),
        }
    }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
