//! The whole node at its line: what it sends for what it receives.

use std::{cell::RefCell, collections::VecDeque, future::poll_fn, rc::Rc, task::Poll};

use embassy_futures::{block_on, yield_now};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use fastrand::Rng;
use sensor_node::{
    Board, LineFailed, NodeError,
    frame::{Decoder, Frame, Instruction, Notice, REPORT, Reason, Report, encode},
    run,
};
use sensor_station::Witness;
use twine_otr_aead::OpenError;

use crate::world::{Chip, START_ADDRESS, keys};

/// What happens to the node, in order, and what it did.
#[derive(Debug, Default)]
struct Script {
    events: VecDeque<Event>,
    sent: Vec<Frame>,
    decoder: Decoder,
    refused: Vec<NodeError>,
    outputs: Vec<bool>,
    /// What is to be measured now.
    reading: Option<i16>,
    /// What came without an end, or failed, and no reading in between.
    flooded: usize,
    has_stopped: bool,
    /// How often a reading was waited for since.
    waited: usize,
}

#[derive(Debug)]
enum Event {
    Bytes(VecDeque<u8>),
    Reading(i16),
    /// The thermometer fails.
    NoReading,
    /// A reading that is due when this byte comes without an end, or without a byte when the line fails without an end.
    ReadingInFlood(i16, Option<u8>),
}

/// The line fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noise;

impl core::fmt::Display for Noise {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("noise")
    }
}

impl core::error::Error for Noise {}

impl embedded_io_async::Error for Noise {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The node's surroundings. When nothing is left to happen, its line fails.
#[derive(Clone, Default)]
struct World(Rc<RefCell<Script>>);

impl ErrorType for World {
    type Error = Noise;
}

impl Read for World {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Noise> {
        poll_fn(|_| {
            let mut script = self.0.borrow_mut();
            loop {
                match script.events.front_mut() {
                    None => return Poll::Ready(Ok(0)),
                    Some(Event::Reading(_) | Event::NoReading) => return Poll::Pending,
                    Some(Event::ReadingInFlood(_, byte)) => {
                        let byte = *byte;
                        script.flooded += 1;
                        assert!(script.flooded < 10_000, "a reading that is due starves");
                        buffer[0] = byte.unwrap_or_default();
                        return Poll::Ready(byte.map(|_| 1).ok_or(Noise));
                    }
                    Some(Event::Bytes(bytes)) => match bytes.pop_front() {
                        None => drop(script.events.pop_front()),
                        Some(byte) => {
                            buffer[0] = byte;
                            return Poll::Ready(Ok(1));
                        }
                    },
                }
            }
        })
        .await
    }
}

impl Write for World {
    async fn write(&mut self, buffer: &[u8]) -> Result<usize, Noise> {
        let mut script = self.0.borrow_mut();
        for byte in buffer {
            let frame = script.decoder.feed(*byte);
            script.sent.extend(frame);
        }
        Ok(buffer.len())
    }

    async fn flush(&mut self) -> Result<(), Noise> {
        Ok(())
    }
}

impl Board for World {
    async fn due(&mut self) {
        poll_fn(|_| {
            let mut script = self.0.borrow_mut();
            if script.has_stopped {
                script.waited += 1;
                assert!(script.waited < 3, "the power is taken");
                return Poll::Ready(());
            }
            script.reading = match script.events.front() {
                Some(Event::Reading(reading)) => Some(*reading),
                Some(Event::ReadingInFlood(reading, _)) if script.flooded > 0 => Some(*reading),
                Some(Event::NoReading) => None,
                _ => return Poll::Pending,
            };
            script.flooded = 0;
            script.events.pop_front();
            Poll::Ready(())
        })
        .await;
    }

    async fn measure(&mut self) -> Option<i16> {
        // It takes a while.
        yield_now().await;
        self.0.borrow_mut().reading.take()
    }

    fn set_output(&mut self, is_on: bool) {
        self.0.borrow_mut().outputs.push(is_on);
    }

    fn stopped(&mut self) {
        self.0.borrow_mut().has_stopped = true;
    }

    fn refused(&mut self, error: NodeError) {
        self.0.borrow_mut().refused.push(error);
    }
}

fn bytes(bytes: &[u8]) -> Event {
    Event::Bytes(bytes.iter().copied().collect())
}

fn frame(frame: &[u8]) -> Event {
    bytes(&encode(frame))
}

/// Runs a node from its start until all this has happened.
fn happen(chip: &Chip, events: impl IntoIterator<Item = Event>) -> Script {
    happen_after(&[], chip, events)
}

/// The same, when these bytes are the last ones of a node whose power was lost.
fn happen_after(last: &[u8], chip: &Chip, events: impl IntoIterator<Item = Event>) -> Script {
    let world = World::default();
    for byte in last {
        world.0.borrow_mut().decoder.feed(*byte);
    }
    world.0.borrow_mut().events = events.into_iter().collect();
    let mut flash = chip.flash();
    let end = block_on(run(&mut flash, START_ADDRESS, world.clone(), world.clone(), &mut world.clone()));
    assert_eq!(end, Err(LineFailed));
    world.0.take()
}

fn new(seed: u64) -> (Chip, Witness) {
    let keys = keys(&mut Rng::with_seed(seed), 1 << 20);
    (Chip::provisioned(&keys), Witness::new(keys))
}

fn reports(station: &mut Witness, script: &Script) -> Vec<Report> {
    script.sent.iter().map(|frame| station.receive(frame)).collect()
}

#[test]
fn a_node_without_keys_asks_for_them_and_gets_them_once() {
    let chip = Chip::new();
    let (mine, others) = (keys(&mut Rng::with_seed(1), 1 << 20), keys(&mut Rng::with_seed(2), 1 << 20));
    let mut noisy = mine.to_frame();
    noisy[20] ^= 1;
    let script = happen(
        &chip,
        [
            Event::Reading(2000),
            frame(b"garbage"),
            frame(&*noisy),
            frame(&*mine.to_frame()),
            frame(&*others.to_frame()),
            Event::Reading(2150),
        ],
    );
    let (notices, sealed) = script.sent.split_at(2);
    assert!(notices.iter().all(|frame| Notice::from_frame(frame) == Some(Notice::NoKeys)));
    let mut station = Witness::new(mine);
    let [started, reading] = [0, 1].map(|i| station.receive(&sealed[i]));
    // What came before there were keys is forgotten.
    assert_eq!((started.reason, started.reading), (Reason::Started, None));
    assert_eq!((reading.reason, reading.reading), (Reason::Reading, Some(2150)));
    assert_eq!(sealed.len(), 2);
    assert_eq!(script.refused, [NodeError::Malformed]);
}

#[test]
fn a_frame_that_comes_again_changes_nothing_and_has_no_answer() {
    let (chip, mut station) = new(3);
    let (on, off) = (station.instruct(Instruction::On), station.instruct(Instruction::Off));
    let script = happen(&chip, [frame(&on), frame(&off), frame(&on), frame(&off), frame(&on)]);
    assert_eq!(script.outputs, [false, true, false]);
    assert_eq!(script.refused, [NodeError::Open(OpenError::Replayed); 3]);
    let reports = reports(&mut station, &script);
    assert_eq!(reports.len(), 3);
    assert_eq!((reports[2].reason, reports[2].acknowledged), (Reason::Answer, Some(1)));
    // After a loss of power neither.
    let script = happen(&chip, [frame(&on), frame(&off)]);
    assert!(script.outputs == [false] && script.refused.len() == 2);
}

#[test]
fn a_lost_answer_is_healed_by_asking_again() {
    let (chip, mut station) = new(4);
    let (first, second) = (station.instruct(Instruction::On), station.instruct(Instruction::On));
    let script = happen(&chip, [frame(&first), Event::Reading(7), frame(&second)]);
    let reports = reports(&mut station, &script);
    // Nobody has the first answer: the next reading says the same.
    assert_eq!((reports[2].reason, reports[2].acknowledged), (Reason::Reading, Some(0)));
    assert_eq!(
        (reports[3].reason, reports[3].acknowledged, reports[3].output),
        (Reason::Answer, Some(1), true)
    );
}

#[test]
fn after_a_start_nothing_is_acknowledged_that_was_not_opened_since() {
    let (chip, mut station) = new(5);
    let on = station.instruct(Instruction::On);
    let script = happen(&chip, [frame(&on)]);
    reports(&mut station, &script);
    let script = happen(&chip, [Event::Reading(1)]);
    let reports = reports(&mut station, &script);
    assert!(reports.iter().all(|report| report.acknowledged.is_none() && !report.output));
}

#[test]
fn garbage_has_no_answer_and_costs_nothing() {
    let (chip, mut station) = new(6);
    let mut random = Rng::with_seed(7);
    let noise = (0..100_000).map(|_| random.u8(..)).collect();
    let on = station.instruct(Instruction::On);
    let forged = (0..1_000u16).map(|i| {
        let mut forged = on;
        forged[5..7].copy_from_slice(&(i + 1).to_be_bytes());
        forged
    });
    let mut events = vec![Event::Bytes(noise), bytes(&[0])];
    events.extend(forged.filter(|forged| *forged != on).map(|forged| frame(&forged)));
    events.push(frame(&on));
    let script = happen(&chip, events);
    let reports = reports(&mut station, &script);
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[1].acknowledged, Some(0));
    assert!(script.refused.len() > 900);
}

#[test]
fn who_forgets_its_keys_takes_new_ones() {
    let (chip, mut station) = new(8);
    let new = keys(&mut Rng::with_seed(9), 1 << 20);
    let [on, forget] =
        [Instruction::On, Instruction::Forget].map(|instruction| station.instruct(instruction));
    let script = happen(&chip, [frame(&on), frame(&forget), frame(&*new.to_frame())]);
    assert!(script.sent[0][0] == REPORT && script.sent[1][0] == REPORT);
    assert_eq!(Notice::from_frame(&script.sent[2]), Some(Notice::NoKeys));
    assert!(!Witness::new(new).receive(&script.sent[3]).output);
    // As it is reported, and before anybody gives new keys.
    assert_eq!(script.outputs, [false, true, false, false]);
}

#[test]
fn who_is_told_to_stop_stops() {
    let (chip, mut station) = new(10);
    let stop = station.instruct(Instruction::Stop);
    let world = World::default();
    world.0.borrow_mut().events = [frame(&stop)].into_iter().collect();
    let outside = world.clone();
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut flash = chip.flash();
        block_on(run(&mut flash, START_ADDRESS, world.clone(), world.clone(), &mut world.clone()))
    }));
    let script = outside.0.take();
    // It goes on to wait, as that is what feeds a watchdog, and does nothing else.
    assert!(stopped.is_err() && script.has_stopped && script.waited == 3);
    assert_eq!(script.sent.len(), 2);
    assert_eq!(Notice::from_frame(&script.sent[1]), Some(Notice::Stopped));
}

#[test]
fn a_reading_that_is_due_goes_before_all_that_the_line_has() {
    let (chip, mut station) = new(17);
    let frames = [Instruction::On, Instruction::Off].map(|instruction| station.instruct(instruction));
    let events = [
        // That of a frame without an end, no frames, one that begins anew each time, and a line that fails.
        Event::ReadingInFlood(1, Some(0xFF)),
        Event::ReadingInFlood(2, Some(0)),
        Event::ReadingInFlood(3, Some(1)),
        Event::ReadingInFlood(4, None),
        bytes(&[0]),
        // The thermometer is still at work when the frame comes.
        Event::Reading(5),
        frame(&frames[0]),
        Event::Reading(6),
        frame(&frames[1]),
    ];
    let script = happen(&chip, events);
    let reports = reports(&mut station, &script);
    let readings = reports.iter().filter(|report| report.reason == Reason::Reading);
    assert!(readings.map(|report| report.reading).eq((1..=6).map(Some)), "{reports:?}");
    assert_eq!(reports.last().unwrap().acknowledged, Some(1));
}

#[test]
fn a_reading_that_is_not_there_is_not_zero() {
    let (chip, mut station) = new(18);
    let on = station.instruct(Instruction::On);
    let script = happen(&chip, [frame(&on), Event::Reading(0), Event::NoReading, Event::Reading(5)]);
    let readings: Vec<_> =
        reports(&mut station, &script).iter().map(|report| (report.reason, report.reading)).collect();
    let of = |reading| (Reason::Reading, reading);
    let [first, second] = [Reason::Started, Reason::Answer].map(|reason| (reason, None));
    assert_eq!(readings, [first, second, of(Some(0)), of(None), of(Some(5))]);
}

#[test]
fn flash_that_fails_and_a_key_that_is_used_up_are_said() {
    let (chip, _) = new(11);
    chip.lose_power_after(0);
    let script = happen(&chip, [Event::Reading(1), Event::Reading(2)]);
    assert!(script.sent.iter().all(|frame| Notice::from_frame(frame) == Some(Notice::Flash)));
    assert_eq!(script.sent.len(), 3);

    let keys = keys(&mut Rng::with_seed(12), 4);
    let mut station = Witness::new(keys.clone());
    let script = happen(&Chip::provisioned(&keys), [Event::Reading(1)]);
    station.receive(&script.sent[0]);
    assert_eq!(Notice::from_frame(&script.sent[1]), Some(Notice::UsedUp));
}

#[test]
fn flash_that_fails_is_tried_less_and_less() {
    const READINGS: i16 = 1_000;
    let readings = || (0..READINGS).map(Event::Reading);
    // From the start on, as one copy takes nothing.
    let (chip, _) = new(13);
    chip.fail_to_write(Chip::map(1));
    let before = chip.changes();
    happen(&chip, []);
    let once = chip.changes() - before;
    let script = happen(&chip, readings());
    assert!(chip.changes() - before < 15 * once, "{once}");
    assert_eq!(script.sent.len(), 1 + usize::try_from(READINGS).unwrap());
    // After a start.
    let (chip, mut station) = new(14);
    let (again, _) = new(14);
    let before = again.changes();
    happen(&again, []);
    chip.lose_power_after(again.changes() - before);
    let script = happen(&chip, readings());
    assert!((2..15).contains(&script.refused.len()), "{}", script.refused.len());
    assert_eq!(script.sent.len(), 1 + usize::try_from(READINGS).unwrap());
    station.receive(&script.sent[80]);
    assert_eq!(Notice::from_frame(&script.sent[1_000]), Some(Notice::Flash));
}

#[test]
fn a_frame_that_was_cut_off_spoils_no_other() {
    let (chip, mut station) = new(15);
    let script = happen_after(&[9, 1, 2], &chip, []);
    assert_eq!(script.sent.len(), 1);
    station.receive(&script.sent[0]);
}

#[test]
fn a_node_that_cannot_open_any_more_says_so() {
    let keys = keys(&mut Rng::with_seed(16), 5);
    let mut station = Witness::new(keys.clone());
    let on = station.instruct(Instruction::On);
    let script = happen(&Chip::provisioned(&keys), [frame(&on)]);
    assert_eq!(script.refused, [NodeError::Open(OpenError::LimitReached)]);
    assert_eq!(Notice::from_frame(&script.sent[1]), Some(Notice::Deaf));
}
