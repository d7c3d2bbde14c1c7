//! A node with keys, and one without.

use core::fmt;
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use twine_otr_aead::{InvalidState, OpenError, Opener, OpenerState, SealError, Sealer, SealerState};

use crate::{
    INSTRUCTIONS, STEP_DOWN, STEP_UP,
    frame::{
        BLOCKS, COUNTER, DOWN, Frame, INSTRUCTION, Instruction, Keys, Notice, REPORT, Reason, Report, TAG,
        UP, counter_of,
    },
    store::{Contents, FlashFailed, STATE, Store},
};

const FAILURES: u32 = <Opener>::FAILURE_LIMIT;

/// What is before the message in a frame.
const HEADER: usize = 1 + COUNTER;

/// The places of a node's round keys: made where they stay, so that no copies are left on the way.
#[derive(Debug)]
pub struct Ciphers {
    sealer: Sealer,
    opener: Opener,
}

impl Ciphers {
    /// Without keys.
    #[must_use]
    pub fn new() -> Self {
        Self { sealer: Sealer::without_key(), opener: Opener::without_key() }
    }
}

impl Default for Ciphers {
    fn default() -> Self {
        Self::new()
    }
}

/// A node that seals and opens.
pub struct Node<'a, F> {
    store: Store<'a, F>,
    stored: Contents,
    ciphers: &'a mut Ciphers,
    acknowledged: Option<u32>,
    output: bool,
    reading: Option<i16>,
}

/// A node that waits for keys.
pub struct Blank<'a, F> {
    store: Store<'a, F>,
    why: Notice,
}

/// What a node is after its start.
#[derive(Debug)]
pub enum Start<'a, F> {
    /// It has keys.
    Node(Node<'a, F>),
    /// It has none, or none that it can go on with.
    Blank(Blank<'a, F>),
}

/// Why nothing was sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum NodeError {
    /// The state was not stored.
    Flash(FlashFailed),
    /// The sealer refuses.
    Seal(SealError),
    /// The opener refuses.
    Open(OpenError),
    /// The state in flash is not the one that was stored.
    State(InvalidState),
    /// It is no frame with an instruction.
    Malformed,
}

impl From<FlashFailed> for NodeError {
    fn from(error: FlashFailed) -> Self {
        Self::Flash(error)
    }
}

impl From<SealError> for NodeError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<OpenError> for NodeError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<InvalidState> for NodeError {
    fn from(error: InvalidState) -> Self {
        Self::State(error)
    }
}

impl<'a, F: MultiwriteNorFlash> Node<'a, F> {
    /// Starts with what is in the [`PAGES`](crate::PAGES) pages of `flash` from address `start` on: goes on behind the newest states, and
    /// reserves.
    ///
    /// # Errors
    /// [`FlashFailed`]: nothing may be sealed or opened.
    pub async fn start(
        flash: &'a mut F,
        start: u32,
        ciphers: &'a mut Ciphers,
    ) -> Result<Start<'a, F>, FlashFailed> {
        // What was there before ends, and is erased.
        *ciphers = Ciphers::new();
        let mut store = Store::new(flash, start);
        let (found, are_keys_read) = store.keys().await;
        let Some(keys) = found.iter().flatten().next().cloned() else {
            if !are_keys_read {
                // There may be keys: nobody is to give others.
                return Err(FlashFailed);
            }
            // To forget keys may have been cut off behind their removal.
            store.erase_leftovers().await?;
            return Ok(Start::Blank(Blank { store, why: Notice::NoKeys }));
        };
        let Ciphers { sealer, opener } = ciphers;
        let (sealed, is_sealer_read) = store.sealer().await;
        let (opened, is_opener_read) = store.opener().await;
        let is_read = are_keys_read && is_sealer_read && is_opener_read;
        let restored = sealer
            .set_stored_key((&keys.up).into(), UP, keys.limit, &sealed)
            .and_then(|()| opener.set_stored_key((&keys.down).into(), DOWN, keys.limit, FAILURES, &opened));
        if restored.is_err() {
            *ciphers = Ciphers::new();
            if !is_read {
                return Err(FlashFailed);
            }
            return Ok(Start::Blank(Blank { store, why: Notice::NoState }));
        }
        let sealing = sealer.begin_reserve(STEP_UP);
        // No counters before there is an instruction: a node that starts often would refuse ever more of them.
        let opening = opener.begin_reserve(0, STEP_DOWN);
        let stored =
            Contents { keys, sealer: sealing.state().to_bytes(), opener: opening.state().to_bytes() };
        let old = newest(&stored.keys, found, sealed, opened);
        if old.is_none() && !is_read {
            // What cannot be read may be all that has everything: it is not touched.
            return Err(FlashFailed);
        }
        store.save(old.as_ref(), &stored).await?;
        sealing.stored();
        opening.stored();
        let (acknowledged, output, reading) = (None, false, None);
        Ok(Start::Node(Self { store, stored, ciphers, acknowledged, output, reading }))
    }

    /// Keeps a reading for the reports that follow; none if it failed.
    pub fn set_reading(&mut self, reading: Option<i16>) {
        self.reading = reading;
    }

    /// Whether the output shall be on.
    #[must_use]
    pub fn output(&self) -> bool {
        self.output
    }

    /// Makes a report.
    ///
    /// # Errors
    /// [`NodeError::Flash`]; [`NodeError::Seal`] if the key is used up. No nonce is used then.
    pub async fn report(&mut self, reason: Reason) -> Result<Frame, NodeError> {
        self.reserve_to_seal().await?;
        let Self { acknowledged, output, reading, .. } = *self;
        let mut frame = Frame::default();
        // There is room in a frame for all of this.
        let _ = frame.extend_from_slice(&[REPORT, 0, 0, 0]);
        let _ = frame.extend_from_slice(&Report { reason, acknowledged, output, reading }.to_bytes());
        let message = frame.get_mut(HEADER..).unwrap_or_default();
        let (nonce, tag) = self.ciphers.sealer.seal_inout_detached(&[REPORT], message.into())?;
        let [_, _, _, _, counter @ ..] = nonce.0;
        if let Some(place) = frame.get_mut(1..HEADER) {
            place.copy_from_slice(&counter);
        }
        let _ = frame.extend_from_slice(&tag);
        Ok(frame)
    }

    async fn reserve_to_seal(&mut self) -> Result<(), NodeError> {
        let reserved = self.ciphers.sealer.reserved_blocks();
        if reserved >= BLOCKS || reserved == self.ciphers.sealer.remaining_blocks() {
            return Ok(());
        }
        let sealer = self.ciphers.sealer.begin_reserve(STEP_UP).state().to_bytes();
        self.save(Contents { sealer, ..self.stored.clone() }).await?;
        Ok(self.ciphers.sealer.confirm(&self.stored.sealer)?)
    }

    /// Opens the instruction in a frame and carries out what concerns the node itself. What it answers acknowledges it.
    ///
    /// # Errors
    /// See [`NodeError`]; nothing is carried out then.
    pub async fn receive(&mut self, frame: &[u8]) -> Result<Instruction, NodeError> {
        const LEN: usize = HEADER + Instruction::LEN + TAG;
        let frame: &[u8; LEN] = frame.try_into().map_err(|_| NodeError::Malformed)?;
        let [kind, a, b, c, sealed, tag @ ..] = *frame;
        if kind != INSTRUCTION {
            return Err(NodeError::Malformed);
        }
        let counter = [a, b, c];
        let nonce = self.ciphers.opener.nonce(&counter).ok_or(NodeError::Malformed)?;
        let open = |node: &mut Self| {
            let mut message = [sealed];
            let buffer = message.as_mut_slice().into();
            node.ciphers
                .opener
                .open_inout_detached(&nonce, &[INSTRUCTION], buffer, &tag.into())
                .map(|()| message)
        };
        // Blocks only: if anybody's frame reserved counters, each start with one would refuse more instructions.
        self.reserve_to_open(0).await?;
        let mut opened = open(self);
        if opened == Err(OpenError::NotReserved) {
            // Genuine, as blocks are reserved. It is the first of those that are reserved now.
            self.reserve_to_open(INSTRUCTIONS - 1).await?;
            opened = open(self);
        }
        let instruction = Instruction::from_bytes(opened?).ok_or(NodeError::Malformed)?;
        self.acknowledged = Some(counter_of(counter));
        match instruction {
            Instruction::On => self.output = true,
            Instruction::Off => self.output = false,
            Instruction::Stop | Instruction::Forget => {}
        }
        Ok(instruction)
    }

    /// Reserves so many counters beyond the greatest one that is known to be genuine, and blocks if there are too few for an instruction.
    async fn reserve_to_open(&mut self, messages: u32) -> Result<(), NodeError> {
        let opener = &mut self.ciphers.opener;
        let blocks = opener.reserved_blocks();
        let has_blocks =
            blocks >= BLOCKS || blocks == opener.remaining_blocks() || opener.remaining_failures() == 0;
        if has_blocks && messages == 0 {
            return Ok(());
        }
        let step = if has_blocks { 0 } else { STEP_DOWN };
        let opener = opener.begin_reserve(messages, step).state().to_bytes();
        self.save(Contents { opener, ..self.stored.clone() }).await?;
        Ok(self.ciphers.opener.confirm(&self.stored.opener)?)
    }

    /// Stores what was used and nothing more. Nothing can be sealed or opened afterwards, until the next start.
    ///
    /// # Errors
    /// [`FlashFailed`]: the next start skips what was reserved, as after a loss of power.
    pub async fn stop(&mut self) -> Result<(), FlashFailed> {
        let sealer = self.ciphers.sealer.suspend_in_place().to_bytes();
        let opener = self.ciphers.opener.suspend_in_place().to_bytes();
        self.save(Contents { sealer, opener, ..self.stored.clone() }).await
    }

    async fn save(&mut self, contents: Contents) -> Result<(), FlashFailed> {
        self.store.save(Some(&self.stored), &contents).await?;
        self.stored = contents;
        Ok(())
    }

    /// Forgets the keys.
    ///
    /// # Errors
    /// [`FlashFailed`]: the keys may still be there.
    pub async fn forget(self) -> Result<(), FlashFailed> {
        let Self { mut store, ciphers, .. } = self;
        *ciphers = Ciphers::new();
        store.remove_keys().await?;
        store.erase_all().await
    }
}

impl<F: MultiwriteNorFlash> Blank<'_, F> {
    /// What the node waits for.
    #[must_use]
    pub fn why(&self) -> Notice {
        self.why
    }

    /// Gives the node its keys, which were never used. Then it can start.
    ///
    /// What was there before is erased first: a first state is not to be among those of other keys.
    ///
    /// # Errors
    /// [`FlashFailed`]: the node may have the keys or not.
    pub async fn provision(mut self, keys: Keys) -> Result<(), FlashFailed> {
        // A map that cannot be read has no keys that a start would find.
        let _ = self.store.remove_keys().await;
        self.store.erase_all().await?;
        let sealer = <Sealer>::first_state((&keys.up).into(), UP, keys.limit).to_bytes();
        let opener = <Opener>::first_state((&keys.down).into(), DOWN, keys.limit, FAILURES).to_bytes();
        self.store.save(None, &Contents { keys, sealer, opener }).await
    }
}

/// What the map had that has everything, the newest if both have.
fn newest(
    keys: &Keys,
    found: [Option<Keys>; 2],
    sealed: [[u8; STATE]; 2],
    opened: [[u8; STATE]; 2],
) -> Option<Contents> {
    let mut newest: Option<(Contents, [u32; 2])> = None;
    for ((found, sealer), opener) in found.into_iter().zip(sealed).zip(opened) {
        let sequences = SealerState::from_bytes(&sealer, UP).and_then(|sealer| {
            let opener = OpenerState::from_bytes(&opener, DOWN)?;
            Ok([sealer.sequence(), opener.sequence()])
        });
        let (Some(found), Ok(sequences)) = (found, sequences) else { continue };
        if found == *keys && newest.as_ref().is_none_or(|(_, other)| is_after(sequences, *other)) {
            newest = Some((Contents { keys: found, sealer, opener }, sequences));
        }
    }
    newest.map(|(contents, _)| contents)
}

/// Whether states with these numbers, of which a pair is stored together, were stored after others.
fn is_after(numbers: [u32; 2], others: [u32; 2]) -> bool {
    const SEQUENCES: u32 = 1 << 24;
    numbers
        .into_iter()
        .zip(others)
        .all(|(number, other)| number.wrapping_sub(other) % SEQUENCES < SEQUENCES / 2)
}

impl<F> fmt::Debug for Node<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("ciphers", &self.ciphers).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Blank<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blank").field("why", &self.why).finish_non_exhaustive()
    }
}
