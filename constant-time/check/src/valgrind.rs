//! Runs a subject under valgrind, with its secrets undefined.
//!
//! Memcheck follows every bit of undefined memory through registers and memory, and reports branches and addresses that
//! depend on one. It does not know which instructions take time by their operands.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use operations::{
    Leak,
    declassified::{BRANCHES, Branch},
};
use roxmltree::{Document, Node};

use crate::leaks;

/// Checks the subject's known answers, and that deliberate leaks are caught.
pub(crate) fn check(subject: &Path) -> Result<()> {
    for (leak, expected) in [
        (Leak::None, None),
        (Leak::Branch, Some("UninitCondition")),
        (Leak::Table, Some("UninitValue")),
        // Time is not what it looks at: the tracer does.
        (Leak::Division, None),
        (Leak::Multiplication, None),
    ] {
        let errors = run(subject, &["leak-undefined", leak.name()])?;
        let kind = errors.first().map(|error| error.kind.as_str());
        println!("{}", leaks::judge(leak, expected, kind)?);
    }

    let start = Instant::now();
    let errors = run(subject, &["known-answers"])?;
    let (declassified, leaks): (Vec<_>, Vec<_>) =
        errors.into_iter().partition(|error| error.branch().is_some());
    for leak in &leaks {
        println!("{leak:#?}");
    }
    if !leaks.is_empty() {
        bail!("{} branches or addresses depend on secrets", leaks.len());
    }
    for branch in &BRANCHES {
        let count = declassified.iter().filter(|error| error.branch() == Some(branch)).count();
        // If nothing depended on it, nothing would have been secret.
        ensure!(count > 0, "no branch depends on {}: the secrets were not marked", branch.name);
        println!("declassified: {} ({count} places in the binary)", branch.name);
    }
    println!("no other branch and no address depends on a secret, {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// What valgrind reports.
#[derive(Debug)]
struct Error {
    kind: String,
    /// The innermost first.
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    #[allow(dead_code, reason = "shown")]
    function: String,
    file: PathBuf,
    line: usize,
}

impl Error {
    /// The declassified branch that this is.
    fn branch(&self) -> Option<&'static Branch> {
        let frame = self.frames.first()?;
        let text = fs::read_to_string(&frame.file).ok()?;
        let line = text.lines().nth(frame.line.checked_sub(1)?)?;
        BRANCHES.iter().find(|branch| {
            self.kind == "UninitCondition" && frame.file.ends_with(branch.file) && line.contains(branch.line)
        })
    }
}

/// Runs the subject, which must succeed.
fn run(subject: &Path, arguments: &[&str]) -> Result<Vec<Error>> {
    let file = env::temp_dir().join(format!("constant-time-{}.xml", std::process::id()));
    let status = Command::new("valgrind")
        .args(["--quiet", "--error-limit=no", "--read-inline-info=yes", "--num-callers=20", "--xml=yes"])
        .arg(format!("--xml-file={}", file.display()))
        .arg(subject)
        .args(arguments)
        .status()
        .context("cannot start valgrind")?;
    let text = fs::read_to_string(&file).context("valgrind wrote no report")?;
    fs::remove_file(&file)?;
    if !status.success() {
        bail!("the subject failed under valgrind: {status}");
    }
    errors(&text)
}

fn errors(xml: &str) -> Result<Vec<Error>> {
    let document = Document::parse(xml).context("valgrind's report is not XML")?;
    let text = |node: Node<'_, '_>, name: &str| {
        node.children()
            .find(|child| child.has_tag_name(name))
            .and_then(|child| child.text())
            .unwrap_or("")
            .to_owned()
    };
    let all = document.root_element().children().filter(|node| node.has_tag_name("error"));
    Ok(all
        .map(|error| Error {
            kind: text(error, "kind"),
            frames: error
                .descendants()
                .filter(|node| node.has_tag_name("frame"))
                .map(|frame| Frame {
                    function: text(frame, "fn"),
                    file: Path::new(&text(frame, "dir")).join(text(frame, "file")),
                    line: text(frame, "line").parse().unwrap_or(0),
                })
                .collect(),
        })
        .collect())
}
