//! Three cities, of which each is dishonest once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use coset::{
    CborSerializable as _, CoseSign1, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable as _,
    cbor::value::Value, iana,
};
use jiff::{Timestamp, ToSpan as _};
use smart_city_engine::{
    config::{City, UserEntry},
    distrust::{Distrust, Doubt, Doubts},
    engine::{Handed, Wanted},
    policy::{Policy, hash},
};
use smart_city_frame::{Class, DeviceId, MAX_PAYLOAD_LEN};
use tempfile::TempDir;

use crate::{
    Gate, Given,
    agreement::{Agreement, agreement},
    gate::{Job, MOST_TOGETHER, MOST_WAITING},
    handover::{Keyring, Reading, Refusal, Signed, open, seal, sign},
    keys::{OwnKeys, Pairwise, Step, from_partner, public, rotate, to_partner},
    label::{Id, Label, Narrowing},
    send::Answer,
};

const DEVICE: DeviceId = DeviceId([1, 2, 3, 4, 5, 6, 7, 8]);
const OTHER_DEVICE: DeviceId = DeviceId([9; 8]);

/// A city in a folder, and its gate.
struct Town {
    dir: TempDir,
    name: &'static str,
    gate: Gate,
}

/// What all cities have.
const COMMON: &str = "departments = [\"traffic\", \"rescue\"]\n\
    [[cities]]\nid = \"a\"\nname = \"A\"\n[[cities]]\nid = \"b\"\nname = \"B\"\n[[cities]]\nid = \"c\"\nname = \"C\"\n";

const STREAMS: &str = r#"
[[streams]]
id = 1
name = "closures"
class = "public"
owner = "a"
content_type = "application/json"

[[streams]]
id = 2
name = "supplies"
class = "internal"
owner = "a"
departments = ["traffic", "rescue"]
min_level = 1
partners = ["b", "c"]

[[streams]]
id = 3
name = "camera"
class = "confidential"
owner = "a"
departments = ["rescue"]
min_level = 3
partners = ["b"]
"#;

/// Users of each city, by city, departments and level.
const USERS: [(&str, &str, &[&str], u8); 8] = [
    ("a-rescue-2", "a", &["rescue"], 2),
    ("b-rescue-0", "b", &["rescue"], 0),
    ("b-rescue-1", "b", &["rescue"], 1),
    ("b-rescue-3", "b", &["rescue"], 3),
    ("b-traffic-9", "b", &["traffic"], 9),
    ("b-none-9", "b", &[], 9),
    ("c-rescue-3", "c", &["rescue"], 3),
    ("c-both-9", "c", &["rescue", "traffic"], 9),
];

/// A table of a partner, with its keys.
fn partner(city: &str, rest: &str) -> String {
    format!("[[partners]]\ncity = \"{city}\"\n[partners.handover]\nkeys = \"{city}.json\"\n{rest}\n")
}

const URL: &str = "url = \"http://127.0.0.1:9\"\n";

impl Town {
    fn new(name: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("own.json"), &*rotate(None, Step::Add).unwrap()).unwrap();
        fs::write(dir.path().join("code.bin"), [0; 64]).unwrap();
        let gate = Gate::open(dir.path(), Distrust::default()).unwrap();
        Self { dir, name, gate }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn own(&self) -> String {
        fs::read_to_string(self.path("own.json")).unwrap()
    }

    fn get_keys_of(&self, others: &[&Self]) {
        for other in others {
            let text = public(&other.own()).unwrap();
            fs::write(self.path(&format!("{}.json", other.name)), &*text).unwrap();
        }
    }

    fn text(&self, streams: &str, partners: &str) -> String {
        let mut text = format!(
            "{COMMON}[gateway]\ncity = \"{}\"\nevidence_deadline_ms = 1\nevidence_attempts = 1\n{streams}\n",
            self.name
        );
        for (id, city, departments, level) in USERS {
            text += &format!(
                "[[users]]\nid = \"{id}\"\ncity = \"{city}\"\ndepartments = {departments:?}\nlevel = {level}\n"
            );
        }
        text += "[[images]]\nid = \"one\"\nregions = [{ id = 1, name = \"run\", code = \"code.bin\" }]\n";
        // Whatever is there, but for what is said to be of no device.
        let sent = streams.lines().filter_map(|line| line.strip_prefix("name = "));
        let sent: Vec<_> = sent.filter(|name| !name.contains("no device")).collect();
        for (row, id) in [DEVICE, OTHER_DEVICE].into_iter().enumerate() {
            text += &format!(
                "[[devices]]\nid = \"{id}\"\nname = \"{id}\"\nplace = [0, {row}]\nimage = \"one\"\nstreams = [{}]\n",
                sent.join(", ")
            );
        }
        text + "[handover]\nkeys = \"own.json\"\n" + partners
    }

    fn city(&self, streams: &str, partners: &str) -> Result<(City, Agreement), String> {
        let path = self.path("city.toml");
        fs::write(&path, self.text(streams, partners)).unwrap();
        let city = City::read(&path).map_err(|error| error.to_string())?;
        let agreement = agreement(&city).map_err(|error| error.to_string())?;
        Ok((city, agreement))
    }

    fn configure(&self, streams: &str, partners: &str) {
        let (city, agreement) = self.city(streams, partners).unwrap();
        self.gate.configure(&city, agreement);
    }

    /// What goes to another city next.
    fn job(&self, to: &str) -> Option<Job> {
        self.gate.job(to, Timestamp::now())
    }

    /// Hands what waits over to another city.
    fn hand_over(&self, to: &Self) -> Given {
        let job = self.job(to.name).expect("something waits");
        let given = to.receive(&job.body);
        self.gate.done(&job, Some(answer(&given)), Instant::now());
        given
    }

    fn receive(&self, body: &[u8]) -> Given {
        self.gate.receive(body, Timestamp::now(), usize::MAX).unwrap()
    }

    fn reading(&self, stream: u16, payload: &[u8]) {
        self.gate.reading(DEVICE, stream, Timestamp::now(), payload);
    }
}

const TAKES: &str = "receive = { closures = {}, supplies = {}, camera = {} }";

/// A hands its streams to B, and B what it may to C. B and C take all of it.
fn three() -> [Town; 3] {
    let towns = ["a", "b", "c"].map(Town::new);
    let [a, b, c] = &towns;
    for town in &towns {
        town.get_keys_of(&[a, b, c]);
    }
    let all = format!("{URL}send = [\"closures\", \"supplies\", \"camera\"]");
    a.configure(STREAMS, &(partner("b", &all) + &partner("c", "")));
    let of_a = format!("{URL}send = [\"a/closures\", \"a/supplies\", \"a/camera\"]");
    b.configure("", &(partner("a", TAKES) + &partner("c", &of_a)));
    c.configure("", &(partner("a", TAKES) + &partner("b", "")));
    towns
}

/// The users to whom a message went, by stream.
fn receivers(given: &Given) -> BTreeSet<(String, String)> {
    let each = given.readings.iter();
    let each =
        each.flat_map(|(_, handed)| handed.receivers().map(|user| (user.clone(), handed.stream.clone())));
    each.collect()
}

fn all_users(stream: &str) -> BTreeSet<(String, String)> {
    USERS.iter().map(|(user, ..)| ((*user).to_owned(), stream.to_owned())).collect()
}

fn of(stream: &str, users: &[&str]) -> BTreeSet<(String, String)> {
    users.iter().map(|user| ((*user).to_owned(), stream.to_owned())).collect()
}

/// Each city decides by the owner's label about its own users, also when it has the data from a third one.
#[test]
fn labels_are_enforced_and_go_on() {
    let [a, b, c] = three();
    for stream in [1, 2, 3] {
        a.reading(stream, b"\"seen\"");
    }
    let given = a.hand_over(&b);
    assert_eq!((given.taken, &given.refused), (3, &BTreeMap::new()));
    // The users of A keep to their department alone for what is internal; those of partners need the level.
    let mut expected = all_users("a/closures");
    expected.extend(of(
        "a/supplies",
        &["a-rescue-2", "b-rescue-1", "b-rescue-3", "b-traffic-9", "c-rescue-3", "c-both-9"],
    ));
    expected.extend(of("a/camera", &["b-rescue-3"]));
    assert_eq!(receivers(&given), expected);
    let (_, Handed { about, payload, .. }) = &given.readings[0];
    assert_eq!((about.content_type.as_str(), payload.as_slice()), ("application/json", &b"\"seen\""[..]));
    let properties: BTreeMap<_, _> = about.properties.iter().cloned().collect();
    assert_eq!((&*properties["owner"], &*properties["device"]), ("a", "0102030405060708"));
    assert!(properties["id"].starts_with("a/closures/"));

    // C takes from B what A has signed, and A's label counts. The camera is not for C, and B does not send it.
    let given = b.hand_over(&c);
    assert_eq!((given.taken, &given.refused), (2, &BTreeMap::new()));
    let mut expected = all_users("a/closures");
    expected.extend(of(
        "a/supplies",
        &["a-rescue-2", "b-rescue-1", "b-rescue-3", "b-traffic-9", "c-rescue-3", "c-both-9"],
    ));
    assert_eq!(receivers(&given), expected);
    assert_eq!(b.gate.counts()["c"].withheld, 1);
    assert_eq!(a.gate.counts()["b"].sent, 3);
    assert_eq!((b.gate.counts()["a"].taken, c.gate.counts()["b"].taken), (3, 2));
    assert!(a.job("b").is_none() && b.job("c").is_none());
}

/// What a city adds makes those fewer who may see it, whatever it says.
#[test]
fn an_own_table_narrows() {
    let [a, b, _c] = three();
    for (own, stream, expected) in [
        ("closures = { departments = [\"traffic\"] }", 1, of("a/closures", &["b-traffic-9"])),
        ("closures = { class = \"internal\" }", 1, BTreeSet::new()),
        (
            "closures = { departments = [\"rescue\"], shared_with = [\"c\"] }",
            1,
            of(
                "a/closures",
                &["a-rescue-2", "b-rescue-0", "b-rescue-1", "b-rescue-3", "c-rescue-3", "c-both-9"],
            ),
        ),
        (
            "supplies = { min_level = 3 }",
            2,
            of("a/supplies", &["b-rescue-3", "b-traffic-9", "c-rescue-3", "c-both-9"]),
        ),
        (
            "supplies = { departments = [\"rescue\"], shared_with = [] }",
            2,
            of("a/supplies", &["a-rescue-2", "b-rescue-1", "b-rescue-3"]),
        ),
        (
            "camera = { class = \"public\", min_level = 0, departments = [\"rescue\", \"traffic\"], shared_with = [\"b\", \"c\"] }",
            3,
            of("a/camera", &["b-rescue-3"]),
        ),
    ] {
        b.configure("", &(partner("a", &format!("receive = {{ {own} }}")) + &partner("c", "")));
        a.reading(stream, b"1");
        let given = a.hand_over(&b);
        assert_eq!((given.taken, receivers(&given)), (1, expected), "{own}");
    }
}

/// What a dishonest partner has: its own keys, and what others have sent it.
struct Enemy<'t> {
    town: &'t Town,
    own: OwnKeys,
}

impl<'t> Enemy<'t> {
    fn of(town: &'t Town) -> Self {
        Self { town, own: OwnKeys::parse(&town.own()).unwrap() }
    }

    fn key_to(&self, to: &Town) -> Pairwise {
        let theirs = crate::keys::CityKeys::parse(&public(&to.own()).unwrap()).unwrap();
        to_partner(self.town.name, &self.own, to.name, &theirs).unwrap()
    }

    fn seal(&self, signed: &Signed, to: &Town) -> Vec<u8> {
        seal(signed, &self.key_to(to), self.town.name, to.name).unwrap()
    }

    fn opens(&self, message: &[u8], from: &Town) -> Signed {
        let theirs = crate::keys::CityKeys::parse(&public(&from.own()).unwrap()).unwrap();
        let mut ring = Keyring::default();
        for key in from_partner(self.town.name, &self.own, from.name, &theirs) {
            ring.sealing.insert(key.kid.to_vec(), (from.name.to_owned(), key));
        }
        ring.cities.insert(from.name.to_owned(), theirs);
        open(message, self.town.name, &ring).unwrap().signed
    }
}

fn messages(job: &Job) -> Vec<Vec<u8>> {
    let Ok(Value::Array(messages)) = Value::from_slice(&job.body) else { panic!() };
    messages.into_iter().map(|message| message.into_bytes().unwrap()).collect()
}

fn body(messages: &[Vec<u8>]) -> Vec<u8> {
    Value::Array(messages.iter().map(|message| Value::from(message.clone())).collect()).to_vec().unwrap()
}

fn label(id: Id) -> Label {
    Label {
        owner: "a".to_owned(),
        stream: "supplies".to_owned(),
        departments: BTreeSet::from(["rescue".to_owned()]),
        class: Class::Internal,
        min_level: 1,
        shared_with: BTreeSet::from(["b".to_owned(), "c".to_owned()]),
        expiry: Timestamp::now().as_second() + 600,
        policy: hash(),
        id,
    }
}

fn reading(label: Label) -> Reading {
    Reading {
        label,
        device: DEVICE,
        content_type: "text/plain".to_owned(),
        time: Timestamp::now(),
        payload: b"7".to_vec(),
    }
}

fn refusal(to: &Town, message: &[u8]) -> Option<Refusal> {
    let given = to.receive(&body(&[message.to_vec()]));
    assert_eq!(given.taken + given.refused.values().sum::<u64>(), 1);
    assert_eq!(given.taken, given.readings.len() as u64);
    given.refused.into_keys().next()
}

/// Each fault has its own reason, which the counts and the audit log show, with the city that is answerable for it.
#[test]
fn each_fault_has_its_reason() {
    let [a, b, c] = three();
    let owner = Enemy::of(&a);
    let by_a = |change: &dyn Fn(&mut Label)| {
        let mut label = label(Id { epoch: 1, sequence: 1 });
        change(&mut label);
        owner.seal(&sign(&reading(label), &owner.own).unwrap(), &b)
    };
    let now = Timestamp::now().as_second();
    let good = by_a(&|_| {});
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let stranger = Town::new("a");
    let strange = Enemy::of(&stranger);
    let third = Enemy::of(&c);
    let signed = sign(&reading(label(Id { epoch: 2, sequence: 2 })), &owner.own).unwrap();

    let mut long = reading(label(Id { epoch: 1, sequence: 1 }));
    long.payload = vec![0; MAX_PAYLOAD_LEN + 1];
    let long = owner.seal(&sign(&long, &owner.own).unwrap(), &b);
    let mut soon = reading(label(Id { epoch: 1, sequence: 1 }));
    soon.time = Timestamp::now() + 11.minutes();
    let soon = owner.seal(&sign(&soon, &owner.own).unwrap(), &b);

    let mut refused = BTreeMap::<Refusal, u64>::new();
    for (what, message, expected) in [
        ("nothing", Vec::new(), Refusal::Malformed),
        ("a key that nobody has", strange.seal(&signed, &b), Refusal::UnknownSender),
        ("a bit", altered, Refusal::Altered),
        ("another policy", by_a(&|label| label.policy[0] ^= 1), Refusal::UnknownPolicy),
        ("old", by_a(&|label| label.expiry = now - 1), Refusal::Expired),
        ("just now", by_a(&|label| label.expiry = now), Refusal::Expired),
        ("for ever", by_a(&|label| label.expiry = i64::MAX), Refusal::TooLong),
        ("too far ahead", by_a(&|label| label.expiry = now + 86_400 + 130), Refusal::TooLong),
        ("of the day after tomorrow", by_a(&|label| label.id.epoch = epoch_in(2 * 86_400)), Refusal::TooLong),
        ("of the end of time", by_a(&|label| label.id.epoch = u64::MAX), Refusal::TooLong),
        ("measured in eleven minutes", soon, Refusal::TooLong),
        ("longer than a frame", long, Refusal::Malformed),
        ("for others", by_a(&|label| label.shared_with.retain(|city| city != "b")), Refusal::NotShared),
        ("not agreed", by_a(&|label| label.stream = "prices".to_owned()), Refusal::NotAgreed),
        ("another's", by_a(&|label| label.owner = "c".to_owned()), Refusal::Unsigned),
        ("nobody's", by_a(&|label| label.owner = "d".to_owned()), Refusal::UnknownOwner),
        ("one's own", by_a(&|label| label.owner = "b".to_owned()), Refusal::UnknownOwner),
        ("no name", by_a(&|label| label.owner = "B".to_owned()), Refusal::Malformed),
        ("no level", by_a(&|label| label.min_level = 10), Refusal::Malformed),
    ] {
        assert_eq!(refusal(&b, &message), Some(expected), "{what}");
        *refused.entry(expected).or_default() += 1;
    }
    // What is for one city is no use to another, and is not given back.
    assert_eq!(refusal(&c, &good), Some(Refusal::UnknownSender));
    assert_eq!(refusal(&a, &good), Some(Refusal::UnknownSender));
    // Sealed for B by C with the name of another one inside.
    for (from, to) in [("a", "b"), ("c", "a"), ("b", "c")] {
        let message = seal(&signed, &third.key_to(&b), from, to).unwrap();
        assert_eq!(refusal(&b, &message), Some(Refusal::Misaddressed), "{from} {to}");
    }
    // What the owner did not give to C must not come from there.
    let mut only_b = label(Id { epoch: 1, sequence: 7 });
    only_b.shared_with.remove("c");
    let only_b = sign(&reading(only_b), &owner.own).unwrap();
    assert_eq!(refusal(&b, &third.seal(&only_b, &b)), Some(Refusal::NotShared));
    assert_eq!(refusal(&b, &owner.seal(&only_b, &b)), None);

    assert_eq!(refusal(&b, &good), None);
    assert_eq!(refusal(&b, &good), Some(Refusal::Replayed));
    // Sealed again, by the owner or by another that had it: it is the same reading.
    assert_eq!(refusal(&b, &by_a(&|_| {})), Some(Refusal::Replayed));
    assert_eq!(refusal(&b, &owner.seal(&signed, &b)), None);
    assert_eq!(refusal(&b, &third.seal(&signed, &b)), Some(Refusal::Replayed));
    assert_eq!(
        refusal(&b, &by_a(&|label| label.id.sequence = 9)),
        Some(Refusal::Replayed),
        "an epoch of before"
    );

    let counts = b.gate.counts();
    assert_eq!(counts["a"].taken, 3);
    assert_eq!(counts["a"].refused[&Refusal::Replayed], 3);
    assert_eq!(counts["c"].refused[&Refusal::Misaddressed], 3);
    assert_eq!(counts["unknown"].refused[&Refusal::Altered], 1);
    for (refusal, count) in refused {
        let seen: u64 = counts.values().filter_map(|counts| counts.refused.get(&refusal)).sum();
        assert!(seen >= count, "{refusal}");
    }
    let now = Instant::now();
    let notes = b.gate.notes(now);
    let is_noted = |city: &str, reason: &str, count: u64| {
        notes.iter().any(|(event, detail)| {
            *event == "hand-over refused" && detail["city"] == city && detail["refused"][reason] == count
        })
    };
    assert!(
        is_noted("a", "expired", 2)
            && is_noted("c", "misaddressed", 3)
            && is_noted("unknown", "malformed", 1)
    );
    // Whatever comes then is added up for a minute.
    for _ in 0..5 {
        assert_eq!(refusal(&b, &good), Some(Refusal::Replayed));
    }
    assert_eq!(b.gate.notes(now + Duration::from_secs(59)), []);
    let [(_, detail)] = &b.gate.notes(now + Duration::from_secs(60))[..] else { panic!() };
    assert_eq!(*detail, serde_json::json!({ "city": "a", "refused": { "replayed": 5 } }));
    // At the end nothing waits for a minute.
    assert_eq!(refusal(&b, &good), Some(Refusal::Replayed));
    assert_eq!(b.gate.notes(Instant::now()), []);
    let [(_, detail)] = &b.gate.last_notes()[..] else { panic!() };
    assert_eq!(*detail, serde_json::json!({ "city": "a", "refused": { "replayed": 1 } }));
    assert_eq!(b.gate.last_notes(), []);
}

/// An epoch that begins so many seconds from now.
fn epoch_in(seconds: i64) -> u64 {
    u64::try_from((Timestamp::now().as_second() + seconds) * 1_000_000).unwrap()
}

/// What is as long as a frame can be is taken, and an owner whose clock is ahead by less than two minutes is none whose clock is wrong.
#[test]
fn what_is_just_good_is_taken() {
    let [a, b, _c] = three();
    let owner = Enemy::of(&a);
    let mut good = reading(label(Id { epoch: epoch_in(80_000), sequence: 1 }));
    good.payload = vec![7; MAX_PAYLOAD_LEN];
    good.label.expiry = Timestamp::now().as_second() + 86_400 + 110;
    good.time = Timestamp::now() + 9.minutes();
    let message = owner.seal(&sign(&good, &owner.own).unwrap(), &b);
    assert_eq!(refusal(&b, &message), None);
}

/// Who has a city's key can end a stream by an epoch that is ahead, until the city has another key.
#[test]
fn another_key_heals_a_stream() {
    let [a, b, _c] = three();
    let thief = Enemy::of(&a);
    let ahead = sign(&reading(label(Id { epoch: epoch_in(80_000), sequence: 1 })), &thief.own).unwrap();
    assert_eq!(refusal(&b, &thief.seal(&ahead, &b)), None);
    a.reading(2, b"1");
    assert_eq!(a.hand_over(&b).refused, BTreeMap::from([(Refusal::Replayed, 1)]));
    let mut text = a.own();
    for step in [Step::Add, Step::Use, Step::Drop] {
        text = rotate(Some(&text), step).unwrap().to_string();
    }
    fs::write(a.path("own.json"), text).unwrap();
    b.get_keys_of(&[&a]);
    for town in [&a, &b] {
        let city = City::read(&town.path("city.toml")).unwrap();
        town.gate.configure(&city, agreement(&city).unwrap());
    }
    a.reading(2, b"2");
    assert_eq!(a.hand_over(&b).taken, 1);
}

/// Whose turn it is is known before anything is opened. It proves nothing.
#[test]
fn the_sender_is_known_by_its_key() {
    let [a, b, c] = three();
    a.reading(1, b"1");
    let job = a.job("b").unwrap();
    assert_eq!(b.gate.sender(&job.body).as_deref(), Some("a"));
    assert_eq!(c.gate.sender(&job.body), None);
    for nothing in [&b""[..], b"\x80", b"\x81\x00", b"\x81\x43abc"] {
        assert_eq!(b.gate.sender(nothing), None);
    }
}

/// B opens what A has sent it, and hands it on to C in any other way than it came.
#[test]
fn who_hands_on_alters_nothing() {
    let [a, b, c] = three();
    a.reading(2, b"1");
    let message = messages(&a.job("b").unwrap()).remove(0);
    let enemy = Enemy::of(&b);
    let signed = enemy.opens(&message, &a);
    // Another label outside.
    let mut wider = Label::parse(&signed.label).unwrap();
    wider.class = Class::Public;
    let relabelled = Signed { label: wider.to_value(), ..signed.clone() };
    assert_eq!(refusal(&c, &enemy.seal(&relabelled, &c)), Some(Refusal::Relabelled));
    // The same within, signed by B.
    let mut own = reading(wider.clone());
    let resigned = sign(&own, &enemy.own).unwrap();
    assert_eq!(refusal(&c, &enemy.seal(&resigned, &c)), Some(Refusal::Unsigned));
    // Under the name of A's key.
    let sign1 = CoseSign1::from_tagged_slice(&signed.bytes).unwrap();
    let header = HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .key_id(sign1.protected.header.key_id.clone())
        .value(15, wider.to_value());
    let forged = CoseSign1Builder::new()
        .protected(header.build())
        .payload(sign1.payload.clone().unwrap())
        .try_create_signature(&[], |data| enemy.own.sign(data))
        .unwrap()
        .build();
    let forged = Signed { bytes: forged.to_tagged_vec().unwrap(), label: wider.to_value() };
    assert_eq!(refusal(&c, &enemy.seal(&forged, &c)), Some(Refusal::Unsigned));
    // Without a signature: the payload alone, and an empty one.
    let bare = Signed { bytes: sign1.payload.clone().unwrap(), label: wider.to_value() };
    assert_eq!(refusal(&c, &enemy.seal(&bare, &c)), Some(Refusal::Unsigned));
    let mut empty = sign1.clone();
    empty.signature.clear();
    let empty = Signed { bytes: empty.to_tagged_vec().unwrap(), label: signed.label.clone() };
    assert_eq!(refusal(&c, &enemy.seal(&empty, &c)), Some(Refusal::Unsigned));
    // Another payload under A's signature.
    let mut other = sign1;
    let payload = other.payload.as_mut().unwrap();
    *payload.last_mut().unwrap() ^= 1;
    let other = Signed { bytes: other.to_tagged_vec().unwrap(), label: signed.label.clone() };
    assert_eq!(refusal(&c, &enemy.seal(&other, &c)), Some(Refusal::Unsigned));
    // As B's own data they are B's: C takes none of such a stream.
    own.label.owner = "b".to_owned();
    let as_own = sign(&own, &enemy.own).unwrap();
    assert_eq!(refusal(&c, &enemy.seal(&as_own, &c)), Some(Refusal::NotAgreed));
    assert_eq!(refusal(&c, &enemy.seal(&signed, &c)), None);
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Alters bytes, as noise and as somebody who knows the format would.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next().to_le_bytes()[0],
                2 => bytes.truncate(at.max(1)),
                3 => bytes.insert(at, self.next().to_le_bytes()[0]),
                4 => drop(bytes.remove(at)),
                // A part of itself at another place.
                _ => {
                    let (from, length) = (self.below(bytes.len()), 1 + self.below(16));
                    let part = bytes[from..(from + length).min(bytes.len())].to_vec();
                    let end = (at + part.len()).min(bytes.len());
                    bytes.splice(at..end, part);
                }
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
    }
}

/// Whatever is altered on the way or by the city in between, nothing comes out but what the owner has signed.
#[test]
fn no_mutation_is_taken_as_something_else() {
    const MUTATIONS: usize = 10_000;
    let [a, b, c] = three();
    let (owner, enemy) = (Enemy::of(&a), Enemy::of(&b));
    let key = enemy.key_to(&c);
    let sealed = |signed: &Signed| seal(signed, &key, "b", "c").unwrap();
    let mut random = Random(0x1234_5678_9abc_def1);
    let known = crate::keys::CityKeys::parse(&public(&a.own()).unwrap()).unwrap();
    let own = OwnKeys::parse(&c.own()).unwrap();
    let theirs = crate::keys::CityKeys::parse(&public(&b.own()).unwrap()).unwrap();
    let mut ring = Keyring::default();
    for key in from_partner("c", &own, "b", &theirs) {
        ring.sealing.insert(key.kid.to_vec(), ("b".to_owned(), key));
    }
    ring.cities.extend([("a".to_owned(), known), ("b".to_owned(), theirs)]);
    let (mut same, mut reasons) = (0, BTreeMap::<Refusal, usize>::new());
    for i in 0..MUTATIONS {
        let mut good = reading(label(Id { epoch: 1, sequence: i as u64 }));
        good.label.class = [Class::Public, Class::Internal, Class::Confidential][i % 3];
        let signed = sign(&good, &owner.own).unwrap();
        assert_eq!(open(&sealed(&signed), "c", &ring).unwrap().reading, good);
        let message = match i % 4 {
            // By others, on the way.
            0 => {
                let mut message = sealed(&signed);
                random.mutate(&mut message);
                message
            }
            // By B: what A has signed, and the label outside.
            1 => {
                let mut bytes = signed.bytes.clone();
                random.mutate(&mut bytes);
                sealed(&Signed { bytes, label: signed.label.clone() })
            }
            2 => {
                let whole = signed.label.clone().to_vec().unwrap();
                let label = loop {
                    let mut bytes = whole.clone();
                    random.mutate(&mut bytes);
                    if let Ok(label) = Value::from_slice(&bytes) {
                        break label;
                    }
                };
                sealed(&Signed { bytes: signed.bytes.clone(), label })
            }
            // By B, which knows what would be worth most.
            _ => {
                let mut wider = good.label.clone();
                match random.below(7) {
                    0 => wider.class = Class::Public,
                    1 => drop(wider.departments.insert("traffic".to_owned())),
                    2 => wider.min_level = 0,
                    3 => drop(wider.shared_with.insert("d".to_owned())),
                    4 => wider.expiry += 60,
                    5 => wider.id.sequence += 1,
                    _ => wider.owner = "b".to_owned(),
                }
                let label = wider.to_value();
                let bytes = match random.below(2) {
                    0 => signed.bytes.clone(),
                    _ => {
                        let mut sign1 = CoseSign1::from_tagged_slice(&signed.bytes).unwrap();
                        let header = &mut sign1.protected;
                        header.original_data = None;
                        header.header.rest[0].1 = label.clone();
                        sign1.to_tagged_vec().unwrap()
                    }
                };
                sealed(&Signed { bytes, label })
            }
        };
        match open(&message, "c", &ring) {
            // The same in other bytes, as CBOR can be written in several ways.
            Ok(opened) if opened.reading == good => same += 1,
            Ok(opened) => panic!("{i}: {opened:?}"),
            Err((_, refusal)) => *reasons.entry(refusal).or_default() += 1,
        }
    }
    println!("{same} were the same, the others were refused: {reasons:?}");
    assert_eq!(same + reasons.values().sum::<usize>(), MUTATIONS);
    assert!(same < MUTATIONS / 20, "{same}");
    for expected in [Refusal::Malformed, Refusal::Altered, Refusal::Unsigned, Refusal::Relabelled] {
        assert!(reasons[&expected] > MUTATIONS / 100, "{reasons:?}");
    }
}

/// Whoever may see a stream under an own table may also see it under the label alone.
#[test]
fn no_table_widens_a_label() {
    const ROUNDS: usize = 150;
    let departments = ["traffic", "rescue", "weather"];
    let cities = ["a", "b", "c"];
    let classes = [Class::Public, Class::Internal, Class::Confidential];
    let mut random = Random(7);
    let mut users = BTreeMap::new();
    for city in cities {
        for departments in [&departments[..0], &departments[..1], &departments[1..2], &departments[..]] {
            for level in [0, 4, 9] {
                let departments = departments.iter().map(|name| (*name).to_owned()).collect();
                users.insert(
                    format!("u{}", users.len()),
                    UserEntry { city: city.to_owned(), departments, level },
                );
            }
        }
    }
    let some = |random: &mut Random, names: &[&str]| -> BTreeSet<String> {
        names.iter().filter(|_| random.below(2) == 0).map(|name| (*name).to_owned()).collect()
    };
    let (mut narrower, mut equal) = (0, 0);
    for _ in 0..ROUNDS {
        let mut label = label(Id { epoch: 1, sequence: 1 });
        label.departments = some(&mut random, &departments);
        label.shared_with = some(&mut random, &cities[1..]);
        label.class = classes[random.below(3)];
        label.min_level = [0, 4, 9][random.below(3)];
        let narrowing = Narrowing {
            departments: (random.below(2) == 0).then(|| some(&mut random, &departments)),
            class: (random.below(2) == 0).then(|| classes[random.below(3)]),
            min_level: [0, 4, 9][random.below(3)],
            shared_with: (random.below(2) == 0).then(|| some(&mut random, &cities)),
        };
        let seen = |narrowing: &Narrowing| {
            let entry = narrowing.apply(&label, "b");
            let policy = Policy::new(&users, &BTreeMap::from([(1, entry)])).unwrap();
            let decisions = policy.decide(1, true);
            let allowed = policy.users().iter().zip(&*decisions).filter(|(_, decision)| decision.allowed);
            allowed.map(|(user, _)| user.clone()).collect::<BTreeSet<_>>()
        };
        let (by_label, by_both) = (seen(&Narrowing::default()), seen(&narrowing));
        assert!(by_both.is_subset(&by_label), "{label:?} {narrowing:?}");
        // What the label alone allows, said in another way.
        let model = |user: &UserEntry| {
            let shares = label.departments.iter().any(|name| user.departments.contains(name));
            let is_owners = user.city == label.owner;
            let reaches = user.level >= label.min_level || (is_owners && label.class == Class::Internal);
            label.class == Class::Public || (label.is_for(&user.city) && shares && reaches)
        };
        let expected = users.iter().filter(|(_, user)| model(user)).map(|(name, _)| name.clone());
        assert_eq!(by_label, expected.collect(), "{label:?}");
        let count = if by_both == by_label { &mut equal } else { &mut narrower };
        *count += 1;
    }
    assert!(narrower > ROUNDS / 10 && equal > ROUNDS / 10, "{narrower} {equal}");
}

/// The flow ends at the end where a partner is removed, whatever the other one still has.
#[test]
fn removing_a_partner_ends_the_flow_at_once() {
    let [a, b, c] = three();
    a.reading(1, b"1");
    a.reading(1, b"2");
    let before = a.job("b").unwrap();
    a.reading(1, b"3");
    // A removes B: nothing more goes out, not what waits either, nor what could not be delivered.
    a.configure(STREAMS, &partner("c", ""));
    assert!(a.job("b").is_none());
    a.gate.done(&before, None, Instant::now());
    assert_eq!(a.gate.counts()["b"].withheld, 3, "nothing is lost uncounted");
    a.reading(1, b"4");
    let all = format!("{URL}send = [\"closures\"]");
    a.configure(STREAMS, &partner("b", &all));
    assert!(a.job("b").is_none());
    // B removes A: what A has sealed is nobody's.
    a.reading(1, b"5");
    b.configure("", &partner("c", ""));
    let job = a.job("b").unwrap();
    let given = b.receive(&job.body);
    assert_eq!((given.taken, given.refused), (0, BTreeMap::from([(Refusal::UnknownSender, 1)])));
    assert_eq!(b.gate.counts()["unknown"].refused[&Refusal::UnknownSender], 1);
    // It keeps the owner of what comes by another way, too.
    let relay = Enemy::of(&c);
    let signed = sign(&reading(label(Id { epoch: 1, sequence: 1 })), &Enemy::of(&a).own).unwrap();
    assert_eq!(refusal(&b, &relay.seal(&signed, &b)), Some(Refusal::UnknownOwner));
}

/// What of an isolated device waits does not go out, nor what was under way and failed; others go on.
#[test]
fn an_isolation_ends_what_is_handed_over() {
    let [a, b, _c] = three();
    let other = OTHER_DEVICE;
    a.reading(1, b"1");
    let job = a.job("b").unwrap();
    a.reading(1, b"2");
    a.gate.reading(other, 1, Timestamp::now(), b"3");
    a.gate.isolated(DEVICE);
    a.gate.done(&job, None, Instant::now());
    let given = a.hand_over(&b);
    assert!(given.readings.iter().all(|(_, handed)| handed.payload == b"3"));
    assert_eq!((given.taken, a.gate.counts()["b"].withheld), (1, 2));
    // It is recovered, before or after the request ends: what is measured from then on goes out.
    a.reading(1, b"4");
    let job = a.job("b").unwrap();
    a.gate.isolated(DEVICE);
    a.reading(1, b"5");
    a.gate.done(&job, None, Instant::now());
    let given = a.hand_over(&b);
    assert!(given.readings.iter().all(|(_, handed)| handed.payload == b"5"));
    assert_eq!((given.taken, a.gate.counts()["b"].withheld), (1, 3));
}

/// Only the owner's own device is meant, whoever brings its readings.
#[test]
fn what_is_not_believed_is_held_back_or_marked() {
    let [a, b, c] = three();
    let distrusted = Distrust::default();
    let elsewhere = tempfile::tempdir().unwrap();
    let b = Town { gate: Gate::open(elsewhere.path(), distrusted.clone()).unwrap(), ..b };
    b.configure(HISTORY, &(partner("a", TAKES) + &partner("c", &format!("{URL}send = [\"a/closures\"]"))));
    let doubt = |owner: &str, device, is_held| {
        let doubt = Doubt { incident: "incident--1".to_owned(), is_held };
        drop(distrusted.replace(Doubts::from([((owner.to_owned(), device), doubt)])));
    };
    let marks = |given: &Given| -> BTreeSet<Option<String>> {
        let mark = |(_, handed): &(_, Handed)| {
            let mut properties = handed.about.properties.iter();
            properties.find(|(name, _)| name == "distrusted").map(|(_, value)| value.clone())
        };
        let with_receivers = given.readings.iter().filter(|(_, handed)| handed.receivers().next().is_some());
        with_receivers.map(mark).collect()
    };
    let hand_over = || {
        a.reading(1, b"1");
        let given = a.hand_over(&b);
        assert_eq!(given.taken, 1);
        given
    };
    for (owner, device) in [("b", DEVICE), ("c", DEVICE), ("a", OTHER_DEVICE)] {
        doubt(owner, device, true);
        assert_eq!(marks(&hand_over()), BTreeSet::from([None]));
        assert_eq!(b.hand_over(&c).taken, 1);
    }
    doubt("a", DEVICE, false);
    let given = hand_over();
    assert_eq!(marks(&given), BTreeSet::from([Some("incident--1".to_owned())]));
    assert_eq!(receivers(&given), all_users("a/closures"));
    assert_eq!(b.hand_over(&c).taken, 1);
    // What waits for others is held back, too.
    hand_over();
    doubt("a", DEVICE, true);
    assert_eq!(marks(&hand_over()), BTreeSet::new());
    let before = b.gate.counts()["c"].withheld;
    assert!(b.job("c").is_none());
    assert_eq!(b.gate.counts()["c"].withheld, before + 2);
    // And what was measured before.
    let past = || history(&b, "b-none-9", "a/closures", Timestamp::now()).len();
    assert_eq!(past(), 0);
    drop(distrusted.replace(Doubts::new()));
    assert_eq!(past(), 3);
    assert_eq!(marks(&hand_over()), BTreeSet::from([None]));
    assert_eq!(b.hand_over(&c).taken, 1);
}

/// A stream that is narrowed, or is not for a city any more, is it for what waits, too.
#[test]
fn what_waits_gets_the_label_of_now() {
    let [a, b, _c] = three();
    let all = partner("b", &format!("{URL}send = [\"closures\", \"supplies\"]"));
    a.reading(2, b"1");
    a.configure(&STREAMS.replace("min_level = 1", "min_level = 4"), &all);
    let given = a.hand_over(&b);
    assert_eq!(receivers(&given), of("a/supplies", &["a-rescue-2", "b-traffic-9", "c-both-9"]));
    a.reading(2, b"2");
    let less = partner("b", &format!("{URL}send = [\"closures\"]"));
    a.configure(STREAMS, &less);
    assert!(a.job("b").is_none());
    assert_eq!(a.gate.counts()["b"].withheld, 1);
}

/// What waits is of the stream that its device sent it as, whatever has that stream's number by now.
#[test]
fn what_waits_is_of_no_other_stream() {
    let (public, confidential) = ("class = \"public\"", "class = \"confidential\"");
    let (rest, camera) = STREAMS.rsplit_once("[[streams]]").unwrap();
    let renumbered = rest.replace("id = 1", "id = 3");
    let lowered = format!("{rest}[[streams]]{}", camera.replace(confidential, public));
    let no_device = STREAMS.replace("name = \"camera\"", "name = \"camera\" # of no device");
    for (what, streams, sent) in [
        ("another stream", renumbered, "closures"),
        ("a lower class", lowered, "camera"),
        ("of no device", no_device, "camera"),
    ] {
        let [a, b, _c] = three();
        a.reading(3, b"picture");
        a.configure(&streams, &partner("b", &format!("{URL}send = [\"{sent}\"]")));
        assert!(a.job("b").is_none(), "{what}");
        assert_eq!(a.gate.counts()["b"].withheld, 1, "{what}");
        if what != "of no device" {
            a.reading(3, b"2");
            assert_eq!(a.hand_over(&b).taken, 1, "{what}");
        }
    }
}

/// What is public goes on to those cities alone that the own table names, if it names any.
#[test]
fn an_own_table_says_who_gets_what_is_public() {
    let [a, b, c] = three();
    for (shared_with, goes) in [("[]", false), ("[\"a\"]", false), ("[\"c\"]", true)] {
        let receive = format!("receive = {{ closures = {{ shared_with = {shared_with} }} }}");
        let to_c = format!("{URL}send = [\"a/closures\"]");
        b.configure("", &(partner("a", &receive) + &partner("c", &to_c)));
        a.reading(1, b"1");
        assert_eq!(a.hand_over(&b).taken, 1);
        let job = b.job("c");
        assert_eq!(job.is_some(), goes, "{shared_with}");
        if let Some(job) = job {
            assert_eq!(c.receive(&job.body).taken, 1);
        }
    }
    assert_eq!(b.gate.counts()["c"].withheld, 2);
}

/// Another city cannot say that it took more than there was.
#[test]
fn answers_count_no_more_than_there_was() {
    let [a, _b, _c] = three();
    for (answer, sent, refused) in [
        (serde_json::json!({ "taken": u64::MAX, "refused": { "expired": u64::MAX } }), 1, 0),
        (serde_json::json!({ "taken": u64::MAX }), 2, 0),
        (serde_json::json!({ "taken": 0, "refused": { "expired": u64::MAX, "x": u64::MAX } }), 2, 1),
    ] {
        a.reading(1, b"1");
        let job = a.job("b").unwrap();
        a.gate.done(&job, Some(serde_json::from_value(answer).unwrap()), Instant::now());
        let counts = &a.gate.counts()["b"];
        assert_eq!((counts.sent, counts.refused_there.values().sum::<u64>()), (sent, refused));
    }
}

/// Also what is under way ends with its agreement.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_with_its_agreement() {
    use tokio::{io::AsyncReadExt as _, net::TcpListener, time::timeout};
    let [a, _b, _c] = three();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("url = \"http://{}\"\n", listener.local_addr().unwrap());
    let one = partner("b", &format!("{url}send = [\"closures\"]"));
    a.configure(STREAMS, &one);
    let Town { dir, name, gate } = a;
    let gate = Arc::new(gate);
    // Its files, with a gate that does nothing.
    let a = Town {
        dir,
        name,
        gate: Gate::open(tempfile::tempdir().unwrap().path(), Distrust::default()).unwrap(),
    };
    let running = tokio::spawn(crate::run(Arc::clone(&gate)));
    gate.reading(DEVICE, 1, Timestamp::now(), b"1");
    let (mut stream, _) = timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
    let configure = |streams: &str, partners: &str| {
        let (city, agreement) = a.city(streams, partners).unwrap();
        gate.configure(&city, agreement);
    };
    let ends = async |stream: &mut tokio::net::TcpStream| {
        let all = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {} };
        timeout(Duration::from_secs(1), all).await.is_ok()
    };
    // What is agreed still goes on.
    configure(&STREAMS.replace("min_level = 1", "min_level = 2"), &one);
    assert!(!ends(&mut stream).await);
    configure(STREAMS, &partner("b", &format!("{url}send = [\"supplies\"]")));
    assert!(ends(&mut stream).await, "the stream is not sent any more");
    running.abort();
}

#[test]
fn what_waits_is_bounded_and_expires() {
    let [a, b, _c] = three();
    for i in 0..MOST_WAITING + 10 {
        a.reading(1, i.to_string().as_bytes());
    }
    assert_eq!((a.gate.counts()["b"].waiting, a.gate.counts()["b"].lost), (MOST_WAITING as u64, 10));
    let given = a.hand_over(&b);
    assert_eq!((given.taken, &*given.readings[0].1.payload), (MOST_TOGETHER as u64, &b"10"[..]));
    // After a failure all come again, in their order, and nothing is sent for a while.
    let job = a.job("b").unwrap();
    let now = Instant::now();
    assert!(a.gate.due(now).is_empty(), "one after the other");
    a.gate.done(&job, None, now);
    for (failures, pause) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (12, 300)] {
        while a.gate.counts()["b"].failed < failures {
            let job = a.job("b").unwrap();
            a.gate.done(&job, None, now);
        }
        assert!(a.gate.due(now + Duration::from_millis(1000 * pause - 1)).is_empty());
        assert_eq!(a.gate.due(now + Duration::from_secs(pause)), ["b"]);
    }
    let given = a.hand_over(&b);
    assert_eq!(&*given.readings[0].1.payload, (10 + MOST_TOGETHER).to_string().as_bytes());
    assert_eq!(a.gate.due(now), ["b"], "at once after a success");
    // Later all of it is too old.
    let later = Timestamp::now() + 61.minutes();
    assert!(a.gate.job("b", later).is_none());
    let counts = &a.gate.counts()["b"];
    assert_eq!((counts.waiting, counts.lost), (0, 10 + (MOST_WAITING - 2 * MOST_TOGETHER) as u64));
}

/// A gate that is started again takes nothing twice, and what it signs is new.
#[test]
fn a_restart_takes_nothing_twice() {
    let [mut a, mut b, _c] = three();
    a.reading(1, b"1");
    let job = a.job("b").unwrap();
    assert_eq!(b.receive(&job.body).taken, 1);
    let reopen = |town: &mut Town| {
        let elsewhere = tempfile::tempdir().unwrap();
        town.gate = Gate::open(elsewhere.path(), Distrust::default()).unwrap();
        town.gate = Gate::open(town.dir.path(), Distrust::default()).unwrap();
        let city = City::read(&town.path("city.toml")).unwrap();
        town.gate.configure(&city, agreement(&city).unwrap());
    };
    reopen(&mut b);
    let given = b.receive(&job.body);
    assert_eq!(given.refused, BTreeMap::from([(Refusal::Replayed, 1)]));
    reopen(&mut a);
    a.reading(1, b"2");
    assert_eq!(a.hand_over(&b).taken, 1);
}

#[test]
fn what_is_no_message_is_refused_as_a_whole() {
    let [a, b, _c] = three();
    a.reading(1, b"1");
    let good = messages(&a.job("b").unwrap());
    let too_many = body(&vec![good[0].clone(); MOST_TOGETHER + 1]);
    let not_bytes = Value::Array(vec![Value::from(1), Value::from("text")]).to_vec().unwrap();
    let deep = [vec![0x81; 100_000], vec![0]].concat();
    let long = body(&[vec![0; 20_000]]);
    for (text, count) in
        [(&b""[..], 1), (b"\xff", 1), (&too_many, 1), (&not_bytes, 2), (&deep, 1), (&long, 1)]
    {
        let given = b.receive(text);
        assert_eq!((given.taken, given.refused), (0, BTreeMap::from([(Refusal::Malformed, count)])));
    }
    // Whoever sends nothing is told nothing.
    assert_eq!(b.receive(b"\x80").refused, BTreeMap::new());
    assert_eq!(refusal(&b, &good[0]), None);
}

/// Keys are changed at one end while data goes on, and after that the old ones are no use.
#[test]
fn keys_are_rotated_while_data_goes_on() {
    let [a, b, c] = three();
    let again = |town: &Town| {
        let city = City::read(&town.path("city.toml")).unwrap();
        town.gate.configure(&city, agreement(&city).unwrap());
    };
    let old = Enemy::of(&a);
    for step in [Step::Add, Step::Use, Step::Drop] {
        a.reading(1, b"1");
        assert_eq!(a.hand_over(&b).taken, 1, "{step:?}");
        let text = rotate(Some(&a.own()), step).unwrap();
        fs::write(a.path("own.json"), &*text).unwrap();
        if step == Step::Add {
            // The partners get the new ones before they are used.
            b.get_keys_of(&[&a]);
            again(&b);
        }
        again(&a);
        a.reading(1, b"2");
        assert_eq!(a.hand_over(&b).taken, 1, "{step:?}");
    }
    b.get_keys_of(&[&a]);
    again(&b);
    a.reading(1, b"3");
    assert_eq!(a.hand_over(&b).taken, 1);
    let signed = sign(&reading(label(Id { epoch: u64::MAX, sequence: 1 })), &old.own).unwrap();
    assert_eq!(refusal(&b, &old.seal(&signed, &b)), Some(Refusal::UnknownSender));
    assert_eq!(refusal(&b, &Enemy::of(&a).seal(&signed, &b)), Some(Refusal::Unsigned));
    assert_eq!(refusal(&b, &Enemy::of(&c).seal(&signed, &b)), Some(Refusal::Unsigned));
}

#[test]
fn faults_of_an_agreement_are_found() {
    let [a, b, _c] = three();
    let error = |town: &Town, streams: &str, partners: &str| town.city(streams, partners).unwrap_err();
    for (rest, expected) in [
        ("send = [\"closures\"]", "handover.send: needs a `url`"),
        ("url = \"ftp://b\"", "handover.url: `ftp://b` is not as https"),
        ("url = \"https://user@b\"", "without a password"),
        ("url = \"http://b?x=y\"", "is not as https"),
        ("url = \"http://b\"", "is without TLS: only an address of this machine"),
        ("url = \"http://192.0.2.1:80\"", "is without TLS: only an address of this machine"),
        ("url = \"http://b\"\nauthorities = \"x\"", "is without TLS"),
        ("url = \"https://b\"\nauthorities = \"missing.pem\"", "missing.pem"),
        ("url = \"https://b\"", "handover.url: `https://b` needs `authorities`"),
        ("sends = []", "unknown field `sends`"),
        ("receive = { x = { level = 1 } }", "unknown field `level`"),
        ("receive = { x = { class = \"secret\" } }", "handover.receive.x: there is no class `secret`"),
        ("receive = { x = { min_level = 10 } }", "a level is 0 to 9"),
        ("receive = { x = { departments = [\"x\"] } }", "there is no department `x`"),
        ("receive = { x = { shared_with = [\"x\"] } }", "there is no city `x`"),
        (&format!("{URL}send = [\"prices\"]"), "there is no such stream"),
        (&format!("{URL}send = [\"b/closures\"]"), "is its own"),
    ] {
        let found = error(&a, STREAMS, &partner("b", rest));
        assert!(found.contains(expected) && found.contains("city.toml:"), "{rest}: {found}");
    }
    let many: Vec<_> = ["traffic", "rescue"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..63).map(|i| format!("d{i}")))
        .collect();
    for (from, to, expected) in [
        ("[\"traffic\", \"rescue\"]", format!("{many:?}"), "a label has at most 64"),
        ("application/json", format!("text/plain; a={}", "b".repeat(114)), "is longer than 127"),
    ] {
        let all = partner("b", &format!("{URL}send = [\"closures\", \"supplies\"]"));
        let text = a.text(STREAMS, &all).replace(from, &to);
        let found = agreement(&City::of_text(&text, &a.path("city.toml")).unwrap()).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
    let unknown = a.text("", &partner("unknown", "")) + "[[cities]]\nid = \"unknown\"\nname = \"U\"\n";
    fs::copy(a.path("b.json"), a.path("unknown.json")).unwrap();
    let unknown = City::of_text(&unknown, &a.path("city.toml")).unwrap();
    assert!(agreement(&unknown).unwrap_err().to_string().contains("no partner is called so"));
    let camera = partner("c", &format!("{URL}send = [\"camera\"]"));
    assert!(error(&a, STREAMS, &camera).contains("not among its `partners`"));
    let foreign = partner("c", &format!("{URL}send = [\"closures\"]"));
    assert!(error(&b, STREAMS, &foreign).contains("another city's, which alone can sign it"));
    assert!(
        error(&a, "", &partner("a", "")).contains("partners[0].city: the gateway's own city is no partner")
    );
    assert!(error(&a, "", &partner("d", "")).contains("there is no city `d`"));
    assert!(
        error(&a, "", &(partner("b", "") + &partner("b", "")))
            .contains("partners[1].city: this city is there twice")
    );
    let text = a.text("", &partner("b", ""));
    for (from, to, expected) in [
        ("keys = \"own.json\"", "keys = \"b.json\"", "`d` is missing"),
        ("keys = \"b.json\"", "keys = \"own.json\"", "a private key in it"),
        ("keys = \"b.json\"", "keys = \"none.json\"", "none.json"),
        ("[handover]\nkeys = \"own.json\"", "", "needs a table `handover`"),
        ("keys = \"own.json\"", "keys = \"own.json\"\nminutes = 0", "must be 1 to 1440"),
        ("keys = \"own.json\"", "keys = \"own.json\"\nminutes = 1441", "must be 1 to 1440"),
        ("keys = \"own.json\"", "keys = \"own.json\"\npolicies = [\"00\"]", "is not 64 hex digits"),
        ("keys = \"own.json\"", "keys = \"own.json\"\nkey = 1", "unknown field `key`"),
    ] {
        let found = City::of_text(&text.replacen(from, to, 1), &a.path("city.toml")).unwrap();
        let found = agreement(&found).unwrap_err().to_string();
        assert!(found.contains(expected), "{to}: {found}");
    }
}

/// Another policy that a city trusts to mean the same is one that it names.
#[test]
fn other_policies_must_be_named() {
    let [a, b, _c] = three();
    let owner = Enemy::of(&a);
    let mut other = label(Id { epoch: 1, sequence: 1 });
    other.policy = [0xa5; 32];
    let message = owner.seal(&sign(&reading(other), &owner.own).unwrap(), &b);
    assert_eq!(refusal(&b, &message), Some(Refusal::UnknownPolicy));
    let text = b.text("", &partner("a", TAKES));
    let text = text.replace("\"own.json\"", &format!("\"own.json\"\npolicies = [\"{}\"]", "a5".repeat(32)));
    let city = City::of_text(&text, &b.path("city.toml")).unwrap();
    b.gate.configure(&city, agreement(&city).unwrap());
    assert_eq!(refusal(&b, &message), None);
}

/// What `user` finds in the history of a stream at a time.
fn history(town: &Town, user: &str, stream: &str, now: Timestamp) -> Vec<Vec<u8>> {
    let (from, to) = (Timestamp::MIN, Timestamp::MAX);
    let wanted = Wanted { stream: stream.to_owned(), device: None, from, to, limit: 1000 };
    let found = town.gate.history(user, &wanted, now, || true).unwrap();
    found.into_iter().map(|past| past.payload).collect()
}

/// What is in the file of a gate, whoever asks.
fn remembered(town: &Town, stream: &str) -> usize {
    let mut count = 0;
    let count_all = |_| {
        count += 1;
        Ok(true)
    };
    town.gate.past().read(stream, (i64::MIN, i64::MAX), count_all).unwrap();
    count
}

const HISTORY: &str = "[history]\nhours = 24\nmost = 3\n";

/// The history has what was taken, for those alone who may see it by its label and the own table of now; and no more when that has expired.
#[test]
fn the_history_is_by_labels() {
    let [a, b, _] = &mut three();
    let take = partner("a", TAKES) + &partner("c", "");
    b.configure(HISTORY, &take);
    let now = Timestamp::now();
    a.reading(2, b"1");
    a.reading(3, b"2");
    assert_eq!(a.hand_over(b).taken, 2);
    let at = |user, stream| history(b, user, stream, now);
    assert_eq!(at("b-rescue-1", "a/supplies"), [b"1"]);
    assert_eq!(at("b-rescue-3", "a/camera"), [b"2"]);
    for (user, stream) in [
        ("b-rescue-0", "a/supplies"),
        ("b-none-9", "a/supplies"),
        ("c-rescue-3", "a/camera"),
        ("b-rescue-1", "a/camera"),
        ("nobody", "a/supplies"),
        ("b-rescue-1", "supplies"),
        ("b-rescue-1", "b/supplies"),
        ("b-rescue-1", "a/suppliesx"),
    ] {
        assert_eq!(at(user, stream), [b""; 0], "{user} {stream}");
    }
    // Whose it is stays.
    let wanted = |device, from, to| Wanted { stream: "a/supplies".to_owned(), device, from, to, limit: 9 };
    let find = |wanted| b.gate.history("b-rescue-1", &wanted, now, || true).unwrap();
    let [past] = &find(wanted(Some(DEVICE), Timestamp::MIN, Timestamp::MAX))[..] else { panic!() };
    assert!(past.about.properties.contains(&("owner".to_owned(), "a".to_owned())));
    assert!(find(wanted(Some(OTHER_DEVICE), Timestamp::MIN, Timestamp::MAX)).is_empty());
    assert!(find(wanted(None, Timestamp::MIN, now - 1.minutes())).is_empty());
    assert!(find(wanted(None, now + 1.minutes(), Timestamp::MAX)).is_empty());
    // The own table of now, and no more after an end of the agreement.
    let less = partner("a", "receive = { supplies = { min_level = 2 } }");
    b.configure(HISTORY, &less);
    assert_eq!((at("b-rescue-1", "a/supplies"), at("b-rescue-3", "a/camera")), (vec![], vec![]));
    assert_eq!(at("b-rescue-3", "a/supplies"), [b"1"]);
    b.configure(HISTORY, "");
    assert_eq!(at("b-rescue-3", "a/supplies"), [b""; 0]);
    b.configure("", &take);
    assert_eq!(at("b-rescue-1", "a/supplies"), [b""; 0], "there is no history");
    b.configure(HISTORY, &take);
    // A start forgets none of it.
    let other = tempfile::tempdir().unwrap();
    b.gate = Gate::open(other.path(), Distrust::default()).unwrap();
    b.gate = Gate::open(b.dir.path(), Distrust::default()).unwrap();
    b.configure(HISTORY, &take);
    // An hour after its measurement it is as if it was never there, and then it is not.
    let soon = now + 59.minutes();
    assert_eq!(history(b, "b-rescue-1", "a/supplies", soon), [b"1"]);
    assert!(!b.gate.tidy(soon).unwrap());
    let late = now + 61.minutes();
    assert_eq!(history(b, "b-rescue-1", "a/supplies", late), [b""; 0]);
    assert_eq!(remembered(b, "a/supplies"), 1);
    assert!(b.gate.tidy(late).unwrap() && !b.gate.tidy(late).unwrap());
    assert_eq!((remembered(b, "a/supplies"), remembered(b, "a/camera")), (0, 0));
}

/// Of each owner the history has so many readings, and the newest of them.
#[test]
fn the_history_of_an_owner_is_bounded() {
    let [a, b, _] = &three();
    b.configure(HISTORY, &(partner("a", TAKES) + &partner("c", "")));
    for round in 0..3 {
        for i in 0..2 {
            let time = Timestamp::now() - 10.minutes() + (2 * round + i).seconds();
            a.gate.reading(DEVICE, 2, time, (2 * round + i).to_string().as_bytes());
        }
        assert_eq!(a.hand_over(b).taken, 2);
    }
    assert_eq!(history(b, "b-rescue-1", "a/supplies", Timestamp::now()), [b"3", b"4", b"5"]);
    assert_eq!(remembered(b, "a/supplies"), 3);
    // With a history of an hour, nothing is kept for longer, and nothing that is older is shown.
    b.configure(&HISTORY.replace("24", "1"), &(partner("a", TAKES) + &partner("c", "")));
    a.configure(STREAMS, &(partner("b", &format!("{URL}send = [\"supplies\"]"))));
    let text = fs::read_to_string(a.path("city.toml")).unwrap();
    fs::write(a.path("city.toml"), text.replace("[handover]\n", "[handover]\nminutes = 1440\n")).unwrap();
    let city = City::read(&a.path("city.toml")).unwrap();
    a.gate.configure(&city, agreement(&city).unwrap());
    let now = Timestamp::now();
    for (minutes, payload) in [(70, b"6"), (5, b"7")] {
        a.gate.reading(DEVICE, 2, now - minutes.minutes(), payload);
    }
    assert_eq!(a.hand_over(b).taken, 2);
    assert_eq!(history(b, "b-rescue-1", "a/supplies", now).last().unwrap(), b"7");
    assert!(!history(b, "b-rescue-1", "a/supplies", now).contains(&b"6".to_vec()));
    b.gate.tidy(now + 61.minutes()).unwrap();
    assert_eq!(remembered(b, "a/supplies"), 0);
}

/// Hands what waits over, and takes over how much of it was looked at with so much room.
fn hand_over_with(from: &Town, to: &Town, room: usize) -> Given {
    let job = from.job(to.name).expect("something waits");
    let given = to.gate.receive(&job.body, Timestamp::now(), room).unwrap();
    from.gate.done(&job, Some(answer(&given)), Instant::now());
    given
}

/// Whether nothing goes to B at a time, but later.
fn is_pausing(town: &Town, now: Instant) -> bool {
    assert_eq!(town.gate.due(now + Duration::from_secs(3600)), ["b"]);
    town.gate.due(now).is_empty()
}

fn answer(given: &Given) -> Answer {
    let text = serde_json::json!({ "taken": given.taken, "refused": given.refused }).to_string();
    serde_json::from_str(&text).unwrap()
}

/// A with other labels of the supplies from now on.
fn relabel(a: &Town, level: usize) {
    let streams = STREAMS.replace("min_level = 1", &format!("min_level = {level}"));
    a.configure(&streams, &partner("b", &format!("{URL}send = [\"closures\", \"supplies\"]")));
}

/// An owner whose labels change all the time has nobody wait: it is decided anew for all users only so often. What comes too early is taken
/// later, and none of it is lost.
#[test]
fn labels_change_only_so_often() {
    let [a, b, _] = &three();
    // Each time another one than the last four.
    let count = 1000;
    for i in 0..count {
        relabel(a, i % 6);
        a.reading(2, b"1");
        let now = Instant::now();
        let given = a.hand_over(b);
        assert_eq!(given.refused, BTreeMap::new());
        if given.taken == 0 {
            // One is the first, each of three streams has one change, and 16 more are for all.
            assert!(i >= 20, "{i}");
            let counts = &a.gate.counts()["b"];
            assert_eq!((counts.waiting, counts.failed, counts.is_failing, counts.lost), (1, 0, false, 0));
            assert_eq!(counts.refused_there, BTreeMap::new());
            assert!(is_pausing(a, now));
            // With a label that is known by now.
            relabel(a, (i + 5) % 6);
            assert_eq!(a.hand_over(b).taken, 1);
            return;
        }
    }
    panic!("{count} changes were taken");
}

#[test]
fn what_waits_at_the_end_is_told() {
    let [a, ..] = &three();
    assert_eq!(a.gate.loss_notes(), []);
    a.reading(1, b"1");
    let job = a.job("b").unwrap();
    a.reading(1, b"2");
    // What is under way may have come there, or not.
    let lost = |readings: u64| {
        let detail = serde_json::json!({ "city": "b", "readings": readings });
        [("hand-over lost at the end", detail)]
    };
    assert_eq!(a.gate.loss_notes(), lost(2));
    a.gate.done(&job, Some(serde_json::from_str("{\"taken\": 1}").unwrap()), Instant::now());
    assert_eq!(a.gate.loss_notes(), lost(1));
}

/// A gate that ends sends nothing more, and waits for what is under way, but not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_at_the_end_is_waited_for() {
    let [a, b, _] = three();
    a.reading(1, b"1");
    let (job, begin) = (a.job("b").unwrap(), Instant::now());
    a.reading(1, b"2");
    a.gate.end(Duration::from_millis(200)).await;
    assert!(begin.elapsed() >= Duration::from_millis(200));
    let a = Arc::new(a);
    let ending = Arc::clone(&a);
    let ended = tokio::spawn(async move { ending.gate.end(Duration::from_secs(60)).await });
    let given = b.receive(&job.body);
    a.gate.done(&job, Some(answer(&given)), Instant::now());
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
    assert!(a.gate.due(Instant::now()).is_empty());
    assert!(a.job("b").is_none(), "it may have been due before");
    let [(_, lost)] = &a.gate.loss_notes()[..] else { panic!() };
    assert_eq!(lost["readings"], 1);
}

/// What was under way to a city that was removed meanwhile is nothing of what goes to it by another agreement.
#[test]
fn a_request_of_before_ends_none_of_now() {
    let [a, ..] = &three();
    a.reading(1, b"1");
    let before = a.job("b").unwrap();
    a.configure(STREAMS, &partner("c", ""));
    a.configure(STREAMS, &partner("b", &format!("{URL}send = [\"closures\"]")));
    a.reading(1, b"2");
    let job = a.job("b").unwrap();
    a.reading(1, b"3");
    a.gate.done(&before, None, Instant::now());
    assert_eq!(a.gate.counts()["b"].withheld, 1);
    assert_eq!(a.gate.counts()["b"].waiting, 2);
    let later = Instant::now() + Duration::from_secs(3600);
    assert!(a.gate.due(later).is_empty(), "one after the other");
    a.gate.done(&job, None, Instant::now());
    assert_eq!(a.gate.due(later), ["b"]);
    assert_eq!(messages(&a.job("b").unwrap()).len(), 2);
}

/// A city that hands on what others have labelled goes on, whatever one of them does.
#[test]
fn labels_of_one_owner_hold_up_no_other() {
    let [a, b, c] = &three();
    let narrow = TAKES.replace("supplies = {}", "supplies = { min_level = 9 }");
    assert_ne!(narrow, TAKES);
    let on = format!("{URL}send = [\"a/supplies\", \"closures\"]");
    let streams = STREAMS.replace("owner = \"a\"", "owner = \"b\"").replace("[\"b\"", "[\"a\"");
    b.configure(&streams, &(partner("a", &narrow) + &partner("c", &on)));
    c.configure("", &(partner("a", TAKES) + &partner("b", TAKES)));
    for i in 0..100 {
        relabel(a, i % 6);
        a.reading(2, b"1");
        assert_eq!(a.hand_over(b).taken, 1, "for B it is one label");
        b.reading(1, b"own");
        let given = b.hand_over(c);
        if given.taken == 1 {
            assert!(i >= 16, "{i}");
            assert_eq!(given.refused, BTreeMap::from([(Refusal::LabelsChange, 1)]));
            assert_eq!(receivers(&given), all_users("b/closures"));
            assert_eq!(b.gate.counts()["c"].waiting, 0);
            return;
        }
        assert_eq!(given.taken, 2, "{i}");
    }
    panic!("all changes were taken");
}

/// A city that hands on what another one had labelled before does not take from its owner what it may change.
#[test]
fn labels_of_before_are_known() {
    let [a, b, _] = &three();
    relabel(a, 1);
    for i in 0..100 {
        relabel(a, 1 + i % 4);
        a.reading(2, b"1");
        assert_eq!(a.hand_over(b).taken, 1, "{i}");
    }
}

/// A reload that changes all streams loses nothing, however many they are.
#[test]
fn all_streams_may_change_at_once() {
    let [a, b, _] = &three();
    let count = 60;
    let streams = |level| {
        (1..=count).map(move |id| format!(
            "[[streams]]\nid = {id}\nname = \"s{id}\"\nclass = \"internal\"\nowner = \"a\"\ndepartments = [\"rescue\"]\nmin_level = {level}\npartners = [\"b\"]\n"
        )).collect::<String>()
    };
    let names: Vec<_> = (1..=count).map(|id| format!("s{id}")).collect();
    let takes: Vec<_> = names.iter().map(|name| format!("{name} = {{}}")).collect();
    b.configure("", &partner("a", &format!("receive = {{ {} }}", takes.join(", "))));
    for level in [1, 2] {
        a.configure(&streams(level), &partner("b", &format!("{URL}send = {names:?}")));
        (1..=count).for_each(|id| a.reading(id, b"1"));
        assert_eq!(a.hand_over(b).taken, u64::from(count));
    }
}

/// Where there are many users, what is decided about them in one turn is bounded. The rest is taken in the next turns, and nothing is lost.
#[test]
fn one_turn_decides_only_so_much() {
    let [a, b, _] = &three();
    let count = 5;
    let streams = (1..=count)
        .map(|id| format!("[[streams]]\nid = {id}\nname = \"s{id}\"\nclass = \"public\"\nowner = \"a\"\n"));
    let names: Vec<_> = (1..=count).map(|id| format!("s{id}")).collect();
    let takes: Vec<_> = names.iter().map(|name| format!("{name} = {{}}")).collect();
    a.configure(&streams.collect::<String>(), &partner("b", &format!("{URL}send = {names:?}")));
    let hand_over = |users: usize, readings: u16| {
        let more = (USERS.len()..users)
            .map(|i| format!("[[users]]\nid = \"u{i}\"\ncity = \"b\"\ndepartments = []\nlevel = 0\n"));
        let receive = partner("a", &format!("receive = {{ {} }}", takes.join(", ")));
        b.configure(&more.collect::<String>(), &receive);
        (1..=readings).for_each(|id| a.reading(id, b"1"));
        let mut turns = Vec::new();
        while a.gate.counts()["b"].waiting > 0 {
            assert!(!a.gate.due(Instant::now()).is_empty(), "at once");
            let given = a.hand_over(b);
            assert_eq!(given.refused, BTreeMap::new());
            turns.push(given.taken);
        }
        turns
    };
    // Two decisions about each user: of a device that is believed and of one that is not.
    assert_eq!(hand_over(128, count), [4, 1]);
    // What is known by now is no work.
    (1..=count).for_each(|id| a.reading(id, b"2"));
    assert_eq!(a.hand_over(b).taken, u64::from(count));
    assert_eq!(hand_over(520, 2), [1, 1]);
}

/// A few more than there is room for are not all forgotten before they come again.
#[test]
fn what_is_remembered_is_bounded_without_a_cliff() {
    let mut known = std::collections::HashMap::new();
    let (most, mut misses) = (100, 0);
    for i in 0..50 * (most + 2) {
        let key = i % (most + 2);
        if !known.contains_key(&key) {
            misses += 1;
            crate::forget_any(&mut known, most);
            known.insert(key, ());
        }
        assert!(known.len() <= most);
    }
    assert!(misses < 50 * most / 4, "{misses}");
}

/// Of a message as much is taken as there is room for at the users. The rest comes again, and that is no failure.
#[test]
fn what_has_no_room_comes_again() {
    let [a, b, _] = &three();
    for payload in [b"1", b"2", b"3"] {
        a.reading(1, payload);
    }
    let (users, now) = (USERS.len(), Instant::now());
    assert_eq!(hand_over_with(a, b, users - 1).taken, 0);
    assert!(is_pausing(a, now));
    let given = hand_over_with(a, b, 2 * users);
    assert_eq!((given.taken, receivers(&given).len()), (2, users));
    assert!(!is_pausing(a, now));
    let payloads =
        |given: &Given| given.readings.iter().map(|(_, handed)| handed.payload.clone()).collect::<Vec<_>>();
    assert_eq!(payloads(&given), [b"1", b"2"]);
    assert_eq!(payloads(&hand_over_with(a, b, usize::MAX)), [b"3"]);
    let counts = &a.gate.counts()["b"];
    assert_eq!((counts.sent, counts.failed, counts.lost, counts.waiting), (3, 0, 0, 0));
    assert_eq!(counts.refused_there, BTreeMap::new());
}

/// Who removes a city need not look for other places that name its streams.
#[test]
fn removing_a_partner_needs_nothing_else() {
    let [_, b, c] = &three();
    b.configure("", &partner("c", &format!("{URL}send = [\"a/closures\", \"a/supplies\"]")));
    assert_eq!(b.gate.counts()["c"].sends, [""; 0]);
    // Nor who does not take a stream any more.
    let less = partner("a", "receive = { closures = {} }");
    b.configure("", &(less + &partner("c", &format!("{URL}send = [\"a/closures\", \"a/supplies\"]"))));
    assert_eq!(b.gate.counts()["c"].sends, ["a/closures"]);
    assert_eq!(c.gate.counts()["b"].taken, 0);
}
