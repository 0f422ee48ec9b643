//! Where the database is: what `DATABASE_URL` says, and how to show it without its password.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::OpenError;

/// A database, by its URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// `sqlite:<path>`, also written `sqlite://<path>`.
    Sqlite(PathBuf),
    /// `postgres://…` or `postgresql://…`, as libpq takes it.
    Postgres(String),
}

impl Location {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:").ok_or(OpenError::UnknownUrl)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        // Each connection to `:memory:` would have a database of its own.
        if path.is_empty() || path.starts_with(':') || path.contains('\0') {
            return Err(OpenError::UnknownUrl);
        }
        Ok(Self::Sqlite(Path::new(path).to_path_buf()))
    }

    /// Takes the password out of what libpq said: it quotes a URL that it cannot read.
    pub(super) fn redact(&self, message: &str) -> String {
        let message = message.trim();
        let Self::Postgres(url) = self else {
            return message.to_owned();
        };
        let whole = message.replace(url.as_str(), &self.to_string());
        secrets(url).into_iter().fold(whole, |text, secret| text.replace(secret, "…"))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            // Where the password ends is anybody's guess.
            Self::Postgres(url) if stray_secret(url).is_some() => formatter.write_str("postgres://…"),
            Self::Postgres(url) => {
                let (shown, _) = url.split_once('?').unwrap_or((url, ""));
                match user_info(shown).and_then(|text| text.split_once(':')) {
                    Some((_, "")) | None => formatter.write_str(shown),
                    Some((_, secret)) => formatter.write_str(&shown.replacen(secret, "…", 1)),
                }
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What stands between `//` and `@`. A password may hold a stray `@`, so the last one counts.
fn user_info(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    authority.rsplit_once('@').map(|(user, _)| user)
}

/// The password, from wherever libpq takes one, the longest reading first.
fn secrets(url: &str) -> Vec<&str> {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
    // A stray `@` in it is read differently by different programs.
    let users = authority.rmatch_indices('@').map(|(end, _)| &authority[..end]);
    let inline = users.filter_map(|user| user.split_once(':')).map(|(_, secret)| secret);
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    let named = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| name.contains("password"));
    let found = inline.chain(named.map(|(_, secret)| secret)).filter(|secret| !secret.is_empty());
    // libpq quotes the part at which it stumbled.
    let pieces = stray_secret(url).into_iter().flat_map(|stray| {
        std::iter::once(stray).chain(stray.split(['/', '?', '&', '@']).filter(|piece| piece.len() >= PIECE_BYTES_MIN))
    });
    pieces.chain(found).collect()
}

/// What may be a password that nobody encoded: a URL has no `@` behind its authority (RFC 3986, section 3.2).
fn stray_secret(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.rfind('@')?;
    let start = rest.find(':').map_or(0, |colon| colon + 1);
    (rest.find(['/', '?']).is_some_and(|slash| slash < end) && start < end).then(|| &rest[start..end])
}

/// Shorter pieces of a password could stand anywhere.
const PIECE_BYTES_MIN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_sqlite_url_name_a_file() {
        for url in ["sqlite:data/log.db", "sqlite://data/log.db"] {
            assert_eq!(Location::parse(url).ok(), Some(Location::Sqlite("data/log.db".into())), "{url}");
        }
        assert_eq!(Location::parse("sqlite:///log.db").ok(), Some(Location::Sqlite("/log.db".into())));
        for url in ["sqlite:", "sqlite::memory:", "mysql://x", "log.db", ""] {
            assert!(matches!(Location::parse(url), Err(OpenError::UnknownUrl)), "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "postgres://ada:hunter2@db:5432/santral",
            "postgresql://ada:hunter2@db/santral?sslmode=require",
            "postgres://ada@db/santral?password=hunter2&x=1",
            "postgres://ada:hunter2@@db",
        ] {
            let location = Location::parse(url).expect("a URL of PostgreSQL");
            let said = location.redact(&format!("missing \"=\" after \"{url}\"; bad hunter2"));
            for text in [location.to_string(), format!("{location:?}"), said] {
                assert!(!text.contains("hunter2"), "{text}");
                assert!(text.contains("db"), "{text}");
            }
        }
        for url in
            ["postgres://ada:xyz/b@c?hunter2@db/x", "postgres://ada:xyz@b?hunter2@db", "postgres://ada:hunter2/@db"]
        {
            let location = Location::parse(url).expect("a URL of PostgreSQL");
            let said = location.redact("missing \"=\" in parameter: \"hunter2@db/x\"");
            assert_eq!(said, "missing \"=\" in parameter: \"…@db/x\"");
            assert_eq!(location.to_string(), "postgres://…");
        }
    }
}
