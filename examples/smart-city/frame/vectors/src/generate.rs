//! The vectors: valid frames, and changed ones.

use test_vectors::generate::Stream as Bytes;

use crate::{File, Test, model};

const KINDS: [&str; 5] = ["reading", "evidence", "instruction", "receipt", "epoch request"];

/// A frame to be sealed, and how it is received.
#[derive(Clone)]
struct Case {
    root: Vec<u8>,
    device: Vec<u8>,
    epoch: u16,
    kind: u8,
    stream: u16,
    class: u8,
    counter: u32,
    payload: Vec<u8>,
}

impl Case {
    fn model(&self) -> model::Frame<'_> {
        let Self { root, device, epoch, kind, stream, class, counter, payload } = self;
        model::Frame {
            root,
            device,
            epoch: *epoch,
            kind: *kind,
            stream: *stream,
            class: *class,
            counter: *counter,
            payload,
        }
    }

    fn test(&self, comment: &str, frame: Vec<u8>, result: &str) -> Test {
        let model = self.model();
        Test {
            tc_id: 0,
            comment: comment.to_owned(),
            root: self.root.clone(),
            device: self.device.clone(),
            epoch: self.epoch,
            kind: KINDS[usize::from(self.kind)].to_owned(),
            stream: self.stream,
            class: self.class,
            counter: self.counter,
            key: model::link_key(&self.root, model.direction(), &self.device, self.epoch),
            payload: self.payload.clone(),
            frame,
            result: result.to_owned(),
        }
    }

    fn valid(&self, comment: &str) -> Test {
        self.test(comment, self.model().seal(), "Valid")
    }
}

/// All vectors.
#[must_use]
pub fn file() -> File {
    let mut bytes = Bytes::new("frames", 0);
    let mut case = |kind, len| Case {
        root: bytes.bytes(16),
        device: bytes.bytes(8),
        epoch: 0x0102,
        kind,
        stream: if kind == 0 { 0x0304 } else { 0 },
        class: if kind == 0 { 1 } else { 2 },
        counter: if kind == 4 { 0 } else { 5 },
        payload: bytes.bytes(len),
    };
    let mut tests = Vec::new();

    for len in [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 241] {
        tests.push(case(0, len).valid(&format!("reading of {len} bytes")));
    }
    for class in [0, 2] {
        tests.push(Case { class, ..case(0, 6) }.valid(&format!("class {class}")));
    }
    for (epoch, counter) in [(0, 0), (0xFF, 1), (0x100, 255), (0xFFFF, 256)] {
        tests.push(Case { epoch, counter, ..case(0, 6) }.valid(&format!("epoch {epoch}, counter {counter}")));
    }
    for stream in [1, 0xFFFF] {
        tests.push(Case { stream, ..case(0, 6) }.valid(&format!("stream {stream}")));
    }
    for verdict in 0..3 {
        let mut case = case(1, 16);
        case.payload[7] = verdict;
        tests.push(case.valid(&format!("evidence with verdict {verdict}")));
    }
    for len in [2, 3, 10, 241] {
        tests.push(case(2, len).valid(&format!("instruction of {len} bytes")));
    }

    for region in [0, 7] {
        let mut case = case(2, 4);
        case.payload[..2].copy_from_slice(&[0, region]);
        tests.push(case.valid(if region == 0 { "instruction to restore a region" } else { "instruction" }));
    }
    let mut receipt = |newest: u32, stored: u64| {
        let payload = [&newest.to_be_bytes()[1..], &stored.to_be_bytes()].concat();
        Case { payload, ..case(3, 0) }
    };
    for (newest, stored) in [(0, 1), (2, 0b101), (63, u64::MAX), (0xFF_FFFF, 1 << 63 | 1)] {
        tests.push(receipt(newest, stored).valid(&format!("receipt of {newest} and {stored:b}")));
    }
    for epoch in [0, 0xFFFF] {
        tests.push(Case { epoch, ..case(4, 0) }.valid(&format!("epoch request for epoch {epoch}")));
    }

    for (kind, len) in [(0, 0), (0, 21), (1, 16), (2, 12), (3, 11), (4, 0)] {
        let mut case = case(kind, len);
        match kind {
            1 => case.payload[7] = 0,
            3 => case.payload[..3].copy_from_slice(&[0, 1, 0]),
            _ => {}
        }
        changed(&case, &mut tests);
    }
    for (kind, len) in [(1, 15), (1, 17), (2, 0), (2, 1), (3, 10), (3, 12), (4, 1)] {
        let case = case(kind, len);
        tests.push(case.test(
            &format!("{} of {len} bytes", KINDS[usize::from(kind)]),
            case.model().seal(),
            // A device looks at no tag of an epoch request but that of the only one that there is.
            if kind == 4 { "Rejected" } else { "Content(Length" },
        ));
    }
    for len in [3, 5] {
        let mut case = case(2, len);
        case.payload[..2].fill(0);
        tests.push(case.test(
            &format!("instruction of {len} bytes to restore a region"),
            case.model().seal(),
            "Content(Length",
        ));
    }
    let mut case = case(1, 16);
    case.payload[7] = 3;
    tests.push(case.test("evidence with verdict 3", case.model().seal(), "Content(UnknownVerdict(3"));

    let all = Case { kind: 2, payload: vec![0; 2], ..case };
    tests.push(all.valid("challenge to measure all regions"));

    for (tc_id, test) in (1..).zip(&mut tests) {
        test.tc_id = tc_id;
    }
    File {
        algorithm: "smart-city frame v1".to_owned(),
        source: "Generated by the byte-wise model in src/model.rs over the reference of test-vectors. Inputs: the stream of \
                 test-vectors, label frames."
            .to_owned(),
        number_of_tests: tests.len(),
        tests,
    }
}

/// What a receiver must refuse, each way made from `case`.
fn changed(case: &Case, tests: &mut Vec<Test>) {
    let genuine = case.model().seal();
    let flipped = |at: usize, bits: u8| {
        let mut frame = genuine.clone();
        frame[at] ^= bits;
        frame
    };
    let mut push =
        |comment: &str, frame: Vec<u8>, result: &str| tests.push(case.test(comment, frame, result));

    for len in [0, 1, 6, 13] {
        push(&format!("cut to {len} bytes"), genuine[..len].to_vec(), "Header(Truncated");
    }
    push("256 bytes", [&genuine[..], &[0; 256]].concat()[..256].to_vec(), "Header(TooLong");
    push("version 0", flipped(0, 0x20), "Header(UnknownVersion(0");
    push("version 3", flipped(0, 0x40), "Header(UnknownVersion(3");
    for kind in 5..8 {
        push(
            &format!("kind {kind}"),
            flipped(0, (kind ^ case.kind) << 2),
            &format!("Header(UnknownKind({kind}"),
        );
    }
    push("class 3", flipped(0, 3 ^ case.class), "Header(UnknownClass");
    let other_class = if case.class == 1 { 0 } else { 1 };
    push("relabelled with another class", flipped(0, case.class ^ other_class), "OtherClass");
    push(
        "relabelled with another kind",
        flipped(0, (case.kind ^ if case.kind == 0 { 1 } else { 0 }) << 2),
        "OtherKind",
    );
    push("another epoch", flipped(2, 1), "OtherEpoch");
    push("an epoch with the same low byte", flipped(1, 1), "OtherEpoch");
    for at in 3..genuine.len() {
        push(&format!("bit of byte {at}"), flipped(at, 1 << (at % 8)), "Rejected");
    }
    if genuine.len() > 14 {
        push("the last byte is missing", genuine[..genuine.len() - 1].to_vec(), "Rejected");
    }
    push("a byte more", [&genuine[..], &[0]].concat(), "Rejected");

    let mut reseal = |comment: &str, other: &Case| {
        tests.push(case.test(comment, other.model().seal(), "Rejected"));
    };
    let mut other_device = case.device.clone();
    other_device[7] ^= 1;
    reseal("sealed by another device", &Case { device: other_device, ..case.clone() });
    let mut other_root = case.root.clone();
    other_root[0] ^= 0x80;
    reseal("sealed with another root key", &Case { root: other_root, ..case.clone() });
    reseal("sealed for another stream", &Case { stream: case.stream + 1, ..case.clone() });
}
