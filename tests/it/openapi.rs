//! The description of the API says what the server does: no more, no less. That it is fresh is seen to in `docs`.

use std::collections::{BTreeMap, BTreeSet};

use santral_testkit::http::Request;
use serde_json::{Value, json};

use crate::browser::driver::Browser;
use crate::support::contract::assert_refused;
use crate::support::{PATIENCE, Santral};

/// Pages for people; they are no part of the API.
pub(crate) const PAGES: [&str; 20] = [
    "/",
    "/account.js",
    "/app.js",
    "/style.css",
    "/setup",
    "/setup.js",
    "/call",
    "/call.css",
    "/call.js",
    "/call-tiles.js",
    "/santral-call.js",
    "/santral-line.js",
    "/santral-outbox.js",
    "/santral-peer.js",
    "/santral-roster.js",
    "/api/docs",
    "/api/docs/{file}",
    // A protocol of others.
    "/socket.io/",
    "/socket.io",
    "/socket.io/{file}",
];

#[test]
fn every_answer_names_its_request_in_the_description() {
    let document = santral::http::openapi::document();
    for (method, path) in described(&document) {
        let operation = &document["paths"][&path][method.to_ascii_lowercase()];
        let responses = operation["responses"].as_object().expect("an operation has responses");
        assert!(
            responses.keys().any(|status| status.starts_with('2') || status == "101"),
            "{method} {path} never succeeds"
        );
        for (status, response) in responses {
            let named = response["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/responses/"));
            let response = named.map_or(response, |name| &document["components"]["responses"][name]);
            assert!(response["headers"]["X-Request-Id"].is_object(), "{method} {path} {status}");
            let is_problem = response["content"]["application/problem+json"].is_object();
            let is_health = path == "/health/ready" && status == "503";
            assert_eq!(is_problem, status.as_str() >= "400" && !is_health, "{method} {path} {status}");
        }
    }
}

#[test]
fn every_reference_in_the_description_leads_somewhere() {
    let document = santral::http::openapi::document();
    let text = document.to_string();
    let references: BTreeSet<_> =
        text.split(r##""$ref":"#"##).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.len() > 20, "the description is not read as it should be");
    let lost: Vec<_> = references.into_iter().filter(|pointer| document.pointer(pointer).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn operations_have_a_name_of_their_own_and_a_summary() {
    let document = santral::http::openapi::document();
    let mut names = BTreeSet::new();
    for (method, path) in described(&document) {
        let operation = &document["paths"][&path][method.to_ascii_lowercase()];
        let name = operation["operationId"].as_str().expect("an operation has a name");
        assert!(names.insert(name.to_owned()), "two operations are named {name}");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty() && !summary.ends_with('.') && !summary.contains('`'), "{name}: {summary:?}");
        let description = operation["description"].as_str().unwrap_or_default();
        assert!(!description.contains("# Errors") && !description.contains("[`"), "{name}: {description:?}");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name} belongs to one group");
    }
}

/// Each path answers exactly the methods that are described, whoever asks: the server itself says
/// which, in `Allow`.
#[test]
fn described_paths_answer_the_described_methods() {
    let (santral, _) = Santral::start_closed(&[]);
    let mut described_at: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (method, path) in described(&santral::http::openapi::document()) {
        described_at.entry(path).or_default().insert(method);
    }
    for (path, mut methods) in described_at {
        let answer = Request::new("PROPFIND", &example_of(&path)).send(santral.address, PATIENCE);
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.header("allow").unwrap_or_default();
        if methods.contains("GET") && allow.contains("HEAD") {
            methods.insert("HEAD".to_owned());
        }
        assert_eq!(allow.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{path}");
    }
}

#[test]
fn every_route_is_described() {
    let described: BTreeSet<_> = described(&santral::http::openapi::document()).into_iter().collect();
    let routes = santral::http::operations().into_iter().map(|(method, path, _)| (method.to_string(), plain(path)));
    // What can be read can be asked for its head; the description does not say that each time.
    let is_of_the_api = |(method, path): &(String, String)| method != "HEAD" && !PAGES.contains(&path.as_str());
    let routes: BTreeSet<_> = routes.filter(is_of_the_api).collect();
    assert_eq!(described, routes);
}

/// A number that is empty, signed or broken is refused everywhere, never taken for absent.
#[test]
fn numbers_in_queries_are_read_strictly() {
    let (santral, admin) = Santral::start_closed(&[]);
    let document = santral::http::openapi::document();
    let mut tried = 0;
    for (method, path) in described(&document) {
        let parameters = document["paths"][&path][method.to_ascii_lowercase()]["parameters"].clone();
        let is_number = |parameter: &&Value| parameter["in"] == "query" && parameter["schema"]["type"] == "integer";
        for parameter in parameters.as_array().into_iter().flatten().filter(is_number) {
            let name = parameter["name"].as_str().expect("a parameter has a name");
            for bad in ["", "%2B1", "-1", "1.5", "1e2", "x", "99999999999999999999"] {
                let asked = format!("{}?{name}={bad}", example_of(&path));
                let answer = santral.ask(&method, &asked, Some(&admin.access), None);
                assert_refused(&answer, "invalid_query");
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn the_served_description_is_the_committed_one() {
    let santral = Santral::start();
    let answer = santral.get("/api/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json().expect("it is JSON"), santral::http::openapi::document());
    assert_eq!(answer.json().expect("it is JSON")["openapi"], "3.1.0");
    assert_eq!(santral.post("/api/openapi.json", "{}").status, 405);
}

#[test]
fn the_page_about_the_api_asks_no_other_host_and_serves_no_other_file() {
    let santral = Santral::start();
    let page = santral.get("/api/docs");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(!page.text().contains("//"), "{}", page.text());
    let policy = page.header("content-security-policy").expect("the page has a policy").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    for (file, content_type) in [
        ("docs.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("favicon-32x32.png", "image/png"),
    ] {
        let answer = santral.get(&format!("/api/docs/{file}"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{file}");
        assert!(answer.body.len() > 100, "{file}");
    }
    for nothing in ["index.html", "swagger-initializer.js", "oauth2-redirect.html", "..%2fopenapi.json", "a/b", ""] {
        assert_eq!(santral.get(&format!("/api/docs/{nothing}")).status, 404, "{nothing}");
    }
    assert_eq!(santral.post("/api/docs", "{}").status, 405);
}

/// Each operation can be read and tried, under a policy that lets the page ask nobody else.
#[test]
fn the_page_about_the_api_shows_every_operation() {
    let santral = Santral::start();
    let Some(browser) = Browser::start() else { return };
    browser.open(&format!("http://{}/api/docs", santral.address));
    let shown = browser.wait_for("the operations", PATIENCE, || {
        let paths = browser.run(SHOWN_OPERATIONS, &[]);
        let paths: BTreeSet<_> = paths.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        (!paths.is_empty()).then_some(paths)
    });
    let operations = described(&santral::http::openapi::document());
    let expected: BTreeSet<_> = operations.iter().map(|(method, path)| format!("{method} {path}")).collect();
    assert_eq!(shown, expected);
    browser.click("#operations-health-live button.opblock-summary-control");
    browser.click("#operations-health-live .try-out__btn");
    browser.click("#operations-health-live .execute");
    let tried = browser.wait_for("the answer", PATIENCE, || {
        let text = browser.text("#operations-health-live");
        text.contains("x-request-id").then_some(text)
    });
    assert!(tried.contains("\"ok\""), "{tried}");
    let foreign = browser.run(FOREIGN_REQUESTS, &[json!(santral.address.to_string())]);
    assert_eq!(foreign, json!([]), "asked elsewhere");
    assert_eq!(browser.run(POLICY_VIOLATIONS, &[]), json!([]), "the policy forbade something");
}

/// Method and path of each operation on the page; Swagger UI puts zero-width spaces into paths.
const SHOWN_OPERATIONS: &str = r#"
    return [...document.querySelectorAll(".opblock-summary")].map((summary) => {
        const part = (css) => summary.querySelector(css).textContent.replace(/\u200b/g, "");
        return `${part(".opblock-summary-method")} ${part(".opblock-summary-path")}`;
    })"#;

/// What the page asked of anybody but the given host.
const FOREIGN_REQUESTS: &str = r"
    return performance.getEntriesByType('resource').map((entry) => entry.name)
        .filter((name) => new URL(name).host !== arguments[0])";

/// What the policy has forbidden since the page was opened.
const POLICY_VIOLATIONS: &str = r"
    const observer = new ReportingObserver(() => {}, { types: ['csp-violation'], buffered: true });
    observer.observe();
    return observer.takeRecords().map((report) => report.body.blockedURL)";

/// Method and path of every operation.
pub(crate) fn described(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("a description has paths");
    let methods = |(path, item): (&String, &Value)| {
        let methods = item.as_object().expect("a path has operations").keys();
        methods.map(|method| (method.to_ascii_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    let found: Vec<_> = paths.iter().flat_map(methods).collect();
    assert!(found.len() > 10, "the description is not read as it should be");
    found
}

/// The path with something in the place of its parameters.
fn example_of(path: &str) -> String {
    let mut parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| path + "/" + part)
}

/// The path of a route as the description writes it.
pub(crate) fn plain(path: &str) -> String {
    path.replace(":.+}", "}")
}
