//! What is for whoever runs the server: measures for monitoring, whether it works, and a page to look at, over HTTP.
//!
//! It only reads, and tells nothing about anybody in particular. All the same it is for loopback, unless it is said
//! otherwise: how much is going on is nobody else's business.

mod exposition;
mod health;
mod hosts;
mod process;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::health::Health;
use self::hosts::Hosts;
use self::process::Process;
use crate::Relay;

/// Connections at once. One more is closed without an answer.
const CONNECTIONS: usize = 32;

/// Bytes of a request, but for a body, which is never read.
const REQUEST_BYTES: usize = 8 * 1024;

/// Headers of a request.
const REQUEST_HEADERS: usize = 64;

/// Time for a request to come.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// Time for a connection, which has one request, from its beginning to its end.
const CONNECTION_TIME: Duration = Duration::from_secs(20);

/// How long accepting rests after it failed.
const REST: Duration = Duration::from_millis(50);

/// The page that shows the measures, whole in one file.
const PAGE: &str = include_str!("status.html");

/// What the page may do: run what it has in it, and ask this server.
static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let [script, style] =
        ["script", "style"].map(|element| BASE64.encode(Sha256::digest(inside(PAGE, element))));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// What anything else may do.
const NO_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What is said to whoever asks for another server.
const OTHER_NAME: &str = "this server is not known by that name: ask by its address, or as localhost; if the name is its own, \
                          start it with --admin-host NAME\n";

/// The text of the one element of this name.
fn inside<'a>(page: &'a str, element: &str) -> &'a str {
    let text = page.split_once(&format!("<{element}>")).map_or("", |(_, rest)| rest);
    text.split_once(&format!("</{element}>")).map_or("", |(text, _)| text)
}

/// A bound listener for whoever runs the server.
#[derive(Debug)]
pub struct Admin {
    socket: TcpListener,
    hosts: Hosts,
}

impl Admin {
    /// Binds an address, within a tokio runtime.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, hosts: Hosts::default() })
    }

    /// A socket that listens already, within a tokio runtime.
    ///
    /// # Errors
    /// Those of the system.
    pub fn adopt(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: TcpListener::from_std(socket)?, hosts: Hosts::default() })
    }

    /// Answers by these names too, beside addresses and `localhost`. Any other may be that of somebody whose page is open
    /// in a browser here, and who has it point to this machine.
    #[must_use]
    pub fn known_as(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { hosts: Hosts::new(names), ..self }
    }

    /// The address, with the port that was picked.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until it is dropped. `listeners` is how many there should be for peers; from `shutdown` on, the server
    /// is not ready any more.
    pub async fn serve(self, relay: Arc<Relay>, listeners: usize, shutdown: CancellationToken) {
        let health = Health::new(Arc::clone(&relay), listeners, shutdown);
        let site = Arc::new(Site { relay, health, process: Process::new(), hosts: self.hosts });
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok((stream, _)) = self.socket.accept().await else {
                tokio::time::sleep(REST).await;
                continue;
            };
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                let _ = tokio::time::timeout(CONNECTION_TIME, site.converse(stream)).await;
                drop(seat);
            });
        }
    }
}

/// What there is to ask for.
struct Site {
    relay: Arc<Relay>,
    health: Health,
    process: Process,
    hosts: Hosts,
}

impl Site {
    /// Answers one request.
    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(move |request: Request<Incoming>| {
            let site = Arc::clone(&self);
            async move { Ok::<_, Infallible>(site.answer(&request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIME)
            .max_buf_size(REQUEST_BYTES)
            .max_headers(REQUEST_HEADERS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        // Whoever asks knows best what was wrong.
        let _ = connection.await;
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.hosts.include_all_of(request.headers()) {
            return text(StatusCode::MISDIRECTED_REQUEST, OTHER_NAME);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "there is nothing to change here\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/" => {
                let page = Bytes::from_static(PAGE.as_bytes());
                response(StatusCode::OK, "text/html; charset=utf-8", &PAGE_POLICY, page)
            }
            "/metrics" => {
                let measures = exposition::render(&self.relay, &self.process).await;
                response(StatusCode::OK, exposition::CONTENT_TYPE, NO_POLICY, measures.into())
            }
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" => match self.health.readiness().await {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {reason}\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "there are: / /metrics /healthz /readyz\n"),
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", NO_POLICY, Bytes::copy_from_slice(text.as_bytes()))
}

fn response(status: StatusCode, kind: &str, policy: &str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, kind);
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    response
}
