//! Merges runs of `cycles`, and writes the tables and the chart of the project's README. See `--help`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use benches::{report, results::Results};
use lexopt::prelude::*;

const HELP: &str = "\
Usage: report [--check] [RUN.json...]

  RUN.json...   what `cycles` wrote: merge it to benches/results/x86-64.json first
  --check       write nothing, and fail if the README or the chart is not what the results give
";

const BEGIN: &str = "<!-- bench:x86 begin -->\n";
const END: &str = "<!-- bench:x86 end -->\n";

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
    let mut check = false;
    let mut runs: Vec<PathBuf> = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("check") => check = true,
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Value(path) => runs.push(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this package has no parent")?;
    let results_file = root.join("benches/results/x86-64.json");
    if let [first, others @ ..] = runs.as_slice() {
        if check {
            bail!("--check writes nothing, so it takes no runs");
        }
        let mut results = Results::read(first)?;
        for other in others {
            results.merge(Results::read(other)?)?;
        }
        results.write(&results_file)?;
    }
    let results = Results::read(&results_file)?;

    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).context("cannot read the README")?;
    let chart = root.join("docs/bench-x86-64.svg");
    for (path, new) in
        [(&readme, between_markers(&text, &report::markdown(&results)?)?), (&chart, report::svg(&results)?)]
    {
        if !check {
            fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))?;
        } else if fs::read_to_string(path).ok().as_ref() != Some(&new) {
            bail!("{} is not what the results give: run `cargo xtask bench report`", path.display());
        }
    }
    Ok(())
}

/// `text` with what is between the markers replaced by `new`.
fn between_markers(text: &str, new: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the README has no marker where the tables begin")?;
    let (_, after) = rest.split_once(END).context("the README has no marker where the tables end")?;
    Ok(format!("{before}{BEGIN}{new}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::between_markers;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = "a\n<!-- bench:x86 begin -->\nold\n<!-- bench:x86 end -->\nb\n";
        let expected = "a\n<!-- bench:x86 begin -->\nnew\n<!-- bench:x86 end -->\nb\n";
        assert_eq!(between_markers(text, "new\n").expect("there are markers"), expected);
        for without in
            ["a", "<!-- bench:x86 begin -->\n", "<!-- bench:x86 end -->\n<!-- bench:x86 begin -->\n"]
        {
            assert!(between_markers(without, "new").is_err(), "{without}");
        }
    }
}
