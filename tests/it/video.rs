//! `/api/video/rooms…` and `/api/webrtc/…`, as docs/protocol.md promises.

mod edges;
mod join;
mod lines;
mod people;
mod rights;
mod rooms;
mod secrets;
mod signals;

use std::time::Duration;

use santral_testkit::http::{Request, Response, SseClient};
use serde_json::{Value, json};

use crate::support::contract::{json, text};
use crate::support::people::Person;
use crate::support::{PATIENCE, Santral, deadline};

/// Somebody with a stream of their own.
pub(crate) struct Guest {
    pub(crate) stream: SseClient,
    pub(crate) session: String,
    pub(crate) connection: String,
    /// What they show to say who they are.
    pub(crate) access: Option<String>,
}

/// Somebody in a room.
pub(crate) struct Member {
    pub(crate) guest: Guest,
    pub(crate) id: String,
    pub(crate) token: String,
    /// The answer to the join.
    pub(crate) answer: Value,
}

impl Santral {
    /// Sends a request with a JSON body, if there is one, as whoever has this token.
    pub(crate) fn call(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Response {
        let body = (!body.is_null()).then(|| body.to_string());
        self.ask(method, path, token, body.as_deref())
    }

    /// Makes a room, which must succeed, and returns the answer.
    pub(crate) fn make_room(&self, token: Option<&str>, body: &Value) -> Value {
        let answer = self.call("POST", "/api/video/rooms", token, body);
        assert_eq!(answer.status, 201, "{answer:?}");
        json(&answer.text())
    }

    /// Opens a stream.
    pub(crate) fn guest(&self, person: Option<&Person>) -> Guest {
        self.guest_at("/api/events", person)
    }

    pub(crate) fn guest_at(&self, path: &str, person: Option<&Person>) -> Guest {
        let authorization = person.map(|person| format!("Bearer {}", person.access));
        let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let (stream, _, hello) = self.greet(path, &headers);
        let (session, connection) = (text(&hello["session"]), text(&hello["connection"]));
        Guest { stream, session, connection, access: person.map(|person| person.access.clone()) }
    }

    /// Joins with a body beside the session.
    pub(crate) fn try_join(&self, guest: &Guest, room: &str, more: &Value) -> Response {
        let mut body = json!({ "session": guest.session });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        self.call("POST", &format!("/api/video/rooms/{room}/join"), guest.access.as_deref(), &body)
    }

    /// The same, which must let them in at once.
    pub(crate) fn join(&self, guest: Guest, room: &str, more: &Value) -> Member {
        let answer = self.try_join(&guest, room, more);
        assert_eq!(answer.status, 200, "{answer:?}");
        Member::of(guest, &answer)
    }

    /// Opens a stream and joins.
    pub(crate) fn enter(&self, room: &str, name: &str) -> Member {
        self.join(self.guest(None), room, &json!({ "displayName": name }))
    }

    /// Sends what may be a signal.
    pub(crate) fn try_signal(&self, token: &str, body: &Value) -> Response {
        self.call("POST", "/api/webrtc/signal", Some(token), body)
    }

    /// Sends a signal, which must be taken, and returns what became of it.
    pub(crate) fn signal(&self, member: &Member, room: &str, to: &str, seq: Option<u64>, data: &Value) -> Value {
        let mut body = json!({ "roomId": room, "to": to, "type": "custom", "data": data });
        if let Some(seq) = seq {
            body["seq"] = seq.into();
        }
        let answer = self.try_signal(&member.token, &body);
        assert_eq!(answer.status, 202, "{answer:?}");
        json(&answer.text())["accepted"][0].clone()
    }
}

impl Guest {
    /// Waits for an event of this name and returns its data.
    pub(crate) fn hear(&mut self, name: &str) -> Value {
        let event = self.stream.wait_for(|event| event.event_type == name, deadline());
        json(&event.unwrap_or_else(|error| panic!("no {name}: {error}")).data)
    }

    /// Names of all events that come within a short while.
    pub(crate) fn hear_all(&mut self) -> Vec<String> {
        let until = std::time::Instant::now() + Duration::from_millis(200);
        let mut names = Vec::new();
        while let Ok(Some(event)) = self.stream.next_event(until) {
            names.push(event.event_type);
        }
        names
    }
}

impl Member {
    pub(crate) fn of(guest: Guest, answer: &Response) -> Self {
        let answer = json(&answer.text());
        let (id, token) = (text(&answer["participant"]["participantId"]), text(&answer["token"]));
        Self { guest, id, token, answer }
    }

    pub(crate) fn hear(&mut self, name: &str) -> Value {
        self.guest.hear(name)
    }
}

/// The path of a room.
pub(crate) fn room_path(room: &str) -> String {
    format!("/api/video/rooms/{room}")
}

/// Sends a body as `navigator.sendBeacon` does.
pub(crate) fn beacon(santral: &Santral, path: &str, body: &Value) -> Response {
    let request = Request::post(path, body.to_string()).header("Content-Type", "text/plain;charset=UTF-8");
    request.send(santral.address, PATIENCE).expect("the server answers")
}
