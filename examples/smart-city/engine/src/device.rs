//! What the gateway holds of one device.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use serde::Serialize;
use smart_city_frame::{
    Challenge, DeviceId, Epoch, GatewayLink, Header, LinkState, OVERHEAD, OpenError, Receipt, RootKey,
    seal_epoch_request,
};

use crate::{memory::Fingerprint, store::DeviceRecord};

/// How often a device's frames of a newer epoch are tried, which takes new keys: so many at once, then one in each interval.
///
/// A device needs one try for an epoch. Whoever makes epochs up takes its tries away while that goes on, and for no longer.
const TRIALS: (u32, Duration) = (16, Duration::from_millis(250));

/// One in so many frames that did not open in a newer epoch closes that epoch, so that a key of it sees about as many forgeries as
/// that of the current one. Counting them would take memory for each epoch that somebody makes up.
const CLOSING: u64 = 1024;

/// How often a frame of one of the closed epochs is tried all the same. So a device of which somebody has closed the epoch gets through soon
/// after that has ended; and in ten years of forgeries all its keys together see 2^25 of them, for tags of 64 bits.
const CLOSED_TRIALS: (u32, Duration) = (1, Duration::from_secs(10));

/// How often a receipt is sent again to a device that sends a frame again.
const REPEATS: (u32, Duration) = (4, Duration::from_millis(250));

/// How often evidence that nobody asked for, and that changes nothing, has a record of its own in the audit log.
pub(crate) const UNASKED: (u32, Duration) = (4, Duration::from_secs(60));

/// How often what an operator wanted and did not get has a record of its own.
pub(crate) const DENIED: (u32, Duration) = (16, Duration::from_secs(60));

/// How often a new epoch is asked for because keys are nearly used up, too many frames were rejected, or no evidence came: whoever has the
/// network or a device's application can bring these about again and again, and a device has 65,535 epochs.
const FORCED: (u32, Duration) = (8, Duration::from_secs(3600));

/// Below so many blocks left a new epoch is asked for: some hundred frames.
const FEW_BLOCKS: u32 = 8192;

/// Why a message was not accepted. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The topic is none of the gateway's.
    Topic,
    /// The registry has no such device.
    UnknownDevice,
    /// The registry does not have this stream for this device.
    UnknownStream,
    /// Another gateway has the device's shard.
    Elsewhere,
    /// The device is isolated.
    Isolated,
    /// It is of an epoch of which no more is accepted: of one before, or the gateway has lost its replay window.
    EpochEnded,
    /// Evidence that nobody asked for, or not any more, and that changes nothing.
    NotAsked,
    /// More came than was worked off.
    Overload,
    /// It is no frame.
    Header,
    /// It is of another kind, or goes the other way.
    OtherKind,
    /// The sender says another class than the registry.
    OtherClass,
    /// It was accepted before, or it is too old to know.
    Replayed,
    /// The tag is wrong.
    Rejected,
    /// Too many tags were wrong, or the key was used up: a new epoch is needed.
    Limit,
    /// It is authentic, but not what its kind says.
    Content,
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Header(_) => Self::Header,
            OpenError::OtherDevice => Self::UnknownDevice,
            OpenError::OtherKind(_) => Self::OtherKind,
            OpenError::OtherClass { .. } => Self::OtherClass,
            OpenError::OtherEpoch(_) => Self::EpochEnded,
            OpenError::Replayed | OpenError::TooOld => Self::Replayed,
            OpenError::TooManyFailures | OpenError::LimitReached => Self::Limit,
            OpenError::Content(_) => Self::Content,
            _ => Self::Rejected,
        }
    }
}

/// An instruction whose evidence is expected.
#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) challenge: Challenge,
    /// The region that the evidence must be about.
    pub(crate) region: u16,
    /// The sealed frame. To send it again is harmless: a device opens it once.
    pub(crate) frame: Vec<u8>,
    pub(crate) sent: u32,
    /// None when the time is over.
    pub(crate) deadline: Option<Instant>,
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// A new epoch is needed before the instruction to restore can be sealed.
    NeedsEpoch,
    /// The instruction to restore was sent.
    Restoring,
}

/// What happens only so often.
#[derive(Debug, Default)]
pub struct Rate {
    /// When it may happen as often as it may at once.
    full: Option<Instant>,
}

impl Rate {
    /// Whether it may happen now: `burst` times at once, then once in an `interval`. If so, it has happened.
    pub fn take(&mut self, (burst, interval): (u32, Duration), now: Instant) -> bool {
        let full = self.full.map_or(now, |full| full.max(now));
        let may = full - now <= interval * (burst - 1);
        if may {
            self.full = Some(full + interval);
        }
        may
    }
}

/// True once in `n` times, so that nobody can tell when.
fn one_in(n: u64) -> bool {
    // The keys of the standard hasher are random, and others each time.
    RandomState::new().hash_one(()).is_multiple_of(n)
}

/// When to ask for a new epoch next, and how long after that again.
#[derive(Debug)]
struct Ask {
    next: Instant,
    pause: Duration,
    /// Nobody knows whether the device is there: it was not heard since a start.
    is_unheard: bool,
}

/// When something is to happen with which devices: with those that were heard, and with those of which nobody knows whether they are there.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    heard: BTreeSet<(Instant, DeviceId)>,
    unheard: BTreeSet<(Instant, DeviceId)>,
}

/// A device's place there: the time, and whether it is among those that were not heard.
type Wait = (Instant, bool);

impl Waiting {
    const fn place(&mut self, is_unheard: bool) -> &mut BTreeSet<(Instant, DeviceId)> {
        if is_unheard { &mut self.unheard } else { &mut self.heard }
    }

    /// Those for which it is time; of those that were not heard, so many at most.
    pub(crate) fn due(&self, now: Instant, most_unheard: usize) -> Vec<DeviceId> {
        let until = |all| BTreeSet::range(all, ..=(now, DeviceId([0xFF; 8])));
        let all = until(&self.heard).chain(until(&self.unheard).take(most_unheard));
        all.map(|(_, id)| *id).collect()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Device {
    pub(crate) record: DeviceRecord,
    /// Of its root key.
    pub(crate) key: Fingerprint,
    /// None after a start and after an isolation, until a newer epoch comes. In a box, as a map moves what is in it, and would
    /// leave copies of keys behind; and most of what a device takes is its keys.
    link: Option<Box<GatewayLink>>,
    /// What of the link's epoch is stored.
    receipt: Option<Receipt>,
    /// Whether there is more in it than was sent.
    receipt_due: bool,
    /// The last receipt of the link's epoch, as it was sent.
    sent_receipt: Option<Vec<u8>>,
    /// The link went on here from a state, which does not say which frames before the newest one were missing.
    is_resumed: bool,
    repeats: Rate,
    trials: Rate,
    closed_trials: Rate,
    forced: Rate,
    /// Newer epochs in which no more is tried: about one for each [`CLOSING`] forgeries.
    closed: BTreeSet<Epoch>,
    pub(crate) outstanding: Option<Outstanding>,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) unasked: Rate,
    ask: Option<Ask>,
    /// Under what it [waits](Self::wait) in the engine.
    waits: Option<Wait>,
    pub(crate) frames: u64,
    pub(crate) refused: BTreeMap<Refusal, u64>,
    pub(crate) last_seen: Option<jiff::Timestamp>,
}

impl Device {
    /// As after a start: what was known under this root key, and no link.
    pub(crate) fn restored(record: DeviceRecord, key: Fingerprint, now: Instant) -> Self {
        let mut device = Self { record, key, ..Self::default() };
        if device.record.epoch.is_some() && device.record.isolated.is_none() {
            device.ask_epoch(now);
        }
        if let Some(ask) = &mut device.ask {
            ask.is_unheard = true;
        }
        device
    }

    /// Opens a frame, in the current epoch or a newer one, which then is the current one.
    ///
    /// **What comes out may be used only after [`record`](Self::record) was stored.**
    pub(crate) fn open<T>(
        &mut self,
        id: DeviceId,
        root: &RootKey,
        frame: &mut [u8],
        now: Instant,
        mut open: impl FnMut(&mut GatewayLink, &mut [u8]) -> Result<T, OpenError>,
    ) -> Result<T, Refusal> {
        let Header { epoch, counter, .. } = Header::parse(frame).map_err(OpenError::from)?;
        if let Some(link) = &mut self.link {
            match open(link, frame) {
                Err(OpenError::OtherEpoch(_)) => {}
                result => {
                    let few = link.needs_new_epoch(FEW_BLOCKS);
                    let result = result.map_err(Refusal::from);
                    // The device would send it again and again.
                    let is_stuck = self.is_resumed
                        && matches!(result, Err(Refusal::Replayed))
                        && self
                            .receipt
                            .is_some_and(|receipt| receipt.reaches(counter) && !receipt.has(counter));
                    if few || is_stuck || matches!(result, Err(Refusal::Limit)) {
                        self.ask_forced_epoch(now);
                    }
                    return result;
                }
            }
        }
        if self.record.epoch.is_some_and(|current| epoch <= Epoch(current)) {
            return Err(Refusal::EpochEnded);
        }
        if self.record.isolated.is_some() && self.recovery.is_none() {
            return Err(Refusal::Isolated);
        }
        let may_be_tried = if self.closed.contains(&epoch) {
            self.closed_trials.take(CLOSED_TRIALS, now)
        } else {
            self.trials.take(TRIALS, now)
        };
        if !may_be_tried {
            return Err(Refusal::Limit);
        }
        let mut link = Box::new(GatewayLink::new(root, id, epoch));
        match open(&mut link, frame) {
            Err(error) if !matches!(error, OpenError::Content(_)) => {
                if error == OpenError::Rejected && one_in(CLOSING) {
                    self.closed.insert(epoch);
                }
                Err(error.into())
            }
            result => {
                self.link = Some(link);
                self.record.epoch = Some(epoch.0);
                (self.receipt, self.receipt_due, self.sent_receipt, self.ask) = (None, false, None, None);
                self.is_resumed = false;
                // It is not closed itself.
                self.closed = self.closed.split_off(&epoch);
                if epoch == Epoch::LAST {
                    tracing::warn!(device = %id, "its last epoch is open: it needs a new root key");
                }
                result.map_err(Refusal::from)
            }
        }
    }

    /// Notes that a frame is to be stored.
    pub(crate) fn accepted(&mut self, counter: [u8; 3]) {
        match &mut self.receipt {
            Some(receipt) => receipt.add(counter),
            None => self.receipt = Some(Receipt::new(counter)),
        }
        self.receipt_due = true;
        self.frames += 1;
    }

    /// A receipt of what was stored, if there is anything new.
    pub(crate) fn seal_receipt(&mut self, now: Instant) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.receipt_due) {
            return None;
        }
        let (link, receipt) = (self.link.as_mut()?, self.receipt.as_ref()?);
        let mut buffer = [0; Receipt::LEN + OVERHEAD];
        match link.seal_receipt(receipt, &mut buffer) {
            Ok(frame) => {
                self.sent_receipt = Some(frame.to_vec());
                self.sent_receipt.clone()
            }
            Err(_) => {
                self.ask_forced_epoch(now);
                None
            }
        }
    }

    /// The last receipt once more, for a device that sends a frame again: it may have lost it.
    ///
    /// It is the same frame, so it takes no counter and no block of the key from whoever sends old frames without having keys.
    pub(crate) fn repeated_receipt(&mut self, now: Instant) -> Option<Vec<u8>> {
        let frame = self.sent_receipt.as_ref()?;
        self.repeats.take(REPEATS, now).then(|| frame.clone())
    }

    /// How far the link is, for another gateway that [goes on](Self::resume) with it; none if there is none, or if nothing may go on.
    ///
    /// It is the link's [state](LinkState), and if anything was accepted the receipt, and that as it was sent, if it was.
    pub(crate) fn suspend(self) -> Option<Vec<u8>> {
        let link = self.link.filter(|_| self.record.isolated.is_none())?;
        let mut bytes = link.suspend().to_bytes().to_vec();
        if let Some(receipt) = self.receipt {
            bytes.extend(receipt.to_bytes());
            bytes.extend(self.sent_receipt.unwrap_or_default());
        }
        Some(bytes)
    }

    /// Goes on with the link that another gateway has suspended; false if that is not of this device's newest epoch.
    pub(crate) fn resume(&mut self, id: DeviceId, root: &RootKey, bytes: &[u8]) -> bool {
        let Some((state, rest)) = bytes.split_first_chunk() else { return false };
        let state = LinkState::from_bytes(*state);
        if self.record.epoch != Some(state.epoch().0) || self.record.isolated.is_some() {
            return false;
        }
        let Some(link) = GatewayLink::resume(root, id, &state) else { return false };
        (self.link, self.is_resumed, self.ask) = (Some(Box::new(link)), true, None);
        if let Some((receipt, sent)) = rest.split_first_chunk() {
            self.receipt = Some(Receipt::from_bytes(*receipt));
            self.sent_receipt = Some(sent.to_vec()).filter(|sent| !sent.is_empty());
        }
        true
    }

    pub(crate) fn link(&mut self) -> Option<&mut GatewayLink> {
        self.link.as_deref_mut()
    }

    /// Ends the epoch: nothing more is accepted from it, and a new one is asked for.
    pub(crate) fn end_epoch(&mut self, now: Instant) {
        (self.link, self.receipt, self.receipt_due, self.sent_receipt) = (None, None, false, None);
        self.ask = None;
        self.ask_epoch(now);
    }

    /// Asks for a new epoch from now on, if that is not done already and there is one.
    pub(crate) fn ask_epoch(&mut self, now: Instant) {
        if self.record.epoch.is_some_and(|epoch| Epoch(epoch) < Epoch::LAST) {
            let ask = Ask { next: now, pause: Duration::from_millis(500), is_unheard: false };
            self.ask.get_or_insert(ask);
        }
    }

    /// The same for what a network can bring about, so that it takes time.
    pub(crate) fn ask_forced_epoch(&mut self, now: Instant) {
        if self.ask.is_none() && self.forced.take(FORCED, now) {
            self.ask_epoch(now);
        }
    }

    /// The request for a new epoch, if it is time for one.
    pub(crate) fn epoch_request(&mut self, id: DeviceId, root: &RootKey, now: Instant) -> Option<Vec<u8>> {
        let epoch = Epoch(self.record.epoch?);
        let Ask { next, pause, .. } = self.ask.as_mut()?;
        if *next > now {
            return None;
        }
        *next = now + *pause;
        *pause = (*pause * 2).min(Duration::from_secs(60));
        let mut buffer = [0; OVERHEAD];
        seal_epoch_request(root, id, epoch, &mut buffer).ok().map(|frame| frame.to_vec())
    }

    /// A device that asks, or sends in an ended epoch, is there: it need not wait for the longest pause.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if let Some(Ask { next, pause, is_unheard }) = &mut self.ask {
            *is_unheard = false;
            *pause = (*pause).min(Duration::from_secs(1));
            *next = (*next).min(now + *pause);
        }
    }

    /// When something is to happen next.
    fn next_wait(&self) -> Option<Wait> {
        let ask = self.ask.as_ref().map(|ask| (ask.next, ask.is_unheard));
        let deadline = self.outstanding.as_ref().and_then(|outstanding| outstanding.deadline);
        deadline.map(|time| (time, false)).into_iter().chain(ask).min()
    }

    /// Has it wait in its place among `all`.
    pub(crate) fn wait(&mut self, id: DeviceId, all: &mut Waiting) {
        let next = self.next_wait();
        if next != self.waits {
            self.stop_waiting(id, all);
            self.waits = next;
            if let Some((time, is_unheard)) = next {
                all.place(is_unheard).insert((time, id));
            }
        }
    }

    /// Takes it out of its place among `all`.
    pub(crate) fn stop_waiting(&mut self, id: DeviceId, all: &mut Waiting) {
        if let Some((time, is_unheard)) = self.waits.take() {
            all.place(is_unheard).remove(&(time, id));
        }
    }

    /// The frames of all refusals.
    pub(crate) fn refused_frames(&self) -> u64 {
        self.refused.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use smart_city_frame::{Class, DeviceLink, Stream};

    use super::*;

    const ID: DeviceId = DeviceId(*b"device 1");

    fn root() -> RootKey {
        RootKey::new([0x42; 16])
    }

    fn stream() -> Stream {
        Stream { id: 7.try_into().unwrap(), class: Class::Internal }
    }

    /// A frame of an epoch's link, and a forged one that claims the epoch.
    fn frames(epoch: u16) -> [Vec<u8>; 2] {
        let mut link = DeviceLink::new(&root(), ID, Epoch(epoch));
        let genuine = link.seal_reading(stream(), b"21.5 C", &mut [0; 64]).unwrap().to_vec();
        let mut forged = genuine.clone();
        forged[10] ^= 1;
        [genuine, forged]
    }

    fn open(device: &mut Device, frame: &[u8], now: Instant) -> Result<(), Refusal> {
        let open =
            |link: &mut GatewayLink, frame: &mut [u8]| link.open_reading(ID, stream(), frame).map(drop);
        device.open(ID, &root(), &mut frame.to_vec(), now, open)
    }

    #[test]
    fn any_gap_between_epochs_heals_at_the_next_frame() {
        let now = Instant::now();
        for first in [0, 1, 255, 256, 300, 40_000, 65_535] {
            let mut device = Device::default();
            assert_eq!(open(&mut device, &frames(first)[0], now), Ok(()), "first contact in {first}");
            for gap in [1, 254, 255, 256, 257, 512, 20_000] {
                let Some(epoch) = first.checked_add(gap) else { continue };
                let record = DeviceRecord { epoch: Some(first), ..DeviceRecord::default() };
                for mut device in [
                    Device { record: record.clone(), ..Device::default() },
                    Device::restored(record, [0; 16], now),
                ] {
                    assert_eq!(open(&mut device, &frames(epoch)[1], now), Err(Refusal::Rejected));
                    assert_eq!(device.record.epoch, Some(first), "only an authentic frame moves the epoch");
                    // One in 1,024 is closed.
                    device.closed.clear();
                    assert_eq!(open(&mut device, &frames(epoch)[0], now), Ok(()), "{gap} after {first}");
                    assert_eq!(device.record.epoch, Some(epoch));
                    for old in [first, epoch - 1] {
                        assert_eq!(open(&mut device, &frames(old)[0], now), Err(Refusal::EpochEnded));
                    }
                }
            }
        }
    }

    /// Whoever makes epochs up gets a bounded number of tries, and shuts the device out for no longer than they go on.
    #[test]
    fn made_up_epochs_cost_little_and_shut_nobody_out() {
        let start = Instant::now();
        let mut device = Device::default();
        assert_eq!(open(&mut device, &frames(9)[0], start), Ok(()));
        let mut forged = frames(10)[1].clone();
        let mut counts = BTreeMap::new();
        for i in 0..600_000u32 {
            forged[1..3].copy_from_slice(&u16::try_from(10 + i % 60_000).unwrap().to_be_bytes());
            let now = start + Duration::from_millis(i.into());
            *counts.entry(open(&mut device, &forged, now).unwrap_err()).or_insert(0) += 1;
        }
        // The first frame took one of the sixteen; of what an epoch was closed for one is tried in ten seconds.
        assert!((2300..=2415 + 60).contains(&counts[&Refusal::Rejected]), "{counts:?}");
        assert_eq!(counts.len(), 2, "{counts:?}");
        // Frames of the current epoch take none of them.
        let mut link = DeviceLink::new(&root(), ID, Epoch(9));
        link.seal_reading(stream(), b"", &mut [0; 64]).unwrap();
        let current = link.seal_reading(stream(), b"", &mut [0; 64]).unwrap().to_vec();
        let end = start + Duration::from_secs(600);
        assert_eq!(open(&mut device, &current, end), Ok(()));
        // Nor does it matter whether they have closed the device's.
        device.closed.insert(Epoch(3000));
        assert_eq!(open(&mut device, &frames(3000)[0], end + CLOSED_TRIALS.1), Ok(()));
    }

    #[test]
    fn an_epoch_is_closed_after_many_forgeries_and_no_other() {
        let mut now = Instant::now();
        let mut device = Device::default();
        let forged = &frames(300)[1];
        let mut tries = 0;
        while device.closed.is_empty() {
            assert_eq!(open(&mut device, forged, now), Err(Refusal::Rejected));
            now += TRIALS.1;
            tries += 1;
            // To come here by chance: e^-97.
            assert!(tries < 100_000, "it stays open");
        }
        // From now on it is tried rarely, and the genuine frame gets its turn when the forgeries have ended.
        let [genuine, _] = frames(300);
        let tried = (0..1000).filter(|i| {
            open(&mut device, forged, now + Duration::from_millis(100) * *i) == Err(Refusal::Rejected)
        });
        assert_eq!(tried.count(), 10);
        now += Duration::from_secs(100) - Duration::from_millis(1);
        assert_eq!(open(&mut device, &genuine, now), Err(Refusal::Limit));
        let mut other = Device { closed: device.closed.clone(), ..Device::default() };
        assert_eq!(open(&mut other, &frames(301)[0], now), Ok(()));
        assert_eq!(other.closed.len(), 0, "what has ended needs no place");
        assert_eq!(open(&mut device, &genuine, now + CLOSED_TRIALS.1), Ok(()));
    }

    #[test]
    fn a_frame_that_comes_again_is_answered_with_the_same_receipt() {
        let start = Instant::now();
        let mut device = Device::default();
        let [genuine, _] = frames(1);
        assert_eq!(device.repeated_receipt(start), None);
        open(&mut device, &genuine, start).unwrap();
        device.accepted([0; 3]);
        assert_eq!(device.repeated_receipt(start), None, "not before it was stored");
        let receipt = device.seal_receipt(start).unwrap();
        assert_eq!(open(&mut device, &genuine, start), Err(Refusal::Replayed));
        let repeats: usize = (0..10_000)
            .filter_map(|ms| device.repeated_receipt(start + Duration::from_millis(ms)))
            .map(|again| assert_eq!(again, receipt))
            .count();
        assert_eq!(repeats, 4 + 39, "a few, then four a second");
        open(&mut device, &frames(2)[0], start).unwrap();
        assert_eq!(
            device.repeated_receipt(start + Duration::from_secs(20)),
            None,
            "of the new epoch there is none"
        );
    }

    #[test]
    fn a_few_forgeries_close_no_epoch_and_a_closed_one_stays_closed() {
        let mut now = Instant::now();
        let mut device = Device::default();
        for epoch in 1..=200 {
            assert_eq!(open(&mut device, &frames(epoch)[1], now), Err(Refusal::Rejected));
            now += TRIALS.1;
        }
        // Of 200 that were tried once. By chance: 2 in 10^14.
        assert!(device.closed.len() < 10, "{:?}", device.closed);
        device.closed = [Epoch(300), Epoch(302)].into();
        assert_eq!(open(&mut device, &frames(301)[0], now), Ok(()));
        assert_eq!(device.closed, [Epoch(302)].into());
        let now = now + TRIALS.1;
        assert_eq!(open(&mut device, &frames(302)[1], now), Err(Refusal::Rejected));
        assert_eq!(open(&mut device, &frames(302)[0], now + TRIALS.1), Err(Refusal::Limit));
    }

    /// An authentic frame opens its epoch, also if the gateway does not understand it: else it could be opened again.
    #[test]
    fn an_authentic_frame_without_sense_opens_its_epoch() {
        let now = Instant::now();
        let mut device = Device::default();
        let mut open_strange = |link: &mut GatewayLink, frame: &mut [u8]| {
            link.open_reading(ID, stream(), frame)?;
            Err::<(), _>(OpenError::Content(smart_city_frame::ContentError::Length(6)))
        };
        let [genuine, _] = frames(4);
        let first = device.open(ID, &root(), &mut genuine.clone(), now, &mut open_strange);
        assert_eq!((first, device.record.epoch), (Err(Refusal::Content), Some(4)));
        assert_eq!(open(&mut device, &genuine, now), Err(Refusal::Replayed));
    }

    #[test]
    fn refusals_tell_errors_apart() {
        use smart_city_frame::{ContentError, HeaderError, Kind};
        for (error, refusal) in [
            (OpenError::Header(HeaderError::Truncated), Refusal::Header),
            (OpenError::OtherDevice, Refusal::UnknownDevice),
            (OpenError::OtherKind(Kind::Receipt), Refusal::OtherKind),
            (
                OpenError::OtherClass { found: Class::Public, registered: Class::Internal },
                Refusal::OtherClass,
            ),
            (OpenError::OtherEpoch(Epoch(1)), Refusal::EpochEnded),
            (OpenError::Replayed, Refusal::Replayed),
            (OpenError::TooOld, Refusal::Replayed),
            (OpenError::Rejected, Refusal::Rejected),
            (OpenError::TooManyFailures, Refusal::Limit),
            (OpenError::LimitReached, Refusal::Limit),
            (OpenError::Content(ContentError::Length(1)), Refusal::Content),
        ] {
            assert_eq!(Refusal::from(error), refusal, "{error:?}");
        }
    }

    /// However many devices are silent after a start, who is heard is asked at once; the others come in turn.
    #[test]
    fn a_crowd_of_silent_devices_delays_nobody() {
        let start = Instant::now();
        let record = DeviceRecord { epoch: Some(1), ..DeviceRecord::default() };
        let id = |i: u64| DeviceId(i.to_be_bytes());
        let mut waiting = Waiting::default();
        let mut devices: Vec<_> =
            (0..1000).map(|_| Device::restored(record.clone(), [0; 16], start)).collect();
        for (device, i) in devices.iter_mut().zip(0..) {
            device.wait(id(i), &mut waiting);
        }
        let mut asked = vec![0; 1000];
        for tick in 0..40u32 {
            let now = start + Duration::from_millis(250) * tick;
            if tick == 1 {
                // It sends in its ended epoch.
                devices[999].hurry(now);
                devices[999].wait(id(999), &mut waiting);
            }
            let due = waiting.due(now, 10);
            assert!(due.len() <= 11);
            // Then after half a second, one second and so on.
            assert_eq!(due.contains(&id(999)), [1, 3, 7, 15, 31].contains(&tick), "{tick}");
            for id in due {
                let i = usize::try_from(u64::from_be_bytes(id.0)).unwrap();
                asked[i] += u32::from(devices[i].epoch_request(id, &root(), now).is_some());
                devices[i].wait(id, &mut waiting);
            }
        }
        assert_eq!(asked[..400].iter().filter(|count| **count == 1).count(), 400, "{asked:?}");
        devices[0].stop_waiting(id(0), &mut waiting);
        assert!(!waiting.due(start + Duration::from_secs(3600), 1000).contains(&id(0)));
    }

    /// A device for which nothing is to happen costs nothing when time passes.
    #[test]
    fn a_device_waits_while_something_is_to_happen() {
        let now = Instant::now();
        let mut device = Device::default();
        assert!(device.next_wait().is_none());
        open(&mut device, &frames(1)[0], now).unwrap();
        assert!(device.next_wait().is_none());
        let mut buffer = [0; 64];
        let instruction = smart_city_frame::Instruction { region: 1, argument: b"on" };
        let (frame, challenge) = device.link().unwrap().seal_instruction(&instruction, &mut buffer).unwrap();
        let (frame, deadline) = (frame.to_vec(), Some(now));
        device.outstanding = Some(Outstanding { challenge, region: 1, frame, sent: 1, deadline });
        assert!(device.next_wait().is_some());
        device.outstanding.as_mut().unwrap().deadline = None;
        assert!(device.next_wait().is_none());
        device.end_epoch(now);
        assert!(device.next_wait().is_some());
    }

    /// Forged frames end epoch after epoch: the gateway asks for a few new ones, and then for one an hour.
    #[test]
    fn forged_frames_use_few_epochs_up() {
        let mut now = Instant::now();
        let mut device = Device::default();
        let mut asked = 0;
        for epoch in 1..=30 {
            let [genuine, mut forged] = frames(epoch);
            forged[5] = 1;
            open(&mut device, &genuine, now).unwrap();
            for _ in 0..=1024 {
                assert!(open(&mut device, &forged, now).is_err());
            }
            asked += u32::from(device.epoch_request(ID, &root(), now).is_some());
            now += Duration::from_secs(1);
        }
        assert_eq!(asked, FORCED.0);
        let forged = {
            let [_, mut forged] = frames(30);
            forged[5] = 1;
            forged
        };
        now += FORCED.1;
        assert_eq!(open(&mut device, &forged, now), Err(Refusal::Limit));
        assert!(device.epoch_request(ID, &root(), now).is_some(), "an hour is over");
    }

    /// When a receiver's failures are used up a new epoch is asked for: at once, then less and less often, until one comes.
    #[test]
    fn a_used_up_epoch_is_followed_by_requests() {
        let start = Instant::now();
        let mut device = Device::default();
        let [genuine, forged] = frames(1);
        open(&mut device, &genuine, start).unwrap();
        for _ in 0..1024 {
            assert_eq!(open(&mut device, &forged[..], start), Err(Refusal::Replayed));
        }
        let mut forged = forged;
        forged[5] = 1;
        for _ in 0..1024 {
            assert_eq!(device.epoch_request(ID, &root(), start), None);
            assert_eq!(open(&mut device, &forged, start), Err(Refusal::Rejected));
        }
        for _ in 0..3 {
            assert_eq!(open(&mut device, &forged, start), Err(Refusal::Limit));
        }
        let asked: Vec<u64> = (0..300_000)
            .filter(|ms| device.epoch_request(ID, &root(), start + Duration::from_millis(*ms)).is_some())
            .collect();
        assert_eq!(asked, [0, 500, 1500, 3500, 7500, 15_500, 31_500, 63_500, 123_500, 183_500, 243_500]);
        let later = start + Duration::from_secs(300);
        device.hurry(later);
        assert_eq!(device.epoch_request(ID, &root(), later), None);
        assert!(device.epoch_request(ID, &root(), later + Duration::from_secs(1)).is_some(), "it is there");
        open(&mut device, &frames(2)[0], later).unwrap();
        assert_eq!(device.epoch_request(ID, &root(), later + Duration::from_secs(100)), None);

        // There is no epoch after the last one to ask for.
        open(&mut device, &frames(65_535)[0], later).unwrap();
        device.end_epoch(later);
        assert_eq!(device.epoch_request(ID, &root(), later + Duration::from_secs(100)), None);
    }
}
