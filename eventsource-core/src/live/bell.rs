//! What was rung and not read yet: a bounded set of keys, or "everything".

use std::{collections::HashSet, mem, sync::Mutex};

use tokio::sync::Notify;

use super::lock::locked;

/// Rings of the doorbell that wait to be read.
pub(super) struct Bell {
    rung: Mutex<Rung>,
    heard: Notify,
    keys_max: usize,
}

/// What was rung.
#[derive(Default)]
pub(super) struct Rung {
    /// Views that somebody watches and that changed.
    pub(super) keys: HashSet<String>,
    /// Anything may have changed.
    pub(super) everything: bool,
}

impl Bell {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { rung: Mutex::default(), heard: Notify::new(), keys_max }
    }

    /// Something changed, these watched keys among it.
    pub(super) fn ring<'a>(&self, keys: impl Iterator<Item = &'a str>) {
        let mut rung = locked(&self.rung);
        for key in keys {
            if rung.everything {
                break;
            }
            if !rung.keys.contains(key) {
                rung.keys.insert(key.to_owned());
            }
            if rung.keys.len() > self.keys_max {
                *rung = Rung { keys: HashSet::new(), everything: true };
            }
        }
        drop(rung);
        self.heard.notify_one();
    }

    /// Anything may have changed.
    pub(super) fn ring_all(&self) {
        *locked(&self.rung) = Rung { keys: HashSet::new(), everything: true };
        self.heard.notify_one();
    }

    /// Returns when it was rung since the last time.
    pub(super) async fn heard(&self) {
        self.heard.notified().await;
    }

    /// Takes what was rung. Whoever does not get through with it has to ring everything again.
    pub(super) fn take(&self) -> Rung {
        mem::take(&mut *locked(&self.rung))
    }
}

#[cfg(test)]
mod tests {
    use super::Bell;

    #[test]
    fn too_many_keys_become_everything() {
        let bell = Bell::new(2);
        bell.ring(["a", "b", "a"].into_iter());
        let rung = bell.take();
        assert!(!rung.everything && rung.keys.len() == 2);
        bell.ring(["a", "b", "c", "d"].into_iter());
        let rung = bell.take();
        assert!(rung.everything && rung.keys.is_empty());
        assert!(!bell.take().everything);
    }
}
