//! How video rooms are started, with everybody who was in one before.

use std::sync::Arc;
use std::thread::JoinHandle;

use santral_core::entry::Timestamp;
use santral_core::rooms::{Clock, IceOffer, IceSource, ParticipantId, Rooms, RoomsLimits};

use super::ServeError;
use super::recorders::Recorders;
use crate::config::{Config, LiveConfig};
use crate::hub::Hub;
use crate::hub::switchboard::SwitchboardInbox;
use crate::service::ice;
use crate::store::Records;

/// Starts the thread of the rooms.
///
/// # Errors
/// [`ServeError`]: rooms cannot be read, or the system has no thread to give.
pub fn start(
    config: &Config,
    live: &Arc<LiveConfig>,
    records: &Records,
    recorders: &Recorders,
    hub: &Arc<Hub>,
    inputs: SwitchboardInbox,
) -> Result<JoinHandle<()>, ServeError> {
    let mut rooms = Rooms::new(limits(config), Box::new(ConfiguredIce(Arc::clone(live))));
    let clock = Clock { now: hub.now(), at: Hub::wall_clock() };
    for saved in records.video().open_rooms()? {
        rooms.restore(clock, saved, new_epoch());
    }
    let (hub, observer) = (Arc::clone(hub), recorders.rooms.observer());
    let run = move || {
        if let Err(error) = inputs.run(rooms, &hub, observer) {
            log::error!("video rooms cannot be served: {error}");
        }
    };
    Ok(std::thread::Builder::new().name("switchboard".to_owned()).spawn(run)?)
}

/// Waits for the end of the thread.
pub fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        log::error!("the thread of the video rooms failed");
    }
}

/// How many rooms there may be, and how large.
#[must_use]
pub fn limits(config: &Config) -> RoomsLimits {
    let seats = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    RoomsLimits {
        rooms: config.video_rooms_max,
        rooms_per_principal: config.video_rooms_per_principal,
        participants: seats(config.video_max_participants),
        mesh: seats(config.video_mesh_limit),
    }
}

/// A text that no incarnation of a room has had.
fn new_epoch() -> Arc<str> {
    nanoid::nanoid!(10).into()
}

/// The servers that the operator has named.
struct ConfiguredIce(Arc<LiveConfig>);

impl IceSource for ConfiguredIce {
    fn offer(&self, participant: &ParticipantId, relay_only: bool, at: Timestamp) -> IceOffer {
        let config = self.0.load();
        let servers = ice::servers(&config, participant.as_str(), relay_only, at);
        let json = serde_json::to_value(servers).expect("it has string keys and no failing serializer");
        IceOffer { json, refresh_in: ice::refresh_after(&config) }
    }
}
