//! Makes a text harmless for a log: it stays on its line and moves no terminal.

/// Longest field of a log record, in bytes of the line.
pub(super) const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Where the text will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a line for people.
    Text,
    /// Between quotes in a line for people.
    Quoted,
    /// Between quotes in a JSON object: what a parser returns is the text itself.
    Json,
}

/// Appends the text with everything escaped that could end the line, the quotes or speak to a
/// terminal: C0, DEL, C1, U+2028 and U+2029. At most [`FIELD_BYTES_MAX`] bytes, then an ellipsis.
pub(super) fn push_escaped(line: &mut String, text: &str, place: Place) {
    let end = line.len() + FIELD_BYTES_MAX;
    for character in text.chars() {
        let before = line.len();
        push_character(line, character, place);
        if line.len() > end {
            line.truncate(before);
            line.push('…');
            return;
        }
    }
}

fn push_character(line: &mut String, character: char, place: Place) {
    match character {
        '"' | '\\' if place != Place::Text => line.extend(['\\', character]),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        _ if !is_harmful(character) => line.push(character),
        _ if place == Place::Json => line.push_str(&format!("\\u{:04x}", u32::from(character))),
        _ => line.extend(character.escape_unicode()),
    }
}

fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, place: Place) -> String {
        let mut line = String::new();
        push_escaped(&mut line, text, place);
        line
    }

    #[test]
    fn no_control_character_survives_and_json_keeps_the_text() {
        let hostile: String = (0..=0x2100).filter_map(char::from_u32).collect();
        for place in [Place::Text, Place::Quoted, Place::Json] {
            for character in hostile.chars() {
                assert!(!escaped(&character.to_string(), place).chars().any(is_harmful), "{character:?} {place:?}");
            }
        }
        for character in hostile.chars() {
            let json = format!("\"{}\"", escaped(&character.to_string(), Place::Json));
            let parsed: String = serde_json::from_str(&json).expect("what was escaped is JSON");
            assert_eq!(parsed, character.to_string());
        }
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        for text in ["a".repeat(10_000), "\u{2028}".repeat(10_000), "ğ\"".repeat(10_000)] {
            for place in [Place::Text, Place::Quoted, Place::Json] {
                let line = escaped(&text, place);
                assert!(line.len() <= FIELD_BYTES_MAX + '…'.len_utf8(), "{}", line.len());
                assert!(line.ends_with('…'));
            }
            let json = format!("\"{}\"", escaped(&text, Place::Json));
            serde_json::from_str::<String>(&json).expect("what was cut is JSON");
        }
        assert_eq!(escaped(&"a".repeat(FIELD_BYTES_MAX), Place::Json).len(), FIELD_BYTES_MAX);
    }
}
