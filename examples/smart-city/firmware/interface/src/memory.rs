//! The memory map: of `mps2-an505`, Arm's board with a Cortex-M33, as QEMU has it; or, with the feature `nrf5340`, of the application core of
//! Nordic's nRF5340.
//!
//! On the former flash is RAM, as the board loads it at its start. The parts are no greater than those of the microcontrollers that are sold.

/// A part of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first address.
    pub start: u32,
    /// Its bytes.
    pub len: u32,
}

impl Part {
    const fn new(start: u32, len: u32) -> Self {
        Self { start, len }
    }

    /// Behind its last address.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.start + self.len
    }

    /// Whether `len` bytes from `start` are in it.
    #[must_use]
    pub const fn has(self, start: u32, len: u32) -> bool {
        start >= self.start && len <= self.len && start - self.start <= self.len - len
    }
}

const KIB: u32 = 1024;

#[cfg(not(feature = "nrf5340"))]
pub use mps2::*;
#[cfg(feature = "nrf5340")]
pub use nrf5340::*;

/// `mps2-an505`.
#[cfg(not(feature = "nrf5340"))]
mod mps2 {
    use super::{KIB, Part};

    /// Secure: code.
    pub const SECURE_CODE: Part = Part::new(0x1000_0000, 124 * KIB);
    /// The entry points of the [services](crate::Service): the only secure code to which the other world can branch.
    pub const VENEERS: Part = Part::new(0x1001_F000, crate::Service::COUNT * crate::Service::ENTRY_LEN);
    /// Secure: root key, streams, allowed values.
    pub const PROVISIONING: Part = Part::new(0x1002_0000, 4 * KIB);
    /// Secure: the application as it was built.
    pub const SECURE_COPY: Part = Part::new(0x1004_0000, CODE.len);
    /// Secure: RAM.
    pub const SECURE_RAM: Part = Part::new(0x3800_0000, 64 * KIB);
    /// Secure: two pages for the epochs.
    pub const EPOCHS: Part = Part::new(0x8000_0000, KIB);

    /// Non-secure: the application.
    pub const CODE: Part = Part::new(0x0020_0000, 128 * KIB);
    /// Non-secure: the stack of the functions that instructions start. The application has no data there.
    pub const FUNCTION_STACK: Part = Part::new(0x2820_0000, 4 * KIB);
    /// Non-secure: RAM.
    pub const RAM: Part = Part::new(0x2820_1000, 60 * KIB);
    /// Non-secure: the UART to the network, UART1.
    pub const UART: Part = Part::new(0x4020_1000, 4 * KIB);
    /// Non-secure: lamps, FPGAIO.
    pub const LEDS: Part = Part::new(0x4030_2000, 4 * KIB);

    /// Non-secure: the interrupts of [`UART`], for what was sent, what came, and both.
    pub const UART_INTERRUPTS: [u16; 3] = [34, 35, 43];

    /// What is flash or RAM is given to a world in blocks of so many bytes: by MPC.
    pub const BLOCKS: [u32; 2] = [4 * KIB, 4 * KIB];
}

/// nRF5340.
#[cfg(feature = "nrf5340")]
mod nrf5340 {
    use super::{KIB, Part};

    /// Secure: code.
    pub const SECURE_CODE: Part = Part::new(0x0000_0000, 0x1_FFC0);
    /// The entry points of the [services](crate::Service): the only secure code to which the other world can branch. They are at the end of a
    /// region of flash, as SPU has it.
    pub const VENEERS: Part = Part::new(0x0001_FFC0, crate::Service::COUNT * crate::Service::ENTRY_LEN);
    /// Secure: root key, streams, allowed values.
    pub const PROVISIONING: Part = Part::new(0x0002_0000, 4 * KIB);
    /// Secure: the application as it was built.
    pub const SECURE_COPY: Part = Part::new(0x0004_0000, CODE.len);
    /// Secure: RAM.
    pub const SECURE_RAM: Part = Part::new(0x2000_0000, 64 * KIB);
    /// Secure: two pages for the epochs.
    pub const EPOCHS: Part = Part::new(0x0002_2000, 8 * KIB);

    /// Non-secure: the application.
    pub const CODE: Part = Part::new(0x0008_0000, 128 * KIB);
    /// Non-secure: the stack of the functions that instructions start. The application has no data there.
    pub const FUNCTION_STACK: Part = Part::new(0x2001_0000, 8 * KIB);
    /// Non-secure: RAM.
    pub const RAM: Part = Part::new(0x2001_2000, 56 * KIB);
    /// Non-secure: the UART to the network, UARTE0.
    pub const UART: Part = Part::new(0x4000_8000, 4 * KIB);
    /// Non-secure: lamps, port P0.
    pub const LEDS: Part = Part::new(0x4084_2000, 4 * KIB);

    /// Non-secure: the interrupt of [`UART`].
    pub const UART_INTERRUPTS: [u16; 1] = [8];

    /// What is flash or RAM is given to a world in blocks of so many bytes: by SPU.
    pub const BLOCKS: [u32; 2] = [16 * KIB, 8 * KIB];
}
