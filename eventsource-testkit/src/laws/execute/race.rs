//! Laws 13 and 14 under pressure: many deliveries, many handlers, lost patience.

use std::{collections::HashSet, sync::Arc};

use eventsource_core::{CommandEnvelope, ExecuteError, Executed, StoreError};

use super::{Handler, deposit, handler, open, opened, stored, withdraw};
use crate::{
    ExecuteFixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    laws::support::{Race, dropped_after_polls, start_line},
    sample::{AccountCommand, AccountEvent, AccountRejection},
};

/// Delivers a command until it is not a conflict any more, as a queue does.
async fn deliver(
    handler: &Handler,
    command: &CommandEnvelope<AccountCommand>,
) -> Result<Result<Executed<AccountEvent>, AccountRejection>, LawBroken> {
    for _ in 0..1_000 {
        match handler.execute(command).await {
            Ok(done) => return Ok(Ok(done)),
            Err(ExecuteError::Rejected(rejection)) => return Ok(Err(rejection)),
            Err(ExecuteError::Store(StoreError::Conflict { .. })) => tokio::task::yield_now().await,
            Err(other) => return Err(other.into()),
        }
    }
    Err(LawBroken::new("a command met conflicts in each of 1,000 deliveries"))
}

/// Law 13: a command that is delivered many times at once, to handlers of several processes, takes
/// effect once, and all deliveries learn the same.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_racing_deliveries_take_effect_once(fixture: ExecuteFixture) -> Verdict {
    const DELIVERIES: usize = 24;
    let handlers = [handler(&fixture), handler(&fixture), handler(&fixture)];
    opened(&handlers[0], "a", 1_000).await?;
    for round in 0..6_usize {
        let command = Arc::new(withdraw("a", 10));
        let line = start_line(DELIVERIES);
        let mut race = Race::new();
        for delivery in 0..DELIVERIES {
            let (handler, command, line) = (handlers[delivery % 3].clone(), Arc::clone(&command), Arc::clone(&line));
            race.enter(async move {
                line.wait().await;
                deliver(&handler, &command).await
            });
        }
        let mut told = HashSet::new();
        let mut firsts = 0;
        for outcome in race.results().await? {
            let done = outcome.map_err(|rejection| LawBroken::new(format!("a delivery was rejected: {rejection}")))?;
            firsts += usize::from(!done.duplicate);
            told.insert(format!("{:?} {:?}", done.version, done.events));
        }
        ensure_eq!(told.len(), 1, "answers to one command: {told:?}");
        ensure!(firsts <= 1, "{firsts} deliveries of one command were told that they are the first");
        ensure_eq!(stored(&*fixture.store, "a").await?.len(), 3 + round, "events after {DELIVERIES} deliveries");
    }
    Ok(())
}

/// Law 13: a command whose execution was dropped at any point takes effect once when it comes again,
/// to the same handler or after a restart.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_dropped_execution_can_be_repeated(fixture: ExecuteFixture) -> Verdict {
    let mut hot = handler(&fixture);
    opened(&hot, "a", 1_000).await?;
    for polls in 0..16_u32 {
        if polls % 2 == 1 {
            hot = handler(&fixture);
        }
        let command = withdraw("a", 10);
        dropped_after_polls(hot.execute(&command), polls).await;
        let survivor = if polls % 4 < 2 { hot.clone() } else { handler(&fixture) };
        let done = deliver(&survivor, &command).await?;
        let version = done.ok().and_then(|done| done.version).map(eventsource_core::Version::value);
        ensure_eq!(version, Some(u64::from(polls) + 3), "version after an execution dropped after {polls} polls");
        let events = stored(&*fixture.store, "a").await?.len();
        ensure_eq!(
            u32::try_from(events).ok(),
            Some(polls + 3),
            "events after an execution dropped after {polls} polls"
        );
    }
    Ok(())
}

/// Law 14: handlers of several processes that race for one aggregate keep its rules: no withdrawal
/// is decided on a state that is not there, and each command takes effect once.
///
/// # Errors
/// When the law is broken.
pub async fn law_14_racing_handlers_keep_the_rules(fixture: ExecuteFixture) -> Verdict {
    const HANDLERS: usize = 4;
    const COMMANDS: u64 = 25;
    handler(&fixture).execute(&open("a")).await?;
    let line = start_line(HANDLERS);
    let mut race = Race::new();
    for _ in 0..HANDLERS {
        let (handler, line) = (handler(&fixture), Arc::clone(&line));
        race.enter(async move {
            line.wait().await;
            let mut moved = 0_i64;
            for n in 0..COMMANDS {
                let cents = i64::try_from(n % 5 + 1).unwrap_or_default();
                if n % 2 == 0 {
                    deliver(&handler, &deposit("a", cents.unsigned_abs())).await?.map_err(refused)?;
                    moved += cents;
                } else if deliver(&handler, &withdraw("a", 2 * cents.unsigned_abs())).await?.is_ok() {
                    moved -= 2 * cents;
                }
            }
            Ok(moved)
        });
    }
    let right: i64 = race.results().await?.into_iter().sum();
    let mut cents = 0_i64;
    for record in stored(&*fixture.store, "a").await? {
        for event in eventsource_core::Codec::<AccountEvent>::default().decode(&record)? {
            match event {
                AccountEvent::Deposited { cents: more, .. } => cents += i64::try_from(more).unwrap_or_default(),
                AccountEvent::Withdrawn { cents: less, .. } => cents -= i64::try_from(less).unwrap_or_default(),
                AccountEvent::Opened { .. } | AccountEvent::Closed => {}
            }
        }
        ensure!(cents >= 0, "the account holds {cents} cents at version {}", record.version);
    }
    ensure_eq!(cents, right, "what the account holds after all commands");
    Ok(())
}

fn refused(rejection: AccountRejection) -> LawBroken {
    LawBroken::new(format!("a deposit to an open account was rejected: {rejection}"))
}
