//! Code that must not compile, as tests of the documentation. Each one follows a twin that differs in that one place and
//! compiles. So the first cannot fail for another reason.

/// A sealer that is used:
/// ```
/// use twine_otr_aead::Sealer;
/// let sealer: Sealer = Sealer::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// let nonce = sealer.next_nonce();
/// ```
/// A copy of a sealer, which would repeat its nonces:
/// ```compile_fail,E0599
/// use twine_otr_aead::Sealer;
/// let sealer: Sealer = Sealer::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// let copy = sealer.clone();
/// ```
struct ClonedSealer;

/// A fixed part of 4 bytes:
/// ```
/// use twine_otr_aead::{Sealer, Twine128Otr};
/// let sealer = Sealer::<Twine128Otr, 4>::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// sealer.next_nonce();
/// ```
/// A fixed part of 5 bytes:
/// ```compile_fail,E0080
/// use twine_otr_aead::{Sealer, Twine128Otr};
/// let sealer = Sealer::<Twine128Otr, 5>::with_ephemeral_key(&[0x42; 16].into(), [0; 5]);
/// sealer.next_nonce();
/// ```
struct LongFixedPart;

/// An AEAD with a nonce of 7 bytes:
/// ```
/// use twine_otr_aead::{Otr, Sealer, Twine128, consts::{U6, U7, U8}};
/// let sealer = Sealer::<Otr<Twine128, U7, U8>, 4>::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// ```
/// An AEAD with a nonce of 6 bytes:
/// ```compile_fail,E0277
/// use twine_otr_aead::{Otr, Sealer, Twine128, consts::{U6, U7, U8}};
/// let sealer = Sealer::<Otr<Twine128, U6, U8>, 4>::with_ephemeral_key(&[0x42; 16].into(), [0; 4]);
/// ```
struct OtherNonce;

/// An opener that is used:
/// ```
/// use twine_otr_aead::Opener;
/// let opener: Opener = Opener::new(&[0x42; 16].into(), [0; 4]);
/// let newest = opener.newest();
/// ```
/// A copy of an opener, which would open a message again:
/// ```compile_fail,E0599
/// use twine_otr_aead::Opener;
/// let opener: Opener = Opener::new(&[0x42; 16].into(), [0; 4]);
/// let copy = opener.clone();
/// ```
struct ClonedOpener;

/// Two sealers, each of a state of its own:
/// ```
/// use twine_otr_aead::{BlockLimit, Sealer};
/// let key = [0x42; 16].into();
/// let state = <Sealer>::first_state(&key, *b"up 7", BlockLimit::DEFAULT);
/// let other_state = <Sealer>::first_state(&key, *b"up 8", BlockLimit::DEFAULT);
/// let sealer: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// let other: Sealer = Sealer::with_stored_key(&key, other_state, BlockLimit::DEFAULT).unwrap();
/// ```
/// Two sealers of one state, which would have the same nonces:
/// ```compile_fail,E0382
/// use twine_otr_aead::{BlockLimit, Sealer};
/// let key = [0x42; 16].into();
/// let state = <Sealer>::first_state(&key, *b"up 7", BlockLimit::DEFAULT);
/// let other_state = <Sealer>::first_state(&key, *b"up 8", BlockLimit::DEFAULT);
/// let sealer: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// let other: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// ```
struct TwoSealersOfOneState;

/// A sealer of a state that was stored and read:
/// ```
/// use twine_otr_aead::{BlockLimit, Sealer, SealerState};
/// let key = [0x42; 16].into();
/// let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// let reservation = sealer.begin_reserve(1 << 12);
/// let state = SealerState::from_bytes(&reservation.state().to_bytes(), *b"up 7").unwrap();
/// let other: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// ```
/// A sealer of a state that is only lent, to be stored:
/// ```compile_fail,E0507
/// use twine_otr_aead::{BlockLimit, Sealer, SealerState};
/// let key = [0x42; 16].into();
/// let mut sealer: Sealer = Sealer::with_ephemeral_key(&key, *b"up 7");
/// let reservation = sealer.begin_reserve(1 << 12);
/// let state = *reservation.state();
/// let other: Sealer = Sealer::with_stored_key(&key, state, BlockLimit::DEFAULT).unwrap();
/// ```
struct SealerOfLentState;

/// Two openers, each of a state of its own:
/// ```
/// use twine_otr_aead::{BlockLimit, Opener};
/// let key = [0x42; 16].into();
/// let (blocks, failures) = (BlockLimit::DEFAULT, <Opener>::FAILURE_LIMIT);
/// let state = <Opener>::first_state(&key, *b"up 7", blocks, failures);
/// let other_state = <Opener>::first_state(&key, *b"up 8", blocks, failures);
/// let opener: Opener = Opener::with_stored_key(&key, state, blocks, failures).unwrap();
/// let other: Opener = Opener::with_stored_key(&key, other_state, blocks, failures).unwrap();
/// ```
/// Two openers of one state, which would open a message twice:
/// ```compile_fail,E0382
/// use twine_otr_aead::{BlockLimit, Opener};
/// let key = [0x42; 16].into();
/// let (blocks, failures) = (BlockLimit::DEFAULT, <Opener>::FAILURE_LIMIT);
/// let state = <Opener>::first_state(&key, *b"up 7", blocks, failures);
/// let other_state = <Opener>::first_state(&key, *b"up 8", blocks, failures);
/// let opener: Opener = Opener::with_stored_key(&key, state, blocks, failures).unwrap();
/// let other: Opener = Opener::with_stored_key(&key, state, blocks, failures).unwrap();
/// ```
struct TwoOpenersOfOneState;

/// Two streams, each with a header of its own:
/// ```
/// use twine_otr_aead::{ChunkSealer, StreamHeader};
/// let key = [0x42; 16].into();
/// let header = StreamHeader::counted(*b"sensor 7", 3);
/// let other_header = StreamHeader::counted(*b"sensor 7", 4);
/// let sealer: ChunkSealer = ChunkSealer::new(&key, header);
/// let other: ChunkSealer = ChunkSealer::new(&key, other_header);
/// ```
/// Two streams with one header:
/// ```compile_fail,E0382
/// use twine_otr_aead::{ChunkSealer, StreamHeader};
/// let key = [0x42; 16].into();
/// let header = StreamHeader::counted(*b"sensor 7", 3);
/// let other_header = StreamHeader::counted(*b"sensor 7", 4);
/// let sealer: ChunkSealer = ChunkSealer::new(&key, header);
/// let other: ChunkSealer = ChunkSealer::new(&key, header);
/// ```
struct TwoStreamsWithOneHeader;

/// A label without a zero byte:
/// ```
/// use twine_otr_aead::Label;
/// const UPLINK: Label<'_> = Label::new(b"meter v1 up").unwrap();
/// let label = UPLINK;
/// ```
/// A label with a zero byte:
/// ```compile_fail,E0080
/// use twine_otr_aead::Label;
/// const UPLINK: Label<'_> = Label::new(b"meter v1\0up").unwrap();
/// let label = UPLINK;
/// ```
struct LabelWithZero;

/// The greatest limit:
/// ```
/// use twine_otr_aead::BlockLimit;
/// const LIMIT: BlockLimit = BlockLimit::new(1 << 24).unwrap();
/// let limit = LIMIT;
/// ```
/// A limit beyond the greatest one:
/// ```compile_fail,E0080
/// use twine_otr_aead::BlockLimit;
/// const LIMIT: BlockLimit = BlockLimit::new((1 << 24) + 1).unwrap();
/// let limit = LIMIT;
/// ```
struct LargeLimit;
