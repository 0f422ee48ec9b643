//! Which known name somebody meant who wrote an unknown one.

/// The known name with the fewest edits, if it is near enough to be meant.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = unknown.chars().take(NAME_CHARS_MAX).flat_map(char::to_lowercase).collect();
    let ranked = known.into_iter().map(|name| (edits(&wanted, name), name));
    let (count, name) = ranked.min()?;
    // Half of the name differs: that is another name, not a slip.
    (count * 2 <= wanted.len().max(name.len())).then_some(name)
}

/// Levenshtein distance (insertions, deletions, substitutions), row by row.
fn edits(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// Longer names are cut: nobody types them, and the work is quadratic.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        let known = ["listen", "log_level", "log_format", "data_dir"];
        for (unknown, meant) in [
            ("lisen", Some("listen")),
            ("LISTEN", Some("listen")),
            ("log-level", Some("log_level")),
            ("loglevel", Some("log_level")),
            ("dat_dir", Some("data_dir")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(unknown, known), meant, "{unknown}");
        }
        assert_eq!(nearest("listen", []), None);
    }

    #[test]
    fn edits_are_counted_as_levenshtein_did() {
        let count = |from: &str, to: &str| edits(&from.chars().collect::<Vec<_>>(), to);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("abc", "abc"), 0);
    }
}
