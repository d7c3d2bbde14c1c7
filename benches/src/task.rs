//! Operations on ciphers and AEADs, ready to be repeated.

use std::{hint::black_box, mem};

use aead::{AeadCore, AeadInOut, KeyInit, Nonce, Tag, inout::InOutBuf};
use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt};
use serde::{Deserialize, Serialize};

use crate::clock;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Encrypts independent blocks with a block cipher.
    Encrypt,
    /// Decrypts them.
    Decrypt,
    /// Seals a message with an AEAD.
    Seal,
    /// Opens it.
    Open,
    /// Makes a cipher of a key.
    Setup,
}

impl Operation {
    /// As in the results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Seal => "seal",
            Self::Open => "open",
            Self::Setup => "setup",
        }
    }
}

/// One operation of one algorithm on one length.
pub struct Task {
    /// The name of the algorithm.
    pub algorithm: &'static str,
    /// What is done.
    pub operation: Operation,
    /// Bytes of blocks or message; for [`Operation::Setup`] of the value that holds the expanded key.
    pub bytes: usize,
    /// Bytes of associated data.
    pub associated_data: usize,
    /// So many repetitions at most between two calls of [`Task::prepare`].
    pub capacity: usize,
    body: Box<dyn Body>,
}

impl Task {
    /// Does what is not to be measured before `repetitions`.
    ///
    /// # Panics
    /// If `repetitions` exceeds the capacity.
    pub fn prepare(&mut self, repetitions: usize) {
        assert!(repetitions <= self.capacity, "more than fits");
        self.body.prepare(repetitions);
    }

    /// Repeats the operation. Each begins when the one before has finished, as messages of a device do.
    pub fn run(&mut self, repetitions: usize) {
        self.body.run(repetitions);
    }
}

trait Body {
    fn prepare(&mut self, _repetitions: usize) {}
    fn run(&mut self, repetitions: usize);
}

/// So many bytes of messages stay in the first-level cache of any current core, with all else that is used.
const CACHED: usize = 16 << 10;

/// A message that starts with a cache line, so that no algorithm is unlucky with an address.
struct Message {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl Message {
    const LINE: usize = 64;

    fn new(content: &[u8]) -> Self {
        let storage = vec![0; content.len() + Self::LINE];
        let start = storage.as_ptr().align_offset(Self::LINE);
        let mut message = Self { storage, start, length: content.len() };
        message.get().copy_from_slice(content);
        message
    }

    fn get(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..][..self.length]
    }
}

/// Seals and opens in place, with the tag detached.
struct Sealing<A: AeadInOut> {
    aead: A,
    nonce: Nonce<A>,
    associated_data: Vec<u8>,
    messages: Vec<Message>,
    sealed: Vec<u8>,
    tag: Tag<A>,
}

impl<A: AeadInOut + KeyInit> Sealing<A> {
    fn new(length: usize, associated_data: usize) -> Self {
        let aead = A::new(&Default::default());
        let nonce = Nonce::<A>::default();
        let associated_data = vec![0; associated_data];
        let mut sealed = vec![0; length];
        let tag = aead
            .encrypt_inout_detached(&nonce, &associated_data, sealed.as_mut_slice().into())
            .expect("every algorithm takes messages of this length");
        let count = (CACHED / length.next_multiple_of(Message::LINE)).max(1);
        let messages = (0..count).map(|_| Message::new(&sealed)).collect();
        Self { aead, nonce, associated_data, messages, sealed, tag }
    }

    fn into_task(
        self,
        algorithm: &'static str,
        operation: Operation,
        body: impl FnOnce(Self) -> Box<dyn Body>,
    ) -> Task {
        Task {
            algorithm,
            operation,
            bytes: self.sealed.len(),
            associated_data: self.associated_data.len(),
            capacity: self.messages.len(),
            body: body(self),
        }
    }
}

struct Seal<A: AeadInOut>(Sealing<A>);

impl<A: AeadInOut> Body for Seal<A> {
    fn run(&mut self, repetitions: usize) {
        let Sealing { aead, nonce, associated_data, messages, .. } = &mut self.0;
        for message in &mut messages[..repetitions] {
            let tag = aead.encrypt_inout_detached(black_box(nonce), associated_data, message.get().into());
            black_box(&tag);
            clock::fence();
        }
    }
}

struct Open<A: AeadInOut>(Sealing<A>);

impl<A: AeadInOut> Body for Open<A> {
    /// What was opened must be sealed again to be opened again.
    fn prepare(&mut self, repetitions: usize) {
        for message in &mut self.0.messages[..repetitions] {
            message.get().copy_from_slice(&self.0.sealed);
        }
    }

    fn run(&mut self, repetitions: usize) {
        let Sealing { aead, nonce, associated_data, messages, tag, .. } = &mut self.0;
        for message in &mut messages[..repetitions] {
            aead.decrypt_inout_detached(black_box(nonce), associated_data, message.get().into(), tag)
                .expect("the message is authentic");
            clock::fence();
        }
    }
}

/// A task for each direction of the AEAD `A`.
#[must_use]
pub fn aead<A: AeadInOut + KeyInit + 'static>(
    algorithm: &'static str,
    length: usize,
    associated_data: usize,
) -> [Task; 2] {
    let sealing = || Sealing::<A>::new(length, associated_data);
    [
        sealing().into_task(algorithm, Operation::Seal, |sealing| Box::new(Seal(sealing))),
        sealing().into_task(algorithm, Operation::Open, |sealing| Box::new(Open(sealing))),
    ]
}

/// What is sent beside a message that was sealed.
pub type Sealed<A> = (Nonce<A>, Tag<A>);

/// An AEAD with a counter as its nonce: both ends of a link.
pub trait Counted {
    /// What it seals and opens as.
    type Aead: AeadCore;

    /// Both ends, before the first message.
    fn new() -> Self;

    /// Seals the next message.
    ///
    /// # Errors
    /// If a limit is reached.
    fn seal(
        &mut self,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
    ) -> Result<Sealed<Self::Aead>, aead::Error>;

    /// Opens one.
    ///
    /// # Errors
    /// If it is not authentic, or a limit is reached.
    fn open(
        &mut self,
        nonce: &Nonce<Self::Aead>,
        associated_data: &[u8],
        buffer: InOutBuf<'_, '_, u8>,
        tag: &Tag<Self::Aead>,
    ) -> Result<(), aead::Error>;
}

/// Messages in the order of their nonces. Before each sample both ends start anew, far from any limit, and exchange one message.
struct Link<C: Counted> {
    ends: C,
    associated_data: Vec<u8>,
    messages: Vec<Message>,
    /// Nonce and tag of each message, for opening.
    sealed: Vec<Sealed<C::Aead>>,
}

impl<C: Counted> Link<C> {
    fn new(length: usize, associated_data: usize) -> Self {
        let count = (CACHED / length.next_multiple_of(Message::LINE)).max(1);
        Self {
            ends: C::new(),
            associated_data: vec![0; associated_data],
            messages: (0..count).map(|_| Message::new(&vec![0; length])).collect(),
            sealed: Vec::with_capacity(count),
        }
    }

    fn start(&mut self) {
        const REASON: &str = "no limit is near";
        self.ends = C::new();
        let mut first = [];
        let (nonce, tag) = self.ends.seal(&self.associated_data, first.as_mut_slice().into()).expect(REASON);
        self.ends.open(&nonce, &self.associated_data, first.as_mut_slice().into(), &tag).expect(REASON);
    }

    fn into_task(
        self,
        algorithm: &'static str,
        operation: Operation,
        body: impl FnOnce(Self) -> Box<dyn Body>,
    ) -> Task {
        Task {
            algorithm,
            operation,
            bytes: self.messages[0].length,
            associated_data: self.associated_data.len(),
            capacity: self.messages.len(),
            body: body(self),
        }
    }
}

struct SealNext<C: Counted>(Link<C>);

impl<C: Counted> Body for SealNext<C> {
    fn prepare(&mut self, _repetitions: usize) {
        self.0.start();
    }

    fn run(&mut self, repetitions: usize) {
        let Link { ends, associated_data, messages, .. } = &mut self.0;
        for message in &mut messages[..repetitions] {
            let sealed = ends.seal(associated_data, message.get().into());
            black_box(&sealed);
            clock::fence();
        }
    }
}

struct OpenNext<C: Counted>(Link<C>);

impl<C: Counted> Body for OpenNext<C> {
    fn prepare(&mut self, repetitions: usize) {
        self.0.start();
        let Link { ends, associated_data, messages, sealed } = &mut self.0;
        sealed.clear();
        for message in &mut messages[..repetitions] {
            sealed.push(ends.seal(associated_data, message.get().into()).expect("no limit is near"));
        }
    }

    fn run(&mut self, repetitions: usize) {
        let Link { ends, associated_data, messages, sealed } = &mut self.0;
        for (message, (nonce, tag)) in messages[..repetitions].iter_mut().zip(sealed) {
            ends.open(black_box(nonce), associated_data, message.get().into(), tag)
                .expect("the message is authentic");
            clock::fence();
        }
    }
}

/// A task for each direction of a link, of messages whose nonces come in order.
#[must_use]
pub fn counted<C: Counted + 'static>(
    algorithm: &'static str,
    length: usize,
    associated_data: usize,
) -> [Task; 2] {
    let link = || Link::<C>::new(length, associated_data);
    [
        link().into_task(algorithm, Operation::Seal, |link| Box::new(SealNext(link))),
        link().into_task(algorithm, Operation::Open, |link| Box::new(OpenNext(link))),
    ]
}

/// Blocks that are encrypted or decrypted in place, again and again.
struct Blocks<C: BlockCipherEncrypt> {
    cipher: C,
    blocks: Vec<Block<C>>,
}

struct Encrypt<C: BlockCipherEncrypt>(Blocks<C>);

impl<C: BlockCipherEncrypt> Body for Encrypt<C> {
    fn run(&mut self, repetitions: usize) {
        let Blocks { cipher, blocks } = &mut self.0;
        for _ in 0..repetitions {
            cipher.encrypt_blocks(black_box(blocks));
            clock::fence();
        }
    }
}

struct Decrypt<C: BlockCipherEncrypt>(Blocks<C>);

impl<C: BlockCipherEncrypt + BlockCipherDecrypt> Body for Decrypt<C> {
    fn run(&mut self, repetitions: usize) {
        let Blocks { cipher, blocks } = &mut self.0;
        for _ in 0..repetitions {
            cipher.decrypt_blocks(black_box(blocks));
            clock::fence();
        }
    }
}

/// A task for each direction of the block cipher `C`.
#[must_use]
pub fn block<C>(algorithm: &'static str, count: usize) -> [Task; 2]
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + 'static,
{
    let blocks =
        || Blocks { cipher: C::new(&Default::default()), blocks: vec![Block::<C>::default(); count] };
    let bodies: [(_, Box<dyn Body>); 2] = [
        (Operation::Encrypt, Box::new(Encrypt(blocks()))),
        (Operation::Decrypt, Box::new(Decrypt(blocks()))),
    ];
    bodies.map(|(operation, body)| Task {
        algorithm,
        operation,
        bytes: count * C::block_size(),
        associated_data: 0,
        capacity: usize::MAX,
        body,
    })
}

struct Setup<K: KeyInit>(aead::Key<K>);

impl<K: KeyInit> Body for Setup<K> {
    fn run(&mut self, repetitions: usize) {
        for _ in 0..repetitions {
            // Not dropped: only some of the crates erase keys by default, and that is not what is compared.
            mem::forget(black_box(K::new(black_box(&self.0))));
            clock::fence();
        }
    }
}

/// The task of making a `K` of a key.
#[must_use]
pub fn setup<K: KeyInit + 'static>(algorithm: &'static str) -> Task {
    Task {
        algorithm,
        operation: Operation::Setup,
        bytes: size_of::<K>(),
        associated_data: 0,
        capacity: usize::MAX,
        body: Box::new(Setup::<K>(Default::default())),
    }
}

struct Nothing;

impl Body for Nothing {
    fn run(&mut self, repetitions: usize) {
        for repetition in 0..repetitions {
            black_box(repetition);
            clock::fence();
        }
    }
}

/// The task of doing nothing: what repeating costs.
#[must_use]
pub fn nothing() -> Task {
    Task {
        algorithm: "nothing",
        operation: Operation::Setup,
        bytes: 0,
        associated_data: 0,
        capacity: usize::MAX,
        body: Box::new(Nothing),
    }
}
