//! A million frames that nobody sealed for this receiver, and none accepted; and not a byte of memory taken for them.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeMap,
};

use smart_city_frame::{
    Class, DeviceId, DeviceLink, Epoch, GatewayLink, Instruction, OpenError, Receipt, RootKey, Stream,
    seal_epoch_request,
};

/// Counts allocations of each thread: the harness has one of its own.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROOT: [u8; 16] = *b"a root of 16 byt";
const DEVICE: DeviceId = DeviceId(*b"device 1");

/// Marsaglia's xorshift, 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    #[expect(clippy::cast_possible_truncation, reason = "below the bound")]
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.next().to_be_bytes()[0]);
    }
}

fn stream(id: u16, class: Class) -> Stream {
    Stream { id: id.try_into().unwrap(), class }
}

/// What a hostile transport delivers next, made from genuine frames of the current epoch that were all delivered before.
struct Attacker {
    random: Random,
    genuine: Vec<([u8; 64], usize)>,
}

impl Attacker {
    fn next(&mut self, frame: &mut [u8; 300]) -> usize {
        let random = &mut self.random;
        let (bytes, mut len) = self.genuine[random.below(self.genuine.len())];
        frame[..64].copy_from_slice(&bytes);
        match random.below(6) {
            // As it was: a replay, or of another kind, stream or direction than it is delivered as.
            0 => {}
            // Any bytes.
            1 => {
                len = random.below(frame.len());
                random.fill(&mut frame[..len]);
            }
            // A good header, any rest.
            2 => {
                len = 14 + random.below(40);
                random.fill(&mut frame[6..len]);
                random.fill(&mut frame[3..6]);
            }
            // Bits changed.
            3 => {
                for _ in 0..=random.below(3) {
                    frame[random.below(len)] ^= 1 << random.below(8);
                }
            }
            // Cut, or longer.
            4 => len = random.below(len + 8),
            // With a counter that is new.
            _ => random.fill(&mut frame[3..6]),
        }
        len
    }
}

#[test]
fn none_of_a_million_is_accepted() {
    let root = RootKey::new(ROOT);
    let reading = stream(7, Class::Internal);
    let mut attacker = Attacker { random: Random(0x9E37_79B9_7F4A_7C15), genuine: Vec::new() };
    let mut reasons = BTreeMap::new();
    let mut frame = [0; 300];
    let mut attempts = 0;

    for epoch in 1.. {
        // New keys: a receiver accepts only so many failures under one.
        let mut device = DeviceLink::new(&root, DEVICE, Epoch(epoch));
        let mut gateway = GatewayLink::new(&root, DEVICE, Epoch(epoch));
        attacker.genuine.clear();
        for i in 0..20 {
            let mut buffer = [0; 64];
            let len = match i {
                0 => {
                    let len = seal_epoch_request(&root, DEVICE, Epoch(epoch), &mut buffer).unwrap().len();
                    device.open_epoch_request(DEVICE, &mut { buffer }[..len]).unwrap();
                    len
                }
                1 | 2 => {
                    let len = gateway.seal_receipt(&Receipt::new([0, 0, i]), &mut buffer).unwrap().len();
                    device.open_receipt(DEVICE, &mut { buffer }[..len]).unwrap();
                    len
                }
                3 | 7 | 11 | 15 | 19 => {
                    let instruction = Instruction { region: 3, argument: b"open the gate" };
                    let len = gateway.seal_instruction(&instruction, &mut buffer).unwrap().0.len();
                    device.open_instruction(DEVICE, &mut { buffer }[..len]).unwrap();
                    len
                }
                _ => {
                    let payload = &[i; 21][..usize::from(i)];
                    let len = device.seal_reading(reading, payload, &mut buffer).unwrap().len();
                    gateway.open_reading(DEVICE, reading, &mut { buffer }[..len]).unwrap();
                    len
                }
            };
            attacker.genuine.push((buffer, len));
        }

        let before = ALLOCATIONS.get();
        let mut counts = [0usize; 16];
        for _ in 0..20_000 {
            let len = attacker.next(&mut frame);
            let frame = &mut frame[..len];
            // As what it was, under another stream, class or device, as evidence, and back to the device.
            let error = match attacker.random.below(10) {
                0..3 => gateway.open_reading(DEVICE, reading, frame).map(drop),
                3 => gateway.open_reading(DEVICE, stream(8, Class::Internal), frame).map(drop),
                4 => gateway.open_reading(DEVICE, stream(7, Class::Public), frame).map(drop),
                5 => gateway.open_reading(DeviceId(*b"device 2"), reading, frame).map(drop),
                6 => gateway.open_evidence(DEVICE, frame).map(drop),
                7 => device.open_receipt(DEVICE, frame).map(drop),
                8 => device.open_epoch_request(DEVICE, frame),
                _ => device.open_instruction(DEVICE, frame).map(drop),
            }
            .expect_err("nobody sealed this");
            counts[index(&error)] += 1;
            attempts += 1;
        }
        assert_eq!(ALLOCATIONS.get(), before, "memory is taken");
        for (reason, count) in REASONS.iter().zip(counts) {
            *reasons.entry(*reason).or_insert(0) += count;
        }
        drop((device, gateway));
        if attempts >= 1_000_000 {
            break;
        }
    }
    println!("{attempts} frames: {reasons:?}");
    assert!(REASONS.iter().all(|reason| reasons[reason] > 100), "a kind of forgery is missing: {reasons:?}");
}

const REASONS: [&str; 8] = [
    "Header",
    "OtherDevice",
    "OtherKind",
    "OtherClass",
    "OtherEpoch",
    "Replayed",
    "Rejected",
    "TooManyFailures",
];

fn index(error: &OpenError) -> usize {
    match error {
        OpenError::Header(_) => 0,
        OpenError::OtherDevice => 1,
        OpenError::OtherKind(_) => 2,
        OpenError::OtherClass { .. } => 3,
        OpenError::OtherEpoch(_) => 4,
        OpenError::Replayed => 5,
        OpenError::Rejected => 6,
        OpenError::TooManyFailures => 7,
        other => panic!("{other}"),
    }
}
