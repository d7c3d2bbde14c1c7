//! A city that tells and one that learns, and what may come between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use base64ct::{Base64, Encoding as _};
use http::{HeaderMap, Method, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smart_city_engine::{
    config::City,
    distrust::{Doubt, Doubts},
};
use smart_city_frame::DeviceId;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    Desk, Kept, Note, Reports,
    agreement::agreement,
    desk, file, poll,
    reports::{self, Job, Read, Refusal},
    stix, taxii,
};

const GATE: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 1]);
const MAST: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 2]);
const CAMERA: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 0, 3]);

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER_TOKEN: &str = "fedcba9876543210fedcba9876543210";

/// Aoba gets the air of the mast, and everybody the traffic of the gate. The camera is for nobody else.
const CITY: &str = r#"
departments = ["rescue"]
[gateway]
city = "midori"
evidence_deadline_ms = 1
evidence_attempts = 1
[[cities]]
id = "midori"
name = "Midori"
[[cities]]
id = "aoba"
name = "Aoba"
[[cities]]
id = "hibari"
name = "Hibari"
[[streams]]
id = 1
name = "traffic"
class = "public"
owner = "midori"
[[streams]]
id = 2
name = "air"
class = "internal"
owner = "midori"
departments = ["rescue"]
partners = ["aoba"]
[[streams]]
id = 3
name = "camera"
class = "internal"
owner = "midori"
departments = ["rescue"]
[[images]]
id = "one"
regions = [{ id = 1, name = "run", code = "code.bin" }]
"#;

/// A folder with the files of a city.
struct Town(TempDir);

impl Town {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("code.bin"), [0; 64]).unwrap();
        fs::write(dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
        Self(dir)
    }

    fn city(&self, home: &str, rest: &str) -> City {
        let mut text = CITY.replace("city = \"midori\"", &format!("city = \"{home}\"")) + rest;
        for (row, (id, stream)) in
            [(GATE, "traffic"), (MAST, "air"), (CAMERA, "camera")].into_iter().enumerate()
        {
            text += &format!(
                "[[devices]]\nid = \"{id}\"\nname = \"{id}\"\nplace = [0, {row}]\nimage = \"one\"\nstreams = [\"{stream}\"]\n"
            );
        }
        fs::write(self.0.path().join("city.toml"), text).unwrap();
        City::read(&self.0.path().join("city.toml")).unwrap()
    }

    fn kept(&self) -> Arc<Kept> {
        Arc::new(Kept::open(self.0.path()).unwrap())
    }
}

/// A partner that reads with a token.
fn reader(city: &str, token: &str) -> String {
    let hash = hex::encode(Sha256::digest(token));
    format!("[[partners]]\ncity = \"{city}\"\n[partners.incidents]\nreader = \"{hash}\"\n")
}

fn readers() -> String {
    reader("aoba", TOKEN) + &reader("hibari", OTHER_TOKEN)
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// Midori, which tells.
struct Teller {
    town: Town,
    kept: Arc<Kept>,
    desk: Desk,
}

impl Teller {
    fn new() -> Self {
        let town = Town::new();
        let kept = town.kept();
        let desk = Desk::open(Arc::clone(&kept)).unwrap();
        let teller = Self { town, kept, desk };
        teller.configure(&readers());
        teller.update(0);
        teller
    }

    fn configure(&self, partners: &str) {
        let city = self.town.city("midori", partners);
        self.desk.configure(&city, agreement(&city).unwrap());
    }

    fn update(&self, seconds: i64) -> Vec<Note> {
        let evidence =
            self.desk.unreported().into_iter().map(|device| (device, Some("a.signed.result".to_owned())));
        self.desk.update(&evidence.collect(), time(seconds)).unwrap();
        let notes = self.desk.notes();
        self.desk.recorded(&notes).unwrap();
        notes
    }

    fn set(&self, device: DeviceId, is_isolated: bool, seconds: i64) -> Vec<Note> {
        self.desk.isolated(device, is_isolated);
        self.update(seconds)
    }

    /// The gateway is started again; which devices are isolated it is told anew.
    fn restart(self, isolated: &[DeviceId]) -> Self {
        let Self { town, kept, desk } = self;
        drop((kept, desk));
        let kept = town.kept();
        let desk = Desk::open(Arc::clone(&kept)).unwrap();
        isolated.iter().for_each(|device| desk.isolated(*device, true));
        let teller = Self { town, kept, desk };
        teller.configure(&readers());
        teller
    }

    fn answer(&self, city: &str, token: &str, path: &str) -> (Response<Vec<u8>>, Value) {
        let login = Base64::encode_string(format!("{city}:{token}").as_bytes());
        let headers =
            [(header::AUTHORIZATION, format!("Basic {login}")), (header::ACCEPT, taxii::TAXII.to_owned())];
        let headers = headers.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect();
        let answer = self.desk.answer(&Method::GET, &path.parse().unwrap(), &headers);
        let body = serde_json::from_slice(answer.body()).unwrap();
        (answer, body)
    }

    fn get(&self, path: &str) -> Value {
        let (answer, body) = self.answer("aoba", TOKEN, path);
        assert_eq!(answer.status(), StatusCode::OK, "{path}: {body}");
        assert_eq!(answer.headers()["content-type"], taxii::TAXII);
        body
    }

    /// Incidents in the collection of a city: device and state of each version that is asked for.
    fn incidents(&self, city: &str, query: &str) -> Vec<(String, String)> {
        let token = if city == "aoba" { TOKEN } else { OTHER_TOKEN };
        let path = format!("{COLLECTION}/objects/?match%5Btype%5D=incident&{query}");
        let (answer, body) = self.answer(city, token, &path);
        assert_eq!(answer.status(), StatusCode::OK, "{body}");
        let incidents = body["objects"].as_array().cloned().unwrap_or_default();
        let about = |incident: &Value| incident["extensions"][stix::extension()].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        incidents.iter().map(about).map(|about| (text(&about["device"]), text(&about["state"]))).collect()
    }
}

const COLLECTION: &str = "/taxii2/city/collections/incidents";

fn of(device: DeviceId, state: &str) -> (String, String) {
    (device.to_string(), state.to_owned())
}

/// Who has no business with a device hears nothing of it; who has is told of it once, and of its end.
#[test]
fn each_city_hears_of_what_is_shared_with_it() {
    let teller = Teller::new();
    for (device, at) in [(GATE, 1), (MAST, 2), (CAMERA, 3)] {
        let notes = teller.set(device, true, at);
        let told: Vec<_> = notes.iter().map(|(event, detail)| (*event, detail["to"].clone())).collect();
        let expected = match device {
            GATE => vec![("incident told", json!(["aoba", "hibari"]))],
            MAST => vec![("incident told", json!(["aoba"]))],
            _ => vec![],
        };
        assert_eq!(told, expected);
        assert!(teller.update(4).is_empty(), "told once");
    }
    assert_eq!(teller.incidents("aoba", ""), [of(GATE, "isolated"), of(MAST, "isolated")]);
    assert_eq!(teller.incidents("hibari", ""), [of(GATE, "isolated")]);
    // Nothing anywhere in it names the other device.
    let (_, all) = teller.answer("hibari", OTHER_TOKEN, &format!("{COLLECTION}/objects/"));
    assert!(!all.to_string().contains(&MAST.to_string()) && all.to_string().contains(&GATE.to_string()));

    let notes = teller.set(GATE, false, 10);
    assert_eq!(notes[0].1["state"], "recovered");
    assert_eq!(teller.incidents("hibari", ""), [of(GATE, "recovered")]);
    assert_eq!(teller.incidents("hibari", "match%5Bversion%5D=all").len(), 2);
    // Another isolation is another incident.
    teller.set(GATE, true, 11);
    assert_eq!(teller.incidents("hibari", ""), [of(GATE, "recovered"), of(GATE, "isolated")]);

    // A stream that is shared later brings what is open then, behind what was there. What is not shared any more is gone.
    let (answer, _) = teller.answer("hibari", OTHER_TOKEN, &format!("{COLLECTION}/objects/"));
    let last = answer.headers()["x-taxii-date-added-last"].to_str().unwrap().to_owned();
    let change = |from: &str, to: &str| {
        let mut city = teller.town.city("midori", &readers());
        let partners = &mut city.streams.get_mut(&2).unwrap().partners;
        assert!(partners.contains(&from.to_owned()));
        *partners = vec![to.to_owned()];
        teller.desk.configure(&city, agreement(&city).unwrap());
        teller.update(12);
    };
    change("aoba", "hibari");
    assert_eq!(teller.incidents("hibari", &format!("added_after={last}")), [of(MAST, "isolated")]);
    assert!(!teller.incidents("aoba", "").contains(&of(MAST, "isolated")));

    // A partner that is removed is told nothing from then on.
    teller.configure(&reader("hibari", OTHER_TOKEN));
    assert_eq!(teller.answer("aoba", TOKEN, taxii::ROOT).0.status(), StatusCode::UNAUTHORIZED);
}

/// A restart forgets nothing, and makes good what was missed. Ids and versions stay.
#[test]
fn incidents_survive_a_restart() {
    let teller = Teller::new();
    teller.set(GATE, true, 1);
    teller.set(MAST, true, 2);
    let objects = format!("{COLLECTION}/objects/");
    let before = teller.get(&objects);
    let teller = teller.restart(&[GATE, MAST]);
    assert!(teller.update(3).is_empty());
    assert_eq!(teller.get(&objects), before);
    // It ended before it could be told that the mast was recovered. The clock was set back meanwhile.
    let teller = teller.restart(&[GATE]);
    let notes = teller.update(-100);
    assert_eq!((notes.len(), &notes[0].1["state"]), (1, &json!("recovered")));
    let all = teller.get(&format!("{COLLECTION}/objects/?match%5Btype%5D=incident&match%5Bversion%5D=all"));
    let versions =
        all["objects"].as_array().unwrap().iter().filter(|incident| incident["id"] == notes[0].1["incident"]);
    let versions: Vec<Timestamp> =
        versions.map(|incident| incident["modified"].as_str().unwrap().parse().unwrap()).collect();
    assert!(versions.len() == 2 && versions[0] < versions[1], "{versions:?}");
}

#[test]
fn what_is_told_is_bounded() {
    let teller = Teller::new();
    let (mut at, mut isolated) = (0, false);
    for _ in 0..2 * (desk::MOST + 20) {
        (at, isolated) = (at + 1, !isolated);
        teller.set(GATE, isolated, at);
    }
    teller.set(MAST, true, at + 1);
    let count = |teller: &Teller| {
        let mut path = format!("{COLLECTION}/manifest/?match%5Btype%5D=incident&match%5Bversion%5D=last");
        let mut count = 0;
        loop {
            let page = teller.get(&path);
            count += page["objects"].as_array().map_or(0, Vec::len);
            let Some(next) = page["next"].as_str() else { return count };
            path = format!("{COLLECTION}/manifest/?match%5Btype%5D=incident&next={next}");
        }
    };
    // Those of before, the last one of the gate and that of the mast.
    assert_eq!(count(&teller), desk::MOST + 2);
    // Those that are over go with time; what is open stays.
    let later = at + desk::AGE.as_secs() + 60;
    teller.update(later);
    assert_eq!(teller.incidents("aoba", ""), [of(MAST, "isolated")]);
    assert_eq!(teller.restart(&[MAST]).incidents("aoba", ""), [of(MAST, "isolated")]);
}

/// However many devices are isolated, each has one incident, and that of none is forgotten before its end is told.
#[test]
fn what_is_open_is_never_forgotten() {
    let teller = Teller::new();
    let mut city = teller.town.city("midori", &readers());
    let number = |n: usize| DeviceId(u64::try_from(n).unwrap().to_be_bytes());
    let devices: Vec<_> = (1..=desk::MOST + 20).map(number).collect();
    for device in &devices {
        city.devices.insert(*device, city.devices[&GATE].clone());
    }
    teller.desk.configure(&city, agreement(&city).unwrap());
    let set = |is_isolated| devices.iter().for_each(|device| teller.desk.isolated(*device, is_isolated));
    let told = |seconds, state: &str| {
        let notes = teller.update(seconds);
        assert!(notes.iter().all(|(_, detail)| detail["state"] == state));
        notes.len()
    };
    set(true);
    assert_eq!(told(1, "isolated"), devices.len());
    assert!(teller.desk.unreported().is_empty());
    assert_eq!(told(2, "isolated"), 0, "told once");
    assert_eq!(teller.desk.status()["aoba"]["open"], devices.len());
    set(false);
    assert_eq!(told(3, "recovered"), devices.len());
    assert_eq!(told(4, "recovered"), 0);
    let mut ends = BTreeSet::new();
    let mut position = String::new();
    loop {
        let path = format!("{COLLECTION}/objects/?match%5Btype%5D=incident{position}");
        let page = teller.get(&path);
        for incident in page["objects"].as_array().unwrap() {
            let about = &incident["extensions"][stix::extension()];
            assert!(about["state"] != "recovered" || ends.insert(about["device"].to_string()));
        }
        let Some(next) = page["next"].as_str() else { break };
        position = format!("&next={next}");
    }
    assert_eq!(ends.len(), devices.len());
    // A day later they are as others.
    let count = |seconds| {
        teller.update(seconds);
        let all = teller.desk.collection("aoba").unwrap().entries(None);
        all.iter()
            .filter(|entry| entry.object["extensions"][stix::extension()]["state"] == "recovered")
            .count()
    };
    assert_eq!(count(2 + desk::DAY.as_secs()), devices.len());
    assert_eq!(count(3 + desk::DAY.as_secs()), desk::MOST);
}

/// An end that a clock far ahead has stamped does not stay for ever.
#[test]
fn what_ended_far_ahead_is_forgotten() {
    let teller = Teller::new();
    let ahead = desk::AGE.as_secs() + 60;
    teller.set(GATE, true, ahead - 1);
    teller.set(GATE, false, ahead);
    teller.update(0);
    assert_eq!(teller.incidents("aoba", ""), []);
    teller.set(GATE, true, 1);
    let created =
        &teller.get(&format!("{COLLECTION}/objects/?match%5Btype%5D=incident"))["objects"][0]["created"];
    assert_eq!(created.as_str().unwrap().parse::<Timestamp>().unwrap(), time(1));
}

/// Who was told that a device is isolated would take silence for its recovery.
#[test]
fn a_device_that_is_removed_stays_isolated() {
    let teller = Teller::new();
    teller.set(MAST, true, 1);
    let mut city = teller.town.city("midori", &readers());
    city.devices.remove(&MAST);
    teller.desk.configure(&city, agreement(&city).unwrap());
    assert_eq!(teller.update(2), []);
    assert_eq!(teller.incidents("aoba", ""), [of(MAST, "isolated")]);
    assert_eq!(teller.incidents("hibari", ""), []);
    let teller = teller.restart(&[MAST]);
    teller.set(MAST, false, 3);
    assert_eq!(teller.incidents("aoba", ""), [of(MAST, "recovered")]);
}

/// What was hidden from a city is shown anew, with its end, as the city may have read beyond it.
#[test]
fn what_is_shown_again_is_new() {
    let teller = Teller::new();
    teller.set(MAST, true, 1);
    let share = |with: &str, seconds| {
        let mut city = teller.town.city("midori", &readers());
        city.streams.get_mut(&2).unwrap().partners = vec![with.to_owned()];
        teller.desk.configure(&city, agreement(&city).unwrap());
        teller.update(seconds)
    };
    let position = || {
        let (answer, _) = teller.answer("aoba", TOKEN, &format!("{COLLECTION}/objects/"));
        format!("added_after={}", answer.headers()["x-taxii-date-added-last"].to_str().unwrap())
    };
    share("hibari", 2);
    assert_eq!(teller.incidents("aoba", ""), []);
    teller.set(GATE, true, 3);
    let before = position();
    assert_eq!(share("aoba", 4)[0].1["to"], json!(["aoba"]), "the other one had it before");
    assert_eq!(teller.incidents("aoba", &before), [of(MAST, "isolated")]);
    let before = position();
    assert!(share("aoba", 5).is_empty());
    assert_eq!(teller.incidents("aoba", &before), []);
    // It ends where Aoba does not see it.
    share("hibari", 6);
    teller.set(MAST, false, 7);
    teller.set(GATE, false, 8);
    let before = position();
    share("aoba", 9);
    let query = format!("{before}&match%5Bversion%5D=all");
    assert_eq!(teller.incidents("aoba", &query), [of(MAST, "isolated"), of(MAST, "recovered")]);
}

/// What was told is for the audit log until that has it, over restarts.
#[test]
fn what_the_audit_log_does_not_have_is_kept_for_it() {
    let teller = Teller::new();
    teller.desk.isolated(GATE, true);
    teller.desk.update(&BTreeMap::from([(GATE, None)]), time(1)).unwrap();
    let notes = teller.desk.notes();
    assert_eq!((notes.len(), &notes[0].1["device"]), (1, &json!(GATE.to_string())));
    let teller = teller.restart(&[GATE]);
    assert_eq!(teller.desk.notes(), notes);
    teller.desk.recorded(&notes).unwrap();
    assert!(teller.desk.notes().is_empty());
    assert!(teller.restart(&[GATE]).desk.notes().is_empty());
}

/// While something is being stored, neither the engine's thread nor who asks waits for it.
#[test]
fn nobody_waits_for_the_disk() {
    let teller = Arc::new(Teller::new());
    teller.set(MAST, true, 1);
    let city = teller.town.city("midori", &readers());
    let disk = teller.kept.0.begin_write().unwrap();
    teller.desk.isolated(GATE, true);
    let storing = {
        let teller = Arc::clone(&teller);
        std::thread::spawn(move || teller.update(2))
    };
    std::thread::sleep(Duration::from_millis(200));
    let (done, is_done) = std::sync::mpsc::channel();
    {
        let teller = Arc::clone(&teller);
        std::thread::spawn(move || {
            teller.desk.isolated(CAMERA, true);
            teller.desk.configure(&city, agreement(&city).unwrap());
            let status = teller.desk.status();
            done.send((status["aoba"]["open"].clone(), teller.incidents("aoba", ""))).unwrap();
        });
    }
    let seen = is_done.recv_timeout(Duration::from_secs(5));
    assert!(!storing.is_finished(), "it is not stored yet");
    drop(disk);
    assert_eq!(seen.unwrap(), (json!(1), vec![of(MAST, "isolated")]), "what is not stored does not count");
    storing.join().unwrap();
    assert_eq!(teller.incidents("aoba", "").len(), 2);
}

/// Operators see how far each city has read.
#[test]
fn what_cities_have_read_can_be_seen() {
    let teller = Teller::new();
    assert_eq!(
        teller.desk.status()["aoba"],
        json!({ "asked": 0, "last": null, "added_after": null, "open": 0 })
    );
    let begin = Timestamp::now();
    teller.incidents("aoba", "added_after=2026-01-02T03:04:05Z");
    teller.get("/taxii2/city/");
    let status = &teller.desk.status()["aoba"];
    assert_eq!((&status["asked"], &status["added_after"]), (&json!(2), &json!("2026-01-02T03:04:05Z")));
    assert!(status["last"].as_str().unwrap().parse::<Timestamp>().unwrap() >= begin);
    assert_eq!(teller.desk.status()["hibari"]["asked"], 0);
}

/// What the standard says of resources, pages, filters and errors.
#[test]
fn the_server_is_as_the_standard_has_it() {
    let teller = Teller::new();
    teller.set(GATE, true, 1);
    teller.set(MAST, true, 2);
    teller.set(MAST, false, 3);
    let discovery = teller.get("/taxii2/");
    assert_eq!(
        (&discovery["default"], &discovery["api_roots"][0]),
        (&json!("/taxii2/city/"), &json!("/taxii2/city/"))
    );
    assert_eq!(teller.get("/taxii2"), discovery);
    assert_eq!(teller.get("/taxii2/city/")["versions"], json!([taxii::TAXII]));
    let collections = teller.get("/taxii2/city/collections/");
    let about = &collections["collections"][0];
    assert_eq!(
        (collections["collections"].as_array().unwrap().len(), &about["can_read"], &about["can_write"]),
        (1, &json!(true), &json!(false))
    );
    let id = about["id"].as_str().unwrap();
    let by_id = format!("/taxii2/city/collections/{id}");
    assert_eq!((&teller.get(&format!("{by_id}/")), &teller.get(&format!("{COLLECTION}/"))), (about, about));
    // Another city has another one, and this one is not there for it.
    assert_eq!(teller.answer("hibari", OTHER_TOKEN, &format!("{by_id}/")).0.status(), StatusCode::NOT_FOUND);

    // By pages of any size, by `next` or by the time of the last one, all objects come once and in their order.
    let all = teller.get(&format!("{by_id}/manifest/?match%5Bversion%5D=all"));
    let ids = |page: &Value| -> Vec<(String, String)> {
        let entry = |entry: &Value| {
            (entry["id"].as_str().unwrap().to_owned(), entry["version"].as_str().unwrap().to_owned())
        };
        page["objects"].as_array().unwrap_or(&Vec::new()).iter().map(entry).collect()
    };
    let whole = ids(&all);
    // Both incidents have the same evidence.
    assert_eq!((whole.len(), &all["more"]), (5 + 2 * 6 - 1 + 1, &json!(false)), "{whole:?}");
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len());
    for limit in 1..=whole.len() + 1 {
        for by_next in [true, false] {
            let (mut found, mut position) = (Vec::new(), String::new());
            loop {
                let path = format!("{by_id}/manifest/?match%5Bversion%5D=all&limit={limit}{position}");
                let (answer, page) = teller.answer("aoba", TOKEN, &path);
                found.extend(ids(&page));
                assert_eq!(page["more"] == true, page.get("next").is_some());
                if page["more"] != true {
                    break;
                }
                assert_eq!(page["objects"].as_array().unwrap().len(), limit);
                let added = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
                assert_eq!(page["objects"][0]["date_added"], added("x-taxii-date-added-first"));
                position = if by_next {
                    format!("&next={}", page["next"].as_str().unwrap())
                } else {
                    format!("&added_after={}", added("x-taxii-date-added-last"))
                };
            }
            assert_eq!(found, whole, "{limit} {by_next}");
        }
    }
    let last = all["objects"].as_array().unwrap().last().unwrap();
    let path = format!("{by_id}/objects/?added_after={}", last["date_added"].as_str().unwrap());
    assert_eq!(teller.get(&path), json!({}), "nothing is new");

    // Filters.
    let found = |query: &str| ids(&teller.get(&format!("{by_id}/manifest/?{query}"))).len();
    let (incident, recovered) = (last["id"].as_str().unwrap(), last["version"].as_str().unwrap());
    let of_incident = format!("match%5Bid%5D={incident}");
    for (query, expected) in [
        ("match%5Btype%5D=incident", 2),
        ("match%5Btype%5D=incident,identity", 4),
        ("match%5Btype%5D=malware", 0),
        ("match%5Bspec_version%5D=2.1", whole.len() - 1),
        ("match%5Bspec_version%5D=2.0", 0),
        (&of_incident, 1),
        (&format!("{of_incident}&match%5Bversion%5D=all"), 2),
        (&format!("{of_incident}&match%5Bversion%5D=first,last"), 2),
        (&format!("{of_incident}&match%5Bversion%5D={recovered}"), 1),
        (&format!("{of_incident}&match%5Bversion%5D=2001-01-01T00:00:00Z"), 0),
    ] {
        assert_eq!(found(query), expected, "{query}");
    }
    let state = |version: &str| {
        let page = teller.get(&format!("{by_id}/objects/{incident}/?match%5Bversion%5D={version}"));
        page["objects"][0]["extensions"][stix::extension()]["state"].clone()
    };
    assert_eq!((state("first"), state("last")), (json!("isolated"), json!("recovered")));
    let versions = teller.get(&format!("{by_id}/objects/{incident}/versions/"));
    assert_eq!(
        (versions["versions"].as_array().unwrap().len(), &versions["versions"][1]),
        (2, &json!(recovered))
    );

    // Errors.
    let error = |path: &str, expected: u16| {
        let (answer, body) = teller.answer("aoba", TOKEN, path);
        assert_eq!(
            (answer.status().as_u16(), &body["http_status"]),
            (expected, &json!(expected.to_string())),
            "{path}"
        );
        assert!(body["title"].is_string());
        assert_eq!(answer.headers()["content-type"], taxii::TAXII);
    };
    for path in [
        "/taxii2/x/",
        "/taxii2/city/status/1/",
        "/taxii2/city/collections/x/",
        "/taxii2/cityx/",
        &format!("{by_id}/x/"),
    ] {
        error(path, 404);
    }
    error(&format!("{by_id}/objects/incident--00000000-0000-4000-8000-000000000000/"), 404);
    for query in ["limit=0", "limit=x", "added_after=x", "next=x", "match%5Bversion%5D=x"] {
        error(&format!("{by_id}/objects/?{query}"), 400);
    }
    let (answer, _) = teller.answer("aoba", OTHER_TOKEN, "/taxii2/");
    assert!(answer.status() == StatusCode::UNAUTHORIZED && answer.headers().contains_key("www-authenticate"));
    for (city, token) in
        [("hibari", TOKEN), ("midori", TOKEN), ("", TOKEN), ("aoba", ""), ("aoba", &TOKEN[1..])]
    {
        assert_eq!(
            teller.answer(city, token, "/taxii2/").0.status(),
            StatusCode::UNAUTHORIZED,
            "{city} {token}"
        );
    }
    assert_eq!(
        teller.desk.answer(&Method::GET, &"/taxii2/".parse().unwrap(), &HeaderMap::new()).status(),
        StatusCode::UNAUTHORIZED
    );
    let login = format!("Basic {}", Base64::encode_string(format!("aoba:{TOKEN}").as_bytes()));
    let ask = |method: Method, accept: Option<&str>| {
        let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, login.parse().unwrap())]);
        accept.map(|accept| headers.insert(header::ACCEPT, accept.parse().unwrap()));
        teller.desk.answer(&method, &"/taxii2/".parse().unwrap(), &headers).status().as_u16()
    };
    for (accept, expected) in [
        (Some("application/taxii+json;version=2.1"), 200),
        (Some("text/html, application/taxii+json; version=2.1;q=0.5"), 200),
        (Some("application/taxii+json"), 200),
        (Some("*/*"), 200),
        (Some("application/taxii+json;version=2.0"), 406),
        (Some("application/json"), 406),
        (None, 406),
    ] {
        assert_eq!(ask(Method::GET, accept), expected, "{accept:?}");
    }
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        assert_eq!(ask(method, Some(taxii::TAXII)), 403);
    }
}

/// Aoba, which learns.
struct Learner {
    town: Town,
    reports: Arc<Reports>,
}

/// What Aoba has agreed with Midori.
fn source(url: &str, rest: &str) -> String {
    format!(
        "[[partners]]\ncity = \"midori\"\n[partners.incidents]\ncollection = \"{url}\"\ntoken = \"token\"\n{rest}\n"
    )
}

const URL: &str = "http://127.0.0.1:9/taxii2/city/collections/incidents/";

impl Learner {
    fn new(partners: &str) -> Self {
        Self::on(Town::new(), partners)
    }

    fn on(town: Town, partners: &str) -> Self {
        let reports = Arc::new(Reports::open(town.kept()).unwrap());
        let learner = Self { town, reports };
        learner.configure(partners);
        learner
    }

    fn restart(self, partners: &str) -> Self {
        let Self { town, reports } = self;
        drop(reports);
        Self::on(town, partners)
    }

    fn configure(&self, partners: &str) {
        let city = self.town.city("aoba", partners);
        self.reports.configure("aoba", agreement(&city).unwrap());
    }

    fn job(&self) -> Job {
        self.job_at(Instant::now())
    }

    /// What is asked at a time by the clock. It is answered at once.
    fn job_at(&self, now: Instant) -> Job {
        let mut due = self.reports.due(now + Duration::from_secs(400));
        let job = due.pop().expect("it is due");
        self.reports.done(&job, Ok(()), now);
        job
    }

    /// Takes what is new.
    fn take(&self, objects: &[Value]) {
        let job = Job { after: Some(time(0)), ..self.job() };
        self.reports.take(&job, &read(objects, None), time(0), Instant::now()).unwrap();
    }

    /// Takes all of a collection.
    fn take_whole(&self, objects: &[Value]) {
        let job = Job { after: None, ..self.job() };
        self.reports.take(&job, &read(objects, None), time(0), Instant::now()).unwrap();
    }

    fn doubts(&self) -> Doubts {
        self.reports.doubts().borrow().clone()
    }

    fn distrusts(&self, device: DeviceId) -> bool {
        self.doubts().contains_key(&("midori".to_owned(), device))
    }

    fn refused(&self) -> Value {
        self.reports.status()["midori"]["refused"].clone()
    }
}

/// What was read of Midori's collection, to its end.
fn read(objects: &[Value], last: Option<i64>) -> Read {
    let mut read = Read::default();
    read.add("midori", objects);
    read.reaches(last.map(time), time(100));
    read.is_to_end = true;
    read
}

/// There was more.
fn part(read: Read) -> Read {
    let mut read = read;
    read.is_to_end = false;
    read
}

/// An incident as Midori tells it.
fn told(device: DeviceId, created: i64, modified: i64, state: &str) -> Value {
    let name = device.to_string();
    let about = stix::About { city: "midori", device: &name, created: time(created), evidence: None };
    about.incident(time(modified), state == "recovered")
}

/// A report ends by its own incident's end alone, whatever else is told of the device, and over restarts.
#[test]
fn an_incident_ends_by_its_own_end() {
    let learner = Learner::new(&source(URL, ""));
    let (isolated, recovered) = (told(GATE, 1, 1, "isolated"), told(GATE, 1, 5, "recovered"));
    learner.take(std::slice::from_ref(&isolated));
    let doubt = Doubt { incident: isolated["id"].as_str().unwrap().to_owned(), is_held: true };
    assert_eq!(learner.doubts(), Doubts::from([(("midori".to_owned(), GATE), doubt)]));
    learner.take(std::slice::from_ref(&isolated));
    let learner = learner.restart(&source(URL, ""));
    assert!(learner.distrusts(GATE));
    learner.take(&[isolated.clone(), recovered.clone()]);
    assert!(!learner.distrusts(GATE));
    // Another isolation counts. The end of the one before, or of one that is not known, does not end it.
    let (other, mut revoked) = (told(GATE, 9, 9, "isolated"), told(GATE, 1, 99, "isolated"));
    learner.take(std::slice::from_ref(&other));
    revoked["revoked"] = true.into();
    learner.take(&[recovered.clone(), revoked, told(GATE, 3, 99, "recovered")]);
    assert!(learner.restart(&source(URL, "")).distrusts(GATE));

    // Of two that are open each must end.
    let learner = Learner::new(&source(URL, ""));
    learner.take(&[isolated, other.clone()]);
    assert_eq!(learner.reports.status()["midori"]["isolated"], 1, "it is one device");
    learner.take(&[recovered]);
    assert!(learner.distrusts(GATE));
    // One that is revoked, also with no more than that.
    let mut revoked = other;
    revoked["revoked"] = true.into();
    revoked.as_object_mut().unwrap().remove("extensions");
    learner.take(&[revoked]);
    assert!(!learner.distrusts(GATE));
    assert_eq!(learner.refused(), json!({}));
}

/// Whatever the clocks of both cities say, or have said once.
#[test]
fn clocks_do_not_matter() {
    let learner = Learner::new(&source(URL, ""));
    let ahead = 3_000_000_000;
    learner.take(&[told(GATE, ahead, ahead, "isolated")]);
    assert!(learner.distrusts(GATE));
    learner.take(&[told(GATE, ahead, ahead + 1, "recovered")]);
    assert!(!learner.distrusts(GATE));
    learner.take(&[told(GATE, 1, 1, "isolated")]);
    assert!(learner.distrusts(GATE));
    learner.take(&[told(GATE, 1, -ahead / 2, "recovered")]);
    assert!(!learner.distrusts(GATE));
    assert_eq!(learner.refused(), json!({}));
}

/// What is not in a collection any more has ended: its city has lost its file, or has forgotten it.
#[test]
fn what_is_gone_has_ended() {
    let learner = Learner::new(&source(URL, ""));
    learner.take_whole(&[told(GATE, 1, 1, "isolated"), told(MAST, 1, 1, "isolated")]);
    learner.take(&[]);
    assert!(learner.distrusts(GATE), "nothing is new");
    // It was not read to its end.
    let part = part(read(&[], None));
    let job = Job { after: None, ..learner.job() };
    learner.reports.take(&job, &part, time(0), Instant::now()).unwrap();
    assert!(learner.distrusts(GATE));
    // What is there and cannot be understood has not ended.
    let mut strange = told(MAST, 1, 1, "isolated");
    strange["extensions"][stix::extension()]["state"] = "stolen".into();
    let learner = learner.restart(&source(URL, ""));
    learner.take_whole(&[strange]);
    assert!(!learner.distrusts(GATE) && learner.distrusts(MAST));
    let notes = learner.reports.notes(Instant::now());
    let gone: Vec<_> = notes.iter().filter(|(_, detail)| detail["state"] == "gone").collect();
    assert_eq!((gone.len(), &gone[0].1["device"]), (1, &json!(GATE.to_string())));
    // With other ids.
    learner.take_whole(&[told(MAST, 2, 2, "isolated")]);
    assert!(learner.distrusts(MAST));
    learner.take_whole(&[]);
    assert_eq!(learner.doubts(), Doubts::new());
}

/// What is learned is in the audit log, over a crash at any time; once, if there is none.
#[test]
fn the_audit_log_loses_nothing() {
    let learner = Learner::new(&source(URL, ""));
    let states = |learner: &Learner, now: Instant| -> Vec<Value> {
        learner.reports.notes(now).into_iter().map(|(_, detail)| detail["state"].clone()).collect()
    };
    learner.take(&[told(GATE, 1, 1, "isolated")]);
    learner.take(&[told(GATE, 1, 2, "recovered")]);
    let learner = learner.restart(&source(URL, ""));
    let now = Instant::now();
    assert_eq!(states(&learner, now), ["isolated", "recovered"]);
    learner.take(&[told(GATE, 3, 3, "isolated")]);
    assert_eq!(states(&learner, now), ["isolated"]);
    // It may not be stored there yet.
    learner.reports.settle(now + Duration::from_secs(5)).unwrap();
    let learner = learner.restart(&source(URL, ""));
    assert_eq!(states(&learner, now), ["isolated", "recovered", "isolated"]);
    learner.reports.settle(now + Duration::from_secs(10)).unwrap();
    assert_eq!(states(&learner, now), [""; 0]);
    assert_eq!(states(&learner.restart(&source(URL, "")), now), [""; 0]);
}

/// A city is heard about its own devices alone, and what is not as it must be counts nothing.
#[test]
fn what_is_another_citys_or_wrong_is_refused() {
    let learner = Learner::new(&source(URL, ""));
    let name = GATE.to_string();
    let about =
        |city| stix::About { city, device: &name, created: time(1), evidence: None }.incident(time(1), false);
    let mut of_other = told(GATE, 1, 1, "isolated");
    of_other["extensions"][stix::extension()]["city"] = "aoba".into();
    let mut by_other = told(GATE, 1, 1, "isolated");
    by_other["created_by_ref"] = stix::identity("hibari").into();
    learner.take(&[about("hibari"), about("aoba"), of_other, by_other]);
    assert_eq!((learner.refused(), learner.doubts()), (json!({ "wrong_city": 4 }), Doubts::new()));

    let mut faults = Vec::new();
    let mut fault = |pointer: &str, value: Value| {
        let mut incident = told(GATE, 1, 1, "isolated");
        let pointer = pointer.replace('X', &stix::extension());
        *incident.pointer_mut(&pointer).unwrap() = value;
        faults.push(incident);
    };
    let ids = ["incident".to_owned(), "incident--1".to_owned(), format!("incident--{}", "\0".repeat(36))];
    for value in ids.into_iter().map(Value::from).chain([json!(null), json!(1)]) {
        fault("/id", value);
    }
    for pointer in
        ["/created_by_ref", "/extensions/X/device", "/extensions/X/state", "/extensions/X", "/extensions"]
    {
        for value in [json!(null), json!(1), json!({}), json!([[]])] {
            fault(pointer, value);
        }
    }
    fault("/extensions/X/device", json!("70b3d5fffe00000"));
    fault("/extensions/X/state", json!("stolen"));
    let count = faults.len();
    learner.take(&faults);
    assert_eq!(learner.refused(), json!({ "wrong_city": 4, "not_understood": count }));
    assert_eq!(learner.reports.notes(Instant::now()).last().unwrap().0, "incidents refused");
}

/// The own policy decides, at once when it changes; without an agreement nothing counts.
#[test]
fn the_own_policy_decides() {
    let learner = Learner::new(&source(URL, "trust = \"mark\""));
    learner.take(&[told(GATE, 1, 1, "isolated")]);
    let held = |learner: &Learner| learner.doubts().values().map(|doubt| doubt.is_held).collect::<Vec<_>>();
    assert_eq!(held(&learner), [false]);
    for (rest, expected) in
        [("trust = \"hold\"", vec![true]), ("trust = \"ignore\"", vec![]), ("", vec![true])]
    {
        learner.configure(&source(URL, rest));
        assert_eq!(held(&learner), expected, "{rest}");
    }
    // What is under way by an agreement that holds no more counts nothing, nor how it ends.
    let take = |job: &Job| {
        let read = read(&[told(MAST, 1, 1, "isolated")], None);
        learner.reports.take(job, &read, time(2), Instant::now()).unwrap();
        learner.reports.done(job, Err("it failed".to_owned()), Instant::now());
    };
    let later = Instant::now() + Duration::from_secs(400);
    let job = learner.reports.due(later).remove(0);
    learner.configure("");
    assert_eq!((held(&learner), learner.reports.due(later).len()), (vec![], 0));
    take(&job);
    learner.configure(&source(URL, ""));
    assert_eq!(learner.reports.due(later).len(), 1);
    take(&job);
    assert_eq!(learner.reports.status()["midori"]["failing"], Value::Null);
    assert_eq!(learner.reports.due(later).len(), 0, "another one is under way");
    let learner = learner.restart(&source(URL, ""));
    assert!(learner.distrusts(GATE) && !learner.distrusts(MAST));
}

/// From where a collection is read: from its beginning after a start, another agreement, and now and then.
#[test]
fn where_a_collection_is_read_from() {
    let learner = Learner::new(&source(URL, ""));
    let begin = Instant::now();
    let at = |read: Read| {
        learner.reports.take(&learner.job_at(begin), &read, time(100), begin).unwrap();
        learner.job_at(begin).after
    };
    assert_eq!(at(part(read(&[], Some(10)))), None, "it was not read to its end");
    assert_eq!(at(read(&[], Some(101))), None, "what comes may be before that");
    assert_eq!(at(read(&[], Some(10))), Some(time(10)));
    assert_eq!(at(read(&[], Some(20))), Some(time(20)));
    assert_eq!(at(part(read(&[], Some(30)))), Some(time(20)));
    assert_eq!(at(read(&[], None)), Some(time(20)));
    assert_eq!(at(read(&[], Some(101))), Some(time(20)));
    learner.configure(&source(URL, ""));
    assert_eq!(learner.job_at(begin).after, None);
    assert_eq!(at(read(&[], Some(10))), Some(time(10)));
    assert_eq!(learner.job_at(begin + reports::WHOLE).after, None);
    // What is more than a page, and is read again from the same place, is not read all the time.
    let asked_after = |count: usize, last, is_to_end, begin: Instant| {
        let mut read = read(&[], Some(last));
        (read.count, read.is_to_end) = (count, is_to_end);
        let job = learner.job_at(begin);
        learner.reports.take(&job, &read, time(100), begin).unwrap();
        learner.reports.done(&job, Ok(()), begin);
        let due = |seconds: u64| learner.reports.due(begin + Duration::from_secs(seconds)).pop();
        let (seconds, job) = (1..).find_map(|seconds| Some((seconds, due(seconds)?))).unwrap();
        learner.reports.done(&job, Ok(()), begin);
        seconds
    };
    learner.configure(&source("http://127.0.0.1:9/another/", ""));
    for (count, last, expected) in
        [(100, 101, 2), (250, 101, 6), (10_000, 101, 200), (90_000, 101, 300), (10_000, 20, 2)]
    {
        assert_eq!(asked_after(count, last, true, begin), expected, "{count} {last}");
    }
    learner.configure(&source(URL, ""));
    assert_eq!(at(read(&[], Some(10))), Some(time(10)));
    // Files that are read anew have it read whole. If that fails, what is new is read before it is tried again.
    learner.configure(&source(URL, "trust = \"mark\""));
    let job = learner.job_at(begin);
    assert_eq!(job.after, None);
    let mut much = part(read(&[], Some(20)));
    much.count = 3100;
    learner.reports.take(&job, &much, time(100), begin).unwrap();
    learner.reports.done(&job, Err("a page is too long".to_owned()), begin);
    let next = learner.reports.due(begin + Duration::from_secs(3)).pop().expect("it is due");
    assert_eq!(next.after, Some(time(10)));
    learner.reports.done(&next, Ok(()), begin);
    // Of another collection nothing is known.
    learner.configure(&source("http://127.0.0.1:9/another/", ""));
    assert_eq!(at(part(read(&[], Some(20)))), None);
    learner.configure(&source(URL, ""));
    assert_eq!(at(read(&[], Some(10))), Some(time(10)));
    // The same at its time.
    let late = begin + reports::WHOLE + Duration::from_secs(10);
    let after = |seconds, ended| {
        let now = late + Duration::from_secs(seconds);
        let job = learner.reports.due(now).pop().expect("it is due");
        learner.reports.done(&job, ended, now);
        job.after
    };
    assert_eq!(after(0, Err("no answer".to_owned())), None);
    assert_eq!(after(30, Ok(())), Some(time(10)));
    assert_eq!(after(70, Ok(())), None);
}

/// While the whole of a long collection cannot be read to its end, what is new is heard, and the whole is tried again.
#[test]
fn a_whole_that_fails_delays_nothing() {
    let learner = Learner::new(&source(URL, ""));
    let begin = Instant::now();
    learner.reports.take(&learner.job_at(begin), &read(&[], Some(10)), time(100), begin).unwrap();
    let due = |seconds| learner.reports.due(begin + reports::WHOLE + Duration::from_secs(seconds)).pop();
    let mut now = 1;
    for (count, again) in [(3100, 62), (100, 60), (90_000, 300)] {
        for ended in [Err("a page is too long".to_owned()), Ok(())] {
            let at = |seconds| begin + reports::WHOLE + Duration::from_secs(seconds);
            let job = due(now).expect("it is due");
            assert_eq!(job.after, None);
            let mut read = part(read(&[], Some(20)));
            read.count = count;
            learner.reports.take(&job, &read, time(100), at(now)).unwrap();
            learner.reports.done(&job, ended, at(now));
            let begun = now;
            loop {
                now += 2;
                let job = due(now).expect("it is due every two seconds");
                if job.after.is_none() {
                    assert_eq!((now - begun, count), (again, count));
                    // It is asked again, from the same.
                    learner.reports.done(&job, Ok(()), at(now));
                    now += 2;
                    break;
                }
                assert_eq!(job.after, Some(time(10)));
                learner.reports.done(&job, Ok(()), at(now));
            }
        }
    }
}

/// A clock there that is a little ahead has little read again.
#[test]
fn a_clock_that_is_ahead_costs_little() {
    let learner = Learner::new(&source(URL, ""));
    let begin = Instant::now();
    let take = |lasts: &[i64], now| {
        let job = learner.job_at(now);
        let mut read = read(&[told(GATE, 1, 1, "isolated")], None);
        lasts.iter().for_each(|last| read.reaches(Some(time(*last)), time(100)));
        read.count = 250;
        learner.reports.take(&job, &read, time(100), now).unwrap();
        learner.reports.done(&job, Ok(()), now);
        learner.reports.due(now + Duration::from_secs(2)).pop().map(|next| {
            learner.reports.done(&next, Ok(()), now);
            (job.after, next.after)
        })
    };
    assert_eq!(take(&[10, 20, 101], begin), Some((None, Some(time(20)))));
    // Nor is it read from its beginning once that was done.
    let whole = begin + reports::WHOLE;
    assert_eq!(take(&[101], whole), Some((None, Some(time(20)))));
    // In a collection that is empty all may be new.
    let whole = whole + reports::WHOLE;
    learner.reports.take(&learner.job_at(whole), &read(&[], None), time(100), whole).unwrap();
    assert_eq!(learner.job_at(whole).after, None);
}

/// What was kept by the first version, of each report the device alone, still counts.
#[test]
fn reports_of_before_count() {
    let town = Town::new();
    let incident = told(GATE, 1, 1, "isolated")["id"].as_str().unwrap().to_owned();
    let before = file::to_bytes(&GATE.to_string()).unwrap();
    let kept = BTreeMap::from([(format!("midori\n{incident}"), Some(before))]);
    town.kept().keep(&[(reports::OPEN, kept)]).unwrap();
    let learner = Learner::on(town, &source(URL, ""));
    assert!(learner.distrusts(GATE));
    assert!(learner.reports.clear("midori", &incident, "mika").unwrap());
    let learner = learner.restart(&source(URL, ""));
    assert!(!learner.distrusts(GATE));
    assert_eq!(learner.reports.status()["midori"]["reports"][0]["cleared"], true);
}

/// A city that tells much fills neither the memory nor the audit log. Its isolations count at once, and what has no room is not lost.
#[test]
fn what_is_learned_is_bounded() {
    let learner = Learner::new(&source(URL, ""));
    let device = |number: usize| DeviceId((number as u64).to_be_bytes());
    let all = |state: &str| -> Vec<_> {
        (0..reports::MOST + 10).map(|number| told(device(number), 1, 1, state)).collect()
    };
    let mut clock = Instant::now();
    let take = |objects: &[Value], clock| {
        let job = learner.job_at(clock);
        learner.reports.take(&job, &read(objects, Some(1)), time(2), clock).unwrap();
        learner.doubts().len()
    };
    // Ends of what is not known cost nothing.
    assert_eq!(take(&all("recovered"), clock), 0);
    assert_eq!(learner.job_at(clock).after, Some(time(1)));
    learner.configure(&source(URL, ""));
    assert_eq!(take(&all("isolated"), clock), reports::MOST);
    assert_eq!(learner.refused(), json!({ "too_many": 10 }));
    assert_eq!(learner.job_at(clock).after, None, "they come again");
    // Those that end make room.
    let some = [told(device(0), 1, 3, "recovered")];
    let mixed: Vec<_> = all("isolated").into_iter().chain(some).collect();
    assert_eq!(take(&mixed, clock), reports::MOST);
    assert!(!learner.distrusts(device(0)));
    // Ends wait for each other, and come again until all are taken.
    let (mut turns, mut left) = (0, take(&all("recovered"), clock));
    assert_eq!(left, reports::MOST + 1 - 256);
    while left > 0 {
        assert_eq!(learner.job_at(clock).after, None);
        (clock, turns) = (clock + Duration::from_secs(10), turns + 1);
        left = take(&all("recovered"), clock);
    }
    assert_eq!((turns, learner.job_at(clock).after), (75, Some(time(1))));
}

/// A collection that is longer than what is read at once is read in parts, each from where the one before has ended. What is in none of them has
/// ended.
#[test]
fn a_long_collection_is_read_in_parts() {
    let learner = Learner::new(&source(URL, ""));
    let begin = Instant::now();
    learner.take_whole(&[told(GATE, 1, 1, "isolated"), told(MAST, 1, 1, "isolated")]);
    let learner = learner.restart(&source(URL, ""));
    let take = |objects: &[Value], next: Option<&str>| {
        let job = learner.job_at(begin);
        let mut read = read(objects, Some(10));
        (read.is_to_end, read.next) = (next.is_none(), next.map(str::to_owned));
        learner.reports.take(&job, &read, time(100), begin).unwrap();
        (job.after, job.walk.next)
    };
    let from = |next: &str| (None, Some(next.to_owned()));
    // An isolation in the first part counts at once, and is in the collection.
    assert_eq!(
        take(&[told(GATE, 1, 1, "isolated"), told(CAMERA, 1, 1, "isolated")], Some("2")),
        (None, None)
    );
    assert!(learner.distrusts(CAMERA));
    assert_eq!(take(&[], Some("3")), from("2"));
    assert!(
        [GATE, MAST, CAMERA].iter().all(|device| learner.distrusts(*device)),
        "it is not read to its end"
    );
    assert_eq!(take(&[], None), from("3"));
    assert!(learner.distrusts(GATE) && learner.distrusts(CAMERA) && !learner.distrusts(MAST));
    assert_eq!(learner.job_at(begin).after, Some(time(10)));
    // After a failure, and with another agreement, it is read from its beginning.
    for fails in [true, false] {
        learner.configure(&source(URL, ""));
        assert_eq!(take(&[], Some("2")), (None, None));
        if fails {
            assert_eq!(learner.job_at(begin).walk.next.as_deref(), Some("2"));
        } else {
            learner.configure(&source(URL, ""));
        }
        let job = learner.job_at(begin);
        assert_eq!((job.after, job.walk.next), (None, None));
    }
    // What has no room in one part comes again, though the other parts have it all.
    learner.configure(&source(URL, ""));
    let device = |number: usize| DeviceId((number as u64).to_be_bytes());
    let many: Vec<_> = (0..=reports::MOST).map(|number| told(device(number), 1, 1, "isolated")).collect();
    take(&many, Some("2"));
    take(&[], None);
    assert_eq!(learner.job_at(begin).after, None);
}

/// An operator who knows better ends a report that its city does not end; that is in the audit log, by name, and holds over restarts.
#[test]
fn an_operator_clears_a_report() {
    let learner = Learner::new(&source(URL, ""));
    let (gate, mast) = (told(GATE, 1, 1, "isolated"), told(MAST, 1, 1, "isolated"));
    learner.take(&[gate.clone(), mast.clone()]);
    let incident = gate["id"].as_str().unwrap();
    learner.reports.notes(Instant::now());
    for (city, incident) in [("aoba", incident), ("midori", "incident--1"), ("midori", "")] {
        assert!(!learner.reports.clear(city, incident, "mika").unwrap());
    }
    assert!(learner.distrusts(GATE));
    assert!(learner.reports.clear("midori", incident, "mika").unwrap());
    assert!(!learner.distrusts(GATE) && learner.distrusts(MAST));
    assert!(learner.reports.clear("midori", incident, "sena").unwrap(), "it is cleared already");
    let notes = learner.reports.notes(Instant::now());
    let cleared = json!({
        "city": "midori", "device": GATE.to_string(), "incident": incident, "state": "cleared", "operator": "mika",
    });
    assert_eq!(notes, [("incident cleared", cleared)]);
    // It is still told, and is cleared all the same.
    learner.take_whole(&[gate.clone(), mast.clone()]);
    let learner = learner.restart(&source(URL, ""));
    learner.take_whole(&[gate, mast]);
    assert!(!learner.distrusts(GATE) && learner.distrusts(MAST));
    let shown = learner.reports.status()["midori"]["reports"].clone();
    let of = |device: DeviceId| {
        shown.as_array().unwrap().iter().find(|report| report["device"] == device.to_string()).unwrap()
    };
    assert_eq!((&of(GATE)["cleared"], &of(MAST)["cleared"]), (&json!(true), &json!(false)));
    assert_eq!((&of(MAST)["trust"], &of(MAST)["since"]), (&json!("hold"), &json!(time(0).to_string())));
    // Nor does it count when it has ended, or was not told for a while, and is told again.
    let (gate, mast) = (told(GATE, 1, 1, "isolated"), told(MAST, 1, 1, "isolated"));
    let states = |learner: &Learner| -> Vec<Value> {
        let notes = learner.reports.notes(Instant::now()).into_iter();
        notes.map(|(_, detail)| detail["state"].clone()).collect()
    };
    states(&learner);
    for end in [&[][..], &[told(GATE, 1, 5, "recovered")]] {
        let end = [std::slice::from_ref(&mast), end].concat();
        for _ in 0..2 {
            learner.take_whole(&end);
        }
        assert_eq!(learner.reports.status()["midori"]["reports"].as_array().unwrap().len(), 1);
        assert_eq!(learner.reports.status()["midori"]["isolated"], 1);
        let expected = if end.len() == 1 { "gone" } else { "recovered" };
        for _ in 0..2 {
            learner.take_whole(&[gate.clone(), mast.clone()]);
        }
        assert_eq!(states(&learner), [expected, "isolated"]);
        assert!(!learner.distrusts(GATE) && learner.distrusts(MAST));
    }
    learner.take_whole(std::slice::from_ref(&mast));
    let learner = learner.restart(&source(URL, ""));
    learner.take_whole(&[gate, mast]);
    assert!(!learner.distrusts(GATE) && learner.distrusts(MAST));
    // The next isolation is another incident.
    learner.take(&[told(GATE, 9, 9, "isolated")]);
    assert!(learner.distrusts(GATE));
}

/// What was cleared can count again: at once while it is told, and else when it is told again.
#[test]
fn an_operator_restores_a_report() {
    let learner = Learner::new(&source(URL, ""));
    let (gate, mast) = (told(GATE, 1, 1, "isolated"), told(MAST, 1, 1, "isolated"));
    let [incident, other] = [&gate, &mast].map(|object| object["id"].as_str().unwrap().to_owned());
    learner.take_whole(&[gate.clone(), mast.clone()]);
    assert!(!learner.reports.restore("midori", "incident--1", "mika").unwrap());
    assert!(learner.reports.restore("midori", &incident, "mika").unwrap(), "it counts already");
    for incident in [&incident, &other] {
        assert!(learner.reports.clear("midori", incident, "mika").unwrap());
    }
    learner.reports.notes(Instant::now());
    assert!(learner.reports.restore("midori", &incident, "sena").unwrap());
    assert!(learner.distrusts(GATE) && !learner.distrusts(MAST));
    let restored = json!({
        "city": "midori", "device": GATE.to_string(), "incident": incident, "state": "restored", "operator": "sena",
    });
    assert_eq!(learner.reports.notes(Instant::now()), [("incident restored", restored)]);
    // One that has ended meanwhile is only forgotten.
    for _ in 0..2 {
        learner.take_whole(std::slice::from_ref(&gate));
    }
    assert!(learner.reports.restore("midori", &other, "sena").unwrap());
    assert!(!learner.reports.restore("midori", &other, "sena").unwrap());
    assert!(!learner.distrusts(MAST));
    let learner = learner.restart(&source(URL, ""));
    assert!(learner.distrusts(GATE) && !learner.distrusts(MAST));
    learner.take_whole(&[gate, mast]);
    assert!(learner.distrusts(GATE) && learner.distrusts(MAST));
}

/// An operator sees what is not cleared, however much is.
#[test]
fn what_counts_is_shown_first() {
    let learner = Learner::new(&source(URL, ""));
    let device = |number: usize| DeviceId((number as u64).to_be_bytes());
    let all: Vec<_> = (0..reports::SHOWN + 50).map(|number| told(device(number), 1, 1, "isolated")).collect();
    learner.take_whole(&all);
    let shown = || learner.reports.status()["midori"]["reports"].as_array().unwrap().clone();
    for report in shown() {
        assert!(learner.reports.clear("midori", report["incident"].as_str().unwrap(), "mika").unwrap());
    }
    let count = shown().iter().filter(|report| report["cleared"] == false).count();
    assert_eq!((count, shown().len()), (50, reports::SHOWN));
    assert!(shown()[..50].iter().all(|report| report["cleared"] == false));
}

/// What is cleared makes room for others, and the oldest of too many is forgotten: one that has ended before one that has not.
#[test]
fn what_is_cleared_is_bounded() {
    let device = |number: usize| DeviceId((number as u64).to_be_bytes());
    let isolated = |number: usize| told(device(number), 1, 1, "isolated");
    let incident = |number: usize| isolated(number)["id"].as_str().unwrap().to_owned();
    let on = |numbers: std::ops::Range<usize>, cleared: Option<&str>| {
        let report = |number: usize| {
            let since = time(i64::try_from(number).unwrap() - 5000);
            json!({ "device": device(number).to_string(), "since": since, "cleared": cleared })
        };
        let kept = |number| {
            (format!("midori\n{}", incident(number)), Some(file::to_bytes(&report(number)).unwrap()))
        };
        let town = Town::new();
        town.kept().keep(&[(reports::OPEN, numbers.map(kept).collect())]).unwrap();
        Learner::on(town, &source(URL, ""))
    };
    let clear = |learner: &Learner, number: usize| {
        assert!(learner.reports.clear("midori", &incident(number), "mika").unwrap());
    };
    let learner = on(0..reports::MOST, None);
    clear(&learner, 0);
    learner.take(&[isolated(reports::MOST)]);
    assert!(learner.distrusts(device(reports::MOST)));
    assert_eq!((learner.doubts().len(), learner.refused()), (reports::MOST, json!({})));

    let learner = on(0..reports::MOST, Some("mika"));
    let more = [isolated(reports::MOST), isolated(reports::MOST + 1), told(device(7), 1, 2, "recovered")];
    learner.take(&more);
    clear(&learner, reports::MOST);
    clear(&learner, reports::MOST + 1);
    let all: Vec<_> = (0..reports::MOST + 2).map(isolated).collect();
    learner.take(&all);
    let doubts: Vec<_> = learner.doubts().into_keys().map(|(_, device)| device).collect();
    assert_eq!(doubts, [device(0), device(7)], "it was forgotten that they were cleared");
}

/// Answers each connection with what is said, and then with nothing.
async fn answers(answers: Vec<Vec<u8>>) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let mut open = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.read(&mut [0; 2048]).await);
            drop(stream.write_all(&answer).await);
            if answer.ends_with(b"endless") {
                tokio::spawn(endless(stream));
            } else {
                open.push(stream);
            }
        }
        std::future::pending::<()>().await;
    });
    (port, serving)
}

async fn endless(mut stream: TcpStream) {
    while stream.write_all(&[b' '; 4096]).await.is_ok() {}
}

fn http(status: &str, kind: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Whatever another city answers, or does not: it is a state that can be seen, and the next good answer counts.
#[tokio::test(flavor = "multi_thread")]
async fn bad_answers_are_seen_and_go_by() {
    let incident = told(GATE, 1, 1, "isolated");
    let isolated = json!({ "objects": [incident] }).to_string();
    let many = json!({ "objects": vec![1; 1001] }).to_string();
    for (answer, expected) in [
        (http("500 no", taxii::TAXII, ""), "it answered 500"),
        (http("401 no", taxii::TAXII, ""), "it answered 401"),
        (http("302 no", taxii::TAXII, ""), "it answered 302"),
        (http("200 OK", "text/html", &isolated), "not of TAXII"),
        (http("200 OK", taxii::TAXII, "none"), "not what it should be"),
        (http("200 OK", taxii::TAXII, "{\"objects\": 1}"), "not what it should be"),
        (http("200 OK", taxii::TAXII, &"[".repeat(10_000)), "not what it should be"),
        (http("200 OK", taxii::TAXII, &many), "too many objects"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/taxii+json\r\n\r\nendless".to_vec(), "length limit"),
        (b"SSH-2.0".to_vec(), ""),
        (b"".to_vec(), "in time"),
    ] {
        let again = http("200 OK", taxii::TAXII, &isolated);
        let (port, serving) = answers(vec![answer, again]).await;
        let learner = Learner::new(&source(&format!("http://127.0.0.1:{port}/c"), ""));
        let running = tokio::spawn(crate::run(Arc::clone(&learner.reports)));
        let status = || learner.reports.status()["midori"].clone();
        let begin = Instant::now();
        while status()["failed"] == 0 {
            assert!(begin.elapsed() < Duration::from_secs(20), "{expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let why = status()["failing"].as_str().unwrap().to_owned();
        assert!(why.contains(expected), "{expected}: {why}");
        while !learner.distrusts(GATE) {
            assert!(begin.elapsed() < Duration::from_secs(30), "{expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while status()["answers"] == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status()["failing"], Value::Null);
        running.abort();
        serving.abort();
    }
}

/// An answer that has a next one is followed, and one that has nothing is not: what goes on for ever is a failure.
#[tokio::test(flavor = "multi_thread")]
async fn pages_without_an_end_are_left() {
    let page = |number: usize, objects: &[Value]| {
        let body = json!({ "more": true, "next": number.to_string(), "objects": objects });
        http("200 OK", taxii::TAXII, &body.to_string())
    };
    let more_of_nothing = http("200 OK", taxii::TAXII, &json!({ "more": true, "objects": [1] }).to_string());
    let objects: Vec<_> = (0..1000).map(|_| json!(1)).collect();
    for (pages, expected) in
        [(vec![page(0, &[])], "says that there are more"), (vec![more_of_nothing], "where there is more")]
    {
        let (port, serving) = answers(pages).await;
        let learner = Learner::new(&source(&format!("http://127.0.0.1:{port}/c"), ""));
        let running = tokio::spawn(crate::run(Arc::clone(&learner.reports)));
        until(|| learner.reports.status()["midori"]["failed"] == 1).await;
        let why = learner.reports.status()["midori"]["failing"].as_str().unwrap().to_owned();
        assert!(why.contains(expected), "{expected}: {why}");
        running.abort();
        serving.abort();
    }
    // What is too much for one time is read on, up to so many of one collection.
    let last = json!({ "objects": [told(GATE, 1, 1, "isolated")] }).to_string();
    let pages = (0..10).map(|number| page(number, &objects));
    let (port, serving) = answers(pages.chain([http("200 OK", taxii::TAXII, &last)]).collect()).await;
    let learner = Learner::new(&source(&format!("http://127.0.0.1:{port}/c"), ""));
    let running = tokio::spawn(crate::run(Arc::clone(&learner.reports)));
    until(|| learner.reports.status()["midori"]["answers"] == 1).await;
    assert!(!learner.distrusts(GATE));
    until(|| learner.distrusts(GATE)).await;
    assert_eq!(learner.reports.status()["midori"]["failed"], 0);
    running.abort();
    serving.abort();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = page(0, &objects);
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 2048];
        let count = stream.read(&mut request).await.unwrap();
        stream.write_all(&answer).await.unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    let learner = Learner::new(&source(&format!("http://127.0.0.1:{port}/c"), ""));
    let mut job = learner.job();
    (job.walk.count, job.walk.next) = (poll::MOST_OF_ONE, Some("there".to_owned()));
    let why = poll::read_pages(&job, &mut Read::default()).await.unwrap_err().to_string();
    assert!(why.contains("too many objects"), "{why}");
    let asked = asked.await.unwrap();
    assert!(asked.contains("next=there"), "from where it is read on: {asked}");
}

/// What was read before a page failed counts, and the collection is read from the same place again.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_fails_loses_nothing() {
    let page = |objects: &[Value], more: bool| {
        let mut body = json!({ "more": more, "objects": objects });
        if more {
            body["next"] = "1".into();
        }
        // All of one time: a place between them cannot be told by time.
        let kind = format!("{}\r\nX-TAXII-Date-Added-Last: 2023-11-14T22:13:20Z", taxii::TAXII);
        http("200 OK", &kind, &body.to_string())
    };
    let (gate, mast) = (told(GATE, 1, 1, "isolated"), told(MAST, 1, 1, "isolated"));
    let first = page(&[gate], true);
    let pages = vec![first.clone(), http("500 no", taxii::TAXII, ""), first, page(&[mast], false)];
    let (port, serving) = answers(pages).await;
    let learner = Learner::new(&source(&format!("http://127.0.0.1:{port}/c"), ""));
    let running = tokio::spawn(crate::run(Arc::clone(&learner.reports)));
    until(|| learner.reports.status()["midori"]["failed"] == 1).await;
    assert!(learner.distrusts(GATE) && !learner.distrusts(MAST));
    until(|| learner.reports.status()["midori"]["answers"] == 1).await;
    assert!(learner.distrusts(GATE) && learner.distrusts(MAST));
    running.abort();
    serving.abort();
}

async fn until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is the same in all cities has the same author, whoever tells it.
#[test]
fn the_extension_has_one_author() {
    let [a, b] = ["midori", "aoba"].map(|city| {
        let objects = stix::common(city).into_iter();
        let (own, of_all): (Vec<_>, Vec<_>) =
            objects.partition(|object| object["created_by_ref"] == stix::identity(city));
        assert_eq!(own.len(), 2, "the city, and what it says is to be done");
        of_all
    });
    assert_eq!(a, b);
    let kinds: Vec<_> = a.iter().map(|object| object["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["marking-definition", "identity", "extension-definition"]);
    assert_eq!(a[1]["id"], a[2]["created_by_ref"]);
}

#[test]
fn faults_of_an_agreement_are_found() {
    let town = Town::new();
    fs::write(town.0.path().join("short"), "short").unwrap();
    fs::write(town.0.path().join("strange"), "x\u{e9}".repeat(30)).unwrap();
    let table = |rest: &str| format!("[[partners]]\ncity = \"aoba\"\n[partners.incidents]\n{rest}\n");
    let url = "collection = \"http://127.0.0.1:9/c\"\n";
    for (rest, expected) in [
        ("reader = \"x\"".to_owned(), "partners[0].incidents.reader: is no SHA-256"),
        ("unknown = 1".to_owned(), "unknown field"),
        ("trust = \"hold\"".to_owned(), "partners[0].incidents.collection: is missing"),
        (url.to_owned(), "partners[0].incidents.token: is missing"),
        (format!("{url}token = \"nowhere\""), "nowhere: it cannot be read"),
        (format!("{url}token = \"short\""), "a token has 32 to 128 characters"),
        (format!("{url}token = \"strange\""), "visible ASCII"),
        (format!("{url}token = \"token\"\ntrust = \"blind\""), "unknown variant"),
        (
            "collection = \"http://example.com/c\"\ntoken = \"token\"".to_owned(),
            "only an address of this machine",
        ),
        (
            "collection = \"https://example.com/c\"\ntoken = \"token\"".to_owned(),
            "partners[0].incidents.collection: `https://example.com/c` needs `authorities`",
        ),
    ] {
        let city = town.city("midori", &table(&rest));
        let error = agreement(&city).unwrap_err().to_string();
        assert!(error.contains(expected), "{rest}: {error}");
    }
    let city = town.city("midori", &table(&format!("{url}token = \"token\"")));
    assert_eq!(agreement(&city).unwrap().sources.len(), 1);
}

/// Other things of refusals than what they count need not be here.
#[test]
fn what_refusals_are_called() {
    let names = BTreeMap::from([(Refusal::NotUnderstood, 1), (Refusal::TooMany, 2)]);
    assert_eq!(json!(names), json!({ "not_understood": 1, "too_many": 2 }));
    assert_eq!(desk::AGE, SignedDuration::from_hours(720));
}
