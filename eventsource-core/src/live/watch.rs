//! One view, followed: its newest state first, then every newer one, never back.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream, stream::BoxStream};
use tokio::time::{Instant, timeout_at};

use super::{
    error::LiveError,
    fanout::Shared,
    keys::{Seen, Watcher},
    view::LiveView,
};
use crate::{
    position::Position,
    version::Version,
    view::{Projector, Scope},
};

/// How often a waiting reader looks by itself, so that a lost ring costs it no more than this.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Follows a view. Watching begins now, not when the stream is first asked.
pub(super) fn watch<P: Projector>(
    shared: Arc<Shared<P::View>>,
    key: &str,
    after: Option<Version>,
) -> BoxStream<'static, Result<LiveView<P::View>, LiveError>> {
    let watcher = Arc::clone(&shared.keys).watch(key);
    let sieve = Sieve { scope: P::SCOPE, after, last: None };
    let following = Following { shared, watcher, sieve, step: Step::Snapshot };
    stream::unfold(following, |mut following| async move {
        let item = following.next().await?;
        Some((item, following))
    })
    .boxed()
}

/// Waits until a view has come as far as `wanted`.
pub(super) async fn wait_for<V: serde::de::DeserializeOwned>(
    shared: &Shared<V>,
    key: &str,
    wanted: Version,
    timeout: Duration,
) -> Result<LiveView<V>, LiveError> {
    let deadline = Instant::now() + timeout;
    let mut watcher = Arc::clone(&shared.keys).watch(key);
    let mut seen = None;
    loop {
        let last_look = Instant::now() >= deadline;
        if let (_, Some(view)) = shared.load_one(key).await? {
            if view.version >= Some(wanted) {
                return Ok(view);
            }
            seen = view.version;
        }
        if last_look {
            return Err(LiveError::NotYetVisible { key: key.to_owned(), wanted, seen });
        }
        let pause = deadline.min(Instant::now() + LOOK_INTERVAL);
        while let Ok(heard) = timeout_at(pause, watcher.next()).await {
            let view = heard.view.map_err(|error| LiveError::from(&error))?;
            if view.version >= Some(wanted) {
                return Ok(view);
            }
        }
    }
}

struct Following<V> {
    shared: Arc<Shared<V>>,
    watcher: Watcher<V>,
    sieve: Sieve,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    /// Read the view; changes since the watching began wait in the watcher.
    Snapshot,
    Live,
    /// An error was delivered.
    Ended,
}

impl<V: serde::de::DeserializeOwned> Following<V> {
    async fn next(&mut self) -> Option<Result<LiveView<V>, LiveError>> {
        loop {
            let heard = match self.step {
                Step::Snapshot => {
                    self.step = Step::Live;
                    match self.shared.load_one(self.watcher.key()).await {
                        Ok((epoch, Some(view))) => Ok((epoch, view)),
                        Ok((_, None)) => continue,
                        Err(error) => Err(error),
                    }
                }
                Step::Live => {
                    let Seen { epoch, view } = self.watcher.next().await;
                    view.map(|view| (epoch, view)).map_err(|error| LiveError::from(&error))
                }
                Step::Ended => return None,
            };
            match heard {
                Ok((epoch, view)) if self.sieve.lets_through(epoch, &view) => return Some(Ok(view)),
                Ok(_) => {}
                Err(error) => {
                    self.step = Step::Ended;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Lets each state through once, and none that would lead back.
struct Sieve {
    scope: Scope,
    after: Option<Version>,
    last: Option<Last>,
}

struct Last {
    epoch: u64,
    version: Option<Version>,
    position: Option<Position>,
}

impl Sieve {
    fn lets_through<V>(&mut self, epoch: u64, view: &LiveView<V>) -> bool {
        // A view of many streams has versions of many streams, which say nothing about order.
        let ordered = self.scope == Scope::Stream;
        let newer = match &self.last {
            None => !ordered || view.version > self.after,
            Some(last) if epoch == last.epoch => view.position > last.position,
            // Rebuilt views may look different at the same version.
            Some(last) => epoch > last.epoch && (!ordered || view.version >= last.version),
        };
        if newer {
            self.last = Some(Last { epoch, version: view.version, position: view.position });
        }
        newer
    }
}
