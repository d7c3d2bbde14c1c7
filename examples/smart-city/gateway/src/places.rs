//! Places for what takes long: so many in all, and fewer for each user, so that one user does not hold up all others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::exchange::lock;

/// The places. Who has one keeps it until the work is done, even if nobody waits for the answer any more.
#[derive(Clone, Debug)]
pub struct Places {
    of_all: Arc<Semaphore>,
    of_a_user: usize,
    of_users: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A place, until this is dropped.
pub(crate) type Place = [OwnedSemaphorePermit; 2];

impl Places {
    /// So many places in all, and for each user.
    #[must_use]
    pub fn new(of_all: usize, of_a_user: usize) -> Self {
        Self { of_all: Arc::new(Semaphore::new(of_all)), of_a_user, of_users: Arc::default() }
    }

    fn of(&self, user: &str) -> Arc<Semaphore> {
        let mut of_users = lock(&self.of_users);
        // Users come and go: before there is memory for more of them, those without a place are forgotten.
        if of_users.len() == of_users.capacity() {
            of_users.retain(|_, places| Arc::strong_count(places) > 1);
            let len = of_users.len();
            of_users.reserve(len.max(16));
        }
        let places = of_users.entry(user.to_owned());
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(self.of_a_user))))
    }

    async fn with(&self, own: OwnedSemaphorePermit) -> Option<Place> {
        Some([own, Arc::clone(&self.of_all).acquire_owned().await.ok()?])
    }

    /// Waits for a place.
    pub(crate) async fn take(&self, user: &str) -> Option<Place> {
        self.with(self.of(user).acquire_owned().await.ok()?).await
    }

    /// Waits until others have left a place; none if the user itself has all that it may have.
    pub(crate) async fn take_unless_own_are_taken(&self, user: &str) -> Option<Place> {
        self.with(self.of(user).try_acquire_owned().ok()?).await
    }

    /// A place, if there is one now.
    pub(crate) fn try_take(&self, user: &str) -> Option<Place> {
        let own = self.of(user).try_acquire_owned().ok()?;
        Some([own, Arc::clone(&self.of_all).try_acquire_owned().ok()?])
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        lock(&self.of_users).len()
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.of_all.available_permits()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Whether a place can be taken now.
    pub(crate) async fn has_place(places: &Places, user: &str) -> bool {
        tokio::time::timeout(std::time::Duration::ZERO, places.take(user))
            .await
            .is_ok_and(|place| place.is_some())
    }

    #[tokio::test]
    async fn a_user_has_some_of_the_places() {
        let places = Places::new(4, 2);
        let mut taken = vec![places.take("hana").await, places.take("hana").await];
        assert!(!has_place(&places, "hana").await && has_place(&places, "ren").await);
        assert!(places.take_unless_own_are_taken("hana").await.is_none());
        assert!(places.try_take("hana").is_none() && places.try_take("ren").is_some());
        taken.extend([places.take("ren").await, places.take_unless_own_are_taken("ren").await]);
        assert!(taken.iter().all(Option::is_some) && !has_place(&places, "sora").await);
        assert!(places.try_take("sora").is_none());
        drop(taken);
        assert!(has_place(&places, "hana").await && has_place(&places, "sora").await);
    }

    #[tokio::test]
    async fn who_is_gone_is_forgotten() {
        let places = Places::new(10_000, 2);
        let kept: Vec<_> = (0..100).map(|i| places.try_take(&format!("stays {i}"))).collect();
        for i in 0..10_000 {
            assert!(places.try_take(&i.to_string()).is_some());
        }
        assert!(places.remembered() < 1000, "{}", places.remembered());
        let again: Vec<_> = (0..100).map(|i| places.try_take(&format!("stays {i}"))).collect();
        assert!(kept.iter().chain(&again).all(Option::is_some));
        assert!((0..100).all(|i| places.try_take(&format!("stays {i}")).is_none()), "they have two");
    }
}
