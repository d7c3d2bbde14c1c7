//! Sends notifications and what other brokers get, and waits for nobody: each has its own task, and a user only so many.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Request, StatusCode};
use jiff::Timestamp;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    broker::{Broker, Job, Of, Transport},
    mapping::{MOST_TARGETS, Tls},
    push::{Operation, Outcome},
};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most connections that notifications and pushes have at once: 256 of all users, and one for each other broker.
pub const MOST_CONNECTIONS: usize = 256 + MOST_TARGETS;

/// The longest time between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);

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

/// Posts a job, and waits for the status alone; none if there is no answer.
async fn post(authority: &str, path: &str, tls: Option<&Tls>, job: &Job) -> Option<StatusCode> {
    let mut request = Request::post(path);
    for (name, value) in &job.headers {
        request = request.header(name, value);
    }
    let request = request.body(job.body.clone()).ok()?;
    let answer = smart_city_requests::send(authority, tls.map(|Tls(config)| config), request, 0).await;
    Some(answer.ok()?.status())
}
