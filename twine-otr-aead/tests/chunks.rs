//! Messages in chunks: all of it, in order, to its end, or not.

use proptest::{collection::vec, prelude::*, sample::Index};
use twine_otr_aead::{
    BlockLimit, ChunkOpener, ChunkSealer, Combined, Key, OpenError, SealError, Tag, Twine80Otr, Twine128Otr,
    TwineOtr, count_blocks,
};

fn key() -> Key<Twine128Otr> {
    [0x42; 16].into()
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

fn seal_all(message: &[Vec<u8>]) -> Vec<Chunk> {
    let mut sealer = ChunkSealer::new(&key());
    let last = message.len() - 1;
    message.iter().enumerate().map(|(i, text)| seal(&mut sealer, i == last, text.clone()).unwrap()).collect()
}

fn seals_as_the_aead_does<C: TwineOtr>() {
    let mut key = Key::<C>::default();
    key.fill(7);
    let mut sealer = ChunkSealer::<C>::new(&key);
    for i in 0..300u32 {
        let is_last = i == 299;
        let mut nonce = [0; 7];
        nonce[2..6].copy_from_slice(&i.to_be_bytes());
        nonce[6] = is_last.into();
        let text = vec![3; i as usize % 40];
        let (mut one, mut other) = (text.clone(), text);
        let seal = if is_last { ChunkSealer::seal_last } else { ChunkSealer::seal_chunk };
        assert_eq!(sealer.position(), i.into());
        let tag = seal(&mut sealer, b"ad", one.as_mut_slice().into()).unwrap();
        let expected =
            C::new(&key).encrypt_inout_detached(&nonce.into(), b"ad", other.as_mut_slice().into()).unwrap();
        assert_eq!((one, tag), (other, expected));
    }
}

#[test]
fn chunks_are_sealed_as_the_aead_does() {
    seals_as_the_aead_does::<Twine128Otr>();
    seals_as_the_aead_does::<Twine80Otr<Combined>>();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is sent in whatever order, copies and forgeries between: the chunks open that are next, and no others.
    #[test]
    fn only_the_next_chunk_opens(
        message in vec(vec(any::<u8>(), 0..40), 1..6),
        order in vec((any::<Index>(), any::<bool>(), any::<bool>()), 0..40),
    ) {
        let sealed = seal_all(&message);
        let mut opener = ChunkOpener::new(&key());
        let mut next = 0;
        for (index, is_forged, is_misnamed) in order {
            let i = index.index(sealed.len());
            let mut chunk = sealed[i].clone();
            chunk.tag[3] ^= u8::from(is_forged);
            chunk.is_last ^= is_misnamed;
            let expected = if next == sealed.len() {
                Err(OpenError::Finished)
            } else if i == next && !is_forged && !is_misnamed {
                next += 1;
                Ok(message[i].clone())
            } else {
                Err(OpenError::Rejected)
            };
            prop_assert_eq!(open(&mut opener, &chunk), expected);
            prop_assert_eq!(opener.position(), next as u64);
            prop_assert_eq!(opener.is_complete(), next == sealed.len());
        }
    }
}

#[test]
fn nothing_follows_the_last_chunk() {
    let mut sealer = ChunkSealer::new(&key());
    seal(&mut sealer, false, vec![1]).unwrap();
    seal(&mut sealer, true, vec![]).unwrap();
    for is_last in [false, true] {
        assert_eq!(seal(&mut sealer, is_last, vec![1]), Err(SealError::Finished));
    }
    assert_eq!(sealer.position(), 2);
}

/// The limit holds for each key, and what it refuses can be sealed and opened under the next.
#[test]
fn limits_are_exact_and_keys_can_change() {
    let limit = BlockLimit::new(10).unwrap();
    let mut sealer = ChunkSealer::new(&key()).with_block_limit(limit);
    let mut opener = ChunkOpener::new(&key()).with_block_limit(limit);
    let fits = vec![5; 8 * 5];
    assert_eq!(3 + count_blocks(2, fits.len()), 10);
    let one = seal(&mut sealer, false, vec![5; 8]).unwrap();
    open(&mut opener, &one).unwrap();
    assert_eq!(seal(&mut sealer, true, vec![5; 8 * 5 + 1]), Err(SealError::LimitReached));
    let two = seal(&mut sealer, false, fits.clone()).unwrap();
    let too_long = Chunk { text: vec![5; 8 * 5 + 1], ..two.clone() };
    assert_eq!(open(&mut opener, &too_long), Err(OpenError::LimitReached));
    assert_eq!(open(&mut opener, &two), Ok(fits));
    assert_eq!((sealer.remaining_blocks(), opener.remaining_blocks()), (0, 0));
    assert_eq!(seal(&mut sealer, true, vec![]), Err(SealError::LimitReached));
    assert_eq!(open(&mut opener, &two), Err(OpenError::LimitReached));

    let next_key = [0x43; 16].into();
    sealer.change_key(&next_key);
    opener.change_key(&next_key);
    assert_eq!((sealer.remaining_blocks(), opener.remaining_blocks()), (10, 10));
    assert_eq!((sealer.position(), opener.position()), (2, 2));
    let three = seal(&mut sealer, true, vec![6; 3]).unwrap();
    assert_eq!(open(&mut opener, &three), Ok(vec![6; 3]));
    assert!(opener.is_complete());
    let mut old = ChunkOpener::new(&key());
    [one, two].iter().for_each(|chunk| drop(open(&mut old, chunk).unwrap()));
    assert_eq!(open(&mut old, &three), Err(OpenError::Rejected));
}

#[test]
fn failures_are_counted() {
    let chunk = seal_all(&[vec![1; 20]]).remove(0);
    let forged = Chunk { text: vec![2; 20], ..chunk.clone() };
    for (failures, mut opener) in
        [(1024, ChunkOpener::new(&key())), (2, ChunkOpener::new(&key()).with_failure_limit(2))]
    {
        for _ in 0..failures {
            assert_eq!(open(&mut opener, &forged), Err(OpenError::Rejected));
        }
        assert_eq!(open(&mut opener, &chunk), Err(OpenError::TooManyFailures));
        opener.change_key(&key());
        assert_eq!(open(&mut opener, &chunk), Ok(vec![1; 20]));
    }
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?} {:?}", <ChunkSealer>::new(&key()), <ChunkOpener>::new(&key()));
    assert!(text.contains("next: 0") && !text.contains("cipher") && text.len() < 400, "{text}");
}
