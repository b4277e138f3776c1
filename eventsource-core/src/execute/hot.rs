//! Aggregates in memory, each behind a fair lock.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

use super::recent::Recent;
use crate::{aggregate::Aggregate, id::StreamId, version::Version};

/// Aggregates kept in memory when nothing else is said.
pub const CACHED_AGGREGATES_DEFAULT: usize = 10_000;

/// Locks on the map itself: few, since each is held for less than a microsecond.
const SHARDS: usize = 16;

/// The newest known state of one aggregate.
#[derive(Clone, Debug)]
pub(super) struct Hot<A> {
    pub(super) state: A,
    pub(super) version: Option<Version>,
    pub(super) recent: Recent,
    /// Whether an append on top of this state may or may not have been stored.
    pub(super) in_doubt: bool,
}

impl<A: Aggregate> Hot<A> {
    pub(super) fn new() -> Self {
        Self { state: A::default(), version: None, recent: Recent::default(), in_doubt: false }
    }
}

/// One aggregate's place: whoever holds the lock is the only one to decide in this process, and
/// waiters get it in the order they came.
pub(super) type Slot<A> = Arc<tokio::sync::Mutex<Option<Hot<A>>>>;

/// The slots of recently used aggregates. A slot in use is never dropped.
pub(super) struct Slots<A> {
    shards: Vec<Mutex<LruCache<StreamId, Slot<A>>>>,
    shard_len_max: usize,
    hasher: RandomState,
}

impl<A> Slots<A> {
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(LruCache::unbounded())).collect(),
            // Keys do not spread evenly: with no room to spare, a full shard would turn away
            // aggregates while others have places left.
            shard_len_max: (len_max + len_max / 4).div_ceil(SHARDS).max(1),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn slot(&self, stream: &StreamId) -> Slot<A> {
        let hash = usize::try_from(self.hasher.hash_one(stream) % 1_024).unwrap_or_default();
        let mut shard = self.shards[hash % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = shard.get(stream) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        shard.put(stream.clone(), Arc::clone(&slot));
        let mut looked_at = shard.len();
        while shard.len() > self.shard_len_max && looked_at > 0 {
            looked_at -= 1;
            let Some((stream, oldest)) = shard.pop_lru() else { break };
            if Arc::strong_count(&oldest) > 1 {
                // In use: dropping it would let a second command in beside it.
                shard.put(stream, oldest);
            }
        }
        slot
    }
}

impl<A> fmt::Debug for Slots<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("shard_len_max", &self.shard_len_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{SHARDS, Slots};
    use crate::id::StreamId;

    #[test]
    fn as_many_as_promised_are_kept_however_they_spread() {
        let slots = Slots::<()>::new(10_000);
        let first: Vec<_> = (0..10_000).map(|n| slots.slot(&StreamId::new("a", &n.to_string()).unwrap())).collect();
        for (n, slot) in first.iter().enumerate() {
            assert!(Arc::ptr_eq(slot, &slots.slot(&StreamId::new("a", &n.to_string()).unwrap())));
        }
        assert!(slots.shards.iter().all(|shard| shard.lock().unwrap().len() <= slots.shard_len_max));
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_in_use() {
        let slots = Slots::<()>::new(SHARDS * 4);
        let held = slots.slot(&StreamId::new("a", "held").unwrap());
        for n in 0..10_000 {
            drop(slots.slot(&StreamId::new("a", &n.to_string()).unwrap()));
        }
        let kept: usize = slots.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * 5 + 1, "{kept}");
        assert!(Arc::ptr_eq(&held, &slots.slot(&StreamId::new("a", "held").unwrap())));
    }
}
