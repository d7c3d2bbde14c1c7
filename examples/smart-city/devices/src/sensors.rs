//! Readings, made up: traffic and weather by the minute of the day, the same for a seed.

use std::f64::consts::PI;

/// Marsaglia's xorshift, 64 bits. Not for keys.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The series of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// From 0 to less than 1.
    pub fn unit(&mut self) -> f64 {
        let [a, b, c, ..] = self.next().to_be_bytes();
        f64::from(u32::from_be_bytes([0, a, b, c])) / f64::from(1 << 24)
    }
}

/// What a device measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensor {
    /// Vehicles a minute and their speed.
    Traffic,
    /// The state of a barrier, and how many vehicles it let pass.
    Gate,
    /// Temperature, humidity, rain.
    Weather,
    /// Fine dust and nitrogen dioxide.
    Air,
}

impl Sensor {
    /// A reading as JSON of less than 100 bytes, for a minute of the day (0 to 1439).
    pub fn read(self, minute: u16, random: &mut Random) -> String {
        let rush = rush(minute);
        let noise = random.unit();
        match self {
            Self::Traffic => {
                let vehicles = (4.0 + 40.0 * rush) * (0.7 + 0.6 * noise);
                let speed = 52.0 - 30.0 * rush + 6.0 * noise;
                format!(r#"{{"minute":{minute},"vehicles":{vehicles:.0},"speed_kmh":{speed:.0}}}"#)
            }
            Self::Gate => {
                let passed = 12.0 * rush * noise;
                let open = noise < 0.5 + 0.4 * rush;
                format!(r#"{{"minute":{minute},"open":{open},"passed":{passed:.0}}}"#)
            }
            Self::Weather => {
                let celsius = 16.0 + 6.0 * daylight(minute) + noise;
                let humidity = 68.0 - 20.0 * daylight(minute) + 4.0 * noise;
                format!(r#"{{"minute":{minute},"celsius":{celsius:.1},"humidity":{humidity:.0}}}"#)
            }
            Self::Air => {
                let dust = 8.0 + 14.0 * rush + 3.0 * noise;
                let dioxide = 15.0 + 30.0 * rush + 5.0 * noise;
                format!(r#"{{"minute":{minute},"pm25":{dust:.1},"no2":{dioxide:.1}}}"#)
            }
        }
    }
}

/// From 0 at night to 1 in the morning (8:15) and in the evening (17:45).
fn rush(minute: u16) -> f64 {
    let peak = |at: f64, width: f64| (-((f64::from(minute) - at) / width).powi(2)).exp();
    (peak(495.0, 75.0) + peak(1_065.0, 95.0) + 0.35 * peak(780.0, 220.0)).min(1.0)
}

/// From -1 at 3:00 to 1 at 15:00.
fn daylight(minute: u16) -> f64 {
    ((f64::from(minute) - 900.0) / 720.0 * PI).cos()
}
