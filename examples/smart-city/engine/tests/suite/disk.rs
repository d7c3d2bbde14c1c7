//! A store in a file. A disk that cannot be read is no loss: what is on it may be whole.

use std::{fs, io};

use redb::{StorageBackend, backends::FileBackend};
use smart_city_engine::{
    file::{Directory, FileStore},
    store::Found,
};

use crate::{
    common::{engine, example},
    stores,
};

/// Fails to read.
#[derive(Debug)]
struct Failing(FileBackend, io::ErrorKind);

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(self.1.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[test]
fn a_fault_of_the_disk_is_not_taken_for_damage() {
    let dir = example();
    drop(engine(dir.path()));
    for (kind, is_damage) in [
        (io::ErrorKind::Other, false),
        (io::ErrorKind::TimedOut, false),
        (io::ErrorKind::UnexpectedEof, true),
        (io::ErrorKind::InvalidData, true),
    ] {
        match FileStore::find(dir.path(), |file| Ok(Failing(FileBackend::new(file)?, kind))) {
            Ok(found) => assert!(is_damage && matches!(found, Found::Damaged(_)), "{kind}: {found:?}"),
            Err(error) => assert!(!is_damage, "{kind}: {error:#}"),
        }
    }
    assert!(matches!(FileStore::peek(dir.path()), Ok(Some(Found::Whole(..)))));
}

#[test]
fn a_place_that_cannot_be_read_is_not_taken_for_empty() {
    let dir = example();
    let place = dir.path().join("city.toml");
    assert!(FileStore::find(&place, |file| Ok(FileBackend::new(file)?)).is_err());
    assert!(FileStore::peek(&place).is_err());
    fs::create_dir(FileStore::path(dir.path())).unwrap();
    assert!(FileStore::find(dir.path(), |file| Ok(FileBackend::new(file)?)).is_err());
    let empty = tempfile::tempdir().unwrap();
    let found = FileStore::find(empty.path(), |file| Ok(FileBackend::new(file)?));
    assert!(matches!(found, Ok(Found::Nothing)));
    assert!(matches!(FileStore::peek(empty.path()), Ok(Some(Found::Nothing))));
}

#[test]
fn a_file_does_what_every_store_does() {
    for (name, test) in stores::TESTS {
        println!("{name}");
        let dir = tempfile::tempdir().unwrap();
        test(&Directory { dir: dir.path(), disk: |file| Ok(FileBackend::new(file)?) });
    }
}
