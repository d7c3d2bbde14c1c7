//! What goes over the line.

use fastrand::Rng;
use sensor_node::frame::{
    Decoder, Frame, Keys, MAX_ENCODED, MAX_FRAME, Notice, Reason, Report, counter_bytes, counter_of, encode,
};
use zeroize::ZeroizeOnDrop;

use crate::world::keys;

/// The frames in what comes.
fn decode(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new();
    bytes.iter().filter_map(|byte| decoder.feed(*byte)).map(|frame| frame.to_vec()).collect()
}

#[test]
fn frames_of_all_lengths_come_back() {
    let mut random = Rng::with_seed(1);
    let mut line = Vec::new();
    let mut frames = Vec::new();
    for len in 1..=MAX_FRAME {
        // Many zeros, which are what is encoded.
        let frame: Vec<u8> = (0..len).map(|_| u8::try_from(random.usize(..4)).unwrap()).collect();
        let encoded = encode(&frame);
        assert!(encoded.len() <= MAX_ENCODED);
        assert_eq!(encoded.iter().position(|byte| *byte == 0), Some(encoded.len() - 1));
        line.extend_from_slice(&encoded);
        frames.push(frame);
    }
    assert_eq!(decode(&line), frames);
    assert!(encode(&[1; MAX_FRAME + 1]).is_empty());
}

#[test]
fn after_noise_the_next_frame_is_found() {
    let mut random = Rng::with_seed(2);
    for _ in 0..20_000 {
        let len = random.usize(..300);
        let mut line: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
        if random.usize(..2) == 0 {
            line.retain(|byte| *byte != 0);
        }
        line.push(0);
        line.extend_from_slice(&encode(b"frame"));
        assert_eq!(decode(&line).last().unwrap(), b"frame");
    }
}

#[test]
fn a_frame_that_is_too_long_is_ignored() {
    let mut line = vec![1; MAX_ENCODED + 1];
    line.push(0);
    line.extend_from_slice(&encode(b"frame"));
    assert_eq!(decode(&line), [b"frame"]);
    assert_eq!(decode(&[0; 9]), [b""; 0]);
}

#[test]
fn keys_come_through_whole_or_not_at_all() {
    let keys = keys(&mut Rng::with_seed(3), 1 << 20);
    let frame = keys.to_frame();
    assert_eq!(Keys::from_frame(&*frame), Some(keys));
    for bit in 0..8 * frame.len() {
        let mut noisy = frame.clone();
        noisy[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Keys::from_frame(&*noisy), None, "bit {bit}");
    }
    assert_eq!(Keys::from_frame(&frame[..74]), None);
    // A limit that bears no start.
    let limited = |limit| super::world::keys(&mut Rng::with_seed(3), limit);
    let least = limited(Keys::LEAST_LIMIT);
    assert_eq!(Keys::from_frame(&*least.to_frame()), Some(least));
    assert_eq!(Keys::from_frame(&*limited(Keys::LEAST_LIMIT - 1).to_frame()), None);
    // No limit, and one that is too high.
    for limit in [0u32, (1 << 24) + 1] {
        let mut bytes = [1; Keys::LEN];
        bytes[1..5].copy_from_slice(&limit.to_be_bytes());
        assert_eq!(Keys::from_bytes(&bytes), None);
    }
}

#[test]
fn what_may_have_keys_is_erased() {
    fn is_erased(_: &impl ZeroizeOnDrop) {}
    is_erased(&Frame::default());
    is_erased(&encode(b"frame"));
    is_erased(&Decoder::new());
}

#[test]
fn reports_come_back() {
    for acknowledged in [None, Some(0), Some(0x00FF_FFFE)] {
        for reason in [Reason::Started, Reason::Reading, Reason::Answer] {
            let report =
                Report { reason, acknowledged, output: acknowledged.is_none(), reading: Some(-1234) };
            assert_eq!(Report::from_bytes(report.to_bytes()), Some(report));
            let report = Report { reading: None, ..report };
            assert_eq!(Report::from_bytes(report.to_bytes()), Some(report));
        }
    }
    assert_eq!(Report::from_bytes([3, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(Report::from_bytes([0, 0, 0, 0, 2, 0, 0]), None);
    assert_eq!(counter_of(counter_bytes(0x0012_3456)), 0x0012_3456);
}

#[test]
fn notices_come_back() {
    use Notice::{Deaf, Flash, NoKeys, NoState, Stopped, UsedUp};
    for notice in [NoKeys, NoState, Flash, UsedUp, Stopped, Deaf] {
        assert_eq!(Notice::from_frame(&notice.to_frame()), Some(notice));
    }
    assert_eq!(Notice::from_frame(&[2, 9]), None);
    assert_eq!(Notice::from_frame(&[2]), None);
}
