//! Reads what the server sends, by rules of its own: nothing of the engine's parsers is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// One packet of Socket.IO, its attachments with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packet {
    /// 0 to 4: CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR.
    pub(crate) kind: u8,
    pub(crate) namespace: String,
    pub(crate) id: Option<u64>,
    pub(crate) payload: Value,
    pub(crate) attachments: Vec<Vec<u8>>,
}

/// What a message of Engine.IO was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arrived {
    Open,
    Close,
    Ping,
    Noop,
    /// Attachments follow.
    Part,
    Packet(Packet),
}

/// A binary packet whose attachments are not there yet.
#[derive(Debug)]
struct Group {
    packet: Packet,
    missing: usize,
}

/// See the module. One for each connection.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    group: Option<Group>,
}

type Read<T> = Result<T, String>;

impl Reader {
    /// A packet of a polling body.
    pub(crate) fn polled(&mut self, text: &str) -> Read<Arrived> {
        match text.strip_prefix('b') {
            Some(base64) => {
                let bytes = STANDARD.decode(base64).map_err(|_| format!("no base64: {base64:.40}"))?;
                self.binary(bytes)
            }
            None => self.text(text),
        }
    }

    /// A text message, or a text packet.
    pub(crate) fn text(&mut self, text: &str) -> Read<Arrived> {
        if self.group.is_some() {
            return Err(format!("{text:.60} came between an event and its attachments"));
        }
        let (kind, rest) = split_first(text)?;
        match kind {
            b'0' => Ok(Arrived::Open),
            b'1' if rest.is_empty() => Ok(Arrived::Close),
            b'2' if rest.is_empty() => Ok(Arrived::Ping),
            b'6' if rest.is_empty() => Ok(Arrived::Noop),
            b'4' => self.message(rest),
            _ => Err(format!("no packet that a server sends: {text:.60}")),
        }
    }

    /// A binary message.
    pub(crate) fn binary(&mut self, bytes: Vec<u8>) -> Read<Arrived> {
        let mut group = self.group.take().ok_or("bytes that no event announced")?;
        group.packet.attachments.push(bytes);
        group.missing -= 1;
        if group.missing > 0 {
            self.group = Some(group);
            return Ok(Arrived::Part);
        }
        Ok(Arrived::Packet(group.packet))
    }

    fn message(&mut self, text: &str) -> Read<Arrived> {
        let (kind, mut rest) = split_first(text)?;
        let mut missing = 0;
        if matches!(kind, b'5' | b'6') {
            let (count, behind) = rest.split_once('-').ok_or_else(|| format!("no dash: {text:.60}"))?;
            missing = count.parse().map_err(|_| format!("no count: {text:.60}"))?;
            rest = behind;
            if !(1..=10).contains(&missing) {
                return Err(format!("{missing} attachments"));
            }
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').ok_or_else(|| format!("no comma: {text:.60}"))?;
        }
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (id, json) = rest.split_at(digits);
        let id = if id.is_empty() { None } else { Some(id.parse().map_err(|_| "an id too long")?) };
        let payload = match json {
            "" => Value::Null,
            json => serde_json::from_str(json).map_err(|error| format!("{error} in {json:.60}"))?,
        };
        let kind = if missing > 0 { kind - 3 } else { kind } - b'0';
        let is_sound = match kind {
            0 | 4 => payload.is_object() && id.is_none(),
            1 => payload.is_null() && id.is_none(),
            2 => payload.as_array().and_then(|array| array.first()).is_some_and(Value::is_string),
            3 => payload.is_array() && id.is_some(),
            _ => false,
        };
        if !is_sound {
            return Err(format!("a packet that breaks the grammar: {text:.80}"));
        }
        let packet = Packet { kind, namespace: namespace.to_owned(), id, payload, attachments: Vec::new() };
        if missing > 0 {
            self.group = Some(Group { packet, missing });
            return Ok(Arrived::Part);
        }
        Ok(Arrived::Packet(packet))
    }

    /// Whether attachments are missing.
    pub(crate) fn is_waiting(&self) -> bool {
        self.group.is_some()
    }
}

fn split_first(text: &str) -> Read<(u8, &str)> {
    let first = *text.as_bytes().first().ok_or("an empty packet")?;
    if !first.is_ascii() {
        return Err(format!("no packet: {text:.60}"));
    }
    Ok((first, &text[1..]))
}
