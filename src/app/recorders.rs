//! What is written behind: the event log, the record of connections, and events for webhooks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use santral_core::client::Client;
use santral_core::limits::CONNECTION_RECORDS_MAX;
use santral_core::names::ConnectionId;
use santral_schema::event_log::EventType;
use santral_schema::reason::DisconnectReason;

use crate::config::Config;
use crate::hub::{ConnectionNews, ConnectionObserver, Hub};
use crate::ports::connections::{ConnectionEnd, ConnectionStart};
use crate::ports::event_log::NewEvent;
use crate::service::connection_records::ConnectionRecorder;
use crate::service::event_log::{EventLog, RecordRetention, new_event};
use crate::service::operator::Recorder;
use crate::service::room_journal::RoomJournal;
use crate::service::webhooks::Webhooks;
use crate::store::Records;

/// How long the end of the server waits until everything is written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub struct Recorders {
    /// The event log.
    pub events: Arc<EventLog>,
    /// The way into webhooks.
    pub webhooks: Arc<Webhooks>,
    /// What video rooms write down.
    pub rooms: Arc<RoomJournal>,
    connections: Arc<ConnectionRecorder>,
    node: Arc<str>,
}

impl Recorders {
    /// Starts their threads.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(records: &Records, config: &Config) -> io::Result<Self> {
        let events = EventLog::start(records.events(), event_retention(config))?;
        let webhooks = Webhooks::start(records.webhooks(), config)?;
        let log = Arc::clone(&events);
        let recorder: Recorder = Arc::new(move |event| log.record(event));
        let age_max = config.connection_record_age;
        Ok(Self {
            rooms: RoomJournal::start(records.video(), Arc::clone(&webhooks), recorder, age_max)?,
            events,
            webhooks,
            connections: ConnectionRecorder::start(records.connections(), &config.node, connection_retention(config))?,
            node: config.node.as_str().into(),
        })
    }

    /// Retention and addresses as the configuration says now.
    pub fn configure(&self, config: &Config) {
        self.webhooks.configure(config);
        self.rooms.set_age_max(config.connection_record_age);
        self.events.set_retention(event_retention(config));
        self.connections.set_retention(connection_retention(config));
    }

    /// Hears of every connection.
    #[must_use]
    pub fn observer(&self) -> ConnectionObserver {
        let recorders = self.clone();
        Box::new(move |news| match news {
            ConnectionNews::Started(connection, client) => recorders.started(connection, &client),
            ConnectionNews::Ended(connection, client, reason) => recorders.ended(connection, &client, reason),
        })
    }

    /// Writes what waits, and ends.
    pub fn finish(&self) {
        self.rooms.close();
        if !self.rooms.join(FLUSH_DEADLINE) {
            log::warn!("what happened last in video rooms could not be written in time");
        }
        self.events.close();
        self.connections.close();
        self.webhooks.close();
        let joined = [
            self.events.join(FLUSH_DEADLINE),
            self.connections.join(FLUSH_DEADLINE),
            self.webhooks.join(FLUSH_DEADLINE),
        ];
        if joined.contains(&false) {
            log::warn!("the end of the event log, the record of connections or webhooks could not be written in time");
        }
    }

    fn started(&self, id: ConnectionId, client: &Client) {
        self.webhooks.connected(id, client);
        self.connections.started(ConnectionStart {
            id,
            node: Arc::clone(&self.node),
            user: client.user.clone(),
            transport: client.transport,
            address: Some(Arc::clone(&client.address)),
            user_agent: client.user_agent.clone(),
            at: client.connected_at,
        });
        let message = format!("{} from {}", client.transport, client.address);
        self.events.record(event_of(EventType::Connected, id, client, message));
    }

    fn ended(&self, id: ConnectionId, client: &Client, reason: DisconnectReason) {
        // It never began for the client, and nobody was told that it did.
        if reason == DisconnectReason::NeverOpened {
            return;
        }
        let at = Hub::wall_clock();
        self.webhooks.disconnected(id, client, reason, at);
        self.connections.ended(ConnectionEnd { id, code: reason.code(), at });
        let message = format!("{} from {}: {}", client.transport, client.address, reason.name());
        self.events.record(event_of(EventType::Disconnected, id, client, message));
    }
}

fn event_of(kind: EventType, id: ConnectionId, client: &Client, message: String) -> NewEvent {
    let details = format!(r#"{{"connection":"{}"}}"#, id.as_str());
    let actor = (!client.principal.is_empty()).then(|| client.principal.to_string());
    NewEvent { actor, details_json: Some(details), ..new_event(kind, message) }
}

fn event_retention(config: &Config) -> RecordRetention {
    RecordRetention { rows_max: config.event_log_rows_max, age_max: config.event_log_age }
}

fn connection_retention(config: &Config) -> RecordRetention {
    RecordRetention { rows_max: CONNECTION_RECORDS_MAX, age_max: config.connection_record_age }
}
