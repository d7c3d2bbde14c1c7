//! `cargo xtask prove`: proofs for all inputs about the C library, by the workspace `prove`.

use crate::{
    aarch64, boards,
    capi::{self, Keys},
    masking, paths,
    sh::{self, Cmd},
    tools::{self, Toolchain},
};
use anyhow::{Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The functions of the C interface that claims are about, after the cipher in their names.
const FUNCTIONS: [&str; 24] = [
    "init",
    "encrypt_blocks",
    "decrypt_blocks",
    "otr_init",
    "otr_seal",
    "otr_open",
    "serial_otr_init",
    "serial_otr_seal",
    "serial_otr_open",
    "combined_otr_init",
    "combined_otr_seal",
    "combined_otr_open",
    "sealer_init",
    "sealer_seal",
    "serial_sealer_init",
    "serial_sealer_seal",
    "combined_sealer_init",
    "combined_sealer_seal",
    "opener_init",
    "opener_open",
    "serial_opener_init",
    "serial_opener_open",
    "combined_opener_init",
    "combined_opener_open",
];

/// The same of what is masked.
const MASKED_FUNCTIONS: [&str; 4] =
    ["masked_sealer_init", "masked_sealer_seal", "masked_opener_init", "masked_opener_open"];

/// The boards whose libraries have what is masked in assembly.
const MASKED: [&str; 3] = ["thumbv7m", "thumbv7em", "thumbv8m.main"];

/// The C library's functions that the code calls, at addresses where nothing is: the prover knows what the first three do, and
/// stops at the others.
const OUTSIDE: [&str; 6] = ["memcpy", "memmove", "memset", "memcmp", "bcmp", "abort"];

/// A library for boards.
struct Board {
    /// As targets of the prover have it.
    name: &'static str,
    target: &'static str,
    /// For the compiler.
    flags: &'static str,
}

impl Board {
    const fn new(name: &'static str, target: &'static str) -> Self {
        Self { name, target, flags: "" }
    }

    /// The linker, with what it has to know of the target.
    fn linker(&self) -> Result<Cmd> {
        if self.target.starts_with("riscv32") {
            tools::qemu_riscv_user()?;
            Ok(Cmd::new(tools::gcc_riscv()?).args(["-march=rv32imac", "-mabi=ilp32"]))
        } else {
            tools::qemu_arm()?;
            Ok(Cmd::new(tools::gcc_arm()?))
        }
    }
}

/// The boards' libraries.
const BOARDS: [Board; 7] = [
    Board::new("thumbv6m", "thumbv6m-none-eabi"),
    Board::new("thumbv7m", "thumbv7m-none-eabi"),
    Board::new("thumbv7em", "thumbv7em-none-eabi"),
    Board::new("thumbv8m.main", "thumbv8m.main-none-eabi"),
    Board::new("riscv32imc", "riscv32imc-unknown-none-elf"),
    Board::new("riscv32imac", "riscv32imac-unknown-none-elf"),
    Board { name: "riscv32imac zbb", target: "riscv32imac-unknown-none-elf", flags: boards::HAZARD3 },
];

/// What the step of every day looks at: the mode in both forms, the portable backend with words of both sizes, vectors, both kernels of
/// Cortex-M, both sorts of keys, and what is masked.
const DAILY: [&str; 6] = [
    "x86-64 soft64",
    "x86-64 avx2",
    "thumbv6m",
    "thumbv7em compact",
    "thumbv7em masked",
    "riscv32imc compact",
];

/// `cargo xtask prove ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["--elf", elf, rest @ ..] => prover().args([elf, "--found"]).args(rest).run(),
        ["--mutants", rest @ ..] => {
            let is_only = |pair: &[&str]| matches!(pair, ["--only", _]);
            if !rest.chunks(2).all(is_only) {
                bail!("`--mutants` takes `--only TEXT` alone");
            }
            let libraries = Libraries::link(|name| is_named(name, rest))?;
            let tests = libraries.tests()?.env("PROVE_MUTANTS", "200");
            tests.args(["--test", "mutants", "--", "--nocapture"]).run()
        }
        [first, ..] if !matches!(*first, "--json" | "--only" | "--edges" | "--accept-conditional") => {
            bail!("unexpected argument {first}")
        }
        rest => Libraries::link(|name| is_named(name, rest))?.prover().args(rest).run(),
    }
}

/// Whether a target has a name that one `--only` of the arguments asks for, if there is any.
fn is_named(name: &str, arguments: &[&str]) -> bool {
    let mut texts = arguments.windows(2).filter(|pair| pair[0] == "--only").map(|pair| pair[1]).peekable();
    texts.peek().is_none() || texts.any(|text| name.contains(text))
}

/// Libraries, each linked alone.
struct Libraries {
    files: Vec<PathBuf>,
    /// The one with the backend that no library for x86-64 has otherwise.
    soft32: Option<PathBuf>,
    /// Those with what is masked.
    masked: Vec<PathBuf>,
}

impl Libraries {
    /// Builds and links those of which some target is wanted.
    fn link(is_wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let (mut files, mut soft32, mut masked) = (Vec::new(), None, Vec::new());
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            if ["soft64", "ssse3", "avx2", "avx512"].iter().any(|name| is_wanted(&format!("x86-64 {name}"))) {
                files.push(link()?);
            }
            if is_wanted("x86-64 soft32") {
                soft32 = Some(link_soft32()?);
            }
        } else {
            println!("only Linux on x86-64 can compare instructions of x86-64");
        }
        if cfg!(target_os = "linux") {
            if is_wanted("aarch64 neon") {
                files.push(link_aarch64()?);
            }
            for board in &BOARDS {
                for keys in [Keys::Expanded, Keys::Compact] {
                    let compact = if keys == Keys::Compact { " compact" } else { "" };
                    if is_wanted(&format!("{}{compact}", board.name)) {
                        files.push(link_board(board, keys)?);
                    }
                }
                if MASKED.contains(&board.name) && is_wanted(&format!("{} masked", board.name)) {
                    masked.push(link_masked(board)?);
                }
            }
        }
        Ok(Self { files, soft32, masked })
    }

    /// The prover's tests, of them.
    fn tests(&self) -> Result<Cmd> {
        if cfg!(target_os = "linux") {
            // They look at every processor's model, whatever is linked.
            tools::linker_aarch64()?;
            tools::qemu_aarch64()?;
            tools::gcc_arm()?;
            tools::qemu_arm()?;
            tools::gcc_riscv()?;
            tools::qemu_riscv_user()?;
        }
        let cmd = cargo("test")
            .env("PROVE_ELVES", env::join_paths(&self.files)?)
            .env("PROVE_MASKED", env::join_paths(&self.masked)?);
        Ok(match &self.soft32 {
            Some(file) => cmd.env("PROVE_SOFT32", file),
            None => cmd,
        })
    }

    /// The prover, of them.
    fn prover(&self) -> Cmd {
        let prover = prover().args(&self.files).args(&self.masked);
        match &self.soft32 {
            Some(file) => prover.arg("--soft32").arg(file),
            None => prover,
        }
    }
}

/// The prover's own tests, mutants among them, and then some claims, with a selection of lengths.
pub(crate) fn test() -> Result<()> {
    let cargo = |command: &str| cargo(command).args(["--all-targets"]);
    sh::cargo().args(["fmt", "--manifest-path", MANIFEST, "--check"]).run()?;
    cargo("clippy").args(["--", "--deny", "warnings"]).run()?;
    let libraries = Libraries::link(|name| DAILY.contains(&name))?;
    libraries.tests()?.run()?;
    libraries.prover().arg("--edges").args(DAILY.iter().flat_map(|name| ["--only", name])).run()
}

/// All claims, the tests with errors of all libraries, and some claims of programs.
pub(crate) fn test_all() -> Result<()> {
    let libraries = Libraries::link(|_| true)?;
    libraries.tests()?.args(["--no-fail-fast", "--test", "errors", "--test", "mutants"]).run()?;
    let all = libraries.prover();
    if has_avx512() {
        all.run()?;
    } else {
        println!("this processor has no AVX-512: claims about avx512 are conditional");
        all.arg("--accept-conditional").run()?;
    }
    let mut programs = Vec::new();
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let library = capi::static_library(sh::cargo(), None, &paths::target())?;
        programs.push(link_program(&tools::c_compiler()?, &library, "example")?);
    }
    if cfg!(target_os = "linux") {
        programs.push(link_program(&tools::linker_aarch64()?, &library_aarch64()?, "example-aarch64")?);
        let (arm, riscv) = (tools::gcc_arm()?, tools::gcc_riscv()?);
        let cortex_m4 = ["-mcpu=cortex-m4", "-mthumb"];
        programs.push(link_firmware(&arm, "thumbv7em-none-eabi", &cortex_m4, "mps2-an386")?);
        let rv32imc = ["-march=rv32imc", "-mabi=ilp32", "--specs=picolibc.specs"];
        programs.push(link_firmware(&riscv, "riscv32imc-unknown-none-elf", &rv32imc, "virt")?);
    }
    let only = ["--only", "soft64", "--only", "neon", "--only", "thumb", "--only", "riscv"];
    prover().args(programs).args(["--found", "--edges"]).args(only).run()
}

/// Whether this processor can compare all instructions of x86-64 that the library has.
fn has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512vbmi");
    #[cfg(not(target_arch = "x86_64"))]
    true
}

const MANIFEST: &str = "prove/Cargo.toml";

fn cargo(command: &str) -> Cmd {
    sh::cargo().args([command, "--manifest-path", MANIFEST, "--target-dir"]).arg(dir())
}

fn prover() -> Cmd {
    cargo("run").args(["--quiet", "--"])
}

fn dir() -> PathBuf {
    paths::target().join("prove")
}

/// Links the static library of the C interface alone.
fn link() -> Result<PathBuf> {
    let library = capi::static_library(sh::cargo(), None, &paths::target())?;
    link_alone(&tools::c_compiler()?, &library, "x86-64.elf")
}

/// The same with the portable backend for 32-bit words, which no library for x86-64 has otherwise.
fn link_soft32() -> Result<PathBuf> {
    let cargo = sh::cargo().env("RUSTFLAGS", "--cfg twine_backend=\"soft32\"");
    let library = capi::static_library(cargo, None, &dir().join("soft32"))?;
    link_alone(&tools::c_compiler()?, &library, "soft32.elf")
}

/// The same for 64-bit Arm, with NEON.
fn link_aarch64() -> Result<PathBuf> {
    tools::qemu_aarch64()?;
    link_alone(&tools::linker_aarch64()?, &library_aarch64()?, "aarch64.elf")
}

fn library_aarch64() -> Result<PathBuf> {
    let cargo = Toolchain::for_target(aarch64::TARGET)?.cargo_with_core();
    capi::static_library(cargo, Some(aarch64::TARGET), &dir().join("aarch64"))
}

fn link_alone(compiler: &Path, library: &Path, name: &str) -> Result<PathBuf> {
    // The C library's functions are outside.
    let outside = OUTSIDE
        .iter()
        .enumerate()
        .map(|(i, name)| format!("-Wl,--defsym={name}={:#x}", 0x7000_0000 + 16 * i));
    let linker = Cmd::new(compiler).args(["-no-pie"]).args(outside);
    link_functions(linker, "", library, name)
}

/// Links a board's static library, with the functions of the C library that Rust's has.
fn link_board(board: &Board, keys: Keys) -> Result<PathBuf> {
    let linker = board.linker()?;
    let (flags, suffix) = match keys {
        Keys::Expanded => (board.flags.to_owned(), ""),
        Keys::Compact => (format!(r#"{} --cfg twine_keys="compact""#, board.flags), "_compact"),
    };
    let mut cargo = Toolchain::for_target(board.target)?.cargo()?;
    if !flags.is_empty() {
        cargo = cargo.env("RUSTFLAGS", flags);
    }
    let zbb = if board.flags.is_empty() { "" } else { "-zbb" };
    let folder = format!("boards{zbb}{}", suffix.replace('_', "-"));
    let library = capi::static_library(cargo, Some(board.target), &dir().join(&folder))?;
    link_functions(linker, suffix, &library, &format!("{}-{folder}.elf", board.target))
}

/// Links a board's static library with what is masked.
fn link_masked(board: &Board) -> Result<PathBuf> {
    let library = capi::masked_library(masking::FLAGS, Some(board.target))?;
    let name = format!("{}-masked.elf", board.target);
    link_named(board.linker()?, &MASKED_FUNCTIONS.map(str::to_owned), &library, &name)
}

/// Links all functions of a library. The names of those that set up a key end with `suffix`.
fn link_functions(linker: Cmd, suffix: &str, library: &Path, name: &str) -> Result<PathBuf> {
    let functions = FUNCTIONS.map(|function| {
        let suffix = if function.ends_with("init") { suffix } else { "" };
        format!("{function}{suffix}")
    });
    link_named(linker, &functions, library, name)
}

/// Links functions by what is in their names after the cipher.
fn link_named(linker: Cmd, functions: &[String], library: &Path, name: &str) -> Result<PathBuf> {
    let elf = dir().join(name);
    fs::create_dir_all(dir())?;
    let functions = ["twine80", "twine128"]
        .into_iter()
        .flat_map(|cipher| functions.iter().map(move |function| format!("-Wl,-u,{cipher}_{function}")));
    linker
        .args(["-nostdlib", "-static", "-Wl,--gc-sections,-e,0,-z,noexecstack"])
        .args(functions)
        .arg(library)
        .arg("-o")
        .arg(&elf)
        .run()?;
    Ok(elf)
}

/// Links the example in C as firmware of a board that QEMU has.
fn link_firmware(compiler: &Path, target: &str, machine: &[&str], memory: &str) -> Result<PathBuf> {
    let elf = dir().join(format!("firmware-{target}"));
    let cargo = Toolchain::for_target(target)?.cargo()?;
    let library = capi::static_library(cargo, Some(target), &dir().join("boards"))?;
    Cmd::new(compiler)
        .args(machine)
        .args(["-std=c99", "-Os", "-ffunction-sections", "-ffreestanding", "-nostartfiles"])
        .args(["-Icapi/include", "-Icapi/dist/examples"])
        .args(["capi/dist/examples/main.c", "capi/dist/examples/board.c"])
        .arg(library)
        .arg(format!("-Tcapi/dist/examples/memory/{memory}.ld"))
        .args(["-Tcapi/dist/examples/board.ld", "-Wl,--gc-sections,-z,noexecstack", "-o"])
        .arg(&elf)
        .run()?;
    Ok(elf)
}

/// Links the example in C, with a system's C library, for what is proved of a program that is not made for it.
fn link_program(compiler: &Path, library: &Path, name: &str) -> Result<PathBuf> {
    let elf = dir().join(name);
    Cmd::new(compiler)
        .args(["-static", "-O1", "-Icapi/include", "capi/examples/main.c"])
        .arg(library)
        .arg("-o")
        .arg(&elf)
        .run()?;
    Ok(elf)
}
