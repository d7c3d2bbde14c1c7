//! Changes of the gateway's files by command: who is in the city. What others wrote stays, in its order.
//!
//! The gateway would accept both files before either is replaced. A gateway that runs reads them then. It takes neither file alone, because
//! each must fit the other.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, ensure};
use smart_city_cities::keys::{self, Step};
use smart_city_engine::{
    config::{City, Role, Secrets, TokenHash},
    policy::class_name,
};
use smart_city_frame::DeviceId;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};
use zeroize::Zeroizing;

use crate::{check, random_hex};

/// A device to be added.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its EUI-64.
    pub id: DeviceId,
    /// Its readable name.
    pub name: String,
    /// Its place on the page's grid.
    pub place: [u16; 2],
    /// Its longitude and latitude, if they are known.
    pub position: Option<[f64; 2]>,
    /// The image that it runs.
    pub image: String,
    /// The names of the streams that it sends.
    pub streams: Vec<String>,
}

/// A user to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name at the broker.
    pub id: String,
    /// The user's city.
    pub city: String,
    /// The departments.
    pub departments: Vec<String>,
    /// The security level.
    pub level: u8,
    /// It is an account of a device that seals nothing.
    pub sends_only: bool,
}

/// Both files of a gateway.
#[derive(Clone, Debug)]
pub struct Files {
    /// `city.toml`.
    pub city: PathBuf,
    /// `secrets.toml`.
    pub secrets: PathBuf,
}

impl Files {
    /// Adds a device with a new root key and a new password. `hand_out` gets what goes on the device; if it fails nothing is changed.
    ///
    /// # Errors
    /// The files or the device are wrong, or cannot be written.
    pub fn provision(&self, device: &NewDevice, hand_out: impl FnOnce(&str) -> io::Result<()>) -> Result<()> {
        let id = device.id;
        let add = |city: &City, documents: &mut Documents| {
            ensure!(
                !city.devices.contains_key(&id),
                "device {id} is there already: `rotate` gives it a new key"
            );
            let mut entry = Table::new();
            entry["id"] = value(id.to_string());
            entry["name"] = value(&device.name);
            entry["place"] = value(device.place.map(i64::from).into_iter().collect::<Array>());
            if let Some(position) = device.position {
                entry["position"] = value(position.into_iter().collect::<Array>());
            }
            entry["image"] = value(&device.image);
            entry["streams"] = value(device.streams.iter().collect::<Array>());
            documents.list("devices")?.push(entry);
            documents.new_secrets_of_device(id)
        };
        self.change(add, |city, secrets| hand_out(&device_file(city, id, &secrets)))
    }

    /// Gives a device a new root key and a new password. `hand_out` gets what goes on the device; if it fails nothing is changed.
    ///
    /// # Errors
    /// The files are wrong or cannot be written, or there is no such device.
    pub fn rotate(&self, device: DeviceId, hand_out: impl FnOnce(&str) -> io::Result<()>) -> Result<()> {
        let rotate = |city: &City, documents: &mut Documents| {
            ensure!(city.devices.contains_key(&device), "there is no device {device}");
            documents.new_secrets_of_device(device)
        };
        self.change(rotate, |city, secrets| hand_out(&device_file(city, device, &secrets)))
    }

    /// Removes a device. The gateway keeps what was opened under its key, and that it was isolated.
    ///
    /// # Errors
    /// The files are wrong or cannot be written, or there is no such device.
    pub fn remove_device(&self, device: DeviceId) -> Result<()> {
        let remove = |city: &City, documents: &mut Documents| {
            ensure!(city.devices.contains_key(&device), "there is no device {device}");
            documents.remove("devices", &device.to_string())
        };
        self.change(remove, |_, ()| Ok(()))
    }

    /// Adds a user with a new password. `hand_out` gets the password; if it fails nothing is changed.
    ///
    /// # Errors
    /// The files or the user are wrong, or cannot be written.
    pub fn add_user(&self, user: &NewUser, hand_out: impl FnOnce(&str) -> io::Result<()>) -> Result<()> {
        let add = |city: &City, documents: &mut Documents| {
            ensure!(!city.has_user(&user.id), "user {} is there already", user.id);
            let mut entry = Table::new();
            entry["id"] = value(&user.id);
            entry["city"] = value(&user.city);
            entry["departments"] = value(user.departments.iter().collect::<Array>());
            entry["level"] = value(i64::from(user.level));
            if user.sends_only {
                entry["sends_only"] = value(true);
            }
            documents.list("users")?.push(entry);
            documents.new_password_of_user(&user.id)
        };
        self.change(add, |_, password| hand_out(&password))
    }

    /// Gives a user a new password. `hand_out` gets it; if it fails nothing is changed.
    ///
    /// # Errors
    /// The files are wrong or cannot be written, or there is no such user.
    pub fn change_password(&self, user: &str, hand_out: impl FnOnce(&str) -> io::Result<()>) -> Result<()> {
        let change = |city: &City, documents: &mut Documents| {
            ensure!(city.has_user(user), "there is no user {user}");
            documents.new_password_of_user(user)
        };
        self.change(change, |_, password| hand_out(&password))
    }

    /// Removes a user.
    ///
    /// # Errors
    /// The files are wrong or cannot be written, or there is no such user.
    pub fn remove_user(&self, user: &str) -> Result<()> {
        let remove = |city: &City, documents: &mut Documents| {
            ensure!(city.has_user(user), "there is no user {user}");
            documents.remove("users", user)
        };
        self.change(remove, |_, ()| Ok(()))
    }

    /// Adds an operator with a new token. `hand_out` gets the token; if it fails nothing is changed.
    ///
    /// # Errors
    /// The files or the operator are wrong, or cannot be written.
    pub fn add_operator(
        &self,
        name: &str,
        role: Role,
        hand_out: impl FnOnce(&str) -> io::Result<()>,
    ) -> Result<()> {
        let add = |documents: &mut Documents| {
            ensure!(!documents.has_operator(name), "operator {name} is there already");
            documents.set_secrets("operators", name, &[("role", role.name())])?;
            documents.new_token(name)
        };
        self.change(|_, documents| add(documents), |_, token| hand_out(&token))
    }

    /// Gives an operator a new token. `hand_out` gets it; if it fails nothing is changed.
    ///
    /// # Errors
    /// The files are wrong or cannot be written, or there is no such operator.
    pub fn change_token(&self, name: &str, hand_out: impl FnOnce(&str) -> io::Result<()>) -> Result<()> {
        let change = |documents: &mut Documents| {
            ensure!(documents.has_operator(name), "there is no operator {name}");
            documents.new_token(name)
        };
        self.change(|_, documents| change(documents), |_, token| hand_out(&token))
    }

    /// Removes an operator.
    ///
    /// # Errors
    /// The files are wrong or cannot be written, or there is no such operator.
    pub fn remove_operator(&self, name: &str) -> Result<()> {
        let remove = |documents: &mut Documents| {
            ensure!(documents.has_operator(name), "there is no operator {name}");
            documents.remove_secrets("operators", name)
        };
        self.change(|_, documents| remove(documents), |_, ()| Ok(()))
    }

    /// Makes a change. What it returns is handed out before the files are replaced: so no secret is in them that nobody has.
    fn change<T>(
        &self,
        change: impl FnOnce(&City, &mut Documents) -> Result<T>,
        hand_out: impl FnOnce(&City, T) -> io::Result<()>,
    ) -> Result<()> {
        // Until this is dropped no other command changes them.
        let _locked = locked(&self.secrets)?;
        let [old_city, old_secrets] = self.texts()?;
        let city = City::of_text(&old_city, &self.city).context("the files have a fault already")?;
        check(&city).context("the files have a fault already")?;
        Secrets::of_text(&old_secrets, &self.secrets, &city).context("the files have a fault already")?;
        let mut documents = Documents { city: parse(&old_city)?, secrets: parse(&old_secrets)? };
        let changed = change(&city, &mut documents)?;

        let new_city = documents.city.to_string();
        let new_secrets = Zeroizing::new(documents.secrets.to_string());
        let city = City::of_text(&new_city, &self.city).context("with this change")?;
        check(&city).context("with this change")?;
        Secrets::of_text(&new_secrets, &self.secrets, &city).context("with this change")?;
        hand_out(&city, changed).context("nothing was changed: what is to be handed out was not written")?;
        let [city_now, secrets_now] = self.texts()?;
        ensure!(
            (city_now, secrets_now) == (old_city.clone(), old_secrets.clone()),
            "nothing was changed, and what was handed out is void: somebody else has changed the files meanwhile"
        );
        // The file that is locked comes last: as soon as it is another one, the next command goes on.
        if new_city != *old_city {
            replace(&self.city, &new_city)?;
        }
        if let Err(error) = replace(&self.secrets, &new_secrets) {
            return Err(match replace(&self.city, &old_city) {
                Ok(()) => error.context("nothing was changed, and what was handed out is void"),
                Err(second) => error.context(format!("the files do not fit each other now: {second:#}")),
            });
        }
        Ok(())
    }

    /// What is in the files.
    fn texts(&self) -> Result<[Zeroizing<String>; 2]> {
        let read = |path: &Path| {
            let text = fs::read_to_string(path).map(Zeroizing::new);
            text.with_context(|| format!("{} cannot be read", path.display()))
        };
        Ok([read(&self.city)?, read(&self.secrets)?])
    }
}

/// The contents of both files.
struct Documents {
    city: DocumentMut,
    secrets: DocumentMut,
}

impl Documents {
    /// A list of `city.toml`.
    fn list(&mut self, name: &str) -> Result<&mut ArrayOfTables> {
        let list = self.city.entry(name).or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        if list.as_array().is_some_and(Array::is_empty) {
            *list = Item::ArrayOfTables(ArrayOfTables::new());
        }
        list.as_array_of_tables_mut().with_context(|| format!("`{name}` is not written as [[{name}]]"))
    }

    /// Sets secrets of somebody in `secrets.toml`.
    fn set_secrets(&mut self, list: &str, id: &str, secrets: &[(&str, &str)]) -> Result<()> {
        let everybody = self.secrets.entry(list).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let everybody = everybody.as_table_like_mut().with_context(|| format!("`{list}` is no table"))?;
        let theirs = everybody.entry(id).or_insert_with(|| Item::Table(Table::new()));
        let theirs = theirs.as_table_like_mut().with_context(|| format!("`{list}.{id}` is no table"))?;
        for (name, secret) in secrets {
            let item = theirs.entry(name).or_insert(Item::None);
            // What stands beside the old one, such as a comment, stays.
            let decor = item.as_value().map(|old| old.decor().clone());
            *item = value(*secret);
            if let (Some(new), Some(decor)) = (item.as_value_mut(), decor) {
                *new.decor_mut() = decor;
            }
        }
        Ok(())
    }

    fn new_secrets_of_device(&mut self, id: DeviceId) -> Result<DeviceSecrets> {
        let secrets = DeviceSecrets { root_key: random_hex()?, mqtt_password: random_hex()? };
        let entries =
            [("root_key", secrets.root_key.as_str()), ("mqtt_password", secrets.mqtt_password.as_str())];
        self.set_secrets("devices", &id.to_string(), &entries)?;
        Ok(secrets)
    }

    fn new_password_of_user(&mut self, user: &str) -> Result<Zeroizing<String>> {
        let password = random_hex()?;
        self.set_secrets("users", user, &[("mqtt_password", &password)])?;
        Ok(password)
    }

    fn has_operator(&self, name: &str) -> bool {
        let operators = self.secrets.get("operators").and_then(Item::as_table_like);
        operators.is_some_and(|operators| operators.contains_key(name))
    }

    fn new_token(&mut self, operator: &str) -> Result<Zeroizing<String>> {
        let token = random_hex()?;
        let hash = TokenHash::of(token.as_bytes()).to_string();
        self.set_secrets("operators", operator, &[("token_sha256", &hash)])?;
        Ok(token)
    }

    fn remove(&mut self, list: &str, id: &str) -> Result<()> {
        self.list(list)?.retain(|entry| entry.get("id").and_then(Item::as_str) != Some(id));
        self.remove_secrets(list, id)
    }

    fn remove_secrets(&mut self, list: &str, id: &str) -> Result<()> {
        let everybody = self.secrets.get_mut(list).and_then(Item::as_table_like_mut);
        everybody
            .and_then(|everybody| everybody.remove(id))
            .map(drop)
            .with_context(|| format!("no `{list}.{id}`"))
    }
}

struct DeviceSecrets {
    root_key: Zeroizing<String>,
    mqtt_password: Zeroizing<String>,
}

/// What goes on a device: a file that `smart-city-device` reads.
fn device_file(city: &City, id: DeviceId, secrets: &DeviceSecrets) -> Zeroizing<String> {
    let DeviceSecrets { root_key, mqtt_password } = secrets;
    let streams = city.devices[&id].streams.iter().map(|number| {
        let class = class_name(city.streams[number].stream.class);
        format!("\"{number}:{class}\"")
    });
    let streams = streams.collect::<Vec<_>>().join(", ");
    let shards = city.cluster.as_ref().map(|cluster| format!("shards = {}\n", cluster.shards));
    Zeroizing::new(format!(
        "# What goes on the device, and to nobody else.\nid = \"{id}\"\nroot_key = \"{}\"\nmqtt_password = \"{}\"\nstreams = [{streams}]\n{}",
        **root_key,
        **mqtt_password,
        shards.unwrap_or_default()
    ))
}

fn parse(text: &str) -> Result<DocumentMut> {
    // Without what the error shows of the file.
    text.parse().map_err(|_| anyhow!("a file cannot be parsed so that it can be changed"))
}

/// Makes a step of a rotation of the keys for other cities in a file; the first one makes the file. What partners get is handed out before.
///
/// # Errors
/// If the file is not there, is none of keys, or cannot be changed, or if nothing was handed out.
pub fn city_keys(path: &Path, step: Step, hand_out: impl FnOnce(&str) -> io::Result<()>) -> Result<()> {
    let of_file = || path.display().to_string();
    let is_new = step == Step::Add && !path.exists();
    // Until the file is replaced.
    let _lock = if is_new { None } else { Some(locked(path)?) };
    let before =
        if is_new { None } else { Some(Zeroizing::new(fs::read_to_string(path).with_context(of_file)?)) };
    let text = keys::rotate(before.as_ref().map(|text| text.as_str()), step).with_context(of_file)?;
    hand_out(&keys::public(&text)?)?;
    if !is_new {
        return replace(path, &text);
    }
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).with_context(of_file)?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// Waits until no other command changes a file, which the one that is returned keeps so. Nobody can hold this lock who cannot read
/// the file.
fn locked(path: &Path) -> Result<File> {
    let cannot = || format!("{} cannot be locked", path.display());
    loop {
        let file = File::open(path).with_context(cannot)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            tracing::info!("waiting for another command");
            file.lock().with_context(cannot)?;
        }
        // The one before may have replaced it.
        let [locked, there] =
            [file.metadata(), fs::metadata(path)].map(|found| found.map(|found| (found.dev(), found.ino())));
        if locked.with_context(cannot)? == there.with_context(cannot)? {
            return Ok(file);
        }
    }
}

/// Replaces what is in a file, behind symbolic links, as a whole. Its owner and permissions stay.
fn replace(path: &Path, text: &str) -> Result<()> {
    let replace = || {
        let path = path.canonicalize()?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy());
        // A command that was killed may have left it. If it cannot be removed, it cannot be made either.
        drop(fs::remove_file(folder.join(&name)));
        let mut file = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempfile_in(folder)?;
        let old = fs::metadata(&path)?;
        fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        file.as_file().set_permissions(old.permissions())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    };
    replace().with_context(|| format!("{} cannot be replaced", path.display()))
}
