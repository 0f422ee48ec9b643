//! What the publishers tried, what they were told, and whether the log agrees.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::checker::stored_log::{Entry, StoredLog};
use crate::checker::{Report, Rule};
use crate::journal::{Durability, Record};

/// All attempts under one key.
#[derive(Debug)]
pub(super) struct Publication {
    channel: String,
    /// The contents tried; more than one only where a test misuses a key on purpose.
    hashes: Vec<String>,
    pub(super) is_volatile: bool,
    attempts: u64,
    refused: u64,
    /// The first acknowledgement that promised the disk.
    acked_id: Option<String>,
    is_in_memory: bool,
}

impl Publication {
    /// Whether one of the attempts had this content.
    pub(super) fn has_content(&self, hash: &str) -> bool {
        self.hashes.iter().any(|candidate| candidate == hash)
    }
}

/// All publications by key, ordered so that reports of equal runs are equal.
#[derive(Debug, Default)]
pub(super) struct Publications {
    by_key: BTreeMap<String, Publication>,
}

impl Publications {
    /// What was tried under a key.
    pub(super) fn of_key(&self, key: &str) -> Option<&Publication> {
        self.by_key.get(key)
    }

    /// Takes the next record; those of subscribers and of the log are ignored.
    pub(super) fn read(&mut self, record: &Record, report: &mut Report) {
        match record {
            Record::Publish { key, channel, hash, volatile, .. } => {
                report.attempts += 1;
                self.attempt(key, channel, hash, *volatile, report);
            }
            Record::Ack { key, id, durability } => {
                if let Some(publication) = self.outcome(key, report) {
                    publication.ack(key, id.as_deref(), *durability, report);
                }
            }
            Record::Refused { key, .. } => {
                report.refused += 1;
                if let Some(publication) = self.outcome(key, report) {
                    publication.refused += 1;
                }
            }
            Record::Unknown { key } => {
                self.outcome(key, report);
            }
            Record::Attach { .. }
            | Record::Hello { .. }
            | Record::Event { .. }
            | Record::Gap { .. }
            | Record::Detach { .. }
            | Record::Stored { .. } => {}
        }
    }

    /// Holds everything against the log.
    pub(super) fn judge(&self, log: &StoredLog, report: &mut Report) {
        let mut key_of_id: HashMap<&str, &str> = HashMap::new();
        for (key, publication) in &self.by_key {
            let stored = log.of_key(key);
            if let Some(id) = &publication.acked_id {
                if let Some(other) = key_of_id.insert(id, key) {
                    let message = format!("keys {other} and {key} were both acknowledged as {id}");
                    report.violate(Rule::IdReused, message);
                }
                judge_ack(key, id, stored, report);
            }
            if let Some(entry) = stored {
                publication.judge_stored(key, entry, log, report);
            }
            if publication.is_in_memory && !publication.is_volatile {
                let message = format!("key {key} was acknowledged as memory, not disk");
                report.violate(Rule::DurabilityDowngraded, message);
            }
        }
        self.judge_phantoms(log, report);
    }

    /// Only channels whose publishers keep journals can be judged.
    fn judge_phantoms(&self, log: &StoredLog, report: &mut Report) {
        let journalled: HashSet<&str> = self.by_key.values().map(|publication| publication.channel.as_str()).collect();
        for entry in log.entries() {
            let channel = log.channel(entry.channel);
            let is_known = entry.key.as_ref().is_some_and(|key| self.by_key.contains_key(&**key));
            if !is_known && journalled.contains(channel) {
                let (id, key) = (&entry.id, &entry.key);
                let message = format!("{id} in {channel} has key {key:?}, which nobody published");
                report.violate(Rule::StoredPhantom, message);
            }
        }
    }

    fn attempt(&mut self, key: &str, channel: &str, hash: &str, is_volatile: bool, report: &mut Report) {
        let publication = self.by_key.entry(key.to_owned()).or_insert_with(|| Publication {
            channel: channel.to_owned(),
            hashes: Vec::new(),
            is_volatile,
            attempts: 0,
            refused: 0,
            acked_id: None,
            is_in_memory: false,
        });
        publication.attempts += 1;
        if !publication.has_content(hash) {
            publication.hashes.push(hash.to_owned());
        }
        if publication.channel != channel || publication.is_volatile != is_volatile {
            let message = format!("key {key} was tried for two channels or two durabilities");
            report.violate(Rule::Malformed, message);
        }
    }

    fn outcome(&mut self, key: &str, report: &mut Report) -> Option<&mut Publication> {
        let publication = self.by_key.get_mut(key);
        if publication.is_none() {
            let message = format!("key {key} has an outcome and no attempt before it");
            report.violate(Rule::Malformed, message);
        }
        publication
    }
}

impl Publication {
    fn ack(&mut self, key: &str, id: Option<&str>, durability: Durability, report: &mut Report) {
        match (durability, id) {
            (Durability::Memory, _) => self.is_in_memory = true,
            (Durability::Disk, None) => {
                let message = format!("key {key} was acknowledged as disk without an id");
                report.violate(Rule::Malformed, message);
            }
            (Durability::Disk, Some(id)) => {
                report.acked += 1;
                let first = self.acked_id.get_or_insert_with(|| id.to_owned());
                if first != id {
                    let message = format!("key {key} was acknowledged as {first} and as {id}");
                    report.violate(Rule::AckChanged, message);
                }
            }
        }
    }

    fn judge_stored(&self, key: &str, entry: &Entry, log: &StoredLog, report: &mut Report) {
        let id = &entry.id;
        if !self.has_content(&entry.hash) {
            let (stored, sent) = (&entry.hash, &self.hashes);
            let message = format!("{id}, key {key}: stored {stored}, sent {sent:?}");
            report.violate(Rule::StoredHash, message);
        }
        let channel = log.channel(entry.channel);
        if channel != self.channel {
            let message = format!("{id}, key {key}: stored in {channel}, sent to {}", self.channel);
            report.violate(Rule::StoredChannel, message);
        }
        if self.refused == self.attempts {
            let times = self.refused;
            let message = format!("{id}, key {key}: refused {times} times, yet stored");
            report.violate(Rule::StoredRefused, message);
        }
    }
}

fn judge_ack(key: &str, id: &str, stored: Option<&Entry>, report: &mut Report) {
    match stored {
        None => report.violate(Rule::LostAck, format!("key {key} acknowledged as {id} is lost")),
        Some(entry) if *entry.id != *id => {
            let message = format!("key {key} was acknowledged as {id}, stored as {}", entry.id);
            report.violate(Rule::AckMismatch, message);
        }
        Some(_) => {}
    }
}
