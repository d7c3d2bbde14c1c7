//! The keys of cities: JSON Web Keys (RFC 7517), of P-256.
//!
//! A city has pairs of keys: one that signs, and one from which a key is agreed with each partner. Its own file has the private ones. The
//! first of each use is used; the others are accepted still, or already. Partners get the same file without what is private.

use std::fmt;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64ct::{Base64UrlUnpadded as Base64, Encoding as _};
use p256::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint as _};
use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::{SecureRandom as _, SystemRandom},
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The keys of one use in a file at most: more than a rotation takes.
const MOST_KEYS: usize = 4;

/// What a key is derived for.
const PURPOSE: &[u8] = b"smart-city hand-over";

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Use {
    #[serde(rename = "sig")]
    Sign,
    #[serde(rename = "enc")]
    Agree,
}

/// The SHA-256 that names a key (RFC 7638).
pub(crate) type Thumbprint = [u8; 32];

/// A key in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    #[serde(rename = "use")]
    purpose: Use,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<Zeroizing<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JwkSet {
    keys: Vec<Jwk>,
    /// The last step of a rotation, in a file of private keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<Step>,
}

impl Jwk {
    fn generate(purpose: Use) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        let secret = loop {
            SystemRandom::new().fill(&mut *bytes).map_err(|_| anyhow!("there is no randomness"))?;
            // All but some in 2^32 are good.
            if let Ok(secret) = SecretKey::from_slice(&*bytes) {
                break secret;
            }
        };
        let point = secret.public_key().to_encoded_point(false);
        let encode = |part: &[u8]| Base64::encode_string(part);
        Ok(Self {
            kty: "EC".to_owned(),
            crv: "P-256".to_owned(),
            x: encode(point.x().context("no point")?),
            y: encode(point.y().context("no point")?),
            purpose,
            d: Some(Zeroizing::new(encode(&*bytes))),
        })
    }

    fn point(&self) -> Result<PublicKey> {
        ensure!(self.kty == "EC" && self.crv == "P-256", "a key is of `kty` EC and `crv` P-256");
        let mut point = vec![4];
        for part in [&self.x, &self.y] {
            let part = Base64::decode_vec(part).ok().filter(|part| part.len() == 32);
            point.extend(part.context("`x` or `y` is not 32 bytes in base64url")?);
        }
        PublicKey::from_sec1_bytes(&point).map_err(|_| anyhow!("`x` and `y` are no point of P-256"))
    }

    fn secret(&self) -> Result<SecretKey> {
        let bytes = self.d.as_ref().and_then(|d| Base64::decode_vec(d).ok()).map(Zeroizing::new);
        let secret = bytes.and_then(|bytes| SecretKey::from_slice(&bytes).ok());
        let secret = secret.context("`d` is missing, or no private key")?;
        ensure!(secret.public_key() == self.point()?, "`d` does not belong to `x` and `y`");
        Ok(secret)
    }

    fn thumbprint(&self) -> Thumbprint {
        let Self { crv, kty, x, y, .. } = self;
        Sha256::digest(format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#)).into()
    }
}

impl JwkSet {
    /// Never shows what is in the text.
    fn parse(text: &str) -> Result<Self> {
        let set: Self = serde_json::from_str(text).map_err(|error| {
            anyhow!("line {}: it is no set of keys as `city-keys` makes it", error.line())
        })?;
        for purpose in [Use::Sign, Use::Agree] {
            let count = set.of(purpose).count();
            ensure!(
                (1..=MOST_KEYS).contains(&count),
                "there are {count} keys of a use, not 1 to {MOST_KEYS}"
            );
        }
        Ok(set)
    }

    fn of(&self, purpose: Use) -> impl Iterator<Item = &Jwk> {
        self.keys.iter().filter(move |key| key.purpose == purpose)
    }

    fn text(&self) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(serde_json::to_string_pretty(self)? + "\n"))
    }
}

/// A step of a rotation, on the text of a file of private keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A new pair, which is not used yet: the file's last one.
    Add,
    /// The pair that was just added is used from now on.
    Use,
    /// Only the pair that is used stays.
    Drop,
}

/// The text of a file after a step; without a file before, of a first pair.
///
/// # Errors
/// If the text is no file of private keys, or would be none any more.
pub fn rotate(text: Option<&str>, step: Step) -> Result<Zeroizing<String>> {
    let mut set = match text {
        Some(text) => JwkSet::parse(text)?,
        None => JwkSet { keys: Vec::new(), step: None },
    };
    match step {
        Step::Add => {
            for purpose in [Use::Sign, Use::Agree] {
                set.keys.push(Jwk::generate(purpose)?);
            }
        }
        Step::Use => {
            // Else the pair of before would come back, and be the one that stays.
            ensure!(set.step == Some(Step::Add), "nothing was added since a pair was last used or dropped");
            set.keys.rotate_right(2);
        }
        Step::Drop => set.keys.truncate(2),
    }
    set.step = Some(step);
    let text = set.text()?;
    OwnKeys::parse(&text)?;
    Ok(text)
}

/// What partners get of a file of private keys.
///
/// # Errors
/// If it is none.
pub fn public(text: &str) -> Result<Zeroizing<String>> {
    OwnKeys::parse(text)?;
    let mut set = JwkSet::parse(text)?;
    set.keys.iter_mut().for_each(|key| key.d = None);
    set.step = None;
    set.text()
}

/// The names of the keys in a file, for two operators to compare: whether it is used to sign, and the SHA-256 of RFC 7638.
///
/// # Errors
/// If it has no keys.
pub fn names(text: &str) -> Result<Vec<(&'static str, String)>> {
    let name = |key: &Jwk| {
        let purpose = if key.purpose == Use::Sign { "signs" } else { "agrees" };
        (purpose, Base64::encode_string(&key.thumbprint()))
    };
    Ok(JwkSet::parse(text)?.keys.iter().map(name).collect())
}

/// A key that signs.
struct Signing {
    thumbprint: Thumbprint,
    pair: EcdsaKeyPair,
}

/// A city's own keys.
pub struct OwnKeys {
    /// The one that is used.
    signing: Signing,
    agreeing: Vec<(Thumbprint, SecretKey)>,
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKeys { .. }")
    }
}

impl OwnKeys {
    /// Reads the text of a file. What is wrong with it is told without showing anything of it.
    ///
    /// # Errors
    /// If it has no private keys of both uses.
    pub fn parse(text: &str) -> Result<Self> {
        let set = JwkSet::parse(text)?;
        let mut signing = None;
        for key in set.of(Use::Sign) {
            let (secret, point) = (key.secret()?.to_bytes(), key.point()?.to_encoded_point(false));
            let secret = Zeroizing::new(secret);
            let random = SystemRandom::new();
            let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(scheme, &secret, point.as_bytes(), &random);
            let pair = pair.map_err(|_| anyhow!("`d` does not belong to `x` and `y`"))?;
            signing.get_or_insert(Signing { thumbprint: key.thumbprint(), pair });
        }
        let agreeing: Result<_> =
            set.of(Use::Agree).map(|key| Ok((key.thumbprint(), key.secret()?))).collect();
        Ok(Self { signing: signing.context("there is no key that signs")?, agreeing: agreeing? })
    }

    /// Signs with the key that is used.
    pub(crate) fn sign(&self, data: &[u8]) -> Result<Vec<u8>> {
        let signature = self.signing.pair.sign(&SystemRandom::new(), data);
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| anyhow!("nothing was signed"))
    }

    /// The name of that key.
    pub(crate) fn signing_key(&self) -> &Thumbprint {
        &self.signing.thumbprint
    }
}

/// The public keys of another city.
#[derive(Clone, Debug, PartialEq)]
pub struct CityKeys {
    /// Those that may have signed: names and points.
    signing: Vec<(Thumbprint, Vec<u8>)>,
    agreeing: Vec<(Thumbprint, PublicKey)>,
}

impl CityKeys {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it has no public keys of both uses, or a private one.
    pub fn parse(text: &str) -> Result<Self> {
        let set = JwkSet::parse(text)?;
        ensure!(set.keys.iter().all(|key| key.d.is_none()), "there is a private key in it");
        let signing: Result<_> = set
            .of(Use::Sign)
            .map(|key| Ok((key.thumbprint(), key.point()?.to_encoded_point(false).as_bytes().to_vec())))
            .collect();
        let agreeing: Result<_> =
            set.of(Use::Agree).map(|key| Ok((key.thumbprint(), key.point()?))).collect();
        Ok(Self { signing: signing?, agreeing: agreeing? })
    }

    /// Whether the key of this name, which must be one of the city's, has signed the data.
    pub(crate) fn verifies(&self, key: &[u8], data: &[u8], signature: &[u8]) -> bool {
        self.signing.iter().filter(|(name, _)| name == key).any(|(_, point)| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(data, signature).is_ok()
        })
    }
}

/// The length of what names a key of two cities.
pub(crate) const KID: usize = 16;

/// A key that two cities have for one direction, of the pair of keys that it was agreed from.
pub(crate) struct Pairwise {
    pub(crate) kid: [u8; KID],
    pub(crate) key: LessSafeKey,
}

impl fmt::Debug for Pairwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pairwise({:02x?})", self.kid)
    }
}

/// What `from` seals for `to`, each with the name of the key that it agrees with.
fn derive(
    secret: &SecretKey,
    public: &PublicKey,
    from: (&str, &Thumbprint),
    to: (&str, &Thumbprint),
) -> Option<Pairwise> {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            32 + KID
        }
    }
    let shared = diffie_hellman(secret.to_nonzero_scalar(), public.as_affine());
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(shared.raw_secret_bytes());
    let (from_length, to_length) = ((from.0.len() as u64).to_be_bytes(), (to.0.len() as u64).to_be_bytes());
    let about: [&[u8]; 7] =
        [PURPOSE, &from_length, from.0.as_bytes(), from.1, &to_length, to.0.as_bytes(), to.1];
    let mut bytes = Zeroizing::new([0; 32 + KID]);
    extracted.expand(&about, Length).ok()?.fill(&mut *bytes).ok()?;
    let (key, kid) = bytes.split_at(32);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    Some(Pairwise { kid: kid.try_into().ok()?, key })
}

/// The key by which `home` seals for `partner`.
pub(crate) fn to_partner(home: &str, own: &OwnKeys, partner: &str, theirs: &CityKeys) -> Option<Pairwise> {
    let (own_name, secret) = own.agreeing.first()?;
    let (their_name, public) = theirs.agreeing.first()?;
    derive(secret, public, (home, own_name), (partner, their_name))
}

/// The keys by which `partner` may have sealed for `home`.
pub(crate) fn from_partner(home: &str, own: &OwnKeys, partner: &str, theirs: &CityKeys) -> Vec<Pairwise> {
    let pairs = own.agreeing.iter().flat_map(|own| theirs.agreeing.iter().map(move |their| (own, their)));
    pairs
        .filter_map(|((own_name, secret), (their_name, public))| {
            derive(secret, public, (partner, their_name), (home, own_name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (OwnKeys, CityKeys) {
        (OwnKeys::parse(text).unwrap(), CityKeys::parse(&public(text).unwrap()).unwrap())
    }

    /// Old and new keys open what was sealed before and after each step, at whichever end it is done first.
    #[test]
    fn a_rotation_stops_nothing() {
        let own = rotate(None, Step::Add).unwrap();
        let partner = rotate(None, Step::Add).unwrap();
        let (_, partner_public) = parsed(&partner);
        let (partner_own, _) = parsed(&partner);
        let mut text = own.clone();
        let mut public_before = parsed(&own).1;
        for step in [Step::Add, Step::Use, Step::Drop] {
            let before = OwnKeys::parse(&text).unwrap();
            text = rotate(Some(&text), step).unwrap();
            let (after, public_after) = parsed(&text);
            // The partner has the file of before, or the new one, which it gets before a key is used. Before one is dropped it has that which
            // was made when the other was used.
            let known = match step {
                Step::Add | Step::Use => [&public_before, &public_after],
                Step::Drop => [&public_before, &public_before],
            };
            for theirs in known {
                for sender in [&before, &after] {
                    let sealed = to_partner("a", sender, "b", &partner_public).unwrap();
                    let opening = from_partner("b", &partner_own, "a", theirs);
                    assert!(opening.iter().any(|key| key.kid == sealed.kid), "{step:?}");
                    // And what the partner sends.
                    let sealed = to_partner("b", &partner_own, "a", theirs).unwrap();
                    let opening = from_partner("a", sender, "b", &partner_public);
                    assert!(opening.iter().any(|key| key.kid == sealed.kid), "{step:?}");
                    let signature = sender.sign(b"data").unwrap();
                    assert!(theirs.verifies(sender.signing_key(), b"data", &signature), "{step:?}");
                    assert!(!theirs.verifies(sender.signing_key(), b"Data", &signature));
                    assert!(!partner_public.verifies(sender.signing_key(), b"data", &signature));
                }
            }
            public_before = public_after;
        }
        let [(_, old), ..] = &names(&own).unwrap()[..] else { panic!() };
        let last = names(&text).unwrap();
        assert!(last.len() == 2 && last.iter().all(|(_, name)| name != old));
        // What was dropped is not known any more.
        let old = OwnKeys::parse(&own).unwrap();
        let signature = old.sign(b"data").unwrap();
        assert!(!public_before.verifies(old.signing_key(), b"data", &signature));
        let sealed = to_partner("a", &old, "b", &partner_public).unwrap();
        assert!(from_partner("b", &partner_own, "a", &public_before).iter().all(|key| key.kid != sealed.kid));
    }

    /// A step that is done twice brings no old pair back.
    #[test]
    fn only_what_was_added_is_used() {
        let signs = |text: &str| names(text).unwrap()[0].1.clone();
        let first = rotate(None, Step::Add).unwrap();
        let added = rotate(Some(&first), Step::Add).unwrap();
        let used = rotate(Some(&added), Step::Use).unwrap();
        assert_ne!(signs(&used), signs(&first));
        let dropped = rotate(Some(&used), Step::Drop).unwrap();
        assert_eq!(signs(&dropped), signs(&used));
        for text in [&used, &dropped] {
            assert!(rotate(Some(text), Step::Use).unwrap_err().to_string().contains("nothing was added"));
        }
        assert!(!public(&used).unwrap().contains("step"));
    }

    #[test]
    fn a_key_is_of_one_direction_and_two_cities() {
        let [(a, a_public), (b, b_public)] = [(); 2].map(|()| parsed(&rotate(None, Step::Add).unwrap()));
        let kid = |key: Option<Pairwise>| key.unwrap().kid;
        let kids = [
            kid(to_partner("a", &a, "b", &b_public)),
            kid(to_partner("b", &b, "a", &a_public)),
            kid(to_partner("a", &a, "c", &b_public)),
            kid(to_partner("c", &a, "b", &b_public)),
        ];
        for (i, one) in kids.iter().enumerate() {
            assert!(kids[..i].iter().all(|other| other != one));
        }
        assert_eq!(from_partner("b", &b, "a", &a_public)[0].kid, kids[0]);
    }

    #[test]
    fn faults_are_found_and_show_nothing() {
        let text = rotate(None, Step::Add).unwrap();
        let secret = text.split("\"d\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let shown = public(&text).unwrap();
        assert!(!shown.contains("\"d\"") && !shown.contains(&secret));
        let other = rotate(None, Step::Add).unwrap();
        let other = other.split("\"d\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        for (wrong, expected) in [
            (String::new(), "no set of keys"),
            (text.replace("\"d\"", "\"e\""), "no set of keys"),
            (text.replace(&secret, &other), "does not belong"),
            (text.replace(&secret, ""), "no private key"),
            (text.replace("P-256", "P-384"), "P-256"),
            (text.replace("\"sig\"", "\"enc\""), "0 keys of a use"),
            (shown.to_string(), "is missing"),
        ] {
            let error = format!("{:#}", OwnKeys::parse(&wrong).unwrap_err());
            assert!(error.contains(expected) && !error.contains(&secret), "{error}");
        }
        let x = shown.split("\"x\": \"").nth(1).unwrap().split('"').next().unwrap();
        for (wrong, expected) in [
            (text.to_string(), "a private key in it"),
            (shown.replace(x, &other), "no point"),
            (shown.replace(x, "AA"), "not 32 bytes"),
        ] {
            let error = format!("{:#}", CityKeys::parse(&wrong).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        let mut many = text;
        for _ in 1..MOST_KEYS {
            many = rotate(Some(&many), Step::Add).unwrap();
        }
        assert!(rotate(Some(&many), Step::Add).unwrap_err().to_string().contains("5 keys of a use"));
    }
}
