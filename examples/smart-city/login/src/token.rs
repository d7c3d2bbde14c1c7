//! What a token must be, and what it says here.

use std::{collections::BTreeSet, fmt, sync::Arc};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{agreement::Agreement, keys::Key};

/// The longest token.
const MOST_TOKEN: usize = 8192;

/// The longest name: it is that of a client at the broker, too.
const MOST_NAME: usize = 128;

/// What is written as it is in names: nothing that means something in topics, in addresses or in names of accounts.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@').remove(b'|').remove(b':');

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// It is no signed JWT, or too long.
    NoToken,
    /// It is not of the type of access tokens.
    Type,
    /// It is not signed with ES256 or EdDSA.
    Algorithm,
    /// It takes something to be understood that is not.
    Critical,
    /// Nothing is agreed with its issuer.
    Issuer,
    /// The issuer's keys cannot be fetched now.
    NoKeys,
    /// The issuer has no such key.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// A claim that must be there is missing or of a wrong form.
    Claim,
    /// It is for somebody else.
    Audience,
    /// It has expired.
    Expired,
    /// It is of a time to come.
    NotYet,
    /// It is valid for longer than was agreed.
    Life,
    /// Its subject makes no name.
    Subject,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "this is no signed token",
            Self::Type => "this is no access token: its type is not at+jwt",
            Self::Algorithm => "the token is not signed with ES256 or EdDSA",
            Self::Critical => "the token has a critical header that is not understood here",
            Self::Issuer => "nothing is agreed with the token's issuer",
            Self::NoKeys => "the keys of the token's issuer cannot be fetched now",
            Self::UnknownKey => "the token's issuer has no such key",
            Self::Signature => "the token's signature is wrong",
            Self::Claim => "a claim of the token is missing or of a wrong form",
            Self::Audience => "the token is for somebody else",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is of a time to come",
            Self::Life => "the token is valid for longer than was agreed",
            Self::Subject => "the token's subject is empty or too long",
        })
    }
}

impl std::error::Error for Refused {}

/// Who has logged in.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// `city:subject`. No two issuers have a name in common, and it goes into a topic as it is.
    pub name: String,
    /// The city that was agreed with.
    pub city: String,
    /// The departments here.
    pub departments: Vec<String>,
    /// The level here.
    pub level: u8,
    /// Until when it holds, in seconds since 1970.
    pub until: u64,
    /// What it is by.
    pub agreement: Arc<Agreement>,
    /// The key that has signed the token: its id, and what makes it the same.
    pub(crate) key_id: String,
    pub(crate) key: String,
}

/// What is looked at before a key is chosen.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
}

/// A token of which nothing is believed yet.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    text: &'t str,
    algorithm: Algorithm,
    pub(crate) issuer: String,
    pub(crate) key_id: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    /// Of these, the two that the agreement names count.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl<'t> Token<'t> {
    /// Looks at the header, and whose token it says to be.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Refused> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::NoToken);
        };
        if text.len() > MOST_TOKEN {
            return Err(Refused::NoToken);
        }
        let header: Header = json(header)?;
        let algorithm = match header.alg.as_str() {
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(Refused::Algorithm),
        };
        // As a media type, of which `application/` may be left out.
        let kind = header.typ.unwrap_or_default().to_ascii_lowercase();
        if kind.strip_prefix("application/").unwrap_or(&kind) != "at+jwt" {
            return Err(Refused::Type);
        }
        if header.crit.is_some() {
            return Err(Refused::Critical);
        }
        #[derive(Deserialize)]
        struct Issuer {
            iss: String,
        }
        let Issuer { iss: issuer } = json(claims)?;
        Ok(Self { text, algorithm, issuer, key_id: header.kid.ok_or(Refused::UnknownKey)? })
    }

    /// Checks everything, at a time in seconds since 1970.
    pub(crate) fn verify(
        &self,
        key: &Key,
        city: &str,
        agreement: &Arc<Agreement>,
        now: u64,
    ) -> Result<Login, Refused> {
        if key.algorithm != self.algorithm {
            return Err(Refused::UnknownKey);
        }
        let mut validation = Validation::new(key.algorithm);
        validation.set_issuer(&[&agreement.issuer]);
        validation.set_audience(&[&agreement.audience]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        // Times are below, by one clock and with those that the library does not know.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(self.text, &key.key, &validation);
        let claims = claims.map_err(|error| match error.kind() {
            ErrorKind::InvalidIssuer => Refused::Issuer,
            ErrorKind::InvalidAudience => Refused::Audience,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => Refused::Claim,
            ErrorKind::InvalidToken | ErrorKind::Base64(_) => Refused::NoToken,
            // Or the key makes no signature right.
            _ => Refused::Signature,
        })?;
        let Claims { sub, exp, iat, nbf, others } = claims.claims;
        let (now, leeway) = (now as f64, agreement.leeway as f64);
        if exp + leeway <= now {
            return Err(Refused::Expired);
        }
        if iat > now + leeway || nbf.is_some_and(|nbf| nbf > now + leeway) {
            return Err(Refused::NotYet);
        }
        if exp - iat > agreement.max_life as f64 {
            return Err(Refused::Life);
        }
        let name = format!("{city}:{}", utf8_percent_encode(&sub, PLAIN));
        if sub.is_empty() || name.len() > MOST_NAME {
            return Err(Refused::Subject);
        }
        let departments = departments(others.get(&agreement.departments_claim), agreement)?;
        let level = match others.get(&agreement.level_claim) {
            None => 0,
            Some(level) => level.as_u64().ok_or(Refused::Claim)?,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is after `now`, and a day at most"
        )]
        let until = (exp + leeway).ceil() as u64;
        Ok(Login {
            name,
            city: city.to_owned(),
            departments,
            level: u8::try_from(level).unwrap_or(u8::MAX).min(agreement.max_level),
            until,
            agreement: Arc::clone(agreement),
            key_id: self.key_id.clone(),
            key: key.text.clone(),
        })
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, Refused> {
    let bytes = Base64UrlUnpadded::decode_vec(part).map_err(|_| Refused::NoToken)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::NoToken)
}

/// Those that mean something here.
fn departments(claim: Option<&Value>, agreement: &Agreement) -> Result<Vec<String>, Refused> {
    let theirs: Vec<&str> = match claim {
        None => Vec::new(),
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().map(Value::as_str).collect::<Option<_>>().ok_or(Refused::Claim)?
        }
        Some(_) => return Err(Refused::Claim),
    };
    let here: BTreeSet<&String> = theirs.iter().filter_map(|name| agreement.departments.get(*name)).collect();
    Ok(here.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, EncodingKey, encode, jwk::Jwk};
    use serde_json::json;

    use super::*;

    /// What becomes of a token with such claims at the time 1000, with a leeway of 10 seconds and a life of 100 at most.
    fn verify(claims: &Value) -> Result<Login, Refused> {
        let table = json!({
            "issuer": "i", "audience": "a", "jwks": "http://localhost", "leeway": 10, "max_life": 100, "max_level": 9,
            "departments": { "one": "1", "uno": "1", "two": "2" }, "departments_claim": "d", "level_claim": "l",
        });
        let agreement = Agreement::parse(&table, |_| true, |_| Err(String::new())).unwrap();
        let mut all = json!({ "iss": "i", "aud": "a", "sub": "s", "iat": 990, "exp": 1050 });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let key = EncodingKey::from_ec_der(&rcgen::KeyPair::generate().unwrap().serialize_der());
        let mut header = jsonwebtoken::Header::new(Algorithm::ES256);
        (header.typ, header.kid) = (Some("application/AT+jwt".to_owned()), Some("k".to_owned()));
        let token = encode(&header, &all, &key).unwrap();
        let jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        let key = DecodingKey::from_jwk(&jwk).unwrap();
        let key = Key { algorithm: Algorithm::ES256, key, text: String::new() };
        Token::parse(&token)?.verify(&key, "b", &Arc::new(agreement), 1000)
    }

    #[test]
    fn times_are_exact() {
        for (claims, expected) in [
            (json!({ "exp": 991 }), Ok(1001)),
            (json!({ "exp": 990 }), Err(Refused::Expired)),
            (json!({ "exp": 990.5 }), Ok(1001)),
            (json!({ "exp": 0 }), Err(Refused::Expired)),
            (json!({ "exp": -1e300 }), Err(Refused::Expired)),
            (json!({ "exp": 1090 }), Ok(1100)),
            (json!({ "exp": 1091 }), Err(Refused::Life)),
            (json!({ "exp": 1e300 }), Err(Refused::Life)),
            (json!({ "exp": 1e300, "iat": 1e300 }), Err(Refused::NotYet)),
            (json!({ "iat": 1010 }), Ok(1060)),
            (json!({ "iat": 1011 }), Err(Refused::NotYet)),
            (json!({ "iat": 1010, "exp": 1111 }), Err(Refused::Life)),
            (json!({ "iat": -1e300 }), Err(Refused::Life)),
            (json!({ "nbf": 1010 }), Ok(1060)),
            (json!({ "nbf": 1011 }), Err(Refused::NotYet)),
            (json!({ "exp": null }), Err(Refused::Claim)),
            (json!({ "iat": null }), Err(Refused::Claim)),
            (json!({ "exp": "1050" }), Err(Refused::Claim)),
            (json!({ "nbf": "1" }), Err(Refused::Claim)),
        ] {
            assert_eq!(verify(&claims).map(|login| login.until), expected, "{claims}");
        }
    }

    #[test]
    fn claims_are_mapped_and_capped() {
        let login = |claims: Value| {
            let login = verify(&claims).unwrap();
            (login.departments.concat(), login.level)
        };
        for (claims, departments, level) in [
            (json!({}), "", 0),
            (json!({ "d": "two", "l": 0 }), "2", 0),
            (json!({ "d": ["two", "one", "uno", "three", ""], "l": 9 }), "12", 9),
            (json!({ "d": ["1", "One"], "l": 10 }), "", 9),
            (json!({ "d": [], "l": 256 }), "", 9),
            (json!({ "l": u64::MAX, "departments": ["one"], "level": 1 }), "", 9),
        ] {
            assert_eq!(login(claims.clone()), (departments.to_owned(), level), "{claims}");
        }
        for claims in [
            json!({ "l": "9" }),
            json!({ "l": -1 }),
            json!({ "l": 1.5 }),
            json!({ "l": [1] }),
            json!({ "d": 1 }),
            json!({ "d": ["one", 2] }),
            json!({ "d": { "one": true } }),
            json!({ "sub": null }),
            json!({ "sub": 7 }),
            json!({ "aud": null }),
            json!({ "aud": 1 }),
        ] {
            assert_eq!(verify(&claims).err(), Some(Refused::Claim), "{claims}");
        }
        for (audience, expected) in [
            (json!("a"), None),
            (json!(["b", "a"]), None),
            (json!(["b"]), Some(Refused::Audience)),
            (json!([]), Some(Refused::Audience)),
            (json!("ab"), Some(Refused::Audience)),
        ] {
            assert_eq!(verify(&json!({ "aud": audience })).err(), expected, "{audience}");
        }
        for issuer in [json!(["i"]), json!(null)] {
            assert_eq!(verify(&json!({ "iss": issuer })).err(), Some(Refused::NoToken), "{issuer}");
        }
    }

    /// No two subjects have a name in common, and none means something in a topic.
    #[test]
    fn names_are_of_one_subject() {
        let name = |subject: &str| verify(&json!({ "sub": subject })).map(|login| login.name);
        for (subject, expected) in [
            ("f:1a-2:Hiro.M_7", "b:f:1a-2:Hiro.M_7"),
            ("auth0|7@aoba.example", "b:auth0|7@aoba.example"),
            ("a/#", "b:a%2F%23"),
            ("a%2F%23", "b:a%252F%2523"),
            ("+ ", "b:%2B%20"),
            ("\u{e9}\0", "b:%C3%A9%00"),
        ] {
            assert_eq!(name(subject).as_deref(), Ok(expected), "{subject}");
        }
        assert!(name(&"a".repeat(126)).is_ok());
        for subject in ["", &"a".repeat(127), &"/".repeat(43)] {
            assert_eq!(name(subject), Err(Refused::Subject), "{subject}");
        }
    }
}
