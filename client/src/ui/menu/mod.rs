//! The classic console menu.

use std::path::Path;

use messageu_client::action::{Action, EXIT_LABEL, EXIT_NUMBER};
use messageu_client::{Arrival, Error, ErrorKind, Options, Profile, Result, Session};
use messageu_envelope::legacy::LEGACY_BANNER;
use messageu_wire::dialect::Family;

use super::input::{Input, Line};
use super::modern::Modern;
use super::output::print;
use super::progress::{Bars, Spinner};
use super::render::{arrival_hint, arrival_text};
use crate::ui::cli::{Signal, Signals, valid_name};

/// What the classic clients print on every refusal.
const REFUSAL: &str = "server responded with an error";

/// Shows the menu, and does what is chosen, until 0 or the end of the input. What is done is done in version 3, unless a
/// classic dialect is wanted or the identity is of one.
pub(crate) async fn run(modern: Modern<'_>, wants_classic: bool) -> Result<()> {
    let (profile, options) = (modern.profile, modern.options);
    let is_classic = wants_classic || profile.identity_path().is_some();
    let banner = if is_classic { format!("\n(classic dialect: {LEGACY_BANNER})") } else { String::new() };
    print(&format!("MessageU client at your service.{banner}"))?;
    // Before the line editor is made: it has a handler of Ctrl-C of its own, and puts back what was there before.
    let mut signals = Signals::new()?;
    let modern = (!is_classic).then_some(modern);
    let mut menu = Menu { profile, options, modern, input: Input::new() };
    let mut was_interrupted = false;
    loop {
        print(&format!("\n{}", text()))?;
        let line = tokio::select! {
            line = menu.input.line("? ") => line?,
            signal = signals.next() => return Err(signal.into()),
        };
        match line {
            Line::End => return Ok(()),
            Line::Interrupted if was_interrupted => return Ok(()),
            Line::Interrupted => {
                was_interrupted = true;
                print("Ctrl-C again, Ctrl-D or 0 exits")?;
            }
            Line::Text(choice) => {
                was_interrupted = false;
                match choice.trim().parse::<u16>() {
                    Ok(EXIT_NUMBER) => return Ok(()),
                    Ok(number) => menu.choose(number, &mut signals).await?,
                    Err(_) if choice.trim().is_empty() => {}
                    Err(_) => print("enter one of the numbers")?,
                }
            }
        }
    }
}

fn text() -> String {
    let lines = Action::ALL.iter().map(|action| format!("{}) {}\n", action.number(), action.label()));
    format!("{}{EXIT_NUMBER}) {EXIT_LABEL}", lines.collect::<String>())
}

/// A hint with the menu's numbers in place of the subcommands.
fn in_menu(hint: &str) -> String {
    let mut actions = Action::ALL.to_vec();
    // `send` is the beginning of `send-key`.
    actions.sort_by_key(|action| std::cmp::Reverse(action.name().len()));
    actions.into_iter().fold(hint.to_owned(), |hint, action| {
        hint.replace(&format!("messageu {}", action.name()), &action.number().to_string())
    })
}

struct Menu<'a> {
    profile: &'a Profile,
    options: &'a Options,
    /// Unless a classic dialect is spoken.
    modern: Option<Modern<'a>>,
    input: Input,
}

impl Menu<'_> {
    /// Does what a number stands for. Only the end of input or output ends the menu.
    async fn choose(&mut self, number: u16, signals: &mut Signals) -> Result<()> {
        let done = tokio::select! {
            done = self.act(number) => done,
            // Ctrl-C ends the action; unless a thread still waits for a line, and would take the next.
            signal = signals.next() => match signal {
                Signal::Interrupt if self.input.is_free() => Err(signal.into()),
                _ => return Err(signal.into()),
            },
        };
        let Err(error) = done else { return Ok(()) };
        match error.kind() {
            ErrorKind::Closed => return Err(error),
            ErrorKind::Refused => print(REFUSAL)?,
            ErrorKind::Interrupted => return print("interrupted"),
            _ => print(&error.to_string())?,
        }
        error.hint_text().map_or(Ok(()), |hint| print(&format!("({})", in_menu(hint))))
    }

    async fn act(&mut self, number: u16) -> Result<()> {
        if let Some(modern) = self.modern {
            return self.act_modern(modern, number).await;
        }
        let certain = Action::of_number(number, None) == Action::of_number(number, Some(Family::A));
        let family = if certain { None } else { self.family().await };
        let Some(action) = Action::of_number(number, family) else {
            return print("there is no such number");
        };
        match action {
            Action::Register => self.register().await,
            Action::List => {
                let users = self.open().await?.list().await?;
                users.iter().try_for_each(|user| print(&user.name))
            }
            Action::PublicKey => {
                let name = self.ask("user name: ").await?;
                let (peer, _) = self.open().await?.public_key(&name).await?;
                print(&format!("public key of {} received", peer.name))
            }
            Action::Receive => self.receive().await,
            Action::SendText => {
                let name = self.ask("user name: ").await?;
                let text = self.ask("message: ").await?;
                self.open().await?.send_text(&name, &text).await?;
                print("message sent")
            }
            Action::RequestKey => {
                let name = self.ask("user name: ").await?;
                self.open().await?.request_key(&name, false).await?;
                print("request for symmetric key sent")
            }
            Action::SendKey => {
                let name = self.ask("user name: ").await?;
                self.open().await?.send_key(&name, false).await?;
                print("symmetric key sent")
            }
            Action::SendFile => {
                let name = self.ask("user name: ").await?;
                let path = self.ask("file path: ").await?;
                let mut bars = Bars::default();
                let mut progress = |done, total| bars.update(done, total);
                self.open().await?.send_file(&name, Path::new(&path), &mut progress).await?;
                print("file sent")
            }
        }
    }

    async fn act_modern(&mut self, modern: Modern<'_>, number: u16) -> Result<()> {
        let Some(action) = Action::of_number(number, None) else {
            return print("there is no such number");
        };
        let name = match action {
            Action::List | Action::Receive => String::new(),
            _ => self.ask("user name: ").await?,
        };
        match action {
            Action::Register => modern.register(&name, None, None).await,
            Action::List => modern.contacts().await,
            Action::PublicKey => modern.verify(&name, None, false).await,
            Action::Receive => modern.receive(None, None).await,
            Action::SendText => {
                let text = self.ask("message: ").await?;
                modern.send(&name, &text).await
            }
            Action::RequestKey => modern.request_session(&name).await,
            Action::SendKey => modern.approve(&name).await,
            Action::SendFile => {
                let path = self.ask("file path: ").await?;
                modern.send_file(&name, Path::new(&path)).await
            }
        }
    }

    async fn register(&mut self) -> Result<()> {
        if let Some(path) = self.profile.identity_path() {
            // Asked before the user has thought of a name.
            let what = format!("you are registered already: {}", path.display());
            return Err(Error::new(ErrorKind::Profile, what));
        }
        let name = valid_name(&self.ask("user name: ").await?)?;
        let spinner = Spinner::new("registering");
        let session = Session::register(self.profile, self.options.clone(), name).await?;
        drop(spinner);
        print(&format!("registered as {}", session.name()))
    }

    async fn receive(&mut self) -> Result<()> {
        let mut bars = Bars::default();
        let mut progress = |done, total| bars.update(done, total);
        let mut show = |arrival: Arrival| {
            print(&arrival_text(&arrival))?;
            arrival_hint(&arrival).map_or(Ok(()), |hint| print(&format!("({})\n", in_menu(&hint))))
        };
        match self.open().await?.receive(None, &mut progress, &mut show).await? {
            0 => print("no messages"),
            _ => Ok(()),
        }
    }

    async fn ask(&mut self, prompt: &str) -> Result<String> {
        match self.input.line(prompt).await? {
            Line::Text(text) => Ok(text),
            Line::Interrupted => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
            Line::End => Err(Error::new(ErrorKind::Other, "the input has ended")),
        }
    }

    /// The session, for one action: in between, others may use the profile.
    async fn open(&self) -> Result<Session> {
        Session::open(self.profile, self.options.clone()).await
    }

    async fn family(&self) -> Option<Family> {
        let dialect = match self.options.dialect {
            Some(dialect) => dialect,
            None => self.open().await.ok()?.proven()?.0,
        };
        Some(dialect.family)
    }
}
