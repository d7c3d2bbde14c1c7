//! Tamper detection on a device: before a control instruction runs, the code that it starts is measured.
//!
//! The secure world holds a [`Detector`] with the device's attest key, and a table of [`AllowedValues`] that a host tool made from the
//! image. An authentic and new instruction brings a [`Challenge`]. The detector measures the region of the function that the
//! instruction addresses, says whether the function may run, and makes [`Evidence`] for a verifier.
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
//! Evidence of all regions at once is the sum (XOR) of the tags of all regions. No two of these tags are of the same associated data, so only
//! the key's owner can make a sum.
//!
//! A tag is a MAC under a key that no code in the measured world has. So collisions do not help an attacker. The processing must be
//! *combined*, because allowed values of successive images share their nonces. With parallel processing, two tags under one nonce reveal a
//! difference that allows forgeries.
//!
//! # What it does not do
//!
//! - **The time of check is not the time of use.** Code that is altered after it was examined, or restored before, is not found.
//!   The secure world must examine immediately before the call, with interrupts of the other world disabled.
//! - It says nothing of data, of code that the function calls, or of regions that no instruction addresses.
//! - The verifier has the same key and can forge evidence. So evidence proves nothing to third parties.
//! - The tag has 64 bits. So altered code passes with probability 2^-64.
#![no_std]
#![forbid(unsafe_code)]

mod allowed;
mod measure;

pub use allowed::{AllowedValues, InvalidTable, Region};
pub use smart_city_frame::{AttestKey, Challenge, Evidence, Verdict};

use smart_city_frame::ALL_REGIONS;
use subtle::ConstantTimeEq;

use crate::measure::formatted;

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
        let (verdict, tag) = self.decide(formatted(challenge.nonce()), id, code);
        evidence(&challenge, id, verdict, tag)
    }

    /// Examines all regions, whose code is what `code` says, and makes one piece of evidence: of all, or of the first that is not as it
    /// was built.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "no second evidence under one challenge")]
    pub fn examine_all<'c>(&self, challenge: Challenge, code: impl Fn(Region) -> &'c [u8]) -> Evidence {
        let nonce = formatted(challenge.nonce());
        let (mut id, mut verdict, mut sum) = (ALL_REGIONS, Verdict::Intact, 0);
        for region in self.allowed.iter() {
            let tag;
            (verdict, tag) = self.decide(nonce, region.id, code(region));
            if verdict != Verdict::Intact {
                (id, sum) = (region.id, tag);
                break;
            }
            sum ^= tag;
        }
        evidence(&challenge, id, verdict, sum)
    }

    /// The verdict on a region without an instruction, as at boot.
    #[must_use]
    pub fn check(&self, id: u16, code: &[u8]) -> Verdict {
        self.decide(allowed_nonce(id), id, code).0
    }

    fn decide(&self, nonce: u64, id: u16, code: &[u8]) -> (Verdict, u64) {
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
        (verdict, tag)
    }
}

fn evidence(challenge: &Challenge, region: u16, verdict: Verdict, tag: u64) -> Evidence {
    let (epoch, counter) = (challenge.epoch(), challenge.counter());
    Evidence { epoch, counter, region, verdict, tag: tag.to_be_bytes() }
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
        let [_, tag] = tags(self.0, formatted(challenge.nonce()), region, code);
        answers(evidence, challenge, region, tag)
    }

    /// Whether `evidence` answers the instruction of `challenge`, which addressed all regions, and shows that each has the code that
    /// `regions` says: all regions of the table with their numbers, in any order.
    #[must_use]
    pub fn verify_all<'c>(
        &self,
        evidence: &Evidence,
        challenge: &Challenge,
        regions: impl IntoIterator<Item = (u16, &'c [u8])>,
    ) -> bool {
        let tags =
            regions.into_iter().map(|(id, code)| tags(self.0, formatted(challenge.nonce()), id, code)[1]);
        let tag = tags.fold(0, |sum, tag| sum ^ tag);
        answers(evidence, challenge, ALL_REGIONS, tag)
    }
}

/// Whether `evidence` is of `region` under `challenge`, and has this tag.
fn answers(evidence: &Evidence, challenge: &Challenge, region: u16, tag: u64) -> bool {
    (evidence.epoch, evidence.counter, evidence.region) == (challenge.epoch(), challenge.counter(), region)
        && tag.ct_eq(&u64::from_be_bytes(evidence.tag)).into()
}

/// The allowed value of `code`, and its tag under `nonce`.
fn tags(key: &AttestKey, nonce: u64, region: u16, code: &[u8]) -> [u64; 2] {
    measure::tags(key, region, code, [allowed_nonce(region), nonce])
}

/// Begins with 0, so that it is never an instruction's.
fn allowed_nonce(region: u16) -> u64 {
    const BEGIN: u64 = formatted([0; 7]);
    BEGIN | u64::from(region)
}
