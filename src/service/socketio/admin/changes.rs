//! What an Admin UI is told of one connection that is not as it was told before.

use serde::Serialize;

use super::shown::ShownSocket;

/// An event for the page: its name, and its arguments as a JSON array.
pub(super) type News = (&'static str, String);

/// Part of a socket, by which the page finds it again.
#[derive(Serialize)]
struct Update<'a> {
    id: &'a str,
    nsp: &'a str,
    transport: &'a str,
}

/// From what the page knows of a connection to how it is `now`. `why` it ended, where it has, and `at` which time.
pub(super) fn between(before: Option<&ShownSocket>, now: Option<&ShownSocket>, why: &str, at: &str) -> Vec<News> {
    match (before, now) {
        (None, Some(now)) => vec![news("socket_connected", &(now, at))],
        (Some(before), None) => {
            let gone = news("socket_disconnected", &(&before.nsp, &before.id, why, at));
            let left = before.rooms.iter().map(|room| left(before, room, at));
            std::iter::once(gone).chain(left).collect()
        }
        (Some(before), Some(now)) => within(before, now, at),
        (None, None) => Vec::new(),
    }
}

fn within(before: &ShownSocket, now: &ShownSocket, at: &str) -> Vec<News> {
    let ShownSocket { id, nsp, transport, .. } = now;
    let moved = (before.transport != *transport).then(|| news("socket_updated", &[Update { id, nsp, transport }]));
    let joined = now.rooms.iter().filter(|room| !before.rooms.contains(room));
    let joined = joined.map(|room| news("room_joined", &(nsp, room, id, at)));
    let left = before.rooms.iter().filter(|room| !now.rooms.contains(room)).map(|room| left(now, room, at));
    moved.into_iter().chain(joined).chain(left).collect()
}

fn left(socket: &ShownSocket, room: &str, at: &str) -> News {
    news("room_left", &(&socket.nsp, room, &socket.id, at))
}

fn news(name: &'static str, args: &impl Serialize) -> News {
    (name, serde_json::to_string(args).expect("what pages are told has string keys and no failing serializer"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use santral_core::client::Client;
    use santral_core::entry::Timestamp;
    use santral_core::names::{ConnectionId, Selector};
    use santral_core::socketio::Namespace;

    use super::*;
    use crate::hub::engineio::ShownEngine;
    use crate::hub::shard_thread::Sighting;

    fn socket(is_websocket: bool, rooms: &[&str]) -> ShownSocket {
        let client = Client::guest("socketio", "192.0.2.1".into(), Timestamp(1_000_000));
        ShownSocket::of(&Sighting {
            connection: ConnectionId::parse(&"c".repeat(22)).expect("22 characters"),
            client: Arc::new(client),
            selectors: rooms.iter().map(|room| Selector::parse(room).expect("a selector")).collect(),
            engine: Some(ShownEngine {
                client: "0-abcdefghij".to_owned(),
                is_websocket,
                namespace: Namespace::parse("/chat").expect("a namespace"),
            }),
        })
    }

    fn told(before: Option<&ShownSocket>, now: Option<&ShownSocket>) -> Vec<String> {
        between(before, now, "kicked", "T").into_iter().map(|(name, args)| format!("{name} {args}")).collect()
    }

    #[test]
    fn what_stays_as_it_was_is_not_told_again() {
        let one = socket(true, &["a", "news:*"]);
        assert_eq!(told(Some(&one), Some(&one.clone())), [""; 0]);
        assert_eq!(told(None, None), [""; 0]);
    }

    #[test]
    fn each_kind_of_change_is_told_in_the_words_of_the_page() {
        let id = "c".repeat(22);
        let (before, now) = (socket(false, &["a", "b"]), socket(true, &["b", "c"]));
        let expected = [
            format!(r#"socket_updated [{{"id":"{id}","nsp":"/chat","transport":"websocket"}}]"#),
            format!(r#"room_joined ["/chat","c","{id}","T"]"#),
            format!(r#"room_left ["/chat","a","{id}","T"]"#),
        ];
        assert_eq!(told(Some(&before), Some(&now)), expected);
        let gone = [
            format!(r#"socket_disconnected ["/chat","{id}","kicked","T"]"#),
            format!(r#"room_left ["/chat","{id}","{id}","T"]"#),
            format!(r#"room_left ["/chat","b","{id}","T"]"#),
            format!(r#"room_left ["/chat","c","{id}","T"]"#),
        ];
        assert_eq!(told(Some(&now), None), gone);
    }

    #[test]
    fn a_new_socket_is_shown_as_the_page_wants_it() {
        let shown = told(None, Some(&socket(false, &["a"]))).concat();
        let args = shown.strip_prefix("socket_connected ").expect("its name");
        let id = "c".repeat(22);
        let expected = serde_json::json!([{
            "id": id,
            "clientId": "0-abcdefghij",
            "transport": "polling",
            "nsp": "/chat",
            "data": { "user": null, "role": "anonymous" },
            "handshake": {
                "address": "192.0.2.1", "headers": {}, "query": { "EIO": "4" }, "issued": 1_000,
                "time": "1970-01-01T00:00:01.000Z", "url": "/socket.io/", "secure": false, "xdomain": false,
            },
            "rooms": [id, "a"],
        }, "T"]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(args).expect("JSON"), expected);
    }
}
