//! Invalid cases, each made from a valid one.

use std::collections::BTreeMap;

use super::{Case, Stream, aead_file, empty_group, usual_sizes};
use crate::{AdProcessing, AeadFile, AeadGroup, Cipher, TRUNCATED_TAG, Validity, reference};

const NOTES: [(&str, &str); 15] = [
    ("ExtendedCiphertext", "Bytes were appended to the ciphertext."),
    ("ModifiedAad", "A bit of the associated data was flipped."),
    ("ModifiedCiphertext", "A bit of the ciphertext was flipped."),
    ("ModifiedIv", "A bit of the nonce was flipped."),
    ("ModifiedTag", "A bit of the tag was flipped."),
    ("MovedBoundary", "A byte was moved from the associated data to the ciphertext or back."),
    ("OtherAdProcessing", "The tag is that of another processing of associated data; the ciphertext too."),
    ("OtherTagSize", "The tag is cut from the longer one that belongs to another tag size."),
    ("ReorderedAad", "Blocks of the associated data were swapped."),
    ("ReorderedCiphertext", "Blocks, or pairs of blocks, of the ciphertext were swapped."),
    ("ResizedAad", "Bytes were appended to the associated data, or removed from it."),
    ("SwappedAad", "Associated data and message, or associated data and ciphertext, changed places."),
    ("TruncatedCiphertext", "Bytes at the end of the ciphertext are missing."),
    (TRUNCATED_TAG, "Bytes at the end of the tag are missing: it is shorter than the group's tagSize."),
    ("ZeroTag", "The tag is all zeros."),
];

pub(super) fn twine_otr() -> AeadFile {
    file("twine-invalid", &[Cipher::Twine80, Cipher::Twine128], Some((4, 4)))
}

pub(super) fn aes_otr_v3() -> AeadFile {
    file("aes-invalid", &[Cipher::Aes128], None)
}

/// A group for each cipher and processing of associated data, and another if there are `short` sizes of nonce and tag.
fn file(label: &str, ciphers: &[Cipher], short: Option<(usize, usize)>) -> AeadFile {
    let mut stream = Stream::new(label, 0);
    let mut tc_id = 0;
    let mut groups = Vec::new();
    for &cipher in ciphers {
        for ad_processing in AdProcessing::ALL {
            for (sizes, short) in [(Some(usual_sizes(cipher)), false), (short, true)] {
                let Some((nonce_size, tag_size)) = sizes else { continue };
                let mut group = empty_group(cipher, ad_processing, nonce_size, tag_size);
                fill(&mut group, [nonce_size, tag_size], short, &mut stream, &mut tc_id);
                groups.push(group);
            }
        }
    }
    let used = |flag: &str| groups.iter().flat_map(|group| &group.tests).any(|test| test.flags[0] == flag);
    let notes: Vec<_> = NOTES.into_iter().filter(|&(flag, _)| used(flag)).collect();
    aead_file(ciphers[0], &notes, groups)
}

fn fill(
    group: &mut AeadGroup,
    [nonce_size, tag_size]: [usize; 2],
    short: bool,
    stream: &mut Stream,
    tc_id: &mut u32,
) {
    let n = group.cipher.block_size();
    // Bytes of message and of associated data, around one block and one pair of blocks.
    let all = [
        (0, 0),
        (0, n),
        (1, n - 1),
        (n - 1, 1),
        (n, 2 * n + 1),
        (n + 1, n),
        (2 * n - 1, 0),
        (2 * n, 2 * n),
        (2 * n + 1, n + 1),
        (4 * n, 3),
        (4 * n + 1, 3 * n),
    ];
    let sizes = if short { &all[4..6] } else { &all[..] };
    let mut seen = BTreeMap::new();
    for &(msg_size, ad_size) in sizes {
        let sizes = [nonce_size, ad_size, msg_size, tag_size];
        let case = Case::random(group.cipher, group.ad_processing, sizes, stream);
        let changes = if short { short_changes(&case, stream) } else { changes(&case, &mut seen, stream) };
        for (flag, what, changed) in changes {
            let Case { cipher, ad_processing, key, iv, aad, ct, tag, .. } = &changed;
            let opened = reference::open(*cipher, *ad_processing, key, iv, aad, ct, tag, tag_size);
            // With no associated data, Parallel and Combined are the same algorithm.
            if opened.is_some() {
                assert_eq!((flag, ad_size), ("OtherAdProcessing", 0), "this change must not be accepted");
                continue;
            }
            *tc_id += 1;
            let comment = format!("M{msg_size}B-H{ad_size}B: {what}");
            group.tests.push(changed.into_test(*tc_id, comment, flag, Validity::Invalid));
        }
    }
}

/// A flag, a comment, and what became of the case.
type Change = (&'static str, &'static str, Case);

/// Every case has its bits flipped. Of the other changes, each is made to every third case to which it applies,
/// beginning with the second; `seen` counts these cases.
fn changes(case: &Case, seen: &mut BTreeMap<&'static str, u32>, stream: &mut Stream) -> Vec<Change> {
    let mut all = flips(case, stream);
    all.extend(rearrangements(case).into_iter().filter(|(_, what, _)| {
        let count = seen.entry(what).or_default();
        *count += 1;
        *count % 3 == 2
    }));
    all
}

fn short_changes(case: &Case, stream: &mut Stream) -> Vec<Change> {
    let mut all = flips(case, stream);
    let Case { cipher, ad_processing, key, iv, aad, msg, tag, .. } = case;
    let mut longer = reference::seal(*cipher, *ad_processing, key, iv, aad, msg, cipher.block_size()).1;
    longer.truncate(tag.len());
    all.push(("OtherTagSize", "start of the full tag", Case { tag: longer, ..case.clone() }));
    all.push((TRUNCATED_TAG, "last byte of the tag missing", without_last(case, |case| &mut case.tag, 1)));
    all
}

fn changed(case: &Case, change: impl FnOnce(&mut Case)) -> Case {
    let mut case = case.clone();
    change(&mut case);
    case
}

fn without_last(case: &Case, field: impl FnOnce(&mut Case) -> &mut Vec<u8>, count: usize) -> Case {
    changed(case, |case| {
        let field = field(case);
        field.truncate(field.len() - count);
    })
}

fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 0x80 >> (bit % 8);
}

/// One bit of each field at a random place, and both ends of the tag.
fn flips(case: &Case, stream: &mut Stream) -> Vec<Change> {
    let mut all = Vec::new();
    let mut place = |bytes: &[u8]| stream.below(bytes.len() * 8);
    let bit = place(&case.iv);
    all.push(("ModifiedIv", "bit of the nonce flipped", changed(case, |case| flip(&mut case.iv, bit))));
    if !case.aad.is_empty() {
        let bit = place(&case.aad);
        all.push(("ModifiedAad", "bit of the AD flipped", changed(case, |case| flip(&mut case.aad, bit))));
    }
    if !case.ct.is_empty() {
        let bit = place(&case.ct);
        let case = changed(case, |case| flip(&mut case.ct, bit));
        all.push(("ModifiedCiphertext", "bit of the ciphertext flipped", case));
    }
    let last = case.tag.len() * 8 - 1;
    all.push(("ModifiedTag", "first bit of the tag flipped", changed(case, |case| flip(&mut case.tag, 0))));
    all.push(("ModifiedTag", "last bit of the tag flipped", changed(case, |case| flip(&mut case.tag, last))));
    all
}

/// All other changes that make a difference to the case.
fn rearrangements(case: &Case) -> Vec<Change> {
    let n = case.cipher.block_size();
    let mut all = vec![
        (TRUNCATED_TAG, "last byte of the tag missing", without_last(case, |case| &mut case.tag, 1)),
        (TRUNCATED_TAG, "half of the tag missing", without_last(case, |case| &mut case.tag, n / 2)),
        (TRUNCATED_TAG, "tag empty", changed(case, |case| case.tag.clear())),
        ("ZeroTag", "tag all zeros", changed(case, |case| case.tag.fill(0))),
        ("ExtendedCiphertext", "zero byte appended to the ciphertext", changed(case, |case| case.ct.push(0))),
        (
            "ExtendedCiphertext",
            "padding bit appended to the ciphertext",
            changed(case, |case| case.ct.push(0x80)),
        ),
        ("ResizedAad", "zero byte appended to the AD", changed(case, |case| case.aad.push(0))),
        ("ResizedAad", "padding bit appended to the AD", changed(case, |case| case.aad.push(0x80))),
    ];

    if !case.ct.is_empty() {
        let case = without_last(case, |case| &mut case.ct, 1);
        all.push(("TruncatedCiphertext", "last byte of the ciphertext missing", case));
    }
    if case.ct.len() > n {
        let case = without_last(case, |case| &mut case.ct, n);
        all.push(("TruncatedCiphertext", "as many bytes as a block has missing from the ciphertext", case));
    }
    if case.aad.len() > 1 {
        all.push(("ResizedAad", "last byte of the AD missing", without_last(case, |case| &mut case.aad, 1)));
    }
    if !case.aad.is_empty() {
        all.push(("ResizedAad", "AD missing", changed(case, |case| case.aad.clear())));
    }

    let joined = [&case.aad[..], &case.ct].concat();
    let with_boundary = |place: usize| {
        let (aad, ct) = joined.split_at(place);
        Case { aad: aad.to_vec(), ct: ct.to_vec(), ..case.clone() }
    };
    if !case.aad.is_empty() {
        let case = with_boundary(case.aad.len() - 1);
        all.push(("MovedBoundary", "last byte of the AD moved to the ciphertext", case));
    }
    if !case.ct.is_empty() {
        let case = with_boundary(case.aad.len() + 1);
        all.push(("MovedBoundary", "first byte of the ciphertext moved to the AD", case));
    }

    if case.aad.len() > n {
        let case = changed(case, |case| case.aad.rotate_left(n));
        all.push(("ReorderedAad", "AD rotated by one block", case));
    }
    if case.ct.len() > n {
        let case = changed(case, |case| case.ct.rotate_left(n));
        all.push(("ReorderedCiphertext", "ciphertext rotated by one block", case));
    }
    if case.ct.len() > 2 * n {
        let case = changed(case, |case| case.ct.rotate_left(2 * n));
        all.push(("ReorderedCiphertext", "ciphertext rotated by one pair of blocks", case));
    }
    if case.aad != case.ct {
        let Case { cipher, ad_processing, key, iv, aad, msg, tag, .. } = case;
        // The claim is (aad, msg); what was sealed is (msg, aad).
        let (ct, tag) = reference::seal(*cipher, *ad_processing, key, iv, msg, aad, tag.len());
        all.push((
            "SwappedAad",
            "AD and message sealed in each other's place",
            Case { ct, tag, ..case.clone() },
        ));
        let case = changed(case, |case| core::mem::swap(&mut case.aad, &mut case.ct));
        all.push(("SwappedAad", "AD and ciphertext in each other's place", case));
    }
    for ad_processing in AdProcessing::ALL {
        if ad_processing != case.ad_processing {
            let Case { cipher, key, iv, aad, msg, tag, .. } = case;
            let (ct, tag) = reference::seal(*cipher, ad_processing, key, iv, aad, msg, tag.len());
            let what = match ad_processing {
                AdProcessing::Parallel => "sealed with parallel AD processing",
                AdProcessing::Serial => "sealed with serial AD processing",
                AdProcessing::Combined => "sealed with combined AD processing",
            };
            all.push(("OtherAdProcessing", what, Case { ct, tag, ..case.clone() }));
        }
    }
    all
}
