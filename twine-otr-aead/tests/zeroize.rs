//! The keys of sealers and openers are gone from memory after drop. The ciphers and the mode have tests of their own.
#![cfg(feature = "zeroize")]

#[path = "../src/secret.rs"]
mod secret;

use secret::Secret;
use test_vectors::erasure::is_erased_on_drop;
use twine_otr_aead::{
    BlockLimit, ChunkOpener, ChunkSealer, Combined, Kdf, Opener, Sealer, StreamHeader, Twine80Otr,
    Twine128Otr, consts::U16,
};

#[test]
fn keys_are_erased() {
    // What aligns the numbers; and the portable backend leaves some of the room that vector backends need.
    let padding = if twine_cipher::backend().starts_with("soft") { 200 } else { 16 };
    is_erased_on_drop("a sealer", 300, padding, |seed| {
        Sealer::<Twine128Otr, 4>::with_ephemeral_key(&[seed; 16].into(), [1; 4])
    });
    is_erased_on_drop("a sealer of a stored key", 300, padding, |seed| {
        type Stored = Sealer<Twine80Otr<Combined>, 1>;
        let key = [seed; 10].into();
        let state = Stored::first_state(&key, [1], BlockLimit::DEFAULT);
        Stored::with_stored_key(&key, state, BlockLimit::DEFAULT).expect("its own state")
    });
    is_erased_on_drop("what derives keys", 300, padding, |seed| <Kdf>::new(&[seed; 16].into()));
    is_erased_on_drop("a sealer of chunks", 316, padding, |seed| {
        <ChunkSealer>::new(&[seed; 16].into(), StreamHeader::counted([1; 8], 1))
    });
    is_erased_on_drop("an opener of chunks", 316, padding, |seed| {
        <ChunkOpener>::new(&[seed; 16].into(), &[1; 16])
    });
    is_erased_on_drop("an opener", 300, padding, |seed| {
        Opener::<Twine128Otr, 2>::new(&[seed; 16].into(), [1; 2])
    });
    is_erased_on_drop("a derived key", 16, 0, |seed| Secret::<U16>([seed; 16].into()));
}
