//! What the mode keeps besides the cipher is gone from memory after drop. The ciphers have tests of their own.

use std::{cell::Cell, marker::PhantomData};

use otr_mode::{
    BlockSize, Otr, OtrAhead,
    cipher::{
        Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
        ParBlocksSizeUser,
        consts::{U1, U4, U8, U16},
    },
};
use test_vectors::erasure::is_erased_on_drop;

thread_local! {
    static KEY: Cell<u8> = const { Cell::new(0) };
}

/// A cipher, of sorts, that does not hold its key.
struct Keyless<B>(PhantomData<B>);

impl<B: BlockSize> BlockSizeUser for Keyless<B> {
    type BlockSize = B;
}

impl<B: BlockSize> ParBlocksSizeUser for Keyless<B> {
    type ParBlocksSize = U1;
}

impl<B: BlockSize> BlockCipherEncrypt for Keyless<B> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = B>) {
        f.call(self);
    }
}

impl<B: BlockSize> BlockCipherEncBackend for Keyless<B> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let key = KEY.get();
        block.get_out().fill(key);
    }
}

#[test]
fn the_mask_of_associated_data_is_erased() {
    let keyed = |seed| KEY.set(seed);
    is_erased_on_drop("n = 64", 8, 0, |seed| {
        keyed(seed);
        Otr::<Keyless<U8>, U1, U4>::from(Keyless(PhantomData))
    });
    is_erased_on_drop("n = 128", 16, 0, |seed| {
        keyed(seed);
        Otr::<Keyless<U16>, U1, U4>::from(Keyless(PhantomData))
    });
}

#[test]
fn what_is_kept_between_pieces_is_erased() {
    KEY.set(0);
    let otr = Otr::<Keyless<U8>, U1, U4>::from(Keyless(PhantomData));
    // The mask, the checksum and TA; what aligns the flag holds nothing.
    is_erased_on_drop("between pieces", 24, 7, |seed| {
        KEY.set(seed);
        let mut pieces = otr.encrypt_pieces(&[0].into(), &[seed; 8]).unwrap();
        pieces.update((&mut [seed; 48][..]).into()).unwrap();
        pieces
    });
}

#[test]
fn what_was_prepared_is_erased() {
    // Q and the output; the nonce block does not depend on the key.
    is_erased_on_drop("a nonce ahead", 16, 0, |seed| {
        KEY.set(seed);
        let mut ahead = OtrAhead::from(Otr::<Keyless<U8>, U1, U4>::from(Keyless(PhantomData)));
        ahead.encrypt_inout_detached(&[0].into(), Some(&[1].into()), b"", (&mut [][..]).into()).unwrap();
        ahead
    });
}
