//! Codes by mail, to a gateway that passes them on, or to a mail server of one's own that does: as much of SMTP (RFC 5321) as
//! it takes to hand over one message. It is not encrypted: the mail server has to be on this machine, or on a network that
//! is trusted.

use std::io;

use messageu_wire::modern::field::PhoneNumber;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The port of mail servers.
const PORT: u16 = 25;

/// Bytes of a line that a server may say (RFC 5321 has 512), and of all that it says.
const LINE_MAX: u64 = 1024;
const LINES_MAX: usize = 64;

/// What stands for the digits of a phone number in the address of the recipient.
const NUMBER: &str = "{number}";

/// Where mail is handed over, and from whom to whom it is.
pub(super) struct Mailbox {
    server: String,
    from: String,
    to: String,
}

impl Mailbox {
    /// Reads `//HOST[:PORT]/?from=ADDRESS&to=PATTERN`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("//").ok_or("the host follows smtp://")?;
        let (server, query) = rest.split_once("/?").ok_or("it needs from=ADDRESS and to=PATTERN")?;
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        if host.is_empty() {
            return Err("the host follows smtp://");
        }
        let has_port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let server = if has_port { server.to_owned() } else { format!("{server}:{PORT}") };
        let (mut from, mut to) = (None, None);
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("from", address)) if is_address(address) => from = Some(address.to_owned()),
                Some(("to", pattern)) if is_address(pattern) && pattern.contains(NUMBER) => {
                    to = Some(pattern.to_owned());
                }
                Some(("to", _)) => return Err("to= has to be an address with {number} in it"),
                _ => return Err("from= has to be an address"),
            }
        }
        let (from, to) = from.zip(to).ok_or("it needs from=ADDRESS and to=PATTERN")?;
        Ok(Self { server, from, to })
    }

    /// Hands a code over.
    pub(super) async fn send(&self, phone: &PhoneNumber, code: &str) -> io::Result<()> {
        let digits = phone.as_str().trim_start_matches('+');
        let to = self.to.replace(NUMBER, digits);
        let mut server = BufReader::new(TcpStream::connect(&self.server).await?);
        expect(&mut server, b'2').await?;
        let from = &self.from;
        for (line, expected) in [
            ("EHLO [127.0.0.1]".to_owned(), b'2'),
            (format!("MAIL FROM:<{from}>"), b'2'),
            (format!("RCPT TO:<{to}>"), b'2'),
            ("DATA".to_owned(), b'3'),
        ] {
            server.write_all(format!("{line}\r\n").as_bytes()).await?;
            expect(&mut server, expected).await?;
        }
        let message = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: MessageU\r\nAuto-Submitted: auto-generated\r\n\r\n\
             {code} is your code for MessageU. It is good for ten minutes. Tell it to nobody.\r\n.\r\n"
        );
        server.write_all(message.as_bytes()).await?;
        expect(&mut server, b'2').await?;
        server.write_all(b"QUIT\r\n").await
    }
}

/// Whether a text can stand for an address in a line of SMTP.
fn is_address(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&byte);
    text.bytes().all(is_plain)
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

/// Reads an answer, of one line or more, whose code begins with this digit.
async fn expect(server: &mut BufReader<TcpStream>, digit: u8) -> io::Result<()> {
    for _ in 0..LINES_MAX {
        let mut line = Vec::new();
        server.take(LINE_MAX).read_until(b'\n', &mut line).await?;
        match line.as_slice() {
            // More follows.
            [_, _, _, b'-', ..] => {}
            [first, ..] if *first == digit => return Ok(()),
            [a, b, c, ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                let code = String::from_utf8_lossy(&[*a, *b, *c]).into_owned();
                return Err(io::Error::other(format!("the mail server refuses ({code})")));
            }
            _ => return Err(io::Error::other("the mail server does not speak SMTP")),
        }
    }
    Err(io::Error::other("the mail server says too much"))
}

#[cfg(test)]
mod tests {
    use messageu_wire::modern::field::PhoneNumber;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::Mailbox;

    /// A mail server that takes one message, and gives what it was told.
    async fn server(refuses: Option<&'static str>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = tokio::spawn(async move {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            stream.write_all(b"220 here\r\n").await.unwrap();
            let (mut lines, mut in_data) = (Vec::new(), false);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return lines;
                }
                let line = line.trim_end().to_owned();
                let answer: &[u8] = match line.as_str() {
                    "." => b"250 taken\r\n",
                    _ if in_data => b"",
                    _ if refuses.is_some_and(|start| line.starts_with(start)) => b"550 no\r\n",
                    "DATA" => b"354 go on\r\n",
                    _ if line.starts_with("EHLO") => b"250-here\r\n250 8BITMIME\r\n",
                    _ => b"250 fine\r\n",
                };
                in_data = (in_data || line == "DATA") && line != ".";
                lines.push(line);
                stream.write_all(answer).await.unwrap();
            }
        });
        (address, served)
    }

    fn mailbox(address: &str) -> Mailbox {
        let text = format!("//{address}/?from=messageu@example.org&to={{number}}@sms.example.org");
        Mailbox::parse(&text).unwrap()
    }

    #[tokio::test]
    async fn a_code_is_mailed_to_the_number() {
        let (address, served) = server(None).await;
        let phone = PhoneNumber::new("+4915112345678").unwrap();
        mailbox(&address).send(&phone, "012345").await.unwrap();
        let lines = served.await.unwrap();
        assert!(lines.contains(&"RCPT TO:<4915112345678@sms.example.org>".to_owned()), "{lines:?}");
        assert!(lines.contains(&"MAIL FROM:<messageu@example.org>".to_owned()));
        assert!(lines.iter().any(|line| line.starts_with("012345 is your code")));
    }

    #[tokio::test]
    async fn a_mail_server_that_refuses_is_an_error_that_tells_nothing() {
        let (address, served) = server(Some("RCPT")).await;
        let phone = PhoneNumber::new("+4915112345678").unwrap();
        let error = mailbox(&address).send(&phone, "012345").await.unwrap_err().to_string();
        assert!(error.contains("refuses (550)"), "{error}");
        assert!(!error.contains("49151") && !error.contains("012345"), "{error}");
        drop(served);
    }

    #[test]
    fn the_port_is_25_unless_it_is_said() {
        assert_eq!(mailbox("mail.example.org").server, "mail.example.org:25");
        assert_eq!(mailbox("[::1]:2525").server, "[::1]:2525");
    }
}
