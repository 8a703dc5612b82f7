//! The server's side of TLS: the key that it is known by, and what a handshake has to be like.
//!
//! TLS 1.3 with ring alone, for [`ALPN`] alone, without early data and without tickets: each connection is a handshake
//! of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use messageu_wire::envelope::field::{Binding, ServerKeyHash};
use messageu_wire::modern::transport::{ALPN, EXPORTER_LABEL};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::secret_file::{keep, read_file, read_secret};

/// Where a certificate and its key come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateSource {
    /// Made now, and gone with the process.
    Memory,
    /// In this file, certificate and key; made at the first start.
    Kept(PathBuf),
    /// From somebody else.
    Given {
        /// The certificate, and those that vouch for it, in PEM.
        certificate: PathBuf,
        /// Its private key, in PEM.
        key: PathBuf,
    },
}

/// Why there is no certificate to serve with.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// There is nothing where the server keeps its own.
    #[error("there is no certificate yet: the server makes {} at its first start", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("the certificate {} cannot be made", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate in a file.
    #[error("there is no certificate in {}: it has to begin with -----BEGIN CERTIFICATE-----", .0.display())]
    NoCertificate(PathBuf),
    /// There is no key in a file.
    #[error("there is no private key without a passphrase in {}: it has to begin with -----BEGIN PRIVATE KEY-----", .0.display())]
    NoKey(PathBuf),
    /// A key of a kind that TLS 1.3 is not spoken with here.
    #[error("the private key in {} is none that is served with: take ECDSA with P-256 or P-384, Ed25519, or RSA", .0.display())]
    UnknownKey(PathBuf),
    /// The certificate is another key's.
    #[error("the private key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// Where the key is.
        key: PathBuf,
        /// Where the certificate is.
        certificate: PathBuf,
    },
    /// A certificate cannot be made, or used.
    #[error("a certificate cannot be made: {0}")]
    Library(String),
}

/// A certificate with its key, ready to be served with.
#[derive(Clone, Debug)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    /// SHA-256 of the SubjectPublicKeyInfo: what clients know the server by.
    pub pin: ServerKeyHash,
    chain: Vec<CertificateDer<'static>>,
}

impl Certificate {
    /// Reads what is there.
    ///
    /// # Errors
    /// [`CertificateError::Missing`] where the server has not made one yet, others where what is there cannot be used.
    pub fn load(source: &CertificateSource) -> Result<Self, CertificateError> {
        match source {
            CertificateSource::Memory => from_pem(make()?.as_bytes(), Path::new("memory:")),
            CertificateSource::Kept(path) => {
                let pem = read_secret(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => CertificateError::Missing(path.clone()),
                    _ => CertificateError::Read { path: path.clone(), source: error },
                })?;
                from_pem(&pem, path)
            }
            CertificateSource::Given { certificate, key } => {
                let unreadable =
                    |path: &PathBuf, source| CertificateError::Read { path: path.clone(), source };
                let chain = read_file(certificate).map_err(|error| unreadable(certificate, error))?;
                let secret = read_secret(key).map_err(|error| unreadable(key, error))?;
                ready((&chain, certificate), (&secret, key))
            }
        }
    }

    /// Reads what is there; makes it where it is the server's own and there is none yet.
    ///
    /// # Errors
    /// Those of [`Certificate::load`], and where a file cannot be made.
    pub fn load_or_make(source: &CertificateSource) -> Result<Self, CertificateError> {
        match (Self::load(source), source) {
            (Err(CertificateError::Missing(_)), CertificateSource::Kept(path)) => {
                keep(path, &make()?)
                    .map_err(|source| CertificateError::Write { path: path.clone(), source })?;
                Self::load(source)
            }
            (loaded, _) => loaded,
        }
    }
}

/// A self-signed certificate with a new key, both in PEM. It does not expire: a client knows the key, and asks nobody else.
fn make() -> Result<String, CertificateError> {
    let library = |error: rcgen::Error| CertificateError::Library(error.to_string());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(library)?;
    let mut params = CertificateParams::new(vec!["messageu".to_owned()]).map_err(library)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "MessageU server");
    let certificate = params.self_signed(&key).map_err(library)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

fn from_pem(pem: &[u8], path: &Path) -> Result<Certificate, CertificateError> {
    ready((pem, path), (pem, path))
}

/// Puts a chain and a key together, each with the file that it is from.
fn ready(
    (chain, certificate_path): (&[u8], &Path),
    (key, key_path): (&[u8], &Path),
) -> Result<Certificate, CertificateError> {
    let no_certificate = || CertificateError::NoCertificate(certificate_path.to_owned());
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| no_certificate())?;
    if chain.is_empty() {
        return Err(no_certificate());
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey(key_path.to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let signing = provider.key_provider.load_private_key(key);
    let signing = signing.map_err(|_| CertificateError::UnknownKey(key_path.to_owned()))?;
    let unknown = || CertificateError::UnknownKey(key_path.to_owned());
    let pin = ServerKeyHash(Sha256::digest(signing.public_key().ok_or_else(unknown)?).into());
    let certified = CertifiedKey::new(chain.clone(), signing);
    certified.keys_match().map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            CertificateError::Mismatch { key: key_path.to_owned(), certificate: certificate_path.to_owned() }
        }
        _ => no_certificate(),
    })?;
    Ok(Certificate { config: Arc::new(configure(provider, certified)?), pin, chain })
}

fn configure(
    provider: Arc<CryptoProvider>,
    certified: CertifiedKey,
) -> Result<ServerConfig, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| CertificateError::Library(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ForThisProtocol(Arc::new(certified))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Has a certificate for those alone who say that they want to speak this protocol: rustls refuses who offers others, but
/// not who offers none.
#[derive(Debug)]
struct ForThisProtocol(Arc<CertifiedKey>);

impl ResolvesServerCert for ForThisProtocol {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered = hello.alpn()?.any(|offered| offered == ALPN);
        offered.then(|| Arc::clone(&self.0))
    }
}

/// The certificate that new connections are served with, which a reload may exchange.
#[derive(Debug)]
pub struct Tls(ArcSwap<Certificate>);

impl Tls {
    /// Serves with this certificate.
    #[must_use]
    pub fn new(certificate: Certificate) -> Self {
        Self(ArcSwap::from_pointee(certificate))
    }

    /// What clients know the server by.
    #[must_use]
    pub fn pin(&self) -> ServerKeyHash {
        self.0.load().pin
    }

    /// Serves new connections with another certificate. Says whether it is another one.
    pub fn replace(&self, certificate: Certificate) -> bool {
        let before = self.0.swap(Arc::new(certificate));
        before.chain != self.0.load().chain
    }

    /// Shakes hands. Gives what authentication on this connection can be bound to.
    ///
    /// # Errors
    /// Those of the stream, and a peer that does not speak TLS 1.3 and [`ALPN`].
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Channel)> {
        let certificate = self.0.load_full();
        let stream = TlsAcceptor::from(Arc::clone(&certificate.config)).accept(stream).await?;
        let (_, connection) = stream.get_ref();
        let exporter = connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[]));
        let exporter = Binding(exporter.map_err(io::Error::other)?);
        Ok((stream, Channel { server_key_hash: certificate.pin, exporter }))
    }
}

/// What a connection is known by to both of its ends.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// SHA-256 of the SubjectPublicKeyInfo of the server's key.
    pub server_key_hash: ServerKeyHash,
    /// The exporter of RFC 9266.
    pub exporter: Binding,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Certificate, CertificateError, CertificateSource, make};

    #[test]
    fn a_certificate_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tls.pem");
        let source = CertificateSource::Kept(path.clone());
        assert!(matches!(Certificate::load(&source), Err(CertificateError::Missing(_))));
        let first = Certificate::load_or_make(&source).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Certificate::load_or_make(&source).unwrap().pin, first.pin);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_certificate_is_an_error_and_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tls.pem");
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        let source = CertificateSource::Kept(path.clone());
        assert!(matches!(Certificate::load_or_make(&source), Err(CertificateError::NoCertificate(_))));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "-----BEGIN CERTIFICATE-----\nAAAA\n");
    }

    #[test]
    fn what_does_not_belong_together_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let [one, other, empty] = ["one", "other", "empty"].map(|name| directory.path().join(name));
        std::fs::write(&one, make().unwrap()).unwrap();
        std::fs::write(&other, make().unwrap()).unwrap();
        std::fs::write(&empty, "nothing").unwrap();
        let given = |certificate: &std::path::PathBuf, key: &std::path::PathBuf| {
            let source = CertificateSource::Given { certificate: certificate.clone(), key: key.clone() };
            Certificate::load(&source).map(|certificate| certificate.pin)
        };
        assert!(given(&one, &one).is_ok());
        assert_ne!(given(&one, &one).unwrap(), given(&other, &other).unwrap());
        assert!(matches!(given(&one, &other), Err(CertificateError::Mismatch { .. })));
        assert!(matches!(given(&empty, &one), Err(CertificateError::NoCertificate(_))));
        assert!(matches!(given(&one, &empty), Err(CertificateError::NoKey(_))));
        assert!(matches!(given(&one, &directory.path().join("none")), Err(CertificateError::Read { .. })));
    }

    #[test]
    fn the_pin_is_that_of_the_public_key_in_the_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tls.pem");
        let made = make().unwrap();
        std::fs::write(&path, &made).unwrap();
        let pin = Certificate::load(&CertificateSource::Kept(path)).unwrap().pin;
        let key = rcgen::KeyPair::from_pem(&made[made.find("-----BEGIN PRIVATE").unwrap()..]).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(pin.0, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(spki)));
    }
}
