//! Looks at a database from beside a running server, for `santral doctor`: reads, and changes nothing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::sqlite::SqliteConnection;

use santral_core::entry::Timestamp;

use super::database::{Database, each};
use super::error::Trouble;
use super::location::Location;
use super::pool::Connector;
use super::schema::messages;
use super::{cause, log_state, migrations, sqlite};
use crate::ports::store::LogState;
use crate::ports::survey::{Integrity, Survey, SurveyError};

/// Looks at the database with this URL.
///
/// # Errors
/// [`SurveyError`], with a text for the operator that shows no password.
pub fn survey(url: &str) -> Result<Survey, SurveyError> {
    let unusable = |url: String, cause: String| SurveyError::Unusable { url, cause };
    let location = Location::parse(url).map_err(|error| unusable("database_url".to_owned(), error.to_string()))?;
    if let Location::Sqlite(path) = &location
        && !path.exists()
    {
        return Err(SurveyError::Missing(path.clone()));
    }
    let look = || look_at(&mut Connector::new(location.clone()).open()?.database, &location);
    look().map_err(|trouble| unusable(location.to_string(), cause(&location, &trouble)))
}

fn look_at(database: &mut Database, location: &Location) -> Result<Survey, Trouble> {
    let special = match database {
        Database::Sqlite(connection) => of_sqlite(connection)?,
        Database::Postgres(connection) => of_postgres(connection)?,
    };
    // What is damaged is not asked for more.
    let is_readable = !matches!(special.integrity, Integrity::Damaged(_));
    let applied = if is_readable { applied_migrations(database)? } else { Vec::new() };
    let (pending, unknown) = migrations::compare(database, &applied);
    // Without its tables there is no log to be read.
    let has_tables = !applied.is_empty();
    let state = if has_tables { log_of(database)? } else { None };
    let newest = if has_tables { newest_message(database)? } else { None };
    Ok(Survey {
        system: special.system,
        url: location.to_string(),
        pending: if is_readable { pending } else { Vec::new() },
        unknown,
        messages: state.map(|state| state.head.saturating_sub(state.trimmed_to)),
        newest: newest.map(Timestamp),
        integrity: special.integrity,
        safety: special.safety,
        clock_ahead_micros: special.clock_ahead_micros,
        commits: special.commits,
    })
}

/// What only one of the databases can say.
struct Special {
    system: String,
    integrity: Integrity,
    safety: Vec<(&'static str, String, bool)>,
    clock_ahead_micros: Option<i64>,
    commits: Vec<Duration>,
}

/// The versions of the migrations that ran; none in an empty database, where Diesel's own way of
/// asking would create its table.
fn applied_migrations(database: &mut Database) -> Result<Vec<String>, Trouble> {
    let exists = match database {
        Database::Sqlite(_) => {
            "SELECT count(*) > 0 AS value FROM sqlite_master WHERE name = '__diesel_schema_migrations'"
        }
        Database::Postgres(_) => "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS value",
    };
    let exists: Flag = each!(database, connection => diesel::sql_query(exists).get_result(connection))?;
    if !exists.value {
        return Ok(Vec::new());
    }
    let query = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY version";
    let rows: Vec<Word> = each!(database, connection => diesel::sql_query(query).load(connection))?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// Where the log stands; `None` before the first start has made one.
fn log_of(database: &mut Database) -> Result<Option<LogState>, Trouble> {
    match log_state::load(database) {
        Ok(state) => Ok(Some(state)),
        Err(Trouble::NoLog) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

fn newest_message(database: &mut Database) -> Result<Option<i64>, Trouble> {
    let newest = messages::table.order(messages::offset.desc()).select(messages::created_at);
    Ok(newest.first(database).optional()?)
}

fn of_sqlite(connection: &mut SqliteConnection) -> Result<Special, Trouble> {
    let version: Word = diesel::sql_query("SELECT sqlite_version() AS value").get_result(connection)?;
    let start = Instant::now();
    let integrity = match sqlite::check_integrity(connection) {
        Ok(()) => Integrity::Whole(start.elapsed()),
        Err(Trouble::Damaged(what)) => Integrity::Damaged(what),
        Err(trouble) if trouble.hints_at_damage() => Integrity::Damaged(trouble.to_string()),
        Err(trouble) => return Err(trouble),
    };
    Ok(Special {
        system: format!("SQLite {}", version.value),
        integrity,
        // Each connection of ours sets what it needs, and refuses a database that will not have it.
        safety: Vec::new(),
        clock_ahead_micros: None,
        commits: Vec::new(),
    })
}

fn of_postgres(connection: &mut PgConnection) -> Result<Special, Trouble> {
    let version: Word =
        diesel::sql_query("SELECT current_setting('server_version') AS value").get_result(connection)?;
    let mut safety = Vec::new();
    // What the database is set to, not what our connections set for themselves.
    for name in ["fsync", "full_page_writes"] {
        let value: Word =
            diesel::sql_query("SELECT current_setting($1) AS value").bind::<Text, _>(name).get_result(connection)?;
        let is_safe = value.value == "on";
        safety.push((name, value.value, is_safe));
    }
    Ok(Special {
        system: format!("PostgreSQL {}", version.value),
        integrity: Integrity::NotOurs,
        safety,
        clock_ahead_micros: Some(clock_ahead(connection)?),
        commits: commits(connection),
    })
}

/// Their clock against the middle of the time that asking took.
fn clock_ahead(connection: &mut PgConnection) -> Result<i64, Trouble> {
    let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS value";
    let before = now_micros();
    let theirs: Number = diesel::sql_query(query).get_result(connection)?;
    let after = now_micros();
    Ok(theirs.value - (before + (after - before) / 2))
}

/// Commits that change no table: a message in the write-ahead log has to reach the disk like a row.
/// Where the database refuses them, nothing was measured.
fn commits(connection: &mut PgConnection) -> Vec<Duration> {
    let commit = || {
        let start = Instant::now();
        connection.batch_execute("SELECT pg_logical_emit_message(true, 'santral-doctor', '')").ok()?;
        Some(start.elapsed())
    };
    std::iter::repeat_with(commit).take(COMMITS).map_while(|took| took).collect()
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    value: bool,
}

/// Enough for a median.
const COMMITS: usize = 20;
