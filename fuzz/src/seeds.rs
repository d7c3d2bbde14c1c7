//! What the fuzzer starts from: the test vectors, as the bytes that become the targets' inputs.

use test_vectors::{AdProcessing, AeadFile, AeadGroup, AeadTest, BlockFile, Cipher, Validity};

use crate::{backends, capi, forgery, frame, mode, seal, sealer, vectors};
use arbitrary::{Arbitrary, Unstructured};

/// The targets, each with its seeds.
///
/// # Panics
/// If a seed does not become what it was made from, or a property does not hold for one.
pub fn every_target() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("backends", of_backends()),
        ("mode", of_mode()),
        ("forgery", of_forgery()),
        ("sealer", of_sealer()),
        ("capi", of_capi()),
        ("seal", of_seal()),
        ("vectors", of_vectors()),
        ("frame", of_frame()),
    ]
}

/// Valid tests of every kind, a few of each group.
fn messages() -> impl Iterator<Item = (&'static AeadGroup, &'static AeadTest)> {
    let files = [
        test_vectors::twine_otr(),
        test_vectors::twine_otr_short(),
        test_vectors::twine_otr_long(),
        test_vectors::aes_otr_v3(),
    ];
    let groups = files.into_iter().flat_map(|file| &file.test_groups);
    let tests = groups.flat_map(|group| group.tests.iter().step_by(5).map(move |test| (group, test)));
    tests.filter(|(_, test)| test.result == Validity::Valid && test.msg.len() + test.aad.len() <= 4096)
}

/// A string of fixed size that begins with `bytes`.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array[..bytes.len()].copy_from_slice(bytes);
    array
}

fn ad_len(test: &AeadTest) -> u16 {
    test.aad.len().try_into().expect("the vectors have short associated data")
}

/// The index of `item` in `all`.
fn index<T: PartialEq>(all: &[T], item: &T) -> u8 {
    let index = all.iter().position(|other| other == item).expect("one of them");
    index.try_into().expect("few")
}

/// The input that a target makes from `seed`.
fn parse<'a, T: Arbitrary<'a>>(seed: &'a [u8]) -> T {
    T::arbitrary_take_rest(Unstructured::new(seed)).expect("seeds are long enough")
}

fn of_backends() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for group in &test_vectors::twine().test_groups {
        let blocks: Vec<u8> = group.tests.iter().flat_map(|test| test.pt.iter().copied()).collect();
        // The widest backend has 64 blocks at once.
        for (test, count) in group.tests.iter().zip([1, 3, 4, 8, 9, 16, 31, 32, 33, 63, 64, 65, 130]) {
            let key_size = u8::from(group.cipher == Cipher::Twine80);
            let blocks: Vec<u8> = blocks.iter().copied().cycle().take(8 * count).collect();
            let seed = [&[key_size][..], &fixed::<16>(&test.key), &[0], &blocks].concat();
            let input: backends::Input<'_> = parse(&seed);
            assert!(input.key.starts_with(&test.key) && input.bytes == blocks);
            input.check();
            seeds.push(seed);
        }
    }
    seeds
}

fn of_mode() -> Vec<Vec<u8>> {
    messages()
        .flat_map(|(group, test)| [0, 1].map(|sizes| (group, test, sizes)))
        .map(|(group, test, sizes)| {
            let seed = [
                &[index(&Cipher::ALL, &group.cipher), index(&AdProcessing::ALL, &group.ad_processing), sizes]
                    [..],
                &fixed::<32>(&test.key),
                &fixed::<15>(&test.iv),
                // Of blocks of 64 bits: a pair, a full batch of the widest backend, and no whole pairs.
                [16, 512, 35].map(u16::to_le_bytes).as_flattened(),
                &ad_len(test).to_le_bytes(),
                &test.aad,
                &test.msg,
            ]
            .concat();
            let input: mode::Input<'_> = parse(&seed);
            assert_eq!(crate::split(input.bytes, input.ad_len), (&*test.aad, &*test.msg));
            input.check();
            seed
        })
        .collect()
}

fn of_forgery() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (group, test) in messages().filter(|(group, _)| group.cipher.block_size() == 8 && group.iv_size == 56)
    {
        // Each kind of change to each of the strings in turn.
        let index_of_change = u8::try_from(seeds.len() % 32).expect("less than 32");
        let (field, kind) = (index_of_change % 4, index_of_change / 4);
        let changes = [[field, kind, 1, 0, 1], [0; 5], [0; 5]];
        let algorithm =
            3 * index(&Cipher::ALL, &group.cipher) + index(&AdProcessing::ALL, &group.ad_processing);
        let seed = [
            &[algorithm][..],
            &fixed::<16>(&test.key),
            &test.iv,
            changes.as_flattened(),
            &ad_len(test).to_le_bytes(),
            &test.aad,
            &test.msg,
        ]
        .concat();
        let input: forgery::Input<'_> = parse(&seed);
        assert_eq!((input.changes[0].kind, input.changes[0].at), (kind, 1));
        assert_eq!(crate::split(input.bytes, input.ad_len), (&*test.aad, &*test.msg));
        input.check();
        seeds.push(seed);
    }
    seeds
}

fn of_sealer() -> Vec<Vec<u8>> {
    let step = |kind: u8, ad_len: u8, len: u16, pairs: u8| {
        let [low, high] = len.to_le_bytes();
        [kind, ad_len, low, high, pairs]
    };
    // As many messages as can be under what is reserved, then a loss of power.
    let shortest = step(5, 0, 0, 0);
    let reserve = step(0, 0, 12, 0);
    let steps = [reserve, shortest, shortest, shortest, shortest, step(4, 0, 0, 0), reserve, shortest];
    let seed = [&[3; 17][..], &[100, 0], steps.as_flattened()].concat();
    parse::<sealer::Input<'_>>(&seed).check();
    let mut seeds = vec![seed];
    for (group, test) in messages().filter(|(group, _)| group.cipher.block_size() == 8 && group.iv_size == 56)
    {
        let len = u16::try_from(test.msg.len()).expect("at most 4096");
        // Each kind of step, and every message after a failure of the memory.
        let steps = [
            step(0, 0, 2000, 0),
            step(5, 1, len, 0),
            step(6, 200, len, 0),
            step(3, 0, 0, 0),
            step(if seeds.len() % 2 == 0 { 1 } else { 2 }, 0, 1000, 0),
            step(4, 0, 0, 0),
            step(0, 0, if seeds.len() % 3 == 0 { 4 } else { 1000 }, 0),
            step(if seeds.len() % 4 == 0 { 7 } else { 6 }, 8, len, 2),
        ];
        let algorithm =
            3 * index(&Cipher::ALL, &group.cipher) + index(&AdProcessing::ALL, &group.ad_processing);
        let limit: u16 = if seeds.len() % 5 == 0 { 100 } else { 10_000 };
        let seed = [
            &[algorithm][..],
            &fixed::<16>(&test.key),
            &limit.to_le_bytes(),
            steps.as_flattened(),
            &test.msg,
        ]
        .concat();
        let input: sealer::Input<'_> = parse(&seed);
        assert!(input.limit == limit && input.steps[7].pairs == 2 && input.bytes == test.msg);
        input.check();
        seeds.push(seed);
    }
    seeds
}

fn of_capi() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let tests = messages().filter(|(group, test)| {
        group.cipher.block_size() == 8
            && group.iv_size == 56
            && test.aad.len() <= 128
            && test.msg.len() <= 512
    });
    for (group, test) in tests {
        // Apart; then, in turn, something is null, overlaps, is cleared, or is changed.
        let variant = u8::try_from(seeds.len() % 8).expect("less than 8");
        let nulls = if variant < 4 { 1 << variant } else { 0 };
        let tag_place: u16 = if variant == 4 { 200 } else { 8 };
        let places = [0, 32, 192, tag_place].map(u16::to_le_bytes);
        let (len, change) = (u16::try_from(test.msg.len()).expect("at most 512"), u8::from(variant == 5));
        // The nonce at 0, the associated data at 32, the message at 192.
        let mut memory = vec![0; 192];
        memory[..7].copy_from_slice(&test.iv);
        memory[32..32 + test.aad.len()].copy_from_slice(&test.aad);
        memory.extend(&test.msg);
        let seed = [
            &[u8::from(group.cipher == Cipher::Twine80)][..],
            &fixed::<16>(&test.key),
            &[nulls],
            places.as_flattened(),
            &[u8::try_from(test.aad.len()).expect("at most 128")],
            &len.to_le_bytes(),
            &[u8::from(variant == 6), 192, 0, change],
            // The family, a limit, and what is reserved.
            &[variant, 0, 1, 0, 0, 200, 0, variant, 8],
            &memory,
        ]
        .concat();
        let input: capi::Input<'_> = parse(&seed);
        assert!(input.len == len && input.bytes == memory && input.change == (192, change));
        assert!(input.limit == 256 && input.reserved == (200, variant, 8));
        input.check();
        seeds.push(seed);
    }
    seeds
}

fn of_seal() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let (_, test) = messages().next().expect("there are vectors");
    for len in [0, 1, 1023, 1024, 1025, 2048, 4096, 5000, 9000u16] {
        for kind in 0..9 {
            let changes = [[kind, 30, 0, 0, 0, 1], [0; 6], [0; 6]];
            let seed = [
                &fixed::<16>(&test.key)[..],
                &fixed::<16>(&test.iv),
                &[kind],
                &len.to_le_bytes(),
                &[200],
                changes.as_flattened(),
                b"0123456789abcdefABCDEF0123456789",
            ]
            .concat();
            let input: seal::Input<'_> = parse(&seed);
            assert_eq!((input.len, input.changes[0].kind, input.changes[0].at), (len, kind, 30));
            input.check();
            seeds.push(seed);
        }
    }
    seeds
}

fn of_vectors() -> Vec<Vec<u8>> {
    let files = [
        test_vectors::aes_otr_v3(),
        test_vectors::aes_otr_v3_invalid(),
        test_vectors::twine_otr(),
        test_vectors::twine_otr_short(),
        test_vectors::twine_otr_invalid(),
    ];
    let aead = files.into_iter().flat_map(|file| {
        file.test_groups.iter().map(move |group| {
            let test = group.tests[group.tests.len() / 2].clone();
            let group = AeadGroup { tests: vec![test], ..group.clone() };
            let file = AeadFile { number_of_tests: 1, test_groups: vec![group], ..file.clone() };
            file.to_json()
        })
    });
    let mut twine: BlockFile = test_vectors::twine().clone();
    twine.test_groups.iter_mut().for_each(|group| group.tests.truncate(1));
    twine.round_keys_groups.truncate(1);
    twine.round_keys_groups[0].tests.truncate(1);
    twine.number_of_tests = twine.tests().count() + 1;
    BlockFile::from_json(&twine.to_json()).expect("a small file of blocks");
    let texts: Vec<String> = aead.chain([twine.to_json()]).collect();
    let unchanged = texts.iter().map(|text| (text, [0; 4]));
    // Each change to each string of one file of either schema.
    let shortest = texts.iter().min_by_key(|text| text.len()).expect("there are files");
    let changed = [shortest, &texts[texts.len() - 1]].into_iter().flat_map(|text| {
        let strings = u8::try_from(text.matches('"').count() / 2).expect("few strings");
        (0..strings).flat_map(move |at| (1..5).map(move |kind| (text, [kind, at, 0, 8])))
    });
    unchanged
        .chain(changed)
        .map(|(text, change)| {
            let seed = [&change[..], &[0; 4], text.as_bytes()].concat();
            let input: vectors::Input<'_> = parse(&seed);
            assert_eq!((input.changes[0].kind, input.text), (change[0], text.as_str()));
            input.check();
            seed
        })
        .collect()
}

fn of_frame() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for len in [0, 1, 2, 7, 8, 16, 17, 40, 242u8] {
        for kind in 0..3 {
            for (at, value) in [(0, 0), (0, 0x20), (0, 0x0C), (0, 3), (1, 1), (4, 1), (5, 1), (12, 0x80)] {
                let patches = [[at, value], [0; 2], [0; 2]];
                let payload = vec![kind; len.into()];
                let seed = [&[kind, kind, 0][..], patches.as_flattened(), &payload].concat();
                let input: frame::Input<'_> = parse(&seed);
                assert_eq!((input.bytes, input.patches[0]), (&*payload, (at, value)));
                input.check();
                seeds.push(seed);
            }
        }
    }
    seeds
}
