//! A client that knows a server by its pin, and speaks TLS to it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use sha2::{Digest as _, Sha256};

/// A connection over TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Takes any key, and notes which it was.
#[derive(Debug, Default)]
struct Noting(Mutex<Option<[u8; 32]>>);

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        *self.0.lock().unwrap() = Some(Sha256::digest(key).into());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// How a client offers itself.
#[derive(Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    seen: Arc<Noting>,
}

impl TlsClient {
    /// One that offers these protocols.
    pub(crate) fn offering(protocols: &[&[u8]]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let seen = Arc::new(Noting::default());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap();
        let verifier = Arc::clone(&seen) as Arc<dyn ServerCertVerifier>;
        let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.enable_early_data = true;
        Self { config: Arc::new(config), seen }
    }

    /// One that speaks version 3.
    pub(crate) fn new() -> Self {
        Self::offering(&[b"mu3"])
    }

    /// Shakes hands. Gives the connection, and what the server is known by.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<(TlsStream, [u8; 32])> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("messageu").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let pin = self.seen.0.lock().unwrap().take().expect("a handshake shows a key");
        Ok((stream, pin))
    }
}

/// Whether a server ends a connection, within the patience of [`TlsClient::connect`].
pub(crate) fn is_closed(stream: &mut TlsStream) -> bool {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// Whether a server keeps a connection open for a while that is silent.
pub(crate) fn stays_open(stream: &mut TlsStream, time: Duration) -> bool {
    stream.sock.set_read_timeout(Some(time)).unwrap();
    let closed = is_closed(stream);
    stream.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    !closed
}

/// The hexadecimal digits of a pin, as a server prints them.
pub(crate) fn pin_text(pin: [u8; 32]) -> String {
    let digits: String = pin.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// The record that a handshake begins with, of a client that speaks nothing newer than TLS 1.2.
pub(crate) fn tls12_hello() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[7; 32]);
    // No session, two cipher suites, no compression.
    hello.extend_from_slice(&[0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    // Extensions: curves, signatures, and the protocol.
    let extensions =
        [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 13, 0, 4, 0, 2, 4, 3], &[0, 16, 0, 6, 0, 4, 3], b"mu3"]
            .concat();
    hello.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend_from_slice(&extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&u16::try_from(hello.len() + 4).unwrap().to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&u16::try_from(hello.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&hello);
    record
}

/// Writes bytes to a server, and reads all that it says until it closes.
pub(crate) fn say(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut all = Vec::new();
    // A reset ends a connection as well as a close; silence does not.
    if let Err(error) = stream.read_to_end(&mut all) {
        assert!(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "still open");
    }
    all
}
