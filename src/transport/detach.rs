//! Sockets that leave the HTTP machinery after their response head.
//!
//! actix-http keeps two 8 KiB buffers and a task for every connection. A stream needs neither: its
//! handler answers the head and `hello` as an ordinary, close-delimited response, and puts a
//! [`Handover`] into the connection's [`Ticket`]. When the dispatcher has flushed the response and
//! shuts the connection down, the socket moves to the shard of this thread instead.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_rt::net::TcpStream;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use santral_core::session::SessionKey;

use crate::hub::StreamSlot;
use crate::hub::shard_thread::LocalShard;

/// Says what becomes of a connection after its response. Every request of the connection sees it.
#[derive(Clone, Default)]
pub struct Ticket(Rc<Pending>);

#[derive(Default)]
struct Pending {
    handover: RefCell<Option<Handover>>,
    /// Whether another request came behind the one for a stream.
    held: Cell<bool>,
}

impl Ticket {
    /// Sends the socket to a session's shard once the response in hand is flushed.
    pub(crate) fn hand_over(&self, handover: Handover) {
        *self.0.handover.borrow_mut() = Some(handover);
    }

    fn take(&self) -> Option<Handover> {
        self.0.handover.borrow_mut().take()
    }

    fn is_given(&self) -> bool {
        self.0.handover.borrow().is_some()
    }
}

/// Keeps a request that was sent behind one for a stream from being carried out: nothing but the
/// stream follows the stream's head. It waits until the socket has left, and ends with the
/// connection. Use with `actix_web::middleware::from_fn`.
///
/// # Errors
/// Those of the services inside.
pub async fn hold_back(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if let Some(ticket) = request.request().conn_data::<Ticket>().filter(|ticket| ticket.is_given()) {
        ticket.0.held.set(true);
        std::future::pending::<()>().await;
    }
    next.call(request).await
}

/// A session that waits for its socket. Dropped without it, the session learns that it never comes.
pub(crate) struct Handover {
    shard: LocalShard,
    session: SessionKey,
    slot: Option<StreamSlot>,
}

impl Handover {
    pub(crate) fn new(shard: LocalShard, session: SessionKey, slot: StreamSlot) -> Self {
        Self { shard, session, slot: Some(slot) }
    }

    fn complete(mut self, stream: std::net::TcpStream) {
        if let Some(slot) = self.slot.take() {
            self.shard.link_socket(self.session, stream, slot);
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.shard.abandon(self.session);
        }
    }
}

/// An accepted socket that may leave.
pub struct DetachableStream {
    /// `None` once it has left.
    stream: Option<TcpStream>,
    ticket: Ticket,
}

impl DetachableStream {
    /// Wraps an accepted socket.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), ticket: Ticket::default() }
    }

    /// The ticket of this connection.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    fn poll_stream<T>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.get_mut().stream {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for DetachableStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_stream(|stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for DetachableStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_stream(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_stream(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.as_mut().poll_stream(|stream| stream.poll_flush(context));
        if flushed.is_ready() && self.ticket.0.held.get() {
            // The dispatcher never shuts down while a request waits, and must learn of its end.
            context.waker().wake_by_ref();
            return self.poll_shutdown(context);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(handover) = self.ticket.take() else {
            return self.poll_stream(|stream| stream.poll_shutdown(context));
        };
        if let Some(stream) = self.stream.take() {
            handover.complete(stream.into_std()?);
        }
        Poll::Ready(Ok(()))
    }
}
