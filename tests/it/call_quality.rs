//! Reports on calls: what others hear of them, what is counted, and what is refused.

use santral_testkit::http::{Request, Response, SseClient};
use serde_json::{Value, json};

use crate::stats::{metrics_with, stats_when};
use crate::support::contract::{assert_refused, json, text};
use crate::support::{PATIENCE, Santral, deadline, post_json};

/// A participant of the room `r`, and the stream with its events.
pub(crate) struct Participant {
    pub(crate) events: SseClient,
    pub(crate) id: String,
    pub(crate) token: String,
    /// The answer to the join.
    pub(crate) joined: Value,
}

impl Participant {
    pub(crate) fn join(santral: &Santral, name: &str) -> Self {
        let session = format!("session-of-{name}-0123456789");
        let (events, _, _) = santral.greet(&format!("/api/events?session={session}"), &[]);
        let body = json!({"session": session, "displayName": name}).to_string();
        let answer = santral.post("/api/video/rooms/r/join", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let joined = json(&answer.text());
        let (id, token) = (text(&joined["participant"]["participantId"]), text(&joined["token"]));
        Self { events, id, token, joined }
    }

    pub(crate) fn send(&self, santral: &Santral, request: Request) -> Response {
        let request = request.header("Authorization", &format!("Bearer {}", self.token));
        request.send(santral.address, PATIENCE).expect("the server answers")
    }

    fn report(&self, santral: &Santral, peers: &Value) -> Response {
        let body = json!({"roomId": "r", "peers": peers}).to_string();
        self.send(santral, post_json("/api/webrtc/stats", &body))
    }
}

/// A server with a room.
pub(crate) fn room(settings: &[(&str, &str)], more: &Value) -> Santral {
    let santral = Santral::start_with(settings);
    let mut body = json!({"roomId": "r", "name": "Room", "maxParticipants": 3});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = santral.post("/api/video/rooms", &body.to_string());
    assert_eq!(made.status, 201, "{made:?}");
    santral
}

#[test]
fn a_report_is_scored_and_others_and_the_operator_hear_of_it() {
    let santral = room(&[], &json!({}));
    let ada = Participant::join(&santral, "ada");
    let mut bob = Participant::join(&santral, "bob");
    let link = |state: &str, rtt: f64| {
        json!([{"peer": bob.id, "state": state, "pair": "relay/tls→host/udp", "rttMs": rtt, "lossPct": 0.5,
                "kbpsIn": 340.5, "fps": 15, "width": 640, "height": 480, "freezes": 0, "setupMs": 900}])
    };
    let poor = ada.report(&santral, &link("connected", 700.0));
    assert_eq!((poor.status, json(&poor.text())), (200, json!({"score": "poor"})));
    let failed = ada.report(&santral, &link("failed", 0.0));
    assert_eq!(json(&failed.text()), json!({"score": "lost"}));

    let heard = bob.events.wait_for(|event| event.event_type == "video.quality", deadline()).expect("others hear");
    let heard = json(&heard.data);
    assert_eq!((&heard["participantId"], &heard["score"]), (&json!(ada.id), &json!("poor")));
    let seen = bob.send(&santral, Request::get("/api/video/rooms/r"));
    let seen = json(&seen.text());
    let people = seen["participants"].as_array().expect("who is in sees who is in");
    let of_ada = people.iter().find(|person| person["participantId"] == ada.id.as_str()).expect("she is there");
    assert!(of_ada["quality"].is_string(), "{of_ada}");
    let alone = ada.report(&santral, &json!([]));
    assert_eq!(json(&alone.text()), json!({}), "there is nothing to judge");

    let metrics = metrics_with(&santral, r#"santral_call_scores_total{score="lost"} 1"#);
    for line in [
        r#"santral_call_scores_total{score="poor"} 1"#,
        r#"santral_call_links_total{route="relay_tls"} 1"#,
        "santral_call_link_failures_total 1",
        "santral_call_setup_seconds_count 1",
        "santral_call_rtt_seconds_count 1",
        "santral_call_loss_ratio_count 1",
    ] {
        assert!(metrics.lines().any(|each| each == line), "no {line} in {metrics}");
    }
    let stats = stats_when(&santral, |stats| stats["calls"]["failedTotal"] == 1);
    assert_eq!(stats["calls"]["linksTotal"], 1);
    assert_eq!(stats["calls"]["setup"]["maxMs"], 900.0);
}

#[test]
fn a_report_that_cannot_be_is_refused_and_changes_nothing() {
    let santral = room(&[], &json!({}));
    let ada = Participant::join(&santral, "ada");
    let link = |field: &str, value: Value| {
        let mut link = json!({"peer": "p_1", "state": "connected"});
        link[field] = value;
        json!([link])
    };
    let other = json!({"peer": "p_1", "state": "new"});
    for (peers, code, part) in [
        (link("rttMs", json!(-1)), "invalid_field", "`peers[0].rttMs` must be from 0 to 600000"),
        (link("lossPct", json!(100.5)), "invalid_field", "`peers[0].lossPct` must be from 0 to 100"),
        (link("peer", json!("a b")), "invalid_field", "`peers[0].peer` is not the id of a participant"),
        (link("pair", json!("x".repeat(65))), "invalid_field", "`peers[0].pair` is longer than 64 bytes"),
        (json!(vec![other.clone(); 2]), "invalid_field", "`peers[1].peer` stands there before"),
        (json!(vec![other; 33]), "invalid_field", "`peers` has more than 32 items"),
        (link("rtt", json!(1)), "invalid_json", "unknown field `rtt`"),
        (link("state", json!("fine")), "invalid_json", "unknown variant `fine`"),
        (link("freezes", json!(1.5)), "invalid_json", "floating point"),
        (json!("none"), "invalid_json", "expected a sequence"),
    ] {
        let refused = ada.report(&santral, &peers);
        assert_refused(&refused, code);
        let detail = text(&json(&refused.text())["detail"]);
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let send = |body: &str| ada.send(&santral, post_json("/api/webrtc/stats", body));
    let padded = |bytes: usize| format!("{:<bytes$}", r#"{"roomId":"r","peers":[]}"#);
    assert_eq!(send(&padded(16 * 1024)).status, 200);
    assert_refused(&send(&padded(16 * 1024 + 1)), "too_large");
    assert_refused(&send(r#"{"roomId":"r","peers":[],"score":"good"}"#), "invalid_json");
    let elsewhere = send(r#"{"roomId":"other","peers":[]}"#);
    assert!((400..500).contains(&elsewhere.status), "{elsewhere:?}");
    let nobody = santral.post("/api/webrtc/stats", r#"{"roomId":"r","peers":[]}"#);
    assert_eq!(nobody.status, 401, "{nobody:?}");
    let metrics = santral.get("/metrics").text();
    assert!(metrics.contains("santral_call_scores_total{score=\"good\"} 0\n"), "{metrics}");
}
