//! All views, followed: what changed since a position, then every change, without a gap.

use std::{cmp::Ordering, collections::HashSet, sync::Arc};

use futures::{StreamExt, stream, stream::BoxStream};
use serde::de::DeserializeOwned;

use super::{
    error::{LiveError, Unreadable},
    fanout::Shared,
    log::{Entry, Follower, Found, News},
    reader::ChangeReader,
    serving::Served,
    view::{LiveChanges, LiveView},
};
use crate::{position::Position, store::StoreError};

/// Where following begins.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// What was before is of no interest.
    Now,
    /// All that changed after this position; `None` is before the first event.
    After(Option<Position>),
}

/// Follows all changes. Following begins now, not when the stream is first asked.
pub(super) fn changes<V: DeserializeOwned + Send + Sync + 'static>(
    shared: Arc<Shared<V>>,
    from: Origin,
) -> BoxStream<'static, Result<LiveChanges<V>, LiveError>> {
    let follower = Arc::clone(&shared.log).follow();
    let bytes_max = shared.options.batch_bytes_max;
    let following = Following {
        shared,
        follower,
        reader: ChangeReader::default(),
        served: Served { projection: None, epoch: 0 },
        found: Vec::new().into_iter(),
        step: Step::Start(from),
    };
    stream::unfold(following, |mut following| async move {
        let item = following.next().await?;
        Some((item, following))
    })
    .flat_map(move |item| match item {
        Ok(changes) => stream::iter(changes.in_parts(bytes_max)).map(Ok).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
    .boxed()
}

struct Following<V> {
    shared: Arc<Shared<V>>,
    follower: Follower<V>,
    /// What was told already.
    reader: ChangeReader,
    served: Served,
    /// Entries found in the log and not told yet.
    found: std::vec::IntoIter<Arc<Entry<V>>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Start(Origin),
    /// Read what changed before, up to where the log goes on.
    History {
        until: Option<Position>,
        told: usize,
    },
    Live,
    /// An error was delivered.
    Ended,
}

impl<V: DeserializeOwned> Following<V> {
    async fn next(&mut self) -> Option<Result<LiveChanges<V>, LiveError>> {
        loop {
            let told = match self.step {
                Step::Start(from) => self.start(from).await,
                Step::History { until, told } => self.history(until, told).await,
                Step::Live => self.live().await,
                Step::Ended => return None,
            };
            match told {
                Ok(None) => {}
                Ok(Some(changes)) => return Some(Ok(changes)),
                Err(error) => {
                    self.step = Step::Ended;
                    return Some(Err(error));
                }
            }
        }
    }

    async fn start(&mut self, from: Origin) -> Result<Option<LiveChanges<V>>, LiveError> {
        self.served = self.shared.serving.current().await?;
        let now = self.checkpoint().await?;
        let Origin::After(after) = from else {
            self.reader = ChangeReader::at(now);
            self.step = Step::Live;
            return Ok(Some(self.tell(Vec::new())));
        };
        if after > now {
            // It comes from another store or from a version that had come further.
            return Ok(Some(self.resync(now)));
        }
        self.reader = ChangeReader::at(after);
        self.step = Step::History { until: now.max(self.follower.scanned_before()), told: 0 };
        Ok(None)
    }

    async fn history(&mut self, until: Option<Position>, told: usize) -> Result<Option<LiveChanges<V>>, LiveError> {
        let Some(projection) = self.served.projection.clone() else {
            self.step = Step::Live;
            return Ok(Some(self.tell(Vec::new())));
        };
        let read = self.reader.read(&*self.shared.views, &projection).await;
        let Some(changed) = self.unless_switched(read).await? else {
            let now = self.checkpoint().await?;
            return Ok(Some(self.resync(now)));
        };
        let told = told + changed.views.len();
        if told > self.shared.options.resumed_views_max {
            let now = self.checkpoint().await?;
            return Ok(Some(self.resync(now)));
        }
        let decoded = changed.views.into_iter().map(|stored| LiveView::decode(&projection, stored));
        let views = decoded.collect::<Result<Vec<_>, _>>().map_err(|error| LiveError::from(&error))?;
        if !changed.more || self.reader.highest() >= until {
            self.step = Step::Live;
            return Ok(Some(self.tell(views)));
        }
        self.step = Step::History { until, told };
        Ok((!views.is_empty()).then(|| self.tell(views)))
    }

    async fn live(&mut self) -> Result<Option<LiveChanges<V>>, LiveError> {
        if self.found.len() == 0 {
            match self.follower.next().await {
                Found::Entries(entries) => self.found = entries.into_iter(),
                Found::Behind(last) => {
                    self.served = self.shared.serving.current().await?;
                    return Ok(Some(self.resync(last.position)));
                }
            }
        }
        let mut views = Vec::new();
        while let Some(entry) = self.found.as_slice().first().map(Arc::clone) {
            match self.placed(&entry) {
                Placed::Past => {}
                Placed::Next(changed) => self.take_in(changed, entry.position, &mut views),
                // What was taken in so far is told first.
                _ if !views.is_empty() => break,
                Placed::Failed(error) => return Err(LiveError::from(error)),
                Placed::Missed => {
                    self.found.next();
                    self.step = Step::History { until: entry.position, told: 0 };
                    return Ok(None);
                }
                Placed::Switched => {
                    self.found.next();
                    let nothing_before = self.served.projection.is_none();
                    self.served = self.shared.serving.current().await?;
                    if nothing_before {
                        self.step = Step::History { until: entry.position, told: 0 };
                        return Ok(None);
                    }
                    return Ok(Some(self.resync(entry.position)));
                }
            }
            self.found.next();
        }
        Ok((!views.is_empty()).then(|| self.tell(newest(views))))
    }

    /// What an entry means to this reader.
    fn placed<'a>(&self, entry: &'a Entry<V>) -> Placed<'a, V> {
        match entry.epoch.cmp(&self.served.epoch) {
            Ordering::Less => Placed::Past,
            Ordering::Greater => Placed::Switched,
            Ordering::Equal => match &entry.news {
                News::Changes(changed) => Placed::Next(changed),
                News::Unreadable(error) => Placed::Failed(error),
                News::Begun if entry.position <= self.reader.cursor() => Placed::Past,
                News::Begun => Placed::Missed,
            },
        }
    }

    /// Takes in the views of an entry that were not told yet.
    fn take_in(&mut self, changed: &[LiveView<V>], position: Option<Position>, views: &mut Vec<LiveView<V>>) {
        for view in changed {
            if self.reader.is_new(&view.key, view.position) {
                self.reader.note(&view.key, view.position);
                views.push(view.clone());
            }
        }
        self.reader.advance(position);
    }

    /// What was read, or `None` when another version is served by now and it means nothing.
    async fn unless_switched<T>(&mut self, read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        let newest = self.shared.serving.current().await?;
        let newest = if read.is_err() { self.shared.serving.refresh().await? } else { newest };
        if newest.epoch != self.served.epoch {
            self.served = newest;
            return Ok(None);
        }
        read.map(Some)
    }

    async fn checkpoint(&self) -> Result<Option<Position>, StoreError> {
        match &self.served.projection {
            Some(projection) => self.shared.checkpoint(projection).await,
            None => Ok(None),
        }
    }

    fn tell(&self, views: Vec<LiveView<V>>) -> LiveChanges<V> {
        LiveChanges { position: self.reader.cursor(), resync: false, views }
    }

    fn resync(&mut self, position: Option<Position>) -> LiveChanges<V> {
        self.shared.resyncs.increment(1);
        self.reader = ChangeReader::at(position);
        self.step = Step::Live;
        LiveChanges { position, resync: true, views: Vec::new() }
    }
}

/// What an entry of the log means to a reader.
enum Placed<'a, V> {
    /// It is about a version that is not served any more, or is known already.
    Past,
    /// These views changed, next after what was told.
    Next(&'a [LiveView<V>]),
    /// The log begins above what was told: what lies between is read from the store.
    Missed,
    /// Another version is served, and what was told means nothing.
    Switched,
    /// A view cannot be decoded.
    Failed(&'a Unreadable),
}

/// Each view once, in its newest state, in position order.
fn newest<V>(mut views: Vec<LiveView<V>>) -> Vec<LiveView<V>> {
    let mut told = HashSet::with_capacity(views.len());
    let mut newest: Vec<_> =
        std::iter::from_fn(|| views.pop()).filter(|view| told.insert(Arc::clone(&view.key))).collect();
    newest.sort_by_key(|view| view.position);
    newest
}
