//! What the tests of the SQLite files share.

use eventsource_core::{Message, Metadata};
use uuid::Uuid;

/// Message `number` of `session`, with an id and a body of its own.
pub(crate) fn message(session: &str, number: u32) -> Message {
    let name = format!("{session}/{number}");
    Message {
        id: Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()),
        session: session.into(),
        subject: "step".into(),
        body: format!("{{\"message\":\"{name}\"}}").into(),
        metadata: Metadata { actor: Some("ada".into()), ..Metadata::default() },
        not_before: None,
    }
}
