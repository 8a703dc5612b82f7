//! Handshakes in memory, with servers that are what they should be, and with others.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server shows, and what it signs with.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key))
    }
}

/// A certificate and its key.
struct Certificate {
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Certificate {
    fn own(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { der: params.self_signed(&key).unwrap().der().clone(), key }
    }

    /// For a name, by an authority.
    fn by(authority: &Authority, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Self { der: params.signed_by(&key, &authority.issuer).unwrap().der().clone(), key }
    }

    fn pin(&self) -> ServerKeyHash {
        key_hash(&self.der).unwrap()
    }
}

/// Somebody whose certificates are trusted.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots }
    }
}

fn localhost() -> CertificateParams {
    CertificateParams::new(["localhost".to_owned()]).unwrap()
}

fn address(pin: Option<ServerKeyHash>) -> Address {
    let pin = pin.map(|pin| format!("#sha256={pin}")).unwrap_or_default();
    format!("localhost:1{pin}").parse().unwrap()
}

/// A server that shows a certificate, signs with a key, and offers protocols; gives what it exports.
async fn serve(
    stream: DuplexStream,
    shown: CertificateDer<'static>,
    key: &KeyPair,
    protocols: &[&[u8]],
) -> Option<[u8; 32]> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown { key: Arc::new(CertifiedKey::new(vec![shown], key)) }));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
    let exported = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
    // What the client sends before it knows whom it speaks to.
    let mut sent = Vec::new();
    let _ = stream.read_to_end(&mut sent).await;
    assert_eq!(sent, b"", "nothing is sent in a handshake");
    Some(exported)
}

/// What comes of a handshake with a server that has a certificate, and what the server exports.
async fn meet(
    address: &Address,
    certificate: &Certificate,
    protocols: &[&[u8]],
    roots: impl FnOnce() -> Result<RootCertStore>,
) -> (Result<Channel>, Option<[u8; 32]>) {
    let (ours, theirs) = duplex(64 * 1024);
    let serving = serve(theirs, certificate.der.clone(), &certificate.key, protocols);
    let shaking = async {
        let (mut stream, channel) = handshake(address, ours, roots).await?;
        stream.shutdown().await.unwrap();
        // The server has its part of the handshake to do before we go.
        assert_eq!(stream.read(&mut [0]).await.unwrap_or_default(), 0);
        Ok(channel)
    };
    tokio::join!(shaking, serving)
}

fn no_roots() -> Result<RootCertStore> {
    panic!("a pin decides alone")
}

#[tokio::test]
async fn a_server_with_the_pinned_key_is_taken_whatever_its_certificate_says() {
    let mut params = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2001, 1, 1);
    let certificate = Certificate::own(&params);
    let (met, exported) = meet(&address(Some(certificate.pin())), &certificate, &[ALPN], no_roots).await;
    let channel = met.unwrap();
    assert_eq!(channel.server_key_hash, certificate.pin());
    assert_eq!(channel.exported, exported.map(Binding), "both ends export the same");
}

#[tokio::test]
async fn a_server_with_another_key_than_the_pinned_one_is_not() {
    let certificate = Certificate::own(&localhost());
    let other = Certificate::own(&localhost());
    let (met, _) = meet(&address(Some(other.pin())), &certificate, &[ALPN], no_roots).await;
    let error = met.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
    assert!(error.to_string().contains("another key than the address pins"), "{error}");
}

#[tokio::test]
async fn a_trusted_certificate_does_not_help_against_a_pin() {
    let authority = Authority::new();
    let certificate = Certificate::by(&authority, "localhost");
    let pin = Certificate::own(&localhost()).pin();
    let (met, _) = meet(&address(Some(pin)), &certificate, &[ALPN], || Ok(authority.roots)).await;
    assert_eq!(met.unwrap_err().kind(), ErrorKind::WrongServer);
}

#[tokio::test]
async fn a_certificate_that_was_copied_without_its_key_proves_nothing() {
    let copied = Certificate::own(&localhost());
    let (ours, theirs) = duplex(64 * 1024);
    let key = KeyPair::generate().unwrap();
    let to = address(Some(copied.pin()));
    let shaking = handshake(&to, ours, no_roots);
    let (met, _) = tokio::join!(shaking, serve(theirs, copied.der.clone(), &key, &[ALPN]));
    let error = met.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
    assert!(error.to_string().contains("a signature does not hold"), "{error}");
}

#[tokio::test]
async fn without_a_pin_a_trusted_certificate_for_the_name_is_asked_for() {
    for (name, is_taken) in [("localhost", true), ("elsewhere.example", false)] {
        let authority = Authority::new();
        let certificate = Certificate::by(&authority, name);
        let (met, _) = meet(&address(None), &certificate, &[ALPN], || Ok(authority.roots)).await;
        match met {
            Ok(channel) => assert!(is_taken && channel.server_key_hash == certificate.pin(), "{name}"),
            Err(error) => {
                assert!(!is_taken && error.kind() == ErrorKind::WrongServer, "{name}: {error}");
                assert!(error.to_string().contains("names another server"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_pin_a_servers_own_certificate_is_not_taken() {
    let certificate = Certificate::own(&localhost());
    let (met, _) = meet(&address(None), &certificate, &[ALPN], || Ok(Authority::new().roots)).await;
    let error = met.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongServer);
    assert!(error.to_string().contains("nobody whom this system trusts"), "{error}");
    assert!(error.hint_text().unwrap().contains("messageu-server pin"));
}

#[tokio::test]
async fn a_server_of_something_else_is_told_from_one_of_version_3() {
    let certificate = Certificate::own(&localhost());
    for protocols in [&[][..], &[&b"h2"[..]]] {
        let (met, _) = meet(&address(Some(certificate.pin())), &certificate, protocols, no_roots).await;
        let error = met.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{protocols:?}");
        assert!(error.to_string().contains("speaks TLS, but not MessageU"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_tls_is_named_as_that() {
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(b"\x02\x28\x23\0\0\0\0, and more").await.unwrap();
    let to = address(Some(ServerKeyHash([0; 32])));
    let error = handshake(&to, ours, no_roots).await.err().unwrap();
    assert_eq!((error.kind(), error.to_string().contains("is no TLS")), (ErrorKind::Data, true), "{error}");
}

#[tokio::test]
async fn a_server_that_closes_has_not_answered() {
    let (ours, theirs) = duplex(64 * 1024);
    drop(theirs);
    let to = address(Some(ServerKeyHash([0; 32])));
    assert_eq!(handshake(&to, ours, no_roots).await.err().unwrap().kind(), ErrorKind::NoAnswer);
}

#[tokio::test]
async fn a_name_that_no_certificate_has_is_a_mistake_of_who_asks() {
    let (ours, _theirs) = duplex(64);
    let to: Address = "[fe80::1%eth0]:1".parse().unwrap();
    let error = handshake(&to, ours, || Ok(RootCertStore::empty())).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Usage);
}
