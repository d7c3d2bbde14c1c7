//! The packages as they are published: that they can be, and that their tests pass there, with nothing of the repository.

use crate::{
    paths,
    sh::{self, Cmd},
};
use anyhow::{Context, Result};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// Its tests run as those who unpack it run them: without optimisation.
const CIPHER: &str = "twine-cipher";

/// All libraries in one command: cargo then takes those that the registry does not have from each other.
///
/// In a folder with a new name each time: what cargo has unpacked of them once it takes again, for the same folder and version,
/// whatever has changed since.
pub(crate) fn test() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let dir = paths::target().join(format!("package-{now}"));
    let cargo = |arguments: &[&str]| {
        sh::cargo()
            .args(arguments)
            // Work in progress can be published as well as what is committed; CI has nothing else than the latter.
            .arg("--allow-dirty")
            .args(paths::libraries())
            .arg("--target-dir")
            .arg(&dir)
            .run()
    };
    // Without what cargo would compile: the tests compile the same.
    let result = cargo(&["publish", "--dry-run", "--no-verify"])
        // The same once more, as a publication that is none leaves no packages.
        .and_then(|()| cargo(&["package", "--no-verify"]))
        .and_then(|()| test_published(&dir.join("package")));
    fs::remove_dir_all(dir)?;
    result
}

/// Unpacks the packages and runs the tests of each. A workspace around them takes those that the registry does not have from each
/// other; it pins all else as the repository does.
fn test_published(packages: &Path) -> Result<()> {
    let dir = paths::target().join("package");
    let unpacked = dir.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    fs::create_dir_all(&unpacked)?;
    let mut members = String::new();
    let mut patches = String::new();
    for name in paths::LIBRARIES {
        let folder = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        Cmd::new("tar")
            // All files in a package are of one date: to cargo, as old as those of the package before.
            .args(["-x", "-m", "-z", "-f"])
            .arg(packages.join(format!("{folder}.crate")))
            .arg("-C")
            .arg(&unpacked)
            .run()?;
        writeln!(members, "    {folder:?},")?;
        writeln!(patches, "{name} = {{ path = {folder:?} }}")?;
    }
    // The tests of the others take minutes with a cipher that is not optimised.
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\n{members}]\n\n\
         [profile.dev.package.{CIPHER}]\nopt-level = 1\n\n\
         [patch.crates-io]\n{patches}"
    );
    fs::write(unpacked.join("Cargo.toml"), manifest)?;
    fs::copy(paths::root().join("Cargo.lock"), unpacked.join("Cargo.lock"))
        .context("cannot copy Cargo.lock")?;
    for name in paths::LIBRARIES {
        sh::cargo()
            .args(["test", "--package", name, "--target-dir"])
            .arg(dir.join("target"))
            .args((name == CIPHER).then(|| format!("--config=profile.dev.package.{CIPHER}.opt-level=0")))
            .dir(&unpacked)
            .run()?;
    }
    Ok(())
}
