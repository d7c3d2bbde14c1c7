//! 32-bit RISC-V without floating point: the processor's state, what each instruction does, and its procedure call standard.
//!
//! Not modelled are instructions whose time depends on what they compute with on some core: division, and counts of bits, which the
//! extension Zkt does not list. A product must be of known numbers, as small cores end early. Atomic instructions are not modelled
//! either.

pub mod compare;

use super::{Abi, Decision, Isa, Next};
use crate::{
    bits::{self, Bits},
    fault::Fault,
    graph::{Graph, Lit},
};
use riscv_isa::{Instruction as Decoded, Target, Xlen, decode_le_bytes};
use std::fmt;

/// What a core has besides the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core(Target);

impl Core {
    /// All that is modelled.
    #[must_use]
    pub fn most() -> Self {
        Self(Target {
            xlen: Xlen::Rv32,
            m: true,
            a: true,
            c: true,
            zba: true,
            zbb: true,
            zbkb: true,
            ..Target::default()
        })
    }

    /// That of the attribute `Tag_RISCV_arch`, such as `rv32i2p1_m2p0_c2p0`; none if it is not one of 32 bits. Extensions that the
    /// decoder does not know are left out.
    #[must_use]
    pub fn of_attribute(name: &str) -> Option<Self> {
        let mut target = Target { xlen: Xlen::Rv32, ..Target::default() };
        let mut extensions = name.strip_prefix("rv32")?.split('_');
        if !extensions.next()?.starts_with('i') {
            return None;
        }
        for extension in extensions {
            // After the name comes the version, such as 2p0.
            let name = extension.trim_end_matches(|c: char| c.is_ascii_digit());
            let name = name.strip_suffix('p').unwrap_or(name);
            match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "m" => target.m = true,
                "a" => target.a = true,
                "c" => target.c = true,
                "zba" => target.zba = true,
                "zbb" => target.zbb = true,
                "zbkb" => target.zbkb = true,
                _ => {}
            }
        }
        Some(Self(target))
    }

    /// As Rust's targets have it, with the extensions of bits.
    #[must_use]
    pub fn name(self) -> String {
        let Target { m, a, c, zbb, .. } = self.0;
        let letters = [(m, "m"), (a, "a"), (c, "c"), (zbb, " zbb")];
        let has = letters.into_iter().filter_map(|(has, letter)| has.then_some(letter));
        format!("riscv32i{}", has.collect::<String>())
    }
}

/// The registers.
#[derive(Clone, Debug)]
pub struct State {
    /// The first one is zero.
    general: [Bits; 32],
}

impl super::State for State {
    fn unset(g: &mut Graph) -> Self {
        let word = |register| match register {
            0 => bits::constant(0, 32),
            _ => (0..32).map(|_| g.unset()).collect(),
        };
        Self { general: std::array::from_fn(word) }
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
    address: u64,
    size: u64,
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.decoded.fmt(f)
    }
}

/// A processor with RISC-V.
pub type Machine = crate::machine::Machine<Core>;

const RA: usize = 1;
const SP: usize = 2;
const GP: usize = 3;
const TP: usize = 4;

impl Isa for Core {
    type State = State;
    type Instruction = Instruction;

    /// That of integers, `ilp32`.
    const ABI: Abi = Abi {
        word: 4,
        arguments: &[10, 11, 12, 13, 14, 15, 16, 17],
        result: 10,
        saved: &[SP, GP, TP, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
        stack_pointer: SP,
        red_zone: 0,
        link: Some(RA),
        code_mark: 0,
        global: Some((GP, "__global_pointer$")),
    };

    fn decode(self, code: &[u8], address: u64) -> Option<(Instruction, usize)> {
        let (decoded, size) = match code {
            // The decoder looks for `c.and` elsewhere.
            &[low, high, ..] if self.0.c && low & 0x63 == 0x61 && high & 0xfc == 0x8c => {
                let rd = u32::from(high << 1 & 6 | low >> 7) + 8;
                (Decoded::AND { rd, rs1: rd, rs2: u32::from(low >> 2 & 7) + 8 }, 2)
            }
            _ => decode_le_bytes(code, &self.0)?,
        };
        (decoded != Decoded::UNIMP).then_some((Instruction { decoded, address, size: size as u64 }, size))
    }

    fn step(m: &mut Machine, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        m.execute(i, decide)
    }
}

/// How two numbers are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Signed,
    Unsigned,
}

impl Machine {
    fn get(&self, register: u32) -> Bits {
        self.state.general[register as usize].clone()
    }

    /// Puts a value into a register, unless it is the one that is zero.
    fn put(&mut self, register: u32, value: Bits) -> Result<Next, Fault> {
        assert_eq!(value.len(), 32, "a word");
        if register != 0 {
            self.state.general[register as usize] = value;
        }
        Ok(Next::Following)
    }

    fn execute(&mut self, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        use Decoded as D;
        match i.decoded {
            D::LUI { rd, imm } => self.put(rd, bits::constant(u64::from(imm) << 12, 32)),
            D::AUIPC { rd, imm } => self.put(rd, bits::constant(i.address + (u64::from(imm) << 12), 32)),
            D::JAL { rd, offset } => {
                self.put(rd, bits::constant(i.address + i.size, 32))?;
                Ok(Next::To(ahead(i, offset)))
            }
            D::JALR { rd, rs1, offset } => {
                let base = self.graph.known(&self.get(rs1), "a jump")?;
                self.put(rd, bits::constant(i.address + i.size, 32))?;
                Ok(Next::To(u64::from((base as u32).wrapping_add_signed(offset) & !1)))
            }
            D::BEQ { rs1, rs2, offset } => {
                let differ = self.differ(rs1, rs2);
                self.branch(i, !differ, offset, decide)
            }
            D::BNE { rs1, rs2, offset } => {
                let differ = self.differ(rs1, rs2);
                self.branch(i, differ, offset, decide)
            }
            D::BLT { rs1, rs2, offset } => {
                let less = self.is_less(&self.get(rs1), &self.get(rs2), Order::Signed);
                self.branch(i, less, offset, decide)
            }
            D::BGE { rs1, rs2, offset } => {
                let less = self.is_less(&self.get(rs1), &self.get(rs2), Order::Signed);
                self.branch(i, !less, offset, decide)
            }
            D::BLTU { rs1, rs2, offset } => {
                let less = self.is_less(&self.get(rs1), &self.get(rs2), Order::Unsigned);
                self.branch(i, less, offset, decide)
            }
            D::BGEU { rs1, rs2, offset } => {
                let less = self.is_less(&self.get(rs1), &self.get(rs2), Order::Unsigned);
                self.branch(i, !less, offset, decide)
            }
            D::LB { rd, rs1, offset } => self.load(rd, rs1, offset, 1, bits::sign_extended),
            D::LH { rd, rs1, offset } => self.load(rd, rs1, offset, 2, bits::sign_extended),
            D::LW { rd, rs1, offset } => self.load(rd, rs1, offset, 4, bits::zero_extended),
            D::LBU { rd, rs1, offset } => self.load(rd, rs1, offset, 1, bits::zero_extended),
            D::LHU { rd, rs1, offset } => self.load(rd, rs1, offset, 2, bits::zero_extended),
            D::SB { rs1, rs2, offset } => self.store(rs2, rs1, offset, 1),
            D::SH { rs1, rs2, offset } => self.store(rs2, rs1, offset, 2),
            D::SW { rs1, rs2, offset } => self.store(rs2, rs1, offset, 4),
            D::ADDI { rd, rs1, imm } => {
                let sum = self.graph.add(&self.state.general[rs1 as usize], &immediate(imm), Lit::ZERO);
                self.put(rd, sum.bits)
            }
            D::SLTI { rd, rs1, imm } => self.set_less(rd, rs1, &immediate(imm), Order::Signed),
            D::SLTIU { rd, rs1, imm } => self.set_less(rd, rs1, &immediate(imm), Order::Unsigned),
            D::XORI { rd, rs1, imm } => self.logic(rd, rs1, &immediate(imm), Graph::xor),
            D::ORI { rd, rs1, imm } => self.logic(rd, rs1, &immediate(imm), Graph::or),
            D::ANDI { rd, rs1, imm } => self.logic(rd, rs1, &immediate(imm), Graph::and),
            D::SLLI { rd, rs1, shamt } => self.map(rd, rs1, |x| bits::shifted_left(x, shamt as usize)),
            D::SRLI { rd, rs1, shamt } => self.map(rd, rs1, |x| bits::shifted_right(x, shamt as usize)),
            D::SRAI { rd, rs1, shamt } => {
                self.map(rd, rs1, |x| bits::shifted_right_signed(x, shamt as usize))
            }
            D::ADD { rd, rs1, rs2 } => {
                let (a, b) = (self.get(rs1), self.get(rs2));
                let sum = self.graph.add(&a, &b, Lit::ZERO);
                self.put(rd, sum.bits)
            }
            D::SUB { rd, rs1, rs2 } => {
                let (a, b) = (self.get(rs1), self.get(rs2));
                let difference = self.graph.subtract(&a, &b, Lit::ONE);
                self.put(rd, difference.bits)
            }
            D::SLL { rd, rs1, rs2 } => self.shift(rd, rs1, rs2, bits::shifted_left),
            D::SRL { rd, rs1, rs2 } => self.shift(rd, rs1, rs2, bits::shifted_right),
            D::SRA { rd, rs1, rs2 } => self.shift(rd, rs1, rs2, bits::shifted_right_signed),
            D::SLT { rd, rs1, rs2 } => self.set_less(rd, rs1, &self.get(rs2), Order::Signed),
            D::SLTU { rd, rs1, rs2 } => self.set_less(rd, rs1, &self.get(rs2), Order::Unsigned),
            D::XOR { rd, rs1, rs2 } => self.logic(rd, rs1, &self.get(rs2), Graph::xor),
            D::OR { rd, rs1, rs2 } => self.logic(rd, rs1, &self.get(rs2), Graph::or),
            D::AND { rd, rs1, rs2 } => self.logic(rd, rs1, &self.get(rs2), Graph::and),
            // There is one core, and no device.
            D::FENCE { .. } => Ok(Next::Following),
            D::MUL { rd, rs1, rs2 } => {
                let (a, b) = self.factors(rs1, rs2)?;
                self.put(rd, bits::constant(a * b, 32))
            }
            D::MULHU { rd, rs1, rs2 } => {
                let (a, b) = self.factors(rs1, rs2)?;
                self.put(rd, bits::constant((a * b) >> 32, 32))
            }
            D::SH1ADD { rd, rs1, rs2 } => self.add_shifted(rd, rs1, rs2, 1),
            D::SH2ADD { rd, rs1, rs2 } => self.add_shifted(rd, rs1, rs2, 2),
            D::SH3ADD { rd, rs1, rs2 } => self.add_shifted(rd, rs1, rs2, 3),
            D::ANDN { rd, rs1, rs2 } => self.logic(rd, rs1, &bits::not(&self.get(rs2)), Graph::and),
            D::ORN { rd, rs1, rs2 } => self.logic(rd, rs1, &bits::not(&self.get(rs2)), Graph::or),
            D::XNOR { rd, rs1, rs2 } => self.logic(rd, rs1, &bits::not(&self.get(rs2)), Graph::xor),
            D::MAX { rd, rs1, rs2 } => self.select(rd, [rs1, rs2], Order::Signed, false),
            D::MAXU { rd, rs1, rs2 } => self.select(rd, [rs1, rs2], Order::Unsigned, false),
            D::MIN { rd, rs1, rs2 } => self.select(rd, [rs1, rs2], Order::Signed, true),
            D::MINU { rd, rs1, rs2 } => self.select(rd, [rs1, rs2], Order::Unsigned, true),
            D::SEXT_B { rd, rs1 } => self.map(rd, rs1, |x| bits::sign_extended(&x[..8], 32)),
            D::SEXT_H { rd, rs1 } => self.map(rd, rs1, |x| bits::sign_extended(&x[..16], 32)),
            D::ZEXT_H { rd, rs1 } => self.map(rd, rs1, |x| bits::zero_extended(&x[..16], 32)),
            D::ROL { rd, rs1, rs2 } => self.shift(rd, rs1, rs2, bits::rotated_left),
            D::ROR { rd, rs1, rs2 } => self.shift(rd, rs1, rs2, bits::rotated_right),
            D::RORI { rd, rs1, shamt } => self.map(rd, rs1, |x| bits::rotated_right(x, shamt as usize)),
            D::REV8 { rd, rs1 } => self.map(rd, rs1, bits::bytes_reversed),
            D::BREV8 { rd, rs1 } => {
                self.map(rd, rs1, |x| x.chunks(8).flat_map(|byte| byte.iter().rev()).copied().collect())
            }
            D::PACK { rd, rs1, rs2 } => {
                let value = [&self.get(rs1)[..16], &self.get(rs2)[..16]].concat();
                self.put(rd, value)
            }
            D::PACKH { rd, rs1, rs2 } => {
                let value = [&self.get(rs1)[..8], &self.get(rs2)[..8]].concat();
                self.put(rd, bits::zero_extended(&value, 32))
            }
            _ => Err(Fault::Unknown(i.to_string())),
        }
    }

    fn map(&mut self, rd: u32, rs1: u32, f: impl FnOnce(&[Lit]) -> Bits) -> Result<Next, Fault> {
        let value = f(&self.get(rs1));
        self.put(rd, value)
    }

    fn logic(
        &mut self,
        rd: u32,
        rs1: u32,
        second: &[Lit],
        f: impl Fn(&mut Graph, Lit, Lit) -> Lit,
    ) -> Result<Next, Fault> {
        let first = self.get(rs1);
        let value = self.graph.zip(&first, second, f);
        self.put(rd, value)
    }

    fn shift(
        &mut self,
        rd: u32,
        rs1: u32,
        rs2: u32,
        f: impl FnOnce(&[Lit], usize) -> Bits,
    ) -> Result<Next, Fault> {
        let by = self.graph.known(&self.get(rs2)[..5], "an amount of shift")? as usize;
        self.map(rd, rs1, |x| f(x, by))
    }

    fn add_shifted(&mut self, rd: u32, rs1: u32, rs2: u32, by: usize) -> Result<Next, Fault> {
        let (a, b) = (bits::shifted_left(&self.get(rs1), by), self.get(rs2));
        let sum = self.graph.add(&a, &b, Lit::ZERO);
        self.put(rd, sum.bits)
    }

    fn factors(&self, rs1: u32, rs2: u32) -> Result<(u64, u64), Fault> {
        let factor = |register| self.graph.known(&self.get(register), "a factor");
        Ok((factor(rs1)?, factor(rs2)?))
    }

    fn differ(&mut self, rs1: u32, rs2: u32) -> Lit {
        let (a, b) = (self.get(rs1), self.get(rs2));
        let difference = self.graph.xor_bits(&a, &b);
        self.graph.any(&difference)
    }

    fn is_less(&mut self, a: &[Lit], b: &[Lit], order: Order) -> Lit {
        let difference = self.graph.subtract(a, b, Lit::ONE);
        match order {
            Order::Signed => self.graph.xor(difference.bits[31], difference.overflow),
            Order::Unsigned => !difference.carry,
        }
    }

    fn set_less(&mut self, rd: u32, rs1: u32, second: &[Lit], order: Order) -> Result<Next, Fault> {
        let less = self.is_less(&self.get(rs1), second, order);
        self.put(rd, bits::zero_extended(&[less], 32))
    }

    /// The lesser of two words, or the greater one.
    fn select(&mut self, rd: u32, registers: [u32; 2], order: Order, lesser: bool) -> Result<Next, Fault> {
        let [a, b] = registers.map(|register| self.get(register));
        let less = self.is_less(&a, &b, order);
        let value = self.graph.select_bits(if lesser { less } else { !less }, &a, &b);
        self.put(rd, value)
    }

    fn branch(
        &mut self,
        i: &Instruction,
        condition: Lit,
        offset: i32,
        decide: Decision<'_>,
    ) -> Result<Next, Fault> {
        Ok(if self.decide(condition, decide)? { Next::To(ahead(i, offset)) } else { Next::Following })
    }

    /// The address of an operand, which cores want aligned.
    fn place(&self, base: u32, offset: i32, size: usize) -> Result<u64, Fault> {
        let base = self.graph.known(&self.get(base), "an address")? as u32;
        let address = u64::from(base.wrapping_add_signed(offset));
        if address.is_multiple_of(size as u64) {
            Ok(address)
        } else {
            Err(Fault::Alignment { address, size })
        }
    }

    fn load(
        &mut self,
        rd: u32,
        base: u32,
        offset: i32,
        size: usize,
        extend: impl FnOnce(&[Lit], usize) -> Bits,
    ) -> Result<Next, Fault> {
        let address = self.place(base, offset, size)?;
        let value = extend(&self.memory.read(&mut self.graph, address, size)?, 32);
        self.put(rd, value)
    }

    fn store(&mut self, register: u32, base: u32, offset: i32, size: usize) -> Result<Next, Fault> {
        let address = self.place(base, offset, size)?;
        let value = self.get(register);
        self.memory.write(address, &value[..8 * size])?;
        Ok(Next::Following)
    }
}

fn immediate(value: i32) -> Bits {
    bits::constant(u64::from(value as u32), 32)
}

/// The address at an offset from the instruction.
fn ahead(i: &Instruction, offset: i32) -> u64 {
    u64::from((i.address as u32).wrapping_add_signed(offset))
}

#[cfg(test)]
mod tests {
    use super::Core;

    #[test]
    fn cores_have_names() {
        let name = |attribute| Core::of_attribute(attribute).map(Core::name);
        assert_eq!(name("rv32i2p1_m2p0_c2p0_zmmul1p0").as_deref(), Some("riscv32imc"));
        assert_eq!(name("rv32i2p1_m2p0_a2p1_c2p0_zbb1p0_zbkb1p0").as_deref(), Some("riscv32imac zbb"));
        assert_eq!(name("rv64i2p1_m2p0"), None);
        assert_eq!(name("rv32e1p9_m2p0"), None);
    }
}
