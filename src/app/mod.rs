//! The composition root: what is started in which order, and how it stops.
//!
//! Start: log, recorders, settings, hub, writer, accounts, listener with its workers. Stop on SIGTERM
//! or SIGINT: refuse new streams, say goodbye over the drain window, stop the listener, end the writer,
//! close the log, wait for webhooks that are under way, write the last events. A second signal stops at once.

pub mod assembly;
pub mod recorders;
pub mod rooms;
pub mod webhooks;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use santral_core::limits::{ADMIN_CHECK_INTERVAL, PUBLISH_DEADLINE};
use santral_core::position::Offset;
use santral_schema::event_log::EventType;

use crate::auth::secrets::TokenKeyError;
use crate::config::{Config, LiveConfig};
use crate::hub::writer::{self, Writer};
use crate::hub::{Hub, HubOptions, LogStart, Queues, switchboard};
use crate::ports::accounts::AccountStore;
use crate::ports::store::StoreError;
use crate::service::accounts::{Accounts, AccountsError};
use crate::service::emitter::listen;
use crate::service::event_log::new_event;
use crate::service::{rights, stats};
use crate::store::{self, OpenError, Opened, StoreOptions};
use crate::transport::server;

use assembly::{Assembly, Watcher, assemble, open_settings};
use recorders::Recorders;

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
    /// Accounts, tokens or secrets.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The secret that signs webhooks.
    #[error("webhooks cannot be signed: {0}")]
    WebhookSecret(TokenKeyError),
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
pub fn serve(live: &Arc<LiveConfig>) -> Result<(), ServeError> {
    // What is read at a start only.
    let config = Config::clone(&live.load());
    let opened = store::open(&store_options(&config))?;
    let recorders = Recorders::start(&opened.records, &config)?;
    let settings = open_settings(live, &opened.records, &recorders)?;
    recorders.configure(&live.load());
    let listener = server::bind(config.listen).map_err(|error| ServeError::Listen(config.listen, error))?;
    let address = listener.local_addr()?;
    let (writer, inbox) = writer::queue();
    let (switchboard, room_inputs) = switchboard::switchboard();
    let queues = Queues { writer, switchboard };
    let Opened { writer: log, reader, state, records } = opened;
    let (behind, recent) = writer::recent_entries(&*reader, state.head)?;
    let log_start = LogStart {
        epoch: state.epoch,
        trimmed_to: state.trimmed_to,
        behind: Offset::max(behind, state.trimmed_to),
        recent: Arc::new(recent),
    };
    let observer = recorders.observer();
    let (hub, mailboxes) =
        Hub::new(hub_options(&config), Arc::clone(live), log_start, state.head, reader, queues, observer);
    let assembly = assemble(live, &records, &recorders, settings, &hub)?;
    let recorder = Arc::clone(&assembly.services.operator.recorder);
    let sender = webhooks::start_sender(&live.load(), &records, &recorders.webhooks, &hub, recorder)?;
    let writer = Writer::new(log, &hub, inbox, state.head);
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run())?;
    let operator = rooms::start(&config, live, &records, &recorders, &hub, room_inputs)?;
    watch_for_admin(Arc::clone(&assembly.accounts), records.accounts())?;
    let served = actix_rt::System::new().block_on(async {
        let server = server::start(&hub, &assembly.services, listener, config.descriptors.http_connections, mailboxes)?;
        // Before anybody can know that the server is there, and ask it to stop.
        let mut signals = StopSignals::new()?;
        announce(&assembly, &hub, address);
        let handle = server.handle();
        let serving = actix_rt::spawn(server);
        let sampling = actix_rt::spawn(stats::run(Arc::clone(&hub), stats_sources(&assembly)));
        let watching = actix_rt::spawn(watch_rights(Arc::clone(&hub), assembly.watcher()));
        let occupancy = webhooks::watch_channels(&hub, &recorders.webhooks);
        let hearing = hear_emitters(&config, &hub, &assembly).await?;
        signals.wait().await;
        drop(hearing);
        recorders.events.record(new_event(EventType::ServerStopping, "the server was asked to stop".to_owned()));
        recorders.events.end_followers();
        let drain_window = live.load().drain_window;
        drain(&hub, drain_window, &mut signals).await;
        handle.stop(true).await;
        // All end because they were stopped; how is of no interest any more.
        let _ = serving.await;
        for task in [sampling, watching, occupancy] {
            task.abort();
            let _ = task.await;
        }
        Ok::<(), std::io::Error>(())
    });
    hub.switchboard.close();
    rooms::join(operator);
    hub.writer.close();
    join_writer(writer);
    webhooks::finish_sender(sender);
    recorders.finish();
    log::info!("stopped");
    Ok(served?)
}

/// Says where the server listens, who may do what there, and how to become its operator. The one-time
/// link goes to the terminal only: it is a secret, and the log may be read by many.
fn announce(assembly: &Assembly, hub: &Hub, address: SocketAddr) {
    if assembly.openness.is_open() {
        log::warn!("open mode: whoever can reach {address} may publish and follow everything without a token");
    }
    if let Some(token) = assembly.accounts.setup.token() {
        let banner = format!(
            "\n  There is no admin yet. Make one with this link, which works once:\n\n    \
             http://{address}/setup#token={}\n\n  or with: santral create-admin\n\n",
            token.reveal()
        );
        // Nobody is left to be told when stderr is closed.
        let _ = std::io::stderr().write_all(banner.as_bytes());
    }
    assembly.services.events.record(new_event(EventType::ServerStarted, format!("node {}", hub.options.node)));
    log::info!("listening on http://{address}, node {}, epoch {}", hub.options.node, hub.log_start.epoch);
}

/// Ends the streams that follow more than they may, as soon as roles grant less or the server is closed.
async fn watch_rights(hub: Arc<Hub>, watcher: Watcher) {
    let mut was_open = watcher.openness.is_open();
    loop {
        // The server is closed by its first admin, of whom nobody rings.
        let rung = tokio::time::timeout(ADMIN_CHECK_INTERVAL, watcher.rights_changed.notified()).await.is_ok();
        let is_open = watcher.openness.is_open();
        if rung || is_open != was_open {
            rights::review(&hub, &watcher.accounts.authenticator, is_open).await;
        }
        was_open = is_open;
    }
}

/// Notices an admin whom another process has made, so that the setup is over here too. A thread of its
/// own, which nobody waits for: the database may hang while the server stops.
fn watch_for_admin(accounts: Arc<Accounts>, store: Arc<dyn AccountStore>) -> std::io::Result<()> {
    let watch = move || {
        while accounts.setup.is_open() {
            std::thread::sleep(ADMIN_CHECK_INTERVAL);
            if matches!(store.has_admin(), Ok(true)) {
                accounts.setup.finish();
            }
        }
    };
    std::thread::Builder::new().name("setup".to_owned()).spawn(watch).map(drop)
}

/// Listens to Socket.IO emitters that speak through the database, if the operator wants that.
async fn hear_emitters(
    config: &Config,
    hub: &Arc<Hub>,
    assembly: &Assembly,
) -> Result<Option<listen::Listener>, std::io::Error> {
    let namespaces = &config.socketio_emitter_namespaces;
    if namespaces.is_empty() {
        return Ok(None);
    }
    let board = store::notices(&store_options(config), listen::channels(namespaces)).map_err(std::io::Error::other)?;
    let Some(board) = board else {
        log::warn!("socketio_emitter_namespaces has no effect: only PostgreSQL passes on what emitters say");
        return Ok(None);
    };
    listen::start(board, hub, Arc::clone(&assembly.services.operator)).await.map(Some)
}

fn store_options(config: &Config) -> StoreOptions {
    StoreOptions { url: config.database_url.reveal().to_owned(), durability: config.durability, readers: READERS }
}

fn hub_options(config: &Config) -> HubOptions {
    HubOptions { node: config.node.clone(), workers: config.workers, durability: config.durability }
}

fn stats_sources(assembly: &Assembly) -> stats::Sources {
    let (openness, events) = (Arc::clone(&assembly.openness), Arc::clone(&assembly.services.events));
    stats::Sources { is_open: Box::new(move || openness.is_open()), events_lost: Box::new(move || events.lost()) }
}

/// Says goodbye to every stream over the window, and returns when none is left or a second signal comes.
async fn drain(hub: &Arc<Hub>, window: Duration, signals: &mut StopSignals) {
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
        () = signals.wait() => (),
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

/// SIGTERM and SIGINT: the wish that the server stops.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}
