//! The loop behind live queries: reads each changed view once and tells all who care.

use std::sync::Arc;

use metrics::Counter;
use serde::de::DeserializeOwned;
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, sleep_until},
};

use super::{
    bell::{Bell, Rung},
    error::{LiveError, Unreadable},
    keys::{Keys, Seen},
    log::{Entry, Log, News},
    options::LiveOptions,
    reader::ChangeReader,
    serving::{Served, Serving},
    view::LiveView,
};
use crate::{
    position::Position,
    store::StoreError,
    view::{PAGE_MAX, ProjectionId, StoredView, ViewStore},
};

/// Everything that clones of the live queries share.
pub(super) struct Shared<V> {
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) options: LiveOptions,
    pub(super) serving: Serving,
    pub(super) bell: Bell,
    pub(super) keys: Arc<Keys<V>>,
    pub(super) log: Arc<Log<V>>,
    pub(super) resyncs: Counter,
    pub(super) fanout: AsyncMutex<Fanout>,
}

/// Where the loop stands. It stays when the loop is dropped, and the next one goes on from here.
#[derive(Default)]
pub(super) struct Fanout {
    /// The switch of the serving version it has followed; `None` before it ever ran.
    epoch: Option<u64>,
    reader: ChangeReader,
}

impl<V: DeserializeOwned> Shared<V> {
    /// Runs until the view store says something that time does not heal.
    pub(super) async fn run(&self, fanout: &mut Fanout) -> Result<(), StoreError> {
        let mut failures = 0;
        // Whatever was rung while nobody listened, or was not told before a loop was dropped, is found
        // by looking at everything.
        self.bell.ring_all();
        let mut reconcile = Instant::now();
        loop {
            tokio::select! {
                () = self.bell.heard() => {}
                () = sleep_until(reconcile) => self.bell.ring_all(),
            }
            let rung = self.bell.take();
            if rung.everything {
                reconcile = Instant::now() + self.options.reconcile_interval;
            }
            match self.spread(fanout, rung).await {
                Ok(()) => failures = 0,
                Err(error) if error.is_retryable() => {
                    let pause = self.options.backoff.pause(failures);
                    failures = failures.saturating_add(1);
                    tracing::warn!(error = %error, failures, ?pause, "live queries cannot read views, trying again");
                    sleep(pause).await;
                    // What was rung is not told yet.
                    self.bell.ring_all();
                }
                // The version that was read may be gone because another one is served by now.
                Err(error) => match self.serving.refresh().await {
                    Ok(served) if Some(served.epoch) != fanout.epoch => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Reads what was rung and tells it.
    async fn spread(&self, fanout: &mut Fanout, mut rung: Rung) -> Result<(), StoreError> {
        let served = if rung.everything { self.serving.refresh().await? } else { self.serving.current().await? };
        let Some(projection) = &served.projection else { return Ok(()) };
        if fanout.epoch != Some(served.epoch) {
            self.switch(fanout, &served, projection).await?;
            rung.everything = true;
        }
        let keys = if rung.everything { self.keys.all() } else { rung.keys.into_iter().collect() };
        self.tell_watchers(&served, projection, &keys).await?;
        self.tell_followers(fanout, &served, projection).await
    }

    /// The log begins at the checkpoint of the version that is served now.
    async fn switch(&self, fanout: &mut Fanout, served: &Served, projection: &ProjectionId) -> Result<(), StoreError> {
        let position = self.checkpoint(projection).await?;
        fanout.reader = ChangeReader::at(position);
        fanout.epoch = Some(served.epoch);
        self.log.push(Entry { epoch: served.epoch, position, news: News::Begun }, position);
        Ok(())
    }

    async fn tell_watchers(
        &self,
        served: &Served,
        projection: &ProjectionId,
        keys: &[String],
    ) -> Result<(), StoreError> {
        for keys in keys.chunks(usize::try_from(PAGE_MAX).unwrap_or(usize::MAX)) {
            for stored in self.views.load(projection, keys).await?.into_iter().flatten() {
                // Whoever watches it has been told, whether it could be decoded or not.
                drop(self.decode(served, projection, stored));
            }
        }
        Ok(())
    }

    async fn tell_followers(
        &self,
        fanout: &mut Fanout,
        served: &Served,
        projection: &ProjectionId,
    ) -> Result<(), StoreError> {
        // The checkpoint is read before the look at the log: whoever follows from now on starts at
        // this checkpoint or above, and misses nothing that is passed over here.
        let checkpoint = self.checkpoint(projection).await?;
        if !self.log.is_followed() {
            fanout.reader = ChangeReader::at(checkpoint);
            return Ok(());
        }
        loop {
            let changed = fanout.reader.read(&*self.views, projection).await?;
            let mut views = Vec::with_capacity(changed.views.len());
            let mut unreadable = Vec::new();
            for stored in changed.views {
                match self.decode(served, projection, stored) {
                    Ok(view) => views.push(view),
                    Err(error) => unreadable.push(error),
                }
            }
            let (epoch, position, scanned) = (served.epoch, fanout.reader.cursor(), fanout.reader.highest());
            if !views.is_empty() {
                self.log.push(Entry { epoch, position, news: News::Changes(views) }, scanned);
            }
            for error in unreadable {
                self.log.push(Entry { epoch, position, news: News::Unreadable(error) }, scanned);
            }
            if !changed.more {
                return Ok(());
            }
        }
    }

    /// Decodes a view once for all, and tells those who watch it.
    fn decode(
        &self,
        served: &Served,
        projection: &ProjectionId,
        stored: StoredView,
    ) -> Result<LiveView<V>, Unreadable> {
        let decoded = LiveView::decode(projection, stored);
        if let Err(error) = &decoded {
            tracing::error!(%projection, key = %error.key, reason = %error.reason, "view cannot be decoded");
        }
        let key = match &decoded {
            Ok(view) => Arc::clone(&view.key),
            Err(error) => Arc::clone(&error.key),
        };
        self.keys.publish(&key, Seen { epoch: served.epoch, view: decoded.clone() });
        decoded
    }

    /// The views of these keys in the version being served, and which one that is.
    pub(super) async fn load(&self, keys: &[String]) -> Result<(Served, Vec<Option<StoredView>>), StoreError> {
        let mut served = self.serving.current().await?;
        loop {
            let Some(projection) = &served.projection else {
                return Ok((served, vec![None; keys.len()]));
            };
            let loaded = self.views.load(projection, keys).await;
            if loaded.as_ref().is_ok_and(|loaded| loaded.iter().all(Option::is_some)) {
                return Ok((served, loaded?));
            }
            // An absent view may be one of a version that is gone because another one is served by now.
            let newest = self.serving.refresh().await?;
            if newest.epoch == served.epoch {
                return Ok((served, loaded?));
            }
            served = newest;
        }
    }

    /// The view of one key, decoded, and the switch of the serving version it belongs to.
    pub(super) async fn load_one(&self, key: &str) -> Result<(u64, Option<LiveView<V>>), LiveError> {
        let (served, mut loaded) = self.load(&[key.to_owned()]).await?;
        let (Some(projection), Some(Some(stored))) = (&served.projection, loaded.pop()) else {
            return Ok((served.epoch, None));
        };
        let view = LiveView::decode(projection, stored).map_err(|error| LiveError::from(&error))?;
        Ok((served.epoch, Some(view)))
    }

    pub(super) async fn checkpoint(&self, projection: &ProjectionId) -> Result<Option<Position>, StoreError> {
        Ok(self.views.checkpoint(projection).await?.and_then(|checkpoint| checkpoint.position))
    }
}
