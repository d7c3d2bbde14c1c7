//! Runs named steps, each under a heading, and closes with a table of results and times.

use crate::{paths, sh::Cmd};
use anyhow::{Context, Result, bail};
use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A named piece of work.
pub(crate) struct Step {
    /// How it is chosen on the command line.
    pub(crate) name: &'static str,
    /// What it makes sure of.
    pub(crate) about: &'static str,
    /// What no two steps at the same time can have: as a rule the folder in which cargo builds.
    pub(crate) place: Place,
    pub(crate) run: fn() -> Result<()>,
}

/// What no two steps at the same time can have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The folder of the libraries and their tests.
    Host,
    /// That of tests with a backend forced, or without features.
    Backends,
    /// That of firmware.
    Thumb,
    /// That of the constant-time checks.
    ConstantTime,
    /// Those of the smart city and its firmware.
    City,
    /// Another, which nobody else uses.
    Own,
    /// The machine: it looks at how long something takes.
    Machine,
}

/// Runs all `steps`, also after one has failed, so that one run shows everything that is wrong.
///
/// Up to `jobs` at once; if that is more than one, each is a process of its own, and what it prints is shown when it has ended.
pub(crate) fn run(steps: &[&Step], jobs: usize) -> Result<()> {
    let start = Instant::now();
    let results = if jobs > 1 { side_by_side(steps, jobs)? } else { one_by_one(steps) };

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

/// The name of a step, whether it passed, and how long it took.
type Outcome = (&'static str, bool, Duration);

fn one_by_one(steps: &[&Step]) -> Vec<Outcome> {
    let outcome = |(i, step): (usize, &&Step)| {
        heading(i, steps);
        let start = Instant::now();
        let result = (step.run)();
        if let Err(error) = &result {
            println!("error in step {}: {error:#}", step.name);
        }
        (step.name, result.is_ok(), start.elapsed())
    };
    steps.iter().enumerate().map(outcome).collect()
}

fn heading(i: usize, steps: &[&Step]) {
    println!("\n==== [{}/{}] {}: {}", i + 1, steps.len(), steps[i].name, steps[i].about);
}

/// What is still to be done, and what is being done.
struct Work {
    waiting: Vec<usize>,
    running: Vec<usize>,
    outcomes: Vec<Option<Outcome>>,
}

impl Work {
    /// The first step that can run beside those that are running.
    fn next(&mut self, steps: &[&Step]) -> Option<usize> {
        let can_run = |&i: &usize| {
            self.running.iter().all(|&other| {
                let places = [steps[i].place, steps[other].place];
                !places.contains(&Place::Machine) && (places[0] != places[1] || places[0] == Place::Own)
            })
        };
        let position = self.waiting.iter().position(can_run)?;
        let i = self.waiting.remove(position);
        self.running.push(i);
        Some(i)
    }
}

fn side_by_side(steps: &[&Step], jobs: usize) -> Result<Vec<Outcome>> {
    const NO_PANIC: &str = "no worker panics while it holds the lock";
    // A step may build this program anew: its path is not to be found then.
    let program = env::current_exe()?;
    let work = Mutex::new(Work {
        waiting: (0..steps.len()).collect(),
        running: Vec::new(),
        outcomes: vec![None; steps.len()],
    });
    let changed = Condvar::new();
    let worker = || {
        let mut now = work.lock().expect(NO_PANIC);
        while !now.waiting.is_empty() {
            let Some(i) = now.next(steps) else {
                now = changed.wait(now).expect(NO_PANIC);
                continue;
            };
            drop(now);
            let (start, name) = (Instant::now(), steps[i].name);
            let result = apart(&program, name);
            let outcome = (name, result.is_ok(), start.elapsed());

            now = work.lock().expect(NO_PANIC);
            heading(i, steps);
            if let Err(error) = show(name) {
                println!("what it printed cannot be shown: {error}");
            }
            if let Err(error) = result {
                println!("error in step {name}: {error:#}");
            }
            now.running.retain(|&other| other != i);
            now.outcomes[i] = Some(outcome);
            changed.notify_all();
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(worker);
        }
    });
    Ok(work.into_inner().expect(NO_PANIC).outcomes.into_iter().flatten().collect())
}

/// Runs one step as a process of its own.
fn apart(program: &Path, name: &str) -> Result<()> {
    let log = log(name);
    fs::create_dir_all(log.parent().context("it is in a folder")?)?;
    let log = File::create(log)?;
    let status = Cmd::new(program).args(["step", name]).spawn(log.try_clone()?.into(), log.into())?.wait()?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

/// Where a step that runs apart prints to.
fn log(name: &str) -> PathBuf {
    paths::target().join("steps").join(name).with_extension("log")
}

fn show(name: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    io::copy(&mut File::open(log(name))?, &mut stdout)?;
    stdout.flush()
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
