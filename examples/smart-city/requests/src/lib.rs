//! HTTP requests to other services: other brokers, other cities, identity providers. Each has a connection of its own and an answer of a
//! bounded length. No redirection is followed. Who calls this looks at the time: there may be no answer for ever.
#![forbid(unsafe_code)]

use std::{
    error, mem,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::rustls::ClientConfig;

/// The longest head of an answer.
const MOST_HEAD: usize = 65_536;

/// Why there is no answer.
pub type Error = Box<dyn error::Error + Send + Sync>;

/// Sends a request to `authority`, a host and a port, over TLS if there is a configuration for it. Of the answer's body at most so many
/// bytes are taken: more is an error. With 0 the body is not read at all.
///
/// # Errors
/// Why there is no answer.
pub async fn send(
    authority: &str,
    tls: Option<&Arc<ClientConfig>>,
    request: Request<Vec<u8>>,
    most: usize,
) -> Result<Response<Bytes>, Error> {
    let mut request = request.map(|body| Full::new(Bytes::from(body)));
    // The host comes first (RFC 9110, section 7.2).
    let given = mem::take(request.headers_mut());
    request.headers_mut().insert(HOST, authority.parse()?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    request.headers_mut().extend(given);
    let stream = TcpStream::connect(authority).await?;
    match tls {
        None => send_over(stream, request, most).await,
        Some(config) => {
            let name = host(authority).to_owned().try_into()?;
            let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
            send_over(stream, request, most).await
        }
    }
}

async fn send_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Response<Bytes>, Error> {
    let handshake = http1::Builder::new().max_buf_size(MOST_HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake?;
    // Ends with this call, whatever becomes of it.
    let mut running = JoinSet::new();
    running.spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = if most == 0 { Bytes::new() } else { Limited::new(body, most).collect().await?.to_bytes() };
    Ok(Response::from_parts(head, body))
}

/// The host of an authority, without its port and without the brackets of an IPv6 address.
fn host(authority: &str) -> &str {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether an authority is of this machine, so that nobody on a network can read or change what goes there.
#[must_use]
pub fn is_of_this_machine(authority: &str) -> bool {
    let host = host(authority);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// How long nothing is sent after the first failure, and at most; each failure in a row doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// When the next request may be sent: one after the other, and after failures later.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    is_under_way: bool,
    /// Failures since the last success.
    failures: u32,
    /// Nothing is sent before this, after a failure.
    pause_until: Option<Instant>,
    /// Nothing is sent before this, for other reasons.
    pub not_before: Option<Instant>,
}

impl Pace {
    /// Whether one may be sent.
    #[must_use]
    pub fn allows(&self, now: Instant) -> bool {
        let is_over = |time: Option<Instant>| time.is_none_or(|time| now >= time);
        !self.is_under_way && is_over(self.pause_until) && is_over(self.not_before)
    }

    /// Whether there is no answer yet.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether the last one failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// One is sent.
    pub fn begin(&mut self) {
        self.is_under_way = true;
    }

    /// There is an answer, or none.
    pub fn done(&mut self, succeeded: bool, now: Instant) {
        self.is_under_way = false;
        if succeeded {
            (self.failures, self.pause_until) = (0, None);
            return;
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.pause_until = now.checked_add(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_this_machine() {
        for (authority, expected) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:80", true),
            ("[::1]:443", true),
            ("localhost:8080", true),
            ("localhost.example:80", false),
            ("10.0.0.1:80", false),
            ("[2001:db8::1]:80", false),
        ] {
            assert_eq!(is_of_this_machine(authority), expected, "{authority}");
        }
        assert_eq!(host("[::1]:443"), "::1");
    }

    #[test]
    fn failures_make_pauses_that_double() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(pace.allows(now));
            pace.begin();
            assert!(!pace.allows(now) && pace.is_under_way());
            pace.done(false, now);
            assert!(pace.is_failing() && !pace.allows(now + Duration::from_millis(1000 * seconds - 1)));
            now += Duration::from_secs(seconds);
        }
        pace.begin();
        pace.done(true, now);
        assert!(!pace.is_failing() && pace.allows(now));
        // What else it waits for, a success does not shorten.
        pace.not_before = Some(now + Duration::from_secs(9));
        pace.begin();
        pace.done(true, now);
        assert!(!pace.allows(now) && pace.allows(now + Duration::from_secs(9)));
    }
}
