//! A TCP proxy on loopback that breaks connections on purpose.
//!
//! It stands between a client and a server under test and forwards bytes until told otherwise.
//! Faults can be switched while it runs: for all connections, for new ones, for a single one, or
//! by a seeded random script per connection ([`Chaos`]). It lives on a thread with a runtime of
//! its own, so blocking tests can use it. What happens to the bytes is in `pump.rs`.
//!
//! A proxy cannot lose IP packets. A peer that has vanished from the network is imitated by one
//! that acknowledges nothing more at the application: its receive window fills and stays full.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use chaos::{Chaos, Step};

mod chaos;
mod pump;

/// What is done to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Bytes are forwarded as they come.
    None,
    /// Both sides are ended at once; a new connection is ended before it reaches the server.
    Cut(Cut),
    /// Nothing is read in this direction, so the sender's window fills. Lasts until changed.
    Stall(Direction),
    /// Each byte arrives this much later.
    Delay {
        /// Which bytes.
        direction: Direction,
        /// How much later.
        by: Duration,
    },
    /// One side has vanished: nothing is forwarded any more, and no end of either side is passed
    /// on. The connection stays so, also after [`FaultProxy::heal`], until a `Cut` or the
    /// proxy's end.
    HalfOpen,
    /// Only so many bytes go through at a time.
    SlowBytes {
        /// Which bytes.
        direction: Direction,
        /// How many at a time, at least 1.
        bytes: usize,
        /// How long until the next ones.
        every: Duration,
    },
    /// The connection is cut after so many more bytes, counted from the moment the fault is set.
    Truncate {
        /// Which bytes are counted. With `Both`, each direction counts for itself.
        direction: Direction,
        /// How many still go through.
        after: u64,
        /// How the connection ends then.
        cut: Cut,
    },
}

/// How a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// A TCP reset (SO_LINGER 0); bytes under way are lost.
    Reset,
    /// An orderly end (FIN) to both sides.
    Close,
}

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both ways.
    Both,
}

/// Counts since the proxy was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that are open now.
    pub open: usize,
    /// Bytes forwarded from clients to the server.
    pub bytes_to_server: u64,
    /// Bytes forwarded from the server to clients.
    pub bytes_to_client: u64,
    /// Connections ended by a fault.
    pub cuts: u64,
}

/// The proxy. Dropping it ends its thread and all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no port, thread or runtime to be had.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(target));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("fault-proxy".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                // Stopping drops the accept loop and with it every connection.
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, for_thread) => {}
                }
            });
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends connections accepted from now on elsewhere, as after a server's move.
    pub fn set_target(&self, target: SocketAddr) {
        self.shared.registry().target = target;
    }

    /// Sets the fault of all connections, those open now and those to come.
    pub fn set_fault(&self, fault: Fault) {
        let mut registry = self.shared.registry();
        registry.fault_for_new = fault;
        for connection in registry.connections.values() {
            connection.send_replace(fault);
        }
    }

    /// Sets the fault of connections accepted from now on.
    pub fn set_fault_for_new(&self, fault: Fault) {
        self.shared.registry().fault_for_new = fault;
    }

    /// Sets the fault of one connection; false when it is gone.
    pub fn set_fault_of(&self, connection: u64, fault: Fault) -> bool {
        let registry = self.shared.registry();
        let found = registry.connections.get(&connection);
        found.is_some_and(|sender| sender.send(fault).is_ok())
    }

    /// Cuts what is open now; connections to come are left as they were to be.
    pub fn cut_open(&self, cut: Cut) {
        for connection in self.shared.registry().connections.values() {
            connection.send_replace(Fault::Cut(cut));
        }
    }

    /// Takes all faults away, and the chaos; a half-open connection stays half-open.
    pub fn heal(&self) {
        self.shared.registry().chaos = None;
        self.set_fault(Fault::None);
    }

    /// Gives every connection accepted from now on a random fault at a random moment.
    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        let mut registry = self.shared.registry();
        registry.chaos = chaos.map(|chaos| (chaos, 0));
    }

    /// The numbers of the open connections, oldest first; the first ever has number 1.
    #[must_use]
    pub fn connections(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.shared.registry().connections.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Waits until exactly so many connections are open; false when that takes longer.
    pub fn wait_for_connections(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.shared.registry().connections.len() != count {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        let registry = self.shared.registry();
        ProxyStats {
            accepted: registry.accepted,
            open: registry.connections.len(),
            bytes_to_server: self.shared.bytes_to_server.load(Ordering::Relaxed),
            bytes_to_client: self.shared.bytes_to_client.load(Ordering::Relaxed),
            cuts: self.shared.cuts.load(Ordering::Relaxed),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself; either way there is nothing left to stop.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the test's threads and the proxy's thread share.
#[derive(Debug)]
struct Shared {
    registry: Mutex<Registry>,
    bytes_to_server: AtomicU64,
    bytes_to_client: AtomicU64,
    cuts: AtomicU64,
}

#[derive(Debug)]
struct Registry {
    target: SocketAddr,
    fault_for_new: Fault,
    /// The chaos, and how many connections it has had.
    chaos: Option<(Chaos, u64)>,
    connections: HashMap<u64, watch::Sender<Fault>>,
    accepted: u64,
}

/// What a connection is given when it is accepted.
struct Admission {
    number: u64,
    target: SocketAddr,
    faults: watch::Sender<Fault>,
    script: Vec<Step>,
}

impl Shared {
    fn new(target: SocketAddr) -> Self {
        let registry =
            Registry { target, fault_for_new: Fault::None, chaos: None, connections: HashMap::new(), accepted: 0 };
        Self {
            registry: Mutex::new(registry),
            bytes_to_server: AtomicU64::new(0),
            bytes_to_client: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("nothing panics while it holds the registry")
    }

    fn admit(&self) -> Admission {
        let mut registry = self.registry();
        registry.accepted += 1;
        let number = registry.accepted;
        let script = match &mut registry.chaos {
            None => Vec::new(),
            Some((chaos, count)) => {
                *count += 1;
                chaos.script(*count - 1)
            }
        };
        let faults = watch::Sender::new(registry.fault_for_new);
        registry.connections.insert(number, faults.clone());
        Admission { number, target: registry.target, faults, script }
    }

    fn forget(&self, number: u64) {
        self.registry().connections.remove(&number);
    }
}

/// Accepts for ever; owns the connections' tasks.
async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors: the next accept may do better, after others had a turn.
                let Ok((client, _)) = accepted else {
                    tokio::time::sleep(POLL_INTERVAL).await;
                    continue;
                };
                tasks.spawn(serve(client, shared.admit(), Arc::clone(&shared)));
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn serve(client: TcpStream, admission: Admission, shared: Arc<Shared>) {
    let number = admission.number;
    let script = run_script(admission.script, admission.faults.clone());
    let faults = admission.faults.subscribe();
    tokio::select! {
        () = pump::connect_and_forward(client, admission.target, faults, &shared) => {}
        () = script => {}
    }
    shared.forget(number);
}

/// Sets the faults of a script in turn, then leaves the connection as it is.
async fn run_script(script: Vec<Step>, faults: watch::Sender<Fault>) {
    for step in script {
        tokio::time::sleep(step.after).await;
        faults.send_replace(step.fault);
    }
    std::future::pending().await
}

const POLL_INTERVAL: Duration = Duration::from_millis(2);
