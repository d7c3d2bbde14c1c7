//! Reference values for other verifiers: what the code of the images is, as a signed CoRIM (draft-ietf-rats-corim).
//!
//! | part | |
//! |---|---|
//! | COSE_Sign1, tag 18 | ES256, with the key that signs attestation results; `kid` is its name in the key set; header 8 (`corim-meta`) names the signer |
//! | CoRIM, tag 501 | `id` with the digest of what is in it. It has no profile: a verifier that does not know it had to refuse it |
//! | CoMID, tag 506 | the same `id`; a reference triple for each image |
//! | environment | a class: `vendor` is the gateway's city, `model` the image, both as in `city.toml` |
//! | measurement | `mkey` is the region; `mval` has its `name`, and as `digests` the SHA-256 (1) of its code |
//!
//! It says nothing of how long it holds: ask for it again.
//!
//! A device does not measure SHA-256, but a code under a nonce and a key: [`attestation`](crate::attestation). Who has the code
//! itself knows by this CoRIM that it is the one with which the gateway compares.
//!
//! The crate `corim-rs` 0.2 is not used: it signs by OpenSSL, it needs another version of `coset`, and its 28,000 lines are much for one kind of
//! triple.

use anyhow::{Context as _, Result};
use ciborium::Value;
use coset::{CoseSign1Builder, HeaderBuilder, TaggedCborSerializable as _, iana::Algorithm};
use sha2::{Digest as _, Sha256};

use crate::{attestation::Signer, config::City};

/// The media type of what is signed, and of what is made here.
const CONTENT_TYPE: &str = "application/rim+cbor";
/// The media type of a signed CoRIM.
pub const MEDIA_TYPE: &str = "application/rim+cose";

/// The numbers of CBOR tags: a CoRIM and a CoMID.
const CORIM: u64 = 501;
const COMID: u64 = 506;

/// The number of SHA-256 among the algorithms of digests.
const SHA_256: i64 = 1;

fn map<const N: usize>(members: [(i64, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).context("CBOR")?;
    Ok(bytes)
}

/// The code of all images of a city, signed; none if there is no code.
///
/// # Errors
/// If it cannot be signed.
pub fn reference_values(city: &City, signer: &Signer) -> Result<Option<Vec<u8>>> {
    let images = city.images.iter().filter(|(_, regions)| !regions.is_empty());
    let triples: Vec<_> = images
        .map(|(image, regions)| {
            let class = map([(1, city.home.as_str().into()), (2, image.as_str().into())]);
            let measurements = regions.iter().map(|(id, region)| {
                let digest = Value::Array(vec![SHA_256.into(), Sha256::digest(&region.code).to_vec().into()]);
                let values = map([(2, Value::Array(vec![digest])), (11, region.name.as_str().into())]);
                map([(0, (*id).into()), (1, values)])
            });
            Value::Array(vec![map([(0, class)]), Value::Array(measurements.collect())])
        })
        .collect();
    if triples.is_empty() {
        return Ok(None);
    }
    let triples = map([(0, Value::Array(triples))]);
    // Other content has another name.
    let digest = hex::encode(Sha256::digest(bytes(&triples)?));
    let id = format!("tag:smart-city.example,2026:reference-values:{digest}");
    let comid = map([(1, map([(0, id.as_str().into())])), (4, triples)]);
    let comid = Value::Tag(COMID, Box::new(bytes(&comid)?.into()));
    let corim = map([(0, id.into()), (1, Value::Array(vec![comid]))]);
    let payload = bytes(&Value::Tag(CORIM, Box::new(corim)))?;

    let signer_name = format!("gateway of {}", city.home);
    let meta = bytes(&map([(0, map([(0, signer_name.into())]))]))?;
    let protected = HeaderBuilder::new()
        .algorithm(Algorithm::ES256)
        .content_type(CONTENT_TYPE.to_owned())
        .key_id(signer.key_id().as_bytes().to_vec())
        .value(8, meta.into())
        .build();
    let signed = CoseSign1Builder::new()
        .protected(protected)
        .payload(payload)
        .try_create_signature(&[], |message| signer.sign_bytes(message))?
        .build();
    let signed = signed.to_tagged_vec();
    signed.map(Some).map_err(|error| anyhow::anyhow!("COSE: {error}"))
}
