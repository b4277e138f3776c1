//! The one thread that appends: it commits everything that waits with one write and one fdatasync.
//!
//! A group of commits goes through four steps, and an answer is given only after the last one: it is
//! planned (expectations checked, versions and positions given), written and synced, marked
//! acknowledged ([`tail`](super::tail)), and published to readers.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use eventsource_core::{Appended, Clock, Position, StoreError, Version};
use tokio::sync::{mpsc, oneshot};

use super::{
    append::{Append, Prepared, Stopped, first_result_of},
    create,
    error::LogError,
    frame::Place,
    gather::Gather,
    header::SEGMENT_HEADER_BYTES,
    index::{CommitRef, Index},
    key::IdBytes,
    maintenance::Maintenance,
    medium::Medium,
    memory_index::MemoryIndex,
    number::{index, narrow, offset, wide},
    recovery::ActiveFile,
    segment::Segment,
    shared::{Shared, find_id, newest_span},
    tail::{Tail, Watermark},
};

/// Bytes that go into one group, unless one commit alone has more.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// When an append counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When it is on disk: it survives a power cut.
    #[default]
    Durable,
    /// When the operating system has it: it survives a killed process but not a power cut. For
    /// benchmarks, and for data that can be made again.
    Buffered,
}

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: PathBuf,
    pub(crate) files: Arc<super::files::Files>,
    pub(crate) tail: Tail,
    pub(crate) maintenance: Maintenance,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) durability: Durability,
    pub(crate) segment_bytes_max: u64,
    pub(crate) active: Active,
    /// How long the last sync took.
    pub(crate) sync: Duration,
    /// Why nothing is written any more.
    pub(crate) stopped: Option<Stopped>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    segment: Arc<Segment>,
    medium: Medium,
    end: u64,
    /// Everything below is on disk: what is written from here on is one group until the next sync.
    synced: u64,
    capacity: u64,
    /// The position that the next event gets.
    position: u64,
}

type Reply = (oneshot::Sender<Result<Appended, StoreError>>, Result<Appended, StoreError>);

impl Active {
    pub(crate) fn new(segment: Arc<Segment>, file: ActiveFile, head: u64) -> Self {
        let ActiveFile { file, end, capacity } = file;
        Self { segment, medium: Medium::new(file), end, synced: end, capacity, position: head + 1 }
    }

    /// Lets the disk fail.
    #[cfg(test)]
    pub(crate) fn fail(&mut self, fault: super::medium::Fault) {
        self.medium.fail(fault);
    }

    fn watermark(&self) -> Watermark {
        Watermark { segment: self.segment.first(), end: self.end, position: self.position - 1 }
    }
}

/// Commits that are written together.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    /// Events in `bytes`.
    events: u64,
    replies: Vec<Reply>,
}

/// What is to be done with a request.
enum Decision {
    Write { version: u64 },
    Answer(Appended),
}

impl Writer {
    /// Appends until every sender is gone, then closes the log.
    pub(crate) fn run(mut self, requests: mpsc::Receiver<Append>) {
        let mut gather = Gather::new(requests);
        let mut waiting = VecDeque::new();
        let mut group = Group::default();
        self.maintenance.order_spare(self.next_segment_bytes());
        while gather.next(&mut waiting, self.sync) {
            let answered = waiting.len();
            while !waiting.is_empty() {
                self.commit_group(&mut waiting, &mut group);
            }
            gather.answered(answered);
        }
        self.close();
    }

    /// Writes as many of the waiting commits as go together, and answers them.
    fn commit_group(&mut self, waiting: &mut VecDeque<Append>, group: &mut Group) {
        if let Some(stopped) = &self.stopped {
            for append in waiting.drain(..) {
                answer(append.reply, Err(StoreError::unavailable(stopped.clone())));
            }
            return;
        }
        group.bytes.clear();
        group.events = 0;
        self.plan(waiting, group);
        if group.replies.is_empty() {
            if let Some(append) = waiting.front()
                && let Err(error) = self.roll(append.request.commit.len())
                && let Some(append) = waiting.pop_front()
            {
                answer(append.reply, Err(error));
            }
            return;
        }
        let written = if group.bytes.is_empty() { Ok(()) } else { self.write(group) };
        if let Err(error) = written {
            let stopped = self.stop(error);
            for (reply, _) in group.replies.drain(..) {
                answer(reply, Err(StoreError::unavailable(stopped.clone())));
            }
            return;
        }
        for (reply, result) in group.replies.drain(..) {
            answer(reply, result);
        }
    }

    /// Moves requests into the group until it is full or the segment is.
    fn plan(&mut self, waiting: &mut VecDeque<Append>, group: &mut Group) {
        let recorded_at = nanoseconds(self.clock.now());
        let segment = Arc::clone(&self.active.segment);
        let mut locked = segment.index_mut();
        let Index::Memory(memory) = &mut *locked else {
            unreachable!("the index of the segment that is written to is in memory");
        };
        while let Some(append) = waiting.front() {
            let request = &append.request;
            let decision = self.decide(request, memory, group);
            if let Ok(Decision::Write { version }) = decision {
                let length = request.commit.len();
                let end = self.active.end + wide(group.bytes.len() + length);
                let is_full = !group.bytes.is_empty() && group.bytes.len() + length > GROUP_BYTES_MAX;
                if is_full || end > self.active.capacity {
                    return;
                }
                let result = self.place(request, memory, group, version, recorded_at);
                group.replies.extend(waiting.pop_front().map(|append| (append.reply, Ok(result))));
                continue;
            }
            let result = decision.map(|decision| match decision {
                Decision::Answer(appended) => appended,
                Decision::Write { .. } => unreachable!("written above"),
            });
            group.replies.extend(waiting.pop_front().map(|append| (append.reply, result)));
        }
    }

    /// Compares a request with everything before it, earlier ones of the group included.
    fn decide(&self, request: &Prepared, memory: &MemoryIndex, group: &Group) -> Result<Decision, StoreError> {
        if let Some((id, commit)) = request.ids.iter().find_map(|id| Some((id, memory.find(id)?.0))) {
            return self.first_result(request, id, commit, group).map(Decision::Answer);
        }
        let view = self.shared.view();
        let (_, sealed) = view.segments.split_last().expect("a log has a segment");
        let rolled = &sealed[sealed.partition_point(|segment| segment.first() < request.looked_below)..];
        for id in &request.ids {
            if let Some((segment, offset, bytes)) = find_id(rolled, id)? {
                let frame = segment.read(u64::from(offset), index(bytes))?;
                let first =
                    first_result_of(&frame, segment.seed(), u64::from(offset), &request.stream, &request.ids, id);
                let lost = || segment.damaged(u64::from(offset), 0, "the index leads to no whole commit");
                return first?.map(Decision::Answer).ok_or_else(|| lost().into());
            }
        }
        let version = match memory.span(&request.key) {
            Some(span) => span.newest,
            None => newest_span(rolled, &request.key)?.map_or(request.version, |span| span.newest),
        };
        let actual = Version::new(version);
        if request.expected.allows(actual) {
            return Ok(Decision::Write { version: version + 1 });
        }
        Err(StoreError::Conflict { stream: request.stream.clone(), expected: request.expected, actual })
    }

    /// The result of the commit in this segment that holds the event with this id.
    fn first_result(
        &self,
        request: &Prepared,
        id: &IdBytes,
        commit: CommitRef,
        group: &Group,
    ) -> Result<Appended, StoreError> {
        let segment = &self.active.segment;
        let at = u64::from(commit.offset);
        let read;
        let frame = match at.checked_sub(self.active.end) {
            Some(in_group) => group.bytes.get(super::number::length(in_group)..).unwrap_or_default(),
            None => {
                read = segment.read(at, index(commit.bytes))?;
                &read
            }
        };
        first_result_of(frame, segment.seed(), at, &request.stream, &request.ids, id)?
            .ok_or_else(|| segment.damaged(at, 0, "the index leads to no whole commit").into())
    }

    /// Adds a commit to the group and to the index.
    fn place(
        &self,
        request: &Prepared,
        memory: &mut MemoryIndex,
        group: &mut Group,
        version: u64,
        recorded_at: i64,
    ) -> Appended {
        let in_group = group.bytes.len();
        let at = self.active.end + wide(in_group);
        let position = self.active.position + group.events;
        let place = Place {
            seed: self.active.segment.seed(),
            offset: at,
            position,
            version,
            recorded_at,
            group_distance: offset(at - self.active.synced),
        };
        request.commit.finish(&mut group.bytes, place);
        let count = wide(request.ids.len());
        group.events += count;
        let bytes = narrow(request.commit.len());
        let commit = CommitRef { version, count: narrow(request.ids.len()), offset: offset(at), bytes };
        memory.insert(request.key, commit, position, request.ids.iter().copied());
        let last = |first: u64| first + count - 1;
        Appended {
            version: Version::new(last(version)).expect("versions begin at 1"),
            position: Position::new(last(position)),
            repeated: false,
        }
    }

    /// Writes a group, makes it durable, and shows it to readers.
    fn write(&mut self, group: &Group) -> Result<(), LogError> {
        let active = &mut self.active;
        let path = active.segment.path();
        active.medium.write_all_at(&group.bytes, active.end).map_err(LogError::io("writing", path))?;
        active.end += wide(group.bytes.len());
        active.position += group.events;
        if self.durability == Durability::Durable {
            let began = Instant::now();
            active.medium.sync_data().map_err(LogError::io("syncing", path))?;
            active.synced = active.end;
            self.sync = began.elapsed();
            metrics::histogram!("eventsource_log_sync_seconds").record(self.sync);
            self.tail.advance(active.watermark())?;
        }
        active.segment.publish(active.end);
        self.shared.publish(active.position - 1);
        metrics::histogram!("eventsource_log_group_appends").record(f64::from(narrow(group.replies.len())));
        metrics::counter!("eventsource_log_events_total").increment(group.events);
        Ok(())
    }

    /// Goes on in a new segment, because a commit of this length does not fit.
    fn roll(&mut self, length: usize) -> Result<(), StoreError> {
        let needed = wide(SEGMENT_HEADER_BYTES + length);
        if self.active.end == wide(SEGMENT_HEADER_BYTES) {
            // An empty segment would leave its place to one of the same name, so it grows instead.
            let grown = self.active.medium.grow(needed).map_err(LogError::io("growing", self.active.segment.path()));
            grown.map_err(|error| StoreError::unavailable(self.stop(error)))?;
            self.active.capacity = needed;
            return Ok(());
        }
        let spare_bytes = self.maintenance.order_spare(self.next_segment_bytes());
        // Nothing was written yet, so a failure here leaves the next append free to try again.
        let zeros = if needed > spare_bytes {
            create::fill(&self.events, needed).map_err(StoreError::unavailable)?
        } else {
            self.maintenance.await_spare().map_err(StoreError::unavailable)?;
            create::spare_path(&self.events)
        };
        self.start_segment(self.active.position, &zeros).map_err(|error| StoreError::unavailable(self.stop(error)))
    }

    /// Goes on in the segment that begins at `first`, made of the file of zeros at `zeros`.
    fn start_segment(&mut self, first: u64, zeros: &Path) -> Result<(), LogError> {
        self.settle()?;
        let store = self.tail.store();
        let file = create::adopt(zeros, &self.events, store, first)?;
        let medium = Medium::new(file);
        let capacity = medium.length().map_err(LogError::io("measuring", &self.events))?;
        let end = wide(SEGMENT_HEADER_BYTES);
        let index = Index::Memory(MemoryIndex::new(first));
        let segment = Arc::new(Segment::new(&self.events, Arc::clone(&self.files), store, first, index, end));
        let active = Active { segment: Arc::clone(&segment), medium, end, synced: end, capacity, position: first };
        let full = std::mem::replace(&mut self.active, active);
        self.shared.push(segment);
        self.maintenance.order_spare(self.next_segment_bytes());
        self.maintenance.seal(full.segment);
        Ok(())
    }

    /// Segments double up to their full length, so that a small store stays small.
    fn next_segment_bytes(&self) -> u64 {
        self.active.capacity.saturating_mul(2).min(self.segment_bytes_max)
    }

    /// Makes everything durable that was only buffered, and marks it.
    fn settle(&mut self) -> Result<(), LogError> {
        if self.tail.is_settled(self.active.watermark()) {
            return Ok(());
        }
        let path = self.active.segment.path();
        self.active.medium.sync_data().map_err(LogError::io("syncing", path))?;
        self.active.synced = self.active.end;
        self.tail.settle(self.active.watermark())
    }

    /// After a failed write nobody knows what is on disk; a second sync would only hide it.
    fn stop(&mut self, error: LogError) -> Stopped {
        tracing::error!(error = %error, cause = ?error, "the event log stops");
        let stopped = Stopped { source: Arc::new(error) };
        self.stopped = Some(stopped.clone());
        stopped
    }

    fn close(mut self) {
        if self.stopped.is_none()
            && let Err(error) = self.settle()
        {
            tracing::error!(%error, "the event log could not be closed cleanly");
        }
    }
}

/// A caller that went away does not want its answer.
fn answer(reply: oneshot::Sender<Result<Appended, StoreError>>, result: Result<Appended, StoreError>) {
    drop(reply.send(result));
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(error) => i64::try_from(error.duration().as_nanos()).map_or(i64::MIN, |before| -before),
    }
}
