//! The way to the server: name, connection, TLS, redirects, and whether it is Santral that answers.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use super::{Visit, borrowed, tls};
use crate::doctor::check::Check;
use crate::doctor::client::{Answer, Base, Failure, Health};
use crate::doctor::culprit::Proxy;
use crate::doctor::report::{Finding, Report};

/// Goes there; `false` when Santral was not reached, which was said.
pub(super) fn examine(visit: &mut Visit, report: &mut Report<'_>) -> bool {
    connect(visit, report) && arrive(visit, report)
}

fn connect(visit: &Visit, report: &mut Report<'_>) -> bool {
    let (host, port) = (visit.base.host(), visit.base.port());
    let addresses: Vec<SocketAddr> = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.take(ADDRESSES_MAX).collect(),
        Err(error) => {
            let remedy = "is the name spelled right, and does it have an A or AAAA record? dig <name>";
            report.add(Finding::fail(Check::Name, format!("{host} has no address: {error}"), remedy));
            return false;
        }
    };
    let shown: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let found =
        if is_address { "the URL names an address".to_owned() } else { format!("{host} is {}", shown.join(", ")) };
    report.add(Finding::ok(Check::Name, found));
    let attempt = |address: &SocketAddr| {
        let error = TcpStream::connect_timeout(address, visit.client.timeout()).err()?;
        Some((format!("{address}: {error}"), error.kind()))
    };
    let failed: Vec<_> = addresses.iter().filter_map(attempt).collect();
    let said = failed.iter().map(|(said, _)| said.as_str()).collect::<Vec<_>>().join("; ");
    let Some((_, kind)) = failed.first() else {
        report.add(Finding::ok(Check::Connect, format!("port {port} takes connections")));
        return true;
    };
    if failed.len() < addresses.len() {
        report.add(Finding::warn(
            Check::Connect,
            format!("only some of the addresses take connections: {said}"),
            "clients that try these first wait: take them out of the DNS, or let the server listen there too",
        ));
        return true;
    }
    let remedy = match kind {
        std::io::ErrorKind::ConnectionRefused => {
            "nothing listens there: is the proxy or the server up, on this port and on an address that is not only 127.0.0.1?"
        }
        _ => {
            "a firewall drops it, or the address is wrong: open the port in the firewall and the cloud's security group"
        }
    };
    report.add(Finding::fail(Check::Connect, said, remedy));
    false
}

/// Follows redirects to whatever answers in the end, and looks at it.
fn arrive(visit: &mut Visit, report: &mut Report<'_>) -> bool {
    let mut redirects = Vec::new();
    let first = visit.base.clone();
    let answer = loop {
        let url = visit.base.url(HEALTH);
        let answer = match visit.client.get(&url, &borrowed(&visit.credentials())) {
            Ok(answer) => answer,
            Err(failure) => {
                report_redirects(&first, &visit.base, &redirects, report);
                report_failure(&visit.base, &failure, report);
                return false;
            }
        };
        if !REDIRECTS.contains(&answer.status) {
            break answer;
        }
        let location = answer.header("location").unwrap_or_default();
        redirects.push(answer.status);
        match visit.base.redirected(location, HEALTH) {
            Some(base) if redirects.len() < REDIRECTS_MAX => visit.base = base,
            Some(_) => return report_detour("it redirects round and round", report),
            None => return report_detour(&format!("it redirects to {location:?}, which is not Santral"), report),
        }
    };
    visit.proxy = Proxy::of(&answer.headers);
    report.add(tls::passed(&visit.base));
    report_redirects(&first, &visit.base, &redirects, report);
    let (finding, is_santral) = identify(visit, &answer);
    report.add(finding);
    is_santral
}

fn report_failure(base: &Base, failure: &Failure, report: &mut Report<'_>) {
    match failure {
        Failure::Tls(said) => report.add(tls::failed(base, said)),
        Failure::Silent => report.add(Finding::fail(
            Check::Identity,
            "the connection is taken, and no answer comes",
            "the proxy waits for a server that does not answer, or the port speaks something else than HTTP",
        )),
        Failure::NotHttp(_) | Failure::Broken(_) => report.add(Finding::fail(
            Check::Identity,
            failure.to_string(),
            "what listens there speaks no HTTP in the clear: is it https://, or another port?",
        )),
    }
}

fn report_redirects(first: &Base, last: &Base, redirects: &[u16], report: &mut Report<'_>) {
    if redirects.is_empty() {
        report.add(Finding::ok(Check::Redirect, "the URL is the final one"));
        return;
    }
    let statuses: Vec<_> = redirects.iter().map(u16::to_string).collect();
    let found = format!("{first} redirects to {last} (status {})", statuses.join(", "));
    let remedy = format!("put {last} into clients");
    // Those keep method and body (RFC 9110, section 15.4.8); after the others a POST arrives as a GET.
    let keeps_posts = redirects.iter().all(|status| [307, 308].contains(status));
    report.add(if keeps_posts {
        Finding::warn(Check::Redirect, found, remedy)
    } else {
        Finding::fail(Check::Redirect, format!("{found}, where a POST arrives as a GET"), remedy)
    });
}

fn report_detour(found: &str, report: &mut Report<'_>) -> bool {
    let remedy = "let these paths through without a login page or rewriting: /api, /auth, /health";
    report.add(Finding::fail(Check::Redirect, found, remedy));
    false
}

/// Who it is that answers, and whether the rest is worth looking at.
fn identify(visit: &mut Visit, answer: &Answer) -> (Finding, bool) {
    if let Some(health) = Health::of(answer) {
        let found = format!("Santral {}, node {}, status {}", health.version, health.node, health.status);
        let is_well = health.status == "ok";
        visit.health = Some(health);
        let finding = match is_well {
            true => Finding::ok(Check::Identity, found),
            false => Finding::warn(Check::Identity, found, "see `storage` in /health, and the server's log"),
        };
        return (finding, true);
    }
    if !is_santrals_404(answer) && answers_below_api(visit) {
        let found = format!("Santral answers below /api, but /health is not let through: {}", answer.summary());
        let remedy = "fine, if it is meant so; else pass /health on as well";
        return (Finding::warn(Check::Identity, found, remedy), true);
    }
    let (found, remedy) = stranger(answer);
    (Finding::fail(Check::Identity, found, remedy), false)
}

/// Whether Santral itself says that it has no such path.
fn is_santrals_404(answer: &Answer) -> bool {
    answer.status == 404 && answer.is_problem_of_santral()
}

/// Whether a path below `/api` that does not exist is answered as Santral does.
fn answers_below_api(visit: &Visit) -> bool {
    let answer = visit.client.get(&visit.base.url("/api/santral-doctor"), &borrowed(&visit.credentials()));
    answer.is_ok_and(|answer| answer.is_problem_of_santral())
}

/// What answered in Santral's place, and what to do about it.
fn stranger(answer: &Answer) -> (String, &'static str) {
    let summary = answer.summary();
    if answer.header("cf-mitigated").is_some() {
        return (
            format!("Cloudflare asks for a proof that we are human: {summary}"),
            "add a rule that skips challenges and bot fights for /api and /auth: no program passes them",
        );
    }
    if answer.body.contains("HTTP request was sent to HTTPS port") {
        return ("that port speaks TLS".to_owned(), "use https://");
    }
    if is_santrals_404(answer) {
        return (
            format!("Santral answers that it has no such path: {summary}"),
            "the proxy passes the path on as it is: in nginx end both with a slash, `location /x/ { proxy_pass http://…/; }`",
        );
    }
    match answer.status {
        401 | 403 | 407 => (
            format!("something in front asks for a login: {summary}"),
            "clients cannot answer it: let /api, /auth and /health through, Santral asks who they are itself",
        ),
        502..=504 => (
            format!("the proxy does not reach Santral: {summary}"),
            "is the server up, and does the proxy name its address and port? See the proxy's error log",
        ),
        404 => (
            format!("this path is not Santral's: {summary}"),
            "is the path in --url right, and does the proxy pass it to Santral? (`location` and `proxy_pass` in nginx)",
        ),
        _ => (
            format!("what answers is not Santral: {summary}"),
            "another site answers under this name or path: see the proxy's `server_name` and `location`",
        ),
    }
}

const HEALTH: &str = "/health";

/// Statuses that come with a `Location` (RFC 9110, section 15.4).
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Nobody needs more.
const REDIRECTS_MAX: usize = 5;

/// Of a name with more addresses the first ones are tried.
const ADDRESSES_MAX: usize = 8;
