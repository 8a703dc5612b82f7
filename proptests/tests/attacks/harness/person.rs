//! Somebody with a client of version 3, as the program has it.

use std::path::Path;

use messageu_client::modern::{
    Account, Arrival, Connection, Contact, Designation, Event, Flushed, NewKeys, Passphrase, Patience,
    Registrant, Settings,
};
use messageu_client::{Address, Profile, Result};
use messageu_envelope::identity::IdentityKey;
use messageu_envelope::wrapping::WrappingKey;
use messageu_wire::fields::{ClientId, Name};

use super::World;

/// Somebody who has joined.
pub(crate) struct Person {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) account: Account,
    pub(crate) server: Connection,
}

impl World {
    /// Somebody who registers under the name that their keys have: alice, bob or carol.
    pub(crate) async fn person(&self, name: &'static str) -> Person {
        Person::join(self, &self.address, name, name, None, false).await
    }

    /// Somebody of whom nothing is kept that was said.
    pub(crate) async fn person_without_history(&self, name: &'static str) -> Person {
        Person::join(self, &self.address, name, name, None, true).await
    }

    pub(crate) async fn pair(&self) -> (Person, Person) {
        (self.person("alice").await, self.person("bob").await)
    }

    pub(crate) async fn trio(&self) -> (Person, Person, Person) {
        (self.person("alice").await, self.person("bob").await, self.person("carol").await)
    }
}

impl Person {
    pub(crate) async fn join(
        world: &World,
        address: &Address,
        name: &str,
        keys: &'static str,
        passphrase: Option<&Passphrase>,
        is_ephemeral: bool,
    ) -> Self {
        let mut person = Self::prepare(world, address, name, keys, passphrase, is_ephemeral).await;
        let content = person.account.registration().unwrap();
        let answer = person.server.register(person.account.identity_key(), content).await.unwrap();
        person.account.take_registration(&answer).unwrap();
        person.reconnect(address).await.unwrap();
        person.account.refresh_keys(&person.server).await.unwrap();
        person
    }

    /// Somebody with keys and a connection, and no account at the server.
    pub(crate) async fn prepare(
        world: &World,
        address: &Address,
        name: &str,
        keys: &'static str,
        passphrase: Option<&Passphrase>,
        is_ephemeral: bool,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = world.clock();
        let settings = Settings { clock, is_ephemeral, ..Settings::new(dir.path().join("downloads")) };
        let who = Registrant { name: Name::new(name).unwrap(), phone: None };
        let made = move || Ok(made_keys(keys));
        let profile = Profile::at(dir.path());
        let account = Account::prepare(&profile, passphrase, who, settings.clone(), made).await.unwrap();
        let server = Connection::connect(address, Patience::default()).await.unwrap();
        Self { dir, settings, account, server }
    }

    /// Connects anew, and authenticates.
    pub(crate) async fn reconnect(&mut self, address: &Address) -> Result<()> {
        self.server = Connection::connect(address, Patience::default()).await?;
        self.server.authenticate(self.account.identity_key()).await?;
        Ok(())
    }

    pub(crate) fn id(&self) -> ClientId {
        self.account.id()
    }

    pub(crate) async fn send(&self, to: &str, text: &str) -> Result<Flushed> {
        let to = designation(to);
        self.account.begin_session(&self.server, &to).await?;
        self.account.queue_text(&to, text)?;
        self.account.flush(&self.server).await
    }

    pub(crate) async fn send_file(&self, to: &str, name: &str, content: &[u8]) -> Result<Flushed> {
        let (to, path) = (designation(to), self.dir.path().join(name));
        std::fs::write(&path, content).unwrap();
        self.account.begin_session(&self.server, &to).await?;
        self.account.send_file(&self.server, &to, &path, &mut |_, _| ()).await?;
        self.account.flush(&self.server).await
    }

    /// Takes what waits, files too, and says what the user is shown.
    pub(crate) async fn receives(&self) -> Vec<String> {
        self.account.receive(&self.server, 0).await.unwrap();
        self.account.fetch_files(&self.server, &mut |_, _| ()).await.unwrap();
        self.shown()
    }

    /// Takes what waits as often as it is tried to open what does not open.
    pub(crate) async fn receives_until_given_up(&self) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..5 {
            all.extend(self.receives().await);
        }
        all
    }

    pub(crate) fn shown(&self) -> Vec<String> {
        let mut shown = Vec::new();
        let mut show = |arrival: Arrival| {
            let from = arrival.from.map_or_else(|| "?".to_owned(), |from| from.to_string());
            shown.push(format!("{from}: {}", told(&arrival.event)));
            Ok(())
        };
        self.account.show(usize::MAX, &mut show).unwrap();
        shown
    }

    pub(crate) fn contact(&self, name: &str) -> Contact {
        self.account.contact(&designation(name)).unwrap()
    }

    /// The names of the files that have come.
    pub(crate) fn downloads(&self) -> Vec<String> {
        files(&self.settings.downloads)
    }

    pub(crate) fn download(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.settings.downloads.join(name)).unwrap()
    }
}

fn files(dir: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Somebody as the user names them.
pub(crate) fn designation(text: &str) -> Designation {
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
        Event::NewContact => "new".to_owned(),
        Event::Rotated { .. } => "rotated".to_owned(),
        Event::Changed { .. } => "changed".to_owned(),
        Event::OtherKeys => "other keys".to_owned(),
        Event::Unknown(body_type) => format!("unknown {}", body_type.0),
    }
}

/// The RSA keys of somebody in `vectors/modern/keys.json`: to generate them takes a second.
pub(crate) fn made_keys(name: &str) -> NewKeys {
    NewKeys { identity: identity_key(name), wrapping: wrapping_key(name) }
}

pub(crate) fn identity_key(name: &str) -> IdentityKey {
    IdentityKey::from_pkcs8_der(&der(name, "identity")).unwrap()
}

pub(crate) fn wrapping_key(name: &str) -> WrappingKey {
    WrappingKey::from_pkcs8_der(&der(name, "wrapping")).unwrap()
}

fn der(name: &str, which: &str) -> Vec<u8> {
    let keys = include_str!("../../../../vectors/modern/keys.json");
    let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
    let digits = keys[name][which].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
