//! A set that never forgets a member and seldom claims a stranger: one cache line a question.
//!
//! A split block Bloom filter as in the Apache Parquet specification ("Bloom Filter", which follows
//! Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007): with 10 bits
//! a member about 1 stranger in 100 gets through, and costs a look into the index on disk.

use super::number::{index, wide};

const WORDS: usize = 8;
/// Bytes of a block, also on disk.
pub(crate) const BLOCK_BYTES: usize = WORDS * 4;
const MEMBER_BITS: usize = 10;
const SALT: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Members are given by a 64-bit hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    blocks: Box<[[u32; WORDS]]>,
}

impl Filter {
    /// A filter of these members.
    pub(crate) fn new(members: impl ExactSizeIterator<Item = u64>) -> Self {
        let blocks = (members.len() * MEMBER_BITS).div_ceil(BLOCK_BYTES * 8).max(1);
        let mut filter = Self { blocks: vec![[0; WORDS]; blocks].into() };
        for hash in members {
            let block = filter.block_of(hash);
            for (word, bit) in filter.blocks[block].iter_mut().zip(bits(hash)) {
                *word |= bit;
            }
        }
        filter
    }

    /// Whether a member may have this hash; `false` is certain.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        self.blocks[self.block_of(hash)].iter().zip(bits(hash)).all(|(word, bit)| word & bit != 0)
    }

    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = [u8; BLOCK_BYTES]> {
        self.blocks.iter().map(|block| {
            let mut bytes = [0; BLOCK_BYTES];
            for (slot, word) in bytes.chunks_exact_mut(4).zip(block) {
                slot.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        })
    }

    /// The filter whose blocks these are; `None` without any.
    pub(crate) fn from_blocks(blocks: impl Iterator<Item = [u8; BLOCK_BYTES]>) -> Option<Self> {
        let blocks: Box<[_]> = blocks
            .map(|bytes| {
                let mut words =
                    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
                std::array::from_fn(|_| words.next().unwrap_or_default())
            })
            .collect();
        if blocks.is_empty() { None } else { Some(Self { blocks }) }
    }

    fn block_of(&self, hash: u64) -> usize {
        let scaled = (hash >> 32) * wide(self.blocks.len());
        index(u32::try_from(scaled >> 32).expect("a product of 32-bit numbers, shifted by 32"))
    }
}

/// One bit for each word of the block.
fn bits(hash: u64) -> [u32; WORDS] {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    let key = u32::from_le_bytes([a, b, c, d]);
    SALT.map(|salt| 1 << (key.wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use crate::log::key::id_hash;

    #[test]
    fn members_are_known_and_strangers_seldom_pass() {
        for version_7 in [false, true] {
            let id = |n: u128| if version_7 { (n << 80 | 7 << 76).to_be_bytes() } else { n.to_be_bytes() };
            let members: Vec<u64> = (0..20_000).map(|n| id_hash(&id(n))).collect();
            let filter = Filter::new(members.iter().copied());
            assert!(members.iter().all(|hash| filter.may_contain(*hash)));
            let passed = (20_000..120_000).filter(|n| filter.may_contain(id_hash(&id(*n)))).count();
            assert!(passed < 2_500, "{passed} of 100,000 strangers passed");
            assert_eq!(Filter::from_blocks(filter.blocks()).as_ref(), Some(&filter));
        }
    }
}
