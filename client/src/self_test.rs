//! The automatic self-test in a classic dialect: every operation, against a given server, by two users made for it; and how
//! every self-test tells what came of it.

use std::path::PathBuf;

use messageu_wire::dialect::{Dialect, Profile as WireProfile, RecognisedBy};
use messageu_wire::fields::{ClientId, Name};
use rand::Rng;
use tempfile::TempDir;

use crate::arrival::{Arrival, Content, KeyOutcome};
use crate::error::{Error, ErrorKind, FileResult, Result};
use crate::profile::Profile;
use crate::session::{Options, Session};

/// Bytes of the file that is sent: no multiple of a block, and, sealed, all that the dialect with the smallest messages
/// can carry.
const FILE_SIZE: usize = 9_999;

/// What came of one step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What was tried.
    pub what: String,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// What came of all steps.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Steps that did what they should.
    pub passed: usize,
    /// Steps that did not.
    pub failed: usize,
    /// Of the first of these, what kind of failure it was.
    pub failure: Option<ErrorKind>,
}

/// The dialects that a server can tell apart on one port.
pub fn detectable_dialects() -> impl Iterator<Item = Dialect> {
    Dialect::all().filter(|dialect| dialect.profile.recognised_by != RecognisedBy::Pin)
}

/// Runs the test with throw-away users, in profiles that are gone afterwards.
///
/// A step that others need ends the test when it fails.
///
/// # Errors
/// When there is no place for the profiles; what the server does wrong is told as a [`Step`].
pub async fn run(options: &Options, report: &mut dyn FnMut(&Step)) -> Result<Summary> {
    let dir = tempfile::tempdir().at("create a directory in", &std::env::temp_dir())?;
    let mut test = Test { options: options.clone(), dir, teller: Teller::new(report) };
    // The failure is counted and told already.
    let _ = test.all().await;
    Ok(test.teller.summary)
}

struct Test<'a> {
    options: Options,
    dir: TempDir,
    teller: Teller<'a>,
}

/// Counts steps, and tells what came of each.
pub(crate) struct Teller<'a> {
    pub(crate) summary: Summary,
    report: &'a mut dyn FnMut(&Step),
}

/// The failure of a step, which has been told.
pub(crate) struct Told;

/// What came of a step, which has been told if it failed.
pub(crate) type Outcome<T> = std::result::Result<T, Told>;

impl<'a> Teller<'a> {
    pub(crate) fn new(report: &'a mut dyn FnMut(&Step)) -> Self {
        Self { summary: Summary::default(), report }
    }

    /// Tells what came of a step.
    pub(crate) fn told<T>(&mut self, what: &str, outcome: Result<T>) -> Outcome<T> {
        let failure = outcome.as_ref().err().map(ToString::to_string);
        match &outcome {
            Ok(_) => self.summary.passed += 1,
            Err(error) => {
                self.summary.failed += 1;
                self.summary.failure.get_or_insert(error.kind());
            }
        }
        (self.report)(&Step { what: what.to_owned(), failure });
        outcome.map_err(|_| Told)
    }

    /// Tells whether a step was refused, as it should be. Nothing else needs it, so the test goes on either way.
    pub(crate) fn refusal(&mut self, what: &str, outcome: Result<()>) {
        let outcome = match outcome {
            Err(error) if error.kind() == ErrorKind::Refused => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(mismatch("it was not refused")),
        };
        let _ = self.told(what, outcome);
    }
}

impl Test<'_> {
    async fn all(&mut self) -> Outcome<()> {
        let (first, second) = (throw_away_name(), throw_away_name());
        let registered = self.register("register a user", &first).await;
        let mut a = self.teller.told("register a user", registered)?;
        let registered = self.register("register another", &second).await;
        let mut b = self.teller.told("register another", registered)?;
        let dialect = a.proven().map(|(dialect, _)| dialect);

        let again = self.register("again", &first).await.map(|_| ());
        self.teller.refusal("a name that is taken is refused", again);
        self.lists(&mut a, &mut b).await?;
        let key = a.public_key(&second).await;
        self.teller.told("fetch a public key", key)?;

        let nothing = arrivals(&mut b).await.and_then(|came| expect(&came, |came| came.is_empty()));
        self.teller.told("a pull when nothing waits is empty", nothing)?;
        self.keys(&mut a, &mut b).await?;
        self.texts(&mut a, &mut b).await?;
        self.files(&mut a, &mut b).await?;

        let gone = arrivals(&mut b).await.and_then(|came| expect(&came, |came| came.is_empty()));
        self.teller.told("what has been pulled does not come again", gone)?;
        let nobody = ClientId(*b"nobody:no:client").to_string();
        let lost = a.request_key(&nobody, false).await.map(|_| ());
        self.teller.refusal("a message to nobody is refused", lost);
        // Our own server deletes nobody else: in the others an id, which is no secret, would be enough.
        if dialect.is_some_and(|dialect| *dialect.profile == WireProfile::BIG_ENDIAN) {
            self.deletes(a, &mut b, &first).await?;
        }
        Ok(())
    }

    async fn lists(&mut self, a: &mut Session, b: &mut Session) -> Outcome<()> {
        let (first, second) = (a.name().to_string(), b.name().to_string());
        for (who, other) in [(first, b), (second, a)] {
            let listed = other.list().await.and_then(|listed| {
                let own = listed.iter().any(|contact| contact.id == other.id());
                expect(&listed, |listed| !own && listed.iter().any(|contact| contact.name == who))
            });
            self.teller.told("list the other user", listed)?;
        }
        Ok(())
    }

    async fn keys(&mut self, a: &mut Session, b: &mut Session) -> Outcome<()> {
        let (first, second) = (a.name().to_string(), b.name().to_string());
        let early = a.send_text(&second, "early").await.map(|_| ());
        let early = early.err().filter(|error| error.kind() == ErrorKind::Peer);
        self.teller.told("no text goes out without a key", early.ok_or_else(|| mismatch("it went out")))?;
        let asked = a.request_key(&second, false).await;
        self.teller.told("request a symmetric key", asked)?;
        let came = arrivals(b).await.and_then(|came| one(came, |c| matches!(c, Content::KeyRequest(_))));
        self.teller.told("the request arrives", came)?;
        let sent = b.send_key(&first, false).await;
        self.teller.told("send the key", sent)?;
        let accepted = |content: &Content| matches!(content, Content::Key(KeyOutcome::Accepted));
        let came = arrivals(a).await.and_then(|came| one(came, accepted));
        self.teller.told("the key arrives and is accepted", came)
    }

    async fn texts(&mut self, a: &mut Session, b: &mut Session) -> Outcome<()> {
        let texts = ["first", "second, with ünïcödé", ""];
        for text in texts {
            let sent = a.send_text(b.name().as_str(), text).await;
            self.teller.told("send a text", sent)?;
        }
        let came = arrivals(b).await.and_then(|came| expect(&came, |came| shown(came) == texts));
        self.teller.told("three texts arrive whole and in order", came)?;
        let sent = b.send_text(a.name().as_str(), "and back").await;
        self.teller.told("send a text back", sent)?;
        let came = arrivals(a).await.and_then(|came| expect(&came, |came| shown(came) == ["and back"]));
        self.teller.told("the text arrives", came)
    }

    async fn files(&mut self, a: &mut Session, b: &mut Session) -> Outcome<()> {
        for (size, what) in [(FILE_SIZE, "a file of an odd size"), (0, "an empty file")] {
            self.file(a, b, size, what).await?;
            self.file(b, a, size, what).await?;
        }
        Ok(())
    }

    async fn file(&mut self, from: &mut Session, to: &mut Session, size: usize, what: &str) -> Outcome<()> {
        let content = bytes(size);
        let path = self.place("file");
        let sent = match std::fs::write(&path, &content).at("write", &path) {
            Ok(()) => from.send_file(to.name().as_str(), &path, &mut |_, _| ()).await,
            Err(error) => Err(error),
        };
        self.teller.told(&format!("send {what}"), sent)?;
        let came = arrivals(to).await.and_then(|came| match came.as_slice() {
            [Arrival { content: Content::File(file), .. }] => {
                std::fs::read(&file.path).at("read", &file.path)
            }
            other => Err(mismatch(&format!("{other:?}"))),
        });
        let came = came.and_then(|came| expect(&came.len(), |_| came == content));
        self.teller.told(&format!("{what} arrives whole"), came)
    }

    async fn deletes(&mut self, a: Session, b: &mut Session, name: &str) -> Outcome<()> {
        let deleted = a.delete_account().await;
        self.teller.told("delete an account", deleted)?;
        let listed = b.list().await;
        let gone = listed.and_then(|listed| expect(&listed, |listed| listed.iter().all(|c| c.name != name)));
        self.teller.told("who was deleted is not listed", gone)
    }

    async fn register(&self, place: &str, name: &str) -> Result<Session> {
        let profile = Profile::at(self.place(place));
        let downloads = Some(self.dir.path().join("downloads"));
        let name = Name::new(name).map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
        Session::register(&profile, Options { downloads, ..self.options.clone() }, name).await
    }

    fn place(&self, place: &str) -> PathBuf {
        self.dir.path().join(place)
    }
}

/// What comes of one pull.
async fn arrivals(session: &mut Session) -> Result<Vec<Arrival>> {
    let mut came = Vec::new();
    let mut take = |arrival| {
        came.push(arrival);
        Ok(())
    };
    session.receive(None, &mut |_, _| (), &mut take).await?;
    Ok(came)
}

fn one(came: Vec<Arrival>, wanted: impl Fn(&Content) -> bool) -> Result<()> {
    expect(&came, |came| matches!(came.as_slice(), [only] if wanted(&only.content)))
}

pub(crate) fn expect<T: std::fmt::Debug>(found: &T, right: impl FnOnce(&T) -> bool) -> Result<()> {
    if right(found) { Ok(()) } else { Err(mismatch(&format!("{found:?}"))) }
}

pub(crate) fn mismatch(found: &str) -> Error {
    Error::new(ErrorKind::Data, format!("not what was expected: {found}"))
}

fn shown(came: &[Arrival]) -> Vec<String> {
    let text = |arrival: &Arrival| match &arrival.content {
        Content::Text(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        other => format!("{other:?}"),
    };
    came.iter().map(text).collect()
}

/// A name of letters and digits that nobody has.
pub(crate) fn throw_away_name() -> String {
    format!("test{:016x}", rand::rng().next_u64())
}

pub(crate) fn bytes(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
