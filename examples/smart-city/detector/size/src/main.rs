//! The detector, the cipher, a table of sixteen regions and the notification, linked alone for a device: an image to be measured.
//!
//! On the host it is empty.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod image {
    use smart_city_detector::{AllowedValues, AttestKey, Challenge, Detector, Evidence, Region, Verdict};

    /// Sixteen regions. Their places and values do not matter for the size.
    static TABLE: [[u8; Region::ENTRY_LEN]; 16] = {
        let mut table = [[0xA5; Region::ENTRY_LEN]; 16];
        let mut i = 0;
        while i < 16 {
            table[i][0] = i as u8;
            i += 1;
        }
        table
    };

    const ALLOWED: AllowedValues<'_> = match AllowedValues::new(TABLE.as_flattened()) {
        Ok(table) => table,
        Err(_) => panic!("the table is in order"),
    };

    /// What the secure world calls for each instruction: expands the key, examines the code of its region or of all, and writes the
    /// notification.
    ///
    /// Returns whether the function may run.
    #[unsafe(no_mangle)]
    fn examine(
        key: &AttestKey,
        challenge: Challenge,
        region: u16,
        code: fn(u16) -> &'static [u8],
        notification: &mut [u8; Evidence::LEN],
    ) -> bool {
        let detector = Detector::new(key, ALLOWED);
        let evidence = match region {
            0 => detector.examine_all(challenge, |region| code(region.id)),
            _ => detector.examine(challenge, region, code(region)),
        };
        *notification = evidence.to_bytes();
        evidence.verdict == Verdict::Intact
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
