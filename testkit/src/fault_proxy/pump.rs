//! One proxied connection: two pumps, one per direction, each obeying the connection's fault.
//!
//! A pump holds what it has read in a short queue, so that a delay shifts bytes in time without
//! thinning the flow. Every wait of it also waits for a change of the fault.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::fault_proxy::{Cut, Direction, Fault, Shared};

/// Why a connection ends before both sides have closed it.
#[derive(Debug, Clone, Copy)]
enum End {
    /// A fault says so.
    Fault(Cut),
    /// One side has reset it, and so must the other.
    Broken,
}

/// Serves a connection until it ends.
pub(super) async fn connect_and_forward(
    mut client: TcpStream,
    target: SocketAddr,
    faults: watch::Receiver<Fault>,
    shared: &Shared,
) {
    let at_start = *faults.borrow();
    if let Fault::Cut(cut) = at_start {
        shared.cuts.fetch_add(1, Ordering::Relaxed);
        return end_one(client, cut).await;
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return end_one(client, Cut::Reset).await;
    };
    // Without this the kernel would gather small writes, a delay nobody asked for. It fails
    // only when the peer is gone already, which the pumps will notice.
    let _ = client.set_nodelay(true).and(server.set_nodelay(true));
    let result = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = Flow { direction: Direction::ToServer, count: &shared.bytes_to_server };
        let down = Flow { direction: Direction::ToClient, count: &shared.bytes_to_client };
        tokio::try_join!(pump(from_client, to_server, up, faults.clone()), pump(from_server, to_client, down, faults),)
    };
    let cut = match result {
        Ok(_) => return,
        Err(End::Broken) => Cut::Reset,
        Err(End::Fault(cut)) => {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
            cut
        }
    };
    end_one(client, cut).await;
    end_one(server, cut).await;
}

/// Ends one side. Where the proxy has left bytes unread the kernel sends a reset behind the FIN,
/// as it does for any program that closes early; readers still see the orderly end.
async fn end_one(mut stream: TcpStream, cut: Cut) {
    // Errors mean that the peer was faster.
    let _ = match cut {
        Cut::Reset => stream.set_zero_linger(),
        Cut::Close => stream.shutdown().await,
    };
}

/// One direction of a connection and where its bytes are counted.
struct Flow<'a> {
    direction: Direction,
    count: &'a AtomicU64,
}

/// What the fault in force means to one direction.
#[derive(Debug, Clone, Copy)]
struct Plan {
    is_stalled: bool,
    delay: Duration,
    write_bytes_max: usize,
    pause: Duration,
    truncate: Option<(u64, Cut)>,
}

impl Plan {
    fn new(fault: Fault, flow: Direction) -> Self {
        let free = Self {
            is_stalled: false,
            delay: Duration::ZERO,
            write_bytes_max: usize::MAX,
            pause: Duration::ZERO,
            truncate: None,
        };
        let applies = |direction| direction == flow || direction == Direction::Both;
        match fault {
            Fault::Stall(direction) if applies(direction) => Self { is_stalled: true, ..free },
            Fault::Delay { direction, by } if applies(direction) => Self { delay: by, ..free },
            Fault::SlowBytes { direction, bytes, every } if applies(direction) => {
                Self { write_bytes_max: bytes.max(1), pause: every, ..free }
            }
            Fault::Truncate { direction, after, cut } if applies(direction) => {
                Self { truncate: Some((after, cut)), ..free }
            }
            Fault::None
            | Fault::Cut(_)
            | Fault::HalfOpen
            | Fault::Stall(_)
            | Fault::Delay { .. }
            | Fault::SlowBytes { .. }
            | Fault::Truncate { .. } => free,
        }
    }

    /// How many bytes may be written at once now.
    fn allowance(&self) -> usize {
        let left = self.truncate.map_or(u64::MAX, |(left, _)| left);
        self.write_bytes_max.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Counts bytes that were written; the error is the end of a truncated connection.
    fn spend(&mut self, count: usize) -> Result<(), End> {
        if let Some((left, _)) = &mut self.truncate {
            *left -= count as u64;
        }
        self.check()
    }

    fn check(&self) -> Result<(), End> {
        match self.truncate {
            Some((0, cut)) => Err(End::Fault(cut)),
            Some(_) | None => Ok(()),
        }
    }
}

/// Bytes read and not yet written; an empty piece is the end of the flow.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    has_end: bool,
}

impl Queue {
    fn push(&mut self, due: Instant, piece: &[u8]) {
        self.bytes += piece.len();
        self.has_end |= piece.is_empty();
        self.pieces.push_back((due, piece.to_vec()));
    }

    fn due(&self) -> Option<Instant> {
        self.pieces.front().map(|(due, _)| *due)
    }

    fn front(&self, at_most: usize) -> &[u8] {
        let piece = self.pieces.front().map_or(&[][..], |(_, piece)| piece);
        &piece[..piece.len().min(at_most)]
    }

    fn is_at_end(&self) -> bool {
        self.pieces.front().is_some_and(|(_, piece)| piece.is_empty())
    }

    fn advance(&mut self, count: usize) {
        self.bytes -= count;
        let Some((_, piece)) = self.pieces.front_mut() else {
            return;
        };
        piece.drain(..count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
    }

    fn has_room(&self) -> bool {
        self.bytes < QUEUE_BYTES_MAX && !self.has_end
    }
}

/// Forwards one direction until its end has been passed on.
async fn pump(
    mut reader: ReadHalf<'_>,
    mut writer: WriteHalf<'_>,
    flow: Flow<'_>,
    mut faults: watch::Receiver<Fault>,
) -> Result<(), End> {
    let mut queue = Queue::default();
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut plan = next_plan(&mut faults, flow.direction).await?;
    let mut not_before = Instant::now();
    loop {
        let now = Instant::now();
        let due = queue.due().map(|due| due.max(not_before)).filter(|_| !plan.is_stalled);
        let is_due = due.is_some_and(|due| due <= now);
        if is_due && queue.is_at_end() {
            // A failed shutdown means that the receiver is gone; the other pump will see it.
            let _ = writer.shutdown().await;
            return Ok(());
        }
        tokio::select! {
            // The fault first: a cut shall not let one more byte through.
            biased;
            changed = faults.changed() => {
                changed.map_err(|_| End::Broken)?;
                plan = next_plan(&mut faults, flow.direction).await?;
            }
            () = sleep_until(due.unwrap_or(now)), if due.is_some() && !is_due => {}
            written = writer.write(queue.front(plan.allowance())), if is_due => {
                let count = written.map_err(broken)?;
                flow.count.fetch_add(count as u64, Ordering::Relaxed);
                queue.advance(count);
                plan.spend(count)?;
                not_before = Instant::now() + plan.pause;
            }
            read = reader.read(&mut buffer), if !plan.is_stalled && queue.has_room() => {
                let count = read.map_err(broken)?;
                queue.push(Instant::now() + plan.delay, &buffer[..count]);
            }
        }
    }
}

/// What to do under the fault now in force. Under `HalfOpen` this waits for the only way out.
async fn next_plan(faults: &mut watch::Receiver<Fault>, flow: Direction) -> Result<Plan, End> {
    let fault = *faults.borrow_and_update();
    if fault == Fault::HalfOpen {
        let is_cut = |fault: &Fault| matches!(fault, Fault::Cut(_));
        faults.wait_for(is_cut).await.map_err(|_| End::Broken)?;
    }
    let fault = *faults.borrow_and_update();
    if let Fault::Cut(cut) = fault {
        return Err(End::Fault(cut));
    }
    let plan = Plan::new(fault, flow);
    plan.check()?;
    Ok(plan)
}

fn broken(_: io::Error) -> End {
    End::Broken
}

const READ_BYTES_MAX: usize = 16 * 1024;
const QUEUE_BYTES_MAX: usize = 256 * 1024;
