//! Isolated devices, told to other cities and learned from them: leads the engine to the crate `smart-city-incidents`, and back.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::any,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use smart_city_engine::{
    config::{City, ConfigError},
    engine::{Input, Observer},
};
use smart_city_frame::DeviceId;
use smart_city_incidents::{Desk, Kept, Note, ROOT, Reports, agreement::Agreement};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

/// The longest time between two looks at what is to be done: what is too old is forgotten, too.
const TICK: Duration = Duration::from_secs(1);

/// What `city.toml` says of incidents.
///
/// # Errors
/// The first fault that is in it.
pub fn agreement(city: &City) -> Result<Arc<Agreement>, ConfigError> {
    city.once(smart_city_incidents::agreement::agreement)
}

/// What is told, and what is learned.
#[derive(Clone, Debug)]
pub struct Incidents {
    /// Tells others.
    pub desk: Arc<Desk>,
    /// What others have told.
    pub reports: Arc<Reports>,
}

impl Incidents {
    /// With what must not be forgotten in `dir`.
    ///
    /// # Errors
    /// If the file there cannot be read or made.
    pub fn open(dir: &Path) -> Result<Self> {
        let kept = Arc::new(Kept::open(dir)?);
        Ok(Self { desk: Arc::new(Desk::open(Arc::clone(&kept))?), reports: Arc::new(Reports::open(kept)?) })
    }

    /// For who looks how everything is, by city.
    #[must_use]
    pub fn status(&self) -> Value {
        json!({ "told": self.desk.status(), "learned": self.reports.status() })
    }

    /// Tells and learns as long as all of it can be stored.
    pub async fn run(self, engine: mpsc::Sender<Input>) {
        tokio::select! {
            ended = self.tell(&engine) => {
                tracing::error!("incidents cannot be stored: {:#}", ended.err().unwrap_or_else(|| anyhow::anyhow!("it ended")));
            }
            () = smart_city_incidents::run(Arc::clone(&self.reports)) => {}
            () = self.learn(&engine) => {}
            () = self.reports.failed() => {}
        }
    }

    async fn tell(&self, engine: &mpsc::Sender<Input>) -> Result<()> {
        loop {
            drop(timeout(TICK, self.desk.wake.notified()).await);
            let mut evidence = BTreeMap::new();
            for device in self.desk.unreported() {
                let (reply, result) = oneshot::channel();
                drop(engine.send(Input::Attestation(device, reply)).await);
                evidence.insert(device, result.await.ok().flatten());
            }
            let desk = Arc::clone(&self.desk);
            tokio::task::spawn_blocking(move || desk.update(&evidence, Timestamp::now())).await??;
            self.record(engine).await?;
        }
    }

    /// Has recorded what happened. What was told is kept until the audit log has it: after a crash it may be there twice.
    ///
    /// # Errors
    /// If it cannot be stored that the audit log has it.
    pub async fn record(&self, engine: &mpsc::Sender<Input>) -> Result<()> {
        let notes = self.desk.notes();
        if !notes.is_empty() {
            record(engine, notes.clone()).await;
            let (reply, stored) = oneshot::channel();
            drop(engine.send(Input::Stored(reply)).await);
            if stored.await.is_ok() {
                let desk = Arc::clone(&self.desk);
                tokio::task::spawn_blocking(move || desk.recorded(&notes)).await??;
            }
        }
        record(engine, self.reports.notes(Instant::now())).await;
        Ok(())
    }

    async fn learn(&self, engine: &mpsc::Sender<Input>) {
        let mut doubts = self.reports.doubts();
        // It may have changed since the engine got it at the start.
        doubts.mark_changed();
        while doubts.changed().await.is_ok() {
            let doubts = doubts.borrow_and_update().clone();
            // What it comes from stands before it.
            record(engine, self.reports.notes(Instant::now())).await;
            drop(engine.send(Input::Distrust(doubts)).await);
        }
    }
}

async fn record(engine: &mpsc::Sender<Input>, notes: Vec<Note>) {
    for (event, detail) in notes {
        drop(engine.send(Input::Note { event, detail }).await);
    }
}

/// Tells [`Incidents`] of the city.
#[derive(Debug)]
pub struct Watcher(pub Incidents);

impl Observer for Watcher {
    fn city(&mut self, city: &City) {
        // It was made before, when the files were read: files with a fault in it are not taken over, and a gateway does not start with them.
        match agreement(city) {
            Ok(agreement) => {
                self.0.desk.configure(city, (*agreement).clone());
                self.0.reports.configure(&city.home, (*agreement).clone());
            }
            // Without one, devices would be believed that others have isolated.
            Err(error) => tracing::error!(%error, "what was agreed on incidents before still holds"),
        }
    }

    fn reading(&mut self, _: DeviceId, _: u16, _: Timestamp, _: &[u8]) {}

    fn isolated(&mut self, device: DeviceId, is_isolated: bool) {
        self.0.desk.isolated(device, is_isolated);
    }
}

/// Those who have a turn, by city.
type Turns = Arc<Mutex<BTreeMap<String, Arc<Mutex<()>>>>>;

#[derive(Clone, Debug)]
struct Counter {
    desk: Arc<Desk>,
    /// One request of each city at a time is worked on: what is answered may be much.
    turns: Turns,
}

/// The routes.
pub fn router(desk: Arc<Desk>) -> Router {
    let below = format!("{ROOT}{{*path}}");
    Router::new()
        .route(ROOT.trim_end_matches('/'), any(answer))
        .route(ROOT, any(answer))
        .route(&below, any(answer))
        .with_state(Counter { desk, turns: Turns::default() })
}

async fn answer(State(Counter { desk, turns }): State<Counter>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    // Who is no reader has no turn, and is answered at once.
    let turn = match desk.reader(&head.headers) {
        Some(city) => {
            let turn = Arc::clone(turns.lock().await.entry(city).or_default());
            Some(turn.lock_owned().await)
        }
        None => None,
    };
    // It may be much, and the broker would wait for it. Then it is worked on to its end, whether or not somebody waits for the answer.
    let answer = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        desk.answer(&head.method, &head.uri, &head.headers)
    });
    answer.await.map(|answer| answer.map(Body::from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::http::{StatusCode, header};
    use sha2::{Digest as _, Sha256};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// Files of a city that reads incidents of `b`, which reads those here.
    fn files() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let hash = hex::encode(Sha256::digest(TOKEN));
        let partner = |city: &str| {
            format!(
                "[[partners]]\ncity = \"{city}\"\n[partners.incidents]\nreader = \"{hash}\"\n\
                collection = \"http://127.0.0.1:9/x\"\ntoken = \"token\"\n"
            )
        };
        let text =
            "departments = []\n[gateway]\ncity = \"a\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n\
            [[cities]]\nid = \"a\"\nname = \"A\"\n[[cities]]\nid = \"b\"\nname = \"B\"\n\
            [[cities]]\nid = \"c\"\nname = \"C\"\n"
                .to_owned();
        fs::write(dir.path().join("city.toml"), text + &partner("b") + &partner("c")).unwrap();
        fs::write(dir.path().join("token"), TOKEN).unwrap();
        dir
    }

    /// A file that is away when the city is taken over takes nobody's agreement away: neither who reads here, nor whom this city hears.
    #[test]
    fn what_was_agreed_before_holds_after_a_fault() {
        let dir = files();
        let city = City::read(&dir.path().join("city.toml")).unwrap();
        crate::check(&city).unwrap();
        fs::remove_file(dir.path().join("token")).unwrap();
        let incidents = Incidents::open(dir.path()).unwrap();
        let mut watcher = Watcher(incidents.clone());
        watcher.city(&city);
        let status = incidents.status();
        assert!(status["told"]["b"].is_object() && status["learned"]["b"].is_object(), "{status}");
        // A copy may be changed, and its files are read anew.
        let copy = city.clone();
        assert!(agreement(&copy).is_err());
        watcher.city(&copy);
        assert_eq!(incidents.status(), status);
    }

    /// While a city's request is worked on, another one of it waits, and those of others do not.
    #[tokio::test]
    async fn one_request_of_a_city_at_a_time() {
        let dir = files();
        let city = City::read(&dir.path().join("city.toml")).unwrap();
        let incidents = Incidents::open(dir.path()).unwrap();
        Watcher(incidents.clone()).city(&city);
        let counter = Counter { desk: incidents.desk, turns: Turns::default() };
        let ask = |city: &str| {
            use base64ct::{Base64, Encoding as _};
            let login = format!("Basic {}", Base64::encode_string(format!("{city}:{TOKEN}").as_bytes()));
            let request = Request::get(ROOT).header(header::AUTHORIZATION, login);
            let request = request.header(header::ACCEPT, "*/*").body(Body::empty()).unwrap();
            tokio::spawn(answer(State(counter.clone()), request))
        };
        assert_eq!(ask("b").await.unwrap().status(), StatusCode::OK);
        let turn = Arc::clone(&counter.turns.lock().await["b"]).lock_owned().await;
        let waits = ask("b");
        for (city, expected) in [("c", StatusCode::OK), ("x", StatusCode::UNAUTHORIZED)] {
            let answer = timeout(Duration::from_secs(5), ask(city)).await.unwrap();
            assert_eq!(answer.unwrap().status(), expected);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waits.is_finished());
        drop(turn);
        assert_eq!(waits.await.unwrap().status(), StatusCode::OK);
    }
}
