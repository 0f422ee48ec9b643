//! The writer: appends to the log and applies retention, one transaction each.

use std::time::Instant;

use santral_core::entry::Timestamp;

use super::append::append;
use super::database::Database;
use super::error::{Reporter, Trouble};
use super::location::Location;
use super::log_state::{self, Known};
use super::pool::{Link, Links, PooledLink};
use super::retention::{self, ClockGuard};
use super::write_gate::WriteGate;
use super::{postgres, sqlite};
use crate::ports::store::{Append, Appended, Durability, LogState, LogWriter, Pruned, Retention, StoreError};

/// Appends over one connection, which it throws away after every error.
pub(super) struct Writer {
    links: Links,
    durability: Durability,
    link: Option<PooledLink>,
    gate: WriteGate,
    boot: String,
    known: Known,
    clock: ClockGuard,
    suspects_damage: bool,
    reporter: Reporter,
}

impl Writer {
    /// Makes the log ready for appends.
    pub(super) fn open(
        location: Location,
        durability: Durability,
        gate: WriteGate,
    ) -> Result<(Self, LogState), Trouble> {
        let links = Links::new(location, 1);
        let mut link = links.take()?;
        let (boot, state) = ready(&mut link.database, durability, None)?;
        let writer = Self {
            links,
            durability,
            link: Some(link),
            gate,
            boot,
            known: Known { epoch: state.epoch, head: state.head },
            clock: ClockGuard::default(),
            suspects_damage: false,
            reporter: Reporter::new("writer"),
        };
        Ok((writer, state))
    }

    /// Runs one transaction. After any error the connection is not used again: what a failed commit
    /// or fsync left behind is only known to a fresh one.
    fn run<T>(&mut self, work: impl FnOnce(&mut Self, &mut Link) -> Result<T, Trouble>) -> Result<T, StoreError> {
        match self.try_run(work) {
            Ok(value) => {
                self.reporter.succeeded();
                Ok(value)
            }
            Err(trouble) => {
                self.suspects_damage = trouble.hints_at_damage();
                Err(self.reporter.failed(&trouble))
            }
        }
    }

    fn try_run<T>(&mut self, work: impl FnOnce(&mut Self, &mut Link) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.reopen()?,
        };
        link.is_broken = true;
        link.check_files()?;
        let gate = self.gate.clone();
        let turn = gate.enter()?;
        let value = work(self, &mut link)?;
        drop(turn);
        // A file that was moved away while we wrote to it has the entries, and the next start does not.
        link.check_files()?;
        link.is_broken = false;
        self.link = Some(link);
        Ok(value)
    }

    fn reopen(&mut self) -> Result<PooledLink, Trouble> {
        let mut link = self.links.take()?;
        link.is_broken = true;
        if let (true, Database::Sqlite(connection)) = (self.suspects_damage, &mut link.database) {
            sqlite::check_integrity(connection)?;
        }
        let (boot, _) = ready(&mut link.database, self.durability, Some(self.known))?;
        self.boot = boot;
        Ok(link)
    }

    fn append_on(&mut self, link: &mut Link, appends: &[Append], requests: &[usize]) -> Result<Vec<Appended>, Trouble> {
        let (epoch, mark) = (self.known.epoch, self.mark());
        let (appended, head) = link.database.write(|database| append(database, appends, requests, epoch, mark))?;
        self.known.head = self.known.head.max(head);
        Ok(appended)
    }

    /// What the row must say for unsynced entries to be noticed after a power cut.
    fn mark(&self) -> Option<&str> {
        match self.durability {
            Durability::Disk => None,
            Durability::Os => Some(&self.boot),
        }
    }
}

impl LogWriter for Writer {
    fn append_requests(&mut self, appends: &[Append], requests: &[usize]) -> Result<Vec<Appended>, StoreError> {
        self.run(|writer, link| writer.append_on(link, appends, requests))
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.run(|_, link| link.database.write(log_state::rewrite))
    }

    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.run(|writer, link| {
            let epoch = writer.known.epoch;
            let clock = &mut writer.clock;
            link.database.write(|database| {
                let state = log_state::load(database)?;
                log_state::check_epoch(epoch, state.epoch)?;
                let newest = retention::newest_time(database)?;
                let trusted = clock.check(now, newest, Instant::now()).then_some(now);
                retention::prune(database, state, retention, trusted)
            })
        })
    }
}

impl Drop for Writer {
    /// A clean end: everything is synced and the row says so. If this fails or never runs, the
    /// next start finds the mark, and draws a fresh epoch if the machine went down since.
    fn drop(&mut self) {
        let (Durability::Os, Some(mut link)) = (self.durability, self.link.take()) else {
            return;
        };
        let synced = set_durability(&mut link.database, Durability::Disk)
            .and_then(|()| log_state::mark_synced(&mut link.database));
        if let Err(trouble) = synced {
            self.reporter.failed(&trouble);
        }
    }
}

fn ready(database: &mut Database, durability: Durability, known: Option<Known>) -> Result<(String, LogState), Trouble> {
    let boot = log_state::boot(database)?;
    let state = log_state::prepare(database, durability, &boot, known)?;
    set_durability(database, durability)?;
    Ok((boot, state))
}

fn set_durability(database: &mut Database, durability: Durability) -> Result<(), Trouble> {
    match database {
        Database::Sqlite(connection) => sqlite::set_durability(connection, durability)?,
        Database::Postgres(connection) => postgres::set_durability(connection, durability)?,
    }
    Ok(())
}
