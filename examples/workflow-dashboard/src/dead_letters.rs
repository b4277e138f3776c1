//! Commands that were given up on: how many there are, and what an operator does about them.

use eventsource_core::{StoreError, memory::MemoryQueue};
use eventsource_embedded::{DeadLetter, EmbeddedQueue};

use crate::time::to_rfc3339;

/// Dead letters read together.
const TOGETHER: u32 = 100;

/// The dead letters of the queue that commands wait in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    queue: Queue,
}

#[derive(Clone, Debug)]
enum Queue {
    Memory(MemoryQueue),
    Embedded(EmbeddedQueue),
}

impl From<MemoryQueue> for DeadLetters {
    fn from(queue: MemoryQueue) -> Self {
        Self { queue: Queue::Memory(queue) }
    }
}

impl From<EmbeddedQueue> for DeadLetters {
    fn from(queue: EmbeddedQueue) -> Self {
        Self { queue: Queue::Embedded(queue) }
    }
}

impl DeadLetters {
    /// How many there are, without I/O.
    #[must_use]
    pub fn count(&self) -> u64 {
        let count = match &self.queue {
            Queue::Memory(queue) => queue.dead_letters().len(),
            Queue::Embedded(queue) => queue.stats().dead_letters,
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Every one of them as a line, the oldest first. A queue in memory, which ends with its process,
    /// lists none.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub async fn lines(&self) -> Result<Vec<String>, StoreError> {
        let (mut lines, mut after) = (Vec::new(), None);
        let Queue::Embedded(queue) = &self.queue else { return Ok(lines) };
        loop {
            let some = queue.dead_letters(after, TOGETHER).await?;
            let Some(last) = some.last() else { return Ok(lines) };
            after = Some(last.number);
            lines.extend(some.iter().map(line));
        }
    }

    /// Sends the one of this number again; returns whether there was one.
    ///
    /// # Errors
    /// When its command is in the queue already, or the queue cannot be used.
    pub async fn resubmit(&self, number: u64) -> Result<bool, StoreError> {
        match &self.queue {
            Queue::Memory(_) => Ok(false),
            Queue::Embedded(queue) => queue.resubmit(number).await,
        }
    }

    /// Throws the one of this number away; returns whether there was one.
    ///
    /// # Errors
    /// When the queue cannot be used.
    pub async fn discard(&self, number: u64) -> Result<bool, StoreError> {
        match &self.queue {
            Queue::Memory(_) => Ok(false),
            Queue::Embedded(queue) => queue.discard(number).await,
        }
    }
}

fn line(letter: &DeadLetter) -> String {
    let DeadLetter { number, message, attempts, reason, description, dead_at, .. } = letter;
    format!(
        "{number}: {} {} for workflow {}, {attempts} attempts, given up on at {}: {reason}: {description}",
        message.subject,
        message.id,
        message.session,
        to_rfc3339(*dead_at)
    )
}
