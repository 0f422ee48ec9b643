//! What truly happened: every message that was published, every log that there was.

use std::collections::BTreeMap;

use santral_core::entry::{Entry, Publication};
use santral_core::names::ConnectionId;
use santral_core::position::{Epoch, Offset};

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stored,
    Volatile,
    /// For the sessions of one chain of attaches.
    Direct,
}

/// One message; its index is the number in its data.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) publisher: usize,
    pub(crate) node: usize,
    pub(crate) publication: Publication,
}

/// One life of a resumable session on one node: its direct messages in order.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) directs: Vec<u64>,
    pub(crate) connections: Vec<ConnectionId>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) messages: Vec<Fact>,
    /// Every durable entry of every log, trimmed ones included.
    logs: BTreeMap<Epoch, BTreeMap<Offset, u64>>,
    /// Which offset a message has, by epoch.
    offsets: BTreeMap<u64, (Epoch, Offset)>,
    /// Everything that anyone was ever told about an offset (INV-1).
    claimed: BTreeMap<(Epoch, Offset), u64>,
    acknowledged: Vec<(Epoch, Offset, u64)>,
    pub(crate) chains: Vec<Chain>,
    /// Ends of connections: one each (INV-8).
    pub(crate) ends: BTreeMap<ConnectionId, u32>,
}

impl Facts {
    /// Notes a message and returns its number.
    pub(crate) fn publish(&mut self, fact: Fact) -> u64 {
        self.messages.push(fact);
        self.messages.len() as u64 - 1
    }

    /// The message with a number.
    pub(crate) fn message(&self, uid: u64) -> Option<&Fact> {
        self.messages.get(usize::try_from(uid).ok()?)
    }

    /// An entry became durable.
    pub(crate) fn committed(&mut self, entry: &Entry, uid: u64) -> Result<(), String> {
        let position = entry.position().expect("entries of the log have positions");
        let log = self.logs.entry(position.epoch).or_default();
        if log.last_key_value().is_some_and(|(&last, _)| last >= position.offset) {
            return Err(format!("INV-1: {position} was committed behind a later offset"));
        }
        log.insert(position.offset, uid);
        if let Some(earlier) = self.offsets.insert(uid, (position.epoch, position.offset)) {
            return Err(format!("message {uid} is stored twice: as {earlier:?} and as {position}"));
        }
        self.claim(position.epoch, position.offset, uid)
    }

    /// Somebody was told that the message has this place.
    pub(crate) fn claim(&mut self, epoch: Epoch, offset: Offset, uid: u64) -> Result<(), String> {
        match self.claimed.insert((epoch, offset), uid) {
            Some(earlier) if earlier != uid => {
                Err(format!("INV-1: {epoch}-{offset} was message {earlier} and is message {uid} now"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A publisher was told that its message is stored.
    pub(crate) fn acknowledge(&mut self, epoch: Epoch, offset: Offset, uid: u64) -> Result<(), String> {
        self.acknowledged.push((epoch, offset, uid));
        self.claim(epoch, offset, uid)
    }

    /// INV-4: everything that was acknowledged is in the log.
    pub(crate) fn check_acknowledged(&self) -> Result<(), String> {
        for &(epoch, offset, uid) in &self.acknowledged {
            let stored = self.logs.get(&epoch).and_then(|log| log.get(&offset));
            if stored != Some(&uid) {
                return Err(format!(
                    "INV-4: message {uid} was acknowledged as {epoch}-{offset}, where the log has {stored:?}"
                ));
            }
        }
        Ok(())
    }

    /// Where a stored message stands.
    pub(crate) fn place(&self, uid: u64) -> Option<(Epoch, Offset)> {
        self.offsets.get(&uid).copied()
    }

    /// Durable entries of a log with `after < offset <= upto`.
    pub(crate) fn between(
        &self,
        epoch: Epoch,
        after: Offset,
        upto: Offset,
    ) -> impl Iterator<Item = (Offset, &Fact)> + '_ {
        let log = self.logs.get(&epoch);
        let range = log.into_iter().flat_map(move |log| log.range(after + 1..upto.max(after) + 1));
        range.filter_map(|(&offset, &uid)| Some((offset, self.message(uid)?)))
    }

    /// A connection is over.
    pub(crate) fn connection_ended(&mut self, connection: ConnectionId) -> Result<(), String> {
        let ends = self.ends.entry(connection).or_default();
        *ends += 1;
        if *ends > 1 {
            return Err(format!("INV-8: connection {connection:?} ended {ends} times"));
        }
        Ok(())
    }
}
