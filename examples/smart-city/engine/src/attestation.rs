//! The verifier: what evidence says about a device's code, and the attestation result that others can check.
//!
//! In the terms of RFC 9334 the device's detector is the attester, this module the verifier, and the gateway's policy a
//! relying party. Reference values are the code of each function as it was built: the verifier makes the measurement that
//! the device must have made under the instruction's nonce.
//!
//! # Formats
//!
//! **Evidence stays the 16 bytes of the frame** ([`Evidence`]) and becomes no EAT in CBOR. All that COSE and CBOR would say is
//! known here from the frame: the device, the key, the algorithm, the freshness; and the frame is authentic. What writes CBOR
//! would have to go into the detector's 4 KB beside the cipher, and 16 bytes would become about 60.
//!
//! **The result is an EAR** (draft-ietf-rats-ear-04), as a JWT signed with ES256, because others read it:
//!
//! | claim | |
//! |---|---|
//! | `eat_profile` | [`EAT_PROFILE`] |
//! | `submods` | one, named by the device's EUI-64 |
//! | `ear_status` | see [`Finding::status`] |
//! | `ear_trustworthiness_vector` | `executables`: 2 approved, 96 contraindicated; absent if there was no evidence |
//! | `eat_nonce` | EUI-64 and the instruction's nonce: 15 bytes, because the nonce alone has less than the 8 that EAT wants |
//! | `ear_attester_claims` | `verdict`: what the device itself found |
//! | `ear_verifier_claims` | `region`, `function`, `finding` |
//!
//! # Limits
//!
//! `executables` speaks of the one function that an instruction addressed, or of all after a challenge to measure all, at the time when it
//! was examined. The key of the
//! evidence is symmetric, so that this verifier could have forged the evidence; the result proves what the verifier says, not what
//! the device did.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, ThumbprintHash},
};
use p256::{
    SecretKey,
    elliptic_curve::rand_core::OsRng,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use smart_city_detector::{AttestKey, Challenge, Evidence, Verdict, Verifier};
use smart_city_frame::DeviceId;
use zeroize::Zeroizing;

/// What the claims of this gateway's results mean: this module's documentation.
pub const EAT_PROFILE: &str = "tag:smart-city.example,2026:ear#1";

/// The rules by which a [`Finding`] becomes a [`Status`].
const POLICY: &str = "tag:smart-city.example,2026:code-as-built#1";

/// The code of a region as it was built: of an ELF file the function with this symbol, of any other file all bytes.
///
/// # Errors
/// If the file is an ELF file without exactly one such function.
pub fn reference_code(file: &[u8], function: &str) -> Result<Vec<u8>> {
    if !file.starts_with(b"\x7fELF") {
        return Ok(file.to_vec());
    }
    let functions = smart_city_allowed_values::functions(file)?;
    Ok(smart_city_allowed_values::function(&functions, function)?.code.clone())
}

/// How far a device can be trusted, in the tiers of AR4SI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is known.
    #[default]
    None,
    /// Its code was as it was built.
    Affirming,
    /// It did not answer in time.
    Warning,
    /// Its code is not what was built.
    Contraindicated,
}

/// What the verifier found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// The evidence is that of the code as it was built.
    Genuine,
    /// So it is, but it came after its time.
    Late,
    /// No evidence came.
    Missing,
    /// The evidence is that of other code, or of another region than the instruction addressed.
    Altered,
}

impl Finding {
    /// The tier: late and missing evidence warns, because frames get lost; only evidence itself can contraindicate.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Genuine => Status::Affirming,
            Self::Late | Self::Missing => Status::Warning,
            Self::Altered => Status::Contraindicated,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Genuine => "the code is as it was built",
            Self::Late => "the code is as it was built, but the evidence came late",
            Self::Missing => "no evidence came",
            Self::Altered => "the code is not what was built",
        })
    }
}

/// What `evidence` says that answers the instruction of `challenge`, which addressed `region`; `code` is that region's as it was
/// built.
///
/// The caller has looked the challenge up by the evidence's epoch and counter. Under [one that the evidence itself names](Challenge::named_in)
/// nothing but [`Finding::Altered`] has a consequence, as the evidence may be of any time. **Without
/// code nothing is as it was built**: a device without the region would measure the same.
#[must_use]
pub fn appraise(
    key: &AttestKey,
    code: &[u8],
    challenge: &Challenge,
    region: u16,
    evidence: &Evidence,
    late: bool,
) -> Finding {
    finding(!code.is_empty() && Verifier::new(key).verify(evidence, challenge, region, code), late)
}

/// What `evidence` says that answers a challenge to measure all regions; `regions` are all that the device has, with their code as it was
/// built: at least one, and none without code. As [`appraise`] otherwise.
#[must_use]
pub fn appraise_all<'c>(
    key: &AttestKey,
    regions: impl IntoIterator<Item = (u16, &'c [u8])>,
    challenge: &Challenge,
    evidence: &Evidence,
    late: bool,
) -> Finding {
    let (mut count, mut has_code) = (0, true);
    let regions = regions.into_iter().inspect(|(_, code)| {
        count += 1;
        has_code &= !code.is_empty();
    });
    let is_as_built = Verifier::new(key).verify_all(evidence, challenge, regions);
    finding(is_as_built && count > 0 && has_code, late)
}

const fn finding(is_as_built: bool, late: bool) -> Finding {
    match (is_as_built, late) {
        (false, _) => Finding::Altered,
        (true, true) => Finding::Late,
        (true, false) => Finding::Genuine,
    }
}

/// What a result is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appraisal<'a> {
    /// Whose code it is.
    pub device: DeviceId,
    /// The region that was addressed.
    pub region: u16,
    /// Its name.
    pub function: &'a str,
    /// The instruction's nonce: [`Challenge::nonce`].
    pub nonce: [u8; 7],
    /// What was found.
    pub finding: Finding,
    /// What the device found itself; none without evidence.
    pub verdict: Option<Verdict>,
}

/// Signs results.
pub struct Signer {
    key: EncodingKey,
    public: Jwk,
    key_id: String,
    hash_key: Zeroizing<[u8; 32]>,
}

impl Signer {
    /// A new key on P-256 as PEM (PKCS #8), for [`Signer::from_pem`].
    ///
    /// # Errors
    /// Never, as far as is known: encoding may fail by its type.
    pub fn generate() -> Result<Zeroizing<String>> {
        Ok(SecretKey::random(&mut OsRng).to_pkcs8_pem(LineEnding::LF)?)
    }

    /// Takes a private key on P-256 as PEM (PKCS #8).
    ///
    /// # Errors
    /// If it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        const NO_KEY: &str = "no private key on P-256 in PEM (PKCS #8)";
        let key = EncodingKey::from_ec_pem(pem).context(NO_KEY)?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256)
            .context("the key that signs results must be on P-256")?;
        let key_id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(key_id.clone());
        let secret = SecretKey::from_pkcs8_pem(str::from_utf8(pem)?).context(NO_KEY)?;
        let secret = Zeroizing::new(secret.to_bytes());
        let hash_key = Sha256::new().chain_update("keyed hash").chain_update(&secret[..]).finalize();
        Ok(Self { key, public, key_id, hash_key: Zeroizing::new(hash_key.into()) })
    }

    /// The result as a JWT.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn sign(&self, appraisal: &Appraisal<'_>, now: SystemTime) -> Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        let claims = json!({
            "eat_profile": EAT_PROFILE,
            "iat": now.duration_since(UNIX_EPOCH)?.as_secs(),
            "ear_verifier_id": {
                "developer": "tag:smart-city.example,2026:gateway",
                "build": concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
            },
            "submods": { appraisal.device.to_string(): appraisal.claims() },
        });
        jsonwebtoken::encode(&header, &claims, &self.key).context("the result cannot be signed")
    }

    /// Signs any message, with ECDSA on P-256 and SHA-256: 64 bytes, as COSE has them.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>> {
        use base64ct::{Base64UrlUnpadded, Encoding};
        let signature = jsonwebtoken::crypto::sign(message, &self.key, Algorithm::ES256)?;
        Base64UrlUnpadded::decode_vec(&signature).context("a signature")
    }

    /// A hash that tells nothing of the message to those who do not have the private key.
    #[must_use]
    pub fn keyed_hash(&self, message: &[u8]) -> [u8; 32] {
        // Both parts have a fixed length, so that nobody can go on with the hash.
        let parts = Sha256::new().chain_update(&self.hash_key[..]).chain_update(Sha256::digest(message));
        parts.finalize().into()
    }

    /// The name of the key, in results and in the [set](Self::jwks).
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key as a JWK set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.public] })
    }
}

impl Appraisal<'_> {
    fn claims(&self) -> Value {
        let mut claims = json!({
            "ear_status": self.finding.status(),
            "ear_appraisal_policy_ids": [POLICY],
            "eat_nonce": base64url([&self.device.0[..], &self.nonce].concat()),
            "ear_verifier_claims": {
                "region": self.region,
                "function": self.function,
                "finding": self.finding,
            },
        });
        let executables = match self.finding {
            Finding::Genuine | Finding::Late => Some(2),
            Finding::Altered => Some(96),
            Finding::Missing => None,
        };
        if let Some(executables) = executables {
            claims["ear_trustworthiness_vector"] = json!({ "executables": executables });
        }
        if let Some(verdict) = self.verdict {
            let verdict = match verdict {
                Verdict::Intact => "intact",
                Verdict::Altered => "altered",
                Verdict::Unknown => "unknown",
            };
            claims["ear_attester_claims"] = json!({ "verdict": verdict });
        }
        claims
    }
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
