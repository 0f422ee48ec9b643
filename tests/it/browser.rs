//! The first page in headless Chromium: the browser's own EventSource against the real server.
//!
//! Without Chromium and its driver these tests are skipped, loudly, and fail in CI.

use santral_testkit::fault_proxy::{Cut, Fault, FaultProxy};
use serde_json::{Value, json};

use crate::accounts::PASSWORD;
use crate::support::{PATIENCE, Santral, deadline, post_json};
use page::{Page, RECONNECT_PATIENCE, Shown};

pub(crate) mod checks;
pub(crate) mod driver;
pub(crate) mod page;

/// SSE-7 as a browser reads it.
#[test]
fn messages_appear_on_the_page_with_channel_event_and_position() {
    let santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    page.follow("orders, rooms/*", "order.paid, sensor");
    let first = santral.broadcast(r#"{"message":"Yeni güncelleme mevcut!"}"#);
    let second = publish(&santral, "?channel=orders&event=order.paid", r#"{"order":1}"#);
    publish(&santral, "?channel=rooms/42&event=sensor&volatile=true", "21.5");
    publish(&santral, "?channel=elsewhere", "\"not followed\"");
    let last = santral.broadcast("\"last\"");
    let shown = page.wait_for_data("\"last\"", PATIENCE);
    let expected = [
        (first.as_str(), "message", "broadcast", r#"{"message":"Yeni güncelleme mevcut!"}"#),
        (second.as_str(), "order.paid", "orders", r#"{"order":1}"#),
        ("", "sensor", "rooms/42", "21.5"),
        (last.as_str(), "message", "broadcast", "\"last\""),
    ];
    assert_eq!(shown, expected.map(|(id, event, channel, data)| message(id, event, channel, data)));
    assert_eq!(page.browser.text("#position"), last);
    assert_eq!(page.browser.text("#channels"), "broadcast, orders, rooms/*");
    assert_eq!(page.policy_violations(), Vec::<Value>::new());
}

#[test]
fn hostile_text_stays_text() {
    let santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    let before = elements(&page);
    for polyglot in POLYGLOTS {
        for data in [json!(polyglot), json!({ *polyglot: polyglot }), json!([[polyglot]])] {
            santral.broadcast(&data.to_string());
        }
        let refused = publish_from(&page, polyglot, polyglot, "1");
        assert!(refused.contains("invalid_channel") || refused.contains("invalid_event"), "{refused}");
        assert!(publish_from(&page, "", "", polyglot).contains("invalid_json"));
    }
    santral.broadcast("\"end\"");
    let shown = page.wait_for_data("\"end\"", PATIENCE);
    for (message, polyglot) in shown.chunks(3).zip(POLYGLOTS) {
        assert_eq!(message[0].data, json!(polyglot).to_string(), "as text, unchanged");
    }
    assert_eq!(shown.len(), 3 * POLYGLOTS.len() + 1);
    // A channel that the server refuses ends the stream for good: the page says why, also as text.
    page.browser.fill("#follow-channels", "<img/src=x/onerror=alert(1)>");
    page.browser.click("#follow button");
    page.wait_for_text("#resume", "<img/src=x/onerror=alert(1)>");
    page.wait_for_state("ended", PATIENCE);
    assert!(!page.browser.has_dialog());
    assert_eq!(page.browser.run("return window.pwned ?? null", &[]), Value::Null);
    assert_eq!(elements(&page), before, "text made an element");
    assert_eq!(page.policy_violations(), Vec::<Value>::new());
}

/// NAME-5 leaves these names to publishers; EventSource fires events of its own under the first three.
#[test]
fn messages_named_like_the_browsers_own_events_are_only_messages() {
    let santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    for name in ["error", "open", "message", "constructor", "__proto__"] {
        page.browser.fill("#publish-event", name);
        page.browser.fill("#publish-data", &json!(name).to_string());
        page.browser.click("#publish button");
        let shown = page.wait_for_data(&json!(name).to_string(), PATIENCE);
        assert_eq!(shown.last().map(|message| message.event.as_str()), Some(name));
        assert_eq!(page.state(), "live");
    }
}

#[test]
fn the_form_publishes_and_shows_the_receipt_or_the_problem() {
    let santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    let mut client = santral.listen("/api/events?channel=orders");
    page.follow("orders", "");
    let said = publish_from(&page, "orders", "order.paid", r#"{"a":1.50}"#);
    assert!(said.contains("stored on the disk") && said.contains("2 receivers"), "{said}");
    let event = client.next_event(deadline()).expect("the stream lives").expect("the stream goes on");
    assert_eq!((event.event_type.as_str(), event.data.as_str()), ("order.paid", r#"{"a":1.50}"#), "as it was typed");
    let shown = page.wait_for_data(r#"{"a":1.5}"#, PATIENCE);
    assert_eq!(shown, [message(&event.last_event_id, "order.paid", "orders", r#"{"a":1.5}"#)]);
    assert!(said.contains(&event.last_event_id), "{said}");

    let said = publish_from(&page, "orders", "", "{oops");
    assert!(said.contains("Invalid JSON (400 invalid_json)"), "{said}");
    assert!(said.contains("Send one well-formed JSON text"), "the remediation is missing: {said}");

    page.browser.click("#publish-volatile");
    page.browser.fill("#publish-data", "\"by keyboard\"");
    page.browser.press("#publish-data", "\u{e009}\u{e007}");
    page.wait_for_text("#receipt", "Delivered for 2 receivers, not stored.");
    let shown = page.wait_for_data("\"by keyboard\"", PATIENCE);
    assert_eq!(shown[1], message("", "message", "orders", "\"by keyboard\""));
    assert_eq!(page.browser.run(UNLABELLED_SCRIPT, &[]), json!([]));
}

/// RES-1 and RES-3, by the header that the browser itself sends. The session is forgotten (SES-6), no message is.
#[test]
fn after_kill_9_the_browser_resumes_by_itself() {
    let mut santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    let mut ids: Vec<String> = (0..5).map(|number| santral.broadcast(&number.to_string())).collect();
    page.wait_for_data("4", PATIENCE);
    santral.server.kill9().expect("the server can be killed");
    page.wait_for_state("reconnecting", PATIENCE);
    santral.start_again();
    ids.extend((5..10).map(|number| santral.broadcast(&number.to_string())));
    page.wait_for_state("live", RECONNECT_PATIENCE);
    ids.push(santral.broadcast("10"));
    assert_whole(&page.wait_for_data("10", PATIENCE), &ids);
    page.wait_for_text("#resume", &format!("Resumed behind {}.", ids[4]));
}

/// RES-1 by the query, and the same session (SES-1).
#[test]
fn a_line_dropped_on_purpose_is_resumed_and_says_what_it_recovered() {
    let santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    let mut ids = vec![santral.broadcast("0")];
    page.wait_for_data("0", PATIENCE);
    let session = page.browser.text("#session");
    page.browser.click("#drop");
    page.wait_for_state("dropped", PATIENCE);
    ids.extend((1..4).map(|number| santral.broadcast(&number.to_string())));
    assert_eq!(page.data(), ["0"]);
    page.browser.click("#drop");
    page.wait_for_state("live", PATIENCE);
    page.wait_for_text("#resume", "3 messages recovered.");
    ids.push(santral.broadcast("4"));
    assert_whole(&page.wait_for_data("4", PATIENCE), &ids);
    assert_eq!(page.browser.text("#session"), session, "it is the same session");
}

/// A socket whose other end has vanished tells nobody, and EventSource alone would wait for ever;
/// the page counts on the heartbeat (SSE-9).
#[test]
fn a_line_that_died_silently_is_opened_again() {
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "1s")]);
    let proxy = FaultProxy::start(santral.address).expect("loopback has a free port");
    let Some(page) = Page::open(proxy.address()) else { return };
    let mut ids = vec![santral.broadcast("0")];
    page.wait_for_data("0", PATIENCE);
    // The server ends what the browser keeps for further requests; what stays is the stream.
    assert!(proxy.wait_for_connections(1, PATIENCE), "{:?}", proxy.stats());
    for connection in proxy.connections() {
        assert!(proxy.set_fault_of(connection, Fault::HalfOpen));
    }
    ids.extend((1..4).map(|number| santral.broadcast(&number.to_string())));
    assert_whole(&page.wait_for_data("3", RECONNECT_PATIENCE), &ids);
    page.wait_for_text("#resume", "3 messages recovered.");
}

/// RES-5 behind the header of the browser itself.
#[test]
fn what_retention_removed_meanwhile_is_shown_as_a_gap() {
    let santral = Santral::start_with(&[("SANTRAL_RETENTION_MESSAGES", "5")]);
    let proxy = FaultProxy::start(santral.address).expect("loopback has a free port");
    let Some(page) = Page::open(proxy.address()) else { return };
    let seen = santral.broadcast("0");
    page.wait_for_data("0", PATIENCE);
    proxy.set_fault(Fault::Cut(Cut::Reset));
    page.wait_for_state("reconnecting", PATIENCE);
    let ids: Vec<String> = (1..21).map(|number| santral.broadcast(&number.to_string())).collect();
    page.browser.wait_for("retention", RECONNECT_PATIENCE, || (retained(&santral) <= 5).then_some(()));
    proxy.heal();
    page.wait_for_state("live", RECONNECT_PATIENCE);
    let gap = page.wait_for_note("Gap", PATIENCE);
    assert!(gap.contains(&seen) && gap.contains("Retention has removed"), "{gap}");
    let shown = page.wait_for_data("20", PATIENCE);
    assert_eq!(shown[0].id.as_ref(), Some(&seen));
    assert!(shown.len() > 1 && shown.len() < 21, "{shown:?}");
    let kept: Vec<_> = shown[1..].iter().filter_map(|message| message.id.as_ref()).collect();
    assert_eq!(kept, ids[21 - shown.len()..].iter().collect::<Vec<_>>(), "all that is left, in order");
    let behind = &ids[20 - shown.len()];
    assert!(gap.contains(behind), "the gap ends behind {behind}: {gap}");
}

/// SSE-14.
#[test]
fn a_draining_server_says_bye_and_the_browser_comes_back() {
    let mut santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    let mut ids = vec![santral.broadcast("0")];
    page.wait_for_data("0", PATIENCE);
    santral.server.terminate(PATIENCE).expect("it drains and ends");
    let bye = page.wait_for_note("Bye", PATIENCE);
    assert!(bye.contains("4002 draining"), "{bye}");
    page.wait_for_state("reconnecting", PATIENCE);
    santral.start_again();
    ids.push(santral.broadcast("1"));
    page.wait_for_state("live", RECONNECT_PATIENCE);
    ids.push(santral.broadcast("2"));
    assert_whole(&page.wait_for_data("2", PATIENCE), &ids);
}

/// AUTH-9: an EventSource cannot send headers, so each stream has a ticket of its own.
#[test]
fn a_closed_server_asks_who_listens_and_reconnecting_needs_no_further_password() {
    let mut santral = Santral::start_with(&[("SANTRAL_OPEN", "false")]);
    let admin = santral.set_up();
    let proxy = FaultProxy::start(santral.address).expect("loopback has a free port");
    let Some(page) = Page::open_until(proxy.address(), "ended") else { return };
    page.wait_for_text("#resume", "401 unauthorized");
    sign_in(&page, "root", "a wrong password");
    page.wait_for_text("#sign-in-result", "401 bad_credentials");
    sign_in(&page, "root", PASSWORD);
    page.wait_for_state("live", PATIENCE);
    assert_eq!(page.browser.text("#who"), "root (admin)");
    let said = publish_from(&page, "", "", "0");
    assert!(said.contains("Published as"), "{said}");
    page.wait_for_data("0", PATIENCE);

    proxy.set_fault(Fault::Cut(Cut::Reset));
    page.wait_for_state("reconnecting", PATIENCE);
    let authorization = format!("Bearer {}", admin["accessToken"].as_str().unwrap_or_default());
    let request = post_json("/api/broadcast", "1").header("Authorization", &authorization);
    let published = request.send(santral.address, PATIENCE).expect("the server answers");
    assert_eq!(published.status, 200, "{published:?}");
    proxy.heal();
    page.wait_for_data("1", RECONNECT_PATIENCE);
    page.wait_for_text("#resume", "1 message recovered.");
    assert_eq!(page.data(), ["0", "1"]);

    page.browser.click("#sign-out");
    page.wait_for_state("ended", PATIENCE);
    page.wait_for_text("#sign-in-title", "Sign in");
    assert_eq!(page.browser.text("#who"), "");
    assert_eq!(page.browser.run(UNLABELLED_SCRIPT, &[]), json!([]));
}

#[test]
fn the_policy_forbids_inline_script_and_the_page_needs_none() {
    let santral = Santral::start();
    let Some(page) = Page::open(santral.address) else { return };
    publish_from(&page, "", "", "1");
    page.wait_for_data("1", PATIENCE);
    assert_eq!(page.policy_violations(), Vec::<Value>::new());
    // The observer does see violations, and the policy does hold.
    page.browser.run(
        "const script = document.createElement('script');
         script.textContent = 'window.pwned = 1';
         document.body.append(script);
         document.body.style.cssText; document.body.setAttribute('style', 'color: red');",
        &[],
    );
    let violations = page.browser.wait_for("violations", PATIENCE, || {
        let found = page.policy_violations();
        (found.len() >= 2).then_some(found)
    });
    let directives: Vec<_> = violations.iter().filter_map(|body| body["effectiveDirective"].as_str()).collect();
    assert_eq!(directives, ["script-src-elem", "style-src-attr"]);
    assert_eq!(page.browser.run("return window.pwned ?? null", &[]), Value::Null);
}

fn sign_in(page: &Page, name: &str, password: &str) {
    page.browser.fill("#sign-in-name", name);
    page.browser.fill("#sign-in-password", password);
    page.browser.click("#sign-in button");
}

/// Publishes through the form and returns what it then says.
fn publish_from(page: &Page, channel: &str, event: &str, data: &str) -> String {
    page.browser.fill("#publish-channel", channel);
    page.browser.fill("#publish-event", event);
    page.browser.fill("#publish-data", data);
    page.browser.run("document.getElementById('receipt').replaceChildren()", &[]);
    page.browser.click("#publish button");
    page.browser.wait_for("an answer in the form", PATIENCE, || {
        let said = page.browser.text("#receipt");
        (!said.is_empty()).then_some(said)
    })
}

/// Publishes with these query parameters; the position is empty for a volatile message.
fn publish(santral: &Santral, query: &str, json: &str) -> String {
    let response = post_json(&format!("/api/broadcast{query}"), json).send(santral.address, PATIENCE);
    let receipt = response.expect("the server answers").json().expect("a receipt is JSON");
    receipt["id"].as_str().unwrap_or_default().to_owned()
}

fn message(id: &str, event: &str, channel: &str, data: &str) -> Shown {
    let id = (!id.is_empty()).then(|| id.to_owned());
    Shown { event: event.to_owned(), channel: channel.to_owned(), id, data: data.to_owned() }
}

/// The feed shows the numbers from 0, each once, in order, with the positions of their receipts.
fn assert_whole(shown: &[Shown], ids: &[String]) {
    let expected: Vec<_> =
        ids.iter().zip(0..).map(|(id, number)| message(id, "message", "broadcast", &number.to_string())).collect();
    assert_eq!(shown, expected);
}

fn retained(santral: &Santral) -> usize {
    let history = santral.get("/api/channels/broadcast/history?limit=100").json().expect("history is JSON");
    history["entries"].as_array().map_or(usize::MAX, Vec::len)
}

/// How many elements there are of each kind that can do something.
fn elements(page: &Page) -> Value {
    page.browser.run(
        "const kinds = ['a', 'base', 'embed', 'form', 'iframe', 'img', 'input', 'link', 'math', 'meta', 'object',
                        'script', 'style', 'svg', 'template', 'textarea', 'video'];
         const handlers = [...document.querySelectorAll('*')].flatMap((node) => [...node.attributes])
             .filter((attribute) => attribute.name.startsWith('on') || attribute.name === 'style');
         return [handlers.length, ...kinds.map((kind) => document.querySelectorAll(kind).length)];",
        &[],
    )
}

/// Fields without a label.
pub(crate) const UNLABELLED_SCRIPT: &str = "return [...document.querySelectorAll('input, textarea')]
    .filter((field) => field.labels.length === 0).map((field) => field.id);";

/// Texts that are script in one context or another: element, attribute, URL, string, template, comment.
const POLYGLOTS: &[&str] = &[
    "<script>window.pwned=1;alert(1)</script>",
    "<img src=x onerror=window.pwned=1;alert(1)>",
    "\"><svg/onload=window.pwned=1;alert(1)>",
    "javascript:/*--></title></style></textarea></script></xmp><svg/onload='+/\"/+/onmouseover=1/+/[*/[]/+alert(1)//'>",
    "';window.pwned=1;alert(1)//\\';alert(1)//\";alert(1)//--></SCRIPT>\">'><SCRIPT>alert(1)</SCRIPT>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "{{constructor.constructor('window.pwned=1')()}}${window.pwned=1}",
    "</pre></li></ol><form action=//evil.example><input autofocus onfocus=window.pwned=1>",
    "<a href=javascript:window.pwned=1>click</a><base href=//evil.example/><meta http-equiv=refresh content=0>",
];
