//! Events that are stored and not yet shown: what a reader meets between reservation and commit.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use eventsource_core::{Appended, EventId, EventStore, ExpectedVersion, NewEvent, RecordedEvent, StoreError, StreamId};
use futures::{FutureExt, TryStreamExt, stream::BoxStream};

/// Ids of events that readers do not see yet. The lock is held while the store is asked, so that a
/// reader sees an event and its hiding together or neither.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    ids: Mutex<HashSet<EventId>>,
}

/// Events that are hidden for as long as this lives.
#[derive(Debug)]
pub(super) struct Late<'a> {
    hidden: &'a Hidden,
    ids: Vec<EventId>,
}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.hidden.ids().retain(|id| !self.ids.contains(id));
    }
}

impl Hidden {
    fn ids(&self) -> MutexGuard<'_, HashSet<EventId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, with the events of these ids hidden from the first moment on.
    pub(super) fn append(
        &self,
        store: &dyn EventStore,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
        late: Vec<EventId>,
    ) -> Result<(Appended, Late<'_>), StoreError> {
        let mut ids = self.ids();
        let appended =
            store.append(stream, expected, events).now_or_never().expect("a store in memory does not wait")?;
        ids.extend(&late);
        Ok((appended, Late { hidden: self, ids: late }))
    }

    /// What a read gives now, without the hidden events.
    pub(super) fn filter(
        &self,
        read: impl FnOnce() -> BoxStream<'static, Result<RecordedEvent, StoreError>>,
    ) -> BoxStream<'static, Result<RecordedEvent, StoreError>> {
        let ids = self.ids();
        let events: Result<Vec<_>, _> = read().try_collect().now_or_never().expect("a store in memory does not wait");
        let shown: Vec<_> = match events {
            Ok(events) => events.into_iter().filter(|event| !ids.contains(&event.id)).map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        Box::pin(futures::stream::iter(shown))
    }
}
