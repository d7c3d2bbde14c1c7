//! How far a long job has come, drawn on one line of a terminal.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

/// Shorter inputs are done before anybody looks.
const WORTH_SHOWING: u64 = 64 << 20;
const INTERVAL: Duration = Duration::from_millis(200);

/// Passes a reader through and shows how much was read, if there is a screen to show it on.
pub(crate) struct Progress<R, W: Write> {
    input: R,
    /// The length of the input, if known.
    total: Option<u64>,
    done: u64,
    screen: Option<W>,
    started: Instant,
    drawn: Option<Instant>,
}

impl<R, W: Write> Progress<R, W> {
    pub(crate) fn new(input: R, total: Option<u64>, screen: Option<W>) -> Self {
        Self { input, total, done: 0, screen, started: Instant::now(), drawn: None }
    }

    fn draw(&mut self) {
        let now = Instant::now();
        let worth = self.total.unwrap_or(self.done) >= WORTH_SHOWING;
        let due = self.drawn.is_none_or(|drawn| now - drawn >= INTERVAL);
        if let Some(screen) = self.screen.as_mut().filter(|_| worth && due) {
            // Data matter more than a line that cannot be drawn.
            let _ = write!(screen, "\r{}\x1b[K", line(self.done, self.total, now - self.started));
            let _ = screen.flush();
            self.drawn = Some(now);
        }
    }
}

impl<R: Read, W: Write> Read for Progress<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.done += count as u64;
        self.draw();
        Ok(count)
    }
}

impl<R, W: Write> Drop for Progress<R, W> {
    /// Leaves a clean line for whatever is said next.
    fn drop(&mut self) {
        if let (Some(screen), Some(_)) = (&mut self.screen, self.drawn) {
            let _ = write!(screen, "\r\x1b[K");
            let _ = screen.flush();
        }
    }
}

fn line(done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let of = match total {
        // A file may grow while it is read.
        Some(total) if total > 0 => {
            format!(" of {} MiB, {}%", total >> 20, u128::from(done.min(total)) * 100 / u128::from(total))
        }
        _ => " MiB".into(),
    };
    let rate = (u128::from(done) * 1000 / elapsed.as_millis().max(1)) >> 20;
    format!("{}{of}, {rate} MiB/s", done >> 20)
}
