//! The debug port of a board, by the remote protocol of gdb.

use std::{
    io::{BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// How it says that the processor has stopped.
const STOPPED: char = 'T';

/// What a watchpoint is for, as the protocol numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Access {
    /// That a byte is written.
    Write = 2,
    /// That it is read.
    Read = 3,
}

/// Holds the processor; it goes on when this is dropped.
#[derive(Debug)]
pub struct Debugger {
    stream: BufReader<UnixStream>,
}

impl Debugger {
    /// Stops the processor.
    pub(crate) fn attach(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error).context("no debug port"),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut debugger = Self { stream: BufReader::new(stream) };
        // That it has stopped may come by itself, and is passed over.
        debugger.ask("qAttached")?;
        Ok(debugger)
    }

    /// Reads memory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&mut self, address: u32, len: u32) -> Result<Vec<u8>> {
        let hex = self.ask(&format!("m{address:x},{len:x}"))?;
        let bytes: Option<Vec<u8>> =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect();
        let bytes = bytes.filter(|bytes| bytes.len() == len as usize);
        bytes.with_context(|| format!("cannot read {address:#x}: {hex}"))
    }

    /// Writes memory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<()> {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = self.ask(&format!("M{address:x},{:x}:{hex}", bytes.len()))?;
        ensure!(answer == "OK", "cannot write {address:#x}: {answer}");
        Ok(())
    }

    /// Alters the lowest bit of the byte at `address`.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn flip(&mut self, address: u32) -> Result<()> {
        let bytes = self.read(address, 1)?;
        self.write(address, &[bytes[0] ^ 1])
    }

    /// Stops at the code at `address`, from now on.
    ///
    /// # Errors
    /// If that is refused.
    pub fn set_breakpoint(&mut self, address: u32) -> Result<()> {
        let answer = self.ask(&format!("Z0,{address:x},2"))?;
        ensure!(answer == "OK", "no breakpoint: {answer}");
        Ok(())
    }

    /// Does not stop there any more.
    ///
    /// # Errors
    /// If that is refused.
    pub fn remove_breakpoint(&mut self, address: u32) -> Result<()> {
        let answer = self.ask(&format!("z0,{address:x},2"))?;
        ensure!(answer == "OK", "a breakpoint stays: {answer}");
        Ok(())
    }

    /// Stops when the byte at `address` is to be read, or written, from now on.
    ///
    /// # Errors
    /// If that is refused.
    pub fn set_watchpoint(&mut self, access: Access, address: u32) -> Result<()> {
        let answer = self.ask(&format!("Z{},{address:x},1", access as u8))?;
        ensure!(answer == "OK", "no watchpoint: {answer}");
        Ok(())
    }

    /// Does not stop there any more.
    ///
    /// # Errors
    /// If that is refused.
    pub fn remove_watchpoint(&mut self, access: Access, address: u32) -> Result<()> {
        let answer = self.ask(&format!("z{},{address:x},1", access as u8))?;
        ensure!(answer == "OK", "a watchpoint stays: {answer}");
        Ok(())
    }

    /// Sets a register, r0 to r15.
    ///
    /// # Errors
    /// If that is refused.
    pub fn set_register(&mut self, number: usize, value: u32) -> Result<()> {
        // All of them: a single one is for those who ask for a description of the processor before.
        let mut registers = self.ask("g")?;
        let own = 8 * number..8 * number + 8;
        ensure!(registers.is_ascii() && registers.len() >= own.end, "no register {number}: {registers}");
        registers.replace_range(own, &format!("{:08x}", value.swap_bytes()));
        let answer = self.ask(&format!("G{registers}"))?;
        ensure!(answer == "OK", "register {number} is not set: {answer}");
        Ok(())
    }

    /// Goes on until the next breakpoint or watchpoint. Returns what a watchpoint is for, and where it is: the instruction does nothing
    /// before that is removed.
    ///
    /// # Errors
    /// If none comes.
    pub fn run(&mut self) -> Result<Option<(Access, u32)>> {
        self.go_on("c")
    }

    /// Executes one instruction.
    ///
    /// # Errors
    /// If the processor does not stop behind it.
    pub fn step(&mut self) -> Result<()> {
        self.go_on("s").map(drop)
    }

    fn go_on(&mut self, command: &str) -> Result<Option<(Access, u32)>> {
        self.send(command)?;
        let reason = self.answer()?;
        ensure!(reason.starts_with("T05"), "no breakpoint was reached: {reason}");
        let mut watched = reason.split(';').filter_map(|part| {
            let (name, address) = part.split_once(':')?;
            let access = match name {
                "watch" => Access::Write,
                "rwatch" => Access::Read,
                _ => return None,
            };
            Some((access, u32::from_str_radix(address, 16).ok()?))
        });
        Ok(watched.next())
    }

    /// Ends QEMU.
    pub(crate) fn kill(&mut self) {
        // It does not answer.
        let _ = self.send("k");
    }

    fn send(&mut self, command: &str) -> Result<()> {
        let sum = command.bytes().fold(0, u8::wrapping_add);
        let packet = format!("${command}#{sum:02x}");
        self.stream.get_mut().write_all(packet.as_bytes()).context("the debug port is closed")
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        loop {
            let answer = self.answer()?;
            if !answer.starts_with(STOPPED) {
                return Ok(answer);
            }
        }
    }

    fn answer(&mut self) -> Result<String> {
        let mut answer = String::new();
        let mut is_inside = false;
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).context("the debug port does not answer")?;
            match byte[0] {
                b'$' => {
                    answer.clear();
                    is_inside = true;
                }
                b'#' if is_inside => break,
                b'-' if !is_inside => bail!("the debug port does not take a command"),
                byte if is_inside => answer.push(byte.into()),
                _ => {}
            }
        }
        self.stream.read_exact(&mut [0; 2])?;
        self.stream.get_mut().write_all(b"+")?;
        Ok(answer)
    }
}

impl Drop for Debugger {
    fn drop(&mut self) {
        let _ = self.ask("D");
    }
}
