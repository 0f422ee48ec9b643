//! What the sockets of one connection ask for, on its way to the use cases.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use santral_core::namespace::Namespace;
use santral_core::session::SessionKey;
use santral_core::socketio::{self as wire, Args};

use super::admin::Desk;
use crate::auth::Principal;
use crate::http::access::{Access, Gate};
use crate::http::edge::{Edge, rate_limit};
use crate::http::problem::ApiError;
use crate::hub::Hub;
use crate::hub::engineio::{Joined, NotJoined, SocketEvent, SocketUplink};
use crate::hub::shard_thread::LocalShard;
use crate::service::socketio::admin::Admin;
use crate::service::socketio::{self, Answer, Auth, Order, Pid, Socket};
use crate::service::video::{Guest, VideoRooms};
use crate::service::{Peer, Refusal};

/// See the module.
pub(super) struct Uplink {
    gate: Arc<Gate>,
    edge: Arc<Edge>,
    video: Arc<VideoRooms>,
    desk: Desk,
    peer: Peer,
    /// Who opened the connection, for sockets that bring no token of their own.
    opener: Arc<Principal>,
    /// A few at most; a map with a place for each key of the shard would grow with everybody else's sessions.
    sockets: RefCell<Vec<Socket>>,
}

/// What every uplink works with.
pub(super) struct Uses {
    pub(super) gate: Arc<Gate>,
    pub(super) edge: Arc<Edge>,
    pub(super) video: Arc<VideoRooms>,
}

impl Uplink {
    pub(super) fn new(uses: Uses, desk: Desk, peer: Peer, opener: Principal) -> Self {
        let Uses { gate, edge, video } = uses;
        Self { gate, edge, video, desk, peer, opener: Arc::new(opener), sockets: RefCell::default() }
    }

    async fn let_join(&self, local: &LocalShard, name: &wire::Namespace, auth: Auth) -> Result<Joined, NotJoined> {
        let namespace = Namespace::parse(name.as_str()).ok();
        let namespace = namespace.filter(|name| local.hub().config.load().socketio_namespaces.contains(name));
        let namespace = namespace.ok_or_else(|| NotJoined { message: "Invalid namespace".to_owned(), data: None })?;
        let principal = match &auth.token {
            Some(token) => Arc::new(self.identify(token).map_err(|refusal| not_joined(&refusal.into()))?),
            None => Arc::clone(&self.opener),
        };
        if !Access::Listen.is_granted_to(&principal) {
            return Err(not_joined(&ApiError::Unauthorized));
        }
        rate_limit::charge(&self.edge, self.peer.address, &principal).map_err(|limited| not_joined(&limited.into()))?;
        let order = Order {
            namespace: namespace.clone(),
            recover: auth.recover == Some(true),
            pid: auth.pid.as_deref().and_then(Pid::parse),
            offset: auth.offset,
        };
        let joined = socketio::open(local, &principal, &self.peer, order).await;
        let joined = joined.map_err(|refusal| not_joined(&refusal.into()))?;
        // A right that was taken back meanwhile has not found the session.
        if self.gate.objection(&principal, self.peer.address.ip).is_some() {
            local.abandon(joined.session);
            return Err(not_joined(&ApiError::InvalidToken(None)));
        }
        let socket = Socket { session: joined.session, id: joined.id, namespace, principal };
        let mut sockets = self.sockets.borrow_mut();
        sockets.retain(|other| other.session != joined.session);
        sockets.push(socket);
        drop(sockets);
        Ok(joined)
    }

    async fn answer(&self, local: &LocalShard, event: SocketEvent) -> Answer {
        let socket = self.sockets.borrow().iter().find(|socket| socket.session == event.session).cloned();
        let Some(socket) = socket else { return Answer::refused(&Refusal::NoSession) };
        if let Err(limited) = rate_limit::charge(&self.edge, self.peer.address, &socket.principal) {
            return Answer::failed("rate_limited", &ApiError::from(limited).to_string());
        }
        let guest = Guest { principal: &socket.principal, address: self.peer.address, token: None };
        if let Some(done) =
            socketio::carry_out_in_room(local, &self.video, &socket, &guest, &event.name, &event.args).await
        {
            return done.unwrap_or_else(|refusal| {
                // Whoever takes part in a call has to tell one refusal from another.
                let error = ApiError::from(refusal);
                Answer::failed(&error.code().name(), &error.to_string())
            });
        }
        let identify = |token: &str| self.identify(token);
        socketio::carry_out(local, &socket, identify, &event.name, event.args).await
    }

    fn identify(&self, token: &str) -> Result<Principal, Refusal> {
        self.gate.identify_token(token, Hub::wall_clock())
    }
}

impl SocketUplink for Uplink {
    fn join(
        self: Rc<Self>,
        local: LocalShard,
        namespace: wire::Namespace,
        auth: Option<String>,
    ) -> LocalBoxFuture<'static, Result<Joined, NotJoined>> {
        async move {
            let auth = auth.as_deref();
            if Admin::is_at(namespace.as_str(), &local.hub().config.load()) {
                return self.desk.let_join(&local, &self.gate, &self.peer, &self.opener, auth).await;
            }
            self.let_join(&local, &namespace, Auth::read(auth)).await
        }
        .boxed_local()
    }

    fn event(self: Rc<Self>, local: LocalShard, event: SocketEvent) -> LocalBoxFuture<'static, Args> {
        async move {
            if let Some(answer) = self.desk.answer(&local, &event).await {
                return answer.into_args();
            }
            self.answer(&local, event).await.into_args()
        }
        .boxed_local()
    }

    fn left(&self, session: SessionKey) {
        self.sockets.borrow_mut().retain(|socket| socket.session != session);
        self.desk.left(session);
    }
}

/// What a client's `connect_error` says: one word for programs, and more in `data`.
pub(super) fn not_joined(error: &ApiError) -> NotJoined {
    let code = error.code();
    let message = match code.status() {
        401 => "unauthorized",
        403 => "forbidden",
        429 => "rate limited",
        503 => "server full",
        _ => "refused",
    };
    let mut data = serde_json::json!({ "code": code.name(), "message": error.to_string() });
    if matches!(code.status(), 429 | 503) {
        data["retryAfter"] = RETRY_SECONDS.into();
    }
    NotJoined { message: message.to_owned(), data: Some(data.to_string()) }
}

/// When to come back that was turned away for want of room, in seconds.
const RETRY_SECONDS: u32 = 5;
