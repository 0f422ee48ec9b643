//! Lists as values: in text with commas between, in JSON and TOML as arrays.

use std::net::IpAddr;

use ipnet::IpNet;
use santral_core::grants::Patterns;
use santral_core::limits::{GRANT_PATTERNS_MAX, SETTING_LIST_ITEMS_MAX};
use santral_core::namespace::Namespace;
use santral_schema::settings::SettingKind;

use super::forms::{Describe, Form, Shape};
use super::origins::OriginPattern;

/// The items of a list that was written as one text; an empty text has none.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    let is_empty = text.trim().is_empty();
    text.split(',').map(str::trim).filter(move |_| !is_empty)
}

/// The text of a list.
pub(super) fn joined<T: AsRef<str>>(items: &[T]) -> String {
    items.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(",")
}

/// A list of things of one form.
pub(super) struct ListOf<F> {
    /// Of each.
    pub(super) item: F,
    /// Fewest.
    pub(super) min: usize,
}

impl<F: Describe> Describe for ListOf<F> {
    fn expected(&self) -> String {
        format!("a list with commas of {} to {SETTING_LIST_ITEMS_MAX}: each {}", self.min, self.item.expected())
    }

    fn shape(&self) -> Shape {
        Shape { choices: self.item.shape().choices, ..Shape::of(SettingKind::List) }
    }
}

impl<F: Form> Form for ListOf<F> {
    type Value = Vec<F::Value>;

    fn parse(&self, text: &str) -> Option<Vec<F::Value>> {
        let parsed: Vec<_> =
            items(text).take(SETTING_LIST_ITEMS_MAX + 1).map(|item| self.item.parse(item)).collect::<Option<_>>()?;
        (self.min..=SETTING_LIST_ITEMS_MAX).contains(&parsed.len()).then_some(parsed)
    }
}

/// Channels: patterns of their names.
pub(super) struct ChannelPatterns;

impl Describe for ChannelPatterns {
    fn expected(&self) -> String {
        format!(
            "a list with commas of 0 to {GRANT_PATTERNS_MAX} channels, like news,orders:*: a star at the end \
             stands for any rest"
        )
    }

    fn shape(&self) -> Shape {
        Shape::of(SettingKind::List)
    }
}

impl Form for ChannelPatterns {
    type Value = Patterns;

    fn parse(&self, text: &str) -> Option<Patterns> {
        let items: Vec<&str> = items(text).take(GRANT_PATTERNS_MAX + 1).collect();
        Patterns::parse(&items).ok()
    }
}

/// Video rooms: patterns of their ids.
pub(super) struct RoomPatterns;

impl Describe for RoomPatterns {
    fn expected(&self) -> String {
        format!(
            "a list with commas of 0 to {GRANT_PATTERNS_MAX} rooms, like standup,class-*: a star at the end stands \
             for any rest"
        )
    }

    fn shape(&self) -> Shape {
        ChannelPatterns.shape()
    }
}

impl Form for RoomPatterns {
    type Value = Patterns;

    fn parse(&self, text: &str) -> Option<Patterns> {
        ChannelPatterns.parse(text)
    }
}

/// Web origins whose pages may use the API.
pub(super) struct Origin;

impl Describe for Origin {
    fn expected(&self) -> String {
        "an origin like https://app.example.com or http://localhost:3000, one with a star for its whole first label \
         like https://*.example.com, or * for all"
            .to_owned()
    }
}

impl Form for Origin {
    type Value = OriginPattern;

    fn parse(&self, text: &str) -> Option<OriginPattern> {
        OriginPattern::parse(text)
    }
}

/// A namespace of Socket.IO.
pub(super) struct NamespaceName;

impl Describe for NamespaceName {
    fn expected(&self) -> String {
        "a namespace like / or /chat".to_owned()
    }
}

impl Form for NamespaceName {
    type Value = Namespace;

    fn parse(&self, text: &str) -> Option<Namespace> {
        Namespace::parse(text).ok()
    }
}

/// A network in CIDR notation (RFC 4632, RFC 4291), or one address.
pub(super) struct Network;

impl Describe for Network {
    fn expected(&self) -> String {
        "a network like 10.0.0.0/8 or fd00::/8, or an address".to_owned()
    }
}

impl Form for Network {
    type Value = IpNet;

    fn parse(&self, text: &str) -> Option<IpNet> {
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(|network: IpNet| network.trunc())
    }
}

#[cfg(test)]
mod tests {
    use super::super::forms::Choice;
    use super::*;

    #[test]
    fn a_list_is_read_item_by_item() {
        let form = ListOf { item: Choice(&[("a", 1), ("b", 2)]), min: 1 };
        assert_eq!(form.parse("a, b,a"), Some(vec![1, 2, 1]));
        for text in ["", " ", "a,", ",a", "a,,b", "c", "a b"] {
            assert_eq!(form.parse(text), None, "{text:?}");
        }
        assert!(form.parse(&joined(&vec!["a"; SETTING_LIST_ITEMS_MAX])).is_some());
        assert!(form.parse(&joined(&vec!["a"; SETTING_LIST_ITEMS_MAX + 1])).is_none());
        assert_eq!(ListOf { item: Choice(&[("a", 1)]), min: 0 }.parse(""), Some(Vec::new()));
    }

    #[test]
    fn channels_are_patterns_of_the_grammar() {
        let parsed = ChannelPatterns.parse("news, orders:*").expect("two patterns");
        assert_eq!(parsed.iter().collect::<Vec<_>>(), ["news", "orders:*"]);
        assert!(ChannelPatterns.parse("").is_some_and(|none| none.is_empty()));
        for text in ["user:*", "a*b", "a,,b", "ä", "a b"] {
            assert!(ChannelPatterns.parse(text).is_none(), "{text}");
        }
        assert!(ChannelPatterns.parse(&joined(&vec!["a"; GRANT_PATTERNS_MAX + 1])).is_none());
    }

    #[test]
    fn networks_are_cut_to_their_prefix() {
        for (text, network) in [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("fd00::1/8", Some("fd00::/8")),
            ("::1", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("10.0.0", None),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(Network.parse(text).map(|network| network.to_string()).as_deref(), network, "{text}");
        }
    }
}
