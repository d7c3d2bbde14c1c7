//! What monitoring reads, in the text format of OpenMetrics, which Prometheus takes.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Instant,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use serde_json::{Value, json};
use smart_city_cities::{Counts, Gate};
use smart_city_engine::view::Summary;
use smart_city_ngsi_ld::{Broker, Pushed};
use tracing_appender::non_blocking::ErrorCounter;

use crate::{
    cluster::{Cluster, Counts as Shares},
    exchange::{Limited, lock},
    incidents::Incidents,
    tls::Certificate,
};

/// The media type of [`Meters::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is measured around the engine.
#[derive(Clone, Debug)]
pub struct Meters {
    /// 1 if there is a connection to the broker.
    pub connected: Gauge,
    /// How long the engine took for each batch, with what it stored, in seconds.
    pub(crate) batches: Histogram,
    /// Logins that were refused, over HTTP and over MQTT.
    refused_logins: Family<[(&'static str, &'static str); 1], Counter>,
    /// The warning of them.
    refused_login: Arc<Mutex<Limited>>,
    /// Messages of devices without authentication: `written`, or why they were refused.
    pub(crate) unauthenticated: Family<[(&'static str, &'static str); 1], Counter>,
    /// Messages for users of the own broker that did not take them.
    pub(crate) dropped: Counter,
    /// Lines that are missing in the log, of which too many waited.
    pub lost_lines: Option<ErrorCounter>,
    /// The certificate, if there is one.
    pub certificate: Option<Arc<Certificate>>,
    /// What pushes entities to other brokers.
    pub entities: Option<Arc<Broker>>,
    /// What hands over to other cities.
    pub gate: Option<Arc<Gate>>,
    /// Who is asked for incidents, and how that goes.
    pub incidents: Option<Incidents>,
    /// The gateways that share the city, if this is one of several.
    pub cluster: Option<Arc<Cluster>>,
}

impl Default for Meters {
    fn default() -> Self {
        // From a quarter of a millisecond to eight seconds.
        let batches = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        Self {
            connected: Gauge::default(),
            batches,
            refused_logins: Family::default(),
            refused_login: Arc::default(),
            unauthenticated: Family::default(),
            dropped: Counter::default(),
            lost_lines: None,
            certificate: None,
            entities: None,
            gate: None,
            incidents: None,
            cluster: None,
        }
    }
}

impl Meters {
    /// Somebody at an address has shown a name, a password or a token that is wrong.
    pub(crate) fn refused_login(&self, over: &'static str, address: Option<IpAddr>) {
        self.refused_logins.get_or_create(&[("over", over)]).inc();
        if let Some(left_out) = lock(&self.refused_login).due(Instant::now()) {
            let address = address.map_or("not known".to_owned(), |address| address.to_string());
            tracing::warn!(
                over,
                address,
                left_out,
                "a login is refused: a name, a password or a token is wrong"
            );
        }
    }

    fn pushed(&self) -> Vec<(String, Pushed)> {
        self.entities.as_ref().map(|entities| entities.pushed()).unwrap_or_default()
    }

    /// What became of the pushes to other brokers, for `/status`.
    pub(crate) fn pushes(&self) -> Value {
        let about = |(name, pushed): (String, Pushed)| {
            let Pushed { sent, withdrawn, failed, partly, waiting } = pushed;
            json!({
                "to": name, "sent": sent, "withdrawn": withdrawn, "failed": failed, "partly": partly, "waiting": waiting,
            })
        };
        self.pushed().into_iter().map(about).collect()
    }

    fn handed_over(&self) -> BTreeMap<String, Counts> {
        self.gate.as_ref().map(|gate| gate.counts()).unwrap_or_default()
    }

    /// What was handed over to and by other cities, for `/status`.
    pub(crate) fn cities(&self) -> Value {
        json!(self.handed_over())
    }

    /// All measured values, with those of the engine.
    ///
    /// # Errors
    /// Never, as far as is known: a text takes all that is written to it.
    pub fn text(&self, summary: &Summary) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("smart_city");
        let states = family::<Gauge>("state", &json!(summary.counts.states), |gauge, count| {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        });
        registry.register("devices", "Devices by the state of their attestation", states);
        registry.register("devices_isolated", "Devices that are isolated", gauge(summary.counts.isolated));
        let help = "Devices of which no frame was accepted for some time";
        registry.register("devices_silent", help, gauge(summary.counts.silent));
        let accepted = Counter::<u64>::default();
        accepted.inc_by(summary.accepted);
        registry.register("frames_accepted", "Frames that were accepted", accepted);
        let refused = family::<Counter>("reason", &json!(summary.refused), |counter, count| {
            counter.inc_by(count);
        });
        registry.register("messages_refused", "Messages that were refused", refused);
        let undelivered = usize::try_from(summary.undelivered).unwrap_or(usize::MAX);
        let help = "Readings that the broker does not have for all who may have them";
        registry.register("readings_undelivered", help, gauge(undelivered));
        let help = "1 if changed files were not taken over because of a fault in them";
        registry.register("configuration_fault", help, gauge(summary.fault.is_some().into()));
        registry.register("broker_connected", "1 if connected to the broker", self.connected.clone());
        let help = "Time for a batch of messages, until it is stored";
        registry.register_with_unit("batch", help, Unit::Seconds, self.batches.clone());
        let help = "Logins with a wrong name, password or token";
        registry.register("logins_refused", help, self.refused_logins.clone());
        let help = "Messages of devices without authentication, by what became of them";
        registry.register("unauthenticated_messages", help, self.unauthenticated.clone());
        let help = "Messages that users of the own broker did not take in time";
        registry.register("messages_dropped", help, self.dropped.clone());
        let lost = Counter::<u64>::default();
        lost.inc_by(self.lost_lines.as_ref().map_or(0, |lost| lost.dropped_lines() as u64));
        registry.register("log_lines_lost", "Lines of the log that nobody took in time", lost);
        if let Some(certificate) = &self.certificate {
            let expires = Gauge::<i64>::default();
            expires.set(certificate.expires());
            let help = "When the certificate expires, since 1970";
            registry.register_with_unit("certificate_expires_timestamp", help, Unit::Seconds, expires);
        }
        let pushes = self.pushed();
        let counter = |of: fn(&Pushed) -> u64| {
            let family = Family::<[(&'static str, String); 1], Counter>::default();
            for (name, pushed) in &pushes {
                family.get_or_create(&[("to", name.clone())]).inc_by(of(pushed));
            }
            family
        };
        registry.register(
            "pushed_entities",
            "Entities that another broker took",
            counter(|pushed| pushed.sent),
        );
        let help = "Entities that were deleted at another broker";
        registry.register("withdrawn_entities", help, counter(|pushed| pushed.withdrawn));
        let help = "Requests that another broker did not take";
        registry.register("pushes_failed", help, counter(|pushed| pushed.failed));
        let help = "Requests of which another broker took a part";
        registry.register("pushes_partly_taken", help, counter(|pushed| pushed.partly));
        let waiting = Family::<[(&'static str, String); 1], Gauge>::default();
        for (name, pushed) in &pushes {
            let count = i64::try_from(pushed.waiting).unwrap_or(i64::MAX);
            waiting.get_or_create(&[("to", name.clone())]).set(count);
        }
        registry.register("entities_to_push", "Entities that wait for another broker", waiting);
        register_cities(&mut registry, &self.handed_over());
        let learned = self.incidents.as_ref().map(|incidents| incidents.reports.status());
        register_incidents(&mut registry, &learned.unwrap_or_default());
        if let Some(cluster) = &self.cluster {
            register_cluster(&mut registry, cluster.counts());
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// How this gateway is one of several.
fn register_cluster(registry: &mut Registry, Shares { held, lease_age, version, disagreement }: Shares) {
    registry.register("shards_held", "Shards of the city's devices that this gateway has", gauge(held));
    let age = Gauge::<f64, AtomicU64>::default();
    age.set(lease_age);
    let help = "Time since the lease of this gateway was last renewed";
    registry.register_with_unit("lease_age", help, Unit::Seconds, age);
    let configuration = Gauge::<i64>::default();
    configuration.set(version);
    let help = "The version of the configuration that is in force for all gateways";
    registry.register("configuration_version", help, configuration);
    let disagrees = Gauge::<f64, AtomicU64>::default();
    disagrees.set(disagreement);
    let help = "For how long a gateway has offered other files than those in force";
    registry.register_with_unit("cluster_disagreement", help, Unit::Seconds, disagrees);
}

/// What was handed over to and by other cities.
fn register_cities(registry: &mut Registry, cities: &BTreeMap<String, Counts>) {
    type Count = fn(&Counts) -> u64;
    let counters: [(_, _, Count); 5] = [
        ("handed_over", "Readings that another city took", |counts| counts.sent),
        ("handed_over_lost", "Readings that another city did not get in time", |counts| counts.lost),
        ("handed_over_withheld", "Readings that another city was not to get any more", |counts| {
            counts.withheld
        }),
        ("handed_over_failed", "Requests that another city did not answer as it should", |counts| {
            counts.failed
        }),
        ("taken_over", "Readings that were taken from another city", |counts| counts.taken),
    ];
    for (name, help, of) in counters {
        let family = Family::<[(&'static str, String); 1], Counter>::default();
        for (city, counts) in cities {
            family.get_or_create(&[("city", city.clone())]).inc_by(of(counts));
        }
        registry.register(name, help, family);
    }
    let refusals = || Family::<[(&'static str, String); 2], Counter>::default();
    let (here, there) = (refusals(), refusals());
    let waiting = Family::<[(&'static str, String); 1], Gauge>::default();
    for (city, counts) in cities {
        for (reason, count) in &counts.refused {
            here.get_or_create(&[("city", city.clone()), ("reason", reason.to_string())]).inc_by(*count);
        }
        for (reason, count) in &counts.refused_there {
            there.get_or_create(&[("city", city.clone()), ("reason", (*reason).to_owned())]).inc_by(*count);
        }
        let count = i64::try_from(counts.waiting).unwrap_or(i64::MAX);
        waiting.get_or_create(&[("city", city.clone())]).set(count);
    }
    registry.register("taken_over_refused", "Readings of another city that were refused", here);
    registry.register("handed_over_refused", "Readings that another city refused", there);
    registry.register("readings_to_hand_over", "Readings that wait for another city", waiting);
}

/// How other cities are asked for incidents, by what [`Reports`](smart_city_incidents::Reports) say of each.
fn register_incidents(registry: &mut Registry, learned: &BTreeMap<String, Value>) {
    let counters = [
        ("incident_answers", "answers", "Answers of another city that was asked for incidents"),
        (
            "incident_requests_failed",
            "failed",
            "Requests for incidents that another city did not answer as it should",
        ),
    ];
    for (name, of, help) in counters {
        let family = Family::<[(&'static str, String); 1], Counter>::default();
        for (city, status) in learned {
            let count = status[of].as_u64().unwrap_or_default();
            family.get_or_create(&[("city", city.clone())]).inc_by(count);
        }
        registry.register(name, help, family);
    }
    let refused = Family::<[(&'static str, String); 2], Counter>::default();
    for (city, status) in learned {
        for (reason, count) in status["refused"].as_object().into_iter().flatten() {
            let labels = [("city", city.clone()), ("reason", reason.clone())];
            refused.get_or_create(&labels).inc_by(count.as_u64().unwrap_or_default());
        }
    }
    registry.register("incidents_refused", "Incidents of another city that count nothing", refused);
}

fn gauge(value: usize) -> Gauge {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

/// A metric for each value of a label.
fn family<M: Default>(
    label: &'static str,
    counts: &Value,
    set: impl Fn(&M, u64),
) -> Family<[(&'static str, String); 1], M> {
    let family = Family::default();
    for (name, count) in counts.as_object().into_iter().flatten() {
        set(&*family.get_or_create(&[(label, name.clone())]), count.as_u64().unwrap_or_default());
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_incidents_has_lines() {
        let status = json!({ "answers": 5, "failed": 2, "refused": { "too_many": 3 } });
        let mut registry = Registry::with_prefix("smart_city");
        register_incidents(&mut registry, &BTreeMap::from([("aoba".to_owned(), status)]));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "smart_city_incident_answers_total{city=\"aoba\"} 5",
            "smart_city_incident_requests_failed_total{city=\"aoba\"} 2",
            "smart_city_incidents_refused_total{city=\"aoba\",reason=\"too_many\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn one_of_several_has_lines() {
        let mut registry = Registry::with_prefix("smart_city");
        register_cluster(&mut registry, Shares { held: 5, lease_age: 1.5, version: 3, disagreement: 7.5 });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "smart_city_shards_held 5",
            "smart_city_lease_age_seconds 1.5",
            "smart_city_configuration_version 3",
            "smart_city_cluster_disagreement_seconds 7.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn every_value_has_its_line() {
        let mut summary = Summary::default();
        summary.counts.states = [("affirming".to_owned(), 3), ("warning".to_owned(), 1)].into();
        (summary.counts.isolated, summary.counts.silent) = (2, 6);
        (summary.accepted, summary.undelivered) = (7, 5);
        summary.refused = [(smart_city_engine::engine::Refusal::EpochEnded, 4)].into();
        summary.fault = Some("a fault".to_owned());
        let meters = Meters::default();
        meters.connected.set(1);
        meters.refused_login("mqtt", None);
        meters.batches.observe(0.001);
        meters.unauthenticated.get_or_create(&[("result", "topic")]).inc();
        meters.dropped.inc_by(8);
        let text = meters.text(&summary).unwrap();
        for line in [
            "smart_city_devices{state=\"affirming\"} 3",
            "smart_city_devices{state=\"warning\"} 1",
            "smart_city_devices_isolated 2",
            "smart_city_devices_silent 6",
            "smart_city_frames_accepted_total 7",
            "smart_city_messages_refused_total{reason=\"epoch_ended\"} 4",
            "smart_city_readings_undelivered 5",
            "smart_city_configuration_fault 1",
            "smart_city_broker_connected 1",
            "smart_city_logins_refused_total{over=\"mqtt\"} 1",
            "smart_city_log_lines_lost_total 0",
            "smart_city_unauthenticated_messages_total{result=\"topic\"} 1",
            "smart_city_messages_dropped_total 8",
            "smart_city_batch_seconds_bucket{le=\"0.0005\"} 0",
            "smart_city_batch_seconds_bucket{le=\"0.001\"} 1",
            "smart_city_batch_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
