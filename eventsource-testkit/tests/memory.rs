//! The memory ports keep every law.

mod event_store {
    use std::sync::Arc;

    use eventsource_core::{
        EventStore,
        memory::{MemoryEventStore, PAYLOAD_BYTES_MAX},
    };
    use eventsource_testkit::{Fixture, event_store_laws};

    async fn fixture() -> Fixture<dyn EventStore> {
        Fixture::event_store(Arc::new(MemoryEventStore::new()))
            .cannot_reopen("it lives in memory")
            .payload_bytes_max(PAYLOAD_BYTES_MAX)
    }

    event_store_laws!(fixture);
}

mod view_store {
    use std::sync::Arc;

    use eventsource_core::{ViewStore, memory::MemoryViews};
    use eventsource_testkit::{Fixture, view_store_laws};

    async fn fixture() -> Fixture<dyn ViewStore> {
        Fixture::view_store(Arc::new(MemoryViews::new())).cannot_reopen("it lives in memory")
    }

    view_store_laws!(fixture);
}

mod snapshot_store {
    use std::sync::Arc;

    use eventsource_core::{SnapshotStore, memory::MemorySnapshots};
    use eventsource_testkit::{Fixture, snapshot_store_laws};

    async fn fixture() -> Fixture<dyn SnapshotStore> {
        Fixture::snapshot_store(Arc::new(MemorySnapshots::new())).cannot_reopen("it lives in memory")
    }

    snapshot_store_laws!(fixture);
}

mod outcome_store {
    use std::sync::Arc;

    use eventsource_core::{OutcomeStore, memory::MemoryOutcomes};
    use eventsource_testkit::{Fixture, outcome_store_laws};

    async fn fixture() -> Fixture<dyn OutcomeStore> {
        Fixture::outcome_store(Arc::new(MemoryOutcomes::new())).cannot_reopen("it lives in memory")
    }

    outcome_store_laws!(fixture);
}

mod bus {
    use std::{future::ready, num::NonZeroU32, sync::Arc, time::Duration};

    use eventsource_core::memory::{DeadLetter, MemoryQueue, MemoryQueueOptions};
    use eventsource_testkit::{BusFixture, DeadLettered, bus_laws};

    async fn fixture() -> BusFixture {
        let attempts_max = NonZeroU32::new(4).expect("4 is not 0");
        let options = MemoryQueueOptions::default().lock_time(Duration::from_secs(1)).attempts_max(attempts_max);
        let queue = MemoryQueue::with_options(options);
        let dead = queue.clone();
        let letter = |letter: DeadLetter| DeadLettered { message: letter.message.id, reason: letter.reason };
        BusFixture::new(Arc::new(queue.clone()), Arc::new(queue), attempts_max)
            .dead_letters(move || ready(dead.dead_letters().into_iter().map(letter).collect()))
            .knows_ids_again()
            .message_bytes_max(options.message_bytes_max)
            .cannot_reopen("it lives in memory")
    }

    bus_laws!(fixture);
}

mod execute {
    use std::sync::Arc;

    use eventsource_core::memory::{MemoryEventStore, MemoryOutcomes, MemorySnapshots};
    use eventsource_testkit::{ExecuteFixture, execute_laws};

    async fn fixture() -> ExecuteFixture {
        let (store, outcomes) = (Arc::new(MemoryEventStore::new()), Arc::new(MemoryOutcomes::new()));
        ExecuteFixture::new(store, outcomes, Arc::new(MemorySnapshots::new()))
    }

    execute_laws!(fixture);
}

mod projection {
    use std::sync::Arc;

    use eventsource_core::memory::{MemoryEventStore, MemoryViews};
    use eventsource_testkit::{ProjectionFixture, projection_laws};

    async fn fixture() -> ProjectionFixture {
        ProjectionFixture::new(Arc::new(MemoryEventStore::new()), Arc::new(MemoryViews::new()))
    }

    projection_laws!(fixture);
}
