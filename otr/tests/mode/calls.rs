//! The calls of the cipher that the mode waits for, on the backends that run here: as few as their width allows, but for AES where
//! less than a batch is left. A backend that is called block by block, or by the form for small devices, is as right, and much slower.

use std::{cell::RefCell, rc::Rc};

use aead::AeadInOut;
use aes::Aes128;
use otr_mode::{
    AdProcessing, BlockSize, Combined, KeyInit, NonceSize, Otr, OtrAhead, Parallel, Serial, TagSize,
    cipher::{
        Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
        InOutBuf, ParBlocks, ParBlocksSizeUser,
        consts::{U7, U8, U12, U16},
        typenum::Unsigned,
    },
};
use twine_cipher::Twine128;

/// What a cipher was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    /// The blocks that its backend takes at once.
    width: usize,
    calls: usize,
    blocks: usize,
}

/// A cipher of which the calls are counted; its own backend does the work.
struct Counting<C> {
    cipher: C,
    calls: Rc<RefCell<Calls>>,
}

impl<C: BlockSizeUser> BlockSizeUser for Counting<C> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockCipherEncrypt> BlockCipherEncrypt for Counting<C> {
    fn encrypt_with_backend(&self, closure: impl BlockCipherEncClosure<BlockSize = C::BlockSize>) {
        self.cipher.encrypt_with_backend(CountingClosure { closure, calls: &self.calls });
    }
}

struct CountingClosure<'a, F> {
    closure: F,
    calls: &'a RefCell<Calls>,
}

impl<F: BlockSizeUser> BlockSizeUser for CountingClosure<'_, F> {
    type BlockSize = F::BlockSize;
}

impl<F: BlockCipherEncClosure> BlockCipherEncClosure for CountingClosure<'_, F> {
    fn call<B: BlockCipherEncBackend<BlockSize = F::BlockSize>>(self, backend: &B) {
        self.calls.borrow_mut().width = B::ParBlocksSize::USIZE;
        self.closure.call(&CountingBackend { backend, calls: self.calls });
    }
}

struct CountingBackend<'a, B> {
    backend: &'a B,
    calls: &'a RefCell<Calls>,
}

impl<B> CountingBackend<'_, B> {
    fn count(&self, blocks: usize) {
        let mut calls = self.calls.borrow_mut();
        calls.calls += usize::from(blocks > 0);
        calls.blocks += blocks;
    }
}

impl<B: BlockSizeUser> BlockSizeUser for CountingBackend<'_, B> {
    type BlockSize = B::BlockSize;
}

impl<B: ParBlocksSizeUser> ParBlocksSizeUser for CountingBackend<'_, B> {
    type ParBlocksSize = B::ParBlocksSize;
}

impl<B: BlockCipherEncBackend> BlockCipherEncBackend for CountingBackend<'_, B> {
    fn encrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
        self.count(1);
        self.backend.encrypt_block(block);
    }

    fn encrypt_par_blocks(&self, blocks: InOut<'_, '_, ParBlocks<Self>>) {
        self.count(B::ParBlocksSize::USIZE);
        self.backend.encrypt_par_blocks(blocks);
    }

    fn encrypt_tail_blocks(&self, blocks: InOutBuf<'_, '_, Block<Self>>) {
        self.count(blocks.len());
        self.backend.encrypt_tail_blocks(blocks);
    }
}

/// Counts the calls of sealing at once and in two pieces, and of opening, for messages and data around the edges of batches.
fn few_calls<C, N, T, A>()
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let calls = Rc::<RefCell<Calls>>::default();
    let otr = Otr::<_, N, T, A>::from(Counting { cipher: C::new(&Default::default()), calls: calls.clone() });
    let nonce = Default::default();
    let n = C::BlockSize::USIZE;
    let width = calls.take().width;
    let edges = [0, 1, 2, 3, width - 1, width, width + 1, 2 * width, 4 * width, 10 * width + 5];
    for (ad_blocks, blocks) in edges.iter().flat_map(|ad| edges.map(|message| (*ad, message))) {
        let (ad, mut message) = (vec![1; n * ad_blocks], vec![2; n * blocks]);
        // Of blocks that need not wait for each other.
        let batches = |blocks: usize| blocks.div_ceil(width);
        // Both rounds of all pairs.
        let feistel = |blocks: usize| 2 * batches(blocks.div_ceil(2));
        let ad_calls = match A::LETTER {
            "p" => batches(ad_blocks),
            "s" => ad_blocks,
            _ => feistel(ad_blocks),
        };
        // Blocks of 128 bits that fill no batch come one by one.
        let singles = |pieces: usize| {
            if n == 16 && width > 4 { blocks.min(2 * width * pieces) + ad_blocks.min(16) } else { 0 }
        };
        // Beside these: the nonce's block, the sums of message and data, and the end, which may wait for itself.
        let most = |pieces: usize| Calls {
            width,
            calls: ad_calls + feistel(blocks) + singles(pieces) + 5 * pieces,
            // Narrow backends get whole batches, where that costs nothing.
            blocks: ad_blocks + blocks + 2 + if width <= 4 { 5 * width * pieces } else { 4 },
        };
        let check = |what: &str, most: Calls| {
            let calls = calls.take();
            assert!(
                calls.calls <= most.calls && calls.blocks <= most.blocks,
                "{what} {blocks} blocks with {ad_blocks} of data took {calls:?}, more than {most:?}"
            );
        };
        let tag = otr.encrypt_inout_detached(&nonce, &ad, message.as_mut_slice().into()).unwrap();
        check("sealing", most(1));
        otr.decrypt_inout_detached(&nonce, &ad, message.as_mut_slice().into(), &tag).unwrap();
        check("opening", most(1));
        let mut pieces = otr.encrypt_pieces(&nonce, &ad).unwrap();
        let (first, last) = message.split_at_mut(blocks / 4 * 2 * n);
        pieces.update(first.into()).unwrap();
        pieces.finalize(last.into()).unwrap();
        check("sealing in pieces", most(2));
    }
}

/// To prepare the next nonce takes no call more than to seal or to open without, and the message that it was prepared for takes
/// none more either, and one less without associated data.
fn nothing_is_called_to_prepare<C, N, T, A>()
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let calls = Rc::<RefCell<Calls>>::default();
    let otr =
        || Otr::<_, N, T, A>::from(Counting { cipher: C::new(&Default::default()), calls: calls.clone() });
    let (plain, mut sealer, mut opener) = (otr(), OtrAhead::from(otr()), OtrAhead::from(otr()));
    let n = C::BlockSize::USIZE;
    let this = Default::default();
    let width = calls.take().width;
    for (ad_len, blocks) in [0, 1, 2 * n].into_iter().flat_map(|ad| (0..2 * width + 3).map(move |m| (ad, m)))
    {
        let (ad, mut message) = (vec![1; ad_len], vec![2; n * blocks]);
        let count = |what: &str, most: usize| {
            let calls = calls.take().calls;
            assert!(
                calls <= most,
                "{what} {blocks} blocks with {ad_len} bytes of data took {calls} calls, not {most}"
            );
            calls
        };
        let tag = plain.encrypt_inout_detached(&this, &ad, message.as_mut_slice().into()).unwrap();
        let to_seal = count("sealing", usize::MAX);
        let sealed = message.clone();
        plain.decrypt_inout_detached(&this, &ad, message.as_mut_slice().into(), &tag).unwrap();
        let to_open = count("opening", usize::MAX);
        // The call of its own nonce block; the next one joins others, or is left out.
        let saved = usize::from(ad_len == 0 && A::LETTER == "p");
        for saved in [0, saved] {
            let next = Some(&this);
            let _ = sealer.encrypt_inout_detached(&this, next, &ad, message.as_mut_slice().into()).unwrap();
            count("sealing and preparing", to_seal - saved);
            message.copy_from_slice(&sealed);
            opener.decrypt_inout_detached(&this, next, &ad, message.as_mut_slice().into(), &tag).unwrap();
            count("opening and preparing", to_open - saved);
        }
        // The next ones meet nothing that was prepared.
        sealer.set_key_with(|_| ());
        opener.set_key_with(|_| ());
    }
}

#[test]
fn to_prepare_takes_no_call() {
    nothing_is_called_to_prepare::<Twine128, U7, U8, Parallel>();
    nothing_is_called_to_prepare::<Twine128, U7, U8, Serial>();
    nothing_is_called_to_prepare::<Twine128, U7, U8, Combined>();
}

#[test]
fn few_calls_of_twine() {
    few_calls::<Twine128, U7, U8, Parallel>();
    few_calls::<Twine128, U7, U8, Serial>();
    few_calls::<Twine128, U7, U8, Combined>();
}

#[test]
fn few_calls_of_aes() {
    few_calls::<Aes128, U12, U16, Parallel>();
    few_calls::<Aes128, U12, U16, Serial>();
    few_calls::<Aes128, U12, U16, Combined>();
}

/// As the cipher's documentation says, by the backend's name.
#[test]
fn backends_are_as_wide_as_documented() {
    let calls = Rc::<RefCell<Calls>>::default();
    let cipher = Twine128::new(&Default::default());
    Counting { cipher, calls: calls.clone() }.encrypt_block(&mut Default::default());
    let width = match twine_cipher::backend() {
        "soft32" | "thumb" => 4,
        "soft64" => 8,
        "ssse3" | "neon" => 16,
        "avx2" => 32,
        "avx512" => 64,
        other => panic!("{other} is not documented"),
    };
    assert_eq!(calls.take().width, width);
}
