//! Reads a client's packets: text, and for binary ones the attachments that follow.

use bytes::Bytes;

use crate::limits::SOCKETIO_ATTACHMENTS_MAX;
use crate::socketio::{Args, LIBRARY_EVENTS, Namespace, Packet, PacketError, binary};

/// Holds a binary packet until its attachments are there; small while none is under way.
#[derive(Debug, Default)]
pub struct Decoder {
    waiting: Option<Box<Waiting>>,
}

/// A binary packet that lacks attachments.
#[derive(Debug)]
struct Waiting {
    head: Head,
    payload: String,
    attachments: Vec<Bytes>,
    count: usize,
}

/// What stands before the payload.
#[derive(Debug)]
struct Head {
    kind: Kind,
    namespace: Namespace,
    id: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
}

impl Decoder {
    /// Takes a text message. `None` while attachments have to come.
    ///
    /// # Errors
    /// [`PacketError`] says which rule was broken; the connection ends.
    pub fn text(&mut self, text: &str) -> Result<Option<Packet>, PacketError> {
        if self.waiting.is_some() {
            return Err(PacketError::TextAmongAttachments);
        }
        let (kind, count, rest) = read_type(text)?;
        let (namespace, rest) = read_namespace(rest)?;
        let (id, payload) = read_id(rest)?;
        let packet = whole(Head { kind, namespace: namespace.clone(), id }, payload)?;
        let Some(count) = count else { return Ok(Some(packet)) };
        if payload.is_empty() {
            return Err(PacketError::BadPayload);
        }
        let head = Head { kind, namespace, id };
        let waiting = Waiting { head, payload: payload.to_owned(), attachments: Vec::new(), count };
        self.waiting = Some(Box::new(waiting));
        Ok(None)
    }

    /// Takes a binary message; the last one of a packet completes it.
    ///
    /// # Errors
    /// [`PacketError`] says which rule was broken; the connection ends.
    pub fn binary(&mut self, bytes: Bytes) -> Result<Option<Packet>, PacketError> {
        let Some(mut waiting) = self.waiting.take() else { return Err(PacketError::StrayAttachment) };
        waiting.attachments.push(bytes);
        if waiting.attachments.len() < waiting.count {
            self.waiting = Some(waiting);
            return Ok(None);
        }
        let payload = binary::attach(&waiting.payload, &waiting.attachments)?;
        whole(waiting.head, &payload).map(Some)
    }

    /// Whether a packet lacks attachments.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

/// The type, for binary ones the number of attachments, and what follows.
fn read_type(text: &str) -> Result<(Kind, Option<usize>, &str), PacketError> {
    let mut letters = text.chars();
    let kind = match letters.next() {
        Some('0') => Kind::Connect,
        Some('1') => Kind::Disconnect,
        Some('2' | '5') => Kind::Event,
        Some('3' | '6') => Kind::Ack,
        Some('4') => return Err(PacketError::NotFromClients),
        Some(_) | None => return Err(PacketError::UnknownType),
    };
    let rest = letters.as_str();
    if !text.starts_with(['5', '6']) {
        return Ok((kind, None, rest));
    }
    let (digits, rest) = split_digits(rest);
    let count = digits.parse().ok().filter(|count| (1..=SOCKETIO_ATTACHMENTS_MAX).contains(count));
    let rest = rest.strip_prefix('-');
    count.zip(rest).map(|(count, rest)| (kind, Some(count), rest)).ok_or(PacketError::BadAttachments)
}

/// A namespace ends at the first comma, or is all there is.
fn read_namespace(text: &str) -> Result<(Namespace, &str), PacketError> {
    if !text.starts_with('/') {
        return Ok((Namespace::ROOT, text));
    }
    let (name, rest) = text.split_once(',').unwrap_or((text, ""));
    Namespace::parse(name).map(|namespace| (namespace, rest)).map_err(|_| PacketError::BadNamespace)
}

fn read_id(text: &str) -> Result<(Option<u64>, &str), PacketError> {
    match split_digits(text) {
        ("", rest) => Ok((None, rest)),
        (digits, rest) => digits.parse().map(|id| (Some(id), rest)).map_err(|_| PacketError::BadAckId),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The packet, its payload held against its type.
fn whole(head: Head, payload: &str) -> Result<Packet, PacketError> {
    let Head { kind, namespace, id } = head;
    match kind {
        Kind::Connect if payload.is_empty() => Ok(Packet::Connect { namespace, auth: None }),
        Kind::Connect => {
            let is_object = serde_json::from_str::<&serde_json::value::RawValue>(payload)
                .is_ok_and(|value| value.get().starts_with('{'));
            let auth = is_object.then(|| payload.to_owned()).ok_or(PacketError::BadPayload)?;
            Ok(Packet::Connect { namespace, auth: Some(auth) })
        }
        Kind::Disconnect if payload.is_empty() => Ok(Packet::Disconnect { namespace }),
        Kind::Disconnect => Err(PacketError::BadPayload),
        Kind::Event | Kind::Ack if payload.is_empty() => Ok(Packet::Empty { namespace }),
        Kind::Event => {
            let (name, args) = Args::parse_headed(payload).ok_or(PacketError::BadPayload)?;
            let name = event_name(name.get()).ok_or(PacketError::BadEventName)?;
            Ok(Packet::Event { namespace, ack: id, name, args })
        }
        Kind::Ack => {
            let args = Args::parse(payload).ok_or(PacketError::BadPayload)?;
            Ok(Packet::Ack { namespace, id, args })
        }
    }
}

/// Numbers are taken as names by their digits; text is taken unless the client library keeps it for itself.
fn event_name(json: &str) -> Option<String> {
    if json.starts_with('"') {
        let name: String = serde_json::from_str(json).ok()?;
        return (!LIBRARY_EVENTS.contains(&name.as_str())).then_some(name);
    }
    json.starts_with(|letter: char| letter == '-' || letter.is_ascii_digit()).then(|| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Packet, PacketError> {
        Decoder::default().text(text).map(|packet| packet.expect("whole"))
    }

    fn error(text: &str) -> PacketError {
        Decoder::default().text(text).expect_err(text)
    }

    fn namespace(name: &str) -> Namespace {
        Namespace::parse(name).expect("a namespace")
    }

    fn event(name: &str, ack: Option<u64>, event: &str, args: &str) -> Packet {
        let args = Args::parse(args).expect("an array");
        Packet::Event { namespace: namespace(name), ack, name: event.to_owned(), args }
    }

    #[test]
    fn every_type_is_read() {
        let connect = |name: &str, auth: Option<&str>| {
            Ok(Packet::Connect { namespace: namespace(name), auth: auth.map(str::to_owned) })
        };
        assert_eq!(decoded("0"), connect("/", None));
        assert_eq!(decoded("0/chat"), connect("/chat", None));
        assert_eq!(decoded("0/chat,"), connect("/chat", None));
        assert_eq!(decoded(r#"0/chat,{"token":"a,b"}"#), connect("/chat", Some(r#"{"token":"a,b"}"#)));
        assert_eq!(decoded("0{}"), connect("/", Some("{}")));
        assert_eq!(decoded("1"), Ok(Packet::Disconnect { namespace: Namespace::ROOT }));
        assert_eq!(decoded("1/chat,"), Ok(Packet::Disconnect { namespace: namespace("/chat") }));
        assert_eq!(decoded(r#"2["a"]"#), Ok(event("/", None, "a", "[]")));
        assert_eq!(
            decoded(r#"212["chat message",{"b":1},2]"#),
            Ok(event("/", Some(12), "chat message", r#"[{"b":1},2]"#))
        );
        assert_eq!(decoded(r#"2/chat,0["a",1]"#), Ok(event("/chat", Some(0), "a", "[1]")));
        assert_eq!(decoded("2[17.5]"), Ok(event("/", None, "17.5", "[]")));
        let args = Args::parse("[1]").expect("an array");
        assert_eq!(decoded("3/a,7[1]"), Ok(Packet::Ack { namespace: namespace("/a"), id: Some(7), args }));
    }

    #[test]
    fn an_absent_payload_means_nothing() {
        for text in ["2", "3", "27", "3/,5", "2/chat,"] {
            assert!(matches!(decoded(text), Ok(Packet::Empty { .. })), "{text}");
        }
        assert_eq!(decoded("15"), Ok(Packet::Disconnect { namespace: Namespace::ROOT }));
    }

    #[test]
    fn a_payload_fits_its_type() {
        for text in [
            "0[]",
            "0null",
            "0\"a\"",
            "0{",
            "0{}x",
            "1{}",
            "1[]",
            "2{}",
            "2[]",
            "2\"a\"",
            "2[\"a\"",
            "2x",
            "3{}",
            "3null",
            "2[\"a\"]]",
            "51-[]",
        ] {
            assert_eq!(error(text), PacketError::BadPayload, "{text}");
        }
        for text in ["2[null]", "2[true]", "2[{}]", "2[[\"a\"]]", "51-[{}]"] {
            assert_eq!(error(text), PacketError::BadEventName, "{text}");
        }
        for name in LIBRARY_EVENTS {
            assert_eq!(error(&format!("2[\"{name}\"]")), PacketError::BadEventName);
        }
        assert_eq!(error("2[\"\\u0063onnect\"]"), PacketError::BadEventName);
    }

    #[test]
    fn types_ids_and_namespaces_are_bounded() {
        for text in ["", "7", "9[]", "a", "ä"] {
            assert_eq!(error(text), PacketError::UnknownType, "{text}");
        }
        assert_eq!(error("4{\"message\":\"no\"}"), PacketError::NotFromClients);
        let most = u64::MAX;
        assert_eq!(decoded(&format!("2{most}[\"a\"]")), Ok(event("/", Some(most), "a", "[]")));
        assert_eq!(error("218446744073709551616[\"a\"]"), PacketError::BadAckId);
        assert_eq!(error("31111111111111111111111[\"a\"]"), PacketError::BadAckId);
        assert_eq!(error("0/a\u{1}b,"), PacketError::BadNamespace);
        assert_eq!(error(&format!("0/{}", "x".repeat(200))), PacketError::BadNamespace);
    }

    #[test]
    fn a_binary_packet_waits_for_its_attachments() {
        let mut decoder = Decoder::default();
        let text = r#"52-/chat,9["up",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
        assert_eq!(decoder.text(text), Ok(None));
        assert!(decoder.is_waiting());
        assert_eq!(decoder.binary(Bytes::from_static(b"\x01")), Ok(None));
        let whole = event("/chat", Some(9), "up", r#"[{"$bytes":"Ag=="},{"$bytes":"AQ=="}]"#);
        assert_eq!(decoder.binary(Bytes::from_static(b"\x02")), Ok(Some(whole)));
        assert!(!decoder.is_waiting());
        assert_eq!(decoder.binary(Bytes::new()), Err(PacketError::StrayAttachment));
        assert_eq!(decoder.text(r#"61-3[{"_placeholder":true,"num":0}]"#), Ok(None));
        let args = Args::parse(r#"[{"$bytes":""}]"#).expect("an array");
        let ack = Packet::Ack { namespace: Namespace::ROOT, id: Some(3), args };
        assert_eq!(decoder.binary(Bytes::new()), Ok(Some(ack)));
    }

    #[test]
    fn what_breaks_a_binary_packet() {
        for text in
            ["5[\"a\"]", "5-[\"a\"]", "50-[\"a\"]", "511-[\"a\"]", "51[\"a\"]", "5-1-[\"a\"]", "51.5-[\"a\"]", "5"]
        {
            assert_eq!(error(text), PacketError::BadAttachments, "{text}");
        }
        assert_eq!(error("51-"), PacketError::BadPayload);
        let mut decoder = Decoder::default();
        assert_eq!(decoder.text("51-[\"a\"]"), Ok(None));
        assert_eq!(decoder.text("2[\"b\"]"), Err(PacketError::TextAmongAttachments));
        let mut decoder = Decoder::default();
        assert_eq!(decoder.text(r#"51-["a",{"_placeholder":true,"num":1}]"#), Ok(None));
        assert_eq!(decoder.binary(Bytes::new()), Err(PacketError::BadPlaceholder));
        // In a plain event a placeholder is ordinary data.
        let plain = r#"[{"_placeholder":true,"num":1}]"#;
        assert_eq!(decoded(r#"2["a",{"_placeholder":true,"num":1}]"#), Ok(event("/", None, "a", plain)));
    }
}
