//! What the secure world knows and decides.

use core::{ptr, slice};

use smart_city_detector::{AllowedValues, Detector, Region, Verdict};
use smart_city_frame::{
    ALL_REGIONS, AttestKey, Challenge, DeviceLink, Epoch, Evidence, Header, Instruction, Kind, OpenError,
    RootKey, SealError,
};
use smart_city_interface::{
    Event, FRAME_LEN, Refusal,
    memory::{CODE, PROVISIONING, Part, SECURE_COPY},
};
use smart_city_store::{Backoff, Budget, EpochError, Epochs, InvalidProvisioning, Provisioning};

use crate::{
    board::{self, Flash},
    console::say,
    fault,
    nonsecure::{self, Buffer},
};

/// What evidence takes of the blocks of a key: two of its associated data, two of its message, and one.
const EVIDENCE_BLOCKS: u32 = 5;

/// Why a device does not start.
#[derive(Debug)]
pub(crate) enum StartError {
    Provisioning(InvalidProvisioning),
    /// This region is not one of the application's code.
    Region(u16),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Provisioning(error) => error.fmt(f),
            Self::Region(id) => write!(f, "region {id} is none of the application"),
        }
    }
}

pub(crate) struct Device {
    provisioning: Provisioning<'static>,
    root: RootKey,
    attest_key: AttestKey,
    epochs: Epochs<Flash>,
    /// Epochs for which no authentic frame asks.
    unasked: Budget,
    /// None if no epoch could be stored since the start: then nothing is sealed or opened. The last epoch is not given up for another one.
    link: Option<DeviceLink>,
    /// The counter of the newest instruction that was obeyed in this epoch.
    obeyed: Option<[u8; 3]>,
    /// Why the last attempt at a new epoch failed, if it did.
    failed: Option<EpochError>,
    /// When the next one is to be made.
    retry: Backoff,
    /// A region was altered when it was measured: the gateway is to hear of it when an epoch begins, until none is.
    was_altered: bool,
    /// What is altered was said when this epoch began.
    has_said: bool,
}

impl Device {
    /// Measures the application, and opens a new epoch.
    pub(crate) fn start() -> Result<Self, StartError> {
        let provisioning = Provisioning::parse(bytes(PROVISIONING)).map_err(StartError::Provisioning)?;
        for region in provisioning.allowed().iter() {
            if region.len == 0 || !CODE.has(region.address, region.len) {
                return Err(StartError::Region(region.id));
            }
        }
        let supervision = provisioning.supervision();
        fault::pause(supervision.pause);
        if supervision.watchdog > 0 {
            board::start_watchdog(supervision.watchdog);
        }
        let root = provisioning.root_key();
        let attest_key = root.attest_key(provisioning.device());
        let epochs = Epochs::new(Flash);
        let mut device = Self {
            provisioning,
            root,
            attest_key,
            epochs,
            unasked: if fault::restarts() > 0 { Budget::empty(0) } else { Budget::full(0) },
            link: None,
            obeyed: None,
            failed: None,
            retry: Backoff::default(),
            was_altered: false,
            has_said: false,
        };
        device.was_altered = device.is_altered();
        if let Ok(epoch) = device.new_epoch() {
            say!("device {} in epoch {epoch}", device.provisioning.device());
        }
        Ok(device)
    }

    /// Measures every region; whether one is altered. That does not keep the application from its start: the function will be refused.
    fn is_altered(&self) -> bool {
        let detector = self.detector();
        let mut is_altered = false;
        for region in self.allowed().iter() {
            if detector.check(region.id, code(region)) != Verdict::Intact {
                say!("region {} is altered", region.id);
                is_altered = true;
            }
        }
        is_altered
    }

    /// Evidence of the first region that is altered, if one was at the start. Empty if it was made in this epoch before, or if all are as they
    /// were built now.
    pub(crate) fn start_evidence<'b>(
        &mut self,
        buffer: &'b mut [u8; FRAME_LEN],
    ) -> Result<&'b [u8], Refusal> {
        let epoch = self.link.as_ref().map(DeviceLink::epoch).ok_or(Refusal::NoEpoch)?;
        if !self.was_altered || self.has_said {
            return Ok(&[]);
        }
        self.has_said = true;
        let evidence = self.detector().examine_all(Challenge::of_start(epoch), code);
        self.was_altered = evidence.verdict != Verdict::Intact;
        if !self.was_altered {
            return Ok(&[]);
        }
        let link = self.link.as_mut().ok_or(Refusal::NoEpoch)?;
        match link.seal_evidence(&evidence, buffer) {
            Ok(frame) => Ok(frame),
            Err(_) => self.unasked_epoch().and(Err(Refusal::NewEpoch)),
        }
    }

    fn allowed(&self) -> AllowedValues<'static> {
        self.provisioning.allowed()
    }

    fn detector(&self) -> Detector<'_> {
        Detector::new(&self.attest_key, self.allowed())
    }

    pub(crate) fn epoch(&self) -> Result<u16, Refusal> {
        self.link.as_ref().map(|link| link.epoch().0).ok_or(Refusal::NoEpoch)
    }

    /// Opens a new epoch because the application wants it, or has used up the keys, or because too many frames were rejected. Whoever has
    /// the application or the network can bring that about again and again, so that it takes time.
    ///
    /// # Errors
    /// [`Refusal::TooSoon`], [`Refusal::NoEpoch`]
    pub(crate) fn unasked_epoch(&mut self) -> Result<u16, Refusal> {
        if self.unasked.take(board::clock()) { self.new_epoch() } else { Err(Refusal::TooSoon) }
    }

    /// Opens a new epoch. If it cannot be stored the one before stays, if there was one, and whoever seals or receives tries again.
    ///
    /// # Errors
    /// [`Refusal::NoEpoch`]
    fn new_epoch(&mut self) -> Result<u16, Refusal> {
        // Flash that forgets must not have an epoch used twice.
        let is_new = |epoch: &Epoch| self.link.as_ref().is_none_or(|link| *epoch > link.epoch());
        let stored = self.epochs.advance();
        match stored.and_then(|epoch| Some(epoch).filter(is_new).ok_or(EpochError::Damaged)) {
            Ok(epoch) => {
                self.link = Some(DeviceLink::new(&self.root, self.provisioning.device(), epoch));
                (self.obeyed, self.failed, self.has_said) = (None, None, false);
                self.retry.succeeded();
                Ok(epoch.0)
            }
            Err(error) => {
                // Once, not at each attempt.
                if self.failed.replace(error) != Some(error) {
                    say!("no new epoch: {error}");
                }
                if error != EpochError::UsedUp {
                    self.retry.failed(board::clock());
                }
                Err(Refusal::NoEpoch)
            }
        }
    }

    /// Tries again to open an epoch, if the last attempt failed and some time has passed: each one wears the flash. Returns whether there is a
    /// new one.
    fn opens_owed_epoch(&mut self) -> bool {
        self.retry.is_due(board::clock()) && self.new_epoch().is_ok()
    }

    pub(crate) fn seal_reading<'b>(
        &mut self,
        stream: u16,
        reading: &[u8],
        buffer: &'b mut [u8; FRAME_LEN],
    ) -> Result<&'b [u8], Refusal> {
        let stream = self.provisioning.stream(stream).ok_or(Refusal::Stream)?;
        if self.opens_owed_epoch() {
            return Err(Refusal::NewEpoch);
        }
        let link = self.link.as_mut().ok_or(Refusal::NoEpoch)?;
        match link.seal_reading(stream, reading, buffer) {
            Ok(frame) => Ok(frame),
            Err(SealError::LimitReached) => self.unasked_epoch().and(Err(Refusal::NewEpoch)),
            Err(_) => Err(Refusal::Length),
        }
    }

    /// Obeys a frame from the gateway. The argument of an instruction goes into `argument`, what is answered into `answer`.
    pub(crate) fn receive<'b>(
        &mut self,
        frame: &mut [u8],
        argument: Buffer,
        answer: &'b mut [u8; FRAME_LEN],
    ) -> Result<(Event, &'b [u8]), Refusal> {
        let to = self.provisioning.device();
        let kind = Header::parse(frame).map_err(|_| Refusal::Frame)?.kind;
        if self.opens_owed_epoch() {
            // The frame was sealed for the epoch before: the gateway sends it again, or another.
            return Ok((Event::NewEpoch, &[]));
        }
        let link = self.link.as_mut().ok_or(Refusal::NoEpoch)?;
        let error = match kind {
            Kind::Receipt => match link.open_receipt(to, frame) {
                Ok(receipt) => {
                    let (bytes, _) = answer.split_at_mut(smart_city_frame::Receipt::LEN);
                    bytes.copy_from_slice(&receipt.to_bytes());
                    return Ok((Event::Receipt, bytes));
                }
                Err(error) => error,
            },
            Kind::EpochRequest => match link.open_epoch_request(to, frame) {
                Ok(()) => return self.new_epoch().map(|_| (Event::NewEpoch, &[][..])),
                Err(error) => error,
            },
            _ => match link.open_instruction(to, frame) {
                // One that was held back until a later one was obeyed is out of date.
                Ok((_, challenge)) if self.obeyed >= Some(challenge.counter()) => return Err(Refusal::Frame),
                // Nothing runs of which no evidence could be sealed: who instructs does so again, in the new epoch.
                Ok(_) if link.needs_new_epoch(EVIDENCE_BLOCKS) => {
                    return self.new_epoch().map(|_| (Event::NewEpoch, &[][..]));
                }
                Ok((instruction, challenge)) => {
                    self.obeyed = Some(challenge.counter());
                    return self.obey(instruction, challenge, argument, answer);
                }
                Err(error) => error,
            },
        };
        match error {
            OpenError::TooManyFailures | OpenError::LimitReached => {
                self.unasked_epoch().map(|_| (Event::NewEpoch, &[][..]))
            }
            _ => Err(Refusal::Frame),
        }
    }

    fn obey<'b>(
        &mut self,
        instruction: Instruction<'_>,
        challenge: Challenge,
        argument: Buffer,
        answer: &'b mut [u8; FRAME_LEN],
    ) -> Result<(Event, &'b [u8]), Refusal> {
        let id = instruction.examined_region();
        let restored = instruction.restored_region().is_some().then(|| self.restore(id));
        let (evidence, event) = if id == ALL_REGIONS {
            let evidence = self.detector().examine_all(challenge, code);
            (evidence, restored.map_or(Event::Examined, restored_event))
        } else {
            self.examine_and_call(id, restored, (challenge, instruction.argument), argument)
        };
        // The gateway may never get this evidence.
        self.was_altered |= evidence.verdict == Verdict::Altered;
        say!("region {}: {:?}, {event:?}", evidence.region, evidence.verdict);
        let link = self.link.as_mut().ok_or(Refusal::NoEpoch)?;
        match link.seal_evidence(&evidence, answer) {
            Ok(frame) => Ok((event, frame)),
            // There is room for it, as was seen before.
            Err(_) => self.new_epoch().map(|_| (Event::NewEpoch, &[][..])),
        }
    }

    /// Examines one region, and calls its function if that is what is instructed and it is as it was built.
    fn examine_and_call(
        &self,
        id: u16,
        restored: Option<bool>,
        (challenge, bytes): (Challenge, &[u8]),
        argument: Buffer,
    ) -> (Evidence, Event) {
        let region = self.allowed().get(id);
        // Before it is measured, so that nothing is between the measurement and the call.
        argument.write(bytes);
        let examined = region.map_or(&[][..], code);
        let evidence = qemu_trace::region(|| self.detector().examine(challenge, id, examined));
        let event = match (restored, region) {
            (Some(was_altered), _) => restored_event(was_altered),
            (None, Some(region)) if evidence.verdict == Verdict::Intact => {
                let len = bytes.len() as u32;
                // SAFETY: it is code of the application, as was checked at the start. This device is borrowed, but the gate refuses
                // services until the function has returned.
                unsafe { nonsecure::call(region.address, argument, len) };
                Event::Ran
            }
            _ => Event::Refused,
        };
        (evidence, event)
    }

    /// Restores a region from the secure copy, or all. Returns whether any was altered.
    fn restore(&self, id: u16) -> bool {
        let mut was_altered = false;
        for region in self.allowed().iter().filter(|region| [region.id, ALL_REGIONS].contains(&id)) {
            let start = region.address - CODE.start + SECURE_COPY.start;
            let as_built = bytes(Part { start, len: region.len });
            if code(region) != as_built {
                board::restore(region.address, as_built);
                was_altered = true;
            }
        }
        was_altered
    }
}

const fn restored_event(was_altered: bool) -> Event {
    if was_altered { Event::Restored } else { Event::NotAltered }
}

/// The code of a region, which is in the application: that was checked at the start.
fn code<'a>(region: Region) -> &'a [u8] {
    bytes(Part { start: region.address, len: region.len })
}

/// Memory that nobody changes while it is looked at: interrupts are held, and nothing else writes to it.
fn bytes<'a>(part: Part) -> &'a [u8] {
    let start = ptr::with_exposed_provenance(part.start as usize);
    // SAFETY: it is flash. Who gets the slice does not keep it beyond a service.
    unsafe { slice::from_raw_parts(start, part.len as usize) }
}
