//! Messages in chunks: all of it, in order, to its end, or not.

use proptest::{collection::vec, prelude::*, sample::Index};
use twine_cipher::cipher::BlockCipherEncrypt;
use twine_otr_aead::{
    BlockLimit, ChunkOpener, ChunkSealer, Combined, Kdf, Key, KeyInit, KeySizeUser, Label, OpenError,
    SealError, StreamHeader, Tag, Twine80, Twine80Otr, Twine128, Twine128Otr, TwineOtr, consts::U8,
    count_blocks,
};

fn key() -> Key<Twine128Otr> {
    [0x42; 16].into()
}

fn header(number: u64) -> StreamHeader {
    StreamHeader::counted(*b"sender 1", number)
}

fn sealer(number: u64) -> ChunkSealer {
    ChunkSealer::new(&key(), header(number))
}

/// The opener of what the sealer seals.
fn opener(sealer: &ChunkSealer) -> ChunkOpener {
    ChunkOpener::new(&key(), sealer.header())
}

fn pair(limit: BlockLimit) -> (ChunkSealer, ChunkOpener) {
    let sealer = ChunkSealer::with_block_limit(&key(), header(7), limit);
    let opener = ChunkOpener::with_block_limit(&key(), sealer.header(), limit);
    (sealer, opener)
}

#[derive(Clone, Debug, PartialEq)]
struct Chunk {
    is_last: bool,
    text: Vec<u8>,
    tag: Tag<Twine128Otr>,
}

fn seal(sealer: &mut ChunkSealer, is_last: bool, mut text: Vec<u8>) -> Result<Chunk, SealError> {
    let plaintext = text.clone();
    let seal = if is_last { ChunkSealer::seal_last } else { ChunkSealer::seal_chunk };
    let tag = seal(sealer, b"ad", text.as_mut_slice().into())
        .inspect_err(|_| assert_eq!(text, plaintext, "touched"))?;
    Ok(Chunk { is_last, text, tag })
}

fn open(opener: &mut ChunkOpener, chunk: &Chunk) -> Result<Vec<u8>, OpenError> {
    let mut text = chunk.text.clone();
    let open = if chunk.is_last { ChunkOpener::open_last } else { ChunkOpener::open_chunk };
    open(opener, b"ad", text.as_mut_slice().into(), &chunk.tag)
        .inspect_err(|_| assert_eq!(text, vec![0; chunk.text.len()]))?;
    Ok(text)
}

fn seal_all(sealer: &mut ChunkSealer, message: &[Vec<u8>]) -> Vec<Chunk> {
    let last = message.len() - 1;
    message.iter().enumerate().map(|(i, text)| seal(sealer, i == last, text.clone()).unwrap()).collect()
}

/// The stream as it is documented: keys derived step by step, blocks added up, one plain AEAD for each chunk.
fn seals_as_documented<B, C>(limit: BlockLimit)
where
    B: BlockCipherEncrypt<BlockSize = U8> + KeyInit,
    C: TwineOtr + KeySizeUser<KeySize = B::KeySize>,
{
    let derive = |key: &Key<B>, label, context: &[u8]| {
        let (mut long, mut short) = ([0; 16], [0; 10]);
        let (mut kdf, label) = (Kdf::<B>::new(key), Label::new(label).unwrap());
        kdf.derive(label, context, &mut long);
        kdf.derive(label, context, &mut short);
        Key::<B>::try_from(if B::key_size() == 16 { &long[..] } else { &short }).unwrap()
    };
    let mut key = Key::<B>::default();
    key.fill(7);
    let mut sealer = ChunkSealer::<C>::with_block_limit(&key, header(9), limit);
    let mut opener = ChunkOpener::<C>::with_block_limit(&key, sealer.header(), limit);
    assert_eq!(sealer.header(), b"sender 1\0\0\0\0\0\0\0\x09");
    let context = [&sealer.header()[..], &limit.get().to_be_bytes()].concat();
    let stream_key = derive(&key, b"TWINE-OTR stream v1", &context);

    let (mut segment, mut blocks) = (0u32, 0);
    for i in 0..300u32 {
        let is_last = i == 299;
        let text = vec![3; i as usize % 40];
        blocks += count_blocks(2, text.len());
        if blocks > limit.get().into() {
            (segment, blocks) = (segment + 1, count_blocks(2, text.len()));
        }
        let segment_key = derive(&stream_key, b"TWINE-OTR segment v1", &segment.to_be_bytes());
        let mut nonce = [0; 7];
        nonce[2..6].copy_from_slice(&i.to_be_bytes());
        nonce[6] = is_last.into();
        let (mut one, mut other) = (text.clone(), text.clone());
        assert_eq!((sealer.position(), opener.position()), (i.into(), i.into()));
        let seal = if is_last { ChunkSealer::seal_last } else { ChunkSealer::seal_chunk };
        let tag = seal(&mut sealer, b"ad", one.as_mut_slice().into()).unwrap();
        let cipher = C::new(&segment_key);
        let expected =
            cipher.encrypt_inout_detached(&nonce.into(), b"ad", other.as_mut_slice().into()).unwrap();
        assert_eq!((&one, &tag), (&other, &expected), "chunk {i}");
        let open = if is_last { ChunkOpener::open_last } else { ChunkOpener::open_chunk };
        assert_eq!(open(&mut opener, b"ad", one.as_mut_slice().into(), &tag), Ok(()));
        assert_eq!(one, text);
        assert_eq!((sealer.segment(), opener.segment()), (segment, segment));
    }
    assert!(opener.is_complete());
}

#[test]
fn streams_are_sealed_as_documented() {
    let few = BlockLimit::new(23).unwrap();
    seals_as_documented::<Twine128, Twine128Otr>(few);
    seals_as_documented::<Twine80, Twine80Otr<Combined>>(few);
    seals_as_documented::<Twine128, Twine128Otr>(BlockLimit::SEGMENT);
}

/// Key, header and limit make a stream, and nothing less.
#[test]
fn streams_differ() {
    let seal = |mut sealer: ChunkSealer| seal(&mut sealer, true, b"the same message".to_vec()).unwrap().text;
    let one = seal(sealer(1));
    assert_eq!(one, seal(sealer(1)));
    let mut other_key = key();
    other_key[15] ^= 1;
    let others = [
        seal(sealer(2)),
        seal(ChunkSealer::new(&key(), StreamHeader::counted(*b"sender 2", 1))),
        seal(ChunkSealer::new(&other_key, header(1))),
        seal(ChunkSealer::with_block_limit(&key(), header(1), BlockLimit::DEFAULT)),
    ];
    for (i, other) in others.iter().enumerate() {
        assert_ne!(one, *other);
        assert!(!others[..i].contains(other));
    }
}

#[cfg(feature = "getrandom")]
#[test]
fn headers_are_random() {
    use twine_otr_aead::aead::Generate;
    let headers: Vec<_> = (0..100).map(|_| StreamHeader::generate()).collect();
    for (i, header) in headers.iter().enumerate() {
        assert!(!headers[..i].contains(header));
    }
    assert_eq!(ChunkSealer::<Twine128Otr>::new(&key(), StreamHeader::generate()).header().len(), 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is sent in whatever order, copies and forgeries between: the chunks open that are next, and no others, as long as the
    /// blocks of what failed under the same key leave room.
    #[test]
    fn only_the_next_chunk_opens(
        message in vec(vec(any::<u8>(), 0..40), 1..20),
        order in vec((any::<Index>(), prop::bool::weighted(0.7), any::<[bool; 2]>()), 0..80),
        limit in 8..60u32,
    ) {
        let (mut sealer, mut opener) = pair(BlockLimit::new(limit).unwrap());
        let sealed = seal_all(&mut sealer, &message);
        let (mut next, mut segment, mut used) = (0, 0, 0);
        let mut failed = [0; 21];
        for (index, is_next, [is_forged, is_misnamed]) in order {
            let i = if is_next { next.min(sealed.len() - 1) } else { index.index(sealed.len()) };
            let mut chunk = sealed[i].clone();
            let is_changed = !is_next && (is_forged || is_misnamed);
            chunk.tag[3] ^= u8::from(is_changed && is_forged);
            chunk.is_last ^= is_changed && is_misnamed;
            let blocks = count_blocks(2, chunk.text.len());
            let place =
                if used + blocks > u64::from(limit) { (segment + 1, blocks) } else { (segment, used + blocks) };
            let expected = if next == sealed.len() {
                Err(OpenError::Finished)
            } else if failed[place.0] + blocks > u64::from(limit) {
                Err(OpenError::LimitReached)
            } else if i == next && !is_changed {
                (segment, used) = place;
                next += 1;
                Ok(message[i].clone())
            } else {
                failed[place.0] += blocks;
                Err(OpenError::Rejected)
            };
            prop_assert_eq!(open(&mut opener, &chunk), expected);
            prop_assert_eq!((opener.position(), opener.segment() as usize), (next as u64, segment));
            prop_assert_eq!(opener.is_complete(), next == sealed.len());
        }
    }
}

#[test]
fn nothing_follows_the_last_chunk() {
    let mut sealer = sealer(1);
    seal(&mut sealer, false, vec![1]).unwrap();
    seal(&mut sealer, true, vec![]).unwrap();
    for is_last in [false, true] {
        assert_eq!(seal(&mut sealer, is_last, vec![1]), Err(SealError::Finished));
    }
    assert_eq!(sealer.position(), 2);
}

/// What is longer than a segment is refused, and changes nothing; what fills it to the block is not.
#[test]
fn chunks_fit_segments_exactly() {
    let (mut sealer, mut opener) = pair(BlockLimit::new(10).unwrap());
    let fits = 8 * 5;
    assert_eq!(3 + count_blocks(2, fits), 10);
    for (len, segment) in [(0, 0), (fits, 0), (0, 1), (fits + 1, 2), (8 * 8, 3), (0, 4)] {
        assert_eq!(seal(&mut sealer, true, vec![5; 8 * 8 + 1]), Err(SealError::LimitReached));
        let too_long = Chunk { is_last: false, text: vec![5; 8 * 8 + 1], tag: [0; 8].into() };
        assert_eq!(open(&mut opener, &too_long), Err(OpenError::LimitReached));
        let chunk = seal(&mut sealer, false, vec![5; len]).unwrap();
        assert_eq!(open(&mut opener, &chunk), Ok(vec![5; len]));
        assert_eq!((sealer.segment(), opener.segment()), (segment, segment), "{len}");
    }
    assert_eq!(opener.failures(), 0);
}

#[test]
fn a_default_segment_ends_after_2_to_16_blocks() {
    let mut sealer = sealer(1);
    for (blocks, segment) in [(1 << 15, 0), (1 << 15, 0), (3, 1), (1 << 16, 2), (3, 3)] {
        seal(&mut sealer, false, vec![0; 8 * (blocks - 2)]).unwrap();
        assert_eq!(sealer.segment(), segment);
    }
    assert_eq!(seal(&mut sealer, false, vec![0; 8 * ((1 << 16) - 1)]), Err(SealError::LimitReached));
}

/// Failed attempts use up blocks of the key that they tried, this segment's or the next one's, and nothing of what is genuine.
#[test]
fn failures_have_blocks_of_their_own() {
    let (mut sealer, mut opener) = pair(BlockLimit::new(10).unwrap());
    let chunks: Vec<_> = (0..4).map(|i| seal(&mut sealer, false, vec![i; 8 * 4]).unwrap()).collect();
    let forged = |chunk: &Chunk, len: usize| Chunk { text: vec![0x99; len], ..chunk.clone() };
    open(&mut opener, &chunks[0]).unwrap();
    // 4 blocks are left in the segment: three attempts of 3 blocks are all that may fail in it.
    for _ in 0..3 {
        assert_eq!(open(&mut opener, &forged(&chunks[1], 0)), Err(OpenError::Rejected));
    }
    assert_eq!(open(&mut opener, &forged(&chunks[1], 0)), Err(OpenError::LimitReached));
    // Longer ones, and the genuine chunk, are of the next.
    assert_eq!(open(&mut opener, &forged(&chunks[1], 24)), Err(OpenError::Rejected));
    assert_eq!(open(&mut opener, &forged(&chunks[1], 40)), Err(OpenError::LimitReached));
    assert_eq!(opener.failures(), 4);
    // It has 5 blocks left for failures, and takes 6: the stream is over.
    assert_eq!(open(&mut opener, &chunks[1]), Err(OpenError::LimitReached));
}

#[test]
fn failures_are_counted() {
    let mut sealer = sealer(1);
    let chunk = seal(&mut sealer, false, vec![1; 20]).unwrap();
    let forged = Chunk { text: vec![2; 20], ..chunk.clone() };
    let mut opener = opener(&sealer).with_failure_limit(2);
    for failures in 0..2 {
        assert_eq!(opener.failures(), failures);
        assert_eq!(open(&mut opener, &forged), Err(OpenError::Rejected));
    }
    assert_eq!(open(&mut opener, &chunk), Err(OpenError::TooManyFailures));
    assert_eq!(opener.failures(), 2);
}

#[test]
fn debug_shows_no_key() {
    let sealer = sealer(1);
    let text = format!("{:?} {:?}", sealer, opener(&sealer));
    assert!(
        text.contains("ChunkSealer")
            && text.contains("ChunkOpener")
            && text.contains("next: 0")
            && !text.contains("cipher")
            && text.len() < 700,
        "{text}"
    );
}

/// Streams that begin where the ones before lie are those of sealers and openers that are returned.
#[test]
fn streams_begin_in_place() {
    let limit = BlockLimit::new(14).unwrap();
    let (mut sealer, mut opener): (ChunkSealer, ChunkOpener) =
        (ChunkSealer::without_key(), ChunkOpener::without_key());
    let message = [vec![1; 40], vec![2; 40], vec![3; 40]];
    for number in 0..2 {
        assert_eq!(seal(&mut sealer, false, vec![0; 8]).err(), Some(SealError::Finished));
        assert!(opener.is_complete());
        sealer.start(&key(), header(number), limit);
        opener.start(&key(), sealer.header(), limit, 2);
        let mut whole = ChunkSealer::with_block_limit(&key(), header(number), limit);
        let chunks = seal_all(&mut sealer, &message);
        let expected = seal_all(&mut whole, &message);
        for (chunk, expected) in chunks.iter().zip(&expected) {
            assert_eq!((&chunk.text, &chunk.tag), (&expected.text, &expected.tag));
        }
        for tries in 0..3 {
            let expected = if tries < 2 { OpenError::Rejected } else { OpenError::TooManyFailures };
            assert_eq!(open(&mut opener, &chunks[1]), Err(expected));
        }
        opener.start(&key(), sealer.header(), limit, 2);
        assert_eq!((opener.failures(), opener.segment()), (0, 0));
        for (chunk, text) in chunks.iter().zip(&message) {
            assert_eq!(open(&mut opener, chunk).as_ref(), Ok(text));
        }
        assert_eq!(opener.segment(), 1);
    }
}
