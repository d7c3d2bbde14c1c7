//! The node's life on a board.

use embassy_futures::{
    select::{Either, select},
    yield_now,
};
use embedded_io_async::{Read, Write};
use embedded_storage_async::nor_flash::MultiwriteNorFlash;
use twine_otr_aead::{OpenError, SealError};

use crate::{
    frame::{Decoder, Frame, Instruction, Keys, MAX_ENCODED, Notice, Reason, encode},
    node::{Blank, Ciphers, Node, NodeError, Start},
};

/// What a node has besides its flash and its line.
#[allow(async_fn_in_trait, reason = "the node is one task")]
pub trait Board {
    /// Waits until a reading is due. It may be dropped while it waits, and called again.
    ///
    /// A node that waits does so here, whatever else it waits for, and also when it has stopped: so this is where a watchdog is fed.
    async fn due(&mut self);

    /// Measures, in hundredths of a degree Celsius; none if that fails.
    async fn measure(&mut self) -> Option<i16>;

    /// Sets the output.
    fn set_output(&mut self, is_on: bool);

    /// The node has stopped: its power may be taken.
    fn stopped(&mut self) {}

    /// Why a frame was refused, or no report made: for a log.
    fn refused(&mut self, _: NodeError) {}
}

/// Runs a node with what is in `flash` from address `start` on.
///
/// `receive` may be dropped while it waits, and no byte is lost: it is a line with a buffer.
///
/// # Errors
/// The line has failed: there is nothing that a node could do.
pub async fn run<F, R, W, B>(
    flash: &mut F,
    start: u32,
    receive: R,
    send: W,
    board: &mut B,
) -> Result<(), LineFailed>
where
    F: MultiwriteNorFlash,
    R: Read,
    W: Write,
    B: Board,
{
    let mut line = Line { receive, send, decoder: Decoder::new() };
    let (mut ciphers, mut pause) = (Ciphers::new(), Pause::default());
    loop {
        // What a node before it left on, it knows nothing of.
        board.set_output(false);
        let started = Node::start(flash, start, &mut ciphers).await;
        if started.is_ok() {
            pause = Pause::default();
        }
        match started {
            Ok(Start::Node(node)) => live(node, &mut line, board).await?,
            Ok(Start::Blank(blank)) => wait_for_keys(blank, &mut line, board).await?,
            Err(_) => {
                pause.lengthen();
                while !pause.is_over() {
                    line.send(&Notice::Flash.to_frame()).await?;
                    // Not when somebody sends.
                    while let Either::Second(frame) = select(board.due(), line.frame()).await {
                        frame?;
                    }
                }
            }
        }
    }
}

/// Flash that fails is left alone for a number of readings, twice as many each time, so that it is not worn out.
#[derive(Default)]
struct Pause {
    left: u32,
    last: u32,
}

impl Pause {
    /// A day, if there is a reading each ten seconds.
    const LONGEST: u32 = 8_640;

    fn lengthen(&mut self) {
        self.last = (2 * self.last).clamp(1, Self::LONGEST);
        self.left = self.last;
    }

    /// Whether it is over; if not, the next reading is waited for.
    fn is_over(&mut self) -> bool {
        let is_over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_over
    }
}

/// Nothing can be sent or received any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LineFailed;

/// Reports and obeys until the keys are forgotten.
async fn live(
    mut node: Node<'_, impl MultiwriteNorFlash>,
    line: &mut Line<impl Read, impl Write>,
    board: &mut impl Board,
) -> Result<(), LineFailed> {
    let (mut due, mut pause) = (Some(Reason::Started), Pause::default());
    loop {
        match due.take() {
            None => {}
            Some(Reason::Reading) if !pause.is_over() => line.send(&Notice::Flash.to_frame()).await?,
            Some(reason) => match node.report(reason).await {
                Ok(frame) => {
                    pause = Pause::default();
                    line.send(&frame).await?;
                }
                Err(error) => {
                    board.refused(error);
                    let is_used_up = error == NodeError::Seal(SealError::LimitReached);
                    if !is_used_up {
                        pause.lengthen();
                    }
                    let notice = if is_used_up { Notice::UsedUp } else { Notice::Flash };
                    line.send(&notice.to_frame()).await?;
                }
            },
        }
        match select(board.due(), line.frame()).await {
            Either::First(()) => {
                node.set_reading(board.measure().await);
                due = Some(Reason::Reading);
            }
            Either::Second(frame) => match node.receive(&frame?).await {
                Ok(Instruction::Stop) => {
                    let notice = if node.stop().await.is_ok() { Notice::Stopped } else { Notice::Flash };
                    line.send(&notice.to_frame()).await?;
                    board.stopped();
                    // Until the power is taken.
                    loop {
                        board.due().await;
                    }
                }
                // If it fails, the next start shows what became of it.
                Ok(Instruction::Forget) => return node.forget().await.or(Ok(())),
                Ok(Instruction::On | Instruction::Off) => {
                    board.set_output(node.output());
                    due = Some(Reason::Answer);
                }
                // No report, as it would cost blocks: who sends garbage is not to use the key up.
                Err(error) => {
                    board.refused(error);
                    if let NodeError::Open(OpenError::LimitReached | OpenError::TooManyFailures) = error {
                        line.send(&Notice::Deaf.to_frame()).await?;
                    }
                }
            },
        }
    }
}

/// Says what the node waits for, each time when a reading is due, until it has keys.
async fn wait_for_keys(
    blank: Blank<'_, impl MultiwriteNorFlash>,
    line: &mut Line<impl Read, impl Write>,
    board: &mut impl Board,
) -> Result<(), LineFailed> {
    let mut is_due = true;
    loop {
        if is_due {
            line.send(&blank.why().to_frame()).await?;
        }
        is_due = match select(board.due(), line.frame()).await {
            Either::First(()) => true,
            Either::Second(frame) => {
                let keys = Keys::from_frame(&frame?);
                match keys {
                    // If it fails, the next start shows what became of it.
                    Some(keys) => return blank.provision(keys).await.or(Ok(())),
                    None => false,
                }
            }
        };
    }
}

struct Line<R, W> {
    receive: R,
    send: W,
    decoder: Decoder,
}

impl<R: Read, W: Write> Line<R, W> {
    async fn send(&mut self, frame: &[u8]) -> Result<(), LineFailed> {
        // Ends what a loss of power has cut off, which would spoil this frame.
        self.send.write_all(&[0]).await.map_err(|_| LineFailed)?;
        self.send.write_all(&encode(frame)).await.map_err(|_| LineFailed)?;
        self.send.flush().await.map_err(|_| LineFailed)
    }

    /// The next frame.
    async fn frame(&mut self) -> Result<Frame, LineFailed> {
        loop {
            for _ in 0..MAX_ENCODED {
                let mut byte = [0];
                match self.receive.read(&mut byte).await {
                    Ok(1..) => {
                        if let Some(frame) = self.decoder.feed(byte[0]) {
                            return Ok(frame);
                        }
                    }
                    // The other end is gone.
                    Ok(0) => return Err(LineFailed),
                    // Noise, or more bytes than the buffer holds: the frame's tag tells.
                    Err(_) => {}
                }
            }
            // A line that is flooded, or fails at once each time, does not wait by itself: a reading that is due goes first.
            yield_now().await;
        }
    }
}
