//! Somebody between a client and its server, who speaks TLS to both, with a key of their own, and passes frames on.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use messageu_client::Address;
use messageu_wire::modern::frame::{RequestReader, ResponseFrame, encode_request, encode_response};
use messageu_wire::modern::transport::ALPN;
use messageu_wire::modern::{Operation, Request};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

use super::World;
use crate::modern::Modern;

type Change = Box<dyn FnMut(&Request, ResponseFrame) -> ResponseFrame + Send>;

/// The one between.
pub(crate) struct Middle {
    pub(crate) place: SocketAddr,
    /// Where it is, with its own pin.
    pub(crate) address: Address,
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<ServerConfig>,
    server: SocketAddr,
    heard: Mutex<Vec<Operation>>,
    change: Mutex<Change>,
    is_over: AtomicBool,
}

impl Middle {
    /// One that passes all frames on, and changes the answers.
    pub(crate) fn before(
        world: &World,
        change: impl FnMut(&Request, ResponseFrame) -> ResponseFrame + Send + 'static,
    ) -> Self {
        let (config, pin) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            config,
            server: world.place,
            heard: Mutex::default(),
            change: Mutex::new(Box::new(change)),
            is_over: AtomicBool::new(false),
        });
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if all.is_over.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&all);
                // However it ends, what was heard is what counts.
                std::thread::spawn(move || shared.stand_between(socket).err());
            }
        });
        let address = format!("{place}#sha256={pin}").parse().unwrap();
        Self { place, address, shared }
    }

    /// One that passes everything on as it is.
    pub(crate) fn listening(world: &World) -> Self {
        Self::before(world, |_, answer| answer)
    }

    /// Everything that it was asked.
    pub(crate) fn heard(&self) -> Vec<Operation> {
        self.shared.heard.lock().unwrap().clone()
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes who waits for the next connection.
        let _ = TcpStream::connect(self.place);
    }
}

impl Shared {
    fn stand_between(&self, socket: TcpStream) -> io::Result<()> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        let mut client = StreamOwned::new(connection, socket);
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock)?;
        }
        let mut server = Modern::connect(self.server);
        let mut reader = RequestReader::new();
        loop {
            match reader.poll().map_err(io::Error::other)? {
                None => {
                    let mut buffer = [0; 16 * 1024];
                    let read = client.read(&mut buffer)?;
                    if read == 0 {
                        return Ok(());
                    }
                    reader.push(&buffer[..read]);
                }
                Some(frame) => {
                    let request = frame.request.map_err(io::Error::other)?;
                    self.heard.lock().unwrap().push(request.operation());
                    server.say(&encode_request(frame.client_id, frame.tag, &request));
                    let Some(answer) = server.next() else { return Ok(()) };
                    let answer = (self.change.lock().unwrap())(&request, answer);
                    client.write_all(&encode_response(answer.tag, &answer.answer))?;
                    client.flush()?;
                }
            }
        }
    }
}

/// A certificate that anybody can make, and what it is known by.
fn certificate() -> (Arc<ServerConfig>, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["messageu".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    let pin = Sha256::digest(spki).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    let mut config = config.unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    (Arc::new(config), pin)
}
