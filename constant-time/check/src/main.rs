//! Looks at binaries for branches, addresses and times that depend on secrets.
//!
//! | module | what it does |
//! |---|---|
//! | `valgrind` | runs a subject under valgrind, with its secrets undefined |
//! | `trace` | steps through a subject, and compares traces of different secrets |
//! | `x86` | what an instruction of x86-64 reads and writes, and whether its time depends on data |
//! | `cortex_m` | compares what the plugin for QEMU wrote of a firmware |
//! | `riscv` | which instructions of RISC-V have a time that depends on data |
//! | `leaks` | whether deliberate leaks are caught |
//! | `source` | where an address is in the source |

mod cortex_m;
mod leaks;
mod riscv;
mod source;
mod valgrind;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod trace;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86;

use anyhow::{Result, bail};
use std::{path::Path, process::ExitCode};

const HELP: &str = "\
Usage: check COMMAND

  valgrind SUBJECT        the subject's known answers under valgrind, and its deliberate leaks
  trace some|all SUBJECT...
                          the subjects' operations step by step, and their deliberate leaks
  cortex-m-log REGIONS    print which regions of the firmware's trace have to be logged
  cortex-m CORE ELF REGIONS LOG
                          the firmware's operations and deliberate leaks, from its trace and that log

`cargo xtask constant-time` builds subjects and runs this.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["valgrind", subject] => valgrind::check(Path::new(subject)),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ["trace", extent @ ("some" | "all"), subjects @ ..] if !subjects.is_empty() => {
            let subjects: Vec<&Path> = subjects.iter().map(|subject| Path::new(*subject)).collect();
            trace::check(&subjects, extent)
        }
        ["cortex-m-log", regions] => {
            println!("{}", cortex_m::log(Path::new(regions))?);
            Ok(())
        }
        ["cortex-m", core, elf, regions, log] => {
            cortex_m::check(core, Path::new(elf), Path::new(regions), Path::new(log))
        }
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("unexpected arguments\n\n{HELP}"),
    }
}
