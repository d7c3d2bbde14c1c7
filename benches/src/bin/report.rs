//! Merges runs of `cycles`, and writes the tables and the charts of the READMEs. See `--help`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use benches::{
    report::{self, CortexM},
    results::Results,
};
use lexopt::prelude::*;

const HELP: &str = "\
Usage: report [--check] [--cortex-m LINES] [RUN.json...]

  RUN.json...   what `cycles` wrote: merge it to benches/results/x86-64.json first
  --cortex-m LINES  what was measured on Cortex-M: copy it to benches/results/cortex-m.jsonl first
  --check       write nothing, and fail if a README or a chart is not what the results give
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
    let mut check = false;
    let mut cortex_m: Option<PathBuf> = None;
    let mut runs: Vec<PathBuf> = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("check") => check = true,
            Long("cortex-m") => cortex_m = Some(parser.value()?.into()),
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
    if check && (cortex_m.is_some() || !runs.is_empty()) {
        bail!("--check writes nothing, so it takes no runs");
    }
    if let [first, others @ ..] = runs.as_slice() {
        let mut results = Results::read(first)?;
        for other in others {
            results.merge(Results::read(other)?)?;
        }
        results.write(&results_file)?;
    }
    let results = Results::read(&results_file)?;
    let cortex_m_file = root.join("benches/results/cortex-m.jsonl");
    if let Some(lines) = cortex_m {
        fs::copy(&lines, &cortex_m_file).with_context(|| format!("cannot copy {}", lines.display()))?;
    }
    let cortex_m = CortexM::read(&cortex_m_file, &root.join("benches/results/cortex-m-peers.jsonl"))?;

    let filled = |file: &str, sections: &[(&str, String)]| -> Result<(PathBuf, String)> {
        let path = root.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        let text =
            sections.iter().try_fold(text, |text, (section, new)| between_markers(&text, section, new));
        Ok((path, text.with_context(|| format!("in {file}"))?))
    };
    for (path, new) in [
        filled("README.md", &[("x86", report::front(&results)?), ("cortex-m", cortex_m.front()?)])?,
        filled("benches/README.md", &[("x86", report::details(&results)?)])?,
        filled("benches/cortex-m/README.md", &[("cortex-m", cortex_m.details()?)])?,
        (root.join("docs/bench-x86-64.svg"), report::svg(&results)?),
        (root.join("docs/bench-cortex-m.svg"), cortex_m.svg()?),
    ] {
        if !check {
            fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&new) {
            bail!("{} is not what the results give: run `cargo xtask bench report`", path.display());
        }
    }
    Ok(())
}

/// `text` with what is between the markers of `section` replaced by `new`.
fn between_markers(text: &str, section: &str, new: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|marker| format!("<!-- bench:{section} {marker} -->\n"));
    let missing = || format!("there are no markers of {section}");
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{begin}{new}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::between_markers;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = "a\n<!-- bench:x86 begin -->\nold\n<!-- bench:x86 end -->\nb\n";
        let expected = "a\n<!-- bench:x86 begin -->\nnew\n<!-- bench:x86 end -->\nb\n";
        assert_eq!(between_markers(text, "x86", "new\n").expect("there are markers"), expected);
        assert!(between_markers(text, "cortex-m", "new\n").is_err());
        for without in
            ["a", "<!-- bench:x86 begin -->\n", "<!-- bench:x86 end -->\n<!-- bench:x86 begin -->\n"]
        {
            assert!(between_markers(without, "x86", "new").is_err(), "{without}");
        }
    }
}
