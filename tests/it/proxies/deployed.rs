//! What else the configurations of `deploy/` promise: names, bodies and hosts arrive, http:// leads to https://,
//! and clients are clients.

use santral_testkit::http::Request;
use serde_json::json;

use super::gateways::{Gateway, Setup};
use crate::support::{PATIENCE, Santral};

/// Every proxy that is installed, as it is deployed.
fn deployed(santral: &Santral) -> Vec<Gateway> {
    let all = Gateway::start_all(santral.address).into_iter();
    all.filter(|gateway| gateway.setup != Setup::Shortest).collect()
}

#[test]
fn a_slash_in_the_name_of_a_channel_arrives() {
    let santral = Santral::start();
    let receipt = santral.post("/api/publish", r#"{"channel":"a/b","data":1}"#);
    assert_eq!(receipt.status, 200, "{receipt:?}");
    let path = "/api/channels/a%2Fb/history";
    let direct = santral.get(path);
    assert_eq!(direct.status, 200, "{direct:?}");
    for gateway in deployed(&santral) {
        let answer = Request::get(path).send(gateway.address(), PATIENCE).expect("the proxy answers");
        assert_eq!((answer.status, answer.text()), (200, direct.text()), "{}", gateway.name());
    }
}

#[test]
fn the_largest_message_arrives_and_a_larger_one_is_refused_by_the_server_itself() {
    let santral = Santral::start_with(&[("SANTRAL_MESSAGE_BYTES_MAX", "1048576")]);
    let message = |bytes: usize| Request::post_json("/api/broadcast", &json!("x".repeat(bytes - 2)));
    for gateway in deployed(&santral) {
        let fits = message(1_048_576).send(gateway.address(), PATIENCE).expect("the proxy answers");
        assert_eq!(fits.status, 200, "{}: {fits:?}", gateway.name());
        let refused = message(1_048_577).send(gateway.address(), PATIENCE).expect("the proxy answers");
        let kind = refused.header("content-type").map(str::to_owned);
        assert_eq!((refused.status, kind.as_deref()), (413, Some("application/problem+json")), "{}", gateway.name());
    }
}

/// A page that Santral's own host serves may send cookies, so `Host` must arrive with its port.
#[test]
fn pages_of_the_same_host_are_known_as_such() {
    let santral = Santral::start();
    for gateway in deployed(&santral) {
        let host = gateway.address();
        let scheme = if gateway.setup == Setup::Tls { "https" } else { "http" };
        let ask = |origin: &str| {
            let request = Request::get("/api/channels").header("Cookie", "a=b").header("Origin", origin);
            request.send(host, PATIENCE).expect("the proxy answers").status
        };
        let statuses = (ask(&format!("{scheme}://{host}")), ask("https://evil.example"));
        assert_eq!(statuses, (200, 403), "{}", gateway.name());
    }
}

#[test]
fn plain_http_leads_to_https_with_308_and_the_whole_path() {
    let santral = Santral::start();
    for gateway in deployed(&santral).into_iter().filter(|gateway| gateway.setup == Setup::Tls) {
        let request = Request::post_json("/api/publish?a=b", &json!({})).header("Host", "santral.example.org");
        let answer = request.send(gateway.place.plain, PATIENCE).expect("the proxy answers");
        let location = answer.header("location").unwrap_or_default();
        assert_eq!(answer.status, 308, "{}: {answer:?}", gateway.name());
        assert!(location.starts_with("https://santral.example.org"), "{}: {location}", gateway.name());
        assert!(location.ends_with("/api/publish?a=b"), "{}: {location}", gateway.name());
    }
}

/// An open server gives the rights of the operator to the person at its machine. nginx names no client by
/// default, comes from loopback and writes our own address into `Host`: it is known by its HTTP/1.0.
#[test]
fn nobody_behind_a_proxy_is_taken_for_the_operator() {
    let santral = Santral::start();
    assert_eq!(santral.get("/api/settings").status, 200, "the person at the machine is");
    for gateway in Gateway::start_all(santral.address) {
        let ask = |host: &str| {
            let request = Request::get("/api/settings").header("Host", host);
            request.send(gateway.address(), PATIENCE).expect("the proxy answers").status
        };
        assert_eq!(ask("santral.example.org"), 403, "{}", gateway.name());
        if gateway.setup != Setup::Shortest {
            assert_eq!(ask("localhost"), 403, "{}", gateway.name());
        }
    }
}
