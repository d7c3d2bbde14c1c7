//! The command: proves what there is to prove about a linked library, and tells one line a claim.

use anyhow::{Context, Result, bail, ensure};
use prove::{
    claims::{Comparer, Job, Status, Target, mode::Selection},
    elf::Image,
};
use std::{
    collections::BTreeSet,
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
  --found      only the functions that are in ELF; tells which of them no claim is about
  --accept-conditional
               succeeds where instructions could not be compared with a processor
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
    let (mut selection, mut found, mut accepts_conditional) = (Selection::All, false, false);
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
            "--accept-conditional" => accepts_conditional = true,
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
        jobs.extend(targets.iter().flat_map(|target| of(target, &image, selection, found)));
        if found {
            say_what_is_left_out(elf, &image, &jobs)?;
        }
    }
    if let Some(other) = other {
        jobs.extend(of(&Target::soft32(), &read(&other)?, selection, found));
    }
    for text in &only {
        let is_there = jobs.iter().any(|(job, _)| job.target.name.contains(text));
        ensure!(is_there, "no target is named like {text}");
    }
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|text| name.contains(text));
    jobs.retain(|(job, _)| is_wanted(&job.target.name));
    prove(jobs, json, accepts_conditional)
}

/// Tells which functions of the C interface are in the file, but in no claim.
fn say_what_is_left_out(elf: &str, image: &Arc<Image>, jobs: &[(Job, Arc<Image>)]) -> Result<()> {
    let jobs = jobs.iter().filter(|(_, of)| Arc::ptr_eq(of, image));
    let in_claims: BTreeSet<String> = jobs.flat_map(|(job, image)| job.found_in(image)).collect();
    ensure!(!in_claims.is_empty(), "no function of the C interface that claims are about is in {elf}");
    let others: Vec<&str> = image.interface().filter(|name| !in_claims.contains(*name)).collect();
    if !others.is_empty() {
        eprintln!("In {elf} there are functions that no claim is about: {}", others.join(", "));
    }
    Ok(())
}

fn read(elf: &str) -> Result<Arc<Image>> {
    Ok(Arc::new(Image::read(Path::new(elf))?))
}

/// The jobs for a target, with the image that they are about.
fn of(target: &Target, image: &Arc<Image>, selection: Selection, found_only: bool) -> Vec<(Job, Arc<Image>)> {
    let jobs = Job::of(target, selection, found_only).into_iter();
    let is_there = |job: &Job| !found_only || !job.found_in(image).is_empty();
    jobs.filter(is_there).map(|job| (job, Arc::clone(image))).collect()
}

/// Runs all jobs on two threads; the comparison with processors is on this one.
fn prove(mut jobs: Vec<(Job, Arc<Image>)>, json: bool, accepts_conditional: bool) -> Result<()> {
    jobs.reverse();
    let jobs = Mutex::new(jobs);
    let (sender, receiver) = mpsc::channel();
    let (mut proved, mut conditional, mut failed) = (0, 0, 0);
    let mut reasons = BTreeSet::new();
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
    verdict(failed, conditional, accepts_conditional)
}

/// Success, if all claims are proved, or may be conditional.
fn verdict(failed: usize, conditional: usize, accepts_conditional: bool) -> Result<()> {
    ensure!(failed == 0, "{failed} claims are not proved");
    ensure!(
        conditional == 0 || accepts_conditional,
        "{conditional} claims are conditional: instructions could not be compared with a processor"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn conditional_claims_are_no_success_unless_they_are_accepted() {
        assert!(verdict(0, 0, false).is_ok());
        assert!(verdict(0, 1, false).is_err());
        assert!(verdict(0, 1, true).is_ok());
        assert!(verdict(1, 0, true).is_err());
    }
}
