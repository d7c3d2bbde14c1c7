//! Users of other cities, who show tokens of their own cities: the crate `smart-city-login` says whose a token is, and the engine who is let in.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::StatusCode;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use smart_city_engine::{
    config::{City, ConfigError, Secrets, UserEntry},
    engine::{Guest, Input, Observer, Unwelcome},
};
use smart_city_frame::DeviceId;
use smart_city_login::{Agreement, Login, Logins, Pace, Trust};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};

use crate::exchange::lock;

/// Tokens of a city that are known. If there are more, those that hold no more are forgotten, or else all of it: each is verified again when it
/// is shown.
const KNOWN: usize = 1024;

/// Why somebody with a token is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The token is not good.
    Token(smart_city_login::Refused),
    /// It is good, and of another user than the name that is shown with it.
    Name,
    /// The engine does not want the guest.
    Unwelcome(Unwelcome),
    /// The gateway is ending.
    Ending,
}

impl Refused {
    /// What it is over HTTP.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Token(smart_city_login::Refused::NoKeys) | Self::Ending => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unwelcome(Unwelcome::TooMany | Unwelcome::TooOften) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(refused) => refused.fmt(f),
            Self::Name => f.write_str("the token is another user's"),
            Self::Unwelcome(unwelcome) => unwelcome.fmt(f),
            Self::Ending => f.write_str("the gateway is ending"),
        }
    }
}

/// A guest's session at the broker.
#[derive(Clone, Debug)]
pub struct Session {
    login: Login,
    number: u64,
}

/// Who has shown a token.
type Known = (Login, Arc<Guest>);

/// Who may log in at the own broker.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Users and devices of this city.
    pub secrets: watch::Receiver<Arc<Secrets>>,
    /// Users of others.
    pub guests: Arc<Guests>,
}

/// Who lets guests in.
#[derive(Debug)]
pub struct Guests {
    logins: Logins,
    engine: OnceLock<mpsc::Sender<Input>>,
    /// Who has shown a token over HTTP, by city and by the token's hash.
    known: Mutex<BTreeMap<String, HashMap<[u8; 32], Known>>>,
    sessions: AtomicU64,
}

impl Guests {
    /// There are none yet. Keys will be fetched by tasks of this runtime.
    #[must_use]
    pub fn new(runtime: Handle, pace: Pace) -> Self {
        Self {
            logins: Logins::new(runtime, pace),
            engine: OnceLock::new(),
            known: Mutex::default(),
            sessions: AtomicU64::new(0),
        }
    }

    /// Says where the engine is.
    pub fn connect(&self, engine: mpsc::Sender<Input>) {
        drop(self.engine.set(engine));
    }

    /// Is told when something else is agreed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.logins.changes()
    }

    /// The guest who has this token, for requests.
    ///
    /// # Errors
    /// Why nobody is let in with it.
    pub async fn with_token(&self, token: &str) -> Result<Arc<Guest>, Refused> {
        let hash = Sha256::digest(token).into();
        let known = lock(&self.known).values().find_map(|known| known.get(&hash).cloned());
        if let Some((login, guest)) = known
            && self.logins.holds(&login)
        {
            return Ok(guest);
        }
        let login = self.logins.verify(token).await.map_err(Refused::Token)?;
        let guest = self.let_in(&login, None).await?;
        let mut cities = lock(&self.known);
        let known = cities.entry(login.city.clone()).or_default();
        if known.len() >= KNOWN {
            known.retain(|_, (login, _)| self.logins.holds(login));
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(hash, (login, Arc::clone(&guest)));
        Ok(guest)
    }

    /// Whose token this is, who has shown it with this name.
    ///
    /// # Errors
    /// Why it is not good.
    pub async fn verify(&self, name: &str, token: &str) -> Result<Session, Refused> {
        let login = self.logins.verify(token).await.map_err(Refused::Token)?;
        if login.name != name {
            return Err(Refused::Name);
        }
        Ok(Session { login, number: self.sessions.fetch_add(1, Ordering::Relaxed) })
    }

    /// Begins a session at the broker: from now on readings are for this guest.
    ///
    /// # Errors
    /// Why the guest is not let in.
    pub async fn begin(&self, session: &Session) -> Result<(), Refused> {
        self.let_in(&session.login, Some(session.number)).await.map(drop)
    }

    /// Ends a session, if it is not another one's by now.
    pub async fn end(&self, session: &Session) {
        let (name, session) = (session.login.name.clone(), session.number);
        if let Some(engine) = self.engine.get() {
            drop(engine.send(Input::GuestGone { name, session }).await);
        }
    }

    /// Whether a session may go on.
    #[must_use]
    pub fn holds(&self, session: &Session) -> bool {
        self.logins.holds(&session.login)
    }

    async fn let_in(&self, login: &Login, session: Option<u64>) -> Result<Arc<Guest>, Refused> {
        let Login { name, city, departments, level, until, agreement, .. } = login.clone();
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        let guest = Arc::new(Guest {
            name,
            user: UserEntry { city, departments, level },
            until: Timestamp::from_second(until).unwrap_or(Timestamp::MIN),
            agreed: Arc::clone(&agreement.table),
        });
        let (reply, answer) = oneshot::channel();
        let input = Input::Guest { guest: Arc::clone(&guest), session, reply };
        let engine = self.engine.get().ok_or(Refused::Ending)?;
        engine.send(input).await.map_err(|_| Refused::Ending)?;
        answer.await.map_err(|_| Refused::Ending)?.map_err(Refused::Unwelcome)?;
        Ok(guest)
    }
}

/// Tells [`Guests`] what is agreed.
#[derive(Debug)]
pub struct Watcher(pub Arc<Guests>);

impl Observer for Watcher {
    fn city(&mut self, city: &City) {
        // It was made before: files with a fault in it are not taken over.
        let agreements = agreements(city).unwrap_or_else(|error| {
            tracing::error!(%error, "no user of another city logs in until the files are read again");
            Arc::default()
        });
        self.0.logins.configure((*agreements).clone());
    }

    fn reading(&mut self, _: DeviceId, _: u16, _: Timestamp, _: &[u8]) {}

    fn isolated(&mut self, _: DeviceId, _: bool) {}
}

/// What `city.toml` says of logins, by city.
///
/// # Errors
/// The first fault that is in it.
pub fn agreements(city: &City) -> Result<Arc<BTreeMap<String, Agreement>>, ConfigError> {
    city.once(made)
}

fn made(city: &City) -> Result<BTreeMap<String, Agreement>, ConfigError> {
    let mut agreements: BTreeMap<String, Agreement> = BTreeMap::new();
    for (name, partner) in &city.partners {
        let Some(table) = &partner.login else { continue };
        // Files are named as they are in the other file: beside this one.
        let trust = |authorities: &str| {
            let path = table.beside(authorities);
            let config = smart_city_address::trust(Some(&path)).map_err(|error| format!("{error:#}"))?;
            let authorities = std::fs::read(path).map_err(|error| error.to_string())?;
            Ok(Trust { config, authorities })
        };
        let is_department = |name: &str| city.departments.contains(name);
        let agreement = Agreement::parse(&table.value, is_department, trust)
            .map_err(|fault| table.fault(&fault.field, fault.message))?;
        if agreements.values().any(|other| other.issuer() == agreement.issuer()) {
            return Err(table.fault("issuer", "is another city's too".to_owned()));
        }
        agreements.insert(name.clone(), agreement);
    }
    Ok(agreements)
}
