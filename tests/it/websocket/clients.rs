//! Real WebSocket clients at `GET /api/v1/ws`, through a proxy that can cut their connections: npm `ws`,
//! Python `websockets`, and what Chromium has itself.

use std::net::SocketAddr;

use santral_testkit::fault_proxy::{Cut, Fault, FaultProxy};
use santral_testkit::http::Request;
use santral_testkit::tools::require_tool;
use serde_json::{Value, json};

use crate::browser::checks;
use crate::support::packages::{SOURCES, node_program, python_clients};
use crate::support::programs::Program;
use crate::support::{PATIENCE, Santral};

#[test]
fn npm_ws_works() {
    let (Some(script), Some(node)) = (node_program("ws.cjs"), require_tool("node")) else { return };
    let script = script.display().to_string();
    run(|url| Program { name: "npm ws".into(), interpreter: node, arguments: vec![script, url], checks: 11 });
}

#[test]
fn python_websockets_works() {
    let Some(python) = python_clients() else { return };
    let script = format!("{SOURCES}/websockets_client.py");
    let interpreter = python.to_owned();
    run(|url| Program { name: "websockets".into(), interpreter, arguments: vec![script, url], checks: 10 });
}

#[test]
fn a_browsers_own_websocket_works() {
    with_faults(|proxy, fulfil| checks::check(proxy, "websocket", "", 7, fulfil));
}

#[test]
fn a_browsers_own_event_source_works() {
    with_faults(|proxy, fulfil| checks::check(proxy, "eventsource", "", 1, fulfil));
}

fn run(program: impl FnOnce(String) -> Program) {
    with_faults(|proxy, fulfil| program(format!("http://{proxy}")).run(fulfil));
}

/// Starts a server and a proxy before it, and does with them what a client wants.
fn with_faults(check: impl FnOnce(SocketAddr, &mut dyn FnMut(&str, &Value))) {
    let mut santral = Santral::start_with(&[("SANTRAL_MESSAGE_BYTES_MAX", "1048576")]);
    let proxy = FaultProxy::start(santral.address).expect("loopback has a free port");
    check(proxy.address(), &mut |wanted, line| match wanted {
        "cut and publish" => {
            // Nobody gets in before all is published.
            proxy.set_fault(Fault::Cut(Cut::Reset));
            publish(&santral, line);
            proxy.heal();
        }
        "restart and publish" => {
            santral.server.kill9().expect("the server can be killed");
            proxy.set_fault(Fault::Cut(Cut::Reset));
            santral.start_again();
            publish(&santral, line);
            proxy.heal();
        }
        "kick" => {
            let path = format!("/api/connections/{}", line["id"].as_str().expect("an id is text"));
            let answer = Request::new("DELETE", &path).send(santral.address, PATIENCE).expect("it is answered");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        other => panic!("nobody knows how to {other}"),
    });
}

fn publish(santral: &Santral, line: &Value) {
    for number in 0..line["count"].as_u64().unwrap_or_default() {
        let message = json!({ "channel": line["channel"], "data": number });
        assert_eq!(santral.post("/api/publish", &message.to_string()).status, 200);
    }
}
