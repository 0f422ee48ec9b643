//! The checks on the machine of the server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use diesel::connection::{Connection, SimpleConnection};
use diesel::sqlite::SqliteConnection;
use tempfile::TempDir;

use santral_testkit::postgres::{Postgres, StopMode};

use super::{Diagnosis, diagnose, doctor};
use crate::support::{PATIENCE, Santral};

/// Checks that depend on the machine that runs the test are left out.
const STEADY: [&str; 8] =
    ["configuration", "data-directory", "secrets", "database", "migrations", "integrity", "durability", "clock"];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs it with the settings of this server, whose directory is as private as one that the server makes.
fn beside(santral: &Santral) -> Diagnosis {
    chmod(santral.data_dir.path(), 0o700);
    let listen = santral.address.to_string();
    let data_dir = santral.data_dir.path().display().to_string();
    doctor(santral.data_dir.path(), &[], &[("SANTRAL_DATA_DIR", &data_dir), ("SANTRAL_LISTEN", &listen)])
}

/// A data directory as a server has left it.
fn left_behind() -> Santral {
    let mut santral = Santral::start();
    for number in 0..500 {
        santral.broadcast(&format!("[{number},\"{}\"]", "x".repeat(200)));
    }
    santral.server.terminate(PATIENCE).expect("it stops");
    santral
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn sqlite(santral: &Santral, sql: &str) {
    let path = santral.data_dir.path().join("santral.db");
    let mut connection = SqliteConnection::establish(&path.display().to_string()).expect("the database opens");
    connection.batch_execute(sql).expect("the statement runs");
}

#[test]
fn before_the_first_start_all_is_well_and_nothing_is_made() {
    let folder = folder();
    let diagnosis = doctor(folder.path(), &[], &[("SANTRAL_LISTEN", "127.0.0.1:0")]);
    diagnosis.is_well(&["configuration", "data-directory", "secrets", "database", "durability", "clock", "listen"]);
    diagnosis.says("database", "ok", &["not there yet"]).says("migrations", "skipped", &[]);
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0, "it changes nothing");
    for check in ["free-space", "disk-sync", "open-files", "kernel", "memory"] {
        assert_ne!(diagnosis.outcome(check), "fail", "{diagnosis:#?}");
    }
}

#[test]
fn beside_a_running_server_all_is_well_and_the_server_goes_on() {
    let santral = Santral::start();
    for number in 0..3 {
        santral.broadcast(&number.to_string());
    }
    let diagnosis = beside(&santral);
    diagnosis.is_well(&STEADY).says("listen", "ok", &["answers on", "open mode"]);
    diagnosis.says("database", "ok", &["SQLite", "about 3 messages"]);
    assert_ne!(diagnosis.outcome("disk-sync"), "skipped");
    santral.broadcast("4");
}

#[test]
fn everything_that_is_wrong_with_the_configuration_is_said_at_once() {
    let diagnosis = doctor(folder().path(), &[], &[("SANTRAL_WORKERS", "0"), ("SANTRAL_LISTEM", "x")]);
    diagnosis.has_failed().says("configuration", "fail", &["workers", "SANTRAL_LISTEM", "did you mean"]);
    diagnosis.says("listen", "skipped", &[]);
}

#[test]
fn a_data_directory_that_others_read_or_that_is_none_is_told() {
    let santral = left_behind();
    let database = santral.data_dir.path().join("santral.db");
    chmod(&database, 0o644);
    beside(&santral).says("data-directory", "warn", &["santral.db", "chmod"]);
    let folder = folder();
    fs::write(folder.path().join("data"), "").expect("it can be written");
    doctor(folder.path(), &[], &[]).has_failed().says("data-directory", "fail", &["no directory"]);
}

#[test]
fn a_weak_key_and_a_password_in_the_open_are_told() {
    let folder = folder();
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("it can be made");
    let key = data.join("token.key");
    for (text, mode, word) in [("changeme", 0o600, "8 bytes"), ("0123456789abcdef0123456789abcdef", 0o644, "mode 644")]
    {
        fs::write(&key, text).expect("it can be written");
        chmod(&key, mode);
        doctor(folder.path(), &[], &[]).has_failed().says("secrets", "fail", &["token.key", word]);
    }
    chmod(&key, 0o600);
    doctor(folder.path(), &[], &[]).says("secrets", "ok", &[]);
    let url = "postgres://ada:hunter2@127.0.0.1:1/santral";
    let diagnosis = doctor(folder.path(), &["--database-url", url], &[]);
    diagnosis.has_failed().says("secrets", "warn", &["--database-url"]).says("database", "fail", &["127.0.0.1"]);
    assert!(!diagnosis.stdout.contains("hunter2"), "{diagnosis:#?}");
    let file = folder.path().join("santral.toml");
    fs::write(&file, format!("database_url = \"{url}\"")).expect("it can be written");
    chmod(&file, 0o644);
    doctor(folder.path(), &[], &[]).says("secrets", "warn", &["santral.toml", "chmod"]);
    chmod(&file, 0o600);
    doctor(folder.path(), &[], &[]).says("secrets", "ok", &[]);
}

#[test]
fn tables_of_another_version_are_told_and_left_alone() {
    let folder = folder();
    let database = folder.path().join("santral.db");
    fs::write(&database, "").expect("it can be written");
    let url = format!("sqlite:{}", database.display());
    let diagnosis = doctor(folder.path(), &[], &[("SANTRAL_DATABASE_URL", &url), ("SANTRAL_LISTEN", "127.0.0.1:0")]);
    diagnosis.says("migrations", "warn", &["0001_initial"]).says("database", "ok", &["no log yet"]);
    let santral = left_behind();
    beside(&santral).says("migrations", "ok", &[]);
    sqlite(&santral, "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')");
    beside(&santral).has_failed().says("migrations", "fail", &["9999", "newer version"]);
}

#[test]
fn a_damaged_database_is_told() {
    let santral = left_behind();
    beside(&santral).says("integrity", "ok", &["whole"]);
    let path = santral.data_dir.path().join("santral.db");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("it is ours");
    let length = file.metadata().expect("it is there").len();
    file.write_all_at(&[0xFF; 8_192], length / 2).expect("it can be written");
    beside(&santral).has_failed().says("integrity", "fail", &["damaged", "backup"]);
    fs::write(&path, "this is no database at all, whatever its name says").expect("it can be written");
    beside(&santral).has_failed().says("database", "fail", &["santral.db"]);
}

#[test]
fn a_message_from_the_future_is_told() {
    let santral = left_behind();
    beside(&santral).says("clock", "ok", &[]);
    sqlite(&santral, "UPDATE messages SET created_at = created_at + 3 * 3600 * 1000000 WHERE offset = 500");
    beside(&santral).says("clock", "warn", &["newest message", "h from now"]);
}

#[test]
fn an_address_that_is_taken_or_not_ours_is_told() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = stranger.local_addr().expect("a bound socket has an address").to_string();
    // Whoever comes is sent away without a word.
    std::thread::spawn(move || stranger.incoming().for_each(drop));
    let folder = folder();
    let diagnosis = doctor(folder.path(), &[], &[("SANTRAL_LISTEN", &taken)]);
    diagnosis.has_failed().says("listen", "fail", &["not Santral", "ss -ltnp"]);
    let elsewhere = [("SANTRAL_LISTEN", "203.0.113.1:8080"), ("SANTRAL_OPEN", "true")];
    doctor(folder.path(), &[], &elsewhere).has_failed().says("listen", "fail", &["cannot listen", "ip address"]);
}

#[test]
fn a_limit_on_open_files_below_what_is_wanted_is_told() {
    let folder = folder();
    let run = |limit: &str| {
        let mut command = Command::new("sh");
        let binary = Path::new(env!("CARGO_BIN_EXE_santral")).display().to_string();
        command.args(["-c", &format!("ulimit -n {limit} && exec {binary} doctor --json")]);
        command.env("SANTRAL_MAX_CONNECTIONS", "500").env("SANTRAL_LISTEN", "127.0.0.1:0").current_dir(folder.path());
        diagnose(&mut command)
    };
    run("1024").says("open-files", "ok", &["500 streams"]);
    run("256").says("open-files", "warn", &["max_connections is 500", "LimitNOFILE"]);
}

#[test]
fn postgresql_is_asked_for_its_clock_its_commits_and_its_safety() {
    let Some(mut postgres) = Postgres::start().expect("PostgreSQL starts") else { return };
    let url = postgres.create_database("doctor").expect("it can be made");
    let folder = folder();
    let run = || doctor(folder.path(), &[], &[("DATABASE_URL", &url), ("SANTRAL_LISTEN", "127.0.0.1:0")]);
    run().says("database", "ok", &["PostgreSQL", "no log yet"]).says("migrations", "warn", &["0001_initial"]);
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_santral"));
    assert!(migrate.arg("migrate").env("DATABASE_URL", &url).current_dir(folder.path()).status().is_ok());
    let diagnosis = run();
    diagnosis.is_well(&["database", "migrations", "durability"]).says("clock", "ok", &["database's agrees"]);
    assert!(diagnosis.finding("disk-sync").to_string().contains("commit of PostgreSQL"), "{diagnosis:#?}");
    postgres.psql("ALTER SYSTEM SET full_page_writes = off").expect("it takes settings");
    postgres.psql("SELECT pg_reload_conf()").expect("it reads them");
    postgres.stop(StopMode::Fast).expect("it stops");
    run().has_failed().says("database", "fail", &["127.0.0.1"]);
    postgres.start_again().expect("it starts again");
    run().has_failed().says("durability", "fail", &["full_page_writes = off"]);
}
