//! The memory map on `mps2-an505`, Arm's board with a Cortex-M33, as QEMU has it.
//!
//! Flash is RAM there, as the board loads it at its start. The parts are no greater than those of the microcontrollers that are sold.

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
