//! The least that storing can cost: batches of rows into SQLite with `synchronous=FULL`.
//!
//! It takes the schema and one row of `messages` from a database that Santral wrote, makes a new
//! database with the same schema beside it and inserts copies of that row, one statement and one
//! commit a batch. Runs as a hidden subcommand, as a child on the server's core.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

use crate::error::{BenchError, During, Result};
use crate::servers::Launch;

const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How deep below a server's directory its database is looked for.
const SEARCH_DEPTH: usize = 3;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    is_key: i64,
}

/// Runs the loop as a child on the server's cores; returns rows a second.
///
/// # Errors
/// When there is no database of Santral's under `directory`, or the child fails.
pub fn run_child(launch: &Launch, directory: &Path, batch: usize, span: Duration) -> Result<f64> {
    let bench = std::env::current_exe().during("find the bench's own program")?;
    let output = Command::new("taskset")
        .args(["-c", &launch.server_cores])
        .arg(bench)
        .arg("bare-insert")
        .arg("--directory")
        .arg(directory)
        .args(["--batch", &batch.to_string(), "--seconds", &span.as_secs().to_string()])
        .output()
        .during("run the bare insert loop")?;
    let rate = String::from_utf8_lossy(&output.stdout).trim().parse().ok();
    rate.ok_or_else(|| BenchError::Helper {
        program: "bare insert loop",
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Inserts for `span` and returns rows a second.
///
/// # Errors
/// When there is no database of Santral's under `directory`, or SQLite fails.
pub fn run(directory: &Path, batch: usize, span: Duration) -> Result<f64> {
    let Some(original) = find_database(directory, SEARCH_DEPTH) else {
        return Err(BenchError::Timeout { what: "a database of Santral's to copy the schema from" });
    };
    let copy = original.with_file_name(format!("bare-{batch}.sqlite"));
    let mut connection = SqliteConnection::establish(&copy.to_string_lossy())?;
    connection.batch_execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let original = original.to_string_lossy().replace('\'', "''");
    connection.batch_execute(&format!("ATTACH '{original}' AS original;"))?;
    copy_schema(&mut connection)?;
    let insert = prepare(&mut connection, batch)?;
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < span {
        connection
            .immediate_transaction(|connection| sql_query(&insert).bind::<BigInt, _>(rows).execute(connection))?;
        rows += batch as i64;
    }
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}

fn copy_schema(connection: &mut SqliteConnection) -> Result<()> {
    let statements: Vec<Line> = sql_query(
        "SELECT sql AS value FROM original.sqlite_master WHERE tbl_name = 'messages' \
         AND sql IS NOT NULL AND type IN ('table', 'index') ORDER BY type DESC",
    )
    .load(connection)?;
    for statement in statements {
        connection.batch_execute(&statement.value)?;
    }
    Ok(())
}

/// Makes a template row and the numbers of a batch, and returns the statement that inserts one.
fn prepare(connection: &mut SqliteConnection, batch: usize) -> Result<String> {
    let columns: Vec<Column> =
        sql_query("SELECT name, CAST(pk AS BIGINT) AS is_key FROM pragma_table_info('messages')").load(connection)?;
    connection.batch_execute(&format!(
        "CREATE TEMP TABLE template AS SELECT * FROM original.messages LIMIT 1; \
         CREATE TEMP TABLE batch AS WITH RECURSIVE numbers(number) AS \
         (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {batch}) \
         SELECT number FROM numbers; DETACH original;"
    ))?;
    let names: Vec<String> = columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let values: Vec<String> = columns
        .iter()
        .zip(&names)
        .map(|(column, name)| match column.is_key {
            0 => format!("template.{name}"),
            _ => "?1 + batch.number".to_owned(),
        })
        .collect();
    let (names, values) = (names.join(", "), values.join(", "));
    Ok(format!("INSERT INTO messages ({names}) SELECT {values} FROM batch, template"))
}

fn find_database(directory: &Path, depth: usize) -> Option<PathBuf> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            directories.push(path);
        } else if is_original(&path) {
            return Some(path);
        }
    }
    let depth = depth.checked_sub(1)?;
    directories.iter().find_map(|directory| find_database(directory, depth))
}

fn is_original(path: &Path) -> bool {
    let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bare-"));
    let mut magic = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    !ours && read.is_ok() && &magic == SQLITE_MAGIC
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};

    #[test]
    fn rows_are_copied_into_the_schema_of_the_original() {
        let directory = tempfile::tempdir().expect("the system gives a directory");
        let path = directory.path().join("santral.sqlite");
        let mut original = SqliteConnection::establish(&path.to_string_lossy()).expect("a new database opens");
        original
            .batch_execute(
                "CREATE TABLE messages (\"offset\" INTEGER PRIMARY KEY, data TEXT NOT NULL); \
                 CREATE INDEX messages_data ON messages (data, \"offset\"); \
                 INSERT INTO messages VALUES (7, 'x');",
            )
            .expect("the statements are valid");
        let rate = super::run(directory.path(), 16, Duration::from_millis(50));
        assert!(rate.expect("the loop runs") > 0.0);
    }
}
