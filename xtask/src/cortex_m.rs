//! What the project costs on Cortex-M and RISC-V: `cargo xtask bench cortex-m` and `cargo xtask firmware size`.

use crate::{
    boards::{self, Board},
    cycles::{self, Core},
    paths,
    qemu_trace::Plugin,
    rp2350::{self, Cores},
    tools::Toolchain,
};
use anyhow::{Context, Result, bail, ensure};
use object::{Object as _, ObjectSection as _, SectionFlags, elf};
use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

/// The images whose sizes are compared with that of the image without an AEAD, and what they have.
const SIZES: [(&str, &str); 6] = [
    ("size-twine-otr", OURS),
    ("size-twine-otr-sealer", SEALER),
    ("size-ascon", "Ascon-AEAD128"),
    ("size-chacha", "ChaCha20-Poly1305"),
    ("size-aes-gcm", "AES-128-GCM"),
    ("size-aes-ccm", "AES-128-CCM"),
];

/// The images with parts of TWINE-128-OTR, and what they have.
const PARTS: [(&str, &str); 7] = [
    ("size-twine-otr-seal-only", "seal only"),
    ("size-twine-otr-open-only", "open only"),
    ("size-twine-otr", "seal and open"),
    ("size-twine-otr-sealer-only", "`Sealer`"),
    ("size-twine-otr-opener-only", "`Opener`"),
    ("size-twine-otr-sealer", "`Sealer` and `Opener`"),
    ("size-twine-otr-stored", "`Sealer` and `Opener` with stored states"),
];

/// The AEAD of this project, as the results name it.
const OURS: &str = "TWINE-128-OTR";

/// The same with counted nonces.
const SEALER: &str = "TWINE-128-OTR, sealer";

/// The real boards, as the features are called, with the target of each and flags for the compiler.
const REAL_BOARDS: [(&str, &str, &str); 9] = [
    ("nrf52840-dk", "thumbv7em-none-eabi", ""),
    ("nucleo-f411re", "thumbv7em-none-eabi", ""),
    ("nucleo-f446re", "thumbv7em-none-eabi", ""),
    ("microbit-v1", "thumbv6m-none-eabi", ""),
    ("microbit-v2", "thumbv7em-none-eabi", ""),
    ("lpc55s69-evk", "thumbv8m.main-none-eabi", ""),
    ("rp2040", "thumbv6m-none-eabi", ""),
    ("rp2350", "thumbv8m.main-none-eabi", ""),
    ("rp2350-riscv", "riscv32imac-unknown-none-elf", boards::HAZARD3),
];

/// What TWINE-128-OTR may take at most on a board, in bytes: about what it takes now, so that it does not grow.
struct Limits {
    board: &'static str,
    /// Whether round keys are kept packed.
    is_compact: bool,
    plain: Memory,
    /// With counted nonces: a sealer and an opener.
    sealer: Memory,
}

struct Memory {
    /// Code and constants to set up a key, to seal and to open.
    flash: u64,
    /// A key.
    key: u64,
    /// The most that an operation takes; of a sealer, without its start.
    stack: u64,
}

const LIMITS: [Limits; 4] = [
    Limits {
        board: "mps2-an386",
        is_compact: false,
        plain: Memory { flash: 4330, key: 600, stack: 400 },
        sealer: Memory { flash: 6220, key: 640, stack: 480 },
    },
    Limits {
        board: "mps2-an386",
        is_compact: true,
        plain: Memory { flash: 4200, key: 170, stack: 400 },
        sealer: Memory { flash: 6030, key: 200, stack: 480 },
    },
    Limits {
        board: "microbit",
        is_compact: false,
        plain: Memory { flash: 5020, key: 600, stack: 450 },
        sealer: Memory { flash: 7010, key: 640, stack: 512 },
    },
    Limits {
        board: "virt-imc",
        is_compact: false,
        plain: Memory { flash: 7820, key: 600, stack: 400 },
        sealer: Memory { flash: 10180, key: 640, stack: 480 },
    },
];

/// Measures everything on QEMU's boards and returns the file of results.
pub(crate) fn measure(date: &str) -> Result<PathBuf> {
    let plugin = Plugin::build()?;
    let mut lines = String::new();
    for board in boards::all() {
        println!("\n-- {board}");
        let folder = Build { target: board.target, flags: board.flags, ..Build::default() }.run()?;
        let compiler = Toolchain::for_target(board.target)?.rustc_version()?;
        writeln!(
            lines,
            r#"{{"core":"{}","target":"{}","rustc":"{compiler}","date":"{date}"}}"#,
            board.core, board.target
        )?;
        operations(&mut lines, &plugin, board, &folder.join("measure"))?;
        let none = flash(&folder.join("size-none"))?;
        for (image, algorithm) in SIZES {
            let bytes = flash(&folder.join(image))? - none;
            writeln!(
                lines,
                r#"{{"algorithm":"{algorithm}","operation":"flash","bytes":{bytes},"associated_data":0}}"#
            )?;
        }
    }
    let file = target_dir().join("results.jsonl");
    fs::write(&file, lines)?;
    Ok(file)
}

/// Prints what this project's operations take; nothing is stored.
pub(crate) fn measure_ours() -> Result<()> {
    let plugin = Plugin::build()?;
    for board in boards::all() {
        println!("\n-- {board}");
        let Board { target, flags, .. } = *board;
        let folder = Build { target, flags, no_peers: true, ..Build::default() }.run()?;
        let mut lines = String::new();
        operations(&mut lines, &plugin, board, &folder.join("measure"))?;
        print!("{lines}");
    }
    Ok(())
}

/// The core whose cycles are estimated, if there is a model of it.
fn core(board: &Board) -> Option<Core> {
    match board.core {
        "Cortex-M0" => Some(Core::M0Plus),
        "Cortex-M3" => Some(Core::M3),
        "Cortex-M4" => Some(Core::M4),
        _ => None,
    }
}

/// Runs `elf` and adds its lines, with what was counted.
fn operations(lines: &mut String, plugin: &Plugin, board: &Board, elf: &Path) -> Result<()> {
    let core = core(board);
    let log = target_dir().join("trace.log");
    let (printed, regions) = plugin.run(board, elf, core.map(|_| log.as_path()))?;
    let cycles = match core {
        Some(core) => Some(cycles::estimate(core, BufReader::new(File::open(&log)?))?),
        None => None,
    };
    if core.is_some() {
        fs::remove_file(&log)?;
    }
    let mut traced = 0..regions.len();
    for line in printed {
        let Some(fields) = line.strip_suffix(r#","traced":true}"#) else {
            writeln!(lines, "{line}")?;
            continue;
        };
        let i = traced.next().context("more lines than regions")?;
        write!(lines, r#"{fields},"instructions":{}"#, regions[i].instructions)?;
        if let Some(cycles) = &cycles {
            write!(lines, r#","estimated_cycles":{}"#, cycles[i])?;
        }
        writeln!(lines, "}}")?;
    }
    ensure!(traced.is_empty(), "more regions than lines");
    Ok(())
}

/// `cargo xtask firmware size`: fails if a limit is exceeded.
pub(crate) fn size() -> Result<()> {
    let plugin = Plugin::build()?;
    let mut failed = false;
    let mut header = String::from("| TWINE-128-OTR, bytes of code |");
    let mut rows = PARTS.map(|(_, what)| format!("| {what} |"));
    for limits in &LIMITS {
        let board = boards::all().find(|board| board.name == limits.board).context("no such board")?;
        let Board { target, flags, .. } = *board;
        let is_compact = limits.is_compact;
        let folder = Build { target, flags, is_compact, no_peers: true, board: None }.run()?;
        let (printed, _) = plugin.run(board, &folder.join("measure"), None)?;
        let printed_bytes = |algorithm: &str, operation: &str| {
            let start = format!(r#"{{"algorithm":"{algorithm}","operation":"{operation}","bytes":"#);
            let line = printed.iter().find_map(|line| line.strip_prefix(&start));
            let digits = line.and_then(|rest| rest.split(',').next());
            digits
                .and_then(|digits| digits.parse().ok())
                .with_context(|| format!("no {operation} of {algorithm} was printed"))
        };
        let none = flash(&folder.join("size-none"))?;
        write!(header, " {}{} |", board.core, if is_compact { ", compact keys" } else { "" })?;
        for (row, (image, _)) in rows.iter_mut().zip(PARTS) {
            write!(row, " {} |", flash(&folder.join(image))? - none)?;
        }
        let placement = if limits.is_compact { ", compact round keys" } else { "" };
        for ((image, algorithm), most) in SIZES.into_iter().zip([&limits.plain, &limits.sealer]) {
            println!("\n{algorithm} on {}{placement}:", board.core);
            for (what, bytes, limit) in [
                ("code", flash(&folder.join(image))? - none, most.flash),
                ("key", printed_bytes(algorithm, "key")?, most.key),
                ("stack", printed_bytes(algorithm, "stack")?, most.stack),
            ] {
                let verdict = if bytes <= limit { "" } else { ": TOO MUCH" };
                println!("  {what:6} {bytes:5} of {limit} bytes{verdict}");
                failed |= bytes > limit;
            }
        }
    }
    println!("\n{header}\n|---|{}", "--:|".repeat(LIMITS.len()));
    rows.iter().for_each(|row| println!("{row}"));
    if failed {
        bail!("a limit is exceeded");
    }
    Ok(())
}

/// Builds the images for two real boards, one of each kind of core.
pub(crate) fn build_some_boards() -> Result<()> {
    build_boards(|board| matches!(board, "nrf52840-dk" | "rp2350-riscv"))
}

/// Builds the images for all real boards.
pub(crate) fn build_all_boards() -> Result<()> {
    build_boards(|_| true)
}

/// No real board is there to run the images. What can be said of them without is checked.
fn build_boards(is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    for (board, target, flags) in REAL_BOARDS.into_iter().filter(|(board, ..)| is_wanted(board)) {
        let folder = Build { target, flags, board: Some(board), no_peers: true, ..Build::default() }.run()?;
        let cores = match board {
            "rp2350" => Cores::Arm,
            "rp2350-riscv" => Cores::RiscV,
            _ => continue,
        };
        rp2350::check(&folder.join("measure"), cores).with_context(|| format!("the image for {board}"))?;
    }
    run_as_real()
}

/// Runs what RISC-V boards run: their start, their output and end by a debugger, and their counter. QEMU takes each instruction
/// for a cycle here, and the plugin counts the same.
fn run_as_real() -> Result<()> {
    // The counter also sees the call of the region.
    const DIFFERENCE: u64 = 40;
    let board = boards::all().find(|board| board.name == "virt-zbb").context("no such board")?;
    let Board { target, flags, .. } = *board;
    let folder = Build { target, flags, board: Some("virt"), no_peers: true, ..Build::default() }.run()?;
    let (printed, regions) = Plugin::build()?.run_in_time(board, &folder.join("measure"))?;
    let cycles: Vec<u64> = printed
        .iter()
        .filter_map(|line| {
            let (_, rest) = line.split_once(r#""cycles":"#)?;
            rest.split(',').next()?.parse().ok()
        })
        .collect();
    ensure!(!cycles.is_empty() && cycles.len() == regions.len(), "not as many figures as regions");
    for (cycles, region) in cycles.into_iter().zip(regions) {
        ensure!(
            cycles.abs_diff(region.instructions) <= DIFFERENCE,
            "{cycles} cycles were counted where {} instructions ran",
            region.instructions
        );
    }
    Ok(())
}

/// The bytes of an image that are in flash.
pub(crate) fn flash(elf: &Path) -> Result<u64> {
    let data = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(data.as_slice())?;
    let is_in_flash = |section: &object::Section<'_, '_>| {
        matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(elf::SHF_ALLOC) != 0)
            && section.kind() != object::SectionKind::UninitializedData
    };
    Ok(file.sections().filter(is_in_flash).map(|section| section.size()).sum())
}

fn target_dir() -> PathBuf {
    paths::target().join("cortex-m")
}

/// A build of the images.
#[derive(Default)]
struct Build {
    target: &'static str,
    /// For the compiler.
    flags: &'static str,
    /// A real board; QEMU's if there is none.
    board: Option<&'static str>,
    is_compact: bool,
    /// Without what TWINE-OTR is compared with.
    no_peers: bool,
}

impl Build {
    /// Returns the folder of the images.
    fn run(self) -> Result<PathBuf> {
        let folder = match (self.is_compact, self.flags) {
            (true, _) => "compact",
            (false, "") => "default",
            (false, _) => "flags",
        };
        let target_dir = target_dir().join(folder);
        let compact = if self.is_compact { r#" --cfg twine_keys="compact""# } else { "" };
        let flags = format!("{}{compact}", self.flags);
        Toolchain::for_target(self.target)?
            .cargo()?
            .args(["build", "--release", "--bins", "--target", self.target])
            .args(env::var_os("CI").map(|_| "--locked"))
            .args(self.no_peers.then_some("--no-default-features"))
            .args(self.board.map(|board| format!("--features={board}")))
            .arg("--manifest-path")
            .arg(paths::root().join("benches/cortex-m/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target_dir)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", flags)
            .run()?;
        Ok(target_dir.join(self.target).join("release"))
    }
}
