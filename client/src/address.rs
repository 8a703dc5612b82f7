//! Where a server is: `HOST:PORT`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A server's address: a name or an IP address, and a port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The host, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `HOST:PORT`, `A.B.C.D:PORT` or `[IPV6]:PORT`; white space around it does not matter.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = |what: &str| {
            Error::new(ErrorKind::Usage, format!("{text:?} is no server address: {what}"))
                .hint("write HOST:PORT, for example 127.0.0.1:1357 or [::1]:1357")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match bracketed {
            Some(inner)
                if inner.contains(':') && inner.chars().all(|c| allowed(c) || c == ':' || c == '%') => {}
            None if !host.is_empty() && host.chars().all(allowed) => {}
            None if host.contains(':') => return Err(wrong("an IPv6 address stands in brackets")),
            _ => return Err(wrong("the host is neither a name nor an IP address")),
        }
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?;
        Ok(Self { host: bracketed.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_both_kinds_of_ip_addresses() {
        for text in ["localhost:1357", "127.0.0.1:1", "[::1]:65535", "a-b.example:80"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!(" 127.0.0.1:1357\r\n".parse::<Address>().unwrap().to_string(), "127.0.0.1:1357");
    }

    #[test]
    fn refuses_what_is_no_address_and_says_how_one_is_written() {
        for text in ["", "localhost", "localhost:", ":1357", "a:0", "a:65536", "::1:1357", "a b:1", "[a]:1"] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text:?}");
            assert!(error.hint_text().unwrap().contains("HOST:PORT"));
        }
    }
}
