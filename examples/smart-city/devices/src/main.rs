//! A simulated device as a program of its own.
#![forbid(unsafe_code)]

use std::{
    fmt::{self, Write as _},
    fs::{self, File},
    io::{self, BufRead as _, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use smart_city_address::Address;
use smart_city_devices::{
    client::{self, Input, Report},
    device::{Device, Done},
    epoch::EpochFile,
    image::{Function, Image},
    provision::{Measured, Provisioned},
    sensors::Random,
};
use smart_city_frame::{ALL_REGIONS, Verdict};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{MissedTickBehavior, interval},
};

/// Runs a simulated device: frames, keys and detector are those of real devices, the sensors and the code are made up.
///
/// It connects again by itself, keeps readings until the gateway has receipted them, opens a new epoch at each start, and prints what it
/// does. Lines on standard input are what happens to it:
///     patch REGION BYTE    somebody alters a bit of the code of a function
///     repeat               the network delivers the last frame a second time
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// What was put on the device when it was provisioned: its identity, keys and password, and perhaps its broker and streams.
    #[arg(long, value_name = "FILE", required_unless_present = "code")]
    device: Option<PathBuf>,
    /// Where the device keeps its epoch, which must outlive a restart: one folder for each device, and one process for each folder.
    #[arg(long, value_name = "DIR", required_unless_present = "code")]
    data: Option<PathBuf>,
    /// Says that the root key was never used, by this device or another: only then may there be no epoch in the folder.
    #[arg(long)]
    new_key: bool,
    /// The broker, as mqtt://HOST:PORT, or as mqtts://HOST:PORT with TLS. Without it that of the file, else mqtt://127.0.0.1:1883.
    #[arg(long, value_name = "URL")]
    broker: Option<Address>,
    /// With TLS: the authorities of which one has made the broker's certificate, in PEM. Without it those that the system knows.
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
    /// A stream that it sends, as in the gateway's city.toml, and a sensor: such as 1:public:air. The sensors are traffic, gate,
    /// weather and air; it is traffic if none is named. Without it those of the file.
    #[arg(long = "stream", value_name = "NUMBER:CLASS[:SENSOR]")]
    streams: Vec<Measured>,
    /// In how many shards the gateways of the city share the devices, as in city.toml. Without it as in the file: none, if there is one
    /// gateway.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    shards: Option<u16>,
    /// Seconds between two readings of a sensor.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    every: Duration,
    /// Writes the code of simulated devices into a folder beside city.toml, prints their image for city.toml, and ends.
    #[arg(long, value_name = "DIR")]
    code: Option<PathBuf>,
}

/// The greatest length of a line of standard input.
const LINE: u64 = 256;

const NOT_WRITTEN: &str = "standard output cannot be written";

fn seconds(text: &str) -> Result<Duration> {
    let duration = Duration::try_from_secs_f64(text.parse()?)?;
    ensure!(duration >= Duration::from_millis(1), "it is less than a millisecond");
    Ok(duration)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let image = Image::simulated();
    if let Some(folder) = arguments.code {
        return write_code(&image, &folder);
    }
    let (file, data) = (arguments.device.unwrap_or_default(), arguments.data.unwrap_or_default());
    let provisioned = Provisioned::read(&file)?;
    if fs::metadata(&file)?.permissions().mode() & 0o077 != 0 {
        eprintln!("warning: others may read or write {}, which has the keys of this device", file.display());
    }
    let broker = arguments.broker.or(provisioned.broker).unwrap_or_default();
    let streams = if arguments.streams.is_empty() { provisioned.streams } else { arguments.streams };
    ensure!(!streams.is_empty(), "nothing to send: say --stream, or put `streams` into the file");

    let name = provisioned.id.to_string();
    let options =
        broker.options(&name, provisioned.mqtt_password.as_str(), arguments.authorities.as_deref())?;
    let (epochs, _locked) = epochs(&data, arguments.new_key)?;
    let device = Device::start(provisioned.id, provisioned.root_key, &image, epochs)
        .with_context(|| format!("the epoch in {}", data.display()))?;
    let (mut output, mut unwritten) = Output::start();
    output.say(format_args!("device {name} starts in epoch {}", device.epoch().0));
    let (reports, mut reported) = mpsc::channel(64);
    let handle =
        client::run(device, arguments.shards.or(provisioned.shards), client::paced(options), 0.0, reports);

    let mut random = Random::new(elapsed().as_secs());
    let mut clock = interval(arguments.every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lines = lines();
    loop {
        tokio::select! {
            error = &mut unwritten => return Err(error?).context(NOT_WRITTEN),
            report = reported.recv() => {
                output.tell(report.context("the device has ended")?, &broker, &image)?;
            }
            _ = clock.tick() => {
                for Measured { stream, sensor } in &streams {
                    let reading = sensor.read(minute(), &mut random);
                    output.say(format_args!("measured for stream {}: {reading}", stream.id));
                    output.give(&handle.input, Input::Measured(*stream, reading.into_bytes()));
                }
            }
            Some(line) = lines.recv() => match happens(&line) {
                Some(input) => output.give(&handle.input, input),
                None => output.say(format_args!("a line is `patch REGION BYTE` or `repeat`")),
            },
        }
    }
}

/// Writes a file for each function, and prints the image of which they are the regions.
fn write_code(image: &Image, folder: &Path) -> Result<()> {
    let name = folder.file_name().and_then(|name| name.to_str()).context("the folder has no name")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    ensure!(name.bytes().all(is_plain), "the folder's name is not of a-z, A-Z, 0-9, `-`, `_` and `.` alone");
    let mut regions = String::new();
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for Function { region, name: function, code } in image.functions() {
        let path = folder.join(function).with_extension("bin");
        if fs::read(&path).is_ok_and(|there| there != *code) {
            bail!("{} is there, and other code", path.display());
        }
        fs::write(&path, code).with_context(|| format!("{} cannot be written", path.display()))?;
        let _ = writeln!(
            regions,
            "    {{ id = {region}, name = \"{function}\", code = \"{name}/{function}.bin\" }},"
        );
    }
    let mut out = io::stdout().lock();
    write!(out, "\n[[images]]\nid = \"simulated\"\nregions = [\n{regions}]\n").context(NOT_WRITTEN)
}

/// The device's file of epochs, in a folder that is made if it is not there; and what keeps other processes out of it.
///
/// Without the epochs that were used before the device would use one again, and with it nonces.
fn epochs(folder: &Path, is_new: bool) -> Result<(EpochFile, File)> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("{} cannot be made", folder.display()))?;
    let lock = File::options().write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"));
    let lock = lock.with_context(|| format!("{} cannot be locked", folder.display()))?;
    lock.try_lock().with_context(|| format!("another process keeps a device in {}", folder.display()))?;
    let path = folder.join("epoch");
    match (is_new, path.try_exists()?) {
        (true, true) => bail!("{} has an epoch: leave --new-key out", folder.display()),
        (false, false) => bail!(
            "{} has no epoch. If the root key was never used, say --new-key. If it was, give the device a new one",
            folder.display()
        ),
        _ => Ok((EpochFile::new(path), lock)),
    }
}

/// Lines that wait to be printed; what comes while there are so many is not.
const WAITING: usize = 256;

/// Standard output, which a thread writes: whoever does not take it keeps the device from nothing.
struct Output {
    lines: SyncSender<String>,
    /// Lines that were not printed since the last one that was.
    lost: u64,
}

impl Output {
    /// Begins; returns also what tells that it cannot be written.
    fn start() -> (Self, oneshot::Receiver<io::Error>) {
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let (failed, unwritten) = oneshot::channel();
        thread::spawn(move || {
            let written = waiting.iter().try_for_each(|line| writeln!(io::stdout(), "{line}"));
            // As long as there is a device there is who hears it.
            if let Err(error) = written {
                drop(failed.send(error));
            }
        });
        (Self { lines, lost: 0 }, unwritten)
    }

    /// Prints a line with the time of the day, in UTC.
    fn say(&mut self, line: fmt::Arguments<'_>) {
        let seconds = elapsed().as_secs() % 86_400;
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let mut text = format!("{hour:02}:{minute:02}:{second:02} ");
        if self.lost > 0 {
            let _ = write!(text, "(lines that nobody took, and that are left out: {}) ", self.lost);
        }
        let _ = write!(text, "{line}");
        match self.lines.try_send(text) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += 1,
        }
    }

    /// Gives a device an input. If it has not taken those before, this one is lost.
    fn give(&mut self, inputs: &mpsc::Sender<Input>, input: Input) {
        match inputs.try_send(input) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => self.say(format_args!("the device is too busy: one input is lost")),
        }
    }

    /// Prints what the device reports. If it has stopped for good, this is the error.
    fn tell(&mut self, report: Report, broker: &Address, image: &Image) -> Result<()> {
        let name = |region| match image.function(region) {
            Some(function) => format!("`{}`", function.name),
            None if region == ALL_REGIONS => "all functions".to_owned(),
            None => format!("region {region}"),
        };
        match report {
            Report::Connected(_) => self.say(format_args!("connected to {broker}")),
            Report::NotConnected(_, error) => self.say(format_args!("not connected to {broker}: {error}")),
            Report::Did(_, Done::Receipt(0)) => {}
            Report::Did(_, Done::Receipt(count)) => self.say(format_args!("readings with a receipt: {count}")),
            Report::Did(_, Done::NewEpoch(epoch)) => self.say(format_args!("begins epoch {}", epoch.0)),
            Report::Did(_, Done::Examined { region, verdict }) => {
                let ran = match verdict {
                    Verdict::Intact if region == ALL_REGIONS => "as they were built",
                    Verdict::Intact => "it is as it was built, and ran",
                    Verdict::Altered => "it is altered, and did not run",
                    Verdict::Unknown => "there is no such function",
                };
                self.say(format_args!("examined {}: {ran}", name(region)));
            }
            Report::Did(_, Done::Restored { region, verdict, discarded }) => self.say(format_args!(
                "restored {}, which is {verdict:?} now; readings made with altered code and discarded: {discarded}",
                name(region)
            )),
            Report::Refused(_, error) => self.say(format_args!("refused: {error}")),
            Report::Stopped(_, error) => return Err(error.context("the device has stopped")),
        }
        Ok(())
    }
}

/// What happens to the device by a line of standard input.
fn happens(line: &str) -> Option<Input> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["patch", region, byte] => Some(Input::Patch(region.parse().ok()?, byte.parse().ok()?)),
        ["repeat"] => Some(Input::Repeat),
        _ => None,
    }
}

/// The lines of standard input, of which the longest is cut. They are read in a thread, which ends with the process: a terminal may never
/// send another one.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        while input.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

/// The minute of the day, in UTC.
fn minute() -> u16 {
    (elapsed().as_secs() / 60 % 1_440) as u16
}

/// The time since 1970.
fn elapsed() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
