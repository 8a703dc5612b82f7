//! The subcommands.

mod args;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::CommandFactory;
use messageu_client::modern::{Account, self_test as modern_self_test};
use messageu_client::self_test::{self, Step, Summary, detectable_dialects};
use messageu_client::{
    Arrival, Error, ErrorKind, Options, Profile, Result, Sent, Session, TEXT_LIMIT, UNSURE_HINT, WhyWaiting,
};
use messageu_envelope::legacy::LEGACY_BANNER;
use messageu_wire::dialect::{Dialect, RecognisedBy};
use messageu_wire::fields::Name;
use serde_json::json;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep};

use self::args::{Command, CommandLine, DialectChoice, wanted_format};
use super::input::whole_input;
use super::menu;
use super::modern::{Choices, Modern};
use super::output::{Format, Output, output_error};
use super::progress::{Bars, Spinner};
use super::render::{arrival_hint, arrival_json, arrival_text};

/// How long to wait between two pulls.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// And after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Characters of base64 a line in a PEM block.
const PEM_COLUMNS: usize = 64;

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let line = match CommandLine::read() {
        Ok(line) => line,
        Err(wrong) => return usage(&wrong),
    };
    let output = Output { format: line.global.output };
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(run(line, output));
            // A thread may still be waiting for a line of input.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Error::new(ErrorKind::Other, format!("cannot start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Shows the help that was asked for, or says what is wrong with the command line.
fn usage(wrong: &clap::Error) -> ExitCode {
    if !wrong.use_stderr() || wanted_format() == Format::Text {
        wrong.exit();
    }
    let text = wrong.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (what, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let error = Error::new(ErrorKind::Usage, what.trim());
    // What follows is a tip, the usage, and where the help is.
    Output { format: Format::Json }.error(&error.hint(rest.split_whitespace().collect::<Vec<_>>().join(" ")));
    ExitCode::from(ErrorKind::Usage.exit_code())
}

async fn run(line: CommandLine, output: Output) -> Result<()> {
    let (profile, options) = (line.global.profile(), line.global.options());
    let (dialect, choices) = (line.global.dialect(), line.global.choices());
    let call = Call { profile, options, dialect, choices, output };
    let command = line.command;
    if matches!(command, Command::Menu) {
        // There Ctrl-C ends a line or an action, and the program only when pressed twice.
        return call.run(command).await;
    }
    let mut signals = Signals::new()?;
    let ends_so = matches!(command, Command::Receive { follow: true, .. });
    let registers = matches!(command, Command::Register { .. });
    tokio::select! {
        done = call.run(command) => done,
        signal = signals.next() => match Error::from(signal) {
            _ if ends_so => Ok(()),
            error if registers => Err(error.hint(UNSURE_HINT)),
            error => Err(error),
        },
    }
}

/// What asks the program to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// Ctrl-C: the user.
    Interrupt,
    /// SIGTERM: the system, or another program.
    Terminate,
}

impl From<Signal> for Error {
    fn from(_: Signal) -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }
}

/// The signals that ask the program to stop: heard from when this is made until it is dropped, also while nobody waits.
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        let failed = |error| Error::new(ErrorKind::Other, format!("cannot listen for signals: {error}"));
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: unix::signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

/// Takes a text as a name to register.
pub(crate) fn valid_name(name: &str) -> Result<Name> {
    Name::new(name).map_err(|error| {
        Error::new(ErrorKind::Usage, error.to_string()).hint("letters and digits are safe with every server")
    })
}

/// One call of the program.
struct Call {
    profile: Profile,
    options: Options,
    dialect: Option<DialectChoice>,
    choices: Choices,
    output: Output,
}

impl Call {
    async fn run(&self, command: Command) -> Result<()> {
        if self.is_modern(&command)? {
            self.run_modern(command).await
        } else {
            self.run_classic(command).await
        }
    }

    /// Whether this is for version 3: a new identity, unless it is said otherwise, and whatever was registered in it. An
    /// identity of version 3 never speaks a classic dialect, whatever is said.
    fn is_modern(&self, command: &Command) -> Result<bool> {
        let is_here = Account::is_in(&self.profile);
        let is_for_all = matches!(
            command,
            Command::Test { .. } | Command::Dialects | Command::Completions { .. } | Command::Man
        );
        let wants_classic = self.wants_classic();
        match command {
            _ if is_for_all => Ok(false),
            _ if is_here && wants_classic => {
                let what = format!("the identity in {} is one of version 3", self.profile.dir().display());
                Err(Error::new(ErrorKind::Usage, what).hint(
                    "it never speaks a classic dialect; for one, register another identity in a directory of its own: --profile DIR",
                ))
            }
            Command::Register { .. } | Command::Import { .. } => Ok(!wants_classic),
            _ if is_here => Ok(true),
            _ if self.dialect == Some(DialectChoice::Modern) && self.profile.identity_path().is_some() => {
                let what =
                    format!("the identity in {} is one of a classic dialect", self.profile.dir().display());
                Err(Error::new(ErrorKind::Usage, what).hint(
                    "register one of version 3 in a directory of its own: messageu --profile DIR register NAME",
                ))
            }
            _ => Ok(false),
        }
    }

    fn wants_classic(&self) -> bool {
        matches!(self.dialect, Some(DialectChoice::Auto | DialectChoice::Classic(_)))
    }

    fn modern(&self) -> Modern<'_> {
        let Self { profile, options, choices, output, .. } = self;
        Modern { profile, options, choices, output: *output }
    }

    async fn run_modern(&self, command: Command) -> Result<()> {
        let modern = self.modern();
        let classic_alone = |what: &str, hint: &str| {
            Err(Error::new(ErrorKind::Usage, format!("there is no `{what}` in version 3")).hint(hint))
        };
        match command {
            Command::Register { name, phone, code } => {
                modern.register(&name, phone.as_deref(), code.as_deref()).await
            }
            Command::Send { name, text } => modern.send(&name, &self.text_to_send(text).await?).await,
            Command::SendFile { name, path } => modern.send_file(&name, &path).await,
            Command::Receive { follow: true, count, .. } => modern.follow(count).await,
            Command::Receive { wait, count, .. } => modern.receive(wait, count).await,
            Command::RequestKey { name, .. } => modern.request_session(&name).await,
            Command::Contacts => modern.contacts().await,
            Command::Verify { name, scanned, confirm } => {
                modern.verify(&name, scanned.as_deref(), confirm).await
            }
            Command::Approve { name } => modern.approve(&name).await,
            Command::Block { name } => modern.block(&name).await,
            Command::History { name, count } => modern.history(&name, count).await,
            Command::Inbox => modern.inbox().await,
            Command::Discard { name, yes } => modern.discard(&name, yes).await,
            Command::RotateIdentity { yes } => modern.rotate_identity(yes).await,
            Command::EraseAccount { yes } => modern.erase_account(yes).await,
            Command::Export { file } => modern.export(&file).await,
            Command::Import { file } => modern.import(&file).await,
            Command::Passphrase { to_file, none } => modern.change_passphrase(to_file.as_deref(), none).await,
            Command::Menu => menu::run(modern, false).await,

            Command::List => {
                classic_alone("list", "nobody can list the users; `messageu contacts` lists whom you know")
            }
            Command::PublicKey { .. } => {
                classic_alone("key", "`messageu verify NAME` shows what tells whose key it is")
            }
            Command::SendKey { .. } => {
                classic_alone("send-key", "`messageu approve NAME` answers who asks for a session")
            }
            Command::DeleteAccount { .. } => {
                classic_alone("delete-account", "it is `messageu erase-account`")
            }
            Command::Test { .. } | Command::Dialects | Command::Completions { .. } | Command::Man => {
                self.run_classic(command).await
            }
        }
    }

    async fn run_classic(&self, command: Command) -> Result<()> {
        match command {
            Command::Menu => menu::run(self.modern(), self.wants_classic()).await,
            Command::Register { name, .. } => self.register(&name).await,
            Command::List => self.list().await,
            Command::PublicKey { name } => self.public_key(&name).await,
            Command::RequestKey { name, replace } => {
                let sent = self.open().await?.request_key(&name, replace).await?;
                let what = format!("asked {} for a symmetric key; `messageu receive` takes it", sent.to.name);
                self.sent("key_requested", &what, &sent)
            }
            Command::SendKey { name, replace } => {
                let sent = self.open().await?.send_key(&name, replace).await?;
                self.sent("key_sent", &format!("sent {} a symmetric key", sent.to.name), &sent)?;
                if replace {
                    self.output.note(&format!(
                        "note: what {name} seals with the old key from now on, or has sealed and you have not received, \
                         does not open any more; their program takes the new key only if they asked for it"
                    ));
                }
                Ok(())
            }
            Command::Send { name, text } => self.send(&name, text).await,
            Command::SendFile { name, path } => {
                let mut bars = Bars::default();
                let mut progress = |done, total| bars.update(done, total);
                let sent = self.open().await?.send_file(&name, &path, &mut progress).await?;
                drop(bars);
                self.sent("file_sent", &format!("sent {} the file {}", sent.to.name, path.display()), &sent)
            }
            Command::Receive { follow: true, count, .. } => self.follow(count).await,
            Command::Receive { wait, count, .. } => self.receive(wait, count).await,
            Command::Inbox => self.inbox().await,
            Command::Discard { name, yes } => self.discard(&name, yes).await,
            Command::DeleteAccount { yes } => self.delete_account(yes).await,
            Command::Contacts
            | Command::Verify { .. }
            | Command::Approve { .. }
            | Command::Block { .. }
            | Command::History { .. }
            | Command::RotateIdentity { .. }
            | Command::Passphrase { .. }
            | Command::EraseAccount { .. }
            | Command::Export { .. }
            | Command::Import { .. } => {
                let what = format!("there is no identity of version 3 in {}", self.profile.dir().display());
                Err(Error::new(ErrorKind::Profile, what)
                    .hint("`messageu register NAME` creates one; --profile DIR says where one is"))
            }
            Command::Test { all_dialects } => self.test(all_dialects).await,
            Command::Dialects => self.dialects(),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut CommandLine::command(), "messageu", &mut script);
                write_out(&script)
            }
            Command::Man => write_out(&manual().map_err(|error| output_error(&error))?),
        }
    }

    async fn register(&self, name: &str) -> Result<()> {
        let name = valid_name(name)?;
        let spinner = Spinner::new("generating a key pair and registering");
        let session = Session::register(&self.profile, self.options.clone(), name).await;
        drop(spinner);
        let session = session?;
        let (name, id) = (session.name().as_str(), session.id().to_string());
        let proven = session.proven();
        let dialect = proven.map(|(dialect, _)| dialect.to_string());
        let object = json!({
            "event": "registered", "name": name, "id": id,
            "dialect": dialect, "version": proven.map(|(_, version)| version), "trust": LEGACY_BANNER,
        });
        let text =
            format!("registered as {name} with id {id}, in dialect {}", dialect.as_deref().unwrap_or("?"));
        self.output.result(&text, &object)?;
        self.output.note(&format!("note: conversations in this dialect are {LEGACY_BANNER}"));
        Ok(())
    }

    async fn list(&self) -> Result<()> {
        let users = self.open().await?.list().await?;
        if users.is_empty() {
            self.output.note("there are no other users");
        }
        users.iter().try_for_each(|user| {
            let id = user.id.to_string();
            let object = json!({ "event": "user", "name": user.name, "id": id, "trust": LEGACY_BANNER });
            self.output.result(&format!("{id}  {}", user.name), &object)
        })
    }

    async fn public_key(&self, name: &str) -> Result<()> {
        let (peer, key) = self.open().await?.public_key(name).await?;
        let base64 = STANDARD.encode(key.0);
        let (mut lines, mut rest) = (Vec::new(), base64.as_str());
        while let Some((line, after)) = rest.split_at_checked(PEM_COLUMNS) {
            lines.push(line);
            rest = after;
        }
        lines.push(rest);
        let text =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n").trim_end());
        let object = json!({
            "event": "public_key", "name": peer.name, "id": peer.id.to_string(), "public_key": base64,
            "trust": LEGACY_BANNER,
        });
        self.output.result(&text, &object)
    }

    /// The text that was given, or what standard input has.
    async fn text_to_send(&self, text: Option<String>) -> Result<String> {
        match text {
            Some(text) if text != "-" => Ok(text),
            _ => {
                if std::io::stdin().is_terminal() {
                    self.output.note("type the text, and Ctrl-D at its end:");
                }
                let text = whole_input(TEXT_LIMIT).await?;
                // The line's end is the terminal's, not the message's.
                Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
            }
        }
    }

    async fn send(&self, name: &str, text: Option<String>) -> Result<()> {
        if text.as_deref().is_none_or(|text| text == "-") {
            // Asked now whether there is an identity; while the text is typed, others may have the profile.
            drop(self.open().await?);
        }
        let text = self.text_to_send(text).await?;
        let sent = self.open().await?.send_text(name, &text).await?;
        self.sent("text_sent", &format!("sent {} the text", sent.to.name), &sent)
    }

    fn sent(&self, event: &str, text: &str, sent: &Sent) -> Result<()> {
        let object = json!({
            "event": event, "to": sent.to.name, "to_id": sent.to.id.to_string(),
            "message_id": sent.message_id.map(|id| id.0), "trust": LEGACY_BANNER,
        });
        self.output.result(text, &object)?;
        self.output.legacy_banner();
        Ok(())
    }

    async fn receive(&self, wait: Option<Duration>, count: Option<u32>) -> Result<()> {
        let most = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        // A time beyond what the clock holds is no limit.
        let deadline = wait.map(|wait| Instant::now().checked_add(wait));
        let wait_ends = |deadline: Instant| Instant::now() >= deadline;
        let enough = most.unwrap_or(1);
        let mut shown = 0;
        loop {
            self.receive_once(most.map(|most| most.saturating_sub(shown)), &mut shown).await?;
            let Some(deadline) = deadline.filter(|_| shown < enough) else { break };
            if deadline.is_some_and(wait_ends) {
                break;
            }
            let left = deadline.map_or(POLL_INTERVAL, |end| end.saturating_duration_since(Instant::now()));
            sleep(POLL_INTERVAL.min(left)).await;
        }
        match shown {
            0 => self.output.note("no messages"),
            _ => self.output.legacy_banner(),
        }
        // Only by the way: another command may have the profile by now.
        let waiting = match self.open().await {
            Ok(session) => session
                .waiting()
                .map_or(0, |waiting| waiting.iter().filter(|one| one.why == WhyWaiting::Locked).count()),
            Err(_) => 0,
        };
        if waiting > 0 {
            self.output.note(&format!(
                "note: {waiting} in the inbox until a key comes that opens them (`messageu inbox` shows them)"
            ));
        }
        Ok(())
    }

    async fn follow(&self, count: Option<u32>) -> Result<()> {
        let mut left = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let mut told = None;
        self.output.note("waiting for messages; Ctrl-C ends it");
        self.output.legacy_banner();
        while left != Some(0) {
            let mut shown = 0;
            let outcome = self.receive_once(left, &mut shown).await;
            left = left.map(|left| left.saturating_sub(shown));
            let pause = if outcome.is_ok() { POLL_INTERVAL } else { RETRY_INTERVAL };
            match outcome {
                Ok(()) => told = None,
                // Servers come back, a profile that another command is using becomes free, and a full disk gets room.
                Err(error) if is_passing(&error) => {
                    if told.as_ref() != Some(&error) {
                        self.output.error(&error);
                    }
                    told = Some(error);
                }
                Err(error) => return Err(error),
            }
            if left != Some(0) {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    /// Receives what there is, and adds how much was shown, also before a failure. The profile is free for others before
    /// and after.
    async fn receive_once(&self, most: Option<usize>, shown: &mut usize) -> Result<()> {
        let mut bars = Bars::default();
        let mut progress = |done, total| bars.update(done, total);
        let mut show = |arrival: Arrival| {
            self.output.result(&arrival_text(&arrival), &arrival_json(&arrival))?;
            *shown += 1;
            if let Some(hint) = arrival_hint(&arrival) {
                self.output.note(&format!("hint: {hint}"));
            }
            Ok(())
        };
        self.open().await?.receive(most, &mut progress, &mut show).await.map(|_| ())
    }

    async fn inbox(&self) -> Result<()> {
        let waiting = self.open().await?.waiting()?;
        if waiting.is_empty() {
            self.output.note("the inbox is empty; `messageu receive` asks the server");
        }
        waiting.iter().try_for_each(|one| {
            let (why, name) = match one.why {
                WhyWaiting::New => ("not shown yet", "new"),
                WhyWaiting::Locked => ("does not open yet", "locked"),
                WhyWaiting::NoRoom => ("with the server: no room for it here", "no_room"),
            };
            let text = format!("{}  {}, {} bytes, {why}", one.from.name, one.kind, one.size);
            let object = json!({
                "event": "waiting", "from": one.from.name, "from_id": one.from.id.to_string(),
                "message_id": one.message_id.map(|id| id.0), "type": one.kind.0, "size": one.size,
                "why": name,
            });
            self.output.result(&text, &object)
        })
    }

    async fn discard(&self, name: &str, yes: bool) -> Result<()> {
        let mut session = self.open().await?;
        let count = session.waiting_from(name)?.len();
        if !yes {
            let what = format!("this would remove what nobody has seen: {count} from {name}");
            return Err(Error::new(ErrorKind::Usage, what).hint("--yes does it"));
        }
        let count = session.discard(name)?;
        self.output.result(
            &format!("removed {count} from {name}"),
            &json!({ "event": "discarded", "from": name, "messages": count }),
        )
    }

    async fn delete_account(&self, yes: bool) -> Result<()> {
        let session = self.open().await?;
        let name = session.name().to_string();
        if !yes {
            let what = format!("this would end the account of {name}, with all that waits for it");
            return Err(Error::new(ErrorKind::Usage, what).hint("--yes does it"));
        }
        session.delete_account().await?;
        self.output.result(
            &format!("the account of {name} is no more; its identity file was put aside"),
            &json!({ "event": "account_deleted", "name": name }),
        )
    }

    async fn test(&self, all_dialects: bool) -> Result<()> {
        let server = match &self.options.server {
            Some(server) => server.clone(),
            None => self.profile.server()?.ok_or_else(|| {
                Error::new(ErrorKind::Usage, "which server is to be tested?").hint("--server HOST:PORT")
            })?,
        };
        // Whoever knows a server's pin means version 3, unless they say otherwise.
        let modern = match self.dialect {
            Some(choice) => choice == DialectChoice::Modern,
            None => server.pin().is_some(),
        };
        let mut dialects: Vec<Tested> = match (all_dialects, modern) {
            (true, _) => detectable_dialects().map(|dialect| Tested::Classic(Some(dialect))).collect(),
            (false, true) => Vec::new(),
            (false, false) => vec![Tested::Classic(self.options.dialect)],
        };
        if modern {
            dialects.push(Tested::Modern);
        }
        let mut total = Summary::default();
        for tested in dialects {
            let mut written = Ok(());
            let mut report = |step: &Step| {
                let outcome = self.report(&tested.to_string(), step);
                written = std::mem::replace(&mut written, Ok(())).and(outcome);
            };
            let summary = match tested {
                Tested::Modern => {
                    let patience = self.modern().patience();
                    modern_self_test::run(&server, patience, &mut report).await?
                }
                Tested::Classic(dialect) => {
                    let options = Options { server: Some(server.clone()), dialect, ..self.options.clone() };
                    self_test::run(&options, &mut report).await?
                }
            };
            written?;
            total.passed += summary.passed;
            total.failed += summary.failed;
            total.failure = total.failure.or(summary.failure);
        }
        let Summary { passed, failed, .. } = total;
        let object = json!({ "event": "summary", "passed": passed, "failed": failed });
        self.output.result(&format!("{passed} passed, {failed} failed ({server})"), &object)?;
        match total.failure {
            None => Ok(()),
            Some(kind) => Err(Error::new(kind, format!("the server at {server} fails the test"))),
        }
    }

    fn report(&self, dialect: &str, step: &Step) -> Result<()> {
        let text = match &step.failure {
            None => format!("ok   {dialect}: {}", step.what),
            Some(why) => format!("FAIL {dialect}: {}: {why}", step.what),
        };
        let object = json!({
            "event": "step", "dialect": dialect, "what": step.what,
            "ok": step.failure.is_none(), "why": step.failure,
        });
        self.output.result(&text, &object)
    }

    fn dialects(&self) -> Result<()> {
        let mut all: Vec<_> = Dialect::all().collect();
        all.sort_by_key(|dialect| (dialect.family, dialect.profile.recognised_by));
        all.into_iter().try_for_each(|dialect| {
            let pinned = dialect.profile.recognised_by == RecognisedBy::Pin;
            let remark = if pinned { "  (our own server speaks it on a pinned listener only)" } else { "" };
            let object = json!({
                "event": "dialect", "name": dialect.to_string(), "family": dialect.family.to_string(),
                "profile": dialect.profile.name, "needs_pinned_listener": pinned,
            });
            self.output.result(&format!("{dialect}{remark}"), &object)
        })
    }

    async fn open(&self) -> Result<Session> {
        Session::open(&self.profile, self.options.clone()).await
    }
}

/// What a server is tested in.
enum Tested {
    /// A classic dialect, or the one that it turns out to speak.
    Classic(Option<Dialect>),
    /// Version 3.
    Modern,
}

impl std::fmt::Display for Tested {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Classic(Some(dialect)) => dialect.fmt(f),
            Self::Classic(None) => f.write_str("auto"),
            Self::Modern => f.write_str("3"),
        }
    }
}

/// Whether waiting may mend it.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unreachable | ErrorKind::NoAnswer | ErrorKind::Refused | ErrorKind::Busy | ErrorKind::File
    )
}

/// The manual: a page for the program, with a section for each subcommand at its end.
fn manual() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let program = CommandLine::command();
    clap_mangen::Man::new(program.clone()).render(&mut page)?;
    for subcommand in program.get_subcommands() {
        let man = clap_mangen::Man::new(subcommand.clone().disable_help_flag(true));
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        if subcommand.get_arguments().next().is_some() {
            man.render_options_section(&mut section)?;
        }
        let section = String::from_utf8_lossy(&section).replace(".SH ", ".SS ");
        page.extend(format!(".SH MESSAGEU {}\n{section}", subcommand.get_name().to_uppercase()).into_bytes());
    }
    Ok(page)
}

fn write_out(bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| output_error(&error))
}
