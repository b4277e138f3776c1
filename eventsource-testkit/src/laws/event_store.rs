//! Laws 1 to 10: what an [`EventStore`](eventsource_core::EventStore) promises.

mod append;
mod catch_up;
mod duplicate;
mod durable;
mod expectation;
mod model;
mod order;
mod read;
mod values;

pub use append::{
    law_01_batch_is_all_or_nothing, law_01_empty_append_is_invalid, law_01_readers_never_see_half_a_batch,
    law_02_versions_and_positions_have_no_gaps,
};
pub use catch_up::{
    law_10_subscription_goes_on_after_the_last_position, law_10_subscription_survives_delayed_hints,
    law_10_subscription_survives_doubled_hints, law_10_subscription_survives_ended_hints,
    law_10_subscription_survives_lost_hints,
};
pub use duplicate::{
    law_05_batch_that_reuses_an_id_is_invalid, law_05_dropped_append_can_be_repeated,
    law_05_racing_attempts_of_one_append_write_once, law_05_same_ids_return_the_first_result,
};
pub use durable::law_06_acknowledged_is_there_after_reopening;
pub use expectation::{
    law_03_expectation_that_holds_is_accepted, law_03_stale_append_conflicts,
    law_04_every_racer_gets_through_in_the_end, law_04_one_of_64_racers_wins,
};
pub use model::store_agrees_with_a_vec;
pub use order::law_09_nothing_appears_below_what_was_seen;
pub use read::{
    law_08_after_is_excluded, law_08_event_is_found_by_its_id, law_08_filters_and_limits_hold,
    law_08_forward_and_backward_agree, law_08_missing_stream_has_no_events, law_08_read_all_ends_at_the_head,
};
pub use values::{
    law_07_large_payload_comes_back, law_07_metadata_comes_back, law_07_names_and_keys_come_back,
    law_07_oversize_payload_is_invalid, law_07_values_come_back,
};
