//! The composition root: what is started in which order, and how it stops.
//!
//! Start: descriptors, log, hub, writer, listener with its workers. Stop on SIGTERM or SIGINT:
//! refuse new streams, say goodbye over the drain window, stop the listener, end the writer, close
//! the log. A second signal stops at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use santral_core::limits::PUBLISH_DEADLINE;
use santral_core::position::Offset;

use crate::config::Config;
use crate::http::edge::{Edge, EdgeOptions};
use crate::hub::writer::{self, Writer};
use crate::hub::{Hub, HubOptions, LogStart};
use crate::ports::store::{Retention, StoreError};
use crate::store::{self, OpenError, StoreOptions};
use crate::transport::server;

/// Connections for reading the log: as many pages as one shard reads at once.
const READERS: u32 = 4;

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
pub fn serve(config: &Config) -> Result<(), ServeError> {
    let opened = store::open(&store_options(config))?;
    let head = opened.state.head;
    let (behind, recent) = writer::recent_entries(&*opened.reader, head)?;
    let log_start = LogStart {
        epoch: opened.state.epoch,
        trimmed_to: opened.state.trimmed_to,
        behind: Offset::max(behind, opened.state.trimmed_to),
        recent: Arc::new(recent),
    };
    let listener = server::bind(config.listen).map_err(|error| ServeError::Listen(config.listen, error))?;
    let address = listener.local_addr()?;
    let (queue, inbox) = writer::queue();
    let (hub, mailboxes) = Hub::new(hub_options(config), log_start, head, opened.reader, queue);
    let writer = Writer::new(opened.writer, &hub, inbox, retention(config), head);
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run())?;
    let edge = Edge::new(EdgeOptions::default());
    let served = actix_rt::System::new().block_on(async {
        let server = server::start(&hub, &edge, listener, config.descriptors.http_connections, mailboxes)?;
        log::info!("listening on http://{address}, node {}, epoch {}", hub.options.node, hub.log_start.epoch);
        let handle = server.handle();
        let serving = actix_rt::spawn(server);
        stop_signal().await?;
        drain(&hub, config.drain_window).await;
        handle.stop(true).await;
        // It ends because it was stopped; how is of no interest any more.
        let _ = serving.await;
        Ok::<(), std::io::Error>(())
    });
    hub.writer.close();
    join_writer(writer);
    log::info!("stopped");
    Ok(served?)
}

fn store_options(config: &Config) -> StoreOptions {
    StoreOptions { url: config.database_url.reveal().to_owned(), durability: config.durability, readers: READERS }
}

fn retention(config: &Config) -> Retention {
    Retention { entries_max: config.retention_messages, age_max: config.retention_age }
}

fn hub_options(config: &Config) -> HubOptions {
    HubOptions {
        node: config.node.clone(),
        workers: config.workers,
        heartbeat: config.heartbeat,
        durability: config.durability,
        retention_age: config.retention_age,
        message_bytes_max: config.message_bytes_max,
        streams_max: config.descriptors.streams,
    }
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

/// Waits for the writer, which ends as soon as nothing waits for it, unless its database hangs. Then
/// the process ends without it, as in a crash: whoever waits for an answer has had none.
fn join_writer(writer: JoinHandle<()>) {
    let end = Instant::now() + PUBLISH_DEADLINE;
    while !writer.is_finished() {
        if Instant::now() >= end {
            log::error!("the database hangs; stopping without it");
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if writer.join().is_err() {
        log::error!("the writer failed");
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
