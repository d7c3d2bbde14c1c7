//! The command: writes the masked kernels, or proves what there is to prove of them and looks for them in linked images.

use anyhow::{Context as _, Result, bail, ensure};
use masking::{
    check,
    image::Image,
    kernel::{self, Kernel},
    machine::MODELS,
};
use std::{fs, process::ExitCode, time::Instant};

const HELP: &str = "\
Usage: masking write FILE     writes the kernels as assembly
       masking check ELF...   proves of the kernels, but for the key schedule of TWINE-80, that nothing that is seen depends on a secret;
                              checks that linked images have the instructions and constants of all of them
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", file] => Ok(fs::write(file, kernel::assembly(&masking::kernels()))?),
        ["check", ref files @ ..] if !files.is_empty() => check(files),
        _ => bail!("unexpected arguments\n\n{HELP}"),
    }
}

fn check(files: &[&str]) -> Result<()> {
    let kernels = masking::kernels();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read {file}"))?;
        let image = Image::read(&bytes).with_context(|| format!("{file} is no image"))?;
        for kernel in &kernels {
            image.has_kernel(kernel).with_context(|| format!("{file}: {}", kernel.name))?;
        }
        image.has_constants(&check::constants()).with_context(|| (*file).to_owned())?;
        println!("{file} has the instructions and constants of {} kernels", kernels.len());
    }
    let mut leaks = 0;
    for kernel in &kernels {
        if kernel.name == masking::SCHEDULE_80 {
            println!("{}: not proved, as its bits depend on too many variables", kernel.name);
        } else {
            leaks += prove(kernel)?;
        }
    }
    ensure!(leaks == 0, "{leaks} times something depends on a secret");
    Ok(())
}

/// Proves of a kernel what there is to prove, and returns how often something depends on a secret.
fn prove(kernel: &Kernel) -> Result<usize> {
    let start = Instant::now();
    let report = check::prove(kernel).with_context(|| kernel.name)?;
    let seen: Vec<String> = MODELS
        .iter()
        .map(|model| format!("{model:?} {}", report.seen.get(model).copied().unwrap_or(0)))
        .collect();
    println!("{}: {} instructions; words seen: {}", report.name, report.instructions, seen.join(", "));
    for leak in &report.leaks {
        println!("  depends on a secret: {:?} at {:#x}, bits {:08x}", leak.model, leak.at, leak.bits);
    }
    let verdict = if report.leaks.is_empty() { "independent of all secrets" } else { "NOT independent" };
    println!("  {verdict}, {:.1} s", start.elapsed().as_secs_f64());
    Ok(report.leaks.len())
}
