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
    distrust::Distrust,
    engine::{Input, Observer},
};
use smart_city_frame::DeviceId;
use smart_city_ngsi_ld::Broker;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::ngsi;

/// How often what happened goes to the audit log.
const NOTES: Duration = Duration::from_secs(1);

/// What `city.toml` says of other cities.
///
/// # Errors
/// The first fault that is in it.
pub fn agreement(city: &City) -> Result<Arc<Agreement>, ConfigError> {
    city.once(smart_city_cities::agreement::agreement)
}

/// Opens the gate of the city, with what it must not forget in `dir` and whom the city does not believe, and what tells it of the city.
///
/// # Errors
/// If the file in `dir` cannot be read or made.
pub fn gate(dir: &Path, distrusted: Distrust) -> Result<(Arc<Gate>, impl Observer + 'static)> {
    let gate = Arc::new(Gate::open(dir, distrusted)?);
    Ok((Arc::clone(&gate), Watcher(gate)))
}

#[derive(Debug)]
struct Watcher(Arc<Gate>);

impl Observer for Watcher {
    fn city(&mut self, city: &City) {
        // It was made before: files with a fault in it are not taken over.
        let agreement = agreement(city).unwrap_or_else(|error| {
            tracing::error!(%error, "nothing is handed over until the files are read again");
            Arc::default()
        });
        self.0.configure(city, (*agreement).clone());
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
    let tidy = tidy(Arc::clone(&gate));
    tokio::select! {
        () = tidy => {}
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

/// How often the history is shortened, if nothing comes: what has expired is shown to nobody before.
const TIDY: Duration = Duration::from_secs(60);

async fn tidy(gate: Arc<Gate>) {
    loop {
        tokio::time::sleep(TIDY).await;
        let gate = Arc::clone(&gate);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || gate.tidy(Timestamp::now())).await {
            tracing::error!("the history of other cities is not shortened: {error:#}");
        }
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
    entities: Arc<Broker>,
    engine: mpsc::Sender<Input>,
    /// One message at a time is worked on, of all cities: the own city needs the processor, too.
    turn: Turn,
    /// Of each partner one message waits for that turn, and the others of it for that one, so that partners take turns. Who is none has
    /// one of these for all.
    turns: Arc<Mutex<Turns>>,
}

/// The routes.
pub fn router(gate: Arc<Gate>, entities: Arc<Broker>, engine: mpsc::Sender<Input>) -> Router {
    let hall = Hall { gate, entities, engine, turn: Arc::default(), turns: Arc::default() };
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
        let Hall { gate, entities, engine, .. } = hall;
        let asked = engine.clone();
        let receive = move || {
            // When it answers, what it has taken over before holds: what was agreed until then counts no more.
            has_room(&asked, 0);
            gate.receive(&body, Timestamp::now(), |messages| has_room(&asked, messages))
        };
        let given = tokio::task::spawn_blocking(receive).await;
        let given = given.map_err(anyhow::Error::from).flatten();
        let given = given.inspect_err(|error| tracing::error!("nothing was taken over: {error:#}")).ok()?;
        // Without room users do not take as fast.
        let given = given?;
        given.readings.iter().for_each(|(reading, _)| ngsi::show(&entities, reading));
        let handed = given.readings.into_iter().map(|(_, handed)| handed).collect();
        drop(engine.send(Input::Give(handed)).await);
        Some(json!({ "taken": given.taken, "refused": given.refused }))
    });
    match taken.await.ok().flatten() {
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Whether the engine has room for messages to users, which it keeps then.
fn has_room(engine: &mpsc::Sender<Input>, messages: usize) -> bool {
    let (reply, has_room) = oneshot::channel();
    engine.blocking_send(Input::Room { messages, reply }).is_ok() && has_room.blocking_recv().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use smart_city_cities::keys::{Step, public, rotate};

    use super::*;

    /// The engine takes over what was read with `city.toml`, and reads no file itself, which may be away or slow.
    #[test]
    fn files_of_an_agreement_are_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let text = "departments = []\n[gateway]\ncity = \"a\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n\
            [[cities]]\nid = \"a\"\nname = \"A\"\n[[cities]]\nid = \"b\"\nname = \"B\"\n[handover]\nkeys = \"own.json\"\n\
            [[partners]]\ncity = \"b\"\n[partners.handover]\nkeys = \"b.json\"\nreceive = { closures = {} }\n\
            [partners.login]\nissuer = \"https://b\"\naudience = \"a\"\njwks = \"https://b/jwks\"\n";
        let files = ["city.toml", "own.json", "b.json"].map(|name| dir.path().join(name));
        let own = rotate(None, Step::Add).unwrap();
        fs::write(&files[0], text).unwrap();
        fs::write(&files[1], &*own).unwrap();
        fs::write(&files[2], &*public(&rotate(None, Step::Add).unwrap()).unwrap()).unwrap();
        let city = City::read(&files[0]).unwrap();
        crate::check(&city).unwrap();
        files.iter().for_each(|file| fs::remove_file(file).unwrap());
        let (gate, mut watcher) = gate(dir.path(), Distrust::default()).unwrap();
        watcher.city(&city);
        assert_eq!(gate.counts()["b"].takes, ["closures"]);
        assert_eq!(crate::guests::agreements(&city).unwrap().len(), 1);
        // A copy may be changed, and is read anew.
        assert!(agreement(&city.clone()).is_err());
    }
}
