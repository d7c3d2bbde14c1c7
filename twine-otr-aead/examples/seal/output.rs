//! An output file that has its name only when all of it is on the disk.

use std::{
    fs::{self, File, Metadata},
    io::{self, Error, ErrorKind},
    path::{Path, PathBuf, is_separator},
};

use tempfile::{Builder, TempPath};

use crate::cleanup;

/// Which file it is, whatever name leads to it.
#[derive(PartialEq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
    #[cfg(not(unix))]
    path: PathBuf,
}

impl Identity {
    /// Of an open file, by the name that it was opened by, if it has one.
    pub(crate) fn of(file: &File, path: Option<&Path>) -> io::Result<Option<Self>> {
        #[cfg(unix)]
        return Ok(Some(Self::new(&file.metadata()?, path.unwrap_or(Path::new("")))?));
        #[cfg(not(unix))]
        return path.map(|path| Self::new(&file.metadata()?, path)).transpose();
    }

    #[cfg(unix)]
    fn new(metadata: &Metadata, _: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        Ok(Self { device_and_inode: (metadata.dev(), metadata.ino()) })
    }

    #[cfg(not(unix))]
    fn new(_: &Metadata, path: &Path) -> io::Result<Self> {
        Ok(Self { path: fs::canonicalize(path)? })
    }

    /// Of what has the name now, itself if it is a link.
    fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).and_then(|metadata| Self::new(&metadata, path)).ok()
    }
}

/// The file that is to be replaced.
struct Old {
    identity: Identity,
    /// While it is open, no other file can become the one that it is.
    _held: Option<File>,
}

/// A file in the making. Dropped before [`commit`](Self::commit), it leaves nothing behind.
pub(crate) struct Output<'a> {
    path: &'a Path,
    directory: &'a Path,
    file: File,
    old: Option<Old>,
    /// The directory, open to be synchronised, if that can be done here.
    pub(crate) synchronised: Option<File>,
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        drop(cleanup::temporary_name().take());
    }
}

impl<'a> Output<'a> {
    /// An output that will have the name `path`, and then replace what has it now if `replace` allows that. The
    /// `precious` files it never replaces.
    pub(crate) fn new(path: &'a Path, replace: bool, precious: &[Option<Identity>]) -> io::Result<Self> {
        Self::with(path, replace, precious, unnamed)
    }

    /// The same where `unnamed` makes a file without a name in a directory, if that can be had.
    pub(crate) fn with(
        path: &'a Path,
        replace: bool,
        precious: &[Option<Identity>],
        unnamed: fn(&Path) -> io::Result<Option<File>>,
    ) -> io::Result<Self> {
        // `Path` takes `name/` and `name/.` for `name`.
        let name = path.as_os_str().as_encoded_bytes().rsplit(|&byte| is_separator(byte.into())).next();
        if let None | Some(b"" | b"." | b"..") = name {
            return Err(Error::new(ErrorKind::InvalidInput, "it is no name of a file"));
        }
        let old = match look_at(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
            Ok((_, metadata)) if !metadata.is_file() => return Err(Error::other("it is not a regular file")),
            Ok((held, metadata)) => Some(Old { identity: Identity::new(&metadata, path)?, _held: held }),
        };
        if let Some(old) = &old {
            if precious.iter().flatten().any(|precious| *precious == old.identity) {
                return Err(Error::other("it is the input or the key file"));
            }
            if !replace {
                return Err(Error::other("it exists (seal and open replace it with --force)"));
            }
        }
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synchronised = open_directory(directory)?;
        cleanup::at_signals()?;
        let file = match unnamed(directory)? {
            Some(file) => file,
            None => named(directory)?,
        };
        Ok(Self { path, directory, file, old, synchronised })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the finished file its name. This fails if something else has taken it meanwhile.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        let mut temporary = cleanup::temporary_name();
        let result = match (&self.old, temporary.take()) {
            (None, Some(name)) => name.persist_noclobber(self.path).map_err(|failed| failed.error),
            (None, None) => link(&self.file, self.path),
            (Some(old), Some(name)) => self.replace(old, name),
            (Some(old), None) => builder()
                .make_in(self.directory, |name| link(&self.file, name))
                .and_then(|named| self.replace(old, named.into_temp_path())),
        };
        drop(temporary);
        result?;
        match self.synchronised.as_ref().map_or(Ok(()), File::sync_all) {
            // Some file systems do without.
            Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts the file in the place of the old one.
    fn replace(&self, old: &Old, temporary: TempPath) -> io::Result<()> {
        let taken = || Error::new(ErrorKind::AlreadyExists, "something else has taken its name meanwhile");
        let is_old = |path: &Path| Identity::at(path).is_some_and(|identity| identity == old.identity);
        let own = Identity::of(&self.file, None)?;
        match exchange(&temporary, self.path) {
            Ok(true) => {}
            Ok(false) if is_old(self.path) => {
                return temporary.persist(self.path).map_err(|failed| failed.error);
            }
            Ok(false) => return Err(taken()),
            // It was removed, which leaves a free name.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return temporary.persist_noclobber(self.path).map_err(|failed| failed.error);
            }
            Err(error) => return Err(error),
        }
        if is_old(&temporary) {
            return temporary.close();
        }
        // What came off the name is not the old file: back with it. If even that fails, nobody's file is removed.
        let is_back = exchange(&temporary, self.path);
        if is_back.is_err() || Identity::at(&temporary) != own {
            let kept = temporary.keep().map_err(|failed| failed.error)?;
            return Err(Error::other(format!("what was there is '{}' now", kept.display())));
        }
        Err(taken())
    }
}

fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".seal-");
    builder
}

/// A file under a temporary name, which is removed whatever happens.
fn named(directory: &Path) -> io::Result<File> {
    let mut name = cleanup::temporary_name();
    let (file, path) = builder().tempfile_in(directory)?.into_parts();
    *name = Some(path);
    Ok(file)
}

/// A file without a name, which is gone when the process is, even if that is killed: where the system has such files
/// and can name them later.
#[cfg(target_os = "linux")]
fn unnamed(directory: &Path) -> io::Result<Option<File>> {
    use rustix::{
        fs::{Mode, OFlags},
        io::Errno,
    };

    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let through_proc = fs::metadata(in_proc(&file)).and_then(|metadata| Identity::new(&metadata, directory));
    let can_be_named = Identity::of(&file, None)? == through_proc.ok();
    Ok(can_be_named.then_some(file))
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn in_proc(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Gives a file without a name one, which must be free.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    Ok(linkat(CWD, in_proc(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// What has the name, itself if it is a link.
#[cfg(target_os = "linux")]
fn look_at(path: &Path) -> io::Result<(Option<File>, Metadata)> {
    use rustix::fs::{Mode, OFlags, open};
    let file = File::from(open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let metadata = file.metadata()?;
    Ok((Some(file), metadata))
}

#[cfg(not(target_os = "linux"))]
fn look_at(path: &Path) -> io::Result<(Option<File>, Metadata)> {
    Ok((None, fs::symlink_metadata(path)?))
}

/// Lets two names change places in one step. Returns false if that cannot be had here.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
fn open_directory(directory: &Path) -> io::Result<Option<File>> {
    match File::open(directory) {
        // Who may write there may still not list it.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(not(unix))]
fn open_directory(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}
