//! The bridge on Unix.

use std::{
    fs::{self, File},
    net::SocketAddr,
    num::NonZeroU16,
    os::unix::{fs::FileTypeExt as _, net::UnixStream},
    path::Path,
};

use anyhow::{Context, Result, bail};
use smart_city_bridge::{
    bridge::{Mqtt, carry},
    image::{Image, Parts},
};
use smart_city_frame::{Class, DeviceId, Epoch, Stream};
use smart_city_interface::memory::{EPOCHS, PROVISIONING, SECURE_COPY};
use smart_city_store::Supervision;

const USAGE: &str = "\
usage: smart-city-bridge --device ID --line PATH --broker ADDRESS:PORT --password-file FILE [--shards N]
           carry frames between the serial line of a device and its topics at an MQTT broker:
           ID is its EUI-64 in hexadecimal digits, which is its account as well,
           PATH a serial port, set up before, or a Unix socket,
           N the shards of a city with several gateways, as in its city.toml
       smart-city-bridge provision --device ID --root-key-file FILE --secure ELF --application ELF
                                   --functions NAME,... --streams NUMBER:CLASS,... --pause N --watchdog N --folder DIR
           make what a device keeps in flash beside the images: the files provisioning, copy and epochs. FILE has the root key, new and
           never used, in hexadecimal digits; the functions are regions 1, 2, ...; a class is public, internal or confidential;
           N are tenths of a second, and seconds";

pub(crate) fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["provision", rest @ ..] = &words[..] {
        return provision(rest);
    }
    let ["--device", device, "--line", line, "--broker", broker, "--password-file", password, ref rest @ ..] =
        words[..]
    else {
        bail!("{USAGE}");
    };
    let shards = match rest {
        [] => None,
        ["--shards", number] => {
            Some(number.parse::<NonZeroU16>().context("--shards takes 1 to 65535")?.get())
        }
        _ => bail!("{USAGE}"),
    };
    let device = device_id(device)?;
    let broker: SocketAddr = broker.parse().context("the broker is ADDRESS:PORT")?;
    let password = fs::read_to_string(password).with_context(|| format!("cannot read {password}"))?;
    let mqtt = Mqtt { broker, password: password.trim_end().to_owned(), shards };

    let is_socket = fs::metadata(line).with_context(|| line.to_owned())?.file_type().is_socket();
    if is_socket {
        let stream = UnixStream::connect(Path::new(line)).with_context(|| line.to_owned())?;
        carry(stream.try_clone()?, stream, device, &mqtt)
    } else {
        let port = File::options().read(true).write(true).open(line).with_context(|| line.to_owned())?;
        carry(port.try_clone()?, port, device, &mqtt)
    }
}

fn device_id(text: &str) -> Result<DeviceId> {
    let id = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    Ok(DeviceId(id.context("an EUI-64 has 16 hexadecimal digits")?.to_be_bytes()))
}

/// Makes the files of a device that go into its flash.
fn provision(words: &[&str]) -> Result<()> {
    let [
        "--device",
        device,
        "--root-key-file",
        root,
        "--secure",
        secure,
        "--application",
        application,
        "--functions",
        functions,
        "--streams",
        streams,
        "--pause",
        pause,
        "--watchdog",
        watchdog,
        "--folder",
        folder,
    ] = *words
    else {
        bail!("{USAGE}");
    };
    let root = fs::read_to_string(root).with_context(|| format!("cannot read {root}"))?;
    let digits = root.trim_end();
    let root = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32);
    let streams: Result<Vec<Stream>> = streams.split(',').map(stream).collect();
    let functions: Vec<&str> = functions.split(',').collect();
    let parts = Parts {
        secure: Path::new(secure),
        application: Path::new(application),
        functions: &functions,
        may_call: false,
        id: device_id(device)?,
        root: root.context("a root key has 32 hexadecimal digits")?.to_be_bytes(),
        supervision: Supervision { pause: pause.parse()?, watchdog: watchdog.parse()? },
        used: Epoch(0),
        streams: &streams?,
    };
    let folder = Path::new(folder);
    let image = Image::make(&parts, folder)?;
    // QEMU's has the length of a memory of the board.
    let epochs = folder.join("epochs");
    fs::rename(folder.join("flash"), &epochs)?;
    File::options().write(true).open(&epochs)?.set_len(EPOCHS.len.into())?;
    for (file, part) in [("provisioning", PROVISIONING), ("copy", SECURE_COPY), ("epochs", EPOCHS)] {
        println!("{:#010x} {}", part.start, folder.join(file).display());
    }
    for (name, region) in functions.iter().zip(&image.regions) {
        println!("region {}: {name}, {} bytes", region.id, region.len);
    }
    Ok(())
}

fn stream(text: &str) -> Result<Stream> {
    let (id, class) = text.split_once(':').context("a stream is NUMBER:CLASS")?;
    let class = match class {
        "public" => Class::Public,
        "internal" => Class::Internal,
        "confidential" => Class::Confidential,
        other => bail!("{other} is no class"),
    };
    Ok(Stream { id: id.parse().context("a stream has a number from 1")?, class })
}
