//! The page for whoever runs the server, in a real browser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a failed test should stop"
)]
#![allow(dead_code, reason = "not every test file uses all of the support")]

#[path = "support/browser.rs"]
mod browser;
mod support;

use browser::Browser;
use messageu_wire::dialect::{Dialect, Family};
use messageu_wire::message::MessageType;
use serde_json::json;
use support::admin::Site;
use support::{Answer, Peer, Server, until};

/// A server, and its page in a browser.
struct Shown {
    server: Server,
    site: Site,
    browser: Browser,
    _data: tempfile::TempDir,
}

impl Shown {
    fn start() -> Option<Self> {
        let browser = Browser::start()?;
        let data = tempfile::tempdir().unwrap();
        let (server, site) = Site::start(data.path(), &[]);
        browser.open(&format!("http://{}/", site.address));
        let shown = Self { server, site, browser, _data: data };
        until("the first numbers", || shown.text("#state") == "ready");
        Some(shown)
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.textContent ?? ''");
        self.browser.run(&script).as_str().unwrap().to_owned()
    }

    /// The value of the card with this name.
    fn card(&self, name: &str) -> String {
        let script = format!(
            "return [...document.querySelectorAll('#numbers .card')]
                .find(card => card.firstChild.textContent === {name:?}).lastChild.textContent"
        );
        self.browser.run(&script).as_str().unwrap().to_owned()
    }
}

#[test]
fn the_page_follows_what_the_server_does() {
    let Some(shown) = Shown::start() else { return };
    let peer = Peer::register(shown.server.addresses[0], Dialect::classic(Family::E), "alice");
    for _ in 0..3 {
        assert!(matches!(peer.send(peer.id, MessageType::TEXT, &[7; 1024]), Answer::Response(_)));
    }
    until("the messages", || shown.card("messages waiting") == "3");
    assert_eq!(shown.card("bytes waiting"), "3.0 KiB");
    assert_eq!(shown.card("clients"), "1");
    let requests = shown.text("#requests");
    assert!(requests.contains("register10") && requests.contains("send_message30"), "{requests}");
    assert_eq!(peer.pull().len(), 3);
    until("the end of the pull", || shown.card("messages waiting") == "0");
    let points = "return [...document.querySelectorAll('polyline')].map(line => line.getAttribute('points'))";
    until("a second point", || {
        let points = shown.browser.run(points);
        points.as_array().unwrap()[2].as_str().unwrap().split(' ').count() >= 2
    });
    let plots = shown.browser.run("return document.querySelectorAll('#plots svg').length");
    assert_eq!(plots, 8);
}

#[test]
fn the_page_keeps_to_its_policy_and_asks_nobody_else() {
    let Some(shown) = Shown::start() else { return };
    assert_eq!(shown.browser.complaints(), [] as [String; 0]);
    let asked = shown.browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)");
    let asked: Vec<&str> = asked.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let own = format!("http://{}/", shown.site.address);
    assert!(asked.len() >= 2 && asked.iter().all(|name| name.starts_with(&own)), "{asked:?}");
    // What somebody brought into the page would not run.
    shown.browser.run(
        "const script = document.createElement('script');
         script.textContent = 'document.title = \"changed\"';
         document.body.append(script);",
    );
    assert_eq!(shown.browser.run("return document.title"), "MessageU server");
    assert!(shown.browser.complaints().iter().any(|line| line.contains("Content Security Policy")));
}

#[test]
fn the_page_says_when_the_server_is_gone() {
    let Some(shown) = Shown::start() else { return };
    shown.server.signal("-TERM");
    until("the end of the server", || shown.text("#state") == "the server does not answer");
    assert_eq!(shown.text("#state[class=bad]"), shown.text("#state"));
}

#[test]
fn the_page_can_be_read_in_the_light_and_in_the_dark_and_on_a_small_screen() {
    let Some(shown) = Shown::start() else { return };
    let colours = "const of = (selector, what) => getComputedStyle(document.querySelector(selector))[what];
        const channels = colour => colour.match(/\\d+/g).slice(0, 3).map(Number);
        return [of('body', 'backgroundColor'), of('.card', 'backgroundColor'), of('body', 'color'),
            of('.faint', 'color'), of('#state', 'color')].map(channels)";
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        shown.browser.command("Emulation.setEmulatedMedia", json!({ "features": features }));
        let colours = shown.browser.run(colours);
        let luminances: Vec<f64> = colours.as_array().unwrap().iter().map(luminance).collect();
        let (grounds_here, inks) = luminances.split_at(2);
        for (ground, ink) in grounds_here.iter().flat_map(|ground| inks.iter().map(move |ink| (ground, ink)))
        {
            let (dark, light) = (ground.min(*ink), ground.max(*ink));
            // What the guidelines for accessibility ask of text.
            assert!((light + 0.05) / (dark + 0.05) >= 4.5, "{scheme}: {colours}");
        }
        grounds.push(grounds_here[0]);
    }
    assert!(grounds[0] > 0.5 && grounds[1] < 0.1, "{grounds:?}");
    let small = json!({ "width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": true });
    shown.browser.command("Emulation.setDeviceMetricsOverride", small);
    let width = shown.browser.run("return document.documentElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 360, "{width}");
}

/// The relative luminance of a colour, from 0 to 1.
fn luminance(colour: &serde_json::Value) -> f64 {
    let linear = |channel: &serde_json::Value| {
        let part = channel.as_f64().unwrap() / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let channels: Vec<f64> = colour.as_array().unwrap().iter().map(linear).collect();
    0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
}
