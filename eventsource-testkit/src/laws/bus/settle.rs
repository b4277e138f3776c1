//! Law 11: messages that were not completed.

use super::{A_WHILE, ensure_nothing, message, next, number};
use crate::{
    BusFixture, DeadLettered, Verdict,
    broken::{ensure, ensure_eq},
};

/// Law 11: an abandoned message comes back with a higher attempt, before the next of its session.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_abandoned_message_comes_back_first(fixture: BusFixture) -> Verdict {
    fixture.sender().send((0..3).map(|n| message("s", n)).collect()).await?;
    let mut deliveries = fixture.receiver().deliveries();
    for right in 0..3 {
        for attempt in 1..=2 {
            let delivery = next(&mut deliveries).await?;
            ensure_eq!((number(&delivery.message), delivery.attempt), (Some(right), attempt), "message and attempt");
            if attempt == 1 {
                delivery.abandon("the law says so").await?;
            } else {
                delivery.complete().await?;
            }
        }
    }
    ensure_nothing(&mut deliveries, A_WHILE, "after all messages were completed").await
}

/// Law 11: after its last attempt a message is in the dead letters with a reason, and the session
/// goes on.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_attempts_end_in_the_dead_letters(fixture: BusFixture) -> Verdict {
    let (hopeless, next_one) = (message("s", 1), message("s", 2));
    fixture.sender().send(vec![hopeless.clone(), next_one.clone()]).await?;
    let mut deliveries = fixture.receiver().deliveries();
    ensure!(fixture.attempts_max() >= 2, "the fixture gives a message up after one attempt, laws need 2 or more");
    for attempt in 1..=fixture.attempts_max() {
        let delivery = next(&mut deliveries).await?;
        ensure_eq!((delivery.message.id, delivery.attempt), (hopeless.id, attempt), "message and attempt");
        ensure_eq!(fixture.list_dead_letters().await?, [], "dead letters before the last attempt");
        delivery.abandon("it fails each time").await?;
    }
    let delivery = next(&mut deliveries).await?;
    ensure_eq!((delivery.message.id, delivery.attempt), (next_one.id, 1), "the next message of the session");
    delivery.complete().await?;
    let dead = fixture.list_dead_letters().await?;
    ensure_eq!(dead.iter().map(|letter| letter.message).collect::<Vec<_>>(), [hopeless.id], "dead letters");
    ensure!(!dead[0].reason.is_empty(), "a dead letter has no reason");
    ensure_nothing(&mut deliveries, A_WHILE, "after the last attempt").await
}

/// Law 11: a message that the receiver gives up on is in the dead letters at once, with the
/// receiver's reason, and the session goes on.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_dead_letter_keeps_its_reason(fixture: BusFixture) -> Verdict {
    let sent: Vec<_> = (0..3).map(|n| message("s", n)).collect();
    fixture.sender().send(sent.clone()).await?;
    let mut deliveries = fixture.receiver().deliveries();
    next(&mut deliveries).await?.dead_letter("cannot-be-read", "a ü is missing").await?;
    next(&mut deliveries).await?.complete().await?;
    next(&mut deliveries).await?.dead_letter("another", "").await?;
    let right = [(0, "cannot-be-read"), (2, "another")];
    let right = right.map(|(n, reason)| DeadLettered { message: sent[n].id, reason: reason.to_owned() });
    ensure_eq!(fixture.list_dead_letters().await?, right, "dead letters");
    ensure_nothing(&mut deliveries, A_WHILE, "after all messages were settled").await
}
