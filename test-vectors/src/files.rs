//! The committed files, parsed once.

use std::sync::LazyLock;

use crate::{AeadFile, BlockFile};

/// Reads a file of `data/`.
///
/// The `expect` cannot fail in a build whose tests passed: they read every file.
macro_rules! files {
    ($($(#[doc = $doc:literal])+ $function:ident: $type:ident = $name:literal;)+) => {$(
        $(#[doc = $doc])+
        ///
        /// # Panics
        /// If the embedded file is malformed, which this crate's tests exclude.
        #[must_use]
        pub fn $function() -> &'static $type {
            static FILE: LazyLock<$type> = LazyLock::new(|| {
                $type::from_json(include_str!(concat!("../data/", $name)))
                    .unwrap_or_else(|error| panic!("{}: {error}", $name))
            });
            &FILE
        }
    )+};
}

files! {
    /// `twine.json`: blocks and key schedules of TWINE-80 and TWINE-128.
    twine: BlockFile = "twine.json";
    /// `aes-otr-v3.json`: the 1,080 vectors that OTR's designers published for AES-OTR v3.
    aes_otr_v3: AeadFile = "aes-otr-v3.json";
    /// `aes-otr-v3-invalid.json`: what AES-OTR v3 must refuse.
    aes_otr_v3_invalid: AeadFile = "aes-otr-v3-invalid.json";
    /// `twine-otr.json`: TWINE-OTR with nonces of 56 and tags of 64 bits.
    twine_otr: AeadFile = "twine-otr.json";
    /// `twine-otr-short.json`: TWINE-OTR with shorter nonces and tags.
    twine_otr_short: AeadFile = "twine-otr-short.json";
    /// `twine-otr-long.json`: TWINE-OTR around multiples of 64 blocks, and 20 KiB.
    twine_otr_long: AeadFile = "twine-otr-long.json";
    /// `twine-otr-invalid.json`: what TWINE-OTR must refuse.
    twine_otr_invalid: AeadFile = "twine-otr-invalid.json";
}
