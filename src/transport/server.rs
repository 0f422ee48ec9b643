//! The listener: accepted sockets, wrapped so that streams can leave, served by actix-web.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_rt::net::TcpStream;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use socket2::SockRef;
use tokio::sync::mpsc::Receiver;

use santral_core::limits::{REQUEST_HEAD_DEADLINE, SOCKET_SEND_BUFFER_BYTES, TCP_USER_TIMEOUT};

use super::connections::{Connections, Gate};
use super::detach::{DetachableStream, hold_back};
use crate::http;
use crate::http::Services;
use crate::hub::admission::Full;
use crate::hub::shard_thread::LocalShard;
use crate::hub::{Hub, Mail};
use crate::service::Refusal;

/// Connections that may wait to be accepted: a crowd that returns at once.
const ACCEPT_QUEUE: i32 = 4_096;

/// Threads that each worker may use for blocking reads; the readers' pool is about this size.
const BLOCKING_THREADS: usize = 4;

/// Binds the address with a long accept queue.
///
/// # Errors
/// What the kernel says, for instance that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it. A stalled reader costs this much of the kernel's memory.
    socket.set_send_buffer_size(SOCKET_SEND_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_QUEUE)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Starts the workers, each with its shard. Signals are the caller's affair.
///
/// # Errors
/// What the kernel says of the listener.
pub fn start(
    hub: &Arc<Hub>,
    services: &Services,
    listener: TcpListener,
    http_connections_max: usize,
    mailboxes: Vec<Receiver<Mail>>,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let workers = mailboxes.len();
    let mailboxes = Arc::new(Mutex::new(mailboxes.into_iter().enumerate().collect::<Vec<_>>()));
    let (hub, services) = (Arc::clone(hub), services.clone());
    let gate = Gate::new(&services.edge, http_connections_max);
    let per_worker = (http_connections_max / workers).max(1);
    let server = Server::build()
        .workers(workers)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_concurrent_connections(per_worker)
        .disable_signals()
        .shutdown_timeout(1)
        .listen("santral", listener, move || {
            let shard = start_shard(&hub, &mailboxes);
            let app = App::new()
                .configure(|config| http::configure(config, &shard, &services))
                .wrap(from_fn(http::edge::guard))
                .wrap(http::edge::origins::cors(&services.edge))
                .wrap(from_fn(http::edge::finish))
                .wrap(from_fn(http::measure::measure))
                .wrap(from_fn(http::request_id::stamp))
                .wrap(from_fn(hold_back));
            let app = map_config(app.into_factory(), |()| AppConfig::default());
            let http = HttpService::build()
                .client_request_timeout(REQUEST_HEAD_DEADLINE)
                .keep_alive(REQUEST_HEAD_DEADLINE)
                .h1_allow_half_closed(false)
                .local_addr(address)
                .on_connect_ext(|stream: &DetachableStream, data| {
                    data.insert(stream.ticket());
                })
                .finish(app);
            let connections = Connections::new(&gate, per_worker);
            fn_service(move |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                prepare(&stream);
                let admitted = match connections.admit(peer.map(|peer| peer.ip())) {
                    Some(place) => Ok((DetachableStream::new(stream, place), Protocol::Http1, peer)),
                    None => Err(refuse(&stream)),
                };
                std::future::ready(admitted)
            })
            .and_then(http)
        })?
        .run();
    Ok(server)
}

/// Takes the next mailbox. A worker thread that actix starts anew after a panic finds none: the
/// process has been taken down by then, since the log serves better from a fresh one.
fn start_shard(hub: &Arc<Hub>, mailboxes: &Mutex<Vec<(usize, Receiver<Mail>)>>) -> LocalShard {
    let next = mailboxes.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let (index, mailbox) = next.expect("there is a mailbox for each worker");
    LocalShard::start(hub, index, mailbox).expect("the kernel has a poll for each worker")
}

/// Tells a peer that has its share of connections already, before it has asked anything.
fn refuse(stream: &TcpStream) -> DispatchError {
    let problem = http::problem::ApiError::from(Refusal::Full(Full::Address)).to_document();
    let head = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After: 2\r\nConnection: close";
    let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{problem}", problem.len());
    // It fits into an empty send buffer; a peer that has gone already hears nothing. By the socket
    // itself, since the runtime does not know yet that there is room.
    let _ = SockRef::from(stream).send(answer.as_bytes());
    DispatchError::DisconnectTimeout
}

/// Small frames leave at once, and a peer that takes nothing is given up on.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let prepared = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT)));
    if let Err(error) = prepared {
        log::debug!("a socket's options cannot be set: {error}");
    }
}
