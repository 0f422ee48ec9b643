//! The streams that only operators may follow end with the right to follow them (INV-9).

use santral_testkit::http::SseClient;

use crate::support::contract::{assert_refused, json};
use crate::support::people::{PASSWORD, Person};
use crate::support::{PATIENCE, Santral, deadline};

const STREAMS: [&str; 2] = ["/api/stats/stream", "/api/logs/stream"];

/// Opens both streams and waits until they run.
fn follow(santral: &Santral, token: Option<&str>) -> Vec<SseClient> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|value| ("Authorization", value.as_str())).collect();
    let open = |path: &&str| SseClient::open(santral.address, path, &headers, PATIENCE).expect("the stream opens");
    STREAMS.iter().map(open).collect()
}

/// Fails unless all of them end, and say why; a stream that goes on runs into the deadline.
fn assert_ended(streams: Vec<SseClient>, after: &str, reason: &str) {
    for (mut stream, path) in streams.into_iter().zip(STREAMS) {
        let events = stream.collect_to_end(deadline());
        let events = events.unwrap_or_else(|error| panic!("{path} goes on after {after}: {error}"));
        let last = events.last().unwrap_or_else(|| panic!("{path} says nothing after {after}"));
        assert_eq!(last.event_type, "bye", "{path} after {after}: {last:?}");
        assert_eq!(json(&last.data)["name"], reason, "{path} after {after}");
    }
}

/// The streams live: the next sample comes, and the next event.
fn assert_alive(streams: &mut [SseClient], santral: &Santral, admin: &Person) {
    let [stats, logs] = streams else { panic!("there are two") };
    stats.wait_for(|event| event.event_type == "stats", deadline()).expect("samples come");
    let marker = nanoid::nanoid!();
    let body = format!(r#"{{"key":"heartbeat","value":"20s","description":"{marker}"}}"#);
    assert_eq!(santral.ask("POST", "/api/settings", Some(&admin.access), Some(&body)).status, 200);
    logs.wait_for(|event| event.data.contains("settings.changed") || event.data.contains("heartbeat"), deadline())
        .expect("events come");
}

/// Shows AUTH-5. INV-9.
#[test]
fn a_viewer_who_loses_the_right_follows_no_longer() {
    let (santral, admin) = Santral::start_closed(&[]);
    let change = |id: &str, body: &str| {
        let answer = santral.ask("PATCH", &format!("/api/users/{id}"), Some(&admin.access), Some(body));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    type Deed<'a> = Box<dyn Fn(&Person) + 'a>;
    let deeds: [(&str, Deed<'_>); 5] = [
        (
            "logout",
            Box::new(|person| {
                assert_eq!(santral.ask("POST", "/auth/logout", Some(&person.access), None).status, 204);
            }),
        ),
        (
            "reuse",
            Box::new(|person| {
                let body = format!(r#"{{"refreshToken":"{}"}}"#, person.refresh);
                assert_eq!(santral.post("/auth/refresh", &body).status, 200);
                assert_refused(&santral.post("/auth/refresh", &body), "invalid_token");
            }),
        ),
        (
            "password",
            Box::new(|person| {
                let body = format!(r#"{{"current":"{PASSWORD}","new":"another-quiet-7-river"}}"#);
                assert_eq!(santral.ask("POST", "/auth/password", Some(&person.access), Some(&body)).status, 200);
            }),
        ),
        ("role", Box::new(|person| change(&person.id, r#"{"role":"user"}"#))),
        ("disabled", Box::new(|person| change(&person.id, r#"{"disabled":true}"#))),
    ];
    let mut bystanders = follow(&santral, Some(&admin.access));
    for (name, deed) in deeds {
        let viewer = santral.enrol(&admin, &format!("viewer-{name}"), "viewer");
        let mut streams = follow(&santral, Some(&viewer.access));
        assert_alive(&mut streams, &santral, &admin);
        deed(&viewer);
        assert_ended(streams, name, "signed_out");
        for path in STREAMS {
            assert!(santral.ask("GET", path, Some(&viewer.access), None).status >= 401, "{name}");
        }
    }
    assert_alive(&mut bystanders, &santral, &admin);
}

/// Shows AUTH-5. INV-9.
#[test]
fn a_key_of_a_viewer_that_is_revoked_follows_no_longer() {
    let (santral, admin) = Santral::start_closed(&[]);
    let (key, id) = santral.api_key(&admin, r#"{"name":"dashboard","role":"viewer"}"#);
    let mut streams = follow(&santral, Some(&key));
    assert_alive(&mut streams, &santral, &admin);
    assert_eq!(santral.ask("DELETE", &format!("/api/keys/{id}"), Some(&admin.access), None).status, 204);
    assert_ended(streams, "the end of the key", "signed_out");
}

/// Shows AUTH-6. INV-9.
#[test]
fn a_token_that_expires_takes_the_operators_streams_along() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_ISSUER_SECRET", SECRET)]);
    let mut streams = follow(&santral, Some(&issued("viewer", 3)));
    assert_alive(&mut streams, &santral, &admin);
    let lasting = follow(&santral, Some(&issued("viewer", 600)));
    assert_ended(streams, "the end of the token", "token_expired");
    let mut lasting = lasting;
    assert_alive(&mut lasting, &santral, &admin);
}

/// Shows AUTH-11. INV-9.
#[test]
fn the_operators_streams_of_an_open_server_end_when_it_is_closed() {
    let santral = Santral::start();
    let streams = follow(&santral, None);
    santral.become_admin();
    assert_ended(streams, "the first admin", "rights_changed");
}

const SECRET: &str = "r7Yq2mWx9Kt4Lz8Bv1Nc6Hp3Jd5Fs0GyTe";

/// A token of the operator's issuer (RFC 7519) by HS256, good for so many seconds.
fn issued(role: &str, seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = json(&format!(r#"{{"sub":"grace","role":"{role}","exp":{}}}"#, now + seconds));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("claims are JSON")
}
