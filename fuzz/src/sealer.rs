//! A `Sealer` that sometimes loses power gives each message, sealed at once or in pieces, what the mode gives for it under a
//! nonce that no message had before. It refuses exactly what passes its limit or what is reserved, and changes nothing then.
//! An `Opener` that loses power with it opens each message at most once, and those that it has reserved. Their states are those of
//! their key and limits, and bytes are states if they are what a state is written as.

use std::collections::HashSet;

use arbitrary::Arbitrary;
use otr_mode::cipher::BlockCipherEncrypt;
use twine_otr_aead::{
    AdProcessing, AeadInOut, BlockLimit, Combined, InvalidState, Key, KeyInit, Nonce, Opener, OpenerState,
    Otr, Parallel, PieceError, SealError, Sealer, SealerState, Serial, Tag, Twine80, Twine128, TwineOtr,
    consts::{U7, U8},
    count_blocks,
};

const FIXED: [u8; 4] = *b"fuzz";

/// Attempts that may fail.
const FAILURES: u32 = 100;

/// The bytes of a pair of blocks.
const PAIR: usize = 16;

/// The nonce and the tag of a message; no tag if it was given up.
type Sealed<C> = (Nonce<C>, Option<Tag<C>>);

/// What becomes of one key.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// Modulo 6: the cipher and the way to process associated data.
    pub algorithm: u8,
    /// The key; a shorter one takes its beginning.
    pub key: [u8; 16],
    /// The blocks that the key may seal, less one.
    pub limit: u16,
    /// One after the other.
    pub steps: [Step; 8],
    /// Messages and associated data are beginnings of these.
    pub bytes: &'a [u8],
}

/// What happens next.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Step {
    /// Modulo 8: see [`Input::check`].
    pub kind: u8,
    /// The bytes of associated data, as far as there are so many.
    pub ad_len: u8,
    /// The bytes of the message, as far as there are so many; or the blocks to reserve.
    pub len: u16,
    /// The pairs of blocks in a piece of the message, less one.
    pub pairs: u8,
}

impl Input<'_> {
    /// Panics if a nonce repeats, a limit does not hold, or a message is not sealed as the mode does it.
    pub fn check(&self) {
        match self.algorithm % 6 {
            0 => self.check_with::<Twine80, Parallel>(),
            1 => self.check_with::<Twine80, Serial>(),
            2 => self.check_with::<Twine80, Combined>(),
            3 => self.check_with::<Twine128, Parallel>(),
            4 => self.check_with::<Twine128, Serial>(),
            _ => self.check_with::<Twine128, Combined>(),
        }
    }

    fn check_with<B, A>(&self)
    where
        B: BlockCipherEncrypt<BlockSize = U8> + KeyInit,
        A: AdProcessing,
        Otr<B, U7, U8, A>: TwineOtr,
    {
        let key: &Key<Otr<B, U7, U8, A>> = self.key[..B::key_size()].try_into().expect("the key's size");
        let limit = BlockLimit::new(u32::from(self.limit) + 1).expect("1 to 65,536 blocks");
        let otr = Otr::<B, U7, U8, A>::new(key);
        self.check_bytes();

        type Ends<B, A> = (Sealer<Otr<B, U7, U8, A>, 4>, Opener<Otr<B, U7, U8, A>, 4>);
        let mut other = key.clone();
        other[0] ^= 1;
        let first = Sealer::<Otr<B, U7, U8, A>, 4>::first_state(key, FIXED, limit);
        let first_opener = Opener::<Otr<B, U7, U8, A>, 4>::first_state(key, FIXED, limit, FAILURES);
        let elsewhere = Sealer::<Otr<B, U7, U8, A>, 4>::first_state(&other, FIXED, limit);
        let mut places = [first.to_bytes(), elsewhere.to_bytes()];
        let mut opener_places = [first_opener.to_bytes(), [0xFF; 32]];
        let start = |places: &[[u8; 32]; 2], opener_places: &[[u8; 32]; 2]| -> Ends<B, A> {
            let another = BlockLimit::new(limit.get() ^ 1).unwrap_or(BlockLimit::MAX);
            let refused = Sealer::<Otr<B, U7, U8, A>, 4>::restore(key, FIXED, another, places);
            assert_eq!(refused.err(), Some(InvalidState::OtherLimit));
            let sealer = Sealer::restore(key, FIXED, limit, places).expect("its state");
            (sealer, Opener::restore(key, FIXED, limit, FAILURES, opener_places).expect("its state"))
        };
        let place = |sequence: u32| sequence as usize % 2;
        let (mut sealer, mut opener) = start(&places, &opener_places);
        let (mut nonces, mut opened) = (HashSet::new(), HashSet::new());
        let (mut total, mut total_opened) = (0, 0);
        for step in &self.steps {
            match step.kind % 8 {
                // Blocks are reserved, or the memory fails, having written or not.
                kind @ 0..=2 => {
                    let before = sealer.reserved_blocks();
                    let result = sealer.reserve(step.len.into(), |state| {
                        if kind < 2 {
                            places[place(state.sequence())] = state.to_bytes();
                        }
                        if kind == 0 { Ok(()) } else { Err(()) }
                    });
                    let now = sealer.reserved_blocks();
                    let wanted = u32::from(step.len).min(sealer.remaining_blocks());
                    assert_eq!(now, if result.is_ok() { before.max(wanted) } else { before });

                    let before = (opener.reserved_messages(), opener.reserved_blocks());
                    let result = opener.reserve(step.ad_len.into(), step.len.into(), |state| {
                        if kind < 2 {
                            opener_places[place(state.sequence())] = state.to_bytes();
                        }
                        if kind == 0 { Ok(()) } else { Err(()) }
                    });
                    let now = (opener.reserved_messages(), opener.reserved_blocks());
                    // An opener of which as many attempts have failed as may fail opens nothing more.
                    let remaining = if opener.failures() < FAILURES { opener.remaining_blocks() } else { 0 };
                    let wanted = u32::from(step.len).min(remaining);
                    if result.is_ok() {
                        assert!(now.0 >= step.ad_len.into() && now.1 >= wanted);
                    } else {
                        assert_eq!(now, before);
                    }
                }
                // An orderly stop, or a loss of power.
                3 => {
                    let (state, opener_state) = (sealer.suspend(), opener.suspend());
                    places[place(state.sequence())] = state.to_bytes();
                    opener_places[place(opener_state.sequence())] = opener_state.to_bytes();
                    (sealer, opener) = start(&places, &opener_places);
                }
                4 => (sealer, opener) = start(&places, &opener_places),
                kind => {
                    let (ad, _) = crate::split(self.bytes, step.ad_len.into());
                    let (msg, _) = crate::split(self.bytes, step.len);
                    let (nonce, used) = (sealer.next_nonce(), sealer.used_blocks());
                    let blocks = u32::try_from(count_blocks(ad.len(), msg.len())).expect("few");
                    let error = if blocks > sealer.remaining_blocks() {
                        Some(SealError::LimitReached)
                    } else {
                        (blocks > sealer.reserved_blocks()).then_some(SealError::NotReserved)
                    };
                    let mut buffer = msg.to_vec();
                    let result = match kind {
                        5 => sealer
                            .seal_inout_detached(ad, buffer.as_mut_slice().into())
                            .map(|(nonce, tag)| (nonce, Some(tag))),
                        _ => step.seal_pieces(&mut sealer, ad, &mut buffer, kind == 6),
                    };
                    assert_eq!(result.as_ref().err(), error.as_ref());
                    match result {
                        Ok((own, tag)) => {
                            assert_eq!((own, sealer.used_blocks()), (nonce, used + blocks));
                            assert!(nonces.insert(nonce), "a nonce repeats");
                            total += blocks;
                            let mut expected = msg.to_vec();
                            let all = expected.as_mut_slice().into();
                            let expected_tag = otr.encrypt_inout_detached(&nonce, ad, all).expect("short");
                            // A message that was given up has none.
                            if let Some(tag) = tag {
                                assert_eq!((&buffer, &tag), (&expected, &expected_tag));
                                let is_reserved =
                                    opener.reserved_messages() > 0 && opener.reserved_blocks() >= blocks;
                                let newest = opener.newest();
                                for _ in 0..2 {
                                    let mut copy = buffer.clone();
                                    let all = copy.as_mut_slice().into();
                                    let result = opener.open_inout_detached(&nonce, ad, all, &tag);
                                    if result.is_ok() {
                                        assert!(opened.insert(nonce), "opened twice");
                                        total_opened += blocks;
                                        assert_eq!(copy, msg);
                                    } else {
                                        assert!(copy.iter().all(|byte| *byte == 0));
                                    }
                                }
                                // The next message, or one after it that is not too far away.
                                let counter =
                                    nonce[4..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                                if is_reserved && newest.map_or(0, |newest| newest + 1) == counter {
                                    assert!(opened.contains(&nonce));
                                }
                            }
                        }
                        Err(_) => {
                            assert_eq!(buffer, msg);
                            assert_eq!((sealer.next_nonce(), sealer.used_blocks()), (nonce, used));
                        }
                    }
                }
            }
            assert!(total <= sealer.used_blocks() && sealer.used_blocks() <= limit.get());
            assert!(total_opened <= opener.used_blocks() && opener.used_blocks() <= limit.get());
            assert_eq!(opener.failures() == FAILURES, opener.remaining_failures() == 0);
        }
    }

    /// Bytes are a state only if it is written as these bytes.
    fn check_bytes(&self) {
        let Some(bytes) = self.bytes.first_chunk::<32>() else { return };
        for sum in [bytes[28..].to_vec(), crc32(&bytes[..28]).to_vec()] {
            let mut bytes = *bytes;
            bytes[28..].copy_from_slice(&sum);
            let fixed = [bytes[1], bytes[2], bytes[3], bytes[4]];
            if let Ok(state) = SealerState::from_bytes(&bytes, fixed) {
                assert_eq!(state.to_bytes(), bytes);
            }
            if let Ok(state) = OpenerState::from_bytes(&bytes, fixed) {
                assert_eq!(state.to_bytes(), bytes);
            }
        }
    }
}

/// So that the fuzzer need not guess it.
fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut sum = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))) {
        sum = if (sum ^ bit) & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
    }
    (!sum).to_be_bytes()
}

impl Step {
    /// Seals `buffer` in pieces, and returns the nonce and the tag; none if the message `is_given_up` after its first piece.
    fn seal_pieces<B, A>(
        self,
        sealer: &mut Sealer<Otr<B, U7, U8, A>, 4>,
        ad: &[u8],
        buffer: &mut [u8],
        is_given_up: bool,
    ) -> Result<Sealed<Otr<B, U7, U8, A>>, SealError>
    where
        B: BlockCipherEncrypt<BlockSize = U8>,
        A: AdProcessing,
        Otr<B, U7, U8, A>: TwineOtr,
    {
        let (nonce, mut pieces) = sealer.seal_pieces(ad, buffer.len())?;
        let mut longer = vec![0xA5; (buffer.len() + 1).next_multiple_of(PAIR)];
        assert_eq!(pieces.update(longer.as_mut_slice().into()), Err(PieceError::TooLong));
        assert!(longer.iter().all(|byte| *byte == 0xA5), "what is refused is not touched");

        let mut rest = buffer;
        let len = PAIR * (usize::from(self.pairs) + 1);
        // Something is left for the end.
        while rest.len() > len {
            let (piece, after) = rest.split_at_mut(len);
            pieces.update(piece.into()).expect("whole pairs");
            rest = after;
            if is_given_up {
                return Ok((nonce, None));
            }
        }
        Ok((nonce, Some(pieces.finalize(rest.into()).expect("an end"))))
    }
}
