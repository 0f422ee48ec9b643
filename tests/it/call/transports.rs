//! The same call with its signals over each of the other transports.

use crate::support::Santral;
use crate::support::packages::node_clients;

use super::caller::Caller;

/// One on this transport, the other on SSE; then a reload, and the line is lost and found.
fn a_call_over(santral: &mut Santral, transport: &str) {
    let fragment = format!("meeting&transport={transport}");
    let Some(ada) = Caller::host(santral.address, &fragment, "Ada") else { return };
    let Some(bob) = Caller::join(santral.address, "meeting", "Bob") else { return };
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    let before = ada.me()["participantId"].clone();
    ada.reload();
    ada.wait_for_media(1);
    bob.wait_for_media(1);
    assert_eq!(ada.me()["participantId"], before);
    ada.count_connections();
    santral.server.kill9().expect("the server can be killed");
    ada.wait_for_state("reconnecting");
    santral.start_again();
    ada.wait_for_state("joined");
    bob.wait_for_state("joined");
    ada.wait_for_media(1);
    assert_eq!((ada.me()["participantId"].clone(), ada.connections_made()), (before, 0));
    ada.renew(&ada.others()[0]);
    ada.wait_for_connections(1);
    ada.wait_for_media(1);
    bob.wait_for_media(1);
}

#[test]
fn signals_go_over_a_websocket() {
    a_call_over(&mut Santral::start(), "websocket");
}

#[test]
fn signals_go_over_long_polls() {
    a_call_over(&mut Santral::start(), "poll");
}

#[test]
fn signals_go_over_socket_io() {
    let Some(packages) = node_clients() else { return };
    let files = packages.join("node_modules/socket.io-client/dist");
    let files = files.to_str().expect("the path is text");
    a_call_over(&mut Santral::start_with(&[("SANTRAL_SOCKETIO_CLIENT_DIR", files)]), "socketio");
}
