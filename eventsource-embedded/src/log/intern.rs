//! One shared text for the same words again and again: names of events, actors, streams.

use std::sync::Arc;

use eventsource_core::StreamId;

use super::number::{index, length, wide};

/// Texts that were seen lately; a slot each, a newer text takes it over.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    /// The hash stands beside the value, so that another text is told without a look at it.
    slots: Vec<Option<(u64, T)>>,
    size: u32,
}

/// What can be looked up by its text.
pub(crate) trait Interned: Clone {
    fn text(&self) -> &str;
    /// The value of a text; `None` when there can be none.
    fn make(text: &str) -> Option<Self>;
}

impl Interned for Arc<str> {
    fn text(&self) -> &str {
        self
    }

    fn make(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Interned for StreamId {
    fn text(&self) -> &str {
        self.as_str()
    }

    fn make(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<T: Interned> Interner<T> {
    /// An interner with so many slots, made when the first text comes.
    pub(crate) const fn new(size: u32) -> Self {
        Self { slots: Vec::new(), size }
    }

    pub(crate) fn intern(&mut self, text: &str) -> Option<T> {
        if self.slots.is_empty() {
            self.slots.resize(index(self.size), None);
        }
        let hash = hash(text.as_bytes());
        let scaled = (hash >> 32) * u64::from(self.size);
        let slot = &mut self.slots[length(scaled >> 32)];
        if let Some((_, known)) =
            slot.as_ref().filter(|(known_hash, known)| *known_hash == hash && known.text() == text)
        {
            return Some(known.clone());
        }
        let made = T::make(text)?;
        *slot = Some((hash, made.clone()));
        Some(made)
    }
}

/// Cheap and good enough to spread texts over slots: words of 8 bytes, multiplied and folded.
fn hash(text: &[u8]) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let fold = |hash: u64, word: [u8; 8]| (hash ^ u64::from_le_bytes(word)).wrapping_mul(STEP).rotate_left(29);
    let hash = words.iter().copied().fold(wide(text.len()), fold);
    fold(hash, last).wrapping_mul(STEP)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eventsource_core::StreamId;

    use super::Interner;

    #[test]
    fn the_same_text_is_shared_and_others_are_kept_apart() {
        let mut names = Interner::<Arc<str>>::new(4);
        for n in 0..100 {
            let text = format!("name-{n}");
            let first = names.intern(&text).unwrap();
            assert_eq!(&*first, text);
            assert!(Arc::ptr_eq(&first, &names.intern(&text).unwrap()));
        }
        assert!(Interner::<StreamId>::new(4).intern("no stream").is_none());
    }
}
