//! Who may signal to whom: every ordered pair of three users, in one room and in two, in every state that
//! either can be in, against a table that is exact.

use std::time::Instant;

use santral_testkit::http::Response;
use serde_json::{Value, json};

use super::{Member, room_path};
use crate::support::contract::{json, text};
use crate::support::people::Person;
use crate::support::{Santral, deadline};

/// Where somebody stands in their room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeJoin,
    Lobby,
    Joined,
    Reconnecting,
    Left,
    Kicked,
    Banned,
    Closed,
}

use State::{Banned, BeforeJoin, Closed, Joined, Kicked, Left, Lobby, Reconnecting};

/// For the sender's state: what a signal to a member of its room gives, what one gives that names the other
/// room, and what coming back with the token gives.
const OF_SENDERS: [(State, &str, &str, &str); 8] = [
    (BeforeJoin, "bad_token", "bad_token", "lobby as somebody else"),
    (Lobby, "in_lobby", "wrong_room", "lobby"),
    (Joined, "delivered", "wrong_room", "joined"),
    (Reconnecting, "delivered", "wrong_room", "joined"),
    (Left, "not_joined", "not_joined", "lobby as somebody else"),
    (Kicked, "not_joined", "not_joined", "banned"),
    (Banned, "not_joined", "not_joined", "banned"),
    (Closed, "room_closed", "room_closed", "room_closed"),
];

/// For the target's state: what a signal gives from a member of the same room, and from one of another room.
const OF_TARGETS: [(State, &str, &str); 8] = [
    (BeforeJoin, "target_not_in_room", "target_not_in_room"),
    (Lobby, "target_not_in_room", "target_not_in_room"),
    (Joined, "delivered", "target_not_in_room"),
    (Reconnecting, "buffered", "target_not_in_room"),
    (Left, "target_not_in_room", "target_not_in_room"),
    (Kicked, "target_not_in_room", "target_not_in_room"),
    (Banned, "target_not_in_room", "target_not_in_room"),
    (Closed, "room_closed", "target_not_in_room"),
];

/// A closed server with an operator and three users.
struct World {
    santral: Santral,
    admin: Person,
    users: [Person; 3],
    rooms: u32,
}

/// Somebody in a state; whoever is there has a stream, unless their line is down.
struct Placed {
    id: String,
    token: String,
    member: Option<Member>,
}

impl World {
    fn new() -> Self {
        let (santral, admin) = Santral::start_closed(&[("SANTRAL_VIDEO_ROOMS_PER_PRINCIPAL", "1000")]);
        let users = ["ada", "bob", "eve"].map(|name| santral.enrol(&admin, name, "user"));
        Self { santral, admin, users, rooms: 0 }
    }

    /// A room in which everybody waits until the operator lets them in.
    fn room(&mut self) -> String {
        self.rooms += 1;
        let id = format!("room-{}", self.rooms);
        let body = json!({ "roomId": id, "name": "R", "lobby": "on", "graceSec": 120 });
        self.santral.make_room(Some(&self.admin.access), &body);
        id
    }

    fn as_admin(&self, method: &str, path: &str, body: &Value) {
        let answer = self.santral.call(method, path, Some(&self.admin.access), body);
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
    }

    /// Brings a user of this number into a state in a room. A room is closed by [`World::close`], when all are there.
    fn place(&self, room: &str, user: usize, state: State) -> Placed {
        if state == BeforeJoin {
            let token = format!("ptok_{}", "x".repeat(32));
            return Placed { id: "p_never".to_owned(), token, member: None };
        }
        let guest = self.santral.guest(Some(&self.users[user]));
        let answer = self.santral.try_join(&guest, room, &json!({}));
        assert_eq!(answer.status, 202, "{answer:?}");
        let member = Member::of(guest, &answer);
        let (id, token, path) = (member.id.clone(), member.token.clone(), room_path(room));
        if state != Lobby {
            self.as_admin("POST", &format!("{path}/lobby"), &json!({ "admit": [id] }));
        }
        let member = match state {
            BeforeJoin | Lobby | Joined | Closed => Some(member),
            Reconnecting => {
                drop(member);
                self.wait_until_reconnecting(room, &id);
                None
            }
            Left => {
                let left = self.santral.call("POST", &format!("{path}/leave"), Some(&token), &Value::Null);
                assert_eq!(left.status, 204, "{left:?}");
                Some(member)
            }
            Kicked | Banned => {
                let query = if state == Banned { "?ban=1" } else { "" };
                self.as_admin("DELETE", &format!("{path}/participants/{id}{query}"), &Value::Null);
                Some(member)
            }
        };
        Placed { id, token, member }
    }

    fn wait_until_reconnecting(&self, room: &str, id: &str) {
        let end = deadline();
        loop {
            let seen = self.santral.call("GET", &room_path(room), Some(&self.admin.access), &Value::Null);
            let people = json(&seen.text())["participants"].as_array().expect("the operator sees them").clone();
            if people.iter().any(|one| one["participantId"] == json!(id) && one["state"] == "reconnecting") {
                return;
            }
            assert!(Instant::now() < end, "the line is still up");
        }
    }

    fn close(&self, room: &str) {
        self.as_admin("DELETE", &room_path(room), &Value::Null);
    }

    fn signal(&self, token: &str, room: &str, to: &str) -> String {
        let body = json!({ "roomId": room, "to": to, "type": "custom", "data": {} });
        outcome(&self.santral.try_signal(token, &body))
    }

    /// What coming back with a token gives to a user.
    fn resume(&self, user: usize, room: &str, placed: &Placed) -> String {
        let guest = self.santral.guest(Some(&self.users[user]));
        let answer = self.santral.try_join(&guest, room, &json!({ "resume": placed.token }));
        if answer.status > 202 {
            return text(&json(&answer.text())["code"]);
        }
        let body = json(&answer.text());
        let status = text(&body["status"]);
        match body["participant"]["participantId"] == json!(placed.id) {
            true => status,
            false => format!("{status} as somebody else"),
        }
    }
}

fn outcome(answer: &Response) -> String {
    let body = json(&answer.text());
    match answer.status {
        202 if body["accepted"][0]["delivered"] == 1 => "delivered".to_owned(),
        202 if body["accepted"][0]["buffered"] == 1 => "buffered".to_owned(),
        _ => text(&body["code"]),
    }
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..3).flat_map(|one| (0..3).map(move |other| (one, other))).filter(|(one, other)| one != other)
}

/// Shows VID-13, VID-19. Whatever state the sender is in.
#[test]
fn who_is_not_in_a_room_signals_to_nobody() {
    let mut world = World::new();
    for (sender, target) in pairs() {
        for (state, same_room, other_room, back) in OF_SENDERS {
            let (here, elsewhere) = (world.room(), world.room());
            let from = world.place(&here, sender, state);
            let to = world.place(&here, target, Joined);
            let far = world.place(&elsewhere, target, Joined);
            if state == Closed {
                world.close(&here);
            }
            let what = format!("{state:?} {sender} to {target}");
            assert_eq!(world.signal(&from.token, &here, &to.id), same_room, "{what}, in one room");
            assert_eq!(world.signal(&from.token, &elsewhere, &far.id), other_room, "{what}, in the other's room");
            // Somebody else's token makes nobody somebody else.
            let stolen = world.resume(target, &elsewhere, &from);
            assert!(!stolen.contains("joined") || far.member.is_some(), "{what}: {stolen}");
            let thief = (0..3).find(|user| *user != sender && *user != target).expect("there is a third");
            let stolen = world.resume(thief, &here, &from);
            let expected = if state == Closed { "room_closed" } else { "lobby as somebody else" };
            assert_eq!(stolen, expected, "{what}: the third brings the token");
            assert_eq!(world.resume(sender, &here, &from), back, "{what} comes back");
        }
    }
}

/// Shows VID-13. Whatever state the target is in, and wherever.
#[test]
fn who_is_not_in_ones_room_is_nowhere() {
    let mut world = World::new();
    for (sender, target) in pairs() {
        for (state, same_room, other_room) in OF_TARGETS {
            let (here, elsewhere) = (world.room(), world.room());
            let from = world.place(&here, sender, Joined);
            let to = world.place(&here, target, state);
            let far = world.place(&elsewhere, target, state);
            if state == Closed {
                world.close(&elsewhere);
            }
            let what = format!("{sender} to {state:?} {target}");
            assert_eq!(world.signal(&from.token, &here, &far.id), other_room, "{what} in another room");
            if state == Closed {
                world.close(&here);
            }
            assert_eq!(world.signal(&from.token, &here, &to.id), same_room, "{what} in one room");
        }
    }
}

/// Shows VID-19. Tokens that were swapped, guessed or are of something else.
#[test]
fn a_token_speaks_for_its_seat_only() {
    let mut world = World::new();
    let (here, elsewhere) = (world.room(), world.room());
    let (ada, bob) = (world.place(&here, 0, Joined), world.place(&here, 1, Joined));
    let eve = world.place(&elsewhere, 2, Joined);
    let santral = &world.santral;
    let code = |answer: &Response| text(&json(&answer.text())["code"]);
    let patch = |token: &str, room: &str, person: &str, body: &Value| {
        santral.call("PATCH", &format!("{}/participants/{person}", room_path(room)), Some(token), body)
    };
    let rename = json!({ "displayName": "X" });
    assert_eq!(code(&patch(&ada.token, &here, &bob.id, &rename)), "permission_denied");
    assert_eq!(code(&patch(&ada.token, &elsewhere, &eve.id, &rename)), "wrong_room");
    assert_eq!(code(&patch(&ada.token, &here, &eve.id, &rename)), "not_found");
    for token in ["ptok_", "ptok_guess", "host_guess", &world.users[0].access, &world.admin.access] {
        let answer = santral.try_signal(token, &json!({ "roomId": here, "to": bob.id, "type": "bye" }));
        assert_eq!(code(&answer), "bad_token", "{token}");
    }
    let nobody =
        santral.call("POST", "/api/webrtc/signal", None, &json!({ "roomId": here, "to": bob.id, "type": "bye" }));
    assert_eq!((nobody.status, code(&nobody).as_str()), (401, "bad_token"));
    // The secret of a room is no login.
    for path in ["/auth/me", "/api/users", "/api/video/rooms"] {
        let answer = santral.call("GET", path, Some(&ada.token), &Value::Null);
        assert_eq!((answer.status, code(&answer).as_str()), (401, "invalid_token"), "{path}");
    }
    // An owner's own token is good for what owners do, and a stranger's for nothing.
    let close = |token: &str| santral.call("DELETE", &room_path(&here), Some(token), &Value::Null);
    assert_eq!(code(&close(&world.users[2].access)), "permission_denied");
    assert_eq!(code(&close("host_guess")), "bad_token");
    assert_eq!(close(&world.admin.access).status, 204);
}

/// The session of somebody else takes no command from anybody but its owner.
#[test]
fn nobody_signals_from_somebody_elses_session() {
    let mut world = World::new();
    let room = world.room();
    let (ada, bob) = (world.place(&room, 0, Joined), world.place(&room, 1, Joined));
    let session = ada.member.as_ref().expect("the line is up").guest.session.clone();
    let path = format!("/api/sessions/{session}/commands");
    let body = json!({ "signal": { "roomId": room, "to": bob.id, "type": "bye" } });
    let ask = |token: Option<&str>| world.santral.call("POST", &path, token, &body);
    assert_eq!(ask(Some(&world.users[0].access)).status, 200);
    for token in [None, Some(world.users[1].access.as_str()), Some(world.admin.access.as_str())] {
        assert_eq!(ask(token).status, 404, "{token:?}");
    }
}
