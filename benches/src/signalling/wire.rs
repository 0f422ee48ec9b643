//! What goes over the wire: how a participant comes in, how it sends a signal, and how one arrives.

use crate::dialect::stream_parser::find;
use crate::http;
use crate::payload::{Payload, Stamp};
use crate::servers::ServerKind;

/// By which way signals travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Santral: an event stream, and a POST for each signal.
    Post,
    /// Santral: a WebSocket both ways.
    WebSocket,
    /// npm `peer`: a WebSocket both ways.
    PeerJs,
}

/// Who a participant is on the wire.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The room's number.
    pub(super) room: usize,
    /// The place in it.
    pub(super) place: usize,
    /// What others call it.
    pub(super) id: String,
    /// What it proves itself with, where it must.
    pub(super) token: String,
}

/// What a piece of text from the server is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The server has let the participant in.
    Open,
    /// A signal of another one.
    Signal(Stamp),
    /// A signal that nobody sent.
    Damaged,
    /// Whatever else.
    Other,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::PeerJs, Self::WebSocket, Self::Post];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "santral, SSE and POST",
            Self::WebSocket => "santral, WebSocket",
            Self::PeerJs => "npm peer, WebSocket",
        }
    }

    /// Whose way it is.
    pub fn server(self) -> ServerKind {
        match self {
            Self::Post | Self::WebSocket => ServerKind::Santral,
            Self::PeerJs => ServerKind::PeerJs,
        }
    }

    /// Whether participants send by what they listen on.
    pub(super) fn is_duplex(self) -> bool {
        match self {
            Self::Post => false,
            Self::WebSocket | Self::PeerJs => true,
        }
    }

    /// Where a participant comes in.
    pub(super) fn path(self, identity: &Identity) -> String {
        let session = session(identity.room, identity.place);
        match self {
            Self::Post => format!("/api/events?session={session}"),
            Self::WebSocket => format!("/api/v1/ws?session={session}"),
            Self::PeerJs => format!("/peerjs?key=peerjs&id={}&token=t&version=1.5.5", identity.id),
        }
    }

    /// What a participant says to send a signal: a whole request, or the text of a message.
    pub(super) fn signal(self, from: &Identity, to: &str, payload: &Payload, stamp: Stamp) -> Vec<u8> {
        let room = room_id(from.room);
        let mut text = match self {
            Self::Post => format!(r#"{{"roomId":"{room}","to":"{to}","type":"candidate","data":"#),
            Self::WebSocket => format!(r#"{{"signal":{{"roomId":"{room}","to":"{to}","type":"candidate","data":"#),
            Self::PeerJs => format!(r#"{{"type":"CANDIDATE","dst":"{to}","payload":"#),
        }
        .into_bytes();
        payload.write(stamp, &mut text);
        match self {
            Self::Post => {
                text.push(b'}');
                let head = http::post_head_with_token("/api/webrtc/signal", &from.token, text.len());
                [head, text].concat()
            }
            Self::WebSocket => [text, b"}}".to_vec()].concat(),
            Self::PeerJs => [text, b"}".to_vec()].concat(),
        }
    }

    /// What keeps a participant alive who says nothing, where the server does not ask by itself.
    pub(super) fn heartbeat(self) -> Option<&'static [u8]> {
        match self {
            Self::Post | Self::WebSocket => None,
            Self::PeerJs => Some(br#"{"type":"HEARTBEAT"}"#),
        }
    }

    /// What a message, or a block of the event stream, is.
    pub(super) fn hear(self, text: &[u8], payload: &Payload) -> Heard {
        let open: &[u8] = match self {
            Self::Post => b"event: hello",
            Self::WebSocket => br#"{"event":"hello""#,
            Self::PeerJs => br#"{"type":"OPEN""#,
        };
        if find(text, open).is_some() {
            return Heard::Open;
        }
        let Some(start) = find(text, SIGNAL_START) else { return Heard::Other };
        let signal = text.get(start..start + payload.bytes()).and_then(|signal| payload.read(signal));
        signal.map_or(Heard::Damaged, Heard::Signal)
    }
}

/// The id of a room.
pub(super) fn room_id(number: usize) -> String {
    format!("bench-{number}")
}

/// The session of a participant, which Santral lets clients choose.
pub(super) fn session(room: usize, place: usize) -> String {
    format!("bench-session-of-caller-{room:05}-{place}")
}

/// How [`Payload`] begins.
const SIGNAL_START: &[u8] = br#"{"s":""#;

#[cfg(test)]
mod tests {
    use super::{Heard, Identity, Way};
    use crate::payload::{Payload, Stamp};

    #[test]
    fn a_signal_is_found_in_what_each_server_passes_on() {
        let (payload, stamp) = (Payload::new(200), Stamp { publisher: 3, sequence: 7, sent_ns: 11 });
        let mut data = Vec::new();
        payload.write(stamp, &mut data);
        let data = String::from_utf8(data).expect("ASCII");
        let post = format!("event: webrtc.signal\ndata: {{\"to\":\"p\",\"data\":{data},\"seq\":1}}");
        let socket = format!(r#"{{"event":"webrtc.signal","data":{{"to":"p","data":{data}}}}}"#);
        let peerjs = format!(r#"{{"type":"CANDIDATE","src":"a","dst":"b","payload":{data}}}"#);
        for (way, text) in [(Way::Post, post), (Way::WebSocket, socket), (Way::PeerJs, peerjs)] {
            assert_eq!(way.hear(text.as_bytes(), &payload), Heard::Signal(stamp), "{}", way.name());
            let damaged = text.replace("xxx", "xyx");
            assert_eq!(way.hear(damaged.as_bytes(), &payload), Heard::Damaged, "{}", way.name());
            assert_eq!(way.hear(b"{}", &payload), Heard::Other);
        }
        assert_eq!(Way::PeerJs.hear(br#"{"type":"OPEN"}"#, &payload), Heard::Open);
    }

    #[test]
    fn what_is_sent_is_what_each_server_reads() {
        let identity = Identity { room: 2, place: 1, id: "a".to_owned(), token: "ptok_x".to_owned() };
        let (payload, stamp) = (Payload::new(64), Stamp { publisher: 1, sequence: 1, sent_ns: 1 });
        let text = |way: Way| String::from_utf8(way.signal(&identity, "b", &payload, stamp)).expect("ASCII");
        let post = text(Way::Post);
        let (head, body) = post.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("Authorization: Bearer ptok_x\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(
            body.starts_with(r#"{"roomId":"bench-2","to":"b","type":"candidate","data":{"s":"0000000001""#),
            "{body}"
        );
        assert!(text(Way::WebSocket).starts_with(r#"{"signal":{"roomId":"bench-2""#));
        assert!(text(Way::WebSocket).ends_with("\"}}}"));
        assert!(text(Way::PeerJs).starts_with(r#"{"type":"CANDIDATE","dst":"b","payload":{"s":"#));
    }
}
