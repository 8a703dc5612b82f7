//! Users who write to each other through a server in memory that does what a test wants of it.

mod conversations;
mod delivery;
mod files;
mod hub;
mod keys;
mod receipts;
mod trust;
mod waiting;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use messageu_envelope::identity::IdentityKey;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::fields::{ClientId, Name};

use self::hub::{Hub, Link};
use super::*;
use crate::error::Result;
use crate::profile::Profile;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

/// A server and the time.
struct World {
    hub: Rc<Hub>,
    now: Arc<AtomicU64>,
}

/// Somebody with a profile, and a way to the server.
struct User {
    dir: tempfile::TempDir,
    settings: Settings,
    account: Option<Account>,
    link: Link,
}

impl World {
    fn new() -> Self {
        Self { hub: Rc::default(), now: Arc::new(AtomicU64::new(NOW)) }
    }

    fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Registers somebody under a name, with RSA keys that are data.
    async fn user_with(&self, name: &str, keys: &'static str) -> User {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::clone(&self.now);
        let clock: Clock = Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed)));
        let settings = Settings { clock, ..Settings::new(dir.path().join("downloads")) };
        let who = Registrant { name: Name::new(name).unwrap(), phone: None };
        let profile = Profile::at(dir.path());
        let account =
            Account::prepare(&profile, None, who, settings.clone(), || Ok(made_keys(keys))).await.unwrap();
        self.hub.register(&account.registration().unwrap());
        account.registered().unwrap();
        let link = Link::new(&self.hub, account.id());
        let user = User { dir, settings, account: Some(account), link };
        user.account().refresh_keys(&user.link).await.unwrap();
        user
    }

    async fn user(&self, name: &'static str) -> User {
        self.user_with(name, name).await
    }

    async fn pair(&self) -> (User, User) {
        (self.user("alice").await, self.user("bob").await)
    }
}

impl User {
    fn account(&self) -> &Account {
        self.account.as_ref().unwrap()
    }

    fn id(&self) -> ClientId {
        self.account().id()
    }

    /// The process ends here, and another one begins.
    fn restart(&mut self) {
        self.account = None;
        let profile = Profile::at(self.dir.path());
        self.account = Some(Account::open(&profile, None, self.settings.clone()).unwrap());
    }

    async fn send(&self, to: &str, text: &str) -> Result<Flushed> {
        let to = who(to);
        self.account().begin_session(&self.link, &to).await?;
        self.account().queue_text(&to, text)?;
        self.account().flush(&self.link).await
    }

    async fn receive(&self) -> Result<()> {
        self.account().receive(&self.link, 0).await?;
        self.account().fetch_files(&self.link, &mut |_, _| ()).await.map(drop)
    }

    /// What the user is shown, as texts.
    fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        let mut show = |arrival: Arrival| {
            let from = arrival.from.map_or_else(|| "?".to_owned(), |from| from.to_string());
            shown.push(format!("{from}: {}", told(&arrival.event)));
            Ok(())
        };
        self.account().show(usize::MAX, &mut show).unwrap();
        shown
    }

    async fn receives(&self) -> Vec<String> {
        self.receive().await.unwrap();
        self.shown()
    }

    fn contact(&self, name: &str) -> Contact {
        self.account().contact(&who(name)).unwrap()
    }

    fn history(&self, with: &str) -> Vec<String> {
        let history = self.account().history(&who(with), usize::MAX).unwrap();
        let told = |message: &Message| {
            format!("{}{}", if message.is_ours { "> " } else { "< " }, told(&message.event))
        };
        history.iter().map(told).collect()
    }
}

fn who(text: &str) -> Designation {
    text.parse().unwrap()
}

fn told(event: &Event) -> String {
    match event {
        Event::Text(text) => String::from_utf8(text.as_bytes().to_vec()).unwrap(),
        Event::File { path, size } => {
            format!("file {} of {size}", path.file_name().unwrap().to_str().unwrap())
        }
        Event::FileLost { name } => format!("lost {name}"),
        Event::Missing(count) => format!("{count} missing"),
        Event::Unreadable => "unreadable".to_owned(),
        Event::Offer(_) => "offer".to_owned(),
        Event::Answered => "answered".to_owned(),
        Event::OtherKeys => "other keys".to_owned(),
        Event::NewContact => "new".to_owned(),
        Event::Rotated { .. } => "rotated".to_owned(),
        Event::Changed { .. } => "changed".to_owned(),
        Event::Unknown(body_type) => format!("unknown {}", body_type.0),
    }
}

/// The RSA keys of somebody in `vectors/modern/keys.json`: to generate them takes a second.
fn made_keys(name: &str) -> NewKeys {
    let keys = include_str!("../../../../vectors/modern/keys.json");
    let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
    let der = |which: &str| {
        let digits = keys[name][which].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect::<Vec<_>>()
    };
    NewKeys {
        identity: IdentityKey::from_pkcs8_der(&der("identity")).unwrap(),
        wrapping: WrappingKey::from_pkcs8_der(&der("wrapping")).unwrap(),
    }
}
