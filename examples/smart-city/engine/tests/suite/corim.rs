//! Reference values for others.

use std::fs;

use ciborium::Value;
use coset::{CoseSign1, Label, RegisteredLabelWithPrivate, TaggedCborSerializable as _, iana};
use p256::{
    EncodedPoint,
    ecdsa::{Signature, VerifyingKey, signature::Verifier as _},
};
use sha2::{Digest as _, Sha256};
use smart_city_engine::{attestation::Signer, corim::reference_values, engine::Input};

use crate::common::{engine, example, files};

fn cbor(bytes: &[u8]) -> Value {
    ciborium::from_reader(bytes).unwrap()
}

fn at(value: &Value, key: i64) -> &Value {
    let members = value.as_map().unwrap();
    &members.iter().find(|(name, _)| *name == key.into()).unwrap().1
}

fn untagged(value: &Value, tag: u64) -> &Value {
    let (found, value) = value.as_tag().unwrap();
    assert_eq!(found, tag);
    value
}

/// Verifies with a key of a key set, and returns the CoRIM.
fn verified(signed: &[u8], jwks: &serde_json::Value) -> Option<Value> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    let signed = CoseSign1::from_tagged_slice(signed).ok()?;
    let key = &jwks["keys"][0];
    let part = |name: &str| Base64UrlUnpadded::decode_vec(key[name].as_str().unwrap()).unwrap();
    let point = EncodedPoint::from_affine_coordinates((&*part("x")).into(), (&*part("y")).into(), false);
    let public = VerifyingKey::from_encoded_point(&point).unwrap();
    let header = &signed.protected.header;
    assert_eq!(header.alg, Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES256)));
    assert_eq!(header.content_type, Some(coset::ContentType::Text("application/rim+cbor".to_owned())));
    assert_eq!(header.key_id, key["kid"].as_str().unwrap().as_bytes());
    let (_, meta) = header.rest.iter().find(|(label, _)| *label == Label::Int(8)).unwrap();
    let meta = cbor(meta.as_bytes().unwrap());
    assert_eq!(at(at(&meta, 0), 0).as_text(), Some("gateway of midori"));
    let check = |signature: &[u8], message: &[u8]| public.verify(message, &Signature::from_slice(signature)?);
    signed.verify_signature(&[], check).ok()?;
    Some(untagged(&cbor(signed.payload.as_ref()?), 501).clone())
}

#[test]
fn reference_values_are_signed_and_name_the_code() {
    let dir = example();
    let (mut city, _) = files(dir.path());
    let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let signed = reference_values(&city, &signer).unwrap().unwrap();
    let corim = verified(&signed, &signer.jwks()).unwrap();
    assert_eq!(corim.as_map().unwrap().len(), 2);
    let tags = at(&corim, 1).as_array().unwrap();
    let comid = cbor(untagged(&tags[0], 506).as_bytes().unwrap());
    assert_eq!((tags.len(), at(&corim, 0)), (1, at(at(&comid, 1), 0)));
    let triples = at(at(&comid, 4), 0).as_array().unwrap();
    assert_eq!(triples.len(), 1);
    let [environment, measurements] = triples[0].as_array().unwrap().as_slice() else { panic!() };
    let class = at(environment, 0);
    assert_eq!((at(class, 1).as_text(), at(class, 2).as_text()), (Some("midori"), Some("gate-1.0")));
    let found = measurements.as_array().unwrap().iter().map(|measurement| {
        let values = at(measurement, 1);
        let digest = at(values, 2).as_array().unwrap()[0].as_array().unwrap();
        assert_eq!(digest[0], 1.into());
        let name = at(values, 11).as_text().unwrap().to_owned();
        (at(measurement, 0).clone(), name, digest[1].as_bytes().unwrap().clone())
    });
    let expected = [(1, "open_gate"), (2, "close_gate")].map(|(id, name)| {
        let code = fs::read(dir.path().join(format!("code/{name}.bin"))).unwrap();
        (Value::from(id), name.to_owned(), Sha256::digest(code).to_vec())
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);

    // No bit of it can be another one, and no other key has signed it.
    for i in 0..signed.len() {
        let mut changed = signed.clone();
        changed[i] ^= 1;
        let read = std::panic::catch_unwind(|| verified(&changed, &signer.jwks()));
        assert!(read.is_err() || read.unwrap().is_none(), "{i}");
    }
    let other = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let mut jwks = other.jwks();
    jwks["keys"][0]["kid"] = signer.jwks()["keys"][0]["kid"].clone();
    assert_eq!(verified(&signed, &jwks), None);

    // The same code has the same name, and other code another one.
    let id = |city: &_| {
        let signed = reference_values(city, &signer).unwrap().unwrap();
        at(&verified(&signed, &signer.jwks()).unwrap(), 0).clone()
    };
    assert_eq!(id(&city), *at(&corim, 0));
    city.images.get_mut("gate-1.0").unwrap().get_mut(&1).unwrap().code[0] ^= 1;
    assert_ne!(id(&city), *at(&corim, 0));
    city.images.clear();
    assert_eq!(reference_values(&city, &signer).unwrap(), None);
}

/// New files have new reference values, when they are taken over.
#[test]
fn a_reload_signs_anew() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let values = engine.reference_values();
    let first = values.borrow().clone().unwrap();
    assert!(verified(&first, &engine.jwks()).is_some());
    engine.handle([Input::Tick]).unwrap();
    assert_eq!(*values.borrow(), Some(first.clone()));
    fs::write(dir.path().join("code/open_gate.bin"), b"other code").unwrap();
    let (city, secrets) = files(dir.path());
    engine.handle([Input::Reload(Ok(Box::new((city, secrets))))]).unwrap();
    let second = values.borrow().clone().unwrap();
    assert_ne!(
        at(&verified(&second, &engine.jwks()).unwrap(), 0),
        at(&verified(&first, &engine.jwks()).unwrap(), 0)
    );
}
