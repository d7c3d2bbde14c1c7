//! Incidents as objects of STIX 2.1.
//!
//! Ids follow from what they stand for, so that nothing need be remembered for them. Those of observables are UUIDs of version 5, as the
//! standard has them. The standard wants version 4 for all others: those here have its form, and are hashes.

use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// TLP:AMBER of TLP 2.0: for the partner and whom it must tell, and not for the public.
const MARKING: &str = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421";
const MARKING_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// Namespace of ids of observables (STIX 2.1, section 2.9).
const OBSERVABLES: [u8; 16] =
    [0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7];

/// The longest name that is taken from another city: an id, a city, a device.
pub(crate) const MOST_NAME: usize = 128;

/// Who has made what is the same in all cities. No city has such a name.
const AUTHOR: &str = "Authors of the smart city";

/// When what never changes was made.
const EVER: &str = "2026-01-01T00:00:00.000Z";

/// What an incident says of its device, where standard properties have no place for it.
const SCHEMA: &str = "Properties of an incident, all of them required and strings. `city`: the name of the city whose device it is. `device`: its EUI-64, \
     16 lower-case hex digits. `state`: `isolated` from the time on at which its code was found altered, `recovered` when it was restored and attested.";

/// How the extension of incidents is called.
#[must_use]
pub fn extension() -> String {
    id("extension-definition", "incident")
}

/// How a city is called.
#[must_use]
pub fn identity(city: &str) -> String {
    id("identity", city)
}

/// How a collection for a city is called, in TAXII.
pub(crate) fn collection(home: &str, partner: &str) -> String {
    uuid_of(&format!("collection/{home}/{partner}"))
}

/// How an incident is called.
#[must_use]
pub fn incident(city: &str, device: &str, created: Timestamp) -> String {
    id("incident", &format!("{city}/{device}/{}", created.as_millisecond()))
}

fn id(kind: &str, name: &str) -> String {
    format!("{kind}--{}", uuid_of(&format!("{kind}/{name}")))
}

fn uuid_of(name: &str) -> String {
    let hash = Sha256::digest(format!("https://smart-city.example/{name}"));
    uuid(&hash, 4)
}

fn observable(kind: &str, contributing: &str) -> String {
    let name = [&OBSERVABLES, contributing.as_bytes()].concat();
    format!("{kind}--{}", uuid(digest(&SHA1_FOR_LEGACY_USE_ONLY, &name).as_ref(), 5))
}

fn uuid(hash: &[u8], version: u8) -> String {
    let mut bytes = [0; 16];
    for (byte, of_hash) in bytes.iter_mut().zip(hash) {
        *byte = *of_hash;
    }
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// A time as STIX has it.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// An object of a city's, with what all have.
fn object(kind: &str, id: &str, city: &str, (created, modified): (&str, &str), rest: Value) -> Value {
    let mut object = json!({
        "type": kind, "spec_version": "2.1", "id": id, "created": created, "modified": modified,
        "created_by_ref": identity(city), "object_marking_refs": [MARKING],
    });
    if let (Some(object), Value::Object(mut rest)) = (object.as_object_mut(), rest) {
        object.append(&mut rest);
    }
    object
}

/// What all incidents of a city refer to: the marking, the city, the extension and its author, and what to do.
pub(crate) fn common(city: &str) -> Vec<Value> {
    let ever = (EVER, EVER);
    vec![
        json!({
            "type": "marking-definition", "spec_version": "2.1", "id": MARKING, "created": "2022-10-01T00:00:00.000Z",
            "name": "TLP:AMBER",
            "extensions": { MARKING_EXTENSION: { "extension_type": "property-extension", "tlp_2_0": "amber" } },
        }),
        object(
            "identity",
            &identity(city),
            city,
            ever,
            json!({ "name": city, "identity_class": "organization", "sectors": ["government-local"] }),
        ),
        object(
            "identity",
            &identity(AUTHOR),
            AUTHOR,
            ever,
            json!({ "name": AUTHOR, "identity_class": "organization" }),
        ),
        object(
            "extension-definition",
            &extension(),
            AUTHOR,
            ever,
            json!({
                "name": "Isolated device", "schema": SCHEMA, "version": "1.0.0", "extension_types": ["property-extension"],
                "description": "Which device of a city an incident is about, and whether it is isolated.",
            }),
        ),
        object(
            "course-of-action",
            &action(city),
            city,
            ever,
            json!({
                "name": "Hold the device's readings back",
                "description": "Hold back what the device has measured, or mark it, until a newer version of the incident says that the device is recovered, \
                     or the incident is revoked.",
            }),
        ),
    ]
}

fn action(city: &str) -> String {
    id("course-of-action", city)
}

/// An isolation of a device, or its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) city: &'a str,
    pub(crate) device: &'a str,
    pub(crate) created: Timestamp,
    /// The signed attestation result.
    pub(crate) evidence: Option<&'a str>,
}

impl About<'_> {
    fn id(&self) -> String {
        incident(self.city, self.device, self.created)
    }

    /// The incident itself, as it was from `modified` on.
    pub(crate) fn incident(&self, modified: Timestamp, is_over: bool) -> Value {
        let Self { city, device, created, .. } = *self;
        let (state, text) = if is_over {
            ("recovered", "Its code was restored and attested. Its readings can be believed again.")
        } else {
            ("isolated", "Its code is not what was built. Its readings must not be believed.")
        };
        let rest = json!({
            "name": format!("{city}: device {device} {state}"), "description": text,
            "extensions": { extension(): {
                "extension_type": "property-extension", "city": city, "device": device, "state": state,
            } },
        });
        object("incident", &self.id(), city, (&time(created), &time(modified)), rest)
    }

    /// What it refers to, and what refers to it: the device, as the account that it has at its city's broker, the evidence, and the links
    /// between them.
    pub(crate) fn around(&self) -> Vec<Value> {
        let Self { city, device, created, evidence } = *self;
        let (incident, created) = (self.id(), time(created));
        let account = observable("user-account", &json!({ "user_id": device }).to_string());
        let mut objects = vec![json!({
            "type": "user-account", "spec_version": "2.1", "id": account, "user_id": device, "is_service_account": true,
            "object_marking_refs": [MARKING],
        })];
        let mut seen = vec![account];
        if let Some(evidence) = evidence {
            let (payload, hash) =
                (Base64::encode_string(evidence.as_bytes()), hex::encode(Sha256::digest(evidence)));
            // Sorted and without spaces, as the canonical form has it.
            let contributing = format!(r#"{{"hashes":{{"SHA-256":"{hash}"}},"payload_bin":"{payload}"}}"#);
            let artifact = observable("artifact", &contributing);
            objects.push(json!({
                "type": "artifact", "spec_version": "2.1", "id": artifact, "mime_type": "application/jwt",
                "payload_bin": payload, "hashes": { "SHA-256": hash }, "object_marking_refs": [MARKING],
            }));
            seen.push(artifact);
        }
        let times = (&*created, &*created);
        let observed = id("observed-data", &incident);
        let rest = json!({
            "first_observed": created, "last_observed": created, "number_observed": 1, "object_refs": seen,
        });
        objects.push(object("observed-data", &observed, city, times, rest));
        for (from, to) in [(&incident, &observed), (&action(city), &incident)] {
            let name = id("relationship", &format!("{from}/{to}"));
            let rest = json!({ "relationship_type": "related-to", "source_ref": from, "target_ref": to });
            objects.push(object("relationship", &name, city, times, rest));
        }
        objects
    }
}

/// What an incident of another city says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) incident: String,
    /// The identity of who says it.
    pub(crate) by: String,
    /// City and device, if it names them.
    pub(crate) about: Option<(String, String)>,
    pub(crate) is_over: bool,
}

impl Told {
    /// None if it is no incident, or is not as one must be.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().filter(|text| text.len() <= MOST_NAME).map(str::to_owned);
        let is_uuid =
            |id: &str| id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        // It becomes a property of messages to users, and must not break these.
        let incident = text(&object["id"]).filter(|id| id.strip_prefix("incident--").is_some_and(is_uuid))?;
        let extension = &object["extensions"][&extension()];
        let about = text(&extension["city"]).zip(text(&extension["device"]));
        let is_revoked = object["revoked"] == true;
        let is_over = match extension["state"].as_str() {
            _ if is_revoked => true,
            Some("isolated") => false,
            Some("recovered") => true,
            _ => return None,
        };
        let by = text(&object["created_by_ref"])?;
        Some(Self { incident, by, about, is_over })
    }
}
