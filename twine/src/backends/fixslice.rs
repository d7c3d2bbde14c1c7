//! The portable backend: TWINE with fixslicing, without tables, secret indices or secret branches.
//!
//! # Bit slicing
//! A block has 8 even and 8 odd nibbles. The high half of byte `j` is nibble `2j`, and the low half is nibble `2j + 1`. Four words hold the
//! even nibbles of a batch of blocks, one bit of each nibble in each word. Four other words hold the odd nibbles. A word has 8 *lanes*, one
//! for each of the 8 nibbles. A lane has one bit of each block: a `u32` has 4 blocks, and a `u64` has 8. A round of the paper is
//! `X[2j+1] ^= S(X[2j] ^ RK[j])` for all `j`. It is one pass of the S-box circuit over the even words, for all nibbles of all blocks at once.
//!
//! # Fixslicing
//! The shuffle does not move the state, see [`crate::placement`]. In round `r` only the four words of S-box output move, from lane `p` to
//! lane `p ^ LANE_XOR[r % 4]`. The XOR of a lane number with a power of two is a rotation, or one exchange of neighbouring groups of bits.
//! Every fourth round moves nothing.
//!
//! # Complements
//! The circuit ([`crate::sbox`]) computes `S(x ^ i) ^ o` for two constants. The round keys contain `i`. After a half has received `n` outputs, it
//! carries `n * o`. The round keys that are added to it contain that too. Each half receives 18 outputs, so nothing remains at the end.
//!
//! # Decryption
//! A round is its own inverse if the roles of the halves are fixed. So decryption runs the same rounds from the last to the first, with the
//! same S-box and the same round keys.

use core::{
    mem::MaybeUninit,
    ops::{Shl, Shr},
    ptr,
};

use cipher::{
    Array, BlockCipherDecBackend, BlockCipherEncBackend, BlockSizeUser, InOut, InOutBuf, ParBlocks,
    ParBlocksSizeUser,
    array::ArraySize,
    consts::{U4, U8},
    typenum::Unsigned,
};

use crate::{
    consts::ROUNDS,
    maybe::MaybeZeroize,
    placement::LANE_XOR,
    sbox::{self, Plane},
    schedule,
};

pub(crate) type Block = Array<u8, U8>;

/// The value that a lane number is XORed with in each of four rounds.
const XOR_0: u32 = LANE_XOR[0] as u32;
const XOR_1: u32 = LANE_XOR[1] as u32;
const XOR_2: u32 = LANE_XOR[2] as u32;
const XOR_3: u32 = LANE_XOR[3] as u32;

/// A word with one bit of each of 8 nibbles of each block of a batch.
pub(crate) trait Word:
    Plane + MaybeZeroize + Shl<u32, Output = Self> + Shr<u32, Output = Self>
{
    /// The number of blocks in a batch, and of bits in a lane.
    type Blocks: ArraySize;

    const ZERO: Self;

    /// Returns a word with `byte` in every byte.
    fn splat(byte: u8) -> Self;

    /// Moves the bits of lane `p` to lane `p ^ XOR`, for `XOR` = 0, 1, 2 or 4.
    fn exchange_lanes<const XOR: u32>(self) -> Self;

    /// Converts a round key from the order of [`schedule::expand`] to the order of [`Word::expand`].
    fn order(packed: u32) -> u32;

    /// Returns the words of an ordered round key. In word `b`, all bits of the lane of a nibble are bit `b` of the nibble.
    fn expand(ordered: u32) -> [Self; 4];

    /// Puts a block into the rows that [`transpose`] turns into bit `index` of every lane.
    fn put(rows: &mut [Self; 8], index: usize, block: u64);

    /// Is the inverse of [`Word::put`].
    fn get(rows: &[Self; 8], index: usize) -> u64;
}

/// Lane `p` is byte `p`. Row `index` is the block.
impl Word for u64 {
    type Blocks = U8;
    const ZERO: Self = 0;

    #[inline(always)]
    fn splat(byte: u8) -> Self {
        Self::from_ne_bytes([byte; 8])
    }

    #[inline(always)]
    fn exchange_lanes<const XOR: u32>(self) -> Self {
        match XOR {
            0 => self,
            1 => self >> 8 & 0x00FF_00FF_00FF_00FF | (self & 0x00FF_00FF_00FF_00FF) << 8,
            2 => self >> 16 & 0x0000_FFFF_0000_FFFF | (self & 0x0000_FFFF_0000_FFFF) << 16,
            _ => self.rotate_left(32),
        }
    }

    #[inline(always)]
    fn order(packed: u32) -> u32 {
        packed
    }

    #[inline(always)]
    fn expand(ordered: u32) -> [Self; 4] {
        let (low, high) = (ordered & 0x0F0F_0F0F, ordered >> 4 & 0x0F0F_0F0F);
        let lanes = Self::from(low.swap_bytes()) | Self::from(high) << 32;
        [0, 1, 2, 3].map(|b| {
            let x = lanes >> b & 0x0101_0101_0101_0101;
            (x << 8).wrapping_sub(x)
        })
    }

    #[inline(always)]
    fn put(rows: &mut [Self; 8], index: usize, block: u64) {
        rows[index] = block;
    }

    #[inline(always)]
    fn get(rows: &[Self; 8], index: usize) -> u64 {
        rows[index]
    }
}

/// Lane `p` is nibble `p / 4` of byte `p % 4`. So two of the exchanges are single instructions on Arm (`rev16`, `ror`). Rows `index` and
/// `index + 4` are the two halves of the block.
impl Word for u32 {
    type Blocks = U4;
    const ZERO: Self = 0;

    #[inline(always)]
    fn splat(byte: u8) -> Self {
        Self::from_ne_bytes([byte; 4])
    }

    #[inline(always)]
    fn exchange_lanes<const XOR: u32>(self) -> Self {
        match XOR {
            0 => self,
            // These are two instructions with Zbb. The compiler does not find them in the code below.
            1 if cfg!(target_feature = "zbb") => self.swap_bytes().rotate_left(16),
            1 => self >> 8 & 0x00FF_00FF | (self & 0x00FF_00FF) << 8,
            2 => self.rotate_left(16),
            _ => self >> 4 & 0x0F0F_0F0F | (self & 0x0F0F_0F0F) << 4,
        }
    }

    #[inline(always)]
    fn order(packed: u32) -> u32 {
        packed & 0xF0F0_F0F0 | packed.swap_bytes() & 0x0F0F_0F0F
    }

    #[inline(always)]
    fn expand(ordered: u32) -> [Self; 4] {
        let four_times = |x: u32| {
            let bits = x & 0x1111_1111;
            (bits << 4).wrapping_sub(bits)
        };
        // This is not a loop, because the compiler does not unroll loops when it optimises for size.
        [four_times(ordered), four_times(ordered >> 1), four_times(ordered >> 2), four_times(ordered >> 3)]
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of the block")]
    fn put(rows: &mut [Self; 8], index: usize, block: u64) {
        rows[index] = block as u32;
        rows[index + 4] = (block >> 32) as u32;
    }

    #[inline(always)]
    fn get(rows: &[Self; 8], index: usize) -> u64 {
        u64::from(rows[index]) | u64::from(rows[index + 4]) << 32
    }
}

/// Exchanges bit `k` of the row number with bit `k` of the place in each byte, for `k` = 0, 1, 2. Afterwards row `i` holds bit `i` of every
/// byte. The function is its own inverse.
#[inline(always)]
fn transpose<W: Word>(rows: &mut [W; 8]) {
    exchange_with_row::<W, 0>(rows, W::splat(0x55));
    exchange_with_row::<W, 1>(rows, W::splat(0x33));
    exchange_with_row::<W, 2>(rows, W::splat(0x0F));
}

#[inline(always)]
fn exchange_with_row<W: Word, const K: usize>(rows: &mut [W; 8], mask: W) {
    // No loop: see `round`.
    exchange_two_rows::<W, K>(rows, mask, 0);
    exchange_two_rows::<W, K>(rows, mask, 1);
    exchange_two_rows::<W, K>(rows, mask, 2);
    exchange_two_rows::<W, K>(rows, mask, 3);
}

/// Does one step of [`transpose`] for pair `i` of rows.
#[inline(always)]
fn exchange_two_rows<W: Word, const K: usize>(rows: &mut [W; 8], mask: W, i: usize) {
    let shift = 1 << K;
    // These are the numbers without bit K, one after the other.
    let low = i & ((1 << K) - 1) | i >> K << (K + 1);
    let high = low | 1 << K;
    let difference = (rows[low] >> shift ^ rows[high]) & mask;
    rows[high] = rows[high] ^ difference;
    rows[low] = rows[low] ^ difference << shift;
}

/// Does [`Word::exchange_lanes`] on each word.
#[inline(always)]
fn exchange_lanes<W: Word, const XOR: u32>([x0, x1, x2, x3]: [W; 4]) -> [W; 4] {
    [
        x0.exchange_lanes::<XOR>(),
        x1.exchange_lanes::<XOR>(),
        x2.exchange_lanes::<XOR>(),
        x3.exchange_lanes::<XOR>(),
    ]
}

#[inline(always)]
fn xor<W: Word>([x0, x1, x2, x3]: [W; 4], [y0, y1, y2, y3]: [W; 4]) -> [W; 4] {
    [x0 ^ y0, x1 ^ y1, x2 ^ y2, x3 ^ y3]
}

/// Exchanges the bits of `x` under `mask` with those `shift` places higher.
///
/// The usual way takes a difference `d` and ends in `x ^ d ^ d << shift`. Compilers turn `d ^ d << shift` into a multiplication. For words of
/// 32 bits it is one whose time depends on the operands on Cortex-M3.
#[inline(always)]
const fn exchange_bits(x: u64, mask: u64, shift: u32) -> u64 {
    x & !(mask | mask << shift) | x >> shift & mask | (x & mask) << shift
}

/// The lanes of the bytes of a block.
#[derive(Clone, Copy)]
pub(super) enum Placement {
    /// The lanes at the start of encryption and at the end of decryption: those of round 0.
    First,
    /// The lanes at the end of encryption and at the start of decryption: those of the last round, which has no shuffle in the paper.
    Last,
}

/// Moves byte `j` of a block to its lane. In `Placement::Last`, the lane of the even nibble places both nibbles.
#[inline(always)]
const fn place(block: u64, placement: Placement) -> u64 {
    match placement {
        Placement::First => exchange_bytes_3_4(block),
        Placement::Last => exchange_bytes_1_2_and_5_6(exchange_bytes_3_4(exchange_6(block))),
    }
}

/// Is the inverse of [`place`].
#[inline(always)]
const fn unplace(block: u64, placement: Placement) -> u64 {
    match placement {
        Placement::First => exchange_bytes_3_4(block),
        Placement::Last => exchange_6(exchange_bytes_3_4(exchange_bytes_1_2_and_5_6(block))),
    }
}

#[inline(always)]
const fn exchange_bytes_3_4(x: u64) -> u64 {
    exchange_bits(x, 0xFF << 24, 8)
}

#[inline(always)]
const fn exchange_bytes_1_2_and_5_6(x: u64) -> u64 {
    exchange_bits(x, 0x0000_FF00_0000_FF00, 8)
}

/// Moves byte `j` to byte `j ^ 6`.
#[inline(always)]
const fn exchange_6(x: u64) -> u64 {
    exchange_bits(x.rotate_left(32), 0x0000_FFFF_0000_FFFF, 16)
}

/// Returns whether the blocks are aligned, on cores that can only read and write aligned words.
#[inline(always)]
fn are_aligned(blocks: &[Block]) -> bool {
    cfg!(target_arch = "riscv32") && blocks.as_ptr().cast::<[u32; 2]>().is_aligned()
}

/// Reads a block.
///
/// # Safety
/// If `is_aligned`, the block must be aligned as words are.
#[inline(always)]
#[cfg_attr(not(target_arch = "riscv32"), allow(unused_variables, reason = "there it does not matter"))]
unsafe fn read(block: &Block, is_aligned: bool) -> u64 {
    #[cfg(target_arch = "riscv32")]
    {
        let words = ptr::from_ref(block).cast::<[u32; 2]>();
        if !is_aligned {
            return read_bytes(block);
        }
        // SAFETY: a block has as many bytes, and it is aligned by the caller's word.
        let [low, high] = unsafe { *words };
        u64::from(low) | u64::from(high) << 32
    }
    #[cfg(not(target_arch = "riscv32"))]
    u64::from_le_bytes(block.0)
}

/// Reads a block byte by byte. This and `write_bytes` are not inlined, because they are long and seldom needed.
#[cfg(target_arch = "riscv32")]
#[inline(never)]
fn read_bytes(block: &Block) -> u64 {
    u64::from_le_bytes(block.0)
}

/// Writes a block as [`read`] reads one.
///
/// # Safety
/// As for [`read`].
#[inline(always)]
#[cfg_attr(not(target_arch = "riscv32"), allow(unused_variables, reason = "there it does not matter"))]
#[allow(clippy::cast_possible_truncation, reason = "the two halves of the block")]
unsafe fn write(block: &mut Block, is_aligned: bool, value: u64) {
    #[cfg(target_arch = "riscv32")]
    {
        let words = ptr::from_mut(block).cast::<[u32; 2]>();
        if is_aligned {
            // SAFETY: as above.
            unsafe { *words = [value as u32, (value >> 32) as u32] };
        } else {
            write_bytes(block, value);
        }
    }
    #[cfg(not(target_arch = "riscv32"))]
    {
        block.0 = value.to_le_bytes();
    }
}

#[cfg(target_arch = "riscv32")]
#[inline(never)]
fn write_bytes(block: &mut Block, value: u64) {
    block.0 = value.to_le_bytes();
}

/// A bit-sliced batch of blocks, in the basis of the S-box circuit.
pub(super) struct State<W> {
    /// The half that is the even one in rounds 0, 2, ...
    pub(super) first: [W; 4],
    /// The half that is the even one in rounds 1, 3, ...
    pub(super) second: [W; 4],
}

impl<W: Word> State<W> {
    /// Loads up to [`Word::Blocks`] blocks. Missing blocks are zero.
    #[inline(always)]
    pub(super) fn load(blocks: &[Block], placement: Placement) -> Self {
        let mut rows = [W::ZERO; 8];
        let is_aligned = are_aligned(blocks);
        let mut put = |index: usize, block: &Block| {
            // SAFETY: a block is as long as two words, so that all are aligned if the first one is.
            let block = unsafe { read(block, is_aligned) };
            W::put(&mut rows, index, place(block, placement));
        };
        if W::Blocks::USIZE == 4 {
            // This is not a loop, see `round`.
            if let [b0, rest @ ..] = blocks {
                put(0, b0);
                if let [b1, rest @ ..] = rest {
                    put(1, b1);
                    if let [b2, rest @ ..] = rest {
                        put(2, b2);
                        if let [b3, ..] = rest {
                            put(3, b3);
                        }
                    }
                }
            }
        } else {
            for (index, block) in blocks.iter().enumerate().take(W::Blocks::USIZE) {
                put(index, block);
            }
        }
        transpose(&mut rows);
        let [o0, o1, o2, o3, e0, e1, e2, e3] = rows;
        let (even, odd) = (sbox::to_basis([e0, e1, e2, e3]), sbox::to_basis([o0, o1, o2, o3]));
        match placement {
            Placement::First => Self { first: even, second: odd },
            Placement::Last => Self { first: exchange_lanes::<W, XOR_3>(odd), second: even },
        }
    }

    /// Is the inverse of [`State::load`].
    #[inline(always)]
    pub(super) fn store(&self, blocks: &mut [Block], placement: Placement) {
        let (even, odd) = match placement {
            Placement::First => (self.first, self.second),
            Placement::Last => (self.second, exchange_lanes::<W, XOR_3>(self.first)),
        };
        let [e0, e1, e2, e3] = sbox::from_basis(even);
        let [o0, o1, o2, o3] = sbox::from_basis(odd);
        let mut rows = [o0, o1, o2, o3, e0, e1, e2, e3];
        transpose(&mut rows);
        let is_aligned = are_aligned(blocks);
        let get = |index: usize, block: &mut Block| {
            // SAFETY: as in `load`.
            unsafe { write(block, is_aligned, unplace(W::get(&rows, index), placement)) };
        };
        if W::Blocks::USIZE == 4 {
            if let [b0, rest @ ..] = blocks {
                get(0, b0);
                if let [b1, rest @ ..] = rest {
                    get(1, b1);
                    if let [b2, rest @ ..] = rest {
                        get(2, b2);
                        if let [b3, ..] = rest {
                            get(3, b3);
                        }
                    }
                }
            }
        } else {
            for (index, block) in blocks.iter_mut().enumerate().take(W::Blocks::USIZE) {
                get(index, block);
            }
        }
    }

    #[inline(always)]
    fn encrypt(&mut self, keys: &RoundKeys<W>) {
        let Self { first, second } = self;
        for key in keys.0.chunks_exact(4) {
            round::<W, XOR_0>(first, second, &key[0].words());
            round::<W, XOR_1>(second, first, &key[1].words());
            round::<W, XOR_2>(first, second, &key[2].words());
            round::<W, XOR_3>(second, first, &key[3].words());
        }
    }

    #[inline(always)]
    fn decrypt(&mut self, keys: &RoundKeys<W>) {
        let Self { first, second } = self;
        for key in keys.0.chunks_exact(4).rev() {
            round::<W, XOR_3>(second, first, &key[3].words());
            round::<W, XOR_2>(first, second, &key[2].words());
            round::<W, XOR_1>(second, first, &key[1].words());
            round::<W, XOR_0>(first, second, &key[0].words());
        }
    }
}

/// Does one round without its shuffle. The function is its own inverse.
///
/// There are no loops over the words. The compiler would not unroll them when it optimises for size, and the state would be in memory.
#[inline(always)]
fn round<W: Word, const XOR: u32>(even: &[W; 4], odd: &mut [W; 4], key: &[W; 4]) {
    let output = sbox::circuit(xor(*even, *key));
    *odd = xor(*odd, exchange_lanes::<W, XOR>(output));
}

/// A round key in the lanes and with the complements of its round. It has one word for each bit.
#[cfg(not(twine_keys = "compact"))]
#[derive(Clone, Copy)]
#[repr(transparent)]
struct RoundKey<W>([W; 4]);

/// A packed round key in the lanes and with the complements of its round.
#[cfg(twine_keys = "compact")]
#[derive(Clone, Copy)]
#[repr(transparent)]
struct RoundKey<W>(u32, core::marker::PhantomData<W>);

impl<W: Word> RoundKey<W> {
    #[cfg(not(twine_keys = "compact"))]
    const ZERO: Self = Self([W::ZERO; 4]);
    #[cfg(twine_keys = "compact")]
    const ZERO: Self = Self(0, core::marker::PhantomData);

    #[inline(always)]
    fn new(ordered: u32) -> Self {
        #[cfg(not(twine_keys = "compact"))]
        return Self(W::expand(ordered));
        #[cfg(twine_keys = "compact")]
        return Self(ordered, core::marker::PhantomData);
    }

    /// Erases the key word by word. A loop would take more code.
    #[cfg(feature = "zeroize")]
    #[inline(always)]
    fn zeroize(&mut self) {
        #[cfg(not(twine_keys = "compact"))]
        {
            let [k0, k1, k2, k3] = &mut self.0;
            k0.zeroize();
            k1.zeroize();
            k2.zeroize();
            k3.zeroize();
        }
        #[cfg(twine_keys = "compact")]
        cipher::zeroize::Zeroize::zeroize(&mut self.0);
    }

    #[inline(always)]
    fn words(&self) -> [W; 4] {
        #[cfg(not(twine_keys = "compact"))]
        return self.0;
        #[cfg(twine_keys = "compact")]
        return W::expand(self.0);
    }
}

/// The round keys.
#[derive(Clone)]
#[repr(transparent)]
pub(crate) struct RoundKeys<W: Word>([RoundKey<W>; ROUNDS]);

impl<W: Word> RoundKeys<W> {
    /// Without a key.
    pub(crate) const ZERO: Self = Self([RoundKey::ZERO; ROUNDS]);

    /// Makes the round keys of `key`. `order` is [`Word::order`], or that of the Thumb kernels.
    #[inline(always)]
    pub(crate) fn new(key: &[u8], order: impl Fn(u32) -> u32) -> Self {
        let mut keys = MaybeUninit::<Self>::uninit();
        let all = keys.as_mut_ptr().cast::<[MaybeUninit<RoundKey<W>>; ROUNDS]>();
        // SAFETY: `Self` is such an array.
        expand(unsafe { &mut *all }, key, order);
        // SAFETY: all round keys are written.
        unsafe { keys.assume_init() }
    }

    /// Makes the round keys of `key` in place.
    #[inline(always)]
    pub(crate) fn expand(&mut self, key: &[u8], order: impl Fn(u32) -> u32) {
        let all = ptr::from_mut(self).cast::<[MaybeUninit<RoundKey<W>>; ROUNDS]>();
        // SAFETY: `Self` is such an array, and nothing but round keys is written there.
        expand(unsafe { &mut *all }, key, order);
    }
}

/// Writes all round keys. Both ways to make them call this one function, so that there is one copy of the schedule.
#[inline(always)]
fn expand<W: Word>(keys: &mut [MaybeUninit<RoundKey<W>>; ROUNDS], key: &[u8], order: impl Fn(u32) -> u32) {
    schedule::expand(key, keys, |packed| MaybeUninit::new(RoundKey::new(order(packed))));
}

#[cfg(feature = "zeroize")]
impl<W: Word> Drop for RoundKeys<W> {
    fn drop(&mut self) {
        // Each turn of the loop erases four, because a turn costs more than the stores. Their number is a multiple of four.
        for keys in self.0.chunks_exact_mut(4) {
            if let [k0, k1, k2, k3] = keys {
                k0.zeroize();
                k1.zeroize();
                k2.zeroize();
                k3.zeroize();
            }
        }
    }
}

/// Encrypts up to [`Word::Blocks`] blocks. It is not inlined, because otherwise each call in a mode would contain the whole cipher.
#[inline(never)]
fn encrypt<W: Word>(keys: &RoundKeys<W>, mut blocks: InOutBuf<'_, '_, Block>) {
    let mut state = State::load(blocks.get_in(), Placement::First);
    state.encrypt(keys);
    state.store(blocks.get_out(), Placement::Last);
}

/// Decrypts up to [`Word::Blocks`] blocks.
#[inline(never)]
pub(crate) fn decrypt<W: Word>(keys: &RoundKeys<W>, mut blocks: InOutBuf<'_, '_, Block>) {
    let mut state = State::load(blocks.get_in(), Placement::Last);
    state.decrypt(keys);
    state.store(blocks.get_out(), Placement::First);
}

/// The backend that the closures of `cipher` receive.
pub(crate) struct Backend<'a, W: Word>(pub(crate) &'a RoundKeys<W>);

impl<W: Word> BlockSizeUser for Backend<'_, W> {
    type BlockSize = U8;
}

impl<W: Word> ParBlocksSizeUser for Backend<'_, W> {
    type ParBlocksSize = W::Blocks;
}

impl<W: Word> BlockCipherEncBackend for Backend<'_, W> {
    #[inline(always)]
    fn encrypt_block(&self, block: InOut<'_, '_, Block>) {
        encrypt(self.0, block.into_buf().into_chunks().0);
    }

    #[inline(always)]
    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        encrypt(self.0, blocks.into_buf());
    }

    /// One pass for all of them.
    #[inline(always)]
    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        assert!(blocks.len() < W::Blocks::USIZE);
        if !blocks.is_empty() {
            encrypt(self.0, blocks);
        }
    }
}

impl<W: Word> BlockCipherDecBackend for Backend<'_, W> {
    #[inline(always)]
    fn decrypt_block(&self, block: InOut<'_, '_, Block>) {
        decrypt(self.0, block.into_buf().into_chunks().0);
    }

    #[inline(always)]
    fn decrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        decrypt(self.0, blocks.into_buf());
    }

    /// One pass for all of them.
    #[inline(always)]
    fn decrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        assert!(blocks.len() < W::Blocks::USIZE);
        if !blocks.is_empty() {
            decrypt(self.0, blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        placement::{NIBBLE_OF_LANE, PERIOD},
        schedule::nibble_of_lane,
    };
    use core::array;

    /// `place` moves byte `j` to the place of nibble `2j` in the placement of the first and of the last round.
    #[test]
    fn bytes_are_placed_by_their_lanes() {
        let bytes = u64::from_le_bytes(array::from_fn(|j| u8::try_from(j).unwrap()));
        assert_eq!(place(bytes, Placement::First).to_le_bytes(), NIBBLE_OF_LANE[0]);
        assert_eq!(place(bytes, Placement::Last).to_le_bytes(), NIBBLE_OF_LANE[(ROUNDS - 1) % PERIOD]);
        for placement in [Placement::First, Placement::Last] {
            assert_eq!(unplace(place(bytes, placement), placement), bytes);
        }
    }

    /// Each nibble of a packed key fills one lane of its own.
    fn lanes_are_exchanged_and_filled<W: Word + PartialEq + core::fmt::Debug>() {
        let only = |lane: u8| {
            let expand = |bit: usize| W::expand(W::order(1 << (4 * nibble_of_lane(lane) + bit)));
            for b in 0..4 {
                let words = expand(b);
                assert!((0..4).all(|word| word == b || words[word] == W::ZERO));
                assert_eq!(words[b], expand(0)[0]);
            }
            expand(0)[0]
        };
        for p in 0..8 {
            assert_eq!(only(p).exchange_lanes::<0>(), only(p));
            assert_eq!(only(p).exchange_lanes::<1>(), only(p ^ 1));
            assert_eq!(only(p).exchange_lanes::<2>(), only(p ^ 2));
            assert_eq!(only(p).exchange_lanes::<4>(), only(p ^ 4));
        }
        assert_eq!(W::expand(u32::MAX), [!W::ZERO; 4]);
    }

    #[test]
    fn words() {
        lanes_are_exchanged_and_filled::<u32>();
        lanes_are_exchanged_and_filled::<u64>();
    }
}
