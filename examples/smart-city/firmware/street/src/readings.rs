//! Readings, each kept until its receipt.

use smart_city_interface::{FRAME_LEN, Refusal};
use smart_city_street::line;

/// The stream of traffic.
const STREAM: u16 = 1;

const CAPACITY: usize = 32;

/// The frames that a receipt speaks of.
const REACH: u32 = 64;

/// Tenths of a second after which a frame without a receipt is sent again.
const PATIENCE: u32 = 20;

/// A frame has a reading of 6 bytes and 14 more.
const SEALED_LEN: usize = 20;

#[derive(Clone, Copy)]
enum State {
    Waiting,
    Sent { frame: [u8; SEALED_LEN], at: u32 },
}

#[derive(Clone, Copy)]
struct Kept {
    reading: [u8; 6],
    state: State,
}

/// The readings without a receipt.
pub(crate) struct Readings {
    kept: [Option<Kept>; CAPACITY],
}

impl Readings {
    pub(crate) const fn new() -> Self {
        Self { kept: [None; CAPACITY] }
    }

    /// Keeps a reading, unless there is no room.
    pub(crate) fn keep(&mut self, reading: [u8; 6]) {
        if let Some(free) = self.kept.iter_mut().find(|kept| kept.is_none()) {
            *free = Some(Kept { reading, state: State::Waiting });
        }
    }

    /// Sends what was not sent yet, or not for long: one frame at most.
    pub(crate) fn send_next(&mut self, now: u32) {
        let mut ended = false;
        for kept in self.kept.iter_mut().flatten() {
            match &mut kept.state {
                State::Sent { frame, at } => {
                    if now.wrapping_sub(*at) < PATIENCE {
                        continue;
                    }
                    // The same bytes: the gateway opens them once.
                    *at = now;
                    send(frame);
                }
                State::Waiting => {
                    let mut buffer = [0; FRAME_LEN];
                    match smart_city_interface::seal_reading(STREAM, &kept.reading, &mut buffer) {
                        Ok(sealed) => {
                            let Ok(frame) = sealed.try_into() else { continue };
                            kept.state = State::Sent { frame, at: now };
                            send(&frame);
                        }
                        Err(Refusal::NewEpoch) => ended = true,
                        Err(_) => {}
                    }
                }
            }
            break;
        }
        if ended {
            self.seal_again();
        }
    }

    /// Forgets what a receipt says is stored: the newest counter (3 bytes), the 64 frames up to it (8). What is further behind gets no
    /// receipt any more, and is sealed again.
    pub(crate) fn receipt(&mut self, receipt: &[u8]) {
        let Ok([a, b, c, stored @ ..]) = <[u8; 11]>::try_from(receipt) else { return };
        let (newest, stored) = (u32::from_be_bytes([0, a, b, c]), u64::from_be_bytes(stored));
        for place in &mut self.kept {
            let Some(kept) = place else { continue };
            let State::Sent { frame, .. } = kept.state else { continue };
            // The counter is in bytes 3 to 5 of a frame.
            match newest.checked_sub(u32::from_be_bytes([0, frame[3], frame[4], frame[5]])) {
                Some(REACH..) => kept.state = State::Waiting,
                Some(back) if stored >> back & 1 == 1 => *place = None,
                _ => {}
            }
        }
    }

    /// Has everything sealed again, in a new epoch.
    pub(crate) fn seal_again(&mut self) {
        for kept in self.kept.iter_mut().flatten() {
            kept.state = State::Waiting;
        }
    }

    pub(crate) fn discard(&mut self) {
        self.kept = [None; CAPACITY];
    }
}

fn send(frame: &[u8]) {
    line::send(&[&STREAM.to_be_bytes(), frame]);
}
