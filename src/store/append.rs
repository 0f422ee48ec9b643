//! One transaction that appends: decides what is new, gives out offsets, stores entries and keys.

use std::collections::HashMap;
use std::sync::Arc;

use santral_core::entry::{Entry, Timestamp};
use santral_core::position::{Epoch, Offset, Position};

use super::database::Database;
use super::error::Trouble;
use super::idempotency::{self, Use, Uses};
use super::log_state::{self, Advanced};
use super::messages;
use crate::ports::store::{Append, Appended, IdempotencyKey};

/// Stores everything that is not a repetition. Returns the log's last offset, too.
///
/// `requests` counts the appends that are stored together or not; `mark` is what the row must say about unsynced entries, see [`log_state::prepare`].
pub(super) fn append(
    database: &mut Database,
    appends: &[Append],
    requests: &[usize],
    epoch: Epoch,
    mark: Option<&str>,
) -> Result<(Vec<Appended>, Offset), Trouble> {
    let keys: Vec<_> = appends.iter().filter_map(|append| Some((append.key.as_ref()?, append.at))).collect();
    let check = |advanced: &Advanced| match mark.is_some() && advanced.unsynced_boot.as_deref() != mark {
        true => Err(Trouble::MarkTakenBack),
        false => log_state::check_epoch(epoch, advanced.epoch),
    };
    if keys.is_empty() {
        let count = appends.iter().map(|append| append.publications.len()).sum();
        let advanced = log_state::advance(database, count)?;
        check(&advanced)?;
        let batch = Batch::of(appends, requests, epoch, advanced.head_before, Uses::new());
        batch.store(database)?;
        return Ok((batch.appended, batch.head));
    }
    // The row is locked before the keys are looked up: else two writers could both find a key
    // unused and store its publication twice.
    let locked = log_state::advance(database, 0)?;
    check(&locked)?;
    let uses = idempotency::find(database, &keys)?;
    let batch = Batch::of(appends, requests, epoch, locked.head_before, uses);
    let count = usize::try_from(batch.head - locked.head_before).map_err(|_| Trouble::OffsetsExhausted)?;
    log_state::advance(database, count)?;
    batch.store(database)?;
    Ok((batch.appended, batch.head))
}

/// What becomes of each append, and what has to be stored for it.
struct Batch<'a> {
    appended: Vec<Appended>,
    new_keys: Vec<(&'a IdempotencyKey, Use, Timestamp)>,
    head: Offset,
}

impl<'a> Batch<'a> {
    fn of(appends: &'a [Append], requests: &[usize], epoch: Epoch, head: Offset, mut uses: Uses<'a>) -> Self {
        let mut batch = Self { appended: Vec::with_capacity(appends.len()), new_keys: Vec::new(), head };
        let mut rest = appends;
        for &count in requests {
            let (request, behind) = rest.split_at(count);
            rest = behind;
            if reuses_a_key(request, &uses) {
                batch.appended.extend(request.iter().map(|_| Appended::KeyReused));
                continue;
            }
            for append in request {
                let appended = batch.take(append, epoch, &mut uses);
                batch.appended.push(appended);
            }
        }
        batch
    }

    /// Adds an append whose key, if it has one, was not used otherwise.
    fn take(&mut self, append: &'a Append, epoch: Epoch, uses: &mut Uses<'a>) -> Appended {
        let Some(key) = &append.key else { return self.add(append, epoch) };
        if let Some(used) = uses.get(&(&*key.principal, &*key.key)) {
            return Appended::Repeated { first: used.first, count: used.count };
        }
        let used = Use { fingerprint: key.fingerprint, first: self.head + 1, count: append.publications.len() };
        // The same key may come again in this very batch.
        uses.insert((&key.principal, &key.key), used);
        self.new_keys.push((key, used, append.at));
        self.add(append, epoch)
    }

    fn add(&mut self, append: &Append, epoch: Epoch) -> Appended {
        let mut entry = |publication: &santral_core::entry::Publication| {
            self.head += 1;
            Arc::new(Entry::stored(Position::new(epoch, self.head), append.at, publication.clone()))
        };
        Appended::Stored(append.publications.iter().map(&mut entry).collect())
    }

    fn store(&self, database: &mut Database) -> Result<(), Trouble> {
        let entries = self.appended.iter().flat_map(|appended| match appended {
            Appended::Stored(entries) => entries.as_slice(),
            Appended::Repeated { .. } | Appended::KeyReused => &[],
        });
        messages::insert(database, entries)?;
        idempotency::remember(database, &self.new_keys)
    }
}

/// Whether a key of the request was used with another fingerprint, before or within the request.
fn reuses_a_key(request: &[Append], uses: &Uses<'_>) -> bool {
    let mut own = HashMap::new();
    request.iter().filter_map(|append| append.key.as_ref()).any(|key| {
        let name = (&*key.principal, &*key.key);
        let first = uses.get(&name).map_or(key.fingerprint, |used| used.fingerprint);
        *own.entry(name).or_insert(first) != key.fingerprint
    })
}
