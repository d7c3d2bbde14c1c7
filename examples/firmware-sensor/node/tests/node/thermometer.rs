//! The readings of a chip's thermometer.

use sensor_node::thermometer::of_rp2040;

#[test]
fn the_rp2040_shows_degrees() {
    for (millivolts, degrees) in
        [(843.68, -53.0), (752.47, 0.0), (706.0, 27.0), (654.37, 57.0), (580.36, 100.0)]
    {
        let degrees: f64 = degrees;
        let exact: f64 = 27.0 - (millivolts - 706.0) / 1.721;
        assert!((exact - degrees).abs() < 0.1, "{millivolts}");
        let raw = (millivolts * 4096.0 / 3300.0_f64).round();
        let shown = f64::from(of_rp2040(unsigned(raw)).unwrap()) / 100.0;
        // A step of the converter is half a degree.
        assert!((shown - exact).abs() < 0.25, "{millivolts} mV: {shown}, not {exact}");
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "12 bits")]
fn unsigned(raw: f64) -> u16 {
    raw as u16
}

#[test]
fn what_no_thermometer_shows_is_no_overflow() {
    let all: Vec<Option<i16>> = (0..=u16::MAX).map(of_rp2040).collect();
    let shown: Vec<i16> = all.iter().flatten().copied().collect();
    assert!(shown.is_sorted_by(|before, after| before >= after));
    // Without a gap.
    let first = all.iter().position(Option::is_some).unwrap();
    assert!(all[first..][..shown.len()].iter().all(Option::is_some));
    assert_eq!((all[0], all[4095]), (None, None));
}
