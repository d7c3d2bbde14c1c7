//! A million frames that nobody sealed for this gateway: none accepted, nothing sent, no memory kept.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeMap,
    sync::atomic::{AtomicIsize, Ordering},
    time::Duration,
};

use common::{GATE, MAST, Random, TestDevice, ask, engine, example, files, kind, message};
use smart_city_engine::engine::{Input, Output};
use smart_city_frame::Kind;

/// Counts the bytes that are held.
struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

#[expect(clippy::cast_possible_wrap, reason = "no allocation is that large")]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a hostile broker delivers next: genuine frames again, changed, cut, with other counters and epochs, or any bytes.
fn hostile(random: &mut Random, genuine: &[(String, Vec<u8>)]) -> (String, Vec<u8>) {
    let (topic, mut frame) = genuine[random.below(genuine.len())].clone();
    let any = |bytes: &mut [u8], random: &mut Random| bytes.fill_with(|| random.next().to_be_bytes()[3]);
    match random.below(7) {
        0 => {}
        1 => {
            frame = vec![0; random.below(300)];
            any(&mut frame, random);
        }
        2 => any(&mut frame[6..], random),
        3 => {
            for _ in 0..=random.below(3) {
                let at = random.below(frame.len());
                frame[at] ^= 1 << random.below(8);
            }
        }
        4 => frame.resize(random.below(frame.len() + 8), 0),
        5 => any(&mut frame[3..6], random),
        _ => any(&mut frame[1..3], random),
    }
    let others = ["1", "2", "3", "9", "evidence", "x"];
    let topic = match random.below(8) {
        0 => format!("up/{GATE}/{}", others[random.below(6)]),
        1 => format!("up/{MAST}/{}", others[random.below(6)]),
        2 => format!("up/{:016x}/1", random.next()),
        3 => format!("{topic}/{topic}"),
        _ => topic,
    };
    (topic, frame)
}

#[test]
fn none_of_a_million_is_accepted() {
    let dir = example();
    let (mut engine, _) = engine(dir.path());
    let (city, _) = files(dir.path());
    let mut genuine = Vec::new();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut attempts, mut retries, mut before) = (0, 0, None);
    let mut receipts: Vec<Output> = Vec::new();
    // A key takes so many failures only: then the devices open a new epoch. What is of earlier ones stays with the attacker.
    for epoch in 1..=40 {
        for (id, streams) in [(GATE, &[1, 3][..]), (MAST, &[2])] {
            let mut device = TestDevice::new(id, epoch, dir.path());
            for i in 0..10 {
                let stream = streams[i % streams.len()];
                let Input::Message { topic, payload } = device.reading(stream, &city, b"21.5 C") else {
                    unreachable!()
                };
                let mut outputs = engine.handle([message(&topic, &payload)]).unwrap();
                while outputs.is_empty() {
                    // Made-up epochs have used up the tries of this moment.
                    std::thread::sleep(Duration::from_millis(50));
                    outputs = engine.handle([message(&topic, &payload)]).unwrap();
                    retries += 1;
                }
                receipts.extend(outputs.iter().find(|output| output.topic.starts_with("down/")).cloned());
                for number in outputs.iter().filter_map(|output| output.delivery) {
                    engine.handle([Input::Delivered(number)]).unwrap();
                }
                assert!(outputs.len() > 1, "genuine ones are accepted");
                genuine.push((topic, payload));
            }
        }
        genuine.drain(..genuine.len().saturating_sub(60));
        receipts.drain(..receipts.len().saturating_sub(60));
        for _ in 0..50 {
            let batch: Vec<Input> = (0..500)
                .map(|_| {
                    let (topic, frame) = hostile(&mut random, &genuine);
                    message(topic, &frame)
                })
                .collect();
            attempts += batch.len();
            for output in engine.handle(batch).unwrap() {
                assert_eq!(kind(&output.payload), Kind::Receipt, "nobody sealed this: {output:?}");
                // Of a frame that comes again: the receipt does, too, as it was.
                assert!(receipts.contains(&output), "{output:?}");
            }
        }
        if epoch == 4 {
            before = Some(HELD.load(Ordering::Relaxed));
        }
    }
    let grown = HELD.load(Ordering::Relaxed) - before.unwrap();
    let status = ask(&mut engine, Input::Status).0;
    let refused: BTreeMap<String, u64> = serde_json::from_value(status["refused"].clone()).unwrap();
    println!("{attempts} frames, {grown} bytes more: {refused:?}");
    assert_eq!(attempts, 1_000_000);
    assert_eq!(refused.values().sum::<u64>(), 1_000_000 + retries);
    for reason in [
        "header",
        "limit",
        "other_class",
        "other_kind",
        "rejected",
        "replayed",
        "topic",
        "unknown_device",
        "unknown_stream",
    ] {
        assert!(
            refused.get(reason).is_some_and(|count| *count > 100),
            "a kind of forgery is missing: {reason}"
        );
    }
    assert!(grown < 256 << 10, "{grown} bytes are kept");
}
