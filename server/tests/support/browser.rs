//! A browser without a window, told what to do by the WebDriver protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// The programs of the packages chromium and chromium-driver.
const PROGRAMS: [&str; 2] = ["/usr/bin/chromium", "/usr/bin/chromedriver"];

/// What keeps it to itself: it looks for nothing but what it is told to.
const QUIET: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser; gone when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    // Held open, as it may have more to say.
    _output: BufReader<ChildStdout>,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// None where there is no such browser, which is a failure where MESSAGEU_REQUIRE_BROWSER is set, as in CI.
    pub(crate) fn start() -> Option<Self> {
        if !PROGRAMS.iter().all(|program| Path::new(program).exists()) {
            let why = "there is no chromium with its chromedriver";
            assert!(std::env::var_os("MESSAGEU_REQUIRE_BROWSER").is_none(), "cannot run here: {why}");
            std::io::stderr()
                .write_all(format!("\n!!! A TEST WITH A BROWSER WAS NOT RUN: {why}\n").as_bytes())
                .unwrap();
            return None;
        }
        let mut driver = Command::new(PROGRAMS[1])
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let lines = output.by_ref().lines().map_while(Result::ok);
        let mut ports = lines.filter_map(|line| Some(line.split_once("successfully on port ")?.1.to_owned()));
        let said = ports.next();
        let port = said.expect("chromedriver stopped early").trim_end_matches('.').parse().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let place = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = QUIET.into_iter().chain([place.as_str()]).collect();
        let mut browser = Self { driver, _output: output, port, session: String::new(), _profile: profile };
        let session = browser.post(
            "",
            &json!({ "capabilities": { "alwaysMatch": {
                "goog:loggingPrefs": { "browser": "ALL" },
                "goog:chromeOptions": { "binary": PROGRAMS[0], "args": arguments },
            } } }),
        );
        browser.session = format!("/{}", session["sessionId"].as_str().expect("no session"));
        Some(browser)
    }

    /// Goes to a page.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What a script returns that runs within the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Does something that only this kind of browser does.
    pub(crate) fn command(&self, name: &str, parameters: Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }));
    }

    /// What the page complained of since this was last asked.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }

    fn post(&self, what: &str, parameters: &Value) -> Value {
        let reply = self.ask("POST", what, &parameters.to_string());
        let value = serde_json::from_str::<Value>(&reply).unwrap()["value"].take();
        assert!(value.get("error").is_none(), "{what}: {value}");
        value
    }

    fn ask(&self, method: &str, what: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let (session, size) = (&self.session, body.len());
        write!(stream, "{method} /session{session}{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n{body}")
            .unwrap();
        let mut reader = BufReader::new(stream);
        let (mut size, mut line) = (0, String::new());
        while {
            line.clear();
            reader.read_line(&mut line).unwrap() > 2
        } {
            if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
                size = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; size];
        reader.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser, which its driver would leave behind.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", "", "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
