//! Clients that listen for the whole test, come back when they are cut, and keep a record.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::transports::{Link, Step, Transport};

/// What is tried, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// A message arrives at once, alone.
    First,
    /// Ten thousand messages in one go.
    Burst,
    /// The proxy reloads its configuration.
    Reload,
    /// Nothing happens for longer than two of the usual timeouts.
    Silence,
    /// The server stops and starts again.
    Restart,
}

impl Case {
    pub(super) const ALL: [Self; 5] = [Self::First, Self::Burst, Self::Reload, Self::Silence, Self::Restart];

    /// As it stands in the matrix.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::First => "first message at once",
            Self::Burst => "10,000 messages",
            Self::Reload => "reload of the proxy",
            Self::Silence => "130 s of silence",
            Self::Restart => "restart of the server",
        }
    }
}

/// What one follower has seen.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Position and data of each message.
    pub(super) messages: Vec<(String, String)>,
    /// In which case a connection did not open or ended, and why.
    pub(super) breaks: Vec<(Case, String)>,
    /// In which cases the server could not go on where the client was, and told it.
    pub(super) refetched: Vec<Case>,
    /// How often it opened.
    pub(super) opened: usize,
}

impl Record {
    /// It never opened, and not for want of trying.
    pub(super) fn is_hopeless(&self) -> bool {
        self.opened == 0 && self.breaks.len() >= ATTEMPTS
    }

    /// What the matrix says of a case.
    pub(super) fn verdict(&self, case: Case) -> String {
        if self.is_hopeless() {
            let why = self.breaks.first().filter(|(of, _)| *of == case).map(|(_, why)| format!(": {why}"));
            return format!("no{}", why.unwrap_or_default());
        }
        if self.refetched.contains(&case) {
            return "read again".to_owned();
        }
        let has_broken = self.breaks.iter().any(|(of, _)| *of == case);
        if has_broken { "resumed".to_owned() } else { "yes".to_owned() }
    }
}

/// A client on a thread of its own.
pub(super) struct Follower {
    pub(super) name: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    case: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no follower panics while it writes")
    }

    fn case(&self) -> Case {
        Case::ALL[self.case.load(Ordering::SeqCst)]
    }

    fn note(&self, why: String) {
        let case = self.case();
        self.record().breaks.push((case, why));
    }
}

impl Follower {
    /// Listens by way of a proxy.
    pub(super) fn start(name: String, transport: &'static dyn Transport, address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || follow(transport, address, &for_thread));
        Self { name, shared, thread: Some(thread) }
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record()
    }

    /// From now on breaks belong to this case.
    pub(super) fn enter(&self, case: Case) {
        let index = Case::ALL.iter().position(|one| *one == case).expect("every case is listed");
        self.shared.case.store(index, Ordering::SeqCst);
    }

    /// Tells it to end soon; dropping it waits for that.
    pub(super) fn dismiss(&self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.dismiss();
        if let Some(thread) = self.thread.take() {
            // Its panic would have shown in its record; a second one would hide it.
            let _ = thread.join();
        }
    }
}

fn follow(transport: &dyn Transport, address: SocketAddr, shared: &Shared) {
    let mut position = None;
    let mut link: Option<Box<dyn Link>> = None;
    while !shared.is_over.load(Ordering::SeqCst) && !shared.record().is_hopeless() {
        let Some(open) = &mut link else {
            match transport.open(address, position.as_deref()) {
                Ok(opened) => {
                    if !opened.is_resumed() {
                        shared.record().refetched.push(shared.case());
                    }
                    position = position.or_else(|| opened.position());
                    link = Some(opened);
                    shared.record().opened += 1;
                }
                Err(why) => {
                    shared.note(why);
                    std::thread::sleep(BEFORE_THE_NEXT_ATTEMPT);
                }
            }
            continue;
        };
        match open.next(Instant::now() + BEFORE_THE_NEXT_LOOK) {
            Step::Message(id, data) => {
                position = open.position();
                shared.record().messages.push((id, data));
            }
            Step::Nothing => {}
            Step::End(why) => {
                shared.note(why);
                link = None;
            }
        }
    }
}

/// Whoever fails so often before it ever opened is not let through at all.
const ATTEMPTS: usize = 5;

const BEFORE_THE_NEXT_ATTEMPT: Duration = Duration::from_millis(200);

/// How soon a follower sees that the test is over.
const BEFORE_THE_NEXT_LOOK: Duration = Duration::from_millis(500);
