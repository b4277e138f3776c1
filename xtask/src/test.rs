//! Every test there is, in one order.

use std::time::Instant;

use crate::{
    Outcome, logs, page,
    process::{cargo, run},
    tidy,
};

/// How often the tests with random faults are run: the numbers that README and docs promise.
const ROUNDS: &str = "200";

/// What to call it, and how to do it.
type Step = (&'static str, fn() -> Outcome);

/// The README's test command.
pub(crate) fn all() -> Outcome {
    let steps: [Step; 4] = [("tidy", tidy::check), ("rust", rust), ("logs", logs::check), ("page", page::check)];
    let mut failures = Vec::new();
    let mut report = Vec::new();
    for (name, step) in steps {
        println!("\n==== {name}");
        let started = Instant::now();
        let outcome = step();
        let seconds = started.elapsed().as_secs_f64();
        report.push(format!("{name:<6} {:<6} {seconds:>7.1} s", if outcome.is_ok() { "passed" } else { "FAILED" }));
        if let Err(reason) = outcome {
            println!("{name} failed: {reason}");
            failures.push(name);
        }
    }
    println!("\n==== what ran\n{}\n", report.join("\n"));
    println!("{} passed, {} failed", report.len() - failures.len(), failures.len());
    if failures.is_empty() { Ok(()) } else { Err(format!("failed: {}", failures.join(", "))) }
}

/// Unit, integration and documentation tests of the workspace.
pub(crate) fn rust() -> Outcome {
    run(cargo(&["test", "--locked", "--workspace", "--all-features"])
        .env("KILL_ROUNDS", ROUNDS)
        .env("DAMAGE_ROUNDS", ROUNDS))
}
