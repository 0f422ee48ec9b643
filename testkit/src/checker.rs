//! Decides whether journals can be true of a correct server.
//!
//! A pure function from records to violations. It reads in three passes — the stored log, the
//! publishers, the subscribers — so that memory grows with the log and the publications, never
//! with what the subscribers received. That all subscribers see one order needs no rule of its
//! own: each one's events must be entries of the one log, in its order.
//!
//! Not judged: volatile messages may be lost, doubled or late, and direct messages (positions
//! with a sub-number) are checked for order only.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use crate::journal::{JournalError, JournalReader, Record};
use publications::Publications;
use stored_log::StoredLog;
use subscriber::Subscriber;

mod publications;
mod stored_log;
mod subscriber;
#[cfg(test)]
mod tests;

/// What a server must not do. The names are those the messages begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// An acknowledged publication is not in the log.
    LostAck,
    /// What is stored at the acknowledged position is not what was acknowledged.
    AckMismatch,
    /// One key was acknowledged with two positions.
    AckChanged,
    /// One position was given to two keys.
    IdReused,
    /// A publication that must be stored was acknowledged as `memory`.
    DurabilityDowngraded,
    /// A channel's stored positions do not increase.
    StoredOrder,
    /// A position is stored twice.
    StoredIdTwice,
    /// A key is stored twice.
    StoredKeyTwice,
    /// The stored content is not what the publisher sent.
    StoredHash,
    /// It is stored in another channel than it was sent to.
    StoredChannel,
    /// Every attempt was refused, yet it is stored.
    StoredRefused,
    /// It is stored, and nobody published it.
    StoredPhantom,
    /// A subscriber received an event at or before a position it had passed.
    EventOrder,
    /// A subscriber received its last event once more.
    EventDuplicate,
    /// A subscriber received something that is not in the log.
    EventNotStored,
    /// A subscriber received something else than the log has at that position.
    EventMismatch,
    /// A subscriber received an event of a channel it does not follow.
    EventForeign,
    /// A subscriber missed an entry and was not told.
    Hole,
    /// A subscriber went on from an epoch the log does not know and was not told.
    EpochSwitch,
    /// The run is complete, and a subscriber has not received the end of the log.
    NotAtEnd,
    /// The journal itself contradicts its format.
    Malformed,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 21] = [
        Self::LostAck,
        Self::AckMismatch,
        Self::AckChanged,
        Self::IdReused,
        Self::DurabilityDowngraded,
        Self::StoredOrder,
        Self::StoredIdTwice,
        Self::StoredKeyTwice,
        Self::StoredHash,
        Self::StoredChannel,
        Self::StoredRefused,
        Self::StoredPhantom,
        Self::EventOrder,
        Self::EventDuplicate,
        Self::EventNotStored,
        Self::EventMismatch,
        Self::EventForeign,
        Self::Hole,
        Self::EpochSwitch,
        Self::NotAtEnd,
        Self::Malformed,
    ];
}

/// One broken rule, with the records that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Who, what, where.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.rule, self.message)
    }
}

/// What to check beyond the rules that always hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The run has ended in good order, so every subscriber must have received the log's end.
    pub is_complete: bool,
}

/// The verdict and how much it rests on: a check of nothing proves nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The first thousand violations.
    pub violations: Vec<Violation>,
    /// How many violations there are.
    pub violation_count: u64,
    /// Entries in the log.
    pub stored: u64,
    /// Attempts to publish.
    pub attempts: u64,
    /// Acknowledgements that promised the disk.
    pub acked: u64,
    /// Refusals.
    pub refused: u64,
    /// Events received.
    pub events: u64,
    /// Gaps told.
    pub gaps: u64,
    /// Connections of subscribers.
    pub attaches: u64,
}

impl Report {
    /// Whether no rule was broken.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.violation_count == 0
    }

    fn violate(&mut self, rule: Rule, message: String) {
        self.violation_count += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { rule, message });
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "stored {}, attempts {}, acked {}, refused {}, events {}, gaps {}, attaches {}: {} violations",
            self.stored,
            self.attempts,
            self.acked,
            self.refused,
            self.events,
            self.gaps,
            self.attaches,
            self.violation_count
        )?;
        self.violations.iter().try_for_each(|violation| writeln!(formatter, "{violation}"))
    }
}

/// Checks records that are all in memory, in any order that keeps each journal's own.
#[must_use]
pub fn check(records: &[Record], options: Options) -> Report {
    let mut checker = Checker::new();
    records.iter().for_each(|record| checker.read_stored(record));
    let mut checker = checker.seal();
    records.iter().for_each(|record| checker.read_publisher(record));
    let mut checker = checker.judge();
    records.iter().for_each(|record| checker.read_subscriber(record));
    checker.finish(options)
}

/// Checks journal files, reading each three times. Which records are in which file does not
/// matter; the lines of one client must be in one file.
///
/// # Errors
/// [`JournalError`] for the first file or line that cannot be read.
pub fn check_files(paths: &[impl AsRef<Path>], options: Options) -> Result<Report, JournalError> {
    let each = |take: &mut dyn FnMut(&Record)| -> Result<(), JournalError> {
        for path in paths {
            for record in JournalReader::open(path.as_ref())? {
                take(&record?);
            }
        }
        Ok(())
    };
    let mut checker = Checker::new();
    each(&mut |record| checker.read_stored(record))?;
    let mut checker = checker.seal();
    each(&mut |record| checker.read_publisher(record))?;
    let mut checker = checker.judge();
    each(&mut |record| checker.read_subscriber(record))?;
    Ok(checker.finish(options))
}

/// First pass: the stored log is being read.
#[derive(Debug, Default)]
struct Checker {
    log: StoredLog,
    report: Report,
}

/// Second pass: the log is known, the publishers are being read.
#[derive(Debug)]
struct PublisherPass {
    log: StoredLog,
    publications: Publications,
    report: Report,
}

/// Third pass: log and publications are known, the subscribers are being read.
#[derive(Debug)]
struct SubscriberPass {
    log: StoredLog,
    publications: Publications,
    subscribers: HashMap<String, Subscriber>,
    report: Report,
}

impl Checker {
    fn new() -> Self {
        Self::default()
    }

    fn read_stored(&mut self, record: &Record) {
        if let Record::Stored { id, channel, key, hash } = record {
            self.report.stored += 1;
            self.log.push(id, channel, key.as_deref(), hash, &mut self.report);
        }
    }

    fn seal(mut self) -> PublisherPass {
        self.log.seal(&mut self.report);
        PublisherPass { log: self.log, publications: Publications::default(), report: self.report }
    }
}

impl PublisherPass {
    fn read_publisher(&mut self, record: &Record) {
        self.publications.read(record, &mut self.report);
    }

    fn judge(mut self) -> SubscriberPass {
        self.publications.judge(&self.log, &mut self.report);
        SubscriberPass {
            log: self.log,
            publications: self.publications,
            subscribers: HashMap::new(),
            report: self.report,
        }
    }
}

impl SubscriberPass {
    fn read_subscriber(&mut self, record: &Record) {
        let (Record::Attach { client, .. }
        | Record::Hello { client, .. }
        | Record::Event { client, .. }
        | Record::Gap { client, .. }
        | Record::Detach { client }) = record
        else {
            return;
        };
        if !self.subscribers.contains_key(client) {
            self.subscribers.insert(client.clone(), Subscriber::new(client));
        }
        let Some(subscriber) = self.subscribers.get_mut(client) else {
            return;
        };
        subscriber.read(record, &mut self.log, &self.publications, &mut self.report);
    }

    fn finish(mut self, options: Options) -> Report {
        if options.is_complete {
            let mut subscribers: Vec<_> = self.subscribers.into_values().collect();
            subscribers.sort_by(|left, right| left.name().cmp(right.name()));
            for subscriber in subscribers {
                subscriber.finish(&self.log, &mut self.report);
            }
        }
        self.report
    }
}

const VIOLATIONS_MAX: usize = 1_000;
