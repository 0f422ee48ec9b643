//! `/api/connections…` and `/api/blocks…`: the operator sees and steers who is connected.

use santral_testkit::http::{Request, Response};

use crate::support::contract::{TOKEN, assert_refused, expect_silence, json, next, send, text};
use crate::support::people::Person;
use crate::support::{Santral, deadline};

fn list(santral: &Santral, admin: &Person, query: &str) -> serde_json::Value {
    let answer = santral.ask("GET", &format!("/api/connections{query}"), Some(&admin.access), None);
    assert_eq!(answer.status, 200, "{answer:?}");
    json(&answer.text())
}

fn ids(list: &serde_json::Value) -> Vec<String> {
    list["connections"].as_array().expect("a list").iter().map(|item| text(&item["connection"])).collect()
}

fn delete(santral: &Santral, admin: &Person, path: &str) -> Response {
    santral.ask("DELETE", path, Some(&admin.access), None)
}

/// Shows CONN-1, CONN-2.
#[test]
fn connections_are_listed_filtered_and_searched() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "*"), ("SANTRAL_WORKERS", "2")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let open = |path: &str, agent: &str, token: &str| {
        let headers = [("Authorization", format!("Bearer {token}")), ("User-Agent", agent.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        santral.greet(path, &headers)
    };
    let (_first, _, hello) = open("/api/events?channel=a", "Curious/1.0", &ada.access);
    let (_second, _, _) = open("/api/events?channel=b.*", "Other/2.0", &admin.access);
    let (_third, _, _) = open("/api/events?channel=a,b.x", "Other/2.0", &ada.access);
    let all = list(&santral, &admin, "");
    assert_eq!((all["total"].as_u64(), ids(&all).len()), (Some(3), 3), "{all}");
    let mut sorted = ids(&all);
    sorted.sort();
    assert_eq!(ids(&all), sorted);
    for (query, count) in [
        ("?channel=a", 2),
        ("?channel=b.x", 2),
        ("?channel=broadcast", 3),
        ("?channel=c", 0),
        ("?transport=sse", 3),
        ("?transport=ws", 0),
        ("?ip=127.0.0.0/8", 3),
        ("?ip=203.0.113.7", 0),
        ("?q=curious", 1),
        ("?q=OTHER", 2),
        ("?q=nothing", 0),
    ] {
        assert_eq!(ids(&list(&santral, &admin, query)).len(), count, "{query}");
    }
    assert_eq!(ids(&list(&santral, &admin, &format!("?user={}", ada.id))).len(), 2);
    let page = list(&santral, &admin, "?limit=2");
    let rest = list(&santral, &admin, &format!("?limit=2&cursor={}", text(&page["cursor"])));
    assert_eq!([ids(&page), ids(&rest)].concat(), sorted);
    assert!(rest["cursor"].is_null(), "{rest}");
    let connection = text(&hello["connection"]);
    let one = santral.ask("GET", &format!("/api/connections/{connection}"), Some(&admin.access), None);
    let one = json(&one.text());
    assert_eq!(one["channels"].as_array().map(Vec::len), Some(3), "broadcast, a, and the user's own: {one}");
    assert_eq!((&one["userAgent"], &one["role"]), (&json("\"Curious/1.0\""), &json("\"user\"")));
    assert!(one["bytesOut"].as_u64().is_some() && one["expiresAt"].is_string(), "{one}");
    for query in ["?ip=x", "?limit=x", "?cursor=short", "?channel=a%20b", "?unknown=1"] {
        let refused = santral.ask("GET", &format!("/api/connections{query}"), Some(&admin.access), None);
        assert_eq!(refused.status, 400, "{query}: {refused:?}");
    }
    let nobody = "/api/connections/aaaaaaaaaaaaaaaaaaaaaa";
    assert_refused(&santral.ask("GET", nobody, Some(&admin.access), None), "not_found");
    assert_refused(&delete(&santral, &admin, nobody), "not_found");
    assert_refused(&delete(&santral, &admin, "/api/connections/none"), "not_found");
}

/// Shows CONN-3. INV-8.
#[test]
fn a_kicked_client_hears_why_and_may_come_back() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_ANONYMOUS_SUBSCRIBE", "*")]);
    let (mut client, _, hello) = santral.greet(&format!("/api/events?session={TOKEN}"), &[]);
    let (mut other, _, _) = santral.greet("/api/events", &[]);
    let kicked = delete(&santral, &admin, &format!("/api/connections/{}", text(&hello["connection"])));
    assert_eq!(json(&kicked.text())["ended"], 1, "{kicked:?}");
    let bye = client.collect_to_end(deadline()).expect("the stream ends").pop().expect("bye");
    assert_eq!(
        (json(&bye.data)["name"].clone(), json(&bye.data)["reconnect"].clone()),
        (json("\"kicked\""), json("false"))
    );
    expect_silence(&mut other);
    drop(santral.listen(&format!("/api/events?session={TOKEN}")));
}

/// Shows CONN-4.
#[test]
fn a_blocked_user_stays_out_from_anywhere_until_the_block_ends() {
    let (mut santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "*")]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    let path = "/api/events?channel=a";
    let bearer = |person: &Person| format!("Bearer {}", person.access);
    let (mut first, _, hello) = santral.greet(path, &[("Authorization", &bearer(&ada))]);
    let (mut second, _, _) = santral.greet(path, &[("Authorization", &bearer(&ada))]);
    let (mut others, _, _) = santral.greet(path, &[("Authorization", &bearer(&eve))]);
    let blocked = delete(&santral, &admin, &format!("/api/connections/{}?block=600", text(&hello["connection"])));
    let blocked = json(&blocked.text());
    assert_eq!((&blocked["ended"], &blocked["blocked"]), (&json("2"), &json(&format!("\"user:{}\"", ada.id))));
    for client in [&mut first, &mut second] {
        let bye = client.collect_to_end(deadline()).expect("the stream ends").pop().expect("bye");
        assert_eq!(json(&bye.data)["name"], "blocked");
    }
    expect_silence(&mut others);
    let refused = santral.ask("GET", path, Some(&ada.access), None);
    assert_refused(&refused, "blocked");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_refused(&santral.ask("POST", "/api/broadcast", Some(&ada.access), Some("1")), "forbidden");
    let native = Request::get(path).header("Authorization", &bearer(&ada)).header("Accept", "text/event-stream");
    assert_eq!(send(&santral, &native).status, 204, "204 makes a native EventSource stay away");
    santral.server.terminate(crate::support::PATIENCE).expect("it stops");
    santral.start_again();
    assert_refused(&santral.ask("GET", path, Some(&ada.access), None), "blocked");
    let blocks = santral.ask("GET", "/api/blocks", Some(&admin.access), None);
    let subject = text(&json(&blocks.text())["blocks"][0]["subject"]);
    assert_eq!(delete(&santral, &admin, &format!("/api/blocks/{subject}")).status, 204);
    assert_refused(&delete(&santral, &admin, &format!("/api/blocks/{subject}")), "not_found");
    drop(santral.listen_with(path, &[("Authorization", &bearer(&ada))]));
    let too_long = delete(&santral, &admin, "/api/connections/aaaaaaaaaaaaaaaaaaaaaa?block=99999999999");
    assert_refused(&too_long, "invalid_field");
}

/// Shows CONN-5.
#[test]
fn the_operator_makes_clients_follow_leave_and_go() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "*"), ("SANTRAL_WORKERS", "2")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let bearer = format!("Bearer {}", ada.access);
    let (mut client, _, hello) = santral.greet("/api/events?channel=a", &[("Authorization", &bearer)]);
    let act = |body: &str| santral.ask("POST", "/api/connections/actions", Some(&admin.access), Some(body));
    let publish = |item: &str| santral.ask("POST", "/api/publish", Some(&admin.access), Some(item));
    let moved = act(&format!(r#"{{"match":{{"user":"{}"}},"join":["b"],"leave":["a"]}}"#, ada.id));
    assert_eq!(json(&moved.text()), json(r#"{"matched":1,"refused":0}"#), "{moved:?}");
    publish(r#"[{"channel":"a","data":1},{"channel":"b","data":2}]"#);
    assert_eq!(next(&mut client).data, "2");
    assert_eq!(json(&act(r#"{"match":{"channel":"a"},"disconnect":true}"#).text())["matched"], 0);
    for body in [
        r#"{"match":{}}"#,
        r#"{"match":{"user":"x","channel":"a"}}"#,
        r#"{"match":{"channel":"a b"}}"#,
        r#"{"match":{"user":"x"},"join":["user:x"]}"#,
        r#"{"join":["a"]}"#,
        r#"{"match":{"user":"x"},"jion":["a"]}"#,
    ] {
        assert_eq!(act(body).status, 400, "{body}");
    }
    let gone = act(&format!(r#"{{"match":{{"connection":{}}},"disconnect":true}}"#, hello["connection"]));
    assert_eq!(json(&gone.text())["matched"], 1);
    let bye = client.collect_to_end(deadline()).expect("the stream ends").pop().expect("bye");
    assert_eq!(json(&bye.data)["name"], "kicked");
}
