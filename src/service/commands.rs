//! The uplink of a session: one dispatcher for every transport.

use std::sync::Arc;

use serde::Serialize;

use santral_core::entry::Sender;
use santral_core::names::{Selector, SessionToken};
use santral_core::session::SessionKey;
use santral_core::shard::Shard;
use santral_schema::channels::{History, Presence};
use santral_schema::publish::{PublishItem, Receipt};
use santral_schema::sessions::{Command, Pong, Subscriptions};

use super::Refusal;
use super::channels::{self, HistoryOrder};
use super::publish::{self, Message};
use super::streams::parse_selectors;
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
}

/// Carries out a command of the session with this token.
///
/// # Errors
/// [`Refusal::NoSession`] if there is none on this node, else what the command itself refuses.
pub async fn run(
    local: &LocalShard,
    principal: &Principal,
    token: SessionToken,
    command: Command,
) -> Result<CommandAnswer, Refusal> {
    let hub = local.hub();
    let shard = hub.directory.find(&token).ok_or(Refusal::NoSession)?;
    let session = Session { hub, shard, token };
    match command {
        Command::Subscribe(names) => {
            session.subscribe(parse_selectors(&names)?).await.map(CommandAnswer::Subscriptions)
        }
        Command::Unsubscribe(names) => {
            session.unsubscribe(parse_selectors(&names)?).await.map(CommandAnswer::Subscriptions)
        }
        Command::Publish(item) => {
            let published = session.publish(local, principal, item).await;
            published.map(CommandAnswer::Published).inspect_err(|refusal| {
                hub.metrics.publish_refusals.of((Door::Command, refusal.class())).inc();
            })
        }
        Command::History(command) => {
            let order = HistoryOrder { before: command.before, since: command.since, limit: command.limit };
            channels::history(hub, &command.channel, order).await.map(CommandAnswer::History)
        }
        Command::Presence(command) => channels::presence(hub, &command.channel).await.map(CommandAnswer::Presence),
        Command::Ping(_) => session.ping().await.map(CommandAnswer::Pong),
    }
}

/// A session, wherever it is served.
struct Session<'a> {
    hub: &'a Arc<Hub>,
    shard: usize,
    token: SessionToken,
}

impl Session<'_> {
    async fn subscribe(self, selectors: Vec<Selector>) -> Result<Subscriptions, Refusal> {
        let token = self.token;
        let subscribe = move |shard: &mut Shard, _| {
            let key = shard.find_session(&token).ok_or(Refusal::NoSession)?;
            let done = shard.subscribe(key, selectors, false);
            done.map_err(|_| Refusal::TooManySubscriptions).map(|()| subscriptions(shard, key))
        };
        self.hub.call(self.shard, subscribe).await.ok_or(Refusal::Stopped)?
    }

    async fn unsubscribe(self, selectors: Vec<Selector>) -> Result<Subscriptions, Refusal> {
        let token = self.token;
        let unsubscribe = move |shard: &mut Shard, _| {
            let key = shard.find_session(&token).ok_or(Refusal::NoSession)?;
            shard.unsubscribe(key, &selectors);
            Ok(subscriptions(shard, key))
        };
        self.hub.call(self.shard, unsubscribe).await.ok_or(Refusal::Stopped)?
    }

    async fn publish(self, local: &LocalShard, principal: &Principal, item: PublishItem) -> Result<Receipt, Refusal> {
        let message = Message::parse(item, self.hub.options.message_bytes_max)?;
        let from = self.sender(principal).await?;
        let receipts = publish::publish(local, principal, &from, vec![message], None).await?;
        receipts.into_iter().next().ok_or(Refusal::Stopped)
    }

    /// What the server knows of the session's client.
    async fn sender(self, principal: &Principal) -> Result<Sender, Refusal> {
        let token = self.token;
        let identity = move |shard: &mut Shard, _| shard.find_session(&token).and_then(|key| shard.identity(key));
        let identity = self.hub.call(self.shard, identity).await.flatten().ok_or(Refusal::NoSession)?;
        Ok(Sender { user: principal.user.clone(), connection: Some(identity.connection) })
    }

    async fn ping(self) -> Result<Pong, Refusal> {
        let token = self.token;
        let head = move |shard: &mut Shard, _| shard.find_session(&token).map(|_| shard.head());
        let head = self.hub.call(self.shard, head).await.flatten().ok_or(Refusal::NoSession)?;
        Ok(Pong { position: head.to_string(), server_time: Hub::wall_clock().to_rfc3339() })
    }
}

fn subscriptions(shard: &Shard, key: SessionKey) -> Subscriptions {
    let channels = shard.subscriptions(key).iter().map(Selector::to_string).collect();
    Subscriptions { channels, position: shard.head().to_string() }
}
