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
