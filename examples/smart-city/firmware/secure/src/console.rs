//! What the secure world says to who stands beside the board: UART0, which the other world cannot reach.

use core::fmt::{self, Write};

use crate::board;

/// Prints a line.
macro_rules! say {
    ($($argument:tt)*) => { $crate::console::line(format_args!($($argument)*)) };
}
pub(crate) use say;

pub(crate) fn line(arguments: fmt::Arguments<'_>) {
    // Writing to it does not fail.
    let _ = writeln!(Console, "{arguments}");
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(board::console_write);
        Ok(())
    }
}
