//! Connections at a server, until it is known whose they are and afterwards.
//!
//! Who connects is a stranger at first. Strangers have some of the places. If all are taken, the next gets the place of the one that has
//! waited longest, of those from the address with most of them: so whoever comes is heard, and who takes all places turns itself away.
//! Who is known has another place, and keeps it. One account has only some of these; what it connects beyond remains strangers.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::sleep,
};

use crate::{
    exchange::{Limited, lock},
    places::{Place, Places},
};

/// A connection, as long as it is there.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) address: IpAddr,
    place: Mutex<Held>,
    known: Places,
}

/// The place that a connection has.
#[derive(Debug)]
enum Held {
    Stranger { _place: OwnedSemaphorePermit },
    Known { _place: Place },
}

impl Held {
    fn is_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}

impl Connection {
    /// It is known now as the one of this account: it gets a place that it keeps. False if there is none.
    pub(crate) fn let_in(&self, account: &str) -> bool {
        let mut place = lock(&self.place);
        if !place.is_known()
            && let Some(known) = self.known.try_take(account)
        {
            *place = Held::Known { _place: known };
        }
        place.is_known()
    }
}

/// A stranger, if it still is one.
struct Stranger {
    network: IpAddr,
    connection: Weak<Connection>,
    task: AbortHandle,
}

/// Serves the connections at a listener, so many of strangers and those in the places for others at once.
pub(crate) async fn serve<S: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    strangers: usize,
    known: Places,
    mut serve: impl FnMut(TcpStream, Arc<Connection>) -> S,
) {
    let places = Arc::new(Semaphore::new(strangers));
    let (mut failed, mut crowded) = (Limited::default(), Limited::default());
    let mut waiting: VecDeque<Stranger> = VecDeque::new();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok((stream, address)) => (stream, address.ip().to_canonical()),
            Err(error) => {
                if let Some(left_out) = failed.due(Instant::now()) {
                    tracing::warn!(%error, left_out, "a connection was not accepted");
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        drop(stream.set_nodelay(true));
        waiting.retain(|stranger| {
            stranger.connection.upgrade().is_some_and(|connection| !lock(&connection.place).is_known())
        });
        if places.available_permits() == 0
            && let Some(stranger) = oldest(&waiting).and_then(|place| waiting.remove(place))
        {
            if let Some(left_out) = crowded.due(Instant::now()) {
                tracing::warn!(
                    address = %stranger.network,
                    left_out,
                    "many connect and do not say who they are: the oldest of them is turned away"
                );
            }
            stranger.task.abort();
        }
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else { return };
        let place = Mutex::new(Held::Stranger { _place: permit });
        let connection = Arc::new(Connection { address, place, known: known.clone() });
        let weak = Arc::downgrade(&connection);
        let task = tokio::spawn(serve(stream, connection)).abort_handle();
        waiting.push_back(Stranger { network: network(address), connection: weak, task });
    }
}

/// The oldest stranger of the network with most of them.
fn oldest(waiting: &VecDeque<Stranger>) -> Option<usize> {
    let mut counts = HashMap::new();
    for stranger in waiting {
        *counts.entry(stranger.network).or_insert(0) += 1;
    }
    let most = counts.values().copied().max()?;
    waiting.iter().position(|stranger| counts.get(&stranger.network) == Some(&most))
}

/// What one client has: an address, or in IPv6 all with the same first half.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_those_from_one_address_the_oldest_makes_room() {
        let task = tokio::spawn(async {}).abort_handle();
        let waiting = |addresses: &[&str]| {
            let strangers = addresses.iter().map(|address| Stranger {
                network: network(address.parse().unwrap()),
                connection: Weak::new(),
                task: task.clone(),
            });
            oldest(&strangers.collect())
        };
        assert_eq!(waiting(&[]), None);
        assert_eq!(waiting(&["10.0.0.1", "10.0.0.2"]), Some(0));
        assert_eq!(waiting(&["10.0.0.1", "10.0.0.2", "10.0.0.2"]), Some(1));
        assert_eq!(waiting(&["10.0.0.1", "fd00::1:0:0:0:1", "10.0.0.2", "fd00::1:0:0:0:2"]), Some(1));
        assert_eq!(waiting(&["10.0.0.1", "fd00:0:0:1::1", "fd00:0:0:2::1"]), Some(0));
    }

    /// Strangers come and go, and who is known stays.
    #[tokio::test]
    async fn who_is_known_keeps_the_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, mut came) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(serve(listener, 2, Places::new(2, 1), move |stream, connection| {
            connections.send(Arc::downgrade(&connection)).unwrap();
            async move {
                let _kept = (stream, connection);
                std::future::pending::<()>().await;
            }
        }));
        let mut streams = Vec::new();
        let mut next = async || {
            streams.push(TcpStream::connect(address).await.unwrap());
            came.recv().await.unwrap()
        };
        let first = next().await;
        assert!(first.upgrade().unwrap().let_in("hana"));
        let [second, third, fourth] = [next().await, next().await, next().await];
        assert!(second.upgrade().is_none(), "it is the oldest stranger");
        assert!(!third.upgrade().unwrap().let_in("hana"), "there is one place for an account");
        assert!(first.upgrade().is_some() && fourth.upgrade().is_some());
        let fifth = next().await;
        assert!(third.upgrade().is_none() && fifth.upgrade().is_some());
        assert!(first.upgrade().unwrap().let_in("hana"));
        assert!(fifth.upgrade().unwrap().let_in("ren"));
        assert!(!fourth.upgrade().unwrap().let_in("sora"), "there are two places in all");
    }
}
