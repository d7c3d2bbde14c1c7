//! Keys over TLS, and answers that a real provider does not give.

use std::sync::Arc;

use serde_json::json;
use smart_city_login::{Agreement, Refused, Trust};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use crate::{FAST, logins, parse, provider::Provider, table};

/// Answers each request with the same bytes.
async fn server(answer: Vec<u8>, tls: Option<TlsAcceptor>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, tls) = (answer.clone(), tls.clone());
            tokio::spawn(async move {
                let mut request = [0; 4096];
                match tls {
                    None => {
                        drop(stream.read(&mut request).await);
                        drop(stream.write_all(&answer).await);
                    }
                    Some(tls) => {
                        let Ok(mut stream) = tls.accept(stream).await else { return };
                        drop(stream.read(&mut request).await);
                        drop(stream.write_all(&answer).await);
                        drop(stream.shutdown().await);
                    }
                }
            });
        }
    });
    port
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_set_is_none() {
    let provider = Provider::start();
    let (token, keys) = (provider.machine("hiro"), provider.get("/jwks"));
    let good = keys.to_string();
    let with = |field: &str, value: serde_json::Value| {
        let mut keys = keys.clone();
        for key in keys["keys"].as_array_mut().unwrap() {
            key[field] = value.clone();
        }
        keys.to_string()
    };
    let odd = json!({ "keys": [7, {}, { "kty": "EC", "crv": "P-256" }, { "kty": "new", "crv": 1, "kid": "x" }, keys["keys"][0], keys["keys"][1]] });
    let elsewhere = format!("302 Found\r\nLocation: {}/jwks", provider.address);
    for (what, bytes, expected) in [
        ("the keys", answer("200 OK", &good), None),
        ("beside others", answer("200 OK", &odd.to_string()), None),
        ("an error with keys", answer("500 Oh", &good), Some(Refused::NoKeys)),
        ("another place", answer(&elsewhere, ""), Some(Refused::NoKeys)),
        ("not found", answer("404 Not Found", &good), Some(Refused::NoKeys)),
        ("half of it", answer("200 OK", &good)[..200].to_vec(), Some(Refused::NoKeys)),
        ("a list", answer("200 OK", &keys["keys"].to_string()), Some(Refused::NoKeys)),
        ("no HTTP", b"hello\r\n\r\n".to_vec(), Some(Refused::NoKeys)),
        (
            "a long head",
            answer(&format!("200 OK\r\nX: {}", "x".repeat(1 << 20)), &good),
            Some(Refused::NoKeys),
        ),
        ("none", answer("200 OK", r#"{"keys":[]}"#), Some(Refused::UnknownKey)),
        ("for encryption", answer("200 OK", &with("use", "enc".into())), Some(Refused::UnknownKey)),
        ("to sign", answer("200 OK", &with("key_ops", json!(["sign"]))), Some(Refused::UnknownKey)),
        ("of another algorithm", answer("200 OK", &with("alg", "ES384".into())), Some(Refused::UnknownKey)),
        ("of another kind", answer("200 OK", &with("kty", "oct".into())), Some(Refused::UnknownKey)),
        ("of another curve", answer("200 OK", &with("crv", "P-384".into())), Some(Refused::UnknownKey)),
        (
            "no point of the curve",
            answer("200 OK", &with("y", keys["keys"][0]["x"].clone())),
            Some(Refused::Signature),
        ),
    ] {
        let port = server(bytes, None).await;
        let mut table = table(&provider.address);
        table["jwks"] = format!("http://127.0.0.1:{port}/keys?all").into();
        assert_eq!(logins(parse(&table), FAST).verify(&token).await.err(), expected, "{what}");
    }
}

/// Only who has a certificate of the authority that was agreed gives keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_come_over_tls() {
    let provider = Provider::start();
    let (token, keys) = (provider.machine("hiro"), provider.get("/jwks").to_string());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let server_config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let port = server(answer("200 OK", &keys), Some(TlsAcceptor::from(Arc::new(server_config)))).await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (what, host, authority, expected) in [
        ("the right one", "localhost", &made, None),
        ("another authority", "localhost", &other, Some(Refused::NoKeys)),
        ("another name", "127.0.0.1", &made, Some(Refused::NoKeys)),
    ] {
        let mut roots = RootCertStore::empty();
        roots.add(authority.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut table = table(&provider.address);
        table["jwks"] = format!("https://{host}:{port}/jwks").into();
        table["authorities"] = "aoba.pem".into();
        let agreement = Agreement::parse(
            &table,
            |_| true,
            |file| {
                assert_eq!(file, "aoba.pem");
                Ok(Trust { config: Arc::new(config), authorities: Vec::new() })
            },
        );
        assert_eq!(logins(agreement.unwrap(), FAST).verify(&token).await.err(), expected, "{what}");
    }
}
