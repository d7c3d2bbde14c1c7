//! Instructions on general registers, and those that lead elsewhere.

use super::{Decision, Flags, Machine, Next, is_immediate};
use crate::{
    bits::{self, Bits, Sum},
    fault::Fault,
    graph::{Graph, Lit},
};
use iced_x86::{ConditionCode, Instruction, Mnemonic, OpKind, Register};

impl Machine {
    /// The width of an operand that is not an immediate.
    fn width(i: &Instruction, operand: u32) -> usize {
        match i.op_kind(operand) {
            OpKind::Register => 8 * i.op_register(operand).size(),
            _ => 8 * i.memory_size().size(),
        }
    }

    /// Both operands, in the width of the first.
    fn both(&mut self, i: &Instruction) -> Result<(Bits, Bits), Fault> {
        let (a, mut b) = (self.operand(i, 0)?, self.operand(i, 1)?);
        if is_immediate(i.op_kind(1)) {
            b = bits::constant(i.immediate(1), a.len());
        }
        Ok((a, b))
    }

    pub(super) fn mov(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = Self::width(i, 0);
        let value = if is_immediate(i.op_kind(1)) {
            bits::constant(i.immediate(1), width)
        } else {
            self.operand(i, 1)?
        };
        self.set_operand(i, 0, &value)?;
        Ok(Next::Following)
    }

    pub(super) fn mov_extended(
        &mut self,
        i: &Instruction,
        extend: impl Fn(&[Lit], usize) -> Bits,
    ) -> Result<Next, Fault> {
        let value = self.operand(i, 1)?;
        self.set_operand(i, 0, &extend(&value, Self::width(i, 0)))?;
        Ok(Next::Following)
    }

    /// The sum may depend on inputs: only an access needs a known address.
    pub(super) fn lea(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let mut sum = match i.memory_base() {
            Register::None | Register::RIP => bits::constant(0, 64),
            base => bits::zero_extended(&self.register(base)?, 64),
        };
        let displacement = bits::constant(i.memory_displacement64(), 64);
        if i.memory_index() != Register::None {
            let index = bits::zero_extended(&self.register(i.memory_index())?, 64);
            let scaled = bits::shifted_left(&index, i.memory_index_scale().trailing_zeros() as usize);
            sum = self.graph.add(&sum, &scaled, Lit::ZERO).bits;
        }
        let sum = self.graph.add(&sum, &displacement, Lit::ZERO).bits;
        let width = Self::width(i, 0);
        self.set_operand(i, 0, &sum[..width])?;
        Ok(Next::Following)
    }

    pub(super) fn logic(
        &mut self,
        i: &Instruction,
        f: impl Fn(&mut Graph, Lit, Lit) -> Lit,
    ) -> Result<Next, Fault> {
        let (a, b) = self.both(i)?;
        let result = self.graph.zip(&a, &b, f);
        if i.mnemonic() != Mnemonic::Test {
            self.set_operand(i, 0, &result)?;
        }
        self.state.flags =
            Flags { carry: Lit::ZERO, overflow: Lit::ZERO, sign: result[result.len() - 1], zero_of: result };
        Ok(Next::Following)
    }

    pub(super) fn sum(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (a, b) = match i.mnemonic() {
            Mnemonic::Inc | Mnemonic::Dec => {
                let a = self.operand(i, 0)?;
                let one = bits::constant(1, a.len());
                (a, one)
            }
            Mnemonic::Neg => {
                let b = self.operand(i, 0)?;
                (bits::constant(0, b.len()), b)
            }
            _ => self.both(i)?,
        };
        let carry = self.state.flags.carry;
        let g = &mut self.graph;
        let (Sum { bits: result, carry: out, overflow }, borrows) = match i.mnemonic() {
            Mnemonic::Add | Mnemonic::Inc => (g.add(&a, &b, Lit::ZERO), false),
            Mnemonic::Adc => (g.add(&a, &b, carry), false),
            Mnemonic::Sbb => (g.subtract(&a, &b, !carry), true),
            _ => (g.subtract(&a, &b, Lit::ONE), true),
        };
        if i.mnemonic() != Mnemonic::Cmp {
            self.set_operand(i, 0, &result)?;
        }
        let carry = match i.mnemonic() {
            Mnemonic::Inc | Mnemonic::Dec => carry,
            _ if borrows => !out,
            _ => out,
        };
        self.state.flags = Flags { carry, overflow, sign: result[result.len() - 1], zero_of: result };
        Ok(Next::Following)
    }

    pub(super) fn not(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let value = self.operand(i, 0)?;
        self.set_operand(i, 0, &bits::not(&value))?;
        Ok(Next::Following)
    }

    pub(super) fn shift(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let value = self.operand(i, 0)?;
        let width = value.len();
        let by = self.operand(i, 1)?;
        let mask = if width == 64 { 63 } else { 31 };
        let by = (self.graph.known(&by[..8], "an amount of shift")? & mask) as usize;
        if by == 0 {
            // No flag changes, but the upper half of a 32-bit register does.
            self.set_operand(i, 0, &value)?;
            return Ok(Next::Following);
        }
        let undefined = self.graph.unset();
        let top = width - 1;
        let bit = |at: Option<usize>| at.and_then(|at| value.get(at).copied());
        let (result, carry) = match i.mnemonic() {
            Mnemonic::Shl | Mnemonic::Sal => {
                (bits::shifted_left(&value, by), bit(width.checked_sub(by)).unwrap_or(undefined))
            }
            Mnemonic::Shr => (bits::shifted_right(&value, by), bit(Some(by - 1)).unwrap_or(undefined)),
            Mnemonic::Sar => (bits::shifted_right_signed(&value, by), value[(by - 1).min(top)]),
            Mnemonic::Rol => {
                let result = bits::rotated_left(&value, by);
                let carry = result[0];
                (result, carry)
            }
            _ => {
                let result = bits::rotated_right(&value, by);
                let carry = result[top];
                (result, carry)
            }
        };
        self.set_operand(i, 0, &result)?;
        // The manual defines the overflow flag for shifts by 1 only: code that asks for it is refused.
        self.state.flags.overflow = undefined;
        self.state.flags.carry = carry;
        if !matches!(i.mnemonic(), Mnemonic::Rol | Mnemonic::Ror) {
            self.state.flags.sign = result[top];
            self.state.flags.zero_of = result;
        }
        Ok(Next::Following)
    }

    /// `shld` and `shrd`: one word that takes in the bits of another.
    pub(super) fn double_shift(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (value, other) = (self.operand(i, 0)?, self.operand(i, 1)?);
        let width = value.len();
        let by = self.operand(i, 2)?;
        let mask = if width == 64 { 63 } else { 31 };
        let by = (self.graph.known(&by[..8], "an amount of shift")? & mask) as usize;
        if by == 0 || width == 16 {
            // By zero no flag changes, and words of 16 bits have results that are undefined: no compiler makes them.
            return Err(Fault::Unknown(i.to_string()));
        }
        let (result, carry) = if i.mnemonic() == Mnemonic::Shld {
            ([&other[width - by..], &value[..width - by]].concat(), value[width - by])
        } else {
            ([&value[by..], &other[..by]].concat(), value[by - 1])
        };
        self.set_operand(i, 0, &result)?;
        // As of shifts.
        let overflow = self.graph.unset();
        self.state.flags = Flags { carry, overflow, sign: result[width - 1], zero_of: result };
        Ok(Next::Following)
    }

    /// `bt`, and `bts`, which sets the bit: of a register, because a number in a register may lead far away in memory.
    pub(super) fn test_bit(&mut self, i: &Instruction) -> Result<Next, Fault> {
        if i.op_kind(0) != OpKind::Register {
            return Err(Fault::Unknown(i.to_string()));
        }
        let (mut value, place) = self.both(i)?;
        let place = self.graph.known(&place, "the place of a bit")? as usize % value.len();
        self.state.flags.carry = value[place];
        self.state.flags.overflow = self.graph.unset();
        self.state.flags.sign = self.graph.unset();
        if i.mnemonic() == Mnemonic::Bts {
            value[place] = Lit::ONE;
            self.set_operand(i, 0, &value)?;
        }
        Ok(Next::Following)
    }

    pub(super) fn imul(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let width = Self::width(i, 0);
        let (a, b) = match i.op_count() {
            2 => self.both(i)?,
            3 => (self.operand(i, 1)?, bits::constant(i.immediate(2), width)),
            _ => return Err(Fault::Unknown(i.to_string())),
        };
        // Multipliers may take a time that depends on what they multiply, unless a constant does.
        let (a, b) = if bits::value(&b).is_some() { (a, b) } else { (b, a) };
        let product = self.graph.multiply(&a, &b);
        self.set_operand(i, 0, &product)?;
        let mut undefined = || self.graph.unset();
        self.state.flags = Flags {
            carry: undefined(),
            overflow: undefined(),
            sign: undefined(),
            zero_of: vec![undefined()],
        };
        Ok(Next::Following)
    }

    pub(super) fn bswap(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let value = self.operand(i, 0)?;
        self.set_operand(i, 0, &bits::bytes_reversed(&value))?;
        Ok(Next::Following)
    }

    pub(super) fn xchg(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (a, b) = (self.operand(i, 0)?, self.operand(i, 1)?);
        self.set_operand(i, 0, &b)?;
        self.set_operand(i, 1, &a)?;
        Ok(Next::Following)
    }

    fn condition(&mut self, code: ConditionCode) -> Result<Lit, Fault> {
        use ConditionCode as C;
        let flags = self.state.flags.clone();
        let g = &mut self.graph;
        let less = |g: &mut Graph| g.xor(flags.sign, flags.overflow);
        Ok(match code {
            C::e => !g.any(&flags.zero_of),
            C::ne => g.any(&flags.zero_of),
            C::b => flags.carry,
            C::ae => !flags.carry,
            C::be | C::a => {
                let not_equal = g.any(&flags.zero_of);
                let above = g.and(not_equal, !flags.carry);
                if code == C::a { above } else { !above }
            }
            C::s => flags.sign,
            C::ns => !flags.sign,
            C::o => flags.overflow,
            C::no => !flags.overflow,
            C::l => less(g),
            C::ge => !less(g),
            C::le | C::g => {
                let (not_equal, less) = (g.any(&flags.zero_of), less(g));
                let greater = g.and(not_equal, !less);
                if code == C::g { greater } else { !greater }
            }
            _ => return Err(Fault::Unknown(format!("with condition {code:?}"))),
        })
    }

    pub(super) fn set_on_condition(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let condition = self.condition(i.condition_code())?;
        let mut value = bits::constant(0, 8);
        value[0] = condition;
        self.set_operand(i, 0, &value)?;
        Ok(Next::Following)
    }

    pub(super) fn mov_on_condition(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let condition = self.condition(i.condition_code())?;
        let (a, b) = (self.operand(i, 0)?, self.operand(i, 1)?);
        let value = self.graph.select_bits(condition, &b, &a);
        self.set_operand(i, 0, &value)?;
        Ok(Next::Following)
    }

    pub(super) fn jump_on_condition(&mut self, i: &Instruction, decide: Decision<'_>) -> Result<Next, Fault> {
        let condition = self.condition(i.condition_code())?;
        let taken = self.decide(condition, decide)?;
        Ok(if taken { Next::To(i.near_branch_target()) } else { Next::Following })
    }

    fn target(&mut self, i: &Instruction) -> Result<u64, Fault> {
        if i.op_kind(0) == OpKind::NearBranch64 {
            return Ok(i.near_branch_target());
        }
        let target = self.operand(i, 0)?;
        self.graph.known(&target, "a jump")
    }

    pub(super) fn jmp(&mut self, i: &Instruction) -> Result<Next, Fault> {
        Ok(Next::To(self.target(i)?))
    }

    pub(super) fn call_instruction(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let target = self.target(i)?;
        self.push(&bits::constant(i.next_ip(), 64))?;
        Ok(Next::To(target))
    }

    pub(super) fn ret(&mut self, i: &Instruction) -> Result<Next, Fault> {
        if i.op_count() != 0 {
            return Err(Fault::Unknown(i.to_string()));
        }
        Ok(Next::To(self.pop_address()?))
    }

    pub(super) fn push_instruction(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let value = self.operand(i, 0)?;
        if value.len() != 64 {
            return Err(Fault::Unknown(i.to_string()));
        }
        let value = if is_immediate(i.op_kind(0)) { bits::constant(i.immediate(0), 64) } else { value };
        self.push(&value)?;
        Ok(Next::Following)
    }

    pub(super) fn pop_instruction(&mut self, i: &Instruction) -> Result<Next, Fault> {
        if i.op_kind(0) != OpKind::Register || Self::width(i, 0) != 64 {
            return Err(Fault::Unknown(i.to_string()));
        }
        let value = self.pop()?;
        self.set_operand(i, 0, &value)?;
        Ok(Next::Following)
    }

    /// `rep stos` and `rep movs`, upwards: the ABI has the direction flag clear.
    pub(super) fn repeated(&mut self, i: &Instruction) -> Result<Next, Fault> {
        let (rcx, rsi, rdi) = (1, 6, 7);
        if !i.has_rep_prefix() {
            return Err(Fault::Unknown(i.to_string()));
        }
        let (stores, size) = match i.mnemonic() {
            Mnemonic::Stosb => (true, 1),
            Mnemonic::Stosd => (true, 4),
            Mnemonic::Stosq => (true, 8),
            Mnemonic::Movsb => (false, 1),
            Mnemonic::Movsd => (false, 4),
            _ => (false, 8),
        };
        let known = |register: usize| self.graph.known(&self.state.general[register], "an address");
        let (mut to, count) = (known(rdi)?, known(rcx)?);
        let mut from = if stores { 0 } else { known(rsi)? };
        for _ in 0..count {
            let value = if stores {
                self.state.general[0][..8 * size].to_vec()
            } else {
                self.memory.read(&mut self.graph, from, size)?
            };
            self.memory.write(to, &value)?;
            (to, from) = (to.wrapping_add(size as u64), from.wrapping_add(size as u64));
        }
        self.state.general[rdi] = bits::constant(to, 64);
        if !stores {
            self.state.general[rsi] = bits::constant(from, 64);
        }
        self.state.general[rcx] = bits::constant(0, 64);
        Ok(Next::Following)
    }

    /// What the modelled CPU has.
    pub(super) fn cpuid(&mut self) -> Result<Next, Fault> {
        let leaf = self.graph.known(&self.state.general[0][..32], "a leaf")?;
        for (register, value) in [0, 3, 1, 2].into_iter().zip(self.isa.cpuid(leaf)) {
            self.state.general[register] = bits::constant(value, 64);
        }
        Ok(Next::Following)
    }

    /// The operating system saves all registers.
    pub(super) fn xgetbv(&mut self) -> Result<Next, Fault> {
        self.state.general[0] = bits::constant(0xe7, 64);
        self.state.general[2] = bits::constant(0, 64);
        Ok(Next::Following)
    }
}
