//! 64-bit Arm with vectors: the processor's state, what each instruction does, and Arm's procedure call standard.
//!
//! The fields of an encoding are at fixed places and are read there; the decoder tells what is an instruction, and its text. Not modelled
//! are floating point, division, and products of what is not known.

pub mod compare;

use super::{Abi, Decision, Flags, Isa, Next};
use crate::{
    bits::{self, Bits},
    fault::Fault,
    graph::{Graph, Lit},
};
use std::fmt;
use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Instruction as Decoded};

/// A core with NEON, and none of what later architectures have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core;

/// Registers and flags.
#[derive(Clone, Debug)]
pub struct State {
    /// x0 to x30, the stack pointer, and the halves of v0 to v31, the low one first.
    general: [Bits; REGISTERS],
    flags: Flags,
}

const REGISTERS: usize = 32 + 64;
const LR: usize = 30;
const SP: usize = 31;
const VECTORS: usize = 32;

impl super::State for State {
    fn unset(g: &mut Graph) -> Self {
        Self {
            general: std::array::from_fn(|_| (0..64).map(|_| g.unset()).collect()),
            flags: Flags::unset(g),
        }
    }

    fn general(&self) -> &[Bits] {
        &self.general
    }

    fn general_mut(&mut self) -> &mut [Bits] {
        &mut self.general
    }
}

/// An instruction, and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Instruction {
    decoded: Decoded,
    word: u32,
    address: u64,
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decoded.fmt(f)
    }
}

impl Instruction {
    /// The bits from `low` to `high`.
    fn field(&self, high: u32, low: u32) -> u32 {
        self.word >> low & ((1 << (high - low + 1)) - 1)
    }

    fn bit(&self, place: u32) -> bool {
        self.word >> place & 1 == 1
    }

    /// The same field as a number with a sign.
    fn signed(&self, high: u32, low: u32) -> i64 {
        let unused = 63 - (high - low);
        (i64::from(self.field(high, low)) << unused) >> unused
    }

    fn register(&self, low: u32) -> usize {
        self.field(low + 4, low) as usize
    }

    /// Bits of the operands in general registers.
    fn width(&self) -> usize {
        if self.bit(31) { 64 } else { 32 }
    }

    /// Whether the bits under the mask are these.
    fn is(&self, mask: u32, value: u32) -> bool {
        self.word & mask == value
    }

    fn ahead(&self, offset: i64) -> u64 {
        self.address.wrapping_add_signed(offset)
    }

    fn unknown(&self) -> Fault {
        Fault::Unknown(self.to_string())
    }
}

/// A processor of that kind.
pub type Machine = crate::machine::Machine<Core>;

impl Isa for Core {
    type State = State;
    type Instruction = Instruction;

    const ABI: Abi = Abi {
        word: 8,
        arguments: &[0, 1, 2, 3, 4, 5, 6, 7],
        result: 0,
        // x19 to x29, the stack pointer, and the low halves of v8 to v15.
        saved: &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, SP, 48, 50, 52, 54, 56, 58, 60, 62],
        stack_pointer: SP,
        red_zone: 0,
        link: Some(LR),
        code_mark: 0,
        global: None,
    };

    fn decode(self, code: &[u8], address: u64) -> Option<(Instruction, usize)> {
        let word = u32::from_le_bytes(*code.first_chunk()?);
        let decoded = InstDecoder::default().decode(&mut U8Reader::new(code)).ok()?;
        Some((Instruction { decoded, word, address }, 4))
    }

    fn step(m: &mut Machine, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        match i.field(28, 25) {
            0b1000 | 0b1001 => m.immediate(i),
            0b1010 | 0b1011 => m.branch(i, decide),
            0b0101 | 0b1101 => m.registers(i),
            0b0100 | 0b0110 | 0b1100 | 0b1110 => m.access(i),
            0b0111 | 0b1111 => m.vector(i),
            _ => Err(i.unknown()),
        }
    }
}

/// A register that is added to an address.
#[derive(Clone, Copy)]
struct Index {
    register: usize,
    /// Whether its low 32 bits count alone, with their sign or without.
    word: Option<bool>,
    shift: u32,
}

/// When the base of an address becomes another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WriteBack {
    Never,
    Before,
    After,
}

/// An access to memory.
#[derive(Clone, Copy)]
struct Access {
    base: usize,
    offset: i64,
    index: Option<Index>,
    write_back: WriteBack,
    /// Bytes of each register.
    size: usize,
    is_load: bool,
    /// Of the first register, and how many follow it.
    registers: [usize; 4],
    count: usize,
    is_vector: bool,
    /// A loaded number has a sign, and is as wide as that.
    sign: Option<usize>,
    /// Each copy of what is loaded goes to all elements of vectors of so many bytes.
    repeat: Option<usize>,
    /// Elements of so many bytes of two vectors take turns in memory.
    turns: Option<usize>,
}

impl Access {
    fn of(i: &Instruction) -> Option<Self> {
        let (base, register) = (i.register(5), i.register(0));
        let is_vector = i.bit(26);
        let one = Self {
            base,
            offset: 0,
            index: None,
            write_back: WriteBack::Never,
            size: 0,
            is_load: i.bit(22),
            registers: [register; 4],
            count: 1,
            is_vector,
            sign: None,
            repeat: None,
            turns: None,
        };
        // Pairs.
        if i.is(0x3a00_0000, 0x2800_0000) {
            let size = match (is_vector, i.field(31, 30)) {
                (false, 0b00) => 4,
                (false, 0b10) => 8,
                (true, size @ 0..3) => 4 << size,
                _ => return None,
            };
            let write_back = match i.field(24, 23) {
                0b01 => WriteBack::After,
                0b10 => WriteBack::Never,
                0b11 => WriteBack::Before,
                _ => return None,
            };
            let registers = [register, i.register(10), 0, 0];
            let offset = i.signed(21, 15) * size as i64;
            return Some(Self { offset, write_back, size, registers, count: 2, ..one });
        }
        // Single registers.
        if i.is(0x3a00_0000, 0x3800_0000) {
            let (scale, opc) = (i.field(31, 30), i.field(23, 22));
            let (scale, is_load, sign) = match (is_vector, opc, scale) {
                (true, 0b10 | 0b11, 0) => (4, opc == 0b11, None),
                (true, 0b00 | 0b01, _) | (false, 0b00 | 0b01, _) => (scale, opc == 0b01, None),
                (false, 0b10, 0..3) => (scale, true, Some(64)),
                (false, 0b11, 0..2) => (scale, true, Some(32)),
                _ => return None,
            };
            let one = Self { size: 1 << scale, is_load, sign, ..one };
            if i.bit(24) {
                return Some(Self { offset: i64::from(i.field(21, 10)) << scale, ..one });
            }
            let offset = i.signed(20, 12);
            return match (i.bit(21), i.field(11, 10)) {
                (false, 0b00) => Some(Self { offset, ..one }),
                (false, 0b01) => Some(Self { offset, write_back: WriteBack::After, ..one }),
                (false, 0b11) => Some(Self { offset, write_back: WriteBack::Before, ..one }),
                (true, 0b10) => {
                    let word = match i.field(15, 13) {
                        0b010 => Some(false),
                        0b110 => Some(true),
                        0b011 => None,
                        _ => return None,
                    };
                    let shift = if i.bit(12) { scale } else { 0 };
                    Some(Self { index: Some(Index { register: i.register(16), word, shift }), ..one })
                }
                _ => None,
            };
        }
        // Of a flag that other threads look at.
        if i.is(0x3fbf_fc00, 0x089f_fc00) {
            return Some(Self { size: 1 << i.field(31, 30), ..one });
        }
        // Whole vectors, one after the other, and one element for all.
        let bytes = if i.bit(30) { 16 } else { 8 };
        let is_after = i.bit(23);
        if is_after && i.register(16) != 31 || !is_after && i.register(16) != 0 {
            return None;
        }
        let write_back = if is_after { WriteBack::After } else { WriteBack::Never };
        let after = |size: usize| if is_after { size as i64 } else { 0 };
        if i.is(0xbf20_0000, 0x0c00_0000) {
            // The elements of two vectors may take turns.
            let (count, take_turns) = match i.field(15, 12) {
                0b0111 => (1, false),
                0b1010 => (2, false),
                0b0110 => (3, false),
                0b0010 => (4, false),
                0b1000 => (2, true),
                _ => return None,
            };
            let registers = std::array::from_fn(|n| (register + n) % 32);
            let turns = take_turns.then_some(1 << i.field(11, 10));
            let offset = after(count * bytes);
            return Some(Self { offset, write_back, size: bytes, registers, count, turns, ..one });
        }
        if i.is(0xbf60_f000, 0x0d40_c000) {
            let size = 1 << i.field(11, 10);
            return Some(Self { offset: after(size), write_back, size, repeat: Some(bytes), ..one });
        }
        None
    }

    fn bytes(&self) -> usize {
        self.size * self.count
    }
}

fn shifted(style: u32, x: &[Lit], by: usize) -> Bits {
    match style {
        0 => bits::shifted_left(x, by),
        1 => bits::shifted_right(x, by),
        2 => bits::shifted_right_signed(x, by),
        _ => bits::rotated_right(x, by),
    }
}

/// The mask that a logical instruction has for an immediate.
fn mask(n: u32, imms: u32, immr: u32) -> Option<u64> {
    let length = (n << 6 | !imms & 0x3f).checked_ilog2().filter(|&length| length > 0)?;
    let (size, levels) = (1u32 << length, (1u32 << length) - 1);
    let (ones, rotation) = (imms & levels, immr & levels);
    if ones == levels {
        return None;
    }
    let element = (1u64 << (ones + 1)) - 1;
    let all = if size == 64 { !0 } else { (1u64 << size) - 1 };
    let element = (element >> rotation | element.checked_shl(size - rotation).unwrap_or(0)) & all;
    Some((0..64).step_by(size as usize).fold(0, |mask, at| mask | element << at))
}

impl Machine {
    /// What is in a general register, or zero.
    fn get(&self, register: usize, width: usize) -> Bits {
        if register == 31 { bits::constant(0, width) } else { self.state.general[register][..width].to_vec() }
    }

    /// The same, or the stack pointer.
    fn get_or_stack(&self, register: usize, width: usize) -> Bits {
        self.state.general[register][..width].to_vec()
    }

    /// Puts a value into a general register, if there is one, with zeros above it.
    fn put(&mut self, register: usize, value: &[Lit]) -> Next {
        if register != 31 {
            self.state.general[register] = bits::zero_extended(value, 64);
        }
        Next::Following
    }

    /// The same, or into the stack pointer.
    fn put_or_stack(&mut self, register: usize, value: &[Lit]) -> Result<Next, Fault> {
        if register == SP {
            let address = self.graph.known(value, "the stack pointer")?;
            if !address.is_multiple_of(16) {
                return Err(Fault::Alignment { address, size: 16 });
            }
        }
        self.state.general[register] = bits::zero_extended(value, 64);
        Ok(Next::Following)
    }

    /// So many bytes of a vector.
    fn get_vector(&self, register: usize, bytes: usize) -> Bits {
        let halves = VECTORS + 2 * register;
        let mut value = self.state.general[halves..halves + 2].concat();
        value.truncate(8 * bytes);
        value
    }

    /// Puts a value into a vector, with zeros above it.
    fn put_vector(&mut self, register: usize, value: &[Lit]) -> Next {
        let value = bits::zero_extended(value, 128);
        for (half, bits) in value.chunks(64).enumerate() {
            self.state.general[VECTORS + 2 * register + half] = bits.to_vec();
        }
        Next::Following
    }

    /// The first operand and another one, added or subtracted.
    fn sum(&mut self, first: &[Lit], second: &[Lit], subtracts: bool, sets_flags: bool) -> Bits {
        let sum = if subtracts {
            self.graph.subtract(first, second, Lit::ONE)
        } else {
            self.graph.add(first, second, Lit::ZERO)
        };
        if sets_flags {
            let sign = sum.bits[sum.bits.len() - 1];
            self.state.flags =
                Flags { carry: sum.carry, overflow: sum.overflow, sign, zero_of: sum.bits.clone() };
        }
        sum.bits
    }

    fn set_logic_flags(&mut self, value: &[Lit]) {
        let sign = value[value.len() - 1];
        self.state.flags = Flags { carry: Lit::ZERO, overflow: Lit::ZERO, sign, zero_of: value.to_vec() };
    }

    /// A condition, by the number that encodings have.
    fn condition(&mut self, number: u32) -> Lit {
        let flags = self.state.flags.clone();
        let g = &mut self.graph;
        let equal = |g: &mut Graph| !g.any(&flags.zero_of);
        let condition = match number >> 1 {
            0 => equal(g),
            1 => flags.carry,
            2 => flags.sign,
            3 => flags.overflow,
            4 => {
                let equal = equal(g);
                g.and(flags.carry, !equal)
            }
            5 => !g.xor(flags.sign, flags.overflow),
            6 => {
                let equal = equal(g);
                let less = g.xor(flags.sign, flags.overflow);
                g.and(!equal, !less)
            }
            _ => return Lit::ONE,
        };
        if number & 1 == 1 { !condition } else { condition }
    }

    fn immediate(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = i.width();
        let (first, to) = (i.register(5), i.register(0));
        match i.field(25, 23) {
            0b000 | 0b001 => {
                let offset = i.signed(23, 5) << 2 | i64::from(i.field(30, 29));
                let address = if i.bit(31) {
                    (i.address & !0xfff).wrapping_add_signed(offset << 12)
                } else {
                    i.ahead(offset)
                };
                Ok(self.put(to, &bits::constant(address, 64)))
            }
            0b010 => {
                let by = if i.bit(22) { 12 } else { 0 };
                let second = bits::constant(u64::from(i.field(21, 10)) << by, width);
                let value = self.sum(&self.get_or_stack(first, width), &second, i.bit(30), i.bit(29));
                if i.bit(29) { Ok(self.put(to, &value)) } else { self.put_or_stack(to, &value) }
            }
            0b100 => {
                let mask =
                    mask(i.field(22, 22), i.field(15, 10), i.field(21, 16)).ok_or_else(|| i.unknown())?;
                let (a, b) = (self.get(first, width), bits::constant(mask, width));
                let value = match i.field(30, 29) {
                    0b01 => self.graph.or_bits(&a, &b),
                    0b10 => self.graph.xor_bits(&a, &b),
                    _ => self.graph.and_bits(&a, &b),
                };
                if i.field(30, 29) == 0b11 {
                    self.set_logic_flags(&value);
                    return Ok(self.put(to, &value));
                }
                self.put_or_stack(to, &value)
            }
            0b101 => {
                let at = 16 * i.field(22, 21) as usize;
                if at >= width {
                    return Err(i.unknown());
                }
                let value = u64::from(i.field(20, 5)) << at;
                let value = match i.field(30, 29) {
                    0b00 => bits::constant(!value, width),
                    0b10 => bits::constant(value, width),
                    0b11 => {
                        let mut whole = self.get(to, width);
                        whole[at..at + 16].copy_from_slice(&bits::constant(value >> at, 16));
                        whole
                    }
                    _ => return Err(i.unknown()),
                };
                Ok(self.put(to, &value))
            }
            0b110 => {
                let (rotation, last) = (i.field(21, 16) as usize, i.field(15, 10) as usize);
                if rotation >= width || last >= width || i.bit(22) != i.bit(31) {
                    return Err(i.unknown());
                }
                let from = self.get(first, width);
                // A field goes down to the lowest place, or up from there.
                let (field, at) = if last >= rotation {
                    (&from[rotation..=last], 0)
                } else {
                    (&from[..=last], width - rotation)
                };
                let zeros = bits::constant(0, at);
                let value = match i.field(30, 29) {
                    0b00 => bits::sign_extended(&[&zeros, field].concat(), width),
                    0b01 => {
                        let mut whole = self.get(to, width);
                        whole[at..at + field.len()].copy_from_slice(field);
                        whole
                    }
                    0b10 => bits::zero_extended(&[&zeros, field].concat(), width),
                    _ => return Err(i.unknown()),
                };
                Ok(self.put(to, &value))
            }
            0b111 if i.field(30, 29) == 0 && !i.bit(21) && i.bit(22) == i.bit(31) => {
                let low = i.field(15, 10) as usize;
                let both = [self.get(i.register(16), width), self.get(first, width)].concat();
                let value = both.get(low..low + width).ok_or_else(|| i.unknown())?;
                Ok(self.put(to, value))
            }
            _ => Err(i.unknown()),
        }
    }

    fn branch(&mut self, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        let following = bits::constant(i.address + 4, 64);
        if i.is(0x7c00_0000, 0x1400_0000) {
            if i.bit(31) {
                self.put(LR, &following);
            }
            return Ok(Next::To(i.ahead(i.signed(25, 0) << 2)));
        }
        if i.is(0xff9f_fc1f, 0xd61f_0000) && i.field(22, 21) < 3 {
            let to = self.graph.known(&self.get(i.register(5), 64), "a jump")?;
            if i.field(22, 21) == 1 {
                self.put(LR, &following);
            }
            return Ok(Next::To(to));
        }
        // `nop` and the marks of places that are jumped to.
        if matches!(i.word, 0xd503_201f | 0xd503_241f | 0xd503_245f | 0xd503_249f | 0xd503_24df) {
            return Ok(Next::Following);
        }
        let (condition, offset) = if i.is(0xff00_0010, 0x5400_0000) {
            (self.condition(i.field(3, 0)), i.signed(23, 5))
        } else if i.is(0x7e00_0000, 0x3400_0000) {
            let any = self.graph.any(&self.get(i.register(0), i.width()));
            (if i.bit(24) { any } else { !any }, i.signed(23, 5))
        } else if i.is(0x7e00_0000, 0x3600_0000) {
            let place = (i.field(31, 31) << 5 | i.field(23, 19)) as usize;
            let bit = self.get(i.register(0), 64)[place];
            (if i.bit(24) { bit } else { !bit }, i.signed(18, 5))
        } else {
            return Err(i.unknown());
        };
        Ok(if self.decide(condition, decide)? { Next::To(i.ahead(offset << 2)) } else { Next::Following })
    }

    /// Numbers in registers.
    fn registers(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = i.width();
        let (first, second, to) = (i.register(5), i.register(16), i.register(0));
        let (a, b) = (self.get(first, width), self.get(second, width));
        let known = |m: &Self, x: &[Lit]| m.graph.known(x, "a factor");
        match i.field(28, 21) {
            // Logic with a shifted register.
            0b0101_0000..=0b0101_0111 => {
                let by = i.field(15, 10) as usize;
                if by >= width {
                    return Err(i.unknown());
                }
                let b = shifted(i.field(23, 22), &b, by);
                let b = if i.bit(21) { bits::not(&b) } else { b };
                let value = match i.field(30, 29) {
                    0b01 => self.graph.or_bits(&a, &b),
                    0b10 => self.graph.xor_bits(&a, &b),
                    _ => self.graph.and_bits(&a, &b),
                };
                if i.field(30, 29) == 0b11 {
                    self.set_logic_flags(&value);
                }
                Ok(self.put(to, &value))
            }
            // Sums with a shifted register.
            0b0101_1000 | 0b0101_1010 | 0b0101_1100 => {
                let by = i.field(15, 10) as usize;
                if by >= width {
                    return Err(i.unknown());
                }
                let b = shifted(i.field(23, 22), &b, by);
                let value = self.sum(&a, &b, i.bit(30), i.bit(29));
                Ok(self.put(to, &value))
            }
            // Sums with a part of a register.
            0b0101_1001 => {
                let (option, by) = (i.field(15, 13), i.field(12, 10) as usize);
                let part = self.get(second, 8 << (option & 3));
                let whole = if option >= 4 {
                    bits::sign_extended(&part, width)
                } else {
                    bits::zero_extended(&part, width)
                };
                let b = bits::shifted_left(&whole, by);
                let value = self.sum(&self.get_or_stack(first, width), &b, i.bit(30), i.bit(29));
                if i.bit(29) { Ok(self.put(to, &value)) } else { self.put_or_stack(to, &value) }
            }
            // A comparison if a condition holds, else given flags.
            0b1101_0010 if i.bit(29) && !i.bit(10) && !i.bit(4) => {
                let condition = self.condition(i.field(15, 12));
                let b = if i.bit(11) { bits::constant(second as u64, width) } else { b };
                self.sum(&a, &b, i.bit(30), true);
                let compared = self.state.flags.clone();
                let given = |place: u32| Lit::constant(i.field(place, place) == 1);
                let g = &mut self.graph;
                let any = g.any(&compared.zero_of);
                self.state.flags = Flags {
                    carry: g.select(condition, compared.carry, given(1)),
                    overflow: g.select(condition, compared.overflow, given(0)),
                    sign: g.select(condition, compared.sign, given(3)),
                    zero_of: vec![g.select(condition, any, !given(2))],
                };
                Ok(Next::Following)
            }
            // One of two registers, the second perhaps changed.
            0b1101_0100 if !i.bit(29) && !i.bit(11) => {
                let condition = self.condition(i.field(15, 12));
                let b = if i.bit(30) { bits::not(&b) } else { b };
                let b =
                    if i.bit(10) { self.graph.add(&b, &bits::constant(0, width), Lit::ONE).bits } else { b };
                let value = self.graph.select_bits(condition, &a, &b);
                Ok(self.put(to, &value))
            }
            0b1101_0110 if i.bit(30) && second == 0 && !i.bit(29) => {
                let reversed =
                    |x: &[Lit], size: usize| x.chunks(8 * size).flat_map(bits::bytes_reversed).collect();
                let value: Bits = match (i.field(15, 10), width) {
                    (0, _) => a.iter().rev().copied().collect(),
                    (1, _) => reversed(&a, 2),
                    (2, _) => reversed(&a, 4),
                    (3, 64) => reversed(&a, 8),
                    _ => return Err(i.unknown()),
                };
                Ok(self.put(to, &value))
            }
            // Shifts by an amount in a register.
            0b1101_0110 if i.field(30, 29) == 0 && i.field(15, 12) == 0b0010 => {
                let by = self.graph.known(&b[..width.ilog2() as usize], "an amount of shift")? as usize;
                Ok(self.put(to, &shifted(i.field(11, 10), &a, by)))
            }
            // Products: of 32 or 64 bits, of words, and the high half.
            0b1101_1000 if i.field(30, 29) == 0 => {
                let product = bits::constant(known(self, &a)?.wrapping_mul(known(self, &b)?), width);
                let addend = self.get(i.register(10), width);
                let value = self.sum(&addend, &product, i.bit(15), false);
                Ok(self.put(to, &value))
            }
            0b1101_1101 if i.field(31, 29) == 0b100 => {
                let product = bits::constant(known(self, &a[..32])? * known(self, &b[..32])?, 64);
                let addend = self.get(i.register(10), 64);
                let value = self.sum(&addend, &product, i.bit(15), false);
                Ok(self.put(to, &value))
            }
            0b1101_1110 if i.field(31, 29) == 0b100 && !i.bit(15) => {
                let product = u128::from(known(self, &a)?) * u128::from(known(self, &b)?);
                Ok(self.put(to, &bits::constant((product >> 64) as u64, 64)))
            }
            _ => Err(i.unknown()),
        }
    }

    fn access(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let access = Access::of(i).ok_or_else(|| i.unknown())?;
        let Access { base, offset, size, registers, count, is_vector, .. } = access;
        let before = self.graph.known(&self.get_or_stack(base, 64), "an address")?;
        let mut after = before.wrapping_add_signed(offset);
        if let Some(Index { register, word, shift }) = access.index {
            let index = self.graph.known(&self.get(register, 64), "an address")?;
            let index = match word {
                Some(true) => i64::from(index as i32) as u64,
                Some(false) => index & 0xffff_ffff,
                None => index,
            };
            after = after.wrapping_add(index << shift);
        }
        let address = if access.write_back == WriteBack::After { before } else { after };
        if base == SP && !before.is_multiple_of(16) {
            return Err(Fault::Alignment { address: before, size: 16 });
        }
        // Where elements take turns, one of each is followed by the next ones.
        let turned = |bits: &[Lit], size: usize, from_memory: bool| -> Bits {
            let elements: Vec<&[Lit]> = bits.chunks(8 * size).collect();
            let each = elements.len() / 2;
            let order = |n: usize| if from_memory { n % each * 2 + n / each } else { n % 2 * each + n / 2 };
            (0..elements.len()).flat_map(|n| elements[order(n)]).copied().collect()
        };
        if access.is_load {
            let mut value = self.memory.read(&mut self.graph, address, access.bytes())?;
            if let Some(width) = access.sign {
                value = bits::sign_extended(&value, width);
            }
            if let Some(bytes) = access.repeat {
                value = value.repeat(bytes / size);
            }
            if let Some(element) = access.turns {
                value = turned(&value, element, true);
            }
            let each = value.len() / count;
            for (&register, part) in registers.iter().zip(value.chunks(each)) {
                if is_vector {
                    self.put_vector(register, part);
                } else {
                    self.put(register, part);
                }
            }
        } else {
            let mut value = Bits::new();
            for &register in &registers[..count] {
                value.extend(if is_vector {
                    self.get_vector(register, size)
                } else {
                    self.get(register, 8 * size)
                });
            }
            if let Some(element) = access.turns {
                value = turned(&value, element, false);
            }
            self.memory.write(address, &value)?;
        }
        if access.write_back != WriteBack::Never {
            self.put_or_stack(base, &bits::constant(after, 64))?;
        }
        Ok(Next::Following)
    }

    fn vector(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let bytes = if i.bit(30) { 16 } else { 8 };
        let (first, second, to) = (i.register(5), i.register(16), i.register(0));
        let (a, b) = (self.get_vector(first, bytes), self.get_vector(second, bytes));
        let element = 8usize << i.field(23, 22);
        // Logic.
        if i.is(0x9f20_fc00, 0x0e20_1c00) {
            let old = self.get_vector(to, bytes);
            let g = &mut self.graph;
            let value = match (i.bit(29), i.field(23, 22)) {
                (false, 0) => g.and_bits(&a, &b),
                (false, 1) => g.and_bits(&a, &bits::not(&b)),
                (false, 2) => g.or_bits(&a, &b),
                (false, _) => g.or_bits(&a, &bits::not(&b)),
                (true, 0) => g.xor_bits(&a, &b),
                (true, operation) => {
                    // Which of two bits is chosen, by a third one.
                    let (condition, then, otherwise) = match operation {
                        1 => (&old, &a, &b),
                        2 => (&b, &a, &old),
                        _ => (&b, &old, &a),
                    };
                    (0..8 * bytes).map(|n| g.select(condition[n], then[n], otherwise[n])).collect()
                }
            };
            return Ok(self.put_vector(to, &value));
        }
        // Sums and differences of elements, and whether they are equal.
        let elements = a.chunks(element).zip(b.chunks(element));
        let g = &mut self.graph;
        if i.is(0x9f20_fc00, 0x0e20_8400) {
            let value: Bits = if i.bit(29) {
                elements.flat_map(|(a, b)| g.subtract(a, b, Lit::ONE).bits).collect()
            } else {
                elements.flat_map(|(a, b)| g.add(a, b, Lit::ZERO).bits).collect()
            };
            return Ok(self.put_vector(to, &value));
        }
        if i.is(0xbf20_fc00, 0x2e20_8c00) {
            let equal = |(a, b)| {
                let difference = g.xor_bits(a, b);
                vec![!g.any(&difference); element]
            };
            let value: Bits = elements.flat_map(equal).collect();
            return Ok(self.put_vector(to, &value));
        }
        // Of one vector: the order of bytes, and the complement.
        if i.is(0x9f3f_ec00, 0x0e20_0800) {
            let size = match (i.bit(29), i.bit(12)) {
                (false, false) => 64,
                (true, false) => 32,
                (false, true) => 16,
                _ => return Err(i.unknown()),
            };
            let value: Bits =
                a.chunks(size).flat_map(|group| group.chunks(element).rev().flatten().copied()).collect();
            return Ok(self.put_vector(to, &value));
        }
        if i.is(0xbfff_fc00, 0x2e20_5800) {
            return Ok(self.put_vector(to, &bits::not(&a)));
        }
        // Elements of two vectors in turn.
        if i.is(0xbf20_8c00, 0x0e00_0800) {
            let (x, y): (Vec<_>, Vec<_>) = (a.chunks(element).collect(), b.chunks(element).collect());
            let half = x.len() / 2;
            let upper = usize::from(i.bit(14));
            let chosen: Vec<&[Lit]> = match i.field(13, 12) {
                0b01 => x.iter().chain(&y).skip(upper).step_by(2).copied().collect(),
                0b10 => (0..half).flat_map(|n| [x[2 * n + upper], y[2 * n + upper]]).collect(),
                0b11 => (0..half).flat_map(|n| [x[half * upper + n], y[half * upper + n]]).collect(),
                _ => return Err(i.unknown()),
            };
            return Ok(self.put_vector(to, &chosen.concat()));
        }
        if i.is(0xbfe0_8400, 0x2e00_0000) {
            let at = 8 * i.field(14, 11) as usize;
            let value = [a, b].concat().get(at..at + 8 * bytes).ok_or_else(|| i.unknown())?.to_vec();
            return Ok(self.put_vector(to, &value));
        }
        // Bytes of a table.
        if i.is(0xbfe0_fc00, 0x0e00_0000) {
            let table = self.get_vector(first, 16);
            let g = &mut self.graph;
            let value: Bits = b.chunks(8).flat_map(|index| look_up(g, &table, index)).collect();
            return Ok(self.put_vector(to, &value));
        }
        // Copies of elements: which one, by the lowest bit that is set.
        let place = i.field(20, 16);
        if i.is(0x9fe0_8400, 0x0e00_0400) && place & 15 != 0 {
            let size = 8usize << place.trailing_zeros();
            let at = (place >> (place.trailing_zeros() + 1)) as usize;
            let whole = self.get_vector(first, 16);
            let from_vector = |at: usize| whole[size * at..size * (at + 1)].to_vec();
            let value = match (i.bit(29), i.field(14, 11)) {
                (false, 0b0000) => from_vector(at).repeat(8 * bytes / size),
                (false, 0b0001) => self.get(first, size).repeat(8 * bytes / size),
                (false, 0b0111) if size == 64 || bytes == 8 => return Ok(self.put(to, &from_vector(at))),
                (is_element, from) if bytes == 16 && (is_element || from == 0b0011) => {
                    let element = if is_element {
                        from_vector((from >> place.trailing_zeros()) as usize)
                    } else {
                        self.get(first, size)
                    };
                    let mut value = self.get_vector(to, 16);
                    value[size * at..size * (at + 1)].copy_from_slice(&element);
                    value
                }
                _ => return Err(i.unknown()),
            };
            return Ok(self.put_vector(to, &value));
        }
        // Constants.
        if i.is(0x9ff8_0c00, 0x0f00_0400) {
            let byte = u64::from(i.field(18, 16) << 5 | i.field(9, 5));
            let (cmode, inverts) = (i.field(15, 12), i.bit(29));
            let repeated = |value: u64, width: usize| bits::constant(value, width).repeat(8 * bytes / width);
            let value = match cmode {
                0b0000 | 0b0010 | 0b0100 | 0b0110 => repeated(byte << (4 * cmode), 32),
                0b1000 | 0b1010 => repeated(byte << (4 * (cmode & 2)), 16),
                0b1100 => repeated(byte << 8 | 0xff, 32),
                0b1101 => repeated(byte << 16 | 0xffff, 32),
                0b1110 if !inverts => repeated(byte, 8),
                0b1110 => repeated((0..8).map(|n| ((byte >> n & 1) * 0xff) << (8 * n)).sum(), 64),
                _ => return Err(i.unknown()),
            };
            let inverts = inverts && cmode != 0b1110;
            return Ok(self.put_vector(to, &if inverts { bits::not(&value) } else { value }));
        }
        // Shifts of elements by a constant.
        if i.is(0x9f80_0400, 0x0f00_0400) && i.field(22, 19) != 0 {
            let amount = i.field(22, 16) as usize;
            let size = 8usize << (amount / 8).ilog2();
            if size == 64 && bytes == 8 {
                return Err(i.unknown());
            }
            let (left, right) = (amount - size, 2 * size - amount);
            let old = self.get_vector(to, bytes);
            let insert = |old: &[Lit], shifted: &[Lit], kept: std::ops::Range<usize>| -> Bits {
                (0..size).map(|n| if kept.contains(&n) { old[n] } else { shifted[n] }).collect()
            };
            let mut value = Bits::new();
            for (x, old) in a.chunks(size).zip(old.chunks(size)) {
                value.extend(match (i.bit(29), i.field(15, 11)) {
                    (false, 0b00000) => bits::shifted_right_signed(x, right),
                    (true, 0b00000) => bits::shifted_right(x, right),
                    (false, 0b01010) => bits::shifted_left(x, left),
                    (true, 0b01010) => insert(old, &bits::shifted_left(x, left), 0..left),
                    (true, 0b01000) => insert(old, &bits::shifted_right(x, right), size - right..size),
                    _ => return Err(i.unknown()),
                });
            }
            return Ok(self.put_vector(to, &value));
        }
        // Moves between general registers and halves of vectors.
        match (i.word & 0xffff_fc00, self.get(first, 64)) {
            (0x1e26_0000, _) => Ok(self.put(to, &self.get_vector(first, 4))),
            (0x9e66_0000, _) => Ok(self.put(to, &self.get_vector(first, 8))),
            (0x9eae_0000, _) => Ok(self.put(to, &self.get_vector(first, 16)[64..])),
            (0x1e27_0000, x) => Ok(self.put_vector(to, &x[..32])),
            (0x9e67_0000, x) => Ok(self.put_vector(to, &x)),
            (0x9eaf_0000, x) => Ok(self.put_vector(to, &[self.get_vector(to, 8), x].concat())),
            (0x1e60_4000, _) => Ok(self.put_vector(to, &self.get_vector(first, 8))),
            _ => Err(i.unknown()),
        }
    }
}

/// The byte of a table of 16 with this number, or zero.
fn look_up(g: &mut Graph, table: &[Lit], index: &[Lit]) -> Bits {
    let mut rows: Vec<Bits> = table.chunks(8).map(<[Lit]>::to_vec).collect();
    for &bit in &index[..4] {
        rows = rows.chunks(2).map(|pair| g.select_bits(bit, &pair[1], &pair[0])).collect();
    }
    let is_outside = g.any(&index[4..]);
    rows[0].iter().map(|&bit| g.and(bit, !is_outside)).collect()
}
