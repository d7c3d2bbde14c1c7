//! The operations of TWINE and TWINE-OTR.

use core::{fmt, hint::black_box};

use smart_city_detector::{
    AllowedValues, AttestKey, Challenge, Detector, Evidence, Region, Verdict, Verifier,
};
use smart_city_frame::{DeviceId, Epoch, GatewayLink, Instruction, RootKey};
use twine_cipher::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser};
use twine_otr_aead::{
    AeadInOut, Combined, Key, KeyInit, Nonce, Otr, OtrAhead, Parallel, PieceEncryptor, Serial, Tag, Twine80,
    Twine128,
    consts::{U7, U8},
};

use crate::{Buffers, Observer, is_secret, secret};

/// Public: two blocks and a part of one.
const ASSOCIATED_DATA: &[u8] = b"sensor 7, room 101";

/// Public, as those before and after.
const NONCE: [u8; 7] = [1, 2, 3, 4, 5, 6, 7];
const FIRST_NONCE: [u8; 7] = [1, 2, 3, 4, 5, 6, 6];
const NEXT_NONCE: [u8; 7] = [1, 2, 3, 4, 5, 6, 8];

/// The block cipher.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    Twine80,
    Twine128,
}

/// How the mode processes associated data.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdProcessing {
    Parallel,
    Serial,
    Combined,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Making the mode's instance from a key, and dropping it.
    SetUp,
    /// Sealing in place.
    Seal,
    /// Sealing in place, in two pieces.
    SealPieces,
    /// Sealing in place under a nonce that was prepared, and preparing the next.
    SealPrepared,
    /// Opening in place what was sealed.
    Open,
    /// The same with a nonce that was prepared, and preparing the next.
    OpenPrepared,
    /// Opening in place with a wrong tag: another bit of it is wrong for each secret.
    Refuse,
    /// Encrypting blocks with the cipher alone.
    EncryptBlocks,
    /// Decrypting blocks with the cipher alone.
    DecryptBlocks,
    /// Examining code by the detector of the example `smart-city`: another bit of the allowed value is wrong for each secret.
    Examine,
    /// Verifying evidence by the other end of the example: another bit of its tag is wrong for each secret.
    Verify,
}

/// An action of a cipher or the mode over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The block cipher.
    pub cipher: Cipher,
    /// The mode's processing of associated data.
    pub processing: AdProcessing,
    /// What is done.
    pub action: Action,
    /// The bytes of the message, or of the blocks.
    pub len: usize,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cipher = match self.cipher {
            Cipher::Twine80 => "TWINE-80",
            Cipher::Twine128 => "TWINE-128",
        };
        let mode = match self.processing {
            AdProcessing::Parallel => "-OTR-p",
            AdProcessing::Serial => "-OTR-s",
            AdProcessing::Combined => "-OTR-c",
        };
        let len = self.len;
        match self.action {
            Action::SetUp => write!(f, "{cipher}{mode}, key set-up"),
            Action::Seal => write!(f, "{cipher}{mode}, seal {len} bytes"),
            Action::SealPieces => write!(f, "{cipher}{mode}, seal {len} bytes in pieces"),
            Action::SealPrepared => write!(f, "{cipher}{mode}, seal {len} bytes with a prepared nonce"),
            Action::OpenPrepared => write!(f, "{cipher}{mode}, open {len} bytes with a prepared nonce"),
            Action::Open => write!(f, "{cipher}{mode}, open {len} bytes"),
            Action::Refuse => write!(f, "{cipher}{mode}, refuse {len} bytes"),
            Action::EncryptBlocks => write!(f, "{cipher}, encrypt {len} bytes"),
            Action::DecryptBlocks => write!(f, "{cipher}, decrypt {len} bytes"),
            Action::Examine => write!(f, "detector, examine {len} bytes"),
            Action::Verify => write!(f, "detector, verify evidence of {len} bytes"),
        }
    }
}

/// All operations, with messages of `lengths`, up to [`crate::CAPACITY`] bytes. Key set-up has no message; the cipher
/// alone gets what is whole of the longest message, which alone comes in pieces, and with the longer key with a nonce that was
/// prepared.
pub fn all(lengths: &[usize]) -> impl Iterator<Item = Operation> {
    use Action::{
        DecryptBlocks, EncryptBlocks, Examine, Open, OpenPrepared, Refuse, Seal, SealPieces, SealPrepared,
        SetUp, Verify,
    };
    use AdProcessing::{Combined, Parallel, Serial};
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let detector = lengths.iter().flat_map(|&len| {
        [Examine, Verify].map(|action| Operation {
            cipher: Cipher::Twine128,
            processing: Combined,
            action,
            len,
        })
    });
    let libraries = [Cipher::Twine80, Cipher::Twine128].into_iter().flat_map(move |cipher| {
        let once = [(SetUp, 0), (EncryptBlocks, longest / 8 * 8), (DecryptBlocks, longest / 8 * 8)]
            .map(|(action, len)| Operation { cipher, processing: Parallel, action, len });
        let messages = [Parallel, Serial, Combined].into_iter().flat_map(move |processing| {
            let at_once = lengths.iter().flat_map(|&len| [Seal, Open, Refuse].map(|action| (action, len)));
            let prepared = [SealPrepared, OpenPrepared].map(|action| (action, longest));
            let prepared = prepared.into_iter().filter(move |_| cipher == Cipher::Twine128);
            let messages = at_once.chain([(SealPieces, longest)]).chain(prepared);
            messages.map(move |(action, len)| Operation { cipher, processing, action, len })
        });
        once.into_iter().chain(messages)
    });
    libraries.chain(detector)
}

/// Some of [`all`], for want of time: every key set-up, decryption by the cipher alone, and with the longer key sealing (at
/// once, in pieces and with a prepared nonce) and opening by the default mode, opening by the others, with lengths that matter, and the detector.
pub fn some(lengths: &[usize]) -> impl Iterator<Item = Operation> {
    let shortest = lengths.iter().copied().min().unwrap_or(0);
    let longest = lengths.iter().copied().max().unwrap_or(0);
    all(lengths).filter(move |operation| match (operation.cipher, operation.action) {
        (_, Action::SetUp) => true,
        (Cipher::Twine80, _) | (_, Action::EncryptBlocks) => false,
        (_, Action::DecryptBlocks) => true,
        (_, Action::Examine | Action::Verify) => operation.len == shortest,
        (_, Action::Refuse) => operation.processing == AdProcessing::Parallel && operation.len == shortest,
        (_, Action::Seal | Action::SealPieces | Action::SealPrepared | Action::OpenPrepared) => {
            operation.processing == AdProcessing::Parallel && operation.len == longest
        }
        (_, Action::Open) => {
            operation.len == if operation.processing == AdProcessing::Parallel { longest } else { shortest }
        }
    })
}

impl Operation {
    /// Runs the operation with secret number `number`, and returns whether it did what it should. Only the work that
    /// matters is observed, not its preparation.
    #[must_use]
    pub fn run(self, number: usize, buffers: &mut Buffers, observer: &mut dyn Observer) -> bool {
        use AdProcessing as Ad;
        match (self.action, self.cipher, self.processing) {
            (Action::EncryptBlocks | Action::DecryptBlocks, Cipher::Twine80, _) => {
                self.blocks::<Twine80>(number, buffers, observer)
            }
            (Action::EncryptBlocks | Action::DecryptBlocks, Cipher::Twine128, _) => {
                self.blocks::<Twine128>(number, buffers, observer)
            }
            (Action::Examine | Action::Verify, ..) => self.detector(number, buffers, observer),
            (_, Cipher::Twine80, Ad::Parallel) => self.aead::<Twine80, Parallel>(number, buffers, observer),
            (_, Cipher::Twine80, Ad::Serial) => self.aead::<Twine80, Serial>(number, buffers, observer),
            (_, Cipher::Twine80, Ad::Combined) => self.aead::<Twine80, Combined>(number, buffers, observer),
            (_, Cipher::Twine128, Ad::Parallel) => self.aead::<Twine128, Parallel>(number, buffers, observer),
            (_, Cipher::Twine128, Ad::Serial) => self.aead::<Twine128, Serial>(number, buffers, observer),
            (_, Cipher::Twine128, Ad::Combined) => self.aead::<Twine128, Combined>(number, buffers, observer),
        }
    }

    /// Fills the buffers with secret number `number`.
    fn fill<'a, K: KeyInit>(&self, number: usize, buffers: &'a mut Buffers) -> (&'a Key<K>, &'a mut [u8]) {
        let Buffers { key, text } = buffers;
        let text = &mut text[..self.len];
        secret(number, key);
        secret(number, text);
        (key[..K::key_size()].try_into().expect("the slice has the size of the key"), text)
    }

    #[inline(never)]
    fn blocks<C>(self, number: usize, buffers: &mut Buffers, observer: &mut dyn Observer) -> bool
    where
        C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit,
    {
        let (key, text) = self.fill::<C>(number, buffers);
        let cipher = C::new(key);
        let blocks = Array::slice_as_chunks_mut(text).0;
        let original = blocks.first().copied();
        observer.observe(&mut || match self.action {
            Action::EncryptBlocks => cipher.encrypt_blocks(blocks),
            _ => cipher.decrypt_blocks(blocks),
        });
        if let Some(block) = blocks.first_mut() {
            match self.action {
                Action::EncryptBlocks => cipher.decrypt_block(block),
                _ => cipher.encrypt_block(block),
            }
        }
        blocks.first().copied() == original
    }

    #[inline(never)]
    fn aead<B, A>(self, number: usize, buffers: &mut Buffers, observer: &mut dyn Observer) -> bool
    where
        B: BlockCipherEncrypt<BlockSize = U8> + KeyInit,
        A: twine_otr_aead::AdProcessing,
    {
        let (key, text) = self.fill::<B>(number, buffers);
        if self.action == Action::SetUp {
            observer.observe(&mut || drop(black_box(Otr::<B, U7, U8, A>::new(black_box(key)))));
            return true;
        }
        let cipher = Otr::<B, U7, U8, A>::new(key);
        let nonce = NONCE.into();
        let mut prepared = OtrAhead::from(Otr::<B, U7, U8, A>::new(key));
        let first =
            prepared.encrypt_inout_detached(&FIRST_NONCE.into(), Some(&nonce), b"", (&mut [][..]).into());
        let next = Some(&NEXT_NONCE.into());
        let mut sealed = None;
        let mut seal = || {
            sealed = match self.action {
                Action::SealPieces => seal_pieces(&cipher, &nonce, text),
                Action::SealPrepared => {
                    prepared.encrypt_inout_detached(&nonce, next, ASSOCIATED_DATA, (&mut *text).into()).ok()
                }
                _ => cipher.encrypt_inout_detached(&nonce, ASSOCIATED_DATA, (&mut *text).into()).ok(),
            };
        };
        let is_sealing = matches!(self.action, Action::Seal | Action::SealPieces | Action::SealPrepared);
        if is_sealing {
            observer.observe(&mut seal);
        } else {
            seal();
        }
        let (Some(mut tag), Ok(_)) = (sealed, first) else { return false };
        if self.action == Action::Refuse {
            let bit = number % (8 * tag.len());
            tag[bit / 8] ^= 1 << (bit % 8);
        }
        let mut is_open = false;
        let mut open = || {
            let text = (&mut *text).into();
            is_open = match self.action {
                Action::OpenPrepared => {
                    prepared.decrypt_inout_detached(&nonce, next, ASSOCIATED_DATA, text, &tag)
                }
                _ => cipher.decrypt_inout_detached(&nonce, ASSOCIATED_DATA, text, &tag),
            }
            .is_ok();
        };
        if is_sealing {
            open();
        } else {
            observer.observe(&mut open);
        }
        if self.action == Action::Refuse {
            return !is_open && text.iter().all(|byte| *byte == 0);
        }
        is_open && is_secret(number, text)
    }

    /// The comparisons must not tell how much of a value is right: else it could be found byte by byte.
    #[inline(never)]
    fn detector(self, number: usize, buffers: &mut Buffers, observer: &mut dyn Observer) -> bool {
        let (key, code) = self.fill::<Twine128>(number, buffers);
        let key = AttestKey::from_bytes((*key).into());
        let mut value = Verifier::new(&key).allowed_value(REGION, code);
        let bit = number % (8 * value.len());
        if self.action == Action::Examine {
            value[bit / 8] ^= 1 << (bit % 8);
        }
        let Ok(len) = u32::try_from(code.len()) else { return false };
        let table = Region { id: REGION, address: 0, len, value }.to_bytes();
        let (Ok(allowed), Some(sent), Some(received)) =
            (AllowedValues::new(&table), challenge(), challenge())
        else {
            return false;
        };
        let detector = Detector::new(&key, allowed);
        if self.action == Action::Examine {
            let mut verdict = None;
            observer.observe(&mut || verdict = Some(detector.check(REGION, code)));
            return verdict == Some(Verdict::Altered);
        }
        let mut evidence: Evidence = detector.examine(received, REGION, code);
        evidence.tag[bit / 8] ^= 1 << (bit % 8);
        let mut is_right = true;
        observer.observe(&mut || is_right = Verifier::new(&key).verify(&evidence, &sent, REGION, code));
        !is_right && evidence.verdict == Verdict::Intact
    }
}

/// Public.
const REGION: u16 = 7;

/// A challenge of an instruction, under keys that are public.
#[must_use]
pub fn challenge() -> Option<Challenge> {
    let mut gateway = GatewayLink::new(&RootKey::new([0; 16]), DeviceId(*b"lamp 003"), Epoch(3));
    let instruction = Instruction { region: REGION, argument: &[] };
    gateway.seal_instruction(&instruction, &mut [0; 64]).ok().map(|(_, challenge)| challenge)
}

/// Seals half of the pairs of blocks, then the rest.
#[inline(never)]
fn seal_pieces<B, A>(
    cipher: &Otr<B, U7, U8, A>,
    nonce: &Nonce<Otr<B, U7, U8, A>>,
    text: &mut [u8],
) -> Option<Tag<Otr<B, U7, U8, A>>>
where
    B: BlockCipherEncrypt<BlockSize = U8>,
    A: twine_otr_aead::AdProcessing,
{
    let pair = PieceEncryptor::<B, U7, U8, A>::PAIR;
    let (half, rest) = text.split_at_mut(text.len() / pair / 2 * pair);
    let mut pieces = cipher.encrypt_pieces(nonce, ASSOCIATED_DATA).ok()?;
    pieces.update(half.into()).ok()?;
    pieces.finalize(rest.into()).ok()
}
