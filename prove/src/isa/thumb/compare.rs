//! Compares what the model does with what QEMU's model of an Arm processor does, instruction by instruction.
//!
//! `qemu-arm` runs `processor.s`, which executes the instructions that it is told on registers and memory that it is told. QEMU has Cortex-M
//! in emulated boards alone, so that the processor is one of the profile A: the instructions that both have do the same.
//!
//! As on x86-64, the model executes once on registers and memory that are inputs of the graph, whose signatures are the values of
//! 160 executions by the processor. Addresses are numbers. What the instruction branches on is a number as well, drawn anew some dozen times.
//! All registers but the program counter, the flags, memory around the operand and where the instruction leads must agree.

use super::{Core, Instruction, Machine, PC, SP, number, target};
use crate::{
    bits::{self, Bits},
    graph::Lit,
    isa::{
        Flags, Isa as _, Next, Outcome,
        compare::{Mismatch, Reference, Trial, agree, rounds, values},
        emulator::Emulator,
        samples::{edge, operand},
    },
    memory::Rights,
};
use anyhow::{Context as _, Result, ensure};
use object::Architecture;
use std::ops::Range;
use yaxpeax_arm::armv7::{Opcode, Operand, Reg, RegShift, RegShiftStyle};

const PROGRAM: &str = include_str!("processor.s");

/// Addresses in the program: where it goes on, and the places of the linker's options.
const EXIT: u32 = 0x1_0c00;
const TEXT: u32 = 0x1_0000;
const REGION: u32 = 0x2f8_0000;
/// The middle of the region: branches reach no further than 16 MiB.
const SLOT: u32 = 0x400_0000;
/// What a short branch reaches from there: the second one if a branch leads to the first.
const NEAR: [u32; 2] = [SLOT - 0x700, SLOT - 0x600];
/// Where the operand is, in the middle of a window.
const OPERAND: u32 = 0x300_0000;
/// Where a word without meaning goes.
const UNUSED: u32 = 0x301_0000;

const REGISTERS: usize = 16;
const FLAGS: usize = 15;
const WINDOW: usize = 32;
const WORDS: usize = REGISTERS + WINDOW;

/// `ldr.w pc, [pc, #4]`, which loads what is 8 bytes after an address that is a multiple of four, else 6 bytes.
const LOAD_PC: [u8; 4] = [0xdf, 0xf8, 0x04, 0xf0];
/// `udf`.
const TRAP: u16 = 0xdeff;

/// Compares instructions, each encoding once.
pub type Comparison = crate::isa::compare::Comparison<Processor>;

/// A processor in another process.
#[derive(Debug)]
pub struct Processor(Emulator);

/// What is executed, and where.
struct Request {
    at: u32,
    /// With what comes after it.
    code: Vec<u8>,
    /// Where it is taken back.
    stub_at: u32,
    /// A short instruction elsewhere.
    other: (u32, u16),
    window_at: u32,
}

/// A short branch.
fn branch(from: u32, to: u32) -> Option<u16> {
    let offset = to.wrapping_sub(from.wrapping_add(4)) as i32;
    (-2048..2048).contains(&offset).then_some(0xe000 | (offset >> 1) as u16 & 0x7ff)
}

impl Request {
    /// Code that leads to `next`, and not to `elsewhere`.
    fn new(code: &[u8], at: u32, next: u32, elsewhere: Option<u32>, window_at: u32) -> Result<Self> {
        let end = at + code.len() as u32;
        let is_in = |address: u32, start: u32, size: u32| address.wrapping_sub(start) < size;
        let apart = |near: &&u32| {
            ![Some(next), elsewhere].iter().flatten().any(|&to| is_in(to, **near - 2, 14))
                && !is_in(**near, window_at - 12, 12 + 4 * WINDOW as u32)
        };
        let near = *NEAR.iter().find(apart).context("no place is left")?;
        ensure!(next == end || !is_in(next, at - 1, end - at + 1), "it leads to itself");
        let (follows, is_near) = (next == end, branch(next, near));
        let after = if follows { branch(end, near).context("too far")? } else { TRAP };
        let other = match (elsewhere, is_near) {
            (Some(elsewhere), _) if follows && elsewhere != end => (elsewhere, TRAP),
            (_, Some(branch)) if !follows => (next, branch),
            _ => (UNUSED, TRAP),
        };
        let stub_at = if follows || is_near.is_some() { near } else { next };
        let code = [code, &after.to_le_bytes()].concat();
        ensure!(code.len() <= 32, "long code");
        Ok(Self { at, code, stub_at, other, window_at })
    }
}

impl Processor {
    /// The registers, flags and windows after the code.
    fn run(&mut self, request: &Request, samples: &[[u32; WORDS]]) -> Result<Vec<[u32; WORDS]>> {
        let Request { at, code, stub_at, other, window_at } = request;
        let mut code = code.clone();
        code.resize(32, 0);
        let mut stub = LOAD_PC.to_vec();
        stub.resize(if stub_at % 4 == 0 { 8 } else { 6 }, 0);
        stub.extend(EXIT.to_le_bytes());
        stub.resize(12, 0);

        let mut message = Vec::new();
        let mut word = |word: u32| message.extend(word.to_le_bytes());
        word(at | 1);
        word(*window_at);
        word(samples.len() as u32);
        word(*at);
        message.extend(code);
        message.extend(stub_at.to_le_bytes());
        message.extend(stub);
        message.extend(other.0.to_le_bytes());
        message.extend(u32::from(other.1).to_le_bytes());
        message.extend(samples.as_flattened().iter().flat_map(|word| word.to_le_bytes()));
        let answer = self.0.ask(&message, 4 * WORDS * samples.len())?;
        let words: Vec<u32> =
            answer.as_chunks().0.iter().map(|bytes: &[u8; 4]| u32::from_le_bytes(*bytes)).collect();
        Ok(words.as_chunks().0.to_vec())
    }
}

/// What is a number in a round, besides addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Addresses,
    Flags,
    All,
}

impl Reference for Processor {
    type Isa = Core;
    const ARCHITECTURE: Architecture = Architecture::Arm;
    const SEED: u64 = 78;

    fn isa() -> Core {
        Core::V8mMain
    }

    fn start() -> Result<Self> {
        let places = [format!("-Wl,-Ttext={TEXT:#x}"), format!("-Wl,--section-start=.region={REGION:#x}")];
        let assembler = ("arm-none-eabi-gcc", &["-march=armv7-a", &places[0], &places[1]][..]);
        let mut processor = Self(Emulator::start(PROGRAM, assembler, ("qemu-arm", &["-cpu", "max"]))?);
        // It runs once it answers.
        let nop = Request::new(&[0, 0xbf], SLOT, SLOT + 2, None, OPERAND)?;
        let answer = processor.run(&nop, &[[0; WORDS]])?;
        ensure!(answer[0][..FLAGS] == [0; FLAGS], "the processor does not do nothing");
        Ok(processor)
    }

    fn compare(&mut self, trial: &mut Trial<Core>, bytes: &[u8]) -> Result<Outcome, String> {
        let mut code = bytes.to_vec();
        let (first, size) = Core::V8mMain.decode(bytes, SLOT.into()).ok_or("not an instruction")?;
        if first.decoded.opcode == Opcode::IT && size == bytes.len() {
            // What it says of the four instructions that follow: `adds` of one to r0 to r3, of which no flags come in a block.
            for register in 0..4u16 {
                code.extend((0x3001 | register << 8).to_le_bytes());
            }
        }
        let sorts = [(Known::Addresses, 2, 80), (Known::Flags, 16, 10), (Known::All, 64, 1)];
        rounds(&sorts, |known, round, samples| {
            // Relative addresses are of multiples of four.
            let at = SLOT + 2 * (round % 2) as u32;
            self.round(trial, &code, at, known, samples)
        })?;
        Ok(Outcome::Same)
    }
}

impl Processor {
    /// Executes the code in the model once, and on the processor `samples` times; not where its operand would be in the code.
    fn round(
        &mut self,
        trial: &mut Trial<Core>,
        code: &[u8],
        at: u32,
        known: Known,
        samples: usize,
    ) -> Result<bool, Mismatch> {
        trial.renew();
        let m: &mut Machine = &mut trial.machine;
        let random = &mut trial.random;
        let mut instructions = Vec::new();
        let mut end = at;
        while let Some(rest) = code.get((end - at) as usize..).filter(|rest| !rest.is_empty()) {
            let (i, size) = Core::V8mMain
                .decode(rest, end.into())
                .ok_or(Mismatch::Differs("no instruction".to_owned()))?;
            instructions.push(i);
            end += size as u32;
        }
        // Of a block it is the last one that matters.
        let i = *instructions.last().expect("there is one");

        // Inputs are only what the instruction names: they take time.
        let used = used(&i);
        let place = Place::of(&i);
        let mut start: Vec<Bits> = (0..REGISTERS)
            .map(|register| match known {
                Known::All => match random.below(4) {
                    // Amounts of shift are small, and what is compared with zero is zero.
                    0 => bits::constant(0, 32),
                    1 => bits::constant(random.below(40) as u64, 32),
                    _ => bits::constant(edge(random, 0), 32),
                },
                _ if register == FLAGS => Vec::new(),
                _ if used >> register & 1 == 0 => bits::constant(random.next(), 32),
                _ => operand(&mut m.graph, random, 32),
            })
            .collect();
        let flags: [Lit; 4] = std::array::from_fn(|_| match known {
            Known::Addresses => m.graph.input(),
            _ => Lit::constant(random.below(2) == 1),
        });
        let mut window: Vec<Bits> = (0..WINDOW)
            .map(|word| {
                let is_operand = place.as_ref().is_some_and(|place| place.words.contains(&word));
                if known == Known::All || !is_operand {
                    bits::constant(random.next(), 32)
                } else {
                    operand(&mut m.graph, random, 32)
                }
            })
            .collect();
        let taken = UNUSED + 0x100 + 2 * random.below(4) as u32;
        let mut window_at = OPERAND - 64;
        let mut address = OPERAND;
        // On Cortex-M the stack pointer is a multiple of four.
        start[SP] = bits::constant(OPERAND.into(), 32);
        if known == Known::All && i.decoded.operands[0] == Operand::Reg(Reg::from_u8(SP as u8)) {
            for register in &mut start {
                register[..2].fill(Lit::ZERO);
            }
        }
        if let Some(place) = &place {
            if place.base == PC {
                let literal = ((u64::from(at) + 4) & !3).wrapping_add_signed(place.offset);
                if literal < u64::from(end) + 2 {
                    return Ok(false);
                }
                window_at = literal as u32 & !3;
            } else {
                address += place.step * random.below(4) as u32;
                let mut base = u64::from(address).wrapping_add_signed(-place.offset);
                if let Some((index, shift)) = place.index {
                    if index == place.base {
                        return Err(Mismatch::Differs("such an address is not compared".to_owned()));
                    }
                    let value = random.below(7) as u64;
                    start[index] = bits::constant(value, 32);
                    base = base.wrapping_sub(value << shift);
                }
                start[place.base] = bits::constant(base, 32);
            }
        }
        // Where a word from a register or from memory is jumped to.
        let jump = bits::constant(u64::from(taken | 1), 32);
        match (i.decoded.opcode, i.decoded.operands) {
            (Opcode::BX | Opcode::BLX, [Operand::Reg(register), ..]) => start[number(register)] = jump,
            (Opcode::POP, [Operand::RegList(list), ..])
            | (Opcode::LDM(..), [_, Operand::RegList(list), ..])
                if list >> 15 == 1 =>
            {
                let size = list.count_ones() as usize;
                let is_upwards = !matches!(i.decoded.opcode, Opcode::LDM(false, ..));
                let middle = ((address - window_at) / 4) as usize;
                let first = if is_upwards { middle } else { middle - size };
                window[first + size - 1] = jump;
            }
            (Opcode::LDR, [Operand::Reg(register), ..]) if number(register) == 15 => {
                window.fill(jump);
            }
            _ => {}
        }

        m.memory.forget("window");
        m.memory.allow("window", window_at.into(), 4 * WINDOW, Rights::Write);
        m.memory.set(window_at.into(), &window.concat());
        m.state.general[..SP + 2].clone_from_slice(&start[..SP + 2]);
        let [carry, overflow, sign, zero] = flags;
        m.state.flags = Flags { carry, overflow, sign, zero_of: vec![!zero] };
        m.state.block = 0;
        let mut next = u64::from(at);
        for i in &instructions {
            if i.address != next {
                return Err(Mismatch::Differs(format!("the model goes to {next:#x}")));
            }
            let size = if i.decoded.wide { 4 } else { 2 };
            next = match Core::step(m, i, &mut |_, _| None) {
                Ok(Next::Following) => i.address + size,
                Ok(Next::To(address)) => address,
                Err(fault) => return Err(Mismatch::Model(fault.to_string())),
            };
        }
        let branch = (0..2).find_map(|operand| target(&i, operand).ok());
        let next = next as u32;
        let elsewhere = branch.map(|to| to as u32).filter(|&to| to != next);
        let request = Request::new(code, at, next, elsewhere, window_at)?;
        let after = m.memory.get(window_at.into(), 4 * WINDOW).expect("it was set");
        let zero = m.graph.any(&m.state.flags.zero_of.clone());
        let after_flags = [m.state.flags.carry, m.state.flags.overflow, m.state.flags.sign, !zero];
        // Bit 28 is overflow.
        let word = |[carry, overflow, sign, zero]: [Lit; 4]| {
            [bits::constant(0, 28), vec![overflow, carry, zero, sign]].concat()
        };
        start[FLAGS] = word(flags);
        start.extend(window);
        let mut expected = m.state.general[..FLAGS].to_vec();
        expected.push(word(after_flags));
        expected.extend(after.chunks(32).map(<[Lit]>::to_vec));
        let [before, expected] =
            [start, expected].map(|words| values(&m.graph, &words, samples, |word| word as u32));
        let mut found = self.run(&request, &before)?;
        for found in &mut found {
            found[FLAGS] &= 0xf000_0000;
        }
        agree(&found, &expected)?;
        Ok(true)
    }
}

/// The address of an operand in memory.
struct Place {
    base: usize,
    /// A register that is added, shifted to the left.
    index: Option<(usize, u32)>,
    offset: i64,
    /// What addresses are multiples of.
    step: u32,
    /// The words of the window that may be accessed.
    words: Range<usize>,
}

impl Place {
    fn of(i: &Instruction) -> Option<Self> {
        let signed = |offset: u16, is_added: bool| {
            if is_added { i64::from(offset) } else { -i64::from(offset) }
        };
        let fixed = |base: Reg, offset: i64| Self {
            base: number(base),
            index: None,
            offset,
            step: 1,
            words: 0..WINDOW,
        };
        let place = match i.decoded.opcode {
            Opcode::PUSH | Opcode::POP => fixed(Reg::from_u8(SP as u8), 0),
            _ => i.decoded.operands.iter().find_map(|operand| {
                Some(match *operand {
                    Operand::RegWBack(base, _)
                    | Operand::RegDeref(base)
                    | Operand::RegDerefPostindexOffset(base, ..) => fixed(base, 0),
                    Operand::RegDerefPreindexOffset(base, offset, is_added, _) => {
                        fixed(base, signed(offset, is_added))
                    }
                    Operand::RegDerefPreindexReg(base, index, ..) => {
                        Self { index: Some((number(index), 0)), ..fixed(base, 0) }
                    }
                    Operand::RegDerefPreindexRegShift(base, shift, ..) => {
                        let RegShiftStyle::RegImm(shift) = shift.into_shift() else { return None };
                        let index = (number(shift.shiftee()), shift.imm().into());
                        Self { index: Some(index), ..fixed(base, 0) }
                    }
                    _ => return None,
                })
            })?,
        };
        let is_word = matches!(
            i.decoded.opcode,
            Opcode::LDR
                | Opcode::LDRB
                | Opcode::LDRH
                | Opcode::LDRSB
                | Opcode::LDRSH
                | Opcode::STR
                | Opcode::STRB
                | Opcode::STRH
        );
        let is_jump = matches!(i.decoded.operands[0], Operand::Reg(register) if number(register) == PC);
        let step = if is_word && !is_jump && place.base != SP { 1 } else { 4 };
        // A literal is at the start of its window.
        let words = match place.base {
            _ if !is_word => 0..WINDOW,
            PC => 0..2,
            _ => WINDOW / 2..WINDOW / 2 + 5,
        };
        Some(Self { step, words, ..place })
    }
}

/// The registers that operands name, a bit for each.
fn used(i: &Instruction) -> u16 {
    let bit = |register: Reg| 1 << number(register);
    let shifted = |shift: RegShift| match shift.into_shift() {
        RegShiftStyle::RegImm(shift) => bit(shift.shiftee()),
        RegShiftStyle::RegReg(shift) => bit(shift.shiftee()) | bit(shift.shifter()),
    };
    let of = |operand: &Operand| match *operand {
        Operand::Reg(register)
        | Operand::RegWBack(register, _)
        | Operand::RegDeref(register)
        | Operand::RegDerefPreindexOffset(register, ..)
        | Operand::RegDerefPostindexOffset(register, ..) => bit(register),
        Operand::RegList(list) => list,
        Operand::RegShift(shift) => shifted(shift),
        Operand::RegDerefPreindexReg(base, index, ..) => bit(base) | bit(index),
        Operand::RegDerefPreindexRegShift(base, shift, ..) => bit(base) | shifted(shift),
        _ => 0,
    };
    // The block that a block of conditional instructions is tried on.
    i.decoded.operands.iter().map(of).fold(0xf, |all, bits| all | bits)
}
