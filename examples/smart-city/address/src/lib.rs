//! The address of an MQTT broker, and how a client gets there.
#![forbid(unsafe_code)]

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use anyhow::{Context as _, Error, Result, bail, ensure};
use rumqttc::{
    MqttOptions, TlsConfiguration, Transport,
    tokio_rustls::rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject as _},
    },
};

/// An address, as `mqtt://HOST:PORT` or, with TLS, `mqtts://HOST:PORT`; `:PORT` may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the broker has a certificate, which shows that it is this host.
    pub is_tls: bool,
}

/// How an address begins, the port if it names none, and whether it is with TLS.
const SCHEMES: [(&str, u16, bool); 2] = [("mqtt://", 1883, false), ("mqtts://", 8883, true)];

impl Default for Address {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 1883, is_tls: false }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let scheme =
            SCHEMES.iter().find_map(|(start, port, is_tls)| Some((text.strip_prefix(start)?, port, is_tls)));
        let (address, default_port, is_tls) = scheme.context("it does not start with mqtt:// or mqtts://")?;
        let address = address.strip_suffix('/').unwrap_or(address);
        // The colons of an IPv6 address stand between brackets.
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().context("the port is none")?),
            _ => (address, *default_port),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        ensure!(!host.is_empty() && port != 0, "it is not mqtt://HOST:PORT");
        Ok(Self { host: host.to_owned(), port, is_tls: *is_tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, is_tls } = self;
        let scheme = if *is_tls { "mqtts" } else { "mqtt" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl Address {
    /// The options of a client with the account `name`. With TLS the broker's certificate must come from one of the authorities in
    /// the PEM file `authorities`, or else from one that the system knows.
    ///
    /// # Errors
    /// If there is no authority, or there are some and the address is without TLS.
    pub fn options(&self, name: &str, password: &str, authorities: Option<&Path>) -> Result<MqttOptions> {
        let mut options = MqttOptions::new(name, (self.host.as_str(), self.port));
        options.set_credentials(name, password.to_owned());
        ensure!(self.is_tls || authorities.is_none(), "authorities are for an address with mqtts://");
        if self.is_tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(trust(authorities)?)));
        }
        Ok(options)
    }
}

/// What a client with TLS needs to check a server: its certificate must come from one of the authorities in the PEM file, or else from
/// one that the system knows.
///
/// # Errors
/// If there is no authority.
pub fn trust(authorities: Option<&Path>) -> Result<Arc<ClientConfig>> {
    match authorities {
        Some(path) => trusting(path).with_context(|| path.display().to_string()),
        None => {
            match TlsConfiguration::try_default_rustls().context("the system's authorities cannot be read")? {
                TlsConfiguration::Rustls(config) => Ok(config),
                _ => bail!("the system's authorities are not there"),
            }
        }
    }
}

fn trusting(path: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    ensure!(!roots.is_empty(), "there is no certificate in it");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
