//! Who we are, proved on a connection: each proof is about this connection, this server and one nonce.

use messageu_envelope::authentication::{sign_authentication, sign_registration};
use messageu_envelope::error::KeyError;
use messageu_envelope::identity::IdentityKey;
use messageu_wire::envelope::field::{
    Binding, ClientNonce, RSA_BLOCK_SIZE, ServerKeyHash, ServerNonce, Signature,
};
use messageu_wire::envelope::statement::{Authentication, BindingType};
use messageu_wire::fields::ClientId;
use messageu_wire::modern::operation::authenticate::Proof;
use messageu_wire::modern::operation::{authenticate, hello, register};
use rand::Rng;

use super::connection::Connection;
use super::server::CallError;
use super::tls::Channel;
use crate::error::{Error, ErrorKind};

impl Connection {
    /// Says that this connection is ours, from here on. Gives what the server says of itself.
    ///
    /// # Errors
    /// [`CallError::Refused`] if the server has no such client, or the proof did not reach it as it was made.
    pub async fn authenticate(&self, us: &IdentityKey) -> Result<hello::Response, CallError> {
        self.authenticate_bound_by(us, self.channel().best_binding()).await
    }

    /// The same, by a binding of choice: whoever has no exporter binds by the server's key.
    ///
    /// # Errors
    /// See [`Connection::authenticate`]; [`ErrorKind::Usage`] for a binding that this connection does not have.
    pub async fn authenticate_bound_by(
        &self,
        us: &IdentityKey,
        binding: BindingType,
    ) -> Result<hello::Response, CallError> {
        let client_id = us.identity().client_id();
        let hello = self.call_as(client_id, hello::Request).await?;
        let proof = self.channel().prove(client_id, hello.nonce, binding, |statement| {
            sign_authentication(us, statement, &mut rand::rng())
        })?;
        self.call_as(client_id, authenticate::Request { proof }).await?;
        self.set_asker(client_id);
        Ok(hello)
    }

    /// Asks for an account for an identity, whose bundle is in `content`.
    ///
    /// # Errors
    /// [`CallError::Refused`] for a name that is taken, and for whatever else the server does not like.
    pub async fn register(
        &self,
        us: &IdentityKey,
        content: register::Content,
    ) -> Result<register::Response, CallError> {
        let client_id = us.identity().client_id();
        let hello = self.call_as(client_id, hello::Request).await?;
        let body = content.encode();
        let binding = self.channel().best_binding();
        let proof = self.channel().prove(client_id, hello.nonce, binding, |statement| {
            sign_registration(us, statement, &body, &mut rand::rng())
        })?;
        self.call_as(client_id, register::Request { content, proof }).await
    }
}

impl Channel {
    /// The exporter, unless this connection has none.
    fn best_binding(&self) -> BindingType {
        if self.exported.is_some() { BindingType::TLS_EXPORTER } else { BindingType::SERVER_KEY }
    }

    /// Signs what a server is to believe, which is about this connection.
    fn prove(
        &self,
        client_id: ClientId,
        nonce: ServerNonce,
        binding_type: BindingType,
        sign: impl FnOnce(&Authentication) -> Result<Signature, KeyError>,
    ) -> Result<Proof, CallError> {
        let ServerKeyHash(key) = self.server_key_hash;
        let binding = match binding_type {
            BindingType::TLS_EXPORTER => self.exported,
            BindingType::SERVER_KEY => Some(Binding(key)),
            _ => None,
        };
        let binding = binding.ok_or_else(|| {
            CallError::Failed(Error::new(ErrorKind::Usage, "this connection has no such binding"))
        })?;
        let mut client_nonce = [0; 16];
        rand::rng().fill_bytes(&mut client_nonce);
        let mut proof = Proof {
            binding_type,
            binding,
            client_nonce: ClientNonce(client_nonce),
            signature: Signature([0; RSA_BLOCK_SIZE]),
        };
        let statement = proof.authentication(self.server_key_hash, nonce, client_id);
        proof.signature = sign(&statement).map_err(|error| {
            CallError::Failed(Error::new(ErrorKind::Other, format!("cannot sign: {error}")))
        })?;
        Ok(proof)
    }
}
