//! The code of a device. It is made up: bytes that stand for machine code, the same in each run.

use smart_city_detector::{AttestKey, Region, Verifier};

use crate::sensors::Random;

/// A function that instructions may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its region.
    pub region: u16,
    /// Its name.
    pub name: &'static str,
    /// Its code as it was built.
    pub code: Vec<u8>,
}

/// The functions of a device's image, by rising regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(Vec<Function>);

/// Lengths are those of small functions on Cortex-M.
const FUNCTIONS: [(&str, usize); 4] =
    [("set_signal", 412), ("open_gate", 1_068), ("close_gate", 924), ("set_interval", 186)];

impl Image {
    /// The image of all devices.
    #[must_use]
    pub fn simulated() -> Self {
        let mut random = Random::new(0xC0DE);
        let function = |(region, (name, len))| {
            let code = std::iter::repeat_with(|| random.byte()).take(len).collect();
            Function { region, name, code }
        };
        Self((1..).zip(FUNCTIONS).map(function).collect())
    }

    /// Its functions.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.0
    }

    /// The function of a region.
    #[must_use]
    pub fn function(&self, region: u16) -> Option<&Function> {
        self.0.iter().find(|function| function.region == region)
    }

    /// The table of allowed values of the device with this key.
    #[must_use]
    pub fn table(&self, key: &AttestKey) -> Vec<u8> {
        let mut address = 0x1000;
        let entry = |function: &Function| {
            // Functions are small.
            let len = u32::try_from(function.code.len()).unwrap_or(u32::MAX);
            let value = Verifier::new(key).allowed_value(function.region, &function.code);
            let entry = Region { id: function.region, address, len, value }.to_bytes();
            address += len.next_multiple_of(4);
            entry
        };
        self.0.iter().flat_map(entry).collect()
    }
}
