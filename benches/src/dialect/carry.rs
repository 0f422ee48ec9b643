//! Bytes of a stream that came and do not yet make something whole.

/// Most bytes that are kept while something is incomplete.
const CARRY_BYTES_MAX: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Carry {
    bytes: Vec<u8>,
}

impl Carry {
    /// Gives `parse` what was kept with `input` behind it, and keeps what it does not use. Whether that is
    /// within the bound; else it is dropped.
    pub(super) fn feed(&mut self, input: &[u8], parse: impl FnOnce(&[u8]) -> usize) -> bool {
        if self.bytes.is_empty() {
            let used = parse(input);
            self.bytes.extend_from_slice(&input[used..]);
        } else {
            self.bytes.extend_from_slice(input);
            let used = parse(&self.bytes);
            self.bytes.drain(..used);
        }
        let is_bounded = self.bytes.len() <= CARRY_BYTES_MAX;
        if self.bytes.is_empty() || !is_bounded {
            // Thousands of clients keep nothing most of the time.
            self.bytes = Vec::new();
        }
        is_bounded
    }
}

#[cfg(test)]
mod tests {
    use super::{CARRY_BYTES_MAX, Carry};

    #[test]
    fn what_is_not_used_comes_again_with_more_behind_it() {
        let mut carry = Carry::default();
        assert!(carry.feed(b"abc", |input| {
            assert_eq!(input, b"abc");
            1
        }));
        assert!(carry.feed(b"de", |input| {
            assert_eq!(input, b"bcde");
            4
        }));
        assert!(carry.feed(b"f", |input| {
            assert_eq!(input, b"f");
            1
        }));
    }

    #[test]
    fn more_than_the_bound_is_dropped() {
        let mut carry = Carry::default();
        assert!(!carry.feed(&vec![0; CARRY_BYTES_MAX + 1], |_| 0));
        assert!(carry.feed(b"a", |input| {
            assert_eq!(input, b"a");
            1
        }));
    }
}
