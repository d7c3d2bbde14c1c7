//! QEMU's board virt.

use core::fmt::Write;

pub(super) use qemu_virt::exit;

/// Makes an image that runs `$checks`.
#[macro_export]
macro_rules! image {
    ($checks:expr) => {
        qemu_virt::entry!($crate::board::run($checks));
    };
}

pub(super) fn output() -> Option<impl Write> {
    Some(qemu_virt::Output)
}
