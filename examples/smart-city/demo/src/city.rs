//! The city of the demo: its files, and **who may see what, worked out here anew** and not by the gateway's policy engine.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use sha2::{Digest as _, Sha256};
use smart_city_devices::{image::Image, sensors::Sensor};
use smart_city_frame::{Class, DeviceId, Stream};

/// How many devices there are.
pub const DEVICES: u16 = 50;

/// How many of them run the firmware, where it is there: the last ones. The others are simulated.
pub const FIRMWARE: u16 = 2;

/// The city whose gateway it is.
pub const HOME: &str = "midori";

/// The partner city.
pub const PARTNER: &str = "aoba";

/// A stream of the demo.
#[derive(Debug)]
pub struct DemoStream {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: &'static str,
    /// Who may see it.
    pub class: Class,
    /// The departments that it is for.
    pub departments: &'static [&'static str],
    /// The level that it takes.
    pub min_level: u8,
    /// Whether it is shared with the partner city.
    pub is_shared: bool,
    /// What it consists of; none if a device with the firmware measures it.
    pub sensor: Option<Sensor>,
}

/// The stream of the devices with the firmware: it has the number that their application gives it.
pub static STREET: DemoStream = DemoStream {
    id: 1,
    name: "street",
    class: Class::Internal,
    departments: &["traffic", "rescue"],
    min_level: 0,
    is_shared: false,
    sensor: None,
};

/// The streams of the simulated devices.
pub static STREAMS: [DemoStream; 4] = [
    DemoStream {
        id: 2,
        name: "traffic-flow",
        class: Class::Public,
        departments: &[],
        min_level: 0,
        is_shared: false,
        sensor: Some(Sensor::Traffic),
    },
    DemoStream {
        id: 3,
        name: "weather",
        class: Class::Public,
        departments: &[],
        min_level: 0,
        is_shared: false,
        sensor: Some(Sensor::Weather),
    },
    DemoStream {
        id: 4,
        name: "air-quality",
        class: Class::Internal,
        departments: &["environment", "rescue"],
        min_level: 1,
        is_shared: true,
        sensor: Some(Sensor::Air),
    },
    DemoStream {
        id: 5,
        name: "barriers",
        class: Class::Confidential,
        departments: &["traffic", "rescue"],
        min_level: 2,
        is_shared: false,
        sensor: Some(Sensor::Gate),
    },
];

/// A user of the demo.
#[derive(Debug)]
pub struct DemoUser {
    /// The name.
    pub id: &'static str,
    /// The home city.
    pub city: &'static str,
    /// The departments.
    pub departments: &'static [&'static str],
    /// The level.
    pub level: u8,
    /// In words.
    pub about: &'static str,
}

/// All users.
pub const USERS: [DemoUser; 6] = [
    DemoUser { id: "hana", city: HOME, departments: &["traffic"], level: 2, about: "traffic, level 2" },
    DemoUser { id: "taro", city: HOME, departments: &["traffic"], level: 1, about: "traffic, level 1" },
    DemoUser { id: "mei", city: HOME, departments: &["rescue"], level: 3, about: "rescue, level 3" },
    DemoUser {
        id: "ren",
        city: HOME,
        departments: &["environment"],
        level: 0,
        about: "environment, level 0",
    },
    DemoUser {
        id: "sora",
        city: PARTNER,
        departments: &["environment"],
        level: 1,
        about: "partner city, environment, level 1",
    },
    DemoUser { id: "guest", city: HOME, departments: &[], level: 0, about: "no department: open data" },
];

impl DemoStream {
    /// As in frames.
    ///
    /// # Panics
    /// Never: no stream has number 0.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream { id: self.id.try_into().expect("not 0"), class: self.class }
    }

    /// Why `user` must not see it; none if the user may.
    #[must_use]
    pub fn refusal(&self, user: &DemoUser) -> Option<&'static str> {
        let shares_department = user.departments.iter().any(|name| self.departments.contains(name));
        let has_level = user.level >= self.min_level;
        match self.class {
            Class::Public => None,
            _ if user.city != HOME && !self.is_shared => Some("another city"),
            _ if !shares_department => Some("another department"),
            // Within the city, internal data takes no level.
            Class::Internal if user.city == HOME => None,
            _ if !has_level => Some("too low a level"),
            _ => None,
        }
    }
}

/// A device of the demo.
#[derive(Clone, Debug)]
pub struct DemoDevice {
    /// Its EUI-64.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its place on the page's grid.
    pub place: [u16; 2],
    /// What it sends.
    pub streams: Vec<&'static DemoStream>,
    /// Its root key.
    pub root_key: [u8; 16],
    /// Its password at the broker.
    pub password: String,
}

/// The functions of the firmware's application that instructions start: regions 1, 2, ... in this order.
pub const STREET_FUNCTIONS: [&str; 6] =
    ["lamp_on", "lamp_off", "lamp_dim", "crossing_walk", "crossing_stop", "set_interval"];

impl DemoDevice {
    /// Whether it runs the firmware; if not it is simulated.
    #[must_use]
    pub fn runs_firmware(&self) -> bool {
        self.streams.iter().all(|stream| stream.sensor.is_none())
    }
}

/// The images of the firmware.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// The secure world.
    pub secure: PathBuf,
    /// Its application.
    pub street: PathBuf,
}

impl Firmware {
    /// Those in the folder to which `cargo xtask` builds them.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { secure: folder.join("secure"), street: folder.join("street") }
    }
}

/// The files of a city, and the secrets in them. They are for one run.
#[derive(Debug)]
pub struct City {
    /// `city.toml`.
    pub config: PathBuf,
    /// `secrets.toml`.
    pub secrets: PathBuf,
    /// The devices.
    pub devices: Vec<DemoDevice>,
    /// What they send.
    pub streams: Vec<&'static DemoStream>,
    /// The passwords of [`USERS`].
    pub passwords: Vec<String>,
    /// What operators show.
    pub operator_token: String,
}

impl City {
    /// Writes all files into `dir`, with new secrets. The last devices run the firmware, if there is any.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(dir: &Path, firmware: Option<&Firmware>) -> Result<Self> {
        let [traffic, weather, air, barriers] = &STREAMS;
        let devices = (0..DEVICES)
            .map(|i| {
                let [high, low] = (i + 1).to_be_bytes();
                let (kind, streams) = match i {
                    _ if firmware.is_some() && i >= DEVICES - FIRMWARE => ("Street", vec![&STREET]),
                    _ if i % 5 < 3 => ("Crossing", vec![traffic, barriers]),
                    _ => ("Mast", vec![weather, air]),
                };
                Ok(DemoDevice {
                    id: DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, 0, high, low]),
                    name: format!("{kind} {}", i + 1),
                    place: [i % 10, i / 10],
                    streams,
                    root_key: random()?,
                    password: secret()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let passwords = USERS.iter().map(|_| secret()).collect::<Result<Vec<_>>>()?;
        let city = Self {
            config: dir.join("city.toml"),
            secrets: dir.join("secrets.toml"),
            devices,
            streams: STREAMS.iter().chain(firmware.map(|_| &STREET)).collect(),
            passwords,
            operator_token: secret()?,
        };
        fs::create_dir_all(dir.join("code"))?;
        for function in Image::simulated().functions() {
            fs::write(dir.join("code").join(format!("{}.bin", function.name)), &function.code)?;
        }
        if let Some(Firmware { street, .. }) = firmware {
            fs::copy(street, dir.join("code/street"))
                .with_context(|| format!("cannot copy {}", street.display()))?;
        }
        write_secret(
            &dir.join("ear-key.pem"),
            &p256::SecretKey::from_slice(&random::<32>()?)?.to_pkcs8_pem(LineEnding::LF)?,
        )?;
        fs::write(&city.config, city.config_text()?)?;
        write_secret(&city.secrets, &city.secrets_text()?)?;
        Ok(city)
    }

    fn config_text(&self) -> Result<String> {
        let mut text = format!(
            "departments = [\"traffic\", \"environment\", \"rescue\"]\n\n\
             [gateway]\ncity = \"{HOME}\"\nevidence_deadline_ms = 2000\nevidence_attempts = 3\n\n\
             [[cities]]\nid = \"{HOME}\"\nname = \"Midori\"\n\n[[cities]]\nid = \"{PARTNER}\"\nname = \"Aoba\"\n"
        );
        for stream in &self.streams {
            let class = match stream.class {
                Class::Public => "public",
                Class::Internal => "internal",
                Class::Confidential => "confidential",
            };
            let partners: &[&str] = if stream.is_shared { &[PARTNER] } else { &[] };
            let content_type =
                if stream.sensor.is_some() { "application/json" } else { "application/octet-stream" };
            write!(
                text,
                "\n[[streams]]\nid = {}\nname = \"{}\"\nclass = \"{class}\"\nowner = \"{HOME}\"\ndepartments = {:?}\n\
                 min_level = {}\npartners = {partners:?}\ncontent_type = \"{content_type}\"\n",
                stream.id, stream.name, stream.departments, stream.min_level,
            )?;
        }
        text.push_str("\n[[images]]\nid = \"demo\"\nregions = [\n");
        for function in Image::simulated().functions() {
            let (id, name) = (function.region, function.name);
            writeln!(text, "    {{ id = {id}, name = \"{name}\", code = \"code/{name}.bin\" }},")?;
        }
        text.push_str("]\n");
        if self.streams.iter().any(|stream| stream.sensor.is_none()) {
            text.push_str("\n[[images]]\nid = \"street\"\nregions = [\n");
            for (id, name) in (1..).zip(STREET_FUNCTIONS) {
                writeln!(text, "    {{ id = {id}, name = \"{name}\", code = \"code/street\" }},")?;
            }
            text.push_str("]\n");
        }
        for device in &self.devices {
            let streams: Vec<&str> = device.streams.iter().map(|stream| stream.name).collect();
            let image = if device.runs_firmware() { "street" } else { "demo" };
            let DemoDevice { id, name, place, .. } = device;
            let [column, row] = place.map(f64::from);
            // Along streets that are not quite straight.
            let (longitude, latitude) =
                (139.74 + 0.004 * column + 0.0007 * row, 35.68 - 0.004 * row + 0.001 * column.sin());
            write!(
                text,
                "\n[[devices]]\nid = \"{id}\"\nname = \"{name}\"\nplace = {place:?}\nposition = [{longitude:.5}, {latitude:.5}]\nimage = \"{image}\"\nstreams = {streams:?}\n",
            )?;
        }
        for DemoUser { id, city, departments, level, .. } in &USERS {
            write!(
                text,
                "\n[[users]]\nid = \"{id}\"\ncity = \"{city}\"\ndepartments = {departments:?}\nlevel = {level}\n",
            )?;
        }
        Ok(text)
    }

    fn secrets_text(&self) -> Result<String> {
        let mut text = format!(
            "gateway_password = \"{}\"\near_key = \"ear-key.pem\"\n\n[operators.demo]\nrole = \"operator\"\ntoken_sha256 = \"{}\"\n",
            secret()?,
            hex(Sha256::digest(&self.operator_token).as_slice()),
        );
        for DemoDevice { id, root_key, password, .. } in &self.devices {
            let root_key = hex(root_key);
            write!(text, "\n[devices.{id}]\nroot_key = \"{root_key}\"\nmqtt_password = \"{password}\"\n")?;
        }
        for (user, password) in USERS.iter().zip(&self.passwords) {
            write!(text, "\n[users.{}]\nmqtt_password = \"{password}\"\n", user.id)?;
        }
        Ok(text)
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("this machine has no random numbers")?;
    Ok(bytes)
}

pub(crate) fn secret() -> Result<String> {
    Ok(hex(&random::<16>()?))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// For the owner's eyes alone, where there are owners.
pub(crate) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, text.as_bytes())
}
