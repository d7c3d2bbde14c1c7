//! The status page, its events, and what operators ask for.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use base64ct::{Base64, Encoding as _};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use smart_city_cities::Counts;
use smart_city_engine::{
    audit,
    config::{Operator, Role, Secret, Secrets, parse_device_id},
    corim,
    engine::{Denied, Guest, Input, Past, Reader, ReferenceValues, Wanted},
    view::{Known, MOST, Page, SharedView},
};
use smart_city_frame::DeviceId;
use smart_city_incidents::Reports;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    task::JoinError,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use zeroize::Zeroizing;

use crate::{
    agent::{Agent, NoCommand},
    cluster::{Cluster, Elsewhere},
    connections::{self, Connection},
    credentials,
    exchange::{Preparation, lock},
    guests::{self, Guests},
    incidents::Incidents,
    metrics::{CONTENT_TYPE, Meters},
    ngsi,
    places::Places,
    random_hex,
    sessions::{LIFE as SESSION, Sessions},
};

/// What the page may load: nothing but its own files and the gateway's answers; no script may make HTML of a text; and no other page
/// may show it as its part.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
     require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its files, each with its media type.
const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/page/page.css", CSS, include_str!("../page/page.css")),
    ("/page/main.js", JAVASCRIPT, include_str!("../page/main.js")),
    ("/page/text.js", JAVASCRIPT, include_str!("../page/text.js")),
    ("/page/list.js", JAVASCRIPT, include_str!("../page/list.js")),
    ("/page/map.js", JAVASCRIPT, include_str!("../page/map.js")),
    ("/page/plots.js", JAVASCRIPT, include_str!("../page/plots.js")),
    ("/page/uplot/uPlot.iife.min.js", JAVASCRIPT, include_str!("../page/uplot/uPlot.iife.min.js")),
    ("/page/uplot/uPlot.min.css", CSS, include_str!("../page/uplot/uPlot.min.css")),
    ("/page/uplot/LICENSE", "text/plain; charset=utf-8", include_str!("../page/uplot/LICENSE")),
];
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// How long a client may take for the head of a request, the first or another one, and the gateway for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The life of a connection: who watches events connects again then.
const LIFE: Duration = Duration::from_secs(600);

/// Devices and flows in an answer, if it is not asked for another number.
const PAGE: usize = 100;

/// The engine works every quarter of a second, or stores something.
const STUCK: Duration = Duration::from_secs(30);

/// How often who watches is told what has changed.
const PACE: Duration = Duration::from_secs(1);

/// Streams of events of one operator; then the oldest ends.
const STREAMS: usize = 8;

/// Records of the audit log in one answer.
const AUDIT_LIMIT: usize = 1000;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// Leads to the engine.
    pub engine: mpsc::Sender<Input>,
    /// Devices that the engine does not know.
    pub agent: Agent,
    /// How things are.
    pub view: SharedView,
    /// The names that a browser may know the gateway by; addresses and `localhost` need not be among them.
    pub names: Arc<[String]>,
    /// Who watches events.
    pub watchers: Arc<Watchers>,
    /// Who has logged in.
    pub sessions: Arc<Sessions>,
    /// Users of other cities.
    pub guests: Arc<Guests>,
    /// Partners who ask for incidents, and what is learned from others.
    pub incidents: Incidents,
    /// Who reads the history.
    pub readers: Places,
    /// Whether connections are with TLS.
    pub is_tls: bool,
    /// The secrets of the moment.
    pub secrets: watch::Receiver<Arc<Secrets>>,
    /// Checks attestation results.
    pub jwks: Value,
    /// What the code of devices is.
    pub reference_values: watch::Receiver<ReferenceValues>,
    /// The audit log.
    pub audit: PathBuf,
    /// What is measured.
    pub meters: Meters,
    /// How far the gateway is with its broker.
    pub prepared: watch::Receiver<Preparation>,
    /// The gateways that share the city, if this is one of several.
    pub cluster: Option<Arc<Cluster>>,
}

/// Who watches events.
#[derive(Debug)]
pub struct Watchers {
    places: Arc<Semaphore>,
    /// The streams there are, the oldest first. One ends when its sender is gone.
    streams: Mutex<VecDeque<(String, mpsc::Sender<Infallible>)>>,
}

impl Watchers {
    /// At most so many streams.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), streams: Mutex::default() }
    }

    /// A place for a stream of an operator, and what ends when the stream shall.
    fn begin(&self, operator: &str) -> Option<(OwnedSemaphorePermit, mpsc::Receiver<Infallible>)> {
        let mut streams = lock(&self.streams);
        streams.retain(|(_, stream)| !stream.is_closed());
        let mut own = streams.iter().enumerate().filter(|(_, (name, _))| name == operator);
        if let Some((oldest, _)) = own.next()
            && own.count() + 1 >= STREAMS
        {
            streams.remove(oldest);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (stream, ends) = mpsc::channel(1);
        streams.push_back((operator.to_owned(), stream));
        Some((place, ends))
    }
}

/// An answer that says what is wrong.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

fn unavailable(why: &str) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::UnknownDevice | Denied::UnknownRegion => StatusCode::NOT_FOUND,
            Denied::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Denied::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Denied::Elsewhere => StatusCode::MISDIRECTED_REQUEST,
            Denied::Isolated | Denied::NotIsolated | Denied::Busy | Denied::NoLink => StatusCode::CONFLICT,
        };
        Self(status, denied.to_string())
    }
}

/// Somebody who may ask.
#[derive(Debug, PartialEq)]
struct Who {
    name: String,
    operator: Operator,
    /// The session, if it was not a token that was shown.
    session: Option<Zeroizing<String>>,
}

/// The routes, and those of `others`.
pub fn router(app: App, others: Router) -> Router {
    let files = FILES.iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(async || ([(header::CONTENT_TYPE, *kind)], *text)))
    });
    files
        .route("/status", get(status))
        .route("/events", get(events))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/session", get(session).post(log_in).delete(log_out))
        .route("/history", get(history))
        .route("/keys", get(async |State(app): State<App>| Json(app.jwks)))
        .route("/reference-values", get(reference_values))
        .route("/audit", get(audit_log))
        .route("/cities", get(cities))
        .route(
            "/cities/{city}/incidents/{incident}/clear",
            post(|app, by, of| decide(app, by, of, Reports::clear)),
        )
        .route(
            "/cities/{city}/incidents/{incident}/restore",
            post(|app, by, of| decide(app, by, of, Reports::restore)),
        )
        .route("/streams", get(streams))
        .route("/streams/{name}", get(flows))
        .route("/devices/{id}", get(device))
        .route("/devices/{id}/result", get(result))
        .route("/devices/{id}/instructions", post(instruct))
        .route("/devices/{id}/examine", post(examine))
        .route("/devices/{id}/recover", post(recover))
        .route("/unauthenticated/{device}/{command}", post(command))
        .with_state(app.clone())
        .merge(others)
        .layer(middleware::from_fn_with_state(app, guard))
}

/// Serves at most so many connections at once, and none that does nothing. A quarter is for those that have shown no credential yet, and
/// one account has at most a quarter of the others.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, connections: usize) {
    let strangers = connections.div_ceil(4);
    let known = connections - strangers;
    connections::serve(listener, strangers, Places::new(known, known.div_ceil(4)), |stream, connection| {
        let (tls, router) = (tls.clone(), router.clone());
        async move {
            match tls {
                None => serve_one(stream, connection, router).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await {
                        serve_one(stream, connection, router).await;
                    }
                }
            }
        }
    })
    .await;
}

async fn serve_one(stream: impl AsyncRead + AsyncWrite + Unpin, connection: Arc<Connection>, router: Router) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&connection));
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    drop(timeout(LIFE, served).await);
}

/// What is common to all answers: the name that was asked for must be the gateway's, so that no other site's page reads them
/// (DNS rebinding); whoever has a credential keeps the connection; and no answer takes for ever.
async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // An operator and a user may have the same name. Those of another city share what one of them has.
    let operator = app.who(request.headers()).map(|who| format!("operator {}", who.name));
    let account = operator.or_else(|| app.user(request.headers()).ok().map(|user| format!("user {user}")));
    let partner = || app.incidents.desk.reader(request.headers()).map(|city| format!("city {city}"));
    let account = account.or_else(partner);
    let token = if account.is_none() { foreign_token(request.headers()) } else { None };
    let guest = match token {
        Some(token) => Some(app.guests.with_token(&token).await),
        None => None,
    };
    let guest_account = guest.as_ref().and_then(|guest| guest.as_ref().ok().map(|guest| places_of(guest)));
    let account = account.or(guest_account);
    if let Some(Ok(guest)) = &guest {
        request.extensions_mut().insert(Arc::clone(guest));
    }
    let connection = request.extensions().get::<Arc<Connection>>();
    if let Some(account) = account {
        connection.map(|connection| connection.let_in(&account));
    } else if request.headers().contains_key(header::AUTHORIZATION) {
        app.meters.refused_login("http", connection.map(|connection| connection.address));
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    // Monitoring may ask by any name how the gateway is, as everybody else may.
    let is_for_all = matches!(request.uri().path(), "/healthz" | "/readyz");
    let is_file = FILES.iter().any(|(path, ..)| *path == request.uri().path());
    // Who may do what may have changed.
    let has_old_files = app.cluster.as_ref().is_some_and(|cluster| !cluster.is_in_force());
    let is_ours = host.is_some_and(|host| {
        let name = host.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || address.parse::<IpAddr>().is_ok() || app.names.iter().any(|own| own == name)
    });
    // A browser says so if it is another site's page that asks for a change.
    let origin = request.headers().get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own_page = origin.is_none_or(|origin| {
        let site = origin.split_once("://").map_or("", |(_, site)| site);
        request.method().is_safe() || request.headers().get(header::HOST).is_some_and(|host| host == site)
    });
    let is_ngsi = request.uri().path().starts_with("/ngsi-ld/");
    let changes_nothing = request.method().is_safe();
    let refused = |status, detail: &str| {
        if is_ngsi {
            ngsi::refused(status, detail)
        } else {
            Refused(status, detail.to_owned()).into_response()
        }
    };
    let mut response = if !is_own_page {
        refused(StatusCode::FORBIDDEN, "another site's page asks for this")
    } else if !is_ours && !is_for_all {
        refused(StatusCode::MISDIRECTED_REQUEST, "this is not a name of the gateway")
    } else if has_old_files && !is_for_all && !is_file {
        refused(StatusCode::SERVICE_UNAVAILABLE, "the gateway does not have the files in force")
    } else if let Ok(response) = timeout(PATIENCE, next.run(request)).await {
        response
    } else if changes_nothing {
        refused(StatusCode::REQUEST_TIMEOUT, "the request took too long")
    } else {
        // Others work on it, and it cannot be taken back.
        let text = "the request took too long: what it asks for may be done nevertheless, so look before you ask again";
        refused(StatusCode::REQUEST_TIMEOUT, text)
    };
    if let Some(guest) = guest
        && response.status() == StatusCode::UNAUTHORIZED
    {
        response = match guest {
            Ok(_) => refused(StatusCode::FORBIDDEN, "this is not for users of other cities"),
            Err(why) => no_guest(why, refused(why.status(), &why.to_string())),
        };
    }
    for (name, value) in [
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, value.parse().unwrap_or(header::HeaderValue::from_static("")));
    }
    response
}

/// What may be a token of another city: those of operators have no such form.
fn foreign_token(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    (token.matches('.').count() == 2).then(|| token.to_owned().into())
}

/// Whose places a guest takes.
pub(crate) fn places_of(guest: &Guest) -> String {
    format!("city {}", guest.user.city)
}

/// Says why a token is refused, as RFC 6750 has it.
fn no_guest(why: guests::Refused, mut response: Response) -> Response {
    let text = format!("Bearer error=\"invalid_token\", error_description=\"{why}\"");
    if why.status() == StatusCode::UNAUTHORIZED
        && let Ok(text) = text.parse()
    {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, text);
    }
    response
}

impl App {
    /// Asks the engine and waits for its answer.
    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Refused> {
        let gone = || unavailable("the gateway is ending");
        let (reply, answer) = oneshot::channel();
        self.engine.send(input(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// Who has this token.
    fn with_token(&self, token: &[u8]) -> Option<Who> {
        let secrets = self.secrets.borrow();
        secrets.operator(token).map(|(name, operator)| Who { name: name.to_owned(), operator, session: None })
    }

    /// Who asks, by a token or by the cookie of a session.
    fn who(&self, headers: &HeaderMap) -> Option<Who> {
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            return given.as_bytes().strip_prefix(b"Bearer ").and_then(|token| self.with_token(token));
        }
        let session = session_id(headers, self.is_tls)?;
        let (name, token) = self.sessions.find(session, Instant::now())?;
        // A session ends with the token that it began with.
        let operator = self.secrets.borrow().operators.get(&name).copied();
        let operator = operator.filter(|operator| operator.token == token)?;
        Some(Who { name, operator, session: Some(session.to_owned().into()) })
    }

    /// Who asks, if this one has at least such a role.
    fn allow(&self, headers: &HeaderMap, least: Role) -> Result<Who, Refused> {
        let who = self.who(headers);
        let who =
            who.ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, "log in, or send a token".to_owned()))?;
        if who.operator.role < least {
            let text = format!("your role does not allow this: it is for {}s", least.name());
            return Err(Refused(StatusCode::FORBIDDEN, text));
        }
        Ok(who)
    }

    /// The user who asks.
    fn user(&self, headers: &HeaderMap) -> Result<String, Refused> {
        let text = "this is for users, with the name and the password of their accounts at the broker";
        credentials::user(headers, &self.secrets.borrow())
            .ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, text.to_owned()))
    }

    /// Whether somebody still has the same token and role, and the session if it was by one.
    fn is_still(&self, who: &Who) -> bool {
        let session = who.session.as_ref();
        self.secrets.borrow().operators.get(&who.name) == Some(&who.operator)
            && session.is_none_or(|id| self.sessions.find(id, Instant::now()).is_some())
    }

    /// Has it in the audit log that a session begins or ends.
    async fn audit_session(&self, operator: String, begins: bool) -> Result<(), Refused> {
        self.ask(|reply| Input::Session { operator, begins, reply }).await
    }

    /// Does what an operator wants of a device, or says which gateway can.
    async fn act_on(
        &self,
        headers: &HeaderMap,
        id: &str,
        input: impl FnOnce(DeviceId, String, oneshot::Sender<Result<(), Denied>>) -> Input,
    ) -> Result<Response, Refused> {
        let operator = self.allow(headers, Role::Operator)?.name;
        let device = device_id(id)?;
        match self.ask(|reply| input(device, operator, reply)).await? {
            Ok(()) => Ok(StatusCode::ACCEPTED.into_response()),
            Err(Denied::Elsewhere) => {
                Ok(self.elsewhere(device).unwrap_or_else(|| Refused::from(Denied::Elsewhere).into_response()))
            }
            Err(denied) => Err(denied.into()),
        }
    }

    /// That another gateway has a device, if so.
    fn elsewhere(&self, device: DeviceId) -> Option<Response> {
        let Elsewhere { gateway, url } = self.cluster.as_ref()?.elsewhere(device)?;
        let body = json!({ "error": Denied::Elsewhere.to_string(), "gateway": gateway, "url": url });
        Some((StatusCode::MISDIRECTED_REQUEST, Json(body)).into_response())
    }
}

/// The name of the cookie. With TLS, browsers take one of this name from this host alone, and over TLS alone.
fn cookie_name(is_tls: bool) -> &'static str {
    if is_tls { "__Host-session" } else { "session" }
}

/// What the cookie of a session says.
fn session_id(headers: &HeaderMap, is_tls: bool) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(is_tls)).map(|(_, id)| id)
}

/// No script reads the cookie, and no request that another site makes has it.
fn set_cookie(id: &str, life: Duration, is_tls: bool) -> [(HeaderName, String); 1] {
    let (seconds, secure) = (life.as_secs(), if is_tls { "; Secure" } else { "" });
    let name = cookie_name(is_tls);
    let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    [(header::SET_COOKIE, cookie)]
}

fn about(who: &Who) -> Json<Value> {
    Json(json!({ "operator": who.name, "role": who.operator.role }))
}

async fn session(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    Ok(about(&app.allow(&headers, Role::Viewer)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    token: Secret,
}

async fn log_in(
    State(app): State<App>,
    connection: Option<Extension<Arc<Connection>>>,
    Json(LogIn { token }): Json<LogIn>,
) -> Result<impl IntoResponse, Refused> {
    let who = app.with_token(token.as_str().as_bytes());
    let who = who.ok_or_else(|| {
        app.meters.refused_login("http", connection.map(|Extension(connection)| connection.address));
        Refused(StatusCode::UNAUTHORIZED, "nobody has this token".to_owned())
    })?;
    let id = random_hex().map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    if !app.sessions.begin(&id, &who.name, who.operator.token, Instant::now()) {
        return Err(Refused(StatusCode::TOO_MANY_REQUESTS, "you have logged in just now".to_owned()));
    }
    app.audit_session(who.name.clone(), true).await?;
    Ok((set_cookie(&id, SESSION, app.is_tls), about(&who)))
}

async fn log_out(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Refused> {
    let who = app.allow(&headers, Role::Viewer)?;
    if session_id(&headers, app.is_tls).is_some_and(|id| app.sessions.end(id, &who.name, Instant::now())) {
        app.audit_session(who.name, false).await?;
    }
    Ok((set_cookie("", Duration::ZERO, app.is_tls), StatusCode::NO_CONTENT))
}

fn device_id(text: &str) -> Result<DeviceId, Refused> {
    parse_device_id(text).ok_or_else(|| Denied::UnknownDevice.into())
}

#[derive(Deserialize)]
struct StatusQuery {
    after: Option<String>,
    #[serde(default)]
    flow: usize,
    limit: Option<usize>,
}

/// Something of the view, made not in a thread that serves connections: the broker's would wait for it.
async fn of_view<T: Send + 'static>(
    app: &App,
    make: impl FnOnce(&SharedView) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let view = app.view.clone();
    tokio::task::spawn_blocking(move || make(&view)).await
}

/// JSON that is a text already.
type JsonText = ([(HeaderName, &'static str); 1], String);

/// An answer with something of the view, for who may look.
async fn look(
    app: &App,
    headers: &HeaderMap,
    make: impl FnOnce(&SharedView) -> Value + Send + 'static,
) -> Result<JsonText, Refused> {
    app.allow(headers, Role::Viewer)?;
    let text = of_view(app, |view| make(view).to_string()).await;
    let text = text.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}

async fn status(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<StatusQuery>,
) -> Result<JsonText, Refused> {
    // Who may not look is told nothing of a wrong id.
    app.allow(&headers, Role::Viewer)?;
    let after = query.after.as_deref().map(device_id).transpose()?;
    let page = Page { after, flow: query.flow, limit: query.limit.unwrap_or(PAGE) };
    let (pushes, cities, incidents) = (app.meters.pushes(), app.meters.cities(), app.incidents.status());
    let cluster = app.cluster.as_ref().map(|cluster| cluster.status());
    let with_others = move |view: &SharedView| {
        let mut value = view.page(page);
        (value["pushes"], value["cities"], value["incidents"]) = (pushes, cities, incidents);
        value["cluster"] = cluster.unwrap_or_default();
        value
    };
    look(&app, &headers, with_others).await
}

async fn streams(State(app): State<App>, headers: HeaderMap) -> Result<JsonText, Refused> {
    look(&app, &headers, SharedView::streams).await
}

async fn flows(
    State(app): State<App>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<JsonText, Refused> {
    look(&app, &headers, move |view| view.flows(&name)).await
}

/// Whether the engine works: if not, it helps to start the gateway anew.
async fn health(State(app): State<App>) -> Result<&'static str, Refused> {
    let is_stuck = app.view.age().is_none_or(|age| age > STUCK);
    if is_stuck { Err(unavailable("the engine is stuck")) } else { Ok("ok\n") }
}

/// Whether messages of devices are worked off.
async fn readiness(State(app): State<App>) -> Result<&'static str, Refused> {
    if app.meters.connected.get() == 0 {
        return Err(unavailable("there is no connection to the broker"));
    }
    if *app.prepared.borrow() != Preparation::Done {
        return Err(unavailable("the broker has not granted the subscriptions, or not made the accounts"));
    }
    if app.cluster.as_ref().is_some_and(|cluster| !cluster.is_ready()) {
        let text = "the gateway does not have the files in force, or nothing comes for some of its shards";
        return Err(unavailable(text));
    }
    health(State(app)).await
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Refused> {
    app.allow(&headers, Role::Viewer)?;
    let text = app.meters.text(&app.view.summary());
    let text = text.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

async fn device(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    app.allow(&headers, Role::Viewer)?;
    let id = device_id(&id)?;
    match app.view.device(id) {
        Some(device) => Ok(Json(json!(device)).into_response()),
        None => app.elsewhere(id).ok_or_else(|| Denied::UnknownDevice.into()),
    }
}

async fn events(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Refused> {
    let who = app.allow(&headers, Role::Viewer)?;
    let (place, mut ends) =
        app.watchers.begin(&who.name).ok_or_else(|| unavailable("too many watch already"))?;
    // What the client does not take is not made: the rest comes in one when it does.
    let (events, received) = mpsc::channel(1);
    tokio::spawn(async move {
        // The place is taken as long as there is a stream.
        let _place = place;
        tokio::select! {
            _ = ends.recv() => {}
            () = events.closed() => {}
            result = tell(&app, &who, &events) => if let Err(error) = result {
                drop(events.try_send(Err(error)));
            },
        }
    });
    Ok(Sse::new(ReceiverStream::new(received)).keep_alive(KeepAlive::default()))
}

/// Tells what has changed, as long as the one who watches may do so.
async fn tell(
    app: &App,
    who: &Who,
    events: &mpsc::Sender<Result<Event, JoinError>>,
) -> Result<(), JoinError> {
    let mut known = Known::default();
    let mut last = String::new();
    while app.is_still(who) {
        let made = of_view(app, move |view| {
            let (value, more, known) = view.changes(known);
            (value.to_string(), more, known)
        });
        let (text, more, now_known) = made.await?;
        known = now_known;
        // If nothing has changed, it is what was said before.
        if text != last {
            // The one who watches may have gone meanwhile, or may watch no more.
            let Ok(place) = events.reserve().await else { break };
            if !app.is_still(who) {
                break;
            }
            place.send(Ok(Event::default().event("changes").data(&text)));
            last = text;
        }
        if !more {
            sleep(PACE).await;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    stream: String,
    device: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: Option<usize>,
}

/// The other cities: what is handed over to each and by it.
async fn cities(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>, Refused> {
    app.allow(&headers, Role::Viewer)?;
    let (mut cities, incidents) = (app.meters.cities(), app.incidents.status());
    for (name, learned) in incidents["learned"].as_object().into_iter().flatten() {
        let city = &mut cities[name];
        if city.is_null() {
            // Nothing is handed over to it or by it.
            *city = json!(Counts::default());
        }
        city["is_partner"] = json!(true);
        city["incidents"] = learned.clone();
    }
    Ok(Json(cities))
}

/// Who may read the history at once: it takes a while.
#[must_use]
pub fn readers() -> Places {
    Places::new(2, 1)
}

/// Readings of before, for a user: with the name and the password of the account at the broker, or the token of another city.
async fn history(
    State(app): State<App>,
    guest: Option<Extension<Arc<Guest>>>,
    headers: HeaderMap,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Value>, Refused> {
    let reader = match guest {
        Some(Extension(guest)) => Reader::Guest(guest),
        None => Reader::User(app.user(&headers)?),
    };
    let wanted = Wanted {
        stream: query.stream,
        device: query.device.as_deref().map(device_id).transpose()?,
        from: query.from.unwrap_or(Timestamp::MIN),
        to: query.to.unwrap_or(Timestamp::MAX),
        limit: query.limit.unwrap_or(PAGE).min(MOST),
    };
    let place = match &reader {
        Reader::User(user) => app.readers.take_unless_own_are_taken(user).await,
        // What others of its city have asked for is not the guest's fault.
        Reader::Guest(guest) => app.readers.take(&places_of(guest)).await,
    };
    let place = place.ok_or_else(|| {
        let text = "your last request for the history is not answered yet";
        Refused(StatusCode::TOO_MANY_REQUESTS, text.to_owned())
    })?;
    let unreadable = |error: anyhow::Error| {
        tracing::error!("the history cannot be read: {error:#}");
        Refused(StatusCode::INTERNAL_SERVER_ERROR, "the history cannot be read".to_owned())
    };
    // No own stream has such a name. Guests of this city get nothing of other ones.
    let (own, foreign) = match reader {
        Reader::User(user) if wanted.stream.contains('/') => {
            (None, app.meters.gate.clone().map(|gate| (gate, user, wanted)))
        }
        reader => {
            let excerpt = app.ask(|reply| Input::History { reader, wanted, reply }).await?;
            (excerpt.map_err(unreadable)?, None)
        }
    };
    let (reply, answer) = oneshot::channel();
    // It goes on if nobody waits for this answer any more, and then ends soon.
    tokio::task::spawn_blocking(move || {
        let is_wanted = || !reply.is_closed();
        let readings = match (own, foreign) {
            (Some(excerpt), _) => excerpt.read(is_wanted),
            (_, Some((gate, user, wanted))) => gate.history(&user, &wanted, Timestamp::now(), is_wanted),
            (None, None) => Ok(Vec::new()),
        };
        drop(place);
        drop(reply.send(readings));
    });
    let readings = answer.await.map_err(anyhow::Error::from).flatten().map_err(unreadable)?;
    let readings = readings.into_iter().map(|Past { about, payload }| {
        let mut value: serde_json::Map<String, Value> =
            about.properties.into_iter().map(|(name, text)| (name, text.into())).collect();
        value.insert("content_type".to_owned(), about.content_type.into());
        value.insert("payload_base64".to_owned(), Base64::encode_string(&payload).into());
        Value::Object(value)
    });
    Ok(Json(readings.collect()))
}

/// For everybody, as the keys are.
async fn reference_values(State(app): State<App>) -> Result<impl IntoResponse, Refused> {
    let values = app.reference_values.borrow().clone();
    let values = values.ok_or_else(|| Refused(StatusCode::NOT_FOUND, "there are no images".to_owned()))?;
    Ok(([(header::CONTENT_TYPE, corim::MEDIA_TYPE)], values.to_vec()))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn audit_log(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<After>,
) -> Result<Json<Value>, Refused> {
    app.allow(&headers, Role::Auditor)?;
    let lines =
        tokio::task::spawn_blocking(move || audit::lines_after(&app.audit, query.after, AUDIT_LIMIT)).await;
    match lines {
        Ok(Ok(lines)) => Ok(Json(json!(lines))),
        _ => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "the audit log cannot be read".to_owned())),
    }
}

async fn result(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    app.allow(&headers, Role::Viewer)?;
    let device = device_id(&id)?;
    if let Some(elsewhere) = app.elsewhere(device) {
        return Ok(elsewhere);
    }
    match app.ask(|reply| Input::Attestation(device, reply)).await? {
        Some(jwt) => Ok(([(header::CONTENT_TYPE, "application/eat+jwt")], jwt).into_response()),
        None => Err(Refused(StatusCode::NOT_FOUND, "there is no result".to_owned())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instruct {
    region: u16,
    /// As text.
    #[serde(default)]
    argument: String,
    /// Or any bytes, in hex.
    argument_hex: Option<String>,
}

async fn instruct(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(Instruct { region, argument, argument_hex }): Json<Instruct>,
) -> Result<Response, Refused> {
    app.allow(&headers, Role::Operator)?;
    device_id(&id)?;
    let wrong = |text: &str| Refused(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    let argument = match argument_hex {
        Some(_) if !argument.is_empty() => {
            return Err(wrong("there is one argument: `argument` or `argument_hex`"));
        }
        Some(digits) => hex::decode(digits).map_err(|_| wrong("`argument_hex` is not hex"))?,
        None => argument.into_bytes(),
    };
    let instruct = |device, operator, reply| Input::Instruct { device, region, argument, operator, reply };
    app.act_on(&headers, &id, instruct).await
}

async fn examine(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    app.act_on(&headers, &id, |device, operator, reply| Input::Examine { device, operator, reply }).await
}

async fn recover(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    app.act_on(&headers, &id, |device, operator, reply| Input::Recover { device, operator, reply }).await
}

/// Has a report of another city count nothing any more, or again.
async fn decide(
    State(app): State<App>,
    headers: HeaderMap,
    Path((city, incident)): Path<(String, String)>,
    how: fn(&Reports, &str, &str, &str) -> anyhow::Result<bool>,
) -> Result<StatusCode, Refused> {
    let operator = app.allow(&headers, Role::Operator)?.name;
    let reports = Arc::clone(&app.incidents.reports);
    let decided = tokio::task::spawn_blocking(move || how(&reports, &city, &incident, &operator)).await;
    let decided = decided.map_err(anyhow::Error::from).flatten();
    let fault = |error: anyhow::Error| Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"));
    if !decided.map_err(fault)? {
        return Err(Refused(StatusCode::NOT_FOUND, "there is no such report of this city".to_owned()));
    }
    Ok(StatusCode::ACCEPTED)
}

/// Commands a device that the engine does not know.
async fn command(
    State(app): State<App>,
    headers: HeaderMap,
    Path((device, command)): Path<(String, String)>,
    Json(value): Json<Value>,
) -> Result<StatusCode, Refused> {
    let operator = app.allow(&headers, Role::Operator)?.name;
    let (topic, payload) = app.agent.command(device, &command, &value).await.map_err(|why| match why {
        NoCommand::Refused(refusal) => Refused(StatusCode::NOT_FOUND, refusal.to_string()),
        NoCommand::TooLong => Denied::TooLong.into(),
        NoCommand::OtherBroker => Refused(
            StatusCode::NOT_IMPLEMENTED,
            "such devices are at the gateway's own broker alone".to_owned(),
        ),
    })?;
    app.ask(|reply| Input::Command { topic, payload, operator, reply }).await??;
    Ok(StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt as _;

    use super::*;

    /// On the example's files, without an engine.
    fn app(engine: mpsc::Sender<Input>) -> App {
        let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
        let city = smart_city_engine::config::City::read(&example.join("city.toml")).unwrap();
        let secrets = Secrets::read(&example.join("secrets.toml"), &city).unwrap();
        App {
            engine,
            agent: Agent::idle(),
            view: SharedView::default(),
            names: Arc::new([]),
            watchers: Arc::new(Watchers::new(2)),
            sessions: Arc::default(),
            guests: Arc::new(Guests::new(
                tokio::runtime::Handle::current(),
                smart_city_login::Pace::default(),
            )),
            // The files stay open until they are dropped.
            incidents: Incidents::open(tempfile::tempdir().unwrap().path()).unwrap(),
            readers: readers(),
            is_tls: false,
            secrets: watch::channel(Arc::new(secrets)).1,
            jwks: Value::Null,
            reference_values: watch::channel(None).1,
            audit: PathBuf::new(),
            meters: Meters::default(),
            prepared: watch::channel(Preparation::Done).1,
            cluster: None,
        }
    }

    /// Each user reads the history once at a time, and two do at once; and a store that cannot be read is no end of the gateway.
    #[tokio::test]
    async fn few_read_the_history_at_once() {
        let (engine, mut inputs) = mpsc::channel(8);
        let app = app(engine);
        let ask = |name: &str| {
            let given = Base64::encode_string(format!("{name}:example-{name}").as_bytes());
            let given = format!("Basic {given}").parse().unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, given)]);
            let stream = "traffic-flow".to_owned();
            let query = HistoryQuery { stream, device: None, from: None, to: None, limit: None };
            tokio::spawn(history(State(app.clone()), None, headers, Query(query)))
        };
        let [hana, ren] = [ask("hana"), ask("ren")];
        let mut replies = Vec::new();
        for _ in 0..2 {
            let Some(Input::History { reply, .. }) = inputs.recv().await else { panic!() };
            replies.push(reply);
        }
        let sora = ask("sora");
        let again = timeout(Duration::from_secs(5), ask("hana")).await.unwrap();
        let Err(Refused(status, _)) = again.unwrap() else { panic!() };
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        sleep(Duration::from_millis(100)).await;
        assert!(inputs.try_recv().is_err(), "sora waits");
        replies.remove(0).send(Err(anyhow::anyhow!("a fault"))).unwrap();
        let Some(Input::History { reply, reader: Reader::User(user), .. }) = inputs.recv().await else {
            panic!()
        };
        assert_eq!(user, "sora");
        reply.send(Ok(None)).unwrap();
        assert_eq!(sora.await.unwrap().ok().unwrap().0, json!([]));
        let Err(Refused(status, _)) = hana.await.unwrap() else { panic!() };
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        // Who does not wait any more has no turn either.
        ren.abort();
        assert!(ren.await.err().unwrap().is_cancelled());
        let again = [ask("ren"), ask("hana")];
        for _ in &again {
            let Some(Input::History { reply, .. }) = inputs.recv().await else { panic!() };
            reply.send(Ok(None)).unwrap();
        }
        for again in again {
            assert_eq!(again.await.unwrap().ok().unwrap().0, json!([]));
        }
    }

    #[tokio::test]
    async fn a_view_that_nobody_renews_is_no_sign_of_health() {
        let (engine, _inputs) = mpsc::channel(1);
        let app = app(engine);
        app.meters.connected.set(1);
        for refused in [health(State(app.clone())).await, readiness(State(app)).await] {
            let Err(Refused(status, why)) = refused else { panic!() };
            assert_eq!((status, why.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the engine is stuck"));
        }
    }

    /// While the engine writes the view, whoever waits for a page of it keeps nobody else waiting.
    #[tokio::test]
    async fn pages_are_made_beside_the_threads_that_serve_connections() {
        let (engine, _inputs) = mpsc::channel(1);
        let app = app(engine);
        for path in ["/status", "/events"] {
            let (view, (locked, is_locked), (release, released)) =
                (app.view.clone(), std::sync::mpsc::channel(), std::sync::mpsc::channel());
            let writer = std::thread::spawn(move || {
                let _guard = view.write();
                locked.send(()).unwrap();
                // Not for ever, if the test waits for it.
                released.recv_timeout(Duration::from_secs(5)).is_ok()
            });
            is_locked.recv().unwrap();
            let state = State(app.clone());
            let token = header::HeaderValue::from_static("Bearer example-viewer-token-0000");
            let viewer = HeaderMap::from_iter([(header::AUTHORIZATION, token)]);
            let (answer, mut answered) = oneshot::channel();
            let asked = tokio::spawn(async move {
                let mut body = match path {
                    "/status" => {
                        let query = StatusQuery { after: None, flow: 0, limit: None };
                        status(state, viewer, Query(query)).await.into_response()
                    }
                    _ => events(state, viewer).await.into_response(),
                }
                .into_body()
                .into_data_stream();
                drop(answer.send(body.next().await.unwrap().unwrap()));
            });
            sleep(Duration::from_millis(100)).await;
            assert!(answered.try_recv().is_err(), "{path}: nobody writes");
            release.send(()).unwrap();
            assert!(writer.join().unwrap(), "{path}: this thread waited for the writer");
            let text = answered.await.unwrap();
            assert!(String::from_utf8_lossy(&text).contains("\"counts\""), "{path}: {text:?}");
            asked.await.unwrap();
        }
    }
}
