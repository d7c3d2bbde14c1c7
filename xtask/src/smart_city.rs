//! The example `smart-city`, which has a workspace of its own.

use crate::{
    apt, city_firmware, cortex_m, paths,
    sh::{self, Cmd},
    tools::{self, Compiler},
};
use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use std::{
    env, fs,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

const MANIFEST: &str = "examples/smart-city/Cargo.toml";

/// The core of the devices: with TrustZone.
pub(crate) const TARGET: &str = "thumbv8m.main-none-eabi";

/// What the detector may take of a device's flash in bytes: cipher, table of allowed values, notification and the compiler's
/// functions for memory included.
const DETECTOR_LIMIT: u64 = 4096;

/// Where the bytes are: how the names of functions and data begin, or where in them it says whose they are.
const PARTS: [(&str, &[&str]); 4] = [
    ("cipher", &["twine_cipher"]),
    ("allowed values", &["TABLE"]),
    ("memory functions", &["mem"]),
    ("detector, notification and the rest", &[""]),
];

/// What needs no machine of its own: clippy, the detector's size, and all that the tests and the demo run.
pub(crate) fn build() -> Result<()> {
    sh::cargo().args(["fmt", "--manifest-path", MANIFEST, "--all", "--check"]).run()?;
    test_tools()?;
    // With the tests that run the firmware.
    cargo("clippy")
        .args(["--workspace", "--all-targets", "--features", "smart-city-bridge/firmware"])
        .args(["--", "--deny", "warnings"])
        .run()?;
    // The gateway for a broker elsewhere. With the whole workspace, so that what both depend on has the same features and is not
    // checked twice.
    cargo("clippy")
        .args(["--workspace", "--all-targets", "--no-default-features", "--", "--deny", "warnings"])
        .run()?;
    cargo("test").args(["--workspace", "--no-run"]).run()?;
    city_firmware::for_demo()?;
    sizes()
}

/// The tests and the demo.
pub(crate) fn test() -> Result<()> {
    test_tools()?;
    // Builds the programs as well: tests start them. More of them at once than there are cores: most wait for something.
    let threads = (2 * available_parallelism()?.get()).to_string();
    cargo("test").arg("--workspace").env("RUST_TEST_THREADS", threads).run()?;
    let firmware = city_firmware::for_demo()?;
    ensure!(firmware.is_some() || cfg!(not(unix)), "the demo is tested with devices that run the firmware");
    run_demo(&[], firmware)
}

/// Tests of the gateway that can go on for longer: in which file they are, which ones, and by which variable. One after the other,
/// and each prints what it measured.
const SOAKS: [(&str, &str, &str, &str); 5] = [
    ("process", "outage::after_an_outage", "SMART_CITY_DEVICES", "200"),
    ("process", "a_flood_harms_nobody", "SMART_CITY_FLOOD", "20"),
    ("process", "a_large_city_fits", "SMART_CITY_KNOWN", "100000"),
    ("process", "frames_beside_clients_of_the_status", "SMART_CITY_KNOWN", "10000"),
    ("suite", "no_history_repeats_anything", "SMART_CITY_HISTORIES", "300"),
];

/// `cargo xtask soak`.
pub(crate) fn soak() -> Result<()> {
    test_tools()?;
    for (file, tests, variable, value) in SOAKS {
        // With the features that the whole workspace has, so that nothing is compiled anew.
        cargo("test")
            .args(["--workspace", "--test", file, tests])
            .args(["--", "--nocapture", "--test-threads", "1"])
            .env(variable, value)
            .run()?;
    }
    cluster(&["kill"])?;
    city_firmware::soak()
}

/// `cargo xtask bench gateway`.
pub(crate) fn bench() -> Result<()> {
    test_tools()?;
    cargo("bench").args(["--package", "smart-city-gateway", "--bench", "load"]).run()
}

/// `cargo xtask cluster ...`, with the profile of the tests: several gateways, which are tried and killed.
pub(crate) fn cluster(arguments: &[&str]) -> Result<()> {
    run_cluster("debug", &["--workspace"], arguments)
}

/// `cargo xtask bench cluster`.
pub(crate) fn bench_cluster(arguments: &[&str]) -> Result<()> {
    let packages = ["--release", "--package", "smart-city-gateway", "--package", "smart-city-cluster"];
    run_cluster("release", &packages, &[&["bench"], arguments].concat())
}

fn run_cluster(folder: &str, what: &[&str], arguments: &[&str]) -> Result<()> {
    test_tools()?;
    cargo("build").args(what).arg("--bins").run()?;
    let program = paths::target().join("smart-city").join(folder).join("smart-city-cluster");
    Cmd::new(program).args(arguments).run()
}

/// What the tests take besides Rust: a browser that looks at the gateway's page, Mosquitto as its broker, PostgreSQL as its database, an
/// identity provider for users of other cities, programs that read incidents, and OpenSSL for the crate `ear`, which reads attestation
/// results.
pub(crate) fn test_tools() -> Result<()> {
    if apt::can_install() {
        apt::install(&["chromium", "mosquitto", "postgresql", "python3-venv"])?;
    }
    identity_provider()?;
    python_programs()?;
    let has_browser = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .any(|name| paths::find_program(name).is_some());
    ensure!(has_browser, "a test looks at a page in Chromium: install it (Debian: apt-get install chromium)");
    ensure!(
        paths::find_program("mosquitto").is_some() || Path::new("/usr/sbin/mosquitto").exists(),
        "a test runs the gateway at Mosquitto: install it (Debian: apt-get install mosquitto)"
    );
    ensure!(
        Path::new("/usr/lib/postgresql").exists(),
        "a test keeps what the gateway stores in PostgreSQL: install it (Debian: apt-get install postgresql)"
    );
    ensure!(tools::has_openssl()?, "a test builds against OpenSSL: install {}", tools::OPENSSL);
    Ok(())
}

/// Installs the identity provider of the tests from npm, as its lock file says, if it is not there so.
fn identity_provider() -> Result<()> {
    let folder = paths::root().join("examples/smart-city/login/tests/provider");
    let changed = |name: &str| fs::metadata(folder.join(name)).and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") > changed("package-lock.json") {
        return Ok(());
    }
    let npm = tools::program("npm", &["nodejs", "npm"], "npm, with nodejs (Debian, Ubuntu)")?;
    Cmd::new(npm).args(["ci", "--no-audit", "--no-fund"]).dir(&folder).run()
}

/// Installs the programs that read incidents from PyPI, each in an environment of its own, if they are not there as their files say.
fn python_programs() -> Result<()> {
    let from = paths::root().join("examples/smart-city/incidents/tests/python");
    for name in ["stix2-validator", "taxii2-client"] {
        let list = from.join(name).with_extension("txt");
        let to = paths::target().join("python").join(name);
        let installed = to.join("installed.txt");
        let wanted = fs::read_to_string(&list)?;
        if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
            continue;
        }
        let python = tools::program(
            "python3",
            &["python3", "python3-venv"],
            "Python, with its venv (Debian, Ubuntu)",
        )?;
        Cmd::new(python).args(["-m", "venv", "--clear"]).arg(&to).run()?;
        // All that they take is in the list, each with its version.
        Cmd::new(to.join("bin/pip"))
            .args(["install", "--quiet", "--no-deps", "--requirement"])
            .arg(&list)
            .run()?;
        fs::write(installed, wanted)?;
    }
    Ok(())
}

/// The example's demo, with the profile of the tests: ciphers are optimized, the rest is a little.
pub(crate) fn demo(arguments: &[&str]) -> Result<()> {
    let firmware = city_firmware::for_demo()?;
    cargo("build")
        .args(["--package", "smart-city-gateway", "--package", "smart-city-demo", "--bins"])
        .run()?;
    run_demo(arguments, firmware)
}

/// Runs the demo, with the firmware whose images are in a folder.
fn run_demo(arguments: &[&str], firmware: Option<PathBuf>) -> Result<()> {
    let program =
        paths::target().join("smart-city/debug").join(format!("smart-city-demo{}", env::consts::EXE_SUFFIX));
    let mut demo = Cmd::new(program).args(arguments);
    if let Some(folder) = firmware {
        demo = demo.arg("--firmware").arg(folder).env("SMART_CITY_QEMU", tools::qemu()?);
    }
    demo.run()
}

pub(crate) fn cargo(command: &str) -> Cmd {
    sh::cargo()
        .args([command, "--manifest-path", MANIFEST, "--target-dir"])
        .arg(paths::target().join("smart-city"))
        .args(locked())
}

/// Elsewhere a change of dependencies may update the lock file.
pub(crate) fn locked() -> Option<&'static str> {
    env::var_os("CI").map(|_| "--locked")
}

/// The size of the detector, with each compiler that there is.
fn sizes() -> Result<()> {
    tools::compilers(TARGET)?.into_iter().try_for_each(size)
}

/// The size of the detector, linked alone for a device.
fn size(compiler: Compiler) -> Result<()> {
    let target_dir = paths::target().join("smart-city-device").join(compiler.version.replace(' ', "-"));
    compiler
        .cargo
        .args(["build", "--manifest-path", MANIFEST, "--package", "smart-city-detector-size"])
        .args(["--profile", "firmware", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .args(locked())
        .run()?;
    let elf = target_dir.join(TARGET).join("firmware").join("detector-size");
    let total = cortex_m::flash(&elf)?;

    let data = fs::read(&elf)?;
    let file = object::File::parse(data.as_slice())?;
    let mut sizes = [0; PARTS.len()];
    for symbol in file.symbols().filter(|symbol| matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data))
    {
        let name = symbol.name()?;
        let part = PARTS.iter().position(|(_, marks)| marks.iter().any(|mark| name.contains(mark)));
        sizes[part.context("the last part takes all")?] += symbol.size();
    }
    println!("the detector on {TARGET}, {}: {total} bytes, of which", compiler.version);
    for ((part, _), size) in PARTS.iter().zip(sizes) {
        println!("{size:6} {part}");
    }
    println!("{:6} without a symbol", total.saturating_sub(sizes.iter().sum()));
    ensure!(sizes.iter().all(|size| *size > 0), "a part is missing: this is not the detector");
    ensure!(total <= DETECTOR_LIMIT, "the detector takes {total} bytes, more than {DETECTOR_LIMIT}");
    Ok(())
}
