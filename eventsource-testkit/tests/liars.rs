//! Each liar breaks the laws it lies about, and no other.

use std::{future::ready, num::NonZeroU32, sync::Arc, time::Duration};

use eventsource_core::{
    EventStore, OutcomeStore, SnapshotStore,
    memory::{DeadLetter, MemoryEventStore, MemoryOutcomes, MemoryQueueOptions, MemorySnapshots, PAYLOAD_BYTES_MAX},
};
use eventsource_testkit::{
    BusFixture, DeadLettered, ExecuteFixture, Fixture, ProjectionFixture, broken,
    liar::{
        ForgetfulOutcomes, LastOutcomeWins, LastSnapshotWins, LyingEventStore, LyingQueue, LyingViews, QueueLie,
        StoreLie, ViewLie,
    },
};

const IN_MEMORY: &str = "it lives in memory";

async fn store_breaks(lie: StoreLie) -> Vec<&'static str> {
    let liar = || async {
        let store: Arc<dyn EventStore> = Arc::new(LyingEventStore::new(lie));
        Fixture::event_store(store).cannot_reopen(IN_MEMORY).payload_bytes_max(PAYLOAD_BYTES_MAX)
    };
    broken!(event_store_laws, liar).await
}

async fn views_break(lie: ViewLie) -> Vec<&'static str> {
    let liar = || async { Fixture::view_store(Arc::new(LyingViews::new(lie))).cannot_reopen(IN_MEMORY) };
    broken!(view_store_laws, liar).await
}

async fn queue_breaks(lie: QueueLie) -> Vec<&'static str> {
    let liar = || async {
        let attempts_max = NonZeroU32::new(4).expect("4 is not 0");
        let options = MemoryQueueOptions::default().lock_time(Duration::from_secs(1)).attempts_max(attempts_max);
        let queue = LyingQueue::new(options, lie);
        let dead = queue.clone();
        let letter = |letter: DeadLetter| DeadLettered { message: letter.message.id, reason: letter.reason };
        BusFixture::new(Arc::new(queue.clone()), Arc::new(queue), attempts_max)
            .dead_letters(move || ready(dead.dead_letters().into_iter().map(letter).collect()))
            .knows_ids_again()
            .message_bytes_max(options.message_bytes_max)
            .cannot_reopen(IN_MEMORY)
    };
    broken!(bus_laws, liar).await
}

/// A store that acknowledges what it then forgets: law 6.
async fn forgetful() -> Fixture<dyn EventStore> {
    Fixture::event_store(Arc::new(MemoryEventStore::new()))
        .reopens(|| {
            let other: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
            ready(other)
        })
        .payload_bytes_max(PAYLOAD_BYTES_MAX)
}

/// A store that takes larger payloads than it says: law 7.
async fn unlimited() -> Fixture<dyn EventStore> {
    Fixture::event_store(Arc::new(MemoryEventStore::new())).cannot_reopen(IN_MEMORY).payload_bytes_max(2 << 20)
}

async fn last_snapshot_wins() -> Fixture<dyn SnapshotStore> {
    Fixture::snapshot_store(Arc::new(LastSnapshotWins::default())).cannot_reopen(IN_MEMORY)
}

async fn last_outcome_wins() -> Fixture<dyn OutcomeStore> {
    Fixture::outcome_store(Arc::new(LastOutcomeWins::default())).cannot_reopen(IN_MEMORY)
}

/// Commands carried out over a store that lies.
async fn execute_breaks(lie: StoreLie) -> Vec<&'static str> {
    let liar = || {
        let (store, outcomes) = (Arc::new(LyingEventStore::new(lie)), Arc::new(MemoryOutcomes::new()));
        ready(ExecuteFixture::new(store, outcomes, Arc::new(MemorySnapshots::new())))
    };
    broken!(execute_laws, liar).await
}

/// Commands carried out over a store of outcomes that keeps none.
async fn execute_without_outcomes() -> Vec<&'static str> {
    let liar = || {
        let (store, outcomes) = (Arc::new(MemoryEventStore::new()), Arc::new(ForgetfulOutcomes));
        ready(ExecuteFixture::new(store, outcomes, Arc::new(MemorySnapshots::new())))
    };
    broken!(execute_laws, liar).await
}

/// Views folded into a store that lies.
async fn projection_breaks(lie: ViewLie) -> Vec<&'static str> {
    let liar = || ready(ProjectionFixture::new(Arc::new(MemoryEventStore::new()), Arc::new(LyingViews::new(lie))));
    broken!(projection_laws, liar).await
}

macro_rules! liars {
    ($($name:ident: $broken:expr => [$($law:literal),* $(,)?];)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let right: &[&str] = &[$($law),*];
                assert_eq!($broken.await, right);
            }
        )*
    };
}

liars! {
    store_that_takes_empty_appends: store_breaks(StoreLie::TakesEmptyAppends) => [
        "law_01_empty_append_is_invalid",
        "store_agrees_with_a_vec",
    ];
    store_that_shows_half_batches: store_breaks(StoreLie::ShowsHalfBatches) => [
        "law_01_readers_never_see_half_a_batch",
    ];
    store_that_ignores_versions: store_breaks(StoreLie::IgnoresVersions) => [
        "law_03_stale_append_conflicts",
        "law_04_one_of_64_racers_wins",
        "store_agrees_with_a_vec",
    ];
    store_that_reports_no_version: store_breaks(StoreLie::ReportsNoVersion) => [
        "law_03_stale_append_conflicts",
        "store_agrees_with_a_vec",
    ];
    store_that_checks_before_it_writes: store_breaks(StoreLie::ChecksBeforeItWrites) => [
        "law_04_one_of_64_racers_wins",
    ];
    store_that_forgets_ids: store_breaks(StoreLie::ForgetsIds) => [
        "law_05_same_ids_return_the_first_result",
        "law_05_racing_attempts_of_one_append_write_once",
        "law_05_dropped_append_can_be_repeated",
        "law_05_batch_that_reuses_an_id_is_invalid",
        "store_agrees_with_a_vec",
    ];
    store_that_cuts_large_numbers: store_breaks(StoreLie::CutsLargeNumbers) => [
        "law_07_values_come_back",
    ];
    store_that_drops_headers: store_breaks(StoreLie::DropsHeaders) => [
        "law_07_metadata_comes_back",
    ];
    store_that_includes_the_bound: store_breaks(StoreLie::IncludesTheBound) => [
        "law_08_after_is_excluded",
        "store_agrees_with_a_vec",
    ];
    store_that_reserves_positions: store_breaks(StoreLie::ReservesPositions) => [
        "law_09_nothing_appears_below_what_was_seen",
        "law_10_subscription_survives_lost_hints",
        "law_10_subscription_survives_doubled_hints",
        "law_10_subscription_survives_delayed_hints",
        "law_10_subscription_survives_ended_hints",
    ];
    store_that_loses_events: store_breaks(StoreLie::LosesEvents) => [
        "law_09_nothing_appears_below_what_was_seen",
    ];
    store_that_forgets_everything: broken!(event_store_laws, forgetful) => [
        "law_06_acknowledged_is_there_after_reopening",
    ];
    store_without_the_limit_it_names: broken!(event_store_laws, unlimited) => [
        "law_07_oversize_payload_is_invalid",
    ];
    snapshots_of_which_the_last_wins: broken!(snapshot_store_laws, last_snapshot_wins) => [
        "snapshot_newest_is_kept",
        "snapshot_newest_of_a_race_is_kept",
    ];
    outcomes_of_which_the_last_wins: broken!(outcome_store_laws, last_outcome_wins) => [
        "law_13_first_outcome_stays",
        "law_13_racing_outcomes_agree",
    ];
    views_that_skip_by_count: views_break(ViewLie::SkipsByCount) => [
        "law_15_foreign_fields_and_cursors_are_invalid",
        "law_15_walk_over_pages_survives_changes",
    ];
    views_that_hide_removed_ones: views_break(ViewLie::HidesRemoved) => [
        "law_15_changed_views_come_in_position_order",
    ];
    views_with_the_checkpoint_first: views_break(ViewLie::CheckpointFirst) => [
        "law_16_dropped_commit_is_all_or_nothing",
        "law_16_readers_never_see_half_a_commit",
        "law_16_refused_batch_writes_nothing",
    ];
    views_with_the_checkpoint_last: views_break(ViewLie::CheckpointLast) => [
        "law_16_dropped_commit_is_all_or_nothing",
        "law_16_readers_never_see_half_a_commit",
    ];
    views_whose_serving_version_goes: views_break(ViewLie::RemovesServing) => [
        "law_18_set_of_views_is_removed_unless_served",
    ];
    queue_that_shares_sessions: queue_breaks(QueueLie::SharesSessions) => [
        "law_11_held_session_keeps_no_other_waiting",
        "law_11_one_receiver_at_a_time_holds_a_session",
        "law_11_order_holds_within_a_session",
        "law_11_unsettled_comes_back_when_its_lock_runs_out",
        "law_12_renewed_lock_holds",
    ];
    queue_that_loses_reasons: queue_breaks(QueueLie::LosesReasons) => [
        "law_11_attempts_end_in_the_dead_letters",
        "law_11_dead_letter_keeps_its_reason",
    ];
    queue_that_ignores_delay: queue_breaks(QueueLie::IgnoresDelay) => [
        "law_11_delayed_message_is_not_early",
    ];
    queue_that_hides_lost_locks: queue_breaks(QueueLie::HidesLostLocks) => [
        "law_12_lost_lock_is_reported",
    ];
}

/// Over a port that lies an engine breaks at least these laws; which others depends on where a race
/// or a crash happens to fall.
macro_rules! liars_under_an_engine {
    ($($name:ident: $broken:expr => [$($law:literal),* $(,)?];)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let broken = $broken.await;
                for law in [$($law),*] {
                    assert!(broken.contains(&law), "{law} is not among {broken:?}");
                }
            }
        )*
    };
}

liars_under_an_engine! {
    commands_over_a_store_that_ignores_versions: execute_breaks(StoreLie::IgnoresVersions) => [
        "law_14_conflict_decides_again",
        "law_14_conflicts_are_tried_again_so_often_only",
    ];
    commands_over_a_store_that_forgets_ids: execute_breaks(StoreLie::ForgetsIds) => [
        "law_13_racing_deliveries_take_effect_once",
        "law_13_redelivery_to_another_handler_gives_the_first_outcome",
    ];
    commands_without_outcomes: execute_without_outcomes() => [
        "law_13_redelivery_finds_a_commit_that_lies_far_back",
        "law_13_redelivery_gives_the_first_outcome",
        "law_13_redelivery_of_a_rejection_gives_the_rejection",
        "law_14_rejection_is_never_tried_again",
    ];
    projections_with_the_checkpoint_first: projection_breaks(ViewLie::CheckpointFirst) => [
        "law_15_views_are_the_fold_after_crashes",
    ];
    projections_with_the_checkpoint_last: projection_breaks(ViewLie::CheckpointLast) => [
        "law_15_views_are_the_fold_after_crashes",
    ];
}
