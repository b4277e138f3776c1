//! A set of ids that is sometimes wrong about what it holds and never about what it does not.

use std::sync::{PoisonError, RwLock};

/// Ids in the first stage.
const FIRST_CAPACITY: usize = 1 << 16;
/// With this many bits an id and seven probes, one miss in 120 looks like a hit (Bloom, 1970).
const BITS_PER_ID: usize = 10;
const PROBES: u32 = 7;

/// A Bloom filter that grows: each stage is as large as all before it together and takes new ids
/// until it is full.
#[derive(Debug, Default)]
pub(super) struct Filter {
    stages: RwLock<Vec<Stage>>,
}

#[derive(Debug)]
struct Stage {
    bits: Vec<u64>,
    count: usize,
    capacity: usize,
}

impl Filter {
    /// Makes [`may_contain`](Self::may_contain) true for `id`.
    pub(super) fn insert(&self, id: u128) {
        let mut stages = self.stages.write().unwrap_or_else(PoisonError::into_inner);
        let full = stages.last().is_none_or(|stage| stage.count == stage.capacity);
        if full {
            let capacity = stages.last().map_or(FIRST_CAPACITY, |last| last.capacity * 2);
            stages.push(Stage { bits: vec![0; (capacity * BITS_PER_ID).div_ceil(64)], count: 0, capacity });
        }
        if let Some(stage) = stages.last_mut() {
            stage.count += 1;
            for (word, bit) in probes(id, stage.bits.len()) {
                stage.bits[word] |= bit;
            }
        }
    }

    /// `false` only when `id` was never inserted.
    pub(super) fn may_contain(&self, id: u128) -> bool {
        let stages = self.stages.read().unwrap_or_else(PoisonError::into_inner);
        stages.iter().any(|stage| probes(id, stage.bits.len()).all(|(word, bit)| stage.bits[word] & bit != 0))
    }
}

/// Two independent hashes give all probes (Kirsch and Mitzenmacher, 2006).
fn probes(id: u128, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let bytes = id.to_be_bytes();
    let (halves, _) = bytes.as_chunks::<8>();
    let [high, low] = [0, 1].map(|half| u64::from_be_bytes(halves[half]));
    let a = mix(high ^ mix(low));
    let step = mix(low ^ mix(high)) | 1;
    let bits = u64::try_from(words * 64).expect("a filter in memory has fewer than 2^64 bits");
    (0..PROBES).map(move |probe| {
        let bit = a.wrapping_add(step.wrapping_mul(u64::from(probe))) % bits;
        let word = usize::try_from(bit / 64).expect("a word's index is below the number of words");
        (word, 1 << (bit % 64))
    })
}

/// The finisher of `SplitMix64` (Steele, Lea and Flood, 2014): ids of version 7 differ in few bits.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{FIRST_CAPACITY, Filter};

    #[test]
    fn nothing_is_forgotten_and_few_strangers_are_let_in() {
        let filter = Filter::default();
        let ids: Vec<_> = (0..FIRST_CAPACITY * 4).map(|_| Uuid::now_v7().as_u128()).collect();
        ids.iter().for_each(|id| filter.insert(*id));
        assert!(ids.iter().all(|id| filter.may_contain(*id)));
        let strangers = (0..100_000).filter(|_| filter.may_contain(Uuid::now_v7().as_u128())).count();
        assert!(strangers < 3_000, "{strangers} of 100,000 were let in");
    }
}
