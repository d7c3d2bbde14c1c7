//! Makes the masked kernels.
//!
//! # Memory
//! A half of the state is eight words: planes 0 to 3 of share a, then of share b. The lanes are those of the unmasked kernels for ARMv7-M
//! (`twine/src/backends/thumb/v7m.rs`). Round keys have the same eight words a round.
//!
//! # Between the shares
//! Code on one share is clean in all models. Between the code on share a and that on share b all registers become zero, and a public word goes over
//! the bus.

use crate::{
    ADD, DOUBLE, ENCRYPT, REFRESH, SCHEDULE_80, SCHEDULE_128, SELECT, TIMES_16, circuit, consts,
    ir::{Alu, LR, NONE, Op, PC, Reg, SP, Shift, Unary},
    linear::{Linear, Value},
    placement::NIBBLE_OF_LANE,
    sbox::Sbox,
};
use std::fmt::Write as _;

/// The registers for data. r0 always points to round keys.
const DATA: [Reg; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, LR];

/// In round `r` the S-box output moves from lane `p` to lane `p ^ x`, for `x` = 0, 1, 4, 2.
const MOVES: [Move; 4] = [Move::Nothing, Move::Unary(Unary::Rev16), Move::Unary(Unary::Rbit), Move::Ror16];

#[derive(Clone, Copy)]
enum Move {
    Nothing,
    Unary(Unary),
    Ror16,
}

/// The last byte.
const LAST: u32 = 0xFF00_0000;
/// Bit 0 of each nibble.
const PLANE: u32 = 0x1111_1111;
/// The low nibbles of bytes.
const LOW: u32 = 0x0F0F_0F0F;
/// The complement of the outputs of the S-box circuit, in all nibbles.
const OUTPUT_COMPLEMENT: u32 = PLANE * circuit::OUTPUT_COMPLEMENT as u32;
/// That of its inputs.
const INPUT_COMPLEMENT: u32 = PLANE * circuit::INPUT_COMPLEMENT as u32;
/// The bytes of the round keys.
const KEYS: u32 = 32 * consts::ROUNDS as u32;

/// A kernel.
#[derive(Clone)]
pub struct Kernel {
    /// Its symbol.
    pub name: &'static str,
    /// What it does, and its arguments.
    pub about: &'static str,
    /// Its instructions. Branches lead to [`Kernel::label`].
    pub code: Vec<Op>,
    /// The number of the instruction that the loop begins with.
    pub label: Option<usize>,
}

impl Kernel {
    /// The instructions, with branches that lead to the label.
    pub fn instructions(&self) -> impl Iterator<Item = Op> {
        let label = self.label.unwrap_or(0);
        self.code.iter().enumerate().map(move |(n, op)| match op {
            Op::Bne { .. } => Op::Bne { by: 4 * (label as i32 - n as i32) },
            op => *op,
        })
    }
}

#[derive(Default)]
struct Builder {
    code: Vec<Op>,
    label: Option<usize>,
}

fn list(regs: &[Reg]) -> u16 {
    regs.iter().fold(0, |list, reg| list | 1 << reg)
}

impl Builder {
    fn op(&mut self, op: Op) {
        self.code.push(op);
    }

    fn zero(&mut self, regs: impl IntoIterator<Item = Reg>) {
        self.code.extend(regs.into_iter().map(|rd| Op::MovImm { rd, imm: 0 }));
    }

    /// Between shares: `public` is the place on the stack of a public word.
    fn wall(&mut self, public: u16) {
        self.op(Op::Ldr { rt: LR, rn: SP, offset: public });
        self.zero(DATA);
    }

    /// Erases 32 bytes on the stack, after a wall.
    fn erase(&mut self, place: u16) {
        for offset in (place..place + 32).step_by(8) {
            self.op(Op::Strd { rt: 1, rt2: 2, rn: SP, offset });
        }
    }

    fn linear(&mut self, write: impl FnOnce(&mut Linear)) {
        self.linear_in(&DATA, write);
    }

    fn linear_in(&mut self, registers: &[Reg], write: impl FnOnce(&mut Linear)) {
        let mut linear = Linear::default();
        write(&mut linear);
        self.code.extend(linear.code(registers));
    }

    fn enter(&mut self, frame: u32) {
        self.op(Op::Stmdb { rn: SP, list: list(&[4, 5, 6, 7, 8, 9, 10, 11, LR]) });
        self.op(Op::Imm { op: Alu::Sub, rd: SP, rn: SP, imm: frame });
    }

    /// Erases the first `used` bytes of the frame, and returns.
    fn leave(&mut self, frame: u32, used: u16) {
        self.zero([1, 2, 3, 12, LR]);
        for offset in (0..used).step_by(8) {
            self.op(Op::Strd { rt: 1, rt2: 2, rn: SP, offset });
        }
        self.op(Op::Imm { op: Alu::Add, rd: SP, rn: SP, imm: frame });
        self.op(Op::Ldm { rn: SP, writes_back: true, list: list(&[4, 5, 6, 7, 8, 9, 10, 11, PC]) });
    }

    fn finish(self, name: &'static str, about: &'static str) -> Kernel {
        Kernel { name, about, code: self.code, label: self.label }
    }

    /// Begins a loop.
    fn begin_loop(&mut self) {
        self.label = Some(self.code.len());
    }

    /// Goes on with the loop until r0 is the address at `end` on the stack.
    fn end_loop(&mut self, end: u16) {
        self.op(Op::Ldr { rt: 12, rn: SP, offset: end });
        self.op(Op::Cmp { rn: 0, rm: 12 });
        self.op(Op::Bne { by: 0 });
    }

    /// Adds the S-box of the half at `even` on the stack to that at `odd`.
    fn round(&mut self, sbox: &Sbox, even: u16, odd: u16, has_key: bool, to: Move) {
        let mut base = SP;
        if even != 0 {
            base = 12;
            self.op(Op::Imm { op: Alu::Add, rd: 12, rn: SP, imm: even.into() });
        }
        self.op(Op::Ldm { rn: base, writes_back: false, list: list(&[1, 2, 3, 4, 5, 6, 7, 8]) });
        if has_key {
            for share in 0..2 {
                self.op(Op::Ldm { rn: 0, writes_back: true, list: list(&[9, 10, 11, 12]) });
                for plane in 0..4 {
                    let reg = 1 + 4 * share + plane;
                    let key = 9 + (key_offset(share.into(), plane.into()) / 4 % 4) as Reg;
                    self.op(Op::Reg { op: Alu::Eor, rd: reg, rn: reg, rm: key, shift: NONE });
                }
            }
        }
        self.code.extend(&sbox.code);
        if let Move::Unary(op) = to {
            for output in sbox.order {
                let reg = sbox.outputs[output];
                self.op(Op::Unary { op, rd: reg, rm: reg });
            }
        }
        let shift = if let Move::Ror16 = to { Shift::Ror(16) } else { NONE };
        let targets = targets(sbox);
        for (n, pair) in sbox.order.chunks_exact(2).enumerate() {
            let target = |output: usize| targets[n % 2][output % 2];
            let (t, u, offset) = (target(0), target(1), odd + 4 * (pair[0] & !1) as u16);
            self.op(Op::Ldrd { rt: t, rt2: u, rn: SP, offset });
            for &output in pair {
                let (rd, rm) = (target(output), sbox.outputs[output]);
                self.op(Op::Reg { op: Alu::Eor, rd, rn: rd, rm, shift });
            }
            self.op(Op::Strd { rt: t, rt2: u, rn: SP, offset });
        }
    }
}

/// Two pairs of registers without outputs. The next round loads share a into r1 to r4 and share b into r5 to r8: none of these gets a plane after
/// the same plane of the other share.
fn targets(sbox: &Sbox) -> [[Reg; 2]; 2] {
    let free: Vec<Reg> = DATA.into_iter().filter(|reg| !sbox.outputs.contains(reg)).collect();
    let fits = |reg: Reg, output: usize| reg > 8 || usize::from(reg - 1) != output ^ 4;
    let mut taken = Vec::new();
    for pair in [sbox.order[4] & !1, sbox.order[6] & !1] {
        for output in [pair, pair + 1] {
            let reg = free.iter().copied().find(|reg| !taken.contains(reg) && fits(*reg, output));
            taken.push(
                reg.expect("five registers are free, and each output is kept from one of them at most"),
            );
        }
    }
    [[taken[0], taken[1]], [taken[2], taken[3]]]
}

/// Where a plane of a share is in a round key. Those of share b begin with plane 1, so that no register gets a plane of both shares in turn.
fn key_offset(share: u16, plane: u16) -> u16 {
    16 * share + 4 * ((plane + 3 * share) % 4)
}

/// The plane that word `i` of the round keys belongs to.
#[must_use]
pub fn plane_of_key(i: usize) -> usize {
    (i + i / 4 % 2) % 4
}

/// Exchanges the bits of `low` under `mask << shift` with those of `high` under `mask`.
fn exchange(l: &mut Linear, rows: &mut [Value], low: usize, high: usize, shift: u8, mask: u32) {
    let sum = l.reg(Alu::Eor, rows[high], rows[low], Shift::Lsr(shift));
    let difference = l.imm(Alu::And, sum, mask);
    rows[high] = l.eor(rows[high], difference);
    rows[low] = l.reg(Alu::Eor, rows[low], difference, Shift::Lsl(shift));
}

/// Transposes rows and bits of bytes within four rows, for both halves.
fn transpose_within_halves(l: &mut Linear, rows: &mut [Value]) {
    for (low, high) in [(0, 1), (2, 3), (4, 5), (6, 7)] {
        exchange(l, rows, low, high, 1, 0x5555_5555);
    }
    for (low, high) in [(0, 2), (1, 3), (4, 6), (5, 7)] {
        exchange(l, rows, low, high, 2, 0x3333_3333);
    }
}

/// The rest of the transposition.
fn transpose_across_halves(l: &mut Linear, rows: &mut [Value]) {
    for low in 0..4 {
        exchange(l, rows, low, low + 4, 4, 0x0F0F_0F0F);
    }
}

/// The stack of [`encrypt`].
const KEYS_END: u16 = 64;
const BLOCKS: u16 = 68;

/// Four blocks.
#[must_use]
pub fn encrypt(sbox: &Sbox) -> Kernel {
    let mut b = Builder::default();
    b.enter(72);
    b.op(Op::Imm { op: Alu::Add, rd: 2, rn: 0, imm: KEYS });
    b.op(Op::Strd { rt: 2, rt2: 1, rn: SP, offset: KEYS_END });
    for half in 0..2 {
        if half == 1 {
            b.wall(BLOCKS);
            b.op(Op::Ldr { rt: 1, rn: SP, offset: BLOCKS });
            b.op(Op::Imm { op: Alu::Add, rd: 1, rn: 1, imm: 32 });
        }
        b.linear_in(&DATA[1..], |l| load_blocks(l, 16 * half));
    }
    b.wall(BLOCKS);
    // The blocks are written over nothing that depends on what was there.
    b.op(Op::Ldr { rt: 1, rn: SP, offset: BLOCKS });
    for offset in (0..64).step_by(8) {
        b.op(Op::Strd { rt: 2, rt2: 3, rn: 1, offset });
    }
    b.begin_loop();
    for (r, to) in MOVES.into_iter().enumerate() {
        let (even, odd) = if r % 2 == 0 { (0, 32) } else { (32, 0) };
        b.round(sbox, even, odd, true, to);
    }
    b.end_loop(KEYS_END);
    for half in 0..2 {
        b.wall(BLOCKS);
        b.op(Op::Ldr { rt: 1, rn: SP, offset: BLOCKS });
        b.linear_in(&DATA[1..], |l| store_blocks(l, 16 * half, 32 * half));
    }
    b.zero(4..12);
    b.leave(72, 64);
    b.finish(
        ENCRYPT,
        "Encrypts four blocks: r0 points to the round keys, r1 to the four blocks of share a, followed by those of share b",
    )
}

/// Loads four blocks of a share, from the address in r1.
fn load_blocks(l: &mut Linear, offset: u16) {
    let words = l.load_many(1, 8);
    // Rows 0 to 3 are the first four bytes of blocks 0 to 3, rows 4 to 7 are the last four of blocks 3 to 0.
    let mut rows = [words[0], words[2], words[4], words[6], words[7], words[5], words[3], words[1]];
    for block in 0..4 {
        // The bytes b0 b1 b2 b3 | b4 b5 b6 b7 become b4 b2 b1 b0 | b3 b5 b6 b7.
        let (low, high) = (rows[block], rows[7 - block]);
        let byte = l.shift(low, Shift::Lsr(24));
        let low = l.insert(low, high, 24, 8);
        rows[7 - block] = l.insert(high, byte, 0, 8);
        rows[block] = l.unary(Unary::Rev, low);
    }
    transpose_within_halves(l, &mut rows);
    transpose_across_halves(l, &mut rows);
    for (first, place) in [(4, 0), (0, 32)] {
        let [x0, x1, x2, x3] = [rows[first], rows[first + 1], rows[first + 2], rows[first + 3]];
        let [y0, y1, y2, y3] = to_basis(l, [x0, x1, x2, x3], NONE);
        l.store2(y0, y1, SP, offset + place);
        l.store2(y2, y3, SP, offset + place + 8);
    }
}

/// Changes to the basis of the S-box circuit. `shift` is [`NONE`].
fn to_basis(l: &mut Linear, [x0, x1, x2, x3]: [Value; 4], shift: Shift) -> [Value; 4] {
    let y0 = l.reg(Alu::Eor, x0, x1, shift);
    let y3 = l.reg(Alu::Eor, x3, y0, shift);
    let y2 = l.reg(Alu::Eor, x1, x2, shift);
    [y0, x2, y2, y3]
}

/// Stores four blocks of a share, at the address in r1 plus `to`.
fn store_blocks(l: &mut Linear, offset: u16, to: u16) {
    let [f0, f1, f2, f3] = [0, 4, 8, 12].map(|plane| l.load(SP, offset + plane));
    let [s0, s1, s2, s3] = [32, 36, 40, 44].map(|plane| l.load(SP, offset + plane));
    // From the basis of the circuit, and the lanes of the first half where they are after the last round.
    let x2 = l.shift(f1, Shift::Ror(16));
    let y0 = l.shift(f0, Shift::Ror(16));
    let x1 = l.reg(Alu::Eor, x2, f2, Shift::Ror(16));
    let x3 = l.reg(Alu::Eor, y0, f3, Shift::Ror(16));
    let x0 = l.eor(y0, x1);
    let z1 = l.eor(s2, s1);
    let z3 = l.eor(s3, s0);
    let z0 = l.eor(s0, z1);
    let mut rows = [x0, x1, x2, x3, z0, z1, s1, z3];
    transpose_within_halves(l, &mut rows);
    transpose_across_halves(l, &mut rows);
    for block in 0..4 {
        // The lanes of the last round: b2 b7 b4 b6 | b5 b0 b3 b1.
        let (low, high) = (rows[block], rows[7 - block]);
        let first = l.unary(Unary::Rev16, high);
        let byte = l.shift(high, Shift::Lsr(24));
        let first = l.insert(first, byte, 8, 8);
        let first = l.insert(first, low, 16, 8);
        let last = l.shift(low, Shift::Ror(16));
        let last = l.insert(last, high, 8, 8);
        let byte = l.shift(low, Shift::Lsr(24));
        let last = l.insert(last, byte, 16, 8);
        l.store2(first, last, 1, to + 8 * block as u16);
    }
}

/// The stack of the key schedules: the planes of S-box inputs, those of what the outputs are added to, the state and new words, each of share a
/// and then of share b.
const INPUT: u16 = 0;
const SUM: u16 = 32;
/// The state: eight words of share a and eight of share b.
pub(crate) const STATE: u16 = 64;
const NEW: u16 = 128;
const CONSTANTS: u16 = 160;
const END: u16 = 164;
const OUT: u16 = 168;
const FRAME: u32 = 176;

/// The words of constants of a step: those added to WK\[7\] and WK\[19\], and four masks of nibbles that are exchanged.
const STEP_CONSTANTS: u16 = 24;

/// Bits of one word as planes.
fn split(l: &mut Linear, x: Value) -> [Value; 4] {
    [0, 1, 2, 3].map(|i| plane(l, x, i))
}

fn plane(l: &mut Linear, x: Value, i: u8) -> Value {
    let moved = if i == 0 { x } else { l.shift(x, Shift::Lsr(i)) };
    l.imm(Alu::And, moved, PLANE)
}

fn join_planes(l: &mut Linear, [x0, x1, x2, x3]: [Value; 4]) -> Value {
    let x = l.join(x0, x1, Shift::Lsl(1));
    let x = l.join(x, x2, Shift::Lsl(2));
    l.join(x, x3, Shift::Lsl(3))
}

fn store_planes(l: &mut Linear, x: Value, place: u16) {
    for (i, offset) in (0..4).zip((place..).step_by(4)) {
        let bits = plane(l, x, i);
        l.store(bits, SP, offset);
    }
}

/// The low and the high nibbles of bytes.
fn nibbles(l: &mut Linear, x: Value) -> (Value, Value) {
    let low = l.imm(Alu::And, x, LOW);
    let high = l.shift(x, Shift::Lsr(4));
    (low, l.imm(Alu::And, high, LOW))
}

/// What the S-box was added to, as one word.
fn load_sum(l: &mut Linear, share: u16) -> Value {
    // The S-box leaves constants in the bits between those of the planes.
    let planes = [0, 4, 8, 12].map(|plane| {
        let plane = l.load(SP, SUM + 16 * share + plane);
        l.imm(Alu::And, plane, PLANE)
    });
    let sum = join_planes(l, planes);
    if share == 0 { l.imm(Alu::Eor, sum, OUTPUT_COMPLEMENT) } else { sum }
}

/// The code of one share in a key schedule.
struct Share<'a> {
    l: &'a mut Linear,
    share: u16,
}

impl Share<'_> {
    /// Word `i` of the state: a0 to a3, b0 to b3.
    fn state(&mut self, i: u16) -> Value {
        self.l.load(SP, STATE + 32 * self.share + 4 * i)
    }

    fn set_state(&mut self, i: u16, value: Value) {
        self.l.store(value, SP, STATE + 32 * self.share + 4 * i);
    }

    fn new_word(&mut self, i: u16) -> Value {
        self.l.load(SP, NEW + 16 * self.share + 4 * i)
    }

    fn set_new(&mut self, i: u16, value: Value) {
        self.l.store(value, SP, NEW + 16 * self.share + 4 * i);
    }

    /// A constant of the step.
    fn constant(&mut self, offset: u16) -> Value {
        let table = self.l.load(SP, CONSTANTS);
        self.l.load_at(table, offset)
    }

    /// Adds the constant to WK\[7\] that is for `a3` or for `b3`.
    fn add_to_7(&mut self, x: Value, op: Alu) -> Value {
        if self.share == 1 {
            return x;
        }
        let constant = self.constant(0);
        let part = self.l.imm(op, constant, 0xFF);
        self.l.eor(x, part)
    }

    /// Packs four round keys from the nibbles of all four, and stores them as planes.
    fn pack(&mut self, nibble: &mut dyn FnMut(&mut Self, usize) -> Value) {
        let (places, _) = pairs();
        for j in 0..4 {
            let (low, high) = (nibble(self, j), nibble(self, 7 - j));
            let mask = self.constant(8 + 4 * j as u16);
            let l = &mut *self.l;
            let sum = l.eor(low, high);
            let difference = l.reg(Alu::And, sum, mask, NONE);
            let low = l.eor(low, difference);
            let high = l.eor(high, difference);
            let pair = l.join(low, high, Shift::Lsl(4));
            l.store(pair, SP, INPUT + 16 * self.share + 4 * j as u16);
        }
        let l = &mut *self.l;
        for r in 0..4u8 {
            let mut key = None;
            for i in 0..4u8 {
                let place = places[usize::from(r)][usize::from(i)];
                let pair = l.load(SP, INPUT + 16 * self.share + 4 * place as u16);
                let byte = if r == 0 { pair } else { l.shift(pair, Shift::Lsr(8 * r)) };
                key = Some(match key {
                    None => byte,
                    Some(key) => l.insert(key, byte, 8 * i, 8),
                });
            }
            let Some(mut key) = key else { continue };
            // Rounds 1 and 2 of each step read a half that took in an odd number of outputs.
            if self.share == 0 && (r == 1 || r == 2) {
                key = l.imm(Alu::Eor, key, OUTPUT_COMPLEMENT);
            }
            for (plane, bits) in (0..).zip(split(l, key)) {
                let bits = l.join(bits, bits, Shift::Lsl(1));
                let bits = l.join(bits, bits, Shift::Lsl(2));
                l.store(bits, 0, 32 * u16::from(r) + key_offset(self.share, plane));
            }
        }
    }
}

/// `PLACES` and `EXCHANGED` of `twine/src/schedule.rs`: where the lesser nibble of each byte is, and the bytes that have the greater one first.
#[must_use]
pub fn pairs() -> ([[usize; 4]; 4], [u32; 4]) {
    let (mut places, mut exchanged) = ([[0; 4]; 4], [0; 4]);
    for r in 0..4 {
        for i in 0..4 {
            let j = usize::from(NIBBLE_OF_LANE[r][3 - i]);
            places[r][i] = j.min(7 - j);
            if j >= 4 {
                exchanged[7 - j] |= 0x0F << (8 * r);
            }
        }
    }
    (places, exchanged)
}

impl Builder {
    /// Does `write` for both shares.
    fn both(&mut self, write: impl Fn(&mut Share<'_>)) {
        for share in 0..2 {
            self.linear(|l| write(&mut Share { l, share }));
            self.wall(OUT);
        }
    }

    /// A pass of the S-box in a key schedule.
    fn substitute(&mut self, sbox: &Sbox) {
        self.round(sbox, INPUT, SUM, false, Move::Nothing);
        self.wall(OUT);
        self.erase(INPUT);
    }

    fn schedule(&mut self, key_words: u16, second_mask: u32, step: impl FnOnce(&mut Self)) {
        self.enter(FRAME);
        self.op(Op::Imm { op: Alu::Add, rd: 3, rn: 0, imm: KEYS });
        self.op(Op::Strd { rt: 2, rt2: 3, rn: SP, offset: CONSTANTS });
        self.op(Op::Strd { rt: 0, rt2: 1, rn: SP, offset: OUT });
        for share in 0..2 {
            self.wall(OUT);
            self.op(Op::Ldr { rt: 1, rn: SP, offset: OUT + 4 });
            self.linear_in(&DATA[1..], |l| columns(l, share, key_words, second_mask));
        }
        self.wall(OUT);
        self.begin_loop();
        step(self);
        for place in [INPUT, SUM, NEW] {
            self.erase(place);
        }
        self.op(Op::Ldr { rt: 1, rn: SP, offset: CONSTANTS });
        self.op(Op::Imm { op: Alu::Add, rd: 1, rn: 1, imm: STEP_CONSTANTS.into() });
        self.op(Op::Str { rt: 1, rn: SP, offset: CONSTANTS });
        self.op(Op::Imm { op: Alu::Add, rd: 0, rn: 0, imm: 4 * 32 });
        self.end_loop(END);
        self.zero(4..12);
        self.leave(FRAME, CONSTANTS);
    }
}

/// Nibbles of a share of the key by place in their column, in the basis of the circuit: the state.
fn columns(l: &mut Linear, share: u16, key_words: u16, second_mask: u32) {
    for (part, mask) in [(0, LOW), (1, second_mask)] {
        for odd in 0..2 {
            // Bytes 0, 2, 4, 6 or 1, 3, 5, 7 of two words.
            let mut bytes = |i: u16| {
                let word = l.load(1, 4 * (key_words * share + 2 * part + i));
                let word = if odd == 1 { l.shift(word, Shift::Lsr(8)) } else { word };
                let word = l.imm(Alu::And, word, 0x00FF_00FF);
                let word = l.join(word, word, Shift::Lsr(8));
                l.shift(word, Shift::Lsl(16))
            };
            let first = bytes(0);
            let both = if 2 * part + 1 < key_words {
                let second = bytes(1);
                let first = l.shift(first, Shift::Lsr(16));
                l.join(second, first, NONE)
            } else {
                l.shift(first, Shift::Lsr(16))
            };
            let planes = split(l, both);
            let planes = to_basis(l, planes, NONE);
            let mut word = join_planes(l, planes);
            if share == 0 {
                word = l.imm(Alu::Eor, word, INPUT_COMPLEMENT);
            }
            let high = l.shift(word, Shift::Lsr(4));
            let high = l.imm(Alu::And, high, mask);
            let low = l.imm(Alu::And, word, mask);
            let place = STATE + 32 * share + 16 * part + 8 * odd;
            l.store2(high, low, SP, place);
        }
    }
}

/// The round keys of TWINE-128.
#[must_use]
pub fn schedule_128(sbox: &Sbox) -> Kernel {
    let mut b = Builder::default();
    b.schedule(4, LOW, |b| {
        // Two passes of the S-box. No nibble is an input and also changed in the same pass, but for one in the second pass.
        // First those of three rounds that add WK[16] to WK[4] and WK[30] to WK[23].
        b.both(|s| {
            let (b0, a3, b2) = (s.state(4), s.state(3), s.state(6));
            let a3 = s.add_to_7(a3, Alu::Bic);
            let high = s.l.shift(b2, Shift::Lsr(24));
            let high = s.l.join(high, a3, Shift::Lsl(8));
            let input = s.l.join(b0, high, Shift::Lsl(4));
            let input = s.l.imm(Alu::Bic, input, LAST);
            store_planes(s.l, input, INPUT + 16 * s.share);
            let (a0, b3) = (s.state(0), s.state(7));
            let low = s.l.shift(a0, Shift::Lsr(8));
            let high = s.l.shift(b3, Shift::Lsr(8));
            let sum = s.l.join(low, high, Shift::Lsl(4));
            store_planes(s.l, sum, SUM + 16 * s.share);
        });
        b.substitute(sbox);
        // Then those of the fourth round, and those that add WK[0], which is the new WK[4] a round later, to WK[1].
        b.both(|s| {
            let sum = load_sum(s.l, s.share);
            let sum = s.l.imm(Alu::Bic, sum, LAST);
            let (to_a0, to_b3) = nibbles(s.l, sum);
            let b3 = s.state(7);
            let b3 = s.l.imm(Alu::And, b3, 0xFF);
            let mut b3 = s.l.join(b3, to_b3, Shift::Lsl(8));
            if s.share == 0 {
                let constant = s.constant(4);
                b3 = s.l.eor(b3, constant);
            }
            s.set_new(2, b3);
            let old_a0 = s.state(0);
            let first = s.l.imm(Alu::And, old_a0, 0xFF);
            let a0 = s.l.join(first, to_a0, Shift::Lsl(8));
            s.set_new(0, a0);
            let (b0, a3) = (s.state(4), s.state(3));
            let a3 = s.add_to_7(a3, Alu::Bic);
            let last = s.l.shift(a3, Shift::Lsl(8));
            let last = s.l.imm(Alu::And, last, LAST);
            let high = s.l.join(last, b0, Shift::Lsr(24));
            let input = s.l.join(a0, high, Shift::Lsl(4));
            store_planes(s.l, input, INPUT + 16 * s.share);
            let (a1, a0, b0) = (s.state(1), s.state(0), s.state(4));
            let low = s.l.imm(Alu::And, b0, 0xFF);
            let high = s.l.join(low, a0, Shift::Lsl(24));
            let sum = s.l.join(a1, high, Shift::Lsl(4));
            store_planes(s.l, sum, SUM + 16 * s.share);
        });
        b.substitute(sbox);
        b.both(|s| {
            let sum = load_sum(s.l, s.share);
            let (a1, high) = nibbles(s.l, sum);
            // The first nibble of b0, and of what a0 becomes.
            let first = s.l.imm(Alu::And, high, 0xFF);
            let b0 = s.state(4);
            let b0 = s.l.imm(Alu::Bic, b0, 0xFF);
            let b0 = s.l.join(b0, first, NONE);
            s.set_new(1, b0);
            let last = s.l.shift(high, Shift::Lsr(24));
            s.set_new(3, last);
            s.l.store(a1, SP, SUM + 16 * s.share);
            s.pack(&mut |s, n| match n {
                0 => s.state(2),
                1 => {
                    let a3 = s.state(3);
                    s.add_to_7(a3, Alu::Bic)
                }
                2 => s.across(|s| s.state(0), |s| s.state(4)),
                3 => s.across(|s| s.state(3), |s| s.new_word(2)),
                4 => s.state(5),
                5 => s.state(6),
                6 => s.across(|s| s.state(4), |s| s.l.load(SP, SUM + 16 * s.share)),
                _ => s.across(|s| s.state(7), |s| s.new_word(0)),
            });
            // The next state: b0, b1, b2, b3, a1, a2, a3, a0.
            let (a2, a3, b1, b2) = (s.state(2), s.state(3), s.state(5), s.state(6));
            let a3 = s.add_to_7(a3, Alu::Bic);
            let b0 = s.new_word(1);
            s.set_state(0, b0);
            s.set_state(1, b1);
            s.set_state(2, b2);
            let b3 = s.new_word(2);
            let b3 = s.add_to_7(b3, Alu::And);
            s.set_state(3, b3);
            let a1 = s.l.load(SP, SUM + 16 * s.share);
            s.set_state(4, a1);
            s.set_state(5, a2);
            s.set_state(6, a3);
            let (a0, last) = (s.new_word(0), s.new_word(3));
            let a0 = s.l.imm(Alu::Bic, a0, 0xFF);
            let a0 = s.l.join(a0, last, NONE);
            s.set_state(7, a0);
        });
    });
    b.finish(
        SCHEDULE_128,
        "Makes the round keys of TWINE-128: r0 points to them, r1 to the 16 bytes of share a of the key and those of share b, r2 to constants",
    )
}

/// The round keys of TWINE-80.
#[must_use]
pub fn schedule_80(sbox: &Sbox) -> Kernel {
    let mut b = Builder::default();
    b.schedule(3, 0x0F, |b| {
        // New words: a0, a1, b0.
        b.both(|s| {
            for (i, word) in [0, 1, 4].into_iter().enumerate() {
                let word = s.state(word);
                s.set_new(i as u16, word);
            }
        });
        for round in 0..4 {
            b.both(|s| {
                let (a0, a1, b0) = (s.new_word(0), s.new_word(1), s.state(4));
                let high = s.l.shift(a1, Shift::Lsl(8));
                let high = s.l.join(high, b0, NONE);
                let input = s.l.join(a0, high, Shift::Lsl(4));
                let input = s.l.imm(Alu::And, input, 0xFF << (8 * round));
                store_planes(s.l, input, INPUT + 16 * s.share);
                let sum = s.sum_80();
                let sum = s.l.imm(Alu::And, sum, 0xFF << (8 * round));
                store_planes(s.l, sum, SUM + 16 * s.share);
            });
            b.substitute(sbox);
            b.both(|s| {
                let byte = 0xFF << (8 * round);
                let new = load_sum(s.l, s.share);
                let old = s.sum_80();
                let old = s.l.imm(Alu::Bic, old, byte);
                let new = s.l.imm(Alu::And, new, byte);
                let sum = s.l.join(old, new, NONE);
                let a1 = s.l.imm(Alu::And, sum, LOW);
                s.set_new(1, a1);
                let high = s.l.shift(sum, Shift::Lsr(4));
                let high = s.l.imm(Alu::And, high, LOW);
                let a0 = s.new_word(0);
                let a0 = s.l.imm(Alu::And, a0, 0xFF);
                let a0 = s.l.join(a0, high, Shift::Lsl(8));
                s.set_new(0, a0);
                let b0 = s.l.shift(high, Shift::Lsr(24));
                s.set_new(2, b0);
            });
        }
        b.both(|s| {
            let a3 = s.state(3);
            let a3 = s.add_to_7(a3, Alu::Bic);
            s.l.store(a3, SP, SUM + 16 * s.share);
            let (mut b3, mut a0) = (s.state(7), s.new_word(0));
            if s.share == 0 {
                let constant = s.constant(4);
                let low = s.l.imm(Alu::And, constant, 0xFF);
                b3 = s.l.eor(b3, low);
                a0 = s.l.reg(Alu::Eor, a0, constant, Shift::Lsr(8));
            }
            s.l.store2(b3, a0, SP, SUM + 16 * s.share + 4);
        });
        b.both(|s| {
            let place = SUM + 16 * s.share;
            let new_a3 = move |s: &mut Share<'_>| s.l.load(SP, place);
            let mid_b3 = move |s: &mut Share<'_>| s.l.load(SP, place + 4);
            let turned_a0 = move |s: &mut Share<'_>| s.l.load(SP, place + 8);
            s.pack(&mut |s, n| match n {
                0 => s.state(1),
                1 => new_a3(s),
                2 => s.five(|s| s.state(0), |s| s.state(4)),
                3 => s.five(|s| s.state(2), |s| s.state(6)),
                4 => s.three(|s| s.state(1), |s| s.state(5), |s| s.state(2)),
                5 => s.three(|s| s.state(2), |s| s.state(6), new_a3),
                6 => s.three(|s| s.state(3), mid_b3, turned_a0),
                _ => {
                    let (b0, a1) = (s.state(4), s.new_word(1));
                    s.l.join(b0, a1, Shift::Lsl(8))
                }
            });
            let b3 = mid_b3(s);
            let b3 = s.add_to_7(b3, Alu::And);
            let words = [
                (s.new_word(2), s.new_word(1)),
                (s.state(5), s.state(2)),
                (s.state(6), new_a3(s)),
                (b3, turned_a0(s)),
            ];
            for (i, (low, high)) in (0..).zip(words) {
                let first = s.l.join(low, high, Shift::Lsl(8));
                let second = s.l.shift(high, Shift::Lsr(24));
                s.set_state(i, first);
                s.set_state(i + 4, second);
            }
        });
    });
    b.finish(
        SCHEDULE_80,
        "Makes the round keys of TWINE-80: r0 points to them, r1 to share a of the key in 12 bytes and to share b in 12 more, r2 to constants",
    )
}

impl Share<'_> {
    /// The last column of one word, and the first three of another.
    fn across(&mut self, x: impl Fn(&mut Self) -> Value, y: impl Fn(&mut Self) -> Value) -> Value {
        let (x, y) = (x(self), y(self));
        let last = self.l.shift(x, Shift::Lsr(24));
        self.l.join(last, y, Shift::Lsl(8))
    }

    /// The last three columns of one word, and the first of another.
    fn five(&mut self, x: impl Fn(&mut Self) -> Value, y: impl Fn(&mut Self) -> Value) -> Value {
        let (x, y) = (x(self), y(self));
        let last = self.l.shift(x, Shift::Lsr(8));
        self.l.join(last, y, Shift::Lsl(24))
    }

    /// The last column of one word, the first of another and the first two of a third.
    fn three(
        &mut self,
        x: impl Fn(&mut Self) -> Value,
        y: impl Fn(&mut Self) -> Value,
        z: impl Fn(&mut Self) -> Value,
    ) -> Value {
        let (x, y, z) = (x(self), y(self), z(self));
        let last = self.l.shift(x, Shift::Lsr(24));
        let two = self.l.join(last, y, Shift::Lsl(8));
        self.l.join(two, z, Shift::Lsl(16))
    }

    /// What the S-boxes of TWINE-80 are added to: WK\[1\] and WK\[4\].
    fn sum_80(&mut self) -> Value {
        let (a0, a1, b0) = (self.new_word(0), self.new_word(1), self.new_word(2));
        let high = self.l.shift(a0, Shift::Lsr(8));
        let high = self.l.join(high, b0, Shift::Lsl(24));
        self.l.join(a1, high, Shift::Lsl(4))
    }
}

/// Adds new masks to all round keys.
#[must_use]
pub fn refresh() -> Kernel {
    let mut b = Builder::default();
    b.op(Op::Stmdb { rn: SP, list: list(&[4, 5, 6, 7, 8, 9, 10, 11, LR]) });
    b.op(Op::Imm { op: Alu::Sub, rd: SP, rn: SP, imm: 8 });
    b.op(Op::Imm { op: Alu::Add, rd: 2, rn: 0, imm: KEYS });
    b.op(Op::Strd { rt: 1, rt2: 2, rn: SP, offset: 0 });
    b.begin_loop();
    // All rounds get the same four words.
    for share in 0..2 {
        b.op(Op::Ldr { rt: 1, rn: SP, offset: 0 });
        b.op(Op::Ldm { rn: 1, writes_back: false, list: list(&[2, 3, 4, 5]) });
        for plane in 0..4 {
            let offset = key_offset(share, plane.into());
            b.op(Op::Ldr { rt: 6 + plane, rn: 0, offset });
            b.op(Op::Reg { op: Alu::Eor, rd: 6 + plane, rn: 6 + plane, rm: 2 + plane, shift: NONE });
            b.op(Op::Str { rt: 6 + plane, rn: 0, offset });
        }
        b.op(Op::Ldr { rt: 12, rn: SP, offset: 4 });
        b.zero(2..12);
    }
    b.op(Op::Imm { op: Alu::Add, rd: 0, rn: 0, imm: 32 });
    b.op(Op::Ldr { rt: 12, rn: SP, offset: 4 });
    b.op(Op::Cmp { rn: 0, rm: 12 });
    b.op(Op::Bne { by: 0 });
    b.op(Op::Imm { op: Alu::Add, rd: SP, rn: SP, imm: 8 });
    b.op(Op::Ldm { rn: SP, writes_back: true, list: list(&[4, 5, 6, 7, 8, 9, 10, 11, PC]) });
    b.finish(REFRESH, "Adds masks to both shares of all round keys: r0 points to them, r1 to four words")
}

/// An operation on two sequences of blocks, each of one share or public.
///
/// The addition of an address after each block has public operands and a public result. Registers and bus are public again after the return.
fn of_two(op: Alu, name: &'static str, about: &'static str) -> Kernel {
    let mut b = Builder::default();
    let pair = [4, 5];
    b.op(Op::Stmdb { rn: SP, list: list(&[4, 5, 6, 7, LR]) });
    b.begin_loop();
    b.op(Op::Ldm { rn: 1, writes_back: true, list: list(&pair) });
    b.op(Op::Ldm { rn: 2, writes_back: true, list: list(&[6, 7]) });
    for rd in pair {
        b.op(Op::Reg { op, rd, rn: rd, rm: rd + 2, shift: NONE });
    }
    b.op(Op::Strd { rt: 4, rt2: 5, rn: 0, offset: 0 });
    b.op(Op::Imm { op: Alu::Add, rd: 0, rn: 0, imm: BLOCK.into() });
    b.op(Op::Cmp { rn: 0, rm: 3 });
    b.op(Op::Bne { by: 0 });
    b.op(Op::Ldm { rn: SP, writes_back: true, list: list(&[4, 5, 6, 7, PC]) });
    b.finish(name, about)
}

/// The bytes of a block.
const BLOCK: u16 = 8;

/// The sum of blocks.
#[must_use]
pub fn add() -> Kernel {
    of_two(
        Alu::Eor,
        ADD,
        "Adds blocks of one share, or public ones: r0 points to the sums, r1 and r2 to what is added, r3 to the end of the sums. There is at least one",
    )
}

/// Some bits of blocks.
#[must_use]
pub fn select() -> Kernel {
    of_two(
        Alu::And,
        SELECT,
        "Keeps bits of blocks of one share: r0 points to the results, r1 to the blocks, r2 to public blocks with the bits to keep, r3 to the \
         end of the results. There is at least one",
    )
}

/// Multiplies blocks of one share by 2^exponent in GF(2^64), and stores each product `offset` bytes after its block.
fn times(exponent: u8, offset: u16, name: &'static str, about: &'static str) -> Kernel {
    let mut b = Builder::default();
    let (high, low, carry) = (2, 3, 12);
    let rest = 32 - exponent;
    b.op(Op::Stmdb { rn: SP, list: list(&[4, LR]) });
    b.begin_loop();
    b.op(Op::Ldrd { rt: high, rt2: low, rn: 0, offset: 0 });
    for rd in [high, low] {
        b.op(Op::Unary { op: Unary::Rev, rd, rm: rd });
    }
    b.op(Op::Mov { rd: carry, rm: high, shift: Shift::Lsr(rest) });
    b.op(Op::Mov { rd: high, rm: high, shift: Shift::Lsl(exponent) });
    b.op(Op::Reg { op: Alu::Orr, rd: high, rn: high, rm: low, shift: Shift::Lsr(rest) });
    // The carry times x^4 + x^3 + x + 1 = (x + 1)(x^3 + 1).
    for by in [1, 3] {
        b.op(Op::Reg { op: Alu::Eor, rd: carry, rn: carry, rm: carry, shift: Shift::Lsl(by) });
    }
    b.op(Op::Reg { op: Alu::Eor, rd: low, rn: carry, rm: low, shift: Shift::Lsl(exponent) });
    for rd in [high, low] {
        b.op(Op::Unary { op: Unary::Rev, rd, rm: rd });
    }
    b.op(Op::Strd { rt: high, rt2: low, rn: 0, offset });
    b.op(Op::Imm { op: Alu::Add, rd: 0, rn: 0, imm: BLOCK.into() });
    b.op(Op::Cmp { rn: 0, rm: 1 });
    b.op(Op::Bne { by: 0 });
    b.zero([high, low, carry]);
    b.op(Op::Ldm { rn: SP, writes_back: true, list: list(&[4, PC]) });
    b.finish(name, about)
}

/// Doubles one block after the other.
#[must_use]
pub fn double() -> Kernel {
    times(
        1,
        BLOCK,
        DOUBLE,
        "Makes each block of one share two times the block before it in GF(2^64): r0 points to the first one, r1 to the last one, which is another",
    )
}

/// Multiplies blocks by 16.
#[must_use]
pub fn times_16() -> Kernel {
    times(
        4,
        0,
        TIMES_16,
        "Multiplies blocks of one share by 16 in GF(2^64): r0 points to them, r1 to their end. There is at least one",
    )
}

/// All kernels.
#[must_use]
pub fn all(sbox: &Sbox) -> Vec<Kernel> {
    let mode = [add(), select(), double(), times_16()];
    [encrypt(sbox), schedule_128(sbox), schedule_80(sbox), refresh()].into_iter().chain(mode).collect()
}

/// The kernels as a file for the assembler.
#[must_use]
pub fn assembly(kernels: &[Kernel]) -> String {
    let mut text = String::from(
        "@ Masked kernels for ARMv7-M and ARMv8-M with the Main Extension. The package `masking` of the repository wrote this file. Of each of\n\
         @ them it proves that no bit that is seen in five models depends on a secret, but not of their sequence in a message. Change nothing\n\
         @ here: every register and the order of the instructions matter.\n\n\
         .syntax unified\n.thumb\n",
    );
    for kernel in kernels {
        let name = kernel.name;
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n\
             @ {}.\n\
             .section .text.{name},\"ax\",%progbits\n\
             .global {name}\n\
             .hidden {name}\n\
             .type {name},%function\n\
             .thumb_func\n\
             .p2align 2\n\
             {name}:\n",
            kernel.about
        );
        for (n, op) in kernel.code.iter().enumerate() {
            if kernel.label == Some(n) {
                text.push_str("2:\n");
            }
            let _ = writeln!(text, "    {op}");
        }
        let _ = writeln!(text, ".size {name}, . - {name}");
    }
    text
}
