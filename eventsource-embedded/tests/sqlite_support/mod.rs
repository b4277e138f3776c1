//! What the tests of the SQLite files share.

use std::io::Write;

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

/// A number from the environment, for longer runs.
pub(crate) fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number of rounds"))
}

/// A seed from the environment or the clock, printed so that a failure can be repeated.
pub(crate) fn seed(variable: &str) -> u64 {
    let seed = number(variable, fastrand::u64(..));
    // Standard output, so that a failed test shows it.
    writeln!(std::io::stdout(), "{variable}={seed}").expect("standard output takes a line");
    seed
}
