//! The HTTP binding (clause 6): from a request and its user to an answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::{
    attribute::{Format, Instance, Reader, Writer, dataset, removes, weight},
    broker::{Broker, MOST_SUBSCRIPTIONS, State},
    context::{CORE, Context, SCOPE},
    entity::{Fragment, Origin, Part, View},
    mapping::is_of_a_device,
    problem::{Kind, Problem, Result},
    query::{self, Effort, Pattern, Place, Query, Selector},
    subscription::{self, Checks, Subscription},
    text,
};

/// The longest body of a request. Who reads requests should not take more.
pub const MOST_BODY: usize = 1 << 20;

/// Elements of one answer, if it is not asked for another number, and at most.
const PAGE: usize = 20;
const MOST_PAGE: usize = 1000;

/// Entities of one batch operation.
const MOST_BATCH: usize = 1000;

/// What is not itself in a segment of a path.
const IN_PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?');

/// What queries have in other versions, or with other parts of the specification. To leave it away would be another query.
pub(crate) const NOT_HERE: [&str; 12] = [
    "scopeQ",
    "csf",
    "join",
    "joinLevel",
    "containedBy",
    "entityMap",
    "pick",
    "omit",
    "datasetId",
    "orderBy",
    "temporalQ",
    "jsonldContext",
];

/// The parameters that there are. Any other would be left away, and so would be refused (clause 6.3.20 of later versions).
const HERE: [&str; 20] = [
    "id",
    "type",
    "idPattern",
    "attrs",
    "q",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "options",
    "format",
    "lang",
    "limit",
    "offset",
    "count",
    "details",
    "deleteAll",
    "observedAt",
    "local",
    // Of the deletion of an attribute.
    "datasetId",
];

const JSON: &str = "application/json";
const JSON_LD: &str = "application/ld+json";

/// What is given as the `Link` of an answer that does not have its context in it.
pub(crate) fn link(context: &Context) -> String {
    let url = context.link().unwrap_or(CORE);
    format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"{JSON_LD}\"")
}

/// Names and values.
type Headers = Vec<(&'static str, String)>;

/// An answer before it is written.
struct Answer {
    status: StatusCode,
    body: Option<Value>,
    headers: Headers,
    /// The body is linked data, or a list of it, and gets this context.
    context: Option<Context>,
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self { status, body: None, headers: Vec::new(), context: None }
    }

    fn created(kind: &str, id: &str) -> Self {
        let location = format!("/ngsi-ld/v1/{kind}/{}", utf8_percent_encode(id, IN_PATH));
        Self { headers: vec![("Location", location)], ..Self::empty(StatusCode::CREATED) }
    }

    fn of(context: &Context, body: Value) -> Self {
        Self { body: Some(body), context: Some(context.clone()), ..Self::empty(StatusCode::OK) }
    }

    /// A result that is not linked data.
    fn result(status: StatusCode, body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(status) }
    }

    fn write(mut self, is_ld_wanted: bool) -> Result<Response<Vec<u8>>> {
        let mut media = JSON;
        let text = match (&self.context, &self.body) {
            (Some(context), Some(body)) if is_ld_wanted => {
                media = JSON_LD;
                with_context(body, &context.to_json().to_string())?
            }
            (context, Some(body)) => {
                self.headers.extend(context.as_ref().map(|context| ("Link", link(context))));
                body.to_string()
            }
            (_, None) => String::new(),
        };
        if self.body.is_some() {
            self.headers.push(("Content-Type", media.to_owned()));
        }
        let mut response = Response::new(text.into_bytes());
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            // All of it was checked to be visible ASCII, or made here.
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }
}

/// Linked data, or a list of it, with the context in each element.
fn with_context(body: &Value, context: &str) -> Result<String> {
    let one = |element: &Value| {
        let mut text = element.to_string();
        text.truncate(text.len() - 1);
        let comma = if text.len() > 1 { "," } else { "" };
        format!("{text}{comma}\"@context\":{context}}}")
    };
    let Value::Array(elements) = body else { return Ok(one(body)) };
    if elements.len() * context.len() > MOST_BODY {
        let detail = "the @context is too long to be in so many elements: ask for fewer, or for JSON";
        return Err(Problem::new(Kind::TooManyResults, detail));
    }
    Ok(format!("[{}]", elements.iter().map(one).collect::<Vec<_>>().join(",")))
}

/// How the attributes of a fragment are written to an entity.
#[derive(Clone, Copy, PartialEq)]
enum Writing {
    /// Clause 5.6.2.
    Update,
    /// Clause 5.6.3.
    Append,
    /// Clause 5.6.3, and what is there stays.
    AppendNew,
}

/// The URIs of the attributes that were written, and of those that were not.
type Written = (Vec<String>, Vec<String>);

/// A request, looked at.
struct Call<'r> {
    broker: &'r Broker,
    user: &'r str,
    now: Timestamp,
    path: &'r str,
    headers: &'r HeaderMap,
    parameters: HashMap<String, String>,
    options: BTreeSet<String>,
    body: &'r [u8],
    is_ld_wanted: bool,
}

impl Broker {
    /// Answers a request to a path below `/ngsi-ld/v1` for a user who has proved who it is.
    ///
    /// It can take as long as a query takes: do not call it where others wait.
    pub fn respond(&self, user: &str, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.respond_at(user, request, Timestamp::now())
    }

    /// As [`respond`](Self::respond), at the time `now`.
    pub fn respond_at(&self, user: &str, request: &Request<Vec<u8>>, now: Timestamp) -> Response<Vec<u8>> {
        let answer = accepted(request.headers())
            .and_then(|is_ld_wanted| self.answer(user, request, now, is_ld_wanted)?.write(is_ld_wanted));
        answer.unwrap_or_else(|problem| problem.to_response())
    }

    fn answer(
        &self,
        user: &str,
        request: &Request<Vec<u8>>,
        now: Timestamp,
        is_ld_wanted: bool,
    ) -> Result<Answer> {
        let headers = request.headers();
        if headers.contains_key("NGSILD-Tenant") {
            return Err(Problem::new(Kind::NoMultiTenantSupport, "there is one tenant, without a name"));
        }
        if request.body().len() > MOST_BODY {
            return Err(Problem::new(Kind::InvalidRequest, "the body of the request is too long"));
        }
        let query = request.uri().query().unwrap_or_default();
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Problem::new(
                    Kind::InvalidRequest,
                    format!("the parameter {name:?} is there twice"),
                ));
            }
        }
        let options = parameters.get("options").map(String::as_str).unwrap_or_default();
        let options = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
        let path = request.uri().path();
        let segments: Option<Vec<_>> = path.strip_prefix("/ngsi-ld/v1/").map(|rest| {
            rest.trim_end_matches('/')
                .split('/')
                .map(|part| percent_decode_str(part).decode_utf8_lossy())
                .collect()
        });
        let segments = segments.ok_or_else(Problem::not_found)?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let call = Call {
            broker: self,
            user,
            now,
            path,
            headers,
            parameters,
            options,
            body: request.body(),
            is_ld_wanted,
        };
        call.route(request.method(), &segments)
    }
}

/// Whether JSON-LD is wanted, and not JSON. Of two that are wanted as much it is JSON (clause 6.3.4).
fn accepted(headers: &HeaderMap) -> Result<bool> {
    let Some(accept) = headers.get(header::ACCEPT) else { return Ok(false) };
    let accept = accept.to_str().unwrap_or_default();
    // What names a media type most closely says its weight (RFC 9110, section 12.5.1).
    let weight_of = |media: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let closeness = match parts.next().unwrap_or_default() {
                name if name.eq_ignore_ascii_case(media) => 2,
                "application/*" => 1,
                "*/*" | "" => 0,
                _ => return None,
            };
            Some((closeness, weight(parts)))
        });
        let closest = ranges.max_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        closest.map_or(0.0, |(_, weight)| weight)
    };
    let (json, json_ld) = (weight_of(JSON), weight_of(JSON_LD));
    if json.max(json_ld) <= 0.0 {
        let detail = "there are application/json and application/ld+json";
        return Err(Problem::new(Kind::NotAcceptable, detail));
    }
    Ok(json_ld > json)
}

/// The address of the context in a `Link` field.
fn linked_context(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut found = None;
    for value in headers.get_all(header::LINK) {
        let value =
            value.to_str().map_err(|_| Problem::new(Kind::InvalidRequest, "the Link is not ASCII"))?;
        let mut rest = value.trim();
        while !rest.is_empty() {
            let Some((url, parameters)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
                let detail = "the Link is not of the form <ADDRESS>; rel=...";
                return Err(Problem::new(Kind::InvalidRequest, detail));
            };
            // Between quotation marks a comma ends nothing.
            let mut is_quoted = false;
            let end = parameters.find(|c| {
                is_quoted ^= c == '"';
                c == ',' && !is_quoted
            });
            let (parameters, others) = parameters.split_at(end.unwrap_or(parameters.len()));
            rest = others.trim_start_matches(',').trim_start();
            if parameters.contains("http://www.w3.org/ns/json-ld#context") && found.replace(url).is_some() {
                return Err(Problem::new(Kind::InvalidRequest, "there are two Links to a context"));
            }
        }
    }
    Ok(found)
}

pub(crate) fn not_here<T>(name: &str) -> Result<T> {
    Err(Problem::unsupported(format!("there is no {name} here")))
}

fn no_method(methods: &'static str) -> Result<Answer> {
    Err(Problem::new(Kind::MethodNotAllowed(methods), format!("this resource has {methods}")))
}

impl<'r> Call<'r> {
    fn route(&self, method: &Method, path: &[&str]) -> Result<Answer> {
        let (get, post, patch, put, delete) =
            (Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE);
        if let [
            "temporal"
            | "csourceRegistrations"
            | "csourceSubscriptions"
            | "jsonldContexts"
            | "entityMaps"
            | "info",
            ..,
        ] = path
        {
            return Err(Problem::unsupported(
                "this gateway keeps no history, forwards to no other source, and stores no context",
            ));
        }
        let is_known = |name: &&String| HERE.contains(&name.as_str()) || NOT_HERE.contains(&name.as_str());
        // The first of them, whatever the order of the map is.
        if let Some(name) = self.parameters.keys().filter(|name| !is_known(name)).min() {
            return Err(Problem::new(Kind::InvalidRequest, format!("there is no parameter {name:?}")));
        }
        match path {
            ["entities"] if method == post => self.create_entity(),
            ["entities"] if method == get => self.query_entities(),
            ["entities", id] if method == get => self.retrieve_entity(id),
            ["entities", id] if method == delete => self.delete_entity(id),
            ["entities", id] if method == patch => self.merge_entity(id),
            ["entities", id] if method == put => self.replace_entity(id),
            ["entities", id, "attrs"] if method == post => self.append_attributes(id),
            ["entities", id, "attrs"] if method == patch => self.update_attributes(id),
            ["entities", id, "attrs", name] if method == patch => self.update_attribute(id, name),
            ["entities", id, "attrs", name] if method == put => self.replace_attribute(id, name),
            ["entities", id, "attrs", name] if method == delete => self.delete_attribute(id, name),
            ["entityOperations", operation] if method == post => self.batch(operation),
            ["types"] if method == get => self.types(),
            ["types", name] if method == get => self.type_details(name),
            ["attributes"] if method == get => self.attributes(),
            ["attributes", name] if method == get => self.attribute_details(name),
            ["subscriptions"] if method == post => self.create_subscription(),
            ["subscriptions"] if method == get => self.query_subscriptions(),
            ["subscriptions", id] if method == get => self.retrieve_subscription(id),
            ["subscriptions", id] if method == patch => self.update_subscription(id),
            ["subscriptions", id] if method == delete => self.delete_subscription(id),
            // These are for one entity (clauses 5.6.6, 5.6.17, 5.6.18).
            ["entities"] if [patch, put, delete].contains(method) && self.path.ends_with('/') => {
                Err(Problem::bad("the id of the entity is missing"))
            }
            ["entities" | "subscriptions"] => no_method("GET, POST"),
            ["entities", _] => no_method("GET, PATCH, PUT, DELETE"),
            ["entities", _, "attrs"] => no_method("POST, PATCH"),
            ["entities", _, "attrs", _] => no_method("PATCH, PUT, DELETE"),
            ["entityOperations", _] => no_method("POST"),
            ["subscriptions", _] => no_method("GET, PATCH, DELETE"),
            ["types" | "attributes"] | ["types" | "attributes", _] => no_method("GET"),
            _ => Err(Problem::not_found()),
        }
    }

    // What requests have in common.

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    fn has_option(&self, name: &str) -> bool {
        self.options.contains(name)
    }

    fn is(&self, name: &str) -> Result<bool> {
        match self.parameter(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::bad(format!("{name} is true or false"))),
        }
    }

    /// The context of a request without a body.
    fn context(&self) -> Result<Context> {
        match linked_context(self.headers)? {
            Some(url) => Context::parse(&Value::from(url)),
            None => Ok(Context::core()),
        }
    }

    /// The body, and the context of it if that is not in each of its elements (clause 6.3.5).
    fn json(&self) -> Result<(Value, Option<Context>)> {
        let kind =
            self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_ld = match kind.split(';').next().unwrap_or_default().trim() {
            JSON | "application/merge-patch+json" => false,
            JSON_LD => true,
            _ => {
                let detail =
                    "there are application/json, application/ld+json and application/merge-patch+json";
                return Err(Problem::new(Kind::UnsupportedMediaType, detail));
            }
        };
        let value: Value = serde_json::from_slice(self.body)
            .map_err(|error| Problem::new(Kind::InvalidRequest, format!("the body is not JSON: {error}")))?;
        match (is_ld, linked_context(self.headers)?) {
            (true, Some(_)) => Err(Problem::bad("JSON-LD has its context in the body, and not in a Link")),
            (true, None) => Ok((value, None)),
            (false, _) if value.get("@context").is_some() => Err(context_in_json()),
            (false, Some(url)) => Ok((value, Some(Context::parse(&Value::from(url))?))),
            (false, None) => Ok((value, Some(Context::core()))),
        }
    }

    /// A body that is an object, with its context.
    fn object(&self) -> Result<(Map<String, Value>, Context)> {
        let (value, context) = self.json()?;
        let Value::Object(members) = value else { return Err(Problem::bad("the body is not an object")) };
        let context = context.map_or_else(|| own_context(&members), Ok)?;
        Ok((members, context))
    }

    fn reader<'c>(&self, context: &'c Context) -> Result<Reader<'c>> {
        let time = self
            .parameter("observedAt")
            .map(|time| text::time(time).ok_or_else(|| Problem::bad("observedAt is not a time in UTC")));
        let simplified = self.has_option("keyValues") || self.has_option("simplified");
        Ok(Reader { context, now: self.now, simplified, observed_at: time.transpose()?, merges: false })
    }

    fn writer<'c>(&'c self, context: &'c Context) -> Result<Writer<'c>> {
        let format = match self.parameter("format") {
            None if self.has_option("keyValues") || self.has_option("simplified") => Format::Simplified,
            None if self.has_option("concise") => Format::Concise,
            None | Some("normalized") => Format::Normalized,
            Some("concise") => Format::Concise,
            Some("simplified" | "keyValues") => Format::Simplified,
            Some(_) => return Err(Problem::bad("format is normalized, concise or simplified")),
        };
        for option in &self.options {
            if !["keyValues", "simplified", "concise", "normalized", "sysAttrs", "count"]
                .contains(&option.as_str())
            {
                return Err(Problem::new(
                    Kind::InvalidRequest,
                    format!("there is no option {option:?} here"),
                ));
            }
        }
        Ok(Writer { context, format, system: self.has_option("sysAttrs"), language: self.parameter("lang") })
    }

    /// A context in which names can be given back: that of the request, unless only the body has it and JSON is wanted.
    fn answer_context(&self, context: Context) -> Context {
        if self.is_ld_wanted || context.link().is_some() { context } else { Context::core() }
    }

    fn id(&self, text: &str) -> Result<String> {
        text::uri(text, "the id")
    }

    /// An id of what may be written: entities of devices are made from readings alone.
    fn writable(&self, id: &str) -> Result<String> {
        let id = self.id(id)?;
        if is_of_a_device(&id) {
            return Err(Problem::unsupported(
                "entities of devices are made from what the devices measure, and from nothing else",
            ));
        }
        Ok(id)
    }

    fn check_parameters(&self) -> Result<()> {
        NOT_HERE
            .iter()
            .find(|name| self.parameters.contains_key(**name))
            .map_or(Ok(()), |name| not_here(name))
    }

    /// The attributes that are asked for, as URIs.
    fn attrs(&self, context: &Context) -> Result<Option<Vec<String>>> {
        let Some(names) = self.parameter("attrs") else { return Ok(None) };
        let names: Value = names.split(',').map(Value::from).collect();
        subscription::names(&names, "attrs", context).map(Some)
    }

    /// A page of what there is, by `limit` and `offset`, with the number of all if that is wanted, and links to what is beside it.
    fn page<T>(&self, all: impl Iterator<Item = T>) -> Result<(Vec<T>, Headers)> {
        let number = |name: &str, usual: usize| match self.parameter(name) {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|_| Problem::bad(format!("{name} is not a number"))),
        };
        let (limit, offset) = (number("limit", PAGE)?, number("offset", 0)?);
        let counts = self.is("count")? || self.has_option("count");
        if limit == 0 && !counts {
            return Err(Problem::bad("a limit of 0 is there with count alone"));
        }
        if limit > MOST_PAGE {
            return Err(Problem::new(Kind::TooManyResults, format!("limit is at most {MOST_PAGE}")));
        }
        let (mut page, mut total) = (Vec::new(), 0_usize);
        for element in all {
            if total >= offset && page.len() < limit {
                page.push(element);
            }
            total += 1;
        }
        let mut headers = Vec::new();
        let mut link = |offset: usize, rel: &str| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            let others = self.parameters.iter().filter(|(name, _)| *name != "offset" && *name != "limit");
            query.extend_pairs(others.collect::<BTreeMap<_, _>>());
            let query = query
                .append_pair("limit", &limit.to_string())
                .append_pair("offset", &offset.to_string())
                .finish();
            let path = self.path;
            headers.push(("Link", format!("<{path}?{query}>; rel=\"{rel}\"; type=\"{JSON}\"")));
        };
        if limit > 0 && offset > 0 {
            link(offset.saturating_sub(limit), "prev");
        }
        if limit > 0 && offset.saturating_add(limit) < total {
            link(offset + limit, "next");
        }
        if counts {
            headers.push(("NGSILD-Results-Count", total.to_string()));
        }
        Ok((page, headers))
    }

    // Entities (clauses 5.6.1 to 5.6.6, 5.6.17 to 5.6.19; 5.7.1, 5.7.2).

    fn origin(&self) -> Origin {
        Origin::User(self.user.to_owned())
    }

    fn change<T>(
        &self,
        state: &mut State,
        id: &str,
        edit: impl FnOnce(Option<&View<'_>>, &mut Option<Part>) -> Result<T>,
    ) -> Result<T> {
        state.change(self.broker, self.user, id, edit)
    }

    /// Writes a fragment of an entity that is there into the user's own part. Who has none begins one, with the types of the fragment, or
    /// else of the entity.
    fn write<T>(
        &self,
        state: &mut State,
        id: &str,
        fragment: &Fragment,
        edit: impl FnOnce(&View<'_>, &mut Part) -> Result<T>,
    ) -> Result<T> {
        self.change(state, id, |seen, own| {
            let seen = seen.ok_or_else(Problem::not_found)?;
            let is_new = own.is_none();
            let part = own.get_or_insert_with(|| Part {
                origin: self.origin(),
                types: if fragment.types.is_empty() { owned(seen.types()) } else { BTreeSet::new() },
                scopes: Vec::new(),
                attributes: BTreeMap::new(),
                created: self.now,
                modified: self.now,
                until: None,
            });
            let names_more = !fragment.types.is_subset(&part.types);
            if names_more {
                part.types.extend(fragment.types.iter().cloned());
                part.modified = self.now;
            }
            let result = edit(seen, part)?;
            if is_new && part.attributes.is_empty() && part.scopes.is_empty() && !names_more {
                *own = None;
            }
            Ok(result)
        })
    }

    fn create_entity(&self) -> Result<Answer> {
        let (members, context) = self.object()?;
        let id = self.broker.edit(|state| self.create(state, &members, &context))?;
        Ok(Answer::created("entities", &id))
    }

    fn create(&self, state: &mut State, members: &Map<String, Value>, context: &Context) -> Result<String> {
        let reader = self.reader(context)?;
        let fragment = Fragment::parse(members, &reader)?;
        let id = fragment.id.as_deref().ok_or_else(|| Problem::bad("an entity needs an id"))?;
        let id = self.writable(id)?;
        let part = fragment.part(self.origin(), &reader)?;
        self.change(state, &id, |seen, own| {
            if seen.is_some() {
                return Err(Problem::new(Kind::AlreadyExists, "there is an entity with this id"));
            }
            *own = Some(part);
            Ok(())
        })?;
        Ok(id)
    }

    fn retrieve_entity(&self, id: &str) -> Result<Answer> {
        let id = self.id(id)?;
        self.check_parameters()?;
        let context = self.context()?;
        let writer = self.writer(&context)?;
        let attributes = self.attrs(&context)?;
        let types = self.parameter("type").map(|types| query::types(types, &context)).transpose()?;
        let state = self.broker.state();
        let query = Query {
            selectors: vec![Selector { types, ..Selector::default() }],
            attributes,
            ..Query::default()
        };
        let sight = state.sight(self.broker, self.user);
        let view =
            state.view(&sight, &id).filter(|view| query.selects(view, &Effort::new(query::FOR_REQUEST)));
        let view = view.ok_or_else(Problem::not_found)?;
        Ok(Answer::of(&context, view.to_json(&writer, query.attributes.as_deref())))
    }

    fn query_entities(&self) -> Result<Answer> {
        let context = self.context()?;
        let mut selector = Selector::default();
        if let Some(ids) = self.parameter("id") {
            let ids: Vec<_> = ids.split(',').map(|id| self.id(id)).collect::<Result<_>>()?;
            if ids.len() > MOST_PAGE {
                return Err(Problem::too_complex("the query has too many ids"));
            }
            selector.ids = Some(ids);
        }
        selector.id_pattern = self.parameter("idPattern").map(Pattern::parse).transpose()?;
        // All entities are of here.
        let types = self.parameter("type");
        if types == Some("*") && self.parameter("local") == Some("false") {
            return Err(Problem::bad("the type * is for local alone"));
        }
        let has_types = types.is_some() || self.is("local")?;
        let types = types.filter(|types| *types != "*");
        selector.types = types.map(|types| query::types(types, &context)).transpose()?;
        let place = match self.parameter("georel") {
            None if self.parameter("geometry").is_some() || self.parameter("coordinates").is_some() => {
                return Err(Problem::bad("a geo-query needs georel, geometry and coordinates"));
            }
            None => None,
            Some(georel) => {
                let coordinates = self.parameter("coordinates").unwrap_or_default();
                let coordinates = serde_json::from_str(coordinates)
                    .map_err(|_| Problem::bad("coordinates are a JSON array"))?;
                let geometry = self.parameter("geometry").unwrap_or_default();
                Some(Place::parse(georel, geometry, &coordinates, self.parameter("geoproperty"), &context)?)
            }
        };
        let q = self.parameter("q").map(|q| query::q(q, &context)).transpose()?;
        let query = Query { selectors: vec![selector], attributes: self.attrs(&context)?, q, place };
        self.answer_query(&query, has_types, &context, None)
    }

    fn answer_query(
        &self,
        query: &Query,
        has_types: bool,
        context: &Context,
        language: Option<&str>,
    ) -> Result<Answer> {
        self.check_parameters()?;
        if !has_types && query.attributes.is_none() && query.q.is_none() && query.place.is_none() {
            return Err(Problem::bad("a query needs type, attrs, q or a geo-query"));
        }
        let mut writer = self.writer(context)?;
        writer.language = language.or(writer.language);
        let state = self.broker.state();
        let sight = state.sight(self.broker, self.user);
        let effort = Effort::new(query::FOR_REQUEST);
        let found = state.views(&sight).take_while(|_| !effort.is_spent());
        let (page, headers) = self.page(found.filter(|view| query.selects(view, &effort)))?;
        if effort.is_spent() {
            return Err(Problem::too_complex("the query would take too long"));
        }
        let body = page.iter().map(|view| view.to_json(&writer, query.attributes.as_deref())).collect();
        Ok(Answer { headers, ..Answer::of(context, body) })
    }

    fn delete_entity(&self, id: &str) -> Result<Answer> {
        self.broker.edit(|state| self.delete(state, id))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    fn delete(&self, state: &mut State, id: &str) -> Result<()> {
        let id = self.writable(id)?;
        self.change(state, &id, |seen, own| match (own.take(), seen) {
            (Some(_), _) => Ok(()),
            (None, seen) => Err(seen.map_or_else(Problem::not_found, |_| others_wrote())),
        })
    }

    /// A body that is a fragment of the entity with this id.
    fn fragment(&self, id: &str) -> Result<(String, Fragment, Context)> {
        let id = self.writable(id)?;
        let (members, context) = self.object()?;
        let fragment = Fragment::parse(&members, &self.reader(&context)?)?;
        if fragment.id.as_ref().is_some_and(|own| *own != id) {
            return Err(Problem::bad("the body has another id"));
        }
        Ok((id, fragment, context))
    }

    fn merge_entity(&self, id: &str) -> Result<Answer> {
        let (id, fragment, context) = self.fragment(id)?;
        self.broker.edit(|state| self.merge(state, &id, &fragment, &context))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    fn merge(&self, state: &mut State, id: &str, fragment: &Fragment, context: &Context) -> Result<()> {
        let reader = Reader { merges: true, ..self.reader(context)? };
        self.write(state, id, fragment, |seen, part| {
            for (iri, value) in &fragment.attributes {
                let (removed, rest): (Vec<_>, Vec<_>) =
                    reader.fragments(value)?.iter().partition(|fragment| removes(fragment));
                let removed = removed.into_iter().map(|fragment| dataset(fragment).map(str::to_owned));
                remove_instances(part, seen, iri, removed.collect(), self.now)?;
                for fragment in rest {
                    let instances = part.attributes.entry(iri.clone()).or_default();
                    let is_it = |instance: &&mut Instance| instance.dataset.as_deref() == dataset(fragment);
                    match instances.iter_mut().find(is_it) {
                        Some(instance) => instance.patch(fragment, &reader)?,
                        None => instances.extend(reader.attribute(fragment)?),
                    }
                    part.modified = self.now;
                }
            }
            if let Some(scopes) = &fragment.scopes {
                part.scopes.clone_from(scopes);
                part.modified = self.now;
            }
            Ok(())
        })
    }

    fn replace_entity(&self, id: &str) -> Result<Answer> {
        let (id, fragment, context) = self.fragment(id)?;
        self.broker.edit(|state| self.replace(state, &id, &fragment, &context))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    fn replace(&self, state: &mut State, id: &str, fragment: &Fragment, context: &Context) -> Result<()> {
        let reader = self.reader(context)?;
        self.change(state, id, |seen, own| {
            let seen = seen.ok_or_else(Problem::not_found)?;
            let mut fragment = fragment.clone();
            if fragment.types.is_empty() {
                fragment.types = own.as_ref().map_or_else(|| owned(seen.types()), |part| part.types.clone());
            }
            let new = fragment.part(self.origin(), &reader)?;
            *own = Some(Part { created: own.as_ref().map_or(self.now, |part| part.created), ..new });
            Ok(())
        })
    }

    fn append_attributes(&self, id: &str) -> Result<Answer> {
        let (id, fragment, context) = self.fragment(id)?;
        let written = self.broker.edit(|state| self.append(state, &id, &fragment, &context))?;
        Ok(update_result(&written, "it is there already"))
    }

    fn append(&self, state: &mut State, id: &str, fragment: &Fragment, context: &Context) -> Result<Written> {
        let writing = if self.has_option("noOverwrite") { Writing::AppendNew } else { Writing::Append };
        self.write_attributes(state, id, fragment, context, writing)
    }

    fn update_attributes(&self, id: &str) -> Result<Answer> {
        let (id, fragment, context) = self.fragment(id)?;
        let update = |state: &mut _| self.write_attributes(state, &id, &fragment, &context, Writing::Update);
        Ok(update_result(&self.broker.edit(update)?, "it is not there"))
    }

    fn write_attributes(
        &self,
        state: &mut State,
        id: &str,
        fragment: &Fragment,
        context: &Context,
        writing: Writing,
    ) -> Result<Written> {
        let reader = self.reader(context)?;
        let changes = fragment.attributes.iter().map(|(iri, value)| {
            let (new, removed) = match writing {
                Writing::Update => reader.update(value)?,
                Writing::Append | Writing::AppendNew => (reader.attribute(value)?, Vec::new()),
            };
            Ok((iri, new, removed))
        });
        let changes = changes.collect::<Result<Vec<_>>>()?;
        self.write(state, id, fragment, |seen, part| {
            let (mut updated, mut not) = (Vec::new(), Vec::new());
            for (iri, mut new, removed) in changes {
                let all = new.len();
                if writing == Writing::AppendNew {
                    let old = seen.attribute(iri).unwrap_or_default();
                    new.retain(|new| old.iter().all(|old| old.dataset != new.dataset));
                }
                let list = if new.len() == all { &mut updated } else { &mut not };
                list.push(iri.clone());
                if !new.is_empty() {
                    set_attribute(part, iri, new, self.now);
                }
                remove_instances(part, seen, iri, removed, self.now)?;
            }
            if let Some(scopes) = &fragment.scopes {
                match writing {
                    Writing::Update if seen.parts.iter().all(|part| part.scopes.is_empty()) => {
                        not.push(SCOPE.to_owned());
                        return Ok((updated, not));
                    }
                    Writing::Update | Writing::Append => part.scopes.clone_from(scopes),
                    Writing::AppendNew => {
                        let new = scopes.iter().filter(|scope| !part.scopes.contains(scope));
                        let new = new.cloned().collect::<Vec<_>>();
                        part.scopes.extend(new);
                    }
                }
                part.modified = self.now;
                updated.push(SCOPE.to_owned());
            }
            Ok((updated, not))
        })
    }

    /// Changes the instances of an attribute that the user wrote.
    fn change_attribute(
        &self,
        id: &str,
        iri: &str,
        edit: impl FnOnce(&mut Vec<Instance>) -> Result<bool>,
    ) -> Result<Answer> {
        let edit = |seen: Option<&View<'_>>, own: &mut Option<Part>| {
            let is_there = seen.is_some_and(|seen| seen.attribute(iri).is_some());
            let Some(part) = own.as_mut().filter(|part| part.attributes.contains_key(iri)) else {
                return Err(if is_there { others_wrote() } else { Problem::not_found() });
            };
            let instances = part.attributes.entry(iri.to_owned()).or_default();
            if !edit(instances)? {
                return Err(Problem::not_found());
            }
            if instances.is_empty() {
                part.attributes.remove(iri);
            }
            part.modified = self.now;
            Ok(())
        };
        self.broker.edit(|state| self.change(state, id, edit))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    /// The body of a request about one attribute, without its context.
    fn attribute_body(&self) -> Result<(Value, Context)> {
        match self.json()? {
            (Value::Object(mut members), context) => {
                let context = context.map_or_else(|| own_context(&members), Ok)?;
                members.remove("@context");
                Ok((Value::Object(members), context))
            }
            (value, Some(context)) => Ok((value, context)),
            (_, None) => Err(Problem::bad("the body is not an object")),
        }
    }

    /// The URI of an attribute that a request changes.
    fn changeable(name: &str, context: &Context) -> Result<String> {
        let iri = context.expand(name)?;
        if iri == SCOPE { Err(Problem::bad("the scope is changed with the entity")) } else { Ok(iri) }
    }

    fn update_attribute(&self, id: &str, name: &str) -> Result<Answer> {
        let id = self.writable(id)?;
        let (fragment, context) = self.attribute_body()?;
        let (iri, reader) = (Self::changeable(name, &context)?, self.reader(&context)?);
        if fragment.as_object().is_some_and(Map::is_empty) {
            return Err(Problem::bad("the fragment says nothing"));
        }
        self.change_attribute(&id, &iri, |instances| {
            let is_it = |instance: &Instance| instance.dataset.as_deref() == dataset(&fragment);
            let Some(at) = instances.iter().position(is_it) else { return Ok(false) };
            if removes(&fragment) {
                instances.remove(at);
            } else {
                instances[at].patch(&fragment, &reader)?;
            }
            Ok(true)
        })
    }

    fn replace_attribute(&self, id: &str, name: &str) -> Result<Answer> {
        let id = self.writable(id)?;
        let (fragment, context) = self.attribute_body()?;
        let (iri, reader) = (Self::changeable(name, &context)?, self.reader(&context)?);
        let new = reader.attribute(&fragment)?;
        self.change_attribute(&id, &iri, |instances| {
            let mut is_there = false;
            for new in &new {
                if let Some(old) = instances.iter_mut().find(|old| old.dataset == new.dataset) {
                    *old = Instance { created: old.created, ..new.clone() };
                    is_there = true;
                }
            }
            Ok(is_there)
        })
    }

    fn delete_scopes(&self, id: &str) -> Result<Answer> {
        let edit = |seen: Option<&View<'_>>, own: &mut Option<Part>| {
            let is_there = seen.is_some_and(|seen| seen.parts.iter().any(|part| !part.scopes.is_empty()));
            let Some(part) = own.as_mut().filter(|part| !part.scopes.is_empty()) else {
                return Err(if is_there { others_wrote() } else { Problem::not_found() });
            };
            part.scopes.clear();
            part.modified = self.now;
            Ok(())
        };
        self.broker.edit(|state| self.change(state, id, edit))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    fn delete_attribute(&self, id: &str, name: &str) -> Result<Answer> {
        let id = self.writable(id)?;
        let iri = self.context()?.expand(name)?;
        if iri == SCOPE {
            return self.delete_scopes(&id);
        }
        let all = self.is("deleteAll")?;
        let dataset =
            self.parameter("datasetId").map(|dataset| text::uri(dataset, "datasetId")).transpose()?;
        self.change_attribute(&id, &iri, |instances| {
            let before = instances.len();
            instances.retain(|instance| !all && instance.dataset != dataset);
            Ok(instances.len() < before)
        })
    }

    // Batch operations (clauses 5.6.7 to 5.6.10, 5.6.20), and the query by POST.

    fn batch(&self, operation: &str) -> Result<Answer> {
        if !["create", "upsert", "update", "merge", "delete", "query"].contains(&operation) {
            return Err(Problem::not_found());
        }
        if operation == "query" {
            return self.query_by_post();
        }
        let (value, context) = self.json()?;
        let elements = value.as_array().filter(|elements| !elements.is_empty());
        let elements = elements.ok_or_else(|| Problem::bad("a batch is a list that is not empty"))?;
        if elements.len() > MOST_BATCH {
            return Err(Problem::bad(format!("a batch has at most {MOST_BATCH} elements")));
        }
        if elements.iter().any(Value::is_null) {
            return Err(Problem::bad("an element of the batch is null"));
        }
        let (mut done, mut created, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        // All of it is kept at once: each for itself would take its time.
        self.broker.edit(|state| {
            for element in elements {
                let id = if operation == "delete" {
                    element.as_str()
                } else {
                    element.get("id").and_then(Value::as_str)
                };
                let id = id.unwrap_or_default();
                let result = match (operation, element) {
                    ("delete", _) => self.delete(state, id).map(|()| false),
                    (_, Value::Object(members)) => {
                        self.batch_element(state, operation, members, context.as_ref())
                    }
                    _ => Err(Problem::bad("an element of the batch is not an entity")),
                };
                match result {
                    Ok(is_new) => {
                        done.push(id);
                        if is_new {
                            created.push(id);
                        }
                    }
                    Err(problem) => errors.push(json!({ "entityId": id, "error": problem.to_json() })),
                }
            }
            Ok(())
        })?;
        if !errors.is_empty() {
            return Ok(Answer::result(
                StatusCode::MULTI_STATUS,
                json!({ "success": done, "errors": errors }),
            ));
        }
        if created.is_empty() {
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
        Ok(Answer::result(StatusCode::CREATED, json!(created)))
    }

    /// Does one of a batch; returns whether the entity is new.
    fn batch_element(
        &self,
        state: &mut State,
        operation: &str,
        members: &Map<String, Value>,
        context: Option<&Context>,
    ) -> Result<bool> {
        let own;
        let context = match context {
            Some(_) if members.contains_key("@context") => return Err(context_in_json()),
            Some(context) => context,
            None => {
                own = own_context(members)?;
                &own
            }
        };
        if operation == "create" {
            return self.create(state, members, context).map(|_| true);
        }
        let fragment = Fragment::parse(members, &self.reader(context)?)?;
        let id = fragment.id.as_deref().ok_or_else(|| Problem::bad("an entity needs an id"))?;
        let id = self.writable(id)?;
        let is_there = state.view(&state.sight(self.broker, self.user), &id).is_some();
        match operation {
            "upsert" if !is_there => return self.create(state, members, context).map(|_| true),
            "upsert" if !self.has_option("update") => self.replace(state, &id, &fragment, context)?,
            "merge" => self.merge(state, &id, &fragment, context)?,
            _ => {
                let (_, not) = self.append(state, &id, &fragment, context)?;
                if let Some(iri) = not.first() {
                    return Err(Problem::bad(format!("not written, as it is there already: {iri}")));
                }
            }
        }
        Ok(false)
    }

    fn query_by_post(&self) -> Result<Answer> {
        let (members, context) = self.object()?;
        let (mut query, mut language) = (Query::default(), None);
        for (name, value) in &members {
            let text =
                || value.as_str().ok_or_else(|| Problem::bad(format!("{name} of the query is not a text")));
            match name.as_str() {
                "type" if value == "Query" => {}
                "@context" => {}
                "lang" => language = Some(text()?),
                "entities" => query.selectors = subscription::selectors(value, &context)?,
                "attrs" => query.attributes = Some(subscription::names(value, name, &context)?),
                "q" => query.q = Some(query::q(text()?, &context)?),
                "geoQ" => query.place = Some(subscription::place(value, &context)?),
                name if NOT_HERE.contains(&name) => return not_here(name),
                name => return Err(Problem::bad(format!("a query has no member {name:?}"))),
            }
        }
        if !members.contains_key("type") {
            return Err(Problem::bad("the type of a query is Query"));
        }
        let context = self.answer_context(context);
        self.answer_query(&query, !query.selectors.is_empty(), &context, language)
    }

    // Types and attributes (clauses 5.7.5 to 5.7.10).

    fn types(&self) -> Result<Answer> {
        let words = ["EntityTypeList", "typeList", "EntityType", "typeName", "attributeNames"];
        self.list(words, |view| view.types(), |view| view.names())
    }

    fn attributes(&self) -> Result<Answer> {
        let words = ["AttributeList", "attributeList", "Attribute", "attributeName", "typeNames"];
        self.list(words, |view| view.names(), |view| view.types())
    }

    /// All that the entities have of the one, with details each with what there is of the other beside it.
    fn list(
        &self,
        [list, member, kind, name, others]: [&str; 5],
        of: for<'a> fn(&View<'a>) -> BTreeSet<&'a str>,
        beside: for<'a> fn(&View<'a>) -> BTreeSet<&'a str>,
    ) -> Result<Answer> {
        let context = self.context()?;
        let state = self.broker.state();
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for view in state.views(&state.sight(self.broker, self.user)) {
            for iri in of(&view) {
                all.entry(iri).or_default().extend(beside(&view));
            }
        }
        if !self.is("details")? {
            let names: Vec<_> = all.keys().map(|iri| context.compact(iri)).collect();
            let id = format!("urn:ngsi-ld:{list}:all");
            return Ok(Answer::of(&context, json!({ "id": id, "type": list, member: names })));
        }
        let each = all.iter().map(|(iri, beside)| {
            let beside: Vec<_> = beside.iter().map(|iri| context.compact(iri)).collect();
            json!({ "id": iri, "type": kind, name: context.compact(iri), others: beside })
        });
        Ok(Answer::of(&context, each.collect()))
    }

    fn type_details(&self, name: &str) -> Result<Answer> {
        let context = self.context()?;
        let iri = context.expand(name)?;
        let state = self.broker.state();
        let mut count = 0;
        let mut attributes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for view in state.views(&state.sight(self.broker, self.user)).filter(|view| view.has_type(&iri)) {
            count += 1;
            for name in view.names() {
                attributes.entry(name).or_default().extend(kinds(&view, name));
            }
        }
        if count == 0 {
            return Err(Problem::not_found());
        }
        let details: Vec<_> = attributes
            .iter()
            .map(|(iri, kinds)| json!({ "id": iri, "type": "Attribute", "attributeName": context.compact(iri), "attributeTypes": kinds }))
            .collect();
        let body = json!({
            "id": iri, "type": "EntityTypeInfo", "typeName": context.compact(&iri), "entityCount": count, "attributeDetails": details
        });
        Ok(Answer::of(&context, body))
    }

    fn attribute_details(&self, name: &str) -> Result<Answer> {
        let context = self.context()?;
        let iri = context.expand(name)?;
        let state = self.broker.state();
        let (mut count, mut types, mut all_kinds) = (0, BTreeSet::new(), BTreeSet::new());
        for view in state.views(&state.sight(self.broker, self.user)) {
            if let Some(instances) = view.attribute(&iri) {
                count += instances.len();
                types.extend(view.types().into_iter().map(|iri| context.compact(iri)));
                all_kinds.extend(kinds(&view, &iri));
            }
        }
        if count == 0 {
            return Err(Problem::not_found());
        }
        let body = json!({
            "id": iri, "type": "Attribute", "attributeName": context.compact(&iri), "attributeCount": count,
            "typeNames": types, "attributeTypes": all_kinds
        });
        Ok(Answer::of(&context, body))
    }

    // Subscriptions (clause 5.8). Each is there for its user alone.

    /// Reads a subscription, or a part of one, with what is to be checked of it now.
    fn checked<T>(&self, read: impl FnOnce(&Checks<'_>) -> Result<T>) -> Result<T> {
        let mapping = self.broker.mapping();
        read(&Checks {
            allows: &|endpoint| mapping.allows(endpoint),
            accepts: &|user, topic| self.broker.publisher.accepts(user, topic),
            now: self.now,
        })
    }

    fn create_subscription(&self) -> Result<Answer> {
        let (members, context) = self.object()?;
        let subscription =
            self.checked(|checks| Subscription::parse(self.user, &members, &context, checks))?;
        let given = match members.get("id") {
            Some(id) => Some(self.id(id.as_str().unwrap_or_default())?),
            None => None,
        };
        let id = self.broker.edit(|state| {
            state.check_user(self.user)?;
            let own = state.subscriptions.keys().filter(|(user, _)| user == self.user).count();
            if own >= MOST_SUBSCRIPTIONS {
                let detail = format!("a user has at most {MOST_SUBSCRIPTIONS} subscriptions");
                return Err(Problem::new(Kind::NoRoom, detail));
            }
            let id = given.unwrap_or_else(|| state.next_subscription(self.user));
            let key = (self.user.to_owned(), id.clone());
            if state.subscriptions.contains_key(&key) {
                return Err(Problem::new(Kind::AlreadyExists, "there is a subscription with this id"));
            }
            state.put_subscription(key, subscription)?;
            Ok(id)
        })?;
        Ok(Answer::created("subscriptions", &id))
    }

    fn key(&self, id: &str) -> Result<(String, String)> {
        Ok((self.user.to_owned(), self.id(id)?))
    }

    fn query_subscriptions(&self) -> Result<Answer> {
        let context = self.context()?;
        let state = self.broker.state();
        let own = state.subscriptions.iter().filter(|((user, _), _)| user == self.user);
        let (page, headers) =
            self.page(own.map(|((_, id), subscription)| subscription.to_json(id, self.now)))?;
        Ok(Answer { headers, ..Answer::of(&context, Value::Array(page)) })
    }

    fn retrieve_subscription(&self, id: &str) -> Result<Answer> {
        let key = self.key(id)?;
        let state = self.broker.state();
        let subscription = state.subscriptions.get(&key).ok_or_else(Problem::not_found)?;
        Ok(Answer::of(subscription.context(), subscription.to_json(&key.1, self.now)))
    }

    fn update_subscription(&self, id: &str) -> Result<Answer> {
        let key = self.key(id)?;
        let (members, context) = self.object()?;
        if members.get("id").is_some_and(|own| own.as_str() != Some(id)) {
            return Err(Problem::bad("the body has another id"));
        }
        loop {
            // Patterns are compiled while nobody waits.
            let before = self.broker.state().subscriptions.get(&key).cloned();
            let before = before.ok_or_else(Problem::not_found)?;
            let after = self.checked(|checks| before.patched(&members, &context, checks))?;
            let is_done = self.broker.edit(|state| {
                let subscription = state.subscriptions.get(&key).ok_or_else(Problem::not_found)?;
                if !subscription.is_same(&before) {
                    return Ok(false);
                }
                let after = subscription.replaced(after);
                state.put_subscription(key.clone(), after).map(|()| true)
            })?;
            if is_done {
                return Ok(Answer::empty(StatusCode::NO_CONTENT));
            }
        }
    }

    fn delete_subscription(&self, id: &str) -> Result<Answer> {
        let key = self.key(id)?;
        self.broker.edit(|state| state.remove_subscription(&key))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }
}

/// The context of linked data.
fn own_context(members: &Map<String, Value>) -> Result<Context> {
    let context =
        members.get("@context").ok_or_else(|| Problem::bad("JSON-LD has its @context in the body"))?;
    Context::parse(context)
}

fn context_in_json() -> Problem {
    Problem::bad("an @context in the body makes it application/ld+json")
}

fn owned(names: BTreeSet<&str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Who writes writes its own part. What others wrote is as it is.
fn others_wrote() -> Problem {
    Problem::unsupported("others wrote this, and they alone change or delete what they wrote")
}

fn kinds(view: &View<'_>, iri: &str) -> BTreeSet<&'static str> {
    view.attribute(iri).into_iter().flatten().map(|instance| instance.kind.name()).collect()
}

/// Instances with another `datasetId` stay.
fn set_attribute(part: &mut Part, iri: &str, new: Vec<Instance>, now: Timestamp) {
    part.modified = now;
    let instances = part.attributes.entry(iri.to_owned()).or_default();
    for mut new in new {
        match instances.iter_mut().find(|old| old.dataset == new.dataset) {
            Some(old) => {
                new.created = old.created;
                *old = new;
            }
            None => instances.push(new),
        }
    }
}

/// Takes instances out of the user's own part. Those that are not there are gone already.
fn remove_instances(
    part: &mut Part,
    seen: &View<'_>,
    iri: &str,
    removed: Vec<Option<String>>,
    now: Timestamp,
) -> Result<()> {
    for dataset in removed {
        let is_it = |instance: &Instance| instance.dataset == dataset;
        let own = part.attributes.get_mut(iri);
        let at = own.as_ref().and_then(|own| own.iter().position(is_it));
        match (own, at) {
            (Some(own), Some(at)) => {
                own.remove(at);
                part.modified = now;
            }
            _ if seen.attribute(iri).is_some_and(|all| all.iter().any(is_it)) => return Err(others_wrote()),
            _ => {}
        }
    }
    if part.attributes.get(iri).is_some_and(Vec::is_empty) {
        part.attributes.remove(iri);
    }
    Ok(())
}

/// Names are URIs, as there is no context (clause 6.3.6).
fn update_result((updated, not): &Written, reason: &str) -> Answer {
    if not.is_empty() {
        return Answer::empty(StatusCode::NO_CONTENT);
    }
    let not: Vec<_> = not.iter().map(|iri| json!({ "attributeName": iri, "reason": reason })).collect();
    Answer::result(StatusCode::MULTI_STATUS, json!({ "updated": updated, "notUpdated": not }))
}
