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
