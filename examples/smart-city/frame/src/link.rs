//! The two ends of a link.

use core::fmt;

use twine_otr_aead::{BlockLimit, Opener, OpenerState, Sealer, SealerState, aead::inout::InOutBuf};

use crate::{
    Class, DeviceId, Epoch, Evidence, HEADER_LEN, Header, Instruction, Kind, MAX_PAYLOAD_LEN, OVERHEAD,
    OpenError, Receipt, RootKey, SealError, Stream, TAG_LEN,
    keys::{Direction, Secret},
};

/// A device's end of a link, for one epoch.
///
/// ```
/// use smart_city_frame::{Class, DeviceId, DeviceLink, Epoch, GatewayLink, Instruction, RootKey, Stream};
///
/// let root = RootKey::new([0x42; 16]);
/// let device = DeviceId([0, 0, 0, 0, 0, 0, 0, 7]);
/// // The device has stored epoch 1 before.
/// let mut link = DeviceLink::new(&root, device, Epoch(1));
/// let mut gateway = GatewayLink::new(&root, device, Epoch(1));
///
/// let stream = Stream { id: 1.try_into()?, class: Class::Internal };
/// let mut buffer = [0; 64];
/// let frame = link.seal_reading(stream, b"21.5 C", &mut buffer)?;
/// assert_eq!(frame.len(), 6 + 14);
/// assert_eq!(gateway.open_reading(device, stream, frame)?.content, b"21.5 C");
///
/// let (frame, _) = gateway.seal_instruction(&Instruction { region: 3, argument: b"on" }, &mut buffer)?;
/// let (instruction, challenge) = link.open_instruction(device, frame)?;
/// assert_eq!(instruction, Instruction { region: 3, argument: b"on" });
/// // The detector examines region 3 with `challenge` before the instruction runs.
/// # let _ = challenge;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DeviceLink {
    up: FrameSealer,
    down: FrameOpener,
    rekey: Rekey,
}

/// A gateway's end of the link with one device, for one epoch. See [`DeviceLink`].
#[derive(Debug)]
pub struct GatewayLink {
    up: FrameOpener,
    down: FrameSealer,
}

/// How far a [`GatewayLink`] was when it was suspended. There is no key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState([u8; Self::LEN]);

impl LinkState {
    /// The length of one.
    pub const LEN: usize = 66;

    /// To be stored.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// What was stored. Whether it is one shows when it is used.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The epoch of the link.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        Epoch(u16::from_be_bytes([self.0[0], self.0[1]]))
    }

    /// Of the opener and of the sealer.
    fn parts(&self) -> Option<(&[u8; 32], &[u8; 32])> {
        let (up, down) = self.0[2..].split_first_chunk()?;
        Some((up, down.first_chunk()?))
    }
}

/// What was in a frame that is authentic and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<T> {
    /// The number of the frame in its epoch and direction: gaps are frames that were lost or are late.
    pub counter: [u8; 3],
    /// What the frame says.
    pub content: T,
}

/// The nonce of an instruction, under which evidence of its code is made.
///
/// To a device only an instruction that is authentic and new gives one; and each epoch has [one](Self::of_start) for what it finds without
/// being asked. It is no `Clone`: a device makes one piece of evidence under it.
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    epoch: Epoch,
    counter: [u8; 3],
}

impl Challenge {
    /// What stands for an instruction in evidence that nobody has asked for: of code that a device has found altered at its start. A device
    /// makes one piece of evidence under it in an epoch.
    ///
    /// Its counter is the last one, which no instruction has: a key's blocks are used up before.
    #[must_use]
    pub const fn of_start(epoch: Epoch) -> Self {
        Self { epoch, counter: [u8::MAX; 3] }
    }

    /// What `evidence` says that it answers, for a verifier that has not kept its challenges. What is shown under it may be of any time: it
    /// can show that code was altered, and affirms nothing.
    #[must_use]
    pub const fn named_in(evidence: &Evidence) -> Self {
        Self { epoch: evidence.epoch, counter: evidence.counter }
    }

    /// The instruction's epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The counter of the instruction's frame.
    #[must_use]
    pub const fn counter(&self) -> [u8; 3] {
        self.counter
    }

    /// The nonce.
    #[must_use]
    pub fn nonce(&self) -> [u8; 7] {
        let mut nonce = [0; 7];
        nonce[..4].copy_from_slice(&fixed_part(Direction::Down, self.epoch));
        nonce[4..].copy_from_slice(&self.counter);
        nonce
    }
}

impl DeviceLink {
    /// A link in a new epoch.
    ///
    /// **`epoch` must be greater than all before and stored durably:** a second link in an epoch repeats nonces.
    #[must_use]
    pub fn new(root: &RootKey, device: DeviceId, epoch: Epoch) -> Self {
        Self {
            up: FrameSealer::new(root, Direction::Up, device, epoch),
            down: FrameOpener::new(root, Direction::Down, device, epoch),
            rekey: Rekey {
                key: root.link_key(Direction::Rekey, device, epoch),
                device,
                epoch,
                is_obeyed: false,
            },
        }
    }

    /// The link's epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.up.epoch
    }

    /// Seals a reading into `buffer` and returns the frame. Its counter ([`Header::parse`]) is what a [`Receipt`] names it by.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal_reading<'b>(
        &mut self,
        stream: Stream,
        reading: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], SealError> {
        self.up.seal(Route::reading(stream), &[reading], buffer).map(|(frame, _)| frame)
    }

    /// Seals evidence into `buffer` and returns the frame.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal_evidence<'b>(
        &mut self,
        evidence: &Evidence,
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], SealError> {
        self.up.seal(Route::EVIDENCE, &[&evidence.to_bytes()], buffer).map(|(frame, _)| frame)
    }

    /// Opens an instruction that came under the address of the device `to`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_instruction<'f>(
        &mut self,
        to: DeviceId,
        frame: &'f mut [u8],
    ) -> Result<(Instruction<'f>, Challenge), OpenError> {
        let opened = self.down.open(to, Route::INSTRUCTION, frame)?;
        let challenge = Challenge { epoch: self.down.epoch, counter: opened.counter };
        Ok((Instruction::parse(opened.content)?, challenge))
    }

    /// Opens a receipt that came under the address of the device `to`. It speaks of frames of this link's epoch.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_receipt(&mut self, to: DeviceId, frame: &mut [u8]) -> Result<Receipt, OpenError> {
        Ok(Receipt::parse(self.down.open(to, Route::RECEIPT, frame)?.content)?)
    }

    /// Opens a request to end this link's epoch, which came under the address of the device `to`. The device then makes a
    /// link in a new one, which it has stored before, and seals in it what it has no receipt of.
    ///
    /// An authentic request is opened after any number of forged ones: there is one in an epoch, always the same bytes, so that each
    /// forgery is one guess at a tag of 64 bits, and tells nothing else of the key.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::Replayed`] and [`OpenError::OtherEpoch`] are requests that were obeyed before.
    pub fn open_epoch_request(&mut self, to: DeviceId, frame: &mut [u8]) -> Result<(), OpenError> {
        self.rekey.open(to, frame)
    }

    /// Whether an epoch is near its end: less than `blocks` are left for sealing or for opening.
    ///
    /// A frame takes 3 blocks, and one for each 8 bytes of its payload, at least one.
    #[must_use]
    pub fn needs_new_epoch(&self, blocks: u32) -> bool {
        self.up.sealer.remaining_blocks().min(self.down.opener.remaining_blocks()) < blocks
    }
}

impl GatewayLink {
    /// A link in an epoch of the device's.
    ///
    /// **A second link in an epoch accepts replays of the first and repeats its nonces:** a gateway that has lost a link needs the device
    /// to open a new epoch.
    #[must_use]
    pub fn new(root: &RootKey, device: DeviceId, epoch: Epoch) -> Self {
        Self {
            up: FrameOpener::new(root, Direction::Up, device, epoch),
            down: FrameSealer::new(root, Direction::Down, device, epoch),
        }
    }

    /// The link's epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.up.epoch
    }

    /// Opens a reading that came under the address of the device `from` and of the stream that the registry has as `stream`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_reading<'f>(
        &mut self,
        from: DeviceId,
        stream: Stream,
        frame: &'f mut [u8],
    ) -> Result<Opened<&'f [u8]>, OpenError> {
        self.up.open(from, Route::reading(stream), frame)
    }

    /// Opens evidence that came under the address of the device `from`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_evidence(&mut self, from: DeviceId, frame: &mut [u8]) -> Result<Opened<Evidence>, OpenError> {
        let Opened { counter, content } = self.up.open(from, Route::EVIDENCE, frame)?;
        Ok(Opened { counter, content: Evidence::parse(content)? })
    }

    /// Seals an instruction into `buffer` and returns the frame, and what evidence of it will be made under.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal_instruction<'b>(
        &mut self,
        instruction: &Instruction<'_>,
        buffer: &'b mut [u8],
    ) -> Result<(&'b mut [u8], Challenge), SealError> {
        let parts = [&instruction.region.to_be_bytes()[..], instruction.argument];
        let (frame, counter) = self.down.seal(Route::INSTRUCTION, &parts, buffer)?;
        Ok((frame, Challenge { epoch: self.down.epoch, counter }))
    }

    /// Seals a receipt into `buffer` and returns the frame.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal_receipt<'b>(
        &mut self,
        receipt: &Receipt,
        buffer: &'b mut [u8],
    ) -> Result<&'b mut [u8], SealError> {
        self.down.seal(Route::RECEIPT, &[&receipt.to_bytes()], buffer).map(|(frame, _)| frame)
    }

    /// Ends the link, and says how far it was, for another gateway to go on from: [`resume`](Self::resume).
    #[must_use]
    pub fn suspend(self) -> LinkState {
        let mut bytes = [0; LinkState::LEN];
        bytes[..2].copy_from_slice(&self.epoch().0.to_be_bytes());
        bytes[2..34].copy_from_slice(&self.up.opener.suspend().to_bytes());
        bytes[34..].copy_from_slice(&self.down.sealer.suspend().to_bytes());
        LinkState(bytes)
    }

    /// The link that was suspended. Of the frames from before it opens none, whether or not they were opened: a device seals what it has no
    /// receipt of again. None if the state is not of this device and key.
    ///
    /// **Each state may be used once**, and no older one: else replays are accepted, and nonces repeated.
    #[must_use]
    pub fn resume(root: &RootKey, device: DeviceId, state: &LinkState) -> Option<Self> {
        let (epoch, (up, down)) = (state.epoch(), state.parts()?);
        Some(Self {
            up: FrameOpener::resume(root, Direction::Up, device, epoch, up)?,
            down: FrameSealer::resume(root, Direction::Down, device, epoch, down)?,
        })
    }

    /// See [`DeviceLink::needs_new_epoch`].
    #[must_use]
    pub fn needs_new_epoch(&self, blocks: u32) -> bool {
        self.up.opener.remaining_blocks().min(self.down.sealer.remaining_blocks()) < blocks
    }
}

/// Seals into `buffer` what makes a device end the epoch `ended`, and returns the frame: [`OVERHEAD`] bytes, always the
/// same ones for a device and an epoch.
///
/// It needs no link: it is for a gateway that has lost its own, and for one that wants a device to begin anew.
///
/// # Errors
/// See [`SealError`].
pub fn seal_epoch_request<'b>(
    root: &RootKey,
    device: DeviceId,
    ended: Epoch,
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], SealError> {
    let mut sealer = FrameSealer::new(root, Direction::Rekey, device, ended);
    sealer.seal(Route::EPOCH_REQUEST, &[], buffer).map(|(frame, _)| frame)
}

/// What a frame is about, beside its device.
#[derive(Clone, Copy)]
struct Route {
    kind: Kind,
    stream: u16,
    class: Class,
}

impl Route {
    const EVIDENCE: Self = Self::control(Kind::Evidence);
    const INSTRUCTION: Self = Self::control(Kind::Instruction);
    const RECEIPT: Self = Self::control(Kind::Receipt);
    const EPOCH_REQUEST: Self = Self::control(Kind::EpochRequest);

    const fn control(kind: Kind) -> Self {
        Self { kind, stream: 0, class: Class::Confidential }
    }

    const fn reading(stream: Stream) -> Self {
        Self { kind: Kind::Reading, stream: stream.id.get(), class: stream.class }
    }

    fn associated_data(self, header: [u8; HEADER_LEN], device: DeviceId) -> [u8; 16] {
        let mut data = [0; 16];
        data[..6].copy_from_slice(&header);
        data[6..14].copy_from_slice(&device.0);
        data[14..].copy_from_slice(&self.stream.to_be_bytes());
        data
    }
}

/// What the nonces of an epoch and a direction begin with.
const fn fixed_part(direction: Direction, epoch: Epoch) -> [u8; 4] {
    let [high, low] = epoch.0.to_be_bytes();
    [direction as u8, high, low, 0]
}

#[derive(Debug)]
struct FrameSealer {
    sealer: Sealer,
    device: DeviceId,
    epoch: Epoch,
}

impl FrameSealer {
    fn new(root: &RootKey, direction: Direction, device: DeviceId, epoch: Epoch) -> Self {
        let key = root.link_key(direction, device, epoch);
        // Ephemeral: the epoch was stored before. The one epoch request under a key is always the same.
        let sealer = Sealer::with_ephemeral_key((&*key).into(), fixed_part(direction, epoch));
        Self { sealer, device, epoch }
    }

    /// The one whose state this is.
    fn resume(
        root: &RootKey,
        direction: Direction,
        device: DeviceId,
        epoch: Epoch,
        state: &[u8; 32],
    ) -> Option<Self> {
        let (key, fixed) = (root.link_key(direction, device, epoch), fixed_part(direction, epoch));
        let state = SealerState::from_bytes(state, fixed).ok()?;
        let mut sealer = Sealer::with_stored_key((&*key).into(), state, BlockLimit::DEFAULT).ok()?;
        // Ephemeral again: the state is used up.
        sealer.begin_reserve(u32::MAX).stored();
        Some(Self { sealer, device, epoch })
    }

    /// Seals the payload that is `parts` one after the other; returns the frame and its counter.
    fn seal<'b>(
        &mut self,
        route: Route,
        parts: &[&[u8]],
        buffer: &'b mut [u8],
    ) -> Result<(&'b mut [u8], [u8; 3]), SealError> {
        let len = parts.iter().fold(0, |len: usize, part| len.saturating_add(part.len()));
        if len > MAX_PAYLOAD_LEN {
            return Err(SealError::TooLong);
        }
        let frame = buffer.get_mut(..len + OVERHEAD).ok_or(SealError::BufferTooSmall)?;
        let [_, _, _, _, counter @ ..] = self.sealer.next_nonce().0;
        let header = Header { kind: route.kind, class: route.class, epoch: self.epoch, counter }.to_bytes();

        let (header_bytes, rest) = frame.split_at_mut(HEADER_LEN);
        let (payload, tag_bytes) = rest.split_at_mut(len);
        header_bytes.copy_from_slice(&header);
        let mut at = 0;
        for part in parts {
            payload[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let associated_data = route.associated_data(header, self.device);
        match self.sealer.seal_inout_detached(&associated_data, InOutBuf::from(&mut *payload)) {
            Ok((_, tag)) => tag_bytes.copy_from_slice(&tag),
            Err(_) => {
                // No plaintext stays where a frame was to be.
                payload.fill(0);
                return Err(SealError::LimitReached);
            }
        }
        Ok((frame, counter))
    }
}

/// The frames that may be rejected in an epoch; a new one can always be asked for, see [`Rekey`].
const FAILURES: u32 = 1 << 10;

#[derive(Debug)]
struct FrameOpener {
    opener: Opener,
    device: DeviceId,
    epoch: Epoch,
}

impl FrameOpener {
    fn new(root: &RootKey, direction: Direction, device: DeviceId, epoch: Epoch) -> Self {
        Self::with_key(&root.link_key(direction, device, epoch), direction, device, epoch)
    }

    fn with_key(key: &Secret, direction: Direction, device: DeviceId, epoch: Epoch) -> Self {
        let opener = Opener::new((&**key).into(), fixed_part(direction, epoch)).with_failure_limit(FAILURES);
        Self { opener, device, epoch }
    }

    /// The one whose state this is.
    fn resume(
        root: &RootKey,
        direction: Direction,
        device: DeviceId,
        epoch: Epoch,
        state: &[u8; 32],
    ) -> Option<Self> {
        let (key, fixed) = (root.link_key(direction, device, epoch), fixed_part(direction, epoch));
        let state = OpenerState::from_bytes(state, fixed).ok()?;
        let mut opener =
            Opener::with_stored_key((&*key).into(), state, BlockLimit::DEFAULT, FAILURES).ok()?;
        // Ephemeral again: the state is used up.
        opener.begin_reserve(u32::MAX, u32::MAX).stored();
        Some(Self { opener, device, epoch })
    }

    fn open<'f>(
        &mut self,
        address: DeviceId,
        route: Route,
        frame: &'f mut [u8],
    ) -> Result<Opened<&'f [u8]>, OpenError> {
        let header = checked_header((self.device, self.epoch), address, route, frame)?;
        let nonce = self.opener.nonce(&header.counter).ok_or(OpenError::Rejected)?;
        let associated_data = route.associated_data(header.to_bytes(), self.device);
        // Both are there: the header was parsed.
        let (payload, tag) =
            frame[HEADER_LEN..].split_last_chunk_mut::<TAG_LEN>().ok_or(OpenError::Rejected)?;
        self.opener
            .open_inout_detached(&nonce, &associated_data, InOutBuf::from(&mut *payload), (&*tag).into())
            .map_err(|error| match error {
                twine_otr_aead::OpenError::Replayed => OpenError::Replayed,
                twine_otr_aead::OpenError::TooOld => OpenError::TooOld,
                twine_otr_aead::OpenError::TooManyFailures => OpenError::TooManyFailures,
                twine_otr_aead::OpenError::LimitReached => OpenError::LimitReached,
                _ => OpenError::Rejected,
            })?;
        Ok(Opened { counter: header.counter, content: payload })
    }
}

/// The header of a frame that came under `address`, if it is of this device and epoch and is about `route`.
fn checked_header(
    (device, epoch): (DeviceId, Epoch),
    address: DeviceId,
    route: Route,
    frame: &[u8],
) -> Result<Header, OpenError> {
    let header = Header::parse(frame)?;
    if address != device {
        return Err(OpenError::OtherDevice);
    }
    if header.kind != route.kind {
        return Err(OpenError::OtherKind(header.kind));
    }
    if header.class != route.class {
        return Err(OpenError::OtherClass { found: header.class, registered: route.class });
    }
    if header.epoch != epoch {
        return Err(OpenError::OtherEpoch(header.epoch));
    }
    Ok(header)
}

/// What opens the one request for the epoch after this one.
struct Rekey {
    key: Secret,
    device: DeviceId,
    epoch: Epoch,
    is_obeyed: bool,
}

impl fmt::Debug for Rekey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rekey { .. }")
    }
}

impl Rekey {
    fn open(&mut self, address: DeviceId, frame: &mut [u8]) -> Result<(), OpenError> {
        let header = checked_header((self.device, self.epoch), address, Route::EPOCH_REQUEST, frame)?;
        if header.counter != [0; 3] || frame.len() != OVERHEAD {
            // As of every frame that is rejected, nothing is left of its payload.
            if let Some((payload, _)) = frame[HEADER_LEN..].split_last_chunk_mut::<TAG_LEN>() {
                payload.fill(0);
            }
            return Err(OpenError::Rejected);
        }
        // A new one for each attempt, so that no failure counts: under this key is one tag to be guessed.
        let mut opener = FrameOpener::with_key(&self.key, Direction::Rekey, self.device, self.epoch);
        opener.open(address, Route::EPOCH_REQUEST, frame)?;
        if core::mem::replace(&mut self.is_obeyed, true) { Err(OpenError::Replayed) } else { Ok(()) }
    }
}
