//! The arguments of an event or acknowledgement, as JSON text that is passed on as it was written.

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// JSON text of an array, checked, and how many values it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    array: String,
    count: usize,
}

impl Args {
    /// Reads the text of a JSON array. `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Parts<'_> = serde_json::from_str(text).ok()?;
        Some(Self { array: text.trim_matches(JSON_SPACE).to_owned(), count: parts.count })
    }

    /// Reads an array and takes its first value off; the rest stays as it was written.
    #[must_use]
    pub fn parse_headed(text: &str) -> Option<(&RawValue, Self)> {
        let text = text.trim_matches(JSON_SPACE);
        let parts: Parts<'_> = serde_json::from_str(text).ok()?;
        let head = parts.first?;
        Some((head, Self { array: parts.rest_of(text), count: parts.count - 1 }))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The whole array as JSON text.
    #[must_use]
    pub fn as_array(&self) -> &str {
        &self.array
    }

    /// What a message holds of them, and whether it is the array: the value itself when there is exactly one.
    #[must_use]
    pub fn into_data(self) -> (String, bool) {
        if self.count == 1 {
            let only = self.array[1..self.array.len() - 1].trim_matches(JSON_SPACE);
            (only.to_owned(), false)
        } else {
            (self.array, true)
        }
    }

    /// The first value, and the arguments behind it.
    #[must_use]
    pub fn split_first(&self) -> Option<(&RawValue, Self)> {
        Self::parse_headed(&self.array)
    }
}

/// The first two values where they stand in the text, and the number of all.
struct Parts<'a> {
    first: Option<&'a RawValue>,
    second: Option<&'a RawValue>,
    count: usize,
}

impl Parts<'_> {
    /// The array without its first value. `text` is what was parsed, without space around it.
    fn rest_of(&self, text: &str) -> String {
        self.second.map_or_else(
            || "[]".to_owned(),
            |second| {
                // Values are borrowed from the text, so the distance of their addresses is the place within it.
                let start = second.get().as_ptr() as usize - text.as_ptr() as usize;
                format!("[{}", &text[start..])
            },
        )
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Parts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PartsVisitor(std::marker::PhantomData))
    }
}

struct PartsVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for PartsVisitor<'a> {
    type Value = Parts<'a>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut values: S) -> Result<Parts<'a>, S::Error> {
        let first: Option<&RawValue> = values.next_element()?;
        let second: Option<&RawValue> = if first.is_some() { values.next_element()? } else { None };
        let mut count = usize::from(first.is_some()) + usize::from(second.is_some());
        while second.is_some() && values.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Parts { first, second, count })
    }
}

/// What JSON allows between its tokens (RFC 8259, section 2).
pub(super) const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stay_as_they_were_written() {
        for (text, count, rest) in [
            ("[]", 0, None),
            ("[1]", 1, Some(("1", "[]"))),
            (r#" [ "a" , {"b": 1.50} , [2] ] "#, 3, Some((r#""a""#, r#"[{"b": 1.50} , [2] ]"#))),
            ("[1,1,1]", 3, Some(("1", "[1,1]"))),
        ] {
            let args = Args::parse(text).expect("an array");
            assert_eq!(args.count(), count, "{text}");
            let split = args.split_first();
            let split = split.as_ref().map(|(first, rest)| (first.get(), rest.as_array()));
            assert_eq!(split, rest, "{text}");
        }
        for text in ["", "{}", "[1", "[1]]", "[1,]", "1", "[1] x", "nul"] {
            assert_eq!(Args::parse(text), None, "{text}");
        }
    }

    #[test]
    fn one_argument_is_the_data_itself_and_several_are_an_array() {
        let data = |text: &str| Args::parse(text).expect("an array").into_data();
        assert_eq!(data(r#"[ {"a":1} ]"#), (r#"{"a":1}"#.to_owned(), false));
        assert_eq!(data("[[1,2]]"), ("[1,2]".to_owned(), false));
        assert_eq!(data("[1,2]"), ("[1,2]".to_owned(), true));
        assert_eq!(data("[]"), ("[]".to_owned(), true));
    }
}
