//! Whoever runs the server, as a client of what it says of itself over HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use super::Server;

/// What a server says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
}

/// An answer over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
}

impl Reply {
    /// Reads an answer that ends with its connection; none if there is nothing.
    pub(crate) fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        // A reset behind the answer does not matter.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1)?.parse().unwrap();
        Some(Self { status, headers: headers.to_owned(), body: body.to_owned() })
    }

    /// The value of a header, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
            .unwrap_or("")
    }
}

impl Site {
    /// Starts a server with one listener for peers, and one for whoever runs it.
    pub(crate) fn start(data: &Path, more: &[&str]) -> (Server, Self) {
        let options = [&["--admin", "127.0.0.1:0"], more].concat();
        let server = Server::start(data, &["127.0.0.1:0"], &options);
        let address = server.addresses[1];
        (server, Self { address })
    }

    /// Gets a page; none if the server closes without an answer.
    pub(crate) fn try_get(self, path: &str) -> Option<Reply> {
        self.try_ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    /// Gets a page.
    pub(crate) fn get(self, path: &str) -> Reply {
        self.try_get(path).unwrap_or_else(|| panic!("no answer for {path}"))
    }

    /// Asks in so many words.
    pub(crate) fn ask(self, request: &str) -> Reply {
        self.try_ask(request).expect("no answer")
    }

    fn try_ask(self, request: &str) -> Option<Reply> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).ok()?;
        Reply::read(&mut stream)
    }

    /// All measures by their names and labels.
    pub(crate) fn measures(self) -> BTreeMap<String, f64> {
        let reply = self.get("/metrics");
        assert_eq!(reply.status, 200);
        let samples = reply.body.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(sample, value)| (sample.to_owned(), value.parse().unwrap()))
            .collect()
    }
}
