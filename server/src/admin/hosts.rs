//! By which names whoever runs the server may ask for it.
//!
//! A browser lets a page ask only the server that it came from, by its name. But whoever owns a name can have it point here
//! once the page is open (DNS rebinding), and then read along. So a name counts only if it is known to be ours. An address
//! is one that nobody else can point elsewhere.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;

/// The name that every machine has for itself.
const OWN: &str = "localhost";

/// Names that are ours, beside addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| without_root(&name).to_owned()).collect())
    }

    /// Whether a request asks for us. One that names nobody is no browser's.
    pub(super) fn include_all_of(&self, headers: &HeaderMap) -> bool {
        headers.get_all(HOST).iter().all(|host| self.includes(host))
    }

    fn includes(&self, host: &HeaderValue) -> bool {
        let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = without_root(host);
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case(OWN)
            || self.0.iter().any(|ours| name.eq_ignore_ascii_case(ours))
    }
}

/// A name that ends with the dot of the root is the same without.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HOST, HeaderMap, HeaderValue};

    use super::Hosts;

    fn answers(hosts: &[&'static str]) -> bool {
        let headers: HeaderMap = hosts.iter().map(|host| (HOST, HeaderValue::from_static(host))).collect();
        Hosts::new(["Server.Example.".to_owned()]).include_all_of(&headers)
    }

    #[test]
    fn addresses_localhost_and_the_names_that_were_given_are_answered_with_any_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9357",
            "192.0.2.1:80",
            "[::1]",
            "[::1]:9357",
            "localhost",
            "LocalHost:1",
            "localhost.",
            "server.example",
            "SERVER.example:9357",
            "server.example.:1",
        ] {
            assert!(answers(&[host]), "{host}");
        }
        assert!(answers(&[]));
    }

    #[test]
    fn any_other_name_is_not_whatever_it_looks_like() {
        for host in [
            "",
            "rebound.example",
            "rebound.example:9357",
            "localhost.rebound.example",
            "127.0.0.1.rebound.example",
            "xserver.example",
            "server.example.rebound.example",
            "127.0.0.1@rebound.example",
            "[::1",
            "a b",
            "/",
        ] {
            assert!(!answers(&[host]), "{host}");
        }
        assert!(!answers(&["127.0.0.1", "rebound.example"]));
    }
}
