//! What `@socket.io/postgres-emitter` tells PostgreSQL to notify: a channel `<prefix>#<namespace>` and a
//! document in JSON. One that is too long for a notification, or holds bytes, is a row in a table
//! instead, in MessagePack, and the notification names the row.

use serde::Deserialize;
use serde_json::value::RawValue;

use santral_core::namespace::Namespace;

use super::msgpack;
use super::redis::{Options, Packet};
use super::{Order, Whom, Wish};

/// What a notification says.
#[derive(Debug)]
pub enum Notice {
    /// Something to do.
    Order(Box<Order>),
    /// The document is in this row.
    Attachment(i64),
    /// Something between servers of Socket.IO, or of their adapters.
    Other,
}

/// The document is none of an emitter.
#[derive(Debug, thiserror::Error)]
#[error("no document of a Socket.IO emitter: {0}")]
pub struct NoDocument(String);

impl NoDocument {
    /// The row is not there, or cannot be read.
    #[must_use]
    pub fn gone(id: i64) -> Self {
        Self(format!("row {id} of socket_io_attachments is gone"))
    }
}

#[derive(Deserialize)]
struct Document<'text> {
    /// `emitter`; adapters have names of their own.
    #[serde(default)]
    uid: String,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(borrow, default)]
    data: Option<&'text RawValue>,
    #[serde(rename = "attachmentId", default)]
    attachment: Option<Number>,
}

/// A number, which drivers give as text where it may be beyond JavaScript's.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
struct Event {
    packet: Packet,
    opts: Options,
}

#[derive(Deserialize)]
struct Request {
    opts: Whom,
    #[serde(default)]
    rooms: Vec<String>,
}

/// Reads a notification of the namespace.
///
/// # Errors
/// [`NoDocument`].
pub fn read(namespace: &Namespace, json: &str) -> Result<Notice, NoDocument> {
    let document: Document<'_> = parse(json)?;
    match &document.attachment {
        Some(Number::Number(id)) => Ok(Notice::Attachment(*id)),
        Some(Number::Text(id)) => id.parse().map(Notice::Attachment).map_err(|_| NoDocument(format!("row {id:?}"))),
        None => order(namespace, &document),
    }
}

/// Reads the document in a row.
///
/// # Errors
/// [`NoDocument`].
pub fn read_attachment(namespace: &Namespace, payload: &[u8]) -> Result<Notice, NoDocument> {
    let json = msgpack::to_json(payload).map_err(|error| NoDocument(error.to_string()))?;
    order(namespace, &parse(&json)?)
}

fn order(namespace: &Namespace, document: &Document<'_>) -> Result<Notice, NoDocument> {
    let data = document.data.map_or("null", RawValue::get);
    let (whom, wish) = match (document.uid.as_str(), document.kind) {
        ("emitter", 3) => {
            let Event { packet, opts } = parse(data)?;
            (opts.whom, Wish::Emit { data: packet.data, volatile: opts.flags.volatile })
        }
        ("emitter", 4) => request(data, Wish::Join)?,
        ("emitter", 5) => request(data, Wish::Leave)?,
        ("emitter", 6) => request(data, |_| Wish::Disconnect)?,
        ("emitter", 9) => (Whom::default(), Wish::ServerSide),
        // An adapter's: its server has told its own clients, and those of others are not ours.
        (_, _) => return Ok(Notice::Other),
    };
    Ok(Notice::Order(Box::new(Order { namespace: namespace.clone(), whom, wish })))
}

fn request(data: &str, wish: impl Fn(Vec<String>) -> Wish) -> Result<(Whom, Wish), NoDocument> {
    let Request { opts, rooms } = parse(data)?;
    Ok((opts, wish(rooms)))
}

fn parse<'text, T: Deserialize<'text>>(json: &'text str) -> Result<T, NoDocument> {
    serde_json::from_str(json).map_err(|error| NoDocument(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(json: &str) -> Result<String, NoDocument> {
        read(&Namespace::main(), json).map(|notice| match notice {
            Notice::Order(order) => format!("{:?} {:?}", order.whom.rooms, order.wish),
            Notice::Attachment(id) => format!("row {id}"),
            Notice::Other => "other".to_owned(),
        })
    }

    #[test]
    fn documents_are_told_apart_by_their_number() {
        let opts = r#""opts":{"rooms":["a"],"flags":{},"except":[]}"#;
        let emitted =
            format!(r#"{{"uid":"emitter","type":3,"data":{{"packet":{{"type":2,"data":["e"],"nsp":"/"}},{opts}}}}}"#);
        assert!(notice(&emitted).is_ok_and(|text| text.starts_with(r#"["a"] Emit"#)));
        let of_adapter = emitted.replace("emitter", "3f2a");
        for (json, expected) in [
            (of_adapter.as_str(), "other"),
            (
                r#"{"uid":"emitter","type":4,"data":{"opts":{"rooms":["a"],"except":[]},"rooms":["b"]}}"#,
                r#"["a"] Join(["b"])"#,
            ),
            (
                r#"{"uid":"emitter","type":5,"data":{"opts":{"rooms":[],"except":[]},"rooms":["b"]}}"#,
                r#"[] Leave(["b"])"#,
            ),
            (r#"{"uid":"emitter","type":6,"data":{"opts":{"rooms":[],"except":[]},"close":true}}"#, "[] Disconnect"),
            (r#"{"uid":"emitter","type":9,"data":{"packet":["x"]}}"#, "[] ServerSide"),
            (r#"{"uid":"emitter","type":3,"attachmentId":"17"}"#, "row 17"),
            (r#"{"uid":"emitter","type":3,"attachmentId":17}"#, "row 17"),
            (r#"{"type":2,"uid":"other"}"#, "other"),
        ] {
            assert_eq!(notice(json).ok().as_deref(), Some(expected), "{json}");
        }
        for bad in ["", "{}", "[]", r#"{"uid":"emitter","type":3}"#, r#"{"uid":"emitter","type":3,"attachmentId":"x"}"#]
        {
            assert!(notice(bad).is_err(), "{bad}");
        }
    }
}
