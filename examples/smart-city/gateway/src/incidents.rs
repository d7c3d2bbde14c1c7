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
    sync::{mpsc, oneshot},
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
            let notes =
                tokio::task::spawn_blocking(move || desk.update(&evidence, Timestamp::now())).await??;
            record(engine, notes).await;
            record(engine, self.reports.notes(Instant::now())).await;
        }
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
        // It was made before: files with a fault in it are not taken over.
        let agreement = agreement(city).unwrap_or_else(|error| {
            tracing::error!(%error, "nothing is told or learned of incidents until the files are read again");
            Arc::default()
        });
        self.0.desk.configure(city, (*agreement).clone());
        self.0.reports.configure(&city.home, (*agreement).clone());
    }

    fn reading(&mut self, _: DeviceId, _: u16, _: Timestamp, _: &[u8]) {}

    fn isolated(&mut self, device: DeviceId, is_isolated: bool) {
        self.0.desk.isolated(device, is_isolated);
    }
}

/// The routes.
pub fn router(desk: Arc<Desk>) -> Router {
    let below = format!("{ROOT}{{*path}}");
    Router::new()
        .route(ROOT.trim_end_matches('/'), any(answer))
        .route(ROOT, any(answer))
        .route(&below, any(answer))
        .with_state(desk)
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (head, _) = request.into_parts();
    // It may be much, and the broker would wait for it.
    let answer =
        tokio::task::spawn_blocking(move || desk.answer(&head.method, &head.uri, &head.headers)).await;
    answer.map(|answer| answer.map(Body::from)).unwrap_or_default()
}
