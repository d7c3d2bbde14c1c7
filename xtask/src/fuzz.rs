//! `cargo xtask fuzz`: the fuzz targets of the package `fuzz`, which has its own workspace, under libFuzzer and
//! AddressSanitizer.
//!
//! The flags are those of cargo-fuzz, which runs the same targets; but cargo-fuzz wants a nightly compiler and minutes to be
//! installed, and these flags only the compiler that is there.

use crate::{
    paths, sanitizers,
    sh::{self, Cmd},
    tools,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

/// The targets, as in `fuzz/fuzz_targets`.
const TARGETS: [&str; 8] = ["backends", "mode", "forgery", "sealer", "capi", "seal", "vectors", "frame"];

const MANIFEST: &str = "fuzz/Cargo.toml";

/// What makes libFuzzer see which code an input reaches and with what it is compared.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// An input that takes longer is a finding.
const SLOWEST_INPUT_SECONDS: u32 = 20;

/// `cargo xtask fuzz ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["coverage", targets @ ..] => coverage(&chosen(targets)?),
        ["--minutes", minutes, targets @ ..] => {
            let minutes: u32 =
                minutes.parse().with_context(|| format!("{minutes} is not a number of minutes"))?;
            run(&chosen(targets)?, 60 * minutes)
        }
        targets => run(&chosen(targets)?, 60),
    }
}

/// A few seconds of each target, for `cargo xtask test`.
pub(crate) fn smoke() -> Result<()> {
    if !sanitizers::ARE_HERE {
        println!("the compiler has no sanitizers for this machine: not run");
        return Ok(());
    }
    run(&TARGETS, 5)
}

/// Clippy has nothing to say.
pub(crate) fn lint() -> Result<()> {
    sh::cargo()
        .args(["clippy", "--manifest-path", MANIFEST, "--target-dir"])
        .arg(paths::target().join("fuzz"))
        .args(["--", "--deny", "warnings"])
        .env("RUSTFLAGS", "--cfg fuzzing")
        .run()
}

/// The targets named, or all.
fn chosen<'a>(names: &[&'a str]) -> Result<Vec<&'a str>> {
    if let Some(other) = names.iter().find(|name| !TARGETS.contains(name)) {
        bail!("no fuzz target {other}; there are {}", TARGETS.join(", "));
    }
    Ok(if names.is_empty() { TARGETS.to_vec() } else { names.to_vec() })
}

/// Runs each target for so many seconds, all of them also after one has found something.
fn run(targets: &[&str], seconds: u32) -> Result<()> {
    let build = Build::new()?;
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for target in targets {
        let (status, log) = build.fuzz(target, seconds)?;
        let text = fs::read_to_string(&log)?;
        match Run::read(&text).filter(|_| status.success()) {
            Some(run) => rows.push(format!(
                "{target:10} {:>12} {:>9} {:>7} {:>7}",
                run.executions, run.per_second, run.edges, run.inputs
            )),
            None => {
                let lines: Vec<&str> = text.lines().collect();
                println!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
                println!("{target} found something; the whole log is {}", log.display());
                failed.push(*target);
            }
        }
    }
    println!("\n{:10} {:>12} {:>9} {:>7} {:>7}", "target", "executions", "a second", "edges", "inputs");
    println!("{}", rows.join("\n"));
    ensure!(failed.is_empty(), "the fuzzer found something in {}", failed.join(", "));
    Ok(())
}

/// What the project's own code is covered of by the inputs that were kept of earlier runs.
fn coverage(targets: &[&str]) -> Result<()> {
    ensure!(
        paths::find_program("llvm-symbolizer").is_some(),
        "llvm-symbolizer is not in PATH: install the package llvm"
    );
    let build = Build::new()?;
    for target in targets {
        let functions = functions(&fs::read_to_string(build.replay(target)?.1)?);
        ensure!(!functions.is_empty(), "{target} does not say what it covers");
        println!("\n{target}: functions reached, and the edges in them");
        for (folder, function) in sums(&functions) {
            println!(
                "{folder:36} {:>5} of {:<5} {:>6} of {:<6}",
                function.reached, function.functions, function.covered, function.edges
            );
        }
    }
    Ok(())
}

/// The programs, and where the inputs are.
struct Build {
    programs: PathBuf,
    /// Made from the test vectors, anew for each build.
    seeds: PathBuf,
    /// What the fuzzer has found worth keeping.
    corpus: PathBuf,
    /// Inputs for which a property does not hold, too.
    logs: PathBuf,
}

impl Build {
    fn new() -> Result<Self> {
        tools::cxx()?;
        let home = paths::target().join("fuzz");
        sanitizers::cargo("build", FLAGS)?
            .args(["--release", "--bins", "--manifest-path", MANIFEST])
            // Elsewhere a change of dependencies may update the lock file.
            .args(env::var_os("CI").map(|_| "--locked"))
            .arg("--target-dir")
            .arg(&home)
            .run()?;
        let programs = home.join(tools::host()?).join("release");
        let build = Self {
            programs,
            seeds: home.join("seeds"),
            corpus: home.join("corpus"),
            logs: home.join("logs"),
        };
        if build.seeds.exists() {
            fs::remove_dir_all(&build.seeds)?;
        }
        Cmd::new(build.programs.join("seeds")).arg(&build.seeds).run()?;
        fs::create_dir_all(&build.logs)?;
        Ok(build)
    }

    /// Runs a target for so many seconds; returns how it ended, and its log.
    fn fuzz(&self, target: &str, seconds: u32) -> Result<(ExitStatus, PathBuf)> {
        let corpus = self.corpus.join(target);
        fs::create_dir_all(&corpus)?;
        let command = Cmd::new(self.programs.join(target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-timeout={SLOWEST_INPUT_SECONDS}"))
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/{target}-", self.logs.display()))
            .arg(corpus)
            .arg(self.seeds.join(target));
        self.log(command, &format!("{target}.log"))
    }

    /// Runs a target on what is there; the log then says what was covered.
    fn replay(&self, target: &str) -> Result<(ExitStatus, PathBuf)> {
        let command = Cmd::new(self.programs.join(target)).args(["-runs=0", "-print_coverage=1"]);
        let corpus = self.corpus.join(target);
        let command = if corpus.exists() { command.arg(corpus) } else { command };
        self.log(command.arg(self.seeds.join(target)), &format!("{target}-coverage.log"))
    }

    fn log(&self, command: Cmd, name: &str) -> Result<(ExitStatus, PathBuf)> {
        let log = self.logs.join(name);
        let status = command.spawn(Stdio::null(), File::create(&log)?.into())?.wait()?;
        Ok((status, log))
    }
}

/// What libFuzzer says of a run that found nothing.
struct Run<'a> {
    executions: &'a str,
    per_second: &'a str,
    edges: &'a str,
    inputs: &'a str,
}

impl<'a> Run<'a> {
    fn read(log: &'a str) -> Option<Self> {
        let statistic = |name: &str| log.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()));
        let mut words = log.lines().find(|line| line.contains("\tDONE "))?.split_whitespace();
        let edges = words.by_ref().skip_while(|word| *word != "cov:").nth(1)?;
        let inputs = words.skip_while(|word| *word != "corp:").nth(1)?;
        Some(Self {
            executions: statistic("stat::number_of_executed_units:")?,
            per_second: statistic("stat::average_exec_per_sec:")?,
            edges,
            inputs: inputs.split('/').next()?,
        })
    }
}

/// What is covered of one function, or of all of a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Coverage {
    functions: u32,
    reached: u32,
    edges: u32,
    covered: u32,
}

/// The functions of the project in a log, each with the folder it is in.
fn functions(log: &str) -> Vec<(PathBuf, Coverage)> {
    // COVERED_FUNC: hits: 7 edges: 4/9 <name> <path>:<line>
    log.lines()
        .filter_map(|line| {
            let (kind, rest) = line.split_once("_FUNC: hits: ")?;
            let (_, rest) = rest.split_once(" edges: ")?;
            let (edges, name) = rest.split_once(' ')?;
            let (covered, edges) = edges.split_once('/')?;
            let path = name.rsplit_once(' ')?.1.rsplit_once(':')?.0;
            let folder = Path::new(path).strip_prefix(paths::root()).ok()?.parent()?;
            let function = Coverage {
                functions: 1,
                reached: u32::from(kind == "COVERED"),
                edges: edges.parse().ok()?,
                covered: covered.parse().ok()?,
            };
            (!folder.starts_with("fuzz")).then(|| (folder.to_owned(), function))
        })
        .collect()
}

fn sums(functions: &[(PathBuf, Coverage)]) -> Vec<(String, Coverage)> {
    let mut sums = BTreeMap::<String, Coverage>::new();
    for (folder, function) in functions {
        let sum = sums.entry(folder.display().to_string()).or_default();
        sum.functions += function.functions;
        sum.reached += function.reached;
        sum.edges += function.edges;
        sum.covered += function.covered;
    }
    sums.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_package() {
        let mut files: Vec<String> = fs::read_dir(paths::root().join("fuzz/fuzz_targets"))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut targets = TARGETS;
        targets.sort_unstable();
        assert_eq!(files, targets);
    }

    #[test]
    fn results_are_read() {
        let log = "#12\tNEW    cov: 1 ft: 2 corp: 3/4b\n#99\tDONE   cov: 42 ft: 77 corp: 13/6Kb lim: 1 exec/s: 9\n\
                   stat::number_of_executed_units: 3923\nstat::average_exec_per_sec:     560\n";
        let run = Run::read(log).unwrap();
        assert_eq!((run.executions, run.per_second, run.edges, run.inputs), ("3923", "560", "42", "13"));
        assert!(
            Run::read("==1== ERROR: libFuzzer: deadly signal\nstat::average_exec_per_sec: 1\n").is_none()
        );
    }

    #[test]
    fn coverage_is_of_the_project() {
        let root = paths::root().display();
        let log = format!(
            "COVERED_FUNC: hits: 7 edges: 4/9 <otr_mode::Otr<A, B> as C>::run {root}/otr/src/lib.rs:80\n\
             UNCOVERED_FUNC: hits: 0 edges: 0/3 otr_mode::other {root}/otr/src/field.rs:8\n\
             COVERED_FUNC: hits: 1 edges: 1/1 fuzz::mode {root}/fuzz/src/mode.rs:1\n\
             COVERED_FUNC: hits: 1 edges: 2/2 core::ptr::drop /rustc/0/library/core/src/ptr.rs:9\n"
        );
        let sum = Coverage { functions: 2, reached: 1, edges: 12, covered: 4 };
        assert_eq!(sums(&functions(&log)), [("otr/src".to_owned(), sum)]);
    }
}
