//! The views that one batch touches, decoded; and those kept hot between batches.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use lru::LruCache;

use super::error::ProjectionError;
use crate::{
    BoxError,
    position::Position,
    store::StoreError,
    version::Version,
    view::{PAGE_MAX, ProjectionId, Projector, StoredView, ViewStore},
};

/// One view that a batch touches.
#[derive(Clone)]
pub(super) struct Slot<V> {
    pub(super) view: Option<V>,
    /// Version of the last event folded in.
    pub(super) version: Option<Version>,
    /// Position of the last event of this batch folded in; `None` when there is none.
    pub(super) folded: Option<Position>,
    /// The view's position as it is stored.
    stored: Option<Position>,
}

/// The views that one batch touches, by key and by number.
pub(super) struct Slots<V> {
    numbers: HashMap<String, usize>,
    slots: Vec<Slot<V>>,
}

impl<V> Slots<V> {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new() }
    }

    /// The number of the view with this key. Its content comes with [`HotViews::fill`].
    pub(super) fn number(&mut self, key: String) -> usize {
        let next = self.slots.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.slots.push(Slot { view: None, version: None, folded: None, stored: None });
        }
        number
    }

    pub(super) fn at(&mut self, number: usize) -> &mut Slot<V> {
        &mut self.slots[number]
    }
}

/// Where a changed view's position comes from. It always rises above the view's last one.
///
/// Readers remember the checkpoint up to which they have read; so whatever a commit writes has a
/// position above the checkpoint before it.
#[derive(Clone, Copy)]
pub(super) enum Positions {
    /// From the event, which is above the checkpoint.
    Event,
    /// The next ones after this, which is the checkpoint or above: events below it are folded in late.
    After(Option<Position>),
}

/// Decoded views kept between batches, the least recently used give way.
pub(super) struct HotViews<P: Projector> {
    projection: ProjectionId,
    views: Arc<dyn ViewStore>,
    kept: LruCache<String, Slot<P::View>>,
}

impl<P: Projector> HotViews<P> {
    pub(super) fn new(projection: ProjectionId, views: Arc<dyn ViewStore>, kept_max: NonZeroUsize) -> Self {
        Self { projection, views, kept: LruCache::new(kept_max) }
    }

    /// Forgets all, so that they are read from the store again.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    /// Gives every slot its view, kept or loaded.
    pub(super) async fn fill(&mut self, slots: &mut Slots<P::View>) -> Result<(), ProjectionError> {
        let mut keys = Vec::new();
        let mut numbers = Vec::new();
        for (key, &number) in &slots.numbers {
            if let Some(kept) = self.kept.pop(key) {
                slots.slots[number] = kept;
            } else {
                keys.push(key.clone());
                numbers.push(number);
            }
        }
        let page = usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
        for (keys, numbers) in keys.chunks(page).zip(numbers.chunks(page)) {
            let loaded = self.views.load(&self.projection, keys).await.map_err(|source| self.store_error(source))?;
            if loaded.len() != keys.len() {
                let found = format!("{} views were asked for, {} came", keys.len(), loaded.len());
                return Err(self.store_error(StoreError::corrupt(format!("views of {}", self.projection), found)));
            }
            for (&number, loaded) in numbers.iter().zip(loaded) {
                slots.slots[number] = self.decoded(loaded)?;
            }
        }
        Ok(())
    }

    /// The changed views as they are to be stored.
    pub(super) fn encode(
        &self,
        slots: &mut Slots<P::View>,
        mut positions: Positions,
    ) -> Result<Vec<StoredView>, ProjectionError> {
        let mut changed: Vec<_> = slots
            .numbers
            .iter()
            .filter_map(|(key, &number)| slots.slots[number].folded.map(|folded| (folded, key, number)))
            .collect();
        changed.sort_unstable();
        let mut views = Vec::with_capacity(changed.len());
        for (folded, key, number) in changed {
            let slot = &mut slots.slots[number];
            let wanted = match &mut positions {
                Positions::Event => folded,
                Positions::After(last) => *last.insert(Position::next_after(*last)),
            };
            let position = slot.stored.map_or(wanted, |stored| wanted.max(stored.next()));
            if let Positions::After(last) = &mut positions {
                *last = Some(position);
            }
            slot.stored = Some(position);
            let body = slot.view.as_ref().map(serde_json::to_vec).transpose();
            let body = body.map_err(|source| self.view_error(key, source.into()))?.map(Into::into);
            views.push(StoredView { key: key.clone(), version: slot.version, position: Some(position), body });
        }
        Ok(views)
    }

    /// Keeps what was committed for the next batch.
    pub(super) fn keep(&mut self, mut slots: Slots<P::View>) {
        let mut taken: Vec<_> = slots.slots.drain(..).map(Some).collect();
        for (key, number) in slots.numbers {
            if let Some(slot) = taken[number].take() {
                self.kept.put(key, Slot { folded: None, ..slot });
            }
        }
    }

    fn decoded(&self, loaded: Option<StoredView>) -> Result<Slot<P::View>, ProjectionError> {
        let Some(loaded) = loaded else {
            return Ok(Slot { view: None, version: None, folded: None, stored: None });
        };
        let view = loaded.body.as_deref().map(serde_json::from_slice).transpose();
        let view = view.map_err(|source| self.view_error(&loaded.key, source.into()))?;
        Ok(Slot { view, version: loaded.version, folded: None, stored: loaded.position })
    }

    fn store_error(&self, source: StoreError) -> ProjectionError {
        ProjectionError::Store { projection: self.projection.clone(), source }
    }

    fn view_error(&self, key: &str, source: BoxError) -> ProjectionError {
        ProjectionError::View { projection: self.projection.clone(), key: key.to_owned(), source }
    }
}
