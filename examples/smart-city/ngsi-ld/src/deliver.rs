//! Sends notifications, and waits for nobody: each has its own task, and a user only so many.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet, time::timeout};

use crate::broker::{Broker, Job, Transport};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections to receivers at once, of all users.
const CONNECTIONS: usize = 256;

/// The longest time between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);

impl Broker {
    /// Works and sends until something cannot be kept; returns why. What computes long runs in threads of its own.
    pub async fn run(self: Arc<Self>) -> String {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
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
                    let succeeded = match &job.transport {
                        Transport::Http { authority, path } => {
                            let place = connections.acquire().await;
                            let sent = timeout(PATIENCE, post(authority, path, &job)).await;
                            drop(place);
                            sent.ok().flatten().is_some()
                        }
                        Transport::Mqtt(topic) => {
                            broker.publisher.publish(&job.user, topic, job.body.clone())
                        }
                    };
                    broker.done(&job, succeeded, Instant::now(), Timestamp::now());
                });
            }
        }
    }
}

/// Posts a notification over a connection of its own; none if it was not taken.
async fn post(authority: &str, path: &str, job: &Job) -> Option<()> {
    let stream = TcpStream::connect(authority).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::post(path).header("Host", authority).header("Connection", "close");
    for (name, value) in &job.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(job.body.clone()))).ok()?;
    // Ends with this call, whatever becomes of it.
    let mut running = JoinSet::new();
    running.spawn(connection);
    sender.send_request(request).await.ok()?.status().is_success().then_some(())
}
