//! The uplink of a session: one dispatcher for every transport.

use std::sync::Arc;

use serde::Serialize;

use santral_core::entry::{Sender, Timestamp};
use santral_core::names::{ChannelName, Selector, SessionToken};
use santral_core::session::SessionKey;
use santral_core::shard::{Present, Shard};
use santral_schema::channels::{History, Presence};
use santral_schema::participants::JoinAnswer;
use santral_schema::publish::{PublishItem, Receipt};
use santral_schema::sessions::{Authorized, Command, LeftVideoRoom, Pong, Subscriptions, VideoCommand};
use santral_schema::signal::SignalAnswer;

use super::channels::{self, HistoryOrder};
use super::message::Message;
use super::publish;
use super::streams::{check_right_to_follow, parse_selectors};
use super::video::{Guest, VideoRooms};
use super::{Refusal, streams};
use crate::auth::Principal;
use crate::hub::Hub;
use crate::hub::shard_thread::LocalShard;
use crate::telemetry::metrics::labels::Door;

/// What a command gave.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum CommandAnswer {
    /// Of `subscribe` and `unsubscribe`.
    Subscriptions(Subscriptions),
    /// Of `publish`.
    Published(Receipt),
    /// Of `history`.
    History(History),
    /// Of `presence`.
    Presence(Presence),
    /// Of `ping`.
    Pong(Pong),
    /// Of `auth`.
    Authorized(Authorized),
    /// Of `video` with `join`.
    JoinedVideoRoom(Box<JoinAnswer>),
    /// Of `video` with `leave`.
    LeftVideoRoom(LeftVideoRoom),
    /// Of `signal`.
    Signalled(SignalAnswer),
}

/// What commands work with.
pub struct Uses<'a> {
    /// The shard of this thread.
    pub local: &'a LocalShard,
    /// Video rooms.
    pub video: &'a VideoRooms,
}

/// Carries out a command of the session with this token. `identify` says whose token the command
/// `auth` brings.
///
/// # Errors
/// [`Refusal::NoSession`] if there is none on this node, or it is somebody else's; else what the
/// command itself refuses.
pub async fn run(
    uses: Uses<'_>,
    guest: &Guest<'_>,
    identify: impl Fn(&str) -> Result<Principal, Refusal>,
    token: SessionToken,
    command: Command,
) -> Result<CommandAnswer, Refusal> {
    let (Uses { local, video }, principal) = (uses, guest.principal);
    let hub = local.hub();
    let shard = hub.directory.find(&token).ok_or(Refusal::NoSession)?;
    if let Command::Auth(command) = command {
        let fresh = identify(&command.token)?;
        let session = Session { hub, shard, token, principal: Arc::clone(&fresh.name) };
        return session.renew_right(fresh).await.map(CommandAnswer::Authorized);
    }
    let session = Session { hub, shard, token, principal: Arc::clone(&principal.name) };
    // Before anything else, so that nobody learns of the session but its owner.
    let identity = session.identity().await?;
    match command {
        Command::Subscribe(names) => {
            let selectors = parse_selectors(&names)?;
            check_right_to_follow(principal, &selectors, false)?;
            session.subscribe(selectors).await.map(CommandAnswer::Subscriptions)
        }
        Command::Unsubscribe(names) => {
            session.unsubscribe(parse_selectors(&names)?).await.map(CommandAnswer::Subscriptions)
        }
        Command::Publish(item) if item.ack_timeout_ms.is_some() => {
            Err(Refusal::Field("`ackTimeoutMs` is for servers, by POST"))
        }
        Command::Publish(item) => {
            let from = Sender { user: principal.user.clone(), connection: Some(identity.connection) };
            let published = publish_one(local, principal, &from, item).await;
            published.map(CommandAnswer::Published).inspect_err(|refusal| {
                hub.metrics.publish_refusals.of((Door::Command, refusal.class())).inc();
            })
        }
        Command::History(command) => {
            let order = HistoryOrder { before: command.before, since: command.since, limit: command.limit };
            channels::history(hub, principal, &command.channel, order).await.map(CommandAnswer::History)
        }
        Command::Presence(command) => {
            channels::presence(hub, principal, &command.channel).await.map(CommandAnswer::Presence)
        }
        Command::Video(VideoCommand::Join(request)) => {
            let joined = video.join_from(guest, &session.token, *request).await;
            joined.map(Box::new).map(CommandAnswer::JoinedVideoRoom)
        }
        Command::Video(VideoCommand::Leave(request)) => {
            let left = video.leave_from(&session.token, request).await;
            left.map(|()| CommandAnswer::LeftVideoRoom(LeftVideoRoom {}))
        }
        Command::Signal(request) => video.signal_from(&session.token, request).await.map(CommandAnswer::Signalled),
        Command::Ping(_) | Command::Auth(_) => session.ping().await.map(CommandAnswer::Pong),
    }
}

/// Lets a session go on as long as the token of its owner that was presented last.
///
/// # Errors
/// [`Refusal::NoSession`].
pub async fn keep_right(local: &LocalShard, principal: &Principal, token: &SessionToken) -> Result<(), Refusal> {
    let hub = local.hub();
    let shard = hub.directory.find(token).ok_or(Refusal::NoSession)?;
    let session = Session { hub, shard, token: token.clone(), principal: Arc::clone(&principal.name) };
    session.renew_right(principal.clone()).await.map(drop)
}

/// A session, wherever it is served.
struct Session<'a> {
    hub: &'a Arc<Hub>,
    shard: usize,
    token: SessionToken,
    /// Whose it must be.
    principal: Arc<str>,
}

impl Session<'_> {
    async fn subscribe(self, selectors: Vec<Selector>) -> Result<Subscriptions, Refusal> {
        let Self { token, principal, .. } = self;
        let subscribe = move |shard: &mut Shard, _| {
            let key = shard.find_own_session(&token, &principal).ok_or(Refusal::NoSession)?;
            let done = shard.subscribe(key, selectors, false);
            done.map_err(|_| Refusal::TooManySubscriptions).map(|()| subscriptions(shard, key))
        };
        self.hub.call(self.shard, subscribe).await.ok_or(Refusal::Stopped)?
    }

    async fn unsubscribe(self, selectors: Vec<Selector>) -> Result<Subscriptions, Refusal> {
        let Self { token, principal, .. } = self;
        let unsubscribe = move |shard: &mut Shard, _| {
            let key = shard.find_own_session(&token, &principal).ok_or(Refusal::NoSession)?;
            shard.unsubscribe(key, &selectors);
            Ok(subscriptions(shard, key))
        };
        self.hub.call(self.shard, unsubscribe).await.ok_or(Refusal::Stopped)?
    }

    /// What the server knows of the session's client.
    async fn identity(&self) -> Result<Present, Refusal> {
        let (token, principal) = (self.token.clone(), Arc::clone(&self.principal));
        let identity =
            move |shard: &mut Shard, _| shard.find_own_session(&token, &principal).and_then(|key| shard.identity(key));
        self.hub.call(self.shard, identity).await.flatten().ok_or(Refusal::NoSession)
    }

    /// The stream goes on under a fresh token of the same principal.
    async fn renew_right(self, fresh: Principal) -> Result<Authorized, Refusal> {
        let Self { hub, shard, token, principal } = self;
        let expires = fresh.expires_at.map(|end| hub.moment_of(end));
        let expires_at = fresh.expires_at.map(Timestamp::to_rfc3339);
        let renew = move |shard: &mut Shard, _| {
            let key = shard.find_own_session(&token, &principal).ok_or(Refusal::NoSession)?;
            let before = Arc::clone(shard.view(key).ok_or(Refusal::NoSession)?.client());
            let client = streams::renewed_client(&before, &fresh);
            // What the server made it follow stays: what is for everyone, and the user's own channel.
            let is_own = |channel: &ChannelName| channel.is_of_user() || channel.is_for_everyone();
            let covers = |selector: &Selector| match selector {
                Selector::Channel(channel) if is_own(channel) => true,
                _ => fresh.grants.subscribe.cover(selector),
            };
            let lost = shard.renew_right(key, client, expires, covers, |channel| fresh.grants.presence.allow(channel));
            let Subscriptions { channels, position } = subscriptions(shard, key);
            let lost = lost.iter().map(Selector::to_string).collect();
            Ok(Authorized { channels, lost, expires_at: expires_at.clone(), position })
        };
        hub.call(shard, renew).await.ok_or(Refusal::Stopped)?
    }

    async fn ping(self) -> Result<Pong, Refusal> {
        let Self { token, principal, .. } = self;
        let head = move |shard: &mut Shard, _| shard.find_own_session(&token, &principal).map(|_| shard.head());
        let head = self.hub.call(self.shard, head).await.flatten().ok_or(Refusal::NoSession)?;
        Ok(Pong { position: head.to_string(), server_time: Hub::wall_clock().to_rfc3339() })
    }
}

async fn publish_one(
    local: &LocalShard,
    principal: &Principal,
    from: &Sender,
    item: PublishItem,
) -> Result<Receipt, Refusal> {
    let message = Message::parse(item, local.hub().config.load().message_bytes_max)?;
    let receipts = publish::publish(local, principal, from, vec![message], None).await?;
    receipts.into_iter().next().ok_or(Refusal::Stopped)
}

fn subscriptions(shard: &Shard, key: SessionKey) -> Subscriptions {
    let channels = shard.subscriptions(key).iter().map(Selector::to_string).collect();
    Subscriptions { channels, position: shard.head().to_string() }
}
