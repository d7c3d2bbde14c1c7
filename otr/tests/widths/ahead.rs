//! A nonce that is prepared ahead changes nothing but the number of calls.

use aead::AeadInOut;
use aes::Aes128;
use otr_mode::{
    AdProcessing, BlockSize, Combined, KeyInit, Nonce, NonceSize, Otr, OtrAhead, Parallel, Serial, TagSize,
    cipher::{
        BlockCipherEncrypt,
        array::ArraySize,
        consts::{U1, U2, U3, U4, U7, U8, U12, U16, U64},
        typenum::Unsigned,
    },
};
use twine_cipher::Twine128;

use crate::model::{Wide, bytes};

fn nonce<C, N, T, A>(counter: usize) -> Nonce<Otr<C, N, T, A>>
where
    C: BlockCipherEncrypt<BlockSize: BlockSize>,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let mut nonce = Nonce::<Otr<C, N, T, A>>::default();
    nonce[N::USIZE - 2..].copy_from_slice(&u16::try_from(counter).unwrap().to_be_bytes());
    nonce
}

/// Messages of all lengths around the batches, in order, with gaps, and with no next nonce or another one than comes; each is
/// forged before it is opened, and may be opened again.
fn agrees_with_the_plain_form<C, W, N, T, A>()
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    W: ArraySize,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    let n = C::BlockSize::USIZE;
    let key = bytes(16, 1);
    let plain = Otr::<Wide<C, W>, N, T, A>::from(Wide::new(&key));
    let mut sealer = OtrAhead::from(Otr::<Wide<C, W>, N, T, A>::from(Wide::new(&key)));
    let mut opener = OtrAhead::from(Otr::<Wide<C, W>, N, T, A>::from(Wide::new(&key)));
    let ad_lens = [0, 1, n, n + 1, 4 * n, 5 * n, 4 * n + 1, (2 * W::USIZE + 1) * n];
    // Also those that leave no place, or one, in the last calls of a batch.
    let full = (2 * W::USIZE).saturating_sub(5).max(1)..=2 * W::USIZE + 2;
    let lens = (0..=9 * n).chain([16].into_iter().chain(full).map(|blocks| blocks * n - 1));
    let cases = lens.flat_map(|len| ad_lens.map(|ad_len| (len, ad_len)));
    for (counter, (len, ad_len)) in cases.enumerate() {
        let this = nonce::<Wide<C, W>, N, T, A>(counter);
        // Mostly the one that comes; every kind of step before and after every kind of length.
        let next = match counter * 7 % 11 {
            0 => None,
            1 => Some(nonce::<Wide<C, W>, N, T, A>(counter + 2)),
            2 => Some(this.clone()),
            _ => Some(nonce::<Wide<C, W>, N, T, A>(counter + 1)),
        };
        let (ad, message) = (bytes(ad_len, 3), bytes(len, 4));
        let (mut expected, mut sealed) = (message.clone(), message.clone());
        let tag = plain.encrypt_inout_detached(&this, &ad, expected.as_mut_slice().into()).unwrap();
        let what = format!("message {counter} of {len} with {ad_len} at width {}", W::USIZE);
        let actual = sealer.encrypt_inout_detached(&this, next.as_ref(), &ad, sealed.as_mut_slice().into());
        assert_eq!((actual, &sealed), (Ok(tag.clone()), &expected), "{what}");

        let mut wrong = tag.clone();
        wrong[counter % T::USIZE] ^= 1;
        let mut forged = sealed.clone();
        let other = nonce::<Wide<C, W>, N, T, A>(counter + 5);
        for from in [&this, &other] {
            let refused =
                opener.decrypt_inout_detached(from, Some(&other), &ad, forged.as_mut_slice().into(), &wrong);
            assert!(refused.is_err() && forged.iter().all(|byte| *byte == 0), "{what}");
            forged.copy_from_slice(&sealed);
        }
        for _ in 0..1 + usize::from(counter % 5 == 0) {
            let mut opened = sealed.clone();
            let result =
                opener.decrypt_inout_detached(&this, next.as_ref(), &ad, opened.as_mut_slice().into(), &tag);
            assert_eq!((result, &opened), (Ok(()), &message), "{what}");
        }
    }
}

fn every_width<C, N, T, A>()
where
    C: BlockCipherEncrypt<BlockSize: BlockSize> + KeyInit,
    N: NonceSize<C::BlockSize>,
    T: TagSize<C::BlockSize>,
    A: AdProcessing,
{
    agrees_with_the_plain_form::<C, U1, N, T, A>();
    agrees_with_the_plain_form::<C, U2, N, T, A>();
    agrees_with_the_plain_form::<C, U3, N, T, A>();
    agrees_with_the_plain_form::<C, U4, N, T, A>();
    agrees_with_the_plain_form::<C, U8, N, T, A>();
    agrees_with_the_plain_form::<C, U64, N, T, A>();
}

#[test]
fn nothing_changes_with_blocks_of_64_bits() {
    every_width::<Twine128, U7, U8, Parallel>();
    every_width::<Twine128, U7, U8, Serial>();
    every_width::<Twine128, U7, U8, Combined>();
}

#[test]
fn nothing_changes_with_blocks_of_128_bits() {
    every_width::<Aes128, U12, U16, Parallel>();
    every_width::<Aes128, U12, U16, Serial>();
    every_width::<Aes128, U12, U16, Combined>();
}

/// What was prepared under one key must not serve under another.
#[test]
fn a_new_key_forgets() {
    let [one, other] = [[1; 16], [2; 16]].map(|key| Otr::<Twine128, U7, U8>::new(&key.into()));
    let mut ahead = OtrAhead::from(one);
    let [first, second] = [1, 2].map(nonce::<Twine128, U7, U8, Parallel>);
    ahead.encrypt_inout_detached(&first, Some(&second), b"", (&mut [][..]).into()).unwrap();
    ahead.set_key_with(|cipher| *cipher = Twine128::new(&[2; 16].into()));
    let mut buffers = [[0; 16]; 2];
    let [expected, actual] = &mut buffers;
    let tag = other.encrypt_inout_detached(&second, b"", expected.as_mut_slice().into());
    assert_eq!(ahead.encrypt_inout_detached(&second, None, b"", actual.as_mut_slice().into()), tag);
    assert_eq!(actual, expected);
}

/// The calls that a message in the middle of others waits for, when it is encrypted and when it is decrypted.
fn calls<A: AdProcessing>(ad_len: usize, len: usize) -> [usize; 2] {
    calls_of_width::<U4, A>(ad_len, len)
}

fn calls_of_width<W: ArraySize, A: AdProcessing>(ad_len: usize, len: usize) -> [usize; 2] {
    let wide = Wide::<Twine128, W>::new(&[0; 16]);
    let calls = wide.calls.clone();
    let mut ahead = OtrAhead::from(Otr::<_, U7, U8, A>::from(wide));
    let [first, this, next] = [1, 2, 3].map(nonce::<Wide<Twine128, W>, U7, U8, A>);
    let (ad, mut message) = (bytes(ad_len, 1), bytes(len, 2));
    ahead.encrypt_inout_detached(&first, Some(&this), b"", (&mut [][..]).into()).unwrap();
    calls.take();
    let tag = ahead.encrypt_inout_detached(&this, Some(&next), &ad, message.as_mut_slice().into()).unwrap();
    let encrypting = calls.take().len();

    let empty = ahead.encrypt_inout_detached(&first, Some(&this), b"", (&mut [][..]).into()).unwrap();
    ahead.decrypt_inout_detached(&first, Some(&this), b"", (&mut [][..]).into(), &empty).unwrap();
    // A forgery must not make the message behind it slower.
    ahead.decrypt_inout_detached(&next, Some(&first), b"", (&mut [][..]).into(), &empty).unwrap_err();
    calls.take();
    ahead.decrypt_inout_detached(&this, Some(&next), &ad, message.as_mut_slice().into(), &tag).unwrap();
    [encrypting, calls.take().len()]
}

#[test]
fn a_call_less_for_each_message() {
    // One less than in `calls_of_short_messages`.
    assert_eq!(calls::<Parallel>(0, 0), [1, 1]);
    assert_eq!(calls::<Parallel>(8, 8), [1, 2]);
    assert_eq!(calls::<Parallel>(8, 16), [2, 3]);
    assert_eq!(calls::<Parallel>(8, 32), [2, 3]);
    assert_eq!(calls::<Parallel>(8, 64), [3, 3]);
    // No less: the blocks of associated data before the last one take a call, in which the nonce block has room.
    assert_eq!(calls::<Parallel>(9, 8), [2, 3]);
    assert_eq!(calls::<Parallel>(32, 16), [3, 4]);
    // The chain waits for itself.
    assert_eq!(calls::<Serial>(0, 8), [1, 2]);
    assert_eq!(calls::<Serial>(8, 16), [3, 4]);
    // Nothing can be prepared, and nothing is: the nonce, two blocks of message, the checksum.
    assert_eq!(calls::<Combined>(0, 16), [3, 4]);
    assert_eq!(calls_of_width::<U1, Combined>(0, 16), [4, 4]);
}

/// Without associated data there is nothing to encrypt for it, as a cipher of one block at a time would notice.
#[test]
fn no_call_for_no_associated_data() {
    let wide = Wide::<Twine128, U1>::new(&[0; 16]);
    let calls = wide.calls.clone();
    let otr = Otr::<_, U7, U8>::from(wide);
    let nonce = nonce::<Wide<Twine128, U1>, U7, U8, Parallel>(1);
    // The nonce block, the message, the checksum.
    for (ad_len, expected) in [(0, 3), (1, 4)] {
        calls.take();
        otr.encrypt_inout_detached(&nonce, &bytes(ad_len, 1), (&mut [0; 8][..]).into()).unwrap();
        assert_eq!(calls.take().len(), expected, "{ad_len}");
    }
}

/// The room that this takes.
#[test]
fn sixteen_bytes_more() {
    type Plain = Otr<Twine128, U7, U8>;
    assert!(
        size_of::<OtrAhead<Twine128, U7, U8>>()
            <= size_of::<Plain>().next_multiple_of(align_of::<Plain>()) + 16
    );
}
