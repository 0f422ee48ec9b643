//! What an operator does by an Admin UI: the use cases of REST, under the names of the page.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use santral_core::names::{ChannelName, ConnectionId, EventName, Selector};
use santral_core::namespace::Namespace;
use santral_core::socketio::Args;
use santral_schema::access::Role;
use santral_schema::event_log::EventType;

use super::Answer;
use crate::auth::Principal;
use crate::hub::shard_thread::LocalShard;
use crate::service::connections::{self, Actions, Meant};
use crate::service::message::{Content, Message};
use crate::service::operator::Operator;
use crate::service::{Refusal, publish, streams};

/// What is no call of the page.
const SHAPE: Refusal = Refusal::Field("the arguments are not those of this command");

/// Carries out a command. Each asks for an admin; what is no command is refused.
pub(super) async fn carry_out(
    operator: &Operator,
    local: &LocalShard,
    by: &Principal,
    name: &str,
    args: &Args,
) -> Result<Answer, Refusal> {
    if by.role != Role::Admin {
        return Err(Refusal::Forbidden { right: "do", what: name.to_owned() });
    }
    match name {
        "emit" => emit(operator, local, by, args).await,
        "join" => {
            let (namespace, room, filter): (String, String, Option<String>) = read(args)?;
            let namespace = parse_namespace(&namespace)?;
            let actions = Actions { join: parse_room(&namespace, &room)?, ..Actions::default() };
            act(operator, by, &namespace, filter, actions).await
        }
        "leave" => {
            let (namespace, room, filter): (String, String, Option<String>) = read(args)?;
            let namespace = parse_namespace(&namespace)?;
            let actions = Actions { leave: parse_room(&namespace, &room)?, ..Actions::default() };
            act(operator, by, &namespace, filter, actions).await
        }
        "_disconnect" => {
            let (namespace, closes, filter): (String, Option<bool>, Option<String>) = read(args)?;
            let namespace = parse_namespace(&namespace)?;
            disconnect(operator, by, &namespace, closes == Some(true), filter).await
        }
        _ => Ok(Answer::failed("unknown_event", "the server takes no such command")),
    }
}

/// `emit(namespace, room or socket or nothing, event, …arguments)`.
async fn emit(operator: &Operator, local: &LocalShard, by: &Principal, args: &Args) -> Result<Answer, Refusal> {
    let (namespace, rest) = take::<String>(args)?;
    let (filter, rest) = take::<Option<String>>(&rest)?;
    let (event, args) = take::<String>(&rest)?;
    let namespace = parse_namespace(&namespace)?;
    let content = Content::of_args(args, local.hub().config.load().message_bytes_max)?;
    let meant = find(operator, &namespace, filter.as_deref()).await?;
    let summary = format!("{meant:?}: event {event:?}");
    let message = match meant {
        Meant::Channel(channel) => Message::to_channels(vec![channel], content),
        Meant::Connection(connection) => Message::to_connection(connection, content),
        Meant::User(user) => {
            let own = ChannelName::of_user(&user).map_err(|error| Refusal::User(user, error))?;
            Message::to_channels(vec![own], content)
        }
        Meant::Members(_) => return Err(Refusal::Target("a filter names one room or one socket")),
    };
    let name = EventName::foreign(&event).map_err(|error| Refusal::Event(event, error))?;
    let message = message.named(Some(name));
    let receipts = publish::publish(local, by, &by.sender(), vec![message], None).await?;
    let receivers = receipts.first().and_then(|receipt| receipt.receivers).unwrap_or_default();
    operator.record(EventType::Emitted, by, format!("{summary} ({receivers} receivers)"));
    Ok(Answer::done(&receipts.first()))
}

async fn act(
    operator: &Operator,
    by: &Principal,
    namespace: &Namespace,
    filter: Option<String>,
    actions: Actions,
) -> Result<Answer, Refusal> {
    let meant = find(operator, namespace, filter.as_deref()).await?;
    Ok(Answer::done(&connections::act(operator, by, meant, actions).await))
}

/// With `closes`, all that the same clients have open, in whatever namespace.
async fn disconnect(
    operator: &Operator,
    by: &Principal,
    namespace: &Namespace,
    closes: bool,
    filter: Option<String>,
) -> Result<Answer, Refusal> {
    let meant = find(operator, namespace, filter.as_deref()).await?;
    let end = || Actions { disconnect: true, ..Actions::default() };
    let also = match (&meant, closes) {
        (Meant::Connection(connection), true) => {
            let connection = *connection;
            let sharing = operator.hub.call_local_all(move |local| local.sharing_with(&connection)).await;
            sharing.into_iter().flatten().filter(|other| *other != connection).collect()
        }
        (Meant::Connection(_), false) | (Meant::Channel(_) | Meant::User(_) | Meant::Members(_), _) => Vec::new(),
    };
    let mut done = connections::act(operator, by, meant, end()).await;
    for other in also {
        let more = connections::act(operator, by, Meant::Connection(other), end()).await;
        done.matched += more.matched;
    }
    Ok(Answer::done(&done))
}

/// Whom a filter means: a socket, a room, or without one whoever hears what is for everyone in the namespace.
async fn find(operator: &Operator, namespace: &Namespace, filter: Option<&str>) -> Result<Meant, Refusal> {
    let Some(text) = filter.filter(|text| !text.is_empty()) else {
        return Ok(Meant::Channel(ChannelName::in_namespace(namespace, &ChannelName::broadcast())));
    };
    if let Ok(connection) = ConnectionId::parse(text) {
        let found = operator.hub.call_all(move |shard, _| shard.find_connection(&connection).is_some()).await;
        if found.contains(&true) {
            return Ok(Meant::Connection(connection));
        }
    }
    let channel = ChannelName::parse(text).map_err(|error| Refusal::Channel(text.to_owned(), error))?;
    Ok(Meant::Channel(ChannelName::in_namespace(namespace, &channel)))
}

fn parse_namespace(text: &str) -> Result<Namespace, Refusal> {
    Namespace::parse(text).map_err(|error| Refusal::Namespace(text.to_owned(), error))
}

/// A room as something to follow; in the usual namespace that may be a prefix.
fn parse_room(namespace: &Namespace, room: &str) -> Result<Vec<Selector>, Refusal> {
    let parsed = streams::parse_selectors(&[room.to_owned()])?;
    let place = |selector| match selector {
        Selector::Channel(channel) => Ok(Selector::Channel(ChannelName::in_namespace(namespace, &channel))),
        Selector::Prefix(_) if namespace.is_main() => Ok(selector),
        Selector::Prefix(_) => Err(SHAPE),
    };
    parsed.into_iter().map(place).collect()
}

/// All arguments at once; the last may be missing, as pages leave them out.
fn read<A: DeserializeOwned, B: DeserializeOwned, C: DeserializeOwned>(args: &Args) -> Result<(A, B, C), Refusal> {
    let (first, rest) = take(args)?;
    let (second, rest) = take(&rest)?;
    let third = rest.split_first().map_or("null", |(third, _)| third.get()).to_owned();
    Ok((first, second, serde_json::from_str(&third).map_err(|_| SHAPE)?))
}

fn take<T: DeserializeOwned>(args: &Args) -> Result<(T, Args), Refusal> {
    let (first, rest): (&RawValue, Args) = args.split_first().ok_or(SHAPE)?;
    Ok((serde_json::from_str(first.get()).map_err(|_| SHAPE)?, rest))
}
