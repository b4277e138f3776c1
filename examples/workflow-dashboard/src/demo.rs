//! A few workflows that move by themselves, so that the first page a person sees is alive.

use std::time::Duration;

use eventsource_core::{CommandEnvelope, CommandId, Metadata};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::{
    domain::{Json, WorkflowCommand},
    roles::{Commands, SendError, Wait},
};

/// Under this name all command ids of the demo are made: a version 4 UUID, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x0c7d_51d2_64a1_4c0b_9f5e_7b1e_5a7d_9a41);
/// Workflows of the demo.
const WORKFLOWS: u32 = 12;
/// When each one begins after the one before.
const BEGINS_EVERY: Duration = Duration::from_millis(3_500);
/// When each move of a workflow comes after the one before.
const MOVES_EVERY: Duration = Duration::from_millis(1_300);

const STEPS: [&str; 5] = ["receive order", "check stock", "take payment", "pack", "ship"];

/// Plays twelve orders over about a minute: most are delivered, some fail and are retried, one stays
/// failed, two are cancelled and a few stay under way.
///
/// # Errors
/// When a command cannot be queued.
pub async fn play(commands: &Commands) -> Result<(), SendError> {
    let start = Instant::now();
    let mut moves: Vec<(Duration, CommandId, WorkflowCommand)> = (1..=WORKFLOWS).flat_map(story).collect();
    moves.sort_by_key(|(at, ..)| *at);
    for (at, id, command) in moves {
        sleep_until(start + at).await;
        let metadata = Metadata { actor: Some("demo".into()), ..Metadata::default() };
        commands.send(CommandEnvelope::new(id, command, metadata), Wait::Dispatched).await?;
    }
    Ok(())
}

/// All that happens to one order, each move with its time.
fn story(number: u32) -> Vec<(Duration, CommandId, WorkflowCommand)> {
    let id = format!("order-{}", 1_000 + number);
    let workflow_id = || id.clone();
    let mut told = vec![WorkflowCommand::StartWorkflow {
        workflow_id: workflow_id(),
        definition: "order".to_owned(),
        initiator: ["ada", "grace", "edsger"][usize::try_from(number % 3).unwrap_or(0)].to_owned(),
        initial_params: Json::new(&json!({ "articles": number % 4 + 1, "express": number.is_multiple_of(3) })).ok(),
    }];
    let start = |step: &str| WorkflowCommand::StartStep { workflow_id: workflow_id(), step: step.to_owned() };
    let complete = |step: &str| WorkflowCommand::CompleteStep {
        workflow_id: workflow_id(),
        step: step.to_owned(),
        output: Json::new(&json!({ "by": "demo", "step": step })).ok(),
    };
    let fail = |step: &str, reason: &str| WorkflowCommand::FailStep {
        workflow_id: workflow_id(),
        step: step.to_owned(),
        reason: reason.to_owned(),
    };
    let cancel =
        |reason: &str| WorkflowCommand::CancelWorkflow { workflow_id: workflow_id(), reason: reason.to_owned() };
    for (index, step) in STEPS.into_iter().enumerate() {
        told.push(start(step));
        match (number, index) {
            // The card is refused once, then taken.
            (3 | 8, 2) => {
                told.push(fail(step, "the card was refused"));
                told.push(WorkflowCommand::RetryStep { workflow_id: workflow_id(), step: step.to_owned() });
            }
            (5, 1) => {
                told.push(fail(step, "the article is sold out"));
                break;
            }
            (4, 3) => {
                told.push(cancel("the customer changed her mind"));
                break;
            }
            (9, 2) => {
                told.push(fail(step, "the card was refused"));
                told.push(cancel("no payment"));
                break;
            }
            // These stay under way.
            (10..=12, 3) => break,
            _ => {}
        }
        told.push(complete(step));
        if index == STEPS.len() - 1 {
            told.push(WorkflowCommand::CompleteWorkflow { workflow_id: workflow_id() });
        }
    }
    let begins = BEGINS_EVERY * (number - 1);
    let timed = (0_u32..).zip(told).map(|(index, command)| {
        let name = format!("{id}/{index}");
        let command_id = CommandId::from_uuid(Uuid::new_v5(&NAMESPACE, name.as_bytes()));
        (begins + MOVES_EVERY * index, command_id, command)
    });
    timed.collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::SystemTime};

    use eventsource_core::{Aggregate, Context, Metadata};

    use super::{WORKFLOWS, story};
    use crate::domain::{Workflow, WorkflowStatus};

    #[test]
    fn every_move_of_the_demo_is_accepted() {
        let mut ends: HashMap<WorkflowStatus, u32> = HashMap::new();
        for number in 1..=WORKFLOWS {
            let mut state = Workflow::default();
            for (_, id, command) in story(number) {
                let metadata = Metadata::default();
                let events = state.decide(&command, &Context::new(SystemTime::UNIX_EPOCH, id, &metadata));
                for event in events.unwrap_or_else(|no| panic!("{no}")) {
                    state.evolve(&event);
                }
            }
            *ends.entry(state.status().unwrap()).or_default() += 1;
        }
        let count = |status| ends.get(&status).copied().unwrap_or_default();
        assert_eq!(WorkflowStatus::ALL.map(count), [3, 6, 1, 2], "running, completed, failed, cancelled");
    }

    #[test]
    fn the_demo_is_over_within_a_minute() {
        let last = (1..=WORKFLOWS).flat_map(story).map(|(at, ..)| at).max().unwrap();
        assert!((45..=60).contains(&last.as_secs()), "{last:?}");
    }
}
