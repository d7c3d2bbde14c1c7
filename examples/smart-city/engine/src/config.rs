//! What operators write: `city.toml`, who and what there is, and `secrets.toml`.
//!
//! Both are checked as a whole before anything of them is used. The formats are explained in the files in `example/`.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap, HashSet},
    fmt, fs, io,
    num::NonZeroU16,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use sha2::{Digest as _, Sha256};
use smart_city_frame::{Class, DeviceId, RootKey, Stream};
use toml::Spanned;
use zeroize::Zeroizing;

use crate::{attestation, policy::class_name};

/// The highest level of users and streams.
pub const MAX_LEVEL: u8 = 9;

/// The highest column and row of the page's grid.
pub const MAX_PLACE: u16 = 1023;

/// The longest time for evidence: a day.
pub const MAX_DEADLINE_MS: u64 = 86_400_000;

/// How often an instruction may be sent at most.
pub const MAX_ATTEMPTS: u32 = 100;

/// The longest time for which readings are kept: a century.
pub const MAX_HOURS: u32 = 876_000;

/// How long a file of the audit log gets, if `city.toml` does not say it, in kB.
const AUDIT_FILE_KB: u32 = 65_536;

/// Of [`City::silent_minutes`], if the file does not say it.
const SILENT_MINUTES: u32 = 10;

/// Into how many shards the devices may be divided at most.
pub const MAX_SHARDS: u16 = 1024;

/// The shortest and the longest lease of a shard, in seconds, and the one if the file does not say it.
const LEASE_SECONDS: (u64, u64, u64) = (2, 300, 10);

/// The name of the account that the gateway itself has at the broker.
pub const GATEWAY_USER: &str = "gateway";

/// A fault in a file, where an operator finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; none if the file could not be read.
    pub line: Option<usize>,
    /// The field, as `streams[2].owner`; empty if it is not about one.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// `city.toml`, checked.
#[derive(Clone, Debug)]
pub struct City {
    /// The city whose gateway this is.
    pub home: String,
    /// How long a device may take to answer an instruction with evidence.
    pub evidence_deadline_ms: u64,
    /// How often an instruction is sent in all.
    pub evidence_attempts: u32,
    /// When a file of the audit log has so many bytes [behind what was known before](crate::audit::Audit::is_full), a new one is begun.
    pub audit_file_bytes: u64,
    /// A device of which no frame was accepted for so many minutes is told as silent.
    pub silent_minutes: u32,
    /// How long readings are kept; none without a history.
    pub history: Option<History>,
    /// All cities, with their readable names.
    pub cities: BTreeMap<String, String>,
    /// The departments that there are, in all cities.
    pub departments: HashSet<String>,
    /// The streams by their numbers.
    pub streams: BTreeMap<u16, StreamEntry>,
    /// The devices.
    pub devices: BTreeMap<DeviceId, DeviceEntry>,
    /// The users by the names of their accounts.
    pub users: BTreeMap<String, UserEntry>,
    /// Accounts that only send: they receive nothing and ask for nothing. What they send is as what a user with these attributes writes.
    pub senders: BTreeMap<String, UserEntry>,
    /// The code of each image's regions.
    pub images: BTreeMap<String, BTreeMap<u16, Region>>,
    /// What is for NGSI-LD, which this does not look into.
    pub ngsi_ld: Option<Table>,
    /// What is handed over to other cities in common, which this does not look into.
    pub handover: Option<Table>,
    /// What is agreed with other cities, by city.
    pub partners: BTreeMap<String, PartnerEntry>,
    /// How several gateways share the city; none if there is one.
    pub cluster: Option<Cluster>,
    /// Where that stands, without a fault.
    cluster_at: ConfigError,
    /// The SHA-256 of what was read: the file and each file of code that it names, each behind its length.
    pub digest: [u8; 32],
    made: Made,
}

/// How several gateways share the city: its devices are divided into shards, and each shard has one gateway at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The address of their database, without a password, which this does not look into.
    pub database: String,
    /// A file with the authorities of which one has made the database's certificate; without it there is no TLS.
    pub authorities: Option<PathBuf>,
    /// How many shards there are, 1 to [`MAX_SHARDS`].
    pub shards: u16,
    /// How long a gateway counts as there after it has said so.
    pub lease: Duration,
}

/// What others have made of a city's tables, by its type. A copy has nothing of it, as the copy may be changed.
#[derive(Debug, Default)]
struct Made(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Clone for Made {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is agreed with another city.
#[derive(Clone, Debug, PartialEq)]
pub struct PartnerEntry {
    /// How its users log in here, which this does not look into.
    pub login: Option<Table>,
    /// What is handed over to it and taken from it, which this does not look into.
    pub handover: Option<Table>,
    /// What it tells of isolated devices and is told, which this does not look into.
    pub incidents: Option<Table>,
}

/// A table that others check.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its content.
    pub value: serde_json::Value,
    file: PathBuf,
    name: String,
    line: Option<usize>,
}

impl Table {
    fn of(file: &File<'_>, table: &Spanned<toml::Table>, name: String) -> Self {
        let value = serde_json::to_value(table.get_ref()).unwrap_or_default();
        let ConfigError { file, line, .. } = file.at(table, "", "");
        Self { value, file, name, line }
    }

    /// Where a file is that the table names: beside the file with the table.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.file.with_file_name(name)
    }

    /// A fault of one of its fields, or of the table if the name is empty.
    #[must_use]
    pub fn fault(&self, field: &str, message: String) -> ConfigError {
        let field = if field.is_empty() { self.name.clone() } else { format!("{}.{field}", self.name) };
        ConfigError { file: self.file.clone(), line: self.line, field, message }
    }
}

/// What is kept of the readings that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// For how many hours.
    pub hours: u32,
    /// How many at most.
    pub most: u32,
}

/// A stream of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamEntry {
    /// Number and class, as in frames.
    pub stream: Stream,
    /// Its name in topics.
    pub name: String,
    /// The city whose it is.
    pub owner: String,
    /// The departments that it is for.
    pub departments: Vec<String>,
    /// The level that a user needs.
    pub min_level: u8,
    /// The other cities whose users may get it.
    pub partners: Vec<String>,
    /// What its readings are, as a media type.
    pub content_type: String,
}

impl StreamEntry {
    /// What makes it the same stream: another one may get its number. Who may see it, by other attributes, may change.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}/{}/{}", self.name, class_name(self.stream.class), self.owner)
    }
}

/// A device of the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceEntry {
    /// For people.
    pub name: String,
    /// On the page's grid.
    pub place: [u16; 2],
    /// Longitude and latitude in degrees.
    pub position: Option<[f64; 2]>,
    /// What runs on it.
    pub image: String,
    /// The numbers of the streams that it may send.
    pub streams: Vec<u16>,
}

/// The attributes of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserEntry {
    /// The home city.
    pub city: String,
    /// The departments the user works for.
    pub departments: Vec<String>,
    /// The level, 0 to [`MAX_LEVEL`].
    pub level: u8,
}

/// A function of an image that instructions may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// For people; of an ELF file the function's symbol.
    pub name: String,
    /// Its code as it was built.
    pub code: Vec<u8>,
}

/// `secrets.toml`, checked. `Debug` shows nothing of it.
pub struct Secrets {
    /// Who may ask and instruct the gateway.
    pub operators: BTreeMap<String, Operator>,
    /// The password of [`GATEWAY_USER`].
    pub gateway_password: Secret,
    /// The file with the key that signs attestation results.
    pub ear_key: PathBuf,
    /// Root key and password of each device.
    pub devices: BTreeMap<DeviceId, (RootKey, Secret)>,
    /// The password of each user.
    pub users: BTreeMap<String, Secret>,
    /// The password of each account that only sends.
    pub senders: BTreeMap<String, Secret>,
    /// The password for the database that several gateways share.
    pub database_password: Option<Secret>,
    /// The SHA-256 of what was read, behind its length. Nobody learns a secret from it who does not know all others.
    pub digest: [u8; 32],
}

impl City {
    /// What `make` makes of it, made once: so that files which its tables name are read when it is read, and not by who has no time for
    /// it. Of each type there is one.
    ///
    /// # Errors
    /// As `make`, which is then tried again the next time.
    pub fn once<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce(&Self) -> Result<T, ConfigError>,
    ) -> Result<Arc<T>, ConfigError> {
        let made = || self.made.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = made().get(&TypeId::of::<T>()).cloned();
        if let Some(before) = before.and_then(|before| before.downcast().ok()) {
            return Ok(before);
        }
        let new = Arc::new(make(self)?);
        made().insert(TypeId::of::<T>(), Arc::clone(&new) as Arc<dyn Any + Send + Sync>);
        Ok(new)
    }

    /// A fault of a field of the table `[cluster]`, or of the table if the name is empty.
    #[must_use]
    pub fn cluster_fault(&self, field: &str, message: impl Into<String>) -> ConfigError {
        let field = if field.is_empty() { "cluster".to_owned() } else { format!("cluster.{field}") };
        ConfigError { field, message: message.into(), ..self.cluster_at.clone() }
    }

    /// Whether a user or an account that only sends has this name.
    #[must_use]
    pub fn has_user(&self, name: &str) -> bool {
        self.users.contains_key(name) || self.senders.contains_key(name)
    }
}

impl Secrets {
    /// Whose token this is.
    #[must_use]
    pub fn operator(&self, token: &[u8]) -> Option<(&str, Operator)> {
        let token = TokenHash::of(token);
        let each = self
            .operators
            .iter()
            .map(|(name, operator)| (operator.token == token).then_some((name.as_str(), *operator)));
        each.fold(None, Option::or)
    }
}

/// Somebody with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What this one may do.
    pub role: Role,
    /// What the token is known by.
    pub token: TokenHash,
}

/// What an operator may do. Each may do what the one before may, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See how everything is.
    Viewer,
    /// Read the audit log.
    Auditor,
    /// Instruct, examine and recover devices.
    Operator,
}

impl Role {
    /// As in `secrets.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Operator => "operator",
        }
    }

    /// From its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Viewer, Self::Auditor, Self::Operator].into_iter().find(|role| role.name() == text)
    }
}

/// The SHA-256 of a token. Tokens are random, so that nobody finds one by trying.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of a token.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// In a time that tells nothing.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0).into()
    }
}

impl Eq for TokenHash {}

/// As in `secrets.toml`.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash { .. }")
    }
}

/// A text that is erased when dropped and never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the same, in a time that tells only the length.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret { .. }")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets { .. }")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCity {
    gateway: RawGateway,
    history: Option<RawHistory>,
    departments: Vec<Spanned<String>>,
    cities: Vec<RawNamed>,
    #[serde(default)]
    streams: Vec<RawStream>,
    #[serde(default)]
    images: Vec<RawImage>,
    #[serde(default)]
    devices: Vec<RawDevice>,
    #[serde(default)]
    users: Vec<RawUser>,
    ngsi_ld: Option<Spanned<toml::Table>>,
    handover: Option<Spanned<toml::Table>>,
    #[serde(default)]
    partners: Vec<RawPartner>,
    cluster: Option<Spanned<RawCluster>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCluster {
    database: String,
    authorities: Option<PathBuf>,
    shards: Spanned<u16>,
    lease_seconds: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPartner {
    city: Spanned<String>,
    login: Option<Spanned<toml::Table>>,
    handover: Option<Spanned<toml::Table>>,
    incidents: Option<Spanned<toml::Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    city: Spanned<String>,
    evidence_deadline_ms: Spanned<u64>,
    evidence_attempts: Spanned<u32>,
    audit_file_kb: Option<Spanned<u32>>,
    silent_minutes: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistory {
    hours: Spanned<u32>,
    most: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNamed {
    id: Spanned<String>,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStream {
    id: Spanned<NonZeroU16>,
    name: Spanned<String>,
    #[serde(deserialize_with = "class")]
    class: Class,
    owner: Spanned<String>,
    #[serde(default)]
    departments: Vec<Spanned<String>>,
    min_level: Option<Spanned<u8>>,
    #[serde(default)]
    partners: Vec<Spanned<String>>,
    content_type: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    id: Spanned<String>,
    regions: Vec<RawRegion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegion {
    id: Spanned<NonZeroU16>,
    name: String,
    code: Spanned<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevice {
    id: Spanned<String>,
    name: String,
    place: Spanned<[u16; 2]>,
    position: Option<Spanned<[f64; 2]>>,
    image: Spanned<String>,
    streams: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    id: Spanned<String>,
    city: Spanned<String>,
    departments: Vec<Spanned<String>>,
    level: Spanned<u8>,
    #[serde(default)]
    sends_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    gateway_password: Spanned<Secret>,
    ear_key: PathBuf,
    database_password: Option<Spanned<Secret>>,
    #[serde(default)]
    operators: BTreeMap<String, Spanned<RawOperator>>,
    #[serde(default)]
    devices: BTreeMap<String, Spanned<RawDeviceSecrets>>,
    #[serde(default)]
    users: BTreeMap<String, Spanned<RawUserSecrets>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperator {
    role: Spanned<Secret>,
    token_sha256: Spanned<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeviceSecrets {
    root_key: Spanned<Secret>,
    mqtt_password: Spanned<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUserSecrets {
    mqtt_password: Spanned<Secret>,
}

fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Class, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "public" => Ok(Class::Public),
        "internal" => Ok(Class::Internal),
        "confidential" => Ok(Class::Confidential),
        other => Err(D::Error::unknown_variant(other, &["public", "internal", "confidential"])),
    }
}

/// A file with what is needed to say where something in it is.
struct File<'p> {
    path: &'p Path,
    text: Zeroizing<String>,
}

impl<'p> File<'p> {
    fn read(path: &'p Path) -> Result<Self, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self { path, text: Zeroizing::new(text) }),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    /// What was read, for a hash of it.
    fn content(&self) -> Sha256 {
        let mut hash = Sha256::new();
        add(&mut hash, self.text.as_bytes());
        hash
    }

    /// A file beside this one.
    fn beside(&self, name: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(name)
    }

    fn with(text: &str, path: &'p Path) -> Self {
        Self { path, text: Zeroizing::new(text.to_owned()) }
    }

    /// Parses all of it, by the types.
    fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let deserializer = toml::Deserializer::parse(&self.text)
            .map_err(|error| self.error(error.span(), String::new(), error.message()))?;
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let parts: Vec<&str> = path.split('.').filter(|part| !part.starts_with("$__")).collect();
            let field = if path == "." { String::new() } else { parts.join(".") };
            self.error(error.inner().span(), field, error.inner().message())
        })
    }

    fn error(&self, span: Option<Range<usize>>, field: String, message: impl Into<String>) -> ConfigError {
        let line =
            span.and_then(|span| self.text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
        ConfigError { file: self.path.to_owned(), line, field, message: message.into() }
    }

    /// The fault at a value.
    fn at<T>(&self, value: &Spanned<T>, field: impl Into<String>, message: impl Into<String>) -> ConfigError {
        self.error(Some(value.span()), field.into(), message)
    }

    fn password(&self, password: &Spanned<Secret>, field: &str) -> Result<Secret, ConfigError> {
        match password.get_ref().as_str() {
            "" => Err(self.at(password, field, "is empty")),
            _ => Ok(password.get_ref().clone()),
        }
    }

    /// Names that each stand once in a list.
    fn once(&self, names: &[Spanned<String>], field: &str) -> Result<(), ConfigError> {
        let mut seen = HashSet::new();
        match names.iter().find(|name| !seen.insert(name.get_ref())) {
            Some(twice) => Err(self.at(twice, field, format!("`{}` is there twice", twice.get_ref()))),
            None => Ok(()),
        }
    }

    /// A name that may stand in a topic, and that was not there before.
    fn new_name(
        &self,
        name: &Spanned<String>,
        field: &str,
        seen: &mut HashSet<String>,
    ) -> Result<String, ConfigError> {
        let text = name.get_ref();
        if !is_name(text) {
            return Err(self.at(name, field, NAME_RULE));
        }
        if !seen.insert(text.clone()) {
            return Err(self.at(name, field, format!("`{text}` is there twice")));
        }
        Ok(text.clone())
    }

    /// A reference to something that must exist.
    fn known(
        &self,
        name: &Spanned<String>,
        field: &str,
        what: &str,
        exists: impl Fn(&str) -> bool,
    ) -> Result<String, ConfigError> {
        if exists(name.get_ref()) {
            Ok(name.get_ref().clone())
        } else {
            Err(self.at(name, field, format!("there is no {what} `{}`", name.get_ref())))
        }
    }

    fn all_known(
        &self,
        names: &[Spanned<String>],
        field: &str,
        what: &str,
        exists: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, ConfigError> {
        self.once(names, field)?;
        names.iter().map(|name| self.known(name, field, what, &exists)).collect()
    }

    /// A media type with parameters, such as `text/plain; charset=utf-8`.
    fn media_type(&self, text: &Spanned<String>, field: &str) -> Result<String, ConfigError> {
        let token = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            !part.is_empty() && part.bytes().all(allowed)
        };
        let value = text.get_ref();
        let kind = value.split(';').next().unwrap_or_default().trim_end();
        let has_parts = kind.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
        if has_parts && value.len() <= 128 && value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Ok(value.clone())
        } else {
            Err(self.at(text, field, "is no media type, such as `application/json`"))
        }
    }

    fn level(&self, level: &Spanned<u8>, field: &str) -> Result<u8, ConfigError> {
        match *level.get_ref() {
            level @ ..=MAX_LEVEL => Ok(level),
            _ => Err(self.at(level, field, format!("a level is 0 to {MAX_LEVEL}"))),
        }
    }
}

/// Adds something to a hash, so that it is known where it ends.
fn add(hash: &mut Sha256, content: &[u8]) {
    hash.update((content.len() as u64).to_be_bytes());
    hash.update(content);
}

const NAME_RULE: &str = "a name is 1 to 32 of a-z, 0-9, `-`, `_` and `.`";

/// Whether a text is 1 to 32 of a-z, 0-9, `-`, `_` and `.`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    ConfigError {
        file: path.to_owned(),
        line: None,
        field: String::new(),
        message: format!("cannot be read: {error}"),
    }
}

/// Sixteen hex digits in lower case, as in topics.
#[must_use]
pub fn parse_device_id(text: &str) -> Option<DeviceId> {
    let id = DeviceId(parse_hex(text)?);
    (id.to_string() == text).then_some(id)
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

impl City {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// The first fault that is in it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::of(&File::read(path)?)
    }

    /// Checks what is to be written to the file.
    ///
    /// # Errors
    /// Those of [`City::read`].
    pub fn of_text(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::of(&File::with(text, path))
    }

    fn of(file: &File<'_>) -> Result<Self, ConfigError> {
        let raw: RawCity = file.parse()?;

        let mut departments = HashSet::new();
        for (i, name) in raw.departments.iter().enumerate() {
            file.new_name(name, &format!("departments[{i}]"), &mut departments)?;
        }
        let mut seen = HashSet::new();
        let mut cities = BTreeMap::new();
        for (i, city) in raw.cities.iter().enumerate() {
            cities.insert(file.new_name(&city.id, &format!("cities[{i}].id"), &mut seen)?, city.name.clone());
        }
        let is_city = |name: &str| cities.contains_key(name);
        let known_departments = |names: &[Spanned<String>], field: &str| {
            file.all_known(names, field, "department", |name| departments.contains(name))
        };

        let mut seen = HashSet::new();
        let mut streams = BTreeMap::new();
        for (i, raw) in raw.streams.iter().enumerate() {
            let field = |name: &str| format!("streams[{i}].{name}");
            let id = *raw.id.get_ref();
            let entry = StreamEntry {
                stream: Stream { id, class: raw.class },
                name: file.new_name(&raw.name, &field("name"), &mut seen)?,
                owner: file.known(&raw.owner, &field("owner"), "city", is_city)?,
                departments: known_departments(&raw.departments, &field("departments"))?,
                min_level: match &raw.min_level {
                    Some(level) => file.level(level, &field("min_level"))?,
                    None if raw.class == Class::Confidential => {
                        return Err(file.at(&raw.id, field("min_level"), "a confidential stream needs one"));
                    }
                    None => 0,
                },
                partners: file.all_known(&raw.partners, &field("partners"), "city", is_city)?,
                content_type: match &raw.content_type {
                    Some(text) => file.media_type(text, &field("content_type"))?,
                    None => "application/octet-stream".to_owned(),
                },
            };
            if let Some(own) = raw.partners.iter().find(|partner| **partner.get_ref() == entry.owner) {
                return Err(file.at(own, field("partners"), "the owner is no partner"));
            }
            if raw.class != Class::Public && entry.departments.is_empty() {
                return Err(file.at(
                    &raw.id,
                    field("departments"),
                    "without departments nobody could see it",
                ));
            }
            if streams.insert(id.get(), entry).is_some() {
                return Err(file.at(&raw.id, field("id"), format!("stream {id} is there twice")));
            }
        }

        let mut content = file.content();
        let mut seen = HashSet::new();
        let mut images = BTreeMap::new();
        for (i, raw) in raw.images.iter().enumerate() {
            let mut regions = BTreeMap::new();
            for (j, region) in raw.regions.iter().enumerate() {
                let field = |name: &str| format!("images[{i}].regions[{j}].{name}");
                let code_path = file.beside(region.code.get_ref());
                let wrong = |error: anyhow::Error| {
                    let message = format!("{}: {error:#}", code_path.display());
                    file.at(&region.code, field("code"), message)
                };
                let read = fs::read(&code_path).map_err(|error| wrong(error.into()))?;
                add(&mut content, &read);
                let code = attestation::reference_code(&read, &region.name).map_err(wrong)?;
                if code.is_empty() {
                    return Err(file.at(&region.code, field("code"), "there is no code in it"));
                }
                let id = region.id.get_ref().get();
                if regions.insert(id, Region { name: region.name.clone(), code }).is_some() {
                    return Err(file.at(&region.id, field("id"), format!("region {id} is there twice")));
                }
            }
            images.insert(file.new_name(&raw.id, &format!("images[{i}].id"), &mut seen)?, regions);
        }

        let mut devices = BTreeMap::new();
        let mut places = HashSet::new();
        for (i, raw) in raw.devices.iter().enumerate() {
            let field = |name: &str| format!("devices[{i}].{name}");
            let place = *raw.place.get_ref();
            if place.iter().any(|part| *part > MAX_PLACE) {
                return Err(file.at(
                    &raw.place,
                    field("place"),
                    format!("a place is 0 to {MAX_PLACE}, twice"),
                ));
            }
            if !places.insert(place) {
                return Err(file.at(&raw.place, field("place"), "another device is there"));
            }
            let outside = raw.position.as_ref().filter(|position| {
                let [longitude, latitude] = *position.get_ref();
                // Nothing that is no number is within.
                !(longitude.abs() <= 180.0 && latitude.abs() <= 90.0)
            });
            if let Some(position) = outside {
                let message = "a position is a longitude and a latitude in degrees";
                return Err(file.at(position, field("position"), message));
            }
            file.once(&raw.streams, &field("streams"))?;
            let id = parse_device_id(raw.id.get_ref()).ok_or_else(|| {
                file.at(&raw.id, field("id"), "a device's EUI-64 is 16 hex digits, in lower case")
            })?;
            let entry = DeviceEntry {
                name: raw.name.clone(),
                place,
                position: raw.position.as_ref().map(|position| *position.get_ref()),
                image: file.known(&raw.image, &field("image"), "image", |name| images.contains_key(name))?,
                streams: raw
                    .streams
                    .iter()
                    .map(|name| {
                        let found = streams.values().find(|stream| stream.name == *name.get_ref());
                        found.map(|stream| stream.stream.id.get()).ok_or_else(|| {
                            file.at(
                                name,
                                field("streams"),
                                format!("there is no stream `{}`", name.get_ref()),
                            )
                        })
                    })
                    .collect::<Result<_, _>>()?,
            };
            if devices.insert(id, entry).is_some() {
                return Err(file.at(&raw.id, field("id"), format!("`{id}` is there twice")));
            }
        }

        // The names of users and devices are names of accounts: no two are alike, and no device is to come that is like a user.
        let mut seen = HashSet::from([GATEWAY_USER.to_owned()]);
        let (mut users, mut senders) = (BTreeMap::new(), BTreeMap::new());
        for (i, raw) in raw.users.iter().enumerate() {
            let field = |name: &str| format!("users[{i}].{name}");
            let id = file.new_name(&raw.id, &field("id"), &mut seen)?;
            if parse_device_id(&id).is_some() {
                return Err(file.at(
                    &raw.id,
                    field("id"),
                    "a user's name must not be an EUI-64: its account had a device's rights",
                ));
            }
            let entry = UserEntry {
                city: file.known(&raw.city, &field("city"), "city", is_city)?,
                departments: known_departments(&raw.departments, &field("departments"))?,
                level: file.level(&raw.level, &field("level"))?,
            };
            if raw.sends_only { &mut senders } else { &mut users }.insert(id, entry);
        }

        let table =
            |table: &Option<_>, name: String| table.as_ref().map(|table| Table::of(file, table, name));
        let ngsi_ld = table(&raw.ngsi_ld, "ngsi_ld".to_owned());
        let handover = table(&raw.handover, "handover".to_owned());

        let gateway = &raw.gateway;
        let mut partners = BTreeMap::new();
        for (i, raw) in raw.partners.iter().enumerate() {
            let field = |name: &str| format!("partners[{i}].{name}");
            let city = file.known(&raw.city, &field("city"), "city", is_city)?;
            if city == *gateway.city.get_ref() {
                return Err(file.at(&raw.city, field("city"), "the gateway's own city is no partner"));
            }
            let tables = [(&raw.login, "login"), (&raw.handover, "handover"), (&raw.incidents, "incidents")];
            let [login, handover, incidents] = tables.map(|(found, name)| table(found, field(name)));
            if partners.insert(city, PartnerEntry { login, handover, incidents }).is_some() {
                return Err(file.at(&raw.city, field("city"), "this city is there twice"));
            }
        }
        let mut cluster_at = file.error(None, String::new(), "");
        let cluster = match &raw.cluster {
            Some(table) => {
                cluster_at = file.at(table, "", "");
                let state = [
                    ("ngsi_ld", ngsi_ld.is_some()),
                    ("handover", handover.is_some()),
                    ("partners", !partners.is_empty()),
                ];
                if let Some((name, _)) = state.iter().find(|(_, is_there)| *is_there) {
                    let message = format!(
                        "`{name}` keeps something in the folder of one gateway, and there are several"
                    );
                    return Err(file.at(table, "cluster", message));
                }
                Some(Cluster::of(file, table.get_ref())?)
            }
            None => None,
        };
        if !(1..=MAX_DEADLINE_MS).contains(gateway.evidence_deadline_ms.get_ref()) {
            return Err(file.at(
                &gateway.evidence_deadline_ms,
                "gateway.evidence_deadline_ms",
                format!("must be 1 to {MAX_DEADLINE_MS}"),
            ));
        }
        if !(1..=MAX_ATTEMPTS).contains(gateway.evidence_attempts.get_ref()) {
            return Err(file.at(
                &gateway.evidence_attempts,
                "gateway.evidence_attempts",
                format!("must be 1 to {MAX_ATTEMPTS}"),
            ));
        }
        for (field, value) in raw.history.iter().flat_map(|raw| [("hours", &raw.hours), ("most", &raw.most)])
        {
            if *value.get_ref() == 0 {
                return Err(file.at(value, format!("history.{field}"), "must be at least 1"));
            }
        }
        if let Some(hours) =
            raw.history.as_ref().map(|raw| &raw.hours).filter(|hours| *hours.get_ref() > MAX_HOURS)
        {
            return Err(file.at(hours, "history.hours", format!("must be at most {MAX_HOURS}")));
        }
        let history =
            raw.history.map(|raw| History { hours: *raw.hours.get_ref(), most: *raw.most.get_ref() });
        let audit_file_kb = match &gateway.audit_file_kb {
            None => AUDIT_FILE_KB,
            Some(kb) if *kb.get_ref() == 0 => {
                return Err(file.at(kb, "gateway.audit_file_kb", "must be at least 1"));
            }
            Some(kb) => *kb.get_ref(),
        };
        let silent_minutes = match &gateway.silent_minutes {
            None => SILENT_MINUTES,
            Some(minutes) if *minutes.get_ref() == 0 => {
                return Err(file.at(minutes, "gateway.silent_minutes", "must be at least 1"));
            }
            Some(minutes) => *minutes.get_ref(),
        };
        Ok(Self {
            home: file.known(&gateway.city, "gateway.city", "city", is_city)?,
            evidence_deadline_ms: *gateway.evidence_deadline_ms.get_ref(),
            evidence_attempts: *gateway.evidence_attempts.get_ref(),
            history,
            made: Made::default(),
            audit_file_bytes: 1024 * u64::from(audit_file_kb),
            silent_minutes,
            cities,
            departments,
            streams,
            devices,
            users,
            senders,
            images,
            ngsi_ld,
            handover,
            partners,
            cluster,
            cluster_at,
            digest: content.finalize().into(),
        })
    }
}

impl Cluster {
    fn of(file: &File<'_>, raw: &RawCluster) -> Result<Self, ConfigError> {
        if !(1..=MAX_SHARDS).contains(raw.shards.get_ref()) {
            return Err(file.at(&raw.shards, "cluster.shards", format!("must be 1 to {MAX_SHARDS}")));
        }
        let (least, most, usual) = LEASE_SECONDS;
        let seconds = match &raw.lease_seconds {
            Some(seconds) if !(least..=most).contains(seconds.get_ref()) => {
                return Err(file.at(seconds, "cluster.lease_seconds", format!("must be {least} to {most}")));
            }
            seconds => seconds.as_ref().map_or(usual, |seconds| *seconds.get_ref()),
        };
        Ok(Self {
            database: raw.database.clone(),
            authorities: raw.authorities.as_ref().map(|name| file.beside(name)),
            shards: *raw.shards.get_ref(),
            lease: Duration::from_secs(seconds),
        })
    }
}

impl Secrets {
    /// Reads the file and checks that it has a secret for each device and user of `city`, and for nobody else.
    ///
    /// # Errors
    /// The first fault that is in it. It never shows a secret.
    pub fn read(path: &Path, city: &City) -> Result<Self, ConfigError> {
        Self::of(&File::read(path)?, city)
    }

    /// Checks what is to be written to the file.
    ///
    /// # Errors
    /// Those of [`Secrets::read`].
    pub fn of_text(text: &str, path: &Path, city: &City) -> Result<Self, ConfigError> {
        Self::of(&File::with(text, path), city)
    }

    fn of(file: &File<'_>, city: &City) -> Result<Self, ConfigError> {
        // What a parser says of a wrong value may show the value; and a value may stand where a name should.
        let raw: RawSecrets = file.parse().map_err(|mut error| {
            if let Some(rest) = error.message.strip_prefix("unknown field `")
                && let Some((name, expected)) = rest.split_once('`')
            {
                if let Some(table) = error.field.strip_suffix(name) {
                    error.field = table.trim_end_matches('.').to_owned();
                }
                error.message = format!("unknown field{expected}");
            } else if let Some(end) =
                error.message.find(['"', '`']).filter(|_| error.message.starts_with("invalid"))
            {
                error.message.truncate(end);
            }
            error
        })?;
        let gateway_password = file.password(&raw.gateway_password, "gateway_password")?;
        let database_password = raw.database_password.as_ref();
        let database_password =
            database_password.map(|password| file.password(password, "database_password")).transpose()?;
        let mut operators: BTreeMap<String, Operator> = BTreeMap::new();
        for (name, table) in &raw.operators {
            let (field, RawOperator { role, token_sha256 }) = (format!("operators.{name}"), table.get_ref());
            if !is_name(name) {
                return Err(file.at(table, field, NAME_RULE));
            }
            let wrong = |message: &str| file.at(token_sha256, format!("{field}.token_sha256"), message);
            let token = parse_hex(token_sha256.get_ref().as_str()).map(TokenHash);
            let token = token.ok_or_else(|| wrong("is not 64 hex digits"))?;
            if token == TokenHash::of(b"") {
                return Err(wrong("is that of an empty token"));
            }
            if operators.values().any(|other| other.token == token) {
                return Err(wrong("is another operator's too"));
            }
            let role = Role::parse(role.get_ref().as_str()).ok_or_else(|| {
                file.at(role, format!("{field}.role"), "is not `viewer`, `auditor` or `operator`")
            })?;
            operators.insert(name.clone(), Operator { role, token });
        }
        // Of keys, without a copy of them.
        let mut fingerprints = HashSet::new();
        let mut devices = BTreeMap::new();
        for (id, table) in &raw.devices {
            let (field, secrets) = (format!("devices.{id}"), table.get_ref());
            let Some(device) = parse_device_id(id).filter(|device| city.devices.contains_key(device)) else {
                return Err(file.at(table, field, "there is no such device"));
            };
            let root_key =
                parse_hex(secrets.root_key.get_ref().as_str()).map(Zeroizing::new).ok_or_else(|| {
                    file.at(&secrets.root_key, format!("{field}.root_key"), "is not 32 hex digits")
                })?;
            let wrong = |message: &str| Err(file.at(&secrets.root_key, format!("{field}.root_key"), message));
            if *root_key == [0; 16] {
                return wrong("is all zeros, and so no key");
            }
            let root_key = RootKey::new(*root_key);
            // Under one identity, so that equal keys are found.
            if !fingerprints.insert(root_key.fingerprint(DeviceId([0; 8]))) {
                return wrong("is another device's too");
            }
            let password = file.password(&secrets.mqtt_password, &format!("{field}.mqtt_password"))?;
            devices.insert(device, (root_key, password));
        }
        let (mut users, mut senders) = (BTreeMap::new(), BTreeMap::new());
        for (id, table) in &raw.users {
            let passwords = if city.users.contains_key(id) {
                &mut users
            } else if city.senders.contains_key(id) {
                &mut senders
            } else {
                return Err(file.at(table, format!("users.{id}"), "there is no such user"));
            };
            let password =
                file.password(&table.get_ref().mqtt_password, &format!("users.{id}.mqtt_password"))?;
            passwords.insert(id.clone(), password);
        }
        if let Some(missing) = city.devices.keys().find(|id| !devices.contains_key(id)) {
            return Err(file.error(None, format!("devices.{missing}"), "is missing"));
        }
        let is_missing = |id: &&String| !users.contains_key(*id) && !senders.contains_key(*id);
        if let Some(missing) = city.users.keys().chain(city.senders.keys()).find(is_missing) {
            return Err(file.error(None, format!("users.{missing}"), "is missing"));
        }
        Ok(Self {
            operators,
            gateway_password,
            ear_key: file.beside(&raw.ear_key),
            devices,
            users,
            senders,
            database_password,
            digest: file.content().finalize().into(),
        })
    }
}
