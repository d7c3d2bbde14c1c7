//! What must take the same path for all secrets, and deliberate leaks, as regions of the trace.

use crate::report::Report;
use core::fmt;
use operations::{Buffers, CORTEX_M_LENGTHS, Leak, Observer, SECRETS};

struct Trace;

impl Observer for Trace {
    fn observe(&mut self, work: &mut dyn FnMut()) {
        qemu_trace::region(work);
    }
}

pub(crate) fn run(report: &mut Report<'_>) -> fmt::Result {
    let mut buffers = Buffers::new();
    for leak in Leak::ALL {
        for number in 0..SECRETS {
            leak.run(number, &mut buffers, &mut Trace);
        }
    }
    for operation in operations::all(&CORTEX_M_LENGTHS) {
        let mut results =
            (0..SECRETS).map(|number| (number as u32, operation.run(number, &mut buffers, &mut Trace)));
        report.group(format_args!("{operation}"), &mut results)?;
    }
    Ok(())
}
