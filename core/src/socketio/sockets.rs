//! The sockets of one Engine.IO connection: which namespaces it has joined, and what its packets mean
//! there.
//!
//! A socket stands for one session of a shard, which the caller names by `K`. Nothing is carried out
//! here: a packet becomes a [`Request`], or a reason to end the connection.

use bytes::Bytes;

use crate::limits::{SOCKETIO_ASKED_MAX, SOCKETIO_NAMESPACES_MAX};
use crate::socketio::{Args, Decoder, Namespace, Packet, PacketError};
use crate::time::Moment;

/// See the module.
#[derive(Debug)]
pub struct Sockets<K> {
    decoder: Decoder,
    sockets: Vec<Socket<K>>,
    asked: Vec<Asked<K>>,
    /// When the first namespace must have been joined; `None` once one was.
    join_by: Option<Moment>,
}

#[derive(Debug)]
struct Socket<K> {
    namespace: Namespace,
    standing: Standing<K>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing<K> {
    /// The client has asked.
    Joining,
    /// It has joined.
    Joined(K),
    /// The server has ended its stay. What the client sent before it heard of that means nothing.
    Removed,
}

/// An acknowledgement that the server waits for.
#[derive(Debug)]
struct Asked<K> {
    socket: K,
    id: u64,
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Request<K> {
    /// To join. Answer with [`Sockets::joined`] or [`Sockets::refused`] before the next packet is read.
    Join {
        /// Which namespace.
        namespace: Namespace,
        /// JSON text of the object that came along.
        auth: Option<String>,
    },
    /// To join one namespace more than is allowed; refused already.
    JoinTooMany {
        /// Which namespace.
        namespace: Namespace,
    },
    /// To leave; it has left already.
    Leave {
        /// Whose stay ends.
        socket: K,
    },
    /// Something with an event.
    Event {
        /// Whose.
        socket: K,
        /// Where.
        namespace: Namespace,
        /// Names the acknowledgement that the client waits for.
        ack: Option<AckId>,
        /// The event's name; not yet held against our grammar.
        name: String,
        /// Its arguments.
        args: Args,
    },
    /// To acknowledge what the server had asked; comes once for each time it asked.
    Answer {
        /// Whose.
        socket: K,
        /// The id that the server had given.
        id: u64,
        /// What the client answers.
        args: Args,
    },
}

/// Names one acknowledgement of a client; used up by answering it.
#[derive(Debug, PartialEq, Eq)]
pub struct AckId(u64);

impl AckId {
    /// The number on the wire.
    #[must_use]
    pub fn into_number(self) -> u64 {
        self.0
    }
}

/// Why a packet ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SocketError {
    /// The packet breaks a rule of its own.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The packet is for a namespace that was not joined.
    #[error("a packet came for a namespace that was not joined")]
    NotJoined,
    /// The client has joined the namespace, or is about to.
    #[error("a namespace was joined twice")]
    JoinedTwice,
}

impl<K: Copy + PartialEq> Sockets<K> {
    /// A connection without namespaces; it has until `join_by` to join one.
    #[must_use]
    pub fn new(join_by: Moment) -> Self {
        Self { decoder: Decoder::default(), sockets: Vec::new(), asked: Vec::new(), join_by: Some(join_by) }
    }

    /// Takes a text message. `None` where it means nothing, or attachments have to come.
    ///
    /// # Errors
    /// [`SocketError`]: the connection ends with "parse error".
    pub fn text(&mut self, text: &str) -> Result<Option<Request<K>>, SocketError> {
        let packet = self.decoder.text(text)?;
        packet.map_or(Ok(None), |packet| self.take(packet))
    }

    /// Takes a binary message.
    ///
    /// # Errors
    /// As [`Sockets::text`].
    pub fn binary(&mut self, bytes: Bytes) -> Result<Option<Request<K>>, SocketError> {
        let packet = self.decoder.binary(bytes)?;
        packet.map_or(Ok(None), |packet| self.take(packet))
    }

    /// Whether a binary packet lacks attachments.
    #[must_use]
    pub fn waits_for_attachments(&self) -> bool {
        self.decoder.is_waiting()
    }

    /// The client has joined.
    pub fn joined(&mut self, namespace: &Namespace, socket: K) {
        self.join_by = None;
        if let Some(found) = self.find(namespace) {
            found.standing = Standing::Joined(socket);
        }
    }

    /// The client may not join.
    pub fn refused(&mut self, namespace: &Namespace) {
        self.sockets.retain(|socket| socket.namespace != *namespace);
    }

    /// The server has ended the stay of a socket; returns where it was.
    pub fn removed(&mut self, socket: K) -> Option<Namespace> {
        self.asked.retain(|asked| asked.socket != socket);
        let found = self.sockets.iter_mut().find(|found| found.standing == Standing::Joined(socket))?;
        found.standing = Standing::Removed;
        Some(found.namespace.clone())
    }

    /// The server asks for an acknowledgement with this id. False where it waits for too many already.
    #[must_use]
    pub fn ask(&mut self, socket: K, id: u64) -> bool {
        let has_room = self.asked.len() < SOCKETIO_ASKED_MAX;
        if has_room {
            self.asked.push(Asked { socket, id });
        }
        has_room
    }

    /// The server waits for this acknowledgement no longer.
    pub fn forget_asked(&mut self, id: u64) {
        self.asked.retain(|asked| asked.id != id);
    }

    /// The sockets that have joined.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.sockets.iter().filter_map(|socket| match socket.standing {
            Standing::Joined(key) => Some(key),
            Standing::Joining | Standing::Removed => None,
        })
    }

    /// Where a socket is.
    #[must_use]
    pub fn namespace_of(&self, socket: K) -> Option<&Namespace> {
        let found = self.sockets.iter().find(|found| found.standing == Standing::Joined(socket))?;
        Some(&found.namespace)
    }

    /// When [`Sockets::is_overdue`] may become true.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Moment> {
        self.join_by
    }

    /// Whether the client has joined nothing in time: the connection ends.
    #[must_use]
    pub fn is_overdue(&self, now: Moment) -> bool {
        self.join_by.is_some_and(|join_by| join_by <= now)
    }

    fn take(&mut self, packet: Packet) -> Result<Option<Request<K>>, SocketError> {
        let standing = self.find(packet.namespace()).map(|socket| socket.standing);
        let (packet, socket) = match (packet, standing) {
            (Packet::Connect { namespace, auth }, None | Some(Standing::Removed)) => {
                return Ok(Some(self.join(namespace, auth)));
            }
            (Packet::Connect { .. }, Some(_)) => return Err(SocketError::JoinedTwice),
            (Packet::Disconnect { namespace }, Some(Standing::Removed)) => {
                self.refused(&namespace);
                return Ok(None);
            }
            (_, Some(Standing::Removed)) => return Ok(None),
            (_, None | Some(Standing::Joining)) => return Err(SocketError::NotJoined),
            (packet, Some(Standing::Joined(socket))) => (packet, socket),
        };
        Ok(self.take_of(packet, socket))
    }

    /// A packet of a socket that has joined.
    fn take_of(&mut self, packet: Packet, socket: K) -> Option<Request<K>> {
        match packet {
            Packet::Disconnect { namespace } => {
                self.refused(&namespace);
                self.asked.retain(|asked| asked.socket != socket);
                Some(Request::Leave { socket })
            }
            Packet::Event { namespace, ack, name, args } => {
                Some(Request::Event { socket, namespace, ack: ack.map(AckId), name, args })
            }
            Packet::Ack { id, args, .. } => {
                let place = self.asked.iter().position(|asked| Some(asked.id) == id && asked.socket == socket)?;
                let asked = self.asked.swap_remove(place);
                Some(Request::Answer { socket, id: asked.id, args })
            }
            Packet::Connect { .. } | Packet::Empty { .. } => None,
        }
    }

    fn join(&mut self, namespace: Namespace, auth: Option<String>) -> Request<K> {
        self.refused(&namespace);
        if self.sockets.len() >= SOCKETIO_NAMESPACES_MAX {
            // Those that were removed are only remembered for packets that were on their way.
            self.sockets.retain(|socket| socket.standing != Standing::Removed);
        }
        if self.sockets.len() >= SOCKETIO_NAMESPACES_MAX {
            return Request::JoinTooMany { namespace };
        }
        self.sockets.push(Socket { namespace: namespace.clone(), standing: Standing::Joining });
        Request::Join { namespace, auth }
    }

    fn find(&mut self, namespace: &Namespace) -> Option<&mut Socket<K>> {
        self.sockets.iter_mut().find(|socket| socket.namespace == *namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets() -> Sockets<u8> {
        Sockets::new(Moment(45))
    }

    fn namespace(name: &str) -> Namespace {
        Namespace::parse(name).expect("a namespace")
    }

    /// Sockets that have joined `/` as 1 and `/chat` as 2.
    fn joined() -> Sockets<u8> {
        let mut sockets = sockets();
        for (text, name, key) in [("0", "/", 1), ("0/chat,{}", "/chat", 2)] {
            assert!(matches!(sockets.text(text), Ok(Some(Request::Join { .. }))));
            sockets.joined(&namespace(name), key);
        }
        sockets
    }

    fn event(socket: u8, name: &str, ack: Option<u64>) -> Request<u8> {
        let args = Args::parse("[]").expect("an array");
        Request::Event { socket, namespace: namespace(name), ack: ack.map(AckId), name: "a".to_owned(), args }
    }

    #[test]
    fn events_belong_to_the_namespace_that_was_joined() {
        let mut sockets = joined();
        assert_eq!(sockets.text("2[\"a\"]"), Ok(Some(event(1, "/", None))));
        assert_eq!(sockets.text("2/chat,7[\"a\"]"), Ok(Some(event(2, "/chat", Some(7)))));
        assert_eq!(sockets.text("2"), Ok(None));
        assert_eq!(sockets.namespace_of(2), Some(&namespace("/chat")));
        assert_eq!(sockets.keys().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(sockets.text("51-[\"a\",{\"_placeholder\":true,\"num\":0}]"), Ok(None));
        assert!(sockets.waits_for_attachments());
        assert!(matches!(sockets.binary(Bytes::new()), Ok(Some(Request::Event { socket: 1, .. }))));
    }

    #[test]
    fn nothing_comes_before_a_namespace_is_joined() {
        for text in ["2[\"a\"]", "2", "1", "30[]", "2/chat,[\"a\"]"] {
            assert_eq!(sockets().text(text), Err(SocketError::NotJoined), "{text}");
        }
        for text in ["2/other,[\"a\"]", "1/other", "3/other,0[]"] {
            assert_eq!(joined().text(text), Err(SocketError::NotJoined), "{text}");
        }
        let mut joining = sockets();
        assert!(joining.text("0").is_ok());
        assert_eq!(joining.text("2[\"a\"]"), Err(SocketError::NotJoined));
        assert_eq!(sockets().text("4{}"), Err(SocketError::Packet(PacketError::NotFromClients)));
    }

    #[test]
    fn a_namespace_is_joined_once_at_a_time() {
        assert_eq!(joined().text("0"), Err(SocketError::JoinedTwice));
        let mut joining = sockets();
        assert!(joining.text("0").is_ok());
        assert_eq!(joining.text("0{}"), Err(SocketError::JoinedTwice));
        // After it has left, or was refused, it may ask again.
        let mut again = joined();
        assert_eq!(again.text("1/chat,"), Ok(Some(Request::Leave { socket: 2 })));
        assert!(matches!(again.text("0/chat,"), Ok(Some(Request::Join { .. }))));
        again.refused(&namespace("/chat"));
        assert!(matches!(again.text("0/chat,"), Ok(Some(Request::Join { .. }))));
    }

    /// The client could not know yet.
    #[test]
    fn what_was_on_its_way_when_the_server_ended_a_stay_means_nothing() {
        let mut sockets = joined();
        assert_eq!(sockets.removed(2), Some(namespace("/chat")));
        assert_eq!(sockets.removed(2), None);
        for text in ["2/chat,[\"a\"]", "3/chat,0[]", "2/chat,"] {
            assert_eq!(sockets.text(text), Ok(None), "{text}");
        }
        assert!(matches!(sockets.text("0/chat,"), Ok(Some(Request::Join { .. }))));
        let mut left = joined();
        left.removed(2);
        assert_eq!(left.text("1/chat,"), Ok(None));
        assert_eq!(left.text("1/chat,"), Err(SocketError::NotJoined));
    }

    #[test]
    fn acknowledgements_are_taken_once_and_only_from_whom_they_were_asked() {
        let mut sockets = joined();
        assert!(sockets.ask(1, 5) && sockets.ask(2, 6) && sockets.ask(1, 7));
        let answer =
            |socket, id| Ok(Some(Request::Answer { socket, id, args: Args::parse("[true]").expect("an array") }));
        for unknown in ["39[true]", "3[true]", "36[true]", "3/chat,5[true]"] {
            assert_eq!(sockets.text(unknown), Ok(None), "{unknown}");
        }
        assert_eq!(sockets.text("35[true]"), answer(1, 5));
        assert_eq!(sockets.text("35[true]"), Ok(None));
        sockets.forget_asked(7);
        assert_eq!(sockets.text("37[true]"), Ok(None));
        assert_eq!(sockets.text("3/chat,6[true]"), answer(2, 6));
        assert!((0..SOCKETIO_ASKED_MAX as u64).all(|id| sockets.ask(1, id)));
        assert!(!sockets.ask(1, 1_000));
        assert_eq!(sockets.text("1"), Ok(Some(Request::Leave { socket: 1 })));
        assert!(sockets.ask(2, 1_000), "who left is waited for no longer");
    }

    #[test]
    fn the_first_namespace_is_joined_in_time_and_later_none_is_needed() {
        let mut sockets = sockets();
        assert_eq!(sockets.next_timeout(), Some(Moment(45)));
        assert!(sockets.text("0").is_ok());
        sockets.refused(&Namespace::ROOT);
        assert!(!sockets.is_overdue(Moment(44)) && sockets.is_overdue(Moment(45)));
        let mut joined = joined();
        assert_eq!(joined.text("1"), Ok(Some(Request::Leave { socket: 1 })));
        assert!(joined.next_timeout().is_none() && !joined.is_overdue(Moment(1_000)));
    }

    #[test]
    fn namespaces_are_bounded_and_those_that_ended_make_room() {
        let mut sockets = sockets();
        for number in 0..SOCKETIO_NAMESPACES_MAX {
            assert!(matches!(sockets.text(&format!("0/{number},")), Ok(Some(Request::Join { .. }))));
            sockets.joined(&namespace(&format!("/{number}")), u8::try_from(number).expect("few"));
        }
        let too_many = Request::JoinTooMany { namespace: namespace("/more") };
        assert_eq!(sockets.text("0/more,"), Ok(Some(too_many)));
        assert!(sockets.removed(3).is_some());
        assert!(matches!(sockets.text("0/more,"), Ok(Some(Request::Join { .. }))));
    }
}
