//! The demo believes no attestation result that the gateway's key has not signed.

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk, jwk::JwkSet};
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::json;
use smart_city_demo::gateway::status_in;
use smart_city_frame::DeviceId;

const ID: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);

fn key(byte: u8) -> EncodingKey {
    let pem = p256::SecretKey::from_slice(&[byte; 32]).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap();
    EncodingKey::from_ec_pem(pem.as_bytes()).unwrap()
}

fn result(key: &EncodingKey, device: &str) -> String {
    let header = Header { kid: Some("gateway".to_owned()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, &json!({ "submods": { device: { "ear_status": "affirming" } } }), key)
        .unwrap()
}

#[test]
fn only_what_the_gateways_key_has_signed_is_believed() {
    let genuine = key(1);
    let mut jwk = Jwk::from_encoding_key(&genuine, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("gateway".to_owned());
    let keys = JwkSet { keys: vec![jwk] };
    let token = result(&genuine, &ID.to_string());
    assert_eq!(status_in(&token, &keys, ID).unwrap(), "affirming");

    assert!(status_in(&result(&key(2), &ID.to_string()), &keys, ID).is_err(), "another key");
    assert!(status_in(&result(&genuine, "70b3d5fffe000002"), &keys, ID).is_err(), "another device");
    // The signature is of these very claims, and there is one.
    let parts: Vec<&str> = token.split('.').collect();
    let other = result(&genuine, "70b3d5fffe000002");
    let other: Vec<&str> = other.split('.').collect();
    for forged in [
        [parts[0], parts[1], other[2]].join("."),
        [other[0], other[1], parts[2]].join("."),
        [parts[0], parts[1], ""].join("."),
    ] {
        assert!(status_in(&forged, &keys, ID).is_err(), "{forged}");
    }
}
