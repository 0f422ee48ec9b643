//! Real Socket.IO clients, unmodified, through a proxy that can cut their connections: each of
//! `socket.io-client` 3.1.3, 4.0.1, 4.5.4 and the newest, and `python-socketio`, over polling alone,
//! over WebSocket alone, and with an upgrade.
//!
//! The programs in `tests/clients` print a line a check; this is their surroundings and their judge.

use std::path::Path;
use std::time::Duration;

use santral_testkit::fault_proxy::{Cut, Fault, FaultProxy};
use santral_testkit::process::{Server, ServerCommand};
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};

use super::target::{Options, Target};
use super::wire::MOMENT;
use crate::support::packages::{SOURCES, node_clients, python_clients};

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
#[ignore = "the server does not speak Socket.IO yet"]
fn clients_of_each_version_work_over_polling() {
    each_version(santral, "polling");
}

#[test]
#[ignore = "the server does not speak Socket.IO yet"]
fn clients_of_each_version_work_over_websocket() {
    each_version(santral, "websocket");
}

#[test]
#[ignore = "the server does not speak Socket.IO yet"]
fn clients_of_each_version_work_through_an_upgrade() {
    each_version(santral, "upgrade");
}

#[test]
#[ignore = "the server does not speak Socket.IO yet"]
fn python_socketio_works() {
    python(santral);
}

/// The packages by their names in `tests/clients/package.json`.
const VERSIONS: [&str; 4] =
    ["socket.io-client-3.1.3", "socket.io-client-4.0.1", "socket.io-client-4.5.4", "socket.io-client"];

/// What each program checks at least; one that does less has not run to its end.
const NODE_CHECKS: u64 = 16;
const PYTHON_CHECKS: u64 = 11;

fn each_version(start: fn(Options) -> Option<Target>, mode: &str) {
    let (Some(folder), Some(node)) = (node_clients(), require_tool("node")) else { return };
    let script = script(folder, "socketio.cjs");
    let Some(mut target) = start(Options::DEFAULT) else { return };
    for version in VERSIONS {
        let program = [script.as_str(), "{url}", version, mode];
        run(&mut target, &node, &program, NODE_CHECKS, &format!("{version} over {mode}"));
    }
    // Older versions know no recovery, and would take what it adds for an argument of theirs.
    let Some(mut target) = start(Options { has_recovery: true, ..Options::DEFAULT }) else { return };
    let program = [script.as_str(), "{url}", VERSIONS[3], mode, "recovers_after_a_cut"];
    run(&mut target, &node, &program, 1, &format!("recovery over {mode}"));
}

fn python(start: fn(Options) -> Option<Target>) {
    let (Some(mut target), Some(python)) = (start(Options::DEFAULT), python_clients()) else { return };
    for mode in ["polling", "websocket", "upgrade"] {
        let script = format!("{SOURCES}/python_socketio.py");
        run(&mut target, python, &[&script, "{url}", mode], PYTHON_CHECKS, &format!("python-socketio over {mode}"));
    }
}

fn santral(options: Options) -> Option<Target> {
    Some(Target::santral(options))
}

/// The programs are run where their packages are.
fn script(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    std::fs::copy(format!("{SOURCES}/{name}"), &path).expect("a file can be copied");
    path.to_str().expect("the path is text").to_owned()
}

/// Runs a program behind a proxy, does what it wants, and fails with all checks that failed.
fn run(target: &mut Target, program: &Path, arguments: &[&str], checks: u64, what: &str) {
    let proxy = FaultProxy::start(target.address()).expect("loopback has a free port");
    let url = format!("http://{}", proxy.address());
    let arguments = arguments.iter().map(|argument| argument.replace("{url}", &url));
    let mut client = ServerCommand::new(program).args(arguments).spawn().expect("the client starts");
    let (mut lines, mut failed, mut passed) = (0, Vec::new(), Vec::new());
    loop {
        let line = next_line(&mut client, lines);
        lines += 1;
        if let Some(wanted) = line["want"].as_str() {
            fulfil(wanted, &line, target, &proxy);
        } else if line["done"].is_u64() {
            let count = line["done"].as_u64().unwrap_or_default();
            assert!(count >= checks, "{what}: {count} checks only");
            break;
        } else if line["ok"] == true {
            passed.push(line["check"].as_str().unwrap_or("?").to_owned());
        } else {
            failed.push(format!("{}: {}", line["check"], line["error"].as_str().unwrap_or("?")));
        }
    }
    println!("{what}: {}", passed.join(", "));
    assert!(failed.is_empty(), "{what}: {} checks fail:\n{}", failed.len(), failed.join("\n"));
}

/// The line of JSON with this number, counted from 0; what else a program says is passed over.
fn next_line(client: &mut Server, number: usize) -> Value {
    let mut seen = 0;
    let pick = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        seen += 1;
        (seen > number && value.is_object()).then_some(value)
    };
    client.wait_for_line(pick, PROGRAM_PATIENCE).expect("the client says what it does")
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

/// How long a client may take for one check.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(60);
