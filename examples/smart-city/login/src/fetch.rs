//! Fetches the keys of a provider.

use std::sync::Arc;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::agreement::Place;

/// The longest answer: some hundred keys.
pub(crate) const MOST_BYTES: usize = 65_536;

/// What a place says, which is followed to no other place.
///
/// # Errors
/// Why there is no answer that counts. There may be none for ever: who calls this looks at the time.
pub(crate) async fn get(place: &Place) -> Result<Bytes, String> {
    let stream = TcpStream::connect(&place.authority).await.map_err(|error| error.to_string())?;
    match &place.trust {
        None => get_over(stream, place).await,
        Some(trust) => {
            let name = ServerName::try_from(place.host.clone()).map_err(|error| error.to_string())?;
            let tls = TlsConnector::from(Arc::clone(&trust.config)).connect(name, stream).await;
            get_over(tls.map_err(|error| error.to_string())?, place).await
        }
    }
}

async fn get_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    place: &Place,
) -> Result<Bytes, String> {
    let mut client = http1::Builder::new();
    let handshake = client.max_buf_size(MOST_BYTES).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // Ends with this call, whatever becomes of it.
    let mut running = JoinSet::new();
    running.spawn(connection);
    let request = Request::get(&place.path).header("Host", &place.authority).header("Connection", "close");
    let request =
        request.header("Accept", "application/jwk-set+json, application/json").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes())
}
