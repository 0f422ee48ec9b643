//! JSON text that is passed on as it was written.

/// Whether arrays and objects nest deeper than `depth_max`. The text must be well-formed JSON.
///
/// One pass without recursion, so depth costs nothing however deep it is.
#[must_use]
pub fn nests_deeper_than(text: &str, depth_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match (in_string, byte) {
            (true, b'\\') => {
                bytes.next();
            }
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (_, _) => (),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::nests_deeper_than;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        assert!(!nests_deeper_than(r#"{"a":[1,{"b":"[[[["}]}"#, 3));
        assert!(nests_deeper_than(r#"{"a":[1,{"b":"[[[["}]}"#, 2));
        assert!(!nests_deeper_than(r#"["\"[[[[", "\\"]"#, 1));
        assert!(!nests_deeper_than("17", 0));
        assert!(nests_deeper_than(&"[".repeat(100_000), 32));
    }
}
