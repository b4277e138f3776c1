//! The last commands an aggregate carried out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{event::RecordedEvent, id::CommandId, version::Version};

/// Commands remembered for each aggregate in memory and in snapshots. Older ones are found by
/// their event ids in the store.
pub const RECENT_COMMANDS_MAX: usize = 64;

/// Which events a command caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commit {
    pub(super) command: CommandId,
    pub(super) first: Version,
    pub(super) last: Version,
}

/// A bounded list of commits, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Recent {
    commits: VecDeque<Commit>,
}

impl Recent {
    pub(super) fn find(&self, command: CommandId) -> Option<Commit> {
        self.commits.iter().rev().find(|commit| commit.command == command).copied()
    }

    pub(super) fn push(&mut self, command: CommandId, first: Version, last: Version) {
        if self.commits.len() == RECENT_COMMANDS_MAX {
            self.commits.pop_front();
        }
        self.commits.push_back(Commit { command, first, last });
    }

    /// Takes in an event that was read: its causation is the command.
    pub(super) fn note(&mut self, record: &RecordedEvent) {
        let Some(command) = record.metadata.causation_id.map(CommandId::from_uuid) else { return };
        match self.commits.back_mut() {
            Some(commit) if commit.command == command && commit.last.next() == record.version => {
                commit.last = record.version;
            }
            _ => self.push(command, record.version, record.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RECENT_COMMANDS_MAX, Recent};
    use crate::{
        clock::{IdSource, RandomIds},
        version::Version,
    };

    #[test]
    fn the_oldest_command_is_forgotten_first() {
        let mut recent = Recent::default();
        let oldest = RandomIds.command_id();
        recent.push(oldest, Version::FIRST, Version::FIRST);
        for _ in 1..RECENT_COMMANDS_MAX {
            recent.push(RandomIds.command_id(), Version::FIRST, Version::FIRST);
        }
        assert!(recent.find(oldest).is_some());
        recent.push(RandomIds.command_id(), Version::FIRST, Version::FIRST);
        assert!(recent.find(oldest).is_none());
    }
}
