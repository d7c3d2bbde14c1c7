//! SIMD with byte shuffles, generic in the vector: SSSE3, AVX2, AVX-512 and NEON differ only in width.
//!
//! All three parts have one nibble in each byte. The S-box is a byte shuffle of a 16-byte table in a register. Its time and its addresses do
//! not depend on the index. All parts use the lanes of [`crate::placement`].
//! - [`columns`] has a vector for each of the 16 nibbles of a block, and as many blocks as a vector has bytes. It is for throughput.
//! - [`rows`] has one vector for the 8 even nibbles of a few blocks, and one for the odd nibbles. It is for latency.
//! - [`keys`] is the key schedule. It makes the folded round keys that both layouts share.
//!
//! # Folded round keys
//! A round adds S(even ^ RK) to the odd half. In both layouts the round key is already added to the even half, so that the S-box can follow
//! at once. The odd half of round `r` was the even half of round `r - 1` and becomes the even half of round `r + 1`. So it has to lose
//! RK\[r - 1\] and to get RK\[r + 1\]. This is one addition of their sum, which is off the critical path. The rounds in reverse order need
//! the same sums, so both directions share them.

use cipher::{
    Array, BlockCipherDecBackend, BlockCipherEncBackend, BlockSizeUser, InOut, InOutBuf, ParBlocks,
    ParBlocksSizeUser, array::ArraySize, consts::U8, typenum::Unsigned,
};
use core::marker::PhantomData;

use columns::Columns;
use keys::ExpandedKey;
use rows::Rows;

mod columns;
pub(crate) mod keys;
mod rows;

pub(crate) type Block = Array<u8, U8>;

// Closures that functions of `core` call must not use vectors. Such a function is compiled without the features of the vector. If it is not
// inlined, each vector instruction becomes a call.

/// A vector of bytes. Its length is an even multiple of 8 bytes.
///
/// Only the `unsafe` functions make a vector, and their callers make sure that the CPU has its features. The other functions are safe,
/// because they need a vector.
pub(crate) trait Vector: Copy {
    /// The length in bytes.
    const WIDTH: usize;

    /// The number of blocks that [`columns`] takes: as many as a vector has bytes.
    type Blocks: ArraySize;

    /// Loads the first [`Vector::WIDTH`] bytes.
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn load(bytes: &[u8]) -> Self;

    /// Loads up to [`Vector::WIDTH`] bytes, a multiple of 8. The other bytes are zero. It is fast if each 8 bytes were stored by themselves.
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn load_part(bytes: &[u8]) -> Self;

    /// Repeats 16 bytes.
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn repeat_16(bytes: &[u8; 16]) -> Self;

    /// Repeats 8 bytes, in the order of memory.
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn repeat_8(bytes: u64) -> Self;

    /// Repeats 4 bytes, in the order of memory.
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn repeat_4(bytes: u32) -> Self;

    /// Stores to the first [`Vector::WIDTH`] bytes.
    fn store(self, bytes: &mut [u8]);

    /// Stores the first bytes to fewer than [`Vector::WIDTH`], a multiple of 8.
    fn store_part(self, bytes: &mut [u8]);

    /// In each 16 bytes, moves byte `index[i]` of `self` to byte `i`. Byte `i` becomes zero if `index[i]` is 0x80.
    fn shuffle(self, index: Self) -> Self;

    /// Interleaves the low halves of each 16 bytes of `self` and `other`.
    fn interleave_low(self, other: Self) -> Self;

    /// Interleaves the high halves of each 16 bytes of `self` and `other`.
    fn interleave_high(self, other: Self) -> Self;

    fn xor(self, other: Self) -> Self;

    /// Returns the sum of three vectors.
    fn xor_3(self, second: Self, third: Self) -> Self;

    /// Returns the high nibble of every byte.
    fn high_nibbles(self) -> Self;

    /// Returns the low nibble of every byte.
    fn low_nibbles(self) -> Self;

    /// Returns bytes with the low nibbles of `self` as low nibbles and those of `high` as high nibbles. `self` has no high nibbles.
    fn with_high_nibbles(self, high: Self) -> Self;
}

/// Loads a vector of blocks. If there are fewer blocks, the others are zero.
///
/// # Safety
/// The CPU has the features of `V`.
#[inline(always)]
unsafe fn load_blocks<V: Vector>(bytes: &[u8]) -> V {
    // SAFETY: by the caller's word.
    unsafe {
        if bytes.len() >= V::WIDTH {
            V::load(bytes)
        } else if bytes.is_empty() {
            // A masked load from an invalid address takes the CPU hundreds of cycles.
            V::repeat_8(0)
        } else {
            V::load_part(bytes)
        }
    }
}

/// Stores a vector of blocks, or as many of them as there is room for.
#[inline(always)]
fn store_blocks<V: Vector>(vector: V, bytes: &mut [u8]) {
    if bytes.len() >= V::WIDTH {
        vector.store(bytes);
    } else if !bytes.is_empty() {
        vector.store_part(bytes);
    }
}

/// The cipher on up to [`Vector::Blocks`] blocks. Each of these is a separate function with the features of the vector.
pub(crate) trait Kernels: Vector {
    /// Runs [`encrypt`].
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn encrypt(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>);

    /// Runs [`decrypt`].
    ///
    /// # Safety
    /// The CPU has the features of this type.
    unsafe fn decrypt(keys: &ExpandedKey, blocks: InOutBuf<'_, '_, Block>);
}

/// Chooses the layout by the number of blocks: rows for a few, columns for many.
macro_rules! run {
    ($keys:ident, $blocks:ident, $load:ident, $run:ident, $store:ident) => {{
        let per_vector = V::WIDTH / 8;
        let count = $blocks.len();
        if count <= per_vector {
            run!(Rows::<V, 1>, $keys, $blocks, $load, $run, $store);
        } else if count <= 2 * per_vector {
            run!(Rows::<V, 2>, $keys, $blocks, $load, $run, $store);
        } else if count <= 3 * per_vector {
            run!(Rows::<V, 3>, $keys, $blocks, $load, $run, $store);
        } else if count <= 4 * per_vector {
            run!(Rows::<V, 4>, $keys, $blocks, $load, $run, $store);
        } else {
            run!(Columns::<V>, $keys, $blocks, $load, $run, $store);
        }
    }};
    ($layout:ty, $keys:ident, $blocks:ident, $load:ident, $run:ident, $store:ident) => {
        // SAFETY: the caller vouches for the features of `V`.
        let mut state = unsafe { <$layout>::$load($keys, Array::slice_as_flattened($blocks.get_in())) };
        state.$run($keys);
        state.$store($keys, Array::slice_as_flattened_mut($blocks.get_out()));
    };
}

/// Encrypts up to [`Vector::Blocks`] blocks.
///
/// # Safety
/// The CPU has the features of `V`.
#[inline(always)]
pub(crate) unsafe fn encrypt<V: Vector>(keys: &ExpandedKey, mut blocks: InOutBuf<'_, '_, Block>) {
    run!(keys, blocks, load_plaintext, encrypt, store_ciphertext);
}

/// Decrypts up to [`Vector::Blocks`] blocks.
///
/// # Safety
/// The CPU has the features of `V`.
#[inline(always)]
pub(crate) unsafe fn decrypt<V: Vector>(keys: &ExpandedKey, mut blocks: InOutBuf<'_, '_, Block>) {
    run!(keys, blocks, load_ciphertext, decrypt, store_plaintext);
}

/// The backend that the closures of `cipher` receive.
pub(crate) struct Backend<'a, V> {
    keys: &'a ExpandedKey,
    vector: PhantomData<V>,
}

impl<'a, V: Kernels> Backend<'a, V> {
    /// # Safety
    /// The CPU has the features of `V`.
    #[inline(always)]
    pub(crate) unsafe fn new(keys: &'a ExpandedKey) -> Self {
        Self { keys, vector: PhantomData }
    }

    #[inline(always)]
    fn encrypt(&self, blocks: InOutBuf<'_, '_, Block>) {
        // SAFETY: whoever made this backend vouched for the features.
        unsafe { V::encrypt(self.keys, blocks) }
    }

    #[inline(always)]
    fn decrypt(&self, blocks: InOutBuf<'_, '_, Block>) {
        // SAFETY: whoever made this backend vouched for the features.
        unsafe { V::decrypt(self.keys, blocks) }
    }
}

impl<V: Vector> BlockSizeUser for Backend<'_, V> {
    type BlockSize = U8;
}

impl<V: Vector> ParBlocksSizeUser for Backend<'_, V> {
    type ParBlocksSize = V::Blocks;
}

impl<V: Kernels> BlockCipherEncBackend for Backend<'_, V> {
    #[inline(always)]
    fn encrypt_block(&self, block: InOut<'_, '_, Block>) {
        self.encrypt(block.into_buf().into_chunks().0);
    }

    #[inline(always)]
    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.encrypt(blocks.into_buf());
    }

    #[inline(always)]
    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        assert!(blocks.len() < V::Blocks::USIZE);
        if !blocks.is_empty() {
            self.encrypt(blocks);
        }
    }
}

impl<V: Kernels> BlockCipherDecBackend for Backend<'_, V> {
    #[inline(always)]
    fn decrypt_block(&self, block: InOut<'_, '_, Block>) {
        self.decrypt(block.into_buf().into_chunks().0);
    }

    #[inline(always)]
    fn decrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.decrypt(blocks.into_buf());
    }

    #[inline(always)]
    fn decrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        assert!(blocks.len() < V::Blocks::USIZE);
        if !blocks.is_empty() {
            self.decrypt(blocks);
        }
    }
}
