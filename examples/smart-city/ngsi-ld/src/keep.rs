//! What users wrote is kept before anybody sees it, and is there again after a start.

use std::{error::Error, io, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    broker::{Broker, Nothing, Source, State},
    entity::{Origin, Part},
    problem::{Kind, Problem, Result},
    subscription::Subscription,
};

/// The name of something that a user wrote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Who wrote it.
    pub user: String,
    /// What it is.
    pub what: What,
    /// Its id, which is of this user alone.
    pub id: String,
}

/// What users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The user's part of an entity.
    Entity,
    /// A subscription.
    Subscription,
}

/// Keeps what users write.
pub trait Keeper: Send + Sync + 'static {
    /// Makes durable what there is under each key from now on, if anything: all of it or, with an error, nothing. It returns when it has.
    ///
    /// # Errors
    /// If that is not possible. Then the broker ends.
    fn keep(&self, changes: &[(Key, Option<Vec<u8>>)]) -> io::Result<()>;
}

/// What is kept of a part, and of what standing its user was when it was written.
#[derive(Serialize, Deserialize)]
struct KeptPart<P> {
    standing: String,
    part: P,
}

impl Key {
    pub(crate) fn new(user: &str, what: What, id: &str) -> Self {
        Self { user: user.to_owned(), what, id: id.to_owned() }
    }
}

impl State {
    /// What is to be kept under a key; none if there is nothing.
    fn record(&self, Key { user, what, id }: &Key) -> serde_json::Result<Option<Vec<u8>>> {
        match what {
            What::Entity => {
                let parts = self.entities.get(id).into_iter().flatten();
                let part =
                    parts.into_iter().find(|part| matches!(&part.origin, Origin::User(of) if of == user));
                let standing = self.policy.standing(user);
                part.map(|part| serde_json::to_vec(&KeptPart { standing, part })).transpose()
            }
            What::Subscription => {
                let subscription = self.subscriptions.get(&(user.clone(), id.clone()));
                subscription.map(|subscription| serde_json::to_vec(&subscription.to_record())).transpose()
            }
        }
    }
}

impl Broker {
    /// Changes the state. Nobody sees what users changed before it is kept.
    pub(crate) fn edit<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state_mut();
        let result = work(&mut state);
        self.keep(&mut state)?;
        result
    }

    /// Keeps what users changed. If that fails, what is in memory is not what is kept: nobody sees it, and the broker ends.
    pub(crate) fn keep(&self, state: &mut State) -> Result<()> {
        let changed = std::mem::take(&mut state.changed);
        let Some(keeper) = state.keeper.as_ref().filter(|_| !changed.is_empty()) else { return Ok(()) };
        let records = changed.into_iter().map(|key| state.record(&key).map(|record| (key, record)));
        let kept = records.collect::<serde_json::Result<Vec<_>>>().map_err(io::Error::from);
        kept.and_then(|changes| keeper.keep(&changes)).map_err(|error| {
            state.policy = Arc::new(Nothing);
            self.fail(format!("what users wrote cannot be stored: {error}"));
            Problem::new(Kind::NotStored, "it cannot be stored, and the gateway ends")
        })
    }

    /// From now on `keeper` keeps what users write, and what it has kept so far is there: but for what was written by users who are not
    /// there any more, or, of entities, had another standing when they wrote it. Say before by [`configure`](Self::configure) who is there.
    ///
    /// # Errors
    /// If a record is none that was made here, or the keeper fails. Then the broker must not be used.
    pub fn restore(
        &self,
        keeper: impl Keeper,
        records: impl IntoIterator<Item = (Key, Vec<u8>)>,
    ) -> std::result::Result<(), Box<dyn Error + Send + Sync>> {
        let mut state = self.state_mut();
        let (mut parts, mut subscriptions, mut outdated) = (Vec::new(), Vec::new(), Vec::new());
        for (key, record) in records {
            let is_there = state.policy.sees(&key.user, Source::User(&key.user));
            match key.what {
                What::Entity => {
                    let KeptPart::<Part> { standing, part } = read(&key, &record)?;
                    if part.origin != Origin::User(key.user.clone()) {
                        return Err(unknown(&key, "another user wrote it").into());
                    }
                    part.size().map_err(|problem| unknown(&key, &problem.detail))?;
                    if is_there && standing == state.policy.standing(&key.user) {
                        parts.push((key, part));
                    } else {
                        outdated.push(key);
                    }
                }
                What::Subscription => {
                    let subscription = Subscription::restored(&key.user, &read::<Value>(&key, &record)?);
                    let subscription = subscription.map_err(|problem| unknown(&key, &problem.detail))?;
                    if is_there {
                        subscriptions.push((key, subscription));
                    } else {
                        outdated.push(key);
                    }
                }
            }
        }
        let failed = |problem: Problem| problem.detail;
        for (Key { user, id, .. }, part) in parts {
            state.put_part(user, id, part).map_err(failed)?;
        }
        for (Key { user, id, .. }, subscription) in subscriptions {
            state.put_subscription((user, id), subscription).map_err(failed)?;
        }
        state.changed = outdated.into_iter().collect();
        state.keeper = Some(Box::new(keeper));
        Ok(self.keep(&mut state).map_err(failed)?)
    }
}

fn unknown(Key { user, id, .. }: &Key, why: &str) -> String {
    format!("what is kept of {user} as {id} cannot be read: {why}")
}

fn read<T: DeserializeOwned>(key: &Key, record: &[u8]) -> std::result::Result<T, String> {
    serde_json::from_slice(record).map_err(|error| unknown(key, &error.to_string()))
}
