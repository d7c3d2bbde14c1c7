//! Users who read the history. That takes a while, and so each user reads once at a time, and few of them at once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many read at once; others wait.
const PLACES: usize = 2;

/// Those who read, or wait for a place.
#[derive(Clone, Debug)]
pub struct Readers {
    users: Arc<Mutex<HashSet<String>>>,
    places: Arc<Semaphore>,
}

impl Default for Readers {
    fn default() -> Self {
        Self { users: Arc::default(), places: Arc::new(Semaphore::new(PLACES)) }
    }
}

/// It is a user's turn until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    readers: Readers,
    user: String,
    place: Option<OwnedSemaphorePermit>,
}

impl Readers {
    fn users(&self) -> MutexGuard<'_, HashSet<String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; none if this user reads already.
    pub(crate) async fn turn(&self, user: &str) -> Option<Turn> {
        if !self.users().insert(user.to_owned()) {
            return None;
        }
        let mut turn = Turn { readers: self.clone(), user: user.to_owned(), place: None };
        turn.place = Arc::clone(&self.places).acquire_owned().await.ok();
        Some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.readers.users().remove(&self.user);
    }
}
