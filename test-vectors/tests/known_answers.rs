//! The reference gives every known answer.

use test_vectors::{AeadFile, Validity, reference};

/// Seals and opens the valid tests, refuses to open the invalid ones, and returns how many there are of each.
fn check(file: &AeadFile) -> (usize, usize) {
    let (mut valid, mut invalid) = (0, 0);
    for (group, test) in file.tests() {
        let case = format!("{} tcId {}", file.algorithm, test.tc_id);
        let (cipher, ad_processing) = (group.cipher, group.ad_processing);
        let tag_size = usize::try_from(group.tag_size / 8).unwrap();
        let opened = reference::open(
            cipher,
            ad_processing,
            &test.key,
            &test.iv,
            &test.aad,
            &test.ct,
            &test.tag,
            tag_size,
        );
        match test.result {
            Validity::Valid => {
                let sealed = reference::seal(
                    cipher,
                    ad_processing,
                    &test.key,
                    &test.iv,
                    &test.aad,
                    &test.msg,
                    tag_size,
                );
                assert_eq!(sealed, (test.ct.clone(), test.tag.clone()), "{case}");
                assert_eq!(opened.as_ref(), Some(&test.msg), "{case}");
                valid += 1;
            }
            Validity::Invalid => {
                assert_eq!(opened, None, "{case}");
                invalid += 1;
            }
        }
    }
    (valid, invalid)
}

#[test]
fn aes_otr_v3() {
    assert_eq!(check(test_vectors::aes_otr_v3()), (1080, 0));
}

#[test]
fn twine_otr() {
    assert_eq!(check(test_vectors::twine_otr()), (216, 0));
    assert_eq!(check(test_vectors::twine_otr_short()), (360, 0));
    assert_eq!(check(test_vectors::twine_otr_long()), (38, 0));
}

#[test]
fn invalid() {
    assert_eq!(check(test_vectors::aes_otr_v3_invalid()), (0, 354));
    assert_eq!(check(test_vectors::twine_otr_invalid()), (0, 792));
}

#[test]
fn twine_blocks() {
    let mut tests = 0;
    for (group, test) in test_vectors::twine().tests() {
        let ct = reference::encrypt_block(group.cipher, &test.key, &test.pt);
        assert_eq!(ct, test.ct, "tcId {}", test.tc_id);
        let pt = reference::twine::decrypt(&test.key, test.ct.as_slice().try_into().unwrap());
        assert_eq!(pt.as_slice(), test.pt, "tcId {}", test.tc_id);
        tests += 1;
    }
    assert_eq!(tests, 402);
}

#[test]
fn twine_round_keys() {
    let mut tests = 0;
    for (_, test) in test_vectors::twine().round_keys() {
        let nibbles = reference::twine::round_keys(&test.key);
        for (round, (nibbles, expected)) in nibbles.iter().zip(&test.round_keys).enumerate() {
            let packed: Vec<u8> = nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            assert_eq!(packed, *expected, "tcId {}, round {round}", test.tc_id);
        }
        tests += 1;
    }
    assert_eq!(tests, 2);
}
