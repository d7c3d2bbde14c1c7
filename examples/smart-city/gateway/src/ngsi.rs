//! NGSI-LD beside the engine: gives the crate `smart-city-ngsi-ld` readings, the decisions of the policy, and users who log in.
//!
//! A user logs in with the name and the password that it has at the broker (HTTP Basic). What a user writes is seen as a confidential
//! stream would be that has the user's city, departments and level; and by the user itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
    routing::any,
};
use http::{Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use smart_city_cities::{NUMBER, agreement::Agreement, forget_any, handover, label::Label, sole};
use smart_city_frame::{Class, DeviceId, Stream};
use smart_city_iot_agent::Groups;
use smart_city_ngsi_ld::{
    Broker, MOST_BODY, Policy, Publisher, Reading, Source,
    mapping::{Mapping, Partner, Tls},
};
use tokio::sync::{mpsc, watch};

use smart_city_engine::{
    config::{City, ConfigError, Secrets, StreamEntry, UserEntry, parse_device_id},
    distrust::Doubt,
    engine::{Guest, Input, Observer},
    policy,
};

use crate::{cities, credentials, exchange::lock, http::places_of, places::Places};

/// Requests that are worked on at once, of all users and of one. Others wait: the engine needs the processor too.
const PLACES: usize = 4;
const PLACES_OF_A_USER: usize = 2;

/// The longest message at the broker, with its topic.
const MOST_MESSAGE: usize = 3900;

/// Where what is seen may come from.
#[derive(Debug, Default)]
struct Sources {
    users: BTreeMap<String, UserEntry>,
    /// By name.
    streams: BTreeMap<String, StreamEntry>,
    /// The streams of each device.
    devices: BTreeMap<String, BTreeSet<u16>>,
    home: String,
    /// What is taken from other cities.
    agreement: Arc<Agreement>,
}

impl Sources {
    fn of(city: &City) -> Self {
        let streams = city.streams.values().map(|stream| (stream.name.clone(), stream.clone()));
        let devices = city
            .devices
            .iter()
            .map(|(id, device)| (id.to_string(), device.streams.iter().copied().collect()));
        // It has no faults: a city with one is not taken over.
        let agreement = cities::agreement(city).unwrap_or_default();
        Self {
            users: writers(city),
            streams: streams.collect(),
            devices: devices.collect(),
            home: city.home.clone(),
            agreement,
        }
    }

    /// What a stream of another city is here by the label of a reading.
    fn labelled(&self, label: &str) -> Option<StreamEntry> {
        self.agreement.here(&Label::of_text(label)?, &self.home)
    }

    /// The number of a stream that the device may send.
    fn stream(&self, stream: &str, device: &str) -> Option<u16> {
        let number = self.streams.get(stream)?.stream.id.get();
        self.devices.get(device)?.contains(&number).then_some(number)
    }

    /// Whether a source is here, and was there before as it is here.
    fn agree(&self, before: &Self, source: Source<'_>) -> bool {
        match source {
            // The label says it, together with what is agreed now.
            Source::Stream { label: Some(label), .. } => self.labelled(label).is_some(),
            Source::Stream { stream, device, .. } => {
                self.stream(stream, device).is_some()
                    && before.stream(stream, device).is_some()
                    && self.streams.get(stream) == before.streams.get(stream)
            }
            Source::User(user) => {
                self.users.contains_key(user) && self.users.get(user) == before.users.get(user)
            }
        }
    }
}

/// Who may write over NGSI-LD.
fn writers(city: &City) -> BTreeMap<String, UserEntry> {
    city.users.clone().into_iter().chain(city.senders.clone()).collect()
}

/// The policy with the attributes of the moment.
#[derive(Debug)]
struct Rights {
    policy: Option<Mutex<policy::Policy>>,
    sources: Arc<Sources>,
    /// In the order of the policy.
    users: BTreeMap<String, usize>,
    /// The stream that what a user writes is treated as.
    written: BTreeMap<String, u16>,
    /// Policies by what a label means here.
    labelled: Mutex<HashMap<StreamEntry, policy::Policy>>,
}

/// What labels mean of which the policy is remembered: as many as the entities of a few streams may have.
const LABELS: usize = 4096;

impl Rights {
    fn of(city: &City, mapping: &Mapping, sources: Arc<Sources>) -> Self {
        // Other brokers are as users are. Who is of no city gets what is for all.
        let targets = mapping.targets().iter().map(|target| {
            let Partner { city, departments, level } = target.partner.clone().unwrap_or_default();
            (target.user(), UserEntry { city, departments, level })
        });
        let writers = &sources.users;
        let mut users = writers.clone();
        users.extend(targets);
        let (mut streams, mut written) = (city.streams.clone(), BTreeMap::new());
        // Users with the same attributes share one.
        let mut numbers = BTreeMap::new();
        let mut free = (1..=u16::MAX).rev().filter(|id| !city.streams.contains_key(id));
        for (name, user) in writers {
            let UserEntry { city, departments, level } = user;
            let attributes = (city.clone(), departments.iter().cloned().collect::<BTreeSet<_>>(), *level);
            let number = numbers.entry(attributes).or_insert_with(|| {
                let id = free.next().and_then(|id| id.try_into().ok())?;
                let entry = StreamEntry {
                    stream: Stream { id, class: Class::Confidential },
                    name: String::new(),
                    owner: city.clone(),
                    departments: departments.clone(),
                    min_level: *level,
                    partners: Vec::new(),
                    content_type: String::new(),
                };
                streams.insert(id.get(), entry);
                Some(id.get())
            });
            written.extend(number.map(|number| (name.clone(), number)));
        }
        // The engine has made one of the same attributes, or it would not have taken the files over; without one nobody sees anything.
        let policy = policy::Policy::new(&users, &streams);
        let policy = policy.inspect_err(|error| tracing::error!(%error, "no policy")).ok();
        let users = users.keys().enumerate().map(|(i, name)| (name.clone(), i)).collect();
        Self { policy: policy.map(Mutex::new), sources, users, written, labelled: Mutex::default() }
    }

    fn allows(&self, user: &str, stream: u16, device_ok: bool) -> bool {
        let Some(policy) = &self.policy else { return false };
        if let Some(guest) = guest(user) {
            return lock(policy).decide_for(&guest, stream, device_ok).allowed;
        }
        let Some(user) = self.users.get(user) else { return false };
        let decisions = lock(policy).decide(stream, device_ok);
        decisions.get(*user).is_some_and(|decision| decision.allowed)
    }
}

impl Rights {
    /// Whether a user of this city may see what came with a label from another one.
    fn allows_labelled(&self, user: &str, label: &str, device_ok: bool) -> bool {
        let Some(user) = self.sources.users.get(user) else { return false };
        let Some(entry) = self.sources.labelled(label) else { return false };
        let mut policies = lock(&self.labelled);
        if !policies.contains_key(&entry) {
            let Ok(policy) = sole(&entry, &BTreeMap::new()) else { return false };
            forget_any(&mut policies, LABELS);
            policies.insert(entry.clone(), policy);
        }
        policies.get(&entry).is_some_and(|policy| policy.decide_for(user, NUMBER, device_ok).allowed)
    }
}

/// What a guest is called here: by the attributes, which are all that counts. No user has such a name.
fn name_of(UserEntry { city, departments, level }: &UserEntry) -> String {
    json!([city, departments, level]).to_string()
}

/// The attributes of a guest.
fn guest(name: &str) -> Option<UserEntry> {
    let (city, departments, level) = name.starts_with('[').then(|| serde_json::from_str(name).ok())??;
    Some(UserEntry { city, departments, level })
}

impl Policy for Rights {
    fn sees(&self, user: &str, source: Source<'_>) -> bool {
        match source {
            Source::Stream { label: Some(label), device_ok, .. } => {
                self.allows_labelled(user, label, device_ok)
            }
            Source::Stream { stream, device, device_ok, label: None } => {
                let number = self.sources.stream(stream, device);
                number.is_some_and(|number| self.allows(user, number, device_ok))
            }
            Source::User(author) => {
                let is_known = self.users.contains_key(user) || guest(user).is_some();
                is_known
                    && (user == author
                        || self.written.get(author).is_some_and(|number| self.allows(user, *number, true)))
            }
        }
    }

    fn standing(&self, user: &str) -> String {
        self.sources.users.get(user).map_or_else(|| "null".to_owned(), name_of)
    }
}

/// Leads notifications to the engine, which has them published.
#[derive(Clone, Debug, Default)]
pub struct Teller(Arc<OnceLock<mpsc::Sender<Input>>>);

impl Teller {
    /// Says where the engine is.
    pub fn connect(&self, engine: mpsc::Sender<Input>) {
        drop(self.0.set(engine));
    }
}

impl Publisher for Teller {
    /// Each user has topics of its own. No stream has such a name.
    fn accepts(&self, user: &str, topic: &str) -> bool {
        let name = topic.strip_prefix("out/").and_then(|rest| rest.strip_prefix(user));
        let name = name.and_then(|rest| rest.strip_prefix("/NGSI-LD"));
        name.is_some_and(|rest| rest.len() <= 32 && !rest.contains('/'))
    }

    fn publish(&self, _: &str, topic: &str, payload: Vec<u8>) -> bool {
        let fits = topic.len() + payload.len() <= MOST_MESSAGE;
        let topic = topic.to_owned();
        fits && self.0.get().is_some_and(|engine| engine.try_send(Input::Tell { topic, payload }).is_ok())
    }
}

/// Leads what the engine stores to the broker of entities.
#[derive(Debug)]
pub struct Watcher {
    entities: Arc<Broker>,
    /// Devices without authentication.
    groups: watch::Sender<Arc<Groups>>,
    sources: Arc<Sources>,
    /// Names of streams by number, of those alone that become entities.
    streams: BTreeMap<u16, String>,
}

impl Watcher {
    fn new(entities: Arc<Broker>) -> Self {
        let (groups, sources) = (watch::Sender::default(), Arc::default());
        Self { entities, groups, sources, streams: BTreeMap::new() }
    }

    /// The groups of devices without authentication, as they are from time to time.
    #[must_use]
    pub fn groups(&self) -> watch::Receiver<Arc<Groups>> {
        self.groups.subscribe()
    }
}

impl Observer for Watcher {
    fn city(&mut self, city: &City) {
        // It was made before: files with a fault in it are not taken over.
        let mapped = mapping(city).unwrap_or_else(|error| {
            tracing::error!(%error, "no reading becomes an entity until the files are read again");
            Arc::default()
        });
        let (mapping, groups) = (*mapped).clone();
        self.groups.send_replace(Arc::new(groups));
        let streams = city.streams.iter().filter(|(_, stream)| mapping.has(&stream.name));
        self.streams = streams.map(|(id, stream)| (*id, stream.name.clone())).collect();
        let sources = Arc::new(Sources::of(city));
        let before = std::mem::replace(&mut self.sources, Arc::clone(&sources));
        // What was written or measured under other attributes would be shown to those for whom it was not meant.
        let rights = Rights::of(city, &mapping, Arc::clone(&sources));
        self.entities.configure(rights, mapping, |source| sources.agree(&before, source));
    }

    fn reading(&mut self, device: DeviceId, stream: u16, time: Timestamp, payload: &[u8]) {
        if let Some(stream) = self.streams.get(&stream) {
            let (stream, device, bytes) = (stream.clone(), device.to_string(), payload.to_vec());
            self.entities.reading(Reading { stream, device, time, bytes });
        }
    }

    fn isolated(&mut self, device: DeviceId, is_isolated: bool) {
        let device = device.to_string();
        if is_isolated { self.entities.isolate(&device) } else { self.entities.recover(&device) }
    }

    fn distrusted(&mut self, city: &str, device: DeviceId, doubt: Option<&Doubt>) {
        // An entity has no place for a mark: what is marked elsewhere is held back here.
        let device = format!("{city}:{device}");
        if doubt.is_some() { self.entities.isolate(&device) } else { self.entities.recover(&device) }
    }
}

/// Shows a reading of another city as an entity, if its stream is mapped. Devices are told apart from those of this city, whatever the other
/// one calls them.
pub fn show(entities: &Broker, reading: &handover::Reading) {
    let handover::Reading { label, device, time, payload, .. } = reading;
    let Label { owner, stream, expiry, .. } = label;
    let (stream, device) = (format!("{owner}/{stream}"), format!("{owner}:{device}"));
    let until = Timestamp::from_second(*expiry).unwrap_or(Timestamp::MIN);
    let reading = Reading { stream, device, time: *time, bytes: payload.clone() };
    entities.labelled(reading, smart_city_ngsi_ld::Label { text: label.text(), until });
}

/// What `city.toml` says of entities, and of devices without authentication.
///
/// # Errors
/// The first fault that is in it.
pub fn mapping(city: &City) -> Result<Arc<(Mapping, Groups)>, ConfigError> {
    city.once(made)
}

fn made(city: &City) -> Result<(Mapping, Groups), ConfigError> {
    let Some(table) = &city.ngsi_ld else { return Ok(Default::default()) };
    let mut value = table.value.clone();
    let groups = value.as_object_mut().and_then(|members| members.remove("iot_agent"));
    let groups = groups.map_or_else(
        || Ok(Groups::default()),
        |groups| {
            let parsed = Groups::parse(
                &groups,
                |name| city.senders.contains_key(name),
                smart_city_ngsi_ld::is_context,
            );
            parsed.map_err(|fault| table.fault(&format!("iot_agent.{}", fault.field), fault.message))
        },
    )?;
    if value.get("places").is_some() {
        let message = "where a device is says its entry in `devices`: position = [longitude, latitude]";
        return Err(table.fault("places", message.to_owned()));
    }
    let places = city
        .devices
        .iter()
        .filter_map(|(id, device)| Some((id.to_string(), serde_json::json!(device.position?))));
    value["places"] = places.collect();
    let agreement = cities::agreement(city)?;
    if let Some(streams) = value.get_mut("streams").and_then(Value::as_object_mut) {
        streams.retain(|name, _| {
            let is_there = !name.contains('/') || agreement.takes(name);
            if !is_there {
                // Else the files would be refused of whoever removes that city, and all would stay as it was.
                tracing::warn!("`{name}` becomes no entity: it is not taken from another city");
            }
            is_there
        });
    }
    let is_stream =
        |name: &str| agreement.takes(name) || city.streams.values().any(|stream| stream.name == name);
    let is_device = |id: &str| parse_device_id(id).is_some_and(|id| city.devices.contains_key(&id));
    // Files are named as they are in the other file: beside this one.
    let trust = |authorities: Option<&str>| {
        let path = authorities.map(|path| table.beside(path));
        smart_city_address::trust(path.as_deref()).map(Tls).map_err(|error| format!("{error:#}"))
    };
    let mut mapping = Mapping::parse(&value, is_stream, is_device, trust)
        .map_err(|fault| table.fault(&fault.field, fault.message))?;
    for sender in city.senders.keys() {
        mapping.confine(sender, groups.entity_of(sender));
    }
    for (i, target) in mapping.targets().iter().enumerate() {
        let Some(partner) = &target.partner else { continue };
        let field = format!("push[{i}].partner");
        if !city.cities.contains_key(&partner.city) {
            return Err(table.fault(&field, format!("there is no city {:?}", partner.city)));
        }
        if let Some(name) = partner.departments.iter().find(|name| !city.departments.contains(*name)) {
            return Err(table.fault(&field, format!("there is no department {name:?}")));
        }
    }
    Ok((mapping, groups))
}

/// Makes the broker of entities, and what tells it of the city.
#[must_use]
pub fn entities(teller: Teller) -> (Arc<Broker>, Watcher) {
    let entities = Arc::new(Broker::new(teller));
    (Arc::clone(&entities), Watcher::new(entities))
}

#[derive(Clone, Debug)]
struct Api {
    entities: Arc<Broker>,
    secrets: watch::Receiver<Arc<Secrets>>,
    places: Places,
}

/// The routes.
pub fn router(entities: Arc<Broker>, secrets: watch::Receiver<Arc<Secrets>>) -> Router {
    let api = Api { entities, secrets, places: Places::new(PLACES, PLACES_OF_A_USER) };
    Router::new().route("/ngsi-ld/v1/{*path}", any(respond)).with_state(api)
}

/// Whether a request changes nothing that stays.
fn only_reads(request: &Request) -> bool {
    let is_query = request.uri().path().trim_end_matches('/') == "/ngsi-ld/v1/entityOperations/query";
    request.method().is_safe() || (request.method() == Method::POST && is_query)
}

async fn respond(State(api): State<Api>, request: Request) -> Response {
    let guest = request.extensions().get::<Arc<Guest>>();
    if guest.is_some() && !only_reads(&request) {
        return refused(
            StatusCode::FORBIDDEN,
            "users of other cities write nothing, and subscribe at the broker alone",
        );
    }
    let user = credentials::user(request.headers(), &api.secrets.borrow()).map(|user| (user.clone(), user));
    let Some((user, account)) = guest.map(|guest| (name_of(&guest.user), places_of(guest))).or(user) else {
        let mut response =
            refused(StatusCode::UNAUTHORIZED, "log in as a user, with the password of the broker");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"ngsi-ld\""));
        return response;
    };
    // Clause 6.3.4, also of a body in chunks. HTTP/2 needs no such field, and there is none of it here.
    if [Method::POST, Method::PATCH, Method::PUT].contains(request.method())
        && !request.headers().contains_key(header::CONTENT_LENGTH)
    {
        return smart_city_ngsi_ld::bare(StatusCode::LENGTH_REQUIRED).map(Body::from);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BODY).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "the body of the request is too long");
    };
    let request = http::Request::from_parts(parts, body.to_vec());
    let Some(places) = api.places.take(&account).await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending");
    };
    let work = move || {
        let response = api.entities.respond(&user, &request);
        drop(places);
        response
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(response) => response.map(Body::from),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "the request was not answered"),
    }
}

/// ProblemDetails, as all errors are here.
pub(crate) fn refused(status: StatusCode, detail: &str) -> Response {
    smart_city_ngsi_ld::refused(status, detail).map(Body::from)
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};

    use super::*;
    use crate::{cities::tests::two, places::tests::has_place};

    /// Sees nothing, and takes its time for it.
    struct Slow(std::sync::mpsc::Sender<()>, Mutex<std::sync::mpsc::Receiver<()>>);

    impl Policy for Slow {
        fn sees(&self, _: &str, _: Source<'_>) -> bool {
            let Self(begun, ends) = self;
            begun.send(()).unwrap();
            let _ = ends.lock().unwrap().recv();
            false
        }

        fn standing(&self, _: &str) -> String {
            String::new()
        }
    }

    /// A request whose client is gone is still worked on, and so has its place still.
    #[tokio::test]
    async fn a_place_is_kept_until_the_work_is_done() {
        let (begun, begins) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel();
        let entities = Arc::new(Broker::new(Teller::default()));
        entities.configure(Slow(begun, Mutex::new(ends)), Mapping::default(), |_| true);
        let places = Places::new(PLACES, PLACES_OF_A_USER);
        let api = Api { entities, secrets: watch::channel(Arc::new(secrets())).1, places: places.clone() };
        let login = format!("Basic {}", Base64::encode_string(b"hana:x"));
        let request = || {
            let body = r#"{"id":"urn:a:1","type":"T"}"#;
            let request = Request::post("/ngsi-ld/v1/entities").header("Authorization", &login);
            let request =
                request.header("Content-Type", "application/json").header("Content-Length", body.len());
            request.body(Body::from(body)).unwrap()
        };
        let requests: Vec<_> = (0..2).map(|_| tokio::spawn(respond(State(api.clone()), request()))).collect();
        // One of them has the lock.
        tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
        while places.free() > PLACES - 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        requests.iter().for_each(tokio::task::JoinHandle::abort);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!has_place(&places, "hana").await);
        drop(end);
        while places.free() < PLACES {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(has_place(&places, "hana").await);
    }

    /// Of streams that are not mapped nothing is copied.
    #[test]
    fn only_mapped_streams_are_watched() {
        let text = "departments = []\n[gateway]\ncity = \"m\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n[[cities]]\nid = \"m\"\nname = \"m\"\n\
             [[streams]]\nid = 1\nname = \"a\"\nclass = \"public\"\nowner = \"m\"\n[[streams]]\nid = 2\nname = \"b\"\nclass = \"public\"\nowner = \"m\"\n\
             [ngsi_ld.streams.b]\nmodel = \"TrafficFlowObserved\"\nproperties.intensity.from = \"n\"\n";
        let city = City::of_text(text, std::path::Path::new("city.toml")).unwrap();
        let entities = Arc::new(Broker::new(Teller::default()));
        let mut watcher = Watcher::new(entities);
        watcher.city(&city);
        assert_eq!(watcher.streams, BTreeMap::from([(2, "b".to_owned())]));
    }

    const TAKES: &str = "[[partners]]\ncity = \"a\"\n[partners.handover]\nkeys = \"other.json\"\nreceive = { closures = { class = \"internal\", departments = [] } }\n";
    const MAPPED: &str = "[ngsi_ld.streams.\"a/closures\"]\nmodel = \"TrafficFlowObserved\"\nproperties.intensity.from = \"n\"\n";

    /// Who removes a city need not look for mappings of its streams, which map nothing from then on.
    #[test]
    fn a_mapping_of_nothing_is_no_fault() {
        let [_, (_dir, with)] = two(9, &format!("{TAKES}{MAPPED}"));
        assert!(mapping(&with).unwrap().0.has("a/closures"));
        let [_, (_dir, without)] = two(9, MAPPED);
        assert!(!mapping(&without).unwrap().0.has("a/closures"));
    }

    /// Another city may label each reading in another way. What means the same here is decided once, and what is remembered is bounded.
    #[test]
    fn labels_do_not_fill_the_memory() {
        let [_, (_dir, city)] = two(9, TAKES);
        let sources = Arc::new(Sources::of(&city));
        let rights = Rights::of(&city, &Mapping::default(), sources);
        let label = |departments: &[String], min_level| Label {
            owner: "a".to_owned(),
            stream: "closures".to_owned(),
            departments: departments.iter().cloned().collect(),
            class: Class::Internal,
            min_level,
            shared_with: BTreeSet::from(["b".to_owned()]),
            expiry: 0,
            policy: [0; 32],
            id: smart_city_cities::label::Id { epoch: 0, sequence: 0 },
        };
        for i in 0..20 {
            rights.allows_labelled("ren", &label(&[format!("d{i}")], 0).text(), true);
        }
        assert_eq!(lock(&rights.labelled).len(), 1);
        for i in 0..LABELS + 20 {
            let mut label = label(&[], 0);
            label.shared_with.insert(format!("c{i}"));
            rights.allows_labelled("ren", &label.text(), true);
        }
        assert_eq!(lock(&rights.labelled).len(), LABELS);
    }

    fn secrets() -> Secrets {
        let text = "departments = []\n[gateway]\ncity = \"m\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n[[cities]]\nid = \"m\"\nname = \"m\"\n\
             [[users]]\nid = \"hana\"\ncity = \"m\"\ndepartments = []\nlevel = 0\n";
        let path = std::path::Path::new("city.toml");
        let city = City::of_text(text, path).unwrap();
        let secrets = "gateway_password = \"x\"\near_key = \"e\"\n[users.hana]\nmqtt_password = \"x\"\n";
        Secrets::of_text(secrets, path, &city).unwrap()
    }
}
