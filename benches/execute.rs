//! What carrying out a command costs: many aggregates or one hot one, 1 task or 16.

use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use eventsource_benches::{Account, AccountCommand, Bench, Contender, float, rounds, table};
use eventsource_core::{CommandEnvelope, CommandHandler, IdSource, Metadata, RandomIds};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const AGGREGATES: usize = 10_000;
const HOT_EVENTS: usize = 1_000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let bench = Bench::new();
    let accounts = CommandHandler::<Account>::new(bench.store(), bench.outcomes());
    runtime.block_on(async {
        for _ in 0..HOT_EVENTS {
            deposit(&accounts, "hot").await;
        }
    });
    let next = Arc::new(AtomicUsize::new(0));
    let spread = move || format!("account-{}", next.fetch_add(1, Ordering::Relaxed) % AGGREGATES);
    let spread: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(spread);
    let hot: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(|| "hot".to_owned());
    let run = |tasks, key: &Arc<dyn Fn() -> String + Send + Sync>| runtime.block_on(commands(&accounts, tasks, key));
    let contenders: Vec<Contender<'_>> = vec![
        ("10,000 aggregates, 1 task", Box::new(|| run(1, &spread))),
        ("one hot aggregate, 1 task", Box::new(|| run(1, &hot))),
        ("one hot aggregate, 16 tasks", Box::new(|| run(16, &hot))),
        ("10,000 aggregates, 16 tasks", Box::new(|| run(16, &spread))),
        ("10,000 aggregates, 64 tasks", Box::new(|| run(64, &spread))),
    ];
    table("execute, durable", "commands/s", &rounds(ROUNDS, contenders));
}

async fn commands(
    accounts: &CommandHandler<Account>,
    tasks: usize,
    key: &Arc<dyn Fn() -> String + Send + Sync>,
) -> (f64, Duration) {
    let started = Instant::now();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (accounts, key) = (accounts.clone(), Arc::clone(key));
            tokio::spawn(async move {
                let mut done = 0;
                while started.elapsed() < ROUND {
                    deposit(&accounts, &key()).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("a task does not panic");
    }
    (float(done), started.elapsed())
}

async fn deposit(accounts: &CommandHandler<Account>, account: &str) {
    let command = AccountCommand { account: account.to_owned(), cents: 7 };
    let envelope = CommandEnvelope::new(RandomIds.command_id(), command, Metadata::default());
    accounts.execute(&envelope).await.expect("a deposit is accepted");
}
