//! The file format of the example `seal`: what was sealed opens to the same, whatever was changed is refused, and only
//! genuine plaintext is ever written, from its beginning.

use std::io::{self, Read};

use arbitrary::Arbitrary;
use format::{ChunkSize, HEADER_LEN, MAGIC, SecretKey, TAG_LEN, VERSION};
use twine_otr_aead::StreamHeader;

#[path = "../../twine-otr-aead/examples/seal/format.rs"]
#[allow(dead_code, missing_docs, reason = "part of a program")]
mod format;

/// A file to seal and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Input<'a> {
    /// The user's key.
    pub key: [u8; 16],
    /// The file's stream header, in its two parts.
    pub stream: ([u8; 8], u64),
    /// Modulo 3, plus 10: the chunk exponent.
    pub exponent: u8,
    /// The length of the plaintext.
    pub len: u16,
    /// How many bytes a read gives at most, less one.
    pub read_len: u8,
    /// What is changed in the sealed file, one after the other.
    pub changes: [Change; 3],
    /// Repeated as often as the plaintext needs them; by themselves, what somebody presents as a sealed file, and a line
    /// of a key file.
    pub bytes: &'a [u8],
}

/// A change to a sealed file.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Change {
    /// Modulo 9: none, or see [`Change::apply`].
    pub kind: u8,
    /// Where.
    pub at: u32,
    /// With what.
    pub value: u8,
}

impl Change {
    fn apply(self, chunk_len: usize, file: &mut Vec<u8>) {
        let at = self.at as usize % (file.len() + 1);
        let chunks = file.len().saturating_sub(HEADER_LEN) / chunk_len;
        // The start of a whole chunk, if there is one.
        let chunk = |i: usize| i.checked_rem(chunks).map(|i| HEADER_LEN + i * chunk_len);
        match self.kind % 9 {
            1 if at < file.len() => file[at] ^= self.value,
            2 => file.truncate(at),
            3 => file.insert(at, self.value),
            4 if at < file.len() => drop(file.remove(at)),
            5 => file.extend(vec![self.value; at]),
            // A chunk is repeated, or two change places.
            6 => drop(chunk(at).map(|start| file.extend_from_within(start..start + chunk_len))),
            // The file ends before a chunk.
            8 => chunk(at).into_iter().for_each(|start| file.truncate(start)),
            7 => {
                if let (Some(first), Some(second)) = (chunk(at), chunk(self.value.into())) {
                    (0..chunk_len).for_each(|i| file.swap(first + i, second + i));
                }
            }
            _ => {}
        }
    }
}

/// Gives a few bytes at a time.
struct InPieces<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl Read for InPieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.len.min(buffer.len());
        self.bytes.read(&mut buffer[..len])
    }
}

impl Input<'_> {
    /// Panics if something opens that was not sealed, or does not that was.
    pub fn check(&self) {
        let exponent = 10 + self.exponent % 3;
        let chunk_size = ChunkSize::from_exponent(exponent).expect("10 to 12");
        let plaintext: Vec<u8> = self.bytes.iter().copied().cycle().take(self.len.into()).collect();

        let mut sealed = Vec::new();
        let stream = StreamHeader::counted(self.stream.0, self.stream.1);
        format::seal(self.key(), stream, chunk_size, self.in_pieces(&plaintext), &mut sealed)
            .expect("nothing fails to be read or written");
        let chunks = plaintext.len().div_ceil(1 << exponent).max(1);
        assert_eq!(
            sealed.len(),
            HEADER_LEN + plaintext.len() + TAG_LEN * chunks,
            "the length of a sealed file"
        );

        let mut changed = sealed.clone();
        for change in self.changes {
            change.apply((1 << exponent) + TAG_LEN, &mut changed);
        }
        let mut opened = Vec::new();
        let result = format::open(self.key(), self.in_pieces(&changed), &mut opened);
        if changed == sealed {
            result.expect("nothing was changed");
            assert_eq!(opened, plaintext);
        } else {
            let error = result.expect_err("something was changed");
            assert!(!error.to_string().is_empty());
            assert!(plaintext.starts_with(&opened), "something was written that was not sealed");
        }

        self.refuses(self.bytes);
        let header = [&MAGIC[..], &[VERSION], self.bytes].concat();
        self.refuses(&header);
        if let Ok(key) = SecretKey::from_hex(self.bytes) {
            let line = key.to_hex_line();
            let given = self.bytes.get(..32).map(<[u8]>::to_ascii_lowercase);
            assert_eq!(line.strip_suffix(b"\n"), given.as_deref(), "a key is written as it was read");
        }
    }

    fn key(&self) -> SecretKey {
        SecretKey::try_from_fn(|key| {
            key.copy_from_slice(&self.key);
            Ok::<_, io::Error>(())
        })
        .expect("nothing fails")
    }

    fn in_pieces<'a>(&self, bytes: &'a [u8]) -> InPieces<'a> {
        InPieces { bytes, len: usize::from(self.read_len) + 1 }
    }

    /// Opens what nobody sealed.
    fn refuses(&self, file: &[u8]) {
        let mut opened = Vec::new();
        format::open(self.key(), self.in_pieces(file), &mut opened).expect_err("nobody sealed this");
        assert!(opened.is_empty());
    }
}
