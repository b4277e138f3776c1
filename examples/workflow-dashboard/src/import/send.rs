//! Sends plans to a server and learns what became of each command.

use std::{collections::HashMap, time::Duration};

use eventsource_core::CommandId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    pace::Pace,
    plan::{CasePlan, PlannedCommand},
};
use crate::client::{Client, ClientError, to_input};

/// Most commands in one request.
const BATCH_COMMANDS_MAX: usize = 100;
/// Most bytes of commands in one request: half of what the server takes.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Most questions in one request.
const QUESTIONS_MAX: usize = 50;
/// Pause between two looks at commands that are not decided yet.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the server is asked to wait for its views at a time.
const SHOWN_WAIT_MAX: Duration = Duration::from_secs(20);

const DISPATCH: &str = "mutation Dispatch($commands: [WorkflowCommandItem!]!) {
  dispatchWorkflowCommands(commands: $commands) { success version code message }
}";

/// What the server says of a command. Undecided commands have neither version nor code.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Said {
    success: bool,
    version: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl Said {
    const fn is_decided(&self) -> bool {
        self.version.is_some() || self.code.is_some()
    }

    fn refusal(&self) -> String {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{} ({})", text(&self.message), text(&self.code))
    }
}

/// What became of a number of cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportTotals {
    /// Workflows of the log that are in the server's views.
    pub workflows: u64,
    /// Steps that are completed there.
    pub completed_steps: u64,
    /// Commands that were sent.
    pub commands: u64,
    /// Commands that had been decided in an earlier run.
    pub duplicates: u64,
    /// Commands that were refused.
    pub rejected: u64,
    /// Workflows whose commands are committed and which the server's views did not show in time.
    pub not_yet_visible: u64,
    /// The first few refusals, for people.
    pub refusals: Vec<String>,
}

/// Most refusals that are told one by one.
const REFUSALS_MAX: usize = 10;

impl ImportTotals {
    /// Adds what became of other cases.
    pub(super) fn add(&mut self, other: Self) {
        self.workflows += other.workflows;
        self.completed_steps += other.completed_steps;
        self.commands += other.commands;
        self.duplicates += other.duplicates;
        self.rejected += other.rejected;
        self.not_yet_visible += other.not_yet_visible;
        let room = REFUSALS_MAX.saturating_sub(self.refusals.len());
        self.refusals.extend(other.refusals.into_iter().take(room));
    }

    fn refuse(&mut self, workflow: &str, said: &Said) {
        self.rejected += 1;
        if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push(format!("{workflow}: {}", said.refusal()));
        }
    }
}

/// Why cases were not sent to their end. What was sent stays valid; the same import again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The server could not be asked.
    #[error("import stopped")]
    Client(#[from] ClientError),
    /// The server does not come to a decision.
    #[error("command {command} for workflow {workflow} was not decided for {} s", waited.as_secs())]
    Undecided {
        /// Which command.
        command: CommandId,
        /// Which workflow.
        workflow: String,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Sends cases, several at a time, each in order.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) patience: Duration,
}

impl Sender {
    /// Sends all commands of these cases and waits until every one of them is decided and shown.
    ///
    /// First the workflows are started: one that somebody else started under the same id is left
    /// alone, so two logs never mix.
    pub(super) async fn send(&self, cases: &[CasePlan], sent: impl Fn(usize)) -> Result<ImportTotals, SendError> {
        let mut totals = ImportTotals::default();
        let mut answers = self.dispatch(cases.iter().map(|case| &case.start), &mut totals, &sent).await?;
        self.decide(cases.iter().map(|case| &case.start), &mut answers).await?;

        let (mut ours, mut theirs) = (Vec::new(), 0);
        for case in cases {
            match answers.get(&case.start.id) {
                Some(said) if !said.success => {
                    totals.refuse(&case.workflow_id, said);
                    theirs += case.rest.len();
                }
                _ => ours.push(case),
            }
        }
        sent(theirs);
        answers.extend(self.dispatch(ours.iter().flat_map(|case| &case.rest), &mut totals, &sent).await?);
        self.decide(ours.iter().filter_map(|case| case.rest.last()), &mut answers).await?;
        self.shown(&ours, &mut answers, &mut totals).await?;
        Ok(totals)
    }

    /// Sends commands in order. What the server knows already comes back decided.
    async fn dispatch(
        &self,
        commands: impl Iterator<Item = &PlannedCommand>,
        totals: &mut ImportTotals,
        sent: &impl Fn(usize),
    ) -> Result<HashMap<CommandId, Said>, SendError> {
        let mut answers = HashMap::new();
        let batch_size = self.pace.batch_size(BATCH_COMMANDS_MAX);
        let mut commands = commands.peekable();
        while commands.peek().is_some() {
            let (mut ids, mut items, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some(planned) = commands.next_if(|_| ids.len() < batch_size && bytes < BATCH_BYTES_MAX) {
                let item = json!({ "command": to_input(&planned.command), "commandId": planned.id });
                bytes += item.to_string().len();
                items.push(item);
                ids.push(planned.id);
            }
            self.pace.allow(ids.len()).await;
            let answer: Dispatched = self.client.ask(DISPATCH, json!({ "commands": items })).await?;
            totals.commands += count(ids.len());
            sent(ids.len());
            let decided = ids.into_iter().zip(answer.dispatch_workflow_commands).filter(|(_, said)| said.is_decided());
            let before = answers.len();
            answers.extend(decided);
            totals.duplicates += count(answers.len() - before);
        }
        Ok(answers)
    }

    /// Waits until the server has decided on all of these commands.
    async fn decide(
        &self,
        commands: impl Iterator<Item = &PlannedCommand>,
        answers: &mut HashMap<CommandId, Said>,
    ) -> Result<(), SendError> {
        let mut open: Vec<&PlannedCommand> = commands.filter(|planned| !answers.contains_key(&planned.id)).collect();
        let mut progress_at = Instant::now();
        while let Some(first) = open.first() {
            let waited = progress_at.elapsed();
            if waited > self.patience {
                let workflow = first.command.workflow_id().to_owned();
                return Err(SendError::Undecided { command: first.id, workflow, waited });
            }
            sleep(LOOK_AGAIN).await;
            let before = answers.len();
            for some in open.chunks(QUESTIONS_MAX) {
                self.outcomes(some, answers).await?;
            }
            if answers.len() > before {
                progress_at = Instant::now();
            }
            open.retain(|planned| !answers.contains_key(&planned.id));
        }
        Ok(())
    }

    async fn outcomes(
        &self,
        commands: &[&PlannedCommand],
        answers: &mut HashMap<CommandId, Said>,
    ) -> Result<(), SendError> {
        let questions = commands.iter().enumerate().map(|(index, planned)| {
            format!("o{index}: commandOutcome(commandId: \"{}\") {{ success version code message }}", planned.id)
        });
        let query = format!("{{ {} }}", questions.collect::<Vec<_>>().join(" "));
        let said: HashMap<String, Option<Said>> = self.client.ask(&query, Value::Null).await?;
        for (index, planned) in commands.iter().enumerate() {
            if let Some(Some(said)) = said.get(&format!("o{index}")) {
                answers.insert(planned.id, said.clone());
            }
        }
        Ok(())
    }

    /// Waits until the views show these cases, and counts what they show.
    async fn shown(
        &self,
        cases: &[&CasePlan],
        answers: &mut HashMap<CommandId, Said>,
        totals: &mut ImportTotals,
    ) -> Result<(), SendError> {
        for some in cases.chunks(QUESTIONS_MAX) {
            let version = |case: &CasePlan, answers: &HashMap<CommandId, Said>| {
                let last = answers.get(&case.rest.last().unwrap_or(&case.start).id);
                last.and_then(|said| said.version)
            };
            let wanted: Vec<_> = some.iter().map(|case| version(case, answers)).collect();
            let shown = self.visible(some, &wanted).await?;
            for ((case, view), wanted) in some.iter().zip(shown).zip(wanted) {
                let version_shown = view.map(|view| view.version);
                totals.not_yet_visible += u64::from(version_shown < wanted);
                totals.workflows += u64::from(view.is_some());
                totals.completed_steps += view.map_or(0, |view| view.completed_steps);
                // Every command makes one event: the last version tells whether all of them did.
                if wanted != Some(1 + count(case.rest.len())) {
                    self.count_refusals(case, answers, totals).await?;
                }
            }
        }
        Ok(())
    }

    /// What the views show once these versions are visible, or when patience is at its end.
    async fn visible(&self, cases: &[&CasePlan], wanted: &[Option<u64>]) -> Result<Vec<Option<Shown>>, SendError> {
        let begun = Instant::now();
        loop {
            let left = self.patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return self.views(cases, &vec![None; cases.len()], left).await;
            }
            // The server itself waits, so asking again at once is no haste.
            match self.views(cases, wanted, left.min(SHOWN_WAIT_MAX)).await {
                Err(SendError::Client(ClientError::NotYetVisible)) => {}
                shown => return shown,
            }
        }
    }

    async fn views(
        &self,
        cases: &[&CasePlan],
        versions: &[Option<u64>],
        wait: Duration,
    ) -> Result<Vec<Option<Shown>>, SendError> {
        let (mut declared, mut questions) = (Vec::new(), Vec::new());
        let mut variables = serde_json::Map::new();
        variables.insert("wait".to_owned(), json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
        for (index, (case, version)) in cases.iter().zip(versions).enumerate() {
            declared.push(format!("$i{index}: ID!, $v{index}: Int"));
            questions.push(format!(
                "w{index}: workflow(id: $i{index}, atLeastVersion: $v{index}, timeoutMs: $wait) {{ version completedSteps }}"
            ));
            variables.insert(format!("i{index}"), json!(case.workflow_id));
            variables.insert(format!("v{index}"), json!(version));
        }
        let query = format!("query Shown($wait: Int, {}) {{ {} }}", declared.join(", "), questions.join(" "));
        let mut shown: HashMap<String, Option<Shown>> = self.client.ask(&query, Value::Object(variables)).await?;
        Ok((0..cases.len()).map(|index| shown.remove(&format!("w{index}")).flatten()).collect())
    }

    async fn count_refusals(
        &self,
        case: &CasePlan,
        answers: &mut HashMap<CommandId, Said>,
        totals: &mut ImportTotals,
    ) -> Result<(), SendError> {
        let open: Vec<&PlannedCommand> =
            case.rest.iter().filter(|planned| !answers.contains_key(&planned.id)).collect();
        for some in open.chunks(QUESTIONS_MAX) {
            self.outcomes(some, answers).await?;
        }
        for planned in &case.rest {
            if let Some(said) = answers.get(&planned.id).filter(|said| !said.success) {
                totals.refuse(&case.workflow_id, said);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dispatched {
    dispatch_workflow_commands: Vec<Said>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    version: u64,
    completed_steps: u64,
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
