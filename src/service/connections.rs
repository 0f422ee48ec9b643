//! Connections, as the operator sees and steers them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use santral_core::client::Client;
use santral_core::entry::Timestamp;
use santral_core::limits::{BLOCK_MAX, LISTING_ITEMS, LISTING_ITEMS_MAX};
use santral_core::names::{ChannelName, ConnectionId, Selector};
use santral_core::shard::{SessionView, Shard};
use santral_core::time::Moment;
use santral_schema::connections::{ActionsDone, Connection, ConnectionDetail, ConnectionList, Kicked};
use santral_schema::event_log::EventType;
use santral_schema::reason::DisconnectReason;

use super::blocks::Subject;
use super::operator::Operator;
use super::{Refusal, streams};
use crate::auth::Principal;
use crate::hub::Hub;

/// Which connections are wanted. What is absent lets everything through.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFilter {
    /// Of this user.
    pub user: Option<String>,
    /// That follow this channel, by name or by prefix.
    pub channel: Option<ChannelName>,
    /// Of this transport.
    pub transport: Option<String>,
    /// From this network.
    pub network: Option<IpNet>,
    /// With this text in user, principal, address, program or id, in lower case.
    pub text: Option<String>,
}

impl ConnectionFilter {
    fn admits(&self, view: &SessionView<'_>) -> bool {
        let client = view.client();
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|text| found == Some(text));
        is(&self.user, client.user.as_deref())
            && is(&self.transport, Some(client.transport))
            && self.network.is_none_or(|network| client.address.parse().is_ok_and(|ip: IpAddr| network.contains(&ip)))
            && self.channel.as_ref().is_none_or(|channel| view.follows(channel))
            && self.text.as_ref().is_none_or(|text| mentions(client, view.connection(), text))
    }
}

fn mentions(client: &Client, connection: ConnectionId, text: &str) -> bool {
    let fields = [client.user.as_deref(), client.user_agent.as_deref()].into_iter().flatten();
    let mut fields = fields.chain([&*client.principal, &*client.address, connection.as_str()]);
    fields.any(|field| field.to_ascii_lowercase().contains(text))
}

/// A page of the open connections of this node, in the order of their ids.
pub async fn list(
    hub: &Hub,
    filter: ConnectionFilter,
    after: Option<ConnectionId>,
    limit: Option<usize>,
) -> ConnectionList {
    let limit = limit.unwrap_or(LISTING_ITEMS).clamp(1, LISTING_ITEMS_MAX);
    let filter = Arc::new(filter);
    let pages = hub.call_all(move |shard, now| {
        let linked = shard.views_after(after).filter(SessionView::is_linked);
        // One more than asked for tells whether there is more.
        let found = linked.filter(|view| filter.admits(view)).take(limit + 1);
        let total = shard.views().filter(SessionView::is_linked).count();
        (found.map(|view| describe(&view, now)).collect::<Vec<_>>(), total)
    });
    let pages = pages.await;
    let total = pages.iter().map(|(_, total)| total).sum();
    let mut connections: Vec<Connection> = pages.into_iter().flat_map(|(found, _)| found).collect();
    connections.sort_unstable_by(|left, right| left.connection.cmp(&right.connection));
    let more = connections.len() > limit;
    connections.truncate(limit);
    let cursor = connections.last().filter(|_| more).map(|last| last.connection.clone());
    ConnectionList { connections, cursor, total }
}

/// One open connection.
///
/// # Errors
/// [`Refusal::NoConnection`].
pub async fn detail(hub: &Hub, connection: ConnectionId) -> Result<ConnectionDetail, Refusal> {
    let found = hub.call_all(move |shard, now| {
        let view = shard.find_connection(&connection).and_then(|key| shard.view(key))?;
        let channels = view.selectors().iter().map(Selector::to_string).collect();
        view.is_linked().then(|| ConnectionDetail { connection: describe(&view, now), channels })
    });
    found.await.into_iter().flatten().next().ok_or(Refusal::NoConnection)
}

/// Ends a connection. With `block`, its user (or a guest's address) may not come back for that long,
/// and all other connections of the same client end as well.
///
/// # Errors
/// [`Refusal::NoConnection`], [`Refusal::BlockTooLong`], [`Refusal::Store`].
pub async fn kick(
    operator: &Operator,
    by: &Principal,
    connection: ConnectionId,
    block: Option<Duration>,
) -> Result<Kicked, Refusal> {
    if block.is_some_and(|block| block > BLOCK_MAX) {
        return Err(Refusal::BlockTooLong);
    }
    let hub = &operator.hub;
    let found = hub.call_all(move |shard, _| {
        let view = shard.find_connection(&connection).and_then(|key| shard.view(key))?;
        Some(Arc::clone(view.client()))
    });
    let client = found.await.into_iter().flatten().next().ok_or(Refusal::NoConnection)?;
    let Some(block) = block.filter(|block| !block.is_zero()) else {
        let ended = end_where(hub, DisconnectReason::Kicked, move |view| view.connection() == connection).await;
        operator.record(EventType::Kicked, by, format!("connection {} was ended", connection.as_str()));
        return Ok(Kicked { ended, blocked: None, blocked_until: None });
    };
    let subject = client.address.parse().map(|address| Subject::of(client.user.as_ref(), address));
    let subject = subject.map_err(|_| Refusal::NoConnection)?;
    let now = Hub::wall_clock();
    let until = Timestamp(now.0.saturating_add(i64::try_from(block.as_micros()).unwrap_or(i64::MAX)));
    operator.blocks.put(&subject, by, now, until).await?;
    let ended = end_subject(hub, &subject, connection).await;
    operator.record(EventType::Blocked, by, format!("{subject} was blocked until {}", until.to_rfc3339()));
    Ok(Kicked { ended, blocked: Some(subject.to_string()), blocked_until: Some(until.to_rfc3339()) })
}

/// Lets somebody come back before the block has ended.
///
/// # Errors
/// [`Refusal::NoBlock`], [`Refusal::Store`].
pub async fn unblock(operator: &Operator, by: &Principal, subject: &Subject) -> Result<(), Refusal> {
    if !operator.blocks.remove(subject).await? {
        return Err(Refusal::NoBlock);
    }
    operator.record(EventType::Unblocked, by, format!("{subject} may come back"));
    Ok(())
}

async fn end_subject(hub: &Hub, subject: &Subject, connection: ConnectionId) -> usize {
    let subject = subject.clone();
    let is_meant = move |view: &SessionView<'_>| {
        let client = view.client();
        view.connection() == connection
            || match &subject {
                Subject::User(user) => client.user.as_ref() == Some(user),
                // A block by address is meant for guests; who is signed in is blocked by name.
                Subject::Address(network) => {
                    client.user.is_none() && client.address.parse().is_ok_and(|ip: IpAddr| network.contains(&ip))
                }
            }
    };
    end_where(hub, DisconnectReason::Blocked, is_meant).await
}

/// Ends the sessions that the predicate picks, on every shard, and says how many.
pub async fn end_where(
    hub: &Hub,
    reason: DisconnectReason,
    is_meant: impl Fn(&SessionView<'_>) -> bool + Clone + Send + 'static,
) -> usize {
    hub.call_all(move |shard, now| shard.end_where(now, reason, &is_meant)).await.into_iter().sum()
}

/// Which connections an action is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// All that follow this channel.
    Channel(ChannelName),
    /// All of this user.
    User(String),
    /// This one.
    Connection(ConnectionId),
    /// Members of rooms.
    Members(Members),
}

/// Whoever is in some rooms of a namespace and in none of others. A room is a channel, or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The channel that everyone in the namespace follows.
    pub everyone: ChannelName,
    /// The rooms; `None` for all who are in the namespace.
    pub any_of: Option<(Vec<ChannelName>, Vec<ConnectionId>)>,
    /// Rooms whose members are not meant.
    pub except: (Vec<ChannelName>, Vec<ConnectionId>),
}

impl Members {
    fn include(&self, view: &SessionView<'_>) -> bool {
        let is_in = |(channels, connections): &(Vec<ChannelName>, Vec<ConnectionId>)| {
            connections.contains(&view.connection()) || channels.iter().any(|channel| view.follows(channel))
        };
        view.follows(&self.everyone) && self.any_of.as_ref().is_none_or(is_in) && !is_in(&self.except)
    }
}

impl Meant {
    fn is(&self, view: &SessionView<'_>) -> bool {
        match self {
            Self::Channel(channel) => view.follows(channel),
            Self::User(user) => view.client().user.as_deref() == Some(user),
            Self::Connection(connection) => view.connection() == *connection,
            Self::Members(members) => members.include(view),
        }
    }
}

/// What is done with connections; see [`santral_schema::connections::ConnectionActions`].
#[derive(Debug, Clone, Default)]
pub struct Actions {
    /// Follow these from now on.
    pub join: Vec<Selector>,
    /// Follow these no longer.
    pub leave: Vec<Selector>,
    /// End.
    pub disconnect: bool,
}

impl Actions {
    /// Checks what the operator sent.
    ///
    /// # Errors
    /// [`Refusal::Channel`].
    pub fn parse(join: &[String], leave: &[String], disconnect: bool) -> Result<Self, Refusal> {
        let (join, leave) = (streams::parse_selectors(join)?, streams::parse_selectors(leave)?);
        Ok(Self { join, leave, disconnect })
    }
}

/// Does the same with every session that is meant.
pub async fn act(operator: &Operator, by: &Principal, meant: Meant, actions: Actions) -> ActionsDone {
    let is_end = actions.disconnect;
    let summary = format!(
        "{meant:?}: join {}, leave {}{}",
        actions.join.len(),
        actions.leave.len(),
        if actions.disconnect { ", disconnect" } else { "" }
    );
    let done = operator.hub.call_all(move |shard, now| act_on(shard, now, &meant, &actions)).await;
    let (matched, refused) = done.into_iter().fold((0, 0), |sum, done| (sum.0 + done.0, sum.1 + done.1));
    let kind = if is_end { EventType::Kicked } else { EventType::Moved };
    operator.record(kind, by, format!("{summary} ({matched} connections)"));
    ActionsDone { matched, refused }
}

fn act_on(shard: &mut Shard, now: Moment, meant: &Meant, actions: &Actions) -> (usize, usize) {
    let keys: Vec<_> = shard.views().filter(|view| meant.is(view)).map(|view| view.key()).collect();
    let mut refused = 0;
    for &key in &keys {
        shard.unsubscribe(key, &actions.leave);
        refused += usize::from(shard.subscribe(key, actions.join.clone(), false).is_err());
        if actions.disconnect {
            shard.disconnect(now, key, DisconnectReason::Kicked);
        }
    }
    (keys.len(), refused)
}

fn describe(view: &SessionView<'_>, now: Moment) -> Connection {
    let client = view.client();
    let expires_at = view.expires().map(|expires| {
        let left = i64::try_from((expires - now).as_micros()).unwrap_or(i64::MAX);
        Timestamp(Hub::wall_clock().0.saturating_add(left)).to_rfc3339()
    });
    Connection {
        connection: view.connection().as_str().to_owned(),
        user: client.user.as_deref().map(str::to_owned),
        principal: client.principal.to_string(),
        role: client.role,
        transport: client.transport.to_owned(),
        address: client.address.to_string(),
        user_agent: client.user_agent.as_deref().map(str::to_owned),
        connected_at: client.connected_at.to_rfc3339(),
        expires_at,
        is_blocked: view.is_blocked(),
        subscriptions: view.subscription_count(),
        position: view.position().to_string(),
        backlog: view.backlog(),
        bytes_out: view.bytes_out(),
        round_trip_ms: None,
    }
}
