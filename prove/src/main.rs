//! The command: proves what there is to prove about a linked library, and tells one line a claim.

use anyhow::{Context, Result, bail, ensure};
use object::Architecture;
use prove::{
    claims::{self, Job, Status, mode::Selection},
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
Usage: prove ELF [--json] [--only TEXT] [--edges] [--found] [--soft32 OTHER]

Proves for all inputs what the functions of the C interface in ELF compute.

  --json       one JSON object a claim
  --only TEXT  only the targets whose names contain TEXT
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
    let (mut elf, mut json, mut only) = (None, false, String::new());
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
            "--only" => only = arguments.next().context("--only needs a text")?,
            "--soft32" => other = Some(arguments.next().context("--soft32 needs a file")?),
            "--found" => found = true,
            "--edges" => selection = Selection::Edges,
            _ if elf.is_none() && !argument.starts_with('-') => elf = Some(argument),
            _ => bail!("unexpected argument {argument}\n\n{HELP}"),
        }
    }
    let elf = elf.with_context(|| format!("no file is named\n\n{HELP}"))?;
    let mut jobs = of(Job::all(selection), &elf)?;
    if let Some(other) = other {
        jobs.extend(of(Job::soft32(selection), &other)?);
    }
    jobs.retain(|(job, _)| job.target().contains(&only));
    ensure!(!jobs.is_empty(), "no target is named like {only}");
    if found {
        jobs.retain(|(job, image)| job.is_in(image));
        ensure!(!jobs.is_empty(), "no function of the C interface is in {elf}");
    }
    prove(jobs, json)
}

/// The jobs, with the image that they are about.
fn of(jobs: Vec<Job>, elf: &str) -> Result<Vec<(Job, Arc<Image>)>> {
    let image = Arc::new(Image::read(Path::new(elf))?);
    if image.architecture != Architecture::X86_64 {
        bail!("{elf} is for {:?}, and only x86-64 is modelled", image.architecture);
    }
    Ok(jobs.into_iter().map(|job| (job, Arc::clone(&image))).collect())
}

/// Runs all jobs on two threads; the comparison with the processor is on this one.
fn prove(mut jobs: Vec<(Job, Arc<Image>)>, json: bool) -> Result<()> {
    jobs.reverse();
    let jobs = Mutex::new(jobs);
    let (sender, receiver) = mpsc::channel();
    let (mut proved, mut conditional, mut failed) = (0, 0, 0);
    let mut reasons = std::collections::BTreeSet::new();
    let mut comparison = claims::Comparer::new();
    thread::scope(|scope| {
        for _ in 0..2 {
            let (sender, jobs) = (sender.clone(), &jobs);
            // The lock is not held while a job runs.
            let next = || jobs.lock().ok().and_then(|mut jobs| jobs.pop());
            scope.spawn(move || {
                while let Some((job, image)) = next() {
                    if sender.send(job.run(&image)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for mut found in receiver {
            comparison.lower(&mut found);
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
            "{proved} claims are proved, {conditional} are conditional, {failed} failed.\n{}\n",
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
