//! A follower's client of `GET /api/poll`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use santral_testkit::http::{Exchange, Request, Response};
use serde_json::Value;

use super::{Link, Step, Transport, in_short, step_of};
use crate::support::PATIENCE;

/// One poll after the other, each for as long as the server holds it.
pub(super) struct LongPoll;

struct Polling {
    address: SocketAddr,
    session: String,
    position: String,
    /// What the last answer brought and was not handed out yet.
    events: VecDeque<Value>,
    held: Option<Exchange>,
}

impl Transport for LongPoll {
    fn name(&self) -> &'static str {
        "long-poll"
    }

    fn open(&self, address: SocketAddr, after: Option<&str>) -> Result<Box<dyn Link>, String> {
        let resume = after.map(|id| format!("?lastEventId={id}")).unwrap_or_default();
        let first = Request::get(&format!("/api/poll{resume}"));
        let answer = first.send(address, PATIENCE).map_err(|error| in_short(&error))?;
        let mut polling =
            Polling { address, session: String::new(), position: String::new(), events: VecDeque::new(), held: None };
        polling.take(&answer)?;
        match polling.events.pop_front() {
            Some(hello) if hello["event"] == "hello" => Ok(Box::new(polling)),
            other => Err(format!("no hello but {other:?}")),
        }
    }
}

impl Polling {
    fn take(&mut self, answer: &Response) -> Result<(), String> {
        if answer.status != 200 {
            return Err(format!("status {}", answer.status));
        }
        let batch = answer.json().map_err(|error| in_short(&error))?;
        let text = |name: &str| batch[name].as_str().unwrap_or_default().to_owned();
        (self.session, self.position) = (text("session"), text("position"));
        self.events.extend(batch["events"].as_array().cloned().unwrap_or_default());
        Ok(())
    }

    /// Polls until the deadline; a poll that is held then is looked at again the next time.
    fn poll(&mut self, deadline: Instant) -> Result<(), String> {
        let mut held = match self.held.take() {
            Some(held) => held,
            None => {
                let Self { session, position, .. } = self;
                let path = format!("/api/poll?session={session}&lastEventId={position}");
                Request::get(&path).start(self.address, PATIENCE).map_err(|error| in_short(&error))?
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if held.is_held_for(left).map_err(|error| in_short(&error))? {
            self.held = Some(held);
            return Ok(());
        }
        let answer = held.finish(Instant::now() + PATIENCE).map_err(|error| in_short(&error))?;
        self.take(&answer)
    }
}

impl Link for Polling {
    fn next(&mut self, deadline: Instant) -> Step {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(step) = step_of(&event) {
                    return step;
                }
            }
            if Instant::now() >= deadline {
                return Step::Nothing;
            }
            if let Err(why) = self.poll(deadline) {
                return Step::End(why);
            }
        }
    }

    fn position(&self) -> Option<String> {
        Some(self.position.clone())
    }
}
