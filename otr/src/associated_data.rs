//! The three ways to process associated data (ADP in v3). All of them start from Q = E(0).

use cipher::{BlockCipherEncBackend, typenum::Unsigned};

use crate::{
    field::{BlockSize, Field},
    message, narrow,
    rules::{Call, FieldOf, MaskAndTa, encipher, pad, split_last},
    wide,
};

/// Processes associated data in parallel to the message: `p` in AES-OTR v3. This is the default and the fastest way.
///
/// The tag is TE ^ TA. So two tags with the same nonce and message reveal the difference of their TA. **With this processing OTR
/// must not be used as a MAC whose nonce may repeat.**
#[derive(Clone, Copy, Debug)]
pub struct Parallel;

/// Chains associated data as in CMAC, before the message: `s` in AES-OTR v3.
#[derive(Clone, Copy, Debug)]
pub struct Serial;

/// Processes associated data with the two-round Feistel network, before the message: `c` in AES-OTR v3.
///
/// Its calls go to the cipher in parallel, unlike those of [`Serial`]. As a MAC it is as safe as [`Serial`].
#[derive(Clone, Copy, Debug)]
pub struct Combined;

/// A way to process associated data: [`Parallel`], [`Serial`] or [`Combined`].
pub trait AdProcessing: sealed::AdProcessing {}

impl<A: sealed::AdProcessing> AdProcessing for A {}

pub(crate) mod sealed {
    use super::{BlockCipherEncBackend, BlockSize, FieldOf, MaskAndTa};

    pub trait AdProcessing {
        /// The name in AES-OTR v3.
        const LETTER: &'static str;

        /// Whether the nonce block can be encrypted before the associated data is known.
        const NONCE_FIRST: bool;

        /// Computes L and TA. `q` is E(0), `format` is the block Format(tag size, nonce), and `output` is the encryption of
        /// `format` if that is known. All are in the order of memory.
        fn process<B>(
            backend: &B,
            q: FieldOf<B>,
            format: FieldOf<B>,
            output: Option<FieldOf<B>>,
            associated_data: &[u8],
        ) -> MaskAndTa<FieldOf<B>>
        where
            B: BlockCipherEncBackend,
            B::BlockSize: BlockSize;
    }
}

impl sealed::AdProcessing for Parallel {
    const LETTER: &'static str = "p";
    const NONCE_FIRST: bool = true;

    /// TA = E(sum). The sum is the XOR of E(2^i Q ^ A\[i\]) over all m blocks except the last, of the padded last block, and of
    /// 2^(m-1) Q times 9 (for a full last block) or 3 (for a padded one).
    #[inline(always)]
    fn process<B>(
        backend: &B,
        q: FieldOf<B>,
        format: FieldOf<B>,
        output: Option<FieldOf<B>>,
        data: &[u8],
    ) -> MaskAndTa<FieldOf<B>>
    where
        B: BlockCipherEncBackend,
        B::BlockSize: BlockSize,
    {
        if message::is_narrow::<B>() {
            narrow::parallel(backend, q, format, output, data)
        } else {
            wide::parallel(backend, q, format, output, data)
        }
    }
}

impl sealed::AdProcessing for Serial {
    const LETTER: &'static str = "s";
    const NONCE_FIRST: bool = true;

    /// S starts as A\[0\]. Each further block makes S = E(S) ^ A\[i\]. The last block is padded, and Q times 4 (for a full block)
    /// or 2 (for a padded one) is added. Then TA = E(S) and L = 2 (E(Format) ^ TA).
    #[inline(always)]
    fn process<B>(
        backend: &B,
        q: FieldOf<B>,
        format: FieldOf<B>,
        output: Option<FieldOf<B>>,
        data: &[u8],
    ) -> MaskAndTa<FieldOf<B>>
    where
        B: BlockCipherEncBackend,
        B::BlockSize: BlockSize,
    {
        let Some((blocks, last)) = split_last::<FieldOf<B>>(data) else {
            let output = output.unwrap_or_else(|| {
                let mut block = format.store();
                backend.encrypt_block_inplace(&mut block);
                Field::load(&block)
            });
            return MaskAndTa { l: output.swap().double(), ta: Call::NONE };
        };

        let q_doubled = q.swap().double();
        let last_mask = if last.len() == B::BlockSize::USIZE { q_doubled.double() } else { q_doubled }.swap();
        let last = pad::<FieldOf<B>>(last) ^ last_mask;
        let mut inputs = blocks.iter().map(Field::load).chain([last]);
        let mut chain = inputs.next().unwrap_or_default().store();
        let output = match output {
            Some(output) => {
                backend.encrypt_block_inplace(&mut chain);
                output
            }
            None => {
                // The nonce block shares the first call of the chain.
                let mut calls = [format.store(), chain];
                encipher(backend, &mut calls);
                let [output, first] = calls;
                chain = first;
                Field::load(&output)
            }
        };
        for input in inputs {
            chain = (FieldOf::<B>::load(&chain) ^ input).store();
            backend.encrypt_block_inplace(&mut chain);
        }
        let l = (output ^ Field::load(&chain)).swap().double();
        MaskAndTa { l, ta: Call::NONE }
    }
}

impl sealed::AdProcessing for Combined {
    const LETTER: &'static str = "c";
    const NONCE_FIRST: bool = false;

    /// TA is the TE that decrypting the data as a message under L = Q gives. Then L = E(Format ^ TA).
    #[inline(always)]
    fn process<B>(
        backend: &B,
        q: FieldOf<B>,
        format: FieldOf<B>,
        _output: Option<FieldOf<B>>,
        data: &[u8],
    ) -> MaskAndTa<FieldOf<B>>
    where
        B: BlockCipherEncBackend,
        B::BlockSize: BlockSize,
    {
        let ta = if data.is_empty() { Field::ZERO } else { message::authenticate(backend, q.swap(), data) };
        let mut block = (format ^ ta).store();
        backend.encrypt_block_inplace(&mut block);
        MaskAndTa { l: FieldOf::<B>::load(&block).swap(), ta: Call::NONE }
    }
}
