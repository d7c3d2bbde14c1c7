//! Known answers, with keys, plaintexts and unverified messages marked as secret.

use operations::{
    Leak,
    declassified::{BLOCKS, DECIDED, MEASURED, OPENED, REFUSED, SEALED},
};
use smart_city_detector::{AllowedValues, AttestKey, Detector, Region, Verdict, Verifier};
use test_vectors::{AdProcessing, AeadTest, Cipher, TRUNCATED_TAG, Validity};
use twine_cipher::{
    Twine80, Twine128,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser},
};
use twine_otr_aead::{
    AeadInOut, Combined, KeyInit, Otr, Parallel, PieceEncryptor, Serial, Tag,
    aead::inout::InOutBuf,
    consts::{U7, U8},
};

use crate::valgrind::{self, declassify, make_secret};

/// All vectors of TWINE and TWINE-OTR in its fixed sizes.
pub(crate) fn run() {
    assert!(valgrind::is_running(), "only valgrind can tell what depends on secrets");
    let mut count = 0;
    for (group, test) in test_vectors::twine().tests() {
        // Once alone, and so many times that every vector of every width is full, and one is left.
        for blocks in if test.tc_id % 16 == 1 { &[1, 2, 9, 17, 33, 65, 129][..] } else { &[1] } {
            match group.cipher {
                Cipher::Twine80 => cipher::<Twine80>(&test.key, &test.pt, &test.ct, *blocks),
                _ => cipher::<Twine128>(&test.key, &test.pt, &test.ct, *blocks),
            }
            count += 1;
        }
    }
    for file in [test_vectors::twine_otr(), test_vectors::twine_otr_long(), test_vectors::twine_otr_invalid()]
    {
        let tests = file.tests().filter(|(group, test)| {
            // A truncated tag is refused for its length, which is public.
            (group.iv_size, group.tag_size) == (56, 64)
                && !test.flags.iter().any(|flag| flag == TRUNCATED_TAG)
        });
        for (group, test) in tests {
            match (group.cipher, group.ad_processing) {
                (Cipher::Twine80, AdProcessing::Parallel) => aead::<Twine80, Parallel>(test),
                (Cipher::Twine80, AdProcessing::Serial) => aead::<Twine80, Serial>(test),
                (Cipher::Twine80, AdProcessing::Combined) => aead::<Twine80, Combined>(test),
                (_, AdProcessing::Parallel) => aead::<Twine128, Parallel>(test),
                (_, AdProcessing::Serial) => aead::<Twine128, Serial>(test),
                (_, AdProcessing::Combined) => aead::<Twine128, Combined>(test),
            }
            count += 1;
        }
    }
    println!("{count} known answers hold");
    for len in 0..=80 {
        detector(len);
    }
}

/// Examines code of so many bytes as it should be and altered, and verifies right evidence and wrong.
fn detector(len: u8) {
    const ID: u16 = 7;
    let key = AttestKey::from_bytes(secret(&[len; 16]).try_into().expect("16 bytes"));
    let code: Vec<u8> = (0..len).collect();
    let value = Verifier::new(&key).allowed_value(ID, &code);
    declassify(MEASURED, &value);
    let table = Region { id: ID, address: 0, len: len.into(), value }.to_bytes();
    let detector = Detector::new(&key, AllowedValues::new(&table).expect("one region"));
    for altered in [false, true] {
        let mut code = code.clone();
        if let (true, Some(byte)) = (altered, code.last_mut()) {
            *byte ^= 1;
        }
        let is_altered = altered && len > 0;
        let challenge = operations::challenge().expect("a short instruction");
        let evidence = detector.examine(operations::challenge().expect("the same"), ID, &code);
        let verdict = [evidence.verdict as u8];
        declassify(DECIDED, &verdict);
        let expected = if is_altered { Verdict::Altered } else { Verdict::Intact };
        assert_eq!(verdict, [expected as u8], "{len} bytes of code");
        for (code, is_right) in [(&code, true), (&vec![!len; usize::from(len) + 1], false)] {
            let decided = [u8::from(Verifier::new(&key).verify(&evidence, &challenge, ID, code))];
            declassify(DECIDED, &decided);
            assert_eq!(decided, [u8::from(is_right)], "evidence of {len} bytes of code");
        }
    }
}

/// A copy of `bytes`, marked as secret.
fn secret(bytes: &[u8]) -> Vec<u8> {
    let copy = bytes.to_vec();
    make_secret(&copy);
    copy
}

/// Encrypts and decrypts the same block so many times at once.
fn cipher<C>(key: &[u8], plaintext: &[u8], ciphertext: &[u8], count: usize)
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8> + KeyInit,
{
    let cipher = C::new_from_slice(&secret(key)).expect("the vector's key has the cipher's size");
    let mut blocks = secret(&plaintext.repeat(count));
    cipher.encrypt_blocks(Array::slice_as_chunks_mut(&mut blocks).0);
    declassify(BLOCKS, &blocks);
    assert_eq!(blocks, ciphertext.repeat(count));

    make_secret(&blocks);
    cipher.decrypt_blocks(Array::slice_as_chunks_mut(&mut blocks).0);
    declassify(BLOCKS, &blocks);
    assert_eq!(blocks, plaintext.repeat(count));
}

/// Seals, also in pieces, and opens, or refuses, in place and from buffer to buffer.
fn aead<B, A>(test: &AeadTest)
where
    B: BlockCipherEncrypt<BlockSize = U8> + KeyInit,
    A: twine_otr_aead::AdProcessing,
{
    let cipher = Otr::<B, U7, U8, A>::new_from_slice(&secret(&test.key)).expect("the cipher's size");
    let nonce = test.iv[..].try_into().expect("the vector's nonce has the mode's size");
    let is_valid = test.result == Validity::Valid;
    for in_place in [true, false] {
        if is_valid {
            let answer = (&test.ct[..], &test.tag[..]);
            let mut message = Message::new(&test.msg, in_place);
            let tag = cipher
                .encrypt_inout_detached(nonce, &test.aad, message.in_out())
                .expect("the message is not too long");
            declassify(SEALED, message.output());
            declassify(SEALED, &tag);
            assert_eq!((message.output(), &tag[..]), answer, "tcId {}", test.tc_id);

            let mut message = Message::new(&test.msg, in_place);
            let mut pieces = cipher.encrypt_pieces(nonce, &test.aad).expect("the data is not too long");
            // Half of the pairs of blocks, then the rest.
            let pair = PieceEncryptor::<B, U7, U8, A>::PAIR;
            let (half, rest) = message.in_out().split_at(test.msg.len() / pair / 2 * pair);
            pieces.update(half).expect("whole pairs");
            let tag = pieces.finalize(rest).expect("the end of the message");
            declassify(SEALED, message.output());
            declassify(SEALED, &tag);
            assert_eq!((message.output(), &tag[..]), answer, "tcId {} in pieces", test.tc_id);
        }
        let mut message = Message::new(&test.ct, in_place);
        let tag =
            Tag::<Otr<B, U7, U8, A>>::try_from(&test.tag[..]).expect("the vector's tag has the mode's size");
        make_secret(&tag);
        let result = cipher.decrypt_inout_detached(nonce, &test.aad, message.in_out(), &tag);
        assert_eq!(result.is_ok(), is_valid, "tcId {}", test.tc_id);
        if is_valid {
            declassify(OPENED, message.output());
            assert_eq!(message.output(), test.msg, "tcId {}", test.tc_id);
        } else {
            declassify(REFUSED, message.output());
            assert!(message.output().iter().all(|byte| *byte == 0), "tcId {}", test.tc_id);
        }
    }
}

/// A secret message, and where it becomes another.
struct Message {
    input: Vec<u8>,
    /// Nothing if it happens in place.
    output: Option<Vec<u8>>,
}

impl Message {
    fn new(input: &[u8], in_place: bool) -> Self {
        Self { input: secret(input), output: (!in_place).then(|| vec![0; input.len()]) }
    }

    fn in_out(&mut self) -> InOutBuf<'_, '_, u8> {
        match &mut self.output {
            Some(output) => InOutBuf::new(&self.input, output).expect("both are as long"),
            None => self.input.as_mut_slice().into(),
        }
    }

    fn output(&self) -> &[u8] {
        self.output.as_ref().unwrap_or(&self.input)
    }
}

/// A deliberate leak of secret bytes.
pub(crate) fn leak(leak: Leak) {
    assert!(valgrind::is_running(), "only valgrind can tell what depends on secrets");
    let bytes = [7; 16];
    make_secret(&bytes);
    leak.leak(&bytes);
}
