//! One shard with its mailbox and timers, as the hub's thread runs it.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use santral_core::entry::{Entry, Publication};
use santral_core::names::ConnectionId;
use santral_core::position::{Epoch, Offset};
use santral_core::session::SessionKey;
use santral_core::shard::{Effect, Links, PageRequest, Progress, Shard, ShardConfig, Written};
use santral_core::time::Moment;
use santral_schema::reason::DisconnectReason;

use crate::engine::{Engine, Step};
use crate::line::Line;
use crate::plan::{Micros, Plan};
use crate::world::{Check, Event, World};

/// A page of the log: entries, how far it reaches, what retention had removed.
pub(crate) type Page = (Vec<Arc<Entry>>, Offset, Offset);

/// Something that waits for a shard, first come, first served.
#[derive(Debug)]
pub(crate) enum Mail {
    Message(u64, Arc<Entry>),
    Direct(ConnectionId, u64, Publication),
    Trimmed(Offset),
}

/// What links tell their shard.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Notice {
    Writable(SessionKey),
    Down(SessionKey, DisconnectReason),
    Heard(usize),
}

/// An answer to CONNECT that comes behind what the client has missed.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) engine: usize,
    pub(crate) session: SessionKey,
    pub(crate) missed_to: Offset,
    pub(crate) packets: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) shard: Shard,
    mailbox: VecDeque<Mail>,
    mail_at: Micros,
    wake_at: Option<Micros>,
    /// The connection of each session that has one.
    pub(crate) by_session: BTreeMap<SessionKey, usize>,
    pub(crate) engines: Vec<usize>,
    pub(crate) notices: VecDeque<Notice>,
    pub(crate) late: Vec<Late>,
}

impl Host {
    pub(crate) fn new(now: Moment, plan: &Plan) -> Self {
        let mut config = ShardConfig::new(Epoch(1), 0, 0);
        config.grace = Duration::from_micros(plan.grace);
        config.ring_entries_max = plan.ring_entries_max;
        Self {
            shard: Shard::new(now, config),
            mailbox: VecDeque::new(),
            mail_at: 0,
            wake_at: None,
            by_session: BTreeMap::new(),
            engines: Vec::new(),
            notices: VecDeque::new(),
            late: Vec::new(),
        }
    }
}

/// The links of one shard, for the time of one slice.
struct ShardLinks<'a> {
    engines: &'a mut [Option<Engine>],
    lines: &'a mut [Line],
    by_session: &'a BTreeMap<SessionKey, usize>,
    step: Step,
    touched: Vec<usize>,
    largest: usize,
    fault: Option<String>,
}

impl Links for ShardLinks<'_> {
    fn write(&mut self, session: SessionKey, frames: &[IoSlice<'_>]) -> Written {
        let Some(&index) = self.by_session.get(&session) else {
            self.fault = Some(format!("a write to {session:?}, which has no link"));
            return Written::Gone;
        };
        let Some(engine) = self.engines[index].as_mut() else { return Written::Gone };
        self.largest = frames.iter().map(|frame| frame.len()).max().unwrap_or(0).max(self.largest);
        self.touched.push(index);
        engine.write(self.lines, self.step, session, frames)
    }
}

impl World {
    /// Hands something to a shard, behind everything that was handed to it before.
    pub(crate) fn mail(&mut self, host: usize, mail: Mail) {
        let delay = self.rng.below(self.plan.mail_delay + 1);
        let due = (self.now + delay).max(self.hosts[host].mail_at);
        self.hosts[host].mail_at = due;
        self.hosts[host].mailbox.push_back(mail);
        self.after(due - self.now, Event::Mail(host));
    }

    pub(crate) fn on_mail(&mut self, host: usize) -> Check {
        let (now, at) = (self.now, self.timestamp());
        let Host { shard, mailbox, .. } = &mut self.hosts[host];
        match mailbox.pop_front() {
            Some(Mail::Message(uid, entry)) => {
                shard.publish(&entry);
                self.facts.messages[usize::try_from(uid).expect("an index")].taken.insert(host, now);
            }
            Some(Mail::Direct(connection, uid, publication)) => {
                let is_taken = shard.send_direct(connection, at, Arc::new(publication)).is_some();
                if is_taken {
                    let stay = self.facts.stays.get_mut(connection.as_str()).ok_or("a direct message to nobody")?;
                    stay.directs.push(uid);
                }
            }
            Some(Mail::Trimmed(upto)) => shard.log_trimmed(upto),
            None => (),
        }
        self.wake_soon(host);
        Ok(())
    }

    pub(crate) fn wake_soon(&mut self, host: usize) {
        let delay = self.rng.below(300);
        self.wake(host, delay);
    }

    fn wake(&mut self, host: usize, delay: Micros) {
        let when = self.now + delay;
        if self.hosts[host].wake_at.is_none_or(|earlier| earlier > when) {
            self.hosts[host].wake_at = Some(when);
            self.after(delay, Event::Wake(host, when));
        }
    }

    /// One turn of the shard's loop.
    pub(crate) fn on_wake(&mut self, host: usize, when: Micros) -> Check {
        if self.hosts[host].wake_at != Some(when) {
            return Ok(());
        }
        self.hosts[host].wake_at = None;
        self.take_notices(host)?;
        let now = self.moment();
        self.hosts[host].shard.handle_timeout(now);
        self.fire_engines(host)?;
        self.carry_out_effects(host)?;
        let progress = self.run_slice(host)?;
        self.carry_out_effects(host)?;
        if progress == Progress::More || !self.hosts[host].notices.is_empty() {
            self.wake_soon(host);
            return Ok(());
        }
        let engines =
            self.hosts[host].engines.iter().filter_map(|&engine| self.engines[engine].as_ref()?.next_timeout());
        let next = engines.chain(self.hosts[host].shard.next_timeout()).min();
        if let Some(next) = next {
            if next <= now {
                return Err("a shard is idle although something is due".to_owned());
            }
            self.wake(host, next.0 - self.now);
        }
        Ok(())
    }

    pub(crate) fn take_notices(&mut self, host: usize) -> Check {
        for notice in std::mem::take(&mut self.hosts[host].notices) {
            match notice {
                Notice::Writable(session) => self.hosts[host].shard.writable(session),
                Notice::Down(session, reason) => {
                    let now = self.moment();
                    if let Some(engine) = self.hosts[host].by_session.remove(&session) {
                        self.forget_socket(engine, session);
                    }
                    self.hosts[host].shard.link_down(now, session, reason);
                    self.carry_out_effects(host)?;
                }
                Notice::Heard(engine) => self.serve(engine)?,
            }
        }
        Ok(())
    }

    fn run_slice(&mut self, host: usize) -> Result<Progress, String> {
        let step = self.step_now();
        let Host { shard, by_session, .. } = &mut self.hosts[host];
        let mut links = ShardLinks {
            engines: &mut self.engines,
            lines: &mut self.lines,
            by_session,
            step,
            touched: Vec::new(),
            largest: self.largest_frame,
            fault: None,
        };
        let progress = shard.run_slice(step.now, &mut links);
        let ShardLinks { touched, largest, fault, .. } = links;
        self.largest_frame = largest;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let slow = self.rng.below(2_000);
        self.hosts[host].shard.slice_ended(Moment(self.now + slow));
        for engine in touched {
            self.settle(engine)?;
        }
        self.answer_late(host)?;
        Ok(progress)
    }

    /// Tells those that they have joined who came back and have now what they missed.
    fn answer_late(&mut self, host: usize) -> Check {
        for late in std::mem::take(&mut self.hosts[host].late) {
            let view = self.hosts[host].shard.view(late.session).filter(|view| view.is_linked());
            let Some(view) = view else { continue };
            if !view.has_sent(late.missed_to) {
                self.hosts[host].late.push(late);
                continue;
            }
            if let Some(engine) = self.engines[late.engine].as_mut() {
                engine.connection.send(&late.packets);
            }
            self.settle(late.engine)?;
        }
        Ok(())
    }

    pub(crate) fn carry_out_effects(&mut self, host: usize) -> Check {
        while let Some(effect) = self.hosts[host].shard.poll_effect() {
            match effect {
                Effect::ReadPage(request) => {
                    let delay = self.plan.page_delay;
                    self.soon(delay, Event::PageSnapshot(host, request));
                }
                Effect::Close { session, farewell: _, reason } => {
                    let engine = self.hosts[host].by_session.remove(&session);
                    let engine = engine.ok_or("INV-5: a close for a session without a link")?;
                    self.end_socket(engine, session, reason)?;
                }
                Effect::Presence(_) | Effect::SessionEnded { .. } => (),
                Effect::ConnectionEnded { connection, .. } => {
                    let stay = self.facts.stays.get_mut(connection.as_str()).ok_or("an end of nobody")?;
                    stay.ended += 1;
                    if stay.ended > stay.attached {
                        return Err(format!("INV-8: connection {connection:?} has ended twice"));
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn on_page_snapshot(&mut self, host: usize, request: PageRequest) -> Check {
        let failed = !self.calm && self.rng.percent(self.plan.page_failures);
        let page = (!failed).then(|| self.read_page(&request));
        let delay = self.plan.page_delay;
        self.soon(delay, Event::PageAnswer(host, request.session, page));
        Ok(())
    }

    fn read_page(&self, request: &PageRequest) -> Page {
        let wanted = |entry: &&Arc<Entry>| {
            request.selectors.iter().any(|selector| selector.matches(&entry.publication().channel))
        };
        let range = self.facts.entries.range(request.after + 1..request.upto.max(request.after) + 1);
        let found = range.map(|(_, entry)| entry).filter(wanted).take(self.plan.page_entries_max);
        let entries: Vec<_> = found.cloned().collect();
        let is_full = entries.len() == self.plan.page_entries_max;
        let last = entries.last().and_then(|entry| entry.offset()).filter(|_| is_full);
        (entries, last.unwrap_or(request.upto), self.facts.trimmed_to)
    }

    pub(crate) fn on_page_answer(&mut self, host: usize, session: SessionKey, page: Option<Page>) -> Check {
        let now = self.moment();
        self.hosts[host].shard.page_read(now, session, page);
        self.carry_out_effects(host)?;
        self.wake_soon(host);
        Ok(())
    }
}
