//! A TAXII 2.1 server that is read only, without its HTTP: each partner sees one collection.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    desk::{Desk, Entry, micros},
    stix,
};

/// Where discovery is; all else is below it.
pub const ROOT: &str = "/taxii2/";
/// The only API root.
const API_ROOT: &str = "/taxii2/city/";
/// By this name each partner finds its collection.
const ALIAS: &str = "incidents";

pub(crate) const TAXII: &str = "application/taxii+json;version=2.1";
const STIX: &str = "application/stix+json;version=2.1";

/// Objects in one answer.
pub(crate) const PAGE: usize = 100;

/// What is wrong.
#[derive(Debug)]
struct Fault(StatusCode, &'static str, String);

fn not_found() -> Fault {
    Fault(StatusCode::NOT_FOUND, "Not found", "there is no such resource, or it is not for you".to_owned())
}

fn bad(parameter: &str, why: impl Display) -> Fault {
    Fault(StatusCode::BAD_REQUEST, "Bad request", format!("{parameter}: {why}"))
}

type Answer = Response<Vec<u8>>;

impl Desk {
    /// Answers a request.
    #[must_use]
    pub fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let Some(reader) = self.reader(headers) else {
            let text = "log in with the name of your city and its token (HTTP Basic)".to_owned();
            let mut answer = error(&Fault(StatusCode::UNAUTHORIZED, "Unauthorized", text));
            let basic = HeaderValue::from_static("Basic realm=\"TAXII\", charset=\"UTF-8\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
            return answer;
        };
        if method != Method::GET && method != Method::HEAD {
            return error(&Fault(StatusCode::FORBIDDEN, "Forbidden", "all of this is read only".to_owned()));
        }
        if !accepts(headers) {
            return error(&Fault(
                StatusCode::NOT_ACCEPTABLE,
                "Not acceptable",
                format!("this speaks {TAXII}"),
            ));
        }
        self.resource(&reader, uri).unwrap_or_else(|fault| error(&fault))
    }

    fn resource(&self, reader: &str, uri: &Uri) -> Result<Answer, Fault> {
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
        if path == ROOT.trim_end_matches('/') {
            let about =
                json!({ "title": "Incidents of a smart city", "default": API_ROOT, "api_roots": [API_ROOT] });
            return Ok(ok(&about));
        }
        let rest = path.strip_prefix(API_ROOT.trim_end_matches('/'));
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).ok_or_else(not_found)?;
        let wanted = Wanted::of(uri)?;
        self.asks(reader, wanted.after);
        // A reader that is one no more has none.
        let collection = self.collection(reader).ok_or_else(not_found)?;
        let (home, entries) = (collection.home(), || collection.entries(wanted.after));
        let id = stix::collection(home, reader);
        let parts: Vec<_> = rest.split('/').skip(1).collect();
        match &*parts {
            [] => Ok(ok(&json!({
                "title": format!("Incidents of {home}"), "versions": [TAXII], "max_content_length": 1024,
            }))),
            ["collections"] => Ok(ok(&json!({ "collections": [about(home, reader, &id)] }))),
            ["collections", name, rest @ ..] if *name == ALIAS || **name == *id => match rest {
                [] => Ok(ok(&about(home, reader, &id))),
                ["objects"] => Ok(envelope(&wanted.page(&entries()))),
                ["manifest"] => Ok(manifest(&wanted.page(&entries()))),
                ["objects", id, rest @ ..] if rest.is_empty() || *rest == ["versions"] => {
                    let all = collection.entries(None);
                    if !all.iter().any(|entry| entry.id == *id) {
                        return Err(not_found());
                    }
                    let wanted = Wanted { ids: Some(BTreeSet::from([(*id).to_owned()])), ..wanted };
                    if rest.is_empty() {
                        return Ok(envelope(&wanted.page(&all)));
                    }
                    Ok(versions(&Wanted { versions: vec![Version::All], ..wanted }.page(&all)))
                }
                _ => Err(not_found()),
            },
            _ => Err(not_found()),
        }
    }
}

/// Whether an answer may be of this protocol's type.
fn accepts(headers: &HeaderMap) -> bool {
    let all = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = all.flat_map(|value| value.split(',')).map(|kind| {
        let kind = kind.to_ascii_lowercase().replace([' ', '"'], "");
        kind.split(";q=").next().unwrap_or_default().to_owned()
    });
    types.any(|kind| matches!(&*kind, TAXII | "application/taxii+json" | "application/*" | "*/*"))
}

fn about(home: &str, reader: &str, id: &str) -> Value {
    json!({
        "id": id, "title": format!("Incidents of {home} for {reader}"), "alias": ALIAS, "can_read": true, "can_write": false,
        "media_types": [STIX],
        "description": "Isolated devices with a stream that is shared with you. They are kept until 30 days after their recovery.",
    })
}

fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(body.to_string().into_bytes());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TAXII));
    answer
}

fn ok(body: &Value) -> Answer {
    answer(StatusCode::OK, body)
}

fn error(Fault(status, title, description): &Fault) -> Answer {
    let status_text = status.as_u16().to_string();
    answer(*status, &json!({ "title": title, "description": description, "http_status": status_text }))
}

/// A version of an object that is asked for.
#[derive(Debug, PartialEq)]
enum Version {
    First,
    Last,
    All,
    At(Timestamp),
}

/// What of a collection is asked for.
#[derive(Debug)]
struct Wanted {
    /// What was added after this, in microseconds.
    after: Option<u64>,
    limit: usize,
    ids: Option<BTreeSet<String>>,
    kinds: Option<BTreeSet<String>>,
    spec_versions: Option<BTreeSet<String>>,
    versions: Vec<Version>,
}

/// Objects in their order, and whether there are more.
struct Page(Vec<Entry>, bool);

impl Wanted {
    fn of(uri: &Uri) -> Result<Self, Fault> {
        let mut wanted = Self {
            after: None,
            limit: PAGE,
            ids: None,
            kinds: None,
            spec_versions: None,
            versions: Vec::new(),
        };
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let list = |names: &mut Option<BTreeSet<String>>| {
                names.get_or_insert_default().extend(value.split(',').map(str::to_owned));
            };
            match &*name {
                "added_after" => {
                    let time: Timestamp = value.parse().map_err(|error| bad(&name, error))?;
                    let after = u64::try_from(time.as_microsecond()).unwrap_or(0);
                    wanted.after = wanted.after.max(Some(after));
                }
                // What an answer says is the time of its last object.
                "next" => {
                    let next = value.parse().map_err(|error| bad(&name, error))?;
                    wanted.after = wanted.after.max(Some(next));
                }
                "limit" => {
                    let limit: usize = value.parse().map_err(|error| bad(&name, error))?;
                    if limit == 0 {
                        return Err(bad(&name, "must be more than 0"));
                    }
                    wanted.limit = limit.min(PAGE);
                }
                "match[id]" => list(&mut wanted.ids),
                "match[type]" => list(&mut wanted.kinds),
                "match[spec_version]" => list(&mut wanted.spec_versions),
                "match[version]" => {
                    for version in value.split(',') {
                        wanted.versions.push(match version {
                            "first" => Version::First,
                            "last" => Version::Last,
                            "all" => Version::All,
                            time => Version::At(time.parse().map_err(|error| bad(&name, error))?),
                        });
                    }
                }
                _ => {}
            }
        }
        if wanted.versions.is_empty() {
            wanted.versions.push(Version::Last);
        }
        Ok(wanted)
    }

    fn page(&self, entries: &[Entry]) -> Page {
        let is_among = |names: &Option<BTreeSet<String>>, name: &str| {
            names.as_ref().is_none_or(|names| names.contains(name))
        };
        let mut ends: BTreeMap<&str, (Timestamp, Timestamp)> = BTreeMap::new();
        for Entry { id, version, .. } in entries {
            let (first, last) = ends.entry(id).or_insert((*version, *version));
            (*first, *last) = ((*first).min(*version), (*last).max(*version));
        }
        let is_version = |entry: &Entry, version: &Version| match version {
            Version::All => true,
            Version::First => ends.get(&*entry.id).is_some_and(|(first, _)| *first == entry.version),
            Version::Last => ends.get(&*entry.id).is_some_and(|(_, last)| *last == entry.version),
            Version::At(time) => entry.version == *time,
        };
        let is_wanted = |entry: &&Entry| {
            is_among(&self.ids, &entry.id)
                && is_among(&self.kinds, &entry.kind)
                && is_among(&self.spec_versions, "2.1")
                && self.after.is_none_or(|after| entry.added > after)
                && self.versions.iter().any(|version| is_version(entry, version))
        };
        let mut wanted: Vec<_> = entries.iter().filter(is_wanted).take(self.limit + 1).cloned().collect();
        let more = wanted.len() > self.limit;
        wanted.truncate(self.limit);
        Page(wanted, more)
    }
}

/// What all answers with a page have in common.
fn paged(Page(entries, more): &Page, name: &str, list: &Value) -> Answer {
    let Some((first, last)) = entries.first().zip(entries.last()) else { return ok(&json!({})) };
    let mut body = json!({ "more": more, name: list });
    if *more {
        body["next"] = last.added.to_string().into();
    }
    let mut answer = ok(&body);
    for (name, entry) in [("x-taxii-date-added-first", first), ("x-taxii-date-added-last", last)] {
        if let Ok(time) = added(entry).parse() {
            answer.headers_mut().insert(name, time);
        }
    }
    answer
}

fn added(entry: &Entry) -> String {
    format!("{:.6}", micros(entry.added))
}

fn envelope(page: &Page) -> Answer {
    let list: Vec<_> = page.0.iter().map(|entry| &entry.object).collect();
    paged(page, "objects", &json!(list))
}

fn manifest(page: &Page) -> Answer {
    let record = |entry: &Entry| {
        json!({
            "id": entry.id, "date_added": added(entry), "version": version(entry), "media_type": STIX,
        })
    };
    let list: Vec<_> = page.0.iter().map(record).collect();
    paged(page, "objects", &json!(list))
}

fn versions(page: &Page) -> Answer {
    let list: Vec<_> = page.0.iter().map(version).collect();
    paged(page, "versions", &json!(list))
}

/// As the object itself has it; when it was added, if it has none.
fn version(entry: &Entry) -> String {
    let has_none = entry.object.get("created").is_none();
    if has_none { added(entry) } else { stix::time(entry.version) }
}
