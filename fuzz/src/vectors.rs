//! The vector loader refuses or accepts any text without a panic; what it accepts has one canonical form, and sizes with
//! which the reference, which panics if sizes are wrong, can run every test.

use test_vectors::{AeadFile, BlockFile, reference};

/// Long enough for every committed vector; longer ones take too much time.
const MAX_LEN: usize = 1 << 16;

/// Panics if the loader does, or accepts what it should not.
pub fn check(text: &str) {
    if let Ok(file) = AeadFile::from_json(text) {
        let again = AeadFile::from_json(&file.to_json()).expect("the loader reads what it has written");
        assert_eq!(again, file);
        for (group, test) in file.tests().filter(|(_, test)| test.ct.len() + test.aad.len() <= MAX_LEN) {
            let (cipher, processing, tag_size) =
                (group.cipher, group.ad_processing, group.tag_size as usize / 8);
            let (ct, tag) =
                reference::seal(cipher, processing, &test.key, &test.iv, &test.aad, &test.msg, tag_size);
            assert_eq!((ct.len(), tag.len()), (test.msg.len(), tag_size));
            let opened = reference::open(
                cipher, processing, &test.key, &test.iv, &test.aad, &test.ct, &test.tag, tag_size,
            );
            assert!(opened.is_none_or(|msg| msg.len() == test.ct.len()));
        }
    }
    if let Ok(file) = BlockFile::from_json(text) {
        let again = BlockFile::from_json(&file.to_json()).expect("the loader reads what it has written");
        assert_eq!(again, file);
        for (group, test) in file.tests() {
            assert_eq!(reference::encrypt_block(group.cipher, &test.key, &test.pt).len(), test.ct.len());
        }
        for (_, test) in file.round_keys() {
            assert_eq!(reference::twine::round_keys(&test.key).len(), test.round_keys.len());
        }
    }
}
