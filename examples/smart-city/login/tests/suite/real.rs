//! Tokens of a real identity provider.

use std::{collections::BTreeMap, time::Duration};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use smart_city_login::Refused;
use tokio::time::{Instant, sleep};

use crate::{
    FAST, logins, parse,
    provider::{self, Provider},
    table,
};

fn part(token: &str, place: usize) -> Value {
    let part = token.split('.').nth(place).unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
}

/// The token with another header or other claims, and the signature of before.
fn with(token: &str, place: usize, change: impl FnOnce(&mut Value)) -> String {
    let mut value = part(token, place);
    change(&mut value);
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts[place] = Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    parts.join(".")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_is_what_the_city_and_the_agreement_say() {
    let provider = Provider::start();
    let logins = logins(parse(&table(&provider.address)), FAST);
    let [hiro, _] = provider.user("hiro");
    let program = provider.machine("hiro");
    let claims = part(&hiro, 1);
    assert_eq!(
        (&claims["home_city"], &claims["city"]),
        (&json!("midori"), &json!("midori")),
        "it says what it is not"
    );
    for (token, name, departments, level) in [
        (&hiro, "aoba:hiro", &["rescue"][..], 2),
        (&program, "aoba:hiro", &["rescue"], 2),
        (&provider.user("emi")[0], "aoba:emi", &["rescue", "weather"], 1),
        (&provider.machine("nobody"), "aoba:nobody", &[], 0),
        (&provider.machine("ed"), "aoba:ed", &["rescue", "weather"], 1),
    ] {
        let login = logins.verify(token).await.unwrap();
        assert_eq!((login.name.as_str(), login.city.as_str()), (name, "aoba"));
        assert_eq!(
            (login.departments.as_slice(), login.level),
            (&departments.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], level)
        );
        assert_eq!(login.until, part(token, 1)["exp"].as_u64().unwrap());
        assert!(logins.holds(&login));
    }
    assert_eq!(part(&provider.machine("ed"), 0)["alg"], "EdDSA");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_for_this_gateway_is_refused() {
    let provider = Provider::start();
    let agreement = parse(&table(&provider.address));
    let logins = logins(agreement, FAST);
    let (good, keys) = (provider.machine("hiro"), provider.get("/jwks"));
    assert!(logins.verify(&good).await.is_ok());

    let short = provider.machine("short");
    assert!(logins.verify(&short).await.is_ok());
    let [_, id_token] = provider.user("hiro");
    let other = provider.get("/test/other")["address"].as_str().unwrap().to_owned();
    let of_other =
        provider::get(&other, &format!("/test/machine?client=hiro&resource={}", provider::AUDIENCE));
    let of_other = of_other["access_token"].as_str().unwrap().to_owned();
    assert_eq!(part(&of_other, 0)["kid"], part(&good, 0)["kid"], "it has the same key");

    // A secret that everybody knows: the public key, in each form that a verifier might take.
    let key =
        keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == part(&good, 0)["kid"]).unwrap();
    let claims = part(&good, 1);
    let mut header = Header::new(Algorithm::HS256);
    (header.typ, header.kid) = (Some("at+jwt".to_owned()), key["kid"].as_str().map(str::to_owned));
    let point = [key["x"].as_str().unwrap(), key["y"].as_str().unwrap()]
        .map(|part| Base64UrlUnpadded::decode_vec(part).unwrap());
    let secrets = [key.to_string().into_bytes(), point.concat(), [&[4][..], &point.concat()].concat()];
    let with_public_key =
        secrets.map(|secret| encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap());

    let none = with(&good, 0, |header| header["alg"] = "none".into());
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    let mut refused = vec![
        ("another audience", provider.machine_for("hiro", "https://gateway.nagi.example"), Refused::Audience),
        ("another issuer", of_other, Refused::Issuer),
        (
            "the other issuer's name",
            with(&good, 1, |claims| claims["iss"] = other.clone().into()),
            Refused::Issuer,
        ),
        ("an ID token", id_token, Refused::Type),
        ("no access token", provider.machine("old-type"), Refused::Type),
        ("no signature", none, Refused::Algorithm),
        ("an empty signature", unsigned, Refused::Algorithm),
        ("not yet valid", provider.machine("early"), Refused::NotYet),
        ("a life of two hours", provider.machine("long"), Refused::Life),
        ("departments of a wrong form", provider.machine("wrong"), Refused::Claim),
        ("a level of a wrong form", provider.machine("wrong-level"), Refused::Claim),
        ("another level", with(&good, 1, |claims| claims["level"] = 9.into()), Refused::Signature),
        (
            "a key of another algorithm",
            with(&good, 0, |header| header["kid"] = part(&provider.machine("ed"), 0)["kid"].clone()),
            Refused::UnknownKey,
        ),
        ("a key that nobody has", with(&good, 0, |header| header["kid"] = "0".into()), Refused::UnknownKey),
        ("no key", with(&good, 0, |header| header["kid"] = Value::Null), Refused::UnknownKey),
        ("RS256", with(&good, 0, |header| header["alg"] = "RS256".into()), Refused::Algorithm),
        ("something critical", with(&good, 0, |header| header["crit"] = json!(["b64"])), Refused::Critical),
        ("a password", "example-hana".to_owned(), Refused::NoToken),
        ("nothing", String::new(), Refused::NoToken),
        ("points", "..".to_owned(), Refused::NoToken),
        ("encrypted", format!("{good}.a.b"), Refused::NoToken),
        ("too long", format!("{good}{}", "A".repeat(8192)), Refused::NoToken),
    ];
    refused.extend(with_public_key.map(|token| ("the public key as secret", token, Refused::Algorithm)));
    for (what, token, reason) in refused {
        assert_eq!(logins.verify(&token).await.err(), Some(reason), "{what}");
    }
    // A key of the sender's, shown with the token or at an address of the sender's.
    let mine = EncodingKey::from_ec_der(&rcgen::KeyPair::generate().unwrap().serialize_der());
    let mut header = Header::new(Algorithm::ES256);
    (header.typ, header.kid) = (Some("at+jwt".to_owned()), key["kid"].as_str().map(str::to_owned));
    header.jku = Some("http://127.0.0.1:1/jwks".to_owned());
    header.jwk = Some(jsonwebtoken::jwk::Jwk::from_encoding_key(&mine, Algorithm::ES256).unwrap());
    let forged = encode(&header, &claims, &mine).unwrap();
    assert_eq!(logins.verify(&forged).await.err(), Some(Refused::Signature));

    sleep(Duration::from_secs(5)).await;
    assert_eq!(logins.verify(&short).await.err(), Some(Refused::Expired));
    assert!(logins.verify(&good).await.is_ok());
}

/// Whatever character of a token is another one.
#[tokio::test(flavor = "multi_thread")]
async fn no_altered_token_is_taken() {
    let provider = Provider::start();
    // Tokens with unknown keys wait.
    let pace = smart_city_login::Pace { wait: Duration::from_millis(1), ..FAST };
    let logins = logins(parse(&table(&provider.address)), pace);
    sleep(Duration::from_millis(500)).await;
    for good in [provider.machine("hiro"), provider.machine("ed")] {
        assert!(logins.verify(&good).await.is_ok());
        for place in (0..good.len()).step_by(7) {
            for other in ['A', '.'] {
                let altered = format!("{}{other}{}", &good[..place], &good[place + 1..]);
                assert!(altered == good || logins.verify(&altered).await.is_err(), "{place}: {altered}");
            }
            assert!(logins.verify(&good[..place]).await.is_err());
        }
    }
}

/// Without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated() {
    let provider = Provider::start();
    let logins = logins(parse(&table(&provider.address)), FAST);
    let before = provider.machine("hiro");
    let login = logins.verify(&before).await.unwrap();
    assert!(logins.holds(&login));
    provider.get("/test/rotate");
    let after = provider.machine("hiro");
    assert_ne!(part(&before, 0)["kid"], part(&after, 0)["kid"]);
    assert!(logins.verify(&after).await.is_ok());
    assert_eq!(
        logins.verify(&before).await.err(),
        Some(Refused::UnknownKey),
        "what its provider has withdrawn"
    );
    assert!(!logins.holds(&login), "nor does it hold for who has logged in with it");
}

/// Nobody makes the gateway ask a provider more often than agreed, or wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_not_asked_often() {
    let provider = Provider::start();
    let pace = smart_city_login::Pace { interval: Duration::from_secs(2), ..FAST };
    let logins = std::sync::Arc::new(logins(parse(&table(&provider.address)), pace));
    let good = provider.machine("hiro");
    assert!(logins.verify(&good).await.is_ok());
    let start = Instant::now();
    provider.keys("good");
    let unknown = |n: usize| with(&good, 0, |header| header["kid"] = n.to_string().into());
    let mut asked = Vec::new();
    for n in 0..200 {
        let (logins, token) = (std::sync::Arc::clone(&logins), unknown(n));
        asked.push(tokio::spawn(async move {
            let begin = Instant::now();
            let refused = logins.verify(&token).await.err();
            assert_eq!(refused, Some(Refused::UnknownKey));
            begin.elapsed()
        }));
    }
    for asked in asked {
        assert!(asked.await.unwrap() < Duration::from_secs(3));
    }
    while start.elapsed() < Duration::from_secs(5) {
        assert!(logins.verify(&unknown(1000)).await.is_err());
        // Others do not wait.
        let begin = Instant::now();
        assert!(logins.verify(&good).await.is_ok() && begin.elapsed() < Duration::from_millis(500));
    }
    let fetches = provider.keys("good");
    assert!((1..=3).contains(&fetches), "{fetches}");
}

/// While a provider gives no keys, those of before count, and who has another one is told so soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_provider_delays_nobody() {
    let provider = Provider::start();
    let stale =
        smart_city_login::Pace { stale: Duration::from_secs(1), refresh: Duration::from_millis(300), ..FAST };
    for answer in ["down", "slow", "long", "endless", "page"] {
        provider.keys("good");
        let logins = logins(parse(&table(&provider.address)), FAST);
        let stale = crate::logins(parse(&table(&provider.address)), stale);
        let before = provider.machine("hiro");
        assert!(logins.verify(&before).await.is_ok() && stale.verify(&before).await.is_ok(), "{answer}");
        provider.keys(answer);
        // Nobody can wait for those who are not there yet.
        let never = crate::logins(parse(&table(&provider.address)), FAST);
        provider.get("/test/rotate");
        let after = provider.machine("hiro");
        let begin = Instant::now();
        assert_eq!(logins.verify(&after).await.err(), Some(Refused::NoKeys), "{answer}");
        assert_eq!(never.verify(&after).await.err(), Some(Refused::NoKeys), "{answer}");
        assert!(begin.elapsed() < Duration::from_secs(4), "{answer}: {:?}", begin.elapsed());
        let begin = Instant::now();
        assert!(
            logins.verify(&before).await.is_ok() && begin.elapsed() < Duration::from_millis(500),
            "{answer}"
        );
        sleep(Duration::from_millis(1100)).await;
        assert_eq!(stale.verify(&before).await.err(), Some(Refused::NoKeys), "{answer}: too old");
        provider.keys("good");
        let begin = Instant::now();
        for logins in [&logins, &never, &stale] {
            while logins.verify(&after).await.is_err() {
                assert!(begin.elapsed() < Duration::from_secs(5), "{answer}: it comes back");
            }
        }
    }
}

/// What is agreed changes.
#[tokio::test(flavor = "multi_thread")]
async fn logins_end_with_their_agreement() {
    let provider = Provider::start();
    let same = table(&provider.address);
    let logins = logins(parse(&same), FAST);
    let token = provider.machine("hiro");
    let login = logins.verify(&token).await.unwrap();
    let mut changes = logins.changes();
    provider.keys("good");
    logins.configure(BTreeMap::from([("aoba".to_owned(), parse(&same))]));
    assert!(changes.has_changed().unwrap() && logins.holds(&login) && logins.verify(&token).await.is_ok());
    assert_eq!(provider.keys("good"), 0, "the keys are those of before");
    changes.mark_unchanged();
    let mut lower = same.clone();
    lower["max_level"] = 1.into();
    logins.configure(BTreeMap::from([("aoba".to_owned(), parse(&lower))]));
    assert!(changes.has_changed().unwrap() && !logins.holds(&login));
    assert_eq!(logins.verify(&token).await.unwrap().level, 1);
    // The same issuer for another city.
    logins.configure(BTreeMap::from([("nagi".to_owned(), parse(&same))]));
    assert!(!logins.holds(&login));
    let of_nagi = logins.verify(&token).await.unwrap();
    assert_eq!((of_nagi.name.as_str(), of_nagi.city.as_str()), ("nagi:hiro", "nagi"));
    logins.configure(BTreeMap::new());
    assert!(!logins.holds(&login) && !logins.holds(&of_nagi));
    assert_eq!(logins.verify(&token).await.err(), Some(Refused::Issuer));
    let short = provider.machine("short");
    logins.configure(BTreeMap::from([("aoba".to_owned(), parse(&same))]));
    let login = logins.verify(&short).await.unwrap();
    assert!(logins.holds(&login));
    sleep(Duration::from_secs(5)).await;
    assert!(!logins.holds(&login), "it has expired");
}
