//! What `@socket.io/redis-emitter` publishes: a channel of Redis and a payload, of one message each.
//!
//! `<key>#<namespace>#` or `<key>#<namespace>#<room>#` carries an event in MessagePack,
//! `<key>-request#<namespace>#` a request in JSON. The key is `socket.io` unless the emitter was told
//! otherwise; whatever it is, it is passed over.

use serde::Deserialize;
use serde_json::value::RawValue;

use santral_core::namespace::Namespace;

use super::msgpack;
use super::{Order, Whom, Wish};
use crate::service::Refusal;

/// Reads one message.
///
/// # Errors
/// [`Refusal::Field`], [`Refusal::Namespace`].
pub fn read(channel: &str, payload: &[u8]) -> Result<Order, Refusal> {
    let mut parts = channel.splitn(3, '#');
    let (Some(key), Some(namespace), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::Field("`channel` is none of a Socket.IO emitter, like socket.io#/#"));
    };
    let namespace = Namespace::parse(namespace).map_err(|error| Refusal::Namespace(namespace.to_owned(), error))?;
    let (whom, wish) = if key.ends_with("-request") { read_request(payload)? } else { read_event(payload)? };
    Ok(Order { namespace, whom, wish })
}

/// `[uid, packet, options]`.
#[derive(Deserialize)]
struct Broadcast(serde::de::IgnoredAny, Packet, Options);

#[derive(Deserialize)]
pub(super) struct Packet {
    pub(super) data: Vec<Box<RawValue>>,
}

/// Whom an event is for, and how it is sent.
#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(flatten)]
    pub(super) whom: Whom,
    #[serde(default)]
    pub(super) flags: Flags,
}

/// The others are about transports.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Flags {
    pub(super) volatile: bool,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    opts: Whom,
    #[serde(default)]
    rooms: Vec<String>,
}

fn read_event(payload: &[u8]) -> Result<(Whom, Wish), Refusal> {
    let none = || Refusal::Field("the body is no event of a Socket.IO emitter in MessagePack");
    let json = msgpack::to_json(payload).map_err(|_| none())?;
    let Broadcast(_, packet, options) = serde_json::from_str(&json).map_err(|_| none())?;
    Ok((options.whom, Wish::Emit { data: packet.data, volatile: options.flags.volatile }))
}

fn read_request(payload: &[u8]) -> Result<(Whom, Wish), Refusal> {
    let none = || Refusal::Field("the body is no request of a Socket.IO emitter in JSON");
    // Serde alone would take an array of the fields' values as well.
    if !payload.trim_ascii_start().starts_with(b"{") {
        return Err(none());
    }
    let request: Request = serde_json::from_slice(payload).map_err(|_| none())?;
    let wish = match request.kind {
        2 => Wish::Join(request.rooms),
        3 => Wish::Leave(request.rooms),
        4 => Wish::Disconnect,
        6 => Wish::ServerSide,
        _ => return Err(none()),
    };
    Ok((request.opts, wish))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `["emitter", {type: 2, data: ["greeting", 1], nsp: "/"}, {rooms: ["a"], flags: {volatile: true}, except: []}]`
    const EVENT: &[u8] = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa8greeting\x01\xa3nsp\xa1/\
        \x83\xa5rooms\x91\xa1a\xa5flags\x81\xa8volatile\xc3\xa6except\x90";

    #[test]
    fn an_event_says_where_it_goes() {
        for (channel, namespace) in [("socket.io#/#", "/"), ("socket.io#/chat#a#", "/chat"), ("other#/#a#b#", "/")] {
            let order = read(channel, EVENT).expect("an event");
            assert_eq!(order.namespace.as_str(), namespace);
            assert_eq!(order.whom, Whom { rooms: vec!["a".to_owned()], except: Vec::new() });
            let Wish::Emit { data, volatile: true } = order.wish else { panic!("an event") };
            assert_eq!(data.iter().map(|item| item.get()).collect::<Vec<_>>(), [r#""greeting""#, "1"]);
        }
    }

    #[test]
    fn requests_are_told_apart_by_their_number() {
        let wish = |json: &str| read("socket.io-request#/#", json.as_bytes()).map(|order| format!("{:?}", order.wish));
        let join = r#"{"type":2,"opts":{"rooms":["a"],"except":[]},"rooms":["b"]}"#;
        assert_eq!(wish(join).ok().as_deref(), Some(r#"Join(["b"])"#));
        assert_eq!(
            wish(r#"{"type":4,"opts":{"rooms":[],"except":[]},"close":true}"#).ok().as_deref(),
            Some("Disconnect")
        );
        assert_eq!(wish(r#"{"uid":"emitter","type":6,"data":["x"]}"#).ok().as_deref(), Some("ServerSide"));
        for bad in [r#"{"type":0}"#, r#"{"type":5}"#, r#"{"type":"2"}"#, "[]", "[2]", "", "\u{93}"] {
            assert!(wish(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_of_no_emitter_is_refused() {
        for channel in ["", "socket.io", "socket.io#/", "socket.io#chat#", "socket.io##", "socket.io#/a b#"] {
            assert!(read(channel, EVENT).is_err(), "{channel}");
        }
        for payload in [&b""[..], b"{}", b"\x90", &EVENT[..EVENT.len() - 1], b"\x93\x01\x02\x03"] {
            assert!(read("socket.io#/#", payload).is_err(), "{payload:x?}");
        }
    }
}
