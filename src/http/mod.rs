//! The HTTP edge: routes, one file a resource. A handler extracts, calls one service, maps the result.

pub mod access;
pub mod api_keys;
pub mod auth;
pub mod body;
pub mod broadcast;
pub mod channels;
pub mod client;
pub mod connections;
pub mod docs;
pub mod edge;
pub mod emitter;
pub mod events;
pub mod health;
pub mod logs;
pub mod measure;
pub mod openapi;
pub mod page;
pub mod participants;
pub mod peer;
pub mod poll;
pub mod problem;
pub mod publish;
pub mod query;
pub mod request_id;
pub mod sessions;
pub mod settings;
pub mod shown_path;
pub mod socketio;
pub mod stats;
pub mod tickets;
pub mod users;
pub mod video_rooms;
pub mod viewer;
pub mod webrtc;
pub mod websocket;

use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, web};

use crate::hub::shard_thread::LocalShard;
use crate::service::accounts::Accounts;
use crate::service::event_log::EventLog;
use crate::service::operator::Operator;
use crate::service::settings::Settings;
use crate::service::socketio::admin::Admin;
use crate::service::video::VideoRooms;
use access::{Access, Gate};
use edge::Edge;
use problem::ApiError;

/// One thing that can be asked for over HTTP.
struct Operation {
    method: Method,
    path: &'static str,
    access: Access,
    route: Route,
}

/// Every operation. Nothing is served that does not stand here with the access that it asks for.
#[rustfmt::skip]
fn table() -> Vec<Operation> {
    use Access::{Administer, Anyone, Listen, Public, Publish, SignedIn, View, Watch};
    let operations = [
        pages(),
        read("/health", Public, health::health),
        read("/health/live", Public, health::live),
        read("/health/ready", Public, health::ready),
        vec![operation(Method::POST, "/api/broadcast", Publish, broadcast::post)],
        vec![operation(Method::POST, "/api/publish", Publish, publish::post)],
        vec![operation(Method::POST, "/api/socketio/emitter", Publish, emitter::post)],
        vec![operation(Method::GET, "/api/events", Listen, events::get)],
        vec![operation(Method::POST, "/api/events", Listen, events::post)],
        vec![operation(Method::GET, "/api/v1/ws", Listen, websocket::get)],
        vec![operation(Method::GET, "/api/ws", Listen, websocket::get_short)],
        vec![operation(Method::GET, "/api/poll", Listen, poll::get)],
        // A socket shows who it is when it joins a namespace.
        engine(socketio::PATHS[0]),
        engine(socketio::PATHS[1]),
        read("/socket.io/{file}", Public, socketio::client_files::file),
        // The session says whose command it takes.
        vec![operation(Method::POST, "/api/sessions/{session}/commands", Anyone, sessions::command)],
        read("/api/channels", Listen, channels::list),
        // A channel's name may hold slashes, so it takes all that stands between.
        read("/api/channels/{channel:.+}/history", Listen, channels::history),
        read("/api/channels/{channel:.+}/presence", Listen, channels::presence),
        vec![operation(Method::POST, "/auth/register", Public, auth::register)],
        vec![operation(Method::POST, "/auth/login", Public, auth::login)],
        vec![operation(Method::POST, "/auth/refresh", Public, auth::refresh)],
        vec![operation(Method::POST, "/auth/logout", Anyone, auth::logout)],
        read("/auth/me", SignedIn, auth::me),
        vec![operation(Method::POST, "/auth/password", SignedIn, auth::password)],
        // The link that the start printed is the proof.
        vec![operation(Method::POST, "/api/setup", Public, auth::set_up)],
        vec![operation(Method::POST, "/api/tickets", SignedIn, tickets::create)],
        video(),
        read("/api/users", View, users::list),
        vec![operation(Method::POST, "/api/users", Administer, users::create)],
        vec![operation(Method::PATCH, "/api/users/{id}", Administer, users::change)],
        read("/api/keys", View, api_keys::list),
        vec![operation(Method::POST, "/api/keys", Administer, api_keys::create)],
        vec![operation(Method::DELETE, "/api/keys/{id}", Administer, api_keys::revoke)],
        read("/api/connections", View, connections::list),
        vec![operation(Method::POST, "/api/connections/actions", Administer, connections::act)],
        read("/api/connections/{id}", View, connections::detail),
        vec![operation(Method::DELETE, "/api/connections/{id}", Administer, connections::kick)],
        read("/api/blocks", View, connections::blocks),
        vec![operation(Method::DELETE, "/api/blocks/{subject:.+}", Administer, connections::unblock)],
        read("/api/logs", View, logs::list),
        vec![operation(Method::DELETE, "/api/logs", Administer, logs::clear)],
        vec![operation(Method::GET, "/api/logs/stream", View, logs::follow)],
        vec![operation(Method::GET, "/api/logs/export", View, logs::export)],
        read("/api/settings", View, settings::list),
        vec![operation(Method::POST, "/api/settings", Administer, settings::set)],
        read("/api/settings/history", View, settings::history),
        read("/api/settings/{key}", View, settings::get),
        vec![operation(Method::DELETE, "/api/settings/{key}", Administer, settings::remove)],
        read("/api/stats", View, stats::get),
        vec![operation(Method::GET, "/api/stats/stream", View, stats::follow)],
        read("/metrics", Watch, stats::metrics),
        read("/api/openapi.json", Public, openapi::get),
        read("/api/docs", Public, docs::index),
        read("/api/docs/{file}", Public, docs::file),
    ];
    operations.into_iter().flatten().collect()
}

/// Video rooms, and what whoever is in one asks for.
#[rustfmt::skip]
fn video() -> Vec<Operation> {
    use Access::{Anyone, InRoom, Participant, SignedIn};
    let operations = [
        read("/api/video/rooms", Anyone, video_rooms::list),
        vec![operation(Method::POST, "/api/video/rooms", SignedIn, video_rooms::create)],
        read("/api/video/rooms/{id}", InRoom, video_rooms::get),
        vec![operation(Method::PATCH, "/api/video/rooms/{id}", InRoom, video_rooms::change)],
        vec![operation(Method::DELETE, "/api/video/rooms/{id}", InRoom, video_rooms::close)],
        vec![operation(Method::POST, "/api/video/rooms/{id}/invitations", InRoom, video_rooms::invite)],
        vec![operation(Method::POST, "/api/video/rooms/{id}/join", Anyone, participants::join)],
        vec![operation(Method::POST, "/api/video/rooms/{id}/leave", InRoom, participants::leave)],
        vec![operation(Method::POST, "/api/video/rooms/{id}/lobby", InRoom, participants::lobby)],
        vec![operation(Method::POST, "/api/video/rooms/{id}/host", InRoom, participants::host)],
        vec![operation(Method::PATCH, "/api/video/rooms/{id}/participants/{participant}", InRoom, participants::change)],
        vec![operation(Method::DELETE, "/api/video/rooms/{id}/participants/{participant}", InRoom, participants::remove)],
        vec![operation(Method::POST, "/api/webrtc/signal", Participant, webrtc::signal)],
        vec![operation(Method::GET, "/api/webrtc/ice-servers", Participant, webrtc::ice_servers)],
        vec![operation(Method::POST, "/api/webrtc/stats", Participant, webrtc::stats)],
    ];
    operations.into_iter().flatten().collect()
}

/// Pages for people, and what belongs to them.
fn pages() -> Vec<Operation> {
    use Access::Public;
    let pages = [
        read("/", Public, page::index),
        read("/account.js", Public, page::account_script),
        read("/app.js", Public, page::script),
        read("/style.css", Public, page::style),
        read("/setup", Public, page::setup),
        read("/setup.js", Public, page::setup_script),
        read("/call", Public, page::call),
        read("/call.css", Public, page::call_style),
        read("/call.js", Public, page::call_script),
        read("/call-tiles.js", Public, page::call_tiles),
        read("/santral-call.js", Public, page::call_client),
        read("/santral-line.js", Public, page::call_line),
        read("/santral-outbox.js", Public, page::call_outbox),
        read("/santral-peer.js", Public, page::call_peer),
        read("/santral-roster.js", Public, page::call_roster),
    ];
    pages.into_iter().flatten().collect()
}

/// Every operation, for the documents and their tests: method, path, access.
#[must_use]
pub fn operations() -> Vec<(Method, &'static str, Access)> {
    table().into_iter().map(|operation| (operation.method, operation.path, operation.access)).collect()
}

/// What handlers work with, beside the shard of their thread.
#[derive(Clone)]
pub struct Services {
    /// Who may come this far.
    pub edge: Arc<Edge>,
    /// Who may do what.
    pub gate: Arc<Gate>,
    /// Steering connections.
    pub operator: Arc<Operator>,
    /// The namespace of the Admin UI of Socket.IO.
    pub admin_ui: Arc<Admin>,
    /// Settings.
    pub settings: Arc<Settings>,
    /// Accounts, API keys and tickets.
    pub accounts: Arc<Accounts>,
    /// The event log.
    pub events: Arc<EventLog>,
    /// Video rooms.
    pub video: Arc<VideoRooms>,
}

/// Adds every route, served by the shard of this thread.
pub fn configure(config: &mut web::ServiceConfig, shard: &LocalShard, services: &Services) {
    config
        .app_data(web::Data::new(shard.clone()))
        .app_data(web::Data::from(Arc::clone(&services.edge)))
        .app_data(web::Data::from(Arc::clone(&services.gate)))
        .app_data(web::Data::from(Arc::clone(&services.operator)))
        .app_data(web::Data::from(Arc::clone(&services.admin_ui)))
        .app_data(web::Data::from(Arc::clone(&services.settings)))
        .app_data(web::Data::from(Arc::clone(&services.accounts)))
        .app_data(web::Data::from(Arc::clone(&services.events)))
        .app_data(web::Data::from(Arc::clone(&services.video)));
    let mut operations = table();
    while let Some(path) = operations.first().map(|operation| operation.path) {
        // Resources are tried in the order of the table; all methods of a path are one resource.
        let (same, others) = operations.into_iter().partition(|operation| operation.path == path);
        config.service(resource(path, same));
        operations = others;
    }
    config.default_service(web::to(not_found));
}

fn operation<F, Args>(method: Method, path: &'static str, access: Access, handler: F) -> Operation
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let route = web::method(method.clone()).to(handler);
    let route = route.wrap(from_fn(move |request, next| access::enter(access, request, next)));
    Operation { method, path, access, route }
}

/// A path of Engine.IO, which judges methods itself.
fn engine(path: &'static str) -> Vec<Operation> {
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    methods.into_iter().map(|method| operation(method, path, Access::Public, socketio::any)).collect()
}

/// A path that is read; `HEAD` answers as `GET` does, without the body (RFC 9110, section 9.3.2).
fn read<F, Args>(path: &'static str, access: Access, handler: F) -> Vec<Operation>
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    vec![operation(Method::GET, path, access, handler.clone()), operation(Method::HEAD, path, access, handler)]
}

/// A path and what may be done there; everything else is 405 with `Allow` (RFC 9110, section 15.5.6).
fn resource(path: &str, operations: Vec<Operation>) -> Resource {
    let allow = operations.iter().map(|operation| operation.method.as_str()).collect::<Vec<_>>().join(", ");
    let resource =
        operations.into_iter().fold(web::resource(path), |resource, operation| resource.route(operation.route));
    resource.default_service(web::to(move |request: HttpRequest| {
        let allow = allow.clone();
        async move {
            let mut response = ApiError::MethodNotAllowed(request.method().to_string()).to_response();
            if let Ok(allow) = header::HeaderValue::from_str(&allow) {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            response
        }
    }))
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    socketio::explain(&request);
    ApiError::NotFound.to_response()
}
