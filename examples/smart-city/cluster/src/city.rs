//! The city: its files, for each gateway, and its accounts.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Result;
use sha2::{Digest as _, Sha256};
use smart_city_devices::image::Image;
use smart_city_engine::attestation::Signer;
use smart_city_frame::{Class, DeviceId, RootKey, Stream};

/// A stream of all devices.
#[derive(Debug)]
pub struct CityStream {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: &'static str,
    /// Who may see it.
    pub class: Class,
    /// The same, of [`USERS`].
    pub users: &'static [&'static str],
}

/// Each device sends both.
pub const STREAMS: [CityStream; 2] = [
    CityStream { id: 1, name: "traffic-flow", class: Class::Public, users: &USERS },
    CityStream { id: 2, name: "gates", class: Class::Confidential, users: &["hana"] },
];

/// The users: hana may see all, ren what is public.
pub const USERS: [&str; 2] = ["hana", "ren"];

/// What operators show.
pub const OPERATOR_TOKEN: &str = "example-operator-token-of-a-cluster";

/// The password of the MQTT user `gateway`.
pub const GATEWAY_PASSWORD: &str = "example-gateway-password";

/// How many devices there can be: their places on the page's grid are 1,000 in a row.
pub const MOST_DEVICES: u32 = 1_000_000;

/// What a city is made with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many devices.
    pub devices: u32,
    /// The table `[cluster]`; none for a gateway that is alone.
    pub cluster: Option<Cluster>,
}

/// What gateways share.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Where the database is.
    pub database: String,
    /// Into how many shards the devices are divided.
    pub shards: u16,
    /// How long a lease lasts.
    pub lease_seconds: u64,
}

impl CityStream {
    /// As in frames.
    ///
    /// # Panics
    /// Never: no stream has number 0.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream { id: self.id.try_into().expect("not 0"), class: self.class }
    }
}

/// The address of a device. Addresses follow each other, as a manufacturer gives them.
#[must_use]
pub fn device(number: u32) -> DeviceId {
    let [_, high, middle, low] = number.to_be_bytes();
    DeviceId([0x70, 0xb3, 0xd5, 0xff, 0xfe, high, middle, low])
}

/// Its root key, which is as secret as this file.
#[must_use]
pub fn root(number: u32) -> RootKey {
    RootKey::new(key(number).to_be_bytes())
}

fn key(number: u32) -> u128 {
    0x4217 << 64 | u128::from(number)
}

/// The password of an account: of a device or a user.
#[must_use]
pub fn password(name: &str) -> String {
    format!("example-{name}")
}

impl Plan {
    /// Writes the files of a gateway into a folder.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir.join("code"))?;
        for function in Image::simulated().functions() {
            fs::write(dir.join("code").join(function.name), &function.code)?;
        }
        self.write_config(&dir.join("city.toml"))?;
        self.write_secrets(&dir.join("secrets.toml"))
    }

    fn write_config(&self, path: &Path) -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "departments = [\"traffic\"]\n\n[gateway]\ncity = \"midori\"")?;
        writeln!(file, "evidence_deadline_ms = 2000\nevidence_attempts = 3\n")?;
        writeln!(
            file,
            "[[cities]]\nid = \"midori\"\nname = \"Midori\"\n\n[history]\nhours = 24\nmost = 10000000"
        )?;
        if let Some(Cluster { database, shards, lease_seconds }) = &self.cluster {
            writeln!(
                file,
                "\n[cluster]\ndatabase = {database:?}\nshards = {shards}\nlease_seconds = {lease_seconds}"
            )?;
        }
        for CityStream { id, name, class, .. } in &STREAMS {
            let label = match class {
                Class::Public => "class = \"public\"",
                _ => "class = \"confidential\"\ndepartments = [\"traffic\"]\nmin_level = 2",
            };
            writeln!(file, "\n[[streams]]\nid = {id}\nname = \"{name}\"\nowner = \"midori\"\n{label}")?;
        }
        writeln!(file, "\n[[images]]\nid = \"simulated\"\nregions = [")?;
        for function in Image::simulated().functions() {
            let (id, name) = (function.region, function.name);
            writeln!(file, "    {{ id = {id}, name = \"{name}\", code = \"code/{name}\" }},")?;
        }
        writeln!(file, "]")?;
        let streams = STREAMS.map(|stream| stream.name);
        for number in 0..self.devices {
            let place = [number % 1000, number / 1000];
            writeln!(file, "\n[[devices]]\nid = \"{}\"\nname = \"Sensor {number}\"", device(number))?;
            writeln!(file, "place = {place:?}\nimage = \"simulated\"\nstreams = {streams:?}")?;
        }
        writeln!(
            file,
            "\n[[users]]\nid = \"hana\"\ncity = \"midori\"\ndepartments = [\"traffic\"]\nlevel = 2"
        )?;
        writeln!(file, "\n[[users]]\nid = \"ren\"\ncity = \"midori\"\ndepartments = []\nlevel = 0")?;
        Ok(file.flush()?)
    }

    fn write_secrets(&self, path: &Path) -> Result<()> {
        let mut file = BufWriter::new(smart_city_engine::store::private().truncate(true).open(path)?);
        let token = hex::encode(Sha256::digest(OPERATOR_TOKEN));
        writeln!(file, "gateway_password = \"{GATEWAY_PASSWORD}\"\near_key = \"ear-key.pem\"")?;
        writeln!(file, "\n[operators.kana]\nrole = \"operator\"\ntoken_sha256 = \"{token}\"")?;
        let mut entry = String::new();
        for number in 0..self.devices {
            entry.clear();
            let name = device(number).to_string();
            let password = password(&name);
            write!(
                entry,
                "\n[devices.{name}]\nroot_key = \"{:032x}\"\nmqtt_password = \"{password}\"\n",
                key(number)
            )?;
            file.write_all(entry.as_bytes())?;
        }
        for user in USERS {
            writeln!(file, "\n[users.{user}]\nmqtt_password = \"{}\"", password(user))?;
        }
        Ok(file.flush()?)
    }
}

/// The key that signs attestation results, the same at all gateways.
///
/// # Errors
/// If there are no random numbers.
pub fn ear_key() -> Result<String> {
    Ok(Signer::generate()?.to_string())
}
