//! Fetches the keys of a provider.

use http::{Request, StatusCode};

use crate::agreement::Place;

/// The longest answer: some hundred keys.
const MOST_BYTES: usize = 65_536;

/// What a place says.
///
/// # Errors
/// Why there is no answer that counts. There may be none for ever: who calls this looks at the time.
pub(crate) async fn get(place: &Place) -> Result<Vec<u8>, String> {
    let request = Request::get(&place.path).header("Accept", "application/jwk-set+json, application/json");
    let request = request.body(Vec::new()).map_err(|error| error.to_string())?;
    let tls = place.trust.as_ref().map(|trust| &trust.config);
    let answer = smart_city_requests::send(&place.authority, tls, request, MOST_BYTES).await;
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body().into()),
        status => Err(format!("the answer is {status}")),
    }
}
