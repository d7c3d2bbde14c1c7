//! `cargo xtask bench`: measures in the package `benches`, which has its own workspace.

use crate::{
    cortex_m, paths,
    sh::{self, Cmd},
    smart_city, tools,
};
use anyhow::{Context, Result, bail, ensure};
use std::{env::consts, path::PathBuf};

/// The backends of TWINE on x86-64, the slowest first, each forced in a build of its own.
const BACKENDS: [&str; 4] = ["soft64", "ssse3", "avx2", "avx512"];

/// `cargo xtask bench ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] => all(40),
        ["--seconds", seconds] => {
            all(seconds.parse().with_context(|| format!("{seconds} is not a number of seconds"))?)
        }
        ["report"] => report(&[]),
        ["cortex-m"] => {
            let results = cortex_m::measure(&today()?)?;
            report_program().arg("--cortex-m").arg(results).run()
        }
        ["cortex-m", "--ours"] => cortex_m::measure_ours(),
        ["gateway"] => smart_city::bench(),
        ["cluster", rest @ ..] => smart_city::bench_cluster(rest),
        ["--check"] => check(),
        ["criterion", rest @ ..] => {
            cargo("bench").args(openssl()?).args(["--bench", "criterion", "--"]).args(rest).run()
        }
        ["dudect", rest @ ..] => cargo("run")
            .args(["--release", "--no-default-features", "--example", "dudect", "--"])
            .args(rest)
            .run(),
        _ => bail!(
            "expected `bench [--seconds N | report | --check | criterion [ARGS...] | dudect [ARGS...] | cortex-m [--ours] | gateway | cluster [ARGS...]]`"
        ),
    }
}

/// Whether the README's tables and chart are what the results give. Nothing is measured.
pub(crate) fn check() -> Result<()> {
    report_program().arg("--check").run()
}

fn report(runs: &[PathBuf]) -> Result<()> {
    report_program().args(runs).run()
}

fn report_program() -> Cmd {
    cargo("run").args(["--quiet", "--no-default-features", "--bin", "report", "--"])
}

/// What takes OpenSSL into `benches`, where that can be built.
pub(crate) fn openssl() -> Result<&'static [&'static str]> {
    if tools::has_openssl()? {
        Ok(&["--features", "openssl"])
    } else {
        println!("OpenSSL is left out, as its headers are missing: install {}", tools::OPENSSL);
        Ok(&[])
    }
}

/// A cargo command on `benches`.
pub(crate) fn cargo(command: &str) -> Cmd {
    sh::cargo().arg(command).arg("--manifest-path").arg(manifest()).arg("--target-dir").arg(target(None))
}

fn manifest() -> PathBuf {
    paths::root().join("benches/Cargo.toml")
}

/// Where the build with `backend` forced goes.
fn target(backend: Option<&str>) -> PathBuf {
    paths::target().join("benches").join(backend.unwrap_or("default"))
}

/// Measures the default build for so many seconds, and each backend for a quarter of that.
fn all(seconds: u64) -> Result<()> {
    let date = today()?;
    // All are built first: a compiler that still runs would disturb.
    let mut programs = vec![(None, build(None)?)];
    if consts::ARCH == "x86_64" {
        for backend in BACKENDS {
            let program = build(Some(backend))?;
            let runs = Cmd::new(&program).arg("--backend").read();
            if runs.as_deref() == Some(backend) {
                programs.push((Some(backend), program));
            } else {
                println!("this CPU lacks {backend}");
            }
        }
    }

    let mut runs = Vec::new();
    for (backend, program) in programs {
        let run = target(backend).join("run.json");
        let mut cycles = Cmd::new(program).arg("--date").arg(&date).arg("--json").arg(&run);
        cycles = match backend {
            None => cycles.arg("--seconds").arg(seconds.to_string()),
            Some(_) => cycles.args(["--forced", "--seconds"]).arg(seconds.div_ceil(4).to_string()),
        };
        cycles.run()?;
        runs.push(run);
    }
    if consts::ARCH != "x86_64" {
        println!(
            "The README shows x86-64 only; the results are in {}",
            target(None).join("run.json").display()
        );
        return Ok(());
    }
    report(&runs)
}

fn today() -> Result<String> {
    Cmd::new("date").args(["-u", "+%F"]).read().context("cannot tell the date")
}

/// Builds `cycles` with the compiler's flags of nobody but this command, and returns its file.
fn build(backend: Option<&str>) -> Result<PathBuf> {
    let target = target(backend);
    let flags = backend.map_or_else(String::new, |backend| format!("--cfg twine_backend=\"{backend}\""));
    sh::cargo()
        .args(["build", "--release", "--locked", "--bin", "cycles"])
        // Backends of TWINE are compared with each other only.
        .args(if backend.is_some() { &["--no-default-features"] } else { openssl()? })
        .arg("--manifest-path")
        .arg(manifest())
        .arg("--target-dir")
        .arg(&target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", flags)
        .run()?;
    let program = target.join("release").join(format!("cycles{}", consts::EXE_SUFFIX));
    ensure!(program.is_file(), "cargo did not make {}", program.display());
    Ok(program)
}
