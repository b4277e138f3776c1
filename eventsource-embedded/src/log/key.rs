//! Short keys for what the index finds: a stream by 128 bits of its name, an event by its id.

use eventsource_core::EventId;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use uuid::Uuid;

/// 128 bits of a stream's name, keyed by the store's id.
///
/// Two names of one store share a key with a chance of 2^-128 a pair, so the index treats the key
/// as the name; every read still compares the name that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamKey([u8; 16]);

impl StreamKey {
    pub(crate) fn new(store: Uuid, stream: &str) -> Self {
        let mut hasher = SipHasher13::new_with_key(store.as_bytes());
        hasher.write(stream.as_bytes());
        Self(hasher.finish128().as_bytes())
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What the stream filter knows it by.
    pub(crate) fn hash(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The 16 bytes of an event id, in the order that the index sorts by.
pub(crate) type IdBytes = [u8; 16];

pub(crate) fn id_bytes(id: EventId) -> IdBytes {
    *id.as_uuid().as_bytes()
}

/// What the id filter knows an event by: both halves stirred with the finaliser of MurmurHash3
/// (Appleby, 2011), because ids may be counters or times.
pub(crate) fn id_hash(id: &IdBytes) -> u64 {
    let whole = u128::from_le_bytes(*id);
    let [low, high] =
        [whole, whole >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).expect("half of 128 bits has 64"));
    stir(stir(low).wrapping_add(high))
}

const fn stir(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::StreamKey;

    #[test]
    fn keys_are_stable_across_releases_and_differ_between_stores() {
        let key = StreamKey::new(Uuid::from_u128(1), "workflow/case-1");
        assert_eq!(u128::from_be_bytes(*key.as_bytes()), 0xfeae_5927_b211_8c04_dcc3_f328_9c5c_b235);
        assert_ne!(key, StreamKey::new(Uuid::from_u128(2), "workflow/case-1"));
        assert_ne!(key, StreamKey::new(Uuid::from_u128(1), "workflow/case-2"));
    }
}
