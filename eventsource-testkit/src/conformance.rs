//! The macros that turn laws into tests, and the lists of laws that tests and liars share.

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

/// The laws as trials that are still to be run.
#[doc(hidden)]
#[macro_export]
macro_rules! __law_trials {
    ($fixture:expr, $port:ident, [$($law:ident)*]) => {
        ::std::vec![$((stringify!($law), ::std::boxed::Box::pin($crate::judge($fixture, $crate::laws::$port::$law)))),*]
    };
}

/// A future of the names of the laws that a fixture breaks: what shows a liar.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_testkit::{Fixture, broken, liar::LastOutcomeWins};
///
/// # tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(async {
/// let liar = || async { Fixture::outcome_store(Arc::new(LastOutcomeWins::default())).cannot_reopen("it lives in memory") };
/// let broken = broken!(outcome_store_laws, liar).await;
/// assert_eq!(broken, ["law_13_first_outcome_stays", "law_13_racing_outcomes_agree"]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[macro_export]
macro_rules! broken {
    ($laws:ident, $fixture:expr) => {
        $crate::broken_laws($crate::$laws!(@ __law_trials, $fixture))
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

/// Runs every law of a view store (15 to 18 at the port) as a test of its own.
///
/// Takes an async function that makes a fresh [`Fixture`](crate::Fixture)`<dyn ViewStore>`.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{ViewStore, memory::MemoryViews};
/// use eventsource_testkit::Fixture;
///
/// async fn memory() -> Fixture<dyn ViewStore> {
///     Fixture::view_store(Arc::new(MemoryViews::new())).cannot_reopen("it lives in memory")
/// }
///
/// eventsource_testkit::view_store_laws!(memory);
/// ```
#[macro_export]
macro_rules! view_store_laws {
    ($fixture:expr) => {
        $crate::view_store_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, view_store, [
            law_15_changed_views_come_in_position_order
            law_15_foreign_fields_and_cursors_are_invalid
            law_15_page_is_capped
            law_15_pages_agree_with_a_vec
            law_15_removed_view_is_known_as_removed
            law_15_sets_of_views_do_not_mix
            law_15_views_come_back_in_the_order_asked
            law_15_walk_over_pages_survives_changes
            law_15_what_cannot_be_a_name_is_invalid
            law_16_checkpoint_moves_alone_too
            law_16_dropped_commit_is_all_or_nothing
            law_16_everything_is_there_after_reopening
            law_16_readers_never_see_half_a_commit
            law_16_refused_batch_writes_nothing
            law_16_same_batch_again_changes_nothing
            law_17_parked_streams_are_listed_until_released
            law_18_serving_version_switches
            law_18_set_of_views_is_removed_unless_served
        ] }
    };
}

/// Runs every law of a snapshot store as a test of its own.
///
/// Takes an async function that makes a fresh [`Fixture`](crate::Fixture)`<dyn SnapshotStore>`.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{SnapshotStore, memory::MemorySnapshots};
/// use eventsource_testkit::Fixture;
///
/// async fn memory() -> Fixture<dyn SnapshotStore> {
///     Fixture::snapshot_store(Arc::new(MemorySnapshots::new())).cannot_reopen("it lives in memory")
/// }
///
/// eventsource_testkit::snapshot_store_laws!(memory);
/// ```
#[macro_export]
macro_rules! snapshot_store_laws {
    ($fixture:expr) => {
        $crate::snapshot_store_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, snapshot_store, [
            snapshot_is_whole_after_reopening
            snapshot_newest_is_kept
            snapshot_newest_of_a_race_is_kept
            snapshot_of_another_shape_is_not_found
        ] }
    };
}

/// Runs every law of an outcome store (13 at the port) as a test of its own.
///
/// Takes an async function that makes a fresh [`Fixture`](crate::Fixture)`<dyn OutcomeStore>`.
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::{OutcomeStore, memory::MemoryOutcomes};
/// use eventsource_testkit::Fixture;
///
/// async fn memory() -> Fixture<dyn OutcomeStore> {
///     Fixture::outcome_store(Arc::new(MemoryOutcomes::new())).cannot_reopen("it lives in memory")
/// }
///
/// eventsource_testkit::outcome_store_laws!(memory);
/// ```
#[macro_export]
macro_rules! outcome_store_laws {
    ($fixture:expr) => {
        $crate::outcome_store_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, outcome_store, [
            law_13_first_outcome_stays
            law_13_outcomes_are_there_after_reopening
            law_13_outcomes_come_back
            law_13_outcomes_of_commands_do_not_mix
            law_13_racing_outcomes_agree
        ] }
    };
}

/// Runs every law of a queue (11 and 12) as a test of its own.
///
/// Takes an async function that makes a fresh [`BusFixture`](crate::BusFixture); its documentation
/// shows one.
#[macro_export]
macro_rules! bus_laws {
    ($fixture:expr) => {
        $crate::bus_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, bus, [
            law_11_abandoned_message_comes_back_first
            law_11_attempts_end_in_the_dead_letters
            law_11_dead_letter_keeps_its_reason
            law_11_delayed_message_is_not_early
            law_11_empty_or_oversize_message_is_invalid
            law_11_held_session_keeps_no_other_waiting
            law_11_message_sent_again
            law_11_messages_are_there_after_reopening
            law_11_one_receiver_at_a_time_holds_a_session
            law_11_order_holds_within_a_session
            law_11_sent_messages_are_delivered
            law_11_unsettled_comes_back_when_its_lock_runs_out
            law_11_unsettled_comes_back_when_the_stream_is_dropped
            law_12_lost_lock_is_reported
            law_12_renewed_lock_holds
        ] }
    };
}

/// Runs every law of carrying out commands (13 and 14) as a test of its own.
///
/// Takes an async function that makes a fresh [`ExecuteFixture`](crate::ExecuteFixture).
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::{MemoryEventStore, MemoryOutcomes, MemorySnapshots};
/// use eventsource_testkit::ExecuteFixture;
///
/// async fn memory() -> ExecuteFixture {
///     let (store, outcomes) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryOutcomes::new()));
///     ExecuteFixture::new(store, outcomes, Arc::new(MemorySnapshots::new()))
/// }
///
/// eventsource_testkit::execute_laws!(memory);
/// ```
#[macro_export]
macro_rules! execute_laws {
    ($fixture:expr) => {
        $crate::execute_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, execute, [
            law_13_dropped_execution_can_be_repeated
            law_13_racing_deliveries_take_effect_once
            law_13_redelivery_finds_a_commit_that_lies_far_back
            law_13_redelivery_gives_the_first_outcome
            law_13_redelivery_of_a_rejection_gives_the_rejection
            law_13_redelivery_to_another_handler_gives_the_first_outcome
            law_13_snapshots_change_nothing
            law_14_conflict_decides_again
            law_14_conflicts_are_tried_again_so_often_only
            law_14_racing_handlers_keep_the_rules
            law_14_rejection_is_never_tried_again
        ] }
    };
}

/// Runs every law of projections (15 to 18) as a test of its own.
///
/// Takes an async function that makes a fresh [`ProjectionFixture`](crate::ProjectionFixture).
///
/// ```
/// use std::sync::Arc;
/// use eventsource_core::memory::{MemoryEventStore, MemoryViews};
/// use eventsource_testkit::ProjectionFixture;
///
/// async fn memory() -> ProjectionFixture {
///     ProjectionFixture::new(Arc::new(MemoryEventStore::new()), Arc::new(MemoryViews::new()))
/// }
///
/// eventsource_testkit::projection_laws!(memory);
/// ```
#[macro_export]
macro_rules! projection_laws {
    ($fixture:expr) => {
        $crate::projection_laws!(@ __law_tests, $fixture);
    };
    (@ $then:ident, $fixture:expr) => {
        $crate::$then! { $fixture, projection, [
            law_15_views_are_the_fold_after_crashes
            law_15_views_are_the_fold_after_unknown_outcomes
            law_15_views_are_the_fold_of_their_events
            law_16_checkpoint_is_written_before_the_first_event
            law_17_parked_event_blocks_only_its_own_stream
            law_18_rebuild_survives_crashes_and_switches_when_it_has_caught_up
        ] }
    };
}
