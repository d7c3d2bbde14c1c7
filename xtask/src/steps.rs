//! Runs named steps, each under a heading, and closes with a table of results and times.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// A named piece of work.
pub(crate) struct Step {
    /// How it is chosen on the command line.
    pub(crate) name: &'static str,
    /// What it makes sure of.
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Result<()>,
}

/// Runs all `steps`, also after one has failed, so that one run shows everything that is wrong.
pub(crate) fn run(steps: &[&Step]) -> Result<()> {
    let start = Instant::now();
    let mut results = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        println!("\n==== [{}/{}] {}: {}", i + 1, steps.len(), step.name, step.about);
        let start = Instant::now();
        let passed = match (step.run)() {
            Ok(()) => true,
            Err(error) => {
                println!("error in step {}: {error:#}", step.name);
                false
            }
        };
        results.push((step.name, passed, start.elapsed()));
    }

    println!("\n==== Summary");
    for (name, passed, time) in &results {
        println!("{name:16} {} {:>7}", if *passed { "ok    " } else { "FAILED" }, minutes(*time));
    }
    println!("{:16} {:6} {:>7}", "all steps", "", minutes(start.elapsed()));
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} steps failed", results.len());
    }
    Ok(())
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
