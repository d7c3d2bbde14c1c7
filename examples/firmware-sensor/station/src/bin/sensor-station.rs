//! A station for hands: shows what a node reports, and sends it keys and instructions that are typed.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead as _, Read, Write},
    path::Path,
    sync::mpsc,
    thread,
};

use anyhow::{Context, Result, bail};
use sensor_node::frame::{Decoder, Frame, Instruction, NOTICE, Notice, encode};
use sensor_station::Account;

const HELP: &str = "\
Usage: sensor-station ACCOUNT PORT

ACCOUNT is a file with the keys of a node; `keys` makes it. PORT is a serial port, set to raw bytes, or a socket of QEMU's.

Type
  keys      give new keys to a node that has none
  on, off   set its output
  stop      let it stop before its power is taken
  forget    let it forget its keys

The end of the input (Ctrl-D) stores what was used. After any other end some reports and instructions are skipped.
";

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

fn run(file: &Path, mut receive: Box<dyn Read + Send>, mut send: Box<dyn Write>) -> Result<()> {
    let mut account = if file.exists() { Some(Account::open(file)?) } else { None };
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
    let mut send_frame = |frame: &[u8]| -> Result<()> { Ok(send.write_all(&encode(frame))?) };
    for event in events {
        match event {
            Event::Closed => break,
            Event::Frame(frame) => show(account.as_mut(), &frame),
            Event::Line(line) => {
                let instruction = match line.trim() {
                    "keys" => {
                        let new = Account::with_new_keys(file)?;
                        send_frame(&*new.provision())?;
                        account = Some(new);
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
                };
                match &mut account {
                    None => println!("there are no keys yet: type keys"),
                    Some(account) => {
                        let (frame, counter) = account.instruct(instruction)?;
                        println!("sent instruction {counter}");
                        send_frame(&frame)?;
                    }
                }
            }
        }
    }
    account.map_or(Ok(()), Account::close)
}

fn show(account: Option<&mut Account>, frame: &[u8]) {
    if frame.first() == Some(&NOTICE) {
        match Notice::from_frame(frame) {
            Some(Notice::NoKeys) => println!("the node has no keys: type keys"),
            Some(Notice::NoState) => println!("what the node stored is damaged: type keys"),
            Some(Notice::Flash) => println!("the node's flash does not store"),
            Some(Notice::UsedUp) => println!("the node's key is used up: type forget, then keys"),
            Some(Notice::Stopped) => println!("the node has stopped: its power may be taken"),
            None => println!("a notice of another version"),
        }
        return;
    }
    match account.context("there are no keys").and_then(|account| account.receive(frame)) {
        Ok(report) => println!("{report:?}"),
        Err(error) => println!("refused: {error:#}"),
    }
}
