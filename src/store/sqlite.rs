//! What is special to SQLite: its file, and the settings of a connection.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use santral_core::limits::STORAGE_BUSY_TIMEOUT;

use super::error::{OpenError, Trouble};
use crate::ports::store::Durability;

/// Creates the database file, readable by its owner only, and its folder where that is missing.
///
/// Connections never create it: a file that vanished must be an error, not a silently fresh log.
pub(super) fn create_file(path: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| OpenError::Create { path, source }
    };
    let folder = folder_of(path);
    create_folder(folder).map_err(failed(folder))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => sync_folder(folder).map_err(failed(folder)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Opens a connection with the settings that every connection has.
///
/// It starts at `synchronous=FULL`: see [`set_durability`].
pub(super) fn connect(path: &Path) -> Result<SqliteConnection, Trouble> {
    let mut connection =
        SqliteConnection::establish(&uri(path)).map_err(|error| Trouble::Connect(error.to_string()))?;
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", STORAGE_BUSY_TIMEOUT.as_millis()))?;
    connection.batch_execute(
        "PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; \
         PRAGMA trusted_schema = OFF; \
         PRAGMA journal_size_limit = 67108864; \
         PRAGMA cache_size = -8192;",
    )?;
    let mode: JournalMode = diesel::sql_query("PRAGMA journal_mode = WAL").get_result(&mut connection)?;
    if mode.journal_mode != "wal" {
        return Err(Trouble::Setting("journal_mode = WAL"));
    }
    Ok(connection)
}

/// Decides whether a commit waits for the disk.
pub(super) fn set_durability(connection: &mut SqliteConnection, durability: Durability) -> QueryResult<()> {
    connection.batch_execute(match durability {
        Durability::Disk => "PRAGMA synchronous = FULL",
        Durability::Os => "PRAGMA synchronous = NORMAL",
    })
}

/// Keeps fewer pages in memory, for a connection that appends and seldom reads.
pub(super) fn keep_few_pages(connection: &mut SqliteConnection) -> QueryResult<()> {
    connection.batch_execute("PRAGMA cache_size = -1024")
}

/// Looks through the whole file, which takes seconds: only when something hinted at damage.
pub(super) fn check_integrity(connection: &mut SqliteConnection) -> Result<(), Trouble> {
    let found: IntegrityCheck = diesel::sql_query("PRAGMA quick_check(1)").get_result(connection)?;
    match found.quick_check.as_str() {
        "ok" => Ok(()),
        _ => Err(Trouble::Damaged(found.quick_check)),
    }
}

/// Which files a connection has open, to notice when others stand in their place.
///
/// SQLite goes on writing to files that were deleted, and those entries would be gone at the next
/// start. So this is compared before and after each commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileIdentity {
    path: PathBuf,
    database: (u64, u64),
    log: Option<(u64, u64)>,
}

impl FileIdentity {
    /// The files that stand there now. SQLite keeps the write-ahead log open while it is connected.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let identity = |path: &Path| path.metadata().map(|data| (data.dev(), data.ino()));
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self { path: path.to_path_buf(), database: identity(path)?, log: identity(Path::new(&log)).ok() })
    }

    /// Whether they still stand there.
    pub(super) fn is_current(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }
}

/// The boot of this machine: what the page cache of the operating system does not outlive.
///
/// Where the system does not tell, every run counts as a boot of its own, which is safe.
pub(super) fn boot() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => nanoid::nanoid!(),
    }
}

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

#[derive(QueryableByName)]
struct IntegrityCheck {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

/// The path as a URI, the only way to ask SQLite not to create the file (sqlite.org/uri.html).
fn uri(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    // `file://x` would name a host.
    let rooted = path.trim_start_matches('/');
    let root = if rooted.len() < path.len() { "/" } else { "" };
    format!("file:{root}{rooted}?mode=rw")
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Creates a folder for its owner only. A power cut must not take a new folder with its log away,
/// so the folders above, which hold the new names, are synced.
fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    if missing.iter().all(|folder| folder.as_os_str().is_empty()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    missing.into_iter().filter(|folder| !folder.as_os_str().is_empty()).try_for_each(|new| sync_folder(folder_of(new)))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
