//! A private headless Chromium, driven over WebDriver (W3C WebDriver Level 2) by blocking calls.
//!
//! Knows nothing of Santral; what is on its page is in `page`. Every wait has a deadline.

use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use santral_testkit::process::{Server, ServerCommand};
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::PATIENCE;

/// A browser with one window and an empty profile. Dropping it ends it and deletes the profile.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    // Dropped after the client has said goodbye: the driver first, then what it wrote.
    _driver: Server,
    _folder: TempDir,
}

impl Browser {
    /// Starts a browser; `None`, said loudly, when Chromium or its driver is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a browser with further flags.
    pub(crate) fn start_with(flags: &[&str]) -> Option<Self> {
        let (chromium, chromedriver) = (require_tool("chromium")?, require_tool("chromedriver")?);
        let folder = TempDir::with_prefix("santral-browser-").expect("a temporary directory can be made");
        let command = ServerCommand::new(chromedriver).arg("--port=0").env("TMPDIR", folder.path());
        let mut driver = command.env("HOME", folder.path()).spawn().expect("the driver starts");
        let port: u16 = driver
            .wait_for_line(
                |line| line.split("started successfully on port ").nth(1)?.trim_end_matches('.').parse().ok(),
                PATIENCE,
            )
            .expect("the driver says where it listens");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime needs an epoll descriptor only");
        let mut arguments: Vec<String> = CHROMIUM_FLAGS.iter().chain(flags).map(|&flag| flag.to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
        let capabilities = json!({
            "browserName": "chrome",
            // Those of a test are signed by nobody.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            // A dialog that nobody expects stays open and fails whatever is asked next.
            "unhandledPromptBehavior": "ignore",
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is written as an object") };
        let client = runtime.block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            let connecting = builder.capabilities(Capabilities::from_iter(capabilities));
            let address = format!("http://127.0.0.1:{port}");
            tokio::time::timeout(PATIENCE, connecting.connect(&address)).await
        });
        let client = client.expect("the browser starts in time").expect("the browser starts");
        Some(Self { runtime, client: Some(client), _driver: driver, _folder: folder })
    }

    /// Opens an address and waits until the document and its scripts are loaded.
    pub(crate) fn open(&self, url: &str) {
        self.wait(self.client().goto(url)).expect("the address opens");
    }

    /// Runs the body of a function and returns what it returns.
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.wait(self.client().execute(script, arguments.to_vec())).expect("the script runs")
    }

    /// The text of the first element that matches, hidden or not.
    pub(crate) fn text(&self, css: &str) -> String {
        let found = self.run("return document.querySelector(arguments[0])?.textContent ?? null", &[json!(css)]);
        found.as_str().unwrap_or_else(|| panic!("nothing matches {css}")).to_owned()
    }

    /// Clicks as a user does: the element must be visible and not covered.
    pub(crate) fn click(&self, css: &str) {
        self.wait(async { self.client().find(Locator::Css(css)).await?.click().await }).expect("it can be clicked");
    }

    /// Replaces a field's text, key by key.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let typing = async {
            let field = self.client().find(Locator::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.wait(typing).expect("it can be typed into");
    }

    /// Sends keys to whatever has the focus, or to the element if one is named.
    pub(crate) fn press(&self, css: &str, keys: &str) {
        self.wait(async { self.client().find(Locator::Css(css)).await?.send_keys(keys).await }).expect("keys arrive");
    }

    /// Whether a dialog (`alert` and its kin) is open.
    pub(crate) fn has_dialog(&self) -> bool {
        self.wait(self.client().get_alert_text()).is_ok()
    }

    /// What the page's policy has refused since it was opened (W3C Reporting API, buffered reports).
    pub(crate) fn policy_violations(&self) -> Vec<Value> {
        let script = "const observer = new ReportingObserver(() => {}, { types: ['csp-violation'], buffered: true });
                      observer.observe();
                      return observer.takeRecords().map((report) => report.body.toJSON());";
        self.run(script, &[]).as_array().cloned().unwrap_or_default()
    }

    /// Asks again until there is an answer.
    ///
    /// # Panics
    /// With what was waited for and the page's text when there is none in time.
    pub(crate) fn wait_for<T>(&self, what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not within {patience:?}; the page says:\n{}",
                self.visible_text()
            );
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// The page as its reader sees it.
    fn visible_text(&self) -> String {
        self.run("return document.body.innerText", &[]).as_str().unwrap_or_default().to_owned()
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is taken on drop only")
    }

    fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await }).expect("the browser answers")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; without this, killing the driver would leave it behind.
        if let Some(client) = self.client.take() {
            let closing = async { tokio::time::timeout(PATIENCE, client.close()).await };
            // A failure would hide the test's own.
            drop(self.runtime.block_on(closing));
        }
    }
}

const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Without a screen, without a sandbox (CI runs as root), and silent towards the rest of the world.
const CHROMIUM_FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1360,1000",
];
