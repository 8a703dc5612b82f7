//! What TLS is told, by client and server alike. Version 1.3 alone, and no early data.

/// The protocol in the handshake (ALPN, RFC 7301).
pub const ALPN: &[u8] = b"mu3";

/// What every TLS connection begins with: a handshake record of version 3.x. No dialect in the open begins so, since no
/// client id does.
pub const RECORD_START: [u8; 2] = [0x16, 0x03];

/// The label of the exporter that an authentication is bound to, with an empty context and 32 bytes of output (RFC 9266).
///
/// A server is known by the SHA-256 of its certificate's SubjectPublicKeyInfo in DER
/// ([`ServerKeyHash`](crate::envelope::field::ServerKeyHash)).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
