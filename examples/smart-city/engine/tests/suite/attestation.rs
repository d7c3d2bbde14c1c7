//! Evidence of a real detector is appraised, and the results are read by the crate `ear` of the draft's authors.

use std::{
    collections::HashSet,
    env, fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ear::{Ear, TrustTier};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use smart_city_detector::{AllowedValues, AttestKey, Detector, Region, Verdict, Verifier};
use smart_city_engine::attestation::{
    Appraisal, EAT_PROFILE, Finding, Signer, Status, appraise, reference_code,
};
use smart_city_frame::{Challenge, DeviceId, DeviceLink, Epoch, Evidence, GatewayLink, Instruction, RootKey};

const DEVICE: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);
const CODE: [&[u8]; 2] = [b"the code of open_gate", b"the code of close_gate, longer"];

fn root() -> RootKey {
    RootKey::new([0x42; 16])
}

fn key() -> AttestKey {
    root().attest_key(DEVICE)
}

/// The gateway's challenge of an instruction to `region`, and the evidence of a device with `code` there.
fn ask(region: u16, code: &[u8]) -> (Challenge, Evidence) {
    let (mut device, mut gateway) =
        (DeviceLink::new(&root(), DEVICE, Epoch(3)), GatewayLink::new(&root(), DEVICE, Epoch(3)));
    let mut buffer = [0; 64];
    let instruction = Instruction { region, argument: b"on" };
    let (frame, asked) = gateway.seal_instruction(&instruction, &mut buffer).unwrap();
    let (_, challenge) = device.open_instruction(DEVICE, frame).unwrap();
    let key = key();
    let table: Vec<u8> = (1..)
        .zip(CODE)
        .flat_map(|(id, code)| {
            let value = Verifier::new(&key).allowed_value(id, code);
            Region { id, address: 0, len: code.len().try_into().unwrap(), value }.to_bytes()
        })
        .collect();
    let evidence = Detector::new(&key, AllowedValues::new(&table).unwrap()).examine(challenge, region, code);
    (asked, evidence)
}

#[test]
fn only_the_code_as_built_affirms() {
    let (challenge, evidence) = ask(1, CODE[0]);
    assert_eq!(appraise(&key(), CODE[0], &challenge, 1, &evidence, false), Finding::Genuine);
    assert_eq!(appraise(&key(), CODE[0], &challenge, 1, &evidence, true), Finding::Late);

    // Other reference values, region, key, instruction.
    assert_eq!(appraise(&key(), CODE[1], &challenge, 1, &evidence, false), Finding::Altered);
    assert_eq!(appraise(&key(), CODE[0], &challenge, 2, &evidence, false), Finding::Altered);
    let other = root().attest_key(DeviceId([0; 8]));
    assert_eq!(appraise(&other, CODE[0], &challenge, 1, &evidence, false), Finding::Altered);
    let earlier = evidence;
    let (mut gateway, mut buffer) = (GatewayLink::new(&root(), DEVICE, Epoch(4)), [0; 64]);
    let instruction = Instruction { region: 1, argument: b"on" };
    let (_, other) = gateway.seal_instruction(&instruction, &mut buffer).unwrap();
    assert_eq!(appraise(&key(), CODE[0], &other, 1, &earlier, false), Finding::Altered);

    // A device whose code was changed, whatever it says of itself, and late or not.
    let mut patched = CODE[0].to_vec();
    patched[5] ^= 1;
    let (challenge, mut evidence) = ask(1, &patched);
    assert_eq!(evidence.verdict, Verdict::Altered);
    for (verdict, late) in [(Verdict::Altered, false), (Verdict::Intact, false), (Verdict::Intact, true)] {
        evidence.verdict = verdict;
        assert_eq!(appraise(&key(), CODE[0], &challenge, 1, &evidence, late), Finding::Altered);
    }
    evidence.tag[7] ^= 1;
    assert_eq!(appraise(&key(), &patched, &challenge, 1, &evidence, false), Finding::Altered);
}

#[test]
fn results_are_ears() {
    let signer = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
    let jwks = signer.jwks();
    assert_eq!(jwks["keys"][0]["d"], serde_json::Value::Null, "the private key stays here");
    let jwks: JwkSet = serde_json::from_value(jwks).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims::<&str>(&[]);
    let read = |token: &str| -> jsonwebtoken::errors::Result<Ear> {
        let key_id = jsonwebtoken::decode_header(token)?.kid.unwrap();
        let Some(key) = jwks.find(&key_id) else {
            return Err(jsonwebtoken::errors::ErrorKind::InvalidSignature.into());
        };
        Ok(jsonwebtoken::decode(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    let mut texts = HashSet::new();
    for (finding, verdict, tier, executables) in [
        (Finding::Genuine, Some(Verdict::Intact), TrustTier::Affirming, Some(2)),
        (Finding::Late, Some(Verdict::Intact), TrustTier::Warning, Some(2)),
        (Finding::Missing, None, TrustTier::Warning, None),
        (Finding::Altered, Some(Verdict::Altered), TrustTier::Contraindicated, Some(96)),
    ] {
        assert!(texts.insert(finding.to_string()));
        let nonce = [2, 0, 3, 0, 0, 0, 7];
        let appraisal =
            Appraisal { device: DEVICE, region: 1, function: "open_gate", nonce, finding, verdict };
        let token = signer.sign(&appraisal, now).unwrap();
        let ear = read(&token).unwrap();
        ear.validate().unwrap();
        assert_eq!((ear.profile.as_str(), ear.iat), (EAT_PROFILE, 1_795_000_000));
        assert_eq!(ear.vid.build, format!("smart-city-engine {}", env!("CARGO_PKG_VERSION")));
        assert_eq!(ear.submods.keys().collect::<Vec<_>>(), ["70b3d5fffe000001"]);
        let result = &ear.submods["70b3d5fffe000001"];
        assert_eq!(result.status, tier);
        assert_eq!(result.trust_vector.executables.is_set(), executables.is_some());
        assert_eq!(result.trust_vector.executables.get(), executables.unwrap_or(0));
        assert!(*result.nonce.as_ref().unwrap() == &[&DEVICE.0[..], &nonce].concat()[..]);
        assert_eq!(result.policy_ids.len(), 1);
        assert_eq!(result.attester_claims.is_empty(), verdict.is_none());
        assert_eq!(result.verifier_claims.len(), 3);

        // Nobody else's, and not changed.
        let stranger = Signer::from_pem(Signer::generate().unwrap().as_bytes()).unwrap();
        read(&stranger.sign(&appraisal, now).unwrap()).unwrap_err();
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = signer.sign(&Appraisal { region: 2, ..appraisal }, now).unwrap();
        parts[1] = other.split('.').nth(1).unwrap();
        read(&parts.join(".")).unwrap_err();
    }
}

#[test]
fn findings_have_the_tiers_of_ar4si() {
    let status = [Finding::Genuine, Finding::Late, Finding::Missing, Finding::Altered].map(Finding::status);
    assert_eq!(status, [Status::Affirming, Status::Warning, Status::Warning, Status::Contraindicated]);
    assert_eq!(serde_json::to_value(Status::Contraindicated).unwrap(), "contraindicated");
    assert_eq!(Status::default().to_string(), "none");
}

#[test]
fn a_keyed_hash_is_of_the_key_and_the_message() {
    let pems = [0; 2].map(|_| Signer::generate().unwrap());
    let hashes =
        |pem: &str| [b"one", b"two"].map(|text| Signer::from_pem(pem.as_bytes()).unwrap().keyed_hash(text));
    let [first, second] = [hashes(&pems[0]), hashes(&pems[1])];
    assert_eq!(first, hashes(&pems[0]));
    assert!(first[0] != first[1] && first[0] != second[0] && second[0] != second[1]);
}

#[test]
fn keys_are_checked_and_not_shown() {
    let error = Signer::from_pem(b"no key").unwrap_err();
    assert_eq!(error.to_string(), "no private key on P-256 in PEM (PKCS #8)");
    let pem = Signer::generate().unwrap();
    let shown = format!("{:?}", Signer::from_pem(pem.as_bytes()).unwrap());
    assert!(shown.starts_with("Signer { key_id: ") && shown.len() < 80, "{shown}");
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    let appraisal = Appraisal {
        device: DEVICE,
        region: 1,
        function: "",
        nonce: [0; 7],
        finding: Finding::Missing,
        verdict: None,
    };
    Signer::from_pem(pem.as_bytes()).unwrap().sign(&appraisal, before).unwrap_err();
}

/// A function of this very image.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn a_function_of_this_image(argument: u32) -> u32 {
    argument.wrapping_mul(0x9E37_79B9) ^ argument.rotate_left(7)
}

#[test]
fn reference_values_come_from_an_image_or_a_file_of_code() {
    assert_ne!(a_function_of_this_image(3), a_function_of_this_image(4));
    assert_eq!(reference_code(b"\x01\x02code", "open_gate").unwrap(), b"\x01\x02code");
    let elf = fs::read(env::current_exe().unwrap()).unwrap();
    let code = reference_code(&elf, "a_function_of_this_image").unwrap();
    assert!(!code.is_empty() && code.len() < 500, "{}", code.len());
    let error = reference_code(&elf, "no_such_function").unwrap_err();
    assert_eq!(error.to_string(), "the image has no function no_such_function");
    assert_eq!(reference_code(b"\x7fELF?", "open_gate").unwrap_err().to_string(), "the image is no ELF file");
}
