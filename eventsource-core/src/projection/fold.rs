//! Events into views: decoded, guarded against redelivery, folded in order.

use std::{collections::HashSet, time::SystemTime};

use super::{
    error::ProjectionError,
    parking::{ParkedStreams, parked, reason},
    slots::{HotViews, Positions, Slots},
};
use crate::{
    codec::Codec,
    event::{Envelope, RecordedEvent},
    id::StreamId,
    view::{Parked, ProjectError, ProjectionId, Projector, Scope, StoredView},
};

/// Folds batches of events.
pub(super) struct Folder<P: Projector> {
    projector: P,
    codec: Codec<P::Event>,
    hot: HotViews<P>,
}

/// What a batch came to. Hand it back with [`Folder::keep`] once it is committed.
pub(super) struct Folded<V> {
    pub(super) views: Vec<StoredView>,
    pub(super) park: Vec<Parked>,
    /// Events folded in.
    pub(super) events: usize,
    slots: Slots<V>,
}

/// What one record stands for: all of it is folded in or nothing.
enum Unit<E> {
    One(usize, Envelope<E>),
    Many(RecordedEvent, Vec<(usize, Envelope<E>)>),
    Broken(RecordedEvent, String),
}

/// Whether the views before an event are kept until it is folded in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// They are not: one event that fails spoils the batch.
    Fast,
    /// They are, at the price of a clone each.
    Careful,
}

impl<P: Projector> Folder<P> {
    pub(super) const fn new(projector: P, codec: Codec<P::Event>, hot: HotViews<P>) -> Self {
        Self { projector, codec, hot }
    }

    /// Forgets all views, so that they are read from the store again.
    pub(super) fn clear(&mut self) {
        self.hot.clear();
    }

    /// Folds `records` in, in their order, passing over parked streams and what is folded in already.
    pub(super) async fn fold(
        &mut self,
        records: Vec<RecordedEvent>,
        parked: &ParkedStreams,
        positions: Positions,
        now: SystemTime,
    ) -> Result<Folded<P::View>, ProjectionError> {
        let mut slots = Slots::new();
        let mut units = Vec::with_capacity(records.len());
        units.extend(
            records
                .into_iter()
                .filter(|record| !parked.contains(&record.stream))
                .filter_map(|record| self.read(record, &mut slots)),
        );
        self.hot.fill(&mut slots).await?;
        let (park, events) = match self.project(&units, &mut slots, Care::Fast, now)? {
            Some(done) => done,
            None => {
                // Some event failed and took its view with it: everything again, keeping views.
                self.hot.clear();
                self.hot.fill(&mut slots).await?;
                self.project(&units, &mut slots, Care::Careful, now)?.expect("a careful fold never gives up")
            }
        };
        let views = self.hot.encode(&mut slots, positions)?;
        Ok(Folded { views, park, events, slots })
    }

    /// Keeps the views for the next batch, now that they are committed.
    pub(super) fn keep(&mut self, slots: Slots<P::View>) {
        self.hot.keep(slots);
    }

    /// What a record stands for; `None` when it changes no view.
    fn read(&self, record: RecordedEvent, slots: &mut Slots<P::View>) -> Option<Unit<P::Event>> {
        let decoded = self.codec.decode(&record).or_else(|_| self.codec.decode(&record));
        let mut events = match decoded {
            Ok(events) => events,
            Err(error) => return Some(Unit::Broken(record, reason(&error))),
        };
        let event = events.next()?;
        let Some(second) = events.next() else {
            let envelope = Envelope { event, record };
            let key = self.projector.key(&envelope)?;
            return Some(match misplaced::<P>(&key, &envelope.record) {
                Some(reason) => Unit::Broken(envelope.record, reason),
                None => Unit::One(slots.number(key), envelope),
            });
        };
        let mut many = Vec::new();
        for event in [event, second].into_iter().chain(events) {
            let envelope = Envelope { event, record: record.clone() };
            if let Some(key) = self.projector.key(&envelope) {
                if let Some(reason) = misplaced::<P>(&key, &record) {
                    return Some(Unit::Broken(record, reason));
                }
                many.push((slots.number(key), envelope));
            }
        }
        Some(Unit::Many(record, many))
    }

    /// Folds every unit into its views and says what to park; `None` when a fast fold failed.
    fn project(
        &self,
        units: &[Unit<P::Event>],
        slots: &mut Slots<P::View>,
        care: Care,
        now: SystemTime,
    ) -> Result<Option<(Vec<Parked>, usize)>, ProjectionError> {
        let mut park: Vec<Parked> = Vec::new();
        let mut halted: HashSet<StreamId> = HashSet::new();
        let mut count = 0;
        for unit in units {
            let record = unit.record();
            if !halted.is_empty() && halted.contains(&record.stream) {
                continue;
            }
            let reason = match unit {
                Unit::Broken(_, reason) => reason.clone(),
                Unit::One(number, envelope) => match self.apply(&[(*number, envelope)], slots, care) {
                    Ok(folded) => {
                        count += folded;
                        continue;
                    }
                    Err(error) => reason(&error),
                },
                Unit::Many(_, events) => {
                    let events: Vec<_> = events.iter().map(|(number, envelope)| (*number, envelope)).collect();
                    match self.apply(&events, slots, care) {
                        Ok(folded) => {
                            count += folded;
                            continue;
                        }
                        Err(error) => reason(&error),
                    }
                }
            };
            if care == Care::Fast && !matches!(unit, Unit::Broken(..)) {
                return Ok(None);
            }
            let note = parked(record, reason, now)
                .map_err(|source| ProjectionError::Store { projection: ProjectionId::of::<P>(), source })?;
            tracing::error!(
                projection = %ProjectionId::of::<P>(), stream = %note.stream, version = %note.version,
                position = %note.position, event = %note.event, reason = note.reason,
                "event cannot be projected, its stream is parked"
            );
            halted.insert(note.stream.clone());
            park.push(note);
        }
        Ok(Some((park, count)))
    }

    /// Folds one record's events in and counts them, unless they are folded in already.
    fn apply(
        &self,
        events: &[(usize, &Envelope<P::Event>)],
        slots: &mut Slots<P::View>,
        care: Care,
    ) -> Result<usize, ProjectError> {
        let folded_already = |(number, envelope): &(usize, &Envelope<P::Event>)| {
            P::SCOPE == Scope::Stream && slots.at(*number).version >= Some(envelope.record.version)
        };
        if events.first().is_some_and(folded_already) {
            return Ok(0);
        }
        let before: Vec<_> = match care {
            Care::Fast => Vec::new(),
            Care::Careful => events.iter().map(|(number, _)| (*number, slots.at(*number).clone())).collect(),
        };
        for (number, envelope) in events {
            let slot = slots.at(*number);
            match self.projector.project(slot.view.take(), envelope) {
                Ok(view) => slot.view = view,
                Err(error) => {
                    for (number, slot) in before {
                        *slots.at(number) = slot;
                    }
                    return Err(error);
                }
            }
            slot.version = Some(envelope.record.version);
            slot.folded = envelope.record.position;
        }
        Ok(events.len())
    }
}

impl<E> Unit<E> {
    const fn record(&self) -> &RecordedEvent {
        match self {
            Self::One(_, envelope) => &envelope.record,
            Self::Many(record, _) | Self::Broken(record, _) => record,
        }
    }
}

impl<V> Folded<V> {
    /// What to write, what to park, and what to hand back to [`Folder::keep`] afterwards.
    pub(super) fn into_parts(self) -> (Vec<StoredView>, Vec<Parked>, Slots<V>) {
        (self.views, self.park, self.slots)
    }
}

/// What is wrong with a key that is not the stream's own where it has to be.
fn misplaced<P: Projector>(key: &str, record: &RecordedEvent) -> Option<String> {
    let wrong = P::SCOPE == Scope::Stream && key != record.stream.key();
    wrong.then(|| format!("its view has the key {key:?}, in scope Stream it must be the stream's key"))
}
