//! What instructions start, and what it acts on.
//!
//! Each is a region that is measured before it runs: it is called by the secure world alone, with the bytes of the
//! instruction's argument, while all interrupts are held. So it must be short, call no service, and come back. What it calls must be
//! inlined: other code is not measured.

use core::{
    slice,
    sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
};

use smart_city_street::board;

const LAMP: u32 = 0;
const CROSSING: u32 = 1;

/// Percent.
static BRIGHTNESS: AtomicU8 = AtomicU8::new(0);
static IS_WALKING: AtomicU8 = AtomicU8::new(0);
/// Tenths of a second between two readings.
static INTERVAL: AtomicU32 = AtomicU32::new(5);
static VEHICLES: AtomicU32 = AtomicU32::new(0);

type Function = unsafe extern "C" fn(*const u8, u32) -> u32;

/// Keeps them in the image: nothing here calls them. The secure world has their addresses from the table of allowed values.
#[used]
static FUNCTIONS: [Function; 6] = [lamp_on, lamp_off, lamp_dim, crossing_walk, crossing_stop, set_interval];

/// Says that an argument was none that the function knows.
const WRONG_ARGUMENT: u32 = 1;

/// Switches the lamp on.
///
/// # Safety
/// As of all here: `argument` is `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn lamp_on(_argument: *const u8, _len: u32) -> u32 {
    BRIGHTNESS.store(100, Relaxed);
    board::switch(LAMP, true);
    0
}

/// Switches the lamp off.
#[unsafe(no_mangle)]
unsafe extern "C" fn lamp_off(_argument: *const u8, _len: u32) -> u32 {
    BRIGHTNESS.store(0, Relaxed);
    board::switch(LAMP, false);
    0
}

/// Sets the lamp's brightness: a byte, in percent.
#[unsafe(no_mangle)]
unsafe extern "C" fn lamp_dim(argument: *const u8, len: u32) -> u32 {
    // SAFETY: that is what the caller promises.
    let [percent @ 0..=100] = (unsafe { bytes(argument, len) }) else { return WRONG_ARGUMENT };
    BRIGHTNESS.store(*percent, Relaxed);
    board::switch(LAMP, *percent > 0);
    0
}

/// Stops vehicles, and lets people walk.
#[unsafe(no_mangle)]
unsafe extern "C" fn crossing_walk(_argument: *const u8, _len: u32) -> u32 {
    IS_WALKING.store(1, Relaxed);
    board::switch(CROSSING, true);
    0
}

/// Stops people.
#[unsafe(no_mangle)]
unsafe extern "C" fn crossing_stop(_argument: *const u8, _len: u32) -> u32 {
    IS_WALKING.store(0, Relaxed);
    board::switch(CROSSING, false);
    0
}

/// Sets the time between two readings: two bytes, big-endian, in tenths of a second.
#[unsafe(no_mangle)]
unsafe extern "C" fn set_interval(argument: *const u8, len: u32) -> u32 {
    // SAFETY: that is what the caller promises.
    let &[high, low] = (unsafe { bytes(argument, len) }) else { return WRONG_ARGUMENT };
    match u16::from_be_bytes([high, low]) {
        0 => WRONG_ARGUMENT,
        tenths => {
            INTERVAL.store(tenths.into(), Relaxed);
            0
        }
    }
}

/// # Safety
/// `argument` is `len` bytes.
#[inline(always)]
unsafe fn bytes<'a>(argument: *const u8, len: u32) -> &'a [u8] {
    // SAFETY: that is what the caller promises.
    unsafe { slice::from_raw_parts(argument, len as usize) }
}

pub(crate) fn interval() -> u32 {
    INTERVAL.load(Relaxed)
}

/// A sensor that is made up: vehicles come every tenth of a second, more of them while nobody walks.
pub(crate) fn count_vehicles() {
    let come = if IS_WALKING.load(Relaxed) == 0 { 3 } else { 1 };
    VEHICLES.store(VEHICLES.load(Relaxed).wrapping_add(come), Relaxed);
}

/// A reading: vehicles so far (4 bytes, big-endian), brightness (1), whether people walk (1).
pub(crate) fn measure() -> [u8; 6] {
    let [a, b, c, d] = VEHICLES.load(Relaxed).to_be_bytes();
    [a, b, c, d, BRIGHTNESS.load(Relaxed), IS_WALKING.load(Relaxed)]
}
