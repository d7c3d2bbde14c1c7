//! Compilers, emulators and tools: finds what the other commands need, or installs it.
//!
//! For each need the same order: what is there; else Debian's packages, where they can be installed; else the user's
//! own rustup; else a message that says what to install.

use crate::{
    apt, core_library, library_source, paths,
    sh::{self, Cmd},
};
use anyhow::{Context, Result, bail};
use std::{
    env,
    path::{Path, PathBuf},
};

/// Debian's build of a recent compiler and the sources of its library, from which cargo builds it for
/// targets that Debian does not package; the linker for bare metal is lld.
const DEBIAN_TOOLCHAIN: [&str; 4] = ["rustc-web", "rust-web-src", "cargo-web", "lld"];

/// Bare-metal targets for which the libraries must build.
pub(crate) const THUMB_TARGETS: [&str; 5] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabi",
];

pub(crate) const RISC_V_TARGETS: [&str; 2] = ["riscv32imc-unknown-none-elf", "riscv32imac-unknown-none-elf"];

pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What builds for another target than the host.
pub(crate) enum Toolchain {
    /// The one that runs xtask: it has the target's libraries.
    Own,
    /// Debian's, which builds them.
    Debian { target: String },
}

impl Toolchain {
    /// Finds or installs a toolchain for `target`.
    pub(crate) fn for_target(target: &str) -> Result<Self> {
        if has_target(target) {
            return Ok(Self::Own);
        }
        if apt::can_install() {
            apt::install(&DEBIAN_TOOLCHAIN)?;
        }
        if DEBIAN_TOOLCHAIN.into_iter().all(apt::is_installed) {
            return Ok(Self::Debian { target: target.to_owned() });
        }
        if paths::find_program("rustup").is_some() {
            Cmd::new("rustup").args(["target", "add", target]).run()?;
            if has_target(target) {
                return Ok(Self::Own);
            }
        }
        bail!(
            "no Rust library for {target}: run `rustup target add {target}`, \
             or on Debian, as root, `apt-get install {}`",
            DEBIAN_TOOLCHAIN.join(" ")
        )
    }

    /// Its cargo, for a target without an operating system.
    pub(crate) fn cargo(&self) -> Result<Cmd> {
        let Self::Debian { target } = self else {
            return Ok(sh::cargo());
        };
        let compiler =
            core_library::compiler(DEBIAN_RUSTC, &self.rustc_version()?, build_core(debian_cargo()), target)?;
        Ok(debian_cargo().env("RUSTC", compiler).arg("--config").arg(paths::root().join("firmware/lld.toml")))
    }

    /// Its cargo, for a target with an operating system.
    pub(crate) fn cargo_with_std(&self) -> Cmd {
        match self {
            Self::Own => sh::cargo(),
            // To build the library takes longer than all else: no more of it than needed.
            Self::Debian { .. } => debian_cargo()
                .arg("-Zbuild-std=std,panic_unwind,test")
                .args(["--config", "profile.dev.debug=false"])
                .args(["--config", r#"profile.dev.package."*".opt-level=0"#]),
        }
    }

    /// Its cargo, for a target with an operating system and packages that need no more than `core`.
    pub(crate) fn cargo_with_core(&self) -> Cmd {
        match self {
            Self::Own => sh::cargo(),
            Self::Debian { .. } => debian_cargo().arg("-Zbuild-std=core,compiler_builtins"),
        }
    }

    fn compiler(&self) -> Result<Compiler> {
        Ok(Compiler { version: self.rustc_version()?, cargo: self.cargo()? })
    }

    /// The version of its compiler, as that names it.
    pub(crate) fn rustc_version(&self) -> Result<String> {
        rustc_version(match self {
            Self::Own => own_rustc(),
            Self::Debian { .. } => Cmd::new(DEBIAN_RUSTC).env_remove("LD_LIBRARY_PATH"),
        })
    }

    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Own => "the installed toolchain",
            Self::Debian { .. } => "Debian's toolchain, building the library itself",
        }
    }
}

/// A compiler for a target without an operating system.
pub(crate) struct Compiler {
    pub(crate) version: String,
    pub(crate) cargo: Cmd,
}

/// All compilers for `target` that are here or can be fetched, at least one: where a size is to hold for more than one.
pub(crate) fn compilers(target: &str) -> Result<Vec<Compiler>> {
    let first = Toolchain::for_target(target)?;
    let second = match first {
        Toolchain::Own => {
            if apt::can_install() {
                apt::install(&DEBIAN_TOOLCHAIN)?;
            }
            let is_there = DEBIAN_TOOLCHAIN.into_iter().all(apt::is_installed);
            is_there.then(|| Toolchain::Debian { target: target.to_owned() }.compiler()).transpose()?
        }
        Toolchain::Debian { .. } => {
            let library = library_source::find()?;
            library.map(|library| own_compiler_building(&library)).transpose()?
        }
    };
    Ok([first.compiler()?].into_iter().chain(second).collect())
}

/// The compiler that runs xtask, which builds its library from the sources in the folder `library`.
fn own_compiler_building(library: &Path) -> Result<Compiler> {
    // With rustup's component `rust-src` cargo finds the sources itself; this variable is the only way to name another folder.
    let cargo = sh::cargo().env("RUSTC_BOOTSTRAP", "1").env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    Ok(Compiler { version: rustc_version(own_rustc())?, cargo: build_core(cargo) })
}

fn build_core(cargo: Cmd) -> Cmd {
    let config = |name: &str| paths::root().join("firmware").join(name);
    cargo.arg("--config").arg(config("build-std.toml")).arg("--config").arg(config("lld.toml"))
}

/// The compiler of the toolchain that runs xtask.
pub(crate) fn own_rustc() -> Cmd {
    Cmd::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn rustc_version(rustc: Cmd) -> Result<String> {
    let version = rustc.arg("--version").read().context("the compiler does not tell its version")?;
    Ok(version.split(" (").next().unwrap_or(&version).to_owned())
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

fn debian_cargo() -> Cmd {
    // RUSTC_BOOTSTRAP: -Z build-std is not stable. RUSTC: must match the library's sources. The library path is that of the
    // cargo that runs xtask.
    Cmd::new("/usr/bin/cargo")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", DEBIAN_RUSTC)
        .env_remove("LD_LIBRARY_PATH")
}

/// Whether the toolchain that runs xtask has the library of `target`.
fn has_target(target: &str) -> bool {
    own_rustc()
        .args(["--print", "sysroot"])
        .read()
        .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir())
}

/// The name of the target that is this machine.
pub(crate) fn host() -> Result<String> {
    let version = own_rustc().arg("-vV").read();
    let host = version.as_ref().and_then(|text| text.lines().find_map(|line| line.strip_prefix("host: ")));
    Ok(host.context("rustc does not say for which machine it is")?.to_owned())
}

/// The emulator of boards with Cortex-M.
pub(crate) fn qemu() -> Result<PathBuf> {
    program(
        "qemu-system-arm",
        &["qemu-system-arm"],
        "qemu-system-arm (Debian, Ubuntu), qemu-system-arm-core (Fedora) or qemu (Homebrew)",
    )
}

/// The emulator of boards with RISC-V.
pub(crate) fn qemu_riscv() -> Result<PathBuf> {
    program(
        "qemu-system-riscv32",
        &["qemu-system-misc"],
        "qemu-system-misc (Debian, Ubuntu), qemu-system-riscv-core (Fedora) or qemu (Homebrew)",
    )
}

/// A C compiler for the host.
pub(crate) fn c_compiler() -> Result<PathBuf> {
    program("cc", &["gcc", "libc6-dev"], "gcc or clang")
}

/// A C++ compiler for the host.
pub(crate) fn cxx_compiler() -> Result<PathBuf> {
    program("c++", &["g++"], "g++ or clang")
}

/// Another compiler for C and C++.
pub(crate) fn clang() -> Result<PathBuf> {
    program("clang", &["clang"], "clang")
}

/// The C compiler for bare metal, with its library.
pub(crate) fn gcc_arm() -> Result<PathBuf> {
    program(
        "arm-none-eabi-gcc",
        &["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"],
        "gcc-arm-none-eabi with libnewlib-arm-none-eabi (Debian, Ubuntu)",
    )
}

/// The C++ compiler that comes with it.
pub(crate) fn gxx_arm() -> Result<PathBuf> {
    gcc_arm()?;
    program("arm-none-eabi-g++", &[], "gcc-arm-none-eabi (Debian, Ubuntu)")
}

/// The C compiler for RISC-V without an operating system, with its library.
pub(crate) fn gcc_riscv() -> Result<PathBuf> {
    program(
        "riscv64-unknown-elf-gcc",
        &["gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf"],
        "gcc-riscv64-unknown-elf with picolibc-riscv64-unknown-elf (Debian, Ubuntu)",
    )
}

/// What tells how to compile and link with a library.
pub(crate) fn pkg_config() -> Result<PathBuf> {
    program("pkg-config", &["pkg-config"], "pkg-config")
}

/// LLVM's linker.
pub(crate) fn lld() -> Result<PathBuf> {
    program("ld.lld", &["lld"], "lld")
}

/// GNU make.
pub(crate) fn make() -> Result<PathBuf> {
    program("make", &["make"], "make")
}

/// CMake.
pub(crate) fn cmake() -> Result<PathBuf> {
    program("cmake", &["cmake"], "cmake")
}

/// The emulator of Linux processes for aarch64.
pub(crate) fn qemu_aarch64() -> Result<PathBuf> {
    program("qemu-aarch64", &["qemu-user"], "qemu-user")
}

/// The emulator of Linux processes for 32-bit Arm.
pub(crate) fn qemu_arm() -> Result<PathBuf> {
    program("qemu-arm", &["qemu-user"], "qemu-user")
}

/// The emulator of Linux processes for 32-bit RISC-V.
pub(crate) fn qemu_riscv_user() -> Result<PathBuf> {
    program("qemu-riscv32", &["qemu-user"], "qemu-user")
}

/// The linker for aarch64, which comes with its C library.
pub(crate) fn linker_aarch64() -> Result<PathBuf> {
    program(
        "aarch64-linux-gnu-gcc",
        &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        "gcc-aarch64-linux-gnu with libc6-dev-arm64-cross (Debian, Ubuntu)",
    )
}

/// The C++ compiler for aarch64.
pub(crate) fn gxx_aarch64() -> Result<PathBuf> {
    linker_aarch64()?;
    program("aarch64-linux-gnu-g++", &["g++-aarch64-linux-gnu"], "g++-aarch64-linux-gnu (Debian, Ubuntu)")
}

/// What disassembles for every target.
pub(crate) fn objdump() -> Result<PathBuf> {
    program("llvm-objdump", &["llvm"], "llvm")
}

/// What runs programs with secrets marked.
pub(crate) fn valgrind() -> Result<PathBuf> {
    // Memcheck needs the symbols of Debian's loader, which libc6-dbg has.
    program("valgrind", &["valgrind", "libc6-dbg"], "valgrind")
}

/// The linker for 32-bit x86, which comes with its C library.
pub(crate) fn linker_i686() -> Result<PathBuf> {
    program(
        "i686-linux-gnu-gcc",
        // Not gcc-multilib, which excludes compilers for other architectures.
        &["gcc-i686-linux-gnu", "libc6-dev-i386-cross"],
        "gcc-i686-linux-gnu with libc6-dev-i386-cross (Debian, Ubuntu)",
    )
}

/// The compiler of C++, for libFuzzer.
pub(crate) fn cxx() -> Result<PathBuf> {
    program("c++", &["g++"], "g++ (Debian, Ubuntu), gcc-c++ (Fedora) or the command line tools (macOS)")
}

/// What [`has_openssl`] looks for.
pub(crate) const OPENSSL: &str = "libssl-dev with pkg-config (Debian, Ubuntu)";

/// Whether something can be built against OpenSSL.
pub(crate) fn has_openssl() -> Result<bool> {
    if apt::can_install() {
        apt::install(&["libssl-dev", "pkg-config"])?;
    }
    Ok(Cmd::new("pkg-config").args(["--exists", "openssl"]).read().is_some())
}

/// The program `name`, from Debian's `packages` if it is missing; `advice` names the package for others.
pub(crate) fn program(name: &str, packages: &[&str], advice: &str) -> Result<PathBuf> {
    if let Some(path) = paths::find_program(name) {
        return Ok(path);
    }
    if apt::can_install() {
        apt::install(packages)?;
    }
    paths::find_program(name).with_context(|| format!("{name} is not in PATH: install the package {advice}"))
}

/// The cargo tool `name`, which is put below the target directory if it is not there: that takes minutes.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    if let Some(path) = find_tool(name) {
        return Ok(path);
    }
    sh::cargo()
        // Not optimised: it takes half the time, and what takes long is what such a tool starts.
        .args(["install", "--debug", name, "--locked", "--root"])
        .arg(tools())
        .env("CARGO_TARGET_DIR", tools().join("build"))
        .run()?;
    find_tool(name).with_context(|| format!("{name} is missing after its installation"))
}

/// The cargo tool `name`, if it is there.
pub(crate) fn find_tool(name: &str) -> Option<PathBuf> {
    let own = tools().join("bin").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if own.is_file() { Some(own) } else { paths::find_program(name) }
}

fn tools() -> PathBuf {
    paths::target().join("tools")
}
