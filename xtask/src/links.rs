//! Whether the links of the Markdown files lead somewhere within the project. Links to other sites are not followed.

use crate::{paths, sh::Cmd};
use anyhow::{Context, Result, ensure};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::{collections::HashSet, fs, path::Path};

/// Its links are those of the release, which unites its folder with the one above.
const OF_RELEASE: &str = "capi/dist/README.md";

/// Checks all files and anchors that are linked.
pub(crate) fn check() -> Result<()> {
    let files = Cmd::new("git").args(["ls-files", "-z", "*.md"]).read().context("git lists no files")?;
    // What is among sources is part of rustdoc's pages, and checked there.
    let files: Vec<&str> = files.split_terminator('\0').filter(|file| !file.contains("/src/")).collect();
    let mut faults = Vec::new();
    for file in &files {
        let folder = paths::root().join(file).parent().context("a file has a folder")?.to_owned();
        for link in Page::read(&paths::root().join(file))?.links {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let mut target = if path.is_empty() { paths::root().join(file) } else { folder.join(path) };
            if *file == OF_RELEASE && !target.exists() {
                target = folder.join("..").join(path);
            }
            if target.is_dir() && !anchor.is_empty() {
                target.push("README.md");
            }
            let leads =
                target.exists() && (anchor.is_empty() || Page::read(&target)?.anchors.contains(anchor));
            if !leads {
                faults.push(format!("{file}: {link}"));
            }
        }
    }
    ensure!(!files.is_empty() && faults.is_empty(), "links that lead nowhere:\n{}", faults.join("\n"));
    Ok(())
}

#[derive(Default)]
struct Page {
    /// Those without a scheme, such as `https:`.
    links: Vec<String>,
    /// Those of the headings, as GitHub and rustdoc name them.
    anchors: HashSet<String>,
}

impl Page {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let (mut page, mut heading) = (Self::default(), String::new());
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. })
                    if !dest_url.contains(':') =>
                {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading.clear(),
                Event::Text(text) | Event::Code(text) => heading.push_str(&text),
                Event::End(TagEnd::Heading(_)) => {
                    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
                    page.anchors
                        .insert(heading.to_lowercase().replace(' ', "-").chars().filter(kept).collect());
                }
                _ => {}
            }
        }
        Ok(page)
    }
}
