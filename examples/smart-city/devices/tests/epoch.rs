//! What of the epoch is on the disk when power fails: this test's own `fsync` notes what would be.
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeMap,
    fs,
    os::{fd::RawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use smart_city_devices::epoch::EpochFile;
use smart_city_frame::Epoch;

/// What survives: the bytes of files that were synced, and the names in directories that were.
struct Disk {
    bytes: BTreeMap<u64, Vec<u8>>,
    names: BTreeMap<PathBuf, u64>,
}

static DISK: Mutex<Disk> = Mutex::new(Disk { bytes: BTreeMap::new(), names: BTreeMap::new() });

/// The system's, for the standard library as well.
// SAFETY: it has the signature of POSIX, and is the only one of this name in the program.
#[unsafe(no_mangle)]
extern "C" fn fsync(file: RawFd) -> i32 {
    let path = fs::read_link(format!("/proc/self/fd/{file}")).unwrap();
    let mut disk = DISK.lock().unwrap();
    if path.is_dir() {
        disk.names.retain(|name, _| name.parent() != Some(&path));
        for entry in fs::read_dir(&path).unwrap().map(Result::unwrap) {
            disk.names.insert(entry.path(), entry.metadata().unwrap().ino());
        }
    } else {
        let inode = fs::metadata(&path).unwrap().ino();
        disk.bytes.insert(inode, fs::read(&path).unwrap());
    }
    0
}

/// What is read after a loss of power.
fn survives(path: &Path) -> Option<String> {
    let disk = DISK.lock().unwrap();
    let bytes = disk.names.get(path).map(|inode| disk.bytes.get(inode).cloned().unwrap_or_default())?;
    Some(String::from_utf8(bytes).unwrap())
}

#[test]
fn an_epoch_is_on_the_disk_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap().join("epoch");
    let epochs = EpochFile::new(path.clone());
    assert_eq!(survives(&path), None);
    for expected in 1..=3 {
        assert_eq!(epochs.advance().unwrap(), Epoch(expected));
        assert_eq!(survives(&path), Some(format!("{expected}\n")), "power fails");
    }
}
