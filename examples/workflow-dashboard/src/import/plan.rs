//! From cases to commands, always the same ones for the same log.

use std::{collections::HashMap, path::Path};

use eventsource_core::CommandId;
use serde_json::Value;
use uuid::Uuid;

use super::xes::{Attributes, Case, LogEvent, LogReader, XesError, XesProblem};
use crate::domain::{Json, STEPS_MAX, WorkflowCommand};

/// Under this name all command ids of imports are made: a version 4 UUID, drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0e_34a5_9c1f_4e0f_8a53_d1c4_7a52_66f0);

/// A command with the id it has in every run of the same import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCommand {
    /// Its id.
    pub id: CommandId,
    /// The order.
    pub command: WorkflowCommand,
}

/// All that one case becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasePlan {
    /// The case's name is the workflow's id.
    pub workflow_id: String,
    /// How many steps it completes.
    pub steps: u64,
    /// Starts the workflow.
    pub start: PlannedCommand,
    /// Starts and completes a step for each event, then completes the workflow if that was asked for.
    pub rest: Vec<PlannedCommand>,
}

/// What a log holds, once it is known to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSummary {
    /// The log's `concept:name`, or the file's name without its extensions.
    pub name: String,
    /// How many cases.
    pub cases: u64,
    /// How many events.
    pub events: u64,
}

/// How the end of a case is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseEnd {
    /// The workflow stays open: the end of a log proves nothing.
    Open,
    /// The workflow is completed.
    Completed,
}

/// Reads the whole log and checks every command it will become, before any is sent.
///
/// # Errors
/// With file and line, for anything that would stop the import half way.
pub fn check_log(file: &Path) -> Result<LogSummary, XesError> {
    let mut reader = LogReader::open(file)?;
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut events = 0_u64;
    while let Some(case) = reader.next_case()? {
        events += u64::try_from(case.events.len()).unwrap_or(u64::MAX);
        plan_case("", &case, CaseEnd::Completed).map_err(|(line, problem)| reader.error(line, problem))?;
        let (name, line) = (case.name, case.line);
        if let Some(first_line) = lines.insert(name.clone(), line) {
            return Err(reader.error(line, XesProblem::CaseTwice { name, first_line }));
        }
    }
    let cases = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    Ok(LogSummary { name: reader.log_name().map_or_else(|| stem(file), str::to_owned), cases, events })
}

/// The plans of a log's cases, one at a time.
#[derive(Debug)]
pub struct Plans {
    reader: LogReader,
    log: String,
    end: CaseEnd,
}

impl Plans {
    /// The plans of the log called `log` in `file`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &Path, log: &str, end: CaseEnd) -> Result<Self, XesError> {
        Ok(Self { reader: LogReader::open(file)?, log: log.to_owned(), end })
    }

    /// The plan of the next case; `None` after the last one.
    ///
    /// # Errors
    /// As [`check_log`], when the file has changed since.
    pub fn next_plan(&mut self) -> Result<Option<CasePlan>, XesError> {
        let Some(case) = self.reader.next_case()? else { return Ok(None) };
        plan_case(&self.log, &case, self.end).map(Some).map_err(|(line, problem)| self.reader.error(line, problem))
    }
}

/// The commands of one case, checked against every limit of the domain.
fn plan_case(log: &str, case: &Case, end: CaseEnd) -> Result<CasePlan, (u64, XesProblem)> {
    if !u32::try_from(case.events.len()).is_ok_and(|events| events <= STEPS_MAX) {
        return Err((case.line, XesProblem::TooManyEvents { name: case.name.clone(), limit: STEPS_MAX }));
    }
    let ids = Ids { log, case: &case.name };
    let start = ids.planned(0, start(log, case)?);
    start.command.check().map_err(|limit| (case.line, XesProblem::Limit(limit)))?;
    let mut rest = Vec::with_capacity(case.events.len() * 2 + 1);
    for (index, event) in case.events.iter().enumerate() {
        rest.extend(plan_event(&ids, index, event)?);
    }
    if end == CaseEnd::Completed {
        let command = WorkflowCommand::CompleteWorkflow { workflow_id: case.name.clone() };
        rest.push(ids.planned(case.events.len(), command));
    }
    let steps = u64::try_from(case.events.len()).unwrap_or(u64::MAX);
    Ok(CasePlan { workflow_id: case.name.clone(), steps, start, rest })
}

fn start(log: &str, case: &Case) -> Result<WorkflowCommand, (u64, XesProblem)> {
    let resource = case.events.first().and_then(|event| match event.attributes.get("org:resource")? {
        Value::String(resource) if !resource.trim().is_empty() => Some(resource.as_str()),
        _ => None,
    });
    Ok(WorkflowCommand::StartWorkflow {
        workflow_id: case.name.clone(),
        definition: if log.is_empty() { "log".to_owned() } else { log.to_owned() },
        initiator: resource.unwrap_or("import").to_owned(),
        initial_params: json(case.line, &case.attributes)?,
    })
}

/// An event of a log says that something was done: the step starts and completes at once.
fn plan_event(ids: &Ids<'_>, index: usize, event: &LogEvent) -> Result<[PlannedCommand; 2], (u64, XesProblem)> {
    let (workflow_id, step) = (ids.case.to_owned(), event.name.clone());
    let start = WorkflowCommand::StartStep { workflow_id: workflow_id.clone(), step: step.clone() };
    let output = json(event.line, &event.attributes)?;
    let complete = WorkflowCommand::CompleteStep { workflow_id, step, output };
    for command in [&start, &complete] {
        command.check().map_err(|limit| (event.line, XesProblem::Limit(limit)))?;
    }
    Ok([ids.planned(index, start), ids.planned(index, complete)])
}

fn json(line: u64, attributes: &Attributes) -> Result<Option<Json>, (u64, XesProblem)> {
    if attributes.is_empty() {
        return Ok(None);
    }
    Json::new(&Value::Object(attributes.clone())).map(Some).map_err(|deep| (line, XesProblem::Json(deep)))
}

/// Ids out of names: log, case, place in the case and kind of command.
struct Ids<'a> {
    log: &'a str,
    case: &'a str,
}

impl Ids<'_> {
    fn planned(&self, index: usize, command: WorkflowCommand) -> PlannedCommand {
        let kind = command.kind().as_str();
        // Lengths keep the parts apart: no two different places give the same text.
        let name = format!("{}:{}/{}:{}/{index}/{kind}", self.log.len(), self.log, self.case.len(), self.case);
        PlannedCommand { id: CommandId::from_uuid(Uuid::new_v5(&NAMESPACE, name.as_bytes())), command }
    }
}

/// The file's name without `.xes` and `.gz`.
fn stem(file: &Path) -> String {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let name = name.strip_suffix(".xes").unwrap_or(name);
    if name.is_empty() { "log".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, error::Error, path::PathBuf};

    use super::{CaseEnd, CasePlan, LogSummary, Plans, check_log};
    use crate::domain::{CommandKind, WorkflowCommand};

    const LOG: &str = r#"<log>
<trace>
  <string key="concept:name" value="c1"/><int key="cost" value="7"/>
  <event><string key="concept:name" value="Accepted"/><string key="org:resource" value="Ada"/>
    <string key="lifecycle:transition" value="In Progress"/></event>
  <event><string key="concept:name" value="Accepted"/></event>
</trace>
<trace><string key="concept:name" value="c2"/></trace>
</log>"#;

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.xes");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn plans(content: &str, end: CaseEnd) -> Vec<CasePlan> {
        let (_folder, path) = file(content);
        let log = check_log(&path).unwrap();
        let mut plans = Plans::open(&path, &log.name, end).unwrap();
        std::iter::from_fn(|| plans.next_plan().unwrap()).collect()
    }

    #[test]
    fn a_case_is_a_workflow_and_an_event_a_step_completed() {
        let plans = plans(LOG, CaseEnd::Open);
        let WorkflowCommand::StartWorkflow { workflow_id, definition, initiator, initial_params } =
            &plans[0].start.command
        else {
            panic!("{:?}", plans[0].start)
        };
        assert_eq!((workflow_id.as_str(), definition.as_str(), initiator.as_str()), ("c1", "small", "Ada"));
        assert_eq!(initial_params.as_ref().unwrap().as_str(), r#"{"cost":7}"#);
        let kinds: Vec<_> = plans[0].rest.iter().map(|planned| planned.command.kind()).collect();
        use CommandKind::{CompleteStep, StartStep};
        assert_eq!(kinds, [StartStep, CompleteStep, StartStep, CompleteStep]);
        let WorkflowCommand::CompleteStep { step, output, .. } = &plans[0].rest[1].command else { panic!() };
        assert_eq!(step, "Accepted");
        assert_eq!(output.as_ref().unwrap().as_str(), r#"{"lifecycle:transition":"In Progress","org:resource":"Ada"}"#);
        assert_eq!((plans[0].steps, plans[1].steps, plans[1].rest.len()), (2, 0, 0));
    }

    #[test]
    fn the_end_is_a_command_only_when_asked_for() {
        let last = plans(LOG, CaseEnd::Completed).pop().unwrap().rest.pop().unwrap();
        assert_eq!(last.command.kind(), CommandKind::CompleteWorkflow);
    }

    #[test]
    fn ids_are_the_same_in_every_run_and_never_twice() {
        assert_eq!(plans(LOG, CaseEnd::Open), plans(LOG, CaseEnd::Open));
        let ids: Vec<_> = plans(LOG, CaseEnd::Completed)
            .iter()
            .flat_map(|plan| {
                std::iter::once(&plan.start).chain(&plan.rest).map(|planned| planned.id).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(ids[0].to_string(), "a305699f-229f-5b78-801c-5a975ceee621", "ids are kept for ever");
    }

    #[test]
    fn what_would_stop_the_import_is_found_before_it() {
        for (from, to, sentence) in [
            ("\"c2\"", "\"c1\"", "line 8: case \"c1\" is there twice, first on line 2"),
            (
                "\"c2\"",
                &format!("\"{}\"", "c".repeat(201)),
                "line 8: cannot become a workflow: workflowId has 201 bytes",
            ),
            ("\"Accepted\"", &format!("\"{}\"", "s".repeat(201)), "line 4: cannot become a workflow: step has 201"),
            (
                "\"In Progress\"",
                &format!("\"{}\"", "x".repeat(300_000)),
                "line 4: cannot become a workflow: output has",
            ),
        ] {
            let (_folder, path) = file(&LOG.replacen(from, to, 1));
            let error = check_log(&path).unwrap_err();
            let whole = format!("{error}: {}", error.source().map_or(String::new(), ToString::to_string));
            assert!(whole.contains(sentence), "{whole}");
        }
    }

    /// The folder with the real logs; a log that is not there fails the test.
    fn real(name: &str) -> PathBuf {
        let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let folder = std::env::var_os("EVENTSOURCE_DATA_DIR")
            .map_or_else(|| PathBuf::from(workspace).join("../shared/data"), PathBuf::from);
        folder.join(name)
    }

    #[test]
    fn real_logs_are_read_whole() {
        for (file, cases, events) in [("receipt.xes.gz", 1_434, 8_577), ("bpic2013_incidents.xes.gz", 7_554, 65_533)] {
            let LogSummary { cases: found_cases, events: found_events, .. } = check_log(&real(file)).unwrap();
            assert_eq!((found_cases, found_events), (cases, events), "{file}");
        }
        assert!(
            check_log(&real("receipt.xes.gz")).unwrap().name.starts_with("Receipt phase of an environmental permit")
        );
        assert_eq!(check_log(&real("bpic2013_incidents.xes.gz")).unwrap().name, "BPI Challenge 2013, incidents");
    }
}
