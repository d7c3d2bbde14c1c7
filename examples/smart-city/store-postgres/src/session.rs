//! A connection for threads that wait: made anew when it has ended, with a time limit for everything.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result};
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::{error::Elapsed, sleep, timeout},
};
use tokio_postgres::Client;

use crate::Database;

/// The first pause before another try, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

#[derive(Debug)]
pub(crate) struct Session {
    /// Always there until it is dropped.
    runtime: Option<Runtime>,
    pub(crate) database: Database,
    client: Option<Client>,
}

impl Session {
    pub(crate) fn new(database: Database) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime: Some(runtime), database, client: None })
    }

    /// Does `work`, which may be done in part or as a whole before it is done again: over another connection, if the database was away.
    #[expect(clippy::needless_pass_by_value, reason = "it is written where this is called")]
    pub(crate) fn run<T>(&mut self, work: impl AsyncFn(&Client) -> Result<T>) -> Result<T> {
        let Self { runtime, database, client } = self;
        let runtime = runtime.as_ref().context("the session has ended")?;
        let (attempt, patience) = (database.limits.attempt, database.limits.patience);
        let end = Instant::now() + patience;
        let mut pause = PAUSES.0;
        loop {
            let tried = async {
                let connected = match client.take().filter(|client| !client.is_closed()) {
                    Some(client) => client,
                    None => database.connect().await?,
                };
                let done = work(&connected).await?;
                // Without this the connection ends, and what was begun with it.
                *client = Some(connected);
                Ok(done)
            };
            let done = runtime.block_on(async { timeout(attempt, tried).await });
            let error = match done.map_err(Error::from) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) | Err(error) => error,
            };
            if !is_passing(&error) || Instant::now() + pause > end {
                // Nothing runs here between two calls: now the connection says that it ends, and what it has locked is free.
                runtime.block_on(yield_now());
                return Err(error);
            }
            tracing::warn!("the database is tried again: {error:#}");
            runtime.block_on(async { sleep(pause).await });
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Waits for nothing: it may be dropped where nobody may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether another try may succeed: the connection or the database is at fault, and not what was asked for.
fn is_passing(error: &Error) -> bool {
    if error.is::<Elapsed>() {
        return true;
    }
    let Some(error) = error.downcast_ref::<tokio_postgres::Error>() else { return false };
    let Some(error) = error.as_db_error() else { return true };
    let code = error.code().code();
    // Of https://www.postgresql.org/docs/15/errcodes-appendix.html: the connection, a transaction that somebody else's ended, room, locks, an
    // operator, the system; and a server that takes no writes, or did not wait any longer for the rest of a transaction.
    ["08", "40", "53", "55", "57", "58"].contains(&&code[..2]) || ["25006", "25P03"].contains(&code)
}
