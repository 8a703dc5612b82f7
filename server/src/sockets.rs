//! Sockets that a service manager has bound for the server, by the protocol of systemd.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use listenfd::ListenFd;

/// What the socket is called that is for whoever runs the server.
const ADMIN: &str = "admin";

/// Sockets that were bound before this program began.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// Those for peers, each with what it is pinned to, as `--listen` has it.
    pub(crate) listeners: Vec<(TcpListener, String)>,
    /// That for whoever runs the server.
    pub(crate) admin: Option<TcpListener>,
}

impl Inherited {
    /// Takes them. Must be called before anything else opens a file or starts a thread.
    pub(crate) fn take() -> Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let socket = passed
                .take_tcp_listener(index)
                .context("what the service manager passed on is no TCP socket")?;
            let Some(socket) = socket else { continue };
            if name == ADMIN {
                inherited.admin = Some(socket);
            } else {
                // Without a name of its own, a socket has that of its unit.
                let pin = if name.contains('=') { name } else { "" };
                inherited.listeners.push((socket, pin.to_owned()));
            }
        }
        Ok(inherited)
    }
}

/// Where a socket listens.
pub(crate) fn address(socket: &TcpListener) -> Result<SocketAddr> {
    socket.local_addr().context("a socket that the service manager passed on has no address")
}
