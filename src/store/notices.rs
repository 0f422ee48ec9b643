//! Notifications of PostgreSQL, and the table that their emitters put long documents into.
//!
//! One server of those that share a database listens, by an advisory lock that its connection holds; when
//! it is gone, another takes over. Rows of the table are deleted when they are old, as the adapters of
//! Socket.IO do it themselves.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool};

use super::error::{Reporter, Trouble};
use super::postgres;
use crate::ports::notices::{NoticeBoard, Notification};
use crate::ports::store::StoreError;

/// See the module.
pub(super) struct Notices {
    url: String,
    channels: Vec<String>,
    connection: Option<PgConnection>,
    is_listening: bool,
    next_attempt: Instant,
    next_sweep: Instant,
    reporter: Reporter,
}

impl Notices {
    /// Will listen to these channels.
    pub(super) fn new(url: String, channels: Vec<String>) -> Self {
        let now = Instant::now();
        let reporter = Reporter::new("notices");
        Self { url, channels, connection: None, is_listening: false, next_attempt: now, next_sweep: now, reporter }
    }

    fn try_take(&mut self) -> Result<Vec<Notification>, Trouble> {
        if !self.is_listening && Instant::now() >= self.next_attempt {
            self.next_attempt = Instant::now() + ATTEMPT_INTERVAL;
            self.try_listen()?;
        }
        let Some(connection) = self.connection.as_mut().filter(|_| self.is_listening) else { return Ok(Vec::new()) };
        if Instant::now() >= self.next_sweep {
            self.next_sweep = Instant::now() + SWEEP_INTERVAL;
            connection.batch_execute(SWEEP)?;
        }
        let said = connection.notifications_iter().take(NOTIFICATIONS_MAX).map(|notification| {
            let notification = notification?;
            Ok(Notification { channel: notification.channel, payload: notification.payload })
        });
        said.collect()
    }

    /// Connects, and listens unless another server does.
    fn try_listen(&mut self) -> Result<(), Trouble> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(postgres::connect(&self.url)?),
        };
        let lock: Lock = diesel::sql_query(LOCK).get_result(connection)?;
        if !lock.is_ours {
            return Ok(());
        }
        connection.batch_execute(CREATE_TABLE)?;
        for channel in &self.channels {
            connection.batch_execute(&format!("LISTEN \"{}\"", channel.replace('"', "\"\"")))?;
        }
        self.is_listening = true;
        log::info!("listening to the notifications of {}", self.channels.join(", "));
        Ok(())
    }

    fn try_load(&mut self, id: i64) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let row: Option<Attachment> =
            diesel::sql_query("SELECT payload FROM socket_io_attachments WHERE id = $1 AND payload IS NOT NULL")
                .bind::<BigInt, _>(id)
                .get_result(connection)
                .optional()?;
        Ok(row.map(|row| row.payload))
    }

    fn settle<T>(&mut self, result: Result<T, Trouble>) -> Result<T, StoreError> {
        match result {
            Ok(value) => {
                self.reporter.succeeded();
                Ok(value)
            }
            Err(trouble) => {
                // Its end gives up the lock.
                self.connection = None;
                self.is_listening = false;
                Err(self.reporter.failed(&trouble))
            }
        }
    }
}

impl NoticeBoard for Notices {
    fn take(&mut self) -> Result<Vec<Notification>, StoreError> {
        let taken = self.try_take();
        self.settle(taken)
    }

    fn attachment(&mut self, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let loaded = self.try_load(id);
        self.settle(loaded)
    }
}

#[derive(QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    is_ours: bool,
}

#[derive(QueryableByName)]
struct Attachment {
    #[diesel(sql_type = Binary)]
    payload: Vec<u8>,
}

/// Any number does, if nobody else uses it: "emitter" in ASCII.
const LOCK: &str = "SELECT pg_try_advisory_lock(28548142435787122) AS is_ours";

/// As the documentation of the emitter has it, which does not make it by itself.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS socket_io_attachments (
    id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)";

/// Long enough for whoever else reads the table.
const SWEEP: &str = "DELETE FROM socket_io_attachments WHERE created_at < NOW() - INTERVAL '60 seconds'";

const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How often a server without the lock, or without a connection, tries again.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);

/// Notifications taken at a time.
const NOTIFICATIONS_MAX: usize = 256;
