//! What the gateway holds of one device.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use smart_city_frame::{
    Challenge, DeviceId, Epoch, GatewayLink, Header, OVERHEAD, OpenError, Receipt, RootKey,
    seal_epoch_request,
};

use crate::{memory::Fingerprint, store::DeviceRecord};

/// Frames that do not open in an epoch that is not the current one, before no more are tried in it.
const TRIES: u16 = 1024;

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
    /// The device is isolated.
    Isolated,
    /// It is of an epoch of which no more is accepted: of one before, or the gateway has lost its replay window.
    EpochEnded,
    /// Evidence that nobody asked for.
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

#[derive(Debug, Default)]
pub(crate) struct Device {
    pub(crate) record: DeviceRecord,
    /// Of its root key.
    pub(crate) key: Fingerprint,
    /// None after a start and after an isolation, until a newer epoch comes.
    link: Option<GatewayLink>,
    /// What of the link's epoch is stored.
    receipt: Option<Receipt>,
    /// Whether there is more in it than was sent.
    receipt_due: bool,
    /// Failures in epochs that are not current, by their low byte.
    failures: Option<Box<[u16; 256]>>,
    pub(crate) outstanding: Option<Outstanding>,
    pub(crate) recovery: Option<Recovery>,
    /// When to ask for a new epoch next, and how long after that again.
    ask: Option<(Instant, Duration)>,
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
        let low_byte = Header::parse(frame).map_err(OpenError::from)?.epoch;
        if let Some(link) = &mut self.link {
            match open(link, frame) {
                Err(OpenError::OtherEpoch(_)) => {}
                result => {
                    let few = link.needs_new_epoch(FEW_BLOCKS);
                    let result = result.map_err(Refusal::from);
                    if few || matches!(result, Err(Refusal::Limit)) {
                        self.ask_epoch(now);
                    }
                    return result;
                }
            }
        } else if self.record.epoch.is_some_and(|epoch| Epoch(epoch).low_byte() == low_byte) {
            return Err(Refusal::EpochEnded);
        }
        if self.record.isolated.is_some() && self.recovery.is_none() {
            return Err(Refusal::Isolated);
        }
        let epoch = Epoch(self.record.epoch.unwrap_or(0)).newer(low_byte).ok_or(Refusal::EpochEnded)?;
        let failures = self.failures.get_or_insert_with(|| Box::new([0; 256]));
        let failures = &mut failures[usize::from(low_byte)];
        if *failures >= TRIES {
            return Err(Refusal::Limit);
        }
        let mut link = GatewayLink::new(root, id, epoch);
        match open(&mut link, frame) {
            Err(error) if !matches!(error, OpenError::Content(_)) => {
                if error == OpenError::Rejected {
                    *failures += 1;
                }
                Err(error.into())
            }
            result => {
                self.link = Some(link);
                self.record.epoch = Some(epoch.0);
                (self.receipt, self.receipt_due, self.failures, self.ask) = (None, false, None, None);
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
            Ok(frame) => Some(frame.to_vec()),
            Err(_) => {
                self.ask_epoch(now);
                None
            }
        }
    }

    pub(crate) fn link(&mut self) -> Option<&mut GatewayLink> {
        self.link.as_mut()
    }

    /// Ends the epoch: nothing more is accepted from it, and a new one is asked for.
    pub(crate) fn end_epoch(&mut self, now: Instant) {
        (self.link, self.receipt, self.receipt_due) = (None, None, false);
        self.ask = None;
        self.ask_epoch(now);
    }

    /// Asks for a new epoch from now on, if that is not done already.
    pub(crate) fn ask_epoch(&mut self, now: Instant) {
        if self.record.epoch.is_some() {
            self.ask.get_or_insert((now, Duration::from_millis(500)));
        }
    }

    /// The request for a new epoch, if it is time for one.
    pub(crate) fn epoch_request(&mut self, id: DeviceId, root: &RootKey, now: Instant) -> Option<Vec<u8>> {
        let epoch = Epoch(self.record.epoch?);
        let (next, pause) = self.ask.as_mut()?;
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
        if let Some((next, pause)) = &mut self.ask {
            *pause = (*pause).min(Duration::from_secs(1));
            *next = (*next).min(now + *pause);
        }
    }

    /// Whether something is to happen when time has passed.
    pub(crate) fn is_waiting(&self) -> bool {
        let outstanding = self.outstanding.as_ref();
        self.ask.is_some() || outstanding.is_some_and(|outstanding| outstanding.deadline.is_some())
    }

    /// The frames of all refusals.
    pub(crate) fn refused_frames(&self) -> u64 {
        self.refused.values().sum()
    }
}
