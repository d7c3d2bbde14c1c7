//! OTR version 3 over a block of 64 bits (Minematsu, EUROCRYPT 2014, with the masks of the third-round submission to CAESAR),
//! with its three ways to process associated data and tags of 64 bits.

use super::{Block, Byte};
use crate::graph::{Graph, Lit};

/// The coefficients of 1, x, x^2 and so on of an element of GF(2^64) with x^64 + x^4 + x^3 + x + 1.
type Element = [Lit; 64];

const ZERO: Block = [[Lit::ZERO; 8]; 8];

/// Blocks are big-endian.
fn element(block: &Block) -> Element {
    std::array::from_fn(|i| block[7 - i / 8][i % 8])
}

fn block(element: &Element) -> Block {
    std::array::from_fn(|byte| std::array::from_fn(|bit| element[8 * (7 - byte) + bit]))
}

/// What the papers fix: the tests have other rules, of which none may be proved.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The exponents of the field's polynomial below 64.
    pub polynomial: &'static [usize],
    /// Which bit of a padded block's byte follows the data.
    pub padding: usize,
    /// The byte of the formatted nonce before the nonce.
    pub nonce_mark: u8,
    /// By what the mask is multiplied from one pair to the next.
    pub step: u32,
    /// By what for the second block of a pair.
    pub second: u32,
    /// By what for the tag, if the last block is full.
    pub full: u32,
    /// By what for the tag, if the last block is not full.
    pub part: u32,
    /// By what for the tag before, if the last chunk has two blocks.
    pub last_pair: u32,
    /// Which blocks of a pair the checksum takes.
    pub checksum_of_pair: [bool; 2],
    /// Whether the checksum takes the output of the cipher in the last chunk of two blocks.
    pub checksum_of_z: bool,
    /// Whether the checksum takes the last ciphertext block there.
    pub checksum_of_last: bool,
    /// Whether what masks the last block of a single one is enciphered.
    pub enciphers_last: bool,
    /// By what the first mask of the data is multiplied.
    pub data_start: u32,
    /// By what the mask of the data is multiplied from one block to the next.
    pub data_step: u32,
    /// By what for the last block of the data, if it is full.
    pub data_full: u32,
    /// By what for the last block of the data, if it is not full.
    pub data_part: u32,
    /// Whether the sum of the data is enciphered.
    pub data_enciphered: bool,
    /// Whether data change the tag.
    pub data_in_tag: bool,
    /// By what the mask of serial data is multiplied, if the last block is full.
    pub serial_full: u32,
    /// By what the mask of serial data is multiplied, if the last block is not full.
    pub serial_part: u32,
    /// By what the mask of the message is multiplied after serial data.
    pub serial_mask: u32,
    /// What is done with combined data as with a text.
    pub combined: Direction,
    /// How many bytes a chunk has at least that is not the last one, less one.
    pub chunk: usize,
}

/// 3 is x + 1, 5 its square, 7 is x^2 + x + 1.
pub const PAPER: Rules = Rules {
    polynomial: &[0, 1, 3, 4],
    padding: 7,
    // 64 mod 64 in 7 bits, then a one.
    nonce_mark: 1,
    step: 0b10,
    second: 0b11,
    full: 0b111,
    part: 0b101,
    last_pair: 0b11,
    checksum_of_pair: [false, true],
    checksum_of_z: true,
    checksum_of_last: true,
    enciphers_last: true,
    data_start: 1,
    data_step: 0b10,
    data_full: 0b101,
    data_part: 0b11,
    data_enciphered: true,
    data_in_tag: true,
    serial_full: 0b100,
    serial_part: 0b10,
    serial_mask: 0b10,
    combined: Direction::Open,
    chunk: 16,
};

fn double(rules: &Rules, g: &mut Graph, e: &Element) -> Element {
    let carry = e[63];
    std::array::from_fn(|i| {
        let bit = if i == 0 { Lit::ZERO } else { e[i - 1] };
        if rules.polynomial.contains(&i) { g.xor(bit, carry) } else { bit }
    })
}

/// The product with the polynomial whose coefficients are the bits of `factor`.
fn times(rules: &Rules, g: &mut Graph, e: &Element, factor: u32) -> Element {
    let (mut product, mut power) = ([Lit::ZERO; 64], *e);
    for i in 0..32 - factor.leading_zeros() {
        if i > 0 {
            power = double(rules, g, &power);
        }
        if factor >> i & 1 == 1 {
            product = std::array::from_fn(|i| g.xor(product[i], power[i]));
        }
    }
    product
}

fn xor(g: &mut Graph, a: &Block, b: &Block) -> Block {
    std::array::from_fn(|i| std::array::from_fn(|bit| g.xor(a[i][bit], b[i][bit])))
}

/// The first bytes of the sum.
fn xor_part(g: &mut Graph, a: &[Byte], b: &Block) -> Vec<Byte> {
    a.iter().zip(b).map(|(a, b)| std::array::from_fn(|bit| g.xor(a[bit], b[bit]))).collect()
}

/// 10*.
fn pad(rules: &Rules, data: &[Byte]) -> Block {
    std::array::from_fn(|i| match data.get(i) {
        Some(&byte) => byte,
        None if i == data.len() => std::array::from_fn(|bit| Lit::constant(bit == rules.padding)),
        None => [Lit::ZERO; 8],
    })
}

/// How associated data are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdProcessing {
    /// Beside the message, each block with a mask of its own.
    Parallel,
    /// Before the message, one block after the other.
    Serial,
    /// Before the message, as a text.
    Combined,
}

/// The direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Seal,
    /// Ciphertext to plaintext.
    Open,
}

/// The sum of serial associated data: CMAC.
fn chained(
    rules: &Rules,
    g: &mut Graph,
    cipher: &mut impl FnMut(&mut Graph, &Block) -> Block,
    ad: &[Byte],
) -> Block {
    let q = element(&cipher(g, &ZERO));
    let mut sum = ZERO;
    let mut blocks = ad.chunks(8).peekable();
    while let Some(data) = blocks.next() {
        sum = xor(g, &sum, &pad(rules, data));
        if blocks.peek().is_none() {
            let factor = if data.len() == 8 { rules.serial_full } else { rules.serial_part };
            let mask = times(rules, g, &q, factor);
            sum = xor(g, &sum, &block(&mask));
        }
        sum = cipher(g, &sum);
    }
    sum
}

/// The sum of parallel associated data.
fn associated(
    rules: &Rules,
    g: &mut Graph,
    cipher: &mut impl FnMut(&mut Graph, &Block) -> Block,
    ad: &[Byte],
) -> Block {
    if ad.is_empty() || !rules.data_in_tag {
        return ZERO;
    }
    let q = element(&cipher(g, &ZERO));
    let mut q = times(rules, g, &q, rules.data_start);
    let mut sum = ZERO;
    let mut blocks = ad.chunks(8).peekable();
    loop {
        let data = blocks.next().expect("there is a last one");
        if blocks.peek().is_none() {
            sum = xor(g, &sum, &pad(rules, data));
            let mask = times(rules, g, &q, if data.len() == 8 { rules.data_full } else { rules.data_part });
            sum = xor(g, &sum, &block(&mask));
            return if rules.data_enciphered { cipher(g, &sum) } else { sum };
        }
        let masked = xor(g, &block(&q), &pad(rules, data));
        let encrypted = cipher(g, &masked);
        sum = xor(g, &sum, &encrypted);
        q = times(rules, g, &q, rules.data_step);
    }
}

/// The block that a nonce becomes.
///
/// # Panics
/// If it does not have 7 bytes.
#[must_use]
pub fn nonce_block(rules: &Rules, nonce: &[Byte]) -> Block {
    let mut formatted = super::constant_bytes(&[rules.nonce_mark]);
    formatted.extend(nonce);
    formatted.try_into().expect("a nonce of 7 bytes")
}

/// The other text and the tag of `text`, with `cipher` encrypting blocks, by the [`PAPER`]'s rules or others.
///
/// # Panics
/// If the nonce does not have 7 bytes.
#[allow(clippy::too_many_arguments, reason = "so many things make a message")]
pub fn crypt(
    rules: &Rules,
    g: &mut Graph,
    cipher: &mut impl FnMut(&mut Graph, &Block) -> Block,
    processing: AdProcessing,
    direction: Direction,
    nonce: &[Byte],
    ad: &[Byte],
    text: &[Byte],
) -> (Vec<Byte>, Block) {
    let formatted = nonce_block(rules, nonce);
    match processing {
        AdProcessing::Parallel => {
            let l = element(&cipher(g, &formatted));
            let sum = associated(rules, g, cipher, ad);
            let (other, tag) = crypt_text(rules, g, cipher, direction, l, text);
            (other, xor(g, &tag, &sum))
        }
        AdProcessing::Serial => {
            let sum = chained(rules, g, cipher, ad);
            let encrypted = cipher(g, &formatted);
            let l = element(&xor(g, &encrypted, &sum));
            let l = times(rules, g, &l, rules.serial_mask);
            crypt_text(rules, g, cipher, direction, l, text)
        }
        AdProcessing::Combined => {
            let mut masked = formatted;
            if !ad.is_empty() {
                let q = element(&cipher(g, &ZERO));
                let (_, sum) = crypt_text(rules, g, cipher, rules.combined, q, ad);
                masked = xor(g, &masked, &sum);
            }
            let l = element(&cipher(g, &masked));
            crypt_text(rules, g, cipher, direction, l, text)
        }
    }
}

/// The same of a text alone, with the first mask.
fn crypt_text(
    rules: &Rules,
    g: &mut Graph,
    cipher: &mut impl FnMut(&mut Graph, &Block) -> Block,
    direction: Direction,
    mut l: Element,
    mut text: &[Byte],
) -> (Vec<Byte>, Block) {
    let mut out = Vec::new();
    let mut checksum = ZERO;
    while text.len() > rules.chunk {
        let (first, second) = (pad(rules, &text[..8]), pad(rules, &text[8..16]));
        text = &text[16..];
        let tripled = times(rules, g, &l, rules.second);
        let (mask_1, mask_2) = match direction {
            Direction::Seal => (block(&l), block(&tripled)),
            Direction::Open => (block(&tripled), block(&l)),
        };
        let masked = xor(g, &mask_1, &first);
        let encrypted = cipher(g, &masked);
        let out_1 = xor(g, &encrypted, &second);
        let masked = xor(g, &mask_2, &out_1);
        let encrypted = cipher(g, &masked);
        let out_2 = xor(g, &encrypted, &first);
        out.extend(out_1);
        out.extend(out_2);
        let plaintext = if direction == Direction::Seal { [first, second] } else { [out_1, out_2] };
        for (block, is_taken) in plaintext.iter().zip(rules.checksum_of_pair) {
            if is_taken {
                checksum = xor(g, &checksum, block);
            }
        }
        l = times(rules, g, &l, rules.step);
    }

    let tripled = times(rules, g, &l, rules.second);
    let last_mask;
    if text.len() <= 8 {
        let z = if rules.enciphers_last { cipher(g, &block(&l)) } else { block(&l) };
        let last = xor_part(g, text, &z);
        let plaintext = if direction == Direction::Seal { text } else { &last };
        checksum = xor(g, &checksum, &pad(rules, plaintext));
        out.extend(last);
        last_mask = l;
    } else {
        let (first, second) = (pad(rules, &text[..8]), &text[8..]);
        let (ciphertext, other_first, last, z);
        match direction {
            Direction::Seal => {
                let masked = xor(g, &block(&l), &first);
                z = cipher(g, &masked);
                last = xor_part(g, second, &z);
                ciphertext = pad(rules, &last);
                let masked = xor(g, &block(&tripled), &ciphertext);
                let encrypted = cipher(g, &masked);
                other_first = xor(g, &encrypted, &first);
            }
            Direction::Open => {
                ciphertext = pad(rules, second);
                let masked = xor(g, &block(&tripled), &ciphertext);
                let encrypted = cipher(g, &masked);
                other_first = xor(g, &encrypted, &first);
                let masked = xor(g, &block(&l), &other_first);
                z = cipher(g, &masked);
                last = xor_part(g, second, &z);
            }
        }
        for (block, is_taken) in [(z, rules.checksum_of_z), (ciphertext, rules.checksum_of_last)] {
            if is_taken {
                checksum = xor(g, &checksum, &block);
            }
        }
        out.extend(other_first);
        out.extend(last);
        last_mask = times(rules, g, &l, rules.last_pair);
    }
    let is_full = !text.is_empty() && text.len().is_multiple_of(8);
    let mask = times(rules, g, &last_mask, if is_full { rules.full } else { rules.part });
    let masked = xor(g, &checksum, &block(&mask));
    (out, cipher(g, &masked))
}
