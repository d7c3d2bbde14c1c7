//! The memory map of the board that was chosen.

use smart_city_interface::memory::{
    BLOCKS, CODE, EPOCHS, FUNCTION_STACK, LEDS, PROVISIONING, Part, RAM, SECURE_CODE, SECURE_COPY,
    SECURE_RAM, UART, VENEERS,
};

/// The parts of the two worlds.
const SECURE: [Part; 6] = [SECURE_CODE, VENEERS, PROVISIONING, SECURE_COPY, EPOCHS, SECURE_RAM];
const NON_SECURE: [Part; 5] = [CODE, FUNCTION_STACK, RAM, UART, LEDS];

#[test]
fn no_parts_overlap() {
    let mut parts = [&SECURE[..], &NON_SECURE].concat();
    parts.sort_by_key(|part| part.start);
    for pair in parts.windows(2) {
        assert!(pair[0].len > 0 && pair[0].end() <= pair[1].start, "{pair:x?}");
    }
}

/// A block that is given to one world has nothing of the other. SAU's blocks are of 32 bytes.
#[test]
fn each_world_has_whole_blocks() {
    let [flash, ram] = BLOCKS;
    for (part, block) in [(CODE, flash), (FUNCTION_STACK, ram), (RAM, ram)] {
        assert!(part.start % block == 0 && part.end() % block == 0, "{part:x?}");
    }
    for part in NON_SECURE {
        assert!(part.start % 32 == 0 && part.end() % 32 == 0);
    }
    const { assert!(VENEERS.start % 32 == 0 && VENEERS.end() <= VENEERS.start + 64) };
    assert_eq!(SECURE_COPY.len, CODE.len);
    // Whole pages.
    const { assert!(EPOCHS.start % (EPOCHS.len / 2) == 0) };
}

/// Entry points on nRF5340 are the last bytes of a block of flash, 32 to 4,096 of them, by a power of two.
#[cfg(feature = "nrf5340")]
#[test]
fn the_entry_points_are_where_spu_has_them() {
    let len = BLOCKS[0] - VENEERS.start % BLOCKS[0];
    assert!(len.is_power_of_two() && (32..=4096).contains(&len) && VENEERS.len <= len);
    const { assert!(CODE.end() <= 0x10_0000 && RAM.end() <= 0x2008_0000) };
}
