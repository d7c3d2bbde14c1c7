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

/// The images: the secure world, its application, a hostile one, and a template for others.
const IMAGES: [&str; 4] = ["secure", "street", "probe", "template"];

/// The images that are linked for a real board as well, and what its memory map is called.
const BOARD_IMAGES: [&str; 3] = ["secure", "street", "template"];
const BOARD_FEATURE: &str = "smart-city-interface/nrf5340";

/// The folder of the template in C, and its image.
const TEMPLATE_C: (&str, &str) = ("examples/smart-city/firmware/template-c", "template-c");

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
    sh::cargo()
        .args(["test", "--package", "smart-city-interface", "--features", BOARD_FEATURE, "--test", "memory"])
        .args(["--manifest-path", MANIFEST, "--target-dir"])
        .arg(paths::target().join("city-firmware-host"))
        .args(smart_city::locked())
        .run()?;
    // The bridge is tested at Mosquitto.
    smart_city::test_tools()?;
    // First, as the images that run take the place of these.
    let folder = build_images(&BOARD_IMAGES, Some(BOARD_FEATURE))?;
    for image in BOARD_IMAGES {
        print!("with the memory map of nRF5340, ");
        size(image, &folder.join(image))?;
    }
    let folder = build()?;
    build_template_c(&folder)?;
    for image in IMAGES.into_iter().chain([TEMPLATE_C.1]) {
        size(image, &folder.join(image))?;
    }
    tests(folder)?.run()
}

/// Power fails many times, for minutes.
pub(crate) fn soak() -> Result<()> {
    tests(build()?)?.args(["power", "--nocapture"]).env("SMART_CITY_CUTS", CUTS).run()
}

/// The folder of the images, for the demo. None if there is no QEMU or no compiler and they cannot be installed, which is said.
pub(crate) fn for_demo() -> Result<Option<PathBuf>> {
    let tools = tools::qemu().and_then(|_| Toolchain::for_target(smart_city::TARGET));
    match tools {
        Ok(_) if cfg!(unix) => build().map(Some),
        Ok(_) => {
            println!("no device runs the firmware: its bridge is for Unix");
            Ok(None)
        }
        Err(error) => {
            println!("no device runs the firmware: {error:#}");
            Ok(None)
        }
    }
}

/// Builds the images that run in QEMU and returns their folder.
fn build() -> Result<PathBuf> {
    build_images(&IMAGES, None)
}

fn build_images(images: &[&str], features: Option<&str>) -> Result<PathBuf> {
    let target_dir = paths::target().join("city-firmware");
    Toolchain::for_target(smart_city::TARGET)?
        .cargo()?
        .args(["build", "--release", "--target", smart_city::TARGET, "--manifest-path", MANIFEST])
        .args(images.iter().flat_map(|image| ["--bin", image]))
        .arg("--workspace")
        .args(features.into_iter().flat_map(|features| ["--features", features]))
        .arg("--target-dir")
        .arg(&target_dir)
        .args(smart_city::locked())
        .run()?;
    Ok(target_dir.join(smart_city::TARGET).join("release"))
}

/// Builds the template in C into `folder`.
fn build_template_c(folder: &Path) -> Result<()> {
    let source = paths::root().join(TEMPLATE_C.0);
    Cmd::new(tools::gcc_arm()?)
        .args(["-mcpu=cortex-m33+nodsp", "-mthumb", "-mfloat-abi=soft", "-Os", "-g", "-std=c11"])
        .args(["-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections", "-nostartfiles"])
        .args(["--specs=nano.specs", "-Wl,--gc-sections", "-T"])
        .args(["link.ld", "main.c", "board.c"].map(|file| source.join(file)))
        .arg("-o")
        .arg(folder.join(TEMPLATE_C.1))
        .run()
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
