//! One subscriber over all its connections, held against the log as its journal is read.

use std::cmp::Ordering;

use crate::checker::publications::Publications;
use crate::checker::stored_log::{Entry, Place, StoredLog};
use crate::checker::{Report, Rule};
use crate::journal::Record;

/// Up to where a subscriber has everything it should have.
#[derive(Debug, Clone, Copy)]
enum Covered {
    /// Nothing has told yet where it begins.
    Unknown,
    /// It asked for everything.
    Start,
    /// Up to and with this position.
    To(Place),
}

/// State of constant size, but for one flag per channel of the log.
#[derive(Debug)]
pub(super) struct Subscriber {
    name: String,
    is_attached: bool,
    has_asked: bool,
    follows: Vec<bool>,
    covered: Covered,
    /// Entries of the log it is done with; the next it must receive is at or behind this index.
    done: usize,
}

/// An event as its journal has it.
struct Received<'a> {
    id: &'a str,
    channel: Option<&'a str>,
    key: Option<&'a str>,
    hash: &'a str,
}

impl Subscriber {
    /// One of whom nothing is known.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            is_attached: false,
            has_asked: false,
            follows: Vec::new(),
            covered: Covered::Unknown,
            done: 0,
        }
    }

    /// Its name in the journals.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes the next record of this client.
    pub(super) fn read(
        &mut self,
        record: &Record,
        log: &mut StoredLog,
        publications: &Publications,
        report: &mut Report,
    ) {
        let is_attach = matches!(record, Record::Attach { .. });
        if !is_attach && !self.is_attached {
            let message = format!("{}: {record:?} outside of a connection", self.name);
            report.violate(Rule::Malformed, message);
        }
        match record {
            Record::Attach { last_event_id, channels, .. } => {
                report.attaches += 1;
                self.attach(last_event_id.as_deref(), channels, log);
            }
            Record::Hello { id, .. } => self.hello(id.as_deref(), log),
            Record::Event { id, channel, key, hash, .. } => {
                report.events += 1;
                let received = Received {
                    id: id.as_deref().unwrap_or_default(),
                    channel: channel.as_deref(),
                    key: key.as_deref(),
                    hash,
                };
                if !self.is_volatile(&received, log, publications, report) {
                    self.event(&received, log, report);
                }
            }
            Record::Gap { requested, resumed_from, .. } => {
                report.gaps += 1;
                self.gap(requested.as_deref(), resumed_from.as_deref(), log, report);
            }
            Record::Detach { .. } => self.is_attached = false,
            Record::Publish { .. }
            | Record::Ack { .. }
            | Record::Refused { .. }
            | Record::Unknown { .. }
            | Record::Stored { .. } => {}
        }
    }

    /// The run is complete: nothing of the log may be left.
    pub(super) fn finish(&self, log: &StoredLog, report: &mut Report) {
        if let Some((first, count)) = self.missing(log.entries().len(), log) {
            let (name, id) = (&self.name, &first.id);
            let message = format!("{name} never received the last {count} entries, from {id} on");
            report.violate(Rule::NotAtEnd, message);
        }
    }

    fn attach(&mut self, asked: Option<&str>, channels: &[String], log: &mut StoredLog) {
        self.is_attached = true;
        self.has_asked = asked.is_some();
        self.follows = log.filter(channels);
        // What it had before counts more than what it asks for: a client that was told to
        // remember too late a position asks for it in good faith and misses what lies between.
        if matches!(self.covered, Covered::Unknown) {
            match asked {
                Some("earliest") => self.covered = Covered::Start,
                Some(id) => self.cover(log.place(id), log),
                None => {}
            }
        }
    }

    fn hello(&mut self, id: Option<&str>, log: &mut StoredLog) {
        if matches!(self.covered, Covered::Unknown) && !self.has_asked {
            self.cover(id.and_then(|id| log.place(id)), log);
        }
    }

    fn gap(&mut self, requested: Option<&str>, resumed_from: Option<&str>, log: &mut StoredLog, report: &mut Report) {
        let requested = requested.and_then(|id| log.place(id));
        if let (Covered::To(covered), Some(requested)) = (self.covered, requested)
            && log.compare(covered, requested) == Some(Ordering::Less)
        {
            self.check_hole(log.count_to(requested).unwrap_or(0), "a gap", log, report);
            self.cover(Some(requested), log);
        }
        let resumed_from = resumed_from.and_then(|id| log.place(id));
        match (self.covered, resumed_from) {
            (Covered::To(covered), Some(from)) => {
                if log.compare(covered, from) != Some(Ordering::Greater) {
                    self.cover(Some(from), log);
                }
            }
            // What is left follows: everything, unless it has a place in this log already.
            (Covered::To(covered), None) => {
                if log.count_to(covered).is_none() {
                    (self.covered, self.done) = (Covered::Start, 0);
                }
            }
            (Covered::Unknown | Covered::Start, Some(from)) => self.cover(Some(from), log),
            (Covered::Unknown | Covered::Start, None) => self.covered = Covered::Start,
        }
    }

    /// Volatile messages have no place in the log, so only their content can be judged.
    fn is_volatile(
        &self,
        received: &Received<'_>,
        log: &StoredLog,
        publications: &Publications,
        report: &mut Report,
    ) -> bool {
        let Some(key) = received.key else {
            return false;
        };
        let Some(publication) = publications.of_key(key) else {
            return false;
        };
        let is_volatile = publication.is_volatile && log.of_key(key).is_none();
        if is_volatile && !publication.has_content(received.hash) {
            let message = format!("{}: volatile key {key} has other content", self.name);
            report.violate(Rule::EventMismatch, message);
        }
        is_volatile
    }

    fn event(&mut self, received: &Received<'_>, log: &mut StoredLog, report: &mut Report) {
        let (name, id) = (self.name.clone(), received.id);
        if id.is_empty() {
            let message = format!("{name}: key {:?} came without an id", received.key);
            return report.violate(Rule::EventNotStored, message);
        }
        let Some(place) = log.place(id) else {
            let message = format!("{name}: event id {id:?} is no position");
            return report.violate(Rule::Malformed, message);
        };
        match log.at(place) {
            Some(entry) => self.compare_content(received, entry, log, report),
            // A direct message: not in the log, yet in its order.
            None if place.sub > 0 => {}
            None => {
                let message = format!("{name} received {id}, key {:?}, not stored", received.key);
                report.violate(Rule::EventNotStored, message);
            }
        }
        let order = match self.covered {
            Covered::To(covered) => log.compare(covered, place),
            Covered::Start | Covered::Unknown => Some(Ordering::Less),
        };
        match order {
            Some(Ordering::Less) => {
                if !matches!(self.covered, Covered::Unknown) {
                    self.check_hole(self.count_before(place, log), id, log, report);
                }
                self.cover(Some(place), log);
            }
            Some(Ordering::Equal) => {
                let message = format!("{name} received {id} again");
                report.violate(Rule::EventDuplicate, message);
            }
            Some(Ordering::Greater) => {
                let message = format!("{name} received {id} after {:?}", self.last_done(log));
                report.violate(Rule::EventOrder, message);
            }
            None => {
                let message = format!("{name} came to {id} from another epoch without a gap");
                report.violate(Rule::EpochSwitch, message);
                self.cover(Some(place), log);
            }
        }
    }

    fn compare_content(&self, received: &Received<'_>, entry: &Entry, log: &StoredLog, report: &mut Report) {
        let (name, id) = (&self.name, &entry.id);
        let channel = log.channel(entry.channel);
        let is_same = received.key == entry.key.as_deref()
            && received.hash == &*entry.hash
            && received.channel.is_none_or(|received| received == channel);
        if !is_same {
            let message = format!(
                "{name} received at {id}: channel {:?}, key {:?}, {}; stored: channel {channel:?}, key {:?}, {}",
                received.channel, received.key, received.hash, entry.key, entry.hash
            );
            report.violate(Rule::EventMismatch, message);
        }
        if !self.follows(entry) {
            let message = format!("{name} received {id} of {channel}, which it does not follow");
            report.violate(Rule::EventForeign, message);
        }
    }

    /// Reports the entries it should have received among those before the index `end`.
    fn check_hole(&self, end: usize, before: &str, log: &StoredLog, report: &mut Report) {
        if let Some((first, count)) = self.missing(end, log) {
            let (name, id) = (&self.name, &first.id);
            let message = format!("{name} missed {count} entries from {id} on, before {before}");
            report.violate(Rule::Hole, message);
        }
    }

    /// The first entry of its channels it has not got before the index `end`, and how many.
    fn missing<'a>(&self, end: usize, log: &'a StoredLog) -> Option<(&'a Entry, usize)> {
        let entries = log.entries().get(self.done..end)?;
        let mut missing = entries.iter().filter(|entry| self.follows(entry));
        let first = missing.next()?;
        Some((first, 1 + missing.count()))
    }

    fn follows(&self, entry: &Entry) -> bool {
        self.follows.get(entry.channel as usize).copied().unwrap_or(false)
    }

    /// The number of entries strictly before a place.
    fn count_before(&self, place: Place, log: &StoredLog) -> usize {
        let count = log.count_to(place).unwrap_or(0);
        count - usize::from(log.at(place).is_some())
    }

    fn cover(&mut self, place: Option<Place>, log: &StoredLog) {
        let Some(place) = place else { return };
        self.covered = Covered::To(place);
        if let Some(count) = log.count_to(place) {
            self.done = count;
        }
    }

    fn last_done<'a>(&self, log: &'a StoredLog) -> Option<&'a str> {
        let index = self.done.checked_sub(1)?;
        log.entries().get(index).map(|entry| &*entry.id)
    }
}
