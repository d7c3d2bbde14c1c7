//! Whole frames as known answers, made by a byte-wise model that shares nothing with the implementation: CMAC, the derivation of keys
//! and the frame are written out here, and TWINE and OTR come from the reference of `test-vectors`.
//!
//! `cargo run -p smart-city-frame-vectors -- json` makes `data/frames.json` again, `-- check` fails if it is not what it should be.

mod generate;
pub mod model;

pub use generate::file;

use serde::{Deserialize, Serialize};

/// The committed vectors.
///
/// # Panics
/// If the embedded file is malformed.
#[must_use]
pub fn frames() -> File {
    serde_json::from_str(include_str!("../data/frames.json")).expect("the committed file has this shape")
}

/// A file of vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// What is tested.
    pub algorithm: String,
    /// Where the values are from.
    pub source: String,
    /// The number of tests.
    pub number_of_tests: usize,
    /// The tests.
    pub tests: Vec<Test>,
}

impl File {
    /// The canonical text.
    ///
    /// # Panics
    /// Never: strings and numbers can be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers can be written") + "\n"
    }
}

/// A frame, and what a receiver makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// The test's number.
    pub tc_id: u32,
    /// For humans.
    pub comment: String,
    /// The root key.
    #[serde(with = "hex")]
    pub root: Vec<u8>,
    /// The device's EUI-64.
    #[serde(with = "hex")]
    pub device: Vec<u8>,
    /// The epoch.
    pub epoch: u16,
    /// `reading`, `evidence`, `instruction`, `receipt` or `epoch request`: how the receiver opens the frame.
    pub kind: String,
    /// The stream in the receiver's registry; 0 but for readings.
    pub stream: u16,
    /// The class in the receiver's registry: 0 public, 1 internal, 2 confidential.
    pub class: u8,
    /// The frame's counter.
    pub counter: u32,
    /// The derived key of the direction.
    #[serde(with = "hex")]
    pub key: Vec<u8>,
    /// The payload of a valid frame; what an invalid one was made from.
    #[serde(with = "hex")]
    pub payload: Vec<u8>,
    /// The whole frame.
    #[serde(with = "hex")]
    pub frame: Vec<u8>,
    /// `Valid`, or how the debug output of the error begins.
    pub result: String,
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base16ct::lower::encode_string(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        base16ct::lower::decode_vec(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
