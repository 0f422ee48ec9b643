//! Rooms as their users know them, step by step.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use santral_schema::participants::OnDuplicate;
use santral_schema::reason::DisconnectReason;
use santral_schema::signal::{SignalTo, SignalType};
use santral_schema::video::{
    HostPolicy, LeaveReason, LobbyMode, Media, ParticipantRole, Permissions, RoomStatus, Topology, Visibility,
};

use super::*;
use crate::entry::Timestamp;
use crate::names::{ConnectionId, SessionToken};
use crate::time::Moment;

struct NoIce;

impl IceSource for NoIce {
    fn offer(&self, _: &ParticipantId, _: bool, _: Timestamp) -> IceOffer {
        IceOffer { json: serde_json::json!({ "iceServers": [] }), refresh_in: None }
    }
}

mod trouble;

/// A node with one room, and whatever its participants have been told.
struct Stage {
    rooms: Rooms,
    now: Moment,
    told: Vec<(String, Value)>,
    news: Vec<NewsKind>,
    records: Vec<Record>,
    tokens: u8,
}

const HOST: [u8; 32] = [200; 32];

impl Stage {
    fn new(change: impl FnOnce(&mut RoomSettings)) -> Self {
        let limits = RoomsLimits { rooms: 10, rooms_per_principal: 5, participants: 12, mesh: 10 };
        let mut stage = Self {
            rooms: Rooms::new(limits, Box::new(NoIce)),
            now: Moment(1),
            told: Vec::new(),
            news: Vec::new(),
            records: Vec::new(),
            tokens: 0,
        };
        let mut settings = settings();
        change(&mut settings);
        let new = NewRoom {
            id: room(),
            owner: "".into(),
            settings,
            host_token: TokenHash(HOST),
            epoch: "e1".into(),
            first_ordinal: 1,
        };
        stage.rooms.create(stage.clock(), new).expect("created");
        stage.drain(true);
        stage
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, at: Timestamp(i64::try_from(self.now.0).unwrap_or(0)) }
    }

    fn ask(&mut self, who: &str) -> Join {
        self.tokens += 1;
        Join {
            room: room(),
            visitor: visitor(who),
            place: Some(place(who)),
            fresh_id: ParticipantId::parse(&format!("p_{who}{}", self.tokens)).expect("valid"),
            fresh_token: TokenHash([self.tokens; 32]),
            resume: None,
            seen: None,
            password_of: None,
            invitation: None,
            host_token: None,
            on_duplicate: OnDuplicate::Allow,
            display_name: who.into(),
            role: ParticipantRole::Participant,
            media: Media::default(),
            metadata: None,
        }
    }

    fn join(&mut self, who: &str) -> Result<(Joined, TokenHash), RoomRefusal> {
        let join = self.ask(who);
        self.join_as(join)
    }

    fn join_as(&mut self, join: Join) -> Result<(Joined, TokenHash), RoomRefusal> {
        let token = join.fresh_token;
        let joined = self.rooms.join(self.clock(), join).map(|(joined, _)| (joined, token));
        self.drain(true);
        joined
    }

    fn signal(&mut self, token: TokenHash, seq: Option<u64>, to: &str) -> Result<(), RoomRefusal> {
        let sent = self.rooms.signal(self.clock(), &room(), &token, vec![signal(seq, to)]);
        self.drain(true);
        sent.map(drop)
    }

    /// Carries out what the rooms want; shards answer at once, with a link or without.
    fn drain(&mut self, linked: bool) {
        while let Some(effect) = self.rooms.poll_effect() {
            let (to, parcel, batch) = match effect {
                Effect::Deliver { to, parcel, batch } => (to, parcel, batch),
                Effect::Happened(news) => {
                    self.news.push(news.kind);
                    continue;
                }
                Effect::Record(record) => {
                    self.records.push(*record);
                    continue;
                }
                Effect::Watch(..) => continue,
            };
            for publication in batch.iter().filter(|_| linked) {
                let name = publication.event.as_ref().map_or("", |name| name.as_str());
                let data = serde_json::from_str(&publication.data).expect("JSON");
                self.told.push((format!("{} {name}", &to.session.reveal()[21..]), data));
            }
            if let Some(parcel) = parcel {
                self.rooms.delivered(self.clock(), &parcel, linked);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.rooms.handle_timeout(self.clock());
        self.drain(true);
    }

    /// Sends somebody whose line is down as much as can wait for it.
    fn fill(&mut self, sender: TokenHash, to: &ParticipantId) {
        loop {
            self.now = self.now + Duration::from_secs(1);
            match self.signal(sender, None, to.as_str()) {
                Ok(()) => (),
                Err(refusal) => break assert_eq!(refusal, RoomRefusal::TargetFull),
            }
        }
    }

    /// The room as the database has it, and the token of the last one who joined.
    fn saved(&self) -> (Saved, TokenHash) {
        let (mut room, mut people) = (None, Vec::<ParticipantRecord>::new());
        for record in &self.records {
            match record {
                Record::Room(row) => room = Some(row.clone()),
                Record::Participant(row) => {
                    people.retain(|other| other.id != row.id);
                    people.push(row.clone());
                }
                Record::Ban(..) => (),
            }
        }
        people.retain(|row| row.left.is_none());
        let next_ordinal = people.iter().map(|row| row.ordinal + 1).max().unwrap_or(1);
        let token = people.iter().max_by_key(|row| row.ordinal).map_or(TokenHash(HOST), |row| row.token);
        (Saved { room: room.expect("written"), participants: people, bans: Vec::new(), next_ordinal }, token)
    }

    /// What was told since the last call, as `who event`.
    fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told).into_iter().map(|(line, _)| line).collect()
    }
}

fn room() -> RoomId {
    RoomId::parse("meeting-123").expect("valid")
}

fn settings() -> RoomSettings {
    RoomSettings {
        name: "Meeting".into(),
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
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(60),
            max_duration: None,
            grace: Duration::from_secs(20),
            not_before: None,
            persistent: false,
            relay_only: false,
            max_video_senders: None,
            permissions: Permissions::default(),
        },
    }
}

fn visitor(who: &str) -> Visitor {
    Visitor {
        principal: format!("user:{who}").into(),
        user: Some(who.into()),
        is_admin: false,
        may_enter: true,
        network: None,
    }
}

fn place(who: &str) -> Place {
    Place {
        session: SessionToken::parse(&format!("{who:_>22}")).expect("valid"),
        connection: ConnectionId::parse(&format!("{who:->22}")).expect("valid"),
        shard: 0,
    }
}

fn signal(seq: Option<u64>, to: &str) -> Signal {
    Signal {
        seq,
        target: Target::These(vec![ParticipantId::parse(to).expect("valid")]),
        to: SignalTo::One(to.to_owned()),
        kind: SignalType::Offer,
        negotiation: Some("n1".into()),
        from: None,
        data: RawValue::from_string(r#"{"sdp" : "v=0"}"#.to_owned()).expect("JSON"),
    }
}

/// INV-10, capacity: reconnecting seats count, the lobby does not.
#[test]
fn a_room_never_holds_more_than_its_seats() {
    let mut stage = Stage::new(|_| ());
    for who in ["a", "b", "c"] {
        assert!(stage.join(who).is_ok());
    }
    stage.rooms.link_down(stage.clock(), &place("c").session, place("c").connection, DisconnectReason::Unreachable);
    assert_eq!(stage.join("d").map(drop), Err(RoomRefusal::Full { max: 3 }));
    stage.pass(Duration::from_secs(21));
    assert!(stage.join("d").is_ok(), "the grace of c is over");
}

/// INV-10, stamped: everybody hears of a newcomer before anything of it; data arrives as it was written.
#[test]
fn a_signal_reaches_its_target_behind_the_news_of_its_sender() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (b, token) = stage.join("b").expect("in");
    assert_eq!(b.participants.len(), 1);
    stage.signal(token, Some(1), &a.participant.participant_id).expect("sent");
    let (line, data) = stage.told.pop().expect("told");
    assert_eq!((line.as_str(), stage.take_told()), ("a webrtc.signal", vec!["a video.participant.joined".to_owned()]));
    assert_eq!(data["from"]["participantId"], Value::from(b.participant.participant_id));
    assert_eq!(data["roomSeq"], 3);
    assert_eq!(stage.signal(token, Some(2), "p_elsewhere"), Err(RoomRefusal::NoTarget));
}

#[test]
fn signals_that_overtook_others_wait_and_repeated_ones_are_dropped() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (_, token) = stage.join("b").expect("in");
    let to = a.participant.participant_id;
    stage.take_told();
    for seq in [2, 1, 2, 1] {
        stage.signal(token, Some(seq), &to).expect("taken");
    }
    let seqs: Vec<Value> = stage.told.iter().map(|(_, data)| data["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2]);
    stage.signal(token, Some(5), &to).expect("parked");
    stage.pass(Duration::from_secs(3));
    assert_eq!(stage.told.pop().map(|(line, _)| line).as_deref(), Some("b webrtc.undelivered"));
    assert_eq!(stage.signal(token, Some(6), &to), Err(RoomRefusal::SeqGap { expected: 3 }));
    stage.signal(token, Some(3), &to).expect("in order again");
}

#[test]
fn what_is_said_while_a_line_is_down_comes_afterwards_and_once() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (_, token) = stage.join("b").expect("in");
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    stage.drain(true);
    stage.take_told();
    stage.signal(token, Some(1), &a.participant.participant_id).expect("buffered");
    assert_eq!(stage.take_told(), Vec::<String>::new());
    stage.rooms.link_up(&place("a"));
    stage.drain(true);
    assert_eq!(stage.take_told(), ["a webrtc.signal", "a video.participant.updated", "b video.participant.updated"]);
}

#[test]
fn whoever_is_sent_away_stays_away() {
    let mut stage = Stage::new(|_| ());
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    let (_, host) = stage.join_as(host).expect("in");
    let (b, token) = stage.join("b").expect("in");
    let id = ParticipantId::parse(&b.participant.participant_id).expect("valid");
    let other = Actor::Participant(token);
    assert!(stage.rooms.kick(stage.clock(), &room(), &other, &id, false).is_err(), "only the host and moderators");
    stage.rooms.kick(stage.clock(), &room(), &Actor::Participant(host), &id, false).expect("kicked");
    stage.drain(true);
    assert_eq!(stage.signal(token, None, "p_a1"), Err(RoomRefusal::Left(LeaveReason::Kicked)));
    assert_eq!(stage.join("b").map(drop), Err(RoomRefusal::Banned));
    let mut again = stage.ask("b");
    again.resume = Some(token);
    assert_eq!(stage.join_as(again).map(drop), Err(RoomRefusal::Banned));
}

#[test]
fn a_resume_keeps_the_seat_and_says_whether_anything_is_missing() {
    let mut stage = Stage::new(|_| ());
    let (a, token) = stage.join("a").expect("in");
    let (_, other) = stage.join("b").expect("in");
    stage.signal(other, None, &a.participant.participant_id).expect("sent");
    let mut back = stage.ask("a");
    (back.resume, back.place, back.seen) = (Some(token), Some(place("z")), Some((2, "e1".into())));
    stage.take_told();
    let (joined, fresh) = stage.join_as(back).expect("back");
    assert_eq!((joined.already, joined.resync), (true, false));
    assert_eq!(joined.participant.participant_id, a.participant.participant_id);
    assert_eq!(stage.take_told(), ["z video.room.replay", "z webrtc.signal"]);
    // The answer was lost: the token of before is good on the same session until the fresh one is shown.
    let mut back = stage.ask("a");
    (back.resume, back.place) = (Some(token), Some(place("z")));
    let (joined, fresher) = stage.join_as(back).expect("back again");
    assert!(joined.resync);
    assert_eq!(stage.signal(fresh, None, "p_b2"), Err(RoomRefusal::Superseded));
    stage.signal(fresher, None, "p_b2").expect("sent");
    let mut stolen = stage.ask("b");
    stolen.resume = Some(fresher);
    assert!(!stage.join_as(stolen).is_ok_and(|(joined, _)| joined.participant.participant_id.starts_with("p_a")));
}

#[test]
fn the_lobby_opens_with_the_host() {
    let mut stage = Stage::new(|settings| settings.lobby = LobbyMode::UntilHost);
    let (b, token) = stage.join("b").expect("waits");
    assert_eq!(b.participant.ordinal, 0);
    assert_eq!(stage.signal(token, None, "p_x"), Err(RoomRefusal::InLobby));
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    stage.join_as(host).expect("in");
    assert!(stage.take_told().contains(&"b video.lobby.admitted".to_owned()));
}

#[test]
fn a_host_who_comes_later_finds_who_has_knocked() {
    let mut stage = Stage::new(|settings| settings.lobby = LobbyMode::On);
    let (b, _) = stage.join("b").expect("waits");
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    let (a, _) = stage.join_as(host).expect("in");
    assert_eq!(a.waiting.iter().map(|one| &one.participant_id).collect::<Vec<_>>(), [&b.participant.participant_id]);
    assert!(b.waiting.is_empty(), "who waits moderates nobody");
}

#[test]
fn a_restart_keeps_everybody_for_their_grace() {
    let mut stage = Stage::new(|_| ());
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    let token = host.fresh_token;
    let (mut room_row, mut people) = (None, Vec::new());
    stage.rooms.join(stage.clock(), host).expect("in");
    while let Some(effect) = stage.rooms.poll_effect() {
        if let Effect::Record(record) = effect {
            match *record {
                Record::Room(row) => room_row = Some(row),
                Record::Participant(row) => people = vec![row],
                Record::Ban(..) => (),
            }
        }
    }
    let saved = Saved { room: room_row.expect("written"), participants: people, bans: Vec::new(), next_ordinal: 2 };
    let mut after = Stage::new(|_| ());
    after.rooms =
        Rooms::new(RoomsLimits { rooms: 10, rooms_per_principal: 5, participants: 12, mesh: 10 }, Box::new(NoIce));
    after.rooms.restore(after.clock(), saved, Arc::from("e2"));
    let mut back = after.ask("a");
    (back.resume, back.seen) = (Some(token), Some((1, "e1".into())));
    let (joined, _) = after.join_as(back).expect("back");
    assert!(joined.resync && joined.participant.is_host);
    assert_eq!(joined.participant.ordinal, 1);
}
