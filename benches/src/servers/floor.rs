//! The floor: the least that a fan-out can cost. One epoll loop, one `send` per client.
//!
//! It accepts streams, takes publications by POST, builds the frame once and makes one
//! non-blocking send per client. No log, no session, no check, no retry: a client that cannot
//! take a frame loses it. Runs as a hidden subcommand of the bench, as a child like the others.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::error::{During, Result};
use crate::http::Extent;

const LISTENER: Token = Token(usize::MAX);
const REQUEST_BYTES_MAX: usize = 64 * 1024;
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-cache\r\nConnection: close\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    reader_at: Option<usize>,
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    readers: Vec<usize>,
    frame: Vec<u8>,
}

/// Serves on `port` of the loopback address until the process is ended.
///
/// # Errors
/// When the port cannot be bound or the poll fails.
pub fn serve(port: u16) -> Result<()> {
    let poll = Poll::new().during("create the floor's poll")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut listener = TcpListener::bind(address).during("bind the floor's port")?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).during("register the floor's listener")?;
    let mut floor =
        Floor { poll, listener, connections: Vec::new(), free: Vec::new(), readers: Vec::new(), frame: Vec::new() };
    floor.run()
}

impl Floor {
    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(512);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome.during("wait in the floor's poll")?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(index) => self.receive(index),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let registered = self.poll.registry().register(&mut stream, Token(index), Interest::READABLE);
            if stream.set_nodelay(true).is_err() || registered.is_err() {
                self.free.push(index);
                continue;
            }
            let connection = Connection { stream, input: Vec::new(), reader_at: None };
            self.connections[index] = Some(connection);
        }
    }

    fn receive(&mut self, index: usize) {
        let Some(connection) = self.connections[index].as_mut() else {
            return;
        };
        let mut buffer = [0; 16 * 1024];
        loop {
            match connection.stream.read(&mut buffer) {
                Ok(0) => return self.close(index),
                Ok(count) => connection.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.close(index),
            }
        }
        self.answer_requests(index);
    }

    fn answer_requests(&mut self, index: usize) {
        while let Some(connection) = self.connections[index].as_mut() {
            let Some(extent) = Extent::find(&connection.input) else {
                if connection.input.len() > REQUEST_BYTES_MAX {
                    self.close(index);
                }
                return;
            };
            let request: Vec<u8> = connection.input.drain(..extent.bytes()).collect();
            if request.starts_with(b"POST") {
                self.send_to_all(&request[extent.head_bytes..]);
                self.send(index, OK);
            } else if request.starts_with(b"GET /events") {
                connection.input = Vec::new();
                connection.reader_at = Some(self.readers.len());
                self.readers.push(index);
                self.send(index, STREAM_HEAD);
            } else {
                self.send(index, OK);
            }
        }
    }

    fn send_to_all(&mut self, data: &[u8]) {
        self.frame.clear();
        self.frame.extend_from_slice(b"data: ");
        self.frame.extend_from_slice(data);
        self.frame.extend_from_slice(b"\n\n");
        for &reader in &self.readers {
            if let Some(connection) = self.connections[reader].as_mut() {
                // A full buffer loses the frame and a broken line shows in the poll: the floor
                // does nothing about either, and the generator's check finds the loss.
                let _ = connection.stream.write(&self.frame);
            }
        }
    }

    fn send(&mut self, index: usize, bytes: &[u8]) {
        let Some(connection) = self.connections[index].as_mut() else {
            return;
        };
        if connection.stream.write(bytes).ok() != Some(bytes.len()) {
            self.close(index);
        }
    }

    fn close(&mut self, index: usize) {
        let Some(connection) = self.connections[index].take() else {
            return;
        };
        self.free.push(index);
        let Some(at) = connection.reader_at else {
            return;
        };
        self.readers.swap_remove(at);
        if let Some(&moved) = self.readers.get(at)
            && let Some(connection) = self.connections[moved].as_mut()
        {
            connection.reader_at = Some(at);
        }
    }
}
