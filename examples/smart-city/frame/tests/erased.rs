//! Nothing of a key is left where a key, a link, or what was derived from it was.

use std::{
    mem::{MaybeUninit, size_of},
    ptr,
};

use smart_city_frame::{DeviceId, DeviceLink, Epoch, GatewayLink, RootKey};

const DEVICE: DeviceId = DeviceId(*b"device 1");

/// The bytes of a value, and those that are left when it was dropped.
fn before_and_after<T>(value: T) -> [Vec<u8>; 2] {
    let mut place = Box::new(MaybeUninit::<T>::zeroed());
    let bytes = |place: &MaybeUninit<T>| {
        let start = place.as_ptr().cast::<u8>();
        // SAFETY: within `place`, which was zeroed as a whole. Volatile, because nobody else reads what is left of a dropped value.
        (0..size_of::<T>()).map(|at| unsafe { start.add(at).read_volatile() }).collect()
    };
    place.write(value);
    let before = bytes(&place);
    // SAFETY: it was written above and is not used any more.
    unsafe { ptr::drop_in_place(place.as_mut_ptr()) };
    [before, bytes(&place)]
}

/// What depends on the key differs between two keys; when the values were dropped nothing does, but for padding: at most 7 bytes in
/// a row, which hold whatever was on the stack when the value was moved.
fn assert_erased<T>(made_with: impl Fn(&RootKey) -> T) {
    let [one, other] = [0x42, 0x43].map(|byte| before_and_after(made_with(&RootKey::new([byte; 16]))));
    let longest = |when: usize| {
        let differ: Vec<bool> = one[when].iter().zip(&other[when]).map(|(one, other)| one != other).collect();
        differ.split(|differ| !differ).map(<[bool]>::len).max().unwrap()
    };
    assert!(longest(0) > 7, "the key is not there: this test looks at nothing");
    assert!(longest(1) <= 7, "{} bytes of the key are left", longest(1));
}

#[test]
fn keys() {
    let [before, after] = before_and_after(RootKey::new([0x42; 16]));
    assert_eq!((before, after), (vec![0x42; 16], vec![0; 16]));
    assert_erased(|root| root.attest_key(DEVICE));
}

#[test]
fn links() {
    assert_erased(|root| DeviceLink::new(root, DEVICE, Epoch(1)));
    assert_erased(|root| GatewayLink::new(root, DEVICE, Epoch(1)));
}
