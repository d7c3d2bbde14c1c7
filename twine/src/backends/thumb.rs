//! Thumb assembly for Cortex-M. It runs the rounds of the portable backend (see [`fixslice`]) on four blocks at once, in registers alone.
//!
//! A compiler spills registers in the round, and makes separate instructions of rotations. The circuit and its surroundings have 21 operations.
//! The kernels for ARMv7-M need 22 instructions for a round, and 2 more for the lanes. Those for ARMv6-M, which has two operands and eight
//! general registers, need 34 and 8. Everything takes the same time for all keys and data. The only branches are that of the loop over the
//! rounds, and one on the alignment of addresses.
//!
//! The build script chooses the kernels by the target, because the compiler does not tell Thumb targets apart.

use core::mem::MaybeUninit;

use cipher::{
    Array, BlockCipherDecBackend, BlockCipherEncBackend, BlockSizeUser, InOut, InOutBuf, ParBlocks,
    ParBlocksSizeUser,
    consts::{U4, U8},
};

use super::fixslice::{self, Block};

#[cfg_attr(twine_thumb = "v6m", path = "thumb/v6m.rs")]
#[cfg_attr(twine_thumb = "v7m", path = "thumb/v7m.rs")]
mod kernels;

/// The name of this backend.
pub(crate) const NAME: &str = "thumb";

/// The number of blocks that the kernels process.
const WIDTH: usize = 4;

/// The round keys in the lanes of the kernels.
#[derive(Clone)]
#[repr(transparent)]
pub(crate) struct RoundKeys(fixslice::RoundKeys<u32>);

impl RoundKeys {
    /// Without a key.
    pub(crate) const ZERO: Self = Self(fixslice::RoundKeys::ZERO);

    /// Makes the round keys of `key`.
    #[inline]
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(fixslice::RoundKeys::new(key, kernels::order))
    }

    /// Makes the round keys of `key` in place.
    #[inline]
    pub(crate) fn expand(&mut self, key: &[u8]) {
        self.0.expand(key, kernels::order);
    }
}

/// Encrypts or decrypts four blocks.
///
/// # Safety
/// The input can be read and the output can be written. They are the same or do not overlap. Their addresses are multiples of
/// [`kernels::ALIGNMENT`].
type Kernel = unsafe fn(keys: &RoundKeys, input: *const [Block; WIDTH], output: *mut [Block; WIDTH]);

/// Four blocks that a kernel can load and store.
#[repr(align(4))]
struct Aligned([MaybeUninit<Block>; WIDTH]);

/// Copies up to four blocks into `copy` and runs `kernel` on it. If the kernel is assembly, the rest of `copy` may be uninitialised:
/// assembly may load it, and nobody looks at the result.
#[inline(always)]
fn run_on_copy(kernel: Kernel, mut copy: Aligned, keys: &RoundKeys, mut blocks: InOutBuf<'_, '_, Block>) {
    for (to, from) in copy.0.iter_mut().zip(blocks.get_in()) {
        to.write(*from);
    }
    let all = (&raw mut copy.0).cast();
    // SAFETY: input and output are the same, and aligned.
    unsafe { kernel(keys, all, all) };
    for (to, from) in blocks.get_out().iter_mut().zip(&copy.0) {
        // SAFETY: the kernel has written all of them.
        *to = unsafe { from.assume_init() };
    }
}

/// Runs `kernel` on four blocks, or `copying` if they are not aligned.
#[inline(always)]
fn run(
    kernel: Kernel,
    copying: fn(&RoundKeys, InOutBuf<'_, '_, Block>),
    keys: &RoundKeys,
    blocks: InOut<'_, '_, Array<Block, U4>>,
) {
    let (input, output) = blocks.into_raw();
    if (input.addr() | output.addr()) % kernels::ALIGNMENT == 0 {
        // SAFETY: both have four blocks and are aligned. `InOut` says that they are the same or do not overlap.
        unsafe { kernel(keys, input.cast(), output.cast()) }
    } else {
        // SAFETY: both pointers come from the `InOut`.
        copying(keys, unsafe { InOut::from_raw(input, output) }.into_buf());
    }
}

/// Encrypts one block. This is separate from [`encrypt_copy`], because a mode that makes whole calls needs only this one, to set up a key.
#[inline(never)]
fn encrypt_one(keys: &RoundKeys, block: InOut<'_, '_, Block>) {
    run_on_copy(
        kernels::encrypt,
        Aligned([MaybeUninit::uninit(); WIDTH]),
        keys,
        block.into_buf().into_chunks().0,
    );
}

#[inline(never)]
fn encrypt_copy(keys: &RoundKeys, blocks: InOutBuf<'_, '_, Block>) {
    run_on_copy(kernels::encrypt, Aligned([MaybeUninit::uninit(); WIDTH]), keys, blocks);
}

#[inline(never)]
fn decrypt_copy(keys: &RoundKeys, blocks: InOutBuf<'_, '_, Block>) {
    // For ARMv6-M this kernel is not assembly, so the copy must be initialised.
    run_on_copy(kernels::decrypt, Aligned([MaybeUninit::zeroed(); WIDTH]), keys, blocks);
}

/// The backend that the closures of `cipher` receive.
pub(crate) struct Backend<'a>(pub(crate) &'a RoundKeys);

impl BlockSizeUser for Backend<'_> {
    type BlockSize = U8;
}

impl ParBlocksSizeUser for Backend<'_> {
    type ParBlocksSize = U4;
}

impl BlockCipherEncBackend for Backend<'_> {
    #[inline(always)]
    fn encrypt_block(&self, block: InOut<'_, '_, Block>) {
        encrypt_one(self.0, block);
    }

    #[inline(always)]
    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        run(kernels::encrypt, encrypt_copy, self.0, blocks);
    }

    /// One pass for all of them.
    #[inline(always)]
    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        if !blocks.is_empty() {
            encrypt_copy(self.0, blocks);
        }
    }
}

impl BlockCipherDecBackend for Backend<'_> {
    #[inline(always)]
    fn decrypt_block(&self, block: InOut<'_, '_, Block>) {
        decrypt_copy(self.0, block.into_buf().into_chunks().0);
    }

    #[inline(always)]
    fn decrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        run(kernels::decrypt, decrypt_copy, self.0, blocks);
    }

    /// One pass for all of them.
    #[inline(always)]
    fn decrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block>) {
        if !blocks.is_empty() {
            decrypt_copy(self.0, blocks);
        }
    }
}
