//! What a chip's own thermometer shows. It is here, and not with the board, as here it is tested.

/// Hundredths of a degree Celsius that the RP2040's converter shows by 12 bits of 3.3 V: 27 degrees at 0.706 V, and a degree less for each 1.721 mV
/// more (datasheet, section 4.9.5). None if that is too much for a reading.
#[must_use]
pub fn of_rp2040(raw: u16) -> Option<i16> {
    const GREATEST: u16 = 4095;
    // 3,300,000 / 4096, in a form that stays below 2^31.
    let microvolts = i32::from(raw.min(GREATEST)) * 103_125 / 128;
    let hundredths = 2700 - (microvolts - 706_000) * 100 / 1721;
    i16::try_from(hundredths).ok()
}
