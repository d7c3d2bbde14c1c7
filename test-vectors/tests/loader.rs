//! The loader accepts the committed files as they are and tells what is wrong with others.

use test_vectors::generate::{self, Request, Stream};
use test_vectors::{AdProcessing, AeadFile, BlockFile, Cipher, Error, TRUNCATED_TAG, Validity};

fn small() -> AeadFile {
    let request = Request { count: 2, ..Request::new(Cipher::Twine80, AdProcessing::Serial) };
    generate::more(&request).unwrap()
}

/// What the loader says of the small file after a change.
fn error(change: impl FnOnce(&mut AeadFile)) -> Error {
    let mut file = small();
    change(&mut file);
    AeadFile::from_json(&file.to_json()).unwrap_err()
}

fn block_error(change: impl FnOnce(&mut BlockFile)) -> Error {
    let mut file = test_vectors::twine().clone();
    change(&mut file);
    BlockFile::from_json(&file.to_json()).unwrap_err()
}

#[test]
fn round_trip() {
    let file = small();
    assert_eq!(AeadFile::from_json(&file.to_json()).unwrap(), file);
    let file = test_vectors::twine();
    assert_eq!(BlockFile::from_json(&file.to_json()).unwrap(), *file);
}

#[test]
fn committed_files() {
    let counts = [
        test_vectors::aes_otr_v3(),
        test_vectors::aes_otr_v3_invalid(),
        test_vectors::twine_otr(),
        test_vectors::twine_otr_short(),
        test_vectors::twine_otr_long(),
        test_vectors::twine_otr_invalid(),
    ]
    .map(|file| (file.number_of_tests, file.tests().count()));
    assert_eq!(counts, [1080, 354, 216, 360, 38, 792].map(|count| (count, count)));
    let twine = test_vectors::twine();
    assert_eq!((twine.number_of_tests, twine.tests().count(), twine.round_keys().count()), (404, 402, 2));
}

#[test]
fn not_json() {
    for text in ["", "[]", "{}", "{\"algorithm\": 1}", &"[".repeat(100_000)] {
        assert!(matches!(AeadFile::from_json(text), Err(Error::Json(_))));
        assert!(matches!(BlockFile::from_json(text), Err(Error::Json(_))));
    }
}

#[test]
fn unknown_fields_and_values() {
    let text = small().to_json();
    for (from, to) in [
        ("\"notes\"", "\"extra\": 1, \"notes\""),
        ("\"ivSize\"", "\"extra\": 1, \"ivSize\""),
        ("\"aad\"", "\"extra\": 1, \"aad\""),
        ("TWINE-80", "TWINE-81"),
        ("\"serial\"", "\"Serial\""),
        ("\"valid\"", "\"acceptable\""),
        ("\"tcId\": 1", "\"tcId\": -1"),
        ("\"tcId\": 1", "\"tcId\": 4294967296"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(matches!(AeadFile::from_json(&changed), Err(Error::Json(_))), "{from} -> {to}");
    }
}

#[test]
fn hexadecimal_has_one_spelling() {
    let text = small().to_json();
    let start = text.find("\"key\": \"").unwrap() + "\"key\": \"".len();
    for (name, digits) in [("upper case", "AB"), ("odd", "abc"), ("not a digit", "0g"), ("prefix", "0x")] {
        let mut changed = text.clone();
        changed.replace_range(start..start + 2, digits);
        assert!(matches!(AeadFile::from_json(&changed), Err(Error::Json(_))), "{name}");
    }
}

#[test]
fn schema() {
    let error = error(|file| file.schema.push('x'));
    assert!(matches!(&error, Error::Schema { found } if found == "otr-aead-v1x"), "{error}");
    let error = block_error(|file| file.schema.push('x'));
    assert!(matches!(&error, Error::Schema { found } if found == "block-cipher-v1x"), "{error}");
}

#[test]
fn count() {
    let error = error(|file| file.number_of_tests = 3);
    assert!(matches!(error, Error::Count { stated: 3, found: 2 }), "{error}");
    let error = block_error(|file| file.number_of_tests = 402);
    assert!(matches!(error, Error::Count { stated: 402, found: 404 }), "{error}");
}

#[test]
fn duplicate_id() {
    let error = error(|file| file.test_groups[0].tests[1].tc_id = 1);
    assert!(matches!(error, Error::DuplicateId { tc_id: 1 }), "{error}");
    let error = block_error(|file| file.round_keys_groups[0].tests[0].tc_id = 1);
    assert!(matches!(error, Error::DuplicateId { tc_id: 1 }), "{error}");
}

#[test]
fn flag() {
    let error = error(|file| file.test_groups[0].tests[1].flags.push("Odd".into()));
    assert!(matches!(&error, Error::UnknownFlag { tc_id: 2, flag } if flag == "Odd"), "{error}");
}

#[test]
fn group_sizes() {
    type Change = fn(&mut AeadFile, u32);
    let changes: [(&str, Change, &[u32]); 3] = [
        ("keySize", |file, bits| file.test_groups[0].key_size = bits, &[0, 79, 81, 128, u32::MAX]),
        ("ivSize", |file, bits| file.test_groups[0].iv_size = bits, &[0, 57, 64, u32::MAX]),
        ("tagSize", |file, bits| file.test_groups[0].tag_size = bits, &[0, 65, 72, u32::MAX]),
    ];
    for (name, change, sizes) in changes {
        for &size in sizes {
            let error = error(|file| change(file, size));
            assert!(
                matches!(error, Error::GroupSize { group: 0, field, bits } if field == name && bits == size),
                "{error}"
            );
        }
    }
    let error = block_error(|file| file.test_groups[1].block_size = 128);
    assert!(matches!(error, Error::GroupSize { group: 1, field: "blockSize", bits: 128 }), "{error}");
    let error = block_error(|file| file.round_keys_groups[1].cipher = Cipher::Aes128);
    assert!(matches!(error, Error::GroupSize { group: 1, field: "keySize", bits: 128 }), "{error}");
}

#[test]
fn test_sizes() {
    fn field(error: &Error) -> &'static str {
        match error {
            Error::TestSize { field, .. } => field,
            other => panic!("{other}"),
        }
    }
    assert_eq!(field(&error(|file| file.test_groups[0].tests[0].key.push(0))), "key");
    assert_eq!(field(&error(|file| file.test_groups[0].tests[0].iv.push(0))), "iv");
    assert_eq!(field(&error(|file| file.test_groups[0].tests[0].ct.push(0))), "ct");
    assert_eq!(field(&error(|file| file.test_groups[0].tests[0].tag.push(0))), "tag");
    assert_eq!(field(&error(|file| file.test_groups[0].tests[0].tag.truncate(7))), "tag");
    assert_eq!(field(&block_error(|file| file.test_groups[0].tests[0].key.push(0))), "key");
    assert_eq!(field(&block_error(|file| file.test_groups[0].tests[0].pt.push(0))), "pt");
    assert_eq!(field(&block_error(|file| file.test_groups[0].tests[0].ct.push(0))), "ct");
    let missing_round = |file: &mut BlockFile| drop(file.round_keys_groups[0].tests[0].round_keys.pop());
    assert_eq!(field(&block_error(missing_round)), "roundKeys");
    let long_round = |file: &mut BlockFile| file.round_keys_groups[0].tests[0].round_keys[35].push(0);
    assert_eq!(field(&block_error(long_round)), "roundKeys");
}

#[test]
fn only_an_invalid_test_has_a_truncated_tag() {
    let truncated = |result, size| {
        let mut file = small();
        file.notes.insert(TRUNCATED_TAG.into(), String::new());
        let test = &mut file.test_groups[0].tests[0];
        test.flags.push(TRUNCATED_TAG.into());
        test.result = result;
        test.tag.resize(size, 0);
        AeadFile::from_json(&file.to_json())
    };
    assert!(truncated(Validity::Invalid, 7).is_ok());
    assert!(truncated(Validity::Invalid, 0).is_ok());
    assert!(matches!(truncated(Validity::Invalid, 8), Err(Error::TestSize { field: "tag", .. })));
    assert!(matches!(truncated(Validity::Invalid, 9), Err(Error::TestSize { field: "tag", .. })));
    assert!(matches!(truncated(Validity::Valid, 7), Err(Error::TestSize { field: "tag", .. })));
}

#[test]
fn any_text_is_read_or_refused() {
    let text = small().to_json();
    for end in 0..text.trim_end().len() {
        assert!(AeadFile::from_json(&text[..end]).is_err());
    }
    let mut stream = Stream::new("loader", 0);
    for _ in 0..5_000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..=stream.below(3) {
            let place = stream.below(bytes.len());
            bytes[place] = b"0123456789abcdef-{}[]\",: \\"[stream.below(26)];
        }
        let text = String::from_utf8(bytes).unwrap();
        // Whatever is read is well-formed: it is read again from its canonical text.
        if let Ok(file) = AeadFile::from_json(&text) {
            assert_eq!(AeadFile::from_json(&file.to_json()).unwrap(), file);
        }
        drop(BlockFile::from_json(&text));
    }
}
