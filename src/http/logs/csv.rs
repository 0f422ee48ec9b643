//! Events as rows of a table (RFC 4180) that a spreadsheet may open.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return would be a formula there,
//! and somebody who only chose a user name would run it. Such a cell gets an apostrophe in front.

use std::borrow::Cow;

use santral_schema::event_log::LoggedEvent;

/// The names of the columns.
pub(super) const HEAD: &str = "id,at,level,type,actor,message,details,requestId\r\n";

/// One row with its line end.
pub(super) fn row(event: &LoggedEvent) -> String {
    let details = event.details.as_ref().map_or("", |details| details.get());
    let id = event.id.to_string();
    let cells = [
        id.as_str(),
        &event.at,
        event.level.name(),
        event.kind.name(),
        event.actor.as_deref().unwrap_or_default(),
        &event.message,
        details,
        event.request_id.as_deref().unwrap_or_default(),
    ];
    let mut row = cells.map(cell).join(",");
    row.push_str("\r\n");
    row
}

/// A cell as it is written: what could be taken for something else stands in quotes.
fn cell(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let needs_quotes = text.contains([',', '"', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ');
    if !is_formula && !needs_quotes {
        return Cow::Borrowed(text);
    }
    let harmless = if is_formula { format!("'{text}") } else { text.to_owned() };
    Cow::Owned(if needs_quotes { format!("\"{}\"", harmless.replace('"', "\"\"")) } else { harmless })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_taken_for_something_else_stands_in_quotes() {
        for (text, written) in [
            ("", ""),
            ("plain text", "plain text"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            (" x", "\" x\""),
            ("Ğ👩", "Ğ👩"),
            ("a=1", "a=1"),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0", "=\"a\",b"] {
            let written = cell(text);
            let shown = written.trim_matches('"');
            assert!(shown.starts_with('\''), "{text:?}: {written}");
        }
        assert_eq!(cell("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
    }
}
