//! What becomes of a log when its disk fails.

use std::{error::Error, path::Path, sync::Arc};

use eventsource_core::{
    Appended, EventId, EventName, ExpectedVersion, Metadata, NewEvent, Position, Query, RecordedEvent, StoreError,
    StreamId, SystemClock,
};
use futures::TryStreamExt;
use uuid::Uuid;

use super::{Durability, EventLog, Limits, LogOptions, medium::Fault};

fn options() -> LogOptions {
    let limits = Limits { payload_bytes_max: 1 << 20, commit_bytes_max: 1 << 20 };
    LogOptions { segment_bytes: 64 << 10, limits, durability: Durability::Durable, clock: Arc::new(SystemClock) }
}

fn failing(events: &Path, fault: Fault) -> EventLog {
    let mut writer = EventLog::recover(events, options()).unwrap();
    writer.active.fail(fault);
    EventLog::start(events, writer, options().limits).unwrap()
}

fn event(n: u128) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(Uuid::from_u128(n)),
        name: EventName::from_static("happened"),
        schema: 1,
        payload: format!("{n}").into(),
        metadata: Metadata::default(),
    }
}

async fn append(log: &EventLog, n: u128) -> Result<Appended, StoreError> {
    log.append(&StreamId::new("thing", "a").unwrap(), ExpectedVersion::Any, vec![event(n)]).await
}

async fn all(log: &EventLog) -> Vec<RecordedEvent> {
    log.read_all(Query::default()).try_collect().await.unwrap()
}

#[tokio::test]
async fn after_a_failed_write_or_sync_nothing_is_appended_until_the_log_is_opened_again() {
    for fault in [Fault::Write { after: 2 }, Fault::Sync { after: 2 }] {
        let dir = tempfile::tempdir().unwrap();
        let log = failing(dir.path(), fault);
        for n in 1..=2 {
            append(&log, n).await.unwrap();
        }
        for n in 3..=4 {
            let error = append(&log, n).await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
            let told = error.source().unwrap().to_string();
            assert!(told.contains("until it is opened again"), "{told}");
        }
        assert_eq!((all(&log).await.len(), log.head()), (2, 2), "what was not made durable is not shown");
        assert_eq!(log.find_event(event(3).id).unwrap(), None);
        log.close();

        let log = EventLog::open(dir.path(), options()).unwrap();
        let found = all(&log).await.len();
        // The outcome was unknown: a whole commit may have come through, half of one never does.
        assert_eq!(found, if matches!(fault, Fault::Sync { .. }) { 3 } else { 2 });
        for n in 1..=4 {
            let appended = append(&log, n).await.unwrap();
            assert_eq!(appended.position, Position::new(n.try_into().unwrap()), "the same ids say what became of them");
        }
        assert_eq!(all(&log).await.len(), 4);
    }
}
