//! The status page, its events, and what operators ask for.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{BroadcastStream, errors::BroadcastStreamRecvError},
};

use crate::{
    audit,
    config::{Secrets, parse_device_id},
    engine::{Denied, Input},
};

/// What the page may load: nothing but itself and the gateway's answers.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

/// Records of the audit log in one answer.
const AUDIT_LIMIT: usize = 1000;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// Leads to the engine.
    pub engine: mpsc::Sender<Input>,
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

/// The routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status", get(status))
        .route("/events", get(events))
        .route("/keys", get(async |State(app): State<App>| Json(app.jwks)))
        .route("/audit", get(audit_log))
        .route("/devices/{id}/result", get(result))
        .route("/devices/{id}/instructions", post(instruct))
        .route("/devices/{id}/recover", post(recover))
        .with_state(app)
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY)], Html(include_str!("../page/index.html")))
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
}

fn device_id(text: &str) -> Result<smart_city_frame::DeviceId, Refused> {
    parse_device_id(text).ok_or_else(|| Denied::UnknownDevice.into())
}

async fn status(State(app): State<App>) -> Result<Json<Value>, Refused> {
    app.ask(Input::Status).await.map(Json)
}

async fn events(State(app): State<App>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Who cannot keep up, and so has missed something, gets the whole again; at first everybody does.
    let behind = tokio_stream::once(Err(BroadcastStreamRecvError::Lagged(0)));
    let events = behind.chain(BroadcastStream::new(app.events.subscribe())).then(move |event| {
        let app = app.clone();
        async move {
            let (name, data) = match event {
                Ok(event) => event,
                Err(_) => ("snapshot", app.ask(Input::Status).await.unwrap_or_default()),
            };
            Ok(Event::default().event(name).data(data.to_string()))
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
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
    #[serde(default)]
    argument: String,
}

async fn instruct(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(Instruct { region, argument }): Json<Instruct>,
) -> Result<StatusCode, Refused> {
    let operator = app.check_operator(&headers)?;
    let device = device_id(&id)?;
    let argument = argument.into_bytes();
    app.ask(|reply| Input::Instruct { device, region, argument, operator, reply }).await??;
    Ok(StatusCode::ACCEPTED)
}

async fn recover(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let operator = app.check_operator(&headers)?;
    let device = device_id(&id)?;
    app.ask(|reply| Input::Recover { device, operator, reply }).await??;
    Ok(StatusCode::ACCEPTED)
}
