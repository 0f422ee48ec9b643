//! A WebSocket whose socket has left actix-web: frames straight into the kernel, messages out of it.
//!
//! Frames are written around bytes that are shared; what the kernel does not take of a frame that was
//! begun is kept, nothing more, so a control frame never lands inside of another frame. Nothing is read
//! while the client does not take what was written for it: that is the whole back-pressure.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use bytes::{Buf, BytesMut};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use santral_core::websocket::encoder::{self, Header};
use santral_core::websocket::{Decoder, Message, Opcode, Rules, Violation};

/// Bytes that are read from the kernel at once.
const READ_BYTES: usize = 8 * 1024;

/// What a socket has to say.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Nothing for now: an event of the kernel tells of more.
    Nothing,
    /// Text or bytes.
    Message(Message),
    /// The client broke the rules; it was told.
    Broken(Violation),
    /// The client closed, by a close frame or without.
    Closed,
    /// The line is dead.
    Dead,
}

/// A message to send: its kind and its payload, shared.
pub(crate) type Outgoing<'a> = (Opcode, &'a [u8]);

/// See the module.
pub(crate) struct FramedSocket {
    stream: TcpStream,
    decoder: Decoder,
    /// What was read and not yet decoded; empty unless a message waits for its turn.
    unread: BytesMut,
    /// What was begun and the kernel has not taken, and control frames behind it.
    rest: BytesMut,
    /// A ping went out, and nothing came since.
    awaits_pong: bool,
    is_closing: bool,
}

impl FramedSocket {
    /// Takes over a socket behind its 101; `early` came behind the request.
    pub(crate) fn new(
        stream: std::net::TcpStream,
        early: &[u8],
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            unread: early.into(),
            rest: BytesMut::new(),
            awaits_pong: false,
            is_closing: false,
        })
    }

    /// Sends messages without waiting, and says how many were taken: all that were at least begun.
    ///
    /// # Errors
    /// When the line is dead.
    pub(crate) fn send(&mut self, messages: &[Outgoing<'_>]) -> io::Result<usize> {
        if !self.flush()? {
            return Ok(0);
        }
        match messages {
            [(opcode, payload)] => {
                let header = encoder::header(*opcode, payload.len());
                let taken = write(&mut self.stream, &[IoSlice::new(&header), IoSlice::new(payload)])?;
                Ok(self.keep_rest(&[header], messages, taken))
            }
            messages => {
                let header = |(opcode, payload): &Outgoing<'_>| encoder::header(*opcode, payload.len());
                let headers: Vec<Header> = messages.iter().map(header).collect();
                let pairs = headers.iter().zip(messages);
                let slices: Vec<_> =
                    pairs.flat_map(|(header, (_, payload))| [IoSlice::new(header), IoSlice::new(payload)]).collect();
                let taken = write(&mut self.stream, &slices)?;
                Ok(self.keep_rest(&headers, messages, taken))
            }
        }
    }

    /// Keeps what is left of the message that was cut, and counts those of which something was taken.
    fn keep_rest(&mut self, headers: &[Header], messages: &[Outgoing<'_>], mut taken: usize) -> usize {
        for (index, (header, (_, payload))) in headers.iter().zip(messages).enumerate() {
            let length = header.len() + payload.len();
            if taken == 0 {
                return index;
            }
            if taken < length {
                self.rest.extend_from_slice(header.get(taken..).unwrap_or_default());
                self.rest.extend_from_slice(&payload[taken.saturating_sub(header.len())..]);
                return index + 1;
            }
            taken -= length;
        }
        messages.len()
    }

    /// Sends a message, whatever the kernel takes of it: the rest waits here. For answers, of which there is
    /// one at a time, and control frames.
    pub(crate) fn push(&mut self, opcode: Opcode, payload: &[u8]) {
        self.rest.extend_from_slice(&encoder::header(opcode, payload.len()));
        self.rest.extend_from_slice(payload);
    }

    /// Asks whether the client is still there.
    pub(crate) fn ping(&mut self) {
        self.awaits_pong = true;
        self.rest.extend_from_slice(&encoder::ping(&[]));
        // What the kernel does not take goes with the next event.
        let _ = self.flush();
    }

    /// Whether nothing has come since the last ping.
    pub(crate) fn awaits_pong(&self) -> bool {
        self.awaits_pong
    }

    /// Bytes that wait for the kernel to take them.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.rest.len()
    }

    /// Writes what waits; whether nothing is left.
    ///
    /// # Errors
    /// When the line is dead.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while !self.rest.is_empty() {
            match write(&mut self.stream, &[IoSlice::new(&self.rest)])? {
                0 => return Ok(false),
                taken => self.rest.advance(taken),
            }
        }
        // A buffer that was needed once is not kept for ever.
        self.rest = BytesMut::new();
        Ok(true)
    }

    /// The next message of the client. Pings are answered here, pongs noted.
    pub(crate) fn receive(&mut self, rules: &Rules) -> Incoming {
        loop {
            match self.flush() {
                Ok(true) => (),
                Ok(false) => return Incoming::Nothing,
                Err(_) => return Incoming::Dead,
            }
            let mut input = &self.unread[..];
            let before = input.len();
            let message = self.decoder.next(&mut input, rules);
            let used = before - input.len();
            self.unread.advance(used);
            match message {
                Some(Ok(Message::Ping(payload))) => self.rest.extend_from_slice(&encoder::pong(&payload)),
                Some(Ok(Message::Pong(_))) => (),
                Some(Ok(Message::Close { code, .. })) => {
                    self.answer_close(code);
                    return Incoming::Closed;
                }
                Some(Ok(message)) => return Incoming::Message(message),
                Some(Err(violation)) => return Incoming::Broken(violation),
                None => match self.read() {
                    Ok(0) => return Incoming::Closed,
                    Ok(_) => self.awaits_pong = false,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.unread = BytesMut::new();
                        return Incoming::Nothing;
                    }
                    Err(_) => return Incoming::Dead,
                },
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(count) => {
                    self.unread.extend_from_slice(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// Section 5.5.1: the answer to a close frame is one with the same code.
    fn answer_close(&mut self, code: Option<u16>) {
        match code {
            Some(code) => self.close(code, ""),
            None => self.push_close(&encoder::frame(Opcode::Close, &[])),
        }
    }

    /// Says goodbye; nothing may be sent after it.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.push_close(&encoder::close_frame(code, reason));
    }

    fn push_close(&mut self, frame: &[u8]) {
        if !std::mem::replace(&mut self.is_closing, true) {
            self.rest.extend_from_slice(frame);
            // A client that takes nothing hears nothing.
            let _ = self.flush();
        }
    }

    /// Gives the socket away to be closed in peace, see [`super::farewell`].
    pub(crate) fn into_stream(mut self, registry: &Registry) -> Option<std::net::TcpStream> {
        registry.deregister(&mut self.stream).ok()?;
        // The client sees the end of the stream behind the close frame.
        self.stream.shutdown(Shutdown::Write).ok()?;
        Some(self.stream.into())
    }
}

/// Writes what the kernel takes at once: 0 when it is full.
fn write(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match stream.write_vectored(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            result => return result,
        }
    }
}
