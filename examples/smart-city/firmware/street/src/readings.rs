//! Readings, each kept until its receipt.

use smart_city_interface::{FRAME_LEN, Refusal};
use smart_city_street::sent::{Receipt, Said, Sent};

/// The stream of traffic.
const STREAM: u16 = 1;

const CAPACITY: usize = 32;

/// A frame has a reading of 6 bytes and 14 more.
const SEALED_LEN: usize = 20;

#[derive(Clone, Copy)]
enum State {
    Waiting,
    Sent(Sent<SEALED_LEN>),
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
    ///
    /// # Errors
    /// What a service refused.
    pub(crate) fn send_next(&mut self, now: u32) -> Result<(), Refusal> {
        for kept in self.kept.iter_mut().flatten() {
            match &mut kept.state {
                State::Sent(sent) => {
                    if !sent.send_again(now) {
                        continue;
                    }
                }
                State::Waiting => {
                    let mut buffer = [0; FRAME_LEN];
                    let frame = smart_city_interface::seal_reading(STREAM, &kept.reading, &mut buffer)?;
                    let Some(sent) = Sent::send(STREAM, frame, now) else { continue };
                    kept.state = State::Sent(sent);
                }
            }
            break;
        }
        Ok(())
    }

    /// Forgets what a receipt says is stored. What gets no receipt any more is sealed again.
    pub(crate) fn receipt(&mut self, receipt: &Receipt) {
        for place in &mut self.kept {
            let Some(Kept { state: State::Sent(sent), .. }) = place else { continue };
            match receipt.of(sent) {
                Said::Stored => *place = None,
                Said::TooFarBehind => {
                    if let Some(kept) = place {
                        kept.state = State::Waiting;
                    }
                }
                Said::Nothing => {}
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
