//! Law 14: other writers were faster.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use eventsource_core::{
    Aggregate, Command, CommandEnvelope, CommandHandler, CommandId, Context, ExecuteError, ExecuteOptions, Metadata,
    StoreError, Version,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{close, handler, opened, stored, withdraw};
use crate::{
    ExecuteFixture, Verdict,
    broken::{ensure, ensure_eq},
    chaos::ContendedStore,
    sample::{AccountEvent, AccountRejection},
};

/// Law 14: after a conflict the command is decided again on the state that is there now.
///
/// # Errors
/// When the law is broken.
pub async fn law_14_conflict_decides_again(fixture: ExecuteFixture) -> Verdict {
    let (one, two) = (handler(&fixture), handler(&fixture));
    opened(&one, "a", 100).await?;
    two.execute(&withdraw("a", 10)).await?;
    // What the first handler has in its cache is behind; each of these is a conflict at first.
    let accepted = one.execute(&withdraw("a", 80)).await?;
    ensure_eq!(accepted.version.map(Version::value), Some(4), "version of a withdrawal after a conflict");
    let refused = two.execute(&withdraw("a", 80)).await;
    ensure!(
        matches!(refused, Err(ExecuteError::Rejected(AccountRejection::Overdrawn { cents: 10 }))),
        "a withdrawal of more than there is by now gave {refused:?}"
    );
    one.execute(&close("a")).await?;
    let refused = two.execute(&withdraw("a", 0)).await;
    ensure!(
        matches!(refused, Err(ExecuteError::Rejected(AccountRejection::NotOpen))),
        "a closed account gave {refused:?}"
    );
    ensure_eq!(stored(&*fixture.store, "a").await?.len(), 6, "events after two withdrawals and a payout");
    Ok(())
}

/// Law 14: a conflict is tried again as often as the options say, each time decided anew, and then
/// handed to the caller; nothing was written, and the same command may come again.
///
/// # Errors
/// When the law is broken.
pub async fn law_14_conflicts_are_tried_again_so_often_only(fixture: ExecuteFixture) -> Verdict {
    const RETRIES: u32 = 4;
    let key = Uuid::new_v4().to_string();
    let contended = Arc::new(ContendedStore::new(Arc::clone(&fixture.store)));
    let handler = CommandHandler::<Counting>::new(contended.clone(), Arc::clone(&fixture.outcomes))
        .with_options(ExecuteOptions::default().conflict_retries_max(RETRIES));
    let command = counted(&key, Wish::Deposit);
    contended.contend(u32::MAX);
    let failed = handler.execute(&command).await;
    ensure!(
        matches!(failed, Err(ExecuteError::Store(StoreError::Conflict { .. }))),
        "endless conflicts gave {failed:?}"
    );
    ensure_eq!(decisions(&key), RETRIES + 1, "decisions under endless conflicts");
    let appended = fixture.store.find_event(command.id.event_id(0)).await?;
    ensure_eq!(appended, None, "what was appended under endless conflicts");

    contended.contend(RETRIES);
    let executed = handler.execute(&command).await?;
    ensure!(!executed.duplicate, "a command that came to nothing before is a duplicate");
    ensure_eq!(decisions(&key), 2 * (RETRIES + 1), "decisions with as many conflicts as are allowed");
    Ok(())
}

/// Law 14: a rejection is decided once and never tried again, nor decided again when it comes again.
///
/// # Errors
/// When the law is broken.
pub async fn law_14_rejection_is_never_tried_again(fixture: ExecuteFixture) -> Verdict {
    let key = Uuid::new_v4().to_string();
    let handler = CommandHandler::<Counting>::new(Arc::clone(&fixture.store), Arc::clone(&fixture.outcomes));
    let command = counted(&key, Wish::Rejection);
    for _ in 0..3 {
        let refused = handler.execute(&command).await;
        ensure!(
            matches!(refused, Err(ExecuteError::Rejected(_) | ExecuteError::RejectedBefore { .. })),
            "a command that is rejected gave {refused:?}"
        );
        ensure_eq!(decisions(&key), 1, "decisions on a command that is rejected");
    }
    Ok(())
}

/// An aggregate that counts how often it is asked, by key.
#[derive(Clone, Debug, Default)]
struct Counting;

#[derive(Debug, Serialize, Deserialize)]
struct Counted {
    key: String,
    wish: Wish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Wish {
    Deposit,
    Rejection,
}

static DECISIONS: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

fn decisions(key: &str) -> u32 {
    let counts = DECISIONS.lock().unwrap_or_else(PoisonError::into_inner);
    counts.as_ref().and_then(|counts| counts.get(key)).copied().unwrap_or_default()
}

fn counted(key: &str, wish: Wish) -> CommandEnvelope<Counted> {
    let command = Counted { key: key.to_owned(), wish };
    CommandEnvelope::new(CommandId::from_uuid(Uuid::new_v4()), command, Metadata::default())
}

impl Command for Counted {
    fn name(&self) -> &'static str {
        "count"
    }

    fn aggregate_key(&self) -> &str {
        &self.key
    }
}

impl Aggregate for Counting {
    const CATEGORY: &'static str = "counting";
    type Command = Counted;
    type Event = AccountEvent;
    type Rejection = AccountRejection;

    fn decide(&self, command: &Counted, _: &Context<'_>) -> Result<Vec<AccountEvent>, AccountRejection> {
        let mut counts = DECISIONS.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.get_or_insert_default().entry(command.key.clone()).or_default() += 1;
        match command.wish {
            Wish::Deposit => Ok(vec![AccountEvent::Deposited { cents: 1, at: 0 }]),
            Wish::Rejection => Err(AccountRejection::NotOpen),
        }
    }

    fn evolve(&mut self, _: &AccountEvent) {}
}
