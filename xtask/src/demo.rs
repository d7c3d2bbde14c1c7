//! `cargo xtask demo`: the example `smart-city`; and `cargo xtask demo seal`: the example `seal` on a real file, and three
//! attempts to cheat it.

use crate::{
    paths,
    sh::{self, Cmd},
    smart_city,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, File, OpenOptions},
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What `seal` may need for a file of any size. It takes far less; files of this size and more would show if not.
const MEMORY_LIMIT: u64 = 64 * MIB;

/// The exit status with which `seal` refuses a file.
const REFUSED: i32 = 1;

/// `cargo xtask demo ...`.
pub(crate) fn main(arguments: &[&str]) -> Result<()> {
    let size = match arguments {
        [] => return smart_city::demo(&[]),
        ["--serve"] => return smart_city::demo(arguments),
        ["--gateways", rest @ ..] => return smart_city::cluster(&[&["demo", "--gateways"], rest].concat()),
        ["seal"] => 8 * MIB,
        ["seal", "--size", size] => {
            parse_size(size).with_context(|| format!("{size} is not a size such as 4MiB or 1GiB"))?
        }
        _ => bail!("expected `demo [--serve | --gateways N [--seconds N]]` or `demo seal [--size SIZE]`"),
    };
    run(size, true)
}

/// `seal` for `cargo xtask test`, with a size that is no multiple of anything.
pub(crate) fn small() -> Result<()> {
    run(MIB + 12_345, false)
}

fn run(size: u64, is_optimised: bool) -> Result<()> {
    ensure!(size > 0, "the file to seal must not be empty: the demo corrupts it");
    sh::cargo()
        .arg("build")
        .args(is_optimised.then_some("--release"))
        .args(["--package", "twine-otr-aead", "--example", "seal", "--target-dir"])
        .arg(paths::target())
        .run()?;
    let folder = if is_optimised { "release" } else { "debug" };
    let program =
        paths::target().join(folder).join("examples").join(format!("seal{}", env::consts::EXE_SUFFIX));
    let dir = paths::target().join("demo");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    let result = Demo { program, dir: dir.clone() }.run(size);
    fs::remove_dir_all(dir)?;
    result
}

struct Demo {
    program: PathBuf,
    /// Everything happens in here.
    dir: PathBuf,
}

impl Demo {
    fn run(&self, size: u64) -> Result<()> {
        println!("\n1. A file of {} with random-looking content, and two keys.", Size(size));
        fill(&self.dir.join("report.dat"), size)?;
        self.succeed(&["keygen", "-o", "key"])?;
        self.succeed(&["keygen", "-o", "other-key"])?;

        println!("\n2. Seal it: encrypted, and protected against any change.");
        let usage = self.succeed(&["seal", "-k", "key", "-o", "report.sealed", "report.dat"])?;
        let sealed = fs::metadata(self.dir.join("report.sealed"))?.len();
        println!(
            "   {} became {}, {} more; {}",
            Size(size),
            Size(sealed),
            Size(sealed - size),
            usage.of(size)
        );
        ensure!(sealed > size, "the sealed file has no room for a tag");

        println!("\n3. Open it again with the same key, and compare.");
        let usage = self.succeed(&["open", "-k", "key", "-o", "report.opened", "report.sealed"])?;
        ensure!(
            same(&self.dir.join("report.dat"), &self.dir.join("report.opened"))?,
            "the opened file differs"
        );
        println!("   The opened file is the original; {}", usage.of(size));
        fs::remove_file(self.dir.join("report.opened"))?;

        println!("\n4. Open it with another key: must be refused.");
        self.refused("other-key")?;

        println!("\n5. Change one bit in the middle, and open it: must be refused.");
        let sealed_file = self.dir.join("report.sealed");
        flip_bit(&sealed_file, sealed / 2)?;
        self.refused("key")?;

        println!(
            "\n6. Change the bit back, cut off the last {}, and open it: must be refused.",
            Size(sealed / 3)
        );
        flip_bit(&sealed_file, sealed / 2)?;
        OpenOptions::new().write(true).open(&sealed_file)?.set_len(sealed - sealed / 3)?;
        self.refused("key")?;

        println!("\nAll as it should be: sealed, opened, and three attempts to cheat refused.");
        Ok(())
    }

    /// Runs `seal`, which must succeed.
    fn succeed(&self, arguments: &[&str]) -> Result<Usage> {
        let (status, usage) = self.seal(arguments)?;
        ensure!(status.success(), "seal {} failed: {status}", arguments.join(" "));
        Ok(usage)
    }

    /// Runs `seal open` on the sealed file, which must be refused and leave no file behind.
    fn refused(&self, key: &str) -> Result<()> {
        let before = self.files()?;
        let (status, _) = self.seal(&["open", "-k", key, "-o", "report.opened", "report.sealed"])?;
        // Any other status is a crash or wrong usage, and would be no refusal.
        ensure!(status.code() == Some(REFUSED), "seal did not refuse: {status}");
        let after = self.files()?;
        ensure!(before == after, "seal refused but left files behind: {after:?}, before: {before:?}");
        println!("   Refused with exit status {REFUSED}; no plaintext file was left behind.");
        Ok(())
    }

    fn seal(&self, arguments: &[&str]) -> Result<(ExitStatus, Usage)> {
        let start = Instant::now();
        let mut child = Cmd::new(&self.program)
            .args(arguments)
            .dir(&self.dir)
            .spawn(Stdio::inherit(), Stdio::inherit())?;
        let mut peak_memory = None;
        let status = loop {
            peak_memory = self::peak_memory(child.id()).or(peak_memory);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let usage = Usage { time: start.elapsed(), peak_memory };
        if let Some(peak) = usage.peak_memory {
            ensure!(
                peak <= MEMORY_LIMIT,
                "seal used {} of memory, more than {}",
                Size(peak),
                Size(MEMORY_LIMIT)
            );
        }
        Ok((status, usage))
    }

    fn files(&self) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    }
}

/// What a run took.
struct Usage {
    time: Duration,
    /// Known on Linux only.
    peak_memory: Option<u64>,
}

impl Usage {
    /// In words, for a file of `size` bytes.
    fn of(&self, size: u64) -> String {
        let seconds = self.time.as_secs_f64();
        // Sizes far below 2^53 bytes.
        #[expect(clippy::cast_precision_loss)]
        let rate = size as f64 / MIB as f64 / seconds;
        let memory = self.peak_memory.map_or(String::new(), |peak| format!(", peak memory {}", Size(peak)));
        format!("{seconds:.2} s, {rate:.1} MiB/s{memory}")
    }
}

/// The most memory that the process has had resident so far.
fn peak_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * KIB)
}

/// Writes `size` bytes of a xorshift generator.
fn fill(path: &Path, size: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut left = size;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        file.write_all(&bytes[..count])?;
        left -= count as u64;
    }
    Ok(file.into_inner()?.sync_all()?)
}

/// Whether two files have the same content.
fn same(a: &Path, b: &Path) -> Result<bool> {
    let (a, b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (BufReader::new(a), BufReader::new(b));
    let (mut chunk_a, mut chunk_b) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = a.read(&mut chunk_a)?;
        if count == 0 {
            return Ok(true);
        }
        b.read_exact(&mut chunk_b[..count])?;
        if chunk_a[..count] != chunk_b[..count] {
            return Ok(false);
        }
    }
}

/// Flips one bit of the byte at `offset`.
fn flip_bit(path: &Path, offset: u64) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut byte)?;
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file.write_all(&byte)?)
}

/// A number of bytes for humans.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            GIB.. => (GIB, "GiB"),
            MIB.. => (MIB, "MiB"),
            KIB.. => (KIB, "KiB"),
            bytes => return write!(f, "{bytes} bytes"),
        };
        let tenths = u128::from(self.0) * 10 / u128::from(unit);
        write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// The size that `4MiB`, `1GiB`, `100KiB` or a number of bytes stands for.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => GIB,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::{Size, parse_size};

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!(parse_size("123"), Some(123));
        assert_eq!(parse_size("1GiB"), Some(1 << 30));
        assert_eq!(parse_size("3KiB"), Some(3072));
        for wrong in ["", "GiB", "1.5MiB", "4MB", "-1", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
        assert_eq!(Size(1023).to_string(), "1023 bytes");
        assert_eq!(Size(1536).to_string(), "1.5 KiB");
        assert_eq!(Size(u64::MAX).to_string(), "17179869183.9 GiB");
    }
}
