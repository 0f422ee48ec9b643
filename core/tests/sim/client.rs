//! A client as a browser would be: parses the stream, remembers the last id, comes back with it.
//!
//! What it checks of its own stream is in `oracle`; this file holds its state and its claims.

use std::collections::{BTreeMap, BTreeSet};

use santral_core::format::Format;
use santral_core::names::{ChannelName, ConnectionId, Selector, SessionToken};
use santral_core::position::{Epoch, Offset, Position, ResumeFrom};
use santral_testkit::sse::{Event, Item, Parser};
use serde_json::value::RawValue;

use crate::facts::Facts;
use crate::rng::Rng;

/// One thing that a client follows, and for which part of the log.
#[derive(Debug, Clone)]
pub(crate) struct Interval {
    pub(crate) selector: Selector,
    /// May come: entries behind this one …
    pub(crate) allowed_from: Offset,
    /// … and up to this one.
    pub(crate) allowed_to: Offset,
    /// Must come while the interval is active: entries behind this one.
    pub(crate) required_from: Offset,
    pub(crate) active: bool,
    /// Volatile messages from this number on were published after the beginning …
    pub(crate) opened_uid: u64,
    /// … and from this one on after the end.
    pub(crate) closed_uid: u64,
}

impl Interval {
    pub(crate) fn whole(selector: Selector) -> Self {
        Self::since(selector, 0, 0, 0)
    }

    pub(crate) fn since(selector: Selector, allowed_from: Offset, required_from: Offset, opened_uid: u64) -> Self {
        let (allowed_to, closed_uid) = (Offset::MAX, u64::MAX);
        Self { selector, allowed_from, allowed_to, required_from, active: true, opened_uid, closed_uid }
    }

    /// Whether an entry at this place may come because of it.
    pub(crate) fn allows(&self, channel: &ChannelName, offset: Offset) -> bool {
        self.allowed_from < offset && offset <= self.allowed_to && self.selector.matches(channel)
    }

    /// Whether an entry at this place must come because of it.
    pub(crate) fn requires(&self, channel: &ChannelName, offset: Offset) -> bool {
        self.active && self.required_from < offset && self.selector.matches(channel)
    }
}

/// One attach as its client lives it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) shard: usize,
    pub(crate) epoch: Epoch,
    pub(crate) chain: usize,
    pub(crate) connection: ConnectionId,
    /// Connections whose `except` must hold.
    pub(crate) excepted: Vec<ConnectionId>,
    pub(crate) claim: Option<ResumeFrom>,
    /// The node knew of no entry as late as the claim.
    pub(crate) ahead: bool,
    /// The id that `hello` must carry.
    pub(crate) hello_id: Option<Position>,
    pub(crate) hello_seen: bool,
    pub(crate) bye_seen: bool,
    /// Everything up to here was received or told to be missing; `None` before the first word on it.
    pub(crate) complete_to: Option<Offset>,
    /// The last position on this stream.
    pub(crate) last: Option<Position>,
    pub(crate) follows: Vec<Interval>,
    pub(crate) presence_due: Vec<String>,
    pub(crate) presence_excused: Vec<String>,
    pub(crate) volatile_last: BTreeMap<usize, u64>,
    pub(crate) volatile_seen: BTreeSet<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: usize,
    pub(crate) resumable: bool,
    pub(crate) token: SessionToken,
    pub(crate) format: Format,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) presence: bool,
    pub(crate) link: Option<usize>,
    pub(crate) parser: Parser,
    /// The begin of a line, for who takes lines of JSON.
    line: Vec<u8>,
    /// What the next attach will send as `Last-Event-ID`.
    pub(crate) last_id: String,
    /// What the attach before this one sent, for a planted fault.
    pub(crate) earlier_id: String,
    pub(crate) view: Option<View>,
    pub(crate) connections: Vec<ConnectionId>,
    /// Where it stands among the direct messages of its chain.
    pub(crate) chain: Option<usize>,
    /// The chain that each life of each node keeps for it.
    pub(crate) chains: BTreeMap<(usize, u64), usize>,
    pub(crate) next_direct: usize,
    /// Direct messages before this one may be missing: a gap said so.
    pub(crate) excused_to: usize,
    /// It may get direct messages again: it went back, or never said where it stood.
    pub(crate) repeats: bool,
    /// Direct messages were lost with an earlier session, and it has not been told yet.
    pub(crate) owed_inbox_gap: bool,
    /// Ids that it has seen, with its place among the direct messages: something to lie with.
    pub(crate) seen: Vec<(String, usize, Option<usize>)>,
    /// Its attempts to connect; stale timers are told apart by it.
    pub(crate) attempt: u64,
}

impl Client {
    pub(crate) fn new(name: usize, rng: &mut Rng, selectors: Vec<Selector>, presence: bool) -> Self {
        Self {
            name,
            resumable: rng.percent(60),
            token: draw_token(rng),
            format: rng.pick(&[Format::Raw, Format::Raw, Format::Envelope, Format::Json]),
            selectors,
            presence,
            link: None,
            parser: Parser::new(),
            line: Vec::new(),
            last_id: String::new(),
            earlier_id: String::new(),
            view: None,
            connections: Vec::new(),
            chain: None,
            chains: BTreeMap::new(),
            next_direct: 0,
            excused_to: 0,
            repeats: false,
            owed_inbox_gap: false,
            seen: Vec::new(),
            attempt: 0,
        }
    }

    /// The `Last-Event-ID` of the next attach; now and then a lie.
    pub(crate) fn choose_claim(&mut self, rng: &mut Rng, lies: u64) -> Option<String> {
        if rng.percent(lies) {
            return self.lie(rng);
        }
        if self.last_id.is_empty() {
            let earliest = rng.percent(30);
            return earliest.then(|| "earliest".to_owned());
        }
        Some(self.last_id.clone())
    }

    fn lie(&mut self, rng: &mut Rng) -> Option<String> {
        let epoch = self.last_id.split('-').next().unwrap_or("00000001").to_owned();
        let claim = match rng.below(7) {
            0 => "7".to_owned(),
            1 => format!("{epoch}-{}", rng.pick(&[500_000, 9_007_199_254_740_991_u64])),
            2 => format!("deadbeef-{}", rng.below(20)),
            3 => "earliest".to_owned(),
            4 => format!("{}.{}", self.last_id.split('.').next().unwrap_or_default(), u32::MAX),
            5 => return self.forget(),
            _ => {
                let (id, next_direct, chain) = self.seen.get(rng.index(self.seen.len()))?.clone();
                if chain == self.chain {
                    self.next_direct = self.next_direct.min(next_direct);
                } else {
                    // Whoever claims a place of an earlier session says that it knows of the loss in between.
                    self.owed_inbox_gap = false;
                }
                self.repeats = true;
                id
            }
        };
        self.repeats = true;
        self.last_id.clone_from(&claim);
        Some(claim)
    }

    fn forget(&mut self) -> Option<String> {
        self.repeats = true;
        self.last_id.clear();
        None
    }

    /// A new connection begins: the parser is new, the last id stays.
    pub(crate) fn begin(&mut self, claim: Option<&str>, view: View) {
        self.parser = claim.map_or_else(Parser::new, Parser::resuming);
        self.line.clear();
        self.earlier_id = std::mem::replace(&mut self.last_id, claim.unwrap_or_default().to_owned());
        self.connections.push(view.connection);
        self.view = Some(view);
    }

    /// Takes bytes from the network and checks what they mean.
    pub(crate) fn receive(&mut self, bytes: &[u8], facts: &Facts, trimmed_to: Offset) -> Result<(), String> {
        let items = match self.format {
            Format::Raw | Format::Envelope => self.parser.feed(bytes),
            Format::Json => self.feed_lines(bytes)?,
            Format::SocketIo | Format::SocketIoPlaced => return Err("no client of the simulator takes it".to_owned()),
        };
        for item in items {
            let what = format!("{item:?}");
            match item {
                Item::Event(event) => self.check_event(&event, facts, trimmed_to),
                Item::Comment(_) => Ok(()),
                Item::Empty { .. } => Err("a frame without data".to_owned()),
            }
            .map_err(|error| format!("client {}: {error}\n  at {what}\n  with {:?}", self.name, self.view))?;
        }
        Ok(())
    }
}

impl Client {
    /// The lines of JSON that are whole, as the events that they stand for.
    fn feed_lines(&mut self, bytes: &[u8]) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        let mut last_event_id = self.last_id.clone();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|error| error.to_string())?;
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            let text = |name: &str| fields.get(name).map(|value| value.get().trim_matches('"').to_owned());
            let event_type = text("event").ok_or("a line without an event")?;
            last_event_id = text("id").unwrap_or(last_event_id);
            // A message's whole line is its envelope.
            let data = if fields.contains_key("channel") { None } else { fields.get("data") };
            let data = data.map_or(line.clone(), |data| data.get().to_owned());
            items.push(Item::Event(Event { event_type, data, last_event_id: last_event_id.clone(), retry: None }));
        }
        Ok(items)
    }
}

/// A session token that nobody guesses.
pub(crate) fn draw_token(rng: &mut Rng) -> SessionToken {
    SessionToken::parse(&rng.token(24)).expect("a token of the right length and alphabet")
}
