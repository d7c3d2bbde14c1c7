//! As much of MQTT 5 as a device or a user must speak, without a task for each connection.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long a broker keeps the session of a client that is away.
const KEPT: Duration = Duration::from_secs(3600);

/// A client of a broker on this machine.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where in the buffer the next packet begins.
    start: usize,
    /// What is sent by the next [`flush`](Self::flush).
    out: Vec<u8>,
    /// The number of the last packet that has one.
    packet: u16,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// A message, and what was read of it.
    Message(T),
    /// The broker has a message that was sent.
    Acknowledged,
    /// The broker gives what was asked for.
    Subscribed,
}

impl Client {
    /// Connects as this user, and asks for what comes under a filter. The broker keeps it while the user is away.
    ///
    /// # Errors
    /// If the broker is not there, or does not let the user in.
    pub async fn connect(port: u16, name: &str, password: &str, filter: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: Vec::new(), start: 0, out: Vec::new(), packet: 0 };
        // With user name and password, no clean start, no keep-alive, and the time for which the session is kept.
        let expiry = u32::try_from(KEPT.as_secs())?.to_be_bytes();
        let begin = [&text("MQTT")?[..], &[5, 0xC0, 0, 0, 5, 0x11], &expiry].concat();
        client.put(0x10, &[&begin[..], &text(name)?, &text(name)?, &text(password)?].concat())?;
        client.flush().await?;
        let body = loop {
            if let Some((first, body)) = client.next() {
                ensure!(first == 0x20, "{name} is answered with a packet {first:#x}");
                break body.to_vec();
            }
            client.read().await?;
        };
        ensure!(body.get(1) == Some(&0), "{name} is not let in: {body:?}");
        let packet = client.next_packet();
        client.put(0x82, &[&packet[..], &[0], &text(filter)?, &[1]].concat())?;
        client.flush().await?;
        Ok(client)
    }

    /// Sends a message by the next [`flush`](Self::flush); the broker acknowledges it.
    ///
    /// # Errors
    /// If it is too long.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        let packet = self.next_packet();
        self.put(0x32, &[&text(topic)?[..], &packet, &[0], payload].concat())
    }

    /// Waits for something to come. Can be given up at any time.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn read(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the broker has ended a connection");
        Ok(())
    }

    /// Sends all that is to be sent.
    ///
    /// # Errors
    /// If the connection has ended.
    pub async fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// What came next: of a message what `read` makes of its payload; the next [`flush`](Self::flush) acknowledges it. None if nothing came.
    ///
    /// # Errors
    /// Those of `read`, and if the broker says something else.
    pub fn take<T>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<T>) -> Result<Option<Taken<T>>> {
        let mut ack = None;
        let taken = match self.next() {
            None => return Ok(None),
            Some((first @ 0x30..0x40, body)) => {
                let (number, payload) = payload(first, body).context("a message without an end")?;
                ack = number;
                Taken::Message(read(payload)?)
            }
            Some((0x40, _)) => Taken::Acknowledged,
            Some((0x90, body)) => {
                ensure!(body.last() == Some(&1), "this user may not subscribe: {body:?}");
                Taken::Subscribed
            }
            Some((first, body)) => bail!("a packet {first:#x}: {body:?}"),
        };
        if let Some([high, low]) = ack {
            self.out.extend([0x40, 2, high, low]);
        }
        Ok(Some(taken))
    }

    fn next_packet(&mut self) -> [u8; 2] {
        self.packet = self.packet.checked_add(1).unwrap_or(1);
        self.packet.to_be_bytes()
    }

    fn put(&mut self, first: u8, body: &[u8]) -> Result<()> {
        let [high, low] = u16::try_from(body.len())?.to_be_bytes();
        // Seven bits in each byte; less than 16,384 in all.
        ensure!(high < 0x40, "a packet of {} bytes", body.len());
        let upper = high << 1 | low >> 7;
        self.out.push(first);
        if upper == 0 {
            self.out.push(low);
        } else {
            self.out.extend([low | 0x80, upper]);
        }
        self.out.extend(body);
        Ok(())
    }

    /// The next packet that was read: its first byte and its body.
    fn next(&mut self) -> Option<(u8, &mut [u8])> {
        let (&first, rest) = self.buffer.get(self.start..)?.split_first()?;
        let (len, at) = number(rest)?;
        rest.get(at..at + len)?;
        let body = self.start + 1 + at;
        self.start = body + len;
        Some((first, &mut self.buffer[body..body + len]))
    }
}

/// Of a message: its number, if it wants to be acknowledged, and what it says.
fn payload(first: u8, body: &mut [u8]) -> Option<(Option<[u8; 2]>, &mut [u8])> {
    let (topic, _) = body.split_first_chunk()?;
    let mut at = 2 + usize::from(u16::from_be_bytes(*topic));
    let number_of_packet = (first & 6 != 0).then_some(body.get(at..at + 2)).flatten();
    let packet = number_of_packet.and_then(|bytes| bytes.try_into().ok());
    at += number_of_packet.map_or(0, <[u8]>::len);
    let (properties, len) = number(body.get(at..)?)?;
    Some((packet, body.get_mut(at + len + properties..)?))
}

/// A number of variable length, and how many bytes it takes.
fn number(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

fn text(text: &str) -> Result<Vec<u8>> {
    Ok([&u16::try_from(text.len())?.to_be_bytes(), text.as_bytes()].concat())
}
