//! Issuers, each with its city.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    agreement::Agreement,
    keys::{self, Known, Pace},
    token::{Login, Refused, Token},
};

/// An issuer, and the task that fetches its keys.
#[derive(Debug)]
struct Issuer {
    city: String,
    agreement: Arc<Agreement>,
    known: watch::Receiver<Known>,
    wanted: Arc<Notify>,
    /// Ends when this is dropped.
    _task: JoinSet<Infallible>,
}

/// Who may log in.
#[derive(Debug)]
pub struct Logins {
    pace: Pace,
    runtime: Handle,
    /// By the names of the issuers.
    issuers: RwLock<BTreeMap<String, Arc<Issuer>>>,
    changes: watch::Sender<()>,
}

impl Logins {
    /// Nobody may, yet. Keys will be fetched by tasks of this runtime.
    #[must_use]
    pub fn new(runtime: Handle, pace: Pace) -> Self {
        Self { pace, runtime, issuers: RwLock::default(), changes: watch::Sender::new(()) }
    }

    /// What is agreed with each city from now on. What has not changed keeps its keys.
    pub fn configure(&self, agreements: BTreeMap<String, Agreement>) {
        let mut issuers = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *issuers);
        for (city, agreement) in agreements {
            let same = before.remove(&agreement.issuer);
            let same = same.filter(|issuer| issuer.city == city && *issuer.agreement == agreement);
            let issuer = same.unwrap_or_else(|| Arc::new(self.issuer(city, agreement)));
            issuers.insert(issuer.agreement.issuer.clone(), issuer);
        }
        drop(issuers);
        self.changes.send_replace(());
    }

    fn issuer(&self, city: String, agreement: Agreement) -> Issuer {
        let (agreement, wanted) = (Arc::new(agreement), Arc::<Notify>::default());
        let (sender, known) = watch::channel(Known::default());
        let mut task = JoinSet::new();
        task.spawn_on(
            keys::keep(Arc::clone(&agreement), self.pace, sender, Arc::clone(&wanted)),
            &self.runtime,
        );
        Issuer { city, agreement, known, wanted, _task: task }
    }

    /// Is told when something else is agreed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether a login still holds: it has not expired, what it is by is still agreed, and the issuer has not withdrawn its key.
    #[must_use]
    pub fn holds(&self, login: &Login) -> bool {
        let issuers = self.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let issuer = issuers.get(&login.agreement.issuer);
        login.until > now()
            && issuer.is_some_and(|issuer| {
                let known = issuer.known.borrow();
                let key = known.keys.get(&login.key_id).filter(|_| known.is_fresh(self.pace));
                issuer.city == login.city
                    && issuer.agreement == login.agreement
                    && key.is_some_and(|key| key.text == login.key)
            })
    }

    /// Whose token this is. If its key is not there, this waits for it as long as [`Pace::wait`].
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn verify(&self, token: &str) -> Result<Login, Refused> {
        let token = Token::parse(token)?;
        let issuer = {
            let issuers = self.issuers.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(issuers.get(&token.issuer).ok_or(Refused::Issuer)?)
        };
        let mut known = issuer.known.clone();
        let has_key = |known: &Known| known.is_fresh(self.pace) && known.keys.contains_key(&token.key_id);
        if !has_key(&known.borrow_and_update()) {
            issuer.wanted.notify_one();
            drop(timeout(self.pace.wait, known.changed()).await);
        }
        let known = known.borrow().clone();
        match known.keys.get(&token.key_id) {
            _ if !known.is_fresh(self.pace) => Err(Refused::NoKeys),
            Some(key) => token.verify(key, &issuer.city, &issuer.agreement, now()),
            None if known.has_failed => Err(Refused::NoKeys),
            None => Err(Refused::UnknownKey),
        }
    }
}

/// In seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
