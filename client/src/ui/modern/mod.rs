//! The commands in version 3.

mod open;
mod render;

use std::path::{Path, PathBuf};
use std::time::Duration;

use messageu_client::modern::{
    Account, Connection, Contact, Cursor, Designation, Flushed, NewKeys, Passphrase, Queued, Registrant,
    Status, Why,
};
use messageu_client::{Error, ErrorKind, Options, Profile, Result};
use messageu_envelope::safety_number::QrCode;
use messageu_wire::modern::field::{PhoneNumber, RegistrationCode};
use messageu_wire::modern::operation::verify_registration;
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::open::passphrase_in;
use self::render::{
    arrival_hint, arrival_json, arrival_text, contact_json, message_json, message_text, waiting_json,
    waiting_text,
};
use super::cli::valid_name;
use super::input::{Input, Line};
use super::output::Output;
use super::progress::{Bars, Spinner};

/// How long a pull waits at the server before it is made again.
const PULL_WAIT: Duration = Duration::from_secs(50);
/// How long to wait before the server is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What it means to have no passphrase.
const NO_PASSPHRASE: &str = "there is no passphrase: whoever can read the files of this profile can read all in it, and write \
                             in your name (they are readable by you alone)";

/// What version 3 alone is told.
#[derive(Clone, Default, Debug)]
pub(crate) struct Choices {
    /// The file whose first line is the passphrase.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Whether nothing goes into the history.
    pub(crate) is_ephemeral: bool,
    /// Whether nobody is told that their messages have come.
    pub(crate) has_no_receipts: bool,
}

/// A call of the program in version 3.
#[derive(Clone, Copy)]
pub(crate) struct Modern<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) options: &'a Options,
    pub(crate) choices: &'a Choices,
    pub(crate) output: Output,
}

impl Modern<'_> {
    pub(crate) async fn register(self, name: &str, phone: Option<&str>, code: Option<&str>) -> Result<()> {
        let name = valid_name(name)?;
        let wrong = |error| Error::new(ErrorKind::Usage, format!("{error}"));
        let phone = phone.map(PhoneNumber::new).transpose().map_err(wrong)?;
        let code = code.map(|code| RegistrationCode::new(code.as_bytes())).transpose().map_err(wrong)?;
        if let Some(path) = self.profile.identity_path() {
            return Err(Error::new(
                ErrorKind::Profile,
                format!("there is an identity already: {}", path.display()),
            )
            .hint("give each identity a directory of its own with --profile"));
        }
        let address = self.address(None)?;
        let connection = self.connect(&address).await?;
        let passphrase = self.new_passphrase().await?;
        let spinner = Spinner::new("generating keys and registering");
        let who = Registrant { name, phone };
        let account =
            Account::prepare(self.profile, passphrase.as_ref(), who, self.settings(), NewKeys::generate)
                .await?;
        account.set_server(&address.to_string())?;
        self.profile.set_server(&address)?;
        let expected = account.expected_code()?.filter(|_| code.is_some());
        let id = match expected {
            Some(id) => Some(id),
            None => {
                let answer = connection.register(account.identity_key(), account.registration()?).await?;
                account.take_registration(&answer)?;
                account.expected_code()?
            }
        };
        drop(spinner);
        if let Some(registration_id) = id {
            let code = match code {
                Some(code) => code,
                None => self.ask_code().await?,
            };
            let answer = connection.call(verify_registration::Request { registration_id, code }).await?;
            if answer.client_id != account.id() {
                return Err(Error::new(
                    ErrorKind::Data,
                    "the server has registered another identity than ours",
                ));
            }
            account.registered()?;
        }
        connection.authenticate(account.identity_key()).await?;
        account.refresh_keys(&connection).await?;
        let id = account.id().to_string();
        let object = json!({
            "event": "registered", "name": account.name().as_str(), "id": id, "dialect": "3", "version": 3,
            "code": account.code().to_string(), "server": address.to_string(),
        });
        self.output
            .result(&format!("registered as {} with id {id}, in version 3", account.name()), &object)?;
        if passphrase.is_none() {
            self.output.note(&format!("note: {NO_PASSPHRASE}"));
        }
        Ok(())
    }

    pub(crate) async fn send(self, to: &str, text: &str) -> Result<()> {
        let (account, who) = (self.open().await?, to.parse::<Designation>()?);
        let mut connection = None;
        if !account.has_session(&who)? {
            let made = self.authenticated(&account).await?;
            account.begin_session(&made, &who).await?;
            connection = Some(made);
        }
        let queued = account.queue_text(&who, text)?;
        let done = self.flush(&account, connection).await;
        self.told(&account, "text_sent", "the text", &queued, done)
    }

    pub(crate) async fn send_file(self, to: &str, path: &Path) -> Result<()> {
        let (account, who) = (self.open().await?, to.parse::<Designation>()?);
        let connection = self.authenticated(&account).await?;
        account.begin_session(&connection, &who).await?;
        let mut bars = Bars::default();
        let mut progress = |done, total| bars.update(done, total);
        let queued = account.send_file(&connection, &who, path, &mut progress).await?;
        drop(bars);
        let done = self.flush(&account, Some(connection)).await;
        self.told(&account, "file_sent", &format!("the file {}", path.display()), &queued, done)
    }

    pub(crate) async fn request_session(self, to: &str) -> Result<()> {
        let (account, who) = (self.open().await?, to.parse::<Designation>()?);
        let connection = self.authenticated(&account).await?;
        account.meet(&connection, &who).await?;
        let queued = account.queue_offer(&who)?;
        let done = self.flush(&account, Some(connection)).await;
        self.told(&account, "key_requested", "a request for a new session", &queued, done)
    }

    /// Shows what has come, until enough has, or the time is over.
    pub(crate) async fn receive(self, wait: Option<Duration>, count: Option<u32>) -> Result<()> {
        let account = self.open().await?;
        let most = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let enough = if count.is_some() { most } else { 1 };
        let deadline = wait.map(|wait| Instant::now() + wait.min(Duration::from_secs(1 << 30)));
        // What came before is shown, whether the server can be reached or not.
        let mut shown = self.show(&account, most)?;
        if shown >= most {
            return Ok(());
        }
        let connection = self.authenticated(&account).await?;
        loop {
            let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
            let wait_ms = u32::try_from(left.min(PULL_WAIT).as_millis()).unwrap_or(u32::MAX);
            account.receive(&connection, if shown >= enough { 0 } else { wait_ms }).await?;
            shown += self.show(&account, most - shown)?;
            self.fetch(&account, &connection).await?;
            shown += self.show(&account, most - shown)?;
            if shown >= enough || deadline.is_none_or(|end| Instant::now() >= end) {
                break;
            }
        }
        self.check_own_keys(&account).await?;
        shown += self.show(&account, most - shown)?;
        if shown == 0 {
            self.output.note("no messages");
        }
        Ok(())
    }

    /// Shows what comes as it comes. The server is tried again when it goes.
    pub(crate) async fn follow(self, count: Option<u32>) -> Result<()> {
        let account = self.open().await?;
        let mut left = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let mut complained = false;
        loop {
            match self.follow_connection(&account, &mut left, &mut complained).await {
                Ok(()) => return Ok(()),
                Err(error) if is_passing(&error) => {
                    if !std::mem::replace(&mut complained, true) {
                        self.output.note(&format!("note: {error}; trying again"));
                    }
                    sleep(RETRY_INTERVAL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn follow_connection(
        self,
        account: &Account,
        left: &mut usize,
        complained: &mut bool,
    ) -> Result<()> {
        *left -= self.show(account, *left)?;
        if *left == 0 {
            return Ok(());
        }
        let connection = self.authenticated(account).await?;
        *complained = false;
        let mut cursor = Cursor::default();
        account.follow_up(&connection).await?;
        loop {
            self.fetch(account, &connection).await?;
            self.check_own_keys(account).await?;
            *left -= self.show(account, *left)?;
            if *left == 0 {
                return Ok(());
            }
            let wait_ms = u32::try_from(PULL_WAIT.as_millis()).unwrap_or(u32::MAX);
            if account.receive_next(&connection, &mut cursor, wait_ms).await? {
                // Shown at once; what follows from it may take its time.
                while account.receive_next(&connection, &mut cursor, 0).await? {}
                account.follow_up(&connection).await?;
            } else {
                cursor.look_back();
                account.follow_up(&connection).await?;
            }
        }
    }

    pub(crate) async fn contacts(self) -> Result<()> {
        let contacts = self.open().await?.contacts()?;
        if contacts.is_empty() {
            self.output.note("there are no contacts; to send somebody a text makes them one");
        }
        contacts.iter().try_for_each(|contact| {
            let name = contact.name.as_deref().unwrap_or("(no name)");
            self.output.result(
                &format!("{}  {name}  {}", contact.id, contact.status.word()),
                &contact_json("contact", contact),
            )
        })
    }

    pub(crate) async fn verify(self, name: &str, scanned: Option<&str>, confirm: bool) -> Result<()> {
        let (account, who) = (self.open().await?, name.parse::<Designation>()?);
        let contact = match account.contact(&who) {
            Ok(contact) => contact,
            // To know whom to compare with, they have to be met.
            Err(_) => account.meet(&self.authenticated(&account).await?, &who).await?,
        };
        let who = Designation::Id(contact.id);
        let wrong = |error| {
            Error::new(ErrorKind::Usage, format!("{error}")).hint("scan their code, or paste its text")
        };
        let scanned = scanned.map(str::parse::<QrCode>).transpose().map_err(wrong)?;
        if scanned.is_some() || confirm {
            let contact = account.verify(&who, scanned.as_ref())?;
            return self
                .output
                .result(&format!("{contact} is verified"), &contact_json("verified", &contact));
        }
        let (number, code) = (account.safety_number(&contact), account.code().to_string());
        let lines = render::in_lines(&number.to_string());
        let text = format!(
            "{contact} is {}.\n\nSafety number, the same on both sides:\n\n{lines}\n\nYour own code, for {contact} to scan:\n\n{}\n{code}",
            contact.status.word(),
            render::qr(&code)?,
        );
        let mut object = contact_json("safety_number", &contact);
        render::extend(&mut object, json!({ "safety_number": number.as_str(), "own_code": code }));
        self.output.result(&text, &object)?;
        let handle = contact.handle();
        self.output.note(&format!(
            "hint: compare the number with {contact}, in person or over a call, and then `messageu verify {handle} --confirm`; or \
             scan their code: `messageu verify {handle} --scanned CODE`"
        ));
        Ok(())
    }

    pub(crate) async fn approve(self, name: &str) -> Result<()> {
        let (account, who) = (self.open().await?, name.parse::<Designation>()?);
        let connection = self.authenticated(&account).await?;
        let contact = account.approve(&connection, &who).await?;
        account.follow_up(&connection).await?;
        self.output.result(
            &format!("{contact} is approved, and {}", contact.status.word()),
            &contact_json("approved", &contact),
        )
    }

    pub(crate) async fn block(self, name: &str) -> Result<()> {
        let contact = self.open().await?.block(&name.parse()?)?;
        self.output.result(&format!("{contact} is blocked"), &contact_json("blocked", &contact))
    }

    pub(crate) async fn history(self, name: &str, count: Option<u32>) -> Result<()> {
        let account = self.open().await?;
        let most = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let who = name.parse()?;
        let contact = account.contact(&who)?;
        let history = account.history(&who, most)?;
        if history.is_empty() {
            self.output.note(&format!("there is no history with {contact}"));
        }
        history.iter().try_for_each(|message| {
            self.output.result(&message_text(&contact, message), &message_json(&contact, message))
        })
    }

    /// Shows what stays with the server.
    pub(crate) async fn inbox(self) -> Result<()> {
        let waiting = self.open().await?.waiting()?;
        if waiting.is_empty() {
            self.output.note("no file stays with the server; `messageu receive` shows all else");
        }
        waiting.iter().try_for_each(|file| self.output.result(&waiting_text(file), &waiting_json(file)))
    }

    /// Gives up what stays with the server from a contact.
    pub(crate) async fn discard(self, name: &str, yes: bool) -> Result<()> {
        let (account, who) = (self.open().await?, name.parse::<Designation>()?);
        let waiting = account.waiting_from(&who)?;
        let count = waiting.len();
        if !yes {
            let what = format!("this would give up what is not all here: {count} from {name}");
            return Err(Error::new(ErrorKind::Usage, what).hint("--yes does it"));
        }
        let connection = self.authenticated(&account).await?;
        let count = account.discard(&connection, &who).await?;
        let contact = account.contact(&who)?;
        let mut object = contact_json("discarded", &contact);
        render::extend(&mut object, json!({ "from": contact.to_string(), "messages": count }));
        self.output.result(&format!("gave up {count} from {contact}"), &object)
    }

    pub(crate) async fn rotate_identity(self, yes: bool) -> Result<()> {
        let account = self.open_as_it_is().await?;
        if !yes {
            let what = "this would replace your identity by a new one; who has verified you will have to do it again";
            return Err(Error::new(ErrorKind::Usage, what).hint("--yes does it"));
        }
        let before = account.id();
        let connection = self.authenticated(&account).await?;
        let spinner = Spinner::new("generating keys");
        let rotated = account.rotate_identity(&connection, NewKeys::generate).await;
        drop(spinner);
        let account = rotated?;
        drop(connection);
        let connection = self.authenticated(&account).await?;
        account.follow_up(&connection).await?;
        let id = account.id().to_string();
        let object = json!({
            "event": "identity_rotated", "id": id, "before": before.to_string(), "code": account.code().to_string(),
        });
        self.output.result(&format!("your identity is a new one, with id {id}"), &object)
    }

    pub(crate) async fn erase_account(self, yes: bool) -> Result<()> {
        let account = self.open().await?;
        let name = account.name().to_string();
        if !yes {
            let what = format!(
                "this would end the account of {name}, with all that waits for it, and erase its keys and history here"
            );
            return Err(Error::new(ErrorKind::Usage, what).hint("--yes does it"));
        }
        let connection = self.authenticated(&account).await?;
        account.erase(&connection).await?;
        self.output.result(
            &format!("the account of {name} is no more"),
            &json!({ "event": "account_erased", "name": name }),
        )
    }

    pub(crate) async fn export(self, to: &Path) -> Result<()> {
        let account = self.open().await?;
        let passphrase = self.needed_passphrase("a copy is sealed under a passphrase", true).await?;
        account.export(to, &passphrase)?;
        self.output.result(
            &format!("wrote {}", to.display()),
            &json!({ "event": "exported", "path": to.to_string_lossy() }),
        )?;
        self.output.note(
            "note: an account is used in one place: go on with the copy, or with this profile, not with both",
        );
        Ok(())
    }

    pub(crate) async fn change_passphrase(self, new: Option<&Path>, none: bool) -> Result<()> {
        let account = self.open_as_it_is().await?;
        let passphrase = match (new, none) {
            (_, true) => None,
            (Some(file), false) => Some(passphrase_in(file)?),
            (None, false) => Some(self.typed_passphrase().await?),
        };
        if passphrase.as_ref().is_some_and(|passphrase| passphrase.is_empty()) {
            return Err(Error::new(ErrorKind::Usage, "the new passphrase is empty")
                .hint("--none if the profile is to have none"));
        }
        account.change_passphrase(passphrase.as_ref())?;
        let is_protected = passphrase.is_some();
        let said = if is_protected { "this profile opens with the new passphrase" } else { NO_PASSPHRASE };
        self.output.result(said, &json!({ "event": "passphrase_changed", "protected": is_protected }))?;
        self.output.note("note: older copies of the profile's files open with the passphrase that they had");
        Ok(())
    }

    pub(crate) async fn import(self, from: &Path) -> Result<()> {
        let passphrase = self.needed_passphrase("the copy is sealed under a passphrase", false).await?;
        Account::import(self.profile, from, &passphrase)?;
        let account = Account::open(self.profile, Some(&passphrase), self.settings())?;
        if let Some(server) = account.server()? {
            self.profile.set_server(&server.parse()?)?;
        }
        self.output.result(
            &format!("this profile is {} now", account.name()),
            &json!({ "event": "imported", "name": account.name().as_str(), "id": account.id().to_string() }),
        )
    }

    /// Once a day, looks at what the server gives others as our keys: as nobody, on a connection of its own.
    async fn check_own_keys(self, account: &Account) -> Result<()> {
        if !account.is_check_due()? {
            return Ok(());
        }
        let checked = async {
            let nobody = self.connect(&self.address(Some(account))?).await?;
            account.check_own_keys(&nobody).await
        };
        match checked.await {
            // A server that is older, or busy, is no reason for what is at hand to fail.
            Err(error) if is_passing(&error) || error.kind() == ErrorKind::Refused => Ok(()),
            checked => checked,
        }
    }

    fn show(self, account: &Account, most: usize) -> Result<usize> {
        account.show(most, &mut |arrival| {
            self.output.result(&arrival_text(&arrival), &arrival_json(&arrival))?;
            if let Some(hint) = arrival_hint(&arrival) {
                self.output.note(&format!("hint: {hint}"));
            }
            Ok(())
        })
    }

    async fn fetch(self, account: &Account, connection: &Connection) -> Result<()> {
        let mut bars = Bars::default();
        let mut progress = |done, total| bars.update(done, total);
        for unfetched in account.fetch_files(connection, &mut progress).await? {
            self.output.note(&format!("note: {} stays with the server: {}", unfetched.name, unfetched.error));
            self.output
                .note("hint: `messageu inbox` shows what stays, and `messageu discard NAME` gives it up");
        }
        Ok(())
    }

    /// Sends the outbox; connects if there is no connection.
    async fn flush(self, account: &Account, connection: Option<Connection>) -> Result<Flushed> {
        let connection = match connection {
            Some(connection) => connection,
            None => self.authenticated(account).await?,
        };
        account.flush(&connection).await
    }

    /// Says what became of something that was to be sent.
    fn told(
        self,
        account: &Account,
        event: &str,
        what: &str,
        queued: &Queued,
        done: Result<Flushed>,
    ) -> Result<()> {
        let to = &queued.to;
        let object = |delivery: &str| {
            let mut object = contact_json(event, to);
            let id = queued.message_id.to_string();
            render::extend(
                &mut object,
                json!({ "to": to.to_string(), "to_id": to.id.to_string(), "message_id": id, "delivery": delivery }),
            );
            object
        };
        let flushed = match done {
            Ok(flushed) => flushed,
            Err(error) if is_passing(&error) => {
                self.output
                    .result(&format!("{what} for {to} waits in the outbox: {error}"), &object("queued"))?;
                self.output.note("hint: the next `messageu send` or `messageu receive` sends it");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some((_, why)) = flushed.failed.iter().find(|(contact, _)| contact.id == to.id) {
            return Err(refused(what, to, why));
        }
        let waits =
            flushed.waiting.iter().find(|(contact, _)| contact.id == to.id || contact.name == to.name);
        if let Some((contact, why)) = waits {
            if let Why::Status(Status::Changed { .. }) = why {
                self.show(account, usize::MAX)?;
            }
            self.output.result(&format!("{what} for {contact} waits in the outbox"), &object("queued"))?;
            self.output.note(&format!("note: {}", refused(what, contact, why)));
            return Ok(());
        }
        self.output.result(&format!("sent {to} {what}"), &object("sent"))?;
        if to.status == Status::Unverified {
            self.output.note(&format!("note: {to} is unverified: `messageu verify {}`", to.handle()));
        }
        Ok(())
    }

    async fn ask_code(self) -> Result<RegistrationCode> {
        self.output.note("a code of 6 digits is on its way to your phone");
        let mut input = Input::new();
        match input.line("code: ").await? {
            Line::Text(text) => RegistrationCode::new(text.trim().as_bytes())
                .map_err(|error| Error::new(ErrorKind::Usage, error.to_string())),
            Line::Interrupted => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
            Line::End => Err(Error::new(ErrorKind::Usage, "a code is expected")
                .hint("when it has come: messageu register NAME --code DIGITS")),
        }
    }
}

fn refused(what: &str, to: &Contact, why: &Why) -> Error {
    match why {
        Why::Refused(error) => {
            let error = Error::from(error.clone());
            let refused = Error::new(error.kind(), format!("{what} for {to} was not taken: {error}"));
            match error.hint_text() {
                Some(hint) => refused.hint(hint),
                None => refused,
            }
        }
        Why::Keys(error) => {
            let waits = Error::new(error.kind(), format!("{what} for {to} is not sent: {error}"));
            match error.hint_text() {
                Some(hint) => waits.hint(hint),
                None => waits,
            }
        }
        Why::Status(status) => {
            let what = format!("{what} for {to} is not sent: they are {}", status.word());
            Error::new(ErrorKind::Peer, what)
                .hint(format!("`messageu approve {}` if that is right", to.handle()))
        }
    }
}

/// Whether waiting may mend it.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::NoAnswer | ErrorKind::Busy)
}

/// A passphrase from the first line of a file.
fn first_line(text: &str) -> Passphrase {
    Passphrase::new(text.lines().next().unwrap_or_default().to_owned())
}
