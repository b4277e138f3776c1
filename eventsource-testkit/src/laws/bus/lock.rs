//! Laws 11 and 12: locks that run out, are given back, are renewed, are lost.

use std::time::Duration;

use eventsource_core::{BusError, Delivery};
use tokio::time::{Instant, sleep};

use super::{A_WHILE, ensure_nothing, message, next};
use crate::{
    BusFixture, LOCK_TIME_MAX, LawBroken, Verdict,
    broken::{ensure, ensure_eq, ensure_matches},
};

/// The lock time, short enough to wait for.
fn lock_time(delivery: &Delivery) -> Result<Duration, LawBroken> {
    let time = delivery.lock_time();
    if time > LOCK_TIME_MAX {
        return Err(LawBroken::new(format!("the fixture's locks last {time:?}, laws can wait for {LOCK_TIME_MAX:?}")));
    }
    Ok(time)
}

/// Law 11: a message whose lock runs out comes back with a higher attempt, not before its time.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_unsettled_comes_back_when_its_lock_runs_out(fixture: BusFixture) -> Verdict {
    let sent = message("s", 1);
    fixture.sender().send(vec![sent.clone(), message("s", 2)]).await?;
    let mut first = fixture.receiver().deliveries();
    let mut second = fixture.receiver().deliveries();
    let started = Instant::now();
    let held = next(&mut first).await?;
    let lock_time = lock_time(&held)?;
    let again = next(&mut second).await?;
    let waited = started.elapsed();
    ensure_eq!((again.message.id, again.attempt), (sent.id, 2), "message and attempt after the lock ran out");
    ensure!(waited >= lock_time.mul_f64(0.9), "a lock of {lock_time:?} was given to another after {waited:?}");
    again.complete().await?;
    let next_one = next(&mut second).await?;
    ensure_eq!(next_one.attempt, 1, "the attempt of the next message");
    next_one.complete().await?;
    drop(held);
    Ok(())
}

/// Law 11: dropping a stream of deliveries gives back at once what was not settled.
///
/// # Errors
/// When the law is broken.
pub async fn law_11_unsettled_comes_back_when_the_stream_is_dropped(fixture: BusFixture) -> Verdict {
    let sent = [message("s", 1), message("t", 2)];
    fixture.sender().send(sent.to_vec()).await?;
    let mut first = fixture.receiver().deliveries();
    let started = Instant::now();
    let held = [next(&mut first).await?, next(&mut first).await?];
    let lock_time = lock_time(&held[0])?;
    let mut second = fixture.receiver().deliveries();
    drop(first);
    let mut seen = Vec::new();
    for _ in &held {
        let delivery = next(&mut second).await?;
        ensure_eq!(delivery.attempt, 2, "the attempt after the stream was dropped");
        seen.push(delivery.message.id);
        delivery.complete().await?;
    }
    let waited = started.elapsed();
    ensure!(
        waited < lock_time,
        "messages of a dropped stream came back after {waited:?}, the lock time is {lock_time:?}"
    );
    seen.sort_unstable();
    let mut right = sent.map(|message| message.id);
    right.sort_unstable();
    ensure_eq!(seen, right, "messages that came back");
    drop(held);
    Ok(())
}

/// Law 12: whoever settles or renews a message that another receiver has by now is told that the
/// lock was lost, and changes nothing.
///
/// # Errors
/// When the law is broken.
pub async fn law_12_lost_lock_is_reported(fixture: BusFixture) -> Verdict {
    fixture.sender().send((0..4).map(|n| message(&format!("session-{n}"), n)).collect()).await?;
    let mut first = fixture.receiver().deliveries();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut first).await?);
    }
    lock_time(&held[0])?;
    let mut second = fixture.receiver().deliveries();
    let mut theirs = Vec::new();
    for _ in 0..4 {
        theirs.push(next(&mut second).await?);
    }
    for (delivery, way) in held.into_iter().zip(["complete", "abandon", "dead-letter", "renew"]) {
        let mut delivery = delivery;
        let told = match way {
            "complete" => delivery.complete().await,
            "abandon" => delivery.abandon("too late").await,
            "dead-letter" => delivery.dead_letter("too-late", "too late").await,
            _ => delivery.renew().await,
        };
        ensure_matches!(told, Err(BusError::LockLost), "a late {way}");
    }
    ensure_eq!(fixture.list_dead_letters().await?, [], "dead letters after a late dead-letter");
    for delivery in theirs {
        ensure_eq!(delivery.attempt, 2, "the attempt at the receiver that holds the lock");
        delivery.complete().await?;
    }
    ensure_nothing(&mut second, A_WHILE, "after all messages were completed").await?;

    fixture.sender().send(vec![message("given-back", 5)]).await?;
    let held = next(&mut second).await?;
    drop(second);
    next(&mut first).await?.complete().await?;
    ensure_matches!(held.complete().await, Err(BusError::LockLost), "completing what another receiver completed");
    Ok(())
}

/// Law 12: a lock that is renewed in time holds, however long the handler takes.
///
/// # Errors
/// When the law is broken.
pub async fn law_12_renewed_lock_holds(fixture: BusFixture) -> Verdict {
    const RENEWALS: u32 = 10;
    fixture.sender().send(vec![message("s", 1), message("s", 2)]).await?;
    let mut first = fixture.receiver().deliveries();
    let mut second = fixture.receiver().deliveries();
    let mut held = next(&mut first).await?;
    let lock_time = lock_time(&held)?;
    for _ in 0..RENEWALS {
        let pause = lock_time / 4;
        ensure_nothing(&mut second, pause, "while its session was held by a renewed lock").await?;
        held.renew().await?;
    }
    held.complete().await?;
    let next_one = next(&mut second).await?;
    ensure_eq!(next_one.attempt, 1, "the attempt of the next message");
    next_one.complete().await?;
    sleep(lock_time).await;
    ensure_nothing(&mut second, A_WHILE, "after all messages were completed").await
}
