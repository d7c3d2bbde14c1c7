//! An MQTT 5 broker in the gateway's process, with the same rules as Mosquitto as it is shipped here.
//!
//! Who sends more than it may ([`Allowance`]), or more than the gateway takes, is kept waiting: nothing is dropped for it, and others do
//! not notice. A session ends as soon as its account is gone or has another password.

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use mqtt5::{
    QoS,
    broker::{
        BrokerConfig, MqttBroker,
        auth::{AuthProvider, AuthResult},
        config::StorageConfig,
        events::{BrokerEventHandler, ClientConnectEvent, ClientPublishEvent, PublishAction},
        router::MessageRouter,
    },
    packet::{connect::ConnectPacket, publish::PublishPacket},
    protocol::v5::reason_codes::ReasonCode,
};
use tokio::{sync::watch, time::sleep};

use crate::{
    config::{GATEWAY_USER, Secret, Secrets, parse_device_id},
    mqtt::{Allowance, MAX_PACKET},
};

/// Messages that wait for a subscriber that does not take them; then the oldest are dropped.
pub const CLIENT_QUEUE: usize = 4096;

/// Messages that wait for the gateway, until whoever sends another one is kept waiting.
const AHEAD: usize = 256;

/// The longest time that a sender is kept waiting with one message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the broker and returns its address.
///
/// # Errors
/// If the address cannot be used.
pub async fn start(
    address: SocketAddr,
    connections: usize,
    secrets: watch::Receiver<Arc<Secrets>>,
) -> Result<SocketAddr> {
    let rules = Arc::new(Rules {
        secrets: secrets.clone(),
        sessions: Mutex::default(),
        allowances: Mutex::default(),
        router: OnceLock::new(),
    });
    let config = BrokerConfig {
        bind_addresses: vec![address],
        max_packet_size: MAX_PACKET as usize,
        max_clients: connections,
        // It takes retained messages all the same, but for `on_client_publish`.
        retain_available: false,
        event_handler: Some(Arc::clone(&rules) as Arc<dyn BrokerEventHandler>),
        shared_subscription_available: false,
        sys_topics_enabled: false,
        topic_alias_maximum: 0,
        maximum_qos: 1,
        max_subscriptions_per_client: 16,
        client_channel_capacity: 256,
        max_outbound_inflight: 256,
        // Devices keep what has no receipt and the gateway what is not delivered: nothing is worth keeping here, and a session ends
        // with its connection.
        storage_config: StorageConfig {
            enable_persistence: false,
            max_queued_messages_per_client: CLIENT_QUEUE,
            ..StorageConfig::default()
        },
        ..BrokerConfig::default()
    };
    let broker = MqttBroker::with_config(config).await.context("the broker does not start")?;
    let mut broker = broker.with_auth_provider(Arc::clone(&rules) as Arc<dyn AuthProvider>);
    drop(rules.router.set(broker.router()));
    tokio::spawn(revoke(rules, secrets));
    let address = broker.local_addr().context("the broker has no address")?;
    tokio::spawn(async move {
        if let Err(error) = broker.run().await {
            tracing::error!(%error, "the broker ended");
        }
    });
    Ok(address)
}

/// Who may connect, and what each may send and receive.
struct Rules {
    secrets: watch::Receiver<Arc<Secrets>>,
    /// With which password each account has connected.
    sessions: Mutex<HashMap<String, Secret>>,
    allowances: Mutex<HashMap<String, Allowance>>,
    router: OnceLock<Arc<MessageRouter>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn password<'s>(secrets: &'s Secrets, user: &str) -> Option<&'s Secret> {
    if user == GATEWAY_USER {
        Some(&secrets.gateway_password)
    } else if let Some(device) = parse_device_id(user) {
        secrets.devices.get(&device).map(|(_, password)| password)
    } else {
        secrets.users.get(user)
    }
}

/// Ends the sessions of accounts that are gone or have another password.
async fn revoke(rules: Arc<Rules>, mut secrets: watch::Receiver<Arc<Secrets>>) {
    while secrets.changed().await.is_ok() {
        let current = Arc::clone(&secrets.borrow_and_update());
        let names: Vec<String> = {
            let sessions = lock(&rules.sessions);
            let revoked = sessions.iter().filter(|(name, used)| !rules.still_is(&current, name, used));
            revoked.map(|(name, _)| name.clone()).collect()
        };
        for name in names {
            rules.end_session(&name).await;
        }
    }
}

impl Rules {
    fn still_is(&self, secrets: &Secrets, user: &str, used: &Secret) -> bool {
        // The gateway's own password changes at a start only.
        user == GATEWAY_USER
            || password(secrets, user).is_some_and(|password| password.matches(used.as_str().as_bytes()))
    }

    async fn end_session(&self, user: &str) {
        if let Some(router) = self.router.get() {
            tracing::info!(user, "the session ends: the account is not what it was");
            router.unregister_client(user).await;
        }
    }

    fn admit(&self, connect: &ConnectPacket) -> AuthResult {
        let (Some(user), Some(given)) = (connect.username.as_deref(), connect.password.as_deref()) else {
            return AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        };
        // Else one could take the session of another over.
        if connect.client_id != user {
            let reason = "the client id must be the user name";
            return AuthResult::fail_with_reason(ReasonCode::ClientIdentifierNotValid, reason);
        }
        let secrets = self.secrets.borrow();
        let Some(password) = password(&secrets, user).filter(|password| password.matches(given)) else {
            return AuthResult::fail(ReasonCode::BadUsernameOrPassword);
        };
        lock(&self.sessions).insert(user.to_owned(), password.clone());
        AuthResult::success_with_user(user)
    }

    /// Keeps a sender waiting that has sent more than it may, or as long as the gateway does not keep up.
    async fn hold_back(&self, user: &str) {
        let now = Instant::now();
        let pause = {
            let mut allowances = lock(&self.allowances);
            let allowance = match allowances.get_mut(user) {
                Some(allowance) => allowance,
                None => allowances.entry(user.to_owned()).or_insert_with(|| Allowance::new(now)),
            };
            allowance.take(now)
        };
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let Some(router) = self.router.get() else { return };
        let queue = router.queue_handle(GATEWAY_USER);
        wait_for_room(now, || queue.count()).await;
    }
}

/// Waits until not too many messages are `ahead`, but not longer than [`PATIENCE`].
async fn wait_for_room(since: Instant, ahead: impl Fn() -> usize) {
    while ahead() > AHEAD && since.elapsed() < PATIENCE {
        sleep(Duration::from_millis(2)).await;
    }
}

/// What a user may send.
#[must_use]
pub fn may_publish(user: &str, topic: &str) -> bool {
    if user == GATEWAY_USER {
        topic.starts_with("out/") || topic.starts_with("down/")
    } else {
        let below = topic.strip_prefix("up/").and_then(|rest| rest.strip_prefix(user));
        let what = below.and_then(|rest| rest.strip_prefix('/'));
        parse_device_id(user).is_some() && what.is_some_and(|what| !what.is_empty() && !what.contains('/'))
    }
}

/// What a user may receive.
#[must_use]
pub fn may_subscribe(user: &str, filter: &str) -> bool {
    if user == GATEWAY_USER {
        filter.starts_with("up/")
    } else if parse_device_id(user).is_some() {
        filter.strip_prefix("down/") == Some(user)
    } else {
        let below = filter.strip_prefix("out/").and_then(|rest| rest.strip_prefix(user));
        below.is_some_and(|rest| rest.starts_with('/'))
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl AuthProvider for Rules {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        _: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        Box::pin(std::future::ready(Ok(self.admit(connect))))
    }

    fn authorize_publish<'a>(&'a self, _: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let Some(user) = user else { return false };
            if user != GATEWAY_USER {
                self.hold_back(user).await;
            }
            may_publish(user, topic)
        })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(user.is_some_and(|user| may_subscribe(user, filter))))
    }
}

impl BrokerEventHandler for Rules {
    /// The account may have changed while the connection was made.
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Answer<'a, ()> {
        Box::pin(async move {
            let used = lock(&self.sessions).get(&*event.client_id).cloned();
            let secrets = Arc::clone(&self.secrets.borrow());
            if !used.is_some_and(|used| self.still_is(&secrets, &event.client_id, &used)) {
                self.end_session(&event.client_id).await;
            }
        })
    }

    /// Ends the session of who sends a retained message, as Mosquitto does, without an acknowledgement: QoS 0 has none, and nobody
    /// may subscribe to the topic.
    fn on_client_publish<'a>(&'a self, event: ClientPublishEvent) -> Answer<'a, PublishAction> {
        Box::pin(async move {
            if event.retain {
                self.end_session(&event.client_id).await;
                return PublishAction::Transform(PublishPacket::new("retained", "", QoS::AtMostOnce));
            }
            PublishAction::Continue
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_sender_waits_until_there_is_room_or_its_time_is_over() {
        let looks = Cell::new(0);
        let ahead = |first: &'static [usize]| {
            looks.set(0);
            let looks = &looks;
            move || {
                looks.set(looks.get() + 1);
                first.get(looks.get() - 1).copied().unwrap_or(0)
            }
        };
        wait_for_room(Instant::now(), ahead(&[AHEAD + 1, AHEAD + 1, AHEAD, AHEAD + 1])).await;
        assert_eq!(looks.get(), 3);
        let since = Instant::now().checked_sub(PATIENCE).unwrap();
        wait_for_room(since, ahead(&[AHEAD + 1, AHEAD + 1])).await;
        assert_eq!(looks.get(), 1);
    }
}
