//! The automatic self-test in version 3: two users, made for it, do against a given server all that users do, and erase
//! themselves.

use std::path::PathBuf;

use messageu_envelope::safety_number::SafetyNumber;
use messageu_wire::fields::Name;
use messageu_wire::modern::ErrorCode;
use messageu_wire::modern::operation::look_up;
use tempfile::TempDir;

use super::{Account, Connection, Designation, Event, NewKeys, Patience, Registrant, Settings};
use crate::address::Address;
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::Profile;
use crate::self_test::{Outcome, Step, Summary, Teller, bytes, expect, mismatch, throw_away_name};

/// Bytes of the file that is sent: several chunks, the last of an odd size.
const FILE_SIZE: usize = 200_001;
/// Milliseconds that a pull waits for what is sent meanwhile.
const WAIT_MS: u32 = 20_000;

/// Runs the test with throw-away users, in profiles that are gone afterwards, as are the accounts unless a step fails.
///
/// A step that others need ends the test when it fails.
///
/// # Errors
/// When there is no place for the profiles; what the server does wrong is told as a [`Step`].
pub async fn run(address: &Address, patience: Patience, report: &mut dyn FnMut(&Step)) -> Result<Summary> {
    let dir = tempfile::tempdir().at("create a directory in", &std::env::temp_dir())?;
    let mut test = Test { address, patience, dir, teller: Teller::new(report) };
    // The failure is counted and told already.
    let _ = test.all().await;
    Ok(test.teller.summary)
}

struct Test<'a> {
    address: &'a Address,
    patience: Patience,
    dir: TempDir,
    teller: Teller<'a>,
}

/// A user who is connected.
struct User {
    account: Account,
    connection: Connection,
}

impl Test<'_> {
    async fn all(&mut self) -> Outcome<()> {
        let stranger = self.connect().await;
        let proof =
            if self.address.pin().is_some() { "the key that is pinned" } else { "a good certificate" };
        let stranger = self.teller.told(&format!("the server shows {proof}"), stranger)?;
        let (first, second) = (throw_away_name(), throw_away_name());
        let registered = self.register("register a user", &first).await;
        let a = self.teller.told("register a user", registered)?;
        let registered = self.register("register another", &second).await;
        let b = self.teller.told("register another", registered)?;

        let again = self.register("again", &first).await.map(drop);
        self.teller.refusal("a name that is taken is refused", again);
        let early = stranger.call(look_up::Request { name: a.account.name().clone() }).await;
        self.teller
            .refusal("who has not proved who they are is refused", early.map(drop).map_err(Error::from));
        let shown = a.account.check_own_keys(&stranger).await;
        let shown = shown.and_then(|()| expect(&a.events()?, |events| events.is_empty()));
        self.teller.told("anybody may see the keys that were published", shown)?;

        self.texts(&a, &b).await?;
        self.waiting(&a, &b).await?;
        self.files(&a, &b).await?;
        let nothing = b.arrivals(0).await.and_then(|events| expect(&events, |events| events.is_empty()));
        self.teller.told("what was received does not come again", nothing)?;
        let a = self.rotation(a, &b).await?;
        self.erasure(a, b).await
    }

    async fn texts(&mut self, a: &User, b: &User) -> Outcome<()> {
        let texts = ["first", "second, with ünïcödé", ""];
        for text in texts {
            let sent = a.send(b, text).await;
            self.teller.told("send a text", sent)?;
        }
        let came = b.arrivals(0).await.and_then(|events| {
            let [Event::NewContact, rest @ ..] = events.as_slice() else { return Err(found(&events)) };
            expect(&rest, |rest| are_texts(rest, &texts))
        });
        self.teller.told("a new contact's three texts arrive whole and in order", came)?;
        let sent = b.send(a, "and back").await;
        self.teller.told("send a text back", sent)?;
        let came = a.arrivals(0).await;
        let came = came.and_then(|events| expect(&events, |events| are_texts(events, &["and back"])));
        self.teller.told("the text arrives", came)?;
        let numbers = a
            .safety_number(b)
            .and_then(|one| expect(&(one, b.safety_number(a)?), |(one, other)| one == other));
        self.teller.told("both see the same safety number", numbers)
    }

    async fn waiting(&mut self, a: &User, b: &User) -> Outcome<()> {
        let (came, sent) = tokio::join!(b.arrivals(WAIT_MS), a.send(b, "now"));
        self.teller.told("send to somebody who waits", sent)?;
        let came = came.and_then(|events| expect(&events, |events| are_texts(events, &["now"])));
        self.teller.told("who waits has it", came)
    }

    async fn files(&mut self, a: &User, b: &User) -> Outcome<()> {
        for (size, what) in [(FILE_SIZE, "a file of an odd size"), (0, "an empty file")] {
            let content = bytes(size);
            let path = self.place("file");
            let sent = match std::fs::write(&path, &content).at("write", &path) {
                Ok(()) => a.send_file(b, &path).await,
                Err(error) => Err(error),
            };
            self.teller.told(&format!("send {what}"), sent)?;
            let came = b.arrivals(0).await.and_then(|events| match events.as_slice() {
                [Event::File { path, .. }] => std::fs::read(path).at("read", path),
                _ => Err(found(&events)),
            });
            let came = came.and_then(|came| expect(&came.len(), |_| came == content));
            self.teller.told(&format!("{what} arrives whole"), came)?;
        }
        Ok(())
    }

    async fn rotation(&mut self, a: User, b: &User) -> Outcome<User> {
        let rotated = async {
            let account = a.account.rotate_identity(&a.connection, NewKeys::generate).await?;
            let a = self.authenticated(account).await?;
            a.account.follow_up(&a.connection).await?;
            Ok(a)
        };
        let rotated = rotated.await;
        let a = self.teller.told("replace an identity by another", rotated)?;
        let came = b.arrivals(0).await;
        let came =
            came.and_then(|events| expect(&events, |e| matches!(e.as_slice(), [Event::Rotated { .. }])));
        self.teller.told("who is told believes the old identity's signature", came)?;
        let sent = b.send(&a, "to the new identity").await;
        self.teller.told("send to the new identity", sent)?;
        let came = a.arrivals(0).await;
        let came = came.and_then(|events| expect(&events, |e| are_texts(e, &["to the new identity"])));
        self.teller.told("it arrives", came)?;
        Ok(a)
    }

    async fn erasure(&mut self, a: User, b: User) -> Outcome<()> {
        let name = a.account.name().clone();
        let erased = a.account.erase(&a.connection).await;
        self.teller.told("erase an account", erased)?;
        let gone = match b.connection.call(look_up::Request { name }).await {
            Err(error) if error.code() == Some(ErrorCode::UNKNOWN_CLIENT) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(answer) => Err(mismatch(&format!("{answer:?}"))),
        };
        self.teller.told("who was erased is not found", gone)?;
        let erased = b.account.erase(&b.connection).await;
        self.teller.told("erase the other account", erased)
    }

    async fn connect(&self) -> Result<Connection> {
        Connection::connect(self.address, self.patience).await
    }

    async fn authenticated(&self, account: Account) -> Result<User> {
        let connection = self.connect().await?;
        connection.authenticate(account.identity_key()).await?;
        account.refresh_keys(&connection).await?;
        Ok(User { account, connection })
    }

    async fn register(&self, place: &str, name: &str) -> Result<User> {
        let profile = Profile::at(self.place(place));
        let name = Name::new(name).map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
        let settings = Settings::new(self.place(place).join("downloads"));
        let who = Registrant { name, phone: None };
        let account = Account::prepare(&profile, None, who, settings, NewKeys::generate).await?;
        let connection = self.connect().await?;
        let answer = connection.register(account.identity_key(), account.registration()?).await?;
        account.take_registration(&answer)?;
        self.authenticated(account).await
    }

    fn place(&self, place: &str) -> PathBuf {
        self.dir.path().join(place)
    }
}

impl User {
    fn designation(&self) -> Designation {
        Designation::Id(self.account.id())
    }

    fn safety_number(&self, with: &Self) -> Result<SafetyNumber> {
        Ok(self.account.safety_number(&self.account.contact(&with.designation())?))
    }

    async fn send(&self, to: &Self, text: &str) -> Result<()> {
        let who = to.designation();
        self.account.begin_session(&self.connection, &who).await?;
        self.account.queue_text(&who, text)?;
        self.flush().await
    }

    async fn send_file(&self, to: &Self, path: &std::path::Path) -> Result<()> {
        self.account.send_file(&self.connection, &to.designation(), path, &mut |_, _| ()).await?;
        self.flush().await
    }

    async fn flush(&self) -> Result<()> {
        let flushed = self.account.flush(&self.connection).await?;
        expect(&flushed, |flushed| flushed.waiting.is_empty() && flushed.failed.is_empty())
    }

    /// What comes, waiting for it if nothing is there.
    async fn arrivals(&self, wait_ms: u32) -> Result<Vec<Event>> {
        self.account.receive(&self.connection, wait_ms).await?;
        let unfetched = self.account.fetch_files(&self.connection, &mut |_, _| ()).await?;
        expect(&unfetched, |unfetched| unfetched.is_empty())?;
        self.events()
    }

    /// What has come, and was not told.
    fn events(&self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        self.account.show(usize::MAX, &mut |arrival| {
            events.push(arrival.event);
            Ok(())
        })?;
        Ok(events)
    }
}

fn are_texts(events: &[Event], texts: &[&str]) -> bool {
    let is_text = |(event, text): (&Event, &&str)| matches!(event, Event::Text(found) if found.as_bytes() == text.as_bytes());
    events.len() == texts.len() && events.iter().zip(texts).all(is_text)
}

fn found(events: &[Event]) -> Error {
    mismatch(&format!("{events:?}"))
}
