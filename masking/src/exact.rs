//! Words whose bits are exact functions of secrets and masks.
//!
//! A mask is a bit that is uniformly distributed and independent of everything else. A secret may be any bit. A function of both is *independent* if
//! it has the same distribution for all values of the secrets. The number of set bits of a word then has the same mean for all secrets, and
//! that is what an attacker of first order learns.
//!
//! # Functions
//! A bit is the sum of variables, and of a table over the variables that it is not linear in. If a mask is in the sum and not in the table, the
//! bit is uniform whatever the table is. Else all secrets and masks are tried.
//!
//! # Other variables
//! The sum of a mask and of something without it is as good a mask, and the sum of a secret and of something made of other secrets is as good a
//! secret. Both changes of variables are bijections, so nothing is lost or assumed. [`Exact::settle`] makes such a change where a bit would
//! become long. So the shares that leave a round are as simple as those that entered it, and all rounds are checked as they follow each other,
//! with the exact joint distribution of everything that is in registers and memory.

use crate::machine::{Domain, Model};
use anyhow::{Result, ensure};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// The most variables of a table.
const MOST: usize = 18;

/// The most variables of a table that comes from adding two, unless one of them has all of them.
const FEW: usize = 12;

/// Variables of tables that were made so many instructions ago stay: other tables contain them.
const RECENT: u64 = 44;

type Var = u32;

/// A function of some variables, which are sorted. `shape` is the number of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    shape: u32,
    vars: Rc<[Var]>,
}

/// A bit: a constant, plus variables, plus tables, which are zero for zeros and not linear in any of their variables. There are several where one
/// would have too many variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bit {
    one: bool,
    lin: Vec<Var>,
    tables: Vec<Table>,
}

impl Bit {
    /// Whether it depends on nothing.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.lin.is_empty() && self.tables.is_empty()
    }

    fn has_in_table(&self, var: Var) -> bool {
        self.tables.iter().any(|table| table.vars.contains(&var))
    }
}

/// 32 bits.
pub type Word = Rc<[Bit]>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Shape {
    count: usize,
    /// Value `i` is that for the variables that are the bits of `i`.
    values: Vec<u64>,
}

impl Shape {
    fn at(&self, i: usize) -> bool {
        self.values[i / 64] >> (i % 64) & 1 == 1
    }

    fn new(count: usize, value: impl Fn(usize) -> bool) -> Self {
        let mut values = vec![0; (1usize << count).div_ceil(64)];
        for i in 0..1 << count {
            values[i / 64] |= u64::from(value(i)) << (i % 64);
        }
        Self { count, values }
    }
}

/// What a combination of two tables becomes, whatever their variables are: by place in the sorted union.
#[derive(Clone)]
struct Combined {
    one: bool,
    lin: Vec<u8>,
    shape: Option<u32>,
    vars: Vec<u8>,
}

impl Combined {
    fn with(&self, vars: &[Var]) -> Bit {
        let pick =
            |places: &[u8]| -> Vec<Var> { places.iter().map(|place| vars[usize::from(*place)]).collect() };
        Bit {
            one: self.one,
            lin: pick(&self.lin),
            tables: self
                .shape
                .map(|shape| Table { shape, vars: pick(&self.vars).into() })
                .into_iter()
                .collect(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Combine {
    And,
    Xor,
}

/// A sorted union of two sorted lists, and for each entry whether it is of the first (1), of the second (2) or of both (3).
fn union(a: &[Var], b: &[Var]) -> (Vec<Var>, Vec<u8>) {
    let (mut vars, mut codes) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (x, y) = (a.get(i).copied().unwrap_or(Var::MAX), b.get(j).copied().unwrap_or(Var::MAX));
        let code = if x < y {
            1
        } else if y < x {
            2
        } else {
            3
        };
        vars.push(x.min(y));
        codes.push(code);
        i += usize::from(code & 1);
        j += usize::from(code >> 1);
    }
    (vars, codes)
}

/// The variables that are in one of two sorted lists.
fn symmetric(a: &[Var], b: &[Var]) -> Vec<Var> {
    let (vars, codes) = union(a, b);
    vars.into_iter().zip(codes).filter(|(_, code)| *code != 3).map(|(var, _)| var).collect()
}

/// The bits of `i` that have `code`, side by side.
fn part(i: usize, codes: &[u8], code: u8) -> usize {
    let (mut value, mut place) = (0, 0);
    for (n, c) in codes.iter().enumerate() {
        if c & code != 0 {
            value |= (i >> n & 1) << place;
            place += 1;
        }
    }
    value
}

/// Something that depends on a secret.
#[derive(Clone, Debug)]
pub struct Leak {
    /// The model in which it is seen.
    pub model: Model,
    /// The address of the instruction.
    pub at: u32,
    /// Which bits of the word.
    pub bits: u32,
}

/// The variables and all functions of them that were met.
#[derive(Default)]
pub struct Exact {
    is_secret: Vec<bool>,
    /// The first variable that can be changed.
    fixed: Var,
    definitions: HashMap<Var, Bit>,
    shapes: Vec<Shape>,
    numbers: HashMap<Shape, u32>,
    combined: HashMap<(Combine, u32, u32, Vec<u8>), Combined>,
    whole: HashMap<(bool, Option<u32>, Vec<u8>), u32>,
    /// When a variable was last part of a table that was made, and the time, in instructions.
    in_table: HashMap<Var, u64>,
    time: u64,
    verdicts: HashMap<(u32, u32), bool>,
    /// A table had too many variables.
    is_too_complex: bool,
    /// See [`RECENT`].
    recent: u64,
    /// What was seen to depend on a secret.
    pub leaks: Vec<Leak>,
    /// How many words were looked at in each model.
    pub seen: BTreeMap<Model, u64>,
}

impl Exact {
    /// Without variables.
    #[must_use]
    pub fn new() -> Self {
        Self { recent: RECENT, ..Self::default() }
    }

    /// The same for code that is so short that no variable of a table needs to go.
    #[must_use]
    pub fn short() -> Self {
        Self { recent: u64::MAX, ..Self::default() }
    }

    fn variable(&mut self, is_secret: bool) -> Var {
        self.is_secret.push(is_secret);
        Var::try_from(self.is_secret.len() - 1).expect("fewer variables than fit into memory")
    }

    /// A bit that may be anything.
    #[must_use]
    pub fn secret(&mut self) -> Bit {
        Bit { lin: vec![self.variable(true)], ..Bit::default() }
    }

    /// A bit that is uniformly distributed.
    #[must_use]
    pub fn mask(&mut self) -> Bit {
        Bit { lin: vec![self.variable(false)], ..Bit::default() }
    }

    /// Never changes the variables that there are by now, because many words contain them.
    pub fn fix(&mut self) {
        self.fixed = Var::try_from(self.is_secret.len()).unwrap_or(Var::MAX);
    }

    fn number(&mut self, shape: Shape) -> u32 {
        let next = u32::try_from(self.shapes.len()).expect("fewer tables than fit into memory");
        *self.numbers.entry(shape).or_insert_with_key(|shape| {
            self.shapes.push(shape.clone());
            next
        })
    }

    fn combine(&mut self, op: Combine, a: &Table, b: &Table) -> Bit {
        let (vars, codes) = union(&a.vars, &b.vars);
        if vars.len() > MOST {
            self.is_too_complex = true;
            return Bit::default();
        }
        let key = (op, a.shape, b.shape, codes);
        let known = match self.combined.get(&key) {
            Some(known) => known,
            None => {
                let (x, y) = (&self.shapes[a.shape as usize], &self.shapes[b.shape as usize]);
                let value = |i| {
                    let (x, y) = (x.at(part(i, &key.3, 1)), y.at(part(i, &key.3, 2)));
                    if op == Combine::And { x & y } else { x ^ y }
                };
                let result = self.normal(&Shape::new(vars.len(), value));
                self.combined.entry(key).or_insert(result)
            }
        };
        let bit = known.with(&vars);
        for var in bit.tables.iter().flat_map(|table| table.vars.iter()) {
            self.in_table.insert(*var, self.time);
        }
        bit
    }

    /// Takes the constant and what is linear out of a table, and the variables that it does not depend on.
    #[allow(clippy::cast_possible_truncation, reason = "there are at most 18 variables")]
    fn normal(&mut self, shape: &Shape) -> Combined {
        let one = shape.at(0);
        let (mut lin, mut vars) = (Vec::new(), Vec::new());
        for place in 0..shape.count {
            let low = (0..1usize << shape.count).filter(|i| i >> place & 1 == 0);
            let mut changes = low.map(|i| shape.at(i) ^ shape.at(i | 1 << place));
            let first = changes.next().unwrap_or(false);
            if changes.any(|change| change != first) {
                vars.push(place as u8);
            } else if first {
                lin.push(place as u8);
            }
        }
        let value = |i: usize| {
            let spread = vars.iter().enumerate().map(|(n, place)| (i >> n & 1) << place).sum();
            shape.at(spread) ^ one
        };
        let rest = (!vars.is_empty()).then(|| Shape::new(vars.len(), value));
        Combined { one, lin, shape: rest.map(|rest| self.number(rest)), vars }
    }

    /// The whole bit as one table.
    fn whole(&mut self, bit: &Bit) -> Option<Table> {
        let table = match &bit.tables[..] {
            [] => None,
            [table] => Some(table),
            _ => {
                self.is_too_complex = true;
                return None;
            }
        };
        let (vars, codes) = union(&bit.lin, table.map_or(&[], |table| &table.vars));
        if vars.len() > MOST {
            self.is_too_complex = true;
            return None;
        }
        let key = (bit.one, table.map(|table| table.shape), codes);
        let shape = match self.whole.get(&key) {
            Some(shape) => *shape,
            None => {
                let value = |i| {
                    let linear = part(i, &key.2, 1).count_ones() % 2 == 1;
                    let table = key.1.is_some_and(|shape| self.shapes[shape as usize].at(part(i, &key.2, 2)));
                    bit.one ^ linear ^ table
                };
                let shape = Shape::new(vars.len(), value);
                let number = self.number(shape);
                self.whole.insert(key, number);
                number
            }
        };
        Some(Table { shape, vars: vars.into() })
    }

    fn xor_bits(&mut self, a: &Bit, b: &Bit) -> Bit {
        let mut sum = Bit { one: a.one ^ b.one, lin: symmetric(&a.lin, &b.lin), tables: a.tables.clone() };
        for table in &b.tables {
            self.add_table(&mut sum, table.clone());
        }
        sum
    }

    /// Adds a table, to another one if both together have few variables.
    fn add_table(&mut self, sum: &mut Bit, table: Table) {
        let fits = |other: &Table| {
            let count = union(&other.vars, &table.vars).0.len();
            count <= FEW || count == other.vars.len().max(table.vars.len())
        };
        let Some(place) = sum.tables.iter().position(fits) else {
            sum.tables.push(table);
            return;
        };
        let other = sum.tables.swap_remove(place);
        let both = self.combine(Combine::Xor, &other, &table);
        sum.one ^= both.one;
        sum.lin = symmetric(&sum.lin, &both.lin);
        for table in both.tables {
            self.add_table(sum, table);
        }
    }

    fn and_bits(&mut self, a: &Bit, b: &Bit) -> Bit {
        if a.is_constant() {
            return if a.one { b.clone() } else { Bit::default() };
        }
        if b.is_constant() {
            return if b.one { a.clone() } else { Bit::default() };
        }
        match (self.whole(a), self.whole(b)) {
            (Some(a), Some(b)) => self.combine(Combine::And, &a, &b),
            _ => Bit::default(),
        }
    }

    /// Writes a bit with the variables of now.
    fn resolve(&mut self, bit: &Bit) -> Bit {
        let mut bit = bit.clone();
        while !self.is_too_complex {
            if let Some(var) = bit.lin.iter().copied().find(|var| self.definitions.contains_key(var)) {
                bit.lin.retain(|other| *other != var);
                let definition = self.definitions[&var].clone();
                bit = self.xor_bits(&bit, &definition);
                continue;
            }
            let is_old = |table: &Table| table.vars.iter().position(|var| self.definitions.contains_key(var));
            let Some((n, place)) =
                bit.tables.iter().enumerate().find_map(|(n, table)| Some((n, is_old(table)?)))
            else {
                break;
            };
            // f = f(0) ^ x & (f(0) ^ f(1))
            let table = bit.tables.swap_remove(n);
            let definition = self.definitions[&table.vars[place]].clone();
            let [f0, f1] = [0, 1].map(|value| self.cofactor(&table, place, value));
            let change = self.xor_bits(&f0, &f1);
            let product = self.and_bits(&definition, &change);
            let whole = self.xor_bits(&f0, &product);
            bit = self.xor_bits(&bit, &whole);
        }
        bit
    }

    /// A table with one of its variables set.
    fn cofactor(&mut self, table: &Table, place: usize, value: usize) -> Bit {
        let shape = &self.shapes[table.shape as usize];
        let with = |i: usize| i & ((1 << place) - 1) | value << place | i >> place << (place + 1);
        let rest = Shape::new(shape.count - 1, |i| shape.at(with(i)));
        let vars: Vec<Var> =
            table.vars.iter().enumerate().filter(|(n, _)| *n != place).map(|(_, var)| *var).collect();
        self.normal(&rest).with(&vars)
    }

    /// Whether the distribution of a bit is the same for all secrets.
    fn is_independent(&mut self, bit: &Bit) -> bool {
        if bit.lin.iter().any(|var| !self.is_secret[*var as usize] && !bit.has_in_table(*var)) {
            return true;
        }
        if bit.tables.len() > 1 {
            // Bits that depend on different variables and are each independent of secrets have a sum that is.
            let is_apart = |(n, table): (usize, &Table)| {
                bit.tables[..n].iter().all(|other| other.vars.iter().all(|var| !table.vars.contains(var)))
            };
            let is_all = bit.lin.iter().all(|var| bit.has_in_table(*var));
            if is_all && bit.tables.iter().enumerate().all(is_apart) {
                let parts = bit.tables.iter().map(|table| {
                    let lin = bit.lin.iter().copied().filter(|var| table.vars.contains(var)).collect();
                    Bit { one: false, lin, tables: vec![table.clone()] }
                });
                if parts.collect::<Vec<_>>().iter().all(|part| self.is_independent(part)) {
                    return true;
                }
            }
            let mut sum = Bit { tables: Vec::new(), ..bit.clone() };
            for table in &bit.tables {
                let other = match sum.tables.pop() {
                    None => Bit { tables: vec![table.clone()], ..Bit::default() },
                    Some(other) => self.combine(Combine::Xor, &other, table),
                };
                sum.one ^= other.one;
                sum.lin = symmetric(&sum.lin, &other.lin);
                sum.tables = other.tables;
            }
            return !self.is_too_complex && self.is_independent(&sum);
        }
        let Some(table) = self.whole(bit) else { return false };
        let secrets = table
            .vars
            .iter()
            .enumerate()
            .fold(0u32, |set, (n, var)| set | u32::from(self.is_secret[*var as usize]) << n);
        let shape = &self.shapes[table.shape as usize];
        *self.verdicts.entry((table.shape, secrets)).or_insert_with(|| {
            let mut ones = HashMap::<usize, u32>::new();
            for i in 0..1usize << shape.count {
                *ones.entry(i & secrets as usize).or_default() += u32::from(shape.at(i));
            }
            let mut counts = ones.values();
            let first = counts.next();
            counts.all(|count| Some(count) == first)
        })
    }

    /// Changes variables so that the bit becomes shorter, if that is possible.
    fn shorten(&mut self, bit: Bit, old: Option<&Bit>) -> Bit {
        if bit.lin.len() + bit.tables.len() < 2 {
            return bit;
        }
        let can_go = |var: &Var| {
            let is_recent = self.in_table.get(var).is_some_and(|time| self.time - time < self.recent);
            *var >= self.fixed && !is_recent && !bit.has_in_table(*var)
        };
        let is_secret = |var: &Var| self.is_secret[*var as usize];
        let masks = bit.lin.iter().filter(|var| !is_secret(var)).count();
        let table_is_secret = bit.tables.iter().all(|table| table.vars.iter().all(is_secret));
        // What was in the place of the bit lives no longer, so that its variable can go. Else it is the oldest one: the name of another word
        // that was just written is to stay.
        let best = |is_right: &dyn Fn(&Var) -> bool| {
            let was_here = |var: &&Var| old.is_some_and(|old| old.lin.contains(var));
            let mut fitting = bit.lin.iter().filter(|var| is_right(var) && can_go(var));
            fitting.clone().find(was_here).or_else(|| fitting.next()).copied()
        };
        let (kept, retired) = if masks == 1 && table_is_secret {
            // A mask and secrets: all secrets become one.
            let mask = bit.lin.iter().copied().find(|var| !is_secret(var));
            let secrets = bit.lin.iter().filter(|var| is_secret(var)).count();
            if secrets == 1 && bit.tables.is_empty() {
                return bit;
            }
            (mask, best(&is_secret))
        } else {
            (None, best(&|var| !is_secret(var)))
        };
        let Some(retired) = retired else { return bit };
        let is_secret = is_secret(&retired);
        let new = self.variable(is_secret);
        let mut definition = bit;
        definition.lin.retain(|var| *var != retired && Some(*var) != kept);
        definition.lin.push(new);
        self.definitions.insert(retired, definition);
        let mut lin: Vec<Var> = kept.into_iter().collect();
        lin.push(new);
        Bit { lin, ..Bit::default() }
    }

    /// Whether these bits are together uniformly distributed, whatever the secrets and the masks before [`Exact::fix`] are.
    ///
    /// If a mask is in the sum of a bit and in no table, the bit is uniform whatever the bits without that mask are. So they are enough, and the
    /// bit is added to each other one that has the mask.
    pub fn is_uniform<'a>(&mut self, bits: impl IntoIterator<Item = &'a Bit>) -> bool {
        let mut rest: Vec<Bit> = bits.into_iter().map(|bit| self.resolve(bit)).collect();
        while !rest.is_empty() {
            let is_mask = |var: &&Var| {
                **var >= self.fixed
                    && !self.is_secret[**var as usize]
                    && !rest.iter().any(|bit| bit.has_in_table(**var))
            };
            let found =
                rest.iter().enumerate().find_map(|(n, bit)| Some((n, *bit.lin.iter().find(is_mask)?)));
            let Some((n, mask)) = found else { return false };
            let bit = rest.swap_remove(n);
            for other in &mut rest {
                if other.lin.contains(&mask) {
                    *other = self.xor_bits(other, &bit);
                }
            }
        }
        !self.is_too_complex
    }

    /// Whether the sum of two bits is the same for all masks.
    pub fn has_secret_sum(&mut self, a: &Bit, b: &Bit) -> bool {
        let (a, b) = (self.resolve(a), self.resolve(b));
        let sum = self.xor_bits(&a, &b);
        let tables = sum.tables.iter().flat_map(|table| table.vars.iter());
        !self.is_too_complex && sum.lin.iter().chain(tables).all(|var| self.is_secret[*var as usize])
    }

    /// The sum of two bits.
    pub fn sum(&mut self, a: &Bit, b: &Bit) -> Bit {
        self.xor_bits(a, b)
    }

    /// Words with these secrets under these masks, and the masks.
    #[must_use]
    pub fn shares(&mut self, secrets: &[Bit], masks: &[Bit]) -> [Word; 2] {
        let sum: Vec<Bit> = secrets.iter().zip(masks).map(|(a, b)| self.xor_bits(a, b)).collect();
        [sum.into(), masks.to_vec().into()]
    }
}

impl Domain for Exact {
    type Word = Word;

    fn step(&mut self) {
        self.time += 1;
    }

    fn constant(&mut self, value: u32) -> Word {
        (0..32).map(|i| Bit { one: value >> i & 1 == 1, ..Bit::default() }).collect()
    }

    fn and(&mut self, a: &Word, b: &Word) -> Word {
        let pairs = a.iter().zip(b.iter());
        pairs
            .map(|(a, b)| {
                let (a, b) = (self.resolve(a), self.resolve(b));
                self.and_bits(&a, &b)
            })
            .collect()
    }

    fn xor(&mut self, a: &Word, b: &Word) -> Word {
        let pairs = a.iter().zip(b.iter());
        pairs
            .map(|(a, b)| {
                let (a, b) = (self.resolve(a), self.resolve(b));
                self.xor_bits(&a, &b)
            })
            .collect()
    }

    fn moved(&mut self, a: &Word, from: impl Fn(u8) -> Option<u8>) -> Word {
        (0..32).map(|i| from(i).map_or_else(Bit::default, |from| a[usize::from(from)].clone())).collect()
    }

    fn settle(&mut self, word: Word, old: Option<&Word>, is_stored: bool) -> Word {
        (0..32)
            .map(|i| {
                let bit = self.resolve(&word[i]);
                if !is_stored && !bit.tables.is_empty() {
                    return bit;
                }
                let old = old.map(|old| self.resolve(&old[i]));
                self.shorten(bit, old.as_ref())
            })
            .collect()
    }

    fn seen(&mut self, model: Model, at: u32, word: &Word) -> Result<()> {
        *self.seen.entry(model).or_default() += 1;
        let mut bits = 0;
        for (i, bit) in word.iter().enumerate() {
            let bit = self.resolve(bit);
            if !self.is_independent(&bit) {
                bits |= 1 << i;
            }
        }
        ensure!(!self.is_too_complex, "a bit depends on more than {MOST} variables");
        if bits != 0 {
            self.leaks.push(Leak { model, at, bits });
        }
        Ok(())
    }
}
