//! The gateway's certificate, in files that may change while it runs.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};
use x509_parser::parse_x509_certificate;

/// Where a certificate is, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those up to its authority.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate with its key. Each connection gets the newest.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    current: RwLock<Arc<CertifiedKey>>,
    /// In seconds since 1970.
    expires: AtomicI64,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be read, or do not belong together.
    pub fn read(files: Files) -> Result<Arc<Self>> {
        let (current, expires) = files.load()?;
        Ok(Arc::new(Self { files, current: RwLock::new(Arc::new(current)), expires: expires.into() }))
    }

    /// When the certificate expires, or one of those up to its authority before it, in seconds since 1970.
    pub(crate) fn expires(&self) -> i64 {
        self.expires.load(Relaxed)
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As of [`read`](Self::read). Then the certificate is the one of before.
    pub fn renew(&self) -> Result<()> {
        let (new, expires) = self.files.load()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        self.expires.store(expires, Relaxed);
        Ok(())
    }

    /// What makes TLS of connections.
    ///
    /// # Errors
    /// Never, as far as is known: the library has the versions of TLS that it offers.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(Arc::new(builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>)).into())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Files {
    /// The certificate with its key, and when it expires.
    fn load(&self) -> Result<(CertifiedKey, i64)> {
        let chain =
            CertificateDer::pem_file_iter(&self.chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.with_context(|| self.chain.display().to_string())?;
        let key = PrivateKeyDer::from_pem_file(&self.key).with_context(|| self.key.display().to_string())?;
        let expires = |certificate: &CertificateDer<'_>| {
            let (_, certificate) = parse_x509_certificate(certificate)?;
            anyhow::Ok(certificate.validity().not_after.timestamp())
        };
        let expires = chain.iter().map(expires).collect::<Result<Vec<_>>>();
        let expires = expires.with_context(|| self.chain.display().to_string())?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .with_context(|| format!("{} and {}", self.chain.display(), self.key.display()))?;
        Ok((certified, expires.into_iter().min().unwrap_or_default()))
    }
}
