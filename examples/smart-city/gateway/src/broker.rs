//! An MQTT 5 broker in the gateway's process, with the same rules as `mosquitto.acl`.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use mqtt5::{
    broker::{
        BrokerConfig, MqttBroker,
        auth::{AuthProvider, AuthResult},
        config::{StorageBackend, StorageConfig},
    },
    packet::connect::ConnectPacket,
    protocol::v5::reason_codes::ReasonCode,
};
use tokio::sync::watch;

use crate::{
    config::{GATEWAY_USER, Secrets, parse_device_id},
    mqtt::MAX_PACKET,
};

/// Messages that wait for a subscriber that does not take them; then the oldest are dropped.
pub const CLIENT_QUEUE: usize = 1000;

/// Starts the broker and returns its address.
///
/// # Errors
/// If the address cannot be used.
pub async fn start(address: SocketAddr, secrets: watch::Receiver<Arc<Secrets>>) -> Result<SocketAddr> {
    let config = BrokerConfig {
        bind_addresses: vec![address],
        max_packet_size: MAX_PACKET as usize,
        retain_available: false,
        shared_subscription_available: false,
        sys_topics_enabled: false,
        topic_alias_maximum: 0,
        maximum_qos: 1,
        max_subscriptions_per_client: 16,
        client_channel_capacity: 256,
        session_expiry_interval: Duration::from_secs(3600),
        // Devices keep what has no receipt and the gateway what is not delivered: nothing is worth keeping here.
        storage_config: StorageConfig {
            backend: StorageBackend::Memory,
            enable_persistence: false,
            max_queued_messages_per_client: CLIENT_QUEUE,
            max_queued_bytes_per_client: CLIENT_QUEUE * 1024,
            ..StorageConfig::default()
        },
        ..BrokerConfig::default()
    };
    let broker = MqttBroker::with_config(config).await.context("the broker does not start")?;
    let mut broker = broker.with_auth_provider(Arc::new(Rules { secrets }));
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
}

impl Rules {
    fn password_matches(&self, user: &str, password: &[u8]) -> bool {
        let secrets = self.secrets.borrow();
        let expected = if user == GATEWAY_USER {
            Some(&secrets.gateway_password)
        } else if let Some(device) = parse_device_id(user) {
            secrets.devices.get(&device).map(|(_, password)| password)
        } else {
            secrets.users.get(user)
        };
        expected.is_some_and(|expected| expected.matches(password))
    }
}

/// What a user may send.
#[must_use]
pub fn may_publish(user: &str, topic: &str) -> bool {
    if user == GATEWAY_USER {
        topic.starts_with("out/") || topic.starts_with("down/")
    } else {
        let below = topic.strip_prefix("up/").and_then(|rest| rest.strip_prefix(user));
        parse_device_id(user).is_some() && below.is_some_and(|rest| rest.starts_with('/'))
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
        let (user, password) = (connect.username.as_deref(), connect.password.as_deref());
        // The client's name is the user's: else one could take the session of another over.
        let result = match (user, password) {
            (Some(user), Some(password))
                if connect.client_id == user && self.password_matches(user, password) =>
            {
                AuthResult::success_with_user(user)
            }
            _ => AuthResult::fail(ReasonCode::BadUsernameOrPassword),
        };
        Box::pin(std::future::ready(Ok(result)))
    }

    fn authorize_publish<'a>(&'a self, _: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        Box::pin(std::future::ready(user.is_some_and(|user| may_publish(user, topic))))
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
