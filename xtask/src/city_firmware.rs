//! The firmware of the example `smart-city`: two worlds, built for a board that QEMU emulates, and tested there.

use crate::{
    cortex_m, paths,
    qemu_trace::Plugin,
    sh::{self, Cmd},
    smart_city,
    tools::{self, Toolchain},
};
use anyhow::{Context, Result};
use object::{Object as _, ObjectSection as _, SectionKind};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const MANIFEST: &str = "examples/smart-city/firmware/Cargo.toml";

/// The images: the secure world, its application, and a hostile one.
const IMAGES: [&str; 3] = ["secure", "street", "probe"];

/// How often power fails in `cargo xtask soak`.
const CUTS: &str = "1000";

/// Everything, for `cargo xtask test`.
pub(crate) fn test() -> Result<()> {
    sh::cargo().args(["fmt", "--manifest-path", MANIFEST, "--all", "--check"]).run()?;
    for arguments in [&["clippy", "--all-targets"][..], &["test"]] {
        sh::cargo()
            .args(arguments)
            .args(["--manifest-path", MANIFEST, "--target-dir"])
            .arg(paths::target().join("city-firmware-host"))
            .args(smart_city::locked())
            .args(arguments.contains(&"clippy").then_some(["--", "--deny", "warnings"]).into_iter().flatten())
            .run()?;
    }
    // With the whole workspace, so that what the bridge depends on has the features of the step `smart-city` and is not compiled again.
    smart_city::cargo("clippy")
        .args(["--workspace", "--all-targets", "--features", "smart-city-bridge/firmware"])
        .args(["--", "--deny", "warnings"])
        .run()?;
    // The bridge is tested at Mosquitto.
    smart_city::test_tools()?;
    let folder = build()?;
    for image in IMAGES {
        size(image, &folder.join(image))?;
    }
    tests(folder)?.run()
}

/// Power fails many times, for minutes.
pub(crate) fn soak() -> Result<()> {
    tests(build()?)?.args(["power", "--nocapture"]).env("SMART_CITY_CUTS", CUTS).run()
}

/// Builds the images and returns their folder.
fn build() -> Result<PathBuf> {
    let target_dir = paths::target().join("city-firmware");
    Toolchain::for_target(smart_city::TARGET)?
        .cargo()
        .args(["build", "--release", "--target", smart_city::TARGET, "--manifest-path", MANIFEST])
        .args(IMAGES.iter().flat_map(|image| ["--bin", image]))
        .arg("--workspace")
        .arg("--target-dir")
        .arg(&target_dir)
        .args(smart_city::locked())
        .run()?;
    Ok(target_dir.join(smart_city::TARGET).join("release"))
}

/// The tests that run the images in `folder`.
fn tests(folder: PathBuf) -> Result<Cmd> {
    Ok(smart_city::cargo("test")
        .args(["--workspace", "--features", "smart-city-bridge/firmware", "--test", "firmware"])
        .env("SMART_CITY_FIRMWARE", folder)
        .env("SMART_CITY_QEMU", tools::qemu()?)
        .env("SMART_CITY_TRACE", Plugin::build()?.path())
        // Each keeps a processor busy.
        .args(["--", "--show-output", "--test-threads"])
        .arg(env::var("SMART_CITY_BOARDS").unwrap_or_else(|_| "2".into())))
}

/// Prints what an image takes.
fn size(image: &str, elf: &Path) -> Result<()> {
    let data = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(data.as_slice())?;
    let is_ram = |kind| matches!(kind, SectionKind::Data | SectionKind::UninitializedData);
    let ram: u64 =
        file.sections().filter(|section| is_ram(section.kind())).map(|section| section.size()).sum();
    println!("{image}: {} bytes of flash, {ram} of RAM before its stack", cortex_m::flash(elf)?);
    Ok(())
}
