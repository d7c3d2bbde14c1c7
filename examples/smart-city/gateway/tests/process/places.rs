//! Places for connections.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Whether a connection is still open, and answers.
async fn answers(stream: &mut tokio::net::TcpStream, token: &str) -> bool {
    let request =
        format!("GET /session HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut buffer = [0; 4096];
    let answered = timeout(Duration::from_secs(5), async {
        stream.write_all(request.as_bytes()).await?;
        stream.read(&mut buffer).await
    });
    matches!(answered.await, Ok(Ok(count)) if buffer[..count].starts_with(b"HTTP/1.1 200"))
}

/// Who has one credential cannot keep out those who have another one, however often it connects and stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_credential_has_a_quarter_of_the_places() {
    let dir = example();
    let gateway = gateway(dir.path(), None);
    let (mut greedy, mut others) = (Vec::new(), Vec::new());
    // 256 in all, of which 64 are for strangers.
    for _ in 0..300 {
        let mut stream = tokio::net::TcpStream::connect(&gateway.http).await.unwrap();
        assert!(answers(&mut stream, "example-viewer-token-0000").await);
        greedy.push(stream);
    }
    for _ in 0..40 {
        let mut stream = tokio::net::TcpStream::connect(&gateway.http).await.unwrap();
        assert!(answers(&mut stream, "example-operator-token-0000").await);
        others.push(stream);
    }
    // Strangers that come now have the places of those that are too many.
    for _ in 0..80 {
        let mut stream = tokio::net::TcpStream::connect(&gateway.http).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut buffer = [0; 12];
        timeout(Duration::from_secs(5), stream.read_exact(&mut buffer)).await.unwrap().unwrap();
        others.push(stream);
    }
    let mut kept = 0;
    for stream in &mut greedy {
        kept += usize::from(answers(stream, "example-viewer-token-0000").await);
    }
    assert_eq!(kept, 48);
    for stream in &mut others[..40] {
        assert!(answers(stream, "example-operator-token-0000").await);
    }
}
