//! What is put on a device before it goes into the street, as a file.
//!
//! ```toml
//! id = "70b3d5fffe000001"
//! root_key = "000102030405060708090a0b0c0d0e0f"
//! mqtt_password = "..."
//! broker = "mqtt://127.0.0.1:1883"        # may be missing; mqtts:// with TLS
//! streams = ["1:public:air"]              # may be missing: number, class, and sensor if it is not traffic
//! shards = 16                             # of a city with several gateways alone: as in its city.toml
//! ```

use std::{fmt, fs, num::NonZeroU16, path::Path, str::FromStr};

use anyhow::{Context, Error, Result, bail, ensure};
use serde::Deserialize;
use smart_city_address::Address;
use smart_city_frame::{Class, DeviceId, RootKey, Stream};
use zeroize::Zeroizing;

use crate::sensors::Sensor;

/// The identity and the secrets of a device, and what it is to do.
#[derive(Debug)]
pub struct Provisioned {
    /// Its EUI-64, which is also its user name at the broker.
    pub id: DeviceId,
    /// What its keys are derived from.
    pub root_key: RootKey,
    /// Its password at the broker.
    pub mqtt_password: Password,
    /// Where the broker is.
    pub broker: Option<Address>,
    /// What it sends.
    pub streams: Vec<Measured>,
    /// In how many shards the gateways of its city share the devices; none if there is one gateway.
    pub shards: Option<u16>,
}

/// A password, erased on drop, which `Debug` does not print.
#[derive(Deserialize)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The password itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password { .. }")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    root_key: Zeroizing<String>,
    mqtt_password: Password,
    broker: Option<String>,
    #[serde(default)]
    streams: Vec<String>,
    shards: Option<NonZeroU16>,
}

impl Provisioned {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map(Zeroizing::new);
        text.map_err(Error::from)
            .and_then(|text| Self::parse(&text))
            .with_context(|| format!("{} does not say what this device is", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        // Without the excerpt of the file that errors show, and without the values that are of a wrong type: they may be secret.
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let is_shown = !error.message().starts_with("invalid");
            let shown = error.message().split(['`', '"']).next().filter(|_| !is_shown);
            Error::msg(shown.unwrap_or(error.message()).to_owned())
        })?;
        let mut root_key = Zeroizing::new([0; 16]);
        let digits = base16ct::mixed::decode(raw.root_key.as_bytes(), &mut *root_key).map(<[u8]>::len);
        ensure!(digits == Ok(16), "root_key: it is not 32 hex digits");
        ensure!(*root_key != [0; 16], "root_key: it is all zeros");
        ensure!(!raw.mqtt_password.0.is_empty(), "mqtt_password: it is empty");
        let streams = raw.streams.iter().map(|stream| stream.parse());
        Ok(Self {
            id: id(&raw.id).context("id: it is not 16 hex digits in lower case")?,
            root_key: RootKey::new(*root_key),
            mqtt_password: raw.mqtt_password,
            broker: raw.broker.map(|broker| broker.parse()).transpose().context("broker")?,
            streams: streams.collect::<Result<_>>().context("streams")?,
            shards: raw.shards.map(NonZeroU16::get),
        })
    }
}

fn id(text: &str) -> Option<DeviceId> {
    let mut id = [0; 8];
    (base16ct::lower::decode(text, &mut id).ok()?.len() == 8).then_some(DeviceId(id))
}

/// A stream and what is measured for it, as `1:public:air`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The stream, as in the gateway's `city.toml`.
    pub stream: Stream,
    /// The sensor.
    pub sensor: Sensor,
}

impl FromStr for Measured {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split(':').collect();
        let (number, class, sensor) = match parts[..] {
            [number, class] => (number, class, "traffic"),
            [number, class, sensor] => (number, class, sensor),
            _ => bail!("`{text}` is not NUMBER:CLASS:SENSOR, as 1:public:air"),
        };
        let class = match class {
            "public" => Class::Public,
            "internal" => Class::Internal,
            "confidential" => Class::Confidential,
            _ => bail!("`{class}` is not public, internal or confidential"),
        };
        let sensor = match sensor {
            "traffic" => Sensor::Traffic,
            "gate" => Sensor::Gate,
            "weather" => Sensor::Weather,
            "air" => Sensor::Air,
            _ => bail!("`{sensor}` is not traffic, gate, weather or air"),
        };
        let id = number.parse().with_context(|| format!("`{number}` is not 1 to 65535"))?;
        Ok(Self { stream: Stream { id, class }, sensor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        id = "70b3d5fffe000001"
        root_key = "000102030405060708090A0b0c0d0e0f"
        mqtt_password = "example"
    "#;

    #[test]
    fn a_file_says_what_a_device_is() {
        let file =
            format!("{FILE}broker = \"mqtt://[::1]:1884\"\nstreams = [\"3:confidential:gate\"]\nshards = 16");
        let read = Provisioned::parse(&file).unwrap();
        assert_eq!(read.id, DeviceId([0x70, 0xB3, 0xD5, 0xFF, 0xFE, 0, 0, 1]));
        let key: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(read.root_key.fingerprint(read.id), RootKey::new(key).fingerprint(read.id));
        assert_eq!(read.mqtt_password.as_str(), "example");
        assert_eq!(read.broker, Some("mqtt://[::1]:1884".parse().unwrap()));
        let stream = Stream { id: 3.try_into().unwrap(), class: Class::Confidential };
        assert_eq!(read.streams, [Measured { stream, sensor: Sensor::Gate }]);
        assert_eq!(read.shards, Some(16));

        let read = Provisioned::parse(FILE).unwrap();
        assert!(read.broker.is_none() && read.streams.is_empty() && read.shards.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_shown() {
        for (from, to, what) in [
            ("70b3", "70B3", "id"),
            ("70b3", "", "id"),
            ("0001020304", "00010203", "root_key"),
            ("0001020304", "g001020304", "root_key"),
            ("000102030405060708090A0b0c0d0e0f", "00000000000000000000000000000000", "root_key"),
            ("\"example\"", "\"\"", "mqtt_password"),
            ("mqtt_password", "password", "password"),
            ("\"example\"", "\"example\"\nbroker = \"http://a\"", "broker"),
            ("\"example\"", "\"example\"\nstreams = [\"0:public:air\"]", "streams"),
            ("\"example\"", "\"example\"\nshards = 0", "invalid value"),
            ("\"example\"", "\"example\nlines", ""),
            ("\"example\"", "73519264", "invalid type"),
        ] {
            let error = format!("{:#}", Provisioned::parse(&FILE.replacen(from, to, 1)).unwrap_err());
            assert!(error.contains(what), "{error}");
            for secret in ["0506070809", "example", "7351"] {
                assert!(!error.contains(secret), "{error}");
            }
        }
        assert!(!format!("{:?}", Provisioned::parse(FILE).unwrap()).contains("example"));
    }

    #[test]
    fn streams_are_parsed() {
        for wrong in ["1", "65536:public:air", "1:secret:air", "1:public:snow", "1:public:air:"] {
            assert!(wrong.parse::<Measured>().is_err(), "{wrong}");
        }
    }
}
