//! Debian's packages.

use crate::{paths, sh::Cmd};
use anyhow::Result;
use std::{env, fs, path::Path};

/// Whether this is Debian itself: its derivatives have other packages under the same names.
pub(crate) fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && paths::find_program("apt-get").is_some()
}

/// Whether packages can be installed here.
pub(crate) fn can_install() -> bool {
    is_debian() && Cmd::new("id").arg("-u").read().as_deref() == Some("0")
}

/// Whether `package` is installed.
pub(crate) fn is_installed(package: &str) -> bool {
    Cmd::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).read().as_deref()
        == Some("installed")
}

/// Installs those of `packages` that are missing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    apt_get().arg("update").run()?;
    apt_get().args(["install", "--yes", "--no-install-recommends"]).args(missing).run()
}

/// An `apt-get` that asks nothing, and waits for that of another step or of another checkout of the project.
pub(crate) fn apt_get() -> Cmd {
    Cmd::new("flock")
        .arg(env::temp_dir().join("twine-otr-apt.lock"))
        .args(["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=600"])
        .env("DEBIAN_FRONTEND", "noninteractive")
}

/// The address from which this machine gets Debian's main archive.
pub(crate) fn archive() -> Option<String> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(dir) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(dir.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    files
        .iter()
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
        })
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| archive_in(&text))
}

/// The first archive in a file of apt's, in its one-line (`deb URI suite ...`) or deb822 (`URIs: URI`) format.
fn archive_in(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .find(|word| {
            let path = word.trim_end_matches('/');
            path.contains("://") && path.ends_with("/debian")
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::archive_in;

    #[test]
    fn archive_is_found_in_both_formats() {
        let one_line =
            "# deb http://old.example/debian x main\ndeb [arch=amd64] http://a.example/debian trixie main\n";
        assert_eq!(archive_in(one_line).as_deref(), Some("http://a.example/debian"));
        let deb822 =
            "Types: deb\n# http://old.example/debian\nURIs: http://a.example/debian/\nSuites: trixie\n";
        assert_eq!(archive_in(deb822).as_deref(), Some("http://a.example/debian/"));
        let other =
            "Types: deb\nURIs: http://a.example/debian-security\n\nTypes: deb\nURIs: http://b.example/x\n";
        assert_eq!(archive_in(other), None);
    }
}
