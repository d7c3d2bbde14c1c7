//! What was measured elsewhere, and came with a label.

use std::time::{Duration, Instant};

use jiff::ToSpan as _;
use smart_city_ngsi_ld::Label;

use super::*;

/// Who is named by the label sees it.
struct ByLabel;

impl Policy for ByLabel {
    fn sees(&self, user: &str, source: Source<'_>) -> bool {
        match source {
            Source::Stream { label, device_ok, .. } => {
                device_ok && label.is_none_or(|label| label == user || user == "push:some")
            }
            Source::User(author) => user == author,
        }
    }

    fn standing(&self, _: &str) -> String {
        String::new()
    }
}

const ELSEWHERE: &str = "a:70b3d5fffe000001";
const ID: &str = "urn:ngsi-ld:TrafficFlowObserved:device:a:70b3d5fffe000001";

impl City {
    fn labelled() -> Self {
        let city = Self::new();
        city.is_mapped(true);
        city
    }

    fn is_mapped(&self, is_mapped: bool) {
        let value = json!({
            "streams": { "a/open": { "model": "TrafficFlowObserved", "properties": { "intensity": { "from": "vehicles" } } } },
            "push": [{ "name": "some", "url": "http://127.0.0.1:9" }],
        });
        let mapping = Mapping::parse(&value, |_| true, |_| true, |_| Err(String::new())).unwrap();
        let mapping = if is_mapped { mapping } else { Mapping::default() };
        self.broker.configure(ByLabel, mapping, |_| true);
    }

    fn came(&self, device: &str, label: &str, until: Timestamp) {
        self.came_of(Timestamp::now(), device, label, until);
        self.broker.work();
    }

    fn came_of(&self, time: Timestamp, device: &str, label: &str, until: Timestamp) {
        let (stream, bytes) = ("a/open".to_owned(), br#"{"vehicles":5}"#.to_vec());
        let reading = Reading { stream, device: device.to_owned(), time, bytes };
        self.broker.labelled(reading, Label { text: label.to_owned(), until });
    }

    fn status(&self, user: &str) -> u16 {
        self.get(user, &format!("entities/{ID}")).status.as_u16()
    }
}

#[test]
fn the_last_label_says_who_sees_it() {
    let (city, until) = (City::labelled(), Timestamp::now() + 1.hours());
    city.came(ELSEWHERE, "ann", until);
    assert_eq!([city.status("ann"), city.status("ben")], [200, 404]);
    city.came(ELSEWHERE, "ben", until);
    assert_eq!([city.status("ann"), city.status("ben")], [404, 200]);
    city.broker.isolate(ELSEWHERE);
    assert_eq!(city.status("ben"), 404);
    // It is not this city's: no other broker gets it, not even the one that could see it.
    assert!(city.broker.due(Instant::now() + Duration::from_secs(9), city.now).is_empty());
}

#[test]
fn nobody_sees_what_has_expired_and_then_it_is_gone() {
    let city = City::labelled();
    city.came(ELSEWHERE, "ann", Timestamp::now() + 300.milliseconds());
    assert_eq!(city.status("ann"), 200);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(city.status("ann"), 404);
    // Another one does not end with it.
    city.came(ELSEWHERE, "ann", Timestamp::now() + 1.hours());
    city.broker.due(Instant::now(), Timestamp::now());
    assert_eq!(city.status("ann"), 200);
    city.broker.due(Instant::now(), Timestamp::now() + 2.hours());
    assert_eq!(city.status("ann"), 404);
}

/// Another city may say that it has any number of devices.
#[test]
fn devices_elsewhere_make_only_so_many_entities() {
    let (city, until) = (City::labelled(), Timestamp::now() + 1.hours());
    for i in 0..1000 {
        city.came(&format!("a:{i}"), "ann", until);
    }
    city.came(ELSEWHERE, "ann", until);
    assert_eq!(city.status("ann"), 404);
    // Those that are there go on, and when one has ended there is room.
    city.came("a:0", "ann", until + 1.hours());
    city.came("a:1", "ann", Timestamp::now());
    city.broker.due(Instant::now(), Timestamp::now());
    city.came(ELSEWHERE, "ann", until);
    assert_eq!(city.status("ann"), 200);
    city.came("a:1001", "ann", until);
    assert_eq!(
        city.get("ann", "entities/urn:ngsi-ld:TrafficFlowObserved:device:a:1001").status.as_u16(),
        404
    );
}

/// Unlike an own device, one elsewhere is heard while it is not believed.
#[test]
fn what_comes_while_a_device_is_not_believed_is_not_seen_later() {
    let (city, until) = (City::labelled(), Timestamp::now() + 1.hours());
    city.broker.isolate(ELSEWHERE);
    city.came(ELSEWHERE, "ann", until);
    city.broker.recover(ELSEWHERE);
    assert_eq!(city.status("ann"), 404);
    city.came(ELSEWHERE, "ann", until);
    assert_eq!(city.status("ann"), 200);
}

/// Places of entities that a reload has removed are free again.
#[test]
fn a_reload_frees_places() {
    let (city, until) = (City::labelled(), Timestamp::now() + 1.hours());
    (0..1000).for_each(|i| city.came(&format!("a:{i}"), "ann", until));
    city.is_mapped(true);
    city.came(ELSEWHERE, "ann", until);
    assert_eq!(city.status("ann"), 404, "those that stay have theirs");
    city.is_mapped(false);
    city.is_mapped(true);
    city.came(ELSEWHERE, "ann", until);
    assert_eq!(city.status("ann"), 200);
}

/// By another way an older reading may come later: it changes nothing, not even who sees the newer one.
#[test]
fn what_is_older_changes_nothing() {
    let (city, until) = (City::labelled(), Timestamp::now() + 1.hours());
    let now = Timestamp::now();
    city.came_of(now, ELSEWHERE, "ann", until);
    // Before and after the newer one was looked at.
    for _ in 0..2 {
        city.came_of(now - 1.seconds(), ELSEWHERE, "ben", until);
        city.broker.work();
        assert_eq!([city.status("ann"), city.status("ben")], [200, 404]);
    }
    city.came_of(now + 1.seconds(), ELSEWHERE, "ben", until);
    city.broker.work();
    assert_eq!([city.status("ann"), city.status("ben")], [404, 200]);
}
