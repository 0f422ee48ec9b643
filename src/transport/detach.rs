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
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_web::HttpRequest;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::{Member, Place};
use super::patience::Patience;

/// Says what becomes of a connection after its response. Every request of the connection sees it.
#[derive(Clone, Default)]
pub struct Ticket(Rc<Pending>);

#[derive(Default)]
struct Pending {
    handover: RefCell<Option<Handover>>,
    /// Whether another request came behind the one for a stream.
    held: Cell<bool>,
    /// How long the handler of the request in hand may hold its answer on purpose.
    held_for: Cell<Duration>,
    /// The connection's place among the plain ones.
    member: Option<Rc<Member>>,
}

impl Ticket {
    /// Sends the socket to a session's shard once the response in hand is flushed.
    pub(crate) fn hand_over(&self, handover: Handover) {
        *self.0.handover.borrow_mut() = Some(handover);
    }

    /// See [`hold_answer`].
    fn hold_answer(&self, at_most: Duration) {
        self.0.held_for.set(at_most);
    }

    /// Notes that the server waits for the rest of a request, or no longer does.
    pub(crate) fn set_waiting(&self, is_waiting: bool) {
        if let Some(member) = &self.0.member {
            member.set_waiting(is_waiting);
        }
    }

    fn take(&self) -> Option<Handover> {
        self.0.handover.borrow_mut().take()
    }

    fn is_given(&self) -> bool {
        self.0.handover.borrow().is_some()
    }

    fn is_upgrade(&self) -> bool {
        self.0.handover.borrow().as_ref().is_some_and(|handover| handover.is_upgrade)
    }
}

/// Lets the answer to a request take so much longer than others may, as that to a long poll does. Without
/// it the connection is taken for one that is held up, and is cut.
pub(crate) fn hold_answer(request: &HttpRequest, at_most: Duration) {
    if let Some(ticket) = request.conn_data::<Ticket>() {
        ticket.hold_answer(at_most);
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
    next: Next<impl MessageBody + Unpin>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let ticket = request.request().conn_data::<Ticket>().cloned().unwrap_or_default();
    if ticket.is_given() {
        ticket.0.held.set(true);
        std::future::pending::<()>().await;
    }
    let answering = Answering::begin(ticket);
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| WatchedBody { body, _answering: answering }))
}

/// While it is there, the client waits for the server and not the other way round.
struct Answering(Ticket);

impl Answering {
    fn begin(ticket: Ticket) -> Self {
        ticket.set_waiting(false);
        Self(ticket)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set_waiting(true);
    }
}

/// An answer's body, whose end is the end of the answer.
struct WatchedBody<B> {
    body: B,
    _answering: Answering,
}

impl<B: MessageBody + Unpin> MessageBody for WatchedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}

/// Who waits for a socket. Dropped without it, it learns that the socket never comes.
pub(crate) trait Landing {
    /// Takes the socket over.
    fn land(self: Box<Self>, stream: std::net::TcpStream);
}

/// A socket's way out of the HTTP machinery.
pub(crate) struct Handover {
    landing: Box<dyn Landing>,
    /// Whether it leaves as soon as the head is flushed, since the next bytes of the client are no HTTP.
    is_upgrade: bool,
}

impl Handover {
    /// Once the response is complete.
    pub(crate) fn behind_response(landing: impl Landing + 'static) -> Self {
        Self { landing: Box::new(landing), is_upgrade: false }
    }

    /// Once the head is flushed; nothing is read before (RFC 9110, section 7.8).
    pub(crate) fn upgrade(landing: impl Landing + 'static) -> Self {
        Self { landing: Box::new(landing), is_upgrade: true }
    }
}

/// An accepted socket that may leave.
pub struct DetachableStream {
    /// `None` once it has left.
    stream: Option<TcpStream>,
    ticket: Ticket,
    patience: Patience,
    _place: Place,
}

impl DetachableStream {
    /// Wraps an accepted socket.
    #[must_use]
    pub(super) fn new(stream: TcpStream, place: Place) -> Self {
        let pending = Pending { member: Some(Rc::clone(place.member())), ..Pending::default() };
        Self { stream: Some(stream), ticket: Ticket(Rc::new(pending)), patience: Patience::default(), _place: place }
    }

    /// The ticket of this connection.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }

    /// Notes what became of bytes for the client; an error when it has had its time.
    fn written(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) if *bytes > 0 => {
                self.ticket.hold_answer(Duration::ZERO);
                self.patience.on_output(*bytes);
            }
            Poll::Ready(_) => (),
            Poll::Pending => {
                self.patience.on_full();
                if self.is_over(context) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }

    /// Whether the connection has had its time, or must make room for others.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let must_go = self.ticket.0.member.as_ref().is_some_and(|member| member.poll_ended(context));
        must_go || self.patience.poll_end(context, self.ticket.0.held_for.get()).is_ready()
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
        if this.ticket.is_upgrade() {
            // What comes now is for whoever takes the socket over.
            return Poll::Pending;
        }
        if this.stream.is_none() {
            // The socket has left; for the dispatcher that is the end of its connection.
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut *this).poll_stream(|stream| stream.poll_read(context, buffer));
        if buffer.filled().len() > before {
            this.patience.on_input();
        }
        if this.is_over(context) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { read }
    }
}

impl AsyncWrite for DetachableStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.as_mut().poll_stream(|stream| stream.poll_write(context, bytes));
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.as_mut().poll_stream(|stream| stream.poll_write_vectored(context, slices));
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.as_mut().poll_stream(|stream| stream.poll_flush(context));
        if flushed.is_ready() {
            self.patience.on_flushed();
        }
        if flushed.is_ready() && (self.ticket.0.held.get() || self.ticket.is_upgrade()) {
            // The dispatcher never shuts down while a request waits, or a body that never ends, and must
            // learn of its end.
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
            handover.landing.land(stream.into_std()?);
        }
        Poll::Ready(Ok(()))
    }
}
