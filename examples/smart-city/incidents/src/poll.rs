//! Asks other cities for their incidents (TAXII 2.1), and waits for nobody: each has its own task, and pauses after failures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64ct::{Base64, Encoding as _};
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use smart_city_cities::agreement::Site;
use tokio::time::{sleep, timeout};

use crate::{
    reports::{Job, Read, Reports},
    taxii::{PAGE, TAXII},
};

/// How long another city may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take for all answers that are read one after the other.
const ALL_PAGES: Duration = Duration::from_secs(60);

/// The longest answer that is read.
const MOST_ANSWER: usize = 1 << 20;

/// Objects in an answer, and the length of the name under which it says that there are more.
const MOST_OBJECTS: usize = 1000;
const MOST_NEXT: usize = 256;

/// Objects that are read at once, in answers one after the other; what is behind them is read the next time.
const MOST_READ: usize = 10_000;

/// Objects that are read of one collection.
pub(crate) const MOST_OF_ONE: usize = 100_000;

/// The time between two looks at what is due.
const TICK: Duration = Duration::from_millis(250);

/// What an answer has brought.
struct Page {
    objects: Vec<Value>,
    /// When the last one was added there.
    last: Option<Timestamp>,
    /// There is more, under this name.
    next: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    more: bool,
    next: Option<String>,
    #[serde(default)]
    objects: Vec<Value>,
}

/// Asks as long as the gateway runs.
pub async fn run(reports: Arc<Reports>) {
    loop {
        let settling = Arc::clone(&reports);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || settling.settle(Instant::now())).await {
            tracing::error!("incidents cannot be stored: {error:#}");
        }
        for job in reports.due(Instant::now()) {
            let reports = Arc::clone(&reports);
            tokio::spawn(async move {
                let ended = read(&reports, &job).await.map_err(|error| format!("{error:#}"));
                let why = ended.clone();
                if !reports.done(&job, ended, Instant::now()) {
                    return;
                }
                let city = &job.city;
                match why {
                    Err(why) => tracing::warn!(city, "nothing is heard of incidents: {why}"),
                    Ok(()) => tracing::info!(city, "incidents are heard of again"),
                }
            });
        }
        sleep(TICK).await;
    }
}

/// Reads what is new, and takes it over.
async fn read(reports: &Arc<Reports>, job: &Job) -> Result<()> {
    let mut read = Read::default();
    let ended = timeout(ALL_PAGES, read_pages(job, &mut read)).await;
    let ended = ended.unwrap_or_else(|_| Err(anyhow!("its collection takes too long")));
    // What came before a failure counts.
    let (reports, job) = (Arc::clone(reports), job.clone());
    let taken =
        tokio::task::spawn_blocking(move || reports.take(&job, &read, Timestamp::now(), Instant::now()));
    taken.await??;
    ended
}

pub(crate) async fn read_pages(job: &Job, read: &mut Read) -> Result<()> {
    let mut next = job.walk.next.clone();
    loop {
        let page = timeout(PATIENCE, get(job, next.as_deref())).await;
        let page = page.map_err(|_| anyhow!("it did not answer in time"))??;
        read.add(&job.city, &page.objects);
        read.reaches(page.last, Timestamp::now());
        if page.next.is_none() {
            read.is_to_end = true;
            return Ok(());
        }
        ensure!(!page.objects.is_empty(), "an answer has no objects, and says that there are more");
        ensure!(job.walk.count + read.count <= MOST_OF_ONE, "its collection has too many objects");
        if read.count >= MOST_READ {
            read.next = page.next;
            return Ok(());
        }
        next = page.next;
    }
}

fn query(after: Option<Timestamp>, next: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("match[type]", "incident").append_pair("limit", &PAGE.to_string());
    if let Some(after) = after {
        query.append_pair("added_after", &format!("{after:.6}"));
    }
    if let Some(next) = next {
        query.append_pair("next", next);
    }
    query.finish()
}

async fn get(job: &Job, next: Option<&str>) -> Result<Page> {
    let Site { authority, path, tls } = &job.source.site;
    let query = query(job.after, next);
    let login = Base64::encode_string(format!("{}:{}", job.home, *job.source.token).as_bytes());
    let request = Request::get(format!("{path}/objects/?{query}"))
        .header(header::ACCEPT, TAXII)
        .header(header::AUTHORIZATION, format!("Basic {login}"));
    let answer =
        smart_city_requests::send(authority, tls.as_ref(), request.body(Vec::new())?, MOST_ANSWER).await;
    let answer = answer.map_err(|error| anyhow!(error))?;
    ensure!(answer.status() == StatusCode::OK, "it answered {}", answer.status());
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let kind = header("content-type").unwrap_or_default().to_ascii_lowercase();
    ensure!(kind.starts_with("application/taxii+json"), "its answer is not of TAXII 2.1");
    let last = header("x-taxii-date-added-last").and_then(|time| time.parse().ok());
    let envelope: Envelope =
        serde_json::from_slice(answer.body()).context("its answer is not what it should be")?;
    ensure!(envelope.objects.len() <= MOST_OBJECTS, "its answer has too many objects");
    let next = envelope.next.filter(|next| envelope.more && next.len() <= MOST_NEXT);
    ensure!(next.is_some() == envelope.more, "its answer does not say where there is more");
    Ok(Page { objects: envelope.objects, last, next })
}
