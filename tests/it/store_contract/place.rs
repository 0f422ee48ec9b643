//! Where a case keeps its log, and short ways to write cases.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tempfile::TempDir;

use santral::ports::store::{Append, Appended, Durability, IdempotencyKey, LogReader, LogWriter, PageQuery};
use santral::store::{Opened, StoreOptions, open};
use santral_core::entry::{Entry, Publication, Timestamp};
use santral_core::names::{ChannelName, Selector};
use santral_core::position::Offset;
use santral_testkit::postgres::Postgres;

/// A database of one case's own. It is gone when this is dropped.
pub(crate) struct Place {
    url: String,
    home: Home,
}

enum Home {
    Folder { _kept: TempDir },
    Cluster(Arc<Cluster>),
}

/// One PostgreSQL for the cases that run at the same time, each with a database of its own.
struct Cluster {
    postgres: Postgres,
    databases: AtomicU32,
}

impl Place {
    /// A fresh SQLite file in a folder that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        let folder = TempDir::with_prefix("santral-store-").expect("a temporary folder");
        Self { url: format!("sqlite:{}/data/log.db", folder.path().display()), home: Home::Folder { _kept: folder } }
    }

    /// A fresh database; `None`, said loudly, where PostgreSQL is not installed.
    pub(crate) fn postgres() -> Option<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = match shared.upgrade() {
            Some(cluster) => cluster,
            None => {
                let postgres = Postgres::start().expect("a private PostgreSQL")?;
                Arc::new(Cluster { postgres, databases: AtomicU32::new(0) })
            }
        };
        *shared = Arc::downgrade(&cluster);
        Some(Self::in_cluster(cluster))
    }

    fn in_cluster(cluster: Arc<Cluster>) -> Self {
        let name = format!("case_{}", cluster.databases.fetch_add(1, Ordering::Relaxed));
        let url = cluster.postgres.create_database(&name).expect("a fresh database");
        Self { url, home: Home::Cluster(cluster) }
    }

    /// What names the database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether this is SQLite, for the few words of SQL that differ.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.home, Home::Folder { .. })
    }

    /// A second database beside this one.
    pub(crate) fn another(&self) -> Self {
        match &self.home {
            Home::Folder { .. } => Self::sqlite(),
            Home::Cluster(cluster) => Self::in_cluster(Arc::clone(cluster)),
        }
    }

    /// The file of the SQLite database.
    pub(crate) fn file(&self) -> PathBuf {
        self.url.strip_prefix("sqlite:").expect("a case for SQLite").into()
    }

    /// Opens the log as the server does.
    pub(crate) fn open(&self) -> Opened {
        self.open_with(Durability::Disk)
    }

    /// Opens the log with a durability.
    pub(crate) fn open_with(&self, durability: Durability) -> Opened {
        open_at(&self.url, durability)
    }

    /// Somebody else's connection to the same database.
    pub(crate) fn stranger(&self) -> Stranger {
        Stranger::at(&self.url)
    }

    /// Lets a stranger execute SQL.
    pub(crate) fn execute(&self, sql: &str) {
        self.stranger().execute(sql);
    }
}

/// Opens the log at a URL.
pub(crate) fn open_at(url: &str, durability: Durability) -> Opened {
    let options = StoreOptions { url: url.to_owned(), durability, readers: 2 };
    open(&options).unwrap_or_else(|error| panic!("the log opens: {error}"))
}

/// A connection that does not go through the store.
pub(crate) enum Stranger {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Stranger {
    /// Connects to a database by its URL.
    pub(crate) fn at(url: &str) -> Self {
        match url.strip_prefix("sqlite:") {
            Some(path) => Self::Sqlite(SqliteConnection::establish(path).expect("the file is there")),
            None => Self::Postgres(PgConnection::establish(url).expect("the server is there")),
        }
    }

    /// Executes SQL that means the same on both databases.
    pub(crate) fn execute(&mut self, sql: &str) {
        let done = match self {
            Self::Sqlite(connection) => connection.batch_execute(&format!("PRAGMA busy_timeout = 10000; {sql}")),
            Self::Postgres(connection) => connection.batch_execute(sql),
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Counts the rows of a table.
    pub(crate) fn count(&mut self, table: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            rows: i64,
        }
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        let count: Count = match self {
            Self::Sqlite(connection) => diesel::sql_query(sql).get_result(connection),
            Self::Postgres(connection) => diesel::sql_query(sql).get_result(connection),
        }
        .expect("the table is there");
        count.rows
    }
}

/// Waits until something holds.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_micros()).expect("a clock before the year 294,000"))
}

/// A channel name.
pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("a valid name")
}

/// A message with nothing but a channel and data.
pub(crate) fn message(name: &str, data: &str) -> Publication {
    Publication::new(channel(name), data)
}

/// An append of one message without a key.
pub(crate) fn plain(name: &str, data: &str) -> Append {
    Append { publications: vec![message(name, data)], at: now(), key: None }
}

/// A key of the principal `ada`.
pub(crate) fn key(key: &str, fingerprint: u8) -> IdempotencyKey {
    IdempotencyKey { principal: "ada".into(), key: key.into(), fingerprint: [fingerprint; 32] }
}

/// Appends and returns what became of it.
pub(crate) fn append(writer: &mut Box<dyn LogWriter>, appends: &[Append]) -> Vec<Appended> {
    writer.append(appends).expect("nothing is wrong with the database")
}

/// Appends one message and returns its offset.
pub(crate) fn append_one(writer: &mut Box<dyn LogWriter>, name: &str, data: &str) -> Offset {
    stored(&append(writer, &[plain(name, data)])[0])[0]
}

/// The offsets of an append that was stored.
pub(crate) fn stored(appended: &Appended) -> Vec<Offset> {
    match appended {
        Appended::Stored(entries) => offsets(entries),
        other => panic!("not stored: {other:?}"),
    }
}

/// The offsets of entries.
pub(crate) fn offsets(entries: &[Arc<Entry>]) -> Vec<Offset> {
    entries.iter().map(|entry| entry.offset().expect("entries of the log have offsets")).collect()
}

/// A query for everything that selectors match.
pub(crate) fn all_of(selectors: &[&str]) -> PageQuery {
    let selectors = selectors.iter().map(|text| Selector::parse(text).expect("a valid selector")).collect();
    PageQuery { selectors, after: 0, upto: Offset::MAX, entries_max: 1_000_000, bytes_max: usize::MAX }
}

/// Everything in the log.
pub(crate) fn everything(reader: &Arc<dyn LogReader>) -> Vec<Arc<Entry>> {
    reader.page(&all_of(&[])).expect("nothing is wrong with the database").entries
}
