//! The standard streams as plain files.
//!
//! Rust's own keep data in buffers that nobody erases, take a stream that cannot be read for an empty one, and forget what
//! they write to one that cannot be written.

use std::{
    fs::File,
    io::{self, Error},
};

pub(crate) fn input() -> io::Result<File> {
    open(io::stdin())
}

pub(crate) fn output() -> io::Result<File> {
    open(io::stdout())
}

#[cfg(unix)]
fn open(stream: impl std::os::fd::AsFd) -> io::Result<File> {
    let file = File::from(stream.as_fd().try_clone_to_owned()?);
    if is_closed(&file)? {
        return Err(Error::other("it is closed (or it is /dev/null, open to be read and written)"));
    }
    Ok(file)
}

/// Whether the stream was closed when the program started. Before `main`, Rust then opens /dev/null in its place, to be
/// read and written. A shell opens it for one of them, so that `< /dev/null` and `> /dev/null` are taken for what they are.
#[cfg(unix)]
fn is_closed(file: &File) -> io::Result<bool> {
    use rustix::fs::{OFlags, fcntl_getfl};
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let stream = file.metadata()?;
    Ok(stream.file_type().is_char_device()
        && std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == stream.rdev())
        && fcntl_getfl(file)? & OFlags::ACCMODE == OFlags::RDWR)
}

#[cfg(windows)]
fn open(stream: impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(stream.as_handle().try_clone_to_owned()?.into())
}
