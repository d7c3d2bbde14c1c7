//! What is proved of each kernel in a linked image.

use crate::{
    exact::{Bit, Exact, Leak, Word},
    image::Image,
    kernel::{self, Kernel},
    machine::{Cell, Machine, Model},
};
use anyhow::Result;
use std::collections::BTreeMap;

/// Where the arguments are. Nothing of the image may be there.
pub const KEYS: u32 = 0x4000_0000;
/// Blocks, or a key, or masks.
pub const INPUT: u32 = 0x4000_1000;
/// Constants of the key schedule.
pub const CONSTANTS: u32 = 0x4000_2000;
/// Code that is not linked.
pub const CODE: u32 = 0x3000_0000;
/// The stack.
pub const STACK: u32 = 0x4001_0000;

/// The rounds of TWINE.
pub const ROUNDS: usize = 36;

/// The constants of the key schedule, as the kernels take them.
#[must_use]
pub fn constants() -> Vec<u32> {
    let to_basis = |n: u32| {
        let [x0, x1, x2, x3] = [n & 1, n >> 1 & 1, n >> 2 & 1, n >> 3];
        (x0 ^ x1) | x2 << 1 | (x1 ^ x2) << 2 | (x0 ^ x1 ^ x3) << 3
    };
    let (_, exchanged) = kernel::pairs();
    let mut words = Vec::new();
    let mut constant = 1;
    for step in 0..9 {
        let (mut to_7, mut to_19) = (0, 0);
        for i in 0..4 {
            to_7 |= to_basis(constant >> 3) << (8 * ((i + 1) % 4));
            to_19 |= to_basis(constant & 7) << (8 * i);
            constant = if constant & 0x20 == 0 { constant << 1 } else { constant << 1 ^ 0x43 };
        }
        let all = if step % 2 == 1 { 0x0F0F_0F0F } else { 0 };
        words.extend([to_7, to_19]);
        words.extend(exchanged.map(|bytes| bytes ^ all));
    }
    words
}

/// What was found about a kernel.
pub struct Report {
    /// Its symbol.
    pub name: &'static str,
    /// The instructions that ran.
    pub instructions: u64,
    /// How many words were looked at in each model.
    pub seen: BTreeMap<Model, u64>,
    /// Where a secret is seen.
    pub leaks: Vec<Leak>,
}

fn bits(count: usize, mut bit: impl FnMut() -> Bit) -> Vec<Bit> {
    (0..count).map(|_| bit()).collect()
}

/// The sum of secret words and of words of masks.
fn under(exact: &mut Exact, masks: &[Bit]) -> Word {
    let secrets = bits(32, || exact.secret());
    let [word, _] = exact.shares(&secrets, masks);
    word
}

/// Proves what there is to prove about one kernel.
///
/// - Of the kernel for blocks: both shares of all round keys may be anything, and are known to the attacker but for four words of masks, which
///   all rounds share, as the kernel for new masks leaves them. The shares of the blocks have masks of their own.
/// - Of the key schedules: the shares of the key have masks of their own.
/// - Of the kernel for new masks: the old masks and the new ones are independent; the rest is known.
///
/// `code` makes the machine ready: it puts the kernel at an address, which it returns.
fn check(
    name: &'static str,
    image: &[(u32, Vec<u8>)],
    code: impl FnOnce(&mut Machine<'_, Exact>) -> Result<u32>,
) -> Result<Report> {
    let mut exact = Exact::new();
    let masks: Vec<Vec<Bit>> = (0..4).map(|_| bits(32, || exact.mask())).collect();
    let has_keys = matches!(name, "twine_masked_encrypt" | "twine_masked_refresh");
    let keys: Vec<Word> = if has_keys {
        (0..8 * ROUNDS).map(|i| under(&mut exact, &masks[kernel::plane_of_key(i)])).collect()
    } else {
        Vec::new()
    };
    exact.fix();
    let input: Vec<Word> = match name {
        "twine_masked_refresh" => (0..4).map(|_| bits(32, || exact.mask()).into()).collect(),
        _ => {
            let (words, used) = match name {
                "twine_masked_encrypt" => (8, 8 * 32),
                "twine_masked_schedule_128" => (4, 4 * 32),
                _ => (3, 80),
            };
            let masks = bits(used, || exact.mask());
            let secrets = bits(used, || exact.secret());
            let mut shares = [Vec::new(), Vec::new()];
            for word in 0..words {
                let zero = || vec![Bit::default(); 32];
                let part = |bits: &[Bit]| {
                    let mut part = bits[32 * word..used.min(32 * word + 32)].to_vec();
                    part.extend(zero().into_iter().take(32 - part.len()));
                    part
                };
                let [a, b] = exact.shares(&part(&secrets), &part(&masks));
                shares[0].push(a);
                shares[1].push(b);
            }
            shares.concat()
        }
    };
    let mut machine = Machine::new(exact, image);
    let address = code(&mut machine)?;
    machine.put(KEYS, keys);
    machine.put(INPUT, input);
    for (address, word) in (CONSTANTS..).step_by(4).zip(constants()) {
        machine.memory.insert(address, Cell::Int(word));
    }
    machine.call(address, STACK, &[KEYS, INPUT, CONSTANTS])?;
    let instructions = machine.count;
    let Exact { seen, leaks, .. } = machine.domain;
    Ok(Report { name, instructions, seen, leaks })
}

/// Checks a kernel in a linked image.
///
/// # Errors
/// If the image does not have the kernel, or if the kernel has instructions or values that are not modelled.
pub fn linked(image: &Image, kernel: &Kernel) -> Result<Report> {
    let address = image.function(kernel.name)?;
    check(kernel.name, &image.parts, |_| Ok(address))
}

/// Checks a kernel as it was written.
///
/// # Errors
/// As for [`linked`].
pub fn written(kernel: &Kernel) -> Result<Report> {
    check(kernel.name, &[], |machine| {
        machine.program(CODE, &kernel.code, kernel.label);
        Ok(CODE)
    })
}
