//! `cargo xtask`: every workflow of the project in one place.
//!
//! | module | what it does |
//! |---|---|
//! | `test` | the steps of `cargo xtask test` |
//! | `release` | its further steps before a release |
//! | `demo` | `cargo xtask demo` |
//! | `bench` | measures, and keeps the README's tables and chart |
//! | `aarch64` | tests the NEON backend under QEMU |
//! | `cortex_m` | what the project costs on Cortex-M and RISC-V |
//! | `cycles` | estimates cycles from a trace |
//! | `constant_time` | looks for secrets in branches, addresses and times |
//! | `prove` | proves for all inputs what the compiled library computes |
//! | `masking` | tests what is masked here and on emulated boards, and proves what is proved of their kernels; simulates traces |
//! | `i686` | tests the libraries on 32-bit x86 |
//! | `boards` | runs a firmware on one of QEMU's boards |
//! | `qemu_trace` | counts and traces what it executes there |
//! | `rp2350` | checks images for a board that is not there |
//! | `capi` | the C interface: its header and its tests |
//! | `dist` | the C library for each target, ready to link |
//! | `dist_tests` | programs that are linked with it |
//! | `manifests` | whether its descriptions are as their tools want them |
//! | `firmware` | builds the firmware and runs it on QEMU's boards |
//! | `firmware_sensor` | tests the example `firmware-sensor`, whose power is lost in QEMU |
//! | `smart_city` | runs and tests the example `smart-city`, and sizes its detector |
//! | `city_firmware` | builds its firmware, and tests it in QEMU |
//! | `fuzz` | builds and runs the fuzz targets |
//! | `mutants` | changes the code and expects tests to fail |
//! | `package` | makes the packages that are published and tests them |
//! | `sanitizers` | runs the tests under sanitizers |
//! | `setup` | installs what the other commands need |
//! | `tools` | finds or installs compilers, emulators and tools |
//! | `links` | checks that the links of the Markdown files lead somewhere |
//! | `kernels` | builds the libraries for targets without vector registers |
//! | `msrv` | finds or fetches a compiler of the minimum supported Rust version |
//! | `apt` | Debian's packages |
//! | `steps` | headings, times and the closing table |
//! | `sh` | runs commands and shows them |
//! | `paths` | where things are |

mod aarch64;
mod apt;
mod bench;
mod boards;
mod capi;
mod city_firmware;
mod constant_time;
mod core_library;
mod cortex_m;
mod cycles;
mod demo;
mod dist;
mod dist_tests;
mod firmware;
mod firmware_sensor;
mod fuzz;
mod i686;
mod kernels;
mod library_source;
mod links;
mod manifests;
mod masking;
mod msrv;
mod mutants;
mod package;
mod paths;
mod prove;
mod qemu_trace;
mod release;
mod rp2350;
mod sanitizers;
mod setup;
mod sh;
mod smart_city;
mod steps;
mod test;
mod tools;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  test [STEP...]             everything that must hold before a merge; with STEPs, only those
       --list                name the steps
       --all                 also what takes longer: aarch64, 32-bit x86, more bare-metal targets, all archives for C, fuzzing, sanitizers, traces, the stack, all proofs
       --jobs N              up to N steps at once; each is shown when it has ended
       --install-tools       install missing cargo tools below target/ (always done if CI is set)
       --release-checks      only what must hold before a release besides
  demo                       an hour in a smart city: who may see what, and a device that is tampered with
       --serve               goes on after that, for a look at the gateway's page
       --gateways N          in its place a city with N gateways that share a database and a broker, until Ctrl-C, for killing one
       seal [--size SIZE]    seal and open a real file, then try to cheat (SIZE: 4MiB, 1GiB, ...)
  cluster kill [--rounds N] [--seed S]  N faults (100) of three gateways, their broker and their database under load:
                             no reading that has a receipt is lost, no frame is accepted twice, no nonce repeats
  soak                       the tests of the smart city that can go on for longer, at full length: half an hour
  bench [--seconds N]        measure for N seconds (40) and write results, the README's tables and the chart
        report               write the tables and the chart of the results that are there
        --check              fail if the tables or the chart are not what the results give
        criterion [ARGS...]  the same operations under criterion
        cortex-m             measure on emulated Cortex-M and RISC-V boards instead, and write the same of that
        cortex-m --ours      only print what the project's own code takes there
        dudect [ARGS...]     whether times depend on secrets, by statistics
        gateway              frames a second, delays and memory of the smart city's gateway
        cluster [ARGS...]    the same of one to three gateways that share a database; handover, takeover, a million devices
  firmware build [--board B] build the known-answer firmware
  firmware test [--board B]  build it and run it on QEMU's boards (B may be given several times)
  firmware size              what sealing and opening take on Cortex-M and RISC-V; fails above the limits
  firmware sensor [--kills N]  the example `firmware-sensor`: its power is lost N times (1000) in each way, in QEMU
  constant-time [TOOL]       look for secrets in branches, addresses and times of binaries
                             (TOOL: valgrind, trace, cortex-m or riscv; all if none is named)
       --all [TOOL]          trace all operations on x86-64, which takes most of an hour
  prove [--json] [--only T]  prove for all inputs that the compiled code is TWINE and OTR (only targets named like T)
        --edges              with fewer lengths of messages
        --mutants            the tests with wrong bits in the code, 200 for each kernel, each mode and each sealer
        --accept-conditional success, even if instructions could not be compared with a processor
        --elf FILE           the same of a linked program that contains the C interface
  masking                    test what is masked here and on emulated boards; prove of each of its kernels that
                             no bit that is seen in five models depends on a secret
  leakage                    simulate traces of the masked kernels, and write into docs/masking.md what they show (some 20 minutes of one core)
  fuzz [--minutes N] [T...]  run the fuzz targets (those named) for N minutes (1) each
       coverage [T...]       what their inputs cover of the project's code
  mutants [PACKAGE...]       change packages in one place at a time: a test must fail
       --in-diff REF         only where lines were changed since REF
       --file GLOB           only in these files
  capi header                make the header of the C interface
       test                  test the C interface on this machine
       firmware [BOARD]      test it on QEMU's boards, or on BOARD alone
       dist                  build it for each target, ready to link: target/dist/twine-otr-VERSION.tar.gz
  setup                      only install what the other commands need
  help                       this text

Each command finds or installs what it needs by itself.
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
        ["test", rest @ ..] => test::main(rest),
        ["step", name] => test::step(name),
        ["demo", rest @ ..] => demo::main(rest),
        ["bench", rest @ ..] => bench::main(rest),
        ["constant-time", rest @ ..] => constant_time::main(rest),
        ["prove", rest @ ..] => prove::main(rest),
        ["masking"] => masking::test(),
        ["leakage"] => masking::leakage(),
        ["firmware", rest @ ..] => firmware::main(rest),
        ["fuzz", rest @ ..] => fuzz::main(rest),
        ["mutants", rest @ ..] => mutants::main(rest),
        ["capi", rest @ ..] => capi::main(rest),
        ["setup"] => setup::main(),
        ["cluster", rest @ ..] => smart_city::cluster(rest),
        ["soak"] => smart_city::soak(),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [] => bail!("no command given\n\n{HELP}"),
        other => bail!("unknown command: {}\n\n{HELP}", other.join(" ")),
    }
}
