#![doc = include_str!("../README.md")]

#[path = "../../twine/src/tests/erasure.rs"]
pub mod erasure;
pub mod generate;
pub mod reference;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[path = "../../twine/src/tests/stack.rs"]
pub mod stack;

mod error;
mod files;
mod schema;

pub use error::Error;
pub use files::{
    aes_otr_v3, aes_otr_v3_invalid, twine, twine_otr, twine_otr_invalid, twine_otr_long, twine_otr_short,
};
pub use generate::{c_header, firmware_source};
pub use schema::{
    AdProcessing, AeadFile, AeadGroup, AeadTest, BlockFile, BlockGroup, BlockTest, Cipher, RoundKeysGroup,
    RoundKeysTest, TRUNCATED_TAG, Validity,
};
