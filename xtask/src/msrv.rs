//! A compiler of the minimum supported Rust version.

use crate::{apt, paths, sh::Cmd};
use anyhow::{Context, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The `rust-version` of the libraries.
pub(crate) const VERSION: &str = "1.85";

/// The release of Debian whose rustc has this version.
const DEBIAN_SUITE: &str = "trixie";

/// Finds or fetches a `rustc` of this version. Only `cargo check` is needed of it.
pub(crate) fn rustc() -> Result<PathBuf> {
    if let Some(rustc) = of_rustup() {
        return Ok(rustc);
    }
    if apt::is_debian() {
        return of_debian()
            .with_context(|| format!("cannot fetch rustc {VERSION} from Debian {DEBIAN_SUITE}"));
    }
    if paths::find_program("rustup").is_some() {
        Cmd::new("rustup").args(["toolchain", "install", VERSION, "--profile", "minimal"]).run()?;
        if let Some(rustc) = of_rustup() {
            return Ok(rustc);
        }
    }
    bail!(
        "no rustc {VERSION} for the check of the minimum supported Rust version: run `rustup toolchain install {VERSION}`"
    )
}

/// The one that rustup has installed.
fn of_rustup() -> Option<PathBuf> {
    let home =
        env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".rustup")))?;
    fs::read_dir(home.join("toolchains"))
        .ok()?
        .filter_map(|entry| {
            Some(entry.ok()?.path().join("bin").join(format!("rustc{}", env::consts::EXE_SUFFIX)))
        })
        .find(|rustc| is_version(rustc))
}

fn is_version(rustc: &Path) -> bool {
    rustc.is_file()
        && Cmd::new(rustc)
            .arg("--version")
            .read()
            .is_some_and(|version| version.starts_with(&format!("rustc {VERSION}.")))
}

/// Debian's, unpacked below the target directory with all libraries it needs, down to its own libc, so that it runs on
/// any release of Debian and nothing is installed. Apt's own keys vouch for the packages.
fn of_debian() -> Result<PathBuf> {
    let home = paths::target().join("msrv");
    let rustc = home.join("rustc");
    if is_version(&rustc) {
        return Ok(rustc);
    }
    let archive = apt::archive().context("apt's sources name no archive of Debian")?;
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    let (lists, cache, root) = (home.join("lists"), home.join("cache"), home.join("root"));
    let archives = cache.join("archives");
    for dir in [&lists.join("partial"), &archives.join("partial"), &root] {
        fs::create_dir_all(dir)?;
    }
    let (sources, status) = (home.join("sources.list"), home.join("status"));
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    fs::write(&sources, format!("deb [signed-by={keyring}] {archive} {DEBIAN_SUITE} main\n"))?;
    // Apt is to believe that nothing is installed, so that it fetches every library.
    fs::write(&status, "")?;
    let apt_get = || {
        let mut command = apt::apt_get();
        for (key, value) in [
            ("Dir::Etc::sourcelist", sources.as_path()),
            ("Dir::Etc::sourceparts", Path::new("/dev/null")),
            ("Dir::State::lists", &lists),
            ("Dir::State::status", &status),
            ("Dir::Cache", &cache),
            ("APT::Sandbox::User", Path::new("root")),
        ] {
            command = command.arg("-o").arg(format!("{key}={}", value.display()));
        }
        command
    };
    apt_get().arg("update").run()?;
    apt_get()
        .args(["install", "--yes", "--no-install-recommends", "--download-only", "libstd-rust-dev"])
        .run()?;
    // The package rustc alone, as it depends on a C compiler that `cargo check` has no use for.
    apt_get().args(["download", "rustc"]).dir(&archives).run()?;
    for entry in fs::read_dir(&archives)? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            Cmd::new("dpkg-deb").arg("--extract").arg(&package).arg(&root).run()?;
        }
    }
    write_wrapper(&rustc, &root)?;
    if !is_version(&rustc) {
        bail!("what was fetched is not rustc {VERSION}, or does not run");
    }
    fs::remove_dir_all(&cache)?;
    Ok(rustc)
}

/// A script that runs the rustc below `root` with that root's loader and libraries.
fn write_wrapper(script: &Path, root: &Path) -> Result<()> {
    let library_dir = subdirectories(&root.join("usr/lib"))?
        .into_iter()
        .find(|dir| dir.join("libc.so.6").is_file())
        .context("no libc in the packages")?;
    let loader = fs::read_dir(&library_dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
        .context("no loader in the packages")?;
    let text = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' --sysroot '{}' \"$@\"\n",
        loader.display(),
        library_dir.display(),
        root.join("usr/bin/rustc").display(),
        root.join("usr").display(),
    );
    fs::write(script, text)?;
    Cmd::new("chmod").arg("+x").arg(script).run()
}

fn subdirectories(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect())
}
