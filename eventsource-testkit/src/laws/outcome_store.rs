//! Law 13 at the port: what an [`OutcomeStore`] promises.

use std::sync::Arc;

use eventsource_core::{CommandId, Outcome, OutcomeStore};
use uuid::Uuid;

use super::support::{Race, start_line, stream, version};
use crate::{
    Fixture, Verdict,
    broken::{ensure, ensure_eq},
};

fn command(number: u128) -> CommandId {
    CommandId::from_uuid(Uuid::from_u128(number))
}

fn rejected(code: &str) -> Outcome {
    let message = format!("the rule {code} says \"no\": ü 日本 '");
    Outcome::Rejected { stream: stream("a/b ü"), code: code.to_owned(), message }
}

fn every_kind() -> Vec<Outcome> {
    vec![
        rejected("not-open"),
        Outcome::Unchanged { stream: stream("a"), version: None },
        Outcome::Unchanged { stream: stream("a"), version: Some(version(7)) },
        Outcome::Committed { stream: stream("b"), version: version(u64::MAX) },
        Outcome::Rejected { stream: stream("c"), code: String::new(), message: String::new() },
    ]
}

/// Law 13: an outcome of any kind comes back value for value; an unknown command has none.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_outcomes_come_back(fixture: Fixture<dyn OutcomeStore>) -> Verdict {
    let store = fixture.port();
    ensure_eq!(store.find(command(0)).await?, None, "the outcome of an unknown command");
    for (outcome, number) in every_kind().into_iter().zip(1..) {
        ensure_eq!(store.record(command(number), outcome.clone()).await?, outcome, "what recording gives");
        ensure_eq!(store.find(command(number)).await?, Some(outcome), "the outcome of command {number}");
    }
    ensure_eq!(store.find(command(u128::MAX)).await?, None, "the outcome of an unknown command");
    Ok(())
}

/// Law 13: the first outcome of a command stays; whoever records another is told the first.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_first_outcome_stays(fixture: Fixture<dyn OutcomeStore>) -> Verdict {
    let store = fixture.port();
    for (first, number) in every_kind().into_iter().zip(1..) {
        store.record(command(number), first.clone()).await?;
        for later in every_kind() {
            ensure_eq!(store.record(command(number), later).await?, first, "what recording another outcome gives");
            ensure_eq!(
                store.find(command(number)).await?.as_ref(),
                Some(&first),
                "the outcome after another was recorded"
            );
        }
    }
    Ok(())
}

/// Law 13: of outcomes recorded at once one is the first, and all who recorded are told the same.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_racing_outcomes_agree(fixture: Fixture<dyn OutcomeStore>) -> Verdict {
    const RACERS: usize = 16;
    let store = fixture.port();
    for round in 0..8 {
        let line = start_line(RACERS);
        let mut race = Race::new();
        for racer in 0..RACERS {
            let (store, line) = (Arc::clone(&store), Arc::clone(&line));
            race.enter(async move {
                line.wait().await;
                Ok(store.record(command(round), rejected(&format!("rule-{racer}"))).await?)
            });
        }
        let told = race.results().await?;
        let first = store.find(command(round)).await?;
        ensure!(
            told.iter().all(|told| Some(told) == first.as_ref()),
            "{first:?} is the outcome, racers were told {told:?}"
        );
    }
    Ok(())
}

/// Law 13: many commands, each with its own outcome, are told apart.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_outcomes_of_commands_do_not_mix(fixture: Fixture<dyn OutcomeStore>) -> Verdict {
    let store = fixture.port();
    // Ids that differ in a single bit, and that share their first or last half.
    let numbers: Vec<u128> = (0..128).map(|bit| 1 << bit).collect();
    for (number, at) in numbers.iter().zip(1_u32..) {
        store.record(command(*number), rejected(&at.to_string())).await?;
    }
    for (number, at) in numbers.iter().zip(1_u32..) {
        ensure_eq!(store.find(command(*number)).await?, Some(rejected(&at.to_string())), "the outcome of one of many");
        let nearby = number ^ (7 << 40);
        ensure_eq!(store.find(command(nearby)).await?, None, "the outcome of an id nearby");
    }
    Ok(())
}

/// Law 13: a recorded outcome is there after the store was closed and opened again.
///
/// A store that cannot be opened again says why.
///
/// # Errors
/// When the law is broken.
pub async fn law_13_outcomes_are_there_after_reopening(fixture: Fixture<dyn OutcomeStore>) -> Verdict {
    let store = fixture.port();
    for number in 0..20 {
        store.record(command(number), rejected(&number.to_string())).await?;
    }
    drop(store);
    let Some(fixture) = fixture.reopened().await? else { return Ok(()) };
    let store = fixture.port();
    for number in 0..20 {
        let right = rejected(&number.to_string());
        ensure_eq!(store.find(command(number)).await?.as_ref(), Some(&right), "an outcome after reopening");
        let again = store.record(command(number), rejected("later")).await?;
        ensure_eq!(again, right, "what recording another outcome gives after reopening");
    }
    ensure_eq!(store.find(command(20)).await?, None, "the outcome of an unknown command after reopening");
    Ok(())
}
