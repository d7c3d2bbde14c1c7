//! The link makes and opens the frames of the byte-wise model, and refuses the changed ones for the right reason.

use smart_city_frame::{
    Class, DeviceId, DeviceLink, Epoch, Evidence, GatewayLink, Instruction, OpenError, Receipt, RootKey,
    Stream, Verdict, seal_epoch_request,
};
use smart_city_frame_vectors::{Test, file, frames, model};

fn class(test: &Test) -> Class {
    [Class::Public, Class::Internal, Class::Confidential][usize::from(test.class)]
}

fn root(test: &Test) -> RootKey {
    RootKey::new(test.root.as_slice().try_into().unwrap())
}

fn ends(test: &Test) -> (DeviceId, DeviceLink, GatewayLink) {
    let root = root(test);
    let device = DeviceId(test.device.as_slice().try_into().unwrap());
    let epoch = Epoch(test.epoch);
    (device, DeviceLink::new(&root, device, epoch), GatewayLink::new(&root, device, epoch))
}

fn stream(test: &Test) -> Stream {
    Stream { id: test.stream.try_into().unwrap(), class: class(test) }
}

/// The payload of a frame that opens.
fn open(test: &Test) -> Result<Vec<u8>, OpenError> {
    let (device, mut link, mut gateway) = ends(test);
    let mut frame = test.frame.clone();
    match test.kind.as_str() {
        "reading" => {
            gateway.open_reading(device, stream(test), &mut frame).map(|opened| opened.content.to_vec())
        }
        "evidence" => {
            gateway.open_evidence(device, &mut frame).map(|opened| opened.content.to_bytes().to_vec())
        }
        "instruction" => link
            .open_instruction(device, &mut frame)
            .map(|(instruction, _)| [&instruction.region.to_be_bytes(), instruction.argument].concat()),
        "receipt" => link.open_receipt(device, &mut frame).map(|receipt| receipt.to_bytes().to_vec()),
        "epoch request" => link.open_epoch_request(device, &mut frame).map(|()| Vec::new()),
        other => panic!("{other}"),
    }
}

/// The receipt with these bytes, made of the frames that they name.
fn receipt(bytes: &[u8]) -> Receipt {
    let newest = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
    let stored = u64::from_be_bytes(bytes[3..].try_into().unwrap());
    let mut frames = (0..64)
        .filter(|back| stored >> back & 1 == 1)
        .map(|back| newest.checked_sub(back).unwrap().to_be_bytes()[1..].try_into().unwrap());
    let mut receipt = Receipt::new(frames.next().unwrap());
    frames.for_each(|counter| receipt.add(counter));
    receipt
}

fn evidence(bytes: &[u8]) -> Evidence {
    Evidence {
        epoch: Epoch(u16::from_be_bytes([bytes[0], bytes[1]])),
        counter: bytes[2..5].try_into().unwrap(),
        region: u16::from_be_bytes([bytes[5], bytes[6]]),
        verdict: [Verdict::Intact, Verdict::Altered, Verdict::Unknown][usize::from(bytes[7])],
        tag: bytes[8..].try_into().unwrap(),
    }
}

/// Seals the test's payload as often as its counter says, and once more.
fn seal(test: &Test) -> Vec<u8> {
    let (device, mut link, mut gateway) = ends(test);
    let mut buffer = [0xA5; 255];
    let mut sealed = Vec::new();
    for _ in 0..=test.counter {
        let frame = match test.kind.as_str() {
            "reading" => link.seal_reading(stream(test), &test.payload, &mut buffer).unwrap(),
            "evidence" => link.seal_evidence(&evidence(&test.payload), &mut buffer).unwrap(),
            "receipt" => gateway.seal_receipt(&receipt(&test.payload), &mut buffer).unwrap(),
            "epoch request" => {
                seal_epoch_request(&root(test), device, Epoch(test.epoch), &mut buffer).unwrap()
            }
            _ => {
                let (region, argument) = test.payload.split_first_chunk().unwrap();
                let instruction = Instruction { region: u16::from_be_bytes(*region), argument };
                gateway.seal_instruction(&instruction, &mut buffer).unwrap().0
            }
        };
        sealed = frame.to_vec();
    }
    sealed
}

#[test]
fn committed_file_is_what_the_model_makes() {
    assert!(frames() == file(), "run `cargo run -p smart-city-frame-vectors -- json`");
}

#[test]
fn frames_are_those_of_the_model() {
    let file = frames();
    assert_eq!(file.tests.len(), file.number_of_tests);
    let valid = file.tests.iter().filter(|test| test.result == "Valid");
    assert_eq!(valid.clone().count(), 40);
    for test in valid {
        assert_eq!(seal(test), test.frame, "tcId {}", test.tc_id);
        assert_eq!(open(test).as_ref(), Ok(&test.payload), "tcId {}", test.tc_id);
    }
}

#[test]
fn changed_frames_are_refused_for_the_right_reason() {
    let file = frames();
    let invalid = file.tests.iter().filter(|test| test.result != "Valid");
    assert!(invalid.clone().count() > 150);
    for test in invalid {
        let error = format!("{:?}", open(test).expect_err(&test.comment));
        assert!(error.starts_with(&test.result), "tcId {}, {}: {error}", test.tc_id, test.comment);
    }
}

/// What a gateway stores for ever: another derivation would forget every device.
#[test]
fn fingerprints_are_the_models() {
    for (key, device) in [([0x42; 16], *b"device 1"), ([0x42; 16], *b"device 2"), ([0x43; 16], *b"device 1")]
    {
        let fingerprint = RootKey::new(key).fingerprint(DeviceId(device));
        assert_eq!(fingerprint[..], model::derive(&key, "smart-city v1 fingerprint", &device));
    }
}
