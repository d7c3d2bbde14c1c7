//! The specification passes the published vectors.

use prove::{
    bits,
    graph::Graph,
    spec::{
        Block, Byte, constant_bytes,
        otr::{self, AdProcessing, Direction},
        twine,
    },
};
use std::collections::HashMap;

fn block(bytes: &[u8]) -> Block {
    constant_bytes(bytes).try_into().expect("8 bytes")
}

fn bytes(bytes: &[Byte]) -> Vec<u8> {
    bits::bytes(&bytes.concat()).expect("known bytes")
}

#[test]
fn twine_is_that_of_the_vectors() {
    let mut g = Graph::new();
    let mut count = 0;
    for group in &test_vectors::twine().test_groups {
        for test in &group.tests {
            let keys = twine::round_keys(&mut g, &constant_bytes(&test.key));
            assert_eq!(bytes(&twine::encrypt(&mut g, &keys, &block(&test.pt))), test.ct);
            assert_eq!(bytes(&twine::decrypt(&mut g, &keys, &block(&test.ct))), test.pt);
            count += 1;
        }
    }
    for group in &test_vectors::twine().round_keys_groups {
        for test in &group.tests {
            let keys = twine::round_keys(&mut g, &constant_bytes(&test.key));
            let packed = keys.map(|key| {
                let nibbles = key.map(|nibble| bits::value(&nibble).expect("known") as u8);
                nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>()
            });
            assert_eq!(packed[..], test.round_keys);
            count += 1;
        }
    }
    assert_eq!(count, 404);
}

#[test]
fn otr_is_that_of_the_vectors() {
    let mut g = Graph::new();
    let mut count = 0;
    for (group, test) in test_vectors::twine_otr().tests() {
        let processing = match group.ad_processing {
            test_vectors::AdProcessing::Parallel => AdProcessing::Parallel,
            test_vectors::AdProcessing::Serial => AdProcessing::Serial,
            test_vectors::AdProcessing::Combined => AdProcessing::Combined,
        };
        let keys = twine::round_keys(&mut g, &constant_bytes(&test.key));
        let cipher = &mut |g: &mut Graph, block: &Block| twine::encrypt(g, &keys, block);
        let [nonce, ad, msg, ct] =
            [&test.iv, &test.aad, &test.msg, &test.ct].map(|bytes| constant_bytes(bytes));
        let (sealed, tag) =
            otr::crypt(&otr::PAPER, &mut g, cipher, processing, Direction::Seal, &nonce, &ad, &msg);
        assert_eq!((bytes(&sealed), bytes(&tag)), (test.ct.clone(), test.tag.clone()), "{}", test.tc_id);
        let (opened, tag) =
            otr::crypt(&otr::PAPER, &mut g, cipher, processing, Direction::Open, &nonce, &ad, &ct);
        assert_eq!((bytes(&opened), bytes(&tag)), (test.msg.clone(), test.tag.clone()), "{}", test.tc_id);
        count += 1;
    }
    assert_eq!(count, 216);
}

/// For all keys, nonces, data and texts of these lengths, whatever the cipher is.
#[test]
fn what_is_sealed_opens() {
    let all = [AdProcessing::Parallel, AdProcessing::Serial, AdProcessing::Combined];
    for (length, processing) in (0..=130).flat_map(|length| all.map(|processing| (length, processing))) {
        let mut g = Graph::new();
        let mut calls: HashMap<Block, Block> = HashMap::new();
        let cipher = &mut |g: &mut Graph, block: &Block| {
            *calls
                .entry(*block)
                .or_insert_with(|| std::array::from_fn(|_| std::array::from_fn(|_| g.input())))
        };
        let mut inputs = |count: usize| prove::spec::to_bytes(&g.inputs(8 * count));
        let (nonce, ad, msg) = (inputs(7), inputs(9), inputs(length));
        let (sealed, tag) =
            otr::crypt(&otr::PAPER, &mut g, cipher, processing, Direction::Seal, &nonce, &ad, &msg);
        let (opened, again) =
            otr::crypt(&otr::PAPER, &mut g, cipher, processing, Direction::Open, &nonce, &ad, &sealed);
        assert!(opened == msg && again == tag, "{length}");
    }
}
