//! How a socket gets its session: a new one, or the one that its client comes back to.

use serde_json::Value;

use santral_core::client::Client;
use santral_core::entry::Timestamp;
use santral_core::format::Format;
use santral_core::names::{ConnectionId, Selector, SessionToken};
use santral_core::position::{Position, ResumeFrom};
use santral_core::session::Legacy;
use santral_core::shard::{AttachRequest, Attached, Followed};
use santral_core::socketio::{Namespace, encode};
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::facts::{Follow, Stay};
use crate::host::Late;
use crate::server::channel_in;
use crate::world::{Check, World};

/// A session that was admitted for a socket.
struct Joined {
    attached: Attached,
    id: ConnectionId,
    pid: Option<String>,
    missed_to: Option<u64>,
}

/// Where an attach begins.
struct Start {
    token: SessionToken,
    id: ConnectionId,
    recover: bool,
    selectors: Vec<Selector>,
    restored: Vec<Followed>,
    resume: Option<Position>,
    legacy: Option<Legacy>,
}

impl World {
    /// A client joins a namespace.
    pub(crate) fn join(&mut self, index: usize, namespace: &Namespace, auth: Option<&str>) -> Check {
        let auth: Value = serde_json::from_str(auth.unwrap_or("{}")).map_err(|error| error.to_string())?;
        let host = self.dialogs[index].host;
        let joined = match self.go_on(host, namespace.as_str(), &auth)? {
            Some(joined) => joined,
            None => self.begin(host, namespace.as_str(), auth["recover"] == true),
        };
        let now = self.moment();
        let session = joined.attached.session;
        let engine = self.engines[index].as_mut().ok_or("a join before its connection")?;
        if !engine.connection.is_open() {
            self.hosts[host].shard.link_down(now, session, DisconnectReason::NeverOpened);
            return self.carry_out_effects(host);
        }
        engine.sockets.joined(namespace, session);
        let mut packets = String::new();
        encode::connected(&mut packets, namespace, joined.id.as_str(), joined.pid.as_deref());
        match joined.missed_to.filter(|_| self.bug != Some(Bug::JoinedBeforeMissed)) {
            Some(missed_to) => {
                let late = Late { engine: index, session, missed_to, packets: packets.into_bytes() };
                self.hosts[host].late.push(late);
            }
            None => engine.connection.send(packets.as_bytes()),
        }
        self.hosts[host].by_session.insert(session, index);
        self.hosts[host].shard.link_up(now, session);
        self.carry_out_effects(host)?;
        self.settle(index)
    }

    /// A new session, at the head of the log.
    fn begin(&mut self, host: usize, namespace: &str, recover: bool) -> Joined {
        let token = self.rng.token(22);
        let id = ConnectionId::parse(&self.rng.token(22)).expect("of the right length and alphabet");
        let everyone = channel_in(namespace, "broadcast");
        let start = Start {
            token: SessionToken::parse(&token).expect("of the right length and alphabet"),
            id,
            recover,
            selectors: vec![Selector::Channel(everyone.clone())],
            restored: Vec::new(),
            resume: None,
            legacy: None,
        };
        let attached = self.attach(host, start);
        let since = attached.id.unwrap_or_else(|| self.hosts[host].shard.head());
        let follow = Follow { channel: everyone, since: since.offset, until: None };
        let stay = Stay {
            start: since.offset,
            missed_to: 0,
            missed_directs: 0,
            follows: vec![follow],
            directs: Vec::new(),
            attached: 1,
            ended: 0,
        };
        self.facts.stays.insert(id.as_str().to_owned(), stay);
        Joined { attached, id, pid: recover.then(|| format!("{token}.{since}")), missed_to: None }
    }

    /// The session that the client comes back to, if nothing of it is lost.
    fn go_on(&mut self, host: usize, namespace: &str, auth: &Value) -> Result<Option<Joined>, String> {
        let Some((token, since)) = auth["pid"].as_str().and_then(|pid| pid.split_once('.')) else { return Ok(None) };
        let token = SessionToken::parse(token).map_err(|error| error.to_string())?;
        let resume = match auth["offset"].as_str().map(ResumeFrom::parse) {
            Some(ResumeFrom::Position(position)) => position,
            Some(ResumeFrom::Earliest | ResumeFrom::Unknown) => return Err("an offset that was given to nobody".into()),
            None => since.parse().map_err(|_| "a pid without a position")?,
        };
        let found =
            self.hosts.iter().enumerate().find_map(|(index, host)| Some((index, host.shard.find_session(&token)?)));
        let Some((owner, key)) = found else { return Ok(None) };
        let shard = &mut self.hosts[owner].shard;
        let view = shard.view(key).ok_or("a session without a view")?;
        if !view.follows(&channel_in(namespace, "broadcast")) {
            return Err("a pid was told in another namespace".to_owned());
        }
        let (id, restored) = (view.connection(), shard.following(key));
        if view.is_linked() {
            self.note("a client comes back while it is still thought to be there");
        }
        let now = self.moment();
        let legacy = self.hosts[owner].shard.release(now, &token, "").map_err(|error| error.to_string())?;
        self.carry_out_effects(owner)?;
        self.facts.stays.get_mut(id.as_str()).ok_or("a session without a stay")?.attached += 1;
        let may_overflow = self.facts.may_overflow(&self.facts.stays[id.as_str()]);
        let may_be_lost = resume.offset < self.facts.trimmed_to || may_overflow;
        let start = Start {
            token: token.clone(),
            id,
            recover: true,
            selectors: Vec::new(),
            restored,
            resume: Some(self.tampered(resume)),
            legacy,
        };
        let attached = self.attach(host, start);
        let is_elsewhere = owner != host;
        if !attached.recovered {
            self.note("a client comes back too late");
            if !may_be_lost {
                return Err(format!("nothing is lost behind {resume} and the session was not recovered"));
            }
            self.hosts[host].shard.leave(now, attached.session);
            self.carry_out_effects(host)?;
            return Ok(None);
        }
        self.note("a client comes back");
        if auth["offset"].is_null() {
            self.note("a client comes back before its first event");
        }
        if is_elsewhere {
            self.note("a client comes back to another shard");
        }
        let head = self.hosts[host].shard.head().offset;
        let stay = self.facts.stays.get_mut(id.as_str()).ok_or("a session without a stay")?;
        (stay.missed_to, stay.missed_directs) = (head, stay.directs.len());
        let missed_to = Some(head);
        Ok(Some(Joined { attached, id, pid: auth["pid"].as_str().map(str::to_owned), missed_to }))
    }

    /// Where the shard is told that the client stands; only planted faults change it.
    fn tampered(&self, mut resume: Position) -> Position {
        match self.bug {
            Some(Bug::ResumedTooEarly) => resume.offset = resume.offset.saturating_sub(1).max(self.facts.trimmed_to),
            Some(Bug::ResumedTooLate) => resume.offset = (resume.offset + 1).min(self.facts.head()),
            Some(_) | None => (),
        }
        resume
    }

    fn attach(&mut self, host: usize, start: Start) -> Attached {
        let now = self.moment();
        let format = if start.recover { Format::SocketIoPlaced } else { Format::SocketIo };
        self.hosts[host].shard.attach(
            now,
            AttachRequest {
                token: start.token,
                resumable: start.recover,
                is_new: start.resume.is_none(),
                connection: start.id,
                client: std::sync::Arc::new(Client::guest("socketio", "203.0.113.7".into(), Timestamp(0))),
                expires: None,
                format,
                selectors: start.selectors,
                presence: false,
                requested: start.resume.map(|position| position.to_string()),
                resume: start.resume.map(ResumeFrom::Position),
                committed: self.facts.head(),
                legacy: start.legacy,
                restored: start.restored,
            },
        )
    }
}
