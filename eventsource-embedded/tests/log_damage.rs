//! Damage is found and named, never served and never a panic; a torn tail is cut, and nothing else is.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test program, its helpers are tests too")]

mod log_support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use eventsource_core::{Direction, EventStore, ExpectedVersion, RecordedEvent, StoreError};
use eventsource_embedded::{EmbeddedEventStore, OpenError, Salvaged, salvage, scrub};
use log_support::{all, event, id, of_stream, open, sized, small, stream};

/// How many random places are tried; `DAMAGE_ROUNDS` sets another number.
fn rounds() -> u64 {
    std::env::var("DAMAGE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200)
}

/// A random number generator whose seed is printed; `DAMAGE_SEED` sets the seed.
fn random() -> fastrand::Rng {
    let seed =
        std::env::var("DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("DAMAGE_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Files of a directory by their path inside it.
#[derive(Clone)]
struct Copy(Vec<(PathBuf, Vec<u8>)>);

impl Copy {
    fn of(dir: &Path) -> Self {
        let mut files = Vec::new();
        for folder in [PathBuf::new(), PathBuf::from("events")] {
            for entry in fs::read_dir(dir.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    files.push((folder.join(entry.file_name()), fs::read(entry.path()).unwrap()));
                }
            }
        }
        files.sort();
        Self(files)
    }

    fn restore(&self, dir: &Path) {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir.join("events")).unwrap();
        for (path, bytes) in &self.0 {
            fs::write(dir.join(path), bytes).unwrap();
        }
    }

    fn names(&self, extension: &str) -> Vec<PathBuf> {
        let wanted = |path: &&PathBuf| path.extension().is_some_and(|found| found == extension);
        self.0.iter().map(|(path, _)| path).filter(wanted).cloned().collect()
    }

    fn bytes(&mut self, name: &Path) -> &mut Vec<u8> {
        &mut self.0.iter_mut().find(|(path, _)| path == name).unwrap().1
    }
}

/// What a store held before it was damaged.
struct Truth {
    copy: Copy,
    events: Vec<RecordedEvent>,
}

/// A store of a few segments, closed cleanly or left as a killed process leaves it.
async fn truth(batches: u64, is_closed: bool) -> Truth {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut n = 0;
    for batch in 0..batches {
        let events: Vec<_> = (n..=n + batch % 3).map(event).collect();
        n += batch % 3 + 1;
        store.append(&stream(&(batch % 4).to_string()), ExpectedVersion::Any, events).await.unwrap();
    }
    let events = all(&store).await.unwrap();
    if is_closed {
        store.close().await;
        return Truth { copy: Copy::of(dir.path()), events };
    }
    let copy = Copy::of(dir.path());
    Truth { copy, events }
}

/// Reads everything in every way; whatever comes back must be right.
async fn check_reads(store: &EmbeddedEventStore, truth: &[RecordedEvent]) -> Vec<StoreError> {
    let mut errors = Vec::new();
    match all(store).await {
        Ok(events) => assert_eq!(events, truth),
        Err(error) => errors.push(error),
    }
    for key in 0..4 {
        let stream = stream(&key.to_string());
        let mut expected: Vec<_> = truth.iter().filter(|event| event.stream == stream).cloned().collect();
        for direction in [Direction::Forward, Direction::Backward] {
            match of_stream(store, &stream, None, direction).await {
                Ok(events) => assert_eq!(events, expected, "{stream} {direction:?}"),
                Err(error) => errors.push(error),
            }
            expected.reverse();
        }
    }
    for event in truth {
        match store.find_event(event.id).await {
            Ok(found) => assert_eq!(found.as_ref(), Some(event)),
            Err(error) => errors.push(error),
        }
    }
    errors
}

/// Opens a damaged copy: everything is right, or what is wrong is named. Returns whether it was.
async fn check_damaged(dir: &Path, truth: &Truth, what: &str) -> bool {
    let report = scrub(dir, |_| {}).unwrap();
    let is_damaged = match EmbeddedEventStore::open(dir, small()) {
        Err(OpenError::Damaged(damage)) => {
            assert!(damage.file.starts_with(dir), "{what}: {damage}");
            true
        }
        Err(error) => panic!("{what}: {error:?}"),
        Ok(store) => {
            let errors = check_reads(&store, &truth.events).await;
            for error in &errors {
                assert!(matches!(error, StoreError::Corrupt { at, .. } if at.contains("events/")), "{what}: {error:?}");
            }
            // Writing goes on where it can, and never over what is there.
            let appended =
                store.append(&stream("new"), ExpectedVersion::NoStream, vec![event(1_000_000)]).await.unwrap();
            assert_eq!(appended.position.unwrap().value(), u64::try_from(truth.events.len()).unwrap() + 1, "{what}");
            !errors.is_empty()
        }
    };
    assert!(!is_damaged || report.damage_count > 0, "{what}: a scrub sees what a read sees");
    is_damaged
}

/// Everything salvaged is right, and everything that is not salvaged was told as lost.
fn check_salvage(dir: &Path, truth: &Truth, what: &str) {
    let mut saved = 0;
    let mut is_lossy = false;
    for item in salvage(dir).unwrap() {
        match item {
            Salvaged::Event(event) => {
                let place = usize::try_from(event.position.unwrap().value()).unwrap() - 1;
                assert_eq!(event, truth.events[place], "{what}");
                saved += 1;
            }
            Salvaged::Lost { .. } => is_lossy = true,
        }
    }
    assert!(is_lossy || saved == truth.events.len(), "{what}: {saved} of {} events", truth.events.len());
}

#[tokio::test]
async fn a_flip_of_any_byte_is_found_or_harmless() {
    let truth = truth(25, true).await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    let mut served = 0;
    for (name, bytes) in &truth.copy.0 {
        let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // Who had the directory open is not data; a spare is read when it has become a segment.
        if name.ends_with("lock") || name.ends_with("spare") {
            continue;
        }
        let is_active = Some(name) == truth.copy.names("seg").last();
        // Every third byte of the data (every bit of a frame is tried where frames are tested); of the
        // index pages, which are alike, and of zeros only some.
        let step = if extension == "idx" { 211 } else { 3 };
        let data = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let places = (0..data).step_by(step).chain((data..bytes.len()).step_by(997));
        for place in places {
            let mut copy = truth.copy.clone();
            copy.bytes(name)[place] ^= 1 << (place % 8);
            copy.restore(&dir);
            let what = format!("{} byte {place}", name.display());
            check_salvage(&dir, &truth, &what);
            let is_damaged = check_damaged(&dir, &truth, &what).await;
            let must_be_found = extension == "seg" && place < data;
            assert!(is_damaged || !must_be_found || (is_active && place >= data), "{what} went unnoticed");
            served += u32::from(!is_damaged);
        }
    }
    assert!(served > 0, "flips in an index or behind the data harm nothing");
}

#[tokio::test]
async fn random_flips_and_cuts_are_found_or_harmless() {
    let mut random = random();
    let truths = [truth(60, true).await, truth(60, false).await];
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    for round in 0..rounds() {
        let truth = &truths[random.usize(..2)];
        let mut copy = truth.copy.clone();
        let names: Vec<_> =
            copy.0.iter().map(|(name, _)| name.clone()).filter(|name| !name.ends_with("lock")).collect();
        let name = random.choice(&names).unwrap();
        let bytes = copy.bytes(name);
        let place = random.usize(..bytes.len());
        let how = random.u8(..3);
        match how {
            0 => bytes[place] ^= 1 << random.u8(..8),
            1 => bytes.truncate(place),
            _ => {
                let end = (place + random.usize(1..5000)).min(bytes.len());
                random.fill(&mut bytes[place..end]);
            }
        }
        copy.restore(&dir);
        let what = format!("round {round}, {} byte {place}, way {how}", name.display());
        check_salvage(&dir, truth, &what);
        check_damaged(&dir, truth, &what).await;
    }
}

#[tokio::test]
async fn a_missing_file_is_named_and_a_missing_index_is_built_again() {
    let truth = truth(40, true).await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    for (name, _) in truth.copy.0.iter().filter(|(name, _)| !name.ends_with("lock")) {
        truth.copy.restore(&dir);
        fs::remove_file(dir.join(name)).unwrap();
        let what = name.display().to_string();
        check_salvage(&dir, &truth, &what);
        let is_made_again = name.extension().is_some_and(|extension| extension == "idx") || name.ends_with("spare");
        assert_eq!(check_damaged(&dir, &truth, &what).await, !is_made_again, "{what}");
        assert!(!is_made_again || dir.join(name).exists(), "{what} is made again");
    }
}

/// Appends one group, then cuts or breaks it at every byte, as a power cut or a kill may leave it.
#[tokio::test]
async fn an_unacknowledged_commit_is_whole_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = vec![event(0), event(1)];
    store.append(&stream("a"), ExpectedVersion::NoStream, before).await.unwrap();
    let tail = fs::read(dir.path().join("events/tail")).unwrap();
    let start = data_end(dir.path());
    store.append(&stream("b"), ExpectedVersion::NoStream, vec![event(2), event(3)]).await.unwrap();
    let truth = all(&store).await.unwrap();
    let end = data_end(dir.path());
    assert!(end > start);
    let mut copy = Copy::of(dir.path());
    drop(store);
    // The watermark of the second append never reached the disk.
    *copy.bytes(Path::new("events/tail")) = tail;
    let segment = copy.names("seg")[0].clone();
    let scratch = tempfile::tempdir().unwrap();
    let scratch = scratch.path().join("store");
    for place in start..end {
        for is_cut in [true, false] {
            let mut torn = copy.clone();
            if is_cut {
                torn.bytes(&segment)[place..].fill(0);
            } else {
                torn.bytes(&segment)[place] ^= 0x10;
            }
            torn.restore(&scratch);
            let is_whole = torn.bytes(&segment)[start..end] == copy.bytes(&segment)[start..end];
            let expected = if is_whole { &truth[..] } else { &truth[..2] };
            for _ in 0..2 {
                let store = open(&scratch);
                assert_eq!(all(&store).await.unwrap(), expected, "byte {place}, cut {is_cut}");
                assert_eq!(store.find_event(id(2)).await.unwrap().is_some(), is_whole);
            }
            // What was cut off can be appended again.
            let store = open(&scratch);
            let again = store.append(&stream("b"), ExpectedVersion::Any, vec![event(2), event(3)]).await.unwrap();
            assert_eq!((again.version.value(), again.position.unwrap().value()), (2, 4));
            drop(store);
            assert_eq!(scrub(&scratch, |_| {}).unwrap().damage, []);
        }
    }
    // Shortened at any byte of the same commit, the file is as good as cut.
    for place in (start..end).step_by(7) {
        let mut torn = copy.clone();
        torn.bytes(&segment).truncate(place);
        torn.restore(&scratch);
        assert_eq!(all(&open(&scratch)).await.unwrap(), truth[..2], "shortened to {place}");
    }
}

/// The same damage below the watermark is never taken for a torn tail.
#[tokio::test]
async fn an_acknowledged_commit_that_is_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&stream("a"), ExpectedVersion::NoStream, vec![event(0), event(1)]).await.unwrap();
    let start = data_end(dir.path());
    store.append(&stream("b"), ExpectedVersion::NoStream, vec![event(2), event(3)]).await.unwrap();
    let end = data_end(dir.path());
    assert!(end > start);
    // As a killed process leaves it: without closing.
    let copy = Copy::of(dir.path());
    let segment = copy.names("seg")[0].clone();
    let scratch = tempfile::tempdir().unwrap();
    let scratch = scratch.path().join("store");
    for place in start..end {
        let mut damaged = copy.clone();
        damaged.bytes(&segment)[place] ^= 0x10;
        damaged.restore(&scratch);
        let error = EmbeddedEventStore::open(&scratch, small()).unwrap_err();
        let OpenError::Damaged(damage) = error else { panic!("{error:?}") };
        assert_eq!(damage.file, scratch.join(&segment));
        assert!(damage.offset >= u64::try_from(start).unwrap() && damage.offset <= u64::try_from(place).unwrap());
        assert!(matches!(damage.position.unwrap().value(), 3 | 4), "{damage}");
        let bytes = fs::read(scratch.join(&segment)).unwrap();
        assert_eq!(bytes, *damaged.bytes(&segment), "nothing is changed in a damaged store");
    }
}

/// In a group that a power cut tore, a later commit may have reached the disk before an earlier one.
#[tokio::test]
async fn a_group_torn_in_its_middle_is_cut_and_a_later_group_proves_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&stream("a"), ExpectedVersion::NoStream, vec![event(0)]).await.unwrap();
    let tail = fs::read(dir.path().join("events/tail")).unwrap();
    let start = data_end(dir.path());
    for round in 0..4 {
        let appends = (1 + round * 6..7 + round * 6).map(|n| {
            let (store, stream) = (store.clone(), stream(&n.to_string()));
            async move { store.append(&stream, ExpectedVersion::NoStream, vec![sized(n, 8)]).await.unwrap() }
        });
        futures::future::join_all(appends).await;
    }
    let mut copy = Copy::of(dir.path());
    drop(store);
    *copy.bytes(Path::new("events/tail")) = tail;
    let segment = copy.names("seg")[0].clone();
    let frames = frames(copy.bytes(&segment), start);
    let groups = frames.iter().filter(|frame| frame.group_distance == 0).count();
    assert!(groups > 1 && groups < frames.len(), "{groups} groups of {} commits", frames.len());
    let last_group = frames.iter().rposition(|frame| frame.group_distance == 0).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let scratch = scratch.path().join("store");
    for (number, frame) in frames.iter().enumerate() {
        let mut torn = copy.clone();
        torn.bytes(&segment)[frame.offset + 20] ^= 1;
        torn.restore(&scratch);
        match EmbeddedEventStore::open(&scratch, small()) {
            Ok(store) => {
                assert!(number >= last_group, "commit {number} of a durable group was cut off");
                assert_eq!(all(&store).await.unwrap().len(), number + 1);
            }
            Err(OpenError::Damaged(damage)) => {
                assert!(number < last_group, "{damage}");
                assert_eq!(damage.offset, u64::try_from(frame.offset).unwrap());
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

struct Frame {
    offset: usize,
    group_distance: u32,
    bytes: u32,
}

/// The frames of a segment, by their lengths.
fn frames(segment: &[u8], mut at: usize) -> Vec<Frame> {
    let number = |at: usize| u32::from_le_bytes(segment[at..at + 4].try_into().unwrap());
    let mut frames = Vec::new();
    while number(at + 4) != 0 {
        let frame = Frame { offset: at, group_distance: number(at + 36), bytes: number(at + 4) };
        at += usize::try_from(frame.bytes).unwrap();
        frames.push(frame);
    }
    frames
}

/// Where the data of the only segment end.
fn data_end(dir: &Path) -> usize {
    let segment = fs::read(dir.join("events/00000000000000000001.seg")).unwrap();
    let last = frames(&segment, 64).pop().unwrap();
    last.offset + usize::try_from(last.bytes).unwrap()
}

#[tokio::test]
async fn a_newer_format_is_refused_with_its_number() {
    let truth = truth(3, true).await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("store");
    let mut copy = truth.copy.clone();
    let segment = copy.names("seg")[0].clone();
    let header = copy.bytes(&segment);
    header[8] = 9;
    let checksum = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&checksum.to_le_bytes());
    copy.restore(&dir);
    let error = EmbeddedEventStore::open(&dir, small()).unwrap_err();
    assert!(error.to_string().contains("has format version 9, this program reads up to 1"), "{error}");
}

#[tokio::test]
async fn a_scrub_beside_other_use_finds_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..200 {
        store.append(&stream("a"), ExpectedVersion::Any, vec![event(n)]).await.unwrap();
    }
    let report = store.scrub(|_| {}).await.unwrap();
    assert_eq!((report.events, report.damage_count), (200, 0), "{report:?}");
    assert!(report.segments > 3);
    let segment = dir.path().join("events/00000000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let report = store.scrub(|_| {}).await.unwrap();
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert_eq!(report.damage[0].file, segment);
    let error = all(&store).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}
