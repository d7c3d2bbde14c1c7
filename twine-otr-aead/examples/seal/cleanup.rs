//! The one temporary name that the program may have given, which goes however the program ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;

static NAME: Mutex<Option<TempPath>> = Mutex::new(None);

/// The name, which is removed when it is dropped. While it is borrowed, a signal that ends the program waits.
pub(crate) fn temporary_name() -> MutexGuard<'static, Option<TempPath>> {
    NAME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on a signal that ends the program removes the name first. A file that grows too long for the limits of the
/// process becomes an error of writing.
#[cfg(unix)]
pub(crate) fn at_signals() -> std::io::Result<()> {
    use std::sync::{Arc, atomic::AtomicBool};

    use signal_hook::{
        consts::{
            SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
        },
        flag,
        iterator::Signals,
        low_level::emulate_default_handler,
    };

    const ENDING: [i32; 10] =
        [SIGALRM, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU];

    let ignored = ignored_signals();
    let mut signals = Signals::new(ENDING.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0))?;
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    std::thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            let mut name = temporary_name();
            drop(name.take());
            // Ends the program while the name is still borrowed, so that no other is given.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn at_signals() -> std::io::Result<()> {
    Ok(())
}

/// The signals that whoever started the program had it ignore, as `nohup` does: bit n - 1 is signal n. Systems without
/// /proc do not tell.
#[cfg(unix)]
pub(crate) fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let digits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}
