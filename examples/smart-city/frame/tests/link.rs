//! Orders, losses, limits, and what a wrong caller gets.

use proptest::prelude::*;
use smart_city_frame::{
    ALL_REGIONS, Challenge, Class, ContentError, DeviceId, DeviceLink, Epoch, Evidence, GatewayLink, Header,
    HeaderError, Instruction, Kind, LinkState, MAX_PAYLOAD_LEN, OVERHEAD, OpenError, Opened, Receipt,
    RootKey, SealError, Stream, Up, Verdict, seal_epoch_request,
};

const DEVICE: DeviceId = DeviceId([0, 1, 2, 3, 4, 5, 6, 7]);

fn root() -> RootKey {
    RootKey::new([0x42; 16])
}

fn ends() -> (DeviceLink, GatewayLink) {
    (DeviceLink::new(&root(), DEVICE, Epoch(9)), GatewayLink::new(&root(), DEVICE, Epoch(9)))
}

fn stream() -> Stream {
    Stream { id: 1.try_into().unwrap(), class: Class::Confidential }
}

#[test]
fn shards_are_known_answers_and_spread() {
    // The address is the state of SplitMix64 after its first step from seed 0; the first number is then e220a8397b1dcdaf.
    let id = DeviceId([0x9e, 0x37, 0x79, 0xb9, 0x7f, 0x4a, 0x7c, 0x15]);
    assert_eq!([0, 1, 16, u16::MAX].map(|shards| id.shard(shards)), [0, 0, 15, 54_055]);
    assert_eq!(Up { device: id, shards: None }.to_string(), format!("up/{id}"));
    assert_eq!(Up { device: id, shards: Some(16) }.to_string(), format!("up/15/{id}"));
    let ids =
        |step: u64| (0..16_000).map(move |i| DeviceId((0x70b3_d5ff_fe00_0000 + i * step).to_be_bytes()));
    assert_eq!(ids(1).take(8).map(|id| id.shard(16)).collect::<Vec<_>>(), [12, 8, 5, 6, 1, 10, 14, 10]);
    for step in [1, 16, 256, 65_536] {
        let mut counts = [0; 16];
        ids(step).for_each(|id| counts[usize::from(id.shard(16))] += 1);
        assert!(counts.iter().all(|count| (900..1120).contains(count)), "{step}: {counts:?}");
    }
}

#[test]
fn frames_come_late_and_once() {
    let (mut device, mut gateway) = ends();
    let frames: Vec<Vec<u8>> =
        (0..100u8).map(|i| device.seal_reading(stream(), &[i], &mut [0; 64]).unwrap().to_vec()).collect();
    let mut open = |i: usize| {
        gateway.open_reading(DEVICE, stream(), &mut frames[i].clone()).map(|opened| opened.content[0])
    };
    assert_eq!(open(99), Ok(99));
    assert_eq!(open(35), Ok(35), "64 below the newest");
    assert_eq!(open(34), Err(OpenError::TooOld));
    for i in [99, 35] {
        assert_eq!(open(i), Err(OpenError::Replayed));
    }
    assert_eq!((36..99).map(&mut open).collect::<Result<Vec<_>, _>>(), Ok((36..99).collect()));
}

/// A forged frame with a far counter must not push genuine ones out of the window.
#[test]
fn forgeries_do_not_move_the_window() {
    let (mut device, mut gateway) = ends();
    let genuine = device.seal_reading(stream(), b"21.5 C", &mut [0; 64]).unwrap().to_vec();
    let mut forged = genuine.clone();
    forged[3..6].fill(0xFF);
    assert_eq!(gateway.open_reading(DEVICE, stream(), &mut forged), Err(OpenError::Rejected));
    assert_eq!(forged[6..12], [0; 6], "no bytes of the attacker's choice");
    let mut genuine = genuine;
    let opened = gateway.open_reading(DEVICE, stream(), &mut genuine);
    assert_eq!(opened, Ok(Opened { counter: [0; 3], content: &b"21.5 C"[..] }));
}

#[test]
fn failures_are_limited() {
    let (mut device, mut gateway) = ends();
    let genuine = device.seal_reading(stream(), b"21.5 C", &mut [0; 64]).unwrap().to_vec();
    for _ in 0..1024 {
        let mut forged = genuine.clone();
        forged[10] ^= 1;
        assert_eq!(gateway.open_reading(DEVICE, stream(), &mut forged), Err(OpenError::Rejected));
    }
    let mut genuine = genuine;
    assert_eq!(gateway.open_reading(DEVICE, stream(), &mut genuine), Err(OpenError::TooManyFailures));
}

/// Both ends stop at 2^20 blocks, and say so before.
#[test]
fn blocks_are_limited() {
    let (mut device, mut gateway) = ends();
    let mut buffer = [0; 255];
    // 2 blocks of associated data, 31 of the payload, and one.
    let (frames, left) = ((1 << 20) / 34, (1 << 20) % 34);
    assert_eq!((frames, left), (30_840, 16));
    for _ in 0..frames {
        let frame = device.seal_reading(stream(), &[7; MAX_PAYLOAD_LEN], &mut buffer).unwrap();
        gateway.open_reading(DEVICE, stream(), frame).unwrap();
    }
    assert!(device.needs_new_epoch(17) && !device.needs_new_epoch(16));
    assert!(gateway.needs_new_epoch(17) && !gateway.needs_new_epoch(16));
    let sealed = device.seal_reading(stream(), &[7; MAX_PAYLOAD_LEN], &mut buffer);
    assert_eq!(sealed.map(drop), Err(SealError::LimitReached));
    assert_eq!(buffer[6..6 + MAX_PAYLOAD_LEN], [0; MAX_PAYLOAD_LEN], "no plaintext is left");
    // A shorter one still fits; but a forgery before it has used up the receiver's key.
    let frame = device.seal_reading(stream(), &[7; 104], &mut buffer).unwrap();
    assert!(device.needs_new_epoch(1));
    let mut forged = frame.to_vec();
    forged[20] ^= 1;
    assert_eq!(gateway.open_reading(DEVICE, stream(), &mut forged).unwrap_err(), OpenError::Rejected);
    assert_eq!(gateway.open_reading(DEVICE, stream(), frame).unwrap_err(), OpenError::LimitReached);
}

#[test]
fn directions_and_epochs_have_keys_of_their_own() {
    let (mut device, _) = ends();
    let mut buffer = [0; 64];
    let frame = device.seal_reading(stream(), b"21.5 C", &mut buffer).unwrap();
    let mut other = GatewayLink::new(&root(), DEVICE, Epoch(10));
    assert_eq!(other.open_reading(DEVICE, stream(), frame), Err(OpenError::OtherEpoch(Epoch(9))));
    // Decided from the header: the right link still opens it.
    assert!(GatewayLink::new(&root(), DEVICE, Epoch(9)).open_reading(DEVICE, stream(), frame).is_ok());
    let frame = device.seal_reading(stream(), b"21.5 C", &mut buffer).unwrap();
    assert_eq!(device.open_instruction(DEVICE, frame).unwrap_err(), OpenError::OtherKind(Kind::Reading));
}

/// Whatever epochs were lost, the next frame tells its own.
#[test]
fn frames_tell_their_epoch() {
    for epoch in [0, 1, 9, 0xFF, 0x100, 0x109, 0x1FF, Epoch::LAST.0] {
        let mut device = DeviceLink::new(&root(), DEVICE, Epoch(epoch));
        let mut buffer = [0; 64];
        let frame = device.seal_reading(stream(), b"21.5 C", &mut buffer).unwrap();
        assert_eq!(Header::parse(frame).unwrap().epoch, Epoch(epoch));
        if epoch != 9 {
            let other = ends().1.open_reading(DEVICE, stream(), frame).map(drop);
            assert_eq!(other, Err(OpenError::OtherEpoch(Epoch(epoch))));
        }
        let mut gateway = GatewayLink::new(&root(), DEVICE, Epoch(epoch));
        assert!(gateway.open_reading(DEVICE, stream(), frame).is_ok());
    }
}

/// A frame that claims another epoch than it was sealed in opens in neither.
#[test]
fn an_epoch_cannot_be_claimed() {
    let mut frame = ends().0.seal_reading(stream(), b"21.5 C", &mut [0; 64]).unwrap().to_vec();
    frame[1..3].copy_from_slice(&10u16.to_be_bytes());
    let mut next = GatewayLink::new(&root(), DEVICE, Epoch(10));
    assert_eq!(next.open_reading(DEVICE, stream(), &mut frame), Err(OpenError::Rejected));
}

#[test]
fn a_challenge_is_the_instructions_nonce() {
    let (mut device, mut gateway) = ends();
    let instruction = Instruction { region: 0x0203, argument: b"on" };
    for counter in [0, 2, 4] {
        let mut buffer = [0; 64];
        let (frame, sent) = gateway.seal_instruction(&instruction, &mut buffer).unwrap();
        let (received, challenge) = device.open_instruction(DEVICE, frame).unwrap();
        assert_eq!((received, &challenge), (instruction, &sent));
        assert_eq!(challenge.nonce(), [2, 0, 9, 0, 0, 0, counter]);
        assert_eq!((challenge.epoch(), challenge.counter()), (Epoch(9), [0, 0, counter]));

        // What comes twice gives no second challenge.
        let (frame, _) = gateway.seal_instruction(&instruction, &mut buffer).unwrap();
        let mut again = frame.to_vec();
        assert!(device.open_instruction(DEVICE, frame).is_ok());
        assert_eq!(device.open_instruction(DEVICE, &mut again).unwrap_err(), OpenError::Replayed);

        let evidence = Evidence {
            epoch: challenge.epoch(),
            counter: challenge.counter(),
            region: 0x0203,
            verdict: Verdict::Altered,
            tag: [7; 8],
        };
        let mut buffer = [0; 64];
        let frame = device.seal_evidence(&evidence, &mut buffer).unwrap();
        let mut again = frame.to_vec();
        assert_eq!(gateway.open_evidence(DEVICE, frame).map(|opened| opened.content), Ok(evidence));
        assert_eq!(gateway.open_evidence(DEVICE, &mut again).unwrap_err(), OpenError::Replayed);
    }
}

#[test]
fn receipts_name_what_was_opened_and_stored() {
    let (mut device, mut gateway) = ends();
    let mut buffer = [0; 64];
    let counters: Vec<[u8; 3]> = (0..100)
        .map(|i| {
            let frame = device.seal_reading(stream(), &[i], &mut buffer).unwrap();
            Header::parse(frame).unwrap().counter
        })
        .collect();
    // Out of order, and only these.
    let stored = [70, 3, 7, 71, 20, 8];
    let mut receipt = Receipt::new(counters[70]);
    stored[1..].iter().for_each(|i| receipt.add(counters[*i]));
    let frame = gateway.seal_receipt(&receipt, &mut buffer).unwrap();
    assert_eq!(frame.len(), Receipt::LEN + OVERHEAD);
    let received = device.open_receipt(DEVICE, &mut frame.to_vec()).unwrap();
    assert_eq!(received, receipt);
    // 3 and 7 are 64 and more before 71.
    let named: Vec<usize> = (0..100).filter(|i| received.has(counters[*i])).collect();
    assert_eq!(named, [8, 20, 70, 71]);
    assert_eq!(device.open_receipt(DEVICE, &mut frame.to_vec()), Err(OpenError::Replayed));

    // Nobody else's, and none of the epoch before.
    let frame = gateway.seal_receipt(&receipt, &mut buffer).unwrap();
    let mut next = DeviceLink::new(&root(), DEVICE, Epoch(10));
    assert_eq!(next.open_receipt(DEVICE, &mut frame.to_vec()), Err(OpenError::OtherEpoch(Epoch(9))));
    assert_eq!(device.open_instruction(DEVICE, frame).unwrap_err(), OpenError::OtherKind(Kind::Receipt));
}

#[test]
fn an_epoch_request_is_obeyed_once_and_in_its_epoch() {
    let (mut device, _) = ends();
    let request =
        |epoch| seal_epoch_request(&root(), DEVICE, Epoch(epoch), &mut [0; OVERHEAD]).unwrap().to_vec();
    assert_eq!(request(9), request(9), "the same bytes, or a nonce is repeated");
    assert_eq!(device.open_epoch_request(DEVICE, &mut request(8)), Err(OpenError::OtherEpoch(Epoch(8))));
    assert_eq!(
        device.open_epoch_request(DEVICE, &mut request(0x109)),
        Err(OpenError::OtherEpoch(Epoch(0x109)))
    );
    assert_eq!(device.open_epoch_request(DEVICE, &mut request(9)), Ok(()));
    assert_eq!(device.open_epoch_request(DEVICE, &mut request(9)), Err(OpenError::Replayed));
    let mut next = DeviceLink::new(&root(), DEVICE, Epoch(10));
    assert_eq!(next.epoch(), Epoch(10));
    assert_eq!(next.open_epoch_request(DEVICE, &mut request(9)), Err(OpenError::OtherEpoch(Epoch(9))));
    assert_eq!(next.open_epoch_request(DEVICE, &mut request(10)), Ok(()));
    assert_eq!(
        seal_epoch_request(&root(), DEVICE, Epoch(9), &mut [0; OVERHEAD - 1]).unwrap_err(),
        SealError::BufferTooSmall
    );
}

/// Forged frames use up what an epoch may reject, but never keep the request for a new one from being opened.
#[test]
fn an_epoch_request_is_opened_after_any_number_of_forged_frames() {
    let (mut device, mut gateway) = ends();
    let genuine = seal_epoch_request(&root(), DEVICE, Epoch(9), &mut [0; OVERHEAD]).unwrap().to_vec();
    let mut receipt = gateway.seal_receipt(&Receipt::new([0; 3]), &mut [0; 64]).unwrap().to_vec();
    let forged_receipt = [&receipt[..8], &[0; 17][..]].concat();
    for _ in 0..=1024 {
        assert!(device.open_receipt(DEVICE, &mut forged_receipt.clone()).is_err());
    }
    assert_eq!(device.open_receipt(DEVICE, &mut receipt), Err(OpenError::TooManyFailures));
    // More than failures are limited to, and than a key has blocks for.
    for i in 0..350_000 {
        let mut forged = genuine.clone();
        forged[6 + i % 8] ^= 1 << (i / 8 % 8);
        assert_eq!(device.open_epoch_request(DEVICE, &mut forged), Err(OpenError::Rejected));
    }
    // None with another counter or a payload is, whatever its tag is.
    for byte in 3..6 {
        let mut other = genuine.clone();
        other[byte] ^= 1;
        assert_eq!(device.open_epoch_request(DEVICE, &mut other), Err(OpenError::Rejected));
    }
    let mut longer = [&genuine[..], &[7; 3]].concat();
    assert_eq!(device.open_epoch_request(DEVICE, &mut longer), Err(OpenError::Rejected));
    assert_eq!(longer[6..9], [0; 3], "no bytes of the attacker's choice");
    assert_eq!(device.open_epoch_request(DEVICE, &mut genuine.clone()), Ok(()));
    assert_eq!(device.open_epoch_request(DEVICE, &mut genuine.clone()), Err(OpenError::Replayed));
}

#[test]
fn region_0_is_to_restore_another() {
    let (mut device, mut gateway) = ends();
    let mut buffer = [0; 64];
    let frame = gateway.seal_instruction(&Instruction::restore(&[2, 3]), &mut buffer).unwrap().0;
    let (instruction, _) = device.open_instruction(DEVICE, frame).unwrap();
    assert_eq!((instruction.restored_region(), instruction.examined_region()), (Some(0x0203), 0x0203));
    let other = Instruction { region: 7, argument: &[2, 3] };
    assert_eq!((other.restored_region(), other.examined_region()), (None, 7));
    for (argument, len) in [(&b"o"[..], 3), (b"on!", 5)] {
        let frame = gateway.seal_instruction(&Instruction { region: 0, argument }, &mut buffer).unwrap().0;
        let error = device.open_instruction(DEVICE, frame).unwrap_err();
        assert_eq!(error, OpenError::Content(ContentError::Length(len)));
    }
    // Without an argument it is to measure all.
    let frame = gateway.seal_instruction(&Instruction::EXAMINE_ALL, &mut buffer).unwrap().0;
    let (instruction, _) = device.open_instruction(DEVICE, frame).unwrap();
    assert_eq!((instruction, instruction.examined_region()), (Instruction::EXAMINE_ALL, ALL_REGIONS));
    assert_eq!(instruction.restored_region(), None);
}

/// No instruction of an epoch has the nonce of what is found at a start, as its key is used up before.
#[test]
fn the_challenge_of_a_start_is_no_instructions() {
    let start = Challenge::of_start(Epoch(9));
    assert_eq!(start.nonce(), [2, 0, 9, 0, 0xFF, 0xFF, 0xFF]);
    let evidence =
        Evidence { epoch: Epoch(9), counter: [0xFF; 3], region: 1, verdict: Verdict::Altered, tag: [0; 8] };
    assert_eq!(Challenge::named_in(&evidence), start);
    let (_, mut gateway) = ends();
    let mut buffer = [0; 64];
    let mut count = 0;
    while let Ok((_, challenge)) = gateway.seal_instruction(&Instruction::EXAMINE_ALL, &mut buffer) {
        assert_ne!(challenge, start);
        count += 1;
    }
    assert_eq!(count, (1 << 20) / 4);
}

#[test]
fn sizes_are_checked() {
    let (mut device, mut gateway) = ends();
    let mut buffer = [0; 300];
    let mut seal = |len: usize, room: usize| {
        device.seal_reading(stream(), &[7; 300][..len], &mut buffer[..room]).map(|frame| frame.len())
    };
    assert_eq!(seal(MAX_PAYLOAD_LEN, 300), Ok(255));
    assert_eq!(seal(MAX_PAYLOAD_LEN + 1, 300), Err(SealError::TooLong));
    assert_eq!(seal(6, 6 + OVERHEAD - 1), Err(SealError::BufferTooSmall));
    assert_eq!(seal(0, 0), Err(SealError::BufferTooSmall));
    assert_eq!(seal(6, 6 + OVERHEAD), Ok(6 + 14));
    let long = Instruction { region: 0, argument: &[0; MAX_PAYLOAD_LEN - 1] };
    assert_eq!(gateway.seal_instruction(&long, &mut buffer).unwrap_err(), SealError::TooLong);
}

#[test]
fn debug_shows_no_key() {
    let (device, gateway) = ends();
    let text = format!("{device:?} {gateway:?}");
    assert!(!text.contains("42, 42") && !text.contains("66, 66"), "{text}");
    assert!(text.starts_with("DeviceLink {") && text.contains(" GatewayLink {"), "{text}");
    let keys = format!("{:?} {:?}", root(), root().attest_key(DEVICE));
    assert_eq!(keys, "RootKey { .. } AttestKey { .. }");
}

/// As in topics: people and files compare them.
#[test]
fn devices_are_shown_as_hex() {
    assert_eq!(DEVICE.to_string(), "0001020304050607");
    assert_eq!(format!("{DEVICE:?}"), "DeviceId(0001020304050607)");
}

#[test]
fn errors_say_what_is_wrong() {
    for (error, text) in [
        (OpenError::Header(HeaderError::UnknownClass), "the frame's class is unknown"),
        (OpenError::Content(ContentError::Length(3)), "the payload must not have 3 bytes"),
        (OpenError::Content(ContentError::UnknownVerdict(9)), "the verdict 9 is unknown"),
        (
            OpenError::OtherClass { found: Class::Public, registered: Class::Internal },
            "the frame says class Public, the registry Internal",
        ),
        (OpenError::LimitReached, "the frame would pass the limit of blocks of this epoch"),
    ] {
        assert_eq!(error.to_string(), text);
        let is_within = matches!(error, OpenError::Header(_) | OpenError::Content(_));
        assert_eq!(std::error::Error::source(&error).is_some(), is_within, "{error}");
    }
    assert_eq!(SealError::TooLong.to_string(), "the payload is too long for a frame");
    assert_eq!(HeaderError::UnknownVersion(2).to_string(), "frames of version 2 are unknown");
}

proptest! {
    /// What the parser reads it writes again, and the errors are those of the first bytes.
    #[test]
    fn headers(frame in prop::collection::vec(any::<u8>(), 0..300)) {
        match Header::parse(&frame) {
            Ok(header) => prop_assert_eq!(&header.to_bytes()[..], &frame[..6]),
            Err(HeaderError::Truncated) => prop_assert!(frame.len() < 14),
            Err(HeaderError::TooLong) => prop_assert!(frame.len() > 255),
            Err(HeaderError::UnknownVersion(version)) => prop_assert!(version == frame[0] >> 5 && version != 1),
            Err(HeaderError::UnknownKind(kind)) => prop_assert!(kind == frame[0] >> 2 & 7 && kind > 4),
            Err(HeaderError::UnknownClass) => prop_assert!(frame[0] & 3 == 3),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// A receipt has the frames that were added and are less than 64 before the newest.
    #[test]
    fn receipts(added in prop::collection::vec(0..300u32, 1..100)) {
        let bytes = |counter: u32| -> [u8; 3] { counter.to_be_bytes()[1..].try_into().unwrap() };
        let mut receipt = Receipt::new(bytes(added[0]));
        let mut newest = added[0];
        let mut expected = vec![newest];
        for counter in &added[1..] {
            receipt.add(bytes(*counter));
            newest = newest.max(*counter);
            expected.push(*counter);
            expected.retain(|counter| newest - counter < 64);
        }
        for counter in 0..400 {
            prop_assert_eq!(receipt.has(bytes(counter)), expected.contains(&counter), "{}", counter);
            prop_assert_eq!(receipt.reaches(bytes(counter)), counter + 64 > newest, "{}", counter);
        }
    }

    /// Every payload and stream goes through, and any change of a bit does not.
    #[test]
    fn round_trips(
        payload in prop::collection::vec(any::<u8>(), 0..=MAX_PAYLOAD_LEN),
        id in 1..=u16::MAX,
        bit in any::<prop::sample::Index>(),
    ) {
        let (mut device, mut gateway) = ends();
        let stream = Stream { id: id.try_into().unwrap(), class: Class::Public };
        let mut buffer = [0; 255];
        let frame = device.seal_reading(stream, &payload, &mut buffer).unwrap();
        let bit = bit.index(8 * frame.len());
        let mut changed = frame.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(gateway.open_reading(DEVICE, stream, &mut changed).is_err());
        prop_assert_eq!(gateway.open_reading(DEVICE, stream, frame).unwrap().content, payload);
    }
}

/// Another gateway goes on in the epoch: nothing is opened twice, no nonce comes again, and what was used up stays so.
#[test]
fn a_link_goes_on_elsewhere() {
    let (mut device, mut gateway) = ends();
    let readings: Vec<Vec<u8>> =
        (0..8u8).map(|i| device.seal_reading(stream(), &[i], &mut [0; 64]).unwrap().to_vec()).collect();
    let open = |gateway: &mut GatewayLink, i: usize| {
        gateway.open_reading(DEVICE, stream(), &mut readings[i].clone()).map(|opened| opened.content[0])
    };
    let mut forged = readings[7].clone();
    forged[10] ^= 1;
    let mut used_counters = Vec::new();
    for round in 0..3 {
        // The first one of the round is late, and so it is not opened any more.
        let next = 2 * round + 1;
        assert_eq!(open(&mut gateway, next), Ok(u8::try_from(next).unwrap()));
        for _ in 0..300 {
            let result = gateway.open_reading(DEVICE, stream(), &mut forged.clone()).map(drop);
            assert_eq!(result, Err(OpenError::Rejected));
        }
        for _ in 0..2 {
            let mut buffer = [0; 64];
            let instruction = Instruction { region: 1, argument: b"" };
            let (frame, challenge) = gateway.seal_instruction(&instruction, &mut buffer).unwrap();
            used_counters.push(challenge.counter());
            assert!(device.open_instruction(DEVICE, frame).is_ok());
        }
        let state = gateway.suspend();
        assert_eq!(state.epoch(), Epoch(9));
        assert_eq!(LinkState::from_bytes(state.to_bytes()), state);
        // It is of this device and root key alone, and damage shows.
        assert!(GatewayLink::resume(&RootKey::new([0x43; 16]), DEVICE, &state).is_none());
        assert!(GatewayLink::resume(&root(), DeviceId([7; 8]), &state).is_none());
        for i in 0..LinkState::LEN {
            let mut bytes = state.to_bytes();
            bytes[i] ^= 4;
            assert!(
                GatewayLink::resume(&root(), DEVICE, &LinkState::from_bytes(bytes)).is_none(),
                "byte {i}"
            );
        }
        gateway = GatewayLink::resume(&root(), DEVICE, &state).unwrap();
        for i in 0..=next {
            assert_eq!(open(&mut gateway, i), Err(OpenError::Replayed), "{i}");
        }
    }
    assert_eq!(used_counters, [0, 1, 2, 3, 4, 5].map(|counter| [0, 0, counter]));
    // 900 frames were rejected by the three links together.
    let last = device.seal_reading(stream(), b"", &mut [0; 64]).unwrap().to_vec();
    let mut forged = last.clone();
    forged[7] ^= 1;
    let mut reject = || gateway.open_reading(DEVICE, stream(), &mut forged.clone()).map(drop);
    for _ in 900..1024 {
        assert_eq!(reject(), Err(OpenError::Rejected));
    }
    assert_eq!(reject(), Err(OpenError::TooManyFailures));
}
