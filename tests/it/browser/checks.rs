//! Checks that run in a page: `tests/clients/browser.js`, in a browser of its own.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::driver::Browser;
use crate::support::programs::{self, judge};

/// Opens the page of the server at `address`, makes the checks of this kind there, lets `fulfil` do what
/// they want, and fails with all that failed. Without a browser nothing happens, loudly.
pub(crate) fn check(address: SocketAddr, kind: &str, mode: &str, checks: u64, fulfil: impl FnMut(&str, &Value)) {
    let Some(browser) = Browser::start() else { return };
    browser.open(&format!("http://{address}/"));
    if kind == "socketio" {
        browser.run(LOAD_CLIENT, &[]);
        let is_loaded = || browser.run("return 'io' in window", &[]).as_bool().filter(|&is_loaded| is_loaded);
        browser.wait_for("the client that the server serves", programs::PATIENCE, is_loaded);
    }
    browser.run(include_str!("../../clients/browser.js"), &[]);
    browser.run("window.start(arguments[0], arguments[1])", &[json!(kind), json!(mode)]);
    let next = || {
        let next = || Some(browser.run("return window.lines.shift() ?? null", &[])).filter(|line| !line.is_null());
        browser.wait_for("a line of the checks", programs::PATIENCE, next)
    };
    judge(&format!("Chromium, {kind} {mode}"), checks, next, fulfil);
}

const LOAD_CLIENT: &str = "const script = document.createElement('script');
    script.src = '/socket.io/socket.io.min.js';
    document.head.append(script);";
