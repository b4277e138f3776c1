//! Laws 11 and 12: what a queue promises, through its
//! [`MessageSender`](eventsource_core::MessageSender) and
//! [`MessageReceiver`](eventsource_core::MessageReceiver).

mod delivery;
mod lock;
mod order;
mod settle;

use std::{future::Future, time::Duration};

use eventsource_core::{BusError, Delivery, Message, Metadata};
use futures::{StreamExt, stream::BoxStream};
use tokio::time::timeout;
use uuid::Uuid;

pub use delivery::{
    law_11_delayed_message_is_not_early, law_11_empty_or_oversize_message_is_invalid,
    law_11_held_session_keeps_no_other_waiting, law_11_message_sent_again, law_11_messages_are_there_after_reopening,
    law_11_sent_messages_are_delivered,
};
pub use lock::{
    law_11_unsettled_comes_back_when_its_lock_runs_out, law_11_unsettled_comes_back_when_the_stream_is_dropped,
    law_12_lost_lock_is_reported, law_12_renewed_lock_holds,
};
pub use order::{law_11_one_receiver_at_a_time_holds_a_session, law_11_order_holds_within_a_session};
pub use settle::{
    law_11_abandoned_message_comes_back_first, law_11_attempts_end_in_the_dead_letters,
    law_11_dead_letter_keeps_its_reason,
};

use crate::LawBroken;

/// Long enough for any delivery that is due, on a busy machine too.
const SOON: Duration = Duration::from_secs(10);
/// Long enough to see that nothing comes.
const A_WHILE: Duration = Duration::from_millis(100);

type Deliveries = BoxStream<'static, Result<Delivery, BusError>>;

fn message(session: &str, number: usize) -> Message {
    Message {
        id: Uuid::new_v4(),
        session: session.into(),
        subject: "ordered".into(),
        body: number.to_string().into(),
        metadata: Metadata::default(),
        not_before: None,
    }
}

fn number(message: &Message) -> Option<usize> {
    std::str::from_utf8(&message.body).ok()?.parse().ok()
}

/// The next delivery, which is due.
async fn next(deliveries: &mut Deliveries) -> Result<Delivery, LawBroken> {
    soon(deliveries.next()).await?.ok_or_else(|| LawBroken::new("the deliveries have ended"))?.map_err(LawBroken::from)
}

async fn soon<T>(future: impl Future<Output = T>) -> Result<T, LawBroken> {
    timeout(SOON, future).await.map_err(|_| LawBroken::new(format!("no delivery came within {SOON:?}")))
}

/// That no delivery comes for a while.
async fn ensure_nothing(deliveries: &mut Deliveries, time: Duration, when: &str) -> Result<(), LawBroken> {
    match timeout(time, deliveries.next()).await {
        Err(_) => Ok(()),
        Ok(come) => Err(LawBroken::new(format!("{come:?} came {when}"))),
    }
}
