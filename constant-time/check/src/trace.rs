//! Steps through a subject, and compares traces of different secrets.
//!
//! A trace is the address of every instruction between two stops of the subject, with the address, size and direction of
//! every access to memory, and the mask of every masked access. It needs no support of the instructions by anything but
//! the CPU and the decoder.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs::{self, File},
    os::unix::{fs::FileExt, process::CommandExt},
    path::Path,
    process::{Child, Command},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use iced_x86::Register;
use nix::{
    libc::user_regs_struct,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        personality::{self, Persona},
        ptrace,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use operations::{Leak, SECRETS};

use crate::{
    leaks,
    source::Source,
    x86::{Access, Decoded, LONGEST, Mask},
};

/// `int3`, at which the subject stops.
const INT3: u8 = 0xCC;

/// Checks some or all of each subject's operations, and that deliberate leaks are caught: on each CPU one subject at a time.
pub(crate) fn check(subjects: &[&Path], extent: &str) -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for cpu in cpus {
            let (next, failed) = (&next, &failed);
            scope.spawn(move || {
                while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = subject.file_name().unwrap_or_default().display();
                    match pin(cpu).and_then(|()| check_one(subject, extent)) {
                        Ok(text) => println!("{name}:\n{text}"),
                        Err(error) => {
                            println!("{name}: {error:#}");
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        0 => Ok(()),
        failed => bail!("{failed} of {} subjects failed", subjects.len()),
    }
}

/// Keeps this thread, and the processes that it starts, on one CPU: tracer and subject take turns, and waking each other on
/// the same CPU is faster.
fn pin(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

fn check_one(subject: &Path, extent: &str) -> Result<String> {
    let mut text = String::new();
    for (leak, expected) in [
        (Leak::None, None),
        (Leak::Branch, Some("another instruction")),
        (Leak::Table, Some("another address")),
        (Leak::Division, Some("division")),
        // On x86-64 its time is constant.
        (Leak::Multiplication, None),
    ] {
        let report = Tracer::run(subject, &["leak", leak.name()])?;
        writeln!(text, "{}", leaks::judge(leak, expected, report.finding.as_deref())?)?;
    }

    let start = Instant::now();
    let report = Tracer::run(subject, &["operations", extent])?;
    if let Some(finding) = report.finding {
        bail!("{finding}");
    }
    ensure!(report.operations > 0, "the subject ran no operations");
    write!(
        text,
        "{} operations with {SECRETS} secrets each: equal traces, {} instructions in {:.1} s",
        report.operations,
        report.steps,
        start.elapsed().as_secs_f64()
    )?;
    Ok(text)
}

/// What came of a run.
struct Report {
    /// The first difference or objection, if there is one.
    finding: Option<String>,
    operations: usize,
    /// Instructions in all traces.
    steps: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Instruction(u64),
    Access(Access),
    Mask(u64),
    /// A part of the offsets of a gather or scatter.
    Offsets(u64),
}

struct Tracer {
    child: Child,
    pid: Pid,
    memory: File,
    source: Source,
    /// Where the program is in memory.
    base: u64,
    decoded: HashMap<u64, Decoded>,
    xsave: Xsave,
    /// Of the secret number 0.
    reference: Vec<Event>,
    report: Report,
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Tracer {
    /// Runs the subject to its end, or to the first finding.
    fn run(subject: &Path, arguments: &[&str]) -> Result<Report> {
        let mut tracer = Self::start(subject, arguments)?;
        let mut name = String::new();
        while let Some(registers) = tracer.next_stop()? {
            let mut bytes = vec![0; usize::try_from(registers.rsi)?];
            tracer.memory.read_exact_at(&mut bytes, registers.rdi)?;
            let (operation, secret) = (String::from_utf8(bytes)?, usize::try_from(registers.rdx)?);
            if operation != name {
                ensure!(secret == 0, "{operation} starts with secret {secret}");
                tracer.report.operations += 1;
                name = operation;
            }
            if let Some(finding) = tracer.trace(secret)? {
                tracer.report.finding = Some(format!("{name}, secret {secret}: {finding}"));
                break;
            }
        }
        Ok(std::mem::replace(&mut tracer.report, Report { finding: None, operations: 0, steps: 0 }))
    }

    #[allow(unsafe_code, reason = "the child asks to be traced before it becomes the subject")]
    fn start(subject: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(subject);
        command.args(arguments);
        // SAFETY: both are single system calls, which a child may make between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // Only for equal addresses in the reports of several runs: containers may forbid it.
                let _ = personality::set(Persona::ADDR_NO_RANDOMIZE);
                Ok(ptrace::traceme()?)
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", subject.display()))?;
        let pid = Pid::from_raw(child.id().try_into()?);
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let mut tracer = Self {
            child,
            pid,
            memory,
            source: Source::new(subject)?,
            base: 0,
            decoded: HashMap::new(),
            xsave: Xsave::new(),
            reference: Vec::new(),
            report: Report { finding: None, operations: 0, steps: 0 },
        };
        ensure!(tracer.wait()?.is_some(), "the subject ended before it started");
        ptrace::setoptions(pid, ptrace::Options::PTRACE_O_EXITKILL)?;
        let subject = fs::canonicalize(subject)?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let first = maps.lines().find(|line| line.ends_with(&*subject.to_string_lossy()));
        let base =
            first.and_then(|line| line.split('-').next()).context("the subject is not in its own memory")?;
        tracer.base = u64::from_str_radix(base, 16)?;
        Ok(tracer)
    }

    /// Waits for a trap; `None` if the subject ended well.
    fn wait(&self) -> Result<Option<()>> {
        match waitpid(self.pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(Some(())),
            WaitStatus::Exited(_, 0) => Ok(None),
            other => bail!("the subject failed: {other:?}"),
        }
    }

    /// Runs to the next `int3`, and returns the registers after it; `None` if the subject ended well.
    fn next_stop(&self) -> Result<Option<user_regs_struct>> {
        ptrace::cont(self.pid, None)?;
        if self.wait()?.is_none() {
            return Ok(None);
        }
        let registers = ptrace::getregs(self.pid)?;
        let mut code = [0];
        self.memory.read_exact_at(&mut code, registers.rip - 1)?;
        ensure!(code == [INT3], "the subject stopped at {:#x}, which is not its own doing", registers.rip);
        Ok(Some(registers))
    }

    /// Steps to the next `int3`, which is left behind. Records the trace of secret 0, and compares those of others.
    /// Returns what is wrong.
    fn trace(&mut self, secret: usize) -> Result<Option<String>> {
        let is_reference = secret == 0;
        if is_reference {
            self.reference.clear();
        }
        let mut index = 0;
        let mut events = Vec::new();
        loop {
            let registers = ptrace::getregs(self.pid)?;
            let address = registers.rip;
            let decoded = match self.decoded.entry(address) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    let mut code = [0; LONGEST];
                    let len = self.memory.read_at(&mut code, address)?;
                    entry.insert(
                        Decoded::new(&code[..len], address)
                            .with_context(|| format!("the instruction at {address:#x} is unknown"))?,
                    )
                }
            };
            if decoded.is_int3() {
                break;
            }
            if let Some(objection) = decoded.objection {
                return Ok(Some(format!("{objection}: {} at {}", decoded.text(), self.describe(address))));
            }
            events.clear();
            events.push(Event::Instruction(address));
            events.extend(decoded.accesses(|register| value(&registers, register)).map(Event::Access));
            if let Some(mask) = decoded.mask {
                events.push(Event::Mask(self.xsave.mask(self.pid, mask)?));
            }
            if let Some(offsets) = decoded.offsets {
                events.extend(self.xsave.vector(self.pid, offsets)?.map(Event::Offsets));
            }
            self.report.steps += 1;
            for event in &events {
                if is_reference {
                    self.reference.push(*event);
                } else if self.reference.get(index) != Some(event) {
                    return Ok(Some(self.difference(index, *event)));
                }
                index += 1;
            }
            ptrace::step(self.pid, None)?;
            ensure!(self.wait()?.is_some(), "the subject ended while it was traced");
        }
        if !is_reference && index != self.reference.len() {
            return Ok(Some(self.difference(index, Event::Instruction(ptrace::getregs(self.pid)?.rip))));
        }
        // Behind the `int3`, without taking it.
        let mut registers = ptrace::getregs(self.pid)?;
        registers.rip += 1;
        ptrace::setregs(self.pid, registers)?;
        Ok(None)
    }

    /// Says how the trace differs from that of secret 0, whose event at `index` is not `found`.
    fn difference(&self, index: usize, found: Event) -> String {
        let expected = self.reference.get(index);
        let last = self.reference[..index].iter().rev().find_map(|event| match event {
            Event::Instruction(address) => Some(*address),
            _ => None,
        });
        let mut text = match (expected, found) {
            (Some(Event::Access(expected)), Event::Access(found)) => {
                format!("another address than for secret 0: {found:x?} instead of {expected:x?}")
            }
            (Some(Event::Mask(expected)), Event::Mask(found)) => {
                format!("another mask than for secret 0: {found:#x} instead of {expected:#x}")
            }
            (Some(Event::Offsets(_)), Event::Offsets(_)) => {
                "another address than for secret 0: another offset of a gather or scatter".to_owned()
            }
            _ => "another instruction than for secret 0".to_owned(),
        };
        if let Some(address) = last {
            let instruction = self.decoded.get(&address).map_or_else(String::new, Decoded::text);
            let _ = write!(text, ", after {instruction} at {}", self.describe(address));
        }
        text
    }

    fn describe(&self, address: u64) -> String {
        self.source.describe(address.wrapping_sub(self.base))
    }
}

/// The value of a general register, or the base of a segment.
fn value(registers: &user_regs_struct, register: Register) -> u64 {
    match register {
        Register::RAX => registers.rax,
        Register::RBX => registers.rbx,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::RBP => registers.rbp,
        Register::RSP => registers.rsp,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        Register::FS => registers.fs_base,
        Register::GS => registers.gs_base,
        other => unreachable!("{other:?} is in no address that the decoder gives"),
    }
}

/// The extended state of the subject, in the layout of `xsave`.
struct Xsave {
    buffer: Vec<u8>,
    /// Where the upper halves of the 256-bit registers start, and the mask registers.
    high_halves: usize,
    opmasks: usize,
}

impl Xsave {
    fn new() -> Self {
        let cpuid = |component| core::arch::x86_64::__cpuid_count(0xD, component);
        let size = cpuid(0).ecx as usize;
        Self { buffer: vec![0; size], high_halves: cpuid(2).ebx as usize, opmasks: cpuid(5).ebx as usize }
    }

    /// Reads the state of the subject.
    #[allow(unsafe_code, reason = "nix does not know this set of registers")]
    fn read(&mut self, pid: Pid) -> Result<()> {
        let mut buffer =
            libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: self.buffer.len() };
        // SAFETY: the kernel writes no more than the length that it is told.
        let result =
            unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid.as_raw(), NT_X86_XSTATE, &raw mut buffer) };
        nix::errno::Errno::result(result)?;
        Ok(())
    }

    /// A vector register at its full width.
    fn vector(&mut self, pid: Pid, number: usize) -> Result<[u64; 8]> {
        self.read(pid)?;
        let component = |number| core::arch::x86_64::__cpuid_count(0xD, number).ebx as usize;
        let mut bytes = [0; 64];
        if number < 16 {
            bytes[..16].copy_from_slice(&self.buffer[XMM + 16 * number..][..16]);
            bytes[16..32].copy_from_slice(&self.buffer[self.high_halves + 16 * number..][..16]);
            if component(6) != 0 {
                bytes[32..].copy_from_slice(&self.buffer[component(6) + 32 * number..][..32]);
            }
        } else {
            bytes.copy_from_slice(&self.buffer[component(7) + 64 * (number - 16)..][..64]);
        }
        Ok(std::array::from_fn(|i| bytes[8 * i..].first_chunk().map_or(0, |part| u64::from_ne_bytes(*part))))
    }

    /// A mask register, or the highest bits of all bytes of a vector of 256 bits.
    fn mask(&mut self, pid: Pid, mask: Mask) -> Result<u64> {
        self.read(pid)?;
        Ok(match mask {
            Mask::Opmask(number) => {
                let bytes =
                    self.buffer[self.opmasks + 8 * number..].first_chunk().context("no mask registers")?;
                u64::from_ne_bytes(*bytes)
            }
            Mask::Vector(number) => {
                let low = &self.buffer[XMM + 16 * number..][..16];
                let high = &self.buffer[self.high_halves + 16 * number..][..16];
                low.iter().chain(high).rev().fold(0, |mask, byte| mask << 1 | u64::from(byte >> 7))
            }
        })
    }
}

/// The register set that `xsave` writes.
const NT_X86_XSTATE: libc::c_int = 0x202;

/// Where the 128-bit registers start in it.
const XMM: usize = 160;
