//! The way to an open account and to its server: passphrases, addresses, pins.

use std::io::{IsTerminal, Read};
use std::path::Path;

use messageu_client::modern::{Account, Connection, Passphrase, Patience, Settings};
use messageu_client::{Address, Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::{Choices, Modern, first_line};
use crate::ui::input::secret_line;

/// The variable with the passphrase.
const PASSPHRASE_VARIABLE: &str = "MESSAGEU_PASSPHRASE";
/// Most bytes of a file with a passphrase that are read.
const PASSPHRASE_FILE_MAX: u64 = 4096;

impl Modern<'_> {
    /// The account in the profile. A rotation of its identity that was cut off is finished first.
    pub(super) async fn open(self) -> Result<Account> {
        let account = self.open_as_it_is().await?;
        if !account.is_rotating()? {
            return Ok(account);
        }
        let connection = self.authenticated(&account).await?;
        account.finish_rotation(&connection).await
    }

    /// The account in the profile.
    pub(super) async fn open_as_it_is(self) -> Result<Account> {
        if !Account::is_in(self.profile) {
            let what = format!("there is no identity in {}", self.profile.dir().display());
            return Err(Error::new(ErrorKind::Profile, what)
                .hint("`messageu register NAME` creates one; --profile DIR says where one is"));
        }
        let passphrase = match self.given_passphrase()? {
            Some(given) => Some(given),
            None if Account::is_protected(self.profile)? && std::io::stdin().is_terminal() => {
                Some(secret_line("passphrase: ").await?)
            }
            None => None,
        };
        let account = Account::open(self.profile, passphrase.as_ref(), self.settings())?;
        if !account.is_registered()? {
            let what = format!("the registration of {} is not finished", account.name());
            return Err(Error::new(ErrorKind::Profile, what)
                .hint(format!("finish it: messageu register {}", account.name())));
        }
        Ok(account)
    }

    pub(super) fn settings(self) -> Settings {
        let downloads =
            self.options.downloads.clone().unwrap_or_else(|| self.profile.dir().join("downloads"));
        // So that the path that is shown leads there from anywhere.
        let downloads = std::path::absolute(&downloads).unwrap_or(downloads);
        let Choices { is_ephemeral, has_no_receipts, .. } = *self.choices;
        Settings { is_ephemeral, sends_receipts: !has_no_receipts, ..Settings::new(downloads) }
    }

    /// The server: what is said on the command line, what the account remembers, or what the profile's file says. A pin that
    /// is remembered is not forgotten because the command line says the place alone.
    pub(super) fn address(self, account: Option<&Account>) -> Result<Address> {
        let remembered = match account {
            Some(account) => account.server()?.map(|server| server.parse::<Address>()).transpose()?,
            None => None,
        };
        let remembered = match remembered {
            Some(remembered) => Some(remembered),
            None => self.profile.server()?,
        };
        let Some(said) = self.options.server.clone() else {
            return remembered.ok_or_else(|| {
                Error::new(ErrorKind::Usage, "which server?").hint(
                    "--server HOST:PORT#sha256=PIN (`messageu-server pin` shows it), MESSAGEU_SERVER, or the file info.server",
                )
            });
        };
        match remembered {
            Some(remembered) if said.pin().is_none() && remembered.place() == said.place() => Ok(remembered),
            _ => Ok(said),
        }
    }

    /// How long a server is waited for.
    pub(crate) fn patience(self) -> Patience {
        Patience { connect: self.options.timeout, answer: self.options.timeout }
    }

    pub(super) async fn connect(self, address: &Address) -> Result<Connection> {
        Connection::connect(address, self.patience()).await
    }

    /// A connection that is authenticated as the account.
    pub(super) async fn authenticated(self, account: &Account) -> Result<Connection> {
        let connection = self.connect(&self.address(Some(account))?).await?;
        connection.authenticate(account.identity_key()).await?;
        Ok(connection)
    }

    /// The passphrase of a new profile: from where it is given, or typed twice; none if there is nobody to ask.
    pub(super) async fn new_passphrase(self) -> Result<Option<Passphrase>> {
        if let Some(given) = self.given_passphrase()? {
            return Ok(Some(given));
        }
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        if Account::is_in(self.profile) {
            // A registration that was not finished has one, or none.
            let is_protected = Account::is_protected(self.profile)?;
            return Ok(if is_protected { Some(secret_line("passphrase: ").await?) } else { None });
        }
        let typed = typed_twice("passphrase for this profile (empty for none): ").await?;
        Ok(Some(typed).filter(|typed| !typed.is_empty()))
    }

    /// A passphrase without which there is nothing to be done.
    pub(super) async fn needed_passphrase(self, what: &str, is_new: bool) -> Result<Passphrase> {
        let given = match self.given_passphrase()? {
            Some(given) => given,
            None if !std::io::stdin().is_terminal() => Passphrase::default(),
            None if is_new => typed_twice("passphrase for the copy: ").await?,
            None => secret_line("passphrase of the copy: ").await?,
        };
        if given.is_empty() {
            return Err(Error::new(ErrorKind::Usage, what)
                .hint("give one with --passphrase-file FILE, or in MESSAGEU_PASSPHRASE"));
        }
        Ok(given)
    }

    /// A passphrase to change to, from whoever sits there.
    pub(super) async fn typed_passphrase(self) -> Result<Passphrase> {
        if !std::io::stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Usage, "a new passphrase is wanted")
                .hint("give it with --to-file FILE, or run messageu on a terminal to be asked"));
        }
        typed_twice("new passphrase: ").await
    }

    fn given_passphrase(self) -> Result<Option<Passphrase>> {
        if let Some(path) = &self.choices.passphrase_file {
            return passphrase_in(path).map(Some);
        }
        let given = std::env::var(PASSPHRASE_VARIABLE).ok().filter(|given| !given.is_empty());
        Ok(given.map(Passphrase::new))
    }
}

/// The passphrase in a file's first line.
pub(super) fn passphrase_in(path: &Path) -> Result<Passphrase> {
    let unreadable = |error| {
        Error::new(ErrorKind::File, format!("cannot read {}: {error}", path.display()))
            .hint("it should hold the passphrase in its first line")
    };
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(PASSPHRASE_FILE_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(first_line(&text))
}

async fn typed_twice(prompt: &str) -> Result<Passphrase> {
    let typed = secret_line(prompt).await?;
    if !typed.is_empty() && secret_line("the same again: ").await? != typed {
        return Err(Error::new(ErrorKind::Usage, "the two are not the same"));
    }
    Ok(typed)
}
