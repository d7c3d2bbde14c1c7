//! The C interface: its header, and its tests on the host and on boards.

use crate::{
    boards::{self, Board, CORTEX_M, RISC_V},
    dist, firmware, paths,
    sh::{self, Cmd},
    tools::{self, Toolchain},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

const PACKAGE: &str = "twine-otr-capi";
const LIBRARY: &str = "libtwine_otr_capi.a";

/// Bytes of stack that the init of a context, a sealer or an opener may take on a board.
const SETUP_STACK: u32 = 512;

/// Bytes of stack that any other call with a context may take on a board.
const MESSAGE_STACK: u32 = 832;

/// Bytes of stack that any other call with a sealer or an opener may take on a board.
const COUNTED_STACK: u32 = 1024;

/// Bytes of stack that the init of a stream may take on a board.
const STREAM_INIT_STACK: u32 = 704;

/// Bytes of stack that any other call with a stream may take on a board.
const STREAM_STACK: u32 = 1280;

/// What programs link together, and the bytes of flash that it may take on Cortex-M0.
const FLASH: [(&str, &[&str], u32); 10] = [
    ("a context, to seal", &["otr_init otr_seal otr_clear"], 6_340),
    ("a context, to open", &["otr_init otr_open otr_clear"], 6_440),
    ("a context, to seal and open", &["otr_init otr_seal otr_open otr_clear"], 6_960),
    ("a sealer without states", &["sealer_init sealer_seal sealer_clear"], 7_060),
    ("a sealer with states", &[SEALER], 10_210),
    ("a sealer with states and pieces", &[SEALER, PIECES], 14_570),
    ("an opener with states", &[OPENER], 12_340),
    ("a sealer and an opener with states", &[SEALER, OPENER], 16_100),
    (
        "a stream to seal",
        &["chunk_sealer_init chunk_sealer_seal chunk_sealer_seal_last chunk_sealer_clear"],
        8_320,
    ),
    (
        "a stream to open",
        &[
            "chunk_opener_init chunk_opener_open chunk_opener_open_last chunk_opener_check_complete",
            "chunk_opener_clear",
        ],
        8_700,
    ),
];
const SEALER: &str = "sealer_first_state sealer_restore sealer_seal sealer_count sealer_begin_reserve \
                      sealer_confirm sealer_suspend";
const OPENER: &str = "opener_first_state opener_restore opener_open opener_count opener_begin_reserve \
                      opener_confirm opener_suspend";
const PIECES: &str = "sealer_begin_pieces sealer_update_pieces sealer_finalize_pieces";

/// The tests in C, each on the host and on boards.
const TESTS: [&str; 3] = ["test", "safe", "power"];

/// Warnings of a careful C programmer, all fatal.
const WARNINGS: [&str; 7] =
    ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wcast-qual", "-Werror"];

/// All standards of C and C++ that compilers know; of each list the last one that a compiler knows is the newest.
const STANDARDS: [&str; 11] =
    ["c90", "c99", "c11", "c17", "c2x", "c++98", "c++11", "c++14", "c++17", "c++20", "c++2b"];

/// `cargo xtask capi ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["header"] => header(&[]),
        ["test"] => test_host(),
        ["firmware"] => test_boards(|_| true),
        ["firmware", name] => test_one_board(name),
        ["dist"] => dist::main(),
        _ => bail!("expected `capi header`, `capi test`, `capi firmware [BOARD]` or `capi dist`"),
    }
}

/// Makes the header, or with `--check` compares it.
fn header(arguments: &[&str]) -> Result<()> {
    sh::cargo().args(["run", "--quiet", "--package", "twine-otr-header", "--"]).args(arguments).run()
}

/// The header is current, and the library does what it says; everything is tried, also after something has failed.
pub(crate) fn test_host() -> Result<()> {
    header(&["--check"])?;
    let cc = tools::c_compiler()?;
    let cxx = tools::cxx_compiler()?;
    vectors()?;
    let library = static_library(sh::cargo(), None, &paths::target())?;

    let mut failures = Failures::default();
    let sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    for (compiler, standard) in [(&cc, "c99"), (&cc, "c11"), (&cxx, "c++98"), (&cxx, "c++17")] {
        for test in TESTS {
            failures.note(standard, host_program(compiler, standard, test, &sanitize, &library));
        }
    }
    for compilers in [[cc.clone(), cxx.clone()], [tools::clang()?, tools::clang()?]] {
        failures.note("the header alone", header_alone(compilers));
    }
    if cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        failures.note("the library under the address sanitizer", sanitized(&cc, &sanitize));
    }
    for standard in ["c90", "c++98"] {
        let compiler = if standard == "c90" { &cc } else { &cxx };
        failures.note("a program for an old compiler", old_program(compiler, standard, &library));
    }
    failures.note("the listings of the README", listings(&cc, &library));
    // As it is delivered and as speed wants it; sanitizers have stacks of their own.
    let fast = static_library(
        sh::cargo().args(["--config", "profile.capi.opt-level=3"]),
        None,
        &paths::target().join("capi-fast"),
    )?;
    for library in [&library, &fast] {
        failures.note("what is left on the stack", plain_program(&cc, "stack", library));
        if cfg!(unix) {
            failures.note("init interrupted", plain_program(&cc, "interrupted", library));
        }
    }
    failures.note("the Makefile", makefile());
    failures.note("CMake", cmake());
    failures.into_result()
}

/// The sealers and openers with masks in C, here and on boards.
pub(crate) fn test_masked<'a>(flags: &str, boards: impl Iterator<Item = &'a Board>) -> Result<()> {
    fs::create_dir_all(dir())?;
    let library = masked_library(flags, None)?;
    let sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    host_program(&tools::c_compiler()?, "c99", "masked", &sanitize, &library)?;
    host_program(&tools::cxx_compiler()?, "c++17", "masked", &sanitize, &library)?;
    for board in boards {
        println!("\n-- {board}");
        let library = masked_library(flags, Some(board.target))?;
        run_test_on(board, &tools::gcc_arm()?, &library, Keys::Expanded, "masked")?;
        if board.core == "Cortex-M4" {
            chipwhisperer(board, &library)?;
        }
    }
    Ok(())
}

/// The static library with what is masked, by these flags of the compiler.
pub(crate) fn masked_library(flags: &str, target: Option<&str>) -> Result<PathBuf> {
    let cargo = match target {
        Some(target) => Toolchain::for_target(target)?.cargo()?,
        None => sh::cargo(),
    };
    let cargo = cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", flags);
    static_library(cargo, target, &dir().join("masked"))
}

/// Builds the firmware for measurements.
fn chipwhisperer(board: &Board, library: &Path) -> Result<()> {
    let source = paths::root().join("masking/chipwhisperer");
    let program = dir().join("chipwhisperer.elf");
    Cmd::new(tools::gcc_arm()?)
        .args(machine(board))
        .args(["-std=c99", "-Os", "-ffreestanding", "-nostartfiles"])
        .args(WARNINGS)
        .arg("-I")
        .arg(capi("include"))
        .arg(source.join("main.c"))
        .arg(library)
        .arg("-T")
        .arg(source.join("stm32f4.ld"))
        .args(["-Wl,--gc-sections,-z,noexecstack", "-o"])
        .arg(&program)
        .run()?;
    println!("{}: {} bytes of flash", program.display(), flash_of(&program)?);
    Ok(())
}

/// The same test on the boards that differ most, and no panic in the linked code.
pub(crate) fn test_firmware() -> Result<()> {
    test_boards(|board| boards::most().any(|other| other.name == board.name))
}

/// The same on the other boards with a Cortex-M.
pub(crate) fn test_other_firmware() -> Result<()> {
    test_boards(|board| boards::others().any(|other| other.name == board.name))
}

fn test_one_board(name: &str) -> Result<()> {
    let mut boards = CORTEX_M.iter().chain(RISC_V.first());
    ensure!(boards.any(|board| board.name == name), "no board `{name}`");
    test_boards(|board| board.name == name)
}

fn test_boards(is_chosen: impl Fn(&Board) -> bool) -> Result<()> {
    vectors()?;
    let mut failures = Failures::default();
    for board in CORTEX_M.iter().filter(|board| is_chosen(board)) {
        println!("\n-- {board}");
        let gcc = tools::gcc_arm()?;
        let cargo = Toolchain::for_target(board.target)?.cargo()?;
        let library = static_library(cargo, Some(board.target), &paths::target().join("thumb"))?;
        failures.note(board.name, run_on(board, &gcc, &library, Keys::Expanded));
        failures.note(board.name, stack_on(board, &gcc, &library, Keys::Expanded));
        failures.note(board.name, each_alone(board, &gcc, &library));
        failures.note(board.name, flash_on(board, &gcc, &library));
        if board.name == "microbit" {
            println!("\n-- {board}, compact keys");
            failures.note("compact keys", compact(board, &gcc, &library));
        }
    }
    let [board, ..] = &RISC_V;
    if is_chosen(board) {
        println!("\n-- {board}");
        let riscv = tools::gcc_riscv()?;
        let cargo = Toolchain::for_target(board.target)?.cargo()?;
        let library = static_library(cargo, Some(board.target), &paths::target().join("thumb"))?;
        failures.note(board.name, run_on(board, &riscv, &library, Keys::Expanded));
        failures.note(board.name, stack_on(board, &riscv, &library, Keys::Expanded));
    }
    failures.into_result()
}

/// How contexts hold round keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Expanded,
    Compact,
}

/// The same test with compact keys, and that library and header must agree on them.
fn compact(board: &Board, gcc: &Path, expanded: &Path) -> Result<()> {
    let cargo = Toolchain::for_target(board.target)?
        .cargo()?
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", r#"--cfg twine_keys="compact""#);
    let library = static_library(cargo, Some(board.target), &dir().join("compact"))?;
    run_on(board, gcc, &library, Keys::Compact)?;
    stack_on(board, gcc, &library, Keys::Compact)?;
    for (library, keys) in [(expanded, Keys::Compact), (library.as_path(), Keys::Expanded)] {
        let linked = link(board, gcc, "test", library, keys)
            .spawn(Stdio::null(), Stdio::piped())?
            .wait_with_output()?;
        ensure!(
            String::from_utf8_lossy(&linked.stderr).contains("undefined reference to `twine128_otr_init"),
            "a program with the header of other contexts is linked, or fails for another reason"
        );
    }
    Ok(())
}

/// What has failed so far.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn note(&mut self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            println!("error with {what}: {error:#}");
            self.0.push(what.to_owned());
        }
    }

    fn into_result(self) -> Result<()> {
        ensure!(self.0.is_empty(), "failed: {}", self.0.join(", "));
        Ok(())
    }
}

/// Where everything that is made for the tests goes.
fn dir() -> PathBuf {
    paths::target().join("capi-tests")
}

fn capi(path: &str) -> PathBuf {
    paths::root().join("capi").join(path)
}

/// Writes the known answers as a C header.
fn vectors() -> Result<()> {
    let header = sh::cargo()
        .args(["run", "--quiet", "--package", "test-vectors", "--", "c"])
        .read()
        .context("cannot make the vectors for C")?;
    fs::create_dir_all(dir())?;
    Ok(fs::write(dir().join("vectors.h"), header + "\n")?)
}

/// Builds the static library as its README says.
pub(crate) fn static_library(cargo: Cmd, target: Option<&str>, target_dir: &Path) -> Result<PathBuf> {
    static_library_with(cargo, target, target_dir, &[])
}

/// The same with further arguments of cargo's.
pub(crate) fn static_library_with(
    cargo: Cmd,
    target: Option<&str>,
    target_dir: &Path,
    arguments: &[&str],
) -> Result<PathBuf> {
    cargo
        .args(["rustc", "--package", PACKAGE, "--profile", "capi", "--crate-type", "staticlib"])
        .args(["--features", "panic-handler"])
        .args(target.map(|target| format!("--target={target}")))
        .arg("--target-dir")
        .arg(target_dir)
        .args(arguments)
        .run()?;
    Ok(target
        .map_or_else(|| target_dir.to_owned(), |target| target_dir.join(target))
        .join("capi")
        .join(LIBRARY))
}

/// A C or C++ compiler's command on one of the tests.
fn compile(compiler: &Path, standard: &str, test: &str) -> Cmd {
    let language = if standard.starts_with("c++") { "c++" } else { "c" };
    Cmd::new(compiler)
        .args(["-x", language, &format!("-std={standard}"), "-g"])
        .args(WARNINGS)
        .arg("-I")
        .arg(capi("include"))
        .arg("-I")
        .arg(dir())
        .arg("-I")
        .arg(capi("examples"))
        // How a program starts and prints, on the host and on boards, is that of the examples of the tarball.
        .arg("-I")
        .arg(capi("dist/examples"))
        .arg(capi(&format!("tests/{test}.c")))
        .args((test == "power").then(|| capi("examples/node.c")))
}

/// The header says nothing that a compiler for C, or one for C++, warns of, by any standard.
fn header_alone([cc, cxx]: [PathBuf; 2]) -> Result<()> {
    let program = dir().join("header.c");
    fs::write(
        &program,
        "#include \"twine-otr.h\"\n#include \"twine-otr.h\"\n#include \"twine-otr-masked.h\"\ntypedef twine128_sealer sealer;\n",
    )?;
    for standard in STANDARDS {
        let (compiler, language) = if standard.starts_with("c++") { (&cxx, "c++") } else { (&cc, "c") };
        for keys in [None, Some("-DTWINE_OTR_KEYS_COMPACT")] {
            Cmd::new(compiler)
                .args(["-x", language, &format!("-std={standard}"), "-fsyntax-only"])
                .args(WARNINGS)
                .args(keys)
                .arg("-I")
                .arg(capi("include"))
                .arg(&program)
                .run()?;
        }
    }
    Ok(())
}

/// Compiles the test with all vectors, links it with `library` and runs it.
fn host_program(compiler: &Path, standard: &str, test: &str, flags: &[&str], library: &Path) -> Result<()> {
    let program = dir().join(format!("{test}-{standard}{}", env::consts::EXE_SUFFIX));
    compile(compiler, standard, test)
        .arg("-DLONG_VECTORS")
        .args(flags)
        .arg(capi("dist/examples/host.c"))
        // The library is no source.
        .args(["-x", "none"])
        .arg(library)
        .arg("-o")
        .arg(&program)
        .run()?;
    run_program(&program)
}

/// Compiles the test `name` with optimisation and without sanitizers, links it with `library` and runs it.
fn plain_program(cc: &Path, name: &str, library: &Path) -> Result<()> {
    let program = dir().join(format!("{name}{}", env::consts::EXE_SUFFIX));
    compile(cc, "c99", name)
        .arg("-O1")
        .arg(capi("dist/examples/host.c"))
        .args(["-x", "none"])
        .arg(library)
        .arg("-o")
        .arg(&program)
        .run()?;
    run_program(&program)
}

/// Builds the example as a compiler of `standard` does that warns of everything newer, and runs it.
fn old_program(compiler: &Path, standard: &str, library: &Path) -> Result<()> {
    let program = dir().join(format!("example-{standard}{}", env::consts::EXE_SUFFIX));
    let language = if standard.starts_with("c++") { "c++" } else { "c" };
    Cmd::new(compiler)
        .args(["-x", language, &format!("-std={standard}")])
        .args(WARNINGS)
        .arg("-I")
        .arg(capi("include"))
        .arg(capi("examples/main.c"))
        .args(["-x", "none"])
        .arg(library)
        .arg("-o")
        .arg(&program)
        .run()?;
    Cmd::new(program).run()
}

/// The README's first listing in C is a program. The others, and that of the front page, are files of functions, which `listings.c` calls.
fn listings(cc: &Path, library: &Path) -> Result<()> {
    let [readme, front_page] = [capi("README.md"), paths::root().join("README.md")].map(fs::read_to_string);
    let (readme, front_page) = (readme?, front_page?);
    let compile = || Cmd::new(cc).arg("-std=c99").args(WARNINGS).arg("-I").arg(capi("include"));
    let write = |name: String, text: &str| -> Result<PathBuf> {
        let source = dir().join(name);
        fs::write(&source, format!("{text}\n"))?;
        Ok(source)
    };
    let mut listings = in_c(&readme);
    let first = listings.next().context("the README has no listing in C")?;
    let functions = in_c(&front_page).next().context("the front page has no listing in C")?;
    let first = write("listing.c".to_owned(), first)?;
    let functions = write("functions.c".to_owned(), functions)?;
    let others: Vec<PathBuf> = (1..)
        .zip(listings)
        .map(|(i, listing)| write(format!("listing{i}.c"), listing))
        .collect::<Result<_>>()?;
    let program = dir().join(format!("listing{}", env::consts::EXE_SUFFIX));
    compile().arg(first).arg(library).arg("-o").arg(&program).run()?;
    ensure!(
        Cmd::new(&program).read().as_deref() == Some("21.5 C"),
        "the first listing prints something else"
    );
    compile()
        .arg(capi("tests/listings.c"))
        .args(others)
        .arg(functions)
        .arg(library)
        .arg("-o")
        .arg(&program)
        .run()?;
    Cmd::new(program).run()
}

/// The listings in C of a page.
fn in_c(page: &str) -> impl Iterator<Item = &str> {
    page.split("\n```c\n").skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0))
}

fn run_program(program: &Path) -> Result<()> {
    let output = Cmd::new(program).spawn(Stdio::piped(), Stdio::inherit())?.wait_with_output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{printed}");
    ensure!(output.status.success(), "the test failed ({})", output.status);
    ensure!(
        firmware::all_passed(printed.lines().last().unwrap_or_default()),
        "the test ended without its summary"
    );
    Ok(())
}

/// The test with a library whose own memory accesses are checked too.
fn sanitized(cc: &Path, flags: &[&str]) -> Result<()> {
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    // Rust's sanitizers are not stable; the variable makes every compiler take the flag.
    let cargo = sh::cargo().env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    let library = static_library(cargo, Some(&target), &dir().join("sanitized"))?;
    TESTS.iter().try_for_each(|test| host_program(cc, "c99", test, flags, &library))
}

/// The options of the compiler for a board's processor.
fn machine(board: &Board) -> Vec<String> {
    if is_riscv(board) {
        return vec![format!("-march={}", board.core.to_lowercase()), "-mabi=ilp32".to_owned()];
    }
    vec![format!("-mcpu={}", board.core.to_lowercase()), "-mthumb".to_owned(), "-mfloat-abi=soft".to_owned()]
}

fn is_riscv(board: &Board) -> bool {
    RISC_V.iter().any(|riscv| riscv.name == board.name)
}

/// Where the test `name` for `board` goes.
fn test_image(board: &Board, name: &str) -> PathBuf {
    dir().join(format!("{name}-{}.elf", board.name))
}

/// The command that builds the test `name` for `board`.
fn link(board: &Board, gcc: &Path, name: &str, library: &Path, keys: Keys) -> Cmd {
    let memory = if is_riscv(board) { "virt" } else { board.name };
    compile(gcc, "c99", name)
        .args(match keys {
            Keys::Expanded => None,
            Keys::Compact => Some("-DTWINE_OTR_KEYS_COMPACT"),
        })
        .args(["-DSMALL", "-Os", "-ffunction-sections", "-ffreestanding", "-nostartfiles"])
        .args(machine(board))
        .args(is_riscv(board).then_some("--specs=picolibc.specs"))
        .arg(capi("dist/examples/board.c"))
        .args(["-x", "none"])
        .arg(library)
        .arg("-T")
        .arg(capi(&format!("dist/examples/memory/{memory}.ld")))
        .arg("-T")
        .arg(capi("dist/examples/board.ld"))
        .args(["-Wl,--gc-sections,-z,noexecstack", "-o"])
        .arg(test_image(board, name))
}

/// What is left on the stack of `board`, and that no call takes more of it than it may.
fn stack_on(board: &Board, gcc: &Path, library: &Path, keys: Keys) -> Result<()> {
    link(board, gcc, "stack", library, keys)
        .args([format!("-DSETUP_LIMIT={SETUP_STACK}"), format!("-DMESSAGE_LIMIT={MESSAGE_STACK}")])
        .args([format!("-DCOUNTED_LIMIT={COUNTED_STACK}"), format!("-DSTREAM_LIMIT={STREAM_STACK}")])
        .arg(format!("-DSTREAM_INIT_LIMIT={STREAM_INIT_STACK}"))
        .run()?;
    firmware::run(board, &test_image(board, "stack")).map(drop)
}

/// Builds the tests for `board` and runs them there.
fn run_on(board: &Board, gcc: &Path, library: &Path, keys: Keys) -> Result<()> {
    TESTS.iter().try_for_each(|test| run_test_on(board, gcc, library, keys, test))
}

/// Builds a test for `board` and runs it there.
fn run_test_on(board: &Board, gcc: &Path, library: &Path, keys: Keys, test: &str) -> Result<()> {
    link(board, gcc, test, library, keys).run()?;
    let elf = test_image(board, test);
    firmware::run(board, &elf)?;
    let symbols = symbols(&elf)?;
    let unwanted = unwanted(&symbols);
    ensure!(unwanted.is_empty(), "{} contains {}", elf.display(), unwanted.join(" "));
    Ok(())
}

/// The symbols of a board's ELF file, as `nm` prints them.
fn symbols(elf: &Path) -> Result<String> {
    Cmd::new("arm-none-eabi-nm").arg(elf).read().with_context(|| format!("cannot read {}", elf.display()))
}

/// What programs link takes no more flash than it may.
fn flash_on(board: &Board, gcc: &Path, library: &Path) -> Result<()> {
    let elf = dir().join("flash.elf");
    let mut failed = false;
    for (what, functions, limit) in FLASH {
        let mut command = Cmd::new(gcc).args(machine(board)).args(["-nostdlib", "-Wl,--gc-sections,-e,0"]);
        for function in functions.iter().flat_map(|functions| functions.split_whitespace()) {
            command = command.arg(format!("-Wl,-u,twine128_{function}"));
        }
        command.arg("-o").arg(&elf).arg(library).read().with_context(|| format!("cannot link {what}"))?;
        let size = flash_of(&elf)?;
        let is_limited = board.core == "Cortex-M0";
        let verdict = if is_limited && size > limit { ": TOO MUCH" } else { "" };
        println!("{what}: {size} bytes of flash{verdict}");
        failed |= !verdict.is_empty();
    }
    ensure!(!failed, "a limit is exceeded");
    Ok(())
}

/// The bytes of flash that a board's ELF file takes.
fn flash_of(elf: &Path) -> Result<u32> {
    let sizes = Cmd::new("arm-none-eabi-size").arg(elf).read().context("no arm-none-eabi-size")?;
    let size = sizes.lines().nth(1).and_then(|line| line.split_whitespace().next());
    Ok(size.context("no size")?.parse()?)
}

/// Links each function of the header alone and looks for symbols that must not be there. The linker itself sees to it that
/// nothing is missing.
fn each_alone(board: &Board, gcc: &Path, library: &Path) -> Result<()> {
    let header = fs::read_to_string(capi("include/twine-otr.h"))?;
    let functions = functions(&header);
    ensure!(functions.len() >= 226, "the header declares only {} functions", functions.len());
    let elf = dir().join("alone.elf");
    let mut found = 0;
    for function in &functions {
        Cmd::new(gcc)
            .args(machine(board))
            .args(["-nostdlib", &format!("-Wl,--gc-sections,-e,{function},-u,{function}"), "-o"])
            .arg(&elf)
            .arg(library)
            .read()
            .with_context(|| format!("cannot link {function}"))?;
        let symbols = symbols(&elf)?;
        ensure!(
            symbols.lines().any(|line| line.ends_with(&format!(" T {function}"))),
            "{function} is not in the library"
        );
        if function.starts_with("twine128_") && !function.contains("serial") && !function.contains("combined")
        {
            println!("{function} alone: {} bytes of flash", flash_of(&elf)?);
        }
        let unwanted = unwanted(&symbols);
        if !unwanted.is_empty() {
            found += 1;
            println!("{function} links {}", unwanted.join(" "));
        }
    }
    ensure!(found == 0, "{found} of {} functions link what can panic, allocate or unwind", functions.len());
    println!("{} functions, each linked alone: nothing panics, allocates or unwinds", functions.len());
    Ok(())
}

/// The functions that a header declares.
fn functions(header: &str) -> Vec<&str> {
    let mut functions: Vec<&str> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '#', '/']))
        .filter_map(|line| line.split_once('(')?.0.split_whitespace().last())
        .filter(|name| name.starts_with("twine"))
        .collect();
    functions.dedup();
    functions
}

/// The symbols that panic, allocate or unwind.
fn unwanted(symbols: &str) -> Vec<&str> {
    let is_unwanted = |name: &str| {
        let name = name.to_lowercase();
        ["panic", "_fail", "unwrap", "expect", "alloc", "unwind", "personality"]
            .iter()
            .any(|part| name.contains(part))
    };
    symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .filter(|name| is_unwanted(name))
        .collect()
}

/// Builds the example with its Makefile and runs it.
fn makefile() -> Result<()> {
    let make = tools::make()?;
    let build = dir().join("make");
    Cmd::new(make)
        .arg("-C")
        .arg(capi("examples"))
        .arg(format!("BUILD={}", build.display()))
        .arg(format!("TARGET_DIR={}", paths::target().display()))
        .arg("run")
        .run()
}

/// Builds the example with CMake and runs it.
fn cmake() -> Result<()> {
    let cmake = tools::cmake()?;
    let build = dir().join("cmake");
    Cmd::new(&cmake)
        .arg("-S")
        .arg(capi("examples"))
        .arg("-B")
        .arg(&build)
        .arg(format!("-DTWINE_OTR_TARGET_DIR={}", paths::target().display()))
        .run()?;
    Cmd::new(cmake).arg("--build").arg(&build).run()?;
    Cmd::new(build.join("example")).run()
}

#[cfg(test)]
mod tests {
    use super::{functions, unwanted};

    #[test]
    fn functions_are_found_in_a_header() {
        let header = "/**\n * twine128_x() is\n */\n#define A(b) c\nMUST int twine80_a(const uint8_t *p);\n\
                      MUST\nint twine128_b(void *p,\n    int twine(int));\nvoid twine128_c(int *p);\n";
        assert_eq!(functions(header), ["twine80_a", "twine128_b", "twine128_c"]);
    }

    #[test]
    fn what_panics_is_found() {
        let symbols = "00000000 T twine128_init\n00000010 t _RNv4core5slice3map\n";
        assert!(unwanted(symbols).is_empty());
        for name in [
            "00000000 t _RNvNtCsgEmfK2I1SDS_4core9panicking18panic_bounds_check",
            "00000000 t _ZN4core5slice5index26slice_start_index_len_fail17h0123456789abcdefE",
            "00000000 T twine_otr_panic",
            "00000000 T malloc",
            "00000000 T _Unwind_Resume",
            "00000000 V DW.ref.rust_eh_personality",
        ] {
            assert_eq!(unwanted(&format!("{symbols}{name}\n")).len(), 1, "{name}");
        }
    }
}
