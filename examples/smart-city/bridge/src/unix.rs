//! The bridge on Unix.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::Path,
};

use anyhow::{Context, Result, bail};
use smart_city_bridge::bridge::{Mqtt, carry};
use smart_city_frame::DeviceId;

const USAGE: &str = "\
usage: smart-city-bridge --device ID --line PATH --broker ADDRESS:PORT --password-file FILE
           carry frames between the serial line of a device and its topics at an MQTT broker:
           ID is its EUI-64 in hexadecimal digits, which is its account as well,
           PATH a serial port, set up before, or a Unix socket";

pub(crate) fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["--device", device, "--line", line, "--broker", broker, "--password-file", password] = words[..]
    else {
        bail!("{USAGE}");
    };
    let device = u64::from_str_radix(device, 16).ok().filter(|_| device.len() == 16);
    let device = DeviceId(device.context("an EUI-64 has 16 hexadecimal digits")?.to_be_bytes());
    let broker: SocketAddr = broker.parse().context("the broker is ADDRESS:PORT")?;
    let password = fs::read_to_string(password).with_context(|| format!("cannot read {password}"))?;
    let mqtt = Mqtt { broker, password: password.trim_end().to_owned() };

    let is_socket = fs::metadata(line).with_context(|| line.to_owned())?.file_type().is_socket();
    if is_socket {
        let stream = UnixStream::connect(Path::new(line)).with_context(|| line.to_owned())?;
        carry(stream.try_clone()?, stream, device, &mqtt)
    } else {
        let port = File::options().read(true).write(true).open(line).with_context(|| line.to_owned())?;
        carry(port.try_clone()?, port, device, &mqtt)
    }
}
