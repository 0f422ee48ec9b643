//! A message as its publisher sent it, checked: where it goes, what it says, who is left out.
//!
//! REST and the commands of a session send items; other protocols build messages of parts that they
//! have checked themselves.

use std::sync::Arc;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use santral_core::entry::{Publication, Sender};
use santral_core::json;
use santral_core::limits::{BATCH_ITEMS_MAX, EXCEPT_ITEMS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, JSON_DEPTH_MAX};
use santral_core::names::{BROADCAST, ChannelName, ConnectionId, EventName, NameError};
use santral_core::namespace::Namespace;
use santral_core::socketio::{Args, binary};
use santral_core::unless::Unless;
use santral_schema::publish::{Except, PublishItem};

use super::Refusal;
use crate::hub::news::MessageNews;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// To who follows any of these, which differ.
    Channels(Vec<ChannelName>),
    Connection(ConnectionId),
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub(super) data: Arc<str>,
    /// Whether the data is an array of several arguments.
    pub(super) spread: bool,
}

impl Content {
    /// One JSON text, passed on as it was written.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], [`Refusal::TooDeep`].
    pub fn data(data: &RawValue, bytes_max: usize) -> Result<Self, Refusal> {
        Ok(Self { data: check_data(data.get(), bytes_max)?.into(), spread: false })
    }

    /// The arguments of an event of Socket.IO.
    ///
    /// # Errors
    /// See [`Content::data`].
    pub fn of_args(args: Args, bytes_max: usize) -> Result<Self, Refusal> {
        let (data, spread) = args.into_data();
        // Bytes count as what they are, not as the longer text that stands for them in the log.
        let text_bytes = binary::detach(&data).map_or(0, |detached| {
            let attached = detached.attachments.iter().map(|base64| base64.len());
            attached.map(|length| length - length / 4 * 3).sum()
        });
        Ok(Self { data: check_data(&data, bytes_max + text_bytes)?.into(), spread })
    }

    /// The arguments of an event. One alone is the message itself; of more or fewer, it is the array.
    ///
    /// # Errors
    /// See [`Content::data`].
    pub fn arguments<T: AsRef<RawValue>>(arguments: &[T], bytes_max: usize) -> Result<Self, Refusal> {
        if let [only] = arguments {
            return Self::data(only.as_ref(), bytes_max);
        }
        let texts: Vec<&str> = arguments.iter().map(|argument| argument.as_ref().get()).collect();
        let data = format!("[{}]", texts.join(","));
        Ok(Self { data: check_data(&data, bytes_max)?.into(), spread: true })
    }
}

/// Who is left out of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excepted {
    /// These connections, and what their sessions have later.
    pub connections: Vec<ConnectionId>,
    /// Whoever follows one of these.
    pub channels: Vec<ChannelName>,
}

impl Excepted {
    /// Reads names of which each is a connection, a channel, or may be either: then it is both, as a
    /// connection is a room of its own elsewhere, too.
    fn parse(except: Except, namespace: &Namespace) -> Result<Self, Refusal> {
        let names = match except {
            Except::One(name) => vec![name],
            Except::Several(names) => names,
        };
        if names.len() > EXCEPT_ITEMS_MAX {
            return Err(Refusal::Field("`except` names more than 100 connections and channels"));
        }
        let mut excepted = Self::default();
        for name in names {
            let connection = ConnectionId::parse(&name).ok();
            excepted.connections.extend(connection);
            match parse_channel(&name, namespace) {
                Ok(channel) => excepted.channels.push(channel),
                Err(_) if connection.is_some() => (),
                Err(error) => return Err(Refusal::Excepted(name, error)),
            }
        }
        Ok(excepted)
    }

    /// What a fingerprint says of it: for one connection, what it has always said.
    fn to_text(&self) -> String {
        let connections = self.connections.iter().map(ConnectionId::as_str);
        let could_be_channels = |name: &&str| !self.connections.iter().any(|id| id.as_str() == *name);
        let channels = self.channels.iter().map(ChannelName::as_str).filter(could_be_channels);
        connections.chain(channels).collect::<Vec<_>>().join(",")
    }
}

/// A message that was checked.
#[derive(Debug, Clone)]
pub struct Message {
    pub(super) target: Target,
    pub(super) event: Option<EventName>,
    pub(super) content: Content,
    pub(super) excepted: Excepted,
    pub(super) volatile: bool,
    pub(super) key: Option<Arc<str>>,
}

impl Message {
    /// Checks an item of a publish.
    ///
    /// # Errors
    /// [`Refusal`] says what is wrong with it.
    pub fn parse(item: PublishItem, bytes_max: usize) -> Result<Self, Refusal> {
        let content = match (&item.data, &item.args) {
            (Some(data), None) => Content::data(data, bytes_max)?,
            (None, Some(arguments)) => Content::arguments(arguments, bytes_max)?,
            (None, None) => return Err(Refusal::Content("the message has neither `data` nor `args`")),
            (Some(_), Some(_)) => return Err(Refusal::Content("the message has both `data` and `args`")),
        };
        let namespace = parse_namespace(&item)?;
        let target = parse_target(&item, &namespace)?;
        let event = item.event.map(|name| EventName::parse(&name).map_err(|error| Refusal::Event(name, error)));
        let excepted = item.except.map(|except| Excepted::parse(except, &namespace)).transpose()?;
        let key = item.key.map(|key| parse_key(&key)).transpose()?;
        let volatile = item.volatile || matches!(target, Target::Connection(_));
        if volatile && key.is_some() {
            return Err(Refusal::IdempotencyKey("an idempotency key goes only with a message that is stored"));
        }
        let excepted = excepted.unwrap_or_default();
        Ok(Self { target, event: event.transpose()?, content, excepted, volatile, key })
    }

    /// A message to whoever follows any of these channels, once each. Channels that are named twice
    /// count once.
    #[must_use]
    pub fn to_channels(channels: Vec<ChannelName>, content: Content) -> Self {
        Self::to(Target::Channels(distinct(channels)), content)
    }

    /// A direct message.
    #[must_use]
    pub fn to_connection(connection: ConnectionId, content: Content) -> Self {
        Self { volatile: true, ..Self::to(Target::Connection(connection), content) }
    }

    fn to(target: Target, content: Content) -> Self {
        let excepted = Excepted::default();
        Self { target, event: None, content, excepted, volatile: false, key: None }
    }

    /// The same with an event name.
    #[must_use]
    pub fn named(self, event: Option<EventName>) -> Self {
        Self { event, ..self }
    }

    /// The same without these receivers.
    #[must_use]
    pub fn except(self, excepted: Excepted) -> Self {
        Self { excepted, ..self }
    }

    /// The same, stored or not. A direct message never is.
    #[must_use]
    pub fn volatile(self, volatile: bool) -> Self {
        Self { volatile: self.volatile || volatile, ..self }
    }

    fn channels(&self) -> &[ChannelName] {
        match &self.target {
            Target::Channels(channels) => channels,
            Target::Connection(_) => &[],
        }
    }

    /// How many entries it makes in the log, or would.
    pub(super) fn copies(&self) -> usize {
        self.channels().len()
    }

    /// Its entries.
    pub(super) fn publications(&self, from: &Sender) -> Vec<Publication> {
        let Excepted { connections, channels: except } = self.excepted.clone();
        let unless = Unless::of_copies(self.channels(), connections, except);
        let publication = |(channel, unless): (&ChannelName, _)| Publication {
            event: self.event.clone(),
            spread: self.content.spread,
            from: from.clone(),
            unless,
            ..Publication::new(channel.clone(), Arc::clone(&self.content.data))
        };
        self.channels().iter().zip(unless).map(publication).collect()
    }

    /// What is told of it to whoever listens.
    pub(super) fn news(&self, from: &Sender) -> MessageNews {
        MessageNews {
            from: from.connection,
            channels: self.channels().to_vec(),
            except_connections: self.excepted.connections.clone(),
            except_channels: self.excepted.channels.clone(),
            event: self.event.clone(),
            data: Arc::clone(&self.content.data),
            spread: self.content.spread,
        }
    }

    /// What tells the message from others under the same idempotency key.
    pub(super) fn add_to_fingerprint(&self, digest: &mut Sha256) {
        let channels = self.channels();
        let event = self.event.as_ref().map_or("", EventName::as_str);
        let except = self.excepted.to_text();
        // Lengths in front keep the fields apart: `ab` + `c` is not `a` + `bc`.
        let fields = channels.iter().map(ChannelName::as_str).chain([event, &except, &self.content.data]);
        digest.update(channels.len().to_le_bytes());
        for field in fields.chain(self.content.spread.then_some("spread")) {
            digest.update(field.len().to_le_bytes());
            digest.update(field);
        }
    }
}

fn parse_namespace(item: &PublishItem) -> Result<Namespace, Refusal> {
    let Some(text) = &item.namespace else { return Ok(Namespace::main()) };
    let namespace = Namespace::parse(text).map_err(|error| Refusal::Namespace(text.clone(), error))?;
    if !namespace.is_main() && (item.user.is_some() || item.connection.is_some()) {
        return Err(Refusal::Target("a user and a connection are in no namespace"));
    }
    Ok(namespace)
}

fn parse_channel(name: &str, namespace: &Namespace) -> Result<ChannelName, NameError> {
    let parsed = ChannelName::parse(name)?;
    if parsed.is_reserved() {
        return Err(NameError::Reserved);
    }
    Ok(ChannelName::in_namespace(namespace, &parsed))
}

fn parse_target(item: &PublishItem, namespace: &Namespace) -> Result<Target, Refusal> {
    let channel = |name: &String| parse_channel(name, namespace).map_err(|error| Refusal::Channel(name.clone(), error));
    match (&item.channel, &item.channels, &item.user, &item.connection) {
        (Some(name), None, None, None) => Ok(Target::Channels(vec![channel(name)?])),
        (None, Some(names), None, None) if names.is_empty() => Err(Refusal::Target("`channels` is empty")),
        (None, Some(names), None, None) if names.len() > BATCH_ITEMS_MAX => Err(Refusal::Batch(names.len())),
        (None, Some(names), None, None) => {
            Ok(Target::Channels(distinct(names.iter().map(channel).collect::<Result<_, _>>()?)))
        }
        (None, None, Some(user), None) => {
            let own = ChannelName::of_user(user).map_err(|error| Refusal::User(user.clone(), error))?;
            Ok(Target::Channels(vec![own]))
        }
        (None, None, None, Some(id)) => {
            let id = ConnectionId::parse(id).map_err(|error| Refusal::Connection(id.clone(), error))?;
            Ok(Target::Connection(id))
        }
        (None, None, None, None) => Err(Refusal::Target("the message names no target")),
        (_, _, _, _) => Err(Refusal::Target("the message names more than one target")),
    }
}

/// Each channel once, in the order in which they were named first.
fn distinct(mut channels: Vec<ChannelName>) -> Vec<ChannelName> {
    let mut known = std::collections::BTreeSet::new();
    channels.retain(|channel| known.insert(channel.clone()));
    channels
}

/// The name of the channel that everyone follows, as an item names it.
#[must_use]
pub fn to_everyone() -> String {
    BROADCAST.to_owned()
}

fn check_data(text: &str, bytes_max: usize) -> Result<&str, Refusal> {
    if text.len() > bytes_max {
        return Err(Refusal::TooLarge { bytes: text.len(), bytes_max });
    }
    if json::nests_deeper_than(text, JSON_DEPTH_MAX) {
        return Err(Refusal::TooDeep);
    }
    Ok(text)
}

/// Checks an idempotency key.
///
/// # Errors
/// [`Refusal::IdempotencyKey`].
pub(super) fn parse_key(key: &str) -> Result<Arc<str>, Refusal> {
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(Refusal::IdempotencyKey("an idempotency key has 1 to 255 characters"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::IdempotencyKey("an idempotency key has visible ASCII characters only"));
    }
    Ok(key.into())
}
