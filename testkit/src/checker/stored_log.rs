//! The log as the server shows it after the run: the truth all other journals are held against.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::checker::{Report, Rule};

/// A parsed position. Positions of one epoch compare by offset and sub-number; those of two
/// epochs by the epochs' order in the log, see [`StoredLog::compare`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    epoch: u32,
    offset: u64,
    pub(super) sub: u64,
}

/// One stored entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) id: Box<str>,
    pub(super) channel: u32,
    pub(super) key: Option<Rc<str>>,
    pub(super) hash: Box<str>,
}

/// All entries, in the order of their positions once [`StoredLog::seal`] was called.
#[derive(Debug, Default)]
pub(super) struct StoredLog {
    entries: Vec<Entry>,
    by_key: HashMap<Rc<str>, usize>,
    channels: Names,
    epochs: Names,
    /// The epochs' places in time; an epoch without stored entries has none.
    ranks: HashMap<u32, usize>,
    /// Per channel the epochs of its dump in order; only needed until the seal.
    epochs_of_channel: BTreeMap<u32, Vec<u32>>,
    last_of_channel: HashMap<u32, Place>,
}

impl StoredLog {
    /// Takes the next line of a channel's dump.
    pub(super) fn push(&mut self, id: &str, channel: &str, key: Option<&str>, hash: &str, report: &mut Report) {
        let Some(place) = self.place(id) else {
            return report.violate(Rule::Malformed, format!("stored id {id:?} is no position"));
        };
        let channel_number = self.channels.number(channel);
        let epochs = self.epochs_of_channel.entry(channel_number).or_default();
        if epochs.last() != Some(&place.epoch) {
            // Should the channel return to an earlier epoch, the ranking will not work out.
            epochs.push(place.epoch);
        } else if let Some(last) = self.last_of_channel.get(&channel_number)
            && (place.offset, place.sub) < (last.offset, last.sub)
        {
            let last = (last.offset, last.sub);
            let message = format!("channel {channel}: {id} is stored behind offset {last:?}");
            report.violate(Rule::StoredOrder, message);
        }
        self.last_of_channel.insert(channel_number, place);
        self.entries.push(Entry {
            place,
            id: id.into(),
            channel: channel_number,
            key: key.map(Rc::from),
            hash: hash.into(),
        });
    }

    /// Puts the channels' dumps together into one log.
    pub(super) fn seal(&mut self, report: &mut Report) {
        self.rank_epochs(report);
        let ranks = &self.ranks;
        self.entries.sort_by_key(|entry| (ranks.get(&entry.place.epoch).copied(), entry.place.offset, entry.place.sub));
        for pair in self.entries.windows(2) {
            if pair[0].place == pair[1].place {
                let message =
                    format!("{} is stored twice: key {:?} and key {:?}", pair[0].id, pair[0].key, pair[1].key);
                report.violate(Rule::StoredIdTwice, message);
            }
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let Some(key) = &entry.key else { continue };
            if let Some(first) = self.by_key.insert(Rc::clone(key), index) {
                let first = &self.entries[first].id;
                let message = format!("key {key} is stored twice: at {first} and at {}", entry.id);
                report.violate(Rule::StoredKeyTwice, message);
            }
        }
    }

    /// Orders the epochs so that every channel's dump agrees (Kahn's topological sort); among
    /// epochs no channel compares, the first named comes first.
    fn rank_epochs(&mut self, report: &mut Report) {
        let sequences = std::mem::take(&mut self.epochs_of_channel);
        let mut before: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for sequence in sequences.values() {
            for (index, epoch) in sequence.iter().enumerate() {
                let earlier = index.checked_sub(1).map(|index| sequence[index]);
                before.entry(*epoch).or_default().extend(earlier);
            }
        }
        while !before.is_empty() {
            let is_next = |(_, earlier): &(&u32, &BTreeSet<u32>)| earlier.is_empty();
            let next = before.iter().find(is_next).map(|(epoch, _)| *epoch);
            let Some(epoch) = next.or_else(|| before.keys().next().copied()) else {
                return;
            };
            if next.is_none() {
                let name = self.epochs.name(epoch);
                let message = format!("the channels disagree on when epoch {name} was");
                report.violate(Rule::StoredOrder, message);
            }
            before.remove(&epoch);
            before.values_mut().for_each(|earlier| {
                earlier.remove(&epoch);
            });
            self.ranks.insert(epoch, self.ranks.len());
        }
    }

    /// Parses `<epoch>-<offset>` or `<epoch>-<offset>.<sub>`.
    pub(super) fn place(&mut self, id: &str) -> Option<Place> {
        let (epoch, rest) = id.split_once('-')?;
        let is_token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if epoch.is_empty() || !epoch.bytes().all(is_token) {
            return None;
        }
        let (offset, sub) = rest.split_once('.').unwrap_or((rest, "0"));
        let number = |text: &str| {
            let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
            if is_decimal { text.parse().ok() } else { None }
        };
        let (offset, sub) = (number(offset)?, number(sub)?);
        Some(Place { epoch: self.epochs.number(epoch), offset, sub })
    }

    /// Which of two positions is first; `None` when the log does not tell.
    pub(super) fn compare(&self, left: Place, right: Place) -> Option<Ordering> {
        let within = (left.offset, left.sub).cmp(&(right.offset, right.sub));
        if left.epoch == right.epoch {
            return Some(within);
        }
        Some(self.ranks.get(&left.epoch)?.cmp(self.ranks.get(&right.epoch)?))
    }

    /// The number of entries at or before a place; `None` when the log does not know its epoch.
    pub(super) fn count_to(&self, place: Place) -> Option<usize> {
        self.ranks.get(&place.epoch)?;
        let is_covered =
            |entry: &Entry| self.compare(entry.place, place).is_some_and(|order| order != Ordering::Greater);
        Some(self.entries.partition_point(is_covered))
    }

    /// The entry at exactly this place.
    pub(super) fn at(&self, place: Place) -> Option<&Entry> {
        let last = self.count_to(place)?.checked_sub(1)?;
        self.entries.get(last).filter(|entry| entry.place == place)
    }

    /// The entry of a key; the last one if there are several.
    pub(super) fn of_key(&self, key: &str) -> Option<&Entry> {
        self.by_key.get(key).map(|index| &self.entries[*index])
    }

    /// All entries, oldest first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The name of a channel by its number.
    pub(super) fn channel(&self, number: u32) -> &str {
        self.channels.name(number)
    }

    /// For each channel of the log whether one of the patterns means it.
    pub(super) fn filter(&self, patterns: &[String]) -> Vec<bool> {
        let is_meant = |channel: &Rc<str>| {
            patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => channel.starts_with(prefix),
                None => **channel == **pattern,
            })
        };
        self.channels.names.iter().map(is_meant).collect()
    }
}

/// Names and their numbers, in order of first use.
#[derive(Debug, Default)]
struct Names {
    names: Vec<Rc<str>>,
    numbers: HashMap<Rc<str>, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("a run has far fewer names than 2^32");
        let name: Rc<str> = name.into();
        self.names.push(Rc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }
}
