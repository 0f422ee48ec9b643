//! Migrations: up, down and up again on both databases, which then have the same tables.

use std::collections::BTreeMap;

use diesel::connection::{Connection, SimpleConnection};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tempfile::TempDir;

use santral::ports::store::Durability;
use santral::store::{StoreOptions, migrate};
use santral_testkit::postgres::Postgres;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Columns per table: name, whether NULL is allowed, and whether it is text, number or bytes.
type Tables = BTreeMap<String, BTreeMap<String, (bool, &'static str)>>;

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    is_nullable: String,
    #[diesel(sql_type = Text)]
    data_type: String,
}

fn tables(rows: Vec<ColumnRow>) -> Tables {
    let mut tables = Tables::new();
    for row in rows {
        let kind = match row.data_type.to_lowercase().as_str() {
            "text" => "text",
            "integer" | "bigint" => "number",
            "blob" | "bytea" => "bytes",
            other => panic!("{}.{} has the type {other}, which only one database has", row.table_name, row.column_name),
        };
        tables.entry(row.table_name).or_default().insert(row.column_name, (row.is_nullable == "YES", kind));
    }
    tables
}

fn tables_of_sqlite(connection: &mut SqliteConnection) -> Tables {
    let rows = diesel::sql_query(
        "SELECT tables.name AS table_name, columns.name AS column_name, columns.type AS data_type,
            CASE WHEN columns.\"notnull\" THEN 'NO' ELSE 'YES' END AS is_nullable
         FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' AND tables.name NOT LIKE '\\_\\_%' ESCAPE '\\' AND tables.name NOT LIKE 'sqlite%'",
    );
    tables(rows.load(connection).expect("SQLite describes itself"))
}

fn tables_of_postgres(connection: &mut PgConnection) -> Tables {
    let rows = diesel::sql_query(
        "SELECT table_name::text, column_name::text, is_nullable::text, data_type::text
         FROM information_schema.columns WHERE table_schema = 'public' AND left(table_name, 2) <> '__'",
    );
    tables(rows.load(connection).expect("PostgreSQL describes itself"))
}

fn up_down_up<C>(
    connection: &mut C,
    migrations: fn() -> EmbeddedMigrations,
    tables: impl Fn(&mut C) -> Tables,
) -> Tables
where
    C: Connection + MigrationHarness<<C as Connection>::Backend>,
{
    connection.run_pending_migrations(migrations()).expect("up");
    let first = tables(connection);
    connection.revert_all_migrations(migrations()).expect("down");
    assert_eq!(tables(connection), Tables::new(), "down leaves nothing");
    connection.run_pending_migrations(migrations()).expect("up again");
    let second = tables(connection);
    assert_eq!(first, second);
    second
}

#[test]
fn both_databases_go_up_down_and_up_to_the_same_tables() {
    let folder = TempDir::with_prefix("santral-migrations-").expect("a temporary folder");
    let path = folder.path().join("log.db");
    let mut sqlite = SqliteConnection::establish(&path.display().to_string()).expect("a fresh file");
    let of_sqlite = up_down_up(&mut sqlite, || SQLITE, tables_of_sqlite);
    for table in [
        "users",
        "connections",
        "messages",
        "event_logs",
        "video_rooms",
        "video_participants",
        "video_bans",
        "webhook_outbox",
        "server_settings",
    ] {
        assert!(of_sqlite.contains_key(table), "{table}");
    }
    let Some(server) = Postgres::start().expect("a private PostgreSQL") else { return };
    let mut postgres = PgConnection::establish(&server.url()).expect("it runs");
    assert_eq!(up_down_up(&mut postgres, || POSTGRES, tables_of_postgres), of_sqlite);
}

#[test]
fn migrations_have_the_same_numbers_and_names() {
    let names = |migrations: EmbeddedMigrations, is_sqlite: bool| -> Vec<String> {
        use diesel::migration::MigrationSource;
        match is_sqlite {
            true => MigrationSource::<Sqlite>::migrations(&migrations)
                .expect("they are embedded")
                .iter()
                .map(|migration| migration.name().to_string())
                .collect(),
            false => MigrationSource::<Pg>::migrations(&migrations)
                .expect("they are embedded")
                .iter()
                .map(|migration| migration.name().to_string())
                .collect(),
        }
    };
    assert_eq!(names(SQLITE, true), names(POSTGRES, false));
}

#[test]
fn servers_that_migrate_at_once_wait_for_each_other() {
    let folder = TempDir::with_prefix("santral-migrations-").expect("a temporary folder");
    let server = Postgres::start().expect("a private PostgreSQL");
    let urls = [Some(format!("sqlite:{}/log.db", folder.path().display())), server.as_ref().map(Postgres::url)];
    for url in urls.into_iter().flatten() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let options = StoreOptions { url: url.clone(), durability: Durability::Disk, readers: 1 };
                scope.spawn(move || migrate(&options).unwrap_or_else(|error| panic!("{error}")));
            }
        });
    }
}

/// The tables that a server of the previous release filled are kept: rows survive a second run.
#[test]
fn a_migration_that_ran_is_not_run_again() {
    let folder = TempDir::with_prefix("santral-migrations-").expect("a temporary folder");
    let path = folder.path().join("log.db");
    let url = format!("sqlite:{}", path.display());
    let options = StoreOptions { url, durability: Durability::Disk, readers: 1 };
    migrate(&options).expect("a fresh file");
    let mut sqlite = SqliteConnection::establish(&path.display().to_string()).expect("it is there");
    let setting = "INSERT INTO server_settings (key, value_json, updated_at) VALUES ('a', '1', 0)";
    sqlite.batch_execute(setting).expect("the table is there");
    migrate(&options).expect("a second run");
    assert!(sqlite.batch_execute(setting).is_err(), "the row is there still");
}
