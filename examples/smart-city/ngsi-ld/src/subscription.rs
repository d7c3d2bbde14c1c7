//! Subscriptions (clauses 5.2.12, 5.8) and notifications (5.3.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use smart_city_requests::Pace;

use crate::{
    api::{NOT_HERE, not_here},
    attribute::{Format, Writer},
    broker::{Change, Job, Of, Transport},
    context::Context,
    entity::{View, value_size},
    mapping::Mapping,
    problem::{Problem, Result},
    query::{self, Effort, Pattern, Place, Query, Selector},
    text,
};

/// Entities in one notification, and those that wait for the next one.
const MOST_DATA: usize = 100;
const MOST_PENDING: usize = 1000;

/// The shortest time between two notifications that are sent without a change.
const SHORTEST_INTERVAL: f64 = 1.0;

/// The longest subscription, without its context.
const LONGEST_BODY: usize = 16 << 10;

/// The longest times.
const LONGEST: f64 = 1e9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trigger {
    EntityCreated,
    EntityUpdated,
    AttributeCreated,
    AttributeUpdated,
}

/// A subscription of a user.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// Of all that ever were: another one may have its id later.
    pub(crate) number: u64,
    pub(crate) user: String,
    /// As it was sent, with names as URIs.
    body: Map<String, Value>,
    context: Context,
    pub(crate) query: Query,
    watched: Option<Vec<String>>,
    triggers: BTreeSet<Trigger>,
    attributes: Option<Vec<String>>,
    format: Format,
    system: bool,
    language: Option<String>,
    transport: Transport,
    is_ld: bool,
    headers: Vec<(String, String)>,
    throttling: Option<Duration>,
    interval: Option<Duration>,
    expires: Option<Timestamp>,
    is_active: bool,
    progress: Progress,
}

/// What became of a subscription so far.
#[derive(Clone, Debug, Default)]
struct Progress {
    sent: u64,
    failed: u64,
    last_notification: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_failure: Option<Timestamp>,
    pending: BTreeSet<String>,
    pace: Pace,
}

/// Members of a subscription that the broker says.
const STATUS: [&str; 3] = ["status", "createdAt", "modifiedAt"];
const NOTIFICATION_STATUS: [&str; 6] =
    ["status", "timesSent", "timesFailed", "lastNotification", "lastSuccess", "lastFailure"];

fn wrong<T>(name: &str) -> Result<T> {
    Err(Problem::bad(format!("{name} is not what it must be")))
}

/// A list of texts that is neither empty nor long.
fn texts<'v>(value: &'v Value, name: &str) -> Result<Vec<&'v str>> {
    let texts: Option<Vec<_>> = value.as_array().and_then(|parts| parts.iter().map(Value::as_str).collect());
    texts.filter(|texts| (1..=64).contains(&texts.len())).map_or_else(|| wrong(name), Ok)
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value.as_str().filter(|text| text.len() <= 4096).map_or_else(|| wrong(name), Ok)
}

fn flag(value: &Value, name: &str) -> Result<bool> {
    value.as_bool().map_or_else(|| wrong(name), Ok)
}

fn object<'v>(value: &'v Value, name: &str) -> Result<&'v Map<String, Value>> {
    value.as_object().map_or_else(|| wrong(name), Ok)
}

fn seconds(value: &Value, least: f64, name: &str) -> Result<Duration> {
    let seconds = value.as_f64().filter(|seconds| (least..=LONGEST).contains(seconds));
    seconds.map_or_else(|| wrong(name), |seconds| Ok(Duration::from_secs_f64(seconds)))
}

pub(crate) fn names(value: &Value, name: &str, context: &Context) -> Result<Vec<String>> {
    texts(value, name)?.into_iter().map(|text| context.expand(text)).collect()
}

/// Selectors of `entities`, which a query by POST has too.
pub(crate) fn selectors(value: &Value, context: &Context) -> Result<Vec<Selector>> {
    let entities = value.as_array().filter(|entities| (1..=64).contains(&entities.len()));
    let Some(entities) = entities else { return wrong("entities") };
    let selector = |value: &Value| {
        let mut selector = Selector::default();
        for (name, value) in object(value, "entities")? {
            match name.as_str() {
                "id" => {
                    let ids = if value.is_array() { texts(value, "id")? } else { vec![text(value, "id")?] };
                    selector.ids =
                        Some(ids.into_iter().map(|id| text::uri(id, "an id")).collect::<Result<_>>()?);
                }
                "idPattern" => selector.id_pattern = Some(Pattern::parse(text(value, "idPattern")?)?),
                "type" => {
                    let types = if value.is_array() {
                        texts(value, "type")?.join(",")
                    } else {
                        text(value, "type")?.to_owned()
                    };
                    selector.types = Some(query::types(&types, context)?);
                }
                name => return Err(Problem::bad(format!("entities has no member {name:?}"))),
            }
        }
        if selector.types.is_none() {
            return Err(Problem::bad("each of the entities needs a type"));
        }
        Ok(selector)
    };
    entities.iter().map(selector).collect()
}

/// A geo-query as an object, which a query by POST has too.
pub(crate) fn place(value: &Value, context: &Context) -> Result<Place> {
    let members = object(value, "geoQ")?;
    let member = |name: &str| text(members.get(name).unwrap_or(&Value::Null), name);
    let parsed;
    let coordinates = match members.get("coordinates") {
        Some(Value::String(text)) => {
            parsed = serde_json::from_str(text).unwrap_or(Value::Null);
            &parsed
        }
        coordinates => coordinates.unwrap_or(&Value::Null),
    };
    let property = members.get("geoproperty").map(|value| text(value, "geoproperty")).transpose()?;
    Place::parse(member("georel")?, member("geometry")?, coordinates, property, context)
}

/// What is checked of a subscription beside what it says itself.
pub(crate) struct Checks<'c> {
    /// Whether notifications may go to this host and port.
    pub(crate) allows: &'c dyn Fn(&str) -> bool,
    /// Whether this user may have notifications at this topic.
    pub(crate) accepts: &'c dyn Fn(&str, &str) -> bool,
    /// What expires before this has expired already.
    pub(crate) now: Timestamp,
}

/// Where a notification of this user may go.
fn endpoint(uri: &str, user: &str, checks: &Checks<'_>) -> Result<Transport> {
    let uri = text::uri(uri, "the endpoint")?;
    let (scheme, rest) = uri.split_once("://").unwrap_or_default();
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    match scheme {
        "http" => {
            let authority = match authority.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
                _ => format!("{authority}:80"),
            };
            if !(checks.allows)(&authority) {
                return Err(Problem::bad(
                    "the operators have not allowed notifications to this host and port",
                ));
            }
            let path = path.split('#').next().unwrap_or_default();
            Ok(Transport::Http {
                authority,
                path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
                tls: None,
            })
        }
        "mqtt" => {
            let topic = path.trim_start_matches('/');
            if topic.contains(['+', '#']) || !(checks.accepts)(user, topic) {
                return Err(Problem::bad("notifications of this user cannot go to this topic"));
            }
            Ok(Transport::Mqtt(topic.to_owned()))
        }
        _ => Err(Problem::unsupported("notifications go over http and mqtt alone")),
    }
}

fn header_fields(value: &Value) -> Result<Vec<(String, String)>> {
    let each = value.as_array().filter(|each| each.len() <= 16);
    let Some(each) = each else { return wrong("receiverInfo") };
    let field = |value: &Value| {
        let (name, value) =
            (value.get("key").and_then(Value::as_str)?, value.get("value").and_then(Value::as_str)?);
        // What frames the message is not the subscriber's.
        let is_framing = [
            "content-length",
            "transfer-encoding",
            "connection",
            "host",
            "upgrade",
            "te",
            "trailer",
            "expect",
        ]
        .contains(&name.to_ascii_lowercase().as_str());
        let name_is_good = http::HeaderName::from_bytes(name.as_bytes()).is_ok() && name.len() <= 128;
        let value_is_good = http::HeaderValue::from_str(value).is_ok() && value.len() <= 1024;
        (!is_framing && name_is_good && value_is_good).then(|| (name.to_owned(), value.to_owned()))
    };
    each.iter().map(field).collect::<Option<_>>().map_or_else(|| wrong("receiverInfo"), Ok)
}

impl Subscription {
    /// Reads a subscription.
    pub(crate) fn parse(
        user: &str,
        body: &Map<String, Value>,
        context: &Context,
        checks: &Checks<'_>,
    ) -> Result<Self> {
        let mut new = Self {
            number: 0,
            user: user.to_owned(),
            body: body.clone(),
            context: context.clone(),
            query: Query::default(),
            watched: None,
            triggers: BTreeSet::from([Trigger::AttributeCreated, Trigger::AttributeUpdated]),
            attributes: None,
            format: Format::Normalized,
            system: false,
            language: None,
            transport: Transport::Mqtt(String::new()),
            is_ld: false,
            headers: Vec::new(),
            throttling: None,
            interval: None,
            expires: None,
            is_active: true,
            progress: Progress::default(),
        };
        for name in STATUS.iter().copied().chain(["@context", "id"]) {
            new.body.remove(name);
        }
        if new.body.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>()
            > LONGEST_BODY
        {
            return Err(Problem::bad("the subscription is too long"));
        }
        let mut has_endpoint = false;
        let mut kind = None;
        for (name, value) in body {
            match name.as_str() {
                "id" | "@context" => {}
                "type" => kind = value.as_str(),
                "subscriptionName" | "description" => drop(text(value, name)?),
                "entities" => new.query.selectors = selectors(value, context)?,
                "watchedAttributes" => new.watched = Some(names(value, name, context)?),
                "q" => new.query.q = Some(query::q(text(value, name)?, context)?),
                "geoQ" => new.query.place = Some(place(value, context)?),
                "notification" => {
                    new.notification(object(value, name)?, checks)?;
                    has_endpoint = true;
                }
                "notificationTrigger" => {
                    let triggers = texts(value, name)?.into_iter().map(|trigger| match trigger {
                        "entityCreated" => Ok(Trigger::EntityCreated),
                        "entityUpdated" => Ok(Trigger::EntityUpdated),
                        "attributeCreated" => Ok(Trigger::AttributeCreated),
                        "attributeUpdated" => Ok(Trigger::AttributeUpdated),
                        "entityDeleted" | "attributeDeleted" => {
                            Err(Problem::unsupported("there are no notifications of what was deleted"))
                        }
                        _ => wrong(name),
                    });
                    new.triggers = triggers.collect::<Result<_>>()?;
                }
                "throttling" => new.throttling = Some(seconds(value, 0.0, name)?),
                "timeInterval" => new.interval = Some(seconds(value, SHORTEST_INTERVAL, name)?),
                "expiresAt" => {
                    let time = value.as_str().and_then(text::time);
                    let Some(time) = time else { return wrong(name) };
                    if time <= checks.now {
                        return Err(Problem::bad("the subscription would have expired already"));
                    }
                    new.expires = Some(time);
                }
                "isActive" => new.is_active = flag(value, name)?,
                "lang" => new.language = Some(text(value, name)?.to_owned()),
                name if STATUS.contains(&name) => {}
                name if NOT_HERE.contains(&name) => return not_here(name),
                name => return Err(Problem::bad(format!("a subscription has no member {name:?}"))),
            }
        }
        if kind != Some("Subscription") {
            return Err(Problem::bad("the type of a subscription is Subscription"));
        }
        if !has_endpoint {
            return Err(Problem::bad("a subscription needs a notification with an endpoint"));
        }
        if new.query.selectors.is_empty() && new.watched.is_none() {
            return Err(Problem::bad("a subscription needs entities or watchedAttributes"));
        }
        if new.interval.is_some() && (new.throttling.is_some() || new.watched.is_some()) {
            return Err(Problem::bad("timeInterval is there without throttling and watchedAttributes"));
        }
        Ok(new)
    }

    fn notification(&mut self, members: &Map<String, Value>, checks: &Checks<'_>) -> Result<()> {
        let mut is_there = false;
        for (name, value) in members {
            match name.as_str() {
                "attributes" => self.attributes = Some(names(value, name, &self.context)?),
                "format" => {
                    self.format = match text(value, name)? {
                        "normalized" => Format::Normalized,
                        "concise" => Format::Concise,
                        "keyValues" | "simplified" => Format::Simplified,
                        _ => return wrong(name),
                    }
                }
                "sysAttrs" => self.system = flag(value, name)?,
                "endpoint" => {
                    is_there = true;
                    for (name, value) in object(value, name)? {
                        match name.as_str() {
                            "uri" => {
                                self.transport = endpoint(text(value, name)?, &self.user, checks)?;
                            }
                            "accept" => {
                                self.is_ld = match text(value, name)? {
                                    "application/ld+json" => true,
                                    "application/json" => false,
                                    _ => {
                                        return Err(Problem::unsupported(
                                            "notifications are JSON or JSON-LD alone",
                                        ));
                                    }
                                }
                            }
                            "receiverInfo" => self.headers = header_fields(value)?,
                            "notifierInfo" | "timeout" | "cooldown" => {}
                            name => return Err(Problem::bad(format!("an endpoint has no member {name:?}"))),
                        }
                    }
                }
                name if NOTIFICATION_STATUS.contains(&name) => {}
                name => return Err(Problem::bad(format!("a notification has no member {name:?}"))),
            }
        }
        match &self.transport {
            Transport::Mqtt(topic) if topic.is_empty() => is_there = false,
            _ => {}
        }
        if is_there { Ok(()) } else { Err(Problem::bad("a notification needs an endpoint with a uri")) }
    }

    /// Takes a fragment over: its members replace those of before, and nothing stands for what is removed.
    pub(crate) fn patched(
        &self,
        fragment: &Map<String, Value>,
        context: &Context,
        checks: &Checks<'_>,
    ) -> Result<Self> {
        let mut body = self.body.clone();
        for (name, value) in fragment {
            if crate::attribute::is_nothing(value) || value.is_null() {
                body.remove(name);
            } else {
                body.insert(name.clone(), value.clone());
            }
        }
        // Names stay what they were, unless the fragment has a context of its own.
        let has_context = fragment.contains_key("@context");
        let context = if has_context { context } else { &self.context };
        if self.expires.is_some_and(|time| time <= checks.now) && !fragment.contains_key("expiresAt") {
            body.remove("expiresAt");
        }
        Self::parse(&self.user, &body, context, checks)
    }

    /// What it is made of again by [`restored`](Self::restored): what became of it since is not in it.
    pub(crate) fn to_record(&self) -> Value {
        json!([self.context.source, self.body])
    }

    /// One that was kept, and checked when it was made.
    pub(crate) fn restored(user: &str, record: &Value) -> Result<Self> {
        let checks = Checks { allows: &|_| true, accepts: &|_, _| true, now: Timestamp::MIN };
        let (context, body) = (&record[0], object(&record[1], "the subscription")?);
        Self::parse(user, body, &Context::parse(context)?, &checks)
    }

    /// Whether it says the same, whatever became of it since.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.body == other.body
    }

    /// One that says something else, and goes on where this one is.
    pub(crate) fn replaced(&self, new: Self) -> Self {
        Self { number: self.number, progress: self.progress.clone(), ..new }
    }

    /// As much memory as it takes, roughly, without what waits.
    pub(crate) fn size(&self) -> usize {
        let body: usize = self.body.iter().map(|(name, value)| name.len() + value_size(value)).sum();
        // What was made of the body takes as much again.
        1024 + 2 * body + self.context.size() + self.query.size()
    }

    fn status(&self, now: Timestamp) -> &'static str {
        if self.expires.is_some_and(|time| time <= now) {
            "expired"
        } else if self.is_active {
            "active"
        } else {
            "paused"
        }
    }

    pub(crate) fn to_json(&self, id: &str, now: Timestamp) -> Value {
        let mut body = self.body.clone();
        body.insert("id".to_owned(), Value::from(id));
        body.insert("isActive".to_owned(), Value::from(self.is_active));
        body.insert("status".to_owned(), Value::from(self.status(now)));
        let progress = &self.progress;
        if let Some(Value::Object(notification)) = body.get_mut("notification") {
            let mut set = |name: &str, value: Option<Value>| match value {
                Some(value) => drop(notification.insert(name.to_owned(), value)),
                None => drop(notification.remove(name)),
            };
            let time = |time: Option<Timestamp>| time.map(text::print).map(Value::from);
            let is_ok = progress.last_failure.is_none_or(|failure| progress.last_success >= Some(failure));
            set("status", Some(Value::from(if is_ok { "ok" } else { "failed" })));
            set("timesSent", (progress.sent > 0).then(|| Value::from(progress.sent)));
            set("timesFailed", (progress.failed > 0).then(|| Value::from(progress.failed)));
            set("lastNotification", time(progress.last_notification));
            set("lastSuccess", time(progress.last_success));
            set("lastFailure", time(progress.last_failure));
        }
        Value::Object(body)
    }

    /// The context that its names are of.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether a change is one that is to be notified. What is new is new for those who see nothing of it elsewhere.
    pub(crate) fn watches(&self, change: &Change, view: &View<'_>) -> bool {
        if !self.is_active || self.interval.is_some() {
            return false;
        }
        let has = |trigger| self.triggers.contains(&trigger);
        let is_new = change.is_new && view.parts.len() == 1;
        let entity = if is_new { Trigger::EntityCreated } else { Trigger::EntityUpdated };
        if has(entity) && self.watched.is_none() {
            return true;
        }
        let is_watched = |iri: &String| self.watched.as_ref().is_none_or(|names| names.contains(iri));
        let is_asked = |iri: &String, is_new: bool| {
            let with_it = view.parts.iter().filter(|part| part.attributes.contains_key(iri)).count();
            let is_new = is_new && with_it == 1;
            has(if is_new { Trigger::AttributeCreated } else { Trigger::AttributeUpdated }) || has(entity)
        };
        change.attributes.iter().any(|(iri, is_new)| is_watched(iri) && is_asked(iri, *is_new))
    }

    /// Notes that an entity is to be notified of.
    pub(crate) fn notice(&mut self, id: &str) {
        if self.progress.pending.len() < MOST_PENDING {
            self.progress.pending.insert(id.to_owned());
        }
    }

    pub(crate) fn is_due(&self, now: Instant, time: Timestamp) -> bool {
        let progress = &self.progress;
        self.status(time) == "active"
            && (self.interval.is_some() || !progress.pending.is_empty())
            && progress.pace.allows(now)
    }

    /// The next notification, if there is something to be told.
    pub(crate) fn job<'v>(
        &mut self,
        id: &str,
        mapping: &Mapping,
        now: Instant,
        time: Timestamp,
        views: impl Fn(&BTreeSet<String>, bool) -> Vec<View<'v>>,
    ) -> Option<Job> {
        let later = self.progress.pending.iter().nth(MOST_DATA).cloned();
        let later = later.map_or_else(BTreeSet::new, |id| self.progress.pending.split_off(&id));
        let pending = std::mem::replace(&mut self.progress.pending, later);
        let writer = Writer {
            context: &self.context,
            format: self.format,
            system: self.system,
            language: self.language.as_deref(),
        };
        let views = views(&pending, self.interval.is_some());
        let effort = Effort::new(query::FOR_NOTIFICATION);
        let selected = views.iter().filter(|view| self.query.selects(view, &effort)).take(MOST_DATA);
        let data: Vec<Value> =
            selected.map(|view| view.to_json(&writer, self.attributes.as_deref())).collect();
        self.progress.pace.not_before = self.interval.and_then(|interval| now.checked_add(interval));
        if data.is_empty() {
            return None;
        }
        // What operators do not allow any more fails.
        if let Transport::Http { authority, .. } = &self.transport
            && !mapping.allows(authority)
        {
            self.done(Err(&pending), now, time);
            return None;
        }
        self.progress.sent += 1;
        self.progress.last_notification = Some(time);
        self.progress.pace.begin();
        if let Some(throttling) = self.throttling {
            self.progress.pace.not_before = now.checked_add(throttling);
        }
        let mut body = json!({
            // The number begins anew with the gateway.
            "id": format!(
                "urn:ngsi-ld:Notification:{}:{}-{}",
                id.trim_start_matches("urn:ngsi-ld:"),
                time.as_millisecond(),
                self.progress.sent
            ),
            "type": "Notification",
            "subscriptionId": id,
            "notifiedAt": text::print(time),
            "data": data,
        });
        let mut headers = BTreeMap::new();
        let media = if self.is_ld { "application/ld+json" } else { "application/json" };
        headers.insert("Content-Type", media.to_owned());
        if self.is_ld {
            body["@context"] = self.context.to_json();
        } else {
            headers.insert("Link", crate::api::link(&self.context));
        }
        let body = match &self.transport {
            Transport::Http { .. } => body.to_string(),
            // Clause 7.2: what would be header fields goes into the message.
            Transport::Mqtt(_) => json!({ "metadata": headers, "body": body }).to_string(),
        };
        let own = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        // The subscriber's own fields do not replace these.
        let given = self
            .headers
            .iter()
            .filter(|(name, _)| !["content-type", "link"].contains(&name.to_ascii_lowercase().as_str()));
        let headers = own.chain(given.cloned()).collect();
        let (user, transport) = (self.user.clone(), self.transport.clone());
        Some(Job {
            of: Of::Subscription(id.to_owned(), self.number),
            entities: pending,
            user,
            transport,
            headers,
            body: body.into_bytes(),
        })
    }

    /// Takes over what became of a notification. If it failed, its entities are to be notified of again.
    pub(crate) fn done(
        &mut self,
        result: std::result::Result<(), &BTreeSet<String>>,
        now: Instant,
        time: Timestamp,
    ) {
        if let Err(entities) = result {
            entities.iter().for_each(|id| self.notice(id));
        }
        let progress = &mut self.progress;
        progress.pace.done(result.is_ok(), now);
        if result.is_ok() {
            progress.last_success = Some(time);
        } else {
            progress.failed += 1;
            progress.last_failure = Some(time);
        }
    }
}
