//! Laws 13 and 14: core's [`CommandHandler`] over any stores.

mod again;
mod conflict;
mod race;

use std::{num::NonZeroU64, sync::Arc};

use eventsource_core::{
    CommandEnvelope, CommandHandler, CommandId, EventStore, ExecuteError, Executed, Metadata, RecordedEvent, StreamId,
};
use uuid::Uuid;

pub use again::{
    law_13_redelivery_finds_a_commit_that_lies_far_back, law_13_redelivery_gives_the_first_outcome,
    law_13_redelivery_of_a_rejection_gives_the_rejection, law_13_redelivery_to_another_handler_gives_the_first_outcome,
    law_13_snapshots_change_nothing,
};
pub use conflict::{
    law_14_conflict_decides_again, law_14_conflicts_are_tried_again_so_often_only,
    law_14_rejection_is_never_tried_again,
};
pub use race::{
    law_13_dropped_execution_can_be_repeated, law_13_racing_deliveries_take_effect_once,
    law_14_racing_handlers_keep_the_rules,
};

use crate::{
    ExecuteFixture, LawBroken,
    laws::support::read_stream,
    sample::{Account, AccountCommand, AccountEvent, AccountRejection},
};

type Handler = CommandHandler<Account>;
type Outcome = Result<Executed<AccountEvent>, ExecuteError<AccountRejection>>;

/// A handler with an empty cache: what a restarted process has.
fn handler(fixture: &ExecuteFixture) -> Handler {
    CommandHandler::new(Arc::clone(&fixture.store), Arc::clone(&fixture.outcomes))
}

fn handler_with_snapshots(fixture: &ExecuteFixture, every: u64) -> Handler {
    let every = NonZeroU64::new(every).unwrap_or(NonZeroU64::MIN);
    handler(fixture).with_snapshots(Arc::clone(&fixture.snapshots), every)
}

fn order(command: AccountCommand) -> CommandEnvelope<AccountCommand> {
    let actor = Metadata { actor: Some("ada".into()), ..Metadata::default() };
    CommandEnvelope::new(CommandId::from_uuid(Uuid::new_v4()), command, actor)
}

fn open(account: &str) -> CommandEnvelope<AccountCommand> {
    order(AccountCommand::Open { account: account.to_owned(), owner: "ada".to_owned() })
}

fn deposit(account: &str, cents: u64) -> CommandEnvelope<AccountCommand> {
    order(AccountCommand::Deposit { account: account.to_owned(), cents })
}

fn withdraw(account: &str, cents: u64) -> CommandEnvelope<AccountCommand> {
    order(AccountCommand::Withdraw { account: account.to_owned(), cents })
}

fn close(account: &str) -> CommandEnvelope<AccountCommand> {
    order(AccountCommand::Close { account: account.to_owned() })
}

/// An account with this much in it.
async fn opened(handler: &Handler, account: &str, cents: u64) -> Result<(), LawBroken> {
    handler.execute(&open(account)).await?;
    handler.execute(&deposit(account, cents)).await?;
    Ok(())
}

async fn stored(store: &dyn EventStore, account: &str) -> Result<Vec<RecordedEvent>, LawBroken> {
    Ok(read_stream(store, &StreamId::new("account", account)?).await?)
}

impl From<ExecuteError<AccountRejection>> for LawBroken {
    #[track_caller]
    fn from(error: ExecuteError<AccountRejection>) -> Self {
        Self::caused("a command was not carried out", error)
    }
}
