//! What is special to PostgreSQL: how to connect, and the settings of a connection.

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use santral_core::limits::STORAGE_BUSY_TIMEOUT;

use super::error::Trouble;
use crate::ports::store::Durability;

/// Opens a connection with the settings that every connection has.
///
/// It starts at `synchronous_commit = on`: see [`set_durability`].
pub(super) fn connect(url: &str) -> Result<PgConnection, Trouble> {
    let mut connection =
        PgConnection::establish(&with_defaults(url)).map_err(|error| Trouble::Connect(error.to_string()))?;
    connection.batch_execute(&format!("SET lock_timeout = {}", STORAGE_BUSY_TIMEOUT.as_millis()))?;
    connection.batch_execute(
        "SET jit = off; \
         SET enable_seqscan = off; \
         SET enable_bitmapscan = off; \
         SET synchronous_commit = on; \
         SET statement_timeout = '30s'; \
         SET idle_in_transaction_session_timeout = '10s';",
    )?;
    Ok(connection)
}

/// Decides whether a commit waits for the disk.
pub(super) fn set_durability(connection: &mut PgConnection, durability: Durability) -> QueryResult<()> {
    connection.batch_execute(match durability {
        Durability::Disk => "SET synchronous_commit = on",
        Durability::Os => "SET synchronous_commit = off",
    })
}

/// The start of the database server: what its unwritten log does not outlive.
pub(super) fn boot(connection: &mut PgConnection) -> QueryResult<String> {
    let start: Boot =
        diesel::sql_query("SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text AS boot")
            .get_result(connection)?;
    Ok(start.boot)
}

/// Makes other servers wait until this transaction ends: only one may migrate.
pub(super) fn lock_migrations(connection: &mut PgConnection) -> QueryResult<()> {
    connection.batch_execute("SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = 0")?;
    // Any number does, if nobody else uses it: "santral" in ASCII.
    diesel::sql_query("SELECT pg_advisory_xact_lock(32481160116396396)").execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Boot {
    #[diesel(sql_type = Text)]
    boot: String,
}

/// Adds libpq parameters that the URL leaves open: a server that is down or gone is noticed within
/// seconds, not minutes (PostgreSQL manual, section 34.1.2).
fn with_defaults(url: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let is_set = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let mut full = url.to_owned();
    for (name, value) in DEFAULTS {
        if !is_set(name) {
            full.push(if full.contains('?') { '&' } else { '?' });
            full.push_str(name);
            full.push('=');
            full.push_str(value);
        }
    }
    full
}

const DEFAULTS: [(&str, &str); 6] = [
    ("application_name", "santral"),
    ("connect_timeout", "2"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_url_says_is_kept() {
        let full = with_defaults("postgres://db/santral?connect_timeout=9");
        assert!(full.starts_with("postgres://db/santral?connect_timeout=9&application_name=santral&"), "{full}");
        assert!(!full.contains("connect_timeout=2"), "{full}");
        assert!(with_defaults("postgres://db/santral").contains("/santral?application_name=santral&connect_timeout=2"));
    }
}
