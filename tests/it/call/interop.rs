//! Chromium and aiortc, two implementations of WebRTC that share no code, in one call.

use santral_testkit::process::{Server, ServerCommand};
use serde_json::Value;

use crate::support::packages::{SOURCES, python_clients};
use crate::support::{PATIENCE, Santral};

use super::caller::Caller;

/// A participant in Python that has joined; `None`, said loudly, without its packages.
fn python_participant(santral: &Santral, room: &str) -> Option<Server> {
    let command = ServerCommand::new(python_clients()?).arg(format!("{SOURCES}/call_aiortc.py"));
    let command = command.arg(format!("http://{}", santral.address)).arg(room).arg("Py");
    let mut participant = command.spawn().expect("the participant starts");
    wait_for(&mut participant, |line| line["joined"].is_string());
    Some(participant)
}

/// Waits for such a line.
fn wait_for(participant: &mut Server, is_it: impl Fn(&Value) -> bool) {
    let pick = |line: &str| serde_json::from_str::<Value>(line).ok().filter(&is_it);
    participant.wait_for_line(pick, PATIENCE).expect("the participant says so");
}

/// Waits until it has seen more than so many pictures of somebody.
fn wait_for_pictures(participant: &mut Server, count: u64) {
    wait_for(participant, |line| {
        let frames = line["frames"].as_object().into_iter().flatten();
        frames.filter_map(|(_, frames)| frames.as_u64()).any(|frames| frames > count)
    });
}

#[test]
fn aiortc_joins_a_browser() {
    let santral = Santral::start();
    let Some(ada) = Caller::host(santral.address, "python", "Ada") else { return };
    let Some(mut python) = python_participant(&santral, "python") else { return };
    ada.wait_for_media(1);
    wait_for_pictures(&mut python, 5);
    wait_for_pictures(&mut python, 20);
    // Its page begins anew, and so does the connection.
    ada.reload();
    ada.wait_for_media(1);
}

#[test]
fn a_browser_joins_aiortc() {
    let santral = Santral::start();
    let room = santral.post("/api/video/rooms", r#"{"roomId":"python","name":"Python"}"#);
    assert_eq!(room.status, 201, "{}", room.text());
    let Some(mut python) = python_participant(&santral, "python") else { return };
    let Some(ada) = Caller::join(santral.address, "python", "Ada") else { return };
    ada.wait_for_media(1);
    wait_for_pictures(&mut python, 5);
    wait_for_pictures(&mut python, 20);
    ada.browser.click("#leave");
    wait_for(&mut python, |line| line["left"].is_string());
}
