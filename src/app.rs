//! The composition root: what is started in which order, and how it stops.
//!
//! Start: descriptors, log, hub, writer, listener with its workers. Stop on SIGTERM or SIGINT:
//! refuse new streams, say goodbye over the drain window, stop the listener, end the writer, close
//! the log. A second signal stops at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use santral_core::position::Offset;

use crate::hub::writer::{self, Writer};
use crate::hub::{Hub, HubOptions, LogStart};
use crate::ports::store::{Retention, StoreError};
use crate::store::{self, OpenError, StoreOptions};
use crate::transport::server;

/// What the server is made of.
pub struct AppOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the log is.
    pub store: StoreOptions,
    /// What the log keeps.
    pub retention: Retention,
    /// What the hub needs.
    pub hub: HubOptions,
    /// Most connections that are no streams.
    pub http_connections_max: usize,
    /// Time over which streams are told goodbye.
    pub drain_window: Duration,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log was opened but could not be read.
    #[error("the log cannot be read: {0}")]
    Read(#[from] StoreError),
    /// The address could not be bound.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The operating system refused something else.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// Serves until a signal says to stop.
///
/// # Errors
/// [`ServeError`] when the start fails.
pub fn serve(options: AppOptions) -> Result<(), ServeError> {
    let opened = store::open(&options.store)?;
    let head = opened.state.head;
    let (behind, recent) = writer::recent_entries(&*opened.reader, head)?;
    let log_start = LogStart {
        epoch: opened.state.epoch,
        trimmed_to: opened.state.trimmed_to,
        behind: Offset::max(behind, opened.state.trimmed_to),
        recent: Arc::new(recent),
    };
    let listener = server::bind(options.listen).map_err(|error| ServeError::Listen(options.listen, error))?;
    let address = listener.local_addr()?;
    let (queue, inbox) = writer::queue();
    let (hub, mailboxes) = Hub::new(options.hub, log_start, head, opened.reader, queue);
    let writer = Writer::new(opened.writer, &hub, inbox, options.retention, head);
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run())?;
    let served = actix_rt::System::new().block_on(async {
        let server = server::start(&hub, listener, options.http_connections_max, mailboxes)?;
        log::info!("listening on http://{address}, node {}, epoch {}", hub.options.node, hub.log_start.epoch);
        let handle = server.handle();
        let serving = actix_rt::spawn(server);
        stop_signal().await?;
        drain(&hub, options.drain_window).await;
        handle.stop(true).await;
        // It ends because it was stopped; how is of no interest any more.
        let _ = serving.await;
        Ok::<(), std::io::Error>(())
    });
    hub.writer.close();
    if writer.join().is_err() {
        log::error!("the writer failed");
    }
    log::info!("stopped");
    Ok(served?)
}

/// Says goodbye to every stream over the window, and returns when none is left or a second signal comes.
async fn drain(hub: &Arc<Hub>, window: Duration) {
    log::info!("draining {} streams over {} s; a second signal stops at once", hub.streams(), window.as_secs());
    hub.start_draining();
    hub.call_all(move |shard, now| shard.drain(now, window)).await;
    let all_gone = async {
        while hub.streams() > 0 {
            actix_rt::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = all_gone => (),
        () = actix_rt::time::sleep(window + Duration::from_secs(1)) => log::warn!("{} streams are left", hub.streams()),
        _ = stop_signal() => (),
    }
}

async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    Ok(())
}
