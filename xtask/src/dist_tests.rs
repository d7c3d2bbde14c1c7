//! The steps `capi-dist` and `capi-dist-all`: programs that are linked with what is released, as its README says.

use crate::{
    capi::Keys,
    dist::{self, Compiler, TARGETS, Target, VERSION},
    manifests, paths,
    sh::Cmd,
    tools::{self, Toolchain},
};
use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

/// What the daily step builds besides the archives for this machine: one for each C compiler and calling convention.
const DAILY: [&str; 3] = ["thumbv6m-none-eabi", "thumbv7em-none-eabihf", "riscv32imac-unknown-none-elf"];

/// The boards of the examples, with the target of each.
const BOARDS: [(&str, &str); 5] = [
    ("microbit", "thumbv6m-none-eabi"),
    ("mps2-an385", "thumbv7m-none-eabi"),
    ("mps2-an386", "thumbv7em-none-eabihf"),
    ("mps2-an505", "thumbv8m.main-none-eabi"),
    ("virt", "riscv32imac-unknown-none-elf"),
];

/// For each target, the archives that run there: what `twine-otr-target.h` must find.
const RUNS: [(&str, &[&str]); 11] = [
    ("thumbv6m-none-eabi", &["thumbv6m_none_eabi"]),
    ("thumbv7m-none-eabi", &["thumbv6m_none_eabi", "thumbv7m_none_eabi"]),
    ("thumbv7em-none-eabi", &["thumbv6m_none_eabi", "thumbv7em_none_eabi", "thumbv7m_none_eabi"]),
    ("thumbv7em-none-eabihf", &["thumbv7em_none_eabihf"]),
    ("thumbv8m.base-none-eabi", &["thumbv6m_none_eabi", "thumbv8m_base_none_eabi"]),
    (
        "thumbv8m.main-none-eabi",
        &[
            "thumbv6m_none_eabi",
            "thumbv7em_none_eabi",
            "thumbv7m_none_eabi",
            "thumbv8m_base_none_eabi",
            "thumbv8m_main_none_eabi",
        ],
    ),
    ("thumbv8m.main-none-eabihf", &["thumbv7em_none_eabihf", "thumbv8m_main_none_eabihf"]),
    ("riscv32imc-unknown-none-elf", &["riscv32imc_unknown_none_elf"]),
    ("riscv32imac-unknown-none-elf", &["riscv32imac_unknown_none_elf", "riscv32imc_unknown_none_elf"]),
    ("x86_64-unknown-linux-gnu", &["x86_64_unknown_linux_gnu"]),
    ("aarch64-unknown-linux-gnu", &["aarch64_unknown_linux_gnu"]),
];

/// The error of the header for an archive of another processor.
const REFUSED: &str = "is not for this processor and these compiler flags";

/// The step of every day.
pub(crate) fn test() -> Result<()> {
    let host = tools::host()?;
    run(&TARGETS
        .iter()
        .filter(|target| DAILY.contains(&target.name) || target.name == host)
        .collect::<Vec<_>>())
}

/// With every archive.
pub(crate) fn test_all() -> Result<()> {
    run(&TARGETS.iter().collect::<Vec<_>>())
}

fn run(targets: &[&Target]) -> Result<()> {
    let release = Release::make(targets)?;
    reproducible(targets)?;
    release.checksums()?;
    manifests::check(&release.root)?;
    release.conditions()?;
    release.old_compilers()?;
    versions(&release.root)?;
    release.stand_ins()?;

    let mut outputs = Vec::new();
    if release.has_host() {
        outputs.extend(release.host()?);
        release.two_archives()?;
    }
    for (board, target) in BOARDS {
        if release.has(target) {
            outputs.extend(release.board(board, target)?);
        }
    }
    outputs.extend(release.clang()?);
    release.node()?;
    release.mixture()?;
    release.memcpy()?;
    if release.has("aarch64-unknown-linux-gnu") && !cfg!(target_arch = "aarch64") {
        outputs.push(release.aarch64()?);
    }
    from_sources()?;
    let readme = fs::read_to_string(release.root.join("README.md"))?;
    for output in &outputs {
        ensure!(
            readme.contains(&format!("```\n{output}```\n")),
            "the README has another output than\n{output}"
        );
    }
    println!("{} builds of the programs in C and C++ print what the README says", outputs.len());
    Ok(())
}

/// Made here and from a copy of the repository, the bytes are the same.
fn reproducible(targets: &[&Target]) -> Result<()> {
    let few: Vec<_> = targets
        .iter()
        .copied()
        .filter(|target| {
            target.name == DAILY[0] || matches!(target.compiler, Compiler::X86 | Compiler::Aarch64)
        })
        .collect();
    let elsewhere = dir().join("elsewhere");
    dist::copy_repository(&elsewhere)?;
    let there = dist::make(&elsewhere, &elsewhere.join("target"), &elsewhere.join("target"), &few)?;
    let here = dist::make(paths::root(), &dist::build_dir(), &dir(), &few)?;
    let [there, here] = [fs::read(there)?, fs::read(here)?];
    ensure!(there == here, "from another folder the release has other bytes");
    let mut unpacked = Vec::new();
    io::copy(&mut GzDecoder::new(here.as_slice()), &mut unpacked)?;
    for private in [paths::root(), &elsewhere] {
        let private = private.to_str().context("not in UTF-8")?.as_bytes();
        ensure!(
            !unpacked.windows(private.len()).any(|bytes| bytes == private),
            "the release names a folder of here"
        );
    }
    println!("the release is the same from another folder: SHA-256 {}", dist::sha256(&here));
    Ok(())
}

/// The Makefile of the repository's example finds Rust's library for a board, as the other commands here do.
fn from_sources() -> Result<()> {
    let target = DAILY[0];
    Toolchain::for_target(target)?;
    let build = dir().join("sources");
    Cmd::new(tools::make()?)
        .arg("-C")
        .arg(paths::root().join("capi/examples"))
        .args(["library", &format!("TARGET={target}"), &format!("TARGET_DIR={}", build.display())])
        .run()?;
    let archive = build.join(target).join("capi/libtwine_otr_capi.a");
    ensure!(archive.is_file(), "{} was not made", archive.display());
    Ok(())
}

fn dir() -> PathBuf {
    paths::target().join("dist-tests")
}

fn tests(name: &str) -> PathBuf {
    paths::root().join("capi/tests/dist").join(name)
}

/// What a command prints, also where errors belong: there QEMU shows what comes by semihosting.
fn output(command: Cmd) -> Result<String> {
    let (has_succeeded, text) = run_quietly(command)?;
    ensure!(has_succeeded, "this failed:\n{text}");
    Ok(text)
}

/// What a command says when it fails, as it must.
fn failure(command: Cmd) -> Result<String> {
    let (has_succeeded, text) = run_quietly(command)?;
    ensure!(!has_succeeded, "this should have failed:\n{text}");
    Ok(text)
}

fn run_quietly(command: Cmd) -> Result<(bool, String)> {
    let output = command.spawn(Stdio::piped(), Stdio::piped())?.wait_with_output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((output.status.success(), text))
}

/// What the programs in C and in C++ said, among what else was printed: the same.
fn said(printed: &str) -> Result<String> {
    let is_said =
        |line: &&str| ["sealed: ", "opened: ", "forged: "].iter().any(|start| line.starts_with(start));
    let lines: Vec<_> = printed.lines().map(str::trim_end).filter(is_said).collect();
    let [c, cpp] = [lines.get(..3), lines.get(3..)].map(Option::unwrap_or_default);
    ensure!(lines.len() == 6 && c == cpp, "the two programs did not say the same:\n{printed}");
    ensure!(c[1..] == ["opened: 21.5 C", "forged: refused"], "the program said:\n{printed}");
    Ok(c.iter().flat_map(|line| [line, "\n"]).collect())
}

/// A release, unpacked.
struct Release {
    root: PathBuf,
    targets: Vec<&'static str>,
}

impl Release {
    fn make(targets: &[&Target]) -> Result<Self> {
        let tarball = dist::make(paths::root(), &dist::build_dir(), &dir(), targets)?;
        let unpacked = dir().join("a folder");
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)?;
        }
        fs::create_dir_all(&unpacked)?;
        Cmd::new("tar").arg("-xzf").arg(tarball).arg("-C").arg(&unpacked).run()?;
        let root = unpacked.join(format!("twine-otr-{VERSION}"));
        Ok(Self { root, targets: targets.iter().map(|target| target.name).collect() })
    }

    fn has(&self, target: &str) -> bool {
        self.targets.contains(&target)
    }

    fn has_host(&self) -> bool {
        tools::host().is_ok_and(|host| self.has(&host))
    }

    fn examples(&self) -> PathBuf {
        self.root.join("examples")
    }

    /// All files are there, as the list says.
    fn checksums(&self) -> Result<()> {
        let list = fs::read_to_string(self.root.join("SHA256SUMS"))?;
        for line in list.lines() {
            let (sum, name) = line.split_once("  ").context("no checksum")?;
            ensure!(dist::sha256(&fs::read(self.root.join(name))?) == sum, "{name} has another checksum");
        }
        let files = dist::all_files(&self.root)?.len();
        ensure!(list.lines().count() + 1 == files, "{files} files, not all of them in SHA256SUMS");
        println!("{files} files, as SHA256SUMS says");
        Ok(())
    }

    /// The header knows what runs where by the macros of the compiler, and refuses what does not.
    fn conditions(&self) -> Result<()> {
        for (name, runs) in RUNS {
            let target = Target::named(name)?;
            let clang = (tools::clang()?, Some(clang_target(target.compiler)));
            for (compiler, option) in self.compiler(target)?.map(|gcc| (gcc, None)).into_iter().chain([clang])
            {
                let preprocess = |arguments: &[&str]| {
                    Cmd::new(&compiler)
                        .args(option)
                        .args(target.flags.split_whitespace())
                        .args(["-E", "-x", "c"])
                        .args(arguments)
                        .arg(self.root.join("include/twine-otr-target.h"))
                };
                let macros = preprocess(&["-dM"]).read().context("the header was not preprocessed")?;
                let mut found: Vec<_> = macros
                    .lines()
                    .filter_map(|line| line.strip_prefix("#define TWINE_OTR_RUNS_")?.strip_suffix(" 1"))
                    .collect();
                found.sort_unstable();
                ensure!(found == runs, "on {name} run {found:?}");
                let printed = preprocess(&["-P", "-DTWINE_OTR_PRINT_TARGET"]).read().unwrap_or_default();
                ensure!(printed.trim() == format!("{name:?}"), "for {name} the header chooses {printed}");
                for other in &TARGETS {
                    let archive = other.identifier();
                    let is_taken = preprocess(&[&format!("-DTWINE_OTR_ARCHIVE={archive}")]).read().is_some();
                    ensure!(is_taken == runs.contains(&archive.as_str()), "{archive} on {name}: {is_taken}");
                }
            }
            println!("{name}: {}", runs.join(", "));
        }
        Ok(())
    }

    /// Compilers of every standard have nothing to say against the check.
    fn old_compilers(&self) -> Result<()> {
        let program = dir().join("header.c");
        fs::write(
            &program,
            "#include \"twine-otr-target.h\"\nint main(void);\nint main(void) { return 0; }\n",
        )?;
        for (compiler, language, standard) in [
            (tools::gcc_arm()?, "c", "c90"),
            (tools::gcc_arm()?, "c", "c2x"),
            (tools::gxx_arm()?, "c++", "c++98"),
            (tools::gxx_arm()?, "c++", "c++20"),
        ] {
            Cmd::new(compiler)
                .args([
                    "-x",
                    language,
                    &format!("-std={standard}"),
                    "-fsyntax-only",
                    "-ffreestanding",
                    "-mthumb",
                ])
                .args([
                    "-Wall",
                    "-Wextra",
                    "-Wpedantic",
                    "-Wundef",
                    "-Werror",
                    "-Wno-long-long",
                    "-mcpu=cortex-m0",
                ])
                .arg("-DTWINE_OTR_ARCHIVE=thumbv6m_none_eabi")
                .arg("-I")
                .arg(self.root.join("include"))
                .arg(&program)
                .run()?;
        }
        Ok(())
    }

    /// The compiler for `target`, unless it would be needed for the header alone.
    fn compiler(&self, target: &Target) -> Result<Option<PathBuf>> {
        Ok(match target.compiler {
            Compiler::Arm => Some(tools::gcc_arm()?),
            Compiler::RiscV => Some(tools::gcc_riscv()?),
            Compiler::X86 if cfg!(all(target_os = "linux", target_arch = "x86_64")) => {
                Some(tools::c_compiler()?)
            }
            Compiler::Aarch64 if cfg!(all(target_os = "linux", target_arch = "aarch64")) => {
                Some(tools::c_compiler()?)
            }
            Compiler::Aarch64 if self.has(target.name) => Some(tools::linker_aarch64()?),
            Compiler::X86 | Compiler::Aarch64 => None,
        })
    }

    /// Configures the examples with CMake.
    fn cmake(&self, build: &Path, options: &[String]) -> Result<Cmd> {
        if build.exists() {
            fs::remove_dir_all(build)?;
        }
        Ok(Cmd::new(tools::cmake()?).arg("-S").arg(self.examples()).arg("-B").arg(build).args(options))
    }

    /// Builds the examples with CMake and runs them.
    fn run_cmake(&self, build: &Path, options: &[String]) -> Result<String> {
        output(self.cmake(build, options)?)?;
        said(&output(Cmd::new(tools::cmake()?).arg("--build").arg(build).args(["--target", "run"]))?)
    }

    /// A command that builds the examples with make and runs them.
    fn make_command(&self, build: &str, variables: &[&str]) -> Result<Cmd> {
        Ok(Cmd::new(tools::make()?)
            .arg("-C")
            .arg(self.examples())
            .args(["--always-make", "run"])
            .arg(format!("BUILD={build}"))
            .args(variables))
    }

    /// Compiles and links the programs with what pkg-config says, for the machine and with the other sources of `port`, and
    /// returns them.
    fn pkg_config(
        &self,
        target: &Target,
        keys: Keys,
        compilers: [&Path; 2],
        port: &[&str],
    ) -> Result<[PathBuf; 2]> {
        let flags = Cmd::new(tools::pkg_config()?)
            .env("PKG_CONFIG_PATH", self.root.join("lib").join(target.name).join("pkgconfig"))
            .args(["--cflags", "--libs", keys.library()]);
        // It writes a space in a name as a shell reads it.
        let flags = output(flags)?.trim().replace("\\ ", "\u{1}");
        let flags: Vec<_> = flags.split_whitespace().map(|flag| flag.replace('\u{1}', " ")).collect();
        let programs =
            ["main.c", "main.cpp"].map(|source| (source, dir().join(source).with_extension(keys.name())));
        for ((source, program), compiler) in programs.iter().zip(compilers) {
            let object = dir().join("port.o");
            let c = |compiler| Cmd::new(compiler).args(target.flags.split_whitespace()).dir(&self.examples());
            c(compilers[0]).args(["-Os", "-ffreestanding", "-c", port[0], "-o"]).arg(&object).run()?;
            c(compiler).arg(source).arg(object).args(&port[1..]).args(&flags).arg("-o").arg(program).run()?;
        }
        let [(_, c), (_, cpp)] = programs;
        Ok([c, cpp])
    }

    /// On this machine.
    fn host(&self) -> Result<Vec<String>> {
        let target = Target::named(&tools::host()?)?;
        let (cc, cxx) = (tools::c_compiler()?, tools::cxx_compiler()?);
        let build = dir().join("host");
        let mut outputs = vec![
            self.run_cmake(&build, &[])?,
            self.run_cmake(
                &build,
                &["-DAS_SUBDIRECTORY=ON".to_owned(), "-DTWINE_OTR_KEYS=compact".to_owned()],
            )?,
            said(&output(self.make_command("build", &[])?)?)?,
            said(&output(self.make_command("build", &["TWINE_OTR_KEYS=compact"])?)?)?,
        ];
        for keys in [Keys::Expanded, Keys::Compact] {
            let programs = self.pkg_config(target, keys, [&cc, &cxx], &["host.c"])?;
            let printed: Result<String> = programs.iter().map(|program| output(Cmd::new(program))).collect();
            outputs.push(said(&printed?)?);
        }
        if cfg!(target_arch = "x86_64") {
            // There may be no C library for 32 bits, which CMake would miss first.
            let no_program = "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY".to_owned();
            let x86 = failure(self.cmake(&build, &["-DCMAKE_C_FLAGS=-m32".to_owned(), no_program])?)?;
            ensure!(
                x86.contains("has no archive for this compiler and its flags"),
                "for 32 bits CMake said: {x86}"
            );
        }
        let other = failure(self.cmake(&build, &["-DTWINE_OTR_KEYS=other".to_owned()])?)?;
        ensure!(other.contains("is neither expanded nor compact"), "for other keys CMake said: {other}");
        Ok(outputs)
    }

    /// On a board of QEMU's.
    fn board(&self, board: &str, target: &str) -> Result<Vec<String>> {
        let target = Target::named(target)?;
        let toolchain = match target.compiler {
            Compiler::Arm => {
                tools::gxx_arm()?;
                tools::qemu()?;
                "arm-none-eabi.cmake"
            }
            _ => {
                tools::gcc_riscv()?;
                tools::qemu_riscv()?;
                "riscv64-unknown-elf.cmake"
            }
        };
        let options = [format!("-DCMAKE_TOOLCHAIN_FILE={toolchain}"), format!("-DBOARD={board}")];
        let compact =
            [&options[..], &["-DTWINE_OTR_KEYS=compact".to_owned(), "-DAS_SUBDIRECTORY=ON".to_owned()]]
                .concat();
        let build = dir().join(board);
        let mut outputs = vec![
            self.run_cmake(&build, &options)?,
            self.run_cmake(&build, &compact)?,
            said(&output(self.make_command("build-board", &[&format!("BOARD={board}")])?)?)?,
        ];
        if board == "microbit" {
            let (gcc, gxx) = (tools::gcc_arm()?, tools::gxx_arm()?);
            let port = [
                "board.c",
                "-nostdlib",
                "-Wl,-z,noexecstack",
                "-fno-exceptions",
                "-Tmemory/microbit.ld",
                "-Tboard.ld",
            ];
            let programs = self.pkg_config(target, Keys::Expanded, [&gcc, &gxx], &port)?;
            let printed: Result<String> = programs.iter().map(|program| output(microbit(program)?)).collect();
            outputs.push(said(&printed?)?);
        }
        Ok(outputs)
    }

    /// With Clang, on this machine and on boards, where it links with LLD.
    fn clang(&self) -> Result<Vec<String>> {
        tools::clang()?;
        tools::lld()?;
        let run = |board: &str, option: &str| -> Result<String> {
            let variables =
                [&format!("BOARD={board}"), &format!("CC=clang {option}"), &format!("CXX=clang++ {option}")];
            said(&output(self.make_command("build-clang", &variables.map(String::as_str))?)?)
        };
        let mut outputs = Vec::new();
        if self.has_host() {
            outputs.push(run("", "")?);
        }
        for (board, target) in BOARDS {
            if self.has(target) {
                outputs.push(run(board, clang_target(Target::named(target)?.compiler))?);
            }
        }
        Ok(outputs)
    }

    /// The node among the examples is for this header.
    fn node(&self) -> Result<()> {
        Cmd::new(tools::gcc_arm()?)
            .args(["-mthumb", "-mcpu=cortex-m0", "-ffreestanding", "-Wall", "-Wextra", "-Werror"])
            .arg("-DTWINE_OTR_ARCHIVE=thumbv6m_none_eabi")
            .arg("-I")
            .arg(self.root.join("include"))
            .arg("-c")
            .arg(self.examples().join("node.c"))
            .arg("-o")
            .arg(dir().join("node.o"))
            .run()
    }

    /// An archive for a larger core is refused in a program for a smaller one.
    fn mixture(&self) -> Result<()> {
        let variables = ["BOARD=microbit", "TWINE_OTR_TARGET=thumbv7em-none-eabihf"];
        let said = failure(self.make_command("build-mixture", &variables)?)?;
        ensure!(said.contains(REFUSED), "for another core the compiler said: {said}");
        println!("an archive for Cortex-M4 is refused in a program for Cortex-M0");
        Ok(())
    }

    /// The archive's `memcpy`, which is weak, is taken if it stands before the C library.
    fn memcpy(&self) -> Result<()> {
        let gcc = tools::gcc_arm()?;
        let object = dir().join("uses-memcpy.o");
        let source = dir().join("uses-memcpy.c");
        fs::write(
            &source,
            "void *memcpy(void *, const void *, unsigned);\nchar a[99], b[99];\n\
             void start(unsigned n) { memcpy(a, b, n); }\n",
        )?;
        let flags =
            ["-mthumb", "-mcpu=cortex-m0", "-ffreestanding", "-nostdlib", "-Wl,-estart,-z,noexecstack"];
        Cmd::new(&gcc).args(flags).arg("-c").arg(source).arg("-o").arg(&object).run()?;
        let archive = self.root.join("lib/thumbv6m-none-eabi/libtwine-otr.a").into_os_string();
        let libc = "-lc".into();
        for (libraries, kind) in [([&archive, &libc], "W"), ([&libc, &archive], "T")] {
            let program = dir().join("uses-memcpy.elf");
            Cmd::new(&gcc).args(flags).arg(&object).args(libraries).arg("-o").arg(&program).run()?;
            let symbols = Cmd::new("arm-none-eabi-nm").arg(program).read().context("no symbols")?;
            ensure!(
                symbols.contains(&format!(" {kind} memcpy")),
                "memcpy is from the other library:\n{symbols}"
            );
        }
        if self.has_host() {
            let archive = self.root.join("lib").join(tools::host()?).join("libtwine-otr.a");
            let symbols = Cmd::new("nm").arg(archive).read().context("no symbols")?;
            let is_there = symbols.lines().any(|line| line.ends_with(" memcpy") && !line.contains(" U "));
            ensure!(
                !is_there && symbols.contains(" T twine128_otr_init"),
                "the archive for Linux has a memcpy"
            );
        }
        println!("memcpy is that of the library that stands first; on Linux the C library's");
        Ok(())
    }

    /// A program with another archive that Rust has made.
    fn two_archives(&self) -> Result<()> {
        let other = dir().join("libother.a");
        Cmd::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition=2024", "--crate-type=staticlib", "-Copt-level=1", "-o"])
            .arg(&other)
            .arg(tests("other.rs"))
            .run()?;
        tools::lld()?;
        let program = dir().join("two");
        let link = |linker: &[&str], whole: &str| -> Result<Cmd> {
            Ok(Cmd::new(tools::c_compiler()?)
                .arg(tests("two.c"))
                .arg("-I")
                .arg(self.root.join("include"))
                .args(linker)
                .args(Some(whole).filter(|whole| !whole.is_empty()))
                .arg(self.root.join("lib").join(tools::host()?).join("libtwine-otr.a"))
                .arg(&other)
                .arg("-Wl,--no-whole-archive")
                .args(["-lpthread", "-ldl", "-lm", "-lgcc_s", "-o"])
                .arg(&program))
        };
        for linker in [&[][..], &["-fuse-ld=lld"]] {
            link(linker, "")?.run()?;
            Cmd::new(&program).run()?;
            let said = failure(link(linker, "-Wl,--whole-archive")?)?;
            ensure!(
                said.contains("multiple definition") || said.contains("duplicate symbol"),
                "with whole archives the linker said: {said}"
            );
        }
        println!("two archives of Rust's link with GNU ld and LLD, and not with --whole-archive");
        Ok(())
    }

    /// Linux on 64-bit Arm, emulated.
    fn aarch64(&self) -> Result<String> {
        tools::gxx_aarch64()?;
        let variables = [
            "CC=aarch64-linux-gnu-gcc",
            "CXX=aarch64-linux-gnu-g++",
            "LDFLAGS=-static",
            &format!("RUN={}", tools::qemu_aarch64()?.display()),
        ];
        said(&output(self.make_command("build-aarch64", &variables)?)?)
    }

    /// What the module for Zephyr and the component for ESP-IDF choose, with stand-ins for their functions.
    fn stand_ins(&self) -> Result<()> {
        const ZEPHYR: [(&str, &[&str]); 9] = [
            ("thumbv6m-none-eabi", &["CPU_CORTEX_M", "ARMV6_M_ARMV8_M_BASELINE"]),
            ("thumbv7m-none-eabi", &["CPU_CORTEX_M", "CPU_CORTEX_M3", "ARMV7_M_ARMV8_M_MAINLINE"]),
            ("thumbv7em-none-eabi", &["CPU_CORTEX_M", "ARMV7_M_ARMV8_M_MAINLINE"]),
            ("thumbv7em-none-eabihf", &["CPU_CORTEX_M", "ARMV7_M_ARMV8_M_MAINLINE", "FP_HARDABI"]),
            ("thumbv8m.base-none-eabi", &["CPU_CORTEX_M", "ARMV6_M_ARMV8_M_BASELINE", "ARMV8_M_BASELINE"]),
            ("thumbv8m.main-none-eabi", &["CPU_CORTEX_M", "ARMV7_M_ARMV8_M_MAINLINE", "ARMV8_M_MAINLINE"]),
            (
                "thumbv8m.main-none-eabihf",
                &["CPU_CORTEX_M", "ARMV7_M_ARMV8_M_MAINLINE", "ARMV8_M_MAINLINE", "FP_HARDABI"],
            ),
            ("riscv32imc-unknown-none-elf", &["RISCV", "RISCV_ISA_EXT_M", "RISCV_ISA_EXT_C"]),
            (
                "riscv32imac-unknown-none-elf",
                &["RISCV", "RISCV_ISA_EXT_M", "RISCV_ISA_EXT_C", "RISCV_ISA_EXT_A"],
            ),
        ];
        let zephyr = |options: &[&str]| -> Result<Cmd> {
            Ok(Cmd::new(tools::cmake()?)
                .arg(format!("-DMODULE={}", self.root.join("zephyr").display()))
                .args(options.iter().map(|option| format!("-DCONFIG_{option}=y")))
                .arg("-DCONFIG_TWINE_OTR=y")
                .arg("-P")
                .arg(tests("zephyr.cmake")))
        };
        for (target, options) in ZEPHYR.into_iter().filter(|(target, _)| self.has(target)) {
            for keys in [Keys::Expanded, Keys::Compact] {
                let options =
                    [options, &["TWINE_OTR_KEYS_COMPACT"][..usize::from(keys == Keys::Compact)]].concat();
                let printed = output(zephyr(&options)?)?;
                let archive = format!("lib/{target}/lib{}.a\n", keys.library());
                let defined = format!("defined TWINE_OTR_ARCHIVE={}\n", Target::named(target)?.identifier());
                ensure!(printed.contains(&archive) && printed.contains(&defined), "for Zephyr: {printed}");
                ensure!(
                    printed.contains("defined TWINE_OTR_KEYS_COMPACT") == (keys == Keys::Compact),
                    "for Zephyr: {printed}"
                );
            }
        }
        let none = failure(zephyr(&["RISCV", "64BIT", "RISCV_ISA_EXT_M", "RISCV_ISA_EXT_C"])?)?;
        ensure!(none.contains("TWINE-OTR has no archive for this processor"), "for Zephyr: {none}");

        for name in ["riscv32imc-unknown-none-elf", "riscv32imac-unknown-none-elf"] {
            let target = Target::named(name)?;
            for keys in [Keys::Expanded, Keys::Compact] {
                if !self.has(name) {
                    continue;
                }
                tools::gcc_riscv()?;
                let build = dir().join("esp-idf");
                if build.exists() {
                    fs::remove_dir_all(&build)?;
                }
                let configure = Cmd::new(tools::cmake()?)
                    .arg("-S")
                    .arg(tests("esp-idf"))
                    .arg("-B")
                    .arg(build)
                    .arg(format!("-DCOMPONENT={}", self.root.display()))
                    .arg(format!(
                        "-DCMAKE_TOOLCHAIN_FILE={}",
                        self.examples().join("riscv64-unknown-elf.cmake").display()
                    ))
                    .arg(format!("-DCMAKE_C_FLAGS={}", target.flags))
                    .args((keys == Keys::Compact).then_some("-DCONFIG_TWINE_OTR_KEYS_COMPACT=y"));
                let printed = output(configure)?;
                ensure!(
                    printed.contains(&format!("lib/{name}/lib{}.a\n", keys.library())),
                    "for ESP-IDF: {printed}"
                );
            }
        }
        println!("the archives for Zephyr and ESP-IDF are chosen, by stand-ins for their functions");
        Ok(())
    }
}

/// The option by which Clang compiles for a machine, as each Clang compiles for all.
fn clang_target(compiler: Compiler) -> &'static str {
    match compiler {
        Compiler::Arm => "--target=arm-none-eabi",
        Compiler::RiscV => "--target=riscv32",
        Compiler::X86 => "--target=x86_64-linux-gnu",
        Compiler::Aarch64 => "--target=aarch64-linux-gnu",
    }
}

/// Which versions CMake takes this one for.
fn versions(root: &Path) -> Result<()> {
    let text = fs::read_to_string(root.join("lib/cmake/twine-otr/twine-otr-config-version.cmake"))?;
    let script = dir().join("version.cmake");
    for (ours, theirs, is_taken) in [
        ("0.1.2", "0.1", true),
        ("0.1.2", "0.1.2", true),
        ("0.1.2", "0.1.3", false),
        ("0.2.0", "0.1", false),
        ("0.10.0", "0.1", false),
        ("0.2.0", "0", false),
        ("1.2.0", "1", true),
        ("1.2.0", "1.1.5", true),
        ("1.2.0", "0.9", false),
        ("10.0.0", "1", false),
    ] {
        let wanted = if is_taken { "TRUE" } else { "FALSE" };
        let test = format!(
            "set(PACKAGE_FIND_VERSION {theirs})\n{}if(NOT PACKAGE_VERSION_COMPATIBLE STREQUAL \"{wanted}\")\n\
             message(FATAL_ERROR \"{ours} for {theirs}\")\nendif()\n",
            text.replace(&format!("\"{VERSION}\""), &format!("\"{ours}\""))
        );
        fs::write(&script, test)?;
        output(Cmd::new(tools::cmake()?).arg("-P").arg(&script))?;
    }
    Ok(())
}

/// QEMU, about to run a program on the smallest board.
fn microbit(program: &Path) -> Result<Cmd> {
    Ok(Cmd::new(tools::qemu()?)
        .args(["-M", "microbit", "-nographic", "-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_must_say_the_same() {
        let one = "sealed: 00 11\nopened: 21.5 C\nforged: refused\n";
        assert_eq!(said(&format!("make: x\n{one}{one}")).unwrap(), one);
        for wrong in ["", one, &one.repeat(3), &format!("{one}{}", one.replace("00", "01"))] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
        assert!(said(&one.replace("refused", "opened").repeat(2)).is_err());
    }

    #[test]
    fn there_is_a_condition_for_each_target() {
        assert!(RUNS.iter().zip(&TARGETS).all(|((name, _), target)| *name == target.name));
        for (name, runs) in RUNS {
            assert!(runs.contains(&Target::named(name).unwrap().identifier().as_str()), "{name}");
        }
    }
}
