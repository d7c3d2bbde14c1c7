//! `cargo xtask test`: what must hold before a merge, and all that CI runs.

use crate::{
    aarch64, bench, capi, city_firmware, constant_time, cortex_m, demo, dist_tests, firmware,
    firmware_sensor, fuzz, i686, kernels, links, masking, msrv, package, paths, prove, release, sanitizers,
    sh::{self, Cmd},
    smart_city,
    steps::{self, Place, Step},
    tools,
    tools::Toolchain,
};
use anyhow::{Context, Result};
use std::env;

/// The features of the libraries that need no operating system. `twine-cipher` has only the first.
const NO_STD_FEATURES: &str = "zeroize,alloc,arrayvec,rand_core,bytes";

/// The same for cores without atomic read-modify-write instructions, which the crate `bytes` needs.
const NO_ATOMICS_FEATURES: &str = "zeroize,alloc,arrayvec,rand_core";

/// Those that take longest come first, so that two that run side by side end together; the one that needs the machine for itself comes last.
const STEPS: &[Step] = &[
    Step { name: "format", about: "all code is formatted by rustfmt", place: Place::Own, run: format },
    Step {
        name: "smart-city-build",
        about: "the example smart-city is formatted, and compiles without warnings; the detector's size",
        place: Place::City,
        run: smart_city::build,
    },
    Step { name: "lint", about: "clippy has nothing to say", place: Place::Host, run: lint },
    Step {
        name: "features",
        about: "every pair of features compiles without warnings",
        place: Place::Host,
        run: || features(&["--depth", "2"]),
    },
    Step {
        name: "prove",
        about: "the compiled code is TWINE for all inputs, and OTR for all messages of some lengths",
        place: Place::Host,
        run: prove::test,
    },
    Step {
        name: "masking",
        about: "masked ciphers and AEAD are right in C and on boards, and what is proved of their linked kernels holds",
        place: Place::Own,
        run: masking::test,
    },
    Step {
        name: "test-full",
        about: "tests with all features, and with what is masked",
        place: Place::Host,
        run: || masking::workspace("test").args(["--workspace", "--all-features"]).run(),
    },
    Step {
        name: "test-minimal",
        about: "tests without default features",
        place: Place::Backends,
        // The tools have no features.
        run: || test_in_backends().args(["--workspace", "--exclude", "xtask", "--no-default-features"]).run(),
    },
    Step {
        name: "firmware",
        about: "known answers on two Cortex-M boards and a RISC-V core",
        place: Place::Thumb,
        run: firmware::test_most,
    },
    Step {
        name: "backends",
        about: "tests with two backends forced, one without vectors and one with them",
        place: Place::Backends,
        run: || backends(&["soft32", "ssse3"], "--test=mode"),
    },
    Step {
        name: "sensor",
        about: "the example firmware-sensor: its power is lost anywhere, on this machine and in QEMU",
        place: Place::Own,
        run: firmware_sensor::test,
    },
    Step {
        name: "capi",
        about: "the C interface on this machine, under sanitizers; its header is current",
        place: Place::Host,
        run: capi::test_host,
    },
    Step {
        name: "valgrind",
        about: "no secret in a branch or an address, by valgrind, with the portable backend",
        place: Place::ConstantTime,
        run: constant_time::valgrind_portable,
    },
    Step {
        name: "benches",
        about: "benchmarks compile, and the README shows what was measured",
        place: Place::Own,
        run: benches,
    },
    Step {
        name: "city-firmware",
        about: "its firmware of two worlds in QEMU: normal life, attacks, cost, and power that fails",
        place: Place::City,
        run: city_firmware::test,
    },
    Step {
        name: "capi-firmware",
        about: "the C interface in C firmware on two Cortex-M boards and a RISC-V core",
        place: Place::Thumb,
        run: capi::test_firmware,
    },
    Step {
        name: "package",
        about: "the libraries can be published, and their tests run in what is published",
        place: Place::Own,
        run: package::test,
    },
    Step {
        name: "trace-cortex-m",
        about: "equal traces for all secrets on Cortex-M0 and M3",
        place: Place::ConstantTime,
        run: constant_time::some_cortex_m,
    },
    Step {
        name: "trace-riscv",
        about: "equal traces for all secrets on a RISC-V core",
        place: Place::ConstantTime,
        run: constant_time::smallest_riscv,
    },
    Step { name: "wasm32", about: "the libraries build for WebAssembly", place: Place::Own, run: wasm32 },
    Step {
        name: "no-std",
        about: "the libraries build for bare metal: the smallest core, and one with atomics",
        place: Place::Thumb,
        run: || no_std(&SOME_THUMB_TARGETS),
    },
    Step {
        name: "docs",
        about: "documentation builds without warnings, and its links within the project lead somewhere",
        place: Place::Host,
        run: docs,
    },
    Step {
        name: "msrv",
        about: "the libraries compile with the minimum supported Rust version",
        place: Place::Own,
        run: minimum_rust,
    },
    Step {
        name: "seal",
        about: "a small file is sealed and opened, and cheating is refused",
        place: Place::Host,
        run: demo::small,
    },
    Step {
        name: "smart-city",
        about: "the example: frames, tamper detection, gateway, page and demo",
        place: Place::Machine,
        run: smart_city::test,
    },
];

/// What takes longer than every change can wait: `--all`.
const LONG_STEPS: &[Step] = &[
    Step {
        name: "cortex-m",
        about: "what TWINE-OTR takes on Cortex-M and RISC-V, and the benchmark for two real boards builds",
        place: Place::Thumb,
        run: cortex_m_limits,
    },
    Step {
        name: "capi-dist",
        about: "C and C++ programs with some of the archives that are released, on this machine and on boards",
        place: Place::Own,
        run: dist_tests::test,
    },
    Step { name: "aarch64", about: "tests of the cipher with NEON", place: Place::Own, run: aarch64::test },
    Step {
        name: "features-all",
        about: "every combination of features compiles without warnings",
        place: Place::Host,
        run: || features(&[]),
    },
    Step {
        name: "test-default",
        about: "tests with default features",
        place: Place::Host,
        run: || cargo("test").arg("--workspace").run(),
    },
    Step {
        name: "backends-all",
        about: "tests with each backend of this machine forced",
        place: Place::Backends,
        run: || backends(&["soft32", "soft64", "ssse3", "avx2", "avx512"], "--tests"),
    },
    Step {
        name: "no-std-all",
        about: "the libraries build for every Cortex-M, and without vector registers for kernels",
        place: Place::Thumb,
        run: no_std_all,
    },
    Step {
        name: "sensor-boards",
        about: "the example firmware-sensor builds for real boards",
        place: Place::Own,
        run: firmware_sensor::build_boards,
    },
    Step {
        name: "other-boards",
        about: "known answers on the other boards, and equal traces on more RISC-V cores",
        place: Place::Thumb,
        run: other_boards,
    },
    Step {
        name: "trace-cortex-m-all",
        about: "equal traces for all secrets on the other Cortex-M boards",
        place: Place::ConstantTime,
        run: constant_time::other_cortex_m,
    },
    Step {
        name: "valgrind-all",
        about: "no secret in a branch or an address, by valgrind, with every backend that it knows",
        place: Place::ConstantTime,
        run: constant_time::valgrind,
    },
    Step {
        name: "trace",
        about: "equal traces for all secrets, step by step on this machine",
        place: Place::ConstantTime,
        run: constant_time::trace,
    },
    Step {
        name: "i686",
        about: "tests of the cipher and the mode on 32-bit x86",
        place: Place::Own,
        run: i686::test,
    },
    Step {
        name: "capi-dist-all",
        about: "the same with every archive",
        place: Place::Own,
        run: dist_tests::test_all,
    },
    Step {
        name: "fuzz",
        about: "the fuzz targets find nothing in a few seconds each",
        place: Place::Own,
        run: fuzz::smoke,
    },
    Step {
        name: "sanitizers",
        about: "tests under AddressSanitizer",
        place: Place::Own,
        run: sanitizers::test,
    },
    Step {
        name: "stack",
        about: "no round keys on the stack after sealing and opening, with each backend",
        place: Place::ConstantTime,
        run: constant_time::stack,
    },
    Step {
        name: "prove-all",
        about: "the same with every backend and all lengths",
        place: Place::Host,
        run: prove::test_all,
    },
];

/// `cargo xtask test ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    let mut chosen = Vec::new();
    let mut jobs = 1;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--jobs" => {
                jobs = rest.next().and_then(|number| number.parse().ok()).context("--jobs needs a number")?;
            }
            "--list" => {
                for step in every_step() {
                    println!("{:16} {}", step.name, step.about);
                }
                return Ok(());
            }
            "--install-tools" => {}
            "--all" => chosen.extend(STEPS.iter().chain(LONG_STEPS)),
            "--release-checks" => chosen.extend(release::STEPS),
            name => chosen.push(find(name)?),
        }
    }
    if env::var_os("CI").is_some() || arguments.contains(&"--install-tools") {
        tools::tool("cargo-hack")?;
    }
    if chosen.is_empty() {
        chosen.extend(STEPS);
    }
    steps::run(&chosen, jobs)
}

/// `cargo xtask step NAME`: a step as a part of `test --jobs`, without heading and table.
pub(crate) fn step(name: &str) -> Result<()> {
    (find(name)?.run)()
}

fn every_step() -> impl Iterator<Item = &'static Step> {
    STEPS.iter().chain(LONG_STEPS).chain(release::STEPS)
}

fn find(name: &str) -> Result<&'static Step> {
    let step = every_step().find(|step| step.name == name);
    step.with_context(|| format!("no step {name}; `cargo xtask test --list` names them"))
}

/// A cargo command on the workspace of the libraries.
fn cargo(command: &str) -> Cmd {
    sh::cargo().arg(command)
}

/// What the user has set the variable `key` to, and `flags`.
fn flags(key: &str, flags: &str) -> String {
    env::var(key).map_or_else(|_| flags.to_owned(), |own| format!("{own} {flags}"))
}

fn format() -> Result<()> {
    cargo("fmt").args(["--all", "--check"]).run()?;
    for workspace in ["benches", "benches/cortex-m", "constant-time", "firmware", "fuzz", "masking"] {
        cargo("fmt")
            .args(["--manifest-path", &format!("{workspace}/Cargo.toml"), "--all", "--check"])
            .run()?;
    }
    Ok(())
}

fn lint() -> Result<()> {
    let everything = ["--workspace", "--all-targets"];
    cargo("clippy").args(everything).args(["--no-default-features", "--", "--deny", "warnings"]).run()?;
    masking::workspace("clippy")
        .args(everything)
        .args(["--all-features", "--", "--deny", "warnings"])
        .run()?;
    cargo("clippy")
        .args(["--manifest-path", "constant-time/Cargo.toml", "--workspace", "--all-targets", "--target-dir"])
        .arg(paths::target())
        .args(["--", "--deny", "warnings"])
        .run()?;
    fuzz::lint()?;
    masking::lint()?;
    // The part of the firmware that is not bound to a board.
    cargo("clippy")
        .args(["--manifest-path", "firmware/Cargo.toml", "--lib", "--target-dir"])
        .arg(paths::target())
        .args(["--", "--deny", "warnings"])
        .run()
}

/// No `--no-dev-deps`, which edits manifests: since resolver 2, dev-dependencies do not reach a library's own features.
fn features(depth: &[&str]) -> Result<()> {
    if let Some(cargo_hack) = tools::find_tool("cargo-hack") {
        return Cmd::new(cargo_hack)
            .args(["hack", "clippy", "--feature-powerset", "--exclude-features", "default", "--lib"])
            .args(depth)
            .args(paths::libraries())
            .args(["--", "--deny", "warnings"])
            .run();
    }
    println!("cargo-hack is not installed (see --install-tools): each feature alone, none and all instead");
    let mut sets: Vec<(&str, &str)> = vec![
        ("twine-cipher", ""),
        ("twine-cipher", "zeroize"),
        ("twine-otr-capi", ""),
        ("twine-otr-capi", "panic-handler"),
    ];
    for library in ["otr-mode", "twine-otr-aead"] {
        let single = ["", "alloc", "arrayvec", "bytes", "defmt", "getrandom", "rand_core", "zeroize"];
        sets.extend(single.map(|feature| (library, feature)));
        sets.push((library, "alloc,arrayvec,bytes,defmt,getrandom,rand_core,zeroize"));
    }
    for (library, features) in sets {
        cargo("clippy")
            .args(["--package", library, "--lib", "--no-default-features", "--features", features])
            .args(["--", "--deny", "warnings"])
            .run()?;
    }
    Ok(())
}

/// Forces those of `names` that this machine has. Of the mode `tests` are run: those of `widths` need not run on each backend every day.
fn backends(names: &[&str], tests: &str) -> Result<()> {
    for name in names {
        if has_backend(name) {
            backend(name, tests)?;
        } else {
            println!("this machine has no {name}");
        }
    }
    Ok(())
}

fn has_backend(name: &str) -> bool {
    match name {
        "soft32" | "soft64" => true,
        #[cfg(target_arch = "x86_64")]
        "ssse3" => is_x86_feature_detected!("ssse3"),
        #[cfg(target_arch = "x86_64")]
        "avx2" => is_x86_feature_detected!("avx2"),
        #[cfg(target_arch = "x86_64")]
        "avx512" => is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl"),
        _ => false,
    }
}

/// `cargo test` on the workspace of the libraries, in the folder in which dependencies are compiled once for tests with each backend.
/// RUSTC_BOOTSTRAP stands for a nightly cargo, which can give flags to a package alone.
fn test_in_backends() -> Cmd {
    cargo("test")
        .arg("-Zprofile-rustflags")
        .arg("--target-dir")
        .arg(paths::target().join("backends"))
        .env("RUSTC_BOOTSTRAP", "1")
}

/// Runs the tests of the cipher with a backend forced, and those of the mode that run on it.
fn backend(name: &str, tests: &str) -> Result<()> {
    let forced = format!(r#"profile.dev.package.twine-cipher.rustflags=['--cfg=twine_backend="{name}"']"#);
    for tests in [["twine-cipher", "--tests"], ["otr-mode", tests]] {
        test_in_backends()
            .args(["--all-features", "--lib", "--package"])
            .args(tests)
            .args(["--config", &forced])
            .env("TWINE_FORCED_BACKEND", name)
            .run()?;
    }
    Ok(())
}

/// Nothing is timed here.
fn benches() -> Result<()> {
    bench::cargo("clippy")
        .args(bench::openssl()?)
        .args(["--all-targets", "--", "--deny", "warnings"])
        .run()?;
    bench::cargo("test").arg("--no-default-features").run()?;
    bench::check()
}

fn docs() -> Result<()> {
    links::check()?;
    cargo("doc")
        .args(["--workspace", "--no-deps", "--all-features", "--document-private-items"])
        .env("RUSTDOCFLAGS", flags("RUSTDOCFLAGS", "--deny warnings"))
        .run()?;
    // As docs.rs does it, where RUSTC_BOOTSTRAP stands for its nightly compiler.
    cargo("doc")
        .args(["--no-deps", "--all-features"])
        .args(paths::libraries())
        .arg("--target-dir")
        .arg(paths::target().join("docsrs"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTDOCFLAGS", flags("RUSTDOCFLAGS", "--cfg docsrs --deny warnings"))
        .run()
}

/// Where `no-std` builds. Firmware for the others is built by other steps.
const SOME_THUMB_TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv8m.main-none-eabi"];

fn no_std_all() -> Result<()> {
    no_std(&tools::THUMB_TARGETS)?;
    kernels::test()
}

fn no_std(targets: &[&str]) -> Result<()> {
    for target in targets {
        let toolchain = Toolchain::for_target(target)?;
        let most = if target.starts_with("thumbv6m") { NO_ATOMICS_FEATURES } else { NO_STD_FEATURES };
        // For firmware only: what it makes is for a linker of such.
        for features in ["", &format!("{most},defmt")] {
            toolchain
                .cargo()?
                .args(["check", "--lib", "--no-default-features", "--features", features])
                .args(paths::libraries())
                .args(["--target", target, "--target-dir"])
                .arg(paths::target().join("thumb"))
                .run()?;
        }
    }
    Ok(())
}

fn cortex_m_limits() -> Result<()> {
    cortex_m::size()?;
    cortex_m::build_some_boards()
}

fn other_boards() -> Result<()> {
    firmware::test_others()?;
    capi::test_other_firmware()?;
    constant_time::other_riscv()
}

fn wasm32() -> Result<()> {
    let toolchain = Toolchain::for_target(tools::WASM_TARGET)?;
    for features in ["", NO_STD_FEATURES] {
        toolchain
            .cargo()?
            .args(["build", "--release", "--lib", "--no-default-features", "--features", features])
            .args(paths::libraries())
            .args(["--target", tools::WASM_TARGET, "--target-dir"])
            .arg(paths::target().join("wasm32"))
            .run()?;
    }
    Ok(())
}

fn minimum_rust() -> Result<()> {
    let rustc = msrv::rustc()?;
    for features in [&["--no-default-features"][..], &[], &["--all-features"]] {
        cargo("check")
            .args(["--lib"])
            .args(features)
            .args(paths::libraries())
            .arg("--target-dir")
            .arg(paths::target().join("msrv").join("build"))
            .env("RUSTC", &rustc)
            .run()?;
    }
    Ok(())
}
