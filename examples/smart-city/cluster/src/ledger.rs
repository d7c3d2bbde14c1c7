//! What devices have sealed and got receipts of, what gateways have sent, and what users have: and whether that can be.
//!
//! A reading is told by its number, which is its payload. A device may seal a reading in several frames, and each of them may be accepted
//! once: so a reading can be in the history twice, and a frame cannot.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    time::{Duration, Instant},
};

use smart_city_frame::{DeviceId, Header, Kind};

use crate::city::{STREAMS, USERS};

/// The place of a frame in what a device has sealed: no two frames have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// The device.
    pub device: DeviceId,
    /// The epoch.
    pub epoch: u16,
    /// The counter in it.
    pub counter: u32,
}

impl Frame {
    /// The place of a frame with this header.
    #[must_use]
    pub const fn new(device: DeviceId, header: &Header) -> Self {
        let [a, b, c] = header.counter;
        Self { device, epoch: header.epoch.0, counter: u32::from_be_bytes([0, a, b, c]) }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, epoch, counter } = self;
        write!(f, "frame {counter} of epoch {epoch} of device {device}")
    }
}

/// A row of the tables `outbox` and `history`.
#[derive(Clone, Debug)]
pub struct Row {
    /// The number that the gateway has given it.
    pub number: i64,
    /// The frame.
    pub frame: Frame,
    /// The fingerprint of the device's key.
    pub key: Vec<u8>,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What the database has at one time.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Readings that are not delivered.
    pub outbox: Vec<Row>,
    /// All readings.
    pub history: Vec<Row>,
    /// The newest epoch of each device and key.
    pub epochs: BTreeMap<(DeviceId, Vec<u8>), i32>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A frame has a receipt, and the database does not have it.
    Lost(Frame),
    /// The database has a frame twice.
    Twice(Frame),
    /// The database has a frame that no device has sealed, or has it with another payload.
    NotSealed(Frame),
    /// Two frames for a device have the same nonce: an epoch request, or another frame, of this epoch with this counter.
    Nonce(Kind, Frame),
    /// A device could not open a frame, which is neither of before nor a repeated one.
    NotOpened(Kind, Frame),
    /// A user does not have the reading in a frame that has a receipt.
    NotDelivered(&'static str, Frame),
    /// A user has a reading that is not for it.
    Leaked(&'static str, u64),
    /// An epoch in the database is an older one than before.
    EpochBack {
        /// Whose.
        device: DeviceId,
        /// What it was.
        before: i32,
        /// What it is; none if it is gone.
        after: Option<i32>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(frame) => write!(f, "{frame} has a receipt, and is not in the database"),
            Self::Twice(frame) => write!(f, "{frame} was accepted twice"),
            Self::NotSealed(frame) => write!(f, "{frame} is in the database, and nobody has sealed it so"),
            Self::Nonce(kind, frame) => write!(f, "two frames have the nonce of the {kind:?} {frame}"),
            Self::NotOpened(kind, frame) => write!(f, "the {kind:?} {frame} could not be opened"),
            Self::NotDelivered(user, frame) => write!(f, "{user} does not have the reading in {frame}"),
            Self::Leaked(user, number) => {
                write!(f, "{user} has reading {number}, which is not for this user")
            }
            Self::EpochBack { device, before, after } => {
                write!(f, "the epoch of device {device} was {before}, and is {after:?}")
            }
        }
    }
}

#[derive(Debug)]
struct Reading {
    shard: u16,
    /// Which of [`STREAMS`].
    stream: usize,
    made: Instant,
    /// Which of [`USERS`] have it.
    received: [bool; USERS.len()],
    /// Whether the broker may have lost it for a user.
    excused: bool,
}

impl Reading {
    fn is_owed(&self, user: usize) -> bool {
        STREAMS[self.stream].users.contains(&USERS[user])
    }
}

#[derive(Debug)]
struct Sealed {
    reading: u64,
    has_receipt: bool,
}

/// What a frame to a device has for itself alone: which of the two keys, the device, epoch and counter.
type Nonce = (bool, Frame);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Ledger {
    readings: Vec<Reading>,
    sealed: HashMap<Frame, Sealed>,
    down: HashMap<Nonce, Vec<u8>>,
    epochs: BTreeMap<(DeviceId, Vec<u8>), i32>,
    faults: Vec<Fault>,
    receipts: u64,
    deliveries: u64,
    watch: Option<Watch>,
}

/// Since when it is looked for receipts, and what came since.
#[derive(Debug)]
struct Watch {
    since: Instant,
    /// When each shard had the first receipt of a reading that was made since.
    back: BTreeMap<u16, Instant>,
    /// Of each shard the last receipt, and the longest time without one.
    silences: BTreeMap<u16, (Instant, Duration)>,
    /// Of each receipt how long after the measurement it came.
    delays: Vec<Duration>,
}

impl Watch {
    fn receipt(&mut self, reading: &Reading) {
        let now = Instant::now();
        if reading.made >= self.since {
            self.back.entry(reading.shard).or_insert(now);
        }
        let (last, longest) = self.silences.entry(reading.shard).or_insert((self.since, Duration::ZERO));
        *longest = (*longest).max(now - *last);
        *last = now;
        self.delays.push(now - reading.made);
    }
}

/// How much there was of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that were made.
    pub readings: usize,
    /// Frames in which they were sealed.
    pub frames: usize,
    /// Frames that have a receipt.
    pub receipts: u64,
    /// Readings that came to a user, of all users.
    pub deliveries: u64,
    /// Different frames that gateways have sealed.
    pub down: usize,
    /// Readings that the database has more than once, each in frames of its own.
    pub again: usize,
    /// Readings that a user does not have, because the broker was killed with them.
    pub lost_by_broker: usize,
}

impl Ledger {
    /// A device of this shard measures something, of one stream after the other: the reading's number, and its stream.
    pub fn make(&mut self, shard: u16) -> (u64, usize) {
        let number = self.readings.len();
        let (stream, received) = (number % STREAMS.len(), [false; USERS.len()]);
        self.readings.push(Reading { shard, stream, made: Instant::now(), received, excused: false });
        (number as u64, stream)
    }

    /// A device seals a reading.
    pub fn seal(&mut self, frame: Frame, reading: u64) {
        self.sealed.insert(frame, Sealed { reading, has_receipt: false });
    }

    /// A device has a receipt of a frame.
    pub fn receipt(&mut self, frame: Frame) {
        let Some(sealed) = self.sealed.get_mut(&frame) else { return };
        self.receipts += u64::from(!std::mem::replace(&mut sealed.has_receipt, true));
        if let (Some(watch), Some(reading)) = (&mut self.watch, self.readings.get(index(sealed.reading))) {
            watch.receipt(reading);
        }
    }

    /// A frame has come to a device, as a gateway has sealed it.
    pub fn down(&mut self, device: DeviceId, bytes: &[u8]) {
        let Ok(header) = Header::parse(bytes) else { return };
        let frame = Frame::new(device, &header);
        let before =
            self.down.entry((header.kind == Kind::EpochRequest, frame)).or_insert_with(|| bytes.to_vec());
        if before != bytes {
            self.faults.push(Fault::Nonce(header.kind, frame));
        }
    }

    /// A device has not opened a frame, although it is neither of before nor a repeated one.
    pub fn not_opened(&mut self, device: DeviceId, header: &Header) {
        self.faults.push(Fault::NotOpened(header.kind, Frame::new(device, header)));
    }

    /// A message has come to a user, of [`USERS`].
    pub fn delivered(&mut self, user: usize, payload: &[u8]) {
        self.deliveries += 1;
        let number = reading(payload).unwrap_or(u64::MAX);
        match self.readings.get_mut(index(number)) {
            Some(reading) if reading.is_owed(user) => reading.received[user] = true,
            _ => self.faults.push(Fault::Leaked(USERS[user], number)),
        }
    }

    /// The broker was killed, and all users are there again: what it had for them it has not any more.
    pub fn broker_was_killed(&mut self) {
        self.readings.iter_mut().for_each(|reading| reading.excused = true);
    }

    /// From now on it is looked for receipts of readings that are made from now on.
    pub fn watch(&mut self) {
        let since = Instant::now();
        self.watch =
            Some(Watch { since, back: BTreeMap::new(), silences: BTreeMap::new(), delays: Vec::new() });
    }

    /// Frames that have a receipt.
    #[must_use]
    pub const fn receipts(&self) -> u64 {
        self.receipts
    }

    /// When the last of so many shards had its receipt; none if one has none yet.
    #[must_use]
    pub fn back(&self, shards: u16) -> Option<Instant> {
        let back = &self.watch.as_ref()?.back;
        (back.len() == usize::from(shards)).then(|| back.values().max().copied()).flatten()
    }

    /// The longest time that each shard was without a receipt.
    #[must_use]
    pub fn silences(&self) -> BTreeMap<u16, Duration> {
        let silences = self.watch.iter().flat_map(|watch| &watch.silences);
        silences.map(|(shard, (last, longest))| (*shard, (*longest).max(last.elapsed()))).collect()
    }

    /// How long after the measurement each receipt came. It forgets them.
    pub fn delays(&mut self) -> Vec<Duration> {
        self.watch.as_mut().map(|watch| std::mem::take(&mut watch.delays)).unwrap_or_default()
    }

    /// Whether all that was measured has a receipt, and all users have what is for them.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let with_receipt: HashSet<u64> =
            self.sealed.values().filter(|sealed| sealed.has_receipt).map(|sealed| sealed.reading).collect();
        with_receipt.len() == self.readings.len()
            && self.readings.iter().all(|reading| self.missing(reading).next().is_none())
    }

    /// Whether what was measured before, and has a receipt, has come to all users whom it is for.
    #[must_use]
    pub fn is_delivered(&self, before: Instant) -> bool {
        let with_receipt = self.sealed.values().filter(|sealed| sealed.has_receipt);
        let mut readings = with_receipt.filter_map(|sealed| self.readings.get(index(sealed.reading)));
        readings.all(|reading| reading.made >= before || self.missing(reading).next().is_none())
    }

    /// Users who must have a reading, and do not.
    fn missing<'r>(&self, reading: &'r Reading) -> impl Iterator<Item = usize> + use<'r> {
        (0..USERS.len()).filter(|user| !reading.excused && reading.is_owed(*user) && !reading.received[*user])
    }

    /// The faults that were seen on the way.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// All faults so far: those that were seen on the way, and what is in the database and cannot be there, or is missing there.
    pub fn check(&mut self, tables: &Tables) -> Vec<Fault> {
        let mut faults = self.faults.clone();
        let mut numbers: HashMap<(Frame, &[u8]), i64> = HashMap::new();
        for rows in [&tables.history, &tables.outbox] {
            let mut in_table = HashSet::new();
            for Row { number, frame, key, payload } in rows {
                // A row of the outbox is in the history too, with its number.
                let first = numbers.entry((*frame, key)).or_insert(*number);
                if !in_table.insert((*frame, key)) || first != number {
                    faults.push(Fault::Twice(*frame));
                }
                let sealed = self.sealed.get(frame).map(|sealed| sealed.reading);
                if sealed.is_none() || sealed != reading(payload) {
                    faults.push(Fault::NotSealed(*frame));
                }
            }
        }
        let stored: HashSet<Frame> = numbers.keys().map(|(frame, _)| *frame).collect();
        let with_receipt = self.sealed.iter().filter(|(_, sealed)| sealed.has_receipt);
        faults.extend(
            with_receipt.filter(|(frame, _)| !stored.contains(frame)).map(|(frame, _)| Fault::Lost(*frame)),
        );
        for (at, before) in &self.epochs {
            let after = tables.epochs.get(at).copied();
            if after < Some(*before) {
                faults.push(Fault::EpochBack { device: at.0, before: *before, after });
            }
        }
        self.epochs.clone_from(&tables.epochs);
        faults
    }

    /// Readings that have a receipt, and that a user does not have who may see it. They may be on their way.
    #[must_use]
    pub fn undelivered(&self) -> Vec<Fault> {
        let with_receipt = self.sealed.iter().filter(|(_, sealed)| sealed.has_receipt);
        let missing = with_receipt.filter_map(|(frame, sealed)| {
            let user = self.missing(self.readings.get(index(sealed.reading))?).next()?;
            Some(Fault::NotDelivered(USERS[user], *frame))
        });
        missing.collect()
    }

    /// How much there was.
    #[must_use]
    pub fn counts(&self, tables: &Tables) -> Counts {
        let mut once = BTreeSet::new();
        let again = tables
            .history
            .iter()
            .filter_map(|row| reading(&row.payload))
            .filter(|number| !once.insert(*number));
        let is_missing = |reading: &&Reading| {
            (0..USERS.len()).any(|user| reading.is_owed(user) && !reading.received[user])
        };
        Counts {
            readings: self.readings.len(),
            frames: self.sealed.len(),
            receipts: self.receipts,
            deliveries: self.deliveries,
            down: self.down.len(),
            again: again.count(),
            lost_by_broker: self.readings.iter().filter(|reading| reading.excused).filter(is_missing).count(),
        }
    }
}

fn reading(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use smart_city_frame::{Epoch, GatewayLink, Receipt, RootKey};

    use super::*;

    const DEVICE: DeviceId = DeviceId([1, 2, 3, 4, 5, 6, 7, 8]);
    fn frame(counter: u32) -> Frame {
        Frame { device: DEVICE, epoch: 1, counter }
    }

    fn row(number: i64, counter: u32, reading: u64) -> Row {
        Row { number, frame: frame(counter), key: vec![1], payload: reading.to_string().into_bytes() }
    }

    /// Four readings with receipts, with all who may see them, and the tables of a gateway without a fault.
    fn good() -> (Ledger, Tables) {
        let mut ledger = Ledger::default();
        for counter in 0..4 {
            let (reading, stream) = ledger.make(7);
            ledger.seal(frame(counter), reading);
            ledger.receipt(frame(counter));
            for (user, name) in USERS.iter().enumerate() {
                if STREAMS[stream].users.contains(name) {
                    ledger.delivered(user, reading.to_string().as_bytes());
                }
            }
        }
        let history: Vec<Row> =
            (0..4).map(|i| row(i, u32::try_from(i).unwrap(), i.cast_unsigned())).collect();
        let epochs = BTreeMap::from([((DEVICE, vec![1]), 1)]);
        (ledger, Tables { outbox: vec![history[2].clone()], history, epochs })
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong() {
        let (mut ledger, mut tables) = good();
        assert!(ledger.is_done());
        assert_eq!((ledger.check(&tables), ledger.undelivered()), (vec![], vec![]));
        // A device that had no receipt seals a reading again. Then it may be there twice, each time in a frame of its own.
        ledger.seal(frame(4), 2);
        tables.history.push(row(9, 4, 2));
        assert_eq!(ledger.check(&tables), []);
        assert_eq!(ledger.counts(&tables).again, 1);
    }

    #[test]
    fn a_duplicated_frame_is_found() {
        for in_outbox in [false, true] {
            let (mut ledger, mut tables) = good();
            let table = if in_outbox { &mut tables.outbox } else { &mut tables.history };
            table.push(row(9, 1, 1));
            assert_eq!(ledger.check(&tables), [Fault::Twice(frame(1))]);
        }
    }

    #[test]
    fn a_lost_reading_is_found() {
        let (mut ledger, mut tables) = good();
        tables.history.remove(1);
        assert_eq!(ledger.check(&tables), [Fault::Lost(frame(1))]);
    }

    #[test]
    fn a_reading_that_nobody_has_sealed_is_found() {
        let (mut ledger, mut tables) = good();
        tables.history.push(row(9, 5, 2));
        assert_eq!(ledger.check(&tables), [Fault::NotSealed(frame(5))]);
        let (mut ledger, mut tables) = good();
        tables.history[0].payload = b"2".to_vec();
        assert_eq!(ledger.check(&tables), [Fault::NotSealed(frame(0))]);
    }

    #[test]
    fn a_repeated_nonce_is_found() {
        let root = RootKey::new([7; 16]);
        let sealed = |counter| {
            let mut link = GatewayLink::new(&root, DEVICE, Epoch(4));
            link.seal_receipt(&Receipt::new([0, 0, counter]), &mut [0; 64]).unwrap().to_vec()
        };
        let request =
            smart_city_frame::seal_epoch_request(&root, DEVICE, Epoch(4), &mut [0; 64]).unwrap().to_vec();
        let (mut ledger, tables) = good();
        // An epoch request has a key of its own; and the same frame may come twice.
        for frame in [&sealed(1), &request, &sealed(1), &request] {
            ledger.down(DEVICE, frame);
        }
        ledger.down(DeviceId([9; 8]), &sealed(2));
        assert_eq!(ledger.check(&tables), []);
        // Two links in one epoch, as two gateways make them that both believe to have the device.
        ledger.down(DEVICE, &sealed(2));
        let frame = Frame { device: DEVICE, epoch: 4, counter: 0 };
        assert_eq!(ledger.check(&tables), [Fault::Nonce(Kind::Receipt, frame)]);
    }

    #[test]
    fn a_reading_that_was_not_delivered_is_found() {
        let (mut ledger, tables) = good();
        // Of the stream that both may see.
        let (reading, _) = ledger.make(7);
        ledger.seal(frame(4), reading);
        assert_eq!((ledger.undelivered(), ledger.is_done()), (vec![], false));
        ledger.receipt(frame(4));
        ledger.delivered(0, reading.to_string().as_bytes());
        assert_eq!(ledger.undelivered(), [Fault::NotDelivered(USERS[1], frame(4))]);
        assert!(!ledger.is_done());
        ledger.broker_was_killed();
        assert_eq!((ledger.undelivered(), ledger.is_done()), (vec![], true));
        assert_eq!(ledger.counts(&tables).lost_by_broker, 1);
    }

    #[test]
    fn a_reading_of_somebody_else_is_found() {
        let (mut ledger, tables) = good();
        ledger.delivered(1, b"1");
        ledger.delivered(0, b"no number");
        assert_eq!(ledger.check(&tables), [Fault::Leaked(USERS[1], 1), Fault::Leaked(USERS[0], u64::MAX)]);
    }

    #[test]
    fn an_epoch_that_goes_back_is_found() {
        let (mut ledger, mut tables) = good();
        assert_eq!(ledger.check(&tables), []);
        *tables.epochs.values_mut().next().unwrap() = 0;
        assert_eq!(ledger.check(&tables), [Fault::EpochBack { device: DEVICE, before: 1, after: Some(0) }]);
        let (mut ledger, mut tables) = good();
        assert_eq!(ledger.check(&tables), []);
        tables.epochs.clear();
        assert_eq!(ledger.check(&tables), [Fault::EpochBack { device: DEVICE, before: 1, after: None }]);
    }

    #[test]
    fn a_shard_is_back_with_a_receipt_of_a_later_reading() {
        let mut ledger = Ledger::default();
        let (before, _) = ledger.make(0);
        ledger.watch();
        let (after, _) = ledger.make(1);
        for (counter, reading) in [(0, before), (1, after)] {
            ledger.seal(frame(counter), reading);
            ledger.receipt(frame(counter));
        }
        assert!(ledger.back(1).is_some());
        assert_eq!(ledger.back(2), None);
    }
}
