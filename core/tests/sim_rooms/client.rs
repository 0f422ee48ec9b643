//! A client as an SDK in a browser would be: one stream, a room, and requests beside it.

use serde_json::Value;

use santral_core::rooms::{Joined, RoomRefusal};
use santral_schema::participants::OnDuplicate;

use crate::hub::Frame;
use crate::plan::{MILLIS, SECOND};
use crate::posts::Post;
use crate::requests::{Answer, Ask, Request, own_change};
use crate::rng::Rng;
use crate::view::View;
use crate::world::{Check, Event, World};

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    /// Nobody in particular has none.
    pub(crate) user: Option<String>,
    /// The token of its session, which it keeps over reloads.
    pub(crate) token: String,
    /// Behind the last message that it has; a page that was loaded anew has none.
    pub(crate) position: Option<usize>,
    pub(crate) is_linked: bool,
    is_connecting: bool,
    /// Counts its streams; whatever belongs to an earlier one is ignored.
    pub(crate) link_number: u64,
    /// The room that it wants to be in.
    wish: Option<usize>,
    has_host_token: bool,
    /// Its participant token, as the page keeps it over a reload, and the room.
    stored: Option<(u64, usize)>,
    pub(crate) view: Option<View>,
    /// The join that it waits for.
    pub(crate) joining: Option<(u64, usize)>,
    /// Whether the server must be asked what was lost.
    pub(crate) must_resume: bool,
    /// What came before the answer to a join.
    pub(crate) early: Vec<(String, Value)>,
    pub(crate) posts: Vec<Post>,
    /// Closed without a word, for good.
    pub(crate) is_vanished: bool,
    closed_page: bool,
    lost_resume: bool,
}

impl Client {
    pub(crate) fn draw(index: usize, rng: &mut Rng) -> Self {
        let same = if index > 0 && rng.percent(20) { index - 1 } else { index };
        Self {
            user: rng.percent(75).then(|| format!("u{same}")),
            token: rng.token(22),
            position: None,
            is_linked: false,
            is_connecting: false,
            link_number: 0,
            wish: Some(usize::from(rng.percent(25))),
            has_host_token: rng.percent(35),
            stored: None,
            view: None,
            joining: None,
            must_resume: false,
            early: Vec::new(),
            posts: Vec::new(),
            is_vanished: false,
            closed_page: false,
            lost_resume: false,
        }
    }

    /// It is in the room no longer.
    pub(crate) fn forget_room(&mut self) {
        (self.view, self.stored, self.joining) = (None, None, None);
        self.must_resume = false;
        self.early.clear();
        self.posts.clear();
    }
}

impl World {
    pub(crate) fn on_act(&mut self, client: usize) -> Check {
        let pause = if self.calm { 100 * MILLIS } else { self.plan.act_pause };
        let pause = self.rng.between(pause / 2, pause);
        self.after(pause, Event::Act(client));
        let (calm, plan) = (self.calm, self.plan.clone());
        let actor = &mut self.clients[client];
        if actor.is_vanished {
            return Ok(());
        }
        if !actor.is_linked {
            if !actor.is_connecting && (calm || self.rng.percent(60)) {
                self.connect(client);
            }
            return Ok(());
        }
        if !calm && self.rng.percent(plan.cuts) {
            self.cut(client);
            return Ok(());
        }
        if actor.joining.is_some() {
            return Ok(());
        }
        if actor.must_resume || actor.view.is_none() {
            self.act_outside(client);
            return Ok(());
        }
        if !calm && self.rng.percent(plan.reloads) {
            self.reload(client, false);
        } else if !calm && self.rng.percent(plan.vanishes) {
            self.reload(client, true);
        } else if !calm && self.rng.percent(plan.leaves) {
            self.ask(client, Ask::Leave { is_closing: false });
            self.clients[client].forget_room();
        } else if !self.quiet && self.rng.percent(plan.signals) {
            self.say_something(client);
        } else if !self.quiet && self.rng.percent(6) {
            let number = self.fresh();
            self.ask(client, Ask::Change(own_change(number)));
        } else if !self.still && self.rng.percent(10) {
            self.ask(client, Ask::Quality);
        }
        Ok(())
    }

    fn act_outside(&mut self, client: usize) {
        let (calm, duplicates) = (self.calm, self.plan.duplicates);
        let changes_mind = self.rng.percent(10);
        let actor = &mut self.clients[client];
        if actor.wish.is_none() && changes_mind && !self.quiet {
            actor.wish = Some(self.rng.index(2));
        }
        let Some(room) = actor.stored.map(|(_, room)| room).or(actor.wish) else { return };
        let on_duplicate = match self.rng.percent(duplicates) {
            true => self.rng.pick(&[OnDuplicate::Replace, OnDuplicate::Reject]),
            false => OnDuplicate::Allow,
        };
        let actor = &mut self.clients[client];
        let seen = actor.view.as_ref().map(|view| (view.last, view.epoch.clone()));
        let resume = actor.stored.map(|(token, _)| token);
        let with_host = actor.has_host_token;
        let ask = Ask::Join { resume, seen, with_host, on_duplicate };
        actor.must_resume = false;
        if actor.view.is_none() {
            // A page that joins has nothing from before.
            actor.early.clear();
        }
        let id = self.send(client, room, resume.unwrap_or(0), ask);
        self.clients[client].joining = Some((id, room));
        let patience = if calm { SECOND } else { 2 * SECOND };
        self.after(patience, Event::Patience(client, id));
    }

    fn connect(&mut self, client: usize) {
        let way = self.way();
        let actor = &mut self.clients[client];
        actor.is_connecting = true;
        actor.link_number += 1;
        let number = actor.link_number;
        self.soon(way, Event::Connect(client, number));
        // The request for the stream may get lost as well.
        self.after(2 * SECOND, Event::Patience(client, u64::MAX - number));
    }

    pub(crate) fn on_frame(&mut self, client: usize, number: u64, frame: Frame) -> Check {
        let taker = &mut self.clients[client];
        if taker.link_number != number {
            return Ok(());
        }
        match frame {
            Frame::Hello { recovered, start } => {
                (taker.is_linked, taker.is_connecting) = (true, false);
                taker.position = Some(start);
                if !recovered && (taker.view.is_some() || taker.stored.is_some()) {
                    // What came on the stream before goes on nowhere.
                    taker.early.clear();
                    taker.must_resume = true;
                }
                Ok(())
            }
            Frame::Message(publication, position) => {
                taker.position = Some(position);
                self.take_message(client, &publication)
            }
        }
    }

    /// The page is loaded anew, or closed for good. Some say so, some do not get the chance.
    fn reload(&mut self, client: usize, for_good: bool) {
        if self.rng.percent(50) {
            self.ask(client, Ask::Leave { is_closing: true });
            self.clients[client].closed_page = true;
        }
        self.cut(client);
        let actor = &mut self.clients[client];
        let stored = actor.stored;
        actor.forget_room();
        (actor.stored, actor.must_resume) = (stored, stored.is_some());
        (actor.position, actor.is_connecting, actor.is_vanished) = (None, false, for_good);
    }

    /// Asks for something in the room that the client is in.
    pub(crate) fn ask(&mut self, client: usize, ask: Ask) -> u64 {
        let Some(view) = &self.clients[client].view else { return 0 };
        let (room, token) = (view.room, view.token);
        self.send(client, room, token, ask)
    }

    fn send(&mut self, client: usize, room: usize, token: u64, ask: Ask) -> u64 {
        let id = self.fresh();
        let session = self.clients[client].token.clone();
        let way = self.way();
        self.soon(way, Event::Arrive(Box::new(Request { id, client, session, room, token, ask })));
        id
    }

    pub(crate) fn on_patience(&mut self, client: usize, id: u64) {
        let actor = &mut self.clients[client];
        if id == u64::MAX - actor.link_number {
            actor.is_connecting = false;
        }
        if actor.joining.is_some_and(|(joining, _)| joining == id) {
            actor.joining = None;
            actor.must_resume = actor.view.is_some() || actor.stored.is_some();
            actor.lost_resume = actor.must_resume;
        }
        self.post_again(client, id);
    }

    pub(crate) fn on_answer(&mut self, client: usize, id: u64, answer: Answer) -> Check {
        let asker = &mut self.clients[client];
        if let Some((_, room)) = asker.joining.filter(|(joining, _)| *joining == id) {
            asker.joining = None;
            return match answer {
                Answer::Joined(joined, token) => self.come_in(client, room, &joined, token),
                Answer::Refused(refusal) => {
                    self.stay_out(client, &refusal);
                    Ok(())
                }
                Answer::Fates(_) | Answer::Done => Err("an answer to something else".to_owned()),
            };
        }
        if asker.posts.iter().any(|post| post.id == id) {
            self.on_post_answer(client, id, answer);
            return Ok(());
        }
        // How most clients learn that they are out: something that they do is refused.
        if let Answer::Refused(refusal) = answer
            && asker.joining.is_none()
        {
            self.take_refusal(client, &refusal);
        }
        Ok(())
    }

    /// What a refusal says of being in the room.
    pub(crate) fn take_refusal(&mut self, client: usize, refusal: &RoomRefusal) {
        let asker = &mut self.clients[client];
        match refusal {
            RoomRefusal::Left(_) | RoomRefusal::BadToken | RoomRefusal::Closed(_) | RoomRefusal::Superseded
                if asker.view.is_some() =>
            {
                // Perhaps an earlier token's; the seat may be there.
                asker.must_resume = true;
            }
            _other => (),
        }
    }

    fn come_in(&mut self, client: usize, room: usize, joined: &Joined, token: u64) -> Check {
        let now = self.now;
        let comer = &mut self.clients[client];
        let (was_closed, was_lost) = (std::mem::take(&mut comer.closed_page), std::mem::take(&mut comer.lost_resume));
        comer.stored = Some((token, room));
        match &mut comer.view {
            Some(view) if joined.already && !joined.resync => {
                view.token = token;
                view.awaits_replay = true;
            }
            earlier => {
                *earlier = Some(View::of(room, joined, token, now));
                comer.posts.clear();
            }
        }
        if joined.already && was_closed {
            self.note("a page is closed and comes back");
        }
        if joined.already && was_lost {
            self.note("a resume whose answer was lost");
        }
        if !self.clients[client].must_resume {
            self.take_early(client)?;
        }
        Ok(())
    }

    fn stay_out(&mut self, client: usize, refusal: &RoomRefusal) {
        let asker = &mut self.clients[client];
        asker.forget_room();
        match refusal {
            RoomRefusal::NoEventStream | RoomRefusal::Full { .. } => (),
            _other => asker.wish = None,
        }
    }
}
