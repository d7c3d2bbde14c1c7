//! What the functions return and leave, so far as Rust can tell. All else is tested in C.

use core::{array, hint::black_box, mem::MaybeUninit, ptr};

use twine_otr_aead::{AeadInOut, Combined, KeyInit, Serial, Twine80Otr, Twine128Otr};

use crate::{
    context::Context, stack, twine_otr_count_blocks, twine80, twine80_combined, twine80_serial, twine128,
    twine128_combined, twine128_serial,
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
    macro_rules! each {
        ($($leaving_nothing:ident)*) => {
            [$(|| stack::$leaving_nothing(|| {
                fill();
                Err(crate::status::Failure::Context)
            })),*]
        };
    }
    for leaving_nothing in each! {
        leaving_nothing leaving_nothing_of_message leaving_nothing_of_combined leaving_nothing_of_counted_init
        leaving_nothing_of_counted leaving_nothing_of_stream_init leaving_nothing_of_stream
    } {
        assert_eq!(leaving_nothing(), -2);
        let here = 0u8;
        let top = ptr::from_ref(black_box(&here));
        // SAFETY: the stack of a test reaches further down, where nothing is in use but the frame of what reads it.
        let left = (0..DEPTH).filter(|i| unsafe { top.wrapping_sub(*i).read_volatile() } == MARK).count();
        assert!(left < 64, "{left} bytes");
    }
}

/// Marks are FNV-1a hashes: these of its authors' test vectors.
#[test]
fn marks_are_hashes() {
    let marks = ["", "a", "foobar"].map(crate::context::mark);
    assert_eq!(marks, [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]);
}

#[test]
fn a_context_in_use_is_not_one_that_is_ready() {
    assert_ne!(<twine128::otr_ctx as Context>::IN_USE, <twine128::otr_ctx as Context>::MARK);
}

/// What the header has as numbers.
#[test]
fn constants_are_those_of_the_interface() {
    use crate::status::*;
    let errors = [
        TWINE_OTR_ERR_ARGUMENT,
        TWINE_OTR_ERR_CONTEXT,
        TWINE_OTR_ERR_AUTHENTICATION,
        TWINE_OTR_ERR_LIMIT,
        TWINE_OTR_ERR_NOT_RESERVED,
        TWINE_OTR_ERR_REPLAYED,
        TWINE_OTR_ERR_TOO_OLD,
        TWINE_OTR_ERR_OTHER_FIXED_PART,
        TWINE_OTR_ERR_FAILURES,
        TWINE_OTR_ERR_FINISHED,
        TWINE_OTR_ERR_PIECE,
        TWINE_OTR_ERR_STATE_DAMAGED,
        TWINE_OTR_ERR_STATE_OTHER,
        TWINE_OTR_ERR_STATE_KEY,
        TWINE_OTR_ERR_STATE_LIMIT,
        TWINE_OTR_ERR_INCOMPLETE,
    ];
    assert!(errors.into_iter().eq((1..=16).map(|number| -number)));
    let words = [
        size_of::<twine128::sealer>(),
        size_of::<twine128::opener>(),
        size_of::<twine128::chunk_sealer>(),
        size_of::<twine128::chunk_opener>(),
    ]
    .map(|size| (size - size_of::<twine128::otr_ctx>()) / 8);
    assert_eq!(words, [5, 11, 9, 10]);
}

/// The window of C's opener is narrower than that of Rust's, and looks at whole counters.
#[test]
fn the_window_is_as_wide_as_it_was_said() {
    const WINDOW: u32 = 8;
    const FIXED: [u8; 4] = *b"up 7";
    let key = [7; 16];
    let aead: Twine128Otr = Twine128Otr::new(&key.into());
    let mut ctx = MaybeUninit::<twine128::opener>::zeroed();
    let ctx = ctx.as_mut_ptr();
    // SAFETY: both pointers are to what their names say.
    let init = unsafe { twine128::opener_init(ctx, key.as_ptr(), FIXED.as_ptr(), 1 << 20, 1 << 20, WINDOW) };
    assert_eq!(init, 0);
    for (counter, status) in
        [(0_u32, 0), (300, 0), (292, 0), (291, -7), (301, 0), (70_000, 0), (69_992, 0), (69_991, -7)]
    {
        let [_, counter @ ..] = counter.to_be_bytes();
        let nonce = array::from_fn(|i| if i < 4 { FIXED[i] } else { counter[i - 4] });
        let mut text = TEXT;
        let tag = aead.encrypt_inout_detached(&nonce.into(), AD, text.as_mut_slice().into()).unwrap();
        // SAFETY: every pointer is to what its name says, and as long.
        let opened = unsafe {
            let (nonce, ad, tag) = (nonce.as_ptr(), AD.as_ptr(), tag.as_ptr());
            twine128::opener_open(ctx, nonce, ad, AD.len(), text.as_mut_ptr(), text.len(), tag)
        };
        assert_eq!(opened, status, "{counter:?}");
    }
}
