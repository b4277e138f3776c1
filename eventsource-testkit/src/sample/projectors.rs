//! Two read models of accounts: one view an account, and one view a kind of event.

use eventsource_core::{Envelope, Event, ProjectError, Projector, Scope};
use serde::{Deserialize, Serialize};

use super::account::{Account, AccountEvent};

/// What a page shows of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Whose it is.
    pub owner: String,
    /// `OPEN` or `CLOSED`.
    pub status: String,
    /// What it holds.
    pub cents: i64,
    /// How many events were folded in: an event that counts twice shows here.
    pub changes: u64,
}

/// One [`Balance`] an account. `V` is the version, so that a rebuild can be tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Balances<const V: u32 = 1>;

impl<const V: u32> Projector for Balances<V> {
    const NAME: &'static str = "balances";
    const VERSION: u32 = V;
    const SCOPE: Scope = Scope::Stream;
    const CATEGORY: &'static str = <Account as eventsource_core::Aggregate>::CATEGORY;
    type Event = AccountEvent;
    type View = Balance;
    const INDEXES: &'static [&'static str] = &["owner", "status", "cents"];

    fn key(&self, event: &Envelope<AccountEvent>) -> Option<String> {
        Some(event.record.stream.key().to_owned())
    }

    fn project(&self, view: Option<Balance>, event: &Envelope<AccountEvent>) -> Result<Option<Balance>, ProjectError> {
        let mut view = view.unwrap_or_default();
        view.changes += 1;
        match &event.event {
            AccountEvent::Opened { owner } => {
                view.owner.clone_from(owner);
                view.status = "OPEN".to_owned();
            }
            AccountEvent::Deposited { cents, .. } => view.cents += amount(*cents)?,
            AccountEvent::Withdrawn { cents, .. } => view.cents -= amount(*cents)?,
            AccountEvent::Closed => view.status = "CLOSED".to_owned(),
        }
        Ok(Some(view))
    }
}

/// What became of one kind of event, over all accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// How many there were.
    pub count: u64,
    /// How much money they moved.
    pub cents: i64,
}

/// One [`Activity`] a kind of event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Activities;

impl Projector for Activities {
    const NAME: &'static str = "activities";
    const VERSION: u32 = 1;
    const SCOPE: Scope = Scope::Global;
    const CATEGORY: &'static str = <Account as eventsource_core::Aggregate>::CATEGORY;
    type Event = AccountEvent;
    type View = Activity;
    const INDEXES: &'static [&'static str] = &[];

    fn key(&self, event: &Envelope<AccountEvent>) -> Option<String> {
        Some(event.event.name().to_owned())
    }

    fn project(
        &self,
        view: Option<Activity>,
        event: &Envelope<AccountEvent>,
    ) -> Result<Option<Activity>, ProjectError> {
        let Activity { count, cents } = view.unwrap_or_default();
        let moved = match &event.event {
            AccountEvent::Deposited { cents, .. } | AccountEvent::Withdrawn { cents, .. } => amount(*cents)?,
            AccountEvent::Opened { .. } | AccountEvent::Closed => 0,
        };
        Ok(Some(Activity { count: count + 1, cents: cents.wrapping_add(moved) }))
    }
}

/// An amount that a page can show; more is a fault that parks the stream.
fn amount(cents: u64) -> Result<i64, ProjectError> {
    i64::try_from(cents)
        .ok()
        .filter(|cents| *cents < i64::MAX / 1_000_000)
        .ok_or_else(|| ProjectError::new(format!("{cents} cents are more than there is")))
}
