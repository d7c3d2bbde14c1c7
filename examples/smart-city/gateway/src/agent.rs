//! Devices that speak as FIWARE's IoT agent for JSON expects it ([`smart_city_iot_agent`]), beside the engine.
//!
//! The account of such a device only sends. What it sends is written over NGSI-LD, with the limits and the policy of what users write, and
//! nobody else writes to that entity.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Instant,
};

use http::{Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use smart_city_iot_agent::{Groups, Refusal};
use smart_city_ngsi_ld::Broker;
use tokio::sync::watch;

use crate::{
    exchange::{Limited, lock},
    metrics::Meters,
    places::Places,
};

/// Messages that are written at once, of all devices and of one.
const PLACES: usize = 2;
const PLACES_OF_A_DEVICE: usize = 1;

/// The longest payload of a command.
const MOST_COMMAND: usize = 2048;

/// Takes what these devices send.
#[derive(Clone, Debug)]
pub struct Agent {
    groups: watch::Receiver<Arc<Groups>>,
    entities: Arc<Broker>,
    places: Places,
    meters: Meters,
    /// These devices are at the own broker.
    has_own_broker: bool,
    warning: Arc<Mutex<Limited>>,
}

/// Why there is no command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoCommand {
    /// There is no such device, or it has no such command.
    Refused(Refusal),
    /// It is too long for a message.
    TooLong,
    /// The gateway uses another broker than its own.
    OtherBroker,
}

/// Why an entity was not written.
#[derive(Debug)]
enum NotWritten {
    /// It never will be.
    Refused(String),
    /// It may be later.
    Failed(String),
}

impl Agent {
    /// One for the groups of the moment, that writes to `entities`.
    #[must_use]
    pub fn new(
        groups: watch::Receiver<Arc<Groups>>,
        entities: Arc<Broker>,
        meters: &Meters,
        has_own_broker: bool,
    ) -> Self {
        if !has_own_broker && *groups.borrow() != Arc::default() {
            tracing::warn!("devices of `ngsi_ld.iot_agent` can connect to the gateway's own broker alone");
        }
        let places = Places::new(PLACES, PLACES_OF_A_DEVICE);
        Self { groups, entities, places, meters: meters.clone(), has_own_broker, warning: Arc::default() }
    }

    /// One without devices.
    #[cfg(test)]
    pub(crate) fn idle() -> Self {
        let (entities, watcher) = crate::ngsi::entities(crate::ngsi::Teller::default());
        Self::new(watcher.groups(), entities, &Meters::default(), true)
    }

    /// Whether an account may send to this topic.
    #[must_use]
    pub fn may_publish(&self, account: &str, topic: &str) -> bool {
        self.groups.borrow().may_publish(account, topic)
    }

    /// Whether an account may receive this topic.
    #[must_use]
    pub fn may_subscribe(&self, account: &str, filter: &str) -> bool {
        self.groups.borrow().may_subscribe(account, filter)
    }

    /// Writes what a device sent; returns when that is stored, or refused. False if it is not to be acknowledged: it may be taken later.
    pub async fn take(&self, topic: &str, payload: &[u8]) -> bool {
        let entity = self.groups.borrow().entity(topic, payload, Timestamp::now());
        let (word, why, is_done) = match entity {
            Ok((device, entity)) => match self.write(device, entity).await {
                Ok(()) => ("written", None, true),
                Err(NotWritten::Refused(why)) => ("not_written", Some(why), true),
                Err(NotWritten::Failed(why)) => ("not_stored", Some(why), false),
            },
            Err(refusal) => (refusal.word(), Some(refusal.to_string()), true),
        };
        self.meters.unauthenticated.get_or_create(&[("result", word)]).inc();
        if let Some(why) = why
            && let Some(left_out) = lock(&self.warning).due(Instant::now())
        {
            tracing::warn!(topic, why, left_out, "a message of a device without authentication is refused");
        }
        is_done
    }

    /// Creates or updates an entity as the account that the device has.
    async fn write(&self, device: String, entity: Value) -> Result<(), NotWritten> {
        let failed = |why: &dyn fmt::Display| NotWritten::Failed(why.to_string());
        let body = json!([entity]).to_string().into_bytes();
        let request = Request::post("/ngsi-ld/v1/entityOperations/upsert?options=update")
            .header("Content-Type", "application/ld+json")
            .body(body);
        let request = request.map_err(|error| failed(&error))?;
        let places = self.places.take(&device).await.ok_or_else(|| failed(&"the gateway is ending"))?;
        let entities = Arc::clone(&self.entities);
        let work = move || {
            let response = entities.respond(&device, &request);
            drop(places);
            response
        };
        let response = tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?;
        let text = String::from_utf8_lossy(response.body());
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            // The account is gone, or nothing can be stored any more: then nobody is known.
            StatusCode::MULTI_STATUS if text.contains("ResourceNotFound") => Err(failed(&text)),
            StatusCode::MULTI_STATUS => Err(NotWritten::Refused(text.into_owned())),
            status => Err(failed(&format!("{status}: {text}"))),
        }
    }

    /// The topic and the payload of a command to a device, after it is written that the command is sent, if that can be.
    pub(crate) async fn command(
        &self,
        device: String,
        command: &str,
        value: &Value,
    ) -> Result<(String, Vec<u8>), NoCommand> {
        if !self.has_own_broker {
            return Err(NoCommand::OtherBroker);
        }
        let command = self.groups.borrow().command(&device, command, value, Timestamp::now());
        let (topic, payload, entity) = command.map_err(NoCommand::Refused)?;
        if payload.len() > MOST_COMMAND {
            return Err(NoCommand::TooLong);
        }
        // The device may have filled its entity: a command goes to it all the same.
        if let Err(NotWritten::Refused(why) | NotWritten::Failed(why)) = self.write(device, entity).await {
            tracing::warn!(topic, why, "that a command is sent is not in the entity");
        }
        Ok((topic, payload))
    }
}
