//! The frames of the example `smart-city`: what a link sealed opens once, as what it was; whatever was changed, made up or
//! delivered as something else is refused, and leaves nothing of the attacker's choice where a payload would be.

use arbitrary::Arbitrary;
use smart_city_frame::{
    Class, DeviceId, DeviceLink, Epoch, Evidence, GatewayLink, Header, Instruction, OpenError, Receipt,
    RootKey, Stream, Verdict, seal_epoch_request,
};

const DEVICE: DeviceId = DeviceId(*b"device 1");

/// A frame and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// Modulo 5: what is sealed, a reading, evidence, an instruction, a receipt or an epoch request.
    pub sealed: u8,
    /// Modulo 5: as what it is delivered.
    pub opened: u8,
    /// Cut off at the end.
    pub cut: u8,
    /// Where the frame is changed, and by which bits.
    pub patches: [(u8, u8); 3],
    /// The payload; by itself, a frame that somebody has made up.
    pub bytes: &'a [u8],
}

impl Input<'_> {
    /// Checks the property.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check(&self) {
        let root = RootKey::new(crate::key_of(self.bytes));
        let mut device = DeviceLink::new(&root, DEVICE, Epoch(0x0102));
        let mut gateway = GatewayLink::new(&root, DEVICE, Epoch(0x0102));
        let payload = &self.bytes[..self.bytes.len().min(239)];

        let mut buffer = [0; 255];
        let genuine = match self.sealed % 5 {
            0 => device.seal_reading(stream(), payload, &mut buffer).expect("short enough").to_vec(),
            1 => device.seal_evidence(&evidence(payload), &mut buffer).expect("short enough").to_vec(),
            3 => gateway.seal_receipt(&receipt(payload), &mut buffer).expect("short enough").to_vec(),
            4 => {
                seal_epoch_request(&root, DEVICE, Epoch(0x0102), &mut buffer).expect("short enough").to_vec()
            }
            _ => {
                let instruction = Instruction { region: 7, argument: payload };
                gateway.seal_instruction(&instruction, &mut buffer).expect("short enough").0.to_vec()
            }
        };
        let mut frame = genuine.clone();
        for (at, bits) in self.patches {
            frame[usize::from(at) % genuine.len()] ^= bits;
        }
        frame.truncate(frame.len().saturating_sub(self.cut.into()));

        let is_genuine = frame == genuine && self.sealed % 5 == self.opened % 5;
        if !is_genuine {
            deliver(self.opened, &mut device, &mut gateway, &frame).expect_err("nobody sealed this");
        }
        deliver(self.opened, &mut device, &mut gateway, self.bytes).expect_err("nobody sealed this");
        if self.sealed % 5 == 0 {
            let other = Stream { id: 4.try_into().expect("not 0"), ..stream() };
            let as_other = gateway.open_reading(DEVICE, other, &mut genuine.clone()).map(drop);
            assert_eq!(as_other, Err(OpenError::Rejected), "it is of another stream");
        }
        // Whatever came before, the genuine frame opens once.
        deliver(self.sealed, &mut device, &mut gateway, &genuine).expect("it is genuine");
        let replayed = deliver(self.sealed, &mut device, &mut gateway, &genuine);
        assert_eq!(replayed, Err(OpenError::Replayed));
    }
}

fn stream() -> Stream {
    Stream { id: 3.try_into().expect("not 0"), class: Class::Internal }
}

fn evidence(payload: &[u8]) -> Evidence {
    let mut tag = [0; 8];
    tag.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
    Evidence { epoch: Epoch(0x0102), counter: [0, 0, 9], region: 7, verdict: Verdict::Altered, tag }
}

/// A receipt of the frames that `payload` names; what it names is checked.
fn receipt(payload: &[u8]) -> Receipt {
    let mut receipt = Receipt::new([0, 0, 64]);
    for counter in payload {
        receipt.add([0, 0, *counter]);
        assert!(receipt.has([0, 0, *counter]) || *counter < 255 - 63, "the newest is at most 255");
    }
    receipt
}

/// Opens a frame as one of the five kinds, and checks what is left of it.
fn deliver(
    kind: u8,
    device: &mut DeviceLink,
    gateway: &mut GatewayLink,
    received: &[u8],
) -> Result<(), OpenError> {
    let header = Header::parse(received);
    if let Ok(header) = header {
        assert_eq!(header.to_bytes(), received[..6], "a header is written as it was read");
    }
    let mut frame = received.to_vec();
    let result = match kind % 5 {
        0 => gateway.open_reading(DEVICE, stream(), &mut frame).map(drop),
        1 => gateway.open_evidence(DEVICE, &mut frame).map(drop),
        3 => device.open_receipt(DEVICE, &mut frame).map(drop),
        4 => device.open_epoch_request(DEVICE, &mut frame),
        _ => device.open_instruction(DEVICE, &mut frame).map(drop),
    };
    match result {
        Ok(()) => assert!(header.is_ok()),
        Err(
            OpenError::Header(_)
            | OpenError::OtherKind(_)
            | OpenError::OtherClass { .. }
            | OpenError::OtherEpoch(_),
        ) => assert_eq!(frame, received, "decided from the header"),
        Err(_) => assert!(frame[6..frame.len() - 8].iter().all(|byte| *byte == 0), "the payload is zero"),
    }
    result
}
