//! What the sockets of a connection ask for, and who carries it out.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use santral_core::names::ConnectionId;
use santral_core::position::Offset;
use santral_core::session::SessionKey;
use santral_core::socketio::{Args, Namespace};

use crate::hub::StreamSlot;
use crate::hub::shard_thread::LocalShard;

/// Takes what the sockets of one connection ask for, on the thread of the connection, one after the other.
pub trait SocketUplink {
    /// Lets the client join a namespace: admits a session to this thread's shard, whose link comes then.
    fn join(
        self: Rc<Self>,
        local: LocalShard,
        namespace: Namespace,
        auth: Option<String>,
    ) -> LocalBoxFuture<'static, Result<Joined, NotJoined>>;

    /// Carries out an event, and says what the client is told that asked for an acknowledgement.
    fn event(self: Rc<Self>, local: LocalShard, event: SocketEvent) -> LocalBoxFuture<'static, Args>;

    /// A socket's session is over.
    fn left(&self, session: SessionKey);
}

/// A session that was admitted for a socket.
pub struct Joined {
    /// The session.
    pub(crate) session: SessionKey,
    /// Its place among the streams.
    pub(crate) slot: StreamSlot,
    /// The id of the socket.
    pub(crate) id: ConnectionId,
    /// The secret by which its client may come back, where it asked for that.
    pub(crate) pid: Option<String>,
    /// Up to where its client has missed something: it is told that it has joined once it has all of that.
    pub(crate) missed_to: Option<Offset>,
}

/// Why a client may not join a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJoined {
    /// For programs; the text of an `Error` on the client's side.
    pub message: String,
    /// More of it, as JSON text.
    pub data: Option<String>,
}

/// An event of a client.
#[derive(Debug)]
pub struct SocketEvent {
    /// Whose.
    pub session: SessionKey,
    /// Where.
    pub namespace: Namespace,
    /// Its name, not yet held against our grammar.
    pub name: String,
    /// Its arguments.
    pub args: Args,
}
