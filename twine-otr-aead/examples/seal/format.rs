//! The sealed file: what its bytes are, and why.
//!
//! # Layout
//!
//! A sealed file is a header, then one or more chunks. Integers are big-endian; `||` joins byte strings.
//!
//! | offset | bytes | header field                                                                      |
//! |-------:|------:|-----------------------------------------------------------------------------------|
//! |      0 |     6 | magic, `89 54 57 4F 54 52` (0x89, then `TWOTR`)                                   |
//! |      6 |     1 | version, `01`                                                                     |
//! |      7 |     1 | chunk exponent e, 10 to 20: a chunk holds 2^e bytes (`seal` writes 16, so 64 KiB)  |
//! |      8 |    16 | salt, uniformly random for every file                                             |
//!
//! Chunk i = 0, 1, ... is the ciphertext of the plaintext bytes i * 2^e to (i + 1) * 2^e - 1, as long as they are,
//! followed by its 8-byte tag. Every chunk but the last is full. The last one is shorter or full, and it is empty only
//! if the whole file is: a key, a salt and an exponent give each plaintext exactly one sealed form. A sealed file is
//! thus 24 + length + 8 * max(1, ceil(length / 2^e)) bytes long. A segment is the chunks of 4 MiB of plaintext:
//! chunk i belongs to segment s = floor(i * 2^e / 2^22). A file holds at most 2^18 segments, 1 TiB.
//!
//! # Keys
//!
//! `KDF(key, label, context)` is the counter mode of NIST SP 800-108r1, section 4.1, with CMAC (SP 800-38B) over
//! TWINE-128 as its PRF, a 32-bit counter and a 32-bit length. It gives 128 bits in two calls:
//!
//! ```text
//! K(n)        = CMAC(key, [n]32 || label || 00 || context || [128]32),    n = 1, 2
//! KDF         = K(1) || K(2)
//! file key    = KDF(user key, "TWINE-OTR seal v1 file",    salt)
//! segment key = KDF(file key, "TWINE-OTR seal v1 segment", salt || [s]32)
//! ```
//!
//! No label has a zero byte in it and each label has one context length, so no two inputs can be parsed alike.
//! The labels keep these keys apart from each other, from later versions, and from any other use of the user key.
//!
//! # Chunks
//!
//! Chunk i is one message of TWINE-128-OTR (parallel associated data) under its segment key, as [`ChunkSealer`] seals it, with
//!
//! ```text
//! nonce           = [i]48 || 01 if the chunk is the last one, else 00        (7 bytes)
//! associated data = the 24 bytes of the header
//! ```
//!
//! - *Nonces never repeat under a key.* Another file has another salt and so other keys; within a file no two chunks
//!   have the same i.
//! - *Position.* i is in the nonce, and s in the key: a chunk that was moved, dropped, repeated or taken from another
//!   file does not verify.
//! - *End of file.* As in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizar, CRYPTO 2015) only the last
//!   chunk carries the byte 01. A file cut after a whole chunk ends in one that does not say so; a file with something
//!   appended has one that says so too early. Both are refused.
//! - *Header.* Every chunk authenticates all of it; the salt makes the keys besides.
//!
//! # Limits
//!
//! TWINE has blocks of 64 bits, so that much data under one key is what must be avoided.
//!
//! - *Segment.* 4 MiB are 2^19 blocks (nonces, tags and associated data add less than a thousandth at 64 KiB a chunk).
//!   OTR's bound 6 sigma^2 / 2^64 is then 2^-23.4 for the advantage over an ideal AEAD. It adds up over segments,
//!   whether in one file or in many under the same user key: 2^-15.4 for 1 GiB, 2^-9.4 for 64 GiB, 2^-5.4 for 1 TiB,
//!   which a single key would reach with 2 GiB. A file ends there, as beyond it the bound says little.
//! - *Forgery.* Each chunk presented to be opened is accepted with probability 2^-64 besides.
//! - *File key.* 2 CMAC messages of 7 blocks a segment: at most 2^19 messages, 2^21.8 blocks. The bound for CMAC as a
//!   PRF, about 4 sigma^2 / 2^64 (Iwata and Kurosawa, INDOCRYPT 2003), is 2^-18.4 for the largest file.
//! - *User key.* 2 CMAC messages of 6 blocks a file. **Seal at most 2^20 files under one user key**: 2^21 messages are
//!   what SP 800-38B (appendix B) allows for a 64-bit block; 2^23.6 blocks, 2^-14.8. The tool keeps no count.
//! - *Salts and subkeys.* Among 2^20 files two salts are equal with probability 2^-89. Two inputs get the same key
//!   only if both 64-bit halves collide, each through a CMAC chain of its own: 2^-128 a pair. A half that collides
//!   alone is of no use.
//!
//! # What it does not do
//!
//! The length of the plaintext shows. Nothing says which of several files sealed under one key is the newest or which
//! name it had. OTR does not commit to its key: whoever knows two user keys may make a file that opens under both.

use std::{
    error, fmt,
    io::{self, Read, Write},
};

use cmac::{Cmac, Mac, digest::FixedOutput};
use twine_otr_aead::{ChunkOpener, ChunkSealer, Key, KeyInit, Twine128};
use zeroize::{Zeroize, Zeroizing};

/// First bytes of a sealed file. The first is not ASCII, so that no text file starts like this.
pub(crate) const MAGIC: [u8; 6] = *b"\x89TWOTR";
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER_LEN: usize = 24;
pub(crate) const SALT_LEN: usize = 16;
pub(crate) const TAG_LEN: usize = 8;
/// A segment, the plaintext under one key, holds 2^22 bytes.
const SEGMENT_EXPONENT: u8 = 22;
/// The longest plaintext, 2^18 segments.
pub(crate) const MAX_LEN: u64 = 1 << 40;

const FILE_LABEL: &[u8] = b"TWINE-OTR seal v1 file";
const SEGMENT_LABEL: &[u8] = b"TWINE-OTR seal v1 segment";

/// Why something was not sealed or not opened.
#[derive(Debug)]
pub(crate) enum Error {
    Read(io::Error),
    Write(io::Error),
    /// The magic is not there.
    NotSealed,
    Version(u8),
    ChunkExponent(u8),
    /// The input ends inside the header.
    TruncatedHeader,
    /// The chunks up to here are genuine, but none of them is the last one.
    Truncated,
    /// Something follows the chunk that is authenticated as the last one.
    TrailingData,
    /// A chunk does not verify. The key made the chunks before it, if there are any.
    Rejected {
        chunk: u64,
        offset: u64,
    },
    /// More than [`MAX_LEN`] bytes.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot read: {error}"),
            Self::Write(error) => write!(f, "cannot write: {error}"),
            Self::NotSealed => f.write_str("this is not a sealed file"),
            Self::Version(version) => {
                write!(f, "sealed in version {version} of the format; only version {VERSION} is known")
            }
            Self::ChunkExponent(exponent) => {
                write!(f, "damaged header: no chunks of 2^{exponent} bytes exist")
            }
            Self::TruncatedHeader => {
                write!(f, "truncated: the input ends inside the header of {HEADER_LEN} bytes")
            }
            Self::Truncated => f.write_str("truncated: the end of the sealed data is missing"),
            Self::TrailingData => f.write_str("extended: there is data after the end of the sealed data"),
            Self::Rejected { chunk: 0, .. } => {
                f.write_str("wrong key, or the data was changed: the first chunk does not verify")
            }
            Self::Rejected { chunk, offset } => {
                write!(
                    f,
                    "the data was changed, cut or extended: chunk {chunk} (plaintext from byte {offset}) "
                )?;
                f.write_str("does not verify")
            }
            Self::TooLong => f.write_str("too long: a sealed file holds at most 1 TiB"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Read(error) | Self::Write(error) => Some(error),
            _ => None,
        }
    }
}

/// A 128-bit key, erased when dropped. It stays where it was made, so that no copy of it is left anywhere.
pub(crate) struct SecretKey(Box<Zeroizing<[u8; 16]>>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A key that is not 32 hexadecimal digits. It says no more, lest an almost correct key be shown.
#[derive(Debug)]
pub(crate) struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key is 128 bits, written as exactly 32 hexadecimal digits")
    }
}

impl error::Error for InvalidKey {}

impl SecretKey {
    /// What a key and its line end take at most.
    pub(crate) const HEX_LINE_LEN: usize = 34;

    /// Fills a new key, for example with random bytes.
    pub(crate) fn try_from_fn<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Box::new(Zeroizing::new([0; 16]));
        fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// Reads 32 hexadecimal digits; a line end may follow. No branch or index depends on the digits.
    pub(crate) fn from_hex(text: &[u8]) -> Result<Self, InvalidKey> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.len() != 32 {
            return Err(InvalidKey);
        }
        Self::try_from_fn(|key| base16ct::mixed::decode(text, key).map(drop).map_err(|_| InvalidKey))
    }

    /// The key as a line of 32 hexadecimal digits.
    pub(crate) fn to_hex_line(&self) -> Zeroizing<Vec<u8>> {
        let mut line = Zeroizing::new(vec![b'\n'; 33]);
        base16ct::lower::encode(self.0.as_slice(), &mut line[..32]).expect("32 digits are 16 bytes");
        line
    }

    fn as_array(&self) -> &Key<Twine128> {
        (&**self.0).into()
    }

    /// SP 800-108r1 in counter mode, see the [module](self).
    pub(crate) fn derive(&self, label: &[u8], context: &[u8]) -> Self {
        let prf = <Cmac<Twine128> as KeyInit>::new(self.as_array());
        let mut halves = Zeroizing::new([[0; 8]; 2]);
        for (counter, half) in (1u32..).zip(halves.iter_mut()) {
            let mut prf = prf.clone();
            for part in [&counter.to_be_bytes(), label, &[0], context, &128u32.to_be_bytes()] {
                prf.update(part);
            }
            prf.finalize_into(half.into());
        }
        let mut key = Box::new(Zeroizing::new([0; 16]));
        key.copy_from_slice(halves.as_flattened());
        Self(key)
    }
}

/// How much plaintext a chunk holds: a power of two from 1 KiB to 1 MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkSize {
    exponent: u8,
}

impl ChunkSize {
    /// 64 KiB.
    pub(crate) const DEFAULT: Self = Self { exponent: 16 };

    pub(crate) fn from_exponent(exponent: u8) -> Result<Self, Error> {
        // The upper end bounds the memory that a header, not yet authenticated, can ask for.
        if (10..=20).contains(&exponent) {
            Ok(Self { exponent })
        } else {
            Err(Error::ChunkExponent(exponent))
        }
    }

    fn bytes(self) -> usize {
        1 << self.exponent
    }
}

struct Header {
    bytes: [u8; HEADER_LEN],
    chunk_size: ChunkSize,
}

impl Header {
    fn new(chunk_size: ChunkSize, salt: &[u8; SALT_LEN]) -> Self {
        let mut bytes = [0; HEADER_LEN];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[6] = VERSION;
        bytes[7] = chunk_size.exponent;
        bytes[8..].copy_from_slice(salt);
        Self { bytes, chunk_size }
    }

    fn read(input: &mut impl Read) -> Result<Self, Error> {
        let mut bytes = [0; HEADER_LEN];
        let len = read_full(input, &mut bytes).map_err(Error::Read)?;
        let known = len.min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(Error::NotSealed);
        }
        if len > 6 && bytes[6] != VERSION {
            return Err(Error::Version(bytes[6]));
        }
        if len < HEADER_LEN {
            return Err(Error::TruncatedHeader);
        }
        Ok(Self { bytes, chunk_size: ChunkSize::from_exponent(bytes[7])? })
    }

    fn salt(&self) -> &[u8] {
        &self.bytes[8..]
    }
}

/// Reads until the buffer is full or the input ends; returns how much there was.
pub(crate) fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match input.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Cuts the input into pieces of one size and knows which piece is the last, by reading one byte ahead.
struct Pieces<R> {
    input: R,
    /// One piece, and the first byte of the next one.
    buffer: Zeroizing<Vec<u8>>,
    /// Whether that byte is there.
    ahead: bool,
}

impl<R: Read> Pieces<R> {
    fn new(input: R, size: usize) -> Self {
        Self { input, buffer: Zeroizing::new(vec![0; size + 1]), ahead: false }
    }

    /// The next piece, and whether it is the last one. Only the last one may be short, and only the first one empty.
    fn next(&mut self) -> io::Result<(&[u8], bool)> {
        let size = self.buffer.len() - 1;
        let mut len = usize::from(self.ahead);
        self.buffer[0] = self.buffer[size];
        len += read_full(&mut self.input, &mut self.buffer[len..])?;
        self.ahead = len > size;
        Ok((&self.buffer[..len.min(size)], !self.ahead))
    }
}

/// Erases what calls have left on the stack: the cipher works on copies of its keys, where they do not stay.
#[inline(never)]
fn erase_stack() {
    Zeroizing::new([1_u8; 1 << 14]).zeroize();
}

/// The keys of the segments of one file.
struct SegmentKeys<'a> {
    header: &'a Header,
    file_key: SecretKey,
}

impl<'a> SegmentKeys<'a> {
    /// Takes the user's key, of which nothing is left.
    fn new(user_key: SecretKey, header: &'a Header) -> Self {
        let file_key = user_key.derive(FILE_LABEL, header.salt());
        drop(user_key);
        erase_stack();
        Self { file_key, header }
    }

    fn of(&self, segment: u32) -> SecretKey {
        let mut context = [0; SALT_LEN + 4];
        context[..SALT_LEN].copy_from_slice(self.header.salt());
        context[SALT_LEN..].copy_from_slice(&segment.to_be_bytes());
        self.file_key.derive(SEGMENT_LABEL, &context)
    }

    /// The key to change to at a chunk, if a new segment starts there.
    fn change(&self, chunk: u64) -> Result<Option<SecretKey>, Error> {
        let segment = segment_of(chunk, self.header.chunk_size)?;
        let is_first = chunk % (1 << (SEGMENT_EXPONENT - self.header.chunk_size.exponent)) == 0;
        Ok((segment > 0 && is_first).then(|| self.of(segment)))
    }
}

/// Which segment a chunk is in. Fails at the end of the last possible segment.
pub(crate) fn segment_of(chunk: u64, chunk_size: ChunkSize) -> Result<u32, Error> {
    if chunk >= MAX_LEN >> chunk_size.exponent {
        return Err(Error::TooLong);
    }
    u32::try_from(chunk >> (SEGMENT_EXPONENT - chunk_size.exponent)).map_err(|_| Error::TooLong)
}

/// Seals all of `input`. The salt must be fresh and uniformly random: it keeps the nonces of files apart.
pub(crate) fn seal(
    key: SecretKey,
    salt: &[u8; SALT_LEN],
    chunk_size: ChunkSize,
    input: impl Read,
    mut output: impl Write,
) -> Result<(), Error> {
    let header = Header::new(chunk_size, salt);
    output.write_all(&header.bytes).map_err(Error::Write)?;
    let keys = SegmentKeys::new(key, &header);
    let mut sealer: ChunkSealer = ChunkSealer::new(keys.of(0).as_array());
    let mut pieces = Pieces::new(input, chunk_size.bytes());
    let mut sealed = vec![0; chunk_size.bytes() + TAG_LEN];
    loop {
        let (plaintext, last) = pieces.next().map_err(Error::Read)?;
        if let Some(key) = keys.change(sealer.position())? {
            sealer.change_key(key.as_array());
        }
        let sealed = &mut sealed[..plaintext.len() + TAG_LEN];
        let (text, tag) = sealed.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        let seal = if last { ChunkSealer::seal_last } else { ChunkSealer::seal_chunk };
        // A segment is far from any limit.
        tag.copy_from_slice(&seal(&mut sealer, &header.bytes, text.into()).map_err(|_| Error::TooLong)?);
        output.write_all(sealed).map_err(Error::Write)?;
        if last {
            return output.flush().map_err(Error::Write);
        }
    }
}

/// Opens what [`seal`] made. Only verified plaintext is written, chunk by chunk; until this has returned `Ok`, its end
/// may be missing.
pub(crate) fn open(key: SecretKey, mut input: impl Read, mut output: impl Write) -> Result<(), Error> {
    let header = Header::read(&mut input)?;
    let chunk_size = header.chunk_size;
    let keys = SegmentKeys::new(key, &header);
    let mut opener: ChunkOpener = ChunkOpener::new(keys.of(0).as_array());
    let mut pieces = Pieces::new(input, chunk_size.bytes() + TAG_LEN);
    let mut plaintext = Zeroizing::new(vec![0; chunk_size.bytes()]);
    loop {
        let (sealed, last) = pieces.next().map_err(Error::Read)?;
        let (ciphertext, tag) = sealed.split_last_chunk().ok_or(Error::Truncated)?;
        let text = &mut plaintext[..ciphertext.len()];
        let chunk = opener.position();
        if let Some(key) = keys.change(chunk)? {
            opener.change_key(key.as_array());
        }
        let mut verify = |last| {
            text.copy_from_slice(ciphertext);
            let open = if last { ChunkOpener::open_last } else { ChunkOpener::open_chunk };
            open(&mut opener, &header.bytes, (&mut *text).into(), tag.into()).is_ok()
        };
        let canonical = chunk == 0 || !ciphertext.is_empty();
        if !(canonical && verify(last)) {
            // A chunk that is genuine in the other role tells a misplaced end from a changed chunk.
            return Err(match (verify(!last), last) {
                (true, true) => Error::Truncated,
                (true, false) => Error::TrailingData,
                (false, _) => Error::Rejected { chunk, offset: chunk << chunk_size.exponent },
            });
        }
        output.write_all(text).map_err(Error::Write)?;
        if last {
            return output.flush().map_err(Error::Write);
        }
    }
}
