//! Every workflow, one state at a time: all that there are, then each that changes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use eventsource_core::{LiveChanges, LiveError, LiveQueries, LiveView, Position, ViewQuery};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::projections::{WorkflowView, Workflows};

/// Views read together.
const PAGE: u32 = 200;

/// The newest state of every workflow, then every newer one: none twice and none that leads back.
/// Whoever was slow for too long is told the newest state of every workflow again.
pub(super) fn every(queries: LiveQueries<Workflows>) -> BoxStream<'static, Result<LiveView<WorkflowView>, LiveError>> {
    // Following begins before reading, so nothing falls between the two.
    let changes = queries.changes(None);
    let all = Every { queries, changes, told: VecDeque::new(), page: Page::Begin, read: HashMap::new() };
    stream::unfold(all, |mut all| async move {
        let state = all.next().await?;
        Some((state, all))
    })
    .boxed()
}

struct Every {
    queries: LiveQueries<Workflows>,
    changes: BoxStream<'static, Result<LiveChanges<WorkflowView>, LiveError>>,
    /// States that wait to be taken.
    told: VecDeque<LiveView<WorkflowView>>,
    page: Page,
    /// What the pages showed of views that the changes may still tell of.
    read: HashMap<Arc<str>, Option<Position>>,
}

enum Page {
    /// The changes tell first where they begin.
    Begin,
    From(Option<String>),
    Done,
    /// An error was told.
    Ended,
}

impl Every {
    async fn next(&mut self) -> Option<Result<LiveView<WorkflowView>, LiveError>> {
        loop {
            if let Some(state) = self.told.pop_front() {
                return Some(Ok(state));
            }
            let step = match &mut self.page {
                Page::Ended => return None,
                Page::From(after) => {
                    let after = after.take();
                    self.read_page(after).await
                }
                Page::Begin | Page::Done => match self.changes.next().await? {
                    Ok(changes) => {
                        self.take_in(changes);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = step {
                self.page = Page::Ended;
                return Some(Err(error));
            }
        }
    }

    async fn read_page(&mut self, after: Option<String>) -> Result<(), LiveError> {
        let mut query = ViewQuery::default();
        query.after = after;
        query.limit = PAGE;
        let page = self.queries.find(query).await?;
        self.page = match page.views.last() {
            Some(last) if page.more => Page::From(Some(last.cursor.clone())),
            _ => Page::Done,
        };
        for found in page.views {
            self.read.insert(Arc::clone(&found.view.key), found.view.position);
            self.told.push_back(found.view);
        }
        Ok(())
    }

    /// Takes in what changed and was not read with a page. At the beginning, and after a resync, all
    /// pages are read.
    fn take_in(&mut self, changes: LiveChanges<WorkflowView>) {
        if changes.resync || matches!(self.page, Page::Begin) {
            self.page = Page::From(None);
            return;
        }
        let read = &self.read;
        let newer =
            changes.views.into_iter().filter(|view| read.get(&view.key).is_none_or(|read| view.position > *read));
        self.told.extend(newer);
        // The changes tell of positions in order: what lies behind them comes no more.
        self.read.retain(|_, position| *position > changes.position);
    }
}
