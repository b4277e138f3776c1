//! The store over the log: what is appended comes back, after rolling and after reopening too.
#![expect(clippy::unwrap_used, reason = "this is a test program, its helpers are tests too")]

mod log_support;

use std::{num::NonZeroU64, time::Duration};

use eventsource_core::{
    Direction, EventStore, ExpectedVersion, NewEvent, Position, Query, RecordedEvent, StoreError, Version,
};
use eventsource_embedded::{EmbeddedEventStore, EmbeddedOptions, OpenError};
use futures::{StreamExt, TryStreamExt};
use log_support::{all, assert_same, event, id, of_stream, open, sized, small, stream};

/// Appends `count` events to 7 streams in batches of 1 to 4, and returns them in position order.
async fn fill(store: &EmbeddedEventStore, from: u64, count: u64) -> Vec<NewEvent> {
    let mut events = Vec::new();
    let mut n = from;
    while n < from + count {
        let batch: Vec<_> = (n..(n + 1 + n % 4).min(from + count)).map(event).collect();
        n += u64::try_from(batch.len()).unwrap();
        events.extend(batch.iter().cloned());
        store.append(&stream(&format!("{}", n % 7)), ExpectedVersion::Any, batch).await.unwrap();
    }
    events
}

fn assert_dense(events: &[RecordedEvent], expected: &[NewEvent]) {
    assert_eq!(events.len(), expected.len());
    for ((event, new), position) in events.iter().zip(expected).zip(1..) {
        assert_eq!(event.position, Position::new(position));
        assert_same(event, new);
    }
}

#[tokio::test]
async fn events_come_back_over_many_segments_and_reopenings() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut store_id = None;
    for round in 0..4 {
        let store = open(dir.path());
        assert_eq!(*store_id.get_or_insert(store.store_id()), store.store_id());
        assert_dense(&all(&store).await.unwrap(), &expected);
        expected.extend(fill(&store, round * 500, 500).await);
        assert_dense(&all(&store).await.unwrap(), &expected);
        if round % 2 == 0 { store.close().await } else { drop(store) }
    }
    let segments = std::fs::read_dir(dir.path().join("events")).unwrap();
    let names: Vec<_> = segments.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let count = |extension: &str| names.iter().filter(|name| name.ends_with(extension)).count();
    assert!(count(".seg") > 20, "{names:?}");
    assert_eq!(count(".idx") + 1, count(".seg"), "every sealed segment has its index");

    let store = open(dir.path());
    let events = all(&store).await.unwrap();
    for key in 0..7 {
        let stream = stream(&key.to_string());
        let own: Vec<_> = events.iter().filter(|event| event.stream == stream).cloned().collect();
        for (event, version) in own.iter().zip(1..) {
            assert_eq!(event.version.value(), version);
        }
        assert_eq!(of_stream(&store, &stream, None, Direction::Forward).await.unwrap(), own);
        let backward: Vec<_> = own.iter().rev().cloned().collect();
        assert_eq!(of_stream(&store, &stream, None, Direction::Backward).await.unwrap(), backward);
        for after in [1, 2, 100, own.len() - 1, own.len(), own.len() + 5] {
            let version = Version::new(after.try_into().unwrap());
            let forward = of_stream(&store, &stream, version, Direction::Forward).await.unwrap();
            assert_eq!(forward, own.get(after..).unwrap_or_default(), "after {after}");
            let backward = of_stream(&store, &stream, version, Direction::Backward).await.unwrap();
            let below: Vec<_> = own[..(after - 1).min(own.len())].iter().rev().cloned().collect();
            assert_eq!(backward, below, "below {after}");
        }
    }
    for n in (0..2000).step_by(13) {
        let found = store.find_event(id(n)).await.unwrap().unwrap();
        assert_eq!(found, events[usize::try_from(n).unwrap()]);
    }
    assert_eq!(store.find_event(id(2000)).await.unwrap(), None);
    for after in (0..=2000).step_by(7) {
        let query = Query::default().after(Position::new(after)).limit(NonZeroU64::new(3).unwrap());
        let read: Vec<_> = store.read_all(query).try_collect().await.unwrap();
        let from = usize::try_from(after).unwrap();
        assert_eq!(read, events[from..(from + 3).min(2000)]);
    }
    let query = Query::default().names(&["closed"]).category("thing");
    let closed: Vec<_> = store.read_all(query).try_collect().await.unwrap();
    let expected: Vec<_> = events.iter().filter(|event| event.name.as_str() == "closed").cloned().collect();
    assert_eq!(closed, expected);
    assert_eq!(store.read_all(Query::default().category("other")).count().await, 0);
}

#[tokio::test]
async fn the_same_ids_return_the_first_result_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let batch = || vec![event(1), event(2)];
    let first = store.append(&stream("a"), ExpectedVersion::NoStream, batch()).await.unwrap();
    for in_sealed_segment in [false, true] {
        if in_sealed_segment {
            fill(&store, 1000, 300).await;
        }
        for expected in
            [ExpectedVersion::NoStream, ExpectedVersion::Any, ExpectedVersion::Exact(Version::new(9).unwrap())]
        {
            let again = store.append(&stream("a"), expected, batch()).await.unwrap();
            assert_eq!(again, eventsource_core::Appended { repeated: true, ..first });
        }
        let others = [
            (stream("a"), vec![event(2), event(1)]),
            (stream("a"), vec![event(1)]),
            (stream("a"), vec![event(1), event(2), event(3)]),
            (stream("a"), vec![event(3), event(2)]),
            (stream("b"), batch()),
        ];
        for (stream, events) in others {
            let error = store.append(&stream, ExpectedVersion::Any, events).await.unwrap_err();
            assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
        }
    }
    let twice = store.append(&stream("a"), ExpectedVersion::Any, vec![event(5), event(5)]).await;
    assert!(twice.unwrap_err().to_string().contains("twice in the batch"));
    let many: Vec<_> = (10..30).chain([10]).map(event).collect();
    assert!(store.append(&stream("a"), ExpectedVersion::Any, many).await.is_err());
    assert_eq!(all(&store).await.unwrap().len(), 302);
}

#[tokio::test]
async fn retries_in_the_same_group_get_one_result() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..50_u64 {
        let appends = (0..8).map(|_| {
            let store = store.clone();
            async move { store.append(&stream("a"), ExpectedVersion::Any, vec![event(round)]).await.unwrap() }
        });
        let results = futures::future::join_all(appends).await;
        assert_eq!(results.iter().filter(|result| !result.repeated).count(), 1, "{results:?}");
        let place = (results[0].version, results[0].position);
        assert!(results.iter().all(|result| (result.version, result.position) == place), "{results:?}");
        assert_eq!(results[0].version.value(), round + 1);
    }
    assert_eq!(all(&store).await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_stale_expectation_is_a_conflict_with_the_version_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let stale = [ExpectedVersion::StreamExists, ExpectedVersion::Exact(Version::FIRST)];
    for expected in stale {
        let error = store.append(&stream("a"), expected, vec![event(1)]).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { actual: None, .. }), "{error}");
    }
    store.append(&stream("a"), ExpectedVersion::NoStream, vec![event(1), event(2)]).await.unwrap();
    for in_sealed_segment in [false, true] {
        if in_sealed_segment {
            fill(&store, 1000, 300).await;
        }
        for expected in [ExpectedVersion::NoStream, ExpectedVersion::Exact(Version::FIRST)] {
            let error = store.append(&stream("a"), expected, vec![event(3)]).await.unwrap_err();
            assert!(matches!(error, StoreError::Conflict { actual, .. } if actual == Version::new(2)), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_racing_writers_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..20 {
        let expected = ExpectedVersion::at(Version::new(round));
        let racers: Vec<_> = (0..16)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.append(&stream("a"), expected, vec![event(round * 16 + n)]).await })
            })
            .collect();
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(appended) => {
                    won += 1;
                    assert_eq!(appended.version.value(), round + 1);
                }
                Err(StoreError::Conflict { actual, .. }) => assert_eq!(actual, Version::new(round + 1)),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn large_batches_and_payloads_work_and_larger_ones_name_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let large = sized(0, 1 << 20);
    store.append(&stream("a"), ExpectedVersion::NoStream, vec![large.clone()]).await.unwrap();
    let many: Vec<_> = (1..=5000).map(event).collect();
    store.append(&stream("b"), ExpectedVersion::NoStream, many.clone()).await.unwrap();
    store.append(&stream("a"), ExpectedVersion::Any, vec![event(6000)]).await.unwrap();
    store.close().await;
    let store = open(dir.path());
    let mut expected = vec![large];
    expected.extend(many);
    expected.push(event(6000));
    assert_dense(&all(&store).await.unwrap(), &expected);

    let error = store.append(&stream("a"), ExpectedVersion::Any, vec![sized(7000, 17 << 20)]).await.unwrap_err();
    assert!(error.to_string().contains("17825792 bytes, the limit is 16777216"), "{error}");
    let batch = (7000..7005).map(|n| sized(n, 15 << 20)).collect();
    let error = store.append(&stream("a"), ExpectedVersion::Any, batch).await.unwrap_err();
    assert!(error.to_string().contains("67108864 bytes, the limit of a commit"), "{error}");
    let error = store.append(&stream("a"), ExpectedVersion::Any, Vec::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    assert_eq!(store.head().await.unwrap(), Position::new(5002));
}

#[tokio::test]
async fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = EmbeddedEventStore::open(dir.path(), small()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { holder: Some(holder), .. } if holder == std::process::id()));
    store.close().await;
    let error = store.append(&stream("a"), ExpectedVersion::Any, vec![event(1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    open(dir.path());
}

#[tokio::test]
async fn wakeups_come_after_appends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut wakeups = store.wakeups();
    for n in 0..3 {
        store.append(&stream("a"), ExpectedVersion::Any, vec![event(n)]).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), wakeups.next()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn options_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions::default().segment_bytes(100.try_into().unwrap());
    assert!(matches!(EmbeddedEventStore::open(dir.path(), options), Err(OpenError::Invalid(_))));
    let options = EmbeddedOptions::default().commit_bytes_max(100.try_into().unwrap());
    assert!(matches!(EmbeddedEventStore::open(dir.path(), options), Err(OpenError::Invalid(_))));
}

/// Outside of a Tokio runtime reads work as well.
#[test]
fn reads_need_no_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let expected = tokio::runtime::Runtime::new().unwrap().block_on(fill(&store, 0, 5000));
    let read: Vec<_> = futures::executor::block_on(store.read_all(Query::default()).try_collect()).unwrap();
    assert_dense(&read, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_closes_second_waits_for_the_end_as_well() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let acknowledged = fill(&store, 0, 200).await.len();
        let (first, second) = (store.clone(), store.clone());
        drop(store);
        let mut closing = tokio::task::JoinSet::new();
        closing.spawn(async move { first.close().await });
        closing.spawn(async move { second.close().await });
        closing.join_next().await.unwrap().unwrap();
        // The directory is free now, so nobody may write there any more.
        let again = open(dir.path());
        assert_eq!(all(&again).await.unwrap().len(), acknowledged);
    }
}

#[tokio::test]
async fn a_buffered_log_is_one_group_until_it_is_synced() {
    // Between two syncs the disk may keep a later write and lose an earlier one: that is a torn tail.
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions::default().durability(eventsource_embedded::Durability::Buffered);
    let store = EmbeddedEventStore::open(dir.path(), options.clone()).unwrap();
    for n in 0..10 {
        store.append(&stream("a"), ExpectedVersion::Any, vec![event(n)]).await.unwrap();
    }
    std::fs::create_dir(copy.path().join("events")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("events")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join("events").join(entry.file_name())).unwrap();
    }
    drop(store);
    let segment = copy.path().join("events").join("00000000000000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let second = bytes.iter().skip(64).position(|byte| *byte != 0).unwrap() + 64;
    bytes[second + 40..second + 60].fill(0);
    std::fs::write(&segment, bytes).unwrap();
    let torn = EmbeddedEventStore::open(copy.path(), options).unwrap();
    assert!(all(&torn).await.unwrap().len() < 10);
}
