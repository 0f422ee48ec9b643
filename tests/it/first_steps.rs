//! What a newcomer does first: start, listen, publish, pull the plug.

use santral_testkit::http::SseClient;

use crate::support::{PATIENCE, Santral, deadline};

#[test]
fn a_broadcast_reaches_every_listener_as_it_was_written() {
    let santral = Santral::start();
    let mut clients = [santral.listen("/api/events"), santral.listen("/api/events?channel=orders")];
    let message = r#"{"type":"notification","message":"Yeni güncelleme mevcut!"}"#;
    let id = santral.broadcast(message);
    for client in &mut clients {
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("message", message));
        assert_eq!(event.last_event_id, id);
    }
}

#[test]
fn a_client_that_comes_back_after_kill_9_misses_nothing() {
    let mut santral = Santral::start();
    let mut client = santral.listen("/api/events");
    let seen = santral.broadcast("1");
    client.wait_for(|event| event.last_event_id == seen, deadline()).expect("the first message comes");
    let missed: Vec<String> = (2..=4).map(|number| santral.broadcast(&number.to_string())).collect();
    santral.server.kill9().expect("the server can be killed");
    santral.start_again();
    let later = santral.broadcast("5");
    let mut client = SseClient::open(santral.address, "/api/events", &[("Last-Event-ID", &seen)], PATIENCE)
        .expect("the stream opens again");
    client.wait_for(|event| event.event_type == "hello", deadline()).expect("hello comes first");
    for (id, data) in missed.iter().chain([&later]).zip(["2", "3", "4", "5"]) {
        let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
        assert_eq!((&event.last_event_id, event.data.as_str()), (id, data));
    }
}
