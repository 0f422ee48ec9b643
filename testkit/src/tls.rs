//! The client's end of TLS for tests that speak plain TCP: a port of loopback from which each
//! connection goes on to a server in TLS.
//!
//! So an SSE client, a raw WebSocket or an unmodified library crosses TLS without knowing it. The
//! certificate is verified, for the address. It offers no ALPN, so a server speaks HTTP/1.1.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::certificate::Certificate;

/// An open tunnel. Dropping it takes no further connections; those that are open live on.
#[derive(Debug)]
pub struct TlsTunnel {
    address: SocketAddr,
    is_closed: Arc<AtomicBool>,
}

impl TlsTunnel {
    /// Listens, and passes each connection on to `server`, which has to show this certificate.
    ///
    /// # Errors
    /// When there is no port, or the certificate is none.
    pub fn open(server: SocketAddr, certificate: &Certificate) -> io::Result<Self> {
        let config = Arc::new(client_config(certificate)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let tunnel = Self { address: listener.local_addr()?, is_closed: Arc::default() };
        let is_closed = Arc::clone(&tunnel.is_closed);
        std::thread::spawn(move || {
            for plain in listener.incoming().map_while(Result::ok) {
                if is_closed.load(Ordering::Relaxed) {
                    return;
                }
                let config = Arc::clone(&config);
                // What breaks closes both sides, which is all that a client of the tunnel may see.
                std::thread::spawn(move || Pump::begin(plain, server, config).and_then(Pump::run));
            }
        });
        Ok(tunnel)
    }

    /// Where plain connections go.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsTunnel {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees it.
        let _ = TcpStream::connect(self.address);
    }
}

fn client_config(certificate: &Certificate) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_slice(&certificate.pem()?).map_err(io::Error::other)?;
    roots.add(trusted).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth())
}

/// One connection: bytes in both directions until either side closes.
struct Pump {
    plain: TcpStream,
    secret: TcpStream,
    tls: ClientConnection,
    /// Decrypted, for the client.
    inward: Vec<u8>,
}

impl Pump {
    fn begin(plain: TcpStream, server: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let secret = TcpStream::connect(server)?;
        for stream in [&plain, &secret] {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
        }
        let name = ServerName::IpAddress(server.ip().into());
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self { plain, secret, tls, inward: Vec::new() })
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            let has_server_closed = self.take_from_server()?;
            let has_client_closed = self.take_from_client()?;
            if has_client_closed {
                self.tls.send_close_notify();
            }
            while self.tls.wants_write() && is_done(self.tls.write_tls(&mut self.secret))?.is_some() {}
            while !self.inward.is_empty() {
                let Some(count) = is_done(self.plain.write(&self.inward))? else { break };
                self.inward.drain(..count);
            }
            if has_client_closed || (has_server_closed && self.inward.is_empty()) {
                return Ok(());
            }
        }
    }

    /// Until something can be done. Nothing is read for a side that does not take what came before.
    fn wait(&self) -> io::Result<()> {
        let when = |condition, flag| if condition { flag } else { PollFlags::empty() };
        let has_room = self.inward.len() < ROOM;
        let plain = when(self.takes_more(), PollFlags::IN) | when(!self.inward.is_empty(), PollFlags::OUT);
        let secret = when(has_room, PollFlags::IN) | when(self.tls.wants_write(), PollFlags::OUT);
        let mut both = [PollFd::new(&self.plain, plain), PollFd::new(&self.secret, secret)];
        match poll(&mut both, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn takes_more(&self) -> bool {
        !self.tls.wants_write() && !self.tls.is_handshaking()
    }

    /// Decrypts what has come; true at the end.
    fn take_from_server(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        while self.inward.len() < ROOM {
            match is_done(self.tls.read_tls(&mut self.secret))? {
                None => return Ok(false),
                Some(0) => return Ok(true),
                Some(_) => {}
            }
            self.tls.process_new_packets().map_err(io::Error::other)?;
            while let Some(count) = is_done(self.tls.reader().read(&mut piece))? {
                if count == 0 {
                    return Ok(true);
                }
                self.inward.extend_from_slice(&piece[..count]);
            }
        }
        Ok(false)
    }

    /// Encrypts what has come; true at the end.
    fn take_from_client(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        while self.takes_more() {
            match is_done(self.plain.read(&mut piece))? {
                None => return Ok(false),
                Some(0) => return Ok(true),
                Some(count) => self.tls.writer().write_all(&piece[..count])?,
            }
        }
        Ok(false)
    }
}

/// `None` when nothing can be done now.
fn is_done(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes that wait for a client at most, and somewhat more.
const ROOM: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::Request;
    use crate::nginx::Nginx;
    use crate::process::free_address;

    const TIMEOUT: Duration = Duration::from_secs(20);

    #[test]
    fn bytes_cross_both_ways_and_only_to_whom_is_trusted() {
        let Some(certificate) = Certificate::for_loopback().expect("openssl makes one") else { return };
        let address = free_address().expect("loopback has a free port");
        let (chain, key) = (certificate.chain(), certificate.key());
        let site = format!(
            "server {{ listen {address} ssl; ssl_certificate {}; ssl_certificate_key {};
             client_max_body_size 0; location / {{ return 200 $scheme$request_uri; }} }}",
            chain.display(),
            key.display()
        );
        let Some(_nginx) = Nginx::start_http(address, &site).expect("nginx starts") else { return };
        let tunnel = TlsTunnel::open(address, &certificate).expect("it listens");
        let long = format!("/{}", "x".repeat(3_000));
        let request = Request::post(&long, vec![b'y'; 1_000_000]);
        let answer = request.send(tunnel.address(), TIMEOUT).expect("nginx answers");
        assert_eq!(answer.text(), format!("https{long}"));
        let other = Certificate::for_loopback().expect("openssl makes one").expect("it is installed");
        let distrustful = TlsTunnel::open(address, &other).expect("it listens");
        Request::get("/").send(distrustful.address(), TIMEOUT).expect_err("the certificate is another");
    }
}
