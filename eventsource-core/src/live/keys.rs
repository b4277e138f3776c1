//! Who watches which view.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use metrics::Gauge;
use tokio::sync::watch;

use super::{error::Unreadable, lock::locked, view::LiveView};

/// One channel a watched view. It holds the newest state only, however slow its readers are.
pub(super) struct Keys<V> {
    channels: Mutex<HashMap<Arc<str>, Channel<V>>>,
    watchers: Gauge,
}

/// `None` while the view was not read since somebody began to watch it.
type Channel<V> = watch::Sender<Option<Seen<V>>>;

/// A view as it was read.
pub(super) struct Seen<V> {
    /// Which switch of the serving version it belongs to.
    pub(super) epoch: u64,
    pub(super) view: Result<LiveView<V>, Unreadable>,
}

/// One who watches a view. Dropping it takes it off the list.
pub(super) struct Watcher<V> {
    keys: Arc<Keys<V>>,
    key: Arc<str>,
    seen: watch::Receiver<Option<Seen<V>>>,
}

impl<V> Keys<V> {
    pub(super) fn new(watchers: Gauge) -> Self {
        Self { channels: Mutex::default(), watchers }
    }

    /// Begins to watch a view. What was seen of it before is heard first.
    pub(super) fn watch(self: Arc<Self>, key: &str) -> Watcher<V> {
        let key: Arc<str> = key.into();
        let mut seen = {
            let mut channels = locked(&self.channels);
            channels.entry(Arc::clone(&key)).or_insert_with(|| watch::Sender::new(None)).subscribe()
        };
        seen.mark_changed();
        self.watchers.increment(1);
        Watcher { keys: self, key, seen }
    }

    /// Those of the views that somebody watches.
    pub(super) fn watched<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let channels = locked(&self.channels);
        if channels.is_empty() { Vec::new() } else { keys.filter(|key| channels.contains_key(*key)).collect() }
    }

    /// All views that somebody watches.
    pub(super) fn all(&self) -> Vec<String> {
        locked(&self.channels).keys().map(|key| key.as_ref().to_owned()).collect()
    }

    /// Tells a view's watchers, unless they have heard of a newer state.
    pub(super) fn publish(&self, key: &str, seen: Seen<V>) {
        let channels = locked(&self.channels);
        let Some(channel) = channels.get(key) else { return };
        channel.send_if_modified(|known| {
            let newer = known.as_ref().is_none_or(|known| seen.is_newer_than(known));
            if newer {
                *known = Some(seen);
            }
            newer
        });
    }
}

impl<V> Seen<V> {
    fn is_newer_than(&self, known: &Self) -> bool {
        match (&self.view, &known.view) {
            _ if self.epoch != known.epoch => self.epoch > known.epoch,
            (Ok(view), Ok(known)) => view.position > known.position,
            _ => true,
        }
    }
}

impl<V> Watcher<V> {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The newest state, once there is one that was not heard yet.
    pub(super) async fn next(&mut self) -> Seen<V> {
        loop {
            // The channel's sender lives in the list for as long as this watcher is on it.
            if self.seen.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(seen) = &*self.seen.borrow_and_update() {
                return seen.clone();
            }
        }
    }
}

impl<V> Drop for Watcher<V> {
    fn drop(&mut self) {
        let mut channels = locked(&self.keys.channels);
        if channels.get(&self.key).is_some_and(|channel| channel.receiver_count() <= 1) {
            channels.remove(&self.key);
        }
        drop(channels);
        self.keys.watchers.decrement(1);
    }
}

impl<V> Clone for Seen<V> {
    fn clone(&self) -> Self {
        Self { epoch: self.epoch, view: self.view.clone() }
    }
}
