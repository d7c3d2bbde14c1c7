//! A device and the gateway's end of its link, with a network in between that loses what it likes.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use smart_city_devices::{
    device::{CAPACITY, Device, Done, Error, Frame},
    epoch::{EpochError, EpochFile},
    image::Image,
    sensors::{Random, Sensor},
};
use smart_city_frame::{
    Class, DeviceId, Epoch, GatewayLink, Header, Instruction, OVERHEAD, OpenError, Receipt, RootKey, Stream,
    Verdict, seal_epoch_request,
};
use tempfile::TempDir;

const ID: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);

fn root() -> RootKey {
    RootKey::new([0x42; 16])
}

fn stream() -> Stream {
    Stream { id: 7.try_into().unwrap(), class: Class::Internal }
}

struct Bench {
    dir: TempDir,
    device: Device,
    gateway: GatewayLink,
    /// The test's clock.
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let device = start(&dir).unwrap();
        let gateway = GatewayLink::new(&root(), ID, device.epoch());
        Self { dir, device, gateway, now: Instant::now() }
    }

    fn measure(&mut self, readings: std::ops::Range<u32>) {
        for reading in readings {
            self.device.measured(stream(), reading.to_string().into_bytes()).unwrap();
        }
    }

    /// Everything that the device sends now: counter and reading.
    fn sent(&mut self) -> Vec<([u8; 3], u32)> {
        let mut all = Vec::new();
        while let Some(mut frame) = self.frame() {
            assert_eq!(frame.topic, "7");
            let opened = self.gateway.open_reading(ID, stream(), &mut frame.bytes).unwrap();
            all.push((opened.counter, std::str::from_utf8(opened.content).unwrap().parse().unwrap()));
        }
        all
    }

    fn frame(&mut self) -> Option<Frame> {
        self.device.next_frame(self.now).unwrap()
    }

    fn receipt(&mut self, counters: &[[u8; 3]]) -> Done {
        let mut receipt = Receipt::new(counters[0]);
        counters.iter().for_each(|counter| receipt.add(*counter));
        let mut buffer = [0; 32];
        self.device.receive(self.gateway.seal_receipt(&receipt, &mut buffer).unwrap(), self.now).unwrap()
    }

    fn request_epoch(&mut self) -> Result<Done, Error> {
        let mut buffer = [0; OVERHEAD];
        let request = seal_epoch_request(&root(), ID, self.gateway.epoch(), &mut buffer).unwrap();
        self.device.receive(request, self.now)
    }

    /// Instructs, and says whether the evidence is that of the code as built.
    fn instruct(&mut self, instruction: &Instruction<'_>) -> (Done, bool) {
        let mut buffer = [0; 64];
        let (frame, challenge) = self.gateway.seal_instruction(instruction, &mut buffer).unwrap();
        let done = self.device.receive(frame, self.now).unwrap();
        let mut frame = self.frame().unwrap();
        assert_eq!(frame.topic, "evidence");
        let evidence = self.gateway.open_evidence(ID, &mut frame.bytes).unwrap().content;
        let region = instruction.examined_region();
        let image = Image::simulated();
        let key = root().attest_key(ID);
        let code = &image.function(region).unwrap().code;
        (done, smart_city_detector::Verifier::new(&key).verify(&evidence, &challenge, region, code))
    }
}

fn start(dir: &TempDir) -> Result<Device, Error> {
    Device::start(ID, root(), &Image::simulated(), EpochFile::new(dir.path().join("epoch")))
}

#[test]
fn readings_are_kept_until_their_receipt() {
    let mut bench = Bench::new();
    bench.measure(0..200);
    let mut all = Vec::new();
    for window in [4, 8, 16, 32, 64] {
        let sent = bench.sent();
        assert_eq!(sent.len(), window, "twice as many as before, and no more than a receipt speaks of");
        let counters: Vec<[u8; 3]> = sent.iter().map(|(counter, _)| *counter).collect();
        assert_eq!(bench.receipt(&counters), Done::Receipt(window));
        all.extend(sent.into_iter().map(|(_, reading)| reading));
    }
    let sent = bench.sent();
    assert_eq!((sent.len(), bench.device.kept()), (64, 76));
    assert_eq!(bench.receipt(&[sent[0].0]), Done::Receipt(1));

    // What had no receipt comes again in the next epoch, in its order, before the rest.
    assert!(matches!(bench.request_epoch(), Ok(Done::NewEpoch(Epoch(2)))));
    assert!(matches!(bench.request_epoch(), Err(Error::Open(OpenError::OtherEpoch(Epoch(1))))), "once");
    bench.gateway = GatewayLink::new(&root(), ID, Epoch(2));
    all.push(124);
    while bench.device.kept() > 0 {
        let sent = bench.sent();
        let counters: Vec<[u8; 3]> = sent.iter().map(|(counter, _)| *counter).collect();
        bench.receipt(&counters);
        all.extend(sent.into_iter().map(|(_, reading)| reading));
    }
    assert_eq!(all, (0..200).collect::<Vec<_>>());
}

/// The gateway's end, as far as frames and receipts go: what is accepted, and a receipt for each frame that comes, also if it
/// came before.
struct Store {
    link: GatewayLink,
    receipt: Option<(Receipt, Vec<u8>)>,
    /// How often each reading was accepted.
    accepted: BTreeMap<u32, u32>,
}

impl Store {
    fn new(epoch: Epoch) -> Self {
        Self { link: GatewayLink::new(&root(), ID, epoch), receipt: None, accepted: BTreeMap::new() }
    }

    /// What the gateway answers.
    fn take(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        let epoch = Header::parse(&frame.bytes).unwrap().epoch;
        if epoch > self.link.epoch() {
            (self.link, self.receipt) = (GatewayLink::new(&root(), ID, epoch), None);
        }
        let counter = if frame.topic == "evidence" {
            self.link.open_evidence(ID, &mut frame.bytes.clone()).map(|opened| opened.counter)
        } else if frame.topic == "7" {
            self.link.open_reading(ID, stream(), &mut frame.bytes.clone()).map(|opened| {
                let reading = std::str::from_utf8(opened.content).unwrap().parse().unwrap();
                *self.accepted.entry(reading).or_default() += 1;
                opened.counter
            })
        } else {
            // A stream that the registry does not have.
            return None;
        };
        match counter {
            Ok(counter) => {
                let receipt = match self.receipt.take() {
                    Some((mut receipt, _)) => {
                        receipt.add(counter);
                        receipt
                    }
                    None => Receipt::new(counter),
                };
                let frame = self.link.seal_receipt(&receipt, &mut [0; 32]).unwrap().to_vec();
                self.receipt = Some((receipt, frame));
            }
            Err(OpenError::Replayed | OpenError::TooOld) => {}
            Err(error) => panic!("{error}"),
        }
        self.receipt.as_ref().map(|(_, frame)| frame.clone())
    }
}

/// Runs device and gateway with a link between them that takes `delay` each way and loses what `is_lost` says, until the device
/// holds no more than `left`; returns how long that took.
fn run(
    bench: &mut Bench,
    store: &mut Store,
    delay: Duration,
    left: usize,
    mut is_lost: impl FnMut(bool) -> bool,
) -> Duration {
    let start = bench.now;
    // What arrives at which time: up or down.
    let mut way: BTreeMap<(Instant, u32), (bool, Frame)> = BTreeMap::new();
    let mut number = 0;
    let mut put = |way: &mut BTreeMap<_, _>, at: Instant, is_up, frame| {
        if !is_lost(is_up) {
            number += 1;
            way.insert((at + delay, number), (is_up, frame));
        }
    };
    while bench.device.kept() > left {
        while let Some(frame) = bench.frame() {
            put(&mut way, bench.now, true, frame);
        }
        let next = way.first_key_value().map(|((at, _), _)| *at);
        let next = next.into_iter().chain(bench.device.wake_at()).min();
        bench.now = bench.now.max(next.expect("something will happen"));
        assert!(bench.now - start < Duration::from_secs(7200), "nothing moves");
        while let Some(entry) = way.first_entry()
            && entry.key().0 <= bench.now
        {
            match entry.remove() {
                (true, frame) => {
                    let answer = store.take(&frame).map(|bytes| Frame { topic: String::new(), bytes });
                    if let Some(answer) = answer {
                        put(&mut way, bench.now, false, answer);
                    }
                }
                (false, mut frame) => match bench.device.receive(&mut frame.bytes, bench.now) {
                    Ok(_)
                    | Err(Error::Open(OpenError::Replayed | OpenError::TooOld | OpenError::OtherEpoch(_))) => {
                    }
                    Err(error) => panic!("{error}"),
                },
            }
        }
    }
    bench.now - start
}

/// Whatever is lost, each reading gets its receipt, in bounded time and in one epoch; and no frame is accepted twice.
#[test]
fn lost_frames_and_receipts_stop_nothing() {
    for (percent, readings, seconds) in [(0u32, 300, 3), (5, 300, 45), (20, 300, 600), (50, 50, 3600)] {
        for seed in 1..=10 {
            let mut bench = Bench::new();
            let mut store = Store::new(Epoch(1));
            bench.measure(0..readings);
            let mut random = Random::new(seed);
            let lost = |_| random.unit() * 100.0 < f64::from(percent);
            let took = run(&mut bench, &mut store, Duration::from_millis(20), 0, lost);
            assert!(took < Duration::from_secs(seconds), "{percent} %, seed {seed}: {took:?}");
            assert_eq!(store.accepted.keys().copied().collect::<Vec<_>>(), (0..readings).collect::<Vec<_>>());
            let epoch = bench.device.epoch();
            assert!(epoch == Epoch(1) || percent > 5, "{percent} %: {epoch:?}: no epoch is spent on it");
            // Sealed anew was only what receipts could not speak of any more.
            let twice = store.accepted.values().filter(|times| **times > 1).count();
            assert!(twice <= 3 * percent as usize / 5, "{percent} %, seed {seed}: {twice} came twice");
        }
    }
}

/// One frame, or all receipts for a while: what stopped a device for ever.
#[test]
fn one_lost_frame_stops_nothing() {
    let mut bench = Bench::new();
    let mut store = Store::new(Epoch(1));
    bench.measure(0..1000);
    let mut first = true;
    let took =
        run(&mut bench, &mut store, Duration::from_millis(20), 0, |up| up && std::mem::take(&mut first));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(store.accepted.len() == 1000 && store.accepted.values().all(|times| *times == 1));

    bench.measure(0..1000);
    let mut receipts = 0;
    let lost = |up: bool| {
        receipts += u32::from(!up);
        !up && receipts <= 40
    };
    run(&mut bench, &mut store, Duration::from_millis(20), 0, lost);
    assert!(store.accepted.values().all(|times| *times == 2), "once each time");
}

/// The same bytes are sent again: a nonce is not used for others.
#[test]
fn what_is_sent_again_is_the_same_frame() {
    let mut bench = Bench::new();
    let mut frames: BTreeMap<[u8; 3], Vec<u8>> = BTreeMap::new();
    bench.measure(0..10);
    for _ in 0..30 {
        while let Some(frame) = bench.frame() {
            let counter = Header::parse(&frame.bytes).unwrap().counter;
            assert_eq!(*frames.entry(counter).or_insert_with(|| frame.bytes.clone()), frame.bytes);
        }
        bench.device.reconnected();
        assert_eq!((bench.device.epoch(), bench.device.kept()), (Epoch(1), 10), "that costs no epoch");
    }
    assert_eq!(frames.len(), 10);
}

/// Without answers a device sends less and less, and no two devices at the same time.
#[test]
fn silence_is_answered_with_less() {
    let mut bench = Bench::new();
    bench.measure(0..100);
    assert_eq!(bench.sent().len(), 4);
    let mut pauses = Vec::new();
    // Up to the time at which a device tries another epoch.
    for _ in 0..5 {
        let at = bench.device.wake_at().unwrap();
        assert_eq!(bench.device.next_frame(at - Duration::from_millis(1)).unwrap(), None);
        pauses.push(at - bench.now);
        bench.now = at;
        assert!(bench.frame().is_some() && bench.frame().is_none(), "one at a time");
    }
    for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0]) {
        let factor = pause.as_secs_f64() / expected;
        assert!((1.0..1.5).contains(&factor), "{pauses:?}");
    }
}

/// In an epoch in which nothing comes a device does not stay, whatever came before.
#[test]
fn an_unheard_epoch_ends() {
    let mut bench = Bench::new();
    bench.measure(0..100);
    let run_for = |bench: &mut Bench, days: u64| {
        let mut opened = Vec::new();
        let start = bench.now;
        while bench.now < start + Duration::from_secs(days * 24 * 3600) {
            let before = bench.device.epoch();
            while bench.frame().is_some() {}
            if bench.device.epoch() != before {
                opened.push((bench.now - start).as_secs());
            }
            bench.now = bench.device.wake_at().unwrap();
        }
        opened
    };
    let opened = run_for(&mut bench, 10);
    assert!((60..120).contains(&opened[0]) && (180..330).contains(&opened[1]), "{opened:?}");
    // Twice as long each time, then each day: a gateway that is away for a year takes 380 epochs.
    assert!((15..=21).contains(&opened.len()), "{opened:?}");
    assert_eq!(bench.device.kept(), 100);

    let mut store = Store::new(bench.device.epoch());
    run(&mut bench, &mut store, Duration::from_millis(20), 0, |_| false);
    bench.measure(100..110);
    assert_eq!(run_for(&mut bench, 10).len(), opened.len(), "from a minute on");
    run(&mut bench, &mut store, Duration::from_millis(20), 0, |_| false);
    assert_eq!(store.accepted.len(), 110);
}

/// Readings of a stream that the gateway does not have get no receipt; the others do all the same, and those when it has it.
#[test]
fn what_is_refused_holds_nothing_up() {
    let mut bench = Bench::new();
    let mut store = Store::new(Epoch(1));
    let unknown = Stream { id: 8.try_into().unwrap(), class: Class::Internal };
    for i in 0..200 {
        bench.device.measured(unknown, format!("{i}").into_bytes()).unwrap();
    }
    bench.measure(0..300);
    let took = run(&mut bench, &mut store, Duration::from_millis(20), 200, |_| false);
    assert!(took < Duration::from_secs(300), "{took:?}");
    assert!(store.accepted.len() == 300 && store.accepted.values().all(|times| *times == 1));
    // One that comes later, every two minutes for hours: within the longest timeout, and with few new epochs.
    for i in 300..500 {
        bench.measure(i..i + 1);
        let took = run(&mut bench, &mut store, Duration::from_millis(20), 200, |_| false);
        assert!(took < Duration::from_secs(46), "{took:?}");
        bench.now += Duration::from_secs(120);
    }
    assert_eq!(store.accepted.len(), 500);
    assert!(bench.device.epoch() < Epoch(12), "{:?}", bench.device.epoch());
}

/// Frames that are sealed while the oldest is lost again and again push it out of the replay window. It comes all the same.
#[test]
fn what_is_too_old_for_the_window_is_sealed_again() {
    let mut bench = Bench::new();
    let mut store = Store::new(Epoch(1));
    bench.measure(0..1);
    let lost = bench.frame().unwrap();
    let mut buffer = [0; 64];
    // Evidence does not wait for receipts of readings.
    for _ in 0..70 {
        let (frame, _) =
            store.link.seal_instruction(&Instruction { region: 2, argument: b"" }, &mut buffer).unwrap();
        bench.device.receive(frame, bench.now).unwrap();
        let evidence = bench.frame().unwrap();
        assert_eq!(evidence.topic, "evidence");
        let mut receipt = store.take(&evidence).unwrap();
        bench.device.receive(&mut receipt, bench.now).unwrap();
    }
    assert_eq!((bench.device.runs(2), bench.device.kept()), (70, 1));
    assert!(store.take(&lost).is_some(), "it is too old, and answered");
    assert_eq!(store.accepted.len(), 0);
    run(&mut bench, &mut store, Duration::from_millis(20), 0, |_| false);
    assert_eq!(store.accepted, BTreeMap::from([(0, 1)]));
}

/// Evidence that is lost is sent again, and an instruction that comes twice runs once.
#[test]
fn lost_evidence_comes_again_and_an_instruction_runs_once() {
    let mut bench = Bench::new();
    let mut buffer = [0; 64];
    let (frame, _) =
        bench.gateway.seal_instruction(&Instruction { region: 2, argument: b"" }, &mut buffer).unwrap();
    let frame = frame.to_vec();
    bench.device.receive(&mut frame.clone(), bench.now).unwrap();
    let evidence = bench.frame().unwrap();
    assert!(matches!(
        bench.device.receive(&mut frame.clone(), bench.now),
        Err(Error::Open(OpenError::Replayed))
    ));
    assert_eq!((bench.device.runs(2), bench.frame()), (1, None));
    bench.now = bench.device.wake_at().unwrap();
    assert_eq!(bench.frame(), Some(evidence.clone()));
    // In the next epoch it is sealed anew; the instruction does not open there.
    bench.device.new_epoch().unwrap();
    let again = bench.frame().unwrap();
    assert_eq!(again.topic, "evidence");
    assert_eq!(Header::parse(&again.bytes).unwrap().epoch, Epoch(2));
    let refused = bench.device.receive(&mut frame.clone(), bench.now);
    assert!(matches!(refused, Err(Error::Open(OpenError::OtherEpoch(Epoch(1))))));
    assert_eq!(bench.device.runs(2), 1);
}

#[test]
fn no_epoch_is_used_twice() {
    let mut bench = Bench::new();
    assert_eq!(bench.device.epoch(), Epoch(1));
    assert_eq!(start(&bench.dir).unwrap().epoch(), Epoch(2), "power was lost");
    assert_eq!(bench.device.new_epoch().unwrap(), Epoch(3));
    bench.measure(0..1);

    // What is not stored is not used.
    let path = bench.dir.path().join("epoch");
    for text in [&b"1O"[..], b"", b"65536", b"\xFF"] {
        fs::write(&path, text).unwrap();
        assert!(matches!(bench.device.new_epoch(), Err(Error::Epoch(EpochError::Damaged))));
        assert!(matches!(start(&bench.dir), Err(Error::Epoch(EpochError::Damaged))));
        assert!(bench.device.next_frame(bench.now).is_err(), "it does not seal");
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(bench.device.new_epoch(), Err(Error::Epoch(EpochError::Storage(_)))));
    assert_eq!(bench.device.epoch(), Epoch(3));
}

/// After the last epoch a device seals nothing, says why, and loses nothing.
#[test]
fn epochs_end() {
    let mut bench = Bench::new();
    let path = bench.dir.path().join("epoch");
    fs::write(&path, "65534").unwrap();
    assert_eq!(bench.device.new_epoch().unwrap(), Epoch::LAST);
    bench.gateway = GatewayLink::new(&root(), ID, Epoch::LAST);
    bench.measure(0..3);
    assert_eq!(bench.sent().len(), 3, "the last one is as good as others");
    // Silence does not end it: there is no other.
    bench.now += Duration::from_secs(1_000_000);
    assert!(bench.frame().is_some());

    let used_up = |result: Result<(), Error>| matches!(result, Err(Error::Epoch(EpochError::UsedUp)));
    assert!(used_up(bench.request_epoch().map(drop)));
    for _ in 0..3 {
        assert!(used_up(bench.device.next_frame(bench.now).map(drop)));
        assert!(used_up(bench.request_epoch().map(drop)));
        assert!(used_up(start(&bench.dir).map(drop)), "a start does not begin anew");
    }
    assert_eq!((bench.device.kept(), fs::read_to_string(&path).unwrap().as_str()), (3, "65535\n"));
    let error = bench.device.next_frame(bench.now).unwrap_err().to_string();
    assert_eq!(error, "all epochs of the root key are used up: the device needs a new one");
}

#[test]
fn altered_functions_do_not_run_until_they_are_restored() {
    let mut bench = Bench::new();
    let open_gate = Instruction { region: 2, argument: b"" };
    let intact = Done::Examined { region: 2, verdict: Verdict::Intact };
    assert_eq!(bench.instruct(&open_gate), (intact, true));
    assert_eq!(bench.device.runs(2), 1);

    assert!(bench.device.patch(2, 700));
    assert!(!bench.device.patch(2, 5000) && !bench.device.patch(9, 0));
    // Readings go on, other functions run: the detector looks when it is asked.
    bench.measure(0..3);
    assert_eq!(bench.sent().len(), 3);
    let other = Instruction { region: 1, argument: b"" };
    assert!(bench.instruct(&other).1);
    let altered = Done::Examined { region: 2, verdict: Verdict::Altered };
    assert_eq!(bench.instruct(&open_gate), (altered, false));
    assert_eq!((bench.device.runs(1), bench.device.runs(2)), (1, 1), "the altered one did not run");

    // What it measured meanwhile is not believed.
    let restored = Done::Restored { region: 2, verdict: Verdict::Intact, discarded: 3 };
    assert_eq!(bench.instruct(&Instruction::restore(&[0, 2])), (restored, true));
    assert_eq!((bench.device.kept(), bench.device.runs(2)), (0, 1), "restoring runs nothing");
    assert_eq!(bench.instruct(&open_gate), (intact, true));
    assert_eq!(bench.device.runs(2), 2);
    // To restore what is intact costs nothing.
    bench.measure(0..3);
    let restored = Done::Restored { region: 2, verdict: Verdict::Intact, discarded: 0 };
    assert_eq!(bench.instruct(&Instruction::restore(&[0, 2])), (restored, true));
    assert_eq!(bench.device.kept(), 3);
}

/// A challenge to measure all regions runs nothing, and names the first that is altered. All are restored at once.
#[test]
fn all_regions_are_measured_and_restored_at_once() {
    let mut bench = Bench::new();
    let mut obey = |device: &mut Device, instruction: &Instruction<'_>| {
        let mut buffer = [0; 64];
        let frame = bench.gateway.seal_instruction(instruction, &mut buffer).unwrap().0;
        device.receive(frame, bench.now).unwrap()
    };
    let device = &mut bench.device;
    let intact = Done::Examined { region: 0, verdict: Verdict::Intact };
    assert_eq!(obey(device, &Instruction::EXAMINE_ALL), intact);
    assert!(device.patch(4, 3) && device.patch(2, 700));
    let altered = Done::Examined { region: 2, verdict: Verdict::Altered };
    assert_eq!(obey(device, &Instruction::EXAMINE_ALL), altered);
    let restored = Done::Restored { region: 0, verdict: Verdict::Intact, discarded: 0 };
    assert_eq!(obey(device, &Instruction::restore(&[0, 0])), restored);
    assert_eq!(obey(device, &Instruction::EXAMINE_ALL), intact);
    assert_eq!((1..5).map(|region| device.runs(region)).sum::<u32>(), 0);
}

#[test]
fn what_the_image_does_not_have_is_unknown_and_does_not_run() {
    let mut bench = Bench::new();
    let mut buffer = [0; 64];
    for instruction in [Instruction { region: 99, argument: b"" }, Instruction::restore(&[0, 99])] {
        let frame = bench.gateway.seal_instruction(&instruction, &mut buffer).unwrap().0;
        let done = bench.device.receive(frame, bench.now).unwrap();
        let (Done::Examined { region, verdict } | Done::Restored { region, verdict, .. }) = done else {
            panic!("{done:?}")
        };
        assert_eq!((region, verdict), (99, Verdict::Unknown));
    }
    assert_eq!(bench.device.runs(99), 0);
}

#[test]
fn nothing_from_others_does_anything() {
    let mut bench = Bench::new();
    bench.measure(0..3);
    bench.sent();
    let mut stranger = GatewayLink::new(&RootKey::new([0x43; 16]), ID, bench.device.epoch());
    let mut buffer = [0; 64];
    let frame = stranger.seal_instruction(&Instruction { region: 2, argument: b"" }, &mut buffer).unwrap().0;
    assert!(matches!(bench.device.receive(frame, bench.now), Err(Error::Open(OpenError::Rejected))));
    let frame = stranger.seal_receipt(&Receipt::new([0; 3]), &mut buffer).unwrap();
    assert!(matches!(bench.device.receive(frame, bench.now), Err(Error::Open(OpenError::Rejected))));
    assert!(matches!(bench.device.receive(&mut [], bench.now), Err(Error::Open(OpenError::Header(_)))));
    assert_eq!((bench.device.kept(), bench.device.runs(2), bench.device.epoch()), (3, 0, Epoch(1)));
    // 1,024 of them cost an epoch.
    for _ in 0..1022 {
        let frame = stranger.seal_receipt(&Receipt::new([0; 3]), &mut buffer).unwrap();
        bench.device.receive(frame, bench.now).unwrap_err();
    }
    let frame = stranger.seal_receipt(&Receipt::new([0; 3]), &mut buffer).unwrap();
    assert_eq!(bench.device.receive(frame, bench.now).unwrap(), Done::NewEpoch(Epoch(2)));
}

#[test]
fn memory_is_bounded() {
    let mut bench = Bench::new();
    bench.measure(0..u32::try_from(CAPACITY).unwrap());
    assert!(matches!(bench.device.measured(stream(), vec![0]), Err(Error::Full)));
    assert!(matches!(bench.device.measured(stream(), vec![0; 300]), Err(Error::Seal(_))));
}

#[test]
fn sensors_are_plausible_and_the_same_for_a_seed() {
    let read = |sensor: Sensor, minute, seed| sensor.read(minute, &mut Random::new(seed));
    for sensor in [Sensor::Traffic, Sensor::Gate, Sensor::Weather, Sensor::Air] {
        for minute in 0..1440 {
            let reading = read(sensor, minute, 7);
            assert_eq!(reading, read(sensor, minute, 7));
            assert!(
                reading.len() < 100 && reading.starts_with(&format!("{{\"minute\":{minute},")),
                "{reading}"
            );
        }
    }
    let vehicles = |minute| -> u32 {
        let reading = read(Sensor::Traffic, minute, 7);
        let (_, after) = reading.split_once("\"vehicles\":").unwrap();
        after.split_once(',').unwrap().0.parse().unwrap()
    };
    assert!(vehicles(495) > 3 * vehicles(180), "more in the morning than at night");
    assert_ne!(read(Sensor::Air, 0, 7), read(Sensor::Air, 0, 8));
}
