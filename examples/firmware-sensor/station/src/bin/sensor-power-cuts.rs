//! Runs a sensor node on QEMU's board, with its flash in a file, and kills QEMU: whenever it happens, and at changes of words that are chosen.
//! No nonce comes twice, no instruction is opened twice, and a key lasts as long as is computed.
//!
//! What comes does not depend on times: only at which point a kill hits.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::{
        fs::FileExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use sensor_node::{
    PAGES, STEP_UP,
    frame::{BLOCKS, Decoder, Frame, Instruction, Keys, Notice, REPORT, Reason, Report, counter_of, encode},
};
use sensor_station::{InstructionFrame, Witness};
use tempfile::TempDir;
use twine_otr_aead::BlockLimit;

const HELP: &str = "\
Usage: sensor-power-cuts [OPTIONS] FIRMWARE

  --qemu PROGRAM  QEMU's emulator of Arm boards (qemu-system-arm)
  --kills N       how often the power is lost in each of the two ways (60)
  --seed N        where it is lost (1)
";

/// What the board has: see `boards/qemu/src/flash.rs`.
const FLASH: usize = PAGES as usize * 4096;
const MEMORY: u64 = 16 << 20;
const CHANGES_LEFT: u64 = FLASH as u64;
const IS_LOST: u64 = CHANGES_LEFT + 8;
const NO_LOSS: u32 = u32::MAX;

/// Nothing takes so long: who says nothing hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let (mut qemu, mut kills, mut seed, mut firmware) = (PathBuf::from("qemu-system-arm"), 60, 1, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("qemu") => qemu = arguments.value()?.into(),
            lexopt::Arg::Long("kills") => kills = arguments.value()?.to_string_lossy().parse()?,
            lexopt::Arg::Long("seed") => seed = arguments.value()?.to_string_lossy().parse()?,
            lexopt::Arg::Value(value) if firmware.is_none() => firmware = Some(PathBuf::from(value)),
            _ => {
                print!("{HELP}");
                return Err(argument.unexpected().into());
            }
        }
    }
    let firmware = firmware.context("which firmware?")?;
    let chip = Chip::new(qemu, firmware)?;
    let mut random = Rng::with_seed(seed);
    killed_anywhere(&chip, &mut random, kills)?;
    cut_at_changes(&chip, &mut random, kills)?;
    a_start_each_step(&chip, &mut random)?;
    all_its_blocks(&chip, &mut random)?;
    Ok(())
}

/// QEMU is killed whenever it happens.
fn killed_anywhere(chip: &Chip, random: &mut Rng, kills: usize) -> Result<()> {
    let mut witness = provision(chip, random, BlockLimit::DEFAULT)?;
    let mut stops = 0;
    for kill in 0..kills {
        let mut board = chip.power_on(NO_LOSS)?;
        let started = board.report(&mut witness)?;
        ensure!(started.reason == Reason::Started, "it started with {started:?}");
        ensure!(started.acknowledged.is_none(), "it acknowledges what it cannot know");
        for _ in 0..random.usize(..30) {
            match random.usize(..4) {
                0 => board.send(&noise(random))?,
                // One that was opened, or lost: nothing of it may be opened twice.
                1 if !witness.frames().is_empty() => {
                    let frame = witness.frames()[random.usize(..witness.frames().len())];
                    board.send(&encode(&frame))?;
                }
                2 => board.ask(&mut witness)?,
                _ => {
                    board.reading(&mut witness)?;
                }
            }
        }
        if kill % 6 == 5 {
            board.stop(&mut witness)?;
            stops += 1;
        } else {
            // In the middle of whatever these cause.
            for _ in 0..random.usize(..300) {
                board.measure(1)?;
            }
            thread::sleep(Duration::from_micros(random.u64(..20_000)));
            board.kill(&mut witness)?;
        }
    }
    println!(
        "killed anywhere {} times, stopped {stops} times: {} reports and {} instructions, none twice",
        kills - stops,
        witness.reports(),
        witness.opened()
    );
    Ok(())
}

/// The power is lost at a change of a word that is chosen: in the middle of writing and erasing.
fn cut_at_changes(chip: &Chip, random: &mut Rng, cuts: usize) -> Result<()> {
    let mut witness = provision(chip, random, BlockLimit::MAX)?;
    let mut is_cut = 0;
    for _ in 0..cuts {
        // Most within the first writes of a start, some where pages are erased.
        let changes = if random.usize(..4) == 0 { random.usize(..8_000) } else { random.usize(..250) };
        let mut board = chip.power_on(u32::try_from(changes)?)?;
        for i in 0..800 {
            if board.next(&mut witness)?.is_none() {
                is_cut += 1;
                break;
            }
            if i % 8 == 0 {
                let frame = witness.instruct(Instruction::Off);
                board.send(&encode(&frame))?;
            }
            board.measure(i)?;
        }
        board.kill(&mut witness)?;
        let mut board = chip.power_on(NO_LOSS)?;
        board.report(&mut witness)?;
        board.kill(&mut witness)?;
    }
    ensure!(is_cut > cuts / 2, "the power was lost {is_cut} times");
    println!(
        "cut {is_cut} times at a change of a word: {} reports and {} instructions, none twice",
        witness.reports(),
        witness.opened()
    );
    Ok(())
}

/// A key bears limit / step starts without a stop.
fn a_start_each_step(chip: &Chip, random: &mut Rng) -> Result<()> {
    const STARTS: u32 = 8;
    let limit = BlockLimit::new(STARTS * STEP_UP).context("a limit")?;
    let mut witness = provision(chip, random, limit)?;
    // The first start was that with new keys.
    for start in 1..STARTS {
        let mut board = chip.power_on(NO_LOSS)?;
        board.report(&mut witness).with_context(|| format!("start {start}"))?;
        board.kill(&mut witness)?;
    }
    let mut board = chip.power_on(NO_LOSS)?;
    board.notice(&mut witness, Notice::UsedUp)?;
    board.kill(&mut witness)?;
    println!("a key of {} blocks bore {STARTS} starts of {STEP_UP} blocks, and no more", limit.get());
    Ok(())
}

/// With orderly stops, all blocks can be used.
fn all_its_blocks(chip: &Chip, random: &mut Rng) -> Result<()> {
    let limit = BlockLimit::new(3 * STEP_UP).context("a limit")?;
    let mut witness = provision(chip, random, limit)?;
    // The start with new keys was not stopped: it cost a step.
    let expected = 1 + (limit.get() - STEP_UP) / BLOCKS;
    let mut reports = 1;
    'life: loop {
        let mut board = chip.power_on(NO_LOSS)?;
        // One more is that of the instruction to stop.
        for _ in 0..49 {
            match board.next(&mut witness)?.context("the power is lost")? {
                Seen::Report(_) => reports += 1,
                Seen::Notice(notice) => {
                    ensure!(notice == Notice::UsedUp, "it says {notice:?}");
                    board.kill(&mut witness)?;
                    break 'life;
                }
            }
            board.measure(1)?;
        }
        reports += board.stop(&mut witness)?;
    }
    ensure!(reports == expected, "{reports} reports, not {expected}");
    println!("a key of {} blocks bore {reports} reports, with a stop after each 50", limit.get());
    Ok(())
}

/// Gives new keys to a chip that is erased, and starts it for the first time.
fn provision(chip: &Chip, random: &mut Rng, limit: BlockLimit) -> Result<Witness> {
    chip.erase()?;
    let mut keys = Keys { up: [0; 16], down: [0; 16], limit };
    random.fill(&mut keys.up);
    random.fill(&mut keys.down);
    let mut witness = Witness::new(keys.clone());
    let mut board = chip.power_on(NO_LOSS)?;
    board.notice(&mut witness, Notice::NoKeys)?;
    board.send(&encode(&*keys.to_frame()))?;
    let report = board.report(&mut witness)?;
    ensure!(report.reason == Reason::Started, "it starts with {report:?}");
    board.kill(&mut witness)?;
    Ok(witness)
}

/// Bytes that are no frame.
fn noise(random: &mut Rng) -> Vec<u8> {
    let len = random.usize(..200);
    let mut noise: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
    // What follows is another frame.
    noise.push(0);
    noise
}

/// A board without power.
struct Chip {
    folder: TempDir,
    qemu: PathBuf,
    firmware: PathBuf,
}

impl Chip {
    fn new(qemu: PathBuf, firmware: PathBuf) -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, qemu, firmware })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn flash(&self) -> Result<File> {
        Ok(File::options().read(true).write(true).create(true).truncate(false).open(self.path("flash"))?)
    }

    /// All of the flash.
    fn erase(&self) -> Result<()> {
        let flash = self.flash()?;
        flash.set_len(MEMORY)?;
        Ok(flash.write_all_at(&[0xFF; FLASH], 0)?)
    }

    /// With power for so many changes of a word.
    fn power_on(&self, changes: u32) -> Result<Board> {
        let flash = self.flash()?;
        flash.write_all_at(&changes.to_le_bytes(), CHANGES_LEFT)?;
        flash.write_all_at(&[0; 4], IS_LOST)?;
        let (line, thermometer) = (listen(&self.path("line"))?, listen(&self.path("thermometer"))?);
        let memory = format!(
            "memory-backend-file,id=flash,size={MEMORY},mem-path={},share=on",
            self.path("flash").display()
        );
        let port = |name: &str| format!("unix:{}", self.path(name).display());
        let child = Command::new(&self.qemu)
            .args(["-machine", "mps2-an386,memory-backend=flash", "-object", &memory])
            .args(["-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-serial", &port("line"), "-serial", &port("thermometer"), "-kernel"])
            .arg(&self.firmware)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", self.qemu.display()))?;
        let mut board = Board {
            line: accept(&line)?,
            thermometer: accept(&thermometer)?,
            child,
            flash,
            bytes: mpsc::channel().1,
            partial: Vec::new(),
            last: 1000,
        };
        board.listen()?;
        Ok(board)
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn accept(listener: &UnixListener) -> Result<UnixStream> {
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error).context("QEMU does not start"),
        }
    }
}

/// A board with power.
struct Board {
    child: Child,
    flash: File,
    line: UnixStream,
    thermometer: UnixStream,
    bytes: Receiver<Vec<u8>>,
    /// What came of a frame.
    partial: Vec<u8>,
    /// The last reading that was waited for.
    last: i16,
}

impl Board {
    /// Takes what comes in a thread, so that QEMU never waits.
    fn listen(&mut self) -> Result<()> {
        let (sender, receiver) = mpsc::channel();
        let mut line = self.line.try_clone()?;
        thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(len @ 1..) = line.read(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        self.bytes = receiver;
        Ok(())
    }

    /// Sends to the node, unless QEMU is gone.
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        ignore_if_gone(self.line.write_all(bytes))
    }

    /// The thermometer shows this.
    fn measure(&mut self, reading: i16) -> Result<()> {
        ignore_if_gone(self.thermometer.write_all(format!("{reading}\n").as_bytes()))
    }

    /// What comes next, which the witness has seen; nothing if the power is lost.
    fn next(&mut self, witness: &mut Witness) -> Result<Option<Seen>> {
        let start = Instant::now();
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(see(witness, &frame)?));
            }
            match self.bytes.recv_timeout(Duration::from_millis(2)) {
                Ok(bytes) => self.partial.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    let mut is_lost = [0; 4];
                    self.flash.read_exact_at(&mut is_lost, IS_LOST)?;
                    // What was sent before comes when the board is killed.
                    if is_lost != [0; 4] {
                        return Ok(None);
                    }
                    ensure!(start.elapsed() < PATIENCE, "nothing comes");
                }
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        // The zeros before a frame.
        let zeros = self.partial.iter().take_while(|byte| **byte == 0).count();
        self.partial.drain(..zeros);
        let end = self.partial.iter().position(|byte| *byte == 0)?;
        let mut decoder = Decoder::new();
        let frame: Vec<Option<Frame>> = self.partial.drain(..=end).map(|byte| decoder.feed(byte)).collect();
        // One that is none is seen as such.
        Some(frame.into_iter().flatten().next().unwrap_or_default())
    }

    /// The next report.
    fn report(&mut self, witness: &mut Witness) -> Result<Report> {
        match self.next(witness)? {
            Some(Seen::Report(report)) => Ok(report),
            other => bail!("not a report, but {other:?}"),
        }
    }

    /// The next frame is this notice.
    fn notice(&mut self, witness: &mut Witness, notice: Notice) -> Result<()> {
        match self.next(witness)? {
            Some(Seen::Notice(seen)) if seen == notice => Ok(()),
            other => bail!("not {notice:?}, but {other:?}"),
        }
    }

    /// The report of a reading that no other has.
    fn reading(&mut self, witness: &mut Witness) -> Result<Report> {
        self.last = self.last.wrapping_add(1);
        self.measure(self.last)?;
        loop {
            let report = self.report(witness)?;
            if report.reason == Reason::Reading && report.reading == Some(self.last) {
                return Ok(report);
            }
        }
    }

    /// Sends an instruction until it is opened, in a frame of its own each time: after a loss of power the first ones may be refused.
    fn ask(&mut self, witness: &mut Witness) -> Result<()> {
        let mut asked = Vec::new();
        for _ in 0..100 {
            let [_, a, b, c, ..] = self.instruct(witness, Instruction::On)?;
            asked.push(counter_of([a, b, c]));
            // Who refuses says nothing. The ports are two, so that readings may come before.
            for _ in 0..3 {
                if self.reading(witness)?.acknowledged.is_some_and(|counter| asked.contains(&counter)) {
                    return Ok(());
                }
            }
        }
        bail!("no instruction is opened any more")
    }

    fn instruct(&mut self, witness: &mut Witness, instruction: Instruction) -> Result<InstructionFrame> {
        let frame = witness.instruct(instruction);
        self.send(&encode(&frame))?;
        Ok(frame)
    }

    /// Lets the node stop in order, which ends QEMU, and returns how many reports came before.
    fn stop(mut self, witness: &mut Witness) -> Result<u32> {
        let before = witness.reports();
        // Until it is opened.
        for _ in 0..100 {
            self.instruct(witness, Instruction::Stop)?;
            loop {
                match self.next_within(witness, Duration::from_millis(200))? {
                    Some(Seen::Report(_)) => {}
                    Some(Seen::Notice(Notice::Stopped)) => {
                        let status = self.child.wait()?;
                        ensure!(status.success(), "it stopped with {status}");
                        return Ok(u32::try_from(witness.reports() - before)?);
                    }
                    Some(Seen::Notice(notice)) => bail!("it does not stop, but says {notice:?}"),
                    None => break,
                }
            }
        }
        bail!("it does not stop")
    }

    /// As `next`, but nothing if nothing comes for a while.
    fn next_within(&mut self, witness: &mut Witness, time: Duration) -> Result<Option<Seen>> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Ok(Some(see(witness, &frame)?));
            }
            match self.bytes.recv_timeout(time) {
                Ok(bytes) => self.partial.extend(bytes),
                Err(_) => return Ok(None),
            }
        }
    }

    /// Takes the power. What had been sent before counts.
    fn kill(mut self, witness: &mut Witness) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        while let Ok(bytes) = self.bytes.recv() {
            self.partial.extend(bytes);
        }
        while let Some(frame) = self.take_frame() {
            see(witness, &frame)?;
        }
        // Of the last frame perhaps only a part came: its nonce is used.
        if let [REPORT, a, b, c, ..] = decode_start(&self.partial)[..] {
            witness.see_nonce([a, b, c]);
        }
        Ok(())
    }
}

/// Whatever ends the test, no board goes on.
impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a frame was.
#[derive(Debug)]
enum Seen {
    Report(Report),
    Notice(Notice),
}

fn see(witness: &mut Witness, frame: &[u8]) -> Result<Seen> {
    if frame.first() != Some(&REPORT) {
        let notice = Notice::from_frame(frame).with_context(|| format!("it sends {frame:?}"))?;
        return Ok(Seen::Notice(notice));
    }
    let report = witness.receive(frame);
    if let (Reason::Answer, Some(counter)) = (report.reason, report.acknowledged) {
        witness.see_opened(counter);
    }
    Ok(Seen::Report(report))
}

/// What a frame begins with of which a part came, decoded as far as it goes.
fn decode_start(encoded: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), encoded);
    while let Some((code, tail)) = rest.split_first() {
        let len = tail.len().min(usize::from(*code).saturating_sub(1));
        decoded.extend_from_slice(&tail[..len]);
        if len < usize::from(*code) - 1 {
            break;
        }
        rest = &tail[len..];
        if *code != 0xFF && !rest.is_empty() {
            decoded.push(0);
        }
    }
    decoded
}

/// A board that is gone does not listen.
fn ignore_if_gone(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
        other => Ok(other?),
    }
}
