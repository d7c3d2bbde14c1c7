//! Compares what the model does with what QEMU's model of a 64-bit Arm processor does, instruction by instruction.
//!
//! `qemu-aarch64` runs `processor.s`, which executes the instruction that it is told on registers and memory that it is told.
//!
//! As on x86-64, the model executes once on registers and memory that are inputs of the graph, whose signatures are the values of
//! 160 executions by the processor. Addresses are numbers. What the instruction branches on is a number as well, drawn anew some dozen
//! times. All registers, the flags, memory around the operand and where the instruction leads must agree.

use super::{Access, Core, Index, Instruction, Machine, REGISTERS, SP, VECTORS, WriteBack};
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
use anyhow::{Result, ensure};
use object::Architecture;

const PROGRAM: &str = include_str!("processor.s");

/// Addresses in the program: where it goes on, and the places of the linker's options.
const EXIT: u64 = 0x400_0000;
const REGION: u64 = 0x500_0000;
/// The instruction, in the middle of the region.
const SLOT: u64 = 0x520_0000;
/// Where the operand is, in the middle of a window.
const OPERAND: u64 = SLOT + 0x8_0000;
const WINDOW_AT: u64 = OPERAND - 4 * WINDOW as u64;
/// Where a register may lead.
const TAKEN: u64 = SLOT + 0x10_0000;
/// Where words without meaning go.
const UNUSED: u64 = SLOT + 0x11_0000;

const FLAGS: usize = REGISTERS;
/// Words of registers and flags, with one that is nothing.
const STATE: usize = REGISTERS + 2;
const WINDOW: usize = 32;
const WORDS: usize = STATE + WINDOW;
const PATCHES: usize = 4;

const NOP: u32 = 0xd503_201f;

/// Compares instructions, each encoding once.
pub type Comparison = crate::isa::compare::Comparison<Processor>;

/// A processor in another process.
#[derive(Debug)]
pub struct Processor(Emulator);

impl Processor {
    /// The registers, flags and windows after an instruction that leads to `next`; what is elsewhere is a trap.
    fn run(&mut self, instruction: u32, next: u64, samples: &[[u64; WORDS]]) -> Result<Vec<[u64; WORDS]>> {
        ensure!(next != SLOT, "it leads to itself");
        ensure!((REGION..REGION + 0x40_0000).contains(&next), "it leads too far");
        // `b`, which changes no register.
        let back = 0x1400_0000 | (EXIT.wrapping_sub(next) >> 2 & 0x3ff_ffff) as u32;
        let mut patches = vec![(SLOT, instruction), (next, back)];
        patches.resize(PATCHES, (UNUSED, 0));
        let mut message = vec![WINDOW_AT, samples.len() as u64];
        message.extend(patches.iter().flat_map(|&(at, word)| [at, word.into()]));
        message.extend(samples.as_flattened());
        let message: Vec<u8> = message.into_iter().flat_map(u64::to_le_bytes).collect();
        let answer = self.0.ask(&message, 8 * WORDS * samples.len())?;
        let words: Vec<u64> = answer.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
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
    const ARCHITECTURE: Architecture = Architecture::Aarch64;
    const SEED: u64 = 80;

    fn isa() -> Core {
        Core
    }

    fn start() -> Result<Self> {
        let places = [
            format!("-Wl,-Ttext={EXIT:#x},--section-start=.region={REGION:#x}"),
            format!("-Wl,--defsym=slot={SLOT:#x}"),
        ];
        let assembler = ("aarch64-linux-gnu-gcc", &[places[0].as_str(), &places[1]][..]);
        let qemu = ("qemu-aarch64", &["-cpu", "cortex-a53"][..]);
        let mut processor = Self(Emulator::start(PROGRAM, assembler, qemu)?);
        // It runs once it answers.
        let answer = processor.run(NOP, SLOT + 4, &[[0; WORDS]])?;
        ensure!(answer == [[0; WORDS]], "the processor does not do nothing");
        Ok(processor)
    }

    fn compare(&mut self, trial: &mut Trial<Core>, bytes: &[u8]) -> Result<Outcome, String> {
        let (i, _) = Core.decode(bytes, SLOT).ok_or("not an instruction")?;
        let sorts = [(Known::Addresses, 2, 80), (Known::Flags, 16, 10), (Known::All, 64, 1)];
        rounds(&sorts, |known, _, samples| self.round(trial, &i, known, samples).map(|()| true))?;
        Ok(Outcome::Same)
    }
}

impl Processor {
    /// Executes the instruction in the model once, and on the processor `samples` times.
    fn round(
        &mut self,
        trial: &mut Trial<Core>,
        i: &Instruction,
        known: Known,
        samples: usize,
    ) -> Result<(), Mismatch> {
        trial.renew();
        let m: &mut Machine = &mut trial.machine;
        let random = &mut trial.random;

        // Inputs are only what the instruction may name: they take time.
        let named = named(i);
        let common = random.next();
        let mut start: Vec<Bits> = (0..REGISTERS)
            .map(|register| match known {
                Known::All if register < VECTORS => match random.below(4) {
                    // Amounts of shift are small, and what is compared with zero is zero.
                    0 => bits::constant(0, 64),
                    1 => bits::constant(random.below(80) as u64, 64),
                    2 => bits::constant(common, 64),
                    _ => bits::constant(edge(random, 0), 64),
                },
                Known::Addresses | Known::Flags if named.contains(&register) => {
                    operand(&mut m.graph, random, 64)
                }
                _ => bits::constant(random.next(), 64),
            })
            .collect();
        start[SP] = bits::constant(OPERAND, 64);
        let flags: [Lit; 4] = std::array::from_fn(|_| match known {
            Known::Addresses => m.graph.input(),
            _ => Lit::constant(random.below(2) == 1),
        });
        let access = if i.field(27, 27) == 1 && i.field(25, 25) == 0 { Access::of(i) } else { None };
        let window: Vec<Bits> = (0..WINDOW)
            .map(|word| {
                let is_operand = access.is_some() && (WINDOW / 2..WINDOW / 2 + 9).contains(&word);
                if known == Known::All || !is_operand {
                    bits::constant(random.next(), 64)
                } else {
                    operand(&mut m.graph, random, 64)
                }
            })
            .collect();
        if let Some(Access { base, offset, index, write_back, size, .. }) = access {
            let mut before = OPERAND + size as u64 * (random.below(8) % (16 / size)) as u64;
            if write_back != WriteBack::After {
                before = before.wrapping_add_signed(-offset);
            }
            if base == SP {
                before = before.next_multiple_of(16);
            }
            if let Some(Index { register, word, shift }) = index {
                if register == base || register == SP {
                    return Err(Mismatch::Differs("such an address is not compared".to_owned()));
                }
                let value = random.below(7) as i64 - if word == Some(true) { 3 } else { 0 };
                let high = if word.is_some() { random.next() << 32 } else { 0 };
                start[register] = bits::constant(value as u64 & 0xffff_ffff | high, 64);
                before = before.wrapping_add_signed(-(value << shift));
            }
            start[base] = bits::constant(before, 64);
        }
        // What a register leads to, and what may be a stack pointer.
        if i.is(0xfe00_0000, 0xd600_0000) {
            start[i.register(5)] = bits::constant(TAKEN + 4 * random.below(4) as u64, 64);
        }
        if known == Known::All && i.register(0) == SP {
            for register in &mut start[..SP] {
                register[..4].fill(Lit::ZERO);
            }
        }

        m.memory.forget("window");
        m.memory.allow("window", WINDOW_AT, 8 * WINDOW, Rights::Write);
        m.memory.set(WINDOW_AT, &window.concat());
        m.state.general.clone_from_slice(&start);
        let [carry, overflow, sign, zero] = flags;
        m.state.flags = Flags { carry, overflow, sign, zero_of: vec![!zero] };
        m.graph.take_used_unset();
        let next = match Core::step(m, i, &mut |_, _| None) {
            Ok(Next::Following) => SLOT + 4,
            Ok(Next::To(address)) => address,
            Err(fault) => return Err(Mismatch::Model(fault.to_string())),
        };
        let after = m.memory.get(WINDOW_AT, 8 * WINDOW).expect("it was set");
        let zero = m.graph.any(&m.state.flags.zero_of.clone());
        let after_flags = [m.state.flags.carry, m.state.flags.overflow, m.state.flags.sign, !zero];
        // Bit 28 is overflow.
        let word = |[carry, overflow, sign, zero]: [Lit; 4]| {
            bits::zero_extended(&[bits::constant(0, 28), vec![overflow, carry, zero, sign]].concat(), 64)
        };
        let whole = |registers: &[Bits], flags, window: &mut dyn Iterator<Item = Bits>| -> Vec<Bits> {
            let mut words = registers.to_vec();
            words.extend([word(flags), bits::constant(0, 64)]);
            words.extend(window);
            words
        };
        let start = whole(&start, flags, &mut window.into_iter());
        let expected = whole(&m.state.general, after_flags, &mut after.chunks(64).map(<[Lit]>::to_vec));
        let [before, expected] =
            [start, expected].map(|words| values(&m.graph, &words, samples, |word| word));
        let mut found = self.run(i.word, next, &before)?;
        for found in &mut found {
            found[FLAGS] &= 0xf000_0000;
            // Nobody writes it there.
            found[FLAGS + 1] = 0;
        }
        agree(&found, &expected)?;
        Ok(())
    }
}

/// The registers that the fields of an encoding may name, general ones and halves of vectors, but for the stack pointer.
fn named(i: &Instruction) -> Vec<usize> {
    let fields = [0, 5, 10, 16].map(|low| i.register(low));
    let following = (0..4).map(|n| (fields[0] + n) % 32);
    let mut all = Vec::new();
    for register in fields.into_iter().chain(following) {
        if register != SP {
            all.push(register);
        }
        all.extend([VECTORS + 2 * register, VECTORS + 2 * register + 1]);
    }
    all
}
