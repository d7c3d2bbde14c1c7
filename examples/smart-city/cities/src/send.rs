//! Sends what waits for other cities, and waits for nobody: each has its own task, and pauses after failures.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use http::{Request, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;

use crate::{
    agreement::Site,
    gate::{Gate, Job},
    handover::Refusal,
};

/// How long another city may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is read.
const MOST_ANSWER: usize = 16_384;

/// The longest time between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);

/// Where a gateway takes what is handed over.
pub const PATH: &str = "/cities/hand-over";

/// What it is sent as.
pub const CONTENT_TYPE: &str = "application/cbor";

/// What another city answers: how many readings it took, and how many not, by [reason](Refusal::name).
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) taken: u64,
    #[serde(default, deserialize_with = "reasons")]
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

impl Answer {
    /// How many readings it is about. The city has looked at these, and not at what comes after them.
    pub(crate) fn looked_at(&self) -> usize {
        let all = self.refused.values().fold(self.taken, |sum, count| sum.saturating_add(*count));
        all.try_into().unwrap_or(usize::MAX)
    }

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
                gate.done(&job, answer.ok(), Instant::now());
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
    let request = Request::post(format!("{path}{PATH}")).header("Content-Type", CONTENT_TYPE);
    let request = request.body(job.body.clone())?;
    let answer = smart_city_requests::send(authority, tls.as_ref(), request, MOST_ANSWER).await;
    let answer = answer.map_err(|error| anyhow!(error))?;
    ensure!(answer.status() == StatusCode::OK, "it answered {}", answer.status());
    serde_json::from_slice(answer.body()).context("its answer is not what it should be")
}
