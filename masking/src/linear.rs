//! Straight code on the words of one share: values with names, and registers chosen for them.
//!
//! Such code cannot leak in any of the models, as long as all masks are independent: what an attacker sees is a sum of bits of one share, and
//! contains a mask wherever it contains a secret.

use crate::ir::{Alu, NONE, Op, Reg, Shift, Unary};

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(usize);

#[derive(Clone, Copy)]
enum Node {
    Load(Reg, u16),
    LoadAt(Value, u16),
    Reg(Alu, Value, Value, Shift),
    Imm(Alu, Value, u32),
    Mov(Value, Shift),
    Unary(Unary, Value),
    Bfi(Value, Value, u8, u8),
}

enum Item {
    Let(Value, Node),
    LoadMany(Reg, Vec<Value>),
    Store(Value, Reg, u16),
    Store2(Value, Value, Reg, u16),
}

/// Code that is being written.
#[derive(Default)]
pub struct Linear {
    items: Vec<Item>,
    count: usize,
}

impl Linear {
    fn new_value(&mut self) -> Value {
        self.count += 1;
        Value(self.count - 1)
    }

    fn add(&mut self, node: Node) -> Value {
        let value = self.new_value();
        self.items.push(Item::Let(value, node));
        value
    }

    /// Loads a word.
    pub fn load(&mut self, base: Reg, offset: u16) -> Value {
        self.add(Node::Load(base, offset))
    }

    /// Loads a word from an address that is a value.
    pub fn load_at(&mut self, address: Value, offset: u16) -> Value {
        self.add(Node::LoadAt(address, offset))
    }

    /// Loads words that follow each other, from the address in `base` on.
    pub fn load_many(&mut self, base: Reg, count: usize) -> Vec<Value> {
        let values: Vec<Value> = (0..count).map(|_| self.new_value()).collect();
        self.items.push(Item::LoadMany(base, values.clone()));
        values
    }

    /// An operation on two values.
    pub fn reg(&mut self, op: Alu, a: Value, b: Value, shift: Shift) -> Value {
        self.add(Node::Reg(op, a, b, shift))
    }

    /// `a ^ b`.
    pub fn eor(&mut self, a: Value, b: Value) -> Value {
        self.reg(Alu::Eor, a, b, NONE)
    }

    /// `a | b`, where `b` is moved before. At most one of two bits may be set.
    pub fn join(&mut self, a: Value, b: Value, shift: Shift) -> Value {
        self.reg(Alu::Orr, a, b, shift)
    }

    /// An operation on a value and a constant.
    pub fn imm(&mut self, op: Alu, a: Value, imm: u32) -> Value {
        self.add(Node::Imm(op, a, imm))
    }

    /// A value whose bits are moved.
    pub fn shift(&mut self, a: Value, shift: Shift) -> Value {
        self.add(Node::Mov(a, shift))
    }

    /// A value whose bits are moved.
    pub fn unary(&mut self, op: Unary, a: Value) -> Value {
        self.add(Node::Unary(op, a))
    }

    /// `a` with `width` bits from `lsb` on replaced by the lowest of `b`. Nothing else may use `a` later.
    pub fn insert(&mut self, a: Value, b: Value, lsb: u8, width: u8) -> Value {
        self.add(Node::Bfi(a, b, lsb, width))
    }

    /// Stores a word.
    pub fn store(&mut self, value: Value, base: Reg, offset: u16) {
        self.items.push(Item::Store(value, base, offset));
    }

    /// Stores two words.
    pub fn store2(&mut self, first: Value, second: Value, base: Reg, offset: u16) {
        self.items.push(Item::Store2(first, second, base, offset));
    }

    /// The code, with its values in `registers`, which ascend.
    ///
    /// # Panics
    /// If there are too few registers.
    #[must_use]
    pub fn code(&self, registers: &[Reg]) -> Vec<Op> {
        let mut last_use = vec![0; self.count];
        for (n, item) in self.items.iter().enumerate() {
            let used: Vec<Value> = match item {
                Item::Let(_, node) => node.operands(),
                Item::LoadMany(..) => Vec::new(),
                Item::Store(value, ..) => vec![*value],
                Item::Store2(first, second, ..) => vec![*first, *second],
            };
            for value in used {
                last_use[value.0] = n;
            }
        }
        let mut free = registers.to_vec();
        let mut home = vec![None; self.count];
        let mut code = Vec::new();
        for (n, item) in self.items.iter().enumerate() {
            let at = |home: &[Option<Reg>], value: Value| home[value.0].expect("a value that was made");
            let release = |home: &[Option<Reg>], free: &mut Vec<Reg>, value: Value| {
                let reg = at(home, value);
                if last_use[value.0] == n && !free.contains(&reg) {
                    free.push(reg);
                    free.sort_unstable();
                }
            };
            match item {
                Item::Let(value, node) => {
                    for operand in node.operands() {
                        release(&home, &mut free, operand);
                    }
                    let place = match node {
                        // The register of the operand is that of the result.
                        Node::Bfi(a, ..) => {
                            let reg = at(&home, *a);
                            free.iter().position(|other| *other == reg).expect("a value of no further use")
                        }
                        _ => 0,
                    };
                    assert!(!free.is_empty(), "too few registers");
                    let rd = free.remove(place);
                    let get = |value: &Value| at(&home, *value);
                    code.push(match node {
                        Node::Load(rn, offset) => Op::Ldr { rt: rd, rn: *rn, offset: *offset },
                        Node::LoadAt(address, offset) => {
                            Op::Ldr { rt: rd, rn: get(address), offset: *offset }
                        }
                        Node::Reg(op, a, b, shift) => {
                            Op::Reg { op: *op, rd, rn: get(a), rm: get(b), shift: *shift }
                        }
                        Node::Imm(op, a, imm) => Op::Imm { op: *op, rd, rn: get(a), imm: *imm },
                        Node::Mov(a, shift) => Op::Mov { rd, rm: get(a), shift: *shift },
                        Node::Unary(op, a) => Op::Unary { op: *op, rd, rm: get(a) },
                        Node::Bfi(_, b, lsb, width) => Op::Bfi { rd, rn: get(b), lsb: *lsb, width: *width },
                    });
                    home[value.0] = Some(rd);
                }
                Item::LoadMany(rn, values) => {
                    let regs: Vec<Reg> = free.drain(..values.len()).collect();
                    let list = regs.iter().fold(0, |list, reg| list | 1 << reg);
                    for (value, reg) in values.iter().zip(regs) {
                        home[value.0] = Some(reg);
                    }
                    code.push(Op::Ldm { rn: *rn, writes_back: false, list });
                }
                Item::Store(value, rn, offset) => {
                    code.push(Op::Str { rt: at(&home, *value), rn: *rn, offset: *offset });
                    release(&home, &mut free, *value);
                }
                Item::Store2(first, second, rn, offset) => {
                    let (rt, rt2) = (at(&home, *first), at(&home, *second));
                    code.push(Op::Strd { rt, rt2, rn: *rn, offset: *offset });
                    release(&home, &mut free, *first);
                    release(&home, &mut free, *second);
                }
            }
        }
        code
    }
}

impl Node {
    fn operands(&self) -> Vec<Value> {
        match *self {
            Node::Load(..) => Vec::new(),
            Node::Reg(_, a, b, _) | Node::Bfi(a, b, ..) => vec![a, b],
            Node::LoadAt(a, _) | Node::Imm(_, a, _) | Node::Mov(a, _) | Node::Unary(_, a) => vec![a],
        }
    }
}
