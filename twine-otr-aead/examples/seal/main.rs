//! Seals and opens files with TWINE-128-OTR. `seal --help` says how, the module `format` says what is written.
//!
//! What is promised of the files:
//!
//! - The output is made under a temporary name (`.seal-*`, mode 0600 on Unix) in the directory where it will be, and
//!   gets its name when all of it was verified, written and synchronised. Whatever goes wrong before, the temporary
//!   file is removed. A process that is killed cannot do that: then a `.seal-*` file stays, readable by its owner only,
//!   and what it holds of an opened file is verified but incomplete.
//! - An existing file is replaced only with `--force`, and never if it is the input or the key file. Anything that is
//!   not a regular file is never replaced.
//! - On standard output each chunk appears as soon as it is verified: constant memory leaves no other way. Every byte
//!   is genuine, but that the end is missing shows only at the end. **Who reads `seal open` from a pipe must check its
//!   exit status before relying on the data** (in a shell: `set -o pipefail`).
//! - Keys come from a file or from the environment, not from arguments, which every user of the machine can see. The
//!   program erases its keys and its buffers of plaintext. It cannot erase the environment it was given, nor what the
//!   standard library buffers of standard input and output.

mod format;
mod progress;

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use format::{ChunkSize, Error, MAX_LEN, SALT_LEN, SecretKey};
use lexopt::{Arg, Parser};
use progress::Progress;
use tempfile::NamedTempFile;
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
    while let Some(argument) = arguments.next().map_err(usage)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('f') | Arg::Long("force") => force = true,
            Arg::Short('q') | Arg::Long("quiet") => quiet = true,
            Arg::Short('o') | Arg::Long("output") => output = Some(arguments.value().map_err(usage)?),
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
    let print = |text: &[u8]| {
        let mut output = io::stdout();
        output
            .write_all(text)
            .and_then(|()| output.flush())
            .map_err(|error| Failure::refused(Error::Write(error)))
    };
    match command {
        Command::Help => print(HELP.as_bytes()),
        Command::Version => {
            print(format!("seal {}, format {}\n", env!("CARGO_PKG_VERSION"), format::VERSION).as_bytes())
        }
        Command::Keygen(output) => {
            let key = SecretKey::try_from_fn(getrandom::fill).map_err(Failure::refused)?;
            match output {
                Some(path) => write_key(&path, &key),
                None => print(&*key.to_hex_line()),
            }
        }
        Command::Convert(conversion) => conversion.run(),
    }
}

/// Writes a key file, which must be new, for its owner only.
fn write_key(path: &Path, key: &SecretKey) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| cannot("create", path, error))?;
    file.write_all(&*key.to_hex_line()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is of no use. What matters is the first error.
        let _ = fs::remove_file(path);
        cannot("write", path, error)
    })
}

impl KeySource {
    fn load(&self) -> Result<SecretKey, Failure> {
        match self {
            Self::File(path) => {
                // One byte more than a key shows that there is more; one read gets all of it, even from a pipe.
                let mut text = Zeroizing::new([0; SecretKey::HEX_LINE_LEN + 1]);
                let len = File::open(path)
                    .and_then(|mut file| format::read_full(&mut file, text.as_mut_slice()))
                    .map_err(|error| cannot("read the key file", path, error))?;
                SecretKey::from_hex(&text[..len])
                    .map_err(|error| Failure::Refused(format!("key file '{}': {error}", path.display())))
            }
            Self::Variable(name) => {
                let shown = name.to_string_lossy();
                let text = env::var_os(name).ok_or_else(|| {
                    Failure::Usage(format!(
                        "no key: give -k KEYFILE, or set the environment variable {shown}"
                    ))
                })?;
                let text = Zeroizing::new(text.into_encoded_bytes());
                SecretKey::from_hex(&text)
                    .map_err(|error| Failure::Refused(format!("environment variable {shown}: {error}")))
            }
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Variable(_) => None,
        }
    }
}

impl Conversion {
    fn run(&self) -> Result<(), Failure> {
        let key = self.key.load()?;
        let (input, length) = self.open_input()?;
        if self.direction == Direction::Seal && length.is_some_and(|length| length > MAX_LEN) {
            return Err(self.explain(&Error::TooLong));
        }
        let screen = Some(io::stderr()).filter(|stderr| !self.quiet && stderr.is_terminal());
        let input = Progress::new(input, length, screen);
        match &self.output {
            None => self.convert(&key, input, io::stdout().lock()),
            Some(path) => {
                let target = Target::new(path, self.force, [self.input.as_deref(), self.key.path()])?;
                self.convert(&key, input, target.file.as_file())?;
                target.commit()
            }
        }
    }

    /// The input, and its length if that is known.
    fn open_input(&self) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
        let Some(path) = &self.input else {
            return Ok((Box::new(io::stdin().lock()), None));
        };
        let open = || {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            Ok((file, metadata.is_file().then_some(metadata.len())))
        };
        let (file, length) = open().map_err(|error: io::Error| cannot("open", path, error))?;
        Ok((Box::new(file), length))
    }

    fn convert(&self, key: &SecretKey, input: impl Read, output: impl Write) -> Result<(), Failure> {
        match self.direction {
            Direction::Seal => {
                let mut salt = [0; SALT_LEN];
                getrandom::fill(&mut salt).map_err(Failure::refused)?;
                format::seal(key, &salt, ChunkSize::DEFAULT, input, output)
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

/// An output file in the making. Dropped before [`commit`](Self::commit), it leaves nothing behind.
struct Target<'a> {
    path: &'a Path,
    file: NamedTempFile,
    replace: bool,
}

impl<'a> Target<'a> {
    fn new(path: &'a Path, replace: bool, precious: [Option<&Path>; 2]) -> Result<Self, Failure> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("create", path, error)),
            Ok(metadata) if !metadata.is_file() => {
                return Err(cannot("replace", path, "it is not a regular file"));
            }
            Ok(_) if precious.into_iter().flatten().any(|other| same_file(path, other)) => {
                return Err(cannot("replace", path, "it is the input or the key file"));
            }
            Ok(_) if !replace => return Err(cannot("create", path, "it exists (--force replaces it)")),
            Ok(_) => {}
        }
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".seal-")
            .tempfile_in(directory)
            .map_err(|error| cannot("create a temporary file for", path, error))?;
        Ok(Self { path, file, replace })
    }

    /// Gives the finished file its name. Without `--force` this fails if the name has been taken meanwhile.
    fn commit(self) -> Result<(), Failure> {
        self.file.as_file().sync_all().map_err(|error| cannot("write", self.path, error))?;
        let persist = if self.replace { NamedTempFile::persist } else { NamedTempFile::persist_noclobber };
        persist(self.file, self.path).map(drop).map_err(|failed| cannot("create", self.path, failed.error))
    }
}

/// Whether two names lead to the same place. (Another hard link to it is another place: replacing one keeps the other.)
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
