//! Notifications that are really sent: receivers that take them, are slow, refuse, or are not there delay nothing.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

/// Whether all of a request is there.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse().ok()) == Some(body.len())
}

/// Takes requests, and answers each with `status`; never, if it is none.
pub(super) async fn receiver(status: Option<u16>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
                loop {
                    let n = stream.read(&mut buffer).await.unwrap_or(0);
                    text.extend_from_slice(&buffer[..n]);
                    let all = String::from_utf8_lossy(&text).into_owned();
                    if n == 0 || is_whole(&all) {
                        drop(sender.send(all));
                        break;
                    }
                }
                match status {
                    Some(status) => {
                        let answer =
                            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                    None => tokio::time::sleep(Duration::from_secs(60)).await,
                }
            });
        }
    });
    (address, receiver)
}

fn subscribe(city: &City, user: &str, id: &str, uri: &str) {
    let body = json!({
        "id": id, "type": "Subscription", "entities": [{ "type": "Car" }], "notification": { "endpoint": { "uri": uri } },
    });
    city.post(user, "POST subscriptions", &body).is(201);
}

fn car(city: &City, i: u32) {
    let body = json!([{ "id": "urn:c:1", "type": "Car", "speed": i }]);
    city.post("ann", "POST entityOperations/upsert", &body);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_get_notifications_and_none_delays_another() {
    let (good, mut got) = receiver(Some(204)).await;
    let (refusing, mut refused) = receiver(Some(500)).await;
    let (slow, _slow) = receiver(None).await;
    // Nobody listens there.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let city = City::with_endpoints(&[good.clone(), refusing.clone(), slow.clone(), dead.clone()]);
    tokio::spawn(Arc::clone(&city.broker).run(smart_city_ngsi_ld::MOST_CONNECTIONS));
    subscribe(&city, "ann", "urn:s:refusing", &format!("http://{refusing}/"));
    subscribe(&city, "ann", "urn:s:slow", &format!("http://{slow}/"));
    subscribe(&city, "ann", "urn:s:dead", &format!("http://{dead}/"));
    subscribe(&city, "ann", "urn:s:mqtt", "mqtt://b/out/ann/x");
    subscribe(&city, "ben", "urn:s:good", &format!("http://{good}/a/b?c"));
    for i in 0..5 {
        let start = Instant::now();
        car(&city, i);
        assert!(start.elapsed() < Duration::from_millis(500));
        let text = tokio::time::timeout(Duration::from_secs(4), got.recv()).await.unwrap().unwrap();
        assert!(text.starts_with("POST /a/b?c HTTP/1.1\r\n"), "{text}");
        assert!(text.to_ascii_lowercase().contains(&format!("host: {good}\r\n")), "{text}");
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["data"][0]["speed"]["value"], i);
    }
    refused.recv().await.unwrap();
    // The slow one is given up.
    let end = Instant::now() + Duration::from_secs(20);
    let status =
        |user: &str, id: &str| city.get(user, &format!("subscriptions/{id}")).is(200)["notification"].clone();
    while status("ann", "urn:s:slow").get("lastFailure").is_none() {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (user, id, expected) in
        [("ann", "urn:s:refusing", "failed"), ("ann", "urn:s:dead", "failed"), ("ben", "urn:s:good", "ok")]
    {
        assert_eq!(status(user, id)["status"], expected, "{id}");
    }
    let published = city.published.0.lock().unwrap();
    assert_eq!(published.last().unwrap().0, "out/ann/x");
    assert_eq!(published.last().unwrap().1["body"]["data"][0]["speed"]["value"], 4);
}
