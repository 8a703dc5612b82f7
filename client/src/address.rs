//! Where a server is, and by which key it is known: `HOST:PORT` or `HOST:PORT#sha256=HEX`.

use std::fmt;
use std::str::FromStr;

use messageu_wire::envelope::field::ServerKeyHash;

use crate::error::{Error, ErrorKind};

/// A server's address: a name or an IP address, a port, and perhaps the server's pin.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    host: String,
    port: u16,
    pin: Option<ServerKeyHash>,
}

/// What stands before the digits of a pin.
const PIN: &str = "sha256=";

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

    /// `HOST:PORT`, without the pin.
    #[must_use]
    pub fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The SHA-256 of the server's public key, if that alone is to tell the server; otherwise, certificates do. Only version
    /// 3 can tell.
    #[must_use]
    pub const fn pin(&self) -> Option<ServerKeyHash> {
        self.pin
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Reads `HOST:PORT`, `A.B.C.D:PORT` or `[IPV6]:PORT`, each with or without `#sha256=` and 64 hexadecimal digits behind
    /// it; white space around it does not matter.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let wrong = |what: &str| {
            Error::new(ErrorKind::Usage, format!("{text:?} is no server address: {what}"))
                .hint("write HOST:PORT, for example 127.0.0.1:1357 or [::1]:1357")
        };
        let (place, pin) = match text.split_once('#') {
            None => (text, None),
            Some((place, pin)) => {
                let pin =
                    read_pin(pin).ok_or_else(|| wrong("its pin is not sha256= and 64 hexadecimal digits"))?;
                (place, Some(pin))
            }
        };
        let (host, port) = place.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
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
        Ok(Self { host: bracketed.unwrap_or(host).to_owned(), port, pin })
    }
}

fn read_pin(text: &str) -> Option<ServerKeyHash> {
    let digits = text.strip_prefix(PIN)?;
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let (first, second) = digits.split_at_checked(32)?;
    let half = |digits| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes);
    let bytes = [half(first)?, half(second)?].concat();
    bytes.try_into().ok().map(ServerKeyHash)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        match self.pin {
            Some(pin) => write!(f, "#{PIN}{pin}"),
            None => Ok(()),
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
    fn reads_a_pin_in_either_case_and_writes_it_in_small_letters() {
        let digits = "0123456789abcdef".repeat(4);
        for text in [format!("[::1]:1#sha256={digits}"), format!("[::1]:1#sha256={}", digits.to_uppercase())]
        {
            let address = text.parse::<Address>().unwrap();
            assert_eq!(address.to_string(), format!("[::1]:1#sha256={digits}"));
            assert_eq!(address.pin().unwrap().0[..3], [0x01, 0x23, 0x45]);
        }
        assert_eq!("a:1".parse::<Address>().unwrap().pin(), None);
    }

    #[test]
    fn refuses_a_pin_that_is_not_whole_instead_of_leaving_it_out() {
        let digits = "0".repeat(63);
        for pin in
            ["", "sha256=", "sha1=00", &digits, &format!("sha256={digits}"), &format!("sha256={digits}+")]
        {
            let error = format!("a:1#{pin}").parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("its pin is not"), "{pin:?}: {error}");
        }
        let twice = format!("a:1#sha256={digits}0#sha256={digits}0");
        assert!(twice.parse::<Address>().is_err());
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
