//! One import from the first line of the log to the last view.

use std::{path::PathBuf, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::{
    pace::{Pace, Speed},
    plan::{CaseEnd, CasePlan, LogSummary, Plans, check_log},
    send::{ImportTotals, SendError, Sender},
    xes::XesError,
};
use crate::client::{Client, ClientError};

/// Cases that are sent together.
const CASES_TOGETHER: usize = 32;
/// Groups of cases that are sent at the same time.
const GROUPS_AT_A_TIME: usize = 8;

/// What to import, where to, and how.
#[derive(Clone, Debug)]
pub struct Import {
    /// The log.
    pub file: PathBuf,
    /// The server's address.
    pub server: String,
    /// How fast.
    pub speed: Speed,
    /// What the end of a case means.
    pub end: CaseEnd,
    /// How long a server that is away is waited for.
    pub patience: Duration,
}

/// Why an import ended early. What was sent before stays valid, and the same import again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The log cannot be read. Nothing was sent, unless the file changed meanwhile.
    #[error(transparent)]
    Log(#[from] XesError),
    /// The server's address is wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server did not take or decide all commands.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Told about the import while it goes on.
pub trait Observer: Sync {
    /// The whole log was read, and nothing in it would stop the import.
    fn checked(&self, log: &LogSummary);
    /// So many more commands were sent.
    fn sent(&self, commands: u64);
}

impl Import {
    /// Reads the log twice: once to be sure of all of it, then to send it.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn run(&self, observer: &dyn Observer) -> Result<(LogSummary, ImportTotals), ImportError> {
        let client = Client::new(&self.server, "import", self.patience)?;
        let file = self.file.clone();
        let log = on_a_thread(move || check_log(&file)).await?;
        observer.checked(&log);

        let sender = Sender { client, pace: Pace::new(self.speed), patience: self.patience };
        let groups = stream::unfold(self.plans(&log), |mut plans| async move {
            let mut group = Vec::with_capacity(CASES_TOGETHER);
            while group.len() < CASES_TOGETHER {
                match plans.recv().await {
                    Some(Ok(plan)) => group.push(plan),
                    Some(Err(error)) => return Some((Err(ImportError::Log(error)), plans)),
                    None => break,
                }
            }
            if group.is_empty() { None } else { Some((Ok(group), plans)) }
        });
        let sent = |commands: usize| observer.sent(u64::try_from(commands).unwrap_or(u64::MAX));
        let totals = groups
            .map(|group| async { Ok::<_, ImportError>(sender.send(&group?, sent).await?) })
            .buffer_unordered(GROUPS_AT_A_TIME)
            .try_fold(ImportTotals::default(), |mut totals, group| async move {
                totals.add(group);
                Ok(totals)
            })
            .await?;
        Ok((log, totals))
    }

    /// The plans, read by a thread of their own and never far ahead of the sending.
    fn plans(&self, log: &LogSummary) -> mpsc::Receiver<Result<CasePlan, XesError>> {
        let (plans, receiver) = mpsc::channel(CASES_TOGETHER);
        let (file, name, end) = (self.file.clone(), log.name.clone(), self.end);
        tokio::task::spawn_blocking(move || {
            let mut reader = match Plans::open(&file, &name, end) {
                Ok(reader) => reader,
                Err(error) => return plans.blocking_send(Err(error)).unwrap_or_default(),
            };
            while let Some(plan) = reader.next_plan().transpose() {
                let is_last = plan.is_err();
                // Nobody receives any more when the sending has failed.
                if plans.blocking_send(plan).is_err() || is_last {
                    break;
                }
            }
        });
        receiver
    }
}

async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work neither panics nor is cancelled")
}
