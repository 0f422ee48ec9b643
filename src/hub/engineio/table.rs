//! All Engine.IO connections of one thread.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, IoSlice};
use std::rc::Rc;

use mio::{Registry, Token};
use slotmap::{Key, SlotMap, new_key_type};
use tokio::sync::oneshot;

use santral_core::engineio::payload;
use santral_core::engineio::{CloseReason, Connection, PollAnswer, Refusal, Timing, UpgradeVerdict};
use santral_core::session::SessionKey;
use santral_core::shard::Written;
use santral_core::socketio::{Request, Sockets};
use santral_core::time::Moment;
use santral_core::websocket::{Opcode, Rules};

use super::inbox::Inbox;
use super::link::{EngineLink, Outside};
use super::sid::Sid;
use super::sockets::Late;
use super::uplink::SocketUplink;
use crate::hub::StreamSlot;
use crate::hub::framed_socket::FramedSocket;
use crate::hub::links::{LinkEvent, Notices};

new_key_type! {
    /// Names one Engine.IO connection of one thread; stale keys are recognised.
    pub(crate) struct EngineKey;
}

/// What a new connection begins with.
pub(crate) struct Opening {
    /// Who carries out what its sockets ask for.
    pub uplink: Rc<dyn SocketUplink>,
    /// Its place among the streams until a socket has one.
    pub slot: StreamSlot,
    /// Its times.
    pub timing: Timing,
    /// When its first namespace must have been joined.
    pub join_by: Moment,
    /// What is taken from its WebSocket.
    pub rules: Rules,
}

/// What became of a POST.
pub(crate) struct Posted {
    /// Whether it held what is no packet.
    pub(crate) is_broken: bool,
    /// When to answer it: once what it asks for is carried out.
    pub(crate) done: Option<oneshot::Receiver<()>>,
}

/// See the module.
pub(crate) struct EngineTable {
    pub(super) links: SlotMap<EngineKey, EngineLink>,
    by_sid: HashMap<Sid, EngineKey>,
    /// By the part of the key that stands in the tokens of its WebSockets.
    by_index: HashMap<u32, EngineKey>,
    deadlines: BTreeSet<(Moment, EngineKey)>,
    /// Connections whose poll was given something in this slice.
    due: Vec<EngineKey>,
    pub(super) late: Vec<Late>,
    registry: Registry,
    notices: Rc<Notices>,
}

impl EngineTable {
    pub(crate) fn new(registry: Registry, notices: Rc<Notices>) -> Self {
        Self {
            links: SlotMap::with_key(),
            by_sid: HashMap::new(),
            by_index: HashMap::new(),
            deadlines: BTreeSet::new(),
            due: Vec::new(),
            late: Vec::new(),
            registry,
            notices,
        }
    }

    /// A connection whose handshake came as a poll.
    pub(crate) fn open_polling(&mut self, now: Moment, sid: Sid, opening: Opening) {
        let connection = Connection::polling(now, opening.timing);
        self.insert(now, sid, connection, opening);
    }

    /// A connection whose handshake came as a WebSocket; its client is told `open_packet` first.
    pub(crate) fn open_websocket(
        &mut self,
        now: Moment,
        sid: Sid,
        opening: Opening,
        socket: (std::net::TcpStream, &[u8]),
        open_packet: &str,
    ) -> io::Result<()> {
        let connection = Connection::websocket(now, opening.timing);
        let key = self.insert(now, sid, connection, opening);
        match FramedSocket::new(socket.0, socket.1, &self.registry, token_of(key)) {
            Ok(mut websocket) => {
                websocket.push(Opcode::Text, open_packet.as_bytes());
                self.links[key].websocket = Some(Box::new(websocket));
                self.ready(now, key);
                Ok(())
            }
            Err(error) => {
                self.change(now, key, |link, _| link.connection.websocket_gone(false));
                Err(error)
            }
        }
    }

    fn insert(&mut self, now: Moment, sid: Sid, connection: Connection, opening: Opening) -> EngineKey {
        let Opening { uplink, slot, timing: _, join_by, rules } = opening;
        let link = EngineLink {
            sid: sid.clone(),
            connection,
            sockets: Sockets::new(join_by),
            uplink,
            rules,
            websocket: None,
            candidate: None,
            held_poll: None,
            waiting_post: None,
            inbox: Inbox::default(),
            idle_slot: Some(slot),
            slots: Vec::new(),
            is_busy: false,
            is_refusing: false,
            has_unread: false,
            ending: None,
            is_forgotten: false,
            deadline: None,
        };
        let key = self.links.insert(link);
        self.by_sid.insert(sid, key);
        self.by_index.insert(index_of(key), key);
        self.change(now, key, |_, _| ());
        key
    }

    /// A poll came; its answer is sent once there is one.
    pub(crate) fn poll(&mut self, now: Moment, sid: &Sid) -> Result<oneshot::Receiver<PollAnswer>, Refusal> {
        let key = self.find(sid)?;
        self.change(now, key, |link, _| {
            link.connection.poll(now)?;
            let (answer, answered) = oneshot::channel();
            link.held_poll = Some(answer);
            Ok(answered)
        })
        .unwrap_or(Err(Refusal::SessionUnknown))
    }

    /// The client of a held poll went away.
    pub(crate) fn poll_gone(&mut self, now: Moment, sid: &Sid) {
        if let Ok(key) = self.find(sid) {
            self.change(now, key, |link, _| {
                // Only one whose client is gone: the next poll may have come already.
                if link.held_poll.as_ref().is_some_and(oneshot::Sender::is_closed) {
                    link.held_poll = None;
                    link.connection.poll_gone();
                }
            });
        }
    }

    /// A POST came, its body is still to be read.
    pub(crate) fn begin_post(&mut self, now: Moment, sid: &Sid) -> Result<(), Refusal> {
        let key = self.find(sid)?;
        self.change(now, key, |link, _| link.connection.post(now)).unwrap_or(Err(Refusal::SessionUnknown))
    }

    /// The body of a POST is there.
    ///
    /// # Errors
    /// There is no such connection any more.
    pub(crate) fn post(&mut self, now: Moment, sid: &Sid, body: &str) -> Result<Posted, Refusal> {
        let key = self.find(sid)?;
        self.change(now, key, |link, _| {
            let mut is_broken = false;
            for packet in payload::packets(body) {
                match link.connection.receive(now, packet) {
                    Ok(received) => link.inbox.push(received),
                    Err(error) => {
                        link.log_violation(&error);
                        is_broken = true;
                    }
                }
            }
            if link.inbox.is_empty() && !link.is_busy {
                return Posted { is_broken, done: None };
            }
            let (done, is_done) = oneshot::channel();
            link.waiting_post = Some(done);
            Posted { is_broken, done: Some(is_done) }
        })
        .ok_or(Refusal::SessionUnknown)
    }

    /// A POST was answered, or its client went away.
    pub(crate) fn end_post(&mut self, now: Moment, sid: &Sid) {
        if let Ok(key) = self.find(sid) {
            self.change(now, key, |link, _| link.connection.post_ended());
        }
    }

    /// What a client sent breaks a rule of its transport.
    pub(crate) fn fail(&mut self, now: Moment, sid: &Sid) {
        if let Ok(key) = self.find(sid) {
            self.change(now, key, |link, _| link.connection.fail(now));
        }
    }

    /// A WebSocket wants to take over a connection.
    pub(crate) fn upgrade(&mut self, now: Moment, sid: &Sid) -> UpgradeVerdict {
        let key = self.find(sid).ok();
        let verdict = key.and_then(|key| self.change(now, key, |link, _| link.connection.upgrade(now)));
        verdict.unwrap_or(UpgradeVerdict::Refused(Refusal::SessionUnknown))
    }

    /// The WebSocket that wants to take over is there.
    pub(crate) fn add_candidate(&mut self, now: Moment, sid: &Sid, stream: std::net::TcpStream, early: &[u8]) {
        let Ok(key) = self.find(sid) else { return };
        match FramedSocket::new(stream, early, &self.registry, token_of(key)) {
            Ok(socket) => {
                self.links[key].candidate = Some(Box::new(socket));
                self.ready(now, key);
            }
            Err(error) => {
                log::warn!("a WebSocket cannot be watched: {error}");
                self.drop_candidate(now, sid);
            }
        }
    }

    /// The WebSocket that wanted to take over never came.
    pub(crate) fn drop_candidate(&mut self, now: Moment, sid: &Sid) {
        if let Ok(key) = self.find(sid) {
            self.change(now, key, |link, _| link.connection.candidate_gone());
        }
    }

    /// How a connection is reached: whether by a WebSocket. `None` where there is no such connection.
    pub(crate) fn is_websocket(&mut self, now: Moment, sid: &Sid) -> Option<bool> {
        let key = self.find(sid).ok()?;
        self.change(now, key, |link, _| {
            link.connection.handle_timeout(now);
            // Polls find out for themselves what became of a connection that is over.
            link.connection.is_websocket()
        })
    }

    /// The connection that an event of the kernel is about.
    pub(crate) fn of_token(&self, token: Token) -> Option<EngineKey> {
        let index = u32::try_from(token.0).ok()?;
        self.by_index.get(&index).copied()
    }

    /// Something came by a WebSocket, or it takes bytes again.
    pub(crate) fn ready(&mut self, now: Moment, key: EngineKey) {
        self.change(now, key, |link, outside| {
            let waited = link.waiting_bytes();
            link.flush();
            if link.waiting_bytes() < waited {
                // Whoever takes what it was sent, however slowly, lives; its pong may stand behind all of it.
                link.connection.prove_alive(now);
            }
            if link.is_refusing && link.is_clean() {
                link.is_refusing = false;
                link.tell_writable(outside.notices);
            }
            link.read(outside);
        });
    }

    /// Fires what is due.
    pub(crate) fn handle_timeouts(&mut self, now: Moment) {
        let due: Vec<_> = self.deadlines.iter().take_while(|(due, _)| *due <= now).map(|(_, key)| *key).collect();
        for key in due {
            self.change(now, key, |link, _| {
                if link.inbox.is_full() {
                    // Its pong may be there and was not read because of us.
                    link.connection.prove_alive(now);
                }
                link.connection.handle_timeout(now);
                if link.connection.is_open() && link.sockets.is_overdue(now) {
                    link.connection.close(now, CloseReason::ForcedClose);
                }
            });
        }
    }

    /// When to call [`Self::handle_timeouts`].
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        self.deadlines.first().map(|&(due, _)| due)
    }

    /// Hands frames to a session's client.
    pub(crate) fn write(&mut self, key: EngineKey, session: SessionKey, frames: &[IoSlice<'_>]) -> Written {
        let Some(link) = self.links.get_mut(key) else { return Written::Gone };
        let written = link.write(session, frames);
        // A WebSocket that took everything leaves nothing to do.
        if link.connection.has_output() && self.due.last() != Some(&key) {
            self.due.push(key);
        }
        written
    }

    /// Answers the polls that were given something.
    pub(crate) fn answer_polls(&mut self, now: Moment) {
        for key in std::mem::take(&mut self.due) {
            self.change(now, key, |_, _| ());
        }
    }

    /// What the client wants next, and who carries it out.
    pub(crate) fn next_request(
        &mut self,
        now: Moment,
        key: EngineKey,
    ) -> Option<(Rc<dyn SocketUplink>, Request<SessionKey>)> {
        self.change(now, key, |link, outside| {
            let request = link.next_request(outside)?;
            Some((Rc::clone(&link.uplink), request))
        })?
    }

    /// Whether a request of this connection may still be answered.
    pub(crate) fn is_open(&self, key: EngineKey) -> bool {
        self.links.get(key).is_some_and(|link| link.connection.is_open())
    }

    fn find(&self, sid: &Sid) -> Result<EngineKey, Refusal> {
        self.by_sid.get(sid).copied().ok_or(Refusal::SessionUnknown)
    }

    /// Changes a connection and does everything that follows from it. `None` where it is gone.
    pub(super) fn change<T>(
        &mut self,
        now: Moment,
        key: EngineKey,
        work: impl FnOnce(&mut EngineLink, &Outside<'_>) -> T,
    ) -> Option<T> {
        let link = self.links.get_mut(key)?;
        let outside = Outside { registry: &self.registry, notices: &self.notices, now };
        let result = work(link, &outside);
        link.settle(&outside);
        if std::mem::take(&mut link.has_unread) {
            self.notices.push(LinkEvent::EngineReady(key));
        }
        if link.wants_to_be_heard() {
            link.is_busy = true;
            self.notices.push(LinkEvent::Heard(key));
        }
        let deadline = link.next_timeout();
        let before = std::mem::replace(&mut link.deadline, deadline);
        let is_over = link.is_over();
        if before != deadline || is_over {
            before.map(|before| self.deadlines.remove(&(before, key)));
            deadline.filter(|_| !is_over).map(|deadline| self.deadlines.insert((deadline, key)));
        }
        if is_over {
            self.remove(key);
        }
        Some(result)
    }

    fn remove(&mut self, key: EngineKey) {
        if let Some(link) = self.links.remove(key) {
            self.by_sid.remove(&link.sid);
            self.by_index.remove(&index_of(key));
        }
    }
}

/// Tokens of sessions have a bit set above these.
fn token_of(key: EngineKey) -> Token {
    Token(index_of(key) as usize)
}

/// The part of a key that names its place: no two connections have the same at one time.
fn index_of(key: EngineKey) -> u32 {
    u32::try_from(key.data().as_ffi() & u64::from(u32::MAX)).expect("masked to 32 bits")
}
