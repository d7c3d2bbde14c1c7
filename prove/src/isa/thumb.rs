//! Thumb, as Cortex-M has it: the processor's state, what each instruction does, and Arm's procedure call standard.
//!
//! Registers of floating point and of the system are not modelled, nor are instructions whose time depends on what they compute with
//! on some core: division, and on Cortex-M3 multiplication to 64 bits.

pub mod compare;

use super::{Abi, Decision, Flags, Isa, Next};
use crate::{
    bits::{self, Bits, Sum},
    fault::Fault,
    graph::{Graph, Lit},
};
use std::fmt;
use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv7::{
    self, ConditionCode, InstDecoder, Opcode, Operand, Reg, RegShift, RegShiftStyle, ShiftStyle,
};

/// Which of Arm's architectures a core has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// ARMv6-M: Cortex-M0, M0+ and M1.
    V6m,
    /// ARMv7-M: Cortex-M3.
    V7m,
    /// ARMv7E-M: Cortex-M4 and M7.
    V7em,
    /// ARMv8-M without the Main Extension: Cortex-M23.
    V8mBase,
    /// ARMv8-M with it: Cortex-M33 and later ones.
    V8mMain,
}

impl Core {
    /// That of a number of the attribute `Tag_CPU_arch`.
    #[must_use]
    pub fn of_attribute(number: u64) -> Option<Self> {
        Some(match number {
            11 | 12 => Self::V6m,
            10 => Self::V7m,
            13 => Self::V7em,
            16 => Self::V8mBase,
            17 | 21 => Self::V8mMain,
            _ => return None,
        })
    }

    /// As Rust's targets have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V6m => "thumbv6m",
            Self::V7m => "thumbv7m",
            Self::V7em => "thumbv7em",
            Self::V8mBase => "thumbv8m.base",
            Self::V8mMain => "thumbv8m.main",
        }
    }

    /// Whether every word has to be at a multiple of its size.
    fn aligns_all(self) -> bool {
        matches!(self, Self::V6m | Self::V8mBase)
    }
}

/// Registers and flags.
#[derive(Clone, Debug)]
pub struct State {
    /// All but the program counter, whose place is never read.
    general: [Bits; 16],
    flags: Flags,
    /// What is left of a block of conditional instructions, as the manual has it: of each the condition, and how many they are.
    block: u8,
}

impl super::State for State {
    fn unset(g: &mut Graph) -> Self {
        Self {
            general: std::array::from_fn(|_| (0..32).map(|_| g.unset()).collect()),
            flags: Flags::unset(g),
            block: 0,
        }
    }

    fn general(&self) -> &[Bits] {
        &self.general
    }

    fn general_mut(&mut self) -> &mut [Bits] {
        &mut self.general
    }

    /// `it` for one instruction.
    fn context(&self) -> Vec<u8> {
        if self.block == 0 { Vec::new() } else { vec![self.block & 0xf0 | 8, 0xbf] }
    }
}

/// An instruction, and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Instruction {
    decoded: armv7::Instruction,
    address: u64,
    halfwords: [u16; 2],
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decoded.fmt(f)
    }
}

/// A processor with Thumb.
pub type Machine = crate::machine::Machine<Core>;

const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;

impl Isa for Core {
    type State = State;
    type Instruction = Instruction;

    const ABI: Abi = Abi {
        word: 4,
        arguments: &[0, 1, 2, 3],
        result: 0,
        saved: &[4, 5, 6, 7, 8, 9, 10, 11, SP],
        stack_pointer: SP,
        red_zone: 0,
        link: Some(LR),
        code_mark: 1,
        global: None,
    };

    fn decode(self, code: &[u8], address: u64) -> Option<(Instruction, usize)> {
        let decoded = InstDecoder::default_thumb().decode(&mut U8Reader::new(code)).ok()?;
        let size = if decoded.wide { 4 } else { 2 };
        let mut halfwords = [0; 2];
        for (halfword, bytes) in halfwords.iter_mut().zip(code[..size].as_chunks().0) {
            *halfword = u16::from_le_bytes(*bytes);
        }
        Some((Instruction { decoded, address, halfwords }, size))
    }

    fn step(m: &mut Machine, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        if i.decoded.opcode == Opcode::IT {
            if m.state.block != 0 {
                return Err(Fault::Unknown(format!("{i} in a block of conditional instructions")));
            }
            m.state.block = i.halfwords[0] as u8;
            return Ok(Next::Following);
        }
        let block = m.state.block;
        let condition = if block == 0 { i.decoded.condition as u8 } else { block >> 4 };
        // The next condition moves up; after the last one nothing is left.
        m.state.block = if block & 7 == 0 { 0 } else { block & 0xe0 | block << 1 & 0x1f };
        let condition = m.condition(condition);
        if m.decide(condition, decide)? { m.execute(i, block != 0, decide) } else { Ok(Next::Following) }
    }
}

fn number(register: Reg) -> usize {
    register.number().into()
}

/// A shifted word, and the last bit that was shifted out; none if none was.
fn shifted(style: ShiftStyle, x: &[Lit], by: usize) -> (Bits, Option<Lit>) {
    let bit = |at: Option<usize>| at.and_then(|at| x.get(at).copied()).unwrap_or(Lit::ZERO);
    match style {
        _ if by == 0 => (x.to_vec(), None),
        ShiftStyle::LSL => (bits::shifted_left(x, by), Some(bit(32usize.checked_sub(by)))),
        ShiftStyle::LSR => (bits::shifted_right(x, by), Some(bit(Some(by - 1)))),
        ShiftStyle::ASR => (bits::shifted_right_signed(x, by), Some(x[(by - 1).min(31)])),
        _ => (bits::rotated_right(x, by), Some(x[(by + 31) % 32])),
    }
}

/// Where the operand in memory is.
struct Place {
    address: u64,
    /// A register that gets another address.
    written_back: Option<(usize, Bits)>,
}

impl Machine {
    fn get(&self, register: usize, i: &Instruction) -> Bits {
        if register == PC { bits::constant(i.address + 4, 32) } else { self.state.general[register].clone() }
    }

    /// A register operand.
    fn register(&self, i: &Instruction, operand: usize) -> Result<usize, Fault> {
        match i.decoded.operands[operand] {
            Operand::Reg(register) | Operand::RegWBack(register, _) => Ok(number(register)),
            _ => Err(unknown(i)),
        }
    }

    /// The program counter as a base, whose low bits are taken away.
    fn base(&self, register: usize, i: &Instruction) -> Bits {
        if register == PC { bits::constant((i.address + 4) & !3, 32) } else { self.get(register, i) }
    }

    /// Puts a value into a register that is not the program counter.
    fn put(&mut self, register: usize, value: Bits, i: &Instruction) -> Result<(), Fault> {
        if register == PC {
            return Err(unknown(i));
        }
        if register == SP {
            let address = self.graph.known(&value, "the stack pointer")?;
            self.check_alignment(address, 4, 2)?;
        }
        self.state.general[register] = value;
        Ok(())
    }

    /// The value of an operand, and the carry of its shift.
    fn operand(&self, i: &Instruction, operand: usize) -> Result<(Bits, Lit), Fault> {
        let carry = self.state.flags.carry;
        Ok(match i.decoded.operands[operand] {
            Operand::Reg(register) => (self.get(number(register), i), carry),
            Operand::RegShift(shift) => {
                let (value, out) = self.shifted_register(shift, i)?;
                (value, out.unwrap_or(carry))
            }
            Operand::Imm12(value) => (bits::constant(value.into(), 32), carry),
            Operand::Imm32(value) => {
                // A rotated constant of a wide instruction has its highest bit for a carry.
                let rotation = i.halfwords[0] >> 10 & 1 | i.halfwords[1] >> 14 & 1;
                let is_rotated = i.decoded.wide && rotation != 0;
                let carry = if is_rotated { Lit::constant(value >> 31 == 1) } else { carry };
                (bits::constant(value.into(), 32), carry)
            }
            _ => return Err(unknown(i)),
        })
    }

    fn shifted_register(&self, shift: RegShift, i: &Instruction) -> Result<(Bits, Option<Lit>), Fault> {
        let RegShiftStyle::RegImm(shift) = shift.into_shift() else { return Err(unknown(i)) };
        if shift.stype() == ShiftStyle::RRX {
            return Err(unknown(i));
        }
        Ok(shifted(shift.stype(), &self.get(number(shift.shiftee()), i), shift.imm().into()))
    }

    /// The operands of an instruction with two or three: of two, the first is what a result goes to as well.
    fn sources(&self, i: &Instruction) -> Result<(Bits, Bits, Lit), Fault> {
        let is_short = i.decoded.operands[2] == Operand::Nothing;
        let first = self.register(i, if is_short { 0 } else { 1 })?;
        let (second, carry) = self.operand(i, if is_short { 1 } else { 2 })?;
        // Sums with the program counter are addresses.
        let first = match i.decoded.opcode {
            Opcode::ADD | Opcode::SUB if !is_short => self.base(first, i),
            _ => self.get(first, i),
        };
        Ok((first, second, carry))
    }

    /// A condition, by the number that encodings have.
    fn condition(&mut self, number: u8) -> Lit {
        let flags = self.state.flags.clone();
        let g = &mut self.graph;
        let condition = match number >> 1 {
            0 => !g.any(&flags.zero_of),
            1 => flags.carry,
            2 => flags.sign,
            3 => flags.overflow,
            4 => {
                let not_equal = g.any(&flags.zero_of);
                g.and(flags.carry, not_equal)
            }
            5 => !g.xor(flags.sign, flags.overflow),
            6 => {
                let not_equal = g.any(&flags.zero_of);
                let less = g.xor(flags.sign, flags.overflow);
                g.and(not_equal, !less)
            }
            _ => return Lit::ONE,
        };
        if number & 1 == 1 { !condition } else { condition }
    }

    fn execute(&mut self, i: &Instruction, in_block: bool, decide: Decision<'_>) -> Result<Next, Fault> {
        use Opcode as O;
        // Short instructions that set flags do not so in a block, but for comparisons.
        let sets_flags = i.decoded.s && (i.decoded.wide || !in_block);
        match i.decoded.opcode {
            O::NOP => Ok(Next::Following),
            O::MOV | O::MVN => {
                let (mut value, carry) = self.operand(i, 1)?;
                if i.decoded.opcode == O::MVN {
                    value = bits::not(&value);
                }
                self.finish_logic(i, value, carry, sets_flags)
            }
            O::AND => self.logic(i, sets_flags, Graph::and),
            O::ORR => self.logic(i, sets_flags, Graph::or),
            O::EOR => self.logic(i, sets_flags, Graph::xor),
            O::BIC => self.logic(i, sets_flags, |g, a, b| g.and(a, !b)),
            O::ORN => self.logic(i, sets_flags, |g, a, b| g.or(a, !b)),
            O::TST => self.test(i, Graph::and),
            O::TEQ => self.test(i, Graph::xor),
            O::ADD | O::ADC | O::SUB | O::SBC | O::RSB | O::CMP | O::CMN => self.sum(i, sets_flags),
            O::MOVT => {
                let (target, Operand::Imm32(value)) = (self.register(i, 0)?, i.decoded.operands[1]) else {
                    return Err(unknown(i));
                };
                let low = &self.get(target, i)[..16];
                let value = [low, &bits::constant(value.into(), 16)].concat();
                self.finish(i, value)
            }
            O::LSL => self.shift(i, ShiftStyle::LSL, sets_flags),
            O::LSR => self.shift(i, ShiftStyle::LSR, sets_flags),
            O::ASR => self.shift(i, ShiftStyle::ASR, sets_flags),
            O::ROR => self.shift(i, ShiftStyle::ROR, sets_flags),
            O::ADR => {
                let (Operand::Imm32(offset), base) = (i.decoded.operands[1], (i.address + 4) & !3) else {
                    return Err(unknown(i));
                };
                self.finish(i, bits::constant(base + u64::from(offset), 32))
            }
            O::REV => self.map(i, bits::bytes_reversed),
            O::REV16 => {
                self.map(i, |x| [bits::bytes_reversed(&x[..16]), bits::bytes_reversed(&x[16..])].concat())
            }
            O::RBIT => self.map(i, |x| x.iter().rev().copied().collect()),
            O::UXTB => self.map(i, |x| bits::zero_extended(&x[..8], 32)),
            O::UXTH => self.map(i, |x| bits::zero_extended(&x[..16], 32)),
            O::SXTB => self.map(i, |x| bits::sign_extended(&x[..8], 32)),
            O::SXTH => self.map(i, |x| bits::sign_extended(&x[..16], 32)),
            O::CLZ => {
                let x = self.get(self.register(i, 1)?, i);
                let g = &mut self.graph;
                let count = x.iter().enumerate().fold(bits::constant(32, 32), |count, (at, &bit)| {
                    g.select_bits(bit, &bits::constant(31 - at as u64, 32), &count)
                });
                self.finish(i, count)
            }
            O::UBFX => self.extract(i, bits::zero_extended),
            O::SBFX => self.extract(i, bits::sign_extended),
            O::BFI | O::BFC => self.insert(i),
            O::MUL | O::MLA | O::MLS => self.multiply(i, sets_flags),
            O::LDR => self.load(i, 4, bits::zero_extended),
            O::LDRH => self.load(i, 2, bits::zero_extended),
            O::LDRB => self.load(i, 1, bits::zero_extended),
            O::LDRSH => self.load(i, 2, bits::sign_extended),
            O::LDRSB => self.load(i, 1, bits::sign_extended),
            O::STR => self.store(i, 4),
            O::STRH => self.store(i, 2),
            O::STRB => self.store(i, 1),
            O::LDRD | O::STRD => self.two_words(i),
            O::LDM(..) | O::STM(..) | O::PUSH | O::POP => self.many_words(i),
            O::B => Ok(Next::To(target(i, 0)?)),
            O::BL => {
                self.state.general[LR] = bits::constant((i.address + 4) | 1, 32);
                Ok(Next::To(target(i, 0)?))
            }
            O::BX => self.go(&self.get(self.register(i, 0)?, i)),
            O::BLX => {
                let to = self.get(self.register(i, 0)?, i);
                self.state.general[LR] = bits::constant((i.address + 2) | 1, 32);
                self.go(&to)
            }
            O::CBZ | O::CBNZ => {
                let value = self.get(self.register(i, 0)?, i);
                let any = self.graph.any(&value);
                let condition = if i.decoded.opcode == O::CBZ { !any } else { any };
                Ok(if self.decide(condition, decide)? { Next::To(target(i, 1)?) } else { Next::Following })
            }
            _ => Err(unknown(i)),
        }
    }

    /// Goes to an address from a register, which says that there is Thumb code.
    fn go(&self, to: &[Lit]) -> Result<Next, Fault> {
        let to = self.graph.known(to, "a jump")?;
        if to & 1 == 0 { Err(Fault::NoCode(to)) } else { Ok(Next::To(to - 1)) }
    }

    /// Puts the result into the first operand.
    fn finish(&mut self, i: &Instruction, value: Bits) -> Result<Next, Fault> {
        let register = self.register(i, 0)?;
        self.put(register, value, i)?;
        Ok(Next::Following)
    }

    fn finish_logic(
        &mut self,
        i: &Instruction,
        value: Bits,
        carry: Lit,
        sets_flags: bool,
    ) -> Result<Next, Fault> {
        if sets_flags {
            self.set_logic_flags(&value, carry);
        }
        self.finish(i, value)
    }

    fn set_logic_flags(&mut self, value: &[Lit], carry: Lit) {
        let overflow = self.state.flags.overflow;
        self.state.flags = Flags { carry, overflow, sign: value[31], zero_of: value.to_vec() };
    }

    fn logic(
        &mut self,
        i: &Instruction,
        sets_flags: bool,
        f: impl Fn(&mut Graph, Lit, Lit) -> Lit,
    ) -> Result<Next, Fault> {
        let (a, b, carry) = self.sources(i)?;
        let value = self.graph.zip(&a, &b, f);
        self.finish_logic(i, value, carry, sets_flags)
    }

    fn test(&mut self, i: &Instruction, f: impl Fn(&mut Graph, Lit, Lit) -> Lit) -> Result<Next, Fault> {
        let (a, b, carry) = self.sources(i)?;
        let value = self.graph.zip(&a, &b, f);
        self.set_logic_flags(&value, carry);
        Ok(Next::Following)
    }

    fn sum(&mut self, i: &Instruction, sets_flags: bool) -> Result<Next, Fault> {
        let (a, b, _) = self.sources(i)?;
        let carry = self.state.flags.carry;
        let g = &mut self.graph;
        let Sum { bits: value, carry, overflow } = match i.decoded.opcode {
            Opcode::ADD | Opcode::CMN => g.add(&a, &b, Lit::ZERO),
            Opcode::ADC => g.add(&a, &b, carry),
            Opcode::SBC => g.subtract(&a, &b, carry),
            Opcode::RSB => g.subtract(&b, &a, Lit::ONE),
            _ => g.subtract(&a, &b, Lit::ONE),
        };
        let compares = matches!(i.decoded.opcode, Opcode::CMP | Opcode::CMN);
        if sets_flags || compares {
            self.state.flags = Flags { carry, overflow, sign: value[31], zero_of: value.clone() };
        }
        if compares { Ok(Next::Following) } else { self.finish(i, value) }
    }

    fn shift(&mut self, i: &Instruction, style: ShiftStyle, sets_flags: bool) -> Result<Next, Fault> {
        let (x, by, carry) = self.sources(i)?;
        let by = self.graph.known(&by[..8], "an amount of shift")? as usize;
        let is_immediate = matches!(i.decoded.operands[2], Operand::Imm12(_));
        // Zero stands for 32 in encodings of shifts to the right.
        let by = if is_immediate && by == 0 && style != ShiftStyle::LSL { 32 } else { by };
        let (value, out) = shifted(style, &x, by);
        self.finish_logic(i, value, out.unwrap_or(carry), sets_flags)
    }

    fn map(&mut self, i: &Instruction, f: impl FnOnce(&[Lit]) -> Bits) -> Result<Next, Fault> {
        if i.decoded.operands[2] != Operand::Nothing {
            return Err(unknown(i));
        }
        let value = self.get(self.register(i, 1)?, i);
        self.finish(i, f(&value))
    }

    fn extract(
        &mut self,
        i: &Instruction,
        extend: impl FnOnce(&[Lit], usize) -> Bits,
    ) -> Result<Next, Fault> {
        let value = self.get(self.register(i, 1)?, i);
        let (Operand::Imm12(low), Operand::Imm12(width)) = (i.decoded.operands[2], i.decoded.operands[3])
        else {
            return Err(unknown(i));
        };
        let (low, width) = (usize::from(low), usize::from(width));
        let field = value.get(low..low + width).ok_or_else(|| unknown(i))?;
        self.finish(i, extend(field, 32))
    }

    /// Bits into a field of the register, or zeros.
    fn insert(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let target = self.register(i, 0)?;
        let source = match i.decoded.opcode {
            Opcode::BFI => self.get(self.register(i, 1)?, i),
            _ => bits::constant(0, 32),
        };
        // The decoder does not have the whole of this operand.
        let [low, high] =
            [i.halfwords[1] >> 10 & 0x1c | i.halfwords[1] >> 6 & 3, i.halfwords[1] & 31].map(usize::from);
        let mut value = self.get(target, i);
        value.get_mut(low..=high).ok_or_else(|| unknown(i))?.copy_from_slice(&source[..=high - low]);
        self.finish(i, value)
    }

    fn multiply(&mut self, i: &Instruction, sets_flags: bool) -> Result<Next, Fault> {
        let factor = |operand: usize| Ok(self.get(self.register(i, operand)?, i));
        let (a, b) = (factor(1)?, factor(2)?);
        let (a, b) = if bits::value(&b).is_some() { (a, b) } else { (b, a) };
        let product = self.graph.multiply(&a, &b);
        let value = match i.decoded.opcode {
            Opcode::MUL => product,
            opcode => {
                let addend = self.get(self.register(i, 3)?, i);
                match opcode {
                    Opcode::MLA => self.graph.add(&addend, &product, Lit::ZERO).bits,
                    _ => self.graph.subtract(&addend, &product, Lit::ONE).bits,
                }
            }
        };
        let carry = self.state.flags.carry;
        self.finish_logic(i, value, carry, sets_flags)
    }

    fn place(&mut self, i: &Instruction, operand: usize) -> Result<Place, Fault> {
        let (base, offset, is_added, writes_back, is_after) = match i.decoded.operands[operand] {
            Operand::RegDeref(base) => (base, bits::constant(0, 32), true, false, false),
            Operand::RegDerefPreindexOffset(base, offset, is_added, writes_back) => {
                (base, bits::constant(offset.into(), 32), is_added, writes_back, false)
            }
            Operand::RegDerefPostindexOffset(base, offset, is_added, _) => {
                (base, bits::constant(offset.into(), 32), is_added, true, true)
            }
            Operand::RegDerefPreindexReg(base, index, is_added, false) => {
                (base, self.get(number(index), i), is_added, false, false)
            }
            Operand::RegDerefPreindexRegShift(base, shift, is_added, false) => {
                (base, self.shifted_register(shift, i)?.0, is_added, false, false)
            }
            _ => return Err(unknown(i)),
        };
        let base = number(base);
        let before = self.base(base, i);
        // Both have to be numbers, so that the address is one on the processor too.
        self.graph.known(&before, "an address")?;
        self.graph.known(&offset, "an address")?;
        let g = &mut self.graph;
        let after = if is_added {
            g.add(&before, &offset, Lit::ZERO).bits
        } else {
            g.subtract(&before, &offset, Lit::ONE).bits
        };
        let address = self.graph.known(if is_after { &before } else { &after }, "an address")?;
        Ok(Place { address, written_back: writes_back.then_some((base, after)) })
    }

    fn write_back(&mut self, place: Place, i: &Instruction) -> Result<(), Fault> {
        match place.written_back {
            Some((register, value)) => self.put(register, value, i),
            None => Ok(()),
        }
    }

    /// Whether so many bytes can be accessed there by an instruction for one word, or one for more.
    fn check_alignment(&self, address: u64, size: usize, words: usize) -> Result<(), Fault> {
        let is_aligned = address.is_multiple_of(size as u64);
        if is_aligned || words == 1 && !self.isa.aligns_all() {
            Ok(())
        } else {
            Err(Fault::Alignment { address, size })
        }
    }

    fn load(
        &mut self,
        i: &Instruction,
        size: usize,
        extend: impl FnOnce(&[Lit], usize) -> Bits,
    ) -> Result<Next, Fault> {
        let place = self.place(i, 1)?;
        self.check_alignment(place.address, size, 1)?;
        let value = extend(&self.memory.read(&mut self.graph, place.address, size)?, 32);
        self.write_back(place, i)?;
        let register = self.register(i, 0)?;
        if register == PC {
            return self.go(&value);
        }
        self.put(register, value, i)?;
        Ok(Next::Following)
    }

    fn store(&mut self, i: &Instruction, size: usize) -> Result<Next, Fault> {
        let place = self.place(i, 1)?;
        self.check_alignment(place.address, size, 1)?;
        let value = self.get(self.register(i, 0)?, i);
        self.memory.write(place.address, &value[..8 * size])?;
        self.write_back(place, i)?;
        Ok(Next::Following)
    }

    fn two_words(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let registers = [self.register(i, 0)?, self.register(i, 1)?];
        let place = self.place(i, 2)?;
        self.check_alignment(place.address, 4, 2)?;
        for (at, register) in [place.address, place.address + 4].into_iter().zip(registers) {
            if i.decoded.opcode == Opcode::LDRD {
                let value = self.memory.read(&mut self.graph, at, 4)?;
                self.put(register, value, i)?;
            } else {
                let value = self.get(register, i);
                self.memory.write(at, &value)?;
            }
        }
        self.write_back(place, i)?;
        Ok(Next::Following)
    }

    /// Registers in their order, the lowest address first.
    fn many_words(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (base, list, is_upwards, writes_back) = match (i.decoded.opcode, i.decoded.operands) {
            (Opcode::PUSH, [Operand::RegList(list), ..]) => (SP, list, false, true),
            (Opcode::POP, [Operand::RegList(list), ..]) => (SP, list, true, true),
            (
                // Upwards from the address, or downwards from below it.
                Opcode::LDM(true, _, _, _) | Opcode::STM(true, _, _, _),
                [Operand::RegWBack(base, writes_back), Operand::RegList(list), ..],
            ) => (number(base), list, true, writes_back),
            (
                Opcode::LDM(false, true, _, _) | Opcode::STM(false, true, _, _),
                [Operand::RegWBack(base, writes_back), Operand::RegList(list), ..],
            ) => (number(base), list, false, writes_back),
            _ => return Err(unknown(i)),
        };
        let size = 4 * u64::from(list.count_ones());
        let before = self.graph.known(&self.get(base, i), "an address")?;
        let (start, after) = if is_upwards {
            (before, before + size)
        } else {
            (before.wrapping_sub(size), before.wrapping_sub(size))
        };
        self.check_alignment(start, 4, 2)?;
        let registers = (0..16).filter(|register| list >> register & 1 == 1);
        let mut next = Next::Following;
        for (at, register) in (start..).step_by(4).zip(registers) {
            if matches!(i.decoded.opcode, Opcode::LDM(..) | Opcode::POP) {
                let value = self.memory.read(&mut self.graph, at, 4)?;
                if register == PC {
                    next = self.go(&value)?;
                } else {
                    self.put(register, value, i)?;
                }
            } else {
                let value = self.get(register, i);
                self.memory.write(at, &value)?;
            }
        }
        if writes_back {
            self.put(base, bits::constant(after, 32), i)?;
        }
        Ok(next)
    }
}

fn unknown(i: &Instruction) -> Fault {
    Fault::Unknown(i.to_string())
}

/// Where a branch leads.
fn target(i: &Instruction, operand: usize) -> Result<u64, Fault> {
    let Operand::BranchThumbOffset(halfwords) = i.decoded.operands[operand] else { return Err(unknown(i)) };
    // The program counter is two instructions ahead. The decoder takes it for one, where encodings are short and have a condition.
    let has_condition =
        i.decoded.condition != ConditionCode::AL || matches!(i.decoded.opcode, Opcode::CBZ | Opcode::CBNZ);
    let ahead = if has_condition && !i.decoded.wide { 2 } else { 4 };
    Ok(i.address.wrapping_add(ahead).wrapping_add_signed(2 * i64::from(halfwords)))
}

#[cfg(test)]
mod tests {
    use super::ConditionCode;

    #[test]
    fn conditions_have_the_numbers_of_encodings() {
        assert_eq!(ConditionCode::EQ as u8, 0);
        assert_eq!(ConditionCode::HI as u8, 8);
        assert_eq!(ConditionCode::AL as u8, 14);
    }
}
