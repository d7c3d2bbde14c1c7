//! OTR version 3 over a block of 64 bits (Minematsu, EUROCRYPT 2014, with the masks of the third-round submission to CAESAR),
//! with parallel associated data and tags of 64 bits.

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

fn double(g: &mut Graph, e: &Element) -> Element {
    let carry = e[63];
    std::array::from_fn(|i| {
        let bit = if i == 0 { Lit::ZERO } else { e[i - 1] };
        if [0, 1, 3, 4].contains(&i) { g.xor(bit, carry) } else { bit }
    })
}

/// The product with the polynomial whose coefficients are the bits of `factor`.
fn times(g: &mut Graph, e: &Element, factor: u32) -> Element {
    let (mut product, mut power) = ([Lit::ZERO; 64], *e);
    for i in 0..32 - factor.leading_zeros() {
        if i > 0 {
            power = double(g, &power);
        }
        if factor >> i & 1 == 1 {
            product = std::array::from_fn(|i| g.xor(product[i], power[i]));
        }
    }
    product
}

/// 3 and 9 in the field: x + 1 and its square, x^2 + 1. 7 is x^2 + x + 1.
const THREE: u32 = 0b11;
const THREE_SQUARED: u32 = 0b101;
const SEVEN: u32 = 0b111;

fn xor(g: &mut Graph, a: &Block, b: &Block) -> Block {
    std::array::from_fn(|i| std::array::from_fn(|bit| g.xor(a[i][bit], b[i][bit])))
}

/// The first bytes of the sum.
fn xor_part(g: &mut Graph, a: &[Byte], b: &Block) -> Vec<Byte> {
    a.iter().zip(b).map(|(a, b)| std::array::from_fn(|bit| g.xor(a[bit], b[bit]))).collect()
}

/// 10*.
fn pad(data: &[Byte]) -> Block {
    std::array::from_fn(|i| match data.get(i) {
        Some(&byte) => byte,
        None if i == data.len() => std::array::from_fn(|bit| Lit::constant(bit == 7)),
        None => [Lit::ZERO; 8],
    })
}

/// The direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Seal,
    /// Ciphertext to plaintext.
    Open,
}

/// The sum of the parallel associated data.
fn associated(g: &mut Graph, cipher: &mut impl FnMut(&mut Graph, &Block) -> Block, ad: &[Byte]) -> Block {
    if ad.is_empty() {
        return ZERO;
    }
    let mut q = element(&cipher(g, &ZERO));
    let mut sum = ZERO;
    let mut blocks = ad.chunks(8).peekable();
    loop {
        let data = blocks.next().expect("there is a last one");
        if blocks.peek().is_none() {
            sum = xor(g, &sum, &pad(data));
            let mask = times(g, &q, if data.len() == 8 { THREE_SQUARED } else { THREE });
            sum = xor(g, &sum, &block(&mask));
            return cipher(g, &sum);
        }
        let masked = xor(g, &block(&q), &pad(data));
        let encrypted = cipher(g, &masked);
        sum = xor(g, &sum, &encrypted);
        q = double(g, &q);
    }
}

/// The other text and the tag of `text`, with `cipher` encrypting blocks.
///
/// # Panics
/// If the nonce does not have 7 bytes.
pub fn crypt(
    g: &mut Graph,
    cipher: &mut impl FnMut(&mut Graph, &Block) -> Block,
    direction: Direction,
    nonce: &[Byte],
    ad: &[Byte],
    text: &[Byte],
) -> (Vec<Byte>, Block) {
    // 64 mod 64 in 7 bits, then a one before the nonce.
    let mut formatted = vec![std::array::from_fn(|bit| Lit::constant(bit == 0))];
    formatted.extend(nonce);
    let formatted: Block = formatted.try_into().expect("a nonce of 7 bytes");

    let mut l = element(&cipher(g, &formatted));
    let ad_tag = associated(g, cipher, ad);
    let mut out = Vec::new();
    let mut checksum = ZERO;
    let mut text = text;
    while text.len() > 16 {
        let (first, second) = (pad(&text[..8]), pad(&text[8..16]));
        text = &text[16..];
        let tripled = times(g, &l, THREE);
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
        let plaintext = if direction == Direction::Seal { second } else { out_2 };
        checksum = xor(g, &checksum, &plaintext);
        l = double(g, &l);
    }

    let tripled = times(g, &l, THREE);
    let last_mask;
    if text.len() <= 8 {
        let z = cipher(g, &block(&l));
        let last = xor_part(g, text, &z);
        let plaintext = if direction == Direction::Seal { text } else { &last };
        checksum = xor(g, &checksum, &pad(plaintext));
        out.extend(last);
        last_mask = l;
    } else {
        let (first, second) = (pad(&text[..8]), &text[8..]);
        let (ciphertext, other_first, last, z);
        match direction {
            Direction::Seal => {
                let masked = xor(g, &block(&l), &first);
                z = cipher(g, &masked);
                last = xor_part(g, second, &z);
                ciphertext = pad(&last);
                let masked = xor(g, &block(&tripled), &ciphertext);
                let encrypted = cipher(g, &masked);
                other_first = xor(g, &encrypted, &first);
            }
            Direction::Open => {
                ciphertext = pad(second);
                let masked = xor(g, &block(&tripled), &ciphertext);
                let encrypted = cipher(g, &masked);
                other_first = xor(g, &encrypted, &first);
                let masked = xor(g, &block(&l), &other_first);
                z = cipher(g, &masked);
                last = xor_part(g, second, &z);
            }
        }
        checksum = xor(g, &checksum, &z);
        checksum = xor(g, &checksum, &ciphertext);
        out.extend(other_first);
        out.extend(last);
        last_mask = tripled;
    }
    let is_full = !text.is_empty() && text.len().is_multiple_of(8);
    let mask = times(g, &last_mask, if is_full { SEVEN } else { THREE_SQUARED });
    let masked = xor(g, &checksum, &block(&mask));
    let encrypted = cipher(g, &masked);
    (out, xor(g, &encrypted, &ad_tag))
}
