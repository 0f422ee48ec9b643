//! Back ends that publish by the emitters of Socket.IO, which were made to speak to its servers through
//! Redis or PostgreSQL: what they say is read by `redis` and `postgres`, and done here.
//!
//! A room is a channel; the room of a socket's own id is its connection. So everybody who follows the
//! channel hears it, by whatever transport.

pub mod listen;
pub mod msgpack;
pub mod postgres;
pub mod redis;

use serde::Deserialize;
use serde_json::value::RawValue;

use santral_core::names::{BROADCAST, ChannelName, ConnectionId, EventName, Selector};
use santral_core::namespace::Namespace;
use santral_schema::access::Role;
use santral_schema::publish::{Emitted, Receipt};

use super::Refusal;
use super::connections::{self, Actions, Meant, Members};
use super::message::{Content, Excepted, Message};
use super::operator::Operator;
use super::publish::publish;
use crate::auth::Principal;
use crate::hub::Hub;
use crate::hub::shard_thread::LocalShard;

/// Something that a back end wants of the sockets of a namespace.
#[derive(Debug)]
pub struct Order {
    /// Where.
    pub namespace: Namespace,
    /// Whom it is about.
    pub whom: Whom,
    /// What is wanted.
    pub wish: Wish,
}

/// The sockets in some rooms, or all; without those in others. As the emitters write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Whom {
    /// In any of these; all, if it is empty.
    pub rooms: Vec<String>,
    /// In none of these.
    pub except: Vec<String>,
}

/// What is wanted.
#[derive(Debug)]
pub enum Wish {
    /// That they get an event.
    Emit {
        /// Its name and its arguments.
        data: Vec<Box<RawValue>>,
        /// Whether it may get lost.
        volatile: bool,
    },
    /// That they join rooms.
    Join(Vec<String>),
    /// That they leave rooms.
    Leave(Vec<String>),
    /// That they are disconnected.
    Disconnect,
    /// That other servers do something: there is nobody here who could.
    ServerSide,
}

/// Rooms as channels and connections. What can be neither has no members.
#[derive(Debug, Default)]
struct Places {
    channels: Vec<ChannelName>,
    connections: Vec<ConnectionId>,
}

impl Places {
    fn of(rooms: &[String], namespace: &Namespace) -> Self {
        let mut places = Self::default();
        for room in rooms {
            places.connections.extend(ConnectionId::parse(room).ok());
            places.channels.extend(channel_of(room, namespace));
        }
        places
    }

    /// The same without the channels that are in truth the rooms of connections, and the other way round.
    async fn settled(mut self, hub: &Hub) -> Self {
        if self.connections.is_empty() {
            return self;
        }
        let asked = self.connections.clone();
        let is_here = move |shard: &mut santral_core::shard::Shard, _| {
            asked.iter().copied().filter(|id| shard.find_connection(id).is_some()).collect::<Vec<_>>()
        };
        self.connections = hub.call_all(is_here).await.concat();
        let connections = &self.connections;
        self.channels.retain(|channel| !connections.iter().any(|id| id.as_str() == channel.room()));
        self
    }
}

/// The channel of a room, or none: nobody can be in a room whose name is no name of a channel.
fn channel_of(room: &str, namespace: &Namespace) -> Option<ChannelName> {
    let channel = ChannelName::parse(room).ok()?;
    // The channels of users are in no namespace.
    Some(if channel.is_of_user() { channel } else { ChannelName::in_namespace(namespace, &channel) })
}

/// Does what a back end wants, and says what came of it.
///
/// # Errors
/// [`Refusal`]; then nothing was done.
pub async fn carry_out(
    shard: &LocalShard,
    operator: &Operator,
    principal: &Principal,
    order: Order,
) -> Result<Emitted, Refusal> {
    let Order { namespace, whom, wish } = order;
    match wish {
        Wish::Emit { data, volatile } => {
            let receipts = emit(shard, principal, &namespace, &whom, &data, volatile).await?;
            let receivers = receipts.iter().filter_map(|receipt| receipt.receivers).sum();
            let id = receipts.into_iter().find_map(|receipt| receipt.id);
            Ok(Emitted { id, receivers: Some(receivers), matched: None })
        }
        Wish::Join(rooms) => {
            let actions = Actions { join: selectors(&rooms, &namespace), ..Actions::default() };
            steer(operator, principal, &namespace, &whom, actions).await
        }
        Wish::Leave(rooms) => {
            let actions = Actions { leave: selectors(&rooms, &namespace), ..Actions::default() };
            steer(operator, principal, &namespace, &whom, actions).await
        }
        Wish::Disconnect => {
            let actions = Actions { disconnect: true, ..Actions::default() };
            steer(operator, principal, &namespace, &whom, actions).await
        }
        Wish::ServerSide => {
            log::debug!("an emitter spoke to other servers of Socket.IO; there are none");
            Ok(Emitted { id: None, receivers: None, matched: None })
        }
    }
}

async fn emit(
    shard: &LocalShard,
    principal: &Principal,
    namespace: &Namespace,
    whom: &Whom,
    data: &[Box<RawValue>],
    volatile: bool,
) -> Result<Vec<Receipt>, Refusal> {
    let (event, arguments) = read_event(data)?;
    let content = Content::arguments(arguments, shard.hub().config.load().message_bytes_max)?;
    let to_everyone = [BROADCAST.to_owned()];
    let rooms = if whom.rooms.is_empty() { &to_everyone[..] } else { &whom.rooms };
    let Places { channels, connections } = Places::of(rooms, namespace).settled(shard.hub()).await;
    let except = Places::of(&whom.except, namespace);
    let mut messages = Vec::new();
    if !channels.is_empty() {
        let mut excepted = Excepted { connections: except.connections.clone(), channels: except.channels };
        // Each of them gets a message of its own.
        excepted.connections.extend(&connections);
        messages.push(Message::to_channels(channels, content.clone()).except(excepted).volatile(volatile));
    }
    let spoken_to = connections.into_iter().filter(|id| !except.connections.contains(id));
    messages.extend(spoken_to.map(|id| Message::to_connection(id, content.clone())));
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let messages = messages.into_iter().map(|message| message.named(Some(event.clone()))).collect();
    publish(shard, principal, &principal.sender(), messages, None).await
}

/// The first item is the name; Socket.IO takes a number for one, too.
fn read_event(data: &[Box<RawValue>]) -> Result<(EventName, &[Box<RawValue>]), Refusal> {
    let Some((name, arguments)) = data.split_first() else {
        return Err(Refusal::Field("the packet has no event"));
    };
    let name = serde_json::from_str(name.get()).unwrap_or_else(|_| name.get().to_owned());
    let event = EventName::foreign(&name).map_err(|error| Refusal::Event(name, error))?;
    Ok((event, arguments))
}

/// Moving and disconnecting is the operator's.
async fn steer(
    operator: &Operator,
    principal: &Principal,
    namespace: &Namespace,
    whom: &Whom,
    actions: Actions,
) -> Result<Emitted, Refusal> {
    if principal.role != Role::Admin {
        return Err(Refusal::Forbidden { right: "move the sockets of", what: namespace.to_string() });
    }
    let everyone = ChannelName::in_namespace(namespace, &ChannelName::broadcast());
    let Places { channels, connections } = Places::of(&whom.rooms, namespace);
    let except = Places::of(&whom.except, namespace);
    let members = Members {
        everyone,
        any_of: (!whom.rooms.is_empty()).then_some((channels, connections)),
        except: (except.channels, except.connections),
    };
    let done = connections::act(operator, principal, Meant::Members(members), actions).await;
    Ok(Emitted { id: None, receivers: None, matched: Some(done.matched) })
}

/// Nobody can be in a room that is no channel; the channels of users are the server's own.
fn selectors(rooms: &[String], namespace: &Namespace) -> Vec<Selector> {
    let channels = rooms.iter().filter_map(|room| channel_of(room, namespace));
    channels.filter(|channel| !channel.is_of_user()).map(Selector::Channel).collect()
}
