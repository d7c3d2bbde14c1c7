//! One test body for every backend: it must agree with the paper's reference for any number of blocks.

#[cfg(feature = "zeroize")]
#[allow(unreachable_pub, reason = "shared with the vector generator")]
mod erasure;
#[cfg(all(feature = "zeroize", twine_optimized, any(target_arch = "x86_64", target_arch = "aarch64")))]
#[allow(unreachable_pub, reason = "shared with the vector generator")]
mod stack;

use std::{vec, vec::Vec};

use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U8};

use crate::{Twine80, Twine128, backends::fixslice::RoundKeys, forced::Forced, reference};

type Block = Array<u8, U8>;

/// Bytes that look random, from the reference in counter mode.
fn bytes(label: u8, len: usize) -> Vec<u8> {
    let block = |i: usize| reference::encrypt(&[label; 16], (i as u64).to_be_bytes());
    (0..len.div_ceil(8)).flat_map(block).take(len).collect()
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    bytes.chunks_exact(8).map(|chunk| Array::try_from(chunk).unwrap()).collect()
}

/// Keys of both sizes.
fn keys() -> impl Iterator<Item = Vec<u8>> {
    [10, 16].into_iter().flat_map(|len| [bytes(0, len), bytes(1, len)])
}

/// Tests every number of blocks from none to more than three times the parallel width, in place at any address and from buffer to buffer.
fn agrees_with_the_reference<C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U8>>(
    cipher: &C,
    key: &[u8],
    width: usize,
) {
    let plaintext = blocks(&bytes(100, 8 * (3 * width + 1)));
    let ciphertext: Vec<Block> =
        plaintext.iter().map(|block| reference::encrypt(key, block.0).into()).collect();
    for (plaintext, ciphertext) in plaintext.iter().zip(&ciphertext) {
        let mut block = *plaintext;
        cipher.encrypt_block(&mut block);
        assert_eq!(block, *ciphertext);
        cipher.decrypt_block(&mut block);
        assert_eq!(block, *plaintext);
    }
    for count in 0..=plaintext.len() {
        let (plaintext, ciphertext) = (&plaintext[..count], &ciphertext[..count]);
        // At addresses of every alignment up to the longest vector's.
        let offset = count % 65;
        let mut bytes = vec![0; offset + 8 * count];
        bytes[offset..].copy_from_slice(Array::slice_as_flattened(plaintext));
        let (buffer, _) = Array::<u8, U8>::slice_as_chunks_mut(&mut bytes[offset..]);
        cipher.encrypt_blocks(buffer);
        assert_eq!(buffer, ciphertext, "encrypt {count} blocks in place");
        cipher.decrypt_blocks(buffer);
        assert_eq!(buffer, plaintext, "decrypt {count} blocks in place");

        let mut output = vec![Block::default(); count];
        cipher.encrypt_blocks_b2b(plaintext, &mut output).unwrap();
        assert_eq!(output, ciphertext, "encrypt {count} blocks");
        cipher.decrypt_blocks_b2b(ciphertext, &mut output).unwrap();
        assert_eq!(output, plaintext, "decrypt {count} blocks");
    }
}

#[test]
fn every_backend_of_this_machine() {
    for key in keys() {
        for (name, cipher) in Forced::every(&key) {
            std::println!("{name}");
            let width = match name {
                "soft32" => 4,
                "soft64" => 8,
                _ => 64,
            };
            agrees_with_the_reference(&cipher, &key, width);
        }
    }
}

#[test]
fn chosen_backend() {
    for key in keys() {
        match key.len() {
            10 => agrees_with_the_reference(&Twine80::new_from_slice(&key).unwrap(), &key, 8),
            _ => agrees_with_the_reference(&Twine128::new_from_slice(&key).unwrap(), &key, 8),
        }
    }
}

#[test]
fn another_key_takes_the_place_of_the_first() {
    fn is_replaced<C: BlockCipherEncrypt<BlockSize = U8> + KeyInit>(
        mut cipher: C,
        set: impl Fn(&mut C),
        key: &[u8],
    ) {
        set(&mut cipher);
        let mut block = Block::default();
        cipher.encrypt_block(&mut block);
        assert_eq!(block.0, reference::encrypt(key, [0; 8]));
    }

    let (short, long) = ([7; 10], [7; 16]);
    is_replaced(Twine80::new(&[1; 10].into()), |cipher| cipher.set_key(&short.into()), &short);
    is_replaced(Twine128::new(&[1; 16].into()), |cipher| cipher.set_key(&long.into()), &long);
}

/// The names of the backends are those of the documentation and of `--cfg twine_backend`.
#[test]
fn backend_has_its_name() {
    let names = [
        ("soft32", cfg!(twine_backend = "soft32")),
        ("soft64", cfg!(twine_backend = "soft64")),
        ("ssse3", cfg!(twine_backend = "ssse3")),
        ("avx2", cfg!(twine_backend = "avx2")),
        ("avx512", cfg!(twine_backend = "avx512")),
        ("neon", cfg!(twine_backend = "neon")),
        ("thumb", cfg!(twine_backend = "thumb")),
    ];
    let is_forced = names.iter().any(|(_, is_forced)| *is_forced);
    assert!(names.contains(&(crate::backend(), is_forced)), "{}", crate::backend());
}

/// A key takes as many bytes as the documentation says.
#[test]
fn bytes_a_key() {
    let is_compact = cfg!(twine_keys = "compact");
    assert_eq!(size_of::<RoundKeys<u32>>(), if is_compact { 144 } else { 576 });
    assert_eq!(size_of::<RoundKeys<u64>>(), if is_compact { 144 } else { 1152 });
    if cfg!(target_arch = "x86_64") {
        assert_eq!(size_of::<Twine128>(), 1528);
    } else if cfg!(target_arch = "x86") {
        assert_eq!(size_of::<Twine128>(), 1524);
    }
}

/// Few bytes of a key schedule are equal under two keys.
#[cfg(feature = "zeroize")]
#[test]
fn keys_are_erased() {
    use crate::{backends::fixslice::Word, schedule::Schedule};
    use erasure::is_erased_on_drop;

    fn soft<W: Word>(key: &[u8]) -> RoundKeys<W> {
        let mut keys = RoundKeys::ZERO;
        keys.expand(key, W::order);
        keys
    }

    for key_len in [10, 16] {
        is_erased_on_drop("the schedule", 4, 0, |seed| Schedule::new(&[seed; 16][..key_len]));
        let (least_32, least_64) = if cfg!(twine_keys = "compact") { (70, 70) } else { (300, 600) };
        is_erased_on_drop("soft32", least_32, 0, |seed| soft::<u32>(&[seed; 16][..key_len]));
        is_erased_on_drop("soft64", least_64, 0, |seed| soft::<u64>(&[seed; 16][..key_len]));
        #[cfg(twine_simd = "x86")]
        for level in crate::backends::x86::Level::available() {
            // Its number is one byte in eight.
            is_erased_on_drop(level.name(), 1000, 7, |seed| {
                let mut keys = crate::backends::x86::RoundKeys::zero(level);
                keys.expand(&[seed; 16][..key_len]);
                keys
            });
        }
        #[cfg(twine_simd = "neon")]
        is_erased_on_drop("neon", 1000, 0, |seed| {
            let mut keys = crate::backends::neon::RoundKeys::ZERO;
            keys.expand(&[seed; 16][..key_len]);
            keys
        });
    }
    #[cfg(twine_masked)]
    {
        let word = |seed| u32::from_ne_bytes([seed; 4]);
        is_erased_on_drop("masked blocks", 64, 0, |seed| crate::MaskedBlocks {
            shares: [[[word(seed); 2]; 4]; 2],
        });
        is_erased_on_drop("Twine80Masked", 300, 0, |seed| {
            crate::Twine80Masked::from_shares(&[[word(seed); 3]; 2])
        });
        is_erased_on_drop("Twine128Masked", 300, 0, |seed| {
            crate::Twine128Masked::from_shares(&[[word(seed); 4]; 2])
        });
    }
}

/// The backend that is chosen is among those that are tested.
#[test]
fn the_own_backend_is_tested() {
    assert!(Forced::every(&[0; 16]).any(|(name, _)| name == crate::backend()));
}

/// Round keys are made in place. After a key is set, and after blocks are processed, no 32 consecutive bytes of them are on the stack, nor is
/// the key. A compiler may have less than that on the stack while it computes, such as a vector or one round key. Without optimisation it has
/// everything there.
#[cfg(all(feature = "zeroize", twine_optimized, any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn no_keys_are_left_on_the_stack() {
    use stack::{bytes_of, copies, left_by};
    use std::boxed::Box;

    for (key, first) in keys().zip(keys().map(|key| bytes(9, key.len()))) {
        for (name, cipher) in Forced::every(&first) {
            let mut cipher = Box::new(cipher);
            let before = bytes_of(&*cipher);
            let left = left_by(|| cipher.set_key(&key));
            let after = bytes_of(&*cipher);
            // Memory that only another backend would use for its keys is not written. It holds whatever was on the stack before.
            let is_changed = |i: &usize| before[*i] != after[*i];
            let start = (0..after.len()).find(is_changed).unwrap();
            let end = (0..after.len()).rfind(is_changed).unwrap();
            let expanded = &after[start..=end];
            assert_eq!(copies(&left, expanded, 32), 0, "{name}: round keys, after the key is set");
            assert_eq!(copies(&left, &key, 8), 0, "{name}: the key, after it is set");
            for count in [1, 3, 4, 9, 64, 65] {
                let mut buffer = blocks(&bytes(100, 8 * count));
                let left = left_by(|| cipher.encrypt_blocks(&mut buffer));
                assert_eq!(copies(&left, expanded, 32), 0, "{name}: round keys, {count} blocks");
                let left = left_by(|| cipher.decrypt_blocks(&mut buffer));
                assert_eq!(copies(&left, expanded, 32), 0, "{name}: round keys, {count} blocks");
            }
        }
    }
    // The compiler may copy a returned value, so this is printed and not asserted.
    let (mut place, key) = (Box::new(Twine128::without_key()), bytes(1, 16));
    let left = left_by(|| *place = Twine128::new_from_slice(&key).unwrap());
    let expanded = bytes_of(&*place);
    std::println!(
        "after `new`: {} of {} bytes",
        copies(&left, &expanded, 32),
        copies(&expanded, &expanded, 32)
    );
}
