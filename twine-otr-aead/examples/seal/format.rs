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
//! |      7 |     1 | chunk exponent e, 10 to 16: a chunk holds 2^e bytes (`seal` writes 16, so 64 KiB)  |
//! |      8 |    16 | stream header, uniformly random for every file                                    |
//!
//! Chunk i = 0, 1, ... is the ciphertext of the plaintext bytes i * 2^e to (i + 1) * 2^e - 1, as long as they are,
//! followed by its 8-byte tag. Every chunk but the last is full. The last one is shorter or full, and it is empty only
//! if the whole file is: a key, a stream header and an exponent give each plaintext exactly one sealed form. A sealed file
//! is thus 24 + length + 8 * max(1, ceil(length / 2^e)) bytes long. It holds at most 448 GiB.
//!
//! # Chunks
//!
//! The chunks are a stream of TWINE-128-OTR (parallel associated data), as [`ChunkSealer`] seals it under the user key with the
//! stream header, with its default limit of 2^16 blocks for a segment, and with
//!
//! ```text
//! associated data = the first 8 bytes of the file
//! ```
//!
//! for every chunk. The documentation of [`ChunkSealer`] says which key and nonce a chunk has. As a full chunk counts 2^(e-3) + 2
//! blocks, a segment has 7 of them at 64 KiB a chunk.
//!
//! - *Nonces never repeat under a key.* Another file has another stream header and so other keys; within a file no two chunks
//!   have the same i.
//! - *Position.* i is in the nonce, and the segment in the key: a chunk that was moved, dropped, repeated or taken from another
//!   file does not verify.
//! - *End of file.* Only the last chunk is sealed as one. A file cut after a whole chunk ends in one that does not say so; a
//!   file with something appended has one that says so too early. Both are refused.
//! - *Header.* Every chunk authenticates all of it: 8 bytes as associated data, the others by its key.
//!
//! # Limits
//!
//! TWINE has blocks of 64 bits, so that much data under one key is what must be avoided.
//!
//! - *Data.* The advantage over an ideal AEAD is that of the segments, at most 2^-29.4 each. It adds up over them, whether in one
//!   file or in many under the same user key: 2^-18.2 for 1 GiB, 2^-12.2 for 64 GiB, 2^-9.4 for 448 GiB. A file ends
//!   there, where a stream of 64 KiB chunks does.
//! - *Forgery.* Each chunk presented to be opened is accepted with probability 2^-64 besides.
//! - *User key.* **Seal at most 2^20 files under one user key**, and use it for nothing else: that is what `Kdf` of the library
//!   allows for, with an advantage of 2^-14.8 besides. The tool keeps no count.
//! - *Stream headers.* Among 2^20 files two are equal with probability 2^-89.
//!
//! # What it does not do
//!
//! The length of the plaintext shows. Nothing says which of several files sealed under one key is the newest or which
//! name it had. OTR does not commit to its key: whoever knows two user keys may make a file that opens under both.

use std::{
    error, fmt,
    io::{self, Read, Write},
};

use twine_otr_aead::{ChunkOpener, ChunkSealer, Key, StreamHeader, Twine128};
use zeroize::{Zeroize, Zeroizing};

/// First bytes of a sealed file. The first is not ASCII, so that no text file starts like this.
pub(crate) const MAGIC: [u8; 6] = *b"\x89TWOTR";
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER_LEN: usize = PREFIX_LEN + StreamHeader::LEN;
pub(crate) const TAG_LEN: usize = 8;
/// The longest plaintext: 7 chunks of 2^16 bytes in each of the 2^20 segments of a stream.
pub(crate) const MAX_LEN: u64 = 7 << 36;

/// What comes before the stream header.
const PREFIX_LEN: usize = 8;

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
            Self::TooLong => f.write_str("too long: a sealed file holds at most 448 GiB"),
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
}

/// How much plaintext a chunk holds: a power of two from 1 KiB to 64 KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkSize {
    exponent: u8,
}

impl ChunkSize {
    /// 64 KiB.
    pub(crate) const DEFAULT: Self = Self { exponent: 16 };

    pub(crate) fn from_exponent(exponent: u8) -> Result<Self, Error> {
        // The upper end bounds the memory that a header, not yet authenticated, can ask for.
        if (10..=16).contains(&exponent) {
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
    prefix: [u8; PREFIX_LEN],
    stream: [u8; StreamHeader::LEN],
    chunk_size: ChunkSize,
}

impl Header {
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
        let chunk_size = ChunkSize::from_exponent(bytes[7])?;
        let mut header = Self { prefix: [0; PREFIX_LEN], stream: [0; StreamHeader::LEN], chunk_size };
        header.prefix.copy_from_slice(&bytes[..PREFIX_LEN]);
        header.stream.copy_from_slice(&bytes[PREFIX_LEN..]);
        Ok(header)
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

/// Erases what calls have left on the stack: the cipher works on copies of its keys.
#[inline(never)]
fn erase_stack() {
    Zeroizing::new([1_u8; 1 << 14]).zeroize();
}

/// Begins to seal or to open under the user's key, of which nothing is left then.
fn begin<T>(key: SecretKey, new: impl FnOnce(&Key<Twine128>) -> T) -> T {
    let stream = new((&**key.0).into());
    drop(key);
    erase_stack();
    stream
}

/// Whether a chunk may be in a file.
pub(crate) fn allow(chunk: u64, chunk_size: ChunkSize) -> Result<(), Error> {
    if chunk < MAX_LEN >> chunk_size.exponent { Ok(()) } else { Err(Error::TooLong) }
}

/// Seals all of `input`. The stream header must be fresh and uniformly random: it keeps the nonces of files apart.
///
/// Nothing is written before the first chunk was read.
pub(crate) fn seal(
    key: SecretKey,
    stream: StreamHeader,
    chunk_size: ChunkSize,
    input: impl Read,
    mut output: impl Write,
) -> Result<(), Error> {
    let mut prefix = [0; PREFIX_LEN];
    prefix[..6].copy_from_slice(&MAGIC);
    prefix[6..].copy_from_slice(&[VERSION, chunk_size.exponent]);
    let mut sealer: ChunkSealer = begin(key, |key| ChunkSealer::new(key, stream));
    let mut pieces = Pieces::new(input, chunk_size.bytes());
    let mut sealed = vec![0; chunk_size.bytes() + TAG_LEN];
    loop {
        let (plaintext, last) = pieces.next().map_err(Error::Read)?;
        let chunk = sealer.position();
        allow(chunk, chunk_size)?;
        if chunk == 0 {
            output.write_all(&[&prefix[..], sealer.header()].concat()).map_err(Error::Write)?;
        }
        let sealed = &mut sealed[..plaintext.len() + TAG_LEN];
        let (text, tag) = sealed.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        let seal = if last { ChunkSealer::seal_last } else { ChunkSealer::seal_chunk };
        tag.copy_from_slice(&seal(&mut sealer, &prefix, text.into()).map_err(|_| Error::TooLong)?);
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
    let mut opener: ChunkOpener = begin(key, |key| ChunkOpener::new(key, &header.stream));
    let mut pieces = Pieces::new(input, chunk_size.bytes() + TAG_LEN);
    let mut plaintext = Zeroizing::new(vec![0; chunk_size.bytes()]);
    loop {
        let (sealed, last) = pieces.next().map_err(Error::Read)?;
        let (ciphertext, tag) = sealed.split_last_chunk().ok_or(Error::Truncated)?;
        let text = &mut plaintext[..ciphertext.len()];
        let chunk = opener.position();
        allow(chunk, chunk_size)?;
        let mut verify = |last| {
            text.copy_from_slice(ciphertext);
            let open = if last { ChunkOpener::open_last } else { ChunkOpener::open_chunk };
            open(&mut opener, &header.prefix, (&mut *text).into(), tag.into()).is_ok()
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
