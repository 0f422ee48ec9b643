//! Opening a stream: admission, takeover of an earlier attach, `hello`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use santral_core::client::Client;
use santral_core::format::Format;
use santral_core::json_line;
use santral_core::limits::{RETRY_LATER_MS, RETRY_MS, SUBSCRIPTIONS_PER_SESSION_MAX};
use santral_core::names::{ChannelName, Selector, SessionToken};
use santral_core::position::ResumeFrom;
use santral_core::session::{Legacy, SessionKey};
use santral_core::shard::{AttachRequest, ForeignSession};
use santral_core::sse;
use santral_schema::events::Hello;
use santral_schema::reason::DisconnectReason;
use santral_schema::sessions::{StreamFormat, StreamRequest};

use super::{Peer, Refusal, new_connection_id};
use crate::auth::{Credential, Principal};
use crate::config::Transport;
use crate::hub::admission::Full;
use crate::hub::shard_thread::LocalShard;
use crate::hub::{Hub, StreamSlot};
use crate::telemetry::metrics::labels::ConnectionRefusal;

/// A stream that was asked for, checked.
#[derive(Debug)]
pub struct StreamOrder {
    selectors: Vec<Selector>,
    transport: Transport,
    format: Format,
    resume: Option<String>,
    session: Option<SessionToken>,
    presence: bool,
    pad: bool,
}

impl StreamOrder {
    /// Checks what a client sent.
    ///
    /// # Errors
    /// [`Refusal`] for names that break the grammar and for too many of them.
    pub fn parse(transport: Transport, request: StreamRequest, principal: &Principal) -> Result<Self, Refusal> {
        let mut selectors = parse_selectors(&request.channels)?;
        check_right_to_follow(principal, &selectors, request.presence)?;
        if request.broadcast != Some(false) {
            selectors.push(Selector::Channel(ChannelName::broadcast()));
        }
        if let Some(user) = &principal.user {
            let own = ChannelName::of_user(user).map_err(|error| Refusal::User(user.to_string(), error))?;
            selectors.push(Selector::Channel(own));
        }
        selectors.sort_unstable();
        selectors.dedup();
        let per_selector = if request.presence { 2 } else { 1 };
        if selectors.len() * per_selector > SUBSCRIPTIONS_PER_SESSION_MAX {
            return Err(Refusal::TooManySubscriptions);
        }
        let session = request.session.as_deref().map(SessionToken::parse).transpose().map_err(Refusal::Session)?;
        let format = match (transport, request.format) {
            (Transport::Sse, StreamFormat::Raw) => Format::Raw,
            (Transport::Sse, StreamFormat::Envelope) => Format::Envelope,
            (Transport::WebSocket | Transport::LongPoll | Transport::SocketIo, _) => Format::Json,
        };
        // An empty Last-Event-ID is what a client sends that has none (WHATWG HTML, section 9.2.3).
        let resume = request.last_event_id.filter(|id| !id.is_empty());
        Ok(Self { transport, selectors, format, resume, session, presence: request.presence, pad: request.pad })
    }
}

/// Whether somebody may follow all of this, with the presence of the channels that are named.
///
/// # Errors
/// [`Refusal::Forbidden`] names the first that they may not.
pub fn check_right_to_follow(principal: &Principal, selectors: &[Selector], presence: bool) -> Result<(), Refusal> {
    for selector in selectors {
        // Whoever may open a stream at all follows what is for everyone.
        let is_for_everyone = matches!(selector, Selector::Channel(channel) if channel.is_for_everyone());
        if !is_for_everyone && !principal.grants.subscribe.cover(selector) {
            return Err(Refusal::Forbidden { right: "follow", what: selector.to_string() });
        }
        if let (true, Selector::Channel(channel)) = (presence, selector)
            && !principal.grants.presence.allow(channel)
        {
            return Err(Refusal::Forbidden { right: "see the presence of", what: selector.to_string() });
        }
    }
    Ok(())
}

/// Reads channels and prefixes as a client sent them.
///
/// # Errors
/// [`Refusal::Channel`] names the first that breaks the grammar.
pub fn parse_selectors(names: &[String]) -> Result<Vec<Selector>, Refusal> {
    names.iter().map(|name| Selector::parse(name).map_err(|error| Refusal::Channel(name.clone(), error))).collect()
}

/// A session that was admitted, and the first bytes for its client.
pub struct Opening {
    pub(crate) session: SessionKey,
    pub(crate) token: SessionToken,
    pub(crate) slot: StreamSlot,
    pub(crate) first_bytes: Bytes,
    /// What the client has seen once it has these: for who asks again with it.
    pub(crate) position: String,
}

/// Admits a session to this thread's shard.
///
/// # Errors
/// [`Refusal::Draining`] and [`Refusal::Full`] pass; the client should come back later.
/// [`Refusal::NoSession`]: the session is somebody else's.
pub async fn open(
    shard: &LocalShard,
    principal: &Principal,
    peer: &Peer,
    order: StreamOrder,
) -> Result<Opening, Refusal> {
    let hub = Arc::clone(shard.hub());
    let slot = admit(&hub, order.transport, principal, peer)?;
    if order.presence {
        hub.watch_presence();
    }
    let is_new = order.session.is_none();
    let token = order.session.unwrap_or_else(new_session_token);
    // A client that polls comes back with what it is told here.
    let resumable = !is_new || order.transport == Transport::LongPoll;
    // Held until the session is attached: two attaches of one token go one by one (INV-5).
    let _turn = if resumable { Some(hub.directory.lock_token(&token).await) } else { None };
    let legacy = take_over(shard, &hub, &token, &principal.name).await?;
    let connection = new_connection_id();
    let channels = order.selectors.iter().map(Selector::to_string).collect();
    let attached = shard.attach(AttachRequest {
        token: token.clone(),
        resumable,
        is_new,
        connection,
        client: client_of(order.transport, principal, peer),
        expires: principal.expires_at.map(|end| hub.moment_of(end)),
        format: order.format,
        selectors: order.selectors,
        presence: order.presence,
        resume: order.resume.as_deref().map(ResumeFrom::parse),
        requested: order.resume,
        committed: hub.committed(),
        legacy,
        restored: Vec::new(),
    });
    let config = hub.config.load();
    let hello = Hello {
        session: token.reveal().to_owned(),
        connection: connection.as_str().to_owned(),
        recovered: attached.recovered,
        heartbeat_ms: attached.heartbeat_ms,
        server_time: Hub::wall_clock().to_rfc3339(),
        node: hub.options.node.clone(),
        user: principal.user.as_deref().map(str::to_owned),
        channels,
        retention_seconds: config.retention_age.as_secs(),
        transports: config.transports.iter().map(|transport| transport.name().to_owned()).collect(),
    };
    let mut first_bytes = BytesMut::from(&order.format.hello(attached.id, draw(RETRY_MS), &hello)[..]);
    if order.pad && order.transport == Transport::Sse {
        first_bytes.extend_from_slice(&sse::padding());
    }
    first_bytes.extend_from_slice(&attached.gaps);
    let first_bytes = first_bytes.freeze();
    let position = match order.format {
        Format::Json => json_line::last_id(&first_bytes).unwrap_or_default().to_owned(),
        Format::Raw | Format::Envelope | Format::SocketIo | Format::SocketIoPlaced => String::new(),
    };
    Ok(Opening { session: attached.session, token, slot, first_bytes, position })
}

/// Gives a stream its place, if there is one.
pub(crate) fn admit(
    hub: &Hub,
    transport: Transport,
    principal: &Principal,
    peer: &Peer,
) -> Result<StreamSlot, Refusal> {
    if hub.is_draining() {
        hub.metrics.connections_refused.of(ConnectionRefusal::Draining).inc();
        return Err(Refusal::Draining);
    }
    if !hub.config.load().transports.contains(&transport) {
        return Err(Refusal::TransportDisabled(transport.name()));
    }
    hub.admit_stream(transport, principal.user.as_ref(), peer.address.network).map_err(|full| {
        let refusal = if full == Full::Total { ConnectionRefusal::Full } else { ConnectionRefusal::Limited };
        hub.metrics.connections_refused.of(refusal).inc();
        Refusal::Full(full)
    })
}

/// Ends a session whose client lost its right while it was being admitted.
pub fn give_up(shard: &LocalShard, opening: Opening) {
    shard.abandon(opening.session);
}

/// What a client hears that must come back later and cannot read an error status.
#[must_use]
pub fn come_back_later(reason: DisconnectReason) -> Bytes {
    let retry_ms = draw(RETRY_LATER_MS);
    let bye = sse::bye_frame(&reason.bye(retry_ms));
    Bytes::from([format!("retry: {retry_ms}\n").as_bytes(), &bye].concat())
}

/// Ends the session's earlier attach, wherever it is, and brings its inbox here.
pub(super) async fn take_over(
    shard: &LocalShard,
    hub: &Hub,
    token: &SessionToken,
    principal: &Arc<str>,
) -> Result<Option<Legacy>, Refusal> {
    let released = match hub.directory.find(token) {
        None => Ok(None),
        Some(previous) if previous == shard.index() => shard.release(token, principal),
        Some(previous) => {
            let (token, principal) = (token.clone(), Arc::clone(principal));
            // A shard that has stopped has nothing to leave.
            let released = hub.call(previous, move |shard, now| shard.release(now, &token, &principal)).await;
            released.unwrap_or(Ok(None))
        }
    };
    let legacy = released.map_err(|ForeignSession| Refusal::NoSession)?;
    hub.directory.claim(token, shard.index());
    Ok(legacy)
}

/// What is known of whoever asks for a stream.
pub(super) fn client_of(transport: Transport, principal: &Principal, peer: &Peer) -> Arc<Client> {
    let (credential, has_rights_of_role) = handle_of(&principal.credential);
    Arc::new(Client {
        principal: Arc::clone(&principal.name),
        user: principal.user.clone(),
        role: principal.role,
        credential,
        has_rights_of_role,
        transport: transport.name(),
        address: peer.address.ip.to_string().into(),
        user_agent: peer.user_agent.clone(),
        connected_at: Hub::wall_clock(),
    })
}

/// The same client under a fresh token.
pub(super) fn renewed_client(before: &Client, fresh: &Principal) -> Arc<Client> {
    let (credential, has_rights_of_role) = handle_of(&fresh.credential);
    let user = fresh.user.clone();
    Arc::new(Client { user, role: fresh.role, credential, has_rights_of_role, ..before.clone() })
}

/// By what a right may be taken back, and whether it comes from the role.
fn handle_of(credential: &Credential) -> (Option<Arc<str>>, bool) {
    match credential {
        Credential::None => (None, true),
        Credential::Login { family, .. } => (Some(Arc::clone(family)), true),
        Credential::Issuer => (None, false),
        Credential::ApiKey { id } => (Some(Arc::clone(id)), false),
    }
}

/// A session token that nobody guesses.
#[must_use]
pub fn new_session_token() -> SessionToken {
    SessionToken::parse(&nanoid::nanoid!(22)).expect("nanoid's alphabet is that of tokens")
}

/// A random number of the range; need not be hard to guess.
fn draw(range: std::ops::RangeInclusive<u32>) -> u32 {
    let random = nanoid::rngs::default(4);
    let random = random.iter().fold(0_u32, |sum, &byte| (sum << 8) | u32::from(byte));
    range.start() + random % (range.end() - range.start() + 1)
}
