//! Other cities: leads what the engine accepts to the crate `smart-city-cities`, and what others hand over to the engine.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use jiff::Timestamp;
use serde_json::json;
use smart_city_cities::{Gate, MOST_BODY, PATH, agreement::Agreement};
use smart_city_engine::{
    config::{City, ConfigError},
    engine::{Input, Observer, Output},
};
use smart_city_frame::DeviceId;
use tokio::sync::{Mutex, mpsc, oneshot};

/// How often what happened goes to the audit log.
const NOTES: Duration = Duration::from_secs(1);

/// What `city.toml` says of other cities.
///
/// # Errors
/// The first fault that is in it.
pub fn agreement(city: &City) -> Result<Agreement, ConfigError> {
    smart_city_cities::agreement::agreement(city)
}

/// Opens the gate of the city, with what it must not forget in `dir`, and what tells it of the city.
///
/// # Errors
/// If the file in `dir` cannot be read or made.
pub fn gate(dir: &Path) -> Result<(Arc<Gate>, impl Observer + 'static)> {
    let gate = Arc::new(Gate::open(dir)?);
    Ok((Arc::clone(&gate), Watcher(gate)))
}

#[derive(Debug)]
struct Watcher(Arc<Gate>);

impl Observer for Watcher {
    fn city(&mut self, city: &City) {
        // Files with a fault in it are not taken over, but a file that they name may be another one by now.
        let agreement = agreement(city).unwrap_or_else(|error| {
            tracing::error!(%error, "nothing is handed over until the files are read again");
            Agreement::default()
        });
        self.0.configure(city, agreement);
    }

    fn reading(&mut self, device: DeviceId, stream: u16, time: Timestamp, payload: &[u8]) {
        self.0.reading(device, stream, time, payload);
    }

    fn isolated(&mut self, device: DeviceId, is_isolated: bool) {
        self.0.isolated(device, is_isolated);
    }
}

/// Sends what waits for other cities, and has recorded what happened, until the gate fails.
pub async fn send(gate: Arc<Gate>, engine: mpsc::Sender<Input>) {
    let notes = record(Arc::clone(&gate), engine);
    tokio::select! {
        () = smart_city_cities::run(Arc::clone(&gate)) => {}
        () = notes => {}
        () = gate.failed() => {}
    }
}

/// Has recorded what is left when the gateway ends.
pub async fn record_rest(gate: &Gate, engine: &mpsc::Sender<Input>) {
    for (event, detail) in gate.last_notes() {
        drop(engine.send(Input::Note { event, detail }).await);
    }
}

async fn record(gate: Arc<Gate>, engine: mpsc::Sender<Input>) {
    loop {
        tokio::time::sleep(NOTES).await;
        for (event, detail) in gate.notes(Instant::now()) {
            drop(engine.send(Input::Note { event, detail }).await);
        }
    }
}

/// Who holds it has a turn.
type Turn = Arc<Mutex<()>>;

/// Those of each partner.
type Turns = BTreeMap<Option<String>, Turn>;

#[derive(Clone, Debug)]
struct Hall {
    gate: Arc<Gate>,
    engine: mpsc::Sender<Input>,
    /// One message at a time is worked on, of all cities: the own city needs the processor, too.
    turn: Turn,
    /// Of each partner one message waits for that turn, and the others of it for that one, so that partners take turns. Who is none has
    /// one of these for all.
    turns: Arc<Mutex<Turns>>,
}

/// The routes.
pub fn router(gate: Arc<Gate>, engine: mpsc::Sender<Input>) -> Router {
    let hall = Hall { gate, engine, turn: Arc::default(), turns: Arc::default() };
    Router::new().route(PATH, post(take)).with_state(hall)
}

async fn take(State(hall): State<Hall>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MOST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    // Who does not wait for its turn has none.
    let from = hall.gate.sender(&body);
    let of_partner = Arc::clone(hall.turns.lock().await.entry(from).or_default());
    let of_partner = of_partner.lock_owned().await;
    let turn = Arc::clone(&hall.turn).lock_owned().await;
    // Then it is worked on to its end, whether or not somebody waits for the answer.
    let taken = tokio::spawn(async move {
        let _turns = (of_partner, turn);
        if !give(&hall.engine, Vec::new()).await {
            // Users do not take as fast.
            return None;
        }
        let gate = Arc::clone(&hall.gate);
        let given = tokio::task::spawn_blocking(move || gate.receive(&body, Timestamp::now())).await;
        let given = given.map_err(anyhow::Error::from).flatten();
        let given = given.inspect_err(|error| tracing::error!("nothing was taken over: {error:#}")).ok()?;
        if !given.outputs.is_empty() {
            give(&hall.engine, given.outputs).await;
        }
        Some(json!({ "taken": given.taken, "refused": given.refused }))
    });
    match taken.await.ok().flatten() {
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Has readings published; returns whether there is room for more.
async fn give(engine: &mpsc::Sender<Input>, outputs: Vec<Output>) -> bool {
    let (reply, has_room) = oneshot::channel();
    engine.send(Input::Give { outputs, reply }).await.is_ok() && has_room.await.unwrap_or(false)
}
