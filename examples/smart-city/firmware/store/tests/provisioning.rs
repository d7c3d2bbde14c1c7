//! What is written is read, and what is none is refused.

use smart_city_detector::{InvalidTable, Region};
use smart_city_frame::{Class, DeviceId, Stream};
use smart_city_store::{InvalidProvisioning, Provisioning, Supervision};

const SUPERVISION: Supervision = Supervision { pause: 0x0102, watchdog: 0x0304 };

const ID: DeviceId = DeviceId([1, 2, 3, 4, 5, 6, 7, 8]);

fn written() -> Vec<u8> {
    let region = |id| Region { id, address: 0x20_0000, len: 12, value: [9; 8] }.to_bytes();
    let streams = [
        Stream { id: 7.try_into().unwrap(), class: Class::Confidential },
        Stream { id: 258.try_into().unwrap(), class: Class::Public },
    ];
    let mut bytes = vec![0xFF; 128];
    let table = [region(1), region(4)].concat();
    let len = Provisioning::write(ID, &[5; 16], SUPERVISION, &streams, &table, &mut bytes);
    bytes.truncate(len.unwrap());
    bytes
}

#[test]
fn what_is_written_is_read() {
    let mut bytes = written();
    assert_eq!(bytes.len(), 40 + 2 * 3 + 2 * 18);
    // Erased flash follows.
    bytes.extend([0xFF; 50]);
    let read = Provisioning::parse(&bytes).unwrap();
    assert_eq!(read.device(), ID);
    assert_eq!(read.stream(7), Some(Stream { id: 7.try_into().unwrap(), class: Class::Confidential }));
    assert_eq!(read.stream(258), Some(Stream { id: 258.try_into().unwrap(), class: Class::Public }));
    assert_eq!(read.stream(1), None);
    assert_eq!(read.supervision(), SUPERVISION);
    assert_eq!(read.allowed().iter().map(|region| region.id).collect::<Vec<_>>(), [1, 4]);
    let root = smart_city_frame::RootKey::new([5; 16]);
    assert_eq!(read.root_key().fingerprint(ID), root.fingerprint(ID));
}

#[test]
fn what_is_none_is_refused() {
    let bytes = written();
    for len in 0..bytes.len() {
        assert_eq!(Provisioning::parse(&bytes[..len]).unwrap_err(), InvalidProvisioning::Truncated, "{len}");
    }
    let changed = |at: usize, to: u8| {
        let mut bytes = written();
        bytes[at] = to;
        Provisioning::parse(&bytes).unwrap_err()
    };
    assert_eq!(Provisioning::parse(&[0xFF; 99]).unwrap_err(), InvalidProvisioning::Missing);
    assert_eq!(changed(0, 0), InvalidProvisioning::Missing);
    assert_eq!(changed(41, 0), InvalidProvisioning::Stream);
    assert_eq!(changed(42, 3), InvalidProvisioning::Stream);
    assert_eq!(changed(36, 1), InvalidProvisioning::Truncated);
    assert_eq!(changed(47, 4), InvalidProvisioning::Table(InvalidTable::Order(4)));
}

#[test]
fn what_has_no_room_is_not_written() {
    let len = written().len();
    let mut bytes = vec![0; len - 1];
    let region = Region { id: 1, address: 0, len: 12, value: [9; 8] }.to_bytes();
    let mut write = |regions: usize, len: usize| {
        Provisioning::write(ID, &[5; 16], SUPERVISION, &[], &region.repeat(regions), &mut bytes[..len])
    };
    assert_eq!(write(3, len - 1), None);
    assert_eq!(write(2, 76), Some(76));
}
