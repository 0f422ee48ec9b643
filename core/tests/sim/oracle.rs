//! What must be true of every stream, checked frame by frame as it arrives (INV-2, INV-3, INV-5).

use serde_json::Value;
use serde_json::value::RawValue;

use santral_core::format::Format;
use santral_core::names::{ChannelName, ConnectionId};
use santral_core::position::{Offset, Position, ResumeFrom};
use santral_testkit::sse::Event;

use crate::client::{Client, Interval, View};
use crate::facts::{Fact, Facts, Kind};
use crate::network::uid_in;

type Check = Result<(), String>;

impl Client {
    pub(crate) fn check_event(&mut self, event: &Event, facts: &Facts, trimmed_to: Offset) -> Check {
        let id = (event.last_event_id != self.last_id).then(|| event.last_event_id.clone());
        let view = self.view.as_mut().ok_or("a frame without an attach")?;
        if view.bye_seen {
            return Err("a frame behind bye".to_owned());
        }
        if view.hello_seen == (event.event_type == "hello") {
            return Err("hello comes first and once".to_owned());
        }
        match event.event_type.as_str() {
            "hello" => self.check_hello(event)?,
            "ping" => require(id.is_none() && event.data == "{}", "a ping has no id")?,
            "bye" => view.bye_seen = true,
            "gap" => self.check_gap(event, id.is_some(), facts, trimmed_to)?,
            "presence" => view.check_presence(event, id.is_some())?,
            _ => self.check_message(event, id.as_deref(), facts)?,
        }
        self.last_id.clone_from(&event.last_event_id);
        if id.is_some() {
            self.seen.push((self.last_id.clone(), self.next_direct, self.chain));
        }
        Ok(())
    }

    fn check_hello(&mut self, event: &Event) -> Check {
        let view = self.view.as_mut().expect("checked by the caller");
        view.hello_seen = true;
        let expected = view.hello_id.map_or_else(|| self.last_id.clone(), |id| id.to_string());
        require(event.last_event_id == expected, "hello has the id of the attach")?;
        if let (Some(ResumeFrom::Position(claim)), Some(id)) = (view.claim, view.hello_id) {
            require(id == claim, "INV-3: without a gap a stream goes on where the client was")?;
        }
        view.complete_to = view.hello_id.map(|id| id.offset);
        view.last = view.hello_id;
        Ok(())
    }

    fn check_gap(&mut self, event: &Event, has_id: bool, facts: &Facts, trimmed_to: Offset) -> Check {
        let gap: Value = serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
        let resumed: Position = gap["resumedFrom"].as_str().and_then(|text| text.parse().ok()).ok_or("resumedFrom")?;
        let directs = facts.chains[self.chain.expect("attached")].directs.len();
        let view = self.view.as_mut().expect("checked by the caller");
        let reason = gap["reason"].as_str().unwrap_or_default();
        match reason {
            "retention" | "epoch" | "unknown" => {
                require(resumed.offset <= trimmed_to, "a gap covers only what is gone")?;
                require(view.complete_to.is_none_or(|to| to <= resumed.offset), "a gap goes forward")?;
                view.complete_to = Some(resumed.offset);
                if reason != "retention" {
                    (self.excused_to, self.owed_inbox_gap, self.repeats) = (directs, false, true);
                    require(view.may_be_strange(reason), "the position was a good one")?;
                }
            }
            "inbox" => {
                (self.excused_to, self.owed_inbox_gap) = (directs, false);
                view.complete_to.get_or_insert(resumed.offset);
            }
            "presence" => view.excuse_presence(&gap["channels"]),
            other => return Err(format!("an unknown reason {other}")),
        }
        if has_id {
            view.last = event.last_event_id.parse().ok();
        }
        Ok(())
    }

    fn check_message(&mut self, event: &Event, id: Option<&str>, facts: &Facts) -> Check {
        let uid = uid_in(&event.data).ok_or("a message without a number")?;
        let fact = facts.message(uid).ok_or("a message that nobody published")?;
        check_content(self.format, event, id, fact)?;
        require(!self.owed_inbox_gap, "INV-3: lost direct messages were not told")?;
        let view = self.view.as_ref().expect("checked by the caller");
        let complete_to = view.complete_to.ok_or("a message before the stream said where it starts")?;
        if fact.kind == Kind::Volatile {
            require(id.is_none(), "a volatile message has no id")?;
            return self.check_volatile(uid, fact);
        }
        let id: Position = id.and_then(|id| id.parse().ok()).ok_or("a message without a new id")?;
        require(id.epoch == view.epoch, "a message of this log's epoch")?;
        require(view.last.is_none_or(|last| last < id), "INV-2: positions grow")?;
        match fact.kind {
            Kind::Volatile => unreachable!("handled above"),
            Kind::Direct => {
                require(id.sub > 0, "a direct message has a sub-position")?;
                self.check_nothing_skipped(facts, complete_to, id.offset)?;
                self.check_direct(uid, facts)?;
            }
            Kind::Stored => {
                require(facts.place(uid) == Some((id.epoch, id.offset)) && id.sub == 0, "INV-1: the entry's own id")?;
                require(id.offset > complete_to, "INV-2: an entry comes once")?;
                self.check_nothing_skipped(facts, complete_to, id.offset - 1)?;
                let view = self.view.as_ref().expect("checked by the caller");
                require(view.may_get(fact, id.offset), "an entry that the client does not follow")?;
            }
        }
        let view = self.view.as_mut().expect("checked by the caller");
        view.complete_to = Some(complete_to.max(id.offset));
        view.last = Some(id);
        Ok(())
    }

    /// INV-3: nothing that the client must have lies in `(after, upto]`.
    pub(crate) fn check_nothing_skipped(&self, facts: &Facts, after: Offset, upto: Offset) -> Check {
        let view = self.view.as_ref().expect("checked by the caller");
        let mut skipped = facts.between(view.epoch, after, upto).filter(|(offset, fact)| {
            let mine = |connection: &ConnectionId| self.connections.contains(connection);
            let unless = fact.publication.unless.as_ref();
            view.must_get(fact, *offset) && !unless.is_some_and(|unless| unless.connections.iter().any(mine))
        });
        match skipped.next() {
            None => Ok(()),
            Some((offset, fact)) => {
                Err(format!("INV-3: offset {offset} was skipped on the way from {after} to {upto}: {fact:?}"))
            }
        }
    }

    fn check_direct(&mut self, uid: u64, facts: &Facts) -> Check {
        let chain = &facts.chains[self.chain.expect("attached")];
        let index = chain.directs.iter().position(|&direct| direct == uid).ok_or("INV-5: somebody else's message")?;
        if index < self.next_direct {
            require(self.repeats, "INV-5: a direct message came twice")?;
        }
        if index > self.next_direct && index > self.excused_to {
            return Err(format!("INV-5: direct messages {} to {index} are missing", self.next_direct));
        }
        self.next_direct = index + 1;
        Ok(())
    }

    fn check_volatile(&mut self, uid: u64, fact: &Fact) -> Check {
        let view = self.view.as_mut().expect("checked by the caller");
        require(view.volatile_seen.insert(uid), "a volatile message came twice")?;
        let follows = view.follows.iter().any(|interval| {
            interval.selector.matches(&fact.publication.channel) && (interval.active || uid < interval.closed_uid)
        });
        require(follows, "a volatile message that the client does not follow")?;
        require(!view.is_excepted(fact), "except was ignored")?;
        let surely_follows = |channel: &ChannelName, back: u64| {
            let since = |interval: &Interval| interval.active && interval.opened_uid <= uid - back;
            view.follows.iter().any(|interval| since(interval) && interval.selector.matches(channel))
        };
        require(!is_left_out(fact, surely_follows), "a volatile message to whom it leaves out")?;
        if fact.node == view.node {
            let last = view.volatile_last.insert(fact.publisher, uid);
            require(last.is_none_or(|last| last < uid), "volatile messages of one publisher change places")?;
        }
        Ok(())
    }

    /// At rest: nothing is missing any more.
    pub(crate) fn check_caught_up(&self, facts: &Facts, head: Offset) -> Check {
        let name = self.name;
        let view = self.view.as_ref().ok_or_else(|| format!("client {name} never came"))?;
        let fail = |what: &str| format!("client {name} at rest: {what}\n  with {view:?}");
        if self.link.is_none() || view.bye_seen {
            return Err(fail("it has no link"));
        }
        let complete_to = view.complete_to.ok_or_else(|| fail("its stream never said where it starts"))?;
        self.check_nothing_skipped(facts, complete_to, head).map_err(|error| fail(&error))?;
        let directs = facts.chains[view.chain].directs.len();
        if self.next_direct < directs && self.excused_to < directs {
            return Err(fail(&format!("INV-5: it has {} of {directs} direct messages", self.next_direct)));
        }
        if self.owed_inbox_gap {
            return Err(fail("INV-3: direct messages were lost with a session and it was not told"));
        }
        if !view.presence_due.is_empty() {
            return Err(fail("presence changes are missing and no gap says so"));
        }
        Ok(())
    }
}

impl View {
    /// Whether a gap for this reason can be meant for the claim.
    fn may_be_strange(&self, reason: &str) -> bool {
        match self.claim {
            Some(ResumeFrom::Unknown) => reason == "unknown",
            Some(ResumeFrom::Position(claim)) if claim.epoch != self.epoch => reason == "epoch",
            Some(ResumeFrom::Position(_)) => self.ahead && reason == "unknown",
            Some(ResumeFrom::Earliest) | None => false,
        }
    }

    fn is_excepted(&self, fact: &Fact) -> bool {
        let excepted = |connection: &ConnectionId| self.excepted.contains(connection);
        fact.publication.unless.as_ref().is_some_and(|unless| unless.connections.iter().any(excepted))
    }

    fn must_get(&self, fact: &Fact, offset: Offset) -> bool {
        let follows = self.follows.iter().any(|interval| interval.requires(&fact.publication.channel, offset));
        let may_follow = |channel: &ChannelName, back: u64| {
            self.follows.iter().any(|interval| interval.allows(channel, offset.saturating_sub(back)))
        };
        follows && !is_left_out(fact, may_follow)
    }

    fn may_get(&self, fact: &Fact, offset: Offset) -> bool {
        let follows = self.follows.iter().any(|interval| interval.allows(&fact.publication.channel, offset));
        let surely_follows = |channel: &ChannelName, back: u64| {
            self.follows.iter().any(|interval| interval.requires(channel, offset.saturating_sub(back)))
        };
        follows && !self.is_excepted(fact) && !is_left_out(fact, surely_follows)
    }

    /// Whether a volatile message that reaches the shard now concerns the session.
    pub(crate) fn wants_volatile(&self, fact: &Fact) -> bool {
        let follows = |channel: &ChannelName, _: u64| {
            self.follows.iter().any(|interval| interval.active && interval.selector.matches(channel))
        };
        follows(&fact.publication.channel, 0) && !self.is_excepted(fact) && !is_left_out(fact, follows)
    }

    fn check_presence(&mut self, event: &Event, has_id: bool) -> Check {
        require(!has_id, "a presence change has no id")?;
        let change: Value = serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
        let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
        let key = format!("{} {} {}", text("channel"), text("change"), text("connection"));
        for list in [&mut self.presence_due, &mut self.presence_excused] {
            if let Some(index) = list.iter().position(|due| *due == key) {
                list.remove(index);
                return Ok(());
            }
        }
        Err("a presence change that nobody told the shard, or for the second time".to_owned())
    }

    fn excuse_presence(&mut self, channels: &Value) {
        let named = |key: &String| {
            let channel = key.split(' ').next().unwrap_or_default();
            channels.as_array().is_some_and(|list| list.iter().any(|name| name == channel))
        };
        let (excused, due) = std::mem::take(&mut self.presence_due).into_iter().partition(named);
        self.presence_due = due;
        self.presence_excused.extend::<Vec<_>>(excused);
    }
}

/// Whether a message is not for whoever follows such channels. `follows` is asked for each channel that
/// leaves somebody out, with how many messages before this one the copy for that channel was published.
fn is_left_out(fact: &Fact, follows: impl Fn(&ChannelName, u64) -> bool) -> bool {
    let Some(unless) = &fact.publication.unless else { return false };
    let had_a_copy = unless.copy.as_ref().is_some_and(|copy| {
        let earlier = copy.copies.names(0..copy.index).iter().enumerate();
        earlier.into_iter().any(|(index, channel)| follows(channel, (copy.index - index) as u64))
    });
    had_a_copy || unless.channels.iter().any(|channel| follows(channel, 0))
}

fn check_content(format: Format, event: &Event, id: Option<&str>, fact: &Fact) -> Check {
    let publication = &fact.publication;
    let name = publication.event.as_ref().map_or("message", |name| name.as_str());
    require(event.event_type == name, "the event name that was published")?;
    let published = match format {
        Format::Raw | Format::Envelope => publication.data.replace("\r\n", "\n").replace('\r', "\n"),
        Format::Json => publication.data.replace(['\r', '\n'], " "),
        Format::SocketIo | Format::SocketIoPlaced => publication.data.to_string(),
    };
    match format {
        Format::Raw | Format::SocketIo | Format::SocketIoPlaced => {
            require(event.data == published, "the data that was published")
        }
        Format::Envelope | Format::Json => {
            let envelope: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
            let text = |name: &str| envelope.get(name).map(|value| value.get().trim_matches('"').to_owned());
            require(text("channel").as_deref() == Some(publication.channel.as_str()), "the channel it went to")?;
            require(text("id").as_deref() == id, "the id of the frame in the envelope")?;
            require(envelope.get("data").is_some_and(|data| data.get() == published), "the data that was published")
        }
    }
}

fn require(holds: bool, what: &str) -> Check {
    if holds { Ok(()) } else { Err(format!("violated: {what}")) }
}
