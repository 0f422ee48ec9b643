//! Takes secrets out of log messages: query parameters, headers, bearer tokens, passwords in URLs.
//!
//! A net below the rule that nobody logs a secret. It rather hides too much than too little.

use std::borrow::Cow;

/// What stands for a secret.
pub(super) const MASK: &str = "[redacted]";

/// Whether the value of a field of this name is hidden altogether.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().chain(&HEADERS).any(|secret| name.contains(secret))
}

/// The text with every secret masked that can be told by its surroundings.
pub(super) fn redacted(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let (mut clean, mut copied, mut at) = (String::new(), 0, 0);
    while at < text.len() {
        match secret_at(text, &lower, at) {
            Some((start, end)) if start < end => {
                clean.push_str(&text[copied..start]);
                clean.push_str(MASK);
                (copied, at) = (end, end);
            }
            Some(_) | None => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[copied..]);
    Cow::Owned(clean)
}

/// Start and end of the secret that the word at `at` announces. `lower` is `text` in lower case,
/// byte by byte the same length.
fn secret_at(text: &str, lower: &str, at: usize) -> Option<(usize, usize)> {
    let rest = lower.as_bytes().get(at..)?;
    let starts = |word: &str| rest.starts_with(word.as_bytes());
    if starts("://") {
        return password_in_url(text, lower, at);
    }
    if starts("bearer ") {
        let start = at + "bearer ".len();
        let end = start + plain_length(&text[start..]);
        return (end - start >= BEARER_BYTES_MIN).then_some((start, end));
    }
    if let Some(header) = HEADERS.iter().find(|header| starts(header)) {
        let (start, quote) = value_start(lower, at + header.len(), true)?;
        let length = quote.map_or_else(|| line_length(&text[start..]), |quote| quoted_length(&text[start..], quote));
        return Some((start, start + length));
    }
    let name = NAMES.iter().find(|name| starts(name))?;
    let (start, quote) = value_start(lower, at + name.len(), false)?;
    let length = quote.map_or_else(|| plain_length(&text[start..]), |quote| quoted_length(&text[start..], quote));
    Some((start, start + length))
}

/// Where the value behind a name starts, and the quote that it stands in. `token=x`, `token%3Dx`,
/// `"token": "x"` and `token: "x"` are values; the colon in `bad token: x` starts a sentence, unless
/// the name is that of a header.
fn value_start(lower: &str, name_end: usize, is_header: bool) -> Option<(usize, Option<char>)> {
    let rest = &lower[name_end..];
    let unquoted = rest.trim_start_matches(['\\', '"', '\'']);
    let name_was_quoted = unquoted.len() < rest.len();
    let spaced = unquoted.trim_start_matches(' ');
    let (value, is_clear) = match spaced.strip_prefix('=').or_else(|| spaced.strip_prefix("%3d")) {
        Some(value) => (value, true),
        None => (spaced.strip_prefix(':')?, is_header || name_was_quoted),
    };
    let value = value.trim_start_matches(' ').trim_start_matches('\\');
    let quote = value.chars().next().filter(|character| matches!(character, '"' | '\''));
    let start = lower.len() - value.len() + quote.map_or(0, char::len_utf8);
    (is_clear || quote.is_some()).then_some((start, quote))
}

/// Between the first colon behind `://` and the last `@`; a bad password may hold an `@` itself.
fn password_in_url(text: &str, lower: &str, at: usize) -> Option<(usize, usize)> {
    let start = at + "://".len();
    let rest = &text[start..];
    let url = &rest[..rest.find(|character: char| ends_url(character)).unwrap_or(rest.len())];
    // Of a database URL even `/` and `?` may belong to a password that nobody encoded.
    let is_database = lower[..at].ends_with("postgres") || lower[..at].ends_with("postgresql");
    let authority = if is_database { url } else { url.split(['/', '?', '#']).next()? };
    let (user_info, _) = authority.rsplit_once('@')?;
    let colon = user_info.find(':')?;
    Some((start + colon + 1, start + user_info.len()))
}

fn ends_url(character: char) -> bool {
    character.is_whitespace() || character.is_control() || matches!(character, '"' | '<' | '>')
}

/// Up to what cannot belong to an unquoted value.
fn plain_length(value: &str) -> usize {
    let ends = |character: char| ends_url(character) || "&'`,;)]}#|\\".contains(character);
    value.find(ends).unwrap_or(value.len())
}

fn line_length(value: &str) -> usize {
    value.find(['\r', '\n', '"']).unwrap_or(value.len())
}

fn quoted_length(value: &str, quote: char) -> usize {
    let mut is_escaped = false;
    let closing = value.char_indices().find(|(_, character)| {
        let closes = *character == quote && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        closes
    });
    closing.map_or(value.len(), |(index, _)| index)
}

/// Words at the end of a parameter's or field's name whose value is a secret.
const NAMES: [&str; 8] = ["token", "ticket", "password", "passwd", "secret", "api_key", "apikey", "credential"];

/// Headers whose whole value is a secret.
const HEADERS: [&str; 2] = ["authorization", "cookie"];

/// Shorter words behind `bearer` are prose.
const BEARER_BYTES_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for text in [
            "GET /api/events?token=hunter2&channels=a",
            "GET /api/events?channels=a&ticket=hunter2 HTTP/1.1",
            "GET /x?access_TOKEN=hunter2#f",
            "next=%2Fx%3Ftoken%3Dhunter2",
            "Authorization: Basic aHVudGVyMg==, hunter2",
            "authorization=Bearer hunter2",
            "header {\"authorization\": \"Digest hunter2, x\"}",
            "Set-Cookie: sid=hunter2; Path=/",
            "said Bearer hunter2hunter2.",
            "Request { token: \"hunter2\", n: 1 }",
            "{\"token\":\"hunter2\"}",
            "{\\\"token\\\":\\\"hunter2\\\"}",
            "{\"password\":\"a\\\"hunter2\"}",
            "secret = hunter2",
            "postgres://ada:hunter2@db/x",
            "postgres://ada:a@hunter2@db/x",
            "postgresql://ada:a/hunter2?@db/x",
            "https://ada:hunter2@example.com/",
            "token=ğhunter2",
        ] {
            let clean = redacted(text);
            assert!(!clean.contains("hunter2") && !clean.contains("aHVudGVy"), "{clean}");
            assert!(clean.contains(MASK), "{clean}");
        }
        assert_eq!(redacted("/a?token=x&b=1"), "/a?token=[redacted]&b=1");
        assert_eq!(redacted("a token=x ticket=y z"), "a token=[redacted] ticket=[redacted] z");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "unexpected token: expected a comma",
            "listening on http://127.0.0.1:8080/, node vm",
            "http://example.com:80/a@b",
            "the bearer of news",
            "token",
            "token=",
            "ğüş çok güzel",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn names_of_secret_fields_are_known() {
        for name in
            ["authorization", "Authorization", "proxy-authorization", "set_cookie", "session_token", "X-Api-Key"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["channel", "offset", "node"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
