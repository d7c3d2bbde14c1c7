//! A device without its network: what it is given it answers with frames.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
};

use smart_city_detector::{AllowedValues, Detector, InvalidTable};
use smart_city_frame::{
    AttestKey, Challenge, DeviceId, DeviceLink, Epoch, Header, Instruction, Kind, OpenError, RootKey,
    SealError, Stream, Verdict,
};

use crate::{epoch::EpochFile, image::Image};

/// The frames in a row that may wait for receipts: as many as a receipt speaks of.
const WINDOW: u32 = 64;

/// The readings that a device keeps.
pub const CAPACITY: usize = 1024;

/// The longest frame.
const MAX_FRAME_LEN: usize = smart_city_frame::MAX_PAYLOAD_LEN + smart_city_frame::OVERHEAD;

/// Why a device cannot go on, or did not do what it was given.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The new epoch was not stored: the device must not seal.
    Epoch(io::Error),
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
    /// The function of a region was examined; it ran only if it was intact.
    Examined {
        /// The region.
        region: u16,
        /// What was found.
        verdict: Verdict,
    },
    /// A region was restored from the secure copy, and examined.
    Restored {
        /// The region.
        region: u16,
        /// What was found then.
        verdict: Verdict,
        /// The readings that were discarded, because they were made with altered code.
        discarded: usize,
    },
    /// A new epoch was opened.
    NewEpoch(Epoch),
}

type Reading = (Stream, Vec<u8>);

/// A simulated device.
#[derive(Debug)]
pub struct Device {
    id: DeviceId,
    root: RootKey,
    attest_key: AttestKey,
    epochs: EpochFile,
    link: DeviceLink,
    /// As it was built, where only the secure world writes.
    secure_copy: Image,
    table: Vec<u8>,
    /// The code that runs.
    code: BTreeMap<u16, Vec<u8>>,
    /// How often each function ran.
    runs: BTreeMap<u16, u32>,
    /// Not sealed in this epoch.
    waiting: VecDeque<Reading>,
    /// Sealed, without a receipt, by their counters.
    sealed: BTreeMap<u32, Reading>,
    /// The next counter.
    next: u32,
    evidence: VecDeque<Frame>,
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
            link: DeviceLink::new(&root, id, epoch),
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
            evidence: VecDeque::new(),
        })
    }

    /// Its EUI-64.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.id
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.link.epoch()
    }

    /// How often the function of a region ran.
    #[must_use]
    pub fn runs(&self, region: u16) -> u32 {
        self.runs.get(&region).copied().unwrap_or(0)
    }

    /// The readings of which there is no receipt.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.waiting.len() + self.sealed.len()
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
        self.waiting.push_back((stream, reading));
        Ok(())
    }

    /// The next frame to be sent. None if nothing is to be said, or if receipts must come first.
    ///
    /// # Errors
    /// [`Error::Epoch`], if this needs a new epoch.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        if let Some(frame) = self.evidence.pop_front() {
            return Ok(Some(frame));
        }
        let oldest = self.sealed.first_key_value().map_or(self.next, |(counter, _)| *counter);
        if self.next - oldest >= WINDOW {
            return Ok(None);
        }
        let Some((stream, reading)) = self.waiting.front() else { return Ok(None) };
        let mut buffer = [0; MAX_FRAME_LEN];
        let bytes = match self.link.seal_reading(*stream, reading, &mut buffer) {
            Ok(frame) => frame.to_vec(),
            Err(SealError::LimitReached) => {
                self.new_epoch()?;
                return self.next_frame();
            }
            Err(error) => return Err(Error::Seal(error)),
        };
        let topic = stream.id.to_string();
        self.sealed.extend(self.waiting.pop_front().map(|reading| (self.next, reading)));
        self.next += 1;
        Ok(Some(Frame { topic, bytes }))
    }

    /// Obeys a frame from the gateway.
    ///
    /// # Errors
    /// [`Error::Open`]: nothing was done. [`Error::Epoch`].
    pub fn receive(&mut self, frame: &mut [u8]) -> Result<Done, Error> {
        let kind = Header::parse(frame).map_err(|error| Error::Open(error.into()))?.kind;
        let done = match kind {
            Kind::Receipt => self.receipt(frame),
            Kind::EpochRequest => match self.link.open_epoch_request(self.id, frame) {
                Ok(()) => return self.new_epoch().map(Done::NewEpoch),
                Err(error) => Err(error),
            },
            _ => match self.link.open_instruction(self.id, frame) {
                Ok((instruction, challenge)) => return self.obey(instruction, challenge),
                Err(error) => Err(error),
            },
        };
        match done {
            Err(OpenError::TooManyFailures | OpenError::LimitReached) => self.new_epoch().map(Done::NewEpoch),
            done => done.map_err(Error::Open),
        }
    }

    /// Begins a new epoch. All readings without a receipt will be sealed again in it.
    ///
    /// # Errors
    /// [`Error::Epoch`].
    pub fn new_epoch(&mut self) -> Result<Epoch, Error> {
        let epoch = self.epochs.advance().map_err(Error::Epoch)?;
        self.link = DeviceLink::new(&self.root, self.id, epoch);
        self.next = 0;
        self.evidence.clear();
        for (_, reading) in std::mem::take(&mut self.sealed).into_iter().rev() {
            self.waiting.push_front(reading);
        }
        Ok(epoch)
    }

    /// Alters a bit of the code that runs, as an attacker would that has found a hole in it. Returns whether the region has it.
    pub fn patch(&mut self, region: u16, byte: usize) -> bool {
        let byte = self.code.get_mut(&region).and_then(|code| code.get_mut(byte));
        byte.map(|byte| *byte ^= 1).is_some()
    }

    fn receipt(&mut self, frame: &mut [u8]) -> Result<Done, OpenError> {
        let receipt = self.link.open_receipt(self.id, frame)?;
        let before = self.sealed.len();
        self.sealed.retain(|counter, _| {
            let [_, counter @ ..] = counter.to_be_bytes();
            !receipt.has(counter)
        });
        Ok(Done::Receipt(before - self.sealed.len()))
    }

    /// What the secure world does with an instruction.
    fn obey(&mut self, instruction: Instruction<'_>, challenge: Challenge) -> Result<Done, Error> {
        let region = instruction.examined_region();
        let restores = instruction.restored_region().is_some();
        let mut discarded = 0;
        if let (true, Some(function)) = (restores, self.secure_copy.function(region)) {
            let altered = self.code.insert(region, function.code.clone()).as_ref() != Some(&function.code);
            if altered {
                discarded = self.kept();
                self.waiting.clear();
                self.sealed.clear();
            }
        }
        let allowed = AllowedValues::new(&self.table).map_err(Error::Table)?;
        let code = self.code.get(&region).map_or(&[][..], Vec::as_slice);
        let evidence = Detector::new(&self.attest_key, allowed).examine(challenge, region, code);
        let verdict = evidence.verdict;
        if verdict == Verdict::Intact && !restores {
            *self.runs.entry(region).or_default() += 1;
        }
        let mut buffer = [0; MAX_FRAME_LEN];
        match self.link.seal_evidence(&evidence, &mut buffer) {
            Ok(frame) => {
                self.next += 1;
                self.evidence.push_back(Frame { topic: "evidence".to_owned(), bytes: frame.to_vec() });
            }
            // The gateway asks again in the new epoch.
            Err(_) => drop(self.new_epoch()?),
        }
        Ok(if restores {
            Done::Restored { region, verdict, discarded }
        } else {
            Done::Examined { region, verdict }
        })
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Epoch(error) => write!(f, "the new epoch is not stored: {error}"),
            Self::Table(error) => write!(f, "the table of allowed values: {error}"),
            Self::Seal(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Full => write!(f, "{CAPACITY} readings wait for their receipts"),
        }
    }
}

impl std::error::Error for Error {}
