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
use smart_city_cities::{Gate, Given, MOST_BODY, PATH, agreement::Agreement};
use smart_city_engine::{
    config::{City, ConfigError},
    distrust::Distrust,
    engine::{Input, Observer},
};
use smart_city_frame::DeviceId;
use smart_city_ngsi_ld::Broker;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{sleep, timeout_at},
};

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
        if is_isolated {
            self.0.isolated(device);
        }
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

/// How long what is under way to other cities is waited for when the gateway ends.
const LAST: Duration = Duration::from_secs(1);

/// Has recorded what is left when the gateway ends.
pub async fn record_rest(gate: &Gate, engine: &mpsc::Sender<Input>) {
    gate.end(LAST).await;
    for (event, detail) in gate.last_notes().into_iter().chain(gate.loss_notes()) {
        drop(engine.send(Input::Note { event, detail }).await);
    }
}

/// How often the history is shortened, if nothing comes: what has expired is shown to nobody before.
const TIDY: Duration = Duration::from_secs(60);

async fn tidy(gate: Arc<Gate>) {
    let mut pause = TIDY;
    loop {
        sleep(pause).await;
        let gate = Arc::clone(&gate);
        let tidied = tokio::task::spawn_blocking(move || gate.tidy(Timestamp::now())).await;
        let tidied = tidied.map_err(anyhow::Error::from).flatten();
        let is_more = tidied
            .inspect_err(|error| tracing::error!("the history of other cities is not shortened: {error:#}"));
        // In between, messages of other cities have their turn.
        pause = if is_more.unwrap_or(false) { LOOK } else { TIDY };
    }
}

async fn record(gate: Arc<Gate>, engine: mpsc::Sender<Input>) {
    loop {
        sleep(NOTES).await;
        for (event, detail) in gate.notes(Instant::now()) {
            drop(engine.send(Input::Note { event, detail }).await);
        }
    }
}

/// How long a message of another city waits for its turn and for room, before that city gives the answer up. Then none of it was looked at, and
/// it may come again.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time between two looks at how much room there is.
const LOOK: Duration = Duration::from_millis(50);

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
    let until = tokio::time::Instant::now() + PATIENCE;
    let from = hall.gate.sender(&body);
    let is_known = from.is_some();
    let of_partner = Arc::clone(hall.turns.lock().await.entry(from).or_default());
    let turns = async { (of_partner.lock_owned().await, Arc::clone(&hall.turn).lock_owned().await) };
    let Ok(turns) = timeout_at(until, turns).await else {
        return answer(&Given::default());
    };
    // Then it is worked on to its end, whether or not somebody waits for the answer.
    let taken = tokio::spawn(async move {
        let _turns = turns;
        let Hall { gate, entities, engine, .. } = hall;
        // When the engine answers, what it has taken over before holds: what was agreed until then counts no more.
        let mut room = room_in(&engine).await?;
        // Users do not take as fast. The others who wait need the same room.
        while is_known && room < gate.users() && tokio::time::Instant::now() < until {
            sleep(LOOK).await;
            room = room_in(&engine).await?;
        }
        let given = tokio::task::spawn_blocking(move || gate.receive(&body, Timestamp::now(), room)).await;
        let given = given.map_err(anyhow::Error::from).flatten();
        let mut given =
            given.inspect_err(|error| tracing::error!("nothing was taken over: {error:#}")).ok()?;
        given.readings.iter().for_each(|(reading, _)| ngsi::show(&entities, reading));
        let handed = std::mem::take(&mut given.readings).into_iter().map(|(_, handed)| handed).collect();
        drop(engine.send(Input::Give(handed)).await);
        Some(answer(&given))
    });
    taken.await.ok().flatten().unwrap_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

fn answer(given: &Given) -> Response {
    Json(json!({ "taken": given.taken, "refused": given.refused })).into_response()
}

/// For how many messages to users the engine has room; none if it has ended. Nobody else takes it before this message has it.
async fn room_in(engine: &mpsc::Sender<Input>) -> Option<usize> {
    let (reply, room) = oneshot::channel();
    engine.send(Input::Room(reply)).await.ok()?;
    room.await.ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::body::Bytes;
    use smart_city_cities::keys::{Step, public, rotate};
    use tempfile::TempDir;

    use super::*;
    use crate::ngsi::{Teller, entities};

    const DEVICE: DeviceId = DeviceId([1; 8]);

    /// Two cities, of which the first one hands a stream over to the second one, at an address of this machine.
    pub(crate) fn two(port: u16, rest: &str) -> [(TempDir, City); 2] {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let keys = [(); 2].map(|()| rotate(None, Step::Add).unwrap());
        let mut texts = ["a", "b"].map(|home| {
            format!(
                "departments = []\n[gateway]\ncity = \"{home}\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n\
                 [[cities]]\nid = \"a\"\nname = \"A\"\n[[cities]]\nid = \"b\"\nname = \"B\"\n\
                 [[users]]\nid = \"ren\"\ncity = \"b\"\ndepartments = []\nlevel = 0\n[handover]\nkeys = \"own.json\"\n"
            )
        });
        texts[0] += &format!(
            "[[images]]\nid = \"one\"\nregions = [{{ id = 1, name = \"run\", code = \"own.json\" }}]\n\
             [[streams]]\nid = 1\nname = \"closures\"\nclass = \"public\"\nowner = \"a\"\n\
             [[devices]]\nid = \"{DEVICE}\"\nname = \"d\"\nplace = [0, 0]\nimage = \"one\"\nstreams = [\"closures\"]\n\
             [[partners]]\ncity = \"b\"\n[partners.handover]\nkeys = \"other.json\"\nurl = \"http://127.0.0.1:{port}\"\nsend = [\"closures\"]\n"
        );
        texts[1] += rest;
        let mut both = dirs.into_iter().zip(texts).enumerate().map(|(i, (dir, text))| {
            fs::write(dir.path().join("own.json"), &*keys[i]).unwrap();
            fs::write(dir.path().join("other.json"), &*public(&keys[1 - i]).unwrap()).unwrap();
            let path = dir.path().join("city.toml");
            fs::write(&path, text).unwrap();
            let city = City::read(&path).unwrap();
            (dir, city)
        });
        [both.next().unwrap(), both.next().unwrap()]
    }

    /// As long as users take no more, another city waits, and that is no failure. Then it goes on.
    #[tokio::test(flavor = "multi_thread")]
    async fn no_room_is_no_failure() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let take_a = "[[partners]]\ncity = \"a\"\n[partners.handover]\nkeys = \"other.json\"\nreceive = { closures = {} }\n";
        let [(a_dir, a_city), (b_dir, b_city)] = two(listener.local_addr().unwrap().port(), take_a);
        let (came, mut bodies) = mpsc::unbounded_channel::<Bytes>();
        let hear = move |body: Bytes| {
            drop(came.send(body));
            async { StatusCode::SERVICE_UNAVAILABLE }
        };
        tokio::spawn(async { axum::serve(listener, Router::new().route(PATH, post(hear))).await });
        let (a, mut watcher) = gate(a_dir.path(), Distrust::default()).unwrap();
        watcher.city(&a_city);
        watcher.reading(DEVICE, 1, Timestamp::now(), b"1");
        let sending = tokio::spawn(smart_city_cities::run(a));
        let body = bodies.recv().await.unwrap();
        sending.abort();

        let (b, mut watcher) = gate(b_dir.path(), Distrust::default()).unwrap();
        watcher.city(&b_city);
        let (engine, mut inputs) = mpsc::channel(8);
        let (room, asked, given) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let counts = (Arc::clone(&room), Arc::clone(&asked), Arc::clone(&given));
        tokio::spawn(async move {
            let (room, asked, given) = counts;
            while let Some(input) = inputs.recv().await {
                match input {
                    Input::Room(reply) => {
                        asked.fetch_add(1, Relaxed);
                        reply.send(room.load(Relaxed)).unwrap();
                    }
                    Input::Give(readings) => {
                        given.fetch_add(readings.len(), Relaxed);
                    }
                    _ => panic!(),
                }
            }
        });
        let (entities, _) = entities(Teller::default());
        let hall = Hall { gate: b, entities, engine, turn: Arc::default(), turns: Arc::default() };
        let hand_over = || take(State(hall.clone()), Body::from(body.clone()));
        let text = async |response: Response| {
            assert_eq!(response.status(), StatusCode::OK);
            String::from_utf8(to_bytes(response.into_body(), 1000).await.unwrap().to_vec()).unwrap()
        };
        let nothing = "{\"taken\":0,\"refused\":{}}";
        assert_eq!(text(hand_over().await).await, nothing);
        // It had waited, and may have found room.
        assert!(asked.load(Relaxed) > 1);
        // Who is before it takes all the time: its turn does not come.
        let turn = Arc::clone(&hall.turn).lock_owned().await;
        assert_eq!(text(hand_over().await).await, nothing);
        drop(turn);
        let waiting = tokio::spawn(hand_over());
        let before = asked.load(Relaxed);
        while asked.load(Relaxed) < before + 2 {
            sleep(LOOK).await;
        }
        assert_eq!(given.load(Relaxed), 0);
        room.store(1, Relaxed);
        assert_eq!(text(waiting.await.unwrap()).await, nothing.replace('0', "1"));
        assert_eq!(given.load(Relaxed), 1);
    }

    /// The engine takes over what was read with `city.toml`, and reads no file itself, which may be away or slow.
    #[test]
    fn files_of_an_agreement_are_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let text = "departments = []\n[gateway]\ncity = \"a\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n\
            [[cities]]\nid = \"a\"\nname = \"A\"\n[[cities]]\nid = \"b\"\nname = \"B\"\n[handover]\nkeys = \"own.json\"\n\
            [[partners]]\ncity = \"b\"\n[partners.handover]\nkeys = \"b.json\"\nreceive = { closures = {} }\n\
            [partners.login]\nissuer = \"https://b\"\naudience = \"a\"\njwks = \"http://localhost/jwks\"\n";
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
