//! What is between a gateway and its database, and can lose an answer.
#![allow(unreachable_pub, reason = "as of what is common")]

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

pub struct Proxy {
    dir: TempDir,
    /// The next request with this in it reaches the server, and its answer nobody.
    pub loses_answer_to: Arc<Mutex<Option<&'static str>>>,
    /// Nothing goes through, and no connection ends.
    pub is_silent: Arc<AtomicBool>,
    pub connections: Arc<AtomicUsize>,
}

fn socket(dir: &Path) -> PathBuf {
    dir.join(".s.PGSQL.5432")
}

impl Proxy {
    pub fn to(server: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket(dir.path())).unwrap();
        let proxy = Self {
            dir,
            loses_answer_to: Arc::default(),
            is_silent: Arc::default(),
            connections: Arc::default(),
        };
        let (server, loses, silent) =
            (socket(server), Arc::clone(&proxy.loses_answer_to), Arc::clone(&proxy.is_silent));
        let connections = Arc::clone(&proxy.connections);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                connections.fetch_add(1, SeqCst);
                let server = UnixStream::connect(&server).unwrap();
                let is_lost = Arc::new(AtomicBool::new(false));
                let (back, forth) =
                    ((server.try_clone().unwrap(), client.try_clone().unwrap()), (client, server));
                let (lost, quiet) = (Arc::clone(&is_lost), Arc::clone(&silent));
                let loses = Arc::clone(&loses);
                thread::spawn(move || {
                    pump(forth, &quiet, |bytes| {
                        let mut loses = loses.lock().unwrap();
                        if loses.take_if(|part| contains(bytes, part.as_bytes())).is_some() {
                            lost.store(true, SeqCst);
                        }
                        Fate::Arrive
                    });
                });
                let quiet = Arc::clone(&silent);
                thread::spawn(move || {
                    pump(back, &quiet, |bytes| match is_lost.load(SeqCst) {
                        false => Fate::Arrive,
                        // The server has done all that it was asked for, and waits for more.
                        true if bytes.ends_with(b"Z\0\0\0\x05I") => Fate::End,
                        true => Fate::Vanish,
                    });
                });
            }
        });
        proxy
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The way to `address` through it.
    pub fn to_address(&self, server: &Path, address: &str) -> String {
        address.replace(&server.display().to_string(), &self.dir().display().to_string())
    }
}

/// What becomes of bytes that came.
enum Fate {
    Arrive,
    Vanish,
    /// They vanish, and the connection with them.
    End,
}

/// Carries bytes until one end closes.
fn pump(
    (mut from, mut to): (UnixStream, UnixStream),
    is_silent: &AtomicBool,
    mut fate: impl FnMut(&[u8]) -> Fate,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        while is_silent.load(SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
        match fate(&buffer[..n]) {
            Fate::Arrive if to.write_all(&buffer[..n]).is_ok() => {}
            Fate::Vanish => {}
            Fate::Arrive | Fate::End => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
