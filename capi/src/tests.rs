//! What the functions return and leave, so far as Rust can tell. All else is tested in C.

use core::{array, hint::black_box, mem::MaybeUninit, ptr};

use twine_otr_aead::{AeadInOut, Combined, KeyInit, Serial, Twine80Otr, Twine128Otr};

use crate::{
    stack, twine_otr_count_blocks, twine80, twine80_combined, twine80_serial, twine128, twine128_combined,
    twine128_serial,
};

const NONCE: [u8; 7] = [7; 7];
const AD: &[u8] = b"a header of three blocks";
const TEXT: [u8; 21] = *b"twenty-one bytes long";

macro_rules! seals_and_opens {
    ($name:ident, $otr:ty, $functions:ident, $key_len:literal) => {
        #[test]
        fn $name() {
            let key = array::from_fn::<u8, $key_len, _>(|i| b"a key of 16 bytes"[i]);
            let mut expected = TEXT;
            let expected_tag = <$otr>::new(&key.into())
                .encrypt_inout_detached(&NONCE.into(), AD, expected.as_mut_slice().into())
                .unwrap();
            let (mut text, mut tag) = (TEXT, [0; 8]);
            let mut ctx = MaybeUninit::<$functions::otr_ctx>::zeroed();
            let ctx = ctx.as_mut_ptr();
            let (ad, len) = (AD.as_ptr(), TEXT.len());
            // SAFETY: every pointer is to what its name says, and as long.
            unsafe {
                assert_eq!(
                    $functions::otr_seal(
                        ctx,
                        NONCE.as_ptr(),
                        ad,
                        AD.len(),
                        text.as_mut_ptr(),
                        len,
                        tag.as_mut_ptr()
                    ),
                    -2
                );
                assert_eq!($functions::otr_init(ctx, ptr::null()), -1);
                assert_eq!($functions::otr_init(ctx, key.as_ptr()), 0);
                assert_eq!(
                    $functions::otr_seal(
                        ctx,
                        ptr::null(),
                        ad,
                        AD.len(),
                        text.as_mut_ptr(),
                        len,
                        tag.as_mut_ptr()
                    ),
                    -1
                );
                assert_eq!((text, tag), (TEXT, [0; 8]));
                assert_eq!(
                    $functions::otr_seal(
                        ctx,
                        NONCE.as_ptr(),
                        ad,
                        AD.len(),
                        text.as_mut_ptr(),
                        len,
                        tag.as_mut_ptr()
                    ),
                    0
                );
                assert_eq!((text, tag), (expected, expected_tag.into()));
                assert_eq!(
                    $functions::otr_open(
                        ctx,
                        NONCE.as_ptr(),
                        ad,
                        AD.len(),
                        text.as_mut_ptr(),
                        len,
                        tag.as_ptr()
                    ),
                    0
                );
                assert_eq!(text, TEXT);
                text = expected;
                tag[0] ^= 1;
                assert_eq!(
                    $functions::otr_open(
                        ctx,
                        NONCE.as_ptr(),
                        ad,
                        AD.len(),
                        text.as_mut_ptr(),
                        len,
                        tag.as_ptr()
                    ),
                    -3
                );
                assert_eq!(text, [0; TEXT.len()]);
            }
        }
    };
}

seals_and_opens!(keys_of_80_bits, Twine80Otr, twine80, 10);
seals_and_opens!(keys_of_128_bits, Twine128Otr, twine128, 16);
seals_and_opens!(serial_with_keys_of_80_bits, Twine80Otr<Serial>, twine80_serial, 10);
seals_and_opens!(serial_with_keys_of_128_bits, Twine128Otr<Serial>, twine128_serial, 16);
seals_and_opens!(combined_with_keys_of_80_bits, Twine80Otr<Combined>, twine80_combined, 10);
seals_and_opens!(combined_with_keys_of_128_bits, Twine128Otr<Combined>, twine128_combined, 16);

#[test]
fn blocks_are_counted() {
    assert_eq!([(0, 0), (8, 8), (9, 16)].map(|(ad, len)| twine_otr_count_blocks(ad, len)), [3, 3, 5]);
}

/// A call fills much of the stack, and nothing of that is left. The tests in C look at what the calls of the interface leave.
#[test]
fn the_stack_is_erased() {
    const MARK: u8 = 0x5A;
    const DEPTH: usize = 4096;
    #[inline(never)]
    fn fill() {
        black_box([black_box(MARK); DEPTH / 2]);
    }
    for leaving_nothing in [
        || {
            stack::leaving_nothing(|| {
                fill();
                Err(crate::status::Failure::Context)
            })
        },
        || {
            stack::leaving_nothing_of_message(|| {
                fill();
                Err(crate::status::Failure::Context)
            })
        },
    ] {
        assert_eq!(leaving_nothing(), -2);
        let here = 0u8;
        let top = ptr::from_ref(black_box(&here));
        // SAFETY: the stack of a test reaches further down, where nothing is in use but the frame of what reads it.
        let left = (0..DEPTH).filter(|i| unsafe { top.wrapping_sub(*i).read_volatile() } == MARK).count();
        assert!(left < 64, "{left} bytes");
    }
}
