//! Compares what the model does with what QEMU's model of a RISC-V processor does, instruction by instruction.
//!
//! `qemu-riscv32` runs `processor.s`, which executes the instruction that it is told on registers and memory that it is told.
//!
//! As on x86-64, the model executes once on registers and memory that are inputs of the graph, whose signatures are the values of
//! 160 executions by the processor. Addresses are numbers. What the instruction branches on is a number as well, drawn anew some dozen
//! times. All registers, memory around the operand and where the instruction leads must agree.

use super::{Core, Decoded, Instruction, Machine};
use crate::{
    bits::{self, Bits},
    isa::{
        Isa as _, Next, Outcome,
        compare::{Mismatch, Reference, Trial, agree, rounds, values},
        emulator::Emulator,
        samples::{edge, operand},
    },
    memory::Rights,
};
use anyhow::{Result, ensure};
use object::Architecture;
use std::collections::BTreeMap;

const PROGRAM: &str = include_str!("processor.s");

/// Addresses in the program: where it goes on, and the places of the linker's options.
const EXIT: u32 = 0x3ea_0000;
/// Branches reach 1 MiB from the slot.
const REGION: u32 = SLOT - 0x10_1000;
/// The instruction.
const SLOT: u32 = 0x400_0000;
/// What leads there, within 1 MiB of both the program and the slot.
const HOP: u32 = SLOT - 0x8_0000;
/// Where the operand is, in the middle of a window.
const OPERAND: u32 = SLOT + 0x4_0000;
/// Where a register may lead.
const TAKEN: u32 = SLOT + 0x6_0000;
/// Where halfwords without meaning go.
const UNUSED: u32 = SLOT + 0x7_0000;

const REGISTERS: usize = 32;
const WINDOW: usize = 32;
const WORDS: usize = REGISTERS + WINDOW;
const PATCHES: usize = 16;

/// What leads back, with all registers as they are: `fmv.w.x f0, x31; lui x31, EXIT >> 12; jalr x0, 0(x31)`.
const STUB: [u32; 3] = [0xf00f_8053, EXIT | 0xfb7, 0x000f_8067];

/// Compares instructions, each encoding once.
pub type Comparison = crate::isa::compare::Comparison<Processor>;

/// A processor in another process.
#[derive(Debug)]
pub struct Processor(Emulator);

/// Halfwords of code, by their addresses: what is not among them is a trap.
#[derive(Default)]
struct Code(BTreeMap<u32, u16>);

impl Code {
    /// An instruction at the slot that leads to `next`.
    fn new(instruction: &[u8], next: u32) -> Result<Self> {
        let mut code = Self::default();
        code.word(HOP, jump(HOP, SLOT));
        for (at, bytes) in (SLOT..).step_by(2).zip(instruction.as_chunks().0) {
            code.0.insert(at, u16::from_le_bytes(*bytes));
        }
        let end = SLOT + instruction.len() as u32;
        ensure!(!(SLOT..end).contains(&next), "it leads to itself");
        if (SLOT - 10..SLOT).contains(&next) {
            // There is not place for all: `c.j` to behind the instruction, by 4 to 14 bytes.
            let by = (end - next) as u16;
            code.0.insert(next, 0xa001 | (by & 0b1110) << 2);
            code.stub(end);
        } else {
            code.stub(next);
        }
        Ok(code)
    }

    fn word(&mut self, at: u32, word: u32) {
        self.0.insert(at, word as u16);
        self.0.insert(at + 2, (word >> 16) as u16);
    }

    fn stub(&mut self, at: u32) {
        for (at, word) in (at..).step_by(4).zip(STUB) {
            self.word(at, word);
        }
    }
}

/// `jal x0`.
fn jump(from: u32, to: u32) -> u32 {
    let offset = to.wrapping_sub(from);
    0x6f | (offset & 0xf_f000)
        | (offset >> 11 & 1) << 20
        | (offset >> 1 & 0x3ff) << 21
        | (offset >> 20 & 1) << 31
}

impl Processor {
    /// The registers and windows after the code.
    fn run(&mut self, code: &Code, samples: &[[u32; WORDS]]) -> Result<Vec<[u32; WORDS]>> {
        let unused = (UNUSED..).step_by(2).map(|at| (at, 0));
        let patches = code.0.iter().map(|(&at, &halfword)| (at, halfword)).chain(unused).take(PATCHES);
        ensure!(code.0.len() <= PATCHES, "long code");
        let mut message: Vec<u32> = vec![OPERAND - 64, samples.len() as u32];
        message.extend(patches.flat_map(|(at, halfword)| [at, halfword.into()]));
        message.extend(samples.as_flattened());
        let message: Vec<u8> = message.into_iter().flat_map(u32::to_le_bytes).collect();
        let answer = self.0.ask(&message, 4 * WORDS * samples.len())?;
        let words: Vec<u32> = answer.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Ok(words.as_chunks().0.to_vec())
    }
}

/// What is a number in a round, besides addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Addresses,
    All,
}

impl Reference for Processor {
    type Isa = Core;
    const ARCHITECTURE: Architecture = Architecture::Riscv32;
    const SEED: u64 = 79;

    fn isa() -> Core {
        Core::most()
    }

    fn start() -> Result<Self> {
        let places = [
            format!("-Wl,-Ttext={EXIT:#x},--section-start=.region={REGION:#x}"),
            format!("-Wl,--defsym=hop={HOP:#x}"),
        ];
        let machine = ["-march=rv32imafdc_zifencei", "-mabi=ilp32"];
        let assembler = ("riscv64-unknown-elf-gcc", &[machine[0], machine[1], &places[0], &places[1]][..]);
        let qemu = ("qemu-riscv32", &["-cpu", "rv32,zba=on,zbb=on,zbkb=on"][..]);
        let mut processor = Self(Emulator::start(PROGRAM, assembler, qemu)?);
        // It runs once it answers.
        let answer = processor.run(&Code::new(&[0x01, 0x00], SLOT + 2)?, &[[0; WORDS]])?;
        ensure!(answer == [[0; WORDS]], "the processor does not do nothing");
        Ok(processor)
    }

    fn compare(&mut self, trial: &mut Trial<Core>, bytes: &[u8]) -> Result<Outcome, String> {
        let (i, _) = Core::most().decode(bytes, SLOT.into()).ok_or("not an instruction")?;
        let sorts = [(Known::Addresses, 2, 80), (Known::All, 64, 1)];
        rounds(&sorts, |known, _, samples| self.round(trial, &i, bytes, known, samples).map(|()| true))?;
        Ok(Outcome::Same)
    }
}

impl Processor {
    /// Executes the instruction in the model once, and on the processor `samples` times.
    fn round(
        &mut self,
        trial: &mut Trial<Core>,
        i: &Instruction,
        bytes: &[u8],
        known: Known,
        samples: usize,
    ) -> Result<(), Mismatch> {
        trial.renew();
        let m: &mut Machine = &mut trial.machine;
        let random = &mut trial.random;

        // Inputs are only what the instruction names: they take time.
        let (named, place) = (named(i), Place::of(i));
        let common = random.next();
        let mut start: Vec<Bits> = (0..REGISTERS as u32)
            .map(|register| match known {
                _ if register == 0 => bits::constant(0, 32),
                Known::All => match random.below(4) {
                    // Amounts of shift are small, and what is compared is often equal.
                    0 => bits::constant(common, 32),
                    1 => bits::constant(random.below(40) as u64, 32),
                    2 => bits::constant(0, 32),
                    _ => bits::constant(edge(random, 0), 32),
                },
                Known::Addresses if named.contains(&register) => operand(&mut m.graph, random, 32),
                Known::Addresses => bits::constant(random.next(), 32),
            })
            .collect();
        let window: Vec<Bits> = (0..WINDOW)
            .map(|word| {
                let is_operand = place.is_some() && (WINDOW / 2..WINDOW / 2 + 4).contains(&word);
                if known == Known::All || !is_operand {
                    bits::constant(random.next(), 32)
                } else {
                    operand(&mut m.graph, random, 32)
                }
            })
            .collect();
        if let Some(Place { base, offset, size }) = place {
            if base == 0 {
                return Err(Mismatch::Differs("such an address is not compared".to_owned()));
            }
            let address = match size {
                // A jump, of which the lowest bit is not looked at.
                None => TAKEN + random.below(16) as u32,
                Some(size) => OPERAND + size * random.below(4) as u32,
            };
            start[base as usize] = bits::constant(address.wrapping_add_signed(-offset).into(), 32);
        }

        let window_at = u64::from(OPERAND) - 64;
        m.memory.forget("window");
        m.memory.allow("window", window_at, 4 * WINDOW, Rights::Write);
        m.memory.set(window_at, &window.concat());
        m.state.general.clone_from_slice(&start);
        m.graph.take_used_unset();
        let next = match Core::step(m, i, &mut |_, _| None) {
            Ok(Next::Following) => u64::from(SLOT) + i.size,
            Ok(Next::To(address)) => address,
            Err(fault) => return Err(Mismatch::Model(fault.to_string())),
        };
        let after = m.memory.get(window_at, 4 * WINDOW).expect("it was set");
        let mut expected = m.state.general.to_vec();
        expected.extend(after.chunks(32).map(<[_]>::to_vec));
        start.extend(window);
        let [before, expected] =
            [start, expected].map(|words| values(&m.graph, &words, samples, |word| word as u32));
        let found = self.run(&Code::new(bytes, next as u32)?, &before)?;
        agree(&found, &expected)?;
        Ok(())
    }
}

/// The registers that the text of an instruction names.
fn named(i: &Instruction) -> Vec<u32> {
    let text = i.to_string();
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter_map(|word| word.strip_prefix('x')?.parse().ok()).collect()
}

/// An address in a register: that of an operand with its size, or where a jump leads.
#[derive(Clone, Copy)]
struct Place {
    base: u32,
    offset: i32,
    size: Option<u32>,
}

impl Place {
    fn of(i: &Instruction) -> Option<Self> {
        use Decoded as D;
        let (base, offset, size) = match i.decoded {
            D::JALR { rs1, offset, .. } => (rs1, offset, None),
            D::LB { rs1, offset, .. } | D::LBU { rs1, offset, .. } | D::SB { rs1, offset, .. } => {
                (rs1, offset, Some(1))
            }
            D::LH { rs1, offset, .. } | D::LHU { rs1, offset, .. } | D::SH { rs1, offset, .. } => {
                (rs1, offset, Some(2))
            }
            D::LW { rs1, offset, .. } | D::SW { rs1, offset, .. } => (rs1, offset, Some(4)),
            _ => return None,
        };
        Some(Self { base, offset, size })
    }
}
