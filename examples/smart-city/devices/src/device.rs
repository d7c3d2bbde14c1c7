//! A device without its network and without a clock: what it is given it answers with frames, at the times that it is told.
//!
//! # Until the receipt
//!
//! A frame is sent again, **the same bytes**, until there is a receipt of it: when later ones have theirs, or when no
//! receipt comes in time. The gateway opens it once and answers it each time, so neither a lost frame nor a lost receipt makes two
//! readings of one. How many are on their way, and what "in time" is, follows the link (RFC 5681, RFC 6298).
//!
//! A reading is sealed anew, under another counter, only if a receipt can no longer speak of its frame: in a new epoch, or 64 and more
//! frames behind. Then it may arrive twice.
//!
//! What gets no receipt whatever is done, such as a reading of a stream that the gateway does not know, holds nothing else up: the
//! stream with the fewest frames without a receipt comes first, and what was sent more than once comes after what was not.
//!
//! # Epochs
//!
//! One opens at each start, when keys are used up, and when the gateway asks for it, **not** with a new connection. And when
//! nothing comes from the gateway for a minute although something was sent, then after two, four, up to a day, until
//! everything has its receipt: so whatever the two ends hold against each other ends, such as a gateway that has lost its data. After
//! [`Epoch::LAST`] a device does not seal any more and says [`EpochError::UsedUp`]: it needs a new root key.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use smart_city_detector::{AllowedValues, Detector, InvalidTable};
use smart_city_frame::{
    ALL_REGIONS, AttestKey, Challenge, DeviceId, DeviceLink, Epoch, Evidence, Header, Instruction, Kind,
    OpenError, Receipt, RootKey, SealError, Stream, Verdict,
};

use crate::{
    epoch::{EpochError, EpochFile},
    image::Image,
    pace::{MAX_WINDOW, Pace},
};

/// What was sent so often comes after what was not.
const OFTEN: u32 = 2;

/// A frame is lost if one that was sent so many later has a receipt.
const REORDERED: u64 = 3;

/// How long a device waits for a sign of the gateway before it opens another epoch, at first and at most.
const PATIENCE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 60 * 60)];

/// The readings that a device keeps.
pub const CAPACITY: usize = 1024;

/// The longest frame.
const MAX_FRAME_LEN: usize = smart_city_frame::MAX_PAYLOAD_LEN + smart_city_frame::OVERHEAD;

/// Why a device cannot go on, or did not do what it was given.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no new epoch: the device must not seal.
    Epoch(EpochError),
    /// The table of allowed values is none.
    Table(InvalidTable),
    /// A reading was too long.
    Seal(SealError),
    /// A frame was not opened.
    Open(OpenError),
    /// So many readings wait for their receipts that there is no room for another one.
    Full,
}

/// A frame to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The last part of its topic: a stream's number, or `evidence`.
    pub topic: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a frame from the gateway made the device do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// So many readings need not be kept any longer.
    Receipt(usize),
    /// The function of a region was examined; it ran only if it was intact. Or all regions were examined, and none ran.
    Examined {
        /// The region. Of all, the first that is altered, or [`ALL_REGIONS`] if none is.
        region: u16,
        /// What was found.
        verdict: Verdict,
    },
    /// A region was restored from the secure copy, or all were, and examined.
    Restored {
        /// The region, or [`ALL_REGIONS`].
        region: u16,
        /// What was found then.
        verdict: Verdict,
        /// The readings that were discarded, because they were made with altered code.
        discarded: usize,
    },
    /// A new epoch was opened.
    NewEpoch(Epoch),
}

/// What a device says.
#[derive(Clone, Debug)]
enum Content {
    Reading(Stream, Vec<u8>),
    Evidence(Evidence),
}

/// What is kept until its receipt.
#[derive(Debug)]
struct Message {
    content: Content,
    /// How often it was sent, in whatever epoch.
    sent: u32,
}

impl Message {
    /// None of evidence.
    const fn stream(&self) -> Option<Stream> {
        match self.content {
            Content::Reading(stream, _) => Some(stream),
            Content::Evidence(_) => None,
        }
    }

    const fn is_reading(&self) -> bool {
        self.stream().is_some()
    }
}

/// A message in a frame of this epoch.
#[derive(Debug)]
struct Sealed {
    message: Message,
    frame: Frame,
    /// When it was sent the last time, and as which one of all that were sent.
    at: Instant,
    order: u64,
    /// How often this very frame was sent.
    times: u32,
    /// It must be sent again.
    lost: bool,
}

/// A simulated device.
#[derive(Debug)]
pub struct Device {
    id: DeviceId,
    root: RootKey,
    attest_key: AttestKey,
    epochs: EpochFile,
    epoch: Epoch,
    /// None when no new epoch could be opened.
    link: Option<DeviceLink>,
    /// As it was built, where only the secure world writes.
    secure_copy: Image,
    table: Vec<u8>,
    /// The code that runs.
    code: BTreeMap<u16, Vec<u8>>,
    /// How often each function ran.
    runs: BTreeMap<u16, u32>,
    /// Not sealed in this epoch.
    waiting: VecDeque<Message>,
    /// Sealed, without a receipt, by their counters.
    sealed: BTreeMap<u32, Sealed>,
    /// The next counter.
    next: u32,
    pace: Pace,
    /// Frames that were sent, all together.
    order: u64,
    /// Up to here losses were answered with a smaller window.
    recovered: u64,
    /// When a receipt must be there.
    deadline: Option<Instant>,
    /// No receipt was in time since the last one.
    silent: bool,
    /// Since when something was sent and nothing came.
    unheard_since: Option<Instant>,
    first_patience: Duration,
    patience: Duration,
}

impl Device {
    /// Starts a device: it opens a new epoch.
    ///
    /// # Errors
    /// [`Error::Epoch`] and [`Error::Table`].
    pub fn start(id: DeviceId, root: RootKey, image: &Image, epochs: EpochFile) -> Result<Self, Error> {
        let attest_key = root.attest_key(id);
        let table = image.table(&attest_key);
        AllowedValues::new(&table).map_err(Error::Table)?;
        let epoch = epochs.advance().map_err(Error::Epoch)?;
        Ok(Self {
            id,
            epoch,
            link: Some(DeviceLink::new(&root, id, epoch)),
            pace: Pace::new(u64::from_be_bytes(id.0) ^ u64::from(epoch.0) << 32),
            root,
            attest_key,
            epochs,
            secure_copy: image.clone(),
            table,
            code: image.functions().iter().map(|f| (f.region, f.code.clone())).collect(),
            runs: BTreeMap::new(),
            waiting: VecDeque::new(),
            sealed: BTreeMap::new(),
            next: 0,
            order: 0,
            recovered: 0,
            deadline: None,
            silent: false,
            unheard_since: None,
            first_patience: PATIENCE[0],
            patience: PATIENCE[0],
        })
    }

    /// With another time than a minute until it opens another epoch because nothing comes from the gateway.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        (self.first_patience, self.patience) = (patience, patience);
        self
    }

    /// Its EUI-64.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.id
    }

    /// The last epoch that it opened.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How often the function of a region ran.
    #[must_use]
    pub fn runs(&self, region: u16) -> u32 {
        self.runs.get(&region).copied().unwrap_or(0)
    }

    /// The readings of which there is no receipt.
    #[must_use]
    pub fn kept(&self) -> usize {
        let sealed = self.sealed.values().map(|sealed| &sealed.message);
        self.waiting.iter().chain(sealed).filter(|message| message.is_reading()).count()
    }

    /// Takes a reading, which is kept until its receipt comes.
    ///
    /// # Errors
    /// [`Error::Full`], and [`Error::Seal`] if no frame can take it.
    pub fn measured(&mut self, stream: Stream, reading: Vec<u8>) -> Result<(), Error> {
        if reading.len() > smart_city_frame::MAX_PAYLOAD_LEN {
            return Err(Error::Seal(SealError::TooLong));
        }
        if self.kept() >= CAPACITY {
            return Err(Error::Full);
        }
        self.waiting.push_back(Message { content: Content::Reading(stream, reading), sent: 0 });
        Ok(())
    }

    /// The next frame to be sent. None if nothing is to be said, or if as much is on its way as the link takes: then it is to be
    /// asked again after a frame came, and at [`wake_at`](Self::wake_at).
    ///
    /// # Errors
    /// [`Error::Epoch`], if this needs a new epoch.
    pub fn next_frame(&mut self, now: Instant) -> Result<Option<Frame>, Error> {
        let ends = self.unheard_since.is_some_and(|since| now >= since + self.patience);
        if self.link.is_none() || (ends && self.epoch < Epoch::LAST) {
            self.patience = (2 * self.patience).min(PATIENCE[1]);
            self.new_epoch()?;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.silent = true;
            self.pace.timed_out();
            self.sealed.values_mut().for_each(|sealed| sealed.lost = true);
        }
        // Evidence is waited for.
        if self.waiting.iter().any(|message| !message.is_reading()) {
            return self.seal_next(now);
        }
        if self.on_the_way() >= self.pace.window() {
            return Ok(None);
        }
        let lost = self.sealed.iter().filter(|(_, sealed)| sealed.lost);
        let lost = lost.min_by_key(|(counter, sealed)| (sealed.message.sent, **counter));
        let lost = lost.map(|(counter, sealed)| (*counter, sealed.message.sent));
        if let Some((counter, sent)) = lost
            && !((self.silent || sent >= OFTEN) && self.has_room_for_next())
        {
            return Ok(self.send(counter, now));
        }
        if self.has_room_for_next() { self.seal_next(now) } else { Ok(None) }
    }

    /// When to ask for the next frame if nothing happens until then.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Instant> {
        self.deadline
    }

    /// The connection is a new one: what was on its way may be lost. That costs no epoch.
    pub fn reconnected(&mut self) {
        self.pace.reconnected();
        (self.deadline, self.silent, self.unheard_since) = (None, false, None);
        self.sealed.values_mut().for_each(|sealed| sealed.lost = true);
    }

    /// Frames without a receipt that are not taken for lost.
    fn on_the_way(&self) -> u32 {
        self.sealed.values().map(|sealed| u32::from(!sealed.lost)).sum()
    }

    /// Whether a message can be sealed so that a receipt can speak of all frames. If the oldest was sent often it makes room for one
    /// that was not.
    fn has_room_for_next(&mut self) -> bool {
        let Some(next) = self.next_waiting().and_then(|at| self.waiting.get(at)) else { return false };
        let is_fresh = next.sent < OFTEN;
        let Some(oldest) = self.sealed.first_entry() else { return true };
        if self.next - oldest.key() < MAX_WINDOW {
            return true;
        }
        let (old, is_lost) = (oldest.get().message.sent, oldest.get().lost);
        if is_lost && old >= OFTEN && is_fresh {
            let message = oldest.remove().message;
            self.waiting.push_back(message);
            return true;
        }
        false
    }

    /// The place of the message to be sealed next.
    fn next_waiting(&self) -> Option<usize> {
        let mut without_receipt: BTreeMap<Option<Stream>, usize> = BTreeMap::new();
        for sealed in self.sealed.values() {
            *without_receipt.entry(sealed.message.stream()).or_default() += 1;
        }
        let rank = |message: &Message| {
            let stream = message.stream();
            // Evidence is waited for.
            (stream.is_some(), message.sent >= OFTEN, without_receipt.get(&stream).copied().unwrap_or(0))
        };
        let ranks = self.waiting.iter().map(rank).enumerate();
        ranks.min_by_key(|(at, rank)| (*rank, *at)).map(|(at, _)| at)
    }

    /// Seals the next message and sends it.
    fn seal_next(&mut self, now: Instant) -> Result<Option<Frame>, Error> {
        let Some(at) = self.next_waiting() else { return Ok(None) };
        let (Some(message), Some(link)) = (self.waiting.get(at), &mut self.link) else { return Ok(None) };
        let mut buffer = [0; MAX_FRAME_LEN];
        let (topic, sealed) = match &message.content {
            Content::Reading(stream, reading) => {
                (stream.id.to_string(), link.seal_reading(*stream, reading, &mut buffer))
            }
            Content::Evidence(evidence) => ("evidence".to_owned(), link.seal_evidence(evidence, &mut buffer)),
        };
        let frame = match sealed {
            Ok(frame) => Frame { topic, bytes: frame.to_vec() },
            Err(SealError::LimitReached) => {
                self.new_epoch()?;
                return self.seal_next(now);
            }
            Err(error) => return Err(Error::Seal(error)),
        };
        let counter = self.next;
        self.next += 1;
        if let Some(message) = self.waiting.remove(at) {
            self.sealed.insert(counter, Sealed { message, frame, at: now, order: 0, times: 0, lost: false });
        }
        Ok(self.send(counter, now))
    }

    fn send(&mut self, counter: u32, now: Instant) -> Option<Frame> {
        let sealed = self.sealed.get_mut(&counter)?;
        self.order += 1;
        (sealed.at, sealed.order, sealed.lost) = (now, self.order, false);
        sealed.times += 1;
        sealed.message.sent += 1;
        let frame = sealed.frame.clone();
        if self.deadline.is_none() {
            self.deadline = Some(now + self.pace.timeout());
        }
        self.unheard_since.get_or_insert(now);
        Some(frame)
    }

    /// Obeys a frame from the gateway.
    ///
    /// # Errors
    /// [`Error::Open`]: nothing was done. [`Error::Epoch`].
    pub fn receive(&mut self, frame: &mut [u8], now: Instant) -> Result<Done, Error> {
        let kind = Header::parse(frame).map_err(|error| Error::Open(error.into()))?.kind;
        if self.link.is_none() {
            self.new_epoch()?;
        }
        let Some(link) = &mut self.link else { return Err(Error::Epoch(EpochError::UsedUp)) };
        let error = match kind {
            Kind::Receipt => match link.open_receipt(self.id, frame) {
                Ok(receipt) => {
                    self.heard();
                    return Ok(Done::Receipt(self.receipt(&receipt, now)));
                }
                Err(error) => error,
            },
            Kind::EpochRequest => match link.open_epoch_request(self.id, frame) {
                Ok(()) => {
                    self.heard();
                    return self.new_epoch().map(Done::NewEpoch);
                }
                Err(error) => error,
            },
            _ => match link.open_instruction(self.id, frame) {
                Ok((instruction, challenge)) => {
                    self.heard();
                    return self.obey(instruction, challenge);
                }
                Err(error) => error,
            },
        };
        match error {
            OpenError::TooManyFailures | OpenError::LimitReached => self.new_epoch().map(Done::NewEpoch),
            error => Err(Error::Open(error)),
        }
    }

    /// Something authentic came from the gateway.
    const fn heard(&mut self) {
        self.unheard_since = None;
    }

    /// Begins a new epoch. Everything without a receipt will be sealed again in it.
    ///
    /// # Errors
    /// [`Error::Epoch`]. Then the device seals nothing more.
    pub fn new_epoch(&mut self) -> Result<Epoch, Error> {
        self.link = None;
        self.epoch = self.epochs.advance().map_err(Error::Epoch)?;
        self.link = Some(DeviceLink::new(&self.root, self.id, self.epoch));
        (self.next, self.deadline, self.silent, self.unheard_since) = (0, None, false, None);
        let sealed = std::mem::take(&mut self.sealed);
        self.wait_again(sealed.into_values().map(|sealed| sealed.message).collect());
        Ok(self.epoch)
    }

    /// Has messages sealed again: before the others, in their order.
    fn wait_again(&mut self, messages: Vec<Message>) {
        messages.into_iter().rev().for_each(|message| self.waiting.push_front(message));
    }

    /// Alters a bit of the code that runs, as an attacker would that has found a hole in it. Returns whether the region has it.
    pub fn patch(&mut self, region: u16, byte: usize) -> bool {
        let byte = self.code.get_mut(&region).and_then(|code| code.get_mut(byte));
        byte.map(|byte| *byte ^= 1).is_some()
    }

    /// Takes a receipt; returns how many readings need not be kept any longer.
    fn receipt(&mut self, receipt: &Receipt, now: Instant) -> usize {
        let bytes = |counter: u32| {
            let [_, counter @ ..] = counter.to_be_bytes();
            counter
        };
        let (mut stored, mut behind) = (Vec::new(), Vec::new());
        for (counter, sealed) in std::mem::take(&mut self.sealed) {
            if receipt.has(bytes(counter)) {
                stored.push(sealed);
            } else if receipt.reaches(bytes(counter)) {
                self.sealed.insert(counter, sealed);
            } else {
                // No receipt will ever speak of it.
                behind.push(sealed.message);
            }
        }
        self.wait_again(behind);
        let newest = stored.iter().map(|sealed| sealed.order).max();
        if let Some(newest) = newest {
            let once = stored.iter().filter(|sealed| sealed.times == 1).map(|sealed| now - sealed.at).min();
            self.pace.received(u32::try_from(stored.len()).unwrap_or(MAX_WINDOW), once);
            self.silent = false;
            if self.sealed.is_empty() && self.waiting.is_empty() {
                self.patience = self.first_patience;
            }
            for sealed in self.sealed.values_mut().filter(|sealed| sealed.order + REORDERED <= newest) {
                if !sealed.lost && sealed.order > self.recovered {
                    self.recovered = self.order;
                    self.pace.lost();
                }
                sealed.lost = true;
            }
        }
        if newest.is_some() {
            self.deadline = (self.on_the_way() > 0).then(|| now + self.pace.timeout());
        }
        stored.iter().filter(|sealed| sealed.message.is_reading()).count()
    }

    /// What the secure world does with an instruction.
    fn obey(&mut self, instruction: Instruction<'_>, challenge: Challenge) -> Result<Done, Error> {
        let region = instruction.examined_region();
        let restores = instruction.restored_region().is_some();
        let mut discarded = 0;
        if restores && self.restore(region) {
            discarded = self.kept();
            self.waiting.retain(|message| !message.is_reading());
            self.sealed.retain(|_, sealed| !sealed.message.is_reading());
        }
        let allowed = AllowedValues::new(&self.table).map_err(Error::Table)?;
        let detector = Detector::new(&self.attest_key, allowed);
        let code = |region: u16| self.code.get(&region).map_or(&[][..], Vec::as_slice);
        let evidence = if region == ALL_REGIONS {
            detector.examine_all(challenge, |region| code(region.id))
        } else {
            detector.examine(challenge, region, code(region))
        };
        let (region, verdict) = (evidence.region, evidence.verdict);
        if verdict == Verdict::Intact && !restores && region != ALL_REGIONS {
            *self.runs.entry(region).or_default() += 1;
        }
        self.waiting.push_front(Message { content: Content::Evidence(evidence), sent: 0 });
        Ok(if restores {
            Done::Restored { region, verdict, discarded }
        } else {
            Done::Examined { region, verdict }
        })
    }

    /// Restores a region from the secure copy, or all. Returns whether any was altered.
    fn restore(&mut self, region: u16) -> bool {
        let mut is_altered = false;
        for function in self.secure_copy.functions() {
            if [function.region, ALL_REGIONS].contains(&region) {
                let before = self.code.insert(function.region, function.code.clone());
                is_altered |= before.as_ref() != Some(&function.code);
            }
        }
        is_altered
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Epoch(error) => error.fmt(f),
            Self::Table(error) => write!(f, "the table of allowed values: {error}"),
            Self::Seal(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Full => write!(f, "{CAPACITY} readings wait for their receipts"),
        }
    }
}

impl std::error::Error for Error {}
