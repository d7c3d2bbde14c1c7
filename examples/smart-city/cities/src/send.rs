//! Sends what waits for other cities, and waits for nobody: each has its own task, and pauses after failures.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    agreement::Site,
    gate::{Gate, Job},
    handover::Refusal,
};

/// How long another city may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is read.
const MOST_ANSWER: usize = 16_384;

/// How long nothing is sent after the first failure, and at most; each failure in a row doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The longest time between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);

/// Where a gateway takes what is handed over.
pub const PATH: &str = "/cities/hand-over";

/// What it is sent as.
pub const CONTENT_TYPE: &str = "application/cbor";

/// When the next message may be sent: one after the other, and after failures later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    is_under_way: bool,
    /// Failures since the last success.
    failures: u32,
    not_before: Option<Instant>,
}

impl Pace {
    pub(crate) fn allows(&self, now: Instant) -> bool {
        !self.is_under_way && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    /// Whether the last one failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    pub(crate) fn begin(&mut self) {
        self.is_under_way = true;
    }

    pub(crate) fn done(&mut self, succeeded: bool, now: Instant) {
        self.is_under_way = false;
        if succeeded {
            (self.failures, self.not_before) = (0, None);
            return;
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.not_before = now.checked_add(pause);
    }
}

/// What another city answers: how many readings it took, and how many not, by [reason](Refusal::name).
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) taken: u64,
    #[serde(default, deserialize_with = "reasons")]
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

impl Answer {
    /// No more than there were: what is more is left out.
    pub(crate) fn of_at_most(self, mut left: u64) -> Self {
        let mut counted = |count: u64| {
            let count = count.min(left);
            left -= count;
            count
        };
        let taken = counted(self.taken);
        let refused = self.refused.into_iter().map(|(reason, count)| (reason, counted(count))).collect();
        Self { taken, refused }
    }
}

/// Those that are known here, so that nobody invents more and more.
fn reasons<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<&'static str, u64>, D::Error> {
    let mut known = BTreeMap::<_, u64>::new();
    for (name, count) in BTreeMap::<String, u64>::deserialize(deserializer)? {
        let refusal = Refusal::ALL.iter().find(|refusal| refusal.name() == name);
        let sum = known.entry(refusal.map_or("other", |refusal| refusal.name())).or_default();
        *sum = sum.saturating_add(count);
    }
    Ok(known)
}

/// Sends as long as the gateway runs.
pub async fn run(gate: Arc<Gate>) {
    loop {
        // At the latest then something may be due that had to wait.
        drop(timeout(TICK, gate.wake.notified()).await);
        for to in gate.due(Instant::now()) {
            let sealing = Arc::clone(&gate);
            // It signs and seals.
            let job = tokio::task::spawn_blocking(move || sealing.job(&to, Timestamp::now())).await;
            let Some(job) = job.ok().flatten() else { continue };
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let answer = tokio::select! {
                    answer = timeout(PATIENCE, post(&job)) => answer.unwrap_or_else(|_| Err(anyhow!("it did not answer in time"))),
                    () = forbidden(&gate, &job) => Err(anyhow!("it may not have all of it any more")),
                };
                // Once, and not at each attempt.
                let (city, was_failing) = (&job.to, gate.is_failing(&job.to));
                match &answer {
                    Err(why) if !was_failing => tracing::warn!(city, "nothing is handed over: {why:#}"),
                    Ok(_) if was_failing => tracing::info!(city, "readings are handed over again"),
                    _ => {}
                }
                gate.done(job, answer.ok(), Instant::now());
            });
        }
    }
}

/// Waits until something of a request may not go to its city any more.
async fn forbidden(gate: &Gate, job: &Job) {
    let mut changes = gate.changes.subscribe();
    while gate.may_go(job) {
        // The gate has the other end.
        drop(changes.changed().await);
    }
}

async fn post(job: &Job) -> Result<Answer> {
    let Site { authority, path, tls } = &job.site;
    let path = format!("{path}{PATH}");
    let stream = TcpStream::connect(authority).await?;
    let answer = match tls {
        None => post_over(stream, authority, &path, job).await?,
        Some(config) => {
            let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned())?;
            let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
            post_over(stream, authority, &path, job).await?
        }
    };
    serde_json::from_slice(&answer).context("its answer is not what it should be")
}

async fn post_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    authority: &str,
    path: &str,
    job: &Job,
) -> Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(path).header("Host", authority).header("Connection", "close");
    let request =
        request.header("Content-Type", CONTENT_TYPE).body(Full::new(Bytes::from(job.body.clone())))?;
    // Ends with this call, whatever becomes of it.
    let mut running = JoinSet::new();
    running.spawn(connection);
    let response = sender.send_request(request).await?;
    ensure!(response.status() == StatusCode::OK, "it answered {}", response.status());
    let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
    Ok(body.map_err(|error| anyhow!("its answer: {error}"))?.to_bytes())
}
