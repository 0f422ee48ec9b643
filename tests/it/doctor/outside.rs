//! The checks from outside, directly and through proxies that do what proxies do.

use std::net::{SocketAddr, UdpSocket};

use santral_testkit::nginx::Nginx;
use santral_testkit::process::free_address;

use super::stand_in::{HEALTH, json, stand_in};
use super::{Diagnosis, doctor};
use crate::support::Santral;

/// Looks at an address, with short waits.
pub(super) fn look(url: &str, more: &[&str]) -> Diagnosis {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = [&["--url", url, "--timeout", "3"][..], more].concat();
    doctor(folder.path(), &arguments, &[])
}

pub(super) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Starts nginx with a location that passes everything on, and more in it.
pub(super) fn proxy(santral: &Santral, more: &str) -> Option<Nginx> {
    Nginx::start(&format!("location / {{ proxy_pass http://{}; {more} }}", santral.address)).expect("nginx starts")
}

pub(super) const NOT_IDLE: [&str; 2] = ["--idle", "0"];

/// What is well wherever nothing is in the way.
pub(super) const WELL: [&str; 12] = [
    "name",
    "connect",
    "tls",
    "redirect",
    "identity",
    "open",
    "http-version",
    "cache",
    "stream",
    "stream-headers",
    "compression",
    "round-trip",
];

#[test]
fn directly_and_behind_a_plain_proxy_all_is_well() {
    let santral = Santral::start_with(&[("SANTRAL_HEARTBEAT", "1s")]);
    let idle = ["--idle", "4"];
    let direct = look(&url(santral.address), &idle);
    direct.is_well(&WELL).is_well(&["server-clock", "idle", "websocket", "poll"]).says("idle", "ok", &["pings"]);
    direct.says("authorization", "skipped", &["no --token"]).says("cors", "skipped", &["no --origin"]);
    let Some(nginx) = proxy(&santral, "") else { return };
    look(&url(nginx.address()), &idle).is_well(&WELL).is_well(&["idle"]);
    let Some(nginx) =
        Nginx::start(&format!("location /live/ {{ proxy_pass http://{}/; }}", santral.address)).expect("nginx starts")
    else {
        return;
    };
    look(&format!("http://{}/live/", nginx.address()), &NOT_IDLE).is_well(&WELL);
}

#[test]
fn a_name_or_port_that_leads_nowhere_is_told() {
    look("http://no-such-host.invalid", &[]).has_failed().says("name", "fail", &["no-such-host.invalid", "dig"]);
    let nowhere = free_address().expect("loopback has a free port");
    look(&url(nowhere), &[]).has_failed().says("connect", "fail", &["refused", "nothing listens"]);
}

/// The usual lines for WebSockets make nginx speak HTTP/1.1, and still it names nobody but our own address.
#[test]
fn a_proxy_that_makes_everybody_the_operator_is_told() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("loopback has a free port");
    // Sends nothing: it asks the kernel by which address others know this machine.
    let own = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).map(|address| address.ip());
    let Some(own) = own.ok().filter(|ip| !ip.is_loopback()) else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    let santral = Santral::start();
    let address = SocketAddr::new(own, free_address().expect("loopback has a free port").port());
    let at = |more: &str| {
        let pass = format!("location / {{ proxy_pass http://{}; {more} }}", santral.address);
        Nginx::start(&format!("listen {address}; {pass}")).expect("nginx starts")
    };
    let Some(nginx) = at("proxy_http_version 1.1;") else { return };
    look(&url(address), &NOT_IDLE).has_failed().says("open", "fail", &["is the operator", "create-admin"]);
    drop(nginx);
    let Some(_nginx) = at("proxy_http_version 1.1; proxy_set_header X-Forwarded-For $remote_addr;") else { return };
    look(&url(address), &NOT_IDLE).says("open", "warn", &["may publish and read everything"]);
}

#[test]
fn a_proxy_that_buffers_is_told_with_the_line_that_mends_it() {
    let santral = Santral::start();
    let Some(nginx) = proxy(&santral, "proxy_ignore_headers X-Accel-Buffering;") else { return };
    let diagnosis = look(&url(nginx.address()), &NOT_IDLE);
    diagnosis.has_failed().says("stream", "fail", &["nginx buffers it", "proxy_buffering off;"]);
    diagnosis.says("round-trip", "skipped", &[]).says("identity", "ok", &[]);
}

#[test]
fn what_holds_back_only_the_beginning_is_told() {
    let hello = r#"{"session":"s","heartbeatMs":25000,"serverTime":"2026-01-01T00:00:00.000Z"}"#;
    let address = stand_in(move |request, _| match request {
        _ if request.contains("/health") => json("200 OK", "", HEALTH),
        _ if request.contains("pad=1") => format!("{STREAM}event: hello\ndata: {hello}\n\n"),
        _ if request.contains("/api/events") => {
            // The scanner lets the head through and waits for more.
            std::thread::park_timeout(crate::support::PATIENCE);
            String::new()
        }
        _ => json("200 OK", "", "{}"),
    });
    let diagnosis = look(&url(address), &NOT_IDLE);
    diagnosis.says("stream", "warn", &["only with padding", "pad=1"]).says("server-clock", "warn", &["behind ours"]);
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n";

#[test]
fn a_proxy_that_cuts_silent_streams_is_told_with_the_time() {
    let santral = Santral::start();
    let Some(nginx) = proxy(&santral, "proxy_read_timeout 3s;") else { return };
    let diagnosis = look(&url(nginx.address()), &["--idle", "15"]);
    diagnosis.has_failed().says("idle", "fail", &["cut after", "proxy_read_timeout 60s;", "heartbeat"]);
    diagnosis.says("round-trip", "ok", &[]);
    let patient = look(&url(santral.address), &["--idle", "1"]);
    patient.says("idle", "warn", &["due only after 25.0 s", "--idle 28"]);
}

#[test]
fn pings_that_do_not_come_are_told() {
    let hello = r#"{"session":"s","heartbeatMs":1000,"serverTime":"x"}"#;
    let address = stand_in(move |request, _| match request {
        _ if request.contains("/health") => json("200 OK", "", HEALTH),
        _ if request.contains("/api/events") => format!("{STREAM}event: hello\ndata: {hello}\n\n"),
        _ => json("403 Forbidden", "", "{}"),
    });
    let diagnosis = look(&url(address), &["--idle", "4"]);
    diagnosis.has_failed().says("idle", "fail", &["no ping came in 4.0 s", "every 1.0 s", "proxy_buffering off;"]);
    diagnosis.says("round-trip", "skipped", &["needs a token"]);
}

#[test]
fn a_redirect_is_told_with_what_to_put_into_clients() {
    let santral = Santral::start();
    let block = |code: &str| {
        format!(
            "location /old/ {{ rewrite ^/old/(.*)$ http://$http_host/new/$1 {code}; }}
             location /new/ {{ proxy_pass http://{}/; }}
             location /gated/ {{ return 302 https://login.example/?back=$uri; }}
             location /round/ {{ return 302 /round/health; }}",
            santral.address
        )
    };
    let Some(nginx) = Nginx::start(&block("permanent")).expect("nginx starts") else { return };
    let at = |path: &str| format!("http://{}{path}", nginx.address());
    let moved = look(&at("/old"), &NOT_IDLE);
    moved.has_failed().says("redirect", "fail", &["a POST arrives as a GET", &format!("put {} into", at("/new"))]);
    moved.says("identity", "ok", &[]).says("round-trip", "ok", &[]);
    look(&at("/gated"), &NOT_IDLE).has_failed().says("redirect", "fail", &["login.example", "/api"]);
    look(&at("/round"), &NOT_IDLE).has_failed().says("redirect", "fail", &["round and round"]);
    let kept = stand_in(move |request, _| {
        let to = request.split(' ').nth(1).unwrap_or_default();
        let to = format!("Location: http://{}{to}\r\n", santral.address);
        json("308 Permanent Redirect", &to, "")
    });
    look(&url(kept), &NOT_IDLE).says("redirect", "warn", &["status 308"]).says("identity", "ok", &[]);
}

#[test]
fn who_answers_in_santrals_place_is_told() {
    let santral = Santral::start();
    let nowhere = free_address().expect("loopback has a free port");
    let server = santral.address;
    let block = format!(
        "location /site/ {{ return 200 '<html>hello</html>'; }}
         location /gate/ {{ return 401; }}
         location /down/ {{ proxy_pass http://{nowhere}/; }}
         location /kept/ {{ proxy_pass http://{server}; }}
         location /part/api/ {{ proxy_pass http://{server}/api/; }}"
    );
    let Some(nginx) = Nginx::start(&block).expect("nginx starts") else { return };
    let look_at = |path: &str| look(&format!("http://{}{path}", nginx.address()), &NOT_IDLE);
    for (path, words) in [
        ("/nothing", ["this path is not Santral's", "--url"]),
        ("/site", ["what answers is not Santral", "server_name"]),
        ("/gate", ["asks for a login", "/api"]),
        ("/down", ["does not reach Santral", "502"]),
        ("/kept", ["no such path", "proxy_pass"]),
    ] {
        look_at(path).has_failed().says("identity", "fail", &words).says("stream", "skipped", &[]);
    }
    look_at("/part").says("identity", "warn", &["/health is not let through"]).says("round-trip", "ok", &[]);
}

#[test]
fn a_proxy_that_compresses_streams_is_told() {
    let santral = Santral::start();
    let gzip = "gzip on; gzip_proxied any; gzip_min_length 0; gzip_types text/event-stream; proxy_hide_header Content-Encoding;";
    let Some(nginx) = proxy(&santral, gzip) else { return };
    let diagnosis = look(&url(nginx.address()), &NOT_IDLE);
    diagnosis.says("compression", "warn", &["gzip", "gzip_types"]).says("stream", "ok", &[]);
}

#[test]
fn a_proxy_that_caches_or_rewrites_heads_is_told() {
    let santral = Santral::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let zone = format!("proxy_cache_path {} keys_zone=all:1m;", folder.path().display());
    let cache = "proxy_cache all; proxy_cache_valid 200 5m; proxy_ignore_headers Cache-Control Expires;";
    let block = format!("location / {{ proxy_pass http://{}; {cache} }}", santral.address);
    let Some(nginx) = Nginx::start_with(&zone, &block).expect("nginx starts") else { return };
    look(&url(nginx.address()), &NOT_IDLE).has_failed().says("cache", "fail", &["X-Request-Id", "proxy_cache off;"]);
    let rewrite = "proxy_hide_header Cache-Control; expires 1h;";
    let Some(nginx) = proxy(&santral, rewrite) else { return };
    let diagnosis = look(&url(nginx.address()), &NOT_IDLE);
    diagnosis.says("stream-headers", "warn", &["Cache-Control", "max-age=3600"]);
}

#[test]
fn an_old_proxy_and_two_servers_that_do_not_know_each_other_are_told() {
    let old = stand_in(|request, _| match request.contains("/health") {
        true => json("200 OK", "", HEALTH).replace("HTTP/1.1", "HTTP/1.0"),
        false => json("404 Not Found", "", "{}"),
    });
    look(&url(old), &NOT_IDLE).says("http-version", "warn", &["HTTP/1.0"]);
    let santral = Santral::start();
    let other = Santral::start();
    let block = format!(
        "location / {{ proxy_pass http://{}; }} location /api/publish {{ proxy_pass http://{}; }}",
        santral.address, other.address
    );
    let Some(nginx) = Nginx::start(&block).expect("nginx starts") else { return };
    let diagnosis = look(&url(nginx.address()), &NOT_IDLE);
    diagnosis.has_failed().says("round-trip", "fail", &["several servers"]);
    let Some(nginx) = proxy(&santral, "limit_except GET { deny all; }") else { return };
    look(&url(nginx.address()), &NOT_IDLE).says("round-trip", "skipped", &["needs a token"]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_santral"));
    command.args(["token", "--subject", "ada", "--role", "user", "--subscribe", "*"]);
    let output = command.env("SANTRAL_DATA_DIR", santral.data_dir.path()).output().expect("the binary runs");
    let token = String::from_utf8(output.stdout).expect("a token is ASCII");
    let diagnosis = look(&url(santral.address), &[&NOT_IDLE[..], &["--token", token.trim()]].concat());
    diagnosis.says("round-trip", "skipped", &["may not publish"]);
}

/// A server with accounts as far as the doctor asks it, which knows one token.
fn with_accounts() -> SocketAddr {
    let hello = r#"{"session":"s","heartbeatMs":25000,"serverTime":"x","user":"ada"}"#;
    stand_in(move |request, headers| {
        let is_known = headers.iter().any(|line| line.eq_ignore_ascii_case("authorization: bearer let-me-in"));
        let refusal = || {
            json("401 Unauthorized", "X-Request-Id: 1\r\n", r#"{"code":"unauthenticated","status":401}"#)
                .replace("application/json", "application/problem+json")
        };
        match request {
            _ if request.contains("/health") => json("200 OK", "", HEALTH),
            _ if request.contains("/auth/me") && is_known => {
                json("200 OK", "", r#"{"user":"ada","role":"publisher","address":"127.0.0.1"}"#)
            }
            _ if request.contains("/api/events") && (is_known || request.contains("token=let-me-in")) => {
                format!("{STREAM}event: hello\ndata: {hello}\n\n")
            }
            _ => refusal(),
        }
    })
}

#[test]
fn a_token_that_does_not_arrive_is_told_from_one_that_is_not_taken() {
    let server = with_accounts();
    let token = |token: &'static str| [&NOT_IDLE[..], &["--token", token]].concat();
    let good = look(&url(server), &token("let-me-in"));
    good.says("authorization", "ok", &["role publisher"]).says("client-address", "ok", &["127.0.0.1"]);
    let bad = look(&url(server), &token("guess-me-not"));
    bad.has_failed().says("authorization", "fail", &["does not take the token", "unauthenticated"]);
    assert!(!bad.stdout.contains("guess-me-not"), "{bad:#?}");
    look(&url(server), &NOT_IDLE).says("stream", "skipped", &["--token-file"]).says("open", "ok", &[]);
    for (more, stream) in [("", "ok"), ("proxy_ignore_headers X-Accel-Buffering;", "fail")] {
        let block = format!("location / {{ proxy_pass http://{server}; proxy_set_header Authorization ''; {more} }}");
        let Some(nginx) = Nginx::start(&block).expect("nginx starts") else { return };
        let lost = look(&url(nginx.address()), &token("let-me-in"));
        lost.has_failed().says("authorization", "fail", &["gets lost on the way", "$http_authorization"]);
        lost.says("stream", stream, &[]);
    }
}

#[test]
fn pages_of_an_origin_are_let_in_or_not() {
    let santral = Santral::start();
    let origin = [&NOT_IDLE[..], &["--origin", "https://app.example"]].concat();
    look(&url(santral.address), &origin).has_failed().says("cors", "fail", &["not let in", "cors_origins"]);
    let allow = "add_header Access-Control-Allow-Origin https://app.example always; add_header Vary Origin always;";
    let may = "add_header Access-Control-Allow-Methods 'GET, POST'; add_header Access-Control-Allow-Headers 'authorization, content-type';";
    let block = |more: &str| {
        format!(
            "{allow} location / {{ proxy_pass http://{}; {more} }}
             location = /api/publish {{ if ($request_method = OPTIONS) {{ {allow} {may} return 204; }} proxy_pass http://{}; }}",
            santral.address, santral.address
        )
    };
    let Some(nginx) = Nginx::start(&block("")).expect("nginx starts") else { return };
    look(&url(nginx.address()), &origin).says("cors", "ok", &["may read and publish"]);
    let twice = block(&format!("{allow} {allow}"));
    let Some(nginx) = Nginx::start(&twice).expect("nginx starts") else { return };
    look(&url(nginx.address()), &origin).has_failed().says("cors", "fail", &["2 times", "add_header"]);
}
