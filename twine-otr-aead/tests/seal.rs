//! The example `seal`: its file format as a library, then the program itself on real files.
//!
//! The test builds the program itself, as `cargo test --tests` and `cargo test --test seal` do not build examples.

#[cfg(unix)]
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../examples/seal/cleanup.rs"]
mod cleanup;
#[path = "../examples/seal/format.rs"]
mod format;
#[cfg(unix)]
#[allow(dead_code, reason = "the program uses more of it")]
#[path = "../examples/seal/output.rs"]
mod output;
#[path = "../examples/seal/progress.rs"]
mod progress;

/// The format once more: straight from its description, bytes in, bytes out, without streams and the crate `cmac`.
mod reference {
    use twine_cipher::cipher::BlockCipherEncrypt;
    use twine_otr_aead::{AeadInOut, KeyInit, Twine128, Twine128Otr};

    pub(crate) fn cmac(key: &[u8; 16], message: &[u8]) -> [u8; 8] {
        let cipher = Twine128::new(key.into());
        let encrypt = |block: u64| {
            let mut block = block.to_be_bytes().into();
            cipher.encrypt_block(&mut block);
            u64::from_be_bytes(block.into())
        };
        let double = |x: u64| x << 1 ^ if x >> 63 == 1 { 0x1b } else { 0 };
        let full = !message.is_empty() && message.len() % 8 == 0;
        let mut padded = message.to_vec();
        if !full {
            padded.push(0x80);
            padded.resize(padded.len().next_multiple_of(8), 0);
        }
        let subkey = if full { double(encrypt(0)) } else { double(double(encrypt(0))) };
        let count = padded.len() / 8;
        let mut state = 0;
        for (i, block) in padded.chunks(8).enumerate() {
            state ^= u64::from_be_bytes(block.try_into().unwrap());
            state = encrypt(if i + 1 == count { state ^ subkey } else { state });
        }
        state.to_be_bytes()
    }

    pub(crate) fn kdf(key: &[u8; 16], label: &str, context: &[u8]) -> [u8; 16] {
        let input = |n: u8| [&[0, 0, 0, n], label.as_bytes(), &[0], context, &[0, 0, 0, 128]].concat();
        [cmac(key, &input(1)), cmac(key, &input(2))].concat().try_into().unwrap()
    }

    pub(crate) fn header(exponent: u8, salt: &[u8; 16]) -> Vec<u8> {
        [b"\x89TWOTR\x01", &[exponent][..], salt].concat()
    }

    /// The segment key of a file.
    pub(crate) fn segment_key(key: &[u8; 16], salt: &[u8], segment: u32) -> [u8; 16] {
        let context = [salt, &(1_u32 << 16).to_be_bytes()].concat();
        let stream_key = kdf(key, "TWINE-OTR stream v1", &context);
        kdf(&stream_key, "TWINE-OTR segment v1", &segment.to_be_bytes())
    }

    pub(crate) fn chunk(
        key: &[u8; 16],
        header: &[u8],
        segment: u32,
        i: u64,
        last: bool,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let key = segment_key(key, &header[8..], segment);
        let nonce: [u8; 7] = [&i.to_be_bytes()[2..], &[u8::from(last)]].concat().try_into().unwrap();
        let mut text = plaintext.to_vec();
        let tag = <Twine128Otr>::new((&key).into())
            .encrypt_inout_detached((&nonce).into(), &header[..8], text.as_mut_slice().into())
            .unwrap();
        text.extend(tag);
        text
    }

    pub(crate) fn seal(key: &[u8; 16], salt: &[u8; 16], exponent: u8, plaintext: &[u8]) -> Vec<u8> {
        let header = header(exponent, salt);
        let mut sealed = header.clone();
        let size = 1 << exponent;
        let count = plaintext.len().div_ceil(size).max(1);
        let (mut segment, mut blocks) = (0, 0);
        for i in 0..count {
            let text = &plaintext[i * size..plaintext.len().min((i + 1) * size)];
            // Nonce, header and text.
            let more = 2 + text.len().div_ceil(8).max(1);
            blocks += more;
            if blocks > 1 << 16 {
                (segment, blocks) = (segment + 1, more);
            }
            sealed.extend(chunk(key, &header, segment, i as u64, i + 1 == count, text));
        }
        sealed
    }
}

const KEY: [u8; 16] = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
const KEY_HEX: &str = "00112233445566778899aabbccddeeff";
const SALT: [u8; 16] = *b"\xf0\xe1\xd2\xc3\xb4\xa5\x96\x87\x78\x69\x5a\x4b\x3c\x2d\x1e\x0f";
/// The full chunks of a segment, of 64 KiB each.
const SEGMENT: usize = 7 << 16;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes without a pattern that could hide a misplaced chunk.
fn plaintext(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

mod library {
    use super::{
        KEY, KEY_HEX, SALT, SEGMENT,
        format::{self, ChunkSize, Error, HEADER_LEN, MAX_LEN, SecretKey, TAG_LEN},
        hex, plaintext,
        progress::Progress,
        reference,
    };
    use std::io::{self, Cursor, Read, Write};
    use twine_otr_aead::StreamHeader;

    /// The smallest chunks there are.
    const EXPONENT: u8 = 10;
    const CHUNK: usize = 1 << EXPONENT;
    const SEALED_CHUNK: usize = CHUNK + TAG_LEN;

    fn key() -> SecretKey {
        SecretKey::from_hex(KEY_HEX.as_bytes()).unwrap()
    }

    fn stream(salt: [u8; 16]) -> StreamHeader {
        let (sender, number) = salt.split_at(8);
        StreamHeader::counted(sender.try_into().unwrap(), u64::from_be_bytes(number.try_into().unwrap()))
    }

    fn size(exponent: u8) -> ChunkSize {
        ChunkSize::from_exponent(exponent).unwrap()
    }

    fn seal(plaintext: &[u8], exponent: u8) -> Vec<u8> {
        let mut sealed = Vec::new();
        format::seal(key(), stream(SALT), size(exponent), plaintext, &mut sealed).unwrap();
        sealed
    }

    /// What was written, and how it ended.
    fn open(sealed: &[u8]) -> (Vec<u8>, Result<(), Error>) {
        let mut opened = Vec::new();
        let result = format::open(key(), sealed, &mut opened);
        (opened, result)
    }

    /// The error with which opening ends. Whatever was written must be the whole chunks before the first bad one.
    fn refusal(sealed: &[u8], plaintext: &[u8], good_chunks: usize) -> Error {
        let (opened, result) = open(sealed);
        let error = result.expect_err("this must not open");
        assert_eq!(opened.len(), good_chunks * CHUNK, "{error}");
        assert_eq!(opened, plaintext[..opened.len()]);
        error
    }

    #[test]
    fn streams_give_the_described_bytes() {
        let lengths = [0, 1, 7, 8, 9, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 100];
        for (exponent, lengths) in [
            (10, &lengths[..]),
            (12, &[4096, 4097]),
            (16, &[65535, 65536, SEGMENT, SEGMENT + 1, SEGMENT + 65536]),
            (10, &[504 * CHUNK, 504 * CHUNK + 100, 504 * CHUNK + 200, 505 * CHUNK]),
        ] {
            for &len in lengths {
                let text = plaintext(len);
                let sealed = seal(&text, exponent);
                assert!(sealed == reference::seal(&KEY, &SALT, exponent, &text), "2^{exponent}, {len}");
                assert_eq!(sealed.len(), HEADER_LEN + len + TAG_LEN * len.div_ceil(1 << exponent).max(1));
                let (opened, result) = open(&sealed);
                result.unwrap();
                assert!(opened == text, "2^{exponent}, {len}");
            }
        }
    }

    /// From a program in another language that shares nothing with this one, written after the descriptions of the
    /// format, of streams, OTR and TWINE.
    #[test]
    fn known_answers() {
        for (segment, expected) in [
            (0, "9132b7e9dee415e2bc1acdc33707b93a"),
            (1, "0192bc7034ed807401af3469be784f0a"),
            ((1 << 20) - 1, "cf1105a3193d929512b3cf90d9c775eb"),
        ] {
            assert_eq!(hex(&reference::segment_key(&KEY, &SALT, segment)), expected);
        }
        let header = "8954574f54520110f0e1d2c3b4a5968778695a4b3c2d1e0f";
        let mut empty = Vec::new();
        format::seal(key(), stream(SALT), ChunkSize::DEFAULT, io::empty(), &mut empty).unwrap();
        assert_eq!(hex(&empty), format!("{header}3d30a65345e1cb1a"));
        assert_eq!(hex(&seal(b"TWINE-OTR", 16)), format!("{header}e5b99e21ff7c25411143d95b305a351952"));
        // Three chunks: the first tag, the last chunk, and a MAC of everything.
        let three = seal(&plaintext(2 * CHUNK + 9), EXPONENT);
        assert_eq!(hex(&three[HEADER_LEN + CHUNK..][..TAG_LEN]), "8fd17a33088c6d71");
        assert_eq!(hex(&three[three.len() - 17..]), "27fdf6d6b31591e9f94bb21fbf1a413ea9");
        assert_eq!(hex(&reference::cmac(&KEY, &three)), "4c3e794102b2ee02");
        // Nine bytes in the third segment.
        let text = [&[0; 15 << 16], &b"TWINE-OTR"[..]].concat();
        let sealed = seal(&text, 16);
        assert_eq!(hex(&sealed[sealed.len() - 17..]), "f09c06e02888efb5d726233cb3ccc353ed");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let text = plaintext(2 * CHUNK + 50);
        let sealed = seal(&text, EXPONENT);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1 << (position % 8);
            let bad = position.saturating_sub(HEADER_LEN) / SEALED_CHUNK;
            match (position, refusal(&changed, &text, bad)) {
                (0..6, Error::NotSealed) | (6, Error::Version(_)) => {}
                (7, Error::ChunkExponent(_)) => {}
                (8.., Error::Rejected { chunk, offset }) => {
                    assert_eq!((chunk, offset), (bad as u64, (bad * CHUNK) as u64));
                }
                (_, error) => panic!("byte {position}: {error}"),
            }
        }
    }

    #[test]
    fn every_header_bit_is_found() {
        let text = plaintext(100);
        let sealed = seal(&text, EXPONENT);
        for bit in 0..8 * HEADER_LEN {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let error = refusal(&changed, &text, 0);
            let described = match bit / 8 {
                0..6 => matches!(error, Error::NotSealed),
                6 => matches!(error, Error::Version(_)),
                // Another size that exists makes the header genuine-looking; the tag still covers it.
                7 => matches!(error, Error::ChunkExponent(_) | Error::Rejected { chunk: 0, .. }),
                _ => matches!(error, Error::Rejected { chunk: 0, .. }),
            };
            assert!(described, "bit {bit}: {error}");
        }
        // All other exponents, too, with the data the way that exponent would cut them: here one chunk.
        for exponent in 0..=u8::MAX {
            let mut changed = sealed.clone();
            changed[7] = exponent;
            match open(&changed).1 {
                Ok(()) => assert_eq!(exponent, EXPONENT),
                Err(Error::Rejected { chunk: 0, .. }) => assert!((11..=16).contains(&exponent)),
                Err(Error::ChunkExponent(shown)) => {
                    assert!(shown == exponent && !(10..=16).contains(&exponent));
                }
                Err(error) => panic!("{exponent}: {error}"),
            }
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let text = plaintext(2 * CHUNK + 50);
        let sealed = seal(&text, EXPONENT);
        for len in 0..sealed.len() {
            let body = len.saturating_sub(HEADER_LEN);
            let (whole, rest) = (body / SEALED_CHUNK, body % SEALED_CHUNK);
            // At the end of a whole chunk that chunk is taken for the last one, which it is not.
            let good = if rest == 0 { whole.saturating_sub(1) } else { whole };
            match refusal(&sealed[..len], &text, good) {
                Error::TruncatedHeader => assert!(len < HEADER_LEN, "{len}"),
                Error::Truncated => assert!(len >= HEADER_LEN && rest < TAG_LEN, "{len}"),
                Error::Rejected { chunk, .. } => assert!(rest >= TAG_LEN && chunk == whole as u64, "{len}"),
                error => panic!("{len} bytes: {error}"),
            }
        }
    }

    #[test]
    fn every_extension_is_found() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let text = plaintext(len);
            let sealed = seal(&text, EXPONENT);
            let last = len.div_ceil(CHUNK).max(1) - 1;
            for more in [1, TAG_LEN, TAG_LEN + 1, CHUNK, SEALED_CHUNK, 3 * SEALED_CHUNK] {
                let extended = [&sealed, &plaintext(more)[..]].concat();
                match refusal(&extended, &text, last) {
                    // Only the end of a full chunk can be seen.
                    Error::TrailingData => assert!(len > 0 && len % CHUNK == 0),
                    Error::Rejected { chunk, .. } => {
                        assert!((len == 0 || len % CHUNK != 0) && chunk == last as u64);
                    }
                    error => panic!("{len} + {more}: {error}"),
                }
            }
        }
    }

    #[test]
    fn misplaced_chunks_are_found() {
        let text = plaintext(4 * CHUNK);
        let sealed = seal(&text, EXPONENT);
        let mut other = Vec::new();
        format::seal(key(), stream([7; 16]), size(EXPONENT), &text[..], &mut other).unwrap();
        let parts = |order: &[(&[u8], usize)]| {
            let mut bytes = sealed[..HEADER_LEN].to_vec();
            for (from, i) in order {
                bytes.extend(&from[HEADER_LEN + i * SEALED_CHUNK..][..SEALED_CHUNK]);
            }
            bytes
        };
        let (own, other) = (&sealed[..], &other[..]);
        assert_eq!(parts(&[(own, 0), (own, 1), (own, 2), (own, 3)]), sealed);
        for (what, order, bad) in [
            ("swapped", [(own, 1), (own, 0), (own, 2), (own, 3)], 0),
            ("swapped", [(own, 0), (own, 2), (own, 1), (own, 3)], 1),
            ("last moved", [(own, 0), (own, 1), (own, 3), (own, 2)], 2),
            ("repeated", [(own, 0), (own, 1), (own, 1), (own, 3)], 2),
            ("of another file", [(own, 0), (other, 1), (own, 2), (own, 3)], 1),
            ("last of another file", [(own, 0), (own, 1), (own, 2), (other, 3)], 3),
        ] {
            let error = refusal(&parts(&order), &text, bad);
            assert!(matches!(error, Error::Rejected { chunk, .. } if chunk == bad as u64), "{what}: {error}");
        }
        for (what, order, bad) in [
            ("first dropped", &[(own, 1), (own, 2), (own, 3)][..], 0),
            ("inner dropped", &[(own, 0), (own, 2), (own, 3)], 1),
            ("inserted", &[(own, 0), (own, 0), (own, 1), (own, 2), (own, 3)], 1),
            ("last alone", &[(own, 3)], 0),
        ] {
            let error = refusal(&parts(order), &text, bad);
            assert!(matches!(error, Error::Rejected { chunk, .. } if chunk == bad as u64), "{what}: {error}");
        }
        let error = refusal(&parts(&[(own, 0), (own, 1), (own, 2)]), &text, 2);
        assert!(matches!(error, Error::Truncated), "{error}");
        let twice = [(own, 0), (own, 1), (own, 2), (own, 3), (own, 3)];
        let error = refusal(&parts(&twice), &text, 3);
        assert!(matches!(error, Error::TrailingData), "{error}");
    }

    /// An implementation that never changed the key would pass every test on short files.
    #[test]
    fn segments_have_keys_of_their_own() {
        const LARGE: usize = 1 << 16;
        let text = plaintext(SEGMENT + LARGE);
        let header = reference::header(16, &SALT);
        let sealed = seal(&text, 16);
        let eighth = &sealed[HEADER_LEN + 7 * (LARGE + TAG_LEN)..];
        assert!(eighth == reference::chunk(&KEY, &header, 1, 7, true, &text[SEGMENT..]));
        assert_ne!(
            reference::segment_key(&KEY, &header[8..], 0),
            reference::segment_key(&KEY, &header[8..], 1)
        );

        // The same chunk number and flag under the first segment's key.
        let start = HEADER_LEN + 7 * (LARGE + TAG_LEN);
        let stale =
            [&sealed[..start], &reference::chunk(&KEY, &header, 0, 7, true, &text[SEGMENT..])].concat();
        let (opened, result) = open(&stale);
        assert_eq!(opened.len(), SEGMENT);
        assert!(matches!(result, Err(Error::Rejected { chunk: 7, .. })));

        // Segments swapped as a whole.
        let swapped = [&sealed[..HEADER_LEN], eighth, &sealed[HEADER_LEN..start]].concat();
        let (opened, result) = open(&swapped);
        assert!(opened.is_empty());
        assert!(matches!(result, Err(Error::Rejected { chunk: 0, .. })));
    }

    /// A holder of the key could end a file in an empty chunk. There would then be two sealed forms of one plaintext.
    #[test]
    fn only_the_canonical_end_opens() {
        let text = plaintext(CHUNK);
        let header = reference::header(EXPONENT, &SALT);
        let first = reference::chunk(&KEY, &header, 0, 0, false, &text);
        let empty = reference::chunk(&KEY, &header, 0, 1, true, &[]);
        let error = refusal(&[&header[..], &first, &empty].concat(), &text, 1);
        assert!(matches!(error, Error::Rejected { chunk: 1, .. }), "{error}");
        // What is not the last chunk and yet not full could not be found in a stream; as an end it is no end.
        let short = reference::chunk(&KEY, &header, 0, 1, false, &text[..5]);
        let error = refusal(&[&header[..], &first, &short].concat(), &text, 1);
        assert!(matches!(error, Error::Truncated), "{error}");
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = seal(b"text", EXPONENT);
        for bit in 0..128 {
            let mut wrong = KEY;
            wrong[bit / 8] ^= 1 << (bit % 8);
            let wrong = SecretKey::from_hex(hex(&wrong).as_bytes()).unwrap();
            let mut opened = Vec::new();
            let error = format::open(wrong, &sealed[..], &mut opened).unwrap_err();
            assert!(matches!(error, Error::Rejected { chunk: 0, .. }), "{error}");
            assert!(error.to_string().starts_with("wrong key, or"), "{error}");
            assert!(opened.is_empty());
        }
    }

    #[test]
    fn a_file_ends_at_448_gib() {
        assert_eq!(MAX_LEN, 448 << 30);
        for exponent in 10..=16 {
            let chunks = MAX_LEN >> exponent;
            for within in [0, 1, chunks - 1] {
                format::allow(within, size(exponent)).unwrap();
            }
            for beyond in [chunks, chunks + 1, u64::MAX] {
                assert!(matches!(format::allow(beyond, size(exponent)), Err(Error::TooLong)));
            }
        }
    }

    #[test]
    fn keys_are_read_strictly() {
        let digits = "00112233445566778899AABBCCDDEEFF";
        for text in [digits.into(), digits.to_lowercase(), format!("{digits}\n"), format!("{digits}\r\n")] {
            let key = SecretKey::from_hex(text.as_bytes()).unwrap();
            assert_eq!(key.to_hex_line().as_slice(), format!("{KEY_HEX}\n").as_bytes());
            assert!(text.len() <= SecretKey::HEX_LINE_LEN);
        }
        let short = &digits[1..];
        for text in [
            "",
            "\n",
            short,
            &format!("{digits}0"),
            &format!(" {digits}"),
            &format!("{digits} "),
            &format!("{digits}\n\n"),
            &format!("{short}g"),
            &format!("{short}/"),
            &format!("{short}:"),
            &format!("{short}@"),
            &format!("{short}\u{e9}"),
            &format!("0x{}", &digits[2..]),
        ] {
            let error = SecretKey::from_hex(text.as_bytes()).expect_err(text);
            assert_eq!(error.to_string(), "a key is 128 bits, written as exactly 32 hexadecimal digits");
        }
    }

    #[test]
    fn keys_do_not_show() {
        assert_eq!(format!("{:?}", key()), "SecretKey(..)");
    }

    /// Gives one byte, then says that it was interrupted, over and over.
    struct Hesitant<R>(R, bool);

    impl<R: Read> Read for Hesitant<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(&mut buffer[..1]) }
        }
    }

    #[test]
    fn short_reads_change_nothing() {
        let text = plaintext(2 * CHUNK);
        let mut sealed = Vec::new();
        let input = Hesitant(&text[..], false);
        format::seal(key(), stream(SALT), size(EXPONENT), input, &mut sealed).unwrap();
        assert_eq!(sealed, seal(&text, EXPONENT));
        let mut opened = Vec::new();
        format::open(key(), Hesitant(&sealed[..], false), &mut opened).unwrap();
        assert_eq!(opened, text);
    }

    /// Fails when its bytes are used up.
    struct Failing<T>(T, usize);

    impl<T> Failing<T> {
        fn take(&mut self, wanted: usize) -> io::Result<usize> {
            let count = wanted.min(self.1);
            self.1 -= count;
            if count == 0 { Err(io::Error::other("broken disk")) } else { Ok(count) }
        }
    }

    impl<T: Read> Read for Failing<T> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.take(buffer.len())?;
            self.0.read(&mut buffer[..count])
        }
    }

    impl<T: Write> Write for Failing<T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.take(bytes.len())?;
            self.0.write(&bytes[..count])
        }

        fn flush(&mut self) -> io::Result<()> {
            if self.1 == 0 { Err(io::Error::other("broken disk")) } else { Ok(()) }
        }
    }

    #[test]
    fn input_and_output_errors_are_told_apart() {
        let text = plaintext(2 * CHUNK);
        let sealed = seal(&text, EXPONENT);
        let seal = |input: &mut dyn Read, output: &mut dyn Write| {
            format::seal(key(), stream(SALT), size(EXPONENT), input, output)
        };
        let open = |input: &mut dyn Read, output: &mut dyn Write| format::open(key(), input, output);
        for (result, readable) in [
            (seal(&mut Failing(&text[..], 0), &mut io::sink()), "cannot read: broken disk"),
            (seal(&mut Failing(&text[..], text.len()), &mut io::sink()), "cannot read: broken disk"),
            (open(&mut Failing(&sealed[..], 3), &mut io::sink()), "cannot read: broken disk"),
            (open(&mut Failing(&sealed[..], sealed.len()), &mut io::sink()), "cannot read: broken disk"),
            (seal(&mut &text[..], &mut Failing(io::sink(), 0)), "cannot write: broken disk"),
            (seal(&mut &text[..], &mut Failing(io::sink(), 24)), "cannot write: broken disk"),
            // The last error there can be is that of flushing.
            (seal(&mut &text[..], &mut Failing(io::sink(), sealed.len())), "cannot write: broken disk"),
            (open(&mut &sealed[..], &mut Failing(io::sink(), CHUNK)), "cannot write: broken disk"),
            (open(&mut &sealed[..], &mut Failing(io::sink(), text.len())), "cannot write: broken disk"),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.to_string(), readable);
            assert!(std::error::Error::source(&error).is_some());
        }
    }

    #[test]
    fn progress_is_shown_for_long_input_only() {
        let shown = |len: u64, total| {
            let mut screen = Vec::new();
            let mut progress = Progress::new(io::repeat(1).take(len), total, Some(&mut screen));
            assert_eq!(io::copy(&mut progress, &mut io::sink()).unwrap(), len);
            drop(progress);
            String::from_utf8(screen).unwrap()
        };
        const MIB: u64 = 1 << 20;
        for total in [None, Some(0), Some(MIB), Some(64 * MIB - 1)] {
            assert_eq!(shown(MIB, total), "", "{total:?}");
        }
        assert_eq!(shown(64 * MIB - 1, None), "");
        let unknown = shown(64 * MIB, None);
        assert!(unknown.contains("\r64 MiB, ") && unknown.contains(" MiB/s"), "{unknown:?}");
        let known = shown(MIB, Some(64 * MIB));
        assert!(known.starts_with("\r0 of 64 MiB, 0%, "), "{known:?}");
        // The line is gone in the end.
        assert!(unknown.ends_with("\r\x1b[K") && known.ends_with("\r\x1b[K"));
        let mut silent = Progress::new(Cursor::new([0; 4]), Some(1 << 40), None::<Vec<u8>>);
        assert_eq!(io::copy(&mut silent, &mut io::sink()).unwrap(), 4);
    }
}

#[cfg(unix)]
#[path = "seal/exits.rs"]
mod exits;

mod program {
    use super::{KEY_HEX, SEGMENT, plaintext};
    use std::{
        collections::BTreeMap,
        env, fs,
        io::Write,
        path::{Path, PathBuf},
        process::{Command, Output, Stdio},
        sync::LazyLock,
        thread,
    };
    use tempfile::TempDir;

    const CHUNK: usize = 1 << 16;
    const HEADER: usize = 24;
    const TAG: usize = 8;

    /// The example, built once with the features, the profile and the target of this test.
    pub(crate) fn program() -> &'static Path {
        static PROGRAM: LazyLock<PathBuf> = LazyLock::new(build);
        &PROGRAM
    }

    fn build() -> PathBuf {
        // TARGET DIRECTORY/[TARGET/]PROFILE/deps/TEST
        let test = env::current_exe().unwrap();
        let artifacts = test.parent().and_then(Path::parent).unwrap();
        let profile = artifacts.file_name().and_then(|name| name.to_str()).unwrap();
        let above = artifacts.parent().unwrap();
        // Cargo marks a target directory.
        let is_marked = |dir: &Path| dir.join("CACHEDIR.TAG").exists();
        let target_dir = if is_marked(above) { above } else { above.parent().unwrap() };
        let features = [
            ("alloc", cfg!(feature = "alloc")),
            ("arrayvec", cfg!(feature = "arrayvec")),
            ("bytes", cfg!(feature = "bytes")),
            ("getrandom", cfg!(feature = "getrandom")),
            ("rand_core", cfg!(feature = "rand_core")),
            ("zeroize", cfg!(feature = "zeroize")),
        ];
        let features: Vec<&str> =
            features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
        cargo
            .args(["build", "--quiet", "--example=seal", "--no-default-features", "--features"])
            .arg(features.join(","))
            .args(["--profile", if profile == "debug" { "dev" } else { profile }, "--target-dir"])
            .arg(target_dir)
            // Where cargo finds the same configuration.
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if above != target_dir {
            cargo.arg("--target").arg(above.file_name().unwrap());
        }
        let output = cargo.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{cargo:?} failed:\n{errors}");
        artifacts.join("examples").join(format!("seal{}", env::consts::EXE_SUFFIX))
    }

    /// A directory with a key file, `key`, where the program runs.
    pub(crate) struct Room(TempDir);

    impl Room {
        pub(crate) fn new() -> Self {
            let room = Self(TempDir::new().unwrap());
            room.write_key("key", KEY_HEX);
            room
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
            fs::write(self.path(name), contents).unwrap();
        }

        /// Writes a file that is for its owner only.
        fn write_key(&self, name: &str, contents: impl AsRef<[u8]>) {
            self.write(name, contents);
            #[cfg(unix)]
            set_mode(&self.path(name), 0o600);
        }

        pub(crate) fn read(&self, name: &str) -> Vec<u8> {
            fs::read(self.path(name)).unwrap()
        }

        /// Every name in the directory with what is in it.
        fn contents(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
            let entries = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| (path.clone(), path.is_file().then(|| fs::read(path).unwrap()))).collect()
        }

        /// Every name in the directory, sorted.
        #[cfg(unix)]
        pub(crate) fn names(&self) -> Vec<String> {
            self.contents().keys().map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect()
        }

        pub(crate) fn command(&self, arguments: &[&str]) -> Command {
            let mut command = Command::new(program());
            command
                .args(arguments)
                .current_dir(self.0.path())
                .env_remove("TWINE_OTR_KEY")
                .stdin(Stdio::null());
            command
        }

        /// Runs with something on standard input.
        fn feed(&self, arguments: &[&str], input: &[u8]) -> Output {
            let mut command = self.command(arguments);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            thread::scope(|scope| {
                // A program that refuses may not read all of it.
                scope.spawn(move || drop(stdin.write_all(input)));
                child.wait_with_output().unwrap()
            })
        }

        /// Runs and expects silence; returns standard output.
        pub(crate) fn works(&self, arguments: &[&str]) -> Vec<u8> {
            succeeded(self.command(arguments).output().unwrap())
        }

        /// Runs and expects a complaint that contains `message`, and not a trace of an output.
        pub(crate) fn refuses(&self, arguments: &[&str], message: &str) {
            self.fails(&mut self.command(arguments), 1, message);
        }

        fn misused(&self, arguments: &[&str], message: &str) {
            self.fails(&mut self.command(arguments), 2, message);
        }

        pub(crate) fn fails(&self, command: &mut Command, status: i32, message: &str) {
            let before = self.contents();
            let output = command.output().unwrap();
            failed(&output, status, message);
            assert_eq!(output.stdout, b"", "{command:?}");
            assert!(self.contents() == before, "{command:?} left something behind");
        }
    }

    pub(crate) fn succeeded(output: Output) -> Vec<u8> {
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", output.status);
        output.stdout
    }

    pub(crate) fn failed(output: &Output, status: i32, message: &str) {
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{complaint}");
        assert!(
            complaint.starts_with("seal: ") && complaint.contains(message),
            "not {message:?}: {complaint}"
        );
        assert!(!complaint.contains(KEY_HEX), "{complaint}");
    }

    fn sealed_len(len: usize) -> usize {
        HEADER + len + TAG * len.div_ceil(CHUNK).max(1)
    }

    #[test]
    fn files_come_back() {
        let room = Room::new();
        let around = |len: usize| [len - 1, len, len + 1];
        let lengths =
            [0, 1, 7, 8].into_iter().chain(around(CHUNK)).chain(around(SEGMENT)).chain([2 * SEGMENT + 9]);
        for len in lengths {
            let text = plaintext(len);
            room.write("plain", &text);
            assert_eq!(room.works(&["seal", "-k", "key", "-o", "sealed", "plain"]), b"");
            assert_eq!(room.read("sealed").len(), sealed_len(len));
            assert_eq!(room.works(&["open", "-k", "key", "-o", "opened", "sealed"]), b"");
            assert!(room.read("opened") == text, "{len}");
            for name in ["plain", "sealed", "opened"] {
                fs::remove_file(room.path(name)).unwrap();
            }
            assert_eq!(room.contents().len(), 1, "only the key is left");
        }
    }

    #[test]
    fn pipes_come_back() {
        let room = Room::new();
        for len in [0, 1, CHUNK, 3 * CHUNK + 1] {
            let text = plaintext(len);
            let sealed = succeeded(room.feed(&["seal", "-k", "key"], &text));
            assert_eq!(sealed.len(), sealed_len(len));
            assert!(succeeded(room.feed(&["open", "-k", "key", "-o", "-", "-"], &sealed)) == text, "{len}");
        }
        assert_eq!(room.contents().len(), 1, "only the key is there");
    }

    #[test]
    fn two_sealings_differ() {
        let room = Room::new();
        room.write("plain", plaintext(64));
        let [one, other] = [(); 2].map(|()| room.works(&["seal", "-k", "key", "plain"]));
        assert_eq!(one[..8], other[..8]);
        assert_ne!(one[8..24], other[8..24]);
        for (a, b) in one[24..].chunks(8).zip(other[24..].chunks(8)) {
            assert_ne!(a, b);
        }
    }

    #[test]
    fn keys_come_from_files_and_variables() {
        let room = Room::new();
        room.write("plain", "text");
        room.works(&["seal", "-k", "key", "-o", "sealed", "plain"]);
        room.write_key("line", format!("{KEY_HEX}\n"));
        room.write_key("crlf", format!("{}\r\n", KEY_HEX.to_uppercase()));
        for key in [["-k", "line"], ["--key-file", "crlf"]] {
            assert_eq!(room.works(&["open", key[0], key[1], "sealed"]), b"text");
        }
        let with = |variable, value, arguments| {
            let output = room.command(arguments).env(variable, value).output().unwrap();
            (output.status.success(), output.stdout)
        };
        let wrong = "f".repeat(32);
        assert_eq!(with("TWINE_OTR_KEY", KEY_HEX, &["open", "sealed"]), (true, b"text".to_vec()));
        assert_eq!(
            with("OTHER", KEY_HEX, &["open", "--key-env", "OTHER", "sealed"]),
            (true, b"text".to_vec())
        );
        assert_eq!(with("TWINE_OTR_KEY", &wrong, &["open", "-k", "key", "sealed"]), (true, b"text".to_vec()));
        assert_eq!(with("TWINE_OTR_KEY", &wrong, &["open", "sealed"]), (false, vec![]));
    }

    #[test]
    fn bad_keys_are_refused() {
        let room = Room::new();
        room.write("plain", "text");
        let strict = "exactly 32 hexadecimal digits";
        for (name, contents) in [
            ("empty", String::new()),
            ("short", KEY_HEX[1..].into()),
            ("long", format!("{KEY_HEX}0")),
            ("longer", KEY_HEX.repeat(1000)),
            ("lines", format!("{KEY_HEX}\n\n")),
            ("text", format!("{KEY_HEX}\r\nx")),
            ("letters", KEY_HEX.replace('f', "g")),
        ] {
            room.write(name, contents);
            room.refuses(
                &["seal", "-k", name, "-o", "sealed", "plain"],
                &format!("key file '{name}': a key is"),
            );
            room.refuses(&["seal", "-k", name, "plain"], strict);
        }
        room.refuses(
            &["seal", "-k", "missing", "-o", "sealed", "plain"],
            "cannot read the key file 'missing'",
        );
        room.refuses(&["seal", "-k", ".", "-o", "sealed", "plain"], "cannot read the key file '.'");
        room.misused(&["seal", "-o", "sealed", "plain"], "set the environment variable TWINE_OTR_KEY");
        room.misused(&["seal", "--key-env", "OTHER", "plain"], "set the environment variable OTHER");
        let mut command = room.command(&["seal", "--key-env", "OTHER", "plain"]);
        room.fails(command.env("OTHER", &KEY_HEX[2..]), 1, "environment variable OTHER: a key is");
    }

    #[test]
    fn key_files_are_new_and_private() {
        let room = Room::new();
        room.works(&["keygen", "-o", "one"]);
        let one = room.read("one");
        let other = room.works(&["keygen"]);
        for key in [&one, &other] {
            assert!(key.len() == 33 && key[..32].iter().all(u8::is_ascii_hexdigit) && key[32] == b'\n');
        }
        assert_ne!(one, other);
        assert_private(&room.path("one"));
        room.write("plain", "text");
        room.works(&["seal", "-k", "one", "-o", "sealed", "plain"]);
        assert_eq!(room.works(&["open", "-k", "one", "sealed"]), b"text");

        room.refuses(&["keygen", "-o", "one"], "cannot create 'one'");
        room.misused(&["keygen", "-o", "one", "--force"], "keygen takes nothing but -o");
        room.misused(&["keygen", "two"], "keygen takes nothing but -o");
        room.refuses(&["keygen", "-o", "nowhere/key"], "cannot create 'nowhere/key'");
    }

    #[cfg(unix)]
    pub(crate) fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(unix)]
    fn assert_private(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }

    #[cfg(not(unix))]
    fn assert_private(_: &Path) {}

    #[test]
    fn outputs_are_private() {
        let room = Room::new();
        room.write("plain", "text");
        room.works(&["seal", "-k", "key", "-o", "sealed", "plain"]);
        room.works(&["open", "-k", "key", "-o", "opened", "sealed"]);
        assert_private(&room.path("sealed"));
        assert_private(&room.path("opened"));
    }

    /// Puts changed data before the program as a file with a new output, as a file with an old output that is to be
    /// replaced, and as standard input. What was written to standard output must be `good` chunks of the plaintext.
    fn rejected(room: &Room, what: &str, text: &[u8], changed: &[u8], good: usize, message: &str) {
        room.write("changed", changed);
        room.write("old", "old");
        room.refuses(&["open", "-k", "key", "-o", "new", "changed"], message);
        room.refuses(&["open", "-k", "key", "-o", "old", "--force", "changed"], message);
        let output = room.feed(&["open", "-k", "key"], changed);
        failed(&output, 1, message);
        assert!(output.stdout == text[..good * CHUNK], "{what}: {} bytes came out", output.stdout.len());
    }

    #[test]
    fn changed_files_are_refused() {
        let room = Room::new();
        let text = plaintext(2 * CHUNK + 100);
        let sealed = succeeded(room.feed(&["seal", "-k", "key"], &text));
        let other = succeeded(room.feed(&["seal", "-k", "key"], &text));
        let chunk = |i: usize| {
            let start = HEADER + i * (CHUNK + TAG);
            start..sealed.len().min(start + CHUNK + TAG)
        };
        let from = |file: &[u8], order: &[usize]| {
            let chunks = order.iter().flat_map(|&i| &file[chunk(i)]);
            sealed[..HEADER].iter().chain(chunks).copied().collect::<Vec<_>>()
        };
        let no_file = "this is not a sealed file";
        let first = "wrong key, or the data was changed";
        let later = "the data was changed, cut or extended: chunk";

        for position in 0..HEADER {
            let mut changed = sealed.clone();
            changed[position] ^= 0x20;
            let message = match position {
                0..6 => no_file,
                6 => "sealed in version 33 of the format; only version 1 is known",
                7 => "damaged header",
                _ => first,
            };
            rejected(&room, "header", &text, &changed, 0, message);
        }
        for i in 0..3 {
            let message = if i == 0 { first } else { later };
            for position in [chunk(i).start, chunk(i).end - TAG - 1, chunk(i).end - TAG, chunk(i).end - 1] {
                let mut changed = sealed.clone();
                changed[position] ^= 1;
                rejected(&room, "bit", &text, &changed, i, message);
            }
        }
        for (len, good, message) in [
            (0, 0, "truncated: the input ends inside the header"),
            (5, 0, "truncated: the input ends inside the header"),
            (HEADER - 1, 0, "truncated: the input ends inside the header"),
            (HEADER, 0, "truncated: the end"),
            (HEADER + TAG - 1, 0, "truncated: the end"),
            (HEADER + TAG, 0, first),
            (chunk(0).end - 1, 0, first),
            (chunk(0).end, 0, "truncated: the end"),
            (chunk(0).end + 1, 1, "truncated: the end"),
            (chunk(0).end + TAG, 1, later),
            (chunk(1).end - 1, 1, later),
            (chunk(1).end, 1, "truncated: the end"),
            (chunk(1).end + 1, 2, "truncated: the end"),
            (sealed.len() - 1, 2, later),
        ] {
            rejected(&room, "truncated", &text, &sealed[..len], good, message);
        }
        for (what, changed, good, message) in [
            ("swapped", from(&sealed, &[1, 0, 2]), 0, first),
            ("dropped", from(&sealed, &[0, 2]), 1, later),
            ("repeated", from(&sealed, &[0, 1, 1, 2]), 2, later),
            ("last twice", from(&sealed, &[0, 1, 2, 2]), 2, later),
            ("of another file", from(&other, &[0, 1, 2]), 0, first),
            ("extended", [&sealed[..], b"x"].concat(), 2, later),
            ("joined", [&sealed[..], &other].concat(), 2, later),
            ("not sealed", text.clone(), 0, no_file),
        ] {
            rejected(&room, what, &text, &changed, good, message);
        }
        let full = succeeded(room.feed(&["seal", "-k", "key"], &text[..CHUNK]));
        rejected(
            &room,
            "extended",
            &text,
            &[&full[..], b"x"].concat(),
            0,
            "extended: there is data after the end",
        );

        room.write_key("key", "0".repeat(32));
        rejected(&room, "wrong key", &text, &sealed, 0, first);
    }

    #[test]
    fn existing_outputs_are_kept() {
        let room = Room::new();
        room.write("plain", "text");
        room.write("old", "old");
        room.refuses(&["seal", "-k", "key", "-o", "old", "plain"], "cannot create 'old': it exists");
        room.works(&["seal", "-k", "key", "-o", "old", "-f", "plain"]);
        room.write("opened", "something longer than what will replace it");
        room.refuses(&["open", "-k", "key", "-o", "opened", "old"], "cannot create 'opened': it exists");
        room.works(&["open", "-k", "key", "-o", "opened", "--force", "old"]);
        assert_eq!(room.read("opened"), b"text");
    }

    #[test]
    fn inputs_and_keys_are_not_replaced() {
        let room = Room::new();
        room.write("plain", "text");
        fs::create_dir(room.path("sub")).unwrap();
        let precious = "it is the input or the key file";
        for output in ["plain", "./plain", "sub/../plain"] {
            room.refuses(&["seal", "-k", "key", "-o", output, "--force", "plain"], precious);
            room.refuses(&["seal", "-k", "key", "-o", output, "plain"], precious);
        }
        room.refuses(&["seal", "-k", "key", "-o", "key", "--force", "plain"], precious);
        room.refuses(&["seal", "-k", "key", "-o", "sub", "--force", "plain"], "it is not a regular file");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_replaced() {
        let room = Room::new();
        room.write("plain", "text");
        room.write("other", "other");
        std::os::unix::fs::symlink("other", room.path("link")).unwrap();
        std::os::unix::fs::symlink("missing", room.path("dangling")).unwrap();
        for link in ["link", "dangling"] {
            room.refuses(&["seal", "-k", "key", "-o", link, "--force", "plain"], "it is not a regular file");
        }
    }

    #[test]
    fn missing_files_are_named() {
        let room = Room::new();
        room.refuses(&["seal", "-k", "key", "-o", "sealed", "missing"], "cannot open 'missing'");
        room.write("plain", "text");
        let nowhere = format!("nowhere{}sealed", std::path::MAIN_SEPARATOR);
        room.refuses(&["seal", "-k", "key", "-o", &nowhere, "plain"], &format!("cannot create '{nowhere}'"));
    }

    /// Its standard output takes nothing, so that it cannot do much if it does not notice at once.
    #[cfg(unix)]
    #[test]
    fn too_long_files_are_refused_at_once() {
        let room = Room::new();
        let sparse = fs::File::create(room.path("sparse")).unwrap();
        sparse.set_len((448 << 30) + 1).unwrap();
        let mut command = room.command(&["seal", "-k", "key", "sparse"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        failed(&output, 1, "sparse: too long: a sealed file holds at most 448 GiB");
        sparse.set_len(448 << 30).unwrap();
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        failed(&child.wait_with_output().unwrap(), 1, "standard output: cannot write");
    }

    #[test]
    fn usage_is_explained() {
        let room = Room::new();
        room.write("plain", "text");
        for (arguments, message) in [
            (&[][..], "the first word must be seal, open or keygen"),
            (&["close"], "the first word must be seal, open or keygen"),
            (&["seal", "-k", "key", "plain", "more"], "unexpected argument \"more\""),
            (&["seal", "-x"], "invalid option '-x'"),
            (&["seal", "--key", KEY_HEX], "invalid option '--key'"),
            (&["seal", "-k"], "missing argument"),
            (&["seal", "-k", "key", "-k", "key", "plain"], "one key, please"),
            (&["seal", "-k", "key", "--key-env", "KEY", "plain"], "one key, please"),
            (&["seal", "-k", "key", "-o", "a", "--output", "b", "plain"], "--output is given twice"),
            (&["seal", "-k", "key", "-f", "--force", "plain"], "--force is given twice"),
            (&["seal", "-k", "key", "-qq", "plain"], "--quiet is given twice"),
            (&["keygen", "-o", "a", "-o", "b"], "--output is given twice"),
            (&["seal", "--force=yes", "plain"], "unexpected argument for option '--force'"),
        ] {
            room.misused(arguments, message);
            room.misused(arguments, "Try 'seal --help'.");
        }
        let help = String::from_utf8(room.works(&["--help"])).unwrap();
        for word in ["seal seal", "seal open", "seal keygen", "--key-env", "--force", "Exit status"] {
            assert!(help.contains(word), "{word}");
        }
        let version = String::from_utf8(room.works(&["seal", "--version"])).unwrap();
        assert_eq!(version, concat!("seal ", env!("CARGO_PKG_VERSION"), ", format 1\n"));
    }
}
