//! Bodies of calls: what is wrong is refused, signals reach whom they are for and nobody else, as they were written.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use santral_core::call_quality::{QualityWatch, Report};
use santral_core::entry::Timestamp;
use santral_core::limits::{PARTICIPANTS_MAX, QUALITY_EVENT_INTERVAL, SIGNALS_MAX};
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::{
    Clock, Effect, IceOffer, IceSource, Join, MoreSettings, NewRoom, ParticipantId, Place, RoomId, RoomSettings, Rooms,
    RoomsLimits, Signal, Target, TokenHash, Visitor,
};
use santral_core::time::Moment;
use santral_schema::call_quality::StatsReport;
use santral_schema::participants::{JoinRequest, OnDuplicate};
use santral_schema::signal::{self, SignalRequest, SignalTo};
use santral_schema::video::{self, HostPolicy, LobbyMode, Media, ParticipantRole, Permissions, Topology, Visibility};
use serde_json::Value;
use serde_json::value::RawValue;

// Each line is somebody (0 to 2), what it is, and a body; or `t` and tenths of seconds that pass.
fuzz_target!(|text: &str| {
    let mut call = Call::new();
    for line in text.split('\n') {
        let mut letters = line.chars();
        let (who, what, body) = (letters.next(), letters.next(), letters.as_str());
        let who = who.and_then(|who| who.to_digit(3)).map_or(0, |who| who as usize);
        match what {
            Some('g') => call.signal(who, body),
            Some('s') => call.report(who, body),
            Some('t') => call.pass(body.parse::<u8>().unwrap_or(0)),
            Some('r') => drop(serde_json::from_str::<video::NewRoom>(body)),
            Some('j') => drop(serde_json::from_str::<JoinRequest>(body)),
            Some(_) | None => (),
        }
    }
});

/// One room with three participants.
struct Call {
    rooms: Rooms,
    now: Moment,
    people: Vec<(ParticipantId, TokenHash)>,
    watches: [QualityWatch; 3],
    told_at: [Option<Moment>; 3],
    /// What was sent: data, and who sent it to whom.
    sent: BTreeMap<String, BTreeSet<(usize, usize)>>,
    last_seq: [u64; 3],
}

struct NoIce;

impl IceSource for NoIce {
    fn offer(&self, _: &ParticipantId, _: bool, _: Timestamp) -> IceOffer {
        IceOffer { json: Value::Null, refresh_in: None }
    }
}

impl Call {
    fn new() -> Self {
        let limits = RoomsLimits { rooms: 1, rooms_per_principal: 1, participants: 3, mesh: 3 };
        let mut call = Self {
            rooms: Rooms::new(limits, Box::new(NoIce)),
            now: Moment(1),
            people: Vec::new(),
            watches: Default::default(),
            told_at: [None; 3],
            sent: BTreeMap::new(),
            last_seq: [0; 3],
        };
        let new = NewRoom {
            id: room(),
            owner: "".into(),
            settings: settings(),
            host_token: TokenHash([9; 32]),
            epoch: "e".into(),
            first_ordinal: 1,
        };
        call.rooms.create(call.clock(), new).expect("the first room");
        for who in 0..3 {
            let join = join(who);
            call.people.push((join.fresh_id.clone(), join.fresh_token));
            call.rooms.join(call.clock(), join).expect("there is a seat");
            call.drain();
        }
        call
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, at: Timestamp(self.now.0 as i64) }
    }

    fn signal(&mut self, who: usize, body: &str) {
        let Ok(request) = serde_json::from_str::<SignalRequest>(body) else { return };
        let SignalRequest { signals, seq, to, kind, negotiation_id, from, data, .. } = request;
        let flat = to.zip(kind).map(|(to, kind)| signal::Signal { seq, to, kind, negotiation_id, from, data });
        let signals = signals.unwrap_or_default().into_iter().chain(flat).take(SIGNALS_MAX);
        let signals: Vec<Signal> = signals.filter_map(|signal| self.checked(signal)).collect();
        for Signal { target, data, .. } in &signals {
            let targets = (0..3).filter(|to| match target {
                Target::Others => *to != who,
                Target::These(these) => these.contains(&self.people[*to].0),
            });
            let pairs: Vec<_> = targets.map(|to| (who, to)).collect();
            self.sent.entry(data.get().to_owned()).or_default().extend(pairs);
        }
        let count = signals.len();
        let token = self.people[who].1;
        if let Ok((fates, _)) = self.rooms.signal(self.clock(), &room(), &token, signals) {
            assert_eq!(fates.len(), count, "one fate for each");
        }
        self.drain();
    }

    /// Names of people are 0, 1 and 2 here, so that the fuzzer finds them.
    fn checked(&self, signal: signal::Signal) -> Option<Signal> {
        let id = |name: &String| match name.parse::<usize>().ok().and_then(|who| self.people.get(who)) {
            Some((id, _)) => Some(id.clone()),
            None => ParticipantId::parse(name).ok(),
        };
        let target = match &signal.to {
            SignalTo::One(name) if name == "*" => Target::Others,
            SignalTo::One(name) => Target::These(vec![id(name)?]),
            SignalTo::Several(names) => Target::These(names.iter().map(id).collect::<Option<_>>()?),
        };
        Some(Signal {
            seq: signal.seq,
            target,
            to: signal.to,
            kind: signal.kind,
            negotiation: signal.negotiation_id.map(Into::into),
            from: signal.from,
            data: signal.data?,
        })
    }

    fn report(&mut self, who: usize, body: &str) {
        let Ok(report) = serde_json::from_str::<StatsReport>(body) else { return };
        let Ok(report) = Report::parse(&report.peers) else { return };
        assert!(report.links().len() <= PARTICIPANTS_MAX);
        for link in report.links() {
            assert!(link.loss.is_none_or(|loss| (0.0..=1.0).contains(&loss)));
        }
        let observation = self.watches[who].observe(&report, self.now);
        assert_eq!(observation.links.len(), report.links().len());
        if let Some(event) = observation.event {
            assert_eq!(Some(event), observation.score);
            assert!(self.told_at[who].is_none_or(|at| self.now - at >= QUALITY_EVENT_INTERVAL));
            self.told_at[who] = Some(self.now);
        }
    }

    fn pass(&mut self, tenths: u8) {
        self.now = self.now + Duration::from_millis(100 * u64::from(tenths));
        self.rooms.handle_timeout(self.clock());
        self.drain();
    }

    /// INV-10: signals stay in their room, and reach whom they are for.
    fn drain(&mut self) {
        while let Some(effect) = self.rooms.poll_effect() {
            let Effect::Deliver { to, parcel, batch } = effect else { continue };
            let whom = (0..3).find(|who| place(*who).session == to.session).expect("somebody in the room");
            for publication in batch {
                let name = publication.event.as_ref().map_or("", |name| name.as_str());
                self.check(whom, name, &publication.data);
            }
            if let Some(parcel) = parcel {
                self.rooms.delivered(self.clock(), &parcel, true);
            }
        }
    }

    fn check(&mut self, whom: usize, name: &str, json: &str) {
        let event: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).expect("an event is an object");
        let seq: u64 = serde_json::from_str(event["roomSeq"].get()).expect("a number");
        assert!(seq > self.last_seq[whom], "one order");
        self.last_seq[whom] = seq;
        if name == "webrtc.signal" {
            let from: Value = serde_json::from_str(event["from"].get()).expect("a sender");
            let from = self.people.iter().position(|(id, _)| from["participantId"] == id.as_str()).expect("a sender");
            let sent = self.sent.get(event["data"].get()).expect("as it was written");
            assert!(from != whom && sent.contains(&(from, whom)), "{from} to {whom}: {json}");
        }
    }
}

fn room() -> RoomId {
    RoomId::parse("r").expect("valid")
}

fn place(who: usize) -> Place {
    Place {
        session: SessionToken::parse(&format!("{who:0>22}")).expect("valid"),
        connection: ConnectionId::parse(&format!("{who:0>22}")).expect("valid"),
        shard: 0,
    }
}

fn join(who: usize) -> Join {
    let user = format!("u{who}");
    Join {
        room: room(),
        visitor: Visitor {
            principal: user.as_str().into(),
            user: Some(user.as_str().into()),
            is_admin: false,
            may_enter: true,
            network: None,
        },
        place: Some(place(who)),
        fresh_id: ParticipantId::parse(&format!("p_{who}")).expect("valid"),
        fresh_token: TokenHash([who as u8 + 1; 32]),
        resume: None,
        seen: None,
        password_of: None,
        invitation: None,
        host_token: None,
        on_duplicate: OnDuplicate::Allow,
        display_name: user.as_str().into(),
        role: ParticipantRole::Participant,
        media: Media::default(),
        metadata: None,
    }
}

fn settings() -> RoomSettings {
    RoomSettings {
        name: "r".into(),
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
            permissions: Permissions { broadcast: true, ..Permissions::default() },
        },
    }
}
