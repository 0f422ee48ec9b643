//! The hub in small: shards with their mailboxes, sessions with their inboxes, links, and the news of them.
//!
//! A session keeps its inbox while its link is away, and a client that comes back with its position gets the
//! rest. So what is shown elsewhere of sessions is taken for granted here.

use std::sync::Arc;

use santral_core::entry::Publication;
use santral_core::names::{ConnectionId, SessionToken};
use santral_core::rooms::{Parcel, Place};
use santral_schema::reason::DisconnectReason;

use crate::bugs::Bug;
use crate::plan::{MILLIS, Micros};
use crate::world::{Check, Event, RoomsMail, World};

/// What a shard finds in its mailbox.
#[derive(Debug)]
pub(crate) enum ShardMail {
    Deliver { to: Place, parcel: Option<Parcel>, batch: Vec<Arc<Publication>> },
    Watch(String, bool),
}

/// Where the client of a session is.
#[derive(Debug)]
pub(crate) struct Link {
    client: usize,
    number: u64,
    connection: ConnectionId,
    /// When the last frame is with the client.
    free_at: Micros,
}

/// A session of the hub.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shard: usize,
    pub(crate) link: Option<Link>,
    connection: ConnectionId,
    inbox: Vec<Arc<Publication>>,
}

/// What a stream brings.
#[derive(Debug)]
pub(crate) enum Frame {
    Hello {
        recovered: bool,
        start: usize,
    },
    /// A message and the position behind it.
    Message(Arc<Publication>, usize),
}

impl World {
    pub(crate) fn place_of(&self, token: &str) -> Option<Place> {
        let session = self.sessions.get(token)?;
        let link = session.link.as_ref()?;
        Some(Place { session: session_token(token), connection: link.connection, shard: session.shard })
    }

    /// Puts something into a shard's mailbox, behind all that is there.
    pub(crate) fn mail_shard(&mut self, shard: usize, mail: ShardMail) {
        let delay = self.rng.below(self.plan.mail_delay);
        let at = self.shard_mail_at[shard].max(self.now + delay);
        self.shard_mail_at[shard] = at;
        self.after(at - self.now, Event::ShardMail(shard, self.incarnation, mail));
    }

    /// The same for the rooms; mail from one source keeps its order.
    pub(crate) fn mail_rooms(&mut self, source: String, mail: RoomsMail) {
        let delay = self.rng.below(self.plan.mail_delay);
        let at = self.rooms_mail_at.get(&source).copied().unwrap_or(0).max(self.now + delay);
        self.rooms_mail_at.insert(source, at);
        self.after(at - self.now, Event::RoomsMail(self.incarnation, mail));
    }

    pub(crate) fn on_shard_mail(&mut self, shard: usize, mail: ShardMail) {
        match mail {
            ShardMail::Watch(token, true) if self.bug != Some(Bug::WatchForgotten) => {
                self.watched[shard].insert(token.clone());
                if let Some(place) = self.place_of(&token).filter(|place| place.shard == shard) {
                    self.tell_link_up(&token, place);
                }
            }
            ShardMail::Watch(token, false) if self.bug != Some(Bug::WatchNeverEnds) => {
                self.watched[shard].remove(&token);
            }
            ShardMail::Watch(..) => (),
            ShardMail::Deliver { to, parcel, mut batch } => {
                let mut token = to.session.reveal().to_owned();
                if self.bug == Some(Bug::WrongInbox) && self.rng.percent(10) {
                    let other =
                        self.sessions.iter().find(|(other, session)| **other != token && session.shard == shard);
                    token = other.map_or(token, |(other, _)| other.clone());
                }
                if self.bug == Some(Bug::BatchReversed) {
                    batch.reverse();
                }
                let session = self.sessions.get_mut(&token).filter(|session| session.shard == shard);
                let linked = session.filter(|session| session.link.is_some());
                let mut arrived = linked.is_some();
                if let Some(session) = linked {
                    let from = session.inbox.len();
                    session.inbox.extend(batch);
                    self.send_from(&token, from);
                } else if parcel.is_some() {
                    self.note("a batch finds no link");
                }
                arrived |= self.bug == Some(Bug::DeliveryClaimed);
                let is_forgotten = self.bug == Some(Bug::DeliveryUnanswered) && self.rng.percent(10);
                if let Some(parcel) = parcel.filter(|_| !is_forgotten) {
                    self.mail_rooms(format!("shard {shard}"), RoomsMail::Delivered(parcel, arrived));
                }
            }
        }
    }

    /// Sends what the inbox has from a position on.
    fn send_from(&mut self, token: &str, from: usize) {
        let Some(session) = self.sessions.get_mut(token) else { return };
        let Some(link) = &mut session.link else { return };
        let mut frames = Vec::new();
        for (index, publication) in session.inbox.iter().enumerate().skip(from) {
            let delay = self.rng.below(self.plan.way / 4 + 1);
            link.free_at = link.free_at.max(self.now + delay);
            frames.push((link.free_at, Frame::Message(Arc::clone(publication), index + 1)));
        }
        let (client, number) = (link.client, link.number);
        for (at, frame) in frames {
            self.after(at - self.now, Event::Frame(client, number, frame));
        }
    }

    /// A client's request for a stream is there.
    pub(crate) fn on_connect(&mut self, client: usize, number: u64) -> Check {
        if self.clients[client].link_number != number {
            return Ok(());
        }
        let token = self.clients[client].token.clone();
        let shard = self.sessions.get(&token).map_or(0, |session| session.shard);
        let shard = if self.rng.percent(self.plan.moves) { self.rng.index(self.plan.shards) } else { shard };
        self.detach(&token, None, DisconnectReason::Replaced);
        let connection =
            ConnectionId::parse(&self.rng.token(ConnectionId::LENGTH)).map_err(|error| error.to_string())?;
        let position = self.clients[client].position;
        let earlier = self.sessions.remove(&token);
        if earlier.as_ref().is_some_and(|session| session.shard != shard) {
            self.note("a session moves to another shard");
        }
        let is_emptied = !self.calm && self.rng.percent(self.plan.empty_sessions);
        let inbox = earlier.filter(|_| !is_emptied).map(|session| session.inbox);
        let recovered = inbox.is_some() && position.is_some();
        let inbox = inbox.unwrap_or_default();
        let start = position.filter(|_| recovered).unwrap_or(inbox.len());
        let recovered = recovered || (self.bug == Some(Bug::LossUntold) && position.is_some());
        let link = Link { client, number, connection, free_at: self.now + self.plan.way / 4 };
        let at = link.free_at;
        self.sessions.insert(token.clone(), Session { shard, link: Some(link), connection, inbox });
        self.after(at - self.now, Event::Frame(client, number, Frame::Hello { recovered, start }));
        self.send_from(&token, start);
        if let Some(place) = self.place_of(&token).filter(|_| self.watched[shard].contains(&token)) {
            self.tell_link_up(&token, place);
        }
        Ok(())
    }

    fn tell_link_up(&mut self, token: &str, place: Place) {
        self.mail_rooms(format!("session {token}"), RoomsMail::LinkUp(place));
    }

    /// The link of a session is gone: that of a connection, or whichever is there.
    pub(crate) fn detach(&mut self, token: &str, which: Option<ConnectionId>, reason: DisconnectReason) {
        let Some(session) = self.sessions.get_mut(token) else { return };
        let is_it = |link: &mut Link| which.is_none_or(|which| which == link.connection);
        let Some(link) = session.link.take_if(is_it) else { return };
        let shard = session.shard;
        if self.watched[shard].contains(token) && self.bug != Some(Bug::LinkDownUntold) {
            let mail = RoomsMail::LinkDown(session_token(token), link.connection, reason);
            self.mail_rooms(format!("session {token}"), mail);
        }
        self.after(self.plan.session_grace, Event::SessionEnds(token.to_owned(), link.connection));
    }

    pub(crate) fn on_session_ends(&mut self, token: &str, connection: ConnectionId) {
        let is_it = |session: &Session| session.link.is_none() && session.connection == connection;
        if self.sessions.get(token).is_some_and(is_it) {
            self.note("a session ends");
            self.sessions.remove(token);
        }
    }

    /// A client's stream breaks; the server may learn of it much later.
    pub(crate) fn cut(&mut self, client: usize) {
        let broken = &mut self.clients[client];
        (broken.is_linked, broken.link_number) = (false, broken.link_number + 1);
        let token = broken.token.clone();
        let Some(place) = self.place_of(&token) else { return };
        let is_half_open = !self.calm && self.rng.percent(self.plan.half_open);
        let longest = if is_half_open { 3_000 * MILLIS } else { 20 * MILLIS };
        self.soon(longest, Event::LinkBroken(token, place.connection));
    }
}

pub(crate) fn session_token(text: &str) -> SessionToken {
    SessionToken::parse(text).expect("drawn in the form of a token")
}
