//! What a mutation answers, and what it is asked.

use std::time::Duration;

use async_graphql::{Enum, Error, ID, SimpleObject};
use eventsource_core::{CommandId, ExecuteError, Executed, ExpectedVersion, Outcome, Rejection, STALE_CODE, Version};

use crate::{
    context::RequestContext,
    error::{error_with_code, internal_error, store_error},
};

/// Wait of a command or query whose `timeoutMs` is absent: 5 s.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// Longest wait that a client may ask for: 25 s, below the default time of a request.
pub const WAIT_MAX: Duration = Duration::from_secs(25);

/// How far a command must have come before its mutation answers.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandWait {
    /// The command is durably queued.
    Dispatched,
    /// The command was carried out or refused.
    Decided,
    /// The command was decided, and queries show its effect.
    Visible,
}

/// What became of a command: the fields that every mutation result has.
///
/// Flatten it into a type of your own that names the aggregate:
///
/// ```
/// use async_graphql::{ID, SimpleObject};
/// use eventsource_graphql::CommandReport;
///
/// #[derive(SimpleObject)]
/// struct CommandResult {
///     workflow_id: ID,
///     #[graphql(flatten)]
///     report: CommandReport,
/// }
/// ```
#[derive(SimpleObject, Clone, Debug, PartialEq, Eq)]
pub struct CommandReport {
    /// Whether the command was taken as far as was asked; a refusal is `false`.
    pub success: bool,
    /// The command's id; send it again to ask for the same command again.
    pub command_id: ID,
    /// Version of the aggregate after the command, once it is decided.
    pub version: Option<u64>,
    /// A stable word for programs when the command was refused or is not visible yet.
    pub code: Option<String>,
    /// A sentence for people when there is a code.
    pub message: Option<String>,
    /// The trace that the command, its events and its logs belong to: 32 hexadecimal digits.
    pub trace_id: String,
}

impl CommandReport {
    /// The command is durably queued; nobody has decided on it yet.
    #[must_use]
    pub fn dispatched(command: CommandId, request: &RequestContext) -> Self {
        Self {
            success: true,
            command_id: ID(command.to_string()),
            version: None,
            code: None,
            message: None,
            trace_id: request.trace_id(),
        }
    }

    /// The command was carried out; the aggregate has `version` now.
    #[must_use]
    pub fn committed(command: CommandId, version: Option<Version>, request: &RequestContext) -> Self {
        Self { version: version.map(Version::value), ..Self::dispatched(command, request) }
    }

    /// The command was refused.
    #[must_use]
    pub fn refused(
        command: CommandId,
        code: impl Into<String>,
        message: impl Into<String>,
        request: &RequestContext,
    ) -> Self {
        Self { success: false, ..Self::dispatched(command, request) }.noting(code, message)
    }

    /// The same with a code and a sentence, for example that a commit is not visible yet.
    #[must_use]
    pub fn noting(self, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: Some(code.into()), message: Some(message.into()), ..self }
    }

    /// What the recorded outcome says.
    #[must_use]
    pub fn of_outcome(command: CommandId, outcome: &Outcome, request: &RequestContext) -> Self {
        match outcome {
            Outcome::Rejected { code, message, .. } => Self::refused(command, code, message, request),
            Outcome::Committed { version, .. } => Self::committed(command, Some(*version), request),
            Outcome::Unchanged { version, .. } => Self::committed(command, *version, request),
            // A kind of outcome that is newer than this crate: decided, and nothing more is known.
            _ => Self::dispatched(command, request),
        }
    }

    /// What came of carrying the command out.
    ///
    /// # Errors
    /// When it is not decided: the store failed, or the aggregate's events cannot be read. A refusal
    /// is no error; it is a report.
    pub fn of_execution<E, R: Rejection>(
        command: CommandId,
        execution: &Result<Executed<E>, ExecuteError<R>>,
        request: &RequestContext,
    ) -> Result<Self, Error> {
        let refused = |code: &str, message: String| Ok(Self::refused(command, code, message, request));
        match execution {
            Ok(executed) => Ok(Self::committed(command, executed.version, request)),
            Err(ExecuteError::Rejected(rejection)) => refused(rejection.code(), rejection.to_string()),
            Err(ExecuteError::RejectedBefore { code, message }) => refused(code, message.clone()),
            Err(stale @ ExecuteError::Stale { .. }) => refused(STALE_CODE, stale.to_string()),
            Err(ExecuteError::InvalidKey(error)) => refused("invalid-key", error.to_string()),
            Err(ExecuteError::Store(error)) => Err(store_error(error)),
            Err(error) => Err(internal_error(error)),
        }
    }
}

/// The id that the client gave its command, so that sending it again changes nothing; `None` where
/// it gave none.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is not a UUID.
///
/// ```
/// use async_graphql::ID;
/// use eventsource_graphql::command_id;
///
/// let given = command_id(Some(&ID::from("7d9f5c52-3d1c-4f0e-9d53-0f2b8e9f6f10")))?;
/// assert!(given.is_some());
/// assert!(command_id(Some(&ID::from("7"))).unwrap_err().message.contains("UUID"));
/// # Ok::<(), async_graphql::Error>(())
/// ```
pub fn command_id(id: Option<&ID>) -> Result<Option<CommandId>, Error> {
    let parsed = id.map(|id| id.parse().map_err(|_| refused("a commandId is a UUID, with or without hyphens")));
    parsed.transpose()
}

/// What the client believes about the aggregate: nothing where `expectedVersion` is absent, that it
/// does not exist for 0, its last version else.
///
/// # Errors
/// `INVALID_ARGUMENT` when it is negative.
///
/// ```
/// use eventsource_core::{ExpectedVersion, Version};
/// use eventsource_graphql::expected_version;
///
/// assert_eq!(expected_version(None)?, ExpectedVersion::Any);
/// assert_eq!(expected_version(Some(0))?, ExpectedVersion::NoStream);
/// assert_eq!(expected_version(Some(1))?, ExpectedVersion::Exact(Version::FIRST));
/// assert!(expected_version(Some(-1)).is_err());
/// # Ok::<(), async_graphql::Error>(())
/// ```
pub fn expected_version(version: Option<i64>) -> Result<ExpectedVersion, Error> {
    match version {
        None => Ok(ExpectedVersion::Any),
        Some(version) => u64::try_from(version)
            .map(|version| ExpectedVersion::at(Version::new(version)))
            .map_err(|_| refused("an expectedVersion is 0 for an aggregate that does not exist, or its version")),
    }
}

/// How long the client wants to wait at most: [`WAIT_DEFAULT`] where it does not say, at most
/// [`WAIT_MAX`].
///
/// # Errors
/// `INVALID_ARGUMENT` when it is negative.
///
/// ```
/// use std::time::Duration;
/// use eventsource_graphql::{WAIT_DEFAULT, WAIT_MAX, wait_time};
///
/// assert_eq!(wait_time(None)?, WAIT_DEFAULT);
/// assert_eq!(wait_time(Some(250))?, Duration::from_millis(250));
/// assert_eq!(wait_time(Some(i64::MAX))?, WAIT_MAX);
/// assert!(wait_time(Some(-1)).is_err());
/// # Ok::<(), async_graphql::Error>(())
/// ```
pub fn wait_time(timeout_ms: Option<i64>) -> Result<Duration, Error> {
    match timeout_ms {
        None => Ok(WAIT_DEFAULT),
        Some(millis) => u64::try_from(millis)
            .map(|millis| Duration::from_millis(millis).min(WAIT_MAX))
            .map_err(|_| refused("a timeoutMs is 0 or more")),
    }
}

fn refused(message: &'static str) -> Error {
    error_with_code(message, "INVALID_ARGUMENT")
}

#[cfg(test)]
mod tests {
    use eventsource_core::{
        CommandId, ExecuteError, Executed, ExpectedVersion, IdSource, Outcome, RandomIds, Rejection, StoreError,
        StreamId, Version,
    };

    use super::CommandReport;
    use crate::context::RequestContext;

    #[derive(Debug, thiserror::Error)]
    #[error("the step is not running")]
    struct NotRunning;

    impl Rejection for NotRunning {
        fn code(&self) -> &'static str {
            "step-not-running"
        }
    }

    type Execution = Result<Executed<()>, ExecuteError<NotRunning>>;

    fn stream() -> StreamId {
        StreamId::new("workflow", "7").unwrap()
    }

    fn report(execution: &Execution) -> Result<CommandReport, async_graphql::Error> {
        CommandReport::of_execution(RandomIds.command_id(), execution, &RequestContext::generate())
    }

    #[test]
    fn a_refusal_is_a_report_with_its_code_and_sentence() {
        let refusals: [(Execution, &str, &str); 3] = [
            (Err(ExecuteError::Rejected(NotRunning)), "step-not-running", "the step is not running"),
            (Err(ExecuteError::RejectedBefore { code: "gone".into(), message: "too late".into() }), "gone", "too late"),
            (
                Err(ExecuteError::Stale {
                    stream: stream(),
                    expected: ExpectedVersion::NoStream,
                    actual: Some(Version::FIRST),
                }),
                "conflict",
                "workflow/7 is at version 1",
            ),
        ];
        for (execution, code, message) in refusals {
            let report = report(&execution).unwrap();
            assert!(!report.success);
            assert_eq!((report.code.as_deref(), report.version), (Some(code), None));
            assert!(report.message.unwrap().starts_with(message));
        }
    }

    #[test]
    fn a_broken_machine_is_an_error_and_shows_no_inside() {
        let unavailable: Execution = Err(StoreError::unavailable("10.0.0.7 refused").into());
        let error = report(&unavailable).unwrap_err();
        assert!(!error.message.contains("10.0.0.7"));
        let corrupt: Execution = Err(StoreError::corrupt("/var/lib/x", "bad checksum").into());
        assert!(!report(&corrupt).unwrap_err().message.contains("/var/lib"));
    }

    #[test]
    fn a_commit_reports_its_version_and_trace() {
        let request = RequestContext::generate();
        let command: CommandId = RandomIds.command_id();
        let committed = Outcome::Committed { stream: stream(), version: Version::FIRST };
        let report = CommandReport::of_outcome(command, &committed, &request);
        assert_eq!((report.success, report.version), (true, Some(1)));
        assert_eq!((report.command_id.to_string(), report.trace_id), (command.to_string(), request.trace_id()));
    }
}
