//! Reading: the list of channels, a channel's history, who is there; and what every answer has.

use santral_testkit::http::{Request, SseClient};

use crate::support::contract::{assert_refused, json, next, problem, send, text};
use crate::support::{PATIENCE, Santral};

fn names(list: &serde_json::Value) -> Vec<String> {
    list["channels"].as_array().expect("a list has channels").iter().map(|item| text(&item["channel"])).collect()
}

/// Shows READ-1, READ-2, READ-7.
#[test]
fn channels_are_listed_in_name_order_page_by_page() {
    let santral = Santral::start();
    let get = |query: &str| santral.get(&format!("/api/channels?{query}")).json().expect("a list is JSON");
    let empty = get("");
    assert_eq!((names(&empty).len(), empty.get("cursor")), (0, None));
    assert!(text(&empty["position"]).ends_with("-0"));
    let receipt = santral.publish(r#"{"channels":["b","a","user","user.x","z","a.1","a.2"],"data":1}"#);
    santral.publish(r#"{"user":"ada","data":1}"#);
    let head = santral.head();
    let _listener = santral.listen("/api/events?channel=a.1");
    assert_eq!(names(&get("")), ["a", "a.1", "a.2", "b", "user", "user.x", "z"]);
    assert_eq!(names(&get("prefix=a.")), ["a.1", "a.2"]);
    assert_eq!(names(&get("prefix=user")), ["user", "user.x"], "the channels of users are nobody's business");
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(&format!("limit=2{cursor}"));
        assert_eq!(page["position"], head);
        pages.push(names(&page));
        let Some(next) = page.get("cursor") else { break };
        cursor = format!("&cursor={}", text(next));
    }
    assert_eq!(pages.concat(), names(&get("")));
    assert!(pages[..3].iter().all(|page| page.len() == 2), "{pages:?}");
    let item = &get("prefix=a.1")["channels"][0];
    let epoch = text(&receipt["epoch"]);
    assert_eq!((text(&item["last"]), &item["sessions"]), (format!("{epoch}-6"), &json("1")));
}

/// Shows READ-2, NAME-2.
#[test]
fn a_prefix_or_cursor_that_no_name_has_is_refused() {
    let santral = Santral::start();
    for query in ["prefix=user:", "prefix=%00", "prefix=a%20b", "cursor=%0A", "cursor=", "prefix=a*"] {
        assert_refused(&santral.get(&format!("/api/channels?{query}")), "invalid_channel");
    }
    for query in ["limit=x", "limit=-1", "limit=1.5", "limit=99999999999999999999999", "page=2", "prefix=a&prefix=b"] {
        assert_refused(&santral.get(&format!("/api/channels?{query}")), "invalid_query");
    }
}

/// Shows READ-3, READ-4, READ-7.
#[test]
fn history_goes_back_from_the_newest() {
    let santral = Santral::start();
    let items: Vec<_> = (0..10).map(|number| format!(r#"{{"channel":"a/b","data":{number}}}"#)).collect();
    santral.publish(&format!("[{},{{\"channel\":\"other\",\"data\":0}}]", items.join(",")));
    let get = |query: &str| santral.get(&format!("/api/channels/a/b/history?{query}")).json().expect("it is JSON");
    let numbers = |history: &serde_json::Value| -> Vec<i64> {
        let entries = history["entries"].as_array().expect("a history has entries");
        entries.iter().map(|entry| entry["data"].as_i64().expect("a number")).collect()
    };
    let all = get("");
    assert_eq!(numbers(&all), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!((&all["channel"], &all["more"], &all["truncated"]), (&json("\"a/b\""), &json("false"), &json("false")));
    assert_eq!(text(&all["position"]), santral.head());
    let id = |index: usize| text(&all["entries"][9 - index]["id"]);
    assert!(text(&all["entries"][0]["at"]).ends_with('Z'));
    let page = get("limit=3");
    assert_eq!((numbers(&page), &page["more"]), (vec![9, 8, 7], &json("true")));
    let page = get(&format!("limit=3&before={}", id(7)));
    assert_eq!((numbers(&page), &page["more"]), (vec![6, 5, 4], &json("true")));
    let page = get(&format!("since={}&before={}", id(2), id(6)));
    assert_eq!((numbers(&page), &page["more"]), (vec![5, 4, 3], &json("false")));
    assert_eq!(numbers(&get(&format!("since={}", id(9)))), [0; 0]);
    assert_eq!(numbers(&get("limit=0")), [9], "a limit below one is one");
    assert_eq!(numbers(&get("limit=100000")).len(), 10);
    assert_eq!(numbers(&santral.get("/api/channels/nothing/history").json().expect("it is JSON")), [0; 0]);
}

/// Shows READ-4.
#[test]
fn history_wants_positions_of_this_log() {
    let santral = Santral::start();
    let epoch = santral.head().replace("-0", "");
    for position in ["x", "", "earliest", "00000000-1", &format!("{epoch}-"), &format!("{epoch}--1")] {
        for field in ["before", "since"] {
            assert_refused(&santral.get(&format!("/api/channels/a/history?{field}={position}")), "invalid_position");
        }
    }
    assert_eq!(santral.get(&format!("/api/channels/a/history?since={epoch}-99")).status, 200);
    assert_refused(&santral.get("/api/channels/a/history?sinse=1"), "invalid_query");
}

/// Shows READ-7: a thousand is the most, whatever is asked for.
#[test]
fn a_page_has_a_hundred_items_or_what_was_asked_for_up_to_a_thousand() {
    let santral = Santral::start();
    for _ in 0..2 {
        let items = vec![r#"{"channel":"a","data":1}"#; 600].join(",");
        santral.publish(&format!("[{items}]"));
    }
    let count = |query: &str| {
        let history = santral.get(&format!("/api/channels/a/history?{query}")).json().expect("it is JSON");
        (history["entries"].as_array().map(Vec::len), history["more"] == true)
    };
    assert_eq!(count(""), (Some(100), true));
    assert_eq!(count("limit=5000"), (Some(1_000), true));
}

/// Shows READ-8: load, then follow.
#[test]
fn who_follows_from_the_position_of_a_history_misses_and_doubles_nothing() {
    let santral = Santral::start();
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            for number in &expected {
                santral.publish(&format!(r#"{{"channel":"a","data":{number}}}"#));
            }
        });
        let history = santral.get("/api/channels/a/history?limit=1000").json().expect("it is JSON");
        let entries = history["entries"].as_array().expect("a history has entries");
        let mut seen: Vec<String> = entries.iter().rev().map(|entry| entry["data"].to_string()).collect();
        let (mut client, ..) = santral.resume("/api/events?channel=a&broadcast=0", &text(&history["position"]));
        while seen.len() < expected.len() {
            seen.push(next(&mut client).data);
        }
        assert_eq!(seen, expected);
        publisher.join().expect("the publisher does not panic");
    });
}

/// Shows READ-6.
#[test]
fn presence_lists_who_follows_a_channel_by_name_on_every_worker() {
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let listeners: Vec<_> = (0..6).map(|_| santral.greet("/api/events?channel=room", &[])).collect();
    let _by_prefix = santral.listen("/api/events?channel=ro*");
    let head = santral.broadcast("1");
    let presence = santral.get("/api/channels/room/presence").json().expect("it is JSON");
    let mut found: Vec<_> =
        presence["present"].as_array().expect("a list").iter().map(|present| text(&present["connection"])).collect();
    let mut expected: Vec<_> = listeners.iter().map(|(.., content)| text(&content["connection"])).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!((&presence["total"], &presence["channel"]), (&json("6"), &json("\"room\"")));
    assert_eq!(text(&presence["position"]), head);
    assert_eq!(santral.get("/api/channels/nobody/presence").json().expect("it is JSON")["total"], 0);
    assert_refused(&santral.get("/api/channels/room/presence?limit=1"), "invalid_query");
}

/// Shows REQ-7.
#[test]
fn every_answer_has_a_request_id_and_forbids_guessing_its_type() {
    let santral = Santral::start();
    let mut ids = std::collections::BTreeSet::new();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/app.js"),
        ("GET", "/health"),
        ("GET", "/api/channels"),
        ("POST", "/api/broadcast"),
        ("GET", "/api/channels/a/history"),
        ("GET", "/nowhere"),
        ("DELETE", "/api/events"),
        ("OPTIONS", "/api/publish"),
        ("POST", "/api/sessions/x/commands"),
        ("GET", "/api/channels/%FF/history"),
        ("HEAD", "/health"),
    ] {
        let request = Request::new(method, path).header("Content-Type", "application/json").body("1");
        let response = send(&santral, &request);
        let id = response.header("x-request-id").unwrap_or_else(|| panic!("{method} {path}: {response:?}")).to_owned();
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        assert!(ids.insert(id), "an id is given once");
    }
    let client = SseClient::open(santral.address, "/api/events", &[], PATIENCE).expect("the stream opens");
    assert!(client.header("x-request-id").is_some_and(|id| !ids.contains(id)));
    let own = Request::get("/health").header("X-Request-Id", "mine");
    assert_ne!(send(&santral, &own).header("x-request-id"), Some("mine"), "a client cannot choose it");
}

/// Shows REQ-8.
#[test]
fn an_unknown_path_is_404_and_an_unknown_method_405_with_allow() {
    let santral = Santral::start();
    for path in ["/nowhere", "/api", "/api/", "/api/events/", "/api/channels/a", "/api/channels//history", "/health/x"]
    {
        let response = santral.get(path);
        assert_eq!((response.status, problem(&response).as_str()), (404, "not_found"), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/api/broadcast", "POST"),
        ("PUT", "/api/publish", "POST"),
        ("DELETE", "/api/events", "GET, POST"),
        ("POST", "/api/channels", "GET, HEAD"),
        ("PATCH", "/api/channels/a/history", "GET, HEAD"),
        ("GET", "/api/sessions/x/commands", "POST"),
        ("BREW", "/health", "GET, HEAD"),
    ] {
        let response = send(&santral, &Request::new(method, path));
        assert_eq!((response.status, problem(&response).as_str()), (405, "method_not_allowed"), "{method} {path}");
        assert_eq!(response.header("allow"), Some(allow), "{method} {path}");
    }
}

/// Shows REQ-8.
#[test]
fn head_answers_as_get_does_without_the_body() {
    let santral = Santral::start();
    santral.broadcast("1");
    for path in ["/", "/health/live", "/health/ready", "/api/channels", "/api/channels/broadcast/history"] {
        let (get, head) = (santral.get(path), send(&santral, &Request::new("HEAD", path)));
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

/// Shows HLT-1, HLT-2, HLT-3.
#[test]
fn health_says_how_the_server_does() {
    let santral = Santral::start_with(&[("SANTRAL_NODE", "one")]);
    let _client = santral.listen("/api/events");
    let health = santral.get("/health").json().expect("health is JSON");
    assert_eq!((&health["status"], &health["storage"]), (&json("\"ok\""), &json("\"ok\"")));
    assert_eq!((&health["node"], &health["open"], &health["streams"]), (&json("\"one\""), &json("true"), &json("1")));
    assert!(health["uptimeSeconds"].is_u64() && health["version"].is_string(), "{health}");
    assert_eq!(santral.get("/health/live").text(), r#"{"status":"ok"}"#);
    assert_eq!(santral.get("/health/ready").json().expect("health is JSON")["status"], "ok");
}
