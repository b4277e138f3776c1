//! Law 13: a command that comes again.

use std::error::Error;

use eventsource_core::{CommandEnvelope, ExecuteError, Outcome as Recorded, RECENT_COMMANDS_MAX};

use super::{Handler, Outcome, close, deposit, handler, handler_with_snapshots, open, opened, stored, withdraw};
use crate::{
    ExecuteFixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq},
    sample::AccountCommand,
};

/// What a caller learns, without whether it is the first to learn it.
fn answer(outcome: &Outcome) -> Result<String, LawBroken> {
    match outcome {
        Ok(done) => Ok(format!("{} at {:?} with {:?}", done.stream, done.version, done.events)),
        Err(ExecuteError::Rejected(rejection)) => {
            Ok(format!("rejected {}: {rejection}", eventsource_core::Rejection::code(rejection)))
        }
        Err(ExecuteError::RejectedBefore { code, message }) => Ok(format!("rejected {code}: {message}")),
        Err(other) => Err(LawBroken::new(format!("a command failed: {other} ({:?})", other.source()))),
    }
}

/// Delivers `command` to each handler again: the same answer, marked as a duplicate, nothing appended.
async fn comes_again(
    fixture: &ExecuteFixture,
    handlers: &[(&str, Handler)],
    command: &CommandEnvelope<AccountCommand>,
    first: &Outcome,
) -> Verdict {
    let account = eventsource_core::Command::aggregate_key(&command.command);
    let before = stored(&*fixture.store, account).await?;
    for (what, handler) in handlers {
        for _ in 0..2 {
            let again = handler.execute(command).await;
            ensure_eq!(
                answer(&again)?,
                answer(first)?,
                "what {what} answers to {:?} that comes again",
                command.command
            );
            let duplicate = match &again {
                Ok(done) => done.duplicate,
                Err(error) => matches!(error, ExecuteError::RejectedBefore { .. }),
            };
            ensure!(duplicate, "{what} does not know that {:?} comes again: {again:?}", command.command);
            if let (Ok(again), Ok(first)) = (&again, first) {
                ensure!(
                    again.position.is_none() || first.position.is_none() || again.position == first.position,
                    "{what} tells another position"
                );
            }
        }
        ensure!(
            stored(&*fixture.store, account).await? == before,
            "{what} appended for {:?} that comes again",
            command.command
        );
    }
    Ok(())
}

/// Law 13: a redelivered command gets its first outcome and appends nothing: events, several events
/// and no event, from the cache and after a restart, also when the state has moved on so far that it
/// would be decided otherwise today.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_redelivery_gives_the_first_outcome(fixture: ExecuteFixture) -> Verdict {
    let hot = handler(&fixture);
    let commands = [open("a"), deposit("a", 100), deposit("a", 0), withdraw("a", 60), close("a")];
    let mut outcomes = Vec::new();
    for command in &commands {
        let outcome = hot.execute(command).await;
        ensure!(outcome.as_ref().is_ok_and(|done| !done.duplicate), "a first delivery gave {outcome:?}");
        comes_again(
            &fixture,
            &[("the same handler", hot.clone()), ("a new handler", handler(&fixture))],
            command,
            &outcome,
        )
        .await?;
        outcomes.push(outcome);
    }
    // The account is closed by now: each of these would be rejected if it were decided again.
    for (command, first) in commands.iter().zip(&outcomes) {
        comes_again(
            &fixture,
            &[("the same handler", hot.clone()), ("a new handler", handler(&fixture))],
            command,
            first,
        )
        .await?;
    }
    let events = stored(&*fixture.store, "a").await?;
    ensure_eq!(
        events.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(),
        ["opened", "deposited", "withdrawn", "withdrawn", "closed"],
        "events"
    );
    let last = Some(eventsource_core::Version::FIRST.plus(4));
    let recorded = handler(&fixture).outcome(commands[4].id).await?;
    ensure!(
        matches!(&recorded, Some(Recorded::Committed { version, .. }) if Some(*version) == last),
        "the outcome is {recorded:?}"
    );
    Ok(())
}

/// Law 13: a rejection is an outcome too: it is given again, also after a restart, also when the
/// state has moved on so that the command would be accepted today.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_redelivery_of_a_rejection_gives_the_rejection(fixture: ExecuteFixture) -> Verdict {
    let hot = handler(&fixture);
    let early = deposit("a", 5);
    let not_open = hot.execute(&early).await;
    ensure!(matches!(not_open, Err(ExecuteError::Rejected(_))), "a deposit to no account gave {not_open:?}");
    opened(&hot, "a", 10).await?;
    let large = withdraw("a", 50);
    let overdrawn = hot.execute(&large).await;
    ensure!(matches!(overdrawn, Err(ExecuteError::Rejected(_))), "a withdrawal of too much gave {overdrawn:?}");
    hot.execute(&deposit("a", 1_000)).await?;
    for (command, first) in [(&early, &not_open), (&large, &overdrawn)] {
        comes_again(
            &fixture,
            &[("the same handler", hot.clone()), ("a new handler", handler(&fixture))],
            command,
            first,
        )
        .await?;
        let recorded = handler(&fixture).outcome(command.id).await?;
        ensure!(matches!(recorded, Some(Recorded::Rejected { .. })), "the recorded outcome is {recorded:?}");
    }
    Ok(())
}

/// Law 13: a command that was carried out by one handler and comes to another, which has the
/// aggregate in its cache as it was before, gets the first outcome: the events that are stored.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_redelivery_to_another_handler_gives_the_first_outcome(fixture: ExecuteFixture) -> Verdict {
    let (one, two) = (handler(&fixture), handler(&fixture));
    opened(&one, "a", 100).await?;
    // Both have the account in their caches at the same version.
    two.execute(&deposit("a", 0)).await?;
    for command in [deposit("a", 7), withdraw("a", 50), close("a")] {
        let first = one.execute(&command).await;
        answer(&first)?;
        comes_again(&fixture, &[("another handler", two.clone()), ("the same handler", one.clone())], &command, &first)
            .await?;
    }
    for handler in [&one, &two, &handler(&fixture)] {
        let refused = handler.execute(&deposit("a", 1)).await;
        ensure!(matches!(refused, Err(ExecuteError::Rejected(_))), "a deposit to a closed account gave {refused:?}");
    }
    Ok(())
}

/// Law 13: a commit that lies under more commands than are remembered, and under a snapshot, is
/// found all the same.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_redelivery_finds_a_commit_that_lies_far_back(fixture: ExecuteFixture) -> Verdict {
    let hot = handler_with_snapshots(&fixture, 5);
    opened(&hot, "a", 100).await?;
    let early = [withdraw("a", 30), deposit("a", 0), withdraw("a", 1_000)];
    let mut outcomes = Vec::new();
    for command in &early {
        outcomes.push(hot.execute(command).await);
    }
    for _ in 0..RECENT_COMMANDS_MAX + 10 {
        hot.execute(&deposit("a", 1)).await?;
    }
    // Now the first withdrawal would be decided otherwise: one event of another time, or a rejection.
    hot.execute(&withdraw("a", 70 + 74)).await?;
    for (command, first) in early.iter().zip(&outcomes) {
        let handlers = [
            ("the same handler", hot.clone()),
            ("a new handler with snapshots", handler_with_snapshots(&fixture, 5)),
            ("a new handler without snapshots", handler(&fixture)),
        ];
        comes_again(&fixture, &handlers, command, first).await?;
    }
    Ok(())
}

/// A state out of a snapshot and the events after it is the state out of all events.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_snapshots_change_nothing(fixture: ExecuteFixture) -> Verdict {
    let hot = handler_with_snapshots(&fixture, 3);
    opened(&hot, "a", 100).await?;
    for cents in 1..=20 {
        hot.execute(&withdraw("a", cents % 4 + 1)).await?;
        let with = handler_with_snapshots(&fixture, 3).load("a").await;
        let without = handler(&fixture).load("a").await;
        let (Ok(with), Ok(without)) = (with, without) else {
            return Err(LawBroken::new("an account cannot be loaded"));
        };
        ensure_eq!((with.version, with.state), (without.version, without.state), "the state with a snapshot");
    }
    Ok(())
}
