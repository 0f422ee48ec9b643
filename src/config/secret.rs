//! A text that must not be seen: redacted wherever it is printed.

use std::fmt;

/// Holds a secret, for instance a database URL with its password. Printing shows a stand-in.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes charge of a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself: for its one use, never for a log, an error or an answer.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What of a database URL may be shown: of a URL with a server scheme, user, host and path.
///
/// A password may be badly encoded and hold `@`, `/` or `?`; where that leaves a doubt about what
/// is the host, nothing but the scheme is shown.
pub(super) fn shown_url(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return "[redacted]".to_owned();
    };
    let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, _)| (place, "?…"));
    let (authority, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
    let clear = match rest.matches('@').count() {
        0 => Some(authority.to_owned()),
        1 => authority.split_once('@').map(|(user, host)| match user.split_once(':') {
            Some((user, _)) => format!("{user}:…@{host}"),
            None => format!("{user}@{host}"),
        }),
        _ => None,
    };
    clear.map_or_else(|| format!("{scheme}://…"), |authority| format!("{scheme}://{authority}{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_a_stand_in() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("sqlite:data/santral.db", "sqlite:data/santral.db"),
            ("postgres://ada:hunter2@db:5432/santral", "postgres://ada:…@db:5432/santral"),
            ("postgres://ada@db/santral?password=hunter2", "postgres://ada@db/santral?…"),
            ("postgres://db/santral?password=hunt@er2", "postgres://…"),
            ("postgres://ada:hunt@er2@db/santral", "postgres://…"),
            ("postgres://ada:hunt/er2@db/santral", "postgres://…"),
            ("postgres://ada:hunt?er2@db/santral", "postgres://…"),
            ("ada:hunter2@db", "[redacted]"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
