//! The macros that turn laws into tests, and the lists of laws that they share with the liars.

/// One test for each law: the last step of every conformance macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __law_tests {
    ($fixture:expr, $port:ident, [$($law:ident)*]) => {
        $(
            #[test]
            fn $law() {
                $crate::prove(stringify!($law), $fixture, $crate::laws::$port::$law);
            }
        )*
    };
}

/// The name and the verdict of each law.
#[doc(hidden)]
#[macro_export]
macro_rules! __law_verdicts {
    ($fixture:expr, $port:ident, [$($law:ident)*]) => {
        [$((stringify!($law), $crate::judge($fixture, $crate::laws::$port::$law).await)),*]
    };
}

/// Runs every law of an event store (1 to 10) as a test of its own.
///
/// Takes an async function that makes a fresh [`Fixture`](crate::Fixture)`<dyn EventStore>`.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{EventStore, memory::MemoryEventStore};
/// use eventsource_testkit::Fixture;
///
/// async fn memory() -> Fixture<dyn EventStore> {
///     Fixture::event_store(Arc::new(MemoryEventStore::new()))
///         .cannot_reopen("it lives in memory")
///         .payload_bytes_max(16 << 20)
/// }
///
/// eventsource_testkit::event_store_laws!(memory);
/// ```
#[macro_export]
macro_rules! event_store_laws {
    ($fixture:expr) => {
        $crate::event_store_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, event_store, [
            law_01_empty_append_is_invalid
            law_01_batch_is_all_or_nothing
            law_01_readers_never_see_half_a_batch
            law_02_versions_and_positions_have_no_gaps
            law_03_expectation_that_holds_is_accepted
            law_03_stale_append_conflicts
            law_04_one_of_64_racers_wins
            law_04_every_racer_gets_through_in_the_end
            law_05_same_ids_return_the_first_result
            law_05_racing_attempts_of_one_append_write_once
            law_05_dropped_append_can_be_repeated
            law_05_batch_that_reuses_an_id_is_invalid
            law_06_acknowledged_is_there_after_reopening
            law_07_values_come_back
            law_07_metadata_comes_back
            law_07_names_and_keys_come_back
            law_07_large_payload_comes_back
            law_07_oversize_payload_is_invalid
            law_08_forward_and_backward_agree
            law_08_after_is_excluded
            law_08_missing_stream_has_no_events
            law_08_filters_and_limits_hold
            law_08_event_is_found_by_its_id
            law_08_read_all_ends_at_the_head
            law_09_nothing_appears_below_what_was_seen
            law_10_subscription_survives_lost_hints
            law_10_subscription_survives_doubled_hints
            law_10_subscription_survives_delayed_hints
            law_10_subscription_survives_ended_hints
            law_10_subscription_goes_on_after_the_last_position
            store_agrees_with_a_vec
        ] }
    };
}
