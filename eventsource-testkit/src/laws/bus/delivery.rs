//! Law 11: what was sent is delivered.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use eventsource_core::{BusError, Message, Metadata};
use tokio::time::Instant;
use uuid::Uuid;

use super::{A_WHILE, ensure_nothing, message, next};
use crate::{
    BusFixture, LawBroken, Verdict,
    broken::{ensure, ensure_eq, ensure_matches},
};

/// Law 11: each message is delivered, with everything that was sent, and gone when it is completed.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_sent_messages_are_delivered(fixture: BusFixture) -> Verdict {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let metadata = Metadata {
        correlation_id: Some(Uuid::from_u128(u128::MAX)),
        causation_id: Some(Uuid::from_u128(1)),
        trace: Some(trace.parse().map_err(|_| LawBroken::new("a valid trace context is refused"))?),
        actor: Some("Ädä".into()),
        headers: [("a.b$".to_owned(), "日本".to_owned())].into(),
    };
    let mut sent: Vec<Message> = (0..40).map(|n| message(&format!("session {}/ü", n % 7), n)).collect();
    sent[3].metadata = metadata;
    sent[4].subject = "Befehl größer".into();
    sent[5].body = (0..=255).collect::<Vec<u8>>().into();
    let (first, rest) = sent.split_at(15);
    fixture.sender().send(Vec::new()).await?;
    fixture.sender().send(first.to_vec()).await?;
    let mut deliveries = fixture.receiver().deliveries();
    let mut delivered = HashMap::new();
    for round in 0..sent.len() {
        if round == 5 {
            // The receiver is waiting or busy already.
            fixture.sender().send(rest.to_vec()).await?;
        }
        let delivery = next(&mut deliveries).await?;
        ensure_eq!(delivery.attempt, 1, "the attempt of a first delivery");
        delivered.insert(delivery.message.id, delivery.message.clone());
        delivery.complete().await?;
    }
    let sent: HashMap<_, _> = sent.into_iter().map(|message| (message.id, message)).collect();
    ensure_eq!(delivered, sent, "messages delivered");
    ensure_nothing(&mut deliveries, A_WHILE, "after all messages were completed").await
}

/// Law 11: while a message of one session is held, the same receiver gets those of others.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_held_session_keeps_no_other_waiting(fixture: BusFixture) -> Verdict {
    let sent = (0..12).map(|n| message(&format!("session-{}", n / 2), n)).collect();
    fixture.sender().send(sent).await?;
    let mut deliveries = fixture.receiver().deliveries();
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(next(&mut deliveries).await?);
    }
    let mut sessions: Vec<_> = held.iter().map(|delivery| delivery.message.session.clone()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    ensure_eq!(sessions.len(), 6, "sessions among the first deliveries of six");
    for delivery in held {
        delivery.complete().await?;
    }
    for _ in 0..6 {
        next(&mut deliveries).await?.complete().await?;
    }
    Ok(())
}

/// Law 11: a message that is not to be delivered before a time is not, and is delivered after it.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_delayed_message_is_not_early(fixture: BusFixture) -> Verdict {
    const DELAY: Duration = Duration::from_millis(400);
    // Clocks are read in steps; what a bus may be early by.
    const STEP: Duration = Duration::from_millis(20);
    let mut deliveries = fixture.receiver().deliveries();
    let started = Instant::now();
    let mut later = message("later", 1);
    later.not_before = Some(SystemTime::now() + DELAY);
    let mut past = message("past", 2);
    past.not_before = Some(SystemTime::UNIX_EPOCH);
    fixture.sender().send(vec![later.clone(), message("now", 3), past]).await?;
    let mut early = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut deliveries).await?;
        early.push(delivery.message.session.to_string());
        delivery.complete().await?;
    }
    early.sort_unstable();
    ensure_eq!(early, ["now", "past"], "sessions delivered at once");
    let delivery = next(&mut deliveries).await?;
    let waited = started.elapsed();
    ensure_eq!(delivery.message.id, later.id, "the message delivered last");
    ensure_eq!(delivery.attempt, 1, "the attempt of a delayed message");
    ensure!(waited + STEP >= DELAY, "a message delayed by {DELAY:?} came after {waited:?}");
    Ok(delivery.complete().await?)
}

/// Law 11: a message sent again, because the outcome was unknown, is delivered at least once; once
/// exactly when the bus knows ids again.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_message_sent_again(fixture: BusFixture) -> Verdict {
    let knows_ids = fixture.knows_ids()?;
    let mut deliveries = fixture.receiver().deliveries();
    let (first, second) = (message("s", 1), message("s", 2));
    fixture.sender().send(vec![first.clone(), second.clone()]).await?;
    let delivery = next(&mut deliveries).await?;
    ensure_eq!(delivery.message.id, first.id, "the first message");
    fixture.sender().send(vec![first.clone(), second.clone()]).await?;
    delivery.complete().await?;
    fixture.sender().send(vec![first.clone()]).await?;
    let mut seen = vec![first.id];
    let right = if knows_ids { 2 } else { 5 };
    while seen.len() < right {
        let delivery = next(&mut deliveries).await?;
        seen.push(delivery.message.id);
        delivery.complete().await?;
    }
    ensure!(seen.contains(&second.id), "the second message was not delivered");
    ensure_nothing(&mut deliveries, A_WHILE, "after all messages were completed").await
}

/// Law 11: an empty message, or one over the limit, is `Invalid`, and nothing of its batch is sent.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_empty_or_oversize_message_is_invalid(fixture: BusFixture) -> Verdict {
    let limit = fixture.message_limit()?;
    let mut deliveries = fixture.receiver().deliveries();
    let of_bytes = |bytes| Message { body: vec![b'x'; bytes].into(), ..message("s", 0) };
    for bytes in [Some(0), limit.map(|limit| limit + 1)].into_iter().flatten() {
        let refused = fixture.sender().send(vec![message("s", 1), of_bytes(bytes), message("t", 2)]).await;
        ensure_matches!(refused, Err(BusError::Invalid { .. }), "a body of {bytes} bytes");
    }
    ensure_nothing(&mut deliveries, A_WHILE, "of a batch that was refused").await?;
    let largest = limit.unwrap_or(1 << 20);
    fixture.sender().send(vec![of_bytes(largest)]).await?;
    let delivery = next(&mut deliveries).await?;
    ensure_eq!(delivery.message.body.len(), largest, "bytes of the largest body");
    Ok(delivery.complete().await?)
}

/// Law 11: what was sent and not completed is there after the queue was closed and opened again, in
/// order; what was completed is gone.
///
/// A queue that cannot be opened again says why.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_messages_are_there_after_reopening(fixture: BusFixture) -> Verdict {
    fixture.sender().send((0..10).map(|n| message("s", n)).collect()).await?;
    let mut deliveries = fixture.receiver().deliveries();
    for _ in 0..3 {
        next(&mut deliveries).await?.complete().await?;
    }
    let unsettled = next(&mut deliveries).await?;
    drop((unsettled, deliveries));
    let Some(fixture) = fixture.reopened().await? else { return Ok(()) };
    let mut deliveries = fixture.receiver().deliveries();
    for right in 3..10 {
        let delivery = next(&mut deliveries).await?;
        ensure_eq!(super::number(&delivery.message), Some(right), "the next message after reopening");
        delivery.complete().await?;
    }
    ensure_nothing(&mut deliveries, A_WHILE, "after all messages were completed").await
}
