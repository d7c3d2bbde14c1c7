//! Seals and opens files with TWINE-128-OTR. `seal --help` says how, the module `format` says what is written.
//!
//! What is promised of the files:
//!
//! - The output is made in the directory where it will be, readable by its owner only on Unix, and gets its name when all of
//!   it was verified, written and synchronised; then the directory is synchronised. Whatever goes wrong before, nothing is
//!   left. On Linux the file has no name until then, where the file system allows that; else it is called `.seal-*`, and
//!   is removed also by a signal that ends the program. Only where neither helps, as when such a system loses power, does a
//!   `.seal-*` file stay; what it holds of an opened file is verified but incomplete.
//! - An existing file is replaced only with `--force`, and never if it is the input or the key file, whatever their names,
//!   or if it is not the one that was there at the start. Anything that is not a regular file is never replaced.
//! - A closed standard stream is an error, and so is a standard output that is the input or the key file.
//! - On standard output each chunk appears as soon as it is verified: constant memory leaves no other way. Every byte
//!   is genuine, but that the end is missing shows only at the end. **Who reads `seal open` from a pipe must check its
//!   exit status before relying on the data** (in a shell: `set -o pipefail`).
//! - Keys come from a file or from the environment, not from arguments, which every user of the machine can see. The
//!   program erases its keys and its buffers of plaintext, and writes no core file. It cannot erase the environment it was
//!   given.

#![forbid(unsafe_code)]

mod cleanup;
mod format;
mod output;
mod progress;
mod standard;

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Display,
    fs::{File, Metadata},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use format::{ChunkSize, Error, MAX_LEN, SecretKey};
use lexopt::{Arg, Parser};
use output::{Identity, Output};
use progress::Progress;
use twine_otr_aead::{StreamHeader, aead::Generate};
use zeroize::Zeroizing;

const DEFAULT_KEY_VARIABLE: &str = "TWINE_OTR_KEY";

const HELP: &str = "\
Seal and open files with TWINE-128-OTR authenticated encryption.

Usage: seal seal [-k KEYFILE | --key-env NAME] [-o OUT] [--force] [-q] [IN]
       seal open [-k KEYFILE | --key-env NAME] [-o OUT] [--force] [-q] [IN]
       seal keygen [-o KEYFILE]

IN and OUT are files; '-' or nothing is standard input or output.

  -k, --key-file FILE  read the key, 32 hexadecimal digits, from FILE
      --key-env NAME   read it from the environment variable NAME [TWINE_OTR_KEY]
  -o, --output OUT     write to OUT, which gets its name when all is well
  -f, --force          replace OUT if it exists (but never a key file by keygen)
  -q, --quiet          show no progress
  -h, --help           show this
  -V, --version        show the version

Exit status: 0 all is well, 1 refused or failed, 2 wrong usage. 'seal open' to standard output writes verified data as
it goes: check the exit status before relying on it.
";

enum Failure {
    Usage(String),
    Refused(String),
}

impl Failure {
    fn refused(what: impl Display) -> Self {
        Self::Refused(what.to_string())
    }
}

/// What makes a failure to do something with a file a message: the verb and the file.
fn cannot(verb: &str, path: &Path, why: impl Display) -> Failure {
    Failure::Refused(format!("cannot {verb} '{}': {why}", path.display()))
}

enum Command {
    Help,
    Version,
    Keygen(Option<PathBuf>),
    Convert(Conversion),
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Seal,
    Open,
}

struct Conversion {
    direction: Direction,
    key: KeySource,
    /// `None` is standard input.
    input: Option<PathBuf>,
    /// `None` is standard output.
    output: Option<PathBuf>,
    force: bool,
    quiet: bool,
}

enum KeySource {
    File(PathBuf),
    Variable(OsString),
}

fn main() -> ExitCode {
    forbid_core_files();
    let (status, message) = match parse(Parser::from_env()).and_then(run) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => (1, message),
        Err(Failure::Usage(message)) => (2, format!("{message}\nTry 'seal --help'.")),
    };
    // With nowhere left to complain, the status has to say it.
    let _ = writeln!(io::stderr(), "seal: {message}");
    ExitCode::from(status)
}

fn parse(mut arguments: Parser) -> Result<Command, Failure> {
    let usage = |error: lexopt::Error| Failure::Usage(error.to_string());
    let wrong = |what: &str| Failure::Usage(what.into());
    let not_dash = |path: OsString| (path != "-").then(|| PathBuf::from(path));

    let (mut command, mut key, mut input, mut output) = (None, None, None, None);
    let (mut force, mut quiet) = (false, false);
    let once = |is_first: bool, option: &str| {
        is_first.then_some(()).ok_or_else(|| Failure::Usage(format!("{option} is given twice")))
    };
    while let Some(argument) = arguments.next().map_err(usage)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('f') | Arg::Long("force") => {
                once(!force, "--force")?;
                force = true;
            }
            Arg::Short('q') | Arg::Long("quiet") => {
                once(!quiet, "--quiet")?;
                quiet = true;
            }
            Arg::Short('o') | Arg::Long("output") => {
                once(output.is_none(), "--output")?;
                output = Some(arguments.value().map_err(usage)?);
            }
            Arg::Short('k') | Arg::Long("key-file") if key.is_none() => {
                key = Some(KeySource::File(arguments.value().map_err(usage)?.into()));
            }
            Arg::Long("key-env") if key.is_none() => {
                key = Some(KeySource::Variable(arguments.value().map_err(usage)?));
            }
            Arg::Short('k') | Arg::Long("key-file" | "key-env") => {
                return Err(wrong("one key, please: -k or --key-env, once"));
            }
            Arg::Value(word) if command.is_none() => command = Some(word),
            Arg::Value(path) if input.is_none() => input = Some(path),
            other => return Err(usage(other.unexpected())),
        }
    }
    let direction = match command.as_deref().and_then(OsStr::to_str) {
        Some("seal") => Direction::Seal,
        Some("open") => Direction::Open,
        Some("keygen") if key.is_some() || input.is_some() || force || quiet => {
            return Err(wrong("keygen takes nothing but -o; it replaces no file"));
        }
        Some("keygen") => return Ok(Command::Keygen(output.and_then(not_dash))),
        _ => return Err(wrong("the first word must be seal, open or keygen")),
    };
    Ok(Command::Convert(Conversion {
        direction,
        key: key.unwrap_or_else(|| KeySource::Variable(DEFAULT_KEY_VARIABLE.into())),
        input: input.and_then(not_dash),
        output: output.and_then(not_dash),
        force,
        quiet,
    }))
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Help => print(HELP.as_bytes()),
        Command::Version => {
            print(format!("seal {}, format {}\n", env!("CARGO_PKG_VERSION"), format::VERSION).as_bytes())
        }
        Command::Keygen(output) => {
            let key = SecretKey::try_from_fn(getrandom::fill).map_err(Failure::refused)?;
            let line = key.to_hex_line();
            let Some(path) = output else { return print(&line) };
            let output = Output::new(&path, false, &[]).map_err(|error| cannot("create", &path, error))?;
            output.file().write_all(&line).map_err(|error| cannot("write", &path, error))?;
            output.commit().map_err(|error| cannot("create", &path, error))
        }
        Command::Convert(conversion) => conversion.run(),
    }
}

/// Writes to standard output.
fn print(text: &[u8]) -> Result<(), Failure> {
    let write = || {
        let mut output = standard::output()?;
        output.write_all(text)?;
        synchronise(&output)
    };
    write().map_err(|error| Failure::Refused(format!("standard output: {}", Error::Write(error))))
}

/// Waits until what standard output was redirected to is on the disk, so that no error of that comes too late. Nothing else
/// than a file can be waited for.
fn synchronise(output: &File) -> io::Result<()> {
    if output.metadata()?.is_file() { output.sync_all() } else { Ok(()) }
}

/// Without this, SIGQUIT would write the key to a file. Where a core goes to another program, as on many Linux systems, a
/// limit of 0 is not heeded, but one of 1 is.
fn forbid_core_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        // Fails where the limit is 0 already.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) });
    }
}

impl KeySource {
    /// The key, and which file it is from.
    fn load(&self) -> Result<(SecretKey, Option<Identity>), Failure> {
        match self {
            Self::File(path) => {
                // One byte more than a key shows that there is more; one read gets all of it, even from a pipe.
                let mut text = Zeroizing::new([0; SecretKey::HEX_LINE_LEN + 1]);
                let mut read = || {
                    let mut file = File::open(path)?;
                    let len = format::read_full(&mut file, text.as_mut_slice())?;
                    Ok((len, Identity::of(&file, Some(path))?, file.metadata()?))
                };
                let (len, identity, metadata) =
                    read().map_err(|error: io::Error| cannot("read the key file", path, error))?;
                let key = SecretKey::from_hex(&text[..len])
                    .map_err(|error| Failure::Refused(format!("key file '{}': {error}", path.display())))?;
                warn_of_exposure(path, &metadata);
                Ok((key, identity))
            }
            Self::Variable(name) => {
                let shown = name.to_string_lossy();
                let text = env::var_os(name).ok_or_else(|| {
                    Failure::Usage(format!(
                        "no key: give -k KEYFILE, or set the environment variable {shown}"
                    ))
                })?;
                let text = Zeroizing::new(text.into_encoded_bytes());
                let key = SecretKey::from_hex(&text)
                    .map_err(|error| Failure::Refused(format!("environment variable {shown}: {error}")))?;
                Ok((key, None))
            }
        }
    }
}

/// Says so if a key file is open to others. As with `ssh`, those of others are their owners' business; unlike there it is
/// no reason to refuse, since whoever has such a key needs its data all the same.
fn warn_of_exposure(path: &Path, metadata: &Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        if metadata.is_file() && is_own && metadata.mode() & 0o077 != 0 {
            let _ = writeln!(
                io::stderr(),
                "seal: warning: the key file '{}' is open to others (mode {:04o}): make it private with chmod 600",
                path.display(),
                metadata.mode() & 0o7777
            );
        }
    }
    #[cfg(not(unix))]
    let _ = (path, metadata);
}

impl Conversion {
    fn run(&self) -> Result<(), Failure> {
        let (key, key_file) = self.key.load()?;
        let input = match &self.input {
            Some(path) => File::open(path).map_err(|error| cannot("open", path, error))?,
            None => standard::input().map_err(|error| self.explain(&Error::Read(error)))?,
        };
        let is_input = |error| self.explain(&Error::Read(error));
        let metadata = input.metadata().map_err(is_input)?;
        let length = metadata.is_file().then_some(metadata.len());
        if self.direction == Direction::Seal && length.is_some_and(|length| length > MAX_LEN) {
            return Err(self.explain(&Error::TooLong));
        }
        let precious = [Identity::of(&input, self.input.as_deref()).map_err(is_input)?, key_file];
        let screen = Some(io::stderr()).filter(|stderr| !self.quiet && stderr.is_terminal());
        let input = Progress::new(input, length, screen);
        match &self.output {
            None => {
                let is_output = |error| self.explain(&Error::Write(error));
                let output = standard::output()
                    .and_then(|output| keeps(&output, &precious).map(|()| output))
                    .map_err(is_output)?;
                self.convert(key, input, &output)?;
                synchronise(&output).map_err(is_output)
            }
            Some(path) => {
                let output = Output::new(path, self.force, &precious)
                    .map_err(|error| cannot("create", path, error))?;
                self.convert(key, input, output.file())?;
                output.commit().map_err(|error| cannot("create", path, error))
            }
        }
    }

    fn convert(&self, key: SecretKey, input: impl Read, output: impl Write) -> Result<(), Failure> {
        match self.direction {
            Direction::Seal => {
                let stream = StreamHeader::try_generate().map_err(Failure::refused)?;
                format::seal(key, stream, ChunkSize::DEFAULT, input, output)
            }
            Direction::Open => format::open(key, input, output),
        }
        .map_err(|error| self.explain(&error))
    }

    /// Puts the file that an error is about in front of it.
    fn explain(&self, error: &Error) -> Failure {
        let (path, standard) = match error {
            Error::Write(_) => (&self.output, "standard output"),
            _ => (&self.input, "standard input"),
        };
        let name = path.as_ref().map_or(standard.into(), |path| path.display().to_string());
        Failure::Refused(format!("{name}: {error}"))
    }
}

/// Fails if writing to standard output would change the input or the key file. The same terminal or socket may well be read
/// and written.
fn keeps(output: &File, precious: &[Option<Identity>]) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = output.metadata()?.file_type();
        let identity = Identity::of(output, None)?;
        if !kind.is_char_device() && !kind.is_socket() && precious.contains(&identity) {
            return Err(io::Error::other("it is the input or the key file"));
        }
    }
    #[cfg(not(unix))]
    let _ = (output, precious);
    Ok(())
}
