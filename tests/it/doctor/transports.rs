//! WebSockets and polls, by way of proxies that take out, hold back, cut or keep what they should not.

use santral_testkit::certificate::Certificate;
use santral_testkit::nginx::Nginx;
use santral_testkit::process::free_address;

use super::outside::{NOT_IDLE, WELL, look, proxy, url};
use super::stand_in::{HEALTH, json, stand_in};
use crate::proxies::gateways::{Gateway, Setup};
use crate::support::Santral;

#[test]
fn behind_each_proxy_as_it_is_deployed_all_is_well() {
    let santral = Santral::start_with(&[("SANTRAL_TRUSTED_PROXIES", "127.0.0.1")]);
    for gateway in Gateway::start_all(santral.address).into_iter().filter(|gateway| gateway.setup != Setup::Shortest) {
        let diagnosis = match &gateway.place.tls {
            None => look(&url(gateway.place.plain), &NOT_IDLE),
            Some((address, certificate)) => {
                let authority = certificate.chain().display().to_string();
                look(&format!("https://{address}"), &[&NOT_IDLE[..], &["--ca-file", &authority]].concat())
            }
        };
        diagnosis.is_well(&WELL).is_well(&["websocket", "poll", "socket-io"]);
    }
}

#[test]
fn a_proxy_that_takes_upgrade_out_is_told_with_the_lines_that_mend_it() {
    let santral = Santral::start();
    let lines = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let Some(nginx) = proxy(&santral, lines) else { return };
    look(&url(nginx.address()), &NOT_IDLE).is_well(&["websocket", "poll", "stream", "round-trip"]);
    let Some(nginx) = proxy(&santral, "") else { return };
    let stripped = look(&url(nginx.address()), &NOT_IDLE);
    stripped.says("websocket", "warn", &["nginx takes a header out", "Upgrade", "proxy_set_header Upgrade"]);
    stripped.is_well(&["stream", "poll", "round-trip"]);
    // The one header without the other.
    let Some(nginx) = proxy(&santral, "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;") else {
        return;
    };
    look(&url(nginx.address()), &NOT_IDLE).says("websocket", "warn", &["takes a header out", "Connection"]);
}

#[test]
fn what_answers_in_santrals_place_on_some_paths_only_is_told() {
    let santral = Santral::start();
    let server = santral.address;
    let block = format!(
        "location / {{ proxy_pass http://{server}; }}
         location /api/v1/ws {{ return 404; }}
         location /held/ {{ proxy_pass http://{server}/; }}
         location /held/api/v1/ws {{ return 101; }}
         location /socket.io/ {{ return 404; }}"
    );
    let Some(nginx) = Nginx::start(&block).expect("nginx starts") else { return };
    let lost = look(&url(nginx.address()), &NOT_IDLE);
    lost.says("websocket", "warn", &["something in front answers", "404", "nginx"]).says("stream", "ok", &[]);
    lost.says("socket-io", "warn", &["does not lead to Santral", "404", "like /api"]);
    // An answer that looks like an upgrade and is none.
    let fake = look(&format!("{}/held", url(nginx.address())), &NOT_IDLE);
    fake.says("websocket", "warn", &["something in front answers"]);
}

#[test]
fn what_the_operator_has_turned_off_is_not_complained_of() {
    let santral = Santral::start_with(&[("SANTRAL_TRANSPORTS", "sse")]);
    let diagnosis = look(&url(santral.address), &NOT_IDLE);
    diagnosis.says("poll", "skipped", &["turned polls off"]).is_well(&["stream", "round-trip"]);
    diagnosis.says("socket-io", "skipped", &["turned Socket.IO off"]);
    assert_ne!(diagnosis.outcome("websocket"), "warn", "{diagnosis:#?}");
}

/// Only polls are kept: other answers show nothing.
#[test]
fn a_proxy_that_caches_answers_to_polls_is_told() {
    let santral = Santral::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let zone = format!("proxy_cache_path {} keys_zone=polls:1m;", folder.path().display());
    let cache = "proxy_cache polls; proxy_cache_valid 200 5m; proxy_ignore_headers Cache-Control Expires;";
    let server = santral.address;
    for path in ["/api/poll", "/socket.io/"] {
        let block = format!(
            "location / {{ proxy_pass http://{server}; }} location {path} {{ proxy_pass http://{server}; {cache} }}"
        );
        let Some(nginx) = Nginx::start_with(&zone, &block).expect("nginx starts") else { return };
        let kept = look(&url(nginx.address()), &NOT_IDLE);
        let words = [&format!("{path} came twice"), "proxy_cache off;"];
        kept.has_failed().says("cache", "fail", &words).says("stream", "ok", &[]);
    }
}

#[test]
fn a_poll_that_does_not_wait_is_told() {
    let batch = r#"{"events":[],"position":"a-1","session":"sessionsessionsessionse"}"#;
    let address = stand_in(move |request, _| match request {
        _ if request.contains("/health") => json("200 OK", "", HEALTH),
        _ if request.contains("/api/poll") => json("200 OK", "", batch),
        _ => json("403 Forbidden", "", "{}"),
    });
    look(&url(address), &NOT_IDLE).has_failed().says("poll", "fail", &["answered at once", "cache"]);
}

#[test]
fn a_proxy_that_gives_up_on_polls_is_told() {
    let santral = Santral::start();
    let Some(nginx) = proxy(&santral, "proxy_read_timeout 300ms;") else { return };
    let cut = look(&url(nginx.address()), &NOT_IDLE);
    cut.has_failed().says("poll", "fail", &["504", "proxy_read_timeout 60s;"]);
}

#[test]
fn a_redirect_to_https_is_told_by_what_it_does_to_a_post() {
    let Some(certificate) = Certificate::for_loopback().expect("openssl makes one") else { return };
    let santral = Santral::start();
    let secure = free_address().expect("loopback has a free port");
    let (chain, key) = (certificate.chain().display().to_string(), certificate.key().display().to_string());
    let server = |status: u16| {
        format!(
            "return {status} https://{secure}$request_uri; }}
             server {{ listen {secure} ssl; ssl_certificate {chain}; ssl_certificate_key {key};
             location / {{ proxy_pass http://{}; }}",
            santral.address
        )
    };
    for (status, outcome, word) in [(301, "fail", "a POST arrives as a GET"), (308, "warn", "status 308")] {
        let Some(nginx) = Nginx::start(&server(status)).expect("nginx starts") else { return };
        let diagnosis = look(&url(nginx.address()), &[&NOT_IDLE[..], &["--ca-file", &chain]].concat());
        diagnosis.says("redirect", outcome, &[word, &format!("put https://{secure} into clients")]);
        diagnosis.says("tls", "ok", &[]).says("identity", "ok", &[]).says("round-trip", "ok", &[]);
    }
}
