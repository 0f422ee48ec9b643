//! Whose turn it is to send webhooks: of several servers on one PostgreSQL, one at a time, or the order of a
//! line would be nobody's. The lock is held by a connection; when that is gone, another server takes over.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use parking_lot::Mutex;

use super::error::Trouble;
use super::location::Location;
use super::postgres;

/// See the module.
pub(super) struct SendingTurn {
    location: Location,
    /// Locked while the database is asked: the thread that sends is the only one who does.
    holder: Mutex<Option<Holder>>,
}

struct Holder {
    connection: PgConnection,
    is_ours: bool,
}

impl SendingTurn {
    /// Connects when somebody asks for the first time.
    pub(super) fn new(location: Location) -> Self {
        Self { location, holder: Mutex::new(None) }
    }

    /// Whether this server may send. A file of SQLite has one server only.
    pub(super) fn is_ours(&self) -> Result<bool, Trouble> {
        let Location::Postgres(url) = &self.location else { return Ok(true) };
        let mut place = self.holder.lock();
        let mut holder = match place.take() {
            Some(holder) => holder,
            None => Holder { connection: postgres::connect(url)?, is_ours: false },
        };
        // A holder whose connection fails is dropped here, and its lock with it.
        let query = if holder.is_ours { STILL } else { LOCK };
        let turn: Turn = diesel::sql_query(query).get_result(&mut holder.connection)?;
        holder.is_ours = turn.is_ours;
        *place = Some(holder);
        Ok(turn.is_ours)
    }
}

#[derive(QueryableByName)]
struct Turn {
    #[diesel(sql_type = Bool)]
    is_ours: bool,
}

/// Any number does, if nobody else uses it: "webhooks" in ASCII.
const LOCK: &str = "SELECT pg_try_advisory_lock(8603390863846894451) AS is_ours";

/// The connection lives, and so does its lock.
const STILL: &str = "SELECT true AS is_ours";
