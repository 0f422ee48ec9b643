//! An event with its body, which is made once, and the delivery of it to each address.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::to_raw_value;

use santral_core::entry::Timestamp;
use santral_schema::webhooks::{Webhook, WebhookType};

use crate::ports::webhooks::NewDelivery;

/// Something that other servers are told.
#[derive(Debug, Clone)]
pub struct Event {
    id: Arc<str>,
    subject: Arc<str>,
    pub(super) kind: WebhookType,
    body: Arc<str>,
    at: Timestamp,
}

impl Event {
    /// Something that happened to `subject`, such as `room:<id>`; `data` becomes an object of JSON. Events of one
    /// subject arrive in the order in which they are stored.
    #[must_use]
    pub fn new(kind: WebhookType, subject: String, at: Timestamp, data: &impl Serialize) -> Self {
        let id = format!("whk_{}", nanoid::nanoid!());
        let data = to_raw_value(data).expect("data has string keys and no failing serializer");
        let webhook = Webhook { id, kind, at: at.to_rfc3339(), subject, data };
        let body = serde_json::to_string(&webhook).expect("a webhook has string keys");
        Self { id: webhook.id.into(), subject: webhook.subject.into(), kind, body: body.into(), at }
    }

    /// What receivers know it by.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The delivery of it to one address.
    pub(super) fn to(&self, url: Arc<str>) -> NewDelivery {
        NewDelivery {
            event_id: Arc::clone(&self.id),
            url,
            subject: Arc::clone(&self.subject),
            kind: self.kind,
            body: Arc::clone(&self.body),
            at: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_body_says_what_happened_and_is_the_same_everywhere() {
        let event = Event::new(WebhookType::ChannelOccupied, "channel:a".to_owned(), Timestamp(0), &json!({"a": 1}));
        let (here, there) = (event.to("https://here".into()), event.to("https://there".into()));
        assert_eq!((&here.event_id, &here.body), (&there.event_id, &there.body));
        let body: Value = serde_json::from_str(&here.body).expect("JSON");
        let expected = json!({
            "id": &*here.event_id,
            "type": "channel_occupied",
            "at": "1970-01-01T00:00:00.000Z",
            "subject": "channel:a",
            "data": {"a": 1},
        });
        assert_eq!(body, expected);
        assert!(here.event_id.starts_with("whk_") && here.event_id.len() == 25, "{}", here.event_id);
    }
}
