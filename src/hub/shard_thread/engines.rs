//! Engine.IO connections, as the requests of their clients find them, and what their sockets ask for.

use std::net::TcpStream;

use tokio::sync::oneshot;

use santral_core::engineio::{PollAnswer, Refusal, UpgradeVerdict};
use santral_core::session::SessionKey;
use santral_core::shard::Shard;
use santral_core::socketio::Request;
use santral_core::time::Moment;

use super::{LocalShard, State};
use crate::hub::engineio::{EngineKey, EngineTable, Opening, Posted, Question, Sid, SocketEvent};
use crate::hub::links::LinkTable;

impl LocalShard {
    /// Begins a connection that is polled, and returns its id.
    pub(crate) fn open_engine(&self, opening: Opening) -> Sid {
        let sid = Sid::draw(self.index);
        self.with_engines(|engines, now| engines.open_polling(now, sid.clone(), opening));
        sid
    }

    /// Begins a connection on a WebSocket, whose client is told the packet that `greet` makes for its id.
    pub(crate) fn open_engine_on(
        &self,
        opening: Opening,
        stream: TcpStream,
        early: &[u8],
        greet: impl FnOnce(&Sid) -> String,
    ) {
        let sid = Sid::draw(self.index);
        let packet = greet(&sid);
        let opened =
            self.with_engines(|engines, now| engines.open_websocket(now, sid, opening, (stream, early), &packet));
        if let Err(error) = opened {
            log::warn!("a WebSocket cannot be watched: {error}");
        }
    }

    /// Holds a poll of this thread's connection.
    pub(crate) fn poll_engine(&self, sid: &Sid) -> Result<oneshot::Receiver<PollAnswer>, Refusal> {
        self.with_engines(|engines, now| engines.poll(now, sid))
    }

    /// The client of a held poll went away.
    pub(crate) fn engine_poll_gone(&self, sid: &Sid) {
        self.with_engines(|engines, now| engines.poll_gone(now, sid));
    }

    /// A POST came whose body is still to be read.
    pub(crate) fn begin_engine_post(&self, sid: &Sid) -> Result<(), Refusal> {
        self.with_engines(|engines, now| engines.begin_post(now, sid))
    }

    /// The body of a POST is there.
    pub(crate) fn post_to_engine(&self, sid: &Sid, body: &str) -> Result<Posted, Refusal> {
        self.with_engines(|engines, now| engines.post(now, sid, body))
    }

    /// A POST was answered, or given up.
    pub(crate) fn end_engine_post(&self, sid: &Sid) {
        self.with_engines(|engines, now| engines.end_post(now, sid));
    }

    /// The client broke a rule of its transport.
    pub(crate) fn fail_engine(&self, sid: &Sid) {
        self.with_engines(|engines, now| engines.fail(now, sid));
    }

    /// A WebSocket wants to take over.
    pub(crate) fn upgrade_engine(&self, sid: &Sid) -> UpgradeVerdict {
        self.with_engines(|engines, now| engines.upgrade(now, sid))
    }

    /// The WebSocket that wants to take over is there.
    pub(crate) fn engine_candidate(&self, sid: &Sid, stream: TcpStream, early: &[u8]) {
        self.with_engines(|engines, now| engines.add_candidate(now, sid, stream, early));
    }

    /// The WebSocket that wanted to take over never came.
    pub(crate) fn engine_candidate_gone(&self, sid: &Sid) {
        self.with_engines(|engines, now| engines.drop_candidate(now, sid));
    }

    /// Whether a WebSocket is the transport of a connection; `None` where there is none.
    pub(crate) fn engine_is_websocket(&self, sid: &Sid) -> Option<bool> {
        self.with_engines(|engines, now| engines.is_websocket(now, sid))
    }

    /// Has something done on the thread of a shard, this one or another, without waiting for it.
    pub(crate) fn tell_at(&self, shard: usize, work: impl FnOnce(&Self) + Send + 'static) {
        if shard == self.index {
            return work(self);
        }
        self.hub.try_tell_local(shard, work);
    }

    pub(super) fn with_engines<T>(&self, work: impl FnOnce(&mut EngineTable, Moment) -> T) -> T {
        let result = work(&mut self.state.borrow_mut().links.engines, self.hub.now());
        self.notices.ring();
        result
    }

    /// Carries out what the client of a connection has said.
    pub(super) fn hear_engine(&self, key: EngineKey) {
        let local = self.clone();
        actix_rt::spawn(async move { local.serve_engine(key).await });
    }

    async fn serve_engine(&self, key: EngineKey) {
        while let Some((uplink, request)) = self.with_engines(|engines, now| engines.next_request(now, key)) {
            match request {
                Request::Join { namespace, auth } => {
                    self.with_engines(|engines, _| engines.give_slot_back(key));
                    match uplink.join(self.clone(), namespace.clone(), auth).await {
                        Ok(joined) if !self.with_engines(|engines, _| engines.is_open(key)) => {
                            self.abandon(joined.session);
                        }
                        Ok(joined) => {
                            let session = joined.session;
                            self.with_engines(|engines, now| engines.joined(now, key, &namespace, joined));
                            self.state.borrow_mut().links.add_socketio(session, key);
                            self.link_up(session);
                        }
                        Err(refusal) => {
                            self.with_engines(|engines, now| engines.not_joined(now, key, &namespace, &refusal));
                        }
                    }
                }
                // Refused where the packet was read.
                Request::JoinTooMany { .. } => (),
                Request::Leave { socket } => self.leave(socket),
                Request::Event { socket, namespace, ack, name, args } => {
                    let event = SocketEvent { session: socket, namespace, name, args };
                    let answer = uplink.event(self.clone(), event).await;
                    if let Some(id) = ack {
                        self.with_engines(|engines, now| engines.acknowledge(now, key, socket, id, &answer));
                    }
                }
                Request::Answer { id, args, .. } => self.hub.questions.answer(id, args),
            }
        }
    }

    /// The client of a socket has left for good.
    fn leave(&self, session: SessionKey) {
        self.state.borrow_mut().links.remove(session);
        self.with(|shard, now| shard.leave(now, session));
    }

    /// Asks the sockets of this thread that a question is for, and says how many were asked.
    pub(crate) fn ask_sockets(&self, question: &Question) -> usize {
        let State { shard, links, .. } = &mut *self.state.borrow_mut();
        let is_asked = |session: SessionKey| shard.view(session).is_some_and(|view| question.is_for(&view));
        let asked = links.engines.ask(self.hub.now(), question, is_asked);
        self.notices.ring();
        asked
    }

    /// The answers to a question are not waited for any longer.
    pub(crate) fn forget_question(&self, id: u64) {
        self.with_engines(|engines, _| engines.forget_question(id));
    }
}

/// Tells those clients that they have joined who came back and have now what they missed.
pub(super) fn answer_late(shard: &Shard, links: &mut LinkTable, now: Moment) {
    for late in links.engines.take_late() {
        // One that is gone is told nothing.
        let Some(view) = shard.view(late.session).filter(|view| view.is_linked()) else { continue };
        let has_all = view.has_sent(late.missed_to);
        links.engines.answer_late(now, late, has_all);
    }
}
