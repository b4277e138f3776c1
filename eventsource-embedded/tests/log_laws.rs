//! The laws of an event store, on files.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

use std::{num::NonZeroU32, path::Path, sync::Arc};

use eventsource_core::EventStore;
use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions};
use eventsource_testkit::Fixture;
use tempfile::TempDir;

fn open(dir: &Path, segment_bytes: u32) -> Arc<dyn EventStore> {
    let segment_bytes = NonZeroU32::new(segment_bytes).unwrap();
    let options = EmbeddedOptions::default().segment_bytes(segment_bytes);
    Arc::new(EmbeddedEventStore::open(dir, options).unwrap())
}

fn fixture(segment_bytes: u32) -> Fixture<dyn EventStore> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_path_buf();
    Fixture::event_store(open(&path, segment_bytes))
        .reopens(move || std::future::ready(open(&path, segment_bytes)))
        .payload_bytes_max(16 << 20)
        .keeping(dir)
}

/// Everything in one segment.
mod long_segments {
    use super::{EventStore, Fixture, fixture};

    async fn files() -> Fixture<dyn EventStore> {
        fixture(64 << 20)
    }

    eventsource_testkit::event_store_laws!(files);
}

/// Every few events another segment.
mod short_segments {
    use super::{EventStore, Fixture, fixture};

    async fn files() -> Fixture<dyn EventStore> {
        fixture(8 << 10)
    }

    eventsource_testkit::event_store_laws!(files);
}
