//! What truly happened: every message that was published, the log, every stay of a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use santral_core::entry::{Entry, Publication};
use santral_core::limits::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use santral_core::names::{ChannelName, EventName};
use santral_core::position::Offset;

use crate::plan::{Micros, Plan};
use crate::rng::Rng;

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stored,
    Volatile,
    /// For one socket.
    Direct,
}

/// One message; its event is `m`, or `v` for a volatile one, and its number.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) channel: ChannelName,
    /// What a client must find behind the name, placeholders included.
    pub(crate) args: Vec<Value>,
    pub(crate) attachments: Vec<Vec<u8>>,
    /// Of its data, in the log.
    pub(crate) bytes: usize,
    /// When each shard took it.
    pub(crate) taken: BTreeMap<usize, Micros>,
}

/// A channel that a socket follows, or did.
#[derive(Debug, Clone)]
pub(crate) struct Follow {
    pub(crate) channel: ChannelName,
    pub(crate) since: Offset,
    /// The head when it was left.
    pub(crate) until: Option<Offset>,
}

/// One socket of the server over all its connections.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) start: Offset,
    /// What its client must have before it is told that it came back.
    pub(crate) missed_to: Offset,
    pub(crate) missed_directs: usize,
    pub(crate) follows: Vec<Follow>,
    pub(crate) directs: Vec<u64>,
    pub(crate) attached: u32,
    pub(crate) ended: u32,
}

impl Stay {
    /// Whether a message of the log at this place must come.
    pub(crate) fn must_get(&self, fact: &Fact, offset: Offset) -> bool {
        let requires = |follow: &Follow| follow.until.is_none() && follow.since < offset;
        self.follows.iter().any(|follow| follow.channel == fact.channel && requires(follow))
    }

    /// Whether it may come.
    pub(crate) fn may_get(&self, fact: &Fact, offset: Offset) -> bool {
        let allows = |follow: &Follow| follow.since < offset && follow.until.is_none_or(|until| offset <= until);
        self.follows.iter().any(|follow| follow.channel == fact.channel && allows(follow))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) messages: Vec<Fact>,
    /// The log, trimmed entries included.
    pub(crate) log: BTreeMap<Offset, u64>,
    pub(crate) entries: BTreeMap<Offset, Arc<Entry>>,
    pub(crate) trimmed_to: Offset,
    /// By the id that the server gave.
    pub(crate) stays: BTreeMap<String, Stay>,
}

impl Facts {
    pub(crate) fn head(&self) -> Offset {
        self.log.last_key_value().map_or(0, |(&offset, _)| offset)
    }

    /// Whether so many direct messages were sent to a socket that its inbox may have lost some.
    pub(crate) fn may_overflow(&self, stay: &Stay) -> bool {
        let bytes_of = |uid: &u64| self.messages[usize::try_from(*uid).expect("an index")].bytes;
        stay.directs.len() > INBOX_MESSAGES_MAX || stay.directs.iter().map(bytes_of).sum::<usize>() > INBOX_BYTES_MAX
    }

    /// The message that an event's name stands for.
    pub(crate) fn find(&self, name: &str) -> Option<(u64, &Fact)> {
        let uid: u64 = name.get(1..)?.parse().ok()?;
        let fact = self.messages.get(usize::try_from(uid).ok()?)?;
        name.starts_with(letter_of(fact.kind)).then_some((uid, fact))
    }

    /// Messages of the log in `(after, upto]`.
    pub(crate) fn between(&self, after: Offset, upto: Offset) -> impl Iterator<Item = (Offset, &Fact)> {
        let range = self.log.range(after + 1..upto.max(after) + 1);
        range.map(|(&offset, &uid)| (offset, &self.messages[usize::try_from(uid).expect("an index")]))
    }

    /// Draws a message and notes it.
    pub(crate) fn draw(&mut self, kind: Kind, channel: ChannelName, plan: &Plan, rng: &mut Rng) -> (u64, Publication) {
        let uid = self.messages.len() as u64;
        let (data, spread, args, attachments) = draw_content(uid, plan, rng);
        let bytes = data.len();
        let event = EventName::foreign(&format!("{}{uid}", letter_of(kind))).expect("a valid name");
        let publication = Publication { event: Some(event), spread, ..Publication::new(channel.clone(), data) };
        self.messages.push(Fact { kind, channel, args, attachments, bytes, taken: BTreeMap::new() });
        (uid, publication)
    }
}

fn letter_of(kind: Kind) -> char {
    match kind {
        Kind::Stored | Kind::Direct => 'm',
        Kind::Volatile => 'v',
    }
}

/// The data, whether it is spread, and what clients must find.
fn draw_content(uid: u64, plan: &Plan, rng: &mut Rng) -> (String, bool, Vec<Value>, Vec<Vec<u8>>) {
    if rng.percent(plan.binary) {
        return draw_binary(uid, rng);
    }
    let pad = if rng.percent(plan.large) { rng.index(60_000) } else { rng.index(40) };
    let pad = "x".repeat(pad);
    let args = match rng.below(6) {
        0 => vec![],
        1 => vec![json!(uid), json!(pad)],
        2 => vec![json!(["a", uid]), Value::Null],
        3 => vec![json!(format!("00000001-{uid}"))],
        4 => vec![json!(pad)],
        _ => vec![json!({"uid": uid, "pad": pad})],
    };
    let spread = args.len() != 1;
    let data = if spread { json!(args).to_string() } else { args[0].to_string() };
    (data, spread, args, Vec::new())
}

fn draw_binary(uid: u64, rng: &mut Rng) -> (String, bool, Vec<Value>, Vec<Vec<u8>>) {
    let count = 1 + rng.index(3);
    let attachments: Vec<Vec<u8>> = (0..count)
        .map(|index| {
            let mut bytes = uid.to_be_bytes().to_vec();
            bytes.push(u8::try_from(index).expect("few"));
            bytes.resize(9 + rng.index(30), 7);
            bytes
        })
        .collect();
    let in_log: Vec<_> = attachments.iter().map(|bytes| json!({"$bytes": STANDARD.encode(bytes)})).collect();
    let on_wire: Vec<_> = (0..count).map(|num| json!({"_placeholder": true, "num": num})).collect();
    if rng.percent(50) {
        return (
            json!({"uid": uid, "bytes": in_log}).to_string(),
            false,
            vec![json!({"uid": uid, "bytes": on_wire})],
            attachments,
        );
    }
    let with_tail = |mut values: Vec<Value>| {
        values.push(json!("end"));
        values
    };
    (json!(with_tail(in_log)).to_string(), true, with_tail(on_wire), attachments)
}
