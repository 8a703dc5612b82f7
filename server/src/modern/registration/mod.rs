//! Who may register: anybody, whoever has a phone number that takes a code, or nobody.

mod channel;
mod smtp;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use messageu_wire::modern::field::{PhoneNumber, RegistrationCode};
use rand::RngExt as _;
use ring::hmac;
use tokio::time::Instant;

pub use self::channel::{Channel, ChannelError};
use super::reason::Reason;
use crate::secret_file::{keep, read_secret};
use crate::store::modern::{CodeRules, CodeTag, NewAccount, PendingRegistration, PhoneTag, RegistrationId};

/// How long a code is good for.
const CODE_LIFE: Duration = Duration::from_secs(10 * 60);

/// How often a code may be tried.
pub(super) const CODE_ATTEMPTS: u32 = 5;

/// Codes that one address may ask for within [`HOUR`], for whatever numbers.
const CODES_AN_HOUR: usize = 10;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Addresses that are kept count of. Beyond, nobody new is sent a code until the hour of some is over.
const ADDRESSES_MAX: usize = 1 << 16;

/// What tells the HMAC of a phone number from that of a code.
const PHONE_CONTEXT: &[u8] = b"MU3-PHONE\0";
const CODE_CONTEXT: &[u8] = b"MU3-CODE\0";

/// Bytes of a pepper.
const PEPPER_SIZE: usize = 32;

/// Who may register.
pub enum Registration {
    /// Anybody.
    Open,
    /// Whoever has a phone number, and proves it with a code.
    Code(Box<Codes>),
    /// Nobody.
    Closed,
}

impl Registration {
    /// Whether it takes a code to register.
    pub(super) fn asks_for_codes(&self) -> bool {
        matches!(self, Self::Code(_))
    }
}

/// A secret without which phone numbers and codes cannot be told from what the store has of them.
pub struct Pepper(hmac::Key);

impl Pepper {
    /// One that ends with the process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::new(&rand::random())
    }

    /// Reads the one in a file, which is made at the first time, for its owner alone.
    ///
    /// # Errors
    /// Those of the file, and [`io::ErrorKind::InvalidData`] for one that holds something else.
    pub fn load_or_make(path: &Path) -> io::Result<Self> {
        let read = || {
            let text = read_secret(path)?;
            let text = str::from_utf8(&text).unwrap_or_default().trim();
            let number = (text.len() == 2 * PEPPER_SIZE).then(|| from_hex(text)).flatten();
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not 64 hexadecimal digits");
            number.map(|pepper| Self::new(&pepper)).ok_or_else(wrong)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret: [u8; PEPPER_SIZE] = rand::random();
                let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
                keep(path, &(digits + "\n"))?;
                read()
            }
            read => read,
        }
    }

    fn new(secret: &[u8; PEPPER_SIZE]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn phone_tag(&self, phone: &PhoneNumber) -> PhoneTag {
        PhoneTag(bytes_of(&hmac::sign(&self.0, &[PHONE_CONTEXT, phone.as_str().as_bytes()].concat())))
    }

    fn code_tag(&self, id: RegistrationId, code: &RegistrationCode) -> CodeTag {
        CodeTag(bytes_of(&hmac::sign(&self.0, &code_fields(id, code))))
    }
}

fn from_hex(text: &str) -> Option<[u8; PEPPER_SIZE]> {
    let mut bytes = [0; PEPPER_SIZE];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn code_fields(id: RegistrationId, code: &RegistrationCode) -> Vec<u8> {
    [CODE_CONTEXT, &id.0, code.as_bytes()].concat()
}

fn bytes_of(tag: &hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    bytes
}

/// Codes: made, counted, sent and compared. Neither they nor the numbers they go to are ever logged.
pub struct Codes {
    pepper: Pepper,
    channel: Arc<Channel>,
    rules: CodeRules,
    /// When each address asked for codes, within the last hour.
    asked: Mutex<HashMap<IpAddr, Vec<Instant>>>,
}

impl Codes {
    /// Codes that go through this channel.
    #[must_use]
    pub fn new(pepper: Pepper, channel: Channel) -> Self {
        Self { pepper, channel: Arc::new(channel), rules: CodeRules::default(), asked: Mutex::default() }
    }

    pub(super) fn rules(&self) -> CodeRules {
        self.rules
    }

    pub(super) fn life(&self) -> Duration {
        CODE_LIFE
    }

    /// Counts a code that an address asks for.
    pub(super) fn admit(&self, site: IpAddr) -> Result<(), Reason> {
        let now = Instant::now();
        let is_recent = |asked: &Instant| now.duration_since(*asked) < HOUR;
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&site) {
            all.retain(|_, asked| asked.iter().any(is_recent));
            if all.len() >= ADDRESSES_MAX {
                return Err(Reason::TooMuch { retry_after: HOUR });
            }
        }
        let asked = all.entry(site).or_default();
        asked.retain(is_recent);
        if let Some(first) = asked.first()
            && asked.len() >= CODES_AN_HOUR
        {
            return Err(Reason::TooMuch { retry_after: HOUR.saturating_sub(now.duration_since(*first)) });
        }
        asked.push(now);
        Ok(())
    }

    /// A code for an account to be registered, and what is to be kept until it comes back.
    pub(super) fn issue(
        &self,
        account: NewAccount,
        phone: &PhoneNumber,
        now: SystemTime,
    ) -> (PendingRegistration, RegistrationCode) {
        let mut rng = rand::rng();
        let id = RegistrationId(rng.random());
        let code = RegistrationCode::of_number(rng.random_range(0..1_000_000));
        let account = NewAccount { phone: Some(self.pepper.phone_tag(phone)), ..account };
        let pending = PendingRegistration {
            id,
            account,
            code: self.pepper.code_tag(id, &code),
            expires: now + CODE_LIFE,
        };
        (pending, code)
    }

    /// Sends a code to its number. How that ends, nobody hears who asked for it: a number that takes no code looks like any
    /// other.
    pub(super) fn send(&self, phone: PhoneNumber, code: RegistrationCode) {
        let channel = Arc::clone(&self.channel);
        tokio::spawn(async move {
            if let Err(error) = channel.send(&phone, &code).await {
                tracing::error!(%error, "a registration code could not be sent (--code-channel)");
            }
        });
    }

    /// Whether a code is the one of a registration, in constant time.
    pub(super) fn is_right(&self, id: RegistrationId, code: &RegistrationCode, kept: CodeTag) -> bool {
        hmac::verify(&self.pepper.0, &code_fields(id, code), &kept.0).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::os::unix::fs::PermissionsExt as _;

    use messageu_wire::modern::field::{PhoneNumber, RegistrationCode};
    use tokio::time::Duration;

    use super::{CODES_AN_HOUR, Channel, Codes, HOUR, Pepper};
    use crate::store::modern::RegistrationId;

    fn codes() -> Codes {
        let channel = "command:/bin/true".parse::<Channel>().unwrap();
        Codes::new(Pepper::of_this_process(), channel)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_sent_ten_codes_an_hour_and_another_its_own_ten() {
        let codes = codes();
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        for _ in 0..CODES_AN_HOUR {
            codes.admit(one).unwrap();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let refusal = codes.admit(one).unwrap_err().refusal(messageu_wire::fields::ClientId::NOBODY);
        assert_eq!(refusal.retry_after_s, 60 * 60 - 10);
        codes.admit(other).unwrap();
        tokio::time::advance(HOUR - Duration::from_secs(10)).await;
        codes.admit(one).unwrap();
        assert!(codes.admit(one).is_err());
    }

    #[test]
    fn a_pepper_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pepper");
        let phone = PhoneNumber::new("+4915112345678").unwrap();
        let first = Pepper::load_or_make(&path).unwrap().phone_tag(&phone);
        assert_eq!(Pepper::load_or_make(&path).unwrap().phone_tag(&phone), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(Pepper::of_this_process().phone_tag(&phone), first);
        std::fs::write(&path, "something else").unwrap();
        assert!(Pepper::load_or_make(&path).is_err());
    }

    #[test]
    fn a_code_is_right_for_its_own_registration_alone() {
        let codes = codes();
        let (id, code) = (RegistrationId([1; 16]), RegistrationCode::new(b"123456").unwrap());
        let kept = codes.pepper.code_tag(id, &code);
        assert!(codes.is_right(id, &code, kept));
        assert!(!codes.is_right(RegistrationId([2; 16]), &code, kept));
        assert!(!codes.is_right(id, &RegistrationCode::new(b"123457").unwrap(), kept));
        assert!(!self::codes().is_right(id, &code, kept));
    }
}
