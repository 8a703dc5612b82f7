//! The menu on a terminal, and signals: what the program leaves behind.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test should stop"
)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use support::{Fake, Reply, User, family_d, registered};

const PATIENCE: Duration = Duration::from_secs(30);

/// The menu, on a terminal of its own.
struct Terminal {
    user: File,
    program: File,
    child: Child,
    shown: String,
}

impl Terminal {
    fn start(user: &User) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let program = File::options().read(true).write(true).open(name).unwrap();
        let stdio = || Stdio::from(program.try_clone().unwrap());
        let mut command = user.command(&["menu"]);
        command.env("TERM", "xterm").stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().unwrap();
        rustix::fs::fcntl_setfl(&master, rustix::fs::OFlags::NONBLOCK).unwrap();
        Self { user: File::from(master), program, child, shown: String::new() }
    }

    /// Waits until this is shown, behind what was waited for before.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            let mut buffer = [0; 4096];
            match self.user.read(&mut buffer) {
                Ok(count) => self.shown.push_str(&String::from_utf8_lossy(&buffer[..count])),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
            assert!(Instant::now() < deadline, "{text:?} is not in {:?}", self.shown);
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended without {text:?}: {:?}", self.shown);
        }
    }

    fn type_in(&mut self, text: &str) {
        self.user.write_all(text.as_bytes()).unwrap();
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the program, and for the terminal to be as it was: lines, with an echo.
    fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            // Nobody else takes what it writes.
            let _ = self.user.read(&mut [0; 4096]);
            std::thread::sleep(Duration::from_millis(10));
        };
        let modes = tcgetattr(&self.program).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{modes:?}");
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A user of a server that registers and is silent from then on.
fn user_of_a_silent_server() -> (Fake, User) {
    let mut is_first = true;
    let server =
        Fake::start(
            move |_| {
                if std::mem::take(&mut is_first) { registered(family_d()) } else { Reply::Silence }
            },
        );
    let user = User::registered("alice", server.address, &[]);
    (server, user)
}

#[test]
fn sigterm_ends_the_menu_wherever_it_is() {
    let (_server, user) = user_of_a_silent_server();
    let ways: [&[(&str, &str)]; 3] =
        [&[("? ", "")], &[("? ", "150\r"), ("user name: ", "")], &[("? ", "120\r"), ("120", "")]];
    for way in ways {
        let mut terminal = Terminal::start(&user);
        for (prompt, answer) in way {
            terminal.wait_for(prompt);
            terminal.type_in(answer);
        }
        terminal.send(Signal::TERM);
        assert_eq!(terminal.exit_code(), Some(130), "{way:?}");
    }
}

#[test]
fn sigterm_ends_the_menu_while_it_waits_for_the_profile() {
    let (_server, user) = user_of_a_silent_server();
    let lock = File::options().write(true).open(user.path(".messageu").join("lock")).unwrap();
    lock.lock().unwrap();
    let mut terminal = Terminal::start(&user);
    terminal.wait_for("? ");
    // An older number, whose meaning depends on the dialect in the profile.
    terminal.type_in("50\r");
    terminal.wait_for("50");
    terminal.send(Signal::TERM);
    assert_eq!(terminal.exit_code(), Some(130));
}

#[test]
fn ctrl_c_ends_an_action_and_pressed_twice_the_menu() {
    let (server, user) = user_of_a_silent_server();
    let mut terminal = Terminal::start(&user);
    terminal.wait_for("? ");
    terminal.type_in("120\r");
    while server.seen().len() < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    // The terminal makes a signal of Ctrl-C while nobody edits a line.
    terminal.send(Signal::INT);
    terminal.wait_for("interrupted");
    terminal.wait_for("? ");
    terminal.type_in("150\r");
    terminal.wait_for("user name: ");
    terminal.type_in("\x03");
    terminal.wait_for("interrupted");
    terminal.wait_for("? ");
    terminal.type_in("\x03");
    terminal.wait_for("Ctrl-C again");
    terminal.wait_for("? ");
    terminal.type_in("\x03");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn a_signal_ends_a_command_with_130() {
    let (server, user) = user_of_a_silent_server();
    for signal in [Signal::INT, Signal::TERM] {
        let before = server.seen().len();
        let mut child = user.command(&["list"]).stderr(Stdio::null()).spawn().unwrap();
        while server.seen().len() == before {
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
}
