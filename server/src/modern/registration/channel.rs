//! How a code gets to a phone number: into a file, through a program, or by mail.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use messageu_wire::modern::field::{PhoneNumber, RegistrationCode};
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::smtp::Mailbox;

/// Codes that are on their way at once.
const AT_ONCE: usize = 16;

/// Time for a code to be handed over.
const TIME: Duration = Duration::from_secs(30);

/// Where codes are handed over.
pub struct Channel {
    way: Way,
    permits: Semaphore,
}

enum Way {
    File(PathBuf),
    Command(PathBuf),
    Mail(Mailbox),
}

/// A text that is no channel.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ChannelError {
    /// None of the kinds.
    #[error("a channel is file:PATH, command:PROGRAM, or smtp://HOST[:PORT]/?from=ADDRESS&to=PATTERN")]
    Kind,
    /// The path is missing.
    #[error("there is nothing behind {0}")]
    Path(&'static str),
    /// What mail needs is missing or wrong.
    #[error("{0}, as in smtp://127.0.0.1:25/?from=messageu@example.org&to={{number}}@sms.example.org")]
    Mail(&'static str),
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, ChannelError> {
        let path = |path: &str, kind| match path {
            "" => Err(ChannelError::Path(kind)),
            path => Ok(PathBuf::from(path)),
        };
        let way = match text.split_once(':') {
            Some(("file", rest)) => Way::File(path(rest, "file:")?),
            Some(("command", rest)) => Way::Command(path(rest, "command:")?),
            Some(("smtp", rest)) => Way::Mail(Mailbox::parse(rest).map_err(ChannelError::Mail)?),
            _ => return Err(ChannelError::Kind),
        };
        Ok(Self { way, permits: Semaphore::new(AT_ONCE) })
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::File(_) => "Channel(file)",
            Way::Command(_) => "Channel(command)",
            Way::Mail(_) => "Channel(smtp)",
        })
    }
}

impl Channel {
    /// Whether what it takes is there, as far as that can be told without sending anything.
    ///
    /// # Errors
    /// Those of the file, or of the program's.
    pub fn check(&self) -> io::Result<()> {
        match &self.way {
            Way::File(path) => append_to(path).map(drop),
            Way::Command(path) => std::fs::metadata(path).map(drop),
            Way::Mail(_) => Ok(()),
        }
    }

    /// Hands a code over. Errors tell neither the code nor the number.
    pub(super) async fn send(&self, phone: &PhoneNumber, code: &RegistrationCode) -> io::Result<()> {
        let _one_of_few = self.permits.acquire().await.map_err(io::Error::other)?;
        let digits = str::from_utf8(code.as_bytes()).map_err(io::Error::other)?;
        let line = format!("{} {digits}\n", phone.as_str());
        let sent = async {
            match &self.way {
                Way::File(path) => {
                    let mut file = append_to(path)?;
                    tokio::task::spawn_blocking(move || file.write_all(line.as_bytes())).await?
                }
                Way::Command(path) => run(path, &line).await,
                Way::Mail(mailbox) => mailbox.send(phone, digits).await,
            }
        };
        timeout(TIME, sent).await?
    }
}

/// A file that only its owner reads, as codes are in it.
fn append_to(path: &PathBuf) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Runs a program with a line on its standard input: arguments could be seen by everybody on this machine.
async fn run(program: &PathBuf, line: &str) -> io::Result<()> {
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(line.as_bytes()).await?;
    }
    let status = child.wait().await?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("the program failed: {status}"))) }
}

#[cfg(test)]
mod tests {
    use messageu_wire::modern::field::{PhoneNumber, RegistrationCode};

    use super::Channel;

    fn code() -> (PhoneNumber, RegistrationCode) {
        (PhoneNumber::new("+4915112345678").unwrap(), RegistrationCode::new(b"012345").unwrap())
    }

    #[tokio::test]
    async fn a_file_gets_a_line_a_code_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("codes");
        let channel: Channel = format!("file:{}", path.display()).parse().unwrap();
        channel.check().unwrap();
        let (phone, code) = code();
        channel.send(&phone, &code).await.unwrap();
        channel.send(&phone, &code).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "+4915112345678 012345\n".repeat(2));
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_program_gets_the_code_on_its_standard_input_and_its_failure_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (program, out) = (directory.path().join("send"), directory.path().join("out"));
        std::fs::write(&program, format!("#!/bin/sh\ncat >{}\n", out.display())).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&program, executable).unwrap();
        let (phone, code) = code();
        let channel: Channel = format!("command:{}", program.display()).parse().unwrap();
        channel.send(&phone, &code).await.unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "+4915112345678 012345\n");
        let failing: Channel = "command:/bin/false".parse().unwrap();
        let error = failing.send(&phone, &code).await.unwrap_err().to_string();
        assert!(!error.contains("012345") && !error.contains("49151"), "{error}");
        assert!("command:/no/such/program".parse::<Channel>().unwrap().check().is_err());
    }

    #[test]
    fn a_wrong_channel_says_what_would_be_right() {
        for (text, says) in [
            ("pigeon:home", "file:PATH, command:PROGRAM"),
            ("file:", "nothing behind file:"),
            ("smtp://host", "from="),
            ("smtp://host/?from=a@b&to=c@d", "{number}"),
            ("smtp://host/?from=a b@c&to={number}@d", "from="),
        ] {
            let error = text.parse::<Channel>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
