//! The events of clients: three are commands, all others are passed on as the operator wants it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use santral_core::entry::Sender;
use santral_core::names::{ChannelName, EventName, Selector};
use santral_core::socketio::Args;

use super::Socket;
use super::answer::Answer;
use crate::auth::Principal;
use crate::config::{Config, UnknownEvent};
use crate::hub::shard_thread::LocalShard;
use crate::service::Refusal;
use crate::service::message::{Content, Excepted, Message};
use crate::service::publish;
use crate::service::streams::check_right_to_follow;
use crate::telemetry::metrics::labels::Door;

/// What an event asks for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// To join a room.
    Join,
    /// To leave a room.
    Leave,
    /// To publish to a room.
    Publish,
    /// Nothing of the server.
    Other(UnknownEvent),
}

impl Command {
    /// What an event of this name asks for.
    #[must_use]
    pub fn of(name: &str, config: &Config) -> Self {
        let is_any_of = |names: &[String]| names.iter().any(|one| one == name);
        if is_any_of(&config.socketio_join) {
            Self::Join
        } else if is_any_of(&config.socketio_leave) {
            Self::Leave
        } else if is_any_of(&config.socketio_publish) {
            Self::Publish
        } else {
            Self::Other(config.socketio_unknown_event)
        }
    }
}

/// The first argument of `join`: the room, or an object that names it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Room {
    Name(String),
    Number(serde_json::Number),
    Object {
        room: String,
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        presence: bool,
    },
}

#[derive(Serialize)]
struct JoinedRoom<'a> {
    room: &'a str,
    members: usize,
    last_id: String,
}

#[derive(Serialize)]
struct LeftRoom<'a> {
    room: &'a str,
}

#[derive(Serialize)]
struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    receivers: u32,
}

/// Carries out an event of a socket. `identify` says whose token it brings.
pub async fn carry_out(
    local: &LocalShard,
    socket: &Socket,
    identify: impl Fn(&str) -> Result<Principal, Refusal>,
    name: &str,
    args: Args,
) -> Answer {
    let command = Command::of(name, &local.hub().config.load());
    let done = match command {
        Command::Join => join(local, socket, identify, &args).await,
        Command::Leave => leave(local, socket, &args),
        Command::Publish => publish_to(local, socket, &args).await,
        Command::Other(UnknownEvent::Reject) => Ok(Answer::failed("unknown_event", "the server takes no such event")),
        Command::Other(UnknownEvent::Relay) => relay(local, socket, name, args, false).await,
        Command::Other(UnknownEvent::Echo) => relay(local, socket, name, args, true).await,
    };
    done.unwrap_or_else(|refusal| Answer::refused(&refusal))
}

async fn join(
    local: &LocalShard,
    socket: &Socket,
    identify: impl Fn(&str) -> Result<Principal, Refusal>,
    args: &Args,
) -> Result<Answer, Refusal> {
    let (room, token, presence) = match first(args) {
        Some(Room::Name(room)) => (room, None, false),
        Some(Room::Number(room)) => (room.to_string(), None, false),
        Some(Room::Object { room, token, presence }) => (room, token, presence),
        None => return Err(Refusal::Field("the first argument is neither a room nor an object that names one")),
    };
    let channel = channel_of(socket, &room)?;
    let selectors = vec![Selector::Channel(channel.clone())];
    match token {
        Some(token) => check_right_to_follow(&identify(&token)?, &selectors, presence)?,
        None => check_right_to_follow(&socket.principal, &selectors, presence)?,
    }
    let hub = local.hub();
    if presence {
        hub.watch_presence();
    }
    let last_id = local.with(|shard, _| {
        shard.subscribe(socket.session, selectors, presence).map_err(|_| Refusal::TooManySubscriptions)?;
        Ok::<_, Refusal>(shard.head().to_string())
    })?;
    let counts = hub.call_all(move |shard, _| shard.present(&channel, 0).1).await;
    Ok(Answer::done(&JoinedRoom { room: &room, members: counts.into_iter().sum(), last_id }))
}

fn leave(local: &LocalShard, socket: &Socket, args: &Args) -> Result<Answer, Refusal> {
    let room = match first(args) {
        Some(Room::Name(room) | Room::Object { room, .. }) => room,
        Some(Room::Number(room)) => room.to_string(),
        None => return Err(Refusal::Field("the first argument is neither a room nor an object that names one")),
    };
    let channel = channel_of(socket, &room)?;
    let was_member = local.with(|shard, _| {
        let was_member = shard.view(socket.session).is_some_and(|view| view.follows(&channel));
        shard.unsubscribe(socket.session, &[Selector::Channel(channel)]);
        was_member
    });
    if !was_member {
        return Ok(Answer::failed("not_member", "the socket is not in this room"));
    }
    Ok(Answer::done(&LeftRoom { room: &room }))
}

/// `publish(room, event, …arguments)`: to the others in the room.
async fn publish_to(local: &LocalShard, socket: &Socket, args: &Args) -> Result<Answer, Refusal> {
    const SHAPE: Refusal = Refusal::Field("the first two arguments are not a room and an event");
    let (room, rest) = args.split_first().ok_or(SHAPE)?;
    let (event, rest) = rest.split_first().map(|(event, rest)| (event.to_owned(), rest)).ok_or(SHAPE)?;
    let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).map_err(|_| SHAPE);
    let (room, event) = (text(room)?, text(&event)?);
    let channels = vec![channel_of(socket, &room)?];
    publish_in(local, socket, channels, &event, rest, false).await
}

/// To the rooms of the socket, or to everyone where it is in none.
async fn relay(
    local: &LocalShard,
    socket: &Socket,
    name: &str,
    args: Args,
    to_sender_too: bool,
) -> Result<Answer, Refusal> {
    let followed = local.with(|shard, _| shard.subscriptions(socket.session));
    let rooms: Vec<ChannelName> = followed
        .into_iter()
        .filter_map(|selector| match selector {
            Selector::Channel(channel) if !channel.is_for_everyone() && !channel.is_of_user() => Some(channel),
            Selector::Channel(_) | Selector::Prefix(_) => None,
        })
        .collect();
    let everyone = || vec![ChannelName::in_namespace(&socket.namespace, &ChannelName::broadcast())];
    let channels = if rooms.is_empty() { everyone() } else { rooms };
    publish_in(local, socket, channels, name, args, to_sender_too).await
}

async fn publish_in(
    local: &LocalShard,
    socket: &Socket,
    channels: Vec<ChannelName>,
    name: &str,
    args: Args,
    to_sender_too: bool,
) -> Result<Answer, Refusal> {
    let hub = local.hub();
    let event = EventName::foreign(name).map_err(|error| Refusal::Event(name.to_owned(), error))?;
    let content = Content::of_args(args, hub.config.load().message_bytes_max)?;
    let connections = if to_sender_too { Vec::new() } else { vec![socket.id] };
    let excepted = Excepted { connections, channels: Vec::new() };
    let message = Message::to_channels(channels, content).named(Some(event)).except(excepted);
    let from = Sender { user: socket.principal.user.clone(), connection: Some(socket.id) };
    let published = publish::publish(local, &socket.principal, &from, vec![message], None).await;
    let receipts = published.inspect_err(|refusal| {
        hub.metrics.publish_refusals.of((Door::Command, refusal.class())).inc();
    })?;
    let receipt = receipts.into_iter().next().ok_or(Refusal::Stopped)?;
    Ok(Answer::done(&Published { id: receipt.id, receivers: receipt.receivers.unwrap_or_default() }))
}

fn first<T: for<'de> Deserialize<'de>>(args: &Args) -> Option<T> {
    let (first, _) = args.split_first()?;
    serde_json::from_str(first.get()).ok()
}

fn channel_of(socket: &Socket, room: &str) -> Result<ChannelName, Refusal> {
    socket.channel(room).map_err(|error| Refusal::Channel(room.to_owned(), error))
}
