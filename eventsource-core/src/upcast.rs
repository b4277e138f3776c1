//! From an old shape of an event to the next one, before decoding.

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;

use crate::{codec::CodecError, event::EventName};

/// The stored form of an event at one schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// What happened.
    pub name: EventName,
    /// Shape of the payload.
    pub schema: u16,
    /// The fields, as JSON text.
    pub payload: Bytes,
}

/// One step from an old shape to the next. It may rename, reshape, split or drop.
pub trait Upcaster: fmt::Debug + Send + Sync + 'static {
    /// The name and schema this step reads.
    fn reads(&self) -> (&str, u16);
    /// The event in its next shape; several for a split, none for a retired event.
    ///
    /// # Errors
    /// When the stored payload does not have the shape this step reads.
    fn upcast(&self, old: Versioned) -> Result<Vec<Versioned>, CodecError>;
}

/// Most steps one stored event may take: a chain that is longer runs in a circle.
pub const UPCAST_STEPS_MAX: usize = 256;

/// All steps of one aggregate, found by the name and schema they read.
///
/// ```
/// use eventsource_core::Upcasters;
///
/// assert!(Upcasters::new([])?.is_empty());
/// # Ok::<(), eventsource_core::UpcastersError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Upcasters {
    steps: HashMap<EventName, Vec<Arc<dyn Upcaster>>>,
}

impl Upcasters {
    /// A chain of these steps, in any order.
    ///
    /// # Errors
    /// When two steps read the same name and schema.
    pub fn new(steps: impl IntoIterator<Item = Arc<dyn Upcaster>>) -> Result<Self, UpcastersError> {
        let mut this = Self::default();
        for step in steps {
            let (name, schema) = step.reads();
            if this.step(name, schema).is_some() {
                return Err(UpcastersError { name: name.to_owned(), schema });
            }
            this.steps.entry(EventName::from(name)).or_default().push(step);
        }
        Ok(this)
    }

    /// Whether there is no step at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The names that steps read: stored events may carry them though no program writes them any more.
    pub(crate) fn names(&self) -> impl Iterator<Item = &EventName> {
        self.steps.keys()
    }

    /// The step that reads this shape; `None` when it is the newest.
    pub(crate) fn step(&self, name: &str, schema: u16) -> Option<&dyn Upcaster> {
        self.steps.get(name)?.iter().find(|step| step.reads().1 == schema).map(|step| &**step)
    }

    /// The event in its newest shape, steps taken in order.
    pub(crate) fn newest(&self, old: Versioned) -> Result<Vec<Versioned>, CodecError> {
        let mut waiting = vec![old];
        let mut newest = Vec::new();
        let mut steps_left = UPCAST_STEPS_MAX;
        while let Some(event) = waiting.pop() {
            let Some(step) = self.step(event.name.as_str(), event.schema) else {
                newest.push(event);
                continue;
            };
            if steps_left == 0 {
                return Err(CodecError::new(&event.name, event.schema, "its upcasters run in a circle".into()));
            }
            steps_left -= 1;
            waiting.extend(step.upcast(event)?.into_iter().rev());
        }
        Ok(newest)
    }
}

/// Two upcasters read the same shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two upcasters read event {name} (schema {schema}), one is right")]
pub struct UpcastersError {
    name: String,
    schema: u16,
}
