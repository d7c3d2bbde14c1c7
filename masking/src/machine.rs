//! Runs instructions on words of any kind, and shows each thing that leaks in one of the models to an observer.

use crate::ir::{Alu, LR, NONE, Op, PC, Reg, SP, Shift, Unary, name, registers};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;

/// What an attacker is taken to see: the number of set bits of a word, or of the difference of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Model {
    /// The result of an instruction.
    Value,
    /// A register against what was in it before, and a word of memory likewise.
    Overwrite,
    /// An operand against the operand of the last instruction at the same input of the arithmetic unit, and against its neighbour.
    Operand,
    /// A result against the result before it.
    Result,
    /// A word on the bus of the memory against the word before it.
    Bus,
}

/// All of them.
pub const MODELS: [Model; 5] = [Model::Value, Model::Overwrite, Model::Operand, Model::Result, Model::Bus];

/// Words, and who looks at them.
pub trait Domain {
    /// A word.
    type Word: Clone;

    /// Called before each instruction.
    fn step(&mut self) {}

    /// A word that is known.
    fn constant(&mut self, value: u32) -> Self::Word;
    /// `a & b`.
    fn and(&mut self, a: &Self::Word, b: &Self::Word) -> Self::Word;
    /// `a ^ b`.
    fn xor(&mut self, a: &Self::Word, b: &Self::Word) -> Self::Word;
    /// The word whose bit `i` is bit `from(i)` of `a`, or 0.
    fn moved(&mut self, a: &Self::Word, from: impl Fn(u8) -> Option<u8>) -> Self::Word;
    /// Called for each word that a register or the memory gets in the place of `old`: may write it in another way.
    fn settle(&mut self, word: Self::Word, old: Option<&Self::Word>, is_stored: bool) -> Self::Word {
        let _ = (old, is_stored);
        word
    }
    /// An attacker may see `word`.
    ///
    /// # Errors
    /// If the word is too complex to be judged.
    fn seen(&mut self, model: Model, at: u32, word: &Self::Word) -> Result<()>;
    /// An attacker may see the difference of two words.
    ///
    /// # Errors
    /// As [`Self::seen`].
    fn differ(&mut self, model: Model, at: u32, old: &Self::Word, new: &Self::Word) -> Result<()> {
        let difference = self.xor(old, new);
        self.seen(model, at, &difference)
    }
}

/// A register or a word of memory: a public number such as an address, or data.
#[derive(Clone, Debug)]
pub enum Cell<W> {
    /// A public number.
    Int(u32),
    /// Data.
    Data(W),
}

impl<W> Cell<W> {
    /// The data, if it is some.
    pub fn data(&self) -> Option<&W> {
        match self {
            Cell::Int(_) => None,
            Cell::Data(word) => Some(word),
        }
    }
}

/// A processor.
pub struct Machine<D: Domain> {
    /// The words.
    pub domain: D,
    /// All registers.
    pub regs: [Cell<D::Word>; 16],
    /// Memory that was written, or set by [`Machine::put`].
    pub memory: HashMap<u32, Cell<D::Word>>,
    operands: [Cell<D::Word>; 2],
    result: Cell<D::Word>,
    bus: Cell<D::Word>,
    equal: Option<bool>,
    code: HashMap<u32, Op>,
    /// The number of instructions so far.
    pub count: u64,
}

/// Where a function returns to.
const RETURN: u32 = 0xFFFF_FFFC;

/// No kernel uses more bytes of the stack.
pub const STACK_SIZE: u32 = 0x1000;

impl<D: Domain> Machine<D> {
    /// A processor that has not begun.
    pub fn new(domain: D) -> Self {
        Self {
            domain,
            regs: std::array::from_fn(|_| Cell::Int(0)),
            memory: HashMap::new(),
            operands: [Cell::Int(0), Cell::Int(0)],
            result: Cell::Int(0),
            bus: Cell::Int(0),
            equal: None,
            code: HashMap::new(),
            count: 0,
        }
    }

    /// Forgets everything but the instructions.
    pub fn reset(&mut self) {
        self.memory.clear();
        self.regs.fill(Cell::Int(0));
        self.operands.fill(Cell::Int(0));
        (self.result, self.bus) = (Cell::Int(0), Cell::Int(0));
    }

    /// Puts instructions at an address.
    pub fn program(&mut self, address: u32, code: impl IntoIterator<Item = Op>) {
        self.code.extend((address..).step_by(4).zip(code));
    }

    /// Puts words of data into memory.
    pub fn put(&mut self, address: u32, words: impl IntoIterator<Item = impl Into<D::Word>>) {
        for (address, word) in (address..).step_by(4).zip(words) {
            self.memory.insert(address, Cell::Data(word.into()));
        }
    }

    /// Calls the function at `address` and returns when it does.
    ///
    /// # Errors
    /// If there is no instruction, or if an address or a branch would depend on data.
    pub fn call(&mut self, address: u32, stack: u32, arguments: &[u32]) -> Result<()> {
        self.enter(stack, arguments);
        self.run(address, RETURN)?;
        ensure!(self.int(SP)? == stack, "the stack is not restored");
        Ok(())
    }

    /// Sets the registers as a call does.
    pub fn enter(&mut self, stack: u32, arguments: &[u32]) {
        for (reg, argument) in self.regs.iter_mut().zip(arguments) {
            *reg = Cell::Int(*argument);
        }
        self.regs[usize::from(SP)] = Cell::Int(stack);
        self.regs[usize::from(LR)] = Cell::Int(RETURN);
    }

    /// Runs at least one instruction, until the next one is at `until` or the function returns. Says whether the former is the case.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn run(&mut self, from: u32, until: u32) -> Result<bool> {
        let mut pc = from;
        loop {
            let op = *self.code.get(&pc).with_context(|| format!("no instruction is at {pc:#x}"))?;
            self.count += 1;
            self.domain.step();
            pc = self.step(op, pc, pc + 4).with_context(|| format!("at {pc:#x}: {op}"))?;
            if pc == RETURN || pc == until {
                return Ok(pc != RETURN);
            }
        }
    }

    /// Whether nothing but public numbers is in the registers, at the inputs of the arithmetic unit, in its last result, on the bus and in the memory
    /// below the stack pointer.
    #[must_use]
    pub fn is_public(&self) -> bool {
        let Ok(stack) = self.int(SP) else { return false };
        let below = stack.saturating_sub(STACK_SIZE)..stack;
        let others = [&self.result, &self.bus];
        let memory = self.memory.iter().filter(|(address, _)| below.contains(address)).map(|(_, cell)| cell);
        let mut all = self.regs.iter().chain(&self.operands).chain(others).chain(memory);
        all.all(|cell| matches!(cell, Cell::Int(_)))
    }

    /// The public number in a register.
    ///
    /// # Errors
    /// If data is there.
    pub fn int(&self, reg: Reg) -> Result<u32> {
        match self.regs[usize::from(reg)] {
            Cell::Int(value) => Ok(value),
            Cell::Data(_) => bail!("{} holds data where an address is needed", name(reg)),
        }
    }

    fn word(&mut self, cell: &Cell<D::Word>) -> D::Word {
        match cell {
            Cell::Int(value) => self.domain.constant(*value),
            Cell::Data(word) => word.clone(),
        }
    }

    /// Shows the difference of two cells, if one of them is data.
    fn differ(&mut self, model: Model, at: u32, old: &Cell<D::Word>, new: &Cell<D::Word>) -> Result<()> {
        match (old, new) {
            (Cell::Int(_), Cell::Int(_)) => Ok(()),
            (Cell::Int(0), Cell::Data(word)) | (Cell::Data(word), Cell::Int(0)) => {
                self.domain.seen(model, at, word)
            }
            _ => {
                let (old, new) = (self.word(old), self.word(new));
                self.domain.differ(model, at, &old, &new)
            }
        }
    }

    /// Writes a register.
    fn set(&mut self, at: u32, reg: Reg, value: Cell<D::Word>) -> Result<()> {
        let value = match value {
            Cell::Data(word) => {
                let old = self.regs[usize::from(reg)].data();
                Cell::Data(self.domain.settle(word, old, false))
            }
            int => int,
        };
        if let Cell::Data(word) = &value {
            self.domain.seen(Model::Value, at, word)?;
        }
        let old = std::mem::replace(&mut self.regs[usize::from(reg)], value.clone());
        self.differ(Model::Overwrite, at, &old, &value)?;
        let before = std::mem::replace(&mut self.result, value.clone());
        self.differ(Model::Result, at, &before, &value)
    }

    /// Feeds both inputs of the arithmetic unit.
    fn feed(&mut self, at: u32, a: &Cell<D::Word>, b: &Cell<D::Word>) -> Result<()> {
        self.differ(Model::Operand, at, a, b)?;
        let before = std::mem::replace(&mut self.operands, [a.clone(), b.clone()]);
        self.differ(Model::Operand, at, &before[0], a)?;
        self.differ(Model::Operand, at, &before[1], b)
    }

    fn on_bus(&mut self, at: u32, value: &Cell<D::Word>) -> Result<()> {
        let before = std::mem::replace(&mut self.bus, value.clone());
        self.differ(Model::Bus, at, &before, value)
    }

    fn load(&mut self, at: u32, reg: Reg, address: u32) -> Result<()> {
        ensure!(address.is_multiple_of(4), "address {address:#x} is not aligned");
        let value = self.memory.get(&address).with_context(|| format!("nobody wrote {address:#x}"))?.clone();
        self.on_bus(at, &value)?;
        self.set(at, reg, value)
    }

    fn store(&mut self, at: u32, reg: Reg, address: u32) -> Result<()> {
        ensure!(address.is_multiple_of(4), "address {address:#x} is not aligned");
        let value = match self.regs[usize::from(reg)].clone() {
            Cell::Data(word) => {
                let old = self.memory.get(&address).and_then(Cell::data);
                Cell::Data(self.domain.settle(word, old, true))
            }
            int => int,
        };
        self.on_bus(at, &value)?;
        if let Some(old) = self.memory.insert(address, value.clone()) {
            self.differ(Model::Overwrite, at, &old, &value)?;
        }
        Ok(())
    }

    fn shifted(&mut self, cell: &Cell<D::Word>, shift: Shift) -> Cell<D::Word> {
        match (cell, shift) {
            (_, NONE) => cell.clone(),
            (Cell::Int(x), Shift::Lsl(by)) => Cell::Int(x << by),
            (Cell::Int(x), Shift::Lsr(by)) => Cell::Int(x >> by),
            (Cell::Int(x), Shift::Ror(by)) => Cell::Int(x.rotate_right(by.into())),
            (Cell::Data(x), Shift::Lsl(by)) => Cell::Data(self.domain.moved(x, |i| i.checked_sub(by))),
            (Cell::Data(x), Shift::Lsr(by)) => {
                Cell::Data(self.domain.moved(x, |i| Some(i + by).filter(|from| *from < 32)))
            }
            (Cell::Data(x), Shift::Ror(by)) => Cell::Data(self.domain.moved(x, |i| Some((i + by) % 32))),
        }
    }

    fn alu(&mut self, op: Alu, a: &Cell<D::Word>, b: &Cell<D::Word>) -> Result<Cell<D::Word>> {
        if let (Cell::Int(a), Cell::Int(b)) = (a, b) {
            return Ok(Cell::Int(match op {
                Alu::And => a & b,
                Alu::Bic => a & !b,
                Alu::Orr => a | b,
                Alu::Orn => a | !b,
                Alu::Eor => a ^ b,
                Alu::Add => a.wrapping_add(*b),
                Alu::Sub => a.wrapping_sub(*b),
            }));
        }
        let (a, b) = (self.word(a), self.word(b));
        let domain = &mut self.domain;
        let all = domain.constant(!0);
        Ok(Cell::Data(match op {
            Alu::And => domain.and(&a, &b),
            Alu::Eor => domain.xor(&a, &b),
            Alu::Bic => {
                let b = domain.xor(&b, &all);
                domain.and(&a, &b)
            }
            Alu::Orr | Alu::Orn => {
                // a | b = !(!a & !b)
                let a = domain.xor(&a, &all);
                let b = if op == Alu::Orr { domain.xor(&b, &all) } else { b };
                let both = domain.and(&a, &b);
                domain.xor(&both, &all)
            }
            Alu::Add | Alu::Sub => bail!("arithmetic on data"),
        }))
    }

    /// Does one instruction, and returns where the next one is.
    fn step(&mut self, op: Op, at: u32, next: u32) -> Result<u32> {
        let zero = Cell::Int(0);
        let reg = |machine: &Self, reg: Reg| machine.regs[usize::from(reg)].clone();
        match op {
            Op::Reg { op, rd, rn, rm, shift } => {
                let (a, b) = (reg(self, rn), reg(self, rm));
                self.feed(at, &a, &b)?;
                let b = self.shifted(&b, shift);
                let value = self.alu(op, &a, &b)?;
                self.set(at, rd, value)?;
            }
            Op::Imm { op, rd, rn, imm } => {
                let (a, b) = (reg(self, rn), Cell::Int(imm));
                self.feed(at, &a, &b)?;
                let value = self.alu(op, &a, &b)?;
                self.set(at, rd, value)?;
            }
            Op::Mov { rd, rm, shift } => {
                let b = reg(self, rm);
                self.feed(at, &zero, &b)?;
                let value = self.shifted(&b, shift);
                self.set(at, rd, value)?;
            }
            Op::MovImm { rd, imm } => {
                self.feed(at, &zero, &Cell::Int(imm))?;
                self.set(at, rd, Cell::Int(imm))?;
            }
            Op::Unary { op, rd, rm } => {
                let b = reg(self, rm);
                self.feed(at, &zero, &b)?;
                let from = |i: u8| match op {
                    Unary::Rev => i ^ 24,
                    Unary::Rev16 => i ^ 8,
                    Unary::Rbit => i ^ 31,
                };
                let value = match b {
                    Cell::Int(_) => bail!("an address is not moved"),
                    Cell::Data(word) => Cell::Data(self.domain.moved(&word, |i| Some(from(i)))),
                };
                self.set(at, rd, value)?;
            }
            Op::Bfi { rd, rn, lsb, width } => {
                let (a, b) = (reg(self, rd), reg(self, rn));
                self.feed(at, &a, &b)?;
                let (a, b) = (self.word(&a), self.word(&b));
                let within = |i: u8| (lsb..lsb + width).contains(&i);
                let kept = self.domain.moved(&a, |i| Some(i).filter(|i| !within(*i)));
                let new = self.domain.moved(&b, |i| within(i).then(|| i - lsb));
                let value = self.domain.xor(&kept, &new);
                self.set(at, rd, Cell::Data(value))?;
            }
            Op::Ldr { rt, rn, offset } => {
                let address = self.int(rn)? + u32::from(offset);
                self.load(at, rt, address)?;
            }
            Op::Str { rt, rn, offset } => {
                let address = self.int(rn)? + u32::from(offset);
                self.store(at, rt, address)?;
            }
            Op::Ldrd { rt, rt2, rn, offset } => {
                let address = self.int(rn)? + u32::from(offset);
                self.load(at, rt, address)?;
                self.load(at, rt2, address + 4)?;
            }
            Op::Strd { rt, rt2, rn, offset } => {
                let address = self.int(rn)? + u32::from(offset);
                self.store(at, rt, address)?;
                self.store(at, rt2, address + 4)?;
            }
            Op::Ldm { rn, writes_back, list } => {
                let mut address = self.int(rn)?;
                for rt in registers(list) {
                    self.load(at, rt, address)?;
                    address += 4;
                }
                if writes_back {
                    self.regs[usize::from(rn)] = Cell::Int(address);
                }
                if list >> PC & 1 == 1 {
                    return self.int(PC);
                }
            }
            Op::Stmdb { rn, list } => {
                let start = self.int(rn)? - 4 * list.count_ones();
                for (rt, address) in registers(list).zip((start..).step_by(4)) {
                    self.store(at, rt, address)?;
                }
                self.regs[usize::from(rn)] = Cell::Int(start);
            }
            Op::Cmp { rn, rm } => self.equal = Some(self.int(rn)? == self.int(rm)?),
            Op::Bne { by } => {
                if !self.equal.context("a branch without a comparison")? {
                    return Ok(at.wrapping_add_signed(by));
                }
            }
        }
        Ok(next)
    }
}
