//! Somebody at the page of calls, as a test sees them: a browser of their own, with a camera that is none.
//!
//! A browser each, not a tab each: pages of one profile share six connections to a server, and a stream takes one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::browser::page::RECONNECT_PATIENCE;
use crate::support::PATIENCE;

/// How long media may take until they flow: several browsers encode and decode on few cores.
pub(crate) const MEDIA_PATIENCE: Duration = Duration::from_secs(60);

/// How many more pictures have to be decoded before they count as flowing.
const PICTURES: u64 = 5;

/// One participant, or who would like to be one.
pub(crate) struct Caller {
    pub(crate) browser: Browser,
    name: &'static str,
}

impl Caller {
    /// Opens the page for this room and fills in the form; `None` without a browser.
    pub(crate) fn open(address: SocketAddr, fragment: &str, name: &'static str) -> Option<Self> {
        let browser = Browser::start_with(&CALL_FLAGS)?;
        browser.open(&format!("http://{address}/call#room={fragment}"));
        browser.fill("#name", name);
        Some(Self { browser, name })
    }

    /// Opens a new room and joins it, as its host.
    pub(crate) fn host(address: SocketAddr, fragment: &str, name: &'static str) -> Option<Self> {
        let caller = Self::open(address, fragment, name)?;
        caller.create();
        caller.wait_for_state("joined");
        Some(caller)
    }

    /// Joins a room that is there, by the keyboard.
    pub(crate) fn join(address: SocketAddr, fragment: &str, name: &'static str) -> Option<Self> {
        let caller = Self::open(address, fragment, name)?;
        caller.browser.press("#name", ENTER);
        caller.wait_for_state("joined");
        Some(caller)
    }

    /// Sends the form as one that opens a new room.
    pub(crate) fn create(&self) {
        self.browser.click("#new-room summary");
        self.browser.click("#create");
    }

    /// `idle`, `connecting`, `lobby`, `joined` or `reconnecting`.
    pub(crate) fn state(&self) -> String {
        let state = self.browser.run("return document.getElementById('state').dataset.state", &[]);
        state.as_str().expect("the state is always there").to_owned()
    }

    pub(crate) fn wait_for_state(&self, state: &str) {
        let what = format!("{} in the state {state}", self.name);
        self.browser.wait_for(&what, RECONNECT_PATIENCE, || (self.state() == state).then_some(()));
    }

    /// Waits until the box says this somewhere.
    pub(crate) fn wait_for_text(&self, css: &str, part: &str) {
        let what = format!("{part:?} in {css} of {}", self.name);
        self.browser.wait_for(&what, PATIENCE, || self.browser.text(css).contains(part).then_some(()));
    }

    /// Waits until so many tiles are there.
    pub(crate) fn wait_for_tiles(&self, count: usize) {
        let what = format!("{count} tiles of {}", self.name);
        self.browser.wait_for(&what, PATIENCE, || (self.names().len() == count).then_some(()));
    }

    /// The names below the tiles, one's own first.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self
            .browser
            .run("return [...document.querySelectorAll('.tile .name')].map((name) => name.textContent)", &[]);
        serde_json::from_value(names).expect("the script makes texts")
    }

    /// Who this is, as the server says.
    pub(crate) fn me(&self) -> Value {
        self.with_call("call.me", &[])
    }

    /// The ids of the others, in the order of their admission.
    pub(crate) fn others(&self) -> Vec<String> {
        let others = self.with_call("call.participants.map(({ participantId }) => participantId)", &[]);
        serde_json::from_value(others).expect("ids are texts")
    }

    /// What an expression over `call`, the page's call, and `args` has as its value, awaited.
    pub(crate) fn with_call(&self, expression: &str, arguments: &[Value]) -> Value {
        let script = format!(
            "const args = [...arguments];
             return import('/call.js').then(({{ current }}) => {{ const call = current(); return call && ({expression}); }})",
        );
        self.browser.run(&script, arguments)
    }

    /// Waits until this media of so many others is decoded, more and more of it, and nobody else's is.
    pub(crate) fn wait_for_media(&self, others: usize) {
        self.wait_for_growth(&format!("media of {others} others"), others, |media| {
            let pictures = media["video"]["framesDecoded"].as_u64().unwrap_or_default();
            let sound = media["audio"]["packetsReceived"].as_u64().unwrap_or_default();
            pictures.min(sound)
        });
    }

    /// The same for shared screens.
    pub(crate) fn wait_for_screens(&self, others: usize) {
        self.wait_for_growth("a screen", others, |media| media["screen"]["framesDecoded"].as_u64().unwrap_or_default());
    }

    fn wait_for_growth(&self, what: &str, others: usize, count: impl Fn(&Value) -> u64) {
        let mut first: BTreeMap<String, u64> = BTreeMap::new();
        self.browser.wait_for(&format!("{what} at {}", self.name), MEDIA_PATIENCE, || {
            let now = self.counts(&count);
            let has_grown =
                |(id, value): (&String, &u64)| first.get(id).is_some_and(|&before| *value >= before + PICTURES);
            if now.len() == others && now.iter().all(has_grown) {
                return Some(());
            }
            // A new connection counts from nothing.
            let is_same = now.keys().eq(first.keys()) && now.iter().all(|(id, value)| *value >= first[id]);
            if !is_same || first.values().any(|&value| value == 0) {
                first = now;
            }
            None
        });
    }

    fn counts(&self, count: impl Fn(&Value) -> u64) -> BTreeMap<String, u64> {
        let stats = self.with_call("call.stats()", &[]);
        let of = |(id, figures): (&String, &Value)| (id.clone(), count(&figures["media"]));
        stats.as_object().into_iter().flatten().map(of).collect()
    }

    /// Which candidates the connection to another participant has chosen.
    pub(crate) fn pair(&self, other: &str) -> String {
        self.with_call("call.stats()", &[])[other]["pair"].as_str().unwrap_or_default().to_owned()
    }

    /// Counts the connections and requests that are made from now on.
    pub(crate) fn count_connections(&self) {
        self.browser.run(COUNT_SCRIPT, &[]);
    }

    /// How many were made since.
    pub(crate) fn connections_made(&self) -> u64 {
        self.browser.run("return window.made", &[]).as_u64().expect("they are counted")
    }

    pub(crate) fn wait_for_connections(&self, count: u64) {
        let what = format!("connection {count} of {}", self.name);
        self.browser.wait_for(&what, PATIENCE, || (self.connections_made() >= count).then_some(()));
    }

    /// Waits until so many requests have been made since connections are counted.
    pub(crate) fn wait_for_requests(&self, count: u64) {
        let what = format!("request {count} of {}", self.name);
        self.browser.wait_for(&what, PATIENCE, || {
            (self.browser.run("return window.asked", &[]).as_u64()? >= count).then_some(())
        });
    }

    /// Makes a new connection to another participant.
    pub(crate) fn renew(&self, other: &str) {
        self.with_call("call.renew(args[0])", &[json!(other)]);
    }

    /// Reloads the page and waits until the call goes on.
    pub(crate) fn reload(&self) {
        self.browser.run("location.reload()", &[]);
        self.wait_for_state("joined");
    }
}

/// The key, as WebDriver writes it.
const ENTER: &str = "\u{e007}";

const COUNT_SCRIPT: &str = "const { RTCPeerConnection: Native, fetch: ask } = window;
    window.made = window.asked = 0;
    window.fetch = (...args) => { window.asked += 1; return ask(...args); };
    window.RTCPeerConnection = class extends Native {
        constructor(...args) { super(...args); window.made += 1; }
    };";

/// A camera and a screen that are drawn, no questions, no sleep for windows that nobody sees, and addresses as they are.
pub(crate) const CALL_FLAGS: [&str; 8] = [
    "--use-fake-device-for-media-stream=fps=15",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
];
