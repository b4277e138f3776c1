//! Workflows that run by themselves on a server, the same ones for the same seed.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use eventsource_core::{Aggregate, CommandId, Context, Metadata};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::{
    client::{Client, ClientError, to_input},
    domain::{CommandKind, Json, Workflow, WorkflowCommand},
};

/// Under this name all command ids of simulations are made: a version 4 UUID, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x8a3f_0f5e_2d67_4f0d_b1c4_60a7_9d3e_51b2);
/// Batches a second.
const BATCHES_PER_SECOND: u32 = 10;
/// Most commands in one batch: what the server takes.
const BATCH_COMMANDS_MAX: u32 = 100;
/// Workflows that are under way at the same time.
const AT_A_TIME: usize = 50;
/// Most steps of a workflow before it is completed.
const STEPS_MAX: u32 = 8;
/// How long a server that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const DISPATCH: &str = "mutation Simulate($commands: [WorkflowCommandItem!]!) {
  dispatchWorkflowCommands(commands: $commands) { success message }
}";
const STEPS: [&str; 6] = ["plan", "check", "approve", "produce", "deliver", "invoice"];
const DEFINITIONS: [&str; 3] = ["order", "claim", "permit"];

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// How many workflows.
    pub workflows: NonZeroU32,
    /// Commands a second, of all workflows together.
    pub rate: NonZeroU32,
    /// The server's address.
    pub server: String,
    /// The same seed makes the same workflows with the same ids.
    pub seed: u64,
}

/// A workflow under way, with the state that the rules will have given it on the server.
struct Running {
    id: String,
    state: Workflow,
    moves: u32,
    steps: u32,
}

impl Simulation {
    /// Sends every command of every workflow; returns how many were sent.
    ///
    /// # Errors
    /// When the server stays away for too long, or refuses a request.
    pub async fn run(&self) -> Result<u64, ClientError> {
        let client = Client::new(&self.server, "simulate", PATIENCE)?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        let batch = (self.rate.get() / BATCHES_PER_SECOND).clamp(1, BATCH_COMMANDS_MAX);
        let mut ticks = interval(Duration::from_secs(1) * batch / self.rate.get());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = (1..=self.workflows.get()).map(|number| Running {
            id: format!("sim-{:x}-{number}", self.seed),
            state: Workflow::default(),
            moves: 0,
            steps: random.u32(1..=STEPS_MAX),
        });
        let mut waiting: Vec<Running> = waiting.by_ref().collect();
        waiting.reverse();
        let mut running: Vec<Running> = Vec::new();
        let mut sent = 0;
        loop {
            let mut items = Vec::new();
            for _ in 0..batch {
                if running.len() < AT_A_TIME {
                    running.extend(waiting.pop());
                }
                if running.is_empty() {
                    break;
                }
                let at = random.usize(..running.len());
                match running[at].next_move(self.seed, &mut random) {
                    Some((id, command)) => {
                        items.push(json!({ "command": to_input(&command), "commandId": id }));
                    }
                    None => drop(running.swap_remove(at)),
                }
            }
            if items.is_empty() && running.is_empty() && waiting.is_empty() {
                return Ok(sent);
            }
            ticks.tick().await;
            sent += u64::try_from(items.len()).unwrap_or(u64::MAX);
            if !items.is_empty() {
                let answer: Dispatched = client.ask(DISPATCH, json!({ "commands": items })).await?;
                for refused in answer.dispatch_workflow_commands.iter().filter(|said| !said.success) {
                    tracing::warn!(message = refused.message, "command refused");
                }
            }
        }
    }
}

impl Running {
    /// A command that the rules accept; `None` when the workflow is over, or goes no further.
    fn next_move(&mut self, seed: u64, random: &mut fastrand::Rng) -> Option<(CommandId, WorkflowCommand)> {
        let command = self.choose(random)?;
        let name = format!("{seed}/{}/{}", self.id, self.moves);
        let id = CommandId::from_uuid(Uuid::new_v5(&NAMESPACE, name.as_bytes()));
        let metadata = Metadata::default();
        let events = self.state.decide(&command, &Context::new(SystemTime::UNIX_EPOCH, id, &metadata)).ok()?;
        events.iter().for_each(|event| self.state.evolve(event));
        self.moves += 1;
        Some((id, command))
    }

    fn choose(&self, random: &mut fastrand::Rng) -> Option<WorkflowCommand> {
        let workflow_id = self.id.clone();
        let step_of = |number: u32| STEPS[usize::try_from(number).unwrap_or(0) % STEPS.len()].to_owned();
        let current = step_of(self.state.steps_started().saturating_sub(1));
        let legal = self.state.legal_commands();
        let is_legal = |kind| legal.contains(&kind);
        Some(match random.u32(..100) {
            _ if is_legal(CommandKind::StartWorkflow) => WorkflowCommand::StartWorkflow {
                workflow_id,
                definition: DEFINITIONS[random.usize(..DEFINITIONS.len())].to_owned(),
                initiator: "simulate".to_owned(),
                initial_params: Json::new(&json!({ "priority": random.u32(1..=5) })).ok(),
            },
            0..2 if is_legal(CommandKind::CancelWorkflow) => {
                WorkflowCommand::CancelWorkflow { workflow_id, reason: "not needed any more".to_owned() }
            }
            2..12 if is_legal(CommandKind::FailStep) => {
                WorkflowCommand::FailStep { workflow_id, step: current, reason: "it did not work".to_owned() }
            }
            _ if is_legal(CommandKind::CompleteStep) => WorkflowCommand::CompleteStep {
                workflow_id,
                step: current,
                output: Json::new(&json!({ "minutes": random.u32(1..=90) })).ok(),
            },
            // One in ten failed workflows stays so.
            10..20 if is_legal(CommandKind::RetryStep) => return None,
            _ if is_legal(CommandKind::RetryStep) => WorkflowCommand::RetryStep { workflow_id, step: current },
            _ if is_legal(CommandKind::StartStep) && self.state.steps_started() < self.steps => {
                WorkflowCommand::StartStep { workflow_id, step: step_of(self.state.steps_started()) }
            }
            _ if is_legal(CommandKind::CompleteWorkflow) => WorkflowCommand::CompleteWorkflow { workflow_id },
            _ => return None,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dispatched {
    dispatch_workflow_commands: Vec<Said>,
}

#[derive(Debug, Deserialize)]
struct Said {
    success: bool,
    message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{Running, STEPS_MAX, Workflow};

    #[test]
    fn a_seed_makes_the_same_moves_and_they_come_to_an_end() {
        let play = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut running = Running { id: "w".into(), state: Workflow::default(), moves: 0, steps: STEPS_MAX };
            let moves: Vec<_> = std::iter::from_fn(|| running.next_move(seed, &mut random)).take(1_000).collect();
            assert!(moves.len() < 1_000, "seed {seed} goes on for ever");
            moves
        };
        for seed in 0..50 {
            assert_eq!(play(seed), play(seed));
        }
    }
}
