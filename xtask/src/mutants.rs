//! `cargo xtask mutants`: changes the code of a package in one place at a time, by cargo-mutants, and expects a test to fail
//! each time.

use crate::{paths, sh::Cmd, tools};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread::available_parallelism,
};

/// A package, or a part of one, whose mutants must be caught.
struct Package {
    name: &'static str,
    files: Files,
    /// Its folder.
    dir: &'static str,
    /// The folder of its workspace: empty, or with a slash at its end.
    workspace: &'static str,
    /// Integration tests that run something else than the package, or for too long to be run for each mutant.
    others_tests: &'static [&'static str],
    /// The environment of its tests.
    environment: &'static [(&'static str, &'static str)],
}

/// Of which of its files mutants are made, by their names in `src`.
enum Files {
    All,
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// What of the gateway is around its engine: seen at its process alone.
const PROCESS: &[&str] = &[
    "accounts.rs",
    "broker.rs",
    "commands.rs",
    "http.rs",
    "main.rs",
    "metrics.rs",
    "mqtt.rs",
    "sessions.rs",
    "tls.rs",
];

const PACKAGES: [Package; 10] = [
    Package {
        name: "twine-cipher",
        files: Files::All,
        dir: "twine",
        workspace: "",
        others_tests: &[],
        environment: &[],
    },
    Package {
        name: "otr-mode",
        files: Files::All,
        dir: "otr",
        workspace: "",
        others_tests: &[],
        environment: &[],
    },
    // It runs the example.
    Package {
        name: "twine-otr-aead",
        files: Files::All,
        dir: "twine-otr-aead",
        workspace: "",
        others_tests: &["seal"],
        environment: &[],
    },
    Package {
        name: "twine-otr-capi",
        files: Files::All,
        dir: "capi",
        workspace: "",
        others_tests: &[],
        environment: &[],
    },
    Package {
        name: "smart-city-frame",
        files: Files::All,
        dir: "frame",
        workspace: "examples/smart-city/",
        others_tests: &["million"],
        environment: &[],
    },
    Package {
        name: "smart-city-detector",
        files: Files::All,
        dir: "detector",
        workspace: "examples/smart-city/",
        others_tests: &[],
        environment: &[],
    },
    // Those that are left out take minutes: they run processes.
    Package {
        name: "smart-city-gateway",
        files: Files::AllBut(PROCESS),
        dir: "gateway",
        workspace: "examples/smart-city/",
        others_tests: &["process"],
        environment: &[],
    },
    Package {
        name: "smart-city-gateway",
        files: Files::Only(PROCESS),
        dir: "gateway",
        workspace: "examples/smart-city/",
        others_tests: &[],
        environment: &[("SMART_CITY_DEVICES", "10"), ("SMART_CITY_FLOOD", "1"), ("SMART_CITY_KNOWN", "500")],
    },
    Package {
        name: "smart-city-address",
        files: Files::All,
        dir: "address",
        workspace: "examples/smart-city/",
        others_tests: &[],
        environment: &[],
    },
    Package {
        name: "smart-city-engine",
        files: Files::All,
        dir: "engine",
        workspace: "examples/smart-city/",
        others_tests: &["million"],
        environment: &[("SMART_CITY_HISTORIES", "3")],
    },
];

/// The mutants that no test can catch, each with the reason.
const EQUIVALENTS: &str = ".cargo/equivalent-mutants.txt";

/// `cargo xtask mutants ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    let mut diff_base = None;
    let mut chosen = Vec::new();
    let mut file = None;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match *argument {
            "--in-diff" => diff_base = Some(*value()?),
            "--file" => file = Some(*value()?),
            name => {
                let before = chosen.len();
                chosen.extend(PACKAGES.iter().filter(|package| package.name == name));
                let mut names = PACKAGES.each_ref().map(|package| package.name).to_vec();
                names.dedup();
                ensure!(chosen.len() > before, "no package {name}; there are {}", names.join(", "));
            }
        }
    }
    if chosen.is_empty() {
        chosen.extend(&PACKAGES);
    }
    let selection = Selection { diff_base, file };
    let cargo_mutants = tools::tool("cargo-mutants")?;
    let path = paths::root().join(EQUIVALENTS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {EQUIVALENTS}"))?;
    let equivalents = parse(&text)?;

    let mut survivors = Vec::new();
    let mut stale = Vec::new();
    for package in chosen {
        let name = package.title();
        println!("\n-- {name}");
        let Some(outcome) = package.mutate(&cargo_mutants, &selection)? else { continue };
        println!("{name}: {} caught, {} not", outcome.caught.len(), outcome.missed.len());
        let listed = equivalents.iter().filter(|(mutant, _)| package.has(mutant));
        let judged = judge(&outcome, listed, selection.is_all());
        survivors.extend(judged.survivors);
        stale.extend(judged.stale);
    }
    for mutant in &stale {
        println!("listed in {EQUIVALENTS}, but caught or no longer there:\n{mutant}");
    }
    for mutant in &survivors {
        println!("no test fails:\n{mutant}");
    }
    ensure!(survivors.is_empty(), "{} mutants survive that are not listed in {EQUIVALENTS}", survivors.len());
    Ok(())
}

/// The release check.
pub(crate) fn all() -> Result<()> {
    main(&[])
}

/// Which mutants of a package are made.
struct Selection<'a> {
    /// A git reference: only mutants of lines that were changed since the work left it.
    diff_base: Option<&'a str>,
    /// A glob: only mutants of these files.
    file: Option<&'a str>,
}

impl Selection<'_> {
    fn is_all(&self) -> bool {
        self.diff_base.is_none() && self.file.is_none()
    }
}

impl Files {
    fn have(&self, file: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(files) => files.contains(&file),
            Self::AllBut(files) => !files.contains(&file),
        }
    }
}

/// A change: where, which, and in what line, as the list of equivalents has it. Several in a line may look alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mutant {
    change: String,
    line: String,
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n    {}", self.change, self.line)
    }
}

/// How often each mutant is there.
type Counts = BTreeMap<Mutant, usize>;

/// What became of the mutants of a package.
#[derive(Debug, Default)]
struct Outcome {
    caught: Vec<Mutant>,
    missed: Vec<Mutant>,
}

impl Package {
    fn title(&self) -> String {
        match self.files {
            Files::Only(files) => format!("{} ({})", self.name, files.join(", ")),
            Files::All | Files::AllBut(_) => self.name.to_owned(),
        }
    }

    fn has(&self, mutant: &Mutant) -> bool {
        let change = mutant.change.strip_prefix(self.workspace);
        let file = change.and_then(|change| change.strip_prefix(self.dir)?.strip_prefix("/src/"));
        let file = file.and_then(|file| file.split(':').next());
        file.is_some_and(|file| self.files.have(file))
    }

    /// The folder of its workspace.
    fn root(&self) -> PathBuf {
        paths::root().join(self.workspace)
    }

    /// Makes and tests mutants; none if there are none to make.
    fn mutate(&self, cargo_mutants: &Path, selection: &Selection<'_>) -> Result<Option<Outcome>> {
        let dir = paths::target().join("mutants").join(self.name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        let mut command = Cmd::new(cargo_mutants)
            .args(["mutants", "--package", self.name])
            .arg("--config")
            .arg(paths::root().join(".cargo/mutants.toml"))
            .arg("--output")
            .arg(&dir);
        command = if self.workspace.is_empty() {
            // Each has a target directory of its own to fill, and builds with more than one thread.
            let jobs = available_parallelism().map_or(1, |cores| cores.get().div_ceil(4));
            command.arg("--dir").arg(self.root()).arg(format!("--jobs={jobs}"))
        } else {
            let tree = dir.join("tree");
            copy_repository(&tree)?;
            let target = paths::target().join("mutants/build");
            command
                .arg("--in-place")
                .arg("--dir")
                .arg(tree.join(self.workspace))
                .env("CARGO_TARGET_DIR", target)
        };
        if let Some(base) = selection.diff_base {
            let diff = dir.join("diff");
            let relative = format!("--relative={}", self.workspace);
            let text = Cmd::new("git")
                .args(["diff", "--no-ext-diff", "--merge-base", &relative, base])
                .read()
                .with_context(|| format!("git cannot compare with {base}"))?;
            if text.is_empty() {
                return Ok(None);
            }
            fs::write(&diff, text + "\n")?;
            command = command.arg("--in-diff").arg(diff);
        }
        for (name, value) in self.environment {
            command = command.env(name, value);
        }
        if let Some(file) = selection.file {
            command = command.args(["--file", file]);
        }
        for file in self.excluded()? {
            command = command.args(["--exclude", &file]);
        }
        let status = command
            .args(["--", "--lib", "--bins"])
            .args(self.tests()?)
            .spawn(Stdio::inherit(), Stdio::inherit())?
            .wait()?;
        // 2: some were missed, 3: some took too long, which is a way to be noticed.
        ensure!(matches!(status.code(), Some(0 | 2 | 3)), "cargo-mutants failed: {status}");
        let out = dir.join("mutants.out");
        if !out.exists() {
            return Ok(None);
        }
        let read = |name: &str| -> Result<Vec<Mutant>> {
            let text = fs::read_to_string(out.join(name))?;
            text.lines().map(|line| self.mutant(line)).collect()
        };
        let mut caught = read("caught.txt")?;
        caught.extend(read("timeout.txt")?);
        Ok(Some(Outcome { caught, missed: read("missed.txt")? }))
    }

    /// The files in its `src` of which no mutants are made.
    fn excluded(&self) -> Result<Vec<String>> {
        let dir = format!("{}/src", self.dir);
        let path = self.root().join(&dir);
        let mut excluded = Vec::new();
        for entry in fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !self.files.have(&name) {
                excluded.push(format!("{dir}/{name}"));
            }
        }
        excluded.sort();
        Ok(excluded)
    }

    /// What chooses its integration tests.
    fn tests(&self) -> Result<Vec<String>> {
        let mut arguments = Vec::new();
        let dir = self.root().join(self.dir).join("tests");
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let path = entry?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            let is_test = path.extension().is_some_and(|extension| extension == "rs");
            if (is_test || path.join("main.rs").is_file()) && !self.others_tests.contains(&name) {
                arguments.push(format!("--test={name}"));
            }
        }
        arguments.sort();
        Ok(arguments)
    }

    /// From the name that cargo-mutants gives it, `FILE:LINE:COLUMN: CHANGE`.
    fn mutant(&self, name: &str) -> Result<Mutant> {
        let parts: Vec<&str> = name.splitn(4, ':').collect();
        let [file, line, _, change] = parts[..] else { bail!("cargo-mutants names a mutant {name}") };
        let line: usize = line.parse().with_context(|| format!("no line in {name}"))?;
        let text = fs::read_to_string(self.root().join(file))?;
        let line = line.checked_sub(1).and_then(|line| text.lines().nth(line));
        let line = line.with_context(|| format!("{file} changed meanwhile"))?.trim().to_owned();
        Ok(Mutant { change: format!("{}{file}:{change}", self.workspace), line })
    }
}

/// Copies what git has or would take. cargo-mutants copies a workspace alone, without the packages beside it that it depends on.
fn copy_repository(to: &Path) -> Result<()> {
    let files = Cmd::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).read();
    for file in files.context("git does not list the files")?.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (paths::root().join(file), to.join(file));
        // One that was deleted is listed until that is committed.
        if from.is_file() {
            fs::create_dir_all(to.parent().context("a file is in a folder")?)?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
        }
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Judged {
    survivors: Vec<Mutant>,
    stale: Vec<Mutant>,
}

/// Compares with what is listed. If not all mutants were made, those that were not are no news.
fn judge<'a>(
    outcome: &Outcome,
    listed: impl Iterator<Item = (&'a Mutant, &'a usize)>,
    is_all: bool,
) -> Judged {
    let listed: BTreeMap<&Mutant, usize> = listed.map(|(mutant, count)| (mutant, *count)).collect();
    let missed = count(&outcome.missed);
    let mut judged = Judged::default();
    for (mutant, count) in &missed {
        let excess = count.saturating_sub(listed.get(mutant).copied().unwrap_or(0));
        judged.survivors.extend(std::iter::repeat_n(mutant.clone(), excess));
    }
    for (mutant, count) in listed {
        let was_made = is_all || missed.contains_key(mutant) || outcome.caught.contains(mutant);
        let excess = count.saturating_sub(missed.get(mutant).copied().unwrap_or(0));
        judged.stale.extend(std::iter::repeat_n(mutant.clone(), if was_made { excess } else { 0 }));
    }
    judged
}

fn count(mutants: &[Mutant]) -> Counts {
    let mut counts = Counts::new();
    for mutant in mutants {
        *counts.entry(mutant.clone()).or_default() += 1;
    }
    counts
}

/// Reads a list of mutants: comments of lines that begin with `#`, and paragraphs of one or more mutants, each its change and,
/// indented, the line it is in, and at the end why no test can catch them, after `Why: `.
fn parse(text: &str) -> Result<Counts> {
    let mut mutants = Vec::new();
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for paragraph in text.split(|line| line.trim().is_empty()).filter(|paragraph| !paragraph.is_empty()) {
        let (named, why) = paragraph
            .iter()
            .position(|line| line.strip_prefix("Why: ").is_some_and(|why| !why.trim().is_empty()))
            .map(|at| paragraph.split_at(at))
            .with_context(|| format!("{EQUIVALENTS}: no reason for {}", paragraph[0]))?;
        ensure!(!named.is_empty(), "{EQUIVALENTS}: a reason for nothing: {}", why[0]);
        for mutant in named.chunks(2) {
            match *mutant {
                [change, line] if !change.starts_with(' ') && line.starts_with("    ") => {
                    mutants.push(Mutant { change: change.to_owned(), line: line.trim().to_owned() });
                }
                _ => bail!("{EQUIVALENTS}: not a change and its line: {}", mutant.join(" ")),
            }
        }
    }
    Ok(count(&mutants))
}

#[cfg(test)]
mod tests {
    use super::{Judged, Mutant, Outcome, PACKAGES, PROCESS, count, judge, parse};

    fn mutant(name: &str) -> Mutant {
        Mutant { change: format!("otr/src/{name}.rs: replace + with *"), line: "a + b".into() }
    }

    #[test]
    fn each_mutant_is_of_one_package() {
        let change = "examples/smart-city/gateway/src/admin.rs: replace + with *";
        for (change, package) in [
            ("otr/src/field.rs: replace + with *", 1),
            ("twine/src/backends/portable.rs: replace + with *", 0),
            ("twine-otr-aead/src/lib.rs: replace + with *", 2),
            (change, 6),
            (&change.replace("admin", "mqtt"), 7),
            (&change.replace("gateway/src/admin", "engine/src/engine"), 9),
        ] {
            let mutant = Mutant { change: change.into(), line: "a + b".into() };
            let owners: Vec<usize> = (0..PACKAGES.len()).filter(|i| PACKAGES[*i].has(&mutant)).collect();
            assert_eq!(owners, [package], "{change}");
        }
        for file in PROCESS {
            assert!(PACKAGES[7].root().join("gateway/src").join(file).is_file(), "{file}");
        }
        assert_eq!(
            PACKAGES[6].excluded().unwrap(),
            PROCESS.iter().map(|file| format!("gateway/src/{file}")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn survivors_are_judged_by_the_list() {
        let [a, b, c] = ["a", "b", "c"].map(mutant);
        let list = count(&[a.clone(), b.clone(), b.clone()]);
        let outcome = Outcome { caught: vec![b.clone()], missed: vec![a.clone(), b.clone(), c.clone()] };
        let judged = judge(&outcome, list.iter(), true);
        assert_eq!(judged, Judged { survivors: vec![c.clone()], stale: vec![b.clone()] });
        let twice = Outcome { caught: vec![], missed: vec![a.clone(), a.clone()] };
        assert_eq!(judge(&twice, list.iter(), false), Judged { survivors: vec![a.clone()], stale: vec![] });
        let caught = Outcome { caught: vec![a.clone()], missed: vec![] };
        assert_eq!(judge(&caught, list.iter(), false).stale, std::slice::from_ref(&a));
        assert_eq!(judge(&Outcome::default(), list.iter(), true).stale, [a, b.clone(), b]);
    }

    #[test]
    fn lists_are_read_strictly() {
        let [a, b] = ["a", "b"].map(mutant);
        let text = format!("# Words\n\n{a}\n{b}\nWhy: It is\nso.\n\n{a}\nWhy: Too.\n");
        assert_eq!(parse(&text).unwrap(), count(&[a.clone(), b, a.clone()]));
        for wrong in
            [format!("{a}\n"), "Why: No.\n".into(), format!("{a}\nWhy:  \n"), format!("x\n{a}\nWhy: x\n")]
        {
            parse(&wrong).unwrap_err();
        }
        assert!(parse("").unwrap().is_empty());
    }
}
