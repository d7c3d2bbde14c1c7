//! Tamper detection on a device: before a control instruction runs, the code that it starts is measured.
//!
//! The secure world holds a [`Detector`] with the device's attest key, and a table of [`AllowedValues`] that a host tool made from the
//! image. An authentic and new instruction brings a [`Challenge`]; the detector measures the region of the function that the
//! instruction addresses, says whether it may run, and makes [`Evidence`] for a verifier.
//!
//! # Measurement
//!
//! A measurement is a tag of TWINE-128-OTR with combined processing of associated data and the empty message:
//!
//! ```text
//! associated data = region (2 bytes) || length of the code (4) || code
//! allowed value   : nonce 00 0000 00 0 || region (2)
//! evidence        : nonce of the instruction, which begins with 02
//! ```
//!
//! It is a MAC under a key that no code in the measured world has, so that collisions are no help. It must be *combined*: with
//! parallel processing two tags under one nonce reveal a difference that lets others be forged, and allowed values of
//! successive images share their nonces.
//!
//! # What it does not do
//!
//! - **The time of check is not the time of use.** Code that is altered after it was examined, or restored before, is not found.
//!   The secure world must examine immediately before the call, with interrupts of the other world disabled.
//! - It says nothing of data, of code that the function calls, or of regions that no instruction addresses.
//! - The verifier has the same key: it can forge evidence, so evidence proves nothing to third parties.
//! - The tag has 64 bits: altered code passes with probability 2^-64.
#![no_std]
#![forbid(unsafe_code)]

mod allowed;
mod measure;

pub use allowed::{AllowedValues, InvalidTable, Region};
pub use smart_city_frame::{AttestKey, Challenge, Evidence, Verdict};

use subtle::ConstantTimeEq;

/// What a device decides by whether a function may run.
#[derive(Debug)]
pub struct Detector<'a> {
    key: &'a AttestKey,
    allowed: AllowedValues<'a>,
}

impl<'a> Detector<'a> {
    /// A detector with the device's key and the table that was made with it.
    #[must_use]
    pub const fn new(key: &'a AttestKey, allowed: AllowedValues<'a>) -> Self {
        Self { key, allowed }
    }

    /// Where the code of a region is.
    #[must_use]
    pub fn region(&self, id: u16) -> Option<Region> {
        self.allowed.get(id)
    }

    /// Examines the `code` of the region that an instruction addresses, and makes evidence under the instruction's nonce.
    ///
    /// **Only if the verdict is [`Verdict::Intact`] may the function run.** The evidence goes to the verifier whatever the verdict.
    /// The code is read once, so that both are of the same bytes.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "no second evidence under one challenge")]
    pub fn examine(&self, challenge: Challenge, id: u16, code: &[u8]) -> Evidence {
        let (verdict, tag) = self.decide(challenge.nonce(), id, code);
        Evidence { epoch: challenge.epoch(), counter: challenge.counter(), region: id, verdict, tag }
    }

    /// The verdict on a region without an instruction, as at boot.
    #[must_use]
    pub fn check(&self, id: u16, code: &[u8]) -> Verdict {
        self.decide(allowed_nonce(id), id, code).0
    }

    fn decide(&self, nonce: [u8; 7], id: u16, code: &[u8]) -> (Verdict, [u8; 8]) {
        let (allowed, code) = match self.region(id) {
            Some(region) if u32::try_from(code.len()) == Ok(region.len) => (Some(region.value), code),
            _ => (None, &[][..]),
        };
        let [value, tag] = tags(self.key, nonce, id, code);
        let verdict = match allowed {
            Some(allowed) if value.ct_eq(&u64::from_be_bytes(allowed)).into() => Verdict::Intact,
            Some(_) => Verdict::Altered,
            None => Verdict::Unknown,
        };
        (verdict, tag.to_be_bytes())
    }
}

/// What knows the code of a device as it should be: makes allowed values and verifies evidence.
#[derive(Debug)]
pub struct Verifier<'a>(&'a AttestKey);

impl<'a> Verifier<'a> {
    /// Takes the device's key.
    #[must_use]
    pub const fn new(key: &'a AttestKey) -> Self {
        Self(key)
    }

    /// The value of a region in the table of allowed values, if its code is `code`.
    #[must_use]
    pub fn allowed_value(&self, region: u16, code: &[u8]) -> [u8; 8] {
        tags(self.0, allowed_nonce(region), region, code)[0].to_be_bytes()
    }

    /// Whether `evidence` answers the instruction of `challenge`, which addressed `region`, and shows that its code is `code`.
    #[must_use]
    pub fn verify(&self, evidence: &Evidence, challenge: &Challenge, region: u16, code: &[u8]) -> bool {
        let [_, tag] = tags(self.0, challenge.nonce(), region, code);
        (evidence.epoch, evidence.counter, evidence.region)
            == (challenge.epoch(), challenge.counter(), region)
            && tag.ct_eq(&u64::from_be_bytes(evidence.tag)).into()
    }
}

/// The allowed value of `code`, and its tag under `nonce`.
fn tags(key: &AttestKey, nonce: [u8; 7], region: u16, code: &[u8]) -> [u64; 2] {
    measure::tags(key, region, code, [allowed_nonce(region), nonce])
}

/// Begins with 0, so that it is never an instruction's.
fn allowed_nonce(region: u16) -> [u8; 7] {
    let [high, low] = region.to_be_bytes();
    [0, 0, 0, 0, 0, high, low]
}
