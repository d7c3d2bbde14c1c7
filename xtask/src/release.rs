//! `cargo xtask test --release-checks`: what must hold before a release besides the steps of every day. It installs tools,
//! which takes minutes, and needs the network.

use crate::{
    cortex_m, dist, mutants, paths,
    sh::{self, Cmd},
    steps::{Place, Step},
    tools,
};
use anyhow::{Result, bail};
use std::{env, fs};

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "deny",
        about: "advisories, licences and sources of all dependencies",
        place: Place::Own,
        run: deny,
    },
    Step {
        name: "semver",
        about: "the version says what changed since the last release",
        place: Place::Own,
        run: semver,
    },
    Step {
        name: "minimal-versions",
        about: "tests with the oldest dependencies that the manifests allow",
        place: Place::Own,
        run: minimal_versions,
    },
    Step {
        name: "each-feature",
        about: "tests with none, each and all of the features",
        place: Place::Own,
        run: each_feature,
    },
    Step {
        name: "capi-release",
        about: "the tarball of the C library with every archive is made, in target/dist",
        place: Place::Own,
        run: dist::main,
    },
    Step {
        name: "boards",
        about: "the benchmark builds for every real board",
        place: Place::Thumb,
        run: cortex_m::build_all_boards,
    },
    Step {
        name: "mutants",
        about: "a test fails for every change of the libraries, for hours",
        place: Place::Own,
        run: mutants::all,
    },
];

/// The variable that names a revision to compare with in place of the last release.
const BASELINE: &str = "SEMVER_BASELINE";

/// Each has dependencies and a lock file of its own.
const WORKSPACES: [&str; 11] = [
    "",
    "benches/",
    "benches/cortex-m/",
    "constant-time/",
    "examples/firmware-sensor/",
    "examples/smart-city/",
    "examples/smart-city/firmware/",
    "firmware/",
    "fuzz/",
    "masking/",
    "prove/",
];

fn deny() -> Result<()> {
    let cargo_deny = tools::tool("cargo-deny")?;
    let mut failed = Vec::new();
    for workspace in WORKSPACES {
        let check = |what: &[&str]| {
            Cmd::new(&cargo_deny)
                .arg(format!("--manifest-path={workspace}Cargo.toml"))
                .args(["--config", "deny.toml", "check"])
                // What the others have not, the main workspace has.
                .args((!workspace.is_empty()).then_some("--allow=license-not-encountered"))
                .args(what)
                .run()
        };
        // Two versions of a crate are a matter of what is published.
        let of_the_files: &[&str] =
            if workspace.is_empty() { &["bans", "licenses", "sources"] } else { &["licenses", "sources"] };
        // Apart, as these need a database from the network.
        for what in [of_the_files, &["advisories"]] {
            if let Err(error) = check(what) {
                println!("{error:#}");
                failed.push(format!("{workspace}Cargo.toml: {}", what.join(", ")));
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("cargo-deny failed for {}", failed.join("; ")) }
}

/// Compares with the tag of the last release.
fn semver() -> Result<()> {
    let last = ["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"];
    let Some(baseline) = env::var(BASELINE).ok().or_else(|| Cmd::new("git").args(last).read()) else {
        println!(
            "nothing is released, as there is no tag v*: nothing to compare with ({BASELINE}=REV overrides)"
        );
        return Ok(());
    };
    // Those that are new have nothing to compare with.
    let is_old = |library: &&str| {
        let name = format!("^name = \"{library}\"");
        Cmd::new("git").args(["grep", "--quiet", &name, &baseline, "--", "*Cargo.toml"]).read().is_some()
    };
    let old = paths::LIBRARIES.into_iter().filter(is_old).flat_map(|library| ["--package", library]);
    Cmd::new(tools::tool("cargo-semver-checks")?)
        .args(["semver-checks", "--all-features", "--baseline-rev", &baseline])
        .args(old)
        .env("CARGO_TARGET_DIR", paths::target().join("semver"))
        .run()
}

/// The direct dependencies alone: those of others may state versions that are too old for themselves.
fn minimal_versions() -> Result<()> {
    let dir = paths::target().join("minimal-versions");
    fs::create_dir_all(&dir)?;
    let cargo = |command: &str| {
        sh::cargo()
            .args([command, "-Zdirect-minimal-versions"])
            // Variables, so that they reach the cargo that a test runs.
            .env("CARGO_RESOLVER_LOCKFILE_PATH", dir.join("Cargo.lock"))
            .env("CARGO_UNSTABLE_LOCKFILE_PATH", "true")
            .env("RUSTC_BOOTSTRAP", "1")
    };
    cargo("generate-lockfile").run()?;
    cargo("test").arg("--all-features").args(paths::libraries()).arg("--target-dir").arg(&dir).run()
}

/// The step `features` compiles every combination, every day; here the tests run with what a combination is made of.
fn each_feature() -> Result<()> {
    let cargo_hack = tools::tool("cargo-hack")?;
    // No documentation: its examples are for the default features.
    Cmd::new(cargo_hack)
        .args(["hack", "test", "--each-feature", "--exclude-features", "default", "--lib", "--tests"])
        .args(paths::libraries())
        .env("CARGO_TARGET_DIR", paths::target().join("each-feature"))
        .run()
}
