//! Measurements against OTR and the byte-wise reference, and what the detector makes of them.

use smart_city_detector::{
    AllowedValues, AttestKey, Challenge, Detector, Evidence, InvalidTable, Region, Verdict, Verifier,
};
use smart_city_frame::{ALL_REGIONS, DeviceId, DeviceLink, Epoch, GatewayLink, Instruction, RootKey};
use test_vectors::{AdProcessing, Cipher, reference};
use twine_otr_aead::{AeadInOut, Combined, KeyInit, Twine128Otr};

const DEVICE: DeviceId = DeviceId([7; 8]);

fn root() -> RootKey {
    RootKey::new(*b"a root of 16 byt")
}

fn key() -> AttestKey {
    root().attest_key(DEVICE)
}

/// Challenges as a device gets them, and as their sender has them.
fn challenges() -> impl FnMut(u16) -> (Challenge, Challenge) {
    let mut device = DeviceLink::new(&root(), DEVICE, Epoch(0x0304));
    let mut gateway = GatewayLink::new(&root(), DEVICE, Epoch(0x0304));
    move |region| {
        let mut buffer = [0; 64];
        let (frame, sent) =
            gateway.seal_instruction(&Instruction { region, argument: &[] }, &mut buffer).unwrap();
        let (_, received) = device.open_instruction(DEVICE, frame).unwrap();
        (received, sent)
    }
}

/// What is measured, as the documentation has it.
fn measured(region: u16, code: &[u8]) -> Vec<u8> {
    [&region.to_be_bytes()[..], &u32::try_from(code.len()).unwrap().to_be_bytes(), code].concat()
}

fn reference_tag(nonce: &[u8], region: u16, code: &[u8]) -> Vec<u8> {
    let key = key();
    let data = measured(region, code);
    reference::seal(Cipher::Twine128, AdProcessing::Combined, key.as_bytes(), nonce, &data, &[], 8).1
}

fn otr_tag(nonce: [u8; 7], region: u16, code: &[u8]) -> Vec<u8> {
    let otr = Twine128Otr::<Combined>::new(key().as_bytes().into());
    let tag = otr.encrypt_inout_detached(&nonce.into(), &measured(region, code), (&mut [][..]).into());
    tag.unwrap().to_vec()
}

fn code(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i % 251).to_le_bytes()[0]).collect()
}

fn region(id: u16, code: &[u8]) -> Region {
    let value = Verifier::new(&key()).allowed_value(id, code);
    Region { id, address: 0x1000, len: code.len().try_into().unwrap(), value }
}

/// Every length around the groups of four pairs, against both: the value of the table and the tag of the evidence.
#[test]
fn measurements_are_tags_of_otr() {
    let mut next = challenges();
    for len in (0..300).chain([1000, 2047, 2048, 2049]) {
        let (code, id) = (code(len), 0x0102);
        let value = region(id, &code).value;
        assert_eq!(value[..], reference_tag(&[0, 0, 0, 0, 0, 1, 2], id, &code), "{len}");
        assert_eq!(value[..], otr_tag([0, 0, 0, 0, 0, 1, 2], id, &code), "{len}");

        let (key, table) = (key(), region(id, &code).to_bytes());
        let detector = Detector::new(&key, AllowedValues::new(&table).unwrap());
        let (challenge, sent) = next(id);
        let nonce = challenge.nonce();
        let evidence = detector.examine(challenge, id, &code);
        assert_eq!(evidence.tag[..], reference_tag(&nonce, id, &code), "{len}");
        assert_eq!(evidence.tag[..], otr_tag(nonce, id, &code), "{len}");
        assert_eq!(evidence.verdict, Verdict::Intact);
        assert!(Verifier::new(&key).verify(&evidence, &sent, id, &code));
    }
}

#[test]
fn every_altered_bit_is_found() {
    let (key, mut next) = (key(), challenges());
    let code = code(77);
    let table = region(3, &code).to_bytes();
    let detector = Detector::new(&key, AllowedValues::new(&table).unwrap());
    for bit in 0..8 * code.len() {
        let mut altered = code.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let (challenge, sent) = next(3);
        let evidence = detector.examine(challenge, 3, &altered);
        assert_eq!(evidence.verdict, Verdict::Altered, "{bit}");
        assert!(!Verifier::new(&key).verify(&evidence, &sent, 3, &code), "{bit}");
        // It is evidence of what was there.
        assert!(Verifier::new(&key).verify(&evidence, &sent, 3, &altered), "{bit}");
        assert_eq!(detector.check(3, &altered), Verdict::Altered);
    }
    assert_eq!(detector.check(3, &code), Verdict::Intact);
}

/// No region, and code of another length: the evidence is that of no code, so that no verifier takes it for the right one.
#[test]
fn what_the_table_does_not_have_is_unknown() {
    let (key, mut next) = (key(), challenges());
    let right = code(40);
    let table = region(3, &right).to_bytes();
    let detector = Detector::new(&key, AllowedValues::new(&table).unwrap());
    for (id, code) in [(4, &right[..]), (3, &right[..39]), (3, &[]), (3, &[0; 41])] {
        let (challenge, sent) = next(id);
        let evidence = detector.examine(challenge, id, code);
        assert_eq!((evidence.verdict, evidence.region), (Verdict::Unknown, id));
        let verifier = Verifier::new(&key);
        assert!(!verifier.verify(&evidence, &sent, id, &right));
        assert!(verifier.verify(&evidence, &sent, id, &[]));
        assert_eq!(detector.check(id, code), Verdict::Unknown);
    }
}

#[test]
fn evidence_answers_one_challenge_of_one_region_and_device() {
    let (key, mut next) = (key(), challenges());
    let code = code(40);
    let table = [region(3, &code).to_bytes(), region(4, &code).to_bytes()].concat();
    let detector = Detector::new(&key, AllowedValues::new(&table).unwrap());
    let ((challenge, sent), (_, later)) = (next(3), next(3));
    let evidence = detector.examine(challenge, 3, &code);
    let verifier = Verifier::new(&key);
    assert!(verifier.verify(&evidence, &sent, 3, &code));
    assert!(!verifier.verify(&evidence, &later, 3, &code));
    assert!(!verifier.verify(&Evidence { counter: later.counter(), ..evidence }, &later, 3, &code));
    assert!(!verifier.verify(&evidence, &sent, 4, &code));
    assert!(!verifier.verify(&Evidence { region: 4, ..evidence }, &sent, 4, &code));
    assert!(!verifier.verify(&Evidence { epoch: Epoch(0x0305), ..evidence }, &sent, 3, &code));
    let other = root().attest_key(DeviceId([8; 8]));
    assert!(!Verifier::new(&other).verify(&evidence, &sent, 3, &code));
    // The same code has another value in another region.
    assert_ne!(region(3, &code).value, region(4, &code).value);
    // The verdict is not what a verifier believes.
    assert!(verifier.verify(&Evidence { verdict: Verdict::Altered, ..evidence }, &sent, 3, &code));
}

/// Evidence of all regions is the sum of the evidence of each.
#[test]
fn all_regions_are_examined_at_once() {
    let (key, mut next) = (key(), challenges());
    let codes = [(1, code(40)), (2, code(300)), (7, code(1))];
    let table: Vec<u8> = codes.iter().flat_map(|(id, code)| region(*id, code).to_bytes()).collect();
    let detector = Detector::new(&key, AllowedValues::new(&table).unwrap());
    let verifier = Verifier::new(&key);
    let all = || codes.iter().map(|(id, code)| (*id, &code[..]));
    let of = |id| &codes.iter().find(|(own, _)| *own == id).unwrap().1[..];

    let (challenge, sent) = next(ALL_REGIONS);
    let evidence = detector.examine_all(challenge, |region| of(region.id));
    assert_eq!((evidence.region, evidence.verdict), (ALL_REGIONS, Verdict::Intact));
    let mut sum = [0; 8];
    for (id, code) in all() {
        sum.iter_mut().zip(reference_tag(&sent.nonce(), id, code)).for_each(|(sum, byte)| *sum ^= byte);
    }
    assert_eq!(evidence.tag[..], sum);
    assert!(verifier.verify_all(&evidence, &sent, all()));
    assert!(verifier.verify_all(&evidence, &sent, all().collect::<Vec<_>>().into_iter().rev()));
    // For another challenge, with a region less or of another number, or as evidence of one region.
    assert!(!verifier.verify_all(&evidence, &next(ALL_REGIONS).1, all()));
    assert!(!verifier.verify_all(&evidence, &sent, all().skip(1)));
    assert!(!verifier.verify_all(&evidence, &sent, all().map(|(id, code)| (id + 1, code))));
    assert!(!verifier.verify_all(&Evidence { region: 1, ..evidence }, &sent, all()));
    assert!(!verifier.verify(&Evidence { region: 1, ..evidence }, &sent, 1, of(1)));

    // A bit in any region: the evidence is that of the first one that has one.
    for (altered, found) in [([1].as_slice(), 1), (&[2], 2), (&[7], 7), (&[2, 7], 2), (&[1, 7], 1)] {
        let mut wrong = codes.clone();
        for (_, code) in wrong.iter_mut().filter(|(id, _)| altered.contains(id)) {
            *code.last_mut().unwrap() ^= 0x80;
        }
        let wrong_of = |id| &wrong.iter().find(|(own, _)| *own == id).unwrap().1[..];
        let (challenge, sent) = next(ALL_REGIONS);
        let evidence = detector.examine_all(challenge, |region| wrong_of(region.id));
        assert_eq!((evidence.region, evidence.verdict), (found, Verdict::Altered));
        assert!(!verifier.verify_all(&evidence, &sent, all()));
        assert!(!verifier.verify(&evidence, &sent, found, of(found)));
        assert!(verifier.verify(&evidence, &sent, found, wrong_of(found)));
    }
    // Code that is not there.
    let (challenge, _) = next(ALL_REGIONS);
    let evidence = detector.examine_all(challenge, |region| if region.id == 2 { &[] } else { of(region.id) });
    assert_eq!((evidence.region, evidence.verdict), (2, Verdict::Unknown));
}

#[test]
fn tables_are_checked() {
    let entries = [1, 2, 0x0100, 0xFFFF].map(|id| Region { id, ..region(id, &code(20)) }.to_bytes());
    let bytes = entries.concat();
    let table = AllowedValues::new(&bytes).unwrap();
    assert_eq!(table.iter().map(|region| region.id).collect::<Vec<_>>(), [1, 2, 0x0100, 0xFFFF]);
    assert_eq!(table.get(2), Some(region(2, &code(20))));
    assert_eq!(table.get(3), None);
    assert_eq!(AllowedValues::new(&[]).unwrap().get(0), None);
    assert_eq!(AllowedValues::new(&bytes[..71]), Err(InvalidTable::Length(71)));
    let swapped = [entries[1], entries[0]].concat();
    assert_eq!(AllowedValues::new(&swapped), Err(InvalidTable::Order(1)));
    let twice = [entries[1], entries[1]].concat();
    let zero = [&[0; 2][..], &bytes[2..18]].concat();
    assert_eq!(AllowedValues::new(&zero), Err(InvalidTable::Order(0)));
    assert_eq!(AllowedValues::new(&twice), Err(InvalidTable::Order(2)));
    assert_eq!(InvalidTable::Length(71).to_string(), "71 bytes are not a whole number of entries");
    assert_eq!(InvalidTable::Order(2).to_string(), "region 2 is out of order");
}
