//! The shape of the vector files and what a well-formed one fulfils.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The `schema` of an [`AeadFile`].
pub(crate) const AEAD_SCHEMA: &str = "otr-aead-v1";

/// The `schema` of a [`BlockFile`].
const BLOCK_SCHEMA: &str = "block-cipher-v1";

/// The flag of the only tests whose tag has another length than their group's `tagSize`: it is shorter, and the test
/// is invalid.
pub const TRUNCATED_TAG: &str = "TruncatedTag";

/// A block cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cipher {
    /// TWINE with an 80-bit key.
    #[serde(rename = "TWINE-80")]
    Twine80,
    /// TWINE with a 128-bit key.
    #[serde(rename = "TWINE-128")]
    Twine128,
    /// AES with a 128-bit key.
    #[serde(rename = "AES-128")]
    Aes128,
    /// AES with a 256-bit key.
    #[serde(rename = "AES-256")]
    Aes256,
}

impl Cipher {
    /// All ciphers.
    pub const ALL: [Self; 4] = [Self::Twine80, Self::Twine128, Self::Aes128, Self::Aes256];

    /// The name in the vector files, such as `TWINE-80`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Twine80 => "TWINE-80",
            Self::Twine128 => "TWINE-128",
            Self::Aes128 => "AES-128",
            Self::Aes256 => "AES-256",
        }
    }

    /// The key size in bytes.
    #[must_use]
    pub const fn key_size(self) -> usize {
        match self {
            Self::Twine80 => 10,
            Self::Twine128 | Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    /// The block size in bytes.
    #[must_use]
    pub const fn block_size(self) -> usize {
        match self {
            Self::Twine80 | Self::Twine128 => 8,
            Self::Aes128 | Self::Aes256 => 16,
        }
    }
}

/// One of the three ways in which OTR v3 processes associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdProcessing {
    /// PMAC-like, independent of the message.
    Parallel,
    /// CMAC-like, before the message.
    Serial,
    /// OTR's own decryption, before the message.
    Combined,
}

impl AdProcessing {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Parallel, Self::Serial, Self::Combined];

    /// The name in the vector files, such as `parallel`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Serial => "serial",
            Self::Combined => "combined",
        }
    }
}

/// What an implementation must make of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// Sealing gives `ct` and `tag`, opening them gives `msg`.
    Valid,
    /// Opening must fail. `msg` is only what the test was made from.
    Invalid,
}

/// A file of AEAD vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AeadFile {
    /// The algorithm, such as `TWINE-OTR`.
    pub algorithm: String,
    /// Where the values are from.
    pub source: String,
    /// The name of the file's shape.
    pub schema: String,
    /// The number of tests in all groups.
    pub number_of_tests: usize,
    /// What each flag means.
    pub notes: BTreeMap<String, String>,
    /// The tests, grouped by algorithm and sizes.
    pub test_groups: Vec<AeadGroup>,
}

/// Tests that share an algorithm and its sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AeadGroup {
    /// The block cipher.
    pub cipher: Cipher,
    /// The processing of associated data.
    pub ad_processing: AdProcessing,
    /// The file from which the group was transcribed, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The nonce's size in bits.
    pub iv_size: u32,
    /// The key's size in bits.
    pub key_size: u32,
    /// The tag's size in bits.
    pub tag_size: u32,
    /// The tests.
    pub tests: Vec<AeadTest>,
}

/// One AEAD vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AeadTest {
    /// The test's number, unique in its file.
    pub tc_id: u32,
    /// What is tested, for humans.
    pub comment: String,
    /// Names of entries in [`AeadFile::notes`].
    pub flags: Vec<String>,
    /// The key.
    #[serde(with = "hex")]
    pub key: Vec<u8>,
    /// The nonce.
    #[serde(with = "hex")]
    pub iv: Vec<u8>,
    /// The associated data.
    #[serde(with = "hex")]
    pub aad: Vec<u8>,
    /// The plaintext.
    #[serde(with = "hex")]
    pub msg: Vec<u8>,
    /// The ciphertext without the tag.
    #[serde(with = "hex")]
    pub ct: Vec<u8>,
    /// The tag.
    #[serde(with = "hex")]
    pub tag: Vec<u8>,
    /// Whether opening succeeds.
    pub result: Validity,
}

/// A file of block cipher vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockFile {
    /// The algorithm, such as `TWINE`.
    pub algorithm: String,
    /// Where the values are from.
    pub source: String,
    /// The name of the file's shape.
    pub schema: String,
    /// The number of tests in all groups of both kinds.
    pub number_of_tests: usize,
    /// What each flag means.
    pub notes: BTreeMap<String, String>,
    /// Plaintext and ciphertext blocks.
    pub test_groups: Vec<BlockGroup>,
    /// Key schedules.
    pub round_keys_groups: Vec<RoundKeysGroup>,
}

/// Blocks encrypted with one cipher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockGroup {
    /// The cipher.
    pub cipher: Cipher,
    /// The publication that has these values, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The key's size in bits.
    pub key_size: u32,
    /// The block's size in bits.
    pub block_size: u32,
    /// The tests.
    pub tests: Vec<BlockTest>,
}

/// One block and its encryption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockTest {
    /// The test's number, unique in its file.
    pub tc_id: u32,
    /// What is tested, for humans.
    pub comment: String,
    /// Names of entries in [`BlockFile::notes`].
    pub flags: Vec<String>,
    /// The key.
    #[serde(with = "hex")]
    pub key: Vec<u8>,
    /// The plaintext block.
    #[serde(with = "hex")]
    pub pt: Vec<u8>,
    /// The ciphertext block.
    #[serde(with = "hex")]
    pub ct: Vec<u8>,
}

/// Key schedules of one cipher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoundKeysGroup {
    /// The cipher.
    pub cipher: Cipher,
    /// The key's size in bits.
    pub key_size: u32,
    /// The tests.
    pub tests: Vec<RoundKeysTest>,
}

/// One key schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoundKeysTest {
    /// The test's number, unique in its file.
    pub tc_id: u32,
    /// What is tested, for humans.
    pub comment: String,
    /// Names of entries in [`BlockFile::notes`].
    pub flags: Vec<String>,
    /// The key.
    #[serde(with = "hex")]
    pub key: Vec<u8>,
    /// The 36 round keys, each of eight nibbles; nibble 0 is the high half of byte 0.
    #[serde(with = "hex_list")]
    pub round_keys: Vec<Vec<u8>>,
}

impl AeadFile {
    /// Reads a file and checks that its tests have the sizes that their groups state, that their numbers are unique
    /// and that their flags are explained. It does not check the cryptographic values.
    ///
    /// # Errors
    /// If the text is not such a file.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let file: Self = serde_json::from_str(text)?;
        file.validate()?;
        Ok(file)
    }

    /// The canonical text of the file.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// All tests, each with its group.
    pub fn tests(&self) -> impl Iterator<Item = (&AeadGroup, &AeadTest)> {
        self.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let mut common = Common::new(&self.schema, AEAD_SCHEMA, &self.notes)?;
        for (index, group) in self.test_groups.iter().enumerate() {
            let block = group.cipher.block_size();
            let key = size(index, "keySize", group.key_size, |key| key == group.cipher.key_size())?;
            let iv = size(index, "ivSize", group.iv_size, |iv| (1..block).contains(&iv))?;
            let tag = size(index, "tagSize", group.tag_size, |tag| (1..=block).contains(&tag))?;
            for test in &group.tests {
                common.test(test.tc_id, &test.flags)?;
                let require = |field, value: &[u8], holds: bool| {
                    let found = value.len();
                    if holds { Ok(()) } else { Err(Error::TestSize { tc_id: test.tc_id, field, found }) }
                };
                let valid = test.result == Validity::Valid;
                let truncated = test.flags.iter().any(|flag| flag == TRUNCATED_TAG);
                require("key", &test.key, test.key.len() == key)?;
                require("iv", &test.iv, test.iv.len() == iv)?;
                require("ct", &test.ct, !valid || test.ct.len() == test.msg.len())?;
                let tag_fits = if truncated { !valid && test.tag.len() < tag } else { test.tag.len() == tag };
                require("tag", &test.tag, tag_fits)?;
            }
        }
        common.finish(self.number_of_tests)
    }
}

impl BlockFile {
    /// Reads a file and checks that its tests have the sizes that their groups state, that their numbers are unique
    /// and that their flags are explained. It does not check the cryptographic values.
    ///
    /// # Errors
    /// If the text is not such a file.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let file: Self = serde_json::from_str(text)?;
        file.validate()?;
        Ok(file)
    }

    /// The canonical text of the file.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self)
    }

    /// All pairs of blocks, each with its group.
    pub fn tests(&self) -> impl Iterator<Item = (&BlockGroup, &BlockTest)> {
        self.test_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
    }

    /// All key schedules, each with its group.
    pub fn round_keys(&self) -> impl Iterator<Item = (&RoundKeysGroup, &RoundKeysTest)> {
        self.round_keys_groups.iter().flat_map(|group| group.tests.iter().map(move |test| (group, test)))
    }

    fn validate(&self) -> Result<(), Error> {
        let mut common = Common::new(&self.schema, BLOCK_SCHEMA, &self.notes)?;
        let require = |tc_id, field, found, holds| {
            if holds { Ok(()) } else { Err(Error::TestSize { tc_id, field, found }) }
        };
        for (index, group) in self.test_groups.iter().enumerate() {
            let key = size(index, "keySize", group.key_size, |key| key == group.cipher.key_size())?;
            let block =
                size(index, "blockSize", group.block_size, |block| block == group.cipher.block_size())?;
            for test in &group.tests {
                common.test(test.tc_id, &test.flags)?;
                for (field, value, expected) in
                    [("key", &test.key, key), ("pt", &test.pt, block), ("ct", &test.ct, block)]
                {
                    require(test.tc_id, field, value.len(), value.len() == expected)?;
                }
            }
        }
        for (index, group) in self.round_keys_groups.iter().enumerate() {
            let key = size(index, "keySize", group.key_size, |key| {
                key == group.cipher.key_size() && matches!(group.cipher, Cipher::Twine80 | Cipher::Twine128)
            })?;
            for test in &group.tests {
                common.test(test.tc_id, &test.flags)?;
                require(test.tc_id, "key", test.key.len(), test.key.len() == key)?;
                let bytes = test.round_keys.iter().map(Vec::len).sum();
                let holds = test.round_keys.len() == 36 && test.round_keys.iter().all(|key| key.len() == 4);
                require(test.tc_id, "roundKeys", bytes, holds)?;
            }
        }
        common.finish(self.number_of_tests)
    }
}

/// What the two kinds of file have in common.
struct Common<'a> {
    notes: &'a BTreeMap<String, String>,
    ids: BTreeSet<u32>,
}

impl<'a> Common<'a> {
    fn new(found: &str, expected: &str, notes: &'a BTreeMap<String, String>) -> Result<Self, Error> {
        if found != expected {
            return Err(Error::Schema { found: found.to_owned() });
        }
        Ok(Self { notes, ids: BTreeSet::new() })
    }

    fn test(&mut self, tc_id: u32, flags: &[String]) -> Result<(), Error> {
        if !self.ids.insert(tc_id) {
            return Err(Error::DuplicateId { tc_id });
        }
        match flags.iter().find(|flag| !self.notes.contains_key(*flag)) {
            Some(flag) => Err(Error::UnknownFlag { tc_id, flag: flag.clone() }),
            None => Ok(()),
        }
    }

    fn finish(self, stated: usize) -> Result<(), Error> {
        let found = self.ids.len();
        if stated == found { Ok(()) } else { Err(Error::Count { stated, found }) }
    }
}

/// `bits` in bytes.
fn size(group: usize, field: &'static str, bits: u32, holds: impl Fn(usize) -> bool) -> Result<usize, Error> {
    usize::try_from(bits / 8).ok().filter(|&bytes| bits % 8 == 0 && holds(bytes)).ok_or(Error::GroupSize {
        group,
        field,
        bits,
    })
}

fn to_json<T: Serialize>(file: &T) -> String {
    // The shapes above have string keys only, which is all that serialisation asks of them.
    let mut text = serde_json::to_string_pretty(file).expect("vector files are serialisable");
    text.push('\n');
    text
}

/// Bytes as lower-case hexadecimal, and nothing else: a canonical file has one spelling.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn decode<E: Error>(text: &str) -> Result<Vec<u8>, E> {
        base16ct::lower::decode_vec(text)
            .map_err(|_| E::custom("expected an even number of lower-case hexadecimal digits"))
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base16ct::lower::encode_string(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        decode(&String::deserialize(deserializer)?)
    }
}

/// A list of [`hex`].
mod hex_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = list.iter().map(|bytes| base16ct::lower::encode_string(bytes)).collect();
        texts.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|text| super::hex::decode(text)).collect()
    }
}
