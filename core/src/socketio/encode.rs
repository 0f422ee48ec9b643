//! The packets that the server sends, as closed Engine.IO messages (`crate::engineio::SEPARATOR`).
//!
//! A binary packet and its attachments are one text, so nothing gets between them.

use std::fmt::Write as _;

use crate::engineio::SEPARATOR;
use crate::socketio::binary::{self, Detached};
use crate::socketio::{Args, Namespace};

/// An event as it lies in the log.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Where it happens.
    pub namespace: &'a Namespace,
    /// The id that the client shall acknowledge.
    pub ack: Option<u64>,
    /// Its name.
    pub name: &'a str,
    /// Its data as JSON text.
    pub data: &'a str,
    /// Whether `data` is the array of its arguments rather than its only argument.
    pub spread: bool,
    /// What stands behind the arguments.
    pub tail: Tail<'a>,
}

/// What a client whose state can be recovered finds behind an event's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail<'a> {
    /// Nothing: the client did not ask for recovery, or the event asks for an acknowledgement.
    Nothing,
    /// The place that it has seen once it has the event.
    Offset(&'a str),
    /// The event has no place. Clients take the last argument of any event for its offset if it is text, so
    /// behind text stands `null`; the event's name counts as text where there are no arguments.
    NoOffset,
}

/// An event. Bytes in its data become attachments.
pub fn event(out: &mut String, event: &Event<'_>) {
    let detached = binary::detach(event.data);
    let data = detached.as_ref().map_or(event.data, |detached| &detached.text);
    begin(out, ['2', '5'], detached.as_ref(), event.namespace);
    push_id(out, event.ack);
    out.push('[');
    push_json(out, event.name);
    let values = if event.spread { within_array(data) } else { data };
    if !values.is_empty() {
        out.push(',');
        out.push_str(values);
    }
    match event.tail {
        Tail::Nothing => (),
        Tail::Offset(offset) => {
            out.push(',');
            push_json(out, offset);
        }
        // JSON text ends in a quote exactly where its last value is text.
        Tail::NoOffset if values.is_empty() || values.ends_with('"') => out.push_str(",null"),
        Tail::NoOffset => (),
    }
    out.push(']');
    end(out, detached.as_ref());
}

/// Acknowledges a client's event.
pub fn ack(out: &mut String, namespace: &Namespace, id: u64, args: &Args) {
    let detached = binary::detach(args.as_array());
    begin(out, ['3', '6'], detached.as_ref(), namespace);
    push_id(out, Some(id));
    out.push_str(detached.as_ref().map_or(args.as_array(), |detached| &detached.text));
    end(out, detached.as_ref());
}

/// Tells a client that it has joined; `pid` only where its state can be recovered.
pub fn connected(out: &mut String, namespace: &Namespace, id: &str, pid: Option<&str>) {
    begin(out, ['0', '0'], None, namespace);
    out.push_str("{\"sid\":");
    push_json(out, id);
    if let Some(pid) = pid {
        out.push_str(",\"pid\":");
        push_json(out, pid);
    }
    out.push('}');
    end(out, None);
}

/// Refuses a client; `data` is JSON text.
pub fn connect_error(out: &mut String, namespace: &Namespace, message: &str, data: Option<&str>) {
    begin(out, ['4', '4'], None, namespace);
    out.push_str("{\"message\":");
    push_json(out, message);
    if let Some(data) = data {
        out.push_str(",\"data\":");
        out.push_str(data);
    }
    out.push('}');
    end(out, None);
}

/// Ends a client's stay in a namespace; it will not come back by itself.
pub fn disconnect(out: &mut String, namespace: &Namespace) {
    begin(out, ['1', '1'], None, namespace);
    end(out, None);
}

/// The Engine.IO type of a message, the packet's own, the number of its attachments, and the namespace.
fn begin(out: &mut String, [plain, binary]: [char; 2], detached: Option<&Detached<'_>>, namespace: &Namespace) {
    out.push('4');
    match detached {
        Some(detached) => write!(out, "{binary}{}-", detached.attachments.len()).expect("a String takes all text"),
        None => out.push(plain),
    }
    if !namespace.is_root() {
        out.push_str(namespace.as_str());
        out.push(',');
    }
}

fn end(out: &mut String, detached: Option<&Detached<'_>>) {
    out.push(char::from(SEPARATOR));
    for base64 in detached.iter().flat_map(|detached| &detached.attachments) {
        out.push('b');
        out.push_str(base64);
        out.push(char::from(SEPARATOR));
    }
}

fn push_id(out: &mut String, id: Option<u64>) {
    if let Some(id) = id {
        write!(out, "{id}").expect("a String takes all text");
    }
}

fn push_json(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("text is JSON"));
}

/// What stands between the brackets of an array; what is no array stays whole.
fn within_array(array: &str) -> &str {
    let array = array.trim_matches(super::args::JSON_SPACE);
    let inner = array.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.map_or(array, |inner| inner.trim_matches(super::args::JSON_SPACE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engineio::Packet as Engine;
    use crate::engineio::payload;
    use crate::socketio::{Decoder, Packet};
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    const PLAIN: Event<'_> =
        Event { namespace: &Namespace::ROOT, ack: None, name: "a", data: "1", spread: false, tail: Tail::Nothing };

    #[test]
    fn packets_are_written_as_the_reference_writes_them() {
        let chat = Namespace::parse("/chat").expect("a namespace");
        let root = Namespace::ROOT;
        assert_eq!(written(|out| connected(out, &root, "x", None)), "40{\"sid\":\"x\"}\x1e");
        assert_eq!(written(|out| connected(out, &chat, "x", Some("p"))), "40/chat,{\"sid\":\"x\",\"pid\":\"p\"}\x1e");
        assert_eq!(
            written(|out| connect_error(out, &chat, "Invalid namespace", None)),
            "44/chat,{\"message\":\"Invalid namespace\"}\x1e"
        );
        assert_eq!(
            written(|out| connect_error(out, &root, "no", Some("{\"code\":1}"))),
            "44{\"message\":\"no\",\"data\":{\"code\":1}}\x1e"
        );
        assert_eq!(written(|out| disconnect(out, &root)), "41\x1e");
        assert_eq!(written(|out| disconnect(out, &chat)), "41/chat,\x1e");
        let args = Args::parse("[1,\"b\"]").expect("an array");
        assert_eq!(written(|out| ack(out, &chat, 7, &args)), "43/chat,7[1,\"b\"]\x1e");
    }

    #[test]
    fn events_carry_one_argument_or_several_and_an_offset_last() {
        let text = |with: Event<'_>| written(|out| event(out, &with));
        assert_eq!(text(PLAIN), "42[\"a\",1]\x1e");
        assert_eq!(text(Event { data: "[1,2]", ..PLAIN }), "42[\"a\",[1,2]]\x1e");
        assert_eq!(text(Event { data: " [1,2] ", spread: true, ..PLAIN }), "42[\"a\",1,2]\x1e");
        assert_eq!(text(Event { data: "[ ]", spread: true, ..PLAIN }), "42[\"a\"]\x1e");
        assert_eq!(
            text(Event { data: "[]", spread: true, tail: Tail::Offset("e-1"), ..PLAIN }),
            "42[\"a\",\"e-1\"]\x1e"
        );
        for (data, shown) in [("1", "1"), ("\"x\"", "\"x\",null"), ("[\"x\"]", "[\"x\"]")] {
            assert_eq!(text(Event { data, tail: Tail::NoOffset, ..PLAIN }), format!("42[\"a\",{shown}]\x1e"));
        }
        for (data, shown) in [("[]", ",null"), ("[1,\"x\"]", ",1,\"x\",null"), ("[\"x\",1]", ",\"x\",1")] {
            let spread = Event { data, spread: true, tail: Tail::NoOffset, ..PLAIN };
            assert_eq!(text(spread), format!("42[\"a\"{shown}]\x1e"));
        }
        let chat = Namespace::parse("/chat").expect("a namespace");
        let asked = Event { namespace: &chat, ack: Some(3), name: "x\"\n", ..PLAIN };
        assert_eq!(text(asked), "42/chat,3[\"x\\\"\\n\",1]\x1e");
    }

    #[test]
    fn bytes_follow_their_packet() {
        let data = r#"[{"$bytes":"AQ=="},{"b":{"$bytes":"Ag=="}}]"#;
        let text = written(|out| event(out, &Event { data, spread: true, ..PLAIN }));
        let placeholder = |num: u8| format!(r#"{{"_placeholder":true,"num":{num}}}"#);
        let expected = format!("452-[\"a\",{},{{\"b\":{}}}]\x1ebAQ==\x1ebAg==\x1e", placeholder(0), placeholder(1));
        assert_eq!(text, expected);
        let args = Args::parse(r#"[{"$bytes":""}]"#).expect("an array");
        let text = written(|out| ack(out, &Namespace::ROOT, 0, &args));
        assert_eq!(text, format!("461-0[{}]\x1eb\x1e", placeholder(0)));
    }

    /// The grammar of events and acknowledgements is the same in both directions.
    fn read_back(text: &str) -> Packet {
        let mut decoder = Decoder::default();
        let body = std::str::from_utf8(payload::answer(text.as_bytes())).expect("text");
        let mut last = None;
        for packet in payload::packets(body) {
            assert_eq!(last, None, "nothing follows a whole packet");
            last = match packet.expect("our own packet") {
                Engine::Message(text) => decoder.text(text).expect("our own packet"),
                Engine::Binary(bytes) => decoder.binary(bytes).expect("our own packet"),
                other => panic!("not a message but {other:?}"),
            };
        }
        last.expect("a whole packet")
    }

    /// Values as JSON text, some of them with bytes within.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            ".{0,12}".prop_map(|text| serde_json::to_string(&text).expect("text is JSON")),
            Just(r#"{"$bytes":"AQID"}"#.to_owned()),
        ];
        leaf.prop_recursive(3, 9, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(" ,"))),
                inner.prop_map(|value| format!("{{ \"k\" : {value} }}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn events_and_acknowledgements_read_back_as_they_were(
            values in prop::collection::vec(value(), 0..4),
            name in "[^\u{0}-\u{1f}]{1,12}",
            room in "(/[a-z ä/]{0,8})?",
            id in any::<Option<u64>>(),
        ) {
            prop_assume!(!crate::socketio::LIBRARY_EVENTS.contains(&name.as_str()));
            let namespace = if room.is_empty() { Namespace::ROOT } else { Namespace::parse(&room).expect("a namespace") };
            let args = Args::parse(&format!("[{}]", values.join(","))).expect("an array");
            let text = written(|out| event(out, &Event {
                namespace: &namespace, ack: id, name: &name, data: args.as_array(), spread: true, tail: Tail::Nothing,
            }));
            let expected = Packet::Event { namespace: namespace.clone(), ack: id, name, args: args.clone() };
            prop_assert_eq!(read_back(&text), expected);
            let text = written(|out| ack(out, &namespace, id.unwrap_or(1), &args));
            prop_assert_eq!(read_back(&text), Packet::Ack { namespace, id: id.or(Some(1)), args });
        }
    }
}
