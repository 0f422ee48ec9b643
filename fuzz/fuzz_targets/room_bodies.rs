//! Bodies of requests about rooms are read or refused, whatever they hold; what the server takes of a signal is
//! within its bounds, and goes through a room without a panic and without reaching anybody but its target.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use santral_core::entry::Timestamp;
use santral_core::limits::{SIGNAL_BYTES_MAX, SIGNALS_MAX};
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::{
    Clock, Effect, IceOffer, IceSource, Join, MoreSettings, NewRoom, ParticipantId, Place, RoomId, RoomSettings, Rooms,
    RoomsLimits, TokenHash, Visitor, checked_signals,
};
use santral_core::time::Moment;
use santral_schema::participants::{
    HostTransfer, JoinRequest, LeaveRequest, LobbyDecision, OnDuplicate, ParticipantChange,
};
use santral_schema::signal::SignalRequest;
use santral_schema::video::{
    HostPolicy, LobbyMode, Media, NewRoom as RoomBody, ParticipantRole, Permissions, RoomChange, Topology, Visibility,
};

/// The rooms of a node that knows no ICE server.
struct NoIce;

impl IceSource for NoIce {
    fn offer(&self, _: &ParticipantId, _: bool, _: Timestamp) -> IceOffer {
        IceOffer { json: serde_json::Value::Null, refresh_in: None }
    }
}

fuzz_target!(|text: &str| {
    // Read or refused.
    let _ = serde_json::from_str::<RoomBody>(text);
    let _ = serde_json::from_str::<RoomChange>(text);
    let _ = serde_json::from_str::<JoinRequest>(text);
    let _ = serde_json::from_str::<LeaveRequest>(text);
    let _ = serde_json::from_str::<ParticipantChange>(text);
    let _ = serde_json::from_str::<LobbyDecision>(text);
    let _ = serde_json::from_str::<HostTransfer>(text);
    let Ok(request) = serde_json::from_str::<SignalRequest>(text) else { return };
    let Ok((_, signals)) = checked_signals(request) else { return };
    assert!((1..=SIGNALS_MAX).contains(&signals.len()));
    assert!(signals.iter().all(|signal| signal.data.get().len() <= SIGNAL_BYTES_MAX));
    let clock = Clock { now: Moment(1), at: Timestamp(1) };
    let mut rooms = rooms_with_three(clock);
    // Sent or refused.
    let _ = rooms.signal(clock, &room(), &TokenHash([1; 32]), signals);
    while let Some(effect) = rooms.poll_effect() {
        let Effect::Deliver { to, batch, .. } = effect else { continue };
        let is_signal = |name: &str| name == "webrtc.signal";
        let signals =
            batch.iter().filter(|one| one.event.as_ref().is_some_and(|name| is_signal(name.as_str()))).count();
        assert!(signals == 0 || to.session != session(1), "nobody hears their own signals");
        assert!(signals <= SIGNALS_MAX, "each is heard once");
    }
});

/// One room and three who are in it: `p_1`, `p_2` and `p_3`.
fn rooms_with_three(clock: Clock) -> Rooms {
    let limits = RoomsLimits { rooms: 1, rooms_per_principal: 1, participants: 3, mesh: 3 };
    let mut rooms = Rooms::new(limits, Box::new(NoIce));
    let new = NewRoom {
        id: room(),
        owner: "".into(),
        settings: settings(),
        host_token: TokenHash([200; 32]),
        epoch: "e".into(),
        first_ordinal: 1,
    };
    rooms.create(clock, new).expect("there is no room yet");
    for number in 1..=3 {
        rooms.join(clock, join(number)).expect("there is a seat");
        drain(&mut rooms, clock);
    }
    rooms
}

/// Whatever was sent has arrived.
fn drain(rooms: &mut Rooms, clock: Clock) {
    while let Some(effect) = rooms.poll_effect() {
        if let Effect::Deliver { parcel: Some(parcel), .. } = effect {
            rooms.delivered(clock, &parcel, true);
        }
    }
}

fn room() -> RoomId {
    RoomId::parse("r").expect("a good id")
}

fn session(number: u8) -> SessionToken {
    SessionToken::parse(&format!("a-session-of-the-fuzzer-{number}")).expect("a good token")
}

fn join(number: u8) -> Join {
    let connection = ConnectionId::parse(&format!("{}{number}", "c".repeat(21))).expect("a good id");
    Join {
        room: room(),
        visitor: Visitor {
            principal: format!("user:{number}").into(),
            user: None,
            is_admin: false,
            may_enter: true,
            network: None,
        },
        place: Some(Place { session: session(number), connection, shard: 0 }),
        fresh_id: ParticipantId::parse(&format!("p_{number}")).expect("a good id"),
        fresh_token: TokenHash([number; 32]),
        resume: None,
        seen: None,
        password_of: None,
        invitation: None,
        host_token: None,
        on_duplicate: OnDuplicate::Allow,
        display_name: "somebody".into(),
        role: ParticipantRole::Participant,
        media: Media::default(),
        metadata: None,
    }
}

fn settings() -> RoomSettings {
    let span = std::time::Duration::from_secs(60);
    RoomSettings {
        name: Arc::from("R"),
        host_id: None,
        max_participants: 3,
        password_hash: None,
        visibility: Visibility::Unlisted,
        lobby: LobbyMode::Off,
        topology: Topology::Mesh,
        host_policy: HostPolicy::Transfer,
        expires_at: None,
        metadata: None,
        more: MoreSettings {
            empty_timeout: span,
            departure_timeout: span,
            max_duration: None,
            grace: span,
            not_before: None,
            persistent: false,
            relay_only: false,
            max_video_senders: None,
            permissions: Permissions::default(),
        },
    }
}
