//! Messages around multiples of 64 blocks, as many as a backend works on at once, and some of 20 KiB.

use super::{Case, Stream, aead_file, empty_group, usual_sizes};
use crate::{AdProcessing, AeadFile, Cipher, Validity};

/// Bytes of message and of associated data. 512 bytes are 64 blocks, 1,024 are 64 pairs of blocks.
const SIZES: [(usize, usize); 6] =
    [(1016, 512), (1024, 1), (1025, 511), (1039, 520), (2055, 0), (4104, 1032)];

const VERY_LONG: [(usize, usize); 1] = [(20_487, 40)];

pub(super) fn twine_otr() -> AeadFile {
    let mut stream = Stream::new("twine-otr-long", 0);
    let mut tc_id = 0;
    let mut groups = Vec::new();
    for cipher in [Cipher::Twine80, Cipher::Twine128] {
        let (nonce_size, tag_size) = usual_sizes(cipher);
        for ad_processing in AdProcessing::ALL {
            let very_long = matches!(
                (cipher, ad_processing),
                (Cipher::Twine80, AdProcessing::Parallel) | (Cipher::Twine128, AdProcessing::Combined)
            );
            let mut group = empty_group(cipher, ad_processing, nonce_size, tag_size);
            for &(msg_size, ad_size) in SIZES.iter().chain(VERY_LONG.iter().filter(|_| very_long)) {
                tc_id += 1;
                let sizes = [nonce_size, ad_size, msg_size, tag_size];
                let case = Case::random(cipher, ad_processing, sizes, &mut stream);
                let comment = format!("M{msg_size}B-H{ad_size}B");
                group.tests.push(case.into_test(tc_id, comment, "Generated", Validity::Valid));
            }
            groups.push(group);
        }
    }
    let note =
        "No published counterpart. The comment gives the bytes of message (M) and of associated data (H).";
    aead_file(Cipher::Twine80, &[("Generated", note)], groups)
}
