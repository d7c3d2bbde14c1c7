//! Users of partner cities: they have what the policy says of their attributes, as long as what was agreed holds.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use smart_city_engine::{
    audit::Audit,
    config::{City, UserEntry},
    engine::{Engine, Guest, Input, MOST_GUESTS, Output, Reader, Unwelcome, Wanted},
};
use tempfile::TempDir;

use crate::common::{GATE, MAST, TestDevice, ask, engine, example, files, is_isolated, plain};

/// What is agreed: the engine does not know what it means.
const AGREED: &str = "\n[[partners]]\ncity = \"aoba\"\n[partners.login]\nissuer = \"https://id.aoba.example\"\nmax_level = 3\n";

fn with(dir: &Path, more: &str) {
    let path = dir.join("city.toml");
    let city = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/example/city.toml"));
    fs::write(path, format!("history = {{ hours = 1, most = 100 }}\n{}{more}", city.unwrap())).unwrap();
}

fn agreed_city() -> TempDir {
    let dir = example();
    with(dir.path(), AGREED);
    dir
}

fn guest(name: &str, departments: &[&str], level: u8) -> Guest {
    Guest {
        name: name.to_owned(),
        user: UserEntry {
            city: "aoba".to_owned(),
            departments: departments.iter().map(|name| (*name).to_owned()).collect(),
            level,
        },
        until: Timestamp::now() + 1.hour(),
        agreed: Arc::new(json!({ "issuer": "https://id.aoba.example", "max_level": 3 })),
    }
}

fn log_in(engine: &mut Engine, guest: &Guest, session: Option<u64>) -> Result<(), Unwelcome> {
    let guest = Arc::new(guest.clone());
    ask(engine, |reply| Input::Guest { guest, session, reply }).0
}

fn reload(dir: &Path) -> Input {
    let (city, secrets) = files(dir);
    Input::Reload(Ok(Box::new((city, secrets))))
}

/// To whom readings go.
fn receivers(outputs: &[Output]) -> BTreeSet<String> {
    let users = outputs.iter().filter(|output| output.delivery.is_some());
    users.map(|output| output.topic.split('/').nth(1).unwrap().to_owned()).collect()
}

struct Town {
    engine: Engine,
    city: City,
    gate: TestDevice,
    mast: TestDevice,
}

impl Town {
    fn new(dir: &Path) -> Self {
        let (engine, _) = engine(dir);
        let [gate, mast] = [GATE, MAST].map(|id| TestDevice::new(id, 1, dir));
        Self { engine, city: files(dir).0, gate, mast }
    }

    /// Who receives a reading of each stream.
    fn receivers(&mut self) -> [BTreeSet<String>; 3] {
        [1, 2, 3].map(|stream| {
            let device = if stream == 2 { &mut self.mast } else { &mut self.gate };
            let reading = device.reading(stream, &self.city, b"1");
            receivers(&self.engine.handle([reading]).unwrap())
        })
    }

    /// Which streams this one receives.
    fn received(&mut self, name: &str) -> [bool; 3] {
        self.receivers().map(|users| users.contains(name))
    }
}

fn history(engine: &mut Engine, reader: &Reader, stream: &str) -> usize {
    let stream = stream.to_owned();
    let wanted = Wanted { stream, device: None, from: Timestamp::MIN, to: Timestamp::MAX, limit: 100 };
    let (excerpt, _) = ask(engine, |reply| Input::History { reader: reader.clone(), wanted, reply });
    excerpt.unwrap().map_or(0, |excerpt| excerpt.read(|| true).unwrap().len())
}

fn records(dir: &Path, event: &str) -> Vec<Value> {
    let text = fs::read_to_string(Audit::path(dir)).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["event"] == event).map(|record| record["detail"].clone()).collect()
}

/// Readings and the past, for all attributes, as for a user with the same attributes.
#[test]
fn guests_have_what_their_attributes_allow() {
    let dir = agreed_city();
    let mut town = Town::new(dir.path());
    town.receivers();
    let streams: Vec<_> = town.city.streams.values().cloned().collect();
    let mut seen = BTreeSet::new();
    let (mut session, mut left) = (0, 64);
    for departments in [&[][..], &["traffic"], &["weather"], &["rescue", "traffic"]] {
        for level in 0..3 {
            let guest = guest("aoba:hiro", departments, level);
            session += 1;
            left -= 1;
            assert!(left > 0);
            log_in(&mut town.engine, &guest, Some(session)).unwrap();
            let expected = [0, 1, 2].map(|i| plain(&guest.user, &streams[i], true));
            assert_eq!(town.received("aoba:hiro"), expected, "{guest:?}");
            let reader = Reader::Guest(Arc::new(guest.clone()));
            let past = [0, 1, 2].map(|i| history(&mut town.engine, &reader, &streams[i].name) > 0);
            assert_eq!(past, expected, "{guest:?}");
            seen.insert(expected);
        }
    }
    assert_eq!(seen.len(), 2, "some see the partner's stream");
    // As the user of that city whose password is here.
    let sora = town.city.users["sora"].clone();
    let same = Guest { user: sora, ..guest("aoba:sora", &[], 0) };
    log_in(&mut town.engine, &same, Some(100)).unwrap();
    for users in town.receivers() {
        assert_eq!(users.contains("aoba:sora"), users.contains("sora"), "{users:?}");
    }
    let status = ask(&mut town.engine, Input::Status).0;
    let flows = status["flows"].as_array().unwrap();
    let of = |user: &str| {
        let own = flows.iter().filter(|flow| flow["user"] == user);
        own.map(|flow| [&flow["stream"], &flow["allowed"], &flow["reason"]].map(Value::clone))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("aoba:sora"), of("sora"));
    assert_eq!(of("aoba:sora").len(), 3);
    let decided = records(dir.path(), "decided");
    assert!(
        decided.iter().any(|detail| detail["user"] == "aoba:sora" && detail["allowed"] == false),
        "{decided:?}"
    );
}

/// A reading that is for a guest alone is kept for it, too.
#[test]
fn a_reading_may_be_for_a_guest_alone() {
    let dir = agreed_city();
    let text = fs::read_to_string(dir.path().join("city.toml")).unwrap();
    let users = text.find("[[users]]").unwrap();
    let partners = text.find("\n[[partners]]\ncity").unwrap();
    fs::write(dir.path().join("city.toml"), format!("{}{}", &text[..users], &text[partners..])).unwrap();
    let secrets = fs::read_to_string(dir.path().join("secrets.toml")).unwrap();
    let secrets: String = secrets
        .split_inclusive('\n')
        .scan(false, |is_user, line| {
            if line.starts_with('[') {
                *is_user = line.starts_with("[users.");
            }
            Some(if *is_user { "" } else { line })
        })
        .collect();
    fs::write(dir.path().join("secrets.toml"), secrets).unwrap();
    let mut town = Town::new(dir.path());
    assert_eq!(town.receivers().map(|users| users.len()), [0, 0, 0]);
    log_in(&mut town.engine, &guest("aoba:hiro", &["rescue"], 1), Some(1)).unwrap();
    assert_eq!(town.receivers().map(|users| users.len()), [1, 1, 0]);
}

#[test]
fn guests_come_and_go() {
    let dir = agreed_city();
    let mut town = Town::new(dir.path());
    let hiro = guest("aoba:hiro", &["rescue"], 2);
    assert_eq!(town.received("aoba:hiro"), [false; 3], "nobody has logged in");
    // For requests alone.
    log_in(&mut town.engine, &hiro, None).unwrap();
    assert_eq!(town.received("aoba:hiro"), [false; 3]);
    log_in(&mut town.engine, &hiro, Some(1)).unwrap();
    assert_eq!(town.received("aoba:hiro"), [true, true, false]);
    // The next session has other attributes; that the one before has ended does not end it.
    log_in(&mut town.engine, &guest("aoba:hiro", &[], 2), Some(2)).unwrap();
    let gone = |session| Input::GuestGone { name: "aoba:hiro".to_owned(), session };
    town.engine.handle([gone(1)]).unwrap();
    assert_eq!(town.received("aoba:hiro"), [true, false, false]);
    town.engine.handle([gone(2)]).unwrap();
    assert_eq!(town.received("aoba:hiro"), [false; 3]);
    town.engine.handle([gone(2), Input::GuestGone { name: "aoba:nobody".to_owned(), session: 2 }]).unwrap();
    let logins = records(dir.path(), "guest logged in");
    let until = json!(hiro.until);
    assert_eq!(
        logins,
        [
            json!({ "user": "aoba:hiro", "over": "http", "departments": ["rescue"], "level": 2, "until": until }),
            json!({ "user": "aoba:hiro", "over": "mqtt", "departments": ["rescue"], "level": 2, "until": until }),
            json!({ "user": "aoba:hiro", "over": "mqtt", "departments": [], "level": 2, "until": logins[2]["until"] }),
        ]
    );
    let gone = records(dir.path(), "guest gone");
    assert_eq!(gone, [json!({ "user": "aoba:hiro", "why": "the session has ended" })]);
}

/// An isolated device's readings are for nobody.
#[test]
fn guests_have_nothing_of_an_isolated_device() {
    let dir = agreed_city();
    let mut town = Town::new(dir.path());
    let hiro = guest("aoba:hiro", &["rescue"], 2);
    log_in(&mut town.engine, &hiro, Some(1)).unwrap();
    assert_eq!(town.received("aoba:hiro"), [true, true, false]);
    let reader = Reader::Guest(Arc::new(hiro));
    assert_eq!(history(&mut town.engine, &reader, "traffic-flow"), 1);
    let genuine = town.gate.code.clone();
    town.gate.code[0] ^= 1;
    let instruct =
        |reply| Input::Instruct { device: GATE, region: 1, argument: vec![], operator: "kana".into(), reply };
    let (answer, outputs) = ask(&mut town.engine, instruct);
    answer.unwrap();
    let evidence = town.gate.follow(&outputs.last().unwrap().payload, &genuine);
    town.engine.handle([evidence]).unwrap();
    assert!(is_isolated(&mut town.engine, GATE));
    assert_eq!(town.received("aoba:hiro"), [false, true, false]);
    assert_eq!(history(&mut town.engine, &reader, "traffic-flow"), 0);
}

#[test]
fn logins_end_with_time_and_with_what_was_agreed() {
    let dir = agreed_city();
    let mut town = Town::new(dir.path());
    let hiro = guest("aoba:hiro", &["rescue"], 2);
    let reader = Reader::Guest(Arc::new(hiro.clone()));
    let welcome = Ok(());
    // Not agreed: another city, nothing agreed with it, other words, or it has expired.
    let other = |change: &dyn Fn(&mut Guest)| {
        let mut guest = hiro.clone();
        change(&mut guest);
        guest
    };
    for wrong in [
        other(&|guest| guest.user.city = "midori".to_owned()),
        other(&|guest| guest.user.city = "kaede".to_owned()),
        other(&|guest| {
            guest.agreed = Arc::new(json!({ "issuer": "https://id.aoba.example", "max_level": 4 }));
        }),
        other(&|guest| guest.until = Timestamp::now() - 1.second()),
    ] {
        for session in [None, Some(1)] {
            assert_eq!(log_in(&mut town.engine, &wrong, session), Err(Unwelcome::NotAgreed), "{wrong:?}");
        }
        assert_eq!(town.received("aoba:hiro"), [false; 3]);
        assert_eq!(history(&mut town.engine, &Reader::Guest(Arc::new(wrong)), "traffic-flow"), 0);
    }
    assert!(history(&mut town.engine, &reader, "traffic-flow") > 0);

    // The same again, on other lines.
    assert_eq!(log_in(&mut town.engine, &hiro, Some(2)), welcome);
    with(dir.path(), &format!("\n\n# A comment.\n{AGREED}"));
    town.engine.handle([reload(dir.path())]).unwrap();
    assert_eq!(town.received("aoba:hiro"), [true, true, false]);
    // Something else, or nothing, in the same batch in which a reading comes.
    for other in [
        AGREED.replace("max_level = 3", "max_level = 1"),
        "\n[[partners]]\ncity = \"aoba\"\n".to_owned(),
        String::new(),
    ] {
        assert_eq!(log_in(&mut town.engine, &hiro, Some(3)), welcome);
        with(dir.path(), &other);
        let reading = town.gate.reading(1, &town.city, b"1");
        let outputs = town.engine.handle([reload(dir.path()), reading]).unwrap();
        assert!(!receivers(&outputs).contains("aoba:hiro"), "{other}");
        assert_eq!(history(&mut town.engine, &reader, "traffic-flow"), 0, "{other}");
        assert_eq!(log_in(&mut town.engine, &hiro, Some(4)), Err(Unwelcome::NotAgreed), "{other}");
        with(dir.path(), AGREED);
        town.engine.handle([reload(dir.path())]).unwrap();
        assert_eq!(town.received("aoba:hiro"), [false; 3], "it does not come back: {other}");
    }
    let gone = records(dir.path(), "guest gone");
    let not_agreed = json!({ "user": "aoba:hiro", "why": "it is not agreed any more" });
    assert_eq!(gone, [&not_agreed, &not_agreed, &not_agreed].map(Value::clone));

    let short = Guest { until: Timestamp::now() + 1.minute(), ..hiro };
    assert_eq!(log_in(&mut town.engine, &short, Some(5)), welcome);
    let (now, clock) = (Instant::now(), Timestamp::now());
    town.engine.handle_by([Input::Tick], now, clock + 59.seconds()).unwrap();
    assert!(town.received("aoba:hiro")[0]);
    town.engine.handle_by([Input::Tick], now, clock + 60.seconds()).unwrap();
    assert_eq!(town.received("aoba:hiro"), [false; 3]);
    let gone = records(dir.path(), "guest gone");
    assert_eq!(gone.last().unwrap(), &json!({ "user": "aoba:hiro", "why": "it has expired" }));
}

/// A partner's users take up no more than was meant for them.
#[test]
fn there_are_only_so_many_guests() {
    let dir = agreed_city();
    let mut town = Town::new(dir.path());
    let start = Instant::now();
    let attempt = |engine: &mut Engine, i: usize, session: Option<u64>, seconds: u64| {
        let guest = Arc::new(guest(&format!("aoba:{i}"), &["rescue"], 2));
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let now = start + Duration::from_secs(seconds);
        engine.handle_at([Input::Guest { guest, session, reply }], now).unwrap();
        answer.try_recv().unwrap()
    };
    for i in 0..MOST_GUESTS {
        assert_eq!(attempt(&mut town.engine, i, Some(1), 0), Ok(()));
    }
    assert_eq!(attempt(&mut town.engine, 0, None, 0), Err(Unwelcome::TooOften));
    assert_eq!(attempt(&mut town.engine, 0, Some(2), 0), Err(Unwelcome::TooOften));
    assert_eq!(attempt(&mut town.engine, 0, Some(2), 1), Ok(()), "one second, one login");
    assert_eq!(attempt(&mut town.engine, 0, Some(3), 1), Err(Unwelcome::TooOften));
    assert_eq!(attempt(&mut town.engine, 1000, Some(1), 200), Err(Unwelcome::TooMany));
    assert_eq!(attempt(&mut town.engine, 1000, None, 200), Ok(()), "requests take no place");
    assert_eq!(town.receivers()[1].len(), 2 + MOST_GUESTS);
    town.engine.handle([Input::GuestGone { name: "aoba:7".to_owned(), session: 1 }]).unwrap();
    assert_eq!(attempt(&mut town.engine, 1000, Some(1), 200), Ok(()));
    let logins = records(dir.path(), "guest logged in").len();
    assert_eq!(logins, MOST_GUESTS + 3, "who is refused makes no record");

    // What is told of guests is told of so many only, and of those who are there always.
    let names = |engine: &mut Engine| {
        let status = ask(engine, Input::Status).0;
        let flows = status["flows"].as_array().unwrap();
        flows.iter().map(|flow| flow["user"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    town.engine.handle([Input::GuestGone { name: "aoba:8".to_owned(), session: 1 }]).unwrap();
    for i in 2000..2300 {
        assert_eq!(attempt(&mut town.engine, i, Some(1), 1000 + i as u64), Ok(()));
        let gone = Input::GuestGone { name: format!("aoba:{i}"), session: 1 };
        let reading = town.gate.reading(1, &town.city, b"1");
        town.engine.handle([reading, gone]).unwrap();
        if i % 20 == 0 {
            let names = names(&mut town.engine);
            assert!(
                names.len() <= 3 + 256 && names.contains("hana") && names.contains("aoba:9"),
                "{names:?}"
            );
            assert!(names.contains(&format!("aoba:{i}")));
        }
    }
}
