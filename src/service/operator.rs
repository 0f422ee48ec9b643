//! What an operator's use cases work with.

use std::sync::Arc;

use santral_schema::event_log::EventType;

use super::blocks::Blocks;
use crate::auth::Principal;
use crate::hub::Hub;
use crate::ports::event_log::NewEvent;

/// Takes an event for the event log; never blocks.
pub type Recorder = Arc<dyn Fn(NewEvent) + Send + Sync>;

/// See the module.
pub struct Operator {
    /// The sessions.
    pub hub: Arc<Hub>,
    /// Who may not connect.
    pub blocks: Arc<Blocks>,
    /// The event log.
    pub recorder: Recorder,
}

impl Operator {
    /// Notes who did what.
    pub fn record(&self, kind: EventType, by: &Principal, message: String) {
        (self.recorder)(NewEvent {
            at: Hub::wall_clock(),
            level: kind.level(),
            kind,
            actor: Some(by.name.to_string()),
            message,
            details_json: None,
            request_id: None,
        });
    }
}
