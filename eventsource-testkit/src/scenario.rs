//! Decisions told as stories: given what happened, when this is ordered, then that happens.

mod diff;

use std::{fmt::Write, time::SystemTime};

use eventsource_core::{Aggregate, Codec, CommandId, Context, Event, Metadata, Rejection};
use uuid::Uuid;

/// The story of an aggregate to which these events happened.
///
/// Pure and synchronous: no store, no runtime. The time of the decision is 1970 unless
/// [`at`](Given::at) says another.
///
/// ```
/// use eventsource_testkit::{given, sample::{Account, AccountCommand, AccountEvent}};
///
/// let opened = AccountEvent::Opened { owner: "ada".into() };
/// given::<Account>([opened.clone()])
///     .when(AccountCommand::Close { account: "1".into() })
///     .then([AccountEvent::Closed]);
/// given::<Account>([opened, AccountEvent::Closed])
///     .when(AccountCommand::Close { account: "1".into() })
///     .then_rejected("not-open");
/// ```
#[must_use = "a story ends with `then`"]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    let mut history = Vec::new();
    for event in events {
        state.evolve(&event);
        history.push(event);
    }
    Given { state, history, now: SystemTime::UNIX_EPOCH, metadata: Metadata::default() }
}

/// An aggregate that waits for a command.
#[derive(Clone, Debug)]
#[must_use = "a story ends with `then`"]
pub struct Given<A: Aggregate> {
    state: A,
    history: Vec<A::Event>,
    now: SystemTime,
    metadata: Metadata,
}

impl<A: Aggregate> Given<A> {
    /// The same at another time.
    pub fn at(self, now: SystemTime) -> Self {
        Self { now, ..self }
    }

    /// The same, with this travelling beside the command.
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }

    /// Orders `command`.
    #[expect(clippy::needless_pass_by_value, reason = "a story reads better without &")]
    pub fn when(self, command: A::Command) -> When<A> {
        let context = Context::new(self.now, CommandId::from_uuid(Uuid::nil()), &self.metadata);
        let decision = self.state.decide(&command, &context);
        let mut story = String::from("given\n");
        write_events(&mut story, &self.history);
        let _ = writeln!(story, "when\n    {command:?}");
        When { state: self.state, decision, story }
    }
}

/// A decision that waits to be compared with what is right.
#[derive(Debug)]
#[must_use = "a story ends with `then`"]
pub struct When<A: Aggregate> {
    state: A,
    decision: Result<Vec<A::Event>, A::Rejection>,
    story: String,
}

impl<A: Aggregate> When<A> {
    /// Exactly these events happen; none means that there is nothing to do.
    ///
    /// Returns the aggregate after them, for a closer look. Events are compared as they would be
    /// stored: by name, schema and payload.
    ///
    /// # Panics
    /// When the decision was another one; the message shows both, line by line.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) -> A {
        let right: Vec<_> = events.into_iter().collect();
        let story = self.story;
        match self.decision {
            Err(rejection) => panic!(
                "{story}then the events\n{}were expected, but it was rejected: {rejection} ({})",
                shown(&right),
                rejection.code()
            ),
            Ok(seen) => {
                assert!(
                    stored(&seen) == stored(&right),
                    "{story}then other events happened than expected (- expected, + happened)\n{}",
                    diff::lines(&shown(&right), &shown(&seen))
                );
                let mut state = self.state;
                seen.iter().for_each(|event| state.evolve(event));
                state
            }
        }
    }

    /// It is rejected with this code.
    ///
    /// Returns the rejection, for a closer look.
    ///
    /// # Panics
    /// When it was accepted, or rejected with another code.
    #[track_caller]
    pub fn then_rejected(self, code: &str) -> A::Rejection {
        let story = self.story;
        match self.decision {
            Ok(seen) => panic!("{story}then a rejection {code} was expected, but this happened\n{}", shown(&seen)),
            Err(rejection) => {
                let other = rejection.code();
                assert!(other == code, "{story}then a rejection {code} was expected, but it was {other}: {rejection}");
                rejection
            }
        }
    }
}

/// Events as a store would hold them.
#[track_caller]
fn stored<E: Event>(events: &[E]) -> Vec<(&'static str, u16, Vec<u8>)> {
    let codec = Codec::<E>::default();
    let encoded = |event: &E| match codec.encode(event) {
        Ok(payload) => (event.name(), event.schema(), payload.to_vec()),
        Err(error) => panic!("{event:?} cannot be stored: {error:?}"),
    };
    events.iter().map(encoded).collect()
}

fn shown<E: Event>(events: &[E]) -> String {
    let mut text = String::new();
    write_events(&mut text, events);
    text
}

fn write_events<E: Event>(text: &mut String, events: &[E]) {
    if events.is_empty() {
        text.push_str("    nothing\n");
    }
    for line in events.iter().flat_map(|event| format!("{event:#?}").lines().map(str::to_owned).collect::<Vec<_>>()) {
        let _ = writeln!(text, "    {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::given;
    use crate::sample::{Account, AccountCommand, AccountEvent};

    fn failure<T>(story: impl FnOnce() -> T) -> String {
        let panic = catch_unwind(AssertUnwindSafe(story)).map(|_| ()).expect_err("the story is false");
        panic.downcast_ref::<String>().expect("it was told as text").clone()
    }

    fn opened() -> AccountEvent {
        AccountEvent::Opened { owner: "ada".into() }
    }

    fn withdraw(cents: u64) -> AccountCommand {
        AccountCommand::Withdraw { account: "1".into(), cents }
    }

    #[test]
    fn a_false_story_shows_the_difference() {
        let deposited = AccountEvent::Deposited { cents: 9, at: 1 };
        let failure = failure(|| {
            let story = given::<Account>([opened(), deposited]).when(withdraw(5));
            story.then([AccountEvent::Withdrawn { cents: 6, at: 0 }])
        });
        for line in ["given", "when", "-         cents: 6,", "+         cents: 5,", "          at: 0,"] {
            assert!(failure.contains(line), "{line:?} is not in:\n{failure}");
        }
    }

    #[test]
    fn a_rejection_is_not_an_event_and_the_other_way_round() {
        let rejected = failure(|| given::<Account>([opened()]).when(withdraw(5)).then([AccountEvent::Closed]));
        assert!(rejected.contains("overdrawn"), "{rejected}");
        let other = failure(|| given::<Account>([opened()]).when(withdraw(5)).then_rejected("not-open"));
        assert!(other.contains("overdrawn"), "{other}");
        let accepted = failure(|| given::<Account>([opened()]).when(withdraw(0)).then_rejected("not-open"));
        assert!(accepted.contains("Withdrawn"), "{accepted}");
    }

    #[test]
    fn a_story_gives_the_state_after_it() {
        let after = given::<Account>([opened()])
            .when(AccountCommand::Close { account: "1".into() })
            .then([AccountEvent::Closed]);
        assert!(after.closed);
    }
}
