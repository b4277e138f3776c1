//! A command as a message on the queue.

use std::borrow::Cow;

use eventsource_core::{Command, CommandEnvelope, CommandId, ExpectedVersion, Message};
use serde::{Deserialize, Serialize};

use crate::domain::WorkflowCommand;

/// What the body of a message holds. Everything else travels in the message's own fields.
#[derive(Debug, Serialize, Deserialize)]
struct Body<C> {
    command: C,
    #[serde(default = "any", skip_serializing_if = "is_any")]
    expected: ExpectedVersion,
}

const fn any() -> ExpectedVersion {
    ExpectedVersion::Any
}

fn is_any(expected: &ExpectedVersion) -> bool {
    *expected == ExpectedVersion::Any
}

/// The message that carries `command`: its id is the command's, its session the workflow.
///
/// # Panics
/// Never: a command is text and JSON, which always has a JSON form.
#[must_use]
pub fn to_message(command: &CommandEnvelope<WorkflowCommand>) -> Message {
    let body = Body { command: &command.command, expected: command.expected };
    let body = serde_json::to_vec(&body).expect("texts, numbers and JSON always have a JSON form");
    Message {
        id: *command.id.as_uuid(),
        session: command.command.aggregate_key().into(),
        subject: Cow::Borrowed(command.command.name()),
        body: body.into(),
        metadata: command.metadata.clone(),
        not_before: None,
    }
}

/// The command in `message`.
///
/// # Errors
/// When the body is no command of ours.
pub fn from_message(message: &Message) -> Result<CommandEnvelope<WorkflowCommand>, serde_json::Error> {
    let Body { command, expected } = serde_json::from_slice::<Body<WorkflowCommand>>(&message.body)?;
    let id = CommandId::from_uuid(message.id);
    Ok(CommandEnvelope::new(id, command, message.metadata.clone()).expecting(expected))
}

#[cfg(test)]
mod tests {
    use eventsource_core::{CommandEnvelope, CommandId, ExpectedVersion, Metadata, Version};

    use super::{from_message, to_message};
    use crate::domain::WorkflowCommand;

    #[test]
    fn a_command_comes_back_from_its_message() {
        let id = CommandId::from_uuid(uuid::Uuid::from_u128(7));
        let metadata = Metadata { actor: Some("ada".into()), ..Metadata::default() };
        let command = WorkflowCommand::StartStep { workflow_id: "case-7".into(), step: "pick".into() };
        for expected in [ExpectedVersion::Any, ExpectedVersion::NoStream, ExpectedVersion::Exact(Version::FIRST)] {
            let sent = CommandEnvelope::new(id, command.clone(), metadata.clone()).expecting(expected);
            let message = to_message(&sent);
            assert_eq!((&*message.session, &*message.subject), ("case-7", "start-step"));
            let back = from_message(&message).unwrap();
            assert_eq!((back.id, back.command, back.metadata), (sent.id, sent.command, sent.metadata));
            assert_eq!(back.expected, expected);
        }
    }
}
