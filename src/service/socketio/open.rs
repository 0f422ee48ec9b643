//! Admits a session for a socket: a new one, or one that goes on where its client lost it.

use std::sync::Arc;

use santral_core::format::Format;
use santral_core::names::{ChannelName, ConnectionId, Selector, SessionToken};
use santral_core::namespace::Namespace;
use santral_core::position::{Position, ResumeFrom};
use santral_core::session::SessionKey;
use santral_core::shard::{AttachRequest, Attached, Followed};

use super::pid::Pid;
use crate::auth::Principal;
use crate::config::Transport;
use crate::hub::engineio::Joined;
use crate::hub::shard_thread::LocalShard;
use crate::service::streams::{admit, client_of, new_session_token, take_over};
use crate::service::{Peer, Refusal, new_connection_id};

/// What a client asks for that joins a namespace.
#[derive(Debug)]
pub struct Order {
    /// Which.
    pub namespace: Namespace,
    /// Whether the socket shall outlive its connection.
    pub recover: bool,
    /// The socket that the client comes back to.
    pub pid: Option<Pid>,
    /// The place that it has seen.
    pub offset: Option<String>,
}

/// Admits a session to this thread's shard.
///
/// # Errors
/// See `streams::open`.
pub async fn open(local: &LocalShard, principal: &Principal, peer: &Peer, order: Order) -> Result<Joined, Refusal> {
    let slot = admit(local.hub(), Transport::SocketIo, principal, peer)?;
    if let Some((attached, id, pid)) = go_on(local, principal, peer, &order).await? {
        let missed_to = Some(local.with(|shard, _| shard.head().offset));
        return Ok(Joined { session: attached.session, slot, id, pid, missed_to });
    }
    catch_up(local).await;
    let (attached, id, pid) = begin(local, principal, peer, &order);
    Ok(Joined { session: attached.session, slot, id, pid, missed_to: None })
}

/// Lets this thread's shard take what is committed: what was acknowledged before a client came is old to it.
async fn catch_up(local: &LocalShard) {
    let committed = local.hub().committed();
    for _ in 0..CATCH_UP_TURNS_MAX {
        if local.with(|shard, _| shard.head().offset >= committed) {
            return;
        }
        actix_rt::task::yield_now().await;
    }
}

/// Turns that other tasks of the thread get for it: the entries are in the shard's mailbox already, or a
/// moment from it.
const CATCH_UP_TURNS_MAX: usize = 64;

/// Admits a session that follows nothing: what its socket hears does not come from the log.
///
/// # Errors
/// See `streams::admit`.
pub(super) fn open_apart(local: &LocalShard, principal: &Principal, peer: &Peer) -> Result<Joined, Refusal> {
    let slot = admit(local.hub(), Transport::SocketIo, principal, peer)?;
    let start = Start {
        token: new_session_token(),
        id: new_connection_id(),
        selectors: Vec::new(),
        restored: Vec::new(),
        resume: None,
    };
    let id = start.id;
    let session = attach(local, principal, peer, false, start, None).session;
    Ok(Joined { session, slot, id, pid: None, missed_to: None })
}

type Opened = (Attached, ConnectionId, Option<String>);

/// A new session, at the head of the log.
fn begin(local: &LocalShard, principal: &Principal, peer: &Peer, order: &Order) -> Opened {
    let everyone = ChannelName::in_namespace(&order.namespace, &ChannelName::broadcast());
    // What is for a user is for all connections of that user, in whatever namespace.
    let own = principal.user.as_deref().and_then(|user| ChannelName::of_user(user).ok());
    let (token, id) = (new_session_token(), new_connection_id());
    let start = Start {
        token: token.clone(),
        id,
        selectors: [Some(everyone), own].into_iter().flatten().map(Selector::Channel).collect(),
        restored: Vec::new(),
        resume: None,
    };
    let attached = attach(local, principal, peer, order.recover, start, None);
    let since = attached.id.unwrap_or_else(|| local.with(|shard, _| shard.head()));
    let pid = order.recover.then(|| Pid { token, since }.reveal());
    (attached, id, pid)
}

/// The session that the client comes back to, if nothing of it is lost.
async fn go_on(
    local: &LocalShard,
    principal: &Principal,
    peer: &Peer,
    order: &Order,
) -> Result<Option<Opened>, Refusal> {
    let Some(pid) = &order.pid else { return Ok(None) };
    let hub = local.hub();
    // Two attaches of one token go one by one (INV-5).
    let _turn = hub.directory.lock_token(&pid.token).await;
    let Some(left) = find(local, principal, &pid.token, &order.namespace).await else { return Ok(None) };
    let resume = match order.offset.as_deref().map(ResumeFrom::parse) {
        Some(ResumeFrom::Position(position)) => position,
        // Clients take any text behind an event for its offset, and have none before the first.
        Some(ResumeFrom::Earliest | ResumeFrom::Unknown) | None => pid.since,
    };
    let legacy = take_over(local, hub, &pid.token, &principal.name).await?;
    let start = Start {
        token: pid.token.clone(),
        id: left.id,
        selectors: Vec::new(),
        restored: left.following,
        resume: Some(resume),
    };
    let attached = attach(local, principal, peer, true, start, legacy);
    if !attached.recovered {
        // Something is gone: the client shall begin anew, and knows it by its new id.
        local.with(|shard, now| shard.leave(now, attached.session));
        return Ok(None);
    }
    Ok(Some((attached, left.id, Some(pid.reveal()))))
}

/// What a session left that its client comes back to.
struct Left {
    id: ConnectionId,
    following: Vec<Followed>,
}

async fn find(local: &LocalShard, principal: &Principal, token: &SessionToken, namespace: &Namespace) -> Option<Left> {
    let hub = local.hub();
    let shard = hub.directory.find(token)?;
    let (token, owner) = (token.clone(), Arc::clone(&principal.name));
    let everyone = ChannelName::in_namespace(namespace, &ChannelName::broadcast());
    let look = move |shard: &mut santral_core::shard::Shard, _| {
        let key: SessionKey = shard.find_own_session(&token, &owner)?;
        let id = shard.identity(key)?.connection;
        // A pid is good in the namespace that it was given for.
        shard.view(key)?.follows(&everyone).then(|| Left { id, following: shard.following(key) })
    };
    hub.call(shard, look).await.flatten()
}

struct Start {
    token: SessionToken,
    id: ConnectionId,
    selectors: Vec<Selector>,
    restored: Vec<Followed>,
    resume: Option<Position>,
}

fn attach(
    local: &LocalShard,
    principal: &Principal,
    peer: &Peer,
    recoverable: bool,
    start: Start,
    legacy: Option<santral_core::session::Legacy>,
) -> Attached {
    let hub = local.hub();
    hub.directory.claim(&start.token, local.index());
    local.attach(AttachRequest {
        token: start.token,
        resumable: recoverable,
        is_new: start.resume.is_none(),
        connection: start.id,
        client: client_of(Transport::SocketIo, principal, peer),
        expires: principal.expires_at.map(|end| hub.moment_of(end)),
        format: if recoverable { Format::SocketIoPlaced } else { Format::SocketIo },
        selectors: start.selectors,
        presence: false,
        requested: start.resume.map(|position| position.to_string()),
        resume: start.resume.map(ResumeFrom::Position),
        committed: hub.committed(),
        legacy,
        restored: start.restored,
    })
}
