//! How a device uses its epochs up, and what it does at their end.

use smart_city_bridge::board::Board;
use smart_city_frame::{Epoch, OVERHEAD, RootKey, Verdict, seal_epoch_request};
use smart_city_interface::{Answer, Event, Refusal, Service};
use smart_city_store::Budget;

use crate::{
    attacks::BUFFER,
    device::{Identity, NEW, Probe, ROOT, stream},
};

/// What a device rejects in an epoch before it needs a new one.
const FAILURES: u32 = 1024;

fn event(returned: i32) -> Option<Event> {
    Answer::from_returned(returned.cast_unsigned()).map(|answer| answer.event)
}

impl Probe {
    /// Follows the device into its next epoch.
    fn follow(&mut self) {
        let next = Epoch(self.0.link.epoch().0 + 1);
        assert_eq!(self.call(Service::Epoch, [0; 4]), i32::from(next.0));
        self.0.link = self.0.made.link(next);
    }

    /// The gateway's request to end the epoch.
    pub(crate) fn request(&self) -> Vec<u8> {
        let mut buffer = [0; OVERHEAD];
        let (root, id) = (RootKey::new(ROOT), NEW.id);
        seal_epoch_request(&root, id, self.0.link.epoch(), &mut buffer).unwrap().to_vec()
    }

    /// A frame of this kind and of the device's epoch that nobody has sealed is given so many times; the last result.
    fn forge(&mut self, kind: u8, times: u32) -> i32 {
        let [high, low] = self.0.link.epoch().0.to_be_bytes();
        let mut frame = vec![0x20 | kind << 2 | 2, high, low, 0, 0, if kind == 4 { 0 } else { 9 }];
        frame.extend([0xA5; 8]);
        self.buffer(&frame);
        let arguments = [BUFFER, frame.len().try_into().unwrap(), BUFFER + 0x400, 0];
        self.call_often(Service::Receive, arguments, times)
    }

    fn seals_a_reading(&mut self) -> bool {
        let len = self.call(Service::SealReading, [1, BUFFER, 6, BUFFER + 0x400]);
        let Ok(len @ 1..) = u32::try_from(len) else { return false };
        let mut frame = self.read(BUFFER + 0x400, len);
        self.0.link.open_reading(NEW.id, stream(), &mut frame).is_ok()
    }
}

/// A network that sends forged frames gets some epochs, and then one an hour. It can keep the device from opening instructions, but not from the
/// request of the gateway, after which it opens them again; and not from sending.
#[test]
fn forged_frames_do_not_use_epochs_up() {
    // An hour without anything to do takes no time of this machine.
    let options = ["-icount", "shift=6,sleep=off"].map(str::to_owned);
    let mut probe = Probe::with(NEW, &options);
    for _ in 0..Budget::BURST {
        assert_eq!(probe.forge(3, FAILURES), Refusal::Frame as i32);
        assert_eq!(event(probe.forge(3, 1)), Some(Event::NewEpoch));
        probe.follow();
    }
    assert_eq!(probe.forge(3, FAILURES), Refusal::Frame as i32);
    assert_eq!(probe.forge(3, FAILURES), Refusal::TooSoon as i32);
    let (instruction, _) = probe.0.seal(1, &[]);
    assert_eq!(probe.receive(&instruction), (Refusal::TooSoon as i32, Vec::new()));
    assert_eq!(probe.call(Service::NewEpoch, [0; 4]), Refusal::TooSoon as i32);
    assert!(probe.seals_a_reading());

    // Forged requests, as many as they are, end nothing; the genuine one does, each time.
    for _ in 0..2 {
        assert_eq!(probe.forge(4, FAILURES + 1), Refusal::Frame as i32);
        let request = probe.request();
        assert_eq!(event(probe.receive(&request).0), Some(Event::NewEpoch));
        probe.follow();
        assert_eq!(probe.receive(&request).0, Refusal::Frame as i32, "it is obeyed once");
        assert_eq!(probe.instruct(1, &[]).0, Verdict::Intact);
    }
    assert_eq!(probe.call(Service::NewEpoch, [0; 4]), Refusal::TooSoon as i32);

    // Time gives one again, and no more than one.
    let mut asked = 0;
    while probe.call(Service::NewEpoch, [0; 4]) == Refusal::TooSoon as i32 {
        asked += 1;
        assert!(asked < 1_000_000, "no epoch comes");
    }
    probe.follow();
    assert_eq!(probe.call(Service::NewEpoch, [0; 4]), Refusal::TooSoon as i32);
    println!("asked {asked} times until an hour was over");
}

/// A device that has started anew by a fault has no epochs to give: whoever can bring faults about would have them by that.
#[test]
fn restarts_give_no_epochs() {
    let mut probe = Probe::start();
    probe.send(b'j', &[1], &[]);
    probe.0.board.console("restart after exception").unwrap();
    let epoch = crate::device::epoch_on(&mut probe.0.board);
    probe.wait_ready();
    probe.0.link = probe.0.made.link(epoch);
    assert_eq!(probe.call(Service::NewEpoch, [0; 4]), Refusal::TooSoon as i32);
    let request = probe.request();
    assert_eq!(event(probe.receive(&request).0), Some(Event::NewEpoch));
}

/// An instruction runs only if evidence of it can be sealed: when the keys of the epoch are nearly used up, a new one is opened before.
#[test]
fn no_instruction_runs_without_evidence() {
    const BLOCKS: u32 = 1 << 20;
    let mut probe = Probe::start();
    // 2 blocks of associated data, 31 of the payload, and one.
    let (frames, left) = (BLOCKS / 34, BLOCKS % 34);
    assert_eq!(left, 16);
    let reading = probe.buffer(&[0xAA; 241]);
    let sealed = probe.call_often(Service::SealReading, [1, reading, 241, reading + 0x400], frames);
    assert_eq!(sealed, 255);
    // Five blocks are left: the last evidence.
    assert_eq!(probe.call(Service::SealReading, [1, reading, 8 * 8, reading + 0x400]), 64 + 14);
    assert_eq!(probe.instruct(1, &[]), (Verdict::Intact, true, 1));
    let (instruction, _) = probe.0.seal(1, &[]);
    let (returned, answer) = probe.receive(&instruction);
    assert_eq!((event(returned), answer), (Some(Event::NewEpoch), Vec::new()));
    assert_eq!(probe.ask(b'n', &[]), 1, "it did not run");
    probe.follow();
    assert_eq!(probe.instruct(1, &[]), (Verdict::Intact, true, 2));
}

/// The last epoch goes on, as no other follows. After the next start there is none, and nothing is sealed or opened.
#[test]
fn the_last_epoch_goes_on() {
    let identity = Identity { used: Epoch(0xFFFE), ..NEW };
    let mut probe = Probe::with(identity, &[]);
    assert_eq!(probe.0.link.epoch(), Epoch::LAST);
    for _ in 0..2 {
        assert_eq!(probe.call(Service::NewEpoch, [0; 4]), Refusal::NoEpoch as i32);
        let request = probe.request();
        assert!([Refusal::NoEpoch as i32, Refusal::Frame as i32].contains(&probe.receive(&request).0));
        assert_eq!(probe.instruct(1, &[]).0, Verdict::Intact);
        assert!(probe.seals_a_reading());
        assert_eq!(probe.call(Service::Epoch, [0; 4]), i32::from(Epoch::LAST.0));
    }
    let made = probe.0.made;
    probe.0.board.cut().unwrap();
    let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
    let line = board.console("no new epoch").unwrap();
    assert_eq!(line, "no new epoch: all epochs of the root key are used up");
    let link = made.link(Epoch::LAST);
    let mut probe = Probe(crate::device::Device { made, board, link });
    probe.wait_ready();
    let (instruction, _) = probe.0.seal(1, &[]);
    assert_eq!(probe.receive(&instruction).0, Refusal::NoEpoch as i32);
    assert!(!probe.seals_a_reading());
    assert_eq!(probe.ask(b'n', &[]), 0);
}
