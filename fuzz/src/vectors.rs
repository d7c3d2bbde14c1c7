//! The vector loader refuses or accepts any text without a panic; what it accepts has one canonical form, and sizes with
//! which the reference, which panics if sizes are wrong, can run every test.

use arbitrary::Arbitrary;
use test_vectors::{AeadFile, BlockFile, reference};

/// Long enough for every committed vector; longer ones take too much time.
const MAX_LEN: usize = 1 << 16;

/// A text, perhaps of a vector file, and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// What is changed, one after the other.
    pub changes: [Change; 2],
    /// The text.
    pub text: &'a str,
}

/// A change to one string or number of a text in JSON, which stays one: bytes changed at random rarely get that far.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Change {
    /// Modulo 5: none, or see [`Change::apply`].
    pub kind: u8,
    /// Which of the strings, or of the places between two.
    pub at: u16,
    /// Which other string, or which number.
    pub value: u8,
}

impl Change {
    fn apply(self, text: &str) -> String {
        // Every other piece is a string; no vector file has a quotation mark in one.
        let mut pieces: Vec<String> = text.split('"').map(str::to_owned).collect();
        let strings = (pieces.len() - 1) / 2;
        let string = |index: usize| Some(2 * index.checked_rem(strings)? + 1);
        match (self.kind % 5, string(self.at.into()), string(self.value.into())) {
            (1, Some(at), _) => pieces[at].push_str("00"),
            (2, Some(at), _) => drop((pieces[at].pop(), pieces[at].pop())),
            (3, Some(at), Some(other)) => pieces[at] = pieces[other].clone(),
            (4, Some(at), _) => {
                // Numbers stand after a string.
                let piece = &mut pieces[at + 1];
                if let Some(start) = piece.find(|c: char| c.is_ascii_digit()) {
                    let digits = piece[start..].bytes().take_while(u8::is_ascii_digit).count();
                    piece.replace_range(start..start + digits, &self.value.to_string());
                }
            }
            _ => {}
        }
        pieces.join("\"")
    }
}

impl Input<'_> {
    /// Panics if the loader does, or accepts what it should not.
    pub fn check(&self) {
        check(self.text);
        check(&self.changes.iter().fold(self.text.to_owned(), |text, change| change.apply(&text)));
    }
}

fn check(text: &str) {
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
