//! What is kept beside the log: accounts, events, settings, connections.
//!
//! Reads have a few connections of their own, so that an operator's search never holds up a client.
//! Writes go one after the other over one connection, each synced to the disk, and queue with the
//! log's writer (see [`super::write_gate`]).

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use r2d2::ManageConnection;

use santral_core::entry::Timestamp;
use santral_core::limits::{RECORD_READERS, STORAGE_BUSY_TIMEOUT};
use santral_core::rooms::{Record, RoomId, Saved};

use santral_schema::video::Room;

use super::database::Database;
use super::error::{Reporter, Trouble};
use super::location::Location;
use super::pool::{Connector, Link, Links};
use super::sending_turn::SendingTurn;
use super::text::BadRows;
use super::write_gate::WriteGate;
use super::{
    accounts, api_keys, blocks, connections, event_logs, logins, settings, sqlite, video_participants, video_rooms,
    webhook_outbox,
};
use crate::ports::accounts::{
    AccountStore, ApiKey, Block, Changed, Login, RecentlyRevoked, Refreshed, User, UserChange,
};
use crate::ports::connections::{ConnectionRecord, ConnectionStore};
use crate::ports::event_log::{EventQuery, EventStore, NewEvent, StoredEvent};
use crate::ports::settings::{SettingChange, SettingsStore, StoredSetting};
use crate::ports::store::StoreError;
use crate::ports::video::{ClosedRooms, VideoStore};
use crate::ports::webhooks::{NewDelivery, Outbox, Settled, WaitingDelivery};

/// All the records of one database.
pub(super) struct Records {
    readers: Links,
    connector: Connector,
    /// Thrown away after every error, like the writer's: see [`super::writer::Writer`].
    link: Mutex<Option<Link>>,
    gate: WriteGate,
    bad: BadRows,
    reading: Reporter,
    writing: Reporter,
    sending_turn: SendingTurn,
}

impl Records {
    /// Connects when something is read or written for the first time.
    pub(super) fn new(location: Location, gate: WriteGate) -> Self {
        Self {
            readers: Links::new(location.clone(), RECORD_READERS),
            sending_turn: SendingTurn::new(location.clone()),
            connector: Connector::new(location),
            link: Mutex::new(None),
            gate,
            bad: BadRows::default(),
            reading: Reporter::new("records"),
            writing: Reporter::new("records writer"),
        }
    }

    fn read<T>(&self, work: impl FnOnce(&mut Database, &BadRows) -> Result<T, Trouble>) -> Result<T, StoreError> {
        told(&self.reading, self.try_read(work))
    }

    fn try_read<T>(&self, work: impl FnOnce(&mut Database, &BadRows) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut link = self.readers.take()?;
        link.is_broken = true;
        let value = link.database.snapshot(|database| work(database, &self.bad))?;
        link.is_broken = false;
        Ok(value)
    }

    /// A connection that writes. Whoever comes and goes leaves rows behind; without a bound of its own
    /// its cache would hold megabytes of them.
    fn connect(&self) -> Result<Link, Trouble> {
        let mut link = self.connector.connect()?;
        if let Database::Sqlite(connection) = &mut link.database {
            sqlite::keep_few_pages(connection)?;
        }
        Ok(link)
    }

    fn write<T>(&self, work: impl FnOnce(&mut Database, &BadRows) -> Result<T, Trouble>) -> Result<T, StoreError> {
        told(&self.writing, self.try_write(work))
    }

    fn try_write<T>(&self, work: impl FnOnce(&mut Database, &BadRows) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut place = self.link.try_lock_for(STORAGE_BUSY_TIMEOUT).ok_or(Trouble::TurnTimedOut)?;
        // While nothing is written, a server may go and come back, and nobody would know.
        let kept = place.take().and_then(|mut link| self.connector.is_valid(&mut link).ok().map(|()| link));
        let mut link = kept.map_or_else(|| self.connect(), Ok)?;
        link.check_files()?;
        let turn = self.gate.enter()?;
        let value = link.database.write(|database| work(database, &self.bad))?;
        turn.hand_over();
        // A file that was moved away while we wrote to it has the rows, and the next start does not.
        link.check_files()?;
        *place = Some(link);
        // Somebody who prunes would else take it again before anyone who waits wakes up.
        MutexGuard::unlock_fair(place);
        Ok(value)
    }
}

fn told<T>(reporter: &Reporter, result: Result<T, Trouble>) -> Result<T, StoreError> {
    match result {
        Ok(value) => {
            reporter.succeeded();
            Ok(value)
        }
        Err(trouble) => Err(reporter.failed(&trouble)),
    }
}

impl AccountStore for Records {
    fn create_user(&self, user: &User) -> Result<bool, StoreError> {
        self.write(|database, _| accounts::create(database, user))
    }

    fn user_named(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.read(|database, bad| accounts::named(database, name, bad))
    }

    fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        self.read(|database, bad| accounts::load(database, id, bad))
    }

    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>, StoreError> {
        self.read(|database, bad| accounts::list(database, after, limit, bad))
    }

    fn change_user(&self, id: &str, change: &UserChange, now: Timestamp) -> Result<Changed, StoreError> {
        self.write(|database, bad| accounts::change(database, id, change, now, bad))
    }

    fn has_admin(&self) -> Result<bool, StoreError> {
        self.read(|database, _| accounts::has_admin(database))
    }

    fn create_login(&self, login: &Login, now: Timestamp) -> Result<(), StoreError> {
        self.write(|database, _| logins::create(database, login, now))
    }

    fn refresh_login(
        &self,
        id: &str,
        generation: i64,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        self.write(|database, bad| logins::refresh(database, id, generation, now, expires_at, bad))
    }

    fn revoke_login(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|database, _| logins::revoke(database, id, now))
    }

    fn recently_revoked(&self, since: Timestamp) -> Result<RecentlyRevoked, StoreError> {
        self.read(|database, _| {
            Ok((logins::recently_revoked(database, since)?, accounts::recently_changed(database, since)?))
        })
    }

    fn create_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.write(|database, _| api_keys::create(database, key))
    }

    fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.read(api_keys::list)
    }

    fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|database, _| api_keys::revoke(database, id, now))
    }

    fn put_block(&self, block: &Block) -> Result<(), StoreError> {
        self.write(|database, _| blocks::put(database, block))
    }

    fn remove_block(&self, subject: &str) -> Result<bool, StoreError> {
        self.write(|database, _| blocks::remove(database, subject))
    }

    fn blocks(&self, now: Timestamp) -> Result<Vec<Block>, StoreError> {
        self.read(|database, _| blocks::list(database, now))
    }
}

impl EventStore for Records {
    fn append(&self, events: &[NewEvent]) -> Result<Vec<i64>, StoreError> {
        match events {
            [] => Ok(Vec::new()),
            events => self.write(|database, _| event_logs::append(database, events)),
        }
    }

    fn read(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(|database, bad| event_logs::read(database, query, bad))
    }

    fn begin_clear(&self, before: Timestamp, trace: &dyn Fn(usize) -> NewEvent) -> Result<(usize, i64), StoreError> {
        self.write(|database, _| {
            let count = event_logs::count_before(database, before)?;
            let ids = event_logs::append(database, &[trace(count)])?;
            Ok((count, ids.first().copied().unwrap_or_default()))
        })
    }

    fn clear_slice(&self, before: Timestamp, below: i64) -> Result<bool, StoreError> {
        self.write(|database, _| event_logs::prune_by_age(database, before, below))
    }

    fn prune(&self, before: Timestamp, rows_max: u64) -> Result<bool, StoreError> {
        // Counting takes longer than deleting and is done before one's turn.
        if let Some(upto) = self.read(|database, _| event_logs::last_excess(database, rows_max))?
            && self.write(|database, _| event_logs::prune_upto(database, upto))?
        {
            return Ok(true);
        }
        if self.read(|database, _| event_logs::count_before(database, before))? == 0 {
            return Ok(false);
        }
        self.write(|database, _| event_logs::prune_by_age(database, before, i64::MAX))
    }
}

impl SettingsStore for Records {
    fn settings(&self) -> Result<Vec<StoredSetting>, StoreError> {
        self.read(settings::list)
    }

    fn put_setting(&self, setting: &StoredSetting) -> Result<(), StoreError> {
        self.write(|database, _| settings::put(database, setting))
    }

    fn remove_setting(&self, key: &str, changed_by: Option<&str>, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|database, _| settings::remove(database, key, changed_by, now))
    }

    fn setting_history(
        &self,
        key: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SettingChange>, StoreError> {
        self.read(|database, bad| settings::history(database, key, before, limit, bad))
    }
}

impl ConnectionStore for Records {
    fn record(&self, records: &[ConnectionRecord]) -> Result<(), StoreError> {
        match records {
            [] => Ok(()),
            records => self.write(|database, _| connections::record(database, records)),
        }
    }

    fn close_stale(&self, node: &str, code: u16, now: Timestamp) -> Result<usize, StoreError> {
        self.write(|database, _| connections::close_stale(database, node, code, now))
    }

    fn prune(&self, before: Timestamp, rows_max: u64) -> Result<bool, StoreError> {
        let excess = self.read(|database, _| connections::excess_before(database, rows_max))?;
        let before = excess.map_or(before, |excess| before.max(excess));
        self.write(|database, _| connections::prune(database, before))
    }
}

impl Outbox for Records {
    fn append(&self, deliveries: &[NewDelivery]) -> Result<(), StoreError> {
        match deliveries {
            [] => Ok(()),
            deliveries => self.write(|database, _| webhook_outbox::append(database, deliveries)),
        }
    }

    fn due(
        &self,
        url: &str,
        now: Timestamp,
        busy: &[String],
        lines: usize,
    ) -> Result<Vec<Vec<WaitingDelivery>>, StoreError> {
        self.read(|database, _| webhook_outbox::due(database, url, now, busy, lines))
    }

    fn settle(&self, settled: &[Settled]) -> Result<(), StoreError> {
        match settled {
            [] => Ok(()),
            settled => self.write(|database, _| webhook_outbox::settle(database, settled)),
        }
    }

    fn prune(&self, urls: &[Arc<str>], before: Timestamp) -> Result<usize, StoreError> {
        self.write(|database, _| webhook_outbox::prune(database, urls, before))
    }

    fn may_send(&self) -> Result<bool, StoreError> {
        told(&self.reading, self.sending_turn.is_ours())
    }

    fn count(&self) -> Result<u64, StoreError> {
        self.read(|database, _| webhook_outbox::count(database))
    }
}

impl VideoStore for Records {
    fn save(&self, records: &[Record], deliveries: &[NewDelivery], at: Timestamp) -> Result<(), StoreError> {
        self.write(|database, _| {
            for record in records {
                match record {
                    Record::Room(room) => video_rooms::put(database, room)?,
                    Record::Participant(person) => video_participants::put(database, person)?,
                    Record::Ban(room, subject) => video_rooms::ban(database, room, subject, at)?,
                }
            }
            webhook_outbox::append(database, deliveries)
        })
    }

    fn open_rooms(&self) -> Result<Vec<Saved>, StoreError> {
        self.read(|database, bad| {
            let mut saved = Vec::new();
            for room in video_rooms::open(database, bad)? {
                saved.push(Saved {
                    participants: video_participants::present(database, &room.id, bad)?,
                    bans: video_rooms::bans(database, &room.id)?.into_iter().map(Into::into).collect(),
                    next_ordinal: video_participants::next_ordinal(database, &room.id)?,
                    room,
                });
            }
            Ok(saved)
        })
    }

    fn closed_rooms(&self, query: &ClosedRooms) -> Result<Vec<Room>, StoreError> {
        self.read(|database, bad| video_rooms::closed(database, query, bad))
    }

    fn next_ordinal(&self, room: &RoomId) -> Result<u32, StoreError> {
        self.read(|database, _| video_participants::next_ordinal(database, room))
    }

    fn prune_rooms(&self, closed_before: Timestamp) -> Result<bool, StoreError> {
        self.write(|database, _| video_rooms::prune(database, closed_before))
    }
}
