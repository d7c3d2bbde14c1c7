//! The three ways of processing associated data (v3's ADP), all from Q = E(0).

use cipher::{BlockCipherEncBackend, typenum::Unsigned};

use crate::{
    field::{BlockSize, Field},
    message, narrow,
    rules::{Call, FieldOf, MaskAndTa, encipher, pad, split_last},
    wide,
};

/// Associated data in parallel to the message: `p` in AES-OTR v3. The default, and the fastest.
///
/// The tag is TE ^ TA, so two tags under one nonce and message reveal the difference of two TA: with this processing OTR
/// must not be used as a MAC whose nonce may repeat.
#[derive(Clone, Copy, Debug)]
pub struct Parallel;

/// Associated data chained as in CMAC, before the message: `s` in AES-OTR v3.
#[derive(Clone, Copy, Debug)]
pub struct Serial;

/// Associated data through the two-round Feistel network of the message, before it: `c` in AES-OTR v3.
#[derive(Clone, Copy, Debug)]
pub struct Combined;

/// How associated data is processed: [`Parallel`], [`Serial`] or [`Combined`].
pub trait AdProcessing: sealed::AdProcessing {}

impl<A: sealed::AdProcessing> AdProcessing for A {}

pub(crate) mod sealed {
    use super::{BlockCipherEncBackend, BlockSize, FieldOf, MaskAndTa};

    pub trait AdProcessing {
        /// The name in AES-OTR v3.
        const LETTER: &'static str;

        /// Whether the nonce block can be encrypted before the associated data is known.
        const NONCE_FIRST: bool;

        /// Q is E(0), `format` the block Format(tag size, nonce), and `output` its encryption if that is known; all as they lie in
        /// memory.
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

    /// sum = XOR of E(2^i Q ^ A\[i\]) over all m blocks but the last, and the padded last block, and 9 (a full one) or 3 (a
    /// padded one) times 2^(m-1) Q; TA = E(sum).
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

    /// S = A\[0\], then S = E(S) ^ A\[i\]; the last block is padded and added with 4 (a full one) or 2 (a padded one) times Q;
    /// TA = E(S), L = 2 (E(Format) ^ TA).
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
                // The nonce block shares the first call with the chain.
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

    /// TA is the TE of decrypting the data as a message under L = Q; L = E(Format ^ TA).
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
