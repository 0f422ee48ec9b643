//! Sockets that leave the HTTP machinery after their response head.
//!
//! actix-http keeps two 8 KiB buffers and a task for every connection. A stream needs neither: its
//! handler answers the head and `hello` as an ordinary, close-delimited response, and puts a
//! [`Handover`] into the connection's [`Ticket`]. When the dispatcher has flushed the response and
//! shuts the connection down, the socket moves to the shard of this thread instead.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use santral_core::limits::{BODY_DEADLINE, REQUEST_HEAD_DEADLINE};
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

/// How long a request may take from its first byte to the first byte of its answer.
///
/// actix-http times the head of a connection's first request only; without this, a client could
/// hold a kept-alive connection for ever with a second head that never ends.
#[derive(Default)]
struct Patience {
    /// When the first byte came since the last answer.
    asked_at: Option<Instant>,
    /// Set for the request that was first seen; it is moved when it rings, not for each request.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Ready when the request in hand has had its time.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(end) = self.asked_at.map(|asked_at| asked_at + REQUEST_DEADLINE) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// Head, body, and the longest answer: a publish whose database hangs.
const REQUEST_DEADLINE: Duration = REQUEST_HEAD_DEADLINE.saturating_add(BODY_DEADLINE).saturating_add(BODY_DEADLINE);

/// An accepted socket that may leave.
pub struct DetachableStream {
    /// `None` once it has left.
    stream: Option<TcpStream>,
    ticket: Ticket,
    patience: Patience,
}

impl DetachableStream {
    /// Wraps an accepted socket.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), ticket: Ticket::default(), patience: Patience::default() }
    }

    /// The ticket of this connection.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// Notes that an answer is on its way.
    fn answered(mut self: Pin<&mut Self>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.patience.asked_at = None;
        }
        written
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
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut *this).poll_stream(|stream| stream.poll_read(context, buffer));
        if buffer.filled().len() > before {
            this.patience.asked_at.get_or_insert_with(Instant::now);
        }
        match this.patience.poll_end(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => read,
        }
    }
}

impl AsyncWrite for DetachableStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.as_mut().poll_stream(|stream| stream.poll_write(context, bytes));
        self.answered(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().poll_stream(|stream| stream.poll_write_vectored(context, slices));
        self.answered(written)
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
