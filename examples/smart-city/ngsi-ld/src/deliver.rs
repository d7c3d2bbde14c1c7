//! Sends notifications and what other brokers get, and waits for nobody: each has its own task, and a user only so many.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    broker::{Broker, Job, Of, Transport},
    mapping::{MOST_TARGETS, Tls},
    push::{Operation, Outcome},
};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most connections that notifications and pushes have at once: 256 of all users, and one for each other broker.
pub const MOST_CONNECTIONS: usize = 256 + MOST_TARGETS;

/// How long nothing is sent after the first failure, and at most; each failure in a row doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The longest time between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);

/// When the next one may be sent: one after the other, and after failures later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    is_under_way: bool,
    /// Failures since the last success.
    failures: u32,
    /// Nothing is sent before this.
    pub(crate) not_before: Option<Instant>,
}

impl Pace {
    pub(crate) fn allows(&self, now: Instant) -> bool {
        !self.is_under_way && self.not_before.is_none_or(|not_before| now >= not_before)
    }

    pub(crate) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    pub(crate) fn begin(&mut self) {
        self.is_under_way = true;
    }

    pub(crate) fn done(&mut self, succeeded: bool, now: Instant) {
        self.is_under_way = false;
        if succeeded {
            self.failures = 0;
            return;
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.not_before = self.not_before.max(now.checked_add(pause));
    }
}

impl Broker {
    /// Works and sends until something cannot be kept; returns why. What computes long runs in threads of its own.
    ///
    /// It has so many connections at once, of [`MOST_CONNECTIONS`]; one for users and one for each other broker at least.
    pub async fn run(self: Arc<Self>, connections: usize) -> String {
        let of_users = connections.min(MOST_CONNECTIONS).saturating_sub(MOST_TARGETS);
        let connections = Arc::new(Semaphore::new(of_users.max(1)));
        loop {
            // At the latest then something may be due that had to wait.
            drop(timeout(TICK, self.wake.notified()).await);
            if let Some(why) = self.failure() {
                return why.clone();
            }
            let broker = Arc::clone(&self);
            let jobs = tokio::task::spawn_blocking(move || {
                broker.work();
                broker.due(Instant::now(), Timestamp::now())
            });
            for job in jobs.await.unwrap_or_default() {
                let (broker, connections) = (Arc::clone(&self), Arc::clone(&connections));
                tokio::spawn(async move {
                    let outcome = match &job.transport {
                        Transport::Http { authority, path, tls } => {
                            // Those of users share some. The others, of which operators say how many there are, do not wait for them.
                            let place = match job.of {
                                Of::Subscription(..) => connections.acquire().await.ok(),
                                Of::Push(..) => None,
                            };
                            let sent = timeout(PATIENCE, post(authority, path, tls.as_ref(), &job)).await;
                            drop(place);
                            match sent.ok().flatten() {
                                Some(StatusCode::MULTI_STATUS) => Outcome::Partly,
                                Some(status) if status.is_success() => Outcome::Taken,
                                // Some brokers say so if nothing of what is to be deleted is there.
                                Some(StatusCode::NOT_FOUND)
                                    if matches!(job.of, Of::Push(_, Operation::Delete)) =>
                                {
                                    Outcome::Taken
                                }
                                _ => Outcome::Failed,
                            }
                        }
                        Transport::Mqtt(topic) => {
                            let is_sent = broker.publisher.publish(&job.user, topic, job.body.clone());
                            if is_sent { Outcome::Taken } else { Outcome::Failed }
                        }
                    };
                    // It waits until nobody else writes, which may be as long as the disk takes.
                    let end = move || broker.ended(&job, outcome, Instant::now(), Timestamp::now());
                    drop(tokio::task::spawn_blocking(end).await);
                });
            }
        }
    }
}

/// Posts a job over a connection of its own, and waits for the status alone; none if there is no answer.
async fn post(authority: &str, path: &str, tls: Option<&Tls>, job: &Job) -> Option<StatusCode> {
    let stream = TcpStream::connect(authority).await.ok()?;
    match tls {
        None => post_over(stream, authority, path, job).await,
        Some(Tls(config)) => {
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned()).ok()?;
            let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.ok()?;
            post_over(stream, authority, path, job).await
        }
    }
}

async fn post_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    authority: &str,
    path: &str,
    job: &Job,
) -> Option<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::post(path).header("Host", authority).header("Connection", "close");
    for (name, value) in &job.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(job.body.clone()))).ok()?;
    // Ends with this call, whatever becomes of it.
    let mut running = JoinSet::new();
    running.spawn(connection);
    Some(sender.send_request(request).await.ok()?.status())
}
