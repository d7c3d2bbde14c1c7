//! The keys of sealers and openers are gone from memory after drop. The ciphers and the mode have tests of their own.
#![cfg(feature = "zeroize")]

use test_vectors::erasure::is_erased_on_drop;
use twine_otr_aead::{Combined, Opener, Sealer, SealerState, Twine80Otr, Twine128Otr};

#[test]
fn keys_are_erased() {
    // What aligns the numbers; and the portable backend leaves some of the room that vector backends need.
    let padding = if twine_cipher::backend().starts_with("soft") { 200 } else { 16 };
    is_erased_on_drop("a sealer", 300, padding, |seed| {
        Sealer::<Twine128Otr, 4>::with_ephemeral_key(&[seed; 16].into(), [1; 4])
    });
    is_erased_on_drop("a sealer of a stored key", 300, padding, |seed| {
        Sealer::<Twine80Otr<Combined>, 1>::with_stored_key(&[seed; 10].into(), SealerState::first([1]))
    });
    is_erased_on_drop("an opener", 300, padding, |seed| {
        Opener::<Twine128Otr, 2>::new(&[seed; 16].into(), [1; 2])
    });
}
