//! The instructions of the kernels: as values, as lines of assembly, and decoded from the bytes of a linked image.
//!
//! All have 32 bits, so that the assembler has no choice. None but `cmp` sets flags.

use anyhow::{Result, bail};
use std::fmt;

/// A register, by number.
pub type Reg = u8;

/// The stack pointer.
pub const SP: Reg = 13;
/// The link register.
pub const LR: Reg = 14;
/// The program counter.
pub const PC: Reg = 15;

/// An operation on two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alu {
    /// `rn & operand`.
    And,
    /// `rn & !operand`.
    Bic,
    /// `rn | operand`.
    Orr,
    /// `rn | !operand`.
    Orn,
    /// `rn ^ operand`.
    Eor,
    /// `rn + operand`, of addresses.
    Add,
    /// `rn - operand`, of addresses.
    Sub,
}

/// Each operation with its name and its number in the encodings.
const ALU: [(Alu, &str, u16); 7] = [
    (Alu::And, "and", 0),
    (Alu::Bic, "bic", 1),
    (Alu::Orr, "orr", 2),
    (Alu::Orn, "orn", 3),
    (Alu::Eor, "eor", 4),
    (Alu::Add, "add", 8),
    (Alu::Sub, "sub", 13),
];

/// What happens to a register on its way into an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shift {
    /// To the left.
    Lsl(u8),
    /// To the right; zeros come in.
    Lsr(u8),
    /// Around, to the right.
    Ror(u8),
}

/// Nothing happens.
pub const NONE: Shift = Shift::Lsl(0);

/// An operation that only moves bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// Reverses the bytes.
    Rev,
    /// Reverses the bytes of each half.
    Rev16,
    /// Reverses the bits.
    Rbit,
}

const UNARY: [(Unary, &str, u16); 3] =
    [(Unary::Rev, "rev.w", 0x80), (Unary::Rev16, "rev16.w", 0x90), (Unary::Rbit, "rbit", 0xA0)];

/// An instruction. `rd` or `rt` is written, the other registers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are named as in the manual of the architecture")]
pub enum Op {
    /// An operation on two registers.
    Reg { op: Alu, rd: Reg, rn: Reg, rm: Reg, shift: Shift },
    /// An operation on a register and a constant.
    Imm { op: Alu, rd: Reg, rn: Reg, imm: u32 },
    /// Copies a register.
    Mov { rd: Reg, rm: Reg, shift: Shift },
    /// Writes a constant.
    MovImm { rd: Reg, imm: u32 },
    /// Moves the bits of a register.
    Unary { op: Unary, rd: Reg, rm: Reg },
    /// Replaces `width` bits of `rd` from bit `lsb` on by the lowest ones of `rn`.
    Bfi { rd: Reg, rn: Reg, lsb: u8, width: u8 },
    /// Loads a word.
    Ldr { rt: Reg, rn: Reg, offset: u16 },
    /// Stores a word.
    Str { rt: Reg, rn: Reg, offset: u16 },
    /// Loads two words.
    Ldrd { rt: Reg, rt2: Reg, rn: Reg, offset: u16 },
    /// Stores two words.
    Strd { rt: Reg, rt2: Reg, rn: Reg, offset: u16 },
    /// Loads registers in ascending order.
    Ldm { rn: Reg, writes_back: bool, list: u16 },
    /// Stores registers below an address that it changes.
    Stmdb { rn: Reg, list: u16 },
    /// Compares two addresses.
    Cmp { rn: Reg, rm: Reg },
    /// Branches by so many bytes from the instruction if the last comparison was of different addresses.
    Bne { by: i32 },
}

/// The registers of a list.
pub fn registers(list: u16) -> impl Iterator<Item = Reg> {
    (0..16).filter(move |reg| list >> reg & 1 == 1)
}

/// The name of a register.
#[must_use]
pub fn name(reg: Reg) -> &'static str {
    ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc"]
        [usize::from(reg & 15)]
}

fn list_text(list: u16) -> String {
    let names: Vec<_> = registers(list).map(name).collect();
    format!("{{{}}}", names.join(", "))
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shift::Lsl(0) => Ok(()),
            Shift::Lsl(by) => write!(f, ", lsl #{by}"),
            Shift::Lsr(by) => write!(f, ", lsr #{by}"),
            Shift::Ror(by) => write!(f, ", ror #{by}"),
        }
    }
}

impl Alu {
    fn name(self) -> &'static str {
        ALU.iter().find(|entry| entry.0 == self).map_or("", |entry| entry.1)
    }

    fn of(number: u16) -> Result<Self> {
        match ALU.iter().find(|entry| entry.2 == number) {
            Some(entry) => Ok(entry.0),
            None => bail!("unknown operation {number}"),
        }
    }
}

/// A line of assembly. That of a branch leads to the label `2` before it.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Op::Reg { op, rd, rn, rm, shift } => {
                write!(f, "{}.w {}, {}, {}{shift}", op.name(), name(rd), name(rn), name(rm))
            }
            Op::Imm { op, rd, rn, imm } => {
                write!(f, "{}.w {}, {}, #{imm:#x}", op.name(), name(rd), name(rn))
            }
            Op::Mov { rd, rm, shift: NONE } => write!(f, "mov.w {}, {}", name(rd), name(rm)),
            Op::Mov { rd, rm, shift } => {
                let (op, by) = match shift {
                    Shift::Lsl(by) => ("lsl", by),
                    Shift::Lsr(by) => ("lsr", by),
                    Shift::Ror(by) => ("ror", by),
                };
                write!(f, "{op}.w {}, {}, #{by}", name(rd), name(rm))
            }
            Op::MovImm { rd, imm } => write!(f, "mov.w {}, #{imm:#x}", name(rd)),
            Op::Unary { op, rd, rm } => {
                let text = UNARY.iter().find(|entry| entry.0 == op).map_or("", |entry| entry.1);
                write!(f, "{text} {}, {}", name(rd), name(rm))
            }
            Op::Bfi { rd, rn, lsb, width } => write!(f, "bfi {}, {}, #{lsb}, #{width}", name(rd), name(rn)),
            Op::Ldr { rt, rn, offset } => write!(f, "ldr.w {}, [{}, #{offset}]", name(rt), name(rn)),
            Op::Str { rt, rn, offset } => write!(f, "str.w {}, [{}, #{offset}]", name(rt), name(rn)),
            Op::Ldrd { rt, rt2, rn, offset } => {
                write!(f, "ldrd {}, {}, [{}, #{offset}]", name(rt), name(rt2), name(rn))
            }
            Op::Strd { rt, rt2, rn, offset } => {
                write!(f, "strd {}, {}, [{}, #{offset}]", name(rt), name(rt2), name(rn))
            }
            Op::Ldm { rn, writes_back, list } => {
                let mark = if writes_back { "!" } else { "" };
                write!(f, "ldmia.w {}{mark}, {}", name(rn), list_text(list))
            }
            Op::Stmdb { rn, list } => write!(f, "stmdb.w {}!, {}", name(rn), list_text(list)),
            Op::Cmp { rn, rm } => write!(f, "cmp.w {}, {}", name(rn), name(rm)),
            Op::Bne { .. } => write!(f, "bne.w 2b"),
        }
    }
}

/// Decodes an instruction of 32 bits.
///
/// # Errors
/// If it is none that the kernels have.
#[allow(clippy::cast_possible_truncation, reason = "fields of a few bits")]
pub fn decode([b0, b1, b2, b3]: [u8; 4]) -> Result<Op> {
    let (first, second) = (u16::from_le_bytes([b0, b1]), u16::from_le_bytes([b2, b3]));
    let unknown = || bail!("unknown instruction {first:#06x} {second:#06x}");
    let rn = (first & 15) as Reg;
    let rd = (second >> 8 & 15) as Reg;
    let (rt, rt2) = ((second >> 12) as Reg, rd);
    let rm = (second & 15) as Reg;
    let number = first >> 5 & 15;
    let sets_flags = first & 0x10 != 0;
    match first >> 9 {
        // Registers, with a shift.
        0b111_0101 => {
            let by = (second >> 10 & 0b1_1100 | second >> 6 & 3) as u8;
            let shift = match second >> 4 & 3 {
                0 => Shift::Lsl(by),
                1 if by != 0 => Shift::Lsr(by),
                3 if by != 0 => Shift::Ror(by),
                _ => return unknown(),
            };
            match (Alu::of(number)?, sets_flags) {
                (Alu::Sub, true) if rd == PC && shift == NONE => Ok(Op::Cmp { rn, rm }),
                (_, true) => unknown(),
                (Alu::Orr, _) if rn == PC => Ok(Op::Mov { rd, rm, shift }),
                (op, _) => Ok(Op::Reg { op, rd, rn, rm, shift }),
            }
        }
        // Loads and stores of several registers.
        0b111_0100 => match first & 0x1F0 {
            0x090 | 0x0B0 => Ok(Op::Ldm { rn, writes_back: first & 0x20 != 0, list: second }),
            0x120 => Ok(Op::Stmdb { rn, list: second }),
            0x1D0 => Ok(Op::Ldrd { rt, rt2, rn, offset: 4 * (second & 0xFF) }),
            0x1C0 => Ok(Op::Strd { rt, rt2, rn, offset: 4 * (second & 0xFF) }),
            _ => unknown(),
        },
        // Constants, and branches.
        0b111_1000 | 0b111_1010 if second & 0x8000 == 0 => {
            if sets_flags {
                return unknown();
            }
            let Some(imm) = constant(first >> 10 & 1, second) else { return unknown() };
            match Alu::of(number)? {
                Alu::Orr if rn == PC => Ok(Op::MovImm { rd, imm }),
                op => Ok(Op::Imm { op, rd, rn, imm }),
            }
        }
        0b111_1001 if first & 0xFFF0 == 0xF360 && second & 0x8020 == 0 => {
            let lsb = (second >> 10 & 0b1_1100 | second >> 6 & 3) as u8;
            let last = (second & 0x1F) as u8;
            if rn == PC || last < lsb {
                return unknown();
            }
            Ok(Op::Bfi { rd, rn, lsb, width: last + 1 - lsb })
        }
        _ if first & 0xF800 == 0xF000 && second & 0xD000 == 0x8000 => {
            if first >> 6 & 15 != 1 {
                return unknown();
            }
            let [sign, j1, j2] = [first >> 10 & 1, second >> 13 & 1, second >> 11 & 1].map(i32::from);
            let offset = j2 << 19 | j1 << 18 | i32::from(first & 0x3F) << 12 | i32::from(second & 0x7FF) << 1;
            // From the address of the instruction, where the architecture counts from 4 bytes later.
            Ok(Op::Bne { by: offset - (sign << 20) + 4 })
        }
        0b111_1100 => match first & 0xFFF0 {
            0xF8D0 => Ok(Op::Ldr { rt, rn, offset: second & 0xFFF }),
            0xF8C0 => Ok(Op::Str { rt, rn, offset: second & 0xFFF }),
            _ => unknown(),
        },
        0b111_1101 if first & 0xFFF0 == 0xFA90 && second >> 12 == 15 && rn == rm => {
            match UNARY.iter().find(|entry| entry.2 == second & 0xF0) {
                Some(entry) => Ok(Op::Unary { op: entry.0, rd, rm }),
                None => unknown(),
            }
        }
        _ => unknown(),
    }
}

/// The constant that the fields of an instruction stand for, unless the manual forbids them.
fn constant(i: u16, second: u16) -> Option<u32> {
    let byte = u32::from(second & 0xFF);
    match i << 3 | second >> 12 & 7 {
        0 => Some(byte),
        1..=3 if byte == 0 => None,
        1 => Some(byte << 16 | byte),
        2 => Some(byte << 24 | byte << 8),
        3 => Some(byte * 0x0101_0101),
        high => Some((0x80 | byte & 0x7F).rotate_right(u32::from(high << 1) | byte >> 7)),
    }
}
