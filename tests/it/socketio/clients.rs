//! Real Socket.IO clients, unmodified, through a proxy that can cut their connections: each of
//! `socket.io-client` 3.1.3, 4.0.1, 4.5.4 and the newest, `python-socketio`, and Chromium, over polling alone,
//! over WebSocket alone, and with an upgrade.
//!
//! The programs in `tests/clients` print a line a check; this is their surroundings and their judge.

use santral_testkit::fault_proxy::{Cut, Fault, FaultProxy};
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};

use super::target::{Options, Target};
use super::wire::MOMENT;
use crate::browser::checks;
use crate::support::packages::{SOURCES, node_program, python_clients};
use crate::support::programs::Program;

#[test]
fn clients_of_each_version_work_with_npm_socket_io_over_polling() {
    each_version(Target::reference, "polling");
}

#[test]
fn clients_of_each_version_work_with_npm_socket_io_over_websocket() {
    each_version(Target::reference, "websocket");
}

#[test]
fn clients_of_each_version_work_with_npm_socket_io_through_an_upgrade() {
    each_version(Target::reference, "upgrade");
}

#[test]
fn python_socketio_works_with_npm_socket_io() {
    python(Target::reference);
}

#[test]
fn a_browser_works_with_npm_socket_io() {
    browser(Target::reference);
}

#[test]
fn a_browser_works() {
    browser(santral);
}

#[test]
fn clients_of_each_version_work_over_polling() {
    each_version(santral, "polling");
}

#[test]
fn clients_of_each_version_work_over_websocket() {
    each_version(santral, "websocket");
}

#[test]
fn clients_of_each_version_work_through_an_upgrade() {
    each_version(santral, "upgrade");
}

#[test]
fn python_socketio_works() {
    python(santral);
}

/// The packages by their names in `tests/clients/package.json`.
const VERSIONS: [&str; 4] =
    ["socket.io-client-3.1.3", "socket.io-client-4.0.1", "socket.io-client-4.5.4", "socket.io-client"];

/// What each program checks at least; one that does less has not run to its end.
const NODE_CHECKS: u64 = 16;
const PYTHON_CHECKS: u64 = 11;
const BROWSER_CHECKS: u64 = 8;

fn each_version(start: fn(Options) -> Option<Target>, mode: &str) {
    let (Some(script), Some(node)) = (node_program("socketio.cjs"), require_tool("node")) else { return };
    let script = script.display().to_string();
    let program = |name: String, checks, more: &[&str]| Program {
        name,
        interpreter: node.clone(),
        arguments: [&[script.as_str(), URL], more].concat().iter().map(|&argument| argument.to_owned()).collect(),
        checks,
    };
    let Some(mut target) = start(Options::DEFAULT) else { return };
    for version in VERSIONS {
        run(&mut target, program(format!("{version} over {mode}"), NODE_CHECKS, &[version, mode]));
    }
    // Older versions know no recovery, and would take what it adds for an argument of theirs.
    let Some(mut target) = start(Options { has_recovery: true, ..Options::DEFAULT }) else { return };
    let only = [VERSIONS[3], mode, "recovers_after_a_cut"];
    run(&mut target, program(format!("recovery over {mode}"), 1, &only));
}

fn python(start: fn(Options) -> Option<Target>) {
    let (Some(mut target), Some(python)) = (start(Options::DEFAULT), python_clients()) else { return };
    for mode in ["polling", "websocket", "upgrade"] {
        let script = format!("{SOURCES}/python_socketio.py");
        let program = Program {
            name: format!("python-socketio over {mode}"),
            interpreter: python.to_owned(),
            arguments: vec![script, URL.to_owned(), mode.to_owned()],
            checks: PYTHON_CHECKS,
        };
        run(&mut target, program);
    }
}

/// The client is the one that the server serves to its page.
fn browser(start: fn(Options) -> Option<Target>) {
    let Some(mut target) = start(Options::DEFAULT) else { return };
    for mode in ["polling", "websocket", "upgrade"] {
        let proxy = FaultProxy::start(target.address()).expect("loopback has a free port");
        checks::check(proxy.address(), "socketio", mode, BROWSER_CHECKS, |wanted, line| {
            fulfil(wanted, line, &mut target, &proxy);
        });
    }
}

fn santral(options: Options) -> Option<Target> {
    Some(Target::santral(options))
}

/// Stands for the address in a program's arguments.
const URL: &str = "{url}";

/// Runs a program behind a proxy.
fn run(target: &mut Target, mut program: Program) {
    let proxy = FaultProxy::start(target.address()).expect("loopback has a free port");
    let url = format!("http://{}", proxy.address());
    for argument in &mut program.arguments {
        *argument = argument.replace(URL, &url);
    }
    program.run(|wanted, line| fulfil(wanted, line, target, &proxy));
}

/// What a client cannot do for itself.
fn fulfil(wanted: &str, line: &Value, target: &mut Target, proxy: &FaultProxy) {
    match wanted {
        "cut" | "cut and publish" => {
            // A client between two polls has nothing to cut, and the server would not see it go.
            std::thread::sleep(MOMENT);
            proxy.set_fault(Fault::Cut(Cut::Reset));
            std::thread::sleep(MOMENT);
            // Nobody gets in before all is published.
            for number in 0..line["count"].as_u64().unwrap_or_default() {
                target.broadcast(&json!({ "channel": line["channel"], "event": line["event"], "data": number }));
            }
            proxy.heal();
        }
        "ask" => {
            let question = json!({
                "channel": line["channel"], "event": line["event"], "data": line["data"], "ackTimeoutMs": 10_000,
            });
            let answers = target.broadcast(&question);
            assert_eq!(answers["responses"], json!([line["response"]]), "{answers}");
            target.broadcast(&json!({ "channel": line["channel"], "event": "done", "data": 1 }));
        }
        "kick" => target.end_connection(line["id"].as_str().expect("an id is text")),
        "restart" => {
            proxy.cut_open(Cut::Reset);
            target.restart();
        }
        other => panic!("nobody knows how to {other}"),
    }
}
