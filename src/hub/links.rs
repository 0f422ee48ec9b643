//! The links of one shard's sessions: detached sockets, or response bodies.
//!
//! A socket that has left actix-web costs a descriptor and its session, nothing else: bytes go
//! from the shared frames straight into the kernel, and one poll per thread tells of FIN, errors
//! and room to write. The body is the ordinary way through actix-web; it needs no socket, so it
//! also runs in virtual time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slotmap::{Key, KeyData, SecondaryMap};
use tokio::sync::Notify;

use santral_core::limits::{POLL_PATIENCE, SOCKET_SEND_BUFFER_BYTES, STREAM_INPUT_BYTES_MAX};
use santral_core::session::SessionKey;
use santral_core::shard::{Links, Written};
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use super::StreamSlot;
use super::duplex::{Input, Reply, Uplink, WebSocketLink};
use super::engineio::{EngineKey, EngineTable};
use super::farewell;
use super::framed_socket::FramedSocket;
use super::poll::{PollAnswer, PollLink};

/// What happened to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkEvent {
    /// It takes bytes again.
    Writable(SessionKey),
    /// Something came, or it takes bytes again.
    Ready(SessionKey),
    /// It is over.
    Down(SessionKey, DisconnectReason),
    /// Something came by a WebSocket of an Engine.IO connection, or it takes bytes again.
    EngineReady(EngineKey),
    /// The client of an Engine.IO connection has said something.
    Heard(EngineKey),
}

/// Link events that did not come from the kernel's poll, and the bell for the shard's thread.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    events: RefCell<Vec<LinkEvent>>,
    bell: Notify,
}

impl Notices {
    pub(crate) fn push(&self, event: LinkEvent) {
        self.events.borrow_mut().push(event);
        self.bell.notify_one();
    }

    pub(crate) fn take(&self) -> Vec<LinkEvent> {
        self.events.take()
    }

    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

enum Link {
    Socket {
        stream: TcpStream,
        input_bytes: usize,
        _slot: StreamSlot,
    },
    Body {
        pipe: BodyPipe,
        _slot: StreamSlot,
    },
    WebSocket(Box<WebSocketLink>),
    Poll(Box<PollLink>),
    /// One of the sockets of an Engine.IO connection.
    SocketIo(EngineKey),
}

/// All links of one shard.
pub(crate) struct LinkTable {
    links: SecondaryMap<SessionKey, Link>,
    registry: Registry,
    notices: Rc<Notices>,
    /// Polls that were given something to answer in this slice.
    due_polls: Vec<SessionKey>,
    /// When to look again whether the client of a session still polls; one for each, sorted.
    patience: VecDeque<(Moment, SessionKey)>,
    /// What the links of Socket.IO lead to.
    pub(crate) engines: EngineTable,
}

impl LinkTable {
    /// # Errors
    /// When the kernel has no descriptor left.
    pub(crate) fn new(registry: Registry, notices: Rc<Notices>) -> io::Result<Self> {
        let engines = EngineTable::new(registry.try_clone()?, Rc::clone(&notices));
        let (links, due_polls, patience) = (SecondaryMap::new(), Vec::new(), VecDeque::new());
        Ok(Self { links, registry, notices, due_polls, patience, engines })
    }

    /// Leads a session to its client's Engine.IO connection.
    pub(crate) fn add_socketio(&mut self, key: SessionKey, engine: EngineKey) {
        self.links.insert(key, Link::SocketIo(engine));
    }

    /// The Engine.IO connection of a session, if it is on one.
    pub(crate) fn engine_of(&self, key: SessionKey) -> Option<EngineKey> {
        match self.links.get(key) {
            Some(&Link::SocketIo(engine)) => Some(engine),
            Some(Link::WebSocket(_) | Link::Poll(_) | Link::Socket { .. } | Link::Body { .. }) | None => None,
        }
    }

    /// Whether a session is served by polls of its own.
    pub(crate) fn is_polled(&self, key: SessionKey) -> bool {
        matches!(self.links.get(key), Some(Link::Poll(_)))
    }

    /// Takes over a socket whose response head is on its way.
    pub(crate) fn add_socket(
        &mut self,
        key: SessionKey,
        stream: std::net::TcpStream,
        slot: StreamSlot,
    ) -> io::Result<()> {
        let mut stream = TcpStream::from_std(stream);
        self.registry.register(&mut stream, token_of(key), Interest::READABLE | Interest::WRITABLE)?;
        self.links.insert(key, Link::Socket { stream, input_bytes: 0, _slot: slot });
        Ok(())
    }

    /// Takes over a response body.
    pub(crate) fn add_body(&mut self, key: SessionKey, pipe: BodyPipe, slot: StreamSlot) {
        self.links.insert(key, Link::Body { pipe, _slot: slot });
    }

    /// Takes over a WebSocket whose handshake is on its way; its client is told `lines` first.
    pub(crate) fn add_websocket(
        &mut self,
        key: SessionKey,
        stream: std::net::TcpStream,
        early: &[u8],
        uplink: Rc<dyn Uplink>,
        lines: &[u8],
        slot: StreamSlot,
    ) -> io::Result<()> {
        let socket = FramedSocket::new(stream, early, &self.registry, token_of(key))?;
        self.links.insert(key, Link::WebSocket(Box::new(WebSocketLink::new(socket, uplink, lines, slot))));
        Ok(())
    }

    /// Waits for polls of a session whose client was told `position`.
    pub(crate) fn add_poll(&mut self, now: Moment, key: SessionKey, position: String, slot: StreamSlot) {
        let until = now + POLL_PATIENCE;
        self.links.insert(key, Link::Poll(Box::new(PollLink::new(position, until, slot))));
        self.patience.push_back((until, key));
    }

    /// Holds a poll whose client has seen everything up to `position`; the answer is given back where the
    /// session is not polled, or its client has missed an answer.
    pub(crate) fn hold_poll(&mut self, key: SessionKey, position: &str, answer: PollAnswer) -> Result<(), PollAnswer> {
        match self.links.get_mut(key) {
            Some(Link::Poll(link)) if link.is_at(position) => {
                link.hold(answer);
                Ok(())
            }
            Some(Link::Poll(_) | Link::WebSocket(_) | Link::Socket { .. } | Link::Body { .. } | Link::SocketIo(_))
            | None => Err(answer),
        }
    }

    /// Answers a poll that has waited long enough.
    pub(crate) fn end_poll(&mut self, now: Moment, key: SessionKey) {
        if let Some(Link::Poll(link)) = self.links.get_mut(key) {
            link.answer();
            link.patience_until = now + POLL_PATIENCE;
        }
    }

    /// Answers the polls that were given something.
    pub(crate) fn answer_polls(&mut self, now: Moment) {
        for key in std::mem::take(&mut self.due_polls) {
            if let Some(Link::Poll(link)) = self.links.get_mut(key) {
                link.answer_if_due();
                link.patience_until = now + POLL_PATIENCE;
            }
        }
        self.engines.answer_polls(now);
    }

    /// A session whose next poll has not come in time.
    pub(crate) fn take_abandoned_poll(&mut self, now: Moment) -> Option<SessionKey> {
        while let Some(&(_, key)) = self.patience.front().filter(|(until, _)| *until <= now) {
            self.patience.pop_front();
            match self.links.get_mut(key) {
                Some(Link::Poll(link)) if link.is_held() || link.patience_until > now => {
                    self.patience.push_back((now + POLL_PATIENCE, key));
                }
                Some(Link::Poll(_)) => return Some(key),
                Some(Link::WebSocket(_) | Link::Socket { .. } | Link::Body { .. } | Link::SocketIo(_)) | None => (),
            }
        }
        None
    }

    /// When [`Self::take_abandoned_poll`], or the table of engines, has something to look at again.
    pub(crate) fn next_timeout(&self) -> Option<Moment> {
        let patience = self.patience.front().map(|&(until, _)| until);
        [patience, self.engines.next_timeout()].into_iter().flatten().min()
    }

    /// What the client of a session says next.
    pub(crate) fn next_input(&mut self, key: SessionKey) -> Input {
        match self.links.get_mut(key) {
            Some(Link::WebSocket(link)) => link.next_input(),
            Some(Link::Poll(_) | Link::Socket { .. } | Link::Body { .. } | Link::SocketIo(_)) | None => Input::Nothing,
        }
    }

    /// A message of the session's client is done.
    pub(crate) fn reply(&mut self, key: SessionKey, reply: Reply) {
        if let Some(Link::WebSocket(link)) = self.links.get_mut(key) {
            link.reply(reply);
        }
    }

    /// Whether the link takes more frames.
    pub(crate) fn flush(&mut self, key: SessionKey) -> bool {
        match self.links.get_mut(key) {
            Some(Link::WebSocket(link)) => link.socket.flush().unwrap_or(false),
            Some(Link::Poll(_) | Link::Socket { .. } | Link::Body { .. } | Link::SocketIo(_)) | None => false,
        }
    }

    /// Sends the last bytes as far as the link takes them at once, and closes it.
    pub(crate) fn close(&mut self, now: Moment, key: SessionKey, farewell: &[u8], reason: DisconnectReason) {
        match self.links.remove(key) {
            Some(Link::WebSocket(mut link)) => {
                link.close(farewell, reason);
                self.let_go(link.socket);
            }
            Some(Link::Poll(mut link)) => link.close(farewell),
            Some(Link::Socket { mut stream, .. }) => {
                // A link that is full hears nothing; its client resumes all the same.
                let _ = stream.write(farewell);
                let _ = stream.shutdown(Shutdown::Write);
            }
            Some(Link::Body { pipe, .. }) => pipe.finish(farewell),
            Some(Link::SocketIo(engine)) => self.engines.end_socket(now, engine, key, reason),
            None => (),
        }
    }

    /// Forgets a link that is over.
    pub(crate) fn remove(&mut self, key: SessionKey) {
        match self.links.remove(key) {
            Some(Link::WebSocket(link)) => self.let_go(link.socket),
            Some(Link::SocketIo(engine)) => self.engines.forget_socket(engine, key),
            Some(Link::Poll(_) | Link::Socket { .. } | Link::Body { .. }) | None => (),
        }
    }

    fn let_go(&self, socket: FramedSocket) {
        if let Some(stream) = socket.into_stream(&self.registry) {
            farewell::wait_for_end(stream);
        }
    }

    /// What an event of the kernel means for its link.
    pub(crate) fn judge(&mut self, event: &Event) -> Option<LinkEvent> {
        if let Some(engine) = self.engines.of_token(event.token()) {
            return Some(LinkEvent::EngineReady(engine));
        }
        let key = SessionKey::from(KeyData::from_ffi(event.token().0 as u64));
        let Link::Socket { stream, input_bytes, .. } = self.links.get_mut(key)? else {
            return Some(LinkEvent::Ready(key));
        };
        if event.is_error() {
            return Some(LinkEvent::Down(key, DisconnectReason::Unreachable));
        }
        if event.is_read_closed() {
            return Some(LinkEvent::Down(key, DisconnectReason::ClientLeft));
        }
        if event.is_readable()
            && let Err(reason) = discard_input(stream, input_bytes)
        {
            return Some(LinkEvent::Down(key, reason));
        }
        event.is_writable().then_some(LinkEvent::Writable(key))
    }
}

impl Links for LinkTable {
    fn write(&mut self, session: SessionKey, frames: &[IoSlice<'_>]) -> Written {
        match self.links.get_mut(session) {
            Some(Link::Socket { stream, .. }) => write_to_socket(stream, frames).unwrap_or_else(|_| {
                self.notices.push(LinkEvent::Down(session, DisconnectReason::Unreachable));
                Written::Gone
            }),
            Some(Link::Body { pipe, .. }) => pipe.write(frames),
            Some(Link::WebSocket(link)) => link.write(frames).unwrap_or_else(|_| {
                self.notices.push(LinkEvent::Down(session, DisconnectReason::Unreachable));
                Written::Gone
            }),
            Some(Link::Poll(link)) => {
                let written = link.write(frames);
                if written != Written::Partial(0) {
                    self.due_polls.push(session);
                }
                written
            }
            Some(&mut Link::SocketIo(engine)) => self.engines.write(engine, session, frames),
            None => Written::Gone,
        }
    }
}

fn write_to_socket(stream: &mut TcpStream, frames: &[IoSlice<'_>]) -> io::Result<Written> {
    let total: usize = frames.iter().map(|frame| frame.len()).sum();
    loop {
        // One frame is the usual case, and a plain send is cheaper than a vectored one.
        let result = match frames {
            [frame] => stream.write(frame),
            frames => stream.write_vectored(frames),
        };
        return match result {
            Ok(taken) if taken == total => Ok(Written::All),
            Ok(taken) => Ok(Written::Partial(taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written::Partial(0)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

/// A stream takes no input: what comes is thrown away, and whoever sends too much is cut off.
fn discard_input(stream: &mut TcpStream, input_bytes: &mut usize) -> Result<(), DisconnectReason> {
    let mut waste = [0; 4096];
    loop {
        match stream.read(&mut waste) {
            Ok(0) => return Err(DisconnectReason::ClientLeft),
            Ok(count) => *input_bytes += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(_) => return Err(DisconnectReason::Unreachable),
        }
        if *input_bytes > STREAM_INPUT_BYTES_MAX {
            return Err(DisconnectReason::UnexpectedInput);
        }
    }
}

fn token_of(key: SessionKey) -> Token {
    Token(usize::try_from(key.data().as_ffi()).expect("usize has 64 bits on every supported platform"))
}

/// The shard's end of a response body: takes bytes up to the bound of a socket's send buffer.
#[derive(Clone)]
pub(crate) struct BodyPipe(Rc<Pipe>);

struct Pipe {
    buffer: RefCell<BytesMut>,
    finished: Cell<bool>,
    full: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl BodyPipe {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Pipe {
            buffer: RefCell::default(),
            finished: Cell::new(false),
            full: Cell::new(false),
            reader: RefCell::default(),
        }))
    }

    fn write(&self, frames: &[IoSlice<'_>]) -> Written {
        let mut buffer = self.0.buffer.borrow_mut();
        let mut taken = 0;
        for frame in frames {
            let room = SOCKET_SEND_BUFFER_BYTES - buffer.len();
            let part = &frame[..frame.len().min(room)];
            buffer.extend_from_slice(part);
            taken += part.len();
            if part.len() < frame.len() {
                self.0.full.set(true);
                self.wake_reader();
                return Written::Partial(taken);
            }
        }
        self.wake_reader();
        Written::All
    }

    fn finish(&self, farewell: &[u8]) {
        self.0.buffer.borrow_mut().extend_from_slice(farewell);
        self.0.finished.set(true);
        self.wake_reader();
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.0.reader.borrow_mut().take() {
            reader.wake();
        }
    }
}

/// The client's end of a [`BodyPipe`].
pub(crate) struct BodyReader {
    pipe: BodyPipe,
    session: SessionKey,
    notices: Rc<Notices>,
}

impl BodyReader {
    pub(crate) fn new(pipe: BodyPipe, session: SessionKey, notices: Rc<Notices>) -> Self {
        Self { pipe, session, notices }
    }

    /// The bytes that came since the last call; `None` at the end.
    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let pipe = &self.pipe.0;
        let bytes = pipe.buffer.borrow_mut().split().freeze();
        if !bytes.is_empty() {
            if pipe.full.replace(false) {
                self.notices.push(LinkEvent::Writable(self.session));
            }
            return Poll::Ready(Some(bytes));
        }
        if pipe.finished.get() {
            return Poll::Ready(None);
        }
        *pipe.reader.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        if !self.pipe.0.finished.get() {
            self.notices.push(LinkEvent::Down(self.session, DisconnectReason::ClientLeft));
        }
    }
}
