//! Disaster relief: three cities, each with a gateway of its own, and what each gives the others.
//!
//! Midori hands streams over to Aoba, and Aoba hands on to Hibari what it may. A user of Aoba reads at Midori's gateway with a token of
//! Aoba's identity provider. **Who may see what is worked out here anew**, from the labels and the tables below.

use std::{
    collections::BTreeSet,
    env, fmt, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64ct::{Base64, Encoding as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smart_city_devices::{
    client::{self, Handle, Input, Report},
    device::{Device, Done},
    epoch::EpochFile,
    image::Image,
};
use smart_city_frame::{Class, DeviceId, RootKey, Stream, Verdict};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::mpsc};

use crate::{
    city::{hex, random, secret, write_secret},
    gateway::{Flow, Gateway},
    people::{Received, User},
    stage::PATIENCE,
};

/// The cities, in the order in which readings go.
pub const CITIES: [&str; 3] = ["midori", "aoba", "hibari"];
const OWNER: &str = CITIES[0];

/// Who is in each city: name, department, level.
const PEOPLE: [(&str, &str, u8); 3] =
    [("leader", "rescue", 3), ("helper", "rescue", 1), ("driver", "traffic", 0)];

/// A stream of Midori: number, name, class, level, the cities that it is shared with. All are for the department of rescue.
type Shared = (u16, &'static str, Class, u8, &'static [&'static str]);

const STREAMS: [Shared; 4] = [
    (1, "road-closures", Class::Public, 0, &[]),
    (2, "supplies", Class::Internal, 1, &["aoba", "hibari"]),
    (3, "shelters", Class::Confidential, 3, &["aoba"]),
    (4, "patrols", Class::Confidential, 1, &[]),
];

/// The level that Aoba's own table takes for supplies: more than Midori's label.
const SUPPLIES_IN_AOBA: u8 = 2;

/// The highest level that a token of Aoba gives in Midori, whatever it says.
const MOST_LEVEL: u8 = 2;

/// The function of the road sensor that is altered.
const ALTERED: u16 = 2;

const ROAD: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 1, 1]);
const DEPOT: DeviceId = DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, 1, 2]);
/// What each sends.
const DEVICES: [(DeviceId, &str, &[u16]); 2] = [(ROAD, "Road sensor", &[1, 4]), (DEPOT, "Depot", &[2, 3])];

/// Why somebody does not get a stream of Midori; none if it is for that one. Where it is decided says the first part.
fn refusal(city: &str, (_, department, level): (&str, &str, u8), stream: &Shared) -> Option<&'static str> {
    let (_, name, class, min_level, shared) = *stream;
    if class == Class::Public {
        return None;
    }
    if city != OWNER && !shared.contains(&city) {
        return Some("not shared with this city");
    }
    let min_level = match (city, name) {
        ("aoba", "supplies") => min_level.max(SUPPLIES_IN_AOBA),
        // Within the city, internal data takes no level.
        (OWNER, _) if class == Class::Internal => 0,
        _ => min_level,
    };
    match department {
        "rescue" if level >= min_level => None,
        "rescue" => Some("too low a level"),
        _ => Some("another department"),
    }
}

/// A city with its gateway.
struct Town {
    name: &'static str,
    gateway: Gateway,
    users: Vec<User>,
    passwords: Vec<String>,
    token: String,
}

impl Town {
    /// How many road closures the first user finds in the history.
    fn closures(&self) -> Result<usize> {
        let login = Base64::encode_string(format!("{}:{}", PEOPLE[0].0, self.passwords[0]).as_bytes());
        let path = format!("/history?stream={}&limit=1000", self.called("road-closures"));
        let (status, text) = self.gateway.get_as(&path, &format!("Basic {login}"))?;
        ensure!(status == 200, "the history: {status} {text}");
        Ok(serde_json::from_str::<Vec<Value>>(&text)?.len())
    }

    /// A stream of Midori, as it is called here.
    fn called(&self, stream: &str) -> String {
        if self.name == OWNER { stream.to_owned() } else { format!("{OWNER}/{stream}") }
    }
}

/// All of it; it ends when this is dropped.
pub struct Relief {
    towns: Vec<Town>,
    devices: Vec<Handle>,
    reports: mpsc::Receiver<Report>,
    /// The readings that must be with all who may see them: device, stream, minute.
    expected: BTreeSet<(DeviceId, &'static str, u32)>,
    /// The readings of the road sensor that were refused while it was isolated.
    refused: u64,
    /// What each of the others said then of devices that it does not believe.
    doubts: Vec<(&'static str, Value)>,
    provider: Provider,
    /// What Midori's gateway did until now, as it is told.
    minute: u32,
    _runtime: Runtime,
    _dir: TempDir,
}

impl fmt::Debug for Relief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relief").finish_non_exhaustive()
    }
}

/// Aoba's identity provider: it shows its key, and signs access tokens.
struct Provider {
    address: SocketAddr,
    key: EncodingKey,
}

/// A key of P-256 for ES256.
fn signing_key() -> Result<EncodingKey> {
    let pem = p256::SecretKey::from_slice(&random::<32>()?)?.to_pkcs8_pem(LineEnding::LF)?;
    Ok(EncodingKey::from_ec_pem(pem.as_bytes())?)
}

impl Provider {
    fn start() -> Result<Self> {
        let key = signing_key()?;
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        jwk.common.key_id = Some("aoba-1".to_owned());
        let body = json!({ "keys": [jwk] }).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The head of the request ends with an empty line; there is one path.
                let mut reader = BufReader::new(&stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                drop((&stream).write_all(answer.as_bytes()));
            }
        });
        Ok(Self { address, key })
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An access token (RFC 9068) of a rescue worker, which says more of itself than Midori believes.
    fn token(&self, key: &EncodingKey, audience: &str) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some("aoba-1".to_owned()),
            ..Header::new(Algorithm::ES256)
        };
        let claims = json!({
            "iss": self.issuer(), "sub": "nao", "aud": audience, "iat": now, "exp": now + 600, "client_id": "demo",
            "departments": ["Rescue Service", "Secret Service"], "level": 9, "city": OWNER,
        });
        Ok(jsonwebtoken::encode(&header, &claims, key)?)
    }
}

/// By what name Aoba's identity provider knows Midori's gateway.
const AUDIENCE: &str = "https://gateway.midori.example";

/// Where a gateway tells its partners of incidents.
const COLLECTION: &str = "/taxii2/city/collections/incidents/";

/// By then other cities know of an isolation, or of its end.
const KNOWN: Duration = Duration::from_secs(5);

/// The files of a city whose gateway is not started yet.
struct Files {
    dir: PathBuf,
    passwords: Vec<String>,
    token: String,
}

impl Files {
    fn write(dir: &Path, name: &str, agreement: &str, devices: &[([u8; 16], String)]) -> Result<Self> {
        let mut text = format!(
            "departments = [\"rescue\", \"traffic\"]\nhistory = {{ hours = 1, most = 1000 }}\n\
             [gateway]\ncity = \"{name}\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n[handover]\nkeys = \"own.json\"\n"
        );
        for city in CITIES {
            text += &format!("[[cities]]\nid = \"{city}\"\nname = \"{city}\"\n");
        }
        for (user, department, level) in PEOPLE {
            text += &format!(
                "[[users]]\nid = \"{user}\"\ncity = \"{name}\"\ndepartments = [\"{department}\"]\nlevel = {level}\n"
            );
        }
        if name == OWNER {
            fs::create_dir_all(dir.join("code"))?;
            text += "[[images]]\nid = \"demo\"\nregions = [\n";
            for function in Image::simulated().functions() {
                let (id, name) = (function.region, function.name);
                fs::write(dir.join(format!("code/{name}.bin")), &function.code)?;
                text += &format!("    {{ id = {id}, name = \"{name}\", code = \"code/{name}.bin\" }},\n");
            }
            text += "]\n";
            for (id, stream, class, min_level, shared) in STREAMS {
                let class = format!("{class:?}").to_lowercase();
                text += &format!(
                    "[[streams]]\nid = {id}\nname = \"{stream}\"\nclass = \"{class}\"\nowner = \"{OWNER}\"\ndepartments = [\"rescue\"]\n\
                     min_level = {min_level}\npartners = {shared:?}\ncontent_type = \"application/json\"\n"
                );
            }
            for (row, (id, device, streams)) in DEVICES.iter().enumerate() {
                let names: Vec<_> =
                    STREAMS.iter().filter(|of| streams.contains(&of.0)).map(|of| of.1).collect();
                text += &format!(
                    "[[devices]]\nid = \"{id}\"\nname = \"{device}\"\nplace = [0, {row}]\nimage = \"demo\"\nstreams = {names:?}\n"
                );
            }
        }
        fs::write(dir.join("city.toml"), text + agreement)?;
        let (token, passwords) = (secret()?, PEOPLE.map(|_| secret()));
        let passwords = passwords.into_iter().collect::<Result<Vec<_>>>()?;
        let mut text = format!(
            "gateway_password = \"{}\"\near_key = \"ear-key.pem\"\n[operators.demo]\nrole = \"operator\"\ntoken_sha256 = \"{}\"\n",
            secret()?,
            hex(Sha256::digest(&token).as_slice()),
        );
        for ((user, ..), password) in PEOPLE.iter().zip(&passwords) {
            text += &format!("[users.{user}]\nmqtt_password = \"{password}\"\n");
        }
        for ((id, ..), (root_key, password)) in DEVICES.iter().zip(devices) {
            let root_key = hex(root_key);
            text += &format!("[devices.{id}]\nroot_key = \"{root_key}\"\nmqtt_password = \"{password}\"\n");
        }
        write_secret(&dir.join("secrets.toml"), &text)?;
        Ok(Self { dir: dir.to_owned(), passwords, token })
    }

    /// Starts the gateway, and connects the users.
    fn start(self, program: &Path, name: &'static str, runtime: &Runtime) -> Result<Town> {
        let Self { dir, passwords, token } = self;
        let [config, secrets] = ["city.toml", "secrets.toml"].map(|file| dir.join(file));
        let gateway = Gateway::start(program, &config, &secrets, token.clone(), &dir)?;
        let host = gateway.mqtt.ip().to_string();
        let broker = (host.as_str(), gateway.mqtt.port());
        let connect = |((user, ..), password): (&(&'static str, _, _), &String)| {
            let filters = vec![format!("out/{user}/#")];
            User::connect(runtime, user, client::options(user, password, broker), filters)
        };
        let users = PEOPLE.iter().zip(&passwords).map(connect).collect();
        Ok(Town { name, gateway, users, passwords, token })
    }
}

impl Relief {
    /// Starts three gateways and what belongs to them.
    ///
    /// # Errors
    /// If something does not start.
    pub fn set(program: &Path) -> Result<Self> {
        let dir = TempDir::with_prefix("smart-cities-")?;
        let runtime = Runtime::new()?;
        let entered = runtime.enter();
        let folder = |city: &str| dir.path().join(city);
        // Each makes its keys, and gets the public ones of the others.
        for city in CITIES {
            fs::create_dir_all(folder(city))?;
            let own = folder(city).join("own.json");
            let made = Command::new(program).args(["city-keys", "add"]).arg(&own).output()?;
            ensure!(made.status.success(), "city-keys: {}", String::from_utf8_lossy(&made.stderr));
            for other in CITIES.iter().filter(|other| **other != city) {
                fs::create_dir_all(folder(other))?;
                fs::write(folder(other).join(format!("{city}.json")), &made.stdout)?;
            }
        }
        let provider = Provider::start()?;
        let partner = |city: &str| {
            format!("[[partners]]\ncity = \"{city}\"\n[partners.handover]\nkeys = \"{city}.json\"\n")
        };
        let start = |name: &'static str, agreement: &str, devices: &[_]| {
            Files::write(&folder(name), name, agreement, devices)?.start(program, name, &runtime)
        };
        let takes = "receive = { road-closures = {}, supplies = {}, shelters = {} }\n";
        let hibari = start("hibari", &(partner("aoba") + &partner("midori") + takes), &[])?;
        let agreement = format!(
            "{}url = \"http://{}\"\nsend = [\"midori/road-closures\", \"midori/supplies\", \"midori/shelters\"]\n\
             {}receive = {{ road-closures = {{}}, supplies = {{ min_level = {SUPPLIES_IN_AOBA} }}, shelters = {{}} }}\n",
            partner("hibari"),
            hibari.gateway.http,
            partner("midori"),
        );
        let aoba = start("aoba", &agreement, &[])?;
        // By these, the others ask Midori for incidents.
        let tokens = [secret()? + &secret()?, secret()? + &secret()?];
        let reader = |token: &String| {
            format!("[partners.incidents]\nreader = \"{}\"\n", hex(Sha256::digest(token).as_slice()))
        };
        let agreement = format!(
            "{}url = \"http://{}\"\nsend = [\"road-closures\", \"supplies\", \"shelters\"]\n{}\
             [partners.login]\nissuer = \"{issuer}\"\naudience = \"{AUDIENCE}\"\njwks = \"{issuer}/jwks\"\n\
             departments = {{ \"Rescue Service\" = \"rescue\" }}\nmax_level = {MOST_LEVEL}\n{}{}",
            partner("aoba"),
            aoba.gateway.http,
            reader(&tokens[0]),
            partner("hibari"),
            reader(&tokens[1]),
            issuer = provider.issuer(),
        );
        let secrets = DEVICES.map(|_| Ok((random::<16>()?, secret()?)));
        let secrets = secrets.into_iter().collect::<Result<Vec<_>>>()?;
        let midori = start("midori", &agreement, &secrets)?;

        // Where Midori's gateway is, is known now: the files of the others end with the table of Midori.
        for (city, token) in CITIES[1..].iter().zip(&tokens) {
            write_secret(&folder(city).join("incidents-token"), token)?;
            let mut file = fs::OpenOptions::new().append(true).open(folder(city).join("city.toml"))?;
            let collection = format!("http://{}{COLLECTION}", midori.gateway.http);
            write!(
                file,
                "[partners.incidents]\ncollection = \"{collection}\"\ntoken = \"incidents-token\"\n"
            )?;
        }

        let (sender, reports) = mpsc::channel(4096);
        let host = midori.gateway.mqtt.ip().to_string();
        let broker = (host.as_str(), midori.gateway.mqtt.port());
        let devices = DEVICES.iter().zip(secrets).map(|((id, ..), (root_key, password))| {
            let epochs = EpochFile::new(dir.path().join(format!("{id}.epoch")));
            let device = Device::start(*id, RootKey::new(root_key), &Image::simulated(), epochs)?;
            let options = client::options(&id.to_string(), &password, broker);
            Ok(client::run(device, None, options, 0.0, sender.clone()))
        });
        let devices = devices.collect::<Result<_>>()?;
        drop(entered);
        Ok(Self {
            towns: vec![midori, aoba, hibari],
            devices,
            reports,
            expected: BTreeSet::new(),
            refused: 0,
            doubts: Vec::new(),
            provider,
            minute: 0,
            _runtime: runtime,
            _dir: dir,
        })
    }

    /// The pages of the gateways, and the token for each.
    pub fn pages(&self) -> impl Iterator<Item = (&str, SocketAddr, &str)> {
        self.towns.iter().map(|town| (town.name, town.gateway.http, &*town.token))
    }

    fn until(&mut self, what: &str, mut is_done: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self)? {
            ensure!(
                Instant::now() < deadline,
                "in {} seconds it did not happen that {what}",
                PATIENCE.as_secs()
            );
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until a device of Midori did something.
    fn did<T>(&mut self, what: &str, is_it: impl Fn(DeviceId, &Done) -> Option<T>) -> Result<T> {
        let mut found = None;
        self.until(what, |relief| {
            while let Ok(report) = relief.reports.try_recv() {
                match report {
                    Report::Did(id, done) if found.is_none() => found = is_it(id, &done),
                    Report::Stopped(id, error) => {
                        return Err(error.context(format!("device {id} has stopped")));
                    }
                    _ => {}
                }
            }
            Ok(found.is_some())
        })?;
        found.context("nothing")
    }

    /// Has the devices measure for some minutes. What the road sensor says must reach nobody if it is `distrusted`.
    fn measure(&mut self, minutes: u32, distrusted: bool) -> Result<()> {
        for _ in 0..minutes {
            self.minute += 1;
            for ((id, _, streams), device) in DEVICES.iter().zip(&self.devices) {
                for (number, name, class, ..) in STREAMS.iter().filter(|of| streams.contains(&of.0)) {
                    let stream = Stream { id: (*number).try_into()?, class: *class };
                    let reading = json!({ "minute": self.minute, "state": "open" }).to_string().into_bytes();
                    let input = Input::Measured(stream, reading);
                    device.input.blocking_send(input).ok().context("a device has stopped")?;
                    if !(distrusted && *id == ROAD) {
                        self.expected.insert((*id, name, self.minute));
                    }
                }
            }
        }
        Ok(())
    }

    /// What a user must have received.
    fn expected_of(&self, town: &Town, person: (&str, &str, u8)) -> BTreeSet<Received> {
        let allowed = STREAMS.iter().filter(|stream| refusal(town.name, person, stream).is_none());
        let allowed: Vec<_> = allowed.map(|stream| stream.1).collect();
        let expected = self.expected.iter().filter(|(_, stream, _)| allowed.contains(stream));
        expected
            .map(|(id, stream, number)| Received {
                stream: town.called(stream),
                device: id.to_string(),
                number: *number,
            })
            .collect()
    }

    /// Waits until everybody in all cities has what they must have, and finds nobody with more.
    fn delivered(&mut self) -> Result<()> {
        let lacks = |relief: &Self| {
            relief.towns.iter().find_map(|town| {
                PEOPLE.iter().zip(&town.users).find_map(|(person, user)| {
                    let missing = &relief.expected_of(town, *person) - &user.inbox().readings;
                    Some(format!("{} of {} has {:?}", person.0, town.name, missing.first()?))
                })
            })
        };
        let mut missing = None;
        let waited = self.until("everybody had the readings", |relief| {
            missing = lacks(relief);
            Ok(missing.is_none())
        });
        waited.with_context(|| missing.unwrap_or_default())?;
        for town in &self.towns {
            for (person, user) in PEOPLE.iter().zip(&town.users) {
                let inbox = user.inbox();
                if let Some(more) = inbox.readings.difference(&self.expected_of(town, *person)).next() {
                    bail!("{} of {} has {more:?}", person.0, town.name);
                }
                ensure!(inbox.foreign.is_empty(), "{} of {} has {:?}", person.0, town.name, inbox.foreign);
            }
        }
        Ok(())
    }

    /// A user of Aoba at Midori's gateway, with a token: returns how many readings of each stream it reads.
    fn guest(&self) -> Result<Vec<(&'static str, usize)>> {
        let gateway = &self.towns[0].gateway;
        let good = format!("Bearer {}", self.provider.token(&self.provider.key, AUDIENCE)?);
        let read = |stream: &str, authorization: &str| {
            gateway.get_as(&format!("/history?stream={stream}"), authorization)
        };
        let mut found = Vec::new();
        for (_, name, class, min_level, shared) in STREAMS {
            let (status, text) = read(name, &good)?;
            ensure!(status == 200, "a guest's question was answered with {status}: {text}");
            let count = serde_json::from_str::<Vec<Value>>(&text)?.len();
            // The label of Midori's own, for somebody of Aoba with the level that the agreement gives.
            let may = class == Class::Public || (shared.contains(&"aoba") && min_level <= MOST_LEVEL);
            let expected =
                if may { self.expected.iter().filter(|(_, of, _)| *of == name).count() } else { 0 };
            ensure!(count == expected, "a guest has {count} readings of {name}, not {expected}");
            found.push((name, count));
        }
        for (what, token) in [
            ("for somebody else", self.provider.token(&self.provider.key, "https://other.example")?),
            ("of another key", self.provider.token(&signing_key()?, AUDIENCE)?),
        ] {
            let (status, _) = read("road-closures", &format!("Bearer {token}"))?;
            ensure!(status == 401, "a token {what} was answered with {status}");
        }
        let (status, _) = gateway.get_as("/status", &good)?;
        ensure!(status == 403, "a guest who asks for what is for operators was answered with {status}");
        Ok(found)
    }

    /// Waits until the other cities believe Midori's road sensor, or do not; returns how long that took.
    fn believed(&mut self, is_believed: bool, since: Instant) -> Result<Duration> {
        let closures = self.expected.iter().filter(|(_, stream, _)| *stream == "road-closures").count();
        let expected = (Some(u64::from(!is_believed)), if is_believed { closures } else { 0 });
        self.until("the other cities knew of the road sensor", |relief| {
            for town in &relief.towns[1..] {
                if (town.gateway.isolated_in(OWNER)?, town.closures()?) != expected {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        let took = since.elapsed();
        ensure!(took <= KNOWN, "the other cities knew of the road sensor after {took:?}");
        Ok(took)
    }

    /// Plays the scene, and says what happens.
    ///
    /// # Errors
    /// What is not as it must be.
    pub fn play(&mut self) -> Result<()> {
        self.measure(5, false)?;
        self.delivered()?;
        self.until("the other cities asked Midori for incidents", |relief| {
            let asked: Result<Vec<_>> =
                relief.towns[1..].iter().map(|town| town.gateway.isolated_in(OWNER)).collect();
            Ok(asked?.iter().all(|isolated| *isolated == Some(0)))
        })?;
        println!(
            "        Midori's road closures and supplies are with all who may see them in three cities."
        );
        let guest = self.guest()?;
        let read: Vec<_> = guest.iter().map(|(stream, count)| format!("{stream} {count}")).collect();
        println!(
            "        Nao of Aoba reads at Midori's gateway with a token of Aoba's: {}.",
            read.join(", ")
        );
        println!("        A token for another service, and one that another key has signed: refused.");

        // The road sensor is tampered with.
        self.devices[0]
            .input
            .blocking_send(Input::Patch(ALTERED, 100))
            .ok()
            .context("a device has stopped")?;
        self.towns[0].gateway.instruct(ROAD, ALTERED)?;
        let verdict = self.did("the road sensor examined its code", |id, done| match done {
            Done::Examined { verdict, .. } if id == ROAD => Some(*verdict),
            _ => None,
        })?;
        ensure!(verdict == Verdict::Altered, "the altered function was found {verdict:?}");
        self.until("the road sensor was isolated", |relief| {
            Ok(relief.towns[0].gateway.device(ROAD)?.isolated)
        })?;
        let took = self.believed(false, Instant::now())?;
        // Else nobody would hear it because it says nothing.
        let silenced = |relief: &Self| {
            let reasons = relief.towns[0].gateway.device(ROAD)?.reasons;
            anyhow::Ok(reasons.get("isolated").copied().unwrap_or(0))
        };
        let (before, minutes) = (silenced(self)?, 3);
        self.measure(minutes, true)?;
        let readings = u64::from(minutes) * DEVICES[0].2.len() as u64;
        self.until("Midori refused what the road sensor said", |relief| {
            Ok(silenced(relief)? >= before + readings)
        })?;
        self.refused = silenced(self)? - before;
        ensure!(self.refused == readings, "{} readings were refused, not {readings}", self.refused);
        for town in &self.towns[1..] {
            let told = town.gateway.cities()?[OWNER]["incidents"]["reports"].clone();
            self.doubts
                .extend(told.as_array().into_iter().flatten().cloned().map(|report| (town.name, report)));
        }
        self.delivered()?;
        println!(
            "        Midori's road sensor is tampered with and isolated: from then on nobody in any city hears it, and it says {minutes} times that the road is open."
        );
        println!(
            "        {:.1} s later Aoba and Hibari do not believe it either: what it measured before is not in their histories.",
            took.as_secs_f64()
        );
        self.towns[0].gateway.recover(ROAD)?;
        self.did("the road sensor opened a new epoch", |id, done| {
            matches!(done, Done::NewEpoch(_)).then_some(()).filter(|()| id == ROAD)
        })?;
        self.until("the road sensor was trusted again", |relief| {
            Ok(!relief.towns[0].gateway.device(ROAD)?.isolated)
        })?;
        let took = self.believed(true, Instant::now())?;
        self.measure(2, false)?;
        self.delivered()?;
        println!(
            "        It is recovered, believed again in Aoba and Hibari {:.1} s later, and heard in all cities.",
            took.as_secs_f64()
        );
        Ok(())
    }

    /// Says who received what and why not; and leaves a page with the three gateways side by side, whose path it returns.
    ///
    /// # Errors
    /// If a gateway says something else than it must.
    pub fn summary(&mut self) -> Result<PathBuf> {
        println!("\nWho received what of Midori's (readings), and why not:");
        print!("{:8} {:26}", "city", "user");
        STREAMS.iter().for_each(|(_, name, ..)| print!("{name:>15}"));
        println!();
        for town in &self.towns {
            for (person @ (name, department, level), user) in PEOPLE.iter().zip(&town.users) {
                print!("{:8} {:26}", town.name, format!("{name}: {department}, level {level}"));
                for (_, stream, ..) in &STREAMS {
                    let stream = town.called(stream);
                    let inbox = user.inbox();
                    match inbox.readings.iter().filter(|reading| reading.stream == stream).count() {
                        0 => print!("{:>15}", "-"),
                        count => print!("{count:>15}"),
                    }
                }
                println!();
                for stream in &STREAMS {
                    let Some(why) = refusal(town.name, *person, stream) else { continue };
                    let said = self.said(town, name, stream)?;
                    println!("         no {}: {why} ({said})", stream.1);
                }
            }
        }
        println!(
            "Of the road sensor, {} readings were refused while it was isolated: nobody in any city received them.",
            self.refused
        );
        let path = env::current_exe()?.with_file_name("three-cities.html");
        // The gateways add up a few times a second.
        thread::sleep(Duration::from_millis(500));
        fs::write(&path, self.side_by_side()?)?;
        Ok(path)
    }

    /// What the gateways say of why a user does not get a stream.
    fn said(&self, town: &Town, user: &str, stream: &Shared) -> Result<String> {
        let (name, called) = (stream.1, town.called(stream.1));
        // What does not come to a city at all, no policy is asked about.
        if town.name != OWNER && !stream.4.contains(&town.name) {
            let flows = town.gateway.status()?.flows;
            ensure!(!flows.iter().any(|flow| flow.stream == called), "{called} has come to {}", town.name);
            return match (town.name, name) {
                ("hibari", "shelters") => {
                    let withheld = self.towns[1].gateway.cities()?["hibari"]["withheld"].as_u64();
                    let sent = self.expected.iter().filter(|(_, of, _)| *of == name).count() as u64;
                    ensure!(withheld == Some(sent), "Aoba has withheld {withheld:?} readings, not {sent}");
                    Ok(format!("Aoba's gateway has withheld {sent} readings"))
                }
                _ => Ok("it is not handed over".to_owned()),
            };
        }
        let of_user = |flow: &&Flow| flow.user == user && flow.stream == called;
        let flows = town.gateway.status()?.flows;
        let flows: Vec<_> = flows.iter().filter(of_user).collect();
        let [Flow { allowed: false, reason, .. }] = flows[..] else {
            bail!("{} says of {user} and {called}: {flows:?}", town.name);
        };
        Ok(format!("the gateway says: {reason}"))
    }

    /// What each gateway says of itself and of the others, as a page.
    fn side_by_side(&self) -> Result<String> {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut page = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Three cities</title>\n\
            <style>\n:root { color-scheme: light dark }\nbody { font: 15px/1.45 system-ui, sans-serif; margin: 1rem }\n\
            main { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1.5rem }\n\
            table { border-collapse: collapse; width: 100%; margin-bottom: 1rem }\n\
            th, td { text-align: left; vertical-align: top; padding: .2rem .5rem; border-bottom: 1px solid #8886 }\n</style>\n\
            <h1>Three cities side by side</h1>\n<p>As the gateways said at the end of the demo.</p>\n<main>\n"
            .to_owned();
        for town in &self.towns {
            let (flows, cities) = (town.gateway.status()?.flows, town.gateway.cities()?);
            page += &format!("<section><h2>{}</h2>\n", escape(town.name));
            page += "<table><caption>Other cities</caption><tr><th>City<th>Gets<th>Shares<th>Not handed over<th>Refused<th>Not believed</tr>\n";
            for (name, city) in cities.as_object().into_iter().flatten() {
                let gives = |streams: &str, count: &str| {
                    let names = city[streams].as_array().into_iter().flatten().filter_map(Value::as_str);
                    let names = names.collect::<Vec<_>>().join(", ");
                    let names = if names.is_empty() { "nothing of its own" } else { &names };
                    format!("{names}: {} readings", city[count])
                };
                let reasons = |value: &Value| {
                    let each = value.as_object().into_iter().flatten();
                    each.map(|(reason, count)| format!("{count} × {}", reason.replace('_', " ")))
                        .collect::<Vec<_>>()
                };
                let mut not = reasons(&city["refused_there"]);
                for reason in ["waiting", "lost", "withheld"] {
                    not.extend(Some(format!("{} × {reason}", city[reason])).filter(|_| city[reason] != 0));
                }
                let [not, refused] = [not, reasons(&city["refused"])].map(|all| all.join(", "));
                let (gets, shares) = (gives("sends", "sent"), gives("takes", "taken"));
                let doubts = self.doubts.iter().filter(|(at, _)| *at == town.name && name == OWNER);
                let doubts = doubts.map(|(_, report)| {
                    let text = |name: &str| report[name].as_str().unwrap_or_default();
                    format!(
                        "device {} since {}: {}; it is recovered",
                        text("device"),
                        text("since"),
                        text("incident")
                    )
                });
                let doubts = doubts.collect::<Vec<_>>().join(", ");
                let cells = [name.clone(), gets, shares, not, refused, doubts];
                page +=
                    &format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{}", escape(&cell))).concat());
            }
            page += "</table>\n<table><caption>Who receives what</caption><tr><th>Stream<th>User<th>Decision<th>Readings</tr>\n";
            for Flow { stream, user, allowed, reason, count } in &flows {
                let decision =
                    if *allowed { "✓ allowed".to_owned() } else { format!("✗ refused: {reason}") };
                let cells = [stream.clone(), user.clone(), decision, count.to_string()];
                page +=
                    &format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{}", escape(&cell))).concat());
            }
            page += "</table></section>\n";
        }
        Ok(page + "</main>\n</html>\n")
    }
}
