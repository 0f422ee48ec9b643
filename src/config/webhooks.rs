//! Where webhooks go, and what they tell of.

use std::fmt;
use std::sync::Arc;

use santral_core::limits::{WEBHOOK_URL_BYTES_MAX, WEBHOOK_URLS_MAX};
use santral_schema::settings::SettingKind;
use santral_schema::webhooks::WebhookType;
use ureq::http::Uri;

use super::forms::{Describe, Form, Shape};
use super::lists::{items, joined};

/// An address that webhooks go to: `http` or `https`, with a host, without user and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Arc<str>);

impl WebhookUrl {
    /// Reads an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=WEBHOOK_URL_BYTES_MAX).contains(&text.len());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let uri: Uri = text.parse().ok().filter(|_| fits && is_plain)?;
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        (has_scheme && has_host && !has_user).then(|| Self(text.into()))
    }

    /// The whole address.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

/// Without the query, which may hold a key.
pub fn shown_webhook_url(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(shown_webhook_url(&self.0))
    }
}

/// The addresses that webhooks go to, each once.
pub(super) struct WebhookUrls;

impl Describe for WebhookUrls {
    fn expected(&self) -> String {
        format!(
            "a list with commas of 0 to {WEBHOOK_URLS_MAX}: each a URL like https://example.org/hooks, without user \
             and fragment"
        )
    }

    fn shape(&self) -> Shape {
        Shape::of(SettingKind::List)
    }
}

impl Form for WebhookUrls {
    type Value = Vec<WebhookUrl>;

    fn parse(&self, text: &str) -> Option<Vec<WebhookUrl>> {
        let parsed: Option<Vec<_>> = items(text).take(WEBHOOK_URLS_MAX + 1).map(WebhookUrl::parse).collect();
        let parsed = parsed.filter(|urls| urls.len() <= WEBHOOK_URLS_MAX)?;
        let is_repeated = |(place, url): (usize, &WebhookUrl)| parsed[..place].contains(url);
        (!parsed.iter().enumerate().any(is_repeated)).then_some(parsed)
    }
}

/// What webhooks tell of.
pub(super) struct WebhookEvent;

impl Describe for WebhookEvent {
    fn expected(&self) -> String {
        let names: Vec<_> = WebhookType::ALL.iter().map(|kind| kind.name()).collect();
        format!("one of {}", names.join(", "))
    }

    fn shape(&self) -> Shape {
        let choices = WebhookType::ALL.iter().map(|kind| kind.name().to_owned()).collect();
        Shape { choices, ..Shape::of(SettingKind::Choice) }
    }
}

impl Form for WebhookEvent {
    type Value = WebhookType;

    fn parse(&self, text: &str) -> Option<WebhookType> {
        WebhookType::parse(text)
    }
}

/// All types but those that come often.
pub(super) fn rare_events() -> String {
    let rare: Vec<_> = WebhookType::ALL.iter().filter(|kind| !kind.is_frequent()).map(|kind| kind.name()).collect();
    joined(&rare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_without_user_and_fragment() {
        for url in ["https://example.org", "http://127.0.0.1:8080/a?key=1", "https://[2001:db8::1]:8443/a/b"] {
            assert_eq!(WebhookUrl::parse(url).map(|url| url.text().to_string()).as_deref(), Some(url));
        }
        for text in [
            "",
            "example.org/hooks",
            "/hooks",
            "ftp://example.org",
            "https://",
            "https:///hooks",
            "https://ada:hunter2@example.org",
            "https://example.org/#a",
            "https://example.org/a b",
            "https://example.org/ä",
            "https://example.org/\n",
            &format!("https://example.org/{}", "a".repeat(WEBHOOK_URL_BYTES_MAX)),
        ] {
            assert_eq!(WebhookUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_few_and_different() {
        assert_eq!(WebhookUrls.parse("").map(|urls| urls.len()), Some(0));
        assert_eq!(WebhookUrls.parse("https://a/1, https://b/1").map(|urls| urls.len()), Some(2));
        assert_eq!(WebhookUrls.parse("https://a/1,https://a/1"), None);
        let urls = |count: usize| joined(&(0..count).map(|number| format!("https://a/{number}")).collect::<Vec<_>>());
        assert!(WebhookUrls.parse(&urls(WEBHOOK_URLS_MAX)).is_some());
        assert!(WebhookUrls.parse(&urls(WEBHOOK_URLS_MAX + 1)).is_none());
    }

    #[test]
    fn a_url_is_shown_without_its_query() {
        let url = WebhookUrl::parse("https://example.org/hooks?key=hunter2").expect("a URL");
        assert_eq!(format!("{url:?}"), "https://example.org/hooks");
    }
}
