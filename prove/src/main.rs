//! The command: proves what there is to prove about a linked library, and tells one line a claim.

use anyhow::{Context, Result, bail, ensure};
use prove::{
    claims::{Comparer, Job, Status, Target, mode::Selection},
    elf::Image,
};
use std::{
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, mpsc},
    thread,
};

const HELP: &str = "\
Usage: prove ELF... [--json] [--only TEXT] [--edges] [--found] [--soft32 OTHER]

Proves for all inputs what the functions of the C interface in each ELF compute.

  --json       one JSON object a claim
  --only TEXT  only the targets whose names contain TEXT, which may be given several times
  --edges      of the lengths of messages only those around multiples of blocks
  --found      says nothing of keys whose set-up is not in ELF
  --soft32     the same of OTHER, which has the backend of that name alone
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut elves, mut json, mut only) = (Vec::new(), false, Vec::new());
    let (mut selection, mut found) = (Selection::All, false);
    let mut other = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(());
            }
            "--json" => json = true,
            "--only" => only.push(arguments.next().context("--only needs a text")?),
            "--soft32" => other = Some(arguments.next().context("--soft32 needs a file")?),
            "--found" => found = true,
            "--edges" => selection = Selection::Edges,
            _ if !argument.starts_with('-') => elves.push(argument),
            _ => bail!("unexpected argument {argument}\n\n{HELP}"),
        }
    }
    ensure!(!elves.is_empty() || other.is_some(), "no file is named\n\n{HELP}");
    let mut jobs = Vec::new();
    for elf in &elves {
        let image = read(elf)?;
        let targets = Target::of(&image).with_context(|| elf.clone())?;
        jobs.extend(targets.iter().flat_map(|target| of(target, &image, selection)));
    }
    if let Some(other) = other {
        jobs.extend(of(&Target::soft32(), &read(&other)?, selection));
    }
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|text| name.contains(text));
    jobs.retain(|(job, _)| is_wanted(&job.target.name));
    ensure!(!jobs.is_empty(), "no target is named like {}", only.join(" or "));
    if found {
        jobs.retain(|(job, image)| job.is_in(image));
        ensure!(!jobs.is_empty(), "no function of the C interface is in {}", elves.join(" "));
    }
    prove(jobs, json)
}

fn read(elf: &str) -> Result<Arc<Image>> {
    Ok(Arc::new(Image::read(Path::new(elf))?))
}

/// The jobs for a target, with the image that they are about.
fn of(target: &Target, image: &Arc<Image>, selection: Selection) -> Vec<(Job, Arc<Image>)> {
    Job::of(target, selection).into_iter().map(|job| (job, Arc::clone(image))).collect()
}

/// Runs all jobs on two threads; the comparison with processors is on this one.
fn prove(mut jobs: Vec<(Job, Arc<Image>)>, json: bool) -> Result<()> {
    jobs.reverse();
    let jobs = Mutex::new(jobs);
    let (sender, receiver) = mpsc::channel();
    let (mut proved, mut conditional, mut failed) = (0, 0, 0);
    let mut reasons = std::collections::BTreeSet::new();
    let mut comparison = Comparer::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            let (sender, jobs) = (sender.clone(), &jobs);
            // The lock is not held while a job runs.
            let next = || jobs.lock().ok().and_then(|mut jobs| jobs.pop());
            scope.spawn(move || {
                while let Some((job, image)) = next() {
                    if sender.send((job.target.processor, job.run(&image))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (processor, mut found) in receiver {
            comparison.lower(processor, &mut found);
            for claim in &found.claims {
                match &claim.status {
                    Status::Proved => proved += 1,
                    Status::Conditional(why) => {
                        conditional += 1;
                        reasons.insert(format!("{}: {why}", claim.target));
                    }
                    Status::Failed(_) => failed += 1,
                }
                let line = if json { claim.json() } else { claim.line() };
                // Who has closed the output still gets the exit code.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        }
    });
    if !json {
        let mut closing = format!(
            "{proved} claims are proved, {conditional} are conditional, {failed} failed.\n{}",
            comparison.summary()
        );
        for reason in reasons {
            closing += &format!("Conditional, {reason}.\n");
        }
        let _ = std::io::stdout().write_all(closing.as_bytes());
    }
    ensure!(failed == 0, "{failed} claims are not proved");
    Ok(())
}
