//! TLS 1.3 to a server that proves itself: by the key that the address pins, or by a certificate that this system trusts.
//! Never by one in the place of the other, and with no early data.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use messageu_wire::envelope::field::{Binding, ServerKeyHash};
use messageu_wire::modern::transport::{ALPN, EXPORTER_LABEL};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError,
    PeerIncompatible, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::Address;
use crate::error::{Error, ErrorKind, Result};

/// What a connection is known by, to both its ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Channel {
    /// SHA-256 of the SubjectPublicKeyInfo in the certificate that the server has shown, and signed with.
    pub(super) server_key_hash: ServerKeyHash,
    /// What both ends derive from the handshake (RFC 9266), and nobody else.
    pub(super) exported: Option<Binding>,
}

/// Shakes hands over a stream with the server that an address names. `roots` is asked for where the address has no pin.
///
/// # Errors
/// [`ErrorKind::WrongServer`] when the server does not prove itself, [`ErrorKind::Data`] when it does not speak version 3,
/// [`ErrorKind::NoAnswer`] when it closes.
pub(super) async fn handshake<S>(
    address: &Address,
    stream: S,
    roots: impl FnOnce() -> Result<RootCertStore>,
) -> Result<(TlsStream<S>, Channel)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (config, name) = match address.pin() {
        Some(pin) => pinned(pin)?,
        None => certified(address, roots()?)?,
    };
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = connecting.await.map_err(|error| explain(address, &error))?;
    let (_, tls) = stream.get_ref();
    if tls.alpn_protocol() != Some(ALPN) {
        return Err(other_protocol(address));
    }
    let shown = tls.peer_certificates().and_then(|chain| chain.first());
    let server_key_hash = shown.and_then(|certificate| key_hash(certificate).ok());
    let server_key_hash =
        server_key_hash.ok_or_else(|| wrong_server(address, "it has shown no certificate"))?;
    let exported = tls.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[])).ok().map(Binding);
    Ok((stream, Channel { server_key_hash, exported }))
}

/// The certificates that this system trusts.
///
/// # Errors
/// [`ErrorKind::WrongServer`] if there are none: then no server can prove itself by one.
pub(super) fn system_roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(Error::new(ErrorKind::WrongServer, "this system trusts no certificates at all").hint(
            "give the server's pin with its address (HOST:PORT#sha256=...), or install the package ca-certificates",
        ));
    }
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn pinned(pin: ServerKeyHash) -> Result<(ClientConfig, ServerName<'static>)> {
    let provider = provider();
    let verifier = PinnedKey { pin, algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // The key alone decides, so no name need be told to whoever listens; TLS has a place for names, not for addresses.
    let name = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Ok((with_our_protocol(config), name))
}

fn certified(address: &Address, roots: RootCertStore) -> Result<(ClientConfig, ServerName<'static>)> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(address.host().to_owned()).map_err(|_| {
        Error::new(ErrorKind::Usage, format!("no certificate can name {}", address.host()))
            .hint("name the server as its certificate does, or give its pin: HOST:PORT#sha256=...")
    })?;
    Ok((with_our_protocol(config), name))
}

fn with_our_protocol(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_early_data = false;
    // Each connection is proved anew.
    config.resumption = Resumption::disabled();
    config
}

fn key_hash(certificate: &CertificateDer<'_>) -> std::result::Result<ServerKeyHash, TlsError> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(ServerKeyHash(Sha256::digest(&key).into()))
}

/// Takes a server for its key, whatever its certificate says beside it.
#[derive(Debug)]
struct PinnedKey {
    pin: ServerKeyHash,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        if key_hash(end_entity)? == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What went wrong in a handshake, and what to do about it.
fn explain(address: &Address, error: &io::Error) -> Error {
    let place = address.place();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidCertificate(reason)) => wrong_server(address, why_not(reason)),
        Some(TlsError::AlertReceived(AlertDescription::NoApplicationProtocol)) => other_protocol(address),
        Some(TlsError::InvalidMessage(_)) => {
            Error::new(ErrorKind::Data, format!("what answers at {place} is no TLS"))
                .hint("is it a server of the older dialects alone? It cannot be spoken to in version 3")
        }
        Some(reason) => Error::new(ErrorKind::Data, format!("no TLS with the server at {place}: {reason}")),
        None => Error::new(ErrorKind::NoAnswer, format!("no TLS with the server at {place}: {error}"))
            .hint("does the server serve version 3? Otherwise, try again later"),
    }
}

/// What is wrong with a certificate, in words that are not the certificate's.
fn why_not(reason: &CertificateError) -> &'static str {
    match reason {
        CertificateError::ApplicationVerificationFailure => "it has another key than the address pins",
        CertificateError::BadSignature => "a signature does not hold that it or its certificate has",
        CertificateError::UnknownIssuer => "nobody whom this system trusts vouches for its certificate",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate names another server"
        }
        _ => "its certificate is not valid",
    }
}

fn wrong_server(address: &Address, why: &str) -> Error {
    let place = address.place();
    let wrong =
        Error::new(ErrorKind::WrongServer, format!("{place} is not the server that it should be: {why}"));
    wrong.hint(match address.pin() {
        Some(_) => {
            "somebody may be between you and it. If its owner says that its key is new, give the new pin with its address; \
             nothing was sent"
                .to_owned()
        }
        None => format!(
            "a server that made its certificate itself is known by its pin, which `messageu-server pin` shows: give \
             {place}#sha256=... as its owner tells you; nothing was sent"
        ),
    })
}

fn other_protocol(address: &Address) -> Error {
    Error::new(
        ErrorKind::Data,
        format!("what answers at {address} speaks TLS, but not MessageU in version 3"),
    )
    .hint("is the address right? (--server HOST:PORT)")
}

fn failed(error: &TlsError) -> Error {
    Error::new(ErrorKind::Other, format!("TLS cannot be set up: {error}"))
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
