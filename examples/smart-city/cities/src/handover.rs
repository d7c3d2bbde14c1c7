//! A reading on its way from city to city: signed by its owner, and sealed for one city by whoever hands it over.
//!
//! ```text
//! COSE_Encrypt0 (RFC 9052), A256GCM
//!   protected: alg | kid | IV | CWT claims { issuer: who hands over, audience: for whom } | "label": the label
//!   ciphertext of COSE_Sign1, ES256
//!     protected: alg | kid | CWT claims: the label
//!     payload: [device, content type, time, reading]
//! ```
//! The label stands outside to be seen before anything is opened, where the seal keeps it from being altered by others, and within, where
//! the signature keeps it from being altered by whoever hands it on. Both must be the same.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result, anyhow};
use coset::{
    Algorithm, CborSerializable as _, CoseEncrypt0, CoseEncrypt0Builder, CoseSign1, CoseSign1Builder, Header,
    HeaderBuilder, Label as Name, TaggedCborSerializable as _, cbor::value::Value, iana,
};
use jiff::Timestamp;
use ring::{
    aead::{Aad, NONCE_LEN, Nonce},
    rand::{SecureRandom as _, SystemRandom},
};
use serde::Serialize;
use smart_city_frame::{DeviceId, MAX_PAYLOAD_LEN};

use crate::{
    keys::{CityKeys, OwnKeys, Pairwise, Thumbprint},
    label::Label,
};

/// The header parameter for CWT claims (RFC 9597).
const CLAIMS: i64 = 15;
/// The header parameter of the seal that has the label.
const LABEL: &str = "label";
const ISSUER: i64 = 1;
const AUDIENCE: i64 = 3;

/// The longest message: a frame has 255 bytes, and a label some thousand at most.
pub const MOST: usize = 16_384;

/// The longest media type.
pub(crate) const MOST_TYPE: usize = 127;

/// Why something that was handed over is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It is not such a message.
    Malformed,
    /// No partner has the key that it was sealed with.
    UnknownSender,
    /// It was altered, or sealed with another key than it says.
    Altered,
    /// It is for another city, or from another one than it says.
    Misaddressed,
    /// There is no key of the city whose it says it is.
    UnknownOwner,
    /// The owner has not signed it.
    Unsigned,
    /// Its label is not the one that the owner has signed.
    Relabelled,
    /// The owner's policy may mean something else by the label.
    UnknownPolicy,
    /// Its time is over.
    Expired,
    /// Its time is longer than any that is agreed, or its owner's clock is wrong, now or when its gateway began to count.
    TooLong,
    /// The owner does not allow it for this city, or for the one that hands it on.
    NotShared,
    /// It was taken before, or so much that is newer was.
    Replayed,
    /// This city does not take this stream.
    NotAgreed,
    /// Another city hands it on, and its owner's labels change too often.
    LabelsChange,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 14] = [
        Self::Malformed,
        Self::UnknownSender,
        Self::Altered,
        Self::Misaddressed,
        Self::UnknownOwner,
        Self::Unsigned,
        Self::Relabelled,
        Self::UnknownPolicy,
        Self::Expired,
        Self::TooLong,
        Self::NotShared,
        Self::Replayed,
        Self::NotAgreed,
        Self::LabelsChange,
    ];

    /// As in metrics, in the audit log and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownSender => "unknown_sender",
            Self::Altered => "altered",
            Self::Misaddressed => "misaddressed",
            Self::UnknownOwner => "unknown_owner",
            Self::Unsigned => "unsigned",
            Self::Relabelled => "relabelled",
            Self::UnknownPolicy => "unknown_policy",
            Self::Expired => "expired",
            Self::TooLong => "too_long",
            Self::NotShared => "not_shared",
            Self::Replayed => "replayed",
            Self::NotAgreed => "not_agreed",
            Self::LabelsChange => "labels_change",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A reading with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What is said of who may see it.
    pub label: Label,
    /// The owner's device.
    pub device: DeviceId,
    /// What the reading is, as a media type.
    pub content_type: String,
    /// When its owner accepted it.
    pub time: Timestamp,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// A reading as its owner has signed it, which goes on as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) label: Value,
}

/// Signs a reading as its owner.
///
/// # Errors
/// If there is no randomness.
pub fn sign(reading: &Reading, own: &OwnKeys) -> Result<Signed> {
    let label = reading.label.to_value();
    let protected = HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .key_id(own.signing_key().to_vec())
        .value(CLAIMS, label.clone())
        .build();
    let payload = Value::Array(vec![
        reading.device.to_string().into(),
        reading.content_type.as_str().into(),
        reading.time.to_string().into(),
        reading.payload.clone().into(),
    ]);
    let signed = CoseSign1Builder::new()
        .protected(protected)
        .payload(payload.to_vec().map_err(|error| anyhow!("{error}"))?)
        .try_create_signature(&[], |data| own.sign(data))?
        .build();
    let bytes = signed.to_tagged_vec().map_err(|error| anyhow!("{error}"))?;
    Ok(Signed { bytes, label })
}

/// Seals what an owner has signed, from one city for another.
///
/// # Errors
/// If there is no randomness.
pub(crate) fn seal(signed: &Signed, key: &Pairwise, from: &str, to: &str) -> Result<Vec<u8>> {
    let mut iv = [0; NONCE_LEN];
    // At random: one key is good for 2^32 of them.
    SystemRandom::new().fill(&mut iv).map_err(|_| anyhow!("there is no randomness"))?;
    let claims = Value::Map(vec![(ISSUER.into(), from.into()), (AUDIENCE.into(), to.into())]);
    let protected = HeaderBuilder::new()
        .algorithm(iana::Algorithm::A256GCM)
        .key_id(key.kid.to_vec())
        .iv(iv.to_vec())
        .value(CLAIMS, claims)
        .text_value(LABEL.to_owned(), signed.label.clone())
        .build();
    let sealed = CoseEncrypt0Builder::new()
        .protected(protected)
        .try_create_ciphertext(&signed.bytes, &[], |text, aad| {
            let mut text = text.to_vec();
            let nonce = Nonce::assume_unique_for_key(iv);
            key.key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut text).ok().context("not sealed")?;
            anyhow::Ok(text)
        })?
        .build();
    sealed.to_tagged_vec().map_err(|error| anyhow!("{error}"))
}

/// A header with these parameters and no others.
fn members<const N: usize>(
    header: &Header,
    algorithm: iana::Algorithm,
    names: [Name; N],
) -> Option<[&Value; N]> {
    const NOTHING: &Value = &Value::Null;
    let is_as_expected = header.alg == Some(Algorithm::Assigned(algorithm))
        && header.rest.len() == N
        && header.crit.is_empty()
        && header.content_type.is_none()
        && header.partial_iv.is_empty()
        && header.counter_signatures.is_empty();
    let find = |name: Name| header.rest.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let found = names.map(find);
    (is_as_expected && found.iter().all(Option::is_some)).then(|| found.map(|found| found.unwrap_or(NOTHING)))
}

/// What one city knows of the others.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    /// Who seals for this city, by the names of keys.
    pub(crate) sealing: BTreeMap<Vec<u8>, (String, Pairwise)>,
    /// The keys of each partner.
    pub(crate) cities: BTreeMap<String, CityKeys>,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opened {
    /// Who has handed it over.
    pub(crate) from: String,
    pub(crate) reading: Reading,
    /// The owner's key that has signed it.
    pub(crate) key: Thumbprint,
    pub(crate) signed: Signed,
}

/// Opens a message for the city `home`: whom it is from, whose it is, and that both labels are the same. On a refusal also who has
/// handed it over, as far as that is sure.
pub(crate) fn open(message: &[u8], home: &str, ring: &Keyring) -> Result<Opened, (Option<String>, Refusal)> {
    let unknown = |refusal| (None, refusal);
    if message.len() > MOST {
        return Err(unknown(Refusal::Malformed));
    }
    let sealed = CoseEncrypt0::from_tagged_slice(message).map_err(|_| unknown(Refusal::Malformed))?;
    let header = &sealed.protected.header;
    let names = [Name::Int(CLAIMS), Name::Text(LABEL.to_owned())];
    let [claims, outer] = members(header, iana::Algorithm::A256GCM, names)
        .filter(|_| sealed.unprotected.is_empty())
        .ok_or(unknown(Refusal::Malformed))?;
    let iv: [u8; NONCE_LEN] = header.iv.as_slice().try_into().map_err(|_| unknown(Refusal::Malformed))?;
    let (from, key) = ring.sealing.get(&header.key_id).ok_or(unknown(Refusal::UnknownSender))?;
    // Who could have sealed it is known from here on, but not before it is opened.
    let bytes = sealed
        .decrypt_ciphertext(
            &[],
            || Refusal::Malformed,
            |text, aad| {
                let mut text = text.to_vec();
                let nonce = Nonce::assume_unique_for_key(iv);
                let opened = key.key.open_in_place(nonce, Aad::from(aad), &mut text);
                opened.map(|opened| opened.to_vec()).map_err(|_| Refusal::Altered)
            },
        )
        .map_err(unknown)?;
    let refused = |refusal| (Some(from.clone()), refusal);
    let expected = Value::Map(vec![(ISSUER.into(), from.as_str().into()), (AUDIENCE.into(), home.into())]);
    if *claims != expected {
        return Err(refused(Refusal::Misaddressed));
    }
    let outer = outer.clone();
    let (reading, key) = verify(&bytes, &outer, ring).map_err(refused)?;
    Ok(Opened { from: from.clone(), reading, key, signed: Signed { bytes, label: outer } })
}

/// Who has sealed a message, by the name of the key that it has: nothing is proved by it.
pub(crate) fn sender<'r>(message: &[u8], ring: &'r Keyring) -> Option<&'r str> {
    let sealed = CoseEncrypt0::from_tagged_slice(message).ok().filter(|_| message.len() <= MOST)?;
    ring.sealing.get(&sealed.protected.header.key_id).map(|(from, _)| from.as_str())
}

/// What was taken before, as its owner has signed it.
pub(crate) fn stored(bytes: &[u8]) -> Option<Reading> {
    let signed = CoseSign1::from_tagged_slice(bytes).ok()?;
    let [label] = members(&signed.protected.header, iana::Algorithm::ES256, [Name::Int(CLAIMS)])?;
    content(signed.payload.as_deref()?, Label::parse(label)?)
}

/// Reads what an owner has signed, and with which key.
fn verify(bytes: &[u8], outer: &Value, ring: &Keyring) -> Result<(Reading, Thumbprint), Refusal> {
    // What is no signature at all is as good as none.
    let signed = CoseSign1::from_tagged_slice(bytes).map_err(|_| Refusal::Unsigned)?;
    let header = &signed.protected.header;
    let [inner] = members(header, iana::Algorithm::ES256, [Name::Int(CLAIMS)])
        .filter(|_| signed.unprotected.is_empty() && header.iv.is_empty())
        .ok_or(Refusal::Unsigned)?;
    let label = Label::parse(inner).ok_or(Refusal::Malformed)?;
    let keys = ring.cities.get(&label.owner).ok_or(Refusal::UnknownOwner)?;
    signed.verify_signature(&[], |signature, data| {
        keys.verifies(&header.key_id, data, signature).then_some(()).ok_or(Refusal::Unsigned)
    })?;
    if inner != outer {
        return Err(Refusal::Relabelled);
    }
    let key = header.key_id.as_slice().try_into().map_err(|_| Refusal::Unsigned)?;
    let reading = content(signed.payload.as_deref().unwrap_or_default(), label);
    Ok((reading.ok_or(Refusal::Malformed)?, key))
}

fn content(payload: &[u8], label: Label) -> Option<Reading> {
    let Value::Array(parts) = Value::from_slice(payload).ok()? else { return None };
    let [device, content_type, time, payload] = &parts[..] else { return None };
    let is_media_type = |text: &&str| {
        (1..=MOST_TYPE).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    // No device sends more, and no broker must take more.
    let payload = payload.as_bytes().filter(|payload| payload.len() <= MAX_PAYLOAD_LEN)?;
    Some(Reading {
        label,
        device: smart_city_engine::config::parse_device_id(device.as_text()?)?,
        content_type: content_type.as_text().filter(is_media_type)?.to_owned(),
        time: time.as_text()?.parse().ok()?,
        payload: payload.clone(),
    })
}
