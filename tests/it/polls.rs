//! `GET /api/poll`, as docs/protocol.md promises.

use std::thread;
use std::time::Duration;

use santral_testkit::http::Request;
use santral_testkit::websocket::{Message, WebSocket};
use serde_json::Value;

use crate::support::contract::{TOKEN, assert_refused, json, text};
use crate::support::{PATIENCE, Santral, deadline};

/// A client that polls.
pub(crate) struct Poller<'a> {
    santral: &'a Santral,
    query: String,
    pub(crate) position: String,
    pub(crate) session: String,
}

impl<'a> Poller<'a> {
    /// Polls for the first time and returns the events of the answer too.
    pub(crate) fn begin(santral: &'a Santral, query: &str) -> (Self, Vec<Value>) {
        let mut poller = Self { santral, query: query.to_owned(), position: String::new(), session: String::new() };
        let events = poller.take(&santral.get(&format!("/api/poll?{query}")));
        (poller, events)
    }

    pub(crate) fn path(&self, wait: u64) -> String {
        format!("/api/poll?{}&session={}&lastEventId={}&wait={wait}", self.query, self.session, self.position)
    }

    /// Polls and returns the events of the answer.
    pub(crate) fn poll(&mut self, wait: u64) -> Vec<Value> {
        let response = Request::get(&self.path(wait)).send(self.santral.address, PATIENCE).expect("it is answered");
        self.take(&response)
    }

    fn take(&mut self, response: &santral_testkit::http::Response) -> Vec<Value> {
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let batch = response.json().expect("a batch is JSON");
        (self.position, self.session) = (text(&batch["position"]), text(&batch["session"]));
        batch["events"].as_array().expect("a batch has events").clone()
    }
}

fn data(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["data"].clone()).collect()
}

/// Shows POLL-1, POLL-2.
#[test]
fn a_poll_is_answered_as_soon_as_there_is_something_to_tell() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (mut poller, hello) = Poller::begin(&santral, "channel=a");
    assert_eq!((hello.len(), &hello[0]["event"]), (1, &json("\"hello\"")));
    assert_eq!(hello[0]["data"]["session"], poller.session.as_str());
    assert_eq!(poller.poll(0), Vec::<Value>::new(), "the wait is over at once");
    santral.publish(r#"[{"channel":"a","event":"e","data":1},{"channel":"b","data":2},{"channel":"a","data":3}]"#);
    assert_eq!(data(&poller.poll(20)), [1, 3]);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let events = poller.poll(20);
            (poller, events)
        });
        // Wherever the poll is by now, it brings the message.
        thread::sleep(Duration::from_millis(100));
        santral.publish(r#"{"channel":"a","data":4}"#);
        let (mut poller, events) = waiting.join().expect("it is answered");
        assert_eq!((&events[0]["channel"], &events[0]["data"]), (&json("\"a\""), &json("4")));
        santral.publish(r#"{"channel":"a","data":5,"volatile":true}"#);
        assert_eq!(poller.poll(0), Vec::<Value>::new(), "nobody was there to take it");
    });
    assert_refused(&santral.get("/api/poll?wait=61"), "invalid_query");
    assert_refused(&santral.get("/api/poll?wait=-1"), "invalid_query");
    assert_refused(&santral.get("/api/poll?session=short"), "invalid_session");
}

/// Shows POLL-1: with a position alone a client has no session yet, so nothing can have waited in one.
#[test]
fn a_first_poll_behind_a_position_has_no_gap() {
    let santral = Santral::start();
    let seen = santral.broadcast("1");
    santral.broadcast("2");
    let (mut poller, mut events) = Poller::begin(&santral, &format!("lastEventId={seen}"));
    assert_eq!((&events[0]["event"], &events[0]["data"]["recovered"]), (&json("\"hello\""), &json("true")));
    poller.query = String::new();
    while events.len() < 2 {
        events.extend(poller.poll(20));
    }
    assert_eq!(data(&events[1..]), [2]);
}

/// Shows POLL-3.
#[test]
fn an_answer_that_was_lost_on_the_way_comes_again() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (mut poller, hello) = Poller::begin(&santral, "channel=a");
    let connection = text(&hello[0]["data"]["connection"]);
    santral.publish(r#"{"channel":"a","data":1}"#);
    let before = poller.position.clone();
    assert_eq!(data(&poller.poll(20)), [1]);
    santral.publish(&format!(r#"{{"connection":"{connection}","data":2}}"#));
    assert_eq!(data(&poller.poll(20)), [2]);
    // As if none of these answers had arrived.
    poller.position = before;
    let again = poller.poll(20);
    assert_eq!(again[0]["event"], "hello");
    assert_eq!(again[0]["data"]["recovered"], true);
    let rest = if again.len() > 1 { again[1..].to_vec() } else { poller.poll(20) };
    assert_eq!(data(&rest), [1, 2]);
}

/// Shows POLL-3, RES-5.
#[test]
fn a_client_that_polls_survives_a_restart_of_the_server() {
    let mut santral = Santral::start();
    let (position, session) = {
        let (poller, _) = Poller::begin(&santral, "channel=a");
        santral.publish(r#"{"channel":"a","data":1}"#);
        (poller.position, poller.session)
    };
    santral.server.kill9().expect("it dies");
    santral.start_again();
    let mut poller = Poller { santral: &santral, query: "channel=a".to_owned(), position, session };
    let hello = poller.poll(20);
    assert_eq!(hello[0]["event"], "hello");
    let messages: Vec<_> =
        hello.into_iter().chain(poller.poll(20)).filter(|event| event["event"] == "message").collect();
    assert_eq!(data(&messages), [1]);
}

/// Shows POLL-4.
#[test]
fn a_second_poll_takes_the_place_of_the_first() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (poller, _) = Poller::begin(&santral, "channel=a");
    thread::scope(|scope| {
        let polls: Vec<_> = (0..4).map(|_| scope.spawn(|| santral.get(&poller.path(20)))).collect();
        thread::sleep(Duration::from_millis(100));
        santral.publish(r#"{"channel":"a","data":1}"#);
        let answers: Vec<_> = polls.into_iter().map(|poll| poll.join().expect("each is answered")).collect();
        let events = answers.iter().map(|answer| answer.json().expect("a batch")["events"].as_array().map(Vec::len));
        let mut counts: Vec<_> = events.map(Option::unwrap_or_default).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 1]);
    });
}

/// Shows POLL-5.
#[test]
fn commands_reach_a_session_that_is_polled() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let (mut poller, _) = Poller::begin(&santral, &format!("session={TOKEN}"));
    poller.query = String::new();
    assert_eq!(santral.command(TOKEN, r#"{"subscribe":["a"]}"#).status, 200);
    assert_eq!(santral.command(TOKEN, r#"{"publish":{"channel":"a","data":1}}"#).status, 200);
    assert_eq!(data(&poller.poll(20)), [1]);
    assert_eq!(
        data(&{
            santral.publish(r#"{"channel":"a","data":2}"#);
            poller.poll(20)
        }),
        [2]
    );
}

/// A request whose answer does not come is cut after 25 s; these are held on purpose, and for longer.
#[test]
fn answers_that_are_held_on_purpose_are_not_cut() {
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "60s"), ("SANTRAL_SOCKETIO_PING_INTERVAL", "60s")]);
    let (poller, _) = Poller::begin(&santral, "");
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut silent = WebSocket::open(santral.address, path, &[], PATIENCE).expect("it opens");
    silent.send_text("40", deadline()).expect("the server reads");
    for packet in ["0{", "40{"] {
        let heard = silent.next_message(deadline()).expect("the server answers");
        assert!(matches!(&heard, Some(Message::Text(text)) if text.starts_with(packet)), "{heard:?}");
    }
    let question = serde_json::json!({ "channel": "broadcast", "event": "ask", "data": 1, "ackTimeoutMs": 27_000 });
    let question = Request::post_json("/api/publish", &question);
    let ask = question.start(santral.address, PATIENCE).expect("the server listens");
    let poll = Request::get(&poller.path(50)).start(santral.address, PATIENCE).expect("the server listens");
    let asked = ask.finish(deadline() + PATIENCE).expect("it is answered when its time is over");
    assert_eq!((asked.status, &asked.json().expect("it is JSON")["missing"]), (200, &json("1")), "{asked:?}");
    santral.broadcast("2");
    let polled = poll.finish(deadline()).expect("it is still held");
    let batch = polled.json().expect("a batch is JSON");
    assert_eq!((polled.status, data(batch["events"].as_array().expect("there are events"))), (200, vec![json("2")]));
}
