//! What a session is sent as a Socket.IO socket: messages and the server's own events, closed packets.
//!
//! Frames are shared by sockets of every namespace, so none is named in them: a link puts the name of its
//! socket's namespace where it belongs ([`namespace_place`]).

use bytes::Bytes;
use serde::Serialize;

use santral_schema::events::{PresenceChange, PresenceKind};

use crate::entry::Publication;
use crate::position::Position;
use crate::socketio::Namespace;
use crate::socketio::encode::{self, Event, Tail};

/// The name of a message without one, as on all other transports.
const NAMELESS: &str = "message";

/// A message. A client whose state can be recovered learns its place.
#[must_use]
pub fn message(position: Option<Position>, publication: &Publication, recoverable: bool) -> Bytes {
    let name = publication.event.as_ref().map(|name| name.on_socket_io().to_string());
    let event = Event {
        namespace: &Namespace::ROOT,
        ack: None,
        name: name.as_deref().unwrap_or(NAMELESS),
        data: &publication.data,
        spread: publication.spread,
        tail: Tail::Nothing,
    };
    placed(event, position, recoverable)
}

/// An event of the server's own, `santral:<name>`.
#[must_use]
pub fn system(name: &str, position: Option<Position>, data: &impl Serialize, recoverable: bool) -> Bytes {
    let data = serde_json::to_string(data).expect("wire types have string keys and no failing serializer");
    let name = format!("santral:{name}");
    let event =
        Event { namespace: &Namespace::ROOT, ack: None, name: &name, data: &data, spread: false, tail: Tail::Nothing };
    placed(event, position, recoverable)
}

/// Somebody joined or left a room.
#[must_use]
pub fn presence(change: &PresenceChange, recoverable: bool) -> Bytes {
    let room = change.channel.rsplit('#').next().unwrap_or(&change.channel);
    let news = RoomChange { room, change: change.change, user: change.user.as_deref(), connection: &change.connection };
    system("presence", None, &news, recoverable)
}

/// Where the name of a namespace and its comma belong in the packet that begins here: behind the types and
/// the number of attachments.
#[must_use]
pub fn namespace_place(packet: &[u8]) -> usize {
    let is_binary = matches!(packet, [b'4', b'5' | b'6', ..]);
    let dash = if is_binary { packet.iter().position(|byte| *byte == b'-') } else { None };
    dash.map_or(2, |dash| dash + 1).min(packet.len())
}

fn placed(event: Event<'_>, position: Option<Position>, recoverable: bool) -> Bytes {
    let offset = position.map(|position| position.to_string());
    let tail = match (recoverable, &offset) {
        (false, _) => Tail::Nothing,
        (true, Some(offset)) => Tail::Offset(offset),
        (true, None) => Tail::NoOffset,
    };
    let mut packet = String::with_capacity(event.data.len() + 64);
    encode::event(&mut packet, &Event { tail, ..event });
    Bytes::from(packet)
}

/// A presence change in the words of Socket.IO.
#[derive(Serialize)]
struct RoomChange<'a> {
    room: &'a str,
    change: PresenceKind,
    user: Option<&'a str>,
    connection: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{ChannelName, EventName};
    use crate::position::Epoch;

    fn publication(event: Option<&str>, data: &str) -> Publication {
        let event = event.map(|name| EventName::foreign(name).expect("a name"));
        Publication { event, ..Publication::new(ChannelName::parse("room").expect("a channel"), data) }
    }

    #[test]
    fn messages_carry_their_place_for_who_can_come_back() {
        let position = Some(Position::new(Epoch(1), 7));
        let named = publication(Some("chat message"), "{\"a\":1}");
        assert_eq!(message(position, &named, false), "42[\"chat message\",{\"a\":1}]\x1e");
        assert_eq!(message(position, &named, true), "42[\"chat message\",{\"a\":1},\"00000001-7\"]\x1e");
        let spread = Publication { spread: true, ..publication(Some("a"), "[1, 2]") };
        assert_eq!(message(None, &spread, true), "42[\"a\",1, 2]\x1e");
        assert_eq!(message(None, &publication(None, "\"x\""), true), "42[\"message\",\"x\",null]\x1e");
    }

    #[test]
    fn no_name_makes_a_client_hang_up() {
        for name in crate::socketio::LIBRARY_EVENTS {
            assert_eq!(message(None, &publication(Some(name), "1"), false), format!("42[\"io:{name}\",1]\x1e"));
        }
        assert_eq!(message(None, &publication(Some("bye"), "1"), false), "42[\"bye\",1]\x1e");
    }

    #[test]
    fn presence_speaks_of_rooms() {
        let change = PresenceChange {
            channel: "$/chat#room".to_owned(),
            change: PresenceKind::Joined,
            user: None,
            connection: "c".to_owned(),
        };
        let text =
            "42[\"santral:presence\",{\"room\":\"room\",\"change\":\"joined\",\"user\":null,\"connection\":\"c\"}]\x1e";
        assert_eq!(presence(&change, true), text);
    }

    #[test]
    fn a_namespace_belongs_behind_the_types() {
        for (packet, place) in [("42[\"a-b\"]", 2), ("452-[\"a-b\"]", 4), ("4510-[1]", 5), ("41", 2), ("3", 1), ("", 0)]
        {
            assert_eq!(namespace_place(packet.as_bytes()), place, "{packet}");
        }
    }
}
