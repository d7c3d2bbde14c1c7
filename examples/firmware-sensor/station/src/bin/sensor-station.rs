//! A station for hands: shows what a node reports, and sends it keys and instructions that are typed.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead as _, Read, Write},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sensor_node::frame::{Decoder, Frame, Instruction, NOTICE, Notice, encode};
use sensor_station::Accounts;

const HELP: &str = "\
Usage: sensor-station ACCOUNT PORT

ACCOUNT is a file with the keys of a node; `keys` makes it. Files of earlier keys are kept beside it.
No two stations may have it at a time. PORT is a serial port, set to raw bytes, or a socket of QEMU's.

Type
  keys      give new keys to a node that has none
  on, off   set its output
  stop      let it stop before its power is taken
  forget    let it forget its keys

An instruction is sent anew until the node answers: after a loss of power it refuses the first ones.

The end of the input (Ctrl-D) stores what was used. After any other end some reports and instructions are skipped.
";

/// So long an answer is waited for before an instruction is sent anew.
const PATIENCE: Duration = Duration::from_secs(1);

/// More than a node refuses instructions after a loss of power, and more than the station refuses reports after an end that stored nothing.
const ATTEMPTS: u32 = 24;

fn main() -> Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [account, port] = arguments.as_slice() else {
        print!("{HELP}");
        bail!("two arguments are needed");
    };
    let account = Path::new(account);
    let (receive, send) = open(Path::new(port))?;
    run(account, receive, send)
}

/// Both directions of the port.
fn open(port: &Path) -> Result<(Box<dyn Read + Send>, Box<dyn Write>)> {
    #[cfg(unix)]
    if let Ok(socket) = std::os::unix::net::UnixStream::connect(port) {
        return Ok((Box::new(socket.try_clone()?), Box::new(socket)));
    }
    let file = File::options()
        .read(true)
        .write(true)
        .open(port)
        .with_context(|| format!("cannot open {}", port.display()))?;
    Ok((Box::new(file.try_clone()?), Box::new(file)))
}

enum Event {
    Frame(Frame),
    Line(String),
    Closed,
}

/// An instruction that is not answered yet.
struct Pending {
    instruction: Instruction,
    /// The counter of the first attempt.
    first: u32,
    attempts: u32,
    due: Instant,
}

/// What happens next; none if `until` comes before.
fn next(events: &mpsc::Receiver<Event>, until: Option<Instant>) -> Option<Event> {
    let event = match until {
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(until) => events.recv_timeout(until.saturating_duration_since(Instant::now())),
    };
    match event {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Disconnected) => Some(Event::Closed),
        Err(RecvTimeoutError::Timeout) => None,
    }
}

fn run(file: &Path, mut receive: Box<dyn Read + Send>, mut send: Box<dyn Write>) -> Result<()> {
    let mut accounts = Accounts::open(file)?;
    let (sender, events) = mpsc::channel();
    let frames = sender.clone();
    thread::spawn(move || {
        let (mut decoder, mut bytes) = (Decoder::new(), [0; 256]);
        while let Ok(len @ 1..) = receive.read(&mut bytes) {
            for frame in bytes[..len].iter().filter_map(|byte| decoder.feed(*byte)) {
                let _ = frames.send(Event::Frame(frame));
            }
        }
        let _ = frames.send(Event::Closed);
    });
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = sender.send(Event::Line(line));
        }
        let _ = sender.send(Event::Closed);
    });
    let mut send_frame = |frame: &[u8]| -> Result<()> {
        send.write_all(&[0])?;
        Ok(send.write_all(&encode(frame))?)
    };
    let mut pending: Option<Pending> = None;
    loop {
        let instruction = match next(&events, pending.as_ref().map(|pending| pending.due)) {
            Some(Event::Closed) => break,
            Some(Event::Frame(frame)) => {
                if is_answer(&frame, &mut accounts, pending.as_ref()) {
                    println!("answered");
                    pending = None;
                }
                continue;
            }
            Some(Event::Line(line)) => {
                pending = None;
                match line.trim() {
                    "keys" => {
                        match accounts.new_keys() {
                            Ok(keys) => send_frame(&*keys)?,
                            Err(error) => println!("{error:#}"),
                        }
                        continue;
                    }
                    "on" => Instruction::On,
                    "off" => Instruction::Off,
                    "stop" => Instruction::Stop,
                    "forget" => Instruction::Forget,
                    _ => {
                        print!("{HELP}");
                        continue;
                    }
                }
            }
            None => match pending.as_ref() {
                Some(pending) if pending.attempts < ATTEMPTS => pending.instruction,
                _ => {
                    println!("no answer");
                    pending = None;
                    continue;
                }
            },
        };
        match accounts.instruct(instruction) {
            Err(error) => {
                println!("{error:#}");
                pending = None;
            }
            Ok((frame, counter)) => {
                println!("sent instruction {counter}");
                send_frame(&frame)?;
                let (first, attempts) =
                    pending.map_or((counter, 0), |pending| (pending.first, pending.attempts));
                let due = Instant::now() + PATIENCE;
                pending = Some(Pending { instruction, first, attempts: attempts + 1, due });
            }
        }
    }
    accounts.close()
}

/// Shows a frame, and says whether it answers an instruction.
fn is_answer(frame: &[u8], accounts: &mut Accounts, pending: Option<&Pending>) -> bool {
    if frame.first() != Some(&NOTICE) {
        return match accounts.receive(frame) {
            Ok(report) => {
                println!("{report:?}");
                let counters = pending.map(|pending| pending.first).zip(report.acknowledged);
                counters.is_some_and(|(first, acknowledged)| acknowledged >= first)
            }
            Err(error) => {
                println!("refused: {error:#}");
                false
            }
        };
    }
    let notice = Notice::from_frame(frame);
    match notice {
        Some(Notice::NoKeys) => println!("the node has no keys: type keys"),
        Some(Notice::NoState) => println!("what the node stored is damaged: type keys"),
        Some(Notice::Flash) => println!("the node's flash does not store"),
        Some(Notice::UsedUp) => println!("the node's key is used up: type forget, then keys"),
        Some(Notice::Stopped) => println!("the node has stopped: its power may be taken"),
        Some(Notice::Deaf) => println!("the node obeys no more: a debugger must erase its flash"),
        None => println!("a notice of another version"),
    }
    if matches!(notice, Some(Notice::NoKeys | Notice::NoState)) {
        accounts.see_no_keys();
    }
    matches!(
        (pending.map(|pending| pending.instruction), notice),
        (Some(Instruction::Stop), Some(Notice::Stopped)) | (Some(Instruction::Forget), Some(Notice::NoKeys))
    )
}
