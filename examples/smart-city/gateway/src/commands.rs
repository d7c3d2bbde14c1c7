//! The commands that change the gateway's files.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::PathBuf,
    str::FromStr,
};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use smart_city_cities::keys::{self, Step};
use smart_city_engine::config::{Role, parse_device_id};
use smart_city_frame::DeviceId;
use smart_city_gateway::admin::{self, Files, NewDevice, NewUser};
use zeroize::Zeroizing;

/// Changes who is in the city. A gateway that runs reads the files then.
///
/// What a command makes, such as keys and passwords, it prints on standard output: nothing is changed if that fails.
#[derive(Parser)]
#[command(name = "smart-city-gateway")]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Paths,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Paths {
    /// The file with devices, streams and users.
    #[arg(long, global = true, value_name = "FILE", default_value = "city.toml")]
    config: PathBuf,
    /// The file with their secrets.
    #[arg(long, global = true, value_name = "FILE", default_value = "secrets.toml")]
    secrets: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Adds a device and prints what goes on it, for `smart-city-device` as it is.
    Provision {
        /// Its EUI-64: 16 hex digits in lower case.
        #[arg(value_parser = device_id)]
        device: DeviceId,
        /// Its name, for people.
        #[arg(long)]
        name: String,
        /// Its place on the page's grid, as 3,4.
        #[arg(long, value_name = "X,Y", value_parser = place)]
        place: [u16; 2],
        /// Its longitude and latitude in degrees, as 139.7528,35.6852.
        #[arg(long, value_name = "LONGITUDE,LATITUDE", value_parser = position, allow_hyphen_values = true)]
        position: Option<[f64; 2]>,
        /// The image that it runs.
        #[arg(long)]
        image: String,
        /// A stream that it sends; may be there several times.
        #[arg(long = "stream", required = true)]
        streams: Vec<String>,
    },
    /// Gives a device a new root key and a new password, and prints what goes on it.
    Rotate {
        /// Its EUI-64.
        #[arg(value_parser = device_id)]
        device: DeviceId,
    },
    /// Removes a device.
    Remove {
        /// Its EUI-64.
        #[arg(value_parser = device_id)]
        device: DeviceId,
    },
    /// Adds and removes users.
    #[command(subcommand)]
    User(User),
    /// Adds and removes those who may use the page and the HTTP interface.
    #[command(subcommand)]
    Operator(Operator),
    /// Makes and changes a file of the keys by which readings are handed over to other cities.
    #[command(subcommand)]
    CityKeys(CityKeys),
}

#[derive(Subcommand)]
enum CityKeys {
    /// Adds a pair, which is not used yet; or makes the file, with a pair that is. Prints what partners get then, as the next two do.
    Add {
        /// The file.
        file: PathBuf,
    },
    /// Uses the newest pair from now on.
    Use {
        /// The file.
        file: PathBuf,
    },
    /// Removes all pairs but the one that is used.
    Drop {
        /// The file.
        file: PathBuf,
    },
    /// Prints the names of the keys in an own or a partner's file, for two operators to compare.
    Names {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum User {
    /// Adds a user and prints the password.
    Add {
        /// The name at the broker.
        user: String,
        /// The user's city.
        #[arg(long)]
        city: String,
        /// A department; may be there several times.
        #[arg(long = "department", value_name = "DEPARTMENT")]
        departments: Vec<String>,
        /// The security level, 0 to 9.
        #[arg(long)]
        level: u8,
        /// It is an account of a device that seals nothing: it receives its commands alone, and asks for nothing.
        #[arg(long)]
        sends_only: bool,
    },
    /// Gives a user a new password and prints it.
    Password {
        /// The name at the broker.
        user: String,
    },
    /// Removes a user.
    Remove {
        /// The name at the broker.
        user: String,
    },
}

#[derive(Subcommand)]
enum Operator {
    /// Adds an operator and prints the token.
    Add {
        /// The name, as the audit log has it.
        operator: String,
        /// What the operator may do: viewer, auditor or operator.
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// Gives an operator a new token and prints it.
    Token {
        /// The name.
        operator: String,
    },
    /// Removes an operator.
    Remove {
        /// The name.
        operator: String,
    },
}

impl Arguments {
    /// Whether this is the name of one of the commands.
    pub(crate) fn have(name: &str) -> bool {
        Self::command().find_subcommand(name).is_some()
    }

    pub(crate) fn run(self) -> Result<()> {
        let files = Files { city: self.files.config, secrets: self.files.secrets };
        match self.command {
            Command::Provision { device, name, place, position, image, streams } => {
                files.provision(&NewDevice { id: device, name, place, position, image, streams }, print)
            }
            Command::Rotate { device } => files.rotate(device, print),
            Command::Remove { device } => files.remove_device(device),
            Command::User(User::Add { user, city, departments, level, sends_only }) => {
                files.add_user(&NewUser { id: user, city, departments, level, sends_only }, print_line)
            }
            Command::User(User::Password { user }) => files.change_password(&user, print_line),
            Command::User(User::Remove { user }) => files.remove_user(&user),
            Command::Operator(Operator::Add { operator, role }) => {
                files.add_operator(&operator, role, print_line)
            }
            Command::Operator(Operator::Token { operator }) => files.change_token(&operator, print_line),
            Command::Operator(Operator::Remove { operator }) => files.remove_operator(&operator),
            Command::CityKeys(CityKeys::Add { file }) => admin::city_keys(&file, Step::Add, print),
            Command::CityKeys(CityKeys::Use { file }) => admin::city_keys(&file, Step::Use, print),
            Command::CityKeys(CityKeys::Drop { file }) => admin::city_keys(&file, Step::Drop, print),
            Command::CityKeys(CityKeys::Names { file }) => {
                let text = Zeroizing::new(fs::read_to_string(file)?);
                let names = keys::names(&text)?;
                let lines: String =
                    names.iter().map(|(purpose, name)| format!("{name} {purpose}\n")).collect();
                Ok(print(&lines)?)
            }
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Rust opens it where standard output is closed.
    let file = File::from(out.as_fd().try_clone_to_owned()?);
    let [to, nowhere] = [file.metadata()?, fs::metadata("/dev/null")?];
    if to.file_type().is_char_device() && to.rdev() == nowhere.rdev() {
        return Err(io::Error::other("standard output is closed, or goes to /dev/null"));
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn print_line(text: &str) -> io::Result<()> {
    print(text)?;
    print("\n")
}

fn device_id(text: &str) -> Result<DeviceId> {
    parse_device_id(text).context("it is not 16 hex digits in lower case")
}

fn role(text: &str) -> Result<Role> {
    Role::parse(text).context("a role is viewer, auditor or operator")
}

fn place(text: &str) -> Result<[u16; 2]> {
    pair(text).context("it is not X,Y")
}

fn position(text: &str) -> Result<[f64; 2]> {
    pair(text).context("it is not LONGITUDE,LATITUDE")
}

fn pair<T: FromStr>(text: &str) -> Option<[T; 2]> {
    let (first, second) = text.split_once(',')?;
    Some([first.parse().ok()?, second.parse().ok()?])
}
