//! Running laws: each on a fresh fixture, within a time, on a runtime of its own.

use std::{future::Future, time::Duration};

use futures::future::{LocalBoxFuture, join_all};

use crate::broken::{LawBroken, Verdict};

/// Longest time that one law may take; a law that hangs is broken.
pub const LAW_TIME_MAX: Duration = Duration::from_secs(60);

/// Panics with a readable report unless `law` holds for what `fixture` makes.
///
/// The conformance macros turn each law into a test that calls this; it starts a runtime of its
/// own, so a test needs no async attribute.
///
/// # Panics
/// When the law is broken, does not come to an end within [`LAW_TIME_MAX`], or no runtime starts.
#[track_caller]
pub fn prove<T, F, V>(name: &str, fixture: impl FnOnce() -> F, law: impl FnOnce(T) -> V)
where
    F: Future<Output = T>,
    V: Future<Output = Verdict>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a machine that runs tests can start threads");
    let verdict = runtime.block_on(judge(fixture, law));
    // What a law left running, such as a reader that waits, is not waited for.
    runtime.shutdown_background();
    if let Err(broken) = verdict {
        panic!("{name} is broken: {}", broken.report());
    }
}

/// Whether `law` holds for what `fixture` makes, within [`LAW_TIME_MAX`].
///
/// # Errors
/// When the law is broken or does not come to an end.
pub async fn judge<T, F, V>(fixture: impl FnOnce() -> F, law: impl FnOnce(T) -> V) -> Verdict
where
    F: Future<Output = T>,
    V: Future<Output = Verdict>,
{
    let trial = async { law(fixture().await).await };
    // Boxed: the future of a law is large, and this one is polled from many places.
    tokio::time::timeout(LAW_TIME_MAX, Box::pin(trial))
        .await
        .unwrap_or_else(|_| Err(LawBroken::new(format!("it did not come to an end within {LAW_TIME_MAX:?}"))))
}

/// The names of the broken laws among these, in their order; all run at the same time.
///
/// The macro [`broken!`](crate::broken) calls this with every law of a port.
pub async fn broken_laws(trials: Vec<(&'static str, LocalBoxFuture<'_, Verdict>)>) -> Vec<&'static str> {
    let trials = trials.into_iter().map(|(name, trial)| async move { trial.await.is_err().then_some(name) });
    join_all(trials).await.into_iter().flatten().collect()
}
