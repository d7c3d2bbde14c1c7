//! A device that runs.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use smart_city_interface::memory::{PROVISIONING, SECURE_COPY};

use crate::{gdb::Debugger, image::Image, line};

/// What takes longer hangs. The machine may be slow, so it is long.
const LIMIT: Duration = Duration::from_secs(60);

/// A board in QEMU. Its power goes off when it is dropped.
#[derive(Debug)]
pub struct Board {
    child: Child,
    /// None if it is somebody else's.
    line: Option<UnixStream>,
    packets: Receiver<Vec<u8>>,
    console: Receiver<String>,
    debug: PathBuf,
}

/// What a board said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The lines on its console.
    pub console: Vec<String>,
    /// The packets of its application; none if the serial line is a bridge's.
    pub packets: Vec<Vec<u8>>,
}

impl Board {
    /// Switches a board on, with the files of `image` in its memory. Its sockets are in `folder`; `options` are QEMU's.
    ///
    /// # Errors
    /// If QEMU does not start.
    pub fn start(image: &Image, folder: &Path, options: &[String]) -> Result<Self> {
        Self::start_with(image, folder, options, true)
    }

    /// The same, but the serial line is the socket `line` in `folder`, to which a bridge is to connect.
    ///
    /// # Errors
    /// If QEMU does not start.
    pub fn start_for_bridge(image: &Image, folder: &Path, options: &[String]) -> Result<Self> {
        Self::start_with(image, folder, options, false)
    }

    fn start_with(image: &Image, folder: &Path, options: &[String], has_line: bool) -> Result<Self> {
        let [line, console, debug] = ["line", "console", "debug"].map(|name| folder.join(name));
        for path in [&line, &console, &debug] {
            // One of a board that was here before.
            let _ = std::fs::remove_file(path);
        }
        let listeners =
            (if has_line { Some(UnixListener::bind(&line)?) } else { None }, UnixListener::bind(&console)?);
        let side = if has_line { "" } else { ",server=on,wait=off" };
        let shown = |path: &Path| -> Result<String> {
            let text = path.to_str().context("a path is no UTF-8")?;
            // QEMU's options take a comma for their end, and two for one.
            Ok(text.replace(',', ",,"))
        };
        let loader = |path: &Path, address: u32| -> Result<String> {
            Ok(format!("loader,file={},addr={address:#x},force-raw=on", shown(path)?))
        };
        let qemu = std::env::var_os("SMART_CITY_QEMU").unwrap_or_else(|| "qemu-system-arm".into());
        let child = Command::new(qemu)
            .arg("-M")
            .arg(format!("{},memory-backend=flash", image.machine))
            .arg("-object")
            .arg(format!(
                "memory-backend-file,id=flash,size={},mem-path={},share=on",
                crate::image::FLASH_LEN,
                shown(&image.flash)?
            ))
            .args(["-display", "none", "-monitor", "none", "-nodefaults"])
            .arg("-chardev")
            .arg(format!("socket,id=console,path={}", shown(&console)?))
            .arg("-chardev")
            .arg(format!("socket,id=line,path={}{side}", shown(&line)?))
            .args(["-serial", "chardev:console", "-serial", "chardev:line", "-gdb"])
            .arg(format!("unix:{},server=on,wait=off", shown(&debug)?))
            .arg("-kernel")
            .arg(&image.secure)
            .arg("-device")
            .arg(format!("loader,file={}", shown(&image.application)?))
            .arg("-device")
            .arg(loader(&image.copy, SECURE_COPY.start)?)
            .arg("-device")
            .arg(loader(&image.provisioning, PROVISIONING.start)?)
            .args(options)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start qemu-system-arm")?;
        let mut child = Killed(Some(child));
        let line = listeners.0.map(|listener| accept(&listener, &mut child)).transpose()?;
        let console = accept(&listeners.1, &mut child)?;
        let (packet_sender, packets) = mpsc::channel();
        let (text_sender, texts) = mpsc::channel();
        if let Some(line) = &line {
            let from_line = line.try_clone()?;
            thread::spawn(move || line::read_packets(from_line, |packet| packet_sender.send(packet).is_ok()));
        }
        thread::spawn(move || read_lines(console, &text_sender));
        let child = child.0.take().context("it runs")?;
        Ok(Self { child, line, packets, console: texts, debug })
    }

    /// Sends a packet to the application.
    ///
    /// # Errors
    /// If the board has no power any more.
    pub fn send(&mut self, packet: &[u8]) -> Result<()> {
        let line = self.line.as_mut().context("the serial line is a bridge's")?;
        line.write_all(&line::encode(packet)).context("the serial line is closed")
    }

    /// The next packet that the application sends.
    ///
    /// # Errors
    /// If none comes.
    pub fn receive(&mut self) -> Result<Vec<u8>> {
        match self.receive_within(LIMIT)? {
            Some(packet) => Ok(packet),
            None => bail!("no packet came; the console says:\n{}", self.console_so_far()),
        }
    }

    /// The next packet that the application sends within `time`.
    ///
    /// # Errors
    /// If the board has no power any more.
    pub fn receive_within(&mut self, time: Duration) -> Result<Option<Vec<u8>>> {
        match self.packets.recv_timeout(time) {
            Ok(packet) => Ok(Some(packet)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the serial line is closed"),
        }
    }

    /// The next line on the console that begins with `start`; those before are passed over.
    ///
    /// # Errors
    /// If none comes.
    pub fn console(&mut self, start: &str) -> Result<String> {
        let deadline = Instant::now() + LIMIT;
        let mut passed = String::new();
        while let Ok(line) = self.console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if line.starts_with(start) {
                return Ok(line);
            }
            let _ = writeln!(passed, "{line}");
        }
        bail!("the console does not say {start:?}, but:\n{passed}")
    }

    /// What the console says and was not asked for yet.
    pub fn console_so_far(&mut self) -> String {
        self.console.try_iter().fold(String::new(), |text, line| text + &line + "\n")
    }

    /// Stops the processor and takes hold of it.
    ///
    /// # Errors
    /// If the debug port does not answer.
    pub fn debug(&mut self) -> Result<Debugger> {
        Debugger::attach(&self.debug)
    }

    /// Takes the power away, at once. Returns what the board said before and nobody has asked for yet.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn cut(mut self) -> Result<Said> {
        self.child.kill()?;
        self.child.wait()?;
        // They end where the board's ends are closed.
        Ok(Said { console: self.console.iter().collect(), packets: self.packets.iter().collect() })
    }

    /// Ends QEMU, so that its plugins write what they have.
    ///
    /// # Errors
    /// If it does not end.
    pub fn end(mut self) -> Result<()> {
        let mut debugger = self.debug()?;
        debugger.kill();
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is killed, unless it is taken out.
struct Killed(Option<Child>);

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for QEMU to connect.
fn accept(listener: &UnixListener, child: &mut Killed) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(child) = &mut child.0
            && let Some(status) = child.try_wait()?
        {
            bail!("QEMU ended: {status}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("QEMU does not connect")
}

fn read_lines(console: UnixStream, lines: &Sender<String>) {
    for line in BufReader::new(console).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}
