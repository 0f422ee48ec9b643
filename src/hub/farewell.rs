//! Closing a socket in peace: whoever closes with unread input makes the kernel reset the connection, and
//! the client may never see the last bytes that were written for it (RFC 9112, section 9.6).

use std::net::TcpStream;

use tokio::io::AsyncReadExt;

use santral_core::limits::FAREWELL_PATIENCE;

/// Reads and forgets what still comes until the client closes its side too, for a while. Must run on a
/// worker thread.
pub(crate) fn wait_for_end(stream: TcpStream) {
    let Ok(mut stream) = tokio::net::TcpStream::from_std(stream) else { return };
    actix_rt::spawn(async move {
        let mut waste = [0; 1024];
        let until_end = async { while stream.read(&mut waste).await.is_ok_and(|count| count > 0) {} };
        // Whoever has not closed by then is reset.
        let _ = actix_rt::time::timeout(FAREWELL_PATIENCE, until_end).await;
    });
}
