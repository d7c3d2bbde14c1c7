//! The status page, its events, and what operators ask for.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Deserialize;
use serde_json::{Value, json};
use smart_city_frame::DeviceId;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot},
    task::JoinError,
    time::{sleep, timeout},
};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{BroadcastStream, errors::BroadcastStreamRecvError},
};

use crate::{
    audit,
    config::{Secrets, parse_device_id},
    engine::{Denied, Input},
    view::{MOST, Page, SharedView},
};

/// What the page may load: nothing but itself and the gateway's answers; and no other page may show it as its part.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How long a client may take for the head of a request, the first or another one, and the gateway for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The life of a connection: who watches events connects again then.
const LIFE: Duration = Duration::from_secs(600);

/// Devices and flows in an answer, if it is not asked for another number.
const PAGE: usize = 100;

/// Records of the audit log in one answer.
const AUDIT_LIMIT: usize = 1000;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// Leads to the engine.
    pub engine: mpsc::Sender<Input>,
    /// How things are.
    pub view: SharedView,
    /// The names that a browser may know the gateway by; addresses and `localhost` need not be among them.
    pub names: Arc<[String]>,
    /// How many may watch events.
    pub watchers: Arc<Semaphore>,
    /// What the engine tells.
    pub events: broadcast::Sender<(&'static str, Value)>,
    /// The secrets of the moment.
    pub secrets: tokio::sync::watch::Receiver<Arc<Secrets>>,
    /// Checks attestation results.
    pub jwks: Value,
    /// The audit log.
    pub audit: PathBuf,
}

/// An answer that says what is wrong.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::UnknownDevice | Denied::UnknownRegion => StatusCode::NOT_FOUND,
            Denied::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Denied::Isolated | Denied::NotIsolated | Denied::Busy | Denied::NoLink => StatusCode::CONFLICT,
        };
        Self(status, denied.to_string())
    }
}

/// The routes, and those of `others`.
pub fn router(app: App, others: Router) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status", get(status))
        .route("/events", get(events))
        .route("/keys", get(async |State(app): State<App>| Json(app.jwks)))
        .route("/audit", get(audit_log))
        .route("/devices/{id}", get(device))
        .route("/devices/{id}/result", get(result))
        .route("/devices/{id}/instructions", post(instruct))
        .route("/devices/{id}/examine", post(examine))
        .route("/devices/{id}/recover", post(recover))
        .with_state(app.clone())
        .merge(others)
        .layer(middleware::from_fn_with_state(app, guard))
}

/// Serves at most so many connections at once, and none that does nothing.
pub async fn serve(listener: TcpListener, router: Router, connections: usize) {
    let places = Arc::new(Semaphore::new(connections));
    loop {
        // Whoever has no place waits unaccepted, and takes no descriptor.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        drop(stream.set_nodelay(true));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let _place: OwnedSemaphorePermit = place;
            drop(timeout(LIFE, connection).await);
        });
    }
}

/// What is common to all answers: the name that was asked for must be the gateway's, so that no other site's page reads them
/// (DNS rebinding); and no answer takes for ever.
async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let is_ours = host.is_some_and(|host| {
        let name = host.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || address.parse::<IpAddr>().is_ok() || app.names.iter().any(|own| own == name)
    });
    let mut response = if !is_ours {
        Refused(StatusCode::MISDIRECTED_REQUEST, "this is not a name of the gateway".to_owned())
            .into_response()
    } else if let Ok(response) = timeout(PATIENCE, next.run(request)).await {
        response
    } else {
        Refused(StatusCode::REQUEST_TIMEOUT, "the request took too long".to_owned()).into_response()
    };
    for (name, value) in [
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, value.parse().unwrap_or(header::HeaderValue::from_static("")));
    }
    response
}

async fn page() -> impl IntoResponse {
    Html(include_str!("../page/index.html"))
}

impl App {
    /// Asks the engine and waits for its answer.
    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Refused> {
        let gone = || Refused(StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending".to_owned());
        let (reply, answer) = oneshot::channel();
        self.engine.send(input(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    /// The name of the operator who asks.
    fn check_operator(&self, headers: &HeaderMap) -> Result<String, Refused> {
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let token = given.and_then(|value| value.strip_prefix(b"Bearer "));
        let secrets = self.secrets.borrow();
        let operator = token.and_then(|token| secrets.operator(token)).map(str::to_owned);
        operator.ok_or_else(|| Refused(StatusCode::UNAUTHORIZED, "this is for operators".to_owned()))
    }

    /// Does what an operator wants of a device.
    async fn act_on(
        &self,
        headers: &HeaderMap,
        id: &str,
        input: impl FnOnce(DeviceId, String, oneshot::Sender<Result<(), Denied>>) -> Input,
    ) -> Result<StatusCode, Refused> {
        let operator = self.check_operator(headers)?;
        let device = device_id(id)?;
        self.ask(|reply| input(device, operator, reply)).await??;
        Ok(StatusCode::ACCEPTED)
    }
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

/// A page of the view, made not in a thread that serves connections: the broker's would wait for it.
async fn text_of(view: SharedView, page: Page) -> Result<String, JoinError> {
    tokio::task::spawn_blocking(move || view.page(page).to_string()).await
}

async fn status(
    State(app): State<App>,
    Query(query): Query<StatusQuery>,
) -> Result<impl IntoResponse, Refused> {
    let after = query.after.as_deref().map(device_id).transpose()?;
    let page = Page { after, flow: query.flow, limit: query.limit.unwrap_or(PAGE) };
    let text = text_of(app.view, page).await;
    let text = text.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}

async fn device(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let device = app.view.device(device_id(&id)?).ok_or(Refused::from(Denied::UnknownDevice))?;
    Ok(Json(json!(device)))
}

async fn events(
    State(app): State<App>,
) -> Result<Sse<impl Stream<Item = Result<Event, JoinError>>>, Refused> {
    let place = Arc::clone(&app.watchers).try_acquire_owned();
    let place =
        place.map_err(|_| Refused(StatusCode::SERVICE_UNAVAILABLE, "too many watch already".to_owned()))?;
    // Who cannot keep up, and so has missed something, gets the whole again; at first everybody does.
    let behind = tokio_stream::once(Err(BroadcastStreamRecvError::Lagged(0)));
    let events = behind.chain(BroadcastStream::new(app.events.subscribe())).then(move |event| {
        // The place is taken as long as there is a stream.
        let _ = &place;
        let view = app.view.clone();
        async move {
            let (name, data) = match event {
                Ok(("reloaded", _)) | Err(_) => {
                    ("snapshot", text_of(view, Page { after: None, flow: 0, limit: MOST }).await?)
                }
                Ok((name, data)) => (name, data.to_string()),
            };
            Ok(Event::default().event(name).data(data))
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
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
    app.check_operator(&headers)?;
    let lines =
        tokio::task::spawn_blocking(move || audit::lines_after(&app.audit, query.after, AUDIT_LIMIT)).await;
    match lines {
        Ok(Ok(lines)) => Ok(Json(json!(lines))),
        _ => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, "the audit log cannot be read".to_owned())),
    }
}

async fn result(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Refused> {
    let device = device_id(&id)?;
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
) -> Result<StatusCode, Refused> {
    let operator = app.check_operator(&headers)?;
    let device = device_id(&id)?;
    let wrong = |text: &str| Refused(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    let argument = match argument_hex {
        Some(_) if !argument.is_empty() => {
            return Err(wrong("there is one argument: `argument` or `argument_hex`"));
        }
        Some(digits) => hex::decode(digits).map_err(|_| wrong("`argument_hex` is not hex"))?,
        None => argument.into_bytes(),
    };
    app.ask(|reply| Input::Instruct { device, region, argument, operator, reply }).await??;
    Ok(StatusCode::ACCEPTED)
}

async fn examine(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    app.act_on(&headers, &id, |device, operator, reply| Input::Examine { device, operator, reply }).await
}

async fn recover(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    app.act_on(&headers, &id, |device, operator, reply| Input::Recover { device, operator, reply }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// While the engine writes the view, whoever waits for a page of it keeps nobody else waiting.
    #[tokio::test]
    async fn pages_are_made_beside_the_threads_that_serve_connections() {
        let (engine, _inputs) = mpsc::channel(1);
        let (told, _) = broadcast::channel(1);
        let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("example");
        let city = crate::config::City::read(&example.join("city.toml")).unwrap();
        let secrets = Secrets::read(&example.join("secrets.toml"), &city).unwrap();
        let app = App {
            engine,
            view: SharedView::default(),
            names: Arc::new([]),
            watchers: Arc::new(Semaphore::new(2)),
            events: told,
            secrets: tokio::sync::watch::channel(Arc::new(secrets)).1,
            jwks: Value::Null,
            audit: PathBuf::new(),
        };
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
            let (answer, mut answered) = oneshot::channel();
            let asked = tokio::spawn(async move {
                let mut body = match path {
                    "/status" => {
                        let query = StatusQuery { after: None, flow: 0, limit: None };
                        status(state, Query(query)).await.into_response()
                    }
                    _ => events(state).await.into_response(),
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
            assert!(String::from_utf8_lossy(&text).contains("next_device"), "{path}: {text:?}");
            asked.await.unwrap();
        }
    }
}
