//! Messages as an Admin UI shows them: who said one, and to whom it goes.
//!
//! To whom follows from what is known of connections, not from what their links took: a client that is slow is
//! sent a message later, or learns of a gap.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use santral_core::grants::Grants;
use santral_core::limits::ADMIN_RECEIVERS_MAX;
use santral_core::names::{ChannelName, ConnectionId};

use super::changes::News;
use super::shown::ShownSocket;
use crate::hub::news::MessageNews;

/// What is told of a message to an operator with these rights: nothing, where they could not follow it.
pub(super) fn told(
    message: &MessageNews,
    sockets: &BTreeMap<String, ShownSocket>,
    grants: &Grants,
    at: &str,
) -> Vec<News> {
    if !message.channels.iter().all(|channel| grants.subscribe.allow(channel)) {
        return Vec::new();
    }
    let args = args_of(message);
    let news = |name: &'static str, socket: &ShownSocket| {
        let news = (&socket.nsp, &socket.id, &args, at);
        (name, serde_json::to_string(&news).expect("texts and an array of JSON make JSON"))
    };
    let sender = message.from.as_ref().and_then(|from| sockets.get(from.as_str()));
    let receivers = sockets.values().filter(|socket| is_sent(message, socket)).take(ADMIN_RECEIVERS_MAX);
    let received = sender.map(|socket| news("event_received", socket));
    received.into_iter().chain(receivers.map(|socket| news("event_sent", socket))).collect()
}

/// The name of the event and its arguments, as one array.
fn args_of(message: &MessageNews) -> Box<RawValue> {
    let name = message.event.as_ref().map_or_else(|| "message".to_owned(), |name| name.on_socket_io().to_string());
    let name = serde_json::to_string(&name).expect("a text makes JSON");
    let data = message.data.trim();
    let values = data.strip_prefix('[').filter(|_| message.spread).map(str::trim_start);
    let text = match values {
        Some("]") => format!("[{name}]"),
        Some(values) => format!("[{name},{values}"),
        None => format!("[{name},{data}]"),
    };
    RawValue::from_string(text).expect("a name before the values of an array makes an array")
}

fn is_sent(message: &MessageNews, socket: &ShownSocket) -> bool {
    let is_left_out = |id: &ConnectionId| id.as_str() == socket.id;
    let follows = |channel: &ChannelName| {
        let is_it = |room: &String| match room.strip_suffix('*') {
            Some(prefix) => channel.room().starts_with(prefix),
            None => room == channel.room(),
        };
        channel.namespace().as_str() == socket.nsp && socket.rooms[1..].iter().any(is_it)
    };
    message.channels.iter().any(follows)
        && !message.except_connections.iter().any(is_left_out)
        && !message.except_channels.iter().any(follows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use santral_core::client::Client;
    use santral_core::entry::Timestamp;
    use santral_core::grants::Patterns;
    use santral_core::names::{EventName, Selector};

    use super::*;
    use crate::hub::shard_thread::Sighting;

    fn id(letter: char) -> ConnectionId {
        ConnectionId::parse(&letter.to_string().repeat(22)).expect("22 characters")
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).expect("a channel")
    }

    /// `a` follows room and other, `b` follows room, `c` a prefix of it.
    fn sockets() -> BTreeMap<String, ShownSocket> {
        let socket = |(letter, rooms): (char, &[&str])| {
            let shown = ShownSocket::of(&Sighting {
                connection: id(letter),
                client: Arc::new(Client::guest("sse", "192.0.2.1".into(), Timestamp(0))),
                selectors: rooms.iter().map(|room| Selector::parse(room).expect("a selector")).collect(),
                engine: None,
            });
            (shown.id.clone(), shown)
        };
        let all: [(char, &[&str]); 3] = [('a', &["room", "other"]), ('b', &["room"]), ('c', &["ro*"])];
        all.into_iter().map(socket).collect()
    }

    fn message(data: &str, spread: bool) -> MessageNews {
        MessageNews {
            from: Some(id('b')),
            channels: vec![channel("room")],
            except_connections: vec![id('b')],
            except_channels: Vec::new(),
            event: EventName::parse("said").ok(),
            data: data.into(),
            spread,
        }
    }

    /// Event and socket of all that is told, and the arguments of the last.
    fn shown(message: &MessageNews, grants: &Grants) -> (Vec<String>, String) {
        let news = told(message, &sockets(), grants, "T");
        let parsed = news.iter().map(|(name, args)| (name, serde_json::from_str::<serde_json::Value>(args)));
        let parsed: Vec<_> = parsed.map(|(name, args)| (name, args.expect("JSON"))).collect();
        let whom = parsed.iter().map(|(name, args)| format!("{name} {}", &args[1].as_str().unwrap_or("?")[..1]));
        (whom.collect(), parsed.last().map_or_else(String::new, |(_, args)| format!("{}{}", args[2], args[3])))
    }

    #[test]
    fn a_message_is_shown_with_whoever_said_it_and_all_who_are_sent_it() {
        let all = Grants { subscribe: Patterns::all(), ..Grants::default() };
        let (whom, args) = shown(&message("{\"a\":1}", false), &all);
        assert_eq!(whom, ["event_received b", "event_sent a", "event_sent c"]);
        assert_eq!(args, r#"["said",{"a":1}]"T""#);
        for (data, spread, expected) in [
            ("[[1],2]", true, r#"["said",[1],2]"#),
            (" [ ] ", true, r#"["said"]"#),
            ("[[1],2]", false, r#"["said",[[1],2]]"#),
        ] {
            assert_eq!(shown(&message(data, spread), &all).1, format!("{expected}\"T\""), "{data}");
        }
        let except = MessageNews { except_channels: vec![channel("other")], ..message("1", false) };
        assert_eq!(shown(&except, &all).0, ["event_received b", "event_sent c"]);
        let elsewhere = MessageNews { channels: vec![channel("nowhere")], from: None, ..message("1", false) };
        assert_eq!(shown(&elsewhere, &all).0, [""; 0]);
    }

    /// Nobody reads by the Admin UI what is none of their business.
    #[test]
    fn what_an_operator_could_not_follow_is_not_shown() {
        let news = Grants { subscribe: Patterns::parse(&["news"]).expect("a pattern"), ..Grants::default() };
        assert_eq!(shown(&message("1", false), &news).0, [""; 0]);
        let all = Grants { subscribe: Patterns::all(), ..Grants::default() };
        let private = ChannelName::of_user("ada").expect("a user");
        let private = MessageNews { channels: vec![private], ..message("1", false) };
        assert_eq!(shown(&private, &all).0, [""; 0]);
    }
}
