//! The sources of the library of the toolchain that runs xtask, from which cargo builds it for targets that this toolchain lacks.

use crate::{apt, dist, paths, sh::Cmd, tools};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The versions that Debian's archive has the sources of, with the SHA-256 of the file. The archive's own signature does not
/// reach versions that are no longer in a release.
const ARCHIVES: [(&str, &str); 1] =
    [("1.95.0", "fee0a232c32b6f919b2166efc441a7c37884905bdcc2170163579eeed5feee6b")];

/// Finds or fetches the sources: the folder `library` of the compiler's repository. `None` if they cannot be had here.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let Some(sysroot) = tools::own_rustc().args(["--print", "sysroot"]).read() else { return Ok(None) };
    let of_rustup = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    if is_library(&of_rustup) {
        return Ok(Some(of_rustup));
    }
    let Some(version) = tools::own_rustc().arg("--version").read() else { return Ok(None) };
    let version = version.split_whitespace().nth(1);
    let Some((version, sha256)) = ARCHIVES.into_iter().find(|(known, _)| Some(*known) == version) else {
        return Ok(None);
    };
    let home = paths::target().join(format!("library-{version}"));
    let library = home.join("library");
    if is_library(&library) {
        return Ok(Some(library));
    }
    let Some(archive) = apt::archive().filter(|_| apt::can_install()) else { return Ok(None) };
    fetch(&archive, version, sha256, &home)
        .with_context(|| format!("cannot fetch the sources of Rust's library {version}"))
}

fn is_library(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file()
}

/// Fetches them into the folder `library` below `home`. `None` if the archive does not give them.
fn fetch(archive: &str, version: &str, sha256: &str, home: &Path) -> Result<Option<PathBuf>> {
    if home.exists() {
        fs::remove_dir_all(home)?;
    }
    let unpacked = home.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    let file = home.join("rustc.tar.xz");
    let address =
        format!("{}/pool/main/r/rustc/rustc_{version}+dfsg1.orig.tar.xz", archive.trim_end_matches('/'));
    let fetched = Cmd::new("/usr/lib/apt/apt-helper").arg("download-file").arg(address).arg(&file).run();
    if let Err(error) = fetched {
        // An archive does not keep old versions for ever.
        println!("no sources of Rust's library {version}: {error:#}");
        return Ok(None);
    }
    let found = dist::sha256(&fs::read(&file)?);
    if found != sha256 {
        bail!("the file has the SHA-256 {found}, not {sha256}");
    }
    apt::install(&["xz-utils"])?;
    let name = format!("rustc-{version}-src");
    Cmd::new("tar").arg("-xJf").arg(&file).arg("-C").arg(&unpacked).arg(format!("{name}/library")).run()?;
    let library = home.join("library");
    fs::rename(unpacked.join(name).join("library"), &library)?;
    fs::remove_dir_all(unpacked)?;
    fs::remove_file(file)?;
    Ok(Some(library))
}
