//! The command: writes the masked kernels, or checks those in linked images.

use anyhow::{Context as _, Result, bail};
use masking::{check, image::Image, kernel, machine::MODELS};
use std::{fs, process::ExitCode, time::Instant};

const HELP: &str = "\
Usage: masking write FILE     writes the kernels as assembly
       masking check ELF...   proves of the kernels in linked images that no instruction depends on a secret
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
        ["check", ref files @ ..] if !files.is_empty() => {
            let kernels = masking::kernels();
            let mut leaks = 0;
            for file in files {
                let bytes = fs::read(file).with_context(|| format!("cannot read {file}"))?;
                let image = Image::read(&bytes)?;
                for kernel in &kernels {
                    if kernel.name == masking::UNPROVED {
                        println!("{}: not checked, as its bits depend on too many variables", kernel.name);
                        continue;
                    }
                    leaks += check_one(&image, kernel)?;
                }
            }
            if leaks != 0 {
                bail!("{leaks} times something depends on a secret");
            }
            Ok(())
        }
        _ => bail!("unexpected arguments\n\n{HELP}"),
    }
}

/// Checks a kernel, and returns how often something depends on a secret.
fn check_one(image: &Image, kernel: &kernel::Kernel) -> Result<usize> {
    let start = Instant::now();
    let report = check::linked(image, kernel).with_context(|| kernel.name)?;
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
