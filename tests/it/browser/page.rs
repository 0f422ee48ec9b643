//! The first page as a test sees it: what its parts are called and what they say.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::driver::Browser;
use crate::support::PATIENCE;

/// How long a page may take to be live again: the longest `retry:` of a server that turns it away, and some.
pub(crate) const RECONNECT_PATIENCE: Duration = Duration::from_secs(45);

/// The page, open in a browser of its own.
pub(crate) struct Page {
    pub(crate) browser: Browser,
}

/// One message in the feed, as text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Shown {
    pub(crate) event: String,
    pub(crate) channel: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Page {
    /// Opens the page of the server at `address` and waits until it is live; `None` without a browser.
    pub(crate) fn open(address: SocketAddr) -> Option<Self> {
        Self::open_until(address, "live")
    }

    /// Opens the page and waits for this state; `None` without a browser.
    pub(crate) fn open_until(address: SocketAddr, state: &str) -> Option<Self> {
        let browser = Browser::start()?;
        browser.open(&format!("http://{address}/"));
        let page = Self { browser };
        page.wait_for_state(state, PATIENCE);
        Some(page)
    }

    /// The state of the line: `connecting`, `live`, `reconnecting`, `dropped` or `ended`.
    pub(crate) fn state(&self) -> String {
        let state = self.browser.run("return document.getElementById('state').dataset.state", &[]);
        state.as_str().expect("the state is always there").to_owned()
    }

    pub(crate) fn wait_for_state(&self, state: &str, patience: Duration) {
        self.browser.wait_for(&format!("the state {state}"), patience, || (self.state() == state).then_some(()));
    }

    /// The messages in the feed, the oldest first.
    pub(crate) fn messages(&self) -> Vec<Shown> {
        let shown = self.browser.run(MESSAGES_SCRIPT, &[]);
        serde_json::from_value(shown).expect("the script makes messages")
    }

    /// What the messages carry, the oldest first.
    pub(crate) fn data(&self) -> Vec<String> {
        self.messages().into_iter().map(|message| message.data).collect()
    }

    /// Waits until the newest message carries this, and returns all.
    pub(crate) fn wait_for_data(&self, newest: &str, patience: Duration) -> Vec<Shown> {
        self.browser.wait_for(&format!("the message {newest}"), patience, || {
            let shown = self.messages();
            (shown.last()?.data == newest).then_some(shown)
        })
    }

    /// Waits for a note of the server or the line, such as `Gap`, and returns its text.
    pub(crate) fn wait_for_note(&self, title: &str, patience: Duration) -> String {
        self.browser.wait_for(&format!("the note {title}"), patience, || {
            self.browser.run(NOTE_SCRIPT, &[json!(title)]).as_str().map(str::to_owned)
        })
    }

    /// Waits until the box says this somewhere, and returns all that it says.
    pub(crate) fn wait_for_text(&self, css: &str, part: &str) -> String {
        self.browser.wait_for(&format!("{part:?} in {css}"), PATIENCE, || {
            let text = self.browser.text(css);
            text.contains(part).then_some(text)
        })
    }

    /// Follows these channels and listens to these event names, behind the last position.
    pub(crate) fn follow(&self, channels: &str, events: &str) {
        let before = self.browser.text("#connection");
        self.browser.fill("#follow-channels", channels);
        self.browser.fill("#follow-events", events);
        self.browser.click("#follow button");
        self.browser
            .wait_for("a new connection", PATIENCE, || (self.browser.text("#connection") != before).then_some(()));
    }

    /// See [`Browser::policy_violations`].
    pub(crate) fn policy_violations(&self) -> Vec<Value> {
        self.browser.policy_violations()
    }
}

const MESSAGES_SCRIPT: &str = "return [...document.querySelectorAll('#feed .message')].reverse().map((entry) => ({
    event: entry.querySelector('.event').textContent,
    channel: entry.querySelector('.channel')?.textContent ?? '',
    id: entry.querySelector('.id')?.textContent ?? null,
    data: entry.querySelector('.data').textContent,
}));";

const NOTE_SCRIPT: &str = "const notes = [...document.querySelectorAll('#feed .note')];
    const note = notes.find((note) => note.querySelector('.event').textContent === arguments[0]);
    return note === undefined ? null : note.querySelector('.text').textContent;";
